/* How conv2d with one input channel per group (depthwise; Howard et al. 2017, MobileNets) lays its input out; the
 * formula stands in core/ops/conv2d.c. M = K/C filters read each channel.
 *
 * A plane is laid out with its padding, and where strides are 2, as their phases side by side: the pixels of one parity
 * of row and column. Rows have so many pixels, W', that tap (r, s) of output (p, q) is found at
 *   phase[r*dilation % stride, s*dilation % stride][i + (r*dilation/stride) * W' + s*dilation/stride], i = p*W' + q. */
#include "core/cpu/vector/vector.h"

enum { DW_MAX_TAPS = 121, DW_MAX_PHASES = 4 };
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
