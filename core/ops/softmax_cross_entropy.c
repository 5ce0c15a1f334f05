/* softmax_cross_entropy: logits x [N,C], labels y [N] -> loss [], s the smoothing, w class weights (or 1):
 *   nll_n(c) = log sum_k exp(x_nk) - x_nc
 *   l_n(y) = (1-s) w[y] nll_n(y) + s/C sum_c w[c] nll_n(c), or 0 for label -1; v_n(y) = w[y], or 0
 *   loss = sum_n l_n / sum_n v_n; with labels_b and lambda, l_n = lambda_n l_n(y_n) + (1-lambda_n) l_n(b_n), v_n alike.
 * dx_nc = dloss / sum v * [ (1-s) w[y] (p_nc - (c == y)) + s/C (p_nc sum_k w[k] - w[c]) ], mixed alike. In double,
 * without overflow: the maximum is taken off first. Saved: p [N,C], sum of v []. No label that counts: the loss is
 * NaN (with allow_none 0) and the gradients are 0, as in PyTorch. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

enum { SAVED_P, SAVED_SUM, SAVED };

/* One of a sample's labels: its share (1, lambda or 1 - lambda), label and share * w[label]. */
struct part {
	int64_t label;
	double share, weight;
};

static double class_weight(const struct phiz_call *call, int64_t c)
{
	const real *w = phiz_in(call, PHIZ_CE_WEIGHT);

	return w ? (double)w[c] : 1;
}

/* The parts of sample n that count (label not -1); returns how many. */
static int parts_of(const struct phiz_call *call, int64_t n, struct part part[2])
{
	const int32_t *label_b = PHIZ_CE_LABELS_B < call->n_in ? call->in[PHIZ_CE_LABELS_B].data : NULL;
	const real *lambda = phiz_in(call, PHIZ_CE_LAMBDA);
	double first = lambda ? (double)lambda[n] : 1;
	int count = 0;

	part[0].label = ((const int32_t *)call->in[PHIZ_CE_LABELS].data)[n];
	part[0].share = first;
	part[1].label = label_b ? label_b[n] : -1;
	part[1].share = 1 - first;
	for (int i = 0; i < 2; i++)
		if (part[i].label >= 0) {
			part[count] = part[i];
			part[count].weight = part[count].share * class_weight(call, part[count].label);
			count++;
		}
	return count;
}

static enum phiz_status check_labels(const struct phiz_call *call, int input)
{
	const int32_t *label = input < call->n_in ? call->in[input].data : NULL;
	int64_t n = call->in[PHIZ_CE_LOGITS].shape.dim[0], c = call->in[PHIZ_CE_LOGITS].shape.dim[1];

	for (int64_t i = 0; label && i < n; i++)
		if (label[i] < -1 || label[i] >= c)
			return phiz_fail(call->ctx, PHIZ_E_ARG,
			                 "softmax_cross_entropy %s: sample %lld: want a label from 0 to %lld (or -1), got %d",
			                 call->node->name, (long long)i, (long long)(c - 1), (int)label[i]);
	return PHIZ_OK;
}

/* log sum_k exp(x_k); writes the probabilities to p if it is not NULL. */
static double log_sum_exp(const real *x, int64_t classes, real *p)
{
	double m = -INFINITY, sum = 0;

	for (int64_t c = 0; c < classes; c++)
		m = x[c] > m ? x[c] : m;
	for (int64_t c = 0; c < classes; c++)
		sum += exp(x[c] - m);
	for (int64_t c = 0; p && c < classes; c++)
		p[c] = (real)(exp(x[c] - m) / sum);
	return m + log(sum);
}

/* sum_c w[c] nll(c). */
static double smooth_nll(const struct phiz_call *call, const real *x, double lse)
{
	int64_t classes = call->in[PHIZ_CE_LOGITS].shape.dim[1];
	double sum = 0;

	for (int64_t c = 0; c < classes; c++)
		sum += class_weight(call, c) * (lse - x[c]);
	return sum;
}

enum phiz_status REF(phiz_softmax_cross_entropy_forward)(struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_CE_LOGITS].shape.dim;
	double smoothing = call->node->attr[PHIZ_CE_SMOOTHING].f, loss = 0, sum = 0;
	real *p = call->saved[SAVED_P].data, *saved_sum = call->saved[SAVED_SUM].data;

	if (check_labels(call, PHIZ_CE_LABELS) != PHIZ_OK || check_labels(call, PHIZ_CE_LABELS_B) != PHIZ_OK)
		return PHIZ_E_ARG;
	for (int64_t n = 0; n < dim[0]; n++) {
		const real *x = phiz_in(call, PHIZ_CE_LOGITS) + n * dim[1];
		double lse = log_sum_exp(x, dim[1], p ? p + n * dim[1] : NULL), smooth = 0;
		struct part part[2];
		int parts = parts_of(call, n, part);

		if (smoothing > 0 && parts)
			smooth = smoothing / (double)dim[1] * smooth_nll(call, x, lse);
		for (int i = 0; i < parts; i++) {
			loss += (1 - smoothing) * part[i].weight * (lse - x[part[i].label]) + part[i].share * smooth;
			sum += part[i].weight;
		}
	}
	*(real *)call->out[0].data = (real)(sum > 0 || !call->node->attr[PHIZ_CE_ALLOW_NONE].i ? loss / sum : 0);
	if (saved_sum)
		*saved_sum = (real)sum;
	return PHIZ_OK;
}

/* dx of one sample: g = dloss / sum v, total = sum_k w[k]. */
static void backward_sample(struct phiz_call *call, int64_t n, double g, double total)
{
	int64_t classes = call->in[PHIZ_CE_LOGITS].shape.dim[1];
	const real *p = (const real *)call->saved[SAVED_P].data + n * classes;
	real *dx = phiz_din(call, PHIZ_CE_LOGITS) + n * classes;
	double smoothing = call->node->attr[PHIZ_CE_SMOOTHING].f;
	struct part part[2];
	int parts = parts_of(call, n, part);

	for (int64_t c = 0; c < classes; c++) {
		double d = 0;

		for (int i = 0; i < parts; i++) {
			d += (1 - smoothing) * part[i].weight * (p[c] - (c == part[i].label ? 1.0 : 0.0));
			if (smoothing > 0)
				d += part[i].share * smoothing / (double)classes * (p[c] * total - class_weight(call, c));
		}
		phiz_put(&dx[c], phiz_adds(call, PHIZ_CE_LOGITS), parts ? (real)(g * d) : 0);
	}
}

enum phiz_status REF(phiz_softmax_cross_entropy_backward)(struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_CE_LOGITS].shape.dim;
	const real *dloss = call->dout[0].data;
	double g, total = 0;

	if (!phiz_din(call, PHIZ_CE_LOGITS) || !dloss)
		return PHIZ_OK;
	g = *dloss / (double)*(const real *)call->saved[SAVED_SUM].data;
	for (int64_t c = 0; c < dim[1]; c++)
		total += class_weight(call, c);
	for (int64_t n = 0; n < dim[0]; n++)
		backward_sample(call, n, g, total);
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status check_vectors(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in)
{
	struct phiz_shape samples = phiz_shape_1d(in[PHIZ_CE_LOGITS].shape.dim[0]);
	enum phiz_status status = PHIZ_OK;

	for (int i = PHIZ_CE_LABELS; status == PHIZ_OK && i <= PHIZ_CE_LABELS_B; i += PHIZ_CE_LABELS_B - PHIZ_CE_LABELS)
		if (phiz_rule_has(node, in, i)) {
			status = phiz_rule_dtype(ctx, node, in, i, PHIZ_I32);
			if (status == PHIZ_OK)
				status = phiz_rule_shape(ctx, node, in, i, &samples);
		}
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_CE_WEIGHT, in[PHIZ_CE_LOGITS].shape.dim[1]);
	if (status == PHIZ_OK)
		status = phiz_rule_vector(ctx, node, in, PHIZ_CE_LAMBDA, samples.dim[0]);
	if (status == PHIZ_OK && phiz_rule_has(node, in, PHIZ_CE_LABELS_B) != phiz_rule_has(node, in, PHIZ_CE_LAMBDA))
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want inputs labels_b and lambda together, got only %s",
		                   phiz_rule_has(node, in, PHIZ_CE_LAMBDA) ? "lambda" : "labels_b");
	return status;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape scalar = {0};
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_CE_LOGITS);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_CE_LOGITS, 2, "[N, C]");
	if (status == PHIZ_OK)
		status = check_vectors(ctx, node, in);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, phiz_rule_wide(in[PHIZ_CE_LOGITS].dtype), &scalar, out);
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	types[SAVED_P].dtype = types[SAVED_SUM].dtype = out[0].dtype;
	types[SAVED_P].shape = in[PHIZ_CE_LOGITS].shape;
	types[SAVED_SUM].shape = out[0].shape;
	return SAVED;
}

/* The logits themselves are in the saved probabilities. */
static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u ? 1u << PHIZ_CE_LABELS | 1u << PHIZ_CE_WEIGHT | 1u << PHIZ_CE_LABELS_B | 1u << PHIZ_CE_LAMBDA
	                     : 0;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, 5 * phiz_cost_count(in), 3 * phiz_cost_count(in), c);
}

static const char *const input_names[] = {"logits", "labels", "class_weight", "labels_b", "lambda"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_CE_SMOOTHING] = {"smoothing", PHIZ_ATTR_FLOAT, 0, 0, 1},
	[PHIZ_CE_ALLOW_NONE] = PHIZ_ATTR_SWITCH("allow_none", 0),
};

const struct phiz_op phiz_op_softmax_cross_entropy = {
	.name = "softmax_cross_entropy",
	.min_inputs = 2,
	.max_inputs = PHIZ_CE_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_CE_ATTRS,
	.diff_mask = 1u << PHIZ_CE_LOGITS,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(softmax_cross_entropy),
};
#endif
