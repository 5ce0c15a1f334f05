/* The resize behind phiz_image_resize, for callers that resize a part of an image or need a part of the result. */
#ifndef PHIZ_IMAGE_RESIZE_H
#define PHIZ_IMAGE_RESIZE_H

#include <phiz/image.h>

/* Pixels of another's image: a rectangle of it, say. */
struct phiz_view {
	const uint8_t *data; /* the top left pixel */
	size_t stride;       /* bytes from row to row */
	int width, height, channels;
};

/* The box [x, x+w) x [y, y+h), which must lie inside the image. */
struct phiz_view phiz_view_box(const struct phiz_image *image, int x, int y, int w, int h);

/* Of the view's box (x0, y0, x1, y1; NULL: all) resized to width x height, the window (x, y, w, h), which must lie
 * inside; NULL: all. Equal to cropping the whole result. out is created. Errors: ARG, LIMIT, NOMEM. */
enum phiz_status phiz_view_resize(struct phiz_ctx *ctx, const struct phiz_view *from, int width, int height,
                                  const double box[4], const int window[4], struct phiz_image *out);

#endif
