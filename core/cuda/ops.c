/* Rows of the kernel table that run on kernels of our own, and linear layers by cuBLAS. Each operator has a row for
 * F32, F16 and BF16; activations of a call are of one dtype, but for what a row says of itself. */
#include "core/cuda/cuda.h"

#include "core/ops/ops.h"
#include "core/ops/rule.h"

struct phiz_cuda_picture phiz_cuda_picture_like(const struct phiz_tensor *t, enum phiz_dtype dtype,
                                                enum phiz_layout layout, void *data)
{
	struct phiz_cuda_picture p = {.data = data, .dtype = (int)dtype};
	for (int i = 0; i < 4; i++)
		p.dim[i] = i < t->shape.ndim ? t->shape.dim[i] : 1;
	int64_t c = p.dim[1], h = p.dim[2], w = p.dim[3];
	bool last = layout == PHIZ_CHANNELS_LAST;
	p.stride[0] = c * h * w;
	p.stride[1] = last ? 1 : h * w;
	p.stride[2] = last ? w * c : w;
	p.stride[3] = last ? c : 1;
	return p;
}

struct phiz_cuda_picture phiz_cuda_picture_of(const struct phiz_tensor *t)
{
	return phiz_cuda_picture_like(t, t->dtype, t->layout, t->data);
}

/* Are all activations of the call of the output's dtype, and those of its shape in its layout? */
static bool is_uniform(const struct phiz_call *call, int activations)
{
	for (int i = 0; i < activations; i++) {
		const struct phiz_tensor *t = &call->in[i];
		if (t->dtype != call->out[0].dtype || t->shape.ndim != call->out[0].shape.ndim)
			return false;
		if (phiz_shape_equal(&t->shape, &call->out[0].shape) && t->layout != call->out[0].layout)
			return false;
	}
	return true;
}

static void *data_of(const struct phiz_call *call, int input)
{
	return input < call->n_in && call->in[input].shape.ndim >= 0 ? call->in[input].data : NULL;
}

/* What elementwise operators share: one channel's elements and where the next channel is. */
static struct phiz_cuda_pointwise pointwise_of(const struct phiz_call *call)
{
	const struct phiz_tensor *y = &call->out[0];
	int64_t inner = 1;
	for (int i = 2; i < y->shape.ndim && y->layout == PHIZ_PLAIN; i++)
		inner *= y->shape.dim[i];
	return (struct phiz_cuda_pointwise){
		.x = call->in[0].data, .y = y->data, .dtype = (int)y->dtype, .count = phiz_tensor_count(y), .inner = inner,
		.channels = y->shape.ndim > 1 ? y->shape.dim[1] : 1,
	};
}

static enum phiz_status launch(const struct phiz_call *call, const struct phiz_cuda_pointwise *p)
{
	return phiz_cuda_check(call->ctx, phiz_cuda_run_pointwise(p, phiz_cuda_of(call)->stream), "starting a kernel");
}

static bool one_supports(const struct phiz_call *call) { return is_uniform(call, 1); }
static bool two_supports(const struct phiz_call *call) { return is_uniform(call, 2); }
static bool norm_supports(const struct phiz_call *call) { return is_uniform(call, 1) && !call->training; }

static enum phiz_status relu(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.act = PHIZ_ACT_RELU;
	return launch(call, &p);
}

static enum phiz_status leaky_relu(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.act = PHIZ_ACT_LEAKY_RELU;
	p.slope = (float)call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f;
	return launch(call, &p);
}

static enum phiz_status prelu(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.slopes = call->in[PHIZ_PRELU_WEIGHT].data;
	p.n_slopes = call->in[PHIZ_PRELU_WEIGHT].shape.dim[0];
	return launch(call, &p);
}

static enum phiz_status add(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.z = call->in[1].data;
	p.act = (int)call->node->attr[PHIZ_ADD_ACT].i;
	p.slope = (float)call->node->attr[PHIZ_ADD_ACT_SLOPE].f;
	return launch(call, &p);
}

static enum phiz_status batch_norm(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.mean = data_of(call, PHIZ_BATCH_NORM_MEAN);
	p.var = data_of(call, PHIZ_BATCH_NORM_VAR);
	p.weight = data_of(call, PHIZ_BATCH_NORM_WEIGHT);
	p.bias = data_of(call, PHIZ_BATCH_NORM_BIAS);
	p.eps = (float)call->node->attr[PHIZ_BATCH_NORM_EPS].f;
	p.act = (int)call->node->attr[PHIZ_BATCH_NORM_ACT].i;
	p.slope = (float)call->node->attr[PHIZ_BATCH_NORM_ACT_SLOPE].f;
	return launch(call, &p);
}

/* --- Pools --- */

static bool pool_supports(const struct phiz_call *call)
{
	return call->in[0].dtype == call->out[0].dtype && call->in[0].layout == call->out[0].layout &&
	       !call->saved[0].data && !call->training;
}

static bool global_supports(const struct phiz_call *call)
{
	return call->in[0].dtype == call->out[0].dtype && !call->training;
}

static enum phiz_status run_pool(const struct phiz_call *call, struct phiz_cuda_pool *p)
{
	p->in = phiz_cuda_picture_of(&call->in[0]);
	p->out = phiz_cuda_picture_of(&call->out[0]);
	return phiz_cuda_check(call->ctx, phiz_cuda_run_pool(p, phiz_cuda_of(call)->stream), "starting a kernel");
}

static struct phiz_cuda_pool window_of(const struct phiz_call *call)
{
	const union phiz_attr *a = call->node->attr;
	return (struct phiz_cuda_pool){
		.kernel_h = (int)a[PHIZ_POOL_KERNEL_H].i, .kernel_w = (int)a[PHIZ_POOL_KERNEL_W].i,
		.stride_h = (int)a[PHIZ_POOL_STRIDE_H].i, .stride_w = (int)a[PHIZ_POOL_STRIDE_W].i,
		.pad_h = (int)a[PHIZ_POOL_PAD_H].i, .pad_w = (int)a[PHIZ_POOL_PAD_W].i,
	};
}

static enum phiz_status max_pool2d(struct phiz_call *call)
{
	struct phiz_cuda_pool p = window_of(call);
	return run_pool(call, &p);
}

static enum phiz_status avg_pool2d(struct phiz_call *call)
{
	struct phiz_cuda_pool p = window_of(call);
	p.mean = true;
	p.include_pad = call->node->attr[PHIZ_POOL_COUNT_INCLUDE_PAD].i != 0;
	return run_pool(call, &p);
}

static enum phiz_status global_avg_pool(struct phiz_call *call)
{
	int h = (int)call->in[0].shape.dim[2], w = (int)call->in[0].shape.dim[3];
	struct phiz_cuda_pool p = {.kernel_h = h, .kernel_w = w, .stride_h = 1, .stride_w = 1, .mean = true};
	return run_pool(call, &p);
}

/* --- linear: y [N,G] = act(x [N,F] w^T [F,G] + b); x and w of the row's dtype, y of it or F32, sums in float. --- */

static cudaDataType data_type(enum phiz_dtype dtype)
{
	return dtype == PHIZ_F16 ? CUDA_R_16F : dtype == PHIZ_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static bool linear_supports(const struct phiz_call *call)
{
	enum phiz_dtype in = call->in[0].dtype, out = call->out[0].dtype;
	return out == in || out == PHIZ_F32;
}

static size_t linear_constants(const struct phiz_call *call)
{
	return (size_t)phiz_tensor_count(&call->in[PHIZ_LINEAR_WEIGHT]) * phiz_dtype_size(call->in[0].dtype);
}

static void linear_prepare(const struct phiz_call *call, void *constants)
{
	const struct phiz_tensor *w = &call->in[PHIZ_LINEAR_WEIGHT];
	struct phiz_cuda_picture from = phiz_cuda_picture_of(w);
	struct phiz_cuda_picture to = phiz_cuda_picture_like(w, call->in[0].dtype, PHIZ_PLAIN, constants);
	(void)phiz_cuda_copy(&from, &to, phiz_cuda_of(call)->stream); /* what fails here shows when the plan waits for it */
}

static enum phiz_status linear(struct phiz_call *call)
{
	struct phiz_cuda *c = phiz_cuda_of(call);
	const int n = (int)call->in[0].shape.dim[0], f = (int)call->in[0].shape.dim[1], g = (int)call->out[0].shape.dim[1];
	const float one = 1, zero = 0;
	cudaDataType in = data_type(call->in[0].dtype), out = data_type(call->out[0].dtype);
#if CUDART_VERSION >= 11000
	const cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
#else
	const cudaDataType compute = CUDA_R_32F;
#endif
	/* By columns, as cuBLAS counts: y^T [G,N] = w [F,G]^T x^T [F,N]. */
	enum phiz_status status = phiz_cublas_check(
		call->ctx, cublasGemmEx(c->cublas, CUBLAS_OP_T, CUBLAS_OP_N, g, n, f, &one, call->constants, in, f,
	                            call->in[0].data, in, f, &zero, call->out[0].data, out, g, compute,
	                            CUBLAS_GEMM_DEFAULT),
		"a linear layer");
	struct phiz_cuda_pointwise p = pointwise_of(call);
	p.x = p.y;
	p.bias = data_of(call, PHIZ_LINEAR_BIAS);
	p.act = (int)call->node->attr[PHIZ_LINEAR_ACT].i;
	p.slope = (float)call->node->attr[PHIZ_LINEAR_ACT_SLOPE].f;
	return status || (!p.bias && !p.act) ? status : launch(call, &p);
}

#define ROW(op_, dtype_, supports_) \
	{.op = #op_, .name = "cuda", .dtype = dtype_, .supports = supports_, .forward = op_, .blocked = true}
#define ROWS(op_, supports_) \
	const struct phiz_kernel phiz_cuda_##op_[3] = {ROW(op_, PHIZ_F32, supports_), ROW(op_, PHIZ_F16, supports_), \
	                                               ROW(op_, PHIZ_BF16, supports_)}
ROWS(relu, one_supports);
ROWS(leaky_relu, one_supports);
ROWS(prelu, one_supports);
ROWS(add, two_supports);
ROWS(batch_norm, norm_supports);
ROWS(max_pool2d, pool_supports);
ROWS(avg_pool2d, pool_supports);
ROWS(global_avg_pool, global_supports);

#define LINEAR(dtype_) \
	{.op = "linear", .name = "cublas", .dtype = dtype_, .supports = linear_supports, .forward = linear, \
	 .blocked = true, .constants = linear_constants, .prepare = linear_prepare}
const struct phiz_kernel phiz_cuda_linear[3] = {LINEAR(PHIZ_F32), LINEAR(PHIZ_F16), LINEAR(PHIZ_BF16)};
