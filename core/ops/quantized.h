/* Arithmetic on quantised values (ops.h) that reference kernels and faster ones share, to the bit: single precision,
 * each product and each sum rounded by itself, then to the nearest whole number, ties to even. */
#ifndef PHIZ_OPS_QUANTIZED_H
#define PHIZ_OPS_QUANTIZED_H

#include <math.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

#define PHIZ_ATTR_ZERO(name) {name, PHIZ_ATTR_INT, 0, 0, 255}
#define PHIZ_ATTR_SCALE(name) {name, PHIZ_ATTR_FLOAT, 1, 1e-30, 1e30}

/* t (in units of the scale), not below low (-zero or more), + zero, saturated. NaN becomes low. */
static inline uint8_t phiz_to_u8(float t, int zero, float low)
{
	float high = (float)(255 - zero);

	t = t > low ? t : low;
	t = t < high ? t : high;
	return (uint8_t)((int)rintf(t) + zero);
}

/* A sum of products in units of the output. */
static inline float phiz_requantize(int32_t sum, float scale, float bias)
{
	float t = scale * (float)sum;

	return t + bias;
}

static inline float phiz_add_residual(float t, float scale, int residual)
{
	float z = scale * (float)residual;

	return t + z;
}

/* Refuses sums of more terms than PHIZ_QUANTIZED_TERMS. */
static inline enum phiz_status phiz_rule_terms(struct phiz_ctx *ctx, int64_t terms)
{
	if (terms <= PHIZ_QUANTIZED_TERMS)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "weight: want sums of at most %d terms, got %lld", PHIZ_QUANTIZED_TERMS,
	                 (long long)terms);
}

#endif
