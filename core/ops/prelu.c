/* prelu: y = x > 0 ? x : w[c] * x with one weight per channel (dim 1), or one for all.
 * dx = x > 0 ? dy : w[c] * dy, dw[c] = sum over x <= 0 of x * dy. */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* x as [outer, channels, inner]; with a single weight, as one channel. */
static struct phiz_lines channels(const struct phiz_call *call)
{
	struct phiz_lines one = {1, 1, phiz_tensor_count(&call->in[PHIZ_PRELU_INPUT])};

	if (phiz_tensor_count(&call->in[PHIZ_PRELU_WEIGHT]) == 1)
		return one;
	return phiz_lines_along(&call->in[PHIZ_PRELU_INPUT].shape, 1);
}

/* y may be x. */
enum phiz_status REF(phiz_prelu_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_PRELU_INPUT), *w = phiz_in(call, PHIZ_PRELU_WEIGHT);
	real *y = call->out[0].data;
	struct phiz_lines l = channels(call);

	for (int64_t line = 0; line < l.outer * l.n; line++)
		for (int64_t i = line * l.inner; i < (line + 1) * l.inner; i++)
			y[i] = x[i] > 0 ? x[i] : x[i] * w[line % l.n];
	return PHIZ_OK;
}

/* dw is summed in double. dx may be dy if dw is not wanted. */
enum phiz_status REF(phiz_prelu_backward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_PRELU_INPUT), *w = phiz_in(call, PHIZ_PRELU_WEIGHT), *dy = call->dout[0].data;
	real *dx = phiz_din(call, PHIZ_PRELU_INPUT), *dw = phiz_din(call, PHIZ_PRELU_WEIGHT);
	struct phiz_lines l = channels(call);
	bool add = phiz_adds(call, PHIZ_PRELU_INPUT);

	for (int64_t line = 0; dx && dy && line < l.outer * l.n; line++)
		for (int64_t i = line * l.inner; i < (line + 1) * l.inner; i++)
			phiz_put(&dx[i], add, x[i] > 0 ? dy[i] : dy[i] * w[line % l.n]);
	for (int64_t c = 0; dw && dy && c < l.n; c++) {
		double sum = 0;

		for (int64_t o = 0; o < l.outer; o++)
			for (int64_t i = (o * l.n + c) * l.inner; i < (o * l.n + c + 1) * l.inner; i++)
				sum += x[i] > 0 ? 0 : (double)x[i] * dy[i];
		phiz_put(&dw[c], phiz_adds(call, PHIZ_PRELU_WEIGHT), (real)sum);
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const struct phiz_shape *weight = &in[PHIZ_PRELU_WEIGHT].shape;
	int64_t c = in[0].shape.ndim >= 2 ? in[0].shape.dim[1] : 1;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK && weight->ndim == 1 && weight->dim[0] == 1)
		c = 1;
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_PRELU_WEIGHT, c);
	return status;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = (want ? 1u << PHIZ_PRELU_INPUT : 0) | (want >> PHIZ_PRELU_INPUT & 1u) << PHIZ_PRELU_WEIGHT;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out), 4 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input", "weight"};

const struct phiz_op phiz_op_prelu = {
	.name = "prelu",
	.min_inputs = 2,
	.max_inputs = 2,
	.n_outputs = 1,
	.input_names = input_names,
	.diff_mask = 3,
	.alias_mask = 1,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(prelu),
};
#endif
