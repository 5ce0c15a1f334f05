/* Reading ONNX: the file, its inputs, constants and outputs. onnx_import.h says how nodes become ours. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/graph/graph.h"
#include "core/io/model_file.h"
#include "core/io/onnx.h"
#include "core/io/onnx_import.h"
#include "core/io/tensors.h"

#define MAX_NODES 16384 /* shape arithmetic disappears */
#define OPSET_MIN 7
#define OPSET_MAX 21
#define MAX_SIDE 16384
#define COPIES 4 /* of a file's tensors that its nodes may make: 1 for those in float32, 2 where they widen or turn */
#define SMALL ((size_t)64 << 20)     /* what any file may make */
#define MAX_BESIDE ((size_t)2 << 30) /* bytes of tensors that lie in files beside the model */
#define FREE_SIDE 320 /* where the file leaves height and width free: what most detectors were made for */

enum { MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14, MODEL_FUNCTIONS = 25 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };

struct file {
	struct phiz_span graph, producer, all;
	bool has_graph;
	int64_t opset; /* of the operators that everybody has; 0: none */
};

/* ---- The model ---- */

static enum phiz_status damaged(struct phiz_ctx *ctx, const char *path, struct phiz_span all)
{
	const char *kind = phiz_foreign_kind(all.data, all.size);

	if (kind && strncmp(kind, "an ONNX", 7) != 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s", path, kind);
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: truncated or damaged, or no ONNX file", path);
}

static bool is_standard(struct phiz_span domain)
{
	return domain.size == 0 || phiz_span_is(domain, "ai.onnx");
}

static bool read_opset(struct phiz_span message, struct file *f)
{
	struct phiz_reader r = phiz_pb_reader(message);
	struct phiz_span domain = {0};
	enum phiz_pb_result result;
	struct phiz_pb_field field;
	int64_t version = 0;

	while ((result = phiz_pb_next(&r, &field)) == PHIZ_PB_FIELD) {
		if (field.number == OPSET_DOMAIN)
			domain = field.span;
		else if (field.number == OPSET_VERSION && field.kind == PHIZ_PB_VARINT)
			version = (int64_t)field.value;
	}
	if (is_standard(domain))
		f->opset = version;
	return result == PHIZ_PB_END;
}

static enum phiz_status read_model_field(struct phiz_ctx *ctx, const char *path, const struct phiz_pb_field *field,
                                         struct file *f)
{
	bool is_message = field->kind == PHIZ_PB_LENGTH, twice = field->number == MODEL_GRAPH && f->has_graph;

	if (field->number == MODEL_FUNCTIONS)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: functions of its own, which phiz does not read: export it with "
		                 "them unfolded", path);
	if (field->number == MODEL_GRAPH) {
		f->graph = field->span;
		f->has_graph = true;
	} else if (field->number == MODEL_PRODUCER) {
		f->producer = field->span;
	} else if (field->number != MODEL_OPSET) {
		return PHIZ_OK;
	}
	if (!is_message || twice || (field->number == MODEL_OPSET && !read_opset(field->span, f)))
		return damaged(ctx, path, f->all);
	return PHIZ_OK;
}

static enum phiz_status read_file(struct phiz_ctx *ctx, const char *path, struct phiz_span all, struct file *f)
{
	struct phiz_reader r = phiz_pb_reader(all);
	enum phiz_pb_result result;
	enum phiz_status status = PHIZ_OK;
	struct phiz_pb_field field;

	memset(f, 0, sizeof(*f));
	f->all = all;
	while (!status && (result = phiz_pb_next(&r, &field)) != PHIZ_PB_END)
		status = result == PHIZ_PB_FIELD ? read_model_field(ctx, path, &field, f) : damaged(ctx, path, all);
	if (status)
		return status;
	if (!f->has_graph)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: no graph%s", path, all.size ? "" : " (an empty file)");
	if (f->opset == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: no opset: the file may be cut off", path);
	if (f->opset < OPSET_MIN || f->opset > OPSET_MAX)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: opset %lld, and phiz reads %d to %d: export it again with "
		                 "one of these", path, (long long)f->opset, OPSET_MIN, OPSET_MAX);
	return PHIZ_OK;
}

/* ---- The graph's parts ---- */

typedef void (*part_fn)(struct phiz_onnx_import *m, struct phiz_span message);

/* Calls fn for each field of the graph with this number, until one fails. */
static void each(struct phiz_onnx_import *m, struct phiz_span graph, int number, part_fn fn)
{
	struct phiz_reader r = phiz_pb_reader(graph);
	enum phiz_pb_result result;
	struct phiz_pb_field f;

	while (!m->status && (result = phiz_pb_next(&r, &f)) != PHIZ_PB_END) {
		if (result == PHIZ_PB_DAMAGED || (f.number == number && f.kind != PHIZ_PB_LENGTH))
			m->status = phiz_fail(m->ctx, PHIZ_E_FORMAT, "%s: graph: truncated or damaged", m->path);
		else if (f.number == GRAPH_SPARSE)
			m->status = phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: sparse tensors, which phiz does not read", m->path);
		else if (f.number == number)
			fn(m, f.span);
	}
}

static void add_initializer(struct phiz_onnx_import *m, struct phiz_span message)
{
	struct phiz_span name = {0};
	struct phiz_tensor *t = NULL;
	struct phiz_onnx_value *v;
	size_t beside = m->beside.left;
	enum phiz_status status;

	if (m->n_values >= PHIZ_MODEL_MAX_TENSORS) {
		m->status = phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: more than %d tensors", m->path, PHIZ_MODEL_MAX_TENSORS);
		return;
	}
	status = phiz_onnx_read_tensor(m->ctx, message, &m->beside, &name, &t);
	if (status) {
		m->status = status == PHIZ_E_NOMEM ? status : phiz_fail_in(m->ctx, "%s", m->path);
		return;
	}
	m->may_make += COPIES * (beside - m->beside.left);
	phiz_onnx_count_bytes(m, t);
	v = phiz_onnx_new(m, name);
	if (v)
		v->tensor = t;
	else
		phiz_tensor_free(m->ctx, &t);
}

/* ---- The input ---- */

static int64_t free_side(const struct phiz_onnx_import *m, int64_t side)
{
	return m->size ? m->size : side > 0 ? side : FREE_SIDE;
}

/* Becomes "image": the name that phiz's own networks give it. */
static void add_image(struct phiz_onnx_import *m, const struct phiz_onnx_info *info)
{
	struct phiz_shape shape = phiz_shape_4d(1, info->shape.dim[1] > 0 ? info->shape.dim[1] : 3,
	                                        free_side(m, info->shape.dim[2]), free_side(m, info->shape.dim[3]));
	struct phiz_onnx_value *v = phiz_onnx_new(m, info->name);
	int p, value;

	if (v)
		m->status = phiz_graph_input(m->graph, "image", PHIZ_F32, &shape, &value);
	for (p = 0; p < PHIZ_PROBES && !m->status; p++) {
		m->status = phiz_grow(m->ctx, &m->type[p], &m->types_capacity[p], (size_t)value + 1, sizeof(**m->type));
		if (m->status)
			return;
		m->type[p][value].dtype = PHIZ_F32;
		m->type[p][value].shape = shape;
	}
	if (m->status)
		return;
	v->value = value;
	/* Multiples of 32 away, so that networks that halve their maps and join them again still fit. */
	m->type[PHIZ_PROBE_BATCH][value].shape.dim[0] += 1;
	m->type[PHIZ_PROBE_HEIGHT][value].shape.dim[2] += 64;
	m->type[PHIZ_PROBE_WIDTH][value].shape.dim[3] += 96;
}

static void add_input(struct phiz_onnx_import *m, struct phiz_span message)
{
	struct phiz_onnx_info info;
	char name[PHIZ_SHOWN], text[128];

	m->status = phiz_onnx_read_info(m->ctx, message, &info);
	if (m->status) {
		(void)phiz_fail_in(m->ctx, "%s: input '%s'", m->path, phiz_span_shown(info.name, name));
		return;
	}
	if (phiz_onnx_find(m, info.name))
		return; /* a tensor: files before IR 4 list them as inputs too */
	phiz_span_shown(info.name, name);
	if (phiz_graph_n_values(m->graph) > 0)
		m->status = phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: a second input '%s', and phiz wants one picture",
		                      m->path, name);
	else if (info.type != PHIZ_ONNX_T_FLOAT && info.type != PHIZ_ONNX_T_FLOAT16 && info.type != PHIZ_ONNX_T_DOUBLE)
		m->status = phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: input '%s' is not of floating point", m->path, name);
	else if (info.shape.ndim != 4)
		m->status = phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: input '%s': want 4 dims [N, 3, H, W], got %d", m->path,
		                      name, info.shape.ndim);
	else if (info.shape.dim[0] > 1 || info.shape.dim[1] > MAX_SIDE || info.shape.dim[2] > MAX_SIDE ||
	         info.shape.dim[3] > MAX_SIDE)
		m->status = phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "%s: input '%s': want [N, 3, H, W] with N free or 1, got %s",
		                      m->path, name, phiz_shape_text(&info.shape, text));
	else
		add_image(m, &info);
	m->fixed_batch = info.shape.dim[0] == 1;
}

/* ---- Nodes ---- */

static void check_attributes(struct phiz_onnx_import *m)
{
	char shown[PHIZ_SHOWN];
	int i;

	for (i = 0; i < m->node.n_attrs && !m->status; i++)
		if (!m->node.attr[i].used)
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "attribute '%s', which phiz does not know",
			               phiz_span_shown(m->node.attr[i].name, shown));
}

static void unknown_op(struct phiz_onnx_import *m)
{
	char shown[PHIZ_SHOWN];

	phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "phiz has no operator %s", phiz_span_shown(m->node.op, shown));
}

static void add_node(struct phiz_onnx_import *m, struct phiz_span message)
{
	enum phiz_status status = phiz_onnx_read_node(m->ctx, message, &m->node);
	phiz_onnx_row_fn fn = phiz_onnx_layer(m->node.op);
	char op[PHIZ_SHOWN], name[PHIZ_SHOWN];

	if (!fn)
		fn = phiz_onnx_shaping(m->node.op);
	if (!fn)
		fn = phiz_onnx_arithmetic(m->node.op);
	if (m->n_nodes++ >= MAX_NODES) {
		m->status = phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: more than %d nodes", m->path, MAX_NODES);
	} else if (!is_standard(m->node.domain) || (!fn && !phiz_onnx_folding(m->node.op))) {
		unknown_op(m); /* whatever else is odd about it: that is what its attributes are odd for */
	} else if (status) {
		m->status = phiz_fail_in(m->ctx, "%s: %s '%s'", m->path, phiz_span_shown(m->node.op, op),
		                         phiz_span_shown(m->node.name.size ? m->node.name : m->node.out[0], name));
	} else if (m->node.n_out < 1) {
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "no output");
	} else if (!phiz_onnx_fold_node(m)) {
		if (fn)
			fn(m);
		else
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of what is computed from the picture; phiz does it on shapes only");
	}
	if (!m->status)
		check_attributes(m);
}

/* ---- Outputs ---- */

/* An output keeps its name where a node that does nothing made it. */
static void name_output(struct phiz_onnx_import *m, int value, struct phiz_span name)
{
	char *a = phiz_strndup(m->ctx, (const char *)name.data, name.size), *b = a ? phiz_strdup(m->ctx, a) : NULL;

	if (a && b && phiz_graph_find_value(m->graph, a) == PHIZ_NONE) {
		phiz_graph_rename(m->graph, value, a, b);
		return;
	}
	if (!a || !b)
		m->status = PHIZ_E_NOMEM;
	phiz_free(m->ctx, a);
	phiz_free(m->ctx, b);
}

/* A second output of the same value, as a view of it. */
static int view(struct phiz_onnx_import *m, int value, struct phiz_span name)
{
	struct phiz_attr_arg attr[1 + PHIZ_MAX_DIMS] = {{"ndim", 0}, {"d0", 0}, {"d1", 0}, {"d2", 0},
	                                                {"d3", 0},   {"d4", 0}, {"d5", 0}};

	memset(&m->node, 0, sizeof(m->node));
	m->node.out[0] = name;
	attr[0].value = phiz_graph_value(m->graph, value)->type.shape.ndim;
	return phiz_onnx_add(m, "reshape", &value, 1, attr, 1 + (int)attr[0].value, true);
}

static bool is_output(const struct phiz_graph *graph, int value)
{
	int i;

	for (i = 0; i < phiz_graph_n_outputs(graph); i++)
		if (phiz_graph_output_at(graph, i) == value)
			return true;
	return false;
}

static void add_output(struct phiz_onnx_import *m, struct phiz_span message)
{
	int value;
	struct phiz_onnx_value *v;
	struct phiz_onnx_info info;
	char name[PHIZ_SHOWN];
	const char *own;

	m->status = phiz_onnx_read_info(m->ctx, message, &info);
	phiz_span_shown(info.name, name);
	if (m->status) {
		(void)phiz_fail_in(m->ctx, "%s: output '%s'", m->path, name);
		return;
	}
	if (phiz_graph_n_outputs(m->graph) >= PHIZ_MODEL_MAX_INOUT) {
		m->status = phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: more than %d outputs", m->path, PHIZ_MODEL_MAX_INOUT);
		return;
	}
	v = phiz_onnx_find(m, info.name);
	if (!v || v->value == PHIZ_NONE || phiz_graph_value(m->graph, v->value)->kind != PHIZ_VALUE_ACTIVATION) {
		m->status = phiz_fail(m->ctx, PHIZ_E_FORMAT, "%s: output '%s', which no node makes from the picture", m->path,
		                      name);
		return;
	}
	value = is_output(m->graph, v->value) ? view(m, v->value, info.name) : v->value;
	if (m->status)
		return;
	own = phiz_graph_value(m->graph, value)->name;
	if (info.name.size != strlen(own) || memcmp(info.name.data, own, info.name.size) != 0)
		name_output(m, value, info.name);
	if (!m->status)
		m->status = phiz_graph_output(m->graph, value);
}

/* ---- What phiz itself wrote beside the graph ---- */

static char *text_of(struct phiz_onnx_import *m, struct phiz_span s)
{
	char *text;

	if (memchr(s.size ? (const void *)s.data : "", 0, s.size) || !phiz_utf8_valid((const char *)s.data, s.size)) {
		m->status = phiz_fail(m->ctx, PHIZ_E_FORMAT, "%s: metadata that is no UTF-8", m->path);
		return NULL;
	}
	text = phiz_strndup(m->ctx, s.size ? (const char *)s.data : "", s.size);
	if (!text)
		m->status = PHIZ_E_NOMEM;
	return text;
}

static void take_over(struct phiz_onnx_import *m, const char *key, const char *text)
{
	if (!strcmp(key, "labels"))
		m->status = phiz_labels_from_json(m->model, text, m->path);
	else if (!strcmp(key, "preprocessing"))
		m->status = phiz_preproc_from_json(m->model, text, m->path);
	else if (!strcmp(key, "threshold"))
		m->status = phiz_threshold_from_json(m->model, text, m->path);
	else if (m->model->n_meta >= PHIZ_MODEL_MAX_META)
		m->status = phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: more than %d texts beside the graph", m->path,
		                      PHIZ_MODEL_MAX_META);
	else
		m->status = phiz_model_set_meta(m->model, key, text);
}

static void add_metadata(struct phiz_onnx_import *m, struct phiz_span message)
{
	struct phiz_reader r = phiz_pb_reader(message);
	struct phiz_span key = {0}, value = {0};
	struct phiz_pb_field f;
	char *key_text, *text = NULL;

	while (phiz_pb_next(&r, &f) == PHIZ_PB_FIELD) {
		if (f.number == PAIR_KEY)
			key = f.span;
		else if (f.number == PAIR_VALUE)
			value = f.span;
	}
	key_text = text_of(m, key);
	if (key_text)
		text = text_of(m, value);
	if (text)
		take_over(m, key_text, text);
	phiz_free(m->ctx, key_text);
	phiz_free(m->ctx, text);
}

/* ---- All of it ---- */

static void read_graph(struct phiz_onnx_import *m, const struct file *f)
{
	each(m, f->graph, GRAPH_INITIALIZER, add_initializer);
	each(m, f->graph, GRAPH_INPUT, add_input);
	if (!m->status && phiz_graph_n_values(m->graph) == 0)
		m->status = phiz_fail(m->ctx, PHIZ_E_FORMAT, "%s: a graph without an input", m->path);
	each(m, f->graph, GRAPH_NODE, add_node);
	each(m, f->graph, GRAPH_OUTPUT, add_output);
	if (!m->status && phiz_graph_n_outputs(m->graph) == 0)
		m->status = phiz_fail(m->ctx, PHIZ_E_FORMAT, "%s: a graph without outputs", m->path);
	if (!m->status)
		m->status = phiz_model_prune(m->model);
	if (!m->status && phiz_span_is(f->producer, "phiz"))
		each(m, f->all, MODEL_METADATA, add_metadata);
	if (!m->status && phiz_graph_verify(m->graph))
		m->status = phiz_fail_in(m->ctx, "%s", m->path);
}

static void free_import(struct phiz_onnx_import *m)
{
	size_t i;
	int p;

	for (i = 0; i < m->n_values; i++) {
		phiz_tensor_free(m->ctx, &m->value[i].tensor);
		phiz_free(m->ctx, m->value[i].fold);
	}
	for (p = 0; p < PHIZ_PROBES; p++)
		phiz_free(m->ctx, m->type[p]);
	phiz_free(m->ctx, m->value);
	phiz_free(m->ctx, m->slot);
	phiz_free(m->ctx, m);
}

static enum phiz_status parse(struct phiz_ctx *ctx, struct phiz_span all, const char *path, const char *folder,
                              int size, struct phiz_model **out)
{
	struct phiz_onnx_import *m;
	enum phiz_status status;
	struct file f;
	int p;

	*out = NULL;
	status = read_file(ctx, path, all, &f);
	if (status)
		return status;
	m = phiz_calloc(ctx, 1, sizeof(*m)); /* too much for a small stack */
	if (!m)
		return PHIZ_E_NOMEM;
	m->ctx = ctx;
	m->path = path;
	m->beside.folder = folder;
	m->beside.left = MAX_BESIDE;
	m->size = size;
	m->opset = f.opset;
	m->may_make = SMALL + COPIES * all.size;
	for (p = 0; p < PHIZ_PROBES; p++)
		m->live[p] = true;
	m->status = phiz_model_create(ctx, &m->model);
	if (!m->status) {
		m->graph = m->model->graph;
		read_graph(m, &f);
	}
	status = m->status;
	if (status)
		phiz_model_free(&m->model);
	*out = m->model;
	free_import(m);
	return status;
}

enum phiz_status phiz_onnx_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path, int side,
                                 struct phiz_model **out)
{
	struct phiz_span all = {data, size};

	return parse(ctx, all, path, NULL, side, out);
}

enum phiz_status phiz_onnx_read(struct phiz_ctx *ctx, const char *path, int side, struct phiz_model **out)
{
	struct phiz_map map;
	struct phiz_span all;
	size_t n = (size_t)(phiz_path_base(path) - path);
	char *folder;
	enum phiz_status status;

	*out = NULL;
	folder = n ? phiz_strndup(ctx, path, n) : phiz_strdup(ctx, ".");
	if (!folder)
		return PHIZ_E_NOMEM;
	status = phiz_map_open(ctx, path, &map);
	if (!status) {
		all.data = map.data;
		all.size = map.size;
		status = parse(ctx, all, path, folder, side, out);
		phiz_map_close(&map);
	}
	phiz_free(ctx, folder);
	return status;
}
