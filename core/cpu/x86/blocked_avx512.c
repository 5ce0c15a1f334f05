/* Blocked convolution with AVX-512: tiles of 12 pixels times 32 filters, 24 sums, 2 filters and a pixel in 32
 * registers. */
#include <immintrin.h>

#include "core/cpu/features.h"
#include "core/ops/ops.h"

#define LANES 16
#define VEC __m512
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define SPREAD(p) _mm512_set1_ps(*(p))
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ADD(a, b) _mm512_add_ps(a, b)
#define SUB(a, b) _mm512_sub_ps(a, b)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define SPREAD_VALUE(x) _mm512_set1_ps(x)
#define ZERO() _mm512_setzero_ps()
#define ACTIVATE(v, act, slope) activate(v, act, slope)
#define LOAD_BF16(p) load_bf16(p)
#define STORE_BF16(p, v) store_bf16(p, v)
#define PIXELS 12

static inline __m512 load_bf16(const uint16_t *p)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

/* To the nearest, of two as near to the even one; NaN stays NaN. */
static inline void store_bf16(uint16_t *p, __m512 v)
{
	__m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
	__m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
	__m512i near = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
	__mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
	near = _mm512_mask_or_epi32(near, nan, high, _mm512_set1_epi32(0x40));
	_mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(near));
}

/* NaN stays NaN. */
static inline __m512 activate(__m512 v, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return v;
	__mmask16 below = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LE_OQ);
	__m512 low = act == PHIZ_ACT_RELU ? _mm512_setzero_ps() : _mm512_mul_ps(v, _mm512_set1_ps(slope));
	return _mm512_mask_blend_ps(below, v, low);
}

#include "core/cpu/blocked_tiles.h"

#define EACH_PIXELS(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12)
#define EACH_ROWS(M) EACH_PIXELS(M) M(13) M(14) M(15) M(16)
EACH_PIXELS(TILE)
EACH_PIXELS(PAIR)
EACH_PIXELS(PRODUCT)
EACH_PIXELS(PRODUCT_PAIR)
EACH_ROWS(OUTER)

#define NAME_TILE(P) tile_##P,
#define NAME_ANY(P) any_##P,
#define NAME_PAIR(P) pair_##P,
#define NAME_ANY_PAIR(P) any_pair_##P,
#define NAME_PRODUCT(P) product_##P,
#define NAME_PRODUCT_PAIR(P) product_pair_##P,
#define NAME_OUTER(R) outer_##R,
static const struct phiz_blocked_micro micro = {
	.pixels = PIXELS,
	.pairs = true,
	.tile = {EACH_PIXELS(NAME_TILE)},
	.any = {EACH_PIXELS(NAME_ANY)},
	.pair = {EACH_PIXELS(NAME_PAIR)},
	.any_pair = {EACH_PIXELS(NAME_ANY_PAIR)},
	.product = {EACH_PIXELS(NAME_PRODUCT)},
	.product_pair = {EACH_PIXELS(NAME_PRODUCT_PAIR)},
	.rows = 16,
	.outer = {EACH_ROWS(NAME_OUTER)},
	WINOGRAD_ROW
};

#define PHIZ_BLOCKED_ROW(op) phiz_cpu_##op##_f32_avx512
#define PHIZ_BLOCKED_TEXT "avx512"
#define PHIZ_BLOCKED_FEATURES PHIZ_CPU_AVX512
#include "core/cpu/blocked_rows.h"
