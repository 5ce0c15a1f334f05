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
/* Result pixels i < count of an RGB row of `width` pixels: sum_k weight[i * taps + k] * in[first[i] + k], k < used[i],
 * rounded, >> bits, at most 255; returns pixels. first + used does not fall. */
int phiz_fast_resize_rgb(const uint8_t *in, int width, const int *first, const int *used, const int32_t *weight,
                         int taps, int count, int bits, uint8_t *out);
/* The same along columns: sum_k weight[k] * in[k * stride + i], k < used; returns bytes. */
size_t phiz_fast_resize_rows(const uint8_t *in, size_t stride, const int32_t *weight, int used, int bits, size_t bytes,
                             uint8_t *out);
/* Pixels x..x + count of row y of an affine map, all of whose sources lie inside of the RGB image: four pixels around
 * each, and one more to the right; returns pixels. */
int phiz_fast_bilinear_rgb(const uint8_t *data, size_t stride, const double m[6], int x, int y, int count,
                           uint8_t *out);

#endif
