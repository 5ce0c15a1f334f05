#include "core/image/sheet.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"
#include "core/image/font.h"

enum { LINE = PHIZ_FONT_HEIGHT + 3 }; /* of a caption, at scale 1 */

struct phiz_sheet {
	struct phiz_ctx *ctx;
	struct phiz_sheet_options o;
	char *title;
	int scale;        /* of captions */
	int width;        /* of a full sheet */
	int height;       /* so far, without the lower margin */
	int used;         /* width that is in use, without the right margin */
	int row, column;  /* where the row that is being filled begins; column 0: none is */
	int count, left_out;
	uint8_t *data;
	size_t capacity;
};

static const uint8_t INK[3] = {30, 30, 30}, SOFT[3] = {110, 110, 110};

static enum phiz_status check_options(struct phiz_ctx *ctx, struct phiz_sheet_options *o)
{
	const struct {
		const char *name;
		int *value, standard, min, max;
	} field[] = {
		{"cell", &o->cell, 112, 16, 1024},
		{"columns", &o->columns, 8, 1, 1000},
		{"gap", &o->gap, 0, 0, 100},
		{"margin", &o->margin, 0, 0, 100},
		{"caption lines", &o->caption_lines, 0, 0, 4},
		{"most pictures", &o->max_pictures, 400, 1, INT_MAX},
		{"greatest height", &o->max_height, 16384, 16, INT_MAX / 2},
	};

	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		if (*field[i].value == 0)
			*field[i].value = field[i].standard;
		if (*field[i].value < field[i].min || *field[i].value > field[i].max)
			return phiz_fail(ctx, PHIZ_E_ARG, "contact sheet: %s: want %d to %d, got %d", field[i].name, field[i].min,
			                 field[i].max, *field[i].value);
	}
	return PHIZ_OK;
}

/* Adds rows of white pixels at the lower end. */
static enum phiz_status extend(struct phiz_sheet *s, int rows)
{
	size_t line = (size_t)s->width * 3, need;
	enum phiz_status status;

	if (!phiz_size_mul((size_t)s->height + (size_t)rows, line, &need) || need > INT_MAX)
		return phiz_fail(s->ctx, PHIZ_E_LIMIT, "contact sheet: %dx%d pixels are more than 2 GiB", s->width,
		                 s->height + rows);
	status = phiz_grow(s->ctx, &s->data, &s->capacity, need, 1);
	if (status)
		return status;
	if (rows > 0) /* there may be no data yet */
		memset(s->data + (size_t)s->height * line, 255, (size_t)rows * line);
	s->height += rows;
	return PHIZ_OK;
}

static struct phiz_image canvas(const struct phiz_sheet *s)
{
	return (struct phiz_image){s->width, s->height, 3, s->data};
}

static void use(struct phiz_sheet *s, int right)
{
	s->used = right > s->used ? right : s->used;
}

/* One line of text from x on, cut to `room` pixels: what does not fit ends in "..". Gives its width. */
static int draw_line(struct phiz_sheet *s, int x, int y, int room, int scale, const uint8_t color[3], const char *text,
                     size_t bytes)
{
	struct phiz_image image = canvas(s);
	size_t most = (size_t)(room + scale) / (size_t)(PHIZ_FONT_ADVANCE * scale), unknown, length;
	char line[512];

	/* The font's idea of a character: take one after the other until the room is used up. */
	bytes = bytes < sizeof line - 1 ? bytes : sizeof line - 1;
	memcpy(line, text, bytes);
	line[bytes] = '\0';
	length = phiz_font_length(line, &unknown);
	if (length > most) {
		while (bytes && (phiz_font_length(line, &unknown) + 2 > most || ((unsigned char)text[bytes] & 0xC0) == 0x80))
			line[--bytes] = '\0';
		if (most >= 2 && bytes + 2 < sizeof line)
			memcpy(line + bytes, "..", 3);
		length = phiz_font_length(line, &unknown);
	}
	phiz_font_draw(&image, x, y, scale, false, color, line);
	return (int)length * PHIZ_FONT_ADVANCE * scale;
}

/* A line of its own in large letters. */
static enum phiz_status add_line(struct phiz_sheet *s, const char *text, int scale, const uint8_t color[3])
{
	int above = s->height > s->o.margin ? 4 * scale : 0, y = s->height + above;
	enum phiz_status status = extend(s, above + (PHIZ_FONT_HEIGHT + 4) * scale);

	if (status)
		return status;
	use(s, s->o.margin + draw_line(s, s->o.margin, y, s->width - 2 * s->o.margin, scale, color, text, strlen(text)));
	return PHIZ_OK;
}

/* Empty, with the upper margin and the title. */
static enum phiz_status begin(struct phiz_sheet *s)
{
	enum phiz_status status;

	s->height = s->used = s->row = s->column = s->count = s->left_out = 0;
	status = extend(s, s->o.margin);
	return status || !s->title ? status : add_line(s, s->title, 2, INK);
}

enum phiz_status phiz_sheet_create(struct phiz_ctx *ctx, const struct phiz_sheet_options *options,
                                   struct phiz_sheet **out)
{
	struct phiz_sheet_options o = {0};
	struct phiz_sheet *s;
	enum phiz_status status;

	*out = NULL;
	if (options)
		o = *options;
	status = check_options(ctx, &o);
	if (status)
		return status;
	s = phiz_calloc(ctx, 1, sizeof *s);
	if (!s)
		return PHIZ_E_NOMEM;
	s->ctx = ctx;
	s->o = o;
	s->scale = o.cell >= 224 ? 2 : 1;
	s->width = o.columns * (o.cell + o.gap) - o.gap + 2 * o.margin;
	if (o.title)
		s->title = phiz_strdup(ctx, o.title);
	s->o.title = NULL; /* the caller's */
	status = o.title && !s->title ? PHIZ_E_NOMEM : begin(s);
	if (status)
		phiz_sheet_free(&s);
	*out = s;
	return status;
}

void phiz_sheet_free(struct phiz_sheet **sheet)
{
	struct phiz_sheet *s = *sheet;

	*sheet = NULL;
	if (!s)
		return;
	phiz_free(s->ctx, s->title);
	phiz_free(s->ctx, s->data);
	phiz_free(s->ctx, s);
}

static int row_height(const struct phiz_sheet *s)
{
	int lines = s->o.caption_lines;

	return s->o.cell + (lines ? 3 + lines * LINE * s->scale : 0);
}

/* The picture at (x, y), as large as fits the cell, in the middle of it. */
static enum phiz_status draw_picture(struct phiz_sheet *s, int x, int y, const struct phiz_image *image,
                                     const uint8_t frame[3])
{
	int larger = image->width > image->height ? image->width : image->height;
	int w = (int)((int64_t)image->width * s->o.cell / larger), h = (int)((int64_t)image->height * s->o.cell / larger);
	struct phiz_image scaled, sheet;
	enum phiz_status status;

	w = w < 1 ? 1 : w;
	h = h < 1 ? 1 : h;
	status = phiz_image_resize(s->ctx, image, w, h, NULL, &scaled);
	if (status)
		return status;
	x += (s->o.cell - w) / 2;
	y += (s->o.cell - h) / 2;
	for (int v = 0; v < h; v++) {
		uint8_t *to = s->data + ((size_t)(y + v) * (size_t)s->width + (size_t)x) * 3;
		const uint8_t *from = scaled.data + (size_t)v * (size_t)w * (size_t)scaled.channels;

		if (scaled.channels == 3)
			memcpy(to, from, (size_t)w * 3);
		else
			for (int u = 0; u < w; u++)
				to[3 * u] = to[3 * u + 1] = to[3 * u + 2] = from[u];
	}
	phiz_image_free(s->ctx, &scaled);
	if (frame) {
		int t = 1 + s->o.cell / 64;

		sheet = canvas(s);
		phiz_font_fill(&sheet, x, y, w, t, frame);
		phiz_font_fill(&sheet, x, y + h - t, w, t, frame);
		phiz_font_fill(&sheet, x, y, t, h, frame);
		phiz_font_fill(&sheet, x + w - t, y, t, h, frame);
	}
	return PHIZ_OK;
}

static void draw_caption(struct phiz_sheet *s, int x, int y, const char *caption)
{
	for (int i = 0; i < s->o.caption_lines && *caption; i++) {
		size_t bytes = strcspn(caption, "\n");

		draw_line(s, x, y + i * LINE * s->scale, s->o.cell, s->scale, i ? SOFT : INK, caption, bytes);
		caption += bytes + (caption[bytes] == '\n');
	}
}

/* A row to put the next picture in; *room: false where the sheet is full. */
static enum phiz_status need_row(struct phiz_sheet *s, bool *room)
{
	int above;
	enum phiz_status status;

	*room = s->count < s->o.max_pictures;
	if (!*room || (s->column && s->column < s->o.columns))
		return PHIZ_OK;
	above = s->height > s->o.margin ? s->o.gap : 0;
	*room = s->height + above + row_height(s) + s->o.margin <= s->o.max_height;
	if (!*room)
		return PHIZ_OK;
	status = extend(s, above + row_height(s));
	if (status)
		return status;
	s->row = s->height - row_height(s);
	s->column = 0;
	return PHIZ_OK;
}

enum phiz_status phiz_sheet_add(struct phiz_sheet *s, const struct phiz_image *image, const char *caption,
                                const uint8_t frame[3])
{
	bool room;
	int x;
	enum phiz_status status = phiz_image_check(s->ctx, image, "contact sheet");

	if (!status)
		status = need_row(s, &room);
	if (status)
		return status;
	if (!room) {
		s->left_out++;
		return PHIZ_OK;
	}
	x = s->o.margin + s->column * (s->o.cell + s->o.gap);
	status = draw_picture(s, x, s->row, image, frame);
	if (status)
		return status;
	if (caption)
		draw_caption(s, x, s->row + s->o.cell + 3, caption);
	use(s, x + s->o.cell);
	s->column++;
	s->count++;
	return PHIZ_OK;
}

enum phiz_status phiz_sheet_heading(struct phiz_sheet *s, const char *text)
{
	s->column = 0;
	if (!text || s->count >= s->o.max_pictures || s->height + row_height(s) + 2 * LINE + s->o.margin > s->o.max_height)
		return PHIZ_OK;
	return add_line(s, text, s->scale + (s->o.cell >= 96), INK);
}

int phiz_sheet_count(const struct phiz_sheet *sheet) { return sheet->count; }
int phiz_sheet_left_out(const struct phiz_sheet *sheet) { return sheet->left_out; }

enum phiz_status phiz_sheet_finish(struct phiz_sheet *s, struct phiz_image *out)
{
	char text[64];
	int width;
	enum phiz_status status = PHIZ_OK;

	*out = (struct phiz_image){0};
	if (s->count == 0)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "contact sheet: no pictures to put on it");
	if (s->left_out) {
		snprintf(text, sizeof text, "and %d more", s->left_out);
		status = add_line(s, text, s->scale, SOFT);
	}
	if (!status && s->o.margin)
		status = extend(s, s->o.margin);
	if (status)
		return status;
	width = s->used + s->o.margin < s->width ? s->used + s->o.margin : s->width;
	for (int y = 1; y < s->height && width < s->width; y++)
		memmove(s->data + (size_t)y * (size_t)width * 3, s->data + (size_t)y * (size_t)s->width * 3, (size_t)width * 3);
	/* The pixels change hands. */
	*out = (struct phiz_image){width, s->height, 3, s->data};
	s->data = NULL;
	s->capacity = 0;
	status = begin(s);
	if (status)
		phiz_image_free(s->ctx, out);
	return status;
}
