/* What a frozen trunk made of the photos, kept in memory: by photo and, where augmentation draws repeat, by view. */
#ifndef PHIZ_TRAIN_FEATURES_H
#define PHIZ_TRAIN_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include <phiz/ctx.h>

struct phiz_features {
	struct phiz_ctx *ctx;
	size_t samples, views; /* samples: of the whole dataset */
	size_t width;          /* floats of a photo */
	uint32_t *place;       /* of each sample: its row, UINT32_MAX: not kept */
	size_t rows;
	float **view;          /* [views]: rows * width floats; NULL until the first is put there */
	unsigned char **have;  /* [views]: a byte a row */
};

/* For the samples index[0..count) of a dataset of `samples`, `views` versions of each. Memory is taken view by view. */
enum phiz_status phiz_features_create(struct phiz_ctx *ctx, size_t samples, const uint32_t *index, size_t count,
                                      size_t views, size_t width, struct phiz_features **out);
void phiz_features_free(struct phiz_features **features);
/* Bytes that it takes when full; SIZE_MAX if that is more than can be said. */
size_t phiz_features_bytes(size_t count, size_t views, size_t width);

/* The features of a sample, or NULL if they are not there. features may be NULL. */
const float *phiz_features_get(const struct phiz_features *features, size_t view, uint32_t sample);
/* Where to write a sample's features, from now on there; NULL if the sample is not kept or memory ran out (which is no
 * error: they are not kept then). */
float *phiz_features_put(struct phiz_features *features, size_t view, uint32_t sample);

#endif
