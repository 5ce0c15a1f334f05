#include "deploy/boxes.h"

#include <stdlib.h>

#include "core/base/alloc.h"

static float min(float a, float b) { return a < b ? a : b; }
static float max(float a, float b) { return a > b ? a : b; }

static float area(const struct phiz_box *b, float one) { return (b->x1 - b->x0 + one) * (b->y1 - b->y0 + one); }

double phiz_box_overlap(const struct phiz_box *a, const struct phiz_box *b, enum phiz_overlap how)
{
	float one = how == PHIZ_OVERLAP_MIN_PIXELS ? 1 : 0;
	float w = min(a->x1, b->x1) - max(a->x0, b->x0) + one, h = min(a->y1, b->y1) - max(a->y0, b->y0) + one;
	float both = max(w, 0) * max(h, 0), sa = area(a, one), sb = area(b, one);
	float of = how == PHIZ_OVERLAP_MIN_PIXELS ? min(sa, sb) : sa + sb - both;

	return of > 0 ? (double)(both / of) : 0;
}

void phiz_boxes_free(struct phiz_ctx *ctx, struct phiz_boxes *b)
{
	phiz_free(ctx, b->at);
	b->at = NULL;
	b->n = b->capacity = 0;
}

enum phiz_status phiz_boxes_add(struct phiz_ctx *ctx, struct phiz_boxes *b, const struct phiz_box *box)
{
	if (b->n == b->capacity && phiz_grow(ctx, &b->at, &b->capacity, b->n + 1, sizeof *b->at))
		return PHIZ_E_NOMEM;
	b->at[b->n] = *box;
	b->at[b->n].order = (uint32_t)b->n;
	b->n++;
	return PHIZ_OK;
}

static int compare(const void *x, const void *y)
{
	const struct phiz_box *a = x, *b = y;

	if (a->score != b->score)
		return a->score > b->score ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

void phiz_boxes_sort(struct phiz_boxes *b)
{
	if (b->n > 1)
		qsort(b->at, b->n, sizeof *b->at, compare);
}

void phiz_boxes_limit(struct phiz_boxes *b, size_t n)
{
	phiz_boxes_sort(b);
	b->n = b->n < n ? b->n : n;
}

void phiz_boxes_suppress(struct phiz_boxes *b, double threshold, enum phiz_overlap how)
{
	size_t kept = 0;

	phiz_boxes_sort(b);
	for (size_t i = 0; i < b->n; i++) {
		bool good = true;
		for (size_t k = 0; k < kept && good; k++)
			good = phiz_box_overlap(&b->at[k], &b->at[i], how) <= threshold;
		if (good)
			b->at[kept++] = b->at[i];
	}
	b->n = kept;
	for (size_t i = 0; i < kept; i++)
		b->at[i].order = (uint32_t)i;
}
