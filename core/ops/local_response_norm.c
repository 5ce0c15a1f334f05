/* local_response_norm (Krizhevsky et al. 2012): over `size` channels around c, as many on either side,
 *   s_c = k + alpha/size * sum of x_j^2, y_c = x_c s_c^-beta
 * dx_c = dy_c s_c^-beta - 2 alpha beta / size * x_c * sum over the same channels of dy_j x_j s_j^(-beta-1).
 * Saved: s, of x's shape. F.local_response_norm and ONNX's LRN; size is odd, where both agree. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

/* Channels begin..end-1 around c. */
static void around(const struct phiz_call *call, int64_t c, int64_t n, int64_t *begin, int64_t *end)
{
	int64_t half = call->node->attr[PHIZ_LRN_SIZE].i / 2;

	*begin = c > half ? c - half : 0;
	*end = c + half + 1 < n ? c + half + 1 : n;
}

static double sum_at(const struct phiz_call *call, const struct phiz_lines *l, const real *x, int64_t c)
{
	const union phiz_attr *a = call->node->attr;
	int64_t begin, end;
	double sum = 0;

	around(call, c, l->n, &begin, &end);
	for (int64_t j = begin; j < end; j++)
		sum += (double)x[j * l->inner] * x[j * l->inner];
	return a[PHIZ_LRN_K].f + a[PHIZ_LRN_ALPHA].f / (double)a[PHIZ_LRN_SIZE].i * sum;
}

/* In double. Nothing may alias. */
enum phiz_status REF(phiz_local_response_norm_forward)(struct phiz_call *call)
{
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, 1);
	double beta = call->node->attr[PHIZ_LRN_BETA].f;
	real *kept = call->saved[0].data;

	for (int64_t line = 0; line < l.outer * l.inner; line++) {
		int64_t start = line / l.inner * l.n * l.inner + line % l.inner;
		const real *x = phiz_in(call, 0) + start;
		real *y = (real *)call->out[0].data + start;

		for (int64_t c = 0; c < l.n; c++) {
			double s = sum_at(call, &l, x, c);

			if (kept)
				kept[start + c * l.inner] = (real)s;
			y[c * l.inner] = (real)(x[c * l.inner] * pow(s, -beta));
		}
	}
	return PHIZ_OK;
}

/* Nothing may alias. */
enum phiz_status REF(phiz_local_response_norm_backward)(struct phiz_call *call)
{
	struct phiz_lines l = phiz_lines_along(&call->in[0].shape, 1);
	const union phiz_attr *a = call->node->attr;
	double beta = a[PHIZ_LRN_BETA].f, factor = 2 * a[PHIZ_LRN_ALPHA].f * beta / (double)a[PHIZ_LRN_SIZE].i;
	bool add = phiz_adds(call, 0);

	if (!phiz_din(call, 0) || !call->dout[0].data)
		return PHIZ_OK;
	for (int64_t line = 0; line < l.outer * l.inner; line++) {
		int64_t start = line / l.inner * l.n * l.inner + line % l.inner;
		const real *x = phiz_in(call, 0) + start, *dy = (const real *)call->dout[0].data + start;
		const real *s = (const real *)call->saved[0].data + start;
		real *dx = phiz_din(call, 0) + start;

		for (int64_t c = 0; c < l.n; c++) {
			int64_t begin, end, at = c * l.inner;
			double sum = 0;

			around(call, c, l.n, &begin, &end);
			for (int64_t j = begin * l.inner; j < end * l.inner; j += l.inner)
				sum += (double)dy[j] * x[j] * pow(s[j], -beta - 1);
			phiz_put(&dx[at], add, (real)(dy[at] * pow(s[at], -beta) - factor * x[at] * sum));
		}
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_same(ctx, node, in, out);

	if (status == PHIZ_OK && node->attr[PHIZ_LRN_SIZE].i % 2 == 0)
		status = phiz_fail(ctx, PHIZ_E_ARG, "size: want an odd number of channels, got %lld",
		                   (long long)node->attr[PHIZ_LRN_SIZE].i);
	if (status == PHIZ_OK && in[0].shape.ndim < 2)
		status = phiz_rule_ndim(ctx, node, in, 0, 2, "[N, C] or more");
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	(void)node;
	(void)out;
	types[0].dtype = phiz_rule_wide(in[0].dtype);
	types[0].shape = in[0].shape;
	return 1;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double flops = phiz_cost_count(out) * (2 * (double)node->attr[PHIZ_LRN_SIZE].i + 4);

	phiz_cost_fill(node, in, out, flops, 2 * flops, c);
}

static const char *const input_names[] = {"input"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_LRN_SIZE] = PHIZ_ATTR_WINDOW("size", 5, 1),
	[PHIZ_LRN_ALPHA] = {"alpha", PHIZ_ATTR_FLOAT, 1e-4, 0, 1e6},
	[PHIZ_LRN_BETA] = {"beta", PHIZ_ATTR_FLOAT, 0.75, 0, 16},
	[PHIZ_LRN_K] = {"k", PHIZ_ATTR_FLOAT, 1, 1e-6, 1e6},
};

const struct phiz_op phiz_op_local_response_norm = {
	.name = "local_response_norm",
	.min_inputs = 1,
	.max_inputs = 1,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_LRN_ATTRS,
	.diff_mask = 1,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(local_response_norm),
};
#endif
