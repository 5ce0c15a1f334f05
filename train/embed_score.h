/* How well embeddings tell whether two photos show one person: over all pairs of some photos. */
#ifndef PHIZ_TRAIN_EMBED_SCORE_H
#define PHIZ_TRAIN_EMBED_SCORE_H

#include <phiz/ctx.h>

struct phiz_embed_score {
	int64_t same, different; /* pairs */
	double accuracy;  /* mean of the shares of both kinds that are judged rightly, at the cosine where it is highest */
	double threshold; /* that cosine; the lowest of equals */
	double tar;       /* share of the same pairs above the cosine that 1 % of the different ones exceed */
	double eer;       /* share of wrong judgements where it is the same for both kinds */
};

/* embedding: [n, dim], need not be normalised; person: [n]. Cosines are counted in steps of 1/10000. All of *out is NaN
 * (pairs: 0) where there is no pair of one of the kinds. NOMEM. */
enum phiz_status phiz_embed_score_pairs(struct phiz_ctx *ctx, const float *embedding, const int32_t *person, size_t n,
                                   size_t dim, struct phiz_embed_score *out);

/* x / |x|, in place; zeros stay. */
void phiz_embed_unit_rows(float *x, size_t n, size_t dim);

#endif
