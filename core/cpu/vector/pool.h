/* max_pool2d, avg_pool2d, global_avg_pool and concat; the formulas stand in core/ops. */
#include "core/cpu/vector/shared.h"

static int64_t pool_grain(const struct pool *d)
{
	int64_t plane = d->h * d->w;
	return plane < GRAIN ? GRAIN / (plane < 1 ? 1 : plane) : 1;
}

/* Of each worker: a row of values and, for max, a row of where they came from. */
static size_t pool_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct pool d = pool_of(call);
	return backward ? 0 : (size_t)threads * (size_t)d.w * 8;
}

/* --- max: first down the columns of a row of windows, which vectorises, then along the row. The first of equals in
 * the order of the reference kernel is the one with the smallest index; of NaNs, the last. --- */

static void max_columns(const struct pool *d, const float *x, int64_t top, int64_t bottom, float *best, int32_t *row)
{
	memcpy(best, x + top * d->w, (size_t)d->w * sizeof(*best));
	for (int64_t i = 0; i < d->w; i++)
		row[i] = (int32_t)top;
	for (int64_t h = top + 1; h < bottom; h++) {
		const float *from = x + h * d->w;
		for (int64_t i = 0; i < d->w; i++) {
			bool take = !(from[i] <= best[i]) && !(best[i] != best[i] && from[i] == from[i]);
			best[i] = take ? from[i] : best[i];
			row[i] = take ? (int32_t)h : row[i];
		}
	}
}

/* The outputs q0..q1-1, whose windows lie inside, for a constant stride: one tap after the other. */
INLINE void max_inside(const struct pool *d, const float *best, const int32_t *row, float *y, int32_t *choice,
                       int64_t q0, int64_t q1, const int64_t stride)
{
	const int32_t w = (int32_t)d->w;
	const int64_t n = q1 - q0;
	const int32_t left = (int32_t)(q0 * stride - d->pad_w);
	y += q0;
	choice += q0;
	for (int64_t q = 0; q < n; q++) {
		y[q] = best[left + q * stride];
		choice[q] = row[left + q * stride] * w + left + (int32_t)(q * stride);
	}
	for (int32_t s = 1; s < (int32_t)d->kernel_w; s++) {
		const float *from = best + left + s;
		const int32_t *from_row = row + left + s;
		for (int64_t q = 0; q < n; q++) {
			float v = from[q * stride];
			int32_t here = from_row[q * stride] * w + left + s + (int32_t)(q * stride);
			int nan = v != v, old_nan = y[q] != y[q];
			int take = (v > y[q]) | ((v == y[q]) & (here < choice[q])) | (nan & (!old_nan | (here > choice[q])));
			y[q] = take ? v : y[q];
			choice[q] = take ? here : choice[q];
		}
	}
}

/* Any output, one at a time. */
static void max_at(const struct pool *d, const float *best, const int32_t *row, float *y, int32_t *choice, int64_t q)
{
	int64_t left = larger(q * d->stride_w - d->pad_w, 0);
	int64_t right = smaller(q * d->stride_w - d->pad_w + d->kernel_w, d->w);
	float v = best[left];
	int32_t at = (int32_t)(row[left] * d->w + left);
	for (int64_t i = left + 1; i < right; i++) {
		int32_t here = (int32_t)(row[i] * d->w + i);
		bool nan = best[i] != best[i];
		if (best[i] > v || (best[i] == v && here < at) || (nan && (v == v || here > at))) {
			v = best[i];
			at = here;
		}
	}
	y[q] = v;
	choice[q] = at;
}

/* The outputs whose windows lie inside the row: q0..q1-1. */
static void whole_windows(const struct pool *d, int64_t *q0, int64_t *q1)
{
	int64_t last = d->w + d->pad_w - d->kernel_w;
	*q0 = smaller((d->pad_w + d->stride_w - 1) / d->stride_w, d->q);
	*q1 = last < 0 ? 0 : smaller(last / d->stride_w + 1, d->q);
	if (*q1 < *q0)
		*q1 = *q0;
}

static void max_row(const struct pool *d, const float *best, const int32_t *row, float *y, int32_t *choice)
{
	int64_t q0, q1;
	whole_windows(d, &q0, &q1);
	for (int64_t q = 0; q < q0; q++)
		max_at(d, best, row, y, choice, q);
	if (d->stride_w == 1)
		max_inside(d, best, row, y, choice, q0, q1, 1);
	else if (d->stride_w == 2)
		max_inside(d, best, row, y, choice, q0, q1, 2);
	else
		max_inside(d, best, row, y, choice, q0, q1, d->stride_w);
	for (int64_t q = q1; q < d->q; q++)
		max_at(d, best, row, y, choice, q);
}

/* --- The same without choices. --- */

INLINE float max_of(float a, float b)
{
	return b > a || b != b ? b : a;
}

/* The maxima of the windows at VEC places side by side, rows x kernel pixels each, row after row: of equals the first
 * stays, of NaNs the last. */
INLINE void max_lanes(const float *from, int64_t w, int64_t rows, const int64_t kernel, float *to)
{
	vec best = vec_load(from);
	for (int64_t h = 0; h < rows; h++)
		for (int64_t s = 0; s < kernel; s++) {
			vec v = vec_load(from + h * w + s);
			best = vec_pick((v > best) | (v != v), v, best);
		}
	vec_store(to, best);
}

static float max_window(const float *from, int64_t w, int64_t rows, int64_t kernel)
{
	float best = from[0];
	for (int64_t h = 0; h < rows; h++)
		for (int64_t s = 0; s < kernel; s++)
			best = max_of(best, from[h * w + s]);
	return best;
}

/* At fewer than VEC places; where it can, it looks at what lies behind them. end: of the input. */
static void max_few(const float *from, const float *end, int64_t w, int64_t rows, int64_t kernel, int64_t n, float *to)
{
	float values[VEC];
	if (end - from >= (rows - 1) * w + kernel + VEC - 1) {
		max_lanes(from, w, rows, kernel, values);
		memcpy(to, values, (size_t)n * sizeof(*to));
		return;
	}
	for (int64_t i = 0; i < n; i++)
		to[i] = max_window(from + i, w, rows, kernel);
}

/* At n places; the last lanes are done twice where n is no multiple of them. */
INLINE void max_places(const float *from, const float *end, int64_t w, int64_t rows, const int64_t kernel, int64_t n,
                       float *to)
{
	int64_t i = 0;
	for (; i + VEC <= n; i += VEC)
		max_lanes(from + i, w, rows, kernel, to + i);
	if (i < n && i > 0)
		max_lanes(from + n - VEC, w, rows, kernel, to + n - VEC);
	else if (i < n)
		max_few(from, end, w, rows, kernel, n, to);
}

INLINE void take_each(float *y, const float *from, int64_t n, const int64_t stride)
{
	for (int64_t q = 0; q < n; q++)
		y[q] = from[q * stride];
}

/* n windows that lie inside, the first at from: the maxima at all places, of which one in `stride` is taken. */
INLINE void max_inside_values(const struct pool *d, const float *from, const float *end, int64_t rows, float *all,
                              float *y, int64_t n)
{
	int64_t places = (n - 1) * d->stride_w + 1;
	if (n <= 0)
		return;
	float *to = d->stride_w == 1 ? y : all;
	if (d->kernel_w == 2)
		max_places(from, end, d->w, rows, 2, places, to);
	else if (d->kernel_w == 3)
		max_places(from, end, d->w, rows, 3, places, to);
	else
		max_places(from, end, d->w, rows, d->kernel_w, places, to);
	if (d->stride_w == 2)
		take_each(y, all, n, 2);
	else if (d->stride_w > 2)
		take_each(y, all, n, d->stride_w);
}

/* A window that may reach outside of the row. */
static float max_value_at(const struct pool *d, const float *x, const float *end, int64_t rows, int64_t q)
{
	int64_t left = larger(q * d->stride_w - d->pad_w, 0);
	int64_t right = smaller(q * d->stride_w - d->pad_w + d->kernel_w, d->w);
	float y;
	max_few(x + left, end, d->w, rows, right - left, 1, &y);
	return y;
}

/* One row of outputs, of x's first `rows` rows; q0, q1: those whose windows lie inside. all: room for a row. */
static void max_values(const struct pool *d, const float *x, const float *end, int64_t rows, int64_t q0, int64_t q1,
                       float *all, float *y)
{
	for (int64_t q = 0; q < q0; q++)
		y[q] = max_value_at(d, x, end, rows, q);
	max_inside_values(d, x + q0 * d->stride_w - d->pad_w, end, rows, all, y + q0, q1 - q0);
	for (int64_t q = q1; q < d->q; q++)
		y[q] = max_value_at(d, x, end, rows, q);
}

static void max_pool_pieces(void *arg, int64_t begin, int64_t stop, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = pool_of(call);
	float *best = (float *)call->workspace + (int64_t)worker * d.w * 2;
	int32_t *row = (int32_t *)(void *)(best + d.w), *choice = call->saved[0].data;
	const float *end = phiz_in(call, 0) + d.planes * d.h * d.w;
	int64_t q0, q1;
	whole_windows(&d, &q0, &q1);
	for (int64_t plane = begin; plane < stop; plane++)
		for (int64_t p = 0; p < d.p; p++) {
			int64_t first = p * d.stride_h - d.pad_h, bottom = smaller(first + d.kernel_h, d.h), top = larger(first, 0);
			const float *x = phiz_in(call, 0) + plane * d.h * d.w;
			float *y = (float *)call->out[0].data + (plane * d.p + p) * d.q;
			if (choice) {
				max_columns(&d, x, top, bottom, best, row);
				max_row(&d, best, row, y, choice + (plane * d.p + p) * d.q);
			} else {
				max_values(&d, x + top * d.w, end, bottom - top, q0, q1, best, y);
			}
		}
}

static enum phiz_status max_pool_forward(struct phiz_call *call)
{
	struct pool d = pool_of(call);
	phiz_parallel_for(call->ctx, d.planes, pool_grain(&d), max_pool_pieces, call);
	return PHIZ_OK;
}

static void max_pool_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = pool_of(call);
	const int32_t *choice = call->saved[0].data;
	const float *dy = call->dout[0].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * d.h * d.w;
		if (!phiz_adds(call, 0))
			memset(dx, 0, (size_t)(d.h * d.w) * sizeof(*dx));
		for (int64_t i = plane * d.p * d.q; i < (plane + 1) * d.p * d.q; i++)
			dx[choice[i]] += dy[i];
	}
}

static enum phiz_status max_pool_backward(struct phiz_call *call)
{
	struct pool d = pool_of(call);
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, d.planes, pool_grain(&d), max_pool_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(max_pool2d) = {PHIZ_VECTOR_KERNEL("max_pool2d"), .workspace = pool_workspace,
                                                        .forward = max_pool_forward, .backward = max_pool_backward};

/* --- avg --- */

static void avg_pool_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = pool_of(call);
	bool count_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	float *sum = (float *)call->workspace + (int64_t)worker * d.w * 2;
	for (int64_t i = begin * d.p; i < end * d.p; i++) {
		const float *x = phiz_in(call, 0) + i / d.p * d.h * d.w;
		float *y = (float *)call->out[0].data + i * d.q;
		int64_t top, bottom, high, left, right, wide;
		avg_window(i % d.p, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
		memset(sum, 0, (size_t)d.w * sizeof(*sum));
		for (int64_t h = top; h < bottom; h++)
			for (int64_t w = 0; w < d.w; w++)
				sum[w] += x[h * d.w + w];
		for (int64_t q = 0; q < d.q; q++) {
			double total = 0;
			avg_window(q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &wide);
			for (int64_t w = left; w < right; w++)
				total += (double)sum[w];
			y[q] = (float)(total / (double)(high * wide));
		}
	}
}

static enum phiz_status avg_pool_forward(struct phiz_call *call)
{
	struct pool d = pool_of(call);
	phiz_parallel_for(call->ctx, d.planes, pool_grain(&d), avg_pool_pieces, call);
	return PHIZ_OK;
}

static void avg_pool_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	struct pool d = pool_of(call);
	bool count_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	const float *dy = call->dout[0].data;
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * d.h * d.w;
		if (!phiz_adds(call, 0))
			memset(dx, 0, (size_t)(d.h * d.w) * sizeof(*dx));
		for (int64_t i = 0; i < d.p * d.q; i++) {
			int64_t top, bottom, high, left, right, wide;
			avg_window(i / d.q, d.stride_h, d.pad_h, d.kernel_h, d.h, count_pad, &top, &bottom, &high);
			avg_window(i % d.q, d.stride_w, d.pad_w, d.kernel_w, d.w, count_pad, &left, &right, &wide);
			float share = dy[plane * d.p * d.q + i] / (float)(high * wide);
			for (int64_t h = top; h < bottom; h++)
				for (int64_t w = left; w < right; w++)
					dx[h * d.w + w] += share;
		}
	}
}

static enum phiz_status avg_pool_backward(struct phiz_call *call)
{
	struct pool d = pool_of(call);
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, d.planes, pool_grain(&d), avg_pool_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(avg_pool2d) = {PHIZ_VECTOR_KERNEL("avg_pool2d"), .workspace = pool_workspace,
                                                        .forward = avg_pool_forward, .backward = avg_pool_backward};

/* --- global average --- */

static void global_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t area = global_area(call);
	(void)worker;
	for (int64_t i = begin; i < end; i++)
		((float *)call->out[0].data)[i] = (float)(bn_sum(phiz_in(call, 0) + i * area, area) / (double)area);
}

static void global_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	const float *dy = call->dout[0].data;
	int64_t area = global_area(call);
	bool add = phiz_adds(call, 0);
	(void)worker;
	for (int64_t plane = begin; plane < end; plane++) {
		float *dx = phiz_din(call, 0) + plane * area, share = dy[plane] / (float)area;
		for (int64_t i = 0; i < area; i++)
			dx[i] = add ? dx[i] + share : share;
	}
}

static enum phiz_status global_forward(struct phiz_call *call)
{
	int64_t area = global_area(call);
	phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), area < GRAIN ? GRAIN / area : 1, global_pieces,
	                  call);
	return PHIZ_OK;
}

static enum phiz_status global_backward(struct phiz_call *call)
{
	int64_t area = global_area(call);
	if (phiz_din(call, 0) && call->dout[0].data)
		phiz_parallel_for(call->ctx, phiz_tensor_count(&call->out[0]), area < GRAIN ? GRAIN / area : 1,
		                  global_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(global_avg_pool) = {PHIZ_VECTOR_KERNEL("global_avg_pool"),
                                                             .forward = global_forward, .backward = global_backward};

/* --- concat: copies of runs --- */

/* The outer lines begin..end-1 of every input; one input after the other, so that two gradients may be the same memory
 * if the later one adds. */
static void concat_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t axis = call->node->attr[PHIZ_CONCAT_AXIS].i, at = 0;
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, axis);
	(void)worker;
	for (int i = 0; i < call->n_in; i++) {
		struct phiz_lines part = phiz_lines_along(&call->in[i].shape, axis);
		int64_t run = part.n * part.inner;
		for (int64_t o = begin; o < end; o++)
			memcpy((float *)call->out[0].data + (o * whole.n + at) * whole.inner, phiz_in(call, i) + o * run,
			       (size_t)run * sizeof(float));
		at += part.n;
	}
}

static void concat_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_call *call = arg;
	int64_t axis = call->node->attr[PHIZ_CONCAT_AXIS].i, at = 0;
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, axis);
	(void)worker;
	for (int i = 0; i < call->n_in; i++) {
		struct phiz_lines part = phiz_lines_along(&call->in[i].shape, axis);
		int64_t run = part.n * part.inner;
		for (int64_t o = begin; phiz_din(call, i) && o < end; o++)
			copy_row(phiz_din(call, i) + o * run, (const float *)call->dout[0].data + (o * whole.n + at) * whole.inner,
			         run, phiz_adds(call, i));
		at += part.n;
	}
}

static enum phiz_status concat_forward(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
	int64_t run = larger(whole.n * whole.inner, 1);
	phiz_parallel_for(call->ctx, whole.outer, larger(GRAIN / run, 1), concat_pieces, call);
	return PHIZ_OK;
}

static enum phiz_status concat_backward(struct phiz_call *call)
{
	struct phiz_lines whole = phiz_lines_along(&call->out[0].shape, call->node->attr[PHIZ_CONCAT_AXIS].i);
	int64_t run = larger(whole.n * whole.inner, 1);
	if (call->dout[0].data)
		phiz_parallel_for(call->ctx, whole.outer, larger(GRAIN / run, 1), concat_back_pieces, call);
	return PHIZ_OK;
}

const struct phiz_kernel PHIZ_VECTOR_ROW(concat) = {PHIZ_VECTOR_KERNEL("concat"), .forward = concat_forward,
                                                    .backward = concat_backward};
