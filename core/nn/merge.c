/* One model out of several: the other's graph beside the first's, all names behind a prefix. */
#include <phiz/model.h>
#include <phiz/op.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

struct merger {
	struct phiz_model *into;
	const struct phiz_model *from;
	const char *prefix;
	int *value; /* of `from` to that of `into` */
};

static enum phiz_status copy_tensor(struct merger *m, const struct phiz_value *v, const char *name,
                                    struct phiz_tensor **out)
{
	struct phiz_ctx *ctx = m->into->ctx;
	const struct phiz_entry *entry = phiz_model_find(m->from, v->name);
	struct phiz_tensor *t;

	*out = NULL;
	if (!entry)
		return phiz_fail(ctx, PHIZ_E_INTERNAL, "the graph reads '%s', which the model does not hold", v->name);
	enum phiz_status status = phiz_tensor_create(ctx, entry->tensor->dtype, &entry->tensor->shape, &t);
	if (!status)
		status = phiz_tensor_convert(ctx, entry->tensor, t);
	if (status) {
		phiz_tensor_free(ctx, &t);
		return status;
	}
	*out = t;
	return phiz_model_add(m->into, name, t, entry->trainable);
}

/* Inputs, parameters and buffers. */
static enum phiz_status copy_leaf(struct merger *m, const struct phiz_value *v, int *out)
{
	struct phiz_ctx *ctx = m->into->ctx;
	struct phiz_graph *g = m->into->graph;
	char *name = phiz_asprintf(ctx, "%s%s", m->prefix, v->name);
	enum phiz_status status = name ? PHIZ_OK : PHIZ_E_NOMEM;
	struct phiz_tensor *t = NULL;

	if (!status && v->kind == PHIZ_VALUE_INPUT) {
		status = phiz_graph_input(g, name, v->type.dtype, &v->type.shape, out);
	} else if (!status) {
		status = copy_tensor(m, v, name, &t);
		if (!status && v->kind == PHIZ_VALUE_PARAM)
			status = phiz_graph_param(g, name, t, out);
		else if (!status)
			status = phiz_graph_buffer(g, name, t, out);
	}
	phiz_free(ctx, name);
	return status;
}

static enum phiz_status copy_node(struct merger *m, const struct phiz_node *n)
{
	struct phiz_ctx *ctx = m->into->ctx;
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	int in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS];
	char *name = phiz_asprintf(ctx, "%s%s", m->prefix, n->name);

	if (!name)
		return PHIZ_E_NOMEM;
	for (int i = 0; i < n->op->n_attrs; i++) {
		attr[i].name = n->op->attrs[i].name;
		attr[i].value = n->op->attrs[i].kind == PHIZ_ATTR_INT ? (double)n->attr[i].i : n->attr[i].f;
	}
	for (int i = 0; i < n->n_inputs; i++)
		in[i] = n->input[i] == PHIZ_NONE ? PHIZ_NONE : m->value[n->input[i]];
	enum phiz_status status = phiz_graph_add(m->into->graph, n->op, name, in, n->n_inputs, attr, n->op->n_attrs, out);
	for (int i = 0; i < n->n_outputs && !status; i++)
		m->value[n->output[i]] = out[i];
	phiz_free(ctx, name);
	return status;
}

static enum phiz_status merge(struct merger *m)
{
	struct phiz_graph *g = m->from->graph;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < phiz_graph_n_values(g) && !status; i++)
		if (phiz_graph_value(g, i)->kind != PHIZ_VALUE_ACTIVATION)
			status = copy_leaf(m, phiz_graph_value(g, i), &m->value[i]);
	for (int i = 0; i < phiz_graph_n_nodes(g) && !status; i++)
		status = copy_node(m, phiz_graph_node(g, i));
	for (int i = 0; i < phiz_graph_n_outputs(g) && !status; i++)
		status = phiz_graph_output(m->into->graph, m->value[phiz_graph_output_at(g, i)]);
	return status;
}

enum phiz_status phiz_model_merge(struct phiz_model *into, const struct phiz_model *from, const char *prefix)
{
	struct merger m = {into, from, prefix, NULL};

	m.value = phiz_calloc(into->ctx, (size_t)phiz_graph_n_values(from->graph) + 1, sizeof *m.value);
	if (!m.value)
		return PHIZ_E_NOMEM;
	enum phiz_status status = merge(&m);
	phiz_free(into->ctx, m.value);
	return status;
}
