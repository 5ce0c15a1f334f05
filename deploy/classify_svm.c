/* The linear support vector machine: trained by liblinear, run here. */
#include "deploy/classify.h"

#include <math.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

#ifdef PHIZ_HAVE_LIBLINEAR
#include <linear.h>

/* liblinear reports its progress unless it is told where to; the pointer is its own and says the same each time. */
static void say_nothing(const char *text)
{
	(void)text;
}

/* Decision value of class k is w . x + b; of two classes liblinear keeps one row, for the one it calls first. */
static void take_weights(struct phiz_classifier *c, const struct model *m)
{
	int rows = m->nr_class == 2 ? 1 : m->nr_class;

	for (int k = 0; k < m->nr_class; k++) {
		double sign = m->nr_class == 2 && k == 1 ? -1 : 1;
		double *to = c->weight + (size_t)m->label[k] * ((size_t)c->dim + 1);
		for (int d = 0; d <= c->dim; d++)
			to[d] = sign * m->w[(size_t)d * (size_t)rows + (size_t)(rows == 1 ? 0 : k)];
	}
}

static enum phiz_status train_svm(struct phiz_classifier *c, const struct phiz_samples *s, struct feature_node *node,
                                  struct feature_node **x, double *y)
{
	/* The primal solver: the dual ones draw from rand(), and two runs would differ. */
	struct parameter p = {.solver_type = L2R_L2LOSS_SVC, .eps = 0.001, .C = c->options.c, .p = 0.1};
	struct problem problem = {.l = (int)s->n, .n = s->dim + 1, .y = y, .x = x, .bias = 1};
	size_t row = (size_t)s->dim + 2;

	for (int64_t i = 0; i < s->n; i++) {
		x[i] = node + (size_t)i * row;
		for (int d = 0; d < s->dim; d++)
			x[i][d] = (struct feature_node){d + 1, (double)s->embedding[i * s->dim + d]};
		x[i][s->dim] = (struct feature_node){s->dim + 1, 1};
		x[i][s->dim + 1] = (struct feature_node){-1, 0};
		y[i] = s->label[i];
	}
	if (check_parameter(&problem, &p))
		return phiz_fail(c->ctx, PHIZ_E_ARG, "svm: %s", check_parameter(&problem, &p));
	set_print_string_function(say_nothing);
	struct model *m = train(&problem, &p);
	if (!m)
		return phiz_fail(c->ctx, PHIZ_E_NOMEM, "svm: liblinear gave no model");
	take_weights(c, m);
	free_and_destroy_model(&m);
	return PHIZ_OK;
}

enum phiz_status phiz_svm_fit(struct phiz_classifier *c, const struct phiz_samples *s)
{
	size_t nodes, row = (size_t)s->dim + 2;

	if (c->classes < 2)
		return phiz_fail(c->ctx, PHIZ_E_ARG, "svm: wants two people or more");
	if (s->n > INT32_MAX / 2 || !phiz_size_mul((size_t)s->n, row, &nodes))
		return phiz_fail(c->ctx, PHIZ_E_LIMIT, "svm: too many photos");
	struct feature_node *node = phiz_alloc(c->ctx, nodes, sizeof *node);
	struct feature_node **x = phiz_alloc(c->ctx, (size_t)s->n, sizeof(struct feature_node *));
	double *y = phiz_alloc(c->ctx, (size_t)s->n, sizeof *y);
	c->weight = phiz_calloc(c->ctx, (size_t)c->classes * ((size_t)s->dim + 1), sizeof *c->weight);
	enum phiz_status status = node && x && y && c->weight ? phiz_classifier_means(c, s) : PHIZ_E_NOMEM;
	if (!status)
		status = train_svm(c, s, node, x, y);
	phiz_free(c->ctx, y);
	phiz_free(c->ctx, x);
	phiz_free(c->ctx, node);
	return status;
}
#else
enum phiz_status phiz_svm_fit(struct phiz_classifier *c, const struct phiz_samples *s)
{
	(void)s;
	return phiz_fail(c->ctx, PHIZ_E_UNSUPPORTED, "svm: this phiz was built without liblinear");
}
#endif

enum phiz_status phiz_svm_predict(struct phiz_classifier *c, const float *query, int32_t *label, double *score)
{
	double best = -INFINITY;

	for (int k = 0; k < c->classes; k++) {
		const double *w = c->weight + (size_t)k * ((size_t)c->dim + 1);
		double value = w[c->dim];
		for (int d = 0; d < c->dim; d++)
			value += w[d] * (double)query[d];
		if (value > best) {
			best = value;
			*label = k;
		}
	}
	*score = best;
	if (!c->options.reject_by_decision) {
		*score = 0;
		for (int d = 0; d < c->dim; d++)
			*score += (double)c->rows[*label * c->stride + d] * (double)query[d];
	}
	return PHIZ_OK;
}
