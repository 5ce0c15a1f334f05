#include "core/image/fast.h"

#include "core/base/features.h"
#include "core/image/fast_kernels.h"

#if defined(__x86_64__)

static int has_avx2(void)
{
	return (phiz_cpu_allowed() & PHIZ_CPU_AVX2) != 0;
}

size_t phiz_fast_blend(uint8_t *bytes, size_t n, int gray, float factor)
{
	return has_avx2() ? phiz_blend_avx2(bytes, n, gray, factor) : 0;
}

size_t phiz_fast_saturate(uint8_t *rgb, size_t pixels, float factor)
{
	return has_avx2() ? phiz_saturate_avx2(rgb, pixels, factor) : 0;
}

size_t phiz_fast_luma_sum(const uint8_t *rgb, size_t pixels, uint64_t *sum)
{
	return has_avx2() ? phiz_luma_sum_avx2(rgb, pixels, sum) : 0;
}

size_t phiz_fast_hue(uint8_t *rgb, size_t pixels, int shift)
{
	return has_avx2() ? phiz_hue_avx2(rgb, pixels, shift) : 0;
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

#endif
