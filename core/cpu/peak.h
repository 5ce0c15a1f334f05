/* The most that this machine gives, measured: the roof that a kernel's time is held against. */
#ifndef PHIZ_CPU_PEAK_H
#define PHIZ_CPU_PEAK_H

#include <stdbool.h>
#include <stdint.h>

#include <phiz/tensor.h>

struct phiz_peak {
	const char *instructions; /* that the kernels may use here: "avx2" */
	int threads;              /* the context's */
	double gflops;            /* 2 per multiply-add: operands in registers, no memory touched */
	double gbps;              /* 1e9 bytes a second, reading what lies in no cache */
};

/* Measures both on all of the context's threads, with the widest instruction set that the processor has and PHIZ_CPU
 * allows: the best of several tries, half a second in all. dtype: of the products, F32, BF16 or U8; where there are no
 * instructions for such (or it is AMX that has them) F32's. Other work on the machine lowers what it finds. Takes up to
 * 256 MiB for the time being. NOMEM, ARG (a bad PHIZ_CPU). */
enum phiz_status phiz_peak_measure(struct phiz_ctx *ctx, enum phiz_dtype dtype, struct phiz_peak *out);

/* The share of the peak that `seconds` for so much work are: 1 is a run as fast as the machine can do it. What bounds
 * it is the slower of computing the FLOPs and moving the bytes; *by_memory says which (may be NULL). Work whose bytes
 * come out of a cache can get above 1. 0 where seconds or the work are. */
double phiz_peak_share(const struct phiz_peak *peak, double flops, double bytes, double seconds, bool *by_memory);

/* `rounds` rounds of multiply-adds x = x * factor + term in as many independent registers as hide the latency; the sum
 * of the registers, so that no compiler leaves them out. (NEON: x = x + factor * term, which is what its instruction
 * does; bf16 and bytes the same, with several products to a sum.) start: PHIZ_PEAK_FLOATS floats that differ, or equal
 * registers would be computed once. *flops: of a round. */
enum { PHIZ_PEAK_FLOATS = 12 * 16 };
typedef float (*phiz_peak_fn)(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_plain(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_avx2(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_avx512(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_avx512bf16(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_vnni(const float *start, float factor, float term, int64_t rounds, int *flops);
float phiz_peak_neon(const float *start, float factor, float term, int64_t rounds, int *flops);

#endif
