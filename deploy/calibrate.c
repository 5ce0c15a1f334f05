#include "deploy/calibrate.h"

#include <math.h>
#include <phiz/plan.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/ops/ops.h"

enum { BINS = 4096, HALF = BINS / 2, LEVELS = 255, STEPS = 100 };

/* Values of one activation by size: bin i holds those in [i - HALF, i - HALF + 1) * width, zeros apart. Where a value
 * lies outside, the bins are made twice as wide. */
struct histogram {
	double width; /* 0: nothing but zeros so far */
	double low, high;
	double count[BINS];
	double zeros;
	int64_t channels; /* dim 1 */
	double *sum, *square; /* of each channel, of all pictures; then their averages as floats */
	double *most;         /* of each channel, by size */
	float *mean_out, *square_out;
	double per_channel; /* elements that were added to one of them */
};

struct phiz_calibrator {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
	struct phiz_graph *graph; /* the model's, with every activation of interest as an output */
	struct phiz_plan *plan;
	int input, n_values, pictures;
	struct histogram **histogram; /* by value; NULL: of no interest */
};

bool phiz_clipping_parse(const char *name, enum phiz_clipping *out)
{
	static const char *const names[] = {"mse", "percentile", "max"};

	for (int i = 0; i < 3; i++)
		if (!strcmp(names[i], name)) {
			*out = (enum phiz_clipping)i;
			return true;
		}
	return false;
}

/* --- Gathering --- */

static void widen(struct histogram *h)
{
	double count[BINS] = {0};

	for (int i = 0; i < BINS; i++)
		count[HALF + (int)floor((i - HALF) / 2.0)] += h->count[i];
	memcpy(h->count, count, sizeof count);
	h->width *= 2;
}

static bool gather(struct histogram *h, const float *x, int64_t n)
{
	double low = 0, high = 0;

	for (int64_t i = 0; i < n; i++) {
		low = x[i] < low ? (double)x[i] : low;
		high = x[i] > high ? (double)x[i] : high;
		if (!isfinite(x[i]))
			return false;
	}
	double most = fmax(-low, high);
	if (h->width <= 0 && most > 0) /* a power of two, so that widening it changes no border */
		h->width = exp2(ceil(log2(most)) - log2(HALF));
	while (most >= h->width * HALF && h->width > 0)
		widen(h);
	h->low = fmin(h->low, low);
	h->high = fmax(h->high, high);
	const float per_width = h->width > 0 ? (float)(1 / h->width) : 0;
	for (int64_t i = 0; i < n; i++)
		if (x[i] < 0 || x[i] > 0)
			h->count[HALF + (int)floorf(x[i] * per_width)]++;
		else
			h->zeros++;
	return true;
}

static void gather_channels(struct histogram *h, const struct phiz_tensor *t)
{
	const float *x = t->data;
	int64_t inner = phiz_tensor_count(t) / t->shape.dim[0] / h->channels;

	for (int64_t i = 0; i < t->shape.dim[0] * h->channels; i++) {
		double sum = 0, square = 0, most = 0;
		for (int64_t k = 0; k < inner; k++) {
			double v = (double)x[i * inner + k];
			sum += v;
			square += v * v;
			most = fmax(most, fabs(v));
		}
		h->most[i % h->channels] = fmax(h->most[i % h->channels], most);
		h->sum[i % h->channels] += sum;
		h->square[i % h->channels] += square;
	}
	h->per_channel += (double)(t->shape.dim[0] * inner);
}

static bool is_of_interest(const struct phiz_value *v)
{
	return v->type.dtype == PHIZ_F32 && (v->kind == PHIZ_VALUE_ACTIVATION || v->kind == PHIZ_VALUE_INPUT);
}

static enum phiz_status want(struct phiz_calibrator *c, int value)
{
	const struct phiz_value *v = value == PHIZ_NONE ? NULL : phiz_graph_value(c->graph, value);

	if (!v || !is_of_interest(v) || c->histogram[value])
		return PHIZ_OK;
	struct histogram *h = c->histogram[value] = phiz_calloc(c->ctx, 1, sizeof *h);
	if (!h)
		return PHIZ_E_NOMEM;
	h->channels = v->type.shape.ndim > 1 ? v->type.shape.dim[1] : 1;
	h->sum = phiz_calloc(c->ctx, (size_t)h->channels, sizeof *h->sum);
	h->square = phiz_calloc(c->ctx, (size_t)h->channels, sizeof *h->square);
	h->most = phiz_calloc(c->ctx, (size_t)h->channels, sizeof *h->most);
	h->mean_out = phiz_calloc(c->ctx, (size_t)h->channels, sizeof *h->mean_out);
	h->square_out = phiz_calloc(c->ctx, (size_t)h->channels, sizeof *h->square_out);
	if (!h->sum || !h->square || !h->most || !h->mean_out || !h->square_out)
		return PHIZ_E_NOMEM;
	return v->kind == PHIZ_VALUE_ACTIVATION ? phiz_graph_output(c->graph, value) : PHIZ_OK;
}

/* What convolutions and linear layers read and write, and prelu, which may become part of them. */
static enum phiz_status want_all(struct phiz_calibrator *c)
{
	static const struct phiz_op *const ops[] = {&phiz_op_conv2d, &phiz_op_linear, &phiz_op_prelu};
	enum phiz_status status = PHIZ_OK;

	for (int n = 0; n < phiz_graph_n_nodes(c->graph); n++) {
		const struct phiz_node *node = phiz_graph_node(c->graph, n);
		bool counts = false;
		for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
			counts = counts || node->op == ops[i];
		for (int i = 0; counts && i < node->n_inputs && !status; i++)
			status = want(c, node->input[i]);
		if (counts && !status)
			status = want(c, node->output[0]);
	}
	return status;
}

static enum phiz_status make_plan(struct phiz_calibrator *c)
{
	int size = c->model->preproc.size;
	struct phiz_plan_options options = {.backend = phiz_backend_cpu(), .height = size, .width = size,
	                                    .loss = PHIZ_NONE, .fixed = true};

	return phiz_plan_create(c->ctx, c->graph, &options, &c->plan);
}

enum phiz_status phiz_calibrator_begin(struct phiz_ctx *ctx, struct phiz_model *model, struct phiz_calibrator **out)
{
	struct phiz_calibrator *c = phiz_calloc(ctx, 1, sizeof *c);
	enum phiz_status status = c ? PHIZ_OK : PHIZ_E_NOMEM;

	*out = NULL;
	if (status)
		return status;
	c->ctx = ctx;
	c->model = model;
	c->n_values = phiz_graph_n_values(model->graph);
	c->histogram = phiz_calloc(ctx, (size_t)c->n_values + 1, sizeof *c->histogram);
	status = c->histogram ? phiz_graph_clone(model->graph, &c->graph) : PHIZ_E_NOMEM;
	if (!status && phiz_model_task(model) == PHIZ_TASK_DETECT)
		status = phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "the model finds faces; int8 is for models that recognise them");
	if (!status) {
		c->input = phiz_graph_find_value(c->graph, "image");
		status = want_all(c);
	}
	if (!status)
		status = make_plan(c);
	if (status)
		phiz_calibrator_free(&c);
	*out = c;
	return status;
}

void phiz_calibrator_free(struct phiz_calibrator **calibrator)
{
	if (!calibrator || !*calibrator)
		return;
	struct phiz_calibrator *c = *calibrator;
	struct phiz_ctx *ctx = c->ctx;
	phiz_plan_free(&c->plan);
	phiz_graph_free(&c->graph);
	for (int i = 0; c->histogram && i < c->n_values; i++) {
		struct histogram *h = c->histogram[i];
		if (!h)
			continue;
		phiz_free(ctx, h->sum);
		phiz_free(ctx, h->square);
		phiz_free(ctx, h->most);
		phiz_free(ctx, h->mean_out);
		phiz_free(ctx, h->square_out);
		phiz_free(ctx, h);
	}
	phiz_free(ctx, c->histogram);
	phiz_free(ctx, c);
	*calibrator = NULL;
}

enum phiz_status phiz_calibrator_add(struct phiz_calibrator *calibrator, const struct phiz_image *image)
{
	struct phiz_calibrator *c = calibrator;
	struct phiz_tensor *in = phiz_plan_tensor(c->plan, c->input);
	enum phiz_status status = phiz_preproc_run(c->ctx, &c->model->preproc, image, in->data);

	if (!status)
		status = phiz_plan_forward(c->plan);
	for (int v = 0; v < c->n_values && !status; v++) {
		const struct phiz_tensor *t = c->histogram[v] ? phiz_plan_tensor(c->plan, v) : NULL;
		if (t && !gather(c->histogram[v], t->data, phiz_tensor_count(t)))
			status = phiz_fail(c->ctx, PHIZ_E_NUMERIC, "activation '%s' is not finite",
			                   phiz_graph_value(c->graph, v)->name);
		if (t && !status)
			gather_channels(c->histogram[v], t);
	}
	c->pictures += !status;
	return status;
}

static enum phiz_status check(struct phiz_calibrator *c, const char *const *keep, size_t n_keep)
{
	if (c->pictures == 0)
		return phiz_fail(c->ctx, PHIZ_E_ARG, "calibration needs pictures, and there was none that could be read");
	for (size_t i = 0; i < n_keep; i++)
		if (phiz_graph_find_node(c->graph, keep[i]) == PHIZ_NONE)
			return phiz_fail(c->ctx, PHIZ_E_ARG, "the model has no layer '%.100s' to keep", keep[i]);
	return PHIZ_OK;
}

/* --- Equalising --- */

static bool has_floats(const struct phiz_graph *g, const struct phiz_node *node, const char *input)
{
	int v = phiz_node_input(node, input);

	return v != PHIZ_NONE && g->value[v].tensor && g->value[v].type.dtype == PHIZ_F32 && phiz_graph_uses(g, v) == 1;
}

/* The convolution whose channels the node alone reads, through PReLU or directly, and that may be scaled; or NULL. */
static const struct phiz_node *scalable_before(const struct phiz_graph *g, const struct phiz_node *node)
{
	int v = node->input[0];

	if (g->value[v].node != PHIZ_NONE && phiz_node_is(&g->node[g->value[v].node], "prelu"))
		v = g->node[g->value[v].node].input[0];
	if (phiz_graph_uses(g, node->input[0]) != 1 || phiz_graph_uses(g, v) != 1 || g->value[v].node == PHIZ_NONE)
		return NULL;
	const struct phiz_node *conv = &g->node[g->value[v].node];
	bool scales = phiz_node_is(conv, "conv2d") && phiz_node_input(conv, "residual") == PHIZ_NONE &&
	              has_floats(g, conv, "weight") &&
	              (phiz_node_input(conv, "bias") == PHIZ_NONE || has_floats(g, conv, "bias"));
	return scales ? conv : NULL;
}

static void scale_rows(const struct phiz_graph *g, const struct phiz_node *node, const char *input,
                       const struct histogram *h, bool back)
{
	int v = phiz_node_input(node, input);

	if (v == PHIZ_NONE)
		return;
	float *x = g->value[v].tensor->data;
	int64_t n = phiz_tensor_count(g->value[v].tensor) / h->channels;
	double whole = fmax(-h->low, h->high);
	for (int64_t i = 0; i < n * h->channels; i++) {
		double most = h->most[i / n];
		if (most > 0)
			x[i] = (float)(back ? (double)x[i] * most / whole : (double)x[i] * whole / most);
	}
}

static void forget(struct histogram *h)
{
	const struct histogram old = *h;

	*h = (struct histogram){.channels = old.channels, .sum = old.sum, .square = old.square, .most = old.most,
	                        .mean_out = old.mean_out, .square_out = old.square_out};
	for (int64_t i = 0; i < h->channels; i++)
		h->sum[i] = h->square[i] = h->most[i] = 0;
}

enum phiz_status phiz_calibrator_equalize(struct phiz_calibrator *calibrator)
{
	struct phiz_calibrator *c = calibrator;
	const struct phiz_graph *g = c->model->graph;
	enum phiz_status status = check(c, NULL, 0);

	if (status)
		return status;
	for (size_t n = 0; n < g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		bool depthwise = phiz_node_is(node, "conv2d") && has_floats(g, node, "weight") &&
		                 g->value[node->output[0]].type.shape.dim[1] == phiz_node_attr_int(node, "groups", 1) &&
		                 g->value[node->input[0]].type.shape.dim[1] == phiz_node_attr_int(node, "groups", 1);
		const struct phiz_node *before = depthwise ? scalable_before(g, node) : NULL;
		if (!before)
			continue;
		scale_rows(g, before, "weight", c->histogram[node->input[0]], false);
		scale_rows(g, before, "bias", c->histogram[node->input[0]], false);
		scale_rows(g, node, "weight", c->histogram[node->input[0]], true);
	}
	for (int v = 0; v < c->n_values; v++)
		if (c->histogram[v])
			forget(c->histogram[v]);
	c->pictures = 0;
	phiz_plan_free(&c->plan);
	return make_plan(c);
}

/* --- Choosing --- */

/* The squared error with the range from low to high: rounding gives scale^2 / 12 each (zeros are exact), clipping the
 * distance. */
static double error_of(const struct histogram *h, double low, double high)
{
	double scale = (high - low) / LEVELS, inside = 0, sum = 0;

	for (int i = 0; i < BINS; i++) {
		double x = (i - HALF + 0.5) * h->width, beyond = x > high ? x - high : x < low ? low - x : 0;
		if (beyond > 0)
			sum += h->count[i] * beyond * beyond;
		else
			inside += h->count[i];
	}
	return sum + inside * scale * scale / 12;
}

/* One end at a time: the share of it that gives the least error while the other stays. */
static void clip_by_error(const struct histogram *h, double *low, double *high)
{
	for (int round = 0; round < 4; round++) {
		double *end = round % 2 ? low : high, whole = round % 2 ? h->low : h->high, best = INFINITY, chosen = whole;
		for (int i = STEPS; i > 0 && whole != 0; i--) {
			*end = whole * i / STEPS;
			double error = error_of(h, *low, *high);
			if (error < best) {
				best = error;
				chosen = *end;
			}
		}
		*end = chosen;
	}
}

static void clip_by_share(const struct histogram *h, double share, double *low, double *high)
{
	double total = 0, above = 0, below = 0;
	int i, j;

	for (i = 0; i < BINS; i++)
		total += h->count[i];
	for (i = BINS; i > HALF && above <= total * share; i--)
		above += h->count[i - 1];
	for (j = 0; j < HALF && below <= total * share; j++)
		below += h->count[j];
	*high = fmin(*high, (i + 1 - HALF) * h->width);
	*low = fmax(*low, (j - 1 - HALF) * h->width);
}

static struct phiz_range range_of(struct histogram *h, enum phiz_clipping clipping)
{
	double low = h->low, high = h->high;

	if (clipping == PHIZ_CLIP_MSE)
		clip_by_error(h, &low, &high);
	else if (clipping == PHIZ_CLIP_PERCENTILE)
		clip_by_share(h, 1e-4, &low, &high);
	for (int64_t i = 0; i < h->channels; i++) {
		h->mean_out[i] = (float)(h->sum[i] / h->per_channel);
		h->square_out[i] = (float)(h->square[i] / h->per_channel);
	}
	return (struct phiz_range){(float)low, (float)high, h->mean_out, h->square_out};
}

static enum phiz_status adopt(void *user, const char *name, struct phiz_tensor *tensor)
{
	return phiz_model_add(user, name, tensor, false);
}

enum phiz_status phiz_calibrator_end(struct phiz_calibrator *calibrator, enum phiz_clipping clipping,
                                     const char *const *keep, size_t n_keep)
{
	struct phiz_calibrator *c = calibrator;
	struct phiz_range *range;
	struct phiz_graph *graph;
	enum phiz_status status = check(c, keep, n_keep);

	if (status)
		return status;
	range = phiz_calloc(c->ctx, (size_t)c->n_values + 1, sizeof *range);
	if (!range)
		return PHIZ_E_NOMEM;
	for (int v = 0; v < c->n_values; v++)
		range[v] = c->histogram[v] ? range_of(c->histogram[v], clipping) : (struct phiz_range){1, 0, NULL, NULL};
	struct phiz_quantize_options options = {range, keep, n_keep, PHIZ_QUANTIZED_TERMS, adopt, c->model};
	status = phiz_pass_quantize(c->model->graph, &options, &graph);
	phiz_free(c->ctx, range);
	if (status)
		return status;
	phiz_graph_free(&c->model->graph);
	c->model->graph = graph;
	return phiz_model_prune(c->model);
}
