/* cast: y = x in another dtype, rounded to nearest even. dx = dy in the dtype of x. One kernel for all dtypes,
 * element by element through double, which holds every value of the others (but I64 beyond 2^53, which are not
 * activations). */
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

static double load(const struct phiz_tensor *t, int64_t i)
{
	switch (t->dtype) {
	case PHIZ_F32: return ((const float *)t->data)[i];
	case PHIZ_F64: return ((const double *)t->data)[i];
	case PHIZ_F16: return phiz_f16_to_f32(((const uint16_t *)t->data)[i]);
	case PHIZ_BF16: return phiz_bf16_to_f32(((const uint16_t *)t->data)[i]);
	default: return 0;
	}
}

static void store(const struct phiz_tensor *t, int64_t i, double v)
{
	switch (t->dtype) {
	case PHIZ_F32: ((float *)t->data)[i] = (float)v; break;
	case PHIZ_F64: ((double *)t->data)[i] = v; break;
	case PHIZ_F16: ((uint16_t *)t->data)[i] = phiz_f32_to_f16((float)v); break;
	case PHIZ_BF16: ((uint16_t *)t->data)[i] = phiz_f32_to_bf16((float)v); break;
	default: break;
	}
}

enum phiz_status REF(phiz_cast_forward)(struct phiz_call *call)
{
	return phiz_tensor_convert(call->ctx, &call->in[0], &call->out[0]);
}

/* Float dtypes only: nothing flows through integers. */
enum phiz_status REF(phiz_cast_backward)(struct phiz_call *call)
{
	const struct phiz_tensor *dx = &call->din[0], *dy = &call->dout[0];
	int64_t n = phiz_tensor_count(&call->in[0]);

	if (!phiz_din(call, 0) || !dy->data)
		return PHIZ_OK;
	for (int64_t i = 0; i < n; i++)
		store(dx, i, load(dy, i) + (phiz_adds(call, 0) ? load(dx, i) : 0));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, (enum phiz_dtype)node->attr[PHIZ_CAST_DTYPE].i, &in[0].shape, out);
	return status;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, 0, c);
	c->backward_bytes = c->forward_bytes;
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CAST_DTYPE] = {"dtype", PHIZ_ATTR_INT, PHIZ_F32, PHIZ_F32, PHIZ_DTYPES - 1},
};

const struct phiz_op phiz_op_cast = {
	.name = "cast",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(cast),
};
#endif
