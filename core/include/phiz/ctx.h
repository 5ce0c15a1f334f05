/* The context: allocator, log, thread pool, last error. Two contexts know nothing of each other. */
#ifndef PHIZ_CTX_H
#define PHIZ_CTX_H

#include <stddef.h>
#include <stdint.h>

#include <phiz/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_ctx;

enum phiz_log_level { PHIZ_LOG_ERROR, PHIZ_LOG_WARN, PHIZ_LOG_INFO, PHIZ_LOG_DEBUG };

/* Called with one line of UTF-8 text without a newline. May be called from worker threads, one at a time.
 * Must not call phiz with this context or a fork of it. */
typedef void (*phiz_log_fn)(void *user, enum phiz_log_level level, const char *line);

struct phiz_ctx_options {
	int threads;         /* threads for parallel work, the caller's own included; 0: as many as online CPUs */
	phiz_log_fn log;     /* NULL: silent */
	void *log_user;      /* handed to log */
	size_t memory_limit; /* bytes that may be alive at once; 0: no limit */
};

struct phiz_memory_stats {
	size_t live_bytes;  /* asked for and not yet given back */
	size_t peak_bytes;  /* the highest live_bytes so far */
	size_t live_blocks;
	uint64_t allocations; /* how many requests were ever made */
};

/* Makes a context. options may be NULL (all defaults). A context is used by one thread at a time; give another
 * thread its own with phiz_ctx_fork. Errors: NOMEM, ARG (threads < 0 or > 1024). */
PHIZ_API enum phiz_status phiz_ctx_create(const struct phiz_ctx_options *options, struct phiz_ctx **out);

/* A context for another thread: shares the parent's allocator, counts and log, has its own last error and no
 * pool (its parallel work runs on the calling thread). The parent must outlive it. */
PHIZ_API enum phiz_status phiz_ctx_fork(struct phiz_ctx *parent, struct phiz_ctx **out);

/* Frees the context and nulls *ctx. NULL and pointer to NULL are fine. */
PHIZ_API void phiz_ctx_free(struct phiz_ctx **ctx);

/* The last error's message, one line without a newline; "" if there was none. Valid until the next call. */
PHIZ_API const char *phiz_ctx_message(const struct phiz_ctx *ctx);
PHIZ_API enum phiz_status phiz_ctx_status(const struct phiz_ctx *ctx);
PHIZ_API void phiz_ctx_clear(struct phiz_ctx *ctx);

/* Threads that parallel work of this context uses, >= 1. */
PHIZ_API int phiz_ctx_threads(const struct phiz_ctx *ctx);
/* Sets options.memory_limit anew, for the context and its forks; 0: no limit. What is alive stays. A plan that would go
 * beyond it is refused before memory is asked for (plan.h), any other request as out of memory. What the plans of a
 * device take there counts as well. */
PHIZ_API void phiz_ctx_limit_memory(struct phiz_ctx *ctx, size_t bytes);
PHIZ_API void phiz_ctx_memory(const struct phiz_ctx *ctx, struct phiz_memory_stats *out);

#ifdef __cplusplus
}
#endif
#endif
