/* label: full
 * Training embedders on made-up pictures: each loss learns, a run that was broken off ends as one that was not, what
 * the files hold, what is refused. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/rng.h"
#include "support/device.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#define PEOPLE 6 /* the last two are held out */
#define PHOTOS 6
#define SIDE 44

struct world {
	struct phiz_ctx *ctx;
	char folder[256], data[300], teacher[300];
	struct phiz_dataset *dataset;
	struct phiz_landmarks faces;
	int runs;
};

/* A person is a colour and a stripe; a photo shifts and dirties them. */
static void draw_photo(struct phiz_ctx *ctx, const char *path, int person, int photo)
{
	struct phiz_image image;
	struct phiz_rng rng;

	assert_ok(ctx, phiz_image_create(ctx, SIDE, SIDE, 3, &image));
	phiz_rng_init(&rng, 8, (uint32_t)person, (uint64_t)photo, PHIZ_STREAM_TEST);
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			for (int c = 0; c < 3; c++) {
				int base = c == person % 3 ? 150 : 80, stripe = (x * (person / 3) + y + photo) / 5 % 2 ? 40 : 0;

				image.data[(y * SIDE + x) * 3 + c] = (uint8_t)(base + stripe + (int)phiz_rng_below(&rng, 50));
			}
	assert_ok(ctx, phiz_image_write(ctx, path, &image, 90));
	phiz_image_free(ctx, &image);
}

/* Four people to train on and the photos of two strangers; person 3's photos are nameless for `unlabelled`. */
static void make_data(struct world *w)
{
	static const float eyes[PHIZ_LANDMARKS][2] = {{15, 18}, {29, 18}, {22, 26}, {16, 34}, {28, 34}};
	char path[600];

	for (int p = 0; p < PEOPLE; p++)
		for (int i = 0; i < PHOTOS; i++) {
			snprintf(path, sizeof path, "%s/person%d", w->data, p);
			assert_ok(w->ctx, phiz_dir_make(w->ctx, path));
			snprintf(path, sizeof path, "%s/person%d/%02d.ppm", w->data, p, i);
			draw_photo(w->ctx, path, p, i);
		}
	assert_ok(w->ctx, phiz_dataset_scan(w->ctx, w->data, NULL, &w->dataset));
	assert_ok(w->ctx, phiz_dataset_estrange(w->ctx, w->dataset, "person4"));
	assert_ok(w->ctx, phiz_dataset_estrange(w->ctx, w->dataset, "person5"));
	w->faces.count = w->faces.found = w->dataset->count;
	w->faces.face = calloc(w->dataset->count, sizeof *w->faces.face);
	for (size_t i = 0; i < w->dataset->count; i++) {
		memcpy(w->faces.face[i].landmark, eyes, sizeof eyes);
		w->faces.face[i].landmark[1][1] += (float)(i % 3);
		w->faces.face[i].score = 1;
	}
}

/* A network of random weights can teach too. */
static void make_teacher(struct world *w)
{
	struct phiz_model *m;

	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, phiz_net_builtin("tiny"), "tiny", 12, 32, 77, &m));
	assert_ok(w->ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	snprintf(w->teacher, sizeof w->teacher, "%s/teacher.phiz", w->folder);
	assert_ok(w->ctx, phiz_model_write(m, w->teacher));
	phiz_model_free(&m);
}

static struct world *open_world(int threads)
{
	struct world *w = calloc(1, sizeof *w);

	w->ctx = test_ctx(threads);
	test_folder(w->folder);
	snprintf(w->data, sizeof w->data, "%s/data", w->folder);
	make_data(w);
	make_teacher(w);
	return w;
}

static void close_world(struct world *w)
{
	phiz_dataset_free(w->ctx, &w->dataset);
	free(w->faces.face);
	test_folder_done(w->folder);
	test_ctx_done(&w->ctx);
	free(w);
}

static void make_recipe(struct world *w, struct phiz_recipe *r, const char *const *settings)
{
	static const char *const base[] = {
		"model.net=tiny", "data.size=32", "data.align=arcface", "train.epochs=3", "train.batch=6", "train.val_batch=4",
		"train.seed=3", "output.checkpoint_seconds=0", "optimizer.lr=0.01", "augment.crop=no", "augment.rotation=8",
		"augment.zoom=0.9 1.1", "loss.embedding=12", "output.tensorboard=no", NULL};
	char teacher[400];

	assert_ok(w->ctx, phiz_recipe_init(w->ctx, r));
	for (int i = 0; base[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(r, base[i]));
	snprintf(teacher, sizeof teacher, "train.teacher=%s", w->teacher);
	assert_ok(w->ctx, phiz_recipe_set(r, teacher));
	for (int i = 0; settings && settings[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(r, settings[i]));
}

static enum phiz_status train(struct world *w, const struct phiz_recipe *r, const char *run,
                              struct phiz_train_options *o, struct phiz_train_result *result)
{
	o->recipe = r;
	o->dataset = w->dataset;
	o->faces = &w->faces;
	o->run_dir = run;
	o->backend = test_backend();
	return phiz_train(w->ctx, o, result);
}

static void new_run(struct world *w, char run[400])
{
	snprintf(run, 400, "%s/run%d", w->folder, w->runs++);
}

static const char *const arcface[] = {"loss.name=arcface", "loss.scale=16", "loss.embedding_bn=yes", "loss.center=0.01",
                                      "train.ema=0.9", "optimizer.groups=loss.weight:2", NULL};
static const char *const growing[] = {"loss.name=arcface", "loss.scale=16", "loss.embedding_bn=yes", "loss.center=0.01",
                                      "train.ema=0.9", "loss.margin_epochs=1.5", NULL};
static const char *const cosface[] = {"loss.name=cosface", "loss.scale=16", "loss.distill=0.5", "train.accumulate=2",
                                      NULL};
static const char *const triplet[] = {"loss.name=triplet", "data.people_per_batch=3", "data.photos_per_person=2",
                                      "loss.mining=all", NULL};
static const char *const distill[] = {"loss.name=distill", "loss.similarity=2", "optimizer.name=sgd",
                                      "schedule.per=step", NULL};

/* --- Learning, and what is left behind. --- */

static void learn(struct world *w, const char *const *settings, const char *what, double least)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_checkpoint c;
	struct phiz_recipe r;
	char run[400];
	bool margin = settings == arcface || settings == cosface;

	new_run(w, run);
	make_recipe(w, &r, settings);
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.epochs=10"));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_ok(w->ctx, phiz_checkpoint_read(w->ctx, result.checkpoint, &c));
	print_message("%s: loss %.4f to %.4f, verification %.3f\n", what, c.state.history.record[0].train_loss,
	              result.train_loss, result.best_val_top1);
	assert_true(result.train_loss < 0.8 * c.state.history.record[0].train_loss);
	assert_true(result.best_val_top1 >= least);
	assert_true(margin == (bool)isfinite(c.state.history.record[0].train_top1));
	assert_int_equal(phiz_model_task(c.model), PHIZ_TASK_EMBED);
	assert_int_equal(phiz_model_classes(c.model), 12);
	assert_int_equal(c.model->n_labels, 0);
	assert_int_equal(c.model->preproc.align.kind, PHIZ_ALIGN_ARCFACE);
	assert_int_equal(c.model->preproc.align.size, 32);
	/* The classes are beside the model, not in it. */
	assert_true(margin == (phiz_extra_find(&c.extra, "loss.weight") != NULL));
	assert_true((settings == arcface) == (phiz_extra_find(&c.extra, "loss.center") != NULL));
	assert_null(phiz_model_find(c.model, "loss.weight"));
	phiz_checkpoint_free(w->ctx, &c);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
}

/* The first epoch's loss with this much of ArcFace's margin. */
static double first_loss(struct world *w, const char *margin, const char *epochs)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];
	double loss;

	new_run(w, run);
	make_recipe(w, &r, arcface);
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.epochs=1"));
	assert_ok(w->ctx, phiz_recipe_set(&r, margin));
	assert_ok(w->ctx, phiz_recipe_set(&r, epochs));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	loss = result.train_loss;
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	return loss;
}

/* A margin that grows over very many epochs is none in the first, and one that grows within it is less than all. */
static void test_margin_grows(void **state)
{
	struct world *w = open_world(1);
	double none = first_loss(w, "loss.margin=0", "loss.margin_epochs=0");
	double late = first_loss(w, "loss.margin=0.5", "loss.margin_epochs=100000");
	double soon = first_loss(w, "loss.margin=0.5", "loss.margin_epochs=1");
	double full = first_loss(w, "loss.margin=0.5", "loss.margin_epochs=0");

	(void)state;
	assert_true(fabs(late - none) < 1e-3 && none + 0.1 < soon && soon + 0.1 < full);
	close_world(w);
}

static void test_learns(void **state)
{
	struct world *w = open_world(2);

	(void)state;
	learn(w, arcface, "arcface", 0.8);
	learn(w, cosface, "cosface", 0.8);
	learn(w, triplet, "triplet", 0.8);
	learn(w, distill, "distill", 0.6);
	close_world(w);
}

/* --- Breaking off and going on. --- */

static void stop_and_go(struct world *w, const char *const *settings, int64_t stop, bool each_step, const char *want)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];
	enum phiz_status status = PHIZ_E_CANCELLED;
	int sessions = 0;

	new_run(w, run);
	make_recipe(w, &r, settings);
	if (each_step)
		assert_ok(w->ctx, phiz_recipe_set(&r, "output.checkpoint_seconds=0.000001"));
	o.resume = true;
	o.stop_after_steps = stop;
	while (status == PHIZ_E_CANCELLED) {
		status = train(w, &r, run, &o, &result);
		assert_true(status == PHIZ_OK || status == PHIZ_E_CANCELLED);
		if (!status)
			assert_string_equal(result.weights_sha256, want);
		phiz_train_result_free(w->ctx, &result);
		if (++sessions == 1 && !each_step)
			o.stop_after_steps = 0;
		assert_true(sessions < 100);
	}
	phiz_recipe_free(&r);
}

/* The hash of a run that is left alone; returns its steps. `more`: a further setting, or NULL. */
static int64_t reference(struct world *w, const char *const *settings, const char *more, char hash[65])
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	new_run(w, run);
	make_recipe(w, &r, settings);
	if (more)
		assert_ok(w->ctx, phiz_recipe_set(&r, more));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	memcpy(hash, result.weights_sha256, 65);
	int64_t steps = result.steps;
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	return steps;
}

static void check_resume(struct world *w, const char *const *settings)
{
	char hash[65];
	int64_t steps = reference(w, settings, NULL, hash);

	assert_true(steps >= 6);
	stop_and_go(w, settings, 3, true, hash);
	stop_and_go(w, settings, steps - 1, false, hash);
}

static void test_resume(void **state)
{
	struct world *w = open_world(2);

	(void)state;
	check_resume(w, growing);
	check_resume(w, cosface);
	check_resume(w, triplet);
	check_resume(w, distill);
	close_world(w);
}

/* --- Uploads. --- */

/* Photos are brought to a device as bytes, but for those that noise may be put into: no matter to what is trained. The
 * probability is such that it is drawn, and comes out as no, each time. */
static void test_bytes_train_as_floats(void **state)
{
	static const char *const cases[][6] = {
		{"loss.name=arcface", "augment.erase=1e-12"},
		{"loss.name=arcface", "augment.erase=1e-12", "train.precision=bf16"},
		{"loss.name=triplet", "augment.erase=1e-12", "data.people_per_batch=3", "data.photos_per_person=2",
		 "train.freeze=conv1, bn1, layer1"},
	};
	struct world *w = open_world(2);
	char bytes[65], floats[65], erased[65];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		(void)reference(w, cases[i], NULL, bytes);
		(void)reference(w, cases[i], "augment.erase_random=yes", floats);
		assert_string_equal(bytes, floats);
		(void)reference(w, cases[i], "augment.erase=0.9", erased);
		assert_string_not_equal(bytes, erased);
	}
	close_world(w);
}

/* --- Not finite. --- */

/* A rate that no halving makes bearable: back to the last checkpoint each time, with the loss's tensors. */
static void test_not_finite(void **state)
{
	static const char *const settings[] = {"train.nan_limit=2", "train.clip_norm=0", "optimizer.name=sgd",
	                                       "optimizer.lr=1000", "optimizer.groups=fc:1e9, loss.weight:1e9",
	                                       "optimizer.weight_decay=100",
	                                       "schedule.name=constant", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_checkpoint c;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	new_run(w, run);
	make_recipe(w, &r, arcface);
	for (int i = 0; settings[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(&r, settings[i]));
	assert_fails(w->ctx, PHIZ_E_NUMERIC, train(w, &r, run, &o, &result));
	assert_message(w->ctx, "stopped after rolling back 2 time(s)");
	assert_ok(w->ctx, phiz_checkpoint_read(w->ctx, result.checkpoint, &c));
	assert_int_equal(c.state.nan_events, 2);
	const struct phiz_tensor *t = phiz_extra_find(&c.extra, "loss.weight");
	assert_non_null(t);
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		assert_true(isfinite((double)((const float *)t->data)[i]));
	phiz_checkpoint_free(w->ctx, &c);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- What the teacher said is kept. --- */

struct watch {
	int64_t taught;
};

static void watch(void *user, const struct phiz_train_progress *p)
{
	if (p->phase == PHIZ_PHASE_TEACHER)
		((struct watch *)user)->taught = p->batch;
}

/* One epoch more; how many photos the teacher looked at. */
static int64_t go_on(struct world *w, struct phiz_recipe *r, const char *run, const char *said)
{
	struct watch seen = {0};
	struct phiz_train_options o = {.resume = true, .callbacks = {&seen, watch, NULL}, .teacher_said = said};
	struct phiz_train_result result;

	r->train.epochs++;
	assert_ok(w->ctx, train(w, r, run, &o, &result));
	phiz_train_result_free(w->ctx, &result);
	return seen.taught;
}

static void test_teacher_is_kept(void **state)
{
	struct world *w = open_world(2);
	struct phiz_recipe r;
	char run[400], other[400], path[500];
	int64_t all;

	(void)state;
	new_run(w, run);
	make_recipe(w, &r, distill);
	r.train.epochs = 0;
	all = go_on(w, &r, run, NULL);
	assert_true(all > 2);
	assert_int_equal(go_on(w, &r, run, NULL), 0);
	w->faces.face[0].landmark[0][0] += 1; /* another crop */
	assert_int_equal(go_on(w, &r, run, NULL), 1);
	assert_int_equal(go_on(w, &r, run, NULL), 0);

	/* Another run takes over what was said, but for what it has not. */
	snprintf(path, sizeof path, "%s/teacher.safetensors", run);
	new_run(w, other);
	r.train.epochs = 0;
	w->faces.face[1].landmark[0][0] += 1;
	assert_int_equal(go_on(w, &r, other, path), 1);
	assert_int_equal(go_on(w, &r, other, NULL), 0);

	assert_ok(w->ctx, phiz_file_write(w->ctx, path, "spoilt", 6));
	r.train.epochs = 4;
	assert_int_equal(go_on(w, &r, run, NULL), all);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- Photos without names. --- */

static void test_unlabelled(void **state)
{
	struct world *w = open_world(2);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	/* Person 3 becomes nobody: such photos distil and have no class. With a batch of 1 whole batches are nameless. */
	assert_ok(w->ctx, phiz_dataset_estrange(w->ctx, w->dataset, "person3"));
	for (size_t i = 0; i < w->dataset->count; i++)
		if (strstr(w->dataset->sample[i].path, "person3"))
			w->dataset->sample[i].part = PHIZ_PART_TRAIN;
	assert_int_equal(w->dataset->n_known, 3);
	new_run(w, run);
	make_recipe(w, &r, cosface);
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.batch=1"));
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.accumulate=1"));
	assert_ok(w->ctx, phiz_recipe_set(&r, "freeze.bn=frozen"));
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.on_nan=stop"));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_true(isfinite(result.train_loss));
	assert_int_equal(result.steps, 3 * 4 * PHOTOS);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- What is refused. --- */

static void refuse(struct world *w, const char *const *settings, const char *key, const char *message)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	new_run(w, run);
	make_recipe(w, &r, settings);
	if (key)
		assert_ok(w->ctx, phiz_recipe_set(&r, key));
	assert_fails(w->ctx, PHIZ_E_ARG, train(w, &r, run, &o, &result));
	assert_message(w->ctx, message);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
}

static void test_refuses(void **state)
{
	struct world *w = open_world(1);
	struct phiz_train_options o = {.resume = true};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	refuse(w, distill, "train.teacher=none", "distilling needs a teacher");
	refuse(w, distill, "loss.embedding=16", "the teacher's embeddings have 12 numbers: set loss.embedding = 12");
	refuse(w, triplet, "data.photos_per_person=0", "go together");
	refuse(w, triplet, "train.batch=5", "train.batch: want data.people_per_batch times");
	refuse(w, arcface, "loss.margin=1.75", "loss.margin: want at most 1.5");
	refuse(w, distill, "loss.center=1", "loss.center goes with");
	refuse(w, arcface, "augment.mixup=0.2", "augment.mixup");
	refuse(w, NULL, "loss.distill=1", "loss.distill is for embedders");

	/* Another teacher in the middle of a run. */
	new_run(w, run);
	make_recipe(w, &r, distill);
	o.stop_after_steps = 2;
	assert_fails(w->ctx, PHIZ_E_CANCELLED, train(w, &r, run, &o, &result));
	phiz_train_result_free(w->ctx, &result);
	struct phiz_model *m;
	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, phiz_net_builtin("tiny"), "tiny", 12, 32, 78, &m));
	assert_ok(w->ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	assert_ok(w->ctx, phiz_model_write(m, w->teacher));
	phiz_model_free(&m);
	assert_fails(w->ctx, PHIZ_E_ARG, train(w, &r, run, &o, &result));
	assert_message(w->ctx, "is not the teacher that the run began with");
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_margin_grows),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_bytes_train_as_floats),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_teacher_is_kept),
		cmocka_unit_test(test_unlabelled),
		cmocka_unit_test(test_refuses),
	};

	(void)test_backend(); /* before there is anything to leave behind */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
