/* A detector that needs no training: a network in YuNet's form that sees pixels of a colour, so that scores, boxes and
 * landmarks are known. */
#ifndef PHIZ_TESTS_SPOTS_H
#define PHIZ_TESTS_SPOTS_H

#include "support/support.h"

#include <phiz/model.h>

/* Stride 8: the pixel (8 x, 8 y) of red r and green g scores sqrt(r g) and has a box of 16 x 24 around (8 x + 4,
 * 8 y + 4). Stride 16: blue b scores sqrt(b), 32 x 32 around (16 x + 8, 16 y + 8). Stride 32 sees nothing. Landmark i
 * lies at (x + i / 10, y + i / 5) strides. skip: an output that is left out. */
struct phiz_model *test_spot_detector(struct phiz_ctx *ctx, const char *skip);

#endif
