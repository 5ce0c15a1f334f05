/* quantize: y = saturate(round(x / scale) + zero) as u8; the division is a product with float(1 / scale). NaN becomes
 * what 0 as a byte stands for. No gradient. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
enum phiz_status phiz_quantize_forward_f32(struct phiz_call *call)
{
	const float *x = call->in[0].data, steps = (float)(1 / call->node->attr[PHIZ_QUANTIZE_SCALE].f);
	const int zero = (int)call->node->attr[PHIZ_QUANTIZE_ZERO].i;
	uint8_t *y = call->out[0].data;

	for (int64_t i = 0; i < phiz_tensor_count(&call->in[0]); i++)
		y[i] = phiz_to_u8(x[i] * steps, zero, (float)-zero);
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, 0, PHIZ_F32);
	return status == PHIZ_OK ? phiz_rule_output(ctx, PHIZ_U8, &in[0].shape, out) : status;
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_QUANTIZE_SCALE] = PHIZ_ATTR_SCALE("scale"),
	[PHIZ_QUANTIZE_ZERO] = PHIZ_ATTR_ZERO("zero"),
};

const struct phiz_op phiz_op_quantize = {
	.name = "quantize",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_QUANTIZE_ATTRS,
	.infer = infer,
	.reference_f32 = {.op = "quantize", .name = "reference", .dtype = PHIZ_F32, .forward = phiz_quantize_forward_f32},
};
#endif
