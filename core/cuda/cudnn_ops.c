/* conv2d by cuDNN, on the calls that its versions 8.2 and 9 share. Every cuDNN call but the handle's stands here.
 *
 * A call runs in the row's dtype T and in the layout of its pictures; filters are kept so, and a tensor that is not
 * (the network's input, an output for the host) is copied from or to the workspace. F32 is computed in float32, not in
 * TF32; F16 and BF16 on tensor cores, with sums in float32. */
#include "core/cuda/cuda.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/ops/ops.h"
#include "core/ops/rule.h"

struct conv {
	const struct phiz_call *call;
	struct phiz_cuda *c;
	enum phiz_dtype dtype;
	enum phiz_layout layout;
	cudnnTensorDescriptor_t x, y, bias;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t conv;
	cudnnActivationDescriptor_t act;
	cudnnConvolutionFwdAlgoPerf_t algorithm[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
	int n_algorithms;
};

static size_t line_up(size_t bytes) { return (bytes + 255) & ~(size_t)255; }

static size_t bytes_in(const struct phiz_tensor *t, enum phiz_dtype dtype)
{
	return line_up((size_t)phiz_tensor_count(t) * phiz_dtype_size(dtype));
}

static bool is_native(const struct conv *v, const struct phiz_tensor *t)
{
	bool one_pixel = t->shape.dim[2] * t->shape.dim[3] == 1;
	return t->dtype == v->dtype && (t->layout == v->layout || one_pixel);
}

static const struct phiz_tensor *input_of(const struct phiz_call *call, int i)
{
	return i < call->n_in && call->in[i].shape.ndim >= 0 ? &call->in[i] : NULL;
}

static cudnnDataType_t data_type(enum phiz_dtype dtype)
{
	return dtype == PHIZ_F16 ? CUDNN_DATA_HALF : dtype == PHIZ_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

static void close_conv(struct conv *v)
{
	if (v->x)
		cudnnDestroyTensorDescriptor(v->x);
	if (v->y)
		cudnnDestroyTensorDescriptor(v->y);
	if (v->bias)
		cudnnDestroyTensorDescriptor(v->bias);
	if (v->w)
		cudnnDestroyFilterDescriptor(v->w);
	if (v->conv)
		cudnnDestroyConvolutionDescriptor(v->conv);
	if (v->act)
		cudnnDestroyActivationDescriptor(v->act);
}

static cudnnStatus_t describe(struct conv *v)
{
	const int64_t *x = v->call->in[0].shape.dim, *y = v->call->out[0].shape.dim;
	const int64_t *w = v->call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const union phiz_attr *a = v->call->node->attr;
	const cudnnTensorFormat_t format = v->layout == PHIZ_CHANNELS_LAST ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
	const cudnnDataType_t type = data_type(v->dtype);
	const cudnnActivationMode_t act =
		a[PHIZ_CONV2D_ACT].i == PHIZ_ACT_RELU ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY;
	cudnnStatus_t s;
	if ((s = cudnnCreateTensorDescriptor(&v->x)) || (s = cudnnCreateTensorDescriptor(&v->y)) ||
	    (s = cudnnCreateTensorDescriptor(&v->bias)) || (s = cudnnCreateFilterDescriptor(&v->w)) ||
	    (s = cudnnCreateConvolutionDescriptor(&v->conv)) || (s = cudnnCreateActivationDescriptor(&v->act)))
		return s;
	if ((s = cudnnSetTensor4dDescriptor(v->x, format, type, (int)x[0], (int)x[1], (int)x[2], (int)x[3])) ||
	    (s = cudnnSetTensor4dDescriptor(v->y, format, type, (int)y[0], (int)y[1], (int)y[2], (int)y[3])) ||
	    (s = cudnnSetTensor4dDescriptor(v->bias, format, type, 1, (int)y[1], 1, 1)) ||
	    (s = cudnnSetFilter4dDescriptor(v->w, type, format, (int)w[0], (int)w[1], (int)w[2], (int)w[3])) ||
	    (s = cudnnSetConvolution2dDescriptor(v->conv, (int)a[PHIZ_CONV2D_PAD_TOP].i, (int)a[PHIZ_CONV2D_PAD_LEFT].i,
	                                         (int)a[PHIZ_CONV2D_STRIDE_H].i, (int)a[PHIZ_CONV2D_STRIDE_W].i,
	                                         (int)a[PHIZ_CONV2D_DILATION_H].i, (int)a[PHIZ_CONV2D_DILATION_W].i,
	                                         CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)) ||
	    (s = cudnnSetConvolutionGroupCount(v->conv, (int)a[PHIZ_CONV2D_GROUPS].i)) ||
	    (s = cudnnSetConvolutionMathType(v->conv, v->dtype == PHIZ_F32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH)))
		return s;
	return cudnnSetActivationDescriptor(v->act, act, CUDNN_NOT_PROPAGATE_NAN, 0);
}

/* --- Algorithms: timed once for each shape, then remembered. --- */

enum { TIMED_RUNS = 5 };

/* All that a convolution's time depends on. */
struct key {
	int64_t x[4], w[4], y[4];
	int64_t pad[2], stride[2], dilation[2], groups;
	enum phiz_dtype dtype;
	enum phiz_layout layout;
};

struct phiz_cuda_choice {
	struct key key;
	int n;
	cudnnConvolutionFwdAlgoPerf_t algorithm[CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
	struct phiz_cuda_choice *next;
};

static struct key key_of(const struct conv *v)
{
	const union phiz_attr *a = v->call->node->attr;
	struct key k;
	memset(&k, 0, sizeof k); /* compared as bytes */
	memcpy(k.x, v->call->in[0].shape.dim, sizeof k.x);
	memcpy(k.w, v->call->in[PHIZ_CONV2D_WEIGHT].shape.dim, sizeof k.w);
	memcpy(k.y, v->call->out[0].shape.dim, sizeof k.y);
	k.pad[0] = a[PHIZ_CONV2D_PAD_TOP].i;
	k.pad[1] = a[PHIZ_CONV2D_PAD_LEFT].i;
	k.stride[0] = a[PHIZ_CONV2D_STRIDE_H].i;
	k.stride[1] = a[PHIZ_CONV2D_STRIDE_W].i;
	k.dilation[0] = a[PHIZ_CONV2D_DILATION_H].i;
	k.dilation[1] = a[PHIZ_CONV2D_DILATION_W].i;
	k.groups = a[PHIZ_CONV2D_GROUPS].i;
	k.dtype = v->dtype;
	k.layout = v->layout;
	return k;
}

/* Milliseconds of a run by the algorithm, the best of TIMED_RUNS after one that loads what it needs; negative where it
 * fails. */
static float time_one(struct conv *v, const cudnnConvolutionFwdAlgoPerf_t *algorithm, char *x, char *w, char *y,
                      char *work, const cudaEvent_t event[2])
{
	const float one = 1, zero = 0;
	float best = -1;
	if (cudnnSetConvolutionMathType(v->conv, algorithm->mathType))
		return -1;
	for (int i = 0; i <= TIMED_RUNS; i++) {
		float ms = 0;
		if (cudaEventRecord(event[0], v->c->stream) ||
		    cudnnConvolutionForward(v->c->cudnn, &one, v->x, x, v->w, w, v->conv, algorithm->algo, work,
		                            algorithm->memory, &zero, v->y, y) ||
		    cudaEventRecord(event[1], v->c->stream) || cudaEventSynchronize(event[1]) ||
		    cudaEventElapsedTime(&ms, event[0], event[1]))
			return -1;
		if (i > 0 && (best < 0 || ms < best))
			best = ms;
	}
	return best;
}

/* Puts the algorithm that is fastest by the clock first, where it is clearly faster than the one that cuDNN's table
 * names first. */
static void time_algorithms(struct conv *v, struct phiz_cuda_choice *c)
{
	const size_t x = bytes_in(&v->call->in[0], v->dtype), y = bytes_in(&v->call->out[0], v->dtype);
	const size_t w = bytes_in(&v->call->in[PHIZ_CONV2D_WEIGHT], v->dtype);
	cudaEvent_t event[2] = {NULL, NULL};
	char *memory = NULL;
	float first = -1, least = -1;
	int best = 0;
	if (!cudaMalloc((void **)&memory, x + y + w + PHIZ_CUDA_WORKSPACE) && !cudaMemset(memory, 0, x + y + w) &&
	    !cudaEventCreate(&event[0]) && !cudaEventCreate(&event[1]))
		for (int i = 0; i < c->n; i++) {
			if (c->algorithm[i].status || c->algorithm[i].memory > PHIZ_CUDA_WORKSPACE)
				continue;
			float ms = time_one(v, &c->algorithm[i], memory, memory + x + y, memory + x, memory + x + y + w, event);
			if (ms < 0)
				continue;
			if (first < 0)
				first = ms;
			if (least < 0 || ms < least) {
				least = ms;
				best = i;
			}
		}
	if (least < 0.95f * first) {
		cudnnConvolutionFwdAlgoPerf_t fastest = c->algorithm[best];
		memmove(c->algorithm + 1, c->algorithm, (size_t)best * sizeof fastest);
		c->algorithm[0] = fastest;
	}
	for (int i = 0; i < 2; i++)
		if (event[i])
			cudaEventDestroy(event[i]);
	if (memory)
		cudaFree(memory);
	(void)cudaGetLastError(); /* a failed measurement is no failed run */
}

static const struct phiz_cuda_choice *choice_of(struct conv *v)
{
	const struct key key = key_of(v);
	for (const struct phiz_cuda_choice *c = v->c->choices; c; c = c->next)
		if (!memcmp(&c->key, &key, sizeof key))
			return c;
	struct phiz_cuda_choice *c = phiz_calloc(v->c->ctx, 1, sizeof *c);
	if (!c)
		return NULL;
	c->key = key;
	if (cudnnGetConvolutionForwardAlgorithm_v7(v->c->cudnn, v->x, v->w, v->conv, v->y,
	                                           CUDNN_CONVOLUTION_FWD_ALGO_COUNT, &c->n, c->algorithm))
		c->n = 0;
	if (v->dtype == PHIZ_F32) /* on tensor cores the table's first was as fast, or faster with what is fused into it */
		time_algorithms(v, c);
	c->next = v->c->choices;
	v->c->choices = c;
	return c;
}

void phiz_cuda_forget_choices(struct phiz_cuda *c)
{
	while (c->choices) {
		struct phiz_cuda_choice *gone = c->choices;
		c->choices = gone->next;
		phiz_free(c->ctx, gone);
	}
}

/* The algorithms, best first, that get along with `most` bytes. */
static cudnnStatus_t choose(struct conv *v, size_t most)
{
	const struct phiz_cuda_choice *c = choice_of(v);
	v->n_algorithms = 0;
	for (int i = 0; c && i < c->n; i++)
		if (!c->algorithm[i].status && c->algorithm[i].memory <= most)
			v->algorithm[v->n_algorithms++] = c->algorithm[i];
	return v->n_algorithms ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

/* What the most demanding of them takes. */
static size_t most_bytes(const struct conv *v)
{
	size_t most = 0;
	for (int i = 0; i < v->n_algorithms; i++)
		most = v->algorithm[i].memory > most ? v->algorithm[i].memory : most;
	return most;
}

/* Channels are last if they are so on one side. */
static enum phiz_layout layout_of(const struct phiz_call *call)
{
	bool last = call->in[0].layout == PHIZ_CHANNELS_LAST || call->out[0].layout == PHIZ_CHANNELS_LAST;
	return last ? PHIZ_CHANNELS_LAST : PHIZ_PLAIN;
}

/* Descriptors of a call in the row's dtype; closed by close_conv, also on failure. */
static cudnnStatus_t open_conv(const struct phiz_call *call, enum phiz_dtype dtype, struct conv *v)
{
	*v = (struct conv){.call = call, .c = phiz_cuda_of(call), .dtype = dtype, .layout = layout_of(call)};
	return describe(v);
}

static bool supports(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const struct phiz_tensor *residual = input_of(call, PHIZ_CONV2D_RESIDUAL);
	const union phiz_attr *a = call->node->attr;
	enum phiz_dtype in = call->in[0].dtype, out = call->out[0].dtype;
	if ((in != dtype && in != PHIZ_F32) || (out != dtype && out != PHIZ_F32) || call->training)
		return false;
	if (residual && (residual->dtype != out || residual->layout != call->out[0].layout))
		return false;
	if (a[PHIZ_CONV2D_PAD_TOP].i != a[PHIZ_CONV2D_PAD_BOTTOM].i ||
	    a[PHIZ_CONV2D_PAD_LEFT].i != a[PHIZ_CONV2D_PAD_RIGHT].i)
		return false;
	struct conv v;
	bool found = !open_conv(call, dtype, &v) && !choose(&v, PHIZ_CUDA_WORKSPACE);
	close_conv(&v);
	return found;
}

/* The workspace: the input and the output in the row's dtype and layout, where the call's own are not; what cuDNN
 * wants. */
static size_t places(const struct conv *v, char *memory, void **x, void **y)
{
	const struct phiz_tensor *in = &v->call->in[0], *out = &v->call->out[0];
	size_t used = 0;
	*x = in->data;
	*y = out->data;
	if (!is_native(v, in)) {
		*x = memory;
		used += bytes_in(in, v->dtype);
	}
	if (!is_native(v, out)) {
		*y = memory ? memory + used : NULL;
		used += bytes_in(out, v->dtype);
	}
	return used;
}

static size_t workspace(const struct phiz_call *call, enum phiz_dtype dtype)
{
	struct conv v;
	void *x, *y;
	size_t bytes = 0;
	if (!open_conv(call, dtype, &v) && !choose(&v, PHIZ_CUDA_WORKSPACE))
		bytes = places(&v, NULL, &x, &y) + most_bytes(&v);
	close_conv(&v);
	return bytes;
}

/* What is kept: filters, bias in the row's dtype (cuDNN's), bias in float32 (ours), zeros where there is none. */
static size_t constants(const struct phiz_call *call, enum phiz_dtype dtype)
{
	size_t k = (size_t)call->out[0].shape.dim[1];
	return bytes_in(&call->in[PHIZ_CONV2D_WEIGHT], dtype) + line_up(k * phiz_dtype_size(dtype)) +
	       line_up(k * sizeof(float));
}

static void prepare(const struct phiz_call *call, void *kept, enum phiz_dtype dtype)
{
	const struct phiz_tensor *w = &call->in[PHIZ_CONV2D_WEIGHT], *b = input_of(call, PHIZ_CONV2D_BIAS);
	struct phiz_cuda *c = phiz_cuda_of(call);
	struct phiz_cuda_picture from = phiz_cuda_picture_of(w);
	struct phiz_cuda_picture to = phiz_cuda_picture_like(w, dtype, layout_of(call), kept);
	char *narrow = (char *)kept + bytes_in(w, dtype);
	char *wide = narrow + line_up((size_t)call->out[0].shape.dim[1] * phiz_dtype_size(dtype));
	/* What fails here shows when the plan waits for it. */
	(void)cudaMemsetAsync(kept, 0, constants(call, dtype), c->stream);
	(void)phiz_cuda_copy(&from, &to, c->stream);
	if (!b)
		return;
	from = phiz_cuda_picture_of(b);
	to = phiz_cuda_picture_like(b, dtype, PHIZ_PLAIN, narrow);
	(void)phiz_cuda_copy(&from, &to, c->stream);
	to = phiz_cuda_picture_like(b, PHIZ_F32, PHIZ_PLAIN, wide);
	(void)phiz_cuda_copy(&from, &to, c->stream);
}

/* Convolution, bias, residual and activation in one, where cuDNN has it. */
static cudnnStatus_t run_fused(struct conv *v, const cudnnConvolutionFwdAlgoPerf_t *algorithm, void *x, void *y,
                               void *work)
{
	const struct phiz_tensor *residual = input_of(v->call, PHIZ_CONV2D_RESIDUAL);
	const char *filters = v->call->constants;
	const float one = 1, zero = 0;
	return cudnnConvolutionBiasActivationForward(v->c->cudnn, &one, v->x, x, v->w, filters, v->conv, algorithm->algo,
	                                             work, algorithm->memory, residual ? &one : &zero, v->y,
	                                             residual ? residual->data : y, v->bias,
	                                             filters + bytes_in(&v->call->in[PHIZ_CONV2D_WEIGHT], v->dtype), v->act,
	                                             v->y, y);
}

static cudnnStatus_t run_alone(struct conv *v, const cudnnConvolutionFwdAlgoPerf_t *algorithm, void *x, void *y,
                               void *work)
{
	const float one = 1, zero = 0;
	return cudnnConvolutionForward(v->c->cudnn, &one, v->x, x, v->w, v->call->constants, v->conv, algorithm->algo, work,
	                               algorithm->memory, &zero, v->y, y);
}

/* What follows a convolution alone: its output to where the call wants it; bias, residual and activation there. */
static enum phiz_status finish(struct conv *v, void *y)
{
	const struct phiz_call *call = v->call;
	const struct phiz_tensor *out = &call->out[0], *residual = input_of(call, PHIZ_CONV2D_RESIDUAL);
	enum phiz_status status = PHIZ_OK;
	if (y != out->data) {
		struct phiz_cuda_picture from = phiz_cuda_picture_like(out, v->dtype, v->layout, y);
		struct phiz_cuda_picture to = phiz_cuda_picture_of(out);
		status = phiz_cuda_check(call->ctx, phiz_cuda_copy(&from, &to, v->c->stream), "starting a kernel");
	}
	struct phiz_cuda_pointwise p = {
		.x = out->data, .y = out->data, .z = residual ? residual->data : NULL, .dtype = (int)out->dtype,
		.count = phiz_tensor_count(out), .channels = out->shape.dim[1],
		.inner = out->layout == PHIZ_CHANNELS_LAST ? 1 : out->shape.dim[2] * out->shape.dim[3],
		.act = (int)call->node->attr[PHIZ_CONV2D_ACT].i, .slope = (float)call->node->attr[PHIZ_CONV2D_ACT_SLOPE].f,
	};
	if (input_of(call, PHIZ_CONV2D_BIAS))
		p.bias = (const float *)(const void *)((const char *)call->constants +
		                                       bytes_in(&call->in[PHIZ_CONV2D_WEIGHT], v->dtype) +
		                                       line_up((size_t)p.channels * phiz_dtype_size(v->dtype)));
	if (status || (!p.bias && !p.z && !p.act))
		return status;
	return phiz_cuda_check(call->ctx, phiz_cuda_run_pointwise(&p, v->c->stream), "starting a kernel");
}

/* By the first algorithm that does it: what cuDNN's table promises, its calls do not always keep. */
static enum phiz_status run_any(struct conv *v, void *x, void *y, void *work)
{
	const int64_t act = v->call->node->attr[PHIZ_CONV2D_ACT].i;
	cudnnStatus_t error = CUDNN_STATUS_NOT_SUPPORTED;
	for (int i = 0; i < v->n_algorithms; i++) {
		const cudnnConvolutionFwdAlgoPerf_t *algorithm = &v->algorithm[i];
		(void)cudnnSetConvolutionMathType(v->conv, algorithm->mathType); /* as it was timed */
		bool plain = act == PHIZ_ACT_NONE && algorithm->algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
		if (y == v->call->out[0].data && (act == PHIZ_ACT_RELU || plain) && !run_fused(v, algorithm, x, y, work))
			return PHIZ_OK;
		error = run_alone(v, algorithm, x, y, work);
		if (!error)
			return finish(v, y);
	}
	return phiz_cudnn_check(v->call->ctx, error, "a convolution");
}

static enum phiz_status forward(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct conv v;
	void *x, *y;
	enum phiz_status status = phiz_cudnn_check(call->ctx, open_conv(call, dtype, &v), "describing a convolution");
	size_t used = places(&v, call->workspace, &x, &y);
	if (!status)
		status = phiz_cudnn_check(call->ctx, choose(&v, call->workspace_bytes - used), "choosing an algorithm");
	if (!status && x != call->in[0].data) {
		struct phiz_cuda_picture from = phiz_cuda_picture_of(&call->in[0]);
		struct phiz_cuda_picture to = phiz_cuda_picture_like(&call->in[0], dtype, v.layout, x);
		status = phiz_cuda_check(call->ctx, phiz_cuda_copy(&from, &to, v.c->stream), "starting a kernel");
	}
	if (!status)
		status = run_any(&v, x, y, (char *)call->workspace + used);
	close_conv(&v);
	return status;
}

#define ROW(name_, dtype_) \
	static bool supports_##name_(const struct phiz_call *call) { return supports(call, dtype_); } \
	static size_t workspace_##name_(const struct phiz_call *call, bool backward, int threads) \
	{ \
		(void)backward; \
		(void)threads; \
		return workspace(call, dtype_); \
	} \
	static size_t constants_##name_(const struct phiz_call *call) { return constants(call, dtype_); } \
	static void prepare_##name_(const struct phiz_call *call, void *kept) { prepare(call, kept, dtype_); } \
	static enum phiz_status forward_##name_(struct phiz_call *call) { return forward(call, dtype_); }
ROW(f32, PHIZ_F32)
ROW(f16, PHIZ_F16)
ROW(bf16, PHIZ_BF16)

#define KERNEL(name_, dtype_) \
	{.op = "conv2d", .name = "cudnn", .dtype = dtype_, .supports = supports_##name_, .workspace = workspace_##name_, \
	 .forward = forward_##name_, .blocked = true, .constants = constants_##name_, .prepare = prepare_##name_}
const struct phiz_kernel phiz_cuda_conv2d[3] = {KERNEL(f32, PHIZ_F32), KERNEL(f16, PHIZ_F16), KERNEL(bf16, PHIZ_BF16)};
