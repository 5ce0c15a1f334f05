/* ONNX files, checked by the onnx package and run by onnxruntime (check_onnx.py), against what phiz computes. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <phiz/model.h>
#include <phiz/op.h>
#include <phiz/plan.h>

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/io/onnx.h"
#include "core/io/tensors.h"

#define BATCH 2

static struct phiz_ctx *ctx;
static char folder[256];

static int begin(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	test_folder(folder);
	return 0;
}

static int done(void **state)
{
	(void)state;
	test_folder_done(folder);
	test_ctx_done(&ctx);
	return 0;
}

static void fill(struct phiz_tensor *t, uint64_t which, double low, double high)
{
	float *f = t->data;
	struct phiz_rng rng;
	int64_t i;

	phiz_rng_init(&rng, 1, 0, which, PHIZ_STREAM_TEST);
	for (i = 0; i < phiz_tensor_count(t); i++)
		f[i] = (float)phiz_rng_uniform(&rng, low, high);
}

/* Runs the graph on random pictures; input and outputs go into t. */
static void run(struct phiz_model *m, struct phiz_tensors *t)
{
	struct phiz_plan_options options = {0};
	struct phiz_plan *plan;
	int i, input = phiz_graph_find_value(m->graph, "image");

	options.backend = phiz_backend_reference();
	options.batch = BATCH;
	options.loss = PHIZ_NONE;
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &options, &plan));
	fill(phiz_plan_tensor(plan, input), 99, -1, 1);
	for (i = -1; i < phiz_graph_n_outputs(m->graph); i++) {
		int v = i < 0 ? input : phiz_graph_output_at(m->graph, i);
		struct phiz_tensor *copy;

		if (i == 0)
			assert_ok(ctx, phiz_plan_forward(plan));
		assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &phiz_plan_tensor(plan, v)->shape, &copy));
		assert_ok(ctx, phiz_tensor_convert(ctx, phiz_plan_tensor(plan, v), copy));
		assert_ok(ctx, phiz_tensors_add(ctx, t, phiz_graph_value(m->graph, v)->name, copy));
	}
	phiz_plan_free(&plan);
}

/* phiz reads its own file too, and computes the same with it. */
static void read_again(const char *onnx, const struct phiz_tensors *want)
{
	struct phiz_tensors got = {0};
	struct phiz_model *m;

	assert_ok(ctx, phiz_onnx_read(ctx, onnx, 0, &m));
	run(m, &got);
	assert_int_equal(got.count, want->count);
	for (size_t i = 0; i < got.count; i++) {
		const struct phiz_tensor *g = got.entry[i].tensor, *w = phiz_tensors_find(want, got.entry[i].name);
		if (!w || !phiz_shape_equal(&g->shape, &w->shape))
			fail_msg("%s is of another name or shape after reading", got.entry[i].name);
		for (int64_t k = 0; k < phiz_tensor_count(g); k++) {
			float a = ((const float *)g->data)[k], b = ((const float *)w->data)[k];
			/* Sixteen bits become float32. */
			if (!(fabsf(a - b) <= (strstr(got.entry[i].name, "half") ? 2e-2f : 2e-5f) * (1 + fabsf(b))))
				fail_msg("%s: element %lld is %.9g after reading, was %.9g", got.entry[i].name, (long long)k, (double)a,
				         (double)b);
		}
	}
	phiz_tensors_free(ctx, &got);
	phiz_model_free(&m);
}

/* Writes the model and what it gives, and lets onnxruntime judge; false: there is no onnxruntime. */
static bool check(struct phiz_model *m)
{
	const char *python = getenv("PHIZ_PYTHON");
	char onnx[512], data[512], script[1024], command[3072];
	struct phiz_tensors t = {0};
	int code;

	snprintf(onnx, sizeof(onnx), "%s/model.onnx", folder);
	snprintf(data, sizeof(data), "%s/want.safetensors", folder);
	run(m, &t);
	assert_ok(ctx, phiz_safetensors_write(ctx, data, &t));
	assert_ok(ctx, phiz_onnx_write(ctx, m, onnx));
	read_again(onnx, &t);
	phiz_tensors_free(ctx, &t);
	snprintf(command, sizeof(command), "'%s' '%s' '%s' '%s'", python ? python : "/usr/bin/python3",
	         test_golden("check_onnx.py", script), onnx, data);
	code = system(command);
	assert_true(code >= 0 && WIFEXITED(code));
	if (WEXITSTATUS(code) == 77)
		return false;
	assert_int_equal(WEXITSTATUS(code), 0);
	return true;
}

/* ---- A graph of every operator and option ---- */

struct zoo {
	struct phiz_model *model;
	uint64_t drawn;
};

static int param(struct zoo *z, const char *name, struct phiz_shape shape, double low, double high)
{
	struct phiz_tensor *t;
	int v;

	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &t));
	fill(t, z->drawn++, low, high);
	assert_ok(ctx, phiz_model_add(z->model, name, t, true));
	assert_ok(ctx, phiz_graph_param(z->model->graph, name, t, &v));
	return v;
}

/* Adds a node and makes its value an output. Attributes end with a NULL name. */
static int node(struct zoo *z, const char *op, const char *name, const int *in, int n,
                const struct phiz_attr_arg *attr)
{
	int out[PHIZ_MAX_OUTPUTS], n_attrs = 0;

	while (attr && attr[n_attrs].name)
		n_attrs++;
	assert_ok(ctx, phiz_graph_add(z->model->graph, phiz_op_find(op), name, in, n, attr, n_attrs, out));
	assert_ok(ctx, phiz_graph_output(z->model->graph, out[0]));
	return out[0];
}

#define IN(...) (const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
#define ATTRS(...) (const struct phiz_attr_arg[]){__VA_ARGS__, {NULL, 0}}

static void add_pools(struct zoo *z, int x)
{
	struct phiz_attr_arg attr[] = {{"kernel_h", 3}, {"kernel_w", 2}, {"stride_h", 2}, {"stride_w", 3}, {"ceil_mode", 0},
	                               {"pad_h", 0}, {"pad_w", 0}, {NULL, 0}, {NULL, 0}};
	char name[64];
	int ceil_mode, count, pad;

	for (ceil_mode = 0; ceil_mode < 2; ceil_mode++)
		for (pad = 0; pad < 2; pad++) {
			attr[4].value = ceil_mode;
			attr[5].value = attr[6].value = pad;
			attr[7].name = NULL;
			snprintf(name, sizeof(name), "max_%d%d", ceil_mode, pad);
			node(z, "max_pool2d", name, IN(x), attr);
			for (count = 0; count < 2; count++) {
				attr[7].name = "count_include_pad";
				attr[7].value = count;
				snprintf(name, sizeof(name), "avg_%d%d%d", ceil_mode, pad, count);
				node(z, "avg_pool2d", name, IN(x), attr);
			}
		}
}

static void add_all(struct zoo *z)
{
	struct phiz_shape image = phiz_shape_4d(1, 3, 14, 12);
	int x, c, b, g, f, l, w8, v8, m8, b8, w1;

	assert_ok(ctx, phiz_graph_input(z->model->graph, "image", PHIZ_F32, &image, &x));
	w8 = param(z, "bn.weight", phiz_shape_1d(8), 0.5, 1.5);
	b8 = param(z, "bn.bias", phiz_shape_1d(8), -1, 1);
	m8 = param(z, "bn.mean", phiz_shape_1d(8), -1, 1);
	v8 = param(z, "bn.var", phiz_shape_1d(8), 0.1, 2);
	c = node(z, "conv2d", "conv", IN(x, param(z, "conv.weight", phiz_shape_4d(8, 3, 3, 2), -1, 1), b8),
	         ATTRS({"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 2}, {"pad_right", 1}, {"dilation_w", 2}));
	w1 = param(z, "conv_relu.weight", phiz_shape_4d(4, 3, 1, 1), -1, 1);
	node(z, "conv2d", "conv_relu", IN(x, w1), ATTRS({"act", 1}));
	b = node(z, "batch_norm", "bn", IN(c, w8, b8, m8, v8), ATTRS({"act", 2}, {"act_slope", 0.2}, {"eps", 1e-3}));
	g = node(z, "batch_norm", "plain_bn", IN(c, PHIZ_NONE, PHIZ_NONE, m8, v8), NULL);
	node(z, "conv2d", "grouped", IN(b, param(z, "grouped.weight", phiz_shape_4d(8, 4, 3, 3), -1, 1), PHIZ_NONE, g),
	     ATTRS({"groups", 2}, {"pad_top", 1}, {"pad_bottom", 1}, {"pad_left", 1}, {"pad_right", 1}, {"act", 2},
	           {"act_slope", 0.3}));
	node(z, "conv2d", "added", IN(b, param(z, "added.weight", phiz_shape_4d(8, 8, 1, 1), -1, 1), b8, g), NULL);
	node(z, "relu", "relu", IN(g), NULL);
	node(z, "leaky_relu", "leaky", IN(g), ATTRS({"slope", 0.3}));
	node(z, "prelu", "prelu", IN(g, param(z, "prelu.weight", phiz_shape_1d(8), 0, 1)), NULL);
	node(z, "prelu", "prelu1", IN(g, param(z, "prelu1.weight", phiz_shape_1d(1), 0, 1)), NULL);
	node(z, "sigmoid", "sigmoid", IN(g), NULL);
	node(z, "softmax", "softmax", IN(g), NULL);
	node(z, "softmax", "softmax_w", IN(g), ATTRS({"axis", -1}));
	add_pools(z, g);
	f = node(z, "global_avg_pool", "gap", IN(g), NULL);
	node(z, "mul", "mul", IN(b, g), NULL);
	node(z, "mul", "scale", IN(b, f), NULL);
	node(z, "add", "add", IN(b, g), NULL);
	node(z, "add", "add_relu", IN(b, g), ATTRS({"act", 1}));
	node(z, "concat", "concat", IN(b, g, b), NULL);
	node(z, "concat", "concat_w", IN(b, g), ATTRS({"axis", -1}));
	f = node(z, "flatten", "flatten", IN(f), NULL);
	node(z, "flatten", "flatten2", IN(g), ATTRS({"start", 2}));
	node(z, "flatten", "flatten0", IN(g), ATTRS({"start", 0}));
	node(z, "reshape", "reshape", IN(g), ATTRS({"ndim", 3}, {"d1", 4}, {"d2", -1}));
	l = node(z, "linear", "fc", IN(f, param(z, "fc.weight", phiz_shape_2d(8, 8), -1, 1), b8), NULL);
	node(z, "linear", "fc_relu", IN(f, param(z, "fc_relu.weight", phiz_shape_2d(5, 8), -1, 1)), ATTRS({"act", 1}));
	node(z, "batch_norm", "bn1d", IN(l, w8, b8, m8, v8), NULL);
	node(z, "prelu", "prelu_fc", IN(l, param(z, "prelu_fc.weight", phiz_shape_1d(8), 0, 1)), NULL);
	node(z, "exp", "exp", IN(g), NULL);
	node(z, "clamp", "clamp", IN(g), ATTRS({"min", -0.5}, {"max", 0.25}));
	node(z, "affine", "affine", IN(g, param(z, "affine.scale", phiz_shape_4d(1, 8, 1, 1), -1, 1),
	                               param(z, "affine.shift", phiz_shape_4d(1, 8, 1, 1), -1, 1)), NULL);
	node(z, "affine", "affine_scale", IN(g, param(z, "affine_scale.scale", phiz_shape_4d(1, 1, 1, 1), 2, 3)), NULL);
	node(z, "affine", "affine_shift", IN(g, PHIZ_NONE, param(z, "affine_shift.shift", phiz_shape_4d(1, 1, 1, 1), 2, 3)),
	     NULL);
	node(z, "permute", "permute", IN(g), ATTRS({"p1", 2}, {"p2", 3}, {"p3", 1}));
	node(z, "slice", "slice", IN(g), ATTRS({"start", 2}, {"end", -1}));
	node(z, "slice", "slice_w", IN(g), ATTRS({"axis", -1}, {"start", -2}));
	node(z, "pad2d", "pad", IN(g), ATTRS({"top", 1}, {"right", 2}, {"value", -0.5}));
	node(z, "resize_nearest", "resize", IN(g), ATTRS({"scale_h", 2}, {"scale_w", 3}));
	for (int ceil_mode = 0; ceil_mode < 2; ceil_mode++)
		node(z, "lp_pool2d", ceil_mode ? "lp_ceil" : "lp", IN(g),
		     ATTRS({"kernel_h", 3}, {"kernel_w", 2}, {"stride_h", 2}, {"stride_w", 3}, {"pad_h", 1}, {"norm", 3},
		           {"ceil_mode", ceil_mode}));
	node(z, "local_response_norm", "lrn", IN(g), ATTRS({"size", 3}, {"alpha", 0.5}, {"k", 2}));
	node(z, "l2_normalize", "l2", IN(l), NULL);
	node(z, "l2_normalize", "l2_image", IN(g), ATTRS({"eps", 0.9}));
	node(z, "dropout", "dropout", IN(l), NULL);
	node(z, "cast", "half", IN(l), ATTRS({"dtype", PHIZ_F16}));
}

static void every_operator(void **state)
{
	struct zoo z = {NULL, 0};
	bool checked;

	(void)state;
	assert_ok(ctx, phiz_model_create(ctx, &z.model));
	add_all(&z);
	checked = check(z.model);
	phiz_model_free(&z.model);
	if (!checked)
		skip();
}

/* A whole network, as trained and as inference runs it. */
static void network(void **state)
{
	static const char *const labels[] = {"ann", "b\xc3\xb6rge", "\"c\""};
	struct phiz_model *m;
	bool checked;
	size_t i;

	(void)state;
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 3, 32, 7, &m));
	assert_ok(ctx, phiz_model_set_labels(m, labels, 3));
	assert_ok(ctx, phiz_model_set_meta(m, "licence", "MIT"));
	for (i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL;

		if (!m->entry[i].trainable) /* not as they begin, nor such that every ReLU gives 0 */
			fill(m->entry[i].tensor, i, var ? 0.1 : -0.1, var ? 0.4 : 0.1);
	}
	checked = check(m);
	if (checked) {
		assert_ok(ctx, phiz_model_optimize(m));
		checked = check(m);
	}
	phiz_model_free(&m);
	if (!checked)
		skip();
}

static void of_training(void **state)
{
	struct phiz_shape image = phiz_shape_2d(1, 4), labels = phiz_shape_1d(1);
	char path[512];
	struct phiz_model *m;
	int x, y, out[PHIZ_MAX_OUTPUTS];

	(void)state;
	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	assert_ok(ctx, phiz_model_create(ctx, &m));
	assert_ok(ctx, phiz_graph_input(m->graph, "image", PHIZ_F32, &image, &x));
	assert_ok(ctx, phiz_graph_input(m->graph, "labels", PHIZ_I32, &labels, &y));
	assert_ok(ctx, phiz_graph_add(m->graph, phiz_op_find("softmax_cross_entropy"), "loss", IN(x, y), NULL, 0, out));
	assert_ok(ctx, phiz_graph_output(m->graph, out[0]));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_onnx_write(ctx, m, path));
	assert_message(ctx, "softmax_cross_entropy loss has no form in ONNX");
	assert_false(phiz_path_is_file(path));
	phiz_model_free(&m);
}

static enum phiz_status write_once(struct phiz_ctx *c, void *user)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	return phiz_onnx_write(c, user, path);
}

static void no_memory(void **state)
{
	struct zoo z = {NULL, 0};

	(void)state;
	assert_ok(ctx, phiz_model_create(ctx, &z.model));
	add_all(&z);
	test_every_oom(ctx, write_once, z.model);
	phiz_model_free(&z.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_operator, begin, done),
		cmocka_unit_test_setup_teardown(network, begin, done),
		cmocka_unit_test_setup_teardown(of_training, begin, done),
		cmocka_unit_test_setup_teardown(no_memory, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
