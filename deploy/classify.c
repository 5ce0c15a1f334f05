/* Classifiers on embeddings: nearest photo, k nearest, class means, and the interface to all. */
#include "deploy/classify.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/cpu/search.h"

enum { MAX_K = 1000 };

static enum phiz_status copy_rows(struct phiz_classifier *c, const struct phiz_samples *s)
{
	size_t floats;

	if (!phiz_size_mul((size_t)s->n, (size_t)c->stride, &floats))
		return phiz_fail(c->ctx, PHIZ_E_LIMIT, "too many photos for a classifier");
	c->rows = phiz_calloc(c->ctx, floats, sizeof *c->rows);
	c->label = phiz_alloc(c->ctx, (size_t)s->n, sizeof *c->label);
	if (!c->rows || !c->label)
		return PHIZ_E_NOMEM;
	for (int64_t i = 0; i < s->n; i++)
		memcpy(c->rows + i * c->stride, s->embedding + i * s->dim, (size_t)s->dim * sizeof *c->rows);
	memcpy(c->label, s->label, (size_t)s->n * sizeof *c->label);
	c->n = s->n;
	return PHIZ_OK;
}

enum phiz_status phiz_classifier_means(struct phiz_classifier *c, const struct phiz_samples *s)
{
	size_t floats;
	double *sum;

	if (!phiz_size_mul((size_t)c->classes, (size_t)c->stride, &floats))
		return phiz_fail(c->ctx, PHIZ_E_LIMIT, "too many people for a classifier");
	c->rows = phiz_calloc(c->ctx, floats, sizeof *c->rows);
	c->label = phiz_alloc(c->ctx, (size_t)c->classes, sizeof *c->label);
	sum = phiz_calloc(c->ctx, floats, sizeof *sum);
	enum phiz_status status = c->rows && c->label && sum ? PHIZ_OK : PHIZ_E_NOMEM;
	for (int64_t i = 0; i < s->n && !status; i++)
		for (int d = 0; d < s->dim; d++)
			sum[s->label[i] * c->stride + d] += (double)s->embedding[i * s->dim + d];
	for (int k = 0; k < c->classes && !status; k++) {
		double square = 0;
		for (int d = 0; d < s->dim; d++)
			square += sum[k * c->stride + d] * sum[k * c->stride + d];
		for (int d = 0; d < s->dim; d++)
			c->rows[k * c->stride + d] = square > 0 ? (float)(sum[k * c->stride + d] / sqrt(square)) : 0;
		c->label[k] = k;
	}
	c->n = c->classes;
	phiz_free(c->ctx, sum);
	return status;
}

/* The nearest row, of photos or of means. */
static enum phiz_status predict_nearest(struct phiz_classifier *c, const float *query, int32_t *label, double *score)
{
	struct phiz_hit hit;
	int64_t n;
	enum phiz_status status = phiz_search_top(c->ctx, c->rows, c->n, c->stride, query, 1, &hit, &n);

	if (status)
		return status;
	*label = c->label[hit.row];
	*score = (double)hit.dot;
	return PHIZ_OK;
}

static enum phiz_status predict_knn(struct phiz_classifier *c, const float *query, int32_t *label, double *score)
{
	struct phiz_hit hit[MAX_K];
	double best = -INFINITY;
	int64_t n;
	enum phiz_status status = phiz_search_top(c->ctx, c->rows, c->n, c->stride, query, c->options.k, hit, &n);

	for (int64_t i = 0; i < n && !status; i++) {
		int32_t who = c->label[hit[i].row];
		double sum = 0;
		int64_t votes = 0;
		for (int64_t j = 0; j < n; j++)
			if (c->label[hit[j].row] == who) {
				sum += (double)hit[j].dot;
				votes++;
			}
		if (sum > best || (sum == best && who < *label)) {
			best = sum;
			*label = who;
			*score = sum / (double)votes;
		}
	}
	return status;
}

static const struct phiz_classifier_kind kinds[] = {
	{"nearest", copy_rows, predict_nearest},
	{"knn", copy_rows, predict_knn},
	{"means", phiz_classifier_means, predict_nearest},
	{"svm", phiz_svm_fit, phiz_svm_predict},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const char *phiz_classifier_name(int i)
{
#ifdef PHIZ_HAVE_LIBLINEAR
	return i >= 0 && i < N_KINDS ? kinds[i].name : NULL;
#else
	return i >= 0 && i < N_KINDS - 1 ? kinds[i].name : NULL;
#endif
}

static enum phiz_status find_kind(struct phiz_ctx *ctx, const char *name, const struct phiz_classifier_kind **out)
{
	const char *names[N_KINDS];

	for (int i = 0; i < N_KINDS; i++) {
		names[i] = kinds[i].name;
		if (!strcmp(names[i], name)) {
			*out = &kinds[i];
			return PHIZ_OK;
		}
	}
	const char *near = phiz_suggest(name, names, N_KINDS);
	return phiz_fail(ctx, PHIZ_E_ARG, "no classifier '%.60s'; there are nearest, knn, means and svm%s%s%s", name,
	                 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum phiz_status check_samples(struct phiz_ctx *ctx, const struct phiz_samples *s)
{
	enum phiz_status status = PHIZ_OK;

	if (s->n < 1 || s->dim < 1 || s->classes < 1 || s->classes > s->n)
		return phiz_fail(ctx, PHIZ_E_ARG, "a classifier wants people, each with a photo");
	bool *seen = phiz_calloc(ctx, (size_t)s->classes, sizeof *seen);
	if (!seen)
		return PHIZ_E_NOMEM;
	for (int64_t i = 0; i < s->n && !status; i++) {
		if (s->label[i] < 0 || s->label[i] >= s->classes)
			status = phiz_fail(ctx, PHIZ_E_ARG, "label %d: want 0 to %d", (int)s->label[i], s->classes - 1);
		else
			seen[s->label[i]] = true;
		for (int d = 0; d < s->dim && !status; d++)
			if (!isfinite(s->embedding[i * s->dim + d]))
				status = phiz_fail(ctx, PHIZ_E_NUMERIC, "embedding %lld is not finite", (long long)i);
	}
	for (int k = 0; k < s->classes && !status; k++)
		if (!seen[k])
			status = phiz_fail(ctx, PHIZ_E_ARG, "person %d has no photo to learn from", k);
	phiz_free(ctx, seen);
	return status;
}

enum phiz_status phiz_classifier_fit(struct phiz_ctx *ctx, const char *name, const struct phiz_samples *samples,
                                     const struct phiz_classifier_options *options, struct phiz_classifier **out)
{
	const struct phiz_classifier_kind *kind = NULL;
	struct phiz_classifier *c;
	enum phiz_status status = find_kind(ctx, name, &kind);

	*out = NULL;
	if (!status)
		status = check_samples(ctx, samples);
	if (status)
		return status;
	c = phiz_calloc(ctx, 1, sizeof *c);
	if (!c)
		return PHIZ_E_NOMEM;
	c->ctx = ctx;
	c->kind = kind;
	if (options)
		c->options = *options;
	c->options.k = c->options.k ? c->options.k : 5;
	c->options.c = c->options.c != 0 ? c->options.c : 1;
	c->dim = samples->dim;
	c->classes = samples->classes;
	c->stride = phiz_search_stride(c->dim);
	c->query = phiz_calloc(ctx, (size_t)c->stride, sizeof *c->query);
	if (!c->query)
		status = PHIZ_E_NOMEM;
	else if (c->options.k < 1 || c->options.k > MAX_K || !(c->options.c >= 1e-6 && c->options.c <= 1e6))
		status = phiz_fail(ctx, PHIZ_E_ARG, "classifier: want k from 1 to %d and C from 1e-6 to 1e6", MAX_K);
	else
		status = kind->fit(c, samples);
	if (status)
		phiz_classifier_free(&c);
	*out = c;
	return status;
}

enum phiz_status phiz_classifier_predict(struct phiz_classifier *c, const float *embedding, int32_t *label,
                                         double *score)
{
	memcpy(c->query, embedding, (size_t)c->dim * sizeof *c->query);
	*label = 0;
	*score = -1;
	return c->kind->predict(c, c->query, label, score);
}

void phiz_classifier_free(struct phiz_classifier **classifier)
{
	struct phiz_classifier *c = *classifier;

	if (!c)
		return;
	struct phiz_ctx *ctx = c->ctx;
	phiz_free(ctx, c->rows);
	phiz_free(ctx, c->label);
	phiz_free(ctx, c->weight);
	phiz_free(ctx, c->query);
	phiz_free(ctx, c);
	*classifier = NULL;
}
