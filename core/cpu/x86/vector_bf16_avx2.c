/* The vector kernels for bf16 with AVX2. */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_bf16_avx2
#define PHIZ_VECTOR_TEXT "bf16.vector.avx2"
#define PHIZ_VECTOR_FEATURES PHIZ_CPU_AVX2
#define PHIZ_VECTOR_BF16

#include "core/cpu/vector/all.h"
