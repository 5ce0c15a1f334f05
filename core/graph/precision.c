/* Which values are of the plan's precision, if that is lower than the graph's. As with layouts, all that may are
 * proposed to; where a step then finds no kernel, what it touches goes back to float32, until each step has one. So an
 * operator that has float32 kernels only keeps its own inputs and outputs wide, and no more. */
#include "core/graph/plan.h"

enum { SAME_BYTES = 2 }; /* bit of phiz_op.alias_mask */

/* An output that is its input's bytes under another shape is of one precision with it. */
static bool join_views(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;
	bool any = false;

	for (size_t n = 0; n < g->n_nodes; n++) {
		int in = g->node[n].input[0], out = g->node[n].output[0];
		if (!(g->node[n].op->alias_mask & SAME_BYTES) || p->low[in] == p->low[out])
			continue;
		p->low[in] = p->low[out] = false;
		any = true;
	}
	return any;
}

void phiz_plan_propose_precision(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;

	if (p->options.precision == PHIZ_F32)
		return;
	for (size_t i = 0; i < g->n_values; i++)
		p->low[i] = p->live[i] && g->value[i].kind == PHIZ_VALUE_ACTIVATION && p->type[i].dtype == PHIZ_F32 &&
		            (int)i != p->options.loss;
	for (size_t i = 0; i < g->n_outputs; i++)
		p->low[g->output[i]] = false;
	while (join_views(p))
		continue;
}

bool phiz_plan_take_back_precision(struct phiz_plan *p, int node)
{
	const struct phiz_node *n = &p->graph->node[node];
	bool any = false;

	for (int i = 0; i < n->n_inputs + n->n_outputs; i++) {
		int v = i < n->n_inputs ? n->input[i] : n->output[i - n->n_inputs];
		if (v == PHIZ_NONE || !p->low[v])
			continue;
		p->low[v] = false;
		any = true;
	}
	while (any && join_views(p))
		continue;
	return any;
}

void phiz_plan_lower_types(struct phiz_plan *p)
{
	for (size_t i = 0; i < p->graph->n_values; i++)
		if (p->type[i].dtype == PHIZ_F32 || p->type[i].dtype == p->options.precision)
			if (p->graph->value[i].kind == PHIZ_VALUE_ACTIVATION)
				p->type[i].dtype = p->low[i] ? p->options.precision : p->graph->value[i].type.dtype;
}
