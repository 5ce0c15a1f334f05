/* The vector kernels for bf16 with what every processor of this architecture has (SSE2, NEON). */
#define PHIZ_VECTOR_ROW(op) phiz_cpu_##op##_bf16_vector
#define PHIZ_VECTOR_TEXT "bf16.vector"
#define PHIZ_VECTOR_FEATURES 0
#define PHIZ_VECTOR_BF16

#include "core/cpu/vector/all.h"
