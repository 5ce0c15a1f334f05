/* permute: y has dim p_i of x at place i, torch.permute(x, (p0, p1, ...)). dx is dy put back. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include "core/ops/rule.h"

/* For each element of y in turn its place in x: at place i of y's index, x is walked with the stride of dim p_i. */
struct walk {
	int ndim;
	int64_t dim[PHIZ_MAX_DIMS], stride[PHIZ_MAX_DIMS], at[PHIZ_MAX_DIMS], from;
};

static struct walk walk_start(const struct phiz_call *call)
{
	const struct phiz_shape *x = &call->in[0].shape;
	int64_t stride[PHIZ_MAX_DIMS], step = 1;
	struct walk w = {x->ndim, {0}, {0}, {0}, 0};

	for (int d = x->ndim; d-- > 0; step *= x->dim[d])
		stride[d] = step;
	for (int d = 0; d < x->ndim; d++) {
		w.dim[d] = x->dim[call->node->attr[d].i];
		w.stride[d] = stride[call->node->attr[d].i];
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

/* y[i] = x[place of i]. Nothing may alias. */
enum phiz_status REF(phiz_permute_forward)(struct phiz_call *call)
{
	struct walk w = walk_start(call);
	const real *x = phiz_in(call, 0);
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; i < n; i++, walk_on(&w))
		y[i] = x[w.from];
	return PHIZ_OK;
}

/* dx[place of i] = dy[i]. Nothing may alias. */
enum phiz_status REF(phiz_permute_backward)(struct phiz_call *call)
{
	struct walk w = walk_start(call);
	const real *dy = call->dout[0].data;
	real *dx = phiz_din(call, 0);
	int64_t n = phiz_tensor_count(&call->out[0]);

	for (int64_t i = 0; dx && dy && i < n; i++, walk_on(&w))
		phiz_put(&dx[w.from], phiz_adds(call, 0), dy[i]);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape shape;
	unsigned seen = 0;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status != PHIZ_OK)
		return status;
	shape = in[0].shape;
	for (int d = 0; d < PHIZ_MAX_DIMS; d++) {
		int64_t from = node->attr[d].i;

		if (d >= shape.ndim ? from != d : from >= shape.ndim || (seen >> from & 1u))
			return phiz_fail(ctx, PHIZ_E_ARG, "p%d: want each of the %d dims once, got %lld", d, shape.ndim,
			                 (long long)from);
		seen |= 1u << from;
		if (d < shape.ndim)
			shape.dim[d] = in[0].shape.dim[from];
	}
	return phiz_rule_output(ctx, in[0].dtype, &shape, out);
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 0, 0, c);
	c->backward_bytes = c->forward_bytes;
}

static const char *const input_names[] = {"input"};
#define PERMUTE_DIM(name, i) {name, PHIZ_ATTR_INT, i, 0, PHIZ_MAX_DIMS - 1}
static const struct phiz_attr_desc attrs[] = {
	PERMUTE_DIM("p0", 0), PERMUTE_DIM("p1", 1), PERMUTE_DIM("p2", 2),
	PERMUTE_DIM("p3", 3), PERMUTE_DIM("p4", 4), PERMUTE_DIM("p5", 5),
};

const struct phiz_op phiz_op_permute = {
	.name = "permute",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_MAX_DIMS,
	.diff_mask = 1,
	.infer = infer,
	.cost = cost,
	PHIZ_REFERENCE(permute),
};
#endif
