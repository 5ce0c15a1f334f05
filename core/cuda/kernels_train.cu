/* Batch norm, activations and pools where they are trained. See kernels_train.h. */
#include "core/cuda/kernels_train.h"

#include "core/cuda/device.h"

/* 16 bytes of elements. */
template <typename T, int N> struct alignas(sizeof(T) * N) pack {
	T v[N];
};

template <typename T> static __device__ float wide(T v) { return number<T>(&v, 0); }
template <typename T> static __device__ T narrow(float v)
{
	T t;
	put<T>(&t, 0, v);
	return t;
}

static __device__ float activate(float v, int act, float slope)
{
	return act != ACT_NONE && v <= 0 ? (act == ACT_RELU ? 0.0f : v * slope) : v; /* NaN stays NaN */
}

/* The gradient before the activation from the one behind it (g) and the activation's output y. */
static __device__ float before(float g, float y, int act, float slope)
{
	if (act == ACT_NONE)
		return g;
	if (act == ACT_RELU)
		return y <= 0 ? 0.0f : g;
	return y > 0 ? g : g * slope;
}

/* Calls `run` with the element type as its first template argument. */
#define BY_DTYPE(dtype, run, ...) \
	do { \
		if ((dtype) == F32) \
			run<float>(__VA_ARGS__); \
		else if ((dtype) == F16) \
			run<__half>(__VA_ARGS__); \
		else \
			run<__nv_bfloat16>(__VA_ARGS__); \
	} while (0)

/* --- Sums by channel: each block sums a piece of outer and inner for some channels into partial[piece][2][channels];
 * then one thread a channel adds the pieces up in double, in their order. --- */

enum { MOST_PIECES = THREADS / 2, LANES = 32 };

/* How channels-last tensors are cut: a block has `lanes` side by side, each of N channels, and THREADS / lanes rows. */
static int64_t pieces_of(const struct phiz_cuda_lines *l)
{
	int64_t work = l->inner == 1 ? l->outer / 64 : l->outer * l->inner / 1024;
	return work < 1 ? 1 : work > MOST_PIECES ? (int64_t)MOST_PIECES : work;
}

size_t phiz_cuda_sum_workspace(const struct phiz_cuda_lines *l)
{
	return sizeof(float) * 2 * (size_t)(MOST_PIECES * l->channels);
}

template <typename T, int N> static __device__ pack<T, N> packed(const void *data, int64_t i)
{
	return *(const pack<T, N> *)((const T *)data + i);
}

/* What is summed: two floats for each of N elements from i on, of channels from c on. */
struct moments { /* x, x^2 */
	const void *x;
	template <typename T, int N> __device__ void at(int64_t i, int64_t c, float *a, float *b) const
	{
		pack<T, N> v = packed<T, N>(x, i);
		(void)c;
		for (int k = 0; k < N; k++) {
			a[k] += wide<T>(v.v[k]);
			b[k] += wide<T>(v.v[k]) * wide<T>(v.v[k]);
		}
	}
};

struct gradients { /* e, e * xhat */
	const void *x, *y, *dy;
	const float *mean, *invstd;
	int act;
	float slope;
	template <typename T, int N> __device__ void at(int64_t i, int64_t c, float *a, float *b) const
	{
		pack<T, N> g = packed<T, N>(dy, i), out = g, in = g;
		if (act != ACT_NONE)
			out = packed<T, N>(y, i);
		if (x)
			in = packed<T, N>(x, i);
		for (int k = 0; k < N; k++) {
			float e = before(wide<T>(g.v[k]), wide<T>(out.v[k]), act, slope);
			a[k] += e;
			if (x)
				b[k] += e * ((wide<T>(in.v[k]) - mean[c + k]) * invstd[c + k]);
		}
	}
};

struct slopes { /* -, dy * x where x <= 0 */
	const void *x, *dy;
	template <typename T, int N> __device__ void at(int64_t i, int64_t c, float *a, float *b) const
	{
		pack<T, N> in = packed<T, N>(x, i), g = packed<T, N>(dy, i);
		(void)c;
		(void)a;
		for (int k = 0; k < N; k++)
			b[k] += wide<T>(in.v[k]) <= 0 ? wide<T>(g.v[k]) * wide<T>(in.v[k]) : 0.0f;
	}
};

struct once { /* x, - */
	const void *x;
	template <typename T, int N> __device__ void at(int64_t i, int64_t c, float *a, float *b) const
	{
		pack<T, N> in = packed<T, N>(x, i);
		(void)c;
		(void)b;
		for (int k = 0; k < N; k++)
			a[k] += wide<T>(in.v[k]);
	}
};

/* Channels last: block (tile of LANES * N channels, piece of rows). */
template <typename T, int N, typename What>
static __global__ void sum_last(What what, struct phiz_cuda_lines l, float *partial)
{
	__shared__ float sum[2][THREADS];
	int lanes = (int)min((l.channels + N - 1) / N, (int64_t)LANES);
	int lane = (int)threadIdx.x % lanes, row = (int)threadIdx.x / lanes, rows = THREADS / lanes;
	int64_t c = ((int64_t)blockIdx.x * lanes + lane) * N, pieces = gridDim.y, piece = blockIdx.y;
	int64_t begin = l.outer * piece / pieces, end = l.outer * (piece + 1) / pieces;
	float a[N], b[N];

	for (int k = 0; k < N; k++)
		a[k] = b[k] = 0;
	for (int64_t o = begin + row; row < rows && c < l.channels && o < end; o += rows)
		what.template at<T, N>(o * l.channels + c, c, a, b);
	for (int k = 0; k < N; k++) {
		sum[0][threadIdx.x] = a[k];
		sum[1][threadIdx.x] = b[k];
		__syncthreads();
		if (row == 0 && c < l.channels) {
			float all[2] = {0, 0};
			for (int r = 0; r < rows; r++) {
				all[0] += sum[0][r * lanes + lane];
				all[1] += sum[1][r * lanes + lane];
			}
			partial[(piece * 2 + 0) * l.channels + c + k] = all[0];
			partial[(piece * 2 + 1) * l.channels + c + k] = all[1];
		}
		__syncthreads();
	}
}

/* Channels first: block (channel, piece of outer * inner). */
template <typename T, typename What>
static __global__ void sum_first(What what, struct phiz_cuda_lines l, float *partial)
{
	__shared__ float sum[2][THREADS];
	int64_t c = blockIdx.x, pieces = gridDim.y, piece = blockIdx.y, all = l.outer * l.inner;
	int64_t begin = all * piece / pieces, end = all * (piece + 1) / pieces;
	float a = 0, b = 0;

	for (int64_t j = begin + threadIdx.x; j < end; j += THREADS)
		what.template at<T, 1>((j / l.inner * l.channels + c) * l.inner + j % l.inner, c, &a, &b);
	sum[0][threadIdx.x] = a;
	sum[1][threadIdx.x] = b;
	for (int half = THREADS / 2; half > 0; half /= 2) {
		__syncthreads();
		if ((int)threadIdx.x < half) {
			sum[0][threadIdx.x] += sum[0][threadIdx.x + half];
			sum[1][threadIdx.x] += sum[1][threadIdx.x + half];
		}
	}
	if (threadIdx.x == 0) {
		partial[(piece * 2 + 0) * l.channels + c] = sum[0][0];
		partial[(piece * 2 + 1) * l.channels + c] = sum[1][0];
	}
}

template <typename T, typename What>
static void sum(const What &what, const struct phiz_cuda_lines *l, float *partial, void *stream)
{
	enum { N = 16 / sizeof(T) };
	dim3 grid;
	grid.y = (unsigned)pieces_of(l);
	if (l->inner > 1) {
		grid.x = (unsigned)l->channels;
		LAUNCH_BLOCK((sum_first<T, What>), grid, THREADS, stream)(what, *l, partial);
	} else if (l->channels % N == 0) {
		grid.x = (unsigned)((l->channels / N + LANES - 1) / LANES);
		LAUNCH_BLOCK((sum_last<T, N, What>), grid, THREADS, stream)(what, *l, partial);
	} else {
		grid.x = (unsigned)((l->channels + LANES - 1) / LANES);
		LAUNCH_BLOCK((sum_last<T, 1, What>), grid, THREADS, stream)(what, *l, partial);
	}
}

static __device__ double add_up(const float *partial, int64_t pieces, int which, int64_t channels, int64_t c)
{
	double total = 0;
	for (int64_t i = 0; i < pieces; i++)
		total += partial[(i * 2 + which) * channels + c];
	return total;
}

/* --- batch_norm --- */

static __global__ void statistics(struct phiz_cuda_norm p, int64_t pieces)
{
	const float *partial = (const float *)p.workspace;
	EACH(c, p.lines.channels) {
		double m = (double)(p.lines.outer * p.lines.inner);
		double mean = add_up(partial, pieces, 0, p.lines.channels, c) / m;
		double var = add_up(partial, pieces, 1, p.lines.channels, c) / m - mean * mean;
		double unbiased = m / (m - 1);
		var = var < 0 ? 0 : var; /* NaN stays NaN */
		p.mean[c] = (float)mean;
		p.invstd[c] = (float)(1 / sqrt(var + (double)p.eps));
		p.running_mean[c] = (float)((1 - (double)p.momentum) * p.running_mean[c] + (double)p.momentum * mean);
		p.running_var[c] = (float)((1 - (double)p.momentum) * p.running_var[c] + (double)p.momentum * var * unbiased);
	}
}

static __global__ void running_statistics(struct phiz_cuda_norm p)
{
	EACH(c, p.lines.channels) {
		p.mean[c] = p.running_mean[c];
		p.invstd[c] = (float)(1 / sqrt((double)p.running_var[c] + (double)p.eps));
	}
}

/* The channel of the pack at i, which is one channel's where channels come first, else N of them from there on. */
template <int N> static __device__ int64_t channel_of(const struct phiz_cuda_lines *l, int64_t i)
{
	return l->inner == 1 ? (int64_t)((uint32_t)(i * N) % (uint32_t)l->channels) : i * N / l->inner % l->channels;
}

template <typename T, int N> static __global__ void normalize(struct phiz_cuda_norm p)
{
	typedef pack<T, N> vector;
	const int step = p.lines.inner == 1;
	EACH(i, p.lines.outer * p.lines.channels * p.lines.inner / N) {
		int64_t c = channel_of<N>(&p.lines, i);
		vector x = ((const vector *)p.x)[i];
		for (int k = 0; k < N; k++, c += step) {
			float scale = (p.weight ? p.weight[c] : 1.0f) * p.invstd[c];
			float v = (wide<T>(x.v[k]) - p.mean[c]) * scale + (p.bias ? p.bias[c] : 0.0f);
			x.v[k] = narrow<T>(activate(v, p.act, p.slope));
		}
		((vector *)p.y)[i] = x;
	}
}

/* May N elements at a time be of one channel, or of N in a row, with less than 2^32 of them? */
static bool packs(const struct phiz_cuda_lines *l, int n)
{
	int64_t count = l->outer * l->channels * l->inner;
	return count < (int64_t)1 << 32 && (l->inner == 1 ? l->channels % n == 0 : l->inner % n == 0);
}

template <typename T> static void run_normalize(const struct phiz_cuda_norm *p, void *stream)
{
	enum { N = 16 / sizeof(T) };
	int64_t count = p->lines.outer * p->lines.channels * p->lines.inner;
	if (packs(&p->lines, N))
		LAUNCH((normalize<T, N>), blocks_for(count / N), THREADS, stream)(*p);
	else
		LAUNCH((normalize<T, 1>), blocks_for(count), THREADS, stream)(*p);
}

template <typename T> static void norm_forward(const struct phiz_cuda_norm *p, void *stream)
{
	if (p->batch) {
		struct moments what = {p->x};
		sum<T>(what, &p->lines, (float *)p->workspace, stream);
		LAUNCH((statistics), blocks_for(p->lines.channels), THREADS, stream)(*p, pieces_of(&p->lines));
	} else {
		LAUNCH((running_statistics), blocks_for(p->lines.channels), THREADS, stream)(*p);
	}
	run_normalize<T>(p, stream);
}

int phiz_cuda_norm_forward(const struct phiz_cuda_norm *p, void *stream)
{
	BY_DTYPE(p->dtype, norm_forward, p, stream);
	return (int)cudaPeekAtLastError();
}

/* The parameters' gradients, and total[0][c] = sum e / m, total[1][c] = sum e * xhat / m for what follows. */
static __global__ void norm_gradients(struct phiz_cuda_norm p, int64_t pieces, float *total)
{
	const float *partial = (const float *)p.workspace;
	EACH(c, p.lines.channels) {
		double m = (double)(p.lines.outer * p.lines.inner);
		double sum = add_up(partial, pieces, 0, p.lines.channels, c);
		double dot = add_up(partial, pieces, 1, p.lines.channels, c);
		total[c] = (float)(sum / m);
		total[p.lines.channels + c] = (float)(dot / m);
		if (p.dw)
			p.dw[c] = (p.add_dw ? p.dw[c] : 0.0f) + (float)dot;
		if (p.db)
			p.db[c] = (p.add_db ? p.db[c] : 0.0f) + (float)sum;
	}
}

template <typename T, int N> static __global__ void norm_input_gradient(struct phiz_cuda_norm p, const float *total)
{
	typedef pack<T, N> vector;
	const int step = p.lines.inner == 1;
	EACH(i, p.lines.outer * p.lines.channels * p.lines.inner / N) {
		int64_t c = channel_of<N>(&p.lines, i);
		vector e = ((const vector *)p.dy)[i], x = e, y = e, dx = e;
		if (p.act != ACT_NONE)
			y = ((const vector *)p.y)[i];
		if (p.batch)
			x = ((const vector *)p.x)[i];
		if (p.add_dx)
			dx = ((const vector *)p.dx)[i];
		for (int k = 0; k < N; k++, c += step) {
			float g = before(wide<T>(e.v[k]), wide<T>(y.v[k]), p.act, p.slope);
			if (p.batch)
				g -= total[c] + (wide<T>(x.v[k]) - p.mean[c]) * p.invstd[c] * total[p.lines.channels + c];
			g *= (p.weight ? p.weight[c] : 1.0f) * p.invstd[c];
			dx.v[k] = narrow<T>(p.add_dx ? wide<T>(dx.v[k]) + g : g);
		}
		((vector *)p.dx)[i] = dx;
	}
}

template <typename T> static void norm_backward(const struct phiz_cuda_norm *p, void *stream)
{
	enum { N = 16 / sizeof(T) };
	int64_t count = p->lines.outer * p->lines.channels * p->lines.inner;
	float *total = (float *)p->workspace + phiz_cuda_sum_workspace(&p->lines) / sizeof(float);
	bool needs_x = p->dw || (p->dx && p->batch);
	struct gradients what = {needs_x ? p->x : NULL, p->y, p->dy, p->mean, p->invstd, p->act, p->slope};
	sum<T>(what, &p->lines, (float *)p->workspace, stream);
	LAUNCH((norm_gradients), blocks_for(p->lines.channels), THREADS, stream)(*p, pieces_of(&p->lines), total);
	if (p->dx && packs(&p->lines, N))
		LAUNCH((norm_input_gradient<T, N>), blocks_for(count / N), THREADS, stream)(*p, total);
	else if (p->dx)
		LAUNCH((norm_input_gradient<T, 1>), blocks_for(count), THREADS, stream)(*p, total);
}

int phiz_cuda_norm_backward(const struct phiz_cuda_norm *p, void *stream)
{
	BY_DTYPE(p->dtype, norm_backward, p, stream);
	return (int)cudaPeekAtLastError();
}

/* --- Other sums --- */

static __global__ void finish_sum(struct phiz_cuda_lines l, const float *partial, int64_t pieces, int which, float *sum,
                                  bool add, bool one)
{
	EACH(c, one ? (int64_t)1 : l.channels) {
		double total = 0;
		for (int64_t k = c; k < (one ? l.channels : c + 1); k++)
			total += add_up(partial, pieces, which, l.channels, k);
		sum[c] = (add ? sum[c] : 0.0f) + (float)total;
	}
}

template <typename T>
static void channel_sum(const void *x, const struct phiz_cuda_lines *l, float *total, bool add, void *workspace,
                        void *stream)
{
	struct once what = {x};
	sum<T>(what, l, (float *)workspace, stream);
	LAUNCH((finish_sum), blocks_for(l->channels), THREADS, stream)(*l, (const float *)workspace, pieces_of(l), 0, total,
	                                                              add, false);
}

int phiz_cuda_channel_sum(const void *x, int dtype, const struct phiz_cuda_lines *l, float *sum, bool add,
                          void *workspace, void *stream)
{
	BY_DTYPE(dtype, channel_sum, x, l, sum, add, workspace, stream);
	return (int)cudaPeekAtLastError();
}

/* --- Elementwise --- */

template <typename T, int N>
static __global__ void act_backward(const void *y, const void *dy, void *dx, int64_t count, int act, float slope,
                                    bool add)
{
	typedef pack<T, N> vector;
	EACH(i, count / N) {
		vector a = ((const vector *)y)[i], g = ((const vector *)dy)[i], d = g;
		if (add)
			d = ((const vector *)dx)[i];
		for (int k = 0; k < N; k++) {
			float v = before(wide<T>(g.v[k]), wide<T>(a.v[k]), act, slope);
			d.v[k] = narrow<T>(add ? wide<T>(d.v[k]) + v : v);
		}
		((vector *)dx)[i] = d;
	}
}

template <typename T, int N>
static __global__ void act_forward(const void *a, const void *b, void *y, int64_t count, int act, float slope)
{
	typedef pack<T, N> vector;
	EACH(i, count / N) {
		vector v = ((const vector *)a)[i], w = v;
		if (b)
			w = ((const vector *)b)[i];
		for (int k = 0; k < N; k++)
			v.v[k] = narrow<T>(activate(wide<T>(v.v[k]) + (b ? wide<T>(w.v[k]) : 0.0f), act, slope));
		((vector *)y)[i] = v;
	}
}

template <typename T>
static void run_act_backward(const void *y, const void *dy, void *dx, int64_t count, int act, float slope, bool add,
                             void *stream)
{
	enum { N = 16 / sizeof(T) };
	if (count % N == 0)
		LAUNCH((act_backward<T, N>), blocks_for(count / N), THREADS, stream)(y, dy, dx, count, act, slope, add);
	else
		LAUNCH((act_backward<T, 1>), blocks_for(count), THREADS, stream)(y, dy, dx, count, act, slope, add);
}

int phiz_cuda_act_backward(const void *y, const void *dy, void *dx, int dtype, int64_t count, int act, float slope,
                           bool add, void *stream)
{
	BY_DTYPE(dtype, run_act_backward, y, dy, dx, count, act, slope, add, stream);
	return (int)cudaPeekAtLastError();
}

template <typename T>
static void run_act_forward(const void *a, const void *b, void *y, int64_t count, int act, float slope, void *stream)
{
	enum { N = 16 / sizeof(T) };
	if (count % N == 0)
		LAUNCH((act_forward<T, N>), blocks_for(count / N), THREADS, stream)(a, b, y, count, act, slope);
	else
		LAUNCH((act_forward<T, 1>), blocks_for(count), THREADS, stream)(a, b, y, count, act, slope);
}

int phiz_cuda_act_forward(const void *a, const void *b, void *y, int dtype, int64_t count, int act, float slope,
                          void *stream)
{
	BY_DTYPE(dtype, run_act_forward, a, b, y, count, act, slope, stream);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void prelu_input_gradient(struct phiz_cuda_prelu p)
{
	EACH(i, p.lines.outer * p.lines.channels * p.lines.inner) {
		float slope = p.slopes[i / p.lines.inner % p.lines.channels % p.n_slopes];
		float g = number<T>(p.dy, i) * (number<T>(p.x, i) > 0 ? 1.0f : slope);
		put<T>(p.dx, i, p.add_dx ? number<T>(p.dx, i) + g : g);
	}
}

template <typename T> static void prelu_backward(const struct phiz_cuda_prelu *p, void *stream)
{
	const struct phiz_cuda_lines *l = &p->lines;
	if (p->dslopes) { /* first: dx may be dy */
		struct slopes what = {p->x, p->dy};
		sum<T>(what, l, (float *)p->workspace, stream);
		LAUNCH((finish_sum), blocks_for(l->channels), THREADS, stream)(*l, (const float *)p->workspace, pieces_of(l), 1,
		                                                              p->dslopes, p->add_slopes, p->n_slopes == 1);
	}
	if (p->dx)
		LAUNCH((prelu_input_gradient<T>), blocks_for(l->outer * l->channels * l->inner), THREADS, stream)(*p);
}

int phiz_cuda_prelu_backward(const struct phiz_cuda_prelu *p, void *stream)
{
	BY_DTYPE(p->dtype, prelu_backward, p, stream);
	return (int)cudaPeekAtLastError();
}

/* --- Pools --- */

/* N channels at a time, where they lie side by side. */
template <typename T, int N> static __global__ void max_pool_forward(struct phiz_cuda_pool p, int32_t *choice)
{
	typedef pack<T, N> vector;
	const int in_h = (int)p.in.dim[2], in_w = (int)p.in.dim[3];
	EACH(i, p.out.dim[0] * p.out.dim[1] * p.out.dim[2] * p.out.dim[3] / N) {
		struct place at = place_of(&p.out, i * N);
		int h0 = (int)at.h * p.stride_h - p.pad_h, w0 = (int)at.w * p.stride_w - p.pad_w;
		int h1 = min(h0 + p.kernel_h, in_h), w1 = min(w0 + p.kernel_w, in_w);
		pack<int32_t, N> best;
		float most[N];
		for (int k = 0; k < N; k++) {
			best.v[k] = -1;
			most[k] = 0;
		}
		for (int h = max(h0, 0); h < h1; h++)
			for (int w = max(w0, 0); w < w1; w++) {
				vector x = packed<T, N>(p.in.data, offset(&p.in, at.n, at.c, h, w));
				for (int k = 0; k < N; k++) {
					float v = wide<T>(x.v[k]);
					if (best.v[k] < 0 || v > most[k] || v != v) {
						best.v[k] = h * in_w + w;
						most[k] = v;
					}
				}
			}
		vector y;
		for (int k = 0; k < N; k++)
			y.v[k] = narrow<T>(most[k]);
		((vector *)p.out.data)[i] = y;
		((pack<int32_t, N> *)choice)[i] = best;
	}
}

/* Input (h, w) gets dout of the outputs whose windows hold it and that chose it. */
template <typename T, int N>
static __global__ void max_pool_backward(struct phiz_cuda_pool p, const int32_t *choice, bool add)
{
	typedef pack<T, N> vector;
	EACH(i, p.in.dim[0] * p.in.dim[1] * p.in.dim[2] * p.in.dim[3] / N) {
		struct place at = place_of(&p.in, i * N);
		int top = (int)at.h + p.pad_h - p.kernel_h, left = (int)at.w + p.pad_w - p.kernel_w; /* the last too early */
		int h0 = top < 0 ? 0 : top / p.stride_h + 1, w0 = left < 0 ? 0 : left / p.stride_w + 1;
		int h1 = min(((int)at.h + p.pad_h) / p.stride_h + 1, (int)p.out.dim[2]);
		int w1 = min(((int)at.w + p.pad_w) / p.stride_w + 1, (int)p.out.dim[3]);
		int32_t me = (int32_t)(at.h * p.in.dim[3] + at.w);
		vector dx = ((const vector *)p.in.data)[i];
		float g[N];
		for (int k = 0; k < N; k++)
			g[k] = add ? wide<T>(dx.v[k]) : 0.0f;
		for (int h = h0; h < h1; h++)
			for (int w = w0; w < w1; w++) {
				int64_t o = offset(&p.out, at.n, at.c, h, w);
				pack<int32_t, N> chosen = packed<int32_t, N>(choice, o);
				vector dy = packed<T, N>(p.out.data, o);
				for (int k = 0; k < N; k++)
					g[k] += chosen.v[k] == me ? wide<T>(dy.v[k]) : 0.0f;
			}
		for (int k = 0; k < N; k++)
			dx.v[k] = narrow<T>(g[k]);
		((vector *)p.in.data)[i] = dx;
	}
}

static int64_t elements(const struct phiz_cuda_picture *p) { return p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3]; }

/* Four channels at a time: their choices are 16 bytes. */
enum { POOLED = 4 };
static bool packs_channels(const struct phiz_cuda_picture *p) { return p->stride[1] == 1 && p->dim[1] % POOLED == 0; }

template <typename T> static void run_max_pool(const struct phiz_cuda_pool *p, int32_t *choice, void *stream)
{
	int64_t count = elements(&p->out);
	if (packs_channels(&p->out))
		LAUNCH((max_pool_forward<T, POOLED>), blocks_for(count / POOLED), THREADS, stream)(*p, choice);
	else
		LAUNCH((max_pool_forward<T, 1>), blocks_for(count), THREADS, stream)(*p, choice);
}

int phiz_cuda_max_pool_forward(const struct phiz_cuda_pool *p, int32_t *choice, void *stream)
{
	BY_DTYPE(p->in.dtype, run_max_pool, p, choice, stream);
	return (int)cudaPeekAtLastError();
}

template <typename T>
static void run_max_pool_back(const struct phiz_cuda_pool *p, const int32_t *choice, bool add, void *stream)
{
	int64_t count = elements(&p->in);
	if (packs_channels(&p->in))
		LAUNCH((max_pool_backward<T, POOLED>), blocks_for(count / POOLED), THREADS, stream)(*p, choice, add);
	else
		LAUNCH((max_pool_backward<T, 1>), blocks_for(count), THREADS, stream)(*p, choice, add);
}

int phiz_cuda_max_pool_backward(const struct phiz_cuda_pool *p, const int32_t *choice, bool add, void *stream)
{
	BY_DTYPE(p->in.dtype, run_max_pool_back, p, choice, add, stream);
	return (int)cudaPeekAtLastError();
}

template <typename T>
static __global__ void mean_backward(struct phiz_cuda_picture din, struct phiz_cuda_picture dout, bool add)
{
	const float share = 1.0f / (float)(din.dim[2] * din.dim[3]);
	EACH(i, din.dim[0] * din.dim[1] * din.dim[2] * din.dim[3]) {
		struct place at = place_of(&din, i);
		float g = number<T>(dout.data, at.n * dout.dim[1] + at.c) * share;
		put<T>(din.data, i, add ? number<T>(din.data, i) + g : g);
	}
}

template <typename T>
static void run_mean_backward(const struct phiz_cuda_picture *din, const struct phiz_cuda_picture *dout, bool add,
                              void *stream)
{
	LAUNCH((mean_backward<T>), blocks_for(elements(din)), THREADS, stream)(*din, *dout, add);
}

int phiz_cuda_mean_backward(const struct phiz_cuda_picture *din, const struct phiz_cuda_picture *dout, bool add,
                            void *stream)
{
	BY_DTYPE(din->dtype, run_mean_backward, din, dout, add, stream);
	return (int)cudaPeekAtLastError();
}
