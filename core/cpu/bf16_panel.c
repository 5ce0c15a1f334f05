/* Panels: pieces of a picture in bf16, such that output pixels are positions on one line and taps are offsets. */
#include <string.h>

#include "core/cpu/bf16.h"

/* Positions that are read behind the end: a tile's, and those that the next row would have begun with. */
enum { B = PHIZ_BF16_BLOCK, BEHIND = 96, MOST_SHARED = 16, THIN_CHANNELS = 4 };

static int floor_div(int a, int b)
{
	int q = a / b;
	return q * b > a ? q - 1 : q;
}

/* Rows of a phase that lie in the picture, from row 0 on. */
static int rows_inside(const struct phiz_bf16_axis *a, int phase)
{
	return a->size > phase ? (a->size - 1 - phase) / a->stride + 1 : 0;
}

void phiz_bf16_axis_of(struct phiz_bf16_axis *a)
{
	int most = INT32_MIN;
	a->phases = 0;
	a->least = INT32_MAX;
	for (int t = 0; t < a->taps; t++) {
		int at = a->first + t * a->step, shift = floor_div(at, a->stride), phase = at - shift * a->stride, i = 0;
		while (i < a->phases && a->phase[i] != phase)
			i++;
		if (i == a->phases)
			a->phase[a->phases++] = phase;
		a->plane[t] = i;
		a->shift[t] = shift;
		a->least = shift < a->least ? shift : a->least;
		most = shift > most ? shift : most;
	}
	for (int t = 0; t < a->taps; t++)
		a->shift[t] -= a->least;
	a->span = most - a->least;
	a->shared = a->span < MOST_SHARED ? a->span : MOST_SHARED;
	for (int i = 0; i < a->phases; i++) {
		int before = a->least < 0 ? -a->least : 0;
		int behind = a->outputs + a->span - (rows_inside(a, a->phase[i]) - a->least);
		int zeros = before < behind ? before : behind;
		a->shared = zeros < a->shared ? zeros : a->shared;
	}
	if (a->shared < 0)
		a->shared = 0;
}

void phiz_bf16_panel_of(struct phiz_bf16_panel *p, int64_t images, int64_t positions)
{
	const struct phiz_bf16_axis *y = &p->y, *x = &p->x;
	int phases = y->phases, shared = 0;
	if (p->thin) { /* x.taps counts pixels of a window */
		p->pixel = THIN_CHANNELS * x->stride;
		p->width = x->outputs + (x->taps - 1) / x->stride;
		p->blocks = 1;
		p->steps = y->taps;
	} else {
		p->pixel = B;
		p->width = x->outputs + x->span - x->shared;
		p->blocks = (p->in.channels + B - 1) / B;
		p->steps = p->blocks * y->taps * x->taps;
		phases *= x->phases;
	}
	p->height = y->outputs + y->span - y->shared;
	if (positions >= (int64_t)p->height * p->width) {
		int64_t whole = positions / ((int64_t)p->height * p->width);
		p->images = (int)(whole < images ? whole : images);
		p->rows = y->outputs;
		shared = y->shared;
	} else {
		int64_t rows = positions / p->width;
		p->images = 1;
		p->rows = (int)(rows < 1 ? 1 : rows < y->outputs ? rows : y->outputs);
		p->height = p->rows + y->span;
	}
	p->plane = ((int64_t)p->images * p->height + shared) * p->width;
	p->block = p->plane * phases * p->pixel;
	p->elements = (size_t)(p->block * p->blocks + BEHIND * p->pixel + B);
}

int64_t phiz_bf16_pieces(const struct phiz_bf16_panel *p, int64_t images)
{
	int64_t groups = (images + p->images - 1) / p->images;
	return groups * ((p->y.outputs + p->rows - 1) / p->rows);
}

struct phiz_bf16_piece phiz_bf16_piece_at(const struct phiz_bf16_panel *p, int64_t images, int64_t i)
{
	int cuts = (p->y.outputs + p->rows - 1) / p->rows, cut = (int)(i % cuts);
	struct phiz_bf16_piece piece = {.image = i / cuts * p->images, .row = (int)((int64_t)p->y.outputs * cut / cuts)};
	piece.images = (int)(images - piece.image < p->images ? images - piece.image : p->images);
	piece.rows = (int)((int64_t)p->y.outputs * (cut + 1) / cuts) - piece.row;
	return piece;
}

int64_t phiz_bf16_positions(const struct phiz_bf16_panel *p, const struct phiz_bf16_piece *piece)
{
	return ((int64_t)(piece->images - 1) * p->height + piece->rows - 1) * p->width + p->x.outputs;
}

void phiz_bf16_offsets(const struct phiz_bf16_panel *p, int32_t *at)
{
	const struct phiz_bf16_axis *y = &p->y, *x = &p->x;
	for (int b = 0; b < p->blocks; b++)
		for (int i = 0; i < y->taps; i++)
			for (int j = 0; j < (p->thin ? 1 : x->taps); j++) {
				int plane = p->thin ? y->plane[i] : y->plane[i] * x->phases + x->plane[j];
				int64_t position = plane * p->plane + (int64_t)y->shift[i] * p->width + (p->thin ? 0 : x->shift[j]);
				*at++ = (int32_t)(b * p->block + position * p->pixel);
			}
}

/* --- Copying --- */

/* `count` pixels' channels from c on, up to 32 of them, `step` pixels apart in the picture. */
static void gather_pixels(const struct phiz_bf16_picture *in, int64_t image, int c, int64_t pixel, int step, int count,
                          uint16_t *to)
{
	const int64_t area = (int64_t)in->height * in->width;
	const int channels = in->channels - c < B ? in->channels - c : B;
	if (in->block == B && !in->wide) {
		const uint16_t *from = (const uint16_t *)in->data + ((image * in->channels + c) * area + pixel * B);
		if (step == 1)
			memcpy(to, from, (size_t)count * B * sizeof *to);
		for (int i = 0; step > 1 && i < count; i++)
			memcpy(to + i * B, from + (int64_t)i * step * B, B * sizeof *to);
		return;
	}
	for (int l = 0; l < B; l++) {
		int64_t at = ((image * in->channels + (c + l) / in->block * in->block) * area + pixel * in->block) +
		             (c + l) % in->block, apart = (int64_t)step * in->block;
		if (l >= channels)
			for (int i = 0; i < count; i++)
				to[i * B + l] = 0;
		else if (in->wide)
			for (int i = 0; i < count; i++)
				to[i * B + l] = phiz_bf16_of(((const float *)in->data)[at + i * apart]);
		else
			for (int i = 0; i < count; i++)
				to[i * B + l] = ((const uint16_t *)in->data)[at + i * apart];
	}
}

void phiz_bf16_columns_inside(const struct phiz_bf16_axis *x, int width, int phase, int *from, int *to)
{
	*from = -x->least < 0 ? 0 : -x->least;
	*to = rows_inside(x, phase) - x->least;
	*to = *to < width ? *to : width;
	*from = *from < *to ? *from : (*to > 0 ? *to : 0);
	*to = *to > *from ? *to : *from;
}

static void gather_row(const struct phiz_bf16_panel *p, int64_t image, int y, int phase, int b, uint16_t *to)
{
	int from, end;
	phiz_bf16_columns_inside(&p->x, p->width, phase, &from, &end);
	if (y < 0 || y >= p->in.height)
		from = end = 0;
	memset(to, 0, (size_t)from * B * sizeof *to);
	if (end > from) {
		int64_t first = (int64_t)y * p->in.width + (int64_t)(from + p->x.least) * p->x.stride + phase;
		gather_pixels(&p->in, image, b * B, first, p->x.stride, end - from, to + (int64_t)from * B);
	}
	memset(to + (int64_t)end * B, 0, (size_t)(p->width - end) * B * sizeof *to);
}

/* Pixels x.first, x.first + 1, ... of the row, 4 channels of each. */
static void gather_thin_row(const struct phiz_bf16_panel *p, int64_t image, int y, uint16_t *to)
{
	const struct phiz_bf16_picture *in = &p->in;
	const int64_t area = (int64_t)in->height * in->width;
	const int count = p->width * p->x.stride, first = p->x.first;
	int from = -first > 0 ? -first : 0, end = in->width - first < count ? in->width - first : count;
	if (y < 0 || y >= in->height || end < from)
		from = end = 0;
	memset(to, 0, (size_t)count * THIN_CHANNELS * sizeof *to);
	for (int c = 0; c < in->channels; c++) {
		int64_t at = (image * in->channels + c) * area + (int64_t)y * in->width + first;
		if (in->wide)
			for (int i = from; i < end; i++)
				to[i * THIN_CHANNELS + c] = phiz_bf16_of(((const float *)in->data)[at + i]);
		else
			for (int i = from; i < end; i++)
				to[i * THIN_CHANNELS + c] = ((const uint16_t *)in->data)[at + i];
	}
}

void phiz_bf16_gather(const struct phiz_bf16_panel *p, const struct phiz_bf16_piece *piece, int b, uint16_t *to)
{
	const int phases_x = p->thin ? 1 : p->x.phases;
	for (int plane = 0; plane < p->y.phases * phases_x; plane++) {
		uint16_t *row = to + plane * p->plane * p->pixel;
		int64_t left = p->plane * p->pixel;
		for (int i = 0; i < piece->images; i++) {
			/* The last image's rows go on to the end of its zeros. */
			int rows = i + 1 < piece->images ? p->height : piece->rows + p->y.span;
			for (int r = 0; r < rows; r++, row += (int64_t)p->width * p->pixel, left -= (int64_t)p->width * p->pixel) {
				int y = (piece->row + r + p->y.least) * p->y.stride + p->y.phase[plane / phases_x];
				if (p->thin)
					gather_thin_row(p, piece->image + i, y, row);
				else
					gather_row(p, piece->image + i, y, p->x.phase[plane % phases_x], b, row);
			}
		}
		memset(row, 0, (size_t)left * sizeof *to); /* a smaller piece than others */
	}
	memset(to + p->block, 0, (size_t)(BEHIND * p->pixel + B) * sizeof *to);
}
