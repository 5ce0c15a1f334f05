/* Affine maps, with Pillow's arithmetic: nearest by repeated addition in 16.16 fixed point (in double where the
 * coordinates are too large for it, or where there is no rotation), bilinear in double. */
#include <phiz/image.h>

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/fast.h"

#define MAX_PIXELS 100000000

/* floor(v) as an int. */
static int floor_int(double v)
{
	return v < 0.0 ? (int)floor(v) : (int)v;
}

/* The pixel that a coordinate lies in, -1 if it lies outside 0..size. */
static int inside(double v, int size)
{
	return v >= 0.0 && v < size ? (int)v : -1;
}

static void put(const struct phiz_image *from, int x, int y, uint8_t *out)
{
	size_t pixel = (size_t)from->channels;
	const uint8_t *in = from->data + ((size_t)y * (size_t)from->width + (size_t)x) * pixel;
	for (size_t c = 0; c < pixel; c++)
		out[c] = in[c];
}

/* No rotation: source columns are the same in every row. column holds as many ints as `to` is wide. */
static void nearest_scale(const struct phiz_image *from, const double m[6], struct phiz_image *to, int *column)
{
	size_t pixel = (size_t)to->channels;
	double sx = m[2] + m[0] * 0.5, sy = m[5] + m[4] * 0.5;
	for (int x = 0; x < to->width; x++, sx += m[0])
		column[x] = inside(sx, from->width);
	for (int y = 0; y < to->height; y++, sy += m[4]) {
		int row = inside(sy, from->height);
		uint8_t *out = to->data + (size_t)y * (size_t)to->width * pixel;
		for (int x = 0; row >= 0 && x < to->width; x++)
			if (column[x] >= 0)
				put(from, column[x], row, out + (size_t)x * pixel);
	}
}

static int64_t to_fixed(double v)
{
	return (int64_t)floor(v * 65536.0 + 0.5);
}

/* A place in the source and the way to the next, in 16.16 fixed point. */
struct walk {
	int64_t x, y, step_x, step_y;
};

/* Does the i-th place lie in the image, and not in its last column? */
static bool before_end(const struct phiz_image *from, const struct walk *w, int i)
{
	int64_t x = (w->x + i * w->step_x) >> 16, y = (w->y + i * w->step_y) >> 16;
	return x >= 0 && x < from->width - 1 && y >= 0 && y < from->height;
}

/* RGB pixels begin..end, all of them before_end; copied as four bytes, whose last one the next pixel writes over. */
static void nearest_run(const struct phiz_image *from, const struct walk *w, int begin, int end, uint8_t *row)
{
	size_t stride = (size_t)from->width * 3;
	int64_t fx = w->x + begin * w->step_x, fy = w->y + begin * w->step_y;
	for (int x = begin; x < end; x++, fx += w->step_x, fy += w->step_y)
		memcpy(row + (size_t)x * 3, from->data + (size_t)(fy >> 16) * stride + (size_t)(fx >> 16) * 3, 4);
}

static void nearest_pixels(const struct phiz_image *from, const struct walk *w, int begin, int end, uint8_t *row)
{
	for (int x = begin; x < end; x++) {
		int64_t sx = (w->x + x * w->step_x) >> 16, sy = (w->y + x * w->step_y) >> 16;
		if (sx >= 0 && sx < from->width && sy >= 0 && sy < from->height)
			put(from, (int)sx, (int)sy, row + (size_t)x * (size_t)from->channels);
	}
}

/* Places move on one way only, so that those before the end are one run. */
static void nearest_row(const struct phiz_image *from, const struct walk *w, int width, uint8_t *row)
{
	int begin = 0, end = from->channels == 3 ? width : 0;
	while (begin < end && !before_end(from, w, begin))
		begin++;
	while (end > begin && !before_end(from, w, end - 1))
		end--;
	end = end > begin ? end - 1 : begin; /* the last one may have no neighbour to write over */
	nearest_run(from, w, begin, end, row);
	nearest_pixels(from, w, 0, begin, row);
	nearest_pixels(from, w, end, width, row);
}

static void nearest_fixed(const struct phiz_image *from, const double m[6], struct phiz_image *to)
{
	size_t pixel = (size_t)to->channels;
	/* 64 bits hold every sum. Where Pillow's 32 bits hold it too, which fits_fixed is for, they agree. */
	struct walk w = { to_fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), to_fixed(m[5] + m[3] * 0.5 + m[4] * 0.5),
		          to_fixed(m[0]), to_fixed(m[3]) };
	int64_t down_x = to_fixed(m[1]), down_y = to_fixed(m[4]);
	for (int y = 0; y < to->height; y++, w.x += down_x, w.y += down_y)
		nearest_row(from, &w, to->width, to->data + (size_t)y * (size_t)to->width * pixel);
}

static void nearest_double(const struct phiz_image *from, const double m[6], struct phiz_image *to)
{
	size_t pixel = (size_t)to->channels;
	double row_x = m[2] + m[1] * 0.5 + m[0] * 0.5, row_y = m[5] + m[4] * 0.5 + m[3] * 0.5;
	uint8_t *out = to->data;
	for (int y = 0; y < to->height; y++, row_x += m[1], row_y += m[4]) {
		double fx = row_x, fy = row_y;
		for (int x = 0; x < to->width; x++, fx += m[0], fy += m[3], out += pixel) {
			int sx = inside(fx, from->width), sy = inside(fy, from->height);
			if (sx >= 0 && sy >= 0)
				put(from, sx, sy, out);
		}
	}
}

static int clip(int v, int size)
{
	return v < 0 ? 0 : v < size ? v : size - 1;
}

/* Between the four pixels around (sx, sy); at the border the nearest ones stand for those outside. */
static void bilinear_pixel(const struct phiz_image *from, double sx, double sy, uint8_t *out)
{
	size_t pixel = (size_t)from->channels, stride = (size_t)from->width * pixel;
	int x = floor_int(sx - 0.5), y = floor_int(sy - 0.5);
	double dx = sx - 0.5 - x, dy = sy - 0.5 - y;
	size_t left = (size_t)clip(x, from->width) * pixel, right = (size_t)clip(x + 1, from->width) * pixel;
	const uint8_t *upper = from->data + (size_t)clip(y, from->height) * stride;
	bool two = y + 1 >= 0 && y + 1 < from->height;
	const uint8_t *lower = two ? from->data + (size_t)(y + 1) * stride : upper;
	for (size_t c = 0; c < pixel; c++) {
		double a = upper[left + c] + (upper[right + c] - upper[left + c]) * dx;
		double b = lower[left + c] + (lower[right + c] - lower[left + c]) * dx;
		out[c] = (uint8_t)(a + (b - a) * dy);
	}
}

/* Where the pixel (x, y) of the result comes from. */
static void source(const double m[6], int x, int y, double *sx, double *sy)
{
	*sx = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2];
	*sy = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
}

/* Does the pixel come from inside of the image, whose border is not touched, nor the last column but one? */
static bool well_inside(const struct phiz_image *from, const double m[6], int x, int y)
{
	double sx, sy;
	source(m, x, y, &sx, &sy);
	sx -= 0.5;
	sy -= 0.5;
	return sx >= 0.0 && sx < from->width - 2 && sy >= 0.0 && sy < from->height - 1;
}

static void bilinear_pixels(const struct phiz_image *from, const double m[6], int begin, int end, int y, uint8_t *row)
{
	for (int x = begin; x < end; x++) {
		double sx, sy;
		source(m, x, y, &sx, &sy);
		if (sx >= 0.0 && sx < from->width && sy >= 0.0 && sy < from->height)
			bilinear_pixel(from, sx, sy, row + (size_t)x * (size_t)from->channels);
	}
}

/* Sources move on one way only, so that those well inside are one run of pixels. */
static void bilinear_row(const struct phiz_image *from, const double m[6], int width, int y, uint8_t *row)
{
	int begin = 0, end = from->channels == 3 ? width : 0;
	while (begin < end && !well_inside(from, m, begin, y))
		begin++;
	while (end > begin && !well_inside(from, m, end - 1, y))
		end--;
	end = begin + phiz_fast_bilinear_rgb(from->data, (size_t)from->width * 3, m, begin, y, end - begin,
	                                     row + (size_t)begin * 3);
	bilinear_pixels(from, m, 0, begin, y, row);
	bilinear_pixels(from, m, end, width, y, row);
}

static void bilinear_map(const struct phiz_image *from, const double m[6], struct phiz_image *to)
{
	for (int y = 0; y < to->height; y++)
		bilinear_row(from, m, to->width, y, to->data + (size_t)y * (size_t)to->width * (size_t)to->channels);
}

static bool corner_fits(const double m[6], int x, int y)
{
	return fabs(x * m[0] + y * m[1] + m[2]) < 32768.0 && fabs(x * m[3] + y * m[4] + m[5]) < 32768.0;
}

static bool fits_fixed(const double m[6], int width, int height)
{
	return corner_fits(m, 0, 0) && corner_fits(m, width, height) && corner_fits(m, 0, height) &&
	       corner_fits(m, width, 0);
}

static enum phiz_status nearest_map(struct phiz_ctx *ctx, const struct phiz_image *from, const double m[6],
                                    struct phiz_image *to)
{
	if (m[1] == 0 && m[3] == 0) {
		int *column = phiz_alloc(ctx, (size_t)to->width, sizeof *column);
		if (!column)
			return phiz_ctx_status(ctx);
		nearest_scale(from, m, to, column);
		phiz_free(ctx, column);
	} else if (fits_fixed(m, to->width, to->height)) {
		nearest_fixed(from, m, to);
	} else {
		nearest_double(from, m, to);
	}
	return PHIZ_OK;
}

static void fill_image(struct phiz_image *image, const uint8_t fill[3])
{
	size_t pixels = (size_t)image->width * (size_t)image->height;
	bool plain = fill[0] == fill[1] && fill[1] == fill[2];
	if (plain || image->channels == 1) {
		memset(image->data, fill[0], pixels * (size_t)image->channels);
		return;
	}
	for (size_t i = 0; i < pixels; i++)
		memcpy(image->data + 3 * i, fill, 3);
}

enum phiz_status phiz_image_affine(struct phiz_ctx *ctx, const struct phiz_image *from, const double m[6], int width,
                                   int height, bool bilinear, const uint8_t fill[3], struct phiz_image *out)
{
	static const uint8_t black[3] = { 0, 0, 0 };
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "affine");
	if (status)
		return status;
	for (int i = 0; i < 6; i++)
		if (!isfinite(m[i]))
			return phiz_fail(ctx, PHIZ_E_ARG, "affine: coefficient %d is not finite", i);
	if ((int64_t)width * height > MAX_PIXELS)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "affine: %dx%d pixels, the limit is %d pixels", width, height,
		                 MAX_PIXELS);
	status = phiz_image_create(ctx, width, height, from->channels, out);
	if (status)
		return status;
	fill_image(out, fill ? fill : black);
	if (bilinear)
		bilinear_map(from, m, out);
	else
		status = nearest_map(ctx, from, m, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}
