/* exp: y = e^x. dx = dy * y. */
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

/* In double, rounded once; beyond its range infinity. Any shape. y may be x. */
enum phiz_status REF(phiz_exp_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++)
		y[i] = (real)exp((double)x[i]);
	return PHIZ_OK;
}

/* dx may be dy. */
enum phiz_status REF(phiz_exp_backward)(struct phiz_call *call)
{
	const real *y = call->out[0].data, *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t n = phiz_tensor_count(&call->out[0]);
	bool add = phiz_adds(call, 0);

	for (int64_t i = 0; dx && dy && i < n; i++)
		phiz_put(&dx[i], add, dy[i] * y[i]);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = 0;
	*out_mask = want & 1u;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, phiz_cost_count(out), phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input"};

const struct phiz_op phiz_op_exp = {
	.name = "exp",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = phiz_rule_same,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(exp),
};
#endif
