/* Leaks in folders of real photographs: the one that is known, and none where none is known. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "datasets/split.h"

static int ran;

static void find_leaks(struct phiz_ctx *ctx, struct phiz_dataset *d, bool all, struct phiz_pairs *pairs)
{
	struct phiz_phash *hash;
	size_t n_bad;

	assert_ok(ctx, phiz_phash_dataset(ctx, d, true, &hash, &n_bad));
	if (all)
		assert_ok(ctx, phiz_similar_find(ctx, d, hash, NULL, pairs));
	else
		assert_ok(ctx, phiz_split_leaks(ctx, d, hash, NULL, pairs));
	phiz_free(ctx, hash);
}

static void test_five_celebrity(void **state)
{
	struct phiz_ctx *ctx;
	struct phiz_dataset *d;
	struct phiz_pairs pairs;
	char train[1024], val[1024];

	(void)state;
	if (!test_data("faces/five_celebrity/train", train) || !test_data("faces/five_celebrity/val", val))
		skip();
	ran++;
	ctx = test_ctx(2);
	assert_ok(ctx, phiz_dataset_scan(ctx, train, NULL, &d));
	assert_ok(ctx, phiz_dataset_add_dir(ctx, d, val, PHIZ_PART_VAL));
	assert_int_equal(d->count, 118);
	for (int all = 0; all < 2; all++) {
		find_leaks(ctx, d, all, &pairs);
		assert_int_equal(pairs.count, 1);
		assert_string_equal(d->sample[pairs.pair[0].a].path,
		                    "ben_afflek/httpssmediacacheakpinimgcomxeebdfdbaaajpg.jpg");
		assert_string_equal(d->sample[pairs.pair[0].b].path,
		                    "ben_afflek/httpbpblogspotcomedLMjVpRGkSWexgsXjkNIAAAAAAAADWgFFtAUqBlhAsjpg.jpg");
		print_message("the known leak: %d of 256 bits differ\n", pairs.pair[0].distance);
		assert_true(pairs.pair[0].distance <= 4);
		phiz_pairs_free(ctx, &pairs);
	}
	phiz_dataset_free(ctx, &d);
	test_ctx_done(&ctx);
}

static void test_no_pairs(void **state)
{
	static const char *const folder[] = {"faces/actors6", "faces/lfw10"};
	static const size_t photos[] = {275, 100};
	struct phiz_dataset *d;
	struct phiz_pairs pairs;
	char path[1024];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct phiz_ctx *ctx;
		if (!test_data(folder[i], path))
			skip();
		ran++;
		ctx = test_ctx(2);
		assert_ok(ctx, phiz_dataset_scan(ctx, path, NULL, &d));
		assert_int_equal(d->count, photos[i]);
		find_leaks(ctx, d, true, &pairs);
		assert_int_equal(pairs.count, 0);
		phiz_dataset_free(ctx, &d);
		test_ctx_done(&ctx);
	}
}

/* Split for real: every person of lfw10 gives 2 of 10 photos to validation, for any seed. */
static void test_lfw10(void **state)
{
	struct phiz_split_options options;
	struct phiz_ctx *ctx;
	struct phiz_dataset *d;
	char path[1024];

	(void)state;
	if (!test_data("faces/lfw10", path))
		skip();
	ran++;
	ctx = test_ctx(2);
	assert_ok(ctx, phiz_dataset_scan(ctx, path, NULL, &d));
	phiz_split_defaults(&options);
	for (options.seed = 0; options.seed < 2; options.seed++) {
		assert_ok(ctx, phiz_split_run(ctx, d, &options, NULL));
		for (int p = 0; p < 10; p++)
			assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, p), 2);
	}
	phiz_dataset_free(ctx, &d);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_five_celebrity), cmocka_unit_test(test_no_pairs), cmocka_unit_test(test_lfw10),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed ? failed : ran ? 0 : 77;
}
