/* lp_pool2d: y[n,c,p,q] = (sum of |x[n,c,h,w]|^norm over the window, cut to the input)^(1/norm), norm >= 1: F.lp_pool2d
 * on what is not negative, Torch's SpatialLPPooling, ONNX's LpPool. dx = sum over the windows that hold the element of
 * dy * sign(x) (|x| / y)^(norm-1), 0 where y is 0. */
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

struct window {
	int64_t top, left, bottom, right; /* inside the input */
};

static struct window window_at(const struct phiz_call *call, int64_t p, int64_t q)
{
	const union phiz_attr *a = call->node->attr;
	int64_t h = call->in[0].shape.dim[2], w = call->in[0].shape.dim[3];
	int64_t top = p * a[PHIZ_POOL_STRIDE_H].i - a[PHIZ_POOL_PAD_H].i;
	int64_t left = q * a[PHIZ_POOL_STRIDE_W].i - a[PHIZ_POOL_PAD_W].i;
	int64_t bottom = top + a[PHIZ_POOL_KERNEL_H].i, right = left + a[PHIZ_POOL_KERNEL_W].i;
	struct window v = {top > 0 ? top : 0, left > 0 ? left : 0, bottom < h ? bottom : h, right < w ? right : w};

	return v;
}

/* |x|^e; squares and absolute values, the usual ones, without pow. */
static double power(double x, double e)
{
	return e == 1 ? fabs(x) : e == 2 ? x * x : pow(fabs(x), e);
}

/* Summed in double. Nothing may alias. */
enum phiz_status REF(phiz_lp_pool2d_forward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	double norm = call->node->attr[PHIZ_LP_POOL2D_NORM].f;
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t area = out[2] * out[3];

	for (int64_t i = 0; i < out[0] * out[1] * area; i++) {
		struct window v = window_at(call, i % area / out[3], i % out[3]);
		const real *plane = x + i / area * in[2] * in[3];
		double sum = 0;

		for (int64_t h = v.top; h < v.bottom; h++)
			for (int64_t w = v.left; w < v.right; w++)
				sum += power(plane[h * in[3] + w], norm);
		y[i] = (real)(norm == 2 ? sqrt(sum) : pow(sum, 1 / norm));
	}
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_lp_pool2d_backward)(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	double norm = call->node->attr[PHIZ_LP_POOL2D_NORM].f;
	const real *x = phiz_in(call, 0), *y = call->out[0].data, *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t area = out[2] * out[3];

	if (!dx || !dy)
		return PHIZ_OK;
	if (!phiz_adds(call, 0))
		phiz_fill_zero(dx, phiz_tensor_count(&call->in[0]));
	for (int64_t i = 0; i < out[0] * out[1] * area; i++) {
		struct window v = window_at(call, i % area / out[3], i % out[3]);
		int64_t plane = i / area * in[2] * in[3];

		for (int64_t h = v.top; y[i] != 0 && h < v.bottom; h++)
			for (int64_t w = v.left; w < v.right; w++) {
				int64_t at = plane + h * in[3] + w;
				double share = norm == 1 ? 1 : power((double)x[at] / y[i], norm - 1);

				dx[at] += (real)(x[at] < 0 ? -dy[i] * share : x[at] > 0 ? dy[i] * share : 0);
			}
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u;
	*out_mask = want & 1u;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	const union phiz_attr *a = node->attr;
	double flops = phiz_cost_count(out) * (double)(a[PHIZ_POOL_KERNEL_H].i * a[PHIZ_POOL_KERNEL_W].i);

	phiz_cost_fill(node, in, out, 2 * flops, 4 * flops, c);
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
	[PHIZ_LP_POOL2D_NORM] = {"norm", PHIZ_ATTR_FLOAT, 2, 1, 64},
};

const struct phiz_op phiz_op_lp_pool2d = {
	.name = "lp_pool2d",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_POOL_ATTRS,
	.diff_mask = 1,
	.infer = phiz_rule_pool,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(lp_pool2d),
};
#endif
