/* Arithmetic on single 8-bit pixels, with Pillow's rounding. */
#ifndef PHIZ_IMAGE_PIXEL_H
#define PHIZ_IMAGE_PIXEL_H

#include <stdint.h>

/* L = 0.299 R + 0.587 G + 0.114 B, in 16-bit fixed point, rounded. */
static inline uint8_t phiz_luma(unsigned r, unsigned g, unsigned b)
{
	return (uint8_t)((r * 19595u + g * 38470u + b * 7471u + 0x8000u) >> 16);
}

/* a * b / 255, rounded, for a, b <= 255. */
static inline unsigned phiz_mul255(unsigned a, unsigned b)
{
	unsigned t = a * b + 128;
	return (t + (t >> 8)) >> 8;
}

#endif
