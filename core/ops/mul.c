/* mul: y = a * b, of the same shape, or b [N,C,1,1] (a gate per channel) beside a [N,C,H,W].
 * da = dy * b, db = dy * a (summed over h,w for a gate). */
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* Elements of a to one of b. */
static int64_t spread(const struct phiz_call *call)
{
	return phiz_tensor_count(&call->in[0]) / phiz_tensor_count(&call->in[1]);
}

/* y may be a. */
enum phiz_status REF(phiz_mul_forward)(struct phiz_call *call)
{
	const real *a = phiz_in(call, 0), *b = phiz_in(call, 1);
	real *y = call->out[0].data;
	int64_t n = phiz_tensor_count(&call->in[1]), inner = spread(call);

	for (int64_t i = 0; i < n; i++)
		for (int64_t k = i * inner; k < (i + 1) * inner; k++)
			y[k] = a[k] * b[i];
	return PHIZ_OK;
}

/* da, then db, so that both may be the same memory if the second adds. db is summed in double. */
enum phiz_status REF(phiz_mul_backward)(struct phiz_call *call)
{
	const real *a = phiz_in(call, 0), *b = phiz_in(call, 1), *dy = call->dout[0].data;
	real *da = phiz_din(call, 0), *db = phiz_din(call, 1);
	int64_t n = phiz_tensor_count(&call->in[1]), inner = spread(call);

	for (int64_t i = 0; da && dy && i < n; i++)
		for (int64_t k = i * inner; k < (i + 1) * inner; k++)
			phiz_put(&da[k], phiz_adds(call, 0), dy[k] * b[i]);
	for (int64_t i = 0; db && dy && i < n; i++) {
		double sum = 0;

		for (int64_t k = i * inner; k < (i + 1) * inner; k++)
			sum += (double)dy[k] * a[k];
		phiz_put(&db[i], phiz_adds(call, 1), (real)sum);
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape want;
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, 1, in[0].dtype);
	if (status != PHIZ_OK || phiz_shape_equal(&in[1].shape, &in[0].shape))
		return status;
	want = in[0].shape;
	if (want.ndim == 4 && in[1].shape.ndim == 4 && in[1].shape.dim[2] == 1 && in[1].shape.dim[3] == 1)
		want.dim[2] = want.dim[3] = 1;
	return phiz_rule_shape(ctx, node, in, 1, &want);
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = (want & 1u) << 1 | (want >> 1 & 1u);
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, phiz_cost_count(out), 3 * phiz_cost_count(out), c);
}

static const char *const input_names[] = {"a", "b"};

const struct phiz_op phiz_op_mul = {
	.name = "mul",
	.min_inputs = 2,
	.max_inputs = 2,
	.n_outputs = 1,
	.input_names = input_names,
	.diff_mask = 3,
	.alias_mask = 1,
	.infer = infer,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(mul),
};
#endif
