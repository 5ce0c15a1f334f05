/* Quantised convolution with AVX2: picture and filters as 16 bits, for products of bytes would saturate; tiles of 6
 * pixels times 16 filters, 12 sums, 2 filters and a pixel in 16 registers. */
#include <immintrin.h>

#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/cpu/quantized.h"
#include "core/cpu/unroll.h"

enum { PIXELS = 6, HALVES = 2 };

static void sum_tile(const struct phiz_quantized_tile *t)
{
	__m256i sum[PIXELS][HALVES];

	UNROLL for (int p = 0; p < PIXELS; p++)
		UNROLL for (int h = 0; h < HALVES; h++)
			sum[p][h] = _mm256_loadu_si256((const __m256i *)(const void *)(t->shift + 8 * h));
	const uint8_t *pixels[PIXELS];
	UNROLL for (int p = 0; p < PIXELS; p++)
		pixels[p] = t->in + t->at[p];
	for (int s = 0; s < t->slabs; s++) {
		const int64_t at = t->offset[s];
		const int8_t *w = t->w + (int64_t)s * PHIZ_SLAB * PHIZ_FILTER_GROUP * 2;
		for (int i = 0; i < PHIZ_SLAB * 2; i += 4, w += 64) {
			__m256i filter[HALVES];
			UNROLL for (int h = 0; h < HALVES; h++)
				filter[h] = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32 * h));
			UNROLL for (int p = 0; p < PIXELS; p++) {
				int32_t two;
				__builtin_memcpy(&two, pixels[p] + at + i, 4);
				__m256i pixel = _mm256_set1_epi32(two);
				UNROLL for (int h = 0; h < HALVES; h++)
					sum[p][h] = _mm256_add_epi32(sum[p][h], _mm256_madd_epi16(pixel, filter[h]));
			}
		}
	}
	UNROLL for (int p = 0; p < PIXELS; p++)
		UNROLL for (int h = 0; h < HALVES; h++)
			_mm256_storeu_si256((__m256i *)(void *)(t->sum + p * PHIZ_FILTER_GROUP + 8 * h), sum[p][h]);
}

/* 8 bytes, each in 32 bits. */
static __m256i load_bytes(const uint8_t *p)
{
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

/* Filters h .. h + 7 of pixel i. */
static __m256i finish_half(const struct phiz_quantized_finish *f, int i, int h)
{
	__m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(f->sum + 16 * i + h));
	__m256 t = _mm256_mul_ps(_mm256_loadu_ps(f->scale + h), _mm256_cvtepi32_ps(sum));

	t = _mm256_add_ps(t, _mm256_loadu_ps(f->bias + h));
	if (f->residual) {
		__m256i z = _mm256_sub_epi32(load_bytes(f->residual + f->to[i] + h), _mm256_set1_epi32(f->residual_zero));
		t = _mm256_add_ps(t, _mm256_mul_ps(_mm256_set1_ps(f->residual_scale), _mm256_cvtepi32_ps(z)));
	}
	if (f->slope) {
		__m256 below = _mm256_cmp_ps(t, _mm256_setzero_ps(), _CMP_LE_OQ);
		t = _mm256_blendv_ps(t, _mm256_mul_ps(t, _mm256_loadu_ps(f->slope + h)), below);
	}
	t = _mm256_max_ps(t, _mm256_set1_ps(f->low)); /* NaN becomes the second operand */
	t = _mm256_min_ps(t, _mm256_set1_ps((float)(255 - f->zero)));
	return _mm256_add_epi32(_mm256_cvtps_epi32(t), _mm256_set1_epi32(f->zero));
}

static void finish(const struct phiz_quantized_finish *f)
{
	for (int i = 0; i < f->count; i++) {
		if (f->to[i] < 0)
			continue;
		__m256i words = _mm256_packs_epi32(finish_half(f, i, 0), finish_half(f, i, 8)); /* 0-3 8-11, 4-7 12-15 */
		words = _mm256_permute4x64_epi64(words, 0xD8);
		__m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
		_mm_storeu_si128((__m128i *)(void *)(f->out + f->to[i]), bytes);
	}
}

static const struct phiz_quantized_micro micro = {
	.pixels = PIXELS, .groups = 1, .wide = true, .sum = sum_tile, .finish = finish,
};

#define PHIZ_QUANTIZED_ROW(op) phiz_cpu_##op##_u8_avx2
#define PHIZ_QUANTIZED_TEXT "direct.avx2"
#define PHIZ_QUANTIZED_FEATURES PHIZ_CPU_AVX2
#include "core/cpu/quantized_rows.h"
