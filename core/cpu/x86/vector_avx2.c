/* The vector kernels with AVX2. */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_f32_avx2
#define PHIZ_VECTOR_TEXT "vector.avx2"
#define PHIZ_VECTOR_FEATURES PHIZ_CPU_AVX2

#include "core/cpu/vector/all.h"
