/* Shrinking and growing by areas, into float planes: what PyTorch's interpolate(mode="area") gives. */
#ifndef PHIZ_IMAGE_AREA_H
#define PHIZ_IMAGE_AREA_H

#include "core/image/resize.h"

/* Of the view resized to width x height (>= 1), the rows y0 to y1 - 1: out[c][y][x] = (mean - shift) * scale, where
 * mean is that of all pixels that the result's pixel touches at all: columns floor(x w/W) to ceil((x + 1) w/W) - 1,
 * rows likewise. out holds channels * height * width floats. Sums are exact. Allocates nothing; rows may be made by
 * several threads. */
void phiz_area_rows(const struct phiz_view *from, int width, int height, int y0, int y1, float shift, float scale,
                    float *out);
/* All rows, on the context's threads. */
void phiz_area_planes(struct phiz_ctx *ctx, const struct phiz_view *from, int width, int height, float shift,
                      float scale, float *out);

#endif
