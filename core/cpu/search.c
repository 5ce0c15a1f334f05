#include "core/cpu/search.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"

enum { BLOCK = 256 }; /* rows whose products are looked through while they are in the cache */

void phiz_dots_reference(const float *rows, int64_t n, int64_t stride, const float *query, float *out)
{
	for (int64_t i = 0; i < n; i++) {
		float sum = 0;
		for (int64_t d = 0; d < stride; d++)
			sum += rows[i * stride + d] * query[d];
		out[i] = sum;
	}
}

uint64_t phiz_sweep_reference(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t part[8] = {0}, word[8];

	for (size_t i = 0; i < size; i += sizeof word) {
		memcpy(word, p + i, sizeof word);
		for (int l = 0; l < 8; l++)
			part[l] ^= word[l];
	}
	for (int l = 1; l < 8; l++)
		part[0] ^= part[l];
	return part[0];
}

int64_t phiz_search_stride(int64_t dim)
{
	return (dim + PHIZ_SEARCH_LANES - 1) / PHIZ_SEARCH_LANES * PHIZ_SEARCH_LANES;
}

enum phiz_status phiz_search_choose(struct phiz_ctx *ctx, phiz_dots_fn *dots, phiz_sweep_fn *sweep)
{
	struct phiz_cpu_choice choice;
	enum phiz_status status = phiz_cpu_choose(ctx, &choice);
	phiz_dots_fn d = phiz_dots_reference;
	phiz_sweep_fn s = phiz_sweep_reference;

	if (status)
		return status;
#if defined(__x86_64__)
	if (choice.features & PHIZ_CPU_AVX2)
		d = phiz_dots_avx2, s = phiz_sweep_avx2;
	if (choice.features & PHIZ_CPU_AVX512)
		d = phiz_dots_avx512, s = phiz_sweep_avx512;
#elif defined(__aarch64__)
	if (choice.features & PHIZ_CPU_NEON)
		d = phiz_dots_neon, s = phiz_sweep_neon;
#endif
	if (dots)
		*dots = d;
	if (sweep)
		*sweep = s;
	return PHIZ_OK;
}

/* a comes behind b. */
static bool worse(struct phiz_hit a, struct phiz_hit b)
{
	return a.dot < b.dot || (a.dot == b.dot && a.row > b.row);
}

/* A heap with the worst hit on top. */
static void sink(struct phiz_hit *heap, int64_t n, int64_t i)
{
	struct phiz_hit hit = heap[i];

	for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
		if (child + 1 < n && worse(heap[child + 1], heap[child]))
			child++;
		if (!worse(heap[child], hit))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = hit;
}

static void offer(struct phiz_hit *heap, int64_t *n, int64_t k, struct phiz_hit hit)
{
	if (isnan(hit.dot))
		hit.dot = -INFINITY;
	if (*n == k) {
		if (worse(heap[0], hit)) {
			heap[0] = hit;
			sink(heap, k, 0);
		}
		return;
	}
	int64_t i = (*n)++;
	while (i > 0 && worse(hit, heap[(i - 1) / 2])) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = hit;
}

/* Best first. */
static void sort_heap(struct phiz_hit *heap, int64_t n)
{
	while (n > 1) {
		struct phiz_hit worst = heap[0];
		heap[0] = heap[--n];
		sink(heap, n, 0);
		heap[n] = worst;
	}
}

struct search {
	const float *rows, *query;
	int64_t n, stride, k, grain;
	phiz_dots_fn dots;
	struct phiz_hit *heap; /* k of each piece */
	int64_t *count;        /* of each piece */
	phiz_sweep_fn sweep;
	uint64_t *word; /* of each piece */
};

static void search_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct search *s = arg;
	int64_t piece = begin / s->grain;
	struct phiz_hit *heap = s->heap + piece * s->k;
	float dot[BLOCK];

	(void)worker;
	for (int64_t at = begin; at < end; at += BLOCK) {
		int64_t n = end - at < BLOCK ? end - at : BLOCK;
		s->dots(s->rows + at * s->stride, n, s->stride, s->query, dot);
		for (int64_t i = 0; i < n; i++) {
			/* Most rows end here, a NaN does not. */
			if (s->count[piece] == s->k && dot[i] <= heap[0].dot)
				continue;
			struct phiz_hit hit = {at + i, dot[i]};
			offer(heap, &s->count[piece], s->k, hit);
		}
	}
}

/* Rows of a piece: at most 64 pieces, so that their heaps stay small beside the matrix. */
static int64_t piece_rows(int64_t n)
{
	int64_t grain = (n + 63) / 64;
	grain = (grain + BLOCK - 1) / BLOCK * BLOCK;
	return grain < 1024 ? 1024 : grain;
}

enum phiz_status phiz_search_top(struct phiz_ctx *ctx, const float *rows, int64_t n, int64_t stride, const float *query,
                                 int64_t k, struct phiz_hit *out, int64_t *count)
{
	int64_t pieces;
	size_t hits;
	enum phiz_status status;

	*count = 0;
	if (k < 1 || n < 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "search: want k >= 1 and no negative number of rows");
	if (k > n)
		k = n;
	if (n == 0)
		return PHIZ_OK;
	struct search s = {.rows = rows, .query = query, .n = n, .stride = stride, .k = k, .grain = piece_rows(n)};
	status = phiz_search_choose(ctx, &s.dots, NULL);
	if (status)
		return status;
	pieces = (n + s.grain - 1) / s.grain;
	if (!phiz_size_mul((size_t)pieces, (size_t)k, &hits))
		return phiz_fail(ctx, PHIZ_E_LIMIT, "search: too many hits are asked for");
	s.heap = phiz_alloc(ctx, hits, sizeof *s.heap);
	s.count = phiz_calloc(ctx, (size_t)pieces, sizeof *s.count);
	status = s.heap && s.count ? PHIZ_OK : PHIZ_E_NOMEM;
	if (!status) {
		phiz_parallel_for(ctx, n, s.grain, search_piece, &s);
		for (int64_t p = 0; p < pieces; p++)
			for (int64_t i = 0; i < s.count[p]; i++)
				offer(out, count, k, s.heap[p * k + i]);
		sort_heap(out, *count);
	}
	phiz_free(ctx, s.count);
	phiz_free(ctx, s.heap);
	return status;
}

static void sweep_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct search *s = arg;

	(void)worker;
	s->word[begin / s->grain] = s->sweep(s->rows + begin * s->stride,
	                                     (size_t)((end - begin) * s->stride) * sizeof(float));
}

enum phiz_status phiz_search_sweep(struct phiz_ctx *ctx, const float *rows, int64_t n, int64_t stride, uint64_t *out)
{
	uint64_t word[64] = {0};
	struct search s = {.rows = rows, .n = n, .stride = stride, .grain = piece_rows(n), .word = word};
	enum phiz_status status = phiz_search_choose(ctx, NULL, &s.sweep);

	*out = 0;
	if (status)
		return status;
	phiz_parallel_for(ctx, n, s.grain, sweep_piece, &s);
	for (int i = 0; i < 64; i++)
		*out ^= word[i];
	return PHIZ_OK;
}
