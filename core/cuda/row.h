/* What the rows of the kernel table share. */
#ifndef PHIZ_CUDA_ROW_H
#define PHIZ_CUDA_ROW_H

#include "core/cuda/cuda.h"

/* What became of a kernel that the call started. */
static inline enum phiz_status started(const struct phiz_call *call, int error)
{
	return phiz_cuda_check(call->ctx, error, "starting a kernel");
}

/* The input's data, or NULL where it is absent. */
static inline void *data_of(const struct phiz_call *call, int input)
{
	return input < call->n_in && call->in[input].shape.ndim >= 0 ? call->in[input].data : NULL;
}

#endif
