#include "train/trainnet.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/graph/graph.h"
#include "core/ops/ops.h"
#include "train/recipe.h"

/* --- Where to cut. --- */

/* Does the node do the same for a photo at every step, whatever is beside it in the batch? */
static bool is_constant(const struct phiz_node *node)
{
	if (phiz_node_is(node, "batch_norm"))
		return node->attr[PHIZ_BATCH_NORM_FROZEN].i != 0;
	if (phiz_node_is(node, "dropout"))
		return node->attr[PHIZ_DROPOUT_P].f == 0;
	return node->op->state_mask == 0;
}

/* Marks the nodes of the trunk; returns how many. */
static int mark_trunk(const struct phiz_graph *g, const bool *needs, bool *in_trunk)
{
	int count = 0;
	size_t n;

	for (n = 0; n < g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		bool fits = is_constant(node);
		int i;

		for (i = 0; i < node->n_outputs; i++)
			fits = fits && !needs[node->output[i]];
		for (i = 0; i < node->n_inputs; i++) {
			int v = node->input[i];

			if (v == PHIZ_NONE)
				continue;
			/* A trainable parameter of an input that has no gradient still changes from step to step. */
			fits = fits && !(g->value[v].kind == PHIZ_VALUE_PARAM && g->value[v].trainable);
			if (g->value[v].kind == PHIZ_VALUE_ACTIVATION)
				fits = fits && in_trunk[g->value[v].node];
		}
		in_trunk[n] = fits;
		count += fits;
	}
	return count;
}

/* Is the value handed from the trunk to the head (or is it a result that the trunk makes)? */
static bool crosses(const struct phiz_graph *g, const bool *in_trunk, int v)
{
	size_t n;
	int i;

	if (g->value[v].kind == PHIZ_VALUE_ACTIVATION && !in_trunk[g->value[v].node])
		return false;
	if (g->value[v].kind != PHIZ_VALUE_ACTIVATION && g->value[v].kind != PHIZ_VALUE_INPUT)
		return false;
	for (n = 0; n < g->n_nodes; n++)
		for (i = 0; !in_trunk[n] && i < g->node[n].n_inputs; i++)
			if (g->node[n].input[i] == v)
				return true;
	return false;
}

static enum phiz_status find_features(struct phiz_trainnet *net, const struct phiz_graph *g, const bool *in_trunk,
                                      int *feature)
{
	size_t v;

	for (v = 0; v < g->n_values; v++) {
		if (!crosses(g, in_trunk, (int)v))
			continue;
		if (net->n_features == PHIZ_MAX_FEATURES)
			return phiz_fail(net->ctx, PHIZ_E_LIMIT,
			                 "the frozen part hands more than %d values on; freeze whole blocks", PHIZ_MAX_FEATURES);
		feature[net->n_features++] = (int)v;
	}
	return PHIZ_OK;
}

/* --- The two halves. --- */

#define ERASED "train/erased"

/* The graph that reads the photos takes them as bytes, if that is wanted. */
static enum phiz_status take_bytes(const struct phiz_trainnet *net, struct phiz_graph *g)
{
	const struct phiz_preproc *p = net->options.bytes;

	return p ? phiz_pass_bytes(g, "image", p->mean, p->std, ERASED) : PHIZ_OK;
}

static enum phiz_status make_trunk(struct phiz_trainnet *net, const struct phiz_model *model, const bool *in_trunk,
                                   const int *feature)
{
	const struct phiz_graph *g = model->graph;
	size_t v;
	int k;

	if (phiz_model_clone(model, &net->trunk))
		return phiz_ctx_status(net->ctx);
	phiz_graph_clear_outputs(net->trunk->graph);
	for (k = 0; k < net->n_features; k++)
		if (phiz_graph_output(net->trunk->graph, feature[k]))
			return phiz_ctx_status(net->ctx);
	if (phiz_model_optimize(net->trunk) || take_bytes(net, net->trunk->graph))
		return phiz_ctx_status(net->ctx);
	for (k = 0; k < net->n_features; k++)
		net->trunk_output[k] = phiz_graph_output_at(net->trunk->graph, k);
	for (v = 0; v < g->n_nodes; v++)
		net->trunk_nodes += in_trunk[v];
	for (v = 0; v < g->n_values; v++)
		net->trunk_params += g->value[v].kind == PHIZ_VALUE_PARAM && !g->value[v].trainable;
	return PHIZ_OK;
}

/* The head's value for value v of the model's graph; parameters and buffers come over when they are first used. */
static enum phiz_status map_value(struct phiz_trainnet *net, const struct phiz_graph *g, int v, int *map)
{
	const struct phiz_value *value = v == PHIZ_NONE ? NULL : &g->value[v];
	enum phiz_status status;

	if (!value || map[v] != PHIZ_NONE)
		return PHIZ_OK;
	if (value->kind == PHIZ_VALUE_PARAM)
		status = phiz_graph_param(net->head, value->name, value->tensor, &map[v]);
	else if (value->kind == PHIZ_VALUE_BUFFER)
		status = phiz_graph_buffer(net->head, value->name, value->tensor, &map[v]);
	else
		status = phiz_fail(net->ctx, PHIZ_E_INTERNAL, "'%s' is on neither side of the cut", value->name);
	if (!status && value->kind == PHIZ_VALUE_PARAM)
		phiz_graph_value(net->head, map[v])->trainable = value->trainable;
	return status;
}

static enum phiz_status copy_node(struct phiz_trainnet *net, const struct phiz_graph *g, const struct phiz_node *node,
                                  int *map)
{
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	int input[PHIZ_MAX_INPUTS], output[PHIZ_MAX_OUTPUTS], i;

	for (i = 0; i < node->n_inputs; i++) {
		if (map_value(net, g, node->input[i], map))
			return phiz_ctx_status(net->ctx);
		input[i] = node->input[i] == PHIZ_NONE ? PHIZ_NONE : map[node->input[i]];
	}
	for (i = 0; i < node->op->n_attrs; i++) {
		attr[i].name = node->op->attrs[i].name;
		attr[i].value = node->op->attrs[i].kind == PHIZ_ATTR_INT ? (double)node->attr[i].i : node->attr[i].f;
	}
	if (phiz_graph_add(net->head, node->op, node->name, input, node->n_inputs, attr, node->op->n_attrs, output))
		return phiz_ctx_status(net->ctx);
	for (i = 0; i < node->n_outputs; i++)
		map[node->output[i]] = output[i];
	if (phiz_node_is(node, "batch_norm") && !node->attr[PHIZ_BATCH_NORM_FROZEN].i)
		net->batch_statistics = true;
	return PHIZ_OK;
}

static enum phiz_status add_labels(struct phiz_trainnet *net)
{
	struct phiz_shape one = phiz_shape_1d(1);

	return phiz_graph_input(net->head, "train/labels", PHIZ_I32, &one, &net->labels);
}

/* Cross entropy of the logits, as node `name`. */
static enum phiz_status add_cross_entropy(struct phiz_trainnet *net, const char *name, int logits, int *loss)
{
	struct phiz_shape one = phiz_shape_1d(1), classes = phiz_shape_1d(0);
	/* A batch may have nothing but photos without a name. */
	struct phiz_attr_arg attr[] = {{"smoothing", net->options.label_smoothing},
	                               {"allow_none", net->options.distill > 0}};
	int input[PHIZ_CE_INPUTS] = {logits, net->labels, PHIZ_NONE, PHIZ_NONE, PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	enum phiz_status status = PHIZ_OK;

	classes.dim[0] = phiz_graph_value(net->head, logits)->type.shape.dim[1];
	if (net->options.class_weight) {
		status = phiz_tensor_create(net->ctx, PHIZ_F32, &classes, &net->class_weight);
		if (!status) {
			memcpy(net->class_weight->data, net->options.class_weight, phiz_tensor_bytes(net->class_weight));
			status = phiz_graph_buffer(net->head, "train/class_weight", net->class_weight, &input[PHIZ_CE_WEIGHT]);
		}
	}
	if (!status && net->options.mixup)
		status = phiz_graph_input(net->head, "train/labels_b", PHIZ_I32, &one, &input[PHIZ_CE_LABELS_B]);
	if (!status && net->options.mixup)
		status = phiz_graph_input(net->head, "train/lambda", PHIZ_F32, &one, &input[PHIZ_CE_LAMBDA]);
	if (!status)
		status = phiz_graph_add(net->head, &phiz_op_softmax_cross_entropy, name, input, PHIZ_CE_INPUTS, attr, 2,
		                        output);
	*loss = status ? PHIZ_NONE : output[0];
	return status;
}

/* ArcFace's and CosFace's logits of an embedding. */
static enum phiz_status add_margin(struct phiz_trainnet *net, int embedding, int *logits)
{
	const struct phiz_trainnet_options *o = &net->options;
	struct phiz_attr_arg attr[] = {{"scale", o->scale}, {"angle", 0}, {"cosine", 0}};
	int input[PHIZ_MARGIN_INPUTS] = {embedding, PHIZ_NONE, net->labels, PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	struct phiz_shape one = phiz_shape_1d(1);
	enum phiz_status status;

	attr[o->loss == PHIZ_LOSS_ARCFACE ? 1 : 2].value = o->margin;
	status = phiz_graph_param(net->head, PHIZ_LOSS_WEIGHT, o->loss_weight, &input[PHIZ_MARGIN_WEIGHT]);
	if (!status)
		status = phiz_graph_input(net->head, "train/margin_share", PHIZ_F32, &one, &input[PHIZ_MARGIN_SHARE]);
	if (!status)
		status = phiz_graph_add(net->head, &phiz_op_margin_linear, "train/logits", input, PHIZ_MARGIN_INPUTS, attr, 3,
		                        output);
	*logits = status ? PHIZ_NONE : output[0];
	return status;
}

/* FaceNet's triplets. */
static enum phiz_status add_triplets(struct phiz_trainnet *net, int embedding, int *loss)
{
	struct phiz_attr_arg attr[] = {{"margin", net->options.margin}, {"mining", (double)net->options.mining}};
	int input[PHIZ_TRIPLET_INPUTS] = {embedding, net->labels}, output[PHIZ_MAX_OUTPUTS];
	enum phiz_status status = phiz_graph_add(net->head, &phiz_op_triplet_loss, "train/triplets", input,
	                                         PHIZ_TRIPLET_INPUTS, attr, 2, output);

	*loss = status ? PHIZ_NONE : output[0];
	return status;
}

static enum phiz_status add_centers(struct phiz_trainnet *net, int embedding, int *loss)
{
	struct phiz_attr_arg attr = {"rate", net->options.center_rate};
	int input[PHIZ_CENTER_INPUTS] = {embedding, net->labels, PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	enum phiz_status status = phiz_graph_buffer(net->head, PHIZ_LOSS_CENTER, net->options.loss_center,
	                                            &input[PHIZ_CENTER_CENTERS]);

	if (!status)
		status = phiz_graph_add(net->head, &phiz_op_center_loss, "train/centers", input, PHIZ_CENTER_INPUTS, &attr, 1,
		                        output);
	*loss = status ? PHIZ_NONE : output[0];
	return status;
}

static enum phiz_status add_distill(struct phiz_trainnet *net, int embedding, int *loss)
{
	struct phiz_attr_arg attr = {"similarity", net->options.similarity};
	struct phiz_shape shape = phiz_graph_value(net->head, embedding)->type.shape;
	int input[PHIZ_DISTILL_INPUTS] = {embedding, PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	enum phiz_status status = phiz_graph_input(net->head, "train/teacher", PHIZ_F32, &shape, &net->teacher);

	input[PHIZ_DISTILL_TEACHER] = net->teacher;
	if (!status)
		status = phiz_graph_add(net->head, &phiz_op_distill_loss, "train/distill", input, PHIZ_DISTILL_INPUTS, &attr, 1,
		                        output);
	*loss = status ? PHIZ_NONE : output[0];
	return status;
}

/* *loss times weight. */
static enum phiz_status weigh(struct phiz_trainnet *net, double weight, int *loss)
{
	struct phiz_shape scalar = {0};
	struct phiz_tensor **t = &net->term_weight[net->n_terms];
	int input[2] = {*loss, PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	char name[40];
	enum phiz_status status = phiz_tensor_create(net->ctx, PHIZ_F32, &scalar, t);

	if (status)
		return status;
	*(float *)(*t)->data = (float)weight;
	snprintf(name, sizeof name, "train/weight%d", net->n_terms);
	status = phiz_graph_buffer(net->head, name, *t, &input[1]);
	snprintf(name, sizeof name, "train/weighted%d", net->n_terms);
	if (!status)
		status = phiz_graph_add(net->head, &phiz_op_mul, name, input, 2, NULL, 0, output);
	*loss = status ? PHIZ_NONE : output[0];
	return status;
}

/* Adds one more term, times its weight, to *total (PHIZ_NONE: it is the first). */
static enum phiz_status add_term(struct phiz_trainnet *net, double weight, int loss, int *total)
{
	int input[2] = {*total, loss}, output[PHIZ_MAX_OUTPUTS];
	char name[40];
	enum phiz_status status = weight == 1 ? PHIZ_OK : weigh(net, weight, &input[1]);

	net->n_terms++;
	if (status || *total == PHIZ_NONE) {
		*total = input[1];
		return status;
	}
	snprintf(name, sizeof name, "train/sum%d", net->n_terms);
	status = phiz_graph_add(net->head, &phiz_op_add, name, input, 2, NULL, 0, output);
	*total = status ? PHIZ_NONE : output[0];
	return status;
}

/* The loss that the recipe is named after, but for distilling. */
static enum phiz_status add_main(struct phiz_trainnet *net, int from, int *logits, int *loss)
{
	int kind = net->options.loss;
	enum phiz_status status = PHIZ_OK;

	if (kind == PHIZ_LOSS_TRIPLET)
		return add_triplets(net, from, loss);
	*logits = from;
	if (kind != PHIZ_LOSS_CROSS_ENTROPY)
		status = add_margin(net, from, logits);
	return status ? status : add_cross_entropy(net, "train/classes", *logits, loss);
}

/* Adds the losses behind the model's output and makes their sum and the people's logits outputs, so that the pass
 * behind this one keeps them. */
static enum phiz_status add_losses(struct phiz_trainnet *net, int from)
{
	const struct phiz_trainnet_options *o = &net->options;
	int loss, total = PHIZ_NONE, logits = PHIZ_NONE;
	enum phiz_status status = PHIZ_OK;

	net->labels = net->teacher = PHIZ_NONE;
	if (o->loss != PHIZ_LOSS_DISTILL)
		status = add_labels(net);
	if (!status && o->distill > 0) {
		status = add_distill(net, from, &loss);
		if (!status)
			status = add_term(net, o->distill, loss, &total);
	}
	if (!status && o->loss_center) {
		status = add_centers(net, from, &loss);
		if (!status)
			status = add_term(net, o->center, loss, &total);
	}
	if (!status && o->loss != PHIZ_LOSS_DISTILL) {
		status = add_main(net, from, &logits, &loss);
		if (!status)
			status = add_term(net, 1, loss, &total);
	}
	if (!status)
		status = phiz_graph_output(net->head, total);
	if (!status && logits != PHIZ_NONE && logits != from)
		status = phiz_graph_output(net->head, logits);
	return status;
}

/* After the fusing pass ids are new: find everything again by name. Outputs are logits or embedding, loss, logits. */
static void find_values(struct phiz_trainnet *net, char *const *feature_name)
{
	int k;

	for (k = 0; k < net->n_features; k++)
		net->feature[k] = phiz_graph_find_value(net->head, feature_name[k]);
	net->labels = phiz_graph_find_value(net->head, "train/labels");
	net->labels_b = phiz_graph_find_value(net->head, "train/labels_b");
	net->lambda = phiz_graph_find_value(net->head, "train/lambda");
	net->teacher = phiz_graph_find_value(net->head, "train/teacher");
	net->margin_share = phiz_graph_find_value(net->head, "train/margin_share");
	net->erased = phiz_graph_find_value(net->head, ERASED);
	net->output = phiz_graph_output_at(net->head, 0);
	net->loss = phiz_graph_output_at(net->head, 1);
	net->logits = net->options.loss == PHIZ_LOSS_CROSS_ENTROPY   ? net->output
	              : phiz_graph_n_outputs(net->head) > 2 ? phiz_graph_output_at(net->head, 2)
	                                                    : PHIZ_NONE;
}

/* What stands behind the model in the head is for training alone. */
static enum phiz_status choose_outputs(struct phiz_trainnet *net)
{
	enum phiz_status status;

	phiz_graph_clear_outputs(net->head);
	status = phiz_graph_output(net->head, net->output);
	if (!status)
		status = phiz_graph_clone(net->head, &net->val_head);
	if (!status && net->logits != PHIZ_NONE && net->logits != net->output)
		status = phiz_graph_output(net->head, net->logits);
	return status;
}

static enum phiz_status make_head(struct phiz_trainnet *net, const struct phiz_graph *g, const bool *in_trunk,
                                  const int *feature, int *map)
{
	char *name[PHIZ_MAX_FEATURES];
	enum phiz_status status = phiz_graph_create(net->ctx, &net->head);
	size_t n;
	int k;

	for (k = 0; k < net->n_features && !status; k++) {
		const struct phiz_value *v = &g->value[feature[k]];

		name[k] = v->name;
		status = phiz_graph_input(net->head, v->name, v->type.dtype, &v->type.shape, &map[feature[k]]);
	}
	for (n = 0; n < g->n_nodes && !status; n++)
		if (!in_trunk[n])
			status = copy_node(net, g, &g->node[n], map);
	if (!status)
		status = phiz_graph_output(net->head, map[g->output[0]]);
	if (!status)
		status = add_losses(net, map[g->output[0]]);
	if (!status && !net->trunk)
		status = take_bytes(net, net->head);
	if (!status)
		status = phiz_pass_fuse_activation(net->head, true);
	if (status)
		return status;
	find_values(net, name);
	return choose_outputs(net);
}

/* --- Plans. --- */

static enum phiz_status make_plans(struct phiz_trainnet *net)
{
	const struct phiz_trainnet_options *o = &net->options;
	struct phiz_plan_options options;
	enum phiz_status status = PHIZ_OK;

	memset(&options, 0, sizeof options);
	options.loss = PHIZ_NONE;
	options.backend = o->backend;
	options.seed = o->seed;
	options.precision = o->precision;
	if (net->trunk) {
		options.mode = PHIZ_PLAN_INFER;
		options.fixed = true; /* it is frozen; another freezing makes other plans */
		options.batch = o->batch > o->val_batch ? o->batch : o->val_batch;
		status = phiz_plan_create(net->ctx, net->trunk->graph, &options, &net->trunk_plan);
	}
	if (!status) {
		options.mode = PHIZ_PLAN_TRAIN;
		options.fixed = false;
		options.batch = o->batch;
		options.loss = net->loss;
		status = phiz_plan_create(net->ctx, net->head, &options, &net->train_plan);
	}
	if (!status && o->val_batch > 0) {
		options.mode = PHIZ_PLAN_INFER;
		options.batch = o->val_batch;
		options.loss = PHIZ_NONE;
		options.parameters_of = net->train_plan;
		status = phiz_plan_create(net->ctx, net->val_head, &options, &net->val_plan);
	}
	return status;
}

static void free_plans(struct phiz_trainnet *net)
{
	phiz_plan_free(&net->trunk_plan);
	phiz_plan_free(&net->val_plan); /* it may have the other's parameters */
	phiz_plan_free(&net->train_plan);
}

/* All on one backend: parameters are where they are trained. */
static enum phiz_status make_plans_somewhere(struct phiz_trainnet *net)
{
	struct phiz_trainnet_options *o = &net->options;
	enum phiz_status status = make_plans(net);

	if (status != PHIZ_E_UNSUPPORTED || !o->fallback || o->fallback == o->backend)
		return status;
	phiz_log(net->ctx, PHIZ_LOG_INFO, "%s: the %s backend trains it instead", phiz_ctx_message(net->ctx),
	         o->fallback->name);
	phiz_ctx_clear(net->ctx);
	free_plans(net);
	o->backend = o->fallback;
	return make_plans(net);
}

static void count_features(struct phiz_trainnet *net)
{
	int k;

	for (k = 0; k < net->n_features; k++) {
		net->feature_count[k] = (size_t)phiz_shape_count(&phiz_graph_value(net->head, net->feature[k])->type.shape);
		net->feature_total += net->feature_count[k];
	}
}

static enum phiz_status build(struct phiz_trainnet *net, const struct phiz_model *model)
{
	const struct phiz_graph *g = model->graph;
	int feature[PHIZ_MAX_FEATURES], trunk_nodes;
	bool *needs = phiz_calloc(net->ctx, g->n_values + 1, sizeof *needs);
	bool *in_trunk = phiz_calloc(net->ctx, g->n_nodes + 1, sizeof *in_trunk);
	int *map = phiz_alloc(net->ctx, g->n_values + 1, sizeof *map);
	enum phiz_status status = needs && in_trunk && map ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t v;

	if (status)
		goto done;
	for (v = 0; v < g->n_values; v++)
		map[v] = PHIZ_NONE;
	phiz_graph_needs_gradient(g, needs);
	trunk_nodes = mark_trunk(g, needs, in_trunk);
	if (net->options.keep_whole) {
		memset(in_trunk, 0, g->n_nodes * sizeof *in_trunk);
		trunk_nodes = 0;
	}
	status = find_features(net, g, in_trunk, feature);
	if (!status && trunk_nodes)
		status = make_trunk(net, model, in_trunk, feature);
	if (!status)
		status = make_head(net, g, in_trunk, feature, map);
	if (status)
		goto done;
	count_features(net);
	status = make_plans_somewhere(net);
done:
	phiz_free(net->ctx, needs);
	phiz_free(net->ctx, in_trunk);
	phiz_free(net->ctx, map);
	return status;
}

enum phiz_status phiz_trainnet_create(struct phiz_model *model, const struct phiz_trainnet_options *options,
                                      struct phiz_trainnet **out)
{
	struct phiz_trainnet *net = phiz_calloc(model->ctx, 1, sizeof *net);
	enum phiz_status status;

	*out = NULL;
	if (!net)
		return PHIZ_E_NOMEM;
	net->ctx = model->ctx;
	net->options = *options;
	if (!net->options.backend)
		net->options.backend = phiz_backend_cpu();
	net->share = 1;
	status = build(net, model);
	net->options.class_weight = NULL; /* it was copied */
	net->options.bytes = NULL;
	if (status)
		phiz_trainnet_free(&net);
	*out = net;
	return status;
}

const struct phiz_backend *phiz_trainnet_backend(const struct phiz_trainnet *net) { return net->options.backend; }

void phiz_trainnet_free(struct phiz_trainnet **net)
{
	struct phiz_trainnet *n = net ? *net : NULL;
	int i;

	if (!n)
		return;
	free_plans(n);
	phiz_graph_free(&n->head);
	phiz_graph_free(&n->val_head);
	phiz_model_free(&n->trunk);
	phiz_tensor_free(n->ctx, &n->class_weight);
	for (i = 0; i < n->n_terms; i++)
		phiz_tensor_free(n->ctx, &n->term_weight[i]);
	phiz_free(n->ctx, n);
	*net = NULL;
}

/* --- Running. --- */

enum phiz_status phiz_trainnet_begin(struct phiz_trainnet *net, bool val, int n, float *features[PHIZ_MAX_FEATURES])
{
	struct phiz_plan *plan = val ? net->val_plan : net->train_plan;
	enum phiz_status status;
	int k;

	if (!plan)
		return phiz_fail(net->ctx, PHIZ_E_INTERNAL, "the net was made without a validation plan");
	status = phiz_plan_set_batch(plan, n);
	for (k = 0; k < net->n_features; k++)
		features[k] = phiz_plan_tensor(plan, net->feature[k])->data;
	net->filled = plan;
	return status;
}

struct copy_job {
	char *to;
	const char *from;
};

static void copy_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct copy_job *j = arg;

	(void)worker;
	memcpy(j->to + begin, j->from + begin, (size_t)(end - begin));
}

/* By all threads: one alone takes longer over a large batch than a GPU over its step. */
static void copy(struct phiz_trainnet *net, void *to, const void *from, size_t bytes)
{
	struct copy_job job = {to, from};

	phiz_parallel_for(net->ctx, (int64_t)bytes, (int64_t)1 << 20, copy_piece, &job);
}

/* The photos, `photo` bytes each, through the trunk, if there is one. */
static enum phiz_status make_features(struct phiz_trainnet *net, const void *photos, size_t photo,
                                      const int32_t *erased, int n, float *const *features)
{
	struct phiz_plan *plan = net->trunk ? net->trunk_plan : net->filled;
	const struct phiz_graph *g = net->trunk ? net->trunk->graph : net->head;
	enum phiz_status status = net->trunk ? phiz_plan_set_batch(plan, n) : PHIZ_OK;
	int k;

	if (status)
		return status;
	copy(net, phiz_plan_tensor(plan, phiz_graph_find_value(g, "image"))->data, photos, (size_t)n * photo);
	if (erased)
		memcpy(phiz_plan_tensor(plan, phiz_graph_find_value(g, ERASED))->data, erased,
		       (size_t)n * 4 * sizeof *erased);
	if (net->trunk)
		status = phiz_plan_forward(plan);
	for (k = 0; k < net->n_features && net->trunk && !status; k++)
		memcpy(features[k], phiz_plan_tensor(plan, net->trunk_output[k])->data,
		       (size_t)n * net->feature_count[k] * sizeof(float));
	return status;
}

static size_t photo_numbers(const struct phiz_trainnet *net)
{
	return 3 * (size_t)net->options.size * (size_t)net->options.size;
}

enum phiz_status phiz_trainnet_features(struct phiz_trainnet *net, const float *images, int n, float *const *features)
{
	return make_features(net, images, photo_numbers(net) * sizeof *images, NULL, n, features);
}

enum phiz_status phiz_trainnet_bytes(struct phiz_trainnet *net, const uint8_t *bytes, const int32_t *erased, int n,
                                     float *const *features)
{
	return make_features(net, bytes, photo_numbers(net), erased, n, features);
}

enum phiz_status phiz_trainnet_send(struct phiz_trainnet *net)
{
	return phiz_plan_send_inputs(net->train_plan);
}

void phiz_trainnet_set_margin(struct phiz_trainnet *net, double share)
{
	net->share = share;
}

float *phiz_trainnet_teacher(struct phiz_trainnet *net)
{
	return net->teacher == PHIZ_NONE ? NULL : phiz_plan_tensor(net->train_plan, net->teacher)->data;
}

enum phiz_status phiz_trainnet_forward(struct phiz_trainnet *net, int n, const int32_t *labels, const int32_t *labels_b,
                                       float lambda, uint64_t step, double *loss, const float **logits)
{
	struct phiz_plan *plan = net->train_plan;
	enum phiz_status status;
	int i;

	if (net->labels != PHIZ_NONE)
		memcpy(phiz_plan_tensor(plan, net->labels)->data, labels, (size_t)n * sizeof *labels);
	if (net->margin_share != PHIZ_NONE) {
		float *share = phiz_plan_tensor(plan, net->margin_share)->data;

		for (i = 0; i < n; i++)
			share[i] = (float)net->share;
	}
	if (net->options.mixup) {
		float *mix = phiz_plan_tensor(plan, net->lambda)->data;

		memcpy(phiz_plan_tensor(plan, net->labels_b)->data, labels_b ? labels_b : labels,
		       (size_t)n * sizeof *labels);
		for (i = 0; i < n; i++)
			mix[i] = labels_b ? lambda : 1;
	}
	phiz_plan_set_step(plan, step);
	status = phiz_plan_forward(plan);
	if (status)
		return status;
	*loss = (double)*(const float *)phiz_plan_tensor(plan, net->loss)->data;
	*logits = net->logits == PHIZ_NONE ? NULL : phiz_plan_tensor(plan, net->logits)->data;
	return PHIZ_OK;
}

enum phiz_status phiz_trainnet_backward(struct phiz_trainnet *net, bool add, double scale)
{
	return phiz_plan_backward(net->train_plan, add, scale);
}

enum phiz_status phiz_trainnet_validate(struct phiz_trainnet *net, const float **output)
{
	enum phiz_status status = phiz_plan_forward(net->val_plan);

	if (!status)
		*output = phiz_plan_tensor(net->val_plan, net->output)->data;
	return status;
}

struct phiz_tensor *phiz_trainnet_parameter(struct phiz_trainnet *net, const char *name)
{
	return phiz_plan_parameter(net->train_plan, phiz_graph_find_value(net->head, name));
}

enum phiz_status phiz_trainnet_push(struct phiz_trainnet *net)
{
	enum phiz_status status = phiz_plan_push(net->train_plan);

	return status || !net->val_plan ? status : phiz_plan_push(net->val_plan);
}

enum phiz_status phiz_trainnet_pull(struct phiz_trainnet *net)
{
	return phiz_plan_pull(net->train_plan);
}

struct phiz_tensor *phiz_trainnet_gradient(struct phiz_trainnet *net, const char *name)
{
	int v = phiz_graph_find_value(net->head, name);

	return v == PHIZ_NONE ? NULL : phiz_plan_gradient(net->train_plan, v);
}
