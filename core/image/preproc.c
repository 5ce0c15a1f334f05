/* The one definition of preprocessing. */
#include <phiz/preproc.h>

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/resize.h"

enum { MAX_SIDE = 16384 };

void phiz_preproc_torchvision(struct phiz_preproc *p)
{
	*p = (struct phiz_preproc){ { PHIZ_ALIGN_NONE, 0, 0 }, 1.0, PHIZ_RESIZE_SHORT, 256, 224, { 0.485f, 0.456f, 0.406f },
		                    { 0.229f, 0.224f, 0.225f } };
}

enum phiz_status phiz_preproc_check(struct phiz_ctx *ctx, const struct phiz_preproc *p)
{
	enum phiz_status status = phiz_align_check(ctx, &p->align);

	if (status)
		return phiz_fail_in(ctx, "preprocessing");
	if (!(p->crop > 0 && p->crop <= 1))
		return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: crop: want more than 0 and at most 1, got %g", p->crop);
	if (p->mode != PHIZ_RESIZE_STRETCH && p->mode != PHIZ_RESIZE_SHORT)
		return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: mode: want stretch or short, got %d", (int)p->mode);
	if (p->size < 1 || p->size > MAX_SIDE)
		return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: size: want 1 to %d, got %d", MAX_SIDE, p->size);
	if (p->mode == PHIZ_RESIZE_SHORT && (p->resize < 1 || p->resize > MAX_SIDE))
		return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: resize: want 1 to %d, got %d", MAX_SIDE, p->resize);
	for (int c = 0; c < 3; c++) {
		if (!isfinite(p->mean[c]))
			return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: mean: not finite");
		if (!isfinite(p->std[c]) || !(p->std[c] > 0))
			return phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: std: want more than 0, got %g", (double)p->std[c]);
	}
	return PHIZ_OK;
}

/* The part [*at, *at + *size) of 0..side. */
static void crop_side(double crop, int side, int *at, int *size)
{
	double kept = side * crop;
	int begin = (int)nearbyint((side - kept) / 2), end = (int)nearbyint((side + kept) / 2);
	if (begin > side - 1)
		begin = side - 1;
	*at = begin;
	*size = end > begin ? end - begin : 1;
}

void phiz_preproc_crop_box(const struct phiz_preproc *p, int width, int height, int box[4])
{
	crop_side(p->crop, width, &box[0], &box[2]);
	crop_side(p->crop, height, &box[1], &box[3]);
}

/* Resize(resize, max_size=16384): the short side becomes `resize`, the other is cut off to whole pixels. */
static void short_size(int resize, int width, int height, int *out_width, int *out_height)
{
	int small = width < height ? width : height, large = width < height ? height : width;
	double scaled = floor((double)((int64_t)resize * large) / small);
	int new_small = resize, new_large = (int)(scaled < MAX_SIDE ? scaled : MAX_SIDE);
	if (scaled > MAX_SIDE)
		new_small = (int)((double)((int64_t)MAX_SIDE * resize) / scaled);
	if (new_small < 1)
		new_small = 1;
	*out_width = width <= height ? new_small : new_large;
	*out_height = width <= height ? new_large : new_small;
}

/* CenterCrop along one side: the window [*from, *from + *count) of `side` pixels lands at *to of `size`. Where the side
 * is too short, it is padded on both ends, the odd pixel at the end. */
static void center_side(int side, int size, int *from, int *count, int *to)
{
	if (side < size) {
		*from = 0;
		*count = side;
		*to = (size - side) / 2;
	} else {
		*from = (int)nearbyint((side - size) / 2.0);
		*count = size;
		*to = 0;
	}
}

/* Resize and CenterCrop in one: only the pixels of the centre are computed. */
static enum phiz_status resize_short(struct phiz_ctx *ctx, const struct phiz_preproc *p, const struct phiz_view *view,
                                     struct phiz_image *out)
{
	int width, height, window[4], x, y;
	short_size(p->resize, view->width, view->height, &width, &height);
	center_side(width, p->size, &window[0], &window[2], &x);
	center_side(height, p->size, &window[1], &window[3], &y);
	enum phiz_status status = phiz_view_resize(ctx, view, width, height, NULL, window, out);
	if (status || (window[2] == p->size && window[3] == p->size))
		return status;
	struct phiz_image center = *out;
	status = phiz_image_crop(ctx, &center, -x, -y, p->size, p->size, out);
	phiz_image_free(ctx, &center);
	return status;
}

enum phiz_status phiz_preproc_geometry(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                       const struct phiz_image *from, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "preprocessing");
	if (!status)
		status = phiz_preproc_check(ctx, p);
	if (!status && from->channels != 3)
		status = phiz_fail(ctx, PHIZ_E_ARG, "preprocessing: want an RGB image, got a grey one");
	if (status)
		return status;
	int box[4];
	phiz_preproc_crop_box(p, from->width, from->height, box);
	struct phiz_view view = phiz_view_box(from, box[0], box[1], box[2], box[3]);
	if (p->mode == PHIZ_RESIZE_STRETCH)
		return phiz_view_resize(ctx, &view, p->size, p->size, NULL, NULL, out);
	return resize_short(ctx, p, &view, out);
}

void phiz_preproc_normalize(const struct phiz_preproc *p, const struct phiz_image *image, float *out)
{
	size_t pixels = (size_t)image->width * (size_t)image->height;
	for (size_t c = 0; c < 3; c++) {
		float table[256];
		for (int v = 0; v < 256; v++)
			table[v] = ((float)v / 255.0f - p->mean[c]) / p->std[c];
		const uint8_t *in = image->data + c;
		float *plane = out + c * pixels;
		for (size_t i = 0; i < pixels; i++)
			plane[i] = table[in[3 * i]];
	}
}

void phiz_preproc_planes(const struct phiz_image *image, uint8_t *out)
{
	size_t pixels = (size_t)image->width * (size_t)image->height;
	for (size_t i = 0; i < pixels; i++) {
		out[i] = image->data[3 * i];
		out[pixels + i] = image->data[3 * i + 1];
		out[2 * pixels + i] = image->data[3 * i + 2];
	}
}

enum phiz_status phiz_preproc_run(struct phiz_ctx *ctx, const struct phiz_preproc *p, const struct phiz_image *from,
                                  float *out)
{
	struct phiz_image image;
	enum phiz_status status = phiz_preproc_geometry(ctx, p, from, &image);
	if (status)
		return status;
	phiz_preproc_normalize(p, &image, out);
	phiz_image_free(ctx, &image);
	return PHIZ_OK;
}
