/* What a node's work costs, also where its backward gives only some of the gradients that it could. */
#include "core/graph/graph.h"

static double bytes_of(const struct phiz_type *type)
{
	double bytes = (double)phiz_dtype_size(type->dtype);

	if (type->shape.ndim < 0)
		return 0;
	for (int d = 0; d < type->shape.ndim; d++)
		bytes *= (double)type->shape.dim[d];
	return bytes;
}

/* All that backward can move, less the gradients that nobody wants and the inputs that are read for those alone. */
static double backward_bytes(const struct phiz_node *node, const struct phiz_type *in, unsigned want, double all)
{
	unsigned can = node->op->diff_mask, read_all = 0, read = 0, out_mask;

	if (node->op->reads) {
		node->op->reads(node, can, &read_all, &out_mask);
		node->op->reads(node, want & can, &read, &out_mask);
	}
	for (int i = 0; i < node->n_inputs; i++) {
		if ((can & ~want) >> i & 1u)
			all -= bytes_of(&in[i]);
		if ((read_all & ~read) >> i & 1u)
			all -= bytes_of(&in[i]);
	}
	return all > 0 ? all : 0;
}

void phiz_node_cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    bool backward, unsigned want, double *flops, double *bytes)
{
	struct phiz_cost cost = {0, 0, 0, 0};

	if (node->op->cost)
		node->op->cost(node, in, out, &cost);
	*flops = backward ? cost.backward_flops : cost.forward_flops;
	*bytes = backward ? backward_bytes(node, in, want, cost.backward_bytes) : cost.forward_bytes;
	/* conv2d and linear: half of the backward work is the gradient of the input, half that of the weight. */
	bool both = (want & 1u) && (want & ~1u), split = node->op->diff_mask & ~1u;
	if (backward && !both && split)
		*flops /= 2;
}
