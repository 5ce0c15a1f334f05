/* slice: the elements start..end-1 along dim `axis`; a negative start or end counts from the end, and an end beyond it
 * is the end. dx is dy there and 0 elsewhere. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include <string.h>

#include "core/ops/rule.h"

static int64_t first_of(const struct phiz_call *call, int64_t n)
{
	int64_t start = call->node->attr[PHIZ_SLICE_START].i;

	return start < 0 ? start + n : start;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_slice_forward)(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->in[0].shape, call->node->attr[PHIZ_SLICE_AXIS].i);
	struct phiz_lines part = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_SLICE_AXIS].i);
	int64_t run = part.n * part.inner, skip = first_of(call, whole.n) * whole.inner;
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;

	for (int64_t o = 0; o < whole.outer; o++)
		memcpy(y + o * run, x + o * whole.n * whole.inner + skip, (size_t)run * sizeof(*y));
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_slice_backward)(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->in[0].shape, call->node->attr[PHIZ_SLICE_AXIS].i);
	struct phiz_lines part = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_SLICE_AXIS].i);
	int64_t run = part.n * part.inner, skip = first_of(call, whole.n) * whole.inner;
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);

	if (!dx || !dy)
		return PHIZ_OK;
	if (!phiz_adds(call, 0))
		phiz_fill_zero(dx, phiz_tensor_count(&call->in[0]));
	for (int64_t k = 0; k < whole.outer * run; k++)
		dx[k / run * whole.n * whole.inner + skip + k % run] += dy[k];
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	int axis = 0;
	int64_t n, start, end;
	char text[128];
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_axis(ctx, node, PHIZ_SLICE_AXIS, &in[0].shape, &axis);
	if (status != PHIZ_OK)
		return status;
	shape = in[0].shape;
	n = shape.dim[axis];
	start = node->attr[PHIZ_SLICE_START].i;
	end = node->attr[PHIZ_SLICE_END].i;
	start = start < 0 ? start + n : start;
	end = end < 0 ? end + n : end > n ? n : end;
	if (start < 0 || start >= end)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "want a part of dim %d of %s, got %lld to %lld", axis,
		                 phiz_shape_text(&shape, text), (long long)node->attr[PHIZ_SLICE_START].i,
		                 (long long)node->attr[PHIZ_SLICE_END].i);
	shape.dim[axis] = end - start;
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, 0, c);
	c->forward_bytes = 2 * phiz_cost_bytes(out);
	c->backward_bytes = phiz_cost_bytes(in) + phiz_cost_bytes(out);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_SLICE_AXIS] = {"axis", PHIZ_ATTR_INT, 1, -PHIZ_MAX_DIMS, PHIZ_MAX_DIMS - 1},
	[PHIZ_SLICE_START] = {"start", PHIZ_ATTR_INT, 0, -(double)PHIZ_RULE_DIM_MAX, PHIZ_RULE_DIM_MAX},
	[PHIZ_SLICE_END] = {"end", PHIZ_ATTR_INT, PHIZ_RULE_DIM_MAX, -(double)PHIZ_RULE_DIM_MAX, PHIZ_RULE_DIM_MAX},
};

const struct phiz_op phiz_op_slice = {
	.name = "slice",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 3,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(slice),
};
#endif
