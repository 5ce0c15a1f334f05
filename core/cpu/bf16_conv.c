/* conv2d with bf16 activations: its filters in the order of the products, its three sums. Inputs and outputs may also
 * be float, and lie plain or blocked, each for itself. */
#include <string.h>

#include "core/base/thread.h"
#include "core/cpu/bf16.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

enum { B = PHIZ_BF16_BLOCK, THIN_CHANNELS = 4 };

struct conv {
	struct phiz_conv d;
	struct phiz_bf16_picture in, out, residual;
	bool thin;
	int cb, kb; /* blocks of channels and of filters */
	uint16_t *filters;
	float *bias, *dw;
	void *rest;
};

static struct phiz_bf16_picture picture_of(const struct phiz_tensor *t)
{
	return (struct phiz_bf16_picture){
		.data = t->data,
		.wide = t->dtype == PHIZ_F32,
		.block = t->layout == PHIZ_BLOCKED ? (int)phiz_block(t->dtype) : 1,
		.channels = (int)t->shape.dim[1],
		.height = (int)t->shape.dim[2],
		.width = (int)t->shape.dim[3],
	};
}

static int blocks_of(int channels)
{
	return (channels + B - 1) / B;
}

static void conv_of(const struct phiz_call *call, struct conv *c)
{
	memset(c, 0, sizeof *c);
	phiz_conv_of_conv2d(call, &c->d);
	const struct phiz_conv *d = &c->d;
	c->in = picture_of(&call->in[PHIZ_CONV2D_INPUT]);
	c->out = picture_of(&call->out[0]);
	if (call->n_in > PHIZ_CONV2D_RESIDUAL && call->in[PHIZ_CONV2D_RESIDUAL].shape.ndim == 4)
		c->residual = picture_of(&call->in[PHIZ_CONV2D_RESIDUAL]);
	c->thin = c->in.block == 1 && d->c <= THIN_CHANNELS && d->s <= B / THIN_CHANNELS && d->dilation_w == 1 &&
	          d->stride_w <= d->s;
	c->cb = c->thin ? 1 : blocks_of(d->c);
	c->kb = blocks_of(d->k);
}

static struct phiz_bf16_panel panel_of(const struct conv *c)
{
	const struct phiz_conv *d = &c->d;
	struct phiz_bf16_panel p = {
		.in = c->in,
		.thin = c->thin,
		.y = {.taps = d->r, .first = -d->pad_h, .step = d->dilation_h, .stride = d->stride_h, .size = d->h,
		      .outputs = d->p},
		.x = {.taps = d->s, .first = -d->pad_w, .step = d->dilation_w, .stride = d->stride_w, .size = d->w,
		      .outputs = d->q},
	};
	phiz_bf16_axis_of(&p.y);
	phiz_bf16_axis_of(&p.x);
	return p;
}

static void *take(char *memory, size_t *used, size_t bytes)
{
	void *here = memory ? memory + *used : NULL;
	*used += (bytes + 63) & ~(size_t)63;
	return here;
}

static size_t filter_bytes(const struct conv *c)
{
	size_t taps = (size_t)c->d.r * (c->thin ? 1 : (size_t)c->d.s);
	return (size_t)c->kb * (size_t)c->cb * taps * PHIZ_BF16_TILE * sizeof(uint16_t);
}

/* What forward keeps of the parameters; returns its bytes. */
static size_t place_constants(struct conv *c, char *memory)
{
	size_t used = 0;
	c->filters = take(memory, &used, filter_bytes(c));
	c->bias = take(memory, &used, (size_t)c->kb * B * sizeof(float));
	return used;
}

/* --- Filters: [outputs / 32][depth / 32][taps][16][32 outputs][2 of the depth] --- */

static void filter_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct conv *c = arg;
	const struct phiz_conv *d = &c->d;
	const int taps = d->r * d->s, steps = c->thin ? d->r : taps;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const int k0 = (int)(i / c->cb) * B, c0 = (int)(i % c->cb) * B;
		uint16_t *to = c->filters + i * steps * PHIZ_BF16_TILE;
		memset(to, 0, (size_t)steps * PHIZ_BF16_TILE * sizeof *to);
		for (int k = 0; k < B && k0 + k < d->k; k++)
			for (int l = 0; l < B && c0 + l < d->c; l++) {
				const float *from = d->weight + ((int64_t)(k0 + k) * d->c + c0 + l) * taps;
				for (int t = 0; t < taps; t++) {
					int depth = c->thin ? t % d->s * THIN_CHANNELS + l : l, step = c->thin ? t / d->s : t;
					to[step * PHIZ_BF16_TILE + (depth / 2 * B + k) * 2 + depth % 2] = phiz_bf16_of(from[t]);
				}
			}
	}
}

static void pack_filters(const struct conv *c)
{
	struct conv copy = *c;
	phiz_parallel_for(c->d.ctx, (int64_t)c->kb * c->cb, 1, filter_pieces, &copy);
	for (int k = 0; k < c->kb * B; k++)
		c->bias[k] = c->d.bias && k < c->d.k ? c->d.bias[k] : 0;
}

/* --- Forward --- */

static void sum_of(const struct conv *c, struct phiz_bf16_sum *s)
{
	const struct phiz_conv *d = &c->d;
	*s = (struct phiz_bf16_sum){
		.panel = panel_of(c),
		.images = d->n,
		.w = c->filters,
		.filters = d->k,
		.out = c->out,
		.out_row = d->q,
		.out_col = 1,
		.bias = c->bias,
		.residual = c->residual,
		.act = d->act,
		.slope = d->slope,
	};
}

enum phiz_status phiz_bf16_conv2d_forward(struct phiz_call *call, const struct phiz_bf16_micro *micro)
{
	struct phiz_bf16_sum s;
	struct conv c;
	conv_of(call, &c);
	size_t used = place_constants(&c, call->constants ? (char *)(uintptr_t)call->constants : call->workspace);
	if (!call->constants)
		pack_filters(&c);
	sum_of(&c, &s);
	phiz_bf16_sum_run(call->ctx, &s, micro, (char *)call->workspace + (call->constants ? 0 : used));
	return PHIZ_OK;
}

size_t phiz_bf16_conv2d_constants(const struct phiz_call *call)
{
	struct conv c;
	conv_of(call, &c);
	return place_constants(&c, NULL);
}

void phiz_bf16_conv2d_prepare(const struct phiz_call *call, void *constants)
{
	struct conv c;
	conv_of(call, &c);
	place_constants(&c, constants);
	pack_filters(&c);
}

/* --- Gradient of the input: one sum for each class of rows and columns that see the same taps --- */

struct residues {
	const struct conv *c;
	struct phiz_residue y, x;
	int first_y, first_x;
};

static void pick_class(struct residues *r, int class)
{
	const struct phiz_conv *d = &r->c->d;
	r->first_y = class / d->stride_w;
	r->first_x = class % d->stride_w;
	r->y = phiz_conv_residue(r->first_y, d->h, d->r, d->stride_h, d->pad_h, d->dilation_h);
	r->x = phiz_conv_residue(r->first_x, d->w, d->s, d->stride_w, d->pad_w, d->dilation_w);
}

/* [C / 32][K / 32][taps of the class][16][32 of C][2 of K] */
static void turn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct residues *r = arg;
	const struct conv *c = r->c;
	const struct phiz_conv *d = &c->d;
	const int taps = r->y.taps * r->x.taps, cb = blocks_of(d->c);
	(void)cb;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const int c0 = (int)(i / c->kb) * B, k0 = (int)(i % c->kb) * B;
		uint16_t *to = c->filters + i * taps * PHIZ_BF16_TILE;
		memset(to, 0, (size_t)taps * PHIZ_BF16_TILE * sizeof *to);
		for (int k = 0; k < B && k0 + k < d->k; k++)
			for (int l = 0; l < B && c0 + l < d->c; l++) {
				const float *from = d->weight + ((int64_t)(k0 + k) * d->c + c0 + l) * d->r * d->s;
				for (int t = 0; t < taps; t++) {
					int y = r->y.tap + t / r->x.taps * r->y.tap_step, x = r->x.tap + t % r->x.taps * r->x.tap_step;
					to[t * PHIZ_BF16_TILE + (k / 2 * B + l) * 2 + k % 2] = phiz_bf16_of(from[y * d->s + x]);
				}
			}
	}
}

static void gradient_sum_of(const struct residues *r, struct phiz_bf16_sum *s)
{
	const struct conv *c = r->c;
	const struct phiz_conv *d = &c->d;
	struct phiz_bf16_picture dout = c->out, din = c->in;
	dout.data = d->dout;
	din.data = d->din;
	*s = (struct phiz_bf16_sum){
		.panel = {
			.in = dout,
			.y = {.taps = r->y.taps, .first = r->y.from, .step = r->y.from_step, .stride = 1, .size = d->p,
			      .outputs = r->y.pixels},
			.x = {.taps = r->x.taps, .first = r->x.from, .step = r->x.from_step, .stride = 1, .size = d->q,
			      .outputs = r->x.pixels},
		},
		.images = d->n,
		.w = c->filters,
		.filters = d->c,
		.out = din,
		.out_first = (int64_t)r->first_y * d->w + r->first_x,
		.out_row = (int64_t)d->stride_h * d->w,
		.out_col = d->stride_w,
		.add = d->add_din,
	};
	phiz_bf16_axis_of(&s->panel.y);
	phiz_bf16_axis_of(&s->panel.x);
}

/* Pixels that no tap reaches. */
static void zero_class(const struct residues *r)
{
	const struct phiz_conv *d = &r->c->d;
	const struct phiz_bf16_picture *in = &r->c->in;
	const size_t size = in->wide ? sizeof(float) : sizeof(uint16_t);
	const int64_t planes = d->n * (in->channels / in->block);
	for (int64_t plane = 0; plane < planes && !d->add_din; plane++)
		for (int y = r->first_y; y < d->h; y += d->stride_h)
			for (int x = r->first_x; x < d->w; x += d->stride_w)
				memset((char *)d->din + (size_t)(((plane * d->h + y) * d->w + x) * in->block) * size, 0,
				       (size_t)in->block * size);
}

static void backward_input(const struct conv *c, const struct phiz_bf16_micro *micro)
{
	const struct phiz_conv *d = &c->d;
	struct residues r = {.c = c};
	for (int class = 0; class < d->stride_h * d->stride_w; class++) {
		struct phiz_bf16_sum s;
		pick_class(&r, class);
		if (!r.y.pixels || !r.x.pixels)
			continue;
		if (r.y.taps * r.x.taps == 0) {
			zero_class(&r);
			continue;
		}
		phiz_parallel_for(d->ctx, (int64_t)blocks_of(d->c) * c->kb, 1, turn_pieces, &r);
		gradient_sum_of(&r, &s);
		phiz_bf16_sum_run(d->ctx, &s, micro, c->rest);
	}
}

/* --- Gradients of filters and bias --- */

static void give_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct conv *c = arg;
	const struct phiz_conv *d = &c->d;
	const int taps = d->r * d->s, steps = c->thin ? d->r : taps;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const int k0 = (int)(i / c->cb) * B, c0 = (int)(i % c->cb) * B;
		const float *from = c->dw + i * steps * PHIZ_BF16_TILE;
		for (int k = 0; k < B && k0 + k < d->k; k++)
			for (int l = 0; l < B && c0 + l < d->c; l++) {
				float *to = d->dweight + ((int64_t)(k0 + k) * d->c + c0 + l) * taps;
				for (int t = 0; t < taps; t++) {
					int depth = c->thin ? t % d->s * THIN_CHANNELS + l : l, step = c->thin ? t / d->s : t;
					phiz_put(&to[t], d->add_dweight, from[step * PHIZ_BF16_TILE + k * B + depth]);
				}
			}
	}
}

static struct phiz_bf16_weights weights_of(const struct conv *c)
{
	struct phiz_bf16_weights w = {.panel = panel_of(c), .images = c->d.n, .dout = c->out, .dw = c->dw};
	w.dout.data = c->d.dout;
	return w;
}

static void backward_weights(struct conv *c, const struct phiz_bf16_micro *micro)
{
	struct phiz_bf16_weights w = weights_of(c);
	phiz_bf16_weights_run(c->d.ctx, &w, micro, c->rest);
	phiz_parallel_for(c->d.ctx, (int64_t)c->kb * c->cb, 1, give_pieces, c);
}

static void bias_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct conv *c = arg;
	const struct phiz_conv *d = &c->d;
	const struct phiz_bf16_picture *o = &c->out;
	const int64_t area = (int64_t)d->p * d->q;
	(void)worker;
	for (int64_t k = begin; k < end; k++) {
		double sum = 0;
		for (int64_t n = 0; n < d->n; n++) {
			int64_t at = (n * d->k + k / o->block * o->block) * area + k % o->block;
			for (int64_t i = 0; i < area; i++)
				sum += (double)phiz_bf16_get(d->dout, o->wide, at + i * o->block);
		}
		phiz_put(&d->dbias[k], d->add_dbias, (float)sum);
	}
}

/* Filters turned for the gradient of the input and sums of the filters' gradient take turns. */
static size_t place_backward(struct conv *c, char *workspace)
{
	const struct phiz_conv *d = &c->d;
	const size_t sums = filter_bytes(c) / sizeof(uint16_t) * sizeof(float);
	const size_t turned = (size_t)blocks_of(d->c) * (size_t)c->kb * (size_t)(d->r * d->s) * PHIZ_BF16_TILE *
	                      sizeof(uint16_t);
	size_t used = 0;
	c->dw = take(workspace, &used, sums > turned ? sums : turned);
	c->filters = (uint16_t *)(void *)c->dw;
	c->rest = take(workspace, &used, 0);
	return used;
}

enum phiz_status phiz_bf16_conv2d_backward(struct phiz_call *call, const struct phiz_bf16_micro *micro)
{
	struct conv c;
	conv_of(call, &c);
	if (!c.d.dout)
		return PHIZ_OK;
	place_backward(&c, call->workspace);
	if (c.d.din)
		backward_input(&c, micro);
	if (c.d.dweight)
		backward_weights(&c, micro);
	if (c.d.dbias)
		phiz_parallel_for(call->ctx, c.d.k, 1, bias_pieces, &c);
	return PHIZ_OK;
}

/* --- For the plan --- */

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

size_t phiz_bf16_conv2d_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_bf16_sum s;
	struct conv c;
	conv_of(call, &c);
	if (!backward) {
		sum_of(&c, &s);
		return place_constants(&c, NULL) + phiz_bf16_sum_workspace(&s, threads);
	}
	struct phiz_bf16_weights w = weights_of(&c);
	size_t most = phiz_bf16_weights_workspace(&w, threads);
	struct residues r = {.c = &c};
	for (int class = 0; class < c.d.stride_h * c.d.stride_w; class++) {
		pick_class(&r, class);
		if (!r.y.pixels || !r.x.pixels || r.y.taps * r.x.taps == 0)
			continue;
		gradient_sum_of(&r, &s);
		most = larger(most, phiz_bf16_sum_workspace(&s, threads));
	}
	return place_backward(&c, NULL) + most;
}

/* Do all offsets within a piece stay within 31 bits? */
static bool fits(struct phiz_bf16_panel p, const struct phiz_bf16_picture *out)
{
	const int64_t area = (int64_t)p.y.outputs * p.x.outputs, images = 1 + 1024 / (area < 1 ? 1 : area);
	phiz_bf16_panel_of(&p, 1, 1);
	return p.elements < INT32_MAX / 4 &&
	       images * (int64_t)out->channels * out->height * out->width < INT32_MAX;
}

static bool narrow_or_float(const struct phiz_tensor *t)
{
	return t->dtype == PHIZ_BF16 || t->dtype == PHIZ_F32;
}

bool phiz_bf16_conv2d_supports(const struct phiz_call *call)
{
	const struct phiz_tensor *out = &call->out[0];
	struct phiz_bf16_sum s;
	struct conv c;
	conv_of(call, &c);
	if (c.d.groups != 1 || c.d.r > PHIZ_BF16_TAPS || c.d.s > PHIZ_BF16_TAPS ||
	    c.d.stride_h * (int64_t)c.d.stride_w > 64 ||
	    !narrow_or_float(&call->in[PHIZ_CONV2D_INPUT]) || !narrow_or_float(out))
		return false;
	if (call->n_in > PHIZ_CONV2D_RESIDUAL && call->in[PHIZ_CONV2D_RESIDUAL].shape.ndim == 4 &&
	    !narrow_or_float(&call->in[PHIZ_CONV2D_RESIDUAL]))
		return false;
	sum_of(&c, &s);
	if (!fits(s.panel, &c.out))
		return false;
	struct residues r = {.c = &c};
	for (int class = 0; class < c.d.stride_h * c.d.stride_w; class++) {
		pick_class(&r, class);
		if (!r.y.pixels || !r.x.pixels || r.y.taps * r.x.taps == 0)
			continue;
		gradient_sum_of(&r, &s);
		if (!fits(s.panel, &c.in))
			return false;
	}
	return true;
}
