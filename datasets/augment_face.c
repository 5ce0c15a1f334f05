/* Augmentation of a face that is cut out by its landmarks: all that is drawn about geometry becomes one transform, so
 * that the photo's pixels are interpolated once. */
#include "datasets/augment.h"

#include <string.h>

#include "core/base/error.h"
#include "core/image/align_cut.h"

/* m = m after n: first n, then m. */
static void after(double m[6], const double n[6])
{
	const double a[6] = {m[0], m[1], m[2], m[3], m[4], m[5]};

	for (int r = 0; r < 6; r += 3) {
		m[r] = a[r] * n[0] + a[r + 1] * n[3];
		m[r + 1] = a[r] * n[1] + a[r + 1] * n[4];
		m[r + 2] = a[r] * n[2] + a[r + 1] * n[5] + a[r + 2];
	}
}

/* x' = sx x + tx, y' = sy y + ty, then m. */
static void after_scaling(double m[6], double sx, double tx, double sy, double ty)
{
	const double n[6] = {sx, 0, tx, 0, sy, ty};

	after(m, n);
}

enum phiz_status phiz_augment_face_transform(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                             const struct phiz_face *face, const struct phiz_augment_draw *draw,
                                             double m[6])
{
	double kept = p->align.size * p->crop, lost = (p->align.size - kept) / 2, n[6];
	enum phiz_status status = phiz_align_cut(ctx, &p->align, face, m);

	if (status)
		return status;
	after_scaling(m, kept / p->size, lost, kept / p->size, lost);
	if (draw->crop.w > 0)
		after_scaling(m, (double)draw->crop.w / p->size, draw->crop.x, (double)draw->crop.h / p->size, draw->crop.y);
	if (draw->flip)
		after_scaling(m, -1, p->size, 1, 0);
	if (draw->angle != 0) {
		phiz_rotate_transform(draw->angle, p->size, p->size, n);
		after(m, n);
	}
	if (draw->affine) {
		phiz_affine_transform(draw->shift, draw->zoom, p->size, p->size, n);
		after(m, n);
	}
	return PHIZ_OK;
}

static enum phiz_status face_geometry(struct phiz_ctx *ctx, const struct phiz_preproc *p, const struct phiz_face *face,
                                      const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                      struct phiz_image *out)
{
	double m[6];
	enum phiz_status status = phiz_augment_face_transform(ctx, p, face, draw, m);

	*out = (struct phiz_image){0};
	if (!status && (!image->data || image->channels != 3))
		status = phiz_fail(ctx, PHIZ_E_ARG, "augmentation: want an RGB image");
	return status ? status : phiz_align_warp(ctx, image, m, p->size, out);
}

enum phiz_status phiz_augment_face(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                   const struct phiz_face *face, const struct phiz_augment_draw *draw,
                                   const struct phiz_image *image, struct phiz_image *out)
{
	enum phiz_status status = face_geometry(ctx, p, face, draw, image, out);

	if (!status)
		status = phiz_augment_pixels(ctx, a, draw, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

enum phiz_status phiz_augment_face_run(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                       const struct phiz_face *face, struct phiz_rng *rng,
                                       const struct phiz_image *image, const struct phiz_augment_out *out,
                                       struct phiz_stages *stages)
{
	struct phiz_augment_draw draw;
	struct phiz_image made;

	phiz_augment_sample(a, rng, p->size, p->size, p->size, &draw);
	enum phiz_status status = face_geometry(ctx, p, face, &draw, image, &made);
	phiz_stages_end(stages, PHIZ_STAGE_GEOMETRY);
	return status ? status : phiz_augment_finish(ctx, a, p, &draw, &made, out, stages);
}
