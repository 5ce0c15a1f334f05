#include "core/cpu/bf16.h"

#include "core/base/thread.h"
#include "core/ops/ops.h"

/* A panel of PANEL_BYTES stays in the second-level cache while the filters pass by; GROUP tiles of it meet the same
 * CHUNK steps of the filters while those are in the first-level cache. */
enum { B = PHIZ_BF16_BLOCK, PANEL_BYTES = 1 << 20, LEAST_POSITIONS = 64, MOST_POSITIONS = 1024, GROUP = 4, CHUNK = 9 };

struct run {
	struct phiz_bf16_sum s;
	const struct phiz_bf16_micro *micro;
	int64_t pieces;
	int filter_blocks, parts; /* pieces that the filters are cut into */
	char *workspace;
	size_t per_worker;
	const int32_t *at;
};

struct scratch {
	uint16_t *panel;
	int32_t *from, *to; /* of each position: where it lies in the panel, where it goes */
	float *c;
};

static size_t line_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static size_t tile_count(const struct phiz_bf16_panel *p)
{
	return (size_t)(((int64_t)p->images * p->height * p->width + B - 1) / B);
}

static size_t scratch_of(const struct phiz_bf16_panel *p, char *memory, struct scratch *out)
{
	size_t panel = line_up(p->elements * sizeof(uint16_t)), to = line_up(tile_count(p) * B * sizeof(int32_t));
	if (out) {
		out->panel = (uint16_t *)(void *)memory;
		out->from = (int32_t *)(void *)(memory + panel);
		out->to = (int32_t *)(void *)(memory + panel + to);
		out->c = (float *)(void *)(memory + panel + 2 * to);
	}
	return panel + 2 * to + sizeof(float) * GROUP * PHIZ_BF16_TILE;
}

static size_t offset_bytes(const struct phiz_bf16_panel *p)
{
	return line_up((size_t)p->steps * sizeof(int32_t));
}

/* Pieces such that the panel stays in the cache and all threads have some. Where the filters are more than the picture,
 * they are shared out instead. */
static void divide(struct run *run, int threads)
{
	struct phiz_bf16_panel *p = &run->s.panel;
	const int64_t images = run->s.images;
	phiz_bf16_panel_of(p, images, INT64_MAX);
	const int64_t all = (int64_t)p->height * p->width * images, picture = (int64_t)p->elements;
	const int64_t position = (picture + all - 1) / all * (int64_t)sizeof(uint16_t);
	int64_t most = PANEL_BYTES / position, filters = (int64_t)p->steps * run->filter_blocks * PHIZ_BF16_TILE;
	run->parts = threads > 1 && filters > picture ? threads : 1;
	run->parts = run->parts < run->filter_blocks ? run->parts : run->filter_blocks;
	most = most < MOST_POSITIONS ? most : MOST_POSITIONS;
	if (threads > 1 && run->parts == 1 && most > all / (4 * threads))
		most = all / (4 * threads);
	phiz_bf16_panel_of(p, images, most < LEAST_POSITIONS ? LEAST_POSITIONS : most);
	run->pieces = phiz_bf16_pieces(p, images);
}

static void run_of(const struct phiz_bf16_sum *s, int threads, struct run *run)
{
	*run = (struct run){.s = *s, .filter_blocks = (s->filters + B - 1) / B};
	divide(run, threads);
	run->per_worker = scratch_of(&run->s.panel, NULL, NULL);
}

size_t phiz_bf16_sum_workspace(const struct phiz_bf16_sum *s, int threads)
{
	struct phiz_bf16_sum some = *s;
	struct run run;
	size_t most = 0;
	for (some.images = 1; some.images <= s->images; some.images++) { /* fewer may be cut into larger pieces */
		run_of(&some, threads, &run);
		size_t bytes = offset_bytes(&run.s.panel) + run.per_worker * (size_t)threads;
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* Where the piece's positions go, in pixels of the output from its first image on; -1: nowhere. */
static void describe(const struct run *run, const struct phiz_bf16_piece *piece, int64_t positions, int32_t *to)
{
	const struct phiz_bf16_sum *s = &run->s;
	const struct phiz_bf16_panel *p = &s->panel;
	const bool whole = s->out.block == B && !s->out.wide;
	const int64_t image = whole ? (int64_t)s->out.channels / B * s->out.height * s->out.width
	                            : (int64_t)s->out.height * s->out.width * s->out.channels / s->out.block;
	for (int64_t i = 0; i < (positions + B - 1) / B * B; i++) {
		int64_t line = i / p->width, n = line / p->height, row = line % p->height;
		int64_t col = i % p->width;
		bool is = n < piece->images && row < piece->rows && col < p->x.outputs;
		int64_t at = n * image + s->out_first + (piece->row + row) * s->out_row + col * s->out_col;
		to[i] = is ? (int32_t)(at * s->out.block) : -1;
	}
}

/* Leaves out the positions that go nowhere; gives how many there are, and fills up the last tile. */
static int64_t keep_pixels(const struct phiz_bf16_panel *p, int64_t positions, struct scratch *scratch)
{
	int64_t kept = 0;
	for (int64_t i = 0; i < positions; i++)
		if (scratch->to[i] >= 0) {
			scratch->from[kept] = (int32_t)(i * p->pixel);
			scratch->to[kept++] = scratch->to[i];
		}
	for (int64_t i = kept; i % B; i++) {
		scratch->from[i] = 0;
		scratch->to[i] = -1;
	}
	return kept;
}

/* Outputs, or what is added to them, that are float or do not lie in blocks of 32. */
static void finish_any(const struct run *run, int64_t image, int block, const float *c, const int32_t *to, int rows)
{
	const struct phiz_bf16_sum *s = &run->s;
	const struct phiz_bf16_picture *o = &s->out;
	const int64_t area = (int64_t)o->height * o->width;
	const struct phiz_bf16_picture *z = &s->residual;
	const int from = block * B, count = s->filters - from < B ? s->filters - from : B;
	for (int i = 0; i < rows; i++) {
		const int64_t n = image + to[i] / (area * o->channels), pixel = to[i] % (area * o->channels) / o->block;
		for (int l = 0; to[i] >= 0 && l < count; l++) {
			int k = from + l;
			int64_t at = (image * o->channels + k / o->block * o->block) * area + to[i] + k % o->block;
			float v = c[i * B + l] + (s->bias ? s->bias[k] : 0);
			if (s->add)
				v += phiz_bf16_get(o->data, o->wide, at);
			if (z->data)
				v += phiz_bf16_get(z->data, z->wide, (n * o->channels + k / z->block * z->block) * area +
				                   pixel * z->block + k % z->block);
			if (s->act != PHIZ_ACT_NONE && v <= 0)
				v = s->act == PHIZ_ACT_RELU ? 0 : v * s->slope;
			if (o->wide)
				((float *)(uintptr_t)o->data)[at] = v;
			else
				((uint16_t *)(uintptr_t)o->data)[at] = phiz_bf16_of(v);
		}
	}
}

static void finish_tile(const struct run *run, int64_t image, int block, const float *c, const int32_t *to, int rows)
{
	const struct phiz_bf16_sum *s = &run->s;
	if (s->out.block != B || s->out.wide || (s->residual.data && (s->residual.block != B || s->residual.wide))) {
		finish_any(run, image, block, c, to, rows);
		return;
	}
	const int64_t at = (image * s->out.channels + block * B) * s->out.height * s->out.width;
	struct phiz_bf16_finish f = {.c = c, .to = to, .rows = rows, .add = s->add, .act = s->act, .slope = s->slope};
	f.bias = s->bias ? s->bias + block * B : NULL;
	f.out = (uint16_t *)(uintptr_t)s->out.data + at;
	f.residual = s->residual.data ? (const uint16_t *)s->residual.data + at : NULL;
	run->micro->finish(&f);
}

/* One block of filters over tiles from `tile` on. */
static void sum_group(const struct run *run, const struct scratch *scratch, int64_t positions, int64_t tile,
                      int64_t tiles, int64_t image, int block)
{
	const struct phiz_bf16_panel *p = &run->s.panel;
	struct phiz_bf16_product t = {.a_row = p->pixel};
	for (int step = 0; step < p->steps; step += t.steps) {
		t.steps = p->steps - step;
		if (t.steps > CHUNK && tiles > 1)
			t.steps = t.steps < 2 * CHUNK ? (t.steps + 1) / 2 : CHUNK;
		t.a_at = run->at + step;
		t.b = run->s.w + ((int64_t)block * p->steps + step) * PHIZ_BF16_TILE;
		t.add = step > 0;
		for (int64_t i = 0; i < tiles; i++) {
			int64_t from = (tile + i) * B;
			t.a = scratch->panel + (run->micro->scattered ? 0 : from * p->pixel);
			t.a_from = run->micro->scattered ? scratch->from + from : NULL;
			t.rows = (int)(positions - from < B ? positions - from : B);
			t.c = scratch->c + i * PHIZ_BF16_TILE;
			run->micro->product(&t);
			if (step + t.steps == p->steps)
				finish_tile(run, image, block, t.c, scratch->to + from, t.rows);
		}
	}
}

static void sum_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_bf16_panel *p = &run->s.panel;
	struct scratch scratch;
	scratch_of(p, run->workspace + (size_t)worker * run->per_worker, &scratch);
	if (run->micro->begin)
		run->micro->begin();
	for (int64_t i = begin; i < end; i++) {
		struct phiz_bf16_piece piece = phiz_bf16_piece_at(p, run->s.images, i / run->parts);
		int64_t positions = phiz_bf16_positions(p, &piece);
		const int part = (int)(i % run->parts);
		const int from = run->filter_blocks * part / run->parts, to = run->filter_blocks * (part + 1) / run->parts;
		for (int b = 0; b < p->blocks; b++)
			phiz_bf16_gather(p, &piece, b, scratch.panel + b * p->block);
		describe(run, &piece, positions, scratch.to);
		if (run->micro->scattered)
			positions = keep_pixels(p, positions, &scratch);
		const int64_t tiles = (positions + B - 1) / B;
		for (int block = from; block < to; block++)
			for (int64_t tile = 0; tile < tiles; tile += GROUP)
				sum_group(run, &scratch, positions, tile, tiles - tile < GROUP ? tiles - tile : GROUP, piece.image,
				          block);
	}
	if (run->micro->end)
		run->micro->end();
}

void phiz_bf16_sum_run(struct phiz_ctx *ctx, const struct phiz_bf16_sum *s, const struct phiz_bf16_micro *micro,
                       void *workspace)
{
	struct run run;
	run_of(s, phiz_ctx_threads(ctx), &run);
	run.micro = micro;
	run.at = workspace;
	run.workspace = (char *)workspace + offset_bytes(&run.s.panel);
	phiz_bf16_offsets(&run.s.panel, workspace);
	phiz_parallel_for(ctx, run.pieces * run.parts, 1, sum_pieces, &run);
}
