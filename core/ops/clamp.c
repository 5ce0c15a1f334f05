/* clamp: y = min(max(x, min), max), NaN stays NaN. dx = dy where min <= x <= max, else 0. min and max: the range of
 * float32 where there is no bound. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

/* Any shape. y may be x. */
enum phiz_status REF(phiz_clamp_forward)(struct phiz_call *call)
{
	real low = (real)call->node->attr[PHIZ_CLAMP_MIN].f, high = (real)call->node->attr[PHIZ_CLAMP_MAX].f;
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
	return PHIZ_OK;
}

/* dx may be dy. */
enum phiz_status REF(phiz_clamp_backward)(struct phiz_call *call)
{
	real low = (real)call->node->attr[PHIZ_CLAMP_MIN].f, high = (real)call->node->attr[PHIZ_CLAMP_MAX].f;
	const real *x = phiz_in(call, 0), *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t n = phiz_tensor_count(&call->out[0]);
	bool add = phiz_adds(call, 0);

	for (int64_t i = 0; dx && dy && i < n; i++)
		phiz_put(&dx[i], add, x[i] < low || x[i] > high ? 0 : dy[i]);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK && node->attr[PHIZ_CLAMP_MIN].f > node->attr[PHIZ_CLAMP_MAX].f)
		status = phiz_fail(ctx, PHIZ_E_ARG, "want min of at most max, got %.10g and %.10g",
		                   node->attr[PHIZ_CLAMP_MIN].f, node->attr[PHIZ_CLAMP_MAX].f);
	return status;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out), 2 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CLAMP_MIN] = {"min", PHIZ_ATTR_FLOAT, -3.4028234663852886e38, -3.4028234663852886e38, 3.4028234663852886e38},
	[PHIZ_CLAMP_MAX] = {"max", PHIZ_ATTR_FLOAT, 3.4028234663852886e38, -3.4028234663852886e38, 3.4028234663852886e38},
};

const struct phiz_op phiz_op_clamp = {
	.name = "clamp",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 2,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(clamp),
};
#endif
