/* max_pool2d: y[n,c,p,q] = max of x[n,c,h,w] over the window at (p*stride_h - pad_h, q*stride_w - pad_w), cut to
 * the input. Saved: h*W + w of the chosen element, the first of equals; a NaN is chosen over any number. dx sums
 * dy over the windows that chose the element. Quantised values (u8) keep scale and zero, and have forward only. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The place of the largest element of the window of output (p, q) in a plane of h by w. */
static int64_t largest(const real *x, int64_t h, int64_t w, const union phiz_attr *a, int64_t p, int64_t q)
{
	int64_t top = p * a[PHIZ_POOL_STRIDE_H].i - a[PHIZ_POOL_PAD_H].i;
	int64_t left = q * a[PHIZ_POOL_STRIDE_W].i - a[PHIZ_POOL_PAD_W].i;
	int64_t bottom = smaller(top + a[PHIZ_POOL_KERNEL_H].i, h), right = smaller(left + a[PHIZ_POOL_KERNEL_W].i, w);
	int64_t best = larger(top, 0) * w + larger(left, 0);

	for (int64_t i = larger(top, 0); i < bottom; i++)
		for (int64_t j = larger(left, 0); j < right; j++) {
			real v = x[i * w + j];

			if (v > x[best] || v != v)
				best = i * w + j;
		}
	return best;
}

enum phiz_status REF(phiz_max_pool2d_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int32_t *choice = call->saved[0].data;
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	int64_t area = out[2] * out[3];

	for (int64_t i = 0; i < out[0] * out[1] * area; i++) {
		const real *plane = x + i / area * in[2] * in[3];
		int64_t best = largest(plane, in[2], in[3], call->node->attr, i % area / out[3], i % out[3]);

		y[i] = plane[best];
		if (choice)
			choice[i] = (int32_t)best;
	}
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_max_pool2d_backward)(struct phiz_call *call)
{
	const real *dy = call->dout[0].data;
	const int32_t *choice = call->saved[0].data;
	real *dx = phiz_din(call, 0);
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	int64_t area = out[2] * out[3];

	if (!dx || !dy)
		return PHIZ_OK;
	if (!phiz_adds(call, 0))
		phiz_fill_zero(dx, phiz_tensor_count(&call->in[0]));
	for (int64_t i = 0; i < out[0] * out[1] * area; i++)
		dx[i / area * in[2] * in[3] + choice[i]] += dy[i];
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
enum phiz_status phiz_max_pool2d_forward_u8(struct phiz_call *call)
{
	const uint8_t *x = call->in[0].data;
	const union phiz_attr *a = call->node->attr;
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	uint8_t *y = call->out[0].data;

	for (int64_t o = 0; o < out[0] * out[1] * out[2] * out[3]; o++) {
		const uint8_t *plane = x + o / (out[2] * out[3]) * in[2] * in[3];
		int64_t top = o / out[3] % out[2] * a[PHIZ_POOL_STRIDE_H].i - a[PHIZ_POOL_PAD_H].i;
		int64_t left = o % out[3] * a[PHIZ_POOL_STRIDE_W].i - a[PHIZ_POOL_PAD_W].i;

		y[o] = 0;
		for (int64_t i = larger(top, 0); i < smaller(top + a[PHIZ_POOL_KERNEL_H].i, in[2]); i++)
			for (int64_t j = larger(left, 0); j < smaller(left + a[PHIZ_POOL_KERNEL_W].i, in[3]); j++)
				if (plane[i * in[3] + j] > y[o])
					y[o] = plane[i * in[3] + j];
	}
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_pool(ctx, node, in, out);

	/* The saved place is an I32. */
	if (status == PHIZ_OK && in[0].shape.dim[2] * in[0].shape.dim[3] > INT32_MAX)
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "input: want planes of at most %d elements, got %lld by %lld", INT32_MAX,
		                   (long long)in[0].shape.dim[2], (long long)in[0].shape.dim[3]);
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	(void)in;
	types[0].dtype = PHIZ_I32;
	types[0].shape = out[0].shape;
	return 1;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	const union phiz_attr *a = node->attr;
	double n = phiz_cost_count(out);

	phiz_cost_fill(node, in, out, n * (double)(a[PHIZ_POOL_KERNEL_H].i * a[PHIZ_POOL_KERNEL_W].i), n, c);
	c->backward_bytes -= phiz_cost_bytes(in); /* reads the choices (4 bytes each, counted as the output) */
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
};

const struct phiz_op phiz_op_max_pool2d = {
	.name = "max_pool2d",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_POOL_CEIL + 1,
	.diff_mask = 1,
	.infer = infer,
	.saved = saved,
	.cost = cost,
	PHIZ_REFERENCE(max_pool2d),
	PHIZ_REFERENCE_U8(max_pool2d),
};
#endif
