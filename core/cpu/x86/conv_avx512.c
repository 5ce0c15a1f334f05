/* Inner loops of convolution for AVX-512: tiles of 8 filters x 48 pixels in 24 registers. */
#include <immintrin.h>

#include "core/cpu/conv.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/ops.h"

#define LANES 16
#define LINE 16 /* floats in a line of the cache */
#define INLINE static inline __attribute__((always_inline))
/* Sums in arrays come to lie in registers only where the loops over them are unrolled early. */
#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

INLINE __m512 finish(__m512 sum, const struct phiz_tile *t, int row, const float *residual, __mmask16 lanes)
{
	if (t->bias)
		sum = _mm512_add_ps(sum, _mm512_set1_ps(t->bias[row]));
	if (t->residual)
		sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, residual));
	if (t->act == PHIZ_ACT_NONE)
		return sum;
	/* Not max: NaN stays NaN. */
	__mmask16 negative = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_LE_OQ);
	if (t->act == PHIZ_ACT_RELU)
		return _mm512_maskz_mov_ps((__mmask16)~negative, sum);
	return _mm512_mask_mul_ps(sum, negative, sum, _mm512_set1_ps(t->slope));
}

/* c[r][j] (+)= sum over k of a[r][k] * b[k][j], r < R, j < 16 * V. The compiler unrolls over the constants R and V and
 * keeps the sums in registers. */
INLINE void tile(const int R, const int V, const struct phiz_tile *t)
{
	__m512 sum[8][3];
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < V; v++)
			sum[r][v] = _mm512_setzero_ps();
	const float *a = t->a, *b = t->b;
	const int64_t lda = t->lda;
	for (int64_t left = t->depth; left > 0; left -= LINE) {
		/* The next tile's filters: too many streams for the processor to see them coming. Outside of the inner loop,
		 * for a prefetch makes the compiler store all sums. */
		UNROLL
		for (int r = 0; r < R && R == 8; r++)
			_mm_prefetch((const char *)(a + (R + r) * lda), _MM_HINT_T0);
		const int steps = left < LINE ? (int)left : LINE;
		for (int k = 0; k < steps; k++) {
			__m512 pixel[3];
			UNROLL
			for (int v = 0; v < V; v++)
				pixel[v] = _mm512_load_ps(b + v * LANES);
			UNROLL
			for (int r = 0; r < R; r++) {
				__m512 filter = _mm512_set1_ps(a[r * lda]);
				UNROLL
				for (int v = 0; v < V; v++)
					sum[r][v] = _mm512_fmadd_ps(filter, pixel[v], sum[r][v]);
			}
			a++;
			b += V * LANES;
		}
	}
	/* What follows is too long to be unrolled, and goes through memory; the sums above must not. */
	__m512 done[8][3];
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < V; v++)
			done[r][v] = sum[r][v];
	const __mmask16 last = (__mmask16)(0xffffu >> (LANES - t->last_lanes));
	for (int r = 0; r < R; r++) {
		float *c = t->c + r * t->ldc;
		for (int v = 0; v < V; v++) {
			__mmask16 lanes = v == V - 1 ? last : 0xffff;
			__m512 s = done[r][v];
			if (t->add)
				s = _mm512_add_ps(s, _mm512_maskz_loadu_ps(lanes, c + v * LANES));
			if (t->finish) {
				const float *residual = t->residual ? t->residual + r * t->ldc + v * LANES : NULL;
				s = finish(s, t, r, residual, lanes);
			}
			_mm512_mask_storeu_ps(c + v * LANES, lanes, s);
		}
	}
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_tile *t) { tile(r, v, t); }
TILE(8, 1) TILE(8, 2) TILE(8, 3) TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(1, 1) TILE(1, 2) TILE(1, 3)

/* The sums of 4 vectors. */
INLINE __m128 sum4(__m512 a, __m512 b, __m512 c, __m512 d)
{
	__m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
	__m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
	__m512 s = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
	__m256 half = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
	return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* Rows beyond `rows` repeat the last one and are not written; likewise columns. */
static void odd(const struct phiz_tile *t, int rows, int columns)
{
	__m512 sum[PHIZ_ODD_ROWS][PHIZ_ODD_COLUMNS];
	const float *a[PHIZ_ODD_ROWS], *b[PHIZ_ODD_COLUMNS];
	for (int i = 0; i < 4; i++) {
		a[i] = t->a + (i < rows ? i : rows - 1) * t->lda;
		b[i] = t->b + (i < columns ? i : columns - 1) * t->ldb;
		for (int j = 0; j < 4; j++)
			sum[i][j] = _mm512_setzero_ps();
	}
	for (int64_t k = 0; k < t->depth; k += LANES) {
		__mmask16 inside = (__mmask16)(t->depth - k < LANES ? (1u << (t->depth - k)) - 1 : 0xffffu);
		__m512 pixel[PHIZ_ODD_COLUMNS];
		for (int j = 0; j < 4; j++)
			pixel[j] = _mm512_maskz_loadu_ps(inside, b[j] + k);
		for (int i = 0; i < 4; i++) {
			__m512 filter = _mm512_maskz_loadu_ps(inside, a[i] + k);
			for (int j = 0; j < 4; j++)
				sum[i][j] = _mm512_fmadd_ps(filter, pixel[j], sum[i][j]);
		}
	}
	const __mmask8 wanted = (__mmask8)((1u << columns) - 1);
	for (int i = 0; i < rows; i++) {
		float *c = t->c + i * t->ldc;
		__m128 s = sum4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
		if (t->add)
			s = _mm_add_ps(s, _mm_maskz_loadu_ps(wanted, c));
		_mm_mask_storeu_ps(c, wanted, s);
	}
}

/* The lanes whose pixel under the tap (dy, dx) lies inside the image. */
INLINE __mmask16 inside(const struct phiz_lanes *lanes, int dy, int dx, int height, int width)
{
	__m512i y = _mm512_add_epi32(_mm512_loadu_si512(lanes->y), _mm512_set1_epi32(dy));
	__m512i x = _mm512_add_epi32(_mm512_loadu_si512(lanes->x), _mm512_set1_epi32(dx));
	__mmask16 in_y = _mm512_cmplt_epu32_mask(y, _mm512_set1_epi32(height));
	return _mm512_mask_cmplt_epu32_mask(in_y, x, _mm512_set1_epi32(width));
}

/* One vector under one tap, for all channels: `step` elements apart in b, `plane` in the image. */
INLINE void pack_runs(const float *in, int64_t plane, const struct phiz_lanes *lanes, __mmask16 valid, int channels,
                      float *b, int64_t step)
{
	const float *from[LANES];
	__mmask16 mask[LANES];
	int n = 0;
	for (int i = 0; i < lanes->runs; i++) {
		mask[n] = valid & (__mmask16)lanes->run[i].lanes;
		from[n] = in + lanes->run[i].offset;
		n += mask[n] != 0;
	}
	if (n == 0) {
		for (int c = 0; c < channels; c++, b += step)
			_mm512_store_ps(b, _mm512_setzero_ps());
	} else if (n == 1) {
		for (int c = 0; c < channels; c++, b += step, from[0] += plane)
			_mm512_store_ps(b, _mm512_maskz_loadu_ps(mask[0], from[0]));
	} else if (n == 2) {
		for (int c = 0; c < channels; c++, b += step, from[0] += plane, from[1] += plane)
			_mm512_store_ps(b, _mm512_mask_loadu_ps(_mm512_maskz_loadu_ps(mask[0], from[0]), mask[1], from[1]));
	} else {
		for (int64_t c = 0; c < channels; c++, b += step) {
			__m512 v = _mm512_maskz_loadu_ps(mask[0], from[0] + c * plane);
			for (int i = 1; i < n; i++)
				v = _mm512_mask_loadu_ps(v, mask[i], from[i] + c * plane);
			_mm512_store_ps(b, v);
		}
	}
}

/* Every second element of 32 from `from`, where the lane's bit is set. */
INLINE __m512 load_even(const float *from, __mmask16 lanes)
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__mmask16 low = (__mmask16)_pdep_u32(lanes, 0x5555), high = (__mmask16)_pdep_u32(lanes >> 8, 0x5555);
	return _mm512_permutex2var_ps(_mm512_maskz_loadu_ps(low, from), even, _mm512_maskz_loadu_ps(high, from + LANES));
}

/* As pack_runs, for a horizontal stride of 2. */
INLINE void pack_even(const float *in, int64_t plane, const struct phiz_lanes *lanes, __mmask16 valid, int channels,
                      float *b, int64_t step)
{
	for (int64_t c = 0; c < channels; c++, b += step) {
		__m512 v = _mm512_setzero_ps();
		for (int i = 0; i < lanes->runs; i++) {
			__mmask16 mask = valid & (__mmask16)lanes->run[i].lanes;
			if (mask)
				v = _mm512_or_ps(v, load_even(in + lanes->run[i].offset + c * plane, mask));
		}
		_mm512_store_ps(b, v);
	}
}

INLINE void pack_gather(const float *in, int64_t plane, const struct phiz_lanes *lanes, __mmask16 valid, int channels,
                        float *b, int64_t step)
{
	__m512i offset = _mm512_loadu_si512(lanes->offset);
	for (int c = 0; c < channels; c++, b += step, in += plane)
		_mm512_store_ps(b, _mm512_mask_i32gather_ps(_mm512_setzero_ps(), valid, offset, in, 4));
}

static void pack(const struct phiz_taps *t, const struct phiz_lanes *lanes, int vectors, int c0, int c1, float *b)
{
	const int taps = t->taps_y * t->taps_x;
	const int64_t width = (int64_t)vectors * LANES;
	for (int i = 0; i < taps; i++) {
		int dy = t->first_y + i / t->taps_x * t->step_y, dx = t->first_x + i % t->taps_x * t->step_x;
		const float *in = t->in + c0 * t->in_plane + (int64_t)dy * t->width + dx;
		for (int v = 0; v < vectors; v++) {
			__mmask16 valid = inside(lanes + v, dy, dx, t->height, t->width);
			float *to = b + i * width + v * LANES;
			if (t->stride_x == 1)
				pack_runs(in, t->in_plane, lanes + v, valid, c1 - c0, to, taps * width);
			else if (t->stride_x == 2)
				pack_even(in, t->in_plane, lanes + v, valid, c1 - c0, to, taps * width);
			else
				pack_gather(in, t->in_plane, lanes + v, valid, c1 - c0, to, taps * width);
		}
	}
}

static const struct phiz_conv_micro taps = {
	LANES, 8, 768 << 10, {8, 4, 1},
	{{tile_8x1, tile_8x2, tile_8x3}, {tile_4x1, tile_4x2, tile_4x3}, {tile_1x1, tile_1x2, tile_1x3}},
	odd, pack,
};

static const struct phiz_conv_inner inner = {&taps, &phiz_weights_avx512};

#define PHIZ_CONV_SUFFIX(op) phiz_cpu_##op##_f32_avx512
#define PHIZ_CONV_TEXT "implicit_gemm.avx512"
#define PHIZ_CONV_FEATURES PHIZ_CPU_AVX512
#include "core/cpu/conv_rows.h"
