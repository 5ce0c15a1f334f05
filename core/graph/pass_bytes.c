/* An input of normalised pictures becomes one of their bytes. */
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"

/* The last node becomes the first: it reads inputs only. */
static void bring_to_front(struct phiz_graph *g)
{
	const struct phiz_node node = g->node[g->n_nodes - 1];

	for (size_t n = g->n_nodes - 1; n > 0; n--)
		g->node[n] = g->node[n - 1];
	g->node[0] = node;
	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].node != PHIZ_NONE)
			g->value[i].node = (g->value[i].node + 1) % (int)g->n_nodes;
}

enum phiz_status phiz_pass_bytes(struct phiz_graph *graph, const char *input, const float mean[3], const float std[3],
                                 const char *erased)
{
	const struct phiz_attr_arg attr[] = {{"mean0", (double)mean[0]}, {"mean1", (double)mean[1]},
	                                     {"mean2", (double)mean[2]}, {"std0", (double)std[0]},
	                                     {"std1", (double)std[1]},   {"std2", (double)std[2]}};
	const struct phiz_shape box = phiz_shape_2d(1, 4);
	int value[2] = {phiz_graph_find_value(graph, input), PHIZ_NONE}, output[PHIZ_MAX_OUTPUTS];
	struct phiz_value *v = value[0] == PHIZ_NONE ? NULL : &graph->value[value[0]];
	enum phiz_status status = PHIZ_OK;

	if (!v || v->kind != PHIZ_VALUE_INPUT || v->type.dtype != PHIZ_F32 || v->type.shape.ndim != 4)
		return phiz_fail(graph->ctx, PHIZ_E_SHAPE, "'%s' is no input of pictures, f32 [N, 3, H, W]", input);
	v->type.dtype = PHIZ_U8;
	if (erased)
		status = phiz_graph_input(graph, erased, PHIZ_I32, &box, &value[1]);
	char *name = status ? NULL : phiz_asprintf(graph->ctx, "%s.normalize", input);
	if (name)
		status = phiz_graph_add(graph, phiz_op_find("normalize_bytes"), name, value, erased ? 2 : 1, attr, 6, output);
	phiz_free(graph->ctx, name);
	if (status || !name)
		return status ? status : PHIZ_E_NOMEM;
	phiz_graph_replace(graph, value[0], output[0]);
	graph->node[graph->n_nodes - 1].input[0] = value[0];
	bring_to_front(graph);
	return PHIZ_OK;
}
