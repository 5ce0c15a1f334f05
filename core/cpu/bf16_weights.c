/* Gradients of filters of bf16 pictures. The depth of these products are positions, so that both factors are brought
 * into another order first: gradients of the output with the positions of a filter side by side, inputs in pairs. A
 * pair is the same position in two pieces of the pictures, so that a tap is an offset for both. Positions that are no
 * output pixel count 0. */
#include "core/cpu/bf16.h"

#include <string.h>

#include "core/base/thread.h"

/* SHARED_BYTES of both in that order at a time; CHUNK tiles of each, 128 KiB, stay in the second-level cache while all
 * taps pass by; BEHIND: positions that are read behind the end, fewer than a panel has there. */
enum { B = PHIZ_BF16_BLOCK, DEEP = B / 2, SHARED_BYTES = 4 << 20, CHUNK = 64, BEHIND = 80 };

struct run {
	struct phiz_bf16_weights w;
	const struct phiz_bf16_micro *micro;
	struct phiz_bf16_piece piece[2]; /* that are summed now; the second may have no images */
	bool add;                        /* to the pieces before */
	int filter_blocks, taps;
	int64_t positions, tiles; /* of a block of `in`; of DEEP positions in both pieces */
	int32_t *at;              /* [steps]: of a tap */
	int32_t *tile_at;         /* [tiles] */
	uint16_t *in, *dout;      /* [blocks][positions][32][2], [filter_blocks][tiles][32][32] */
	char *scratch;            /* of a worker: a row of zeros, a tile, and a block of the panel for each piece */
	size_t zeros, panel, per_worker;
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

/* Does the picture lie as pairs can be made of it row by row? */
static bool lies_blocked(const struct phiz_bf16_panel *p)
{
	return !p->thin && p->in.block == B && !p->in.wide;
}

/* Pieces of half the shared memory each, and an even number of them. */
static void divide(struct run *run)
{
	struct phiz_bf16_panel *p = &run->w.panel;
	const int64_t images = run->w.images;
	phiz_bf16_panel_of(p, images, INT64_MAX);
	const int64_t all = (int64_t)p->images * p->height * p->width;
	const int64_t read = p->block / p->pixel * p->blocks / all + 1; /* blocks of a position, of the input */
	const int64_t position = (read + run->filter_blocks) * B * (int64_t)sizeof(uint16_t);
	int64_t most = SHARED_BYTES / 2 / position;
	if (images == 1 && most > all / 2)
		most = all / 2;
	phiz_bf16_panel_of(p, images, most < B ? B : most);
	int64_t groups = (images + p->images - 1) / p->images;
	groups += groups % 2;
	phiz_bf16_panel_of(p, (images + groups - 1) / groups, most < B ? B : most);
}

static size_t run_of(const struct phiz_bf16_weights *w, int threads, char *memory, struct run *run)
{
	size_t used = 0;
	*run = (struct run){.w = *w, .filter_blocks = (w->dout.channels + B - 1) / B};
	divide(run);
	const struct phiz_bf16_panel *p = &run->w.panel;
	run->taps = p->steps / p->blocks;
	run->positions = p->block / p->pixel + BEHIND;
	run->tiles = ((int64_t)p->images * p->height * p->width + DEEP - 1) / DEEP;
	give_out(memory, &used, (size_t)p->steps * sizeof *run->at, &run->at);
	give_out(memory, &used, (size_t)run->tiles * sizeof *run->tile_at, &run->tile_at);
	give_out(memory, &used, (size_t)(p->blocks * run->positions) * 2 * B * sizeof *run->in, &run->in);
	give_out(memory, &used, (size_t)(run->filter_blocks * run->tiles) * PHIZ_BF16_TILE * sizeof *run->dout, &run->dout);
	run->zeros = lies_blocked(p) ? (size_t)p->in.width * B : 0;
	run->panel = lies_blocked(p) ? 0 : p->elements - (size_t)(p->block * (p->blocks - 1));
	run->panel = (run->panel + B - 1) / B * B;
	run->per_worker = line_up((run->zeros + PHIZ_BF16_TILE + 2 * run->panel) * sizeof(uint16_t));
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

/* --- Inputs, in pairs. --- */

/* The first pixel of row `row` of the panel, of image n of a piece, in block b; NULL: there is no such row. */
static const uint16_t *row_of(const struct run *run, int piece, int b, int n, int row, int phase)
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	const struct phiz_bf16_piece *at = &run->piece[piece];
	const int64_t area = (int64_t)p->in.height * p->in.width;
	const int y = (at->row + row + p->y.least) * p->y.stride + phase;
	if (n >= at->images || row >= at->rows + p->y.span || y < 0 || y >= p->in.height)
		return NULL;
	return (const uint16_t *)p->in.data + ((at->image + n) * p->in.channels + b * B) * area +
	       (int64_t)y * p->in.width * B;
}

/* One row of the panel, of both pieces. */
static void pair_row(const struct run *run, const uint16_t *const from[2], int phase, uint16_t *to)
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	const struct phiz_bf16_axis *x = &p->x;
	int begin = 0, end = 0;
	if (from[0] != from[1]) /* else both are zeros */
		phiz_bf16_columns_inside(x, p->width, phase, &begin, &end);
	const int64_t first = (int64_t)(begin + x->least) * x->stride + phase;
	memset(to, 0, (size_t)begin * 2 * B * sizeof *to);
	if (end > begin)
		run->micro->pair(to + (int64_t)begin * 2 * B, from[0] + first * B, from[1] + first * B, x->stride * B,
		                 end - begin);
	memset(to + (int64_t)end * 2 * B, 0, (size_t)(p->width - end) * 2 * B * sizeof *to);
}

static void pair_rows(const struct run *run, int b, const uint16_t *zeros)
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	const int64_t rows = p->plane / p->width;
	uint16_t *to = run->in + b * run->positions * 2 * B;
	for (int plane = 0; plane < p->y.phases * p->x.phases; plane++)
		for (int64_t line = 0; line < rows; line++, to += (int64_t)p->width * 2 * B) {
			/* Zeros that images share are the last rows of the image before. */
			const int n = (int)(line / p->height), row = (int)(line % p->height);
			const int phase = p->y.phase[plane / p->x.phases];
			const uint16_t *from[2];
			for (int h = 0; h < 2; h++) {
				from[h] = row_of(run, h, b, n, row, phase);
				from[h] = from[h] ? from[h] : zeros;
			}
			pair_row(run, from, p->x.phase[plane % p->x.phases], to);
		}
	memset(to, 0, (size_t)BEHIND * 2 * B * sizeof *to);
}

/* Block b of the input: of panels, whose positions are windows of 32 numbers. */
static void pair_panels(const struct run *run, int b, uint16_t *panel)
{
	for (int h = 0; h < 2; h++)
		phiz_bf16_gather(&run->w.panel, &run->piece[h], b, panel + (size_t)h * run->panel);
	run->micro->pair(run->in + b * run->positions * 2 * B, panel, panel + run->panel, run->w.panel.pixel,
	                 run->positions);
}

/* --- Gradients of the output, turned. --- */

/* Where a position lies. */
struct place {
	int n, row, col;
};

static void next_place(const struct phiz_bf16_panel *p, struct place *at)
{
	if (++at->col < p->width)
		return;
	at->col = 0;
	if (++at->row < p->height)
		return;
	at->row = 0;
	at->n++;
}

/* The filters' gradients there, or 0. */
static void gather_dout(const struct run *run, const struct phiz_bf16_piece *piece, const struct place *at, int block,
                        uint16_t to[B])
{
	const struct phiz_bf16_picture *g = &run->w.dout;
	const int64_t area = (int64_t)g->height * g->width;
	if (at->n >= piece->images || at->row >= piece->rows || at->col >= g->width) {
		memset(to, 0, B * sizeof *to);
		return;
	}
	const int64_t image = piece->image + at->n, pixel = (int64_t)(piece->row + at->row) * g->width + at->col;
	if (g->block == B && !g->wide) {
		memcpy(to, (const uint16_t *)g->data + (image * g->channels + block * B) * area + pixel * B, B * sizeof *to);
		return;
	}
	for (int l = 0; l < B; l++) {
		int k = block * B + l;
		int64_t from = (image * g->channels + k / g->block * g->block) * area + pixel * g->block + k % g->block;
		to[l] = k < g->channels ? phiz_bf16_of(phiz_bf16_get(g->data, g->wide, from)) : 0;
	}
}

/* Tiles of the positions that the larger piece has. */
static int64_t tiles_now(const struct run *run)
{
	int64_t most = phiz_bf16_positions(&run->w.panel, &run->piece[0]);
	if (run->piece[1].images) {
		int64_t second = phiz_bf16_positions(&run->w.panel, &run->piece[1]);
		most = second > most ? second : most;
	}
	return (most + DEEP - 1) / DEEP;
}

static void turn_block(const struct run *run, int block, uint16_t *tile)
{
	uint16_t *to = run->dout + block * run->tiles * PHIZ_BF16_TILE;
	const int64_t tiles = tiles_now(run);
	struct place at = {0};
	for (int64_t i = 0; i < tiles; i++, to += PHIZ_BF16_TILE) {
		for (int k = 0; k < DEEP; k++, next_place(&run->w.panel, &at))
			for (int h = 0; h < 2; h++)
				gather_dout(run, &run->piece[h], &at, block, tile + (2 * k + h) * B);
		run->micro->turn(to, tile);
	}
}

/* --- Sums. --- */

static void order_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	uint16_t *zeros = (uint16_t *)(void *)(run->scratch + (size_t)worker * run->per_worker);
	uint16_t *tile = zeros + run->zeros;
	memset(zeros, 0, run->zeros * sizeof *zeros);
	for (int64_t i = begin; i < end; i++)
		if (i >= run->w.panel.blocks)
			turn_block(run, (int)(i - run->w.panel.blocks), tile);
		else if (lies_blocked(&run->w.panel))
			pair_rows(run, (int)i, zeros);
		else
			pair_panels(run, (int)i, tile + PHIZ_BF16_TILE);
}

/* All taps of filter block f and depth block b, over `tiles` tiles of positions. */
static void sum_chunk(const struct run *run, int64_t f, int64_t b, int64_t tile, int64_t tiles)
{
	const struct phiz_bf16_panel *p = &run->w.panel;
	for (int tap = 0; tap < run->taps; tap++) {
		const int64_t position = run->at[tap] / p->pixel + tile * DEEP;
		struct phiz_bf16_product t = {
			.a = run->dout + (f * run->tiles + tile) * PHIZ_BF16_TILE,
			.a_row = B,
			.a_at = run->tile_at,
			.b = run->in + (b * run->positions + position) * 2 * B,
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
	const int64_t tiles = tiles_now(run);
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
	for (int64_t i = 0; i < pieces; i += 2) {
		run.piece[0] = phiz_bf16_piece_at(&run.w.panel, w->images, i);
		run.piece[1] = (struct phiz_bf16_piece){0};
		if (i + 1 < pieces)
			run.piece[1] = phiz_bf16_piece_at(&run.w.panel, w->images, i + 1);
		run.add = i > 0;
		phiz_parallel_for(ctx, run.w.panel.blocks + run.filter_blocks, 1, order_pieces, &run);
		phiz_parallel_for(ctx, (int64_t)run.w.panel.blocks * run.filter_blocks, 1, product_pieces, &run);
	}
}
