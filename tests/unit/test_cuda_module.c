/* How phiz opens the CUDA module: one that works, one of another version, one that is none of phiz's, none at all; and
 * that a program which asks for no GPU loads nothing of it. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/cuda.h>

static void use(const char *kind)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/libfake_cuda_%s.so", FAKE_CUDA_FOLDER, kind);
	setenv("PHIZ_CUDA_MODULE", path, 1);
}

static void nothing_is_loaded_unasked(void **state)
{
	(void)state;
	assert_true(test_is_loaded("libc.so"));
	assert_false(test_is_loaded("libcudnn") || test_is_loaded("libcublas") || test_is_loaded("libphiz_cuda"));
	assert_false(test_is_loaded("fake_cuda"));
}

static void a_module_that_works(void **state)
{
	struct phiz_ctx *ctx = NULL;
	struct phiz_cuda_device d;
	struct phiz_backend *b = NULL;
	const char *why;

	(void)state;
	assert_int_equal(phiz_ctx_create(NULL, &ctx), PHIZ_OK);
	use("good");
	assert_int_equal(phiz_cuda_count(&why), 3);
	assert_string_equal(why, "");
	assert_int_equal(phiz_cuda_count(NULL), 3);
	assert_int_equal(phiz_cuda_describe(ctx, 2, &d), PHIZ_OK);
	assert_int_equal(d.major, 42);
	assert_int_equal(phiz_backend_cuda_create(ctx, 0, &b), PHIZ_OK);
	assert_string_equal(b->name, "fake");
	phiz_backend_cuda_free(ctx, &b);
	assert_null(b);
	phiz_backend_cuda_free(ctx, &b);
	phiz_ctx_free(&ctx);
}

static void refuses(const char *kind, const char *reason)
{
	struct phiz_ctx *ctx = NULL;
	struct phiz_cuda_device d;
	struct phiz_backend *b = NULL;
	const char *why = NULL;

	assert_int_equal(phiz_ctx_create(NULL, &ctx), PHIZ_OK);
	use(kind);
	assert_int_equal(phiz_cuda_count(&why), 0);
	assert_non_null(strstr(why, reason));
	assert_int_equal(phiz_cuda_describe(ctx, 0, &d), PHIZ_E_UNSUPPORTED);
	assert_non_null(strstr(phiz_ctx_message(ctx), reason));
	assert_int_equal(phiz_backend_cuda_create(ctx, 0, &b), PHIZ_E_UNSUPPORTED);
	assert_null(b);
	assert_non_null(strstr(phiz_ctx_message(ctx), reason));
	phiz_ctx_free(&ctx);
}

static void modules_that_do_not(void **state)
{
	(void)state;
	refuses("old", "another version");
	refuses("strange", "none of phiz's");
	refuses("absent", "libfake_cuda_absent.so: cannot open shared object file"); /* the linker's own words */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_loaded_unasked),
		cmocka_unit_test(a_module_that_works),
		cmocka_unit_test(modules_that_do_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
