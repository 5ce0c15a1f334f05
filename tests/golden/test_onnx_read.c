/* label: full ONNX files of others, and the fuzzers' models of every operator, imported, against what onnxruntime makes
 * of the same files (check_onnx_read.py), at the size they were made for and at others. Needs onnxruntime. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/rng.h"
#include "core/io/onnx.h"
#include "core/io/tensors.h"

struct file {
	const char *path, *known;
	int size; /* 0: as the file says */
	enum phiz_task task;
	double low, high; /* of the picture */
	struct {
		int batch, height, width; /* 0: as it was built */
	} run[4];
	int runs;
};

static const struct file files[] = {
	{"weights/mobilefacenet/mobilefacenet.onnx", "MobileFaceNet", 0, PHIZ_TASK_EMBED, -1, 1,
	 {{1, 0, 0}, {3, 0, 0}}, 2},
	{"weights/yunet/yunet_n_dynamic.onnx", "YuNet", 0, PHIZ_TASK_DETECT, 0, 255,
	 {{1, 160, 224}, {1, 0, 0}, {2, 64, 128}}, 3},
	{"weights/yunet/yunet_n_dynamic.onnx", "YuNet", 640, PHIZ_TASK_DETECT, 0, 255, {{1, 192, 192}, {1, 0, 0}}, 2},
	{"weights/yunet/yunet_n_320_320.onnx", "YuNet", 0, PHIZ_TASK_DETECT, 0, 255, {{1, 0, 0}}, 1},
	{"weights/ultralight/version-RFB-320.onnx", "Ultra-Light face detector", 0, PHIZ_TASK_DETECT, -1, 1,
	 {{1, 0, 0}}, 1},
};

/* named: the model whose outputs have the file's names; a pass that folds the last node gives its output another. */
static void run(struct phiz_ctx *ctx, struct phiz_model *m, struct phiz_model *named, const struct file *f, int r,
                const char *to)
{
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = f->run[r].batch, .height = f->run[r].height,
	                              .width = f->run[r].width, .loss = PHIZ_NONE};
	struct phiz_tensors t = {0};
	struct phiz_plan *plan;
	struct phiz_rng rng;
	int input = phiz_graph_find_value(m->graph, "image");

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	float *x = phiz_plan_tensor(plan, input)->data;
	phiz_rng_init(&rng, 1, 0, 7, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < phiz_tensor_count(phiz_plan_tensor(plan, input)); i++)
		x[i] = (float)phiz_rng_uniform(&rng, f->low, f->high);
	for (int i = -1; i < phiz_graph_n_outputs(m->graph); i++) {
		int v = i < 0 ? input : phiz_graph_output_at(m->graph, i);
		int name = i < 0 ? input : phiz_graph_output_at(named->graph, i);
		struct phiz_tensor *copy;
		if (i == 0)
			assert_ok(ctx, phiz_plan_forward(plan));
		assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &phiz_plan_tensor(plan, v)->shape, &copy));
		assert_ok(ctx, phiz_tensor_convert(ctx, phiz_plan_tensor(plan, v), copy));
		assert_ok(ctx, phiz_tensors_add(ctx, &t, i < 0 ? "image" : phiz_graph_value(named->graph, name)->name,
		                                copy));
	}
	assert_ok(ctx, phiz_safetensors_write(ctx, to, &t));
	phiz_tensors_free(ctx, &t);
	phiz_plan_free(&plan);
}

/* The plain graph and the one that inference runs; 77: there is no onnxruntime. */
static int check(struct phiz_ctx *ctx, const struct file *f, const char *onnx, const char *folder)
{
	const char *python = getenv("PHIZ_PYTHON"), *known;
	char data[512], script[1024], command[3072], path[512];
	struct phiz_model *m, *again;
	int code = 0;

	snprintf(data, sizeof data, "%s/got.safetensors", folder);
	snprintf(path, sizeof path, "%s/model.phiz", folder);
	assert_ok(ctx, phiz_onnx_read(ctx, onnx, f->size, &m));
	assert_ok(ctx, phiz_onnx_known(m, &known));
	assert_string_equal(known, f->known);
	assert_int_equal(phiz_model_task(m), f->task);
	snprintf(command, sizeof command, "'%s' '%s' '%s' '%s'", python ? python : "/usr/bin/python3",
	         test_golden("check_onnx_read.py", script), onnx, data);
	for (int r = 0; r < f->runs && code == 0; r++) {
		run(ctx, m, m, f, r, data);
		code = system(command);
		assert_true(code >= 0 && WIFEXITED(code));
		code = WEXITSTATUS(code);
	}
	assert_ok(ctx, phiz_model_write(m, path)); /* and through a file, and as it runs */
	assert_ok(ctx, phiz_model_read(ctx, path, &again));
	assert_ok(ctx, phiz_model_optimize(again));
	for (int r = 0; r < 1 && code == 0; r++) {
		run(ctx, again, m, f, r, data);
		code = WEXITSTATUS(system(command));
	}
	phiz_model_free(&m);
	phiz_model_free(&again);
	return code;
}

static void as_onnxruntime(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	char path[1024], folder[256];
	int done = 0, code = 0;

	test_folder(folder);
	for (size_t i = 0; i < sizeof files / sizeof files[0] && code == 0; i++)
		if (test_data(files[i].path, path)) {
			printf("           %s\n", files[i].path);
			fflush(stdout);
			code = check(ctx, &files[i], path, folder);
			done++;
		}
	test_folder_done(folder);
	test_ctx_done(&ctx);
	if (done == 0 || code == 77)
		skip();
	assert_int_equal(code, 0);
}

/* tests/fuzz/make_onnx.py says what is in each. Two outputs are none of a classifier, so nothing is written. */
static const struct file small[] = {
	{.path = "classifier", .high = 1, .run = {{1, 0, 0}, {3, 0, 0}}, .runs = 2},
	{.path = "constants", .high = 1, .run = {{1, 0, 0}, {2, 0, 0}}, .runs = 2},
	{.path = "detector", .size = 16, .high = 1, .run = {{1, 0, 0}, {2, 32, 8}}, .runs = 2},
	{.path = "embedder", .high = 1, .run = {{1, 0, 0}}, .runs = 1},
	{.path = "fixed", .high = 1, .run = {{1, 0, 0}}, .runs = 1},
	{.path = "normalize", .high = 1, .run = {{1, 0, 0}}, .runs = 1},
	{.path = "pools", .low = -1, .high = 1, .run = {{1, 0, 0}, {2, 0, 0}}, .runs = 2},
	{.path = "shapes", .high = 1, .run = {{1, 0, 0}, {2, 0, 0}}, .runs = 2},
	{.path = "written", .high = 1, .run = {{1, 0, 0}, {2, 0, 0}}, .runs = 2},
};

static void every_operator(void **state)
{
	const char *python = getenv("PHIZ_PYTHON");
	char name[128], onnx[1024], script[1024], data[512], folder[256], command[3072];
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m, *fast;
	int code = 0;

	(void)state;
	test_folder(folder);
	snprintf(data, sizeof data, "%s/got.safetensors", folder);
	for (size_t i = 0; i < sizeof small / sizeof small[0] && code == 0; i++) {
		snprintf(name, sizeof name, "../fuzz/corpus/onnx/%s.onnx", small[i].path);
		printf("           %s\n", small[i].path);
		fflush(stdout);
		assert_ok(ctx, phiz_onnx_read(ctx, test_golden(name, onnx), small[i].size, &m));
		snprintf(command, sizeof command, "'%s' '%s' '%s' '%s'", python ? python : "/usr/bin/python3",
		         test_golden("check_onnx_read.py", script), onnx, data);
		assert_ok(ctx, phiz_onnx_read(ctx, onnx, small[i].size, &fast));
		assert_ok(ctx, phiz_model_optimize(fast));
		for (int r = 0; r < 2 * small[i].runs && code == 0; r++) {
			run(ctx, r % 2 ? fast : m, m, &small[i], r / 2, data);
			code = system(command);
			assert_true(code >= 0 && WIFEXITED(code));
			code = WEXITSTATUS(code);
		}
		phiz_model_free(&fast);
		phiz_model_free(&m);
	}
	test_folder_done(folder);
	test_ctx_done(&ctx);
	if (code == 77)
		skip();
	assert_int_equal(code, 0);
}

/* The embeddings that PyTorch gave for three photographs. */
static void mobilefacenet(void **state)
{
	(void)state;
	char path[1024], golden[1024];
	struct phiz_tensors t = {0};
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = 3, .loss = PHIZ_NONE};
	struct phiz_plan *plan;
	struct phiz_model *m;
	double got[3 * 128];

	if (!test_data("weights/mobilefacenet/mobilefacenet.onnx", path) ||
	    !test_data("weights/mobilefacenet/golden_mobilefacenet.safetensors", golden))
		skip();
	struct phiz_ctx *ctx = test_ctx(2);
	assert_ok(ctx, phiz_onnx_read(ctx, path, 0, &m));
	assert_ok(ctx, phiz_tensors_read(ctx, golden, &t));
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	struct phiz_tensor *in = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	memcpy(in->data, phiz_tensors_find(&t, "input.normalized")->data, phiz_tensor_bytes(in));
	assert_ok(ctx, phiz_plan_forward(plan));
	const float *out = phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0))->data;
	for (int i = 0; i < 3 * 128; i++)
		got[i] = out[i];
	test_close_f64("embedding", got, phiz_tensors_find(&t, "embedding.f64")->data, 3 * 128, 2e-5, 0);
	phiz_plan_free(&plan);
	phiz_model_free(&m);
	phiz_tensors_free(ctx, &t);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operator),
		cmocka_unit_test(mobilefacenet),
		cmocka_unit_test(as_onnxruntime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
