/* Search with AVX2: four rows at a time, two registers of each. */
#include "core/cpu/search.h"

#include <immintrin.h>

static float total(__m256 v)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/* out[i] = rows[i] . query; accumulates in float, 16 lanes a row. */
void phiz_dots_avx2(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	int64_t i = 0;

	for (; i + 4 <= n; i += 4) {
		const float *a = rows + i * stride, *b = a + stride, *c = b + stride, *e = c + stride;
		__m256 sa = _mm256_setzero_ps(), sb = sa, sc = sa, se = sa, ta = sa, tb = sa, tc = sa, te = sa;
		for (int64_t d = 0; d < stride; d += 16) {
			__m256 q = _mm256_load_ps(query + d), r = _mm256_load_ps(query + d + 8);
			sa = _mm256_fmadd_ps(_mm256_load_ps(a + d), q, sa);
			ta = _mm256_fmadd_ps(_mm256_load_ps(a + d + 8), r, ta);
			sb = _mm256_fmadd_ps(_mm256_load_ps(b + d), q, sb);
			tb = _mm256_fmadd_ps(_mm256_load_ps(b + d + 8), r, tb);
			sc = _mm256_fmadd_ps(_mm256_load_ps(c + d), q, sc);
			tc = _mm256_fmadd_ps(_mm256_load_ps(c + d + 8), r, tc);
			se = _mm256_fmadd_ps(_mm256_load_ps(e + d), q, se);
			te = _mm256_fmadd_ps(_mm256_load_ps(e + d + 8), r, te);
		}
		out[i] = total(_mm256_add_ps(sa, ta));
		out[i + 1] = total(_mm256_add_ps(sb, tb));
		out[i + 2] = total(_mm256_add_ps(sc, tc));
		out[i + 3] = total(_mm256_add_ps(se, te));
	}
	for (; i < n; i++) {
		const float *a = rows + i * stride;
		__m256 s = _mm256_setzero_ps(), t = s;
		for (int64_t d = 0; d < stride; d += 16) {
			s = _mm256_fmadd_ps(_mm256_load_ps(a + d), _mm256_load_ps(query + d), s);
			t = _mm256_fmadd_ps(_mm256_load_ps(a + d + 8), _mm256_load_ps(query + d + 8), t);
		}
		out[i] = total(_mm256_add_ps(s, t));
	}
}

uint64_t phiz_sweep_avx2(const void *data, size_t size)
{
	const __m256i *p = data;
	__m256i a = _mm256_setzero_si256(), b = a;
	uint64_t word[4];

	for (size_t i = 0; i < size / 32; i += 2) {
		a = _mm256_xor_si256(a, _mm256_load_si256(p + i));
		b = _mm256_xor_si256(b, _mm256_load_si256(p + i + 1));
	}
	_mm256_storeu_si256((__m256i *)(void *)word, _mm256_xor_si256(a, b));
	return word[0] ^ word[1] ^ word[2] ^ word[3];
}
