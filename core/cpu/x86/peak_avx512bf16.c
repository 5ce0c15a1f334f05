#include "core/cpu/peak.h"

#include <immintrin.h>

/* sum += pair * pair in 16 registers: two a cycle, of up to 6 cycles' latency, need 12. */
float phiz_peak_avx512bf16(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	__m512 sum[16];
	__m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(factor), _mm512_set1_ps(factor));
	__m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(term), _mm512_set1_ps(-term)); /* the sums stay where they are */

	for (int i = 0; i < 16; i++)
		sum[i] = _mm512_loadu_ps(start + i % 12 * 16);
	for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
	for (int i = 1; i < 16; i++)
		sum[0] = _mm512_add_ps(sum[0], sum[i]);
	*flops = 16 * 32 * 2;
	return _mm512_reduce_add_ps(sum[0]);
}
