/* The folder of a run: one training at a time, links, the newest epochs, files that are cut back. */
#include "support/support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "train/rundir.h"

static void put(struct phiz_ctx *ctx, const char *folder, const char *name, const char *text)
{
	char path[500];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_ok(ctx, phiz_file_write(ctx, path, text, strlen(text)));
}

static void expect(struct phiz_ctx *ctx, const char *folder, const char *name, const char *text)
{
	struct phiz_bytes bytes;
	char path[500];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	phiz_bytes_init(&bytes, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, 1000, &bytes));
	assert_string_equal(bytes.data, text);
	phiz_bytes_free(&bytes);
}

static void test_lock_and_leftovers(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rundir dir, other;
	char folder[256], run[300], path[400];

	(void)state;
	test_folder(folder);
	snprintf(run, sizeof run, "%s/a/b", folder);
	assert_ok(ctx, phiz_rundir_open(ctx, run, &dir));
	assert_fails(ctx, PHIZ_E_ARG, phiz_rundir_open(ctx, run, &other));
	assert_message(ctx, "another training is at work");
	phiz_rundir_close(&dir);
	put(ctx, run, ".last.phiz.phiz.tmp", "half");
	put(ctx, run, ".metrics.csv.phiz-123-4.tmp", "half");
	put(ctx, run, "mine.tmp", "stays");
	assert_ok(ctx, phiz_rundir_open(ctx, run, &dir));
	assert_false(phiz_rundir_has(&dir, ".last.phiz.phiz.tmp"));
	assert_false(phiz_rundir_has(&dir, ".metrics.csv.phiz-123-4.tmp"));
	assert_true(phiz_rundir_has(&dir, "mine.tmp"));
	phiz_rundir_close(&dir);
	phiz_rundir_close(&dir);
	snprintf(path, sizeof path, "%s/mine.tmp/run", run); /* a file is in the way */
	assert_int_not_equal(phiz_rundir_open(ctx, path, &dir), PHIZ_OK);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void test_links(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rundir dir;
	char folder[256];

	(void)state;
	test_folder(folder);
	assert_ok(ctx, phiz_rundir_open(ctx, folder, &dir));
	put(ctx, folder, "last.phiz", "one");
	assert_ok(ctx, phiz_rundir_link(&dir, "last.phiz", "best.phiz"));
	assert_ok(ctx, phiz_rundir_link(&dir, "last.phiz", "best.phiz")); /* again: the same file already */
	put(ctx, folder, "last.phiz", "two");
	expect(ctx, folder, "best.phiz", "one");
	assert_ok(ctx, phiz_rundir_link(&dir, "last.phiz", "best.phiz"));
	expect(ctx, folder, "best.phiz", "two");
	assert_false(phiz_rundir_has(&dir, ".best.phiz.phiz-link.tmp"));
	assert_int_not_equal(phiz_rundir_link(&dir, "no.phiz", "best.phiz"), PHIZ_OK);
	expect(ctx, folder, "best.phiz", "two");
	phiz_rundir_close(&dir);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void test_newest_epochs(void **state)
{
	static const char *const others[] = {"epoch-12.phiz", "epoch-0002.phiz.bak", "epoch--001.phiz", "epoch-0009"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rundir dir;
	char folder[256], name[40];
	int64_t e;
	size_t i;

	(void)state;
	test_folder(folder);
	assert_ok(ctx, phiz_rundir_open(ctx, folder, &dir));
	assert_int_equal(phiz_rundir_newest(&dir), 0);
	for (e = 1; e <= 12; e++) {
		phiz_rundir_epoch_name(e, name);
		put(ctx, folder, name, "x");
	}
	for (i = 0; i < 4; i++)
		put(ctx, folder, others[i], "x");
	phiz_rundir_epoch_name(123456, name);
	put(ctx, folder, name, "x");
	assert_string_equal(name, "epoch-123456.phiz");
	assert_int_equal(phiz_rundir_newest(&dir), 123456);
	assert_ok(ctx, phiz_rundir_prune(&dir, 10, 3));
	assert_int_equal(phiz_rundir_newest(&dir), 10);
	for (e = 1; e <= 12; e++) {
		phiz_rundir_epoch_name(e, name);
		assert_int_equal(phiz_rundir_has(&dir, name), e >= 8 && e <= 10);
	}
	for (i = 0; i < 4; i++)
		assert_true(phiz_rundir_has(&dir, others[i]));
	phiz_rundir_close(&dir);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void test_growing_files(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_append file;
	char folder[256], path[300];

	(void)state;
	test_folder(folder);
	snprintf(path, sizeof path, "%s/log", folder);
	assert_ok(ctx, phiz_append_open(ctx, path, 0, &file));
	assert_ok(ctx, phiz_append_add(&file, "one\ntwo\n", 8));
	assert_ok(ctx, phiz_append_sync(&file));
	assert_int_equal(file.size, 8);
	phiz_append_close(&file);
	assert_ok(ctx, phiz_append_open(ctx, path, 4, &file));
	assert_ok(ctx, phiz_append_add(&file, "2\n", 2));
	phiz_append_close(&file);
	expect(ctx, folder, "log", "one\n2\n");
	assert_ok(ctx, phiz_append_open(ctx, path, 100, &file)); /* shorter than it was: with a warning */
	assert_int_equal(file.size, 6);
	phiz_append_close(&file);
	snprintf(path, sizeof path, "%s/no/log", folder);
	assert_int_not_equal(phiz_append_open(ctx, path, 0, &file), PHIZ_OK);
	phiz_append_close(&file);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock_and_leftovers),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_newest_epochs),
		cmocka_unit_test(test_growing_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
