/* Faces in one picture: from a detector or from a list, measured, embedded, cut out. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "datasets/csv.h"
#include "tools/extract.h"

enum { MAX_LIST_BYTES = 256 << 20, JPEG_QUALITY = 95 };

/* --- A list of faces. --- */

static int column(const struct phiz_csv *csv, const char *name)
{
	for (int i = 0; i < csv->columns; i++)
		if (!strcmp(csv->row[0].field[i], name))
			return i;
	return -1;
}

struct columns {
	int file, frame, score, box[4], point[10];
};

static enum phiz_status find_columns(struct phiz_ctx *ctx, const struct phiz_csv *csv, const char *path,
                                     struct columns *c)
{
	static const char *const box[] = {"x", "y", "w", "h"};
	static const char *const point[2][10] = {
		{"lx", "ly", "rx", "ry", "nx", "ny", "mlx", "mly", "mrx", "mry"},
		{"lx1", "ly1", "lx2", "ly2", "lx3", "ly3", "lx4", "ly4", "lx5", "ly5"},
	};
	bool numbered = column(csv, "lx1") >= 0, whole = true;

	c->file = column(csv, "file");
	c->frame = column(csv, "frame");
	c->score = column(csv, "score");
	for (int i = 0; i < 4; i++)
		c->box[i] = column(csv, box[i]);
	for (int i = 0; i < 10; i++) {
		c->point[i] = column(csv, point[numbered][i]);
		whole = whole && c->point[i] >= 0;
	}
	if (c->file < 0 || !whole)
		return phiz_fail(ctx, PHIZ_E_FORMAT,
		                 "%s: want columns file, lx, ly, rx, ry, nx, ny, mlx, mly, mrx, mry (or lx1, ly1 ... ly5)",
		                 path);
	return PHIZ_OK;
}

/* Twice as wide as the landmarks reach, a little higher than they lie. */
static void box_of_landmarks(struct phiz_face *f)
{
	float low[2] = {f->landmark[0][0], f->landmark[0][1]}, high[2] = {low[0], low[1]};

	for (int i = 1; i < PHIZ_LANDMARKS; i++)
		for (int k = 0; k < 2; k++) {
			low[k] = f->landmark[i][k] < low[k] ? f->landmark[i][k] : low[k];
			high[k] = f->landmark[i][k] > high[k] ? f->landmark[i][k] : high[k];
		}
	float w = 2 * (high[0] - low[0]), h = 2.2f * (high[1] - low[1]);
	f->box[0] = (low[0] + high[0] - w) / 2;
	f->box[1] = (low[1] + high[1]) / 2 - 0.55f * h;
	f->box[2] = w;
	f->box[3] = h;
}

static enum phiz_status number(struct phiz_ctx *ctx, const struct phiz_csv_row *row, int at, float *out)
{
	double v;
	enum phiz_status status = phiz_parse_f64(ctx, row->field[at], -1e6, 1e6, &v);

	if (!status)
		*out = (float)v;
	return status;
}

static enum phiz_status add_listed(struct phiz_ctx *ctx, struct extract_list *list, const struct phiz_csv_row *row,
                                   const struct columns *c)
{
	struct extract_listed item = {.frame = -1, .face = {.score = 1}};
	enum phiz_status status = phiz_grow(ctx, &list->item, &list->capacity, list->count + 1, sizeof item);

	for (int i = 0; i < 10 && !status; i++)
		status = number(ctx, row, c->point[i], &item.face.landmark[i / 2][i % 2]);
	if (c->box[0] >= 0 && c->box[1] >= 0 && c->box[2] >= 0 && c->box[3] >= 0)
		for (int i = 0; i < 4 && !status; i++)
			status = number(ctx, row, c->box[i], &item.face.box[i]);
	else
		box_of_landmarks(&item.face);
	if (!status && c->score >= 0)
		status = number(ctx, row, c->score, &item.face.score);
	if (!status && c->frame >= 0 && *row->field[c->frame])
		status = phiz_parse_i64(ctx, row->field[c->frame], 0, INT64_MAX, &item.frame);
	if (status)
		return status;
	item.file = phiz_strdup(ctx, row->field[c->file]);
	list->item[list->count++] = item;
	return item.file ? PHIZ_OK : PHIZ_E_NOMEM;
}

static int by_file(const void *a, const void *b)
{
	const struct extract_listed *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	if (!order)
		order = (x->frame > y->frame) - (x->frame < y->frame);
	if (!order) /* best first, then from left to right, from above */
		order = (x->face.score < y->face.score) - (x->face.score > y->face.score);
	for (int i = 0; !order && i < 4; i++)
		order = (x->face.box[i] > y->face.box[i]) - (x->face.box[i] < y->face.box[i]);
	return order;
}

enum phiz_status extract_list_read(struct phiz_ctx *ctx, const char *path, struct extract_list *out)
{
	struct phiz_bytes text;
	struct phiz_csv csv = {0};
	struct columns c;
	enum phiz_status status;

	phiz_bytes_init(&text, ctx);
	status = phiz_file_read(ctx, path, MAX_LIST_BYTES, &text);
	if (!status)
		status = phiz_csv_parse(ctx, text.data, text.size, path, &csv);
	if (!status)
		status = find_columns(ctx, &csv, path, &c);
	for (size_t i = 1; !status && i < csv.count; i++) {
		status = add_listed(ctx, out, &csv.row[i], &c);
		if (status && status != PHIZ_E_NOMEM)
			phiz_fail_in(ctx, "%s:%d", path, csv.row[i].line);
	}
	if (!status && out->count)
		qsort(out->item, out->count, sizeof *out->item, by_file);
	phiz_csv_free(ctx, &csv);
	phiz_bytes_free(&text);
	return status;
}

void extract_list_free(struct phiz_ctx *ctx, struct extract_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		phiz_free(ctx, list->item[i].file);
	phiz_free(ctx, list->item);
	*list = (struct extract_list){0};
}

static enum phiz_status look_up(struct extract_worker *w, const struct extract_list *list, const char *file,
                                int64_t frame)
{
	size_t low = 0, high = list->count;
	enum phiz_status status = PHIZ_OK;

	while (low < high) { /* the first of this file and frame */
		size_t mid = (low + high) / 2;
		int order = strcmp(list->item[mid].file, file);

		if (order < 0 || (order == 0 && list->item[mid].frame < frame))
			low = mid + 1;
		else
			high = mid;
	}
	w->faces.n = 0;
	for (; low < list->count && !status; low++) {
		size_t capacity = (size_t)w->faces.capacity;

		if (strcmp(list->item[low].file, file) || list->item[low].frame != frame)
			break;

		status = phiz_grow(w->ctx, &w->faces.face, &capacity, (size_t)w->faces.n + 1, sizeof *w->faces.face);
		w->faces.capacity = (int)capacity;
		if (!status)
			w->faces.face[w->faces.n++] = list->item[low].face;
	}
	return status;
}

/* --- Workers. --- */

enum phiz_status extract_workers_open(struct extract *e)
{
	const struct phiz_session_options embed = {.embed = true, .backend = e->device.backend,
	                                           .fallback = e->device.fallback};
	const struct phiz_detector_options detect = {.backend = e->device.backend, .fallback = e->device.fallback};
	enum phiz_status status = PHIZ_OK;

	e->worker = phiz_calloc(e->ctx, (size_t)phiz_ctx_threads(e->ctx), sizeof *e->worker);
	if (!e->worker)
		return PHIZ_E_NOMEM;
	while (e->workers < phiz_ctx_threads(e->ctx) && !status) {
		struct extract_worker *w = &e->worker[e->workers];

		status = phiz_ctx_fork(e->ctx, &w->ctx);
		if (status)
			break;
		e->workers++;
		if (e->detector)
			status = phiz_detector_open(w->ctx, e->detector, &detect, &w->detector);
		if (!status && w->detector && e->settings.align.kind == PHIZ_ALIGN_ARCFACE && phiz_refine_helps(w->detector))
			status = phiz_refiner_open(w->ctx, e->detector, &detect, &w->refiner);
		if (!status && e->runtime)
			status = phiz_session_create(e->runtime, w->ctx, &embed, &w->session);
		if (status)
			phiz_fail_copy(e->ctx, w->ctx);
	}
	return status;
}

void extract_workers_close(struct extract *e)
{
	for (int i = 0; i < e->workers; i++) {
		struct extract_worker *w = &e->worker[i];

		phiz_faces_free(w->ctx, &w->faces);
		phiz_session_free(&w->session);
		phiz_detector_free(&w->detector);
		phiz_refiner_free(&w->refiner);
		phiz_ctx_free(&w->ctx);
	}
	phiz_free(e->ctx, e->worker);
	e->worker = NULL;
	e->workers = 0;
}

/* --- One face. --- */

/* Without landmarks: of the box. */
static enum phiz_status measure(struct extract_worker *w, const struct phiz_image *image, const struct phiz_face *face,
                                struct phiz_quality *q)
{
	const struct phiz_align box = {PHIZ_ALIGN_BOX, 0, PHIZ_QUALITY_SIZE};
	struct phiz_image crop;
	enum phiz_status status;

	if (phiz_face_has_landmarks(face))
		return phiz_quality_face(w->ctx, image, face, q);
	status = phiz_align_crop(w->ctx, &box, image, face, &crop);
	if (status)
		return status;
	status = phiz_quality_crop(w->ctx, &crop, q);
	phiz_image_free(w->ctx, &crop);
	q->eyes *= (double)(face->box[2] > face->box[3] ? face->box[2] : face->box[3]) / PHIZ_QUALITY_SIZE;
	q->overall = phiz_quality_overall(q);
	return status;
}

/* The embedding in 127ths of its largest value, into w's room. */
static enum phiz_status embed(struct extract *e, struct extract_worker *w, const struct phiz_image *image,
                              struct phiz_crop *row, int8_t code[PHIZ_CROP_MAX_DIM])
{
	struct phiz_image crop;
	const float *v;
	float largest = 0;
	enum phiz_status status = phiz_align_crop(w->ctx, &e->embed_align, image, &row->face, &crop);

	if (status)
		return status;
	status = phiz_session_run_images(w->session, &crop, 1);
	phiz_image_free(w->ctx, &crop);
	if (status)
		return status;
	v = phiz_session_embedding_at(w->session, 0);
	row->dim = phiz_session_dim(w->session);
	for (int i = 0; i < row->dim; i++) {
		float a = v[i] < 0 ? -v[i] : v[i];
		largest = a > largest ? a : largest;
	}
	for (int i = 0; i < row->dim; i++) {
		float scaled = largest > 0 ? v[i] / largest * 127 : 0;
		code[i] = (int8_t)(scaled < 0 ? scaled - 0.5f : scaled + 0.5f);
	}
	row->embedding = code;
	return PHIZ_OK;
}

static enum phiz_status judge(struct extract *e, struct extract_worker *w, const struct phiz_image *image,
                              struct phiz_crop *row, int8_t code[PHIZ_CROP_MAX_DIM])
{
	const struct phiz_face *f = &row->face;
	double side = (double)(f->box[2] < f->box[3] ? f->box[2] : f->box[3]);
	enum phiz_status status;

	if (e->settings.align.kind == PHIZ_ALIGN_ARCFACE && !phiz_face_has_landmarks(f))
		return phiz_fail(w->ctx, PHIZ_E_UNSUPPORTED,
		                 "--align arcface wants landmarks, and this detector finds none: take --align box, or another "
		                 "detector");
	status = measure(w, image, f, &row->quality);
	if (status == PHIZ_E_ARG) {
		phiz_ctx_clear(w->ctx);
		row->fate = PHIZ_CROP_BEYOND;
		return PHIZ_OK;
	}
	if ((double)f->score < e->settings.min_score)
		row->fate = PHIZ_CROP_SCORE;
	else if (side < e->settings.min_size)
		row->fate = PHIZ_CROP_SMALL;
	else if (row->quality.overall < e->settings.min_quality)
		row->fate = PHIZ_CROP_QUALITY;
	if (!status && row->fate == PHIZ_CROP_KEPT && w->refiner)
		status = phiz_refine_face(w->refiner, image, &row->face);
	return status || row->fate != PHIZ_CROP_KEPT || !w->session ? status : embed(e, w, image, row, code);
}

enum phiz_status extract_find(struct extract *e, struct extract_worker *w, const struct extract_source *s,
                              int64_t frame, const struct phiz_image *image, struct phiz_crops *rows)
{
	int8_t code[PHIZ_CROP_MAX_DIM];
	enum phiz_status status = w->detector ? phiz_detector_run(w->detector, image, &w->faces)
	                                      : look_up(w, &e->list, s->key, frame);

	for (int i = 0; i < w->faces.n && !status; i++) {
		struct phiz_crop row = {.source = s->path, .size = s->size, .mtime = s->mtime, .frame = frame,
		                        .person = s->person, .width = image->width, .height = image->height,
		                        .face = w->faces.face[i], .similarity = -2};

		status = judge(e, w, image, &row, code);
		if (!status)
			status = phiz_crops_add(w->ctx, rows, &row);
	}
	return status;
}

/* --- Cutting out. --- */

enum phiz_status extract_encode(struct extract *e, struct phiz_ctx *ctx, const struct phiz_image *image,
                                const struct phiz_face *face, struct phiz_bytes *out)
{
	struct phiz_image crop;
	enum phiz_status status = phiz_align_crop(ctx, &e->settings.align, image, face, &crop);

	if (status)
		return status;
	status = e->settings.png ? phiz_png_encode(ctx, &crop, out) : phiz_jpeg_encode(ctx, &crop, JPEG_QUALITY, out);
	phiz_image_free(ctx, &crop);
	return status;
}

enum phiz_status extract_write_crop(struct extract *e, struct phiz_ctx *ctx, const struct phiz_image *image,
                                    const struct phiz_crop *row)
{
	struct phiz_bytes bytes;
	char *path = extract_crop_path(ctx, e, row->file);
	enum phiz_status status = PHIZ_E_NOMEM;

	phiz_bytes_init(&bytes, ctx);
	if (path)
		status = extract_encode(e, ctx, image, &row->face, &bytes);
	if (!status)
		status = phiz_file_write(ctx, path, bytes.data, bytes.size);
	phiz_bytes_free(&bytes);
	phiz_free(ctx, path);
	return status;
}
