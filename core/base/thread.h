/* Parallel loops on the context's pool. */
#ifndef PHIZ_BASE_THREAD_H
#define PHIZ_BASE_THREAD_H

#include <phiz/ctx.h>

/* Does the half-open range [begin, end). worker is 0..phiz_ctx_threads-1 and picks a worker's scratch memory. */
typedef void (*phiz_range_fn)(void *arg, int64_t begin, int64_t end, int worker);

/* Cuts [0, n) into pieces of `grain` (the last may be shorter) and runs them on the pool, the caller's thread
 * included; returns when all are done. The pieces depend on n and grain alone, never on the number of threads, so
 * a result that is built piece by piece is the same for any number. Pieces run in any order. Not nestable: a call
 * from inside a piece runs serially, as the worker that calls. Allocates nothing. Idle workers sleep. Pieces may use
 * phiz_fail, phiz_log, phiz_alloc and phiz_free on the context; of several errors the last one stays. n <= 0 does
 * nothing. */
void phiz_parallel_for(struct phiz_ctx *ctx, int64_t n, int64_t grain, phiz_range_fn fn, void *arg);

/* Seconds of a clock that only goes forward. */
double phiz_time(void);
/* Seconds that the calling thread has computed. */
double phiz_thread_time(void);

#endif
