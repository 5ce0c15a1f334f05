/* What the kernels for blocked pictures of bytes ([N, C/64, H, W, 64]) share. */
#ifndef PHIZ_CPU_VECTOR_BYTES_H
#define PHIZ_CPU_VECTOR_BYTES_H

#include "core/cpu/vector/vector.h"

enum { BYTES = PHIZ_BLOCK_BYTES };

#define PHIZ_BYTES_KERNEL(op_name) \
	.op = op_name, .name = PHIZ_VECTOR_TEXT, .dtype = PHIZ_U8, .features = PHIZ_VECTOR_FEATURES

INLINE bool is_blocked_in(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED;
}

INLINE bool is_blocked_both(const struct phiz_call *call)
{
	return is_blocked_in(call) && call->out[0].layout == PHIZ_BLOCKED;
}

struct byte_window {
	const struct phiz_call *call;
	int64_t h, w, p, q, rows, cols, stride_h, stride_w, top, left, dilation_h, dilation_w;
};

/* The taps t in [*begin, *end) whose place first + t * step lies in 0 .. size - 1. */
INLINE void byte_taps(int64_t first, int64_t step, int64_t taps, int64_t size, int64_t *begin, int64_t *end)
{
	*begin = first < 0 ? (-first + step - 1) / step : 0;
	*end = first >= size ? 0 : (size - 1 - first) / step + 1;
	*end = *end < taps ? *end : taps;
}

#endif
