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
#define PIXELS 6

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
	.winograd_in = {winograd_in_2, winograd_in_4},
	.winograd_out = {winograd_out_2, winograd_out_4},
	.winograd_dout = winograd_dout,
	.winograd_filters = {winograd_filters_2, winograd_filters_4},
	.winograd_dfilters = winograd_dfilters,
};

#define PHIZ_BLOCKED_ROW(op) phiz_cpu_##op##_f32_avx2
#define PHIZ_BLOCKED_TEXT "avx2"
#define PHIZ_BLOCKED_FEATURES PHIZ_CPU_AVX2
#include "core/cpu/blocked_rows.h"
