/* leaky_relu: y = x > 0 ? x : slope * x. dx = (x > 0 ? 1 : slope) * dy; the slope is not negative, so y tells the
 * sign. */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* Any shape. y may be x. */
enum phiz_status REF(phiz_leaky_relu_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data, slope = (real)call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++)
		y[i] = phiz_act_apply(PHIZ_ACT_LEAKY_RELU, slope, x[i]);
	return PHIZ_OK;
}

/* dx[i] = y[i] > 0 ? dy[i] : slope * dy[i]. dx may be dy. */
enum phiz_status REF(phiz_leaky_relu_backward)(struct phiz_call *call)
{
	const real *y = call->out[0].data, *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0), slope = (real)call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f;
	int64_t n = phiz_tensor_count(&call->out[0]);
	bool add = phiz_adds(call, 0);

	for (int64_t i = 0; dx && dy && i < n; i++)
		phiz_put(&dx[i], add, phiz_act_gradient(PHIZ_ACT_LEAKY_RELU, slope, y[i], dy[i]));
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
	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out), 2 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_LEAKY_RELU_SLOPE] = {"slope", PHIZ_ATTR_FLOAT, 0.01, 0, 1e6},
};

const struct phiz_op phiz_op_leaky_relu = {
	.name = "leaky_relu",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = phiz_rule_same,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(leaky_relu),
};
#endif
