/* Ultra-Light-Fast-Generic-Face-Detector-1MB (version RFB or slim): an SSD whose file holds priors and decoding.
 *
 * The network reads the photo stretched to its own size (320 x 240 mostly), preprocessed as the model says (RGB,
 * (x - 127) / 128), and gives `scores` [1, N, 2], softmax of no face and face, and `boxes` [1, N, 4], the corners x0,
 * y0, x1, y1 in shares of the photo's sides. It knows no landmarks: they are put where the template that faces are
 * aligned to has them, with the template's square fitted into the box. Alignment by them is alignment by the box. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "deploy/detector.h"

enum { TOP = 2000 };
#define TEMPLATE_SIDE 100 /* of the template's square here; only shares of it matter */
/* Where the template's square lies in a box that reaches from the hairline to the chin: shares of the box's height that
 * the square begins above it, and of the square's side to that height. The eyes come to 0.4 of the box, the mouth to
 * 0.78, as annotated faces have them in the mean. */
#define SQUARE_TOP (-0.06)
#define SQUARE_SIDE 1.0

struct ultralight {
	struct phiz_subnet net;
	struct phiz_plan *plan;
	int width, height;
};

/* The photo, stretched and normalised, as planes of red, green, blue. */
static enum phiz_status fill_input(struct phiz_detector *d, const struct phiz_image *image)
{
	struct ultralight *u = d->state;
	struct phiz_image small;

	if (phiz_image_resize(d->scratch, image, u->width, u->height, NULL, &small))
		return phiz_fail_copy(d->ctx, d->scratch);
	phiz_preproc_normalize(&d->model->preproc, &small, phiz_subnet_input(&u->net, u->plan));
	phiz_image_free(d->scratch, &small);
	return PHIZ_OK;
}

static void place_landmarks(struct phiz_box *b)
{
	float point[PHIZ_LANDMARKS][2];
	double height = (double)(b->y1 - b->y0), side = SQUARE_SIDE * height / TEMPLATE_SIDE;
	double left = (double)(b->x0 + b->x1) / 2 - SQUARE_SIDE * height / 2, top = (double)b->y0 + SQUARE_TOP * height;

	phiz_align_template(TEMPLATE_SIDE, point);
	for (int k = 0; k < PHIZ_LANDMARKS; k++) {
		b->value[2 * k] = (float)(left + side * (double)point[k][0]);
		b->value[2 * k + 1] = (float)(top + side * (double)point[k][1]);
	}
}

static enum phiz_status run(struct phiz_detector *d, const struct phiz_image *image, double min_face)
{
	struct ultralight *u = d->state;
	enum phiz_status status = fill_input(d, image);

	(void)min_face;
	if (!status)
		status = phiz_plan_forward(u->plan);
	if (status)
		return status;
	const struct phiz_tensor *scores = phiz_subnet_output(&u->net, u->plan, 0);
	const float *score = scores->data, *box = phiz_subnet_output(&u->net, u->plan, 1)->data;
	float w = (float)image->width, h = (float)image->height;
	for (int64_t i = 0; i < phiz_tensor_count(scores) / 2 && !status; i++, box += 4) {
		struct phiz_box b = {.x0 = box[0] * w, .y0 = box[1] * h, .x1 = box[2] * w, .y1 = box[3] * h,
		                     .score = score[2 * i + 1]};
		if (!((double)b.score >= d->options.threshold[0]))
			continue;
		place_landmarks(&b);
		status = phiz_boxes_add(d->ctx, &d->boxes, &b);
	}
	phiz_boxes_limit(&d->boxes, TOP);
	phiz_boxes_suppress(&d->boxes, d->options.nms, PHIZ_OVERLAP_UNION);
	return status;
}

static enum phiz_status check_outputs(struct phiz_detector *d)
{
	struct ultralight *u = d->state;
	const struct phiz_tensor *scores = phiz_subnet_output(&u->net, u->plan, 0);
	const struct phiz_tensor *boxes = phiz_subnet_output(&u->net, u->plan, 1);
	const struct phiz_shape *s = &scores->shape, *b = &boxes->shape;
	char text[2][128];

	if (scores->dtype == PHIZ_F32 && boxes->dtype == PHIZ_F32 && s->ndim == 3 && b->ndim == 3 && s->dim[0] == 1 &&
	    b->dim[0] == 1 && s->dim[2] == 2 && b->dim[2] == 4 && s->dim[1] == b->dim[1])
		return PHIZ_OK;
	return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED,
	                 "detector ultralight: outputs 'scores' %s and 'boxes' %s, want [1, N, 2] and [1, N, 4]",
	                 phiz_shape_text(s, text[0]), phiz_shape_text(b, text[1]));
}

static enum phiz_status open_ultralight(struct phiz_detector *d)
{
	static const char *const output[] = {"scores", "boxes"};
	struct ultralight *u = phiz_calloc(d->ctx, 1, sizeof *u);

	if (!u)
		return PHIZ_E_NOMEM;
	d->state = u;
	enum phiz_status status = phiz_subnet_cut(d, NULL, output, 2, &u->net);
	if (status)
		return status;
	const struct phiz_shape *s = &phiz_graph_value(u->net.graph, u->net.input)->type.shape;
	if (s->dim[2] < 1 || s->dim[3] < 1 || s->dim[2] > 4096 || s->dim[3] > 4096)
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector ultralight: an input larger than 4096 pixels");
	u->height = (int)s->dim[2];
	u->width = (int)s->dim[3];
	status = phiz_subnet_plan(&u->net, 1, u->height, u->width, &u->plan);
	return status ? status : check_outputs(d);
}

static void close_ultralight(struct phiz_detector *d)
{
	struct ultralight *u = d->state;

	phiz_plan_free(&u->plan);
	phiz_subnet_free(&u->net);
	phiz_free(d->ctx, u);
	d->state = NULL;
}

const struct phiz_detector_kind phiz_detector_ultralight = {
	.name = "ultralight",
	.standard = {.min_face = 10, .scale_factor = 0.709, .threshold = {0.7, 0.7, 0.7}, .nms = 0.3,
	             .max_side = PHIZ_DETECTOR_MAX_SIDE}, /* it makes the photo small itself */
	.filters_size = true,
	.open = open_ultralight,
	.run = run,
	.close = close_ultralight,
};
