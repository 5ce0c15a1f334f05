/* Rows of the kernel table that run on kernels of our own in every module. Each operator has a row for F32, F16 and
 * BF16; activations of a call are of one dtype, but for what a row says of itself. */
#include "core/cuda/row.h"

#include "core/base/error.h"
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

/* What elementwise operators share: one channel's elements and where the next channel is. */
struct phiz_cuda_pointwise phiz_cuda_pointwise_of(const struct phiz_call *call)
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

struct phiz_cuda_lines phiz_cuda_lines_of(const struct phiz_tensor *t)
{
	struct phiz_cuda_lines l = {t->shape.dim[0], t->shape.ndim > 1 ? t->shape.dim[1] : 1, 1};
	for (int i = 2; i < t->shape.ndim; i++) {
		if (t->layout == PHIZ_PLAIN)
			l.inner *= t->shape.dim[i];
		else
			l.outer *= t->shape.dim[i];
	}
	return l;
}

static bool adds(const struct phiz_call *call, int input) { return call->accumulate >> input & 1u; }
static bool one_supports(const struct phiz_call *call) { return is_uniform(call, 1); }
static bool two_supports(const struct phiz_call *call) { return is_uniform(call, 2); }

/* --- Activations, add --- */

static enum phiz_status act_forward(const struct phiz_call *call, const void *other, int act, double slope)
{
	const struct phiz_tensor *y = &call->out[0];
	return started(call, phiz_cuda_act_forward(call->in[0].data, other, y->data, (int)y->dtype, phiz_tensor_count(y),
	                                           act, (float)slope, phiz_cuda_of(call)->stream));
}

static enum phiz_status act_backward(const struct phiz_call *call, int act, double slope)
{
	const struct phiz_tensor *y = &call->out[0];
	if (!call->din[0].data || !call->dout[0].data)
		return PHIZ_OK;
	return started(call, phiz_cuda_act_backward(y->data, call->dout[0].data, call->din[0].data, (int)y->dtype,
	                                            phiz_tensor_count(y), act, (float)slope, adds(call, 0),
	                                            phiz_cuda_of(call)->stream));
}

static enum phiz_status relu(struct phiz_call *call) { return act_forward(call, NULL, PHIZ_ACT_RELU, 0); }
static enum phiz_status relu_back(struct phiz_call *call) { return act_backward(call, PHIZ_ACT_RELU, 0); }

static enum phiz_status leaky_relu(struct phiz_call *call)
{
	return act_forward(call, NULL, PHIZ_ACT_LEAKY_RELU, call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f);
}

static enum phiz_status leaky_relu_back(struct phiz_call *call)
{
	return act_backward(call, PHIZ_ACT_LEAKY_RELU, call->node->attr[PHIZ_LEAKY_RELU_SLOPE].f);
}

static enum phiz_status add(struct phiz_call *call)
{
	return act_forward(call, call->in[1].data, (int)call->node->attr[PHIZ_ADD_ACT].i,
	                   call->node->attr[PHIZ_ADD_ACT_SLOPE].f);
}

/* Each input's gradient is the output's, behind the activation. */
static enum phiz_status add_back(struct phiz_call *call)
{
	const struct phiz_tensor *y = &call->out[0];
	const int act = (int)call->node->attr[PHIZ_ADD_ACT].i;
	const float slope = act == PHIZ_ACT_NONE ? 1 : (float)call->node->attr[PHIZ_ADD_ACT_SLOPE].f;
	enum phiz_status status = PHIZ_OK;
	for (int i = 0; i < 2 && !status && call->dout[0].data; i++)
		if (call->din[i].data)
			status = started(call, phiz_cuda_act_backward(act == PHIZ_ACT_NONE ? call->dout[0].data : y->data,
			                                              call->dout[0].data, call->din[i].data, (int)y->dtype,
			                                              phiz_tensor_count(y), act, slope, adds(call, i),
			                                              phiz_cuda_of(call)->stream));
	return status;
}

static enum phiz_status prelu(struct phiz_call *call)
{
	struct phiz_cuda_pointwise p = phiz_cuda_pointwise_of(call);
	p.slopes = call->in[PHIZ_PRELU_WEIGHT].data;
	p.n_slopes = call->in[PHIZ_PRELU_WEIGHT].shape.dim[0];
	return launch(call, &p);
}

static enum phiz_status prelu_back(struct phiz_call *call)
{
	const struct phiz_tensor *slopes = &call->in[PHIZ_PRELU_WEIGHT];
	struct phiz_cuda_prelu p = {
		.x = call->in[0].data, .dy = call->dout[0].data, .dx = call->din[0].data, .dtype = (int)call->out[0].dtype,
		.lines = phiz_cuda_lines_of(&call->out[0]), .slopes = slopes->data, .n_slopes = slopes->shape.dim[0],
		.dslopes = call->din[PHIZ_PRELU_WEIGHT].data, .add_dx = adds(call, 0),
		.add_slopes = adds(call, PHIZ_PRELU_WEIGHT), .workspace = call->workspace,
	};
	return p.dy ? started(call, phiz_cuda_prelu_backward(&p, phiz_cuda_of(call)->stream)) : PHIZ_OK;
}

static size_t prelu_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->out[0]);
	(void)threads;
	return backward ? phiz_cuda_sum_workspace(&l) : 0;
}

/* --- batch_norm --- */

enum { NORM_MEAN, NORM_INVSTD }; /* saved */

/* Sums; then two rows of a float a channel: forward's mean and invstd where they are not saved, backward's totals. */
static size_t batch_norm_workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_cuda_lines l = phiz_cuda_lines_of(&call->out[0]);
	(void)backward;
	(void)threads;
	return phiz_cuda_sum_workspace(&l) + 2 * (size_t)l.channels * sizeof(float);
}

static struct phiz_cuda_norm norm_of(const struct phiz_call *call)
{
	const union phiz_attr *a = call->node->attr;
	struct phiz_cuda_norm p = {
		.x = call->in[0].data, .y = call->out[0].data, .dtype = (int)call->out[0].dtype,
		.lines = phiz_cuda_lines_of(&call->out[0]), .weight = data_of(call, PHIZ_BATCH_NORM_WEIGHT),
		.bias = data_of(call, PHIZ_BATCH_NORM_BIAS),
		.running_mean = data_of(call, PHIZ_BATCH_NORM_MEAN),
		.running_var = data_of(call, PHIZ_BATCH_NORM_VAR), .eps = (float)a[PHIZ_BATCH_NORM_EPS].f,
		.momentum = (float)a[PHIZ_BATCH_NORM_MOMENTUM].f,
		.batch = call->training && !a[PHIZ_BATCH_NORM_FROZEN].i, .act = (int)a[PHIZ_BATCH_NORM_ACT].i,
		.slope = (float)a[PHIZ_BATCH_NORM_ACT_SLOPE].f, .mean = call->saved[NORM_MEAN].data,
		.invstd = call->saved[NORM_INVSTD].data, .workspace = call->workspace,
	};
	if (!p.mean) {
		p.mean = (float *)call->workspace + phiz_cuda_sum_workspace(&p.lines) / sizeof(float);
		p.invstd = p.mean + p.lines.channels;
	}
	return p;
}

static enum phiz_status batch_norm(struct phiz_call *call)
{
	const struct phiz_cuda_norm p = norm_of(call);
	if (p.batch && p.lines.outer * p.lines.inner < 2)
		return phiz_fail(call->ctx, PHIZ_E_ARG, "batch_norm %s: want at least 2 values per channel to train on, got 1 "
		                 "(take a larger batch, or freeze it)", call->node->name);
	return started(call, phiz_cuda_norm_forward(&p, phiz_cuda_of(call)->stream));
}

static enum phiz_status batch_norm_back(struct phiz_call *call)
{
	struct phiz_cuda_norm p = norm_of(call);
	p.dy = call->dout[0].data;
	p.dx = call->din[0].data;
	p.dw = call->din[PHIZ_BATCH_NORM_WEIGHT].data;
	p.db = call->din[PHIZ_BATCH_NORM_BIAS].data;
	p.add_dx = adds(call, 0);
	p.add_dw = adds(call, PHIZ_BATCH_NORM_WEIGHT);
	p.add_db = adds(call, PHIZ_BATCH_NORM_BIAS);
	return p.dy ? started(call, phiz_cuda_norm_backward(&p, phiz_cuda_of(call)->stream)) : PHIZ_OK;
}

/* --- Pools --- */

static bool pool_supports(const struct phiz_call *call)
{
	return call->in[0].dtype == call->out[0].dtype && call->in[0].layout == call->out[0].layout;
}

static bool avg_pool_supports(const struct phiz_call *call) { return pool_supports(call) && !call->training; }
static bool global_supports(const struct phiz_call *call) { return call->in[0].dtype == call->out[0].dtype; }

static enum phiz_status run_pool(const struct phiz_call *call, struct phiz_cuda_pool *p)
{
	p->in = phiz_cuda_picture_of(&call->in[0]);
	p->out = phiz_cuda_picture_of(&call->out[0]);
	return started(call, phiz_cuda_run_pool(p, phiz_cuda_of(call)->stream));
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
	if (!call->saved[0].data)
		return run_pool(call, &p);
	p.in = phiz_cuda_picture_of(&call->in[0]);
	p.out = phiz_cuda_picture_of(&call->out[0]);
	return started(call, phiz_cuda_max_pool_forward(&p, call->saved[0].data, phiz_cuda_of(call)->stream));
}

static enum phiz_status max_pool2d_back(struct phiz_call *call)
{
	struct phiz_cuda_pool p = window_of(call);
	if (!call->din[0].data || !call->dout[0].data)
		return PHIZ_OK;
	p.in = phiz_cuda_picture_of(&call->din[0]);
	p.out = phiz_cuda_picture_of(&call->dout[0]);
	return started(call, phiz_cuda_max_pool_backward(&p, call->saved[0].data, adds(call, 0),
	                                                 phiz_cuda_of(call)->stream));
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

static enum phiz_status global_avg_pool_back(struct phiz_call *call)
{
	if (!call->din[0].data || !call->dout[0].data)
		return PHIZ_OK;
	struct phiz_cuda_picture din = phiz_cuda_picture_of(&call->din[0]), dout = phiz_cuda_picture_of(&call->dout[0]);
	return started(call, phiz_cuda_mean_backward(&din, &dout, adds(call, 0), phiz_cuda_of(call)->stream));
}

/* --- softmax_cross_entropy, in F32 --- */

enum { ENTROPY_P, ENTROPY_SUM }; /* saved */

static size_t cross_entropy_workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	(void)threads;
	return 2 * (size_t)call->in[0].shape.dim[0] * sizeof(float);
}

static struct phiz_cuda_cross_entropy cross_entropy_of(const struct phiz_call *call)
{
	return (struct phiz_cuda_cross_entropy){
		.n = call->in[0].shape.dim[0], .classes = call->in[0].shape.dim[1], .logits = call->in[0].data,
		.labels = call->in[PHIZ_CE_LABELS].data, .class_weight = data_of(call, PHIZ_CE_WEIGHT),
		.labels_b = data_of(call, PHIZ_CE_LABELS_B), .lambda = data_of(call, PHIZ_CE_LAMBDA),
		.p = call->saved[ENTROPY_P].data, .sum = call->saved[ENTROPY_SUM].data, .loss = call->out[0].data,
		.smoothing = (float)call->node->attr[PHIZ_CE_SMOOTHING].f,
		.allow_none = call->node->attr[PHIZ_CE_ALLOW_NONE].i != 0, .sample = call->workspace,
	};
}

static enum phiz_status softmax_cross_entropy(struct phiz_call *call)
{
	const struct phiz_cuda_cross_entropy p = cross_entropy_of(call);
	return started(call, phiz_cuda_cross_entropy_forward(&p, phiz_cuda_of(call)->stream));
}

static enum phiz_status softmax_cross_entropy_back(struct phiz_call *call)
{
	struct phiz_cuda_cross_entropy p = cross_entropy_of(call);
	p.dloss = call->dout[0].data;
	p.dlogits = call->din[0].data;
	p.add = adds(call, 0);
	return p.dloss && p.dlogits ? started(call, phiz_cuda_cross_entropy_backward(&p, phiz_cuda_of(call)->stream))
	                            : PHIZ_OK;
}

#define ROW(op_, dtype_, supports_, workspace_, backward_) \
	{.op = #op_, .name = "cuda", .dtype = dtype_, .supports = supports_, .workspace = workspace_, .forward = op_, \
	 .backward = backward_, .blocked = true}
#define ROWS(op_, supports_, workspace_, backward_) \
	const struct phiz_kernel phiz_cuda_##op_[3] = {ROW(op_, PHIZ_F32, supports_, workspace_, backward_), \
	                                               ROW(op_, PHIZ_F16, supports_, workspace_, backward_), \
	                                               ROW(op_, PHIZ_BF16, supports_, workspace_, backward_)}
ROWS(relu, one_supports, NULL, relu_back);
ROWS(leaky_relu, one_supports, NULL, leaky_relu_back);
ROWS(prelu, one_supports, prelu_workspace, prelu_back);
ROWS(add, two_supports, NULL, add_back);
ROWS(batch_norm, one_supports, batch_norm_workspace, batch_norm_back);
ROWS(max_pool2d, pool_supports, NULL, max_pool2d_back);
ROWS(avg_pool2d, avg_pool_supports, NULL, NULL);
ROWS(global_avg_pool, global_supports, NULL, global_avg_pool_back);
const struct phiz_kernel phiz_cuda_softmax_cross_entropy[3] = {
	ROW(softmax_cross_entropy, PHIZ_F32, NULL, cross_entropy_workspace, softmax_cross_entropy_back)};
