/* Linear layers by cuBLAS: y [N,G] = act(x [N,F] w^T [F,G] + b); x of the row's dtype, y of it or F32, w kept in the
 * row's, sums in float. Backward, without act: dx = dy w, dw = dy^T x, db = sum over n of dy. Every cuBLAS call stands
 * here. */
#include "core/cuda/row.h"

#include <cublas_v2.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/rule.h"

static enum phiz_status check(struct phiz_ctx *ctx, cublasStatus_t error, const char *what)
{
	if (error == CUBLAS_STATUS_SUCCESS)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "cublas: %s: status %d", what, (int)error);
}

static bool adds(const struct phiz_call *call, int input) { return call->accumulate >> input & 1u; }

static cudaDataType data_type(enum phiz_dtype dtype)
{
#if CUDART_VERSION >= 11000
	if (dtype == PHIZ_BF16)
		return CUDA_R_16BF;
#endif
	return dtype == PHIZ_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static bool linear_supports(const struct phiz_call *call)
{
	enum phiz_dtype in = call->in[0].dtype, out = call->out[0].dtype;
	return (out == in || out == PHIZ_F32) && !(call->training && call->node->attr[PHIZ_LINEAR_ACT].i);
}

static size_t linear_constants(const struct phiz_call *call)
{
	return (size_t)phiz_tensor_count(&call->in[PHIZ_LINEAR_WEIGHT]) * phiz_dtype_size(call->in[0].dtype);
}

static int copy_as(const struct phiz_call *call, const struct phiz_tensor *t, enum phiz_dtype dtype, void *data)
{
	struct phiz_cuda_picture from = phiz_cuda_picture_of(t);
	struct phiz_cuda_picture to = phiz_cuda_picture_like(t, dtype, PHIZ_PLAIN, data);
	return phiz_cuda_copy(&from, &to, false, phiz_cuda_of(call)->stream);
}

static void linear_prepare(const struct phiz_call *call, void *constants)
{
	/* What fails here shows when the plan waits for it. */
	(void)copy_as(call, &call->in[PHIZ_LINEAR_WEIGHT], call->in[0].dtype, constants);
}

/* The weights in the row's dtype; backward also dy in it, and the bias's sums. */
static size_t linear_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->out[0]);
	size_t dy = (size_t)phiz_tensor_count(&call->out[0]) * phiz_dtype_size(call->in[0].dtype);
	(void)threads;
	return phiz_cuda_line_up(linear_constants(call)) +
	       (backward ? phiz_cuda_line_up(dy) + phiz_cuda_sum_workspace(&l) : 0);
}

/* The call's weights in the row's dtype: the model's own, what is kept, or a copy made now in the workspace. */
static const void *linear_weights(const struct phiz_call *call, enum phiz_status *status)
{
	const struct phiz_tensor *w = &call->in[PHIZ_LINEAR_WEIGHT];
	if (call->constants)
		return call->constants;
	if (w->dtype == call->in[0].dtype)
		return w->data;
	*status = started(call, copy_as(call, w, call->in[0].dtype, call->workspace));
	return call->workspace;
}

/* C [m,n] = A B (+ C), by columns, as cuBLAS counts; A and B of dtype `in`, C of `out`. */
static enum phiz_status multiply(const struct phiz_call *call, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                                 int k, const void *a, int lda, const void *b, int ldb, enum phiz_dtype in, void *c,
                                 enum phiz_dtype out, bool add)
{
	const float one = 1, beta = add ? 1 : 0;
#if CUDART_VERSION >= 11000
	const cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
#else
	const cudaDataType compute = CUDA_R_32F;
#endif
	return check(call->ctx,
	                         cublasGemmEx(phiz_cuda_of(call)->cublas, ta, tb, m, n, k, &one, a, data_type(in), lda, b,
	                                      data_type(in), ldb, &beta, c, data_type(out), m, compute,
	                                      CUBLAS_GEMM_DEFAULT),
	                         "a linear layer");
}

static enum phiz_status linear(struct phiz_call *call)
{
	const int n = (int)call->in[0].shape.dim[0], f = (int)call->in[0].shape.dim[1], g = (int)call->out[0].shape.dim[1];
	enum phiz_status status = PHIZ_OK;
	const void *w = linear_weights(call, &status);
	/* y^T [G,N] = w [F,G]^T x^T [F,N]. */
	if (!status)
		status = multiply(call, CUBLAS_OP_T, CUBLAS_OP_N, g, n, f, w, f, call->in[0].data, f, call->in[0].dtype,
		                  call->out[0].data, call->out[0].dtype, false);
	struct phiz_cuda_pointwise p = phiz_cuda_pointwise_of(call);
	p.x = p.y;
	p.bias = data_of(call, PHIZ_LINEAR_BIAS);
	p.act = (int)call->node->attr[PHIZ_LINEAR_ACT].i;
	p.slope = (float)call->node->attr[PHIZ_LINEAR_ACT_SLOPE].f;
	if (status || (!p.bias && !p.act))
		return status;
	return started(call, phiz_cuda_run_pointwise(&p, phiz_cuda_of(call)->stream));
}

static enum phiz_status linear_back(struct phiz_call *call)
{
	const int n = (int)call->in[0].shape.dim[0], f = (int)call->in[0].shape.dim[1], g = (int)call->out[0].shape.dim[1];
	const enum phiz_dtype dtype = call->in[0].dtype;
	const struct phiz_tensor *dx = &call->din[0], *dw = &call->din[PHIZ_LINEAR_WEIGHT];
	char *narrow = (char *)call->workspace + phiz_cuda_line_up(linear_constants(call));
	char *sums = narrow + phiz_cuda_line_up((size_t)phiz_tensor_count(&call->out[0]) * phiz_dtype_size(dtype));
	const void *dy = call->dout[0].data;
	float *db = call->n_in > PHIZ_LINEAR_BIAS ? call->din[PHIZ_LINEAR_BIAS].data : NULL;
	struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->out[0]);
	enum phiz_status status = PHIZ_OK;
	if (!dy)
		return PHIZ_OK;
	if (db)
		status = started(call, phiz_cuda_channel_sum(dy, (int)call->dout[0].dtype, &l, db, adds(call, PHIZ_LINEAR_BIAS),
		                                             sums, phiz_cuda_of(call)->stream));
	if (!status && call->dout[0].dtype != dtype) {
		status = started(call, copy_as(call, &call->dout[0], dtype, narrow));
		dy = narrow;
	}
	const void *w = dx->data && !status ? linear_weights(call, &status) : NULL;
	if (!status && w) /* dx^T [F,N] = w^T [F,G] dy^T [G,N] */
		status = multiply(call, CUBLAS_OP_N, CUBLAS_OP_N, f, n, g, w, f, dy, g, dtype, dx->data, dtype, adds(call, 0));
	if (!status && dw->data) /* dw^T [F,G] = x^T [F,N] dy [N,G] */
		status = multiply(call, CUBLAS_OP_N, CUBLAS_OP_T, f, g, n, call->in[0].data, f, dy, g, dtype, dw->data,
		                  PHIZ_F32, adds(call, PHIZ_LINEAR_WEIGHT));
	return status;
}

#define LINEAR(dtype_) \
	{.op = "linear", .name = "cublas", .dtype = dtype_, .supports = linear_supports, .workspace = linear_workspace, \
	 .forward = linear, .backward = linear_back, .blocked = true, .constants = linear_constants, \
	 .prepare = linear_prepare}
const struct phiz_kernel phiz_cublas_linear[3] = {LINEAR(PHIZ_F32), LINEAR(PHIZ_F16), LINEAR(PHIZ_BF16)};

/* --- The handle --- */

enum phiz_status phiz_cublas_open(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	cublasHandle_t handle = NULL;
	enum phiz_status status = check(ctx, cublasCreate(&handle), "starting");

	c->cublas = handle;
	if (!status)
		status = check(ctx, cublasSetStream(handle, c->stream), "choosing the stream");
#if CUDART_VERSION >= 11000 /* before, the library asks for memory in the middle of a run */
	if (!status)
		status = phiz_cuda_check(ctx, cudaMalloc(&c->cublas_workspace, 8 << 20), "asking for cublas's memory");
	if (!status)
		status = check(ctx, cublasSetWorkspace(handle, c->cublas_workspace, 8 << 20), "giving memory");
#endif
	return status;
}

void phiz_cublas_close(struct phiz_cuda *c)
{
	if (c->cublas)
		cublasDestroy(c->cublas);
	if (c->cublas_workspace)
		cudaFree(c->cublas_workspace);
}
