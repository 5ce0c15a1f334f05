#include "support/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <phiz/cuda.h>

#include "support/support.h"

static struct phiz_ctx *device_ctx;
static struct phiz_backend *device;

/* An exit status that was settled before is not that of a leak. */
static void close_device(void)
{
	struct phiz_memory_stats stats;

	phiz_backend_cuda_free(device_ctx, &device);
	phiz_ctx_memory(device_ctx, &stats);
	if (stats.live_blocks) {
		fprintf(stderr, "%zu blocks of the device's backend were not freed\n", stats.live_blocks);
		fflush(NULL);
		_exit(1);
	}
	phiz_ctx_free(&device_ctx);
}

struct phiz_backend *test_cuda(void)
{
	const char *why;

	if (device)
		return device;
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

const struct phiz_backend *test_backend(void)
{
	const char *name = getenv("PHIZ_TEST_DEVICE"), *only = getenv("PHIZ_TEST_ONLY");

	if (only)
		cmocka_set_test_filter(only);
	return name && !strcmp(name, "cuda") ? test_cuda() : phiz_backend_cpu();
}
