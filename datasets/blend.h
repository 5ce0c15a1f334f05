/* Faces of nobody: each is made of two faces of a dataset, aligned to each other. A teacher knows what such a face
 * looks like to it, so an embedder that is distilled has more faces to learn from than there are photos. */
#ifndef PHIZ_DATASETS_BLEND_H
#define PHIZ_DATASETS_BLEND_H

#include "datasets/landmarks.h"
#include "datasets/scan.h"

struct phiz_blend_options {
	int64_t count;
	int size; /* side of a photo in pixels, 32..512; ArcFace's crop is the middle 7/8 of it */
	uint64_t seed;
};

struct phiz_blend_result {
	int64_t written, kept; /* photos made now, and found there */
	int64_t failed;        /* left out, for a photo that cannot be read or aligned */
};

/* Of what has been done; false breaks off. */
typedef bool (*phiz_blend_progress_fn)(void *user, int64_t done, int64_t total);

/* Writes dir/000/000000.jpg and so on, landmarks.csv with the five points, and blend.cfg, which says what made them and
 * marks the folder. Photo i depends on seed, size, i and the dataset; two faces are drawn for each, alike in chance.
 * What is there already stays, so that the same call goes on where one was broken off. Errors: ARG (options; fewer than
 * two faces; a folder with anything else in it, or of another seed, size or dataset), CANCELLED, IO, NOMEM. */
enum phiz_status phiz_blend_write(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                  const struct phiz_landmarks *faces, const struct phiz_blend_options *options,
                                  const char *dir, phiz_blend_progress_fn progress, void *user,
                                  struct phiz_blend_result *result);

#endif
