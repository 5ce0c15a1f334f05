/* quantized_global_avg_pool: y[n,c] = float(scale / HW) * (sum of x[n,c] - HW*zero), u8 to f32; the sum is a whole
 * number. No gradient. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/quantized.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
enum { MOST_PIXELS = 1 << 23 }; /* of a plane, whose sum is to stay in 32 bits */

enum phiz_status phiz_quantized_global_avg_pool_forward_u8(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, area = in[2] * in[3];
	const uint8_t *x = call->in[0].data;
	const float scale = (float)(call->node->attr[PHIZ_QUANTIZE_SCALE].f / (double)area);
	const int64_t zero = call->node->attr[PHIZ_QUANTIZE_ZERO].i;
	float *y = call->out[0].data;

	for (int64_t c = 0; c < in[0] * in[1]; c++) {
		int64_t sum = -area * zero;

		for (int64_t i = 0; i < area; i++)
			sum += x[c * area + i];
		y[c] = scale * (float)sum;
	}
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, 0, PHIZ_U8);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, 0, 4, "[N, C, H, W]");
	if (status != PHIZ_OK)
		return status;
	if (in[0].shape.dim[2] * in[0].shape.dim[3] > MOST_PIXELS)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "input: want planes of at most %d elements, got %lld by %lld", MOST_PIXELS,
		                 (long long)in[0].shape.dim[2], (long long)in[0].shape.dim[3]);
	shape = phiz_shape_4d(in[0].shape.dim[0], in[0].shape.dim[1], 1, 1);
	return phiz_rule_output(ctx, PHIZ_F32, &shape, out);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_QUANTIZE_SCALE] = PHIZ_ATTR_SCALE("scale"),
	[PHIZ_QUANTIZE_ZERO] = PHIZ_ATTR_ZERO("zero"),
};

const struct phiz_op phiz_op_quantized_global_avg_pool = {
	.name = "quantized_global_avg_pool",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_QUANTIZE_ATTRS,
	.infer = infer,
	PHIZ_REFERENCE_U8(quantized_global_avg_pool),
};
#endif
