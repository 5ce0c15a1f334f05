#include "core/cpu/conv_weights.h"

#include <string.h>

#include "core/base/thread.h"

/* PANEL_BYTES: turned gradients that are kept at a time. BLOCK_PIXELS: of a panel that stay in the first-level cache
 * while all taps and channels pass over them; sums of a block are rounded apart and then added up, which also keeps
 * long sums exact. */
enum { PANEL_BYTES = 16 << 20, BLOCK_PIXELS = 160, MAX_STRETCHES = BLOCK_PIXELS + 1 };

struct run {
	const struct phiz_conv_weights *w;
	const struct phiz_weights_micro *micro;
	const phiz_weight_tile_fn *tile;
	int group, taps, width, panels; /* width: of a panel */
	int channel_step, channel_pieces;
	int64_t chunk;               /* images whose gradients are turned at a time */
	int64_t first_image, images; /* of this chunk */
	bool first;
	float *panel, *sum;
};

static int64_t round_up(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static int64_t plane(const struct phiz_conv_weights *w)
{
	return (int64_t)w->p * w->q;
}

static bool is_wide(const struct phiz_conv_weights *w, const struct phiz_weights_micro *micro)
{
	return w->channels <= micro->wide_rows && w->filters >= micro->wide_vectors * micro->lanes;
}

static int full_width(const struct phiz_conv_weights *w, const struct phiz_weights_micro *micro)
{
	return (is_wide(w, micro) ? micro->wide_vectors : micro->vectors) * micro->lanes;
}

static size_t sum_bytes(const struct phiz_conv_weights *w, int width)
{
	return sizeof(float) * (size_t)w->taps_y * (size_t)w->taps_x * (size_t)w->channels *
	       (size_t)round_up(w->filters, width);
}

static int64_t chunk_images(const struct phiz_conv_weights *w, int width, int64_t *bytes_of_one)
{
	int64_t one = plane(w) * round_up(w->filters, width) * (int64_t)sizeof(float);
	int64_t chunk = one ? PANEL_BYTES / one : 1;
	*bytes_of_one = one;
	return chunk < 1 ? 1 : chunk < w->images ? chunk : w->images;
}

size_t phiz_conv_weights_workspace(const struct phiz_conv_weights *w, const struct phiz_weights_micro *micro,
                                   int threads)
{
	int width = full_width(w, micro);
	int64_t one, chunk = chunk_images(w, width, &one);
	(void)threads;
	return sum_bytes(w, width) + (size_t)(one * chunk);
}

/* The width of panel number `panel`: the last may need one vector only. */
static int panel_width(const struct run *run, int panel)
{
	return run->w->filters - panel * run->width <= run->micro->lanes ? run->micro->lanes : run->width;
}

static float *panel_data(const struct run *run, int panel)
{
	return run->panel + (int64_t)panel * run->width * run->chunk * plane(run->w);
}

static float *sum_data(const struct run *run, int panel, int tap, int channel, int width)
{
	const struct phiz_conv_weights *w = run->w;
	return run->sum + (int64_t)panel * run->width * run->taps * w->channels +
	       ((int64_t)tap * w->channels + channel) * width;
}

static void turn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_conv_weights *w = run->w;
	(void)worker;
	for (int64_t piece = begin; piece < end; piece++) {
		int panel = (int)(piece % run->panels), width = panel_width(run, panel), first = panel * run->width;
		int64_t image = piece / run->panels;
		const float *from = w->dout + (run->first_image + image) * w->dout_image +
		                    ((int64_t)run->group * w->filters + first) * plane(w);
		int filters = w->filters - first < width ? w->filters - first : width;
		run->micro->turn(from, plane(w), plane(w), filters, width,
		                 panel_data(run, panel) + image * plane(w) * width);
	}
}

/* The q whose pixel q * stride + offset lies in 0..size-1: from *begin, how many. */
static int64_t clip(int count, int stride, int offset, int size, int64_t *begin)
{
	int first = offset < 0 ? (-offset + stride - 1) / stride : 0;
	int last = size - 1 - offset < 0 ? -1 : (size - 1 - offset) / stride;
	if (last >= count)
		last = count - 1;
	*begin = first;
	return last >= first ? last - first + 1 : 0;
}

/* A block of output pixels: rows p..p_end-1 of the images n..n_end-1 of the chunk. */
struct block {
	int64_t n, n_end;
	int p, p_end;
};

static int list_stretches(const struct run *run, const struct block *block, int tap, struct phiz_stretch *list)
{
	const struct phiz_conv_weights *w = run->w;
	int dy = tap / w->taps_x * w->step_y - w->pad_y, dx = tap % w->taps_x * w->step_x - w->pad_x, n = 0;
	int64_t q, count = clip(w->q, w->stride_x, dx, w->width, &q);
	if (!count)
		return 0;
	for (int64_t image = block->n; image < block->n_end; image++)
		for (int p = block->p; p < block->p_end; p++) {
			int y = p * w->stride_y + dy;
			if (y < 0 || y >= w->height)
				continue;
			struct phiz_stretch s = {image * w->in_image + (int64_t)y * w->width + q * w->stride_x + dx,
			                         image * plane(w) + (int64_t)p * w->q + q, count};
			struct phiz_stretch *before = n ? &list[n - 1] : NULL;
			if (before && before->dout + before->count == s.dout &&
			    before->in + before->count * w->stride_x == s.in)
				before->count += count;
			else
				list[n++] = s;
		}
	return n;
}

static void do_block(const struct run *run, const struct block *block, int panel, int c0, int c1)
{
	const struct phiz_conv_weights *w = run->w;
	struct phiz_stretch list[MAX_STRETCHES];
	int width = panel_width(run, panel);
	const float *in = w->in + run->first_image * w->in_image + (int64_t)run->group * w->channels * w->in_plane;
	for (int tap = 0; tap < run->taps; tap++) {
		int n = list_stretches(run, block, tap, list);
		for (int c = c0; n && c < c1; ) {
			int rows = c1 - c < run->micro->rows ? c1 - c : run->micro->rows;
			struct phiz_weight_tile tile = {in + c * w->in_plane, w->in_plane, w->stride_x, panel_data(run, panel),
			                                sum_data(run, panel, tap, c, width), list, n};
			if (width == run->width)
				run->tile[rows - 1](&tile);
			else
				run->micro->narrow[rows - 1](&tile);
			c += rows;
		}
	}
}

static void sum_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_conv_weights *w = run->w;
	int rows = w->q < BLOCK_PIXELS ? BLOCK_PIXELS / w->q : 1;
	int64_t images = plane(w) <= BLOCK_PIXELS / 2 ? BLOCK_PIXELS / plane(w) : 1;
	(void)worker;
	for (int64_t piece = begin; piece < end; piece++) {
		int panel = (int)(piece / run->channel_pieces), width = panel_width(run, panel);
		int c0 = (int)(piece % run->channel_pieces) * run->channel_step;
		int c1 = c0 + run->channel_step < w->channels ? c0 + run->channel_step : w->channels;
		for (int tap = 0; run->first && tap < run->taps; tap++)
			memset(sum_data(run, panel, tap, c0, width), 0, sizeof(float) * (size_t)((c1 - c0) * width));
		struct block block;
		for (block.n = 0; block.n < run->images; block.n = block.n_end) {
			block.n_end = block.n + images < run->images ? block.n + images : run->images;
			for (block.p = 0; block.p < w->p; block.p = block.p_end) {
				block.p_end = block.p + rows < w->p ? block.p + rows : w->p;
				do_block(run, &block, panel, c0, c1);
			}
		}
	}
}

/* From [panel][tap][channel][filter] to [filter][channel][tap]. */
static void give_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct phiz_conv_weights *w = run->w;
	(void)worker;
	for (int64_t piece = begin; piece < end; piece++) {
		int panel = (int)(piece / run->channel_pieces), width = panel_width(run, panel), k0 = panel * run->width;
		int c0 = (int)(piece % run->channel_pieces) * run->channel_step;
		int c1 = c0 + run->channel_step < w->channels ? c0 + run->channel_step : w->channels;
		int filters = w->filters - k0 < width ? w->filters - k0 : width;
		int64_t step = (int64_t)w->channels * run->taps;
		for (int c = c0; c < c1; c++)
			for (int tap = 0; tap < run->taps; tap++) {
				const float *sum = sum_data(run, panel, tap, c, width);
				float *dw = w->dw + ((int64_t)run->group * w->filters + k0) * step + (int64_t)c * run->taps + tap;
				for (int k = 0; k < filters; k++)
					dw[k * step] = w->add ? dw[k * step] + sum[k] : sum[k];
			}
	}
}

/* Enough pieces for the threads; a sum does not depend on the cut. */
static void cut_channels(struct run *run, int threads)
{
	int64_t wanted = threads > 1 ? 4 * (int64_t)threads : 1, split = (wanted + run->panels - 1) / run->panels;
	int64_t step = round_up((run->w->channels + split - 1) / split, run->micro->rows);
	run->channel_step = step < run->w->channels ? (int)step : run->w->channels;
	run->channel_pieces = (run->w->channels + run->channel_step - 1) / run->channel_step;
}

void phiz_conv_weights_run(struct phiz_ctx *ctx, const struct phiz_conv_weights *w,
                           const struct phiz_weights_micro *micro, void *workspace)
{
	int width = full_width(w, micro);
	int64_t one;
	struct run run = {.w = w, .micro = micro, .taps = w->taps_y * w->taps_x, .width = width, .sum = workspace,
	                  .panels = (w->filters + width - 1) / width, .chunk = chunk_images(w, width, &one)};
	run.tile = is_wide(w, micro) ? micro->wide : micro->tile;
	run.panel = (float *)(void *)((char *)workspace + sum_bytes(w, width));
	if (w->channels == 0 || w->filters == 0)
		return;
	cut_channels(&run, phiz_ctx_threads(ctx));
	for (run.group = 0; run.group < w->groups; run.group++) {
		run.first = true;
		for (run.first_image = 0; run.first_image < w->images || run.first; run.first_image += run.chunk) {
			run.images = w->images - run.first_image < run.chunk ? w->images - run.first_image : run.chunk;
			phiz_parallel_for(ctx, run.images * run.panels, 1, turn_pieces, &run);
			phiz_parallel_for(ctx, (int64_t)run.panels * run.channel_pieces, 1, sum_pieces, &run);
			run.first = false;
		}
		phiz_parallel_for(ctx, (int64_t)run.panels * run.channel_pieces, 1, give_pieces, &run);
	}
}
