/* Inner loops of the filters' gradient for AVX2 with FMA: tiles of 6 channels x 16 filters. */
#include <immintrin.h>

#include "core/cpu/conv_weights.h"

#define LANES 8
#define INLINE static inline __attribute__((always_inline))

INLINE void tile(const int R, const int V, const struct phiz_weight_tile *t)
{
	__m256 sum[6][4];
	for (int r = 0; r < R; r++)
		for (int v = 0; v < V; v++)
			sum[r][v] = _mm256_setzero_ps();
	const int64_t plane = t->plane, stride = t->stride_x;
	for (int s = 0; s < t->stretches; s++) {
		const float *in = t->in + t->stretch[s].in;
		const float *b = t->panel + t->stretch[s].dout * V * LANES;
		for (int64_t n = t->stretch[s].count; n > 0; n--) {
			__m256 gradient[4];
			for (int v = 0; v < V; v++)
				gradient[v] = _mm256_load_ps(b + v * LANES);
			for (int r = 0; r < R; r++) {
				__m256 pixel = _mm256_broadcast_ss(in + r * plane);
				for (int v = 0; v < V; v++)
					sum[r][v] = _mm256_fmadd_ps(pixel, gradient[v], sum[r][v]);
			}
			in += stride;
			b += V * LANES;
		}
	}
	for (int r = 0; r < R; r++)
		for (int v = 0; v < V; v++) {
			float *to = t->sum + (r * V + v) * LANES;
			_mm256_store_ps(to, _mm256_add_ps(_mm256_load_ps(to), sum[r][v]));
		}
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_weight_tile *t) { tile(r, v, t); }
#define TILES(v) TILE(1, v) TILE(2, v) TILE(3, v) TILE(4, v) TILE(5, v) TILE(6, v)
TILES(1) TILES(2)
TILE(1, 4) TILE(2, 4) TILE(3, 4)

/* Turns 8 x 8 floats in registers. */
INLINE void turn_square(__m256 m[LANES])
{
	__m256 t[LANES];
	for (int i = 0; i < LANES; i += 2) {
		t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
	}
	for (int i = 0; i < LANES; i += 4) {
		m[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
		m[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
		m[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		m[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	for (int i = 0; i < 4; i++) {
		t[i] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x20);
		t[i + 4] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x31);
	}
	for (int i = 0; i < LANES; i++)
		m[i] = t[i];
}

static void turn(const float *from, int64_t plane, int64_t pixels, int filters, int width, float *to)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	for (int64_t i = 0; i < pixels; i += LANES) {
		int left = pixels - i < LANES ? (int)(pixels - i) : LANES;
		__m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), lane);
		for (int j = 0; j < width; j += LANES) {
			__m256 m[LANES];
			for (int r = 0; r < LANES; r++)
				m[r] = j + r < filters ? _mm256_maskload_ps(from + (j + r) * plane + i, inside) : _mm256_setzero_ps();
			turn_square(m);
			for (int r = 0; r < left; r++)
				_mm256_store_ps(to + (i + r) * width + j, m[r]);
		}
	}
}

const struct phiz_weights_micro phiz_weights_avx2 = {
	.lanes = LANES,
	.rows = 6,
	.vectors = 2,
	.tile = {tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2},
	.narrow = {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1},
	.wide_rows = 3,
	.wide_vectors = 4,
	.wide = {tile_1x4, tile_2x4, tile_3x4},
	.turn = turn,
};
