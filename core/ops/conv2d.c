/* conv2d: y[n,k,p,q] = act(b[k] + z[n,k,p,q] + sum_c,r,s w[k,c,r,s] * x[n, g*Cg + c, h, i]),
 *   h = p*stride_h + r*dilation_h - pad_top, i = q*stride_w + s*dilation_w - pad_left,
 *   g = k / (K/groups), Cg = C/groups.
 * x [N,C,H,W], zero outside; w [K,Cg,R,S]; b [K] or absent; residual z [N,K,P,Q] or absent.
 * Backward (without act and z): dx sums w * dy over k,r,s, dw sums x * dy over n,p,q, db sums dy over n,p,q.
 * All sums in double. Nothing may alias but y and z. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

enum { TILE = 64 }; /* elements of a row that are summed side by side */

/* The sizes and attributes, unpacked. */
struct conv {
	int64_t n, c, h, w, k, r, s, p, q; /* dims */
	int64_t cg, kg;                    /* channels and filters of one group */
	int64_t stride_h, stride_w, top, left, dilation_h, dilation_w;
};

static struct conv conv_of(const struct phiz_call *call)
{
	const int64_t *x = call->in[PHIZ_CONV2D_INPUT].shape.dim, *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const int64_t *y = call->out[0].shape.dim;
	const union phiz_attr *a = call->node->attr;
	struct conv v = {
		.n = x[0], .c = x[1], .h = x[2], .w = x[3], .k = w[0], .cg = w[1], .r = w[2], .s = w[3], .p = y[2], .q = y[3],
		.kg = w[0] / a[PHIZ_CONV2D_GROUPS].i,
		.stride_h = a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = a[PHIZ_CONV2D_STRIDE_W].i,
		.top = a[PHIZ_CONV2D_PAD_TOP].i, .left = a[PHIZ_CONV2D_PAD_LEFT].i,
		.dilation_h = a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = a[PHIZ_CONV2D_DILATION_W].i,
	};

	return v;
}

/* The taps t in [*begin, *end) of `taps` whose place start + t*step lies inside 0..size-1. */
static void inside(int64_t start, int64_t step, int64_t taps, int64_t size, int64_t *begin, int64_t *end)
{
	*begin = start < 0 ? (-start + step - 1) / step : 0;
	*end = start >= size ? 0 : (size - 1 - start) / step + 1;
	if (*end > taps)
		*end = taps;
}

/* sum_c,r,s of outputs q0 .. q0+count-1 of row p into sum; x at the group's first plane, w at the filter's first
 * weight. */
static void convolve(const struct conv *v, const real *x, const real *w, int64_t p, int64_t q0, int64_t count,
                     double *sum)
{
	int64_t r0, r1, from, to, y0 = p * v->stride_h - v->top;

	for (int64_t j = 0; j < count; j++)
		sum[j] = 0;
	inside(y0, v->dilation_h, v->r, v->h, &r0, &r1);
	for (int64_t c = 0; c < v->cg; c++)
		for (int64_t r = r0; r < r1; r++)
			for (int64_t s = 0; s < v->s; s++) {
				const real *row = x + (c * v->h + y0 + r * v->dilation_h) * v->w;
				int64_t x0 = q0 * v->stride_w + s * v->dilation_w - v->left;
				double weight = w[(c * v->r + r) * v->s + s];

				inside(x0, v->stride_w, count, v->w, &from, &to);
				for (int64_t j = from; j < to; j++)
					sum[j] += weight * row[x0 + j * v->stride_w];
			}
}

enum phiz_status REF(phiz_conv2d_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_CONV2D_INPUT), *w = phiz_in(call, PHIZ_CONV2D_WEIGHT);
	const real *b = phiz_in(call, PHIZ_CONV2D_BIAS), *z = phiz_in(call, PHIZ_CONV2D_RESIDUAL);
	const union phiz_attr *attr = call->node->attr;
	real *y = call->out[0].data, slope = (real)attr[PHIZ_CONV2D_ACT_SLOPE].f;
	struct conv v = conv_of(call);

	for (int64_t row = 0; row < v.n * v.k * v.p; row++) {
		int64_t n = row / (v.k * v.p), k = row / v.p % v.k;
		const real *x_group = x + (n * v.c + k / v.kg * v.cg) * v.h * v.w;

		for (int64_t q = 0; q < v.q; q += TILE) {
			int64_t o = row * v.q + q, count = v.q - q < TILE ? v.q - q : TILE;
			double sum[TILE];

			convolve(&v, x_group, w + k * v.cg * v.r * v.s, row % v.p, q, count, sum);
			for (int64_t j = 0; j < count; j++) {
				double e = sum[j] + (b ? (double)b[k] : 0) + (z ? (double)z[o + j] : 0);

				y[o + j] = phiz_act_apply(attr[PHIZ_CONV2D_ACT].i, slope, (real)e);
			}
		}
	}
	return PHIZ_OK;
}

/* The output row that tap t brings to input row i, or -1: o*stride + t*dilation - pad = i. */
static int64_t output_of(int64_t i, int64_t pad, int64_t t, int64_t dilation, int64_t stride, int64_t size)
{
	int64_t o = i + pad - t * dilation;

	return o < 0 || o % stride || o / stride >= size ? -1 : o / stride;
}

/* sum over filters k of the group and taps r,s of w[k,c,r,s] * dy[n,k,p,q] for inputs x0 .. x0+count-1 of row h,
 * channel c of the group, into sum; w at the group's first filter, dy at the group's first plane. */
static void gather(const struct conv *v, const real *w, const real *dy, int64_t c, int64_t h, int64_t x0,
                   int64_t count, double *sum)
{
	int64_t from, to;

	for (int64_t j = 0; j < count; j++)
		sum[j] = 0;
	for (int64_t k = 0; k < v->kg; k++)
		for (int64_t r = 0; r < v->r; r++) {
			int64_t p = output_of(h, v->top, r, v->dilation_h, v->stride_h, v->p);

			for (int64_t s = 0; p >= 0 && s < v->s; s++) {
				const real *row = dy + (k * v->p + p) * v->q;
				int64_t first = s * v->dilation_w - v->left - x0; /* where output 0 lands */
				double weight = w[((k * v->cg + c) * v->r + r) * v->s + s];

				inside(first, v->stride_w, v->q, count, &from, &to);
				for (int64_t q = from; q < to; q++)
					sum[first + q * v->stride_w] += weight * row[q];
			}
		}
}

static void backward_input(const struct conv *v, const real *w, const real *dy, real *dx, bool add)
{
	for (int64_t row = 0; row < v->n * v->c * v->h; row++) {
		int64_t n = row / (v->c * v->h), c = row / v->h % v->c, k0 = c / v->cg * v->kg;
		const real *w_group = w + k0 * v->cg * v->r * v->s, *dy_group = dy + (n * v->k + k0) * v->p * v->q;

		for (int64_t x0 = 0; x0 < v->w; x0 += TILE) {
			int64_t count = v->w - x0 < TILE ? v->w - x0 : TILE;
			double sum[TILE];

			gather(v, w_group, dy_group, c % v->cg, row % v->h, x0, count, sum);
			for (int64_t j = 0; j < count; j++)
				phiz_put(&dx[row * v->w + x0 + j], add, (real)sum[j]);
		}
	}
}

/* sum over n,p,q of x * dy for weight (k, c, r, s). */
static double correlate(const struct conv *v, const real *x, const real *dy, int64_t k, int64_t c, int64_t r, int64_t s)
{
	int64_t p0, p1, q0, q1, y0 = r * v->dilation_h - v->top, x0 = s * v->dilation_w - v->left;
	double sum = 0;

	inside(y0, v->stride_h, v->p, v->h, &p0, &p1);
	inside(x0, v->stride_w, v->q, v->w, &q0, &q1);
	for (int64_t n = 0; n < v->n; n++)
		for (int64_t p = p0; p < p1; p++) {
			const real *x_row = x + ((n * v->c + k / v->kg * v->cg + c) * v->h + y0 + p * v->stride_h) * v->w + x0;
			const real *dy_row = dy + ((n * v->k + k) * v->p + p) * v->q;

			for (int64_t q = q0; q < q1; q++)
				sum += (double)x_row[q * v->stride_w] * dy_row[q];
		}
	return sum;
}

static void backward_weight(const struct conv *v, const real *x, const real *dy, real *dw, bool add)
{
	for (int64_t k = 0; k < v->k; k++)
		for (int64_t c = 0; c < v->cg; c++)
			for (int64_t i = 0; i < v->r * v->s; i++) {
				double sum = correlate(v, x, dy, k, c, i / v->s, i % v->s);

				phiz_put(&dw[(k * v->cg + c) * v->r * v->s + i], add, (real)sum);
			}
}

static void backward_bias(const struct conv *v, const real *dy, real *db, bool add)
{
	int64_t area = v->p * v->q;

	for (int64_t k = 0; k < v->k; k++) {
		double sum = 0;

		for (int64_t n = 0; n < v->n; n++)
			for (int64_t i = 0; i < area; i++)
				sum += dy[(n * v->k + k) * area + i];
		phiz_put(&db[k], add, (real)sum);
	}
}

enum phiz_status REF(phiz_conv2d_backward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_CONV2D_INPUT), *w = phiz_in(call, PHIZ_CONV2D_WEIGHT), *dy = call->dout[0].data;
	real *dx = phiz_din(call, PHIZ_CONV2D_INPUT), *dw = phiz_din(call, PHIZ_CONV2D_WEIGHT);
	real *db = phiz_din(call, PHIZ_CONV2D_BIAS);
	struct conv v = conv_of(call);

	if (!phiz_op_has_backward(call->node))
		return phiz_fail(call->ctx, PHIZ_E_UNSUPPORTED,
		                 "conv2d %s: want no activation and no residual fused into it to train it", call->node->name);
	if (!dy)
		return PHIZ_OK;
	if (dx)
		backward_input(&v, w, dy, dx, phiz_adds(call, PHIZ_CONV2D_INPUT));
	if (dw)
		backward_weight(&v, x, dy, dw, phiz_adds(call, PHIZ_CONV2D_WEIGHT));
	if (db)
		backward_bias(&v, dy, db, phiz_adds(call, PHIZ_CONV2D_BIAS));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_CONV2D_INPUT);
	if (status == PHIZ_OK)
		status = phiz_rule_param(ctx, node, in, PHIZ_CONV2D_WEIGHT);
	if (status == PHIZ_OK)
		status = phiz_rule_conv2d(ctx, node, in, &shape);
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_CONV2D_BIAS, shape.dim[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, in[PHIZ_CONV2D_INPUT].dtype, &shape, out);
	if (status == PHIZ_OK && phiz_rule_has(node, in, PHIZ_CONV2D_RESIDUAL)) {
		status = phiz_rule_dtype(ctx, node, in, PHIZ_CONV2D_RESIDUAL, in[PHIZ_CONV2D_INPUT].dtype);
		if (status == PHIZ_OK)
			status = phiz_rule_shape(ctx, node, in, PHIZ_CONV2D_RESIDUAL, &shape);
	}
	return status;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = (want >> PHIZ_CONV2D_INPUT & 1u) << PHIZ_CONV2D_WEIGHT |
	           (want >> PHIZ_CONV2D_WEIGHT & 1u) << PHIZ_CONV2D_INPUT;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	const int64_t *w = in[PHIZ_CONV2D_WEIGHT].shape.dim;
	double flops = 2 * phiz_cost_count(out) * (double)w[1] * (double)w[2] * (double)w[3];

	phiz_cost_fill(node, in, out, flops, 2 * flops, c);
	c->backward_bytes -= phiz_cost_bytes(out); /* its backward has no use for what forward gave */
}

static const char *const input_names[] = {"input", "weight", "bias", "residual"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CONV2D_STRIDE_H] = PHIZ_ATTR_WINDOW("stride_h", 1, 1),
	[PHIZ_CONV2D_STRIDE_W] = PHIZ_ATTR_WINDOW("stride_w", 1, 1),
	[PHIZ_CONV2D_PAD_TOP] = PHIZ_ATTR_WINDOW("pad_top", 0, 0),
	[PHIZ_CONV2D_PAD_LEFT] = PHIZ_ATTR_WINDOW("pad_left", 0, 0),
	[PHIZ_CONV2D_PAD_BOTTOM] = PHIZ_ATTR_WINDOW("pad_bottom", 0, 0),
	[PHIZ_CONV2D_PAD_RIGHT] = PHIZ_ATTR_WINDOW("pad_right", 0, 0),
	[PHIZ_CONV2D_DILATION_H] = PHIZ_ATTR_WINDOW("dilation_h", 1, 1),
	[PHIZ_CONV2D_DILATION_W] = PHIZ_ATTR_WINDOW("dilation_w", 1, 1),
	[PHIZ_CONV2D_GROUPS] = {"groups", PHIZ_ATTR_INT, 1, 1, PHIZ_RULE_DIM_MAX},
	[PHIZ_CONV2D_ACT] = PHIZ_ATTR_ACT,
	[PHIZ_CONV2D_ACT_SLOPE] = PHIZ_ATTR_ACT_SLOPE,
};

const struct phiz_op phiz_op_conv2d = {
	.name = "conv2d",
	.min_inputs = 2,
	.max_inputs = PHIZ_CONV2D_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_CONV2D_ATTRS,
	.diff_mask = 1u << PHIZ_CONV2D_INPUT | 1u << PHIZ_CONV2D_WEIGHT | 1u << PHIZ_CONV2D_BIAS,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(conv2d),
};
#endif
