/* conv2d of blocked pictures with a channel of its own for each filter, and prelu: each channel by itself, so that a
 * block of them are vectors. The formulas stand in core/ops. */
#include "core/cpu/vector/vector.h"

/* DWB_TILE: outputs that are summed at a time, so that no sum waits for itself. DWB_STRIP: columns of the gradient of
 * an input row that are summed at a time. DWB_PIXELS: summed in float, then in double. */
enum { DWB_MAX_TAPS = 64, DWB_TILE = PARTS > 2 ? 2 : 4, DWB_STRIP = 32, DWB_PIXELS = 64 };

struct dwb {
	struct phiz_call *call;
	int64_t n, blocks, h, w, p, q, r, s, stride_h, stride_w, top, left, dilation_h, dilation_w;
	int act;
	float slope;
	float *filter;     /* [block][tap][BLOCK] */
	const float *bias; /* [K] or NULL */
};

static void dwb_of(struct phiz_call *call, struct dwb *d)
{
	const int64_t *x = call->in[PHIZ_CONV2D_INPUT].shape.dim, *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const int64_t *y = call->out[0].shape.dim;
	const union phiz_attr *a = call->node->attr;
	/* What stays as it is may not be read from the call's parameters; it is only read. */
	float *kept = (float *)(uintptr_t)call->constants;
	*d = (struct dwb){
		.call = call, .n = x[0], .blocks = x[1] / BLOCK, .h = x[2], .w = x[3], .p = y[2], .q = y[3],
		.r = w[2], .s = w[3],
		.stride_h = a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = a[PHIZ_CONV2D_STRIDE_W].i,
		.top = a[PHIZ_CONV2D_PAD_TOP].i, .left = a[PHIZ_CONV2D_PAD_LEFT].i,
		.dilation_h = a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = a[PHIZ_CONV2D_DILATION_W].i,
		.act = (int)a[PHIZ_CONV2D_ACT].i, .slope = (float)a[PHIZ_CONV2D_ACT_SLOPE].f,
		.filter = kept ? kept : call->workspace,
		.bias = kept ? kept + phiz_tensor_count(&call->in[PHIZ_CONV2D_WEIGHT]) : phiz_in(call, PHIZ_CONV2D_BIAS),
	};
}

static size_t dwb_workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	(void)threads;
	return (size_t)phiz_tensor_count(&call->in[PHIZ_CONV2D_WEIGHT]) * sizeof(float);
}

static void dwb_pack(const struct phiz_call *call, float *filter)
{
	const float *w = phiz_in(call, PHIZ_CONV2D_WEIGHT);
	const int64_t *dim = call->in[PHIZ_CONV2D_WEIGHT].shape.dim, taps = dim[2] * dim[3];
	for (int64_t k = 0; k < dim[0]; k++)
		for (int64_t t = 0; t < taps; t++)
			filter[(k / BLOCK * taps + t) * BLOCK + k % BLOCK] = w[k * taps + t];
}

static size_t dwb_constants(const struct phiz_call *call)
{
	return dwb_workspace(call, false, 1) + (size_t)call->out[0].shape.dim[1] * sizeof(float);
}

static void dwb_prepare(const struct phiz_call *call, void *constants)
{
	const float *bias = phiz_in(call, PHIZ_CONV2D_BIAS);
	float *filter = constants, *kept = filter + phiz_tensor_count(&call->in[PHIZ_CONV2D_WEIGHT]);
	dwb_pack(call, filter);
	for (int64_t k = 0; k < call->out[0].shape.dim[1]; k++)
		kept[k] = bias ? bias[k] : 0;
}

/* The taps from *begin up to *end whose place first + t * step lies in 0..size-1. */
static void dwb_taps(int64_t first, int64_t step, int64_t taps, int64_t size, int64_t *begin, int64_t *end)
{
	*begin = first < 0 ? (-first + step - 1) / step : 0;
	*end = first >= size ? 0 : smaller((size - 1 - first) / step + 1, taps);
}

/* A row of outputs of one block of channels: the rows of its taps, and where its tensors begin. */
struct dwb_row {
	int64_t y0, r0, r1;
	const element *x, *z;
	const float *w, *bias;
	element *y;
};

/* n outputs from column q on, whose taps s0 up to s1 lie inside the picture. */
INLINE void dwb_outputs(const struct dwb *d, const struct dwb_row *row, int64_t q, int64_t s0, int64_t s1, const int n)
{
	const int64_t step = d->stride_w * BLOCK;
	vec sum[DWB_TILE][PARTS];
	for (int i = 0; i < n; i++)
		EACH_PART(v)
			sum[i][v] = row->bias ? vec_load(row->bias + v * VEC) : (vec){0};
	for (int64_t r = row->r0; r < row->r1; r++)
		for (int64_t s = s0; s < s1; s++) {
			const int64_t y = row->y0 + r * d->dilation_h, x = q * d->stride_w - d->left + s * d->dilation_w;
			const element *under = row->x + (y * d->w + x) * BLOCK;
			const float *w = row->w + (r * d->s + s) * BLOCK;
			EACH_PART(v) {
				const vec tap = vec_load(w + v * VEC);
				for (int i = 0; i < n; i++)
					sum[i][v] += vec_get(under + i * step + v * VEC) * tap;
			}
		}
	for (int i = 0; i < n; i++)
		EACH_PART(v) {
			const int64_t at = (q + i) * BLOCK + v * VEC;
			if (row->z)
				sum[i][v] += vec_get(row->z + at);
			vec_put(row->y + at, vec_act(d->act, d->slope, sum[i][v]));
		}
}

static void dwb_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct dwb *d = arg;
	const element *x = input_of(d->call, PHIZ_CONV2D_INPUT), *z = input_of(d->call, PHIZ_CONV2D_RESIDUAL);
	/* Columns whose taps are all inside: from `inside` up to `outside`. */
	const int64_t inside = (d->left + d->stride_w - 1) / d->stride_w;
	const int64_t last = d->w - 1 + d->left - (d->s - 1) * d->dilation_w;
	const int64_t outside = last < 0 ? 0 : smaller(last / d->stride_w + 1, d->q);
	(void)worker;
	for (int64_t i = begin; i < end; i++) { /* of image, block, output row */
		const int64_t plane = i / d->p, block = plane % d->blocks;
		struct dwb_row row = {
			.y0 = i % d->p * d->stride_h - d->top, .x = x + plane * d->h * d->w * BLOCK,
			.z = z ? z + i * d->q * BLOCK : NULL, .w = d->filter + block * d->r * d->s * BLOCK,
			.bias = d->bias ? d->bias + block * BLOCK : NULL, .y = (element *)d->call->out[0].data + i * d->q * BLOCK,
		};
		int64_t s0, s1;
		dwb_taps(row.y0, d->dilation_h, d->r, d->h, &row.r0, &row.r1);
		for (int64_t q = 0; q < d->q;) {
			if (q >= inside && q + DWB_TILE <= outside) {
				dwb_outputs(d, &row, q, 0, d->s, DWB_TILE);
				q += DWB_TILE;
				continue;
			}
			dwb_taps(q * d->stride_w - d->left, d->dilation_w, d->s, d->w, &s0, &s1);
			dwb_outputs(d, &row, q++, s0, s1, 1);
		}
	}
}

static enum phiz_status dwb_forward(struct phiz_call *call)
{
	struct dwb d;
	dwb_of(call, &d);
	if (!call->constants)
		dwb_pack(call, d.filter);
	phiz_parallel_for(call->ctx, d.n * d.blocks * d.p, larger(GRAIN / (d.q * BLOCK), 1), dwb_pieces, &d);
	return PHIZ_OK;
}

/* The output that tap t takes from input place i: o * stride + t * dilation - pad = i; -1: none. */
INLINE int64_t dwb_output(int64_t i, int64_t pad, int64_t t, int64_t dilation, int64_t stride, int64_t size)
{
	int64_t o = i + pad - t * dilation;
	return o < 0 || o % stride || o / stride >= size ? -1 : o / stride;
}

/* sum[x - x0] += what tap s of the row of outputs `from` gives to the input pixels from x0 on, `count` of them. */
INLINE void dwb_din_tap(const struct dwb *d, const element *from, const float *w, int64_t s, int64_t x0, int64_t count,
                        float *sum)
{
	const int64_t first = x0 + d->left - s * d->dilation_w, last = first + count - 1; /* outputs times stride */
	const int64_t q0 = first <= 0 ? 0 : (first - 1) / d->stride_w + 1;
	const int64_t q1 = last < 0 ? 0 : smaller(last / d->stride_w + 1, d->q);
	float *to = sum + (q0 * d->stride_w - first) * BLOCK;
	vec weight[PARTS];
	EACH_PART(v)
		weight[v] = vec_load(w + v * VEC);
	for (int64_t q = q0; q < q1; q++, to += d->stride_w * BLOCK)
		EACH_PART(v)
			vec_store(to + v * VEC, vec_load(to + v * VEC) + vec_get(from + q * BLOCK + v * VEC) * weight[v]);
}

static void dwb_din_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct dwb *d = arg;
	const element *g = d->call->dout[0].data;
	const bool add = phiz_adds(d->call, PHIZ_CONV2D_INPUT);
	(void)worker;
	for (int64_t row = begin; row < end; row++) { /* of image, block, input row */
		const int64_t plane = row / d->h, y = row % d->h;
		const element *from = g + plane * d->p * d->q * BLOCK;
		const float *w = d->filter + plane % d->blocks * d->r * d->s * BLOCK;
		for (int64_t x = 0; x < d->w; x += DWB_STRIP) {
			const int64_t count = smaller(d->w - x, DWB_STRIP);
			element *dx = gradient_of(d->call, PHIZ_CONV2D_INPUT) + (row * d->w + x) * BLOCK;
			float sum[DWB_STRIP * BLOCK];
			for (int64_t i = 0; i < count * BLOCK; i += VEC)
				vec_store(sum + i, add ? vec_get(dx + i) : (vec){0});
			for (int64_t r = 0; r < d->r; r++) {
				const int64_t p = dwb_output(y, d->top, r, d->dilation_h, d->stride_h, d->p);
				for (int64_t s = 0; p >= 0 && s < d->s; s++)
					dwb_din_tap(d, from + p * d->q * BLOCK, w + (r * d->s + s) * BLOCK, s, x, count, sum);
			}
			for (int64_t i = 0; i < count * BLOCK; i += VEC)
				vec_put(dx + i, vec_load(sum + i));
		}
	}
}

/* near[t] += what row p of outputs of a plane gives to the gradient of tap t. */
INLINE void dwb_dweight_tap(const struct dwb *d, const element *x, const element *dy, int64_t p, int64_t t,
                            vec near[PARTS])
{
	const int64_t y = p * d->stride_h - d->top + t / d->s * d->dilation_h;
	const int64_t left = t % d->s * d->dilation_w - d->left;
	const int64_t q0 = left < 0 ? (-left + d->stride_w - 1) / d->stride_w : 0;
	const int64_t q1 = left >= d->w ? 0 : smaller((d->w - 1 - left) / d->stride_w + 1, d->q);
	vec part[PARTS];
	if (y < 0 || y >= d->h)
		return;
	EACH_PART(v)
		part[v] = near[v];
	for (int64_t q = q0; q < q1; q++) {
		const element *under = x + (y * d->w + q * d->stride_w + left) * BLOCK;
		EACH_PART(v)
			part[v] += vec_get(dy + q * BLOCK + v * VEC) * vec_get(under + v * VEC);
	}
	EACH_PART(v)
		near[v] = part[v];
}

static void dwb_dweight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct dwb *d = arg;
	const element *x = input_of(d->call, PHIZ_CONV2D_INPUT), *g = d->call->dout[0].data;
	float *dw = phiz_din(d->call, PHIZ_CONV2D_WEIGHT), *db = phiz_din(d->call, PHIZ_CONV2D_BIAS);
	const int64_t taps = d->r * d->s;
	(void)worker;
	for (int64_t block = begin; block < end; block++) {
		double sum[DWB_MAX_TAPS][BLOCK] = {{0}}, total[BLOCK] = {0};
		vec near[DWB_MAX_TAPS][PARTS] = {{{0}}}, part[PARTS] = {{0}};
		int64_t pixels = 0; /* in near and part */
		for (int64_t row = 0; row < d->n * d->p; row++) {
			const int64_t plane = row / d->p * d->blocks + block, p = row % d->p;
			const element *dy = g + (plane * d->p + p) * d->q * BLOCK;
			for (int64_t q = 0; db && q < d->q; q++)
				EACH_PART(v)
					part[v] += vec_get(dy + q * BLOCK + v * VEC);
			for (int64_t t = 0; dw && t < taps; t++)
				dwb_dweight_tap(d, x + plane * d->h * d->w * BLOCK, dy, p, t, near[t]);
			pixels += d->q;
			if (pixels < DWB_PIXELS && row + 1 < d->n * d->p)
				continue;
			bnb_flush(total, part);
			for (int64_t t = 0; dw && t < taps; t++)
				bnb_flush(sum[t], near[t]);
			pixels = 0;
		}
		for (int c = 0; c < BLOCK; c++) {
			const int64_t k = block * BLOCK + c;
			for (int64_t t = 0; dw && t < taps; t++)
				phiz_put(&dw[k * taps + t], phiz_adds(d->call, PHIZ_CONV2D_WEIGHT), (float)sum[t][c]);
			if (db)
				phiz_put(&db[k], phiz_adds(d->call, PHIZ_CONV2D_BIAS), (float)total[c]);
		}
	}
}

static enum phiz_status dwb_backward(struct phiz_call *call)
{
	struct dwb d;
	if (!call->dout[0].data)
		return PHIZ_OK;
	dwb_of(call, &d);
	dwb_pack(call, d.filter);
	if (phiz_din(call, PHIZ_CONV2D_INPUT))
		phiz_parallel_for(call->ctx, d.n * d.blocks * d.h, larger(GRAIN / (d.w * BLOCK), 1), dwb_din_pieces, &d);
	if (phiz_din(call, PHIZ_CONV2D_WEIGHT) || phiz_din(call, PHIZ_CONV2D_BIAS))
		phiz_parallel_for(call->ctx, d.blocks, 1, dwb_dweight_pieces, &d);
	return PHIZ_OK;
}

static bool dwb_takes(const struct phiz_tensor *t)
{
	return t->dtype == PHIZ_VECTOR_DTYPE && lies_blocked(t);
}

static bool dwb_supports(const struct phiz_call *call)
{
	const struct phiz_tensor *x = &call->in[PHIZ_CONV2D_INPUT], *w = &call->in[PHIZ_CONV2D_WEIGHT];
	const struct phiz_tensor *z = call->n_in > PHIZ_CONV2D_RESIDUAL ? &call->in[PHIZ_CONV2D_RESIDUAL] : NULL;
	return x->layout == PHIZ_BLOCKED && dwb_takes(x) && dwb_takes(&call->out[0]) &&
	       (!z || z->shape.ndim < 0 || dwb_takes(z)) &&
	       w->shape.dim[1] == 1 && w->shape.dim[0] == x->shape.dim[1] &&
	       w->shape.dim[2] * w->shape.dim[3] <= DWB_MAX_TAPS;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_depthwise) = {
	PHIZ_VECTOR_KERNEL_NAMED("conv2d", "blocked.depthwise"), .supports = dwb_supports, .workspace = dwb_workspace,
	.forward = dwb_forward, .backward = dwb_backward, .blocked = true, .constants = dwb_constants,
	.prepare = dwb_prepare,
};

/* --- prelu --- */

struct prelub {
	struct phiz_call *call;
	int64_t images, blocks, area;
	bool one; /* a single weight */
};

static struct prelub prelub_of(struct phiz_call *call)
{
	const int64_t *dim = call->in[PHIZ_PRELU_INPUT].shape.dim;
	struct prelub d = {call, dim[0], dim[1] / BLOCK, dim[2] * dim[3],
	                   phiz_tensor_count(&call->in[PHIZ_PRELU_WEIGHT]) == 1};
	return d;
}

static void prelub_slopes(const struct prelub *d, int64_t block, float slope[BLOCK])
{
	const float *w = phiz_in(d->call, PHIZ_PRELU_WEIGHT);
	for (int c = 0; c < BLOCK; c++)
		slope[c] = w[d->one ? 0 : block * BLOCK + c];
}

static void prelub_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct prelub *d = arg;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		const int64_t at = plane * d->area * BLOCK;
		const element *x = input_of(d->call, PHIZ_PRELU_INPUT) + at;
		element *y = (element *)d->call->out[0].data + at;
		float slope[BLOCK];
		prelub_slopes(d, plane % d->blocks, slope);
		vec s[PARTS];
		EACH_PART(v)
			s[v] = vec_load(slope + v * VEC);
		for (int64_t i = 0; i < d->area * BLOCK; i += BLOCK)
			EACH_PART(v) {
				vec at_x = vec_get(x + i + v * VEC);
				vec_put(y + i + v * VEC, vec_pick(at_x > (vec){0}, at_x, at_x * s[v]));
			}
	}
}

static int64_t prelub_grain(const struct prelub *d)
{
	return larger(GRAIN / (d->area * BLOCK), 1);
}

static enum phiz_status prelub_forward(struct phiz_call *call)
{
	struct prelub d = prelub_of(call);
	phiz_parallel_for(call->ctx, d.images * d.blocks, prelub_grain(&d), prelub_pieces, &d);
	return PHIZ_OK;
}

/* What `pixels` of them add to the gradients of the slopes. */
static void prelub_add(double sum[BLOCK], const element *x, const element *g, int64_t pixels)
{
	vec part[PARTS] = {{0}};
	for (int64_t i = 0; i < pixels * BLOCK; i += BLOCK)
		EACH_PART(v) {
			vec at_x = vec_get(x + i + v * VEC);
			part[v] += vec_pick(at_x > (vec){0}, (vec){0}, at_x * vec_get(g + i + v * VEC));
		}
	bnb_flush(sum, part);
}

static void prelub_weight_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct prelub *d = arg;
	const element *x = input_of(d->call, PHIZ_PRELU_INPUT), *g = d->call->dout[0].data;
	float *dw = phiz_din(d->call, PHIZ_PRELU_WEIGHT);
	(void)worker;
	for (int64_t piece = begin; piece < end; piece++) { /* a block of channels, or all of them for a single weight */
		const int64_t from = d->one ? 0 : piece, to = d->one ? d->blocks : piece + 1;
		double sum[BLOCK] = {0}, total = 0;
		for (int64_t plane = 0; plane < d->images * d->blocks; plane++) {
			const int64_t at = plane * d->area * BLOCK;
			if (plane % d->blocks < from || plane % d->blocks >= to)
				continue;
			for (int64_t i = 0; i < d->area; i += DWB_PIXELS)
				prelub_add(sum, x + at + i * BLOCK, g + at + i * BLOCK, smaller(d->area - i, DWB_PIXELS));
		}
		for (int c = 0; c < BLOCK; c++) {
			total += sum[c];
			if (!d->one)
				phiz_put(&dw[piece * BLOCK + c], phiz_adds(d->call, PHIZ_PRELU_WEIGHT), (float)sum[c]);
		}
		if (d->one)
			phiz_put(&dw[0], phiz_adds(d->call, PHIZ_PRELU_WEIGHT), (float)total);
	}
}

static void prelub_input_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct prelub *d = arg;
	const bool add = phiz_adds(d->call, PHIZ_PRELU_INPUT);
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		const int64_t at = plane * d->area * BLOCK;
		const element *x = input_of(d->call, PHIZ_PRELU_INPUT) + at, *g = (const element *)d->call->dout[0].data + at;
		element *dx = gradient_of(d->call, PHIZ_PRELU_INPUT) + at;
		float slope[BLOCK];
		prelub_slopes(d, plane % d->blocks, slope);
		vec s[PARTS];
		EACH_PART(v)
			s[v] = vec_load(slope + v * VEC);
		for (int64_t i = 0; i < d->area * BLOCK; i += BLOCK)
			EACH_PART(v) {
				vec at_g = vec_get(g + i + v * VEC);
				vec d_x = vec_pick(vec_get(x + i + v * VEC) > (vec){0}, at_g, at_g * s[v]);
				vec_put(dx + i + v * VEC, add ? vec_get(dx + i + v * VEC) + d_x : d_x);
			}
	}
}

/* dw first: dx may be dy. */
static enum phiz_status prelub_backward(struct phiz_call *call)
{
	struct prelub d = prelub_of(call);
	if (!call->dout[0].data)
		return PHIZ_OK;
	if (phiz_din(call, PHIZ_PRELU_WEIGHT))
		phiz_parallel_for(call->ctx, d.one ? 1 : d.blocks, 1, prelub_weight_pieces, &d);
	if (phiz_din(call, PHIZ_PRELU_INPUT))
		phiz_parallel_for(call->ctx, d.images * d.blocks, prelub_grain(&d), prelub_input_pieces, &d);
	return PHIZ_OK;
}

static bool prelub_supports(const struct phiz_call *call)
{
	return both_blocked(call);
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_prelu) = {
	PHIZ_VECTOR_KERNEL_NAMED("prelu", "blocked"), .supports = prelub_supports, .forward = prelub_forward,
	.backward = prelub_backward, .blocked = true,
};
