#include "train/confusion_png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/image/font.h"

#define PLOT 880       /* pixels that the matrix may take, each way, if its cells are not tiny */
#define MAX_CELL 56
#define MIN_NAMED 8    /* cells of this size and more have names beside them */
#define NAME_CHARS 24
#define MARGIN 12
#define NAME_BYTES (4 * NAME_CHARS + 8)

static const uint8_t white[3] = {255, 255, 255}, ink[3] = {27, 31, 36}, soft[3] = {92, 101, 112};
static const uint8_t grid[3] = {223, 227, 232}, right_color[3] = {20, 84, 176}, wrong_color[3] = {196, 62, 10};

struct person {
	int64_t class;
	int64_t mistakes;
};

struct matrix {
	const struct phiz_eval *eval;
	struct phiz_image *image;
	struct person *person;
	int n, cell, scale, left, top;
	bool named;
};

static int by_mistakes(const void *a, const void *b)
{
	const struct person *x = a, *y = b;

	if (x->mistakes != y->mistakes)
		return x->mistakes < y->mistakes ? 1 : -1;
	return (x->class > y->class) - (x->class < y->class);
}

static int by_class(const void *a, const void *b)
{
	int64_t x = ((const struct person *)a)->class, y = ((const struct person *)b)->class;

	return (x > y) - (x < y);
}

static enum phiz_status choose_people(struct matrix *m)
{
	const struct phiz_eval *e = m->eval;
	size_t n = 0;

	m->person = phiz_alloc(e->ctx, (size_t)e->classes, sizeof *m->person);
	if (!m->person)
		return PHIZ_E_NOMEM;
	for (int64_t c = 0; c < e->classes; c++) {
		const struct phiz_person_score *p = &e->accuracy.person[c];

		if (p->photos + p->predicted > 0)
			m->person[n++] = (struct person){c, p->photos + p->predicted - 2 * p->right};
	}
	if (n > PHIZ_CONFUSION_PEOPLE) {
		qsort(m->person, n, sizeof *m->person, by_mistakes);
		n = PHIZ_CONFUSION_PEOPLE;
		qsort(m->person, n, sizeof *m->person, by_class);
	}
	m->n = (int)n;
	return PHIZ_OK;
}

/* The name as it is written: shortened, or a number. */
static void write_name(const struct matrix *m, int i, char out[NAME_BYTES])
{
	const char *name = m->eval->label[m->person[i].class], *p = name;
	size_t unknown, length = phiz_font_length(name, &unknown), keep = 0;

	if (unknown > 0 || length == 0) {
		snprintf(out, NAME_BYTES, "#%lld", (long long)m->person[i].class + 1);
		return;
	}
	while (*p && keep < NAME_CHARS - (length > NAME_CHARS ? 2 : 0)) { /* whole characters, of two bytes at most */
		p += (unsigned char)*p < 0x80 ? 1 : 2;
		keep++;
	}
	snprintf(out, NAME_BYTES, "%.*s%s", (int)(p - name), name, length > NAME_CHARS ? ".." : "");
}

static int longest_name(const struct matrix *m)
{
	size_t longest = 1, unknown;

	for (int i = 0; i < m->n; i++) {
		char name[NAME_BYTES];
		size_t length;

		write_name(m, i, name);
		length = phiz_font_length(name, &unknown);
		longest = length > longest ? length : longest;
	}
	return (int)longest;
}

static void lay_out(struct matrix *m)
{
	int room;

	m->cell = PLOT / (m->n > 0 ? m->n : 1);
	m->cell = m->cell > MAX_CELL ? MAX_CELL : m->cell < 1 ? 1 : m->cell;
	m->named = m->cell >= MIN_NAMED;
	m->scale = m->cell >= 20 ? 2 : 1;
	room = m->named ? longest_name(m) * PHIZ_FONT_ADVANCE * m->scale + 8 : 4 * PHIZ_FONT_ADVANCE + 12;
	m->left = MARGIN + room;
	m->top = MARGIN + 3 * PHIZ_FONT_HEIGHT * 2 + room;
}

static void blend(const uint8_t color[3], double share, uint8_t out[3])
{
	double t = 0.08 + 0.92 * share; /* a single photo of many is still to be seen */

	for (int i = 0; i < 3; i++)
		out[i] = (uint8_t)(255 + (color[i] - 255) * t + 0.5);
}

static void draw_count(const struct matrix *m, int x, int y, uint32_t n, double share)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%lu", (unsigned long)n), scale = m->scale;

	while (scale > 0 && length * PHIZ_FONT_ADVANCE * scale > m->cell - 2)
		scale--;
	if (scale == 0 || m->cell < 12)
		return;
	phiz_font_draw(m->image, x + (m->cell - (length * PHIZ_FONT_ADVANCE - 1) * scale) / 2,
	               y + (m->cell - PHIZ_FONT_HEIGHT * scale) / 2, scale, false, share > 0.45 ? white : ink, text);
}

static void draw_cells(const struct matrix *m)
{
	const struct phiz_accuracy *a = &m->eval->accuracy;

	for (int i = 0; i < m->n; i++)
		for (int k = 0; k < m->n; k++) {
			int64_t row = m->person[i].class, column = m->person[k].class;
			uint32_t n = a->confusion[row * a->classes + column];
			double share = n ? (double)n / (double)a->person[row].photos : 0;
			int x = m->left + k * m->cell, y = m->top + i * m->cell, gap = m->cell >= 5;
			uint8_t color[3];

			if (!n)
				continue;
			blend(row == column ? right_color : wrong_color, share, color);
			phiz_font_fill(m->image, x + gap, y + gap, m->cell - gap, m->cell - gap, color);
			draw_count(m, x, y, n, share);
		}
}

static void draw_grid(const struct matrix *m)
{
	int side = m->n * m->cell, step = m->cell >= 5 ? 1 : m->n;

	for (int i = 0; i <= m->n; i += step) {
		phiz_font_fill(m->image, m->left, m->top + i * m->cell, side + 1, 1, grid);
		phiz_font_fill(m->image, m->left + i * m->cell, m->top, 1, side + 1, grid);
	}
}

/* A label of row and column i. */
static void draw_label(const struct matrix *m, int i, const char *text)
{
	size_t unknown;
	int width = (int)phiz_font_length(text, &unknown) * PHIZ_FONT_ADVANCE * m->scale;
	int middle = i * m->cell + (m->cell - PHIZ_FONT_HEIGHT * m->scale) / 2;

	phiz_font_draw(m->image, m->left - 6 - width, m->top + middle, m->scale, false, ink, text);
	phiz_font_draw(m->image, m->left + middle, m->top - 8, m->scale, true, ink, text);
}

static void draw_labels(const struct matrix *m)
{
	char text[NAME_BYTES];
	int step = 1;

	while (!m->named && step * m->cell < 24)
		step += step == 1 ? 4 : step == 5 ? 5 : step;
	for (int i = 0; i < m->n; i += step) {
		if (m->named)
			write_name(m, i, text);
		else
			snprintf(text, sizeof text, "%lld", (long long)m->person[i].class + 1);
		draw_label(m, i, text);
	}
	phiz_font_draw(m->image, MARGIN, MARGIN, 2, false, ink, "confusion matrix");
	phiz_font_draw(m->image, MARGIN, MARGIN + 20, 1, false, soft, "row: who it is; column: the name given");
}

enum phiz_status phiz_confusion_draw(const struct phiz_eval *eval, struct phiz_image *out)
{
	struct matrix m = {.eval = eval, .image = out};
	enum phiz_status status = choose_people(&m);
	int width, height;

	memset(out, 0, sizeof *out);
	if (!status) {
		lay_out(&m);
		width = m.left + m.n * m.cell + MARGIN;
		height = m.top + m.n * m.cell + MARGIN;
		status = phiz_image_create(eval->ctx, width < 260 ? 260 : width, height, 3, out);
	}
	if (!status) {
		memset(out->data, 255, (size_t)out->width * (size_t)out->height * 3);
		draw_grid(&m);
		draw_cells(&m);
		draw_labels(&m);
	}
	phiz_free(eval->ctx, m.person);
	return status;
}

enum phiz_status phiz_confusion_png(const struct phiz_eval *eval, struct phiz_bytes *out)
{
	struct phiz_image image;
	enum phiz_status status = phiz_confusion_draw(eval, &image);

	if (!status)
		status = phiz_png_encode(eval->ctx, &image, out);
	phiz_image_free(eval->ctx, &image);
	return status;
}
