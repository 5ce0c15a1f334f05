/* A graph as JSON:
 *   {"inputs":  [{"name": "image", "dtype": "f32", "shape": [1, 3, 224, 224]}],
 *    "tensors": [{"name": "conv1.weight", "kind": "parameter"}, {"name": "bn1.running_mean", "kind": "buffer"}, ...],
 *    "nodes":   [{"name": "conv1", "op": "conv2d", "inputs": ["image", "conv1.weight", null],
 *                 "attributes": {"stride_h": 2, ...}, "outputs": ["conv1"]}, ...],
 *    "outputs": ["fc"]}
 * Nodes stand in topological order. An attribute that is left out has the operator's default. Values are referred to by
 * name; inputs by position, null where an optional one is absent. */
#include <string.h>

#include "core/base/error.h"
#include "core/io/json.h"
#include "core/io/model_file.h"

#include <phiz/op.h>

#define MAX_NAME 1024
#define MAX_SIDE 16384
#define MAX_ELEMENTS ((int64_t)1 << 30) /* of one value at batch 1: a graph may multiply sizes node by node */

/* ---- Writing ---- */

static void add_names(struct phiz_bytes *out, struct phiz_graph *graph, const int *value, int n)
{
	int i;

	phiz_bytes_text(out, "[");
	for (i = 0; i < n; i++) {
		phiz_bytes_text(out, i ? "," : "");
		if (value[i] == PHIZ_NONE)
			phiz_bytes_text(out, "null");
		else
			phiz_bytes_json(out, phiz_graph_value(graph, value[i])->name);
	}
	phiz_bytes_text(out, "]");
}

static void add_inputs(struct phiz_bytes *out, struct phiz_graph *graph)
{
	int i, d, n = 0;

	for (i = 0; i < phiz_graph_n_values(graph); i++) {
		const struct phiz_value *v = phiz_graph_value(graph, i);

		if (v->kind != PHIZ_VALUE_INPUT)
			continue;
		phiz_bytes_text(out, n++ ? ",{\"name\":" : "{\"name\":");
		phiz_bytes_json(out, v->name);
		phiz_bytes_printf(out, ",\"dtype\":\"%s\",\"shape\":[", phiz_dtype_name(v->type.dtype));
		for (d = 0; d < v->type.shape.ndim; d++)
			phiz_bytes_printf(out, d ? ",%lld" : "%lld", (long long)v->type.shape.dim[d]);
		phiz_bytes_text(out, "]}");
	}
}

static void add_tensors(struct phiz_bytes *out, const struct phiz_model *model)
{
	size_t i;

	for (i = 0; i < model->n_entries; i++) {
		phiz_bytes_text(out, i ? ",{\"name\":" : "{\"name\":");
		phiz_bytes_json(out, model->entry[i].name);
		phiz_bytes_printf(out, ",\"kind\":\"%s\"}", model->entry[i].trainable ? "parameter" : "buffer");
	}
}

static void add_attributes(struct phiz_bytes *out, const struct phiz_node *node)
{
	int i;

	for (i = 0; i < node->op->n_attrs; i++) {
		phiz_bytes_text(out, i ? "," : "");
		phiz_bytes_json(out, node->op->attrs[i].name);
		phiz_bytes_text(out, ":");
		if (node->op->attrs[i].kind == PHIZ_ATTR_INT)
			phiz_bytes_printf(out, "%lld", (long long)node->attr[i].i);
		else
			phiz_json_add_real(out, node->attr[i].f);
	}
}

static void add_node(struct phiz_bytes *out, struct phiz_graph *graph, const struct phiz_node *node)
{
	phiz_bytes_text(out, "{\"name\":");
	phiz_bytes_json(out, node->name);
	phiz_bytes_printf(out, ",\"op\":\"%s\",\"inputs\":", node->op->name);
	add_names(out, graph, node->input, node->n_inputs);
	phiz_bytes_text(out, ",\"attributes\":{");
	add_attributes(out, node);
	phiz_bytes_text(out, "},\"outputs\":");
	add_names(out, graph, node->output, node->n_outputs);
	phiz_bytes_text(out, "}");
}

enum phiz_status phiz_graph_to_json(const struct phiz_model *model, struct phiz_bytes *out)
{
	struct phiz_graph *graph = model->graph;
	int i, v;

	if (phiz_graph_n_nodes(graph) > PHIZ_MODEL_MAX_NODES || model->n_entries > PHIZ_MODEL_MAX_TENSORS)
		return phiz_fail(model->ctx, PHIZ_E_LIMIT, "the model has more than %d nodes or %d tensors",
		                 PHIZ_MODEL_MAX_NODES, PHIZ_MODEL_MAX_TENSORS);
	phiz_bytes_text(out, "{\"inputs\":[");
	add_inputs(out, graph);
	phiz_bytes_text(out, "],\"tensors\":[");
	add_tensors(out, model);
	phiz_bytes_text(out, "],\"nodes\":[");
	for (i = 0; i < phiz_graph_n_nodes(graph); i++) {
		phiz_bytes_text(out, i ? "," : "");
		add_node(out, graph, phiz_graph_node(graph, i));
	}
	phiz_bytes_text(out, "],\"outputs\":[");
	for (i = 0; i < phiz_graph_n_outputs(graph); i++) {
		v = phiz_graph_output_at(graph, i);
		phiz_bytes_text(out, i ? "," : "");
		phiz_bytes_json(out, phiz_graph_value(graph, v)->name);
	}
	phiz_bytes_text(out, "]}");
	return phiz_bytes_status(out);
}

/* ---- Reading ---- */

struct graph_reader {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
	const char *path;
	char shown[PHIZ_SHOWN]; /* the node or value being read */
};

static enum phiz_status fail_at(struct graph_reader *r, const char *what)
{
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: graph: '%s': %s", r->path, r->shown, what);
}

/* The text under "name", which from now on stands in the messages; NULL, with the error set, if it will not do. */
static const char *read_name(struct graph_reader *r, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));

	phiz_shown("?", 1, r->shown);
	if (!name || !*name || strlen(name) > MAX_NAME) {
		fail_at(r, "no name, or one over 1024 bytes");
		return NULL;
	}
	phiz_shown(name, strlen(name), r->shown);
	return name;
}

static const json_t *get_array(struct graph_reader *r, const json_t *object, const char *key, size_t max)
{
	const json_t *array = json_object_get(object, key);

	if (json_is_array(array) && json_array_size(array) <= max)
		return array;
	phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: graph: want at most %zu %s", r->path, max, key);
	return NULL;
}

static enum phiz_status read_input(struct graph_reader *r, const json_t *object)
{
	const char *dtype_name = json_string_value(json_object_get(object, "dtype")), *name = read_name(r, object);
	const json_t *dims = json_object_get(object, "shape");
	struct phiz_shape shape = {0};
	enum phiz_dtype dtype;
	size_t i;
	int value;

	if (!name)
		return PHIZ_E_FORMAT;
	if (!dtype_name || !phiz_dtype_parse(dtype_name, &dtype))
		return fail_at(r, "no dtype that phiz knows");
	if (!json_is_array(dims) || json_array_size(dims) > PHIZ_MAX_DIMS)
		return fail_at(r, "no shape of at most 6 dims");
	shape.ndim = (int)json_array_size(dims);
	for (i = 0; i < json_array_size(dims); i++)
		if (!phiz_json_int(json_array_get(dims, i), 1, MAX_SIDE, &shape.dim[i]))
			return fail_at(r, "a dim that is not from 1 to 16384");
	if (phiz_graph_input(r->model->graph, name, dtype, &shape, &value))
		return phiz_fail_in(r->ctx, "%s: graph", r->path);
	return PHIZ_OK;
}

/* The value of this name; a tensor of the model becomes a value when a node first asks for it. */
static enum phiz_status find_value(struct graph_reader *r, const char *name, int *out)
{
	struct phiz_graph *graph = r->model->graph;
	const struct phiz_entry *entry;
	enum phiz_status status;
	char shown[PHIZ_SHOWN];

	*out = phiz_graph_find_value(graph, name);
	if (*out != PHIZ_NONE)
		return PHIZ_OK;
	entry = phiz_model_find(r->model, name);
	if (!entry)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: graph: '%s' reads '%s', which nothing before it makes", r->path,
		                 r->shown, phiz_shown(name, strlen(name), shown));
	status = entry->trainable ? phiz_graph_param(graph, entry->name, entry->tensor, out)
	                          : phiz_graph_buffer(graph, entry->name, entry->tensor, out);
	return status ? phiz_fail_in(r->ctx, "%s: graph", r->path) : PHIZ_OK;
}

static enum phiz_status read_node_inputs(struct graph_reader *r, const json_t *object, int *input, int *n)
{
	const json_t *names = get_array(r, object, "inputs", PHIZ_MAX_INPUTS);
	enum phiz_status status;
	size_t i;

	if (!names)
		return PHIZ_E_FORMAT;
	*n = (int)json_array_size(names);
	for (i = 0; i < json_array_size(names); i++) {
		const json_t *name = json_array_get(names, i);

		input[i] = PHIZ_NONE;
		if (json_is_null(name))
			continue;
		if (!json_is_string(name))
			return fail_at(r, "an input that is no name");
		status = find_value(r, json_string_value(name), &input[i]);
		if (status)
			return status;
	}
	return PHIZ_OK;
}

static enum phiz_status read_attributes(struct graph_reader *r, json_t *object, struct phiz_attr_arg *attr, int *n)
{
	json_t *attributes = json_object_get(object, "attributes"), *value;
	const char *key;

	*n = 0;
	if (!json_is_object(attributes) || json_object_size(attributes) > PHIZ_MAX_ATTRS)
		return fail_at(r, "no attributes, or too many");
	json_object_foreach(attributes, key, value) {
		attr[*n].name = key;
		if (!phiz_json_real(value, &attr[*n].value))
			return fail_at(r, "an attribute that is no number");
		++*n;
	}
	return PHIZ_OK;
}

static enum phiz_status check_outputs(struct graph_reader *r, const json_t *object, const struct phiz_op *op,
                                      const int *output)
{
	const json_t *names = get_array(r, object, "outputs", PHIZ_MAX_OUTPUTS);
	int i;

	if (!names)
		return PHIZ_E_FORMAT;
	if ((int)json_array_size(names) != op->n_outputs)
		return fail_at(r, "another number of outputs than the operator has");
	for (i = 0; i < op->n_outputs; i++) {
		const struct phiz_value *v = phiz_graph_value(r->model->graph, output[i]);
		const char *name = json_string_value(json_array_get(names, (size_t)i));

		if (!name || strcmp(name, v->name) != 0)
			return fail_at(r, "an output that is not named after its node");
		if (phiz_shape_count(&v->type.shape) > MAX_ELEMENTS)
			return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s: graph: '%s' has more than %lld elements", r->path, r->shown,
			                 (long long)MAX_ELEMENTS);
	}
	return PHIZ_OK;
}

static enum phiz_status read_node(struct graph_reader *r, json_t *object)
{
	const char *op_name = json_string_value(json_object_get(object, "op")), *name = read_name(r, object);
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	int input[PHIZ_MAX_INPUTS], output[PHIZ_MAX_OUTPUTS], n_inputs = 0, n_attrs = 0;
	const struct phiz_op *op = op_name ? phiz_op_find(op_name) : NULL;
	enum phiz_status status;
	char shown[PHIZ_SHOWN];

	if (!name)
		return PHIZ_E_FORMAT;
	if (!op_name)
		return fail_at(r, "a node without an operator");
	if (!op)
		return phiz_fail(r->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: graph: '%s' is a %s, an operator that this phiz does not have", r->path, r->shown,
		                 phiz_shown(op_name, strlen(op_name), shown));
	status = read_node_inputs(r, object, input, &n_inputs);
	if (!status)
		status = read_attributes(r, object, attr, &n_attrs);
	if (status)
		return status;
	if (phiz_graph_add(r->model->graph, op, name, input, n_inputs, attr, n_attrs, output))
		return phiz_fail_in(r->ctx, "%s: graph", r->path);
	return check_outputs(r, object, op, output);
}

static enum phiz_status read_outputs(struct graph_reader *r, const json_t *names)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;
	int v;

	for (i = 0; !status && i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		phiz_shown("?", 1, r->shown);
		if (name)
			phiz_shown(name, strlen(name), r->shown);
		v = name ? phiz_graph_find_value(r->model->graph, name) : PHIZ_NONE;
		if (v == PHIZ_NONE)
			return fail_at(r, "an output of the graph that no node makes");
		status = phiz_graph_output(r->model->graph, v);
	}
	return status;
}

static enum phiz_status read_all(struct graph_reader *r, const json_t *graph)
{
	const json_t *inputs = get_array(r, graph, "inputs", PHIZ_MODEL_MAX_INOUT);
	const json_t *nodes = get_array(r, graph, "nodes", PHIZ_MODEL_MAX_NODES);
	const json_t *outputs = get_array(r, graph, "outputs", PHIZ_MODEL_MAX_INOUT);
	enum phiz_status status = PHIZ_OK;
	size_t i;

	if (!inputs || !nodes || !outputs)
		return PHIZ_E_FORMAT;
	for (i = 0; !status && i < json_array_size(inputs); i++)
		status = read_input(r, json_array_get(inputs, i));
	for (i = 0; !status && i < json_array_size(nodes); i++)
		status = read_node(r, json_array_get(nodes, i));
	return status ? status : read_outputs(r, outputs);
}

enum phiz_status phiz_graph_from_json(struct phiz_model *model, const json_t *graph, const char *path)
{
	struct graph_reader r = {model->ctx, model, path, "?"};
	enum phiz_status status = read_all(&r, graph);

	if (!status && phiz_graph_verify(model->graph))
		status = phiz_fail_in(model->ctx, "%s: graph", path);
	return status;
}

enum phiz_status phiz_graph_json_tensors(struct phiz_ctx *ctx, const json_t *graph, const char *path,
                                         phiz_graph_tensor_fn add, void *user)
{
	struct graph_reader r = {ctx, NULL, path, "?"};
	const json_t *tensors = get_array(&r, graph, "tensors", PHIZ_MODEL_MAX_TENSORS);
	enum phiz_status status = PHIZ_OK;
	size_t i;

	if (!tensors)
		return PHIZ_E_FORMAT;
	for (i = 0; !status && i < json_array_size(tensors); i++) {
		const json_t *object = json_array_get(tensors, i);
		const char *kind = json_string_value(json_object_get(object, "kind")), *name = read_name(&r, object);
		bool trainable = kind && strcmp(kind, "parameter") == 0;

		if (!name)
			return PHIZ_E_FORMAT;
		if (!trainable && (!kind || strcmp(kind, "buffer") != 0))
			return fail_at(&r, "neither parameter nor buffer");
		status = add(user, name, trainable);
	}
	return status;
}
