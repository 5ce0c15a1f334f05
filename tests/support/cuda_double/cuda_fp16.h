/* Half precision for the test double of CUDA: stored in 16 bits, computed by phiz's own conversions, which it has in a
 * table one way; the other way the usual numbers are rounded here (to even, as the conversions do). */
#ifndef CUDA_DOUBLE_FP16_H
#define CUDA_DOUBLE_FP16_H

#include <string.h>

#include <phiz/tensor.h>

struct __half {
	uint16_t bits;
};

namespace cuda_double {

struct half_table {
	float wide[65536];
	half_table()
	{
		for (unsigned i = 0; i < 65536; i++)
			wide[i] = phiz_f16_to_f32((uint16_t)i);
	}
};

static inline const half_table &halves()
{
	static const half_table table;
	return table;
}

}

static const float *const double_halves = cuda_double::halves().wide;

static inline float __half2float(__half v) { return double_halves[v.bits]; }
static inline __half __float2half_rn(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	uint32_t size = bits & 0x7fffffff;
	if (size < 0x38800000 || size >= 0x477fe000) /* below the normal numbers, or about to round beyond them */
		return {phiz_f32_to_f16(v)};
	return {(uint16_t)((bits >> 16 & 0x8000) | (((size - 0x38000000) + 0xfff + (size >> 13 & 1)) >> 13))};
}


/* Pairs. A multiply-add rounds once, but for a tie that the step through float makes of what is near one. */
struct __attribute__((aligned(4))) __half2 {
	__half x, y;
};

static inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
static inline __half2 __floats2half2_rn(float a, float b) { return {__float2half_rn(a), __float2half_rn(b)}; }
static inline __half __low2half(__half2 v) { return v.x; }
static inline __half __high2half(__half2 v) { return v.y; }
static inline __half __hadd(__half a, __half b) { return __float2half_rn(__half2float(a) + __half2float(b)); }
static inline __half __hfma(__half a, __half b, __half c)
{
	return __float2half_rn((float)((double)__half2float(a) * __half2float(b) + (double)__half2float(c)));
}
static inline __half2 __hfma2(__half2 a, __half2 b, __half2 c)
{
	return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}

#endif
