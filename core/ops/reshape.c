/* reshape: the same elements under another shape, d0..d5 (ndim of them); 0 copies the input's dim of that place,
 * -1 (once) is what is left. The bytes stay as they are, for gradients too. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

/* y is x where the plan lays it so; else a copy. */
enum phiz_status REF(phiz_reshape_forward)(struct phiz_call *call)
{
	phiz_copy(call->out[0].data, call->in[0].data, phiz_tensor_count(&call->out[0]), false);
	return PHIZ_OK;
}

/* dx may be dy. */
enum phiz_status REF(phiz_reshape_backward)(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_copy(call->din[0].data, call->dout[0].data, phiz_tensor_count(&call->dout[0]), phiz_adds(call, 0));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
/* The dims as asked for, 0 replaced; *left: the place of -1, or -1. */
static enum phiz_status asked(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_shape *in,
                              struct phiz_shape *shape, int *left)
{
	*left = -1;
	shape->ndim = (int)node->attr[PHIZ_RESHAPE_NDIM].i;
	for (int d = 0; d < shape->ndim; d++) {
		int64_t want = node->attr[PHIZ_RESHAPE_D0 + d].i;

		if (want == 0 && d >= in->ndim)
			return phiz_fail(ctx, PHIZ_E_SHAPE, "d%d: want a size or -1, got 0 where the input has only %d dims", d,
			                 in->ndim);
		if (want == -1 && *left >= 0)
			return phiz_fail(ctx, PHIZ_E_ARG, "want -1 for one dim at most, got it for d%d and d%d", *left, d);
		if (want == -1)
			*left = d;
		shape->dim[d] = want == -1 ? 1 : want == 0 ? in->dim[d] : want;
	}
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	int64_t count, rest;
	int left = -1;
	char text[128], text_in[128];
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = asked(ctx, node, &in[0].shape, &shape, &left);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, in[0].dtype, &shape, out);
	if (status != PHIZ_OK)
		return status;
	count = phiz_shape_count(&in[0].shape);
	rest = count / phiz_shape_count(&shape);
	if (left >= 0)
		shape.dim[left] = rest;
	if (rest < 1 || phiz_shape_count(&shape) != count)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "want a shape for the %lld elements of %s, got %s", (long long)count,
		                 phiz_shape_text(&in[0].shape, text_in), phiz_shape_text(&shape, text));
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static const char *const input_names[] = {"input"};
#define RESHAPE_DIM(name) {name, PHIZ_ATTR_INT, 0, -1, PHIZ_RULE_DIM_MAX}
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_RESHAPE_NDIM] = {"ndim", PHIZ_ATTR_INT, 0, 1, PHIZ_MAX_DIMS}, /* no default: must be given */
	[PHIZ_RESHAPE_D0] = RESHAPE_DIM("d0"),
	[PHIZ_RESHAPE_D1] = RESHAPE_DIM("d1"),
	[PHIZ_RESHAPE_D2] = RESHAPE_DIM("d2"),
	[PHIZ_RESHAPE_D3] = RESHAPE_DIM("d3"),
	[PHIZ_RESHAPE_D4] = RESHAPE_DIM("d4"),
	[PHIZ_RESHAPE_D5] = RESHAPE_DIM("d5"),
};

const struct phiz_op phiz_op_reshape = {
	.name = "reshape",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_RESHAPE_D5 + 1,
	.diff_mask = 1,
	.alias_mask = 2,
	.infer = infer,
	.cost = phiz_cost_none,
	PHIZ_REFERENCE(reshape),
};
#endif
