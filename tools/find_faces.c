#include "tools/find_faces.h"

#include <stdio.h>
#include <string.h>

#include <phiz/detector.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/crops.h"
#include "datasets/sweep.h"
#include "deploy/refine.h"
#include "tools/embedder.h"
#include "tools/tools.h"

enum { CHUNK = 64 }; /* photos between two looks at the clock */

/* --- By a detector. --- */

/* What a thread needs. */
struct finder {
	struct phiz_ctx *ctx; /* a fork */
	struct phiz_detector *detector;
	struct phiz_refiner *refiner; /* as in a recognizer; NULL: landmarks are the detector's */
	struct phiz_faces faces;
};

struct search {
	struct finder *finder;
	int n_finders;
	const uint32_t *index; /* of the photos that are being done */
	struct phiz_landmarks *out;
};

static enum phiz_status open_finders(struct phiz_ctx *ctx, const char *detector,
                                     const struct phiz_device_choice *device, struct search *s)
{
	const struct phiz_detector_options o = {.backend = device->backend, .fallback = device->fallback};
	int n = phiz_ctx_threads(ctx);
	enum phiz_status status = PHIZ_OK;

	s->finder = phiz_calloc(ctx, (size_t)n, sizeof *s->finder);
	if (!s->finder)
		return PHIZ_E_NOMEM;
	for (s->n_finders = 0; s->n_finders < n && !status; s->n_finders++) {
		struct finder *f = &s->finder[s->n_finders];
		status = phiz_ctx_fork(ctx, &f->ctx);
		if (!status && (phiz_detector_open(f->ctx, detector, &o, &f->detector) ||
		                (phiz_refine_helps(f->detector) && phiz_refiner_open(f->ctx, detector, &o, &f->refiner))))
			status = phiz_fail_copy(ctx, f->ctx);
	}
	return status;
}

static void close_finders(struct phiz_ctx *ctx, struct search *s)
{
	for (int i = 0; i < s->n_finders; i++) {
		struct finder *f = &s->finder[i];
		if (!f->ctx)
			continue;
		phiz_faces_free(f->ctx, &f->faces);
		phiz_detector_free(&f->detector);
		phiz_refiner_free(&f->refiner);
		phiz_ctx_free(&f->ctx);
	}
	phiz_free(ctx, s->finder);
}

static enum phiz_status find_one(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker)
{
	struct search *s = arg;
	struct finder *f = &s->finder[worker];
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(f->ctx, path, NULL, &image);

	if (status && status != PHIZ_E_NOMEM) {
		phiz_ctx_clear(f->ctx);
		return PHIZ_OK; /* whoever reads it next says so */
	}
	if (!status) {
		status = phiz_detector_run(f->detector, &image, &f->faces);
		int at = status ? -1 : phiz_main_face(&f->faces, image.width, image.height);
		if (at >= 0 && f->refiner)
			status = phiz_refine_face(f->refiner, &image, &f->faces.face[at]);
		if (at >= 0)
			s->out->face[s->index[i]] = f->faces.face[at];
		phiz_image_free(f->ctx, &image);
	}
	if (status) {
		phiz_fail_copy(ctx, f->ctx);
		phiz_fail_in(ctx, "%s", path);
	}
	return status;
}

static enum phiz_status make_room(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, struct phiz_landmarks *out)
{
	out->face = phiz_calloc(ctx, dataset->count, sizeof *out->face);
	if (!out->face)
		return PHIZ_E_NOMEM;
	out->count = dataset->count;
	out->boxes = true;
	for (size_t i = 0; i < out->count; i++)
		out->face[i].score = -1;
	return PHIZ_OK;
}

static enum phiz_status search(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, struct search *s,
                               const uint32_t *index, size_t count)
{
	struct phiz_progress bar;
	bool bad[CHUNK];
	size_t n_bad;
	enum phiz_status status = PHIZ_OK;

	phiz_progress_start(&bar);
	for (size_t at = 0; at < count && !status; at += CHUNK) {
		size_t n = count - at < CHUNK ? count - at : CHUNK;
		if (phiz_interrupted)
			status = phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off after %zu of %zu photos", at, count);
		s->index = index + at;
		if (!status)
			status = phiz_sweep(ctx, dataset, s->index, n, true, find_one, s, bad, &n_bad);
		phiz_progress_show(&bar, (double)(at + n), (double)count, at + n == count, "faces: %zu of %zu photos", at + n,
		                   count);
	}
	phiz_progress_clear(&bar);
	return status;
}

enum phiz_status phiz_find_faces(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, enum phiz_part part,
                                 const char *detector, const struct phiz_device_choice *device,
                                 struct phiz_landmarks *out)
{
	struct search s = {.out = out};
	uint32_t *index = phiz_alloc(ctx, dataset->count, sizeof *index);
	size_t count = 0;

	*out = (struct phiz_landmarks){.face = NULL};
	enum phiz_status status = index ? make_room(ctx, dataset, out) : PHIZ_E_NOMEM;
	for (size_t i = 0; i < dataset->count && !status; i++)
		if (dataset->sample[i].part == part || dataset->sample[i].part == PHIZ_PART_STRANGER)
			index[count++] = (uint32_t)i;
	if (!status)
		status = open_finders(ctx, detector, device, &s);
	if (!status)
		status = search(ctx, dataset, &s, index, count);
	for (size_t i = 0; i < out->count && !status; i++)
		out->found += out->face[i].score >= 0;
	close_finders(ctx, &s);
	phiz_free(ctx, index);
	return status;
}

/* --- From landmarks.csv. --- */

static bool same(double a, double b) { return a <= b && a >= b; }

/* Was the folder cut out in this way already? */
static enum phiz_status are_crops(struct phiz_ctx *ctx, const char *root, const struct phiz_align *align, bool *out)
{
	struct phiz_align there;
	enum phiz_status status = phiz_crops_align(ctx, root, &there);

	*out = !status && there.kind == align->kind && there.size == align->size && same(there.margin, align->margin);
	return status;
}

/* Settles one folder: its photos are cut out by their landmarks, or taken as they are. */
static enum phiz_status settle(struct phiz_ctx *ctx, struct phiz_dataset *dataset, int root,
                               const struct phiz_align *align, struct phiz_landmarks *faces)
{
	size_t found = 0, left_out = 0;
	bool crops;
	enum phiz_status status = are_crops(ctx, dataset->roots.name[root], align, &crops);

	if (status)
		return status;
	for (size_t i = 0; i < dataset->count; i++)
		if (dataset->sample[i].root == root) {
			if (crops)
				faces->face[i].score = -1;
			found += faces->face[i].score >= 0;
		}
	if (crops)
		return PHIZ_OK;
	if (!found) {
		phiz_log(ctx, PHIZ_LOG_WARN, "%s: the model has faces cut out of photos (%s), and there is no %s: its photos "
		         "are taken as such crops (--detect finds the faces)", dataset->roots.name[root],
		         phiz_align_name(align->kind), PHIZ_LANDMARKS_NAME);
		return PHIZ_OK;
	}
	for (size_t i = 0; i < dataset->count; i++)
		if (dataset->sample[i].root == root && faces->face[i].score < 0) {
			left_out += dataset->sample[i].part != PHIZ_PART_SKIP;
			dataset->sample[i].part = PHIZ_PART_SKIP;
		}
	if (left_out)
		phiz_log(ctx, PHIZ_LOG_WARN, "%s: %zu photos are left out: no face of theirs is in %s",
		         dataset->roots.name[root], left_out, PHIZ_LANDMARKS_NAME);
	return PHIZ_OK;
}

enum phiz_status phiz_read_faces(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const struct phiz_align *align,
                                 struct phiz_landmarks *out)
{
	enum phiz_status status = PHIZ_OK;

	*out = (struct phiz_landmarks){.face = NULL};
	if (align->kind == PHIZ_ALIGN_NONE)
		return PHIZ_OK;
	status = phiz_landmarks_read(ctx, NULL, dataset, out);
	if (!status && !out->face)
		status = make_room(ctx, dataset, out);
	for (size_t r = 0; r < dataset->roots.count && !status; r++)
		status = settle(ctx, dataset, (int)r, align, out);
	out->found = 0;
	for (size_t i = 0; i < out->count && !status; i++)
		out->found += out->face[i].score >= 0;
	if (!status && out->found && !out->boxes && align->kind != PHIZ_ALIGN_ARCFACE)
		status = phiz_fail(ctx, PHIZ_E_ARG, "the model has faces cut out by their boxes, and the photos' %s has no "
		                   "columns x,y,w,h: --detect finds them", PHIZ_LANDMARKS_NAME);
	if (!status && out->found)
		status = phiz_crops_recut(ctx, dataset, out->face, align, NULL);
	if (status || !out->found)
		phiz_landmarks_free(ctx, out);
	return status;
}
