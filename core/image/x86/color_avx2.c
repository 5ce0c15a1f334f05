/* core/image/x86/color.h with eight lanes. */
#include "core/image/fast_kernels.h"

#include <immintrin.h>
#include <string.h>

/* Eight pixels are 24 bytes, read as two times 16. */
enum { LANES = 8, READ = 10 };

typedef __m256i ints;
typedef __m256 floats;
typedef __m256i mask;

struct pixels {
	ints r, g, b;
};

static inline ints each(int v) { return _mm256_set1_epi32(v); }
static inline floats each_f(float v) { return _mm256_set1_ps(v); }
static inline ints add(ints a, ints b) { return _mm256_add_epi32(a, b); }
static inline ints sub(ints a, ints b) { return _mm256_sub_epi32(a, b); }
static inline ints mul(ints a, ints b) { return _mm256_mullo_epi32(a, b); }
static inline ints larger(ints a, ints b) { return _mm256_max_epi32(a, b); }
static inline ints smaller(ints a, ints b) { return _mm256_min_epi32(a, b); }
static inline ints both(ints a, ints b) { return _mm256_and_si256(a, b); }
static inline ints shift_right(ints a, int n) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(n)); }
static inline floats add_f(floats a, floats b) { return _mm256_add_ps(a, b); }
static inline floats sub_f(floats a, floats b) { return _mm256_sub_ps(a, b); }
static inline floats mul_f(floats a, floats b) { return _mm256_mul_ps(a, b); }
static inline floats div_f(floats a, floats b) { return _mm256_div_ps(a, b); }
static inline floats to_float(ints a) { return _mm256_cvtepi32_ps(a); }
static inline ints whole(floats a) { return _mm256_cvttps_epi32(a); }
static inline floats limit(floats a)
{
	return _mm256_min_ps(_mm256_max_ps(a, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
}
static inline mask equal(ints a, ints b) { return _mm256_cmpeq_epi32(a, b); }
static inline mask below(floats a, floats b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
static inline mask either(mask a, mask b) { return _mm256_or_si256(a, b); }
static inline ints choose(mask m, ints a, ints b) { return _mm256_blendv_epi8(b, a, m); }
static inline floats choose_f(mask m, floats a, floats b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m)); }

static inline struct pixels load(const uint8_t *rgb)
{
	__m256i rows = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)rgb));
	const __m256i first = _mm256_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1,
	                                       0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
	const __m256i one = _mm256_set1_epi32(1), two = _mm256_set1_epi32(2);

	rows = _mm256_inserti128_si256(rows, _mm_loadu_si128((const __m128i *)(rgb + 12)), 1);
	return (struct pixels){_mm256_shuffle_epi8(rows, first), _mm256_shuffle_epi8(rows, _mm256_add_epi32(first, one)),
	                       _mm256_shuffle_epi8(rows, _mm256_add_epi32(first, two))};
}

/* Lanes are 0..255. Writes 24 bytes and no more. */
static inline void store(uint8_t *rgb, struct pixels p)
{
	const __m256i order = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
	                                       0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
	__m256i words = _mm256_or_si256(p.r, _mm256_or_si256(_mm256_slli_epi32(p.g, 8), _mm256_slli_epi32(p.b, 16)));
	__m256i packed = _mm256_shuffle_epi8(words, order);
	__m128i high = _mm256_extracti128_si256(packed, 1);

	_mm_storeu_si128((__m128i *)rgb, _mm256_castsi256_si128(packed));
	_mm_storel_epi64((__m128i *)(rgb + 12), high);
	int last = _mm_extract_epi32(high, 2);
	memcpy(rgb + 20, &last, 4);
}

#include "core/image/x86/color.h"

size_t phiz_blend_avx2(uint8_t *bytes, size_t n, int gray, float factor)
{
	const __m256i from = _mm256_set1_epi32(gray), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256 from_f = _mm256_cvtepi32_ps(from), f = _mm256_set1_ps(factor);
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		__m256i v[4];
		for (int k = 0; k < 4; k++)
			v[k] = blend(from, from_f, _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(bytes + i + 8 * k))), f);
		__m256i words = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
		_mm256_storeu_si256((__m256i *)(bytes + i), _mm256_permutevar8x32_epi32(words, order));
	}
	return i;
}

size_t phiz_luma_sum_avx2(const uint8_t *rgb, size_t pixels, uint64_t *sum)
{
	__m256i total = _mm256_setzero_si256();
	uint64_t lane[4];
	size_t i = 0;

	for (; i + READ <= pixels; i += LANES)
		total = _mm256_add_epi64(total, _mm256_sad_epu8(luma(load(rgb + 3 * i)), _mm256_setzero_si256()));
	_mm256_storeu_si256((__m256i *)lane, total);
	*sum += lane[0] + lane[1] + lane[2] + lane[3];
	return i;
}

size_t phiz_saturate_avx2(uint8_t *rgb, size_t pixels, float factor)
{
	return saturate(rgb, pixels, factor);
}

size_t phiz_hue_avx2(uint8_t *rgb, size_t pixels, int shift)
{
	return move_hue(rgb, pixels, shift);
}
