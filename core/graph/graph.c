/* Building and reading graphs. */
#include "core/graph/graph.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum phiz_status phiz_graph_create(struct phiz_ctx *ctx, struct phiz_graph **out)
{
	*out = NULL;
	struct phiz_graph *g = phiz_calloc(ctx, 1, sizeof *g);
	if (!g)
		return PHIZ_E_NOMEM;
	g->ctx = ctx;
	*out = g;
	return PHIZ_OK;
}

void phiz_graph_free(struct phiz_graph **graph)
{
	if (!graph || !*graph)
		return;
	struct phiz_graph *g = *graph;
	struct phiz_ctx *ctx = g->ctx;
	for (size_t i = 0; i < g->n_values; i++)
		phiz_free(ctx, g->value[i].name);
	for (size_t i = 0; i < g->n_nodes; i++)
		phiz_free(ctx, g->node[i].name);
	phiz_free(ctx, g->value);
	phiz_free(ctx, g->node);
	phiz_free(ctx, g->output);
	phiz_free(ctx, g);
	*graph = NULL;
}

enum phiz_status phiz_graph_clone(const struct phiz_graph *graph, struct phiz_graph **out)
{
	struct phiz_ctx *ctx = graph->ctx;
	struct phiz_graph *g = NULL;
	enum phiz_status status = phiz_graph_create(ctx, &g);

	*out = NULL;
	if (status)
		return status;
	g->value = phiz_calloc(ctx, graph->n_values + 1, sizeof *g->value);
	g->node = phiz_calloc(ctx, graph->n_nodes + 1, sizeof *g->node);
	g->output = phiz_calloc(ctx, graph->n_outputs + 1, sizeof *g->output);
	if (!g->value || !g->node || !g->output)
		goto fail;
	g->values_capacity = graph->n_values + 1;
	g->nodes_capacity = graph->n_nodes + 1;
	g->outputs_capacity = graph->n_outputs + 1;
	for (; g->n_values < graph->n_values; g->n_values++) {
		struct phiz_value *v = &g->value[g->n_values];
		*v = graph->value[g->n_values];
		v->name = phiz_strdup(ctx, v->name);
		if (!v->name)
			goto fail;
	}
	for (; g->n_nodes < graph->n_nodes; g->n_nodes++) {
		struct phiz_node *n = &g->node[g->n_nodes];
		*n = graph->node[g->n_nodes];
		n->name = phiz_strdup(ctx, n->name);
		if (!n->name)
			goto fail;
	}
	for (; g->n_outputs < graph->n_outputs; g->n_outputs++)
		g->output[g->n_outputs] = graph->output[g->n_outputs];
	*out = g;
	return PHIZ_OK;
fail:
	phiz_graph_free(&g);
	return PHIZ_E_NOMEM;
}

int phiz_graph_n_values(const struct phiz_graph *graph) { return (int)graph->n_values; }
int phiz_graph_n_nodes(const struct phiz_graph *graph) { return (int)graph->n_nodes; }
int phiz_graph_n_outputs(const struct phiz_graph *graph) { return (int)graph->n_outputs; }
int phiz_graph_output_at(const struct phiz_graph *graph, int i) { return graph->output[i]; }
struct phiz_value *phiz_graph_value(struct phiz_graph *graph, int value) { return &graph->value[value]; }
struct phiz_node *phiz_graph_node(struct phiz_graph *graph, int node) { return &graph->node[node]; }

uint32_t phiz_name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

int phiz_graph_find_value(const struct phiz_graph *graph, const char *name)
{
	uint32_t hash = phiz_name_hash(name);

	for (size_t i = 0; i < graph->n_values; i++)
		if (graph->value[i].name_hash == hash && !strcmp(graph->value[i].name, name))
			return (int)i;
	return PHIZ_NONE;
}

int phiz_graph_find_node(const struct phiz_graph *graph, const char *name)
{
	uint32_t hash = phiz_name_hash(name);

	for (size_t i = 0; i < graph->n_nodes; i++)
		if (graph->node[i].name_hash == hash && !strcmp(graph->node[i].name, name))
			return (int)i;
	return PHIZ_NONE;
}

void phiz_graph_rename(struct phiz_graph *g, int value, char *value_name, char *node_name)
{
	struct phiz_value *v = &g->value[value];
	struct phiz_node *n = &g->node[v->node];

	phiz_free(g->ctx, v->name);
	phiz_free(g->ctx, n->name);
	v->name = value_name;
	v->name_hash = phiz_name_hash(value_name);
	n->name = node_name;
	n->name_hash = phiz_name_hash(node_name);
}

static enum phiz_status add_value(struct phiz_graph *g, const char *name, enum phiz_value_kind kind,
                                  const struct phiz_type *type, int node, int *out)
{
	struct phiz_ctx *ctx = g->ctx;
	size_t bytes;

	*out = PHIZ_NONE;
	if (!name || !*name)
		return phiz_fail(ctx, PHIZ_E_ARG, "a value of the graph needs a name");
	if (phiz_graph_find_value(g, name) != PHIZ_NONE)
		return phiz_fail(ctx, PHIZ_E_ARG, "the graph has a value '%s' already", name);
	if (type->shape.ndim < 0 || type->shape.ndim > PHIZ_MAX_DIMS)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "value '%s': want 0 to %d dims, got %d", name, PHIZ_MAX_DIMS,
		                 type->shape.ndim);
	if (phiz_shape_bytes(ctx, type->dtype, &type->shape, &bytes))
		return phiz_fail_in(ctx, "value '%s'", name);
	if (phiz_grow(ctx, &g->value, &g->values_capacity, g->n_values + 1, sizeof *g->value))
		return PHIZ_E_NOMEM;
	struct phiz_value *v = &g->value[g->n_values];
	memset(v, 0, sizeof *v);
	v->name = phiz_strdup(ctx, name);
	if (!v->name)
		return PHIZ_E_NOMEM;
	v->name_hash = phiz_name_hash(name);
	v->kind = kind;
	v->type = *type;
	v->node = node;
	*out = (int)g->n_values++;
	return PHIZ_OK;
}

enum phiz_status phiz_graph_input(struct phiz_graph *graph, const char *name, enum phiz_dtype dtype,
                                  const struct phiz_shape *shape, int *value)
{
	struct phiz_type type = {dtype, *shape};
	return add_value(graph, name, PHIZ_VALUE_INPUT, &type, PHIZ_NONE, value);
}

static enum phiz_status add_tensor(struct phiz_graph *graph, const char *name, enum phiz_value_kind kind,
                                   struct phiz_tensor *tensor, int *value)
{
	struct phiz_type type = {tensor->dtype, tensor->shape};
	enum phiz_status status = add_value(graph, name, kind, &type, PHIZ_NONE, value);

	if (!status) {
		graph->value[*value].tensor = tensor;
		graph->value[*value].trainable = kind == PHIZ_VALUE_PARAM;
	}
	return status;
}

enum phiz_status phiz_graph_param(struct phiz_graph *graph, const char *name, struct phiz_tensor *tensor, int *value)
{
	return add_tensor(graph, name, PHIZ_VALUE_PARAM, tensor, value);
}

enum phiz_status phiz_graph_buffer(struct phiz_graph *graph, const char *name, struct phiz_tensor *tensor, int *value)
{
	return add_tensor(graph, name, PHIZ_VALUE_BUFFER, tensor, value);
}

static enum phiz_status set_attrs(struct phiz_graph *g, struct phiz_node *node, const struct phiz_attr_arg *attr,
                                  int n_attrs)
{
	const struct phiz_op *op = node->op;

	for (int i = 0; i < op->n_attrs; i++) {
		if (op->attrs[i].kind == PHIZ_ATTR_INT)
			node->attr[i].i = (int64_t)op->attrs[i].initial;
		else
			node->attr[i].f = op->attrs[i].initial;
	}
	for (int a = 0; a < n_attrs; a++) {
		int i = phiz_node_attr(node, attr[a].name);
		double x = attr[a].value;
		if (i == PHIZ_NONE)
			return phiz_fail(g->ctx, PHIZ_E_ARG, "%s %s: no attribute '%s'", op->name, node->name, attr[a].name);
		if (!(x >= op->attrs[i].min && x <= op->attrs[i].max))
			return phiz_fail(g->ctx, PHIZ_E_ARG, "%s %s: %s: want %g to %g, got %g", op->name, node->name,
			                 attr[a].name, op->attrs[i].min, op->attrs[i].max, x);
		if (op->attrs[i].kind == PHIZ_ATTR_INT && floor(x) < x)
			return phiz_fail(g->ctx, PHIZ_E_ARG, "%s %s: %s: want a whole number, got %g", op->name, node->name,
			                 attr[a].name, x);
		if (op->attrs[i].kind == PHIZ_ATTR_INT)
			node->attr[i].i = (int64_t)x;
		else
			node->attr[i].f = x;
	}
	return PHIZ_OK;
}

static enum phiz_status check_inputs(struct phiz_graph *g, struct phiz_node *node, const int *input, int n_inputs)
{
	const struct phiz_op *op = node->op;

	if (n_inputs < op->min_inputs || n_inputs > op->max_inputs)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s %s: want %d to %d inputs, got %d", op->name, node->name,
		                 op->min_inputs, op->max_inputs, n_inputs);
	for (int i = 0; i < n_inputs; i++) {
		bool required = i < op->min_inputs || op->variadic;
		if (input[i] == PHIZ_NONE && !required)
			continue;
		if (input[i] < 0 || input[i] >= (int)g->n_values)
			return phiz_fail(g->ctx, PHIZ_E_ARG, "%s %s: input %s is not a value of the graph", op->name,
			                 node->name, op->input_names[i]);
	}
	/* Absent inputs at the end are not stored, so that equal nodes look equal. */
	node->n_inputs = n_inputs;
	for (int i = 0; i < n_inputs; i++)
		node->input[i] = input[i];
	while (node->n_inputs > op->min_inputs && node->input[node->n_inputs - 1] == PHIZ_NONE)
		node->n_inputs--;
	return PHIZ_OK;
}

/* Runs the op's shape rule; in holds the types of the inputs that are there. */
static enum phiz_status infer_node(struct phiz_ctx *ctx, const struct phiz_node *node,
                                   struct phiz_type in[PHIZ_MAX_INPUTS], struct phiz_type out[PHIZ_MAX_OUTPUTS])
{
	memset(out, 0, PHIZ_MAX_OUTPUTS * sizeof *out);
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++)
		if (i >= node->n_inputs || node->input[i] == PHIZ_NONE) {
			memset(&in[i], 0, sizeof in[i]);
			in[i].shape.ndim = -1;
		}
	if (node->op->infer(ctx, node, in, out))
		return phiz_fail_in(ctx, "%s %s", node->op->name, node->name);
	return PHIZ_OK;
}

/* Adds the values that the node (about to become the last) makes; on failure none is left behind. */
static enum phiz_status add_outputs(struct phiz_graph *g, struct phiz_node *node, const struct phiz_type *type)
{
	struct phiz_ctx *ctx = g->ctx;
	size_t before = g->n_values;

	for (int i = 0; i < node->n_outputs; i++) {
		char *name = i ? phiz_asprintf(ctx, "%s:%d", node->name, i) : phiz_strdup(ctx, node->name);
		enum phiz_status status = PHIZ_E_NOMEM;
		if (name)
			status = add_value(g, name, PHIZ_VALUE_ACTIVATION, &type[i], (int)g->n_nodes, &node->output[i]);
		phiz_free(ctx, name);
		if (status) {
			while (g->n_values > before)
				phiz_free(ctx, g->value[--g->n_values].name);
			return status;
		}
	}
	return PHIZ_OK;
}

enum phiz_status phiz_graph_add(struct phiz_graph *graph, const struct phiz_op *op, const char *name, const int *input,
                                int n_inputs, const struct phiz_attr_arg *attr, int n_attrs, int *output)
{
	struct phiz_graph *g = graph;
	struct phiz_ctx *ctx = g->ctx;
	struct phiz_node node = {0};
	struct phiz_type out[PHIZ_MAX_OUTPUTS], in[PHIZ_MAX_INPUTS];
	enum phiz_status status;

	if (!op || !name || !*name)
		return phiz_fail(ctx, PHIZ_E_ARG, "a node of the graph needs an operator and a name");
	if (phiz_graph_find_node(g, name) != PHIZ_NONE)
		return phiz_fail(ctx, PHIZ_E_ARG, "the graph has a node '%s' already", name);
	node.op = op;
	node.n_outputs = op->n_outputs;
	node.name = phiz_strdup(ctx, name);
	if (!node.name)
		return PHIZ_E_NOMEM;
	node.name_hash = phiz_name_hash(name);
	status = check_inputs(g, &node, input, n_inputs);
	if (!status)
		status = set_attrs(g, &node, attr, n_attrs);
	if (!status) {
		for (int i = 0; i < node.n_inputs; i++)
			if (node.input[i] != PHIZ_NONE)
				in[i] = g->value[node.input[i]].type;
		status = infer_node(ctx, &node, in, out);
	}
	if (!status)
		status = phiz_grow(ctx, &g->node, &g->nodes_capacity, g->n_nodes + 1, sizeof *g->node);
	if (!status)
		status = add_outputs(g, &node, out);
	for (int i = 0; i < op->n_outputs; i++)
		output[i] = status ? PHIZ_NONE : node.output[i];
	if (status)
		phiz_free(ctx, node.name);
	else
		g->node[g->n_nodes++] = node;
	return status;
}

enum phiz_status phiz_graph_output(struct phiz_graph *graph, int value)
{
	if (value < 0 || value >= (int)graph->n_values)
		return phiz_fail(graph->ctx, PHIZ_E_ARG, "value %d is not in the graph", value);
	for (size_t i = 0; i < graph->n_outputs; i++)
		if (graph->output[i] == value)
			return PHIZ_OK;
	if (phiz_grow(graph->ctx, &graph->output, &graph->outputs_capacity, graph->n_outputs + 1, sizeof *graph->output))
		return PHIZ_E_NOMEM;
	graph->output[graph->n_outputs++] = value;
	return PHIZ_OK;
}

void phiz_graph_clear_outputs(struct phiz_graph *graph) { graph->n_outputs = 0; }

/* The type of an input, a parameter or a buffer in a plan for this batch and picture size. */
static struct phiz_type leaf_type(const struct phiz_value *v, int64_t batch, int64_t height, int64_t width)
{
	struct phiz_type type = v->type;

	if (v->kind == PHIZ_VALUE_INPUT && type.shape.ndim > 0) {
		if (batch > 0)
			type.shape.dim[0] = batch;
		if (type.shape.ndim == 4 && height > 0)
			type.shape.dim[2] = height;
		if (type.shape.ndim == 4 && width > 0)
			type.shape.dim[3] = width;
	}
	return type;
}

enum phiz_status phiz_graph_infer(struct phiz_ctx *ctx, const struct phiz_graph *g, int64_t batch, int64_t height,
                                  int64_t width, struct phiz_type *type)
{
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS];
	size_t bytes;

	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].kind != PHIZ_VALUE_ACTIVATION) {
			type[i] = leaf_type(&g->value[i], batch, height, width);
			if (phiz_shape_bytes(ctx, type[i].dtype, &type[i].shape, &bytes))
				return phiz_fail_in(ctx, "value '%s'", g->value[i].name);
		}
	for (size_t n = 0; n < g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		for (int i = 0; i < node->n_inputs; i++)
			if (node->input[i] != PHIZ_NONE)
				in[i] = type[node->input[i]];
		enum phiz_status status = infer_node(ctx, node, in, out);
		if (status)
			return status;
		for (int o = 0; o < node->n_outputs; o++) {
			type[node->output[o]] = out[o];
			if (phiz_shape_bytes(ctx, out[o].dtype, &out[o].shape, &bytes))
				return phiz_fail_in(ctx, "%s %s", node->op->name, node->name);
		}
	}
	return PHIZ_OK;
}

enum phiz_status phiz_graph_refresh(struct phiz_graph *g)
{
	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].tensor) {
			g->value[i].type.dtype = g->value[i].tensor->dtype;
			g->value[i].type.shape = g->value[i].tensor->shape;
		}
	struct phiz_type *type = phiz_calloc(g->ctx, g->n_values + 1, sizeof *type);
	if (!type)
		return PHIZ_E_NOMEM;
	enum phiz_status status = phiz_graph_infer(g->ctx, g, 0, 0, 0, type);
	for (size_t i = 0; !status && i < g->n_values; i++)
		g->value[i].type = type[i];
	phiz_free(g->ctx, type);
	return status;
}

void phiz_graph_replace(struct phiz_graph *g, int from, int to)
{
	for (size_t i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->node[i].n_inputs; k++)
			if (g->node[i].input[k] == from)
				g->node[i].input[k] = to;
	for (size_t i = 0; i < g->n_outputs; i++)
		if (g->output[i] == from)
			g->output[i] = to;
}

int phiz_graph_uses(const struct phiz_graph *g, int value)
{
	int uses = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->node[i].n_inputs; k++)
			uses += g->node[i].input[k] == value;
	for (size_t i = 0; i < g->n_outputs; i++)
		uses += g->output[i] == value;
	return uses;
}

bool phiz_node_is(const struct phiz_node *node, const char *op) { return !strcmp(node->op->name, op); }

int phiz_node_attr(const struct phiz_node *node, const char *name)
{
	for (int i = 0; i < node->op->n_attrs; i++)
		if (!strcmp(node->op->attrs[i].name, name))
			return i;
	return PHIZ_NONE;
}

int64_t phiz_node_attr_int(const struct phiz_node *node, const char *name, int64_t absent)
{
	int i = phiz_node_attr(node, name);
	return i == PHIZ_NONE ? absent : node->attr[i].i;
}

int phiz_node_slot(const struct phiz_node *node, const char *name)
{
	for (int i = 0; i < node->op->max_inputs; i++)
		if (!strcmp(node->op->input_names[i], name))
			return i;
	return PHIZ_NONE;
}

int phiz_node_input(const struct phiz_node *node, const char *name)
{
	int i = phiz_node_slot(node, name);
	return i == PHIZ_NONE || i >= node->n_inputs ? PHIZ_NONE : node->input[i];
}
