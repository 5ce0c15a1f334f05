/* Activation and residual as part of the node that makes their input. */
#include <phiz/plan.h>

#include "core/graph/graph.h"

/* The node that makes `value`, if nothing else reads the value; else NULL. */
static struct phiz_node *sole_producer(struct phiz_graph *g, int value)
{
	if (g->value[value].node == PHIZ_NONE || phiz_graph_uses(g, value) != 1)
		return NULL;
	return &g->node[g->value[value].node];
}

enum phiz_status phiz_pass_fuse_activation(struct phiz_graph *graph, bool training)
{
	enum { ACT_RELU = 1, ACT_LEAKY_RELU = 2 }; /* enum phiz_act of the operators */

	for (size_t n = 0; n < graph->n_nodes; n++) {
		const struct phiz_node *node = &graph->node[n];
		bool relu = phiz_node_is(node, "relu"), leaky = phiz_node_is(node, "leaky_relu");
		struct phiz_node *p = relu || leaky ? sole_producer(graph, node->input[0]) : NULL;
		int act = p ? phiz_node_attr(p, "act") : PHIZ_NONE;
		if (act == PHIZ_NONE || p->attr[act].i != 0)
			continue;
		if (training && !phiz_node_is(p, "batch_norm"))
			continue; /* the other fused forms are for inference */
		p->attr[act].i = relu ? ACT_RELU : ACT_LEAKY_RELU;
		if (leaky)
			p->attr[phiz_node_attr(p, "act_slope")].f = node->attr[phiz_node_attr(node, "slope")].f;
		phiz_graph_replace(graph, node->output[0], node->input[0]);
	}
	return phiz_pass_prune(graph);
}

enum phiz_status phiz_pass_fuse_residual(struct phiz_graph *graph)
{
	for (size_t n = 0; n < graph->n_nodes; n++) {
		const struct phiz_node *node = &graph->node[n];
		if (!phiz_node_is(node, "add") || phiz_node_attr_int(node, "act", 0) != 0 || node->input[0] == node->input[1])
			continue;
		/* The later of the two producers takes the other's output, so that the order stays topological. */
		int a = node->input[0], b = node->input[1];
		int late = graph->value[a].node > graph->value[b].node ? a : b, early = late == a ? b : a;
		struct phiz_node *p = sole_producer(graph, late);
		int slot = p && phiz_node_is(p, "conv2d") ? phiz_node_slot(p, "residual") : PHIZ_NONE;
		if (slot == PHIZ_NONE || phiz_node_input(p, "residual") != PHIZ_NONE || phiz_node_attr_int(p, "act", 0) != 0)
			continue;
		if (!phiz_shape_equal(&graph->value[a].type.shape, &graph->value[b].type.shape))
			continue;
		while (p->n_inputs <= slot)
			p->input[p->n_inputs++] = PHIZ_NONE;
		p->input[slot] = early;
		phiz_graph_replace(graph, node->output[0], late);
	}
	return phiz_pass_prune(graph);
}
