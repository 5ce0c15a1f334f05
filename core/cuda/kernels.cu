/* See kernels.h. One thread an element; elements that lie side by side go to threads that do, so that reads and writes
 * of channels-last pictures are whole lines. */
#include "core/cuda/kernels.h"

#include "core/cuda/device.h"

template <typename From, typename To>
static __global__ void copy(struct phiz_cuda_picture from, struct phiz_cuda_picture to, bool add)
{
	EACH(i, to.dim[0] * to.dim[1] * to.dim[2] * to.dim[3]) {
		struct place at = place_of(&to, i);
		int64_t o = offset(&to, at.n, at.c, at.h, at.w);
		float v = number<From>(from.data, offset(&from, at.n, at.c, at.h, at.w));
		put<To>(to.data, o, add ? number<To>(to.data, o) + v : v);
	}
}

/* Few channels, from planes to side by side: a thread a pixel, so that reads and writes are whole lines. */
template <typename From, typename To>
static __global__ void copy_pixels(struct phiz_cuda_picture from, struct phiz_cuda_picture to, bool add)
{
	const int64_t area = to.dim[2] * to.dim[3];
	EACH(i, to.dim[0] * area) {
		int64_t n = i / area;
		for (int64_t c = 0; c < to.dim[1]; c++) {
			float v = number<From>(from.data, (n * to.dim[1] + c) * area + i - n * area);
			int64_t o = i * to.dim[1] + c;
			put<To>(to.data, o, add ? number<To>(to.data, o) + v : v);
		}
	}
}

enum { FEW_CHANNELS = 8 };

template <typename From, typename To>
static void copy_between(const struct phiz_cuda_picture *from, const struct phiz_cuda_picture *to, bool add,
                         cudaStream_t stream)
{
	const int64_t count = to->dim[0] * to->dim[1] * to->dim[2] * to->dim[3];
	const bool few = to->dim[1] > 1 && to->dim[1] <= FEW_CHANNELS && to->stride[1] == 1 && from->stride[3] == 1 &&
	                 to->dim[2] * to->dim[3] > 1;
	if (few)
		LAUNCH((copy_pixels<From, To>), blocks_for(count / to->dim[1]), THREADS, stream)(*from, *to, add);
	else
		LAUNCH((copy<From, To>), blocks_for(count), THREADS, stream)(*from, *to, add);
}

template <typename From>
static void copy_to(const struct phiz_cuda_picture *from, const struct phiz_cuda_picture *to, bool add,
                    cudaStream_t stream)
{
	if (to->dtype == F32)
		copy_between<From, float>(from, to, add, stream);
	else if (to->dtype == F16)
		copy_between<From, __half>(from, to, add, stream);
	else
		copy_between<From, __nv_bfloat16>(from, to, add, stream);
}

int phiz_cuda_copy(const struct phiz_cuda_picture *from, const struct phiz_cuda_picture *to, bool add, void *stream)
{
	if (from->dtype == F32)
		copy_to<float>(from, to, add, (cudaStream_t)stream);
	else if (from->dtype == F16)
		copy_to<__half>(from, to, add, (cudaStream_t)stream);
	else
		copy_to<__nv_bfloat16>(from, to, add, (cudaStream_t)stream);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void pointwise(struct phiz_cuda_pointwise p)
{
	EACH(i, p.count) {
		int64_t c = i / p.inner % p.channels;
		float v = number<T>(p.x, i);
		if (p.bias)
			v += p.bias[c];
		if (p.z)
			v += number<T>(p.z, i);
		if (p.slopes)
			v = v <= 0 ? v * p.slopes[c % p.n_slopes] : v;
		else if (p.act != ACT_NONE) /* NaN stays NaN */
			v = v <= 0 ? (p.act == ACT_RELU ? 0.0f : v * p.slope) : v;
		put<T>(p.y, i, v);
	}
}

int phiz_cuda_run_pointwise(const struct phiz_cuda_pointwise *p, void *stream)
{
	unsigned blocks = blocks_for(p->count);
	cudaStream_t s = (cudaStream_t)stream;
	if (p->dtype == F32)
		LAUNCH((pointwise<float>), blocks, THREADS, s)(*p);
	else if (p->dtype == F16)
		LAUNCH((pointwise<__half>), blocks, THREADS, s)(*p);
	else
		LAUNCH((pointwise<__nv_bfloat16>), blocks, THREADS, s)(*p);
	return (int)cudaPeekAtLastError();
}

template <typename T> static __global__ void pool(struct phiz_cuda_pool p)
{
	EACH(i, p.out.dim[0] * p.out.dim[1] * p.out.dim[2] * p.out.dim[3]) {
		struct place at = place_of(&p.out, i);
		int64_t h0 = at.h * p.stride_h - p.pad_h, w0 = at.w * p.stride_w - p.pad_w;
		int64_t h1 = min(h0 + p.kernel_h, p.in.dim[2] + p.pad_h), w1 = min(w0 + p.kernel_w, p.in.dim[3] + p.pad_w);
		int64_t with_pad = (h1 - h0) * (w1 - w0);
		h0 = max(h0, (int64_t)0);
		w0 = max(w0, (int64_t)0);
		h1 = min(h1, p.in.dim[2]);
		w1 = min(w1, p.in.dim[3]);
		float best = 0, sum = 0;
		for (int64_t h = h0; h < h1; h++)
			for (int64_t w = w0; w < w1; w++) {
				float v = number<T>(p.in.data, offset(&p.in, at.n, at.c, h, w));
				if ((h == h0 && w == w0) || v > best || v != v)
					best = v;
				sum += v;
			}
		int64_t count = p.include_pad ? with_pad : (h1 - h0) * (w1 - w0);
		put<T>(p.out.data, offset(&p.out, at.n, at.c, at.h, at.w), p.mean ? sum / (float)count : best);
	}
}

int phiz_cuda_run_pool(const struct phiz_cuda_pool *p, void *stream)
{
	unsigned blocks = blocks_for(p->out.dim[0] * p->out.dim[1] * p->out.dim[2] * p->out.dim[3]);
	cudaStream_t s = (cudaStream_t)stream;
	if (p->in.dtype == F32)
		LAUNCH((pool<float>), blocks, THREADS, s)(*p);
	else if (p->in.dtype == F16)
		LAUNCH((pool<__half>), blocks, THREADS, s)(*p);
	else
		LAUNCH((pool<__nv_bfloat16>), blocks, THREADS, s)(*p);
	return (int)cudaPeekAtLastError();
}
