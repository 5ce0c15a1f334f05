/* Depthwise convolution of bytes with AVX512-VNNI. */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_f32_vnni
#define PHIZ_VECTOR_TEXT "vector.vnni"
#define PHIZ_VECTOR_FEATURES (PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI)

#include "core/cpu/vector/depthwise_bytes.h"
