/* From when to when each value, saved value and gradient must be there, and which may share memory: an output written
 * over its input (ReLU), an output that is its input (flatten), a gradient that is another's (add). */
#include <string.h>

#include "core/base/alloc.h"
#include "core/graph/plan.h"

enum { IN_PLACE = 1, SAME_BYTES = 2, SAME_GRADIENT = 4 }; /* bits of phiz_op.alias_mask */

static size_t type_bytes(const struct phiz_type *type)
{
	return (size_t)phiz_shape_count(&type->shape) * phiz_dtype_size(type->dtype);
}

static enum phiz_status new_slot(struct phiz_plan *p, size_t bytes, int first, int last, int *out)
{
	if (phiz_grow(p->ctx, &p->slot, &p->slots_capacity, p->n_slots + 1, sizeof *p->slot))
		return PHIZ_E_NOMEM;
	p->slot[p->n_slots] = (struct phiz_slot){bytes, 0, first, last};
	*out = (int)p->n_slots++;
	return PHIZ_OK;
}

static void extend(struct phiz_slot *s, int first, int last)
{
	s->first = first < s->first ? first : s->first;
	s->last = last > s->last ? last : s->last;
}

static void use_at(int *last, int value, int event)
{
	if (value != PHIZ_NONE && event > last[value])
		last[value] = event;
}

/* The last event at which each value is read. */
static void last_reads(const struct phiz_plan *p, int *last)
{
	const struct phiz_graph *g = p->graph;

	for (size_t i = 0; i < g->n_values; i++)
		last[i] = g->value[i].node != PHIZ_NONE ? phiz_forward_event(p, g->value[i].node) : -1;
	for (int n = 0; n < (int)g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		unsigned in_mask = 0, out_mask = 0;
		if (!p->live_node[n])
			continue;
		if (p->want[n] && node->op->reads)
			node->op->reads(node, p->want[n], &in_mask, &out_mask);
		for (int i = 0; i < node->n_inputs; i++) {
			use_at(last, node->input[i], phiz_forward_event(p, n));
			if (in_mask >> i & 1u)
				use_at(last, node->input[i], phiz_backward_event(p, n));
		}
		for (int o = 0; o < node->n_outputs; o++)
			if (out_mask >> o & 1u)
				use_at(last, node->output[o], phiz_backward_event(p, n));
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		last[g->output[i]] = p->end;
	if (p->options.loss != PHIZ_NONE)
		last[p->options.loss] = p->end;
}

/* The slot that output o of the node may take over from input 0, or PHIZ_NONE. */
static int shared_slot(const struct phiz_plan *p, int n, int o)
{
	const struct phiz_node *node = &p->graph->node[n];
	int in = node->input[0], out = node->output[o];

	if (o != 0 || in == PHIZ_NONE || p->value_slot[in] == PHIZ_NONE)
		return PHIZ_NONE;
	if (node->op->alias_mask & SAME_BYTES)
		return p->value_slot[in];
	const struct phiz_slot *s = &p->slot[p->value_slot[in]];
	if ((node->op->alias_mask & IN_PLACE) && s->last == phiz_forward_event(p, n) && s->first >= 0 &&
	    type_bytes(&p->type[in]) == type_bytes(&p->type[out]))
		return p->value_slot[in];
	return PHIZ_NONE;
}

static enum phiz_status value_slots(struct phiz_plan *p, const int *last)
{
	const struct phiz_graph *g = p->graph;
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; !status && i < g->n_values; i++)
		if (g->value[i].kind == PHIZ_VALUE_INPUT) /* the caller may write it at any time between runs */
			status = new_slot(p, type_bytes(&p->type[i]), -1, p->end, &p->value_slot[i]);
	for (int n = 0; !status && n < (int)g->n_nodes; n++) {
		const struct phiz_node *node = &g->node[n];
		for (int o = 0; !status && p->live_node[n] && o < node->n_outputs; o++) {
			int v = node->output[o], slot = shared_slot(p, n, o);
			if (slot == PHIZ_NONE && (node->op->alias_mask & SAME_BYTES) && o == 0)
				continue; /* a view of a parameter: no memory of its own */
			if (slot == PHIZ_NONE)
				status = new_slot(p, type_bytes(&p->type[v]), phiz_forward_event(p, n), last[v], &slot);
			else
				extend(&p->slot[slot], phiz_forward_event(p, n), last[v]);
			p->value_slot[v] = slot;
		}
	}
	return status;
}

static enum phiz_status saved_slots(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS], saved[PHIZ_MAX_SAVED];
	enum phiz_status status = PHIZ_OK;

	for (int n = 0; n < (int)g->n_nodes && !status; n++) {
		const struct phiz_node *node = &g->node[n];
		if (!p->want[n] || !node->op->saved)
			continue;
		memset(in, 0, sizeof in);
		for (int i = 0; i < node->n_inputs; i++)
			if (node->input[i] != PHIZ_NONE)
				in[i] = p->type[node->input[i]];
		for (int o = 0; o < node->n_outputs; o++)
			out[o] = p->type[node->output[o]];
		int count = node->op->saved(node, in, out, saved);
		for (int s = 0; s < count && !status; s++)
			status = new_slot(p, type_bytes(&saved[s]), phiz_forward_event(p, n), phiz_backward_event(p, n),
			                  &p->saved_slot[n][s]);
	}
	return status;
}

/* --- Gradients of activations. --- */

/* The event at which the gradient of v is read for the last time. */
static int gradient_read(const struct phiz_plan *p, int v)
{
	int node = p->graph->value[v].node;
	return node == PHIZ_NONE ? p->end : phiz_backward_event(p, node);
}

/* The first event at which something is written into (or as) the gradient of v. */
static int gradient_first(const struct phiz_plan *p, int v)
{
	const struct phiz_graph *g = p->graph;

	if (v == p->options.loss)
		return (int)g->n_nodes;
	for (int n = (int)g->n_nodes; n-- > 0;)
		for (int i = 0; i < g->node[n].n_inputs; i++)
			if (g->node[n].input[i] == v && (p->want[n] >> i & 1u))
				return phiz_backward_event(p, n);
	return p->end;
}

/* The first event at which something is ADDED to the gradient of v; end + 1 if never. */
static int gradient_added(const struct phiz_plan *p, int v)
{
	const struct phiz_graph *g = p->graph;
	int first = gradient_first(p, v), seen_at_first = v == p->options.loss;

	for (int n = (int)g->n_nodes; n-- > 0;)
		for (int i = 0; i < g->node[n].n_inputs; i++)
			if (g->node[n].input[i] == v && (p->want[n] >> i & 1u)) {
				int event = phiz_backward_event(p, n);
				if (event > first || seen_at_first++)
					return event;
			}
	return p->end + 1;
}

/* May the gradient of v live in `slot` beside those that are there? Nothing may be added to one of them before the
 * others have been read. */
static bool may_join(const struct phiz_plan *p, int slot, int v)
{
	for (size_t k = 0; k < p->graph->n_values; k++) {
		if (p->gradient_slot[k] != slot || (int)k == v)
			continue;
		if (gradient_read(p, (int)k) >= gradient_added(p, v) || gradient_read(p, v) >= gradient_added(p, (int)k))
			return false;
	}
	return true;
}

/* Is input i of node n one whose gradient can be the output's, without a copy? */
static bool can_alias(const struct phiz_plan *p, int n, int i)
{
	const struct phiz_node *node = &p->graph->node[n];
	int v = node->input[i], out = node->output[0];
	bool same = (node->op->alias_mask & SAME_GRADIENT) || ((node->op->alias_mask & SAME_BYTES) && i == 0);

	if (!same || phiz_node_attr_int(node, "act", 0) != 0 || !(p->want[n] >> i & 1u))
		return false;
	if (p->graph->value[v].kind == PHIZ_VALUE_PARAM || p->gradient_slot[out] == PHIZ_NONE)
		return false;
	for (int k = 0; k < node->n_inputs; k++)
		if (k != i && node->input[k] == v)
			return false;
	if (type_bytes(&p->type[v]) != type_bytes(&p->type[out]))
		return false;
	return gradient_first(p, v) == phiz_backward_event(p, n) && may_join(p, p->gradient_slot[out], v);
}

static enum phiz_status gradient_slots(struct phiz_plan *p)
{
	const struct phiz_graph *g = p->graph;
	enum phiz_status status = PHIZ_OK;
	int loss = p->options.loss;

	if (loss != PHIZ_NONE && p->gradient[loss])
		status = new_slot(p, type_bytes(&p->type[loss]), (int)g->n_nodes, gradient_read(p, loss),
		                  &p->gradient_slot[loss]);
	for (int n = (int)g->n_nodes; n-- > 0 && !status;)
		for (int i = 0; i < g->node[n].n_inputs && !status; i++) {
			int v = g->node[n].input[i];
			if (!(p->want[n] >> i & 1u) || g->value[v].kind == PHIZ_VALUE_PARAM || p->gradient_slot[v] != PHIZ_NONE)
				continue;
			if (can_alias(p, n, i)) {
				int slot = p->gradient_slot[g->node[n].output[0]];
				p->gradient_slot[v] = slot;
				p->alias_gradient[n][i] = true;
				extend(&p->slot[slot], p->slot[slot].first, gradient_read(p, v));
			} else {
				status = new_slot(p, type_bytes(&p->type[v]), phiz_backward_event(p, n), gradient_read(p, v),
				                  &p->gradient_slot[v]);
			}
		}
	return status;
}

enum phiz_status phiz_plan_slots(struct phiz_plan *p)
{
	int *last = phiz_alloc(p->ctx, p->graph->n_values + 1, sizeof *last);
	if (!last)
		return PHIZ_E_NOMEM;
	last_reads(p, last);
	enum phiz_status status = value_slots(p, last);
	phiz_free(p->ctx, last);
	if (!status)
		status = saved_slots(p);
	return status ? status : gradient_slots(p);
}
