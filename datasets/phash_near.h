/* For phash.c: the search for hashes that differ in few bits. */
#ifndef PHIZ_DATASETS_PHASH_NEAR_H
#define PHIZ_DATASETS_PHASH_NEAR_H

#include "datasets/phash.h"

/* Appends all pairs of valid hashes that differ in at most `near` bits (>= 0) to out, in no order; photos of one hash
 * are chained, and the first of them stands for all. On the context's threads. */
enum phiz_status phiz_phash_near(struct phiz_ctx *ctx, const struct phiz_phash *hash, size_t count, int near,
                                 struct phiz_pairs *out);
/* Appends the pair of samples a and b, the smaller first. */
enum phiz_status phiz_pairs_add(struct phiz_ctx *ctx, struct phiz_pairs *pairs, size_t a, size_t b, int distance,
                                bool burst);

#endif
