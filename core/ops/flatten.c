/* flatten: dims from `start` on become one. The bytes stay as they are, for gradients too. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

/* y is x where the plan lays it so; else a copy. */
enum phiz_status REF(phiz_flatten_forward)(struct phiz_call *call)
{
	phiz_copy(call->out[0].data, call->in[0].data, phiz_tensor_count(&call->out[0]), false);
	return PHIZ_OK;
}

/* dx may be dy. */
enum phiz_status REF(phiz_flatten_backward)(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_copy(call->din[0].data, call->dout[0].data, phiz_tensor_count(&call->dout[0]), phiz_adds(call, 0));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	int start = (int)node->attr[PHIZ_FLATTEN_START].i;
	char text[128];
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status != PHIZ_OK)
		return status;
	if (start >= in[0].shape.ndim)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "start: want a dim of the input %s, got %d",
		                 phiz_shape_text(&in[0].shape, text), start);
	shape = in[0].shape;
	shape.ndim = start + 1;
	for (int d = start + 1; d < in[0].shape.ndim; d++)
		shape.dim[start] *= in[0].shape.dim[d]; /* no overflow: the count was checked */
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_FLATTEN_START] = {"start", PHIZ_ATTR_INT, 1, 0, PHIZ_MAX_DIMS - 1},
};

const struct phiz_op phiz_op_flatten = {
	.name = "flatten",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.alias_mask = 2,
	.infer = infer,
	.cost = phiz_cost_none,
	PHIZ_REFERENCE(flatten),
};
#endif
