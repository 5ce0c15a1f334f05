/* Candidates of a detector, and non-maximum suppression. */
#ifndef PHIZ_DEPLOY_BOXES_H
#define PHIZ_DEPLOY_BOXES_H

#include <phiz/align.h>

/* A candidate: corners in pixels, and what else its decoder knows of it. */
struct phiz_box {
	float x0, y0, x1, y1, score;
	uint32_t order; /* in which it was added: settles equal scores */
	float value[2 * PHIZ_LANDMARKS]; /* landmarks x, y, x, y ..., or what the decoder makes of it */
};

struct phiz_boxes {
	struct phiz_box *at;
	size_t n, capacity;
};

/* How much two boxes share. */
enum phiz_overlap {
	PHIZ_OVERLAP_UNION,     /* intersection over union */
	PHIZ_OVERLAP_MIN_PIXELS /* intersection over the smaller one, corners being pixels that belong to the box: sides
	                           are x1 - x0 + 1 (MTCNN's last stage) */
};
double phiz_box_overlap(const struct phiz_box *a, const struct phiz_box *b, enum phiz_overlap how);

void phiz_boxes_free(struct phiz_ctx *ctx, struct phiz_boxes *b);
enum phiz_status phiz_boxes_add(struct phiz_ctx *ctx, struct phiz_boxes *b, const struct phiz_box *box);
/* Best score first; equal ones in the order in which they were added. */
void phiz_boxes_sort(struct phiz_boxes *b);
/* Sorts, and keeps the best n. */
void phiz_boxes_limit(struct phiz_boxes *b, size_t n);
/* Sorts, and drops each box that shares more than threshold with a better one that stays. */
void phiz_boxes_suppress(struct phiz_boxes *b, double threshold, enum phiz_overlap how);

#endif
