#include "core/cpu/conv2d.h"

#include <string.h>

#include "core/base/thread.h"
#include "core/ops/ops.h"

void phiz_conv_shape_get(const struct phiz_call *call, struct phiz_conv_shape *out)
{
	const int64_t *in = call->in[PHIZ_CONV2D_INPUT].shape.dim, *filter = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const int64_t *to = call->out[0].shape.dim;
	const union phiz_attr *attr = call->node->attr;
	out->n = in[0];
	out->c = (int)in[1];
	out->h = (int)in[2];
	out->w = (int)in[3];
	out->k = (int)filter[0];
	out->r = (int)filter[2];
	out->s = (int)filter[3];
	out->p = (int)to[2];
	out->q = (int)to[3];
	out->groups = (int)attr[PHIZ_CONV2D_GROUPS].i;
	out->stride_h = (int)attr[PHIZ_CONV2D_STRIDE_H].i;
	out->stride_w = (int)attr[PHIZ_CONV2D_STRIDE_W].i;
	out->pad_h = (int)attr[PHIZ_CONV2D_PAD_TOP].i;
	out->pad_w = (int)attr[PHIZ_CONV2D_PAD_LEFT].i;
	out->dilation_h = (int)attr[PHIZ_CONV2D_DILATION_H].i;
	out->dilation_w = (int)attr[PHIZ_CONV2D_DILATION_W].i;
	out->act = (int)attr[PHIZ_CONV2D_ACT].i;
	out->slope = (float)attr[PHIZ_CONV2D_ACT_SLOPE].f;
}

static void forward_taps(const struct phiz_call *call, const struct phiz_conv_shape *d, struct phiz_taps *t)
{
	*t = (struct phiz_taps){
		.in = call->in[PHIZ_CONV2D_INPUT].data,
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
		.a = call->in[PHIZ_CONV2D_WEIGHT].data,
		.lda = (int64_t)(d->c / d->groups) * d->r * d->s,
		.rows = d->k / d->groups,
		.out = call->out[0].data,
		.images = d->n,
		.out_image = (int64_t)d->k * d->p * d->q,
		.out_plane = (int64_t)d->p * d->q,
		.out_row = d->q,
		.out_col = 1,
		.p = d->p,
		.q = d->q,
		.act = d->act,
		.slope = d->slope,
	};
	if (call->n_in > PHIZ_CONV2D_BIAS)
		t->bias = call->in[PHIZ_CONV2D_BIAS].data;
	if (call->n_in > PHIZ_CONV2D_RESIDUAL)
		t->residual = call->in[PHIZ_CONV2D_RESIDUAL].data;
	/* Sums of a deep product rest in `out` between its parts. */
	if (t->residual && t->residual == t->out) {
		t->residual = NULL;
		t->add = true;
	}
}

/* --- Gradient of the input --- */

/* The input rows (or columns) first, first + stride, ... and the taps that reach them:
 * p = (h + pad - r * dilation) / stride must be whole. */
struct residue {
	int pixels;              /* rows of this class */
	int taps, tap, tap_step; /* r = tap + i * tap_step */
	int from, from_step;     /* p = h' + from + i * from_step for the h'-th row of the class */
};

static struct residue find_residue(int first, int size, int filter, int stride, int pad, int dilation)
{
	struct residue c = {.pixels = first < size ? (size - first + stride - 1) / stride : 0, .tap = filter};
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
	const struct phiz_call *call;
	const struct phiz_conv_shape *d;
	struct residue y, x;
	int first_y, first_x;
	float *turned;
};

/* turned[g][c][k][i][j] = weight[g][k][c][tap_y + i * step_y][tap_x + j * step_x] */
static void turn_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct backward_run *run = arg;
	const struct phiz_conv_shape *d = run->d;
	const struct residue *y = &run->y, *x = &run->x;
	const float *weight = run->call->in[PHIZ_CONV2D_WEIGHT].data;
	int kg = d->k / d->groups, cg = d->c / d->groups, taps = y->taps * x->taps;
	(void)worker;
	for (int g = (int)(begin / cg); g < d->groups && (int64_t)g * cg < end; g++) {
		int c0 = begin > (int64_t)g * cg ? (int)(begin - (int64_t)g * cg) : 0;
		int c1 = end < (int64_t)(g + 1) * cg ? (int)(end - (int64_t)g * cg) : cg;
		for (int k = 0; k < kg; k++)
			for (int c = c0; c < c1; c++) {
				const float *from = weight + (((int64_t)g * kg + k) * cg + c) * d->r * d->s;
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
	const struct phiz_conv_shape *d = run->d;
	float *din = run->call->din[PHIZ_CONV2D_INPUT].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++)
		for (int y = run->first_y; y < d->h; y += d->stride_h)
			for (int x = run->first_x; x < d->w; x += d->stride_w)
				din[(plane * d->h + y) * d->w + x] = 0;
}

static void backward_taps(const struct backward_run *run, struct phiz_taps *t)
{
	const struct phiz_call *call = run->call;
	const struct phiz_conv_shape *d = run->d;
	*t = (struct phiz_taps){
		.in = call->dout[0].data,
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
		.add = (call->accumulate & 1u << PHIZ_CONV2D_INPUT) != 0,
	};
	if (call->din[PHIZ_CONV2D_INPUT].data)
		t->out = (float *)call->din[PHIZ_CONV2D_INPUT].data + (int64_t)run->first_y * d->w + run->first_x;
}

static size_t turned_bytes(const struct phiz_conv_shape *d)
{
	size_t bytes = sizeof(float) * (size_t)d->k * (size_t)(d->c / d->groups) * (size_t)d->r * (size_t)d->s;
	return (bytes + 63) & ~(size_t)63;
}

static void pick_class(struct backward_run *run, int first_y, int first_x)
{
	const struct phiz_conv_shape *d = run->d;
	run->first_y = first_y;
	run->first_x = first_x;
	run->y = find_residue(first_y, d->h, d->r, d->stride_h, d->pad_h, d->dilation_h);
	run->x = find_residue(first_x, d->w, d->s, d->stride_w, d->pad_w, d->dilation_w);
}

static void backward_input(struct phiz_call *call, const struct phiz_conv_shape *d, const struct phiz_conv_inner *inner)
{
	struct backward_run run = {.call = call, .d = d, .turned = call->workspace};
	void *rest = (char *)call->workspace + turned_bytes(d);
	bool add = (call->accumulate & 1u << PHIZ_CONV2D_INPUT) != 0;
	for (int class = 0; class < d->stride_h * d->stride_w; class++) {
		struct phiz_taps t;
		pick_class(&run, class / d->stride_w, class % d->stride_w);
		if (!run.y.pixels || !run.x.pixels)
			continue;
		if (run.y.taps * run.x.taps == 0) {
			if (!add)
				phiz_parallel_for(call->ctx, d->n * d->c, 64, zero_pieces, &run);
			continue;
		}
		phiz_parallel_for(call->ctx, d->c, 16, turn_pieces, &run);
		backward_taps(&run, &t);
		phiz_taps_run(call->ctx, &t, d->groups, inner->taps, rest);
	}
}

/* --- Gradients of filters and bias --- */

static void weights_problem(const struct phiz_call *call, const struct phiz_conv_shape *d, struct phiz_conv_weights *w)
{
	*w = (struct phiz_conv_weights){
		.in = call->in[PHIZ_CONV2D_INPUT].data,
		.in_image = (int64_t)d->c * d->h * d->w,
		.in_plane = (int64_t)d->h * d->w,
		.height = d->h,
		.width = d->w,
		.channels = d->c / d->groups,
		.dout = call->dout[0].data,
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
		.dw = call->din[PHIZ_CONV2D_WEIGHT].data,
		.add = (call->accumulate & 1u << PHIZ_CONV2D_WEIGHT) != 0,
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
	const struct phiz_call *call = arg;
	const int64_t *dim = call->out[0].shape.dim, plane = dim[2] * dim[3];
	const float *dout = call->dout[0].data;
	float *db = call->din[PHIZ_CONV2D_BIAS].data;
	(void)worker;
	for (int64_t k = begin; k < end; k++) {
		double sum = call->accumulate & 1u << PHIZ_CONV2D_BIAS ? (double)db[k] : 0;
		for (int64_t n = 0; n < dim[0]; n++)
			sum += sum_plane(dout + (n * dim[1] + k) * plane, plane);
		db[k] = (float)sum;
	}
}

void phiz_conv2d_backward_bias(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, call->out[0].shape.dim[1], 4, bias_pieces, call);
}

/* --- The kernel --- */

bool phiz_conv2d_supports(const struct phiz_call *call)
{
	struct phiz_conv_shape d;
	struct phiz_taps t;
	phiz_conv_shape_get(call, &d);
	forward_taps(call, &d, &t);
	if (!phiz_taps_fits(&t))
		return false;
	/* The gradient of the input reads the output's image and writes the input's. */
	t.in_image = (int64_t)d.k * d.p * d.q;
	t.channels = d.k / d.groups;
	t.p = d.h / d.stride_h;
	t.q = d.w / d.stride_w;
	return phiz_taps_fits(&t);
}

size_t phiz_conv2d_workspace(const struct phiz_call *call, bool backward, int threads,
                             const struct phiz_conv_inner *inner)
{
	struct phiz_conv_shape d;
	struct phiz_taps t;
	struct phiz_conv_weights w;
	size_t most = 0;
	phiz_conv_shape_get(call, &d);
	if (!backward) {
		forward_taps(call, &d, &t);
		return phiz_taps_workspace(&t, inner->taps, threads);
	}
	struct backward_run run = {.call = call, .d = &d};
	for (int class = 0; class < d.stride_h * d.stride_w; class++) {
		pick_class(&run, class / d.stride_w, class % d.stride_w);
		if (run.y.taps * run.x.taps == 0)
			continue;
		backward_taps(&run, &t);
		size_t bytes = turned_bytes(&d) + phiz_taps_workspace(&t, inner->taps, threads);
		most = bytes > most ? bytes : most;
	}
	weights_problem(call, &d, &w);
	size_t bytes = phiz_conv_weights_workspace(&w, inner->weights, threads);
	return bytes > most ? bytes : most;
}

enum phiz_status phiz_conv2d_forward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv_shape d;
	struct phiz_taps t;
	phiz_conv_shape_get(call, &d);
	forward_taps(call, &d, &t);
	phiz_taps_run(call->ctx, &t, d.groups, inner->taps, call->workspace);
	return PHIZ_OK;
}

enum phiz_status phiz_conv2d_backward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv_shape d;
	if (!call->dout[0].data)
		return PHIZ_OK;
	phiz_conv_shape_get(call, &d);
	if (call->din[PHIZ_CONV2D_INPUT].data)
		backward_input(call, &d, inner);
	if (call->din[PHIZ_CONV2D_WEIGHT].data) {
		struct phiz_conv_weights w;
		weights_problem(call, &d, &w);
		phiz_conv_weights_run(call->ctx, &w, inner->weights, call->workspace);
	}
	if (call->n_in > PHIZ_CONV2D_BIAS && call->din[PHIZ_CONV2D_BIAS].data)
		phiz_conv2d_backward_bias(call);
	return PHIZ_OK;
}
