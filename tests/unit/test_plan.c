/* The plan: gradients of a whole graph against finite differences in double, memory that is shared only where it may
 * be, frozen prefixes, batches, accumulation, no allocation in a run. */
#include "support/support.h"

#include <stdio.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/rng.h"
#include "core/graph/plan.h"
#include "core/nn/builder.h"

enum { BATCH = 3, CLASSES = 4 };

/* A graph with all that makes planning hard: a residual with a downsampled shortcut and one without, values read
 * several times, a concat, pooling, flatten, in double. */
struct net {
	struct phiz_ctx *ctx;
	struct phiz_graph *g;
	struct phiz_tensor *tensor[64];
	int n_tensors, n_nodes, image, labels, logits, loss;
	struct phiz_rng rng;
};

static int param(struct net *n, const char *name, struct phiz_shape shape, double low, double high, bool trainable)
{
	int value;
	struct phiz_tensor **t = &n->tensor[n->n_tensors++];

	assert_ok(n->ctx, phiz_tensor_create(n->ctx, PHIZ_F64, &shape, t));
	for (int64_t i = 0; i < phiz_tensor_count(*t); i++)
		((double *)(*t)->data)[i] = phiz_rng_uniform(&n->rng, low, high);
	if (trainable)
		assert_ok(n->ctx, phiz_graph_param(n->g, name, *t, &value));
	else
		assert_ok(n->ctx, phiz_graph_buffer(n->g, name, *t, &value));
	return value;
}

static int node(struct net *n, const char *op, const int *in, int n_in, const struct phiz_attr_arg *attr, int n_attrs)
{
	char name[32];
	int out[PHIZ_MAX_OUTPUTS];

	snprintf(name, sizeof name, "n%02d_%s", n->n_nodes++, op);
	assert_ok(n->ctx, phiz_graph_add(n->g, phiz_op_find(op), name, in, n_in, attr, n_attrs, out));
	return out[0];
}

static int conv(struct net *n, const char *name, int x, int64_t channels, int64_t filters, double stride)
{
	int in[2] = {x, param(n, name, phiz_shape_4d(filters, channels, 3, 3), -0.4, 0.4, true)};
	const struct phiz_attr_arg attr[] = {{"stride_h", stride}, {"stride_w", stride}, {"pad_top", 1},
	                                     {"pad_left", 1},      {"pad_bottom", 1},    {"pad_right", 1}};
	return node(n, "conv2d", in, 2, attr, 6);
}

static int bn(struct net *n, const char *name, int x, int64_t channels, bool frozen)
{
	char text[4][32];
	int in[5] = {x};
	const struct phiz_attr_arg attr[] = {{"frozen", frozen}};
	static const char *const role[] = {"weight", "bias", "mean", "var"};

	for (int i = 0; i < 4; i++) {
		snprintf(text[i], sizeof text[i], "%s.%s", name, role[i]);
		in[i + 1] = param(n, text[i], phiz_shape_1d(channels), i == 3 ? 0.5 : -0.5, 1.5, i < 2);
	}
	return node(n, "batch_norm", in, 5, attr, 1);
}

static void build(struct net *n, struct phiz_ctx *ctx, bool frozen_bn)
{
	struct phiz_shape image = phiz_shape_4d(1, 3, 9, 7), labels = phiz_shape_1d(1);

	memset(n, 0, sizeof *n);
	n->ctx = ctx;
	phiz_rng_init(&n->rng, 7, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_graph_create(ctx, &n->g));
	assert_ok(ctx, phiz_graph_input(n->g, "image", PHIZ_F64, &image, &n->image));
	assert_ok(ctx, phiz_graph_input(n->g, "labels", PHIZ_I32, &labels, &n->labels));
	int x = conv(n, "conv1", n->image, 3, 4, 1);
	x = bn(n, "bn1", x, 4, frozen_bn);
	int a = node(n, "sigmoid", &x, 1, NULL, 0);
	int b = conv(n, "conv2", a, 4, 4, 1);
	b = bn(n, "bn2", b, 4, false);
	int sum = node(n, "add", (int[]){b, a}, 2, NULL, 0); /* plain residual */
	int r = node(n, "sigmoid", &sum, 1, NULL, 0);
	int c = conv(n, "conv3", r, 4, 6, 2);
	int d = conv(n, "shortcut", r, 4, 6, 2);
	int e = node(n, "add", (int[]){c, d}, 2, NULL, 0); /* both sides may share the gradient */
	int f = node(n, "mul", (int[]){e, e}, 2, NULL, 0);
	int g = node(n, "concat", (int[]){f, e, f}, 3, NULL, 0);
	int h = node(n, "global_avg_pool", &g, 1, NULL, 0);
	int i = node(n, "flatten", &h, 1, NULL, 0);
	int in[3] = {i, param(n, "fc.weight", phiz_shape_2d(CLASSES, 18), -0.5, 0.5, true),
	             param(n, "fc.bias", phiz_shape_1d(CLASSES), -0.5, 0.5, true)};
	n->logits = node(n, "linear", in, 3, NULL, 0);
	n->loss = node(n, "softmax_cross_entropy", (int[]){n->logits, n->labels}, 2, NULL, 0);
	assert_ok(ctx, phiz_graph_output(n->g, n->logits));
	assert_ok(ctx, phiz_graph_verify(n->g));
}

static void done(struct net *n)
{
	phiz_graph_free(&n->g);
	for (int i = 0; i < n->n_tensors; i++)
		phiz_tensor_free(n->ctx, &n->tensor[i]);
}

static struct phiz_plan *make_plan(struct net *n, enum phiz_plan_mode mode, int64_t batch)
{
	struct phiz_plan *plan;
	struct phiz_plan_options o = {.backend = phiz_backend_reference(), .mode = mode, .batch = batch, .loss = n->loss,
	                              .input_gradient = mode == PHIZ_PLAN_TRAIN};
	assert_ok(n->ctx, phiz_plan_create(n->ctx, n->g, &o, &plan));
	return plan;
}

static void fill_inputs(struct net *n, struct phiz_plan *plan, int64_t first, int64_t count)
{
	struct phiz_rng rng;
	double *x = phiz_plan_tensor(plan, n->image)->data;
	int32_t *y = phiz_plan_tensor(plan, n->labels)->data;

	for (int64_t s = 0; s < count; s++) {
		phiz_rng_init(&rng, 1, 0, (uint64_t)(first + s), PHIZ_STREAM_TEST);
		for (int i = 0; i < 3 * 9 * 7; i++)
			x[s * 3 * 9 * 7 + i] = phiz_rng_uniform(&rng, -1, 1);
		y[s] = (int32_t)((first + s) % CLASSES);
	}
}

static double loss_of(struct net *n, struct phiz_plan *plan)
{
	assert_ok(n->ctx, phiz_plan_forward(plan));
	return *(double *)phiz_plan_tensor(plan, n->loss)->data;
}

/* Every parameter and the picture, a few elements each: (loss(x+h) - loss(x-h))/2h. */
static void check_gradients(bool frozen_bn)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct net n;
	int checked = 0;

	build(&n, ctx, frozen_bn);
	struct phiz_plan *plan = make_plan(&n, PHIZ_PLAN_TRAIN, BATCH);
	fill_inputs(&n, plan, 0, BATCH);
	for (int v = 0; v < phiz_graph_n_values(n.g); v++) {
		enum phiz_value_kind kind = phiz_graph_value(n.g, v)->kind;
		if (kind != PHIZ_VALUE_PARAM && v != n.image)
			continue;
		assert_ok(ctx, phiz_plan_forward(plan));
		assert_ok(ctx, phiz_plan_backward(plan, false, 1));
		struct phiz_tensor *t = phiz_plan_tensor(plan, v), *grad = phiz_plan_gradient(plan, v);
		double gradient[3 * 9 * 7 * BATCH]; /* a copy: the next run reuses the memory */
		assert_non_null(grad);
		assert_true(phiz_tensor_bytes(grad) <= sizeof gradient);
		memcpy(gradient, grad->data, phiz_tensor_bytes(grad));
		for (int64_t i = 0; i < phiz_tensor_count(t); i += 1 + phiz_tensor_count(t) / 5) {
			double *x = (double *)t->data + i, old = *x, h = 1e-5, analytic = gradient[i];
			*x = old + h;
			double up = loss_of(&n, plan);
			*x = old - h;
			double down = loss_of(&n, plan);
			*x = old;
			double numeric = (up - down) / (2 * h);
			if (fabs(numeric - analytic) > 1e-8 + 1e-5 * fabs(numeric))
				fail_msg("%s[%d]: gradient %.10g, finite difference %.10g", phiz_graph_value(n.g, v)->name, (int)i,
				         analytic, numeric);
			checked++;
		}
	}
	assert_true(checked > 30);
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

static void gradients_agree_with_finite_differences(void **state)
{
	(void)state;
	check_gradients(false);
	check_gradients(true);
}

/* No two slots that live at the same time overlap in the arena. */
static void arena_has_no_overlaps(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;

	build(&n, ctx, false);
	struct phiz_plan *plan = make_plan(&n, PHIZ_PLAN_TRAIN, BATCH);
	for (size_t i = 0; i < plan->n_slots; i++)
		for (size_t k = 0; k < i; k++) {
			const struct phiz_slot *a = &plan->slot[i], *b = &plan->slot[k];
			if (a->first <= b->last && b->first <= a->last)
				assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset);
		}
	struct phiz_plan_info info;
	phiz_plan_describe(plan, &info);
	assert_true(info.arena_bytes < info.unshared_bytes);
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

/* Below a frozen prefix there is no backward step, no saved value, no gradient; the trainable rest gets the same ones.
 */
static void frozen_prefix_costs_nothing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;
	double whole[18 * CLASSES];
	struct phiz_plan_info all, head;

	build(&n, ctx, true);
	struct phiz_plan_options o = {.backend = phiz_backend_reference(), .mode = PHIZ_PLAN_TRAIN, .batch = BATCH,
	                              .loss = n.loss};
	struct phiz_plan *plan;
	assert_ok(ctx, phiz_plan_create(ctx, n.g, &o, &plan));
	int weight = phiz_graph_find_value(n.g, "fc.weight");
	fill_inputs(&n, plan, 0, BATCH);
	assert_ok(ctx, phiz_plan_forward(plan));
	assert_ok(ctx, phiz_plan_backward(plan, false, 1));
	memcpy(whole, phiz_plan_gradient(plan, weight)->data, sizeof whole);
	phiz_plan_describe(plan, &all);
	phiz_plan_free(&plan);

	for (int v = 0; v < phiz_graph_n_values(n.g); v++)
		phiz_graph_value(n.g, v)->trainable = v == weight;
	/* bn2 moved its running statistics, which its batch statistics do not read: the loss is the same */
	assert_ok(ctx, phiz_plan_create(ctx, n.g, &o, &plan));
	phiz_plan_describe(plan, &head);
	assert_int_equal(head.backward_steps, 2); /* linear and the loss */
	assert_true(head.arena_bytes < all.arena_bytes);
	assert_int_equal(head.gradient_bytes, (sizeof whole + 63) / 64 * 64);
	fill_inputs(&n, plan, 0, BATCH);
	assert_ok(ctx, phiz_plan_forward(plan));
	assert_ok(ctx, phiz_plan_backward(plan, false, 1));
	assert_null(phiz_plan_gradient(plan, phiz_graph_find_value(n.g, "conv1")));
	assert_memory_equal(whole, phiz_plan_gradient(plan, weight)->data, sizeof whole);
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

/* A smaller batch in a plan for a larger one gives what a plan of its own gives; runs allocate nothing. */
static void smaller_batches_run_in_the_same_plan(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;
	struct phiz_memory_stats before, after;

	build(&n, ctx, true);
	struct phiz_plan *large = make_plan(&n, PHIZ_PLAN_TRAIN, 5), *small = make_plan(&n, PHIZ_PLAN_TRAIN, 2);
	fill_inputs(&n, large, 0, 5);
	loss_of(&n, large);
	phiz_ctx_memory(ctx, &before);
	assert_ok(ctx, phiz_plan_set_batch(large, 2));
	fill_inputs(&n, large, 3, 2);
	double got = loss_of(&n, large);
	assert_ok(ctx, phiz_plan_backward(large, false, 1));
	phiz_ctx_memory(ctx, &after);
	assert_int_equal(before.allocations, after.allocations);
	fill_inputs(&n, small, 3, 2);
	double want = loss_of(&n, small);
	assert_ok(ctx, phiz_plan_backward(small, false, 1));
	assert_true(got == want);
	int v = phiz_graph_find_value(n.g, "conv1");
	test_close_f64("conv1 gradient", phiz_plan_gradient(large, v)->data, phiz_plan_gradient(small, v)->data, 4 * 3 * 9,
	               0, 0);
	assert_fails(ctx, PHIZ_E_ARG, phiz_plan_set_batch(large, 6));
	assert_fails(ctx, PHIZ_E_ARG, phiz_plan_set_batch(large, 0));
	phiz_plan_free(&large);
	phiz_plan_free(&small);
	done(&n);
	test_ctx_done(&ctx);
}

/* Two half batches, added, are the whole batch (frozen batch norm: samples do not see each other). */
static void gradients_accumulate(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;
	double whole[4 * 3 * 9];

	build(&n, ctx, true);
	for (int i = 0; i < phiz_graph_n_nodes(n.g); i++)
		if (phiz_node_is(phiz_graph_node(n.g, i), "batch_norm"))
			phiz_graph_node(n.g, i)->attr[phiz_node_attr(phiz_graph_node(n.g, i), "frozen")].i = 1;
	struct phiz_plan *plan = make_plan(&n, PHIZ_PLAN_TRAIN, 4);
	int v = phiz_graph_find_value(n.g, "conv1");
	fill_inputs(&n, plan, 0, 4);
	loss_of(&n, plan);
	assert_ok(ctx, phiz_plan_backward(plan, false, 1));
	memcpy(whole, phiz_plan_gradient(plan, v)->data, sizeof whole);
	assert_ok(ctx, phiz_plan_set_batch(plan, 2));
	for (int half = 0; half < 2; half++) {
		fill_inputs(&n, plan, 2 * half, 2);
		loss_of(&n, plan);
		assert_ok(ctx, phiz_plan_backward(plan, half > 0, 0.5));
	}
	test_close_f64("conv1 gradient", phiz_plan_gradient(plan, v)->data, whole, 4 * 3 * 9, 1e-14, 1e-12);
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

static void refusals_name_the_reason(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;
	struct phiz_plan *plan;
	int out[PHIZ_MAX_OUTPUTS], weight;

	build(&n, ctx, false);
	struct phiz_plan_options o = {.backend = phiz_backend_reference(),
	                              .batch = 2,
	                              .loss = n.loss,
	                              .memory_limit = 1000};
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_plan_create(ctx, n.g, &o, &plan));
	assert_message(ctx, "MiB");
	assert_null(plan);
	o.memory_limit = 0;
	o.loss = n.logits;
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_plan_create(ctx, n.g, &o, &plan));
	weight = param(&n, "wrong", phiz_shape_4d(2, 64, 3, 3), 0, 1, true);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_graph_add(n.g, phiz_op_find("conv2d"), "layer2.0.conv1",
	                                               (int[]){n.image, weight}, 2, NULL, 0, out));
	assert_message(ctx, "conv2d layer2.0.conv1: want 64 input channels, got 3");
	assert_fails(ctx, PHIZ_E_ARG, phiz_graph_add(n.g, phiz_op_find("relu"), "n00_conv2d", &n.image, 1, NULL, 0, out));
	const struct phiz_attr_arg bad[] = {{"stride_h", 0}}, unknown[] = {{"strides", 1}};
	assert_fails(ctx, PHIZ_E_ARG,
	             phiz_graph_add(n.g, phiz_op_find("conv2d"), "x", (int[]){n.image, weight}, 2, bad, 1, out));
	assert_fails(ctx, PHIZ_E_ARG,
	             phiz_graph_add(n.g, phiz_op_find("conv2d"), "x", (int[]){n.image, weight}, 2, unknown, 1, out));
	assert_ok(ctx, phiz_graph_verify(n.g));
	done(&n);
	test_ctx_done(&ctx);
}

static enum phiz_status plan_once(struct phiz_ctx *ctx, void *user)
{
	struct net *n = user;
	struct phiz_plan *plan;
	struct phiz_graph *copy;
	struct phiz_plan_options o = {.backend = phiz_backend_reference(),
	                              .mode = PHIZ_PLAN_TRAIN,
	                              .batch = 2,
	                              .loss = n->loss};
	enum phiz_status status = phiz_graph_clone(n->g, &copy);

	if (!status)
		status = phiz_plan_create(ctx, copy, &o, &plan);
	if (!status)
		phiz_plan_free(&plan);
	if (!status)
		status = phiz_pass_fuse_activation(copy, true);
	phiz_graph_free(&copy);
	return status;
}

static void memory_may_run_out_anywhere(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;

	build(&n, ctx, false);
	test_every_oom(ctx, plan_once, &n);
	done(&n);
	test_ctx_done(&ctx);
}

/* What a step says of itself, on the one graph of which all is known, and that its clock runs only when asked to. */
static void steps_tell_their_cost_and_time(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct net n;
	struct phiz_plan_step_info step;
	struct phiz_plan_info info;
	double forward = 0, backward = 0;
	int conv1 = 0;

	build(&n, ctx, false);
	struct phiz_plan *plan = make_plan(&n, PHIZ_PLAN_TRAIN, BATCH);
	fill_inputs(&n, plan, 0, BATCH);
	phiz_plan_describe(plan, &info);
	assert_false(phiz_plan_step(plan, -1, &step));
	assert_false(phiz_plan_step(plan, info.steps, &step));
	loss_of(&n, plan);
	for (int i = 0; phiz_plan_step(plan, i, &step); i++)
		assert_true(step.seconds == 0);
	phiz_plan_time_steps(plan, true);
	loss_of(&n, plan);
	assert_ok(ctx, phiz_plan_backward(plan, false, 1));
	for (int i = 0; phiz_plan_step(plan, i, &step); i++) {
		assert_true(step.seconds > 0 && step.seconds < 10 && step.bytes > 0);
		assert_true(step.backward == (i >= info.forward_steps));
		*(step.backward ? &backward : &forward) += step.flops;
		if (!strcmp(step.op, "conv2d") && step.output.dim[1] == 4 && step.output.dim[2] == 9 && !conv1++ &&
		    !step.backward) {
			/* The first convolution: x [3,3,9,7], w [4,3,3,3], y [3,4,9,7], doubles. */
			assert_true(step.bytes == 8.0 * (3 * 3 * 63 + 4 * 27 + 3 * 4 * 63));
			assert_true(step.flops == 2.0 * (3 * 4 * 63) * 27);
		}
	}
	assert_true(conv1 > 0 && forward == info.forward_flops && backward == info.backward_flops);
	phiz_plan_time_steps(plan, false);
	loss_of(&n, plan);
	assert_true(phiz_plan_step(plan, 0, &step) && step.seconds == 0);
	phiz_plan_free(&plan);

	/* Where the picture wants no gradient, the first layer's backward moves x, dy and dw alone. */
	struct phiz_plan_options o = {.backend = phiz_backend_reference(), .mode = PHIZ_PLAN_TRAIN, .batch = BATCH,
	                              .loss = n.loss};
	assert_ok(ctx, phiz_plan_create(ctx, n.g, &o, &plan));
	phiz_plan_describe(plan, &info);
	assert_true(phiz_plan_step(plan, info.steps - 1, &step));
	assert_string_equal(step.op, "conv2d");
	assert_true(step.bytes == 8.0 * (3 * 3 * 63 + 4 * 27 + 3 * 4 * 63));
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_agree_with_finite_differences),
		cmocka_unit_test(arena_has_no_overlaps),
		cmocka_unit_test(frozen_prefix_costs_nothing),
		cmocka_unit_test(smaller_batches_run_in_the_same_plan),
		cmocka_unit_test(gradients_accumulate),
		cmocka_unit_test(refusals_name_the_reason),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(steps_tell_their_cost_and_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
