/* Gradients of filters of bf16 pictures. The depth of these products are positions, so that both factors are brought
 * into another order first: gradients of the output with the positions of a filter side by side, inputs in pairs of
 * positions; twice, with the pairs' begins even and odd, so that every tap finds its own. Positions that are no output
 * pixel count 0. */
#include "core/cpu/bf16.h"

#include <string.h>

#include "core/base/thread.h"

/* SHARED_BYTES of both in that order at a time; CHUNK tiles of them, 128 KiB and twice that, stay in the second-level
 * cache while all taps pass by; BEHIND as in bf16_panel.c, in pairs. */
enum { B = PHIZ_BF16_BLOCK, SHARED_BYTES = 4 << 20, CHUNK = 64, BEHIND = 40 };

struct run {
	struct phiz_bf16_weights w;
	const struct phiz_bf16_micro *micro;
	struct phiz_bf16_piece piece; /* that is summed now */
	bool add;                     /* to the pieces before */
	int filter_blocks, taps;
	int64_t pairs, tiles; /* of a block; of 32 positions */
	int32_t *at;          /* [steps]: of a tap */
	int32_t *tile_at;     /* [tiles] */
	uint16_t *in, *dout;  /* [blocks][2][pairs][32][2], [filter_blocks][tiles][32][32] */
	char *scratch;        /* of a worker: a block of the panel, and a tile */
	size_t per_worker;
};

static size_t line_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static size_t give_out(char *memory, size_t *used, size_t bytes, void *out)
{
	void *here = memory ? memory + *used : NULL;
	memcpy(out, &here, sizeof here);
	*used += line_up(bytes);
	return *used;
}

static size_t run_of(const struct phiz_bf16_weights *w, int threads, char *memory, struct run *run)
{
	size_t used = 0;
	*run = (struct run){.w = *w, .filter_blocks = (w->dout.channels + B - 1) / B};
	struct phiz_bf16_panel *p = &run->w.panel;
	phiz_bf16_panel_of(p, w->images, INT64_MAX);
	const int64_t all = (int64_t)p->images * p->height * p->width;
	const int64_t read = 2 * p->block / p->pixel * p->blocks / all + 1; /* blocks of a position, of the input */
	const int64_t position = (read + run->filter_blocks) * B * (int64_t)sizeof(uint16_t);
	phiz_bf16_panel_of(p, w->images, SHARED_BYTES / position < B ? B : SHARED_BYTES / position);
	run->taps = p->steps / p->blocks;
	run->pairs = p->block / p->pixel / 2 + BEHIND;
	run->tiles = ((int64_t)p->images * p->height * p->width + B - 1) / B;
	give_out(memory, &used, (size_t)p->steps * sizeof *run->at, &run->at);
	give_out(memory, &used, (size_t)run->tiles * sizeof *run->tile_at, &run->tile_at);
	give_out(memory, &used, (size_t)(p->blocks * run->pairs) * 4 * B * sizeof *run->in, &run->in);
	give_out(memory, &used, (size_t)(run->filter_blocks * run->tiles) * PHIZ_BF16_TILE * sizeof *run->dout, &run->dout);
	run->per_worker = line_up((p->elements - (size_t)(p->block * (p->blocks - 1)) + PHIZ_BF16_TILE) * sizeof(uint16_t));
	return give_out(memory, &used, run->per_worker * (size_t)threads, &run->scratch);
}

size_t phiz_bf16_weights_workspace(const struct phiz_bf16_weights *w, int threads)
{
	struct phiz_bf16_weights some = *w;
	struct run run;
	size_t most = 0;
	for (some.images = 1; some.images <= w->images; some.images++) { /* fewer may be cut into larger pieces */
		size_t bytes = run_of(&some, threads, NULL, &run);
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* Block b of the input: of the panel, whose positions are windows of 32 numbers. */
static void pair_block(const struct run *run, int b, uint16_t *panel)
{
	uint16_t *to = run->in + b * run->pairs * 4 * B;
	phiz_bf16_gather(&run->w.panel, &run->piece, b, panel);
	for (int odd = 0; odd < 2; odd++)
		run->micro->pair(to + odd * run->pairs * 2 * B, panel + odd * run->w.panel.pixel, run->w.panel.pixel,
		                 run->pairs);
}

/* Row i of the tile: the filters' gradients at a position, or 0. */
static void gather_dout(const struct run *run, int64_t position, int block, uint16_t to[B])
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	const struct phiz_bf16_picture *g = &run->w.dout;
	const int64_t line = position / p->width, n = line / p->height, row = line % p->height, col = position % p->width;
	const int64_t area = (int64_t)g->height * g->width;
	if (n >= run->piece.images || row >= run->piece.rows || col >= g->width) {
		memset(to, 0, B * sizeof *to);
		return;
	}
	const int64_t image = run->piece.image + n, pixel = (run->piece.row + row) * g->width + col;
	if (g->block == B && !g->wide) {
		memcpy(to, (const uint16_t *)g->data + (image * g->channels + block * B) * area + pixel * B, B * sizeof *to);
		return;
	}
	for (int l = 0; l < B; l++) {
		int k = block * B + l;
		int64_t at = (image * g->channels + k / g->block * g->block) * area + pixel * g->block + k % g->block;
		to[l] = k < g->channels ? phiz_bf16_of(phiz_bf16_get(g->data, g->wide, at)) : 0;
	}
}

static void turn_block(const struct run *run, int block, uint16_t *tile)
{
	uint16_t *to = run->dout + block * run->tiles * PHIZ_BF16_TILE;
	const int64_t tiles = (phiz_bf16_positions(&run->w.panel, &run->piece) + B - 1) / B;
	for (int64_t i = 0; i < tiles; i++) {
		for (int row = 0; row < B; row++)
			gather_dout(run, i * B + row, block, tile + row * B);
		run->micro->turn(to + i * PHIZ_BF16_TILE, tile);
	}
}

static void order_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	uint16_t *tile = (uint16_t *)(void *)(run->scratch + (size_t)worker * run->per_worker);
	for (int64_t i = begin; i < end; i++)
		if (i < run->w.panel.blocks)
			pair_block(run, (int)i, tile + PHIZ_BF16_TILE);
		else
			turn_block(run, (int)(i - run->w.panel.blocks), tile);
}

/* All taps of filter block f and depth block b, over `tiles` tiles of positions. */
static void sum_chunk(const struct run *run, int64_t f, int64_t b, int64_t tile, int64_t tiles)
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	for (int tap = 0; tap < run->taps; tap++) {
		const int64_t position = run->at[tap] / p->pixel + tile * B, odd = position % 2;
		struct phiz_bf16_product t = {
			.a = run->dout + (f * run->tiles + tile) * PHIZ_BF16_TILE,
			.a_row = B,
			.a_at = run->tile_at,
			.b = run->in + ((b * 2 + odd) * run->pairs + position / 2) * 2 * B,
			.steps = (int)tiles,
			.rows = B,
			.c = run->w.dw + ((f * p->blocks + b) * run->taps + tap) * PHIZ_BF16_TILE,
			.add = run->add || tile > 0,
		};
		run->micro->product(&t);
	}
}

static void product_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_bf16_panel *p = &run->w.panel;
	const int64_t tiles = (phiz_bf16_positions(p, &run->piece) + B - 1) / B;
	(void)worker;
	if (run->micro->begin)
		run->micro->begin();
	for (int64_t i = begin; i < end; i++)
		for (int64_t tile = 0; tile < tiles; tile += CHUNK)
			sum_chunk(run, i / p->blocks, i % p->blocks, tile, tiles - tile < CHUNK ? tiles - tile : CHUNK);
	if (run->micro->end)
		run->micro->end();
}

void phiz_bf16_weights_run(struct phiz_ctx *ctx, const struct phiz_bf16_weights *w,
                           const struct phiz_bf16_micro *micro, void *workspace)
{
	struct run run;
	run_of(w, phiz_ctx_threads(ctx), workspace, &run);
	run.micro = micro;
	phiz_bf16_offsets(&run.w.panel, run.at);
	for (int64_t i = 0; i < run.tiles; i++)
		run.tile_at[i] = (int32_t)(i * PHIZ_BF16_TILE);
	const int64_t pieces = phiz_bf16_pieces(&run.w.panel, w->images);
	for (int64_t i = 0; i < pieces; i++) {
		run.piece = phiz_bf16_piece_at(&run.w.panel, w->images, i);
		run.add = i > 0;
		phiz_parallel_for(ctx, run.w.panel.blocks + run.filter_blocks, 1, order_pieces, &run);
		phiz_parallel_for(ctx, (int64_t)run.w.panel.blocks * run.filter_blocks, 1, product_pieces, &run);
	}
}
