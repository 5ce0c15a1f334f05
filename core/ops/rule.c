#include "core/ops/rule.h"

#include "core/base/error.h"

bool phiz_rule_has(const struct phiz_node *node, const struct phiz_type *in, int i)
{
	return i < node->n_inputs && in[i].shape.ndim >= 0;
}

const char *phiz_rule_input_name(const struct phiz_node *node, int i)
{
	return node->op->input_names[i < node->op->max_inputs ? i : node->op->max_inputs - 1];
}

static enum phiz_status check_attrs(struct phiz_ctx *ctx, const struct phiz_node *node)
{
	for (int i = 0; i < node->op->n_attrs; i++) {
		const struct phiz_attr_desc *d = &node->op->attrs[i];
		double v = d->kind == PHIZ_ATTR_INT ? (double)node->attr[i].i : node->attr[i].f;

		if (!(v >= d->min && v <= d->max))
			return phiz_fail(ctx, PHIZ_E_ARG, "%s: want %.10g to %.10g, got %.10g", d->name, d->min, d->max, v);
	}
	return PHIZ_OK;
}

static enum phiz_status check_type(struct phiz_ctx *ctx, const char *what, enum phiz_dtype dtype,
                                   const struct phiz_shape *shape)
{
	char text[128];
	size_t bytes;

	if (shape->ndim < 0 || shape->ndim > PHIZ_MAX_DIMS)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want at most %d dims, got %d", what, PHIZ_MAX_DIMS, shape->ndim);
	for (int d = 0; d < shape->ndim; d++)
		if (shape->dim[d] < 1 || shape->dim[d] > PHIZ_RULE_DIM_MAX)
			return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want dims from 1 to %d, got %s", what, PHIZ_RULE_DIM_MAX,
			                 phiz_shape_text(shape, text));
	if (phiz_shape_bytes(ctx, dtype, shape, &bytes) != PHIZ_OK)
		return phiz_fail_in(ctx, "%s", what);
	return PHIZ_OK;
}

enum phiz_status phiz_rule_begin(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in)
{
	enum phiz_status status = check_attrs(ctx, node);

	for (int i = 0; status == PHIZ_OK && i < node->n_inputs; i++)
		if (phiz_rule_has(node, in, i))
			status = check_type(ctx, phiz_rule_input_name(node, i), in[i].dtype, &in[i].shape);
	for (int i = 0; status == PHIZ_OK && i < node->op->min_inputs; i++)
		if (!phiz_rule_has(node, in, i))
			status = phiz_fail(ctx, PHIZ_E_SHAPE, "want input %s, got none", phiz_rule_input_name(node, i));
	return status;
}

static bool is_float(enum phiz_dtype dtype)
{
	return dtype == PHIZ_F32 || dtype == PHIZ_F64 || dtype == PHIZ_F16 || dtype == PHIZ_BF16;
}

enum phiz_status phiz_rule_float(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i)
{
	if (is_float(in[i].dtype))
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want f32, f64, f16 or bf16, got %s", phiz_rule_input_name(node, i),
	                 phiz_dtype_name(in[i].dtype));
}

enum phiz_status phiz_rule_dtype(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                 enum phiz_dtype want)
{
	if (in[i].dtype == want)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want %s, got %s", phiz_rule_input_name(node, i), phiz_dtype_name(want),
	                 phiz_dtype_name(in[i].dtype));
}

enum phiz_status phiz_rule_param(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i)
{
	bool small = in[0].dtype == PHIZ_F16 || in[0].dtype == PHIZ_BF16;

	if (in[i].dtype == in[0].dtype || (small && in[i].dtype == PHIZ_F32))
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want %s beside %s of %s, got %s", phiz_rule_input_name(node, i),
	                 small ? "f32 or the same" : "the same", phiz_rule_input_name(node, 0),
	                 phiz_dtype_name(in[0].dtype), phiz_dtype_name(in[i].dtype));
}

enum phiz_status phiz_rule_ndim(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                int ndim, const char *dims)
{
	char text[128];

	if (in[i].shape.ndim == ndim)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want %d dims %s, got %s", phiz_rule_input_name(node, i), ndim, dims,
	                 phiz_shape_text(&in[i].shape, text));
}

enum phiz_status phiz_rule_shape(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                 const struct phiz_shape *want)
{
	char text[128], text_want[128];

	if (phiz_shape_equal(&in[i].shape, want))
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want shape %s, got %s", phiz_rule_input_name(node, i),
	                 phiz_shape_text(want, text_want), phiz_shape_text(&in[i].shape, text));
}

enum phiz_status phiz_rule_vector(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                  int64_t n)
{
	struct phiz_shape want = phiz_shape_1d(n);

	if (!phiz_rule_has(node, in, i))
		return PHIZ_OK;
	if (phiz_rule_param(ctx, node, in, i) != PHIZ_OK)
		return PHIZ_E_SHAPE;
	return phiz_rule_shape(ctx, node, in, i, &want);
}

enum phiz_status phiz_rule_floats(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                  int64_t n)
{
	struct phiz_shape want = phiz_shape_1d(n);

	if (!phiz_rule_has(node, in, i))
		return PHIZ_OK;
	if (phiz_rule_dtype(ctx, node, in, i, PHIZ_F32) != PHIZ_OK)
		return PHIZ_E_SHAPE;
	return phiz_rule_shape(ctx, node, in, i, &want);
}

enum phiz_status phiz_rule_axis(struct phiz_ctx *ctx, const struct phiz_node *node, int attr,
                                const struct phiz_shape *shape, int *axis)
{
	int64_t a = node->attr[attr].i;
	char text[128];

	if (a < -shape->ndim || a >= shape->ndim)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want %d to %d for shape %s, got %lld", node->op->attrs[attr].name,
		                 -shape->ndim, shape->ndim - 1, phiz_shape_text(shape, text), (long long)a);
	*axis = (int)(a < 0 ? a + shape->ndim : a);
	return PHIZ_OK;
}

enum phiz_status phiz_rule_output(struct phiz_ctx *ctx, enum phiz_dtype dtype, const struct phiz_shape *shape,
                                  struct phiz_type *out)
{
	enum phiz_status status = check_type(ctx, "output", dtype, shape);

	if (status == PHIZ_OK) {
		out->dtype = dtype;
		out->shape = *shape;
	}
	return status;
}

enum phiz_status phiz_rule_same(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, 0);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, in[0].dtype, &in[0].shape, out);
	return status;
}

/* The size of one dim of a convolution's output. */
static enum phiz_status conv2d_size(struct phiz_ctx *ctx, const char *what, int64_t padded, int64_t taps,
                                    int64_t dilation, int64_t stride, int64_t *out)
{
	int64_t extent = dilation * (taps - 1) + 1;

	if (padded < extent)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want a padded input of at least the filter's %lld, got %lld", what,
		                 (long long)extent, (long long)padded);
	*out = (padded - extent) / stride + 1;
	return PHIZ_OK;
}

static enum phiz_status check_channels(struct phiz_ctx *ctx, int64_t c, int64_t k, int64_t cg, int64_t groups)
{
	if (c % groups)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "want input channels in multiples of %lld groups, got %lld",
		                 (long long)groups, (long long)c);
	if (k % groups)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "want filters in multiples of %lld groups, got %lld", (long long)groups,
		                 (long long)k);
	if (c != cg * groups)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "want %lld input channels, got %lld", (long long)(cg * groups),
		                 (long long)c);
	return PHIZ_OK;
}

enum phiz_status phiz_rule_conv2d(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                  struct phiz_shape *out)
{
	const int64_t *x = in[PHIZ_CONV2D_INPUT].shape.dim, *w = in[PHIZ_CONV2D_WEIGHT].shape.dim;
	const union phiz_attr *a = node->attr;
	enum phiz_status status = phiz_rule_ndim(ctx, node, in, PHIZ_CONV2D_INPUT, 4, "[N, C, H, W]");

	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_CONV2D_WEIGHT, 4, "[K, C/groups, R, S]");
	if (status == PHIZ_OK)
		status = check_channels(ctx, x[1], w[0], w[1], a[PHIZ_CONV2D_GROUPS].i);
	if (status == PHIZ_OK && (w[2] > PHIZ_RULE_WINDOW_MAX || w[3] > PHIZ_RULE_WINDOW_MAX))
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "weight: want filters of at most %d by %d, got %lld by %lld",
		                   PHIZ_RULE_WINDOW_MAX, PHIZ_RULE_WINDOW_MAX, (long long)w[2], (long long)w[3]);
	if (status != PHIZ_OK)
		return status;
	*out = phiz_shape_4d(x[0], w[0], 0, 0);
	status = conv2d_size(ctx, "height", x[2] + a[PHIZ_CONV2D_PAD_TOP].i + a[PHIZ_CONV2D_PAD_BOTTOM].i, w[2],
	                     a[PHIZ_CONV2D_DILATION_H].i, a[PHIZ_CONV2D_STRIDE_H].i, &out->dim[2]);
	if (status == PHIZ_OK)
		status = conv2d_size(ctx, "width", x[3] + a[PHIZ_CONV2D_PAD_LEFT].i + a[PHIZ_CONV2D_PAD_RIGHT].i, w[3],
		                     a[PHIZ_CONV2D_DILATION_W].i, a[PHIZ_CONV2D_STRIDE_W].i, &out->dim[3]);
	return status;
}

/* One dim of phiz_rule_pool; all values were checked against their limits. */
static enum phiz_status pool_size(struct phiz_ctx *ctx, const char *what, int64_t size, int64_t kernel, int64_t stride,
                                  int64_t pad, bool ceil_mode, int64_t *out)
{
	int64_t room = size + 2 * pad - kernel;

	if (pad > kernel / 2)
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: want padding of at most half the window %lld, got %lld", what,
		                 (long long)kernel, (long long)pad);
	if (room < 0)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "%s: want a padded input of at least the window's %lld, got %lld", what,
		                 (long long)kernel, (long long)(size + 2 * pad));
	*out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
	if (ceil_mode && (*out - 1) * stride >= size + pad)
		(*out)--;
	return PHIZ_OK;
}

enum phiz_status phiz_rule_pool(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                struct phiz_type *out)
{
	const union phiz_attr *a = node->attr;
	bool ceil_mode;
	struct phiz_shape shape;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = in[0].dtype == PHIZ_U8 && node->op->reference_u8.forward ? PHIZ_OK : phiz_rule_float(ctx, node, in, 0);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, 0, 4, "[N, C, H, W]");
	if (status != PHIZ_OK)
		return status;
	ceil_mode = a[PHIZ_POOL_CEIL].i != 0;
	shape = in[0].shape;
	status = pool_size(ctx, "height", in[0].shape.dim[2], a[PHIZ_POOL_KERNEL_H].i, a[PHIZ_POOL_STRIDE_H].i,
	                   a[PHIZ_POOL_PAD_H].i, ceil_mode, &shape.dim[2]);
	if (status == PHIZ_OK)
		status = pool_size(ctx, "width", in[0].shape.dim[3], a[PHIZ_POOL_KERNEL_W].i, a[PHIZ_POOL_STRIDE_W].i,
		                   a[PHIZ_POOL_PAD_W].i, ceil_mode, &shape.dim[3]);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, in[0].dtype, &shape, out);
	return status;
}

enum phiz_dtype phiz_rule_wide(enum phiz_dtype dtype)
{
	return dtype == PHIZ_F64 ? PHIZ_F64 : PHIZ_F32;
}

double phiz_cost_count(const struct phiz_type *type)
{
	double n = 1;

	if (type->shape.ndim < 0)
		return 0;
	for (int d = 0; d < type->shape.ndim; d++)
		n *= (double)type->shape.dim[d];
	return n;
}

double phiz_cost_bytes(const struct phiz_type *type)
{
	return phiz_cost_count(type) * (double)phiz_dtype_size(type->dtype);
}

void phiz_cost_fill(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    double forward_flops, double backward_flops, struct phiz_cost *cost)
{
	double bytes_in = 0, bytes_din = 0, bytes_out = 0;

	for (int i = 0; i < node->n_inputs; i++)
		if (phiz_rule_has(node, in, i)) {
			bytes_in += phiz_cost_bytes(&in[i]);
			if (node->op->diff_mask >> i & 1u)
				bytes_din += phiz_cost_bytes(&in[i]);
		}
	for (int i = 0; i < node->n_outputs; i++)
		bytes_out += phiz_cost_bytes(&out[i]);
	cost->forward_flops = forward_flops;
	cost->backward_flops = backward_flops;
	cost->forward_bytes = bytes_in + bytes_out;
	cost->backward_bytes = bytes_in + 2 * bytes_out + bytes_din;
}

void phiz_cost_none(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    struct phiz_cost *cost)
{
	(void)node;
	(void)in;
	(void)out;
	*cost = (struct phiz_cost){0};
}

bool phiz_op_has_backward(const struct phiz_node *node)
{
	if (node->op == &phiz_op_conv2d)
		return node->attr[PHIZ_CONV2D_ACT].i == PHIZ_ACT_NONE &&
		       (node->n_inputs <= PHIZ_CONV2D_RESIDUAL || node->input[PHIZ_CONV2D_RESIDUAL] == PHIZ_NONE);
	return node->op->diff_mask != 0;
}

bool phiz_call_is_blocked(const struct phiz_call *call)
{
	for (int i = 0; i < call->n_in; i++)
		if (call->in[i].layout != PHIZ_PLAIN)
			return true;
	for (int o = 0; o < call->n_out; o++)
		if (call->out[o].layout != PHIZ_PLAIN)
			return true;
	return false;
}

bool phiz_call_same_layout(const struct phiz_call *call)
{
	for (int i = 0; i < call->n_in; i++) {
		bool same = phiz_shape_equal(&call->in[i].shape, &call->out[0].shape);
		if (call->in[i].layout != (same ? call->out[0].layout : PHIZ_PLAIN))
			return false;
	}
	return true;
}

const struct phiz_kernel *phiz_op_reference(const struct phiz_op *op, enum phiz_dtype dtype)
{
	const struct phiz_kernel *kernel = dtype == PHIZ_F32   ? &op->reference_f32
	                                   : dtype == PHIZ_F64 ? &op->reference_f64
	                                   : dtype == PHIZ_U8  ? &op->reference_u8
	                                                       : NULL;
	return kernel && kernel->forward ? kernel : NULL;
}
