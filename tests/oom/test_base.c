/* core/base with every allocation failing once: NOMEM, no leak, files as they were. */
#include "support/support.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/file.h"

static char folder[256];

static enum phiz_status build_bytes(struct phiz_ctx *ctx, void *user)
{
	struct phiz_bytes b;
	(void)user;
	phiz_bytes_init(&b, ctx);
	for (int i = 0; i < 200; i++) {
		phiz_bytes_json(&b, "a \"quoted\" name");
		phiz_bytes_html(&b, "<b>");
		phiz_bytes_csv(&b, "a,\"b\"");
		phiz_bytes_printf(&b, "%300d", i);
		phiz_bytes_base64(&b, "abcdefgh", 8);
	}
	enum phiz_status status = phiz_bytes_status(&b);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status build_texts(struct phiz_ctx *ctx, void *user)
{
	char *a = phiz_strdup(ctx, "one"), *b = a ? phiz_strndup(ctx, "three", 2) : NULL;
	char *c = b ? phiz_asprintf(ctx, "%s/%s", a, b) : NULL, *d = c ? phiz_path_join(ctx, c, "d") : NULL;
	(void)user;
	phiz_free(ctx, a);
	phiz_free(ctx, b);
	phiz_free(ctx, c);
	phiz_free(ctx, d);
	return d ? PHIZ_OK : phiz_ctx_status(ctx);
}

static enum phiz_status fork_ctx(struct phiz_ctx *ctx, void *user)
{
	struct phiz_ctx *fork;
	(void)user;
	enum phiz_status status = phiz_ctx_fork(ctx, &fork);
	phiz_ctx_free(&fork);
	return status;
}

/* Each failure leaves the old content, success the new one, and neither leaves anything else in the folder. */
static enum phiz_status write_file(struct phiz_ctx *ctx, void *user)
{
	char path[512];
	struct phiz_writer *w;
	static char data[100000];
	(void)user;
	snprintf(path, sizeof(path), "%s/target", folder);
	enum phiz_status status = phiz_writer_open(ctx, path, &w);
	if (status) {
		assert_null(w);
		return status;
	}
	status = phiz_writer_add(w, data, sizeof(data));
	if (!status)
		return phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	return status;
}

static enum phiz_status write_link(struct phiz_ctx *ctx, void *user)
{
	char path[512];
	(void)user;
	snprintf(path, sizeof(path), "%s/link", folder);
	return phiz_file_write(ctx, path, "new", 3);
}

static enum phiz_status read_file(struct phiz_ctx *ctx, void *user)
{
	char path[512];
	struct phiz_bytes b;
	(void)user;
	phiz_bytes_init(&b, ctx);
	snprintf(path, sizeof(path), "%s/target", folder);
	enum phiz_status status = phiz_file_read(ctx, path, 1 << 20, &b);
	if (!status)
		status = phiz_file_read(ctx, "/proc/self/status", 1 << 20, &b);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status list_folder(struct phiz_ctx *ctx, void *user)
{
	struct phiz_names names;
	(void)user;
	enum phiz_status status = phiz_dir_list(ctx, folder, &names);
	phiz_names_free(ctx, &names);
	return status;
}

static enum phiz_status make_folders(struct phiz_ctx *ctx, void *user)
{
	char path[512];
	(void)user;
	snprintf(path, sizeof(path), "%s/x/y/z", folder);
	return phiz_dir_make(ctx, path);
}

static void test_all(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	char path[512], link[512];
	struct phiz_names names;
	test_folder(folder);
	snprintf(path, sizeof(path), "%s/target", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink("target", link), 0);
	test_every_oom(ctx, build_bytes, NULL);
	test_every_oom(ctx, build_texts, NULL);
	test_every_oom(ctx, fork_ctx, NULL);
	test_every_oom(ctx, write_file, NULL);
	test_every_oom(ctx, read_file, NULL);
	test_every_oom(ctx, write_link, NULL);
	test_every_oom(ctx, list_folder, NULL);
	test_every_oom(ctx, make_folders, NULL);
	assert_ok(ctx, phiz_dir_list(ctx, folder, &names));
	assert_int_equal(names.count, 3); /* link, target, x */
	phiz_names_free(ctx, &names);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
