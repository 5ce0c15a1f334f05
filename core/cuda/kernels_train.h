/* What training adds to kernels.h: batch norm on the batch's statistics, gradients, losses, the optimiser's step. As
 * there: launches on a stream, each gives a cudaError_t; elements are computed in float, sums over many of them are
 * finished in double, always in the same order. */
#ifndef PHIZ_CUDA_KERNELS_TRAIN_H
#define PHIZ_CUDA_KERNELS_TRAIN_H

#include <phiz/update.h>

#include "core/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor as [outer, channels, inner]: element (o, c, i) at (o * channels + c) * inner + i. Channels last: inner 1. */
struct phiz_cuda_lines {
	int64_t outer, channels, inner;
};

/* Bytes that sums over outer and inner take beside their result. */
size_t phiz_cuda_sum_workspace(const struct phiz_cuda_lines *l);

/* batch_norm: y = act(xhat * weight[c] + bias[c]), xhat = (x - mean[c]) * invstd[c]; weight and bias may be NULL. */
struct phiz_cuda_norm {
	const void *x;
	void *y; /* backward: the output, which is read where act is */
	int dtype;
	struct phiz_cuda_lines lines;
	const float *weight, *bias;
	float *mean, *invstd;                 /* [channels]; forward on the batch's statistics writes them */
	float *running_mean, *running_var;    /* forward: moved where batch, else read into mean and invstd */
	float eps, momentum;
	bool batch;                           /* the batch's statistics, else the running ones */
	int act;
	float slope;
	/* Backward, e = dy * act'(y): db = sum e, dw = sum e * xhat, dx = weight * invstd * (e - (db + xhat * dw) / m), or
	 * without what is in the bracket behind e where not batch. Each may be NULL, or is added to. dx may be dy. */
	const void *dy;
	void *dx;
	float *dw, *db;
	bool add_dx, add_dw, add_db;
	void *workspace; /* phiz_cuda_sum_workspace, and 2 * channels floats */
};
int phiz_cuda_norm_forward(const struct phiz_cuda_norm *p, void *stream);
int phiz_cuda_norm_backward(const struct phiz_cuda_norm *p, void *stream);

/* sum[c] (+)= sum over outer and inner of x. */
int phiz_cuda_channel_sum(const void *x, int dtype, const struct phiz_cuda_lines *l, float *sum, bool add,
                          void *workspace, void *stream);

/* dx (+)= act'(y) * dy; act is PHIZ_ACT_RELU, or leaky with `slope`. dx may be dy. */
int phiz_cuda_act_backward(const void *y, const void *dy, void *dx, int dtype, int64_t count, int act, float slope,
                           bool add, void *stream);
/* y = act(a + b), or act(a) where b is NULL. y may be either. */
int phiz_cuda_act_forward(const void *a, const void *b, void *y, int dtype, int64_t count, int act, float slope,
                          void *stream);
/* PReLU, y = x > 0 ? x : x * slopes[c % n_slopes]: dx (+)= ..., dslopes (+)= sum over x <= 0 of dy * x. Either may be
 * NULL. workspace: phiz_cuda_sum_workspace and channels floats. */
struct phiz_cuda_prelu {
	const void *x, *dy;
	void *dx;
	int dtype;
	struct phiz_cuda_lines lines;
	const float *slopes;
	float *dslopes;
	int64_t n_slopes; /* 1 or channels */
	bool add_dx, add_slopes;
	void *workspace;
};
int phiz_cuda_prelu_backward(const struct phiz_cuda_prelu *p, void *stream);

/* max_pool2d: `choice` [of out, in its order] is h * W + w of the first largest; backward sums dout over the windows
 * that chose an element. In and out lie alike. */
int phiz_cuda_max_pool_forward(const struct phiz_cuda_pool *p, int32_t *choice, void *stream);
int phiz_cuda_max_pool_backward(const struct phiz_cuda_pool *p, const int32_t *choice, bool add, void *stream);
/* global_avg_pool: din = dout / (H * W), in `in`'s layout. */
int phiz_cuda_mean_backward(const struct phiz_cuda_picture *din, const struct phiz_cuda_picture *dout, bool add,
                            void *stream);

/* softmax_cross_entropy (core/ops/softmax_cross_entropy.c), all f32; sample [n][2]: its loss and its weight. */
struct phiz_cuda_cross_entropy {
	int64_t n, classes;
	const float *logits, *class_weight, *lambda;
	const int32_t *labels, *labels_b;
	float *p, *sum;  /* saved; NULL: not wanted */
	float *loss;
	float smoothing;
	bool allow_none;
	float *sample;   /* workspace: 2 * n floats */
	const float *dloss;
	float *dlogits;  /* backward */
	bool add;
};
int phiz_cuda_cross_entropy_forward(const struct phiz_cuda_cross_entropy *p, void *stream);
int phiz_cuda_cross_entropy_backward(const struct phiz_cuda_cross_entropy *p, void *stream);

/* The optimiser's step. param and piece are on the device; piece i is elements [piece[i].first, + PHIZ_CUDA_PIECE) of
 * parameter piece[i].param. partial: a double a piece; norm: one double. */
enum { PHIZ_CUDA_PIECE = 16384 };
struct phiz_cuda_piece {
	int64_t first;
	int32_t param;
};
struct phiz_cuda_step {
	struct phiz_update update; /* its `param` is the device's */
	const struct phiz_cuda_piece *piece;
	int64_t pieces;
	double *partial, *norm;
};
int phiz_cuda_run_step(const struct phiz_cuda_step *s, void *stream);
int phiz_cuda_average(const struct phiz_average_pair *pair, const struct phiz_cuda_piece *piece, int64_t pieces,
                      float keep, float take, void *stream);

#ifdef __cplusplus
}
#endif
#endif
