/* The inside of classifiers; for deploy only. */
#ifndef PHIZ_DEPLOY_CLASSIFY_H
#define PHIZ_DEPLOY_CLASSIFY_H

#include <phiz/classify.h>

/* A kind of classifier: fits into state, predicts from it. Rows have `stride` floats (core/cpu/search.h). */
struct phiz_classifier_kind {
	const char *name;
	enum phiz_status (*fit)(struct phiz_classifier *c, const struct phiz_samples *samples);
	enum phiz_status (*predict)(struct phiz_classifier *c, const float *query, int32_t *label, double *score);
};

struct phiz_classifier {
	struct phiz_ctx *ctx;
	const struct phiz_classifier_kind *kind;
	struct phiz_classifier_options options;
	int dim, classes;
	int64_t stride, n;  /* n: rows */
	float *rows;        /* photos or means */
	int32_t *label;     /* of each row */
	double *weight;     /* svm: classes x (dim + 1), the last the bias */
	float *query;       /* padded */
};

/* The mean of each class as a row. */
enum phiz_status phiz_classifier_means(struct phiz_classifier *c, const struct phiz_samples *samples);
/* classify_svm.c; UNSUPPORTED without liblinear. */
enum phiz_status phiz_svm_fit(struct phiz_classifier *c, const struct phiz_samples *samples);
enum phiz_status phiz_svm_predict(struct phiz_classifier *c, const float *query, int32_t *label, double *score);

#endif
