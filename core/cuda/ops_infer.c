/* Rows of the kernel table for operators that only run forward. */
#include "core/cuda/row.h"

#include "core/cuda/kernels_infer.h"
#include "core/ops/ops.h"

/* --- normalize_bytes: bytes, whatever the plan's precision is, into a picture of the row's dtype --- */

static enum phiz_status normalize_bytes(struct phiz_call *call)
{
	const union phiz_attr *a = call->node->attr;
	struct phiz_cuda_normalize p = {
		.x = call->in[0].data, .erased = data_of(call, PHIZ_NORMALIZE_ERASED),
		.y = phiz_cuda_picture_of(&call->out[0]),
	};
	for (int c = 0; c < 3; c++) {
		p.mean[c] = (float)a[PHIZ_NORMALIZE_MEAN + c].f;
		p.std[c] = (float)a[PHIZ_NORMALIZE_STD + c].f;
	}
	return started(call, phiz_cuda_run_normalize(&p, phiz_cuda_of(call)->stream));
}

#define NORMALIZE(dtype_) {.op = "normalize_bytes", .name = "cuda", .dtype = dtype_, .forward = normalize_bytes, \
                           .blocked = true}
const struct phiz_kernel phiz_cuda_normalize_bytes[3] = {NORMALIZE(PHIZ_U8), NORMALIZE(PHIZ_F16), NORMALIZE(PHIZ_BF16)};
