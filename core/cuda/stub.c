/* The CUDA backend of a build without CUDA: there is none. */
#include <string.h>

#include <phiz/cuda.h>

#include "core/base/error.h"

static const char *const reason = "phiz was built without CUDA";

bool phiz_cuda_built(void) { return false; }

int phiz_cuda_count(const char **why)
{
	if (why)
		*why = reason;
	return 0;
}

enum phiz_status phiz_cuda_describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out)
{
	(void)device;
	memset(out, 0, sizeof *out);
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s", reason);
}

enum phiz_status phiz_backend_cuda_create(struct phiz_ctx *ctx, int device, struct phiz_backend **out)
{
	(void)device;
	*out = NULL;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: use the CPU (--device cpu), or build where nvcc and cuDNN are",
	                 reason);
}

void phiz_backend_cuda_free(struct phiz_ctx *ctx, struct phiz_backend **backend)
{
	(void)ctx;
	(void)backend;
}
