/* Valid cases of every operator at random: a function draw_NAME for each row of ops.def. */
#include "support/op_case.h"

struct draw {
	struct op_case *c;
	struct phiz_rng *rng;
	int scale;
	bool trainable;
	int64_t block; /* channels in blocks of so many; 0: in any number */
	bool depthwise; /* a convolution with one channel for each filter */
};

/* low..high */
static int64_t between(struct draw *d, int64_t low, int64_t high)
{
	return low + (int64_t)phiz_rng_below(d->rng, (uint32_t)(high - low + 1));
}

static bool coin(struct draw *d)
{
	return phiz_rng_below(d->rng, 2) == 0;
}

static int64_t size(struct draw *d)
{
	return between(d, 1, d->scale);
}

/* How many channels. */
static int64_t channels(struct draw *d)
{
	return d->block && between(d, 0, 3) ? d->block * between(d, 1, d->block > 2 * PHIZ_BLOCK ? 2 : 3) : size(d);
}

/* 1 to 4 dims, at least `least`. */
static struct phiz_shape any_shape(struct draw *d, int least)
{
	struct phiz_shape shape = {0};

	shape.ndim = d->block ? 4 : (int)between(d, least, 4);
	for (int i = 0; i < shape.ndim; i++)
		shape.dim[i] = i == 1 ? channels(d) : size(d);
	return shape;
}

/* 4 dims, the last two at least h and w. (Not as arguments of one call: their order would be the compiler's.) */
static struct phiz_shape four_dims(struct draw *d, int64_t h, int64_t w)
{
	struct phiz_shape shape = phiz_shape_4d(0, 0, h - 1, w - 1);

	for (int i = 0; i < 4; i++)
		shape.dim[i] += i == 1 ? channels(d) : size(d);
	return shape;
}

static void real_input(struct draw *d, int i, struct phiz_shape shape)
{
	op_case_input(d->c, i, PHIZ_F32, shape);
}

static void draw_act(struct draw *d)
{
	op_case_attr(d->c, "act", (double)between(d, PHIZ_ACT_NONE, PHIZ_ACT_LEAKY_RELU));
	op_case_attr(d->c, "act_slope", 0.25);
}

static void draw_conv2d(struct draw *d)
{
	static const char *const names[] = {"stride_h", "stride_w", "dilation_h", "dilation_w",
	                                    "pad_top",  "pad_left", "pad_bottom", "pad_right"};
	bool depthwise = d->depthwise || between(d, 0, d->block ? 2 : 3) == 0;
	bool bare = !depthwise && !d->block && between(d, 0, 3) == 0; /* over wide rows: some kernels take nothing else */
	int64_t groups = depthwise ? channels(d) : bare || d->block || coin(d) ? 1 : between(d, 2, 3);
	int64_t cg = depthwise ? 1 : channels(d);
	int64_t filters = !depthwise ? channels(d) : d->depthwise || d->block ? 1 : between(d, 1, 2); /* of a group */
	int64_t k = groups * filters, v[8], r[2], extent[2], hw[2];

	bool whole = depthwise && d->block && coin(d); /* one output, which lies the same either way */
	bool plain = d->block && coin(d); /* 3 x 3, stride 1: what networks are made of, and Winograd's algorithm is for */

	d->c->training = d->block && coin(d);
	for (int i = 0; i < 8; i++) {
		v[i] = bare ? i < 4 : i < 4 ? (plain ? 1 : between(d, 1, i < 2 ? 3 : 2)) : between(d, 0, 2);
		op_case_attr(d->c, names[i], (double)v[i]);
	}
	for (int i = 0; i < 2; i++) {
		r[i] = plain ? 3 : coin(d) ? between(d, 1, 2) * 2 - 1 : between(d, 1, 5);
		extent[i] = v[2 + i] * (r[i] - 1) + 1 - v[4 + i] - v[6 + i];
		hw[i] = (extent[i] > 1 ? extent[i] : 1) + (whole ? 0 : between(d, 0, 2 * d->scale)) + (bare && i == 1 ? 18 : 0);
		if (plain && !whole && d->block == phiz_block(PHIZ_BF16)) /* where Winograd's algorithm pays */
			hw[i] += between(d, 0, 12);
	}
	op_case_attr(d->c, "groups", (double)groups);
	real_input(d, PHIZ_CONV2D_INPUT, phiz_shape_4d(between(d, 1, 3), groups * cg, hw[0], hw[1]));
	real_input(d, PHIZ_CONV2D_WEIGHT, phiz_shape_4d(k, cg, r[0], r[1]));
	if (coin(d))
		real_input(d, PHIZ_CONV2D_BIAS, phiz_shape_1d(k));
	if (!d->trainable)
		draw_act(d);
	if (!d->trainable && coin(d))
		real_input(d, PHIZ_CONV2D_RESIDUAL,
		           phiz_shape_4d(d->c->in[0].shape.dim[0], k, (hw[0] - extent[0]) / v[0] + 1,
		                         (hw[1] - extent[1]) / v[1] + 1));
}

static void draw_batch_norm(struct draw *d)
{
	struct phiz_shape shape = four_dims(d, 1, 1);
	int64_t c = shape.dim[1];

	shape.dim[0] += 3; /* of 2 values, the normalised ones are +-1 whatever they were: gradients of rounding errors */
	shape.ndim = !d->block && coin(d) ? 2 : 4;
	real_input(d, 0, shape);
	if (coin(d)) {
		real_input(d, PHIZ_BATCH_NORM_WEIGHT, phiz_shape_1d(c));
		real_input(d, PHIZ_BATCH_NORM_BIAS, phiz_shape_1d(c));
	}
	real_input(d, PHIZ_BATCH_NORM_MEAN, phiz_shape_1d(c));
	real_input(d, PHIZ_BATCH_NORM_VAR, phiz_shape_1d(c));
	op_case_attr(d->c, "frozen", phiz_rng_below(d->rng, 4) == 0);
	op_case_attr(d->c, "momentum", 0.3);
	op_case_attr(d->c, "eps", coin(d) ? 1e-5 : 1e-3);
	draw_act(d);
	d->c->training = phiz_rng_below(d->rng, 4) != 0;
}

static void draw_relu(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
}

static void draw_leaky_relu(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
	op_case_attr(d->c, "slope", coin(d) ? 0.125 : 0);
}

static void draw_prelu(struct draw *d)
{
	struct phiz_shape x = any_shape(d, 1);

	real_input(d, PHIZ_PRELU_INPUT, x);
	real_input(d, PHIZ_PRELU_WEIGHT, phiz_shape_1d(x.ndim > 1 && coin(d) ? x.dim[1] : 1));
}

static void draw_sigmoid(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
}

static void draw_softmax(struct draw *d)
{
	struct phiz_shape x = any_shape(d, 2);

	real_input(d, 0, x);
	op_case_attr(d->c, "axis", coin(d) ? 1 : (double)between(d, -x.ndim, x.ndim - 1));
}

static void draw_pool(struct draw *d)
{
	static const char *const names[] = {"kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w"};
	int64_t v[6];

	for (int i = 0; i < 6; i++) {
		v[i] = i < 2 ? between(d, 1, 4) : i < 4 ? between(d, 1, 3) : between(d, 0, v[i - 4] / 2);
		op_case_attr(d->c, names[i], (double)v[i]);
	}
	op_case_attr(d->c, "ceil_mode", coin(d));
	real_input(d, 0, four_dims(d, v[0], v[1]));
}

static void draw_max_pool2d(struct draw *d)
{
	draw_pool(d);
}

static void draw_avg_pool2d(struct draw *d)
{
	draw_pool(d);
	op_case_attr(d->c, "count_include_pad", coin(d));
}

static void draw_global_avg_pool(struct draw *d)
{
	real_input(d, 0, four_dims(d, 1, 1));
}

static void draw_linear(struct draw *d)
{
	int64_t f = 3 * size(d), g = 2 * size(d);

	real_input(d, PHIZ_LINEAR_INPUT, phiz_shape_2d(size(d), f));
	real_input(d, PHIZ_LINEAR_WEIGHT, phiz_shape_2d(g, f));
	if (coin(d))
		real_input(d, PHIZ_LINEAR_BIAS, phiz_shape_1d(g));
	draw_act(d);
}

static void draw_add(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 1);

	real_input(d, 0, shape);
	real_input(d, 1, shape);
	draw_act(d);
}

static void draw_mul(struct draw *d)
{
	struct phiz_shape shape = coin(d) ? any_shape(d, 1) : four_dims(d, 1, 1);

	real_input(d, 0, shape);
	if (shape.ndim == 4 && coin(d))
		shape.dim[2] = shape.dim[3] = 1;
	real_input(d, 1, shape);
}

static void draw_concat(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 2);
	int inputs = (int)between(d, 1, 4), axis = (int)between(d, 0, shape.ndim - 1);

	for (int i = 0; i < inputs; i++) {
		shape.dim[axis] = size(d);
		real_input(d, i, shape);
	}
	op_case_attr(d->c, "axis", coin(d) ? axis : axis - shape.ndim);
}

static void draw_flatten(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 2);

	real_input(d, 0, shape);
	op_case_attr(d->c, "start", (double)between(d, 0, shape.ndim - 1));
}

static void draw_reshape(struct draw *d)
{
	struct phiz_shape shape = four_dims(d, 1, 1);

	shape.dim[2] = 6;
	real_input(d, 0, shape);
	op_case_attr(d->c, "ndim", 4);
	op_case_attr(d->c, "d0", 0);
	op_case_attr(d->c, "d1", 2);
	op_case_attr(d->c, "d2", -1);
	op_case_attr(d->c, "d3", 3);
}

static void draw_dropout(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
	op_case_attr(d->c, "p", coin(d) ? 0.5 : 0.2);
	d->c->training = phiz_rng_below(d->rng, 4) != 0;
}

static void draw_l2_normalize(struct draw *d)
{
	real_input(d, 0, any_shape(d, 2));
	op_case_attr(d->c, "eps", phiz_rng_below(d->rng, 4) == 0 ? 1 : 1e-12); /* 1: many norms are below it */
}

static void draw_softmax_cross_entropy(struct draw *d)
{
	int64_t n = size(d), classes = 1 + size(d);

	real_input(d, PHIZ_CE_LOGITS, phiz_shape_2d(n, classes));
	op_case_input(d->c, PHIZ_CE_LABELS, PHIZ_I32, phiz_shape_1d(n));
	if (coin(d))
		real_input(d, PHIZ_CE_WEIGHT, phiz_shape_1d(classes));
	if (coin(d)) {
		op_case_input(d->c, PHIZ_CE_LABELS_B, PHIZ_I32, phiz_shape_1d(n));
		real_input(d, PHIZ_CE_LAMBDA, phiz_shape_1d(n));
	}
	op_case_attr(d->c, "smoothing", coin(d) ? 0.1 : 0);
}

/* Of few dims every angle is near 0 or pi, where the margin's slope has a pole. */
static void draw_margin_linear(struct draw *d)
{
	int64_t n = size(d), dims = 3 + size(d), classes = size(d) + (d->scale > 10 ? 1010 : 0); /* two blocks */

	real_input(d, PHIZ_MARGIN_INPUT, phiz_shape_2d(n, dims));
	real_input(d, PHIZ_MARGIN_WEIGHT, phiz_shape_2d(classes, dims));
	if (phiz_rng_below(d->rng, 4) != 0)
		op_case_input(d->c, PHIZ_MARGIN_LABELS, PHIZ_I32, phiz_shape_1d(n));
	if (coin(d))
		real_input(d, PHIZ_MARGIN_SHARE, phiz_shape_1d(n));
	op_case_attr(d->c, "scale", coin(d) ? 64 : 2);
	op_case_attr(d->c, coin(d) ? "angle" : "cosine", coin(d) ? 0.5 : 0.25);
	d->c->training = phiz_rng_below(d->rng, 4) != 0;
}

static void draw_triplet_loss(struct draw *d)
{
	int64_t n = 2 + size(d), dims = 2 + size(d);

	real_input(d, PHIZ_TRIPLET_INPUT, phiz_shape_2d(n, dims));
	op_case_input(d->c, PHIZ_TRIPLET_LABELS, PHIZ_I32, phiz_shape_1d(n));
	op_case_attr(d->c, "margin", coin(d) ? 0.25 : 1);
	op_case_attr(d->c, "mining", (double)between(d, PHIZ_MINE_ALL, PHIZ_MINE_HARD));
}

static void draw_center_loss(struct draw *d)
{
	int64_t n = size(d), dims = size(d);

	real_input(d, PHIZ_CENTER_INPUT, phiz_shape_2d(n, dims));
	op_case_input(d->c, PHIZ_CENTER_LABELS, PHIZ_I32, phiz_shape_1d(n));
	real_input(d, PHIZ_CENTER_CENTERS, phiz_shape_2d(size(d), dims));
	op_case_attr(d->c, "rate", coin(d) ? 0.5 : 0.125);
	d->c->training = coin(d);
}

static void draw_distill_loss(struct draw *d)
{
	int64_t n = size(d), dims = 1 + size(d);

	real_input(d, PHIZ_DISTILL_STUDENT, phiz_shape_2d(n, dims));
	real_input(d, PHIZ_DISTILL_TEACHER, phiz_shape_2d(n, dims));
	op_case_attr(d->c, "similarity", coin(d) ? 1 : coin(d) ? 0 : 10);
}

static void draw_exp(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
}

/* Values near 0 are kept away from by the fill, so a bound may stand there and at neither side of a normal one. */
static void draw_clamp(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
	op_case_attr(d->c, "min", coin(d) ? 0 : -50);
	op_case_attr(d->c, "max", coin(d) ? 50 : 0);
}

/* The shape with some of its dims made 1. */
static struct phiz_shape repeated(struct draw *d, struct phiz_shape shape)
{
	for (int i = 0; i < shape.ndim; i++)
		if (coin(d))
			shape.dim[i] = 1;
	return shape;
}

static void draw_affine(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 1);

	real_input(d, PHIZ_AFFINE_INPUT, shape);
	if (coin(d))
		real_input(d, PHIZ_AFFINE_SCALE, repeated(d, shape));
	if (coin(d))
		real_input(d, PHIZ_AFFINE_SHIFT, repeated(d, shape));
}

static void draw_permute(struct draw *d)
{
	static const char *const names[] = {"p0", "p1", "p2", "p3"};
	struct phiz_shape shape = any_shape(d, 1);
	int order[] = {0, 1, 2, 3};

	real_input(d, 0, shape);
	for (int i = shape.ndim - 1; i > 0; i--) {
		int k = (int)between(d, 0, i), kept = order[i];

		order[i] = order[k];
		order[k] = kept;
	}
	for (int i = 0; i < shape.ndim; i++)
		op_case_attr(d->c, names[i], order[i]);
}

static void draw_slice(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 1);
	int axis = (int)between(d, 0, shape.ndim - 1);
	int64_t start = between(d, 0, shape.dim[axis] - 1), end = between(d, start + 1, shape.dim[axis] + 1);

	real_input(d, 0, shape);
	op_case_attr(d->c, "axis", coin(d) ? axis : axis - shape.ndim);
	op_case_attr(d->c, "start", (double)(coin(d) ? start : start - shape.dim[axis]));
	op_case_attr(d->c, "end", (double)(coin(d) || end >= shape.dim[axis] ? end : end - shape.dim[axis]));
}

static void draw_pad2d(struct draw *d)
{
	real_input(d, 0, four_dims(d, 1, 1));
	op_case_attr(d->c, "top", (double)between(d, 0, 2));
	op_case_attr(d->c, "left", (double)between(d, 0, 2));
	op_case_attr(d->c, "bottom", (double)between(d, 0, 3));
	op_case_attr(d->c, "right", (double)between(d, 0, 3));
	op_case_attr(d->c, "value", coin(d) ? 0 : -1.5);
}

static void draw_resize_nearest(struct draw *d)
{
	real_input(d, 0, four_dims(d, 1, 1));
	op_case_attr(d->c, "scale_h", (double)between(d, 1, 3));
	op_case_attr(d->c, "scale_w", (double)between(d, 1, 3));
}

static void draw_lp_pool2d(struct draw *d)
{
	static const double norms[] = {1, 2, 3, 2.5};

	draw_pool(d);
	op_case_attr(d->c, "norm", norms[between(d, 0, 3)]);
}

static void draw_local_response_norm(struct draw *d)
{
	struct phiz_shape shape = any_shape(d, 2);

	shape.dim[1] = between(d, 1, 7);
	real_input(d, 0, shape);
	op_case_attr(d->c, "size", (double)(2 * between(d, 0, 3) + 1));
	op_case_attr(d->c, "alpha", coin(d) ? 0.5 : 1e-4);
	op_case_attr(d->c, "beta", coin(d) ? 0.75 : 0.5);
	op_case_attr(d->c, "k", coin(d) ? 1 : 2);
}

/* To the precision of the run itself; other dtypes have cases of their own. */
static void draw_cast(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
	op_case_attr(d->c, "dtype", PHIZ_F64);
}

static void draw_normalize_bytes(struct draw *d)
{
	static const char *const mean[] = {"mean0", "mean1", "mean2"}, *const std[] = {"std0", "std1", "std2"};
	struct phiz_shape s = four_dims(d, 1, 1);

	s.dim[1] = 3;
	op_case_input(d->c, 0, PHIZ_U8, s);
	if (coin(d))
		op_case_input(d->c, PHIZ_NORMALIZE_ERASED, PHIZ_I32, phiz_shape_2d(s.dim[0], 4));
	for (int c = 0; c < 3; c++) {
		op_case_attr(d->c, mean[c], (double)between(d, 1, 63) / 64);
		op_case_attr(d->c, std[c], (double)between(d, 1, 63) / 64);
	}
}

static void draw_scale(struct draw *d)
{
	op_case_attr(d->c, "scale", (double)between(d, 1, 9) / 64);
	op_case_attr(d->c, "zero", coin(d) ? 0 : (double)between(d, 1, 255));
}

static void draw_quantize(struct draw *d)
{
	real_input(d, 0, any_shape(d, 1));
	draw_scale(d);
}

static void draw_dequantize(struct draw *d)
{
	op_case_input(d->c, 0, PHIZ_U8, any_shape(d, 1));
	draw_scale(d);
}

static void draw_quantized_global_avg_pool(struct draw *d)
{
	op_case_input(d->c, 0, PHIZ_U8, four_dims(d, 1, 1));
	draw_scale(d);
}

static void draw_quantized_linear(struct draw *d)
{
	int64_t f = 8 * size(d) + size(d), g = 8 * size(d) + size(d), n = size(d);

	op_case_input(d->c, PHIZ_QUANTIZED_INPUT, PHIZ_U8, phiz_shape_2d(n, f));
	op_case_input(d->c, PHIZ_QUANTIZED_WEIGHT, PHIZ_I8, phiz_shape_2d(g, f));
	real_input(d, PHIZ_QUANTIZED_SCALE, phiz_shape_1d(g));
	real_input(d, PHIZ_QUANTIZED_BIAS, phiz_shape_1d(g));
	op_case_attr(d->c, "input_zero", coin(d) ? 0 : (double)between(d, 1, 255));
}

/* A convolution as conv2d has it, on bytes. */
static void draw_quantized_conv2d(struct draw *d)
{
	struct op_case conv, *c = d->c;
	int64_t k;

	op_case_init(&conv, &phiz_op_conv2d);
	d->c = &conv;
	d->depthwise = d->block && between(d, 0, 2) == 0;
	draw_conv2d(d);
	d->c = c;
	k = conv.in[PHIZ_CONV2D_WEIGHT].shape.dim[0];
	for (int i = 0; i <= PHIZ_CONV2D_GROUPS; i++)
		c->node.attr[i] = conv.node.attr[i];
	op_case_input(c, PHIZ_QUANTIZED_INPUT, PHIZ_U8, conv.in[PHIZ_CONV2D_INPUT].shape);
	op_case_input(c, PHIZ_QUANTIZED_WEIGHT, PHIZ_I8, conv.in[PHIZ_CONV2D_WEIGHT].shape);
	real_input(d, PHIZ_QUANTIZED_SCALE, phiz_shape_1d(k));
	real_input(d, PHIZ_QUANTIZED_BIAS, phiz_shape_1d(k));
	if (conv.in[PHIZ_CONV2D_RESIDUAL].shape.ndim >= 0)
		op_case_input(c, PHIZ_QUANTIZED_RESIDUAL, PHIZ_U8, conv.in[PHIZ_CONV2D_RESIDUAL].shape);
	if (coin(d))
		real_input(d, PHIZ_QUANTIZED_SLOPE, phiz_shape_1d(k));
	op_case_attr(c, "residual_scale", (double)between(d, 1, 9) / 8);
	op_case_attr(c, "residual_zero", coin(d) ? 0 : (double)between(d, 1, 255));
	op_case_attr(c, "input_zero", coin(d) ? 0 : (double)between(d, 1, 255));
	op_case_attr(c, "output_zero", coin(d) ? 0 : (double)between(d, 1, 255));
	op_case_attr(c, "relu", coin(d));
}

static void draw_case(struct draw *d, const struct phiz_op *op)
{
	static const struct {
		const struct phiz_op *op;
		void (*draw)(struct draw *d);
	} table[] = {
#define PHIZ_OP(name) {&phiz_op_##name, draw_##name},
#include "core/ops/ops.def"
#undef PHIZ_OP
	};

	op_case_init(d->c, op);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].op == op)
			table[i].draw(d);
	op_case_describe(d->c);
}

void op_draw(struct op_case *c, const struct phiz_op *op, struct phiz_rng *rng, int scale, bool trainable)
{
	struct draw d = {c, rng, scale, trainable, 0, false};
	draw_case(&d, op);
}

void op_draw_wide(struct op_case *c, const struct phiz_op *op, struct phiz_rng *rng, int scale, bool trainable,
                  enum phiz_dtype dtype)
{
	struct draw d = {c, rng, scale, trainable, phiz_block(dtype), false};
	draw_case(&d, op);
}
