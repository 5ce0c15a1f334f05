/* phiz_align_crop in two steps, for augmentation: it changes the transform in between, so that a photo's pixels are
 * interpolated once. */
#ifndef PHIZ_IMAGE_ALIGN_CUT_H
#define PHIZ_IMAGE_ALIGN_CUT_H

#include <phiz/align.h>

/* The transform from crop to photo, x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5. ARG as phiz_align_crop; also for kind
 * NONE. */
enum phiz_status phiz_align_cut(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_face *face,
                                double m[6]);
/* A size x size image of what m leads to; the photo is made smaller first where m shrinks it, black outside of it. */
enum phiz_status phiz_align_warp(struct phiz_ctx *ctx, const struct phiz_image *from, const double m[6], int size,
                                 struct phiz_image *out);

#endif
