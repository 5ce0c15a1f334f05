/* What each of our operators becomes in ONNX, opset 13. Most are one node; a fused residual and activation follow as
 * nodes of their own; what ONNX words otherwise (poolings that round up, l2 normalisation) becomes several. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/io/json.h"
#include "core/io/onnx_model.h"
#include "core/io/protobuf.h"
#include "core/ops/ops.h"

/* Fields of NodeProto and AttributeProto, and AttributeProto.type. */
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_S = 4, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_TEXT = 3, TYPE_INTS = 7 };

#define PHIZ_ONNX_NODE_NAMES 32 /* more than one node of ours ever needs */

int phiz_onnx_type(enum phiz_dtype dtype)
{
	static const int types[PHIZ_DTYPES] = {
		[PHIZ_F32] = PHIZ_ONNX_FLOAT, [PHIZ_F64] = 11, [PHIZ_F16] = 10, [PHIZ_BF16] = 16,
		[PHIZ_I8] = 3, [PHIZ_U8] = 2, [PHIZ_I32] = 6, [PHIZ_I64] = PHIZ_ONNX_INT64,
	};

	return types[dtype];
}

void phiz_onnx_add_tensor(struct phiz_onnx *o, const char *name, int type, const struct phiz_shape *shape,
                          const void *data, size_t bytes, void *owned)
{
	if (!o->status)
		o->status = phiz_grow(o->ctx, &o->tensor, &o->capacity, o->count + 1, sizeof(*o->tensor));
	if (o->status) {
		phiz_free(o->ctx, owned);
		return;
	}
	o->tensor[o->count].name = name;
	o->tensor[o->count].type = type;
	o->tensor[o->count].shape = *shape;
	o->tensor[o->count].data = data;
	o->tensor[o->count].owned = owned;
	o->tensor[o->count++].bytes = bytes;
}

/* ---- Names ---- */

/* Is it the name of a value, or was it made before for this node? Names of other nodes begin differently. */
static bool is_taken(const struct phiz_onnx *o, const char *name)
{
	size_t i, first = o->names.count > PHIZ_ONNX_NODE_NAMES ? o->names.count - PHIZ_ONNX_NODE_NAMES : 0;

	for (i = first; i < o->names.count; i++)
		if (!strcmp(o->names.name[i], name))
			return true;
	return phiz_graph_find_value(o->graph, name) != PHIZ_NONE;
}

/* A name that no value has, such as "conv1/sum". Never NULL. */
static const char *new_name(struct phiz_onnx *o, const struct phiz_node *node, const char *suffix)
{
	char *name = phiz_asprintf(o->ctx, "%s/%s", node->name, suffix), *longer;

	while (name && is_taken(o, name)) {
		longer = phiz_asprintf(o->ctx, "%s_", name);
		phiz_free(o->ctx, name);
		name = longer;
	}
	if (!o->status)
		o->status = name ? phiz_names_add(o->ctx, &o->names, name) : PHIZ_E_NOMEM;
	phiz_free(o->ctx, name);
	return o->status ? "" : o->names.name[o->names.count - 1];
}

static const char *output_name(struct phiz_onnx *o, const struct phiz_node *node)
{
	return phiz_graph_value(o->graph, node->output[0])->name;
}

static const struct phiz_value *input_value(struct phiz_onnx *o, const struct phiz_node *node, int i)
{
	return i < node->n_inputs && node->input[i] != PHIZ_NONE ? phiz_graph_value(o->graph, node->input[i]) : NULL;
}

/* ---- Nodes ---- */

static void begin(struct phiz_onnx *o, const char *op, const char *name)
{
	phiz_bytes_clear(&o->node);
	phiz_pb_text(&o->node, NODE_NAME, name);
	phiz_pb_text(&o->node, NODE_OP, op);
}

static void in(struct phiz_onnx *o, const char *name)
{
	phiz_pb_text(&o->node, NODE_INPUT, name);
}

static void end(struct phiz_onnx *o, const char *output)
{
	phiz_pb_text(&o->node, NODE_OUTPUT, output);
	if (!o->status)
		phiz_pb_message(&o->nodes, 1, &o->node);
	if (!o->status && o->nodes.failed)
		o->status = phiz_bytes_status(&o->nodes);
}

static void end_attribute(struct phiz_onnx *o, int type)
{
	phiz_pb_int(&o->attribute, ATTRIBUTE_TYPE, type);
	phiz_pb_message(&o->node, NODE_ATTRIBUTE, &o->attribute);
}

static void attr_int(struct phiz_onnx *o, const char *name, int64_t v)
{
	phiz_pb_text(&o->attribute, ATTRIBUTE_NAME, name);
	phiz_pb_int(&o->attribute, ATTRIBUTE_I, v);
	end_attribute(o, TYPE_INT);
}

static void attr_float(struct phiz_onnx *o, const char *name, double v)
{
	phiz_pb_text(&o->attribute, ATTRIBUTE_NAME, name);
	phiz_pb_float(&o->attribute, ATTRIBUTE_F, (float)v);
	end_attribute(o, TYPE_FLOAT);
}

static void attr_text(struct phiz_onnx *o, const char *name, const char *text)
{
	phiz_pb_text(&o->attribute, ATTRIBUTE_NAME, name);
	phiz_pb_text(&o->attribute, ATTRIBUTE_S, text);
	end_attribute(o, TYPE_TEXT);
}

static void attr_ints(struct phiz_onnx *o, const char *name, const int64_t *v, int n)
{
	int i;

	phiz_pb_text(&o->attribute, ATTRIBUTE_NAME, name);
	for (i = 0; i < n; i++)
		phiz_pb_int(&o->attribute, ATTRIBUTE_INTS, v[i]);
	end_attribute(o, TYPE_INTS);
}

/* ---- Inputs that are parameters ---- */

static void store(struct phiz_onnx *o, const struct phiz_node *node, int i, const struct phiz_shape *shape,
                  const char *name)
{
	const struct phiz_tensor *t = input_value(o, node, i)->tensor;

	phiz_onnx_add_tensor(o, name, phiz_onnx_type(t->dtype), shape, t->data, phiz_tensor_bytes(t), NULL);
}

/* Casts a parameter to the dtype of the node's input 0, where it has another: ONNX mixes no types. */
static const char *in_type(struct phiz_onnx *o, const struct phiz_node *node, int i, const char *name)
{
	enum phiz_dtype dtype = input_value(o, node, 0)->type.dtype;
	const char *cast;

	if (input_value(o, node, i)->type.dtype == dtype)
		return name;
	cast = new_name(o, node, node->op->input_names[i]);
	begin(o, "Cast", cast);
	in(o, name);
	attr_int(o, "to", phiz_onnx_type(dtype));
	end(o, cast);
	return cast;
}

/* The name of input i, whose tensor is stored if it is a parameter. */
static const char *input_name(struct phiz_onnx *o, const struct phiz_node *node, int i)
{
	const struct phiz_value *v = input_value(o, node, i);

	if (!v->tensor)
		return v->name;
	if (!o->stored[node->input[i]])
		store(o, node, i, &v->tensor->shape, v->name);
	o->stored[node->input[i]] = true;
	return in_type(o, node, i, v->name);
}

/* Equal numbers in the dtype of input 0 (which f32 stands for, and a Cast makes). */
static const char *filled(struct phiz_onnx *o, const struct phiz_node *node, const char *suffix,
                          const struct phiz_shape *shape, double v)
{
	const char *name = new_name(o, node, suffix), *cast;
	int64_t i, n = phiz_shape_count(shape);
	float *f = phiz_alloc(o->ctx, (size_t)n, sizeof(*f));

	if (!f) {
		o->status = PHIZ_E_NOMEM;
		return name;
	}
	for (i = 0; i < n; i++)
		f[i] = (float)v;
	phiz_onnx_add_tensor(o, name, PHIZ_ONNX_FLOAT, shape, f, (size_t)n * sizeof(*f), f);
	if (input_value(o, node, 0)->type.dtype == PHIZ_F32)
		return name;
	cast = new_name(o, node, "cast");
	begin(o, "Cast", cast);
	in(o, name);
	attr_int(o, "to", phiz_onnx_type(input_value(o, node, 0)->type.dtype));
	end(o, cast);
	return cast;
}

static const char *constant(struct phiz_onnx *o, const struct phiz_node *node, const char *suffix, int64_t n, double v)
{
	struct phiz_shape shape = phiz_shape_1d(n);

	return filled(o, node, suffix, &shape, v);
}

static const char *whole_numbers(struct phiz_onnx *o, const struct phiz_node *node, const char *suffix,
                                 const int64_t *v, int n)
{
	const char *name = new_name(o, node, suffix);
	struct phiz_shape shape = phiz_shape_1d(n);
	int64_t *copy = phiz_alloc(o->ctx, (size_t)n, sizeof(*copy));

	if (!copy) {
		o->status = PHIZ_E_NOMEM;
		return name;
	}
	memcpy(copy, v, (size_t)n * sizeof(*copy));
	phiz_onnx_add_tensor(o, name, PHIZ_ONNX_INT64, &shape, copy, (size_t)n * sizeof(*copy), copy);
	return name;
}

/* ---- Residual and activation behind a node ---- */

/* What the node itself must call its output, given what follows it. */
static const char *before(struct phiz_onnx *o, const struct phiz_node *node, bool follows, const char *suffix)
{
	return follows ? new_name(o, node, suffix) : output_name(o, node);
}

static void add_activation(struct phiz_onnx *o, const struct phiz_node *node, int act, const char *from)
{
	if (node->attr[act].i == PHIZ_ACT_NONE)
		return;
	if (node->attr[act].i == PHIZ_ACT_RELU) {
		begin(o, "Relu", new_name(o, node, "relu"));
	} else {
		begin(o, "LeakyRelu", new_name(o, node, "leaky_relu"));
		attr_float(o, "alpha", node->attr[act + 1].f); /* act_slope stands behind act in every operator */
	}
	in(o, from);
	end(o, output_name(o, node));
}

/* ---- Operators ---- */

static void add_conv2d(struct phiz_onnx *o, const struct phiz_node *node)
{
	const union phiz_attr *a = node->attr;
	const struct phiz_shape *w = &input_value(o, node, PHIZ_CONV2D_WEIGHT)->type.shape;
	int64_t kernel[] = {w->dim[2], w->dim[3]};
	int64_t strides[] = {a[PHIZ_CONV2D_STRIDE_H].i, a[PHIZ_CONV2D_STRIDE_W].i};
	int64_t pads[] = {a[PHIZ_CONV2D_PAD_TOP].i, a[PHIZ_CONV2D_PAD_LEFT].i, a[PHIZ_CONV2D_PAD_BOTTOM].i,
	                  a[PHIZ_CONV2D_PAD_RIGHT].i};
	int64_t dilations[] = {a[PHIZ_CONV2D_DILATION_H].i, a[PHIZ_CONV2D_DILATION_W].i};
	bool residual = input_value(o, node, PHIZ_CONV2D_RESIDUAL) != NULL, act = a[PHIZ_CONV2D_ACT].i != PHIZ_ACT_NONE;
	const char *weight = input_name(o, node, PHIZ_CONV2D_WEIGHT), *bias = NULL;
	const char *product = before(o, node, residual || act, "conv"), *sum = product;
	const char *added = residual ? input_name(o, node, PHIZ_CONV2D_RESIDUAL) : NULL;

	if (input_value(o, node, PHIZ_CONV2D_BIAS))
		bias = input_name(o, node, PHIZ_CONV2D_BIAS);
	begin(o, "Conv", node->name);
	in(o, input_name(o, node, PHIZ_CONV2D_INPUT));
	in(o, weight);
	if (bias)
		in(o, bias);
	attr_ints(o, "dilations", dilations, 2);
	attr_int(o, "group", a[PHIZ_CONV2D_GROUPS].i);
	attr_ints(o, "kernel_shape", kernel, 2);
	attr_ints(o, "pads", pads, 4);
	attr_ints(o, "strides", strides, 2);
	end(o, product);
	if (residual) {
		sum = before(o, node, act, "sum");
		begin(o, "Add", new_name(o, node, "add"));
		in(o, product);
		in(o, added);
		end(o, sum);
	}
	add_activation(o, node, PHIZ_CONV2D_ACT, sum);
}

static void add_batch_norm(struct phiz_onnx *o, const struct phiz_node *node)
{
	int64_t channels = input_value(o, node, 0)->type.shape.dim[1];
	const char *made = before(o, node, node->attr[PHIZ_BATCH_NORM_ACT].i != PHIZ_ACT_NONE, "batch_norm"), *name[5];
	int i;

	for (i = 0; i < PHIZ_BATCH_NORM_INPUTS; i++) {
		bool one = i == PHIZ_BATCH_NORM_WEIGHT;

		name[i] = input_value(o, node, i) ? input_name(o, node, i)
		                                  : constant(o, node, one ? "ones" : "zeros", channels, one);
	}
	begin(o, "BatchNormalization", node->name);
	for (i = 0; i < PHIZ_BATCH_NORM_INPUTS; i++)
		in(o, name[i]);
	attr_float(o, "epsilon", node->attr[PHIZ_BATCH_NORM_EPS].f);
	attr_float(o, "momentum", 1 - node->attr[PHIZ_BATCH_NORM_MOMENTUM].f); /* ONNX's is the share that stays */
	end(o, made);
	add_activation(o, node, PHIZ_BATCH_NORM_ACT, made);
}

/* Operators of inputs alone. */
static void add_plain(struct phiz_onnx *o, const struct phiz_node *node, const char *op)
{
	const char *name[PHIZ_MAX_INPUTS];
	int i;

	for (i = 0; i < node->n_inputs; i++)
		name[i] = input_name(o, node, i);
	begin(o, op, node->name);
	for (i = 0; i < node->n_inputs; i++)
		in(o, name[i]);
	end(o, output_name(o, node));
}

static void add_with_axis(struct phiz_onnx *o, const struct phiz_node *node, const char *op)
{
	const char *name[PHIZ_MAX_INPUTS];
	int i;

	for (i = 0; i < node->n_inputs; i++)
		name[i] = input_name(o, node, i);
	begin(o, op, node->name);
	for (i = 0; i < node->n_inputs; i++)
		in(o, name[i]);
	attr_int(o, "axis", node->attr[0].i);
	end(o, output_name(o, node));
}

static void add_leaky_relu(struct phiz_onnx *o, const struct phiz_node *node)
{
	begin(o, "LeakyRelu", node->name);
	in(o, input_name(o, node, 0));
	attr_float(o, "alpha", node->attr[PHIZ_LEAKY_RELU_SLOPE].f);
	end(o, output_name(o, node));
}

/* ONNX broadcasts the slope from the last dim on, so a slope per channel becomes [C, 1, 1]. */
static void add_prelu(struct phiz_onnx *o, const struct phiz_node *node)
{
	const struct phiz_value *slope = input_value(o, node, PHIZ_PRELU_WEIGHT);
	const char *name = new_name(o, node, "slope");
	struct phiz_shape shape = {0};
	int d;

	shape.ndim = input_value(o, node, 0)->type.shape.ndim - 1;
	for (d = 0; d < shape.ndim; d++)
		shape.dim[d] = d ? 1 : slope->type.shape.dim[0];
	if (!slope->tensor) {
		o->status = phiz_fail(o->ctx, PHIZ_E_UNSUPPORTED, "%s: prelu %s: its slope is no parameter", o->path,
		                      node->name);
		return;
	}
	store(o, node, PHIZ_PRELU_WEIGHT, &shape, name);
	name = in_type(o, node, PHIZ_PRELU_WEIGHT, name);
	begin(o, "PRelu", node->name);
	in(o, input_name(o, node, 0));
	in(o, name);
	end(o, output_name(o, node));
}

/* How far the last window reaches beyond the padded input: ceil_mode becomes padding, because runtimes differ in it. */
static int64_t overhang(const struct phiz_node *node, int64_t in_size, int64_t out_size, int side)
{
	const union phiz_attr *a = node->attr;
	int64_t end_of_last = (out_size - 1) * a[PHIZ_POOL_STRIDE_H + side].i + a[PHIZ_POOL_KERNEL_H + side].i;
	int64_t over = end_of_last - in_size - 2 * a[PHIZ_POOL_PAD_H + side].i;

	return over > 0 ? over : 0;
}

static void add_pool(struct phiz_onnx *o, const struct phiz_node *node, const char *op)
{
	bool average = !strcmp(op, "AveragePool"), lp = !strcmp(op, "LpPool");
	const int64_t *from = input_value(o, node, 0)->type.shape.dim;
	const int64_t *to = phiz_graph_value(o->graph, node->output[0])->type.shape.dim;
	const union phiz_attr *a = node->attr;
	int64_t over_h = overhang(node, from[2], to[2], 0), over_w = overhang(node, from[3], to[3], 1);
	int64_t pad_h = a[PHIZ_POOL_PAD_H].i, pad_w = a[PHIZ_POOL_PAD_W].i;
	int64_t kernel[] = {a[PHIZ_POOL_KERNEL_H].i, a[PHIZ_POOL_KERNEL_W].i};
	int64_t strides[] = {a[PHIZ_POOL_STRIDE_H].i, a[PHIZ_POOL_STRIDE_W].i};
	bool count_pad = average && a[PHIZ_POOL_COUNT_INCLUDE_PAD].i;
	const char *input = input_name(o, node, 0);

	/* PyTorch counts padding in the divisor, but not the overhang. ONNX counts both or neither: so zeros that are
	 * counted become a Pad of their own, and the rest is not counted. */
	if (count_pad && (over_h > 0 || over_w > 0)) {
		int64_t zeros[] = {0, 0, pad_h, pad_w, 0, 0, pad_h, pad_w};
		const char *pads = whole_numbers(o, node, "pads", zeros, 8), *padded = new_name(o, node, "padded");

		begin(o, "Pad", padded);
		in(o, input);
		in(o, pads);
		end(o, padded);
		input = padded;
		pad_h = pad_w = 0;
		count_pad = false;
	}
	{
		int64_t pads[] = {pad_h, pad_w, pad_h + over_h, pad_w + over_w};

		begin(o, op, node->name);
		in(o, input);
		if (average)
			attr_int(o, "count_include_pad", count_pad);
		attr_ints(o, "kernel_shape", kernel, 2);
		if (lp)
			attr_int(o, "p", (int64_t)a[PHIZ_LP_POOL2D_NORM].f);
		attr_ints(o, "pads", pads, 4);
		attr_ints(o, "strides", strides, 2);
		end(o, output_name(o, node));
	}
}

static void add_linear(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *made = before(o, node, node->attr[PHIZ_LINEAR_ACT].i != PHIZ_ACT_NONE, "gemm");
	const char *weight = input_name(o, node, PHIZ_LINEAR_WEIGHT), *bias = NULL;

	if (input_value(o, node, PHIZ_LINEAR_BIAS))
		bias = input_name(o, node, PHIZ_LINEAR_BIAS);
	begin(o, "Gemm", node->name);
	in(o, input_name(o, node, PHIZ_LINEAR_INPUT));
	in(o, weight);
	if (bias)
		in(o, bias);
	attr_int(o, "transB", 1);
	end(o, made);
	add_activation(o, node, PHIZ_LINEAR_ACT, made);
}

static void add_add(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *made = before(o, node, node->attr[PHIZ_ADD_ACT].i != PHIZ_ACT_NONE, "sum");
	const char *a = input_name(o, node, 0), *b = input_name(o, node, 1);

	begin(o, "Add", node->name);
	in(o, a);
	in(o, b);
	end(o, made);
	add_activation(o, node, PHIZ_ADD_ACT, made);
}

/* Both keep dims of 0 as they are in the input and make -1 of what is left, as ours. */
static void add_reshape(struct phiz_onnx *o, const struct phiz_node *node, const int64_t *dims, int n)
{
	const char *shape = whole_numbers(o, node, "shape", dims, n);

	begin(o, "Reshape", node->name);
	in(o, input_name(o, node, 0));
	in(o, shape);
	end(o, output_name(o, node));
}

static void add_our_reshape(struct phiz_onnx *o, const struct phiz_node *node)
{
	int64_t dims[PHIZ_MAX_DIMS];
	int i, n = (int)node->attr[PHIZ_RESHAPE_NDIM].i;

	for (i = 0; i < n; i++)
		dims[i] = node->attr[PHIZ_RESHAPE_D0 + i].i;
	add_reshape(o, node, dims, n);
}

static void add_flatten(struct phiz_onnx *o, const struct phiz_node *node)
{
	int64_t dims[PHIZ_MAX_DIMS] = {0};
	int start = (int)node->attr[PHIZ_FLATTEN_START].i;

	dims[start] = -1;
	add_reshape(o, node, dims, start + 1);
}

/* x / max(||x||, eps); ONNX's LpNormalization knows no eps. */
static void add_l2_normalize(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *norm = new_name(o, node, "norm"), *bounded = new_name(o, node, "bounded_norm");
	const char *eps = constant(o, node, "eps", 1, node->attr[PHIZ_L2_NORMALIZE_EPS].f), *x = input_name(o, node, 0);
	int64_t axis = 1;

	begin(o, "ReduceL2", norm);
	in(o, x);
	attr_ints(o, "axes", &axis, 1);
	attr_int(o, "keepdims", 1);
	end(o, norm);
	begin(o, "Max", bounded);
	in(o, norm);
	in(o, eps);
	end(o, bounded);
	begin(o, "Div", node->name);
	in(o, x);
	in(o, bounded);
	end(o, output_name(o, node));
}

static void add_cast(struct phiz_onnx *o, const struct phiz_node *node)
{
	begin(o, "Cast", node->name);
	in(o, input_name(o, node, 0));
	attr_int(o, "to", phiz_onnx_type((enum phiz_dtype)node->attr[PHIZ_CAST_DTYPE].i));
	end(o, output_name(o, node));
}

/* ---- Operators that came from ONNX ---- */

static void add_permute(struct phiz_onnx *o, const struct phiz_node *node)
{
	int64_t perm[PHIZ_MAX_DIMS];
	int d, n = input_value(o, node, 0)->type.shape.ndim;

	for (d = 0; d < n; d++)
		perm[d] = node->attr[d].i;
	begin(o, "Transpose", node->name);
	in(o, input_name(o, node, 0));
	attr_ints(o, "perm", perm, n);
	end(o, output_name(o, node));
}

static void add_slice(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *start = whole_numbers(o, node, "start", &node->attr[PHIZ_SLICE_START].i, 1);
	const char *stop = whole_numbers(o, node, "end", &node->attr[PHIZ_SLICE_END].i, 1);
	const char *axis = whole_numbers(o, node, "axis", &node->attr[PHIZ_SLICE_AXIS].i, 1);

	begin(o, "Slice", node->name);
	in(o, input_name(o, node, 0));
	in(o, start);
	in(o, stop);
	in(o, axis);
	end(o, output_name(o, node));
}

/* A scalar in the dtype of input 0. */
static const char *scalar(struct phiz_onnx *o, const struct phiz_node *node, const char *suffix, double v)
{
	struct phiz_shape shape = {0};

	return filled(o, node, suffix, &shape, v);
}

static void add_pad2d(struct phiz_onnx *o, const struct phiz_node *node)
{
	const union phiz_attr *a = node->attr;
	int64_t pads[] = {0, 0, a[PHIZ_PAD2D_TOP].i, a[PHIZ_PAD2D_LEFT].i, 0, 0, a[PHIZ_PAD2D_BOTTOM].i,
	                  a[PHIZ_PAD2D_RIGHT].i};
	const char *list = whole_numbers(o, node, "pads", pads, 8);
	const char *value = scalar(o, node, "value", a[PHIZ_PAD2D_VALUE].f);

	begin(o, "Pad", node->name);
	in(o, input_name(o, node, 0));
	in(o, list);
	in(o, value);
	end(o, output_name(o, node));
}

static void add_clamp(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *low = scalar(o, node, "min", node->attr[PHIZ_CLAMP_MIN].f);
	const char *high = scalar(o, node, "max", node->attr[PHIZ_CLAMP_MAX].f);

	begin(o, "Clip", node->name);
	in(o, input_name(o, node, 0));
	in(o, low);
	in(o, high);
	end(o, output_name(o, node));
}

static void add_affine(struct phiz_onnx *o, const struct phiz_node *node)
{
	bool scales = input_value(o, node, PHIZ_AFFINE_SCALE) != NULL;
	bool shifts = input_value(o, node, PHIZ_AFFINE_SHIFT) != NULL;
	const char *from = input_name(o, node, 0), *made = before(o, node, shifts, "product");
	const char *scale = scales ? input_name(o, node, PHIZ_AFFINE_SCALE) : NULL;
	const char *shift = shifts ? input_name(o, node, PHIZ_AFFINE_SHIFT) : NULL;

	if (scales || !shifts) {
		begin(o, scales ? "Mul" : "Identity", shifts ? made : node->name);
		in(o, from);
		if (scales)
			in(o, scale);
		end(o, made);
		from = made;
	}
	if (shifts) {
		begin(o, "Add", node->name);
		in(o, from);
		in(o, shift);
		end(o, output_name(o, node));
	}
}

static void add_resize_nearest(struct phiz_onnx *o, const struct phiz_node *node)
{
	const char *name = new_name(o, node, "scales");
	struct phiz_shape shape = phiz_shape_1d(4);
	float *f = phiz_alloc(o->ctx, 4, sizeof(*f));

	if (!f) {
		o->status = PHIZ_E_NOMEM;
		return;
	}
	f[0] = f[1] = 1;
	f[2] = (float)node->attr[PHIZ_RESIZE_SCALE_H].i;
	f[3] = (float)node->attr[PHIZ_RESIZE_SCALE_W].i;
	phiz_onnx_add_tensor(o, name, PHIZ_ONNX_FLOAT, &shape, f, 4 * sizeof(*f), f);
	begin(o, "Resize", node->name);
	in(o, input_name(o, node, 0));
	in(o, "");
	in(o, name);
	attr_text(o, "coordinate_transformation_mode", "asymmetric");
	attr_text(o, "mode", "nearest");
	attr_text(o, "nearest_mode", "floor");
	end(o, output_name(o, node));
}

static void add_lp_pool(struct phiz_onnx *o, const struct phiz_node *node)
{
	double norm = node->attr[PHIZ_LP_POOL2D_NORM].f;

	if (norm != (double)(int64_t)norm)
		o->status = phiz_fail(o->ctx, PHIZ_E_UNSUPPORTED, "%s: lp_pool2d %s: ONNX wants a whole norm, this is %.10g",
		                      o->path, node->name, norm);
	else
		add_pool(o, node, "LpPool");
}

static void add_local_response_norm(struct phiz_onnx *o, const struct phiz_node *node)
{
	begin(o, "LRN", node->name);
	in(o, input_name(o, node, 0));
	attr_float(o, "alpha", node->attr[PHIZ_LRN_ALPHA].f);
	attr_float(o, "beta", node->attr[PHIZ_LRN_BETA].f);
	attr_float(o, "bias", node->attr[PHIZ_LRN_K].f);
	attr_int(o, "size", node->attr[PHIZ_LRN_SIZE].i);
	end(o, output_name(o, node));
}

static void add_max_pool(struct phiz_onnx *o, const struct phiz_node *node)
{
	add_pool(o, node, "MaxPool");
}

static void add_avg_pool(struct phiz_onnx *o, const struct phiz_node *node)
{
	add_pool(o, node, "AveragePool");
}

/* One row per operator: either a function, or the ONNX operator that takes the same inputs (and axis) as ours. */
static const struct {
	const char *op;
	void (*add)(struct phiz_onnx *o, const struct phiz_node *node);
	const char *plain, *with_axis;
} rows[] = {
	{"conv2d", add_conv2d, NULL, NULL},
	{"batch_norm", add_batch_norm, NULL, NULL},
	{"relu", NULL, "Relu", NULL},
	{"leaky_relu", add_leaky_relu, NULL, NULL},
	{"prelu", add_prelu, NULL, NULL},
	{"sigmoid", NULL, "Sigmoid", NULL},
	{"softmax", NULL, NULL, "Softmax"},
	{"max_pool2d", add_max_pool, NULL, NULL},
	{"avg_pool2d", add_avg_pool, NULL, NULL},
	{"global_avg_pool", NULL, "GlobalAveragePool", NULL},
	{"linear", add_linear, NULL, NULL},
	{"add", add_add, NULL, NULL},
	{"mul", NULL, "Mul", NULL},
	{"concat", NULL, NULL, "Concat"},
	{"flatten", add_flatten, NULL, NULL},
	{"reshape", add_our_reshape, NULL, NULL},
	{"dropout", NULL, "Identity", NULL},
	{"l2_normalize", add_l2_normalize, NULL, NULL},
	{"cast", add_cast, NULL, NULL},
	{"exp", NULL, "Exp", NULL},
	{"clamp", add_clamp, NULL, NULL},
	{"affine", add_affine, NULL, NULL},
	{"permute", add_permute, NULL, NULL},
	{"slice", add_slice, NULL, NULL},
	{"pad2d", add_pad2d, NULL, NULL},
	{"resize_nearest", add_resize_nearest, NULL, NULL},
	{"lp_pool2d", add_lp_pool, NULL, NULL},
	{"local_response_norm", add_local_response_norm, NULL, NULL},
};

void phiz_onnx_add_node(struct phiz_onnx *o, const struct phiz_node *node)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].op, node->op->name) != 0)
			continue;
		if (rows[i].add)
			rows[i].add(o, node);
		else if (rows[i].plain)
			add_plain(o, node, rows[i].plain);
		else
			add_with_axis(o, node, rows[i].with_axis);
		return;
	}
	o->status = phiz_fail(o->ctx, PHIZ_E_UNSUPPORTED, "%s: %s %s has no form in ONNX", o->path, node->op->name,
	                      node->name);
}
