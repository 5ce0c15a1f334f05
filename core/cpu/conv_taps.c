#include "core/cpu/conv_taps.h"

#include <string.h>

#include "core/base/thread.h"
#include "core/ops/ops.h"

/* Blocking. A panel's slice of TILE_DEPTH rows stays in the first-level cache while all filters pass over it;
 * BLOCK_DEPTH columns of all filters stay in the second level while the panels of about BLOCK_COLUMNS pixels pass by.
 */
enum { TILE_DEPTH = 192, BLOCK_DEPTH = 640, BLOCK_COLUMNS = 192, BLOCK_VECTORS = 32 };

/* How the work is cut. It changes no sum: each output pixel is summed in the same order under any cut. */
struct cut {
	int taps, depth;      /* rows of a filter: channels * taps */
	int block_channels;   /* packed at a time */
	int tile_depth;
	int64_t columns;      /* output pixels of all images */
	int64_t block;        /* columns of a block, a multiple of lanes */
	int64_t blocks;
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

static void cut_work(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int groups, int threads,
                     struct cut *cut)
{
	int width = BLOCK_COLUMNS * micro->lanes / PHIZ_MAX_LANES;
	cut->taps = t->taps_y * t->taps_x;
	cut->depth = t->channels * cut->taps;
	cut->block_channels = cut_depth(cut->depth, BLOCK_DEPTH > cut->taps ? BLOCK_DEPTH : cut->taps, cut->taps) /
	                      cut->taps;
	cut->tile_depth = cut_depth(cut->block_channels * cut->taps, TILE_DEPTH, 1);
	cut->columns = t->images * t->p * t->q;
	if (cut->columns < 1) /* a residue class may be empty */
		cut->columns = 1;
	cut->blocks = (cut->columns + width / 2) / width;
	if (cut->blocks < 1)
		cut->blocks = 1;
	cut->block = round_up((cut->columns + cut->blocks - 1) / cut->blocks, micro->lanes);
	cut->blocks = (cut->columns + cut->block - 1) / cut->block;
	/* Few pixels, as in the last layers of one image: then the filters are shared out too. */
	int64_t pieces = cut->blocks * groups, wanted = threads > 1 ? 4 * (int64_t)threads : 1;
	int64_t split = pieces < wanted ? (wanted + pieces - 1) / pieces : 1;
	int64_t step = round_up((t->rows + split - 1) / split, micro->rows);
	if (step < 4 * micro->rows)
		step = 4 * micro->rows;
	cut->row_step = step < t->rows ? (int)step : t->rows;
	cut->row_blocks = (t->rows + cut->row_step - 1) / cut->row_step;
}

/* Of one worker: the lanes of a block's vectors, a tile for pixels that are not neighbours, a packed panel. */
static size_t worker_bytes(const struct cut *cut, const struct phiz_conv_micro *micro, size_t *tile, size_t *packed)
{
	size_t bytes = sizeof(struct phiz_lanes) * BLOCK_VECTORS;
	*tile = bytes;
	bytes += sizeof(float) * (size_t)(micro->rows * PHIZ_PANEL_VECTORS * micro->lanes);
	*packed = bytes;
	bytes += sizeof(float) * (size_t)(cut->block_channels * cut->taps) * (size_t)(PHIZ_PANEL_VECTORS * micro->lanes);
	return (bytes + 63) & ~(size_t)63;
}

size_t phiz_taps_workspace(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int threads)
{
	struct cut cut;
	size_t tile, packed;
	cut_work(t, micro, 1, threads, &cut);
	return worker_bytes(&cut, micro, &tile, &packed) * (size_t)threads;
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
			v->run[v->runs].offset = v->offset[i] - i;
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

/* What a tile's columns are in the output. */
struct place {
	int64_t first;   /* column */
	int count;
	bool neighbours; /* in memory, in one image */
};

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

/* Takes a tile of sums to pixels that are not neighbours. */
static void scatter(const struct phiz_taps *t, const struct phiz_tile *tile, const struct place *place, int row,
                    int rows)
{
	int64_t column = place->first, end = place->first + place->count;
	for (int64_t done = 0; column < end; ) {
		float *out;
		int64_t run;
		locate(t, column, &out, &run);
		run = run < end - column ? run : end - column;
		for (int r = 0; r < rows; r++) {
			const float *from = tile->c + r * tile->ldc + done;
			float *to = out + (row + r) * t->out_plane;
			const float *residual = t->residual ? t->residual + (to - t->out) : NULL;
			float bias = t->bias ? t->bias[row + r] : 0;
			for (int64_t i = 0; i < run; i++) {
				float sum = from[i];
				if (tile->add)
					sum += to[i * t->out_col];
				if (tile->finish) {
					sum += bias;
					if (residual)
						sum += residual[i * t->out_col];
					sum = activate(sum, t->act, t->slope);
				}
				to[i * t->out_col] = sum;
			}
		}
		done += run;
		column += run;
	}
}

/* One panel against the filters row..row_end-1. */
static void run_panel(const struct phiz_taps *t, const struct phiz_conv_micro *micro, const struct place *place,
                      struct phiz_tile *tile, const float *a, int row, int row_end, float *apart)
{
	int vectors = (place->count + micro->lanes - 1) / micro->lanes;
	tile->last_lanes = place->count - (vectors - 1) * micro->lanes;
	struct phiz_tile part = *tile;
	float *out = NULL;
	int64_t unused;
	if (place->neighbours)
		locate(t, place->first, &out, &unused);
	else
		part.add = part.finish = false;
	for (int kind = 0; row < row_end; ) {
		int rows = micro->row_count[kind];
		if (rows > row_end - row) {
			kind++;
			continue;
		}
		part.a = a + row * t->lda;
		if (place->neighbours) {
			part.c = out + row * t->out_plane;
			part.ldc = t->out_plane;
			part.bias = t->bias ? t->bias + row : NULL;
			part.residual = t->residual ? t->residual + (part.c - t->out) : NULL;
			micro->tile[kind][vectors - 1](&part);
		} else {
			part.c = tile->c = apart;
			part.ldc = tile->ldc = (int64_t)vectors * micro->lanes;
			part.last_lanes = micro->lanes;
			micro->tile[kind][vectors - 1](&part);
			scatter(t, tile, place, row, rows);
		}
		row += rows;
	}
}

static bool neighbours(const struct phiz_taps *t, int64_t first, int count)
{
	int64_t plane = (int64_t)t->p * t->q;
	if (t->out_col != 1 || first / plane != (first + count - 1) / plane)
		return false;
	return t->out_row == t->q || first % t->q + count <= t->q;
}

/* One block of columns against a range of filters. */
static void run_block(const struct run *run, const struct phiz_taps *t, int64_t block, int row, int row_end, int worker)
{
	const struct phiz_conv_micro *micro = run->micro;
	const struct cut *cut = &run->cut;
	size_t tile_at, packed_at;
	worker_bytes(cut, micro, &tile_at, &packed_at);
	char *memory = run->workspace + (size_t)worker * run->per_worker;
	struct phiz_lanes *lanes = (struct phiz_lanes *)(void *)memory;
	float *apart = (float *)(void *)(memory + tile_at), *packed = (float *)(void *)(memory + packed_at);
	int64_t first = block * cut->block, plane = (int64_t)t->p * t->q, image = first / plane;
	int columns = (int)(cut->columns - first < cut->block ? cut->columns - first : cut->block);
	int vectors = (columns + micro->lanes - 1) / micro->lanes;
	for (int v = 0; v < vectors; v++)
		describe_lanes(t, first + v * micro->lanes, at_most(columns - v * micro->lanes, micro->lanes), image,
		               micro->lanes, lanes + v);
	struct phiz_taps local = *t;
	local.in += image * t->in_image;
	for (int c0 = 0; c0 < t->channels; c0 += cut->block_channels) {
		int c1 = at_most(c0 + cut->block_channels, t->channels), depth = (c1 - c0) * cut->taps;
		for (int v = 0, wide; v < vectors; v += wide) {
			wide = vectors - v == PHIZ_PANEL_VECTORS + 1 ? 2 : at_most(vectors - v, PHIZ_PANEL_VECTORS);
			struct place place = {first + v * micro->lanes,
			                      at_most(columns - v * micro->lanes, wide * micro->lanes), false};
			place.neighbours = neighbours(t, place.first, place.count);
			micro->pack(&local, lanes + v, wide, c0, c1, packed);
			for (int d = 0; d < depth; d += cut->tile_depth) {
				int64_t from = (int64_t)c0 * cut->taps + d;
				struct phiz_tile tile = {.depth = at_most(cut->tile_depth, depth - d),
				                         .lda = t->lda,
				                         .b = packed + (int64_t)d * wide * micro->lanes,
				                         .add = t->add || from > 0,
				                         .act = t->act,
				                         .slope = t->slope};
				tile.finish = from + tile.depth == cut->depth;
				run_panel(t, micro, &place, &tile, t->a + from, row, row_end, apart);
			}
		}
	}
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
	size_t tile, packed;
	if (t->images * t->p * t->q * t->rows == 0)
		return;
	cut_work(t, micro, groups, phiz_ctx_threads(ctx), &run.cut);
	run.per_worker = worker_bytes(&run.cut, micro, &tile, &packed);
	phiz_parallel_for(ctx, run.cut.blocks * groups * run.cut.row_blocks, 1, run_pieces, &run);
}
