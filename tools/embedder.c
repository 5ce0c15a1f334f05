#include "tools/embedder.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <phiz/recognizer.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "deploy/refine.h"
#include "tools/tools.h"

enum { FILES_PER_THREAD = 8 };

/* What a thread needs; made when it gets its first file. */
struct worker {
	struct phiz_ctx *ctx; /* a fork */
	struct phiz_session *session; /* NULL: the shared one is for all */
	void *input;                  /* for that one: a picture as the network reads it */
	struct phiz_detector *detector;
	struct phiz_refiner *refiner; /* as in a recognizer; NULL: landmarks are the detector's */
	struct phiz_faces faces;
};

/* A device's session, for one thread at a time. */
struct shared {
	struct phiz_ctx *ctx; /* a fork */
	struct phiz_session *session; /* NULL: each worker has its own, on the CPU */
	pthread_mutex_t lock;
};

/* A file of the chunk that is being done. */
struct slot {
	const char *file;
	enum phiz_status status;
	char *message; /* of a picture that cannot be used */
	struct phiz_face *face;
	float *embedding; /* [n][dim] */
	int n;
	bool found;
};

struct phiz_embedder {
	struct phiz_ctx *ctx;
	struct phiz_embedder_options options;
	char *detector;
	struct phiz_runtime *runtime;
	struct phiz_align align;
	int dim;
	struct shared shared;
	struct worker *worker;
	int n_workers;
	struct slot *slot;
	size_t n_slots;
};

/* backend NULL: the CPU. */
static enum phiz_status create_session(struct phiz_embedder *e, struct phiz_ctx *ctx,
                                       const struct phiz_backend *backend, struct phiz_session **out)
{
	const struct phiz_device_choice *d = e->options.device;
	struct phiz_session_options o = {.embed = true, .flip = e->options.flip, .precision = d ? d->precision : PHIZ_F32,
	                                 .backend = backend, .fallback = backend ? d->fallback : NULL};

	return phiz_session_create(e->runtime, ctx, &o, out);
}

/* None is kept where it is the CPU that runs the model after all. */
static enum phiz_status open_shared(struct phiz_embedder *e)
{
	struct shared *s = &e->shared;
	enum phiz_status status = phiz_ctx_fork(e->ctx, &s->ctx);

	if (!status) {
		status = create_session(e, s->ctx, e->options.device->made, &s->session);
		if (status)
			phiz_fail_copy(e->ctx, s->ctx);
	}
	if (!status && phiz_session_backend(s->session) == phiz_backend_cpu())
		phiz_session_free(&s->session);
	return status;
}

static enum phiz_status open_worker(struct phiz_embedder *e, struct worker *w)
{
	const struct phiz_device_choice *d = e->options.device;
	struct phiz_detector_options detect = e->options.detect;
	enum phiz_status status = PHIZ_OK;

	detect.backend = d ? d->backend : NULL;
	detect.fallback = d ? d->fallback : NULL;
	if (!w->ctx)
		status = phiz_ctx_fork(e->ctx, &w->ctx);
	if (!status && e->shared.session && !w->input) {
		w->input = phiz_alloc(w->ctx, phiz_session_input_bytes(e->shared.session), 1);
		status = w->input ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status && !e->shared.session && !w->session)
		status = create_session(e, w->ctx, NULL, &w->session);
	if (!status && e->detector && !w->detector)
		status = phiz_detector_open(w->ctx, e->detector, &detect, &w->detector);
	if (!status && w->detector && !w->refiner && phiz_refine_helps(w->detector) &&
	    phiz_recognizer_align(phiz_runtime_model(e->runtime)).kind == PHIZ_ALIGN_ARCFACE)
		status = phiz_refiner_open(w->ctx, e->detector, &detect, &w->refiner);
	return status;
}

enum phiz_status phiz_embedder_open(struct phiz_ctx *ctx, const char *model,
                                    const struct phiz_embedder_options *options, struct phiz_embedder **out)
{
	struct phiz_embedder *e = phiz_calloc(ctx, 1, sizeof *e);
	enum phiz_status status = PHIZ_E_NOMEM;

	*out = NULL;
	if (!e)
		return status;
	e->ctx = ctx;
	pthread_mutex_init(&e->shared.lock, NULL);
	e->options = *options;
	e->n_workers = phiz_ctx_threads(ctx);
	e->n_slots = (size_t)e->n_workers * FILES_PER_THREAD;
	e->worker = phiz_calloc(ctx, (size_t)e->n_workers, sizeof *e->worker);
	e->slot = phiz_calloc(ctx, e->n_slots, sizeof *e->slot);
	if (options->what != PHIZ_EMBED_WHOLE)
		e->detector = phiz_strdup(ctx, options->detector);
	if (e->worker && e->slot && (e->detector || options->what == PHIZ_EMBED_WHOLE))
		status = phiz_runtime_open(ctx, model, &e->runtime);
	if (!status && options->device && options->device->made) {
		status = open_shared(e);
		if (status)
			phiz_fail_in(ctx, "%s", model);
	}
	if (!status && open_worker(e, &e->worker[0])) { /* what is wrong with the files shows here */
		status = e->worker[0].ctx ? phiz_fail_copy(ctx, e->worker[0].ctx) : PHIZ_E_NOMEM;
		if (!e->worker[0].session && !e->shared.session)
			phiz_fail_in(ctx, "%s", model);
	}
	if (status) {
		phiz_embedder_free(&e);
		return status;
	}
	e->align = phiz_recognizer_align(phiz_runtime_model(e->runtime));
	e->dim = phiz_session_dim(e->shared.session ? e->shared.session : e->worker[0].session);
	*out = e;
	return PHIZ_OK;
}

static void clear_slot(struct phiz_ctx *ctx, struct slot *s)
{
	phiz_free(ctx, s->message);
	phiz_free(ctx, s->face);
	phiz_free(ctx, s->embedding);
	memset(s, 0, sizeof *s);
}

void phiz_embedder_free(struct phiz_embedder **embedder)
{
	struct phiz_embedder *e = embedder ? *embedder : NULL;

	if (!e)
		return;
	for (int i = 0; e->worker && i < e->n_workers; i++) {
		struct worker *w = &e->worker[i];
		if (!w->ctx)
			continue;
		phiz_faces_free(w->ctx, &w->faces);
		phiz_detector_free(&w->detector);
		phiz_refiner_free(&w->refiner);
		phiz_session_free(&w->session);
		phiz_free(w->ctx, w->input);
		phiz_ctx_free(&w->ctx);
	}
	for (size_t i = 0; e->slot && i < e->n_slots; i++)
		clear_slot(e->ctx, &e->slot[i]);
	phiz_session_free(&e->shared.session);
	phiz_ctx_free(&e->shared.ctx);
	pthread_mutex_destroy(&e->shared.lock);
	phiz_runtime_close(&e->runtime);
	phiz_free(e->ctx, e->worker);
	phiz_free(e->ctx, e->slot);
	phiz_free(e->ctx, e->detector);
	phiz_free(e->ctx, e);
	*embedder = NULL;
}

int phiz_embedder_dim(const struct phiz_embedder *embedder) { return embedder->dim; }

const struct phiz_model *phiz_embedder_model(const struct phiz_embedder *embedder)
{
	return phiz_runtime_model(embedder->runtime);
}

/* --- One file. --- */

static enum phiz_status make_room(struct phiz_embedder *e, struct worker *w, struct slot *s, int n)
{
	size_t floats;

	if (!phiz_size_mul((size_t)n, (size_t)e->dim, &floats))
		return phiz_fail(w->ctx, PHIZ_E_LIMIT, "%d faces are too many", n);
	s->face = phiz_calloc(w->ctx, (size_t)n, sizeof *s->face);
	s->embedding = phiz_alloc(w->ctx, floats, sizeof *s->embedding);
	return s->face && s->embedding ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* By the session that all share; of a picture only what the network does waits for other threads. */
static enum phiz_status run_shared(struct phiz_embedder *e, struct worker *w, const struct phiz_image *crop, float *out)
{
	struct shared *s = &e->shared;
	enum phiz_status status = phiz_session_prepare(s->session, w->ctx, crop, w->input);

	if (status)
		return status;
	pthread_mutex_lock(&s->lock);
	memcpy(phiz_session_input(s->session, 0), w->input, phiz_session_input_bytes(s->session));
	status = phiz_session_run_input(s->session, 1);
	if (!status)
		memcpy(out, phiz_session_embedding_at(s->session, 0), (size_t)e->dim * sizeof *out);
	else
		phiz_fail_copy(w->ctx, s->ctx);
	pthread_mutex_unlock(&s->lock);
	return status;
}

static enum phiz_status run_own(struct phiz_embedder *e, struct worker *w, const struct phiz_image *crop, float *out)
{
	enum phiz_status status = phiz_session_run_images(w->session, crop, 1);

	if (!status)
		memcpy(out, phiz_session_embedding_at(w->session, 0), (size_t)e->dim * sizeof *out);
	return status;
}

/* Embeds a crop as the slot's next face. */
static enum phiz_status embed(struct phiz_embedder *e, struct worker *w, struct slot *s,
                              const struct phiz_image *crop, const struct phiz_face *face)
{
	float *to = s->embedding + (size_t)s->n * (size_t)e->dim;
	enum phiz_status status = e->shared.session ? run_shared(e, w, crop, to) : run_own(e, w, crop, to);

	if (status)
		return status;
	s->face[s->n++] = *face;
	return PHIZ_OK;
}

/* The picture, or a box of it. */
static enum phiz_status take_whole(struct phiz_embedder *e, struct worker *w, struct slot *s,
                                   const struct phiz_image *image)
{
	struct phiz_face face = {.score = 1};
	struct phiz_image crop = {0};
	int side = image->width < image->height ? image->width : image->height;
	int box[4] = {0, 0, image->width, image->height};
	enum phiz_status status = make_room(e, w, s, 1);

	if (e->options.box[2] > 0) {
		memcpy(box, e->options.box, sizeof box);
	} else if (e->options.what == PHIZ_EMBED_FACE) {
		box[0] = (image->width - side) / 2;
		box[1] = (image->height - side) / 2;
		box[2] = box[3] = side;
	}
	for (int i = 0; i < 4; i++)
		face.box[i] = (float)box[i];
	if (!status && (box[0] >= image->width || box[1] >= image->height || box[0] + box[2] <= 0 || box[1] + box[3] <= 0))
		status = phiz_fail(w->ctx, PHIZ_E_ARG, "the box lies outside of the %dx%d pixels of the picture", image->width,
		                   image->height);
	bool all = box[0] == 0 && box[1] == 0 && box[2] == image->width && box[3] == image->height;
	if (!status && !all)
		status = phiz_image_crop(w->ctx, image, box[0], box[1], box[2], box[3], &crop);
	if (!status)
		status = embed(e, w, s, all ? image : &crop, &face);
	phiz_image_free(w->ctx, &crop);
	return status;
}

int phiz_main_face(const struct phiz_faces *faces, int width, int height)
{
	double best = 0;
	int at = -1;

	for (int i = 0; i < faces->n; i++) {
		const float *box = faces->face[i].box;
		double x = (double)box[0] + (double)box[2] / 2 - width / 2.0;
		double y = (double)box[1] + (double)box[3] / 2 - height / 2.0;
		double merit = (double)box[2] * (double)box[3] - 2 * (x * x + y * y);
		if (i == 0 || merit > best) {
			best = merit;
			at = i;
		}
	}
	return at;
}

static enum phiz_status take_face(struct phiz_embedder *e, struct worker *w, struct slot *s,
                                  const struct phiz_image *image, struct phiz_face *face)
{
	struct phiz_image crop = {0};
	enum phiz_status status = w->refiner ? phiz_refine_face(w->refiner, image, face) : PHIZ_OK;

	if (!status)
		status = phiz_align_crop(w->ctx, &e->align, image, face, &crop);

	if (!status)
		status = embed(e, w, s, &crop, face);
	phiz_image_free(w->ctx, &crop);
	return status;
}

static enum phiz_status take_faces(struct phiz_embedder *e, struct worker *w, struct slot *s,
                                   const struct phiz_image *image)
{
	enum phiz_status status = phiz_detector_run(w->detector, image, &w->faces);

	if (status)
		return status;
	if (w->faces.n == 0)
		return e->options.what == PHIZ_EMBED_FACE ? take_whole(e, w, s, image) : PHIZ_OK;
	s->found = true;
	if (e->options.what == PHIZ_EMBED_FACE) {
		int at = phiz_main_face(&w->faces, image->width, image->height);
		status = make_room(e, w, s, 1);
		return status ? status : take_face(e, w, s, image, &w->faces.face[at]);
	}
	status = make_room(e, w, s, w->faces.n);
	for (int i = 0; i < w->faces.n && !status; i++) {
		status = take_face(e, w, s, image, &w->faces.face[i]);
		if (status == PHIZ_E_ARG) {
			phiz_log(w->ctx, PHIZ_LOG_WARN, "%s: a face is left out: %s", s->file, phiz_ctx_message(w->ctx));
			status = PHIZ_OK;
		}
	}
	return status;
}

static enum phiz_status do_file(struct phiz_embedder *e, struct worker *w, struct slot *s)
{
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(w->ctx, s->file, NULL, &image);

	if (status)
		return status;
	if (e->options.prepare)
		status = e->options.prepare(w->ctx, e->options.user, &image);
	if (status)
		goto done;
	if (e->options.what == PHIZ_EMBED_WHOLE)
		status = take_whole(e, w, s, &image);
	else
		status = take_faces(e, w, s, &image);
done:
	phiz_image_free(w->ctx, &image);
	return status ? phiz_fail_in(w->ctx, "%s", s->file) : PHIZ_OK;
}

static void do_files(void *arg, int64_t begin, int64_t end, int worker)
{
	struct phiz_embedder *e = arg;
	struct worker *w = &e->worker[worker];

	for (int64_t i = begin; i < end; i++) {
		struct slot *s = &e->slot[i];
		s->status = phiz_interrupted ? PHIZ_E_CANCELLED : open_worker(e, w);
		if (!s->status)
			s->status = do_file(e, w, s);
		if (s->status && s->status != PHIZ_E_CANCELLED && w->ctx)
			s->message = phiz_strdup(w->ctx, phiz_ctx_message(w->ctx));
	}
}

/* --- All of them. --- */

static enum phiz_status tell(struct phiz_embedder *e, size_t file, const struct slot *s,
                             const struct phiz_embedder_report *r)
{
	enum phiz_status status = PHIZ_OK;

	if (s->status == PHIZ_E_NOMEM || (s->status && !s->message && s->status != PHIZ_E_CANCELLED))
		return phiz_fail(e->ctx, PHIZ_E_NOMEM, "%s", s->message ? s->message : "out of memory");
	if (s->status == PHIZ_E_CANCELLED)
		return phiz_fail(e->ctx, PHIZ_E_CANCELLED, "broken off after %zu pictures", file);
	if (s->status)
		return r->failed ? r->failed(r->user, file, s->message) : PHIZ_OK;
	if (s->n == 0)
		return r->empty ? r->empty(r->user, file) : PHIZ_OK;
	for (int i = 0; i < s->n && !status; i++) {
		struct phiz_embedded told = {file, i, s->n, s->found, s->face[i], s->embedding + (size_t)i * (size_t)e->dim};
		status = r->embedded(r->user, &told);
	}
	return status;
}

enum phiz_status phiz_embedder_run(struct phiz_embedder *embedder, char *const *file, size_t count,
                                   const struct phiz_embedder_report *report)
{
	struct phiz_embedder *e = embedder;
	enum phiz_status status = PHIZ_OK;

	for (size_t at = 0; at < count && !status; at += e->n_slots) {
		size_t n = count - at < e->n_slots ? count - at : e->n_slots;
		for (size_t i = 0; i < n; i++)
			e->slot[i].file = file[at + i];
		phiz_parallel_for(e->ctx, (int64_t)n, 1, do_files, e);
		for (size_t i = 0; i < n; i++) {
			if (!status)
				status = tell(e, at + i, &e->slot[i], report);
			clear_slot(e->ctx, &e->slot[i]);
		}
		if (!status && report->progress)
			report->progress(report->user, at + n, count);
	}
	return status;
}

bool phiz_box_parse(const char *text, int box[4])
{
	char end;

	if (sscanf(text, "%8d,%8d,%8d,%8d%c", &box[0], &box[1], &box[2], &box[3], &end) != 4)
		return false;
	return box[2] > 0 && box[3] > 0;
}
