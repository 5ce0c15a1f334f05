/* Conversion between any two dtypes. */
#include "core/tensor/convert.h"

#include <string.h>

#include "core/base/error.h"

/* In pieces: every dtype is read exactly as doubles or as int64_t (integers), and written from there rounded once. */
#define PIECE 256

union piece {
	double f[PIECE];
	int64_t i[PIECE];
};

static bool is_integer(enum phiz_dtype dtype)
{
	return dtype == PHIZ_I8 || dtype == PHIZ_U8 || dtype == PHIZ_I32 || dtype == PHIZ_I64;
}

#define EACH(expression) \
	for (int64_t k = 0; k < n; k++) { \
		expression; \
	} \
	break

static void load_floats(enum phiz_dtype dtype, const void *from, int64_t n, double *to)
{
	const float *f32 = from;
	const double *f64 = from;
	const uint16_t *h = from;
	switch (dtype) {
	case PHIZ_F32: EACH(to[k] = (double)f32[k]);
	case PHIZ_F64: EACH(to[k] = f64[k]);
	case PHIZ_F16: EACH(to[k] = (double)phiz_f16_to_f32(h[k]));
	case PHIZ_BF16: EACH(to[k] = (double)phiz_bf16_to_f32(h[k]));
	default: break;
	}
}

static void load_integers(enum phiz_dtype dtype, const void *from, int64_t n, int64_t *to)
{
	const int8_t *i8 = from;
	const uint8_t *u8 = from;
	const int32_t *i32 = from;
	const int64_t *i64 = from;
	switch (dtype) {
	case PHIZ_I8: EACH(to[k] = i8[k]);
	case PHIZ_U8: EACH(to[k] = u8[k]);
	case PHIZ_I32: EACH(to[k] = i32[k]);
	case PHIZ_I64: EACH(to[k] = i64[k]);
	default: break;
	}
}

/* Towards zero, as C and PyTorch do; NaN is 0. */
static int64_t integer_of(double d)
{
	if (d >= 0x1p63)
		return INT64_MAX;
	if (d >= -0x1p63)
		return (int64_t)d;
	return d != d ? 0 : INT64_MIN;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static void store_integers(enum phiz_dtype dtype, const int64_t *from, int64_t n, void *to)
{
	float *f32 = to;
	double *f64 = to;
	uint16_t *h = to;
	int8_t *i8 = to;
	uint8_t *u8 = to;
	int32_t *i32 = to;
	int64_t *i64 = to;
	switch (dtype) {
	case PHIZ_F32: EACH(f32[k] = (float)from[k]);
	case PHIZ_F64: EACH(f64[k] = (double)from[k]);
	case PHIZ_F16: EACH(h[k] = phiz_f32_to_f16(phiz_f64_to_f32_odd(phiz_i64_to_f64_odd(from[k]))));
	case PHIZ_BF16: EACH(h[k] = phiz_f32_to_bf16(phiz_f64_to_f32_odd(phiz_i64_to_f64_odd(from[k]))));
	case PHIZ_I8: EACH(i8[k] = (int8_t)clamp(from[k], INT8_MIN, INT8_MAX));
	case PHIZ_U8: EACH(u8[k] = (uint8_t)clamp(from[k], 0, UINT8_MAX));
	case PHIZ_I32: EACH(i32[k] = (int32_t)clamp(from[k], INT32_MIN, INT32_MAX));
	case PHIZ_I64: EACH(i64[k] = from[k]);
	default: break;
	}
}

static void store_floats(enum phiz_dtype dtype, const double *from, int64_t n, void *to)
{
	float *f32 = to;
	double *f64 = to;
	uint16_t *h = to;
	int64_t whole[PIECE];
	switch (dtype) {
	case PHIZ_F32: EACH(f32[k] = (float)from[k]);
	case PHIZ_F64: EACH(f64[k] = from[k]);
	case PHIZ_F16: EACH(h[k] = phiz_f32_to_f16(phiz_f64_to_f32_odd(from[k])));
	case PHIZ_BF16: EACH(h[k] = phiz_f32_to_bf16(phiz_f64_to_f32_odd(from[k])));
	default:
		for (int64_t k = 0; k < n; k++)
			whole[k] = integer_of(from[k]);
		store_integers(dtype, whole, n, to);
		break;
	}
}

static void convert_any(const struct phiz_tensor *from, struct phiz_tensor *to, int64_t count)
{
	const unsigned char *in = from->data;
	unsigned char *out = to->data;
	size_t in_size = phiz_dtype_size(from->dtype), out_size = phiz_dtype_size(to->dtype);
	union piece piece;
	for (int64_t done = 0, n; done < count; done += n) {
		n = count - done < PIECE ? count - done : PIECE;
		if (is_integer(from->dtype)) {
			load_integers(from->dtype, in, n, piece.i);
			store_integers(to->dtype, piece.i, n, out);
		} else {
			load_floats(from->dtype, in, n, piece.f);
			store_floats(to->dtype, piece.f, n, out);
		}
		in += (size_t)n * in_size;
		out += (size_t)n * out_size;
	}
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

/* Without branches and of a fixed count, so that the compiler makes vectors of it. Shifted into binary32's place a
 * binary16 has an exponent that is 112 too small, infinity's and NaN's one that is 224 too small. Below 2^-14 the
 * fraction hangs under an exponent of 113 whose own leading 1 is then taken off again. */
#define WIDE 64
static void widen_f16(const uint16_t *from, float *to)
{
	for (int k = 0; k < WIDE; k++) {
		uint32_t sign = (uint32_t)(from[k] & 0x8000u) << 16, magnitude = (uint32_t)(from[k] & 0x7fffu) << 13;
		uint32_t large = magnitude >= 0x0f800000u ? 112u << 23 : 0, quiet = magnitude > 0x0f800000u ? 0x400000u : 0;
		uint32_t normal = (magnitude + (112u << 23) + large) | quiet;
		uint32_t small = bits_of(float_of(magnitude + (113u << 23)) - float_of(113u << 23));
		to[k] = float_of(sign | (magnitude < 0x00800000u ? small : normal));
	}
}

void phiz_widen_f16(const uint16_t *from, float *to, int64_t n)
{
	int64_t k;
	for (k = 0; k + WIDE <= n; k += WIDE)
		widen_f16(from + k, to + k);
	for (; k < n; k++)
		to[k] = phiz_f16_to_f32(from[k]);
}

void phiz_widen_bf16(const uint16_t *from, float *to, int64_t n)
{
	int64_t k;
	for (k = 0; k + WIDE <= n; k += WIDE)
		for (int i = 0; i < WIDE; i++)
			to[k + i] = float_of((uint32_t)from[k + i] << 16);
	for (; k < n; k++)
		to[k] = float_of((uint32_t)from[k] << 16);
}

/* The pairs that whole models go through. */
static bool convert_fast(const struct phiz_tensor *from, struct phiz_tensor *to, int64_t n)
{
	const float *f = from->data;
	const uint16_t *h = from->data;
	float *to_f = to->data;
	uint16_t *to_h = to->data;
	if (from->dtype == PHIZ_F32 && to->dtype == PHIZ_F16)
		for (int64_t k = 0; k < n; k++)
			to_h[k] = phiz_f32_to_f16(f[k]);
	else if (from->dtype == PHIZ_F32 && to->dtype == PHIZ_BF16)
		for (int64_t k = 0; k < n; k++)
			to_h[k] = phiz_f32_to_bf16(f[k]);
	else if (from->dtype == PHIZ_F16 && to->dtype == PHIZ_F32)
		phiz_widen_f16(h, to_f, n);
	else if (from->dtype == PHIZ_BF16 && to->dtype == PHIZ_F32)
		phiz_widen_bf16(h, to_f, n);
	else
		return false;
	return true;
}

enum phiz_status phiz_tensor_convert(struct phiz_ctx *ctx, const struct phiz_tensor *from, struct phiz_tensor *to)
{
	char a[128], b[128];
	int64_t count = phiz_tensor_count(from);
	if (!phiz_dtype_size(from->dtype) || !phiz_dtype_size(to->dtype))
		return phiz_fail(ctx, PHIZ_E_SHAPE, "cannot convert %s to %s", phiz_dtype_name(from->dtype),
		                 phiz_dtype_name(to->dtype));
	if (!phiz_shape_equal(&from->shape, &to->shape))
		return phiz_fail(ctx, PHIZ_E_SHAPE, "cannot convert shape %s to %s", phiz_shape_text(&from->shape, a),
		                 phiz_shape_text(&to->shape, b));
	if (!phiz_tensor_contiguous(from) || !phiz_tensor_contiguous(to))
		return phiz_fail(ctx, PHIZ_E_SHAPE, "cannot convert %s: not contiguous", phiz_shape_text(&from->shape, a));
	if (count == 0)
		return PHIZ_OK;
	if (from->dtype == to->dtype)
		memmove(to->data, from->data, phiz_tensor_bytes(from));
	else if (!convert_fast(from, to, count))
		convert_any(from, to, count);
	return PHIZ_OK;
}
