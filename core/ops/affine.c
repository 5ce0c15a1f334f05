/* affine: y = x * scale + shift. scale and shift have x's number of dims, each x's or 1 (the numbers are repeated), as
 * ONNX and PyTorch broadcast; either may be absent. dx = dy * scale; dscale = dy * x and dshift = dy, summed over what
 * was repeated. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

/* x's elements in turn, and the place of the parameter's element for each. */
struct walk {
	int ndim;
	int64_t dim[PHIZ_MAX_DIMS], stride[PHIZ_MAX_DIMS], at[PHIZ_MAX_DIMS], from;
};

static struct walk walk_start(const struct phiz_call *call, int i)
{
	const struct phiz_shape *x = &call->in[0].shape, *p = &call->in[i].shape;
	struct walk w = {x->ndim, {0}, {0}, {0}, 0};
	int64_t step = 1;

	for (int d = x->ndim; d-- > 0;) {
		w.dim[d] = x->dim[d];
		if (i >= call->n_in || p->ndim != x->ndim)
			continue;
		w.stride[d] = p->dim[d] == 1 ? 0 : step;
		step *= p->dim[d];
	}
	return w;
}

static void walk_on(struct walk *w)
{
	for (int d = w->ndim; d-- > 0;) {
		w->from += w->stride[d];
		if (++w->at[d] < w->dim[d])
			return;
		w->from -= w->dim[d] * w->stride[d];
		w->at[d] = 0;
	}
}

/* y may be x. */
enum phiz_status REF(phiz_affine_forward)(struct phiz_call *call)
{
	struct walk at_scale = walk_start(call, PHIZ_AFFINE_SCALE), at_shift = walk_start(call, PHIZ_AFFINE_SHIFT);
	const real *x = phiz_in(call, 0), *scale = phiz_in(call, PHIZ_AFFINE_SCALE);
	const real *shift = phiz_in(call, PHIZ_AFFINE_SHIFT);
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++, walk_on(&at_scale), walk_on(&at_shift)) {
		double v = scale ? (double)x[i] * scale[at_scale.from] : x[i];

		y[i] = (real)(shift ? v + shift[at_shift.from] : v);
	}
	return PHIZ_OK;
}

/* The gradient of parameter i: the sum of dy (times x) over what its element was repeated for, in double. */
static void parameter_gradient(struct phiz_call *call, int i, const real *x)
{
	const struct phiz_shape *shape = &call->in[0].shape, *p = &call->in[i].shape;
	const real *dy = call->dout[0].data;
	real *dp = phiz_din(call, i);
	int64_t n = phiz_tensor_count(&call->out[0]), count = dp ? phiz_tensor_count(&call->in[i]) : 0;

	for (int64_t k = 0; k < count; k++) {
		struct walk w = {0, {0}, {0}, {0}, 0}; /* over the dims that are repeated, from the first such element on */
		int64_t rest = k, step = 1;
		double sum = 0;

		for (int d = shape->ndim; d-- > 0; step *= shape->dim[d]) {
			if (p->dim[d] == 1) {
				w.dim[w.ndim] = shape->dim[d];
				w.stride[w.ndim++] = step;
			}
			w.from += rest % p->dim[d] * step;
			rest /= p->dim[d];
		}
		for (int64_t e = 0; e < n / count; e++, walk_on(&w))
			sum += x ? (double)dy[w.from] * x[w.from] : dy[w.from];
		phiz_put(&dp[k], phiz_adds(call, i), (real)sum);
	}
}

/* The parameters' gradients first: dx may be dy. */
enum phiz_status REF(phiz_affine_backward)(struct phiz_call *call)
{
	struct walk w = walk_start(call, PHIZ_AFFINE_SCALE);
	const real *scale = phiz_in(call, PHIZ_AFFINE_SCALE), *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t n = phiz_tensor_count(&call->out[0]);

	if (!dy)
		return PHIZ_OK;
	parameter_gradient(call, PHIZ_AFFINE_SCALE, phiz_in(call, 0));
	parameter_gradient(call, PHIZ_AFFINE_SHIFT, NULL);
	for (int64_t i = 0; dx && i < n; i++, walk_on(&w))
		phiz_put(&dx[i], phiz_adds(call, 0), scale ? dy[i] * scale[w.from] : dy[i]);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status check(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i)
{
	const struct phiz_shape *x = &in[0].shape, *p = &in[i].shape;
	bool fits = p->ndim == x->ndim;
	char text[128], got[128];
	enum phiz_status status = phiz_rule_param(ctx, node, in, i);

	for (int d = 0; fits && d < x->ndim; d++)
		fits = p->dim[d] == 1 || p->dim[d] == x->dim[d];
	if (status == PHIZ_OK && !fits)
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want the dims of %s, or 1 in their place, got %s",
		                   phiz_rule_input_name(node, i), phiz_shape_text(x, text), phiz_shape_text(p, got));
	return status;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	for (int i = PHIZ_AFFINE_SCALE; status == PHIZ_OK && i < PHIZ_AFFINE_INPUTS; i++)
		if (phiz_rule_has(node, in, i))
			status = check(ctx, node, in, i);
	return status;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = (want >> PHIZ_AFFINE_INPUT & 1u) << PHIZ_AFFINE_SCALE | (want >> PHIZ_AFFINE_SCALE & 1u);
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 2 * phiz_cost_count(out), 4 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"input", "scale", "shift"};

const struct phiz_op phiz_op_affine = {
	.name = "affine",
	.min_inputs = 1,
	.max_inputs = PHIZ_AFFINE_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.diff_mask = 7,
	.alias_mask = 1,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(affine),
};
#endif
