/* What quantised convolution with AVX512-VNNI and with AMX share: what is done to the sums of 16 filters. */
#ifndef PHIZ_CPU_X86_QUANTIZED_AVX512_H
#define PHIZ_CPU_X86_QUANTIZED_AVX512_H

#include <immintrin.h>

#include "core/cpu/quantized.h"

/* Each pixel is 16 sums, and 16 bytes. */
static void finish(const struct phiz_quantized_finish *f)
{
	const __m512 scale = _mm512_loadu_ps(f->scale), bias = _mm512_loadu_ps(f->bias);
	const __m512 slope = f->slope ? _mm512_loadu_ps(f->slope) : _mm512_setzero_ps();
	const __m512 residual_scale = _mm512_set1_ps(f->residual_scale);
	const __m512i residual_zero = _mm512_set1_epi32(f->residual_zero), zero = _mm512_set1_epi32(f->zero);
	const __m512 low = _mm512_set1_ps(f->low), high = _mm512_set1_ps((float)(255 - f->zero));

	for (int i = 0; i < f->count; i++) {
		const int32_t to = f->to[i];
		if (to < 0)
			continue;
		__m512i sum = _mm512_loadu_si512(f->sum + 16 * i);
		__m512 t = _mm512_add_ps(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum)), bias);
		if (f->residual) {
			__m512i z = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(f->residual + to)));
			__m512 r = _mm512_cvtepi32_ps(_mm512_sub_epi32(z, residual_zero));
			t = _mm512_add_ps(t, _mm512_mul_ps(residual_scale, r));
		}
		if (f->slope)
			t = _mm512_mask_mul_ps(t, _mm512_cmp_ps_mask(t, _mm512_setzero_ps(), _CMP_LE_OQ), t, slope);
		t = _mm512_min_ps(_mm512_max_ps(t, low), high); /* NaN becomes the second operand */
		__m512i y = _mm512_add_epi32(_mm512_cvtps_epi32(t), zero);
		_mm_storeu_si128((__m128i *)(void *)(f->out + to), _mm512_cvtepi32_epi8(y));
	}
}

#endif
