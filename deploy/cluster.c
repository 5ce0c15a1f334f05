/* Points, groups in order, and what a grouping is worth. */
#include "deploy/cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/cpu/search.h"

enum { GRAIN = 128 }; /* points of a piece of parallel work */

enum phiz_status phiz_points_create(struct phiz_ctx *ctx, const float *x, int64_t n, int64_t dim,
                                    struct phiz_points *out)
{
	memset(out, 0, sizeof(*out));
	out->ctx = ctx;
	if (n < 1 || n > INT32_MAX || dim < 1 || dim > 1 << 20)
		return phiz_fail(ctx, PHIZ_E_ARG, "cannot group %lld points of %lld numbers", (long long)n, (long long)dim);
	out->n = n;
	out->dim = dim;
	out->stride = phiz_search_stride(dim);
	out->row = phiz_calloc(ctx, (size_t)n, (size_t)out->stride * sizeof(float));
	if (!out->row)
		return PHIZ_E_NOMEM;
	for (int64_t i = 0; i < n; i++) {
		double sum = 0;
		for (int64_t d = 0; d < dim; d++)
			sum += (double)x[i * dim + d] * (double)x[i * dim + d];
		if (!isfinite(sum) || sum <= 0) {
			phiz_points_free(out);
			return phiz_fail(ctx, PHIZ_E_NUMERIC, "row %lld %s", (long long)i,
			                 isfinite(sum) ? "is all zeros" : "has a NaN or Inf");
		}
		double scale = 1 / sqrt(sum);
		for (int64_t d = 0; d < dim; d++)
			out->row[i * out->stride + d] = (float)((double)x[i * dim + d] * scale);
	}
	return PHIZ_OK;
}

void phiz_points_free(struct phiz_points *points)
{
	if (points->ctx)
		phiz_free(points->ctx, points->row);
	memset(points, 0, sizeof(*points));
}

enum phiz_status phiz_clusters_create(struct phiz_ctx *ctx, int64_t n, struct phiz_clusters *out)
{
	memset(out, 0, sizeof(*out));
	out->ctx = ctx;
	out->n = n;
	out->label = phiz_calloc(ctx, (size_t)n, sizeof(out->label[0]));
	return out->label ? PHIZ_OK : PHIZ_E_NOMEM;
}

void phiz_clusters_free(struct phiz_clusters *clusters)
{
	if (clusters->ctx)
		phiz_free(clusters->ctx, clusters->label);
	memset(clusters, 0, sizeof(*clusters));
}

struct group {
	int64_t size, first;
	int32_t old;
};

static int by_size(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

enum phiz_status phiz_clusters_finish(struct phiz_clusters *c, int32_t limit)
{
	struct group *group = phiz_calloc(c->ctx, (size_t)limit, sizeof(*group));
	int32_t *number = phiz_alloc(c->ctx, (size_t)limit, sizeof(*number));

	if (!group || !number) {
		phiz_free(c->ctx, group);
		phiz_free(c->ctx, number);
		return PHIZ_E_NOMEM;
	}
	for (int32_t g = 0; g < limit; g++)
		group[g].old = g;
	c->noise = 0;
	for (int64_t i = 0; i < c->n; i++) {
		if (c->label[i] < 0) {
			c->label[i] = PHIZ_NOISE;
			c->noise++;
		} else if (group[c->label[i]].size++ == 0) {
			group[c->label[i]].first = i;
		}
	}
	qsort(group, (size_t)limit, sizeof(*group), by_size);
	c->k = 0;
	for (int32_t g = 0; g < limit; g++) {
		number[group[g].old] = g;
		c->k += group[g].size > 0;
	}
	for (int64_t i = 0; i < c->n; i++)
		if (c->label[i] >= 0)
			c->label[i] = number[c->label[i]];
	phiz_free(c->ctx, group);
	phiz_free(c->ctx, number);
	return PHIZ_OK;
}

/* ---- Silhouette ---- */

struct silhouette {
	const struct phiz_points *points;
	const struct phiz_clusters *clusters;
	double *sum;   /* k x dim: of the points of each group */
	int64_t *size; /* of each group */
	double *each;
};

/* The sum of distances of x to a group's points is size - x . (their sum): no pair is ever looked at. */
static double distance_sum(const struct silhouette *s, const float *x, int g)
{
	const double *sum = s->sum + (size_t)g * (size_t)s->points->dim;
	double dot = 0;

	for (int64_t d = 0; d < s->points->dim; d++)
		dot += (double)x[d] * sum[d];
	return (double)s->size[g] - dot;
}

static void silhouette_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct silhouette *s = arg;

	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const float *x = s->points->row + i * s->points->stride;
		int own = s->clusters->label[i];
		double square = 0, a = 0, b = INFINITY;

		s->each[i] = own < 0 ? (double)NAN : 0;
		if (own < 0 || s->size[own] < 2)
			continue;
		for (int64_t d = 0; d < s->points->dim; d++)
			square += (double)x[d] * (double)x[d];
		for (int g = 0; g < s->clusters->k; g++) {
			double sum = distance_sum(s, x, g);
			if (g == own) /* less the distance to itself, which rounding makes not quite 0 */
				a = (sum - (1 - square)) / (double)(s->size[g] - 1);
			else if (sum / (double)s->size[g] < b)
				b = sum / (double)s->size[g];
		}
		a = a > 0 ? a : 0;
		b = b > 0 ? b : 0;
		s->each[i] = a > 0 || b > 0 ? (b - a) / (a > b ? a : b) : 0;
	}
}

static void sum_groups(struct silhouette *s)
{
	for (int64_t i = 0; i < s->points->n; i++) {
		int g = s->clusters->label[i];
		if (g < 0)
			continue;
		s->size[g]++;
		for (int64_t d = 0; d < s->points->dim; d++)
			s->sum[(size_t)g * (size_t)s->points->dim + (size_t)d] +=
				(double)s->points->row[i * s->points->stride + d];
	}
}

static void average(const struct silhouette *s, double *group_mean, double *mean)
{
	double sum = 0;
	int64_t count = 0;

	for (int g = 0; group_mean && g < s->clusters->k; g++)
		group_mean[g] = 0;
	for (int64_t i = 0; i < s->points->n; i++) {
		int g = s->clusters->label[i];
		if (g < 0)
			continue;
		sum += s->each[i];
		count++;
		if (group_mean)
			group_mean[g] += s->each[i];
	}
	for (int g = 0; group_mean && g < s->clusters->k; g++)
		group_mean[g] /= (double)s->size[g];
	*mean = sum / (double)count;
}

enum phiz_status phiz_cluster_silhouette(const struct phiz_points *points, const struct phiz_clusters *clusters,
                                         double *each, double *group_mean, double *mean)
{
	struct phiz_ctx *ctx = points->ctx;
	struct silhouette s = {points, clusters, NULL, NULL, each};

	*mean = 0;
	if (clusters->n != points->n || clusters->k < 2)
		return phiz_fail(ctx, PHIZ_E_ARG, "a silhouette wants two groups at least, got %d", clusters->k);
	s.sum = phiz_calloc(ctx, (size_t)clusters->k, (size_t)points->dim * sizeof(double));
	s.size = phiz_calloc(ctx, (size_t)clusters->k, sizeof(int64_t));
	if (!each)
		s.each = phiz_alloc(ctx, (size_t)points->n, sizeof(double));
	enum phiz_status status = s.sum && s.size && s.each ? PHIZ_OK : PHIZ_E_NOMEM;
	if (!status) {
		sum_groups(&s);
		phiz_parallel_for(ctx, points->n, GRAIN, silhouette_range, &s);
		average(&s, group_mean, mean);
	}
	phiz_free(ctx, s.sum);
	phiz_free(ctx, s.size);
	if (!each)
		phiz_free(ctx, s.each);
	return status;
}

/* ---- Against names ---- */

struct cell {
	int64_t group, person; /* noise: groups of one, from k on */
};

static int by_group(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->person > y->person) - (x->person < y->person);
}

static int by_person(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	return (x->person > y->person) - (x->person < y->person);
}

static double pairs(double n) { return n * (n - 1) / 2; }

static double entropy(double part, double n) { return part > 0 ? -part / n * log(part / n) : 0; }

struct tally {
	double both_pairs, group_pairs, person_pairs; /* pairs in one cell, group, person */
	double both_entropy, group_entropy, person_entropy;
	double most; /* points of their group's most frequent person, groups only */
};

static void tally_groups(const struct cell *c, int64_t n, int k, struct tally *t)
{
	for (int64_t i = 0, j; i < n; i = j) {
		int64_t most = 0;
		for (j = i; j < n && c[j].group == c[i].group;) {
			int64_t from = j;
			while (j < n && c[j].group == c[i].group && c[j].person == c[from].person)
				j++;
			most = j - from > most ? j - from : most;
			t->both_pairs += pairs((double)(j - from));
			t->both_entropy += entropy((double)(j - from), (double)n);
		}
		t->group_pairs += pairs((double)(j - i));
		t->group_entropy += entropy((double)(j - i), (double)n);
		if (c[i].group < k)
			t->most += (double)most;
	}
}

static void tally_people(const struct cell *c, int64_t n, struct tally *t)
{
	for (int64_t i = 0, j; i < n; i = j) {
		for (j = i; j < n && c[j].person == c[i].person;)
			j++;
		t->person_pairs += pairs((double)(j - i));
		t->person_entropy += entropy((double)(j - i), (double)n);
	}
}

static double share(double part, double whole) { return whole > 0 ? part / whole : 1; }

enum phiz_status phiz_cluster_compare(const struct phiz_clusters *clusters, const int32_t *truth,
                                      struct phiz_cluster_agreement *out)
{
	struct tally t = {0};
	int64_t n = clusters->n, alone = clusters->k;
	struct cell *cell = phiz_alloc(clusters->ctx, (size_t)n, sizeof(*cell));

	memset(out, 0, sizeof(*out));
	if (!cell)
		return PHIZ_E_NOMEM;
	for (int64_t i = 0; i < n; i++) {
		cell[i].group = clusters->label[i] < 0 ? alone++ : clusters->label[i];
		cell[i].person = truth[i];
	}
	qsort(cell, (size_t)n, sizeof(*cell), by_group);
	tally_groups(cell, n, clusters->k, &t);
	qsort(cell, (size_t)n, sizeof(*cell), by_person);
	tally_people(cell, n, &t);
	phiz_free(clusters->ctx, cell);
	double information = t.group_entropy + t.person_entropy - t.both_entropy;
	double mean = (t.group_entropy + t.person_entropy) / 2;
	out->purity = share(t.most, (double)(n - clusters->noise));
	out->nmi = mean > 0 ? information / mean : 1;
	out->nmi = out->nmi < 0 ? 0 : out->nmi > 1 ? 1 : out->nmi;
	out->precision = share(t.both_pairs, t.group_pairs);
	out->recall = share(t.both_pairs, t.person_pairs);
	out->f1 = out->precision + out->recall > 0 ?
		2 * out->precision * out->recall / (out->precision + out->recall) : 0;
	return PHIZ_OK;
}
