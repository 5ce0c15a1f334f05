/* ONNX files in, with every allocation failing once. */
#include "support/support.h"

#include <stdio.h>

#include "core/io/onnx.h"

static enum phiz_status read_model(struct phiz_ctx *ctx, void *user)
{
	struct phiz_model *m;
	enum phiz_status status = phiz_onnx_read(ctx, user, 0, &m);

	if (status)
		assert_null(m);
	phiz_model_free(&m);
	return status;
}

/* Between them they use every operator that is read, and every form of a tensor. */
static void corpus(void **state)
{
	static const char *const names[] = {"classifier", "constants", "detector", "embedder", "fixed",
	                                    "normalize", "pools", "shapes", "written"};
	struct phiz_ctx *ctx = test_ctx(1);
	char name[128], path[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "../fuzz/corpus/onnx/%s.onnx", names[i]);
		(void)test_golden(name, path);
		test_every_oom(ctx, read_model, path);
	}
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
