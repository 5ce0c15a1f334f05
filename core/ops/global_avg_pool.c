/* global_avg_pool: y[n,c] = mean over h,w of x[n,c,h,w]; [N,C,H,W] -> [N,C,1,1]. dx = dy / (H*W). */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* Summed in double. */
enum phiz_status REF(phiz_global_avg_pool_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t planes = phiz_tensor_count(&call->out[0]);
	int64_t area = call->in[0].shape.dim[2] * call->in[0].shape.dim[3];

	for (int64_t p = 0; p < planes; p++) {
		double sum = 0;

		for (int64_t i = 0; i < area; i++)
			sum += x[p * area + i];
		y[p] = (real)(sum / (double)area);
	}
	return PHIZ_OK;
}

enum phiz_status REF(phiz_global_avg_pool_backward)(struct phiz_call *call)
{
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t planes = phiz_tensor_count(&call->out[0]);
	int64_t area = call->in[0].shape.dim[2] * call->in[0].shape.dim[3];
	bool add = phiz_adds(call, 0);

	for (int64_t p = 0; dx && dy && p < planes; p++)
		for (int64_t i = 0; i < area; i++)
			phiz_put(&dx[p * area + i], add, dy[p] / (real)area);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, 0);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, 0, 4, "[N, C, H, W]");
	if (status != PHIZ_OK)
		return status;
	shape = phiz_shape_4d(in[0].shape.dim[0], in[0].shape.dim[1], 1, 1);
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, phiz_cost_count(in), phiz_cost_count(in), c);
	c->backward_bytes -= phiz_cost_bytes(in) + phiz_cost_bytes(out); /* reads the gradient alone */
}

static const char *const input_names[] = {"input"};

const struct phiz_op phiz_op_global_avg_pool = {
	.name = "global_avg_pool",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(global_avg_pool),
};
#endif
