/* bfloat16 for the test double of CUDA: stored in 16 bits, computed by phiz's own conversions. */
#ifndef CUDA_DOUBLE_BF16_H
#define CUDA_DOUBLE_BF16_H

#include <cuda_runtime.h>

#include <phiz/tensor.h>

#if CUDART_VERSION < 11000
#error "this version of CUDA has no cuda_bf16.h"
#endif

struct __nv_bfloat16 {
	uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 v) { return phiz_bf16_to_f32(v.bits); }
static inline __nv_bfloat16 __float2bfloat16(float v) { return {phiz_f32_to_bf16(v)}; }

#endif
