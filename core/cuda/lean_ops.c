/* The kit of libphiz_cuda_lean.so: conv2d and linear by kernels of our own (kernels_lean.h), for running models where
 * cuDNN and cuBLAS would take more memory than the models do. F32 and F16; plans must be `fixed`: weights are packed
 * once for all, and a run does not pack them. */
#include "core/cuda/row.h"

#include "core/base/error.h"
#include "core/cuda/kernels_lean.h"
#include "core/ops/ops.h"
#include "core/ops/rule.h"

/* What kernels count in 32 and in 16 bits. */
#define MOST_ELEMENTS ((int64_t)0x7fffffff)
#define MOST_OFFSET ((int64_t)0x7fff)
#define MOST_ROWS_OF_BLOCKS 65535

static const struct phiz_tensor *input_of(const struct phiz_call *call, int i)
{
	return i < call->n_in && call->in[i].shape.ndim >= 0 ? &call->in[i] : NULL;
}

/* --- conv2d: depthwise; Winograd's algorithm where it is counted to be faster; directly, which does all. Kept by the
 * last two: the packed weights, and the bias in float32 behind them; the first reads the model's own. --- */

static struct phiz_cuda_lean_conv conv_of(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const int64_t *x = call->in[0].shape.dim, *y = call->out[0].shape.dim;
	const int64_t *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const union phiz_attr *a = call->node->attr;
	const struct phiz_tensor *residual = input_of(call, PHIZ_CONV2D_RESIDUAL);
	return (struct phiz_cuda_lean_conv){
		.x = call->in[0].data, .y = call->out[0].data, .residual = residual ? residual->data : NULL,
		.x_dtype = (int)call->in[0].dtype, .y_dtype = (int)call->out[0].dtype, .dtype = (int)dtype,
		.n = x[0], .c = (int)x[1], .h = (int)x[2], .w = (int)x[3], .k = (int)y[1], .p = (int)y[2], .q = (int)y[3],
		.r = (int)w[2], .s = (int)w[3],
		.stride_h = (int)a[PHIZ_CONV2D_STRIDE_H].i, .stride_w = (int)a[PHIZ_CONV2D_STRIDE_W].i,
		.pad_top = (int)a[PHIZ_CONV2D_PAD_TOP].i, .pad_left = (int)a[PHIZ_CONV2D_PAD_LEFT].i,
		.dilation_h = (int)a[PHIZ_CONV2D_DILATION_H].i, .dilation_w = (int)a[PHIZ_CONV2D_DILATION_W].i,
		.groups = (int)a[PHIZ_CONV2D_GROUPS].i, .act = (int)a[PHIZ_CONV2D_ACT].i,
		.slope = (float)a[PHIZ_CONV2D_ACT_SLOPE].f,
	};
}

static bool is_small(const struct phiz_call *call)
{
	const int64_t *x = call->in[0].shape.dim, *y = call->out[0].shape.dim;
	const int64_t *w = call->in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const union phiz_attr *a = call->node->attr;
	for (int i = PHIZ_CONV2D_STRIDE_H; i <= PHIZ_CONV2D_DILATION_W; i++)
		if (a[i].i > MOST_OFFSET)
			return false;
	return x[1] * x[2] * x[3] <= MOST_ELEMENTS && y[1] * y[2] * y[3] <= MOST_ELEMENTS &&
	       y[0] * y[2] * y[3] <= MOST_ELEMENTS && w[0] * w[1] * w[2] * w[3] <= MOST_ELEMENTS / 128 &&
	       w[2] * a[PHIZ_CONV2D_DILATION_H].i <= MOST_OFFSET && w[3] * a[PHIZ_CONV2D_DILATION_W].i <= MOST_OFFSET &&
	       (y[1] + 63 * a[PHIZ_CONV2D_GROUPS].i) / 64 <= MOST_ROWS_OF_BLOCKS;
}

static bool supports(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const enum phiz_dtype in = call->in[0].dtype, out = call->out[0].dtype;
	const struct phiz_tensor *residual = input_of(call, PHIZ_CONV2D_RESIDUAL);
	return (in == dtype || in == PHIZ_F32) && (out == dtype || out == PHIZ_F32) && !call->training &&
	       call->in[PHIZ_CONV2D_WEIGHT].dtype == PHIZ_F32 && (!residual || residual->dtype == out) && is_small(call);
}

static size_t bias_bytes(const struct phiz_call *call)
{
	return input_of(call, PHIZ_CONV2D_BIAS) ? (size_t)call->out[0].shape.dim[1] * sizeof(float) : 0;
}

static bool is_depthwise(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	return phiz_cuda_lean_is_depthwise(&v);
}

static int64_t in_tiles(int64_t n) { return (n + 63) / 64 * 64; }

/* Images whose tiles are in the workspace at once: some thousands of tiles fill the device, more only take memory. */
static int64_t images_at_once(const struct phiz_cuda_lean_conv *v)
{
	const int64_t tiles = (int64_t)((v->p + 1) / 2) * ((v->q + 1) / 2), fit = 2048 / tiles;
	return fit < 1 ? 1 : fit < v->n ? fit : v->n;
}

/* Seconds on a Nano, in units of a multiply-add: 25.6 GB/s against 55 % of 236 G multiply-adds a second in F16 (60 % of
 * 118 in F32) are 5.1 (2.8) a byte. Tiles count whole (kernels_lean.cu). Direct: the longer of arithmetic and memory;
 * Winograd: the transforms move V there and back in T and M in float, and nothing of it overlaps. */
static bool winograd_is_faster(const struct phiz_cuda_lean_conv *v)
{
	const double a_byte = v->dtype == PHIZ_F16 ? 5.1 : 2.8, size = v->dtype == PHIZ_F16 ? 2 : 4;
	const double n = (double)images_at_once(v), c = v->c, k = v->k, padded_k = (double)in_tiles(v->k);
	const double pixels = n * v->p * v->q, tiles = n * ((v->p + 1) / 2) * ((v->q + 1) / 2);
	const double pictures = size * (n * c * v->h * v->w + k * pixels);
	const double arithmetic = (double)in_tiles((int64_t)pixels) * padded_k * 9 * c;
	const double memory = (pictures + size * 9 * c * k) * a_byte, direct = arithmetic > memory ? arithmetic : memory;
	const double moved = pictures + 16 * (2 * size * c * tiles + 2 * 4 * k * tiles + size * c * k);
	return 16 * (double)in_tiles((int64_t)tiles) * padded_k * c + moved * a_byte < direct;
}

static bool is_winograd(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	const int64_t tiles = images_at_once(&v) * ((v.p + 1) / 2) * ((v.q + 1) / 2), most = v.c > v.k ? v.c : v.k;
	return v.r == 3 && v.s == 3 && v.stride_h == 1 && v.stride_w == 1 && v.dilation_h == 1 && v.dilation_w == 1 &&
	       v.groups == 1 && 16 * most * tiles <= MOST_ELEMENTS && 16 * in_tiles(v.k) / 64 <= MOST_ROWS_OF_BLOCKS &&
	       winograd_is_faster(&v);
}

/* What is kept, by what packs it. */
struct packing {
	size_t (*bytes)(const struct phiz_cuda_lean_conv *v);
	int (*pack)(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream);
};
static const struct packing direct = {phiz_cuda_lean_weight_bytes, phiz_cuda_lean_pack};
static const struct packing winograd = {phiz_cuda_lean_winograd_weight_bytes, phiz_cuda_lean_winograd_pack};

static size_t constants(const struct phiz_call *call, enum phiz_dtype dtype, const struct packing *packing)
{
	const struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	return phiz_cuda_line_up(packing->bytes(&v)) + bias_bytes(call);
}

/* What fails here shows when the plan waits for it. */
static void prepare(const struct phiz_call *call, void *kept, enum phiz_dtype dtype, const struct packing *packing)
{
	const struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	char *bias = (char *)kept + phiz_cuda_line_up(packing->bytes(&v));
	(void)packing->pack(&v, call->in[PHIZ_CONV2D_WEIGHT].data, kept, phiz_cuda_of(call)->stream);
	if (bias_bytes(call))
		(void)cudaMemcpyAsync(bias, call->in[PHIZ_CONV2D_BIAS].data, bias_bytes(call), cudaMemcpyDeviceToDevice,
		                      phiz_cuda_of(call)->stream);
}

static enum phiz_status needs_fixed(const struct phiz_call *call)
{
	return phiz_fail(call->ctx, PHIZ_E_UNSUPPORTED, "without cuDNN a plan must be fixed: parameters that stay");
}

static void use_kept(struct phiz_cuda_lean_conv *v, const struct phiz_call *call, const struct packing *packing)
{
	v->weights = call->constants;
	if (bias_bytes(call))
		v->bias = (const float *)(const void *)((const char *)call->constants + phiz_cuda_line_up(packing->bytes(v)));
}

static enum phiz_status run_direct(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	if (!call->constants)
		return needs_fixed(call);
	use_kept(&v, call, &direct);
	return started(call, phiz_cuda_lean_run(&v, phiz_cuda_of(call)->stream));
}

static enum phiz_status run_depthwise(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	v.weights = call->in[PHIZ_CONV2D_WEIGHT].data;
	v.bias = data_of(call, PHIZ_CONV2D_BIAS);
	return started(call, phiz_cuda_lean_run_depthwise(&v, phiz_cuda_of(call)->stream));
}

/* So many images of the call. */
static struct phiz_cuda_lean_conv part_of(const struct phiz_cuda_lean_conv *v, int64_t first, int64_t n)
{
	const size_t x_size = phiz_dtype_size((enum phiz_dtype)v->x_dtype);
	const size_t y_size = phiz_dtype_size((enum phiz_dtype)v->y_dtype);
	const size_t x = (size_t)(first * v->c * v->h * v->w) * x_size, y = (size_t)(first * v->k * v->p * v->q) * y_size;
	struct phiz_cuda_lean_conv part = *v;
	part.n = n;
	part.x = (const char *)v->x + x;
	part.y = (char *)v->y + y;
	part.residual = v->residual ? (const char *)v->residual + y : NULL;
	return part;
}

static enum phiz_status run_winograd(struct phiz_call *call, enum phiz_dtype dtype)
{
	struct phiz_cuda_lean_conv v = conv_of(call, dtype);
	const int64_t images = images_at_once(&v);
	enum phiz_status status = PHIZ_OK;
	if (!call->constants)
		return needs_fixed(call);
	use_kept(&v, call, &winograd);
	for (int64_t n = 0; n < v.n && !status; n += images) {
		const struct phiz_cuda_lean_conv part = part_of(&v, n, v.n - n < images ? v.n - n : images);
		status = started(call, phiz_cuda_lean_run_winograd(&part, call->workspace, phiz_cuda_of(call)->stream));
	}
	return status;
}

static size_t winograd_workspace(const struct phiz_call *call, enum phiz_dtype dtype)
{
	const struct phiz_cuda_lean_conv v = conv_of(call, dtype), part = part_of(&v, 0, images_at_once(&v));
	return phiz_cuda_lean_winograd_workspace(&part);
}

#define ROW(name_, dtype_) \
	static bool supports_##name_(const struct phiz_call *call) { return supports(call, dtype_); } \
	static size_t constants_##name_(const struct phiz_call *call) { return constants(call, dtype_, &direct); } \
	static void prepare_##name_(const struct phiz_call *call, void *kept) { prepare(call, kept, dtype_, &direct); } \
	static enum phiz_status forward_##name_(struct phiz_call *call) { return run_direct(call, dtype_); } \
	static bool supports_depthwise_##name_(const struct phiz_call *call) \
	{ \
		return supports(call, dtype_) && is_depthwise(call, dtype_); \
	} \
	static enum phiz_status depthwise_##name_(struct phiz_call *call) { return run_depthwise(call, dtype_); } \
	static bool supports_winograd_##name_(const struct phiz_call *call) \
	{ \
		return supports(call, dtype_) && is_winograd(call, dtype_); \
	} \
	static size_t workspace_winograd_##name_(const struct phiz_call *call, bool backward, int threads) \
	{ \
		(void)backward; \
		(void)threads; \
		return winograd_workspace(call, dtype_); \
	} \
	static size_t constants_winograd_##name_(const struct phiz_call *call) \
	{ \
		return constants(call, dtype_, &winograd); \
	} \
	static void prepare_winograd_##name_(const struct phiz_call *call, void *kept) \
	{ \
		prepare(call, kept, dtype_, &winograd); \
	} \
	static enum phiz_status winograd_##name_(struct phiz_call *call) { return run_winograd(call, dtype_); }
ROW(f32, PHIZ_F32)
ROW(f16, PHIZ_F16)

#define DIRECT(name_, dtype_) \
	{.op = "conv2d", .name = "lean.direct", .dtype = dtype_, .supports = supports_##name_, .forward = forward_##name_, \
	 .constants = constants_##name_, .prepare = prepare_##name_}
#define DEPTHWISE(name_, dtype_) \
	{.op = "conv2d", .name = "lean.depthwise", .dtype = dtype_, .supports = supports_depthwise_##name_, \
	 .forward = depthwise_##name_}
#define WINOGRAD(name_, dtype_) \
	{.op = "conv2d", .name = "lean.winograd", .dtype = dtype_, .supports = supports_winograd_##name_, \
	 .workspace = workspace_winograd_##name_, .forward = winograd_##name_, .constants = constants_winograd_##name_, \
	 .prepare = prepare_winograd_##name_}
static const struct phiz_kernel direct_rows[PHIZ_CUDA_DTYPES] = {DIRECT(f32, PHIZ_F32), DIRECT(f16, PHIZ_F16)};
static const struct phiz_kernel depthwise_rows[PHIZ_CUDA_DTYPES] = {DEPTHWISE(f32, PHIZ_F32), DEPTHWISE(f16, PHIZ_F16)};
static const struct phiz_kernel winograd_rows[PHIZ_CUDA_DTYPES] = {WINOGRAD(f32, PHIZ_F32), WINOGRAD(f16, PHIZ_F16)};

/* --- linear. Kept, in F16: the weights in it; in F32 the model's own serve. --- */

static bool linear_supports(const struct phiz_call *call)
{
	const enum phiz_dtype in = call->in[0].dtype, out = call->out[0].dtype;
	return (out == in || out == PHIZ_F32) && !call->training && call->in[PHIZ_LINEAR_WEIGHT].dtype == PHIZ_F32 &&
	       (call->in[0].shape.dim[0] + 3) / 4 <= MOST_ROWS_OF_BLOCKS;
}

static size_t linear_constants(const struct phiz_call *call)
{
	const enum phiz_dtype dtype = call->in[0].dtype;
	return dtype == PHIZ_F32 ? 0 : (size_t)phiz_tensor_count(&call->in[PHIZ_LINEAR_WEIGHT]) * phiz_dtype_size(dtype);
}

static void linear_prepare(const struct phiz_call *call, void *kept)
{
	const struct phiz_tensor *w = &call->in[PHIZ_LINEAR_WEIGHT];
	const struct phiz_cuda_picture from = phiz_cuda_picture_of(w);
	const struct phiz_cuda_picture to = phiz_cuda_picture_like(w, call->in[0].dtype, PHIZ_PLAIN, kept);
	(void)phiz_cuda_copy(&from, &to, false, phiz_cuda_of(call)->stream);
}

static enum phiz_status linear(struct phiz_call *call)
{
	struct phiz_cuda_lean_linear l = {
		.x = call->in[0].data, .w = call->in[PHIZ_LINEAR_WEIGHT].data, .y = call->out[0].data,
		.dtype = (int)call->in[0].dtype, .y_dtype = (int)call->out[0].dtype, .n = call->in[0].shape.dim[0],
		.f = call->in[0].shape.dim[1], .g = call->out[0].shape.dim[1],
		.bias = data_of(call, PHIZ_LINEAR_BIAS), .act = (int)call->node->attr[PHIZ_LINEAR_ACT].i,
		.slope = (float)call->node->attr[PHIZ_LINEAR_ACT_SLOPE].f,
	};
	if (l.dtype != PHIZ_F32 && !call->constants)
		return needs_fixed(call);
	if (l.dtype != PHIZ_F32)
		l.w = call->constants;
	return started(call, phiz_cuda_lean_run_linear(&l, phiz_cuda_of(call)->stream));
}

#define LINEAR(dtype_) \
	{.op = "linear", .name = "lean", .dtype = dtype_, .supports = linear_supports, .forward = linear, \
	 .constants = linear_constants, .prepare = linear_prepare}
static const struct phiz_kernel linear_rows[PHIZ_CUDA_DTYPES] = {LINEAR(PHIZ_F32), LINEAR(PHIZ_F16)};

/* --- The kit --- */

static const struct phiz_kernel *const rows[] = {depthwise_rows, winograd_rows, direct_rows, linear_rows};

static int no_version(void) { return 0; }

static enum phiz_status open_nothing(struct phiz_ctx *ctx, struct phiz_cuda *c)
{
	(void)ctx;
	(void)c;
	return PHIZ_OK;
}

static void close_nothing(struct phiz_cuda *c) { (void)c; }

const struct phiz_cuda_kit phiz_cuda_kit = {
	.rows = rows, .n_rows = sizeof rows / sizeof rows[0], .lean = true, .cudnn_version = no_version,
	.open = open_nothing, .close = close_nothing,
};
