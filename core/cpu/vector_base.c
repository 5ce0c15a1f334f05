/* The vector kernels with what every processor of this architecture has (SSE2, NEON). */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_f32_vector
#define PHIZ_VECTOR_TEXT "vector"
#define PHIZ_VECTOR_FEATURES 0

#include "core/cpu/vector/all.h"
