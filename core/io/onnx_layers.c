/* What each ONNX operator becomes: layers. Everything that phiz would not compute alike is refused by name. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/io/onnx_import.h"

/* Sizes go to the graph as they are: its shape rules check them and name what is wrong. */
#define ANY_MIN INT64_MIN
#define ANY_MAX INT64_MAX

/* ---- Windows ---- */

struct window {
	int64_t kernel[2], stride[2], dilation[2];
	int64_t pad[4]; /* top, left, bottom, right */
	bool ceil_mode;
};

/* Padding on both sides together that makes the output ceil(size / stride). */
static int64_t same_padding(const struct window *w, int64_t size, int side)
{
	int64_t reach = (w->kernel[side] - 1) * w->dilation[side] + 1;
	int64_t total = ((size + w->stride[side] - 1) / w->stride[side] - 1) * w->stride[side] + reach - size;

	return total > 0 ? total : 0;
}

static void pad_same(struct phiz_onnx_import *m, struct window *w, int input, bool upper)
{
	int side, p;

	for (side = 0; side < 2; side++) {
		int64_t total;

		if (w->stride[side] < 1 || w->stride[side] > 65536 || w->kernel[side] > 65536 || w->dilation[side] < 1 ||
		    w->dilation[side] > 65536) {
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "strides, dilations or kernel out of range");
			return;
		}
		total = same_padding(w, phiz_onnx_shape(m, 0, input)->dim[2 + side], side);
		for (p = 1; p < PHIZ_PROBES; p++)
			if (m->live[p] && same_padding(w, phiz_onnx_shape(m, p, input)->dim[2 + side], side) != total)
				phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "auto_pad SAME: its padding depends on the picture's size");
		w->pad[side] = upper ? total / 2 : total - total / 2;
		w->pad[2 + side] = total - w->pad[side];
	}
}

/* Attributes of convolutions and poolings, but for those that only one of them has. The kernel may be known before. */
static void read_window(struct phiz_onnx_import *m, struct window *w, int input)
{
	const struct phiz_onnx_attr *auto_pad;
	char shown[PHIZ_SHOWN];

	if (m->status)
		return;
	if (phiz_onnx_shape(m, 0, input)->ndim != 4) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want an input of 4 dims [N, C, H, W], got %d",
		               phiz_onnx_shape(m, 0, input)->ndim);
		return;
	}
	phiz_onnx_ints(m, "kernel_shape", w->kernel, 2, 1, 65536);
	phiz_onnx_ints(m, "strides", w->stride, 2, ANY_MIN, ANY_MAX);
	phiz_onnx_ints(m, "dilations", w->dilation, 2, ANY_MIN, ANY_MAX);
	phiz_onnx_ints(m, "pads", w->pad, 4, ANY_MIN, ANY_MAX);
	auto_pad = phiz_onnx_attr(m, "auto_pad", PHIZ_ONNX_A_STRING);
	if (!auto_pad || phiz_span_is(auto_pad->s, "NOTSET"))
		return;
	memset(w->pad, 0, sizeof(w->pad));
	if (phiz_span_is(auto_pad->s, "SAME_UPPER") || phiz_span_is(auto_pad->s, "SAME_LOWER"))
		pad_same(m, w, input, phiz_span_is(auto_pad->s, "SAME_UPPER"));
	else if (!phiz_span_is(auto_pad->s, "VALID"))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "auto_pad '%s' is none that phiz knows",
		               phiz_span_shown(auto_pad->s, shown));
}

/* ---- Convolution, normalisation, linear ---- */

/* A vector of n numbers at input i, of which ONNX may also have one for all or a dim of 1 around. */
static int vector(struct phiz_onnx_import *m, int i, int64_t n, bool trainable)
{
	struct phiz_shape shape = phiz_shape_1d(n);

	return phiz_onnx_param(m, i, &shape, trainable);
}

static void conv(struct phiz_onnx_import *m)
{
	struct window w = {{0, 0}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false};
	int64_t groups = phiz_onnx_int(m, "group", 1);
	int in[3] = {phiz_onnx_in_graph(m, 0), PHIZ_NONE, PHIZ_NONE}, n_in = 2;
	const struct phiz_tensor *weight = phiz_onnx_in_tensor(m, 1);
	char text[128];

	if (m->status)
		return;
	if (weight->shape.ndim != 4) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want a weight of 4 dims, got %s", phiz_shape_text(&weight->shape, text));
		return;
	}
	w.kernel[0] = weight->shape.dim[2];
	w.kernel[1] = weight->shape.dim[3];
	read_window(m, &w, in[0]);
	if (!m->status && (w.kernel[0] != weight->shape.dim[2] || w.kernel[1] != weight->shape.dim[3]))
		phiz_onnx_fail(m, PHIZ_E_SHAPE, "kernel_shape [%lld, %lld] beside a weight %s", (long long)w.kernel[0],
		               (long long)w.kernel[1], phiz_shape_text(&weight->shape, text));
	in[1] = phiz_onnx_param(m, 1, &weight->shape, true);
	if (phiz_onnx_has(m, 2)) {
		in[2] = vector(m, 2, m->status ? 0 : phiz_graph_value(m->graph, in[1])->type.shape.dim[0], true);
		n_in = 3;
	}
	const struct phiz_attr_arg attr[] = {
		{"stride_h", (double)w.stride[0]},     {"stride_w", (double)w.stride[1]},
		{"pad_top", (double)w.pad[0]},         {"pad_left", (double)w.pad[1]},
		{"pad_bottom", (double)w.pad[2]},      {"pad_right", (double)w.pad[3]},
		{"dilation_h", (double)w.dilation[0]}, {"dilation_w", (double)w.dilation[1]},
		{"groups", (double)groups},
	};
	phiz_onnx_out_value(m, phiz_onnx_add(m, "conv2d", in, n_in, attr, 9, true));
}

static void batch_normalization(struct phiz_onnx_import *m)
{
	double eps = phiz_onnx_float(m, "epsilon", 1e-5), momentum = phiz_onnx_float(m, "momentum", 0.9);
	int in[5] = {phiz_onnx_in_graph(m, 0)}, i;
	int64_t channels;

	if (phiz_onnx_int(m, "training_mode", 0) || (m->opset < 9 && phiz_onnx_int(m, "spatial", 1) != 1))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "training_mode, or spatial 0");
	if (m->status)
		return;
	channels = phiz_onnx_shape(m, 0, in[0])->ndim > 1 ? phiz_onnx_shape(m, 0, in[0])->dim[1] : 1;
	for (i = 1; i < 5; i++)
		in[i] = vector(m, i, channels, i < 3);
	const struct phiz_attr_arg attr[] = {{"eps", eps}, {"momentum", 1 - momentum}};
	phiz_onnx_out_value(m, phiz_onnx_add(m, "batch_norm", in, 5, attr, 2, true));
}

/* The matrix at input i as a linear layer's weight [outputs, inputs], times a factor. */
static int matrix(struct phiz_onnx_import *m, int i, bool turn, double factor)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, i);
	struct phiz_tensor *to;
	struct phiz_shape shape;
	const float *f;
	int64_t r, c;

	if (m->status)
		return PHIZ_NONE;
	if (from->shape.ndim != 2 || from->dtype != PHIZ_F32) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want a constant matrix of floating point");
		return PHIZ_NONE;
	}
	if (!turn && factor == 1)
		return phiz_onnx_param(m, i, &from->shape, true);
	shape = turn ? phiz_shape_2d(from->shape.dim[1], from->shape.dim[0]) : from->shape;
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &shape, &to);
	if (m->status)
		return PHIZ_NONE;
	f = from->data;
	for (r = 0; r < shape.dim[0]; r++)
		for (c = 0; c < shape.dim[1]; c++)
			((float *)to->data)[r * shape.dim[1] + c] =
				(float)(factor * (turn ? f[c * shape.dim[0] + r] : f[r * shape.dim[1] + c]));
	return phiz_onnx_new_param(m, "weight", to, true);
}

/* The bias at input i, one number or n of them, times a factor. */
static int bias(struct phiz_onnx_import *m, int i, int64_t n, double factor)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, i);
	struct phiz_shape shape = phiz_shape_1d(n);
	struct phiz_tensor *to;
	int64_t k, count;

	if (m->status)
		return PHIZ_NONE;
	count = phiz_tensor_count(from);
	if (count == n && factor == 1)
		return phiz_onnx_param(m, i, &shape, true);
	if ((count != n && count != 1) || from->dtype != PHIZ_F32) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want a bias of %lld numbers, got %lld", (long long)n, (long long)count);
		return PHIZ_NONE;
	}
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &shape, &to);
	for (k = 0; !m->status && k < n; k++)
		((float *)to->data)[k] = (float)(factor * ((const float *)from->data)[count == 1 ? 0 : k]);
	return m->status ? PHIZ_NONE : phiz_onnx_new_param(m, "bias", to, true);
}

static void gemm(struct phiz_onnx_import *m)
{
	double alpha = phiz_onnx_float(m, "alpha", 1), beta = phiz_onnx_float(m, "beta", 1);
	int in[3] = {phiz_onnx_in_graph(m, 0), PHIZ_NONE, PHIZ_NONE};
	bool turned = phiz_onnx_int(m, "transB", 0) != 0;

	if (phiz_onnx_int(m, "transA", 0))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "transA");
	(void)phiz_onnx_int(m, "broadcast", 0); /* of opset 6 and before; what it said is the rule since */
	in[1] = matrix(m, 1, !turned, alpha);
	if (phiz_onnx_has(m, 2) && !m->status)
		in[2] = bias(m, 2, phiz_graph_value(m->graph, in[1])->type.shape.dim[0], beta);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "linear", in, 3, NULL, 0, true));
}

static void mat_mul(struct phiz_onnx_import *m)
{
	int in[2] = {phiz_onnx_in_graph(m, 0), PHIZ_NONE};

	in[1] = matrix(m, 1, true, 1);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "linear", in, 2, NULL, 0, true));
}

/* ---- Activations ---- */

static void plain(struct phiz_onnx_import *m, const char *op)
{
	int in = phiz_onnx_in_graph(m, 0);

	phiz_onnx_out_value(m, phiz_onnx_add(m, op, &in, 1, NULL, 0, true));
}

static void relu(struct phiz_onnx_import *m) { plain(m, "relu"); }
static void sigmoid(struct phiz_onnx_import *m) { plain(m, "sigmoid"); }
static void global_average_pool(struct phiz_onnx_import *m) { plain(m, "global_avg_pool"); }

static void leaky_relu(struct phiz_onnx_import *m)
{
	const struct phiz_attr_arg attr = {"slope", phiz_onnx_float(m, "alpha", 0.01)};
	int in = phiz_onnx_in_graph(m, 0);

	phiz_onnx_out_value(m, phiz_onnx_add(m, "leaky_relu", &in, 1, &attr, 1, true));
}

/* The slope, one or one per channel, broadcasts from the last dim on: [C, 1, 1], [1, C, 1, 1], [1]; [C] beside [N,
 * C]. */
static void prelu(struct phiz_onnx_import *m)
{
	int in[2] = {phiz_onnx_in_graph(m, 0), PHIZ_NONE}, d, from_end;
	const struct phiz_tensor *slope = phiz_onnx_in_tensor(m, 1);
	const struct phiz_shape *x;
	int64_t n;
	char text[128];

	if (m->status)
		return;
	x = phiz_onnx_shape(m, 0, in[0]);
	n = phiz_tensor_count(slope);
	for (d = 0; d < slope->shape.ndim; d++) {
		from_end = slope->shape.ndim - d;
		if (slope->shape.dim[d] != 1 && (from_end != x->ndim - 1 || slope->shape.dim[d] != x->dim[1]))
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want a slope per channel or one for all, got shape %s",
			               phiz_shape_text(&slope->shape, text));
	}
	in[1] = vector(m, 1, n, true);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "prelu", in, 2, NULL, 0, true));
}

/* Before opset 13 all dims from axis on were one: the same where those behind it are 1. */
static void softmax(struct phiz_onnx_import *m)
{
	int in = phiz_onnx_in_graph(m, 0), d, p;
	int64_t axis = phiz_onnx_int(m, "axis", m->opset < 13 ? 1 : -1);
	const struct phiz_attr_arg attr = {"axis", (double)axis};

	for (p = 0; !m->status && m->opset < 13 && p < PHIZ_PROBES; p++) {
		const struct phiz_shape *x = phiz_onnx_shape(m, p, in);

		for (d = (int)(axis < 0 ? axis + x->ndim : axis) + 1; m->live[p] && d > 0 && d < x->ndim; d++)
			if (x->dim[d] != 1)
				phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "over several dims at once (axis %lld of %d)", (long long)axis,
				               x->ndim);
	}
	phiz_onnx_out_value(m, phiz_onnx_add(m, "softmax", &in, 1, &attr, 1, true));
}

/* ---- Pooling ---- */

/* The output's size in ONNX's words, for padding that may differ from side to side. */
static int64_t pooled(const struct window *w, int64_t size, int side)
{
	return (size + w->pad[side] + w->pad[2 + side] - w->kernel[side]) / w->stride[side] + 1;
}

/* The same as phiz rounds up, with the padding of the first side on both. */
static int64_t pooled_up(const struct window *w, int64_t size, int side)
{
	int64_t stride = w->stride[side], pad = w->pad[side];
	int64_t n = (size + 2 * pad - w->kernel[side] + stride - 1) / stride + 1;

	return (n - 1) * stride >= size + pad ? n - 1 : n;
}

/* More padding behind than before is how exporters write windows that hang over the edge. How many windows more phiz
 * makes then, 0 or 1, or -1 where that is not what the file means. */
static int windows_more(const struct phiz_onnx_import *m, const struct window *w, int input, int side)
{
	int64_t size = phiz_onnx_shape(m, 0, input)->dim[2 + side];
	int64_t more = pooled_up(w, size, side) - pooled(w, size, side);
	bool same = w->pad[side] <= w->pad[2 + side] && !w->ceil_mode && (more == 0 || more == 1);
	int p;

	for (p = 1; same && p < PHIZ_PROBES; p++) {
		size = phiz_onnx_shape(m, p, input)->dim[2 + side];
		same = !m->live[p] || pooled_up(w, size, side) - pooled(w, size, side) == more;
	}
	return same ? (int)more : -1;
}

static void check_window(struct phiz_onnx_import *m, const struct window *w)
{
	int i;

	if (!m->status && w->kernel[0] < 1)
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "no kernel_shape");
	for (i = 0; i < 2 && !m->status; i++)
		if (w->stride[i] < 1 || w->stride[i] > 65536)
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "strides: want numbers from 1 to 65536, got %lld",
			               (long long)w->stride[i]);
	for (i = 0; i < 4 && !m->status; i++)
		if (w->pad[i] < 0 || w->pad[i] > 65536)
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "pads: want numbers from 0 to 65536, got %lld", (long long)w->pad[i]);
	if (!m->status && (w->dilation[0] != 1 || w->dilation[1] != 1))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "dilations");
}

/* A node of its own for padding that the pooling cannot say. */
static int pad_first(struct phiz_onnx_import *m, int x, struct window *w, double value)
{
	const struct phiz_attr_arg attr[] = {{"top", (double)w->pad[0]}, {"left", (double)w->pad[1]},
	                                     {"bottom", (double)w->pad[2]}, {"right", (double)w->pad[3]}, {"value", value}};

	memset(w->pad, 0, sizeof(w->pad));
	return phiz_onnx_add(m, "pad2d", &x, 1, attr, 5, false);
}

/* extra: an attribute of this operator alone, or NULL. counts: padding is part of the result, as zeros, or below all
 * numbers for a maximum. */
static void pool(struct phiz_onnx_import *m, const char *op, const char *extra, double value, bool counts,
                 double padding)
{
	struct window w = {{0, 0}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false};
	int in = phiz_onnx_in_graph(m, 0), more[2] = {0, 0}, side;

	w.ceil_mode = phiz_onnx_int(m, "ceil_mode", 0) != 0;
	read_window(m, &w, in);
	check_window(m, &w);
	if (!m->status && (w.pad[0] != w.pad[2] || w.pad[1] != w.pad[3])) {
		more[0] = windows_more(m, &w, in, 0);
		more[1] = windows_more(m, &w, in, 1);
		if (!counts && more[0] >= 0 && more[1] >= 0)
			w.ceil_mode = true;
		else if (counts || padding < 0)
			in = pad_first(m, in, &w, padding);
		else
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "padding that differs from side to side: [%lld, %lld, %lld, %lld]",
			               (long long)w.pad[0], (long long)w.pad[1], (long long)w.pad[2], (long long)w.pad[3]);
	}
	if (!w.ceil_mode || counts)
		more[0] = more[1] = 0;
	const struct phiz_attr_arg attr[] = {
		{"kernel_h", (double)w.kernel[0]}, {"kernel_w", (double)w.kernel[1]}, {"stride_h", (double)w.stride[0]},
		{"stride_w", (double)w.stride[1]}, {"pad_h", (double)w.pad[0]},       {"pad_w", (double)w.pad[1]},
		{"ceil_mode", w.ceil_mode},        {extra, value},
	};
	in = phiz_onnx_add(m, op, &in, 1, attr, extra ? 8 : 7, more[0] <= 0 && more[1] <= 0);
	for (side = 0; side < 2; side++)
		if (more[side] > 0) {
			const struct phiz_attr_arg cut[] = {{"axis", 2 + side}, {"end", -1}};

			in = phiz_onnx_add(m, "slice", &in, 1, cut, 2, side == 1 || more[1] <= 0);
		}
	phiz_onnx_out_value(m, in);
}

static void max_pool(struct phiz_onnx_import *m)
{
	if (phiz_onnx_int(m, "storage_order", 0))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "storage_order");
	pool(m, "max_pool2d", NULL, 0, false, -3e38);
}

static void average_pool(struct phiz_onnx_import *m)
{
	bool counts = phiz_onnx_int(m, "count_include_pad", 0) != 0;

	pool(m, "avg_pool2d", "count_include_pad", counts, counts, 0);
}

/* Zeros add nothing to the norm, so a window may hang over or be padded first. */
static void lp_pool(struct phiz_onnx_import *m)
{
	pool(m, "lp_pool2d", "norm", (double)phiz_onnx_int(m, "p", 2), true, 0);
}

static void lrn(struct phiz_onnx_import *m)
{
	const struct phiz_attr_arg attr[] = {
		{"size", (double)phiz_onnx_int(m, "size", 0)},
		{"alpha", phiz_onnx_float(m, "alpha", 1e-4)},
		{"beta", phiz_onnx_float(m, "beta", 0.75)},
		{"k", phiz_onnx_float(m, "bias", 1)},
	};
	int in = phiz_onnx_in_graph(m, 0);

	phiz_onnx_out_value(m, phiz_onnx_add(m, "local_response_norm", &in, 1, attr, 4, true));
}

/* ---- Nothing at inference ---- */

static void identity(struct phiz_onnx_import *m)
{
	phiz_onnx_out_value(m, phiz_onnx_in_graph(m, 0));
}

static void dropout(struct phiz_onnx_import *m)
{
	struct phiz_fold training;

	(void)phiz_onnx_float(m, "ratio", 0.5);
	if (m->opset >= 12)
		(void)phiz_onnx_int(m, "seed", 0);
	if (m->opset < 7)
		(void)phiz_onnx_int(m, "is_test", 1);
	if (phiz_onnx_has(m, 2) && (!phiz_onnx_in_fold(m, 2, &training) || training.n != 1 || training.v[0][0] != 0))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "training_mode");
	identity(m);
}

/* Between widths of floating point nothing changes: phiz computes all of it in float32. */
static void cast(struct phiz_onnx_import *m)
{
	int64_t to = phiz_onnx_int(m, "to", 0);

	(void)phiz_onnx_int(m, "saturate", 1);
	if (!m->status && to != PHIZ_ONNX_T_FLOAT && to != PHIZ_ONNX_T_FLOAT16 && to != PHIZ_ONNX_T_DOUBLE &&
	    to != PHIZ_ONNX_T_BFLOAT16)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "to type %lld, which is no floating point", (long long)to);
	identity(m);
}

static const struct {
	const char *op;
	phiz_onnx_row_fn fn;
} rows[] = {
	{"Conv", conv},
	{"BatchNormalization", batch_normalization},
	{"Gemm", gemm},
	{"MatMul", mat_mul},
	{"Relu", relu},
	{"LeakyRelu", leaky_relu},
	{"PRelu", prelu},
	{"Sigmoid", sigmoid},
	{"Softmax", softmax},
	{"MaxPool", max_pool},
	{"AveragePool", average_pool},
	{"GlobalAveragePool", global_average_pool},
	{"LpPool", lp_pool},
	{"LRN", lrn},
	{"Identity", identity},
	{"Dropout", dropout},
	{"Cast", cast},
};

phiz_onnx_row_fn phiz_onnx_layer(struct phiz_span op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(op, rows[i].op))
			return rows[i].fn;
	return NULL;
}
