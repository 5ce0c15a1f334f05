/* label: full
 * Training with the k-th allocation failing, for every k: it says so, loses no memory, and what it left can be resumed.
 */
#include "support/support.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "train/trainer.h"

#define PEOPLE 2
#define PHOTOS 3
#define SIDE 32

static void make_photos(struct phiz_ctx *ctx, const char *folder)
{
	char path[600];
	int p, i, k;

	for (p = 0; p < PEOPLE; p++)
		for (i = 0; i < PHOTOS; i++) {
			struct phiz_image image;
			struct phiz_rng rng;

			snprintf(path, sizeof path, "%s/data/person%d", folder, p);
			assert_ok(ctx, phiz_dir_make(ctx, path));
			snprintf(path, sizeof path, "%s/data/person%d/%d.ppm", folder, p, i);
			assert_ok(ctx, phiz_image_create(ctx, SIDE, SIDE, 3, &image));
			phiz_rng_init(&rng, 1, (uint32_t)p, (uint64_t)i, PHIZ_STREAM_TEST);
			for (k = 0; k < SIDE * SIDE * 3; k++)
				image.data[k] = (uint8_t)phiz_rng_below(&rng, 256);
			assert_ok(ctx, phiz_image_write(ctx, path, &image, 90));
			phiz_image_free(ctx, &image);
		}
}

static struct phiz_dataset *scan(struct phiz_ctx *ctx, const char *folder)
{
	struct phiz_dataset *dataset;
	char path[600];
	size_t i;

	snprintf(path, sizeof path, "%s/data", folder);
	assert_ok(ctx, phiz_dataset_scan(ctx, path, NULL, &dataset));
	for (i = 0; i < dataset->count; i++)
		if (i % PHOTOS == PHOTOS - 1)
			dataset->sample[i].part = PHIZ_PART_VAL;
	return dataset;
}

static const char *const settings[] = {"model.net=tiny",
                                       "data.size=32",
                                       "train.epochs=1",
                                       "train.batch=2",
                                       "output.checkpoint_seconds=0",
                                       "data.workers=1",
                                       "train.freeze=conv1, bn1",
                                       "train.ema=0.9",
                                       "augment.mixup=0.2",
                                       "train.class_weights=balanced",
                                       NULL};

/* One training in a folder of its own. */
static enum phiz_status attempt(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const char *run, bool resume)
{
	struct phiz_train_options o = {0};
	struct phiz_train_result result;
	struct phiz_recipe recipe;
	enum phiz_status status = phiz_recipe_init(ctx, &recipe);
	int i;

	for (i = 0; settings[i] && !status; i++)
		status = phiz_recipe_set(&recipe, settings[i]);
	if (!status) {
		o.recipe = &recipe;
		o.dataset = dataset;
		o.run_dir = run;
		o.resume = resume;
		status = phiz_train(ctx, &o, &result);
		phiz_train_result_free(ctx, &result);
	}
	phiz_recipe_free(&recipe);
	return status;
}

static uint64_t allocations(struct phiz_ctx *ctx)
{
	struct phiz_memory_stats stats;

	phiz_ctx_memory(ctx, &stats);
	return stats.allocations;
}

static size_t alive(struct phiz_ctx *ctx)
{
	struct phiz_memory_stats stats;

	phiz_ctx_memory(ctx, &stats);
	return stats.live_blocks;
}

static void test_every_allocation(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_dataset *dataset;
	char folder[256], run[400];
	uint64_t k, used = UINT64_MAX, resumed = 0;
	size_t before;

	(void)state;
	test_folder(folder);
	make_photos(ctx, folder);
	dataset = scan(ctx, folder);
	before = alive(ctx);
	for (k = 1; k <= used; k++) {
		uint64_t began = allocations(ctx);
		enum phiz_status status;

		snprintf(run, sizeof run, "%s/run%llu", folder, (unsigned long long)k);
		phiz_ctx_fail_allocation(ctx, k);
		status = attempt(ctx, dataset, run, false);
		phiz_ctx_fail_allocation(ctx, 0);
		if (status == PHIZ_OK)
			used = allocations(ctx) - began; /* k may lie behind the last one */
		else if (status != PHIZ_E_NOMEM)
			fail_msg("allocation %llu failed: %s", (unsigned long long)k, phiz_ctx_message(ctx));
		if (alive(ctx) != before)
			fail_msg("allocation %llu failed: %zu blocks are lost", (unsigned long long)k, alive(ctx) - before);
		if (status && k % 97 == 0) {
			assert_ok(ctx, attempt(ctx, dataset, run, true));
			resumed++;
		}
		test_folder_done(run);
	}
	print_message("%llu allocations, %llu runs resumed\n", (unsigned long long)used, (unsigned long long)resumed);
	assert_true(used > 300 && resumed > 3);
	phiz_dataset_free(ctx, &dataset);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
