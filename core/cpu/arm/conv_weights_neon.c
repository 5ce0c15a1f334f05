/* Inner loops of the filters' gradient for NEON: tiles of 4 channels x 16 filters in 16 registers; where pixels are
 * neighbours, four at a time, multiplied by lane. */
#include <arm_neon.h>

#include "core/cpu/conv_weights.h"

#define LANES 4
#define INLINE static inline __attribute__((always_inline))

/* Sums have names, not indices: so every compiler keeps them in registers. What lies beyond a tile's constant size is
 * left out by the compiler. */
#define EACH_ROW(F) F(0) F(1) F(2) F(3)
#define SUMS(r) float32x4_t s##r##0 = zero, s##r##1 = zero, s##r##2 = zero, s##r##3 = zero, pixel##r = zero;
#define LOAD_FOUR(r) \
	if (R > r)       \
		pixel##r = vld1q_f32(in + r * plane);
#define LOAD_ONE(r) \
	if (R > r)      \
		pixel##r = vsetq_lane_f32(in[r * plane], zero, 0);
#define ADD_LANE(r, lane)                                          \
	if (R > r) {                                                   \
		s##r##0 = vfmaq_laneq_f32(s##r##0, g0, pixel##r, lane);    \
		if (V > 1) {                                               \
			s##r##1 = vfmaq_laneq_f32(s##r##1, g1, pixel##r, lane); \
			s##r##2 = vfmaq_laneq_f32(s##r##2, g2, pixel##r, lane); \
			s##r##3 = vfmaq_laneq_f32(s##r##3, g3, pixel##r, lane); \
		}                                                          \
	}
#define ADD_LANE_0(r) ADD_LANE(r, 0)
#define ADD_LANE_1(r) ADD_LANE(r, 1)
#define ADD_LANE_2(r) ADD_LANE(r, 2)
#define ADD_LANE_3(r) ADD_LANE(r, 3)
/* One pixel: its gradients against lane `lane` of the channels. */
#define STEP(lane)                                                \
	do {                                                          \
		float32x4_t g0 = vld1q_f32(b), g1 = g0, g2 = g0, g3 = g0; \
		if (V > 1) {                                              \
			g1 = vld1q_f32(b + LANES);                            \
			g2 = vld1q_f32(b + 2 * LANES);                        \
			g3 = vld1q_f32(b + 3 * LANES);                        \
		}                                                         \
		EACH_ROW(ADD_LANE_##lane)                                 \
		b += V * LANES;                                           \
	} while (0)
#define ADD_TO(at, s) vst1q_f32(to + (at), vaddq_f32(vld1q_f32(to + (at)), s))
#define PUT(r)                              \
	if (R > r) {                            \
		float *to = t->sum + r * V * LANES; \
		ADD_TO(0, s##r##0);                 \
		if (V > 1) {                        \
			ADD_TO(LANES, s##r##1);         \
			ADD_TO(2 * LANES, s##r##2);     \
			ADD_TO(3 * LANES, s##r##3);     \
		}                                   \
	}

/* R channels, V vectors of filters: 4 or 1. */
INLINE void tile(const int R, const int V, const struct phiz_weight_tile *t)
{
	const float32x4_t zero = vdupq_n_f32(0);
	const int64_t plane = t->plane, stride = t->stride_x;
	EACH_ROW(SUMS)
	for (int s = 0; s < t->stretches; s++) {
		const float *in = t->in + t->stretch[s].in;
		const float *b = t->panel + t->stretch[s].dout * V * LANES;
		int64_t n = t->stretch[s].count;
		for (; stride == 1 && n >= 4; n -= 4) {
			EACH_ROW(LOAD_FOUR)
			STEP(0);
			STEP(1);
			STEP(2);
			STEP(3);
			in += 4;
		}
		for (; n > 0; n--) {
			EACH_ROW(LOAD_ONE)
			STEP(0);
			in += stride;
		}
	}
	EACH_ROW(PUT)
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_weight_tile *t) { tile(r, v, t); }
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4)

/* Turns 4 x 4 floats in registers. */
INLINE void turn_square(float32x4_t m[LANES])
{
	float32x4_t even0 = vtrn1q_f32(m[0], m[1]), odd0 = vtrn2q_f32(m[0], m[1]);
	float32x4_t even2 = vtrn1q_f32(m[2], m[3]), odd2 = vtrn2q_f32(m[2], m[3]);
	m[0] = vcombine_f32(vget_low_f32(even0), vget_low_f32(even2));
	m[1] = vcombine_f32(vget_low_f32(odd0), vget_low_f32(odd2));
	m[2] = vcombine_f32(vget_high_f32(even0), vget_high_f32(even2));
	m[3] = vcombine_f32(vget_high_f32(odd0), vget_high_f32(odd2));
}

static void turn(const float *from, int64_t plane, int64_t pixels, int filters, int width, float *to)
{
	int64_t i = 0;
	for (; i + LANES <= pixels; i += LANES)
		for (int j = 0; j < width; j += LANES) {
			float32x4_t m[LANES];
			for (int r = 0; r < LANES; r++)
				m[r] = j + r < filters ? vld1q_f32(from + (j + r) * plane + i) : vdupq_n_f32(0);
			turn_square(m);
			for (int r = 0; r < LANES; r++)
				vst1q_f32(to + (i + r) * width + j, m[r]);
		}
	for (; i < pixels; i++)
		for (int j = 0; j < width; j++)
			to[i * width + j] = j < filters ? from[j * plane + i] : 0;
}

const struct phiz_weights_micro phiz_weights_neon = {
	.lanes = LANES,
	.rows = 4,
	.vectors = 4,
	.tile = {tile_1x4, tile_2x4, tile_3x4, tile_4x4},
	.narrow = {tile_1x1, tile_2x1, tile_3x1, tile_4x1},
	.turn = turn,
};
