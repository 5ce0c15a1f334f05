/* margin_linear: u = x_n / |x_n|, v = w_c / |w_c|, c = u.v; y = s c, and for the label's class, when training,
 *   y = s (phi(c) - m2), phi(c) = cos(acos c + m1) = c cos m1 - sqrt(1 - c^2) sin m1   where c > cos(pi - m1),
 *   phi(c) = c - m1 sin(pi - m1) else.
 * m1 and m2 are the node's times the sample's share, if it is given.
 * With e[n,c] = dy s phi'(c), phi' = 1 but for the label's class (cos m1 + c sin m1 / sqrt(1 - c^2) there):
 *   dx_n = (sum_c e[n,c] v_c - u_n sum_c e[n,c] c[n,c]) / |x_n|, dw_c alike. Sums in double. Saved: c, |x_n|, |w_c|. */
#include "core/ops/margin.h"

#include "core/ops/kernel.h"
#include "core/ops/rule.h"

static double row_norm(const real *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	sum = sqrt(sum);
	return sum < PHIZ_MARGIN_EPS ? PHIZ_MARGIN_EPS : sum;
}

static double share_of(const struct phiz_call *call, int64_t n)
{
	const real *share = phiz_in(call, PHIZ_MARGIN_SHARE);

	return share ? (double)share[n] : 1;
}

enum phiz_status REF(phiz_margin_linear_forward)(struct phiz_call *call)
{
	const real *x = phiz_in(call, PHIZ_MARGIN_INPUT), *w = phiz_in(call, PHIZ_MARGIN_WEIGHT);
	int64_t rows = call->in[PHIZ_MARGIN_INPUT].shape.dim[0], dims = call->in[PHIZ_MARGIN_INPUT].shape.dim[1];
	int64_t classes = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0];
	double scale = call->node->attr[PHIZ_MARGIN_SCALE].f;
	real *y = call->out[0].data, *saved_cos = call->saved[PHIZ_MARGIN_SAVED_COS].data;
	real *input_norm = call->saved[PHIZ_MARGIN_SAVED_XNORM].data;
	real *weight_norm = call->saved[PHIZ_MARGIN_SAVED_WNORM].data;

	if (phiz_margin_check_labels(call) != PHIZ_OK)
		return PHIZ_E_ARG;
	for (int64_t n = 0; input_norm && n < rows; n++)
		input_norm[n] = (real)row_norm(x + n * dims, dims);
	for (int64_t c = 0; c < classes; c++) {
		double length = row_norm(w + c * dims, dims);

		if (weight_norm)
			weight_norm[c] = (real)length;
		for (int64_t n = 0; n < rows; n++) {
			double dot = 0;

			for (int64_t d = 0; d < dims; d++)
				dot += (double)x[n * dims + d] * w[c * dims + d];
			/* Rounded as it is saved, so that the logits do not depend on what is. */
			dot /= length * (double)(input_norm ? input_norm[n] : (real)row_norm(x + n * dims, dims));
			if (saved_cos)
				saved_cos[n * classes + c] = (real)dot;
			if (phiz_margin_class(call, n) == c)
				dot = phiz_margin_apply(call, share_of(call, n), dot);
			y[n * classes + c] = (real)(scale * dot);
		}
	}
	return PHIZ_OK;
}

/* e[n,c] */
static double before_margin(const struct phiz_call *call, int64_t n, int64_t c)
{
	int64_t at = n * call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0] + c;
	const real *dy = call->dout[0].data, *cosine = call->saved[PHIZ_MARGIN_SAVED_COS].data;
	double e = (double)dy[at] * call->node->attr[PHIZ_MARGIN_SCALE].f;

	return phiz_margin_class(call, n) == c ? e * phiz_margin_slope(call, share_of(call, n), (double)cosine[at]) : e;
}

/* The gradient of one row `own` of length |own| beside the rows `other`: e and cos of (own, k) lie `step` apart. */
static void backward_row(struct phiz_call *call, bool of_weight, int64_t i, real *out, bool add)
{
	int64_t dims = call->in[PHIZ_MARGIN_INPUT].shape.dim[1], classes = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0];
	int64_t count = of_weight ? call->in[PHIZ_MARGIN_INPUT].shape.dim[0] : classes;
	const real *other = phiz_in(call, of_weight ? PHIZ_MARGIN_INPUT : PHIZ_MARGIN_WEIGHT);
	const real *own = (of_weight ? phiz_in(call, PHIZ_MARGIN_WEIGHT) : phiz_in(call, PHIZ_MARGIN_INPUT)) + i * dims;
	const real *other_norm = call->saved[of_weight ? PHIZ_MARGIN_SAVED_XNORM : PHIZ_MARGIN_SAVED_WNORM].data;
	const real *cosine = call->saved[PHIZ_MARGIN_SAVED_COS].data;
	const real *own_norm = call->saved[of_weight ? PHIZ_MARGIN_SAVED_WNORM : PHIZ_MARGIN_SAVED_XNORM].data;
	double length = own_norm[i], along = 0;
	enum { CHUNK = 128 };

	for (int64_t k = 0; k < count; k++) {
		int64_t n = of_weight ? k : i, c = of_weight ? i : k;

		along += before_margin(call, n, c) * (double)cosine[n * classes + c];
	}
	for (int64_t from = 0; from < dims; from += CHUNK) {
		double sum[CHUNK] = {0};
		int64_t width = dims - from < CHUNK ? dims - from : CHUNK;

		for (int64_t k = 0; k < count; k++) {
			double e = before_margin(call, of_weight ? k : i, of_weight ? i : k) / (double)other_norm[k];
			const real *row = other + k * dims + from;

			for (int64_t d = 0; d < width; d++)
				sum[d] += e * row[d];
		}
		for (int64_t d = 0; d < width; d++)
			phiz_put(&out[from + d], add, (real)((sum[d] - along * own[from + d] / length) / length));
	}
}

enum phiz_status REF(phiz_margin_linear_backward)(struct phiz_call *call)
{
	real *dx = phiz_din(call, PHIZ_MARGIN_INPUT), *dw = phiz_din(call, PHIZ_MARGIN_WEIGHT);
	int64_t rows = call->in[PHIZ_MARGIN_INPUT].shape.dim[0], dims = call->in[PHIZ_MARGIN_INPUT].shape.dim[1];
	int64_t classes = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0];

	if (!call->dout[0].data)
		return PHIZ_OK;
	for (int64_t n = 0; dx && n < rows; n++)
		backward_row(call, false, n, dx + n * dims, phiz_adds(call, PHIZ_MARGIN_INPUT));
	for (int64_t c = 0; dw && c < classes; c++)
		backward_row(call, true, c, dw + c * dims, phiz_adds(call, PHIZ_MARGIN_WEIGHT));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	const struct phiz_shape *x = &in[PHIZ_MARGIN_INPUT].shape, *w = &in[PHIZ_MARGIN_WEIGHT].shape;
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_MARGIN_INPUT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_MARGIN_INPUT, 2, "[N, D]");
	if (status == PHIZ_OK)
		status = phiz_rule_param(ctx, node, in, PHIZ_MARGIN_WEIGHT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_MARGIN_WEIGHT, 2, "[C, D]");
	if (status == PHIZ_OK && x->dim[1] != w->dim[1])
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want an embedding of %lld numbers, got %lld", (long long)w->dim[1],
		                   (long long)x->dim[1]);
	if (status == PHIZ_OK && phiz_rule_has(node, in, PHIZ_MARGIN_LABELS)) {
		shape = phiz_shape_1d(x->dim[0]);
		status = phiz_rule_dtype(ctx, node, in, PHIZ_MARGIN_LABELS, PHIZ_I32);
		if (status == PHIZ_OK)
			status = phiz_rule_shape(ctx, node, in, PHIZ_MARGIN_LABELS, &shape);
	}
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_MARGIN_SHARE, x->dim[0]);
	if (status != PHIZ_OK)
		return status;
	shape = phiz_shape_2d(x->dim[0], w->dim[0]);
	return phiz_rule_output(ctx, in[PHIZ_MARGIN_INPUT].dtype, &shape, out);
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	for (int i = 0; i < PHIZ_MARGIN_SAVED; i++)
		types[i].dtype = phiz_rule_wide(in[PHIZ_MARGIN_INPUT].dtype);
	types[PHIZ_MARGIN_SAVED_COS].shape = out[0].shape;
	types[PHIZ_MARGIN_SAVED_XNORM].shape = phiz_shape_1d(in[PHIZ_MARGIN_INPUT].shape.dim[0]);
	types[PHIZ_MARGIN_SAVED_WNORM].shape = phiz_shape_1d(in[PHIZ_MARGIN_WEIGHT].shape.dim[0]);
	return PHIZ_MARGIN_SAVED;
}

/* Each gradient has a part along its own row. */
static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want ? (1u << PHIZ_MARGIN_INPUTS) - 1 : 0;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double flops = 2 * phiz_cost_count(&in[PHIZ_MARGIN_WEIGHT]) * (double)out->shape.dim[0];

	phiz_cost_fill(node, in, out, flops, 2 * flops, c);
}

static const char *const input_names[] = {"input", "weight", "labels", "share"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_MARGIN_SCALE] = {"scale", PHIZ_ATTR_FLOAT, 64, 1e-3, 1e4},
	[PHIZ_MARGIN_ANGLE] = {"angle", PHIZ_ATTR_FLOAT, 0, 0, 1.5},
	[PHIZ_MARGIN_COSINE] = {"cosine", PHIZ_ATTR_FLOAT, 0, 0, 1},
};

const struct phiz_op phiz_op_margin_linear = {
	.name = "margin_linear",
	.min_inputs = 2,
	.max_inputs = PHIZ_MARGIN_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_MARGIN_ATTRS,
	.diff_mask = 1u << PHIZ_MARGIN_INPUT | 1u << PHIZ_MARGIN_WEIGHT,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(margin_linear),
};
#endif
