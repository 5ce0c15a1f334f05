/* Faces followed from frame to frame of a video, with the best crops of each. A face goes to the track whose last box
 * it overlaps most (IoU of 0.3 and more); with embeddings also to the track that it resembles (cosine of 0.45 and
 * more), however long that was not seen, and never to one that it does not resemble at all (below 0.1: a cut in the
 * film). */
#ifndef PHIZ_TOOLS_TRACK_H
#define PHIZ_TOOLS_TRACK_H

#include "core/base/bytes.h"
#include "datasets/crops.h"
#include "datasets/phash.h"

/* A face in a frame, its encoded crop and what that looks like. */
struct track_face {
	struct phiz_crop row; /* texts and embedding are owned where it is kept */
	struct phiz_bytes crop;
	struct phiz_phash hash;
};

struct track {
	float box[4];        /* where it was seen last */
	double first, last;  /* seconds */
	int64_t frames;      /* in which it was seen */
	int64_t at;          /* the last of them, by number of frames looked at */
	double *mean;        /* sum of its embeddings; NULL: none */
	struct track_face *kept; /* at most tracks.keep, the best of what is not nearly the same */
	int n_kept;
};

struct tracks {
	struct phiz_ctx *ctx;
	int keep, dim;
	double patience; /* seconds after which a face that is not seen is gone from its place */
	struct track *track;
	size_t count, capacity;
	int64_t looked_at; /* frames */
	size_t bytes;      /* of kept crops */
};

void tracks_init(struct tracks *t, struct phiz_ctx *ctx, int keep, int dim, double patience);
void tracks_free(struct tracks *t);
/* The n faces of the next frame, which are taken over: what is not kept is freed, also on failure. NOMEM. */
enum phiz_status tracks_add(struct tracks *t, struct track_face *face, int n, double time);
/* Tracks that were never seen at the same time and resemble each other (cosine of the means 0.6 and more) are one
 * person. Without embeddings nothing is done. */
enum phiz_status tracks_join(struct tracks *t);
/* Takes the i-th track off the list; the caller frees it. */
struct track tracks_take(struct tracks *t, size_t i);
void track_free(struct phiz_ctx *ctx, struct track *track);
void track_face_free(struct phiz_ctx *ctx, struct track_face *face);

#endif
