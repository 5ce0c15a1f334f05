/* Kernels that the compiler vectorises: plain C, compiled once for each instruction set (vector_base.c,
 * x86/vector_avx2.c, x86/vector_avx512.c include every file of this folder after defining the two macros below).
 *
 *   PHIZ_VECTOR_ROW(op)   name of the op's row in the kernel table: phiz_cpu_OP_f32_avx2
 *   PHIZ_VECTOR_TEXT      "vector.avx2"
 *   PHIZ_VECTOR_FEATURES  PHIZ_CPU_AVX2
 *
 * They give the same bits on every instruction set and for any number of threads: long sums run in 64 lanes side by
 * side whatever the width of a register, and no multiply-add is fused. */
#ifndef PHIZ_CPU_VECTOR_H
#define PHIZ_CPU_VECTOR_H

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/cpu/unroll.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#if !defined(PHIZ_VECTOR_ROW) || !defined(PHIZ_VECTOR_TEXT) || !defined(PHIZ_VECTOR_FEATURES)
#error "define PHIZ_VECTOR_ROW, PHIZ_VECTOR_TEXT and PHIZ_VECTOR_FEATURES"
#endif

#define INLINE static inline __attribute__((always_inline))

/* Before a loop whose arrays are the same memory or apart, never shifted against each other: a pass may be in place. */
#if defined(__clang__)
#define IN_PLACE _Pragma("clang loop vectorize(assume_safety)")
#else
#define IN_PLACE _Pragma("GCC ivdep")
#endif

/* Elements of an elementwise loop that a thread takes at a time. */
#define GRAIN 16384

/* The start of a row of the kernel table. */
#define PHIZ_VECTOR_KERNEL(op_name) \
	.op = op_name, .name = PHIZ_VECTOR_TEXT, .dtype = PHIZ_F32, .features = PHIZ_VECTOR_FEATURES

/* The same for a row that does something else than the op's first: "blocked.vector.avx2". */
#define PHIZ_VECTOR_KERNEL_NAMED(op_name, what) \
	.op = op_name, .name = what "." PHIZ_VECTOR_TEXT, .dtype = PHIZ_F32, .features = PHIZ_VECTOR_FEATURES

/* 16 floats; lowered to what the processor has. */
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));

/* A vector as wide as the processor's registers, which compilers keep there; PARTS of them are the 16 channels of a
 * pixel of a blocked picture. */
#if defined(__AVX512F__)
enum { VEC = 16 };
#elif defined(__AVX__)
enum { VEC = 8 };
#else
enum { VEC = 4 };
#endif
enum { PARTS = PHIZ_BLOCK / VEC };
typedef float vec __attribute__((vector_size(VEC * 4)));
typedef int32_t vec_mask __attribute__((vector_size(VEC * 4)));
typedef float vec_memory __attribute__((vector_size(VEC * 4), aligned(4), may_alias));
typedef int32_t vec_mask_memory __attribute__((vector_size(VEC * 4), aligned(4), may_alias));

#define EACH_PART(v) UNROLL for (int v = 0; v < PARTS; v++)

INLINE vec vec_load(const float *p)
{
	return *(const vec_memory *)p;
}

INLINE void vec_store(float *p, vec v)
{
	*(vec_memory *)p = v;
}

/* where ? a : b, lane by lane */
INLINE vec vec_pick(vec_mask where, vec a, vec b)
{
	return (vec)(((vec_mask)a & where) | ((vec_mask)b & ~where));
}

enum { SUM_LANES = 64 };

/* Sums of 64 lanes, in double, always in this order. */
INLINE double lanes_total(const lanes part[4])
{
	lanes all = (part[0] + part[1]) + (part[2] + part[3]);
	double sum[4] = {0};
	for (int l = 0; l < 16; l += 4)
		for (int i = 0; i < 4; i++)
			sum[i] += (double)all[l + i];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

INLINE int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

INLINE int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* v before act's output y was made of it gets this gradient. */
INLINE float act_gradient(int act, float slope, float y, float g)
{
	if (act == PHIZ_ACT_RELU)
		return y <= 0 ? 0 : g;
	if (act == PHIZ_ACT_LEAKY_RELU)
		return y > 0 ? g : g * slope;
	return g;
}

INLINE float act_apply(int act, float slope, float v)
{
	if (act == PHIZ_ACT_RELU)
		return v <= 0 ? 0 : v;
	if (act == PHIZ_ACT_LEAKY_RELU)
		return v <= 0 ? v * slope : v;
	return v;
}

INLINE vec vec_act(int act, float slope, vec v)
{
	if (act == PHIZ_ACT_NONE)
		return v;
	return vec_pick(v <= (vec){0}, act == PHIZ_ACT_RELU ? (vec){0} : v * slope, v);
}

INLINE vec vec_act_gradient(int act, float slope, vec y, vec g)
{
	if (act == PHIZ_ACT_RELU)
		return vec_pick(y <= (vec){0}, (vec){0}, g);
	if (act == PHIZ_ACT_LEAKY_RELU)
		return vec_pick(y > (vec){0}, g, g * slope);
	return g;
}

/* Calls f(..., act) with a constant act, so that the loop in it has no branch. */
#define WITH_ACT(act, f, ...)                                     \
	do {                                                          \
		if ((act) == PHIZ_ACT_NONE)                               \
			f(__VA_ARGS__, PHIZ_ACT_NONE);                        \
		else if ((act) == PHIZ_ACT_RELU)                          \
			f(__VA_ARGS__, PHIZ_ACT_RELU);                        \
		else                                                      \
			f(__VA_ARGS__, PHIZ_ACT_LEAKY_RELU);                  \
	} while (0)

#endif
