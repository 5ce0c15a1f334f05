/* Convolutions and linear layers without cuDNN and cuBLAS, as launches on a stream (see kernels.h): for devices whose
 * memory the libraries would fill, written for a Jetson Nano's Maxwell (sm_53). Pictures lie plain (NCHW), weights as
 * the packing functions here leave them. dtype T is that of the arithmetic, F32 or F16; x and y are of T or F32. In
 * F16 numbers are multiplied in pairs (half2) and short sums kept in F16, all longer sums in float. */
#ifndef PHIZ_CUDA_KERNELS_LEAN_H
#define PHIZ_CUDA_KERNELS_LEAN_H

#include <stddef.h>

#include "core/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y [N,K,P,Q] = act(sum over c, r, s of x [N,C,H,W] at (c, p * stride_h - pad_top + r * dilation_h, ...) * w
 * [K,C/groups,R,S] + bias [K] + residual [N,K,P,Q]); what lies outside of x counts as 0. C*H*W and K*P*Q are below
 * 2^31, as are N*P*Q and R, S, pads and dilated filters below 2^15. y may be the residual, and nothing else. */
struct phiz_cuda_lean_conv {
	const void *x, *residual; /* residual: of y's dtype, or NULL */
	void *y;
	int x_dtype, y_dtype, dtype; /* enum phiz_dtype */
	int64_t n;
	int c, h, w, k, p, q, r, s;
	int stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
	const void *weights; /* packed */
	const float *bias;   /* or NULL */
	int act;             /* enum phiz_act */
	float slope;
};

/* The sum's terms in the order of (c, r, s), two by two; the last may have a zero beside it. 1x1 convolutions without
 * padding have no taps. Bytes of what a convolution keeps: packed weights, behind them its taps. */
size_t phiz_cuda_lean_weight_bytes(const struct phiz_cuda_lean_conv *v);
/* Makes them from w [K,C/groups,R,S], f32. */
int phiz_cuda_lean_pack(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream);
int phiz_cuda_lean_run(const struct phiz_cuda_lean_conv *v, void *stream);

/* Depthwise (groups = C, K a multiple of it) with filters that fit: another kernel. weights: w itself, f32. */
bool phiz_cuda_lean_is_depthwise(const struct phiz_cuda_lean_conv *v);
int phiz_cuda_lean_run_depthwise(const struct phiz_cuda_lean_conv *v, void *stream);

/* Winograd's F(2x2, 3x3) of 3x3 filters with stride 1, without dilation and groups: what it keeps of w [K,C,3,3] f32,
 * and what it takes beside x and y in a run. pack_points is for the packing alone. */
size_t phiz_cuda_lean_winograd_weight_bytes(const struct phiz_cuda_lean_conv *v);
int phiz_cuda_lean_winograd_pack(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream);
size_t phiz_cuda_lean_winograd_workspace(const struct phiz_cuda_lean_conv *v);
int phiz_cuda_lean_run_winograd(const struct phiz_cuda_lean_conv *v, void *workspace, void *stream);
int phiz_cuda_lean_pack_points(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream);

/* y [N,G] = act(x [N,F] w^T [F,G] + bias [G]): w [G,F] of dtype T, x of T, y of T or F32. */
struct phiz_cuda_lean_linear {
	const void *x, *w;
	void *y;
	int dtype, y_dtype;
	int64_t n, f, g;
	const float *bias;
	int act;
	float slope;
};
int phiz_cuda_lean_run_linear(const struct phiz_cuda_lean_linear *l, void *stream);

#ifdef __cplusplus
}
#endif
#endif
