#include "core/cpu/blocked.h"

#include <string.h>

#include "core/base/thread.h"

/* A piece of the work is some rows of output pixels (of one or more images), BLOCK_PIXELS or one row, times some blocks
 * of filters. CHUNK_BYTES of a block of filters stay in the first-level cache while all tiles of the piece pass over
 * them; the sums rest in the output, and the next chunk adds to them. Tiles are parts of rows, so that under most taps
 * their pixels lie side by side; where rows are shorter than LEAST_ROW, a tile takes pixels of several. */
enum { BLOCK_PIXELS = 84, CHUNK_BYTES = 18 << 10, LEAST_ROW = 4 };

struct run {
	const struct phiz_blocked_sum *s;
	const struct phiz_blocked_micro *micro;
	int row;                   /* pixels of a row: q, or those of an image where rows are short */
	int tiles;                 /* of a row */
	int64_t rows, pieces;      /* rows of all images, pieces that they are cut into */
	int64_t piece_rows;        /* at most */
	int parts, filters_step;   /* pieces that the filters are cut into */
	int chunk;                 /* blocks of the depth in a chunk */
	char *workspace;
	size_t per_worker;
};

/* Scratch of a worker: for each tile of a piece, how many pixels it has, where they go, where they come from. */
struct tables {
	float *zeros;
	int32_t *count, *to, *offset;
	uint8_t *kind;
};

static int tile_taps(const struct phiz_blocked_sum *s)
{
	return s->taps_y * s->taps_x;
}

static size_t line_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static void describe(const struct phiz_blocked_sum *s, const struct phiz_blocked_micro *micro, struct run *run)
{
	*run = (struct run){.s = s, .micro = micro};
	run->row = s->q >= LEAST_ROW ? s->q : s->p * s->q;
	run->rows = s->q >= LEAST_ROW ? s->images * s->p : s->images;
	run->tiles = (run->row + micro->pixels - 1) / micro->pixels;
	run->piece_rows = run->row < BLOCK_PIXELS && run->row > 0 ? BLOCK_PIXELS / run->row : 1;
	if (run->piece_rows > run->rows && run->rows > 0)
		run->piece_rows = run->rows;
	run->pieces = (run->rows + run->piece_rows - 1) / run->piece_rows;
}

static size_t table_bytes(const struct run *run, char *memory, struct tables *out)
{
	const struct phiz_blocked_sum *s = run->s;
	size_t tiles = (size_t)run->piece_rows * (size_t)run->tiles, pixels = (size_t)run->micro->pixels;
	size_t zeros = line_up(sizeof(float) * (size_t)s->depth), count = line_up(sizeof(int32_t) * tiles);
	size_t to = line_up(sizeof(int32_t) * tiles * pixels);
	size_t offset = line_up(sizeof(int32_t) * tiles * pixels * (size_t)tile_taps(s));
	if (out) {
		out->zeros = (float *)(void *)memory;
		out->count = (int32_t *)(void *)(memory + zeros);
		out->to = (int32_t *)(void *)(memory + zeros + count);
		out->offset = (int32_t *)(void *)(memory + zeros + count + to);
		out->kind = (uint8_t *)memory + zeros + count + to + offset;
	}
	return zeros + count + to + offset + line_up(tiles * (size_t)tile_taps(s));
}

size_t phiz_blocked_sum_workspace(const struct phiz_blocked_sum *s, const struct phiz_blocked_micro *micro,
                                  int threads)
{
	struct run run;
	describe(s, micro, &run);
	return table_bytes(&run, NULL, NULL) * (size_t)threads;
}

bool phiz_blocked_sum_fits(const struct phiz_blocked_sum *s)
{
	const int64_t limit = INT32_MAX, plane = (int64_t)s->p * s->q, images = 2 + BLOCK_PIXELS / (plane < 1 ? 1 : plane);
	return images * s->in_image <= limit && images * s->out_image <= limit &&
	       (int64_t)s->height * s->in_row <= limit && (int64_t)s->taps_y * s->step_y <= limit / 2 &&
	       (int64_t)s->taps_x * s->step_x <= limit / 2;
}

/* Where the pixels of a tile lie under one tap: `count` of them from pixel (p, q) of image n, a part of a row. */
static enum phiz_tap describe_tap(const struct phiz_blocked_sum *s, int64_t n, int p, int q, int count, int tap,
                                  int32_t *offset)
{
	const int y = p * s->stride_y + s->first_y + tap / s->taps_x * s->step_y;
	const int first = q * s->stride_x + s->first_x + tap % s->taps_x * s->step_x;
	const int last = first + (count - 1) * s->stride_x;
	const int64_t row = n * s->in_image + y * s->in_row;
	if (y < 0 || y >= s->height || last < 0 || first >= s->width)
		return PHIZ_TAP_NONE;
	if (first >= 0 && last < s->width) {
		*offset = (int32_t)(row + first * s->in_col);
		return PHIZ_TAP_RUN;
	}
	for (int i = 0; i < count; i++) {
		int x = first + i * s->stride_x;
		offset[i] = x >= 0 && x < s->width ? (int32_t)(row + x * s->in_col) : -1;
	}
	return PHIZ_TAP_ANY;
}

/* The tables of one tile: `count` pixels from output pixel `first`; offsets count from the piece's first image. */
static void describe_tile(const struct run *run, const struct tables *t, int tile, int64_t first, int count,
                          int64_t image)
{
	const struct phiz_blocked_sum *s = run->s;
	const int pixels = run->micro->pixels, taps = tile_taps(s);
	int32_t *to = t->to + (int64_t)tile * pixels, *offset = t->offset + (int64_t)tile * pixels * taps;
	int64_t n = first / ((int64_t)s->p * s->q) - image, rest = first % ((int64_t)s->p * s->q);
	int p = (int)(rest / s->q), q = (int)(rest % s->q);
	uint8_t *kind = t->kind + (int64_t)tile * taps;
	t->count[tile] = count;
	memset(kind, PHIZ_TAP_ANY, (size_t)taps);
	for (int done = 0, some; done < count; done += some, q = 0, p++) { /* row by row, mostly one */
		some = count - done < s->q - q ? count - done : s->q - q;
		for (int i = 0; i < some; i++)
			to[done + i] = (int32_t)(n * s->out_image + p * s->out_row + (q + i) * s->out_col);
		for (int tap = 0; tap < taps; tap++) {
			int32_t *at = offset + tap * pixels + done;
			enum phiz_tap tap_kind = describe_tap(s, n, p, q, some, tap, at);
			if (some == count)
				kind[tap] = (uint8_t)tap_kind;
			else
				for (int i = 0; tap_kind != PHIZ_TAP_ANY && i < some; i++)
					at[i] = tap_kind == PHIZ_TAP_RUN ? at[0] + (int32_t)(i * s->stride_x * s->in_col) : -1;
		}
	}
}

/* One or two blocks of filters from block m: all chunks of the depth over all tiles. */
static void sum_filters(const struct run *run, const struct tables *tables, int tiles, int m, bool pair, int64_t image)
{
	const struct phiz_blocked_sum *s = run->s;
	const struct phiz_blocked_micro *micro = run->micro;
	const int taps = tile_taps(s), full = s->depth == PHIZ_BLOCK;
	const phiz_blocked_tile_fn *fn = pair ? (full ? micro->pair : micro->any_pair) : (full ? micro->tile : micro->any);
	const int64_t at = image * s->out_image + m * s->out_block, per_block = (int64_t)taps * s->depth * PHIZ_BLOCK;
	struct phiz_blocked_tile t = {.zeros = tables->zeros, .in_block = s->in_block, .taps = taps, .depth = s->depth,
	                              .w_filters = s->blocks * per_block, .out = (float *)s->out + at,
	                              .out_filters = s->out_block,
	                              .step = s->stride_x * s->in_col, .act = s->act, .slope = s->slope};
	t.residual = s->residual ? (const float *)s->residual + at : NULL;
	for (int b = 0; b < s->blocks; b += run->chunk) {
		t.blocks = s->blocks - b < run->chunk ? s->blocks - b : run->chunk;
		t.in = (const float *)s->in + image * s->in_image + b * s->in_block;
		t.w = s->w + (m * (int64_t)s->blocks + b) * per_block;
		t.add = s->add || b > 0;
		t.bias = s->bias ? s->bias + m * PHIZ_BLOCK : NULL;
		t.finish = b + t.blocks == s->blocks && (s->bias || s->residual || s->act);
		for (int i = 0; i < tiles; i++) {
			t.offset = tables->offset + (int64_t)i * micro->pixels * taps;
			t.kind = tables->kind + (int64_t)i * taps;
			t.to = tables->to + (int64_t)i * micro->pixels;
			t.ahead = i ? 0 : t.blocks * per_block;
			fn[tables->count[i] - 1](&t);
		}
	}
}

static void sum_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_blocked_sum *s = run->s;
	struct tables tables;
	table_bytes(run, run->workspace + (size_t)worker * run->per_worker, &tables);
	memset(tables.zeros, 0, sizeof(float) * (size_t)s->depth);
	for (int64_t piece = begin; piece < end; piece++) {
		int64_t block = piece / run->parts, row = run->rows * block / run->pieces;
		int rows = (int)(run->rows * (block + 1) / run->pieces - row);
		int64_t image = row * run->row / ((int64_t)s->p * s->q);
		int m = (int)(piece % run->parts) * run->filters_step;
		int last = m + run->filters_step < s->filters ? m + run->filters_step : s->filters;
		for (int i = 0; i < rows * run->tiles; i++) {
			int a = run->row * (i % run->tiles) / run->tiles, b = run->row * (i % run->tiles + 1) / run->tiles;
			describe_tile(run, &tables, i, (row + i / run->tiles) * run->row + a, b - a, image);
		}
		while (m < last) {
			bool pair = run->micro->pairs && m + 1 < last;
			sum_filters(run, &tables, rows * run->tiles, m, pair, image);
			m += pair ? 2 : 1;
		}
	}
}

void phiz_blocked_sum_run(struct phiz_ctx *ctx, const struct phiz_blocked_sum *s,
                          const struct phiz_blocked_micro *micro, void *workspace)
{
	const int threads = phiz_ctx_threads(ctx), per_block = (int)sizeof(float) * tile_taps(s) * s->depth * PHIZ_BLOCK;
	struct run run;
	describe(s, micro, &run);
	run.workspace = workspace;
	run.per_worker = table_bytes(&run, NULL, NULL);
	if (run.rows * run.row == 0)
		return;
	run.chunk = CHUNK_BYTES / per_block > 1 ? CHUNK_BYTES / per_block : 1;
	/* Few pixels, as in the last layers of one image: then the filters are shared out too. */
	int64_t wanted = threads > 1 ? 4 * (int64_t)threads : 1, split = (wanted + run.pieces - 1) / run.pieces;
	run.filters_step = (int)((s->filters + split - 1) / split);
	if (micro->pairs && run.filters_step % 2)
		run.filters_step++;
	run.parts = (s->filters + run.filters_step - 1) / run.filters_step;
	phiz_parallel_for(ctx, run.pieces * run.parts, 1, sum_pieces, &run);
}

/* --- Gradients of filters --- */

/* Pixels that are summed in registers before the sums in memory go on; also keeps long sums exact. */
enum { CHUNK_PIXELS = 256 };

struct weights_run {
	const struct phiz_blocked_weights *w;
	const struct phiz_blocked_micro *micro;
	int parts, step; /* pieces that the blocks of the depth are cut into */
};

/* The o in [from, to) whose pixel o * stride + offset lies in 0..size-1: from *begin up to *end. */
static void clip(int from, int to, int stride, int offset, int size, int *begin, int *end)
{
	int first = offset < 0 ? (-offset + stride - 1) / stride : 0;
	int last = size - 1 - offset < 0 ? 0 : (size - 1 - offset) / stride + 1;
	*begin = first > from ? first : from;
	*end = last < to ? last : to;
}

/* Rows p..p_end-1 of images n..n_end-1, under one tap, for the block b of the depth and the filters k. */
static void sum_tap(const struct weights_run *run, int64_t n, int64_t n_end, int p, int p_end, int tap, int k, int b)
{
	const struct phiz_blocked_weights *w = run->w;
	const int taps = w->taps_y * w->taps_x;
	const int dy = w->first_y + tap / w->taps_x * w->step_y, dx = w->first_x + tap % w->taps_x * w->step_x;
	int p0, p1, q0, q1;
	clip(p, p_end, w->stride_y, dy, w->height, &p0, &p1);
	clip(0, w->q, w->stride_x, dx, w->width, &q0, &q1);
	if (p0 >= p1 || q0 >= q1)
		return;
	struct phiz_blocked_outer t = {.images = n_end - n, .rows = p1 - p0, .cols = q1 - q0, .in_image = w->in_image,
	                               .in_row = w->stride_y * w->in_row, .in_col = w->stride_x * w->in_col,
	                               .dout_image = w->dout_image, .dout_row = (int64_t)w->q * PHIZ_BLOCK};
	const float *in = (const float *)w->in + n * w->in_image + b * w->in_block +
	                  (int64_t)(p0 * w->stride_y + dy) * w->in_row + (int64_t)(q0 * w->stride_x + dx) * w->in_col;
	float *dw = w->dw + (((int64_t)k * w->blocks + b) * taps + tap) * w->depth * PHIZ_BLOCK;
	t.dout = (const float *)w->dout + n * w->dout_image + k * w->dout_block + ((int64_t)p0 * w->q + q0) * PHIZ_BLOCK;
	const int tiles = (w->depth + run->micro->rows - 1) / run->micro->rows;
	for (int i = 0; i < tiles; i++) {
		int d = w->depth * i / tiles, end = w->depth * (i + 1) / tiles;
		t.in = in + d;
		t.sum = dw + (int64_t)d * PHIZ_BLOCK;
		run->micro->outer[end - d - 1](&t);
	}
}

static void weights_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct weights_run *run = arg;
	const struct phiz_blocked_weights *w = run->w;
	const int taps = w->taps_y * w->taps_x, plane = w->p * w->q;
	const int rows = plane <= CHUNK_PIXELS ? w->p : w->q < CHUNK_PIXELS ? CHUNK_PIXELS / w->q : 1;
	const int64_t images = plane <= CHUNK_PIXELS / 2 && plane > 0 ? CHUNK_PIXELS / plane : 1;
	(void)worker;
	for (int64_t piece = begin; piece < end; piece++) {
		int k = (int)(piece / run->parts), b0 = (int)(piece % run->parts) * run->step;
		int b1 = b0 + run->step < w->blocks ? b0 + run->step : w->blocks;
		int64_t per_block = (int64_t)taps * w->depth * PHIZ_BLOCK;
		memset(w->dw + ((int64_t)k * w->blocks + b0) * per_block, 0, sizeof(float) * (size_t)((b1 - b0) * per_block));
		for (int64_t n = 0; n < w->images; n += images)
			for (int p = 0; p < w->p; p += rows)
				for (int b = b0; b < b1; b++)
					for (int tap = 0; tap < taps; tap++)
						sum_tap(run, n, n + images < w->images ? n + images : w->images, p,
						        p + rows < w->p ? p + rows : w->p, tap, k, b);
	}
}

void phiz_blocked_weights_run(struct phiz_ctx *ctx, const struct phiz_blocked_weights *w,
                              const struct phiz_blocked_micro *micro)
{
	const int threads = phiz_ctx_threads(ctx);
	struct weights_run run = {.w = w, .micro = micro};
	int64_t wanted = threads > 1 ? 4 * (int64_t)threads : 1, split = (wanted + w->filters - 1) / w->filters;
	run.step = (int)((w->blocks + split - 1) / split);
	run.parts = (w->blocks + run.step - 1) / run.step;
	phiz_parallel_for(ctx, (int64_t)w->filters * run.parts, 1, weights_pieces, &run);
}
