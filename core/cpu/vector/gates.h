/* mul, prelu and the gradients of these. The formulas stand in core/ops. y may be x, and dx may be dy, as there. */
#include "core/cpu/vector/vector.h"

/* --- One pass over n elements each. --- */

static void scale_row(float *d, const float *g, int64_t n, float s, bool add)
{
	if (add)
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] += g[i] * s;
	else
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] = g[i] * s;
}

static void product_row(float *d, const float *a, const float *b, int64_t n, bool add)
{
	if (add)
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] += a[i] * b[i];
	else
		IN_PLACE
		for (int64_t i = 0; i < n; i++)
			d[i] = a[i] * b[i];
}

static double dot_row(const float *a, const float *b, int64_t n)
{
	lanes part[4] = {{0}};
	double sum = 0;
	int64_t i = 0;
	for (; i + SUM_LANES <= n; i += SUM_LANES)
		for (int v = 0; v < 4; v++)
			part[v] += *(const lanes *)(a + i + v * 16) * *(const lanes *)(b + i + v * 16);
	for (; i + 16 <= n; i += 16)
		part[0] += *(const lanes *)(a + i) * *(const lanes *)(b + i);
	for (; i < n; i++)
		sum += (double)(a[i] * b[i]);
	return sum + lanes_total(part);
}

/* --- mul: of the same shape by elements, a gate by planes --- */

static int64_t gate_spread(const struct phiz_call *call)
{
	return phiz_tensor_count(&call->in[0]) / phiz_tensor_count(&call->in[1]);
}

static void mul_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *a = phiz_in(call, 0), *b = phiz_in(call, 1);
	float *y = call->out[0].data;
	int64_t inner = gate_spread(call);
	(void)worker;
	if (inner == 1)
		product_row(y + begin, a + begin, b + begin, end - begin, false);
	for (int64_t i = begin; inner > 1 && i < end; i++)
		scale_row(y + i * inner, a + i * inner, inner, b[i], false);
}

static int64_t mul_grain(const struct phiz_call *call)
{
	int64_t inner = gate_spread(call);
	return inner < GRAIN ? GRAIN / inner : 1;
}

static enum phiz_status mul_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->in[1]), mul_grain(call), mul_pieces, call);
	return PHIZ_OK;
}

/* Neither gradient is written over what the other still reads: nothing may alias but da and db, if db adds. */
static void mul_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *a = phiz_in(call, 0), *b = phiz_in(call, 1), *g = call->dout[0].data;
	float *da = phiz_din(call, 0), *db = phiz_din(call, 1);
	int64_t inner = gate_spread(call);
	(void)worker;
	if (inner == 1 && da)
		product_row(da + begin, g + begin, b + begin, end - begin, phiz_adds(call, 0));
	if (inner == 1 && db)
		product_row(db + begin, g + begin, a + begin, end - begin, phiz_adds(call, 1));
	for (int64_t i = begin; inner > 1 && i < end; i++) {
		if (da)
			scale_row(da + i * inner, g + i * inner, inner, b[i], phiz_adds(call, 0));
		if (db)
			phiz_put(&db[i], phiz_adds(call, 1), (float)dot_row(g + i * inner, a + i * inner, inner));
	}
}

static enum phiz_status mul_backward(struct phiz_call *call)
{
	if (call->dout[0].data)
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->in[1]), mul_grain(call), mul_back_pieces, call);
	return PHIZ_OK;
}

static bool mul_supports(const struct phiz_call *call)
{
	bool same = phiz_shape_equal(&call->in[0].shape, &call->in[1].shape);
	return same ? phiz_call_same_layout(call) : !phiz_call_is_blocked(call);
}

const struct phiz_kernel PHIZ_VECTOR_ROW(mul) = {
	PHIZ_VECTOR_KERNEL("mul"), .supports = mul_supports, .forward = mul_forward, .backward = mul_backward,
	.blocked = true,
};

/* --- prelu --- */

/* x as [outer, channels, inner]; with a single weight, pieces of a row are what a channel is otherwise. */
static struct phiz_lines prelu_lines(const struct phiz_call *call)
{
	struct phiz_lines one = {1, 1, phiz_tensor_count(&call->in[PHIZ_PRELU_INPUT])};
	if (phiz_tensor_count(&call->in[PHIZ_PRELU_WEIGHT]) == 1)
		return one;
	return phiz_lines_along(&call->in[PHIZ_PRELU_INPUT].shape, 1);
}

/* In vectors by hand: compilers keep a product that only some lanes make apart from the others, as it might trap. (If
 * they are told that nothing traps, gcc 12 makes wrong code of such loops for AVX2.) */
INLINE void prelu_row(float *y, const float *x, int64_t n, float slope)
{
	int64_t i = 0;
	for (; i + VEC <= n; i += VEC) {
		vec v = vec_load(x + i);
		vec_store(y + i, vec_pick(v > (vec){0}, v, v * slope));
	}
	for (; i < n; i++)
		y[i] = x[i] > 0 ? x[i] : x[i] * slope;
}

/* Elements begin..end-1 of [outer, channels], each channel with a slope of its own. */
INLINE void prelu_columns(float *y, const float *x, const float *w, int64_t channels, int64_t begin, int64_t end)
{
	for (int64_t i = begin; i < end;) {
		int64_t c = i % channels, k = 0, n = channels - c < end - i ? channels - c : end - i;
		for (; k + VEC <= n; k += VEC) {
			vec v = vec_load(x + i + k);
			vec_store(y + i + k, vec_pick(v > (vec){0}, v, v * vec_load(w + c + k)));
		}
		for (; k < n; k++)
			y[i + k] = x[i + k] > 0 ? x[i + k] : x[i + k] * w[c + k];
		i += n;
	}
}

INLINE void prelu_back_row(float *d, const float *x, const float *g, int64_t n, float slope, bool add)
{
	int64_t i = 0;
	for (; i + VEC <= n; i += VEC) {
		vec at_g = vec_load(g + i), to = vec_pick(vec_load(x + i) > (vec){0}, at_g, at_g * slope);
		vec_store(d + i, add ? vec_load(d + i) + to : to);
	}
	for (; i < n; i++) {
		float to = x[i] > 0 ? g[i] : g[i] * slope;
		d[i] = add ? d[i] + to : to;
	}
}

static void prelu_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *x = phiz_in(call, PHIZ_PRELU_INPUT), *w = phiz_in(call, PHIZ_PRELU_WEIGHT);
	struct phiz_lines l = prelu_lines(call);
	float *y = call->out[0].data;
	(void)worker;
	if (l.inner == 1) {
		prelu_columns(y, x, w, l.n, begin, end);
		return;
	}
	for (int64_t i = begin; i < end;) {
		int64_t line = i / l.inner, stop = (line + 1) * l.inner < end ? (line + 1) * l.inner : end;
		prelu_row(y + i, x + i, stop - i, w[line % l.n]);
		i = stop;
	}
}

static enum phiz_status prelu_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, prelu_pieces, call);
	return PHIZ_OK;
}

/* dw of one channel. */
static void prelu_weight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *x = phiz_in(call, PHIZ_PRELU_INPUT), *g = call->dout[0].data;
	struct phiz_lines l = prelu_lines(call);
	float *dw = phiz_din(call, PHIZ_PRELU_WEIGHT);
	(void)worker;
	for (int64_t c = begin; c < end; c++) {
		double sum = 0;
		for (int64_t o = 0; o < l.outer; o++)
			for (int64_t i = (o * l.n + c) * l.inner; i < (o * l.n + c + 1) * l.inner; i++)
				sum += x[i] > 0 ? 0 : (double)x[i] * (double)g[i];
		phiz_put(&dw[c], phiz_adds(call, PHIZ_PRELU_WEIGHT), (float)sum);
	}
}

static void prelu_input_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *x = phiz_in(call, PHIZ_PRELU_INPUT), *w = phiz_in(call, PHIZ_PRELU_WEIGHT), *g = call->dout[0].data;
	struct phiz_lines l = prelu_lines(call);
	float *dx = phiz_din(call, PHIZ_PRELU_INPUT);
	bool add = phiz_adds(call, PHIZ_PRELU_INPUT);
	(void)worker;
	for (int64_t i = begin; i < end;) {
		int64_t line = i / l.inner, stop = (line + 1) * l.inner < end ? (line + 1) * l.inner : end;
		prelu_back_row(dx + i, x + i, g + i, stop - i, w[line % l.n], add);
		i = stop;
	}
}

/* dw first: dx may be dy. */
static enum phiz_status prelu_backward(struct phiz_call *call)
{
	if (!call->dout[0].data)
		return PHIZ_OK;
	if (phiz_din(call, PHIZ_PRELU_WEIGHT))
		phiz_parallel_for(call->ctx, prelu_lines(call).n, 1, prelu_weight_pieces, call);
	if (phiz_din(call, PHIZ_PRELU_INPUT))
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), GRAIN, prelu_input_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(prelu) = {PHIZ_VECTOR_KERNEL("prelu"), .forward = prelu_forward,
                                                   .backward = prelu_backward};
