/* conv2d of wide rows with AVX2: tiles of 3 filters x 3 vectors; with 12 sums, compilers run out of registers. */
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
#define ZERO() _mm256_setzero_ps()
#define ACTIVATE(v, act, slope) activate(v, act, slope)
#define MOST_FILTERS 3
#define MOST_VECTORS 3
#define EACH_FILTERS(M) M(1) M(2) M(3)

static inline __m256 activate(__m256 sum, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return sum;
	/* Not max: NaN stays NaN. */
	__m256 negative = _mm256_cmp_ps(sum, _mm256_setzero_ps(), _CMP_LE_OQ);
	if (act == PHIZ_ACT_RELU)
		return _mm256_andnot_ps(negative, sum);
	return _mm256_blendv_ps(sum, _mm256_mul_ps(sum, _mm256_set1_ps(slope)), negative);
}

#include "core/cpu/x86/conv_direct.h"

const struct phiz_kernel phiz_cpu_conv2d_direct_f32_avx2 = {
	.op = "conv2d", .name = "direct_rows.avx2", .dtype = PHIZ_F32, .features = PHIZ_CPU_AVX2, .supports = supports,
	.workspace = workspace, .forward = forward,
};
