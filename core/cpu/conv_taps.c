#include "core/cpu/conv_taps.h"

#include <string.h>

#include "core/base/thread.h"
#include "core/ops/ops.h"

/* Blocking. A panel's slice of TILE_DEPTH rows stays in the first-level cache while all filters pass over it; a slice
 * of the filters (micro->filter_bytes, within the two limits of depth) stays in the second level while the panels of a
 * block of pixels pass by. Where few filters pass over a panel, packing it counts: it stays in the first level for
 * that. A block has BLOCK_PANELS full panels, the last one of a product up to half as many more. */
enum {
	TILE_DEPTH = 192,
	FEW_ROWS = 96,
	BLOCK_DEPTH_FEW_ROWS = 288,
	BLOCK_DEPTH_MIN = 144,
	BLOCK_DEPTH_MAX = 640,
	BLOCK_PANELS = 4,
	BLOCK_VECTORS = BLOCK_PANELS * PHIZ_PANEL_VECTORS * 3 / 2
};

/* How the work is cut. It changes no sum: each output pixel is summed in the same order under any cut. */
struct cut {
	int taps, depth;      /* rows of a filter: channels * taps */
	int block_channels;   /* packed at a time */
	int tile_depth;
	int64_t columns;      /* output pixels of all images */
	int64_t block, blocks; /* columns of a block, but for the last, which takes the rest */
	int row_step, row_blocks; /* rows of a piece */
};

struct run {
	const struct phiz_taps *t;
	const struct phiz_conv_micro *micro;
	struct cut cut;
	int groups;
	char *workspace;
	size_t per_worker;
};

static int64_t round_up(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static int at_most(int n, int limit)
{
	return n < limit ? n : limit;
}

static int cut_depth(int depth, int limit, int unit)
{
	int parts = (depth + limit - 1) / limit;
	int step = (depth + parts - 1) / parts;
	return at_most((int)round_up(step, unit), depth);
}

static int block_depth(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int taps)
{
	int depth = micro->filter_bytes / ((int)sizeof(float) * at_most(t->rows, 1 << 20));
	if (depth < BLOCK_DEPTH_MIN)
		depth = BLOCK_DEPTH_MIN;
	depth = at_most(depth, t->rows <= FEW_ROWS ? BLOCK_DEPTH_FEW_ROWS : BLOCK_DEPTH_MAX);
	return depth > taps ? depth : taps;
}

static void cut_work(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int groups, int threads,
                     struct cut *cut)
{
	cut->taps = t->taps_y * t->taps_x;
	cut->depth = t->channels * cut->taps;
	cut->block_channels = cut_depth(cut->depth, block_depth(t, micro, cut->taps), cut->taps) / cut->taps;
	cut->tile_depth = cut_depth(cut->block_channels * cut->taps, TILE_DEPTH, 1);
	cut->columns = t->images * t->p * t->q;
	if (cut->columns < 1) /* a residue class may be empty */
		cut->columns = 1;
	cut->block = (int64_t)BLOCK_PANELS * PHIZ_PANEL_VECTORS * micro->lanes;
	cut->blocks = (cut->columns + cut->block / 2) / cut->block;
	if (cut->blocks < 1)
		cut->blocks = 1;
	/* Few pixels, as in the last layers of one image: then the filters are shared out too. */
	int64_t pieces = cut->blocks * groups, wanted = threads > 1 ? 2 * (int64_t)threads : 1;
	int64_t split = pieces < wanted ? (wanted + pieces - 1) / pieces : 1;
	int64_t step = round_up((t->rows + split - 1) / split, micro->rows);
	if (step < 4 * micro->rows)
		step = 4 * micro->rows;
	cut->row_step = step < t->rows ? (int)step : t->rows;
	cut->row_blocks = (t->rows + cut->row_step - 1) / cut->row_step;
}

/* Scratch memory of one worker. */
struct scratch {
	struct phiz_lanes *lanes; /* of a block's vectors */
	float *packed;            /* a panel */
	float *apart;             /* sums of panels whose pixels are not neighbours: panel x filter x pixel */
};

static size_t worker_bytes(const struct cut *cut, const struct phiz_taps *t, const struct phiz_conv_micro *micro,
                           char *memory, struct scratch *out)
{
	size_t lanes = (size_t)micro->lanes, depth = (size_t)(cut->block_channels * cut->taps);
	size_t packed = (sizeof(struct phiz_lanes) * BLOCK_VECTORS + 63) & ~(size_t)63;
	size_t apart = packed + sizeof(float) * depth * PHIZ_PANEL_VECTORS * lanes;
	size_t bytes = apart + sizeof(float) * (size_t)t->rows * BLOCK_VECTORS * lanes;
	if (out) {
		out->lanes = (struct phiz_lanes *)(void *)memory;
		out->packed = (float *)(void *)(memory + packed);
		out->apart = (float *)(void *)(memory + apart);
	}
	return (bytes + 63) & ~(size_t)63;
}

size_t phiz_taps_workspace(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int threads)
{
	struct cut cut;
	cut_work(t, micro, 1, threads, &cut);
	return worker_bytes(&cut, t, micro, NULL, NULL) * (size_t)threads;
}

/* Offsets of lanes count from the first image of their block. */
bool phiz_taps_fits(const struct phiz_taps *t)
{
	const int64_t limit = INT32_MAX;
	int64_t plane = (int64_t)t->p * t->q, images = 2 + BLOCK_VECTORS * PHIZ_MAX_LANES / (plane < 1 ? 1 : plane);
	return images * t->in_image <= limit && (int64_t)t->channels * t->taps_y * t->taps_x <= limit / 64 &&
	       (int64_t)t->taps_y * t->step_y <= limit / 2 && (int64_t)t->taps_x * t->step_x <= limit / 2;
}

/* Describes the `count` pixels from column `first` of the block; offsets count from the image of the block's first
 * column, `image`. */
static void describe_lanes(const struct phiz_taps *t, int64_t first, int count, int64_t image, int lanes,
                           struct phiz_lanes *v)
{
	int64_t n = first / ((int64_t)t->p * t->q), rest = first % ((int64_t)t->p * t->q);
	int p = (int)(rest / t->q), q = (int)(rest % t->q);
	v->runs = 0;
	for (int i = 0; i < lanes; i++) {
		v->y[i] = i < count ? p * t->stride_y : INT32_MIN / 2;
		v->x[i] = i < count ? q * t->stride_x : 0;
		v->offset[i] = 0;
		if (i >= count)
			continue;
		v->offset[i] = (int32_t)((n - image) * t->in_image + (int64_t)v->y[i] * t->width + v->x[i]);
		if (i == 0 || q == 0) {
			v->run[v->runs].offset = v->offset[i] - (int64_t)i * t->stride_x;
			v->run[v->runs++].lanes = 0;
		}
		v->run[v->runs - 1].lanes |= 1u << i;
		if (++q < t->q)
			continue;
		q = 0;
		if (++p < t->p)
			continue;
		p = 0;
		n++;
	}
}

static void locate(const struct phiz_taps *t, int64_t column, float **out, int64_t *left_in_row)
{
	int64_t plane = (int64_t)t->p * t->q, n = column / plane, rest = column % plane;
	int64_t p = rest / t->q, q = rest % t->q;
	*out = t->out + n * t->out_image + p * t->out_row + q * t->out_col;
	*left_in_row = t->q - q;
}

static float activate(float x, int act, float slope)
{
	if (act == PHIZ_ACT_NONE || !(x <= 0))
		return x;
	return act == PHIZ_ACT_RELU ? 0 : x * slope;
}

/* A stretch of `count` sums to pixels in one row of the image of filter `row`. */
static void finish_stretch(const struct phiz_taps *t, const float *sum, float *to, int64_t count, int row)
{
	const int64_t step = t->out_col;
	if (!t->add && !t->bias && !t->residual && t->act == PHIZ_ACT_NONE) {
		for (int64_t i = 0; i < count; i++)
			to[i * step] = sum[i];
		return;
	}
	const float *residual = t->residual ? t->residual + (to - t->out) : NULL;
	float bias = t->bias ? t->bias[row] : 0;
	for (int64_t i = 0; i < count; i++) {
		float v = sum[i];
		if (t->add)
			v += to[i * step];
		v += bias;
		if (residual)
			v += residual[i * step];
		to[i * step] = activate(v, t->act, t->slope);
	}
}

/* A panel of a block: `count` columns from column `first`. */
struct panel {
	int64_t first;
	int count, vectors; /* no vectors: odd columns */
	float *out;   /* of its first column, filter 0, where its columns are neighbours in the output; else NULL */
	float *apart; /* else its sums gather here, a row of vectors per filter */
};

/* Takes the sums of a panel to pixels that are not neighbours. */
static void scatter(const struct phiz_taps *t, const struct panel *panel, int lanes, int row, int row_end)
{
	int64_t width = panel->vectors ? (int64_t)panel->vectors * lanes : PHIZ_ODD_COLUMNS;
	for (int64_t done = 0, run; done < panel->count; done += run) {
		float *out;
		locate(t, panel->first + done, &out, &run);
		run = run < panel->count - done ? run : panel->count - done;
		for (int r = row; r < row_end; r++)
			finish_stretch(t, panel->apart + (r - row) * width + done, out + r * t->out_plane, run, r);
	}
}

/* One slice of depth of a panel against the filters row..row_end-1; `first`, `last`: it is the first or last slice. */
static void run_panel(const struct phiz_taps *t, const struct phiz_conv_micro *micro, const struct panel *panel,
                      const struct phiz_tile *slice, bool first, bool last, int row, int row_end)
{
	struct phiz_tile tile = *slice;
	int64_t width = (int64_t)panel->vectors * micro->lanes;
	tile.ldc = panel->out ? t->out_plane : width;
	tile.last_lanes = panel->out ? panel->count - (panel->vectors - 1) * micro->lanes : micro->lanes;
	tile.add = !first || (panel->out && t->add);
	tile.finish = last && panel->out && (t->bias || t->residual || t->act != PHIZ_ACT_NONE);
	for (int kind = 0, r = row; r < row_end; ) {
		int rows = micro->row_count[kind];
		if (rows > row_end - r) {
			kind++;
			continue;
		}
		tile.a = slice->a + r * t->lda;
		tile.c = panel->out ? panel->out + r * t->out_plane : panel->apart + (r - row) * width;
		if (tile.finish) {
			tile.bias = t->bias ? t->bias + r : NULL;
			tile.residual = t->residual ? t->residual + (tile.c - t->out) : NULL;
		}
		micro->tile[kind][panel->vectors - 1](&tile);
		r += rows;
	}
}

/* The same for odd columns. */
static void run_odd(const struct phiz_taps *t, const struct phiz_conv_micro *micro, const struct panel *panel,
                    struct phiz_tile *slice, bool first, int row, int row_end)
{
	const float *a = slice->a;
	slice->add = !first;
	slice->ldc = PHIZ_ODD_COLUMNS;
	for (int r = row; r < row_end; r += PHIZ_ODD_ROWS) {
		slice->a = a + r * t->lda;
		slice->c = panel->apart + (int64_t)(r - row) * PHIZ_ODD_COLUMNS;
		micro->odd(slice, at_most(row_end - r, PHIZ_ODD_ROWS), panel->count);
	}
}

/* Packs odd columns, each `ld` from the next; lanes: their vector. */
static void pack_odd(const struct phiz_taps *t, const struct phiz_lanes *lanes, int count, int c0, int c1, int64_t ld,
                     float *b)
{
	const int taps = t->taps_y * t->taps_x;
	for (int j = 0; j < count; j++, b += ld)
		for (int i = 0; i < taps; i++) {
			int dy = t->first_y + i / t->taps_x * t->step_y, dx = t->first_x + i % t->taps_x * t->step_x;
			int y = lanes->y[j] + dy, x = lanes->x[j] + dx;
			bool inside = y >= 0 && y < t->height && x >= 0 && x < t->width;
			const float *in = t->in + c0 * t->in_plane + lanes->offset[j] + (int64_t)dy * t->width + dx;
			for (int64_t c = 0; c < c1 - c0; c++)
				b[c * taps + i] = inside ? in[c * t->in_plane] : 0;
		}
}

static bool neighbours(const struct phiz_taps *t, int64_t first, int count)
{
	int64_t plane = (int64_t)t->p * t->q;
	if (t->out_col != 1 || first / plane != (first + count - 1) / plane)
		return false;
	return t->out_row == t->q || first % t->q + count <= t->q;
}

/* Cuts a block's columns into panels; returns how many. */
static int list_panels(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int64_t first, int columns,
                       int rows, float *apart, struct panel *list)
{
	int n = 0, lanes = micro->lanes, odd = micro->odd ? columns % lanes : 0;
	if (odd > PHIZ_ODD_COLUMNS)
		odd = 0;
	columns -= odd;
	int vectors = (columns + lanes - 1) / lanes;
	for (int v = 0; v < vectors; n++) {
		struct panel *panel = &list[n];
		int left = vectors - v;
		*panel = (struct panel){.first = first + v * lanes, .apart = apart + (int64_t)v * lanes * rows};
		panel->vectors = left == PHIZ_PANEL_VECTORS + 1 ? 2 : at_most(left, PHIZ_PANEL_VECTORS);
		panel->count = at_most(columns - v * lanes, panel->vectors * lanes);
		int64_t unused;
		if (neighbours(t, panel->first, panel->count))
			locate(t, panel->first, &panel->out, &unused);
		v += panel->vectors;
	}
	if (odd)
		list[n++] = (struct panel){.first = first + columns, .count = odd,
		                           .apart = apart + (int64_t)vectors * lanes * rows};
	return n;
}

/* One block of columns against a range of filters. */
static void run_block(const struct run *run, const struct phiz_taps *t, int64_t block, int row, int row_end, int worker)
{
	const struct phiz_conv_micro *micro = run->micro;
	const struct cut *cut = &run->cut;
	struct scratch scratch;
	worker_bytes(cut, t, micro, run->workspace + (size_t)worker * run->per_worker, &scratch);
	struct panel panel[BLOCK_VECTORS];
	int64_t first = block * cut->block, image = first / ((int64_t)t->p * t->q);
	int columns = (int)(block == cut->blocks - 1 ? cut->columns - first : cut->block);
	int n = list_panels(t, micro, first, columns, row_end - row, scratch.apart, panel);
	for (int v = 0; v * micro->lanes < columns; v++)
		describe_lanes(t, first + v * micro->lanes, at_most(columns - v * micro->lanes, micro->lanes), image,
		               micro->lanes, scratch.lanes + v);
	struct phiz_taps local = *t;
	local.in += image * t->in_image;
	for (int c0 = 0; c0 < t->channels; c0 += cut->block_channels) {
		int c1 = at_most(c0 + cut->block_channels, t->channels), depth = (c1 - c0) * cut->taps;
		for (int i = 0; i < n; i++) {
			int64_t width = (int64_t)panel[i].vectors * micro->lanes;
			const struct phiz_lanes *lanes = scratch.lanes + (panel[i].first - first) / micro->lanes;
			if (!panel[i].vectors) {
				struct phiz_tile slice = {.depth = depth, .a = t->a + (int64_t)c0 * cut->taps, .lda = t->lda,
				                          .b = scratch.packed, .ldb = depth};
				pack_odd(&local, lanes, panel[i].count, c0, c1, depth, scratch.packed);
				run_odd(t, micro, &panel[i], &slice, c0 == 0, row, row_end);
				continue;
			}
			micro->pack(&local, lanes, panel[i].vectors, c0, c1, scratch.packed);
			for (int d = 0; d < depth; d += cut->tile_depth) {
				int from = c0 * cut->taps + d;
				struct phiz_tile slice = {.depth = at_most(cut->tile_depth, depth - d), .a = t->a + from,
				                          .lda = t->lda, .b = scratch.packed + d * width, .act = t->act,
				                          .slope = t->slope};
				run_panel(t, micro, &panel[i], &slice, from == 0, from + slice.depth == cut->depth, row, row_end);
			}
		}
	}
	for (int i = 0; i < n; i++)
		if (!panel[i].out)
			scatter(t, &panel[i], micro->lanes, row, row_end);
}

static void run_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	for (int64_t piece = begin; piece < end; piece++) {
		int64_t rest = piece;
		int row = (int)(rest % run->cut.row_blocks) * run->cut.row_step;
		rest /= run->cut.row_blocks;
		int64_t block = rest % run->cut.blocks, g = rest / run->cut.blocks;
		struct phiz_taps t = *run->t;
		t.in += g * t.channels * t.in_plane;
		t.a += g * t.rows * t.lda;
		t.out += g * t.rows * t.out_plane;
		if (t.bias)
			t.bias += g * t.rows;
		if (t.residual)
			t.residual += g * t.rows * t.out_plane;
		run_block(run, &t, block, row, at_most(row + run->cut.row_step, t.rows), worker);
	}
}

void phiz_taps_run(struct phiz_ctx *ctx, const struct phiz_taps *t, int groups, const struct phiz_conv_micro *micro,
                   void *workspace)
{
	struct run run = {.t = t, .micro = micro, .groups = groups, .workspace = workspace};
	if (t->images * t->p * t->q * t->rows == 0)
		return;
	cut_work(t, micro, groups, phiz_ctx_threads(ctx), &run.cut);
	run.per_worker = worker_bytes(&run.cut, t, micro, NULL, NULL);
	phiz_parallel_for(ctx, run.cut.blocks * groups * run.cut.row_blocks, 1, run_pieces, &run);
}
