/* The kernels that core/image/fast.c chooses among. */
#ifndef PHIZ_IMAGE_FAST_KERNELS_H
#define PHIZ_IMAGE_FAST_KERNELS_H

#include <stddef.h>
#include <stdint.h>

size_t phiz_blend_avx2(uint8_t *bytes, size_t n, int gray, float factor);
size_t phiz_saturate_avx2(uint8_t *rgb, size_t pixels, float factor);
size_t phiz_luma_sum_avx2(const uint8_t *rgb, size_t pixels, uint64_t *sum);
size_t phiz_hue_avx2(uint8_t *rgb, size_t pixels, int shift);
size_t phiz_saturate_avx512(uint8_t *rgb, size_t pixels, float factor);
size_t phiz_hue_avx512(uint8_t *rgb, size_t pixels, int shift);
int phiz_resize_rgb_avx2(const uint8_t *in, int width, const int *first, const int *used, const int32_t *weight,
                         int taps, int count, int bits, uint8_t *out);
size_t phiz_resize_rows_avx2(const uint8_t *in, size_t stride, const int32_t *weight, int used, int bits, size_t bytes,
                             uint8_t *out);
int phiz_bilinear_rgb_avx2(const uint8_t *data, size_t stride, const double m[6], int x, int y, int count,
                           uint8_t *out);

#endif
