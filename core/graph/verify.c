/* Checks a whole graph, such as a file has brought or a pass has rewritten. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"

static enum phiz_status verify_inputs(const struct phiz_graph *g, size_t n)
{
	const struct phiz_node *node = &g->node[n];
	const struct phiz_op *op = node->op;

	if (node->n_inputs < op->min_inputs || node->n_inputs > op->max_inputs)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s %s: want %d to %d inputs, got %d", op->name, node->name,
		                 op->min_inputs, op->max_inputs, node->n_inputs);
	for (int i = 0; i < node->n_inputs; i++) {
		int v = node->input[i];
		if (v == PHIZ_NONE && i >= op->min_inputs && !op->variadic)
			continue;
		if (v < 0 || v >= (int)g->n_values)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s %s: input %s is missing", op->name, node->name,
			                 op->input_names[i]);
		if (g->value[v].node >= (int)n)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s %s: input '%s' is made later (a cycle?)", op->name, node->name,
			                 g->value[v].name);
	}
	return PHIZ_OK;
}

static enum phiz_status verify_outputs(const struct phiz_graph *g, size_t n)
{
	const struct phiz_node *node = &g->node[n];

	for (int o = 0; o < node->n_outputs; o++) {
		int v = node->output[o];
		if (v < 0 || v >= (int)g->n_values || g->value[v].node != (int)n)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "node '%s' does not own its output", node->name);
	}
	return PHIZ_OK;
}

static enum phiz_status verify_values(const struct phiz_graph *g)
{
	for (size_t i = 0; i < g->n_values; i++) {
		const struct phiz_value *v = &g->value[i];
		bool activation = v->kind == PHIZ_VALUE_ACTIVATION;
		bool has_tensor = v->kind == PHIZ_VALUE_PARAM || v->kind == PHIZ_VALUE_BUFFER;
		if (activation != (v->node != PHIZ_NONE) || has_tensor != (v->tensor != NULL) || v->node >= (int)g->n_nodes)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "value '%s' has no consistent origin", v->name);
		if (has_tensor && (v->tensor->dtype != v->type.dtype || !phiz_shape_equal(&v->tensor->shape, &v->type.shape)))
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "value '%s' differs from its tensor in shape or dtype", v->name);
		if (phiz_graph_find_value(g, v->name) != (int)i)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "two values are named '%s'", v->name);
	}
	return PHIZ_OK;
}

static enum phiz_status verify_types(const struct phiz_graph *g)
{
	struct phiz_type *type = phiz_calloc(g->ctx, g->n_values + 1, sizeof *type);
	if (!type)
		return PHIZ_E_NOMEM;
	enum phiz_status status = phiz_graph_infer(g->ctx, g, 0, 0, 0, type);
	for (size_t i = 0; !status && i < g->n_values; i++)
		if (type[i].dtype != g->value[i].type.dtype || !phiz_shape_equal(&type[i].shape, &g->value[i].type.shape))
			status = phiz_fail(g->ctx, PHIZ_E_FORMAT, "value '%s': shape or dtype is not what its node makes",
			                   g->value[i].name);
	phiz_free(g->ctx, type);
	return status;
}

enum phiz_status phiz_graph_verify(struct phiz_graph *graph)
{
	enum phiz_status status = verify_values(graph);

	for (size_t i = 0; !status && i < graph->n_nodes; i++) {
		status = verify_inputs(graph, i);
		if (!status)
			status = verify_outputs(graph, i);
		if (!status && phiz_graph_find_node(graph, graph->node[i].name) != (int)i)
			status = phiz_fail(graph->ctx, PHIZ_E_FORMAT, "two nodes are named '%s'", graph->node[i].name);
	}
	for (size_t i = 0; !status && i < graph->n_outputs; i++)
		if (graph->output[i] < 0 || graph->output[i] >= (int)graph->n_values)
			status = phiz_fail(graph->ctx, PHIZ_E_FORMAT, "an output of the graph is not a value of it");
	return status ? status : verify_types(graph);
}
