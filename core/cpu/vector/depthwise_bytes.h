/* quantized_conv2d with one channel per group, of blocked pictures. To the bit what the reference kernel gives. */
#include "core/cpu/vector/bytes.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

/* Filters in the order in which the sums read them, and what the sums are brought to bytes with. */
struct byte_depthwise {
	struct byte_window v;
	int64_t blocks;
	void *filter;                /* [block] of so many bytes: */
	size_t filter_bytes;
	float *scale, *bias, *slope; /* [C]; slope may be NULL */
};

/* --- Sums of an output of 64 channels. Taps outside of the picture add nothing. --- */

/* Tap (r, s) is at y0 + r * dilation_h, x0 + s * dilation_w; inside from (r0, s0) up to (r1, s1). */
struct byte_output {
	int64_t y0, x0, r0, r1, s0, s1;
};

#if defined(__AVX512VNNI__)

/* sum[c] = sum over taps of (x - zero) * w, as sum over taps of x * w less zero * sum of w, where x is zero outside.
 * Four taps at a time: their bytes are brought side by side within quarters of a register, so that register j of the
 * sums has channels 16 L + 4 j .. + 3 in its quarter L. Filters lie as [taps / 4][j][L][4 channels][4 taps], behind
 * them, as [j][L][4 channels] of int32, what the sums begin with. */
static size_t byte_filter_bytes(int64_t taps)
{
	return (size_t)((taps + 3) / 4) * 4 * BYTES + BYTES * sizeof(int32_t);
}

static void byte_order(const struct byte_depthwise *d, int64_t block, const int8_t *w, int zero)
{
	const int64_t taps = d->v.rows * d->v.cols, fours = (taps + 3) / 4;
	int8_t *to = (int8_t *)d->filter + block * (int64_t)d->filter_bytes;
	int32_t *begin = (int32_t *)(void *)(to + fours * 4 * BYTES);
	for (int64_t i = 0; i < BYTES; i++) {
		const int64_t channel = i / 4 % 4 * 16 + i / 16 * 4 + i % 4;
		int32_t all = 0;
		for (int64_t t = 0; t < 4 * fours; t++) {
			int8_t tap = t < taps ? w[(block * BYTES + channel) * taps + t] : 0;
			to[(t / 4 * BYTES + i) * 4 + t % 4] = tap;
			all += tap;
		}
		begin[i] = -zero * all;
	}
}

INLINE void byte_four(const uint8_t *const at[4], const int8_t *w, __m512i sum[4])
{
	const __m512i a = _mm512_loadu_si512(at[0]), b = _mm512_loadu_si512(at[1]), c = _mm512_loadu_si512(at[2]);
	const __m512i e = _mm512_loadu_si512(at[3]);
	const __m512i ab[2] = {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
	const __m512i ce[2] = {_mm512_unpacklo_epi8(c, e), _mm512_unpackhi_epi8(c, e)};
	UNROLL for (int j = 0; j < 4; j++) {
		const __m512i two = ab[j / 2], more = ce[j / 2];
		const __m512i x = j % 2 ? _mm512_unpackhi_epi16(two, more) : _mm512_unpacklo_epi16(two, more);
		sum[j] = _mm512_dpbusd_epi32(sum[j], x, _mm512_loadu_si512(w + j * BYTES));
	}
}

/* rows x cols taps, constants where the loop is to be unrolled. */
INLINE void byte_sum_of(const struct byte_depthwise *d, const struct byte_output *o, const uint8_t *x, int64_t block,
                        const uint8_t outside[BYTES], int64_t rows, int64_t cols, int32_t out[BYTES])
{
	const int64_t fours = (rows * cols + 3) / 4;
	const int8_t *w = (const int8_t *)d->filter + block * (int64_t)d->filter_bytes;
	const uint8_t *at[4];
	__m512i s[4];
	UNROLL for (int j = 0; j < 4; j++)
		s[j] = _mm512_loadu_si512(w + fours * 4 * BYTES + j * BYTES);
	for (int64_t t = 0; t < 4 * fours; t += 4) {
		UNROLL for (int64_t i = 0; i < 4; i++) {
			const int64_t r = (t + i) / cols, c = (t + i) % cols;
			const bool inside = r >= o->r0 && r < o->r1 && c >= o->s0 && c < o->s1;
			const int64_t place = (o->y0 + r * d->v.dilation_h) * d->v.w + o->x0 + c * d->v.dilation_w;
			at[i] = inside ? x + place * BYTES : outside;
		}
		byte_four(at, w + t * BYTES, s);
	}
	const __m512i a = _mm512_shuffle_i32x4(s[0], s[1], 0x44), b = _mm512_shuffle_i32x4(s[0], s[1], 0xee);
	const __m512i c = _mm512_shuffle_i32x4(s[2], s[3], 0x44), e = _mm512_shuffle_i32x4(s[2], s[3], 0xee);
	_mm512_storeu_si512(out, _mm512_shuffle_i32x4(a, c, 0x88));
	_mm512_storeu_si512(out + 16, _mm512_shuffle_i32x4(a, c, 0xdd));
	_mm512_storeu_si512(out + 32, _mm512_shuffle_i32x4(b, e, 0x88));
	_mm512_storeu_si512(out + 48, _mm512_shuffle_i32x4(b, e, 0xdd));
}

INLINE void byte_sum(const struct byte_depthwise *d, const struct byte_output *o, const uint8_t *x, int64_t block,
                     const uint8_t outside[BYTES], int32_t sum[BYTES])
{
	if (d->v.rows == 3 && d->v.cols == 3)
		byte_sum_of(d, o, x, block, outside, 3, 3, sum);
	else
		byte_sum_of(d, o, x, block, outside, d->v.rows, d->v.cols, sum);
}

#else

/* Filters as [taps][64] of 16 bits. */
static size_t byte_filter_bytes(int64_t taps)
{
	return (size_t)taps * BYTES * sizeof(int16_t);
}

static void byte_order(const struct byte_depthwise *d, int64_t block, const int8_t *w, int zero)
{
	const int64_t taps = d->v.rows * d->v.cols;
	int16_t *to = (int16_t *)d->filter + block * taps * BYTES;
	(void)zero;
	for (int64_t c = 0; c < BYTES; c++)
		for (int64_t t = 0; t < taps; t++)
			to[t * BYTES + c] = w[(block * BYTES + c) * taps + t];
}

INLINE void byte_sum(const struct byte_depthwise *d, const struct byte_output *o, const uint8_t *x, int64_t block,
                     const uint8_t outside[BYTES], int32_t sum[BYTES])
{
	const struct byte_window *v = &d->v;
	const int16_t *w = (const int16_t *)d->filter + block * v->rows * v->cols * BYTES, zero = outside[0];
	memset(sum, 0, BYTES * sizeof *sum);
	for (int64_t r = o->r0; r < o->r1; r++)
		for (int64_t s = o->s0; s < o->s1; s++) {
			const uint8_t *at = x + ((o->y0 + r * v->dilation_h) * v->w + o->x0 + s * v->dilation_w) * BYTES;
			const int16_t *filter = w + (r * v->cols + s) * BYTES;
			for (int c = 0; c < BYTES; c++)
				sum[c] += (int16_t)(at[c] - zero) * filter[c];
		}
}

#endif

/* --- The kernel --- */

/* A piece is a row of outputs. */
static void byte_depthwise_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct byte_depthwise *d = arg;
	const struct byte_window *v = &d->v;
	const struct phiz_call *call = v->call;
	const union phiz_attr *a = call->node->attr;
	const int residual_zero = (int)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO].i;
	const int zero = (int)a[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO].i;
	const float residual_scale = (float)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE].f;
	const float low = a[PHIZ_QUANTIZED_CONV2D_RELU].i ? 0 : (float)-zero;
	const uint8_t *z = call->in[PHIZ_QUANTIZED_RESIDUAL].data;
	uint8_t outside[BYTES];
	(void)worker;
	memset(outside, (int)a[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i, sizeof outside);
	for (int64_t row = begin; row < end; row++) {
		const int64_t plane = row / v->p, b = plane % d->blocks;
		const uint8_t *x = (const uint8_t *)call->in[PHIZ_QUANTIZED_INPUT].data + plane * v->h * v->w * BYTES;
		const float *scale = d->scale + b * BYTES, *bias = d->bias + b * BYTES;
		const float *slope = d->slope ? d->slope + b * BYTES : NULL;
		struct byte_output at = {.y0 = row % v->p * v->stride_h - v->top};
		byte_taps(at.y0, v->dilation_h, v->rows, v->h, &at.r0, &at.r1);
		for (int64_t q = 0; q < v->q; q++) {
			const int64_t o = (row * v->q + q) * BYTES;
			uint8_t *restrict y = (uint8_t *)call->out[0].data + o;
			int32_t sum[BYTES];
			float t[BYTES];
			at.x0 = q * v->stride_w - v->left;
			byte_taps(at.x0, v->dilation_w, v->cols, v->w, &at.s0, &at.s1);
			byte_sum(d, &at, x, b, outside, sum);
			for (int c = 0; c < BYTES; c++)
				t[c] = phiz_requantize(sum[c], scale[c], bias[c]);
			for (int c = 0; z && c < BYTES; c++)
				t[c] = phiz_add_residual(t[c], residual_scale, z[o + c] - residual_zero);
			for (int c = 0; slope && c < BYTES; c++)
				t[c] = t[c] <= 0 ? slope[c] * t[c] : t[c];
			for (int c = 0; c < BYTES; c++)
				y[c] = phiz_to_u8(t[c], zero, low);
		}
	}
}

/* `memory` is what prepare() made, or the workspace; returns its size. */
static size_t byte_depthwise_of(const struct phiz_call *call, void *memory, struct byte_depthwise *d)
{
	const int64_t *in = call->in[0].shape.dim, *out = call->out[0].shape.dim;
	const int64_t *w = call->in[PHIZ_QUANTIZED_WEIGHT].shape.dim;
	const union phiz_attr *a = call->node->attr;
	*d = (struct byte_depthwise){
		.v = {.call = call, .h = in[2], .w = in[3], .p = out[2], .q = out[3], .rows = w[2], .cols = w[3],
		      .stride_h = a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = a[PHIZ_CONV2D_STRIDE_W].i,
		      .top = a[PHIZ_CONV2D_PAD_TOP].i, .left = a[PHIZ_CONV2D_PAD_LEFT].i,
		      .dilation_h = a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = a[PHIZ_CONV2D_DILATION_W].i},
		.blocks = in[1] / BYTES, .filter = memory, .filter_bytes = byte_filter_bytes(w[2] * w[3]),
	};
	const size_t filters = d->filter_bytes * (size_t)d->blocks, floats = (size_t)in[1] * sizeof(float);
	if (memory) {
		d->scale = (float *)(void *)((char *)memory + filters);
		d->bias = d->scale + in[1];
		d->slope = call->in[PHIZ_QUANTIZED_SLOPE].shape.ndim > 0 ? d->bias + in[1] : NULL;
	}
	return filters + 3 * floats;
}

static size_t byte_depthwise_constants(const struct phiz_call *call)
{
	struct byte_depthwise d;
	return byte_depthwise_of(call, NULL, &d);
}

static size_t byte_depthwise_workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	(void)threads;
	return byte_depthwise_constants(call);
}

static void byte_depthwise_prepare(const struct phiz_call *call, void *constants)
{
	const size_t floats = (size_t)call->in[0].shape.dim[1] * sizeof(float);
	struct byte_depthwise d;
	byte_depthwise_of(call, constants, &d);
	for (int64_t b = 0; b < d.blocks; b++)
		byte_order(&d, b, call->in[PHIZ_QUANTIZED_WEIGHT].data,
		           (int)call->node->attr[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i);
	memcpy(d.scale, call->in[PHIZ_QUANTIZED_SCALE].data, floats);
	memcpy(d.bias, call->in[PHIZ_QUANTIZED_BIAS].data, floats);
	if (d.slope)
		memcpy(d.slope, call->in[PHIZ_QUANTIZED_SLOPE].data, floats);
}

static enum phiz_status byte_depthwise_forward(struct phiz_call *call)
{
	struct byte_depthwise d;
	if (!call->constants)
		byte_depthwise_prepare(call, call->workspace);
	byte_depthwise_of(call, call->constants ? (void *)(uintptr_t)call->constants : call->workspace, &d);
	phiz_parallel_for(call->ctx, call->in[0].shape.dim[0] * d.blocks * d.v.p, 1, byte_depthwise_rows, &d);
	return PHIZ_OK;
}

static bool byte_depthwise_supports(const struct phiz_call *call)
{
	const int64_t *x = call->in[0].shape.dim, groups = call->node->attr[PHIZ_CONV2D_GROUPS].i;
	const struct phiz_tensor *residual = &call->in[PHIZ_QUANTIZED_RESIDUAL];

	return is_blocked_in(call) && lies_blocked(&call->out[0]) && groups == x[1] && call->out[0].shape.dim[1] == x[1] &&
	       (residual->shape.ndim < 0 || lies_blocked(residual));
}

const struct phiz_kernel PHIZ_VECTOR_ROW(byte_depthwise) = {
	PHIZ_BYTES_KERNEL("quantized_conv2d"), .supports = byte_depthwise_supports, .workspace = byte_depthwise_workspace,
	.forward = byte_depthwise_forward, .blocked = true, .constants = byte_depthwise_constants,
	.prepare = byte_depthwise_prepare,
};
