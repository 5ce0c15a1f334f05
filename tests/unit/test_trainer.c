/* label: full
 * Training a small network on made-up pictures: breaking off and going on, keeping features, rolling back, complaining.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/io/json.h"
#include "support/device.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#define PEOPLE 3
#define PHOTOS 9 /* of each; the last three are for validation */
#define SIDE 40

struct world {
	struct phiz_ctx *ctx;
	char folder[256], data[300];
	struct phiz_dataset *dataset;
	int runs;
};

/* A person is a colour and a stripe; a photo shifts and dirties them. */
static void draw_photo(struct phiz_ctx *ctx, const char *path, int person, int photo)
{
	struct phiz_image image;
	struct phiz_rng rng;
	int x, y, c;

	assert_ok(ctx, phiz_image_create(ctx, SIDE, SIDE, 3, &image));
	phiz_rng_init(&rng, 5, (uint32_t)person, (uint64_t)photo, PHIZ_STREAM_TEST);
	for (y = 0; y < SIDE; y++)
		for (x = 0; x < SIDE; x++)
			for (c = 0; c < 3; c++) {
				int base = c == person ? 150 : 90, stripe = (x * person + y + photo) / 5 % 2 ? 30 : 0;

				image.data[(y * SIDE + x) * 3 + c] = (uint8_t)(base + stripe + (int)phiz_rng_below(&rng, 60));
			}
	assert_ok(ctx, phiz_image_write(ctx, path, &image, 90));
	phiz_image_free(ctx, &image);
}

static void make_data(struct world *w)
{
	char path[600];
	int p, i;
	size_t k;

	for (p = 0; p < PEOPLE; p++)
		for (i = 0; i < PHOTOS; i++) {
			snprintf(path, sizeof path, "%s/person%d", w->data, p);
			assert_ok(w->ctx, phiz_dir_make(w->ctx, path));
			snprintf(path, sizeof path, "%s/person%d/%02d.ppm", w->data, p, i);
			draw_photo(w->ctx, path, p, i);
		}
	assert_ok(w->ctx, phiz_dataset_scan(w->ctx, w->data, NULL, &w->dataset));
	for (k = 0; k < w->dataset->count; k++)
		if (k % PHOTOS >= PHOTOS - 3)
			w->dataset->sample[k].part = PHIZ_PART_VAL;
}

static struct world *open_world(int threads)
{
	struct world *w = calloc(1, sizeof *w);

	w->ctx = test_ctx(threads);
	test_folder(w->folder);
	snprintf(w->data, sizeof w->data, "%s/data", w->folder);
	make_data(w);
	return w;
}

static void close_world(struct world *w)
{
	phiz_dataset_free(w->ctx, &w->dataset);
	test_folder_done(w->folder);
	test_ctx_done(&w->ctx);
	free(w);
}

static void make_recipe(struct world *w, struct phiz_recipe *r, const char *const *settings)
{
	static const char *const base[] = {
		"model.net=tiny", "data.size=32", "train.epochs=3", "train.batch=4", "train.val_batch=4", "train.seed=3",
		"output.checkpoint_seconds=0", "optimizer.lr=0.01", "augment.crop_scale=0.6 1", "augment.brightness=0.2", NULL};
	int i;

	assert_ok(w->ctx, phiz_recipe_init(w->ctx, r));
	for (i = 0; base[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(r, base[i]));
	for (i = 0; settings && settings[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(r, settings[i]));
}

static void new_run(struct world *w, char run[400])
{
	snprintf(run, 400, "%s/run%d", w->folder, w->runs++);
}

static enum phiz_status train(struct world *w, const struct phiz_recipe *r, const char *run,
                              struct phiz_train_options *o, struct phiz_train_result *result)
{
	o->recipe = r;
	o->dataset = w->dataset;
	o->run_dir = run;
	o->backend = test_backend();
	return phiz_train(w->ctx, o, result);
}

/* The hash of a run that is left alone. */
static void reference(struct world *w, const char *const *settings, struct phiz_train_options o, char hash[65],
                      int64_t *steps)
{
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	new_run(w, run);
	make_recipe(w, &r, settings);
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	memcpy(hash, result.weights_sha256, 65);
	*steps = result.steps;
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
}

static size_t count_lines(struct world *w, const char *run, const char *name, const char *with)
{
	struct phiz_bytes text;
	char path[500];
	const char *p;
	size_t n = 0;

	snprintf(path, sizeof path, "%s/%s", run, name);
	phiz_bytes_init(&text, w->ctx);
	assert_ok(w->ctx, phiz_file_read(w->ctx, path, 1 << 24, &text));
	for (p = text.data; (p = strstr(p, with)) != NULL; p++)
		n++;
	phiz_bytes_free(&text);
	return n;
}

/* --- What a run is. --- */

static bool has_file(const char *run, const char *name)
{
	char path[500];

	snprintf(path, sizeof path, "%s/%s", run, name);
	return phiz_path_is_file(path);
}

static void test_learns(void **state)
{
	static const char *const settings[] = {"train.epochs=12", "output.keep=2", "augment.crop=no", "schedule.per=step",
	                                       NULL};
	struct world *w = open_world(2);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_checkpoint checkpoint;
	struct phiz_recipe r;
	char run[400], hash[65], path[500];

	(void)state;
	new_run(w, run);
	make_recipe(w, &r, settings);
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	print_message("train loss %.4f, val top-1 %.3f, best %.3f at %lld\n", result.train_loss, result.val_top1,
	              result.best_val_top1, (long long)result.best_epoch);
	assert_true(result.train_loss < 0.35 && result.best_val_top1 > 0.85);
	assert_int_equal(result.epochs, 12);
	assert_int_equal(result.steps, 12 * 5);
	assert_true(result.images_per_s > 0 && result.seconds > 0);
	assert_true(has_file(run, "last.phiz") && has_file(run, "best.phiz") && has_file(run, "epoch-0012.phiz") &&
	            has_file(run, "epoch-0011.phiz") && !has_file(run, "epoch-0010.phiz"));
	assert_true(has_file(run, "log.jsonl") && has_file(run, "metrics.csv") && has_file(run, "curves.svg") &&
	            has_file(run, "recipe.cfg") && has_file(run, "events.out.tfevents.phiz"));
	assert_int_equal(count_lines(w, run, "metrics.csv", "\n"), 13);
	assert_int_equal(count_lines(w, run, "log.jsonl", "\"event\":\"epoch\""), 12);
	assert_ok(w->ctx, phiz_checkpoint_read(w->ctx, result.checkpoint, &checkpoint));
	phiz_model_hash(checkpoint.model, hash);
	assert_string_equal(hash, result.weights_sha256);
	assert_int_equal(checkpoint.model->n_labels, PEOPLE);
	assert_string_equal(checkpoint.model->label[1], "person1");
	assert_int_equal(checkpoint.model->preproc.size, 32);
	assert_true(checkpoint.state.finished);
	phiz_checkpoint_free(w->ctx, &checkpoint);
	phiz_train_result_free(w->ctx, &result);

	/* A folder with a run in it is not overwritten; a finished run that is resumed has nothing to do. */
	assert_fails(w->ctx, PHIZ_E_ARG, train(w, &r, run, &o, &result));
	assert_message(w->ctx, "holds a run already");
	phiz_train_result_free(w->ctx, &result);
	o.resume = true;
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_string_equal(hash, result.weights_sha256);
	phiz_train_result_free(w->ctx, &result);
	assert_int_equal(count_lines(w, run, "log.jsonl", "\"event\":\"epoch\""), 12);
	/* With more epochs it goes on. */
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.epochs=13"));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_int_equal(result.epochs, 13);
	snprintf(path, sizeof path, "%s", result.best_checkpoint);
	assert_true(phiz_path_is_file(path));
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- Breaking off and going on. --- */

/* Stops without a word after `stop` steps, with a checkpoint after each (or only at epochs' ends), and goes on. */
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
	assert_int_equal(count_lines(w, run, "metrics.csv", "\n"), 1 + r.train.epochs);
	assert_int_equal(count_lines(w, run, "log.jsonl", "\"event\":\"epoch\""), r.train.epochs);
	phiz_recipe_free(&r);
}

static const char *const plain[] = {NULL};
static const char *const everything[] = {
	"train.ema=0.9", "augment.mixup=0.4", "train.accumulate=2", "train.label_smoothing=0.1",
	"train.class_weights=balanced", "train.clip_norm=1", "train.freeze=conv1, bn1, layer1, layer2",
	"freeze.unfreeze=layer2:1", "optimizer.groups=layer2:0.1", "schedule.warmup_epochs=1", "schedule.per=step",
	"data.balance=yes", NULL};
static const char *const sgd[] = {"optimizer.name=sgd", "optimizer.nesterov=yes", "schedule.name=plateau",
                                  "schedule.plateau_patience=0", "freeze.bn=train", "train.freeze=all", NULL};
static const char *const kept[] = {"train.freeze=all", "data.views=2", "train.epochs=5", NULL};

static void check_resume(int threads, const char *const *settings)
{
	struct world *w = open_world(threads);
	struct phiz_train_options o = {0};
	char hash[65];
	int64_t steps, k;

	reference(w, settings, o, hash, &steps);
	assert_true(steps >= 6);
	for (k = 2; k <= 5; k += 3)
		stop_and_go(w, settings, k, true, hash);
	for (k = 2; k < steps; k += 4)
		stop_and_go(w, settings, k, false, hash);
	close_world(w);
}

static void test_resume_plain(void **state)
{
	(void)state;
	check_resume(1, plain);
	check_resume(2, plain);
}

static void test_resume_everything(void **state)
{
	(void)state;
	check_resume(1, everything);
	check_resume(2, everything);
}

static void test_resume_sgd(void **state)
{
	(void)state;
	check_resume(2, sgd);
}

static void test_resume_kept_features(void **state)
{
	(void)state;
	check_resume(1, kept);
	check_resume(2, kept);
}

struct canceller {
	volatile sig_atomic_t flag;
	int64_t at;
};

static void cancel_at(void *user, const struct phiz_train_progress *p)
{
	struct canceller *c = user;

	c->flag = p->phase == PHIZ_PHASE_TRAIN && p->step == c->at;
}

static void test_cancel(void **state)
{
	struct world *w = open_world(2);
	struct phiz_train_options o = {0}, alone = {0};
	struct phiz_train_result result;
	struct canceller c = {0, 7};
	struct phiz_recipe r;
	char run[400], hash[65];
	int64_t steps;

	(void)state;
	reference(w, plain, alone, hash, &steps);
	new_run(w, run);
	make_recipe(w, &r, plain);
	o.cancel = &c.flag;
	o.callbacks.user = &c;
	o.callbacks.progress = cancel_at;
	assert_fails(w->ctx, PHIZ_E_CANCELLED, train(w, &r, run, &o, &result));
	assert_message(w->ctx, "epoch 2 after 2 of 5 batches");
	assert_int_equal(result.steps, 7);
	phiz_train_result_free(w->ctx, &result);
	c.at = 10; /* the last of an epoch */
	o.resume = true;
	assert_fails(w->ctx, PHIZ_E_CANCELLED, train(w, &r, run, &o, &result));
	phiz_train_result_free(w->ctx, &result);
	c.at = -1;
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_string_equal(result.weights_sha256, hash);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- Kept features change nothing. --- */

static void check_same(struct world *w, const char *const *settings, const char *note)
{
	struct phiz_train_options o = {0};
	char with[65], without[65];
	int64_t steps;

	reference(w, settings, o, with, &steps);
	o.no_feature_cache = true;
	reference(w, settings, o, without, &steps);
	print_message("%s\n", note);
	assert_string_equal(with, without);
}

static void test_kept_features(void **state)
{
	static const char *const as_they_are[] = {"train.freeze=all", "augment.crop=no", "augment.flip=0",
	                                          "augment.brightness=0", NULL};
	static const char *const partly[] = {"train.freeze=all", "data.views=3", "train.epochs=7",
	                                     "train.feature_cache_mib=0", NULL};
	static const char *const block[] = {"train.freeze=conv1, bn1, layer1", "data.views=2", "train.epochs=5", NULL};
	/* residual and shortcut cross the cut */
	static const char *const inside[] = {"train.freeze=all, !layer2.0.conv2", "data.views=1", NULL};
	struct world *w = open_world(2);

	(void)state;
	check_same(w, as_they_are, "without augmentation");
	check_same(w, kept, "two views");
	check_same(w, partly, "no room");
	check_same(w, block, "cut between blocks");
	check_same(w, inside, "cut inside a block");
	close_world(w);
}

/* The frozen part as an inference plan gives what the training plan of the whole gives, but for rounding. */
static void test_trunk_is_the_same_network(void **state)
{
	static const char *const settings[] = {"train.freeze=all, !layer3", "freeze.bn=frozen", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result cut, whole;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	make_recipe(w, &r, settings);
	new_run(w, run);
	assert_ok(w->ctx, train(w, &r, run, &o, &cut));
	assert_non_null(strstr(cut.trunk, "frozen trunk: "));
	o.no_trunk = true;
	new_run(w, run);
	assert_ok(w->ctx, train(w, &r, run, &o, &whole));
	assert_null(whole.trunk);
	print_message("loss %.8f cut, %.8f whole\n", cut.train_loss, whole.train_loss);
	/* A trunk of its own runs as inference does, where convolutions may take another algorithm. */
	assert_true(fabs(cut.train_loss - whole.train_loss) < 1e-3);
	assert_true(fabs(cut.val_loss - whole.val_loss) < 1e-3);
	phiz_train_result_free(w->ctx, &cut);
	phiz_train_result_free(w->ctx, &whole);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- Freezing. --- */

static void test_frozen_is_frozen(void **state)
{
	static const char *const settings[] = {"train.freeze=conv1, bn1, layer1", "freeze.bn=auto", "train.epochs=1",
	                                       "optimizer.weight_decay=0.1", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_model *model, *before;
	struct phiz_recipe r;
	char run[400];
	size_t i;

	(void)state;
	make_recipe(w, &r, settings);
	new_run(w, run);
	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, phiz_net_builtin("tiny"), "tiny", PEOPLE, 32, 1, &model));
	assert_ok(w->ctx, phiz_model_set_labels(model, (const char *const *)w->dataset->people.name, PEOPLE));
	assert_ok(w->ctx, phiz_model_clone(model, &before));
	o.model = model;
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	for (i = 0; i < model->n_entries; i++) {
		const char *name = model->entry[i].name;
		const struct phiz_tensor *was = phiz_model_find(before, name)->tensor, *is = model->entry[i].tensor;
		bool frozen = !strncmp(name, "conv1", 5) || !strncmp(name, "bn1", 3) || !strncmp(name, "layer1", 6);
		bool same = memcmp(was->data, is->data, phiz_tensor_bytes(is)) == 0;

		if (strstr(name, "num_batches_tracked"))
			continue;
		if (same != frozen)
			fail_msg("%s %s", name, same ? "did not move" : "moved");
	}
	phiz_train_result_free(w->ctx, &result);
	phiz_model_free(&model);
	phiz_model_free(&before);
	phiz_recipe_free(&r);
	close_world(w);
}

/* Layers that are given a rate of 0 stay, those that join in later stay until then. */
static void check_moved(struct world *w, const char *const *settings, const char *layer, bool want)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_model *before;
	struct phiz_recipe r;
	char run[400], name[64];
	const struct phiz_tensor *was, *is;

	make_recipe(w, &r, settings);
	new_run(w, run);
	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, phiz_net_builtin("tiny"), "tiny", PEOPLE, 32, 1, &o.model));
	assert_ok(w->ctx, phiz_model_set_labels(o.model, (const char *const *)w->dataset->people.name, PEOPLE));
	assert_ok(w->ctx, phiz_model_clone(o.model, &before));
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	snprintf(name, sizeof name, "%s.weight", layer);
	was = phiz_model_find(before, name)->tensor;
	is = phiz_model_find(o.model, name)->tensor;
	if ((memcmp(was->data, is->data, phiz_tensor_bytes(is)) != 0) != want)
		fail_msg("%s %s", name, want ? "did not move" : "moved");
	phiz_train_result_free(w->ctx, &result);
	phiz_model_free(&o.model);
	phiz_model_free(&before);
	phiz_recipe_free(&r);
}

static void test_groups_and_unfreezing(void **state)
{
	static const char *const rest[] = {"train.epochs=1", "optimizer.groups=layer3:0, layer3.0.conv2:1", NULL};
	static const char *const one[] = {"train.epochs=1", "train.freeze=all", "freeze.unfreeze=layer3:1, layer2:2", NULL};
	static const char *const two[] = {"train.epochs=2", "train.freeze=all", "freeze.unfreeze=layer3:1, layer2:2", NULL};
	struct world *w = open_world(1);

	(void)state;
	check_moved(w, rest, "layer3.0.conv1", false);
	check_moved(w, rest, "layer3.0.conv2", true);
	check_moved(w, rest, "layer2.0.conv1", true);
	check_moved(w, one, "layer3.0.conv1", false);
	check_moved(w, one, "fc", true);
	check_moved(w, two, "layer3.0.conv1", true);
	check_moved(w, two, "layer2.0.conv1", false);
	close_world(w);
}

static void test_early_stopping(void **state)
{
	static const char *const settings[] = {"train.epochs=50", "train.patience=2", "optimizer.lr=0", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	make_recipe(w, &r, settings);
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.freeze=all"));
	new_run(w, run);
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_int_equal(result.epochs, 3);
	assert_int_equal(result.best_epoch, 1);
	assert_true(result.stopped_early);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- What is not finite. --- */

static void test_not_finite_stops(void **state)
{
	static const char *const settings[] = {"train.on_nan=stop", "train.freeze=all", "optimizer.name=sgd",
	                                       "optimizer.momentum=0", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_checkpoint checkpoint;
	struct phiz_recipe r;
	char run[400], path[500];
	size_t i;

	(void)state;
	make_recipe(w, &r, settings);
	r.optimizer.lr = 1e38;
	new_run(w, run);
	assert_fails(w->ctx, PHIZ_E_NUMERIC, train(w, &r, run, &o, &result));
	print_message("%s\n", phiz_ctx_message(w->ctx));
	assert_message(w->ctx, "epoch 1, batch ");
	assert_message(w->ctx, ".ppm");
	assert_message(w->ctx, "last.phiz holds the last good state");
	snprintf(path, sizeof path, "%s/last.phiz", run);
	assert_ok(w->ctx, phiz_checkpoint_read(w->ctx, path, &checkpoint));
	for (i = 0; i < checkpoint.model->n_entries; i++)
		if (checkpoint.model->entry[i].tensor->dtype == PHIZ_F32)
			assert_true(isfinite(((float *)checkpoint.model->entry[i].tensor->data)[0]) != 0);
	phiz_checkpoint_free(w->ctx, &checkpoint);
	phiz_train_result_free(w->ctx, &result);
	assert_int_equal(count_lines(w, run, "log.jsonl", "\"event\":\"not_finite\""), 1);
	assert_int_equal(count_lines(w, run, "log.jsonl", ".ppm"), 4);
	phiz_recipe_free(&r);
	close_world(w);
}

static void test_not_finite_lowers(void **state)
{
	static const char *const settings[] = {"train.on_nan=lower", "train.nan_limit=40", "train.freeze=all",
	                                       "optimizer.name=sgd", "optimizer.momentum=0",
	                                       "optimizer.weight_decay=0", NULL};
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_checkpoint checkpoint;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	make_recipe(w, &r, settings);
	r.optimizer.lr = 1e38;
	new_run(w, run);
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_ok(w->ctx, phiz_checkpoint_read(w->ctx, result.checkpoint, &checkpoint));
	print_message("rolled back %lld times\n", (long long)checkpoint.state.nan_events);
	assert_true(checkpoint.state.nan_events >= 1 &&
	            checkpoint.state.lr_scale == ldexp(1, -(int)checkpoint.state.nan_events));
	assert_int_equal(count_lines(w, run, "log.jsonl", "\"event\":\"epoch\""), 3);
	phiz_checkpoint_free(w->ctx, &checkpoint);
	phiz_train_result_free(w->ctx, &result);
	/* and gives up in the end */
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.nan_limit=1"));
	r.optimizer.lr = 3e38;
	new_run(w, run);
	assert_fails(w->ctx, PHIZ_E_NUMERIC, train(w, &r, run, &o, &result));
	assert_message(w->ctx, "stopped after rolling back 1 time(s)");
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- Checkpoints that cannot be gone on from. --- */

static void damage(struct world *w, const char *run, size_t keep, size_t flip)
{
	struct phiz_bytes bytes;
	char path[500];

	snprintf(path, sizeof path, "%s/last.phiz", run);
	phiz_bytes_init(&bytes, w->ctx);
	assert_ok(w->ctx, phiz_file_read(w->ctx, path, 1 << 26, &bytes));
	if (flip)
		bytes.data[bytes.size - flip] ^= 0x40;
	assert_ok(w->ctx, phiz_file_write(w->ctx, path, bytes.data, keep && keep < bytes.size ? keep : bytes.size));
	phiz_bytes_free(&bytes);
}

static void refuse(struct world *w, const struct phiz_recipe *r, const char *run, enum phiz_status want,
                   const char *text)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;

	o.resume = true;
	assert_fails(w->ctx, want, train(w, r, run, &o, &result));
	print_message("%s\n", phiz_ctx_message(w->ctx));
	assert_message(w->ctx, text);
	phiz_train_result_free(w->ctx, &result);
}

static void start_run(struct world *w, const struct phiz_recipe *r, char run[400])
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;

	new_run(w, run);
	o.stop_after_steps = 6;
	assert_fails(w->ctx, PHIZ_E_CANCELLED, train(w, r, run, &o, &result));
	phiz_train_result_free(w->ctx, &result);
}

static void test_damaged(void **state)
{
	struct world *w = open_world(1);
	struct phiz_model *model;
	struct phiz_recipe r;
	char run[400], path[500];

	(void)state;
	make_recipe(w, &r, plain);
	start_run(w, &r, run);
	damage(w, run, 0, 100);
	refuse(w, &r, run, PHIZ_E_FORMAT, "copy epoch-0001.phiz over last.phiz");
	start_run(w, &r, run);
	damage(w, run, 100000, 0);
	refuse(w, &r, run, PHIZ_E_FORMAT, "last.phiz");
	damage(w, run, 1, 0);
	refuse(w, &r, run, PHIZ_E_FORMAT, "last.phiz");
	snprintf(path, sizeof path, "%s/last.phiz", run);
	assert_ok(w->ctx, phiz_file_write(w->ctx, path, "hello", 5));
	refuse(w, &r, run, PHIZ_E_FORMAT, "last.phiz");
	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, phiz_net_builtin("tiny"), "tiny", PEOPLE, 32, 1, &model));
	assert_ok(w->ctx, phiz_model_write(model, path));
	phiz_model_free(&model);
	refuse(w, &r, run, PHIZ_E_FORMAT, "no checkpoint of a training");
	phiz_recipe_free(&r);
	close_world(w);
}

static void test_other_settings(void **state)
{
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe r;
	char run[400];

	(void)state;
	make_recipe(w, &r, plain);
	start_run(w, &r, run);
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.batch=5"));
	refuse(w, &r, run, PHIZ_E_ARG, "cannot be resumed with another train.batch: 5, was 4");
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.batch=4"));
	assert_ok(w->ctx, phiz_recipe_set(&r, "train.epochs=2"));
	o.resume = true;
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_int_equal(result.epochs, 2);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

static void rescan(struct world *w)
{
	size_t k;

	phiz_dataset_free(w->ctx, &w->dataset);
	assert_ok(w->ctx, phiz_dataset_scan(w->ctx, w->data, NULL, &w->dataset));
	for (k = 0; k < w->dataset->count; k++)
		if (k % PHOTOS >= PHOTOS - 3)
			w->dataset->sample[k].part = PHIZ_PART_VAL;
}

static void test_other_data(void **state)
{
	struct world *w = open_world(1);
	struct phiz_recipe r;
	char run[400], from[600], to[600];

	(void)state;
	make_recipe(w, &r, plain);
	start_run(w, &r, run);
	w->dataset->sample[0].part = PHIZ_PART_VAL;
	refuse(w, &r, run, PHIZ_E_ARG, "'person0' had 6 for training and now has 5");
	w->dataset->sample[PHOTOS - 1].part = PHIZ_PART_TRAIN;
	refuse(w, &r, run, PHIZ_E_ARG, "other files or another split");
	snprintf(from, sizeof from, "%s/person2", w->data);
	snprintf(to, sizeof to, "%s/person3", w->data);
	assert_int_equal(rename(from, to), 0);
	rescan(w);
	refuse(w, &r, run, PHIZ_E_ARG, "'person2' is missing");
	phiz_recipe_free(&r);
	close_world(w);
}

/* --- A full disk. --- */

struct filler {
	int64_t at;
};

static void fill_disk(void *user, const struct phiz_train_progress *p)
{
	struct filler *f = user;
	struct rlimit limit = {20000, RLIM_INFINITY};

	if (p->phase == PHIZ_PHASE_TRAIN && p->step == f->at)
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_disk_full(void **state)
{
	struct world *w = open_world(1);
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	struct filler f = {8};
	struct phiz_recipe r;
	char run[400], hash[65];
	int64_t steps;

	(void)state;
	reference(w, plain, o, hash, &steps);
	make_recipe(w, &r, plain);
	new_run(w, run);
	o.callbacks.user = &f;
	o.callbacks.progress = fill_disk;
	signal(SIGXFSZ, SIG_IGN);
	assert_fails(w->ctx, PHIZ_E_IO, train(w, &r, run, &o, &result));
	print_message("%s\n", phiz_ctx_message(w->ctx));
	assert_message(w->ctx, "the last good one stands");
	phiz_train_result_free(w->ctx, &result);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	f.at = -1;
	o.resume = true;
	assert_ok(w->ctx, train(w, &r, run, &o, &result));
	assert_string_equal(result.weights_sha256, hash);
	phiz_train_result_free(w->ctx, &result);
	phiz_recipe_free(&r);
	close_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_resume_plain),
		cmocka_unit_test(test_resume_everything),
		cmocka_unit_test(test_resume_sgd),
		cmocka_unit_test(test_resume_kept_features),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_kept_features),
		cmocka_unit_test(test_trunk_is_the_same_network),
		cmocka_unit_test(test_frozen_is_frozen),
		cmocka_unit_test(test_groups_and_unfreezing),
		cmocka_unit_test(test_early_stopping),
		cmocka_unit_test(test_not_finite_stops),
		cmocka_unit_test(test_not_finite_lowers),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_other_settings),
		cmocka_unit_test(test_other_data),
		cmocka_unit_test(test_disk_full),
	};

	(void)test_backend(); /* before there is anything to leave behind */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
