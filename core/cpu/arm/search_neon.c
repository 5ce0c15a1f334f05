/* Search with NEON: two rows at a time, four registers of each. */
#include "core/cpu/search.h"

#include <arm_neon.h>

/* out[i] = rows[i] . query; accumulates in float, 16 lanes a row. */
void phiz_dots_neon(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	int64_t i = 0;

	for (; i + 2 <= n; i += 2) {
		const float *a = rows + i * stride, *b = a + stride;
		float32x4_t s[8];
		for (int l = 0; l < 8; l++)
			s[l] = vdupq_n_f32(0);
		for (int64_t d = 0; d < stride; d += 16)
			for (int l = 0; l < 4; l++) {
				float32x4_t q = vld1q_f32(query + d + 4 * l);
				s[l] = vfmaq_f32(s[l], vld1q_f32(a + d + 4 * l), q);
				s[l + 4] = vfmaq_f32(s[l + 4], vld1q_f32(b + d + 4 * l), q);
			}
		out[i] = vaddvq_f32(vaddq_f32(vaddq_f32(s[0], s[1]), vaddq_f32(s[2], s[3])));
		out[i + 1] = vaddvq_f32(vaddq_f32(vaddq_f32(s[4], s[5]), vaddq_f32(s[6], s[7])));
	}
	if (i < n) {
		const float *a = rows + i * stride;
		float32x4_t s = vdupq_n_f32(0);
		for (int64_t d = 0; d < stride; d += 4)
			s = vfmaq_f32(s, vld1q_f32(a + d), vld1q_f32(query + d));
		out[i] = vaddvq_f32(s);
	}
}

uint64_t phiz_sweep_neon(const void *data, size_t size)
{
	const uint64_t *p = data;
	uint64x2_t a = vdupq_n_u64(0), b = a;

	for (size_t i = 0; i < size / 8; i += 4) {
		a = veorq_u64(a, vld1q_u64(p + i));
		b = veorq_u64(b, vld1q_u64(p + i + 2));
	}
	a = veorq_u64(a, b);
	return vgetq_lane_u64(a, 0) ^ vgetq_lane_u64(a, 1);
}
