/* dropout: y = 0 with probability p, else x / (1 - p), in training; else y = x. dx = dy under the same mask, which
 * is drawn again (core/ops/dropout.h). */
#include "core/ops/dropout.h"

#include "core/ops/kernel.h"
#include "core/ops/rule.h"

/* to = mask(from), added or written. to may be from. */
static void drop(const struct phiz_call *call, const real *from, real *to, bool add)
{
	double p = call->node->attr[PHIZ_DROPOUT_P].f;
	uint32_t draw[4] = {0}, threshold = phiz_dropout_threshold(p);
	int64_t n = phiz_tensor_count(&call->out[0]);
	real scale = (real)(1 / (1 - p));

	if (!call->training || p == 0) {
		phiz_copy(to, from, n, add);
		return;
	}
	for (int64_t i = 0; i < n; i++) {
		if (i % 4 == 0)
			phiz_dropout_draw(call, (uint64_t)i / 4, draw);
		phiz_put(&to[i], add, draw[i % 4] < threshold ? 0 : from[i] * scale);
	}
}

enum phiz_status REF(phiz_dropout_forward)(struct phiz_call *call)
{
	drop(call, phiz_in(call, 0), call->out[0].data, false);
	return PHIZ_OK;
}

enum phiz_status REF(phiz_dropout_backward)(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		drop(call, call->dout[0].data, phiz_din(call, 0), phiz_adds(call, 0));
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	phiz_cost_fill(node, in, out, phiz_cost_count(out), phiz_cost_count(out), c);
	c->backward_bytes = c->forward_bytes;
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_DROPOUT_P] = {"p", PHIZ_ATTR_FLOAT, 0.5, 0, 0.999999},
};

const struct phiz_op phiz_op_dropout = {
	.name = "dropout",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1,
	.alias_mask = 1,
	.infer = phiz_rule_same,
	.cost = cost,
	PHIZ_REFERENCE(dropout),
};
#endif
