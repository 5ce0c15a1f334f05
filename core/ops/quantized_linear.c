/* quantized_linear: y[n,g] = scale[g] * sum_f (x[n,f] - zero) * w[g,f] + bias[g]: u8 times i8 to f32, the sum a whole
 * number, product and sum of the rest rounded to float each. No gradient. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
enum phiz_status phiz_quantized_linear_forward_u8(struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_QUANTIZED_WEIGHT].shape.dim, groups = dim[0], features = dim[1];
	const float *scale = call->in[PHIZ_QUANTIZED_SCALE].data, *bias = call->in[PHIZ_QUANTIZED_BIAS].data;
	const int32_t zero = (int32_t)call->node->attr[PHIZ_QUANTIZED_LINEAR_INPUT_ZERO].i;
	float *y = call->out[0].data;

	for (int64_t o = 0; o < call->out[0].shape.dim[0] * groups; o++) {
		const uint8_t *x = (const uint8_t *)call->in[PHIZ_QUANTIZED_INPUT].data + o / groups * features;
		const int8_t *w = (const int8_t *)call->in[PHIZ_QUANTIZED_WEIGHT].data + o % groups * features;
		int32_t sum = 0;

		for (int64_t f = 0; f < features; f++)
			sum += (x[f] - zero) * w[f];
		y[o] = phiz_requantize(sum, scale[o % groups], bias[o % groups]);
	}
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const int64_t *x = in[PHIZ_QUANTIZED_INPUT].shape.dim, *w = in[PHIZ_QUANTIZED_WEIGHT].shape.dim;
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_QUANTIZED_INPUT, PHIZ_U8);
	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_QUANTIZED_WEIGHT, PHIZ_I8);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_QUANTIZED_INPUT, 2, "[N, F] (flatten it first)");
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_QUANTIZED_WEIGHT, 2, "[G, F]");
	if (status == PHIZ_OK && x[1] != w[1])
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want %lld input features, got %lld", (long long)w[1], (long long)x[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_terms(ctx, w[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_floats(ctx, node, in, PHIZ_QUANTIZED_SCALE, w[0]);
	if (status == PHIZ_OK)
		status = phiz_rule_floats(ctx, node, in, PHIZ_QUANTIZED_BIAS, w[0]);
	if (status != PHIZ_OK)
		return status;
	shape = phiz_shape_2d(x[0], w[0]);
	return phiz_rule_output(ctx, PHIZ_F32, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out) * (double)in[0].shape.dim[1], 0, c);
}

static const char *const input_names[] = {"input", "weight", "scale", "bias"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_QUANTIZED_LINEAR_INPUT_ZERO] = PHIZ_ATTR_ZERO("input_zero"),
};

const struct phiz_op phiz_op_quantized_linear = {
	.name = "quantized_linear",
	.min_inputs = PHIZ_QUANTIZED_BIAS + 1,
	.max_inputs = PHIZ_QUANTIZED_BIAS + 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_QUANTIZED_LINEAR_ATTRS,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE_U8(quantized_linear),
};
#endif
