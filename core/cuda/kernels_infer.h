/* Kernels of operators that only run forward (kernels.h says how they are called). */
#ifndef PHIZ_CUDA_KERNELS_INFER_H
#define PHIZ_CUDA_KERNELS_INFER_H

#include "core/cuda/kernels.h"

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

#ifdef __cplusplus
}
#endif
#endif
