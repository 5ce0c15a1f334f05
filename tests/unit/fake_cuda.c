/* A module in place of the CUDA backend: with three devices that do nothing (FAKE_GOOD), with three that run models
 * (FAKE_DEVICE), of another version (FAKE_OLD), or none of phiz's (FAKE_STRANGE). */
#include <string.h>

#include "core/cuda/module.h"
#ifdef FAKE_DEVICE
#include "core/base/alloc.h"
#include "support/fake_device.h"
#endif

#ifndef FAKE_STRANGE
static int count(const char **why)
{
	*why = "";
	return 3;
}

static enum phiz_status describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out)
{
	(void)ctx;
	memset(out, 0, sizeof *out);
	out->major = 40 + device;
	return PHIZ_OK;
}

#ifdef FAKE_DEVICE
static enum phiz_status create(struct phiz_ctx *ctx, int device, struct phiz_backend **out)
{
	struct fake_device *d = phiz_calloc(ctx, 1, sizeof *d);

	(void)device;
	*out = NULL;
	if (!d)
		return PHIZ_E_NOMEM;
	fake_device_init(d);
	*out = &d->backend;
	return PHIZ_OK;
}

static void free_backend(struct phiz_ctx *ctx, struct phiz_backend **b)
{
	phiz_free(ctx, (*b)->state);
	*b = NULL;
}
#else
static struct phiz_backend backend = {.name = "fake"};

static enum phiz_status create(struct phiz_ctx *ctx, int device, struct phiz_backend **out)
{
	(void)ctx;
	(void)device;
	*out = &backend;
	return PHIZ_OK;
}

static void free_backend(struct phiz_ctx *ctx, struct phiz_backend **b)
{
	(void)ctx;
	*b = NULL;
}
#endif

PHIZ_API phiz_cuda_module_fn phiz_cuda_module;

const struct phiz_cuda_module *phiz_cuda_module(void)
{
#ifdef FAKE_OLD
	static const struct phiz_cuda_module module = {"0.0.0-old", 0, 0, 0, 0};
	(void)count, (void)describe, (void)create, (void)free_backend, (void)backend;
#else
	static const struct phiz_cuda_module module = {PHIZ_VERSION, count, describe, create, free_backend};
#endif
	return &module;
}
#else
PHIZ_API extern const int fake_strange;
const int fake_strange = 1;
#endif
