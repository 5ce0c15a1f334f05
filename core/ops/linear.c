/* linear: y[n,g] = act(b[g] + sum_f x[n,f] * w[g,f]); x [N,F], w [G,F], b [G] or absent.
 * With e = dy * act'(y): dx[n,f] = sum_g e[n,g] w[g,f], dw[g,f] = sum_n e[n,g] x[n,f], db[g] = sum_n e[n,g]. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* Sums in double. */
enum phiz_status REF(phiz_linear_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_LINEAR_INPUT), *w = phiz_in(call, PHIZ_LINEAR_WEIGHT);
	const real *b = phiz_in(call, PHIZ_LINEAR_BIAS);
	const union phiz_attr *attr = call->node->attr;
	int64_t n_rows = call->in[PHIZ_LINEAR_INPUT].shape.dim[0], n_in = call->in[PHIZ_LINEAR_INPUT].shape.dim[1];
	int64_t n_out = call->in[PHIZ_LINEAR_WEIGHT].shape.dim[0];
	real *y = call->out[0].data, slope = (real)attr[PHIZ_LINEAR_ACT_SLOPE].f;

	for (int64_t n = 0; n < n_rows; n++)
		for (int64_t g = 0; g < n_out; g++) {
			double sum = b ? b[g] : 0;

			for (int64_t f = 0; f < n_in; f++)
				sum += (double)x[n * n_in + f] * w[g * n_in + f];
			y[n * n_out + g] = phiz_act_apply(attr[PHIZ_LINEAR_ACT].i, slope, (real)sum);
		}
	return PHIZ_OK;
}

/* e[n,g], the gradient before the activation. */
static double before_act(const struct phiz_call *call, int64_t index)
{
	const real *y = call->out[0].data, *dy = call->dout[0].data;
	const union phiz_attr *attr = call->node->attr;
	int64_t act = attr[PHIZ_LINEAR_ACT].i;

	return phiz_act_gradient(act, (real)attr[PHIZ_LINEAR_ACT_SLOPE].f, act == PHIZ_ACT_NONE ? 0 : y[index], dy[index]);
}

/* Sums in double; nothing may alias. */
enum phiz_status REF(phiz_linear_backward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_LINEAR_INPUT), *w = phiz_in(call, PHIZ_LINEAR_WEIGHT);
	real *dx = phiz_din(call, PHIZ_LINEAR_INPUT), *dw = phiz_din(call, PHIZ_LINEAR_WEIGHT);
	real *db = phiz_din(call, PHIZ_LINEAR_BIAS);
	int64_t n_rows = call->in[PHIZ_LINEAR_INPUT].shape.dim[0], n_in = call->in[PHIZ_LINEAR_INPUT].shape.dim[1];
	int64_t n_out = call->in[PHIZ_LINEAR_WEIGHT].shape.dim[0];

	if (!call->dout[0].data)
		return PHIZ_OK;
	for (int64_t i = 0; dx && i < n_rows * n_in; i++) {
		double sum = 0;

		for (int64_t g = 0; g < n_out; g++)
			sum += before_act(call, i / n_in * n_out + g) * w[g * n_in + i % n_in];
		phiz_put(&dx[i], phiz_adds(call, PHIZ_LINEAR_INPUT), (real)sum);
	}
	for (int64_t i = 0; dw && i < n_out * n_in; i++) {
		double sum = 0;

		for (int64_t n = 0; n < n_rows; n++)
			sum += before_act(call, n * n_out + i / n_in) * x[n * n_in + i % n_in];
		phiz_put(&dw[i], phiz_adds(call, PHIZ_LINEAR_WEIGHT), (real)sum);
	}
	for (int64_t g = 0; db && g < n_out; g++) {
		double sum = 0;

		for (int64_t n = 0; n < n_rows; n++)
			sum += before_act(call, n * n_out + g);
		phiz_put(&db[g], phiz_adds(call, PHIZ_LINEAR_BIAS), (real)sum);
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const struct phiz_shape *x = &in[PHIZ_LINEAR_INPUT].shape, *w = &in[PHIZ_LINEAR_WEIGHT].shape;
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_LINEAR_INPUT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_LINEAR_INPUT, 2, "[N, F] (flatten it first)");
	if (status == PHIZ_OK)
		status = phiz_rule_param(ctx, node, in, PHIZ_LINEAR_WEIGHT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_LINEAR_WEIGHT, 2, "[G, F]");
	if (status == PHIZ_OK && x->dim[1] != w->dim[1])
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want %lld input features, got %lld", (long long)w->dim[1],
		                   (long long)x->dim[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_LINEAR_BIAS, w->dim[0]);
	if (status != PHIZ_OK)
		return status;
	shape = phiz_shape_2d(x->dim[0], w->dim[0]);
	return phiz_rule_output(ctx, in[PHIZ_LINEAR_INPUT].dtype, &shape, out);
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	*in_mask = (want >> PHIZ_LINEAR_INPUT & 1u) << PHIZ_LINEAR_WEIGHT |
	           (want >> PHIZ_LINEAR_WEIGHT & 1u) << PHIZ_LINEAR_INPUT;
	*out_mask = want && node->attr[PHIZ_LINEAR_ACT].i != PHIZ_ACT_NONE;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double flops = 2 * phiz_cost_count(&in[PHIZ_LINEAR_WEIGHT]) * (double)out->shape.dim[0];

	phiz_cost_fill(node, in, out, flops, 2 * flops, c);
	if (node->attr[PHIZ_LINEAR_ACT].i == PHIZ_ACT_NONE)
		c->backward_bytes -= phiz_cost_bytes(out); /* backward has no use for what forward gave */
}

static const char *const input_names[] = {"input", "weight", "bias"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_LINEAR_ACT] = PHIZ_ATTR_ACT,
	[PHIZ_LINEAR_ACT_SLOPE] = PHIZ_ATTR_ACT_SLOPE,
};

const struct phiz_op phiz_op_linear = {
	.name = "linear",
	.min_inputs = 2,
	.max_inputs = PHIZ_LINEAR_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_LINEAR_ATTRS,
	.diff_mask = 1u << PHIZ_LINEAR_INPUT | 1u << PHIZ_LINEAR_WEIGHT | 1u << PHIZ_LINEAR_BIAS,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(linear),
};
#endif
