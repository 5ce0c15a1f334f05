/* Memory: 64-byte aligned, counted, size-checked, and able to fail on demand (for the oom tests). */
#ifndef PHIZ_BASE_ALLOC_H
#define PHIZ_BASE_ALLOC_H

#include <stdbool.h>

#include <phiz/ctx.h>

/* n * size bytes, not initialised; NULL on failure, with the context's error set. n * size == 0 gives a valid
 * pointer. The product is overflow-checked. */
void *phiz_alloc(struct phiz_ctx *ctx, size_t n, size_t size);
/* The same, zeroed. */
void *phiz_calloc(struct phiz_ctx *ctx, size_t n, size_t size);
/* Grows or shrinks p (may be NULL); on failure p stays valid and NULL is returned. */
void *phiz_realloc(struct phiz_ctx *ctx, void *p, size_t n, size_t size);
/* NULL is fine. ctx: the context of the allocation, or one forked from it or its parent. */
void phiz_free(struct phiz_ctx *ctx, void *p);
char *phiz_strdup(struct phiz_ctx *ctx, const char *text);
char *phiz_strndup(struct phiz_ctx *ctx, const char *text, size_t length);
/* printf into a new string. */
char *phiz_asprintf(struct phiz_ctx *ctx, const char *fmt, ...) PHIZ_PRINTF(2, 3);

/* Memory that the context's work takes elsewhere (of a device), counted, limited and made to fail like a block of that
 * size: false, with the context's error set, where it may not be had. Every byte that was counted is given back. */
bool phiz_memory_count(struct phiz_ctx *ctx, size_t bytes);
void phiz_memory_uncount(struct phiz_ctx *ctx, size_t bytes);
/* What is left of the context's limit; SIZE_MAX where it has none. *limit (may be NULL): that limit, 0: none. */
size_t phiz_memory_room(struct phiz_ctx *ctx, size_t *limit);

/* From now on a block that is freed through this fork is kept (a few of them) and serves its next request of that size
 * or somewhat less: work that repeats with the same sizes, such as preprocessing frame by frame, then asks the system
 * for nothing. Kept blocks count as live. For forks only, since a fork belongs to one thread. */
void phiz_ctx_recycle(struct phiz_ctx *fork);

/* The k-th allocation from now fails (k = 1: the next one), once; 0 turns it off. For tests. */
void phiz_ctx_fail_allocation(struct phiz_ctx *ctx, uint64_t k);

/* out = a * b or a + b; false on overflow. */
bool phiz_size_mul(size_t a, size_t b, size_t *out);
bool phiz_size_add(size_t a, size_t b, size_t *out);

/* Grows *items (of element size `size`, capacity *cap) so that `need` fit; doubles. OK or NOMEM. */
enum phiz_status phiz_grow(struct phiz_ctx *ctx, void *items, size_t *cap, size_t need, size_t size);

#endif
