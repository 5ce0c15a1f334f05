/* Whole trainings against PyTorch (trainer.safetensors, made by make_trainer.py): the loss of each step, the validation
 * after it, the weights and statistics in the end. Through phiz_train, from files of photos to the checkpoint. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/io/tensors.h"
#include "support/device.h"
#include "train/trainer.h"

#define PHOTOS 12
#define SIDE 32
#define EPOCHS 16

struct world {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	char folder[256];
	struct phiz_dataset *dataset;
	int runs;
};

static const struct phiz_tensor *golden(struct world *w, const char *a, const char *b)
{
	const struct phiz_tensor *t;
	char name[128];

	snprintf(name, sizeof name, "%s%s", a, b);
	t = phiz_tensors_find(&w->golden, name);
	if (!t)
		fail_msg("%s is not in trainer.safetensors", name);
	return t;
}

static void write_photos(struct world *w, const char *side)
{
	const uint8_t *photo = golden(w, "photo", "")->data;
	const int32_t *label = golden(w, "label", "")->data;
	char path[600];
	int i;

	for (i = 0; i < PHOTOS; i++) {
		struct phiz_image image;

		snprintf(path, sizeof path, "%s/%s/person%d", w->folder, side, (int)label[i]);
		assert_ok(w->ctx, phiz_dir_make(w->ctx, path));
		snprintf(path, sizeof path, "%s/%s/person%d/%02d.ppm", w->folder, side, (int)label[i], i);
		assert_ok(w->ctx, phiz_image_create(w->ctx, SIDE, SIDE, 3, &image));
		memcpy(image.data, photo + i * SIDE * SIDE * 3, SIDE * SIDE * 3);
		assert_ok(w->ctx, phiz_image_write(w->ctx, path, &image, 90));
		phiz_image_free(w->ctx, &image);
	}
}

static struct phiz_model *first_model(struct world *w)
{
	struct phiz_bytes cfg;
	struct phiz_model *m;
	char path[1024];
	size_t i;

	phiz_bytes_init(&cfg, w->ctx);
	assert_ok(w->ctx, phiz_file_read(w->ctx, test_golden("trainer_net.cfg", path), 1 << 16, &cfg));
	assert_ok(w->ctx, phiz_model_from_cfg(w->ctx, cfg.data, "trainer_net.cfg", 3, SIDE, 0, &m));
	phiz_bytes_free(&cfg);
	assert_ok(w->ctx, phiz_model_set_labels(m, (const char *const *)w->dataset->people.name, 3));
	for (i = 0; i < m->n_entries; i++) {
		const struct phiz_tensor *from = golden(w, "init.", m->entry[i].name);

		assert_true(phiz_shape_equal(&from->shape, &m->entry[i].tensor->shape));
		memcpy(m->entry[i].tensor->data, from->data, phiz_tensor_bytes(from));
	}
	return m;
}

struct curve {
	double loss[EPOCHS], val[EPOCHS];
	int count;
};

static void note_epoch(void *user, const struct phiz_epoch_record *r, bool best)
{
	struct curve *c = user;

	(void)best;
	assert_true(c->count < EPOCHS);
	c->loss[c->count] = r->train_loss;
	c->val[c->count++] = r->val_loss;
}

#define TOLERANCE 1e-5 /* of losses */

/* weights: their tolerance. Adam divides by a gradient's own size, so a gradient that is nothing but rounding moves its
 * weight all the same. */
static void check(struct world *w, const char *name, const char *const *settings, double weights)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct curve curve = {.count = 0};
	struct phiz_recipe r;
	char run[400], part[64];
	size_t i;

	assert_ok(w->ctx, phiz_recipe_init(w->ctx, &r));
	for (i = 0; settings[i]; i++)
		assert_ok(w->ctx, phiz_recipe_set(&r, settings[i]));
	snprintf(run, sizeof run, "%s/run%d", w->folder, w->runs++);
	o.recipe = &r;
	o.dataset = w->dataset;
	o.model = first_model(w);
	o.run_dir = run;
	o.backend = test_backend();
	o.callbacks.user = &curve;
	o.callbacks.epoch = note_epoch;
	assert_ok(w->ctx, phiz_train(w->ctx, &o, &result));
	assert_int_equal(curve.count, EPOCHS);
	snprintf(part, sizeof part, "%s loss", name);
	test_close_f64(part, curve.loss, golden(w, name, ".loss")->data, EPOCHS, TOLERANCE, TOLERANCE);
	snprintf(part, sizeof part, "%s validation", name);
	test_close_f64(part, curve.val, golden(w, name, ".val")->data, EPOCHS, TOLERANCE, TOLERANCE);
	for (i = 0; i < o.model->n_entries; i++) {
		const struct phiz_tensor *t = o.model->entry[i].tensor;

		snprintf(part, sizeof part, "%s.end.", name);
		test_close_f32(o.model->entry[i].name, t->data, golden(w, part, o.model->entry[i].name)->data,
		               (size_t)phiz_tensor_count(t), weights, weights);
	}
	phiz_train_result_free(w->ctx, &result);
	phiz_model_free(&o.model);
	phiz_recipe_free(&r);
}

#define COMMON                                                                                                         \
	"data.size=32", "train.epochs=16", "train.batch=12", "train.val_batch=5", "augment.crop=no", "augment.flip=0",     \
	    "schedule.step_epochs=7", "schedule.gamma=0.1", "output.tensorboard=no"

static void test_curves(void **state)
{
	static const char *const sgd[] = {COMMON, "optimizer.name=sgd", "optimizer.lr=0.05", "schedule.name=step",
	                                  "optimizer.weight_decay=0.0001", NULL};
	static const char *const adam[] = {COMMON, "optimizer.name=adam", "optimizer.lr=0.01", "schedule.name=step",
	                                   "optimizer.weight_decay=0.0001", NULL};
	static const char *const classic[] = {COMMON,
	                                      "optimizer.name=adam",
	                                      "optimizer.lr=0.01",
	                                      "schedule.name=step",
	                                      "optimizer.weight_decay=0.0001",
	                                      "train.freeze=all",
	                                      "freeze.bn=train",
	                                      NULL};
	static const char *const faces[] = {COMMON,
	                                    "optimizer.name=adamw",
	                                    "optimizer.lr=0.02",
	                                    "schedule.name=cosine",
	                                    "optimizer.weight_decay=0.01",
	                                    "train.freeze=conv1, bn1",
	                                    "freeze.bn=frozen",
	                                    "optimizer.groups=layer1:0.1",
	                                    "train.label_smoothing=0.1",
	                                    "train.class_weights=balanced",
	                                    "train.clip_norm=0.3",
	                                    "train.ema=0.9",
	                                    NULL};

	check(*state, "sgd", sgd, 1e-5);
	check(*state, "adam", adam, 1e-3);
	check(*state, "classic", classic, 1e-4);
	check(*state, "faces", faces, 1e-3);
}

static int set_up(void **state)
{
	static struct world w;
	char path[1024];

	w.ctx = test_ctx(2);
	test_folder(w.folder);
	assert_ok(w.ctx, phiz_safetensors_read(w.ctx, test_golden("trainer.safetensors", path), &w.golden));
	write_photos(&w, "train");
	write_photos(&w, "val");
	snprintf(path, sizeof path, "%s/train", w.folder);
	assert_ok(w.ctx, phiz_dataset_scan(w.ctx, path, NULL, &w.dataset));
	snprintf(path, sizeof path, "%s/val", w.folder);
	assert_ok(w.ctx, phiz_dataset_add_dir(w.ctx, w.dataset, path, PHIZ_PART_VAL));
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	phiz_tensors_free(w->ctx, &w->golden);
	phiz_dataset_free(w->ctx, &w->dataset);
	test_folder_done(w->folder);
	test_ctx_done(&w->ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_curves)};

	(void)test_backend(); /* before there is anything to leave behind */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
