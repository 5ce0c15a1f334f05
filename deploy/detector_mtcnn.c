/* MTCNN (Zhang et al. 2016: Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks), step
 * by step as facenet-pytorch does it, so that boxes and points agree with it.
 *
 * P-Net slides a window of 12 pixels over a pyramid of the photo and gives a score and a better box for each place;
 * R-Net judges what is left at 24 x 24 pixels, O-Net at 48 x 48, which also gives the landmarks. The networks read
 * (rgb - 127.5) / 128. Images are resized by areas. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/image/area.h"
#include "deploy/detector.h"

enum {
	CELL = 12, STRIDE = 2,      /* P-Net's window and its step, pixels */
	MAX_LEVEL = 8192,           /* candidates of a level of the pyramid that are looked at, the best; noise alone */
	MAX_FOUND = 16384,          /* ... of all levels */
	MAX_REFINED = 4096,         /* ... that R-Net judges */
	R_SIDE = 24, R_BATCH = 64,
	O_SIDE = 48, O_BATCH = 16,
	KEPT_BYTES = 256 << 20      /* of plans that are kept for the next frame */
};
#define MIN_FACE 20.0
#define SHIFT 127.5f
#define SCALE 0.0078125f
#define WITHIN_LEVEL 0.5        /* overlaps */
#define ACROSS_LEVELS 0.7
#define LAST 0.7

/* One size of the pyramid. */
struct level {
	double scale;
	int width, height;
	struct phiz_plan *plan; /* NULL: none is kept */
	size_t bytes;
};

/* R-Net or O-Net. */
struct stage {
	struct phiz_subnet net;
	struct phiz_plan *plan;
	int side, batch;
};

struct mtcnn {
	struct phiz_subnet pnet;
	struct stage rnet, onet;
	struct level *level;
	size_t n_levels, levels_capacity;
	int width, height; /* of the image that the levels are for */
	double min_face;
	size_t kept_bytes;
	struct phiz_boxes found, of_level;
};

/* --- The first stage. --- */

static void free_levels(struct mtcnn *m)
{
	for (size_t i = 0; i < m->n_levels; i++)
		phiz_plan_free(&m->level[i].plan);
	m->n_levels = 0;
	m->kept_bytes = 0;
	m->width = m->height = 0;
}

/* The levels for images of this size: the first one shows the smallest face as 12 pixels, the last is the last that
 * holds a window. Plans are made when they are first needed. */
static enum phiz_status set_levels(struct phiz_detector *d, int width, int height, double min_face)
{
	struct mtcnn *m = d->state;
	double scale = CELL / min_face, shorter = (width < height ? width : height) * scale;

	if (m->width == width && m->height == height && m->min_face == min_face)
		return PHIZ_OK;
	free_levels(m);
	for (; shorter >= CELL; scale *= d->options.scale_factor, shorter *= d->options.scale_factor) {
		if (phiz_grow(d->ctx, &m->level, &m->levels_capacity, m->n_levels + 1, sizeof *m->level))
			return PHIZ_E_NOMEM;
		m->level[m->n_levels++] =
			(struct level){scale, (int)(width * scale + 1), (int)(height * scale + 1), NULL, 0};
	}
	m->width = width;
	m->height = height;
	m->min_face = min_face;
	return PHIZ_OK;
}

/* The windows of a level whose score reaches the threshold. The network's two outputs are logits: the score is their
 * softmax, taken only where it matters. */
static enum phiz_status read_windows(struct phiz_detector *d, struct level *l)
{
	struct mtcnn *m = d->state;
	const struct phiz_tensor *logits = phiz_subnet_output(&m->pnet, l->plan, 0);
	const struct phiz_tensor *moves = phiz_subnet_output(&m->pnet, l->plan, 1);
	const float *no = logits->data, *box = moves->data;
	int height = (int)logits->shape.dim[2], width = (int)logits->shape.dim[3];
	int64_t plane = (int64_t)height * width;
	double threshold = d->options.threshold[0];
	float least = threshold < 1 ? (float)log(threshold / (1 - threshold)) : INFINITY, scale = (float)l->scale;

	if (phiz_tensor_count(logits) != 2 * plane || phiz_tensor_count(moves) != 4 * plane)
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector mtcnn: P-Net's outputs do not fit each other");
	m->of_level.n = 0;
	for (int64_t i = 0; i < plane; i++) {
		float margin = no[plane + i] - no[i];
		if (!(margin >= least))
			continue;
		float x = (float)(i % width * STRIDE), y = (float)(i / width * STRIDE);
		struct phiz_box b = {.x0 = floorf((x + 1) / scale), .y0 = floorf((y + 1) / scale),
		                     .x1 = floorf((x + CELL) / scale), .y1 = floorf((y + CELL) / scale),
		                     .score = (float)(1 / (1 + exp(-(double)margin)))};
		for (int k = 0; k < 4; k++)
			b.value[k] = box[k * plane + i];
		if (m->of_level.n == 2 * MAX_LEVEL)
			phiz_boxes_limit(&m->of_level, MAX_LEVEL);
		if (phiz_boxes_add(d->ctx, &m->of_level, &b))
			return PHIZ_E_NOMEM;
	}
	phiz_boxes_limit(&m->of_level, MAX_LEVEL);
	return PHIZ_OK;
}

static enum phiz_status run_level(struct phiz_detector *d, const struct phiz_view *view, struct level *l)
{
	struct mtcnn *m = d->state;
	struct phiz_plan_info info;
	enum phiz_status status = l->plan ? PHIZ_OK : phiz_subnet_plan(&m->pnet, 1, l->height, l->width, &l->plan);

	if (status)
		return status;
	phiz_area_planes(d->ctx, view, l->width, l->height, SHIFT, SCALE, phiz_subnet_input(&m->pnet, l->plan));
	status = phiz_plan_forward(l->plan);
	if (!status)
		status = read_windows(d, l);
	if (!l->bytes) {
		phiz_plan_describe(l->plan, &info);
		l->bytes = info.arena_bytes + info.workspace_bytes;
		m->kept_bytes += l->bytes;
	}
	if (m->kept_bytes > KEPT_BYTES) {
		phiz_plan_free(&l->plan);
		m->kept_bytes -= l->bytes;
		l->bytes = 0;
	}
	return status;
}

/* A box moved by the network's four numbers, which are in units of its sides (plus `one`, see enum phiz_overlap). */
static void move(struct phiz_box *b, const float by[4], float one)
{
	float w = b->x1 - b->x0 + one, h = b->y1 - b->y0 + one;

	b->x0 += by[0] * w;
	b->y0 += by[1] * h;
	b->x1 += by[2] * w;
	b->y1 += by[3] * h;
}

/* The square with the box's centre and longer side. */
static void make_square(struct phiz_box *b)
{
	float w = b->x1 - b->x0, h = b->y1 - b->y0, side = w > h ? w : h;

	b->x0 = b->x0 + w * 0.5f - side * 0.5f;
	b->y0 = b->y0 + h * 0.5f - side * 0.5f;
	b->x1 = b->x0 + side;
	b->y1 = b->y0 + side;
}

static enum phiz_status propose(struct phiz_detector *d, const struct phiz_view *view)
{
	struct mtcnn *m = d->state;
	enum phiz_status status = PHIZ_OK;

	m->found.n = 0;
	for (size_t i = 0; i < m->n_levels && !status; i++) {
		status = run_level(d, view, &m->level[i]);
		if (!status)
			phiz_boxes_suppress(&m->of_level, WITHIN_LEVEL, PHIZ_OVERLAP_UNION);
		for (size_t k = 0; k < m->of_level.n && !status; k++)
			status = phiz_boxes_add(d->ctx, &m->found, &m->of_level.at[k]);
		if (m->found.n > MAX_FOUND)
			phiz_boxes_limit(&m->found, MAX_FOUND);
	}
	if (status)
		return status;
	phiz_boxes_suppress(&m->found, ACROSS_LEVELS, PHIZ_OVERLAP_UNION);
	phiz_boxes_limit(&m->found, MAX_REFINED);
	for (size_t i = 0; i < m->found.n; i++) {
		move(&m->found.at[i], m->found.at[i].value, 0);
		make_square(&m->found.at[i]);
	}
	return PHIZ_OK;
}

/* --- The second and the third. --- */

/* The pixels of the image in a box; false if there are none. Corners count from 1 and belong to the box, as in the
 * MATLAB original. */
static bool crop(const struct phiz_view *image, const struct phiz_box *b, struct phiz_view *out)
{
	float limit = 1e6f; /* int is safe there, and an image ends long before */
	int x0, y0, x1, y1;

	if (!(fabsf(b->x0) < limit && fabsf(b->y0) < limit && fabsf(b->x1) < limit && fabsf(b->y1) < limit))
		return false;
	x0 = (int)b->x0 < 1 ? 0 : (int)b->x0 - 1;
	y0 = (int)b->y0 < 1 ? 0 : (int)b->y0 - 1;
	x1 = (int)b->x1 > image->width ? image->width : (int)b->x1;
	y1 = (int)b->y1 > image->height ? image->height : (int)b->y1;
	if (x1 <= x0 || y1 <= y0)
		return false;
	*out = *image;
	out->data += (size_t)y0 * image->stride + (size_t)x0 * (size_t)image->channels;
	out->width = x1 - x0;
	out->height = y1 - y0;
	return true;
}

struct crops {
	const struct phiz_view *image;
	const struct phiz_box *box;
	float *input;
	int side;
};

static void make_crops(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct crops *c = arg;
	struct phiz_view view;

	(void)worker;
	for (int64_t i = begin; i < end; i++)
		if (crop(c->image, &c->box[i], &view))
			phiz_area_rows(&view, c->side, c->side, 0, c->side, SHIFT, SCALE, c->input + i * 3 * c->side * c->side);
}

/* Boxes with a pixel in the image. */
static void drop_outside(const struct phiz_view *image, struct phiz_boxes *b)
{
	struct phiz_view view;
	size_t kept = 0;

	for (size_t i = 0; i < b->n; i++)
		if (crop(image, &b->at[i], &view))
			b->at[kept++] = b->at[i];
	b->n = kept;
}

/* What the stage says of boxes [first, first + n), into them: score, and the values box (4) and, of O-Net, landmarks
 * (10: five x, five y), which are turned into pixels. The old corners stay, box is applied by the caller. */
static void read_judged(const struct stage *s, struct phiz_box *b, int n, float (*by)[4])
{
	const float *score = phiz_subnet_output(&s->net, s->plan, 0)->data;
	const float *box = phiz_subnet_output(&s->net, s->plan, 1)->data;
	const float *point = s->side == O_SIDE ? phiz_subnet_output(&s->net, s->plan, 2)->data : NULL;

	for (int i = 0; i < n; i++, b++) {
		b->score = score[2 * i + 1];
		memcpy(by[i], box + 4 * i, sizeof by[i]);
		float w = b->x1 - b->x0 + 1, h = b->y1 - b->y0 + 1;
		for (int k = 0; point && k < PHIZ_LANDMARKS; k++) {
			b->value[2 * k] = w * point[10 * i + k] + b->x0 - 1;
			b->value[2 * k + 1] = h * point[10 * i + 5 + k] + b->y0 - 1;
		}
	}
}

static enum phiz_status run_stage(struct phiz_detector *d, struct stage *s, int n)
{
	static const int64_t floats[] = {2, 4, 2 * PHIZ_LANDMARKS};
	enum phiz_status status = phiz_plan_set_batch(s->plan, n);

	if (!status)
		status = phiz_plan_forward(s->plan);
	for (int i = 0; i < (s->side == O_SIDE ? 3 : 2) && !status; i++)
		if (phiz_tensor_count(phiz_subnet_output(&s->net, s->plan, i)) != n * floats[i])
			status = phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector mtcnn: the model's outputs have other shapes than "
			                   "MTCNN's");
	return status;
}

/* Judges m->found, a batch at a time; keeps what scores above the threshold. R-Net's boxes are moved after suppression,
 * O-Net's before it. */
static enum phiz_status judge(struct phiz_detector *d, const struct phiz_view *image, struct stage *s, double threshold)
{
	struct mtcnn *m = d->state;
	struct phiz_boxes *b = &m->found;
	float by[R_BATCH][4];
	size_t kept = 0;

	drop_outside(image, b);
	for (size_t first = 0; first < b->n; first += (size_t)s->batch) {
		int n = b->n - first < (size_t)s->batch ? (int)(b->n - first) : s->batch;
		struct crops c = {image, b->at + first, phiz_subnet_input(&s->net, s->plan), s->side};
		phiz_parallel_for(d->ctx, n, 4, make_crops, &c);
		enum phiz_status status = run_stage(d, s, n);
		if (status)
			return status;
		read_judged(s, b->at + first, n, by);
		for (int i = 0; i < n; i++) {
			struct phiz_box *box = &b->at[first + (size_t)i];
			if (!((double)box->score > threshold))
				continue;
			if (s->side == O_SIDE)
				move(box, by[i], 1);
			else
				memcpy(box->value, by[i], sizeof by[i]);
			box->order = (uint32_t)kept;
			b->at[kept++] = *box;
		}
	}
	b->n = kept;
	return PHIZ_OK;
}

static enum phiz_status run(struct phiz_detector *d, const struct phiz_image *image, double min_face)
{
	struct mtcnn *m = d->state;
	struct phiz_view view = phiz_view_box(image, 0, 0, image->width, image->height);
	struct phiz_boxes *b = &m->found;
	double floor = d->options.min_face > 0 && d->options.min_face < MIN_FACE ? d->options.min_face : MIN_FACE;

	/* In a photo that was made smaller, faces are not looked for below what is looked for in any other. */
	enum phiz_status status = set_levels(d, image->width, image->height, min_face > floor ? min_face : floor);
	if (!status)
		status = propose(d, &view);
	if (!status)
		status = judge(d, &view, &m->rnet, d->options.threshold[1]);
	if (status)
		return status;
	phiz_boxes_suppress(b, d->options.nms, PHIZ_OVERLAP_UNION);
	for (size_t i = 0; i < b->n; i++) {
		move(&b->at[i], b->at[i].value, 1);
		make_square(&b->at[i]);
	}
	status = judge(d, &view, &m->onet, d->options.threshold[2]);
	if (status)
		return status;
	phiz_boxes_suppress(b, LAST, PHIZ_OVERLAP_MIN_PIXELS);
	for (size_t i = 0; i < b->n && !status; i++)
		status = phiz_boxes_add(d->ctx, &d->boxes, &b->at[i]);
	return status;
}

/* --- Opening. --- */

static enum phiz_status check_shape(struct phiz_detector *d, const struct phiz_subnet *net, int i, int ndim,
                                    int64_t channels)
{
	const struct phiz_value *v = phiz_graph_value(net->graph, net->output[i]);
	const struct phiz_shape *s = &v->type.shape;
	char text[128];

	if (v->type.dtype == PHIZ_F32 && s->ndim == ndim && s->dim[1] == channels)
		return PHIZ_OK;
	return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector mtcnn: output '%s' is %s, want %lld channels", v->name,
	                 phiz_shape_text(s, text), (long long)channels);
}

static enum phiz_status open_stage(struct phiz_detector *d, struct stage *s, const char *input,
                                   const char *const *output, int n, int side, int batch)
{
	static const int64_t channels[] = {2, 4, 2 * PHIZ_LANDMARKS};
	enum phiz_status status = phiz_subnet_cut(d, input, output, n, &s->net);

	s->side = side;
	s->batch = batch;
	for (int i = 0; i < n && !status; i++)
		status = check_shape(d, &s->net, i, 2, channels[i]);
	return status ? status : phiz_subnet_plan(&s->net, batch, side, side, &s->plan);
}

static enum phiz_status open_mtcnn(struct phiz_detector *d)
{
	static const char *const p[] = {"pnet.conv4_1", "pnet.conv4_2"}, *const r[] = {"rnet.softmax5_1", "rnet.dense5_2"};
	static const char *const o[] = {"onet.softmax6_1", "onet.dense6_2", "onet.dense6_3"};
	struct mtcnn *m = phiz_calloc(d->ctx, 1, sizeof *m);

	if (!m)
		return PHIZ_E_NOMEM;
	d->state = m;
	enum phiz_status status = phiz_subnet_cut(d, "pnet.image", p, 2, &m->pnet);
	if (!status)
		status = check_shape(d, &m->pnet, 0, 4, 2);
	if (!status)
		status = check_shape(d, &m->pnet, 1, 4, 4);
	if (!status)
		status = open_stage(d, &m->rnet, "rnet.image", r, 2, R_SIDE, R_BATCH);
	if (!status)
		status = open_stage(d, &m->onet, "onet.image", o, 3, O_SIDE, O_BATCH);
	return status;
}

static void close_mtcnn(struct phiz_detector *d)
{
	struct mtcnn *m = d->state;

	free_levels(m);
	phiz_free(d->ctx, m->level);
	phiz_plan_free(&m->rnet.plan);
	phiz_plan_free(&m->onet.plan);
	phiz_subnet_free(&m->pnet);
	phiz_subnet_free(&m->rnet.net);
	phiz_subnet_free(&m->onet.net);
	phiz_boxes_free(d->ctx, &m->found);
	phiz_boxes_free(d->ctx, &m->of_level);
	phiz_free(d->ctx, m);
	d->state = NULL;
}

const struct phiz_detector_kind phiz_detector_mtcnn = {
	.name = "mtcnn",
	.standard = {.min_face = MIN_FACE, .scale_factor = 0.709, .threshold = {0.6, 0.7, 0.7}, .nms = 0.7,
	             .max_side = PHIZ_DETECTOR_MAX_SIDE},
	.open = open_mtcnn,
	.run = run,
	.close = close_mtcnn,
};
