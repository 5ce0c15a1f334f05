/* Blocked convolution with AVX2: tiles of 6 pixels times 16 filters, 12 sums, 2 filters and a pixel in 16 registers. */
#include <immintrin.h>

#include "core/cpu/features.h"
#include "core/ops/ops.h"

#define LANES 8
#define VEC __m256
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define SPREAD(p) _mm256_broadcast_ss(p)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ADD(a, b) _mm256_add_ps(a, b)
#define SUB(a, b) _mm256_sub_ps(a, b)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define SPREAD_VALUE(x) _mm256_set1_ps(x)
#define ZERO() _mm256_setzero_ps()
#define ACTIVATE(v, act, slope) activate(v, act, slope)
#define LOAD_BF16(p) load_bf16(p)
#define STORE_BF16(p, v) store_bf16(p, v)
#define PIXELS 6

static inline __m256 load_bf16(const uint16_t *p)
{
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

/* To the nearest, of two as near to the even one; NaN stays NaN. */
static inline void store_bf16(uint16_t *p, __m256 v)
{
	__m256i u = _mm256_castps_si256(v), high = _mm256_srli_epi32(u, 16);
	__m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
	__m256i near = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
	__m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
	near = _mm256_blendv_epi8(near, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
	__m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(near, near), 0x08);
	_mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
}

/* NaN stays NaN. */
static inline __m256 activate(__m256 v, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return v;
	__m256 below = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LE_OQ);
	__m256 low = act == PHIZ_ACT_RELU ? _mm256_setzero_ps() : _mm256_mul_ps(v, _mm256_set1_ps(slope));
	return _mm256_blendv_ps(v, low, below);
}

#include "core/cpu/blocked_tiles.h"

TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
PRODUCT(1) PRODUCT(2) PRODUCT(3) PRODUCT(4) PRODUCT(5) PRODUCT(6)
OUTER(1) OUTER(2) OUTER(3) OUTER(4) OUTER(5) OUTER(6)

static const struct phiz_blocked_micro micro = {
	.pixels = PIXELS,
	.tile = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
	.any = {any_1, any_2, any_3, any_4, any_5, any_6},
	.product = {product_1, product_2, product_3, product_4, product_5, product_6},
	.rows = 6,
	.outer = {outer_1, outer_2, outer_3, outer_4, outer_5, outer_6},
	WINOGRAD_ROW
};

#define PHIZ_BLOCKED_ROW(op) phiz_cpu_##op##_f32_avx2
#define PHIZ_BLOCKED_TEXT "avx2"
#define PHIZ_BLOCKED_FEATURES PHIZ_CPU_AVX2
#include "core/cpu/blocked_rows.h"
