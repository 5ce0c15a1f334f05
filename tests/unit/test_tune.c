/* Tuned choices: their file, plans that follow them, models that carry them, what must not matter to a result. */
#include "support/support.h"

#include <stdio.h>

#include <phiz/model.h>

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/graph/tuning.h"

enum { BATCH = 3, SIZE = 64, CLASSES = 10, MAX_STEPS = 32 };

/* The small network as inference runs it, with weights that say something. */
static struct phiz_model *make_model(struct phiz_ctx *ctx)
{
	struct phiz_model *m;
	struct phiz_rng rng;

	phiz_rng_init(&rng, 3, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", CLASSES, 0, 5, &m));
	for (size_t i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL, bn = strstr(m->entry[i].name, "bn") != NULL;
		float *x = m->entry[i].tensor->data;
		for (int64_t k = 0; bn && k < phiz_tensor_count(m->entry[i].tensor); k++)
			x[k] = (float)phiz_rng_uniform(&rng, var ? 0.5 : -0.5, 1.5);
	}
	assert_ok(ctx, phiz_model_optimize(m));
	return m;
}

static struct phiz_plan_options options_of(int64_t batch, const struct phiz_tuning *tuning)
{
	return (struct phiz_plan_options){
		.backend = phiz_backend_cpu(), .batch = batch, .loss = PHIZ_NONE, .fixed = true, .tuning = tuning,
	};
}

static struct phiz_tuning *measure(struct phiz_ctx *ctx, const struct phiz_model *m, struct phiz_tune_result *result)
{
	struct phiz_plan_options o = options_of(BATCH, NULL);
	struct phiz_tuning *t = NULL;

	assert_ok(ctx, phiz_tuning_measure(ctx, m->graph, &o, 0, &t, result));
	return t;
}

/* What a plan gives for BATCH pictures, so many at a time, and the kernels of its steps. */
struct answer {
	float logits[BATCH * CLASSES];
	const char *kernel[MAX_STEPS];
	int steps;
};

static void run_plan(struct phiz_ctx *ctx, const struct phiz_model *m, const struct phiz_plan_options *o,
                     struct answer *out)
{
	const int64_t at_once = o->batch, floats = at_once * 3 * SIZE * SIZE;
	struct phiz_plan_step_info step;
	struct phiz_plan *plan;
	struct phiz_rng rng;

	memset(out, 0, sizeof *out);
	phiz_rng_init(&rng, 9, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, o, &plan));
	for (int64_t done = 0; done < BATCH; done += at_once) {
		float *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"))->data;
		for (int64_t i = 0; i < floats; i++)
			x[i] = (float)phiz_rng_uniform(&rng, -2, 2);
		assert_ok(ctx, phiz_plan_forward(plan));
		memcpy(out->logits + done * CLASSES, phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0))->data,
		       (size_t)(at_once * CLASSES) * sizeof(float));
	}
	while (phiz_plan_step(plan, out->steps, &step)) {
		assert_true(out->steps < MAX_STEPS);
		out->kernel[out->steps++] = step.kernel;
	}
	phiz_plan_free(&plan);
}

static void run_tuned(struct phiz_ctx *ctx, const struct phiz_model *m, int64_t batch,
                      const struct phiz_tuning *tuning, struct answer *out)
{
	struct phiz_plan_options o = options_of(batch, tuning);
	run_plan(ctx, m, &o, out);
}

static void assert_same_kernels(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->steps, b->steps);
	for (int s = 0; s < a->steps; s++)
		assert_string_equal(a->kernel[s], b->kernel[s]);
}

static void text_of(const struct phiz_tuning *t, struct phiz_bytes *out)
{
	phiz_bytes_clear(out);
	phiz_tuning_format(t, out);
	assert_int_equal(phiz_bytes_status(out), PHIZ_OK);
}

/* What is measured comes back from its file byte by byte, and plans do as it says. */
static void a_choice_is_read_back(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_model *m = make_model(ctx);
	struct phiz_tune_result result;
	struct phiz_tuning *t = measure(ctx, m, &result), *back;
	struct phiz_bytes text[2];
	struct answer answer[2];
	char folder[256], path[300];

	assert_true(result.after > 0 && result.after <= result.before && result.changed <= result.nodes);
	assert_true(t->count > 0 || phiz_cpu_features() == 0);
	test_folder(folder);
	snprintf(path, sizeof path, "%s/m.tune", folder);
	assert_ok(ctx, phiz_tuning_write(t, path));
	assert_ok(ctx, phiz_tuning_read(ctx, path, &back));
	for (int i = 0; i < 2; i++) {
		phiz_bytes_init(&text[i], ctx);
		text_of(i ? back : t, &text[i]);
		run_tuned(ctx, m, BATCH, i ? back : t, &answer[i]);
	}
	assert_string_equal(text[0].data, text[1].data);
	assert_same_kernels(&answer[0], &answer[1]);
	assert_memory_equal(answer[0].logits, answer[1].logits, sizeof answer[0].logits);
	/* Measured again, it keeps to its keys. */
	size_t count = back->count;
	struct phiz_plan_options o = options_of(1, NULL);
	assert_ok(ctx, phiz_tuning_measure(ctx, m->graph, &o, 0, &back, &result));
	assert_int_equal(back->count, count);
	phiz_bytes_free(&text[0]);
	phiz_bytes_free(&text[1]);
	phiz_tuning_free(&t);
	phiz_tuning_free(&back);
	phiz_model_free(&m);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void choose_everywhere(struct phiz_tuning *t, const char *kernel)
{
	for (size_t i = 0; i < t->count; i++)
		assert_int_equal(phiz_tuning_set(t, t->choice[i].key, kernel), PHIZ_OK);
}

/* Each row of the table that can be named for a layer is taken, and gives what the reference kernels give; the same
 * bits for a picture alone and among others, and for any number of threads. */
static void every_row_may_be_chosen(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1), *threaded = test_ctx(3);
	struct phiz_model *m = make_model(ctx);
	struct phiz_tune_result result;
	struct phiz_tuning *t = measure(ctx, m, &result);
	struct phiz_plan_options reference = {.backend = phiz_backend_reference(), .batch = BATCH, .loss = PHIZ_NONE};
	struct answer want, got, other;
	int taken = 0;

	run_plan(ctx, m, &reference, &want);
	for (int i = 0; i < phiz_cpu_kernel_count(); i++) {
		const struct phiz_kernel *kernel = phiz_cpu_kernel_at(i);
		int steps = 0;
		choose_everywhere(t, kernel->name);
		run_tuned(ctx, m, BATCH, t, &got);
		for (int s = 0; s < got.steps; s++)
			steps += !strcmp(got.kernel[s], kernel->name);
		taken += steps > 0;
		for (int k = 0; k < BATCH * CLASSES; k++)
			if (!(fabs((double)got.logits[k] - (double)want.logits[k]) <= 2e-4 * fmax(1, fabs((double)want.logits[k]))))
				fail_msg("%s in %d steps: %g, want %g", kernel->name, steps, (double)got.logits[k],
				         (double)want.logits[k]);
		run_tuned(threaded, m, 1, t, &other);
		assert_same_kernels(&got, &other);
		assert_memory_equal(got.logits, other.logits, sizeof got.logits);
	}
	if (phiz_cpu_features() & PHIZ_CPU_AVX2) { /* Winograd's two, sum, direct; pooling; linear; ... */
		assert_true(taken >= 8);
		choose_everywhere(t, "winograd2.avx2");
		run_tuned(ctx, m, 1, t, &got);
		int steps = 0;
		for (int s = 0; s < got.steps; s++)
			steps += !strcmp(got.kernel[s], "winograd2.avx2");
		assert_int_equal(steps, 4); /* the 3 x 3 convolutions of stride 1 */
	}
	phiz_tuning_free(&t);
	phiz_model_free(&m);
	test_ctx_done(&threaded);
	test_ctx_done(&ctx);
}

/* Choices of another machine, for other layers, of kernels that there are not: as if they were not there. */
static void what_does_not_fit_is_passed_over(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx);
	struct phiz_tune_result result;
	struct phiz_tuning *t = measure(ctx, m, &result), *strange, *elsewhere;
	struct answer want, got;

	run_tuned(ctx, m, BATCH, NULL, &want);
	assert_ok(ctx, phiz_tuning_create(ctx, "0.0.0; cpu; another; none", &elsewhere));
	assert_ok(ctx, phiz_tuning_create(ctx, t->machine, &strange));
	for (size_t i = 0; i < t->count; i++) {
		assert_ok(ctx, phiz_tuning_set(elsewhere, t->choice[i].key, "sum.avx2"));
		assert_ok(ctx, phiz_tuning_set(strange, t->choice[i].key, i % 2 ? "no.such.kernel" : "reference"));
	}
	assert_ok(ctx, phiz_tuning_set(strange, "conv2d f32[1, 2, 3, 4]", "sum.avx2"));
	run_tuned(ctx, m, BATCH, elsewhere, &got);
	assert_same_kernels(&got, &want);
	run_tuned(ctx, m, BATCH, strange, &got);
	assert_same_kernels(&got, &want);
	/* Another picture size is another layer; that of the file is not timed away by it. */
	struct phiz_plan_options o = options_of(1, NULL);
	o.height = o.width = 96;
	size_t count = t->count;
	assert_ok(ctx, phiz_tuning_measure(ctx, m->graph, &o, 0, &t, &result));
	assert_true(t->count > count || count == 0);
	/* Those of elsewhere are not kept beside those of here. */
	assert_ok(ctx, phiz_tuning_measure(ctx, m->graph, &o, 0, &elsewhere, &result));
	assert_string_equal(elsewhere->machine, t->machine);
	assert_true(elsewhere->count < t->count || count == 0);
	phiz_tuning_free(&t);
	phiz_tuning_free(&strange);
	phiz_tuning_free(&elsewhere);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void only_inference_is_tuned(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx);
	struct phiz_plan_options o = options_of(1, NULL);
	struct phiz_tune_result result;
	struct phiz_tuning *t = NULL;

	o.mode = PHIZ_PLAN_TRAIN;
	assert_fails(ctx, PHIZ_E_ARG, phiz_tuning_measure(ctx, m->graph, &o, 0, &t, &result));
	o.mode = PHIZ_PLAN_INFER;
	o.backend = phiz_backend_reference();
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_tuning_measure(ctx, m->graph, &o, 0, &t, &result));
	assert_null(t);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

#define HEAD "phiz tuning 1\nmachine: m\n"

static void bad_files_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", "not a file of tuned choices"},
		{"phiz tuning 1", "not a file of tuned choices"},
		{"phiz tuning 2\nmachine: m\n", "not a file of tuned choices"},
		{"phiz tuning 1\n", ":2: want the machine"},
		{"phiz tuning 1\nmachine m\n", ":2: want the machine"},
		{HEAD "conv2d f32[1] = k\nlinear = \n", ":4: not a tuned choice"},
		{HEAD "conv2d f32[1] = k", ":3: not a tuned choice"}, /* cut off */
		{HEAD "conv2d f32[1]=k\n", ":3: not a tuned choice"},
		{HEAD " = k\n", ":3: not a tuned choice"},
		{HEAD "\n", ":3: not a tuned choice"},
		{HEAD "conv2d\t = k\n", ":3: not a tuned choice"},
		{HEAD "conv2d \xc3\xa4 = k\n", ":3: not a tuned choice"},
		{HEAD "a = k\nb = k\na = l\n", ":5: not a tuned choice"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tuning *t;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_tuning_parse(ctx, bad[i].text, strlen(bad[i].text), "x.tune", &t));
		assert_null(t);
		assert_message(ctx, bad[i].message);
	}
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_tuning_parse(ctx, HEAD "a\0 = k\n", sizeof HEAD + 7, "x.tune", &t));
	assert_ok(ctx, phiz_tuning_parse(ctx, HEAD "a b = c = k\n", strlen(HEAD) + 12, "x.tune", &t));
	assert_string_equal(phiz_tuning_find(t, "a b = c"), "k");
	assert_null(phiz_tuning_find(t, "a b"));
	phiz_tuning_free(&t);
	test_ctx_done(&ctx);
}

/* Counts the warnings. */
static void count_lines(void *user, enum phiz_log_level level, const char *line)
{
	int *lines = user;
	if (level > PHIZ_LOG_WARN)
		return;
	++*lines;
	assert_non_null(strstr(line, "m.phiz.tune"));
	assert_non_null(strstr(line, "going on untuned"));
}

/* A model has what lies beside it; a file that cannot be read costs a line and nothing else. */
static void models_have_what_lies_beside(void **state)
{
	(void)state;
	static const char bad[] = "phiz tuning 1\nmachine: m\nrubbish\n";
	int lines = 0;
	struct phiz_ctx_options log = {.threads = 1, .log = count_lines, .log_user = &lines};
	struct phiz_ctx *ctx;
	char folder[256], path[300], beside[320];

	assert_int_equal(phiz_ctx_create(&log, &ctx), PHIZ_OK);
	struct phiz_model *m = make_model(ctx), *back;
	struct phiz_tune_result result;
	struct phiz_tuning *t = measure(ctx, m, &result);
	test_folder(folder);
	snprintf(path, sizeof path, "%s/m.phiz", folder);
	snprintf(beside, sizeof beside, "%s.tune", path);
	assert_ok(ctx, phiz_model_write(m, path));
	for (int i = 0; i < 3; i++) { /* none, a good one, a bad one */
		if (i == 1)
			assert_ok(ctx, phiz_tuning_write_beside(t, path));
		if (i == 2)
			assert_ok(ctx, phiz_file_write(ctx, beside, bad, sizeof bad - 1));
		assert_ok(ctx, phiz_model_read(ctx, path, &back));
		if (i == 1)
			assert_int_equal(back->tuning->count, t->count);
		else
			assert_null(back->tuning);
		phiz_model_free(&back);
		assert_int_equal(lines, i == 2);
	}
	phiz_tuning_free(&t);
	phiz_model_free(&m);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_choice_is_read_back),
		cmocka_unit_test(every_row_may_be_chosen),
		cmocka_unit_test(what_does_not_fit_is_passed_over),
		cmocka_unit_test(only_inference_is_tuned),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(models_have_what_lies_beside),
	};
	return cmocka_run_group_tests_name("tune", tests, NULL, NULL);
}
