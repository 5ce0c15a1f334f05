#include <string.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
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

/* The last of the first `rows` rows that fits, or NULL. */
static const struct phiz_kernel *find_above(int rows, const struct phiz_call *call, enum phiz_dtype dtype,
                                            bool backward, unsigned features)
{
	for (int i = rows; i-- > 0;)
		if (fits(table[i], call, dtype, backward, features))
			return table[i];
	return NULL;
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
	int rows = choice.reference_only ? 0 : phiz_cpu_kernel_count();
	const struct phiz_kernel *kernel = find_above(rows, call, dtype, backward, choice.features);
	return kernel ? kernel : phiz_backend_reference()->find(ctx, call, dtype, backward);
}

/* Reference kernels are no choice: nobody would wait for them to be timed. */
static const struct phiz_kernel *next(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                      bool backward, const struct phiz_kernel *after)
{
	struct phiz_cpu_choice choice;
	int row = 0;
	if (phiz_cpu_choose(ctx, &choice))
		return NULL;
	while (row < phiz_cpu_kernel_count() && table[row] != after)
		row++;
	return row < phiz_cpu_kernel_count() ? find_above(row, call, dtype, backward, choice.features) : NULL;
}

static enum phiz_status machine(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_bytes *out)
{
	struct phiz_cpu_choice choice;
	char name[PHIZ_CPU_NAME], features[64];
	enum phiz_status status = phiz_cpu_choose(ctx, &choice);
	if (!status)
		phiz_bytes_printf(out, "%s; %s; %s", backend->name, phiz_cpu_name(name),
		                  choice.reference_only ? "reference" : phiz_cpu_features_text(choice.features, features));
	return status;
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
		.name = "cpu", .picture_layout = PHIZ_BLOCKED, .wide_layout = PHIZ_BLOCKED,
		.find = find, .next = next, .machine = machine, .alloc = alloc, .free = give_back,
	};
	return &backend;
}
