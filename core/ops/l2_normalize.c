/* l2_normalize over dim 1: y_f = x_f / max(r, eps), r = sqrt(sum_f x_f^2). Saved: r.
 * dx = (dy - y * sum_f dy_f y_f) / r where r >= eps, else dy / eps. Sums in double. */
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

/* y may be x. */
enum phiz_status REF(phiz_l2_normalize_forward)(struct phiz_call *call)
{
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, 1);
	double eps = call->node->attr[PHIZ_L2_NORMALIZE_EPS].f;
	real *norm = call->saved[0].data;

	for (int64_t line = 0; line < l.outer * l.inner; line++) {
		int64_t start = line / l.inner * l.n * l.inner + line % l.inner;
		const real *x = phiz_in(call, 0) + start;
		real *y = (real *)call->out[0].data + start;
		double r = 0;

		for (int64_t f = 0; f < l.n; f++)
			r += (double)x[f * l.inner] * x[f * l.inner];
		r = sqrt(r);
		if (norm)
			norm[line] = (real)r;
		if (r < eps) /* so that a NaN stays one */
			r = eps;
		for (int64_t f = 0; f < l.n; f++)
			y[f * l.inner] = (real)(x[f * l.inner] / r);
	}
	return PHIZ_OK;
}

/* dx may be dy. */
enum phiz_status REF(phiz_l2_normalize_backward)(struct phiz_call *call)
{
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, 1);
	double eps = call->node->attr[PHIZ_L2_NORMALIZE_EPS].f;
	const real *norm = call->saved[0].data;
	bool add = phiz_adds(call, 0);

	if (!phiz_din(call, 0) || !call->dout[0].data)
		return PHIZ_OK;
	for (int64_t line = 0; line < l.outer * l.inner; line++) {
		int64_t start = line / l.inner * l.n * l.inner + line % l.inner;
		const real *y = (const real *)call->out[0].data + start, *dy = (const real *)call->dout[0].data + start;
		real *dx = phiz_din(call, 0) + start;
		double dot = 0, r = norm[line] < eps ? eps : norm[line];

		for (int64_t f = 0; norm[line] >= eps && f < l.n; f++)
			dot += (double)dy[f * l.inner] * y[f * l.inner];
		for (int64_t f = 0; f < l.n; f++)
			phiz_put(&dx[f * l.inner], add, (real)((dy[f * l.inner] - y[f * l.inner] * dot) / r));
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK && in[0].shape.ndim < 2)
		status = phiz_rule_ndim(ctx, node, in, 0, 2, "[N, F] or more");
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	(void)out;
	types[0].dtype = phiz_rule_wide(in[0].dtype);
	types[0].shape = in[0].shape;
	types[0].shape.ndim--;
	for (int d = 1; d < types[0].shape.ndim; d++)
		types[0].shape.dim[d] = in[0].shape.dim[d + 1];
	return 1;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = 0;
	*out_mask = want & 1u;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 3 * phiz_cost_count(out), 5 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_L2_NORMALIZE_EPS] = {"eps", PHIZ_ATTR_FLOAT, 1e-12, 1e-30, 1},
};

const struct phiz_op phiz_op_l2_normalize = {
	.name = "l2_normalize",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(l2_normalize),
};
#endif
