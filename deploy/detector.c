/* Detectors: opening, options, large photos, and the order of faces. The decoders are in detector_NAME.c. */
#include "deploy/detector.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"

enum { MIN_SIDE = 16, MAX_SIDE = 16384, MAX_MAX_FACES = 65536 };
#define MAX_MIN_FACE 16384.0

static const struct phiz_detector_kind *const kinds[] = {
	&phiz_detector_mtcnn,
	&phiz_detector_yunet,
	&phiz_detector_ultralight,
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static enum phiz_status find_kind(struct phiz_detector *d)
{
	const char *name = phiz_model_meta(d->model, "detector");

	if (phiz_model_task(d->model) != PHIZ_TASK_DETECT)
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "the model finds no faces: it %s",
		                 phiz_model_task(d->model) == PHIZ_TASK_EMBED ? "embeds them" : "names them");
	for (int i = 0; i < N_KINDS && name; i++)
		if (!strcmp(kinds[i]->name, name)) {
			d->kind = kinds[i];
			return PHIZ_OK;
		}
	return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED,
	                 "the model is a detector '%s'; this phiz runs mtcnn, yunet and ultralight", name ? name : "?");
}

/* x in [min, max], or 0 for the default. */
static enum phiz_status take(struct phiz_detector *d, const char *what, double min, double max, double standard,
                             double *x)
{
	if (!(*x == 0 || (*x >= min && *x <= max)))
		return phiz_fail(d->ctx, PHIZ_E_ARG, "detector: %s: want %g to %g, got %g", what, min, max, *x);
	if (*x == 0)
		*x = standard;
	return PHIZ_OK;
}

static enum phiz_status take_options(struct phiz_detector *d, const struct phiz_detector_options *given)
{
	const struct phiz_detector_options *s = &d->kind->standard;
	struct phiz_detector_options *o = &d->options;
	double side, faces;

	if (given)
		*o = *given;
	side = o->max_side;
	faces = o->max_faces;
	enum phiz_status status = take(d, "min_face", 1, MAX_MIN_FACE, 0, &o->min_face);
	if (!status)
		status = take(d, "scale_factor", 0.1, 0.99, s->scale_factor, &o->scale_factor);
	for (int i = 0; i < 3 && !status; i++)
		status = take(d, "threshold", 1e-6, 1, s->threshold[i], &o->threshold[i]);
	if (!status)
		status = take(d, "nms", 1e-6, 1, s->nms, &o->nms);
	if (!status)
		status = take(d, "max_side", MIN_SIDE, MAX_SIDE, 0, &side);
	if (!status)
		status = take(d, "max_faces", 1, MAX_MAX_FACES, 1024, &faces);
	o->max_faces = (int)faces;
	if (!o->backend)
		o->backend = phiz_backend_cpu();
	return status;
}

enum phiz_status phiz_detector_adopt(struct phiz_ctx *ctx, struct phiz_model *model,
                                     const struct phiz_detector_options *options, struct phiz_detector **out)
{
	struct phiz_detector *d = phiz_calloc(ctx, 1, sizeof *d);

	*out = NULL;
	if (!d) {
		phiz_model_free(&model);
		return PHIZ_E_NOMEM;
	}
	d->ctx = ctx;
	d->model = model;
	enum phiz_status status = find_kind(d);
	if (!status)
		status = take_options(d, options);
	if (!status)
		status = phiz_model_optimize(model);
	if (!status)
		status = phiz_ctx_fork(ctx, &d->scratch);
	if (!status) {
		phiz_ctx_recycle(d->scratch);
		status = d->kind->open(d);
	}
	if (status)
		phiz_detector_free(&d);
	*out = d;
	return status;
}

enum phiz_status phiz_detector_open(struct phiz_ctx *ctx, const char *path, const struct phiz_detector_options *options,
                                    struct phiz_detector **out)
{
	struct phiz_model *model;
	enum phiz_status status = phiz_model_read(ctx, path, &model);

	*out = NULL;
	if (status)
		return status;
	return phiz_detector_adopt(ctx, model, options, out) ? phiz_fail_in(ctx, "%s", path) : PHIZ_OK;
}

void phiz_detector_free(struct phiz_detector **detector)
{
	if (!detector || !*detector)
		return;
	struct phiz_detector *d = *detector;
	if (d->state)
		d->kind->close(d);
	phiz_boxes_free(d->ctx, &d->boxes);
	phiz_ctx_free(&d->scratch);
	phiz_model_free(&d->model);
	phiz_free(d->ctx, d);
	*detector = NULL;
}

const struct phiz_model *phiz_detector_model(const struct phiz_detector *detector) { return detector->model; }

void phiz_faces_free(struct phiz_ctx *ctx, struct phiz_faces *faces)
{
	phiz_free(ctx, faces->face);
	faces->face = NULL;
	faces->n = faces->capacity = 0;
}

/* The longer side that the decoder gets: max_side, or the default, more where min_face asks for smaller faces than the
 * default side would show, and never more than the photo has. */
static int choose_side(const struct phiz_detector *d, int longer)
{
	const struct phiz_detector_options *o = &d->options, *s = &d->kind->standard;
	double side = o->max_side ? o->max_side : s->max_side;

	if (!o->max_side && o->min_face > 0)
		side = fmin(fmax(side, longer * s->min_face / o->min_face), fmax(side, PHIZ_DETECTOR_MAX_SIDE));
	return side < longer ? (int)side : longer;
}

static int scaled(int side, int longer, int wanted)
{
	int n = (int)((double)side * wanted / longer + 0.5);
	return n < 1 ? 1 : n;
}

static bool usable(const struct phiz_box *b, double min_face)
{
	float sum = b->x0 + b->y0 + b->x1 + b->y1 + b->score;
	float side = fminf(b->x1 - b->x0, b->y1 - b->y0);

	for (int k = 0; k < 2 * PHIZ_LANDMARKS; k++)
		sum += b->value[k];
	return isfinite(sum) && side > 0 && (double)side >= min_face;
}

/* The boxes as faces in pixels of the photo, which is sx and sy times as large as the image that they were found in. */
static enum phiz_status hand_over(struct phiz_detector *d, double sx, double sy, struct phiz_faces *faces)
{
	phiz_boxes_limit(&d->boxes, (size_t)d->options.max_faces);
	size_t capacity = (size_t)faces->capacity;
	if (d->boxes.n > capacity) {
		if (phiz_grow(d->ctx, &faces->face, &capacity, d->boxes.n, sizeof *faces->face))
			return PHIZ_E_NOMEM;
		faces->capacity = (int)capacity;
	}
	for (size_t i = 0; i < d->boxes.n; i++) {
		const struct phiz_box *b = &d->boxes.at[i];
		struct phiz_face *f = &faces->face[faces->n++];
		f->box[0] = (float)((double)b->x0 * sx);
		f->box[1] = (float)((double)b->y0 * sy);
		f->box[2] = (float)((double)(b->x1 - b->x0) * sx);
		f->box[3] = (float)((double)(b->y1 - b->y0) * sy);
		f->score = fminf(fmaxf(b->score, 0), 1);
		for (int k = 0; k < PHIZ_LANDMARKS; k++) {
			f->landmark[k][0] = (float)((double)b->value[2 * k] * sx);
			f->landmark[k][1] = (float)((double)b->value[2 * k + 1] * sy);
		}
	}
	return PHIZ_OK;
}

static enum phiz_status decode(struct phiz_detector *d, const struct phiz_image *image, double min_face)
{
	size_t kept = 0;

	d->boxes.n = 0;
	enum phiz_status status = d->kind->run(d, image, min_face);
	if (status)
		return status;
	for (size_t i = 0; i < d->boxes.n; i++)
		if (usable(&d->boxes.at[i], d->kind->filters_size ? min_face : 0))
			d->boxes.at[kept++] = d->boxes.at[i];
	d->boxes.n = kept;
	return PHIZ_OK;
}

enum phiz_status phiz_detector_run(struct phiz_detector *detector, const struct phiz_image *image,
                                   struct phiz_faces *faces)
{
	struct phiz_detector *d = detector;
	struct phiz_image small = {0};

	faces->n = 0;
	enum phiz_status status = phiz_image_check(d->ctx, image, "detector");
	if (status)
		return status;
	if (image->channels != 3)
		return phiz_fail(d->ctx, PHIZ_E_ARG, "detector: want an RGB image, got one of %d channels", image->channels);
	int longer = image->width > image->height ? image->width : image->height, side = choose_side(d, longer);
	if (side < longer) {
		status = phiz_image_resize(d->scratch, image, scaled(image->width, longer, side),
		                           scaled(image->height, longer, side), NULL, &small);
		if (status)
			return phiz_fail_copy(d->ctx, d->scratch);
	}
	const struct phiz_image *seen = small.data ? &small : image;
	double sx = (double)image->width / seen->width, sy = (double)image->height / seen->height;
	status = decode(d, seen, d->options.min_face * side / longer);
	if (!status)
		status = hand_over(d, sx, sy, faces);
	phiz_image_free(d->scratch, &small);
	if (status)
		faces->n = 0;
	return status;
}
