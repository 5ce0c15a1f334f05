/* Ten steps of SGD and of Adam across a StepLR drop, the whole of it in phiz: network from text, trainnet, optimiser,
 * schedule. PyTorch in float64 is the reference (make_curve.py). */
#include "support/support.h"

#include <stdio.h>

#include <phiz/model.h>

#include "core/io/tensors.h"
#include "support/device.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/trainnet.h"

enum { BATCH = 8, SIZE = 24, STEPS = 10 };

static const char net_text[] =
	"[net]\nsize = 24\nclasses = 5\n"
	"[conv]\nname = conv1\nfilters = 8\nkernel = 3\nstride = 2\npad = 1\n[batch_norm]\nname = bn1\n[relu]\n"
	"[basic_block]\nname = layer1.0\nfilters = 8\n[basic_block]\nname = layer1.1\nfilters = 16\nstride = 2\n"
	"[global_avg_pool]\n[flatten]\n[linear]\nname = fc\noutputs = classes\n";

struct fixture {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	struct phiz_model *model;
	struct phiz_trainnet *net;
	struct phiz_optimizer *optimizer;
	struct phiz_schedule schedule;
};

static struct phiz_tensor *golden(struct fixture *f, const char *name)
{
	struct phiz_tensor *t = phiz_tensors_find(&f->golden, name);
	if (!t)
		fail_msg("no golden tensor %s", name);
	return t;
}

static void set(struct phiz_recipe *recipe, const char *assignment)
{
	assert_ok(recipe->ctx, phiz_recipe_set(recipe, assignment));
}

static void setup(struct fixture *f, enum phiz_optimizer_kind kind, int threads)
{
	struct phiz_trainnet_options o = {.batch = BATCH, .size = SIZE, .backend = test_backend()};
	struct phiz_optimizer_options settings = {.kind = kind, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
	struct phiz_recipe recipe;
	char path[1024], name[128];

	memset(f, 0, sizeof *f);
	f->ctx = test_ctx(threads);
	assert_ok(f->ctx, phiz_safetensors_read(f->ctx, test_golden("curve.safetensors", path), &f->golden));
	assert_ok(f->ctx, phiz_model_from_cfg(f->ctx, net_text, "net", 0, 0, 1, &f->model));
	for (size_t i = 0; i < f->model->n_entries; i++) {
		snprintf(name, sizeof name, "init.%s", f->model->entry[i].name);
		assert_ok(f->ctx, phiz_tensor_convert(f->ctx, golden(f, name), f->model->entry[i].tensor));
	}
	assert_ok(f->ctx, phiz_trainnet_create(f->model, &o, &f->net));
	assert_ok(f->ctx, phiz_optimizer_create(f->ctx, &settings, &f->optimizer));
	assert_ok(f->ctx, phiz_optimizer_place(f->optimizer, test_backend()));
	for (size_t i = 0; i < f->model->n_entries; i++) {
		struct phiz_entry *e = &f->model->entry[i];
		if (!e->trainable)
			continue;
		assert_ok(f->ctx, phiz_optimizer_add(f->optimizer, e->name, e->tensor, 1, 1e-4));
		f->optimizer->param[f->optimizer->count - 1].gradient = phiz_trainnet_gradient(f->net, e->name);
		f->optimizer->param[f->optimizer->count - 1].at = phiz_trainnet_parameter(f->net, e->name)->data;
	}
	assert_ok(f->ctx, phiz_recipe_init(f->ctx, &recipe));
	set(&recipe, "schedule.name=step");
	set(&recipe, "schedule.step_epochs=4");
	set(&recipe, "schedule.gamma=0.1");
	assert_ok(f->ctx, phiz_schedule_init(&recipe, 1, &f->schedule)); /* a step is an epoch */
	phiz_recipe_free(&recipe);
}

static void teardown(struct fixture *f)
{
	phiz_optimizer_free(&f->optimizer);
	phiz_trainnet_free(&f->net);
	phiz_model_free(&f->model);
	phiz_tensors_free(f->ctx, &f->golden);
	test_ctx_done(&f->ctx);
}

static void step(struct fixture *f, int n, double lr, double *loss)
{
	float *features[PHIZ_MAX_FEATURES];
	const float *logits, *images = golden(f, "images")->data;
	const int32_t *labels = golden(f, "labels")->data;
	size_t pixels = (size_t)BATCH * 3 * SIZE * SIZE;
	double norm;

	assert_ok(f->ctx, phiz_trainnet_begin(f->net, false, BATCH, features));
	assert_ok(f->ctx, phiz_trainnet_features(f->net, images + (size_t)(n % 2) * pixels, BATCH, features));
	assert_ok(f->ctx,
	          phiz_trainnet_forward(f->net, BATCH, labels + n % 2 * BATCH, NULL, 0, (uint64_t)n, loss, &logits));
	assert_ok(f->ctx, phiz_trainnet_backward(f->net, false, 1));
	for (size_t i = 0; i < f->optimizer->count; i++)
		f->optimizer->param[i].lr = phiz_schedule_lr(&f->schedule, NULL, lr, n, 0);
	assert_ok(f->ctx, phiz_optimizer_update(f->optimizer, 1, 0));
	assert_ok(f->ctx, phiz_optimizer_wait(f->optimizer, &norm));
}

static void check(enum phiz_optimizer_kind kind, double lr, const char *loss_name, const char *var_name, int threads)
{
	struct fixture f;
	double got[STEPS], var[8];

	setup(&f, kind, threads);
	for (int n = 0; n < STEPS; n++)
		step(&f, n, lr, &got[n]);
	test_close_f64(loss_name, got, golden(&f, loss_name)->data, STEPS, 0, 1e-5);
	assert_ok(f.ctx, phiz_trainnet_pull(f.net));
	const float *running = phiz_model_find(f.model, "bn1.running_var")->tensor->data;
	for (int c = 0; c < 8; c++)
		var[c] = (double)running[c];
	test_close_f64(var_name, var, golden(&f, var_name)->data, 8, 0, 1e-5);
	teardown(&f);
}

static void sgd(void **state)
{
	(void)state;
	check(PHIZ_SGD, 0.1, "sgd.loss", "sgd.bn1.running_var", 1);
	check(PHIZ_SGD, 0.1, "sgd.loss", "sgd.bn1.running_var", 2);
}

static void adam(void **state)
{
	(void)state;
	check(PHIZ_ADAM, 0.01, "adam.loss", "adam.bn1.running_var", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sgd), cmocka_unit_test(adam)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
