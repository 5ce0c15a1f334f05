/* Kernels that the compiler vectorises: plain C, compiled once for each instruction set (vector_base.c,
 * x86/vector_avx2.c, x86/vector_avx512.c include every file of this folder after defining the macros below), and those
 * for blocked tensors once more for activations of bf16 (vector_bf16.c and the like).
 *
 *   PHIZ_VECTOR_ROW(op)   name of the op's row in the kernel table: phiz_cpu_OP_f32_avx2
 *   PHIZ_VECTOR_TEXT      "vector.avx2"
 *   PHIZ_VECTOR_FEATURES  PHIZ_CPU_AVX2
 *   PHIZ_VECTOR_BF16      defined: activations and their gradients are bf16; sums and parameters float all the same
 *
 * They give the same bits on every instruction set and for any number of threads: long sums run in 64 lanes side by
 * side whatever the width of a register, and no multiply-add is fused. */
#ifndef PHIZ_CPU_VECTOR_H
#define PHIZ_CPU_VECTOR_H

#include <math.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/cpu/bf16.h"
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

/* An element of an activation or of its gradient, and how many channels of them stand side by side. */
#if defined(PHIZ_VECTOR_BF16)
typedef uint16_t element;
enum { BLOCK = PHIZ_BF16_BLOCK };
#define PHIZ_VECTOR_DTYPE PHIZ_BF16
#else
typedef float element;
enum { BLOCK = PHIZ_BLOCK };
#define PHIZ_VECTOR_DTYPE PHIZ_F32
#endif

/* Elements of an elementwise loop that a thread takes at a time. */
#define GRAIN 16384

/* The start of a row of the kernel table. */
#define PHIZ_VECTOR_KERNEL(op_name) \
	.op = op_name, .name = PHIZ_VECTOR_TEXT, .dtype = PHIZ_VECTOR_DTYPE, .features = PHIZ_VECTOR_FEATURES

/* The same for a row that does something else than the op's first: "blocked.vector.avx2". */
#define PHIZ_VECTOR_KERNEL_NAMED(op_name, what) \
	.op = op_name, .name = what "." PHIZ_VECTOR_TEXT, .dtype = PHIZ_VECTOR_DTYPE, .features = PHIZ_VECTOR_FEATURES

/* 16 floats; lowered to what the processor has. */
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));

/* A vector as wide as the processor's registers, which compilers keep there; PARTS of them are the channels of a
 * pixel of a blocked picture. */
#if defined(__AVX512F__)
enum { VEC = 16 };
#elif defined(__AVX__)
enum { VEC = 8 };
#else
enum { VEC = 4 };
#endif
enum { PARTS = BLOCK / VEC };
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

typedef uint32_t vec_bits __attribute__((vector_size(VEC * 4)));

/* VEC numbers of bf16. Stored, they are rounded to nearest even, and NaN stays NaN. */
INLINE vec vec_load_bf16(const uint16_t *p)
{
#if defined(__AVX512F__)
	return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16);
#elif defined(__AVX2__)
	return (vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16);
#else
	float f[VEC];
	for (int l = 0; l < VEC; l++)
		f[l] = phiz_bf16_float(p[l]);
	return vec_load(f);
#endif
}

INLINE void vec_store_bf16(uint16_t *p, vec v)
{
	vec_bits bits = (vec_bits)v, rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, quiet = bits >> 16 | 0x40u;
	rounded = (vec_bits)vec_pick(v != v, (vec)quiet, (vec)rounded);
#if defined(__AVX512F__)
	_mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16((__m512i)rounded));
#elif defined(__AVX2__)
	__m256i both = _mm256_packus_epi32((__m256i)rounded, (__m256i)rounded);
	_mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(both, 0x08)));
#else
	for (int l = 0; l < VEC; l++)
		p[l] = (uint16_t)rounded[l];
#endif
}

/* VEC elements, and one. */
INLINE vec vec_get(const element *p)
{
#if defined(PHIZ_VECTOR_BF16)
	return vec_load_bf16(p);
#else
	return vec_load(p);
#endif
}

INLINE void vec_put(element *p, vec v)
{
#if defined(PHIZ_VECTOR_BF16)
	vec_store_bf16(p, v);
#else
	vec_store(p, v);
#endif
}

INLINE float wide(element x)
{
#if defined(PHIZ_VECTOR_BF16)
	return phiz_bf16_float(x);
#else
	return x;
#endif
}

INLINE element narrow(float x)
{
#if defined(PHIZ_VECTOR_BF16)
	return phiz_bf16_of(x);
#else
	return x;
#endif
}

INLINE const element *input_of(const struct phiz_call *call, int i)
{
	return i < call->n_in ? call->in[i].data : NULL;
}

INLINE element *gradient_of(const struct phiz_call *call, int i)
{
	return i < call->n_in ? call->din[i].data : NULL;
}

/* The output, and all inputs of its shape, are of the file's dtype and lie alike. */
INLINE bool all_alike(const struct phiz_call *call)
{
	for (int i = 0; i < call->n_in; i++)
		if (phiz_shape_equal(&call->in[i].shape, &call->out[0].shape) && call->in[i].dtype != PHIZ_VECTOR_DTYPE)
			return false;
	return call->out[0].dtype == PHIZ_VECTOR_DTYPE && phiz_call_same_layout(call);
}

/* Pictures of whole blocks of channels that have one pixel lie the same either way. */
INLINE bool lies_blocked(const struct phiz_tensor *t)
{
	return t->layout == PHIZ_BLOCKED || t->shape.dim[2] * t->shape.dim[3] == 1;
}

/* Input and output are of the file's dtype and blocked. */
INLINE bool both_blocked(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED && call->out[0].layout == PHIZ_BLOCKED &&
	       call->in[0].dtype == PHIZ_VECTOR_DTYPE && call->out[0].dtype == PHIZ_VECTOR_DTYPE;
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
