/* center_loss (Wen et al. 2016): y the label of sample n, c_y its class's centre, M samples with a label (not -1):
 *   loss = 1/(2M) sum_n |x_n - c_y|^2, 0 where M = 0; dx_n = dloss (x_n - c_y) / M, 0 without a label.
 * Training, the centres of the batch's classes then move: c_j -= rate * sum_{y_n = j} (c_j - x_n) / (1 + count_j).
 * Sums in double. Saved: x_n - c_y from before they move [N,D]. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

static int64_t count_label(const int32_t *label, int64_t n, int32_t which)
{
	int64_t count = 0;

	for (int64_t i = 0; i < n; i++)
		count += which < 0 ? label[i] >= 0 : label[i] == which;
	return count;
}

static enum phiz_status check_labels(const struct phiz_call *call, const int32_t *label, int64_t n, int64_t classes)
{
	for (int64_t i = 0; i < n; i++)
		if (label[i] < -1 || label[i] >= classes)
			return phiz_fail(call->ctx, PHIZ_E_ARG,
			                 "center_loss %s: sample %lld: want a label from 0 to %lld (or -1), got %d",
			                 call->node->name, (long long)i, (long long)(classes - 1), (int)label[i]);
	return PHIZ_OK;
}

/* Has no sample before i its label? */
static bool is_first(const int32_t *label, int64_t i)
{
	for (int64_t k = 0; k < i; k++)
		if (label[k] == label[i])
			return false;
	return label[i] >= 0;
}

static void move_centers(struct phiz_call *call, const int32_t *label, int64_t rows, int64_t dims)
{
	const real *x = phiz_in(call, PHIZ_CENTER_INPUT);
	double rate = call->node->attr[PHIZ_CENTER_RATE].f;

	for (int64_t i = 0; i < rows; i++) {
		real *center = (real *)call->in[PHIZ_CENTER_CENTERS].data + (is_first(label, i) ? label[i] : 0) * dims;
		double count = (double)count_label(label, rows, label[i]);

		for (int64_t d = 0; is_first(label, i) && d < dims; d++) {
			double sum = 0;

			for (int64_t n = i; n < rows; n++)
				if (label[n] == label[i])
					sum += (double)center[d] - x[n * dims + d];
			center[d] = (real)(center[d] - rate * sum / (1 + count));
		}
	}
}

enum phiz_status REF(phiz_center_loss_forward)(struct phiz_call *call)
{
	int64_t rows = call->in[PHIZ_CENTER_INPUT].shape.dim[0], dims = call->in[PHIZ_CENTER_INPUT].shape.dim[1];
	const real *x = phiz_in(call, PHIZ_CENTER_INPUT), *center = phiz_in(call, PHIZ_CENTER_CENTERS);
	const int32_t *label = call->in[PHIZ_CENTER_LABELS].data;
	real *difference = call->saved[0].data;
	int64_t labelled = count_label(label, rows, -1);
	double sum = 0;

	if (check_labels(call, label, rows, call->in[PHIZ_CENTER_CENTERS].shape.dim[0]) != PHIZ_OK)
		return PHIZ_E_ARG;
	for (int64_t i = 0; i < rows * dims; i++) {
		int32_t y = label[i / dims];
		double d = y < 0 ? 0 : (double)x[i] - center[y * dims + i % dims];

		sum += d * d;
		if (difference)
			difference[i] = (real)d;
	}
	*(real *)call->out[0].data = (real)(labelled ? sum / (2 * (double)labelled) : 0);
	if (call->training)
		move_centers(call, label, rows, dims);
	return PHIZ_OK;
}

enum phiz_status REF(phiz_center_loss_backward)(struct phiz_call *call)
{
	const struct phiz_shape *shape = &call->in[PHIZ_CENTER_INPUT].shape;
	const real *dloss = call->dout[0].data, *difference = call->saved[0].data;
	real *dx = phiz_din(call, PHIZ_CENTER_INPUT);

	if (!dx || !dloss)
		return PHIZ_OK;
	int64_t labelled = count_label(call->in[PHIZ_CENTER_LABELS].data, shape->dim[0], -1);
	double g = labelled ? *dloss / (double)labelled : 0;
	for (int64_t i = 0; i < shape->dim[0] * shape->dim[1]; i++)
		phiz_put(&dx[i], phiz_adds(call, PHIZ_CENTER_INPUT), (real)(g * difference[i]));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape scalar = {0}, samples;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_CENTER_INPUT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_CENTER_INPUT, 2, "[N, D]");
	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_CENTER_LABELS, PHIZ_I32);
	samples = phiz_shape_1d(in[PHIZ_CENTER_INPUT].shape.dim[0]);
	if (status == PHIZ_OK)
		status = phiz_rule_shape(ctx, node, in, PHIZ_CENTER_LABELS, &samples);
	if (status == PHIZ_OK)
		status = phiz_rule_param(ctx, node, in, PHIZ_CENTER_CENTERS);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_CENTER_CENTERS, 2, "[C, D]");
	if (status == PHIZ_OK && in[PHIZ_CENTER_CENTERS].shape.dim[1] != in[PHIZ_CENTER_INPUT].shape.dim[1])
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want centers of %lld numbers, got %lld",
		                   (long long)in[PHIZ_CENTER_INPUT].shape.dim[1],
		                   (long long)in[PHIZ_CENTER_CENTERS].shape.dim[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, phiz_rule_wide(in[PHIZ_CENTER_INPUT].dtype), &scalar, out);
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	types[0].dtype = out[0].dtype;
	types[0].shape = in[PHIZ_CENTER_INPUT].shape;
	return 1;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u ? 1u << PHIZ_CENTER_LABELS : 0;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 6 * phiz_cost_count(in), phiz_cost_count(in), c);
}

static const char *const input_names[] = {"input", "labels", "centers"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CENTER_RATE] = {"rate", PHIZ_ATTR_FLOAT, 0.5, 0, 1},
};

const struct phiz_op phiz_op_center_loss = {
	.name = "center_loss",
	.min_inputs = PHIZ_CENTER_INPUTS,
	.max_inputs = PHIZ_CENTER_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1u << PHIZ_CENTER_INPUT,
	.state_mask = 1u << PHIZ_CENTER_CENTERS,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(center_loss),
};
#endif
