/* Landmarks from several looks at one face. */
#include "deploy/refine.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/align_cut.h"

/* Sides of the cut: the face's longer side is 1 / 1.85 of it, 52 to 104 pixels. Multiples of 32, so that nothing is
 * padded; the largest is cut out of the photo, the others are that one made smaller. */
static const int side[] = {192, 160, 128, 96};
enum { LOOKS = sizeof side / sizeof side[0] };
#define MARGIN 0.85
#define MIN_SCORE 0.3 /* that there is a face is known already */

struct phiz_refiner {
	struct phiz_ctx *ctx;
	struct phiz_detector *look[LOOKS]; /* one for each size: each keeps its plan */
	struct phiz_faces faces;
};

bool phiz_refine_helps(const struct phiz_detector *detector)
{
	const char *name = phiz_model_meta(phiz_detector_model(detector), "detector");

	return name && !strcmp(name, "yunet");
}

enum phiz_status phiz_refiner_open(struct phiz_ctx *ctx, const char *path, const struct phiz_detector_options *options,
                                   struct phiz_refiner **out)
{
	struct phiz_detector_options o = {.threshold = {MIN_SCORE}, .max_faces = 16,
	                                  .backend = options ? options->backend : NULL,
	                                  .fallback = options ? options->fallback : NULL};
	struct phiz_refiner *r = phiz_calloc(ctx, 1, sizeof *r);
	enum phiz_status status = r ? PHIZ_OK : PHIZ_E_NOMEM;

	*out = NULL;
	if (r)
		r->ctx = ctx;
	for (int i = 0; i < LOOKS && !status; i++)
		status = phiz_detector_open(ctx, path, &o, &r->look[i]);
	if (status)
		phiz_refiner_free(&r);
	*out = r;
	return status;
}

void phiz_refiner_free(struct phiz_refiner **refiner)
{
	if (!refiner || !*refiner)
		return;
	struct phiz_refiner *r = *refiner;
	for (int i = 0; i < LOOKS; i++)
		phiz_detector_free(&r->look[i]);
	phiz_faces_free(r->ctx, &r->faces);
	phiz_free(r->ctx, r);
	*refiner = NULL;
}

/* The face in the middle of a cut, and not a neighbour; NULL: none. */
static const struct phiz_face *middle(const struct phiz_faces *faces, int size)
{
	const struct phiz_face *best = NULL;
	double nearest = 0.25 * size;

	for (int i = 0; i < faces->n; i++) {
		const float *b = faces->face[i].box;
		double dx = (double)b[0] + 0.5 * (double)b[2] - 0.5 * size, dy = (double)b[1] + 0.5 * (double)b[3] - 0.5 * size;
		double distance = sqrt(dx * dx + dy * dy);
		if (distance < nearest) {
			nearest = distance;
			best = &faces->face[i];
		}
	}
	return best;
}

/* Adds what one look says, in pixels of the largest cut. */
static enum phiz_status look(struct phiz_refiner *r, int i, const struct phiz_image *cut,
                             double sum[PHIZ_LANDMARKS][2], int *n)
{
	struct phiz_image small = {0};
	double scale = (double)side[0] / side[i];
	enum phiz_status status = PHIZ_OK;

	if (i > 0)
		status = phiz_image_resize(r->ctx, cut, side[i], side[i], NULL, &small);
	if (!status)
		status = phiz_detector_run(r->look[i], i > 0 ? &small : cut, &r->faces);
	const struct phiz_face *face = status ? NULL : middle(&r->faces, side[i]);
	for (int k = 0; k < PHIZ_LANDMARKS && face; k++)
		for (int d = 0; d < 2; d++)
			sum[k][d] += scale * (double)face->landmark[k][d];
	*n += face != NULL;
	phiz_image_free(r->ctx, &small);
	return status;
}

enum phiz_status phiz_refine_face(struct phiz_refiner *r, const struct phiz_image *image, struct phiz_face *face)
{
	struct phiz_align align = {.kind = PHIZ_ALIGN_BOX, .margin = MARGIN, .size = side[0]};
	struct phiz_image cut = {0};
	double m[6], sum[PHIZ_LANDMARKS][2] = {{0}};
	int n = 0;

	if (phiz_align_cut(r->ctx, &align, face, m)) {
		phiz_ctx_clear(r->ctx); /* an empty box: cutting the face out for good will say so */
		return PHIZ_OK;
	}
	enum phiz_status status = phiz_align_warp(r->ctx, image, m, side[0], &cut);
	for (int i = 0; i < LOOKS && !status; i++)
		status = look(r, i, &cut, sum, &n);
	for (int k = 0; k < PHIZ_LANDMARKS && !status && n > 0; k++) {
		double x = sum[k][0] / n, y = sum[k][1] / n;
		face->landmark[k][0] = (float)(m[0] * x + m[1] * y + m[2]);
		face->landmark[k][1] = (float)(m[3] * x + m[4] * y + m[5]);
	}
	phiz_image_free(r->ctx, &cut);
	return status;
}
