/* What the kernels share (C++ for CUDA's compilers): launches, elements of any dtype as floats, counting loops. */
#ifndef PHIZ_CUDA_DEVICE_H
#define PHIZ_CUDA_DEVICE_H

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "core/cuda/kernels.h"

#if CUDART_VERSION >= 11000
#include <cuda_bf16.h>
#else /* the devices of older toolkits have no use for it, but templates do not know */
struct __nv_bfloat16 {
	uint16_t bits;
};
static __device__ float __bfloat162float(__nv_bfloat16) { return 0; }
static __device__ __nv_bfloat16 __float2bfloat16(float) { return __nv_bfloat16(); }
#endif

enum { F32 = 0, F16 = 2, BF16 = 3 }; /* enum phiz_dtype, which no CUDA compiler needs to know more of */
enum { ACT_NONE = 0, ACT_RELU = 1 };
#ifndef PHIZ_CUDA_THREADS /* of a block: a power of two, 32 or more */
#define PHIZ_CUDA_THREADS 256
#endif
enum { THREADS = PHIZ_CUDA_THREADS, MOST_BLOCKS = 65535 };

/* LAUNCH((kernel<T, U>), blocks, threads, stream)(arguments): the kernel counts by EACH, so that any number of threads
 * does. LAUNCH_BLOCK: blocks and threads have parts of their own, may share memory and wait for each other. Elsewhere
 * than on CUDA, where the kernels are tested, these two are all that has to be given. */
#ifndef LAUNCH
#define LAUNCH(kernel, blocks, threads, stream) (kernel)<<<(blocks), (threads), 0, (cudaStream_t)(stream)>>>
#define LAUNCH_BLOCK LAUNCH
#endif

template <typename T> static __device__ inline float number(const void *data, int64_t i);
template <> __device__ inline float number<float>(const void *data, int64_t i) { return ((const float *)data)[i]; }
template <> __device__ inline float number<__half>(const void *data, int64_t i)
{
	return __half2float(((const __half *)data)[i]);
}
template <> __device__ inline float number<__nv_bfloat16>(const void *data, int64_t i)
{
	return __bfloat162float(((const __nv_bfloat16 *)data)[i]);
}

template <typename T> static __device__ inline void put(void *data, int64_t i, float v);
template <> __device__ inline void put<float>(void *data, int64_t i, float v) { ((float *)data)[i] = v; }
template <> __device__ inline void put<__half>(void *data, int64_t i, float v)
{
	((__half *)data)[i] = __float2half_rn(v);
}
template <> __device__ inline void put<__nv_bfloat16>(void *data, int64_t i, float v)
{
	((__nv_bfloat16 *)data)[i] = __float2bfloat16(v);
}

static inline unsigned blocks_for(int64_t count)
{
	int64_t blocks = (count + THREADS - 1) / THREADS;
	return blocks < 1 ? 1u : blocks > MOST_BLOCKS ? (unsigned)MOST_BLOCKS : (unsigned)blocks;
}

#define EACH(i, count) \
	for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < (count); i += (int64_t)gridDim.x * blockDim.x)

/* Element i of a picture counted in the order in which `as` lies: channels first or last. */
struct place {
	int64_t n, c, h, w;
};

template <typename Int> static inline __device__ struct place place_by(const struct phiz_cuda_picture *as, Int i)
{
	const Int c = (Int)as->dim[1], h = (Int)as->dim[2], w = (Int)as->dim[3];
	struct place at;
	if (as->stride[1] == 1 && c > 1) {
		at.c = i % c;
		i /= c;
		at.w = i % w;
		i /= w;
		at.h = i % h;
		at.n = i / h;
	} else {
		at.w = i % w;
		i /= w;
		at.h = i % h;
		i /= h;
		at.c = i % c;
		at.n = i / c;
	}
	return at;
}

/* Division of 32 bits is several times as fast. */
static inline __device__ struct place place_of(const struct phiz_cuda_picture *as, int64_t i)
{
	return i >> 31 ? place_by<int64_t>(as, i) : place_by<uint32_t>(as, (uint32_t)i);
}

static inline __device__ int64_t offset(const struct phiz_cuda_picture *p, int64_t n, int64_t c, int64_t h, int64_t w)
{
	return n * p->stride[0] + c * p->stride[1] + h * p->stride[2] + w * p->stride[3];
}

/* The sum over a block, or the largest of it, on all its threads; all of them take part. Started by LAUNCH_BLOCK. */
static inline __device__ float block_reduce(float v, bool largest)
{
	__shared__ float all[THREADS];
	__syncthreads(); /* an earlier result has been read */
	all[threadIdx.x] = v;
	for (int half = THREADS / 2; half > 0; half /= 2) {
		__syncthreads();
		if ((int)threadIdx.x < half) {
			float other = all[threadIdx.x + half];
			if (!largest)
				all[threadIdx.x] += other;
			else if (other > all[threadIdx.x])
				all[threadIdx.x] = other;
		}
	}
	__syncthreads();
	return all[0];
}

#endif
