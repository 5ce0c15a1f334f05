/* dequantize: y = scale * (x - zero), u8 to f32. No gradient. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
enum phiz_status phiz_dequantize_forward_u8(struct phiz_call *call)
{
	const uint8_t *x = call->in[0].data;
	const float scale = (float)call->node->attr[PHIZ_QUANTIZE_SCALE].f;
	const int zero = (int)call->node->attr[PHIZ_QUANTIZE_ZERO].i;
	float *y = call->out[0].data;

	for (int64_t i = 0; i < phiz_tensor_count(&call->in[0]); i++)
		y[i] = scale * (float)(x[i] - zero);
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, 0, PHIZ_U8);
	return status == PHIZ_OK ? phiz_rule_output(ctx, PHIZ_F32, &in[0].shape, out) : status;
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_QUANTIZE_SCALE] = PHIZ_ATTR_SCALE("scale"),
	[PHIZ_QUANTIZE_ZERO] = PHIZ_ATTR_ZERO("zero"),
};

const struct phiz_op phiz_op_dequantize = {
	.name = "dequantize",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_QUANTIZE_ATTRS,
	.infer = infer,
	PHIZ_REFERENCE_U8(dequantize),
};
#endif
