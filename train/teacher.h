/* The teacher of a distillation: its embedding of every photo, clean and aligned, computed once and kept. It is the
 * direction between the embeddings of the photo and of its mirror image, so that what is taught does not depend on
 * which of them it was. */
#ifndef PHIZ_TRAIN_TEACHER_H
#define PHIZ_TRAIN_TEACHER_H

#include <signal.h>

#include <phiz/model.h>

#include "datasets/landmarks.h"
#include "datasets/scan.h"

struct phiz_teacher {
	int dim;
	float *embedding; /* [samples of the dataset, dim], L2-normalised; zeros where a photo cannot be read */
	char hash[65];    /* phiz_model_hash of the teacher */
};

struct phiz_teacher_options {
	/* A .phiz: an embedder, or a classifier, whose embedding is what its last linear layer reads. */
	const char *path;
	const struct phiz_model *model; /* instead of the file, which then only names it in messages; NULL: none */
	const struct phiz_landmarks *faces; /* NULL: the photos are crops already */
	const struct phiz_align *align; /* how faces are cut out where the teacher's file does not say */
	int batch;
	enum phiz_dtype precision; /* that it computes in: F32 or BF16 */
	const char *cache; /* a file that keeps the embeddings, made anew where it lacks some of the photos; NULL: none */
	const char *earlier; /* another such file, of an earlier run: what it has need not be computed; NULL: none */
	const volatile sig_atomic_t *cancel; /* NULL: never */
	void *user;
	void (*progress)(void *user, int64_t done, int64_t total); /* photos; NULL: none */
};

/* Embeds the samples index[0..count), or takes what the cache holds of this teacher, photos and faces. A cache that
 * cannot be read or written is no error. Errors: as phiz_model_read; UNSUPPORTED (a detector; no linear layer at its
 * end), CANCELLED, FORMAT (none of the photos can be read), NUMERIC (an embedding that is not finite), NOMEM. */
enum phiz_status phiz_teacher_open(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                                   size_t count, const struct phiz_teacher_options *options, struct phiz_teacher *out);
void phiz_teacher_free(struct phiz_ctx *ctx, struct phiz_teacher *teacher);

#endif
