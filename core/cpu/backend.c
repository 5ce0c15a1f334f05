#include <string.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/rule.h"

static const struct phiz_kernel *const table[] = {
#define PHIZ_KERNEL(name) &phiz_cpu_##name,
#include "core/cpu/kernels.def"
#undef PHIZ_KERNEL
};

int phiz_cpu_kernel_count(void)
{
	return (int)(sizeof(table) / sizeof(table[0]));
}

const struct phiz_kernel *phiz_cpu_kernel_at(int i)
{
	return i >= 0 && i < phiz_cpu_kernel_count() ? table[i] : NULL;
}

static bool fits(const struct phiz_kernel *kernel, const struct phiz_call *call, enum phiz_dtype dtype, bool backward,
                 unsigned features)
{
	return kernel->dtype == dtype && (backward ? kernel->backward : kernel->forward) != NULL &&
	       (kernel->blocked || !phiz_call_is_blocked(call)) && !(kernel->features & ~features) &&
	       !strcmp(kernel->op, call->node->op->name) && (!kernel->supports || kernel->supports(call));
}

/* Filled upwards: what comes later in the table is preferred, and what does not fit falls back to what stands before
 * it, at last to the operator's reference kernel. */
static const struct phiz_kernel *find(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                      bool backward)
{
	struct phiz_cpu_choice choice;
	if (phiz_cpu_choose(ctx, &choice))
		return NULL;
	if (backward && !phiz_op_has_backward(call->node))
		return NULL;
	for (int i = choice.reference_only ? 0 : phiz_cpu_kernel_count(); i-- > 0;)
		if (fits(table[i], call, dtype, backward, choice.features))
			return table[i];
	return phiz_backend_reference()->find(ctx, call, dtype, backward);
}

static void *alloc(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	(void)backend;
	return phiz_alloc(ctx, bytes, 1);
}

static void give_back(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory)
{
	(void)backend;
	phiz_free(ctx, memory);
}

const struct phiz_backend *phiz_backend_cpu(void)
{
	static const struct phiz_backend backend = {
		.name = "cpu", .picture_layout = PHIZ_BLOCKED, .find = find, .alloc = alloc, .free = give_back,
	};
	return &backend;
}
