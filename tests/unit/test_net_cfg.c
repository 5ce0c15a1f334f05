/* Network files: what [net] says of the task and of preprocessing, and embedders that become classifiers. */
#include "support/support.h"

#include <phiz/model.h>
#include <phiz/session.h>

#include <stdio.h>

#define LAYERS "[conv]\nfilters = 4\nkernel = 3\n[global_avg_pool]\n[flatten]\n[linear]\nname = fc\noutputs = 6\n"

static enum phiz_status from_net(struct phiz_ctx *ctx, const char *keys, struct phiz_model **out)
{
	char text[1024];

	snprintf(text, sizeof text, "[net]\nsize = 32\n%s" LAYERS, keys);
	return phiz_model_from_cfg(ctx, text, "net.cfg", 0, 0, 1, out);
}

static void tasks_and_preprocessing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m;

	assert_ok(ctx, from_net(ctx, "", &m));
	assert_int_equal(phiz_model_task(m), PHIZ_TASK_CLASSIFY);
	assert_int_equal(m->n_labels, 6);
	assert_int_equal(m->preproc.mode, PHIZ_RESIZE_SHORT);
	assert_int_equal(m->preproc.align.kind, PHIZ_ALIGN_NONE);
	phiz_model_free(&m);
	assert_ok(ctx, from_net(ctx, "task = embed\nresize = stretch\nmean = 0.5\nstd = 0.25, 0.5, 0.75\nalign = facenet\n"
	                             "margin = 14\n", &m));
	assert_int_equal(phiz_model_task(m), PHIZ_TASK_EMBED);
	assert_int_equal(m->n_labels, 0);
	assert_int_equal(m->preproc.mode, PHIZ_RESIZE_STRETCH);
	assert_int_equal(m->preproc.size, 32);
	assert_int_equal(m->preproc.align.kind, PHIZ_ALIGN_FACENET);
	assert_int_equal(m->preproc.align.size, 32);
	assert_float_equal(m->preproc.align.margin, 14, 0);
	for (int c = 0; c < 3; c++) {
		assert_float_equal(m->preproc.mean[c], 0.5f, 0);
		assert_float_equal(m->preproc.std[c], 0.25f * (float)(c + 1), 0);
	}
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *keys, *message;
	} wrong[] = {
		{"task = detect\n", "net.cfg:1: [net] task: want classify or embed, got 'detect'"},
		{"resize = long\n", "[net] resize: want short or stretch"},
		{"mean = 0.5, 0.5\n", "[net] mean: want one number or three"},
		{"mean = 1 2 3 4\n", "[net] mean: want one number or three"},
		{"mean =\n", "mean"},
		{"std = 0.5, x, 0.5\n", "[net] std"},
		{"std = 0\n", "std: want more than 0"},
		{"align = eyes\n", "[net] align: want none, arcface, facenet or box"},
		{"align = facenet\nmargin = 32\n", "margin: want 0 to 31, got 32"},
		{"margin = 3\n", "margin"},
		{"aling = box\n", "did you mean 'align'?"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, from_net(ctx, wrong[i].keys, &m));
		assert_message(ctx, wrong[i].message);
		assert_null(m);
	}
	test_ctx_done(&ctx);
}

/* The new head reads the embedding: with the identity as its weights it gives it out again. */
static void embedders_become_classifiers(void **state)
{
	(void)state;
	static const char *const people[] = {"a", "b", "c", "d", "e", "f"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *embedder, *classifier;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_session_options o = {.embed = true};
	uint8_t pixels[32 * 32 * 3];
	float embedding[6], norm = 0;

	for (int i = 0; i < 32 * 32 * 3; i++)
		pixels[i] = (uint8_t)(i * 7);
	assert_ok(ctx, from_net(ctx, "task = embed\n", &embedder));
	assert_ok(ctx, phiz_model_clone(embedder, &classifier));
	assert_ok(ctx, phiz_model_replace_head(classifier, 6, 3));
	assert_int_equal(phiz_model_task(classifier), PHIZ_TASK_CLASSIFY);
	assert_int_equal(phiz_model_classes(classifier), 6);
	assert_ok(ctx, phiz_model_set_labels(classifier, people, 6));
	float *w = phiz_model_find(classifier, "head.weight")->tensor->data;
	memset(w, 0, 36 * sizeof *w);
	for (int i = 0; i < 6; i++)
		w[i * 7] = 1;
	memset(phiz_model_find(classifier, "head.bias")->tensor->data, 0, 6 * sizeof *w);
	assert_ok(ctx, phiz_runtime_adopt(ctx, embedder, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, &o, &session));
	assert_ok(ctx, phiz_session_run(session, pixels, 32, 32, 96));
	memcpy(embedding, phiz_session_embedding_at(session, 0), sizeof embedding);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);

	assert_ok(ctx, phiz_runtime_adopt(ctx, classifier, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
	assert_ok(ctx, phiz_session_run(session, pixels, 32, 32, 96));
	const float *logits = phiz_session_result(session)->logits;
	for (int i = 0; i < 6; i++)
		norm += embedding[i] * embedding[i];
	assert_float_equal(norm, 1, 1e-6);
	for (int i = 0; i < 6; i++)
		assert_float_equal(logits[i], embedding[i], 1e-6);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_and_preprocessing), cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(embedders_become_classifiers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
