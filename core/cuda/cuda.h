/* The CUDA backend from inside. Only files of core/cuda that are built with CUDA include it. */
#ifndef PHIZ_CUDA_BACKEND_H
#define PHIZ_CUDA_BACKEND_H

#include <pthread.h>

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include <phiz/cuda.h>

#include "core/cuda/kernels_train.h"

/* What a convolution may take beside its data, where a model runs and where it is trained. */
#define PHIZ_CUDA_WORKSPACE ((size_t)64 << 20)
#define PHIZ_CUDA_TRAIN_WORKSPACE ((size_t)512 << 20)

struct phiz_cuda {
	struct phiz_ctx *ctx; /* which made it */
	pthread_mutex_t mutex; /* who holds it works with the device */
	int device;
	cudaStream_t stream, ahead; /* of the kernels; of copies beside them */
	cudaEvent_t landed;         /* the last of those copies is there */
	cudnnHandle_t cudnn;
	cublasHandle_t cublas;
	void *cublas_workspace;
	bool tensor_cores; /* compute capability 7.0 and later */
	bool bf16;         /* 8.0 and later */
	bool by_clock;     /* training takes the fastest algorithms, not the same in each run */
	struct phiz_cuda_choice *choices; /* of algorithms, made so far; the newest first */
	struct phiz_cuda_tables *tables;  /* of updates; NULL: none yet */
};

static inline struct phiz_cuda *phiz_cuda_of(const struct phiz_call *call)
{
	return call->backend->state;
}

/* Statuses of the three libraries into ours, with the call's name in the message. OK where the call succeeded. */
enum phiz_status phiz_cuda_check(struct phiz_ctx *ctx, int error, const char *what);
enum phiz_status phiz_cudnn_check(struct phiz_ctx *ctx, cudnnStatus_t error, const char *what);
enum phiz_status phiz_cublas_check(struct phiz_ctx *ctx, cublasStatus_t error, const char *what);

/* cudnn_ops.c: what was measured is given up. */
void phiz_cuda_forget_choices(struct phiz_cuda *c);

/* update.c: the optimiser's step and the moving average (<phiz/update.h>), and what they keep between steps. */
enum phiz_status phiz_cuda_update(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                  const struct phiz_update *update);
enum phiz_status phiz_cuda_average_weights(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                           const struct phiz_average *average);
void phiz_cuda_forget_tables(struct phiz_cuda *c);

/* The tensor as a picture; tensors of fewer dims as [N, C, 1, 1]. */
struct phiz_cuda_picture phiz_cuda_picture_of(const struct phiz_tensor *t);
/* The contiguous picture of this shape in another dtype and layout. */
struct phiz_cuda_picture phiz_cuda_picture_like(const struct phiz_tensor *t, enum phiz_dtype dtype,
                                                enum phiz_layout layout, void *data);

/* A tensor's channels (dim 1) among the rest of it, as it lies. */
struct phiz_cuda_lines phiz_cuda_lines_of(const struct phiz_tensor *t);

/* ops.c and cudnn_ops.c: the kernel table, from the least to the most preferred. */
extern const struct phiz_kernel phiz_cuda_conv2d[3], phiz_cuda_linear[3], phiz_cuda_relu[3], phiz_cuda_leaky_relu[3],
	phiz_cuda_prelu[3], phiz_cuda_add[3], phiz_cuda_batch_norm[3], phiz_cuda_max_pool2d[3], phiz_cuda_avg_pool2d[3],
	phiz_cuda_global_avg_pool[3], phiz_cuda_softmax_cross_entropy[3];
/* ops_infer.c */
extern const struct phiz_kernel phiz_cuda_normalize_bytes[3];

#endif
