/* Bilinear resize with antialiasing, equal to Pillow's to the last bit.
 *
 * Along each axis out[i] = sum_k w[i][k] * in[first[i] + k], where the weights sample a triangle that is as wide as
 * two source pixels, or, when shrinking, as two result pixels: computed in double, normalised to sum 1, rounded to 22
 * fractional bits. Sums are 32-bit with a rounding half; the horizontal pass comes first and rounds to 8 bits. */
#include "core/image/resize.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/fast.h"

#define FRACTION 22
#define MAX_PIXELS 100000000
/* A rounded weight errs by half a unit, so that more of them could reach 256 * 2^22 and overflow the sums. */
#define MAX_TAPS (1 << 20)

/* The weights of one axis for the result positions of the window. */
struct axis {
	int count; /* positions */
	int taps;  /* weights kept for each */
	int *first, *used;
	int32_t *weight; /* [count][taps] */
};

static void axis_free(struct phiz_ctx *ctx, struct axis *axis)
{
	phiz_free(ctx, axis->first);
	phiz_free(ctx, axis->used);
	phiz_free(ctx, axis->weight);
}

static double triangle(double x)
{
	double distance = fabs(x);
	return distance < 1.0 ? 1.0 - distance : 0.0;
}

/* One result position: its source range and its weights; scratch holds as many doubles as there are weights. */
static void axis_position(struct axis *axis, int i, double center, double support, double inverse, int in_size,
                          double *scratch)
{
	int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
	first = first < 0 ? 0 : first;
	end = end > in_size ? in_size : end;
	int used = end - first;
	double sum = 0.0;
	for (int k = 0; k < used; k++) {
		scratch[k] = triangle((k + first - center + 0.5) * inverse);
		sum += scratch[k];
	}
	int32_t *weight = axis->weight + (size_t)i * (size_t)axis->taps;
	for (int k = 0; k < used; k++) {
		double w = sum != 0.0 ? scratch[k] / sum : scratch[k];
		weight[k] = (int32_t)(0.5 + w * (1 << FRACTION));
	}
	axis->first[i] = first;
	axis->used[i] = used;
}

/* Source pixels lo..hi of in_size onto out_size positions, of which [begin, begin + count) are wanted. lo and hi are
 * floats because Pillow's are. */
static enum phiz_status axis_make(struct phiz_ctx *ctx, int in_size, float lo, float hi, int out_size, int begin,
                                  int count, struct axis *axis)
{
	double scale = (double)(hi - lo) / out_size, support = scale < 1.0 ? 1.0 : scale;
	double taps = ceil(support) * 2 + 1;
	*axis = (struct axis){ count, 0, NULL, NULL, NULL };
	if (taps > MAX_TAPS)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "resize: %d pixels to %d is too much at once", in_size, out_size);
	axis->taps = (int)taps;
	axis->first = phiz_alloc(ctx, (size_t)count, sizeof *axis->first);
	axis->used = axis->first ? phiz_alloc(ctx, (size_t)count, sizeof *axis->used) : NULL;
	axis->weight = axis->used ? phiz_alloc(ctx, (size_t)count * (size_t)axis->taps, sizeof *axis->weight) : NULL;
	double *scratch = axis->weight ? phiz_alloc(ctx, (size_t)axis->taps, sizeof *scratch) : NULL;
	if (!scratch)
		return phiz_ctx_status(ctx);
	for (int i = 0; i < count; i++)
		axis_position(axis, i, lo + (begin + i + 0.5) * scale, support, 1.0 / support, in_size, scratch);
	phiz_free(ctx, scratch);
	return PHIZ_OK;
}

static uint8_t round8(int32_t sum)
{
	int32_t v = sum >> FRACTION;
	return (uint8_t)(v > 255 ? 255 : v);
}

static void horizontal_rgb(const uint8_t *in, int width, const struct axis *axis, uint8_t *out)
{
	int done = phiz_fast_resize_rgb(in, width, axis->first, axis->used, axis->weight, axis->taps, axis->count,
	                                FRACTION, out);
	out += (size_t)done * 3;
	for (int i = done; i < axis->count; i++, out += 3) {
		const int32_t *w = axis->weight + (size_t)i * (size_t)axis->taps;
		const uint8_t *p = in + (size_t)axis->first[i] * 3;
		int32_t r = 1 << (FRACTION - 1), g = r, b = r;
		for (int k = 0; k < axis->used[i]; k++, p += 3) {
			r += w[k] * p[0];
			g += w[k] * p[1];
			b += w[k] * p[2];
		}
		out[0] = round8(r);
		out[1] = round8(g);
		out[2] = round8(b);
	}
}

static void horizontal_gray(const uint8_t *in, const struct axis *axis, uint8_t *out)
{
	for (int i = 0; i < axis->count; i++) {
		const int32_t *w = axis->weight + (size_t)i * (size_t)axis->taps;
		const uint8_t *p = in + axis->first[i];
		int32_t sum = 1 << (FRACTION - 1);
		for (int k = 0; k < axis->used[i]; k++)
			sum += w[k] * p[k];
		out[i] = round8(sum);
	}
}

/* One row of the result from rows in[0], in[stride], ...; in blocks, whose sums stay in the nearest cache. */
static void vertical(const uint8_t *in, size_t stride, const int32_t *weight, int used, size_t bytes, uint8_t *out)
{
	enum { BLOCK = 512 };
	int32_t sum[BLOCK];
	size_t begin = phiz_fast_resize_rows(in, stride, weight, used, FRACTION, bytes, out);
	for (; begin < bytes; begin += BLOCK) {
		size_t n = bytes - begin < BLOCK ? bytes - begin : BLOCK;
		for (size_t i = 0; i < n; i++)
			sum[i] = 1 << (FRACTION - 1);
		for (int k = 0; k < used; k++) {
			const uint8_t *row = in + (size_t)k * stride + begin;
			int32_t w = weight[k];
			for (size_t i = 0; i < n; i++)
				sum[i] += w * row[i];
		}
		for (size_t i = 0; i < n; i++)
			out[begin + i] = round8(sum[i]);
	}
}

/* Rows [top, top + rows) of the view, resized along x, into `out`. */
static void pass_horizontal(const struct phiz_view *from, const struct axis *x, int top, int rows, uint8_t *out)
{
	size_t out_row = (size_t)x->count * (size_t)from->channels;
	for (int y = 0; y < rows; y++) {
		const uint8_t *in = from->data + (size_t)(top + y) * from->stride;
		if (from->channels == 3)
			horizontal_rgb(in, from->width, x, out + (size_t)y * out_row);
		else
			horizontal_gray(in, x, out + (size_t)y * out_row);
	}
}

static void pass_vertical(const uint8_t *in, size_t stride, const struct axis *y, int top, struct phiz_image *out)
{
	size_t row = (size_t)out->width * (size_t)out->channels;
	for (int i = 0; i < y->count; i++)
		vertical(in + (size_t)(y->first[i] - top) * stride, stride, y->weight + (size_t)i * (size_t)y->taps,
		         y->used[i], row, out->data + (size_t)i * row);
}

static void copy_rows(const uint8_t *in, size_t stride, struct phiz_image *out)
{
	size_t row = (size_t)out->width * (size_t)out->channels;
	for (int y = 0; y < out->height; y++)
		memcpy(out->data + (size_t)y * row, in + (size_t)y * stride, row);
}

/* Both passes; each is skipped where it would change nothing, as in Pillow. */
static enum phiz_status two_passes(struct phiz_ctx *ctx, const struct phiz_view *from, const struct axis *x,
                                   const struct axis *y, bool need_x, bool need_y, const int window[4],
                                   struct phiz_image *out)
{
	int last = y->count - 1;
	int top = need_y ? y->first[0] : window[1];
	int rows = need_y ? y->first[last] + y->used[last] - top : window[3];
	const uint8_t *in = from->data + (size_t)top * from->stride + (size_t)window[0] * (size_t)from->channels;
	size_t stride = from->stride;
	uint8_t *between = NULL;
	if (need_x) {
		stride = (size_t)x->count * (size_t)from->channels;
		between = phiz_alloc(ctx, (size_t)rows, stride);
		if (!between)
			return phiz_ctx_status(ctx);
		pass_horizontal(from, x, top, rows, between);
		in = between;
	}
	if (need_y)
		pass_vertical(in, stride, y, top, out);
	else
		copy_rows(in, stride, out);
	phiz_free(ctx, between);
	return PHIZ_OK;
}

static enum phiz_status check_box(struct phiz_ctx *ctx, const struct phiz_view *from, const float box[4])
{
	if (box[0] >= 0 && box[1] >= 0 && box[2] <= (float)from->width && box[3] <= (float)from->height &&
	    box[2] > box[0] && box[3] > box[1])
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_ARG, "resize: the box %g, %g, %g, %g is not inside %dx%d pixels", (double)box[0],
	                 (double)box[1], (double)box[2], (double)box[3], from->width, from->height);
}

enum phiz_status phiz_view_resize(struct phiz_ctx *ctx, const struct phiz_view *from, int width, int height,
                                  const double box[4], const int window[4], struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	int whole[4] = { 0, 0, width, height };
	float b[4] = { 0, 0, (float)from->width, (float)from->height };
	for (int i = 0; box && i < 4; i++)
		b[i] = (float)box[i];
	if (!window)
		window = whole;
	if (width < 1 || height < 1)
		return phiz_fail(ctx, PHIZ_E_ARG, "resize: want at least 1x1 pixels, got %dx%d", width, height);
	if ((int64_t)window[2] * window[3] > MAX_PIXELS)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "resize: %dx%d pixels, the limit is %d pixels", window[2], window[3],
		                 MAX_PIXELS);
	enum phiz_status status = check_box(ctx, from, b);
	if (status)
		return status;
	/* Pillow's test, by the size of the source as a float, so that a pass is skipped when its is. */
	bool need_x = width != from->width || b[0] != 0 || b[2] != (float)width;
	bool need_y = height != from->height || b[1] != 0 || b[3] != (float)height;
	struct axis x = { 0 }, y = { 0 };
	status = axis_make(ctx, from->width, b[0], b[2], width, window[0], window[2], &x);
	if (!status)
		status = axis_make(ctx, from->height, b[1], b[3], height, window[1], window[3], &y);
	if (!status)
		status = phiz_image_create(ctx, window[2], window[3], from->channels, out);
	if (!status)
		status = two_passes(ctx, from, &x, &y, need_x, need_y, window, out);
	axis_free(ctx, &x);
	axis_free(ctx, &y);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

struct phiz_view phiz_view_box(const struct phiz_image *image, int x, int y, int w, int h)
{
	size_t pixel = (size_t)image->channels, stride = (size_t)image->width * pixel;
	return (struct phiz_view){ image->data + (size_t)y * stride + (size_t)x * pixel, stride, w, h, image->channels };
}

enum phiz_status phiz_image_resize(struct phiz_ctx *ctx, const struct phiz_image *from, int width, int height,
                                   const double box[4], struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	enum phiz_status status = phiz_image_check(ctx, from, "resize");
	if (status)
		return status;
	struct phiz_view view = phiz_view_box(from, 0, 0, from->width, from->height);
	return phiz_view_resize(ctx, &view, width, height, box, NULL, out);
}
