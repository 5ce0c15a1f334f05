/* Search with AVX-512: four rows at a time. */
#include "core/cpu/search.h"

#include <immintrin.h>

/* out[i] = rows[i] . query; accumulates in float, 16 lanes a row. */
void phiz_dots_avx512(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	int64_t i = 0;

	for (; i + 4 <= n; i += 4) {
		const float *a = rows + i * stride, *b = a + stride, *c = b + stride, *e = c + stride;
		__m512 sa = _mm512_setzero_ps(), sb = sa, sc = sa, se = sa;
		for (int64_t d = 0; d < stride; d += 16) {
			__m512 q = _mm512_load_ps(query + d);
			sa = _mm512_fmadd_ps(_mm512_load_ps(a + d), q, sa);
			sb = _mm512_fmadd_ps(_mm512_load_ps(b + d), q, sb);
			sc = _mm512_fmadd_ps(_mm512_load_ps(c + d), q, sc);
			se = _mm512_fmadd_ps(_mm512_load_ps(e + d), q, se);
		}
		out[i] = _mm512_reduce_add_ps(sa);
		out[i + 1] = _mm512_reduce_add_ps(sb);
		out[i + 2] = _mm512_reduce_add_ps(sc);
		out[i + 3] = _mm512_reduce_add_ps(se);
	}
	for (; i < n; i++) {
		__m512 s = _mm512_setzero_ps();
		for (int64_t d = 0; d < stride; d += 16)
			s = _mm512_fmadd_ps(_mm512_load_ps(rows + i * stride + d), _mm512_load_ps(query + d), s);
		out[i] = _mm512_reduce_add_ps(s);
	}
}

uint64_t phiz_sweep_avx512(const void *data, size_t size)
{
	const __m512i *p = data;
	__m512i a = _mm512_setzero_si512();
	uint64_t word[8], all = 0;

	for (size_t i = 0; i < size / 64; i++)
		a = _mm512_xor_si512(a, _mm512_load_si512(p + i));
	_mm512_storeu_si512(word, a);
	for (int l = 0; l < 8; l++)
		all ^= word[l];
	return all;
}
