/* relu, leaky_relu, add and the gradients of these. The formulas stand in core/ops. y may be x, and dx may
 * be dy, as there. */
#include "core/cpu/vector/vector.h"

/* --- One pass over n elements each. --- */

INLINE void activate_row(element *y, const element *x, int64_t n, float slope, int act)
{
	IN_PLACE
	for (int64_t i = 0; i < n; i++)
		y[i] = narrow(act_apply(act, slope, wide(x[i])));
}

/* d (+)= g * act'(y) */
INLINE void activate_back_row(element *d, const element *y, const element *g, int64_t n, float slope, bool add, int act)
{
	if (add)
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] = narrow(wide(d[i]) + act_gradient(act, slope, wide(y[i]), wide(g[i])));
	else
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] = narrow(act_gradient(act, slope, wide(y[i]), wide(g[i])));
}

INLINE void add_row(element *y, const element *a, const element *b, int64_t n, float slope, int act)
{
	IN_PLACE
	for (int64_t i = 0; i < n; i++)
		y[i] = narrow(act_apply(act, slope, wide(a[i]) + wide(b[i])));
}

static void copy_row(element *d, const element *g, int64_t n, bool add)
{
	if (add)
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] = narrow(wide(d[i]) + wide(g[i]));
	else if (d != g)
		memmove(d, g, (size_t)n * sizeof(*d));
}

/* --- relu, leaky_relu --- */

static void relu_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	(void)worker;
	activate_row((element *)call->out[0].data + begin, input_of(call, 0) + begin, end - begin, 0, PHIZ_ACT_RELU);
}

static enum phiz_status relu_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, relu_pieces, call);
	return PHIZ_OK;
}

static void relu_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	(void)worker;
	activate_back_row(gradient_of(call, 0) + begin, (const element *)call->out[0].data + begin,
	                  (const element *)call->dout[0].data + begin, end - begin, 0, phiz_adds(call, 0), PHIZ_ACT_RELU);
}

static enum phiz_status relu_backward(struct phiz_call *call)
{
	if (gradient_of(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, relu_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(relu) = {
	PHIZ_VECTOR_KERNEL("relu"), .supports = all_alike, .forward = relu_forward,
	.backward = relu_backward, .blocked = true,
};

static void leaky_relu_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	(void)worker;
	activate_row((element *)call->out[0].data + begin, input_of(call, 0) + begin, end - begin,
	             (float)call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f, PHIZ_ACT_LEAKY_RELU);
}

static enum phiz_status leaky_relu_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, leaky_relu_pieces, call);
	return PHIZ_OK;
}

static void leaky_relu_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	(void)worker;
	activate_back_row(gradient_of(call, 0) + begin, (const element *)call->out[0].data + begin,
	                  (const element *)call->dout[0].data + begin, end - begin,
	                  (float)call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f, phiz_adds(call, 0), PHIZ_ACT_LEAKY_RELU);
}

static enum phiz_status leaky_relu_backward(struct phiz_call *call)
{
	if (gradient_of(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, leaky_relu_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(leaky_relu) = {
	PHIZ_VECTOR_KERNEL("leaky_relu"), .supports = all_alike, .forward = leaky_relu_forward,
	.backward = leaky_relu_backward, .blocked = true,
};

/* --- add --- */

static void add_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const union phiz_attr *attr = call->node->attr;
	(void)worker;
	WITH_ACT(attr[PHIZ_ADD_ACT].i, add_row, (element *)call->out[0].data + begin, input_of(call, 0) + begin,
	         input_of(call, 1) + begin, end - begin, (float)attr[PHIZ_ADD_ACT_SLOPE].f);
}

static enum phiz_status add_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, add_pieces, call);
	return PHIZ_OK;
}

/* One gradient after the other within a piece: both may be the same memory if the second adds. */
static void add_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const union phiz_attr *attr = call->node->attr;
	const element *g = (const element *)call->dout[0].data + begin;
	(void)worker;
	for (int input = 0; input < 2; input++) {
		element *d = gradient_of(call, input);
		if (!d)
			continue;
		if (attr[PHIZ_ADD_ACT].i == PHIZ_ACT_NONE)
			copy_row(d + begin, g, end - begin, phiz_adds(call, input));
		else
			WITH_ACT(attr[PHIZ_ADD_ACT].i, activate_back_row, d + begin, (const element *)call->out[0].data + begin, g,
			         end - begin, (float)attr[PHIZ_ADD_ACT_SLOPE].f, phiz_adds(call, input));
	}
}

static enum phiz_status add_backward(struct phiz_call *call)
{
	if (call->dout[0].data)
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, add_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(add) = {
	PHIZ_VECTOR_KERNEL("add"), .supports = all_alike, .forward = add_forward,
	.backward = add_backward, .blocked = true,
};
