/* Inner loops of the filters' gradient for AVX-512: tiles of 8 channels x 32 filters. */
#include <immintrin.h>

#include "core/cpu/conv_weights.h"

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

INLINE void tile(const int R, const int V, const struct phiz_weight_tile *t)
{
	__m512 sum[PHIZ_WEIGHT_ROWS][4];
	for (int r = 0; r < R; r++)
		for (int v = 0; v < V; v++)
			sum[r][v] = _mm512_setzero_ps();
	const int64_t plane = t->plane, stride = t->stride_x;
	for (int s = 0; s < t->stretches; s++) {
		const float *in = t->in + t->stretch[s].in;
		const float *b = t->panel + t->stretch[s].dout * V * LANES;
		for (int64_t n = t->stretch[s].count; n > 0; n--) {
			__m512 gradient[4];
			for (int v = 0; v < V; v++)
				gradient[v] = _mm512_load_ps(b + v * LANES);
			for (int r = 0; r < R; r++) {
				__m512 pixel = _mm512_set1_ps(in[r * plane]);
				for (int v = 0; v < V; v++)
					sum[r][v] = _mm512_fmadd_ps(pixel, gradient[v], sum[r][v]);
			}
			in += stride;
			b += V * LANES;
		}
	}
	for (int r = 0; r < R; r++)
		for (int v = 0; v < V; v++) {
			float *to = t->sum + (r * V + v) * LANES;
			_mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), sum[r][v]));
		}
}

#define TILE(r, v) \
	static void tile_##r##x##v(const struct phiz_weight_tile *t) { tile(r, v, t); }
#define TILES(v) TILE(1, v) TILE(2, v) TILE(3, v) TILE(4, v) TILE(5, v) TILE(6, v) TILE(7, v) TILE(8, v)
TILES(1) TILES(2)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4)

/* Turns 16 x 16 floats in registers: first pairs of rows, then of pairs, within and across 128-bit lanes. */
INLINE void turn_square(__m512 m[LANES])
{
	__m512 t[LANES];
	for (int i = 0; i < LANES; i += 2) {
		t[i] = _mm512_unpacklo_ps(m[i], m[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(m[i], m[i + 1]);
	}
	for (int i = 0; i < LANES; i += 4) {
		m[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
		m[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
		m[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		m[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	for (int i = 0; i < 4; i++) {
		t[i] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0x88);
		t[i + 4] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0xdd);
		t[i + 8] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0x88);
		t[i + 12] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0xdd);
	}
	for (int i = 0; i < 4; i++) {
		m[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
		m[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
		m[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
		m[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
	}
}

static void turn(const float *from, int64_t plane, int64_t pixels, int filters, int width, float *to)
{
	for (int64_t i = 0; i < pixels; i += LANES) {
		int64_t left = pixels - i < LANES ? pixels - i : LANES;
		__mmask16 inside = (__mmask16)(0xffffu >> (LANES - left));
		for (int j = 0; j < width; j += LANES) {
			__m512 m[LANES];
			for (int r = 0; r < LANES; r++)
				m[r] = _mm512_maskz_loadu_ps(j + r < filters ? inside : 0, from + (j + r) * plane + i);
			turn_square(m);
			for (int r = 0; r < left; r++)
				_mm512_store_ps(to + (i + r) * width + j, m[r]);
		}
	}
}

const struct phiz_weights_micro phiz_weights_avx512 = {
	.lanes = LANES,
	.rows = 8,
	.vectors = 2,
	.tile = {tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2},
	.narrow = {tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1},
	.wide_rows = 4,
	.wide_vectors = 4,
	.wide = {tile_1x4, tile_2x4, tile_3x4, tile_4x4},
	.turn = turn,
};
