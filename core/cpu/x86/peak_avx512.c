#include "core/cpu/peak.h"

#include <immintrin.h>

/* 12 registers of 16 floats: two multiply-adds a cycle of 4 cycles' latency need 8. */
float phiz_peak_avx512(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	__m512 f = _mm512_set1_ps(factor), t = _mm512_set1_ps(term);
	__m512 a = _mm512_loadu_ps(start), b = _mm512_loadu_ps(start + 16), c = _mm512_loadu_ps(start + 32);
	__m512 d = _mm512_loadu_ps(start + 48), e = _mm512_loadu_ps(start + 64), g = _mm512_loadu_ps(start + 80);
	__m512 h = _mm512_loadu_ps(start + 96), k = _mm512_loadu_ps(start + 112), l = _mm512_loadu_ps(start + 128);
	__m512 m = _mm512_loadu_ps(start + 144), n = _mm512_loadu_ps(start + 160), o = _mm512_loadu_ps(start + 176);

	for (int64_t r = 0; r < rounds; r++) {
		a = _mm512_fmadd_ps(a, f, t), b = _mm512_fmadd_ps(b, f, t), c = _mm512_fmadd_ps(c, f, t);
		d = _mm512_fmadd_ps(d, f, t), e = _mm512_fmadd_ps(e, f, t), g = _mm512_fmadd_ps(g, f, t);
		h = _mm512_fmadd_ps(h, f, t), k = _mm512_fmadd_ps(k, f, t), l = _mm512_fmadd_ps(l, f, t);
		m = _mm512_fmadd_ps(m, f, t), n = _mm512_fmadd_ps(n, f, t), o = _mm512_fmadd_ps(o, f, t);
	}
	a = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)), _mm512_add_ps(e, g));
	h = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(h, k), _mm512_add_ps(l, m)), _mm512_add_ps(n, o));
	*flops = 12 * 16 * 2;
	return _mm512_reduce_add_ps(_mm512_add_ps(a, h));
}
