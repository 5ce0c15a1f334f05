/* Readers and writers of tensor files and settings, with every allocation failing once. */
#include "support/support.h"

#include <stdio.h>

#include "core/io/cfg.h"
#include "core/io/tensors.h"

static enum phiz_status read_file(struct phiz_ctx *ctx, void *path)
{
	struct phiz_tensors t;
	enum phiz_status status = phiz_tensors_read(ctx, path, &t);

	phiz_tensors_free(ctx, &t);
	return status;
}

static enum phiz_status copy_file(struct phiz_ctx *ctx, void *user)
{
	const char *const *paths = user;
	struct phiz_tensors t;
	enum phiz_status status = phiz_tensors_read(ctx, paths[0], &t);

	if (!status)
		status = phiz_safetensors_write(ctx, paths[1], &t);
	phiz_tensors_free(ctx, &t);
	return status;
}

static enum phiz_status parse_cfg(struct phiz_ctx *ctx, void *text)
{
	struct phiz_cfg cfg;
	enum phiz_status status = phiz_cfg_parse(ctx, text, strlen(text), "x.cfg", 1, &cfg);

	phiz_cfg_free(ctx, &cfg);
	return status;
}

static void reading(void **state)
{
	static const char *const files[] = {"tensors_zip.pth", "tensors_legacy.pth", "tensors_deflated.pth",
	                                    "tensors_old.pth", "tensors.safetensors"};
	struct phiz_ctx *ctx = test_ctx(1);
	char path[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		test_golden(files[i], path);
		test_every_oom(ctx, read_file, path);
	}
	test_ctx_done(&ctx);
}

static void writing(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char from[1024], to[512], folder[256];
	const char *paths[2] = {from, to};

	(void)state;
	test_folder(folder);
	test_golden("tensors.safetensors", from);
	snprintf(to, sizeof(to), "%s/copy.safetensors", folder);
	test_every_oom(ctx, copy_file, paths);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void settings(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char text[] = "[a]\nk = v\nl = w\n[b]\n[a]\nk = v # x\n";

	(void)state;
	test_every_oom(ctx, parse_cfg, text);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(writing),
		cmocka_unit_test(settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
