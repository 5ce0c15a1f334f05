/* The reference backend: ordinary memory, reference kernels in the dtype of the graph. */
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/ops/rule.h"

/* Kernels have both directions where the operator has, but conv2d with something fused into it has no backward. */
static const struct phiz_kernel *find(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                      bool backward)
{
	(void)ctx;
	if ((backward && !phiz_op_has_backward(call->node)) || phiz_call_is_blocked(call))
		return NULL;
	return phiz_op_reference(call->node->op, dtype);
}

static void *reference_alloc(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	(void)backend;
	return phiz_alloc(ctx, bytes, 1);
}

static void reference_free(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory)
{
	(void)backend;
	phiz_free(ctx, memory);
}

static const struct phiz_backend reference = {
	.name = "reference",
	.find = find,
	.alloc = reference_alloc,
	.free = reference_free,
};

const struct phiz_backend *phiz_backend_reference(void)
{
	return &reference;
}
