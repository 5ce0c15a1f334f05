/* A folder of crops: faces cut out of photos and videos by `phiz data extract`, and what stands beside them.
 *
 *     DIR/PERSON/NAME.jpg        the crops, to train on
 *     DIR/extract.json           how they were made
 *     DIR/manifest.csv           where each comes from, a row per face, and what was left out and why
 *     DIR/landmarks.csv          the five points and the box of each crop, in pixels of the crop
 *     DIR/_aside/PERSON/...      faces that were set aside
 *     DIR/_sheets/PERSON.jpg     a contact sheet per person
 *     DIR/.extract.csv           the manifest with what going on needs: file sizes and times, embeddings */
#ifndef PHIZ_DATASETS_CROPS_H
#define PHIZ_DATASETS_CROPS_H

#include <phiz/align.h>

#include "core/base/bytes.h"
#include "core/image/quality.h"
#include "datasets/scan.h"

#define PHIZ_CROPS_SETTINGS "extract.json"
#define PHIZ_CROPS_MANIFEST "manifest.csv"
#define PHIZ_CROPS_LANDMARKS "landmarks.csv"
#define PHIZ_CROPS_STATE ".extract.csv"
#define PHIZ_CROPS_ASIDE "_aside"
#define PHIZ_CROPS_SHEETS "_sheets"

/* --- How crops were made. --- */

struct phiz_crops_settings {
	struct phiz_align align;
	bool png;             /* crops are PNG; else JPEG of quality 95 */
	double min_score;     /* of the detector, 0..1 */
	double min_size;      /* shorter side of the box in pixels of the photo */
	double min_quality;   /* phiz_quality.overall, 0..1 */
	double every, fps;    /* of videos: every n-th frame, or so many a second; 0: not given */
	char detector[80];    /* which: hash of the model or of the list of faces */
	char embedder[80];    /* hash of the model, "" if there was none */
	bool complete;        /* false: the work was broken off */
};

/* Reads and writes DIR/extract.json. Errors of reading: NOTFOUND, FORMAT (with what is wrong), IO. */
enum phiz_status phiz_crops_settings_read(struct phiz_ctx *ctx, const char *dir, struct phiz_crops_settings *out);
enum phiz_status phiz_crops_settings_write(struct phiz_ctx *ctx, const char *dir,
                                           const struct phiz_crops_settings *settings);
/* The same from text; name is used in messages. */
enum phiz_status phiz_crops_settings_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                           struct phiz_crops_settings *out);
/* The first setting in which a and b differ, as "size 112, asked for 160", into text; false where they are the same.
 * complete does not count. */
bool phiz_crops_settings_differ(const struct phiz_crops_settings *there, const struct phiz_crops_settings *asked,
                                char *text, size_t size);
/* How the photos in a folder of training data were cut out, for the model that is trained on them: what its
 * extract.json says; kind NONE where there is none. Errors: FORMAT, IO. */
enum phiz_status phiz_crops_align(struct phiz_ctx *ctx, const char *dir, struct phiz_align *out);
/* The same for all folders that a dataset's photos to train on lie in. ARG if they were cut out in different ways, or
 * some of them and others not. */
enum phiz_status phiz_crops_align_dataset(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                          struct phiz_align *out);
/* For photos that phiz data extract cut out and that `align` cuts anew, by their faces (score < 0: not this photo):
 * share, if not NULL, is the mean share of what is cut that lies outside of the crop and is black; 0 where there are no
 * such photos. ARG where crops were stretched (facenet) and would stay so in a cut that is not: faces of another form
 * than the model sees when it runs. Errors besides: FORMAT, IO. */
enum phiz_status phiz_crops_recut(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                  const struct phiz_face *face, const struct phiz_align *align, double *share);

/* --- What came of each face. --- */

enum phiz_crop_fate {
	PHIZ_CROP_KEPT,
	PHIZ_CROP_ASIDE,      /* another face of the photo is the person's */
	PHIZ_CROP_SMALL,      /* below min_size */
	PHIZ_CROP_SCORE,      /* below min_score */
	PHIZ_CROP_QUALITY,    /* below min_quality */
	PHIZ_CROP_BEYOND,     /* cannot be cut out: landmarks that make no face */
	PHIZ_CROP_NONE,       /* no face found: a row without one */
	PHIZ_CROP_UNREADABLE, /* the file could not be decoded: a row without a face */
	PHIZ_N_CROP_FATES
};
/* "kept", "aside", "small", "score", "quality", "beyond", "no face", "unreadable". */
const char *phiz_crop_fate_name(enum phiz_crop_fate fate);

enum { PHIZ_CROP_MAX_DIM = 4096 };

struct phiz_crop {
	char *source;          /* the photo or video, as it was named */
	int64_t size, mtime;   /* of that file: bytes, nanoseconds since 1970 */
	int64_t frame;         /* of a video, from 0; -1: a photo */
	double time;           /* of the frame, seconds */
	char *person;
	enum phiz_crop_fate fate;
	char *file;            /* of the crop, relative to DIR; "" if it was not cut out */
	int width, height;     /* of the photo; 0 without a face */
	struct phiz_face face; /* in the photo */
	struct phiz_quality quality;
	double similarity;     /* cosine to the person's mean embedding; -2: not measured */
	char *reason;          /* why it was set aside, in words; else "" */
	int8_t *embedding;     /* dim of them, in 127ths of the largest; NULL: none */
	int dim;
};

struct phiz_crops {
	struct phiz_crop *crop;
	size_t count, capacity;
};

/* Adds a copy of the texts and the embedding of `crop`. */
enum phiz_status phiz_crops_add(struct phiz_ctx *ctx, struct phiz_crops *crops, const struct phiz_crop *crop);
void phiz_crops_free(struct phiz_ctx *ctx, struct phiz_crops *crops);
/* The text of .extract.csv (state) or manifest.csv. */
enum phiz_status phiz_crops_format(struct phiz_ctx *ctx, const struct phiz_crops *crops, bool state,
                                   struct phiz_bytes *out);
/* Reads the text of .extract.csv. FORMAT: "NAME:LINE: ..." */
enum phiz_status phiz_crops_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_crops *out);
/* A face of the photo as it lies in the crop that align cuts of it, in pixels of the crop. Where the crop is turned the
 * box keeps its middle and its sides, upright: as a detector would find the face there. ARG as phiz_align_crop. */
enum phiz_status phiz_crops_face(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_face *photo,
                                 struct phiz_face *crop);
/* landmarks.csv of the crops that were kept: file, the five points and the box in the crop, score. */
enum phiz_status phiz_crops_landmarks(struct phiz_ctx *ctx, const struct phiz_crops *crops,
                                      const struct phiz_align *align, struct phiz_bytes *out);

#endif
