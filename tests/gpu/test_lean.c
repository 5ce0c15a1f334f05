/* label: gpu The CUDA backend without cuDNN and cuBLAS: each operator that it runs, in F32 and F16, against the
 * reference kernels in double and the table of tolerances; whole networks against the CPU, and against cuDNN where
 * that is there. And that the libraries are not in the process until the end, when they are asked for. Skipped where
 * no device can be used. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/ops/ops.h"
#include "gpu/gpu_nets.h"
#include "support/op_case.h"
#include "support/tolerance.h"

static struct phiz_backend *device;

/* What op_case_parse reads; each also with another batch. */
static const char *const cases[] = {
	/* 1x1, whole tiles and parts of them, strides */
	"conv2d [2,64,8,8] [64,64,1,1] [64]",
	"conv2d [1,3,5,7] [5,3,1,1] -",
	"conv2d [3,33,9,9] [70,33,1,1] [70] act=1",
	"conv2d [2,16,9,10] [24,16,1,1] - stride_h=2 stride_w=3",
	"conv2d [2,65,1,1] [130,65,1,1] [130]",
	"conv2d [2,7,6,6] [9,7,1,1] - pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [2,7,6,6] [9,7,1,1] - pad_bottom=2 pad_right=1",
	/* 3x3 */
	"conv2d [2,64,14,14] [64,64,3,3] [64] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [3,16,9,11] [20,16,3,3] [20] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [2,5,7,6] [3,5,3,3] - pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [2,24,13,13] [33,24,3,3] [33] stride_h=2 stride_w=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [2,10,8,8] [6,10,3,3] [6]",
	"conv2d [2,16,10,10] [16,16,3,3] [16] pad_top=1 pad_left=0 pad_bottom=2 pad_right=1",
	"conv2d [2,16,12,12] [18,16,3,3] [18] pad_top=2 pad_left=2 pad_bottom=2 pad_right=2 dilation_h=2 dilation_w=2",
	"conv2d [2,16,9,9] [16,16,3,3] [16] [2,16,9,9] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [2,40,6,6] [72,40,3,3] - [2,72,6,6] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=2 act_slope=0.2",
	/* large enough for Winograd's algorithm, in tiles that are whole and not */
	"conv2d [1,128,16,16] [128,128,3,3] [128] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [2,130,15,17] [66,130,3,3] [66] [2,66,15,17] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [1,128,16,21] [65,128,3,3] - pad_left=2 pad_bottom=1 act=2 act_slope=0.25",
	/* other kernels */
	"conv2d [2,3,23,21] [64,3,7,7] [64] stride_h=2 stride_w=2 pad_top=3 pad_left=3 pad_bottom=3 pad_right=3 act=1",
	"conv2d [2,4,8,9] [5,4,5,2] [5] pad_top=2 pad_bottom=2 pad_right=1",
	"conv2d [2,6,4,4] [7,6,4,4] [7]",
	"conv2d [1,3,12,12] [10,3,3,3] [10]",
	/* groups; one channel each; one to several, and large filters */
	"conv2d [2,24,7,7] [36,8,3,3] [36] groups=3 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [2,20,9,9] [20,1,3,3] [20] groups=20 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [2,9,8,13] [9,1,3,3] - groups=9 stride_h=2 stride_w=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [3,12,7,7] [12,1,7,7] [12] groups=12",
	"conv2d [2,5,11,70] [10,1,3,3] [10] groups=5 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [2,6,40,37] [6,1,5,5] [6] [2,6,40,37] groups=6 pad_top=2 pad_left=2 pad_bottom=2 pad_right=2 act=1",
	"conv2d [1,4,20,20] [4,1,3,3] - groups=4 dilation_h=3 dilation_w=2 pad_top=3 pad_left=0",
	/* linear */
	"linear [1,512] [10,512] [10]",
	"linear [5,33] [7,33] - act=1",
	"linear [9,130] [65,130] [65] act=2 act_slope=0.1",
	"linear [4,1] [1,1] [1]",
	/* the rest of what recognisers are made of */
	"relu [2,5,3,7]",
	"leaky_relu [2,5,3,7] slope=0.1",
	"prelu [3,5,3,7] [5]",
	"prelu [3,20] [20]",
	"add [2,5,3,7] [2,5,3,7] act=1",
	"max_pool2d [2,5,9,8] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1",
	"max_pool2d [2,5,9,8] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2 ceil_mode=1",
	"avg_pool2d [2,5,9,8] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1",
	"global_avg_pool [2,33,7,5]",
	"batch_norm [2,5,4,4] [5] [5] [5] [5]",
	/* what detectors have beside it */
	"sigmoid [2,5,3,7]",
	"exp [2,5,3,7]",
	"softmax [3,7]",
	"softmax [2,5,3,7]",
	"softmax [2,5,3] axis=-1",
	"permute [2,5,3,7] p1=2 p2=3 p3=1",
	"permute [2,5,3] p1=2 p2=1",
	"slice [2,9,3,7] start=-5 end=-1",
	"slice [2,5,3,7] axis=3 start=2 end=100",
	"concat [2,5,3,7] [2,2,3,7] [2,1,3,7]",
	"concat [2,5,3] [2,4,3] axis=-2",
	"resize_nearest [2,5,3,4] scale_h=2 scale_w=3",
	"affine [2,5,3,7] [1,5,1,1] [1,1,3,1]",
	"affine [2,5,3] - [1,5,3]",
};

struct net {
	struct phiz_ctx *ctx;
	struct phiz_graph *graph;
	struct phiz_tensor *tensor[PHIZ_MAX_INPUTS + 4];
	int n_tensors, input[PHIZ_MAX_INPUTS], output;
};

static struct phiz_tensor *copy_of(struct net *n, const struct phiz_tensor *from)
{
	struct phiz_tensor *t;

	assert_ok(n->ctx, phiz_tensor_create(n->ctx, from->dtype == PHIZ_F64 ? PHIZ_F32 : from->dtype, &from->shape, &t));
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		op_set(t, i, op_get(from, i));
	n->tensor[n->n_tensors++] = t;
	return t;
}

/* x through a layer that gives what it gets, and may have it in another precision on the other side. */
static int add_identity(struct net *n, const char *name, int x)
{
	struct phiz_shape shape = phiz_graph_value(n->graph, x)->type.shape;
	int64_t c = shape.dim[1];
	struct phiz_shape w = shape.ndim == 4 ? phiz_shape_4d(c, c, 1, 1) : phiz_shape_2d(c, c);
	int input[2] = {x, PHIZ_NONE}, output[1];
	struct phiz_tensor *t;
	char weight[64];

	if (shape.ndim != 2 && shape.ndim != 4)
		return x;
	assert_ok(n->ctx, phiz_tensor_create(n->ctx, PHIZ_F32, &w, &t));
	for (int64_t i = 0; i < c * c; i++)
		((float *)t->data)[i] = i % (c + 1) == 0;
	n->tensor[n->n_tensors++] = t;
	snprintf(weight, sizeof weight, "%s.weight", name);
	assert_ok(n->ctx, phiz_graph_param(n->graph, weight, t, &input[1]));
	const struct phiz_op *op = shape.ndim == 4 ? &phiz_op_conv2d : &phiz_op_linear;
	assert_ok(n->ctx, phiz_graph_add(n->graph, op, name, input, 2, NULL, 0, output));
	return output[0];
}

/* Is input i an activation? */
static bool is_activation(const struct op_case *c, int i)
{
	const char *op = c->node.op->name;

	return i == 0 || !strcmp(op, "add") || !strcmp(op, "mul") || !strcmp(op, "concat") ||
	       (!strcmp(op, "conv2d") && i == PHIZ_CONV2D_RESIDUAL);
}

/* The case's op, its activations as inputs, the rest as parameters of these values. wide: that side is F32 in plans of
 * 16 bits. */
static void build(struct net *n, const struct op_case *c, const struct op_run *values, enum op_wide wide)
{
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	int input[PHIZ_MAX_INPUTS], output[PHIZ_MAX_OUTPUTS];
	char name[32];

	n->n_tensors = 0;
	assert_ok(n->ctx, phiz_graph_create(n->ctx, &n->graph));
	for (int i = 0; i < c->node.n_inputs; i++) {
		input[i] = n->input[i] = PHIZ_NONE;
		if (c->in[i].shape.ndim < 0)
			continue;
		snprintf(name, sizeof name, "x%d", i);
		if (is_activation(c, i)) {
			struct phiz_shape one = c->in[i].shape;
			one.dim[0] = 1;
			assert_ok(n->ctx, phiz_graph_input(n->graph, name, PHIZ_F32, &one, &n->input[i]));
			snprintf(name, sizeof name, "before%d", i);
			input[i] = wide == OP_WIDE_IN && i == 0 ? n->input[i] : add_identity(n, name, n->input[i]);
		} else if (c->node.op->state_mask >> i & 1u) {
			assert_ok(n->ctx, phiz_graph_buffer(n->graph, name, copy_of(n, &values->call.in[i]), &input[i]));
		} else {
			assert_ok(n->ctx, phiz_graph_param(n->graph, name, copy_of(n, &values->call.in[i]), &input[i]));
		}
	}
	for (int i = 0; i < c->node.op->n_attrs; i++) {
		attr[i].name = c->node.op->attrs[i].name;
		attr[i].value = c->node.op->attrs[i].kind == PHIZ_ATTR_INT ? (double)c->node.attr[i].i : c->node.attr[i].f;
	}
	assert_ok(n->ctx, phiz_graph_add(n->graph, c->node.op, "op", input, c->node.n_inputs, attr, c->node.op->n_attrs,
	                                 output));
	n->output = wide == OP_WIDE_OUT ? output[0] : add_identity(n, "after", output[0]);
	assert_ok(n->ctx, phiz_graph_output(n->graph, n->output));
}

static void net_done(struct net *n)
{
	phiz_graph_free(&n->graph);
	for (int i = 0; i < n->n_tensors; i++)
		phiz_tensor_free(n->ctx, &n->tensor[i]);
}

static int n_kernels[3];
static const char *const kernels[3] = {"lean.direct", "lean.depthwise", "lean.winograd"};

/* Which of the convolutions the op itself is. */
static bool count_kernel(struct phiz_plan *plan)
{
	struct phiz_plan_step_info step;
	bool slow = false;

	for (int s = 0; phiz_plan_step(plan, s, &step); s++)
		for (int k = 0; k < 3; k++)
			if (!strcmp(step.node, "op") && !strcmp(step.kernel, kernels[k])) {
				n_kernels[k]++;
				slow = k == 2;
			}
	return slow;
}

/* Each sample's result does not depend on the others: a smaller batch gives the first of them. */
static void compare(struct net *n, struct phiz_plan *plan, const struct op_case *c, const struct op_run *want,
                    int64_t batch, enum precision precision, int runs, struct tolerance_use *use)
{
	struct phiz_tensor part = want->call.out[0];

	assert_ok(n->ctx, phiz_plan_set_batch(plan, batch));
	for (int i = 0; i < c->node.n_inputs; i++) {
		if (n->input[i] == PHIZ_NONE)
			continue;
		struct phiz_tensor *x = phiz_plan_tensor(plan, n->input[i]);
		for (int64_t k = 0; k < phiz_tensor_count(x); k++)
			op_set(x, k, op_get(&want->call.in[i], k));
	}
	part.shape.dim[0] = batch * part.shape.dim[0] / c->in[0].shape.dim[0];
	for (int run = 0; run < runs; run++) { /* call by call, recorded, replayed */
		op_poison(phiz_plan_tensor(plan, n->output));
		assert_ok(n->ctx, phiz_plan_forward(plan));
		tolerance_check(use, c->node.op, precision, c->text, phiz_plan_tensor(plan, n->output), &part);
	}
}

static void check(struct phiz_ctx *ctx, struct op_case *c, enum phiz_dtype precision, enum op_wide wide, uint64_t seed,
                  struct tolerance_use *use)
{
	struct net n = {.ctx = ctx};
	struct op_run want;
	struct phiz_plan *plan;
	int64_t batch = c->in[0].shape.dim[0];
	struct phiz_plan_options o = {.backend = device, .batch = batch, .loss = PHIZ_NONE, .fixed = true,
	                              .precision = precision};

	op_case_describe(c);
	op_run_start(&want, ctx, c, PHIZ_F64);
	op_run_fill(&want, seed);
	op_run_round(&want, PHIZ_F16); /* so that the precision of the numbers does not count, but that of computing */
	op_run_workspace(&want, &c->node.op->reference_f64, false);
	op_run_forward(&want, &c->node.op->reference_f64);
	build(&n, c, &want, wide);
	assert_ok(ctx, phiz_plan_create(ctx, n.graph, &o, &plan));
	const int runs = count_kernel(plan) ? 1 : 3;
	compare(&n, plan, c, &want, batch, precision == PHIZ_F16 ? PRECISION_F16 : PRECISION_F32, runs, use);
	if (batch > 1)
		compare(&n, plan, c, &want, 1, precision == PHIZ_F16 ? PRECISION_F16 : PRECISION_F32, runs, use);
	phiz_plan_free(&plan);
	net_done(&n);
	op_run_done(&want);
}

/* Uses of tolerances, by operator. */
struct uses {
	const struct phiz_op *op[24];
	struct tolerance_use use[24];
	int n;
};

static struct tolerance_use *use_of(struct uses *u, const struct phiz_op *op)
{
	for (int i = 0; i < u->n; i++)
		if (u->op[i] == op)
			return &u->use[i];
	assert_true(u->n < 24);
	u->op[u->n] = op;
	memset(&u->use[u->n], 0, sizeof u->use[0]);
	return &u->use[u->n++];
}

static void check_all(enum phiz_dtype precision)
{
	static const struct phiz_op *const drawn[] = {&phiz_op_conv2d, &phiz_op_linear};
	struct phiz_ctx *ctx = test_ctx(1);
	struct uses uses = {.n = 0};
	struct op_case c;
	struct phiz_rng rng;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		op_case_parse(&c, cases[i]);
		for (int wide = 0; wide < (precision == PHIZ_F16 ? OP_WIDES : 1); wide++)
			check(ctx, &c, precision, (enum op_wide)wide, i, use_of(&uses, c.node.op));
	}
	phiz_rng_init(&rng, 11, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < 80; i++) {
		op_draw(&c, drawn[i % 2], &rng, 4 + i / 4, false);
		c.training = false;
		check(ctx, &c, precision, OP_WIDE_NONE, (uint64_t)i, use_of(&uses, c.node.op));
	}
	for (int k = 0; k < 3; k++) {
		print_message("           %s: %d cases\n", kernels[k], n_kernels[k]);
		assert_true(n_kernels[k] > 1);
		n_kernels[k] = 0;
	}
	for (int i = 0; i < uses.n; i++)
		tolerance_print(&uses.use[i], uses.op[i], precision == PHIZ_F16 ? PRECISION_F16 : PRECISION_F32);
	test_ctx_done(&ctx);
}

static void operators_f32(void **state)
{
	(void)state;
	check_all(PHIZ_F32);
}

static void operators_f16(void **state)
{
	(void)state;
	check_all(PHIZ_F16);
}

static void networks_agree(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);

	(void)state;
	gpu_nets_compare(ctx, device, phiz_backend_cpu(), false);
	test_ctx_done(&ctx);
}

static void it_trains_none(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m;
	struct phiz_plan *plan;
	struct phiz_plan_options o = {.backend = device, .mode = PHIZ_PLAN_TRAIN, .loss = PHIZ_NONE};

	(void)state;
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 10, 32, 5, &m));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_plan_create(ctx, m->graph, &o, &plan));
	assert_message(ctx, "it does not train them: train with cuDNN (without --no-cudnn) or on the CPU");
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

/* After all of the above has run. The test double of the libraries is the other module. */
static void no_library_was_loaded(void **state)
{
	(void)state;
	assert_true(test_is_loaded("libphiz_cuda_lean.so") || test_is_loaded("cuda_lean_double"));
	assert_false(test_is_loaded("libcudnn") || test_is_loaded("libcublas"));
	assert_false(test_is_loaded("libphiz_cuda.so") || test_is_loaded("libcuda_double_"));
}

/* The last test: it loads what the others do without. */
static void cudnn_agrees(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_backend *other;

	(void)state;
	if (phiz_backend_cuda_create(ctx, 0, &other)) {
		print_message("           %s: not compared with cuDNN\n", phiz_ctx_message(ctx));
		test_ctx_done(&ctx);
		return;
	}
	gpu_nets_compare(ctx, device, other, true);
	phiz_backend_cuda_free(ctx, &other);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_f32), cmocka_unit_test(operators_f16), cmocka_unit_test(networks_agree),
		cmocka_unit_test(it_trains_none), cmocka_unit_test(no_library_was_loaded), cmocka_unit_test(cudnn_agrees),
	};
	const struct phiz_cuda_options options = {.no_cudnn = true};
	struct phiz_ctx *ctx = test_ctx(1);
	const char *why;

	if (!phiz_cuda_count_for(&options, &why)) {
		printf("skipped: no CUDA device can be used here: %s\n", why);
		test_ctx_done(&ctx);
		return 77;
	}
	if (phiz_backend_cuda_open(ctx, &options, &device)) {
		fprintf(stderr, "%s\n", phiz_ctx_message(ctx));
		return 1;
	}
	int failed = cmocka_run_group_tests_name("gpu.lean", tests, NULL, NULL);
	phiz_backend_cuda_free(ctx, &device);
	test_ctx_done(&ctx);
	return failed;
}
