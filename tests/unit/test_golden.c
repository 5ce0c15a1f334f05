/* Golden outputs in a model file: they survive the file in every precision, and show wrong kernels and damaged texts.
 * What numbers they are is golden.golden's affair. */
#include "support/fake_device.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"
#include "deploy/export.h"
#include "deploy/golden.h"

/* The small network with weights that say something, in its inference form. */
static struct phiz_model *make_model(struct phiz_ctx *ctx, enum phiz_precision precision)
{
	struct phiz_model *trained, *m;
	struct phiz_rng rng;

	phiz_rng_init(&rng, 3, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 10, 0, 5, &trained));
	for (size_t i = 0; i < trained->n_entries; i++) {
		bool var = strstr(trained->entry[i].name, "running_var") != NULL;
		float *x = trained->entry[i].tensor->data;
		for (int64_t k = 0; var && k < phiz_tensor_count(trained->entry[i].tensor); k++)
			x[k] = (float)phiz_rng_uniform(&rng, 0.5, 1.5);
	}
	assert_ok(ctx, phiz_export_model(trained, precision, &m));
	phiz_model_free(&trained);
	return m;
}

static struct phiz_model *with_golden(struct phiz_ctx *ctx, enum phiz_precision precision)
{
	struct phiz_model *m = make_model(ctx, precision);
	struct phiz_golden *golden;

	assert_ok(ctx, phiz_golden_make(m, &golden));
	assert_ok(ctx, phiz_golden_store(golden, m));
	phiz_golden_free(&golden);
	return m;
}

static double distance(const struct phiz_golden *golden, const struct phiz_model *m, const struct phiz_backend *backend,
                       enum phiz_dtype precision)
{
	double d;

	assert_ok(m->ctx, phiz_golden_compare(golden, m, backend, precision, &d));
	return d;
}

static void golden_outputs_survive_the_file(void **state)
{
	static const enum phiz_precision precisions[] = {PHIZ_PRECISION_FP32, PHIZ_PRECISION_FP16, PHIZ_PRECISION_BF16};
	struct phiz_ctx *ctx = test_ctx(2);
	(void)state;

	for (int i = 0; i < 3; i++) {
		char folder[256], path[512];
		struct phiz_model *m = with_golden(ctx, precisions[i]), *back;
		struct phiz_golden *golden;
		test_folder(folder);
		snprintf(path, sizeof path, "%s/golden.phiz", folder);
		assert_ok(ctx, phiz_model_write(m, path));
		assert_ok(ctx, phiz_model_read(ctx, path, &back));
		assert_ok(ctx, phiz_golden_read(back, &golden));
		assert_non_null(golden);
		assert_int_equal(golden->count, 10);
		assert_true(distance(golden, back, phiz_backend_reference(), PHIZ_F32) == 0);
		assert_true(distance(golden, back, phiz_backend_cpu(), PHIZ_F32) < 1e-5);
		double bf16 = distance(golden, back, phiz_backend_cpu(), PHIZ_BF16);
		assert_true(bf16 > 1e-5 && bf16 < phiz_golden_limit(golden, PHIZ_BF16));
		phiz_golden_free(&golden);
		phiz_model_free(&back);
		phiz_model_free(&m);
		test_folder_done(folder);
	}
	test_ctx_done(&ctx);
}

/* The last layer's kernel is wrong by a hundredth in one number. */
static const struct phiz_kernel *true_linear;

static enum phiz_status run_wrong(struct phiz_call *call)
{
	enum phiz_status status = true_linear->forward(call);

	((float *)call->out[0].data)[0] *= 1.01f;
	return status;
}

static const struct phiz_kernel *find_wrong(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
                                            bool backward)
{
	static struct phiz_kernel wrong;
	const struct phiz_kernel *kernel = phiz_backend_reference()->find(ctx, call, dtype, backward);

	if (!kernel || strcmp(kernel->op, "linear"))
		return kernel;
	true_linear = kernel;
	wrong = *kernel;
	wrong.forward = run_wrong;
	return &wrong;
}

static void wrong_kernels_show(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = with_golden(ctx, PHIZ_PRECISION_FP32);
	struct phiz_backend wrong = *phiz_backend_reference();
	struct fake_device device;
	struct phiz_golden *golden;
	(void)state;

	fake_device_init(&device);
	wrong.find = find_wrong;
	assert_ok(ctx, phiz_golden_read(m, &golden));
	assert_true(distance(golden, m, &device.backend, PHIZ_F32) == 0); /* through a device's memory */
	assert_true(device.runs > 0);
	assert_true(distance(golden, m, &wrong, PHIZ_F32) > phiz_golden_limit(golden, PHIZ_F32));
	golden->output[1][3] = NAN;
	assert_true(isnan(distance(golden, m, phiz_backend_cpu(), PHIZ_F32)));
	phiz_golden_free(&golden);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void other_weights_and_damage_are_noticed(void **state)
{
	static const char *const damaged[] = {
		"", "{", "[]", "{\"outputs\":[[1],[1,2]]}", "{\"outputs\":[[1],[1]]}",
		"{\"outputs\":[[1],[\"x\"]],\"limits\":{}}",
		"{\"outputs\":[[],[]],\"limits\":{\"fp32\":1,\"fp16\":1,\"bf16\":1}}",
		"{\"outputs\":[[1],[1]],\"limits\":{\"fp32\":1,\"fp16\":1,\"bf16\":-1}}",
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = with_golden(ctx, PHIZ_PRECISION_FP32);
	struct phiz_golden *golden;
	char hash[65], text[512];
	(void)state;

	phiz_model_hash(m, hash);
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		snprintf(text, sizeof text, "{\"weights\":\"%s\",%s", hash, *damaged[i] == '{' ? damaged[i] + 1 : damaged[i]);
		assert_ok(ctx, phiz_model_set_meta(m, "golden", text));
		assert_int_equal(phiz_golden_read(m, &golden), PHIZ_E_FORMAT);
		assert_null(golden);
	}
	snprintf(text, sizeof text, "{\"weights\":\"%s\",\"outputs\":[[1],[1]],"
	         "\"limits\":{\"fp32\":1,\"fp16\":1,\"bf16\":1}}", hash);
	assert_ok(ctx, phiz_model_set_meta(m, "golden", text));
	assert_ok(ctx, phiz_golden_read(m, &golden));
	double d;
	assert_int_equal(phiz_golden_compare(golden, m, phiz_backend_cpu(), PHIZ_F32, &d), PHIZ_E_FORMAT); /* 1 of 10 */
	phiz_golden_free(&golden);
	((float *)m->entry[0].tensor->data)[0] += 1;
	assert_ok(ctx, phiz_golden_read(m, &golden));
	assert_null(golden);
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_DETECT));
	assert_int_equal(phiz_golden_make(m, &golden), PHIZ_E_UNSUPPORTED);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static enum phiz_status make_store_read(struct phiz_ctx *ctx, void *user)
{
	struct phiz_model *m;
	struct phiz_golden *golden = NULL, *back = NULL;
	enum phiz_status status = phiz_model_clone(user, &m);
	(void)ctx;

	if (!status)
		status = phiz_golden_make(m, &golden);
	if (!status)
		status = phiz_golden_store(golden, m);
	if (!status)
		status = phiz_golden_read(m, &back);
	phiz_golden_free(&golden);
	phiz_golden_free(&back);
	phiz_model_free(&m);
	return status;
}

static void memory_may_run_out(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx, PHIZ_PRECISION_FP32);
	(void)state;

	test_every_oom(ctx, make_store_read, m);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_outputs_survive_the_file),
		cmocka_unit_test(wrong_kernels_show),
		cmocka_unit_test(other_weights_and_damage_are_noticed),
		cmocka_unit_test(memory_may_run_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
