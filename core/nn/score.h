/* A classifier's score: what its threshold is compared with. */
#ifndef PHIZ_NN_SCORE_H
#define PHIZ_NN_SCORE_H

#include <phiz/model.h>

/* How to make a score of logits. Of a cosine, the last layer's bias and the length of its rows are taken out again. */
struct phiz_scorer {
	enum phiz_score kind;
	double *length, *bias; /* of each class; NULL with CONFIDENCE */
};

/* As phiz_model_score says. Copies what it needs. NOMEM; FORMAT (a threshold on cosines in a model that has none). */
enum phiz_status phiz_scorer_init(const struct phiz_model *model, struct phiz_scorer *scorer);
void phiz_scorer_free(struct phiz_ctx *ctx, struct phiz_scorer *scorer);

/* Of the class that has this logit, and this share of the softmax. */
double phiz_scorer_score(const struct phiz_scorer *scorer, int64_t class_index, double logit, double confidence);

#endif
