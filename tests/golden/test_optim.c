/* The optimisers and schedules against PyTorch's (optim.safetensors, made by make_optim.py). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/io/tensors.h"
#include "support/device.h"
#include "train/optimizer.h"
#include "train/schedule.h"

#define STEPS 24
#define EPOCHS 30
#define PER 4
#define N 68
#define N_A 35
/* PyTorch's own vector code fuses multiply and add where it can; over 24 steps that is a few last bits. */
#define TOLERANCE 1e-6

struct state {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	double used;
};

static const struct phiz_tensor *golden(struct state *s, const char *kind, const char *name)
{
	char full[64];
	const struct phiz_tensor *t;

	snprintf(full, sizeof full, "%s%s", kind, name);
	t = phiz_tensors_find(&s->golden, full);
	if (!t)
		fail_msg("%s is not in optim.safetensors", full);
	return t;
}

static struct phiz_tensor *make(struct phiz_ctx *ctx, int64_t a, int64_t b)
{
	struct phiz_shape shape = b ? phiz_shape_2d(a, b) : phiz_shape_1d(a);
	struct phiz_tensor *t;

	assert_int_equal(phiz_tensor_create(ctx, PHIZ_F32, &shape, &t), PHIZ_OK);
	return t;
}

struct option_case {
	const char *name;
	struct phiz_optimizer_options options;
	double lr, decay, factor_a, decay_b, clip;
	int drop_every; /* StepLR with gamma 0.1 */
};

static const struct option_case cases[] = {
	{"sgd", {PHIZ_SGD, 0, 0, false, 0, 0, 0}, 0.05, 0, 1, -1, 0, 0},
	{"sgd_momentum", {PHIZ_SGD, 0.9, 0, false, 0, 0, 0}, 0.02, 0.01, 1, -1, 0, 0},
	{"sgd_dampening", {PHIZ_SGD, 0.8, 0.3, false, 0, 0, 0}, 0.02, 0, 1, -1, 0, 0},
	{"sgd_nesterov", {PHIZ_SGD, 0.9, 0, true, 0, 0, 0}, 0.02, 0.001, 1, -1, 0, 0},
	{"adam", {PHIZ_ADAM, 0, 0, false, 0.9, 0.999, 1e-8}, 0.01, 0, 1, -1, 0, 0},
	{"adam_decay", {PHIZ_ADAM, 0, 0, false, 0.8, 0.99, 1e-4}, 0.01, 0.1, 1, -1, 0, 0},
	{"adam_clip", {PHIZ_ADAM, 0, 0, false, 0.9, 0.999, 1e-8}, 0.01, 0, 1, -1, 2, 0},
	{"adam_step", {PHIZ_ADAM, 0, 0, false, 0.9, 0.999, 1e-8}, 0.01, 0, 1, -1, 0, 7},
	{"adamw", {PHIZ_ADAMW, 0, 0, false, 0.9, 0.999, 1e-8}, 0.01, 0.05, 1, -1, 0, 0},
	{"adamw_groups", {PHIZ_ADAMW, 0, 0, false, 0.9, 0.999, 1e-8}, 0.01, 0.2, 0.1, 0, 0, 0},
};

static void load_gradients(struct state *s, int step, struct phiz_tensor *ga, struct phiz_tensor *gb)
{
	const float *g = (const float *)golden(s, "", "grads")->data + step * N;

	memcpy(ga->data, g, (size_t)N_A * sizeof *g);
	memcpy(gb->data, g + N_A, (N - N_A) * sizeof *g);
}

/* Largest difference relative to max(1, |want|). */
static double difference(const struct phiz_tensor *a, const struct phiz_tensor *b, const float *want)
{
	double worst = 0;
	int i;

	for (i = 0; i < N; i++) {
		double got = i < N_A ? ((float *)a->data)[i] : ((float *)b->data)[i - N_A];

		worst = fmax(worst, fabs(got - (double)want[i]) / fmax(1, fabs((double)want[i])));
	}
	return worst;
}

/* Runs a case; broken off and taken up from saved slots at step `cut`. */
static void run_case(struct state *s, const struct option_case *c, int cut)
{
	struct phiz_tensor *a = make(s->ctx, 7, 5), *b = make(s->ctx, N - N_A, 0);
	struct phiz_tensor *ga = make(s->ctx, 7, 5), *gb = make(s->ctx, N - N_A, 0);
	const float *start = golden(s, "", "start")->data, *want = golden(s, "opt.", c->name)->data;
	struct phiz_optimizer *o, *next;
	struct phiz_tensor *all[4] = {a, b, ga, gb}, view[4];
	struct phiz_mirror there;
	struct phiz_extra extra;
	double worst = 0;
	int t;

	memcpy(a->data, start, N_A * sizeof *start);
	memcpy(b->data, start + N_A, (N - N_A) * sizeof *start);
	phiz_mirror_init(&there, s->ctx, test_backend());
	for (t = 0; t < 4; t++) {
		float *data;

		assert_ok(s->ctx, phiz_mirror_add(&there, all[t], &data));
		phiz_tensor_view(&view[t], PHIZ_F32, &all[t]->shape, data);
	}
	assert_int_equal(phiz_optimizer_create(s->ctx, &c->options, &o), PHIZ_OK);
	assert_int_equal(phiz_optimizer_add(o, "a", a, c->factor_a, c->decay), PHIZ_OK);
	assert_int_equal(phiz_optimizer_add(o, "b", b, 1, c->decay_b >= 0 ? c->decay_b : c->decay), PHIZ_OK);
	for (t = 0; t < STEPS; t++) {
		double lr = c->lr * (c->drop_every ? pow(0.1, t / c->drop_every) : 1), norm;
		size_t i;

		if (t == cut) {
			memset(&extra, 0, sizeof extra);
			assert_ok(s->ctx, phiz_optimizer_pull(o));
			assert_int_equal(phiz_optimizer_save(o, &extra), PHIZ_OK);
			assert_int_equal(phiz_optimizer_create(s->ctx, &c->options, &next), PHIZ_OK);
			assert_int_equal(phiz_optimizer_add(next, "a", a, c->factor_a, c->decay), PHIZ_OK);
			assert_int_equal(phiz_optimizer_add(next, "b", b, 1, c->decay_b >= 0 ? c->decay_b : c->decay),
			                 PHIZ_OK);
			assert_int_equal(phiz_optimizer_load(next, &extra), PHIZ_OK);
			phiz_extra_free(s->ctx, &extra);
			phiz_optimizer_free(&o);
			o = next;
		}
		load_gradients(s, t, ga, gb);
		assert_ok(s->ctx, phiz_mirror_push(&there));
		assert_ok(s->ctx, phiz_optimizer_pull(o)); /* and so on from what is on the host */
		assert_ok(s->ctx, phiz_optimizer_place(o, test_backend()));
		phiz_optimizer_find(o, "a")->gradient = &view[2];
		phiz_optimizer_find(o, "b")->gradient = &view[3];
		phiz_optimizer_find(o, "a")->at = view[0].data;
		phiz_optimizer_find(o, "b")->at = view[1].data;
		for (i = 0; i < o->count; i++)
			o->param[i].lr = lr * o->param[i].lr_factor;
		assert_ok(s->ctx, phiz_optimizer_update(o, 1, c->clip));
		assert_ok(s->ctx, phiz_optimizer_wait(o, &norm));
		assert_true(norm > 0);
		assert_ok(s->ctx, phiz_mirror_pull(&there));
		worst = fmax(worst, difference(a, b, want + (size_t)t * N));
	}
	print_message("%-14s %.2e of %.0e\n", c->name, worst, TOLERANCE);
	if (!(worst <= TOLERANCE))
		fail_msg("%s: off by %g", c->name, worst);
	phiz_optimizer_free(&o);
	phiz_mirror_free(&there);
	phiz_tensor_free(s->ctx, &a);
	phiz_tensor_free(s->ctx, &b);
	phiz_tensor_free(s->ctx, &ga);
	phiz_tensor_free(s->ctx, &gb);
}

static void test_optimizers(void **state)
{
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		run_case(*state, &cases[i], -1);
}

static void test_optimizers_taken_up(void **state)
{
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		run_case(*state, &cases[i], 9);
}

static void test_norm_is_not_finite(void **state)
{
	struct state *s = *state;
	struct phiz_optimizer_options options = cases[0].options;
	struct phiz_tensor *a = make(s->ctx, 40000, 0), *g = make(s->ctx, 40000, 0);
	struct phiz_optimizer *o;

	assert_int_equal(phiz_optimizer_create(s->ctx, &options, &o), PHIZ_OK);
	assert_int_equal(phiz_optimizer_add(o, "a", a, 1, 0), PHIZ_OK);
	assert_int_equal(phiz_optimizer_add(o, "a", a, 1, 0), PHIZ_E_ARG);
	o->param[0].gradient = g;
	assert_true(phiz_optimizer_norm(o) == 0);
	((float *)g->data)[39999] = 3;
	((float *)g->data)[0] = 4;
	assert_true(phiz_optimizer_norm(o) == 5);
	((float *)g->data)[20000] = (float)NAN;
	assert_true(!isfinite(phiz_optimizer_norm(o)));
	((float *)g->data)[20000] = (float)INFINITY;
	assert_true(!isfinite(phiz_optimizer_norm(o)));
	phiz_optimizer_free(&o);
	phiz_tensor_free(s->ctx, &a);
	phiz_tensor_free(s->ctx, &g);
}

static void check_rates(struct state *s, const char *name, const char *const *settings)
{
	const double *want = golden(s, "lr.", name)->data;
	struct phiz_schedule schedule;
	struct phiz_recipe recipe;
	double worst = 0;
	int i;

	assert_int_equal(phiz_recipe_init(s->ctx, &recipe), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "train.epochs=30"), PHIZ_OK);
	for (i = 0; settings[i]; i++)
		assert_int_equal(phiz_recipe_set(&recipe, settings[i]), PHIZ_OK);
	assert_int_equal(phiz_schedule_init(&recipe, PER, &schedule), PHIZ_OK);
	for (i = 0; i < EPOCHS * PER; i++) {
		double got = phiz_schedule_lr(&schedule, NULL, 0.1, i / PER, i % PER);

		worst = fmax(worst, fabs(got - want[i]) / fabs(want[i]));
	}
	print_message("%-16s %.2e of 1e-12\n", name, worst);
	if (!(worst <= 1e-12))
		fail_msg("schedule %s: off by %g", name, worst);
	phiz_recipe_free(&recipe);
}

static void test_schedules(void **state)
{
	static const char *const step[] = {"schedule.name=step", NULL};
	static const char *const multistep[] = {"schedule.name=multistep", "schedule.milestones=5, 12,20",
	                                        "schedule.gamma=0.3", NULL};
	static const char *const cosine[] = {"schedule.name=cosine", "schedule.min_lr=0.0001", NULL};
	static const char *const per_step[] = {"schedule.name=cosine", "schedule.min_lr=0.0001", "schedule.per=step", NULL};
	static const char *const warm[] = {"schedule.name=constant", "schedule.warmup_steps=10", NULL};
	static const char *const warm_epochs[] = {"schedule.name=constant", "schedule.warmup_epochs=2.5", NULL};
	static const char *const step_warm[] = {"schedule.name=step", "schedule.step_epochs=3", "schedule.gamma=0.5",
	                                        "schedule.warmup_steps=10", NULL};
	static const char *const cosine_warm[] = {"schedule.name=cosine", "schedule.per=step", "schedule.warmup_steps=10",
	                                          NULL};

	check_rates(*state, "step", step);
	check_rates(*state, "multistep", multistep);
	check_rates(*state, "cosine", cosine);
	check_rates(*state, "cosine_per_step", per_step);
	check_rates(*state, "warm", warm);
	check_rates(*state, "warm", warm_epochs);
	check_rates(*state, "step_warm", step_warm);
	check_rates(*state, "cosine_warm", cosine_warm);
}

static void check_plateau(struct state *s, const char *name, const char *const *settings, bool max)
{
	const double *metric = golden(s, "plateau.", "metric")->data, *want = golden(s, "plateau.", name)->data;
	struct phiz_plateau plateau;
	struct phiz_schedule schedule;
	struct phiz_recipe recipe;
	int i, drops = 0;

	memset(&plateau, 0, sizeof plateau);
	assert_int_equal(phiz_recipe_init(s->ctx, &recipe), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "schedule.name=plateau"), PHIZ_OK);
	for (i = 0; settings[i]; i++)
		assert_int_equal(phiz_recipe_set(&recipe, settings[i]), PHIZ_OK);
	assert_int_equal(phiz_schedule_init(&recipe, PER, &schedule), PHIZ_OK);
	for (i = 0; i < 60; i++) {
		double got;

		drops += phiz_schedule_observe(&schedule, &plateau, max ? 1 - metric[i] : metric[i]);
		got = phiz_schedule_lr(&schedule, &plateau, 0.1, i + 1, 0);
		if (!(fabs(got - want[i]) <= 1e-12 * want[i]))
			fail_msg("plateau %s, epoch %d: %g, want %g", name, i, got, want[i]);
	}
	assert_true(drops >= 3);
	phiz_recipe_free(&recipe);
}

static void test_plateau(void **state)
{
	static const char *const min[] = {"schedule.plateau_factor=0.5", "schedule.plateau_patience=2",
	                                  "schedule.plateau_threshold=0.01", "schedule.min_lr=0.002", NULL};
	static const char *const max[] = {"schedule.metric=top1", "schedule.plateau_factor=0.3",
	                                  "schedule.plateau_patience=1", "schedule.plateau_threshold=0.001",
	                                  "schedule.plateau_cooldown=3", NULL};

	check_plateau(*state, "min", min, false);
	check_plateau(*state, "max", max, true);
}

static int set_up(void **state)
{
	static struct state s;
	const char *source = getenv("PHIZ_SOURCE");
	char path[1024];

	snprintf(path, sizeof path, "%s/tests/golden/optim.safetensors", source ? source : ".");
	if (phiz_ctx_create(NULL, &s.ctx))
		return -1;
	if (phiz_safetensors_read(s.ctx, path, &s.golden)) {
		print_error("%s\n", phiz_ctx_message(s.ctx));
		return -1;
	}
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct state *s = *state;

	phiz_tensors_free(s->ctx, &s->golden);
	phiz_ctx_free(&s->ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_optimizers),
		cmocka_unit_test(test_optimizers_taken_up),
		cmocka_unit_test(test_norm_is_not_finite),
		cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_plateau),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
