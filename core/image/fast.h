/* The heaviest loops over pixels, by instruction set: the best one that the processor has and PHIZ_CPU allows, with the
 * bits of the plain C that stands where they are called. Each does as much as it can from the beginning on and returns
 * how much, 0 where there is no such kernel, so that plain C does the rest. */
#ifndef PHIZ_IMAGE_FAST_H
#define PHIZ_IMAGE_FAST_H

#include <stddef.h>
#include <stdint.h>

/* v = gray + factor * (v - gray) for n bytes, cut off to 0..255, in float; returns bytes. */
size_t phiz_fast_blend(uint8_t *bytes, size_t n, int gray, float factor);
/* The same for each pixel's own grey (phiz_luma); returns pixels, as the next two do. */
size_t phiz_fast_saturate(uint8_t *rgb, size_t pixels, float factor);
/* *sum += the greys of the pixels. */
size_t phiz_fast_luma_sum(const uint8_t *rgb, size_t pixels, uint64_t *sum);
/* The hue (0..255, as Pillow has it) moves on by `shift`. */
size_t phiz_fast_hue(uint8_t *rgb, size_t pixels, int shift);

#endif
