/* See kernels_lean.h: convolution as a matrix product, w [K, C*R*S] times the pixels' surroundings [C*R*S, N*P*Q],
 * which are gathered tile by tile into shared memory and are nowhere else; and linear layers.
 *
 * A block of 128 threads makes TILE_K channels of TILE_P pixels, a thread 4 x 8 of them in registers. For a step
 * of the sum, STEP pairs of its terms, it brings (TILE_K + TILE_P) pairs each from memory into shared memory, where a
 * number is then read 8 (w) or 16 (x) times: three 16-byte reads of shared memory feed 32 half2 multiply-adds. While a
 * step is computed the next one is on its way in registers; the two steps' tiles take turns in shared memory, so that
 * a block waits for itself once a step. On sm_53 a block takes 16 KiB of shared memory, a thread 161 registers in
 * F16 and 124 in F32: three and four blocks on a multiprocessor, 12 and 16 warps for its four schedulers, and each
 * warp has 32 sums that do not wait for each other.
 *
 * F16: two neighbours in the sum are multiplied at once and added to two partial sums in half2. sm_53 has no
 * instruction that multiplies halves into a float, and widening each product would cost more than float32 altogether;
 * so a step's 16 pairs are summed in half2, and the two halves then added up and taken on in float. Such a partial sum
 * of 16 terms is off by about 2^-11 * sqrt(16) / 2 of a term, less than what rounding the output to F16 does; it takes
 * 6 of each 22 instruction slots (an addition, a conversion at a quarter of the rate, an addition).
 *
 * What a Nano can be expected to give (128 lanes at 0.92 GHz: 236 GFLOP/s in float32, 472 in half2; 25.6 GB/s): a
 * thread's step in F16 is 512 multiply-adds of pairs, 192 slots for the partial sums, some 150 for gathering 16
 * numbers of x (1x1: 80), 16 for w, 48 reads of shared memory: 512 of 920, 55 % of the half2 rate at best, and in F32
 * (256 of 256 + 90 + 8 + 48 a half step) 60 % of 236. ResNet-18 on a picture of 224 pixels is 3.6 GFLOP on 23 MB of
 * weights and 5 MB of pictures in F16: 1.1 ms by memory, 14 ms by arithmetic. A layer on 7x7 pixels wastes 15 of a
 * tile's 64. This is counted, not measured. */
#include "core/cuda/kernels_lean.h"

#include "core/cuda/device.h"

namespace {

enum { BLOCK = 128, TILE_K = 64, TILE_P = 64, THREAD_K = 4, THREAD_P = 8 };

/* Pairs of T, and how sums of their products are kept: `part` over a step, then `whole`. */
template <typename T> struct pairs;

template <> struct pairs<float> {
	struct __align__(8) pair {
		float a, b;
	};
	struct part {}; /* float needs none */
	enum { STEP = 8, BLOCKS = 4 };
	static __device__ pair make(float a, float b)
	{
		pair v = {a, b};
		return v;
	}
	static __device__ float narrow(float v) { return v; }
	static __device__ void clear(part *) {}
	static __device__ void add(part *, float *whole, pair x, pair w) { *whole += x.a * w.a + x.b * w.b; }
	static __device__ void widen(part *, float *) {}
};

template <> struct pairs<__half> {
	typedef __half2 pair;
	typedef __half2 part;
	enum { STEP = 16, BLOCKS = 3 }; /* which is also what is summed in half2 */
	static __device__ pair make(float a, float b) { return __floats2half2_rn(a, b); }
	static __device__ pair make(__half a, __half b) { return __halves2half2(a, b); }
	static __device__ __half narrow(float v) { return __float2half_rn(v); }
	static __device__ __half narrow(__half v) { return v; }
	static __device__ void clear(part *p) { *p = __floats2half2_rn(0, 0); }
	static __device__ void add(part *p, float *, pair x, pair w) { *p = __hfma2(x, w, *p); }
	static __device__ void widen(part *p, float *whole)
	{
		*whole += __half2float(__hadd(__low2half(*p), __high2half(*p)));
	}
};

template <typename T> struct __align__(16) four {
	T at[4];
};

/* Where a term of the sum reads, from the pixel's corner: elements, rows and columns; FAR: nowhere. */
struct __align__(8) tap {
	int32_t offset;
	int16_t row, column;
};
enum { FAR = -32768 };

struct sizes {
	int terms, pairs, padded_k; /* of a group: pairs in whole steps, channels in whole tiles */
};

template <typename T> __host__ __device__ sizes sizes_of(const phiz_cuda_lean_conv &v)
{
	const int step = pairs<T>::STEP, k = v.k / v.groups;
	sizes s;
	s.terms = v.c / v.groups * v.r * v.s;
	s.pairs = ((s.terms + 1) / 2 + step - 1) / step * step;
	s.padded_k = (k + TILE_K - 1) / TILE_K * TILE_K;
	return s;
}

__host__ __device__ bool has_taps(const phiz_cuda_lean_conv &v)
{
	return v.r != 1 || v.s != 1 || v.pad_top || v.pad_left || (v.p - 1) * v.stride_h >= v.h ||
	       (v.q - 1) * v.stride_w >= v.w;
}

/* U_e of Winograd's F(2x2, 3x3) (kernels_lean_winograd.cu): element e of G g G^T. */
__device__ float point_of(const float g[9], int e)
{
	const float rows[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
	float sum = 0;
	for (int r = 0; r < 3; r++)
		for (int s = 0; s < 3; s++)
			sum += rows[e / 4][r] * rows[e % 4][s] * g[3 * r + s];
	return sum;
}

/* [groups][tiles of K][pairs][TILE_K] pairs. POINTS: w is [K/16,C/16,3,3], group e has its element e. */
template <typename T, bool POINTS>
__global__ void pack(phiz_cuda_lean_conv v, const float *w, typename pairs<T>::pair *to)
{
	const sizes s = sizes_of<T>(v);
	const int group_k = v.k / v.groups;
	EACH(i, (int64_t)v.groups * s.padded_k * s.pairs) {
		const int in_tile = (int)(i % TILE_K), pair = (int)(i / TILE_K % s.pairs);
		const int tile = (int)(i / TILE_K / s.pairs % (s.padded_k / TILE_K));
		const int group = (int)(i / TILE_K / s.pairs / (s.padded_k / TILE_K)), k = tile * TILE_K + in_tile;
		float two[2] = {0, 0};
		for (int j = 0; j < 2; j++) {
			const int term = 2 * pair + j;
			if (k >= group_k || term >= s.terms)
				continue;
			two[j] = POINTS ? point_of(w + ((int64_t)k * s.terms + term) * 9, group)
			                : w[((int64_t)group * group_k + k) * s.terms + term];
		}
		to[i] = pairs<T>::make(two[0], two[1]);
	}
}

template <typename T> __global__ void list_taps(phiz_cuda_lean_conv v, tap *to)
{
	const sizes s = sizes_of<T>(v);
	EACH(i, 2 * s.pairs) {
		const int c = (int)i / (v.r * v.s), r = (int)i / v.s % v.r, column = (int)i % v.s;
		tap t = {0, FAR, FAR};
		if (i < s.terms) {
			t.row = (int16_t)(r * v.dilation_h);
			t.column = (int16_t)(column * v.dilation_w);
			t.offset = (c * v.h + t.row) * v.w + t.column;
		}
		to[i] = t;
	}
}

/* A thread's pixel among those that the block gathers. */
struct corner {
	int64_t at; /* of its picture's group's upper left element, moved to where tap 0 reads */
	int row, column;
	bool there;
};

template <typename T, typename In, bool TAPS>
__device__ T gather(const phiz_cuda_lean_conv &v, const tap *taps, const corner &from, int term, int terms)
{
	if (TAPS) {
		const tap t = taps[term];
		const int row = from.row + t.row, column = from.column + t.column;
		const bool in = from.there && (unsigned)row < (unsigned)v.h && (unsigned)column < (unsigned)v.w;
		return in ? pairs<T>::narrow(((const In *)v.x)[from.at + t.offset]) : pairs<T>::narrow(0.0f);
	}
	const bool in = from.there && term < terms;
	return in ? pairs<T>::narrow(((const In *)v.x)[from.at + (int64_t)term * v.h * v.w]) : pairs<T>::narrow(0.0f);
}

__device__ float activate(float y, int act, float slope) /* NaN stays NaN */
{
	return act == ACT_NONE || !(y <= 0) ? y : act == ACT_RELU ? 0.0f : y * slope;
}

/* Output `at`: what follows the sum. */
template <typename Out> __device__ void finish(const phiz_cuda_lean_conv &v, int64_t at, float y)
{
	if (v.residual)
		y += number<Out>(v.residual, at);
	put<Out>(v.y, at, activate(y, v.act, v.slope));
}

template <typename Out> struct __align__(4 * sizeof(Out)) aligned_four {
	Out at[4];
};

/* Outputs `at`, a multiple of 4, and the three behind it. */
template <typename Out> __device__ void finish_four(const phiz_cuda_lean_conv &v, int64_t at, const float y[4])
{
	aligned_four<Out> r, z;
	if (v.residual)
		r = ((const aligned_four<Out> *)v.residual)[at / 4];
#pragma unroll
	for (int i = 0; i < 4; i++)
		put<Out>(z.at, i, activate(v.residual ? y[i] + number<Out>(r.at, i) : y[i], v.act, v.slope));
	((aligned_four<Out> *)v.y)[at / 4] = z;
}

template <typename T, typename In, typename Out, bool TAPS>
__global__ void __launch_bounds__(BLOCK, pairs<T>::BLOCKS) convolve(phiz_cuda_lean_conv v)
{
	typedef typename pairs<T>::pair pair;
	enum { STEP = pairs<T>::STEP, MINE_X = STEP * TILE_P / BLOCK, MINE_W = STEP * TILE_K / BLOCK };
	__shared__ four<pair> xs[2][STEP][TILE_P / 4], ws[2][STEP][TILE_K / 4];
	const sizes s = sizes_of<T>(v);
	const int group_k = v.k / v.groups, tiles_k = s.padded_k / TILE_K;
	const int group = (int)(blockIdx.y / tiles_k), tile = (int)(blockIdx.y % tiles_k), thread = (int)threadIdx.x;
	const pair *packed = (const pair *)v.weights + ((int64_t)group * tiles_k + tile) * s.pairs * TILE_K;
	const tap *taps = (const tap *)((const pair *)v.weights + (int64_t)v.groups * s.padded_k * s.pairs);
	const int64_t first = (int64_t)blockIdx.x * TILE_P, area = (int64_t)v.p * v.q, pixels = v.n * area;

	/* The pixel that this thread gathers, MINE_X pairs of it a step. */
	const int gathered = thread % TILE_P, first_pair = thread / TILE_P * MINE_X;
	corner from = {0, 0, 0, first + gathered < pixels};
	if (from.there) {
		const int64_t n = (first + gathered) / area;
		const int at = (int)((first + gathered) % area);
		from.row = at / v.q * v.stride_h - v.pad_top;
		from.column = at % v.q * v.stride_w - v.pad_left;
		from.at = (n * v.c + (int64_t)group * (v.c / v.groups)) * v.h * v.w + (int64_t)from.row * v.w + from.column;
	}

	/* The outputs of this thread: channels 4 * (thread / 8) and on, two times four pixels. */
	const int mine_k = thread / 8 * THREAD_K, mine_p = thread % 8 * 4;
	float whole[THREAD_K][THREAD_P];
	typename pairs<T>::part part[THREAD_K][THREAD_P];
	for (int k = 0; k < THREAD_K; k++)
		for (int p = 0; p < THREAD_P; p++) {
			whole[k][p] = 0;
			pairs<T>::clear(&part[k][p]);
		}

	pair next_x[MINE_X], next_w[MINE_W];
	for (int step = -1; step * STEP < s.pairs; step++) {
		const int now = step & 1, then = now ^ 1, ahead = (step + 1) * STEP;
		const bool more = ahead < s.pairs;
		if (more) {
#pragma unroll
			for (int i = 0; i < MINE_X; i++) {
				const int term = 2 * (ahead + first_pair + i);
				next_x[i] = pairs<T>::make(gather<T, In, TAPS>(v, taps, from, term, s.terms),
				                           gather<T, In, TAPS>(v, taps, from, term + 1, s.terms));
			}
#pragma unroll
			for (int i = 0; i < MINE_W; i++)
				next_w[i] = packed[(int64_t)ahead * TILE_K + i * BLOCK + thread];
		}
		if (step >= 0) {
#pragma unroll
			for (int j = 0; j < STEP; j++) {
				const four<pair> w = ws[now][j][mine_k / 4];
				const four<pair> x[2] = {xs[now][j][mine_p / 4], xs[now][j][(mine_p + TILE_P / 2) / 4]};
#pragma unroll
				for (int k = 0; k < THREAD_K; k++)
#pragma unroll
					for (int p = 0; p < THREAD_P; p++)
						pairs<T>::add(&part[k][p], &whole[k][p], x[p / 4].at[p % 4], w.at[k]);
			}
#pragma unroll
			for (int k = 0; k < THREAD_K; k++)
#pragma unroll
				for (int p = 0; p < THREAD_P; p++) {
					pairs<T>::widen(&part[k][p], &whole[k][p]);
					pairs<T>::clear(&part[k][p]);
				}
		}
		if (more) {
#pragma unroll
			for (int i = 0; i < MINE_X; i++)
				xs[then][first_pair + i][gathered / 4].at[gathered % 4] = next_x[i];
#pragma unroll
			for (int i = 0; i < MINE_W; i++)
				ws[then][(i * BLOCK + thread) / TILE_K][thread % TILE_K / 4].at[thread % 4] = next_w[i];
		}
		__syncthreads();
	}

	/* Four neighbours of one picture are read and written at once where they lie on a boundary of four. */
	const bool fours = area % 4 == 0;
#pragma unroll
	for (int k = 0; k < THREAD_K; k++) {
		const int in_group = tile * TILE_K + mine_k + k, channel = group * group_k + in_group;
		if (in_group >= group_k)
			continue;
		const float bias = v.bias ? v.bias[channel] : 0.0f;
#pragma unroll
		for (int p = 0; p < THREAD_P; p += 4) {
			const int64_t pixel = first + mine_p + p / 4 * (TILE_P / 2);
			float y[4];
#pragma unroll
			for (int i = 0; i < 4; i++)
				y[i] = whole[k][p + i] + bias;
			if (fours && pixel < pixels) {
				finish_four<Out>(v, (pixel / area * v.k + channel) * area + pixel % area, y);
				continue;
			}
			for (int i = 0; i < 4 && pixel + i < pixels; i++)
				finish<Out>(v, ((pixel + i) / area * v.k + channel) * area + (pixel + i) % area, y[i]);
		}
	}
}

template <typename T, typename In, typename Out> void run_conv(const phiz_cuda_lean_conv &v, void *stream)
{
	const sizes s = sizes_of<T>(v);
	const int64_t pixels = v.n * v.p * v.q;
	const dim3 blocks((unsigned)((pixels + TILE_P - 1) / TILE_P), (unsigned)(v.groups * (s.padded_k / TILE_K)));
	if (has_taps(v))
		LAUNCH_BLOCK((convolve<T, In, Out, true>), blocks, BLOCK, stream)(v);
	else
		LAUNCH_BLOCK((convolve<T, In, Out, false>), blocks, BLOCK, stream)(v);
}

template <typename T> size_t weight_bytes(const phiz_cuda_lean_conv &v)
{
	const sizes s = sizes_of<T>(v);
	return (size_t)v.groups * (size_t)s.padded_k * (size_t)s.pairs * sizeof(typename pairs<T>::pair) +
	       (has_taps(v) ? 2 * (size_t)s.pairs * sizeof(tap) : 0);
}

template <typename T, bool POINTS> void run_pack(const phiz_cuda_lean_conv &v, const float *w, void *to, void *stream)
{
	typedef typename pairs<T>::pair pair;
	const sizes s = sizes_of<T>(v);
	const int64_t count = (int64_t)v.groups * s.padded_k * s.pairs;
	LAUNCH((pack<T, POINTS>), blocks_for(count), THREADS, stream)(v, w, (pair *)to);
	if (has_taps(v))
		LAUNCH((list_taps<T>), blocks_for(2 * s.pairs), THREADS, stream)(v, (tap *)((pair *)to + count));
}

/* --- Linear layers. A block makes ROWS outputs of SAMPLES samples: its threads take turns along the sum, each number
 * of w is read once for SAMPLES samples, and the threads' sums are added in shared memory, always in the same order.
 * With one sample the layer is its weights' way from memory (2 FLOPs for 2 bytes, where a Nano has 9 FLOPs a byte in
 * float32): products and sums are in float. */

enum { ROWS = 4, SAMPLES = 4 };

template <typename T, typename Out> __global__ void multiply(phiz_cuda_lean_linear l)
{
	__shared__ float sums[ROWS * SAMPLES][BLOCK];
	const int64_t g0 = (int64_t)blockIdx.x * ROWS, n0 = (int64_t)blockIdx.y * SAMPLES;
	const int rows = (int)min((int64_t)ROWS, l.g - g0), samples = (int)min((int64_t)SAMPLES, l.n - n0);
	const int thread = (int)threadIdx.x;
	float sum[ROWS][SAMPLES];
#pragma unroll
	for (int i = 0; i < ROWS * SAMPLES; i++)
		sum[i / SAMPLES][i % SAMPLES] = 0;
	for (int64_t f = thread; f < l.f; f += BLOCK) {
		float x[SAMPLES];
#pragma unroll
		for (int n = 0; n < SAMPLES; n++)
			x[n] = n < samples ? number<T>(l.x, (n0 + n) * l.f + f) : 0.0f;
#pragma unroll
		for (int g = 0; g < ROWS; g++) {
			const float w = g < rows ? number<T>(l.w, (g0 + g) * l.f + f) : 0.0f;
#pragma unroll
			for (int n = 0; n < SAMPLES; n++)
				sum[g][n] += x[n] * w;
		}
	}
#pragma unroll
	for (int i = 0; i < ROWS * SAMPLES; i++)
		sums[i][thread] = sum[i / SAMPLES][i % SAMPLES];
	for (int half = BLOCK / 2; half > 0; half /= 2) {
		__syncthreads();
		if (thread < half)
			for (int i = 0; i < ROWS * SAMPLES; i++)
				sums[i][thread] += sums[i][thread + half];
	}
	__syncthreads();
	const int g = thread / SAMPLES, n = thread % SAMPLES;
	if (thread < ROWS * SAMPLES && g < rows && n < samples) {
		const float y = sums[thread][0] + (l.bias ? l.bias[g0 + g] : 0.0f);
		put<Out>(l.y, (n0 + n) * l.g + g0 + g, activate(y, l.act, l.slope));
	}
}

}

size_t phiz_cuda_lean_weight_bytes(const struct phiz_cuda_lean_conv *v)
{
	return v->dtype == F16 ? weight_bytes<__half>(*v) : weight_bytes<float>(*v);
}

int phiz_cuda_lean_pack(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream)
{
	if (v->dtype == F16)
		run_pack<__half, false>(*v, w, to, stream);
	else
		run_pack<float, false>(*v, w, to, stream);
	return (int)cudaPeekAtLastError();
}

int phiz_cuda_lean_pack_points(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream)
{
	if (v->dtype == F16)
		run_pack<__half, true>(*v, w, to, stream);
	else
		run_pack<float, true>(*v, w, to, stream);
	return (int)cudaPeekAtLastError();
}

int phiz_cuda_lean_run(const struct phiz_cuda_lean_conv *v, void *stream)
{
	if (v->dtype == F32)
		run_conv<float, float, float>(*v, stream);
	else if (v->x_dtype == F32 && v->y_dtype == F32)
		run_conv<__half, float, float>(*v, stream);
	else if (v->x_dtype == F32)
		run_conv<__half, float, __half>(*v, stream);
	else if (v->y_dtype == F32)
		run_conv<__half, __half, float>(*v, stream);
	else
		run_conv<__half, __half, __half>(*v, stream);
	return (int)cudaPeekAtLastError();
}

int phiz_cuda_lean_run_linear(const struct phiz_cuda_lean_linear *l, void *stream)
{
	const dim3 blocks((unsigned)((l->g + ROWS - 1) / ROWS), (unsigned)((l->n + SAMPLES - 1) / SAMPLES));
	if (l->dtype == F32)
		LAUNCH_BLOCK((multiply<float, float>), blocks, BLOCK, stream)(*l);
	else if (l->y_dtype == F32)
		LAUNCH_BLOCK((multiply<__half, float>), blocks, BLOCK, stream)(*l);
	else
		LAUNCH_BLOCK((multiply<__half, __half>), blocks, BLOCK, stream)(*l);
	return (int)cudaPeekAtLastError();
}
