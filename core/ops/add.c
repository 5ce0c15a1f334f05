/* add: y = act(a + b), a and b of the same shape. da = db = dy * act'(y). */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* y may be a or b. */
enum phiz_status REF(phiz_add_forward)(struct phiz_call *call)
{
	const real *a = phiz_in(call, 0), *b = phiz_in(call, 1);
	const union phiz_attr *attr = call->node->attr;
	real *y = call->out[0].data, slope = (real)attr[PHIZ_ADD_ACT_SLOPE].f;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++)
		y[i] = phiz_act_apply(attr[PHIZ_ADD_ACT].i, slope, a[i] + b[i]);
	return PHIZ_OK;
}

/* One gradient after the other, so that both may be the same memory if the second adds. Without an activation either
 * may be dy. */
enum phiz_status REF(phiz_add_backward)(struct phiz_call *call)
{
	const real *y = call->out[0].data, *dy = call->dout[0].data;
	const union phiz_attr *attr = call->node->attr;
	int64_t n = phiz_tensor_count(&call->out[0]), act = attr[PHIZ_ADD_ACT].i;
	real slope = (real)attr[PHIZ_ADD_ACT_SLOPE].f;

	for (int input = 0; dy && input < 2; input++) {
		real *d = phiz_din(call, input);
		bool add = phiz_adds(call, input);

		for (int64_t i = 0; d && i < n; i++)
			phiz_put(&d[i], add, act == PHIZ_ACT_NONE ? dy[i] : phiz_act_gradient(act, slope, y[i], dy[i]));
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, 1, in[0].dtype);
	if (status == PHIZ_OK)
		status = phiz_rule_shape(ctx, node, in, 1, &in[0].shape);
	return status;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	*in_mask = 0;
	*out_mask = want && node->attr[PHIZ_ADD_ACT].i != PHIZ_ACT_NONE;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double n = phiz_cost_count(out), act = node->attr[PHIZ_ADD_ACT].i != PHIZ_ACT_NONE ? n : 0;

	phiz_cost_fill(node, in, out, n + act, act, c);
}

static const char *const input_names[] = {"a", "b"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_ADD_ACT] = PHIZ_ATTR_ACT,
	[PHIZ_ADD_ACT_SLOPE] = PHIZ_ATTR_ACT_SLOPE,
};

const struct phiz_op phiz_op_add = {
	.name = "add",
	.min_inputs = 2,
	.max_inputs = 2,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_ADD_ATTRS,
	.diff_mask = 3,
	.alias_mask = 1 | 4,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(add),
};
#endif
