/* conv2d and linear of an inference graph on bytes (ops.h, quantised values): activations by the ranges that
 * calibration found, filters per output channel, symmetric. What has no quantised form (or is to be kept) stays float,
 * with quantize and dequantize at the borders. A new graph is built node by node. */
#include <math.h>
#include <phiz/plan.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/graph/graph.h"

enum { LEVELS = 255, WEIGHT_LEVELS = 127, STEPS = 50 };

struct scale {
	double scale;
	int zero;
};

struct quantizer {
	const struct phiz_graph *from;
	struct phiz_graph *to;
	struct phiz_quantize_options options;
	/* By value of `from`: the value of `to` that holds it as floats, as bytes (or PHIZ_NONE), and what the bytes stand
	 * for. */
	int *real, *byte;
	struct scale *scale;
	bool *done; /* by node: a neighbour has taken it in */
};

static bool is_known(const struct quantizer *z, int value)
{
	return z->options.range[value].low <= z->options.range[value].high;
}

/* Zero is always one of the levels: padding and what ReLU cuts off are exact. */
static struct scale scale_of(const struct phiz_range *range)
{
	double low = fmin(range->low, 0), high = fmax(range->high, 0);
	struct scale s = {(high - low) / LEVELS, 0};

	if (!(s.scale > 1e-30)) /* nothing but zeros */
		s.scale = 1;
	s.zero = (int)rint(-low / s.scale);
	return s;
}

static bool is_kept(const struct quantizer *z, const struct phiz_node *node)
{
	for (size_t i = 0; i < z->options.n_keep; i++)
		if (!strcmp(z->options.keep[i], node->name))
			return true;
	return false;
}

static const struct phiz_tensor *float_param(const struct quantizer *z, const struct phiz_node *node, const char *name)
{
	int v = phiz_node_input(node, name);

	return v != PHIZ_NONE && z->from->value[v].tensor && z->from->value[v].type.dtype == PHIZ_F32
	           ? z->from->value[v].tensor : NULL;
}

/* --- Values of the new graph --- */

static enum phiz_status add_node(struct quantizer *z, const char *op, const char *name, const char *suffix,
                                 const int *input, int n_inputs, const struct phiz_attr_arg *attr, int n_attrs,
                                 int *out)
{
	char *full = phiz_asprintf(z->to->ctx, "%s%s", name, suffix);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (full)
		status = phiz_graph_add(z->to, phiz_op_find(op), full, input, n_inputs, attr, n_attrs, out);
	phiz_free(z->to->ctx, full);
	return status;
}

static enum phiz_status convert(struct quantizer *z, int from, int value, int *out)
{
	const struct phiz_attr_arg attr[] = {{"scale", z->scale[value].scale}, {"zero", z->scale[value].zero}};
	const char *suffix = z->byte[value] == from ? ".dequantize" : ".quantize";

	return add_node(z, suffix + 1, z->from->value[value].name, suffix, &from, 1, attr, 2, out);
}

static enum phiz_status get_real(struct quantizer *z, int value, int *out)
{
	const struct phiz_value *v = &z->from->value[value];
	enum phiz_status status = PHIZ_OK;

	if (z->real[value] == PHIZ_NONE && v->tensor)
		status = v->kind == PHIZ_VALUE_PARAM ? phiz_graph_param(z->to, v->name, v->tensor, &z->real[value])
		                                     : phiz_graph_buffer(z->to, v->name, v->tensor, &z->real[value]);
	else if (z->real[value] == PHIZ_NONE)
		status = convert(z, z->byte[value], value, &z->real[value]);
	*out = z->real[value];
	return status;
}

static enum phiz_status get_byte(struct quantizer *z, int value, int *out)
{
	enum phiz_status status = PHIZ_OK;

	if (z->byte[value] == PHIZ_NONE) {
		z->scale[value] = scale_of(&z->options.range[value]);
		status = convert(z, z->real[value], value, &z->byte[value]);
	}
	*out = z->byte[value];
	return status;
}

/* --- Parameters --- */

static enum phiz_status adopt(struct quantizer *z, const struct phiz_node *node, const char *role,
                              struct phiz_tensor *tensor, int *value)
{
	char *name = phiz_asprintf(z->to->ctx, "%s.quantized_%s", node->name, role);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (!name) {
		phiz_tensor_free(z->to->ctx, &tensor);
		return status;
	}
	status = z->options.adopt(z->options.user, name, tensor);
	if (!status)
		status = phiz_graph_buffer(z->to, name, tensor, value);
	phiz_free(z->to->ctx, name);
	return status;
}

/* A filter, and what its elements meet: element i is of channel first + i / taps. */
struct filter {
	const float *w;
	int64_t n, taps;
	const float *mean, *square; /* from the first channel on, or NULL */
};

static struct filter filter_of(const struct quantizer *z, const struct phiz_node *node, int64_t k)
{
	const struct phiz_tensor *w = float_param(z, node, "weight");
	const struct phiz_range *range = &z->options.range[node->input[0]];
	int64_t filters = w->shape.dim[0], n = phiz_tensor_count(w) / filters, channels = w->shape.dim[1];
	int64_t first = k / (filters / phiz_node_attr_int(node, "groups", 1)) * channels;

	return (struct filter){(const float *)w->data + k * n, n, n / channels, range->mean ? range->mean + first : NULL,
	                       range->square ? range->square + first : NULL};
}

static double round_weight(double w, double step)
{
	return fmin(fmax(rint(w / step), -WEIGHT_LEVELS), WEIGHT_LEVELS);
}

/* The squared error of the filter's sums, as if its inputs were independent. */
static double step_error(const struct filter *f, double step)
{
	double sum = 0, of_channel = 0;

	for (int64_t i = 0; i < f->n; i++) {
		double off = round_weight((double)f->w[i], step) * step - (double)f->w[i];
		of_channel += off * off;
		if ((i + 1) % f->taps)
			continue;
		sum += of_channel * (f->square ? (double)f->square[i / f->taps] : 1);
		of_channel = 0;
	}
	return sum;
}

/* A large element that meets next to nothing must not make the others coarse. */
static double choose_step(const struct filter *f)
{
	double most = 0, best = INFINITY, step = 1;

	for (int64_t i = 0; i < f->n; i++)
		most = fmax(most, fabs((double)f->w[i]));
	for (int i = STEPS; i > STEPS / 5 && most > 0; i--) {
		double error = step_error(f, most * i / STEPS / WEIGHT_LEVELS);
		if (error < best) {
			best = error;
			step = most * i / STEPS / WEIGHT_LEVELS;
		}
	}
	return step;
}

/* By how much rounding the filter moves the mean of its sums. */
static double shift_of(const struct filter *f, double step)
{
	double sum = 0;

	for (int64_t i = 0; f->mean && i < f->n; i++)
		sum += (double)f->mean[i / f->taps] * (round_weight((double)f->w[i], step) * step - (double)f->w[i]);
	return sum;
}

/* q = round(w / step[k]), factor * step[k], and the bias less what rounding shifts, through the output's unit. */
static enum phiz_status add_filters(struct quantizer *z, const struct phiz_node *node, double factor, double unit,
                                    int *input)
{
	const struct phiz_tensor *w = float_param(z, node, "weight"), *bias = float_param(z, node, "bias");
	int64_t filters = w->shape.dim[0];
	struct phiz_shape shape = phiz_shape_1d(filters);
	struct phiz_tensor *made[3] = {NULL}; /* weight, scale, bias */
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < 3 && !status; i++)
		status = phiz_tensor_create(z->to->ctx, i ? PHIZ_F32 : PHIZ_I8, i ? &shape : &w->shape, &made[i]);
	for (int64_t k = 0; k < filters && !status; k++) {
		struct filter f = filter_of(z, node, k);
		double step = choose_step(&f);
		for (int64_t i = 0; i < f.n; i++)
			((int8_t *)made[0]->data)[k * f.n + i] = (int8_t)round_weight((double)f.w[i], step);
		((float *)made[1]->data)[k] = (float)(factor * step / unit);
		((float *)made[2]->data)[k] = (float)(((bias ? (double)((const float *)bias->data)[k] : 0) -
		                                       shift_of(&f, step)) / unit);
	}
	for (int i = 0; i < 3; i++) {
		static const char *const role[] = {"weight", "scale", "bias"};
		if (status)
			phiz_tensor_free(z->to->ctx, &made[i]);
		else
			status = adopt(z, node, role[i], made[i], &input[i]);
	}
	return status;
}

/* --- Nodes --- */

/* The prelu that alone reads the node's output and that the node can do itself, or NULL. */
static const struct phiz_node *prelu_after(const struct quantizer *z, const struct phiz_node *node)
{
	const struct phiz_graph *g = z->from;

	if (phiz_node_attr_int(node, "act", 0) != 0 || phiz_graph_uses(g, node->output[0]) != 1)
		return NULL;
	for (size_t n = 0; n < g->n_nodes; n++)
		if (phiz_node_is(&g->node[n], "prelu") && g->node[n].input[0] == node->output[0] && !is_kept(z, &g->node[n]))
			return float_param(z, &g->node[n], "weight") ? &g->node[n] : NULL;
	return NULL;
}

static bool takes_conv2d(const struct quantizer *z, const struct phiz_node *node, int out)
{
	const struct phiz_tensor *w = float_param(z, node, "weight");
	int residual = phiz_node_input(node, "residual");

	if (!phiz_node_is(node, "conv2d") || is_kept(z, node) || !w)
		return false;
	if (phiz_node_input(node, "bias") != PHIZ_NONE && !float_param(z, node, "bias"))
		return false;
	return is_known(z, node->input[0]) && is_known(z, out) && (residual == PHIZ_NONE || is_known(z, residual)) &&
	       phiz_tensor_count(w) / w->shape.dim[0] <= z->options.terms;
}

/* The slope of leaky_relu (fused) or of prelu, for each filter. */
static enum phiz_status add_slope(struct quantizer *z, const struct phiz_node *node, const struct phiz_node *prelu,
                                  int64_t filters, int *input)
{
	enum { LEAKY_RELU = 2 }; /* enum phiz_act of the operators */
	const struct phiz_tensor *slope = prelu ? float_param(z, prelu, "weight") : NULL;
	struct phiz_shape shape = phiz_shape_1d(filters);
	struct phiz_tensor *t;

	if (!prelu && phiz_node_attr_int(node, "act", 0) != LEAKY_RELU)
		return PHIZ_OK;
	enum phiz_status status = phiz_tensor_create(z->to->ctx, PHIZ_F32, &shape, &t);
	if (status)
		return status;
	for (int64_t k = 0; k < filters; k++)
		((float *)t->data)[k] = slope ? ((const float *)slope->data)[phiz_tensor_count(slope) == 1 ? 0 : k]
		                              : (float)node->attr[phiz_node_attr(node, "act_slope")].f;
	return adopt(z, node, "slope", t, input);
}

static enum phiz_status quantize_conv2d(struct quantizer *z, const struct phiz_node *node, bool *taken)
{
	static const char *const same[] = {"stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right",
	                                   "dilation_h", "dilation_w", "groups"};
	enum { SAME = sizeof(same) / sizeof(same[0]), INPUTS = 6, RELU = 1 };
	const struct phiz_node *prelu = prelu_after(z, node);
	int out = prelu ? prelu->output[0] : node->output[0], in = node->input[0];
	int residual = phiz_node_input(node, "residual"), input[INPUTS];
	struct phiz_attr_arg attr[SAME + 5];
	int n = SAME;

	*taken = takes_conv2d(z, node, out);
	if (!*taken)
		return PHIZ_OK;
	for (int i = 0; i < INPUTS; i++)
		input[i] = PHIZ_NONE;
	z->scale[out] = scale_of(&z->options.range[out]);
	const struct phiz_tensor *w = float_param(z, node, "weight");
	double unit = z->scale[out].scale;
	enum phiz_status status = get_byte(z, in, &input[0]);
	if (!status && residual != PHIZ_NONE)
		status = get_byte(z, residual, &input[4]);
	if (!status)
		status = add_filters(z, node, z->scale[in].scale, unit, &input[1]);
	if (!status)
		status = add_slope(z, node, prelu, w->shape.dim[0], &input[5]);
	for (int i = 0; i < SAME; i++)
		attr[i] = (struct phiz_attr_arg){same[i], (double)phiz_node_attr_int(node, same[i], 0)};
	attr[n++] = (struct phiz_attr_arg){"input_zero", z->scale[in].zero};
	attr[n++] = (struct phiz_attr_arg){"output_zero", z->scale[out].zero};
	attr[n++] = (struct phiz_attr_arg){"relu", phiz_node_attr_int(node, "act", 0) == RELU};
	if (residual != PHIZ_NONE) {
		attr[n++] = (struct phiz_attr_arg){"residual_scale", z->scale[residual].scale / unit};
		attr[n++] = (struct phiz_attr_arg){"residual_zero", z->scale[residual].zero};
	}
	if (!status)
		status = add_node(z, "quantized_conv2d", node->name, "", input, INPUTS, attr, n, &z->byte[out]);
	if (prelu)
		z->done[prelu - z->from->node] = true;
	return status;
}

/* The layer that says whose direction it is: few numbers, and the rows are needed for cosines (nn/score.h). */
static bool reads_directions(const struct quantizer *z, const struct phiz_node *node)
{
	int from = z->from->value[node->input[0]].node;

	return from != PHIZ_NONE && phiz_node_is(&z->from->node[from], "l2_normalize");
}

static enum phiz_status quantize_linear(struct quantizer *z, const struct phiz_node *node, bool *taken)
{
	const struct phiz_tensor *w = float_param(z, node, "weight");
	int in = node->input[0], input[4];

	*taken = phiz_node_is(node, "linear") && !is_kept(z, node) && !reads_directions(z, node) && w && is_known(z, in) &&
	         phiz_node_attr_int(node, "act", 0) == 0 && w->shape.dim[1] <= z->options.terms &&
	         (phiz_node_input(node, "bias") == PHIZ_NONE || float_param(z, node, "bias"));
	if (!*taken)
		return PHIZ_OK;
	enum phiz_status status = get_byte(z, in, &input[0]);
	if (!status)
		status = add_filters(z, node, z->scale[in].scale, 1, &input[1]);
	const struct phiz_attr_arg attr = {"input_zero", z->scale[in].zero};
	if (!status)
		status = add_node(z, "quantized_linear", node->name, "", input, 4, &attr, 1, &z->real[node->output[0]]);
	return status;
}

/* The node as it is, with these inputs. */
static enum phiz_status copy_node(struct quantizer *z, const struct phiz_node *node, const int *input, int *output)
{
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];

	for (int i = 0; i < node->op->n_attrs; i++)
		attr[i] = (struct phiz_attr_arg){node->op->attrs[i].name, node->op->attrs[i].kind == PHIZ_ATTR_INT
		                                                              ? (double)node->attr[i].i : node->attr[i].f};
	return phiz_graph_add(z->to, node->op, node->name, input, node->n_inputs, attr, node->op->n_attrs, output);
}

/* Pooling of values that are bytes already. */
static enum phiz_status quantize_pool(struct quantizer *z, const struct phiz_node *node, bool *taken)
{
	int in = node->input[0], out = node->output[0];
	bool max = phiz_node_is(node, "max_pool2d"), avg = phiz_node_is(node, "global_avg_pool");

	*taken = (max || avg) && z->byte[in] != PHIZ_NONE && !is_kept(z, node);
	if (!*taken)
		return PHIZ_OK;
	if (max) {
		z->scale[out] = z->scale[in];
		return copy_node(z, node, &z->byte[in], &z->byte[out]);
	}
	const struct phiz_attr_arg attr[] = {{"scale", z->scale[in].scale}, {"zero", z->scale[in].zero}};
	return add_node(z, "quantized_global_avg_pool", node->name, "", &z->byte[in], 1, attr, 2, &z->real[out]);
}

static enum phiz_status copy_as_real(struct quantizer *z, const struct phiz_node *node)
{
	int input[PHIZ_MAX_INPUTS], output[PHIZ_MAX_OUTPUTS];
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < node->n_inputs && !status; i++) {
		input[i] = PHIZ_NONE;
		if (node->input[i] != PHIZ_NONE)
			status = get_real(z, node->input[i], &input[i]);
	}
	if (!status)
		status = copy_node(z, node, input, output);
	for (int o = 0; o < node->n_outputs && !status; o++)
		z->real[node->output[o]] = output[o];
	return status;
}

static enum phiz_status add_inputs(struct quantizer *z)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < z->from->n_values && !status; i++) {
		const struct phiz_value *v = &z->from->value[i];
		z->real[i] = z->byte[i] = PHIZ_NONE;
		if (v->kind == PHIZ_VALUE_INPUT)
			status = phiz_graph_input(z->to, v->name, v->type.dtype, &v->type.shape, &z->real[i]);
	}
	return status;
}

static enum phiz_status build(struct quantizer *z)
{
	enum phiz_status status = add_inputs(z);

	for (size_t n = 0; n < z->from->n_nodes && !status; n++) {
		const struct phiz_node *node = &z->from->node[n];
		bool taken = z->done[n];
		if (!taken)
			status = quantize_conv2d(z, node, &taken);
		if (!taken && !status)
			status = quantize_linear(z, node, &taken);
		if (!taken && !status)
			status = quantize_pool(z, node, &taken);
		if (!taken && !status)
			status = copy_as_real(z, node);
	}
	for (size_t i = 0; i < z->from->n_outputs && !status; i++) {
		int value;
		status = get_real(z, z->from->output[i], &value);
		if (!status)
			status = phiz_graph_output(z->to, value);
	}
	return status ? status : phiz_pass_prune(z->to);
}

enum phiz_status phiz_pass_quantize(const struct phiz_graph *graph, const struct phiz_quantize_options *options,
                                    struct phiz_graph **out)
{
	struct phiz_ctx *ctx = graph->ctx;
	struct quantizer z = {.from = graph, .options = *options};
	enum phiz_status status = phiz_graph_create(ctx, &z.to);

	*out = NULL;
	if (status)
		return status;
	z.real = phiz_calloc(ctx, graph->n_values + 1, sizeof *z.real);
	z.byte = phiz_calloc(ctx, graph->n_values + 1, sizeof *z.byte);
	z.scale = phiz_calloc(ctx, graph->n_values + 1, sizeof *z.scale);
	z.done = phiz_calloc(ctx, graph->n_nodes + 1, sizeof *z.done);
	status = z.real && z.byte && z.scale && z.done ? build(&z) : PHIZ_E_NOMEM;
	phiz_free(ctx, z.real);
	phiz_free(ctx, z.byte);
	phiz_free(ctx, z.scale);
	phiz_free(ctx, z.done);
	if (status)
		phiz_graph_free(&z.to);
	*out = z.to;
	return status;
}
