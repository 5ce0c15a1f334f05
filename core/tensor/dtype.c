/* Dtypes and the conversions of single numbers. */
#include <string.h>

#include <phiz/tensor.h>

#include "core/tensor/convert.h"

static const struct {
	const char *name;
	size_t size;
} dtypes[PHIZ_DTYPES] = {
	[PHIZ_F32] = {"f32", 4}, [PHIZ_F64] = {"f64", 8}, [PHIZ_F16] = {"f16", 2}, [PHIZ_BF16] = {"bf16", 2},
	[PHIZ_I8] = {"i8", 1},   [PHIZ_U8] = {"u8", 1},   [PHIZ_I32] = {"i32", 4}, [PHIZ_I64] = {"i64", 8},
};

static bool known(enum phiz_dtype dtype)
{
	return (unsigned)dtype < PHIZ_DTYPES;
}

size_t phiz_dtype_size(enum phiz_dtype dtype)
{
	return known(dtype) ? dtypes[dtype].size : 0;
}

int64_t phiz_block(enum phiz_dtype dtype)
{
	return known(dtype) ? PHIZ_BLOCK_BYTES / (int64_t)dtypes[dtype].size : 1;
}

const char *phiz_dtype_name(enum phiz_dtype dtype)
{
	return known(dtype) ? dtypes[dtype].name : "unknown";
}

bool phiz_dtype_parse(const char *name, enum phiz_dtype *out)
{
	for (int i = 0; i < PHIZ_DTYPES; i++) {
		if (strcmp(name, dtypes[i].name) == 0) {
			*out = (enum phiz_dtype)i;
			return true;
		}
	}
	return false;
}

static uint32_t bits_of(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static float float_of(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* binary16: 1 sign bit, 5 of exponent (bias 15), 10 of fraction; binary32: 1, 8 (bias 127), 23. */
float phiz_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
	if (exponent == 31) /* infinity, or NaN made quiet, as the processors do */
		return float_of(sign | 0x7f800000u | (fraction ? 0x400000u | fraction << 13 : 0));
	if (exponent)
		return float_of(sign | (exponent + 112) << 23 | fraction << 13);
	return float_of(sign | bits_of((float)fraction * 0x1p-24f)); /* zero and subnormal: exact in binary32 */
}

uint16_t phiz_f32_to_f16(float f)
{
	uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
	if (magnitude > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
	if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
		return (uint16_t)(sign | 0x7c00u);
	if (magnitude < 0x38800000u) {
		/* Below 2^-14. Adding 0.5 leaves 24 bits below the point, where the subnormals' bits are, and rounds to
		 * nearest even; a carry gives the smallest normal number. */
		uint32_t sum = bits_of(float_of(magnitude) + 0.5f);
		return (uint16_t)(sign | (sum - 0x3f000000u));
	}
	uint32_t odd = magnitude >> 13 & 1;
	return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfffu + odd) >> 13));
}

float phiz_bf16_to_f32(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

uint16_t phiz_f32_to_bf16(float f)
{
	uint32_t bits = bits_of(f);
	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(bits >> 16 | 0x40u); /* stays a NaN even where only low bits of the fraction were set */
	return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

float phiz_f64_to_f32_odd(double d)
{
	float f = (float)d;
	if (d != d || (double)f == d)
		return f;
	uint32_t bits = bits_of(f);
	bool away = (double)float_of(bits & 0x7fffffffu) > (d < 0 ? -d : d);
	return float_of((away ? bits - 1 : bits) | 1u);
}

double phiz_i64_to_f64_odd(int64_t i)
{
	uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	int shift = 0;
	while (magnitude >> shift >> 53)
		shift++;
	uint64_t kept = magnitude >> shift;
	if (kept << shift != magnitude)
		kept |= 1;
	double d = (double)kept * (double)((uint64_t)1 << shift);
	return i < 0 ? -d : d;
}
