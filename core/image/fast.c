#include "core/image/fast.h"

#include "core/base/features.h"
#include "core/image/fast_kernels.h"

#if defined(__x86_64__)

static int has_avx2(void)
{
	return (phiz_cpu_allowed() & PHIZ_CPU_AVX2) != 0;
}

static int has_avx512(void)
{
	return (phiz_cpu_allowed() & PHIZ_CPU_AVX512) != 0;
}

size_t phiz_fast_blend(uint8_t *bytes, size_t n, int gray, float factor)
{
	return has_avx2() ? phiz_blend_avx2(bytes, n, gray, factor) : 0;
}

size_t phiz_fast_saturate(uint8_t *rgb, size_t pixels, float factor)
{
	return has_avx512() ? phiz_saturate_avx512(rgb, pixels, factor)
	       : has_avx2() ? phiz_saturate_avx2(rgb, pixels, factor)
	                    : 0;
}

size_t phiz_fast_luma_sum(const uint8_t *rgb, size_t pixels, uint64_t *sum)
{
	return has_avx2() ? phiz_luma_sum_avx2(rgb, pixels, sum) : 0;
}

size_t phiz_fast_hue(uint8_t *rgb, size_t pixels, int shift)
{
	return has_avx512() ? phiz_hue_avx512(rgb, pixels, shift)
	       : has_avx2() ? phiz_hue_avx2(rgb, pixels, shift)
	                    : 0;
}

int phiz_fast_resize_rgb(const uint8_t *in, int width, const int *first, const int *used, const int32_t *weight,
                         int taps, int count, int bits, uint8_t *out)
{
	return has_avx2() ? phiz_resize_rgb_avx2(in, width, first, used, weight, taps, count, bits, out) : 0;
}

size_t phiz_fast_resize_rows(const uint8_t *in, size_t stride, const int32_t *weight, int used, int bits, size_t bytes,
                             uint8_t *out)
{
	return has_avx2() ? phiz_resize_rows_avx2(in, stride, weight, used, bits, bytes, out) : 0;
}

int phiz_fast_bilinear_rgb(const uint8_t *data, size_t stride, const double m[6], int x, int y, int count, uint8_t *out)
{
	return has_avx2() ? phiz_bilinear_rgb_avx2(data, stride, m, x, y, count, out) : 0;
}

#else

size_t phiz_fast_blend(uint8_t *bytes, size_t n, int gray, float factor)
{
	(void)bytes, (void)n, (void)gray, (void)factor;
	return 0;
}

size_t phiz_fast_saturate(uint8_t *rgb, size_t pixels, float factor)
{
	(void)rgb, (void)pixels, (void)factor;
	return 0;
}

size_t phiz_fast_luma_sum(const uint8_t *rgb, size_t pixels, uint64_t *sum)
{
	(void)rgb, (void)pixels, (void)sum;
	return 0;
}

size_t phiz_fast_hue(uint8_t *rgb, size_t pixels, int shift)
{
	(void)rgb, (void)pixels, (void)shift;
	return 0;
}

int phiz_fast_resize_rgb(const uint8_t *in, int width, const int *first, const int *used, const int32_t *weight,
                         int taps, int count, int bits, uint8_t *out)
{
	(void)in, (void)width, (void)first, (void)used, (void)weight, (void)taps, (void)count, (void)bits, (void)out;
	return 0;
}

size_t phiz_fast_resize_rows(const uint8_t *in, size_t stride, const int32_t *weight, int used, int bits, size_t bytes,
                             uint8_t *out)
{
	(void)in, (void)stride, (void)weight, (void)used, (void)bits, (void)bytes, (void)out;
	return 0;
}

int phiz_fast_bilinear_rgb(const uint8_t *data, size_t stride, const double m[6], int x, int y, int count, uint8_t *out)
{
	(void)data, (void)stride, (void)m, (void)x, (void)y, (void)count, (void)out;
	return 0;
}

#endif
