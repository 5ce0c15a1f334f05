/* Classifiers on embeddings: who is it, and how sure, behind one interface.
 *
 *     nearest  the cosine to the nearest photo; its person
 *     knn      of the k nearest photos, the person with the largest sum of cosines; the mean cosine of that person's
 *              photos among them
 *     means    the cosine to the nearest person's mean (what the gallery does)
 *     svm      linear support vector machine, one against the rest, squared hinge loss (liblinear); the person with the
 *              largest decision value; the cosine to that person's mean, or with reject_by_decision the decision value
 *
 * The second of each is the score: below a threshold on it the face is unknown. */
#ifndef PHIZ_CLASSIFY_H
#define PHIZ_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include <phiz/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_classifier;

struct phiz_classifier_options {
	int k;                   /* knn: 1..1000; 0: 5 */
	double c;                /* svm: penalty, 1e-6..1e6; 0: 1 */
	bool reject_by_decision; /* svm */
};

/* Embeddings to learn from; read while fitting, not kept. */
struct phiz_samples {
	const float *embedding; /* n x dim, L2-normalised */
	const int32_t *label;   /* 0..classes-1; each at least once */
	int64_t n;
	int dim, classes;
};

/* The i-th classifier's name, NULL behind the last. svm is left out where phiz was built without liblinear. */
PHIZ_API const char *phiz_classifier_name(int i);

/* ARG (no such name: "did you mean"; a label out of range or without samples; options), UNSUPPORTED (built without
 * liblinear), NUMERIC (not finite), NOMEM. options may be NULL. ctx must outlive the classifier. */
PHIZ_API enum phiz_status phiz_classifier_fit(struct phiz_ctx *ctx, const char *name,
                                              const struct phiz_samples *samples,
                                              const struct phiz_classifier_options *options,
                                              struct phiz_classifier **out);
/* embedding: dim floats, L2-normalised. Of equal scores the lower label. */
PHIZ_API enum phiz_status phiz_classifier_predict(struct phiz_classifier *classifier, const float *embedding,
                                                  int32_t *label, double *score);
PHIZ_API void phiz_classifier_free(struct phiz_classifier **classifier);

#ifdef __cplusplus
}
#endif
#endif
