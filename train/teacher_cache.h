/* What a teacher said of photos in an earlier session or run, found again by the photos themselves: by their bytes and
 * by where the face is in them, so that names and folders may change and more photos may come. */
#ifndef PHIZ_TRAIN_TEACHER_CACHE_H
#define PHIZ_TRAIN_TEACHER_CACHE_H

#include <phiz/align.h>

#include "datasets/scan.h"

struct phiz_photo_key {
	char text[32]; /* half of a SHA-256 in hex; zeros: the photo cannot be read */
};

/* Fills key[sample] for the samples index[0..count). faces (one for each sample): NULL where photos are crops. */
enum phiz_status phiz_photo_keys(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                 const struct phiz_face *faces, const uint32_t *index, size_t count,
                                 struct phiz_photo_key *key);

/* `how`: all else that embeddings depend on, as a text. embedding: [samples of the dataset, dim]. */
struct phiz_teacher_memory {
	const char *how;
	int dim;
	size_t samples;
	const struct phiz_photo_key *key; /* of each sample */
	float *embedding;
};

/* Takes what the file at `path` holds of the samples index[0..count), and keeps in index those of which it holds
 * nothing; gives how many these are. A file that is not there, cannot be read (a warning) or was made otherwise holds
 * nothing. */
size_t phiz_teacher_recall(struct phiz_ctx *ctx, const struct phiz_teacher_memory *memory, const char *path,
                           uint32_t *index, size_t count);
/* Writes all samples that have a key; where that fails there is a warning, no error. */
void phiz_teacher_keep(struct phiz_ctx *ctx, const struct phiz_teacher_memory *memory, const char *path);

#endif
