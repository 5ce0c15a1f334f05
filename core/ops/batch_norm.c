/* batch_norm: y = act(w[c] * (x - mean[c]) * invstd[c] + b[c]), x [N,C] or [N,C,H,W], w and b absent: 1 and 0.
 * Training and not frozen: mean and biased variance of the batch (m = N*H*W values per channel), invstd =
 * 1/sqrt(var + eps), running <- (1 - momentum) * running + momentum * batch, the variance with m/(m-1). Else: running
 * statistics, which stay.
 * Backward, e = dy * act'(y), xhat = (x - mean) * invstd: db = sum e, dw = sum e * xhat,
 * training: dx = w * invstd / m * (m * e - db - xhat * dw), else dx = w * invstd * e.
 * Statistics and sums in double. Saved: mean, invstd. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

enum { SAVED_MEAN, SAVED_INVSTD, SAVED };

static bool batch_statistics(const struct phiz_call *call)
{
	return call->training && !call->node->attr[PHIZ_BATCH_NORM_FROZEN].i;
}

/* Mean and biased variance of channel c, in two passes. */
static void statistics(const real *x, const struct phiz_lines *l, int64_t c, double *mean, double *var)
{
	double sum = 0, squares = 0, m = (double)(l->outer * l->inner);

	for (int64_t o = 0; o < l->outer; o++)
		for (int64_t i = 0; i < l->inner; i++)
			sum += x[(o * l->n + c) * l->inner + i];
	*mean = sum / m;
	for (int64_t o = 0; o < l->outer; o++)
		for (int64_t i = 0; i < l->inner; i++) {
			double d = x[(o * l->n + c) * l->inner + i] - *mean;

			squares += d * d;
		}
	*var = squares / m;
}

/* running <- (1 - momentum) * running + momentum * batch for channel c. */
static void move_running(struct phiz_call *call, int64_t c, double mean, double var, double m)
{
	real *running_mean = call->in[PHIZ_BATCH_NORM_MEAN].data, *running_var = call->in[PHIZ_BATCH_NORM_VAR].data;
	double momentum = call->node->attr[PHIZ_BATCH_NORM_MOMENTUM].f;

	running_mean[c] = (real)((1 - momentum) * running_mean[c] + momentum * mean);
	running_var[c] = (real)((1 - momentum) * running_var[c] + momentum * var * (m / (m - 1)));
}

/* y = act(x * scale + shift) for channel c. */
static void normalize(struct phiz_call *call, const struct phiz_lines *l, int64_t c, double mean, double invstd)
{
	const real *x = phiz_in(call, PHIZ_BATCH_NORM_INPUT), *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT);
	const real *b = phiz_in(call, PHIZ_BATCH_NORM_BIAS);
	const union phiz_attr *attr = call->node->attr;
	real *y = call->out[0].data, slope = (real)attr[PHIZ_BATCH_NORM_ACT_SLOPE].f;
	double scale = (w ? (double)w[c] : 1) * invstd, shift = b ? (double)b[c] : 0;

	for (int64_t o = 0; o < l->outer; o++)
		for (int64_t i = (o * l->n + c) * l->inner; i < (o * l->n + c + 1) * l->inner; i++)
			y[i] = phiz_act_apply(attr[PHIZ_BATCH_NORM_ACT].i, slope, (real)((x[i] - mean) * scale + shift));
}

/* y may be x. */
enum phiz_status REF(phiz_batch_norm_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_BATCH_NORM_INPUT);
	const real *running_mean = phiz_in(call, PHIZ_BATCH_NORM_MEAN), *running_var = phiz_in(call, PHIZ_BATCH_NORM_VAR);
	struct phiz_lines l = phiz_lines_along(&call->in[PHIZ_BATCH_NORM_INPUT].shape, 1);
	double eps = call->node->attr[PHIZ_BATCH_NORM_EPS].f;
	real *saved_mean = call->saved[SAVED_MEAN].data, *saved_invstd = call->saved[SAVED_INVSTD].data;

	if (batch_statistics(call) && l.outer * l.inner < 2)
		return phiz_fail(call->ctx, PHIZ_E_ARG, "batch_norm %s: want at least 2 values per channel to train on, got 1 "
		                 "(take a larger batch, or freeze it)", call->node->name);
	for (int64_t c = 0; c < l.n; c++) {
		double mean = running_mean[c], var = running_var[c], invstd;

		if (batch_statistics(call)) {
			statistics(x, &l, c, &mean, &var);
			move_running(call, c, mean, var, (double)(l.outer * l.inner));
		}
		invstd = 1 / sqrt(var + eps);
		if (saved_mean)
			saved_mean[c] = (real)mean;
		if (saved_invstd)
			saved_invstd[c] = (real)invstd;
		normalize(call, &l, c, mean, invstd);
	}
	return PHIZ_OK;
}

/* e = dy * act'(y). */
static double before_act(const struct phiz_call *call, int64_t i)
{
	const real *y = call->out[0].data, *dy = call->dout[0].data;
	const union phiz_attr *attr = call->node->attr;
	int64_t act = attr[PHIZ_BATCH_NORM_ACT].i;

	return phiz_act_gradient(act, (real)attr[PHIZ_BATCH_NORM_ACT_SLOPE].f, act == PHIZ_ACT_NONE ? 0 : y[i], dy[i]);
}

/* The gradients of channel c. x may be absent where nothing but e is needed (see reads). */
static void backward_channel(struct phiz_call *call, const struct phiz_lines *l, int64_t c)
{
	const real *x = phiz_in(call, PHIZ_BATCH_NORM_INPUT), *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT);
	double mean = ((const real *)call->saved[SAVED_MEAN].data)[c];
	double invstd = ((const real *)call->saved[SAVED_INVSTD].data)[c];
	real *dx = phiz_din(call, PHIZ_BATCH_NORM_INPUT), *dw = phiz_din(call, PHIZ_BATCH_NORM_WEIGHT);
	real *db = phiz_din(call, PHIZ_BATCH_NORM_BIAS);
	bool batch = batch_statistics(call), needs_x = dw || (dx && batch);
	double sum = 0, dot = 0, m = (double)(l->outer * l->inner);

	for (int64_t o = 0; o < l->outer; o++)
		for (int64_t i = (o * l->n + c) * l->inner; i < (o * l->n + c + 1) * l->inner; i++) {
			double e = before_act(call, i);

			sum += e;
			if (needs_x)
				dot += e * ((x[i] - mean) * invstd);
		}
	for (int64_t o = 0; dx && o < l->outer; o++)
		for (int64_t i = (o * l->n + c) * l->inner; i < (o * l->n + c + 1) * l->inner; i++) {
			double e = before_act(call, i);

			if (batch)
				e -= (sum + (x[i] - mean) * invstd * dot) / m;
			phiz_put(&dx[i], phiz_adds(call, PHIZ_BATCH_NORM_INPUT), (real)((w ? (double)w[c] : 1) * invstd * e));
		}
	if (dw)
		phiz_put(&dw[c], phiz_adds(call, PHIZ_BATCH_NORM_WEIGHT), (real)dot);
	if (db)
		phiz_put(&db[c], phiz_adds(call, PHIZ_BATCH_NORM_BIAS), (real)sum);
}

/* dx may be dy. */
enum phiz_status REF(phiz_batch_norm_backward)(struct phiz_call *call)
{
	struct phiz_lines l = phiz_lines_along(&call->in[PHIZ_BATCH_NORM_INPUT].shape, 1);

	for (int64_t c = 0; call->dout[0].data && c < l.n; c++)
		backward_channel(call, &l, c);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const struct phiz_shape *x = &in[PHIZ_BATCH_NORM_INPUT].shape;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK && x->ndim != 2)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_BATCH_NORM_INPUT, 4, "[N, C, H, W] or 2 dims [N, C]");
	for (int i = PHIZ_BATCH_NORM_WEIGHT; status == PHIZ_OK && i < PHIZ_BATCH_NORM_INPUTS; i++)
		status = phiz_rule_vector(ctx, node, in, i, x->dim[1]);
	for (int i = PHIZ_BATCH_NORM_MEAN; status == PHIZ_OK && i < PHIZ_BATCH_NORM_INPUTS; i++)
		if (!phiz_rule_has(node, in, i))
			status = phiz_fail(ctx, PHIZ_E_SHAPE, "want input %s, got none", phiz_rule_input_name(node, i));
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	(void)out;
	for (int i = 0; i < SAVED; i++) {
		types[i].dtype = phiz_rule_wide(in[PHIZ_BATCH_NORM_INPUT].dtype);
		types[i].shape = phiz_shape_1d(in[PHIZ_BATCH_NORM_INPUT].shape.dim[1]);
	}
	return SAVED;
}

/* Frozen, the input's gradient needs no input. */
static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	bool dx = want >> PHIZ_BATCH_NORM_INPUT & 1u, dw = want >> PHIZ_BATCH_NORM_WEIGHT & 1u;

	*in_mask = (dx ? 1u << PHIZ_BATCH_NORM_WEIGHT : 0) |
	           (dw || (dx && !node->attr[PHIZ_BATCH_NORM_FROZEN].i) ? 1u << PHIZ_BATCH_NORM_INPUT : 0);
	*out_mask = want && node->attr[PHIZ_BATCH_NORM_ACT].i != PHIZ_ACT_NONE;
}

/* Forward: three passes of two operations each; backward: sums, then the gradient. */
static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 6 * phiz_cost_count(out), 9 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input", "weight", "bias", "running_mean", "running_var"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_BATCH_NORM_EPS] = {"eps", PHIZ_ATTR_FLOAT, 1e-5, 0, 1},
	[PHIZ_BATCH_NORM_MOMENTUM] = {"momentum", PHIZ_ATTR_FLOAT, 0.1, 0, 1},
	[PHIZ_BATCH_NORM_FROZEN] = PHIZ_ATTR_SWITCH("frozen", 0),
	[PHIZ_BATCH_NORM_ACT] = PHIZ_ATTR_ACT,
	[PHIZ_BATCH_NORM_ACT_SLOPE] = PHIZ_ATTR_ACT_SLOPE,
};

const struct phiz_op phiz_op_batch_norm = {
	.name = "batch_norm",
	.min_inputs = 1, /* weight and bias may be absent; the rule asks for the statistics */
	.max_inputs = PHIZ_BATCH_NORM_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_BATCH_NORM_ATTRS,
	.diff_mask = 1u << PHIZ_BATCH_NORM_INPUT | 1u << PHIZ_BATCH_NORM_WEIGHT | 1u << PHIZ_BATCH_NORM_BIAS,
	.alias_mask = 1,
	.state_mask = 1u << PHIZ_BATCH_NORM_MEAN | 1u << PHIZ_BATCH_NORM_VAR,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(batch_norm),
};
#endif
