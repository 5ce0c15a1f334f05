/* Sessions: the same answers as the plan of the unfused network, strangers, threads, no allocation, hostile models. */
#include "support/fake_device.h"
#include "support/support.h"

#include <pthread.h>
#include <stdio.h>

#include <phiz/plan.h>
#include <phiz/session.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "deploy/export.h"

/* The small network with weights that say something: running statistics away from 0 and 1. */
static struct phiz_model *make_model(struct phiz_ctx *ctx)
{
	struct phiz_model *m;
	struct phiz_rng rng;

	phiz_rng_init(&rng, 3, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 10, 0, 5, &m));
	for (size_t i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL, bn = strstr(m->entry[i].name, "bn") != NULL;
		float *x = m->entry[i].tensor->data;
		for (int64_t k = 0; bn && k < phiz_tensor_count(m->entry[i].tensor); k++)
			x[k] = (float)phiz_rng_uniform(&rng, var ? 0.5 : -0.5, 1.5);
	}
	return m;
}

static void make_picture(struct phiz_ctx *ctx, int width, int height, uint64_t seed, struct phiz_image *image)
{
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, image));
	for (int i = 0; i < width * height * 3; i++)
		image->data[i] = (uint8_t)phiz_rng_below(&rng, 256);
}

/* Logits of the network as it was trained, layer by layer, with the reference kernels. */
static void reference_logits(struct phiz_ctx *ctx, const struct phiz_model *m, const struct phiz_image *image,
                             float *out)
{
	struct phiz_plan_options o = {.backend = phiz_backend_reference(), .loss = PHIZ_NONE};
	struct phiz_plan *plan;

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	assert_ok(ctx, phiz_preproc_run(ctx, &m->preproc, image,
	                                phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"))->data));
	assert_ok(ctx, phiz_plan_forward(plan));
	memcpy(out, phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0))->data, 10 * sizeof *out);
	phiz_plan_free(&plan);
}

/* A sole session holds weights once, answers bit by bit as another does, and leaves nothing to make a second one of. */
static void a_sole_session_consumes(void **state)
{
	(void)state;
	struct phiz_session_options sole = {.sole = true};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_model *m = make_model(ctx);
	struct phiz_runtime *runtime[2];
	struct phiz_session *session[2], *third;
	struct phiz_memory_stats stats[2];
	struct phiz_image image;

	make_picture(ctx, 64, 64, 8, &image);
	for (int i = 0; i < 2; i++) {
		struct phiz_memory_stats before;
		struct phiz_model *copy;
		assert_ok(ctx, phiz_model_clone(m, &copy));
		phiz_ctx_memory(ctx, &before);
		assert_ok(ctx, phiz_runtime_adopt(ctx, copy, &runtime[i]));
		assert_ok(ctx, phiz_session_create(runtime[i], ctx, i ? &sole : NULL, &session[i]));
		phiz_ctx_memory(ctx, &stats[i]);
		stats[i].live_bytes -= before.live_bytes;
		for (int again = 0; again < 2; again++)
			assert_ok(ctx, phiz_session_run(session[i], image.data, 64, 64, 192));
	}
	assert_memory_equal(phiz_session_result(session[0])->logits, phiz_session_result(session[1])->logits,
	                    10 * sizeof(float));
	if (stats[1].live_bytes < stats[0].live_bytes) /* kernels of this processor keep weights in their own form */
		assert_fails(ctx, PHIZ_E_ARG, phiz_session_create(runtime[1], ctx, NULL, &third));
	else
		print_message("           no kernel here keeps weights\n");
	assert_ok(ctx, phiz_session_create(runtime[0], ctx, NULL, &third));
	phiz_session_free(&third);
	phiz_image_free(ctx, &image);
	for (int i = 0; i < 2; i++) {
		phiz_session_free(&session[i]);
		phiz_runtime_close(&runtime[i]);
	}
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void answers_are_the_networks(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_model *m = make_model(ctx), *copy;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_image image;
	float want[10];
	static const int sizes[][2] = {{64, 64}, {1, 1}, {37, 211}, {300, 50}};

	assert_ok(ctx, phiz_model_clone(m, &copy));
	assert_ok(ctx, phiz_runtime_adopt(ctx, copy, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
	for (int i = 0; i < 4; i++) {
		make_picture(ctx, sizes[i][0], sizes[i][1], (uint64_t)i, &image);
		reference_logits(ctx, m, &image, want);
		assert_ok(ctx, phiz_session_run(session, image.data, image.width, image.height, 3 * (size_t)image.width));
		const struct phiz_result *r = phiz_session_result(session);
		test_close_f32("logits", r->logits, want, 10, 1e-5, 1e-4);
		assert_true(r->known);
		assert_int_equal(r->n_candidates, 10);
		double sum = 0;
		for (int c = 0; c < 10; c++) {
			sum += r->candidate[c].confidence;
			assert_true(c == 0 || r->candidate[c].confidence <= r->candidate[c - 1].confidence);
			assert_string_equal(r->candidate[c].name, m->label[r->candidate[c].index]);
		}
		assert_true(fabs(sum - 1) < 1e-12);
		assert_string_equal(r->name, r->candidate[0].name);
		phiz_image_free(ctx, &image);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

/* Of a session's answers to a picture, the logits; fails as making the session does. */
static enum phiz_status logits_of(struct phiz_ctx *ctx, const struct phiz_model *m, const struct phiz_image *image,
                                  const struct phiz_session_options *o, const struct phiz_backend **ran, float out[10])
{
	struct phiz_model *copy;
	struct phiz_runtime *runtime;
	struct phiz_session *session;

	assert_ok(ctx, phiz_model_clone(m, &copy));
	assert_ok(ctx, phiz_runtime_adopt(ctx, copy, &runtime));
	enum phiz_status status = phiz_session_create(runtime, ctx, o, &session);
	for (int again = 0; again < 2 && !status; again++)
		assert_ok(ctx, phiz_session_run(session, image->data, image->width, image->height, 3 * (size_t)image->width));
	if (!status) {
		memcpy(out, phiz_session_result(session)->logits, 10 * sizeof *out);
		*ran = phiz_session_backend(session);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	return status;
}

static void a_device_runs_it_or_the_cpu_does(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx);
	struct fake_device device;
	struct phiz_image image;
	struct phiz_session_options o = {.backend = &device.backend, .precision = PHIZ_F16}, cpu = {0};
	const struct phiz_backend *ran;
	float want[10], got[10];

	fake_device_init(&device);
	make_picture(ctx, 80, 64, 5, &image);
	assert_ok(ctx, logits_of(ctx, m, &image, &cpu, &ran, want));
	assert_ptr_equal(ran, phiz_backend_cpu());
	assert_int_equal(device.runs, 0);
	assert_ok(ctx, logits_of(ctx, m, &image, &o, &ran, got));
	assert_ptr_equal(ran, &device.backend);
	assert_int_equal(device.runs, 2);
	test_close_f32("logits", got, want, 10, 1e-5, 1e-4);

	device.lacks = "conv2d";
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, logits_of(ctx, m, &image, &o, &ran, got));
	assert_message(ctx, "conv2d conv1: the fake backend has no forward kernel for f32");
	o.fallback = phiz_backend_cpu();
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, logits_of(ctx, m, &image, &o, &ran, got));
	assert_message(ctx, "bf16");
	o.precision = PHIZ_F32;
	assert_ok(ctx, logits_of(ctx, m, &image, &o, &ran, got));
	assert_ptr_equal(ran, phiz_backend_cpu());
	assert_memory_equal(got, want, sizeof got);
	assert_int_equal(device.runs, 2);
	cpu.precision = PHIZ_F16;
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, logits_of(ctx, m, &image, &cpu, &ran, got));
	phiz_image_free(ctx, &image);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void below_the_threshold_is_unknown(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx);
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_image image;

	m->threshold.set = true;
	m->threshold.value = 0.9999;
	make_picture(ctx, 64, 64, 1, &image);
	assert_ok(ctx, phiz_runtime_adopt(ctx, m, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
	assert_ok(ctx, phiz_session_run(session, image.data, 64, 64, 192));
	assert_false(phiz_session_result(session)->known);
	assert_string_equal(phiz_session_result(session)->name, "unknown");
	assert_true(phiz_session_result(session)->confidence < 0.9999);
	phiz_image_free(ctx, &image);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

/* Rows with padding, and a second picture of the same size: nothing is asked of the system, and padding is not read. */
static void runs_allocate_nothing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_image image;
	struct phiz_memory_stats before, after;
	uint8_t padded[50 * 170];
	float plain[10];

	make_picture(ctx, 50, 50, 1, &image);
	for (int y = 0; y < 50; y++) {
		memset(padded + y * 170, 255 - y, 170);
		memcpy(padded + y * 170, image.data + y * 150, 150);
	}
	assert_ok(ctx, phiz_runtime_adopt(ctx, make_model(ctx), &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
	assert_ok(ctx, phiz_session_run(session, image.data, 50, 50, 150));
	memcpy(plain, phiz_session_result(session)->logits, sizeof plain);
	phiz_ctx_memory(ctx, &before);
	for (int i = 0; i < 5; i++) {
		assert_ok(ctx, phiz_session_run(session, padded, 50, 50, 170));
		assert_memory_equal(plain, phiz_session_result(session)->logits, sizeof plain);
	}
	phiz_ctx_memory(ctx, &after);
	assert_int_equal(before.allocations, after.allocations);
	assert_int_equal(before.live_bytes, after.live_bytes);
	assert_fails(ctx, PHIZ_E_ARG, phiz_session_run(session, padded, 50, 50, 149));
	assert_fails(ctx, PHIZ_E_ARG, phiz_session_run(session, padded, 0, 50, 150));
	phiz_image_free(ctx, &image);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

struct worker {
	const struct phiz_runtime *runtime;
	struct phiz_ctx *ctx;
	const struct phiz_image *image;
	float logits[10];
	enum phiz_status status;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct phiz_session *session = NULL;

	w->status = phiz_session_create(w->runtime, w->ctx, NULL, &session);
	for (int i = 0; i < 20 && !w->status; i++)
		w->status = phiz_session_run(session, w->image->data, 64, 64, 192);
	if (!w->status)
		memcpy(w->logits, phiz_session_result(session)->logits, sizeof w->logits);
	phiz_session_free(&session);
	return NULL;
}

static void threads_share_a_model(void **state)
{
	(void)state;
	enum { THREADS = 3 };
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_model *m = make_model(ctx);
	struct phiz_runtime *runtime;
	struct phiz_image image[THREADS];
	struct worker w[THREADS];
	pthread_t thread[THREADS];
	float want[10];

	assert_ok(ctx, phiz_runtime_adopt(ctx, m, &runtime));
	for (int i = 0; i < THREADS; i++) {
		make_picture(ctx, 64, 64, (uint64_t)i, &image[i]);
		w[i] = (struct worker){.runtime = runtime, .image = &image[i]};
		assert_ok(ctx, phiz_ctx_fork(ctx, &w[i].ctx));
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(w[i].status, PHIZ_OK);
		reference_logits(ctx, phiz_runtime_model(runtime), &image[i], want);
		test_close_f32("logits", w[i].logits, want, 10, 1e-5, 1e-4);
		phiz_image_free(ctx, &image[i]);
		phiz_ctx_free(&w[i].ctx);
	}
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

/* fp16 and bf16 stay within their bounds; a model whose weights were changed does not pass for its original. */
static void exports_are_proved(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx), *exported;
	struct phiz_prover *prover;
	struct phiz_export_proof proof;
	struct phiz_image image;

	make_picture(ctx, 64, 64, 9, &image);
	for (int precision = 0; precision < 3; precision++) {
		assert_ok(ctx, phiz_export_model(m, (enum phiz_precision)precision, &exported));
		assert_ok(ctx, phiz_prover_begin(ctx, m, exported, (enum phiz_precision)precision, &prover));
		assert_fails(ctx, PHIZ_E_ARG, phiz_prover_end(prover, &proof));
		assert_ok(ctx, phiz_prover_add(prover, &image));
		assert_ok(ctx, phiz_prover_end(prover, &proof));
		printf("           %s: %.1e of %.0e\n", phiz_precision_name((enum phiz_precision)precision), proof.logits,
		       proof.bounds.logits);
		phiz_prover_free(&prover);
		((float *)phiz_model_find(exported, "fc.bias")->tensor->data)[0] += 1;
		assert_ok(ctx, phiz_prover_begin(ctx, m, exported, (enum phiz_precision)precision, &prover));
		assert_ok(ctx, phiz_prover_add(prover, &image));
		assert_fails(ctx, PHIZ_E_NUMERIC, phiz_prover_end(prover, &proof));
		phiz_prover_free(&prover);
		phiz_model_free(&exported);
	}
	phiz_image_free(ctx, &image);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

/* The network's output for a picture, and for its mirror image, in one batch: embeddings are these, of length 1. */
static void embeddings_and_mirror_images(void **state)
{
	(void)state;
	enum { PICTURES = 3, DIM = 10 };
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_model *m = make_model(ctx), *copy;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_image image[PICTURES];
	float raw[PICTURES][2][DIM], want[DIM];

	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	m->preproc.mode = PHIZ_RESIZE_STRETCH;
	for (int i = 0; i < PICTURES; i++) {
		make_picture(ctx, m->preproc.size, m->preproc.size, (uint64_t)i, &image[i]);
		reference_logits(ctx, m, &image[i], raw[i][0]);
		phiz_image_flip_horizontal(&image[i]);
		reference_logits(ctx, m, &image[i], raw[i][1]);
		phiz_image_flip_horizontal(&image[i]);
	}
	assert_ok(ctx, phiz_model_clone(m, &copy));
	assert_ok(ctx, phiz_runtime_adopt(ctx, copy, &runtime));
	for (int flip = 0; flip < 2; flip++) {
		struct phiz_session_options o = {.batch = 4, .embed = true, .flip = flip};
		assert_ok(ctx, phiz_session_create(runtime, ctx, &o, &session));
		assert_int_equal(phiz_session_dim(session), DIM);
		assert_ok(ctx, phiz_session_run_images(session, image, PICTURES));
		for (int i = 0; i < PICTURES; i++) {
			double norm = 0;
			for (int k = 0; k < DIM; k++) {
				want[k] = raw[i][0][k] + (flip ? raw[i][1][k] : 0);
				norm += (double)want[k] * (double)want[k];
			}
			for (int k = 0; k < DIM; k++)
				want[k] = (float)(want[k] / sqrt(norm));
			test_close_f32("embedding", phiz_session_embedding_at(session, i), want, DIM, 1e-5, 1e-5);
		}
		assert_null(phiz_session_embedding_at(session, 4));
		assert_null(phiz_session_result(session));
		phiz_session_free(&session);
	}
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_session_create(runtime, ctx, NULL, &session));
	phiz_runtime_close(&runtime);
	for (int i = 0; i < PICTURES; i++)
		phiz_image_free(ctx, &image[i]);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static struct phiz_model *from_layers(struct phiz_ctx *ctx, const char *layers)
{
	struct phiz_model *m;
	assert_ok(ctx, phiz_model_from_cfg(ctx, layers, "net.cfg", 0, 0, 1, &m));
	return m;
}

/* A classifier on an embedder decides by the cosine between the embedding and the best class's row, whatever the rows'
 * lengths and biases; a threshold on the confidence keeps its meaning. */
static void a_head_on_an_embedder_decides_by_the_cosine(void **state)
{
	(void)state;
	enum { DIM = 10, PEOPLE = 3 };
	static const char *const people[PEOPLE] = {"ann", "bo", "cy"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_session_options embed = {.embed = true};
	struct phiz_model *m = make_model(ctx);
	struct phiz_image image;
	float weight[PEOPLE * DIM];

	make_picture(ctx, 64, 64, 4, &image);
	assert_int_equal(phiz_model_score(m), PHIZ_SCORE_CONFIDENCE);
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	assert_int_equal(phiz_model_score(m), PHIZ_SCORE_COSINE);
	assert_ok(ctx, phiz_model_replace_head(m, PEOPLE, 3));
	assert_ok(ctx, phiz_model_set_labels(m, people, PEOPLE));
	assert_int_equal(phiz_model_score(m), PHIZ_SCORE_COSINE);
	memcpy(weight, phiz_model_find(m, "head.weight")->tensor->data, sizeof weight);
	for (int i = 0; i < 3; i++) { /* without a threshold, with one on the cosine, with one on the confidence */
		struct phiz_model *copy;
		struct phiz_runtime *runtime;
		struct phiz_session *session, *embedder;

		assert_ok(ctx, phiz_model_clone(m, &copy));
		copy->threshold = (struct phiz_threshold){.set = i > 0, .value = i == 1 ? 0.9999 : 0.1,
		                                          .score = i < 2 ? PHIZ_SCORE_COSINE : PHIZ_SCORE_CONFIDENCE};
		assert_ok(ctx, phiz_runtime_adopt(ctx, copy, &runtime));
		assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
		assert_ok(ctx, phiz_session_create(runtime, ctx, &embed, &embedder));
		assert_ok(ctx, phiz_session_run(session, image.data, 64, 64, 192));
		assert_ok(ctx, phiz_session_run(embedder, image.data, 64, 64, 192));
		const struct phiz_result *r = phiz_session_result(session);
		const float *row = weight + r->candidate[0].index * DIM, *e = phiz_session_embedding_at(embedder, 0);
		double dot = 0, length = 0;
		for (int k = 0; k < DIM; k++) {
			dot += (double)row[k] * (double)e[k];
			length += (double)row[k] * (double)row[k];
		}
		double want = i < 2 ? dot / sqrt(length) : r->confidence;
		if (!(fabs(r->score - want) <= 1e-6))
			fail_msg("case %d: score %.9g, want %.9g", i, r->score, want);
		assert_int_equal(r->score_kind, copy->threshold.score);
		assert_int_equal(r->known, i != 1);
		phiz_session_free(&session);
		phiz_session_free(&embedder);
		phiz_runtime_close(&runtime);
	}
	phiz_image_free(ctx, &image);
	phiz_model_free(&m);
	/* Such a threshold in a model without directions. */
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	m = make_model(ctx);
	m->threshold = (struct phiz_threshold){.set = true, .score = PHIZ_SCORE_COSINE, .value = 0.5};
	assert_ok(ctx, phiz_runtime_adopt(ctx, m, &runtime));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_session_create(runtime, ctx, NULL, &session));
	assert_message(ctx, "reads no directions");
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

static void embeddings_that_cannot_be(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_session_options o = {.embed = true};
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	uint8_t pixels[16 * 16 * 3] = {0};

	/* A classifier that does not end in a linear layer. */
	assert_ok(ctx, phiz_runtime_adopt(ctx, from_layers(ctx, "[net]\nsize = 16\n[conv]\nfilters = 4\nkernel = 3\n"
	                                                   "[global_avg_pool]\n[flatten]\n[softmax]\n"), &runtime));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_session_create(runtime, ctx, &o, &session));
	assert_message(ctx, "last linear layer");
	phiz_runtime_close(&runtime);
	/* An embedding that is all zero stays so; one that is not finite is an error. */
	struct phiz_model *m = from_layers(ctx, "[net]\nsize = 16\ntask = embed\n[flatten]\n[linear]\nname = fc\n"
	                                        "outputs = 4\n");
	float *w = phiz_model_find(m, "fc.weight")->tensor->data, *b = phiz_model_find(m, "fc.bias")->tensor->data;
	memset(w, 0, (size_t)phiz_tensor_count(phiz_model_find(m, "fc.weight")->tensor) * sizeof *w);
	memset(b, 0, 4 * sizeof *b);
	assert_ok(ctx, phiz_runtime_adopt(ctx, m, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, &o, &session));
	assert_ok(ctx, phiz_session_run(session, pixels, 16, 16, 48));
	for (int k = 0; k < 4; k++)
		assert_true(phiz_session_embedding_at(session, 0)[k] == 0);
	phiz_session_free(&session);
	b[2] = INFINITY;
	assert_ok(ctx, phiz_session_create(runtime, ctx, &o, &session));
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_session_run(session, pixels, 16, 16, 48));
	assert_message(ctx, "not finite");
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	/* A detector. */
	m = from_layers(ctx, "[net]\nsize = 16\n[conv]\nfilters = 4\nkernel = 3\n[global_avg_pool]\n[flatten]\n");
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_DETECT));
	assert_ok(ctx, phiz_runtime_adopt(ctx, m, &runtime));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_session_create(runtime, ctx, &o, &session));
	assert_message(ctx, "finds faces");
	phiz_runtime_close(&runtime);
	test_ctx_done(&ctx);
}

/* An embedder's proof is of its embeddings' direction alone: longer ones are the same, others are not. */
static void embedders_are_proved(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx), *exported;
	struct phiz_prover *prover;
	struct phiz_export_proof proof;
	struct phiz_image image;

	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	make_picture(ctx, 80, 70, 4, &image);
	for (int i = 0; i < 3; i++) {
		enum phiz_precision precision = (enum phiz_precision)i;
		assert_ok(ctx, phiz_export_model(m, precision, &exported));
		int64_t n = phiz_tensor_count(phiz_model_find(exported, "fc.weight")->tensor);
		float *w = phiz_model_find(exported, "fc.weight")->tensor->data;
		float *b = phiz_model_find(exported, "fc.bias")->tensor->data;
		for (int what = 0; what < 3; what++) { /* all twice as long; one number other; not a number */
			for (int64_t k = 0; k < n && what == 0; k++)
				w[k] *= 2;
			for (int k = 0; k < 10 && what == 0; k++)
				b[k] *= 2;
			b[0] += what == 1 ? 10 : 0;
			b[1] = what == 2 ? NAN : b[1];
			assert_ok(ctx, phiz_prover_begin(ctx, m, exported, precision, &prover));
			assert_ok(ctx, phiz_prover_add(prover, &image));
			if (what == 0) {
				assert_ok(ctx, phiz_prover_end(prover, &proof));
				assert_true(proof.embeds && proof.pictures == 1 && proof.cosine <= proof.bounds.cosine);
				assert_ok(ctx, phiz_export_record(exported, &proof));
				assert_non_null(strstr(phiz_model_meta(exported, "proof"), "\"cosine_distance\":"));
			} else {
				assert_fails(ctx, PHIZ_E_NUMERIC, phiz_prover_end(prover, &proof));
				assert_message(ctx, "cosine");
			}
			phiz_prover_free(&prover);
		}
		phiz_model_free(&exported);
	}
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_DETECT));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_prover_begin(ctx, m, m, PHIZ_PRECISION_FP32, &prover));
	assert_null(prover);
	phiz_image_free(ctx, &image);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static enum phiz_status open_and_run(struct phiz_ctx *ctx, void *user)
{
	struct phiz_model *copy;
	struct phiz_runtime *runtime = NULL;
	struct phiz_session *session = NULL;
	uint8_t pixels[8 * 8 * 3] = {0};
	enum phiz_status status = phiz_model_clone(user, &copy);

	if (!status)
		status = phiz_runtime_adopt(ctx, copy, &runtime);
	if (!status)
		status = phiz_session_create(runtime, ctx, NULL, &session);
	if (!status)
		status = phiz_session_run(session, pixels, 8, 8, 24);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	return status;
}

static void memory_may_run_out_anywhere(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx);

	test_every_oom(ctx, open_and_run, m);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sole_session_consumes),
		cmocka_unit_test(a_device_runs_it_or_the_cpu_does),
		cmocka_unit_test(answers_are_the_networks), cmocka_unit_test(below_the_threshold_is_unknown),
		cmocka_unit_test(runs_allocate_nothing),    cmocka_unit_test(threads_share_a_model),
		cmocka_unit_test(exports_are_proved),       cmocka_unit_test(embedders_are_proved),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(embeddings_and_mirror_images), cmocka_unit_test(embeddings_that_cannot_be),
		cmocka_unit_test(a_head_on_an_embedder_decides_by_the_cosine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
