#define _DEFAULT_SOURCE /* madvise */
#include "core/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/ctx.h"
#include "core/base/error.h"

#define ALIGNMENT 64

/* Stands in the ALIGNMENT bytes before each block, so that freeing needs no size. */
struct header {
	void *base; /* what the system gave */
	size_t size;
};

bool phiz_size_mul(size_t a, size_t b, size_t *out)
{
	if (a && b > SIZE_MAX / a)
		return false;
	*out = a * b;
	return true;
}

bool phiz_size_add(size_t a, size_t b, size_t *out)
{
	if (b > SIZE_MAX - a)
		return false;
	*out = a + b;
	return true;
}

void *phiz_raw_calloc(size_t size)
{
	return calloc(1, size);
}

void phiz_raw_free(void *p)
{
	free(p);
}

void phiz_ctx_fail_allocation(struct phiz_ctx *ctx, uint64_t k)
{
	pthread_mutex_lock(&ctx->shared->memory_lock);
	ctx->shared->fail_in = k;
	pthread_mutex_unlock(&ctx->shared->memory_lock);
}

/* Counts a request; false if it must fail. Counted before it is made, so that threads together keep the limit. */
static bool reserve(struct phiz_shared *shared, size_t size)
{
	struct phiz_memory_stats *stats = &shared->stats;
	bool ok = true;
	pthread_mutex_lock(&shared->memory_lock);
	stats->allocations++;
	if (shared->fail_in && --shared->fail_in == 0)
		ok = false;
	if (size > SIZE_MAX - stats->live_bytes)
		ok = false;
	else if (shared->memory_limit && stats->live_bytes + size > shared->memory_limit)
		ok = false;
	if (ok) {
		stats->live_bytes += size;
		stats->live_blocks++;
		if (stats->live_bytes > stats->peak_bytes)
			stats->peak_bytes = stats->live_bytes;
	}
	pthread_mutex_unlock(&shared->memory_lock);
	return ok;
}

static void release(struct phiz_shared *shared, size_t size)
{
	pthread_mutex_lock(&shared->memory_lock);
	shared->stats.live_bytes -= size;
	shared->stats.live_blocks--;
	pthread_mutex_unlock(&shared->memory_lock);
}

static void fail_memory(struct phiz_ctx *ctx, size_t size)
{
	struct phiz_memory_stats stats;
	size_t limit = ctx->shared->memory_limit;
	phiz_ctx_memory(ctx, &stats);
	if (limit)
		phiz_fail(ctx, PHIZ_E_NOMEM, "out of memory: %zu bytes asked for, %zu MiB in use, the limit is %zu MiB", size,
		          stats.live_bytes >> 20, limit >> 20);
	else
		phiz_fail(ctx, PHIZ_E_NOMEM, "out of memory: %zu bytes asked for, %zu MiB in use", size,
		          stats.live_bytes >> 20);
}

bool phiz_memory_count(struct phiz_ctx *ctx, size_t bytes)
{
	bool ok = reserve(ctx->shared, bytes);
	if (!ok)
		fail_memory(ctx, bytes);
	return ok;
}

void phiz_memory_uncount(struct phiz_ctx *ctx, size_t bytes)
{
	release(ctx->shared, bytes);
}

size_t phiz_memory_room(struct phiz_ctx *ctx, size_t *limit)
{
	struct phiz_shared *shared = ctx->shared;
	pthread_mutex_lock(&shared->memory_lock);
	size_t most = shared->memory_limit, live = shared->stats.live_bytes;
	pthread_mutex_unlock(&shared->memory_lock);
	if (limit)
		*limit = most;
	return !most ? SIZE_MAX : live < most ? most - live : 0;
}

void phiz_ctx_limit_memory(struct phiz_ctx *ctx, size_t bytes)
{
	pthread_mutex_lock(&ctx->shared->memory_lock);
	ctx->shared->memory_limit = bytes;
	pthread_mutex_unlock(&ctx->shared->memory_lock);
}

/* Large pages under large blocks, where the system gives them when asked: looking up pages of 4 KiB takes time where a
 * layer runs through tens of MiB, above all on a virtual machine. */
static void ask_for_large_pages(void *base, size_t size)
{
#ifdef MADV_HUGEPAGE
	const uintptr_t page = (uintptr_t)2 << 20;
	uintptr_t begin = ((uintptr_t)base + page - 1) & ~(page - 1), end = ((uintptr_t)base + size) & ~(page - 1);
	if (end > begin)
		(void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* nothing is lost where it fails */
#else
	(void)base;
	(void)size;
#endif
}

/* Room for the header and for moving the block up to the next multiple of ALIGNMENT. calloc, where zeros are asked for,
 * hands out large blocks without touching them. */
static void *system_alloc(size_t size, bool zero, size_t *shift)
{
	size_t whole;
	void *base;
	if (!phiz_size_add(size, 2 * ALIGNMENT, &whole))
		return NULL;
	base = zero ? calloc(1, whole) : malloc(whole);
	if (!base)
		return NULL;
	ask_for_large_pages(base, whole);
	*shift = 2 * ALIGNMENT - (uintptr_t)base % ALIGNMENT;
	return base;
}

static void *allocate(struct phiz_ctx *ctx, size_t n, size_t size, bool zero)
{
	size_t bytes, shift = 0;
	unsigned char *block;
	struct header header;
	if (!phiz_size_mul(n, size, &bytes)) {
		phiz_fail(ctx, PHIZ_E_NOMEM, "out of memory: %zu x %zu bytes asked for, more than can be addressed", n, size);
		return NULL;
	}
	if (!reserve(ctx->shared, bytes)) {
		fail_memory(ctx, bytes);
		return NULL;
	}
	header.base = system_alloc(bytes, zero, &shift);
	header.size = bytes;
	if (!header.base) {
		release(ctx->shared, bytes);
		fail_memory(ctx, bytes);
		return NULL;
	}
	block = (unsigned char *)header.base + shift;
	memcpy(block - ALIGNMENT, &header, sizeof(header));
	return block;
}

static struct header header_of(const void *p)
{
	struct header header;
	memcpy(&header, (const unsigned char *)p - ALIGNMENT, sizeof(header));
	return header;
}

void phiz_ctx_recycle(struct phiz_ctx *fork)
{
	fork->recycling = fork->shared != &fork->own;
}

void phiz_kept_free(struct phiz_ctx *ctx)
{
	ctx->recycling = false;
	while (ctx->n_kept > 0)
		phiz_free(ctx, ctx->kept[--ctx->n_kept]);
}

/* The smallest kept block that holds n * size bytes without wasting more than it holds, or NULL. */
static void *take_kept(struct phiz_ctx *ctx, size_t n, size_t size)
{
	int best = -1;
	size_t bytes, best_size = 0;

	if (!phiz_size_mul(n, size, &bytes))
		return NULL;
	for (int i = 0; i < ctx->n_kept; i++) {
		size_t have = header_of(ctx->kept[i]).size;
		if (have >= bytes && have / 2 <= bytes + 2048 && (best < 0 || have < best_size)) {
			best = i;
			best_size = have;
		}
	}
	if (best < 0)
		return NULL;
	void *block = ctx->kept[best];
	ctx->kept[best] = ctx->kept[--ctx->n_kept];
	return block;
}

void *phiz_alloc(struct phiz_ctx *ctx, size_t n, size_t size)
{
	void *kept = ctx->n_kept ? take_kept(ctx, n, size) : NULL;
	return kept ? kept : allocate(ctx, n, size, false);
}

void *phiz_calloc(struct phiz_ctx *ctx, size_t n, size_t size)
{
	void *kept = ctx->n_kept ? take_kept(ctx, n, size) : NULL;
	return kept ? memset(kept, 0, n * size) : allocate(ctx, n, size, true);
}

void *phiz_realloc(struct phiz_ctx *ctx, void *p, size_t n, size_t size)
{
	void *grown = allocate(ctx, n, size, false);
	if (!grown || !p)
		return grown;
	size_t old = header_of(p).size;
	memcpy(grown, p, old < n * size ? old : n * size);
	phiz_free(ctx, p);
	return grown;
}

void phiz_free(struct phiz_ctx *ctx, void *p)
{
	if (!p)
		return;
	if (ctx->recycling && ctx->n_kept < PHIZ_KEPT_BLOCKS) {
		ctx->kept[ctx->n_kept++] = p;
		return;
	}
	struct header header = header_of(p);
	release(ctx->shared, header.size);
	free(header.base);
}

char *phiz_strdup(struct phiz_ctx *ctx, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = phiz_alloc(ctx, size, 1);
	if (copy)
		memcpy(copy, text, size);
	return copy;
}

char *phiz_strndup(struct phiz_ctx *ctx, const char *text, size_t length)
{
	const char *end = memchr(text, 0, length);
	size_t size = end ? (size_t)(end - text) : length;
	char *copy = phiz_alloc(ctx, size + 1, 1);
	if (copy) {
		memcpy(copy, text, size);
		copy[size] = 0;
	}
	return copy;
}

char *phiz_asprintf(struct phiz_ctx *ctx, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int length = phiz_vformat(ctx, NULL, 0, fmt, args);
	va_end(args);
	if (length < 0) {
		phiz_fail(ctx, PHIZ_E_INTERNAL, "cannot format a text");
		return NULL;
	}
	char *text = phiz_alloc(ctx, (size_t)length + 1, 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	phiz_vformat(ctx, text, (size_t)length + 1, fmt, args);
	va_end(args);
	return text;
}

enum phiz_status phiz_grow(struct phiz_ctx *ctx, void *items, size_t *cap, size_t need, size_t size)
{
	void *old, *grown;
	size_t wanted = *cap < 8 ? 8 : *cap;
	if (need <= *cap)
		return PHIZ_OK;
	while (wanted < need)
		wanted = wanted > SIZE_MAX / 2 ? need : wanted * 2;
	memcpy(&old, items, sizeof(old)); /* items is a T **, for some T: reading it as void ** would break aliasing */
	grown = phiz_realloc(ctx, old, wanted, size);
	if (!grown)
		return PHIZ_E_NOMEM;
	memcpy(items, &grown, sizeof(grown));
	*cap = wanted;
	return PHIZ_OK;
}
