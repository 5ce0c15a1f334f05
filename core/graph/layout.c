/* Which values lie blocked. All that may are proposed to; where a step then finds no kernel, what it touches is taken
 * back, until each step has one. So an operator whose kernels know plain tensors only keeps its neighbours' side of it
 * plain, and no more. */
#include "core/graph/plan.h"

enum { SAME_BYTES = 2 }; /* bit of phiz_op.alias_mask */

static bool is_picture(const struct phiz_type *type)
{
	const struct phiz_shape *s = &type->shape;
	return type->dtype == PHIZ_F32 && s->ndim == 4 && s->dim[1] % PHIZ_BLOCK == 0 && s->dim[2] * s->dim[3] > 1;
}

void phiz_plan_propose_layouts(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;

	for (size_t i = 0; i < g->n_values; i++)
		p->blocked[i] = p->live[i] && g->value[i].kind == PHIZ_VALUE_ACTIVATION && is_picture(&p->type[i]);
	for (size_t i = 0; i < g->n_outputs; i++)
		p->blocked[g->output[i]] = false;
	for (size_t n = 0; n < g->n_nodes; n++)
		if (g->node[n].op->alias_mask & SAME_BYTES) /* another shape of the same bytes */
			p->blocked[g->node[n].input[0]] = p->blocked[g->node[n].output[0]] = false;
}

bool phiz_plan_take_back_layouts(struct phiz_plan *p, int node)
{
	const struct phiz_node *n = &p->graph->node[node];
	bool any = false;

	for (int i = 0; i < n->n_inputs + n->n_outputs; i++) {
		int v = i < n->n_inputs ? n->input[i] : n->output[i - n->n_inputs];
		if (v == PHIZ_NONE || !p->blocked[v])
			continue;
		p->blocked[v] = false;
		any = true;
	}
	return any;
}
