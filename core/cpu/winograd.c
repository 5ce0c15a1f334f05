#include "core/cpu/winograd.h"

#include <string.h>

#include "core/base/thread.h"

/* A piece of the work is some tiles times some blocks of filters. The planes of its inputs stay in the second-level
 * cache while the filters pass: PLANE_BYTES of them, but never so few tiles that the filters are read for little. */
enum { PLANE_BYTES = 384 << 10, LEAST_TILES = 12, MOST_TILES = 48 };

struct run {
	const struct phiz_blocked_sum *s;
	const struct phiz_blocked_micro *micro;
	int m, planes;
	int tiles_y, tiles_x;   /* of a picture */
	int most;               /* tiles of a piece */
	int64_t v_plane, sum_plane; /* floats from plane to plane */
	int64_t tiles, pieces;
	int parts, filters_step; /* pieces that the filters are cut into */
	char *workspace;
	size_t per_worker;
};

/* Scratch of a worker. */
struct scratch {
	float *v;        /* [plane][block][tile][16], planes v_plane apart */
	float *sum;      /* [plane][filters: 1 or 2 blocks][tile][16], planes sum_plane apart */
};

static size_t line_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static size_t scratch_bytes(const struct run *run, char *memory, struct scratch *out)
{
	size_t planes = (size_t)run->planes;
	size_t v = line_up(sizeof(float) * planes * (size_t)run->v_plane);
	size_t sum = line_up(sizeof(float) * planes * (size_t)run->sum_plane);
	if (out) {
		out->v = (float *)(void *)memory;
		out->sum = (float *)(void *)(memory + v);
	}
	return v + sum;
}

/* Planes of so many cache lines, and an odd one: a transform writes one line of each plane, and these must not all fall
 * into one set of the cache. */
static int64_t plane_floats(int64_t lines)
{
	return (lines | 1) * PHIZ_BLOCK;
}

static void describe(const struct phiz_blocked_sum *s, int m, const struct phiz_blocked_micro *micro, struct run *run)
{
	*run = (struct run){.s = s, .micro = micro, .m = m, .planes = phiz_winograd_planes(m),
	                    .tiles_y = (s->p + m - 1) / m, .tiles_x = (s->q + m - 1) / m};
	int64_t tile = (int64_t)sizeof(float) * run->planes * s->blocks * PHIZ_BLOCK, most = PLANE_BYTES / tile;
	run->most = most < LEAST_TILES ? LEAST_TILES : most > MOST_TILES ? MOST_TILES : (int)most;
	run->most = (run->most + micro->pixels - 1) / micro->pixels * micro->pixels;
	run->v_plane = plane_floats((int64_t)s->blocks * run->most);
	run->sum_plane = plane_floats((int64_t)2 * run->most);
	run->tiles = s->images * run->tiles_y * run->tiles_x;
	run->pieces = (run->tiles + run->most - 1) / run->most;
}

size_t phiz_winograd_workspace(const struct phiz_blocked_sum *s, int m, const struct phiz_blocked_micro *micro,
                               int threads)
{
	struct run run;
	describe(s, m, micro, &run);
	return scratch_bytes(&run, NULL, NULL) * (size_t)threads;
}

/* Where a tile lies. */
struct place {
	int64_t image;
	int y, x; /* of its first output */
};

static struct place locate(const struct run *run, int64_t tile)
{
	int64_t per_image = (int64_t)run->tiles_y * run->tiles_x, rest = tile % per_image;
	struct place at = {tile / per_image, (int)(rest / run->tiles_x) * run->m, (int)(rest % run->tiles_x) * run->m};
	return at;
}

static void transform_inputs(const struct run *run, const struct scratch *scratch, int64_t first, int count)
{
	const struct phiz_blocked_sum *s = run->s;
	struct phiz_winograd_in t = {.in_row = s->in_row, .height = s->height, .width = s->width,
	                             .step = run->v_plane};
	for (int i = 0; i < count; i++) {
		struct place at = locate(run, first + i);
		t.y = at.y + s->first_y;
		t.x = at.x + s->first_x;
		for (int b = 0; b < s->blocks; b++) {
			t.in = s->in + at.image * s->in_image + b * s->in_block;
			t.v = scratch->v + ((int64_t)b * run->most + i) * PHIZ_BLOCK;
			run->micro->winograd_in[run->m / 4](&t);
		}
	}
}

/* sum[plane][f][tile] = sum over the depth of v[plane][tile] * filters of block m + f */
static void multiply(const struct run *run, const struct scratch *scratch, int count, int m, bool pair)
{
	const struct phiz_blocked_sum *s = run->s;
	const int64_t per_plane = (int64_t)s->blocks * PHIZ_BLOCK * PHIZ_BLOCK;
	const phiz_blocked_product_fn *fn = pair ? run->micro->product_pair : run->micro->product;
	const int groups = (count + run->micro->pixels - 1) / run->micro->pixels;
	struct phiz_blocked_product t = {.v_block = (int64_t)run->most * PHIZ_BLOCK, .blocks = s->blocks,
	                                 .w_filters = run->planes * per_plane,
	                                 .out_filters = (int64_t)run->most * PHIZ_BLOCK};
	for (int plane = 0; plane < run->planes; plane++) {
		t.w = s->w + ((int64_t)m * run->planes + plane) * per_plane;
		for (int g = 0; g < groups; g++) {
			int from = count * g / groups, end = count * (g + 1) / groups;
			t.v = scratch->v + plane * run->v_plane + (int64_t)from * PHIZ_BLOCK;
			t.out = scratch->sum + plane * run->sum_plane + (int64_t)from * PHIZ_BLOCK;
			fn[end - from - 1](&t);
		}
	}
}

static void transform_outputs(const struct run *run, const struct scratch *scratch, int64_t first, int count, int m,
                              int f)
{
	const struct phiz_blocked_sum *s = run->s;
	struct phiz_winograd_out t = {.step = run->sum_plane, .out_row = s->out_row, .add = s->add,
	                              .act = s->act, .slope = s->slope};
	t.bias = s->bias ? s->bias + (m + f) * PHIZ_BLOCK : NULL;
	for (int i = 0; i < count; i++) {
		struct place at = locate(run, first + i);
		int64_t offset = at.image * s->out_image + (m + f) * s->out_block + at.y * s->out_row + at.x * s->out_col;
		t.sum = scratch->sum + ((int64_t)f * run->most + i) * PHIZ_BLOCK;
		t.out = s->out + offset;
		t.residual = s->residual ? s->residual + offset : NULL;
		t.rows = s->p - at.y < run->m ? s->p - at.y : run->m;
		t.cols = s->q - at.x < run->m ? s->q - at.x : run->m;
		run->micro->winograd_out[run->m / 4](&t);
	}
}

static void pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	struct scratch scratch;
	scratch_bytes(run, run->workspace + (size_t)worker * run->per_worker, &scratch);
	for (int64_t piece = begin; piece < end; piece++) {
		int64_t first = run->tiles * (piece / run->parts) / run->pieces;
		int count = (int)(run->tiles * (piece / run->parts + 1) / run->pieces - first);
		int m = (int)(piece % run->parts) * run->filters_step;
		int last = m + run->filters_step < run->s->filters ? m + run->filters_step : run->s->filters;
		transform_inputs(run, &scratch, first, count);
		while (m < last) {
			bool pair = run->micro->pairs && m + 1 < last;
			multiply(run, &scratch, count, m, pair);
			transform_outputs(run, &scratch, first, count, m, 0);
			if (pair)
				transform_outputs(run, &scratch, first, count, m, 1);
			m += pair ? 2 : 1;
		}
	}
}

void phiz_winograd_run(struct phiz_ctx *ctx, const struct phiz_blocked_sum *s, int m,
                       const struct phiz_blocked_micro *micro, void *workspace)
{
	const int threads = phiz_ctx_threads(ctx);
	struct run run;
	describe(s, m, micro, &run);
	if (!run.tiles)
		return;
	run.workspace = workspace;
	run.per_worker = scratch_bytes(&run, NULL, NULL);
	/* Few pieces: then the filters are shared out too, and each part transforms the inputs for itself. Parts are cut so
	 * that the threads have as much to do each; a tile's sums do not depend on its piece. */
	const int step = micro->pairs ? 2 : 1, most_parts = (s->filters + step - 1) / step;
	run.parts = 1;
	while (run.pieces * run.parts < 8 * (int64_t)threads && run.pieces * run.parts % threads && run.parts < most_parts)
		run.parts++;
	run.filters_step = (int)((s->filters + run.parts - 1) / run.parts + step - 1) / step * step;
	run.parts = (s->filters + run.filters_step - 1) / run.filters_step;
	phiz_parallel_for(ctx, run.pieces * run.parts, 1, pieces, &run);
}
