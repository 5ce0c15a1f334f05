/* The kernels that core/image/fast.c chooses among. */
#ifndef PHIZ_IMAGE_FAST_KERNELS_H
#define PHIZ_IMAGE_FAST_KERNELS_H

#include <stddef.h>
#include <stdint.h>

size_t phiz_blend_avx2(uint8_t *bytes, size_t n, int gray, float factor);
size_t phiz_saturate_avx2(uint8_t *rgb, size_t pixels, float factor);
size_t phiz_luma_sum_avx2(const uint8_t *rgb, size_t pixels, uint64_t *sum);
size_t phiz_hue_avx2(uint8_t *rgb, size_t pixels, int shift);

#endif
