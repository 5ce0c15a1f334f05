/* Contact sheets: many pictures in rows and columns, with captions and headings, as one picture of bounded size. */
#ifndef PHIZ_IMAGE_SHEET_H
#define PHIZ_IMAGE_SHEET_H

#include <phiz/image.h>

/* All pixels are of the sheet. What is 0 gets the default in brackets. */
struct phiz_sheet_options {
	const char *title; /* over everything; NULL: none */
	int cell;          /* side of the square that each picture gets, 16..1024 (112) */
	int columns;       /* pictures in a row at most, 1..1000 (8) */
	int gap;           /* between pictures, 0..100 */
	int margin;        /* around everything, 0..100 */
	int caption_lines; /* kept free below each picture, 0..4 */
	int max_pictures;  /* those after are left out and counted (400) */
	int max_height;    /* of the sheet; pictures that would go beyond are left out too (16384) */
};

/* A sheet that is being filled; used by one thread at a time. */
struct phiz_sheet;

/* An empty sheet; options are copied, NULL: all defaults. Memory: the sheet's own pixels. Errors: ARG, NOMEM. */
enum phiz_status phiz_sheet_create(struct phiz_ctx *ctx, const struct phiz_sheet_options *options,
                                   struct phiz_sheet **out);
void phiz_sheet_free(struct phiz_sheet **sheet);

/* The next picture (RGB or grey), made as large as fits its square, with nothing stretched. caption: lines separated by
 * '\n', each cut to the width of the square; NULL: none. frame: colour of a frame around the picture, NULL: none. A
 * picture beyond the limits is no error. Errors: ARG (no image), NOMEM. */
enum phiz_status phiz_sheet_add(struct phiz_sheet *sheet, const struct phiz_image *image, const char *caption,
                                const uint8_t frame[3]);
/* What comes next begins a row of its own; with text (not NULL) under a line of it. Errors: NOMEM. */
enum phiz_status phiz_sheet_heading(struct phiz_sheet *sheet, const char *text);
/* Pictures that were put on it, and that were left out. */
int phiz_sheet_count(const struct phiz_sheet *sheet);
int phiz_sheet_left_out(const struct phiz_sheet *sheet);

/* The finished sheet, RGB on white, no wider than its widest row or heading; what was left out is said in its last
 * line. The sheet is empty afterwards. ARG if nothing was put on it; LIMIT, NOMEM. */
enum phiz_status phiz_sheet_finish(struct phiz_sheet *sheet, struct phiz_image *out);

#endif
