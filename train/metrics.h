/* Figures of merit of a classifier that also has to turn strangers away. Pure functions of guesses; no files, no model.
 * Shares are 0..1. A figure that the guesses do not define (no strangers, say) is NaN. */
#ifndef PHIZ_TRAIN_METRICS_H
#define PHIZ_TRAIN_METRICS_H

#include <stdbool.h>

#include <phiz/ctx.h>

#include "core/nn/score.h"

enum { PHIZ_GUESS_TOP = 5, PHIZ_CALIBRATION_BINS = 15 };
#define PHIZ_STRANGER (-1) /* the label of a face that is nobody the model knows */

/* What a model said about one photo. */
struct phiz_guess {
	int32_t label;                     /* who it is, or PHIZ_STRANGER */
	int32_t rank;                      /* of label: 0 is the best class; PHIZ_STRANGER: -1 */
	int32_t n_top;                     /* min(classes, PHIZ_GUESS_TOP) */
	int32_t top[PHIZ_GUESS_TOP];       /* the best classes; equal ones in order of index */
	double confidence[PHIZ_GUESS_TOP]; /* their softmax */
	double score;                      /* of the best class: what thresholds are compared with */
	double log_loss;                   /* -log softmax[label]; strangers: 0 */
};

/* Softmax and order of a photo's logits, in double, and the score (scorer NULL: the confidence). NUMERIC if one of them
 * is not finite. */
enum phiz_status phiz_guess_make(struct phiz_ctx *ctx, const struct phiz_scorer *scorer, const float *logits,
                                 int64_t classes, int32_t label, struct phiz_guess *out);

/* The 95 % interval of a share by Wilson (1927), which holds for few trials and for shares near 0 and 1. */
struct phiz_interval {
	double low, high;
};
struct phiz_interval phiz_wilson(int64_t successes, int64_t trials);

/* A person in a test: figures of a class against the rest. */
struct phiz_person_score {
	int64_t photos, predicted, right;
	double precision; /* right / predicted; NaN where nobody was taken for this person */
	double recall;    /* right / photos; NaN without photos */
	double f1;        /* 2 right / (photos + predicted); NaN where both are 0 */
	struct phiz_interval recall_interval;
};

struct phiz_calibration_bin {
	int64_t photos;
	double confidence, accuracy; /* means in the bin; NaN where it is empty */
};

/* How well the known people's photos are named, whatever the threshold. */
struct phiz_accuracy {
	int64_t photos, right, right5;
	double top1, top5;
	struct phiz_interval top1_interval, top5_interval;
	/* Means over the people who have photos or were named, as scikit-learn's macro averages: an undefined precision or
	 * recall counts as 0. */
	double macro_precision, macro_recall, macro_f1;
	double log_loss; /* mean of -log softmax of the true class */
	/* Guo et al. 2017: bin i holds confidences in (i/15, (i+1)/15]; ece is the mean of |accuracy - confidence| weighted
	 * by photos, mce the largest of any bin. */
	double ece, mce, mean_confidence;
	struct phiz_calibration_bin bin[PHIZ_CALIBRATION_BINS];
	int64_t classes;
	struct phiz_person_score *person; /* one per class */
	uint32_t *confusion;              /* [label * classes + named] */
};

/* Strangers are passed over. Errors: NOMEM, ARG (a label or class that is out of range). */
enum phiz_status phiz_accuracy_measure(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count,
                                       int64_t classes, struct phiz_accuracy *out);
void phiz_accuracy_free(struct phiz_ctx *ctx, struct phiz_accuracy *accuracy);

/* What happens at one threshold: a face is accepted if its score is >= value. */
struct phiz_operating_point {
	double value;
	int64_t known, accepted, named; /* known people's photos; accepted; accepted and named rightly */
	int64_t strangers, strangers_accepted;
	double far; /* false-accept rate: strangers_accepted / strangers */
	double tar; /* true-accept rate: named / known */
	struct phiz_interval far_interval, tar_interval;
};

/* Known people's photos against strangers', by their scores. One point per distinct score,
 * from the strictest (nothing is accepted) to the laxest (everything is). */
struct phiz_roc {
	struct phiz_operating_point *point; /* intervals are not filled in */
	size_t count;
	double auc; /* chance that a known person's photo is above a stranger's, ties counting one half */
	double eer; /* share at which as many strangers are accepted as known people refused, on straight lines between
	               the points */
};

enum phiz_status phiz_roc_measure(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count,
                                  struct phiz_roc *out);
void phiz_roc_free(struct phiz_ctx *ctx, struct phiz_roc *roc);

struct phiz_operating_point phiz_operate(const struct phiz_guess *guess, size_t count, double threshold);

/* The smallest threshold at which the share of strangers accepted is <= far: with the strangers' scores in
 * falling order s1 >= s2 >= ... and k = floor(far * n), the double next above s[k+1]. A tie across the border so
 * goes out as a whole. far * n < 1: lies above the highest stranger. Every stranger may be accepted (k = n): 0,
 * or the lowest score of all if that is less.
 * Where s[k+1] is 1, it is above 1, which no face meets. NaN without strangers. Errors: NOMEM, ARG (far not in
 * 0..1). */
enum phiz_status phiz_threshold_for(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count, double far,
                                    double *threshold);

/* McNemar's exact test: the chance, if two models were equally good, of discordant photos at least as unevenly shared
 * as only_a : only_b. 1 where there are none. */
double phiz_mcnemar(int64_t only_a, int64_t only_b);

#endif
