/* Embeddings of many pictures on all cores: each thread reads a file, cuts the face or the faces out and embeds them,
 * one by one, so that what is said of a picture does not depend on those beside it. A GPU embeds for all threads in
 * turn. */
#ifndef PHIZ_TOOLS_EMBEDDER_H
#define PHIZ_TOOLS_EMBEDDER_H

#include <phiz/detector.h>
#include <phiz/session.h>

#include "tools/device_args.h"

enum phiz_embed_what {
	PHIZ_EMBED_WHOLE, /* the picture, or a box of it, as it is: it is a crop already */
	PHIZ_EMBED_FACE,  /* the face that a photo is of: large and near the middle (box area less twice the squared
	                     distance from the middle, in pixels); where there is none, what WHOLE takes: the box, or
	                     without one the square in the middle */
	PHIZ_EMBED_FACES  /* every face, best score first */
};

struct phiz_embedder_options {
	enum phiz_embed_what what;
	const char *detector; /* path; for FACE and FACES */
	struct phiz_detector_options detect;
	bool flip;
	const struct phiz_device_choice *device; /* outlives the embedder; NULL: the CPU, in fp32 */
	/* What becomes of each picture before anything is looked for in it, on any thread; NULL: nothing. */
	enum phiz_status (*prepare)(struct phiz_ctx *ctx, const void *user, struct phiz_image *image);
	const void *user;
	int box[4]; /* x, y, width, height of every picture that WHOLE takes, pixels; width 0: all of it */
};

/* One embedding of a run. */
struct phiz_embedded {
	size_t file;             /* which */
	int index, count;        /* of the face, and how many the picture has */
	bool found;              /* by the detector; else face is the box that was taken, with score 1 */
	struct phiz_face face;
	const float *embedding;  /* dim floats, L2-normalised; until the function returns */
};

/* What is told, by the calling thread, file by file in their order. Any but `embedded` may be NULL. An error status
 * ends the run. */
struct phiz_embedder_report {
	enum phiz_status (*embedded)(void *user, const struct phiz_embedded *e);
	enum phiz_status (*empty)(void *user, size_t file);                       /* FACES: there is none */
	enum phiz_status (*failed)(void *user, size_t file, const char *message); /* it could not be used */
	void (*progress)(void *user, size_t done, size_t total);
	void *user;
};

struct phiz_embedder;

/* model: path of an embedder or a classifier. */
enum phiz_status phiz_embedder_open(struct phiz_ctx *ctx, const char *model,
                                    const struct phiz_embedder_options *options, struct phiz_embedder **out);
void phiz_embedder_free(struct phiz_embedder **embedder);
int phiz_embedder_dim(const struct phiz_embedder *embedder);
const struct phiz_model *phiz_embedder_model(const struct phiz_embedder *embedder);
/* CANCELLED when phiz_interrupted is set; what was done until then has been told. */
enum phiz_status phiz_embedder_run(struct phiz_embedder *embedder, char *const *file, size_t count,
                                   const struct phiz_embedder_report *report);

/* Which face a photo of width x height pixels is of, as PHIZ_EMBED_FACE takes it; -1: there is none. */
int phiz_main_face(const struct phiz_faces *faces, int width, int height);

/* "x,y,w,h" in whole pixels; false if it is anything else. */
bool phiz_box_parse(const char *text, int box[4]);

#endif
