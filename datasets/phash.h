/* Perceptual hashes, and the search for photographs that show the same moment. */
#ifndef PHIZ_DATASETS_PHASH_H
#define PHIZ_DATASETS_PHASH_H

#include <phiz/image.h>

#include "datasets/scan.h"

#define PHIZ_PHASH_BITS 256

/* Difference hash: grey, resized to 17x16; bit (y, x) says whether pixel (y, x+1) is brighter than (y, x). Unrelated
 * photos differ in 128 bits on average and hardly ever in fewer than 50; a photo and its recompressed, resized or
 * lightly graded copy in fewer than 10. */
struct phiz_phash {
	uint64_t bit[4];
	int8_t step[PHIZ_PHASH_BITS]; /* the differences themselves, in grey levels, saturated */
	bool valid;                   /* false: the photo could not be read */
};

enum phiz_status phiz_phash_image(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_phash *out);
/* How many bits differ, 0..256. */
int phiz_phash_distance(const struct phiz_phash *a, const struct phiz_phash *b);
/* Of all the contrast in both photos, the share that goes the other way in the other, 0..1: the distance with each bit
 * weighed by its step, so that noise in a plain background does not count. Two plain photos: 0. */
double phiz_phash_contrary(const struct phiz_phash *a, const struct phiz_phash *b);

/* Hashes of all samples, decoded on the context's threads; (*out)[i] is sample i's; free with phiz_free. A photo that
 * cannot be read is logged by name (WARN), counted in *n_bad and has valid = false; with strict it is the error that is
 * returned (of the first such sample). Samples of part SKIP are not looked at. */
enum phiz_status phiz_phash_dataset(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, bool strict,
                                    struct phiz_phash **out, size_t *n_bad);

/* Two samples of a dataset, a < b. */
struct phiz_pair {
	uint32_t a, b;
	int distance; /* of their hashes */
	bool burst;   /* found by their place in a sequence of names, not by the hash alone */
};

struct phiz_pairs {
	struct phiz_pair *pair;
	size_t count, capacity;
};

struct phiz_similar_options {
	int near;  /* two photos whose hashes differ in at most so many bits show the same moment; -1: 10 */
	/* So do two of one person whose names differ only in a number and are neighbours in that sequence (IMG_0041.jpg,
	 * IMG_0042.jpg), if at most this share of their contrast is contrary; -1: 0.1 */
	double burst;
};

/* All such pairs, sorted by (a, b), found on the context's threads; photos with equal hashes are chained, and the first
 * of them stands for all. The work grows as n log n (phash_near.c). */
enum phiz_status phiz_similar_find(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                   const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                   struct phiz_pairs *out);
/* The same for samples that are in no dataset: path and person are looked at. */
enum phiz_status phiz_similar_samples(struct phiz_ctx *ctx, const struct phiz_sample *sample, size_t count,
                                      const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                      struct phiz_pairs *out);
void phiz_pairs_free(struct phiz_ctx *ctx, struct phiz_pairs *pairs);

#endif
