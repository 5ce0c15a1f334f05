/* The inner loops of blocked convolution (blocked.h) for one instruction set. The file that includes this has defined
 *
 *   LANES                 floats of a vector: 4, 8 or 16
 *   VEC                   its type
 *   LOAD(p), STORE(p, v)  unaligned
 *   SPREAD(p)             *p in every lane
 *   FMA(a, b, c)          a * b + c, rounded once
 *   ADD(a, b), ZERO()
 *   ACTIVATE(v, act, slope)
 *   PIXELS                of a tile: PIXELS * 16 / LANES sums (twice that in tiles of pairs) stay in registers
 */
#if !defined(LANES) || !defined(VEC)
#error "define LANES, VEC and the operations on it"
#endif
#include "core/cpu/blocked.h"

#define PARTS (PHIZ_BLOCK / LANES)
#define INLINE static inline __attribute__((always_inline))
/* Sums in arrays come to lie in registers only where the loops over them are unrolled early. */
#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_4 _Pragma("GCC unroll 4")
#else
#define UNROLL
#define UNROLL_4
#endif

INLINE void finish(const struct phiz_blocked_tile *t, VEC sum, int pixel, int filters, int part)
{
	int64_t at = filters * t->out_filters + t->to[pixel] + part * LANES;
	if (t->add)
		sum = ADD(sum, LOAD(t->out + at));
	if (t->finish) {
		if (t->bias)
			sum = ADD(sum, LOAD(t->bias + filters * PHIZ_BLOCK + part * LANES));
		if (t->residual)
			sum = ADD(sum, LOAD(t->residual + at));
		sum = ACTIVATE(sum, t->act, t->slope);
	}
	STORE(t->out + at, sum);
}

/* P pixels, F blocks of filters, D channels a tap (0: t->depth). */
INLINE void tile(const struct phiz_blocked_tile *t, const int P, const int F, const int D)
{
	VEC sum[PIXELS][2 * PARTS];
	const float *w = t->w, *in = t->in;
	const int depth = D ? D : t->depth;
	UNROLL
	for (int p = 0; p < P; p++)
		UNROLL
		for (int v = 0; v < F * PARTS; v++)
			sum[p][v] = ZERO();
	for (int b = 0; b < t->blocks; b++, in += t->in_block) {
		const int32_t *offset = t->offset;
		for (int tap = 0; tap < t->taps; tap++, offset += PIXELS) {
			const float *x[PIXELS];
			UNROLL
			for (int p = 0; p < P; p++)
				x[p] = offset[p] < 0 ? t->zeros : in + offset[p];
			UNROLL_4
			for (int d = 0; d < depth; d++, w += PHIZ_BLOCK) {
				VEC filter[2 * PARTS];
				UNROLL
				for (int v = 0; v < F * PARTS; v++)
					filter[v] = LOAD(w + v / PARTS * t->w_filters + v % PARTS * LANES);
				UNROLL
				for (int p = 0; p < P; p++) {
					VEC pixel = SPREAD(x[p] + d);
					UNROLL
					for (int v = 0; v < F * PARTS; v++)
						sum[p][v] = FMA(pixel, filter[v], sum[p][v]);
				}
			}
		}
	}
	/* What follows branches, and goes through memory; the sums above must not. */
	VEC done[PIXELS][2 * PARTS];
	UNROLL
	for (int p = 0; p < P; p++)
		UNROLL
		for (int v = 0; v < F * PARTS; v++)
			done[p][v] = sum[p][v];
	for (int p = 0; p < P; p++)
		for (int v = 0; v < F * PARTS; v++)
			finish(t, done[p][v], p, v / PARTS, v % PARTS);
}

/* R rows of the depth times 16 filters. */
INLINE void outer(const struct phiz_blocked_outer *t, const int R)
{
	VEC sum[16][PARTS];
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < PARTS; v++)
			sum[r][v] = ZERO();
	for (int64_t n = 0; n < t->images; n++)
		for (int64_t row = 0; row < t->rows; row++) {
			const float *x = t->in + n * t->in_image + row * t->in_row;
			const float *g = t->dout + n * t->dout_image + row * t->dout_row;
			for (int64_t q = 0; q < t->cols; q++, x += t->in_col, g += PHIZ_BLOCK) {
				VEC filter[PARTS];
				UNROLL
				for (int v = 0; v < PARTS; v++)
					filter[v] = LOAD(g + v * LANES);
				UNROLL
				for (int r = 0; r < R; r++) {
					VEC pixel = SPREAD(x + r);
					UNROLL
					for (int v = 0; v < PARTS; v++)
						sum[r][v] = FMA(pixel, filter[v], sum[r][v]);
				}
			}
		}
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int v = 0; v < PARTS; v++)
			STORE(t->sum + r * PHIZ_BLOCK + v * LANES, ADD(LOAD(t->sum + r * PHIZ_BLOCK + v * LANES), sum[r][v]));
}

#define TILE(P)                                                                           \
	static void tile_##P(const struct phiz_blocked_tile *t) { tile(t, P, 1, PHIZ_BLOCK); } \
	static void any_##P(const struct phiz_blocked_tile *t) { tile(t, P, 1, 0); }
#define PAIR(P)                                                                           \
	static void pair_##P(const struct phiz_blocked_tile *t) { tile(t, P, 2, PHIZ_BLOCK); } \
	static void any_pair_##P(const struct phiz_blocked_tile *t) { tile(t, P, 2, 0); }
#define OUTER(R) \
	static void outer_##R(const struct phiz_blocked_outer *t) { outer(t, R); }
