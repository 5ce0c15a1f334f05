/* Quantised values (core/ops/ops.h): to and from bytes, pooling, and convolution with one channel per group, of blocked
 * pictures ([N, C/64, H, W, 64]). To the bit what the reference kernels give. */

#include "core/cpu/vector/vector.h"

enum { BYTES = PHIZ_BLOCK_BYTES };

/* y = to_u8(x / scale) + zero */
static void quantize_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *restrict x = call->in[0].data, steps = (float)(1 / call->node->attr[PHIZ_QUANTIZE_SCALE].f);
	const int zero = (int)call->node->attr[PHIZ_QUANTIZE_ZERO].i;
	uint8_t *restrict y = call->out[0].data;
	(void)worker;
	for (int64_t i = begin; i < end; i++)
		y[i] = phiz_to_u8(x[i] * steps, zero, (float)-zero);
}

static enum phiz_status quantize_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->in[0]), GRAIN, quantize_pieces, call);
	return PHIZ_OK;
}

/* y = scale * (x - zero) */
static void dequantize_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const uint8_t *restrict x = call->in[0].data;
	const float scale = (float)call->node->attr[PHIZ_QUANTIZE_SCALE].f;
	const int zero = (int)call->node->attr[PHIZ_QUANTIZE_ZERO].i;
	float *restrict y = call->out[0].data;
	(void)worker;
	for (int64_t i = begin; i < end; i++)
		y[i] = scale * (float)(x[i] - zero);
}

static enum phiz_status dequantize_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->in[0]), GRAIN, dequantize_pieces, call);
	return PHIZ_OK;
}

static bool is_blocked_in(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED;
}

static bool is_blocked_both(const struct phiz_call *call)
{
	return is_blocked_in(call) && call->out[0].layout == PHIZ_BLOCKED;
}

/* y[n,c] = float(scale / HW) * (sum - HW * zero), of 64 channels at a time */
static void byte_average_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const int64_t area = call->in[0].shape.dim[2] * call->in[0].shape.dim[3];
	const float scale = (float)(call->node->attr[PHIZ_QUANTIZE_SCALE].f / (double)area);
	const int32_t zeros = (int32_t)(area * call->node->attr[PHIZ_QUANTIZE_ZERO].i);
	(void)worker;
	for (int64_t b = begin; b < end; b++) {
		const uint8_t *x = (const uint8_t *)call->in[0].data + b * area * BYTES;
		float *y = (float *)call->out[0].data + b * BYTES;
		int32_t sum[BYTES] = {0};
		for (int64_t i = 0; i < area; i++)
			for (int c = 0; c < BYTES; c++)
				sum[c] += x[i * BYTES + c];
		for (int c = 0; c < BYTES; c++)
			y[c] = scale * (float)(sum[c] - zeros);
	}
}

static enum phiz_status byte_average_forward(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim;
	phiz_parallel_for(call->ctx, in[0] * in[1] / BYTES, 1, byte_average_pieces, call);
	return PHIZ_OK;
}

struct byte_window {
	const struct phiz_call *call;
	int64_t h, w, p, q, rows, cols, stride_h, stride_w, top, left, dilation_h, dilation_w;
};

/* The taps t in [*begin, *end) whose place first + t * step lies in 0 .. size - 1. */
INLINE void byte_taps(int64_t first, int64_t step, int64_t taps, int64_t size, int64_t *begin, int64_t *end)
{
	*begin = first < 0 ? (-first + step - 1) / step : 0;
	*end = first >= size ? 0 : (size - 1 - first) / step + 1;
	*end = *end < taps ? *end : taps;
}

/* y = the largest x of the window; a piece is a row of outputs. */
static void byte_max_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct byte_window *v = arg;
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const uint8_t *x = (const uint8_t *)v->call->in[0].data + row / v->p * v->h * v->w * BYTES;
		uint8_t *y = (uint8_t *)v->call->out[0].data + row * v->q * BYTES;
		int64_t y0 = row % v->p * v->stride_h - v->top, r0, r1, s0, s1;
		byte_taps(y0, 1, v->rows, v->h, &r0, &r1);
		for (int64_t q = 0; q < v->q; q++) {
			int64_t x0 = q * v->stride_w - v->left;
			uint8_t most[BYTES] = {0};
			byte_taps(x0, 1, v->cols, v->w, &s0, &s1);
			for (int64_t r = r0; r < r1; r++)
				for (int64_t s = s0; s < s1; s++) {
					const uint8_t *at = x + ((y0 + r) * v->w + x0 + s) * BYTES;
					for (int c = 0; c < BYTES; c++)
						most[c] = at[c] > most[c] ? at[c] : most[c];
				}
			memcpy(y + q * BYTES, most, BYTES);
		}
	}
}

static enum phiz_status byte_max_forward(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const union phiz_attr *a = call->node->attr;
	struct byte_window v = {.call = call, .h = in[2], .w = in[3], .p = out[2], .q = out[3],
	                        .rows = a[PHIZ_POOL_KERNEL_H].i, .cols = a[PHIZ_POOL_KERNEL_W].i,
	                        .stride_h = a[PHIZ_POOL_STRIDE_H].i, .stride_w = a[PHIZ_POOL_STRIDE_W].i,
	                        .top = a[PHIZ_POOL_PAD_H].i, .left = a[PHIZ_POOL_PAD_W].i};
	phiz_parallel_for(call->ctx, in[0] * in[1] / BYTES * out[2], 4, byte_max_rows, &v);
	return PHIZ_OK;
}

/* Filters as [C/64][R*S][64] of 16 bits at the begin of the workspace; a piece is a row of outputs. */
static void byte_depthwise_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct byte_window *v = arg;
	const struct phiz_call *call = v->call;
	const union phiz_attr *a = call->node->attr;
	const int64_t blocks = call->in[0].shape.dim[1] / BYTES, taps = v->rows * v->cols;
	const int16_t input_zero = (int16_t)a[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i;
	const int residual_zero = (int)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO].i;
	const int zero = (int)a[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO].i;
	const float residual_scale = (float)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE].f;
	const float low = a[PHIZ_QUANTIZED_CONV2D_RELU].i ? 0 : (float)-zero;
	const uint8_t *z = call->in[PHIZ_QUANTIZED_RESIDUAL].data;
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const int64_t plane = row / v->p, b = plane % blocks;
		const int16_t *w = (const int16_t *)call->workspace + b * taps * BYTES;
		const uint8_t *x = (const uint8_t *)call->in[PHIZ_QUANTIZED_INPUT].data + plane * v->h * v->w * BYTES;
		const float *scale = (const float *)call->in[PHIZ_QUANTIZED_SCALE].data + b * BYTES;
		const float *bias = (const float *)call->in[PHIZ_QUANTIZED_BIAS].data + b * BYTES;
		const float *slope = call->in[PHIZ_QUANTIZED_SLOPE].data;
		int64_t y0 = row % v->p * v->stride_h - v->top, r0, r1, s0, s1;
		byte_taps(y0, v->dilation_h, v->rows, v->h, &r0, &r1);
		for (int64_t q = 0; q < v->q; q++) {
			const int64_t o = (row * v->q + q) * BYTES;
			uint8_t *restrict y = (uint8_t *)call->out[0].data + o;
			int64_t x0 = q * v->stride_w - v->left;
			int32_t sum[BYTES] = {0};
			float t[BYTES];
			byte_taps(x0, v->dilation_w, v->cols, v->w, &s0, &s1);
			for (int64_t r = r0; r < r1; r++)
				for (int64_t s = s0; s < s1; s++) {
					const uint8_t *at = x + ((y0 + r * v->dilation_h) * v->w + x0 + s * v->dilation_w) * BYTES;
					const int16_t *filter = w + (r * v->cols + s) * BYTES;
					for (int c = 0; c < BYTES; c++)
						sum[c] += (int16_t)(at[c] - input_zero) * filter[c];
				}
			for (int c = 0; c < BYTES; c++)
				t[c] = phiz_requantize(sum[c], scale[c], bias[c]);
			for (int c = 0; z && c < BYTES; c++)
				t[c] = phiz_add_residual(t[c], residual_scale, z[o + c] - residual_zero);
			for (int c = 0; slope && c < BYTES; c++)
				t[c] = t[c] <= 0 ? slope[b * BYTES + c] * t[c] : t[c];
			for (int c = 0; c < BYTES; c++)
				y[c] = phiz_to_u8(t[c], zero, low);
		}
	}
}

static size_t byte_depthwise_workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	(void)threads;
	return (size_t)phiz_tensor_count(&call->in[PHIZ_QUANTIZED_WEIGHT]) * sizeof(int16_t);
}

static bool byte_depthwise_supports(const struct phiz_call *call)
{
	const int64_t *x = call->in[0].shape.dim, groups = call->node->attr[PHIZ_CONV2D_GROUPS].i;
	const struct phiz_tensor *residual = &call->in[PHIZ_QUANTIZED_RESIDUAL];

	return is_blocked_in(call) && lies_blocked(&call->out[0]) && groups == x[1] && call->out[0].shape.dim[1] == x[1] &&
	       (residual->shape.ndim < 0 || lies_blocked(residual));
}

static enum phiz_status byte_depthwise_forward(struct phiz_call *call)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const int64_t *w = call->in[PHIZ_QUANTIZED_WEIGHT].shape.dim, taps = w[2] * w[3];
	const int8_t *filter = call->in[PHIZ_QUANTIZED_WEIGHT].data;
	const union phiz_attr *a = call->node->attr;
	struct byte_window v = {.call = call, .h = in[2], .w = in[3], .p = out[2], .q = out[3], .rows = w[2], .cols = w[3],
	                        .stride_h = a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = a[PHIZ_CONV2D_STRIDE_W].i,
	                        .top = a[PHIZ_CONV2D_PAD_TOP].i, .left = a[PHIZ_CONV2D_PAD_LEFT].i,
	                        .dilation_h = a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = a[PHIZ_CONV2D_DILATION_W].i};
	int16_t *order = call->workspace;
	for (int64_t c = 0; c < in[1]; c++)
		for (int64_t t = 0; t < taps; t++)
			order[(c / BYTES * taps + t) * BYTES + c % BYTES] = filter[c * taps + t];
	phiz_parallel_for(call->ctx, in[0] * in[1] / BYTES * out[2], 1, byte_depthwise_rows, &v);
	return PHIZ_OK;
}

#define PHIZ_BYTES_KERNEL(op_name) \
	.op = op_name, .name = PHIZ_VECTOR_TEXT, .dtype = PHIZ_U8, .features = PHIZ_VECTOR_FEATURES

const struct phiz_kernel PHIZ_VECTOR_ROW(quantize) = {PHIZ_VECTOR_KERNEL("quantize"), .forward = quantize_forward};
const struct phiz_kernel PHIZ_VECTOR_ROW(dequantize) = {PHIZ_BYTES_KERNEL("dequantize"), .forward = dequantize_forward};
const struct phiz_kernel PHIZ_VECTOR_ROW(byte_global_avg_pool) = {
	PHIZ_BYTES_KERNEL("quantized_global_avg_pool"), .supports = is_blocked_in, .forward = byte_average_forward,
	.blocked = true,
};
const struct phiz_kernel PHIZ_VECTOR_ROW(byte_max_pool2d) = {
	PHIZ_BYTES_KERNEL("max_pool2d"), .supports = is_blocked_both, .forward = byte_max_forward, .blocked = true,
};
const struct phiz_kernel PHIZ_VECTOR_ROW(byte_depthwise) = {
	PHIZ_BYTES_KERNEL("quantized_conv2d"), .supports = byte_depthwise_supports, .workspace = byte_depthwise_workspace,
	.forward = byte_depthwise_forward, .blocked = true,
};
