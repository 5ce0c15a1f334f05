/* The list of faces that were cut out, as CSV. */
#include "datasets/crops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/io/json.h"
#include "datasets/csv.h"

#define HEADER                                                                                                        \
	"source,frame,time,person,fate,file,reason,width,height,x,y,w,h,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry,score,"        \
	"sharpness,mean,dark,bright,contrast,yaw,pitch,roll,eyes,quality,similarity"
#define STATE_HEADER HEADER ",size,mtime,embedding"
enum { FIRST_NUMBER = 7, N_NUMBERS = 28, COLUMNS = FIRST_NUMBER + N_NUMBERS + 3 };

static const char *const fates[PHIZ_N_CROP_FATES] = {"kept",    "aside",  "small",   "score",
                                                     "quality", "beyond", "no face", "unreadable"};

const char *phiz_crop_fate_name(enum phiz_crop_fate fate)
{
	return (unsigned)fate < PHIZ_N_CROP_FATES ? fates[fate] : "?";
}

static void crop_free(struct phiz_ctx *ctx, struct phiz_crop *c)
{
	phiz_free(ctx, c->source);
	phiz_free(ctx, c->person);
	phiz_free(ctx, c->file);
	phiz_free(ctx, c->reason);
	phiz_free(ctx, c->embedding);
}

void phiz_crops_free(struct phiz_ctx *ctx, struct phiz_crops *crops)
{
	for (size_t i = 0; i < crops->count; i++)
		crop_free(ctx, &crops->crop[i]);
	phiz_free(ctx, crops->crop);
	*crops = (struct phiz_crops){0};
}

enum phiz_status phiz_crops_add(struct phiz_ctx *ctx, struct phiz_crops *crops, const struct phiz_crop *crop)
{
	struct phiz_crop c = *crop;
	enum phiz_status status = phiz_grow(ctx, &crops->crop, &crops->capacity, crops->count + 1, sizeof *crops->crop);

	if (status)
		return status;
	c.source = phiz_strdup(ctx, crop->source ? crop->source : "");
	c.person = phiz_strdup(ctx, crop->person ? crop->person : "");
	c.file = phiz_strdup(ctx, crop->file ? crop->file : "");
	c.reason = phiz_strdup(ctx, crop->reason ? crop->reason : "");
	c.embedding = NULL;
	c.dim = crop->embedding ? crop->dim : 0;
	if (c.dim > 0 && (c.embedding = phiz_alloc(ctx, (size_t)c.dim, 1)))
		memcpy(c.embedding, crop->embedding, (size_t)c.dim);
	if (!c.source || !c.person || !c.file || !c.reason || (c.dim > 0 && !c.embedding)) {
		crop_free(ctx, &c);
		return PHIZ_E_NOMEM;
	}
	crops->crop[crops->count++] = c;
	return PHIZ_OK;
}

/* --- Numbers in the order of the columns. --- */

static void numbers_of(const struct phiz_crop *c, double v[N_NUMBERS])
{
	const struct phiz_quality *q = &c->quality;
	int n = 0;

	v[n++] = c->width, v[n++] = c->height;
	for (int i = 0; i < 4; i++)
		v[n++] = (double)c->face.box[i];
	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		for (int k = 0; k < 2; k++)
			v[n++] = (double)c->face.landmark[i][k];
	v[n++] = (double)c->face.score;
	v[n++] = q->sharpness, v[n++] = q->mean, v[n++] = q->dark, v[n++] = q->bright, v[n++] = q->contrast;
	v[n++] = q->yaw, v[n++] = q->pitch, v[n++] = q->roll, v[n++] = q->eyes, v[n++] = q->overall;
	v[n++] = c->similarity;
}

static void set_numbers(struct phiz_crop *c, const double v[N_NUMBERS])
{
	struct phiz_quality *q = &c->quality;
	int n = 0;

	c->width = (int)v[n++], c->height = (int)v[n++];
	for (int i = 0; i < 4; i++)
		c->face.box[i] = (float)v[n++];
	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		for (int k = 0; k < 2; k++)
			c->face.landmark[i][k] = (float)v[n++];
	c->face.score = (float)v[n++];
	q->sharpness = v[n++], q->mean = v[n++], q->dark = v[n++], q->bright = v[n++], q->contrast = v[n++];
	q->yaw = v[n++], q->pitch = v[n++], q->roll = v[n++], q->eyes = v[n++], q->overall = v[n++];
	c->similarity = v[n++];
}

/* --- Writing. --- */

static bool has_face(const struct phiz_crop *c)
{
	return c->fate != PHIZ_CROP_NONE && c->fate != PHIZ_CROP_UNREADABLE;
}

static void add_numbers(struct phiz_bytes *out, const struct phiz_crop *c, bool state)
{
	double v[N_NUMBERS];

	numbers_of(c, v);
	for (int i = 0; i < N_NUMBERS; i++) {
		phiz_bytes_text(out, ",");
		if (!has_face(c) || (i == N_NUMBERS - 1 && v[i] < -1))
			continue; /* nothing to say */
		if (state)
			phiz_json_add_real(out, v[i]);
		else
			phiz_bytes_printf(out, i < 2 ? "%.0f" : i < 16 ? "%.2f" : "%.4g", v[i]);
	}
}

static void add_row(struct phiz_bytes *out, const struct phiz_crop *c, bool state)
{
	phiz_bytes_csv(out, c->source);
	if (c->frame >= 0)
		phiz_bytes_printf(out, ",%lld,%.3f,", (long long)c->frame, c->time);
	else
		phiz_bytes_text(out, ",,,");
	phiz_bytes_csv(out, c->person);
	phiz_bytes_printf(out, ",%s,", phiz_crop_fate_name(c->fate));
	phiz_bytes_csv(out, c->file);
	phiz_bytes_text(out, ",");
	phiz_bytes_csv(out, c->reason);
	add_numbers(out, c, state);
	if (state) {
		phiz_bytes_printf(out, ",%lld,%lld,", (long long)c->size, (long long)c->mtime);
		for (int i = 0; i < c->dim; i++)
			phiz_bytes_printf(out, "%02x", (unsigned)(uint8_t)c->embedding[i]);
	}
	phiz_bytes_text(out, "\n");
}

enum phiz_status phiz_crops_format(struct phiz_ctx *ctx, const struct phiz_crops *crops, bool state,
                                   struct phiz_bytes *out)
{
	(void)ctx;
	phiz_bytes_text(out, state ? STATE_HEADER "\n" : HEADER "\n");
	for (size_t i = 0; i < crops->count; i++)
		add_row(out, &crops->crop[i], state);
	return phiz_bytes_status(out);
}

enum phiz_status phiz_crops_face(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_face *photo,
                                 struct phiz_face *crop)
{
	const float *b = photo->box;
	float from[3][2] = {{b[0] + b[2] / 2, b[1] + b[3] / 2}}, to[3][2]; /* the box's middle, right of it, below it */

	for (int i = 1; i < 3; i++)
		for (int k = 0; k < 2; k++)
			from[i][k] = from[0][k] + (k == i - 1 ? b[2 + k] : 0);
	enum phiz_status status = phiz_align_point(ctx, align, photo, (const float(*)[2])from, to, 3);
	memset(crop->landmark, 0, sizeof crop->landmark);
	if (!status && phiz_face_has_landmarks(photo))
		status = phiz_align_point(ctx, align, photo, photo->landmark, crop->landmark, PHIZ_LANDMARKS);
	for (int k = 0; k < 2 && !status; k++) {
		double dx = (double)to[1 + k][0] - (double)to[0][0], dy = (double)to[1 + k][1] - (double)to[0][1];
		crop->box[2 + k] = (float)hypot(dx, dy);
		crop->box[k] = to[0][k] - crop->box[2 + k] / 2;
	}
	crop->score = photo->score;
	return status;
}

enum phiz_status phiz_crops_landmarks(struct phiz_ctx *ctx, const struct phiz_crops *crops,
                                      const struct phiz_align *align, struct phiz_bytes *out)
{
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_text(out, "file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry,x,y,w,h,score\n");
	for (size_t i = 0; i < crops->count && !status; i++) {
		const struct phiz_crop *c = &crops->crop[i];
		struct phiz_face f;

		if (c->fate != PHIZ_CROP_KEPT)
			continue;
		status = phiz_crops_face(ctx, align, &c->face, &f);
		phiz_bytes_csv(out, c->file);
		for (int k = 0; k < PHIZ_LANDMARKS && !status; k++)
			phiz_bytes_printf(out, ",%.2f,%.2f", (double)f.landmark[k][0], (double)f.landmark[k][1]);
		for (int k = 0; k < 4 && !status; k++)
			phiz_bytes_printf(out, ",%.2f", (double)f.box[k]);
		phiz_bytes_printf(out, ",%.4g\n", (double)c->face.score);
	}
	return status ? status : phiz_bytes_status(out);
}

/* --- Reading. --- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum phiz_status read_embedding(struct phiz_ctx *ctx, const char *text, struct phiz_crop *c)
{
	size_t n = strlen(text);

	if (n == 0)
		return PHIZ_OK;
	if (n % 2 || n / 2 > PHIZ_CROP_MAX_DIM || strspn(text, "0123456789abcdef") != n)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "embedding: want at most %d bytes in hex", PHIZ_CROP_MAX_DIM);
	c->embedding = phiz_alloc(ctx, n / 2, 1);
	if (!c->embedding)
		return PHIZ_E_NOMEM;
	c->dim = (int)(n / 2);
	for (int i = 0; i < c->dim; i++)
		c->embedding[i] = (int8_t)(uint8_t)(hex(text[2 * i]) << 4 | hex(text[2 * i + 1]));
	return PHIZ_OK;
}

static enum phiz_status read_numbers(struct phiz_ctx *ctx, char **field, struct phiz_crop *c)
{
	double v[N_NUMBERS] = {0};
	enum phiz_status status = PHIZ_OK;

	v[N_NUMBERS - 1] = -2;
	for (int i = 0; i < N_NUMBERS && !status; i++)
		if (*field[i])
			status = phiz_parse_f64(ctx, field[i], -1e9, 1e9, &v[i]);
		else if (has_face(c) && i < N_NUMBERS - 1)
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "a number is missing");
	set_numbers(c, v);
	return status;
}

/* A relative path that stays inside of the folder? */
static bool tame(const char *path)
{
	if (*path == '/')
		return false;
	for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/')
		if (!strncmp(p, "..", 2) && (p[2] == '/' || !p[2]))
			return false;
	return true;
}

static enum phiz_status read_row(struct phiz_ctx *ctx, char **field, struct phiz_crop *c)
{
	int fate = 0;
	enum phiz_status status = PHIZ_OK;

	*c = (struct phiz_crop){.source = field[0], .frame = -1, .person = field[3], .file = field[5], .reason = field[6]};
	while (fate < PHIZ_N_CROP_FATES && strcmp(fates[fate], field[4]))
		fate++;
	if (fate == PHIZ_N_CROP_FATES)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "fate: want kept, aside ... or unreadable");
	c->fate = (enum phiz_crop_fate)fate;
	if (!*c->source || !tame(c->file) || strchr(c->person, '/') || !strcmp(c->person, ".."))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "no source, or a person or file that lies elsewhere");
	if (*field[1])
		status = phiz_parse_i64(ctx, field[1], 0, INT64_MAX, &c->frame);
	if (!status && *field[2])
		status = phiz_parse_f64(ctx, field[2], 0, 1e12, &c->time);
	if (!status)
		status = read_numbers(ctx, field + FIRST_NUMBER, c);
	if (!status)
		status = phiz_parse_i64(ctx, field[COLUMNS - 3], 0, INT64_MAX, &c->size);
	if (!status)
		status = phiz_parse_i64(ctx, field[COLUMNS - 2], INT64_MIN, INT64_MAX, &c->mtime);
	return status ? status : read_embedding(ctx, field[COLUMNS - 1], c);
}

enum phiz_status phiz_crops_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_crops *out)
{
	struct phiz_csv csv = {0};
	struct phiz_crop row;
	enum phiz_status status = phiz_csv_parse(ctx, text, size, name, &csv);

	*out = (struct phiz_crops){0};
	if (status)
		return status;
	if (csv.columns != COLUMNS || strcmp(csv.row[0].field[0], "source") || strcmp(csv.row[0].field[4], "fate") ||
	    strcmp(csv.row[0].field[COLUMNS - 1], "embedding"))
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not what \"phiz data extract\" writes", name);
	for (size_t i = 1; i < csv.count && !status; i++) {
		status = read_row(ctx, csv.row[i].field, &row);
		if (status && status != PHIZ_E_NOMEM) {
			phiz_fail_in(ctx, "%s:%d", name, csv.row[i].line);
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s", phiz_ctx_message(ctx));
		}
		if (!status)
			status = phiz_crops_add(ctx, out, &row);
		phiz_free(ctx, row.embedding);
	}
	phiz_csv_free(ctx, &csv);
	if (status)
		phiz_crops_free(ctx, out);
	return status;
}
