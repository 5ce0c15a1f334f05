/* conv2d with blocked input, blocked output or both, groups = 1, as the plain sum or by Winograd's algorithm. Filters
 * are brought into blocked order first; so is a plain input, and a plain output is taken out of it at last. A plain
 * input of few channels (a photograph) becomes rows [W][C] instead, and the taps of a filter's row with their channels
 * are one depth. */
#include <string.h>

#include "core/base/thread.h"
#include "core/cpu/bf16.h"
#include "core/cpu/blocked.h"
#include "core/cpu/conv.h"
#include "core/cpu/winograd.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

enum { B = PHIZ_BLOCK, THIN_CHANNELS = 4 };

/* Winograd's algorithm pays from WINOGRAD_BLOCKS blocks of channels and of filters on. A session keeps the planes of a
 * layer's filters where they take no more than KEPT_BYTES. */
enum { WINOGRAD_BLOCKS = 2, KEPT_BYTES = 3 << 20 };

struct blocked {
	struct phiz_conv d;
	bool in_blocked, out_blocked;
	bool bf16; /* the pictures, both blocked: only by Winograd's algorithm */
	bool thin, training;
	int winograd;   /* m of F(m x m, 3 x 3), 0: the plain sum */
	int cb, kb;     /* blocks of channels and of filters */
	int thin_width; /* pixels of a packed row, padding included */
	/* In the workspace, or the tensors themselves where those are blocked. */
	float *in, *out, *din, *dout;
	float *filters, *bias;
	float *planes; /* of the filters, instead of them, or NULL */
	void *rest;
};

static bool is_blocked(const struct phiz_tensor *t)
{
	return t->layout == PHIZ_BLOCKED;
}

/* Channels of a block of the pictures. */
static int lanes_of(const struct blocked *b)
{
	return b->bf16 ? (int)phiz_block(PHIZ_BF16) : B;
}

static int blocks_of(int channels)
{
	return (channels + B - 1) / B;
}

/* What F(m x m, 3 x 3), or the plain sum (m = 0), takes for one picture, in multiply-adds: its own (the plain sum's,
 * which look for the picture's border, a tenth more) and those that the transforms take the time of (6 for each number
 * of a picture that they move, 2 for each of a filter). */
static double cost_of(const struct blocked *b, int m)
{
	const struct phiz_conv *d = &b->d;
	const double pairs = (double)b->cb * B * b->kb * B;
	if (!m)
		return 1.1 * d->p * d->q * 9 * pairs;
	double tiles = (double)((d->p + m - 1) / m) * ((d->q + m - 1) / m), planes = phiz_winograd_planes(m);
	return tiles * planes * (pairs + 6 * B * (b->cb + b->kb)) + 2 * planes * pairs;
}

static bool may_be_winograd(const struct blocked *b)
{
	const struct phiz_conv *d = &b->d;
	return d->r == 3 && d->s == 3 && d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 &&
	       d->dilation_w == 1 && !b->thin;
}

/* The m of F(m x m, 3 x 3) that is fastest, 0 for the plain sum. Chosen for one picture, whatever the batch: the same
 * picture gives the same numbers in any. */
static int pick_winograd(const struct blocked *b)
{
	int best = 0;
	if (!may_be_winograd(b) || b->cb < WINOGRAD_BLOCKS || b->kb < WINOGRAD_BLOCKS)
		return 0;
	if (b->training && !b->bf16)
		return 2;
	for (int m = 2; m <= 4; m += 2)
		if (cost_of(b, m) < cost_of(b, best))
			best = m;
	return best;
}

static void describe(const struct phiz_call *call, enum phiz_blocked_way way, struct blocked *b)
{
	static const int m[] = {
		[PHIZ_BLOCKED_SUM] = 0, [PHIZ_BLOCKED_WINOGRAD2] = 2, [PHIZ_BLOCKED_WINOGRAD4] = 4,
	};

	memset(b, 0, sizeof *b);
	phiz_conv_of_conv2d(call, &b->d);
	b->bf16 = call->in[PHIZ_CONV2D_INPUT].dtype == PHIZ_BF16;
	b->in_blocked = is_blocked(&call->in[PHIZ_CONV2D_INPUT]);
	b->out_blocked = is_blocked(&call->out[0]);
	b->cb = blocks_of(b->d.c);
	b->kb = blocks_of(b->d.k);
	b->thin = !b->in_blocked && b->d.c <= THIN_CHANNELS && b->d.dilation_w == 1;
	b->thin_width = (b->d.q - 1) * b->d.stride_w + b->d.s;
	b->training = call->training;
	b->winograd = way == PHIZ_BLOCKED_ANY ? pick_winograd(b) : m[way];
}

/* Rounding in a gradient goes no further than one step, so that F(4x4) serves there; in the forward pass of training it
 * grows with the layers. */
static void describe_backward(const struct phiz_call *call, struct blocked *b)
{
	describe(call, PHIZ_BLOCKED_ANY, b);
	b->training = true;
	if (b->winograd)
		b->winograd = 4;
}

/* Memory that is given out from its begin on; only counted where there is none. */
struct place {
	char *memory;
	size_t used;
};

static float *take(struct place *place, size_t floats)
{
	float *here = place->memory ? (float *)(void *)(place->memory + place->used) : NULL;
	place->used += (floats * sizeof(float) + 63) & ~(size_t)63;
	return here;
}

static size_t image_floats(const struct blocked *b)
{
	return (size_t)b->d.n * (size_t)b->cb * B * (size_t)b->d.h * (size_t)b->d.w;
}

static size_t thin_floats(const struct blocked *b)
{
	return (size_t)b->d.n * (size_t)b->d.h * (size_t)b->thin_width * (size_t)b->d.c;
}

static size_t out_floats(const struct blocked *b)
{
	return (size_t)b->d.n * (size_t)b->kb * B * (size_t)b->d.p * (size_t)b->d.q;
}

static size_t filter_floats(const struct blocked *b)
{
	return (size_t)(b->thin ? b->d.c : b->cb * B) * (size_t)b->kb * B * (size_t)(b->d.r * b->d.s);
}

static size_t plane_floats(const struct blocked *b, const struct phiz_blocked_micro *micro)
{
	return phiz_winograd_plane_floats(b->winograd, b->kb, b->cb, micro);
}

static void place_constants(struct blocked *b, const struct phiz_blocked_micro *micro, struct place *place)
{
	if (b->winograd && plane_floats(b, micro) * sizeof(float) <= KEPT_BYTES)
		b->planes = take(place, plane_floats(b, micro));
	else
		b->filters = take(place, filter_floats(b));
	b->bias = take(place, (size_t)(b->kb * B));
}

/* What forward needs; returns how many bytes of the workspace that is. */
static size_t place_forward(struct blocked *b, const void *constants, const struct phiz_blocked_micro *micro,
                            char *workspace)
{
	struct place kept = {(char *)(uintptr_t)constants, 0}, place = {workspace, 0}; /* constants are only read */
	if (constants) {
		place_constants(b, micro, &kept);
	} else {
		if (b->winograd && b->training) /* many pictures: the planes are worth making ahead */
			b->planes = take(&place, plane_floats(b, micro));
		else
			b->filters = take(&place, filter_floats(b));
		b->bias = take(&place, (size_t)(b->kb * B));
	}
	b->in = b->in_blocked ? (float *)(uintptr_t)b->d.in : take(&place, b->thin ? thin_floats(b) : image_floats(b));
	b->out = b->out_blocked ? b->d.out : take(&place, out_floats(b));
	b->rest = workspace ? workspace + place.used : NULL;
	return place.used;
}

/* The same for backward. Filters turned for the gradient of the input (or their planes) and sums of the filters'
 * gradient take turns, and so do a plain input and its gradient. */
static size_t place_backward(struct blocked *b, const struct phiz_blocked_micro *micro, char *workspace)
{
	const struct phiz_conv *d = &b->d;
	struct place place = {workspace, 0};
	b->dout = b->out_blocked ? (float *)(uintptr_t)d->dout : take(&place, out_floats(b));
	struct place planes = place;
	b->filters = take(&place, (size_t)b->cb * B * (size_t)b->kb * B * (size_t)(d->r * d->s));
	if (b->winograd)
		b->planes = take(&planes, phiz_winograd_plane_floats(b->winograd, b->cb, b->kb, micro));
	if (planes.used > place.used)
		place.used = planes.used;
	struct place other = place;
	b->in = b->in_blocked ? (float *)(uintptr_t)d->in : take(&place, b->thin ? thin_floats(b) : image_floats(b));
	b->din = b->in_blocked ? d->din : take(&other, image_floats(b));
	if (other.used > place.used)
		place.used = other.used;
	b->rest = workspace ? workspace + place.used : NULL;
	return place.used;
}

/* --- Between the layouts --- */

struct move {
	const struct blocked *b;
	const float *from;
	float *to;
	int channels, height, width;
	bool add;
};

/* A plane of 16 channels from [C][HW] to [HW][16], with zeros for what is above C. */
static void block_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct move *m = arg;
	const int64_t area = (int64_t)m->height * m->width;
	const int blocks = blocks_of(m->channels);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int first = (int)(i % blocks) * B, count = m->channels - first < B ? m->channels - first : B;
		const float *from = m->from + (i / blocks * m->channels + first) * area;
		float *to = m->to + i * area * B;
		for (int64_t at = 0; at < area; at++)
			for (int c = 0; c < B; c++)
				to[at * B + c] = c < count ? from[c * area + at] : 0;
	}
}

static void unblock_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct move *m = arg;
	const int64_t area = (int64_t)m->height * m->width;
	const int blocks = blocks_of(m->channels);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int first = (int)(i % blocks) * B, count = m->channels - first < B ? m->channels - first : B;
		const float *from = m->from + i * area * B;
		float *to = m->to + (i / blocks * m->channels + first) * area;
		for (int c = 0; c < count; c++)
			for (int64_t at = 0; at < area; at++)
				to[c * area + at] = m->add ? to[c * area + at] + from[at * B + c] : from[at * B + c];
	}
}

/* Row h of image n as [thin_width][C], zeros beside the image. */
static void thin_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct move *m = arg;
	const struct phiz_conv *d = &m->b->d;
	const int width = m->b->thin_width;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const float *from = m->from + i / d->h * d->c * d->h * d->w + i % d->h * d->w;
		float *to = m->to + i * width * d->c;
		for (int x = 0; x < width; x++)
			for (int c = 0; c < d->c; c++) {
				int w = x - d->pad_w;
				to[x * d->c + c] = w >= 0 && w < d->w ? from[(int64_t)c * d->h * d->w + w] : 0;
			}
	}
}

static void pack_input(const struct blocked *b)
{
	const struct phiz_conv *d = &b->d;
	struct move m = {b, d->in, b->in, d->c, d->h, d->w, false};
	if (b->in_blocked)
		return;
	if (b->thin)
		phiz_parallel_for(d->ctx, d->n * d->h, 8, thin_pieces, &m);
	else
		phiz_parallel_for(d->ctx, d->n * b->cb, 1, block_pieces, &m);
}

/* --- Filters --- */

/* Filters k0 on and channels c0 on as [R S][depth][16]. */
static void take_filters(const struct blocked *b, int k0, int c0, int depth, float *to)
{
	const struct phiz_conv *d = &b->d;
	const int taps = d->r * d->s;
	for (int k = 0; k < B; k++)
		for (int c = 0; c < depth; c++) {
			bool inside = k0 + k < d->k && c0 + c < d->c;
			const float *from = inside ? d->weight + ((int64_t)(k0 + k) * d->c + c0 + c) * taps : NULL;
			for (int t = 0; t < taps; t++)
				to[((int64_t)t * depth + c) * B + k] = inside ? from[t] : 0;
		}
}

/* [K / 16][C / 16][R S][16][16], or [K / 16][R][S][C][16]. */
static void filter_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blocked *b = arg;
	const int depth = b->thin ? b->d.c : B, cb = b->thin ? 1 : b->cb;
	(void)worker;
	for (int64_t i = begin; i < end; i++)
		take_filters(b, (int)(i / cb) * B, (int)(i % cb) * B, depth, b->filters + i * b->d.r * b->d.s * depth * B);
}

/* 3 x 3 filters with their taps the other way round, for the gradient of the input: channels c0 on and filters k0 on as
 * [9][16 of K][16 of C]. */
static void take_turned(const struct blocked *b, int c0, int k0, float *to)
{
	const struct phiz_conv *d = &b->d;
	for (int k = 0; k < B; k++)
		for (int c = 0; c < B; c++) {
			bool inside = k0 + k < d->k && c0 + c < d->c;
			const float *from = inside ? d->weight + ((int64_t)(k0 + k) * d->c + c0 + c) * 9 : NULL;
			for (int t = 0; t < 9; t++)
				to[(t * B + k) * B + c] = inside ? from[8 - t] : 0;
		}
}

/* Planes of the filters for Winograd's algorithm, or of the turned ones. */
struct planes {
	const struct blocked *b;
	const struct phiz_blocked_micro *micro;
	bool turned;
};

static void plane_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct planes *p = arg;
	const struct blocked *b = p->b;
	const int depth = p->turned ? b->kb : b->cb;
	float filters[9 * B * B];
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int o = (int)(i / depth), d = (int)(i % depth);
		if (p->turned)
			take_turned(b, o * B, d * B, filters);
		else
			take_filters(b, o * B, d * B, B, filters);
		phiz_winograd_make_planes(b->winograd, depth, p->micro, o, d, filters, b->planes);
	}
}

static void make_planes(const struct blocked *b, const struct phiz_blocked_micro *micro, bool turned)
{
	struct planes p = {b, micro, turned};
	phiz_parallel_for(b->d.ctx, (int64_t)b->kb * b->cb, 1, plane_pieces, &p);
}

static void pack_filters(const struct blocked *b, const struct phiz_blocked_micro *micro)
{
	struct blocked copy = *b;
	if (b->planes)
		make_planes(b, micro, false);
	else
		phiz_parallel_for(b->d.ctx, (int64_t)b->kb * (b->thin ? 1 : b->cb), 1, filter_pieces, &copy);
	for (int k = 0; k < b->kb * B; k++)
		b->bias[k] = b->d.bias && k < b->d.k ? b->d.bias[k] : 0;
}

/* --- Forward --- */

static void sum_of(const struct blocked *b, struct phiz_blocked_sum *s)
{
	const struct phiz_conv *d = &b->d;
	const int lanes = lanes_of(b);
	*s = (struct phiz_blocked_sum){
		.bf16 = b->bf16,
		.in = b->in,
		.height = d->h,
		.taps_y = d->r,
		.first_y = -d->pad_h,
		.step_y = d->dilation_h,
		.stride_y = d->stride_h,
		.stride_x = d->stride_w,
		.w = b->filters,
		.filters = b->kb,
		.out = b->out,
		.images = d->n,
		.out_image = (int64_t)b->kb * B * d->p * d->q,
		.out_block = (int64_t)lanes * d->p * d->q,
		.out_row = (int64_t)lanes * d->q,
		.out_col = lanes,
		.p = d->p,
		.q = d->q,
		.bias = b->bias,
	};
	if (b->thin) {
		s->in_col = d->c;
		s->in_row = (int64_t)b->thin_width * d->c;
		s->in_block = s->in_image = d->h * s->in_row;
		s->width = b->thin_width;
		s->blocks = 1;
		s->depth = d->s * d->c;
		s->taps_x = 1;
		s->step_x = 1;
	} else {
		s->in_col = lanes;
		s->in_row = (int64_t)lanes * d->w;
		s->in_block = d->h * s->in_row;
		s->in_image = (int64_t)b->cb * B * d->h * d->w;
		s->width = d->w;
		s->blocks = b->cb;
		s->depth = B;
		s->taps_x = d->s;
		s->first_x = -d->pad_w;
		s->step_x = d->dilation_w;
	}
	if (b->out_blocked) {
		s->residual = d->residual;
		s->act = d->act;
		s->slope = d->slope;
	}
}

static void run_sum(const struct blocked *b, const struct phiz_blocked_sum *s, const struct phiz_blocked_micro *micro)
{
	if (b->winograd)
		phiz_winograd_run(b->d.ctx, s, b->winograd, b->planes, micro, b->rest);
	else
		phiz_blocked_sum_run(b->d.ctx, s, micro, b->rest);
}

static size_t sum_workspace(const struct blocked *b, const struct phiz_blocked_sum *s,
                            const struct phiz_blocked_micro *micro, int threads)
{
	return b->winograd ? phiz_winograd_workspace(s, b->winograd, b->training, micro, threads)
	                   : phiz_blocked_sum_workspace(s, micro, threads);
}

/* The plain output, with what is fused into it. */
static void finish_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blocked *b = arg;
	const struct phiz_conv *d = &b->d;
	const int64_t area = (int64_t)d->p * d->q;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		int64_t n = plane / d->k, k = plane % d->k;
		const float *from = b->out + (n * b->kb + k / B) * area * B + k % B;
		for (int64_t i = 0; i < area; i++) {
			float v = from[i * B] + (d->residual ? d->residual[plane * area + i] : 0);
			d->out[plane * area + i] = phiz_act_apply(d->act, d->slope, v);
		}
	}
}

enum phiz_status phiz_blocked_conv2d_forward(struct phiz_call *call, enum phiz_blocked_way way,
                                             const struct phiz_blocked_micro *micro)
{
	struct phiz_blocked_sum s;
	struct blocked b;
	describe(call, way, &b);
	place_forward(&b, call->constants, micro, call->workspace);
	if (!call->constants)
		pack_filters(&b, micro);
	pack_input(&b);
	sum_of(&b, &s);
	run_sum(&b, &s, micro);
	if (!b.out_blocked)
		phiz_parallel_for(call->ctx, b.d.n * b.d.k, 4, finish_pieces, &b);
	return PHIZ_OK;
}

size_t phiz_blocked_conv2d_constants(const struct phiz_call *call, enum phiz_blocked_way way,
                                     const struct phiz_blocked_micro *micro)
{
	struct place place = {NULL, 0};
	struct blocked b;
	describe(call, way, &b);
	place_constants(&b, micro, &place);
	return place.used;
}

void phiz_blocked_conv2d_prepare(const struct phiz_call *call, void *constants, enum phiz_blocked_way way,
                                 const struct phiz_blocked_micro *micro)
{
	struct place place = {constants, 0};
	struct blocked b;
	describe(call, way, &b);
	place_constants(&b, micro, &place);
	pack_filters(&b, micro);
}

/* --- Gradient of the input --- */

struct residues {
	const struct blocked *b;
	struct phiz_residue y, x;
	int first_y, first_x;
};

static void pick_class(struct residues *r, int first_y, int first_x)
{
	const struct phiz_conv *d = &r->b->d;
	r->first_y = first_y;
	r->first_x = first_x;
	r->y = phiz_conv_residue(first_y, d->h, d->r, d->stride_h, d->pad_h, d->dilation_h);
	r->x = phiz_conv_residue(first_x, d->w, d->s, d->stride_w, d->pad_w, d->dilation_w);
}

/* [C / 16][K / 16][taps of the class][16 of K][16 of C] */
static void turn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct residues *r = arg;
	const struct blocked *b = r->b;
	const struct phiz_conv *d = &b->d;
	const int taps = r->y.taps * r->x.taps;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int c0 = (int)(i / b->kb) * B, k0 = (int)(i % b->kb) * B;
		float *to = b->filters + i * taps * B * B;
		for (int k = 0; k < B; k++)
			for (int c = 0; c < B; c++) {
				bool inside = k0 + k < d->k && c0 + c < d->c;
				const float *from = inside ? d->weight + ((int64_t)(k0 + k) * d->c + c0 + c) * d->r * d->s : NULL;
				for (int t = 0; t < taps; t++) {
					int y = r->y.tap + t / r->x.taps * r->y.tap_step, x = r->x.tap + t % r->x.taps * r->x.tap_step;
					to[((int64_t)t * B + k) * B + c] = inside ? from[y * d->s + x] : 0;
				}
			}
	}
}

/* Pixels that no tap reaches. */
static void zero_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct residues *r = arg;
	const struct phiz_conv *d = &r->b->d;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++)
		for (int y = r->first_y; y < d->h; y += d->stride_h)
			for (int x = r->first_x; x < d->w; x += d->stride_w)
				memset(r->b->din + ((plane * d->h + y) * d->w + x) * B, 0, B * sizeof(float));
}

static void gradient_sum_of(const struct residues *r, struct phiz_blocked_sum *s)
{
	const struct blocked *b = r->b;
	const struct phiz_conv *d = &b->d;
	const int lanes = lanes_of(b);
	*s = (struct phiz_blocked_sum){
		.bf16 = b->bf16,
		.in = b->dout,
		.in_image = (int64_t)b->kb * B * d->p * d->q,
		.in_block = (int64_t)lanes * d->p * d->q,
		.in_row = (int64_t)lanes * d->q,
		.in_col = lanes,
		.height = d->p,
		.width = d->q,
		.blocks = b->kb,
		.depth = B,
		.taps_y = r->y.taps,
		.taps_x = r->x.taps,
		.first_y = r->y.from,
		.first_x = r->x.from,
		.step_y = r->y.from_step,
		.step_x = r->x.from_step,
		.stride_y = 1,
		.stride_x = 1,
		.w = b->filters,
		.filters = b->cb,
		.images = d->n,
		.out_image = (int64_t)b->cb * B * d->h * d->w,
		.out_block = (int64_t)lanes * d->h * d->w,
		.out_row = (int64_t)lanes * d->stride_h * d->w,
		.out_col = (int64_t)lanes * d->stride_w,
		.p = r->y.pixels,
		.q = r->x.pixels,
		.add = b->in_blocked && d->add_din,
	};
	if (b->din)
		s->out = phiz_blocked_element(b->bf16, b->din, ((int64_t)r->first_y * d->w + r->first_x) * lanes);
}

static void backward_input(const struct blocked *b, const struct phiz_blocked_micro *micro)
{
	const struct phiz_conv *d = &b->d;
	struct residues r = {.b = b};
	for (int class = 0; class < d->stride_h * d->stride_w; class++) {
		struct phiz_blocked_sum s;
		pick_class(&r, class / d->stride_w, class % d->stride_w);
		if (!r.y.pixels || !r.x.pixels)
			continue;
		gradient_sum_of(&r, &s);
		if (r.y.taps * r.x.taps == 0) {
			if (!s.add)
				phiz_parallel_for(d->ctx, d->n * b->cb, 1, zero_pieces, &r);
			continue;
		}
		if (b->winograd) { /* whose taps count upwards */
			s.first_y += 2 * s.step_y;
			s.first_x += 2 * s.step_x;
			s.step_y = s.step_x = 1;
			make_planes(b, micro, true);
		} else {
			phiz_parallel_for(d->ctx, (int64_t)b->cb * b->kb, 1, turn_pieces, &r);
		}
		run_sum(b, &s, micro);
	}
	if (!b->in_blocked) {
		struct move m = {b, b->din, d->din, d->c, d->h, d->w, d->add_din};
		phiz_parallel_for(d->ctx, d->n * b->cb, 1, unblock_pieces, &m);
	}
}

/* --- Gradients of filters and bias --- */

static void give_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blocked *b = arg;
	const struct phiz_conv *d = &b->d;
	const int taps = d->r * d->s, depth = b->thin ? d->c : B, cb = b->thin ? 1 : b->cb;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int k0 = (int)(i / cb) * B, c0 = (int)(i % cb) * B;
		const float *from = b->filters + i * taps * depth * B;
		for (int k = 0; k < B && k0 + k < d->k; k++)
			for (int c = 0; c < depth && c0 + c < d->c; c++) {
				float *to = d->dweight + ((int64_t)(k0 + k) * d->c + c0 + c) * taps;
				for (int t = 0; t < taps; t++)
					phiz_put(&to[t], d->add_dweight, from[((int64_t)t * depth + c) * B + k]);
			}
	}
}

static void backward_weights(struct blocked *b, const struct phiz_blocked_micro *micro)
{
	const struct phiz_conv *d = &b->d;
	struct phiz_blocked_sum s;
	sum_of(b, &s);
	struct phiz_blocked_weights w = {
		.bf16 = s.bf16,
		.in = s.in, .in_image = s.in_image, .in_block = s.in_block, .in_row = s.in_row, .in_col = s.in_col,
		.height = s.height, .width = s.width, .blocks = s.blocks, .depth = s.depth,
		.taps_y = s.taps_y, .taps_x = s.taps_x, .first_y = s.first_y, .first_x = s.first_x,
		.step_y = s.step_y, .step_x = s.step_x, .stride_y = s.stride_y, .stride_x = s.stride_x,
		.dout = b->dout, .images = d->n, .dout_image = s.out_image, .dout_block = s.out_block,
		.p = d->p, .q = d->q, .filters = b->kb, .dw = b->filters,
	};
	if (b->winograd)
		phiz_winograd_weights_run(d->ctx, &w, micro, b->rest);
	else
		phiz_blocked_weights_run(d->ctx, &w, micro);
	phiz_parallel_for(d->ctx, (int64_t)b->kb * (b->thin ? 1 : b->cb), 1, give_pieces, b);
}

static void bias_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blocked *b = arg;
	const struct phiz_conv *d = &b->d;
	const int64_t area = (int64_t)d->p * d->q;
	const int lanes = lanes_of(b);
	(void)worker;
	for (int64_t k = begin; k < end; k++) {
		double total[B] = {0};
		for (int64_t n = 0; n < d->n; n++) {
			int64_t at = n * b->kb * B * area + phiz_blocked_at(b->bf16, (int)k, area * lanes);
			for (int64_t i = 0; i < area; i++)
				for (int c = 0; c < B; c++)
					total[c] += (double)phiz_bf16_get(b->dout, !b->bf16, at + i * lanes + c);
		}
		for (int c = 0; c < B && k * B + c < d->k; c++)
			phiz_put(&d->dbias[k * B + c], d->add_dbias, (float)total[c]);
	}
}

enum phiz_status phiz_blocked_conv2d_backward(struct phiz_call *call, const struct phiz_blocked_micro *micro)
{
	struct blocked b;
	describe_backward(call, &b);
	if (!b.d.dout)
		return PHIZ_OK;
	place_backward(&b, micro, call->workspace);
	if (!b.out_blocked) {
		struct move m = {&b, b.d.dout, b.dout, b.d.k, b.d.p, b.d.q, false};
		phiz_parallel_for(call->ctx, b.d.n * b.kb, 1, block_pieces, &m);
	}
	if (b.d.din)
		backward_input(&b, micro);
	if (b.d.dweight) {
		pack_input(&b);
		backward_weights(&b, micro);
	}
	if (b.d.dbias)
		phiz_parallel_for(call->ctx, b.kb, 1, bias_pieces, &b);
	return PHIZ_OK;
}

/* --- For the plan --- */

size_t phiz_blocked_conv2d_workspace(const struct phiz_call *call, enum phiz_blocked_way way, int threads,
                                     const struct phiz_blocked_micro *micro)
{
	struct phiz_blocked_sum s;
	struct blocked b;
	describe(call, way, &b);
	size_t bytes = place_forward(&b, NULL, micro, NULL);
	sum_of(&b, &s);
	return bytes + sum_workspace(&b, &s, micro, threads);
}

size_t phiz_blocked_conv2d_backward_workspace(const struct phiz_call *call, int threads,
                                              const struct phiz_blocked_micro *micro)
{
	struct phiz_blocked_sum s;
	struct blocked b;
	size_t most = 0, bytes;
	describe_backward(call, &b);
	if (b.winograd)
		most = phiz_winograd_weights_workspace(threads);
	struct residues r = {.b = &b};
	for (int class = 0; class < b.d.stride_h * b.d.stride_w; class++) {
		pick_class(&r, class / b.d.stride_w, class % b.d.stride_w);
		gradient_sum_of(&r, &s);
		bytes = sum_workspace(&b, &s, micro, threads);
		most = bytes > most ? bytes : most;
	}
	return place_backward(&b, micro, NULL) + most;
}

/* Rows that are read where they lie (x86/conv_direct.h) take less time than blocks that are partly empty. */
static bool is_for_rows(const struct phiz_call *call, const struct blocked *b)
{
	bool partly_empty = b->d.k % B != 0 || (b->d.c % B != 0 && !b->thin);
	return !b->training && call->n_in <= PHIZ_CONV2D_RESIDUAL && partly_empty && phiz_conv_rows_are_wide(&b->d);
}

bool phiz_blocked_conv2d_supports(const struct phiz_call *call, enum phiz_blocked_way way)
{
	struct phiz_blocked_sum s;
	struct blocked b;
	describe(call, way, &b);
	const struct phiz_tensor *residual = call->n_in > PHIZ_CONV2D_RESIDUAL ? &call->in[PHIZ_CONV2D_RESIDUAL] : NULL;
	if (b.d.groups != 1 || !(b.in_blocked || b.out_blocked) || is_for_rows(call, &b) ||
	    (way != PHIZ_BLOCKED_ANY && !may_be_winograd(&b)))
		return false;
	if (residual && residual->shape.ndim == 4 && is_blocked(residual) != b.out_blocked)
		return false;
	sum_of(&b, &s);
	if (!phiz_blocked_sum_fits(&s))
		return false;
	struct residues r = {.b = &b};
	pick_class(&r, 0, 0);
	gradient_sum_of(&r, &s);
	return phiz_blocked_sum_fits(&s);
}

bool phiz_blocked_bf16_supports(const struct phiz_call *call)
{
	const struct phiz_tensor *in = &call->in[PHIZ_CONV2D_INPUT], *out = &call->out[0];
	const struct phiz_tensor *residual = call->n_in > PHIZ_CONV2D_RESIDUAL ? &call->in[PHIZ_CONV2D_RESIDUAL] : NULL;
	struct blocked b;
	if (in->dtype != PHIZ_BF16 || out->dtype != PHIZ_BF16 || !is_blocked(in) || !is_blocked(out))
		return false;
	if (residual && residual->shape.ndim == 4 && (residual->dtype != PHIZ_BF16 || !is_blocked(residual)))
		return false;
	describe(call, PHIZ_BLOCKED_ANY, &b);
	/* Against the plain sum of bf16's own products: two at a time (at four fifths of the peak), filters of half the
	 * bytes, 6 multiply-adds a byte. */
	const double pairs = (double)b.cb * B * b.kb * B;
	return b.d.groups == 1 && b.winograd &&
	       cost_of(&b, b.winograd) + 6 * 4 * 9 * pairs < cost_of(&b, 0) / 2 * 1.25 + 6 * 2 * 9 * pairs;
}
