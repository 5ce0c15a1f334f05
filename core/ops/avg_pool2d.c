/* avg_pool2d: y[n,c,p,q] = (sum of x[n,c,h,w] over the window, cut to the input) / divisor. The window begins at
 * (p*stride_h - pad_h, q*stride_w - pad_w) and is cut to the padded input; the divisor is its area, padding
 * counted or not (count_include_pad). dx = sum over the windows that hold the element of dy / divisor. */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

struct window {
	int64_t top, left, bottom, right; /* inside the input */
	double divisor;
};

static struct window window_at(const struct phiz_call *call, int64_t p, int64_t q)
{
	const union phiz_attr *a = call->node->attr;
	int64_t h = call->in[0].shape.dim[2], w = call->in[0].shape.dim[3];
	int64_t pad_h = a[PHIZ_POOL_PAD_H].i, pad_w = a[PHIZ_POOL_PAD_W].i;
	int64_t top = p * a[PHIZ_POOL_STRIDE_H].i - pad_h, left = q * a[PHIZ_POOL_STRIDE_W].i - pad_w;
	int64_t bottom = top + a[PHIZ_POOL_KERNEL_H].i, right = left + a[PHIZ_POOL_KERNEL_W].i;
	struct window v;

	bottom = bottom < h + pad_h ? bottom : h + pad_h;
	right = right < w + pad_w ? right : w + pad_w;
	v.divisor = (double)((bottom - top) * (right - left));
	v.top = top > 0 ? top : 0;
	v.left = left > 0 ? left : 0;
	v.bottom = bottom < h ? bottom : h;
	v.right = right < w ? right : w;
	if (!a[PHIZ_POOL_COUNT_INCLUDE_PAD].i)
		v.divisor = (double)((v.bottom - v.top) * (v.right - v.left));
	return v;
}

/* Summed in double. */
enum phiz_status REF(phiz_avg_pool2d_forward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t area = out[2] * out[3];

	for (int64_t i = 0; i < out[0] * out[1] * area; i++) {
		struct window v = window_at(call, i % area / out[3], i % out[3]);
		const real *plane = x + i / area * in[2] * in[3];
		double sum = 0;

		for (int64_t h = v.top; h < v.bottom; h++)
			for (int64_t w = v.left; w < v.right; w++)
				sum += plane[h * in[3] + w];
		y[i] = (real)(sum / v.divisor);
	}
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_avg_pool2d_backward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t area = out[2] * out[3];

	if (!dx || !dy)
		return PHIZ_OK;
	if (!phiz_adds(call, 0))
		phiz_fill_zero(dx, phiz_tensor_count(&call->in[0]));
	for (int64_t i = 0; i < out[0] * out[1] * area; i++) {
		struct window v = window_at(call, i % area / out[3], i % out[3]);
		real *plane = dx + i / area * in[2] * in[3], share = (real)(dy[i] / v.divisor);

		for (int64_t h = v.top; h < v.bottom; h++)
			for (int64_t w = v.left; w < v.right; w++)
				plane[h * in[3] + w] += share;
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	const union phiz_attr *a = node->attr;
	double flops = phiz_cost_count(out) * (double)(a[PHIZ_POOL_KERNEL_H].i * a[PHIZ_POOL_KERNEL_W].i);

	phiz_cost_fill(node, in, out, flops, flops, c);
	c->backward_bytes -= phiz_cost_bytes(in) + phiz_cost_bytes(out); /* reads the gradient alone */
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_POOL_KERNEL_H] = PHIZ_ATTR_WINDOW("kernel_h", 0, 1), /* no default: must be given */
	[PHIZ_POOL_KERNEL_W] = PHIZ_ATTR_WINDOW("kernel_w", 0, 1),
	[PHIZ_POOL_STRIDE_H] = PHIZ_ATTR_WINDOW("stride_h", 0, 1),
	[PHIZ_POOL_STRIDE_W] = PHIZ_ATTR_WINDOW("stride_w", 0, 1),
	[PHIZ_POOL_PAD_H] = PHIZ_ATTR_WINDOW("pad_h", 0, 0),
	[PHIZ_POOL_PAD_W] = PHIZ_ATTR_WINDOW("pad_w", 0, 0),
	[PHIZ_POOL_CEIL] = PHIZ_ATTR_SWITCH("ceil_mode", 0),
	[PHIZ_POOL_COUNT_INCLUDE_PAD] = PHIZ_ATTR_SWITCH("count_include_pad", 1),
};

const struct phiz_op phiz_op_avg_pool2d = {
	.name = "avg_pool2d",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_POOL_ATTRS,
	.diff_mask = 1,
	.infer = phiz_rule_pool,
	.cost = cost,
	PHIZ_REFERENCE(avg_pool2d),
};
#endif
