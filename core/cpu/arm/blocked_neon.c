/* Blocked convolution with NEON: tiles of 6 pixels times 16 filters, 24 sums. Four channels of a pixel lie in one
 * register and are multiplied by lane, 6 registers of them with 2 of filters that pass by: 22 loads for 96
 * multiply-adds. Sums have names, not indices: so every compiler keeps them in registers. */
#include <arm_neon.h>

#include "core/cpu/features.h"
#include "core/ops/ops.h"

#define LANES 4
#define VEC float32x4_t
#define LOAD(p) vld1q_f32(p)
#define STORE(p, v) vst1q_f32(p, v)
#define SPREAD(p) vld1q_dup_f32(p)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define ADD(a, b) vaddq_f32(a, b)
#define SUB(a, b) vsubq_f32(a, b)
#define MUL(a, b) vmulq_f32(a, b)
#define SPREAD_VALUE(x) vdupq_n_f32(x)
#define ZERO() vdupq_n_f32(0)
#define ACTIVATE(v, act, slope) activate(v, act, slope)
#define LOAD_BF16(p) vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))
#define STORE_BF16(p, v) store_bf16(p, v)
#define PIXELS 6

/* To the nearest, of two as near to the even one; NaN stays NaN. */
static inline void store_bf16(uint16_t *p, float32x4_t v)
{
	uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
	uint32x4_t near = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
	uint32x4_t nan = vorrq_u32(u, vdupq_n_u32(0x400000));
	vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), near, nan), 16));
}

/* NaN stays NaN. */
static inline float32x4_t activate(float32x4_t v, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return v;
	if (act == PHIZ_ACT_RELU)
		return vmaxq_f32(v, vdupq_n_f32(0)); /* of NaN and 0: NaN */
	return vbslq_f32(vcleq_f32(v, vdupq_n_f32(0)), vmulq_n_f32(v, slope), v);
}

#include "core/cpu/blocked_tiles.h"

/* What lies beyond a tile's constant size P is left out by the compiler. */
#define EACH_PIXEL(F) F(0) F(1) F(2) F(3) F(4) F(5)
#define SUMS(p) float32x4_t s##p##0 = zero, s##p##1 = zero, s##p##2 = zero, s##p##3 = zero;
#define POINTER(p) const float *at##p = NULL;
#define LOAD_FOUR(p) float32x4_t x##p = P > p ? vld1q_f32(at##p + d) : zero;
#define LOAD_ONE(p) float32x4_t x##p = P > p ? vld1q_dup_f32(at##p + d) : zero;
#define ADD_LANE(p, v, lane) \
	if (P > p)               \
		s##p##v = vfmaq_laneq_f32(s##p##v, filter, x##p, lane);
#define ADD_PART(v, lane)                                                             \
	do {                                                                              \
		const float32x4_t filter = vld1q_f32(w + lane * PHIZ_BLOCK + v * LANES);      \
		ADD_LANE(0, v, lane) ADD_LANE(1, v, lane) ADD_LANE(2, v, lane)                \
		ADD_LANE(3, v, lane) ADD_LANE(4, v, lane) ADD_LANE(5, v, lane)                \
	} while (0)
/* One step of depth: the lane of each pixel against 16 filters. */
#define STEP(lane)                                         \
	do {                                                   \
		ADD_PART(0, lane);                                 \
		ADD_PART(1, lane);                                 \
		ADD_PART(2, lane);                                 \
		ADD_PART(3, lane);                                 \
	} while (0)
#define STEPS  \
	do {       \
		STEP(0); \
		STEP(1); \
		STEP(2); \
		STEP(3); \
	} while (0)
#define PUT(p)                           \
	if (P > p) {                         \
		vst1q_f32(done[p][0], s##p##0);  \
		vst1q_f32(done[p][1], s##p##1);  \
		vst1q_f32(done[p][2], s##p##2);  \
		vst1q_f32(done[p][3], s##p##3);  \
	}

#define TAP_POINTER(p) \
	if (P > p)         \
		at##p = kind == PHIZ_TAP_RUN ? in + offset[0] + p * t->step : offset[p] < 0 ? t->zeros : in + offset[p];

/* P pixels, D channels a tap (0: t->depth). */
INLINE void tile_by_lane(const struct phiz_blocked_tile *t, const int P, const int D)
{
	const float32x4_t zero = vdupq_n_f32(0);
	const float *w = t->w, *in = t->in;
	const int depth = D ? D : t->depth;
	float done[PIXELS][PARTS][LANES];
	EACH_PIXEL(SUMS)
	for (int b = 0; b < t->blocks; b++, in += t->in_block) {
		const int32_t *offset = t->offset;
		for (int tap = 0; tap < t->taps; tap++, offset += PIXELS) {
			const int kind = t->kind[tap];
			int d = 0;
			EACH_PIXEL(POINTER)
			if (kind == PHIZ_TAP_NONE) {
				w += depth * PHIZ_BLOCK;
				continue;
			}
			EACH_PIXEL(TAP_POINTER)
			for (; d + LANES <= depth; d += LANES, w += LANES * PHIZ_BLOCK) {
				UNROLL_4
				for (int i = 0; i < LANES; i++)
					__builtin_prefetch(w + i * PHIZ_BLOCK + t->ahead, 0, 2);
				EACH_PIXEL(LOAD_FOUR)
				STEPS;
			}
			for (; d < depth; d++, w += PHIZ_BLOCK) {
				EACH_PIXEL(LOAD_ONE)
				STEP(0);
			}
		}
	}
	EACH_PIXEL(PUT)
	for (int p = 0; p < P; p++)
		for (int v = 0; v < PARTS; v++)
			finish(t, vld1q_f32(done[p][v]), p, 0, v);
}

#define START(p)                                             \
	if (P > p && t->add) {                                   \
		s##p##0 = vld1q_f32(t->out + p * PHIZ_BLOCK);        \
		s##p##1 = vld1q_f32(t->out + p * PHIZ_BLOCK + 4);    \
		s##p##2 = vld1q_f32(t->out + p * PHIZ_BLOCK + 8);    \
		s##p##3 = vld1q_f32(t->out + p * PHIZ_BLOCK + 12);   \
	}
#define LOAD_SIDE(p) float32x4_t x##p = P > p ? vld1q_f32(in + p * PHIZ_BLOCK + d) : zero;
#define PUT_SIDE(p)                                          \
	if (P > p) {                                             \
		vst1q_f32(t->out + p * PHIZ_BLOCK, s##p##0);         \
		vst1q_f32(t->out + p * PHIZ_BLOCK + 4, s##p##1);     \
		vst1q_f32(t->out + p * PHIZ_BLOCK + 8, s##p##2);     \
		vst1q_f32(t->out + p * PHIZ_BLOCK + 12, s##p##3);    \
	}

/* P pixels. */
INLINE void product_by_lane(const struct phiz_blocked_product *t, const int P)
{
	const float32x4_t zero = vdupq_n_f32(0);
	const float *w = t->w, *in = t->v, *next = t->next;
	EACH_PIXEL(SUMS)
	EACH_PIXEL(START)
	for (int b = 0; b < t->blocks; b++, in += t->v_block)
		for (int d = 0; d < PHIZ_BLOCK; d += LANES, w += LANES * PHIZ_BLOCK) {
			UNROLL_4
			for (int i = 0; i < LANES; i++, next += t->next_step)
				__builtin_prefetch(next, 0, 2);
			EACH_PIXEL(LOAD_SIDE)
			STEPS;
		}
	EACH_PIXEL(PUT_SIDE)
}

#define SIZE(P)                                                                                   \
	static void tile_##P(const struct phiz_blocked_tile *t) { tile_by_lane(t, P, PHIZ_BLOCK); }   \
	static void any_##P(const struct phiz_blocked_tile *t) { tile_by_lane(t, P, 0); }             \
	static void product_##P(const struct phiz_blocked_product *t) { product_by_lane(t, P); }
SIZE(1) SIZE(2) SIZE(3) SIZE(4) SIZE(5) SIZE(6)
OUTER(1) OUTER(2) OUTER(3) OUTER(4) OUTER(5) OUTER(6)

static const struct phiz_blocked_micro micro = {
	.pixels = PIXELS,
	.tile = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
	.any = {any_1, any_2, any_3, any_4, any_5, any_6},
	.product = {product_1, product_2, product_3, product_4, product_5, product_6},
	.rows = 6,
	.outer = {outer_1, outer_2, outer_3, outer_4, outer_5, outer_6},
	WINOGRAD_ROW
};

#define PHIZ_BLOCKED_ROW(op) phiz_cpu_##op##_f32_neon
#define PHIZ_BLOCKED_TEXT "neon"
#define PHIZ_BLOCKED_FEATURES PHIZ_CPU_NEON
#include "core/cpu/blocked_rows.h"
