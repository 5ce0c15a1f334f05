/* What cuDNN and cuBLAS do not give, as launches on a stream. C linkage, no CUDA types but the stream, which is a
 * pointer. Elements are computed in float whatever they are stored as; dtypes are F32, F16 and BF16. Each gives a
 * cudaError_t, 0 where the launch went well. */
#ifndef PHIZ_CUDA_KERNELS_H
#define PHIZ_CUDA_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A picture as kernels see it: element (n, c, h, w) at n * stride[0] + c * stride[1] + h * stride[2] + w *
 * stride[3]. */
struct phiz_cuda_picture {
	void *data;
	int dtype; /* enum phiz_dtype */
	int64_t dim[4], stride[4];
};

/* to[n,c,h,w] (+)= from[n,c,h,w], between any two layouts and dtypes. */
int phiz_cuda_copy(const struct phiz_cuda_picture *from, const struct phiz_cuda_picture *to, bool add, void *stream);

/* y[i] = act(x[i] + bias[c] + z[i]), c = i / inner % channels, for `count` elements that lie alike; bias and z may be
 * absent. slopes given: act is PReLU with slopes[c % n_slopes]. x, y, z are of `dtype`; the others f32. y may be x or
 * z. */
struct phiz_cuda_pointwise {
	const void *x, *z;
	void *y;
	int dtype;
	int64_t count, inner, channels;
	const float *bias, *slopes;
	int64_t n_slopes;
	int act; /* enum phiz_act */
	float slope;
};
int phiz_cuda_run_pointwise(const struct phiz_cuda_pointwise *p, void *stream);

/* The largest or the mean of a window; the mean counts padding where include_pad, else what is inside. Windows are cut
 * to the picture (and, for include_pad, to its padding). */
struct phiz_cuda_pool {
	struct phiz_cuda_picture in, out;
	int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
	bool mean, include_pad;
};
int phiz_cuda_run_pool(const struct phiz_cuda_pool *p, void *stream);

#ifdef __cplusplus
}
#endif
#endif
