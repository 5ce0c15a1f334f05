/* The CUDA backend from inside. Only files of core/cuda that are built with CUDA include it. */
#ifndef PHIZ_CUDA_BACKEND_H
#define PHIZ_CUDA_BACKEND_H

#include <pthread.h>

#include <cuda_runtime.h>

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
	void *cudnn, *cublas; /* their handles, where the module has them */
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

/* CUDA's status into ours, with the call's name in the message. OK where the call succeeded. */
enum phiz_status phiz_cuda_check(struct phiz_ctx *ctx, int error, const char *what);

/* What convolutions and linear layers are done with, which is all that two modules differ in: NVIDIA's libraries
 * (kit_libraries.c), or kernels of our own alone (lean_ops.c). Each module has one. */
struct phiz_cuda_kit {
	const struct phiz_kernel *const *rows; /* each of PHIZ_CUDA_DTYPES, from the most to the least preferred */
	size_t n_rows;
	bool lean; /* own kernels: runs models, does not train them */
	int (*cudnn_version)(void); /* 0: none */
	enum phiz_status (*open)(struct phiz_ctx *ctx, struct phiz_cuda *c);
	void (*close)(struct phiz_cuda *c); /* also what was opened in part */
};
extern const struct phiz_cuda_kit phiz_cuda_kit;
enum { PHIZ_CUDA_DTYPES = 3 };

/* cudnn_ops.c and cublas_ops.c: the parts of kit_libraries.c. */
enum phiz_status phiz_cudnn_open(struct phiz_ctx *ctx, struct phiz_cuda *c);
void phiz_cudnn_close(struct phiz_cuda *c);
int phiz_cudnn_version(void);
enum phiz_status phiz_cublas_open(struct phiz_ctx *ctx, struct phiz_cuda *c);
void phiz_cublas_close(struct phiz_cuda *c);

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

/* The element-wise job of a call's output: bias, residual and activation are for the caller to fill in. */
struct phiz_cuda_pointwise phiz_cuda_pointwise_of(const struct phiz_call *call);
static inline size_t phiz_cuda_line_up(size_t bytes) { return (bytes + 255) & ~(size_t)255; }

/* A tensor's channels (dim 1) among the rest of it, as it lies. */
struct phiz_cuda_lines phiz_cuda_lines_of(const struct phiz_tensor *t);

/* The kernel table's rows, each for F32, F16 and BF16: of ops.c, of cudnn_ops.c and cublas_ops.c. */
extern const struct phiz_kernel phiz_cuda_relu[3], phiz_cuda_leaky_relu[3], phiz_cuda_prelu[3], phiz_cuda_add[3],
	phiz_cuda_batch_norm[3], phiz_cuda_max_pool2d[3], phiz_cuda_avg_pool2d[3], phiz_cuda_global_avg_pool[3],
	phiz_cuda_softmax_cross_entropy[3];
/* ops_infer.c */
extern const struct phiz_kernel phiz_cuda_normalize_bytes[3], phiz_cuda_permute[3], phiz_cuda_slice[3],
	phiz_cuda_concat[3], phiz_cuda_resize_nearest[3], phiz_cuda_affine[3], phiz_cuda_sigmoid[3], phiz_cuda_exp[3],
	phiz_cuda_softmax[3], phiz_cuda_l2_normalize[3];
extern const struct phiz_kernel phiz_cudnn_conv2d[3], phiz_cublas_linear[3];

#endif
