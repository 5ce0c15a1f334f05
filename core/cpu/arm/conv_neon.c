/* Inner loops of convolution for NEON: tiles of 4 filters x 12 pixels in 12 registers; four steps of depth at a time,
 * whose filters lie in one register per row and are multiplied by lane. That takes 16 loads for 48 multiply-adds, fewer
 * than a tile of 8 filters, which leaves no registers for that (README.md has the counts). Sums have names, not
 * indices: so every compiler keeps them in registers. */
#include <arm_neon.h>
#include <string.h>

#include "core/cpu/conv.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/ops.h"

#define LANES 4
#define LINE 16 /* floats in a line of the cache */
#define INLINE static inline __attribute__((always_inline))

/* The first `count` of 4 floats, the others 0. */
INLINE float32x4_t load_lanes(const float *from, int count)
{
	float some[LANES] = {0};
	if (count == LANES)
		return vld1q_f32(from);
	memcpy(some, from, sizeof(float) * (size_t)count);
	return vld1q_f32(some);
}

INLINE void store_lanes(float *to, float32x4_t v, int count)
{
	float all[LANES];
	if (count == LANES) {
		vst1q_f32(to, v);
		return;
	}
	vst1q_f32(all, v);
	memcpy(to, all, sizeof(float) * (size_t)count);
}

INLINE float32x4_t finish(float32x4_t sum, const struct phiz_tile *t, int row, const float *residual, int lanes)
{
	if (t->bias)
		sum = vaddq_f32(sum, vdupq_n_f32(t->bias[row]));
	if (t->residual)
		sum = vaddq_f32(sum, load_lanes(residual, lanes));
	if (t->act == PHIZ_ACT_NONE)
		return sum;
	if (t->act == PHIZ_ACT_RELU)
		return vmaxq_f32(sum, vdupq_n_f32(0)); /* of NaN and 0: NaN */
	uint32x4_t negative = vcleq_f32(sum, vdupq_n_f32(0));
	return vbslq_f32(negative, vmulq_f32(sum, vdupq_n_f32(t->slope)), sum);
}

/* Rows and vectors of a tile; what lies beyond its constant size is left out by the compiler. */
#define EACH_ROW(F) F(0) F(1) F(2) F(3)
#define SUMS(r) float32x4_t s##r##0 = zero, s##r##1 = zero, s##r##2 = zero, a##r = zero;
#define ROWS_AT(r) const float *row##r = t->a + r * t->lda;
#define LOAD_FOUR(r) \
	if (R > r)       \
		a##r = vld1q_f32(row##r + k);
#define LOAD_ONE(r) \
	if (R > r)      \
		a##r = vsetq_lane_f32(row##r[k], zero, 0);
#define ADD_LANE(r, lane)                                    \
	if (R > r) {                                             \
		s##r##0 = vfmaq_laneq_f32(s##r##0, b0, a##r, lane);  \
		if (V > 1)                                           \
			s##r##1 = vfmaq_laneq_f32(s##r##1, b1, a##r, lane); \
		if (V > 2)                                           \
			s##r##2 = vfmaq_laneq_f32(s##r##2, b2, a##r, lane); \
	}
#define ADD_LANE_0(r) ADD_LANE(r, 0)
#define ADD_LANE_1(r) ADD_LANE(r, 1)
#define ADD_LANE_2(r) ADD_LANE(r, 2)
#define ADD_LANE_3(r) ADD_LANE(r, 3)
/* One step of depth: the pixels against lane `lane` of the filters. */
#define STEP(lane)                                         \
	do {                                                   \
		float32x4_t b0 = vld1q_f32(b), b1 = b0, b2 = b0;   \
		if (V > 1)                                         \
			b1 = vld1q_f32(b + LANES);                     \
		if (V > 2)                                         \
			b2 = vld1q_f32(b + 2 * LANES);                 \
		EACH_ROW(ADD_LANE_##lane)                          \
		b += V * LANES;                                    \
	} while (0)
#define PUT(r)                                             \
	if (R > r) {                                           \
		vst1q_f32(done[r][0], s##r##0);                    \
		vst1q_f32(done[r][1], s##r##1);                    \
		vst1q_f32(done[r][2], s##r##2);                    \
	}

/* c[r][j] (+)= sum over k of a[r][k] * b[k][j], r < R, j < 4 * V. */
INLINE void tile(const int R, const int V, const struct phiz_tile *t)
{
	const float32x4_t zero = vdupq_n_f32(0);
	const float *b = t->b;
	const int64_t whole = t->depth & ~(int64_t)3;
	EACH_ROW(SUMS)
	EACH_ROW(ROWS_AT)
	for (int64_t k = 0; k < whole; ) {
		/* The next tile's filters: too many streams for the processor to see them coming. */
		for (int r = 0; r < R && R == 4; r++)
			__builtin_prefetch(t->a + (R + r) * t->lda + k);
		const int64_t end = whole - k < LINE ? whole : k + LINE;
		for (; k < end; k += 4) {
			EACH_ROW(LOAD_FOUR)
			STEP(0);
			STEP(1);
			STEP(2);
			STEP(3);
		}
	}
	for (int64_t k = whole; k < t->depth; k++) {
		EACH_ROW(LOAD_ONE)
		STEP(0);
	}
	float done[4][3][LANES];
	EACH_ROW(PUT)
	for (int r = 0; r < R; r++) {
		float *c = t->c + r * t->ldc;
		for (int v = 0; v < V; v++) {
			int lanes = v == V - 1 ? t->last_lanes : LANES;
			float32x4_t s = vld1q_f32(done[r][v]);
			if (t->add)
				s = vaddq_f32(s, load_lanes(c + v * LANES, lanes));
			if (t->finish) {
				const float *residual = t->residual ? t->residual + r * t->ldc + v * LANES : NULL;
				s = finish(s, t, r, residual, lanes);
			}
			store_lanes(c + v * LANES, s, lanes);
		}
	}
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_tile *t) { tile(r, v, t); }
TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(1, 1) TILE(1, 2) TILE(1, 3)

#define ODD_SUMS(r) float32x4_t s##r##0 = zero, s##r##1 = zero, s##r##2 = zero;
/* Rows beyond `rows` repeat the last one and are not written. */
#define ODD_ROWS_AT(r) const float *row##r = t->a + (r < rows ? r : rows - 1) * t->lda;
#define ODD_ADD(r)                                              \
	do {                                                        \
		float32x4_t filter = vld1q_f32(row##r + k);             \
		s##r##0 = vfmaq_f32(s##r##0, filter, vld1q_f32(col0 + k)); \
		if (C > 1)                                              \
			s##r##1 = vfmaq_f32(s##r##1, filter, vld1q_f32(col1 + k)); \
		if (C > 2)                                              \
			s##r##2 = vfmaq_f32(s##r##2, filter, vld1q_f32(col2 + k)); \
	} while (0);
#define ODD_TOTAL(r)               \
	sum[r][0] = vaddvq_f32(s##r##0); \
	sum[r][1] = vaddvq_f32(s##r##1); \
	sum[r][2] = vaddvq_f32(s##r##2);

/* At most 3 columns can be odd where a vector has 4 lanes. */
INLINE void odd_columns(const int C, const struct phiz_tile *t, int rows)
{
	const float32x4_t zero = vdupq_n_f32(0);
	const float *col0 = t->b, *col1 = t->b + t->ldb, *col2 = t->b + 2 * t->ldb;
	const int64_t whole = t->depth & ~(int64_t)3;
	float sum[PHIZ_ODD_ROWS][3];
	EACH_ROW(ODD_SUMS)
	EACH_ROW(ODD_ROWS_AT)
	for (int64_t k = 0; k < whole; k += LANES) {
		EACH_ROW(ODD_ADD)
	}
	EACH_ROW(ODD_TOTAL)
	for (int r = 0; r < rows; r++)
		for (int j = 0; j < C; j++) {
			float s = sum[r][j], *c = t->c + r * t->ldc + j;
			for (int64_t k = whole; k < t->depth; k++)
				s += t->a[r * t->lda + k] * t->b[j * t->ldb + k];
			*c = t->add ? *c + s : s;
		}
}

static void odd(const struct phiz_tile *t, int rows, int columns)
{
	if (columns == 1)
		odd_columns(1, t, rows);
	else if (columns == 2)
		odd_columns(2, t, rows);
	else
		odd_columns(3, t, rows);
}

/* The lanes of a vector whose pixel under a tap lies inside the image. */
struct inside {
	int count, lane[LANES];
	const float *from[LANES]; /* in channel 0 */
};

INLINE void find_inside(const struct phiz_lanes *lanes, const float *in, int dy, int dx, int height, int width,
                        struct inside *out)
{
	out->count = 0;
	for (int i = 0; i < LANES; i++) {
		int y = lanes->y[i] + dy, x = lanes->x[i] + dx;
		if (y < 0 || y >= height || x < 0 || x >= width)
			continue;
		out->lane[out->count] = i;
		out->from[out->count++] = in + lanes->offset[i];
	}
}

/* One vector under one tap, for all channels: `step` elements apart in b, `plane` in the image. */
INLINE void pack_vector(const struct inside *p, int64_t plane, int channels, float *b, int64_t step)
{
	const float *from = p->from[0];
	if (p->count == LANES && p->from[3] - from == 3) { /* offsets rise from lane to lane */
		for (int c = 0; c < channels; c++, b += step, from += plane)
			vst1q_f32(b, vld1q_f32(from));
	} else if (p->count == LANES && p->from[1] - from == 2 && p->from[2] - from == 4 && p->from[3] - from == 6) {
		for (int c = 0; c < channels; c++, b += step, from += plane) {
			float32x4_t low = vld1q_f32(from), high = vld1q_f32(from + 3); /* 0..3, 3..6 and nothing beyond */
			vst1q_f32(b, vcombine_f32(vget_low_f32(vuzp1q_f32(low, low)), vget_low_f32(vuzp2q_f32(high, high))));
		}
	} else if (p->count == LANES) {
		int64_t at1 = p->from[1] - from, at2 = p->from[2] - from, at3 = p->from[3] - from;
		for (int c = 0; c < channels; c++, b += step, from += plane) {
			b[0] = from[0];
			b[1] = from[at1];
			b[2] = from[at2];
			b[3] = from[at3];
		}
	} else {
		for (int64_t c = 0; c < channels; c++, b += step) {
			vst1q_f32(b, vdupq_n_f32(0));
			for (int i = 0; i < p->count; i++)
				b[p->lane[i]] = p->from[i][c * plane];
		}
	}
}

static void pack(const struct phiz_taps *t, const struct phiz_lanes *lanes, int vectors, int c0, int c1, float *b)
{
	const int taps = t->taps_y * t->taps_x;
	const int64_t width = (int64_t)vectors * LANES;
	for (int i = 0; i < taps; i++) {
		int dy = t->first_y + i / t->taps_x * t->step_y, dx = t->first_x + i % t->taps_x * t->step_x;
		const float *in = t->in + c0 * t->in_plane + (int64_t)dy * t->width + dx;
		for (int v = 0; v < vectors; v++) {
			struct inside p;
			find_inside(lanes + v, in, dy, dx, t->height, t->width, &p);
			pack_vector(&p, t->in_plane, c1 - c0, b + i * width + v * LANES, taps * width);
		}
	}
}

/* filter_bytes: the second-level cache of a Jetson Nano has 2 MiB for four cores, that of a Cortex-A72 1 MiB, an A78
 * mostly 256 KiB of its own. */
static const struct phiz_conv_micro taps = {
	LANES, 4, 192 << 10, {4, 2, 1},
	{{tile_4x1, tile_4x2, tile_4x3}, {tile_2x1, tile_2x2, tile_2x3}, {tile_1x1, tile_1x2, tile_1x3}},
	odd, pack,
};

static const struct phiz_conv_inner inner = {&taps, &phiz_weights_neon};

#define PHIZ_CONV_SUFFIX(op) phiz_cpu_##op##_f32_neon
#define PHIZ_CONV_TEXT "implicit_gemm.neon"
#define PHIZ_CONV_FEATURES PHIZ_CPU_NEON
#include "core/cpu/conv_rows.h"
