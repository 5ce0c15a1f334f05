/* Lines, frames and dots into pictures. Everything is cut at the picture's edges. Text: core/image/font.h. */
#ifndef PHIZ_IMAGE_DRAW_H
#define PHIZ_IMAGE_DRAW_H

#include <phiz/align.h>

/* The outline of a box, `thick` pixels wide towards the outside, around the pixels (x, y) to (x + w - 1, y + h - 1). */
void phiz_draw_frame(struct phiz_image *image, int x, int y, int w, int h, int thick, const uint8_t rgb[3]);
/* A filled circle: all pixels whose middle is at most r from the middle of pixel (x, y). */
void phiz_draw_dot(struct phiz_image *image, int x, int y, int r, const uint8_t rgb[3]);
/* From the middle of one pixel to that of another, both drawn, `thick` pixels wide. */
void phiz_draw_line(struct phiz_image *image, int x0, int y0, int x1, int y1, int thick, const uint8_t rgb[3]);
/* Words on a filled label, whose lower left corner is (x, y); moved so far that it lies in the picture. */
void phiz_draw_label(struct phiz_image *image, int x, int y, int scale, const char *text, const uint8_t rgb[3]);
/* A face: frame, landmarks and, where text is not NULL, a label; sized for the picture. */
void phiz_draw_face(struct phiz_image *image, const struct phiz_face *face, const char *text, const uint8_t rgb[3]);

#endif
