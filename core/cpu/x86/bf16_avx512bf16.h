/* What AVX512-BF16 does for bf16.h besides products; AMX's processors have it too. */
#ifndef PHIZ_CPU_X86_BF16_AVX512BF16_H
#define PHIZ_CPU_X86_BF16_AVX512BF16_H

#include <immintrin.h>

#include "core/cpu/bf16.h"
#include "core/cpu/unroll.h"
#include "core/ops/ops.h"

static inline __m512 phiz_bf16_wide_512(const uint16_t *p)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

/* NaN stays NaN. */
static inline __m512 phiz_bf16_act_512(__m512 v, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return v;
	__mmask16 below = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LE_OQ);
	__m512 low = act == PHIZ_ACT_RELU ? _mm512_setzero_ps() : _mm512_mul_ps(v, _mm512_set1_ps(slope));
	return _mm512_mask_blend_ps(below, v, low);
}

static inline void phiz_bf16_finish_512(const struct phiz_bf16_finish *t)
{
	__m512 bias[2];
	for (int v = 0; v < 2; v++)
		bias[v] = t->bias ? _mm512_loadu_ps(t->bias + v * 16) : _mm512_setzero_ps();
	for (int i = 0; i < t->rows; i++) {
		__m512 sum[2];
		if (t->to[i] < 0)
			continue;
		uint16_t *out = t->out + t->to[i];
		UNROLL
		for (int v = 0; v < 2; v++) {
			sum[v] = _mm512_add_ps(_mm512_loadu_ps(t->c + i * PHIZ_BF16_BLOCK + v * 16), bias[v]);
			if (t->add)
				sum[v] = _mm512_add_ps(sum[v], phiz_bf16_wide_512(out + v * 16));
			if (t->residual)
				sum[v] = _mm512_add_ps(sum[v], phiz_bf16_wide_512(t->residual + t->to[i] + v * 16));
			sum[v] = phiz_bf16_act_512(sum[v], t->act, t->slope);
		}
		_mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(sum[1], sum[0]));
	}
}

/* The 16-bit numbers of two registers in turn: a0 b0 a1 b1 ... */
static inline void phiz_bf16_weave_512(__m512i a, __m512i b, __m512i out[2])
{
	const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
	const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
	__m512i even = _mm512_unpacklo_epi16(a, b), odd = _mm512_unpackhi_epi16(a, b);
	out[0] = _mm512_permutex2var_epi64(even, low, odd);
	out[1] = _mm512_permutex2var_epi64(even, high, odd);
}

static inline void phiz_bf16_pair_512(uint16_t *to, const uint16_t *a, const uint16_t *b, int64_t step, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		__m512i out[2];
		phiz_bf16_weave_512(_mm512_loadu_si512(a + i * step), _mm512_loadu_si512(b + i * step), out);
		_mm512_storeu_si512(to + i * 2 * PHIZ_BF16_BLOCK, out[0]);
		_mm512_storeu_si512(to + i * 2 * PHIZ_BF16_BLOCK + PHIZ_BF16_BLOCK, out[1]);
	}
}

/* [16][16] of 32 bits: the lines of v become columns. */
static inline void phiz_bf16_transpose_512(__m512i v[16])
{
	__m512i w[16];
	UNROLL
	for (int i = 0; i < 16; i += 2) {
		w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
	UNROLL
	for (int i = 0; i < 16; i += 4) {
		v[i] = _mm512_unpacklo_epi64(w[i], w[i + 2]);
		v[i + 1] = _mm512_unpackhi_epi64(w[i], w[i + 2]);
		v[i + 2] = _mm512_unpacklo_epi64(w[i + 1], w[i + 3]);
		v[i + 3] = _mm512_unpackhi_epi64(w[i + 1], w[i + 3]);
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		w[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
		w[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
		w[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
		w[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
	}
	UNROLL
	for (int i = 0; i < 8; i++) {
		v[i] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0x88);
		v[i + 8] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0xdd);
	}
}

static inline void phiz_bf16_turn_512(uint16_t *to, const uint16_t *from)
{
	__m512i low[16], high[16];
	for (int i = 0; i < 16; i++) {
		__m512i out[2];
		phiz_bf16_weave_512(_mm512_loadu_si512(from + 2 * i * PHIZ_BF16_BLOCK),
		                    _mm512_loadu_si512(from + (2 * i + 1) * PHIZ_BF16_BLOCK), out);
		low[i] = out[0];
		high[i] = out[1];
	}
	phiz_bf16_transpose_512(low);
	phiz_bf16_transpose_512(high);
	for (int i = 0; i < 16; i++) {
		_mm512_storeu_si512(to + i * PHIZ_BF16_BLOCK, low[i]);
		_mm512_storeu_si512(to + (16 + i) * PHIZ_BF16_BLOCK, high[i]);
	}
}

#endif
