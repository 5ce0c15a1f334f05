/* conv2d by cuDNN, on the calls that its versions 8.2 and 9 share. Every cuDNN call stands here.
 *
 * A call runs in the row's dtype T and in the layout of its pictures; filters are kept so, and a tensor that is not
 * (the network's input, an output for the host) is copied from or to the workspace. F32 is computed in float32, not in
 * TF32; F16 and BF16 on tensor cores, with sums in float32. */
#include "core/cuda/cuda.h"

#include <cudnn.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/rule.h"

enum pass { FORWARD, DATA, FILTER }; /* y; dx; dw */
enum { MOST_ALGORITHMS = 16, TIMED_RUNS = 5 };

/* cuDNN has a type of its own for each pass. */
struct algorithm {
	int algo;
	cudnnMathType_t math;
	size_t memory;
};

struct conv {
	const struct phiz_call *call;
	struct phiz_cuda *c;
	enum phiz_dtype dtype;
	enum phiz_layout layout;
	cudnnTensorDescriptor_t x, y, bias;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t conv;
	cudnnActivationDescriptor_t act;
	struct algorithm algorithm[MOST_ALGORITHMS];
	int n_algorithms;
};

static enum phiz_status check(struct phiz_ctx *ctx, cudnnStatus_t error, const char *what)
{
	if (error == CUDNN_STATUS_SUCCESS)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "cudnn: %s: %s", what, cudnnGetErrorString(error));
}

static size_t bytes_in(const struct phiz_tensor *t, enum phiz_dtype dtype)
{
	return phiz_cuda_line_up((size_t)phiz_tensor_count(t) * phiz_dtype_size(dtype));
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
	    (s = cudnnSetConvolutionGroupCount(v->conv, (int)a[PHIZ_CONV2D_GROUPS].i)))
		return s;
	return cudnnSetActivationDescriptor(v->act, act, CUDNN_NOT_PROPAGATE_NAN, 0);
}

/* One pass, plainly: output (+)= by this algorithm. x, w and y are the data or gradients that the pass is on. */
static cudnnStatus_t run_pass(struct conv *v, enum pass pass, const struct algorithm *a, void *x, void *w, void *y,
                              void *work, bool add)
{
	const float one = 1, beta = add ? 1 : 0;
	cudnnStatus_t s = cudnnSetConvolutionMathType(v->conv, a->math);

	if (s)
		return s;
	if (pass == FORWARD)
		return cudnnConvolutionForward(v->c->cudnn, &one, v->x, x, v->w, w, v->conv,
		                               (cudnnConvolutionFwdAlgo_t)a->algo, work, a->memory, &beta, v->y, y);
	if (pass == DATA)
		return cudnnConvolutionBackwardData(v->c->cudnn, &one, v->w, w, v->y, y, v->conv,
		                                    (cudnnConvolutionBwdDataAlgo_t)a->algo, work, a->memory, &beta, v->x, x);
	return cudnnConvolutionBackwardFilter(v->c->cudnn, &one, v->x, x, v->y, y, v->conv,
	                                      (cudnnConvolutionBwdFilterAlgo_t)a->algo, work, a->memory, &beta, v->w, w);
}

/* --- Algorithms: looked up once for each shape, then remembered. --- */

/* All that a convolution's time depends on. */
struct key {
	int64_t x[4], w[4], y[4];
	int64_t pad[2], stride[2], dilation[2], groups;
	enum phiz_dtype dtype;
	enum phiz_layout layout;
	enum pass pass;
	bool training, by_clock; /* and what may be chosen */
};

struct phiz_cuda_choice {
	struct key key;
	int n;
	struct algorithm algorithm[MOST_ALGORITHMS];
	struct phiz_cuda_choice *next;
};

static struct key key_of(const struct conv *v, enum pass pass)
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
	k.pass = pass;
	k.training = v->call->training;
	k.by_clock = v->c->by_clock;
	return k;
}

/* Milliseconds of a run by the algorithm, the best of TIMED_RUNS after one that loads what it needs; negative where it
 * fails. */
static float time_one(struct conv *v, enum pass pass, const struct algorithm *a, char *x, char *w, char *y, char *work,
                      const cudaEvent_t event[2])
{
	float best = -1;
	for (int i = 0; i <= TIMED_RUNS; i++) {
		float ms = 0;
		if (cudaEventRecord(event[0], v->c->stream) || run_pass(v, pass, a, x, w, y, work, false) ||
		    cudaEventRecord(event[1], v->c->stream) || cudaEventSynchronize(event[1]) ||
		    cudaEventElapsedTime(&ms, event[0], event[1]))
			return -1;
		if (i > 0 && (best < 0 || ms < best))
			best = ms;
	}
	return best;
}

static size_t most_workspace(const struct phiz_call *call)
{
	return call->training ? PHIZ_CUDA_TRAIN_WORKSPACE : PHIZ_CUDA_WORKSPACE;
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
	if (!cudaMalloc((void **)&memory, x + y + w + most_workspace(v->call)) && !cudaMemset(memory, 0, x + y + w) &&
	    !cudaEventCreate(&event[0]) && !cudaEventCreate(&event[1]))
		for (int i = 0; i < c->n; i++) {
			float ms = time_one(v, c->key.pass, &c->algorithm[i], memory, memory + x + y, memory + x,
			                    memory + x + y + w, event);
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
		struct algorithm fastest = c->algorithm[best];
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

/* Adds what cuDNN's table has for the pass, best first, and gets along with the workspace: what gives the same bits
 * each time, or the rest. */
#define LIST(perf_, get_, from_, with_, to_) \
	do { \
		perf_ found[MOST_ALGORITHMS]; \
		int n = 0; \
		if (get_(v->c->cudnn, from_, with_, v->conv, to_, MOST_ALGORITHMS, &n, found)) \
			n = 0; \
		for (int i = 0; i < n; i++) \
			if (c->n < MOST_ALGORITHMS && !found[i].status && found[i].memory <= most_workspace(v->call) && \
			    (found[i].determinism == CUDNN_DETERMINISTIC) == deterministic) \
				c->algorithm[c->n++] = \
					(struct algorithm){(int)found[i].algo, found[i].mathType, found[i].memory}; \
	} while (0)

static void list_algorithms(struct conv *v, struct phiz_cuda_choice *c, bool deterministic)
{
	/* The table has the algorithms for the descriptor's math, which running one may have changed. */
	if (cudnnSetConvolutionMathType(v->conv, v->dtype == PHIZ_F32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH))
		return;
	if (c->key.pass == FORWARD)
		LIST(cudnnConvolutionFwdAlgoPerf_t, cudnnGetConvolutionForwardAlgorithm_v7, v->x, v->w, v->y);
	else if (c->key.pass == DATA)
		LIST(cudnnConvolutionBwdDataAlgoPerf_t, cudnnGetConvolutionBackwardDataAlgorithm_v7, v->w, v->y, v->x);
	else
		LIST(cudnnConvolutionBwdFilterAlgoPerf_t, cudnnGetConvolutionBackwardFilterAlgorithm_v7, v->x, v->y, v->w);
}

static const struct phiz_cuda_choice *choice_of(struct conv *v, enum pass pass)
{
	const struct key key = key_of(v, pass);
	for (const struct phiz_cuda_choice *c = v->c->choices; c; c = c->next)
		if (!memcmp(&c->key, &key, sizeof key))
			return c;
	struct phiz_cuda_choice *c = phiz_calloc(v->c->ctx, 1, sizeof *c);
	if (!c)
		return NULL;
	c->key = key;
	const bool by_clock = v->call->training && v->c->by_clock;
	list_algorithms(v, c, true);
	list_algorithms(v, c, false);
	/* In float32 the table is often wrong; on tensor cores its first was as fast, or faster with what is fused into it.
	 * Training follows the table alone unless it is told otherwise, so that the same seed gives the same weights. */
	if (by_clock || (v->dtype == PHIZ_F32 && !v->call->training))
		time_algorithms(v, c);
	c->next = v->c->choices;
	v->c->choices = c;
	return c;
}

static void forget_choices(struct phiz_cuda *c)
{
	while (c->choices) {
		struct phiz_cuda_choice *gone = c->choices;
		c->choices = gone->next;
		phiz_free(c->ctx, gone);
	}
}

/* The algorithms, best first, that get along with `most` bytes. */
static cudnnStatus_t choose(struct conv *v, enum pass pass, size_t most)
{
	const struct phiz_cuda_choice *c = choice_of(v, pass);
	v->n_algorithms = 0;
	for (int i = 0; c && i < c->n; i++)
		if (c->algorithm[i].memory <= most)
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
	if ((in != dtype && in != PHIZ_F32) || (out != dtype && out != PHIZ_F32))
		return false;
	if (residual && (residual->dtype != out || residual->layout != call->out[0].layout))
		return false;
	if (a[PHIZ_CONV2D_PAD_TOP].i != a[PHIZ_CONV2D_PAD_BOTTOM].i ||
	    a[PHIZ_CONV2D_PAD_LEFT].i != a[PHIZ_CONV2D_PAD_RIGHT].i)
		return false;
	struct conv v;
	bool found = !open_conv(call, dtype, &v) && !choose(&v, FORWARD, most_workspace(call));
	if (call->training) /* a backward step may follow */
		found = found && !choose(&v, DATA, most_workspace(call)) && !choose(&v, FILTER, most_workspace(call));
	close_conv(&v);
	return found;
}

/* --- What is kept, or made anew in each run where parameters change: filters in the row's dtype and layout, bias in
 * the row's dtype (cuDNN's), bias in float32 (ours), zeros where there is none. --- */

struct weights {
	char *filter, *narrow, *wide;
	size_t bytes;
};

static struct weights weights_at(const struct phiz_call *call, enum phiz_dtype dtype, const void *memory)
{
	const size_t k = (size_t)call->out[0].shape.dim[1];
	struct weights w = {(char *)memory, NULL, NULL, 0};
	w.narrow = w.filter + bytes_in(&call->in[PHIZ_CONV2D_WEIGHT], dtype);
	w.wide = w.narrow + phiz_cuda_line_up(k * phiz_dtype_size(dtype));
	w.bytes = (size_t)(w.wide - w.filter) + phiz_cuda_line_up(k * sizeof(float));
	return w;
}

static size_t constants(const struct phiz_call *call, enum phiz_dtype dtype)
{
	return weights_at(call, dtype, NULL).bytes;
}

static int copy_as(struct phiz_cuda *c, const struct phiz_tensor *t, enum phiz_dtype dtype, enum phiz_layout layout,
                   void *to_data)
{
	struct phiz_cuda_picture from = phiz_cuda_picture_of(t);
	struct phiz_cuda_picture to = phiz_cuda_picture_like(t, dtype, layout, to_data);
	return phiz_cuda_copy(&from, &to, false, c->stream);
}

static int make_filter(const struct phiz_call *call, enum phiz_dtype dtype, void *to)
{
	return copy_as(phiz_cuda_of(call), &call->in[PHIZ_CONV2D_WEIGHT], dtype, layout_of(call), to);
}

static int make_weights(const struct phiz_call *call, enum phiz_dtype dtype, struct weights *w)
{
	const struct phiz_tensor *b = input_of(call, PHIZ_CONV2D_BIAS);
	struct phiz_cuda *c = phiz_cuda_of(call);
	int error = make_filter(call, dtype, w->filter);
	if (!error)
		error = (int)cudaMemsetAsync(w->narrow, 0, w->bytes - (size_t)(w->narrow - w->filter), c->stream);
	if (!error && b)
		error = copy_as(c, b, dtype, PHIZ_PLAIN, w->narrow);
	if (!error && b)
		error = copy_as(c, b, PHIZ_F32, PHIZ_PLAIN, w->wide);
	return error;
}

static void prepare(const struct phiz_call *call, void *kept, enum phiz_dtype dtype)
{
	struct weights w = weights_at(call, dtype, kept);
	(void)make_weights(call, dtype, &w); /* what fails here shows when the plan waits for it */
}

/* The workspace: the input and the output in the row's dtype and layout, where the call's own are not; the weights,
 * where they are not kept; what cuDNN wants. */
static size_t places(const struct conv *v, char *memory, void **x, void **y, struct weights *w)
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
	*w = weights_at(v->call, v->dtype, v->call->constants ? v->call->constants : memory ? memory + used : NULL);
	return v->call->constants ? used : used + w->bytes;
}

/* The same for backward: x and the gradients of x and y; the filters; their gradient as cuDNN leaves it. */
struct back {
	char *x, *dx, *dy, *w, *dw;
	size_t bytes;
};

static char *next(char *memory, size_t *used, size_t bytes)
{
	char *at = memory ? memory + *used : NULL;
	*used += bytes;
	return at;
}

static struct back back_places(const struct conv *v, char *memory)
{
	const struct phiz_call *call = v->call;
	const struct phiz_tensor *in = &call->in[0], *out = &call->out[0], *w = &call->in[PHIZ_CONV2D_WEIGHT];
	struct back b = {call->in[0].data, call->din[0].data, call->dout[0].data, w->data,
	                 call->din[PHIZ_CONV2D_WEIGHT].data, 0};
	if (!is_native(v, in)) {
		b.x = next(memory, &b.bytes, bytes_in(in, v->dtype));
		b.dx = next(memory, &b.bytes, bytes_in(in, v->dtype));
	}
	if (!is_native(v, out))
		b.dy = next(memory, &b.bytes, bytes_in(out, v->dtype));
	if (v->dtype != PHIZ_F32 || v->layout != PHIZ_PLAIN) {
		b.w = next(memory, &b.bytes, bytes_in(w, v->dtype));
		b.dw = next(memory, &b.bytes, bytes_in(w, v->dtype));
	}
	return b;
}

static size_t workspace(const struct phiz_call *call, enum phiz_dtype dtype, bool backward)
{
	struct conv v;
	struct weights w;
	void *x, *y;
	size_t bytes = 0, most = 0;
	if (!open_conv(call, dtype, &v)) {
		bytes = backward ? back_places(&v, NULL).bytes : places(&v, NULL, &x, &y, &w);
		for (int pass = backward ? DATA : FORWARD; pass <= (backward ? FILTER : FORWARD); pass++)
			if (!choose(&v, (enum pass)pass, most_workspace(call)))
				most = most_bytes(&v) > most ? most_bytes(&v) : most;
		if (backward) {
			struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->out[0]);
			size_t sums = phiz_cuda_sum_workspace(&l);
			most = sums > most ? sums : most;
		}
	}
	close_conv(&v);
	return bytes + most;
}

/* Convolution, bias, residual and activation in one, where cuDNN has it. */
static cudnnStatus_t run_fused(struct conv *v, const struct algorithm *a, void *x, void *y, const struct weights *w,
                               void *work)
{
	const struct phiz_tensor *residual = input_of(v->call, PHIZ_CONV2D_RESIDUAL);
	const float one = 1, zero = 0;
	return cudnnConvolutionBiasActivationForward(v->c->cudnn, &one, v->x, x, v->w, w->filter, v->conv,
	                                             (cudnnConvolutionFwdAlgo_t)a->algo, work, a->memory,
	                                             residual ? &one : &zero, v->y, residual ? residual->data : y, v->bias,
	                                             w->narrow, v->act, v->y, y);
}

/* What follows a convolution alone: its output to where the call wants it; bias, residual and activation there. */
static enum phiz_status finish(struct conv *v, void *y, const struct weights *w)
{
	const struct phiz_call *call = v->call;
	const struct phiz_tensor *out = &call->out[0], *residual = input_of(call, PHIZ_CONV2D_RESIDUAL);
	enum phiz_status status = PHIZ_OK;
	if (y != out->data) {
		struct phiz_cuda_picture from = phiz_cuda_picture_like(out, v->dtype, v->layout, y);
		struct phiz_cuda_picture to = phiz_cuda_picture_of(out);
		status = phiz_cuda_check(call->ctx, phiz_cuda_copy(&from, &to, false, v->c->stream), "starting a kernel");
	}
	struct phiz_cuda_pointwise p = {
		.x = out->data, .y = out->data, .z = residual ? residual->data : NULL, .dtype = (int)out->dtype,
		.count = phiz_tensor_count(out), .channels = out->shape.dim[1],
		.inner = out->layout == PHIZ_CHANNELS_LAST ? 1 : out->shape.dim[2] * out->shape.dim[3],
		.act = (int)call->node->attr[PHIZ_CONV2D_ACT].i, .slope = (float)call->node->attr[PHIZ_CONV2D_ACT_SLOPE].f,
	};
	if (input_of(call, PHIZ_CONV2D_BIAS))
		p.bias = (const float *)(const void *)w->wide;
	if (status || (!p.bias && !p.z && !p.act))
		return status;
	return phiz_cuda_check(call->ctx, phiz_cuda_run_pointwise(&p, v->c->stream), "starting a kernel");
}

/* By the first algorithm that does it: what cuDNN's table promises, its calls do not always keep. */
static enum phiz_status run_any(struct conv *v, void *x, void *y, const struct weights *w, void *work)
{
	const int64_t act = v->call->node->attr[PHIZ_CONV2D_ACT].i;
	const bool more = input_of(v->call, PHIZ_CONV2D_RESIDUAL) || input_of(v->call, PHIZ_CONV2D_BIAS) || act;
	cudnnStatus_t error = CUDNN_STATUS_NOT_SUPPORTED;
	for (int i = 0; i < v->n_algorithms; i++) {
		const struct algorithm *a = &v->algorithm[i];
		(void)cudnnSetConvolutionMathType(v->conv, a->math); /* as it was timed */
		bool plain = act == PHIZ_ACT_NONE && a->algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
		if (more && y == v->call->out[0].data && (act == PHIZ_ACT_RELU || plain) && !run_fused(v, a, x, y, w, work))
			return PHIZ_OK;
		error = run_pass(v, FORWARD, a, x, w->filter, y, work, false);
		if (!error)
			return finish(v, y, w);
	}
	return check(v->call->ctx, error, "a convolution");
}

static enum phiz_status forward(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct conv v;
	struct weights w;
	void *x, *y;
	enum phiz_status status = check(call->ctx, open_conv(call, dtype, &v), "describing a convolution");
	size_t used = places(&v, call->workspace, &x, &y, &w);
	if (!status)
		status = check(call->ctx, choose(&v, FORWARD, call->workspace_bytes - used),
		                          "choosing an algorithm");
	if (!status && !call->constants)
		status = phiz_cuda_check(call->ctx, make_weights(call, dtype, &w), "starting a kernel");
	if (!status && x != call->in[0].data)
		status = phiz_cuda_check(call->ctx, copy_as(v.c, &call->in[0], dtype, v.layout, x), "starting a kernel");
	if (!status)
		status = run_any(&v, x, y, &w, (char *)call->workspace + used);
	close_conv(&v);
	return status;
}

/* --- Backward --- */

static enum phiz_status run_back(struct conv *v, enum pass pass, const struct back *b, void *work, bool add)
{
	cudnnStatus_t error = choose(v, pass, v->call->workspace_bytes - b->bytes);
	char *x = pass == DATA ? b->dx : b->x, *w = pass == DATA ? b->w : b->dw;
	for (int i = 0; i < v->n_algorithms; i++) {
		error = run_pass(v, pass, &v->algorithm[i], x, w, b->dy, work, add);
		if (!error)
			break;
	}
	return check(v->call->ctx, error, pass == DATA ? "a convolution's input gradient"
	                                                          : "a convolution's filter gradient");
}

/* A gradient from where cuDNN left it to where the call wants it. */
static enum phiz_status bring_home(struct conv *v, const struct phiz_tensor *like, void *at,
                                   const struct phiz_tensor *to, bool add)
{
	struct phiz_cuda_picture source = phiz_cuda_picture_like(like, v->dtype, v->layout, at);
	struct phiz_cuda_picture target = phiz_cuda_picture_of(to);
	if (at == to->data)
		return PHIZ_OK;
	return phiz_cuda_check(v->call->ctx, phiz_cuda_copy(&source, &target, add, v->c->stream), "starting a kernel");
}

static enum phiz_status backward_input(struct conv *v, const struct back *b, void *work)
{
	const struct phiz_call *call = v->call;
	const bool add = call->accumulate & 1u, home = b->dx == (char *)call->din[0].data;
	enum phiz_status status = PHIZ_OK;
	if (b->w != (char *)call->in[PHIZ_CONV2D_WEIGHT].data)
		status = phiz_cuda_check(call->ctx, make_filter(call, v->dtype, b->w), "starting a kernel");
	if (!status)
		status = run_back(v, DATA, b, work, add && home);
	return status ? status : bring_home(v, &call->in[0], b->dx, &call->din[0], add);
}

static enum phiz_status backward_filter(struct conv *v, const struct back *b, void *work)
{
	const struct phiz_call *call = v->call;
	const struct phiz_tensor *dw = &call->din[PHIZ_CONV2D_WEIGHT];
	const bool add = call->accumulate >> PHIZ_CONV2D_WEIGHT & 1u, home = b->dw == (char *)dw->data;
	enum phiz_status status = PHIZ_OK;
	if (b->x != (char *)call->in[0].data)
		status = phiz_cuda_check(call->ctx, copy_as(v->c, &call->in[0], v->dtype, v->layout, b->x),
		                         "starting a kernel");
	if (!status)
		status = run_back(v, FILTER, b, work, add && home);
	return status ? status : bring_home(v, &call->in[PHIZ_CONV2D_WEIGHT], b->dw, dw, add);
}

static enum phiz_status backward(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct conv v;
	enum phiz_status status = check(call->ctx, open_conv(call, dtype, &v), "describing a convolution");
	const struct back b = back_places(&v, call->workspace);
	char *work = (char *)call->workspace + b.bytes;
	if (!call->dout[0].data)
		goto done;
	if (!status && b.dy != (char *)call->dout[0].data)
		status = phiz_cuda_check(call->ctx, copy_as(v.c, &call->dout[0], dtype, v.layout, b.dy), "starting a kernel");
	if (!status && call->din[PHIZ_CONV2D_WEIGHT].data)
		status = backward_filter(&v, &b, work);
	if (!status && call->n_in > PHIZ_CONV2D_BIAS && call->din[PHIZ_CONV2D_BIAS].data) {
		struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->dout[0]);
		status = phiz_cuda_check(call->ctx,
		                         phiz_cuda_channel_sum(call->dout[0].data, (int)call->dout[0].dtype, &l,
		                                               call->din[PHIZ_CONV2D_BIAS].data,
		                                               call->accumulate >> PHIZ_CONV2D_BIAS & 1u, work, v.c->stream),
		                         "starting a kernel");
	}
	if (!status && call->din[0].data)
		status = backward_input(&v, &b, work);
done:
	close_conv(&v);
	return status;
}

#define ROW(name_, dtype_) \
	static bool supports_##name_(const struct phiz_call *call) { return supports(call, dtype_); } \
	static size_t workspace_##name_(const struct phiz_call *call, bool backward, int threads) \
	{ \
		(void)threads; \
		return workspace(call, dtype_, backward); \
	} \
	static size_t constants_##name_(const struct phiz_call *call) { return constants(call, dtype_); } \
	static void prepare_##name_(const struct phiz_call *call, void *kept) { prepare(call, kept, dtype_); } \
	static enum phiz_status forward_##name_(struct phiz_call *call) { return forward(call, dtype_); } \
	static enum phiz_status backward_##name_(struct phiz_call *call) { return backward(call, dtype_); }
ROW(f32, PHIZ_F32)
ROW(f16, PHIZ_F16)
ROW(bf16, PHIZ_BF16)

#define KERNEL(name_, dtype_) \
	{.op = "conv2d", .name = "cudnn", .dtype = dtype_, .supports = supports_##name_, .workspace = workspace_##name_, \
	 .forward = forward_##name_, .backward = backward_##name_, .blocked = true, .constants = constants_##name_, \
	 .prepare = prepare_##name_}
const struct phiz_kernel phiz_cudnn_conv2d[3] = {KERNEL(f32, PHIZ_F32), KERNEL(f16, PHIZ_F16), KERNEL(bf16, PHIZ_BF16)};

/* --- The handle --- */

int phiz_cudnn_version(void) { return (int)cudnnGetVersion(); }

enum phiz_status phiz_cudnn_open(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	cudnnHandle_t handle = NULL;
	enum phiz_status status = check(ctx, cudnnCreate(&handle), "starting");

	c->cudnn = handle;
	return status ? status : check(ctx, cudnnSetStream(handle, c->stream), "choosing the stream");
}

void phiz_cudnn_close(struct phiz_cuda *c)
{
	forget_choices(c);
	if (c->cudnn)
		cudnnDestroy(c->cudnn);
}
