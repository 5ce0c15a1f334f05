/* Quantised values (core/ops/ops.h): to and from bytes, and pooling of blocked pictures. To the bit what the reference
 * kernels give. */
#include "core/cpu/vector/bytes.h"

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

const struct phiz_kernel PHIZ_VECTOR_ROW(quantize) = {PHIZ_VECTOR_KERNEL("quantize"), .forward = quantize_forward};
const struct phiz_kernel PHIZ_VECTOR_ROW(dequantize) = {PHIZ_BYTES_KERNEL("dequantize"), .forward = dequantize_forward};
const struct phiz_kernel PHIZ_VECTOR_ROW(byte_global_avg_pool) = {
	PHIZ_BYTES_KERNEL("quantized_global_avg_pool"), .supports = is_blocked_in, .forward = byte_average_forward,
	.blocked = true,
};
const struct phiz_kernel PHIZ_VECTOR_ROW(byte_max_pool2d) = {
	PHIZ_BYTES_KERNEL("max_pool2d"), .supports = is_blocked_both, .forward = byte_max_forward, .blocked = true,
};
