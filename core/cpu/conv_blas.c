/* conv2d and linear with OpenBLAS, for processors that no kernel of ours was written for. A convolution is cut into
 * blocks of output rows, each laid out as a matrix (im2col) and multiplied. OpenBLAS works on the calling thread only:
 * we cut the work ourselves, by shapes alone, so that the bits do not depend on the number of threads. */
#include <cblas.h>
#include <string.h>

#include "core/base/thread.h"
#include "core/cpu/conv.h"
#include "core/cpu/kernels.h"
#include "core/ops/kernel.h"

/* MATRIX_FLOATS: of an im2col block, where a row of output allows. PIECES: that a product is cut into at least, where
 * it has them. */
enum { MATRIX_FLOATS = 1 << 18, PIECES = 8, BLAS_MAX = 1 << 30 };

struct blas_run {
	struct phiz_conv d;
	int cg, kg, taps;   /* channels and filters of a group */
	int rows, blocks;   /* output rows of a block; blocks of an image */
	bool direct;        /* 1x1, stride 1: the input is the matrix */
	int step, parts;    /* of what a piece does not share: filters (forward), channels (backward) */
	size_t per_worker;
};

static bool is_direct(const struct phiz_conv *d)
{
	return d->r == 1 && d->s == 1 && d->stride_h == 1 && d->stride_w == 1 && d->p == d->h && d->q == d->w;
}

static int block_rows(const struct phiz_conv *d)
{
	int64_t row = (int64_t)(d->c / d->groups) * d->r * d->s * d->q;
	int64_t rows = row < MATRIX_FLOATS ? MATRIX_FLOATS / row : 1;
	return rows < d->p ? (int)rows : d->p;
}

static size_t matrix_bytes(const struct phiz_conv *d)
{
	size_t bytes = sizeof(float) * (size_t)(d->c / d->groups) * (size_t)d->r * (size_t)d->s * (size_t)d->q *
	               (size_t)block_rows(d);
	return (bytes + 63) & ~(size_t)63;
}

/* Cuts `whole` so that there are at least PIECES of pieces times parts. */
static void cut(struct blas_run *run, int64_t pieces, int whole)
{
	int64_t parts = pieces < PIECES ? (PIECES + pieces - 1) / pieces : 1;
	run->step = (int)((whole + parts - 1) / parts);
	run->parts = (whole + run->step - 1) / run->step;
}

static void prepare(struct blas_run *run, const struct phiz_conv *d)
{
	run->d = *d;
	run->cg = d->c / d->groups;
	run->kg = d->k / d->groups;
	run->taps = d->r * d->s;
	run->rows = block_rows(d);
	run->blocks = (d->p + run->rows - 1) / run->rows;
	run->direct = is_direct(d);
	run->per_worker = matrix_bytes(d);
	openblas_set_num_threads(1);
}

/* The q that tap column x0 = s * dilation - pad brings inside a row: *begin..*end-1. */
static void clip(const struct phiz_conv *d, int x0, int *begin, int *end)
{
	*begin = x0 < 0 ? (-x0 + d->stride_w - 1) / d->stride_w : 0;
	*end = d->w - x0 <= 0 ? 0 : (d->w - x0 + d->stride_w - 1) / d->stride_w;
	if (*begin > d->q)
		*begin = d->q;
	if (*end > d->q)
		*end = d->q;
	if (*end < *begin)
		*end = *begin;
}

/* m[c][r][s][p][q] = in[c][p * stride + r * dilation - pad][...] for rows p0..p1-1; in: the first of `channels`
 * planes. */
static void im2col(const struct phiz_conv *d, const float *in, int channels, int p0, int p1, float *m)
{
	for (int row = 0; row < channels * d->r * d->s; row++) {
		int c = row / (d->r * d->s), r = row / d->s % d->r, x0 = row % d->s * d->dilation_w - d->pad_w, begin, end;
		clip(d, x0, &begin, &end);
		for (int p = p0; p < p1; p++, m += d->q) {
			int y = p * d->stride_h + r * d->dilation_h - d->pad_h;
			const float *from = in + ((int64_t)c * d->h + y) * d->w + x0;
			if (y < 0 || y >= d->h) {
				memset(m, 0, (size_t)d->q * sizeof(*m));
				continue;
			}
			memset(m, 0, (size_t)begin * sizeof(*m));
			if (d->stride_w == 1)
				memcpy(m + begin, from + begin, (size_t)(end - begin) * sizeof(*m));
			else
				for (int q = begin; q < end; q++)
					m[q] = from[(int64_t)q * d->stride_w];
			memset(m + end, 0, (size_t)(d->q - end) * sizeof(*m));
		}
	}
}

/* The reverse: adds m to the gradient of the input. */
static void col2im(const struct phiz_conv *d, const float *m, int channels, int p0, int p1, float *din)
{
	for (int row = 0; row < channels * d->r * d->s; row++) {
		int c = row / (d->r * d->s), r = row / d->s % d->r, x0 = row % d->s * d->dilation_w - d->pad_w, begin, end;
		clip(d, x0, &begin, &end);
		for (int p = p0; p < p1; p++, m += d->q) {
			int y = p * d->stride_h + r * d->dilation_h - d->pad_h;
			float *to = din + ((int64_t)c * d->h + y) * d->w + x0;
			if (y < 0 || y >= d->h)
				continue;
			for (int q = begin; q < end; q++)
				to[(int64_t)q * d->stride_w] += m[q];
		}
	}
}

static int last_row(const struct blas_run *run, int block)
{
	int p1 = (block + 1) * run->rows;
	return p1 < run->d.p ? p1 : run->d.p;
}

static float *matrix_of(const struct blas_run *run, int worker)
{
	return (float *)(void *)(run->d.workspace + (size_t)worker * run->per_worker);
}

/* bias, residual and act for `count` pixels of filters k0..k1-1, at element `at` of filter 0's plane. */
static void finish(const struct phiz_conv *d, int64_t at, int k0, int k1, int64_t count)
{
	if (!d->bias && !d->residual && d->act == PHIZ_ACT_NONE)
		return;
	for (int k = k0; k < k1; k++) {
		int64_t first = at + (int64_t)k * d->p * d->q;
		float bias = d->bias ? d->bias[k] : 0;
		for (int64_t i = first; i < first + count; i++) {
			float v = d->out[i] + bias;
			if (d->residual)
				v += d->residual[i];
			d->out[i] = phiz_act_apply(d->act, d->slope, v);
		}
	}
}

static void forward_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blas_run *run = arg;
	const struct phiz_conv *d = &run->d;
	const int depth = run->cg * run->taps;
	for (int64_t piece = begin; piece < end; piece++) {
		int part = (int)(piece % run->parts), block = (int)(piece / run->parts % run->blocks);
		int64_t rest = piece / run->parts / run->blocks, g = rest % d->groups, n = rest / d->groups;
		int p0 = block * run->rows, p1 = last_row(run, block), count = (p1 - p0) * d->q;
		int k0 = part * run->step, k1 = k0 + run->step < run->kg ? k0 + run->step : run->kg;
		const float *in = d->in + (n * d->c + g * run->cg) * d->h * d->w, *m = in + (int64_t)p0 * d->q;
		int64_t at = n * d->k * d->p * d->q + (int64_t)p0 * d->q;
		float *out = d->out + at + (g * run->kg + k0) * d->p * d->q;
		if (!run->direct) {
			im2col(d, in, run->cg, p0, p1, matrix_of(run, worker));
			m = matrix_of(run, worker);
		}
		/* A residual that lies where the output goes is what the product is added to. */
		bool add = d->residual && d->residual == d->out;
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, k1 - k0, count, depth, 1,
		            d->weight + (g * run->kg + k0) * depth, depth, m, run->direct ? d->p * d->q : count,
		            add ? 1 : 0, out, d->p * d->q);
		struct phiz_conv rest_of = *d;
		if (add)
			rest_of.residual = NULL;
		finish(&rest_of, at, (int)g * run->kg + k0, (int)g * run->kg + k1, count);
	}
}

static void forward(const struct phiz_conv *d)
{
	struct blas_run run;
	prepare(&run, d);
	cut(&run, d->n * d->groups * run.blocks, run.kg);
	phiz_parallel_for(d->ctx, d->n * d->groups * run.blocks * run.parts, 1, forward_pieces, &run);
}

static void backward_input_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blas_run *run = arg;
	const struct phiz_conv *d = &run->d;
	const int depth = run->cg * run->taps;
	for (int64_t piece = begin; piece < end; piece++) {
		int part = (int)(piece % run->parts);
		int64_t rest = piece / run->parts, g = rest % d->groups, n = rest / d->groups;
		int c0 = part * run->step, c1 = c0 + run->step < run->cg ? c0 + run->step : run->cg;
		float *din = d->din + (n * d->c + g * run->cg + c0) * d->h * d->w, *m = matrix_of(run, worker);
		if (!d->add_din)
			memset(din, 0, sizeof(*din) * (size_t)(c1 - c0) * (size_t)d->h * (size_t)d->w);
		for (int block = 0; block < run->blocks; block++) {
			int p0 = block * run->rows, p1 = last_row(run, block), count = (p1 - p0) * d->q;
			const float *dout = d->dout + (n * d->k + g * run->kg) * d->p * d->q + (int64_t)p0 * d->q;
			const float *weight = d->weight + g * run->kg * depth + c0 * run->taps;
			if (run->direct) {
				cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c1 - c0, count, run->kg, 1, weight, depth, dout,
				            d->p * d->q, 1, din + (int64_t)p0 * d->q, d->p * d->q);
				continue;
			}
			cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (c1 - c0) * run->taps, count, run->kg, 1, weight,
			            depth, dout, d->p * d->q, 0, m, count);
			col2im(d, m, c1 - c0, p0, p1, din);
		}
	}
}

static void backward_weight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct blas_run *run = arg;
	const struct phiz_conv *d = &run->d;
	const int depth = run->cg * run->taps;
	for (int64_t piece = begin; piece < end; piece++) {
		int part = (int)(piece % run->parts);
		int64_t g = piece / run->parts;
		int c0 = part * run->step, c1 = c0 + run->step < run->cg ? c0 + run->step : run->cg;
		float *dw = d->dweight + g * run->kg * depth + c0 * run->taps;
		bool add = d->add_dweight;
		for (int64_t n = 0; n < d->n; n++)
			for (int block = 0; block < run->blocks; block++, add = true) {
				int p0 = block * run->rows, p1 = last_row(run, block), count = (p1 - p0) * d->q;
				const float *in = d->in + (n * d->c + g * run->cg + c0) * d->h * d->w, *m = in + (int64_t)p0 * d->q;
				if (!run->direct) {
					im2col(d, in, c1 - c0, p0, p1, matrix_of(run, worker));
					m = matrix_of(run, worker);
				}
				cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, run->kg, (c1 - c0) * run->taps, count, 1,
				            d->dout + (n * d->k + g * run->kg) * d->p * d->q + (int64_t)p0 * d->q, d->p * d->q, m,
				            run->direct ? d->p * d->q : count, add ? 1 : 0, dw, depth);
			}
	}
}

static void backward(const struct phiz_conv *d)
{
	struct blas_run run;
	prepare(&run, d);
	if (d->din) {
		cut(&run, d->n * d->groups, run.cg);
		phiz_parallel_for(d->ctx, d->n * d->groups * run.parts, 1, backward_input_pieces, &run);
	}
	if (d->dweight) {
		cut(&run, d->groups, run.cg);
		phiz_parallel_for(d->ctx, (int64_t)d->groups * run.parts, 1, backward_weight_pieces, &run);
	}
	if (d->dbias)
		phiz_conv_backward_bias(d);
}

/* --- linear: blocks of outputs (forward, dw) or of inputs (dx) --- */

enum { LINEAR_BLOCK = 128 };

static void linear_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	int count = (int)(end - begin);
	(void)worker;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)d->n, count, d->c, 1, d->in, d->c,
	            d->weight + begin * d->c, d->c, 0, d->out + begin, d->k);
	for (int64_t n = 0; n < d->n; n++)
		for (int64_t k = begin; k < end; k++)
			d->out[n * d->k + k] = phiz_act_apply(d->act, d->slope,
			                                      d->out[n * d->k + k] + (d->bias ? d->bias[k] : 0));
}

static void linear_input_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	(void)worker;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)d->n, (int)(end - begin), d->k, 1, d->dout, d->k,
	            d->weight + begin, d->c, d->add_din ? 1 : 0, d->din + begin, d->c);
}

static void linear_weight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	(void)worker;
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(end - begin), d->c, (int)d->n, 1, d->dout + begin, d->k,
	            d->in, d->c, d->add_dweight ? 1 : 0, d->dweight + begin * d->c, d->c);
}

static size_t before_act_bytes(const struct phiz_conv *d)
{
	size_t bytes = sizeof(float) * (size_t)d->n * (size_t)d->k;
	return d->act == PHIZ_ACT_NONE ? 0 : (bytes + 63) & ~(size_t)63;
}

/* Takes a fused activation out: makes dout the gradient before it, in the first so many bytes of the workspace, which
 * then begins behind them. */
static void before_act(struct phiz_conv *d)
{
	float *before = (float *)(void *)d->workspace;
	if (d->act == PHIZ_ACT_NONE)
		return;
	for (int64_t i = 0; i < d->n * d->k; i++)
		before[i] = phiz_act_gradient(d->act, d->slope, d->out[i], d->dout[i]);
	d->dout = before;
	d->workspace += before_act_bytes(d);
}

static void linear_backward(struct phiz_conv *d)
{
	openblas_set_num_threads(1);
	if (d->din)
		phiz_parallel_for(d->ctx, d->c, LINEAR_BLOCK, linear_input_pieces, d);
	if (d->dweight)
		phiz_parallel_for(d->ctx, d->k, LINEAR_BLOCK, linear_weight_pieces, d);
	if (d->dbias)
		phiz_conv_backward_bias(d);
}

/* --- Rows of the kernel table --- */

static bool fits(const struct phiz_conv *d)
{
	int64_t depth = (int64_t)(d->c / d->groups) * d->r * d->s;
	return (int64_t)d->p * d->q <= BLAS_MAX && depth <= BLAS_MAX && (int64_t)d->q * depth <= BLAS_MAX &&
	       d->n <= BLAS_MAX &&
	       (int64_t)(d->r + 1) * d->dilation_h <= BLAS_MAX && (int64_t)(d->s + 1) * d->dilation_w <= BLAS_MAX &&
	       (int64_t)(d->p + 1) * d->stride_h <= BLAS_MAX && (int64_t)(d->q + 1) * d->stride_w <= BLAS_MAX;
}

static bool conv2d_supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	return fits(&d);
}

static size_t conv2d_workspace(const struct phiz_call *call, bool for_backward, int threads)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	(void)for_backward;
	return is_direct(&d) ? 0 : matrix_bytes(&d) * (size_t)threads;
}

static enum phiz_status conv2d_forward(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	forward(&d);
	return PHIZ_OK;
}

static enum phiz_status conv2d_backward(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	if (d.dout)
		backward(&d);
	return PHIZ_OK;
}

const struct phiz_kernel phiz_cpu_conv2d_f32_openblas = {
	.op = "conv2d", .name = "im2col.openblas", .dtype = PHIZ_F32, .features = 0,
	.supports = conv2d_supports, .workspace = conv2d_workspace, .forward = conv2d_forward, .backward = conv2d_backward,
};

static bool linear_supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	return fits(&d);
}

static size_t linear_workspace(const struct phiz_call *call, bool for_backward, int threads)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	(void)threads;
	return for_backward ? before_act_bytes(&d) : 0;
}

static enum phiz_status linear_forward_call(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	openblas_set_num_threads(1);
	phiz_parallel_for(call->ctx, d.k, LINEAR_BLOCK, linear_pieces, &d);
	return PHIZ_OK;
}

static enum phiz_status linear_backward_call(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	if (!d.dout)
		return PHIZ_OK;
	before_act(&d);
	linear_backward(&d);
	return PHIZ_OK;
}

const struct phiz_kernel phiz_cpu_linear_f32_openblas = {
	.op = "linear", .name = "openblas", .dtype = PHIZ_F32, .features = 0,
	.supports = linear_supports, .workspace = linear_workspace, .forward = linear_forward_call,
	.backward = linear_backward_call,
};
