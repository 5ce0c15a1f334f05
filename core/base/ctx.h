/* The inside of a context; for core/base only. */
#ifndef PHIZ_BASE_CTX_H
#define PHIZ_BASE_CTX_H

#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <phiz/ctx.h>

#define PHIZ_MESSAGE_MAX 1024
#define PHIZ_MAX_THREADS 1024
#define PHIZ_KEPT_BLOCKS 16

struct phiz_pool; /* thread.c */

/* What a context and its forks share. Lives in the context that was created; forks point at it. */
struct phiz_shared {
	pthread_mutex_t memory_lock; /* guards stats and fail_in */
	struct phiz_memory_stats stats;
	uint64_t fail_in; /* allocations until one fails; 0: never */
	size_t memory_limit;
	pthread_mutex_t log_lock; /* held while log runs: one line at a time */
	phiz_log_fn log;
	void *log_user;
	locale_t c_locale; /* numbers are written and read with '.', whatever the program's locale */
	atomic_uint temporaries; /* numbers the names of temporary files */
};

struct phiz_ctx {
	struct phiz_shared *shared;
	struct phiz_pool *pool;     /* NULL in a fork */
	pthread_mutex_t error_lock; /* pieces of a parallel loop may fail at the same time */
	enum phiz_status status;
	char message[PHIZ_MESSAGE_MAX];
	void *kept[PHIZ_KEPT_BLOCKS]; /* blocks given back to a recycling fork, for its next requests */
	int n_kept;
	bool recycling;
	struct phiz_shared own; /* the shared part, in the context that was created */
};

/* Zeroed memory that no context counts: for the context itself and its pool, which must exist before anything can be
 * counted. NULL on failure. */
void *phiz_raw_calloc(size_t size);
void phiz_raw_free(void *p);
/* Gives the blocks that a recycling fork keeps back for good. */
void phiz_kept_free(struct phiz_ctx *ctx);

/* vsnprintf in the C locale. */
int phiz_vformat(const struct phiz_ctx *ctx, char *text, size_t size, const char *fmt, va_list args);

/* Starts no thread yet: they start with the first loop that can use them. threads >= 1. */
enum phiz_status phiz_pool_create(int threads, struct phiz_pool **out);
void phiz_pool_free(struct phiz_pool **pool);
int phiz_pool_threads(const struct phiz_pool *pool);

#endif
