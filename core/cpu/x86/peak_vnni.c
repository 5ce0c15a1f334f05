#include "core/cpu/peak.h"

#include <immintrin.h>

/* sum += four bytes * four bytes in 16 registers: two a cycle, of up to 5 cycles' latency, need 10. */
float phiz_peak_vnni(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	__m512i sum[16], a = _mm512_set1_epi8((char)(100 * factor)), b = _mm512_set1_epi8((char)(1000 * term));

	for (int i = 0; i < 16; i++)
		sum[i] = _mm512_loadu_si512(start + i % 12 * 16);
	for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
	for (int i = 1; i < 16; i++)
		sum[0] = _mm512_add_epi32(sum[0], sum[i]);
	*flops = 16 * 64 * 2;
	return _mm512_reduce_add_ps(_mm512_cvtepi32_ps(sum[0]));
}
