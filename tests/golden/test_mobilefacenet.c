/* label: full
 * MobileFaceNet against PyTorch: embeddings of three photographs, from the network as it was trained and from the form
 * that runs, and the cosines between them. Needs the private test data. */
#include "support/support.h"

#include <phiz/model.h>
#include <phiz/plan.h>
#include <phiz/session.h>

#include "core/io/import.h"

enum { PHOTOS = 3, DIM = 128, SIZE = 112, FLOATS = 3 * SIZE * SIZE };

static const char *const photo[PHOTOS] = {
	"lfw/Abel_Pacheco/Abel_Pacheco_0001.jpg", "lfw/Abel_Pacheco/Abel_Pacheco_0004.jpg",
	"lfw/Colin_Powell/Colin_Powell_0049.jpg",
};

struct fixture {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	struct phiz_model *model;
};

/* false: the data is not there. */
static bool setup(struct fixture *f)
{
	char weights[1024], golden[1024];
	struct phiz_tensors t = {0};
	struct phiz_import_options o = {0};
	struct phiz_import_report report = {0};
	struct phiz_net_guess guess;

	if (!test_data("weights/mobilefacenet/mobilefacenet.safetensors", weights) ||
	    !test_data("weights/mobilefacenet/golden_mobilefacenet.safetensors", golden))
		return false;
	memset(f, 0, sizeof *f);
	f->ctx = test_ctx(2);
	assert_ok(f->ctx, phiz_tensors_read(f->ctx, golden, &f->golden));
	assert_ok(f->ctx, phiz_tensors_read(f->ctx, weights, &t));
	assert_ok(f->ctx, phiz_import_guess_net(f->ctx, &t, weights, &guess));
	assert_string_equal(guess.net, "mobilefacenet");
	assert_ok(f->ctx, phiz_model_from_cfg(f->ctx, phiz_net_builtin(guess.net), guess.net, guess.classes, 0, 0,
	                                      &f->model));
	assert_ok(f->ctx, phiz_import_weights(f->ctx, f->model, &t, weights, &o, &report));
	assert_int_equal(report.loaded, f->model->n_entries);
	phiz_import_report_free(&report);
	phiz_tensors_free(f->ctx, &t);
	return true;
}

static void teardown(struct fixture *f)
{
	phiz_model_free(&f->model);
	phiz_tensors_free(f->ctx, &f->golden);
	test_ctx_done(&f->ctx);
}

static void *want(struct fixture *f, const char *name)
{
	struct phiz_tensor *t = phiz_tensors_find(&f->golden, name);
	if (!t)
		fail_msg("no golden tensor %s", name);
	return t->data;
}

static void embeddings(void **state)
{
	(void)state;
	struct fixture f;
	struct phiz_plan *plan;
	struct phiz_plan_options o = {.batch = PHOTOS, .loss = PHIZ_NONE};
	double got[PHOTOS * DIM];

	if (!setup(&f))
		skip();
	assert_int_equal(phiz_model_task(f.model), PHIZ_TASK_EMBED);
	assert_int_equal(f.model->n_labels, 0);
	for (int form = 0; form < 3; form++) { /* layer by layer, with the fast kernels, folded and fused */
		o.backend = form ? phiz_backend_cpu() : phiz_backend_reference();
		if (form == 2)
			assert_ok(f.ctx, phiz_model_optimize(f.model));
		assert_ok(f.ctx, phiz_plan_create(f.ctx, f.model->graph, &o, &plan));
		memcpy(phiz_plan_tensor(plan, phiz_graph_find_value(f.model->graph, "image"))->data,
		       want(&f, "input.normalized"), PHOTOS * FLOATS * sizeof(float));
		assert_ok(f.ctx, phiz_plan_forward(plan));
		const float *out = phiz_plan_tensor(plan, phiz_graph_output_at(f.model->graph, 0))->data;
		for (int i = 0; i < PHOTOS * DIM; i++)
			got[i] = (double)out[i];
		test_close_f64("embedding", got, want(&f, "embedding.f64"), PHOTOS * DIM, 2e-5, 0);
		phiz_plan_free(&plan);
	}
	teardown(&f);
}

static double dot(const float *a, const float *b)
{
	double sum = 0;
	for (int d = 0; d < DIM; d++)
		sum += (double)a[d] * (double)b[d];
	return sum;
}

/* From the pixels on: what the session says of them, and of the photographs cut by the reference box. */
static void cosines(void **state)
{
	(void)state;
	struct fixture f;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	struct phiz_session_options o = {.batch = PHOTOS, .embed = true};
	struct phiz_image image[PHOTOS], whole, crop;
	float normalized[FLOATS], kept[PHOTOS * DIM];
	double got[PHOTOS * PHOTOS];
	char path[1024];

	if (!setup(&f))
		skip();
	struct phiz_model *m = f.model;
	f.model = NULL;
	assert_int_equal(m->preproc.align.kind, PHIZ_ALIGN_ARCFACE);
	for (int i = 0; i < PHOTOS; i++) {
		image[i] = (struct phiz_image){SIZE, SIZE, 3, (uint8_t *)want(&f, "input.rgb_u8") + i * FLOATS};
		assert_ok(f.ctx, phiz_preproc_run(f.ctx, &m->preproc, &image[i], normalized));
		test_close_f32("input", normalized, (const float *)want(&f, "input.normalized") + i * FLOATS, FLOATS, 2e-7, 0);
		if (!test_data(photo[i], path))
			continue;
		assert_ok(f.ctx, phiz_image_read(f.ctx, path, NULL, &whole));
		assert_ok(f.ctx, phiz_image_crop(f.ctx, &whole, 11, 4, 127, 127, &crop));
		phiz_image_free(f.ctx, &whole);
		assert_ok(f.ctx, phiz_preproc_geometry(f.ctx, &m->preproc, &crop, &whole));
		assert_memory_equal(whole.data, image[i].data, FLOATS);
		phiz_image_free(f.ctx, &whole);
		phiz_image_free(f.ctx, &crop);
	}
	assert_ok(f.ctx, phiz_runtime_adopt(f.ctx, m, &runtime));
	assert_fails(f.ctx, PHIZ_E_UNSUPPORTED, phiz_session_create(runtime, f.ctx, NULL, &session));
	assert_message(f.ctx, "phiz embed");
	assert_ok(f.ctx, phiz_session_create(runtime, f.ctx, &o, &session));
	assert_int_equal(phiz_session_dim(session), DIM);
	assert_ok(f.ctx, phiz_session_run_images(session, image, PHOTOS));
	for (int i = 0; i < PHOTOS * PHOTOS; i++)
		got[i] = dot(phiz_session_embedding_at(session, i / PHOTOS), phiz_session_embedding_at(session, i % PHOTOS));
	test_close_f64("cosine", got, want(&f, "cosine.f64"), PHOTOS * PHOTOS, 2e-6, 0);
	for (int i = 0; i < PHOTOS; i++)
		memcpy(kept + i * DIM, phiz_session_embedding_at(session, i), DIM * sizeof *kept);
	phiz_session_free(&session);
	o.batch = 1; /* alone: the same numbers but for rounding */
	assert_ok(f.ctx, phiz_session_create(runtime, f.ctx, &o, &session));
	for (int i = 0; i < PHOTOS; i++) {
		assert_ok(f.ctx, phiz_session_run(session, image[i].data, SIZE, SIZE, 3 * SIZE));
		test_close_f32("alone", phiz_session_embedding_at(session, 0), kept + i * DIM, DIM, 1e-6, 0);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(embeddings), cmocka_unit_test(cosines)};
	char path[1024];

	if (!test_data("weights/mobilefacenet", path))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
