/* Images in memory: making, copying, cropping, flipping, turning, grey. */
#include <phiz/image.h>

#include <limits.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/pixel.h"

enum phiz_status phiz_image_create(struct phiz_ctx *ctx, int width, int height, int channels, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	if (width < 1 || height < 1 || (channels != 1 && channels != 3))
		return phiz_fail(ctx, PHIZ_E_ARG, "image: want at least 1x1 pixels of 1 or 3 channels, got %dx%d of %d",
		                 width, height, channels);
	int64_t row = (int64_t)width * channels;
	if (row > INT_MAX / height)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "image: %dx%d pixels of %d channels are more than 2 GiB", width, height,
		                 channels);
	uint8_t *data = phiz_alloc(ctx, (size_t)row, (size_t)height);
	if (!data)
		return phiz_ctx_status(ctx);
	*out = (struct phiz_image){ width, height, channels, data };
	return PHIZ_OK;
}

void phiz_image_free(struct phiz_ctx *ctx, struct phiz_image *image)
{
	if (!image)
		return;
	phiz_free(ctx, image->data);
	*image = (struct phiz_image){ 0 };
}

enum phiz_status phiz_image_check(struct phiz_ctx *ctx, const struct phiz_image *image, const char *who)
{
	if (image && image->data && image->width >= 1 && image->height >= 1 &&
	    (image->channels == 1 || image->channels == 3))
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_ARG, "%s: no image, or one that is not 8-bit RGB or grey", who);
}

enum phiz_status phiz_image_copy(struct phiz_ctx *ctx, const struct phiz_image *from, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "image copy");
	if (status)
		return status;
	status = phiz_image_create(ctx, from->width, from->height, from->channels, out);
	if (!status)
		memcpy(out->data, from->data, (size_t)from->width * (size_t)from->height * (size_t)from->channels);
	return status;
}

/* [begin, end) cut to [0, size). */
static void clip_range(int64_t begin, int64_t end, int64_t size, int64_t *first, int64_t *last)
{
	*first = begin < 0 ? 0 : begin > size ? size : begin;
	*last = end < *first ? *first : end > size ? size : end;
}

enum phiz_status phiz_image_crop(struct phiz_ctx *ctx, const struct phiz_image *from, int x, int y, int w, int h,
                                 struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "image crop");
	if (status)
		return status;
	status = phiz_image_create(ctx, w, h, from->channels, out);
	if (status)
		return status;
	int64_t left, right, top, bottom;
	clip_range(x, (int64_t)x + w, from->width, &left, &right);
	clip_range(y, (int64_t)y + h, from->height, &top, &bottom);
	size_t pixel = (size_t)from->channels;
	size_t in_row = (size_t)from->width * pixel, out_row = (size_t)w * pixel;
	size_t used = (size_t)(right - left) * pixel;
	if (used < out_row || bottom - top < h)
		memset(out->data, 0, out_row * (size_t)h);
	if (!used)
		return PHIZ_OK;
	for (int64_t row = top; row < bottom; row++)
		memcpy(out->data + (size_t)(row - y) * out_row + (size_t)(left - x) * pixel,
		       from->data + (size_t)row * in_row + (size_t)left * pixel, used);
	return PHIZ_OK;
}

static void flip_row_rgb(uint8_t *row, size_t width)
{
	uint8_t *a = row, *b = row + 3 * (width - 1);
	for (; a < b; a += 3, b -= 3)
		for (int c = 0; c < 3; c++) {
			uint8_t t = a[c];
			a[c] = b[c];
			b[c] = t;
		}
}

static void flip_row_gray(uint8_t *row, size_t width)
{
	for (uint8_t *a = row, *b = row + width - 1; a < b; a++, b--) {
		uint8_t t = *a;
		*a = *b;
		*b = t;
	}
}

void phiz_image_flip_horizontal(struct phiz_image *image)
{
	size_t width = (size_t)image->width, row = width * (size_t)image->channels;
	for (int y = 0; y < image->height; y++) {
		if (image->channels == 3)
			flip_row_rgb(image->data + (size_t)y * row, width);
		else
			flip_row_gray(image->data + (size_t)y * row, width);
	}
}

static void flip_vertical(struct phiz_image *image)
{
	size_t row = (size_t)image->width * (size_t)image->channels;
	for (size_t top = 0, bottom = (size_t)image->height - 1; top < bottom; top++, bottom--) {
		uint8_t *a = image->data + top * row, *b = image->data + bottom * row;
		for (size_t i = 0; i < row; i++) {
			uint8_t t = a[i];
			a[i] = b[i];
			b[i] = t;
		}
	}
}

/* Rows become columns. */
static enum phiz_status transpose(struct phiz_ctx *ctx, struct phiz_image *image)
{
	struct phiz_image out;
	enum phiz_status status = phiz_image_create(ctx, image->height, image->width, image->channels, &out);
	if (status)
		return status;
	size_t pixel = (size_t)image->channels, width = (size_t)image->width, height = (size_t)image->height;
	/* In strips, so that the rows written to stay in the cache. */
	for (size_t x0 = 0; x0 < width; x0 += 16)
		for (size_t y = 0; y < height; y++)
			for (size_t x = x0; x < x0 + 16 && x < width; x++)
				memcpy(out.data + (x * height + y) * pixel, image->data + (y * width + x) * pixel, pixel);
	phiz_image_free(ctx, image);
	*image = out;
	return PHIZ_OK;
}

enum phiz_status phiz_image_orient(struct phiz_ctx *ctx, int orientation, struct phiz_image *image)
{
	if (orientation >= 5 && orientation <= 8) {
		enum phiz_status status = transpose(ctx, image);
		if (status)
			return status;
	}
	/* After the transposition, if any, what is left are flips. */
	if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7)
		phiz_image_flip_horizontal(image);
	if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8)
		flip_vertical(image);
	return PHIZ_OK;
}

enum phiz_status phiz_image_to_gray(struct phiz_ctx *ctx, const struct phiz_image *from, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "image to grey");
	if (status)
		return status;
	if (from->channels == 1)
		return phiz_image_copy(ctx, from, out);
	status = phiz_image_create(ctx, from->width, from->height, 1, out);
	if (status)
		return status;
	size_t pixels = (size_t)from->width * (size_t)from->height;
	const uint8_t *rgb = from->data;
	for (size_t i = 0; i < pixels; i++, rgb += 3)
		out->data[i] = phiz_luma(rgb[0], rgb[1], rgb[2]);
	return PHIZ_OK;
}
