/* quantized_conv2d: with x [N,C,H,W] of u8, zero outside; w [K,Cg,R,S] of i8, the places of conv2d,
 *   t = scale[k] * float(sum_c,r,s (x - input_zero) * w) + bias[k] + residual_scale * float(z - residual_zero)
 *   t = slope[k] * t where t <= 0 (if there is a slope); y = saturate(round(max(t, 0 with relu)) + output_zero)
 * The sum is a whole number of 32 bits, the rest is rounded to float at each step. No gradient. Nothing may alias. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
static int32_t sum_at(const struct phiz_call *call, int64_t n, int64_t k, int64_t p, int64_t q)
{
	const int64_t *x = call->in[PHIZ_QUANTIZED_INPUT].shape.dim, *w = call->in[PHIZ_QUANTIZED_WEIGHT].shape.dim;
	const union phiz_attr *a = call->node->attr;
	const int64_t group = k / (w[0] / a[PHIZ_CONV2D_GROUPS].i);
	const uint8_t *in = (const uint8_t *)call->in[PHIZ_QUANTIZED_INPUT].data + (n * x[1] + group * w[1]) * x[2] * x[3];
	const int8_t *filter = (const int8_t *)call->in[PHIZ_QUANTIZED_WEIGHT].data + k * w[1] * w[2] * w[3];
	const int32_t zero = (int32_t)a[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i;
	int32_t sum = 0;

	for (int64_t r = 0; r < w[2]; r++)
		for (int64_t s = 0; s < w[3]; s++) {
			int64_t h = p * a[PHIZ_CONV2D_STRIDE_H].i + r * a[PHIZ_CONV2D_DILATION_H].i - a[PHIZ_CONV2D_PAD_TOP].i;
			int64_t i = q * a[PHIZ_CONV2D_STRIDE_W].i + s * a[PHIZ_CONV2D_DILATION_W].i - a[PHIZ_CONV2D_PAD_LEFT].i;

			if (h < 0 || h >= x[2] || i < 0 || i >= x[3])
				continue;
			for (int64_t c = 0; c < w[1]; c++)
				sum += (in[(c * x[2] + h) * x[3] + i] - zero) * filter[(c * w[2] + r) * w[3] + s];
		}
	return sum;
}

enum phiz_status phiz_quantized_conv2d_forward_u8(struct phiz_call *call)
{
	const float *scale = call->in[PHIZ_QUANTIZED_SCALE].data, *bias = call->in[PHIZ_QUANTIZED_BIAS].data;
	const uint8_t *z = call->in[PHIZ_QUANTIZED_RESIDUAL].data;
	const float *slope = call->in[PHIZ_QUANTIZED_SLOPE].data;
	const union phiz_attr *a = call->node->attr;
	const float residual_scale = (float)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE].f;
	const int residual_zero = (int)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO].i;
	const int zero = (int)a[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO].i;
	const float low = a[PHIZ_QUANTIZED_CONV2D_RELU].i ? 0 : (float)-zero;
	const int64_t *dim = call->out[0].shape.dim, area = dim[2] * dim[3];
	uint8_t *y = call->out[0].data;

	for (int64_t o = 0; o < dim[0] * dim[1] * area; o++) {
		int64_t k = o / area % dim[1];
		int32_t sum = sum_at(call, o / area / dim[1], k, o % area / dim[3], o % dim[3]);
		float t = phiz_requantize(sum, scale[k], bias[k]);

		if (z)
			t = phiz_add_residual(t, residual_scale, z[o] - residual_zero);
		if (slope && t <= 0)
			t = slope[k] * t;
		y[o] = phiz_to_u8(t, zero, low);
	}
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const int64_t *w = in[PHIZ_QUANTIZED_WEIGHT].shape.dim;
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_QUANTIZED_INPUT, PHIZ_U8);
	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_QUANTIZED_WEIGHT, PHIZ_I8);
	if (status == PHIZ_OK)
		status = phiz_rule_conv2d(ctx, node, in, &shape);
	if (status == PHIZ_OK) /* sides are limited: the product of two fits */
		status = phiz_rule_terms(ctx, w[2] * w[3] > PHIZ_QUANTIZED_TERMS ? w[2] * w[3] : w[1] * w[2] * w[3]);
	if (status == PHIZ_OK)
		status = phiz_rule_floats(ctx, node, in, PHIZ_QUANTIZED_SCALE, w[0]);
	if (status == PHIZ_OK)
		status = phiz_rule_floats(ctx, node, in, PHIZ_QUANTIZED_BIAS, w[0]);
	if (status == PHIZ_OK)
		status = phiz_rule_floats(ctx, node, in, PHIZ_QUANTIZED_SLOPE, w[0]);
	if (status == PHIZ_OK && phiz_rule_has(node, in, PHIZ_QUANTIZED_RESIDUAL)) {
		status = phiz_rule_dtype(ctx, node, in, PHIZ_QUANTIZED_RESIDUAL, PHIZ_U8);
		if (status == PHIZ_OK)
			status = phiz_rule_shape(ctx, node, in, PHIZ_QUANTIZED_RESIDUAL, &shape);
	}
	return status == PHIZ_OK ? phiz_rule_output(ctx, PHIZ_U8, &shape, out) : status;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	const int64_t *w = in[PHIZ_QUANTIZED_WEIGHT].shape.dim;

	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out) * (double)w[1] * (double)w[2] * (double)w[3], 0, c);
}

static const char *const input_names[] = {"input", "weight", "scale", "bias", "residual", "slope"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CONV2D_STRIDE_H] = PHIZ_ATTR_WINDOW("stride_h", 1, 1),
	[PHIZ_CONV2D_STRIDE_W] = PHIZ_ATTR_WINDOW("stride_w", 1, 1),
	[PHIZ_CONV2D_PAD_TOP] = PHIZ_ATTR_WINDOW("pad_top", 0, 0),
	[PHIZ_CONV2D_PAD_LEFT] = PHIZ_ATTR_WINDOW("pad_left", 0, 0),
	[PHIZ_CONV2D_PAD_BOTTOM] = PHIZ_ATTR_WINDOW("pad_bottom", 0, 0),
	[PHIZ_CONV2D_PAD_RIGHT] = PHIZ_ATTR_WINDOW("pad_right", 0, 0),
	[PHIZ_CONV2D_DILATION_H] = PHIZ_ATTR_WINDOW("dilation_h", 1, 1),
	[PHIZ_CONV2D_DILATION_W] = PHIZ_ATTR_WINDOW("dilation_w", 1, 1),
	[PHIZ_CONV2D_GROUPS] = {"groups", PHIZ_ATTR_INT, 1, 1, PHIZ_RULE_DIM_MAX},
	[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO] = PHIZ_ATTR_ZERO("input_zero"),
	[PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE] = PHIZ_ATTR_SCALE("residual_scale"),
	[PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO] = PHIZ_ATTR_ZERO("residual_zero"),
	[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO] = PHIZ_ATTR_ZERO("output_zero"),
	[PHIZ_QUANTIZED_CONV2D_RELU] = PHIZ_ATTR_SWITCH("relu", 0),
};

const struct phiz_op phiz_op_quantized_conv2d = {
	.name = "quantized_conv2d",
	.min_inputs = PHIZ_QUANTIZED_BIAS + 1,
	.max_inputs = PHIZ_QUANTIZED_CONV2D_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_QUANTIZED_CONV2D_ATTRS,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE_U8(quantized_conv2d),
};
#endif
