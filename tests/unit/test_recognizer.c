/* Recognizers without a detector: pictures are crops. (With one: tests/e2e.) */
#include "support/support.h"

#include <stdio.h>

#include <phiz/recognizer.h>

#include "core/base/rng.h"

enum { DIM = 6, SIZE = 32 };

static struct phiz_model *make_model(struct phiz_ctx *ctx, const char *keys)
{
	struct phiz_model *m;
	char text[512];

	snprintf(text, sizeof text,
	         "[net]\nsize = 32\ntask = embed\nresize = stretch\n%s[conv]\nname = conv\nfilters = 5\nkernel = 3\n"
	         "stride = 2\n[batch_norm]\nname = bn\n[relu]\n[flatten]\n[linear]\nname = fc\noutputs = 6\n", keys);
	assert_ok(ctx, phiz_model_from_cfg(ctx, text, "net.cfg", 0, 0, 3, &m));
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

static void pictures_are_crops(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_recognizer_options o = {.flip = true};
	struct phiz_session_options so = {.embed = true, .flip = true};
	struct phiz_recognizer *r;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	const struct phiz_found *found;
	struct phiz_image image;
	char dir[256], path[300], hash[65];
	int n;

	test_folder(dir);
	snprintf(path, sizeof path, "%s/m.phiz", dir);
	struct phiz_model *m = make_model(ctx, "");
	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	snprintf(hash, sizeof hash, "%s", phiz_recognizer_hash(r));
	phiz_recognizer_free(&r);
	m->preproc.mean[0] += 0.25f; /* the same weights, other embeddings */
	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	assert_string_not_equal(phiz_recognizer_hash(r), hash);
	phiz_recognizer_free(&r);
	m->preproc.mean[0] -= 0.25f;
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	assert_ok(ctx, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	assert_int_equal(phiz_recognizer_dim(r), DIM);
	assert_string_equal(phiz_recognizer_hash(r), hash);
	assert_int_equal(phiz_model_task(phiz_recognizer_model(r)), PHIZ_TASK_EMBED);
	assert_ok(ctx, phiz_runtime_open(ctx, path, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, &so, &session));
	for (int i = 0; i < 3; i++) {
		make_picture(ctx, 20 + 30 * i, 40, (uint64_t)i, &image);
		assert_ok(ctx, phiz_session_run_images(session, &image, 1));
		assert_ok(ctx, phiz_recognizer_run(r, &image, &found, &n));
		assert_int_equal(n, 1);
		assert_memory_equal(found[0].embedding, phiz_session_embedding_at(session, 0), DIM * sizeof(float));
		assert_true(found[0].crop.data == image.data);
		assert_true(found[0].face.score == 1 && found[0].face.box[2] == (float)image.width &&
		            found[0].face.box[3] == (float)image.height);
		phiz_image_free(ctx, &image);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	phiz_recognizer_free(&r);
	phiz_recognizer_free(&r);
	/* A file that is no detector, and files that are not there. */
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_recognizer_open(ctx, path, path, NULL, &r));
	assert_null(r);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_recognizer_open(ctx, NULL, "/nowhere.phiz", NULL, &r));
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* A classifier's names, as a session gives them, with logits that stay when the session goes on. */
static void pictures_are_named(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_recognizer_options o = {.names = true};
	struct phiz_recognizer *r;
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	const struct phiz_found *found;
	struct phiz_image image;
	char dir[256], path[300];
	int n;

	test_folder(dir);
	snprintf(path, sizeof path, "%s/m.phiz", dir);
	struct phiz_model *m = make_model(ctx, "");
	assert_ok(ctx, phiz_model_write(m, path));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	assert_message(ctx, "phiz embed");
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_DETECT));
	assert_ok(ctx, phiz_model_write(m, path));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	assert_message(ctx, "phiz data detect");
	assert_null(r);
	phiz_model_free(&m);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 7, 0, 5, &m));
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	assert_ok(ctx, phiz_recognizer_open(ctx, NULL, path, &o, &r));
	assert_int_equal(phiz_recognizer_dim(r), 0);
	assert_ok(ctx, phiz_runtime_open(ctx, path, &runtime));
	assert_ok(ctx, phiz_session_create(runtime, ctx, NULL, &session));
	for (int i = 0; i < 3; i++) {
		make_picture(ctx, 90 - 20 * i, 60, (uint64_t)i, &image);
		assert_ok(ctx, phiz_recognizer_run(r, &image, &found, &n));
		assert_ok(ctx, phiz_session_run_images(session, &image, 1));
		const struct phiz_result *want = phiz_session_result(session), *got = found[0].result;
		assert_int_equal(n, 1);
		assert_null(found[0].embedding);
		assert_string_equal(got->name, want->name);
		assert_true(got->confidence >= want->confidence && got->confidence <= want->confidence);
		assert_int_equal(got->n_classes, 7);
		assert_memory_equal(got->logits, want->logits, 7 * sizeof(float));
		phiz_image_free(ctx, &image);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	phiz_recognizer_free(&r);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* How faces are cut out where the model does not say. */
static void alignments(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx, "align = arcface\n");
	struct phiz_align a = phiz_recognizer_align(m);

	assert_int_equal(a.kind, PHIZ_ALIGN_ARCFACE);
	assert_int_equal(a.size, SIZE);
	phiz_model_free(&m);
	m = make_model(ctx, "");
	a = phiz_recognizer_align(m);
	assert_int_equal(a.kind, PHIZ_ALIGN_BOX);
	assert_int_equal(a.size, SIZE);
	assert_ok(ctx, phiz_align_check(ctx, &a));
	m->preproc.mode = PHIZ_RESIZE_SHORT;
	m->preproc.resize = 5000;
	a = phiz_recognizer_align(m);
	assert_ok(ctx, phiz_align_check(ctx, &a));
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

struct opening {
	const char *path;
	struct phiz_recognizer_options options;
};

static enum phiz_status open_and_run(struct phiz_ctx *ctx, void *user)
{
	const struct opening *o = user;
	uint8_t pixels[8 * 8 * 3] = {0};
	struct phiz_image image = {8, 8, 3, pixels};
	const struct phiz_found *found;
	struct phiz_recognizer *r;
	int n;
	enum phiz_status status = phiz_recognizer_open(ctx, NULL, o->path, &o->options, &r);

	if (!status)
		status = phiz_recognizer_run(r, &image, &found, &n);
	phiz_recognizer_free(&r);
	return status;
}

static void memory_may_run_out_anywhere(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256], path[300];

	test_folder(dir);
	snprintf(path, sizeof path, "%s/m.phiz", dir);
	struct phiz_model *m = make_model(ctx, "");
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	struct opening o = {.path = path};
	test_every_oom(ctx, open_and_run, &o);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 3, 32, 5, &m));
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	o.options.names = true;
	test_every_oom(ctx, open_and_run, &o);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_are_crops), cmocka_unit_test(pictures_are_named), cmocka_unit_test(alignments),
		cmocka_unit_test(memory_may_run_out_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
