/* The inner loops of blocked convolution (blocked.h) for one instruction set. The file that includes this has defined
 *
 *   LANES                 floats of a vector: 4, 8 or 16
 *   VEC                   its type
 *   LOAD(p), STORE(p, v)  unaligned
 *   SPREAD(p)             *p in every lane
 *   FMA(a, b, c)          a * b + c, rounded once
 *   ADD(a, b), SUB(a, b), MUL(a, b), ZERO()
 *   SPREAD_VALUE(x)       x in every lane
 *   ACTIVATE(v, act, slope)
 *   LOAD_BF16(p), STORE_BF16(p, v)  of bf16, rounded to the nearest
 *   PIXELS                of a tile: PIXELS * 16 / LANES sums (twice that in tiles of pairs) stay in registers
 */
#if !defined(LANES) || !defined(VEC)
#error "define LANES, VEC and the operations on it"
#endif
#include "core/cpu/blocked.h"
#include "core/cpu/unroll.h"

#define PARTS (PHIZ_BLOCK / LANES)
#define INLINE static inline __attribute__((always_inline))

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

/* sum[p] += pixel p * filters, over the depth of one tap. X(p): where pixel p lies. */
#define ADD_TAP(X)                                                                                    \
	UNROLL_4                                                                                          \
	for (int d = 0; d < depth; d++, w += PHIZ_BLOCK) {                                                \
		VEC filter[2 * PARTS];                                                                        \
		UNROLL                                                                                        \
		for (int f = 0; f < F; f++)                                                                   \
			__builtin_prefetch(w + f * t->w_filters + t->ahead, 0, 2);                                \
		UNROLL                                                                                        \
		for (int v = 0; v < F * PARTS; v++)                                                           \
			filter[v] = LOAD(w + v / PARTS * t->w_filters + v % PARTS * LANES);                       \
		UNROLL                                                                                        \
		for (int p = 0; p < P; p++) {                                                                 \
			VEC pixel = SPREAD(X(p) + d);                                                             \
			UNROLL                                                                                    \
			for (int v = 0; v < F * PARTS; v++)                                                       \
				sum[p][v] = FMA(pixel, filter[v], sum[p][v]);                                         \
		}                                                                                             \
	}
#define ANY_PIXEL(p) x[p]
#define RUN_PIXEL(p) (x[(p) / 3] + (p) % 3 * t->step) /* three pixels a register: 1 and 2 steps are its index */

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
			if (t->kind[tap] == PHIZ_TAP_NONE) {
				w += depth * PHIZ_BLOCK;
			} else if (t->kind[tap] == PHIZ_TAP_RUN) {
				UNROLL
				for (int p = 0; p < P; p += 3)
					x[p / 3] = in + offset[0] + p * t->step;
				ADD_TAP(RUN_PIXEL)
			} else {
				UNROLL
				for (int p = 0; p < P; p++)
					x[p] = offset[p] < 0 ? t->zeros : in + offset[p];
				ADD_TAP(ANY_PIXEL)
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

/* P pixels, F blocks of filters. */
INLINE void product(const struct phiz_blocked_product *t, const int P, const int F)
{
	VEC sum[PIXELS][2 * PARTS];
	const float *w = t->w, *in = t->v, *next = t->next;
	UNROLL
	for (int p = 0; p < P; p++)
		UNROLL
		for (int v = 0; v < F * PARTS; v++)
			sum[p][v] = t->add ? LOAD(t->out + v / PARTS * t->out_filters + p * PHIZ_BLOCK + v % PARTS * LANES)
			                   : ZERO();
	for (int b = 0; b < t->blocks; b++, in += t->v_block, w += PHIZ_BLOCK * PHIZ_BLOCK)
		UNROLL_4
		for (int d = 0; d < PHIZ_BLOCK; d++) {
			VEC filter[2 * PARTS];
			UNROLL
			for (int f = 0; f < F; f++)
				__builtin_prefetch(next + f * t->next_filters, 0, 2);
			next += t->next_step;
			UNROLL
			for (int v = 0; v < F * PARTS; v++)
				filter[v] = LOAD(w + v / PARTS * t->w_filters + d * PHIZ_BLOCK + v % PARTS * LANES);
			UNROLL
			for (int p = 0; p < P; p++) {
				VEC pixel = SPREAD(in + p * PHIZ_BLOCK + d);
				UNROLL
				for (int v = 0; v < F * PARTS; v++)
					sum[p][v] = FMA(pixel, filter[v], sum[p][v]);
			}
		}
	UNROLL
	for (int p = 0; p < P; p++)
		UNROLL
		for (int v = 0; v < F * PARTS; v++)
			STORE(t->out + v / PARTS * t->out_filters + p * PHIZ_BLOCK + v % PARTS * LANES, sum[p][v]);
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
				__builtin_prefetch(x + t->in_row); /* with strides, more than the processor foresees */
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

/* --- Winograd's transforms: first down the columns, then along the rows. --- */

/* y = B^T x */
INLINE void winograd_in_line(const int M, VEC y[6], const VEC x[6])
{
	if (M == 2) {
		y[0] = SUB(x[0], x[2]);
		y[1] = ADD(x[1], x[2]);
		y[2] = SUB(x[2], x[1]);
		y[3] = SUB(x[1], x[3]);
	} else {
		const VEC four = SPREAD_VALUE(4), five = SPREAD_VALUE(-5), two = SPREAD_VALUE(2);
		VEC even = FMA(SPREAD_VALUE(-4), x[2], x[4]), odd = FMA(SPREAD_VALUE(-4), x[1], x[3]);
		VEC near = SUB(x[4], x[2]), far = MUL(two, SUB(x[3], x[1]));
		y[0] = FMA(four, x[0], FMA(five, x[2], x[4]));
		y[1] = ADD(even, odd);
		y[2] = SUB(even, odd);
		y[3] = ADD(near, far);
		y[4] = SUB(near, far);
		y[5] = FMA(four, x[1], FMA(five, x[3], x[5]));
	}
}

/* y = A^T x */
INLINE void winograd_out_line(const int M, VEC y[4], const VEC x[6])
{
	VEC sum = ADD(x[1], x[2]), difference = SUB(x[1], x[2]);
	if (M == 2) {
		y[0] = ADD(x[0], sum);
		y[1] = SUB(difference, x[3]);
	} else {
		VEC sum2 = ADD(x[3], x[4]), difference2 = SUB(x[3], x[4]);
		y[0] = ADD(ADD(x[0], sum), sum2);
		y[1] = FMA(SPREAD_VALUE(2), difference2, difference);
		y[2] = FMA(SPREAD_VALUE(4), sum2, sum);
		y[3] = ADD(FMA(SPREAD_VALUE(8), difference2, difference), x[5]);
	}
}

INLINE VEC load_pixel(const bool bf16, const void *picture, int64_t at)
{
	return bf16 ? LOAD_BF16((const uint16_t *)picture + at) : LOAD((const float *)picture + at);
}

INLINE void store_pixel(const bool bf16, void *picture, int64_t at, VEC v)
{
	if (bf16)
		STORE_BF16((uint16_t *)picture + at, v);
	else
		STORE((float *)picture + at, v);
}

#define PIXEL_STEP(bf16) ((bf16) ? 2 * PHIZ_BLOCK : PHIZ_BLOCK) /* elements from pixel to pixel */

INLINE void winograd_in(const struct phiz_winograd_in *t, const int M, const bool bf16)
{
	const bool inside = t->y >= 0 && t->x >= 0 && t->y + M + 2 <= t->height && t->x + M + 2 <= t->width;
	for (int part = 0; part < PARTS; part++) {
		VEC middle[6][6];
		for (int j = 0; j < M + 2; j++) {
			VEC x[6], y[6];
			UNROLL
			for (int i = 0; i < M + 2; i++) {
				int row = t->y + i, col = t->x + j;
				bool here = inside || (row >= 0 && row < t->height && col >= 0 && col < t->width);
				int64_t at = row * t->in_row + col * PIXEL_STEP(bf16) + part * LANES;
				x[i] = here ? load_pixel(bf16, t->in, at) : ZERO();
			}
			winograd_in_line(M, y, x);
			UNROLL
			for (int i = 0; i < M + 2; i++)
				middle[i][j] = y[i];
		}
		for (int i = 0; i < M + 2; i++) {
			VEC y[6];
			winograd_in_line(M, y, middle[i]);
			UNROLL
			for (int j = 0; j < M + 2; j++)
				STORE(t->v + (i * (M + 2) + j) * t->step + part * LANES, y[j]);
		}
	}
}

INLINE void winograd_out(const struct phiz_winograd_out *t, const int M, const bool bf16)
{
	for (int part = 0; part < PARTS; part++) {
		VEC middle[4][6];
		for (int j = 0; j < M + 2; j++) {
			VEC x[6], y[4];
			UNROLL
			for (int i = 0; i < M + 2; i++)
				x[i] = LOAD(t->sum + (i * (M + 2) + j) * t->step + part * LANES);
			winograd_out_line(M, y, x);
			UNROLL
			for (int i = 0; i < M; i++)
				middle[i][j] = y[i];
		}
		for (int i = 0; i < M && i < t->rows; i++) {
			VEC y[4];
			winograd_out_line(M, y, middle[i]);
			for (int j = 0; j < M && j < t->cols; j++) {
				int64_t at = i * t->out_row + j * PIXEL_STEP(bf16) + part * LANES;
				VEC v = y[j];
				if (t->add)
					v = ADD(v, load_pixel(bf16, t->out, at));
				if (t->bias)
					v = ADD(v, LOAD(t->bias + part * LANES));
				if (t->residual)
					v = ADD(v, load_pixel(bf16, t->residual, at));
				store_pixel(bf16, t->out, at, ACTIVATE(v, t->act, t->slope));
			}
		}
	}
}

/* y = A x */
INLINE void winograd_dout_line(VEC y[6], const VEC x[4])
{
	VEC even = ADD(x[0], x[2]), odd = ADD(x[1], x[3]);
	VEC even2 = FMA(SPREAD_VALUE(4), x[2], x[0]), odd2 = FMA(SPREAD_VALUE(8), x[3], ADD(x[1], x[1]));
	y[0] = x[0];
	y[1] = ADD(even, odd);
	y[2] = SUB(even, odd);
	y[3] = ADD(even2, odd2);
	y[4] = SUB(even2, odd2);
	y[5] = x[3];
}

INLINE void winograd_dout(const struct phiz_winograd_dout *t, const bool bf16)
{
	for (int part = 0; part < PARTS; part++) {
		VEC middle[6][4];
		for (int j = 0; j < 4; j++) {
			VEC x[4], y[6];
			UNROLL
			for (int i = 0; i < 4; i++)
				x[i] = i < t->rows && j < t->cols
				           ? load_pixel(bf16, t->dout, i * t->row + j * PIXEL_STEP(bf16) + part * LANES)
				           : ZERO();
			winograd_dout_line(y, x);
			UNROLL
			for (int i = 0; i < 6; i++)
				middle[i][j] = y[i];
		}
		for (int i = 0; i < 6; i++) {
			VEC y[6];
			winograd_dout_line(y, middle[i]);
			UNROLL
			for (int j = 0; j < 6; j++)
				STORE(t->m + (i * 6 + j) * t->step + part * LANES, y[j]);
		}
	}
}

/* y = G x */
INLINE void winograd_filter_line(const int M, VEC y[6], VEC x0, VEC x1, VEC x2)
{
	VEC sum = ADD(x0, x2);
	if (M == 2) {
		y[0] = x0;
		y[1] = MUL(SPREAD_VALUE(0.5f), ADD(sum, x1));
		y[2] = MUL(SPREAD_VALUE(0.5f), SUB(sum, x1));
		y[3] = x2;
	} else {
		VEC far = FMA(SPREAD_VALUE(4), x2, x0), twice = ADD(x1, x1);
		y[0] = MUL(SPREAD_VALUE(0.25f), x0);
		y[1] = MUL(SPREAD_VALUE(-1.0f / 6), ADD(sum, x1));
		y[2] = MUL(SPREAD_VALUE(-1.0f / 6), SUB(sum, x1));
		y[3] = MUL(SPREAD_VALUE(1.0f / 24), ADD(far, twice));
		y[4] = MUL(SPREAD_VALUE(1.0f / 24), SUB(far, twice));
		y[5] = x2;
	}
}

INLINE void winograd_filters(const float *g, float *plane, int64_t step, const int M)
{
	const int tap = PHIZ_BLOCK * PHIZ_BLOCK;
	for (int at = 0; at < PHIZ_BLOCK * PHIZ_BLOCK; at += LANES) {
		VEC middle[3][6], y[6];
		UNROLL
		for (int j = 0; j < 3; j++)
			winograd_filter_line(M, middle[j], LOAD(g + j * tap + at), LOAD(g + (3 + j) * tap + at),
			                     LOAD(g + (6 + j) * tap + at));
		UNROLL
		for (int i = 0; i < M + 2; i++) {
			winograd_filter_line(M, y, middle[0][i], middle[1][i], middle[2][i]);
			UNROLL
			for (int j = 0; j < M + 2; j++)
				STORE(plane + (i * (M + 2) + j) * step + at, y[j]);
		}
	}
}

/* y = G^T x */
INLINE void winograd_dfilter_line(VEC y[3], const VEC x[6])
{
	VEC near = MUL(SPREAD_VALUE(1.0f / 6), ADD(x[1], x[2])), far = ADD(x[3], x[4]);
	VEC turn = MUL(SPREAD_VALUE(1.0f / 6), SUB(x[2], x[1])), away = SUB(x[3], x[4]);
	y[0] = SUB(FMA(SPREAD_VALUE(0.25f), x[0], MUL(SPREAD_VALUE(1.0f / 24), far)), near);
	y[1] = FMA(SPREAD_VALUE(1.0f / 12), away, turn);
	y[2] = ADD(SUB(MUL(SPREAD_VALUE(1.0f / 6), far), near), x[5]);
}

static void winograd_dfilters(const float *sum, int64_t step, float *dg)
{
	for (int part = 0; part < PARTS; part++) {
		VEC middle[3][6], y[3];
		for (int j = 0; j < 6; j++) {
			VEC x[6];
			UNROLL
			for (int i = 0; i < 6; i++)
				x[i] = LOAD(sum + (i * 6 + j) * step + part * LANES);
			winograd_dfilter_line(y, x);
			UNROLL
			for (int i = 0; i < 3; i++)
				middle[i][j] = y[i];
		}
		for (int i = 0; i < 3; i++) {
			winograd_dfilter_line(y, middle[i]);
			UNROLL
			for (int j = 0; j < 3; j++)
				STORE(dg + (i * 3 + j) * PHIZ_BLOCK * PHIZ_BLOCK + part * LANES, y[j]);
		}
	}
}

static void winograd_filters_2(const float *g, float *plane, int64_t step)
{
	winograd_filters(g, plane, step, 2);
}

static void winograd_filters_4(const float *g, float *plane, int64_t step)
{
	winograd_filters(g, plane, step, 4);
}

#define PICTURES(suffix, bf16)                                                                                      \
	static void winograd_in_2_##suffix(const struct phiz_winograd_in *t) { winograd_in(t, 2, bf16); }               \
	static void winograd_in_4_##suffix(const struct phiz_winograd_in *t) { winograd_in(t, 4, bf16); }               \
	static void winograd_out_2_##suffix(const struct phiz_winograd_out *t) { winograd_out(t, 2, bf16); }            \
	static void winograd_out_4_##suffix(const struct phiz_winograd_out *t) { winograd_out(t, 4, bf16); }            \
	static void winograd_dout_##suffix(const struct phiz_winograd_dout *t) { winograd_dout(t, bf16); }
PICTURES(f32, false)
PICTURES(bf16, true)

#define WINOGRAD_ROW                                                                                                \
	.winograd_in = {{winograd_in_2_f32, winograd_in_4_f32}, {winograd_in_2_bf16, winograd_in_4_bf16}},              \
	.winograd_out = {{winograd_out_2_f32, winograd_out_4_f32}, {winograd_out_2_bf16, winograd_out_4_bf16}},         \
	.winograd_dout = {winograd_dout_f32, winograd_dout_bf16},                                                       \
	.winograd_filters = {winograd_filters_2, winograd_filters_4}, .winograd_dfilters = winograd_dfilters,

#define TILE(P)                                                                           \
	static void tile_##P(const struct phiz_blocked_tile *t) { tile(t, P, 1, PHIZ_BLOCK); } \
	static void any_##P(const struct phiz_blocked_tile *t) { tile(t, P, 1, 0); }
#define PAIR(P)                                                                           \
	static void pair_##P(const struct phiz_blocked_tile *t) { tile(t, P, 2, PHIZ_BLOCK); } \
	static void any_pair_##P(const struct phiz_blocked_tile *t) { tile(t, P, 2, 0); }
#define PRODUCT(P) \
	static void product_##P(const struct phiz_blocked_product *t) { product(t, P, 1); }
#define PRODUCT_PAIR(P) \
	static void product_pair_##P(const struct phiz_blocked_product *t) { product(t, P, 2); }
#define OUTER(R) \
	static void outer_##R(const struct phiz_blocked_outer *t) { outer(t, R); }
