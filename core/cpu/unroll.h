/* Sums in arrays come to lie in registers only where the loops over them are unrolled early, which older compilers have
 * no word for. */
#ifndef PHIZ_CPU_UNROLL_H
#define PHIZ_CPU_UNROLL_H

#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_4 _Pragma("GCC unroll 4")
#else
#define UNROLL
#define UNROLL_4
#endif

#endif
