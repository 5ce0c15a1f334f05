/* Blocked pictures in a plan: as much as can be lies blocked, and nothing that others see; the results are those of the
 * reference backend, which knows plain tensors only. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/plan.h>

#include "core/base/rng.h"
#include "core/graph/plan.h"

enum { BATCH = 3, SIDE = 20, CLASSES = 5 };

/* Photo -> conv -> bn -> relu -> pool, then two branches: convolution in groups, whose kernels know plain tensors only,
 * and one with a residual; then filters that are no multiple of 16. */
struct net {
	struct phiz_ctx *ctx;
	struct phiz_graph *g;
	struct phiz_tensor *tensor[32];
	int n_tensors, n_nodes, image, labels, logits, loss;
	int first, pooled, grouped, odd;
};

static int param(struct net *n, const char *name, struct phiz_shape shape, double low, double high, bool trainable)
{
	struct phiz_tensor **t = &n->tensor[n->n_tensors++];
	struct phiz_rng rng;
	int value;

	phiz_rng_init(&rng, 5, 0, (uint64_t)n->n_tensors, PHIZ_STREAM_TEST);
	assert_ok(n->ctx, phiz_tensor_create(n->ctx, PHIZ_F32, &shape, t));
	for (int64_t i = 0; i < phiz_tensor_count(*t); i++)
		((float *)(*t)->data)[i] = (float)phiz_rng_uniform(&rng, low, high);
	assert_ok(n->ctx, trainable ? phiz_graph_param(n->g, name, *t, &value) : phiz_graph_buffer(n->g, name, *t, &value));
	return value;
}

static int node(struct net *n, const char *op, const int *in, int n_in, const struct phiz_attr_arg *attr, int n_attrs)
{
	int out[PHIZ_MAX_OUTPUTS];
	char name[32];

	snprintf(name, sizeof name, "n%02d_%s", n->n_nodes++, op);
	assert_ok(n->ctx, phiz_graph_add(n->g, phiz_op_find(op), name, in, n_in, attr, n_attrs, out));
	return out[0];
}

static int conv(struct net *n, const char *name, int x, int64_t channels, int64_t filters, double groups)
{
	int in[2] = {x, param(n, name, phiz_shape_4d(filters, channels / (int64_t)groups, 3, 3), -0.2, 0.2, true)};
	const struct phiz_attr_arg attr[] = {{"pad_top", 1},   {"pad_left", 1},    {"pad_bottom", 1},
	                                     {"pad_right", 1}, {"groups", groups}};
	return node(n, "conv2d", in, 2, attr, 5);
}

static int normed(struct net *n, const char *name, int x, int64_t channels)
{
	static const char *const role[] = {"weight", "bias", "mean", "var"};
	int in[5] = {x};
	char text[32];

	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof text, "%s.%s", name, role[i]);
		in[i + 1] = param(n, text, phiz_shape_1d(channels), i == 3 ? 0.5 : -0.5, 1.5, i < 2);
	}
	return node(n, "batch_norm", in, 5, NULL, 0);
}

static void build(struct net *n, struct phiz_ctx *ctx)
{
	struct phiz_shape image = phiz_shape_4d(1, 3, SIDE, SIDE), labels = phiz_shape_1d(1);
	const struct phiz_attr_arg pool[] = {{"kernel_h", 3}, {"kernel_w", 3}, {"stride_h", 2}, {"stride_w", 2},
	                                     {"pad_h", 1},    {"pad_w", 1}};

	memset(n, 0, sizeof *n);
	n->ctx = ctx;
	assert_ok(ctx, phiz_graph_create(ctx, &n->g));
	assert_ok(ctx, phiz_graph_input(n->g, "image", PHIZ_F32, &image, &n->image));
	assert_ok(ctx, phiz_graph_input(n->g, "labels", PHIZ_I32, &labels, &n->labels));
	n->first = normed(n, "bn1", conv(n, "conv1", n->image, 3, 32, 1), 32);
	int x = node(n, "relu", &n->first, 1, NULL, 0);
	n->pooled = x = node(n, "max_pool2d", &x, 1, pool, 6);
	int a = conv(n, "conv2", x, 32, 32, 1);
	n->grouped = conv(n, "conv3", a, 32, 32, 2);
	int b = conv(n, "conv4", x, 32, 32, 1);
	b = normed(n, "bn4", b, 32);
	b = node(n, "add", (int[]){b, x}, 2, NULL, 0);
	a = conv(n, "conv5", n->grouped, 32, 32, 1);
	x = node(n, "add", (int[]){a, b}, 2, NULL, 0);
	n->odd = conv(n, "conv6", x, 32, 20, 1);
	x = conv(n, "conv7", n->odd, 20, 48, 1);
	x = node(n, "global_avg_pool", &x, 1, NULL, 0);
	x = node(n, "flatten", &x, 1, NULL, 0);
	int in[3] = {x, param(n, "fc.weight", phiz_shape_2d(CLASSES, 48), -0.5, 0.5, true),
	             param(n, "fc.bias", phiz_shape_1d(CLASSES), -0.5, 0.5, true)};
	n->logits = node(n, "linear", in, 3, NULL, 0);
	n->loss = node(n, "softmax_cross_entropy", (int[]){n->logits, n->labels}, 2, NULL, 0);
	assert_ok(ctx, phiz_graph_output(n->g, n->logits));
}

static void done(struct net *n)
{
	phiz_graph_free(&n->g);
	for (int i = 0; i < n->n_tensors; i++)
		phiz_tensor_free(n->ctx, &n->tensor[i]);
}

static struct phiz_plan *make_plan(struct net *n, const struct phiz_backend *backend, enum phiz_plan_mode mode,
                                   bool fixed)
{
	struct phiz_plan_options o = {.backend = backend, .mode = mode, .batch = BATCH, .loss = n->loss, .fixed = fixed,
	                              .input_gradient = mode == PHIZ_PLAN_TRAIN};
	struct phiz_plan *plan;
	struct phiz_rng rng;

	assert_ok(n->ctx, phiz_plan_create(n->ctx, n->g, &o, &plan));
	struct phiz_tensor *x = phiz_plan_tensor(plan, n->image), *y = phiz_plan_tensor(plan, n->labels);
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < phiz_tensor_count(x); i++)
		((float *)x->data)[i] = (float)phiz_rng_uniform(&rng, -1, 1);
	for (int i = 0; i < BATCH; i++)
		((int32_t *)y->data)[i] = i % CLASSES;
	return plan;
}

static void expect_close(const char *what, const struct phiz_tensor *got, const struct phiz_tensor *want)
{
	double error = 0, norm = 0;

	assert_int_equal(got->layout, PHIZ_PLAIN);
	for (int64_t i = 0; i < phiz_tensor_count(want); i++) {
		double g = (double)((const float *)got->data)[i], w = (double)((const float *)want->data)[i];
		error += (g - w) * (g - w);
		norm += w * w;
	}
	if (!(sqrt(error) <= 1e-4 * sqrt(norm) + 1e-7))
		fail_msg("%s: %g away from %g", what, sqrt(error), sqrt(norm));
}

static void results_are_those_of_the_reference(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_plan *plan[2];
	struct net n[2]; /* training moves running statistics: each has its own */

	(void)state;
	for (int i = 0; i < 2; i++) {
		build(&n[i], ctx);
		plan[i] = make_plan(&n[i], i ? phiz_backend_cpu() : phiz_backend_reference(), PHIZ_PLAN_TRAIN, false);
		assert_ok(ctx, phiz_plan_forward(plan[i]));
	}
	expect_close("logits", phiz_plan_tensor(plan[1], n[1].logits), phiz_plan_tensor(plan[0], n[0].logits));
	for (int i = 0; i < 2; i++)
		assert_ok(ctx, phiz_plan_backward(plan[i], false, 1));
	for (int v = 0; v < phiz_graph_n_values(n[0].g); v++) {
		const struct phiz_value *value = phiz_graph_value(n[0].g, v);
		if (value->kind == PHIZ_VALUE_PARAM || v == n[0].image)
			expect_close(value->name, phiz_plan_gradient(plan[1], v), phiz_plan_gradient(plan[0], v));
		if (value->kind == PHIZ_VALUE_BUFFER)
			expect_close(value->name, phiz_plan_tensor(plan[1], v), phiz_plan_tensor(plan[0], v));
	}
	for (int i = 0; i < 2; i++) {
		phiz_plan_free(&plan[i]);
		done(&n[i]);
	}
	test_ctx_done(&ctx);
}

/* Where blocked kernels exist (x86 with AVX2, say), what can lie blocked does, on both sides of what cannot. */
static void only_what_can_lies_blocked(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_plan *plan;
	struct net n;

	(void)state;
	build(&n, ctx);
	plan = make_plan(&n, phiz_backend_cpu(), PHIZ_PLAN_TRAIN, false);
	assert_int_equal(plan->layout[n.image], PHIZ_PLAIN);
	assert_int_equal(plan->layout[n.grouped], PHIZ_PLAIN);
	assert_int_equal(plan->layout[n.odd], PHIZ_PLAIN);
	assert_int_equal(plan->layout[n.logits], PHIZ_PLAIN);
	assert_int_equal(plan->layout[n.first], plan->layout[n.pooled]);
	if (plan->layout[n.pooled] == PHIZ_PLAIN)
		print_message("           no blocked convolution on this processor\n");
	phiz_plan_free(&plan);
	plan = make_plan(&n, phiz_backend_reference(), PHIZ_PLAN_TRAIN, false);
	for (int v = 0; v < phiz_graph_n_values(n.g); v++)
		assert_int_equal(plan->layout[v], PHIZ_PLAIN);
	phiz_plan_free(&plan);
	done(&n);
	test_ctx_done(&ctx);
}

/* What a fixed plan keeps changes no bit, also in a smaller batch. */
static void fixed_plans_give_the_same(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_plan *plan[2];
	struct net n;

	(void)state;
	build(&n, ctx);
	for (int i = 0; i < 2; i++)
		plan[i] = make_plan(&n, phiz_backend_cpu(), PHIZ_PLAN_INFER, i == 1);
	for (int64_t batch = BATCH; batch >= 1; batch--) {
		for (int i = 0; i < 2; i++) {
			assert_ok(ctx, phiz_plan_set_batch(plan[i], batch));
			assert_ok(ctx, phiz_plan_forward(plan[i]));
		}
		const struct phiz_tensor *a = phiz_plan_tensor(plan[0], n.logits), *b = phiz_plan_tensor(plan[1], n.logits);
		assert_memory_equal(a->data, b->data, phiz_tensor_bytes(a));
	}
	for (int i = 0; i < 2; i++)
		phiz_plan_free(&plan[i]);
	done(&n);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_those_of_the_reference),
		cmocka_unit_test(only_what_can_lies_blocked),
		cmocka_unit_test(fixed_plans_give_the_same),
	};
	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
