/* batch_norm over [N,C,H,W]; the formulas stand in core/ops/batch_norm.c. A channel is done from its statistics to its
 * last output while it is in the cache. Sums: 64 lanes in float along a plane, planes in double. */
#include "core/cpu/vector/shared.h"

static double bn_sum(const float *x, int64_t n)
{
	lanes part[4] = {{0}};
	double sum = 0;
	int64_t i = 0;
	for (; i + SUM_LANES <= n; i += SUM_LANES)
		for (int v = 0; v < 4; v++)
			part[v] += *(const lanes *)(x + i + v * 16);
	for (; i + 16 <= n; i += 16)
		part[0] += *(const lanes *)(x + i);
	for (; i < n; i++)
		sum += (double)x[i];
	return sum + lanes_total(part);
}

/* sum of (x - mean)^2 */
static double bn_squares(const float *x, int64_t n, float mean)
{
	lanes part[4] = {{0}};
	double sum = 0;
	int64_t i = 0;
	for (; i + SUM_LANES <= n; i += SUM_LANES)
		for (int v = 0; v < 4; v++) {
			lanes d = *(const lanes *)(x + i + v * 16) - mean;
			part[v] += d * d;
		}
	for (; i + 16 <= n; i += 16) {
		lanes d = *(const lanes *)(x + i) - mean;
		part[0] += d * d;
	}
	for (; i < n; i++)
		sum += (double)((x[i] - mean) * (x[i] - mean));
	return sum + lanes_total(part);
}

INLINE void bn_row(float *y, const float *x, int64_t n, float mean, float scale, float shift, float slope, int act)
{
	IN_PLACE
	for (int64_t i = 0; i < n; i++)
		y[i] = act_apply(act, slope, (x[i] - mean) * scale + shift);
}

static void bn_statistics(const struct phiz_call *call, int64_t c, double *mean, double *var)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim, plane = bn_plane(call);
	const float *x = phiz_in(call, PHIZ_BATCH_NORM_INPUT);
	double sum = 0, squares = 0, m = (double)(dim[0] * plane);
	for (int64_t n = 0; n < dim[0]; n++)
		sum += bn_sum(x + (n * dim[1] + c) * plane, plane);
	*mean = sum / m;
	float near = (float)*mean; /* what it was rounded by is taken off again */
	for (int64_t n = 0; n < dim[0]; n++)
		squares += bn_squares(x + (n * dim[1] + c) * plane, plane, near);
	*var = squares / m - (*mean - (double)near) * (*mean - (double)near);
	if (*var < 0)
		*var = 0;
}

static void bn_channel(struct phiz_call *call, int64_t c)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim, plane = bn_plane(call);
	const union phiz_attr *attr = call->node->attr;
	const float *x = phiz_in(call, PHIZ_BATCH_NORM_INPUT), *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT);
	const float *b = phiz_in(call, PHIZ_BATCH_NORM_BIAS);
	double mean = (double)phiz_in(call, PHIZ_BATCH_NORM_MEAN)[c], var = (double)phiz_in(call, PHIZ_BATCH_NORM_VAR)[c];
	if (bn_uses_batch(call)) {
		bn_statistics(call, c, &mean, &var);
		bn_move_running(call, c, mean, var);
	}
	double invstd = 1 / sqrt(var + attr[PHIZ_BATCH_NORM_EPS].f);
	if (call->saved[BN_MEAN].data)
		((float *)call->saved[BN_MEAN].data)[c] = (float)mean;
	if (call->saved[BN_INVSTD].data)
		((float *)call->saved[BN_INVSTD].data)[c] = (float)invstd;
	double scale = (w ? (double)w[c] : 1) * invstd, near = (double)(float)mean;
	float shift = (float)((b ? (double)b[c] : 0) - (mean - near) * scale);
	for (int64_t n = 0; n < dim[0]; n++) {
		int64_t at = (n * dim[1] + c) * plane;
		WITH_ACT(attr[PHIZ_BATCH_NORM_ACT].i, bn_row, (float *)call->out[0].data + at, x + at, plane, (float)near,
		         (float)scale, shift, (float)attr[PHIZ_BATCH_NORM_ACT_SLOPE].f);
	}
}

static void bn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	(void)worker;
	for (int64_t c = begin; c < end; c++)
		bn_channel(arg, c);
}

static enum phiz_status bn_forward(struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim;
	if (bn_uses_batch(call) && dim[0] * bn_plane(call) < 2)
		return phiz_fail(call->ctx, PHIZ_E_ARG, "batch_norm %s: want at least 2 values per channel to train on, got 1 "
		                 "(take a larger batch, or freeze it)", call->node->name);
	phiz_parallel_for(call->ctx, dim[1], 1, bn_pieces, call);
	return PHIZ_OK;
}

/* --- Backward: e = dy * act'(y) --- */

/* sum of e and of e * (x - mean); x NULL: the second is not wanted. */
INLINE void bn_sums(const float *g, const float *y, const float *x, int64_t n, float mean, double sum[2], float slope,
                    int act)
{
	lanes part[4] = {{0}}, dot[4] = {{0}};
	float e[SUM_LANES];
	int64_t i = 0;
	for (; i + SUM_LANES <= n; i += SUM_LANES) {
		for (int l = 0; l < SUM_LANES; l++)
			e[l] = act_gradient(act, slope, act == PHIZ_ACT_NONE ? 0 : y[i + l], g[i + l]);
		for (int v = 0; v < 4; v++) {
			part[v] += *(const lanes *)(e + v * 16);
			if (x)
				dot[v] += *(const lanes *)(e + v * 16) * (*(const lanes *)(x + i + v * 16) - mean);
		}
	}
	for (; i < n; i++) {
		float rest = act_gradient(act, slope, act == PHIZ_ACT_NONE ? 0 : y[i], g[i]);
		sum[0] += (double)rest;
		if (x)
			sum[1] += (double)(rest * (x[i] - mean));
	}
	sum[0] += lanes_total(part);
	sum[1] += lanes_total(dot);
}

/* dx (+)= e * scale - (x - mean) * of_x - offset; x NULL: of_x is 0. */
INLINE void bn_back_row(float *d, const float *g, const float *y, const float *x, int64_t n, const float k[4],
                        float slope, bool add, int act)
{
	const float mean = k[0], scale = k[1], of_x = k[2], offset = k[3];
	if (!x) {
		IN_PLACE
		for (int64_t i = 0; i < n; i++) {
			float v = act_gradient(act, slope, act == PHIZ_ACT_NONE ? 0 : y[i], g[i]) * scale;
			d[i] = add ? d[i] + v : v;
		}
	} else {
		IN_PLACE
		for (int64_t i = 0; i < n; i++) {
			float v = act_gradient(act, slope, act == PHIZ_ACT_NONE ? 0 : y[i], g[i]) * scale -
			          ((x[i] - mean) * of_x + offset);
			d[i] = add ? d[i] + v : v;
		}
	}
}

static void bn_back_channel(struct phiz_call *call, int64_t c)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim, plane = bn_plane(call);
	const union phiz_attr *attr = call->node->attr;
	int act = (int)attr[PHIZ_BATCH_NORM_ACT].i;
	float slope = (float)attr[PHIZ_BATCH_NORM_ACT_SLOPE].f;
	const float *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT), *g = call->dout[0].data;
	const float *y = act == PHIZ_ACT_NONE ? g : call->out[0].data;
	float *dx = phiz_din(call, PHIZ_BATCH_NORM_INPUT), *dw = phiz_din(call, PHIZ_BATCH_NORM_WEIGHT);
	float *db = phiz_din(call, PHIZ_BATCH_NORM_BIAS);
	bool batch = bn_uses_batch(call);
	const float *x = dw || (dx && batch) ? phiz_in(call, PHIZ_BATCH_NORM_INPUT) : NULL;
	float mean = ((const float *)call->saved[BN_MEAN].data)[c];
	double invstd = (double)((const float *)call->saved[BN_INVSTD].data)[c];
	double sum[2] = {0}, m = (double)(dim[0] * plane), scale = (w ? (double)w[c] : 1) * invstd;
	for (int64_t n = 0; (x || db) && n < dim[0]; n++) {
		int64_t at = (n * dim[1] + c) * plane;
		WITH_ACT(act, bn_sums, g + at, y + at, x ? x + at : NULL, plane, mean, sum, slope);
	}
	double dot = sum[1] * invstd;
	float k[4] = {mean, (float)scale, (float)(scale * invstd * dot / m), (float)(scale * sum[0] / m)};
	for (int64_t n = 0; dx && n < dim[0]; n++) {
		int64_t at = (n * dim[1] + c) * plane;
		WITH_ACT(act, bn_back_row, dx + at, g + at, y + at, batch ? x + at : NULL, plane, k, slope,
		         phiz_adds(call, PHIZ_BATCH_NORM_INPUT));
	}
	if (dw)
		phiz_put(&dw[c], phiz_adds(call, PHIZ_BATCH_NORM_WEIGHT), (float)dot);
	if (db)
		phiz_put(&db[c], phiz_adds(call, PHIZ_BATCH_NORM_BIAS), (float)sum[0]);
}

static void bn_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	(void)worker;
	for (int64_t c = begin; c < end; c++)
		bn_back_channel(arg, c);
}

static enum phiz_status bn_backward(struct phiz_call *call)
{
	if (call->dout[0].data)
		phiz_parallel_for(call->ctx, call->in[PHIZ_BATCH_NORM_INPUT].shape.dim[1], 1, bn_back_pieces, call);
	return PHIZ_OK;
}

static bool bn_supports(const struct phiz_call *call)
{
	return call->in[PHIZ_BATCH_NORM_INPUT].shape.ndim == 4;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(batch_norm) = {PHIZ_VECTOR_KERNEL("batch_norm"), .supports = bn_supports,
                                                        .forward = bn_forward, .backward = bn_backward};
