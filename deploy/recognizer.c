/* Recognizers: find faces, cut them out, embed or name them a few at a time. */
#include <phiz/recognizer.h>

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/sha256.h"
#include "deploy/refine.h"

enum { BATCH = 4, MIN_CROP = 16, MAX_CROP = 1024 };
#define BOX_MARGIN 0.25 /* of a model that does not say how faces are cut out */

struct phiz_recognizer {
	struct phiz_ctx *ctx;
	struct phiz_detector *detector; /* NULL: pictures are crops */
	struct phiz_refiner *refiner;   /* NULL: landmarks are the detector's */
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_align align;
	int dim;          /* 0: it names */
	int classes;      /* 0: it embeds */
	char hash[65];
	struct phiz_faces faces;
	struct phiz_found *found;
	float *embedding; /* [found_capacity][dim] */
	struct phiz_result *result; /* of each of found, with its logits */
	float *logits;    /* [found_capacity][classes] */
	size_t found_capacity, embedding_capacity, result_capacity, logits_capacity;
	int n;            /* of found; their crops are owned where there is a detector */
};

struct phiz_align phiz_recognizer_align(const struct phiz_model *model)
{
	const struct phiz_preproc *p = &model->preproc;
	struct phiz_align align = p->align;
	int side = p->mode == PHIZ_RESIZE_SHORT ? p->resize : p->size;

	if (align.kind == PHIZ_ALIGN_NONE) {
		align.kind = PHIZ_ALIGN_BOX;
		align.margin = BOX_MARGIN;
		align.size = side < MIN_CROP ? MIN_CROP : side > MAX_CROP ? MAX_CROP : side;
	}
	return align;
}

/* Weights alone do not make an embedding: the same network on faces that are cut out otherwise gives others. What goes
 * in is written down here once more, field by field, so that the hash outlives changes to how model files are
 * written. */
static void hash_embedder(const struct phiz_model *model, char out[65])
{
	const struct phiz_preproc *p = &model->preproc;
	struct phiz_sha256 h;
	char text[512];

	phiz_model_hash(model, out);
	phiz_sha256_init(&h);
	phiz_sha256_add(&h, out, 64);
	snprintf(text, sizeof text, " crop %.9g mode %d resize %d size %d mean %.9g %.9g %.9g std %.9g %.9g %.9g align %s "
	         "%.9g %d", (double)p->crop, (int)p->mode, p->resize, p->size, (double)p->mean[0], (double)p->mean[1],
	         (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2],
	         phiz_align_name(p->align.kind), p->align.margin, p->align.size);
	phiz_sha256_add(&h, text, strlen(text));
	phiz_sha256_hex(&h, out);
}

/* batch: faces in one run of the network. */
static enum phiz_status open_model(struct phiz_recognizer *r, const char *path, int batch,
                                   const struct phiz_recognizer_options *options)
{
	bool names = options && options->names;
	struct phiz_session_options o = {.batch = batch, .embed = !names, .sole = true,
	                                 .flip = options && options->flip,
	                                 .precision = options ? options->precision : PHIZ_F32,
	                                 .backend = options ? options->backend : NULL,
	                                 .fallback = options ? options->fallback : NULL};
	struct phiz_model *model;
	enum phiz_status status = phiz_model_read(r->ctx, path, &model);

	if (status)
		return status;
	hash_embedder(model, r->hash);
	status = phiz_runtime_adopt(r->ctx, model, &r->runtime);
	if (!status)
		status = phiz_session_create(r->runtime, r->ctx, &o, &r->session);
	if (status)
		return phiz_fail_in(r->ctx, "%s", path);
	r->dim = phiz_session_dim(r->session);
	r->classes = names ? (int)phiz_model_classes(phiz_runtime_model(r->runtime)) : 0;
	r->align = phiz_recognizer_align(phiz_runtime_model(r->runtime));
	return PHIZ_OK;
}

enum phiz_status phiz_recognizer_open(struct phiz_ctx *ctx, const char *detector, const char *model,
                                      const struct phiz_recognizer_options *options, struct phiz_recognizer **out)
{
	struct phiz_recognizer *r = phiz_calloc(ctx, 1, sizeof *r);

	*out = NULL;
	if (!r)
		return PHIZ_E_NOMEM;
	r->ctx = ctx;
	struct phiz_detector_options o = options ? options->detector : (struct phiz_detector_options){0};
	if (options && !o.backend) {
		o.backend = options->backend;
		o.fallback = options->fallback;
	}
	enum phiz_status status = open_model(r, model, detector ? BATCH : 1, options);
	if (!status && detector)
		status = phiz_detector_open(ctx, detector, &o, &r->detector);
	if (!status && detector && r->align.kind == PHIZ_ALIGN_ARCFACE && !(options && options->quick) &&
	    phiz_refine_helps(r->detector))
		status = phiz_refiner_open(ctx, detector, &o, &r->refiner);
	if (status)
		phiz_recognizer_free(&r);
	*out = r;
	return status;
}

/* Forgets the last run. */
static void clear(struct phiz_recognizer *r)
{
	for (int i = 0; r->detector && i < r->n; i++)
		phiz_image_free(r->ctx, &r->found[i].crop);
	r->n = 0;
}

void phiz_recognizer_free(struct phiz_recognizer **recognizer)
{
	if (!recognizer || !*recognizer)
		return;
	struct phiz_recognizer *r = *recognizer;
	clear(r);
	phiz_faces_free(r->ctx, &r->faces);
	phiz_detector_free(&r->detector);
	phiz_refiner_free(&r->refiner);
	phiz_session_free(&r->session);
	phiz_runtime_close(&r->runtime);
	phiz_free(r->ctx, r->found);
	phiz_free(r->ctx, r->embedding);
	phiz_free(r->ctx, r->result);
	phiz_free(r->ctx, r->logits);
	phiz_free(r->ctx, r);
	*recognizer = NULL;
}

int phiz_recognizer_dim(const struct phiz_recognizer *recognizer) { return recognizer->dim; }

const struct phiz_model *phiz_recognizer_model(const struct phiz_recognizer *recognizer)
{
	return phiz_runtime_model(recognizer->runtime);
}

const char *phiz_recognizer_hash(const struct phiz_recognizer *recognizer) { return recognizer->hash; }

static enum phiz_status make_room(struct phiz_recognizer *r, size_t n)
{
	size_t floats;

	if (!phiz_size_mul(n, (size_t)(r->dim + r->classes), &floats)) /* one of them is 0 */
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%zu faces in a picture are too many", n);
	enum phiz_status status = phiz_grow(r->ctx, &r->found, &r->found_capacity, n, sizeof *r->found);
	if (!status && !r->classes)
		return phiz_grow(r->ctx, &r->embedding, &r->embedding_capacity, floats, sizeof *r->embedding);
	if (!status)
		status = phiz_grow(r->ctx, &r->result, &r->result_capacity, n, sizeof *r->result);
	return status ? status : phiz_grow(r->ctx, &r->logits, &r->logits_capacity, floats, sizeof *r->logits);
}

/* Cuts the faces of r->faces out into r->found. */
static enum phiz_status cut_faces(struct phiz_recognizer *r, const struct phiz_image *image)
{
	enum phiz_status status = make_room(r, (size_t)r->faces.n);

	for (int i = 0; i < r->faces.n && !status; i++) {
		struct phiz_face *face = &r->faces.face[i];
		struct phiz_found *f = &r->found[r->n];
		if (r->align.kind == PHIZ_ALIGN_ARCFACE && !phiz_face_has_landmarks(face))
			return phiz_fail(r->ctx, PHIZ_E_UNSUPPORTED, "the recogniser aligns faces by landmarks, and this detector "
			                 "finds none: take another detector, such as yunet");
		if (r->refiner)
			status = phiz_refine_face(r->refiner, image, face);
		if (!status)
			status = phiz_align_crop(r->ctx, &r->align, image, face, &f->crop);
		if (status == PHIZ_E_ARG) {
			phiz_log(r->ctx, PHIZ_LOG_WARN, "a face is left out: %s", phiz_ctx_message(r->ctx));
			phiz_ctx_clear(r->ctx);
			status = PHIZ_OK;
		} else if (!status) {
			f->face = *face;
			r->n++;
		}
	}
	return status;
}

/* The whole picture as the one face. */
static enum phiz_status take_whole(struct phiz_recognizer *r, const struct phiz_image *image)
{
	static const struct phiz_face none;
	enum phiz_status status = make_room(r, 1);

	if (status)
		return status;
	r->found[0].crop = *image;
	r->found[0].face = none;
	r->found[0].face.box[2] = (float)image->width;
	r->found[0].face.box[3] = (float)image->height;
	r->found[0].face.score = 1;
	r->n = 1;
	return PHIZ_OK;
}

static void keep_embedding(struct phiz_recognizer *r, int at, const float *embedding)
{
	float *to = r->embedding + (size_t)at * (size_t)r->dim;

	for (int d = 0; d < r->dim; d++)
		to[d] = embedding[d];
	r->found[at].embedding = to;
	r->found[at].result = NULL;
}

static void keep_result(struct phiz_recognizer *r, int at, const struct phiz_result *result)
{
	float *to = r->logits + (size_t)at * (size_t)r->classes;

	for (int c = 0; c < r->classes; c++)
		to[c] = result->logits[c];
	r->result[at] = *result;
	r->result[at].logits = to;
	r->found[at].embedding = NULL;
	r->found[at].result = &r->result[at];
}

static enum phiz_status recognize(struct phiz_recognizer *r)
{
	struct phiz_image batch[BATCH];
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < r->n && !status; i += BATCH) {
		int n = r->n - i < BATCH ? r->n - i : BATCH;
		for (int k = 0; k < n; k++)
			batch[k] = r->found[i + k].crop;
		status = phiz_session_run_images(r->session, batch, n);
		for (int k = 0; k < n && !status; k++) {
			if (r->classes)
				keep_result(r, i + k, phiz_session_result_at(r->session, k));
			else
				keep_embedding(r, i + k, phiz_session_embedding_at(r->session, k));
		}
	}
	return status;
}

enum phiz_status phiz_recognizer_run(struct phiz_recognizer *recognizer, const struct phiz_image *image,
                                     const struct phiz_found **found, int *n)
{
	struct phiz_recognizer *r = recognizer;
	enum phiz_status status = PHIZ_OK;

	*found = NULL;
	*n = 0;
	clear(r);
	if (r->detector) {
		status = phiz_detector_run(r->detector, image, &r->faces);
		if (!status)
			status = cut_faces(r, image);
	} else {
		status = take_whole(r, image);
	}
	if (!status)
		status = recognize(r);
	if (status) {
		clear(r);
		return status;
	}
	*found = r->found;
	*n = r->n;
	return PHIZ_OK;
}
