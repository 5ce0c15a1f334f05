/* Our files in the hands of others: PyTorch loads an exported state dict, the safetensors package opens a model. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/rng.h"
#include "core/io/import.h"
#include "core/io/model_file.h"

static struct phiz_ctx *ctx;
static char folder[256];

static int begin(void **state)
{
	(void)state;
	ctx = test_ctx(2);
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

/* Running statistics as after some training. */
static void settle(struct phiz_model *m)
{
	size_t i;

	for (i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL;

		if (!m->entry[i].trainable)
			fill(m->entry[i].tensor, i, var ? 0.5 : -0.1, var ? 1.5 : 0.1);
	}
}

/* Runs a script on two files; 77 if it could not. */
static int script(const char *python, const char *name, const char *a, const char *b)
{
	char path[1024], command[3072];
	int code;

	snprintf(command, sizeof(command), "'%s' '%s' '%s' '%s'", python, test_golden(name, path), a, b);
	code = system(command);
	assert_true(code >= 0 && WIFEXITED(code));
	if (WEXITSTATUS(code) != 77)
		assert_int_equal(WEXITSTATUS(code), 0);
	return WEXITSTATUS(code);
}

static void write_logits(struct phiz_model *m, const char *path)
{
	struct phiz_plan_options options = {0};
	struct phiz_tensors t = {0};
	struct phiz_tensor *image, *fc;
	struct phiz_plan *plan;

	options.backend = phiz_backend_cpu();
	options.batch = 2;
	options.loss = PHIZ_NONE;
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &options, &plan));
	image = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	fill(image, 99, -2, 2);
	assert_ok(ctx, phiz_plan_forward(plan));
	assert_ok(ctx, phiz_tensor_share(ctx, image, &image));
	assert_ok(ctx, phiz_tensors_add(ctx, &t, "image", image));
	assert_ok(ctx, phiz_tensor_share(ctx, phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0)), &fc));
	assert_ok(ctx, phiz_tensors_add(ctx, &t, "fc", fc));
	assert_ok(ctx, phiz_safetensors_write(ctx, path, &t));
	phiz_tensors_free(ctx, &t);
	phiz_plan_free(&plan);
}

static void pytorch_loads_export(void **state)
{
	char exported[512], want[512];
	struct phiz_model *m;
	int code;

	(void)state;
	snprintf(exported, sizeof(exported), "%s/state.safetensors", folder);
	snprintf(want, sizeof(want), "%s/want.safetensors", folder);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("resnet18"), "resnet18", 5, 64, 3, &m));
	settle(m);
	assert_ok(ctx, phiz_export_state_dict(ctx, m, exported));
	write_logits(m, want);
	phiz_model_free(&m);
	code = script("/usr/bin/python3", "check_state_dict.py", exported, want);
	if (code == 77)
		skip();
}

static void safetensors_opens_model(void **state)
{
	static const char *const labels[] = {"ann", "b\xc3\xb6rge", "\"c\""};
	const char *python = getenv("PHIZ_PYTHON");
	struct phiz_extra extra = {0};
	struct phiz_shape scalar = {0};
	char path[512], again[512], a[65], b[65];
	struct phiz_model *m, *second;
	struct phiz_tensor *t;
	int code;

	(void)state;
	snprintf(path, sizeof(path), "%s/model.phiz", folder);
	snprintf(again, sizeof(again), "%s/again.phiz", folder);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 3, 32, 7, &m));
	settle(m);
	assert_ok(ctx, phiz_model_set_labels(m, labels, 3));
	assert_ok(ctx, phiz_model_set_meta(m, "licence", "MIT"));
	assert_ok(ctx, phiz_model_set_meta(m, "precision", "fp16"));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_I64, &scalar, &t));
	*(int64_t *)t->data = (int64_t)1 << 60;
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "step", t));
	assert_ok(ctx, phiz_model_write_with(m, &extra, path));
	phiz_model_free(&m);
	phiz_extra_free(ctx, &extra);
	code = script(python ? python : "/usr/bin/python3", "check_phiz_file.py", path, again);
	if (code == 77)
		skip();
	assert_ok(ctx, phiz_model_verify(ctx, again));
	assert_ok(ctx, phiz_model_read(ctx, path, &m));
	assert_ok(ctx, phiz_model_read(ctx, again, &second));
	phiz_model_hash(m, a);
	phiz_model_hash(second, b);
	assert_string_equal(a, b);
	phiz_model_free(&m);
	phiz_model_free(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pytorch_loads_export, begin, done),
		cmocka_unit_test_setup_teardown(safetensors_opens_model, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
