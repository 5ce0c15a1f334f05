/* See kernels_infer.h. */
#include "core/cuda/kernels_infer.h"

#include "core/cuda/device.h"

/* Is the pixel in the box x, y, width, height? */
static inline __device__ bool is_in(const int32_t *box, int64_t w, int64_t h)
{
	return w >= box[0] && h >= box[1] && w - box[0] < box[2] && h - box[1] < box[3];
}

/* A thread a pixel, so that reads and writes are whole lines. */
template <typename T> static __global__ void normalize(struct phiz_cuda_normalize p)
{
	const int64_t width = p.y.dim[3], area = p.y.dim[2] * width;
	EACH(i, p.y.dim[0] * area) {
		const int64_t n = i / area, pixel = i - n * area, h = pixel / width, w = pixel - h * width;
		const bool erased = p.erased && is_in(p.erased + 4 * n, w, h);
		for (int c = 0; c < 3; c++) {
			float v = ((float)p.x[(3 * n + c) * area + pixel] / 255.0f - p.mean[c]) / p.std[c];
			put<T>(p.y.data, offset(&p.y, n, c, h, w), erased ? 0.0f : v);
		}
	}
}

int phiz_cuda_run_normalize(const struct phiz_cuda_normalize *p, void *stream)
{
	unsigned blocks = blocks_for(p->y.dim[0] * p->y.dim[2] * p->y.dim[3]);
	if (p->y.dtype == F32)
		LAUNCH((normalize<float>), blocks, THREADS, stream)(*p);
	else if (p->y.dtype == F16)
		LAUNCH((normalize<__half>), blocks, THREADS, stream)(*p);
	else
		LAUNCH((normalize<__nv_bfloat16>), blocks, THREADS, stream)(*p);
	return (int)cudaPeekAtLastError();
}

/* --- Elements by index --- */

struct at {
	int64_t of[PHIZ_CUDA_WALKERS];
};

static inline __device__ struct at walk_to(const struct phiz_cuda_walk *w, int64_t i)
{
	struct at at = {{0, 0, 0, 0}};
	for (int d = w->ndim; d-- > 0;) {
		int64_t k = i % w->dim[d];
		i /= w->dim[d];
		for (int o = 0; o < PHIZ_CUDA_WALKERS; o++)
			at.of[o] += k * w->stride[o][d];
	}
	return at;
}

static int64_t count_of(const struct phiz_cuda_walk *w)
{
	int64_t count = 1;
	for (int d = 0; d < w->ndim; d++)
		count *= w->dim[d];
	return count;
}

template <typename T> static __global__ void move(struct phiz_cuda_walk w, int64_t count, const T *x, T *y)
{
	EACH(i, count) {
		struct at at = walk_to(&w, i);
		y[at.of[1]] = x[at.of[0]];
	}
}

int phiz_cuda_move(const struct phiz_cuda_walk *walk, const void *x, void *y, int dtype, void *stream)
{
	const int64_t count = count_of(walk);
	if (dtype == F32)
		LAUNCH((move<uint32_t>), blocks_for(count), THREADS, stream)
		(*walk, count, (const uint32_t *)x, (uint32_t *)y);
	else
		LAUNCH((move<uint16_t>), blocks_for(count), THREADS, stream)
		(*walk, count, (const uint16_t *)x, (uint16_t *)y);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void affine(struct phiz_cuda_affine p, int64_t count)
{
	EACH(i, count) {
		struct at at = walk_to(&p.walk, i);
		float v = number<T>(p.x, at.of[0]);
		v = p.scale ? v * p.scale[at.of[2]] : v;
		put<T>(p.y, at.of[1], p.shift ? v + p.shift[at.of[3]] : v);
	}
}

int phiz_cuda_run_affine(const struct phiz_cuda_affine *p, void *stream)
{
	const int64_t count = count_of(&p->walk);
	if (p->dtype == F32)
		LAUNCH((affine<float>), blocks_for(count), THREADS, stream)(*p, count);
	else if (p->dtype == F16)
		LAUNCH((affine<__half>), blocks_for(count), THREADS, stream)(*p, count);
	else
		LAUNCH((affine<__nv_bfloat16>), blocks_for(count), THREADS, stream)(*p, count);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void unary(int f, const void *x, void *y, int64_t count)
{
	EACH(i, count) {
		float v = number<T>(x, i);
		put<T>(y, i, f == PHIZ_CUDA_EXP ? expf(v) : 1.0f / (1.0f + expf(-v)));
	}
}

int phiz_cuda_run_unary(enum phiz_cuda_unary f, const void *x, void *y, int dtype, int64_t count, void *stream)
{
	if (dtype == F32)
		LAUNCH((unary<float>), blocks_for(count), THREADS, stream)((int)f, x, y, count);
	else if (dtype == F16)
		LAUNCH((unary<__half>), blocks_for(count), THREADS, stream)((int)f, x, y, count);
	else
		LAUNCH((unary<__nv_bfloat16>), blocks_for(count), THREADS, stream)((int)f, x, y, count);
	return (int)cudaPeekAtLastError();
}

/* --- Lines --- */

enum { SHORT_LINE = 32 };

static inline __device__ int64_t line_start(const struct phiz_cuda_lines *l, int64_t line)
{
	return line / l->inner * l->channels * l->inner + line % l->inner;
}

template <typename T>
static __global__ void softmax_short(struct phiz_cuda_lines l, const void *x, void *y)
{
	EACH(line, l.outer * l.inner) {
		const int64_t start = line_start(&l, line);
		float most = -INFINITY, sum = 0;
		for (int64_t c = 0; c < l.channels; c++) {
			float v = number<T>(x, start + c * l.inner);
			most = v > most ? v : most;
		}
		for (int64_t c = 0; c < l.channels; c++)
			sum += expf(number<T>(x, start + c * l.inner) - most);
		for (int64_t c = 0; c < l.channels; c++)
			put<T>(y, start + c * l.inner, expf(number<T>(x, start + c * l.inner) - most) / sum);
	}
}

template <typename T>
static __global__ void softmax_long(struct phiz_cuda_lines l, const void *x, void *y)
{
	for (int64_t line = blockIdx.x; line < l.outer * l.inner; line += gridDim.x) {
		const int64_t start = line_start(&l, line);
		float most = -INFINITY, sum = 0;
		for (int64_t c = threadIdx.x; c < l.channels; c += THREADS) {
			float v = number<T>(x, start + c * l.inner);
			most = v > most ? v : most;
		}
		most = block_reduce(most, true);
		for (int64_t c = threadIdx.x; c < l.channels; c += THREADS)
			sum += expf(number<T>(x, start + c * l.inner) - most);
		sum = block_reduce(sum, false);
		for (int64_t c = threadIdx.x; c < l.channels; c += THREADS)
			put<T>(y, start + c * l.inner, expf(number<T>(x, start + c * l.inner) - most) / sum);
	}
}

static unsigned blocks_of_lines(const struct phiz_cuda_lines *l)
{
	const int64_t lines = l->outer * l->inner;
	return lines < MOST_BLOCKS ? (unsigned)lines : (unsigned)MOST_BLOCKS;
}

template <typename T>
static void softmax(const struct phiz_cuda_lines *l, const void *x, void *y, void *stream)
{
	if (l->channels <= SHORT_LINE)
		LAUNCH((softmax_short<T>), blocks_for(l->outer * l->inner), THREADS, stream)(*l, x, y);
	else
		LAUNCH_BLOCK((softmax_long<T>), blocks_of_lines(l), THREADS, stream)(*l, x, y);
}

int phiz_cuda_run_softmax(const struct phiz_cuda_lines *lines, const void *x, void *y, int dtype, void *stream)
{
	if (dtype == F32)
		softmax<float>(lines, x, y, stream);
	else if (dtype == F16)
		softmax<__half>(lines, x, y, stream);
	else
		softmax<__nv_bfloat16>(lines, x, y, stream);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void l2_forward(struct phiz_cuda_l2 p)
{
	for (int64_t line = blockIdx.x; line < p.lines.outer * p.lines.inner; line += gridDim.x) {
		const int64_t start = line_start(&p.lines, line), step = p.lines.inner;
		float sum = 0;
		for (int64_t c = threadIdx.x; c < p.lines.channels; c += THREADS) {
			float v = number<T>(p.x, start + c * step);
			sum += v * v;
		}
		const float r = sqrtf(block_reduce(sum, false)), by = r < p.eps ? p.eps : r; /* a NaN stays one */
		if (p.norm && threadIdx.x == 0)
			p.norm[line] = r;
		for (int64_t c = threadIdx.x; c < p.lines.channels; c += THREADS)
			put<T>(p.y, start + c * step, number<T>(p.x, start + c * step) / by);
	}
}

template <typename T> static __global__ void l2_backward(struct phiz_cuda_l2 p)
{
	for (int64_t line = blockIdx.x; line < p.lines.outer * p.lines.inner; line += gridDim.x) {
		const int64_t start = line_start(&p.lines, line), step = p.lines.inner;
		const float r = p.norm[line], by = r < p.eps ? p.eps : r;
		float dot = 0;
		for (int64_t c = threadIdx.x; r >= p.eps && c < p.lines.channels; c += THREADS)
			dot += number<T>(p.dy, start + c * step) * number<T>(p.y, start + c * step);
		dot = block_reduce(dot, false);
		for (int64_t c = threadIdx.x; c < p.lines.channels; c += THREADS) {
			const int64_t i = start + c * step;
			float v = (number<T>(p.dy, i) - number<T>(p.y, i) * dot) / by;
			put<T>(p.dx, i, p.add ? number<T>(p.dx, i) + v : v);
		}
	}
}

int phiz_cuda_l2_forward(const struct phiz_cuda_l2 *p, void *stream)
{
	const unsigned blocks = blocks_of_lines(&p->lines);
	if (p->dtype == F32)
		LAUNCH_BLOCK((l2_forward<float>), blocks, THREADS, stream)(*p);
	else if (p->dtype == F16)
		LAUNCH_BLOCK((l2_forward<__half>), blocks, THREADS, stream)(*p);
	else
		LAUNCH_BLOCK((l2_forward<__nv_bfloat16>), blocks, THREADS, stream)(*p);
	return (int)cudaPeekAtLastError();
}

int phiz_cuda_l2_backward(const struct phiz_cuda_l2 *p, void *stream)
{
	const unsigned blocks = blocks_of_lines(&p->lines);
	if (p->dtype == F32)
		LAUNCH_BLOCK((l2_backward<float>), blocks, THREADS, stream)(*p);
	else if (p->dtype == F16)
		LAUNCH_BLOCK((l2_backward<__half>), blocks, THREADS, stream)(*p);
	else
		LAUNCH_BLOCK((l2_backward<__nv_bfloat16>), blocks, THREADS, stream)(*p);
	return (int)cudaPeekAtLastError();
}
