/* YuNet (Wu et al. 2023: YuNet: A Tiny Millisecond-level Face Detector), decoded as OpenCV's FaceDetectorYN does it.
 *
 * The network reads BGR, 0 to 255, on a canvas of sides that are multiples of 32; what the photo leaves of it is black.
 * For each cell (x, y) of the strides s = 8, 16 and 32 it gives the outputs cls_S and obj_S (0..1), bbox_S (4 numbers
 * b) and kps_S (10 numbers k):
 *
 *     score = sqrt(cls obj)    centre = ((x + b0) s, (y + b1) s)    sides = (exp(b2) s, exp(b3) s)
 *     landmark i = ((x + k_2i) s, (y + k_2i+1) s) */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "deploy/detector.h"

enum { STRIDES = 3, PARTS = 4, CLS = 0, OBJ, BBOX, KPS, ALIGN = 32, TOP = 5000 };
static const int strides[STRIDES] = {8, 16, 32};
static const char *const part_name[PARTS] = {"cls", "obj", "bbox", "kps"};
static const int part_size[PARTS] = {1, 1, 4, 2 * PHIZ_LANDMARKS};

struct yunet {
	struct phiz_subnet net;
	struct phiz_plan *plan;
	int width, height; /* of the canvas */
	bool fixed;        /* the network knows one size only: the canvas is always that, photos are made to fit */
};

/* One of the outputs: cell by cell, or plane by plane. */
struct part {
	const float *data;
	int64_t cell, value; /* distance from cell to cell and from value to value */
};

static enum phiz_status find_part(struct phiz_detector *d, int s, int k, int64_t cells, struct part *out)
{
	struct yunet *y = d->state;
	const struct phiz_tensor *t = phiz_subnet_output(&y->net, y->plan, s * PARTS + k);
	const struct phiz_shape *shape = &t->shape;
	bool planes = shape->ndim == 4 && shape->dim[1] == part_size[k];
	char text[128];

	if (t->dtype != PHIZ_F32 || phiz_tensor_count(t) != cells * part_size[k])
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector yunet: output %s_%d is %s, want %lld cells of %d",
		                 part_name[k], strides[s], phiz_shape_text(shape, text), (long long)cells, part_size[k]);
	out->data = t->data;
	out->cell = planes ? 1 : part_size[k];
	out->value = planes ? cells : 1;
	return PHIZ_OK;
}

static float clamp(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* The cell at column cx and row cy; sx, sy: pixels of the photo per pixel of the canvas. */
static void decode(const struct part *part, int64_t i, int cx, int cy, int stride, double sx, double sy,
                   struct phiz_box *b)
{
	const float *at = part[BBOX].data + i * part[BBOX].cell, *point = part[KPS].data + i * part[KPS].cell;
	int64_t step = part[BBOX].value, next = part[KPS].value;
	double x = ((double)cx + (double)at[0]) * stride, y = ((double)cy + (double)at[step]) * stride;
	double w = exp((double)at[2 * step]) * stride, h = exp((double)at[3 * step]) * stride;

	b->x0 = (float)((x - w / 2) * sx);
	b->y0 = (float)((y - h / 2) * sy);
	b->x1 = (float)((x + w / 2) * sx);
	b->y1 = (float)((y + h / 2) * sy);
	for (int k = 0; k < PHIZ_LANDMARKS; k++) {
		b->value[2 * k] = (float)(((double)cx + (double)point[2 * k * next]) * stride * sx);
		b->value[2 * k + 1] = (float)(((double)cy + (double)point[(2 * k + 1) * next]) * stride * sy);
	}
}

static enum phiz_status read_stride(struct phiz_detector *d, int s, double sx, double sy)
{
	struct yunet *y = d->state;
	int columns = y->width / strides[s], rows = y->height / strides[s];
	int64_t cells = (int64_t)columns * rows;
	double least = d->options.threshold[0];
	struct part part[PARTS];
	enum phiz_status status = PHIZ_OK;

	for (int k = 0; k < PARTS && !status; k++)
		status = find_part(d, s, k, cells, &part[k]);
	for (int64_t i = 0; i < cells && !status; i++) {
		float cls = clamp(part[CLS].data[i]), obj = clamp(part[OBJ].data[i]), score = sqrtf(cls * obj);
		struct phiz_box b = {.score = score};
		if (!((double)score >= least))
			continue;
		decode(part, i, (int)(i % columns), (int)(i / columns), strides[s], sx, sy, &b);
		status = phiz_boxes_add(d->ctx, &d->boxes, &b);
	}
	return status;
}

/* A plan for photos of this size; the one there is stays if it does. */
static enum phiz_status set_canvas(struct yunet *y, int width, int height)
{
	if (y->plan && y->width == width && y->height == height)
		return PHIZ_OK;
	phiz_plan_free(&y->plan);
	y->width = width;
	y->height = height;
	return phiz_subnet_plan(&y->net, 1, height, width, &y->plan);
}

/* The photo in the upper left corner of the canvas, as planes of blue, green, red. */
static void fill_canvas(struct yunet *y, const struct phiz_image *image)
{
	size_t plane = (size_t)y->width * (size_t)y->height;
	float *input = phiz_subnet_input(&y->net, y->plan);

	memset(input, 0, 3 * plane * sizeof *input);
	for (int v = 0; v < image->height; v++) {
		const uint8_t *rgb = image->data + (size_t)v * (size_t)image->width * 3;
		float *b = input + (size_t)v * (size_t)y->width, *g = b + plane, *r = g + plane;
		for (int x = 0; x < image->width; x++, rgb += 3) {
			r[x] = rgb[0];
			g[x] = rgb[1];
			b[x] = rgb[2];
		}
	}
}

static int padded(int side) { return (side + ALIGN - 1) / ALIGN * ALIGN; }

/* A photo that is larger than a canvas of fixed size, made to fit. */
static enum phiz_status fit(struct phiz_detector *d, const struct phiz_image *image, struct phiz_image *out)
{
	struct yunet *y = d->state;
	double shrink = fmin((double)y->width / image->width, (double)y->height / image->height);
	int w = (int)(image->width * shrink + 0.5), h = (int)(image->height * shrink + 0.5);

	if (phiz_image_resize(d->scratch, image, w < 1 ? 1 : w, h < 1 ? 1 : h, NULL, out))
		return phiz_fail_copy(d->ctx, d->scratch);
	return PHIZ_OK;
}

static enum phiz_status run(struct phiz_detector *d, const struct phiz_image *image, double min_face)
{
	struct yunet *y = d->state;
	struct phiz_image small = {0};
	const struct phiz_image *seen = image;
	enum phiz_status status = PHIZ_OK;

	(void)min_face;
	if (!y->fixed)
		status = set_canvas(y, padded(image->width), padded(image->height));
	else if (image->width > y->width || image->height > y->height)
		status = fit(d, image, &small);
	if (small.data)
		seen = &small;
	if (!status) {
		fill_canvas(y, seen);
		status = phiz_plan_forward(y->plan);
	}
	for (int s = 0; s < STRIDES && !status; s++)
		status = read_stride(d, s, (double)image->width / seen->width, (double)image->height / seen->height);
	phiz_image_free(d->scratch, &small);
	if (status)
		return status;
	phiz_boxes_limit(&d->boxes, TOP);
	phiz_boxes_suppress(&d->boxes, d->options.nms, PHIZ_OVERLAP_UNION);
	return PHIZ_OK;
}

/* Does the network take another size than the one it is stored with? */
static enum phiz_status learn_size(struct phiz_detector *d)
{
	struct yunet *y = d->state;
	const struct phiz_shape *s = &phiz_graph_value(y->net.graph, y->net.input)->type.shape;
	enum phiz_status status = set_canvas(y, 2 * ALIGN, 3 * ALIGN);

	if (status != PHIZ_E_SHAPE)
		return status;
	if (s->dim[2] < ALIGN || s->dim[3] < ALIGN || s->dim[2] > 4096 || s->dim[3] > 4096)
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector yunet: an input of another size than 32 to 4096");
	y->fixed = true;
	return set_canvas(y, (int)s->dim[3], (int)s->dim[2]);
}

static enum phiz_status open_yunet(struct phiz_detector *d)
{
	char text[STRIDES * PARTS][16];
	const char *output[STRIDES * PARTS];

	d->state = phiz_calloc(d->ctx, 1, sizeof(struct yunet));
	if (!d->state)
		return PHIZ_E_NOMEM;
	for (int i = 0; i < STRIDES * PARTS; i++) {
		snprintf(text[i], sizeof text[i], "%s_%d", part_name[i % PARTS], strides[i / PARTS]);
		output[i] = text[i];
	}
	enum phiz_status status = phiz_subnet_cut(d, NULL, output, STRIDES * PARTS, &((struct yunet *)d->state)->net);
	return status ? status : learn_size(d);
}

static void close_yunet(struct phiz_detector *d)
{
	struct yunet *y = d->state;

	phiz_plan_free(&y->plan);
	phiz_subnet_free(&y->net);
	phiz_free(d->ctx, y);
	d->state = NULL;
}

const struct phiz_detector_kind phiz_detector_yunet = {
	.name = "yunet",
	.standard = {.min_face = 10, .scale_factor = 0.709, .threshold = {0.7, 0.7, 0.7}, .nms = 0.3, .max_side = 640},
	.filters_size = true,
	.open = open_yunet,
	.run = run,
	.close = close_yunet,
};
