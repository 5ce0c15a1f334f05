#include "core/cpu/peak.h"

#include <immintrin.h>

/* 12 registers of 8 floats: two multiply-adds a cycle of 4 or 5 cycles' latency need 8 to 10, and 16 there are. */
float phiz_peak_avx2(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	__m256 f = _mm256_set1_ps(factor), t = _mm256_set1_ps(term);
	__m256 a = _mm256_loadu_ps(start), b = _mm256_loadu_ps(start + 8), c = _mm256_loadu_ps(start + 16);
	__m256 d = _mm256_loadu_ps(start + 24), e = _mm256_loadu_ps(start + 32), g = _mm256_loadu_ps(start + 40);
	__m256 h = _mm256_loadu_ps(start + 48), k = _mm256_loadu_ps(start + 56), l = _mm256_loadu_ps(start + 64);
	__m256 m = _mm256_loadu_ps(start + 72), n = _mm256_loadu_ps(start + 80), o = _mm256_loadu_ps(start + 88);
	float lane[8];

	for (int64_t r = 0; r < rounds; r++) {
		a = _mm256_fmadd_ps(a, f, t), b = _mm256_fmadd_ps(b, f, t), c = _mm256_fmadd_ps(c, f, t);
		d = _mm256_fmadd_ps(d, f, t), e = _mm256_fmadd_ps(e, f, t), g = _mm256_fmadd_ps(g, f, t);
		h = _mm256_fmadd_ps(h, f, t), k = _mm256_fmadd_ps(k, f, t), l = _mm256_fmadd_ps(l, f, t);
		m = _mm256_fmadd_ps(m, f, t), n = _mm256_fmadd_ps(n, f, t), o = _mm256_fmadd_ps(o, f, t);
	}
	a = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)), _mm256_add_ps(e, g));
	h = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(h, k), _mm256_add_ps(l, m)), _mm256_add_ps(n, o));
	_mm256_storeu_ps(lane, _mm256_add_ps(a, h));
	*flops = 12 * 8 * 2;
	return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}
