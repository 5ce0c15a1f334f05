#include "support/device.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/cuda.h>

#include "support/support.h"

static struct phiz_ctx *device_ctx;
static struct phiz_backend *device;

static void close_device(void)
{
	phiz_backend_cuda_free(device_ctx, &device);
	phiz_ctx_free(&device_ctx);
}

const struct phiz_backend *test_backend(void)
{
	const char *name = getenv("PHIZ_TEST_DEVICE"), *why;

	if (device)
		return device;
	if (!name || strcmp(name, "cuda") != 0)
		return phiz_backend_cpu();
	if (!phiz_cuda_count(&why)) {
		printf("skipped: no CUDA device can be used here: %s\n", why);
		exit(77);
	}
	device_ctx = test_ctx(1);
	if (phiz_backend_cuda_create(device_ctx, 0, &device)) {
		fprintf(stderr, "%s\n", phiz_ctx_message(device_ctx));
		exit(1);
	}
	atexit(close_device);
	return device;
}
