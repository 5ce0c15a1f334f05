/* pad2d: x with rows and columns of `value` around it. dx is dy without them. */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* The element of x that is y's i-th, or -1: padding. */
static int64_t source(const struct phiz_call *call, int64_t i)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	int64_t h = i / out[3] % out[2] - call->node->attr[PHIZ_PAD2D_TOP].i;
	int64_t w = i % out[3] - call->node->attr[PHIZ_PAD2D_LEFT].i;

	return h < 0 || w < 0 || h >= in[2] || w >= in[3] ? -1 : (i / (out[2] * out[3]) * in[2] + h) * in[3] + w;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_pad2d_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0), value = (real)call->node->attr[PHIZ_PAD2D_VALUE].f;
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++) {
		int64_t from = source(call, i);

		y[i] = from < 0 ? value : x[from];
	}
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_pad2d_backward)(struct phiz_call *call)
{
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; dx && dy && i < n; i++) {
		int64_t from = source(call, i);

		if (from >= 0)
			phiz_put(&dx[from], phiz_adds(call, 0), dy[i]);
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, 0, 4, "[N, C, H, W]");
	if (status != PHIZ_OK)
		return status;
	shape = in[0].shape;
	shape.dim[2] += node->attr[PHIZ_PAD2D_TOP].i + node->attr[PHIZ_PAD2D_BOTTOM].i;
	shape.dim[3] += node->attr[PHIZ_PAD2D_LEFT].i + node->attr[PHIZ_PAD2D_RIGHT].i;
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, 0, c);
	c->backward_bytes = 2 * phiz_cost_bytes(in);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_PAD2D_TOP] = PHIZ_ATTR_WINDOW("top", 0, 0),
	[PHIZ_PAD2D_LEFT] = PHIZ_ATTR_WINDOW("left", 0, 0),
	[PHIZ_PAD2D_BOTTOM] = PHIZ_ATTR_WINDOW("bottom", 0, 0),
	[PHIZ_PAD2D_RIGHT] = PHIZ_ATTR_WINDOW("right", 0, 0),
	[PHIZ_PAD2D_VALUE] = {"value", PHIZ_ATTR_FLOAT, 0, -3e38, 3e38},
};

const struct phiz_op phiz_op_pad2d = {
	.name = "pad2d",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_PAD2D_ATTRS,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(pad2d),
};
#endif
