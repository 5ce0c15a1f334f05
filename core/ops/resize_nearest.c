/* resize_nearest: y[n,c,p,q] = x[n,c,p/scale_h,q/scale_w] (whole numbers of times larger: F.interpolate's nearest).
 * dx[n,c,h,w] = the sum of dy over the scale_h x scale_w elements that x[n,c,h,w] became. */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* Nothing may alias. */
enum phiz_status REF(phiz_resize_nearest_forward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	int64_t by_h = call->node->attr[PHIZ_RESIZE_SCALE_H].i, by_w = call->node->attr[PHIZ_RESIZE_SCALE_W].i;
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;

	for (int64_t row = 0; row < out[0] * out[1] * out[2]; row++) {
		const real *from = x + (row / out[2] * in[2] + row % out[2] / by_h) * in[3];

		for (int64_t q = 0; q < out[3]; q++)
			*y++ = from[q / by_w];
	}
	return PHIZ_OK;
}

/* Summed in double. Nothing may alias. */
enum phiz_status REF(phiz_resize_nearest_backward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	int64_t by_h = call->node->attr[PHIZ_RESIZE_SCALE_H].i, by_w = call->node->attr[PHIZ_RESIZE_SCALE_W].i;
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);

	for (int64_t i = 0; dx && dy && i < phiz_tensor_count(&call->in[0]); i++) {
		const real *from = dy + (i / in[3] * by_h) * out[3] + i % in[3] * by_w;
		double sum = 0;

		for (int64_t k = 0; k < by_h * by_w; k++)
			sum += from[k / by_w * out[3] + k % by_w];
		phiz_put(&dx[i], phiz_adds(call, 0), (real)sum);
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
	shape.dim[2] *= node->attr[PHIZ_RESIZE_SCALE_H].i;
	shape.dim[3] *= node->attr[PHIZ_RESIZE_SCALE_W].i;
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, phiz_cost_count(out), c);
	c->backward_bytes = c->forward_bytes;
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_RESIZE_SCALE_H] = PHIZ_ATTR_WINDOW("scale_h", 1, 1),
	[PHIZ_RESIZE_SCALE_W] = PHIZ_ATTR_WINDOW("scale_w", 1, 1),
};

const struct phiz_op phiz_op_resize_nearest = {
	.name = "resize_nearest",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 2,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(resize_nearest),
};
#endif
