/* The vector kernels for bf16 with AVX-512. */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_bf16_avx512
#define PHIZ_VECTOR_TEXT "bf16.vector.avx512"
#define PHIZ_VECTOR_FEATURES PHIZ_CPU_AVX512
#define PHIZ_VECTOR_BF16

#include "core/cpu/vector/all.h"
