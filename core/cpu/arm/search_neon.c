/* Search with NEON: row by row, since memory is quickest when it is read in one stream. */
#include "core/cpu/search.h"

#include <arm_neon.h>

/* out[i] = rows[i] . query; accumulates in float, 16 lanes a row. */
void phiz_dots_neon(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	for (int64_t i = 0; i < n; i++) {
		const float *a = rows + i * stride;
		float32x4_t s = vdupq_n_f32(0), t = s, u = s, v = s;
		for (int64_t d = 0; d < stride; d += 16) {
			s = vfmaq_f32(s, vld1q_f32(a + d), vld1q_f32(query + d));
			t = vfmaq_f32(t, vld1q_f32(a + d + 4), vld1q_f32(query + d + 4));
			u = vfmaq_f32(u, vld1q_f32(a + d + 8), vld1q_f32(query + d + 8));
			v = vfmaq_f32(v, vld1q_f32(a + d + 12), vld1q_f32(query + d + 12));
		}
		out[i] = vaddvq_f32(vaddq_f32(vaddq_f32(s, t), vaddq_f32(u, v)));
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
