/* What the kernels for plain and for blocked tensors share. */
#ifndef PHIZ_CPU_VECTOR_SHARED_H
#define PHIZ_CPU_VECTOR_SHARED_H

#include "core/cpu/vector/vector.h"

/* --- batch_norm --- */

enum { BN_MEAN, BN_INVSTD };

INLINE int64_t bn_plane(const struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim;
	return dim[2] * dim[3];
}

INLINE bool bn_uses_batch(const struct phiz_call *call)
{
	return call->training && !call->node->attr[PHIZ_BATCH_NORM_FROZEN].i;
}

INLINE void bn_move_running(struct phiz_call *call, int64_t c, double mean, double var)
{
	double m = (double)(call->in[PHIZ_BATCH_NORM_INPUT].shape.dim[0] * bn_plane(call));
	double momentum = call->node->attr[PHIZ_BATCH_NORM_MOMENTUM].f;
	float *running_mean = call->in[PHIZ_BATCH_NORM_MEAN].data, *running_var = call->in[PHIZ_BATCH_NORM_VAR].data;
	running_mean[c] = (float)((1 - momentum) * (double)running_mean[c] + momentum * mean);
	running_var[c] = (float)((1 - momentum) * (double)running_var[c] + momentum * var * (m / (m - 1)));
}

/* --- pooling --- */

struct pool {
	int64_t planes, h, w, p, q; /* planes: N * C */
	int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
};

INLINE struct pool pool_of(const struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const union phiz_attr *a = call->node->attr;
	struct pool d = {in[0] * in[1], in[2], in[3], out[2], out[3], a[PHIZ_POOL_KERNEL_H].i, a[PHIZ_POOL_KERNEL_W].i,
	                 a[PHIZ_POOL_STRIDE_H].i, a[PHIZ_POOL_STRIDE_W].i, a[PHIZ_POOL_PAD_H].i, a[PHIZ_POOL_PAD_W].i};
	return d;
}

/* The part of window o of an axis that lies inside the input, and how many places it divides by. */
INLINE void avg_window(int64_t o, int64_t stride, int64_t pad, int64_t kernel, int64_t size, bool count_pad,
                       int64_t *begin, int64_t *end, int64_t *places)
{
	int64_t first = o * stride - pad, last = smaller(first + kernel, size + pad);
	*begin = larger(first, 0);
	*end = smaller(last, size);
	*places = count_pad ? last - first : *end - *begin;
}

INLINE int64_t global_area(const struct phiz_call *call)
{
	return call->in[0].shape.dim[2] * call->in[0].shape.dim[3];
}

#endif
