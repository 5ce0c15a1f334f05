/* phiz data extract: from photos and videos to a folder of crops (datasets/crops.h says what is in it). In the order of
 * work: extract_source.c (what there is to do), extract_find.c (faces in one picture), extract.c (all photos on all
 * threads), extract_video.c (videos), extract_choose.c (whose face it is), extract_store.c (what is written). */
#ifndef PHIZ_TOOLS_EXTRACT_H
#define PHIZ_TOOLS_EXTRACT_H

#include <phiz/detector.h>
#include <phiz/session.h>

#include "core/base/file.h"
#include "datasets/crops.h"
#include "deploy/refine.h"
#include "tools/device_args.h"
#include "tools/tools.h"

/* A photo or a video, and what came of it. */
struct extract_source {
	char *path;   /* to open; what the manifest calls it */
	char *key;    /* what a list of faces calls it: the path below the folder that was given */
	char *person; /* NULL: nobody is said to be on it, all faces are kept */
	char *stem;   /* names of its crops begin so */
	bool video;
	bool done;
	int64_t size, mtime;
	struct phiz_crops rows; /* of what was found, once it is done */
};

/* Given faces instead of a detector: rows of a CSV, sorted by file. */
struct extract_list {
	struct extract_listed {
		char *file;
		int64_t frame; /* -1: of a photo */
		struct phiz_face face;
	} *item;
	size_t count, capacity;
};

/* What a thread works with. */
struct extract_worker {
	struct phiz_ctx *ctx;
	struct phiz_detector *detector;
	struct phiz_refiner *refiner; /* as in a recognizer; NULL: landmarks are the detector's */
	struct phiz_session *session; /* NULL: no embedder */
	struct phiz_faces faces;
	enum phiz_status status; /* why it stopped working: its message stands in ctx */
};

struct extract {
	struct phiz_ctx *ctx;
	struct phiz_crops_settings settings;
	const char *dir;
	/* Where faces come from. */
	struct phiz_device_choice device;
	char *detector;            /* a .phiz file, or NULL */
	struct extract_list list;  /* without a detector */
	char *embedder;            /* or NULL */
	struct phiz_runtime *runtime;
	struct phiz_align embed_align;
	int per_track;
	/* The work. */
	struct extract_source *source;
	size_t count, capacity;
	struct phiz_crops others; /* what the folder holds of sources that were not named this time */
	struct extract_worker *worker;
	int workers;
	struct phiz_progress progress;
	double saved; /* when the state was written last */
	struct extract_told { /* for the summary */
		size_t there, photos, videos, frames, flickers, video_left_out, by_size, by_embedding, nobody;
	} told;
};

/* extract_source.c: photos of folders of people, single photos, videos. Sets path, key, person, video, size, mtime. */
enum phiz_status extract_collect(struct extract *e, int n, char **args);
/* What earlier runs did is taken over; the folder is claimed (ARG if it was made otherwise). Sets done and stem. */
enum phiz_status extract_resume(struct extract *e);

/* extract_find.c */
enum phiz_status extract_list_read(struct phiz_ctx *ctx, const char *path, struct extract_list *out);
void extract_list_free(struct phiz_ctx *ctx, struct extract_list *list);
enum phiz_status extract_workers_open(struct extract *e);
void extract_workers_close(struct extract *e);
/* All faces of a picture as rows with fate KEPT (or why not), quality and embedding; file is left empty. */
enum phiz_status extract_find(struct extract *e, struct extract_worker *w, const struct extract_source *s,
                              int64_t frame, const struct phiz_image *image, struct phiz_crops *rows);
/* Encodes the crop of a face as the settings say. */
enum phiz_status extract_encode(struct extract *e, struct phiz_ctx *ctx, const struct phiz_image *image,
                                const struct phiz_face *face, struct phiz_bytes *out);
enum phiz_status extract_write_crop(struct extract *e, struct phiz_ctx *ctx, const struct phiz_image *image,
                                    const struct phiz_crop *row);

/* extract.c: all that is not done. CANCELLED after Ctrl-C, with everything so far saved. */
enum phiz_status extract_run(struct extract *e);
/* fn on each of n items on all threads; the first failure is returned. */
typedef enum phiz_status (*extract_fn)(struct extract *e, struct extract_worker *w, void *arg, size_t i);
enum phiz_status extract_each(struct extract *e, size_t n, extract_fn fn, void *arg);
enum phiz_status extract_set_text(struct phiz_ctx *ctx, char **text, const char *to);
enum phiz_status extract_broken_off(struct extract *e);
void extract_free(struct extract *e);

/* extract_video.c */
enum phiz_status extract_video(struct extract *e, struct extract_source *s);

/* extract_choose.c: of photos with several faces, whose is the person's; cuts them out. */
enum phiz_status extract_choose(struct extract *e);
double extract_cosine(const int8_t *a, const double *b, int dim);

/* extract_store.c */
enum phiz_status extract_save(struct extract *e); /* the state, so that a further run can go on */
enum phiz_status extract_finish(struct extract *e); /* manifest, landmarks, sheets, settings */
void extract_count(const struct extract *e, size_t count[PHIZ_N_CROP_FATES]);
char *extract_crop_path(struct phiz_ctx *ctx, const struct extract *e, const char *file);

#endif
