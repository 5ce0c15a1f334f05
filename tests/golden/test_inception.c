/* label: full The networks of Inception's blocks, with weights that are a formula, against PyTorch in double precision
 * (make_inception.py); facenet-pytorch's names and shapes; the published numbers of parameters. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/graph/graph.h"
#include "core/io/import.h"
#include "core/nn/builder.h"

/* n numbers from -1 to 1. */
static double draw(uint32_t hash, uint32_t i)
{
	uint32_t x = (i * 0x9E3779B1u) ^ hash;

	x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
	x = (x ^ (x >> 13)) * 0xC2B2AE35u;
	return (x ^ (x >> 16)) / 2147483648.0 - 1;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static void fill(struct phiz_model *m)
{
	for (size_t k = 0; k < m->n_entries; k++) {
		const struct phiz_entry *e = &m->entry[k];
		const struct phiz_shape *s = &e->tensor->shape;
		int64_t n = phiz_tensor_count(e->tensor);
		bool one = ends_with(e->name, "running_var") || ends_with(e->name, "weight");
		float *to = e->tensor->data;

		if (ends_with(e->name, PHIZ_SCALE_SUFFIX))
			continue;
		for (int64_t i = 0; i < n; i++) {
			double u = draw(phiz_name_hash(e->name), (uint32_t)i);

			to[i] = (float)(s->ndim > 1 ? u * sqrt(6.0 * (double)s->dim[0] / (double)n) : one ? 1 + 0.5 * u : 0.25 * u);
		}
	}
}

static void run(struct phiz_ctx *ctx, const char *net, int64_t parameters, bool optimize)
{
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = 2, .loss = PHIZ_NONE};
	struct phiz_tensors want = {0};
	struct phiz_plan *plan;
	struct phiz_model *m;
	double got[2 * 512], norm;
	char path[1024];
	int64_t count = 0;

	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin(net), net, 0, 0, 1, &m));
	for (size_t i = 0; i < m->n_entries; i++)
		count += m->entry[i].trainable ? phiz_tensor_count(m->entry[i].tensor) : 0;
	assert_int_equal(count, parameters);
	assert_int_equal(phiz_model_task(m), PHIZ_TASK_EMBED);
	fill(m);
	if (optimize)
		assert_ok(ctx, phiz_model_optimize(m));
	assert_ok(ctx, phiz_tensors_read(ctx, test_golden("inception.safetensors", path), &want));
	const struct phiz_tensor *golden = phiz_tensors_find(&want, net);
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	int64_t n = phiz_tensor_count(x), dim = golden->shape.dim[1];
	for (int64_t i = 0; i < n; i++)
		((float *)x->data)[i] = i >= n / 2 && i < n * 3 / 4 ? 0 : (float)draw(phiz_name_hash("image"), (uint32_t)i);
	assert_ok(ctx, phiz_plan_forward(plan));
	const struct phiz_tensor *y = phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0));
	assert_int_equal(phiz_tensor_count(y), 2 * dim);
	for (int i = 0; i < 2; i++) {
		norm = 0;
		for (int64_t k = 0; k < dim; k++) {
			got[i * dim + k] = ((const float *)y->data)[i * dim + k];
			norm += got[i * dim + k] * got[i * dim + k];
		}
		assert_float_equal(norm, 1, 1e-5);
	}
	test_close_f64(net, got, golden->data, (size_t)(2 * dim), 1e-6, 0);
	phiz_plan_free(&plan);
	phiz_tensors_free(ctx, &want);
	phiz_model_free(&m);
}

static void inception_resnet_v1(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);

	run(ctx, "inception_resnet_v1", 23482624, false);
	run(ctx, "inception_resnet_v1", 23482624, true);
	test_ctx_done(&ctx);
}

static void openface(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);

	run(ctx, "openface_nn4_small2", 3733968, false);
	run(ctx, "openface_nn4_small2", 3733968, true);
	test_ctx_done(&ctx);
}

/* facenet-pytorch's state dict is the model's tensors, name by name, and what phiz exports has no others. */
static void names(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_import_options options = {false, false};
	struct phiz_import_report report;
	struct phiz_net_guess guess;
	struct phiz_tensors t = {0};
	struct phiz_bytes text;
	struct phiz_model *m;
	char path[1024], folder[256], want[64];
	size_t rows = 0, extra = 0;

	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("inception_resnet_v1"), "net", 0, 0, 1, &m));
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_file_read(ctx, test_golden("inception_names.csv", path), 1 << 20, &text));
	for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), rows++) {
		char *comma = strchr(line, ',');
		assert_non_null(comma);
		*comma = 0;
		const struct phiz_entry *e = phiz_model_find(m, line);
		if (!e)
			fail_msg("%s is missing", line);
		int at = 0;
		for (int d = 0; d < e->tensor->shape.ndim; d++)
			at += snprintf(want + at, sizeof want - (size_t)at, d ? "x%lld" : "%lld",
			               (long long)e->tensor->shape.dim[d]);
		assert_string_equal(comma + 1, want);
	}
	for (size_t i = 0; i < m->n_entries; i++)
		extra += ends_with(m->entry[i].name, PHIZ_SCALE_SUFFIX);
	assert_int_equal(extra, 20);
	assert_int_equal(rows + extra, m->n_entries);
	phiz_bytes_free(&text);

	test_folder(folder);
	snprintf(path, sizeof path, "%s/x.safetensors", folder);
	assert_ok(ctx, phiz_export_state_dict(ctx, m, path));
	assert_ok(ctx, phiz_tensors_read(ctx, path, &t));
	assert_null(phiz_tensors_find(&t, "repeat_1.0.scale.scale_factor"));
	assert_ok(ctx, phiz_import_guess_net(ctx, &t, path, &guess));
	assert_string_equal(guess.net, "inception_resnet_v1");
	assert_ok(ctx, phiz_import_weights(ctx, m, &t, path, &options, &report));
	assert_int_equal(report.loaded, rows);
	phiz_import_report_free(&report);
	phiz_tensors_free(ctx, &t);
	test_folder_done(folder);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(inception_resnet_v1),
		cmocka_unit_test(openface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
