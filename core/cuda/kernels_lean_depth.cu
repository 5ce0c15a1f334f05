/* Depthwise convolution (see kernels_lean.h): each output channel k is made of one input channel, c = k * C / K. A
 * block of 128 threads takes a tile of one or more whole planes: it brings the part of x that the tile's windows lie
 * in into shared memory, padding as zeros, each number read from memory once (but for the windows' overlap at the
 * tile's edge), and each thread sums outputs from there, in float.
 *
 * 2 * R * S FLOPs for an output and 4 bytes of memory in F16 (stride 1): at 3x3 4.5 FLOPs a byte, where a Nano's
 * memory would feed 9 in float32. It is bound by memory, or by the 3 instructions that a term takes here (two reads of
 * shared memory, a multiply-add): 27 an output, 128 lanes at 0.92 GHz give 4.4 Goutputs/s against the 6.4 that 25.6
 * GB/s would carry, some 65 % of the memory's limit. half2 would gain nothing. Counted, not measured. */
#include "core/cuda/kernels_lean.h"

#include "core/cuda/device.h"

namespace {

enum { BLOCK = 128, MOST_TILE = 4096, MOST_FILTER = 1024, MOST_OUTPUTS = 4 * BLOCK };

/* A block's outputs: rows x columns of each of `planes` planes (more than one only where the tile is all of a plane).
 */
struct tile {
	int planes, rows, columns;
	int in_rows, in_columns; /* of x that they see */
};

__device__ float activate(float y, int act, float slope) /* NaN stays NaN */
{
	return act == ACT_NONE || !(y <= 0) ? y : act == ACT_RELU ? 0.0f : y * slope;
}

template <typename In, typename Out> __global__ void depthwise(phiz_cuda_lean_conv v, tile t)
{
	__shared__ float xs[MOST_TILE], ws[MOST_FILTER];
	const int tiles_q = (v.q + t.columns - 1) / t.columns;
	const int64_t all = v.n * v.k, first = (int64_t)blockIdx.x * t.planes;
	const int planes = (int)min((int64_t)t.planes, all - first), thread = (int)threadIdx.x;
	const int p0 = (int)(blockIdx.y / tiles_q) * t.rows, q0 = (int)(blockIdx.y % tiles_q) * t.columns;
	const int h0 = p0 * v.stride_h - v.pad_top, w0 = q0 * v.stride_w - v.pad_left;
	const int seen = t.in_rows * t.in_columns, filter = v.r * v.s, outputs = t.rows * t.columns;
	for (int i = thread; i < planes * seen; i += BLOCK) {
		const int64_t plane = first + i / seen, n = plane / v.k, c = plane % v.k / (v.k / v.c);
		const int h = h0 + i % seen / t.in_columns, w = w0 + i % seen % t.in_columns;
		const bool in = h >= 0 && h < v.h && w >= 0 && w < v.w;
		xs[i] = in ? number<In>(v.x, ((n * v.c + c) * v.h + h) * v.w + w) : 0.0f;
	}
	for (int i = thread; i < planes * filter; i += BLOCK)
		ws[i] = ((const float *)v.weights)[(first + i / filter) % v.k * filter + i % filter];
	__syncthreads();
	for (int i = thread; i < planes * outputs; i += BLOCK) {
		const int plane = i / outputs, p = i % outputs / t.columns, q = i % outputs % t.columns;
		if (p0 + p >= v.p || q0 + q >= v.q)
			continue;
		const float *x = xs + plane * seen + p * v.stride_h * t.in_columns + q * v.stride_w, *w = ws + plane * filter;
		float sum = 0;
		for (int r = 0; r < v.r; r++, x += v.dilation_h * t.in_columns)
			for (int s = 0; s < v.s; s++)
				sum += x[s * v.dilation_w] * *w++;
		const int64_t k = (first + plane) % v.k, at = ((first + plane) * v.p + p0 + p) * v.q + q0 + q;
		if (v.bias)
			sum += v.bias[k];
		if (v.residual)
			sum += number<Out>(v.residual, at);
		put<Out>(v.y, at, activate(sum, v.act, v.slope));
	}
}

int reach(int outputs, int stride, int filter, int dilation)
{
	return (outputs - 1) * stride + (filter - 1) * dilation + 1;
}

bool fits(const phiz_cuda_lean_conv &v, int rows, int columns)
{
	return (int64_t)reach(rows, v.stride_h, v.r, v.dilation_h) * reach(columns, v.stride_w, v.s, v.dilation_w) <=
	       MOST_TILE && (int64_t)rows * columns <= MOST_OUTPUTS;
}

tile tile_of(const phiz_cuda_lean_conv &v)
{
	tile t = {1, v.p, v.q, 0, 0};
	/* Rows go first: long rows of a tile are read and written in whole lines. */
	while (t.rows > 1 && !fits(v, t.rows, t.columns))
		t.rows = (t.rows + 1) / 2;
	while (t.columns > 1 && !fits(v, t.rows, t.columns))
		t.columns = (t.columns + 1) / 2;
	t.in_rows = reach(t.rows, v.stride_h, v.r, v.dilation_h);
	t.in_columns = reach(t.columns, v.stride_w, v.s, v.dilation_w);
	if (t.rows == v.p && t.columns == v.q) {
		const int by_tile = MOST_TILE / (t.in_rows * t.in_columns), by_filter = MOST_FILTER / (v.r * v.s);
		const int by_outputs = MOST_OUTPUTS / (t.rows * t.columns);
		t.planes = by_tile < by_filter ? by_tile : by_filter;
		t.planes = by_outputs < t.planes ? by_outputs : t.planes;
		t.planes = t.planes < 1 ? 1 : t.planes;
	}
	return t;
}

int64_t tiles_of(const phiz_cuda_lean_conv &v, const tile &t)
{
	return (int64_t)((v.p + t.rows - 1) / t.rows) * ((v.q + t.columns - 1) / t.columns);
}

template <typename In, typename Out> void run(const phiz_cuda_lean_conv &v, void *stream)
{
	const tile t = tile_of(v);
	const dim3 blocks((unsigned)((v.n * v.k + t.planes - 1) / t.planes), (unsigned)tiles_of(v, t));
	LAUNCH_BLOCK((depthwise<In, Out>), blocks, BLOCK, stream)(v, t);
}

}

bool phiz_cuda_lean_is_depthwise(const struct phiz_cuda_lean_conv *v)
{
	const int64_t seen = (int64_t)reach(1, 1, v->r, v->dilation_h) * reach(1, 1, v->s, v->dilation_w);
	return v->groups == v->c && v->k % v->c == 0 && (int64_t)v->r * v->s <= MOST_FILTER && seen <= MOST_TILE &&
	       tiles_of(*v, tile_of(*v)) <= MOST_BLOCKS;
}

int phiz_cuda_lean_run_depthwise(const struct phiz_cuda_lean_conv *v, void *stream)
{
	if (v->x_dtype == F32 && v->y_dtype == F32)
		run<float, float>(*v, stream);
	else if (v->x_dtype == F32)
		run<float, __half>(*v, stream);
	else if (v->y_dtype == F32)
		run<__half, float>(*v, stream);
	else
		run<__half, __half>(*v, stream);
	return (int)cudaPeekAtLastError();
}
