/* resize_nearest of blocked pictures: the channels of a pixel are copied as one. The formula stands in core/ops.
 * Nothing may alias. */
#include "core/cpu/vector/vector.h"

static void blocked_resize_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const int64_t by_h = call->node->attr[PHIZ_RESIZE_SCALE_H].i, by_w = call->node->attr[PHIZ_RESIZE_SCALE_W].i;
	(void)worker;
	for (int64_t row = begin; row < end; row++) { /* of image, block, output row */
		const element *from = input_of(call, 0) + (row / out[2] * in[2] + row % out[2] / by_h) * in[3] * BLOCK;
		element *to = (element *)call->out[0].data + row * out[3] * BLOCK;
		for (int64_t w = 0; w < in[3]; w++, from += BLOCK)
			for (int64_t j = 0; j < by_w; j++, to += BLOCK)
				memcpy(to, from, BLOCK * sizeof *to);
	}
}

static enum phiz_status blocked_resize_forward(struct phiz_call *call)
{
	const int64_t *out = call->out[0].shape.dim;
	phiz_parallel_for(call->ctx, out[0] * out[1] / BLOCK * out[2], larger(GRAIN / (out[3] * BLOCK), 1),
	                  blocked_resize_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_resize_nearest) = {
	PHIZ_VECTOR_KERNEL_NAMED("resize_nearest", "blocked"), .supports = both_blocked, .forward = blocked_resize_forward,
	.blocked = true,
};
