/* Inner loops of convolution for AVX2 with FMA: tiles of 4 filters x 24 pixels in 12 registers. */
#include <immintrin.h>

#include "core/cpu/conv.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/ops.h"

#define LANES 8
#define LINE 16 /* floats in a line of the cache */
#define INLINE static inline __attribute__((always_inline))
/* Sums in arrays come to lie in registers only where the loops over them are unrolled early. */
#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

/* Lanes 0..count-1. */
INLINE __m256i first_lanes(int count)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE __m256 finish(__m256 sum, const struct phiz_tile *t, int row, const float *residual, __m256i lanes)
{
	if (t->bias)
		sum = _mm256_add_ps(sum, _mm256_set1_ps(t->bias[row]));
	if (t->residual)
		sum = _mm256_add_ps(sum, _mm256_maskload_ps(residual, lanes));
	if (t->act == PHIZ_ACT_NONE)
		return sum;
	/* Not max: NaN stays NaN. */
	__m256 negative = _mm256_cmp_ps(sum, _mm256_setzero_ps(), _CMP_LE_OQ);
	if (t->act == PHIZ_ACT_RELU)
		return _mm256_andnot_ps(negative, sum);
	return _mm256_blendv_ps(sum, _mm256_mul_ps(sum, _mm256_set1_ps(t->slope)), negative);
}

/* c[r][j] (+)= sum over k of a[r][k] * b[k][j], r < R, j < 8 * V. The compiler unrolls over the constants R and V and
 * keeps the sums in registers. */
INLINE void tile(const int R, const int V, const struct phiz_tile *t)
{
	__m256 sum[4][3];
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < V; v++)
			sum[r][v] = _mm256_setzero_ps();
	const float *a = t->a, *b = t->b;
	const int64_t lda = t->lda;
	for (int64_t left = t->depth; left > 0; left -= LINE) {
		/* The next tile's filters: too many streams for the processor to see them coming. Outside of the inner loop,
		 * for a prefetch makes the compiler store all sums. */
		UNROLL
		for (int r = 0; r < R && R == 4; r++)
			_mm_prefetch((const char *)(a + (R + r) * lda), _MM_HINT_T0);
		const int steps = left < LINE ? (int)left : LINE;
		for (int k = 0; k < steps; k++) {
			__m256 pixel[3];
			UNROLL
			for (int v = 0; v < V; v++)
				pixel[v] = _mm256_load_ps(b + v * LANES);
			UNROLL
			for (int r = 0; r < R; r++) {
				__m256 filter = _mm256_broadcast_ss(a + r * lda);
				UNROLL
				for (int v = 0; v < V; v++)
					sum[r][v] = _mm256_fmadd_ps(filter, pixel[v], sum[r][v]);
			}
			a++;
			b += V * LANES;
		}
	}
	/* What follows is too long to be unrolled, and goes through memory; the sums above must not. */
	__m256 done[4][3];
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < V; v++)
			done[r][v] = sum[r][v];
	const __m256i last = first_lanes(t->last_lanes), all = _mm256_set1_epi32(-1);
	for (int r = 0; r < R; r++) {
		float *c = t->c + r * t->ldc;
		for (int v = 0; v < V; v++) {
			__m256i lanes = v == V - 1 ? last : all;
			__m256 s = done[r][v];
			if (t->add)
				s = _mm256_add_ps(s, _mm256_maskload_ps(c + v * LANES, lanes));
			if (t->finish) {
				const float *residual = t->residual ? t->residual + r * t->ldc + v * LANES : NULL;
				s = finish(s, t, r, residual, lanes);
			}
			if (v < V - 1 || t->last_lanes == LANES)
				_mm256_storeu_ps(c + v * LANES, s); /* AMD's processors take long over masked stores */
			else
				_mm256_maskstore_ps(c + v * LANES, lanes, s);
		}
	}
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_tile *t) { tile(r, v, t); }
TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(1, 1) TILE(1, 2) TILE(1, 3)

/* -1 in the lanes whose pixel under the tap (dy, dx) lies inside the image. */
INLINE __m256i inside(const struct phiz_lanes *lanes, int dy, int dx, int height, int width)
{
	__m256i y = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)lanes->y), _mm256_set1_epi32(dy));
	__m256i x = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)lanes->x), _mm256_set1_epi32(dx));
	__m256i before = _mm256_set1_epi32(-1);
	__m256i in_y = _mm256_and_si256(_mm256_cmpgt_epi32(y, before), _mm256_cmpgt_epi32(_mm256_set1_epi32(height), y));
	__m256i in_x = _mm256_and_si256(_mm256_cmpgt_epi32(x, before), _mm256_cmpgt_epi32(_mm256_set1_epi32(width), x));
	return _mm256_and_si256(in_y, in_x);
}

/* -1 in the lanes whose bits are set. */
INLINE __m256i bit_lanes(uint32_t bits)
{
	__m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), bit), bit);
}

/* One vector under one tap, for all channels: `step` elements apart in b, `plane` in the image. */
INLINE void pack_runs(const float *in, int64_t plane, const struct phiz_lanes *lanes, __m256i valid, int channels,
                      float *b, int64_t step)
{
	const float *from[LANES];
	__m256i mask[LANES];
	int n = 0;
	for (int i = 0; i < lanes->runs; i++) {
		mask[n] = _mm256_and_si256(valid, bit_lanes(lanes->run[i].lanes));
		from[n] = in + lanes->run[i].offset;
		n += !_mm256_testz_si256(mask[n], mask[n]);
	}
	if (n == 0) {
		for (int c = 0; c < channels; c++, b += step)
			_mm256_store_ps(b, _mm256_setzero_ps());
	} else if (n == 1 && _mm256_testc_si256(mask[0], _mm256_set1_epi32(-1))) {
		for (int c = 0; c < channels; c++, b += step, from[0] += plane)
			_mm256_store_ps(b, _mm256_loadu_ps(from[0]));
	} else if (n == 1) {
		for (int c = 0; c < channels; c++, b += step, from[0] += plane)
			_mm256_store_ps(b, _mm256_maskload_ps(from[0], mask[0]));
	} else if (n == 2) {
		for (int c = 0; c < channels; c++, b += step, from[0] += plane, from[1] += plane)
			_mm256_store_ps(b, _mm256_or_ps(_mm256_maskload_ps(from[0], mask[0]),
			                                _mm256_maskload_ps(from[1], mask[1])));
	} else {
		for (int64_t c = 0; c < channels; c++, b += step) {
			__m256 v = _mm256_maskload_ps(from[0] + c * plane, mask[0]);
			for (int i = 1; i < n; i++)
				v = _mm256_or_ps(v, _mm256_maskload_ps(from[i] + c * plane, mask[i]));
			_mm256_store_ps(b, v);
		}
	}
}

INLINE void pack_gather(const float *in, int64_t plane, const struct phiz_lanes *lanes, __m256i valid, int channels,
                        float *b, int64_t step)
{
	__m256i offset = _mm256_loadu_si256((const __m256i *)lanes->offset);
	__m256 mask = _mm256_castsi256_ps(valid);
	for (int c = 0; c < channels; c++, b += step, in += plane)
		_mm256_store_ps(b, _mm256_mask_i32gather_ps(_mm256_setzero_ps(), in, offset, mask, 4));
}

static void pack(const struct phiz_taps *t, const struct phiz_lanes *lanes, int vectors, int c0, int c1, float *b)
{
	const int taps = t->taps_y * t->taps_x;
	const int64_t width = (int64_t)vectors * LANES;
	for (int i = 0; i < taps; i++) {
		int dy = t->first_y + i / t->taps_x * t->step_y, dx = t->first_x + i % t->taps_x * t->step_x;
		const float *in = t->in + c0 * t->in_plane + (int64_t)dy * t->width + dx;
		for (int v = 0; v < vectors; v++) {
			__m256i valid = inside(lanes + v, dy, dx, t->height, t->width);
			float *to = b + i * width + v * LANES;
			if (t->stride_x == 1)
				pack_runs(in, t->in_plane, lanes + v, valid, c1 - c0, to, taps * width);
			else
				pack_gather(in, t->in_plane, lanes + v, valid, c1 - c0, to, taps * width);
		}
	}
}

static const struct phiz_conv_micro taps = {
	LANES, 4, 256 << 10, {4, 2, 1},
	{{tile_4x1, tile_4x2, tile_4x3}, {tile_2x1, tile_2x2, tile_2x3}, {tile_1x1, tile_1x2, tile_1x3}},
	NULL, pack,
};

static const struct phiz_conv_inner inner = {&taps, &phiz_weights_avx2};

#define PHIZ_CONV_SUFFIX(op) phiz_cpu_##op##_f32_avx2
#define PHIZ_CONV_TEXT "implicit_gemm.avx2"
#define PHIZ_CONV_FEATURES PHIZ_CPU_AVX2
#include "core/cpu/conv_rows.h"
