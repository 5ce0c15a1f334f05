/* conv2d with one input channel per group, forward, for NEON: row by row of the layout of vector/depthwise_layout.h.
 *   y[p][q] = act(bias + z[p][q] + sum over r, s of w[r][s] * x(r, s)[p][q])
 * where x(r, s) is the plane as tap (r, s) sees it. For filters of 3x3 with stride 1, two rows of outputs share what
 * they read: 12 loads for 18 multiply-adds. Sums run over taps in order. Nothing may alias but y and z. Backward is
 * the row before this one. */
#include <arm_neon.h>

#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_f32_neon
#define PHIZ_VECTOR_TEXT "neon"
#define PHIZ_VECTOR_FEATURES PHIZ_CPU_NEON
#include "core/cpu/vector/depthwise_layout.h"

#define LANES 4
#define NOINLINE __attribute__((noinline))

/* One filter and one plane. */
struct plane {
	const float *x[DW_MAX_TAPS]; /* where each tap finds output 0 */
	const float *w;              /* of each tap */
	int64_t taps, rows, cols;    /* rows of outputs; pixels of a row of the layout */
	int64_t width;               /* of a row of outputs */
	bool pairs;                  /* filters of 3x3, whose rows of taps lie one row of the layout apart */
	float bias, slope;
	const float *z; /* or NULL */
	float *y;
};

/* A row of outputs. Copied out of struct plane, so that no store to y makes the compiler read it again. */
struct row {
	int64_t width;
	float32x4_t bias;
	float slope;
	const float *z;
	float *y;
};

INLINE struct row row_of(const struct plane *d, int64_t p, bool adds)
{
	return (struct row){d->width, vdupq_n_f32(d->bias), d->slope, adds ? d->z + p * d->width : NULL,
	                    d->y + p * d->width};
}

/* Ends the sums of outputs at..at+3. `count`: of the four that are written, the last ones; what they overlap with may
 * have been written already, over z. */
INLINE void put(const struct row *d, float32x4_t sum, int64_t at, int64_t count, int act)
{
	float *y = d->y + at, some[LANES];
	if (d->z)
		sum = vaddq_f32(sum, vld1q_f32(d->z + at));
	if (act == PHIZ_ACT_RELU)
		sum = vmaxq_f32(sum, vdupq_n_f32(0)); /* of NaN and 0: NaN */
	else if (act == PHIZ_ACT_LEAKY_RELU)
		sum = vbslq_f32(vcleq_f32(sum, vdupq_n_f32(0)), vmulq_n_f32(sum, d->slope), sum);
	if (count == LANES) {
		vst1q_f32(y, sum);
		return;
	}
	vst1q_f32(some, sum);
	memcpy(y + LANES - count, some + LANES - count, sizeof(float) * (size_t)count);
}

/* Calls f(at, act, count, ...) for the vectors of a row. */
#define ALONG_ROW(f, width, ...)                                         \
	do {                                                                 \
		int64_t at = 0;                                                  \
		for (; at + LANES <= (width); at += LANES)                       \
			f(at, act, LANES, __VA_ARGS__);                              \
		if (at < (width))                                                \
			f((width)-LANES, act, (width)-at, __VA_ARGS__);              \
	} while (0)

#define ADD_TAPS(sum, w, a, b, c)              \
	do {                                       \
		sum = vfmaq_laneq_f32(sum, a, w, 0);   \
		sum = vfmaq_laneq_f32(sum, b, w, 1);   \
		sum = vfmaq_laneq_f32(sum, c, w, 2);   \
	} while (0)

/* Filters of 3x3, two rows of outputs; x: the rows of pixels under them. */
INLINE void nine_twice(int64_t at, int act, int64_t count, const struct row *upper, const struct row *lower,
                       const float *const x[4], const float32x4_t w[3])
{
	const float *x0 = x[0] + at, *x1 = x[1] + at, *x2 = x[2] + at, *x3 = x[3] + at;
	float32x4_t p0 = vld1q_f32(x0), p1 = vld1q_f32(x0 + 1), p2 = vld1q_f32(x0 + 2), q0 = vld1q_f32(x1);
	float32x4_t q1 = vld1q_f32(x1 + 1), q2 = vld1q_f32(x1 + 2), r0 = vld1q_f32(x2), r1 = vld1q_f32(x2 + 1);
	float32x4_t r2 = vld1q_f32(x2 + 2), s0 = vld1q_f32(x3), s1 = vld1q_f32(x3 + 1), s2 = vld1q_f32(x3 + 2);
	float32x4_t u = upper->bias, l = lower->bias;
	ADD_TAPS(u, w[0], p0, p1, p2);
	ADD_TAPS(l, w[0], q0, q1, q2);
	ADD_TAPS(u, w[1], q0, q1, q2);
	ADD_TAPS(l, w[1], r0, r1, r2);
	ADD_TAPS(u, w[2], r0, r1, r2);
	ADD_TAPS(l, w[2], s0, s1, s2);
	put(upper, u, at, count, act);
	put(lower, l, at, count, act);
}

/* Filters of 3x3, one row of outputs; x: where it begins under each tap. */
INLINE void nine(int64_t at, int act, int64_t count, const struct row *row, const float *const x[9],
                 const float32x4_t w[3])
{
	float32x4_t sum = row->bias;
	ADD_TAPS(sum, w[0], vld1q_f32(x[0] + at), vld1q_f32(x[1] + at), vld1q_f32(x[2] + at));
	ADD_TAPS(sum, w[1], vld1q_f32(x[3] + at), vld1q_f32(x[4] + at), vld1q_f32(x[5] + at));
	ADD_TAPS(sum, w[2], vld1q_f32(x[6] + at), vld1q_f32(x[7] + at), vld1q_f32(x[8] + at));
	put(row, sum, at, count, act);
}

/* Any filter. */
INLINE void any(int64_t at, int act, int64_t count, const struct row *row, const float *const *x, int64_t to,
                const float *w, int64_t taps)
{
	float32x4_t sum = row->bias;
	for (int64_t t = 0; t < taps; t++)
		sum = vfmaq_f32(sum, vld1q_f32(x[t] + to + at), vld1q_dup_f32(w + t));
	put(row, sum, at, count, act);
}

INLINE void row_twice_act(const struct plane *d, const float32x4_t taps[3], int64_t p, bool adds, int act)
{
	const struct row upper = row_of(d, p, adds), lower = row_of(d, p + 1, adds);
	const float *first = d->x[0] + p * d->cols;
	const float *const x[4] = {first, first + d->cols, first + 2 * d->cols, first + 3 * d->cols};
	const float32x4_t w[3] = {taps[0], taps[1], taps[2]};
	ALONG_ROW(nine_twice, upper.width, &upper, &lower, x, w);
}

INLINE void row_nine_act(const struct plane *d, const float32x4_t taps[3], int64_t p, bool adds, int act)
{
	const struct row row = row_of(d, p, adds);
	const int64_t to = p * d->cols;
	const float *const *t = d->x;
	const float *const x[9] = {t[0] + to, t[1] + to, t[2] + to, t[3] + to, t[4] + to, t[5] + to, t[6] + to, t[7] + to,
	                           t[8] + to};
	const float32x4_t w[3] = {taps[0], taps[1], taps[2]};
	ALONG_ROW(nine, row.width, &row, x, w);
}

INLINE void row_any_act(const struct plane *d, int64_t p, bool adds, int act)
{
	const struct row row = row_of(d, p, adds);
	ALONG_ROW(any, row.width, &row, d->x, p * d->cols, d->w, d->taps);
}

/* Not inlined: in one function with the others, their pointers would not stay in registers. */
static NOINLINE void row_twice(const struct plane *d, const float32x4_t w[3], int64_t p, int act)
{
	if (d->z)
		WITH_ACT(act, row_twice_act, d, w, p, true);
	else
		WITH_ACT(act, row_twice_act, d, w, p, false);
}

static NOINLINE void row_nine(const struct plane *d, const float32x4_t w[3], int64_t p, int act)
{
	if (d->z)
		WITH_ACT(act, row_nine_act, d, w, p, true);
	else
		WITH_ACT(act, row_nine_act, d, w, p, false);
}

static NOINLINE void row_any(const struct plane *d, int64_t p, int act)
{
	if (d->z)
		WITH_ACT(act, row_any_act, d, p, true);
	else
		WITH_ACT(act, row_any_act, d, p, false);
}

/* A row that is shorter than a vector. */
static void row_short(const struct plane *d, int64_t p, int act)
{
	for (int64_t i = p * d->width; i < (p + 1) * d->width; i++) {
		float sum = d->bias;
		for (int64_t t = 0; t < d->taps; t++)
			sum = __builtin_fmaf(d->x[t][p * (d->cols - d->width) + i], d->w[t], sum);
		d->y[i] = act_apply(act, d->slope, d->z ? sum + d->z[i] : sum);
	}
}

static void put_plane(const struct plane *d, int act)
{
	float32x4_t w[3];
	int64_t p = 0;
	for (int r = 0; r < 3 && d->taps == 9; r++) {
		const float row[LANES] = {d->w[3 * r], d->w[3 * r + 1], d->w[3 * r + 2], 0};
		w[r] = vld1q_f32(row);
	}
	while (p < d->rows)
		if (d->width < LANES) {
			row_short(d, p++, act);
		} else if (d->pairs && p + 2 <= d->rows) {
			row_twice(d, w, p, act);
			p += 2;
		} else if (d->taps == 9) {
			row_nine(d, w, p++, act);
		} else {
			row_any(d, p++, act);
		}
}

static void pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const union phiz_attr *a = call->node->attr;
	struct dw d = dw_of(call);
	float *phases = (float *)call->workspace + worker * dw_scratch(&d);
	const float *bias = phiz_in(call, PHIZ_CONV2D_BIAS), *residual = phiz_in(call, PHIZ_CONV2D_RESIDUAL);
	struct plane plane = {.taps = d.taps_h * d.taps_w, .rows = d.p, .cols = d.cols, .width = d.q,
	                      .slope = (float)a[PHIZ_CONV2D_ACT_SLOPE].f};
	for (int64_t t = 0; t < plane.taps; t++)
		plane.x[t] = phases + dw_tap(&d, t / d.taps_w, t % d.taps_w);
	plane.pairs = d.taps_h == 3 && d.taps_w == 3 && d.stride_h == 1 && d.stride_w == 1 && d.dilation_h == 1 &&
	              d.dilation_w == 1;
	for (int64_t i = begin; i < end; i++) { /* of n, k */
		int64_t k = i % d.k;
		if (i == begin || k % d.multiplier == 0)
			dw_spread(&d, phiz_in(call, PHIZ_CONV2D_INPUT) + i / d.multiplier * d.h * d.w, phases);
		plane.w = phiz_in(call, PHIZ_CONV2D_WEIGHT) + k * plane.taps;
		plane.bias = bias ? bias[k] : 0;
		plane.z = residual ? residual + i * d.p * d.q : NULL;
		plane.y = (float *)call->out[0].data + i * d.p * d.q;
		put_plane(&plane, (int)a[PHIZ_CONV2D_ACT].i);
	}
}

static enum phiz_status forward(struct phiz_call *call)
{
	struct dw d = dw_of(call);
	phiz_parallel_for(call->ctx, d.n * d.k, larger(GRAIN / larger(d.p * d.q, 1), 1), pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(depthwise) = {
	.op = "conv2d", .name = "depthwise." PHIZ_VECTOR_TEXT, .dtype = PHIZ_F32, .features = PHIZ_VECTOR_FEATURES,
	.supports = dw_supports, .workspace = dw_workspace, .forward = forward,
};
