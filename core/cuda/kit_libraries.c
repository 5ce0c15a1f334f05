/* The kit of libphiz_cuda.so: convolutions by cuDNN, linear layers by cuBLAS. */
#include "core/cuda/cuda.h"

static enum phiz_status open_libraries(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	enum phiz_status status = phiz_cudnn_open(ctx, c);

	return status ? status : phiz_cublas_open(ctx, c);
}

static void close_libraries(struct phiz_cuda *c)
{
	phiz_cublas_close(c);
	phiz_cudnn_close(c);
}

static const struct phiz_kernel *const rows[] = {phiz_cudnn_conv2d, phiz_cublas_linear};

const struct phiz_cuda_kit phiz_cuda_kit = {
	.rows = rows, .n_rows = sizeof rows / sizeof rows[0], .cudnn_version = phiz_cudnn_version,
	.open = open_libraries, .close = close_libraries,
};
