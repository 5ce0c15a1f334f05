/* A test double of CUDA's runtime: what phiz uses of it, declared as NVIDIA documents it, done by the host
 * (runtime.cpp). Nothing here is NVIDIA's. */
#ifndef CUDA_DOUBLE_RUNTIME_H
#define CUDA_DOUBLE_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Of which version it is the double: 10020 has what a Jetson Nano's toolkit has. */
#ifndef CUDART_VERSION
#define CUDART_VERSION 13000
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError {
	cudaSuccess = 0,
	cudaErrorInvalidValue = 1,
	cudaErrorMemoryAllocation = 2,
	cudaErrorLaunchFailure = 719,
	cudaErrorStreamCaptureUnsupported = 900,
	cudaErrorUnknown = 999
} cudaError_t;

typedef enum cudaDataType_t {
	CUDA_R_32F = 0,
	CUDA_R_16F = 2,
#if CUDART_VERSION >= 11000
	CUDA_R_16BF = 14
#endif
} cudaDataType;

typedef struct double_stream *cudaStream_t;
typedef struct double_event *cudaEvent_t;
typedef struct double_graph *cudaGraph_t;
typedef struct double_exec *cudaGraphExec_t;

struct cudaDeviceProp {
	char name[256];
	int major, minor, multiProcessorCount;
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
#define cudaStreamNonBlocking 1u
#define cudaEventDisableTiming 2u

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);

cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMallocHost(void **out, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all);
cudaError_t cudaMemset(void *to, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out);
#if CUDART_VERSION >= 12000
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags);
#else
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, void *node, char *log, size_t bytes);
#endif
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);

cudaError_t cudaEventCreate(cudaEvent_t *out);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end);

#ifdef __cplusplus
}

/* --- Kernels: what makes C++ of them. --- */
#include <cmath>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __shared__ static

struct dim3 {
	unsigned x, y, z;
	dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

/* Waits for the block's other threads; only in kernels that LAUNCH_BLOCK started. */
void __syncthreads(void);

template <typename T> static inline T min(T a, T b) { return b < a ? b : a; }
template <typename T> static inline T max(T a, T b) { return a < b ? b : a; }
using std::isfinite;

namespace cuda_double {

/* Puts a kernel's run into the stream; `together`: its threads wait for each other. Sets the last error. */
void launch(dim3 blocks, unsigned threads, void *stream, bool together, std::function<void()> thread);

template <typename T> struct same {
	typedef T type;
};

template <typename... P> struct launcher {
	void (*kernel)(P...);
	dim3 blocks;
	unsigned threads;
	void *stream;
	bool together;
	void operator()(typename same<P>::type... args) const
	{
		void (*run)(P...) = kernel;
		launch(blocks, threads, stream, together, [=]() { run(args...); });
	}
};

template <typename... P>
launcher<P...> prepare(void (*kernel)(P...), dim3 blocks, unsigned threads, void *stream, bool together)
{
	return {kernel, blocks, threads, stream, together};
}

}

#define LAUNCH(kernel, blocks, threads, stream) cuda_double::prepare(kernel, blocks, threads, stream, false)
#define LAUNCH_BLOCK(kernel, blocks, threads, stream) cuda_double::prepare(kernel, blocks, threads, stream, true)
#endif
#endif
