/* Which nodes run at all, and which get a backward step: a value gets a gradient if it depends on something trainable
 * and the loss depends on it. Below a frozen prefix nothing does, so nothing there is saved or run backward. */
#include <phiz/plan.h>

#include "core/graph/plan.h"

static bool is_float(const struct phiz_value *v)
{
	return v->type.dtype == PHIZ_F32 || v->type.dtype == PHIZ_F64 || v->type.dtype == PHIZ_F16 ||
	       v->type.dtype == PHIZ_BF16;
}

static bool differentiable(const struct phiz_node *node, int i)
{
	return node->input[i] != PHIZ_NONE && (node->op->diff_mask >> i & 1u);
}

static void mark_live(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;

	for (size_t i = 0; i < g->n_outputs; i++)
		p->live[g->output[i]] = true;
	if (p->options.loss != PHIZ_NONE)
		p->live[p->options.loss] = true;
	for (size_t n = g->n_nodes; n-- > 0;) {
		const struct phiz_node *node = &g->node[n];
		for (int o = 0; o < node->n_outputs; o++)
			p->live_node[n] = p->live_node[n] || p->live[node->output[o]];
		if (!p->live_node[n])
			continue;
		for (int o = 0; o < node->n_outputs; o++)
			p->live[node->output[o]] = true;
		for (int i = 0; i < node->n_inputs; i++)
			if (node->input[i] != PHIZ_NONE)
				p->live[node->input[i]] = true;
	}
	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].kind == PHIZ_VALUE_INPUT)
			p->live[i] = true;
}

/* Spreads "depends on something trainable" forward into needs[]. */
static void spread_forward(const struct phiz_graph *g, bool input_gradient, bool *needs)
{
	for (size_t i = 0; i < g->n_values; i++) {
		const struct phiz_value *v = &g->value[i];
		needs[i] = is_float(v) && ((v->kind == PHIZ_VALUE_PARAM && v->trainable) ||
		                           (v->kind == PHIZ_VALUE_INPUT && input_gradient));
	}
	for (size_t n = 0; n < g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		bool any = false;
		for (int i = 0; i < node->n_inputs; i++)
			any = any || (differentiable(node, i) && needs[node->input[i]]);
		for (int o = 0; o < node->n_outputs; o++)
			needs[node->output[o]] = any && is_float(&g->value[node->output[o]]);
	}
}

void phiz_graph_needs_gradient(const struct phiz_graph *graph, bool *needs)
{
	spread_forward(graph, false, needs);
}

void phiz_plan_mark(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;
	int loss = p->options.mode == PHIZ_PLAN_TRAIN ? p->options.loss : PHIZ_NONE;

	mark_live(p);
	if (loss == PHIZ_NONE)
		return;
	/* gradient[] first holds "needs one"; walking back from the loss, it is then kept only where the loss depends
	 * on the value. */
	spread_forward(g, p->options.input_gradient, p->gradient);
	for (size_t n = g->n_nodes; n-- > 0;) {
		const struct phiz_node *node = &g->node[n];
		bool reached = false;
		for (int o = 0; o < node->n_outputs; o++)
			reached = reached || (p->gradient[node->output[o]] && (node->output[o] == loss ||
			                                                       p->gradient_slot[node->output[o]] == 0));
		for (int i = 0; reached && i < node->n_inputs; i++)
			if (differentiable(node, i) && p->gradient[node->input[i]]) {
				p->want[n] |= 1u << i;
				p->gradient_slot[node->input[i]] = 0; /* reached by the loss; a real slot comes later */
			}
	}
	for (size_t i = 0; i < g->n_values; i++) {
		p->gradient[i] = p->gradient[i] && (p->gradient_slot[i] == 0 || (int)i == loss);
		p->gradient_slot[i] = PHIZ_NONE;
	}
}
