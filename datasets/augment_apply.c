/* Geometry, blur, JPEG artefacts and erasing, for given parameters. */
#include "datasets/augment.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/resize.h"

static void replace(struct phiz_ctx *ctx, struct phiz_image *image, const struct phiz_image *by)
{
	phiz_image_free(ctx, image);
	*image = *by;
}

enum phiz_status phiz_apply_resized_crop(struct phiz_ctx *ctx, const struct phiz_image *from,
                                         const struct phiz_box *box, int size, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	if (box->x < 0 || box->y < 0 || box->w < 1 || box->h < 1 || box->w > from->width - box->x ||
	    box->h > from->height - box->y)
		return phiz_fail(ctx, PHIZ_E_ARG, "resized crop: the box %d, %d, %dx%d is not inside %dx%d pixels", box->x,
		                 box->y, box->w, box->h, from->width, from->height);
	struct phiz_view view = phiz_view_box(from, box->x, box->y, box->w, box->h);
	return phiz_view_resize(ctx, &view, size, size, NULL, NULL, out);
}

/* To 15 decimals, halves to even, as Python's round(x, 15) does for |x| <= 1: the product is rounded to a whole number
 * by its exact value, the part that a double loses included. */
static double round15(double x)
{
	double product = x * 1e15, lost = fma(x, 1e15, -product);
	double whole = nearbyint(product), rest = product - whole + lost;
	if (rest > 0.5)
		whole += 1;
	else if (rest < -0.5)
		whole -= 1;
	return whole / 1e15;
}

/* What Pillow does for quarter turns: no resampling. false: not one. */
static bool quarter_turn(struct phiz_ctx *ctx, struct phiz_image *image, double angle, enum phiz_status *status)
{
	int orientation; /* the EXIF code that is undone by this turn */
	if (angle == 0)
		orientation = 1;
	else if (angle == 180)
		orientation = 3;
	else if (angle == 90 && image->width == image->height)
		orientation = 8;
	else if (angle == 270 && image->width == image->height)
		orientation = 6;
	else
		return false;
	*status = phiz_image_orient(ctx, orientation, image);
	return true;
}

static enum phiz_status warp(struct phiz_ctx *ctx, struct phiz_image *image, const double m[6], bool bilinear,
                             const uint8_t fill[3])
{
	struct phiz_image out;
	enum phiz_status status = phiz_image_affine(ctx, image, m, image->width, image->height, bilinear, fill, &out);
	if (!status)
		replace(ctx, image, &out);
	return status;
}

void phiz_rotate_transform(double angle, int width, int height, double m[6])
{
	double radians = -(fmod(angle, 360.0) * (3.14159265358979323846 / 180.0));
	double cosine = round15(cos(radians)), sine = round15(sin(radians)), back = round15(-sin(radians));
	double cx = width / 2.0, cy = height / 2.0;

	m[0] = m[4] = cosine;
	m[1] = sine;
	m[3] = back;
	m[2] = cosine * -cx + sine * -cy + 0.0 + cx;
	m[5] = back * -cx + cosine * -cy + 0.0 + cy;
}

enum phiz_status phiz_apply_rotate(struct phiz_ctx *ctx, struct phiz_image *image, double angle, bool bilinear,
                                   const uint8_t fill[3])
{
	enum phiz_status status;
	double m[6];
	angle = fmod(angle, 360.0);
	if (angle < 0)
		angle += 360.0;
	if (quarter_turn(ctx, image, angle, &status))
		return status;
	phiz_rotate_transform(angle, image->width, image->height, m);
	return warp(ctx, image, m, bilinear, fill);
}

void phiz_affine_transform(const int shift[2], double zoom, int width, int height, double m[6])
{
	double cx = width * 0.5, cy = height * 0.5, inverse = 1.0 / zoom;

	m[0] = m[4] = inverse;
	m[1] = m[3] = 0;
	m[2] = inverse * (-cx - shift[0]) + cx;
	m[5] = inverse * (-cy - shift[1]) + cy;
}

enum phiz_status phiz_apply_affine(struct phiz_ctx *ctx, struct phiz_image *image, const int shift[2], double zoom,
                                   bool bilinear, const uint8_t fill[3])
{
	double m[6];
	if (!(zoom > 0) || !isfinite(zoom))
		return phiz_fail(ctx, PHIZ_E_ARG, "affine: want a zoom of more than 0, got %g", zoom);
	phiz_affine_transform(shift, zoom, image->width, image->height, m);
	return warp(ctx, image, m, bilinear, fill);
}

/* --- Gaussian blur. --- */

/* Taps at whole pixels from -half to half, of sum 1. */
static void gauss_kernel(int taps, double sigma, float *kernel)
{
	double half = (taps - 1) / 2, sum = 0;
	for (int i = 0; i < taps; i++)
		sum += exp(-0.5 * ((i - half) / sigma) * ((i - half) / sigma));
	for (int i = 0; i < taps; i++)
		kernel[i] = (float)(exp(-0.5 * ((i - half) / sigma) * ((i - half) / sigma)) / sum);
}

/* Mirrored at the first and the last pixel, which are not repeated. */
static int reflect(int i, int size)
{
	return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
}

/* out[3 * width] from one row; wide holds the row with its mirrored ends. */
static void blur_row(const uint8_t *row, int width, const float *kernel, int taps, float *wide, float *out)
{
	int half = taps / 2;
	for (int x = -half; x < width + half; x++)
		for (int c = 0; c < 3; c++)
			wide[3 * (x + half) + c] = row[3 * reflect(x, width) + c];
	for (int i = 0; i < 3 * width; i++)
		out[i] = 0;
	for (int k = 0; k < taps; k++) {
		float weight = kernel[k];
		const float *in = wide + 3 * k;
		for (int i = 0; i < 3 * width; i++)
			out[i] += weight * in[i];
	}
}

/* Row y of the image from the blurred rows around it. */
static void blur_column(const float *rows, int y, int height, int bytes, const float *kernel, int taps, float *sum,
                        uint8_t *out)
{
	for (int i = 0; i < bytes; i++)
		sum[i] = 0;
	for (int k = 0; k < taps; k++) {
		float weight = kernel[k];
		const float *in = rows + (size_t)reflect(y + k - taps / 2, height) * (size_t)bytes;
		for (int i = 0; i < bytes; i++)
			sum[i] += weight * in[i];
	}
	for (int i = 0; i < bytes; i++) {
		float v = sum[i] > 255.0f ? 255.0f : sum[i];
		/* Adding 1.5 * 2^23 leaves no fractional bits: rounds to even without a call. */
		out[i] = (uint8_t)(v + 12582912.0f - 12582912.0f);
	}
}

enum phiz_status phiz_apply_blur(struct phiz_ctx *ctx, struct phiz_image *image, int kernel, double sigma)
{
	enum { MAX_TAPS = 63 };
	float taps[MAX_TAPS];
	int width = image->width, height = image->height, bytes = 3 * width;
	if (kernel < 1 || kernel > MAX_TAPS || kernel % 2 == 0 || !(sigma > 0))
		return phiz_fail(ctx, PHIZ_E_ARG, "blur: want an odd kernel up to %d and a sigma above 0, got %d, %g",
		                 MAX_TAPS, kernel, sigma);
	if (kernel / 2 >= width || kernel / 2 >= height)
		return phiz_fail(ctx, PHIZ_E_ARG, "blur: %dx%d pixels are too few for a kernel of %d", width, height, kernel);
	gauss_kernel(kernel, sigma, taps);
	size_t wide = (size_t)(width + kernel) * 3;
	float *scratch = phiz_alloc(ctx, wide, sizeof *scratch);
	float *rows = scratch ? phiz_alloc(ctx, (size_t)height * (size_t)bytes, sizeof *rows) : NULL;
	if (rows) {
		for (int y = 0; y < height; y++)
			blur_row(image->data + (size_t)y * (size_t)bytes, width, taps, kernel, scratch,
			         rows + (size_t)y * (size_t)bytes);
		for (int y = 0; y < height; y++)
			blur_column(rows, y, height, bytes, taps, kernel, scratch, image->data + (size_t)y * (size_t)bytes);
	}
	enum phiz_status status = rows ? PHIZ_OK : phiz_ctx_status(ctx);
	phiz_free(ctx, scratch);
	phiz_free(ctx, rows);
	return status;
}

/* --- The rest. --- */

enum phiz_status phiz_apply_low_res(struct phiz_ctx *ctx, struct phiz_image *image, int side)
{
	struct phiz_image small, out;
	enum phiz_status status = phiz_image_resize(ctx, image, side, side, NULL, &small);
	if (status)
		return status;
	status = phiz_image_resize(ctx, &small, image->width, image->height, NULL, &out);
	phiz_image_free(ctx, &small);
	if (!status)
		replace(ctx, image, &out);
	return status;
}

enum phiz_status phiz_apply_jpeg(struct phiz_ctx *ctx, struct phiz_image *image, int quality)
{
	struct phiz_bytes bytes;
	struct phiz_image out = { 0 };
	phiz_bytes_init(&bytes, ctx);
	enum phiz_status status = phiz_jpeg_encode(ctx, image, quality, &bytes);
	if (!status)
		status = phiz_image_decode(ctx, bytes.data, bytes.size, "JPEG artefacts", NULL, &out);
	phiz_bytes_free(&bytes);
	if (!status)
		replace(ctx, image, &out);
	return status;
}

void phiz_apply_erase(float *planes, int width, int height, const struct phiz_box *box, const struct phiz_rng *noise)
{
	size_t plane = (size_t)width * (size_t)height;
	struct phiz_rng rng;
	if (noise)
		rng = *noise;
	for (size_t c = 0; c < 3; c++)
		for (int y = box->y; y < box->y + box->h; y++) {
			float *row = planes + c * plane + (size_t)y * (size_t)width + box->x;
			for (int x = 0; x < box->w; x++)
				row[x] = noise ? (float)phiz_rng_normal(&rng) : 0.0f;
		}
}

void phiz_mixup_apply(float *a, const float *b, size_t n, float lambda)
{
	float other = 1.0f - lambda;
	for (size_t i = 0; i < n; i++)
		a[i] = lambda * a[i] + other * b[i];
}
