/* conv2d of wide rows with AVX-512: tiles of 8 filters x 3 vectors. */
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
#define ZERO() _mm512_setzero_ps()
#define ACTIVATE(v, act, slope) activate(v, act, slope)
#define MOST_FILTERS 8
#define MOST_VECTORS 3
#define EACH_FILTERS(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8)

static inline __m512 activate(__m512 sum, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return sum;
	/* Not max: NaN stays NaN. */
	__mmask16 negative = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_LE_OQ);
	if (act == PHIZ_ACT_RELU)
		return _mm512_maskz_mov_ps((__mmask16)~negative, sum);
	return _mm512_mask_mul_ps(sum, negative, sum, _mm512_set1_ps(slope));
}

#include "core/cpu/x86/conv_direct.h"

const struct phiz_kernel phiz_cpu_conv2d_direct_f32_avx512 = {
	.op = "conv2d", .name = "direct_rows.avx512", .dtype = PHIZ_F32, .features = PHIZ_CPU_AVX512,
	.supports = supports, .workspace = workspace, .forward = forward,
};
