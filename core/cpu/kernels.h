/* The kernel table of the CPU backend: one row per kernel, in kernels.def. */
#ifndef PHIZ_CPU_KERNELS_H
#define PHIZ_CPU_KERNELS_H

#include <phiz/op.h>

#define PHIZ_KERNEL(name) extern const struct phiz_kernel phiz_cpu_##name;
#include "core/cpu/kernels.def"
#undef PHIZ_KERNEL

/* The rows from the slowest to the fastest; the last that fits a call is the one that runs. For tests, which hold each
 * row against the operator's reference kernel. */
int phiz_cpu_kernel_count(void);
const struct phiz_kernel *phiz_cpu_kernel_at(int i);

#endif
