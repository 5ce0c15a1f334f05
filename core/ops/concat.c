/* concat: the inputs one after the other along dim `axis`. The gradient of each is its part of dy. */
#include "core/ops/kernel.h"

#include <string.h>

#include "core/ops/rule.h"

enum phiz_status REF(phiz_concat_forward)(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
	real *y = call->out[0].data;
	int64_t begin = 0;

	for (int i = 0; i < call->n_in; i++) {
		struct phiz_lines part = phiz_lines_along(&call->in[i].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
		const real *x = phiz_in(call, i);

		for (int64_t o = 0; o < whole.outer; o++)
			memcpy(y + (o * whole.n + begin) * whole.inner, x + o * part.n * part.inner,
			       (size_t)(part.n * part.inner) * sizeof(*y));
		begin += part.n;
	}
	return PHIZ_OK;
}

/* One input after the other, so that two gradients may be the same memory if the later one adds. */
enum phiz_status REF(phiz_concat_backward)(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
	const real *dy = call->dout[0].data;
	int64_t begin = 0;

	for (int i = 0; dy && i < call->n_in; i++) {
		struct phiz_lines part = phiz_lines_along(&call->in[i].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
		int64_t run = part.n * part.inner;
		real *dx = phiz_din(call, i);

		for (int64_t k = 0; dx && k < whole.outer * run; k++)
			phiz_put(&dx[k], phiz_adds(call, i), dy[(k / run * whole.n + begin) * whole.inner + k % run]);
		begin += part.n;
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	int axis = 0;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_axis(ctx, node, PHIZ_CONCAT_AXIS, &in[0].shape, &axis);
	if (status != PHIZ_OK)
		return status;
	shape = in[0].shape;
	for (int i = 1; status == PHIZ_OK && i < node->n_inputs; i++) {
		struct phiz_shape want = in[0].shape;

		if (want.ndim == in[i].shape.ndim)
			want.dim[axis] = in[i].shape.dim[axis];
		status = phiz_rule_dtype(ctx, node, in, i, in[0].dtype);
		if (status == PHIZ_OK)
			status = phiz_rule_shape(ctx, node, in, i, &want);
		shape.dim[axis] += want.dim[axis];
	}
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, in[0].dtype, &shape, out);
	return status;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, 0, c);
	c->backward_bytes = c->forward_bytes;
}

static const char *const input_names[] = {"input", "input", "input", "input", "input", "input", "input", "input",
                                          "input", "input", "input", "input", "input", "input", "input", "input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CONCAT_AXIS] = {"axis", PHIZ_ATTR_INT, 1, -PHIZ_MAX_DIMS, PHIZ_MAX_DIMS - 1},
};

const struct phiz_op phiz_op_concat = {
	.name = "concat",
	.min_inputs = 1,
	.max_inputs = PHIZ_MAX_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = (1u << PHIZ_MAX_INPUTS) - 1,
	.variadic = true,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(concat),
};
#endif
