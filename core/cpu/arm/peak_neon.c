#include "core/cpu/peak.h"

#include <arm_neon.h>

/* 12 registers of 4 floats, of 32: the A57's one multiply-add a cycle of 9 cycles' latency needs 9,
 * the two a cycle of 4 of later cores 8. */
float phiz_peak_neon(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	float32x4_t f = vdupq_n_f32(factor), t = vdupq_n_f32(term);
	float32x4_t a = vld1q_f32(start), b = vld1q_f32(start + 4), c = vld1q_f32(start + 8), d = vld1q_f32(start + 12);
	float32x4_t e = vld1q_f32(start + 16), g = vld1q_f32(start + 20), h = vld1q_f32(start + 24);
	float32x4_t k = vld1q_f32(start + 28), l = vld1q_f32(start + 32), m = vld1q_f32(start + 36);
	float32x4_t n = vld1q_f32(start + 40), o = vld1q_f32(start + 44);

	/* x = x + f * t: the instruction adds to its first register, so the terms of the sum stand the other way round. */
	for (int64_t r = 0; r < rounds; r++) {
		a = vfmaq_f32(a, f, t), b = vfmaq_f32(b, f, t), c = vfmaq_f32(c, f, t), d = vfmaq_f32(d, f, t);
		e = vfmaq_f32(e, f, t), g = vfmaq_f32(g, f, t), h = vfmaq_f32(h, f, t), k = vfmaq_f32(k, f, t);
		l = vfmaq_f32(l, f, t), m = vfmaq_f32(m, f, t), n = vfmaq_f32(n, f, t), o = vfmaq_f32(o, f, t);
	}
	a = vaddq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d)), vaddq_f32(e, g));
	h = vaddq_f32(vaddq_f32(vaddq_f32(h, k), vaddq_f32(l, m)), vaddq_f32(n, o));
	*flops = 12 * 4 * 2;
	return vaddvq_f32(vaddq_f32(a, h));
}
