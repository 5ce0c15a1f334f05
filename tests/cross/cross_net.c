#include "cross/cross_net.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/ops/ops.h"
#include "support/op_case.h"

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

/* Batch norms as after some training, so that folding them is not trivial. */
static void stir(struct phiz_model *model)
{
	struct phiz_rng rng;

	for (size_t e = 0; e < model->n_entries; e++) {
		const struct phiz_entry *entry = &model->entry[e];
		bool var = ends_with(entry->name, "running_var"), weight = ends_with(entry->name, ".weight");

		phiz_rng_init(&rng, 3, 0, e, PHIZ_STREAM_TEST);
		for (int64_t i = 0; entry->tensor->shape.ndim == 1 && i < phiz_tensor_count(entry->tensor); i++)
			op_set(entry->tensor, i, var || weight ? phiz_rng_uniform(&rng, 0.5, 1.5) : 0.1 * phiz_rng_normal(&rng));
	}
}

static enum phiz_dtype widened(enum phiz_dtype dtype)
{
	return dtype == PHIZ_F32 ? PHIZ_F64 : dtype;
}

static int widen_value(struct cross_net *n, const struct phiz_value *v, int n_wide)
{
	struct phiz_tensor **t = &n->wide[n_wide];
	int value = PHIZ_NONE;

	if (v->kind == PHIZ_VALUE_INPUT) {
		assert_ok(n->ctx, phiz_graph_input(n->graph, v->name, widened(v->type.dtype), &v->type.shape, &value));
		return value;
	}
	assert_ok(n->ctx, phiz_tensor_create(n->ctx, widened(v->tensor->dtype), &v->tensor->shape, t));
	assert_ok(n->ctx, phiz_tensor_convert(n->ctx, v->tensor, *t));
	if (v->kind == PHIZ_VALUE_PARAM)
		assert_ok(n->ctx, phiz_graph_param(n->graph, v->name, *t, &value));
	else
		assert_ok(n->ctx, phiz_graph_buffer(n->graph, v->name, *t, &value));
	return value;
}

static int widen_node(struct cross_net *n, const struct phiz_node *node, const int *to)
{
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	int input[PHIZ_MAX_INPUTS], output[PHIZ_MAX_OUTPUTS];

	for (int i = 0; i < node->n_inputs; i++)
		input[i] = node->input[i] == PHIZ_NONE ? PHIZ_NONE : to[node->input[i]];
	for (int a = 0; a < node->op->n_attrs; a++) {
		attr[a].name = node->op->attrs[a].name;
		attr[a].value = node->op->attrs[a].kind == PHIZ_ATTR_INT ? (double)node->attr[a].i : node->attr[a].f;
	}
	assert_ok(n->ctx, phiz_graph_add(n->graph, node->op, node->name, input, node->n_inputs, attr, node->op->n_attrs,
	                                 output));
	return output[0];
}

/* The model's graph once more, in double. */
static void widen(struct cross_net *n)
{
	struct phiz_graph *from = n->model->graph;
	int count = phiz_graph_n_values(from), n_wide = 0;
	int *to = phiz_calloc(n->ctx, (size_t)count, sizeof(*to));

	n->wide = phiz_calloc(n->ctx, (size_t)count + 1, sizeof(*n->wide));
	assert_true(to && n->wide);
	assert_ok(n->ctx, phiz_graph_create(n->ctx, &n->graph));
	for (int v = 0; v < count; v++) {
		const struct phiz_value *value = phiz_graph_value(from, v);

		if (value->kind != PHIZ_VALUE_ACTIVATION) {
			to[v] = widen_value(n, value, n_wide);
			n_wide += value->tensor != NULL;
		}
	}
	for (int i = 0; i < phiz_graph_n_nodes(from); i++) {
		const struct phiz_node *node = phiz_graph_node(from, i);

		to[node->output[0]] = widen_node(n, node, to);
	}
	assert_ok(n->ctx, phiz_graph_output(n->graph, to[phiz_graph_output_at(from, 0)]));
	phiz_free(n->ctx, to);
}

/* Labels and a loss behind the output. */
static void add_loss(struct cross_net *n)
{
	struct phiz_shape one = phiz_shape_1d(1);
	int in[2] = {phiz_graph_output_at(n->graph, 0)}, loss;

	assert_ok(n->ctx, phiz_graph_input(n->graph, "labels", PHIZ_I32, &one, &in[1]));
	assert_ok(n->ctx, phiz_graph_add(n->graph, &phiz_op_softmax_cross_entropy, "loss", in, 2, NULL, 0, &loss));
	assert_ok(n->ctx, phiz_graph_output(n->graph, loss));
}

static void fill_inputs(struct cross_net *n, uint64_t seed, int classes)
{
	struct phiz_tensor *image = phiz_plan_tensor(n->plan, phiz_graph_find_value(n->graph, "image"));
	int labels = phiz_graph_find_value(n->graph, "labels");
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	op_fill_normal(image, &rng);
	if (labels == PHIZ_NONE)
		return;
	for (int64_t i = 0; i < image->shape.dim[0]; i++)
		op_set(phiz_plan_tensor(n->plan, labels), i, (double)(i * 3 % classes));
}

void cross_start(struct cross_net *n, const struct cross_options *o, int threads)
{
	struct phiz_plan_options plan = {.backend = o->backend, .batch = o->batch, .loss = PHIZ_NONE};

	memset(n, 0, sizeof(*n));
	n->ctx = test_ctx(threads);
	assert_ok(n->ctx, phiz_model_from_cfg(n->ctx, phiz_net_builtin(o->net), o->net, o->classes, o->size, 1, &n->model));
	stir(n->model);
	if (o->rewritten && !o->training)
		assert_ok(n->ctx, phiz_model_optimize(n->model));
	n->graph = n->model->graph;
	if (o->real == PHIZ_F64)
		widen(n);
	if (o->training) {
		add_loss(n);
		if (o->rewritten)
			assert_ok(n->ctx, phiz_pass_fuse_activation(n->graph, true));
		plan.mode = PHIZ_PLAN_TRAIN;
		plan.loss = phiz_graph_find_value(n->graph, "loss");
	}
	plan.height = plan.width = o->size;
	assert_ok(n->ctx, phiz_plan_create(n->ctx, n->graph, &plan, &n->plan));
	fill_inputs(n, o->seed, o->classes);
}

void cross_run(struct cross_net *n)
{
	assert_ok(n->ctx, phiz_plan_forward(n->plan));
	if (phiz_graph_find_value(n->graph, "loss") != PHIZ_NONE)
		assert_ok(n->ctx, phiz_plan_backward(n->plan, false, 1));
}

void cross_done(struct cross_net *n)
{
	phiz_plan_free(&n->plan);
	if (n->graph != n->model->graph)
		phiz_graph_free(&n->graph);
	for (struct phiz_tensor **t = n->wide; t && *t; t++)
		phiz_tensor_free(n->ctx, t);
	phiz_free(n->ctx, n->wide);
	phiz_model_free(&n->model);
	test_ctx_done(&n->ctx);
}

const struct phiz_tensor *cross_output(const struct cross_net *n)
{
	return phiz_plan_tensor(n->plan, phiz_graph_output_at(n->graph, 0));
}

const struct phiz_tensor *cross_parameter(const struct cross_net *n, const char *name)
{
	int value = phiz_graph_find_value(n->graph, name);

	return value == PHIZ_NONE ? NULL : phiz_graph_value(n->graph, value)->tensor;
}

const struct phiz_tensor *cross_gradient(const struct cross_net *n, const char *name)
{
	int value = phiz_graph_find_value(n->graph, name);

	return value == PHIZ_NONE ? NULL : phiz_plan_gradient(n->plan, value);
}
