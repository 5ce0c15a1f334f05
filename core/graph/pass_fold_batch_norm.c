/* conv2d (or linear) followed by batch_norm, with running statistics, is one conv2d (linear) with bias:
 *   gamma (W x + b - mean)/sqrt(var + eps) + beta = (s W) x + (s (b - mean) + beta),  s = gamma/sqrt(var + eps)
 * computed in double and rounded once. */
#include <math.h>
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/graph/graph.h"

static const float *floats(const struct phiz_graph *g, int value)
{
	return value == PHIZ_NONE ? NULL : (const float *)g->value[value].tensor->data;
}

/* The node that the batch norm can be folded into: nothing else may read its output. NULL if there is none. */
static struct phiz_node *fold_target(struct phiz_graph *g, const struct phiz_node *bn)
{
	int x = bn->input[0];

	if (!phiz_node_is(bn, "batch_norm") || g->value[x].node == PHIZ_NONE || phiz_graph_uses(g, x) != 1)
		return NULL;
	struct phiz_node *p = &g->node[g->value[x].node];
	if (!(phiz_node_is(p, "conv2d") || phiz_node_is(p, "linear")) || phiz_node_attr_int(p, "act", 0) != 0)
		return NULL;
	int weight = phiz_node_input(p, "weight"), bias = phiz_node_input(p, "bias");
	if (!g->value[weight].tensor || g->value[weight].type.dtype != PHIZ_F32 ||
	    (bias != PHIZ_NONE && !g->value[bias].tensor))
		return NULL;
	return phiz_node_input(p, "residual") == PHIZ_NONE ? p : NULL;
}

static enum phiz_status fold(struct phiz_graph *g, const struct phiz_node *conv, const struct phiz_node *bn,
                             struct phiz_tensor **weight, struct phiz_tensor **bias)
{
	const struct phiz_tensor *w = g->value[phiz_node_input(conv, "weight")].tensor;
	const float *b = floats(g, phiz_node_input(conv, "bias")), *from = w->data;
	const float *gamma = floats(g, phiz_node_input(bn, "weight")), *beta = floats(g, phiz_node_input(bn, "bias"));
	const float *mean = floats(g, phiz_node_input(bn, "running_mean"));
	const float *var = floats(g, phiz_node_input(bn, "running_var"));
	double eps = bn->attr[phiz_node_attr(bn, "eps")].f;
	int64_t filters = w->shape.dim[0], inner = phiz_tensor_count(w) / filters;
	struct phiz_shape shape = phiz_shape_1d(filters);

	*weight = *bias = NULL;
	if (phiz_tensor_create(g->ctx, PHIZ_F32, &w->shape, weight) || phiz_tensor_create(g->ctx, PHIZ_F32, &shape, bias)) {
		phiz_tensor_free(g->ctx, weight);
		return PHIZ_E_NOMEM;
	}
	float *to = (*weight)->data, *to_bias = (*bias)->data;
	for (int64_t k = 0; k < filters; k++) {
		double s = (gamma ? (double)gamma[k] : 1.0) / sqrt((double)var[k] + eps);
		for (int64_t i = 0; i < inner; i++)
			to[k * inner + i] = (float)(s * (double)from[k * inner + i]);
		to_bias[k] = (float)(s * ((b ? (double)b[k] : 0.0) - (double)mean[k]) + (beta ? (double)beta[k] : 0.0));
	}
	return PHIZ_OK;
}

/* Gives the tensor to its owner and makes a parameter of it. Takes the tensor over, also on failure. */
static enum phiz_status adopt_param(struct phiz_graph *g, const char *node, const char *role,
                                    struct phiz_tensor *tensor, phiz_adopt_fn adopt, void *user, int *value)
{
	char *name = phiz_asprintf(g->ctx, "%s.folded_%s", node, role);
	if (!name) {
		phiz_tensor_free(g->ctx, &tensor);
		return PHIZ_E_NOMEM;
	}
	enum phiz_status status = adopt(user, name, tensor);
	if (!status)
		status = phiz_graph_param(g, name, tensor, value);
	phiz_free(g->ctx, name);
	return status;
}

/* Makes p read the folded tensors and do what the batch norm's fused activation did. */
static void rewire(struct phiz_node *p, const struct phiz_node *bn, int weight, int bias)
{
	int slot = phiz_node_slot(p, "bias"), act = phiz_node_attr(bn, "act");

	while (p->n_inputs <= slot)
		p->input[p->n_inputs++] = PHIZ_NONE;
	p->input[phiz_node_slot(p, "weight")] = weight;
	p->input[slot] = bias;
	if (act != PHIZ_NONE && bn->attr[act].i != 0) {
		p->attr[phiz_node_attr(p, "act")].i = bn->attr[act].i;
		p->attr[phiz_node_attr(p, "act_slope")].f = bn->attr[phiz_node_attr(bn, "act_slope")].f;
	}
}

enum phiz_status phiz_pass_fold_batch_norm(struct phiz_graph *graph, phiz_adopt_fn adopt, void *user)
{
	struct phiz_graph *g = graph;

	for (size_t n = 0; n < g->n_nodes; n++) {
		struct phiz_node *p = fold_target(g, &g->node[n]);
		struct phiz_tensor *weight, *bias;
		int weight_value, bias_value;
		if (!p)
			continue;
		enum phiz_status status = fold(g, p, &g->node[n], &weight, &bias);
		if (status)
			return status;
		status = adopt_param(g, p->name, "weight", weight, adopt, user, &weight_value);
		if (status) {
			phiz_tensor_free(g->ctx, &bias);
			return status;
		}
		status = adopt_param(g, p->name, "bias", bias, adopt, user, &bias_value);
		if (status)
			return status;
		int old = phiz_node_input(p, "weight");
		rewire(p, &g->node[n], weight_value, bias_value);
		if (phiz_graph_uses(g, old) == 0)
			phiz_tensor_release(g->ctx, g->value[old].tensor);
		phiz_graph_replace(g, g->node[n].output[0], g->node[n].input[0]);
	}
	return phiz_pass_prune(g);
}
