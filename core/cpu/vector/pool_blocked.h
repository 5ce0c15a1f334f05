/* max_pool2d, avg_pool2d and global_avg_pool of blocked tensors: the channels of a pixel stand side by side. The
 * formulas stand in core/ops. */
#include "core/cpu/vector/shared.h"

/* Planes of a block of channels. */
static struct pool blocked_pool_of(const struct phiz_call *call)
{
	struct pool d = pool_of(call);
	d.planes /= BLOCK;
	return d;
}

/* Where the choices for VEC channels from `channel` of a plane's block on lie: blocked as int32 are, by 16. */
INLINE int64_t choice_at(const struct pool *d, int64_t plane, int channel)
{
	return (plane * BLOCK + channel / PHIZ_BLOCK * PHIZ_BLOCK) * d->p * d->q + channel % PHIZ_BLOCK;
}

/* --- max: of equals the first, of NaNs the last, as in the reference kernel --- */

INLINE void blocked_max_window(const element *x, int64_t width, int64_t top, int64_t bottom, int64_t left,
                               int64_t right, element *y, int32_t *const choice[PARTS])
{
	vec best[PARTS];
	vec_mask at[PARTS];
	EACH_PART(v) {
		best[v] = vec_get(x + (top * width + left) * BLOCK + v * VEC);
		at[v] = (vec_mask){0} + (int32_t)(top * width + left);
	}
	for (int64_t h = top; h < bottom; h++)
		for (int64_t w = left; w < right; w++)
			EACH_PART(v) {
				vec from = vec_get(x + (h * width + w) * BLOCK + v * VEC);
				vec_mask take = (from > best[v]) | (from != from);
				best[v] = vec_pick(take, from, best[v]);
				at[v] = (take & (int32_t)(h * width + w)) | (~take & at[v]);
			}
	EACH_PART(v) {
		vec_put(y + v * VEC, best[v]);
		if (choice[v])
			*(vec_mask_memory *)choice[v] = at[v];
	}
}

static void blocked_max_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	int32_t *saved = call->saved[0].data;
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const int64_t plane = row / d.p;
		const element *x = input_of(call, 0) + plane * d.h * d.w * BLOCK;
		int64_t top = row % d.p * d.stride_h - d.pad_h, bottom = smaller(top + d.kernel_h, d.h);
		for (int64_t q = 0; q < d.q; q++) {
			int64_t left = q * d.stride_w - d.pad_w, right = smaller(left + d.kernel_w, d.w);
			int32_t *choice[PARTS];
			EACH_PART(v)
				choice[v] = saved ? saved + choice_at(&d, plane, v * VEC) + (row % d.p * d.q + q) * PHIZ_BLOCK : NULL;
			blocked_max_window(x, d.w, larger(top, 0), bottom, larger(left, 0), right,
			                   (element *)call->out[0].data + (row * d.q + q) * BLOCK, choice);
		}
	}
}

static enum phiz_status blocked_max_forward(struct phiz_call *call)
{
	struct pool d = blocked_pool_of(call);
	phiz_parallel_for(call->ctx, d.planes * d.p, larger(GRAIN / (d.q * BLOCK), 1), blocked_max_pieces, call);
	return PHIZ_OK;
}

/* Each element of a row gathers what the windows over it chose to give it, in their order. */
static void blocked_max_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	const bool add = phiz_adds(call, 0);
	(void)worker;
	for (int64_t row = begin; row < end; row++) {
		const int64_t plane = row / d.h, h = row % d.h, high = h + d.pad_h;
		const element *dy = (const element *)call->dout[0].data + plane * d.p * d.q * BLOCK;
		const int64_t p0 = high < d.kernel_h ? 0 : (high - d.kernel_h) / d.stride_h + 1;
		const int64_t p1 = smaller(high / d.stride_h + 1, d.p);
		for (int64_t w = 0; w < d.w; w++) {
			element *dx = gradient_of(call, 0) + (row * d.w + w) * BLOCK;
			const int64_t wide_w = w + d.pad_w, q0 = wide_w < d.kernel_w ? 0 : (wide_w - d.kernel_w) / d.stride_w + 1;
			const int64_t q1 = smaller(wide_w / d.stride_w + 1, d.q);
			const vec_mask here = (vec_mask){0} + (int32_t)(h * d.w + w);
			const int32_t *choice[PARTS];
			vec sum[PARTS];
			EACH_PART(v) {
				choice[v] = (const int32_t *)call->saved[0].data + choice_at(&d, plane, v * VEC);
				sum[v] = add ? vec_get(dx + v * VEC) : (vec){0};
			}
			for (int64_t p = p0; p < p1; p++)
				for (int64_t at = p * d.q + q0; at < p * d.q + q1; at++)
					EACH_PART(v) {
						vec_mask chosen = *(const vec_mask_memory *)(choice[v] + at * PHIZ_BLOCK) == here;
						sum[v] += (vec)((vec_mask)vec_get(dy + at * BLOCK + v * VEC) & chosen);
					}
			EACH_PART(v)
				vec_put(dx + v * VEC, sum[v]);
		}
	}
}

static enum phiz_status blocked_max_backward(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, call->in[0].shape.dim[0] * call->in[0].shape.dim[1] / BLOCK *
		                  call->in[0].shape.dim[2], larger(GRAIN / (call->in[0].shape.dim[3] * BLOCK), 1),
		                  blocked_max_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_max_pool2d) = {
	PHIZ_VECTOR_KERNEL_NAMED("max_pool2d", "blocked"), .supports = both_blocked, .forward = blocked_max_forward,
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
		const element *x = input_of(call, 0) + row / d.p * d.h * d.w * BLOCK;
		int64_t top, bottom, high, left, right, across;
		avg_window(row % d.p, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
		for (int64_t q = 0; q < d.q; q++) {
			element *y = (element *)call->out[0].data + (row * d.q + q) * BLOCK;
			vec sum[PARTS] = {{0}};
			avg_window(q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &across);
			for (int64_t h = top; h < bottom; h++)
				for (int64_t w = left; w < right; w++)
					EACH_PART(v)
						sum[v] += vec_get(x + (h * d.w + w) * BLOCK + v * VEC);
			EACH_PART(v)
				vec_put(y + v * VEC, sum[v] / (float)(high * across));
		}
	}
}

static enum phiz_status blocked_avg_forward(struct phiz_call *call)
{
	struct pool d = blocked_pool_of(call);
	phiz_parallel_for(call->ctx, d.planes * d.p, larger(GRAIN / (d.q * BLOCK), 1), blocked_avg_pieces, call);
	return PHIZ_OK;
}

static void blocked_avg_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = blocked_pool_of(call);
	bool count_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	const element *dy = call->dout[0].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		element *dx = gradient_of(call, 0) + plane * d.h * d.w * BLOCK;
		if (!phiz_adds(call, 0))
			memset(dx, 0, (size_t)(d.h * d.w) * BLOCK * sizeof(*dx));
		for (int64_t i = 0; i < d.p * d.q; i++) {
			int64_t top, bottom, high, left, right, across;
			avg_window(i / d.q, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
			avg_window(i % d.q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &across);
			EACH_PART(v) {
				vec share = vec_get(dy + (plane * d.p * d.q + i) * BLOCK + v * VEC) / (float)(high * across);
				for (int64_t h = top; h < bottom; h++)
					for (int64_t w = left; w < right; w++) {
						element *to = dx + (h * d.w + w) * BLOCK + v * VEC;
						vec_put(to, vec_get(to) + share);
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
	PHIZ_VECTOR_KERNEL_NAMED("avg_pool2d", "blocked"), .supports = both_blocked, .forward = blocked_avg_forward,
	.backward = blocked_avg_backward, .blocked = true,
};

/* --- global average: the output has one pixel, so it lies the same either way; it may be float --- */

static void blocked_global_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t area = global_area(call);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		double total[BLOCK];
		bnb_sum(input_of(call, 0) + i * area * BLOCK, area, NULL, total);
		for (int c = 0; c < BLOCK; c++) {
			const float mean = (float)(total[c] / (double)area);
			if (call->out[0].dtype == PHIZ_F32)
				((float *)call->out[0].data)[i * BLOCK + c] = mean;
			else
				((element *)call->out[0].data)[i * BLOCK + c] = narrow(mean);
		}
	}
}

static void blocked_global_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t area = global_area(call);
	bool add = phiz_adds(call, 0);
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		element *dx = gradient_of(call, 0) + plane * area * BLOCK;
		vec share[PARTS];
		EACH_PART(v) {
			const int64_t at = plane * BLOCK + v * VEC;
			vec g = call->dout[0].dtype == PHIZ_F32 ? vec_load((const float *)call->dout[0].data + at)
			                                        : vec_get((const element *)call->dout[0].data + at);
			share[v] = g / (float)area;
		}
		for (int64_t i = 0; i < area * BLOCK; i += BLOCK)
			EACH_PART(v)
				vec_put(dx + i + v * VEC, add ? vec_get(dx + i + v * VEC) + share[v] : share[v]);
	}
}

static int64_t blocked_planes(const struct phiz_call *call)
{
	return call->in[0].shape.dim[0] * call->in[0].shape.dim[1] / BLOCK;
}

static enum phiz_status blocked_global_forward(struct phiz_call *call)
{
	phiz_parallel_for(call->ctx, blocked_planes(call), larger(GRAIN / (global_area(call) * BLOCK), 1),
	                  blocked_global_pieces, call);
	return PHIZ_OK;
}

static enum phiz_status blocked_global_backward(struct phiz_call *call)
{
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, blocked_planes(call), larger(GRAIN / (global_area(call) * BLOCK), 1),
		                  blocked_global_back_pieces, call);
	return PHIZ_OK;
}

static bool blocked_in(const struct phiz_call *call)
{
	return call->in[0].layout == PHIZ_BLOCKED && call->out[0].layout == PHIZ_PLAIN &&
	       call->in[0].dtype == PHIZ_VECTOR_DTYPE;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_global_avg_pool) = {
	PHIZ_VECTOR_KERNEL_NAMED("global_avg_pool", "blocked"), .supports = blocked_in, .forward = blocked_global_forward,
	.backward = blocked_global_backward, .blocked = true,
};
