/* Drops what no output needs; drops nodes that change nothing in inference. */
#include <phiz/plan.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/graph/graph.h"

/* Marks the values and nodes that the outputs need. Nodes are in topological order, so one walk backwards does. */
static void mark(const struct phiz_graph *g, bool *keep_value, bool *keep_node)
{
	for (size_t i = 0; i < g->n_outputs; i++)
		keep_value[g->output[i]] = true;
	for (size_t n = g->n_nodes; n-- > 0;) {
		const struct phiz_node *node = &g->node[n];
		for (int o = 0; o < node->n_outputs; o++)
			keep_node[n] = keep_node[n] || keep_value[node->output[o]];
		if (!keep_node[n])
			continue;
		for (int o = 0; o < node->n_outputs; o++)
			keep_value[node->output[o]] = true;
		for (int i = 0; i < node->n_inputs; i++)
			if (node->input[i] != PHIZ_NONE)
				keep_value[node->input[i]] = true;
	}
	for (size_t i = 0; i < g->n_values; i++) /* inputs stay: they are the graph's signature */
		if (g->value[i].kind == PHIZ_VALUE_INPUT)
			keep_value[i] = true;
}

static void renumber(int *ids, int count, const int *to)
{
	for (int i = 0; i < count; i++)
		if (ids[i] != PHIZ_NONE)
			ids[i] = to[ids[i]];
}

static void compact(struct phiz_graph *g, const bool *keep_value, const bool *keep_node, int *new_value, int *new_node)
{
	size_t to = 0;

	for (size_t i = 0; i < g->n_nodes; i++) {
		new_node[i] = keep_node[i] ? (int)to : PHIZ_NONE;
		if (keep_node[i])
			g->node[to++] = g->node[i];
		else
			phiz_free(g->ctx, g->node[i].name);
	}
	g->n_nodes = to;
	to = 0;
	for (size_t i = 0; i < g->n_values; i++) {
		new_value[i] = keep_value[i] ? (int)to : PHIZ_NONE;
		if (!keep_value[i]) {
			phiz_free(g->ctx, g->value[i].name);
			continue;
		}
		g->value[to] = g->value[i];
		renumber(&g->value[to].node, 1, new_node);
		to++;
	}
	g->n_values = to;
	for (size_t i = 0; i < g->n_nodes; i++) {
		renumber(g->node[i].input, g->node[i].n_inputs, new_value);
		renumber(g->node[i].output, g->node[i].n_outputs, new_value);
	}
	renumber(g->output, (int)g->n_outputs, new_value);
}

enum phiz_status phiz_pass_prune(struct phiz_graph *graph)
{
	struct phiz_graph *g = graph;
	enum phiz_status status = PHIZ_E_NOMEM;
	bool *keep_value = phiz_calloc(g->ctx, g->n_values + 1, sizeof *keep_value);
	bool *keep_node = phiz_calloc(g->ctx, g->n_nodes + 1, sizeof *keep_node);
	int *new_value = phiz_calloc(g->ctx, g->n_values + 1, sizeof *new_value);
	int *new_node = phiz_calloc(g->ctx, g->n_nodes + 1, sizeof *new_node);

	if (keep_value && keep_node && new_value && new_node) {
		mark(g, keep_value, keep_node);
		compact(g, keep_value, keep_node, new_value, new_node);
		status = PHIZ_OK;
	}
	phiz_free(g->ctx, keep_value);
	phiz_free(g->ctx, keep_node);
	phiz_free(g->ctx, new_value);
	phiz_free(g->ctx, new_node);
	return status;
}

enum phiz_status phiz_pass_drop_identity(struct phiz_graph *graph)
{
	for (size_t i = 0; i < graph->n_nodes; i++) {
		const struct phiz_node *node = &graph->node[i];
		bool same_cast = phiz_node_is(node, "cast") &&
			graph->value[node->input[0]].type.dtype == graph->value[node->output[0]].type.dtype;
		if (phiz_node_is(node, "dropout") || same_cast)
			phiz_graph_replace(graph, node->output[0], node->input[0]);
	}
	return phiz_pass_prune(graph);
}
