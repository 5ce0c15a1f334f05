/* k-means on the sphere, and the choice of k by silhouette. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/cpu/search.h"
#include "deploy/cluster.h"

enum { GRAIN = 128, SAMPLE = 5000, SWAP_CENTRES = 4, SWAPS_IN_VAIN = 16 };

struct kmeans {
	const struct phiz_points *points;
	struct phiz_ctx *ctx;
	phiz_dots_fn dots;
	int k;
	float *centre;  /* k x stride, unit length */
	double *sum;    /* k x dim */
	int64_t *size;  /* k */
	int32_t *label; /* n: of the start at hand */
	float *near;    /* n: cosine to the own centre, */
	float *second;  /* and to the next nearest; -1 with one centre */
	double *cost;   /* k: what the objective loses without that centre, roughly */
	float *scratch; /* threads x k cosines, or n x tries while seeding */
	int tries;
	const float *candidate; /* tries x stride, while seeding */
};

/* ---- Assigning points to centres ---- */

static void assign_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct kmeans *m = arg;
	int64_t stride = m->points->stride;
	float *cosine = m->scratch + (size_t)worker * (size_t)m->k;

	for (int64_t i = begin; i < end; i++) {
		int best = 0;
		m->dots(m->centre, m->k, stride, m->points->row + i * stride, cosine);
		float second = -1;
		for (int c = 1; c < m->k; c++) {
			if (cosine[c] > cosine[best]) {
				second = cosine[best];
				best = c;
			} else if (cosine[c] > second) {
				second = cosine[c];
			}
		}
		m->label[i] = best;
		m->near[i] = cosine[best];
		m->second[i] = second;
	}
}

static double objective(const struct kmeans *m)
{
	double sum = 0;

	for (int64_t i = 0; i < m->points->n; i++)
		sum += 1 - (double)m->near[i];
	return sum;
}

/* ---- Centres ---- */

/* A group that ran empty takes the point that is farthest from its centre, out of a group of two or more. */
static void fill_empty(struct kmeans *m)
{
	for (int c = 0; c < m->k; c++) {
		int64_t worst = -1;
		if (m->size[c])
			continue;
		for (int64_t i = 0; i < m->points->n; i++)
			if (m->size[m->label[i]] > 1 && (worst < 0 || m->near[i] < m->near[worst]))
				worst = i;
		if (worst < 0)
			return;
		m->size[m->label[worst]]--;
		m->label[worst] = c;
		m->size[c] = 1;
		m->near[worst] = 1;
	}
}

static void set_centres(struct kmeans *m)
{
	int64_t dim = m->points->dim, stride = m->points->stride;

	memset(m->sum, 0, (size_t)m->k * (size_t)dim * sizeof(double));
	for (int64_t i = 0; i < m->points->n; i++)
		for (int64_t d = 0; d < dim; d++)
			m->sum[m->label[i] * dim + d] += (double)m->points->row[i * stride + d];
	for (int c = 0; c < m->k; c++) {
		double square = 0;
		for (int64_t d = 0; d < dim; d++)
			square += m->sum[c * dim + d] * m->sum[c * dim + d];
		if (square < 1e-20) /* opposite points: any centre is as good; the old one stays */
			continue;
		for (int64_t d = 0; d < dim; d++)
			m->centre[c * stride + d] = (float)(m->sum[c * dim + d] / sqrt(square));
	}
}

static void count(struct kmeans *m)
{
	memset(m->size, 0, (size_t)m->k * sizeof(m->size[0]));
	for (int64_t i = 0; i < m->points->n; i++)
		m->size[m->label[i]]++;
}

/* ---- Seeding ---- */

/* Points that are drawn for each further centre. */
static int tries(int k) { return 2 + (int)log((double)k); }

static void candidate_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct kmeans *m = arg;
	int64_t stride = m->points->stride;

	(void)worker;
	for (int64_t i = begin; i < end; i++)
		m->dots(m->candidate, m->tries, stride, m->points->row + i * stride, m->scratch + i * m->tries);
}

/* How far a point is from the centres so far, as k-means++ weighs it: the squared distance, less a factor. */
static double weight(const struct kmeans *m, int64_t i)
{
	double w = 1 - (double)m->near[i];
	return w > 0 ? w : 0;
}

static int64_t draw(const struct kmeans *m, struct phiz_rng *rng, double total)
{
	double at = phiz_rng_f64(rng) * total;

	for (int64_t i = 0; i < m->points->n; i++) {
		at -= weight(m, i);
		if (at < 0)
			return i;
	}
	return (int64_t)phiz_rng_below(rng, (uint32_t)m->points->n); /* all points coincide with centres */
}

static void seed_next(struct kmeans *m, struct phiz_rng *rng, float *candidate, int c)
{
	int64_t n = m->points->n, stride = m->points->stride;
	size_t bytes = (size_t)stride * sizeof(float);
	double total = 0, best_gain = -1;
	int best = 0;

	for (int64_t i = 0; i < n; i++)
		total += weight(m, i);
	for (int t = 0; t < m->tries; t++)
		memcpy(candidate + t * stride, m->points->row + draw(m, rng, total) * stride, bytes);
	m->candidate = candidate;
	phiz_parallel_for(m->ctx, n, GRAIN, candidate_range, m);
	for (int t = 0; t < m->tries; t++) {
		double gain = 0;
		for (int64_t i = 0; i < n; i++) {
			float cosine = m->scratch[i * m->tries + t];
			gain += cosine > m->near[i] ? (double)(cosine - m->near[i]) : 0;
		}
		if (gain > best_gain) {
			best_gain = gain;
			best = t;
		}
	}
	memcpy(m->centre + c * stride, candidate + best * stride, bytes);
	for (int64_t i = 0; i < n; i++)
		if (m->scratch[i * m->tries + best] > m->near[i])
			m->near[i] = m->scratch[i * m->tries + best];
}

static void seed(struct kmeans *m, struct phiz_rng *rng, float *candidate)
{
	int64_t n = m->points->n, stride = m->points->stride;

	m->tries = 1;
	m->candidate = m->points->row + (int64_t)phiz_rng_below(rng, (uint32_t)n) * stride;
	phiz_parallel_for(m->ctx, n, GRAIN, candidate_range, m);
	memcpy(m->centre, m->candidate, (size_t)stride * sizeof(float));
	memcpy(m->near, m->scratch, (size_t)n * sizeof(float));
	m->tries = tries(m->k);
	for (int c = 1; c < m->k; c++)
		seed_next(m, rng, candidate, c);
}

/* ---- All of it ---- */

static enum phiz_status allocate(struct kmeans *m, float **candidate)
{
	size_t n = (size_t)m->points->n, k = (size_t)m->k, row = (size_t)m->points->stride * sizeof(float);
	size_t seeding = n * (size_t)tries(m->k), running = (size_t)phiz_ctx_threads(m->ctx) * k;

	m->centre = phiz_calloc(m->ctx, k, row);
	m->sum = phiz_alloc(m->ctx, k, (size_t)m->points->dim * sizeof(double));
	m->size = phiz_alloc(m->ctx, k, sizeof(m->size[0]));
	m->label = phiz_alloc(m->ctx, n, sizeof(m->label[0]));
	m->near = phiz_alloc(m->ctx, n, sizeof(m->near[0]));
	m->second = phiz_alloc(m->ctx, n, sizeof(m->second[0]));
	m->cost = phiz_alloc(m->ctx, k, sizeof(m->cost[0]));
	m->scratch = phiz_alloc(m->ctx, seeding > running ? seeding : running, sizeof(float));
	*candidate = phiz_alloc(m->ctx, (size_t)tries(m->k), row);
	return m->centre && m->sum && m->size && m->label && m->near && m->second && m->cost && m->scratch && *candidate ?
		PHIZ_OK : PHIZ_E_NOMEM;
}

static void release(struct kmeans *m, float *candidate)
{
	phiz_free(m->ctx, m->centre);
	phiz_free(m->ctx, m->sum);
	phiz_free(m->ctx, m->size);
	phiz_free(m->ctx, m->label);
	phiz_free(m->ctx, m->near);
	phiz_free(m->ctx, m->second);
	phiz_free(m->ctx, m->cost);
	phiz_free(m->ctx, m->scratch);
	phiz_free(m->ctx, candidate);
}

/* From seeded centres until nothing changes; gives the objective. */
static double iterate(struct kmeans *m, int max_iterations)
{
	double last = INFINITY;

	for (int i = 0; i < max_iterations; i++) {
		phiz_parallel_for(m->ctx, m->points->n, GRAIN, assign_range, m);
		count(m);
		fill_empty(m);
		double now = objective(m);
		if (now >= last * (1 - 1e-7))
			return now;
		last = now;
		set_centres(m);
	}
	return last;
}

/* ---- Swaps: out of local minima ---- */

/* The centre with the r-th lowest cost. */
static int cheapest(const struct kmeans *m, int r)
{
	for (int c = 0; c < m->k; c++) {
		int lower = 0;
		for (int d = 0; d < m->k; d++)
			lower += m->cost[d] < m->cost[c] || (m->cost[d] == m->cost[c] && d < c);
		if (lower == r)
			return c;
	}
	return 0;
}

/* Takes a centre away that is hardly needed (the r-th least), and draws another as k-means++ does. */
static void swap_centre(struct kmeans *m, struct phiz_rng *rng, float *candidate, int r)
{
	memset(m->cost, 0, (size_t)m->k * sizeof(m->cost[0]));
	for (int64_t i = 0; i < m->points->n; i++)
		m->cost[m->label[i]] += (double)(m->near[i] - m->second[i]);
	int out = cheapest(m, r);
	for (int64_t i = 0; i < m->points->n; i++)
		if (m->label[i] == out)
			m->near[i] = m->second[i];
	seed_next(m, rng, candidate, out);
}

/* Swaps as long as that helps; Franti 2018, "Efficiency of random swap clustering". */
static enum phiz_status improve(struct kmeans *m, const struct phiz_kmeans_options *o, int iterations,
                                float *candidate, struct phiz_clusters *out)
{
	size_t bytes = (size_t)m->points->n * sizeof(m->label[0]);
	int least = m->k < SWAP_CENTRES ? m->k : SWAP_CENTRES;
	struct phiz_rng rng;

	phiz_rng_init(&rng, o->seed, (uint32_t)m->k, UINT32_MAX, PHIZ_STREAM_CLUSTER);
	for (int vain = 0; m->k > 1 && vain < SWAPS_IN_VAIN;) {
		memcpy(m->label, out->label, bytes);
		set_centres(m);
		phiz_parallel_for(m->ctx, m->points->n, GRAIN, assign_range, m);
		swap_centre(m, &rng, candidate, vain % least);
		double got = iterate(m, iterations);
		vain++;
		if (got < out->objective * (1 - 1e-6)) {
			out->objective = got;
			memcpy(out->label, m->label, bytes);
			vain = 0;
		}
		if (o->progress && o->progress(o->user, 1))
			return phiz_fail(m->ctx, PHIZ_E_CANCELLED, "broken off");
	}
	return PHIZ_OK;
}

static enum phiz_status start_all(struct kmeans *m, const struct phiz_kmeans_options *o, float *candidate,
                                  struct phiz_clusters *out)
{
	int restarts = o->restarts ? o->restarts : 4, iterations = o->max_iterations ? o->max_iterations : 100;
	struct phiz_rng rng;

	out->objective = INFINITY;
	for (int r = 0; r < restarts; r++) {
		phiz_rng_init(&rng, o->seed, (uint32_t)m->k, (uint64_t)r, PHIZ_STREAM_CLUSTER);
		seed(m, &rng, candidate);
		double got = iterate(m, iterations);
		if (got < out->objective) {
			out->objective = got;
			memcpy(out->label, m->label, (size_t)m->points->n * sizeof(m->label[0]));
		}
		if (o->progress && o->progress(o->user, (double)(r + 1) / (restarts + 1)))
			return phiz_fail(m->ctx, PHIZ_E_CANCELLED, "broken off");
	}
	return improve(m, o, iterations, candidate, out);
}

enum phiz_status phiz_cluster_kmeans(const struct phiz_points *points, int k, const struct phiz_kmeans_options *options,
                                     struct phiz_clusters *out)
{
	static const struct phiz_kmeans_options defaults;
	struct kmeans m = {.points = points, .ctx = points->ctx, .k = k};
	float *candidate = NULL;

	memset(out, 0, sizeof(*out));
	options = options ? options : &defaults;
	if (k < 1 || k > points->n)
		return phiz_fail(m.ctx, PHIZ_E_ARG, "cannot make %d groups of %lld points", k, (long long)points->n);
	if (options->restarts < 0 || options->restarts > 1000 || options->max_iterations < 0 ||
	    options->max_iterations > 10000)
		return phiz_fail(m.ctx, PHIZ_E_ARG, "restarts: want 1 to 1000; iterations: 1 to 10000");
	enum phiz_status status = phiz_search_choose(m.ctx, &m.dots, NULL);
	if (!status)
		status = phiz_clusters_create(m.ctx, points->n, out);
	if (!status)
		status = allocate(&m, &candidate);
	if (!status)
		status = start_all(&m, options, candidate, out);
	if (!status)
		status = phiz_clusters_finish(out, k);
	release(&m, candidate);
	if (status)
		phiz_clusters_free(out);
	return status;
}

/* ---- Choosing k ---- */

/* Up to SAMPLE of the points: borrowed where that is all of them. */
static enum phiz_status sample(const struct phiz_points *from, uint64_t seed_, struct phiz_points *out, bool *own)
{
	struct phiz_rng rng;
	int64_t at = 0;

	*out = *from;
	*own = from->n > SAMPLE;
	if (!*own)
		return PHIZ_OK;
	out->n = SAMPLE;
	out->row = phiz_alloc(from->ctx, SAMPLE, (size_t)from->stride * sizeof(float));
	if (!out->row)
		return PHIZ_E_NOMEM;
	/* Knuth's selection: each set of SAMPLE points is equally likely, and their order stays. */
	phiz_rng_init(&rng, seed_, 0, 0, PHIZ_STREAM_CLUSTER);
	for (int64_t i = 0; i < from->n && at < SAMPLE; i++)
		if (phiz_rng_f64(&rng) * (double)(from->n - i) < (double)(SAMPLE - at))
			memcpy(out->row + at++ * out->stride, from->row + i * from->stride,
			       (size_t)from->stride * sizeof(float));
	return PHIZ_OK;
}

struct part { /* of all the work that the progress tells of */
	const struct phiz_kmeans_options *options;
	double begin, size;
};

static bool part_progress(void *user, double done)
{
	const struct part *p = user;

	return p->options->progress(p->options->user, p->begin + p->size * done);
}

static enum phiz_status choose_k(const struct phiz_points *points, int k_min, int k_max,
                                 const struct phiz_kmeans_options *options, double *curve, int *best)
{
	struct part part = {.options = options};
	struct phiz_kmeans_options inner = *options;
	double highest = -INFINITY, mean;

	inner.restarts = options->restarts ? options->restarts : 2;
	inner.progress = options->progress ? part_progress : NULL;
	inner.user = &part;
	for (int k = k_min; k <= k_max; k++) {
		struct phiz_clusters c;
		part.begin = (double)(k - k_min) / (k_max - k_min + 2);
		part.size = 1.0 / (k_max - k_min + 2);
		enum phiz_status status = phiz_cluster_kmeans(points, k, &inner, &c);
		if (status)
			return status;
		bool tried = c.k >= 2; /* fewer where points coincide */
		if (tried)
			status = phiz_cluster_silhouette(points, &c, NULL, NULL, &mean);
		phiz_clusters_free(&c);
		if (status)
			return status;
		if (curve)
			curve[k - k_min] = tried ? mean : (double)NAN;
		if (tried && mean > highest + 1e-12) {
			highest = mean;
			*best = k;
		}
	}
	return PHIZ_OK;
}

enum phiz_status phiz_cluster_auto(const struct phiz_points *points, int k_min, int k_max,
                                   const struct phiz_kmeans_options *options, double *curve,
                                   struct phiz_clusters *out)
{
	static const struct phiz_kmeans_options defaults;
	struct phiz_points some;
	bool own;
	int k = k_min;

	memset(out, 0, sizeof(*out));
	options = options ? options : &defaults;
	if (k_min < 2 || k_max < k_min || k_max >= points->n)
		return phiz_fail(points->ctx, PHIZ_E_ARG, "cannot look for 2 <= k = %d..%d < %lld groups", k_min, k_max,
		                 (long long)points->n);
	for (int i = 0; curve && i <= k_max - k_min; i++)
		curve[i] = (double)NAN;
	enum phiz_status status = sample(points, options->seed, &some, &own);
	if (!status)
		status = choose_k(&some, k_min, k_max < some.n ? k_max : (int)some.n - 1, options, curve, &k);
	if (own)
		phiz_free(points->ctx, some.row);
	if (!status) {
		struct part part = {options, 1 - 1.0 / (k_max - k_min + 2), 1.0 / (k_max - k_min + 2)};
		struct phiz_kmeans_options last = *options;
		last.progress = options->progress ? part_progress : NULL;
		last.user = &part;
		status = phiz_cluster_kmeans(points, k, &last, out);
	}
	return status;
}
