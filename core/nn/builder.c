/* Layers and blocks. */
#include "core/nn/builder.h"

#include <math.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"

enum { NAME_BYTES = 256 };

/* NODE.ROLE as a tensor of the model and a value of the graph. */
static enum phiz_status add_tensor(struct phiz_builder *b, const char *node, const char *role,
                                   const struct phiz_shape *shape, bool trainable, struct phiz_tensor **tensor,
                                   int *value)
{
	struct phiz_ctx *ctx = b->model->ctx;
	char name[NAME_BYTES];

	if (snprintf(name, sizeof name, "%s.%s", node, role) >= (int)sizeof name)
		return phiz_fail(ctx, PHIZ_E_ARG, "the name '%.40s...' is too long", node);
	enum phiz_status status = phiz_tensor_create(ctx, PHIZ_F32, shape, tensor);
	if (status)
		return phiz_fail_in(ctx, "%s", name);
	status = phiz_model_add(b->model, name, *tensor, trainable);
	if (status)
		return status;
	return trainable ? phiz_graph_param(b->model->graph, name, *tensor, value)
	                 : phiz_graph_buffer(b->model->graph, name, *tensor, value);
}

static const struct phiz_shape *shape_of(const struct phiz_builder *b, int value)
{
	return &phiz_graph_value(b->model->graph, value)->type.shape;
}

enum phiz_status phiz_build_plain(struct phiz_builder *b, const char *op, const char *name, const int *in, int n_in,
                                  const struct phiz_attr_arg *attr, int n_attrs, int *out)
{
	int outputs[PHIZ_MAX_OUTPUTS];
	const struct phiz_op *found = phiz_op_find(op);

	if (!found) {
		*out = PHIZ_NONE;
		return phiz_fail(b->model->ctx, PHIZ_E_UNSUPPORTED, "no operator '%s'", op);
	}
	enum phiz_status status = phiz_graph_add(b->model->graph, found, name, in, n_in, attr, n_attrs, outputs);
	*out = status ? PHIZ_NONE : outputs[0];
	return status;
}

static enum phiz_status check_conv(struct phiz_builder *b, const char *name, const struct phiz_shape *x,
                                   const struct phiz_conv_spec *spec)
{
	if (x->ndim != 4)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE, "conv2d %s: want a 4-d input (N C H W), got %d-d", name, x->ndim);
	if (spec->groups < 1 || x->dim[1] % spec->groups || spec->filters % spec->groups)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE,
		                 "conv2d %s: %lld channels and %lld filters do not divide into %lld groups", name,
		                 (long long)x->dim[1], (long long)spec->filters, (long long)spec->groups);
	return PHIZ_OK;
}

enum phiz_status phiz_build_conv(struct phiz_builder *b, const char *name, int in, const struct phiz_conv_spec *spec,
                                 int *out)
{
	const struct phiz_shape *x = shape_of(b, in);
	struct phiz_tensor *weight, *bias;
	int inputs[3] = {in, PHIZ_NONE, PHIZ_NONE};
	enum phiz_status status = check_conv(b, name, x, spec);

	if (status)
		return status;
	int64_t channels = x->dim[1] / spec->groups, window = spec->kernel_h * spec->kernel_w;
	struct phiz_shape shape = phiz_shape_4d(spec->filters, channels, spec->kernel_h, spec->kernel_w);
	status = add_tensor(b, name, "weight", &shape, true, &weight, &inputs[1]);
	if (status)
		return status;
	phiz_init_he_normal(weight, (double)(spec->filters * window) / (double)spec->groups, b->seed, b->drawn++);
	if (spec->bias) {
		shape = phiz_shape_1d(spec->filters);
		status = add_tensor(b, name, "bias", &shape, true, &bias, &inputs[2]);
		if (status)
			return status;
		phiz_init_uniform(bias, 1 / sqrt((double)(channels * window)), b->seed, b->drawn++);
	}
	const struct phiz_attr_arg attr[] = {
		{"stride_h", (double)spec->stride},     {"stride_w", (double)spec->stride},
		{"pad_top", (double)spec->pad_h},       {"pad_left", (double)spec->pad_w},
		{"pad_bottom", (double)spec->pad_h},    {"pad_right", (double)spec->pad_w},
		{"dilation_h", (double)spec->dilation}, {"dilation_w", (double)spec->dilation},
		{"groups", (double)spec->groups},
	};
	return phiz_build_plain(b, "conv2d", name, inputs, 3, attr, 9, out);
}

enum phiz_status phiz_build_batch_norm(struct phiz_builder *b, const char *name, int in, double eps, double momentum,
                                       int *out)
{
	static const struct {
		const char *role;
		double value;
		bool trainable;
	} part[] = {{"weight", 1, true}, {"bias", 0, true}, {"running_mean", 0, false}, {"running_var", 1, false}};
	const struct phiz_attr_arg attr[] = {{"eps", eps}, {"momentum", momentum}};
	int inputs[5] = {in, PHIZ_NONE, PHIZ_NONE, PHIZ_NONE, PHIZ_NONE};

	if (shape_of(b, in)->ndim < 2)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE, "batch_norm %s: want an input of 2 dims or more", name);
	struct phiz_shape shape = phiz_shape_1d(shape_of(b, in)->dim[1]);
	for (int i = 0; i < 4; i++) {
		struct phiz_tensor *t;
		enum phiz_status status = add_tensor(b, name, part[i].role, &shape, part[i].trainable, &t, &inputs[i + 1]);
		if (status)
			return status;
		phiz_init_constant(t, part[i].value);
	}
	return phiz_build_plain(b, "batch_norm", name, inputs, 5, attr, 2, out);
}

enum phiz_status phiz_build_linear(struct phiz_builder *b, const char *name, int in, int64_t outputs, bool bias,
                                   int *out)
{
	const struct phiz_shape *x = shape_of(b, in);
	struct phiz_tensor *t;
	int inputs[3] = {in, PHIZ_NONE, PHIZ_NONE};

	if (x->ndim != 2)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE, "linear %s: want a 2-d input (put flatten before it), got %d-d",
		                 name, x->ndim);
	double bound = 1 / sqrt((double)x->dim[1]);
	struct phiz_shape shape = phiz_shape_2d(outputs, x->dim[1]);
	enum phiz_status status = add_tensor(b, name, "weight", &shape, true, &t, &inputs[1]);
	if (status)
		return status;
	phiz_init_uniform(t, bound, b->seed, b->drawn++);
	if (bias) {
		shape = phiz_shape_1d(outputs);
		status = add_tensor(b, name, "bias", &shape, true, &t, &inputs[2]);
		if (status)
			return status;
		phiz_init_uniform(t, bound, b->seed, b->drawn++);
	}
	return phiz_build_plain(b, "linear", name, inputs, 3, NULL, 0, out);
}

enum phiz_status phiz_build_prelu(struct phiz_builder *b, const char *name, int in, int *out)
{
	struct phiz_tensor *t;
	int inputs[2] = {in, PHIZ_NONE};

	if (shape_of(b, in)->ndim < 2)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE, "prelu %s: want an input of 2 dims or more", name);
	struct phiz_shape shape = phiz_shape_1d(shape_of(b, in)->dim[1]);
	enum phiz_status status = add_tensor(b, name, "weight", &shape, true, &t, &inputs[1]);
	if (status)
		return status;
	phiz_init_constant(t, 0.25);
	return phiz_build_plain(b, "prelu", name, inputs, 2, NULL, 0, out);
}

enum phiz_status phiz_build_scale(struct phiz_builder *b, const char *name, int in, double factor, int *out)
{
	struct phiz_tensor *t;
	struct phiz_shape shape = *shape_of(b, in);
	int inputs[3] = {in, PHIZ_NONE, PHIZ_NONE};

	for (int d = 0; d < shape.ndim; d++)
		shape.dim[d] = 1;
	enum phiz_status status = add_tensor(b, name, &PHIZ_SCALE_SUFFIX[1], &shape, false, &t, &inputs[1]);
	if (status)
		return status;
	phiz_init_constant(t, factor);
	return phiz_build_plain(b, "affine", name, inputs, 3, NULL, 0, out);
}

/* NAME.CONV, NAME.BN and, if given, NAME.RELU. */
static enum phiz_status conv_bn(struct phiz_builder *b, const char *name, const char *conv, const char *bn,
                                const char *relu, int in, int64_t filters, int64_t kernel, int64_t stride, int *out)
{
	struct phiz_conv_spec spec = {filters, kernel, kernel, stride, kernel / 2, kernel / 2, 1, 1, false};
	char text[NAME_BYTES];

	snprintf(text, sizeof text, "%s.%s", name, conv);
	enum phiz_status status = phiz_build_conv(b, text, in, &spec, out);
	if (status)
		return status;
	snprintf(text, sizeof text, "%s.%s", name, bn);
	status = phiz_build_batch_norm(b, text, *out, 1e-5, 0.1, out);
	if (status || !relu)
		return status;
	snprintf(text, sizeof text, "%s.%s", name, relu);
	return phiz_build_plain(b, "relu", text, out, 1, NULL, 0, out);
}

/* relu(main path + shortcut); the shortcut is a 1x1 convolution where shapes differ. */
static enum phiz_status join(struct phiz_builder *b, const char *name, int in, int main_path, int64_t outputs,
                             int64_t stride, int *out)
{
	char text[NAME_BYTES];
	int sum[2] = {main_path, in};
	enum phiz_status status = PHIZ_OK;

	if (stride != 1 || shape_of(b, in)->dim[1] != outputs)
		status = conv_bn(b, name, "downsample.0", "downsample.1", NULL, in, outputs, 1, stride, &sum[1]);
	if (status)
		return status;
	snprintf(text, sizeof text, "%s.add", name);
	status = phiz_build_plain(b, "add", text, sum, 2, NULL, 0, out);
	if (status)
		return status;
	snprintf(text, sizeof text, "%s.relu", name);
	return phiz_build_plain(b, "relu", text, out, 1, NULL, 0, out);
}

enum phiz_status phiz_build_basic_block(struct phiz_builder *b, const char *name, int in, int64_t filters,
                                        int64_t stride, int *out)
{
	enum phiz_status status = conv_bn(b, name, "conv1", "bn1", "relu1", in, filters, 3, stride, out);
	if (!status)
		status = conv_bn(b, name, "conv2", "bn2", NULL, *out, filters, 3, 1, out);
	return status ? status : join(b, name, in, *out, filters, stride, out);
}

enum phiz_status phiz_build_bottleneck(struct phiz_builder *b, const char *name, int in, int64_t filters,
                                       int64_t stride, int *out)
{
	enum phiz_status status = conv_bn(b, name, "conv1", "bn1", "relu1", in, filters, 1, 1, out);
	if (!status)
		status = conv_bn(b, name, "conv2", "bn2", "relu2", *out, filters, 3, stride, out);
	if (!status)
		status = conv_bn(b, name, "conv3", "bn3", NULL, *out, 4 * filters, 1, 1, out);
	return status ? status : join(b, name, in, *out, 4 * filters, stride, out);
}
