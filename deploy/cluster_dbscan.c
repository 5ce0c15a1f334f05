/* DBSCAN, and an eps from the bend of the curve of distances. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/cpu/search.h"
#include "deploy/cluster.h"

enum {
	QUERIES = 64,     /* points whose neighbours are looked for at once */
	BLOCK = 256,      /* rows that stay in the cache meanwhile */
	PIECE = 4096,     /* points between two looks at the progress */
	KNEE_SAMPLE = 2000
};
enum { UNSEEN = -2 };

struct dbscan {
	const struct phiz_points *points;
	struct phiz_ctx *ctx;
	phiz_dots_fn dots;
	float least; /* cosine of a neighbour, at least */
	int min_points;
	int32_t *count;       /* n: neighbours, itself included */
	float *cosine;        /* threads x BLOCK */
	const int64_t *query; /* n_queries points of a group that is growing */
	int n_queries;
	unsigned char *near;  /* n: is it a neighbour of one of them? */
	int64_t first;        /* of the piece that is being counted */
};

/* Neighbours of the QUERIES points from `first` + begin on, over all rows block by block. */
static void count_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct dbscan *s = arg;
	const struct phiz_points *p = s->points;
	float *cosine = s->cosine + (size_t)worker * BLOCK;

	for (int64_t row = 0; row < p->n; row += BLOCK) {
		int64_t rows = p->n - row < BLOCK ? p->n - row : BLOCK;
		for (int64_t i = s->first + begin; i < s->first + end; i++) {
			int32_t found = 0;
			s->dots(p->row + row * p->stride, rows, p->stride, p->row + i * p->stride, cosine);
			for (int64_t j = 0; j < rows; j++)
				found += cosine[j] >= s->least;
			s->count[i] += found;
		}
	}
}

static enum phiz_status count_neighbours(struct dbscan *s, const struct phiz_dbscan_options *o)
{
	for (s->first = 0; s->first < s->points->n; s->first += PIECE) {
		int64_t left = s->points->n - s->first;
		phiz_parallel_for(s->ctx, left < PIECE ? left : PIECE, QUERIES, count_range, s);
		if (o->progress && o->progress(o->user, 0.5 * (double)s->first / (double)s->points->n))
			return phiz_fail(s->ctx, PHIZ_E_CANCELLED, "broken off");
	}
	for (int64_t i = 0; i < s->points->n; i++) /* rounding may put a point beyond eps of itself */
		s->count[i] += s->count[i] == 0;
	return PHIZ_OK;
}

static void near_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct dbscan *s = arg;
	const struct phiz_points *p = s->points;
	float *cosine = s->cosine + (size_t)worker * BLOCK;

	memset(s->near + begin, 0, (size_t)(end - begin));
	for (int q = 0; q < s->n_queries; q++) {
		s->dots(p->row + begin * p->stride, end - begin, p->stride, p->row + s->query[q] * p->stride, cosine);
		for (int64_t j = 0; j < end - begin; j++)
			s->near[begin + j] |= cosine[j] >= s->least;
	}
}

/* The group of the core `seed`: cores whose neighbours are still to be looked at wait in `waiting`. */
static enum phiz_status grow(struct dbscan *s, const struct phiz_dbscan_options *o, int64_t seed, int32_t group,
                             int64_t *waiting, int64_t *done, struct phiz_clusters *out)
{
	int64_t head = 0, tail = 0;

	out->label[seed] = group;
	waiting[tail++] = seed;
	while (head < tail) {
		s->query = waiting + head;
		s->n_queries = tail - head < QUERIES ? (int)(tail - head) : QUERIES;
		head += s->n_queries;
		*done += s->n_queries;
		phiz_parallel_for(s->ctx, s->points->n, BLOCK, near_range, s);
		for (int64_t i = 0; i < s->points->n; i++) {
			if (!s->near[i] || out->label[i] != UNSEEN)
				continue;
			out->label[i] = group;
			if (s->count[i] >= s->min_points)
				waiting[tail++] = i;
		}
		if (o->progress && o->progress(o->user, 0.5 + 0.5 * (double)*done / (double)s->points->n))
			return phiz_fail(s->ctx, PHIZ_E_CANCELLED, "broken off");
	}
	return PHIZ_OK;
}

static enum phiz_status grow_all(struct dbscan *s, const struct phiz_dbscan_options *o, struct phiz_clusters *out,
                                 int32_t *groups)
{
	int64_t *waiting = phiz_alloc(s->ctx, (size_t)s->points->n, sizeof(*waiting)), done = 0;
	enum phiz_status status = waiting ? PHIZ_OK : PHIZ_E_NOMEM;

	*groups = 0;
	for (int64_t i = 0; !status && i < s->points->n; i++)
		out->label[i] = UNSEEN;
	for (int64_t i = 0; !status && i < s->points->n; i++)
		if (out->label[i] == UNSEEN && s->count[i] >= s->min_points)
			status = grow(s, o, i, (*groups)++, waiting, &done, out);
	phiz_free(s->ctx, waiting);
	return status;
}

enum phiz_status phiz_cluster_dbscan(const struct phiz_points *points, const struct phiz_dbscan_options *options,
                                     struct phiz_clusters *out)
{
	struct dbscan s = {.points = points, .ctx = points->ctx, .min_points = options->min_points};
	size_t n = (size_t)points->n;
	int32_t groups = 0;

	memset(out, 0, sizeof(*out));
	if (!(options->eps >= 0 && options->eps <= 2) || options->min_points < 1)
		return phiz_fail(s.ctx, PHIZ_E_ARG, "eps: want a distance from 0 to 2; points of a core: 1 or more");
	s.least = (float)(1 - options->eps);
	enum phiz_status status = phiz_search_choose(s.ctx, &s.dots, NULL);
	if (!status)
		status = phiz_clusters_create(s.ctx, points->n, out);
	if (!status) {
		s.count = phiz_calloc(s.ctx, n, sizeof(s.count[0]));
		s.near = phiz_alloc(s.ctx, n, 1);
		s.cosine = phiz_alloc(s.ctx, (size_t)phiz_ctx_threads(s.ctx) * BLOCK, sizeof(float));
		status = s.count && s.near && s.cosine ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status)
		status = count_neighbours(&s, options);
	if (!status)
		status = grow_all(&s, options, out, &groups);
	if (!status)
		status = phiz_clusters_finish(out, groups);
	phiz_free(s.ctx, s.count);
	phiz_free(s.ctx, s.near);
	phiz_free(s.ctx, s.cosine);
	if (status)
		phiz_clusters_free(out);
	return status;
}

/* ---- eps ---- */

struct knee {
	const struct phiz_points *points;
	phiz_dots_fn dots;
	int rank;           /* which neighbour, from 1 */
	const int64_t *who; /* the points of the sample */
	double *distance;   /* theirs */
	float *cosine;      /* threads x n */
	float *best;        /* threads x rank, descending */
};

/* Puts x where it belongs among the `rank` largest. */
static void keep_largest(float *best, int rank, float x)
{
	int at = rank;

	if (!(x > best[rank - 1]))
		return;
	while (at > 1 && best[at - 2] < x) {
		best[at - 1] = best[at - 2];
		at--;
	}
	best[at - 1] = x;
}

static void knee_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct knee *s = arg;
	const struct phiz_points *p = s->points;
	float *cosine = s->cosine + (size_t)worker * (size_t)p->n, *best = s->best + (size_t)worker * (size_t)s->rank;

	for (int64_t q = begin; q < end; q++) {
		int64_t i = s->who[q];
		for (int r = 0; r < s->rank; r++)
			best[r] = -2;
		s->dots(p->row, p->n, p->stride, p->row + i * p->stride, cosine);
		for (int64_t j = 0; j < p->n; j++)
			if (j != i)
				keep_largest(best, s->rank, cosine[j]);
		s->distance[q] = 1 - (double)best[s->rank - 1];
		s->distance[q] = s->distance[q] > 0 ? s->distance[q] : 0;
	}
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Where the ascending curve lies farthest below the line from its first to its last point. */
static double bend(const double *y, int64_t n)
{
	double deepest = -1;
	int64_t at = n - 1;

	for (int64_t i = 0; i < n; i++) {
		double line = y[0] + (y[n - 1] - y[0]) * (double)i / (double)(n > 1 ? n - 1 : 1);
		if (line - y[i] > deepest) {
			deepest = line - y[i];
			at = i;
		}
	}
	return y[at];
}

static int64_t draw_sample(const struct phiz_points *p, uint64_t seed, int64_t *who)
{
	int64_t want = p->n < KNEE_SAMPLE ? p->n : KNEE_SAMPLE, got = 0;
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 1, 0, PHIZ_STREAM_CLUSTER);
	for (int64_t i = 0; i < p->n && got < want; i++)
		if (phiz_rng_f64(&rng) * (double)(p->n - i) < (double)(want - got))
			who[got++] = i;
	return got;
}

enum phiz_status phiz_cluster_knee(const struct phiz_points *points, int min_points, uint64_t seed, double *eps)
{
	struct phiz_ctx *ctx = points->ctx;
	struct knee s = {.points = points, .rank = min_points - 1};
	size_t threads = (size_t)phiz_ctx_threads(ctx);
	int64_t *who = NULL, n = 0;

	*eps = 0;
	if (min_points < 2 || min_points > 1000 || points->n <= min_points)
		return phiz_fail(ctx, PHIZ_E_ARG, "points of a core: want 2 to 1000 and fewer than the %lld that there are",
		                 (long long)points->n);
	enum phiz_status status = phiz_search_choose(ctx, &s.dots, NULL);
	if (!status) {
		who = phiz_alloc(ctx, KNEE_SAMPLE, sizeof(*who));
		s.distance = phiz_alloc(ctx, KNEE_SAMPLE, sizeof(double));
		s.cosine = phiz_alloc(ctx, threads, (size_t)points->n * sizeof(float));
		s.best = phiz_alloc(ctx, threads, (size_t)s.rank * sizeof(float));
		status = who && s.distance && s.cosine && s.best ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status) {
		s.who = who;
		n = draw_sample(points, seed, who);
		phiz_parallel_for(ctx, n, 16, knee_range, &s);
		qsort(s.distance, (size_t)n, sizeof(double), by_value);
		*eps = bend(s.distance, n);
	}
	phiz_free(ctx, who);
	phiz_free(ctx, s.distance);
	phiz_free(ctx, s.cosine);
	phiz_free(ctx, s.best);
	return status;
}
