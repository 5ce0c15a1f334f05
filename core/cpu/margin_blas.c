/* margin_linear with OpenBLAS (core/ops/margin_linear.c has the formulas). With f[n,c] = e[n,c] / (|x_n| |w_c|) both
 * gradients are products of f:
 *   dx_n = sum_c f[n,c] w_c - x_n sum_c e[n,c] c[n,c] / |x_n|^2,
 *   dw_c = sum_n f[n,c] x_n - w_c sum_n e[n,c] c[n,c] / |w_c|^2.
 * Products in float, the sums behind them in double. Nothing may alias. Classes are done in blocks, so that norms,
 * product and what is made of it find the weights in the cache, and blocks are cut by shape alone. (OpenBLAS on all
 * processors: its product of transposed matrices is several times as fast as the convolutions' for the gradients.) */
#include <cblas.h>

#include "core/base/thread.h"
#include "core/cpu/kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/margin.h"

/* BLOCK: classes whose f is there at a time (backward). COLUMNS: classes, or dims, that a thread takes at a time; ROWS:
 * samples. */
enum { BLOCK = 1024, COLUMNS = 128, ROWS = 4, BLAS_MAX = 1 << 30 };

struct margin_run {
	struct phiz_call *call;
	int64_t rows, dims, classes;
	double scale;
	const float *x, *w;
	float *dx, *dw;
	float *xnorm, *wnorm; /* of all samples, of all classes */
	float *cosine;        /* [rows, classes], or NULL (forward) */
	/* Backward: */
	int64_t first, width; /* the block's classes */
	float *f;             /* [rows, width] */
	double *row_sum;      /* of e c, over all classes so far */
};

static size_t rounded(int64_t count, size_t size)
{
	return ((size_t)count * size + 63) & ~(size_t)63;
}

static bool supports(const struct phiz_call *call)
{
	const int64_t *x = call->in[PHIZ_MARGIN_INPUT].shape.dim, *w = call->in[PHIZ_MARGIN_WEIGHT].shape.dim;
	return x[0] <= BLAS_MAX && x[1] <= BLAS_MAX && w[0] <= BLAS_MAX;
}

static size_t workspace(const struct phiz_call *call, bool backward, int threads)
{
	int64_t rows = call->in[PHIZ_MARGIN_INPUT].shape.dim[0], classes = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0];
	(void)threads;
	if (backward)
		return rounded(rows, sizeof(double)) + rounded(rows * (classes < BLOCK ? classes : BLOCK), sizeof(float));
	return rounded(rows, sizeof(float)) + rounded(classes, sizeof(float)); /* where the norms are not saved */
}

static void prepare(struct margin_run *run, struct phiz_call *call)
{
	*run = (struct margin_run){
		.call = call,
		.rows = call->in[PHIZ_MARGIN_INPUT].shape.dim[0],
		.dims = call->in[PHIZ_MARGIN_INPUT].shape.dim[1],
		.classes = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0],
		.scale = call->node->attr[PHIZ_MARGIN_SCALE].f,
		.x = phiz_in(call, PHIZ_MARGIN_INPUT),
		.w = phiz_in(call, PHIZ_MARGIN_WEIGHT),
		.dx = phiz_din(call, PHIZ_MARGIN_INPUT),
		.dw = phiz_din(call, PHIZ_MARGIN_WEIGHT),
		.xnorm = call->saved[PHIZ_MARGIN_SAVED_XNORM].data,
		.wnorm = call->saved[PHIZ_MARGIN_SAVED_WNORM].data,
		.cosine = call->saved[PHIZ_MARGIN_SAVED_COS].data,
	};
	openblas_set_num_threads(1);
}

/* 8 sums side by side, so that the order does not depend on the instruction set. */
static double dot(const float *a, const float *b, int64_t n)
{
	double part[8] = {0}, sum = 0;
	int64_t i = 0;

	for (; i + 8 <= n; i += 8)
		for (int l = 0; l < 8; l++)
			part[l] += (double)a[i + l] * (double)b[i + l];
	for (; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return (((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))) + sum;
}

/* In float where no square can leave its range. */
static float norm(const float *row, int64_t n)
{
	double square = (double)cblas_sdot((int)n, row, 1, row, 1), length;

	if (!(square > 1e-20 && square < 1e30))
		square = dot(row, row, n);
	length = sqrt(square);
	return (float)(length < PHIZ_MARGIN_EPS ? PHIZ_MARGIN_EPS : length);
}

/* --- Forward --- */

static void xnorm_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	(void)worker;
	for (int64_t n = begin; n < end; n++)
		run->xnorm[n] = norm(run->x + n * run->dims, run->dims);
}

static double share_of(const struct margin_run *run, int64_t n)
{
	const float *share = phiz_in(run->call, PHIZ_MARGIN_SHARE);

	return share ? (double)share[n] : 1;
}

/* The label's class anew, in double: near 1 the margin makes much of a little. */
static void put_label(const struct margin_run *run, int64_t n, int64_t c)
{
	float *y = run->call->out[0].data;
	double cosine = dot(run->x + n * run->dims, run->w + c * run->dims, run->dims) /
	                ((double)run->xnorm[n] * (double)run->wnorm[c]);

	y[n * run->classes + c] = (float)(run->scale * phiz_margin_apply(run->call, share_of(run, n), cosine));
	if (run->cosine)
		run->cosine[n * run->classes + c] = (float)cosine;
}

/* Classes begin..end-1 of all samples; at most COLUMNS. */
static void class_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	float *out = (float *)run->call->out[0].data + begin, *cosine = run->cosine ? run->cosine + begin : NULL;
	float scale = (float)run->scale, inverse[COLUMNS];
	int64_t width = end - begin;
	(void)worker;
	for (int64_t c = begin; c < end; c++) {
		run->wnorm[c] = norm(run->w + c * run->dims, run->dims);
		inverse[c - begin] = 1 / run->wnorm[c];
	}
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)run->rows, (int)width, (int)run->dims, 1, run->x,
	            (int)run->dims, run->w + begin * run->dims, (int)run->dims, 0, out, (int)run->classes);
	for (int64_t n = 0; n < run->rows; n++) {
		float *y = out + n * run->classes, length = 1 / run->xnorm[n];
		int64_t label = phiz_margin_class(run->call, n);
		for (int64_t c = 0; c < width; c++)
			y[c] *= length * inverse[c];
		for (int64_t c = 0; cosine && c < width; c++)
			cosine[n * run->classes + c] = y[c];
		for (int64_t c = 0; c < width; c++)
			y[c] *= scale;
		if (label >= begin && label < end)
			put_label(run, n, label);
	}
}

static enum phiz_status forward(struct phiz_call *call)
{
	struct margin_run run;
	char *room = call->workspace;

	if (phiz_margin_check_labels(call))
		return PHIZ_E_ARG;
	prepare(&run, call);
	if (!run.xnorm)
		run.xnorm = (float *)(void *)room;
	if (!run.wnorm)
		run.wnorm = (float *)(void *)(room + rounded(run.rows, sizeof(float)));
	phiz_parallel_for(call->ctx, run.rows, ROWS, xnorm_pieces, &run);
	phiz_parallel_for(call->ctx, run.classes, COLUMNS, class_pieces, &run);
	return PHIZ_OK;
}

/* --- Backward --- */

/* f of some samples and the block's classes; adds to the samples' sums. */
static void before_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	const float *wnorm = run->wnorm + run->first;
	(void)worker;
	for (int64_t n = begin; n < end; n++) {
		const float *dy = (const float *)run->call->dout[0].data + n * run->classes + run->first;
		const float *cosine = run->cosine + n * run->classes + run->first;
		float *f = run->f + n * run->width, share = (float)(run->scale / (double)run->xnorm[n]);
		int64_t label = phiz_margin_class(run->call, n) - run->first;
		for (int64_t c = 0; c < run->width; c++)
			f[c] = dy[c] * share / wnorm[c];
		run->row_sum[n] += run->scale * dot(dy, cosine, run->width);
		if (label < 0 || label >= run->width)
			continue;
		double e = run->scale * (double)dy[label];
		double slope = phiz_margin_slope(run->call, share_of(run, n), (double)cosine[label]);
		f[label] = (float)(e * slope / ((double)run->xnorm[n] * (double)wnorm[label]));
		run->row_sum[n] += e * (slope - 1) * (double)cosine[label];
	}
}

/* row[0..n-1] -= share own[0..n-1] */
static void take_off(float *row, const float *own, double share, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		row[i] = (float)((double)row[i] - share * (double)own[i]);
}

/* dw of the block's classes begin..end-1, at most COLUMNS. Their sums of e c: e is f |x| |w|. */
static void dw_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	float *dw = run->dw + (run->first + begin) * run->dims;
	double sum[COLUMNS] = {0};
	(void)worker;
	for (int64_t n = 0; n < run->rows; n++) {
		const float *f = run->f + n * run->width, *cosine = run->cosine + n * run->classes + run->first;
		double length = (double)run->xnorm[n];
		for (int64_t c = begin; c < end; c++)
			sum[c - begin] += length * (double)f[c] * (double)cosine[c];
	}
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(end - begin), (int)run->dims, (int)run->rows, 1,
	            run->f + begin, (int)run->width, run->x, (int)run->dims,
	            phiz_adds(run->call, PHIZ_MARGIN_WEIGHT) ? 1 : 0, dw, (int)run->dims);
	for (int64_t c = begin; c < end; c++, dw += run->dims)
		take_off(dw, run->w + (run->first + c) * run->dims, sum[c - begin] / (double)run->wnorm[run->first + c],
		         run->dims);
}

/* What the block gives to dims begin..end-1 of dx. */
static void dx_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	bool add = run->first > 0 || phiz_adds(run->call, PHIZ_MARGIN_INPUT);
	(void)worker;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)run->rows, (int)(end - begin), (int)run->width, 1,
	            run->f, (int)run->width, run->w + run->first * run->dims + begin, (int)run->dims, add ? 1 : 0,
	            run->dx + begin, (int)run->dims);
}

static void dx_own_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct margin_run *run = arg;
	(void)worker;
	for (int64_t n = begin; n < end; n++) {
		double length = (double)run->xnorm[n];
		take_off(run->dx + n * run->dims, run->x + n * run->dims, run->row_sum[n] / (length * length), run->dims);
	}
}

static enum phiz_status backward(struct phiz_call *call)
{
	struct margin_run run;

	if (!call->dout[0].data)
		return PHIZ_OK;
	prepare(&run, call);
	run.row_sum = (double *)(void *)call->workspace;
	run.f = (float *)(void *)((char *)call->workspace + rounded(run.rows, sizeof(double)));
	for (int64_t n = 0; n < run.rows; n++)
		run.row_sum[n] = 0;
	for (run.first = 0; run.first < run.classes; run.first += BLOCK) {
		run.width = run.classes - run.first < BLOCK ? run.classes - run.first : BLOCK;
		phiz_parallel_for(call->ctx, run.rows, ROWS, before_pieces, &run);
		if (run.dw)
			phiz_parallel_for(call->ctx, run.width, COLUMNS, dw_pieces, &run);
		if (run.dx)
			phiz_parallel_for(call->ctx, run.dims, COLUMNS, dx_pieces, &run);
	}
	if (run.dx)
		phiz_parallel_for(call->ctx, run.rows, ROWS, dx_own_pieces, &run);
	return PHIZ_OK;
}

const struct phiz_kernel phiz_cpu_margin_linear_f32_openblas = {
	.op = "margin_linear", .name = "openblas", .dtype = PHIZ_F32, .supports = supports,
	.workspace = workspace, .forward = forward, .backward = backward,
};
