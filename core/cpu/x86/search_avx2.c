/* Search with AVX2: row by row, since memory is quickest when it is read in one stream. */
#include "core/cpu/search.h"

#include <immintrin.h>

/* The sum of the products as eight lanes. */
static inline __m256 row_product(const float *a, const float *query, int64_t stride)
{
	__m256 s = _mm256_setzero_ps(), t = s, u = s, v = s;
	int64_t d = 0;

	for (; d + 32 <= stride; d += 32) {
		s = _mm256_fmadd_ps(_mm256_load_ps(a + d), _mm256_load_ps(query + d), s);
		t = _mm256_fmadd_ps(_mm256_load_ps(a + d + 8), _mm256_load_ps(query + d + 8), t);
		u = _mm256_fmadd_ps(_mm256_load_ps(a + d + 16), _mm256_load_ps(query + d + 16), u);
		v = _mm256_fmadd_ps(_mm256_load_ps(a + d + 24), _mm256_load_ps(query + d + 24), v);
	}
	if (d < stride) {
		s = _mm256_fmadd_ps(_mm256_load_ps(a + d), _mm256_load_ps(query + d), s);
		t = _mm256_fmadd_ps(_mm256_load_ps(a + d + 8), _mm256_load_ps(query + d + 8), t);
	}
	return _mm256_add_ps(_mm256_add_ps(s, t), _mm256_add_ps(u, v));
}

/* The sums of the lanes of four. */
static inline __m128 four_totals(__m256 a, __m256 b, __m256 c, __m256 e)
{
	__m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, e));

	return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

/* out[i] = rows[i] . query; accumulates in float, 32 lanes a row. */
void phiz_dots_avx2(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	__m256 zero = _mm256_setzero_ps();
	int64_t i = 0;

	for (; i + 4 <= n; i += 4) {
		const float *a = rows + i * stride;
		__m256 p = row_product(a, query, stride), q = row_product(a + stride, query, stride);
		__m256 r = row_product(a + 2 * stride, query, stride), s = row_product(a + 3 * stride, query, stride);
		_mm_storeu_ps(out + i, four_totals(p, q, r, s));
	}
	for (; i < n; i++)
		_mm_store_ss(out + i, four_totals(row_product(rows + i * stride, query, stride), zero, zero, zero));
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
