/* max_pool2d, avg_pool2d and global_avg_pool of blocked tensors: the 16 channels of a pixel are one vector. The
 * formulas stand in core/ops. */
#include "core/cpu/vector/vector.h"

static bool blocked_both(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED && call->out[0].layout == PHIZ_BLOCKED;
}

/* Planes of 16 channels. */
static struct pool blocked_pool_of(const struct phiz_call *call)
{
	struct pool d = pool_of(call);
	d.planes /= PHIZ_BLOCK;
	return d;
}

/* --- max: of equals the first, of NaNs the last, as in the reference kernel --- */

INLINE void blocked_max_window(const float *x, int64_t width, int64_t top, int64_t bottom, int64_t left, int64_t right,
                               float *y, int32_t *choice)
{
	vec best[PARTS];
	vec_mask at[PARTS];
	EACH_PART(v) {
		best[v] = vec_load(x + (top * width + left) * PHIZ_BLOCK + v * VEC);
		at[v] = (vec_mask){0} + (int32_t)(top * width + left);
	}
	for (int64_t h = top; h < bottom; h++)
		for (int64_t w = left; w < right; w++)
			EACH_PART(v) {
				vec from = vec_load(x + (h * width + w) * PHIZ_BLOCK + v * VEC);
				vec_mask take = (from > best[v]) | (from != from);
				best[v] = vec_pick(take, from, best[v]);
				at[v] = (take & (int32_t)(h * width + w)) | (~take & at[v]);
			}
	EACH_PART(v) {
		vec_store(y + v * VEC, best[v]);
		if (choice)
			*(vec_mask_memory *)(choice + v * VEC) = at[v];
	}
}

static void blocked_max_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	int32_t *choice = call->saved[0].data;
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const float *x = phiz_in(call, 0) + row / d.p * d.h * d.w * PHIZ_BLOCK;
		int64_t top = row % d.p * d.stride_h - d.pad_h, bottom = smaller(top + d.kernel_h, d.h);
		for (int64_t q = 0; q < d.q; q++) {
			int64_t left = q * d.stride_w - d.pad_w, right = smaller(left + d.kernel_w, d.w);
			int64_t at = (row * d.q + q) * PHIZ_BLOCK;
			blocked_max_window(x, d.w, larger(top, 0), bottom, larger(left, 0), right, (float *)call->out[0].data + at,
			                   choice ? choice + at : NULL);
		}
	}
}

static enum phiz_status blocked_max_forward(struct phiz_call *call)
{
	struct pool d = blocked_pool_of(call);
	phiz_parallel_for(call->ctx, d.planes * d.p, larger(GRAIN / (d.q * PHIZ_BLOCK), 1), blocked_max_pieces, call);
	return PHIZ_OK;
}

static void blocked_max_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	const int32_t *choice = call->saved[0].data;
	const float *dy = call->dout[0].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * d.h * d.w * PHIZ_BLOCK;
		if (!phiz_adds(call, 0))
			memset(dx, 0, (size_t)(d.h * d.w) * PHIZ_BLOCK * sizeof(*dx));
		for (int64_t i = plane * d.p * d.q * PHIZ_BLOCK; i < (plane + 1) * d.p * d.q * PHIZ_BLOCK; i += PHIZ_BLOCK)
			for (int c = 0; c < PHIZ_BLOCK; c++)
				dx[(int64_t)choice[i + c] * PHIZ_BLOCK + c] += dy[i + c];
	}
}

static enum phiz_status blocked_max_backward(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, blocked_pool_of(call).planes, 1, blocked_max_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_max_pool2d) = {
	PHIZ_VECTOR_KERNEL_NAMED("max_pool2d", "blocked"), .supports = blocked_both, .forward = blocked_max_forward,
	.backward = blocked_max_backward, .blocked = true,
};

/* --- avg --- */

static void blocked_avg_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	bool count_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const float *x = phiz_in(call, 0) + row / d.p * d.h * d.w * PHIZ_BLOCK;
		int64_t top, bottom, high, left, right, wide;
		avg_window(row % d.p, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
		for (int64_t q = 0; q < d.q; q++) {
			float *y = (float *)call->out[0].data + (row * d.q + q) * PHIZ_BLOCK;
			vec sum[PARTS] = {{0}};
			avg_window(q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &wide);
			for (int64_t h = top; h < bottom; h++)
				for (int64_t w = left; w < right; w++)
					EACH_PART(v)
						sum[v] += vec_load(x + (h * d.w + w) * PHIZ_BLOCK + v * VEC);
			EACH_PART(v)
				vec_store(y + v * VEC, sum[v] / (float)(high * wide));
		}
	}
}

static enum phiz_status blocked_avg_forward(struct phiz_call *call)
{
	struct pool d = blocked_pool_of(call);
	phiz_parallel_for(call->ctx, d.planes * d.p, larger(GRAIN / (d.q * PHIZ_BLOCK), 1), blocked_avg_pieces, call);
	return PHIZ_OK;
}

static void blocked_avg_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	bool count_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	const float *dy = call->dout[0].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * d.h * d.w * PHIZ_BLOCK;
		if (!phiz_adds(call, 0))
			memset(dx, 0, (size_t)(d.h * d.w) * PHIZ_BLOCK * sizeof(*dx));
		for (int64_t i = 0; i < d.p * d.q; i++) {
			int64_t top, bottom, high, left, right, wide;
			avg_window(i / d.q, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
			avg_window(i % d.q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &wide);
			EACH_PART(v) {
				vec share = vec_load(dy + (plane * d.p * d.q + i) * PHIZ_BLOCK + v * VEC) / (float)(high * wide);
				for (int64_t h = top; h < bottom; h++)
					for (int64_t w = left; w < right; w++) {
						float *to = dx + (h * d.w + w) * PHIZ_BLOCK + v * VEC;
						vec_store(to, vec_load(to) + share);
					}
			}
		}
	}
}

static enum phiz_status blocked_avg_backward(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, blocked_pool_of(call).planes, 1, blocked_avg_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_avg_pool2d) = {
	PHIZ_VECTOR_KERNEL_NAMED("avg_pool2d", "blocked"), .supports = blocked_both, .forward = blocked_avg_forward,
	.backward = blocked_avg_backward, .blocked = true,
};

/* --- global average: the output has one pixel, so it lies the same either way --- */

static void blocked_global_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t area = global_area(call);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		double total[PHIZ_BLOCK];
		bnb_sum(phiz_in(call, 0) + i * area * PHIZ_BLOCK, area, NULL, total);
		for (int c = 0; c < PHIZ_BLOCK; c++)
			((float *)call->out[0].data)[i * PHIZ_BLOCK + c] = (float)(total[c] / (double)area);
	}
}

static void blocked_global_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t area = global_area(call);
	bool add = phiz_adds(call, 0);
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * area * PHIZ_BLOCK;
		vec share[PARTS];
		EACH_PART(v)
			share[v] = vec_load((const float *)call->dout[0].data + plane * PHIZ_BLOCK + v * VEC) / (float)area;
		for (int64_t i = 0; i < area * PHIZ_BLOCK; i += PHIZ_BLOCK)
			EACH_PART(v)
				vec_store(dx + i + v * VEC, add ? vec_load(dx + i + v * VEC) + share[v] : share[v]);
	}
}

static int64_t blocked_planes(const struct phiz_call *call)
{
	return call->in[0].shape.dim[0] * call->in[0].shape.dim[1] / PHIZ_BLOCK;
}

static enum phiz_status blocked_global_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, blocked_planes(call), larger(GRAIN / (global_area(call) * PHIZ_BLOCK), 1),
	                  blocked_global_pieces, call);
	return PHIZ_OK;
}

static enum phiz_status blocked_global_backward(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, blocked_planes(call), larger(GRAIN / (global_area(call) * PHIZ_BLOCK), 1),
		                  blocked_global_back_pieces, call);
	return PHIZ_OK;
}

static bool blocked_in(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED && call->out[0].layout == PHIZ_PLAIN;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_global_avg_pool) = {
	PHIZ_VECTOR_KERNEL_NAMED("global_avg_pool", "blocked"), .supports = blocked_in, .forward = blocked_global_forward,
	.backward = blocked_global_backward, .blocked = true,
};
