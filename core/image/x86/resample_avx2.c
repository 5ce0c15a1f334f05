/* Resampling: the sums of core/image/resize.c and affine.c, in their types and their order. A pixel is read as four
 * bytes and written as four, of which the last belongs to its neighbour. */
#include "core/image/fast_kernels.h"

#include <immintrin.h>
#include <string.h>

static __m128i load_bytes(const uint8_t *p)
{
	int bytes;

	memcpy(&bytes, p, sizeof bytes);
	return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
}

/* Lanes are 0..255, or larger and cut off to that. */
static int to_bytes(__m128i lanes)
{
	__m128i words = _mm_packs_epi32(lanes, lanes);

	return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

int phiz_resize_rgb_avx2(const uint8_t *in, int width, const int *first, const int *used, const int32_t *weight,
                         int taps, int count, int bits, uint8_t *out)
{
	int i = 0;

	for (; i + 1 < count && first[i] + used[i] < width; i++, out += 3) {
		const int32_t *w = weight + (size_t)i * (size_t)taps;
		const uint8_t *p = in + (size_t)first[i] * 3;
		__m128i sum = _mm_set1_epi32(1 << (bits - 1));
		for (int k = 0; k < used[i]; k++, p += 3)
			sum = _mm_add_epi32(sum, _mm_mullo_epi32(load_bytes(p), _mm_set1_epi32(w[k])));
		int bytes = to_bytes(_mm_srai_epi32(sum, bits));
		memcpy(out, &bytes, sizeof bytes);
	}
	return i;
}

size_t phiz_resize_rows_avx2(const uint8_t *in, size_t stride, const int32_t *weight, int used, int bits, size_t bytes,
                             uint8_t *out)
{
	const __m256i half = _mm256_set1_epi32(1 << (bits - 1)), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	size_t i = 0;

	for (; i + 32 <= bytes; i += 32) {
		const uint8_t *p = in + i;
		__m256i sum[4] = {half, half, half, half};
		for (int k = 0; k < used; k++, p += stride) {
			__m256i w = _mm256_set1_epi32(weight[k]);
			for (int j = 0; j < 4; j++) {
				__m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8 * j)));
				sum[j] = _mm256_add_epi32(sum[j], _mm256_mullo_epi32(v, w));
			}
		}
		for (int j = 0; j < 4; j++)
			sum[j] = _mm256_srai_epi32(sum[j], bits);
		__m256i v = _mm256_packus_epi16(_mm256_packs_epi32(sum[0], sum[1]), _mm256_packs_epi32(sum[2], sum[3]));
		_mm256_storeu_si256((__m256i *)(out + i), _mm256_permutevar8x32_epi32(v, order));
	}
	return i;
}

/* Four doubles of a pixel, the last one its neighbour's. */
static __m256d load_pixel(const uint8_t *p)
{
	return _mm256_cvtepi32_pd(load_bytes(p));
}

/* a + (b - a) t */
static __m256d between(__m256d a, __m256d b, __m256d t)
{
	return _mm256_add_pd(a, _mm256_mul_pd(_mm256_sub_pd(b, a), t));
}

/* m x + rest + last for four x's, half a pixel less. */
static __m256d place(__m256d x, double m, double rest, double last)
{
	__m256d v = _mm256_add_pd(_mm256_mul_pd(_mm256_set1_pd(m), x), _mm256_set1_pd(rest));

	return _mm256_sub_pd(_mm256_add_pd(v, _mm256_set1_pd(last)), _mm256_set1_pd(0.5));
}

int phiz_bilinear_rgb_avx2(const uint8_t *data, size_t stride, const double m[6], int x, int y, int count, uint8_t *out)
{
	const __m256d steps = _mm256_setr_pd(0.5, 1.5, 2.5, 3.5);
	double rest_x = m[1] * (y + 0.5), rest_y = m[4] * (y + 0.5);
	int i = 0;

	for (; i + 4 < count; i += 4) {
		__m256d at = _mm256_add_pd(_mm256_set1_pd(x + i), steps);
		__m256d sx = place(at, m[0], rest_x, m[2]), sy = place(at, m[3], rest_y, m[5]);
		__m128i whole_x = _mm256_cvttpd_epi32(sx), whole_y = _mm256_cvttpd_epi32(sy);
		int column[4], row[4];
		double dx[4], dy[4];
		_mm_storeu_si128((__m128i *)column, whole_x);
		_mm_storeu_si128((__m128i *)row, whole_y);
		_mm256_storeu_pd(dx, _mm256_sub_pd(sx, _mm256_cvtepi32_pd(whole_x)));
		_mm256_storeu_pd(dy, _mm256_sub_pd(sy, _mm256_cvtepi32_pd(whole_y)));
		for (int k = 0; k < 4; k++, out += 3) {
			const uint8_t *p = data + (size_t)row[k] * stride + (size_t)column[k] * 3, *q = p + stride;
			__m256d t = _mm256_set1_pd(dx[k]);
			__m256d v = between(between(load_pixel(p), load_pixel(p + 3), t),
			                    between(load_pixel(q), load_pixel(q + 3), t), _mm256_set1_pd(dy[k]));
			int bytes = to_bytes(_mm256_cvttpd_epi32(v));
			memcpy(out, &bytes, sizeof bytes);
		}
	}
	return i;
}
