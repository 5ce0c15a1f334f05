/* Half precision for the test double of CUDA: stored in 16 bits, computed by phiz's own conversions. */
#ifndef CUDA_DOUBLE_FP16_H
#define CUDA_DOUBLE_FP16_H

#include <phiz/tensor.h>

struct __half {
	uint16_t bits;
};

static inline float __half2float(__half v) { return phiz_f16_to_f32(v.bits); }
static inline __half __float2half_rn(float v) { return {phiz_f32_to_f16(v)}; }

#endif
