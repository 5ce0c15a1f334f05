/* softmax over dim `axis`: y_c = exp(x_c - m) / sum_k exp(x_k - m), m = max x. dx_c = y_c * (dy_c - sum_k dy_k
 * y_k). */
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

/* One line of n elements, `step` apart; exp and sum in double. */
static void softmax_line(const real *x, real *y, int64_t n, int64_t step)
{
	double m = -INFINITY, sum = 0;

	for (int64_t c = 0; c < n; c++)
		m = x[c * step] > m ? x[c * step] : m;
	for (int64_t c = 0; c < n; c++)
		sum += exp(x[c * step] - m);
	for (int64_t c = 0; c < n; c++)
		y[c * step] = (real)(exp(x[c * step] - m) / sum);
}

/* y may be x. */
enum phiz_status REF(phiz_softmax_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, call->node->attr[PHIZ_SOFTMAX_AXIS].i);

	for (int64_t o = 0; o < l.outer; o++)
		for (int64_t i = 0; i < l.inner; i++)
			softmax_line(x + o * l.n * l.inner + i, y + o * l.n * l.inner + i, l.n, l.inner);
	return PHIZ_OK;
}

/* The sum in double. dx may be dy. */
enum phiz_status REF(phiz_softmax_backward)(struct phiz_call *call)
{
	const real *all_y = call->out[0].data, *all_dy = call->dout[0].data;
	real *all_dx = phiz_din(call, 0);
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, call->node->attr[PHIZ_SOFTMAX_AXIS].i);
	bool add = phiz_adds(call, 0);

	if (!all_dx || !all_dy)
		return PHIZ_OK;
	for (int64_t line = 0; line < l.outer * l.inner; line++) {
		int64_t start = line / l.inner * l.n * l.inner + line % l.inner;
		const real *y = all_y + start, *dy = all_dy + start;
		real *dx = all_dx + start;
		double dot = 0;

		for (int64_t c = 0; c < l.n; c++)
			dot += (double)dy[c * l.inner] * y[c * l.inner];
		for (int64_t c = 0; c < l.n; c++)
			phiz_put(&dx[c * l.inner], add, (real)(y[c * l.inner] * (dy[c * l.inner] - dot)));
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	int axis;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_axis(ctx, node, PHIZ_SOFTMAX_AXIS, &in[0].shape, &axis);
	return status;
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
	phiz_cost_fill(node, in, out, 5 * phiz_cost_count(out), 4 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_SOFTMAX_AXIS] = {"axis", PHIZ_ATTR_INT, 1, -PHIZ_MAX_DIMS, PHIZ_MAX_DIMS - 1},
};

const struct phiz_op phiz_op_softmax = {
	.name = "softmax",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(softmax),
};
#endif
