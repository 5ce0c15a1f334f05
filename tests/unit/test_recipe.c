/* Recipes: defaults, reading, complaining, printing; lists of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "train/recipe.h"
#include "train/select.h"

static int set_up(void **state)
{
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(NULL, &ctx))
		return -1;
	*state = ctx;
	return 0;
}

static int tear_down(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_memory_stats stats;

	phiz_ctx_memory(ctx, &stats);
	assert_int_equal(stats.live_blocks, 0);
	phiz_ctx_free(&ctx);
	return 0;
}

static void test_defaults_read_back(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe recipe, again;
	struct phiz_bytes text, diff;

	phiz_bytes_init(&text, ctx);
	phiz_bytes_init(&diff, ctx);
	assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
	assert_int_equal(phiz_recipe_init(ctx, &again), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "optimizer.lr=0.1234567890123456789"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "data.crop=center:0.6"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "data.resize=short:256"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "augment.crop=no"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "optimizer.groups=layer4:0.1, fc:1:0"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "freeze.unfreeze=layer4:5"), PHIZ_OK);
	assert_int_equal(phiz_recipe_diff(&recipe, &again, &diff), PHIZ_OK);
	assert_non_null(strstr(diff.data, "data.crop: center:0.6, was none\n"));
	assert_int_equal(phiz_recipe_text(&recipe, &text), PHIZ_OK);
	assert_int_equal(phiz_recipe_parse(&again, text.data, text.size, "printed"), PHIZ_OK);
	phiz_bytes_clear(&diff);
	assert_int_equal(phiz_recipe_diff(&recipe, &again, &diff), PHIZ_OK);
	assert_string_equal(diff.data ? diff.data : "", "");
	assert_true(again.optimizer.lr == 0.1234567890123456789);
	assert_true(again.data.crop == 0.6);
	assert_int_equal(again.data.resize.side, 256);
	assert_false(again.augment.crop);
	phiz_recipe_free(&recipe);
	phiz_recipe_free(&again);
	phiz_bytes_free(&text);
	phiz_bytes_free(&diff);
}

struct complaint {
	const char *text, *message;
};

static void test_complaints(void **state)
{
	static const struct complaint list[] = {
		{"[train]\nepoch = 3\n", "r.cfg:2: there is no train.epoch; did you mean train.epochs?"},
		{"[trian]\nepochs = 3\n", "r.cfg:1: there is no section [trian]; did you mean [train]?"},
		{"[data]\n\nepochs = 3\n", "r.cfg:3: there is no data.epochs; did you mean train.epochs?"},
		{"[train]\nepochs = 3x\n", "r.cfg:2: train.epochs: "},
		{"[train]\nepochs = 0\n", "r.cfg:2: train.epochs: "},
		{"[train]\nepochs = 3\nepochs = 4\n", "r.cfg:3: "},
		{"epochs = 3\n", "r.cfg:1: "},
		{"[train]\nepochs\n", "r.cfg:2: "},
		{"[train]\nlabel_smoothing = nan\n", "r.cfg:2: train.label_smoothing: "},
		{"[data]\ncrop = centre:0.6\n", "r.cfg:2: data.crop: want none or center:F"},
		{"[data]\ncrop = center:1.5\n", "r.cfg:2: data.crop: "},
		{"[data]\nresize = short\n", "r.cfg:2: data.resize: want stretch or short:N"},
		{"[data]\nmean = 0.5 0.5\n", "r.cfg:2: data.mean: want 3 numbers"},
		{"[augment]\ncrop_scale = 0.5\n", "r.cfg:2: augment.crop_scale: want 2 numbers"},
		{"[augment]\njpeg_quality = 30.5 40\n", "r.cfg:2: augment.jpeg_quality: want two whole numbers"},
		{"[optimizer]\nname = adma\n", "did you mean 'adam'?"},
		{"[optimizer]\ngroups = layer4\n", "r.cfg:2: optimizer.groups: 'layer4': want NAME:FACTOR"},
		{"[optimizer]\ngroups = layer4:0.1:0:3\n", "more than two numbers"},
		{"[train]\nfreeze = layer4:0.1\n", "r.cfg:2: train.freeze: 'layer4'"},
		{"[train]\nfreeze = la*er\n", "a '*' may only stand at the end"},
		{"[train]\nfreeze = a$b\n", "want names with commas between"},
		{"[schedule]\nmilestones = 5, 3\n", "r.cfg:2: schedule.milestones: want epochs that grow"},
		{"[freeze]\nunfreeze = layer4\n", "want NAME:EPOCHS"},
	};
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe recipe;
	size_t i;

	for (i = 0; i < sizeof list / sizeof list[0]; i++) {
		assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
		assert_int_not_equal(phiz_recipe_parse(&recipe, list[i].text, strlen(list[i].text), "r.cfg"), PHIZ_OK);
		if (!strstr(phiz_ctx_message(ctx), list[i].message))
			fail_msg("'%s' gave '%s', want '%s'", list[i].text, phiz_ctx_message(ctx), list[i].message);
		phiz_recipe_free(&recipe);
	}
}

static void test_set(void **state)
{
	static const struct complaint list[] = {
		{"train.epochs", "want section.key=value"},
		{"epochs=3", "want section.key=value"},
		{"train.epocs=3", "there is no train.epocs; did you mean train.epochs?"},
		{"model.net=#5.cfg", "'#' begins a comment"},
		{"model.net=a ;b", "';' begins a comment"},
		{"model.net=a\nb", "control character (0x0a)"},
		{"model.net= a", "a blank at an end"},
		{"data.epochs=3", "did you mean train.epochs?"},
		{"train.epochs=three", "train.epochs: "},
		{"train.=3", "want section.key=value"},
		{".epochs=3", "want section.key=value"},
	};
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe recipe;
	size_t i;

	assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
	for (i = 0; i < sizeof list / sizeof list[0]; i++) {
		assert_int_equal(phiz_recipe_set(&recipe, list[i].text), PHIZ_E_ARG);
		if (!strstr(phiz_ctx_message(ctx), list[i].message))
			fail_msg("'%s' gave '%s', want '%s'", list[i].text, phiz_ctx_message(ctx), list[i].message);
	}
	assert_int_equal(phiz_recipe_set(&recipe, "train.epochs=3"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "train.batch=8"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "train.seed=7"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "train.freeze=conv1,bn1, layer1.*"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, "data.size=128"), PHIZ_OK);
	assert_int_equal(recipe.train.epochs, 3);
	assert_int_equal(recipe.data.size, 128);
	assert_string_equal(recipe.train.freeze, "conv1,bn1, layer1.*");
	phiz_recipe_free(&recipe);
}

static void check_refused(struct phiz_ctx *ctx, const char *first, const char *second, const char *message)
{
	struct phiz_recipe recipe;

	assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&recipe, first), PHIZ_OK);
	if (second)
		assert_int_equal(phiz_recipe_set(&recipe, second), PHIZ_OK);
	assert_int_equal(phiz_recipe_check(&recipe), PHIZ_E_ARG);
	assert_non_null(strstr(phiz_ctx_message(ctx), message));
	phiz_recipe_free(&recipe);
}

static void test_settings_that_do_not_fit(void **state)
{
	check_refused(*state, "data.resize=short:200", NULL, "smaller than data.size");
	check_refused(*state, "optimizer.nesterov=yes", "optimizer.momentum=0", "nesterov");
	check_refused(*state, "schedule.warmup_epochs=1", "schedule.warmup_steps=5", "exclude");
	check_refused(*state, "schedule.warmup_epochs=31", NULL, "more than train.epochs");
	check_refused(*state, "schedule.name=multistep", NULL, "milestones");
	check_refused(*state, "augment.crop_scale=1 0.5", NULL, "augment.crop_scale");
}

static void test_builtins(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe recipe;
	const char *name;
	int i;

	for (i = 0; (name = phiz_recipe_builtin_name(i)) != NULL; i++) {
		assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
		if (phiz_recipe_read(&recipe, name))
			fail_msg("%s", phiz_ctx_message(ctx));
		if (phiz_recipe_check(&recipe))
			fail_msg("%s: %s", name, phiz_ctx_message(ctx));
		phiz_recipe_free(&recipe);
	}
	assert_true(i >= 3);
	assert_non_null(phiz_recipe_builtin("nano_classic"));
	assert_null(phiz_recipe_builtin("nano"));
	assert_int_equal(phiz_recipe_init(ctx, &recipe), PHIZ_OK);
	assert_int_equal(phiz_recipe_read(&recipe, "face"), PHIZ_E_NOTFOUND);
	assert_non_null(strstr(phiz_ctx_message(ctx), "did you mean 'faces'?"));
	assert_int_not_equal(phiz_recipe_read(&recipe, "no/such.cfg"), PHIZ_OK);
	phiz_recipe_free(&recipe);
}

/* The margin of each loss's paper, unless one is given. */
static void test_margins(void **state)
{
	static const struct {
		const char *loss;
		double margin;
		bool embeds, distills;
	} rows[] = {{"cross_entropy", 0, false, false}, {"arcface", 0.5, true, false}, {"cosface", 0.35, true, false},
	            {"triplet", 0.2, true, false}, {"distill", 0, true, true}};
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe r;
	char text[60];

	assert_int_equal(phiz_recipe_init(ctx, &r), PHIZ_OK);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		snprintf(text, sizeof text, "loss.name=%s", rows[i].loss);
		assert_int_equal(phiz_recipe_set(&r, text), PHIZ_OK);
		assert_true(phiz_recipe_margin(&r) == rows[i].margin);
		assert_true(phiz_recipe_embeds(&r) == rows[i].embeds && phiz_recipe_distills(&r) == rows[i].distills);
	}
	assert_int_equal(phiz_recipe_set(&r, "loss.name=cosface"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&r, "loss.margin=0"), PHIZ_OK);
	assert_int_equal(phiz_recipe_set(&r, "loss.distill=0.25"), PHIZ_OK);
	assert_true(phiz_recipe_margin(&r) == 0 && phiz_recipe_distills(&r));
	phiz_recipe_free(&r);
}

static void test_nano_classic(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_recipe r;

	assert_int_equal(phiz_recipe_init(ctx, &r), PHIZ_OK);
	assert_int_equal(phiz_recipe_read(&r, "nano_classic"), PHIZ_OK);
	assert_int_equal(r.data.size, 224);
	assert_int_equal(r.data.resize.kind, PHIZ_RECIPE_STRETCH);
	assert_true(r.augment.crop && r.augment.crop_scale[0] == 0.08 && r.augment.crop_scale[1] == 1);
	assert_true(r.augment.flip == 0.5 && r.augment.rotation == 30 && r.augment.gray == 0.1);
	assert_true(r.augment.brightness == 0.2 && r.augment.contrast == 0.2 && r.augment.saturation == 0.2 &&
	            r.augment.hue == 0.2);
	assert_int_equal(r.train.epochs, 25);
	assert_int_equal(r.train.batch, 4);
	assert_string_equal(r.train.freeze, "all");
	assert_int_equal(r.freeze.bn, PHIZ_BN_TRAIN);
	assert_int_equal(r.optimizer.name, PHIZ_ADAM);
	assert_true(r.optimizer.lr == 0.001 && r.optimizer.weight_decay == 0.0001);
	assert_int_equal(r.optimizer.decay, PHIZ_DECAY_ALL);
	assert_int_equal(r.schedule.name, PHIZ_SCHEDULE_STEP);
	assert_int_equal(r.schedule.step_epochs, 7);
	assert_true(r.schedule.gamma == 0.1 && r.train.label_smoothing == 0 && r.train.ema == 0);
	phiz_recipe_free(&r);
}

static void test_describe(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_bytes text;

	phiz_bytes_init(&text, ctx);
	assert_int_equal(phiz_recipe_describe(ctx, &text), PHIZ_OK);
	assert_non_null(
		strstr(text.data, "[schedule]\nname = cosine\n    constant | step | multistep | cosine | plateau\n"));
	phiz_bytes_free(&text);
}

static void test_select(void **state)
{
	static const char *const names[] = {"conv1.weight", "layer1.0.conv1.weight", "layer10.weight", "fc.weight"};
	struct phiz_ctx *ctx = *state;
	struct phiz_select s;

	assert_true(phiz_name_under("layer4.0.conv1.weight", "layer4"));
	assert_true(phiz_name_under("layer4", "layer4"));
	assert_false(phiz_name_under("layer40.weight", "layer4"));
	assert_int_equal(phiz_select_parse(ctx, "all, !layer4 !layer3.1.", &s), PHIZ_OK);
	assert_int_equal(s.count, 3);
	assert_int_equal(phiz_select_last(&s, "conv1.weight", "fc"), 0);
	assert_int_equal(phiz_select_last(&s, "fc.weight", "fc"), -1);
	assert_int_equal(phiz_select_last(&s, "layer4.1.bn1.bias", "fc"), 1);
	assert_int_equal(phiz_select_last(&s, "layer3.1.bn1.bias", "fc"), 2);
	assert_true(s.item[2].except);
	phiz_select_free(ctx, &s);
	assert_int_equal(phiz_select_parse(ctx, "layer4:0.1,layer4.1:0.5:0, fc:2", &s), PHIZ_OK);
	assert_int_equal(phiz_select_longest(&s, "layer4.1.conv1.weight"), 1);
	assert_int_equal(phiz_select_longest(&s, "layer4.0.conv1.weight"), 0);
	assert_int_equal(phiz_select_longest(&s, "conv1.weight"), -1);
	assert_true(s.item[1].n_values == 2 && s.item[1].value[0] == 0.5 && s.item[1].value[1] == 0);
	phiz_select_free(ctx, &s);
	assert_int_equal(phiz_select_parse(ctx, "layr1", &s), PHIZ_OK);
	assert_int_equal(phiz_select_check_names(ctx, &s, "train.freeze", names, 4), PHIZ_E_NOTFOUND);
	assert_non_null(strstr(phiz_ctx_message(ctx), "train.freeze: "));
	assert_non_null(strstr(phiz_ctx_message(ctx), "did you mean 'layer1'?"));
	phiz_select_free(ctx, &s);
	assert_int_equal(phiz_select_parse(ctx, "all,layer1,conv1.weight", &s), PHIZ_OK);
	assert_int_equal(phiz_select_check_names(ctx, &s, "train.freeze", names, 4), PHIZ_OK);
	phiz_select_free(ctx, &s);
}

/* Each allocation of reading and printing a recipe fails once. */
static void test_out_of_memory(void **state)
{
	struct phiz_ctx *ctx = *state;
	enum phiz_status status = PHIZ_E_NOMEM;
	int k;

	for (k = 1; status && k < 10000; k++) {
		struct phiz_recipe recipe;
		struct phiz_bytes text;

		phiz_bytes_init(&text, ctx);
		phiz_ctx_fail_allocation(ctx, (uint64_t)k);
		status = phiz_recipe_init(ctx, &recipe);
		if (!status)
			status = phiz_recipe_read(&recipe, "faces");
		if (!status)
			status = phiz_recipe_text(&recipe, &text);
		assert_true(status == PHIZ_OK || status == PHIZ_E_NOMEM);
		phiz_recipe_free(&recipe);
		phiz_bytes_free(&text);
	}
	phiz_ctx_fail_allocation(ctx, 0);
	assert_true(k > 20 && k < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_read_back),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_settings_that_do_not_fit),
		cmocka_unit_test(test_builtins),
		cmocka_unit_test(test_margins),
		cmocka_unit_test(test_nano_classic),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
