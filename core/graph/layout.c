/* Which values lie as the backend likes its pictures. All that may are proposed to; where a step then finds no kernel,
 * what it touches is taken back, until each step has one. So an operator whose kernels know plain tensors only keeps
 * its neighbours' side of it plain, and no more. */
#include "core/graph/plan.h"

enum { SAME_BYTES = 2 }; /* bit of phiz_op.alias_mask */

static bool may_lie(const struct phiz_type *type, enum phiz_layout layout)
{
	const struct phiz_shape *s = &type->shape;
	bool fits = s->ndim == 4 && s->dim[2] * s->dim[3] > 1;

	if (layout == PHIZ_BLOCKED)
		return fits && type->dtype != PHIZ_F64 && s->dim[1] % phiz_block(type->dtype) == 0;
	return fits && layout != PHIZ_PLAIN;
}

void phiz_plan_propose_layouts(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_layout want = p->options.precision == PHIZ_F32 ? backend->wide_layout : backend->picture_layout;

	for (size_t i = 0; i < g->n_values; i++) {
		bool may = p->live[i] && g->value[i].kind == PHIZ_VALUE_ACTIVATION && may_lie(&p->type[i], want);
		p->layout[i] = may ? want : PHIZ_PLAIN;
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		p->layout[g->output[i]] = PHIZ_PLAIN;
	for (size_t n = 0; n < g->n_nodes; n++)
		if (g->node[n].op->alias_mask & SAME_BYTES) /* another shape of the same bytes */
			p->layout[g->node[n].input[0]] = p->layout[g->node[n].output[0]] = PHIZ_PLAIN;
}

bool phiz_plan_take_back_layouts(struct phiz_plan *p, int node)
{
	const struct phiz_node *n = &p->graph->node[node];
	bool any = false;

	for (int i = 0; i < n->n_inputs + n->n_outputs; i++) {
		int v = i < n->n_inputs ? n->input[i] : n->output[i - n->n_inputs];
		if (v == PHIZ_NONE || p->layout[v] == PHIZ_PLAIN)
			continue;
		p->layout[v] = PHIZ_PLAIN;
		any = true;
	}
	return any;
}
