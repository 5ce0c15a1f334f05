/* conv2d with one input channel per group (depthwise; Howard et al. 2017, MobileNets); the formula stands in
 * core/ops/conv2d.c. M = K/C filters read each channel.
 *
 * A plane is laid out with its padding, and where strides are 2, as their phases side by side: the pixels of one parity
 * of row and column. Rows have so many pixels, W', that tap (r, s) of output (p, q) is found at
 *   phase[r*dilation % stride, s*dilation % stride][i + (r*dilation/stride) * W' + s*dilation/stride], i = p*W' + q,
 * so that one loop over i does whole planes, however small, with whole registers; what it computes between the ends
 * of rows is dropped. Sums of an output are made tap by tap in float, those of a gradient of a filter in 64 lanes per
 * plane and in double over planes. Nothing may alias but y and the residual. */
#include "core/cpu/vector/vector.h"

enum { DW_MAX_TAPS = 121, DW_MAX_PHASES = 4, DW_BLOCK = 512 };
#define DW_MAX_PLANE ((int64_t)1 << 24) /* floats of a plane with its padding */

struct dw {
	int64_t n, c, h, w, k, p, q, multiplier;
	int64_t taps_h, taps_w, stride_h, stride_w, top, left, dilation_h, dilation_w;
	int64_t rows, cols; /* of a phase */
	int64_t phase;      /* floats of a phase */
	int64_t flat;       /* outputs of a plane with what lies between the rows' ends */
};

static struct dw dw_of(const struct phiz_call *call)
{
	const int64_t *x = call->in[PHIZ_CONV2D_INPUT].shape.dim, *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const int64_t *y = call->out[0].shape.dim;
	const union phiz_attr *a = call->node->attr;
	struct dw d = {
		.n = x[0], .c = x[1], .h = x[2], .w = x[3], .k = w[0], .p = y[2], .q = y[3], .multiplier = w[0] / x[1],
		.taps_h = w[2], .taps_w = w[3], .stride_h = a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = a[PHIZ_CONV2D_STRIDE_W].i,
		.top = a[PHIZ_CONV2D_PAD_TOP].i, .left = a[PHIZ_CONV2D_PAD_LEFT].i,
		.dilation_h = a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = a[PHIZ_CONV2D_DILATION_W].i,
	};
	d.rows = d.p + (d.taps_h - 1) * d.dilation_h / d.stride_h;
	d.cols = d.q + (d.taps_w - 1) * d.dilation_w / d.stride_w;
	d.phase = d.rows * d.cols;
	d.flat = (d.p - 1) * d.cols + d.q;
	return d;
}

static bool dw_supports(const struct phiz_call *call)
{
	const int64_t *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	if (w[1] != 1 || call->node->attr[PHIZ_CONV2D_GROUPS].i != call->in[PHIZ_CONV2D_INPUT].shape.dim[1])
		return false;
	struct dw d = dw_of(call);
	return d.taps_h * d.taps_w <= DW_MAX_TAPS && d.stride_h * d.stride_w <= DW_MAX_PHASES && d.rows < DW_MAX_PLANE &&
	       d.cols < DW_MAX_PLANE && d.phase <= DW_MAX_PLANE;
}

/* Floats of one worker: the phases of an input plane, and an output plane with what lies between its rows' ends. */
static int64_t dw_scratch(const struct dw *d)
{
	return (d->stride_h * d->stride_w * d->phase + d->p * d->cols + 15) & ~(int64_t)15;
}

static size_t dw_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct dw d = dw_of(call);
	(void)backward;
	return (size_t)threads * (size_t)dw_scratch(&d) * sizeof(float);
}

/* Where tap (r, s) of output 0 lies among the phases. */
static int64_t dw_tap(const struct dw *d, int64_t r, int64_t s)
{
	int64_t y = r * d->dilation_h, x = s * d->dilation_w;
	return (y % d->stride_h * d->stride_w + x % d->stride_w) * d->phase + y / d->stride_h * d->cols + x / d->stride_w;
}

/* The columns j0..j1-1 of a phase that lie inside the input, for the phase's first column `first` (may be negative). */
static void dw_inside(int64_t first, int64_t stride, int64_t size, int64_t cols, int64_t *j0, int64_t *j1)
{
	*j0 = first < 0 ? (-first + stride - 1) / stride : 0;
	*j1 = first >= size ? 0 : (size - 1 - first) / stride + 1;
	if (*j1 > cols)
		*j1 = cols;
	if (*j0 > *j1)
		*j0 = *j1;
}

/* phases = x, with zeros for padding. */
static void dw_spread(const struct dw *d, const float *x, float *phases)
{
	for (int64_t a = 0; a < d->stride_h; a++)
		for (int64_t b = 0; b < d->stride_w; b++)
			for (int64_t y = 0; y < d->rows; y++) {
				float *to = phases + ((a * d->stride_w + b) * d->rows + y) * d->cols;
				int64_t h = y * d->stride_h + a - d->top, first = b - d->left, j0 = 0, j1 = 0;
				if (h >= 0 && h < d->h)
					dw_inside(first, d->stride_w, d->w, d->cols, &j0, &j1);
				memset(to, 0, (size_t)j0 * sizeof(*to));
				const float *from = x + h * d->w + first;
				if (d->stride_w == 1 && j1 > j0)
					memcpy(to + j0, from + j0, (size_t)(j1 - j0) * sizeof(*to));
				else if (d->stride_w == 2)
					for (int64_t j = j0; j < j1; j++)
						to[j] = from[2 * j];
				else
					for (int64_t j = j0; j < j1; j++)
						to[j] = from[d->stride_w * j];
				memset(to + j1, 0, (size_t)(d->cols - j1) * sizeof(*to));
			}
}

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
