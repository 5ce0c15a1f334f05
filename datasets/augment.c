/* The settings of augmentation, and all of it in order. */
#include "datasets/augment.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"

void phiz_augment_defaults(struct phiz_augment *a)
{
	memset(a, 0, sizeof *a);
	a->crop_scale[0] = 0.08;
	a->crop_scale[1] = 1.0;
	a->crop_ratio[0] = 3.0 / 4.0;
	a->crop_ratio[1] = 4.0 / 3.0;
	a->jitter = 1.0;
	a->blur_kernel = 5;
	a->blur_sigma[0] = 0.1;
	a->blur_sigma[1] = 2.0;
	a->low_res_side[0] = 24;
	a->low_res_side[1] = 64;
	a->jpeg_quality[0] = 30;
	a->jpeg_quality[1] = 95;
	a->erase_scale[0] = 0.02;
	a->erase_scale[1] = 0.33;
	a->erase_ratio[0] = 0.3;
	a->erase_ratio[1] = 3.3;
}

static bool has_jitter(const struct phiz_augment *a)
{
	return a->jitter > 0 && (a->brightness > 0 || a->contrast > 0 || a->saturation > 0 || a->hue > 0);
}

static bool has_affine(const struct phiz_augment *a)
{
	return a->translate[0] > 0 || a->translate[1] > 0 || a->zoom[1] > 0;
}

bool phiz_augment_is_on(const struct phiz_augment *a)
{
	return a->crop || a->flip > 0 || a->rotation > 0 || has_affine(a) || has_jitter(a) || a->gray > 0 || a->blur > 0 ||
	       a->low_res > 0 || a->jpeg > 0 || a->erase > 0;
}

/* --- Checking. Comparisons are written so that NaN fails them. --- */

static enum phiz_status check_number(struct phiz_ctx *ctx, const char *field, double value, double low, double high)
{
	if (value >= low && value <= high)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_ARG, "augment.%s: want %g to %g, got %g", field, low, high, value);
}

/* low < pair[0] <= pair[1] <= high; low itself is allowed where `closed`. */
static enum phiz_status check_pair(struct phiz_ctx *ctx, const char *field, const double pair[2], double low,
                                   bool closed, double high)
{
	if ((closed ? pair[0] >= low : pair[0] > low) && pair[0] <= pair[1] && pair[1] <= high)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_ARG, "augment.%s: want %g %s low <= high <= %g, got %g, %g", field, low,
	                 closed ? "<=" : "<", high, pair[0], pair[1]);
}

static enum phiz_status check_singles(struct phiz_ctx *ctx, const struct phiz_augment *a)
{
	const struct {
		const char *field;
		double value, high;
	} rows[] = {
		{ "flip", a->flip, 1 },
		{ "rotation", a->rotation, 180 },
		{ "translate", a->translate[0], 1 },
		{ "translate", a->translate[1], 1 },
		{ "jitter", a->jitter, 1 },
		{ "brightness", a->brightness, 100 },
		{ "contrast", a->contrast, 100 },
		{ "saturation", a->saturation, 100 },
		{ "hue", a->hue, 0.5 },
		{ "gray", a->gray, 1 },
		{ "blur", a->blur, 1 },
		{ "low_res", a->low_res, 1 },
		{ "jpeg", a->jpeg, 1 },
		{ "erase", a->erase, 1 },
		{ "mixup", a->mixup, 100 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (check_number(ctx, rows[i].field, rows[i].value, 0, rows[i].high))
			return PHIZ_E_ARG;
	return PHIZ_OK;
}

/* Ranges of parts that are off may be anything. */
static enum phiz_status check_ranges(struct phiz_ctx *ctx, const struct phiz_augment *a)
{
	enum phiz_status status = PHIZ_OK;
	if (a->crop)
		status = check_pair(ctx, "crop_scale", a->crop_scale, 0, false, 1);
	if (!status && a->crop)
		status = check_pair(ctx, "crop_ratio", a->crop_ratio, 0, false, 100);
	if (!status && (a->zoom[0] != 0 || a->zoom[1] != 0))
		status = check_pair(ctx, "zoom", a->zoom, 0, false, 100);
	if (!status && a->blur > 0)
		status = check_pair(ctx, "blur_sigma", a->blur_sigma, 0, false, 100);
	if (!status && a->erase > 0)
		status = check_pair(ctx, "erase_scale", a->erase_scale, 0, true, 1);
	if (!status && a->erase > 0)
		status = check_pair(ctx, "erase_ratio", a->erase_ratio, 0, false, 100);
	return status;
}

enum phiz_status phiz_augment_check(struct phiz_ctx *ctx, const struct phiz_augment *a)
{
	enum phiz_status status = check_singles(ctx, a);
	if (!status)
		status = check_ranges(ctx, a);
	if (status)
		return status;
	if (a->blur > 0 && (a->blur_kernel < 3 || a->blur_kernel > 63 || a->blur_kernel % 2 == 0))
		return phiz_fail(ctx, PHIZ_E_ARG, "augment.blur_kernel: want an odd number from 3 to 63, got %d",
		                 a->blur_kernel);
	if (a->low_res > 0 &&
	    (a->low_res_side[0] < 4 || a->low_res_side[0] > a->low_res_side[1] || a->low_res_side[1] > 2048))
		return phiz_fail(ctx, PHIZ_E_ARG, "augment.low_res_side: want 4 <= low <= high <= 2048, got %d, %d",
		                 a->low_res_side[0], a->low_res_side[1]);
	if (a->jpeg > 0 &&
	    (a->jpeg_quality[0] < 1 || a->jpeg_quality[0] > a->jpeg_quality[1] || a->jpeg_quality[1] > 100))
		return phiz_fail(ctx, PHIZ_E_ARG, "augment.jpeg_quality: want 1 <= low <= high <= 100, got %d, %d",
		                 a->jpeg_quality[0], a->jpeg_quality[1]);
	return PHIZ_OK;
}

/* --- Running. --- */

static void apply_jitter(const struct phiz_augment_draw *draw, struct phiz_image *image)
{
	for (int i = 0; i < draw->jitter_steps; i++)
		switch (draw->jitter_order[i]) {
		case PHIZ_JITTER_BRIGHTNESS:
			phiz_apply_brightness(image, draw->jitter_factor[i]);
			break;
		case PHIZ_JITTER_CONTRAST:
			phiz_apply_contrast(image, draw->jitter_factor[i]);
			break;
		case PHIZ_JITTER_SATURATION:
			phiz_apply_saturation(image, draw->jitter_factor[i]);
			break;
		case PHIZ_JITTER_HUE:
			phiz_apply_hue(image, draw->jitter_factor[i]);
			break;
		}
}

/* From the photo to size x size pixels. */
static enum phiz_status apply_crop(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                   const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                   struct phiz_image *out)
{
	if (draw->crop.w == 0)
		return phiz_preproc_geometry(ctx, p, image, out);
	enum phiz_status status = phiz_preproc_check(ctx, p);
	if (!status && (!image->data || image->channels != 3))
		status = phiz_fail(ctx, PHIZ_E_ARG, "augmentation: want an RGB image");
	if (status)
		return status;
	int kept[4];
	phiz_preproc_crop_box(p, image->width, image->height, kept);
	struct phiz_box box = draw->crop;
	box.x += kept[0];
	box.y += kept[1];
	return phiz_apply_resized_crop(ctx, image, &box, p->size, out);
}

static enum phiz_status apply_warps(struct phiz_ctx *ctx, const struct phiz_augment *a,
                                    const struct phiz_augment_draw *draw, struct phiz_image *image)
{
	enum phiz_status status = PHIZ_OK;
	if (draw->flip)
		phiz_image_flip_horizontal(image);
	if (draw->angle != 0)
		status = phiz_apply_rotate(ctx, image, draw->angle, a->bilinear, a->fill);
	if (!status && draw->affine)
		status = phiz_apply_affine(ctx, image, draw->shift, draw->zoom, a->bilinear, a->fill);
	return status;
}

enum phiz_status phiz_augment_pixels(struct phiz_ctx *ctx, const struct phiz_augment *a,
                                     const struct phiz_augment_draw *draw, struct phiz_image *image)
{
	enum phiz_status status = PHIZ_OK;
	apply_jitter(draw, image);
	if (draw->gray)
		phiz_apply_gray(image);
	if (draw->blur_sigma > 0)
		status = phiz_apply_blur(ctx, image, a->blur_kernel, draw->blur_sigma);
	if (!status && draw->low_res > 0)
		status = phiz_apply_low_res(ctx, image, draw->low_res);
	if (!status && draw->jpeg_quality > 0)
		status = phiz_apply_jpeg(ctx, image, draw->jpeg_quality);
	return status;
}

enum phiz_status phiz_augment_geometry(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                       const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                       struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = apply_crop(ctx, p, draw, image, out);
	if (!status)
		status = apply_warps(ctx, a, draw, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

enum phiz_status phiz_augment_image(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                    const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                    struct phiz_image *out)
{
	enum phiz_status status = phiz_augment_geometry(ctx, a, p, draw, image, out);
	if (!status)
		status = phiz_augment_pixels(ctx, a, draw, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

bool phiz_augment_fits_bytes(const struct phiz_augment *a)
{
	return !a || (!(a->mixup > 0) && !(a->erase > 0 && a->erase_random));
}

void phiz_augment_write(const struct phiz_preproc *p, const struct phiz_image *image,
                        const struct phiz_augment_out *out)
{
	if (out->planes) {
		phiz_preproc_normalize(p, image, out->planes);
		return;
	}
	phiz_preproc_planes(image, out->bytes);
	memset(out->erased, 0, 4 * sizeof *out->erased);
}

static void erase(const struct phiz_augment *a, const struct phiz_augment_draw *draw, int size,
                  const struct phiz_augment_out *out)
{
	const struct phiz_box *box = &draw->erase;
	const int32_t erased[4] = {box->x, box->y, box->w, box->h};
	if (box->w <= 0 || box->h <= 0)
		return;
	if (out->planes)
		phiz_apply_erase(out->planes, size, size, box, a->erase_random ? &draw->erase_noise : NULL);
	else
		memcpy(out->erased, erased, sizeof erased);
}

enum phiz_status phiz_augment_finish(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                     const struct phiz_augment_draw *draw, struct phiz_image *image,
                                     const struct phiz_augment_out *out, struct phiz_stages *stages)
{
	enum phiz_status status = phiz_augment_pixels(ctx, a, draw, image);
	phiz_stages_end(stages, PHIZ_STAGE_PIXELS);
	if (!status) {
		phiz_augment_write(p, image, out);
		erase(a, draw, p->size, out);
		phiz_stages_end(stages, PHIZ_STAGE_FLOATS);
	}
	phiz_image_free(ctx, image);
	return status;
}

enum phiz_status phiz_augment_run(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                  struct phiz_rng *rng, const struct phiz_image *image,
                                  const struct phiz_augment_out *out, struct phiz_stages *stages)
{
	struct phiz_augment_draw draw;
	struct phiz_image made;
	enum phiz_status status;
	int kept[4];
	if (!a || !phiz_augment_is_on(a)) {
		status = phiz_preproc_geometry(ctx, p, image, &made);
		if (!status)
			phiz_augment_write(p, &made, out);
		phiz_image_free(ctx, &made);
		return status;
	}
	phiz_preproc_crop_box(p, image->width, image->height, kept);
	phiz_augment_sample(a, rng, kept[2], kept[3], p->size, &draw);
	status = phiz_augment_geometry(ctx, a, p, &draw, image, &made);
	phiz_stages_end(stages, PHIZ_STAGE_GEOMETRY);
	return status ? status : phiz_augment_finish(ctx, a, p, &draw, &made, out, stages);
}
