/* Shape rules: what they refuse and what they say, and that nothing they accept goes wrong later. */
#include "support/op_case.h"

#include <stdio.h>

#include <phiz/plan.h>

#include "core/ops/rule.h"

static enum phiz_status infer(struct phiz_ctx *ctx, const struct op_case *c, struct phiz_type *out)
{
	return c->node.op->infer(ctx, &c->node, c->in, out);
}

static const struct {
	const char *text;
	enum phiz_status status;
	const char *message;
} refused[] = {
	{"conv2d [1,3,8,8] [4,64,3,3]", PHIZ_E_SHAPE, "want 64 input channels, got 3"},
	{"conv2d [3,8,8] [4,3,3,3]", PHIZ_E_SHAPE, "input: want 4 dims [N, C, H, W], got [3, 8, 8]"},
	{"conv2d [1,3,8,8] [4,3,9]", PHIZ_E_SHAPE, "weight: want 4 dims [K, C/groups, R, S], got [4, 3, 9]"},
	{"conv2d [1,3,8,8]", PHIZ_E_SHAPE, "want input weight, got none"},
	{"conv2d - [4,3,3,3]", PHIZ_E_SHAPE, "want input input, got none"},
	{"conv2d [1,3,8,8] [4,3,3,3] [5]", PHIZ_E_SHAPE, "bias: want shape [4], got [5]"},
	{"conv2d [1,3,8,8] [4,3,3,3] [4] [1,4,6,5]", PHIZ_E_SHAPE, "residual: want shape [1, 4, 6, 6], got [1, 4, 6, 5]"},
	{"conv2d [1,4,8,8] [4,4,3,3] groups=0", PHIZ_E_ARG, "groups: want 1 to 2147483647, got 0"},
	{"conv2d [1,4,8,8] [4,4,3,3] groups=3", PHIZ_E_SHAPE, "want input channels in multiples of 3 groups, got 4"},
	{"conv2d [1,4,8,8] [3,2,3,3] groups=2", PHIZ_E_SHAPE, "want filters in multiples of 2 groups, got 3"},
	{"conv2d [1,3,8,8] [4,3,3,3] stride_w=0", PHIZ_E_ARG, "stride_w: want 1 to 65536, got 0"},
	{"conv2d [1,3,8,8] [4,3,3,3] pad_left=-1", PHIZ_E_ARG, "pad_left: want 0 to 65536, got -1"},
	{"conv2d [1,3,8,8] [4,3,3,3] pad_top=9e18", PHIZ_E_ARG, "pad_top: want 0 to 65536, got 9e+18"},
	{"conv2d [1,3,8,8] [4,3,3,3] dilation_h=65536", PHIZ_E_SHAPE,
	 "height: want a padded input of at least the filter's 131073, got 8"},
	{"conv2d [1,3,8,2] [4,3,3,3]", PHIZ_E_SHAPE, "width: want a padded input of at least the filter's 3, got 2"},
	{"conv2d [1,3,8,8] [4,3,3,3] act=3", PHIZ_E_ARG, "act: want 0 to 2, got 3"},
	{"conv2d u8[1,3,8,8] [4,3,3,3]", PHIZ_E_SHAPE, "input: want f32, f64, f16 or bf16, got u8"},
	{"conv2d [1,3,8,8] f64[4,3,3,3]", PHIZ_E_SHAPE, "weight: want the same beside input of f32, got f64"},
	{"conv2d f16[1,3,8,8] bf16[4,3,3,3]", PHIZ_E_SHAPE, "weight: want f32 or the same beside input of f16, got bf16"},
	{"conv2d [1,3,99999,9] [4,3,99999,1]", PHIZ_E_SHAPE, "weight: want filters of at most 65536 by 65536"},
	{"conv2d [1,1,2000000000,1] [2000000000,1,1,1]", PHIZ_E_SHAPE, "output"},
	{"conv2d [2147483647,2147483647,2147483647,1] [1,1,1,1]", PHIZ_E_SHAPE, "input"},
	{"quantized_conv2d [1,3,8,8] i8[4,3,3,3] [4] [4]", PHIZ_E_SHAPE, "input: want u8, got f32"},
	{"quantized_conv2d u8[1,3,8,8] u8[4,3,3,3] [4] [4]", PHIZ_E_SHAPE, "weight: want i8, got u8"},
	{"quantized_conv2d u8[1,3,8,8] i8[4,3,3,3] [3] [4]", PHIZ_E_SHAPE, "scale: want shape [4], got [3]"},
	{"quantized_conv2d u8[1,3,8,8] i8[4,3,3,3] [4]", PHIZ_E_SHAPE, "want input bias, got none"},
	{"quantized_conv2d u8[1,3,8,8] i8[4,3,3,3] [4] [4] u8[1,4,6,5]", PHIZ_E_SHAPE,
	 "residual: want shape [1, 4, 6, 6], got [1, 4, 6, 5]"},
	{"quantized_conv2d u8[1,3,8,8] i8[4,3,3,3] [4] [4] - [5]", PHIZ_E_SHAPE, "slope: want shape [4], got [5]"},
	{"quantized_conv2d u8[1,3,8,8] i8[4,3,3,3] [4] [4] input_zero=256", PHIZ_E_ARG,
	 "input_zero: want 0 to 255, got 256"},
	{"quantized_conv2d u8[1,65537,1,1] i8[4,65537,1,1] [4] [4]", PHIZ_E_SHAPE,
	 "weight: want sums of at most 65536 terms, got 65537"},
	{"quantized_linear u8[2,65537] i8[4,65537] [4] [4]", PHIZ_E_SHAPE, "sums of at most 65536 terms, got 65537"},
	{"quantized_linear u8[2,3] i8[4,5] [4] [4]", PHIZ_E_SHAPE, "want 5 input features, got 3"},
	{"quantized_global_avg_pool u8[1,1,4096,4096]", PHIZ_E_SHAPE,
	 "want planes of at most 8388608 elements, got 4096 by 4096"},
	{"normalize_bytes [1,3,8,8]", PHIZ_E_SHAPE, "input: want u8, got f32"},
	{"normalize_bytes u8[1,4,8,8]", PHIZ_E_SHAPE, "want 3 channels, got 4"},
	{"normalize_bytes u8[2,3,8,8] i32[1,4]", PHIZ_E_SHAPE, "erased: want shape [2, 4], got [1, 4]"},
	{"normalize_bytes u8[2,3,8,8] std1=0", PHIZ_E_ARG, "std1: want 1e-37 to 3e+38, got 0"},
	{"quantize u8[3]", PHIZ_E_SHAPE, "input: want f32, got u8"},
	{"quantize [3] scale=0", PHIZ_E_ARG, "scale: want 1e-30 to 1e+30, got 0"},
	{"dequantize [3]", PHIZ_E_SHAPE, "input: want u8, got f32"},
	{"avg_pool2d u8[1,1,4,4] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2", PHIZ_E_SHAPE, "input: want f32"},
	{"relu [3,0]", PHIZ_E_SHAPE, "input: want dims from 1 to 2147483647, got [3, 0]"},
	{"relu [9000000000]", PHIZ_E_SHAPE, "input: want dims from 1 to 2147483647"},
	{"relu i32[3]", PHIZ_E_SHAPE, "input: want f32"},
	{"leaky_relu [3] slope=-0.1", PHIZ_E_ARG, "slope: want 0 to 1000000, got -0.1"},
	{"leaky_relu [3] slope=nan", PHIZ_E_ARG, "slope: want 0 to 1000000, got nan"},
	{"prelu [2,3] [2]", PHIZ_E_SHAPE, "weight: want shape [3], got [2]"},
	{"prelu [3] [3]", PHIZ_E_SHAPE, "weight: want shape [1], got [3]"},
	{"batch_norm [2,3,4,4] [4] [3] [3] [3]", PHIZ_E_SHAPE, "weight: want shape [3], got [4]"},
	{"batch_norm [2,3,4,4] [3] [3] [3]", PHIZ_E_SHAPE, "want input running_var, got none"},
	{"batch_norm [2,3,4] - - [3] [3]", PHIZ_E_SHAPE, "input: want 4 dims [N, C, H, W] or 2 dims [N, C], got [2, 3, 4]"},
	{"batch_norm [2,3] - - [3] [3] momentum=1.5", PHIZ_E_ARG, "momentum: want 0 to 1, got 1.5"},
	{"softmax [2,3] axis=2", PHIZ_E_SHAPE, "axis: want -2 to 1 for shape [2, 3], got 2"},
	{"softmax [2]", PHIZ_E_SHAPE, "axis: want -1 to 0"},
	{"max_pool2d [1,1,4,4]", PHIZ_E_ARG, "kernel_h: want 1 to 65536, got 0"},
	{"max_pool2d [1,1,4,4] kernel_h=2 kernel_w=2", PHIZ_E_ARG, "stride_h: want 1 to 65536, got 0"},
	{"max_pool2d [1,1,4,4] kernel_h=2 kernel_w=2 stride_h=1 stride_w=1 pad_h=2", PHIZ_E_ARG,
	 "height: want padding of at most half the window 2, got 2"},
	{"avg_pool2d [1,1,4,4] kernel_h=2 kernel_w=7 stride_h=1 stride_w=1 pad_w=1", PHIZ_E_SHAPE,
	 "width: want a padded input of at least the window's 7, got 6"},
	{"max_pool2d [1,1,65536,65536] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2", PHIZ_E_SHAPE,
	 "want planes of at most 2147483647 elements, got 65536 by 65536"},
	{"global_avg_pool [2,3]", PHIZ_E_SHAPE, "input: want 4 dims"},
	{"linear [2,3] [4,5]", PHIZ_E_SHAPE, "want 5 input features, got 3"},
	{"linear [2,3,1,1] [4,3]", PHIZ_E_SHAPE, "input: want 2 dims [N, F] (flatten it first), got [2, 3, 1, 1]"},
	{"linear [2,3] [4,3] [3]", PHIZ_E_SHAPE, "bias: want shape [4], got [3]"},
	{"add [2,3] [3]", PHIZ_E_SHAPE, "b: want shape [2, 3], got [3]"},
	{"add [2,3] f64[2,3]", PHIZ_E_SHAPE, "b: want f32, got f64"},
	{"mul [2,3,4,4] [2,1,1,1]", PHIZ_E_SHAPE, "b: want shape [2, 3, 1, 1], got [2, 1, 1, 1]"},
	{"mul [2,3,4] [2,3]", PHIZ_E_SHAPE, "b: want shape [2, 3, 4], got [2, 3]"},
	{"concat [2,3] [3,3]", PHIZ_E_SHAPE, "input: want shape [2, 3], got [3, 3]"},
	{"concat [2,3] [2,3,1]", PHIZ_E_SHAPE, "input: want shape [2, 3], got [2, 3, 1]"},
	{"concat [2,3] [2,3] axis=-3", PHIZ_E_SHAPE, "axis: want -2 to 1"},
	{"flatten [2,3] start=2", PHIZ_E_SHAPE, "start: want a dim of the input [2, 3], got 2"},
	{"reshape [2,3]", PHIZ_E_ARG, "ndim: want 1 to 6, got 0"},
	{"reshape [2,6] ndim=2 d0=5 d1=-1", PHIZ_E_SHAPE, "want a shape for the 12 elements of [2, 6], got [5, 2]"},
	{"reshape [2,6] ndim=2 d0=-1 d1=-1", PHIZ_E_ARG, "want -1 for one dim at most, got it for d0 and d1"},
	{"reshape [2,6] ndim=3 d0=2 d1=6", PHIZ_E_SHAPE, "d2: want a size or -1, got 0 where the input has only 2 dims"},
	{"reshape [2,6] ndim=2 d0=24 d1=-1", PHIZ_E_SHAPE, "want a shape for the 12 elements"},
	{"reshape [2,6] ndim=3 d0=2000000000 d1=2000000000 d2=2000000000", PHIZ_E_SHAPE, "output"},
	{"dropout [2] p=1", PHIZ_E_ARG, "p: want 0 to 0.999999, got 1"},
	{"l2_normalize [3]", PHIZ_E_SHAPE, "input: want 2 dims [N, F] or more, got [3]"},
	{"softmax_cross_entropy [2,3] [2]", PHIZ_E_SHAPE, "labels: want i32, got f32"},
	{"softmax_cross_entropy [2,3] i32[3]", PHIZ_E_SHAPE, "labels: want shape [2], got [3]"},
	{"softmax_cross_entropy [2,3] i32[2] [2]", PHIZ_E_SHAPE, "class_weight: want shape [3], got [2]"},
	{"softmax_cross_entropy [2,3] i32[2] - i32[2]", PHIZ_E_SHAPE, "labels_b and lambda together, got only labels_b"},
	{"margin_linear [2,3] [5,4]", PHIZ_E_SHAPE, "want an embedding of 4 numbers, got 3"},
	{"margin_linear [2,3] [5,3] i32[3]", PHIZ_E_SHAPE, "labels: want shape [2], got [3]"},
	{"margin_linear [2,3] [5,3] [2]", PHIZ_E_SHAPE, "labels: want i32, got f32"},
	{"margin_linear [2,3,1,1] [5,3]", PHIZ_E_SHAPE, "[N, D]"},
	{"margin_linear [2,3] [5,3] angle=2", PHIZ_E_ARG, "angle: want 0 to 1.5, got 2"},
	{"triplet_loss [4,3] i32[3]", PHIZ_E_SHAPE, "labels: want shape [4], got [3]"},
	{"triplet_loss [4,3] i32[4] mining=3", PHIZ_E_ARG, "mining: want 0 to 2, got 3"},
	{"center_loss [4,3] i32[4] [5,2]", PHIZ_E_SHAPE, "want centers of 3 numbers, got 2"},
	{"center_loss [4,3] [4] [5,3]", PHIZ_E_SHAPE, "labels: want i32, got f32"},
	{"distill_loss [2,3] [2,4]", PHIZ_E_SHAPE, "teacher: want shape [2, 3], got [2, 4]"},
	{"distill_loss [2,3] [2,3] similarity=-1", PHIZ_E_ARG, "similarity"},
	{"softmax_cross_entropy [2,3] i32[2] smoothing=2", PHIZ_E_ARG, "smoothing: want 0 to 1, got 2"},
	{"cast [2] dtype=8", PHIZ_E_ARG, "dtype: want 0 to 7, got 8"},
	{"clamp [2] min=2 max=1", PHIZ_E_ARG, "want min of at most max, got 2 and 1"},
	{"affine [2,3] [3]", PHIZ_E_SHAPE, "scale: want the dims of [2, 3], or 1 in their place, got [3]"},
	{"affine [2,3] - [2,2]", PHIZ_E_SHAPE, "shift: want the dims of [2, 3], or 1 in their place, got [2, 2]"},
	{"permute [2,3,4] p0=1 p1=1", PHIZ_E_ARG, "p1: want each of the 3 dims once, got 1"},
	{"permute [2,3] p1=2 p2=1", PHIZ_E_ARG, "p1: want each of the 2 dims once, got 2"},
	{"permute [2,3] p3=4 p4=3", PHIZ_E_ARG, "p3: want each of the 2 dims once, got 4"},
	{"slice [2,3] start=3", PHIZ_E_SHAPE, "want a part of dim 1 of [2, 3], got 3 to 2147483647"},
	{"slice [2,3] start=-4", PHIZ_E_SHAPE, "want a part of dim 1 of [2, 3], got -4 to"},
	{"slice [2,3] start=2 end=-1", PHIZ_E_SHAPE, "got 2 to -1"},
	{"slice [2,3] axis=2", PHIZ_E_SHAPE, "axis: want -2 to 1"},
	{"pad2d [2,3,4]", PHIZ_E_SHAPE, "input: want 4 dims"},
	{"pad2d [2,3,4,4] left=-1", PHIZ_E_ARG, "left: want 0 to 65536, got -1"},
	{"resize_nearest [2,3]", PHIZ_E_SHAPE, "input: want 4 dims"},
	{"resize_nearest [1,1,60000,60000] scale_h=60000 scale_w=60000", PHIZ_E_SHAPE, "output"},
	{"resize_nearest [1,1,2,2] scale_w=0", PHIZ_E_ARG, "scale_w: want 1 to 65536, got 0"},
	{"lp_pool2d [1,1,4,4] kernel_h=2 kernel_w=2 stride_h=1 stride_w=1 norm=0.5", PHIZ_E_ARG,
	 "norm: want 1 to 64, got 0.5"},
	{"local_response_norm [1,4,2,2] size=4", PHIZ_E_ARG, "size: want an odd number of channels, got 4"},
	{"local_response_norm [4]", PHIZ_E_SHAPE, "input: want 2 dims [N, C] or more, got [4]"},
};

static void refuses(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_type out;
	struct op_case c;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		op_case_parse(&c, refused[i].text);
		if (infer(ctx, &c, &out) == PHIZ_OK)
			fail_msg("%s: accepted", refused[i].text);
		if (phiz_ctx_status(ctx) != refused[i].status || !strstr(phiz_ctx_message(ctx), refused[i].message))
			fail_msg("%s: want %s \"%s\", got %s \"%s\"", refused[i].text, phiz_status_name(refused[i].status),
			         refused[i].message, phiz_status_name(phiz_ctx_status(ctx)), phiz_ctx_message(ctx));
		phiz_ctx_clear(ctx);
	}
	test_ctx_done(&ctx);
}

static const struct {
	const char *text, *shape;
	enum phiz_dtype dtype;
} accepted[] = {
	{"conv2d [2,3,224,224] [64,3,7,7] stride_h=2 stride_w=2 pad_top=3 pad_left=3 pad_bottom=3 pad_right=3",
	 "[2, 64, 112, 112]", PHIZ_F32},
	{"conv2d bf16[1,4,9,9] [8,2,3,2] groups=2 dilation_h=3", "[1, 8, 3, 8]", PHIZ_BF16},
	{"max_pool2d [1,64,112,112] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1", "[1, 64, 56, 56]",
	 PHIZ_F32},
	{"max_pool2d [1,1,5,5] kernel_h=2 kernel_w=2 stride_h=2 stride_w=3 pad_h=1 ceil_mode=1", "[1, 1, 3, 2]", PHIZ_F32},
	{"global_avg_pool f16[2,512,7,7]", "[2, 512, 1, 1]", PHIZ_F16},
	{"flatten [2,512,1,1]", "[2, 512]", PHIZ_F32},
	{"flatten [2,3,4] start=0", "[24]", PHIZ_F32},
	{"reshape [2,3,4] ndim=2 d1=-1", "[2, 12]", PHIZ_F32},
	{"concat [2,3] [2,5] axis=-1", "[2, 8]", PHIZ_F32},
	{"cast [2,3] dtype=3", "[2, 3]", PHIZ_BF16},
	{"permute [2,3,4,5] p1=2 p2=3 p3=1", "[2, 4, 5, 3]", PHIZ_F32},
	{"slice [2,9] start=-3 end=-1", "[2, 2]", PHIZ_F32},
	{"slice [2,9] axis=0 start=1", "[1, 9]", PHIZ_F32},
	{"pad2d [1,2,3,4] top=1 right=2", "[1, 2, 4, 6]", PHIZ_F32},
	{"resize_nearest f16[1,2,3,4] scale_h=2 scale_w=3", "[1, 2, 6, 12]", PHIZ_F16},
	{"softmax_cross_entropy f16[2,3] i32[2]", "[]", PHIZ_F32},
};

static void infers(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_type out;
	struct op_case c;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		op_case_parse(&c, accepted[i].text);
		assert_ok(ctx, infer(ctx, &c, &out));
		assert_string_equal(phiz_shape_text(&out.shape, text), accepted[i].shape);
		assert_int_equal(out.dtype, accepted[i].dtype);
	}
	test_ctx_done(&ctx);
}

static void describes(void **state)
{
	struct phiz_type out;
	struct phiz_cost cost;
	struct op_case c;
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	assert_null(phiz_op_find("conv3d"));
	assert_null(phiz_op_at(-1));
	assert_null(phiz_op_at(phiz_op_count()));
	for (int i = 0; i < phiz_op_count(); i++) {
		const struct phiz_op *op = phiz_op_at(i);

		assert_ptr_equal(phiz_op_find(op->name), op);
		for (int k = 0; k < op->max_inputs; k++)
			assert_non_null(op->input_names[k]);
		assert_true(op->n_attrs <= PHIZ_MAX_ATTRS);
		for (int dtype = 0, rows = 0; dtype <= PHIZ_DTYPES; dtype++) {
			const struct phiz_kernel *kernel = phiz_op_reference(op, (enum phiz_dtype)dtype);

			rows += kernel != NULL;
			assert_true(!kernel || (kernel->dtype == (enum phiz_dtype)dtype && !strcmp(kernel->op, op->name)));
			assert_true(dtype < PHIZ_DTYPES || rows > 0);
		}
	}

	/* 2 operations per multiply-add: PyTorch's usual figure for this layer, twice 115.6 million. */
	op_case_parse(&c, "conv2d [1,64,56,56] [64,64,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1");
	assert_ok(ctx, infer(ctx, &c, &out));
	c.node.op->cost(&c.node, c.in, &out, &cost);
	assert_true(fabs(cost.forward_flops - 231211008.0) < 1 && fabs(cost.backward_flops - 462422016.0) < 1);
	assert_true(fabs(cost.forward_bytes - 4.0 * (2 * 64 * 56 * 56 + 64 * 64 * 9)) < 1);
	test_ctx_done(&ctx);
}

/* Numbers at and beyond the edges. */
static int64_t nasty(struct phiz_rng *rng)
{
	static const int64_t some[] = {0, -1, 65536, INT32_MAX, (int64_t)INT32_MAX + 1, INT64_MAX, INT64_MIN, 65535};

	if (phiz_rng_below(rng, 8) == 0)
		return some[phiz_rng_below(rng, sizeof(some) / sizeof(some[0]))];
	return 1 + (int64_t)phiz_rng_below(rng, 5);
}

static void spoil(struct op_case *c, struct phiz_rng *rng)
{
	const struct phiz_op *op = c->node.op;

	for (int k = (int)phiz_rng_below(rng, 4); k > 0; k--) {
		int i = (int)phiz_rng_below(rng, (uint32_t)op->max_inputs);
		int a = op->n_attrs ? (int)phiz_rng_below(rng, (uint32_t)op->n_attrs) : -1;
		struct phiz_shape *shape = &c->in[i].shape;

		switch (phiz_rng_below(rng, 4)) {
		case 0:
			if (shape->ndim > 0)
				shape->dim[phiz_rng_below(rng, (uint32_t)shape->ndim)] = nasty(rng);
			break;
		case 1:
			if (shape->ndim >= 0 && shape->ndim < PHIZ_MAX_DIMS)
				shape->dim[shape->ndim++] = nasty(rng);
			break;
		case 2:
			if (i >= op->min_inputs && !op->variadic)
				shape->ndim = -1;
			break;
		default:
			if (a >= 0 && op->attrs[a].kind == PHIZ_ATTR_INT)
				c->node.attr[a].i = nasty(rng);
			else if (a >= 0)
				c->node.attr[a].f = phiz_rng_below(rng, 2) ? (double)NAN : (double)nasty(rng);
		}
	}
}

/* Cases that were spoilt: refused with a message, or good enough to be run. */
static void survives(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;
	int ran = 0, said_no = 0;

	(void)state;
	phiz_rng_init(&rng, 77, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < 20000; i++) {
		struct phiz_type out;
		struct op_case c;
		struct op_run r;
		double bytes = 0;

		op_draw(&c, phiz_op_at(i % phiz_op_count()), &rng, 3, true);
		spoil(&c, &rng);
		phiz_ctx_clear(ctx);
		if (infer(ctx, &c, &out) != PHIZ_OK) {
			assert_true(*phiz_ctx_message(ctx) != 0);
			said_no++;
			continue;
		}
		for (int k = 0; k < c.node.n_inputs; k++)
			bytes += phiz_cost_bytes(&c.in[k]);
		if (bytes + phiz_cost_bytes(&out) > 1e5)
			continue;
		ran++;
		op_case_describe(&c);
		op_run_start(&r, ctx, &c, PHIZ_F32);
		op_run_fill(&r, (uint64_t)i);
		const struct phiz_kernel *kernel = phiz_op_reference(c.node.op, r.call.in[0].dtype);

		if (kernel->forward(&r.call) == PHIZ_OK && phiz_op_has_backward(&r.node))
			op_run_backward(&r, kernel);
		op_run_guards(&r, c.text);
		op_run_done(&r);
	}
	print_message("           %d were run, %d refused\n", ran, said_no);
	assert_true(ran > 5000 && said_no > 5000);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses),
		cmocka_unit_test(infers),
		cmocka_unit_test(describes),
		cmocka_unit_test(survives),
	};

	return cmocka_run_group_tests_name("op rules", tests, NULL, NULL);
}
