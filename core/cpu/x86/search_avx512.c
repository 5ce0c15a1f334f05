/* Search with AVX-512: row by row, since memory is quickest when it is read in one stream. */
#include "core/cpu/search.h"

#include <immintrin.h>

/* out[i] = rows[i] . query; accumulates in float, 64 lanes a row. */
void phiz_dots_avx512(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	for (int64_t i = 0; i < n; i++) {
		const float *a = rows + i * stride;
		__m512 s = _mm512_setzero_ps(), t = s, u = s, v = s;
		int64_t d = 0;
		for (; d + 64 <= stride; d += 64) {
			s = _mm512_fmadd_ps(_mm512_load_ps(a + d), _mm512_load_ps(query + d), s);
			t = _mm512_fmadd_ps(_mm512_load_ps(a + d + 16), _mm512_load_ps(query + d + 16), t);
			u = _mm512_fmadd_ps(_mm512_load_ps(a + d + 32), _mm512_load_ps(query + d + 32), u);
			v = _mm512_fmadd_ps(_mm512_load_ps(a + d + 48), _mm512_load_ps(query + d + 48), v);
		}
		for (; d < stride; d += 16)
			s = _mm512_fmadd_ps(_mm512_load_ps(a + d), _mm512_load_ps(query + d), s);
		out[i] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s, t), _mm512_add_ps(u, v)));
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
