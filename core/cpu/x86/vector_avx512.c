/* The vector kernels with AVX-512. */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_f32_avx512
#define PHIZ_VECTOR_TEXT "vector.avx512"
#define PHIZ_VECTOR_FEATURES PHIZ_CPU_AVX512

#include "core/cpu/vector/all.h"
