#include "core/cpu/winograd.h"

#include <string.h>

#include "core/base/thread.h"

/* A piece of the work is some tiles times some blocks of filters. The planes of its inputs stay in the second-level
 * cache while the filters pass: PLANE_BYTES of them, but never so few tiles that the filters are read for little. Where
 * the planes of the filters are not there, they are made where they are used, FILTER_BYTES at a time: they are 2 or 4
 * times what the filters are, and for few tiles reading them from memory takes longer than making them. */
enum { PLANE_BYTES = 384 << 10, LEAST_TILES = 24, MOST_TILES = 48, FILTER_BYTES = 160 << 10 };
enum { AHEAD = 1024 }; /* floats from planes that are read to those that are fetched into the cache */

enum { FILTERS = 9 * PHIZ_BLOCK * PHIZ_BLOCK }; /* floats of a block of filters and one of the depth */

struct run {
	const struct phiz_blocked_sum *s;
	const struct phiz_blocked_micro *micro;
	int m, planes;
	int tiles_y, tiles_x;   /* of a picture */
	int most;               /* tiles of a piece */
	int step;               /* blocks of filters that are multiplied at a time: 1 or 2 */
	int chunk;              /* blocks of the depth whose filters' planes are there at a time */
	int64_t v_plane, u_plane, sum_plane; /* floats from plane to plane */
	const float *whole;     /* the planes of all filters, [filters / step] times what a worker's scratch has; or NULL */
	int64_t tiles, pieces;
	int parts, filters_step; /* pieces that the filters are cut into */
	char *workspace;
	size_t per_worker;
};

/* Scratch of a worker. */
struct scratch {
	float *v;   /* [plane][block][tile][16], planes v_plane apart */
	float *u;   /* [plane][filters: step blocks][block of the chunk][16][16], planes u_plane apart */
	float *sum; /* [plane][filters: step blocks][tile][16], planes sum_plane apart */
};

static size_t line_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static size_t scratch_bytes(const struct run *run, bool with_filters, char *memory, struct scratch *out)
{
	size_t planes = (size_t)run->planes;
	size_t v = line_up(sizeof(float) * planes * (size_t)run->v_plane);
	size_t u = with_filters ? line_up(sizeof(float) * planes * (size_t)run->u_plane) : 0;
	size_t sum = line_up(sizeof(float) * planes * (size_t)run->sum_plane);
	if (out) {
		out->v = (float *)(void *)memory;
		out->u = (float *)(void *)(memory + v);
		out->sum = (float *)(void *)(memory + v + u);
	}
	return v + u + sum;
}

/* Planes of so many cache lines, and an odd one: a transform writes one line of each plane, and these must not all fall
 * into one set of the cache. */
static int64_t plane_floats(int64_t lines)
{
	return (lines | 1) * PHIZ_BLOCK;
}

static int step_of(const struct phiz_blocked_micro *micro)
{
	return micro->pairs ? 2 : 1;
}

/* Floats from plane to plane of the filters. */
static int64_t filter_plane(int step, int blocks)
{
	return plane_floats((int64_t)step * blocks * PHIZ_BLOCK);
}

size_t phiz_winograd_plane_floats(int m, int filters, int blocks, const struct phiz_blocked_micro *micro)
{
	const int step = step_of(micro), planes = phiz_winograd_planes(m);
	const int64_t floats = (int64_t)((filters + step - 1) / step) * planes * filter_plane(step, blocks);
	return (size_t)floats;
}

void phiz_winograd_make_planes(int m, int blocks, const struct phiz_blocked_micro *micro, int f, int b,
                               const float *filters, float *planes)
{
	const int step = step_of(micro);
	const int64_t plane = filter_plane(step, blocks);
	float *to = planes + f / step * phiz_winograd_planes(m) * plane;
	micro->winograd_filters[m / 4](filters, to + ((int64_t)(f % step) * blocks + b) * PHIZ_BLOCK * PHIZ_BLOCK, plane);
}

static void describe(const struct phiz_blocked_sum *s, int m, bool planes, const struct phiz_blocked_micro *micro,
                     struct run *run)
{
	*run = (struct run){.s = s, .micro = micro, .m = m, .planes = phiz_winograd_planes(m),
	                    .tiles_y = (s->p + m - 1) / m, .tiles_x = (s->q + m - 1) / m, .step = step_of(micro)};
	int64_t tile = (int64_t)sizeof(float) * run->planes * s->blocks * PHIZ_BLOCK, most = PLANE_BYTES / tile;
	run->most = most < LEAST_TILES ? LEAST_TILES : most > MOST_TILES ? MOST_TILES : (int)most;
	run->most = (run->most + micro->pixels - 1) / micro->pixels * micro->pixels;
	run->chunk = FILTER_BYTES / ((int)sizeof(float) * PHIZ_BLOCK * PHIZ_BLOCK * run->planes * run->step);
	run->chunk = run->chunk < 1 ? 1 : run->chunk > s->blocks || planes ? s->blocks : run->chunk;
	run->v_plane = plane_floats((int64_t)s->blocks * run->most);
	run->u_plane = filter_plane(run->step, run->chunk);
	run->sum_plane = plane_floats((int64_t)run->step * run->most);
	run->tiles = s->images * run->tiles_y * run->tiles_x;
	run->pieces = (run->tiles + run->most - 1) / run->most;
}

size_t phiz_winograd_workspace(const struct phiz_blocked_sum *s, int m, bool planes,
                               const struct phiz_blocked_micro *micro, int threads)
{
	struct run run;
	describe(s, m, planes, micro, &run);
	return scratch_bytes(&run, !planes, NULL, NULL) * (size_t)threads;
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
			int64_t block = at.image * s->in_image + phiz_blocked_at(s->bf16, b, s->in_block);
			t.in = phiz_blocked_element(s->bf16, s->in, block);
			t.v = scratch->v + ((int64_t)b * run->most + i) * PHIZ_BLOCK;
			run->micro->winograd_in[s->bf16][run->m / 4](&t);
		}
	}
}

/* Some blocks of filters times some of the depth. */
struct part {
	int m, filters;    /* the first block of filters, and 1 or 2 */
	int block, blocks; /* of the depth */
};

static const float *filters_at(const struct run *run, int m, int block)
{
	return run->s->w + ((int64_t)m * run->s->blocks + block) * FILTERS;
}

static void transform_filters(const struct run *run, float *u, struct part part)
{
	for (int f = 0; f < part.filters; f++)
		for (int b = 0; b < part.blocks; b++)
			run->micro->winograd_filters[run->m / 4](filters_at(run, part.m + f, part.block + b),
			                                         u + ((int64_t)f * run->chunk + b) * PHIZ_BLOCK * PHIZ_BLOCK,
			                                         run->u_plane);
}

/* sum[plane][f][tile] (+)= sum over the part's depth of v[plane][tile] * u[plane][f]. What comes next is fetched into
 * the cache meanwhile: the planes of all filters are read in the order in which they lie; else `next` are the filters
 * of which the next planes are made, shared out over all products. */
static void multiply(const struct run *run, const struct scratch *scratch, int count, struct part part,
                     const float *next)
{
	const phiz_blocked_product_fn *fn = part.filters > 1 ? run->micro->product_pair : run->micro->product;
	const int groups = (count + run->micro->pixels - 1) / run->micro->pixels, products = run->planes * groups;
	const int step = (FILTERS / PHIZ_BLOCK + products - 1) / products;
	struct phiz_blocked_product t = {.v_block = (int64_t)run->most * PHIZ_BLOCK, .blocks = part.blocks,
	                                 .w_filters = (int64_t)run->chunk * PHIZ_BLOCK * PHIZ_BLOCK,
	                                 .out_filters = (int64_t)run->most * PHIZ_BLOCK, .add = part.block > 0};
	const float *u = run->whole ? run->whole + part.m / run->step * run->planes * run->u_plane : scratch->u;
	t.next_filters = run->whole ? t.w_filters : (int64_t)run->s->blocks * FILTERS;
	t.next_step = run->whole ? PHIZ_BLOCK : step;
	for (int plane = 0; plane < run->planes; plane++) {
		t.w = u + plane * run->u_plane;
		for (int g = 0; g < groups; g++) {
			int from = count * g / groups, end = count * (g + 1) / groups;
			t.v = scratch->v + plane * run->v_plane + ((int64_t)part.block * run->most + from) * PHIZ_BLOCK;
			t.out = scratch->sum + plane * run->sum_plane + (int64_t)from * PHIZ_BLOCK;
			t.next = run->whole ? t.w + AHEAD : next + (int64_t)(plane * groups + g) * step * part.blocks * PHIZ_BLOCK;
			fn[end - from - 1](&t);
		}
	}
}

/* sum[plane][f][tile] = sum over the depth of v[plane][tile] * the planes of filters m + f */
static void add_up(const struct run *run, const struct scratch *scratch, int count, int m, int filters)
{
	const int blocks = run->s->blocks;
	for (int b = 0; b < blocks; b += run->chunk) {
		struct part part = {m, filters, b, b + run->chunk < blocks ? run->chunk : blocks - b};
		const float *next = filters_at(run, m, b + part.blocks);
		if (b + part.blocks == blocks) /* of the next filters, where there are as many */
			next = m + 2 * filters <= run->s->filters ? filters_at(run, m + filters, 0) : filters_at(run, m, b);
		if (!run->whole)
			transform_filters(run, scratch->u, part);
		multiply(run, scratch, count, part, next);
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
		int64_t offset = at.image * s->out_image + phiz_blocked_at(s->bf16, m + f, s->out_block) + at.y * s->out_row +
		                 at.x * s->out_col;
		t.sum = scratch->sum + ((int64_t)f * run->most + i) * PHIZ_BLOCK;
		t.out = phiz_blocked_element(s->bf16, s->out, offset);
		t.residual = s->residual ? phiz_blocked_element(s->bf16, s->residual, offset) : NULL;
		t.rows = s->p - at.y < run->m ? s->p - at.y : run->m;
		t.cols = s->q - at.x < run->m ? s->q - at.x : run->m;
		run->micro->winograd_out[s->bf16][run->m / 4](&t);
	}
}

static void pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	struct scratch scratch;
	scratch_bytes(run, !run->whole, run->workspace + (size_t)worker * run->per_worker, &scratch);
	for (int64_t piece = begin; piece < end; piece++) {
		int64_t first = run->tiles * (piece / run->parts) / run->pieces;
		int count = (int)(run->tiles * (piece / run->parts + 1) / run->pieces - first);
		int m = (int)(piece % run->parts) * run->filters_step;
		int last = m + run->filters_step < run->s->filters ? m + run->filters_step : run->s->filters;
		transform_inputs(run, &scratch, first, count);
		while (m < last) {
			int filters = m + run->step <= last ? run->step : 1;
			add_up(run, &scratch, count, m, filters);
			for (int f = 0; f < filters; f++)
				transform_outputs(run, &scratch, first, count, m, f);
			m += filters;
		}
	}
}

void phiz_winograd_run(struct phiz_ctx *ctx, const struct phiz_blocked_sum *s, int m, const float *planes,
                       const struct phiz_blocked_micro *micro, void *workspace)
{
	const int threads = phiz_ctx_threads(ctx);
	struct run run;
	describe(s, m, planes != NULL, micro, &run);
	if (!run.tiles)
		return;
	run.whole = planes;
	run.workspace = workspace;
	run.per_worker = scratch_bytes(&run, !planes, NULL, NULL);
	/* Few pieces: then the filters are shared out too, and each part transforms the inputs for itself. Parts are cut so
	 * that the threads have as much to do each; a tile's sums do not depend on its piece. */
	const int step = run.step, most_parts = (s->filters + step - 1) / step;
	run.parts = 1;
	while (run.pieces * run.parts < 8 * (int64_t)threads && run.pieces * run.parts % threads && run.parts < most_parts)
		run.parts++;
	run.filters_step = (int)((s->filters + run.parts - 1) / run.parts + step - 1) / step * step;
	run.parts = (s->filters + run.filters_step - 1) / run.filters_step;
	phiz_parallel_for(ctx, run.pieces * run.parts, 1, pieces, &run);
}
