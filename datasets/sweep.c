/* Each worker has a fork of the context; what went wrong is kept per photo and told afterwards, in order, so that the
 * log does not depend on threads. */
#include "datasets/sweep.h"

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

#define MAX_NAMED 20

struct failure {
	enum phiz_status status; /* OK: none */
	char *message;
};

struct sweep {
	const struct phiz_dataset *dataset;
	const uint32_t *index;
	phiz_sweep_fn fn;
	void *arg;
	struct phiz_ctx **fork; /* one per worker */
	int forks;
	struct failure *failure; /* one per photo */
};

static bool is_fatal(enum phiz_status status)
{
	return status == PHIZ_E_NOMEM || status == PHIZ_E_CANCELLED || status == PHIZ_E_INTERNAL;
}

static void sweep_one(struct sweep *s, size_t i, int worker)
{
	struct phiz_ctx *ctx = s->fork[worker];
	struct failure *f = &s->failure[i];
	char *path = phiz_dataset_path(ctx, s->dataset, s->index ? s->index[i] : i);

	f->status = path ? s->fn(ctx, s->arg, i, path, worker) : PHIZ_E_NOMEM;
	if (f->status && !is_fatal(f->status)) {
		f->message = phiz_strdup(ctx, phiz_ctx_message(ctx));
		if (!f->message)
			f->status = PHIZ_E_NOMEM;
	}
	phiz_free(ctx, path);
}

static void sweep_range(void *arg, int64_t begin, int64_t end, int worker)
{
	for (int64_t i = begin; i < end; i++)
		sweep_one(arg, (size_t)i, worker);
}

static enum phiz_status make_forks(struct phiz_ctx *ctx, struct sweep *s)
{
	int n = phiz_ctx_threads(ctx);
	enum phiz_status status = PHIZ_OK;

	s->fork = phiz_calloc(ctx, (size_t)n, sizeof(struct phiz_ctx *));
	if (!s->fork)
		return PHIZ_E_NOMEM;
	for (; !status && s->forks < n; s->forks += !status)
		status = phiz_ctx_fork(ctx, &s->fork[s->forks]);
	return status;
}

static enum phiz_status tell(struct phiz_ctx *ctx, const struct sweep *s, size_t count, bool strict, bool *bad,
                             size_t *n_bad)
{
	for (size_t i = 0; i < count; i++)
		if (is_fatal(s->failure[i].status))
			return phiz_fail(ctx, s->failure[i].status, "while reading photos: %s",
			                 phiz_status_name(s->failure[i].status));
	for (size_t i = 0; i < count; i++) {
		const struct failure *f = &s->failure[i];
		bad[i] = f->status != PHIZ_OK;
		if (!bad[i])
			continue;
		if (strict)
			return phiz_fail(ctx, f->status, "%s", f->message);
		if ((*n_bad)++ < MAX_NAMED)
			phiz_log(ctx, PHIZ_LOG_WARN, "left out: %s", f->message);
	}
	if (*n_bad > MAX_NAMED)
		phiz_log(ctx, PHIZ_LOG_WARN, "left out: %zu more that cannot be read", *n_bad - MAX_NAMED);
	return PHIZ_OK;
}

enum phiz_status phiz_sweep(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                            size_t count, bool strict, phiz_sweep_fn fn, void *arg, bool *bad, size_t *n_bad)
{
	struct sweep s = {.dataset = dataset, .index = index, .fn = fn, .arg = arg};
	enum phiz_status status = make_forks(ctx, &s);

	*n_bad = 0;
	if (!status) {
		s.failure = phiz_calloc(ctx, count, sizeof(*s.failure));
		status = s.failure ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status) {
		phiz_parallel_for(ctx, (int64_t)count, 1, sweep_range, &s);
		status = tell(ctx, &s, count, strict, bad, n_bad);
	}
	for (size_t i = 0; s.failure && i < count; i++)
		phiz_free(ctx, s.failure[i].message);
	phiz_free(ctx, s.failure);
	for (int i = 0; i < s.forks; i++)
		phiz_ctx_free(&s.fork[i]);
	phiz_free(ctx, s.fork);
	return status;
}
