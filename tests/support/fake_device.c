#include "support/fake_device.h"

#include <string.h>

static struct fake_device *device_of(const struct phiz_backend *backend) { return backend->state; }

static const struct phiz_kernel *find(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                      bool backward)
{
	const char *lacks = device_of(call->backend)->lacks, *op = call->node->op->name;
	bool quantised = (dtype == PHIZ_U8 && strcmp(op, "normalize_bytes") != 0) || call->out[0].dtype == PHIZ_U8;

	if (quantised || (lacks && !strcmp(lacks, op)))
		return NULL;
	return phiz_backend_reference()->find(ctx, call, dtype, backward);
}

static void *alloc(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	(void)backend;
	return phiz_backend_reference()->alloc(ctx, phiz_backend_reference(), bytes);
}

static void release(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory)
{
	(void)backend;
	phiz_backend_reference()->free(ctx, phiz_backend_reference(), memory);
}

static enum phiz_status copy(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
                             size_t bytes)
{
	(void)ctx;
	(void)backend;
	memcpy(to, from, bytes);
	return PHIZ_OK;
}

static enum phiz_status nothing(struct phiz_ctx *ctx, const struct phiz_backend *backend)
{
	(void)ctx;
	(void)backend;
	return PHIZ_OK;
}

static enum phiz_status run(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording,
                            enum phiz_status (*steps)(void *arg), void *arg)
{
	(void)ctx;
	(void)recording;
	device_of(backend)->runs++;
	return steps(arg);
}

static void forget(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording)
{
	(void)ctx;
	(void)backend;
	(void)recording;
}

void fake_device_init(struct fake_device *device)
{
	static const struct phiz_device_calls calls = {
		.alloc_staging = alloc, .free_staging = release, .upload = copy, .download = copy, .sync = nothing,
		.upload_ahead = copy, .land = nothing, .copy = copy, .run = run, .forget = forget,
	};

	*device = (struct fake_device){
		.backend = {.name = "fake", .find = find, .alloc = alloc, .free = release, .device = &calls, .state = device},
	};
}
