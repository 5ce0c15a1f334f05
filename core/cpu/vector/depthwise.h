/* conv2d with one input channel per group, from the layout of depthwise_layout.h: one loop over i does whole planes,
 * however small, with whole registers; what it computes between the ends of rows is dropped. Sums of an output are made
 * tap by tap in float, those of a gradient of a filter in 64 lanes per plane and in double over planes. Nothing may
 * alias but y and the residual. */
#include "core/cpu/vector/depthwise_layout.h"

enum { DW_BLOCK = 512 };

/* dx += phases */
static void dw_gather(const struct dw *d, const float *phases, float *dx)
{
	for (int64_t a = 0; a < d->stride_h; a++)
		for (int64_t b = 0; b < d->stride_w; b++)
			for (int64_t y = 0; y < d->rows; y++) {
				const float *from = phases + ((a * d->stride_w + b) * d->rows + y) * d->cols;
				int64_t h = y * d->stride_h + a - d->top, first = b - d->left, j0, j1;
				if (h < 0 || h >= d->h)
					continue;
				dw_inside(first, d->stride_w, d->w, d->cols, &j0, &j1);
				for (int64_t j = j0; j < j1; j++)
					dx[h * d->w + first + d->stride_w * j] += from[j];
			}
}

/* flat = dy, with zeros between the rows' ends. */
static void dw_flatten(const struct dw *d, const float *dy, float *flat)
{
	for (int64_t p = 0; p < d->p; p++) {
		memcpy(flat + p * d->cols, dy + p * d->q, (size_t)d->q * sizeof(*flat));
		memset(flat + p * d->cols + d->q, 0, (size_t)(d->cols - d->q) * sizeof(*flat));
	}
}

/* y[i] = sum over t of x[t][i] * w[t], for 3x3 filters */
INLINE void dw_nine(float *restrict y, const float *const x[9], const float *w, int64_t n)
{
	const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3], *x4 = x[4], *x5 = x[5], *x6 = x[6], *x7 = x[7];
	const float *x8 = x[8];
	const float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
	for (int64_t i = 0; i < n; i++)
		y[i] = ((x0[i] * w0 + x1[i] * w1) + (x2[i] * w2 + x3[i] * w3)) +
		       (((x4[i] * w4 + x5[i] * w5) + (x6[i] * w6 + x7[i] * w7)) + x8[i] * w8);
}

/* y[i] (+)= x[i] * w */
INLINE void dw_one(float *restrict y, const float *restrict x, float w, int64_t n, bool add)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = add ? y[i] + x[i] * w : x[i] * w;
}

/* flat = the plane's convolution with one filter. */
static void dw_convolve(const struct dw *d, const float *phases, const float *w, float *flat)
{
	int64_t taps = d->taps_h * d->taps_w;
	const float *x[DW_MAX_TAPS];
	for (int64_t t = 0; t < taps; t++)
		x[t] = phases + dw_tap(d, t / d->taps_w, t % d->taps_w);
	if (taps == 9) {
		dw_nine(flat, x, w, d->flat);
		return;
	}
	for (int64_t i = 0; i < d->flat; i += DW_BLOCK) {
		int64_t n = smaller(DW_BLOCK, d->flat - i);
		dw_one(flat + i, x[0] + i, w[0], n, false);
		for (int64_t t = 1; t < taps; t++)
			dw_one(flat + i, x[t] + i, w[t], n, true);
	}
}

/* y = act(b + z + flat), a row; z may be y or NULL */
INLINE void dw_finish_row(float *y, const float *flat, const float *z, int64_t n, float b, float slope, int act)
{
	if (z)
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			y[i] = act_apply(act, slope, flat[i] + b + z[i]);
	else
		for (int64_t i = 0; i < n; i++)
			y[i] = act_apply(act, slope, flat[i] + b);
}

static void dw_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const union phiz_attr *a = call->node->attr;
	struct dw d = dw_of(call);
	float *phases = (float *)call->workspace + worker * dw_scratch(&d);
	float *flat = phases + d.stride_h * d.stride_w * d.phase, slope = (float)a[PHIZ_CONV2D_ACT_SLOPE].f;
	const float *bias = phiz_in(call, PHIZ_CONV2D_BIAS), *residual = phiz_in(call, PHIZ_CONV2D_RESIDUAL);
	for (int64_t plane = begin; plane < end; plane++) { /* of n, k */
		int64_t k = plane % d.k, at = plane * d.p * d.q;
		if (plane == begin || k % d.multiplier == 0)
			dw_spread(&d, phiz_in(call, PHIZ_CONV2D_INPUT) + plane / d.multiplier * d.h * d.w, phases);
		dw_convolve(&d, phases, phiz_in(call, PHIZ_CONV2D_WEIGHT) + k * d.taps_h * d.taps_w, flat);
		for (int64_t p = 0; p < d.p; p++, at += d.q)
			WITH_ACT(a[PHIZ_CONV2D_ACT].i, dw_finish_row, (float *)call->out[0].data + at, flat + p * d.cols,
			         residual ? residual + at : NULL, d.q, bias ? bias[k] : 0, slope);
	}
}

static enum phiz_status dw_forward(struct phiz_call *call)
{
	struct dw d = dw_of(call);
	phiz_parallel_for(call->ctx, d.n * d.k, larger(GRAIN / larger(d.p * d.q, 1), 1), dw_pieces, call);
	return PHIZ_OK;
}

static void dw_din_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct dw d = dw_of(call);
	int64_t taps = d.taps_h * d.taps_w, spread = d.stride_h * d.stride_w * d.phase;
	float *phases = (float *)call->workspace + worker * dw_scratch(&d), *flat = phases + spread;
	for (int64_t plane = begin; plane < end; plane++) { /* of n, c */
		float *dx = phiz_din(call, PHIZ_CONV2D_INPUT) + plane * d.h * d.w;
		memset(phases, 0, (size_t)spread * sizeof(*phases));
		for (int64_t m = 0; m < d.multiplier; m++) {
			int64_t k = plane % d.c * d.multiplier + m;
			const float *w = phiz_in(call, PHIZ_CONV2D_WEIGHT) + k * taps;
			dw_flatten(&d, (const float *)call->dout[0].data + (plane * d.multiplier + m) * d.p * d.q, flat);
			for (int64_t t = 0; t < taps; t++)
				dw_one(phases + dw_tap(&d, t / d.taps_w, t % d.taps_w), flat, w[t], d.flat, true);
		}
		if (!phiz_adds(call, PHIZ_CONV2D_INPUT))
			memset(dx, 0, (size_t)(d.h * d.w) * sizeof(*dx));
		dw_gather(&d, phases, dx);
	}
}

static void dw_dweight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct dw d = dw_of(call);
	int64_t taps = d.taps_h * d.taps_w;
	float *phases = (float *)call->workspace + worker * dw_scratch(&d);
	float *flat = phases + d.stride_h * d.stride_w * d.phase;
	float *dweight = phiz_din(call, PHIZ_CONV2D_WEIGHT), *dbias = phiz_din(call, PHIZ_CONV2D_BIAS);
	for (int64_t k = begin; k < end; k++) {
		double sum[DW_MAX_TAPS] = {0}, total = 0;
		for (int64_t n = 0; n < d.n; n++) {
			const float *dy = (const float *)call->dout[0].data + (n * d.k + k) * d.p * d.q;
			if (dbias)
				total += bn_sum(dy, d.p * d.q);
			if (!dweight)
				continue;
			dw_flatten(&d, dy, flat);
			dw_spread(&d, phiz_in(call, PHIZ_CONV2D_INPUT) + (n * d.c + k / d.multiplier) * d.h * d.w, phases);
			for (int64_t t = 0; t < taps; t++)
				sum[t] += dot_row(flat, phases + dw_tap(&d, t / d.taps_w, t % d.taps_w), d.flat);
		}
		for (int64_t t = 0; dweight && t < taps; t++)
			phiz_put(&dweight[k * taps + t], phiz_adds(call, PHIZ_CONV2D_WEIGHT), (float)sum[t]);
		if (dbias)
			phiz_put(&dbias[k], phiz_adds(call, PHIZ_CONV2D_BIAS), (float)total);
	}
}

static enum phiz_status dw_backward(struct phiz_call *call)
{
	struct dw d = dw_of(call);
	if (!call->dout[0].data)
		return PHIZ_OK;
	if (phiz_din(call, PHIZ_CONV2D_INPUT))
		phiz_parallel_for(call->ctx, d.n * d.c, larger(GRAIN / larger(d.p * d.q, 1), 1), dw_din_pieces, call);
	if (phiz_din(call, PHIZ_CONV2D_WEIGHT) || phiz_din(call, PHIZ_CONV2D_BIAS))
		phiz_parallel_for(call->ctx, d.k, 1, dw_dweight_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(depthwise) = {
	.op = "conv2d", .name = "depthwise." PHIZ_VECTOR_TEXT, .dtype = PHIZ_F32, .features = PHIZ_VECTOR_FEATURES,
	.supports = dw_supports, .workspace = dw_workspace, .forward = dw_forward, .backward = dw_backward,
};
