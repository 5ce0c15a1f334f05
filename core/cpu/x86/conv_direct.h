/* conv2d for few filters over wide rows: stride 1, no padding, dilation or groups, no residual; forward only.
 *   out[n][k][p][q] = act(bias[k] + sum over c, r, s of in[n][c][p + r][q + s] * weight[k][c][r][s])
 * in float, with fused multiply-add, in the order of c, r, s. Nothing may alias. Where few filters pass over a pixel,
 * packing it into panels (conv_taps.c) costs a good part of the time; here pixels are read where they lie. Vectors of
 * pixels lie in one row of the output; the last of a row is moved to the left, so that it does some pixels twice.
 *
 * Included once per instruction set, with its vectors (VEC, LANES and what is done to them), and MOST_FILTERS x
 * MOST_VECTORS sums of a tile; EACH_FILTERS names each number of filters. */
#include "core/base/thread.h"
#include "core/cpu/conv.h"
#include "core/cpu/kernels.h"
#include "core/ops/ops.h"

#define INLINE static inline __attribute__((always_inline))
/* See conv_avx2.c. */
#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

enum { PIECE = 1 << 20 }; /* multiply-adds that a thread takes at a time */

/* Up to MOST_VECTORS vectors of a row of the output. */
struct group {
	const float *in;      /* of channel 0, tap (0, 0), column 0 */
	float *out;           /* of filter 0, column 0 */
	int at[MOST_VECTORS]; /* their columns */
};

/* Filters k..k+K-1 of V vectors. offset: of each channel and tap, from channel 0 and tap (0, 0). */
INLINE void tile(const int K, const int V, const struct phiz_conv *d, const int32_t *offset, const struct group *g,
                 int k)
{
	const int64_t depth = (int64_t)d->c * d->r * d->s, out_plane = (int64_t)d->p * d->q;
	const float *w = d->weight + k * depth;
	const float *in[MOST_VECTORS];
	VEC sum[MOST_FILTERS][MOST_VECTORS];
	UNROLL
	for (int v = 0; v < V; v++)
		in[v] = g->in + g->at[v];
	UNROLL
	for (int i = 0; i < K; i++)
		UNROLL
		for (int v = 0; v < V; v++)
			sum[i][v] = ZERO();
	for (int64_t j = 0; j < depth; j++, w++) {
		const int64_t at = offset[j];
		VEC pixel[MOST_VECTORS];
		UNROLL
		for (int v = 0; v < V; v++)
			pixel[v] = LOAD(in[v] + at);
		UNROLL
		for (int i = 0; i < K; i++) {
			VEC filter = SPREAD(w + i * depth);
			UNROLL
			for (int v = 0; v < V; v++)
				sum[i][v] = FMA(filter, pixel[v], sum[i][v]);
		}
	}
	/* Through memory, so that what follows does not take registers from the sums. */
	VEC done[MOST_FILTERS][MOST_VECTORS];
	UNROLL
	for (int i = 0; i < K; i++)
		UNROLL
		for (int v = 0; v < V; v++)
			done[i][v] = sum[i][v];
	const int act = d->act;
	const float slope = d->slope, *bias = d->bias;
	float *out = g->out + k * out_plane;
	for (int i = 0; i < K; i++, out += out_plane) {
		VEC b = bias ? SPREAD(bias + k + i) : ZERO();
		UNROLL
		for (int v = 0; v < V; v++)
			STORE(out + g->at[v], ACTIVATE(ADD(done[i][v], b), act, slope));
	}
}

typedef void (*tile_fn)(const struct phiz_conv *d, const int32_t *offset, const struct group *g, int k);

#define TILE(K, V)                                                                                                  \
	static void tile_##K##x##V(const struct phiz_conv *d, const int32_t *offset, const struct group *g, int k)      \
	{                                                                                                               \
		tile(K, V, d, offset, g, k);                                                                                \
	}
#define TILES(K) TILE(K, 1) TILE(K, 2) TILE(K, 3)
#define NAME_TILES(K) {tile_##K##x1, tile_##K##x2, tile_##K##x3},
EACH_FILTERS(TILES)
static const tile_fn tile_of[MOST_FILTERS][MOST_VECTORS] = {EACH_FILTERS(NAME_TILES)};

/* The next step where `left` are done in as few steps of `most` as there must be, of nearly the same size. */
static int even_step(int left, int most)
{
	int steps = (left + most - 1) / most;
	return (left + steps - 1) / steps;
}

static void row_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	const int32_t *offset = (const int32_t *)(const void *)d->workspace;
	const int vectors = (d->q + LANES - 1) / LANES;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t n = i / d->p, p = i % d->p;
		struct group g = {.in = d->in + (n * d->c * d->h + p) * d->w, .out = d->out + (n * d->k * d->p + p) * d->q};
		for (int v = 0, step; v < vectors; v += step) {
			step = even_step(vectors - v, MOST_VECTORS);
			for (int j = 0; j < step; j++)
				g.at[j] = (v + j + 1) * LANES <= d->q ? (v + j) * LANES : d->q - LANES;
			for (int k = 0, filters; k < d->k; k += filters) {
				filters = even_step(d->k - k, MOST_FILTERS);
				tile_of[filters - 1][step - 1](d, offset, &g, k);
			}
		}
	}
}

static bool supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	return call->n_in <= PHIZ_CONV2D_RESIDUAL && phiz_conv_fits(&d) && phiz_conv_rows_are_wide(&d);
}

static size_t workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	(void)threads;
	return backward ? 0 : sizeof(int32_t) * (size_t)d.c * (size_t)d.r * (size_t)d.s;
}

static enum phiz_status forward(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	int64_t row = (int64_t)d.q * d.k * d.c * d.r * d.s;
	int32_t *offset = (int32_t *)(void *)d.workspace;
	for (int c = 0; c < d.c; c++)
		for (int r = 0; r < d.r; r++)
			for (int s = 0; s < d.s; s++)
				*offset++ = (c * d.h + r) * d.w + s;
	phiz_parallel_for(call->ctx, d.n * d.p, 1 + PIECE / (row > 0 ? row : 1), row_pieces, &d);
	return PHIZ_OK;
}
