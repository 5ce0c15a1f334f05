/* Gradient of 3 x 3 filters by Winograd's algorithm, the transposed of winograd.h's sum:
 *
 *   dg = G^T [ sum over images, tiles of (A dY A^T) * (B^T d B) ] G
 *
 * A piece of the work is some blocks of filters times some blocks of channels: their sums, a plane each, stay in the
 * second-level cache while the tiles of all images pass, MOST_TILES at a time. Sums run in float over so many tiles and
 * are then added up, in the order of the tiles: the same for any number of threads. */
#include <string.h>

#include "core/base/thread.h"
#include "core/cpu/winograd.h"

enum { M = 4, PLANES = PHIZ_WINOGRAD_PLANES, BLOCKS = 4, MOST_TILES = 48, B = PHIZ_BLOCK };

struct run {
	const struct phiz_blocked_weights *w;
	const struct phiz_blocked_micro *micro;
	int tiles_y, tiles_x; /* of a picture */
	int64_t tiles;
	int filters, channels; /* blocks of a piece */
	int filter_parts, channel_parts;
	char *workspace;
};

/* Scratch of a worker; planes of v and m are an odd number of cache lines apart. */
struct scratch {
	float *sum; /* [plane][filters][channels][16 channels][16 filters] */
	float *v;   /* [plane][channels][tile][16] */
	float *m;   /* [plane][filters][tile][16] */
};

enum {
	V_PLANE = (BLOCKS * MOST_TILES + 1) * B,
	SUM_FLOATS = PLANES * BLOCKS * BLOCKS * B * B,
	SCRATCH_FLOATS = SUM_FLOATS + 2 * PLANES * V_PLANE
};

size_t phiz_winograd_weights_workspace(int threads)
{
	return sizeof(float) * SCRATCH_FLOATS * (size_t)threads;
}

struct place {
	int64_t image;
	int y, x; /* of the tile's first output */
};

static struct place locate(const struct run *run, int64_t tile)
{
	int64_t per_image = (int64_t)run->tiles_y * run->tiles_x, rest = tile % per_image;
	struct place at = {tile / per_image, (int)(rest / run->tiles_x) * M, (int)(rest % run->tiles_x) * M};
	return at;
}

static void transform(const struct run *run, const struct scratch *s, int64_t first, int count, int k, int ks, int c,
                      int cs)
{
	const struct phiz_blocked_weights *w = run->w;
	struct phiz_winograd_in in = {.in_row = w->in_row, .height = w->height, .width = w->width, .step = V_PLANE};
	const int64_t pixel = w->in_col;
	struct phiz_winograd_dout out = {.row = w->q * pixel, .step = V_PLANE};

	for (int i = 0; i < count; i++) {
		struct place at = locate(run, first + i);
		in.y = at.y + w->first_y;
		in.x = at.x + w->first_x;
		for (int b = 0; b < cs; b++) {
			int64_t block = at.image * w->in_image + phiz_blocked_at(w->bf16, c + b, w->in_block);
			in.in = phiz_blocked_element(w->bf16, w->in, block);
			in.v = s->v + ((int64_t)b * MOST_TILES + i) * B;
			run->micro->winograd_in[w->bf16][M / 4](&in);
		}
		out.rows = w->p - at.y < M ? w->p - at.y : M;
		out.cols = w->q - at.x < M ? w->q - at.x : M;
		for (int b = 0; b < ks; b++) {
			int64_t block = at.image * w->dout_image + phiz_blocked_at(w->bf16, k + b, w->dout_block);
			out.dout = phiz_blocked_element(w->bf16, w->dout, block + ((int64_t)at.y * w->q + at.x) * pixel);
			out.m = s->m + ((int64_t)b * MOST_TILES + i) * B;
			run->micro->winograd_dout[w->bf16](&out);
		}
	}
}

/* sum[plane][k][c] += sum over tiles of v[plane][c][tile] * m[plane][k][tile] */
static void add_products(const struct run *run, const struct scratch *s, int count, int ks, int cs)
{
	const int parts = (B + run->micro->rows - 1) / run->micro->rows;
	struct phiz_blocked_outer t = {.images = 1, .rows = 1, .cols = count, .in_col = B};

	for (int plane = 0; plane < PLANES; plane++)
		for (int c = 0; c < cs; c++)
			for (int k = 0; k < ks; k++)
				for (int i = 0; i < parts; i++) {
					int d = B * i / parts, end = B * (i + 1) / parts;
					t.in = s->v + plane * V_PLANE + (int64_t)c * MOST_TILES * B + d;
					t.dout = s->m + plane * V_PLANE + (int64_t)k * MOST_TILES * B;
					t.sum = s->sum + (((int64_t)plane * ks + k) * cs + c) * B * B + d * B;
					run->micro->outer[end - d - 1](&t);
				}
}

/* dw[k][c][tap][16 channels][16 filters] = G^T sum G */
static void give(const struct run *run, const struct scratch *s, int k, int ks, int c, int cs)
{
	for (int block = 0; block < ks * cs; block++) {
		float *dw = run->w->dw + (((int64_t)(k + block / cs) * run->w->blocks) + c + block % cs) * 9 * B * B;
		for (int d = 0; d < B; d++)
			run->micro->winograd_dfilters(s->sum + ((int64_t)block * B + d) * B, (int64_t)ks * cs * B * B, dw + d * B);
	}
}

static void pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_blocked_weights *w = run->w;
	struct scratch s;
	s.sum = (float *)(void *)run->workspace + (size_t)worker * SCRATCH_FLOATS;
	s.v = s.sum + SUM_FLOATS;
	s.m = s.v + PLANES * V_PLANE;
	for (int64_t piece = begin; piece < end; piece++) {
		int k = (int)(piece / run->channel_parts) * run->filters, c = (int)(piece % run->channel_parts) * run->channels;
		int ks = k + run->filters < w->filters ? run->filters : w->filters - k;
		int cs = c + run->channels < w->blocks ? run->channels : w->blocks - c;
		memset(s.sum, 0, sizeof(float) * (size_t)(PLANES * ks * cs * B * B));
		for (int64_t first = 0; first < run->tiles; first += MOST_TILES) {
			int count = first + MOST_TILES < run->tiles ? MOST_TILES : (int)(run->tiles - first);
			transform(run, &s, first, count, k, ks, c, cs);
			add_products(run, &s, count, ks, cs);
		}
		give(run, &s, k, ks, c, cs);
	}
}

void phiz_winograd_weights_run(struct phiz_ctx *ctx, const struct phiz_blocked_weights *w,
                               const struct phiz_blocked_micro *micro, void *workspace)
{
	const int threads = phiz_ctx_threads(ctx);
	struct run run = {.w = w, .micro = micro, .tiles_y = (w->p + M - 1) / M, .tiles_x = (w->q + M - 1) / M,
	                  .filters = w->filters < BLOCKS ? w->filters : BLOCKS,
	                  .channels = w->blocks < BLOCKS ? w->blocks : BLOCKS, .workspace = workspace};
	run.tiles = w->images * run.tiles_y * run.tiles_x;
	for (;;) { /* as many pieces for one thread as for the other */
		run.filter_parts = (w->filters + run.filters - 1) / run.filters;
		run.channel_parts = (w->blocks + run.channels - 1) / run.channels;
		int64_t all = (int64_t)run.filter_parts * run.channel_parts;
		if (all >= 8 * (int64_t)threads || (all >= threads && all % threads == 0) || run.filters * run.channels == 1)
			break;
		if (run.filters >= run.channels)
			run.filters = (run.filters + 1) / 2;
		else
			run.channels = (run.channels + 1) / 2;
	}
	phiz_parallel_for(ctx, (int64_t)run.filter_parts * run.channel_parts, 1, pieces, &run);
}
