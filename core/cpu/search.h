/* Exact search: the rows of a matrix with the largest products with a query, at the speed of memory. */
#ifndef PHIZ_CPU_SEARCH_H
#define PHIZ_CPU_SEARCH_H

#include <stdint.h>

#include <phiz/ctx.h>

/* Rows start at multiples of so many floats, and what lies between the end of a row and the next is zero. */
enum { PHIZ_SEARCH_LANES = 16 };

/* out[i] = sum over d < stride of rows[i * stride + d] * query[d], 0 <= i < n. rows: n x stride, query: stride floats;
 * both 64-byte aligned. Accumulates in float. Nothing may alias. */
typedef void (*phiz_dots_fn)(const float *rows, int64_t n, int64_t stride, const float *query, float *out);

void phiz_dots_reference(const float *rows, int64_t n, int64_t stride, const float *query, float *out);
void phiz_dots_avx2(const float *rows, int64_t n, int64_t stride, const float *query, float *out);
void phiz_dots_avx512(const float *rows, int64_t n, int64_t stride, const float *query, float *out);
void phiz_dots_neon(const float *rows, int64_t n, int64_t stride, const float *query, float *out);

/* Reads all of it and does next to nothing else; the xor of its 64-bit words. size: a multiple of 64, data aligned to
 * 64. What a search is held against. */
typedef uint64_t (*phiz_sweep_fn)(const void *data, size_t size);
uint64_t phiz_sweep_reference(const void *data, size_t size);
uint64_t phiz_sweep_avx2(const void *data, size_t size);
uint64_t phiz_sweep_avx512(const void *data, size_t size);
uint64_t phiz_sweep_neon(const void *data, size_t size);

/* The fastest that this processor has and PHIZ_CPU allows. ARG for a bad PHIZ_CPU. Either may be NULL. */
enum phiz_status phiz_search_choose(struct phiz_ctx *ctx, phiz_dots_fn *dots, phiz_sweep_fn *sweep);

/* dim rounded up to whole lanes. */
int64_t phiz_search_stride(int64_t dim);

struct phiz_hit {
	int64_t row;
	float dot;
};

/* The min(k, n) rows with the largest products, largest first; of equal ones the lower row first. NaN counts as lower
 * than all. rows and query as above. On all of the context's threads; the hits do not depend on how many they are.
 * *count says how many were written to out (room for k). NOMEM, ARG (a bad PHIZ_CPU, k < 1). */
enum phiz_status phiz_search_top(struct phiz_ctx *ctx, const float *rows, int64_t n, int64_t stride, const float *query,
                                 int64_t k, struct phiz_hit *out, int64_t *count);

/* Reads n x stride floats on all threads, piece by piece as the search does: what memory gives. */
enum phiz_status phiz_search_sweep(struct phiz_ctx *ctx, const float *rows, int64_t n, int64_t stride, uint64_t *out);

#endif
