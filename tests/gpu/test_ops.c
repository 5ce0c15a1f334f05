/* label: gpu Every operator of the CUDA backend, forward and, where it trains, backward, in each precision, against the
 * reference kernels: x -> convolution or linear layer -> operator -> the same again (-> cross entropy), so that what
 * goes in and out of the operator is of the plan's precision and in its layout. Skipped where no device can be used. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/ops/ops.h"
#include "support/device.h"
#include "support/op_case.h"

static struct phiz_backend *device;

/* What op_case_parse reads. */
static const char *const cases[] = {
	"conv2d [5,16,9,9] [24,16,3,3] - pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 training=1",
	"conv2d [5,16,12,10] [8,16,3,3] - stride_h=2 stride_w=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 training=1",
	"conv2d [5,3,16,16] [16,3,7,7] - stride_h=2 stride_w=2 pad_top=3 pad_left=3 pad_bottom=3 pad_right=3 training=1",
	"conv2d [5,16,7,7] [32,16,1,1] [32] training=1",
	"conv2d [5,16,8,8] [16,16,1,1] - stride_h=2 stride_w=2 training=1",
	"conv2d [5,16,8,8] [16,1,3,3] - pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 groups=16 training=1",
	"conv2d [5,10,6,6] [6,10,3,3] [6] dilation_h=2 dilation_w=2 training=1",
	"batch_norm [5,16,6,6] [16] [16] [16] [16] training=1",
	"batch_norm [5,16,6,6] [16] [16] [16] [16] act=1 training=1",
	"batch_norm [5,10,3,5] [10] [10] [10] [10] training=1",
	"batch_norm [5,16,6,6] [16] [16] [16] [16] frozen=1 act=1 training=1",
	"batch_norm [5,300,1,1] [300] [300] [300] [300] training=1",
	"batch_norm [5,24] [24] [24] [24] [24] training=1",
	"batch_norm [5,16,6,6] - - [16] [16] training=1",
	"relu [5,16,6,6] training=1",
	"relu [5,3,5,7] training=1",
	"leaky_relu [5,16,6,6] slope=0.2 training=1",
	"prelu [5,16,6,6] [16] training=1",
	"prelu [5,10,3,3] [1] training=1", /* one sum of what mostly cancels out: in float32 only */
	"add [5,16,6,6] [5,16,6,6] training=1",
	"add [5,16,6,6] [5,16,6,6] act=1 training=1",
	"max_pool2d [5,16,9,9] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1 training=1",
	"max_pool2d [5,10,8,8] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2 training=1",
	"max_pool2d [5,8,9,9] kernel_h=3 kernel_w=3 stride_h=1 stride_w=1 pad_h=1 pad_w=1 training=1",
	"global_avg_pool [5,16,7,7] training=1",
	"global_avg_pool [5,10,3,2] training=1",
	"linear [5,32] [20,32] [20] training=1",
	"linear [5,33] [7,33] - training=1",
	"dropout [5,40] p=0.4 training=1",
	"l2_normalize [5,40] training=1",
};

/* Those that run forward only. */
static const char *const forward_cases[] = {
	"sigmoid [5,16,6,6]",
	"sigmoid [5,33]",
	"exp [5,16,5,3]",
	"softmax [5,16,6,6]",
	"softmax [5,16,3,5] axis=3",
	"softmax [5,40] axis=-1",
	"softmax [5,300] axis=1",
	"permute [5,16,6,4] p0=0 p1=2 p2=3 p3=1",
	"permute [5,6,4,16] p0=0 p1=3 p2=1 p3=2",
	"slice [5,16,6,6] axis=1 start=3 end=11",
	"slice [5,16,6,7] axis=-1 start=-4 end=-1",
	"slice [5,40] axis=1 start=8 end=100",
	"concat [5,16,6,6] [5,16,6,6] [5,16,6,6] axis=1",
	"concat [5,16,6,6] [5,16,6,6] axis=3",
	"concat [5,20] [5,20] axis=-1",
	"resize_nearest [5,16,3,4] scale_h=2 scale_w=2",
	"resize_nearest [5,3,4,5] scale_h=3 scale_w=1",
	"affine [5,16,6,6] [1,16,1,1] [1,16,1,1]",
	"affine [5,16,6,5] - [1,1,6,5]",
	"affine [5,16,6,5] [1,1,1,1] -",
	"affine [5,40] [1,40] [1,1]",
	"l2_normalize [5,16,4,3]",
	"l2_normalize [5,512]",
};

struct net {
	struct phiz_ctx *ctx;
	struct phiz_graph *graph;
	struct phiz_tensor *tensor[12];
	int n_tensors, loss, image, output;
};

static struct phiz_tensor *new_tensor(struct net *n, const struct phiz_shape *shape, struct phiz_rng *rng, double low,
                                      double high)
{
	struct phiz_tensor *t;

	assert_ok(n->ctx, phiz_tensor_create(n->ctx, PHIZ_F32, shape, &t));
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		((float *)t->data)[i] = (float)phiz_rng_uniform(rng, low, high);
	n->tensor[n->n_tensors++] = t;
	return t;
}

static int add_node(struct net *n, const char *op, const char *name, const int *input, int n_inputs,
                    const struct phiz_attr_arg *attr, int n_attrs)
{
	int output[PHIZ_MAX_OUTPUTS];

	assert_ok(n->ctx, phiz_graph_add(n->graph, phiz_op_find(op), name, input, n_inputs, attr, n_attrs, output));
	return output[0];
}

/* Input i of the case: a parameter, or a buffer of running statistics; variances are positive. */
static int add_input(struct net *n, const struct op_case *c, int i, struct phiz_rng *rng)
{
	const struct phiz_op *op = c->node.op;
	bool state = op->state_mask >> i & 1u;
	char name[32];
	int value;

	if (c->in[i].shape.ndim < 0)
		return PHIZ_NONE;
	snprintf(name, sizeof name, "p%d", i);
	bool positive = !strcmp(op->name, "batch_norm") && i != PHIZ_BATCH_NORM_MEAN;
	struct phiz_tensor *t = new_tensor(n, &c->in[i].shape, rng, positive ? 0.5 : -0.4, positive ? 1.5 : 0.4);
	assert_ok(n->ctx, state ? phiz_graph_buffer(n->graph, name, t, &value)
	                        : phiz_graph_param(n->graph, name, t, &value));
	return value;
}

/* x through a 1x1 convolution or a linear layer that keeps its shape. */
static int add_layer(struct net *n, const char *name, int x, struct phiz_rng *rng)
{
	struct phiz_shape shape = phiz_graph_value(n->graph, x)->type.shape;
	int64_t c = shape.dim[1];
	struct phiz_shape w = shape.ndim == 4 ? phiz_shape_4d(c, c, 1, 1) : phiz_shape_2d(c, c);
	double most = sqrt(3.0 / (double)c);
	char weight[32];
	int input[2] = {x, PHIZ_NONE};

	snprintf(weight, sizeof weight, "%s.weight", name);
	assert_ok(n->ctx, phiz_graph_param(n->graph, weight, new_tensor(n, &w, rng, -most, most), &input[1]));
	return add_node(n, shape.ndim == 4 ? "conv2d" : "linear", name, input, 2, NULL, 0);
}

static void build(struct net *n, const char *text)
{
	struct phiz_attr_arg attr[PHIZ_MAX_ATTRS];
	struct op_case c;
	struct phiz_rng rng;
	int input[PHIZ_MAX_INPUTS], ce[2], x;

	op_case_parse(&c, text);
	phiz_rng_init(&rng, 5, 0, 0, PHIZ_STREAM_TEST);
	n->n_tensors = 0;
	assert_ok(n->ctx, phiz_graph_create(n->ctx, &n->graph));
	struct phiz_shape one = c.in[0].shape, labels = phiz_shape_1d(1);
	one.dim[0] = 1;
	assert_ok(n->ctx, phiz_graph_input(n->graph, "x", PHIZ_F32, &one, &n->image));
	input[0] = add_layer(n, "before", n->image, &rng);
	for (int i = 1; i < c.node.n_inputs; i++) {
		char name[24];
		snprintf(name, sizeof name, "other%d", i);
		input[i] = phiz_shape_equal(&c.in[i].shape, &c.in[0].shape) ? add_layer(n, name, n->image, &rng)
		                                                            : add_input(n, &c, i, &rng);
	}
	for (int i = 0; i < c.node.op->n_attrs; i++) {
		attr[i].name = c.node.op->attrs[i].name;
		attr[i].value = c.node.op->attrs[i].kind == PHIZ_ATTR_INT ? (double)c.node.attr[i].i : c.node.attr[i].f;
	}
	x = add_node(n, c.node.op->name, "op", input, c.node.n_inputs, attr, c.node.op->n_attrs);
	x = add_layer(n, "after", x, &rng);
	if (phiz_graph_value(n->graph, x)->type.shape.ndim > 2)
		x = add_node(n, "flatten", "flat", &x, 1, NULL, 0);
	ce[0] = n->output = x;
	assert_ok(n->ctx, phiz_graph_output(n->graph, n->output));
	assert_ok(n->ctx, phiz_graph_input(n->graph, "labels", PHIZ_I32, &labels, &ce[1]));
	n->loss = add_node(n, "softmax_cross_entropy", "loss", ce, 2, NULL, 0);
}

static struct phiz_plan *make_plan(struct net *n, const struct phiz_backend *backend, enum phiz_dtype precision)
{
	struct phiz_plan_options o = {.backend = backend, .batch = 5, .mode = PHIZ_PLAN_TRAIN, .loss = n->loss,
	                              .precision = precision, .seed = 3};
	struct phiz_plan *plan;

	assert_ok(n->ctx, phiz_plan_create(n->ctx, n->graph, &o, &plan));
	return plan;
}

static void fill(struct net *n, struct phiz_plan *plan, int64_t batch)
{
	struct phiz_rng rng;

	assert_ok(n->ctx, phiz_plan_set_batch(plan, batch));
	struct phiz_tensor *x = phiz_plan_tensor(plan, n->image);
	struct phiz_tensor *labels = phiz_plan_tensor(plan, phiz_graph_find_value(n->graph, "labels"));
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < phiz_tensor_count(x); i++)
		((float *)x->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
	for (int64_t i = 0; i < batch; i++)
		((int32_t *)labels->data)[i] = (int32_t)(i % 4) - (i == 3 ? 4 : 0);
}

/* What a plan's kernels have, on the host. */
static void fetch(struct net *n, const struct phiz_backend *backend, const struct phiz_tensor *t, float *to)
{
	if (!backend->device) {
		memcpy(to, t->data, phiz_tensor_bytes(t));
		return;
	}
	assert_ok(n->ctx, backend->device->download(n->ctx, backend, to, t->data, phiz_tensor_bytes(t)));
	assert_ok(n->ctx, backend->device->sync(n->ctx, backend));
}

/* ||got - want|| / ||want||, and where want is all but zero ||got - want||. */
static double distance(const float *got, const float *want, int64_t count)
{
	double error = 0, norm = 0;

	for (int64_t i = 0; i < count; i++) {
		error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
		norm += (double)want[i] * (double)want[i];
	}
	return sqrt(error) / (sqrt(norm) > 1e-3 ? sqrt(norm) : 1);
}

static double worst;

static void compare(struct net *n, const struct phiz_tensor *got, const struct phiz_tensor *want, double limit,
                    const char *text, const char *what)
{
	int64_t count = phiz_tensor_count(want);
	float *a = phiz_alloc(n->ctx, (size_t)count, sizeof *a), *b = phiz_alloc(n->ctx, (size_t)count, sizeof *b);

	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(phiz_tensor_count(got), count);
	fetch(n, device, got, a);
	fetch(n, phiz_backend_reference(), want, b);
	double d = distance(a, b, count);
	worst = d > worst ? d : worst;
	if (!(d <= limit))
		fail_msg("%s: %s: %g away (of %g)", text, what, d, limit);
	phiz_free(n->ctx, a);
	phiz_free(n->ctx, b);
}

static void free_net(struct net *n)
{
	phiz_graph_free(&n->graph);
	for (int i = 0; i < n->n_tensors; i++)
		phiz_tensor_free(n->ctx, &n->tensor[i]);
}

static void check(struct phiz_ctx *ctx, const char *text, enum phiz_dtype precision, double limit)
{
	struct net n = {.ctx = ctx}, want = {.ctx = ctx};

	build(&n, text);
	build(&want, text);
	struct phiz_plan *got = make_plan(&n, device, precision);
	struct phiz_plan *reference = make_plan(&want, phiz_backend_reference(), PHIZ_F32);
	for (int run = 0; run < 4; run++) { /* call by call, recorded, replayed; then of another batch */
		int64_t batch = run < 3 ? 5 : 4;
		fill(&n, got, batch);
		fill(&want, reference, batch);
		phiz_plan_set_step(got, 7);
		phiz_plan_set_step(reference, 7);
		assert_ok(ctx, phiz_plan_forward(got));
		assert_ok(ctx, phiz_plan_forward(reference));
		double d = distance(phiz_plan_tensor(got, n.output)->data, phiz_plan_tensor(reference, want.output)->data,
		                    phiz_tensor_count(phiz_plan_tensor(reference, want.output)));
		worst = d > worst ? d : worst;
		if (!(d <= limit))
			fail_msg("%s %s, run %d: output %g away (of %g)", text, phiz_dtype_name(precision), run, d, limit);
		bool add = run == 2; /* a second batch's gradients on top of the first's */
		assert_ok(ctx, phiz_plan_backward(got, add, 2));
		assert_ok(ctx, phiz_plan_backward(reference, add, 2));
		for (int v = 0; v < phiz_graph_n_values(n.graph); v++) {
			const struct phiz_value *value = phiz_graph_value(n.graph, v);
			if (value->kind == PHIZ_VALUE_PARAM)
				compare(&n, phiz_plan_gradient(got, v), phiz_plan_gradient(reference, v), 2 * limit, text, value->name);
			if (value->kind == PHIZ_VALUE_BUFFER)
				compare(&n, phiz_plan_parameter(got, v), phiz_plan_parameter(reference, v), limit, text, value->name);
		}
	}
	phiz_plan_free(&got);
	phiz_plan_free(&reference);
	free_net(&n);
	free_net(&want);
}

static void check_forward(struct phiz_ctx *ctx, const char *text, enum phiz_dtype precision, double limit)
{
	struct net n = {.ctx = ctx};
	struct phiz_plan_options o = {.backend = device, .batch = 5, .loss = PHIZ_NONE, .precision = precision};
	struct phiz_plan *got, *want;

	build(&n, text);
	assert_ok(ctx, phiz_plan_create(ctx, n.graph, &o, &got));
	o.backend = phiz_backend_reference();
	o.precision = PHIZ_F32;
	assert_ok(ctx, phiz_plan_create(ctx, n.graph, &o, &want));
	for (int run = 0; run < 4; run++) {
		int64_t batch = run < 3 ? 5 : 4;
		assert_ok(ctx, phiz_plan_set_batch(got, batch));
		assert_ok(ctx, phiz_plan_set_batch(want, batch));
		struct phiz_tensor *x = phiz_plan_tensor(got, n.image), *same = phiz_plan_tensor(want, n.image);
		struct phiz_rng rng;
		phiz_rng_init(&rng, 6 + (uint64_t)run, 0, 0, PHIZ_STREAM_TEST);
		for (int64_t i = 0; i < phiz_tensor_count(x); i++)
			((float *)x->data)[i] = ((float *)same->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
		assert_ok(ctx, phiz_plan_forward(got));
		assert_ok(ctx, phiz_plan_forward(want));
		const struct phiz_tensor *y = phiz_plan_tensor(want, n.output);
		double d = distance(phiz_plan_tensor(got, n.output)->data, y->data, phiz_tensor_count(y));
		worst = d > worst ? d : worst;
		if (!(d <= limit))
			fail_msg("%s %s, run %d: output %g away (of %g)", text, phiz_dtype_name(precision), run, d, limit);
	}
	phiz_plan_free(&got);
	phiz_plan_free(&want);
	free_net(&n);
}

static void check_all(enum phiz_dtype precision, double limit)
{
	struct phiz_ctx *ctx = test_ctx(1);

	worst = 0;
	for (size_t i = 0; i < sizeof forward_cases / sizeof forward_cases[0]; i++)
		check_forward(ctx, forward_cases[i], precision, limit);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (precision == PHIZ_F32 || !strstr(cases[i], "[1] training"))
			check(ctx, cases[i], precision, limit);
	printf("           %s: at most %.3g of %g\n", phiz_dtype_name(precision), worst, limit);
	test_ctx_done(&ctx);
}

static void f32(void **state)
{
	(void)state;
	check_all(PHIZ_F32, 2e-5);
}

static void f16(void **state)
{
	(void)state;
	check_all(PHIZ_F16, 5e-3);
}

static void bf16(void **state)
{
	(void)state;
	check_all(PHIZ_BF16, 4e-2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(f16), cmocka_unit_test(bf16)};

	device = test_cuda();
	return cmocka_run_group_tests_name("gpu.ops", tests, NULL, NULL);
}
