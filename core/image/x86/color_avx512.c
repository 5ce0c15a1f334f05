/* core/image/x86/color.h with sixteen lanes. */
#include "core/image/fast_kernels.h"

#include <immintrin.h>

enum { LANES = 16, READ = 16 };

typedef __m512i ints;
typedef __m512 floats;
typedef __mmask16 mask;

struct pixels {
	ints r, g, b;
};

static inline ints each(int v) { return _mm512_set1_epi32(v); }
static inline floats each_f(float v) { return _mm512_set1_ps(v); }
static inline ints add(ints a, ints b) { return _mm512_add_epi32(a, b); }
static inline ints sub(ints a, ints b) { return _mm512_sub_epi32(a, b); }
static inline ints mul(ints a, ints b) { return _mm512_mullo_epi32(a, b); }
static inline ints larger(ints a, ints b) { return _mm512_max_epi32(a, b); }
static inline ints smaller(ints a, ints b) { return _mm512_min_epi32(a, b); }
static inline ints both(ints a, ints b) { return _mm512_and_si512(a, b); }
static inline ints shift_right(ints a, int n) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n)); }
static inline floats add_f(floats a, floats b) { return _mm512_add_ps(a, b); }
static inline floats sub_f(floats a, floats b) { return _mm512_sub_ps(a, b); }
static inline floats mul_f(floats a, floats b) { return _mm512_mul_ps(a, b); }
static inline floats div_f(floats a, floats b) { return _mm512_div_ps(a, b); }
static inline floats to_float(ints a) { return _mm512_cvtepi32_ps(a); }
static inline ints whole(floats a) { return _mm512_cvttps_epi32(a); }
static inline floats limit(floats a)
{
	return _mm512_min_ps(_mm512_max_ps(a, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
}
static inline mask equal(ints a, ints b) { return _mm512_cmpeq_epi32_mask(a, b); }
static inline mask below(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline mask either(mask a, mask b) { return (mask)(a | b); }
static inline ints choose(mask m, ints a, ints b) { return _mm512_mask_blend_epi32(m, b, a); }
static inline floats choose_f(mask m, floats a, floats b) { return _mm512_mask_blend_ps(m, b, a); }

/* In 32 and 16 bytes: a masked store of 64 would hold up the load of the pixels behind it. */
static inline struct pixels load(const uint8_t *rgb)
{
	/* Three words of four pixels each into every quarter, then a byte of each into its lane. */
	const ints spread = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
	const ints first = _mm512_set4_epi32(-247, -250, -253, -256); /* bytes 9, 6, 3, 0, the rest zero */
	ints words = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)rgb));

	words = _mm512_inserti32x4(words, _mm_loadu_si128((const __m128i *)(rgb + 32)), 2);
	words = _mm512_permutexvar_epi32(spread, words);
	return (struct pixels){_mm512_shuffle_epi8(words, first), _mm512_shuffle_epi8(words, add(first, each(1))),
	                       _mm512_shuffle_epi8(words, add(first, each(2)))};
}

static inline void store(uint8_t *rgb, struct pixels p)
{
	const ints bytes = _mm512_set4_epi32(-1, 0x0e0d0c0a, 0x09080605, 0x04020100);
	const ints gather = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15);
	ints words = _mm512_or_si512(p.r, _mm512_or_si512(_mm512_slli_epi32(p.g, 8), _mm512_slli_epi32(p.b, 16)));

	words = _mm512_permutexvar_epi32(gather, _mm512_shuffle_epi8(words, bytes));
	_mm256_storeu_si256((__m256i *)rgb, _mm512_castsi512_si256(words));
	_mm_storeu_si128((__m128i *)(rgb + 32), _mm512_extracti32x4_epi32(words, 2));
}

#include "core/image/x86/color.h"

size_t phiz_saturate_avx512(uint8_t *rgb, size_t pixels, float factor)
{
	return saturate(rgb, pixels, factor);
}

size_t phiz_hue_avx512(uint8_t *rgb, size_t pixels, int shift)
{
	return move_hue(rgb, pixels, shift);
}
