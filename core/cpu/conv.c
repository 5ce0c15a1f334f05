#include "core/cpu/conv.h"

#include <string.h>

#include "core/base/thread.h"
#include "core/ops/kernel.h"

void phiz_conv_of_conv2d(const struct phiz_call *call, struct phiz_conv *out)
{
	const int64_t *in = call->in[PHIZ_CONV2D_INPUT].shape.dim, *filter = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const int64_t *to = call->out[0].shape.dim;
	const union phiz_attr *attr = call->node->attr;
	*out = (struct phiz_conv){
		.ctx = call->ctx,
		.n = in[0],
		.c = (int)in[1],
		.h = (int)in[2],
		.w = (int)in[3],
		.k = (int)filter[0],
		.r = (int)filter[2],
		.s = (int)filter[3],
		.p = (int)to[2],
		.q = (int)to[3],
		.groups = (int)attr[PHIZ_CONV2D_GROUPS].i,
		.stride_h = (int)attr[PHIZ_CONV2D_STRIDE_H].i,
		.stride_w = (int)attr[PHIZ_CONV2D_STRIDE_W].i,
		.pad_h = (int)attr[PHIZ_CONV2D_PAD_TOP].i,
		.pad_w = (int)attr[PHIZ_CONV2D_PAD_LEFT].i,
		.dilation_h = (int)attr[PHIZ_CONV2D_DILATION_H].i,
		.dilation_w = (int)attr[PHIZ_CONV2D_DILATION_W].i,
		.act = (int)attr[PHIZ_CONV2D_ACT].i,
		.slope = (float)attr[PHIZ_CONV2D_ACT_SLOPE].f,
		.in = phiz_in(call, PHIZ_CONV2D_INPUT),
		.weight = phiz_in(call, PHIZ_CONV2D_WEIGHT),
		.bias = phiz_in(call, PHIZ_CONV2D_BIAS),
		.residual = phiz_in(call, PHIZ_CONV2D_RESIDUAL),
		.dout = call->dout[0].data,
		.out = call->out[0].data,
		.din = phiz_din(call, PHIZ_CONV2D_INPUT),
		.dweight = phiz_din(call, PHIZ_CONV2D_WEIGHT),
		.dbias = phiz_din(call, PHIZ_CONV2D_BIAS),
		.add_din = phiz_adds(call, PHIZ_CONV2D_INPUT),
		.add_dweight = phiz_adds(call, PHIZ_CONV2D_WEIGHT),
		.add_dbias = phiz_adds(call, PHIZ_CONV2D_BIAS),
		.workspace = call->workspace,
	};
}

void phiz_conv_of_linear(const struct phiz_call *call, struct phiz_conv *out)
{
	const int64_t *in = call->in[PHIZ_LINEAR_INPUT].shape.dim, *filter = call->in[PHIZ_LINEAR_WEIGHT].shape.dim;
	*out = (struct phiz_conv){
		.ctx = call->ctx,
		.n = in[0],
		.c = (int)in[1],
		.h = 1,
		.w = 1,
		.k = (int)filter[0],
		.r = 1,
		.s = 1,
		.p = 1,
		.q = 1,
		.groups = 1,
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.act = (int)call->node->attr[PHIZ_LINEAR_ACT].i,
		.slope = (float)call->node->attr[PHIZ_LINEAR_ACT_SLOPE].f,
		.in = phiz_in(call, PHIZ_LINEAR_INPUT),
		.weight = phiz_in(call, PHIZ_LINEAR_WEIGHT),
		.bias = phiz_in(call, PHIZ_LINEAR_BIAS),
		.dout = call->dout[0].data,
		.out = call->out[0].data,
		.din = phiz_din(call, PHIZ_LINEAR_INPUT),
		.dweight = phiz_din(call, PHIZ_LINEAR_WEIGHT),
		.dbias = phiz_din(call, PHIZ_LINEAR_BIAS),
		.add_din = phiz_adds(call, PHIZ_LINEAR_INPUT),
		.add_dweight = phiz_adds(call, PHIZ_LINEAR_WEIGHT),
		.add_dbias = phiz_adds(call, PHIZ_LINEAR_BIAS),
		.workspace = call->workspace,
	};
}

static void forward_taps(const struct phiz_conv *d, struct phiz_taps *t)
{
	*t = (struct phiz_taps){
		.in = d->in,
		.in_image = (int64_t)d->c * d->h * d->w,
		.in_plane = (int64_t)d->h * d->w,
		.height = d->h,
		.width = d->w,
		.channels = d->c / d->groups,
		.taps_y = d->r,
		.taps_x = d->s,
		.first_y = -d->pad_h,
		.first_x = -d->pad_w,
		.step_y = d->dilation_h,
		.step_x = d->dilation_w,
		.stride_y = d->stride_h,
		.stride_x = d->stride_w,
		.a = d->weight,
		.lda = (int64_t)(d->c / d->groups) * d->r * d->s,
		.rows = d->k / d->groups,
		.out = d->out,
		.images = d->n,
		.out_image = (int64_t)d->k * d->p * d->q,
		.out_plane = (int64_t)d->p * d->q,
		.out_row = d->q,
		.out_col = 1,
		.p = d->p,
		.q = d->q,
		.bias = d->bias,
		.residual = d->residual,
		.act = d->act,
		.slope = d->slope,
	};
	/* Sums of a deep product rest in `out` between its parts. */
	if (t->residual && t->residual == t->out) {
		t->residual = NULL;
		t->add = true;
	}
}

/* --- Gradient of the input --- */

struct phiz_residue phiz_conv_residue(int first, int size, int filter, int stride, int pad, int dilation)
{
	struct phiz_residue c = {.pixels = first < size ? (size - first + stride - 1) / stride : 0, .tap = filter};
	for (int r = filter; r-- > 0;) {
		if ((first + pad - r * dilation) % stride)
			continue;
		c.tap_step = c.tap - r;
		c.tap = r;
		c.taps++;
	}
	if (c.taps == 1)
		c.tap_step = 1;
	if (c.taps) {
		c.from = (first + pad - c.tap * dilation) / stride;
		c.from_step = -(c.tap_step * dilation) / stride;
	}
	return c;
}

struct backward_run {
	const struct phiz_conv *d;
	struct phiz_residue y, x;
	int first_y, first_x;
	float *turned;
};

/* turned[g][c][k][i][j] = weight[g][k][c][tap_y + i * step_y][tap_x + j * step_x] */
static void turn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct backward_run *run = arg;
	const struct phiz_conv *d = run->d;
	const struct phiz_residue *y = &run->y, *x = &run->x;
	int kg = d->k / d->groups, cg = d->c / d->groups, taps = y->taps * x->taps;
	(void)worker;
	for (int g = (int)(begin / cg); g < d->groups && (int64_t)g * cg < end; g++) {
		int c0 = begin > (int64_t)g * cg ? (int)(begin - (int64_t)g * cg) : 0;
		int c1 = end < (int64_t)(g + 1) * cg ? (int)(end - (int64_t)g * cg) : cg;
		for (int k = 0; k < kg; k++)
			for (int c = c0; c < c1; c++) {
				const float *from = d->weight + (((int64_t)g * kg + k) * cg + c) * d->r * d->s;
				float *to = run->turned + (((int64_t)g * cg + c) * kg + k) * taps;
				for (int i = 0; i < y->taps; i++)
					for (int j = 0; j < x->taps; j++)
						*to++ = from[(y->tap + i * y->tap_step) * d->s + x->tap + j * x->tap_step];
			}
	}
}

/* Pixels that no tap reaches. */
static void zero_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct backward_run *run = arg;
	const struct phiz_conv *d = run->d;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++)
		for (int y = run->first_y; y < d->h; y += d->stride_h)
			for (int x = run->first_x; x < d->w; x += d->stride_w)
				d->din[(plane * d->h + y) * d->w + x] = 0;
}

static void backward_taps(const struct backward_run *run, struct phiz_taps *t)
{
	const struct phiz_conv *d = run->d;
	*t = (struct phiz_taps){
		.in = d->dout,
		.in_image = (int64_t)d->k * d->p * d->q,
		.in_plane = (int64_t)d->p * d->q,
		.height = d->p,
		.width = d->q,
		.channels = d->k / d->groups,
		.taps_y = run->y.taps,
		.taps_x = run->x.taps,
		.first_y = run->y.from,
		.first_x = run->x.from,
		.step_y = run->y.from_step,
		.step_x = run->x.from_step,
		.stride_y = 1,
		.stride_x = 1,
		.a = run->turned,
		.lda = (int64_t)(d->k / d->groups) * run->y.taps * run->x.taps,
		.rows = d->c / d->groups,
		.images = d->n,
		.out_image = (int64_t)d->c * d->h * d->w,
		.out_plane = (int64_t)d->h * d->w,
		.out_row = (int64_t)d->stride_h * d->w,
		.out_col = d->stride_w,
		.p = run->y.pixels,
		.q = run->x.pixels,
		.add = d->add_din,
	};
	if (d->din)
		t->out = d->din + (int64_t)run->first_y * d->w + run->first_x;
}

static size_t turned_bytes(const struct phiz_conv *d)
{
	size_t bytes = sizeof(float) * (size_t)d->k * (size_t)(d->c / d->groups) * (size_t)d->r * (size_t)d->s;
	return (bytes + 63) & ~(size_t)63;
}

static void pick_class(struct backward_run *run, int first_y, int first_x)
{
	const struct phiz_conv *d = run->d;
	run->first_y = first_y;
	run->first_x = first_x;
	run->y = phiz_conv_residue(first_y, d->h, d->r, d->stride_h, d->pad_h, d->dilation_h);
	run->x = phiz_conv_residue(first_x, d->w, d->s, d->stride_w, d->pad_w, d->dilation_w);
}

static void backward_input(const struct phiz_conv *d, const struct phiz_conv_inner *inner)
{
	struct backward_run run = {.d = d, .turned = (float *)(void *)d->workspace};
	void *rest = d->workspace + turned_bytes(d);
	for (int class = 0; class < d->stride_h * d->stride_w; class++) {
		struct phiz_taps t;
		pick_class(&run, class / d->stride_w, class % d->stride_w);
		if (!run.y.pixels || !run.x.pixels)
			continue;
		if (run.y.taps * run.x.taps == 0) {
			if (!d->add_din)
				phiz_parallel_for(d->ctx, d->n * d->c, 64, zero_pieces, &run);
			continue;
		}
		phiz_parallel_for(d->ctx, d->c, 16, turn_pieces, &run);
		backward_taps(&run, &t);
		phiz_taps_run(d->ctx, &t, d->groups, inner->taps, rest);
	}
}

/* --- Gradients of filters and bias --- */

static void weights_problem(const struct phiz_conv *d, struct phiz_conv_weights *w)
{
	*w = (struct phiz_conv_weights){
		.in = d->in,
		.in_image = (int64_t)d->c * d->h * d->w,
		.in_plane = (int64_t)d->h * d->w,
		.height = d->h,
		.width = d->w,
		.channels = d->c / d->groups,
		.dout = d->dout,
		.dout_image = (int64_t)d->k * d->p * d->q,
		.images = d->n,
		.filters = d->k / d->groups,
		.p = d->p,
		.q = d->q,
		.taps_y = d->r,
		.taps_x = d->s,
		.stride_y = d->stride_h,
		.stride_x = d->stride_w,
		.step_y = d->dilation_h,
		.step_x = d->dilation_w,
		.pad_y = d->pad_h,
		.pad_x = d->pad_w,
		.groups = d->groups,
		.dw = d->dweight,
		.add = d->add_dweight,
	};
}

/* 16 sums side by side, so that the order does not depend on the instruction set. */
static double sum_plane(const float *x, int64_t count)
{
	float part[16] = {0};
	int64_t i = 0;
	for (; i + 16 <= count; i += 16)
		for (int l = 0; l < 16; l++)
			part[l] += x[i + l];
	double sum = 0;
	for (int l = 0; l < 16; l++)
		sum += (double)part[l];
	for (; i < count; i++)
		sum += (double)x[i];
	return sum;
}

static void bias_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	int64_t plane = (int64_t)d->p * d->q;
	(void)worker;
	for (int64_t k = begin; k < end; k++) {
		double sum = d->add_dbias ? (double)d->dbias[k] : 0;
		for (int64_t n = 0; n < d->n; n++)
			sum += sum_plane(d->dout + (n * d->k + k) * plane, plane);
		d->dbias[k] = (float)sum;
	}
}

void phiz_conv_backward_bias(const struct phiz_conv *d)
{
	struct phiz_conv copy = *d;
	phiz_parallel_for(d->ctx, d->k, 4, bias_pieces, &copy);
}

/* --- The whole --- */

bool phiz_conv_fits(const struct phiz_conv *d)
{
	struct phiz_taps t;
	forward_taps(d, &t);
	if (!phiz_taps_fits(&t))
		return false;
	/* The gradient of the input reads the output's image and writes the input's. */
	t.in_image = (int64_t)d->k * d->p * d->q;
	t.channels = d->k / d->groups;
	t.p = d->h / d->stride_h;
	t.q = d->w / d->stride_w;
	return phiz_taps_fits(&t);
}

bool phiz_conv_rows_are_wide(const struct phiz_conv *d)
{
	/* Narrower rows waste more in their last vector than packing costs; with more filters, packing is paid for. */
	const int least_row = 20, most_filters = 64;
	return d->groups == 1 && d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
	       d->pad_h == 0 && d->pad_w == 0 && d->p == d->h - d->r + 1 && d->q == d->w - d->s + 1 && d->q >= least_row &&
	       d->k <= most_filters;
}

size_t phiz_conv_workspace(const struct phiz_conv *d, bool backward, int threads, const struct phiz_conv_inner *inner)
{
	struct phiz_taps t;
	struct phiz_conv_weights w;
	size_t most = 0;
	if (!backward) {
		forward_taps(d, &t);
		return phiz_taps_workspace(&t, inner->taps, threads);
	}
	struct backward_run run = {.d = d};
	for (int class = 0; class < d->stride_h * d->stride_w; class++) {
		pick_class(&run, class / d->stride_w, class % d->stride_w);
		if (run.y.taps * run.x.taps == 0)
			continue;
		backward_taps(&run, &t);
		size_t bytes = turned_bytes(d) + phiz_taps_workspace(&t, inner->taps, threads);
		most = bytes > most ? bytes : most;
	}
	weights_problem(d, &w);
	size_t bytes = phiz_conv_weights_workspace(&w, inner->weights, threads);
	return bytes > most ? bytes : most;
}

void phiz_conv_forward(const struct phiz_conv *d, const struct phiz_conv_inner *inner)
{
	struct phiz_taps t;
	forward_taps(d, &t);
	phiz_taps_run(d->ctx, &t, d->groups, inner->taps, d->workspace);
}

void phiz_conv_backward(const struct phiz_conv *d, const struct phiz_conv_inner *inner)
{
	if (d->din)
		backward_input(d, inner);
	if (d->dweight) {
		struct phiz_conv_weights w;
		weights_problem(d, &w);
		phiz_conv_weights_run(d->ctx, &w, inner->weights, d->workspace);
	}
	if (d->dbias)
		phiz_conv_backward_bias(d);
}
