/* Verification: are two photographs of one person? Figures from the cosines of pairs whose answer is known. No files,
 * no model. Shares are 0..1; a figure that the pairs do not define is NaN. */
#ifndef PHIZ_TRAIN_VERIFY_H
#define PHIZ_TRAIN_VERIFY_H

#include "train/metrics.h"

struct phiz_scored_pair {
	double cosine; /* of the embeddings, -1..1 */
	bool same;     /* one person */
	int fold;      /* 0 .. n_folds-1 */
};

struct phiz_verify_fold {
	int64_t pairs;
	double accuracy;  /* of this fold, at the threshold of the others */
	double threshold; /* "same" where cosine >= threshold: the lowest of -1.000, -0.999 ... 1.000 with the highest
	                     accuracy on the other folds (with one fold: on itself) */
};

enum { PHIZ_VERIFY_RATES = 3 };
extern const double phiz_verify_rate[PHIZ_VERIFY_RATES]; /* 1e-1, 1e-2, 1e-3 */

struct phiz_verification {
	int64_t pairs, same, different;
	struct phiz_verify_fold *fold;
	int n_folds;
	double accuracy, accuracy_std; /* mean over the folds, and standard deviation (of the population) */
	double threshold;              /* as a fold's, of all pairs */
	/* At the threshold next above the (k+1)-th highest cosine of the different pairs, k = floor(far * different):
	 * "known" are the same pairs, "strangers" the different ones. */
	struct phiz_operating_point at[PHIZ_VERIFY_RATES];
	struct phiz_roc roc;                                 /* with AUC and EER */
	double same_mean, same_std, different_mean, different_std; /* of cosines */
};

/* Errors: NOMEM, ARG (no same or no different pair; a fold out of range or without pairs), NUMERIC (a cosine that is
 * not finite). */
enum phiz_status phiz_verify_measure(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count,
                                     int n_folds, struct phiz_verification *out);
void phiz_verification_free(struct phiz_ctx *ctx, struct phiz_verification *v);
/* The point at the threshold for another false-accept rate. */
enum phiz_status phiz_verify_at(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count, double far,
                                struct phiz_operating_point *out);

/* Dot product of two L2-normalised embeddings, in double. */
double phiz_cosine(const float *a, const float *b, int dim);

#endif
