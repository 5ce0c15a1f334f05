/* Kernels of operators that mostly run forward only: what pictures begin with and what detectors end with (kernels.h
 * says how they are called). */
#ifndef PHIZ_CUDA_KERNELS_INFER_H
#define PHIZ_CUDA_KERNELS_INFER_H

#include "core/cuda/kernels_train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[n,c,h,w] = (x / 255 - mean[c]) / std[c], in float and in this order, so that F32 has the host's bits; 0 where
 * (w, h) is in the box of sample n, erased[4n..] = x, y, width, height (NULL: nowhere). x: bytes [n, 3, h, w]. */
struct phiz_cuda_normalize {
	const unsigned char *x;
	const int32_t *erased;
	struct phiz_cuda_picture y; /* of 3 channels */
	float mean[3], std[3];
};
int phiz_cuda_run_normalize(const struct phiz_cuda_normalize *p, void *stream);

/* Elements by index: i_0..i_(ndim-1) below `dim`, that of x at sum_d i_d * stride[0][d], of y at stride[1][d], and of
 * further operands at stride[2..]. 0 in a stride: repeated. */
enum { PHIZ_CUDA_DIMS = 6, PHIZ_CUDA_WALKERS = 4 };
struct phiz_cuda_walk {
	int ndim;
	int64_t dim[PHIZ_CUDA_DIMS], stride[PHIZ_CUDA_WALKERS][PHIZ_CUDA_DIMS];
};

/* y = x, each at its place: permute, slice, concat and resize_nearest, in their own strides. */
int phiz_cuda_move(const struct phiz_cuda_walk *walk, const void *x, void *y, int dtype, void *stream);

/* y = x * scale + shift in float; scale and shift, f32, walk third and fourth and may be NULL. */
struct phiz_cuda_affine {
	struct phiz_cuda_walk walk;
	const void *x;
	void *y;
	int dtype;
	const float *scale, *shift;
};
int phiz_cuda_run_affine(const struct phiz_cuda_affine *p, void *stream);

/* y[i] = f(x[i]) in float; y may be x. */
enum phiz_cuda_unary { PHIZ_CUDA_SIGMOID /* 1 / (1 + exp(-x)) */, PHIZ_CUDA_EXP };
int phiz_cuda_run_unary(enum phiz_cuda_unary f, const void *x, void *y, int dtype, int64_t count, void *stream);

/* y[o,c,i] = exp(x[o,c,i] - m) / sum_k exp(x[o,k,i] - m), m the largest of the line; plain [outer, channels, inner],
 * sums in float. A block a line of more than 32, else a thread. y may be x. */
int phiz_cuda_run_softmax(const struct phiz_cuda_lines *lines, const void *x, void *y, int dtype, void *stream);

/* y[o,c,i] = x[o,c,i] / max(r, eps), r[o,i] = sqrt(sum_c x[o,c,i]^2); plain, sums in float; norm [outer, inner], where
 * r is kept, or NULL. A block a line. Backward: dx (+)= (dy - y * sum_c dy y) / r where r >= eps, else dy / eps. y may
 * be x, dx dy. */
struct phiz_cuda_l2 {
	struct phiz_cuda_lines lines;
	const void *x, *dy;
	void *y, *dx;
	float *norm;
	int dtype;
	float eps;
	bool add;
};
int phiz_cuda_l2_forward(const struct phiz_cuda_l2 *p, void *stream);
int phiz_cuda_l2_backward(const struct phiz_cuda_l2 *p, void *stream);

#ifdef __cplusplus
}
#endif
#endif
