/* Names, parameters, nodes and attributes of a graph that is being imported. */
#include "core/io/onnx_import.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/io/model_file.h"

#define MAX_NAME 900 /* a model file takes 1024, and suffixes are added */
#define MAX_ELEMENTS ((int64_t)1 << 30) /* of one value, as reading a model file has it */

enum phiz_status phiz_onnx_fail(struct phiz_onnx_import *m, enum phiz_status status, const char *fmt, ...)
{
	char text[512], op[PHIZ_SHOWN], name[PHIZ_SHOWN];
	struct phiz_span shown = m->node.name.size ? m->node.name : m->node.out[0];
	va_list args;

	if (m->status)
		return m->status;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	m->status = phiz_fail(m->ctx, status, "%s: %s '%s': %s", m->path, phiz_span_shown(m->node.op, op),
	                      phiz_span_shown(shown, name), text);
	return m->status;
}

/* The same in front of the message that is there. */
static void fail_in(struct phiz_onnx_import *m, enum phiz_status status)
{
	char op[PHIZ_SHOWN], name[PHIZ_SHOWN];
	struct phiz_span shown = m->node.name.size ? m->node.name : m->node.out[0];

	if (m->status)
		return;
	m->status = status;
	if (status != PHIZ_E_NOMEM)
		phiz_fail_in(m->ctx, "%s: %s '%s'", m->path, phiz_span_shown(m->node.op, op), phiz_span_shown(shown, name));
}

/* ---- Values by name ---- */

static uint32_t hash(struct phiz_span name)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < name.size; i++)
		h = (h ^ name.data[i]) * 16777619u;
	return h;
}

/* The slot of the name, or the empty one where it belongs. */
static size_t slot_of(const struct phiz_onnx_import *m, struct phiz_span name)
{
	size_t at = hash(name) % m->n_slots;

	while (m->slot[at] && !phiz_span_equal(m->value[m->slot[at] - 1].name, name))
		at = (at + 1) % m->n_slots;
	return at;
}

struct phiz_onnx_value *phiz_onnx_find(struct phiz_onnx_import *m, struct phiz_span name)
{
	size_t at = m->n_slots ? slot_of(m, name) : 0;

	return m->n_slots && m->slot[at] ? &m->value[m->slot[at] - 1] : NULL;
}

/* Twice as many slots as names at least. */
static enum phiz_status make_slots(struct phiz_onnx_import *m)
{
	uint32_t *old = m->slot;
	size_t n = m->n_slots ? 2 * m->n_slots : 1024, i;

	if (m->n_slots > 2 * m->n_values + 2)
		return PHIZ_OK;
	m->slot = phiz_calloc(m->ctx, n, sizeof(*m->slot));
	if (!m->slot) {
		m->slot = old;
		return PHIZ_E_NOMEM;
	}
	m->n_slots = n;
	for (i = 0; i < m->n_values; i++)
		m->slot[slot_of(m, m->value[i].name)] = (uint32_t)i + 1;
	phiz_free(m->ctx, old);
	return PHIZ_OK;
}

struct phiz_onnx_value *phiz_onnx_new(struct phiz_onnx_import *m, struct phiz_span name)
{
	struct phiz_onnx_value *v;
	char shown[PHIZ_SHOWN];

	if (m->status)
		return NULL;
	if (phiz_onnx_find(m, name)) {
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "makes '%s', which is there already", phiz_span_shown(name, shown));
		return NULL;
	}
	m->status = make_slots(m);
	if (!m->status)
		m->status = phiz_grow(m->ctx, &m->value, &m->capacity, m->n_values + 1, sizeof(*m->value));
	if (m->status)
		return NULL;
	v = &m->value[m->n_values];
	memset(v, 0, sizeof(*v));
	v->name = name;
	v->value = v->param = v->norm_of = PHIZ_NONE;
	m->slot[slot_of(m, name)] = (uint32_t)++m->n_values;
	return v;
}

void phiz_onnx_count_bytes(struct phiz_onnx_import *m, const struct phiz_tensor *tensor)
{
	size_t bytes = tensor ? phiz_tensor_bytes(tensor) : 0;

	if (!m->status && bytes > m->may_make - m->made)
		m->status = phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: its tensors, and copies that its nodes make of them, come to "
		                      "more than %zu MiB", m->path, m->may_make >> 20);
	else
		m->made += bytes;
}

/* ---- Inputs of the node ---- */

bool phiz_onnx_has(const struct phiz_onnx_import *m, int i)
{
	return i < m->node.n_in && m->node.in[i].size > 0;
}

struct phiz_onnx_value *phiz_onnx_in(struct phiz_onnx_import *m, int i)
{
	struct phiz_onnx_value *v;
	char shown[PHIZ_SHOWN];

	if (m->status)
		return NULL;
	if (!phiz_onnx_has(m, i)) {
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "input %d is missing", i);
		return NULL;
	}
	v = phiz_onnx_find(m, m->node.in[i]);
	if (!v)
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "reads '%s', which nothing before it makes",
		               phiz_span_shown(m->node.in[i], shown));
	return v;
}

int phiz_onnx_in_graph(struct phiz_onnx_import *m, int i)
{
	struct phiz_onnx_value *v = phiz_onnx_in(m, i);
	char shown[PHIZ_SHOWN];

	if (!v)
		return PHIZ_NONE;
	if (v->norm_of != PHIZ_NONE)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "'%s' is a norm, and phiz takes norms only to divide by",
		               phiz_span_shown(v->name, shown));
	else if (v->value == PHIZ_NONE)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "input '%s' is a constant here, which phiz does not do",
		               phiz_span_shown(v->name, shown));
	return v->value;
}

bool phiz_onnx_in_is_constant(struct phiz_onnx_import *m, int i)
{
	struct phiz_onnx_value *v = phiz_onnx_in(m, i);

	return v && (v->tensor || v->fold);
}

bool phiz_fold_same(const struct phiz_onnx_import *m, const struct phiz_fold *f, int i)
{
	bool same = true;
	int p;

	for (p = 1; p < PHIZ_PROBES; p++)
		same = same && (!m->live[p] || f->v[p][i] == f->v[0][i]);
	return same;
}

/* A tensor of folded numbers that do not depend on the picture's size. */
static void make_tensor(struct phiz_onnx_import *m, struct phiz_onnx_value *v)
{
	struct phiz_shape shape = {0};
	float *to;
	int i;

	shape.ndim = v->fold->ndim;
	shape.dim[0] = v->fold->n;
	for (i = 0; i < v->fold->n; i++)
		if (!phiz_fold_same(m, v->fold, i)) {
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "computes with the picture's size, which phiz does not do");
			return;
		}
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &shape, &v->tensor);
	if (m->status)
		return;
	to = v->tensor->data;
	for (i = 0; i < v->fold->n; i++)
		to[i] = (float)v->fold->v[0][i];
}

struct phiz_tensor *phiz_onnx_in_tensor(struct phiz_onnx_import *m, int i)
{
	struct phiz_onnx_value *v = phiz_onnx_in(m, i);
	char shown[PHIZ_SHOWN];

	if (v && !v->tensor && v->fold)
		make_tensor(m, v);
	if (v && !v->tensor)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "input '%s' is computed here, and phiz wants a constant",
		               phiz_span_shown(v->name, shown));
	return m->status ? NULL : v->tensor;
}

bool phiz_onnx_in_fold(struct phiz_onnx_import *m, int i, struct phiz_fold *out)
{
	struct phiz_onnx_value *v = phiz_onnx_in(m, i);
	double wide[PHIZ_FOLD_MAX] = {0};
	struct phiz_tensor to;
	int p;

	if (!v || (!v->fold && !v->tensor))
		return false;
	if (v->fold) {
		*out = *v->fold;
		return true;
	}
	if (v->tensor->shape.ndim > 1 || phiz_tensor_count(v->tensor) > PHIZ_FOLD_MAX)
		return false;
	memset(out, 0, sizeof(*out));
	out->ndim = v->tensor->shape.ndim;
	out->n = (int)phiz_tensor_count(v->tensor);
	out->whole = v->tensor->dtype != PHIZ_F32;
	phiz_tensor_view(&to, PHIZ_F64, &v->tensor->shape, wide);
	if (out->n > 0)
		m->status = phiz_tensor_convert(m->ctx, v->tensor, &to);
	for (p = 0; p < PHIZ_PROBES; p++)
		memcpy(out->v[p], wide, sizeof(wide));
	return !m->status;
}

const struct phiz_shape *phiz_onnx_shape(const struct phiz_onnx_import *m, int probe, int value)
{
	return &m->type[probe][value].shape;
}

/* ---- Names of ours ---- */

/* name, or name/suffix, as a new string that neither value, node nor tensor has. */
static char *new_name(struct phiz_onnx_import *m, struct phiz_span name, const char *suffix)
{
	char *text, shown[PHIZ_SHOWN];

	if (m->status)
		return NULL;
	if (name.size == 0 || name.size > MAX_NAME || memchr(name.data, 0, name.size) ||
	    !phiz_utf8_valid((const char *)name.data, name.size)) {
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "the name '%s' is empty, too long or no UTF-8", phiz_span_shown(name, shown));
		return NULL;
	}
	text = phiz_asprintf(m->ctx, "%.*s%s%s", (int)name.size, (const char *)name.data, suffix ? "/" : "",
	                     suffix ? suffix : "");
	while (text && (phiz_graph_find_value(m->graph, text) != PHIZ_NONE ||
	                phiz_graph_find_node(m->graph, text) != PHIZ_NONE || phiz_model_find(m->model, text))) {
		phiz_free(m->ctx, text);
		text = phiz_asprintf(m->ctx, "%.*s%s%s_%u", (int)name.size, (const char *)name.data, suffix ? "/" : "",
		                     suffix ? suffix : "", ++m->renamed); /* counting on: no name is tried twice */
	}
	if (!text)
		m->status = PHIZ_E_NOMEM;
	return text;
}

/* Remembers the type of a new value; the same in all probes unless `by_probe` says otherwise. */
static void set_type(struct phiz_onnx_import *m, int value, const struct phiz_type *by_probe)
{
	int p;

	for (p = 0; p < PHIZ_PROBES && !m->status; p++) {
		m->status = phiz_grow(m->ctx, &m->type[p], &m->types_capacity[p], (size_t)value + 1, sizeof(**m->type));
		if (!m->status)
			m->type[p][value] = by_probe ? by_probe[p] : phiz_graph_value(m->graph, value)->type;
	}
}

/* ---- Parameters ---- */

static int add_param(struct phiz_onnx_import *m, char *name, struct phiz_tensor *tensor, bool trainable)
{
	int value = PHIZ_NONE;

	phiz_onnx_count_bytes(m, tensor);
	if (m->status || !name) {
		phiz_tensor_free(m->ctx, &tensor);
	} else {
		m->status = phiz_model_add(m->model, name, tensor, trainable);
		if (!m->status && m->model->n_entries > PHIZ_MODEL_MAX_TENSORS)
			phiz_onnx_fail(m, PHIZ_E_LIMIT, "more than %d tensors", PHIZ_MODEL_MAX_TENSORS);
		if (!m->status)
			m->status = trainable ? phiz_graph_param(m->graph, name, tensor, &value)
			                      : phiz_graph_buffer(m->graph, name, tensor, &value);
		if (!m->status)
			set_type(m, value, NULL);
	}
	phiz_free(m->ctx, name);
	return m->status ? PHIZ_NONE : value;
}

int phiz_onnx_new_param(struct phiz_onnx_import *m, const char *role, struct phiz_tensor *tensor, bool trainable)
{
	return add_param(m, new_name(m, m->node.out[0], role), tensor, trainable);
}

static struct phiz_tensor *reshaped(struct phiz_onnx_import *m, const struct phiz_tensor *from,
                                    const struct phiz_shape *shape)
{
	struct phiz_tensor *t = NULL;

	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, shape, &t);
	if (!m->status && phiz_tensor_bytes(t) > 0)
		memcpy(t->data, from->data, phiz_tensor_bytes(t));
	return t;
}

int phiz_onnx_param(struct phiz_onnx_import *m, int i, const struct phiz_shape *shape, bool trainable)
{
	struct phiz_tensor *t = phiz_onnx_in_tensor(m, i);
	struct phiz_onnx_value *v = phiz_onnx_in(m, i);
	char shown[PHIZ_SHOWN], text[128], want[128];
	int value;

	if (!t || !v)
		return PHIZ_NONE;
	if (t->dtype != PHIZ_F32) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "'%s' is of whole numbers, and phiz wants floating point",
		               phiz_span_shown(v->name, shown));
		return PHIZ_NONE;
	}
	if (phiz_tensor_count(t) != phiz_shape_count(shape)) {
		phiz_onnx_fail(m, PHIZ_E_SHAPE, "'%s': want shape %s, got %s", phiz_span_shown(v->name, shown),
		               phiz_shape_text(shape, want), phiz_shape_text(&t->shape, text));
		return PHIZ_NONE;
	}
	if (v->param != PHIZ_NONE && phiz_shape_equal(&phiz_graph_value(m->graph, v->param)->type.shape, shape))
		return v->param;
	t = reshaped(m, t, shape);
	value = add_param(m, m->status ? NULL : new_name(m, v->name, NULL), t, trainable);
	if (v->param == PHIZ_NONE)
		v->param = value;
	return value;
}

/* ---- Nodes ---- */

/* The types of the new values at the other probes; a probe that the node does not allow is given up. */
static void probe_types(struct phiz_onnx_import *m, int n)
{
	const struct phiz_node *node = phiz_graph_node(m->graph, n);
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS], by_probe[PHIZ_PROBES];
	int p, i;

	by_probe[0] = phiz_graph_value(m->graph, node->output[0])->type;
	for (p = 1; p < PHIZ_PROBES; p++) {
		by_probe[p] = by_probe[0];
		if (!m->live[p])
			continue;
		memset(in, 0, sizeof(in));
		memset(out, 0, sizeof(out));
		for (i = 0; i < PHIZ_MAX_INPUTS; i++) {
			if (i < node->n_inputs && node->input[i] != PHIZ_NONE)
				in[i] = m->type[p][node->input[i]];
			else
				in[i].shape.ndim = -1;
		}
		if (node->op->infer(m->ctx, node, in, out))
			m->live[p] = false;
		else
			by_probe[p] = out[0];
	}
	set_type(m, node->output[0], by_probe);
}

int phiz_onnx_add(struct phiz_onnx_import *m, const char *op_name, const int *in, int n_in,
                  const struct phiz_attr_arg *attr, int n_attrs, bool last)
{
	const struct phiz_op *op = phiz_op_find(op_name);
	int output[PHIZ_MAX_OUTPUTS] = {PHIZ_NONE}, n = phiz_graph_n_nodes(m->graph);
	enum phiz_status status;
	char *name;

	if (!m->status && !op)
		phiz_onnx_fail(m, PHIZ_E_INTERNAL, "no operator %s", op_name);
	if (!m->status && n >= PHIZ_MODEL_MAX_NODES)
		phiz_onnx_fail(m, PHIZ_E_LIMIT, "more than %d nodes", PHIZ_MODEL_MAX_NODES);
	name = new_name(m, m->node.out[0], last ? NULL : op_name);
	if (m->status)
		return PHIZ_NONE;
	status = phiz_graph_add(m->graph, op, name, in, n_in, attr, n_attrs, output);
	phiz_free(m->ctx, name);
	if (status) {
		fail_in(m, status);
		return PHIZ_NONE;
	}
	if (phiz_shape_count(&phiz_graph_value(m->graph, output[0])->type.shape) > MAX_ELEMENTS)
		phiz_onnx_fail(m, PHIZ_E_LIMIT, "more than %lld elements", (long long)MAX_ELEMENTS);
	probe_types(m, n);
	return m->status ? PHIZ_NONE : output[0];
}

void phiz_onnx_out_value(struct phiz_onnx_import *m, int value)
{
	struct phiz_onnx_value *v = phiz_onnx_new(m, m->node.out[0]);

	if (v)
		v->value = value;
}

void phiz_onnx_out_tensor(struct phiz_onnx_import *m, struct phiz_tensor *tensor)
{
	struct phiz_onnx_value *v;

	phiz_onnx_count_bytes(m, tensor);
	v = phiz_onnx_new(m, m->node.out[0]);
	if (v)
		v->tensor = tensor;
	else
		phiz_tensor_free(m->ctx, &tensor);
}

void phiz_onnx_out_fold(struct phiz_onnx_import *m, const struct phiz_fold *fold)
{
	struct phiz_fold *copy = m->status ? NULL : phiz_alloc(m->ctx, 1, sizeof(*copy));
	struct phiz_onnx_value *v;

	if (!copy) {
		m->status = m->status ? m->status : PHIZ_E_NOMEM;
		return;
	}
	*copy = *fold;
	v = phiz_onnx_new(m, m->node.out[0]);
	if (v)
		v->fold = copy;
	else
		phiz_free(m->ctx, copy);
}

/* ---- Attributes ---- */

struct phiz_onnx_attr *phiz_onnx_attr(struct phiz_onnx_import *m, const char *name, int type)
{
	struct phiz_onnx_attr *a, *found = NULL;
	int i;

	for (i = 0; i < m->node.n_attrs; i++) {
		a = &m->node.attr[i];
		if (!phiz_span_is(a->name, name))
			continue;
		if (found)
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "attribute '%s' twice", name);
		if (a->type != type)
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "attribute '%s' is not of the type that it should be", name);
		a->used = true;
		found = a;
	}
	return m->status ? NULL : found;
}

int64_t phiz_onnx_int(struct phiz_onnx_import *m, const char *name, int64_t absent)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_INT);

	return a ? a->i : absent;
}

double phiz_onnx_float(struct phiz_onnx_import *m, const char *name, double absent)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_FLOAT);

	return a ? (double)a->f : absent;
}

void phiz_onnx_ints(struct phiz_onnx_import *m, const char *name, int64_t *out, int n, int64_t min, int64_t max)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_INTS);
	int i;

	if (!a)
		return;
	if (a->n_ints != n) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "%s: want %d numbers, got %d", name, n, a->n_ints);
		return;
	}
	for (i = 0; i < n; i++) {
		out[i] = a->ints[i];
		if (out[i] < min || out[i] > max)
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "%s: want numbers from %lld to %lld, got %lld", name, (long long)min,
			               (long long)max, (long long)out[i]);
	}
}

void phiz_onnx_want_text(struct phiz_onnx_import *m, const char *name, const char *text)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_STRING);
	char shown[PHIZ_SHOWN];

	if (a && !phiz_span_is(a->s, text))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "%s '%s': phiz does only %s", name, phiz_span_shown(a->s, shown), text);
}

int phiz_onnx_axes(struct phiz_onnx_import *m, int i, int64_t *out)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, "axes", PHIZ_ONNX_A_INTS);
	struct phiz_fold f;
	int k;

	if (a) {
		memcpy(out, a->ints, sizeof(a->ints));
		return a->n_ints;
	}
	if (!phiz_onnx_has(m, i) || m->status)
		return 0;
	if (!phiz_onnx_in_fold(m, i, &f) || f.n > PHIZ_ONNX_LIST) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its axes are not known when importing");
		return 0;
	}
	for (k = 0; k < f.n; k++)
		out[k] = f.v[0][k] >= -PHIZ_ONNX_LIST && f.v[0][k] <= PHIZ_ONNX_LIST ? (int64_t)f.v[0][k] : PHIZ_ONNX_LIST;
	return f.n;
}
