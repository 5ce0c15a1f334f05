/* .npy files that numpy wrote (tests/fuzz/make_npy.py), and what is refused. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/file.h"
#include "core/io/npy.h"

static const char *file(const char *name, char path[1024])
{
	char part[256];

	snprintf(part, sizeof part, "tests/fuzz/corpus/npy/%s", name);
	return test_source(part, path);
}

static void reading(void **state)
{
	static const char *const files[] = {"f2.npy", "f4.npy", "f8.npy", "version2.npy", "vector.npy"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensor *t;
	char path[1024];

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_ok(ctx, phiz_npy_read(ctx, file(files[i], path), &t));
		assert_int_equal(t->dtype, PHIZ_F32);
		assert_int_equal(t->shape.ndim, 2);
		assert_int_equal(t->shape.dim[0], i == 4 ? 1 : 3);
		assert_int_equal(t->shape.dim[1], 5);
		for (int k = 0; k < phiz_tensor_count(t); k++)
			assert_true(((float *)t->data)[k] == (float)(7 * k % 13 - 6) / 8);
		phiz_tensor_free(ctx, &t);
	}
	test_ctx_done(&ctx);
}

static void refusing(void **state)
{
	static const struct {
		const char *name, *says;
		enum phiz_status status;
	} files[] = {
		{"fortran.npy", "Fortran", PHIZ_E_UNSUPPORTED},  {"cube.npy", "3 dims", PHIZ_E_UNSUPPORTED},
		{"ints.npy", "float32", PHIZ_E_UNSUPPORTED},     {"big_endian.npy", "float32", PHIZ_E_UNSUPPORTED},
		{"objects.npy", "float32", PHIZ_E_UNSUPPORTED},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensor *t;
	struct phiz_bytes b;
	char path[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_fails(ctx, files[i].status, phiz_npy_read(ctx, file(files[i].name, path), &t));
		assert_message(ctx, files[i].says);
		assert_null(t);
	}
	phiz_bytes_init(&b, ctx);
	assert_ok(ctx, phiz_file_read(ctx, file("f4.npy", path), 1 << 20, &b));
	for (size_t cut = 0; cut < b.size; cut++) /* every beginning of a good file is a bad file */
		assert_int_not_equal(phiz_npy_parse(ctx, b.data, cut, "cut", &t), PHIZ_OK);
	phiz_bytes_u8(&b, 0);
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_npy_parse(ctx, b.data, b.size, "long", &t));
	memcpy(strstr(b.data + 10, "(3, 5)"), "(9, 9)", 6);
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_npy_parse(ctx, b.data, b.size - 1, "lies", &t));
	assert_message(ctx, "9 x 9");
	phiz_bytes_free(&b);
	test_ctx_done(&ctx);
}

/* Byte for byte what numpy writes. */
static void writing(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_bytes got, want;
	char folder[256], path[1024], to[512];
	float x[15];

	(void)state;
	for (int k = 0; k < 15; k++)
		x[k] = (float)(7 * k % 13 - 6) / 8;
	test_folder(folder);
	snprintf(to, sizeof to, "%s/x.npy", folder);
	phiz_bytes_init(&got, ctx);
	phiz_bytes_init(&want, ctx);
	assert_ok(ctx, phiz_npy_write(ctx, to, x, 3, 5));
	assert_ok(ctx, phiz_file_read(ctx, to, 1 << 20, &got));
	assert_ok(ctx, phiz_file_read(ctx, file("f4.npy", path), 1 << 20, &want));
	assert_int_equal(got.size, want.size);
	assert_memory_equal(got.data, want.data, want.size);
	/* No rows at all is a matrix too, and overwrites what was there. */
	assert_ok(ctx, phiz_npy_write(ctx, to, NULL, 0, 5));
	struct phiz_tensor *t;
	assert_ok(ctx, phiz_npy_read(ctx, to, &t));
	assert_int_equal(t->shape.dim[0], 0);
	assert_int_equal(t->shape.dim[1], 5);
	phiz_tensor_free(ctx, &t);
	assert_fails(ctx, PHIZ_E_ARG, phiz_npy_write(ctx, to, x, INT64_MAX, 5));
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_npy_write(ctx, "/no such folder/x.npy", x, 3, 5));
	phiz_bytes_free(&got);
	phiz_bytes_free(&want);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static enum phiz_status read_all(struct phiz_ctx *ctx, void *path)
{
	struct phiz_tensor *t;
	enum phiz_status status = phiz_npy_read(ctx, path, &t);

	phiz_tensor_free(ctx, &t);
	return status;
}

static enum phiz_status write_all(struct phiz_ctx *ctx, void *path)
{
	static const float x[6] = {1, 2, 3, 4, 5, 6};
	return phiz_npy_write(ctx, path, x, 2, 3);
}

static void memory(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char path[1024], folder[256], to[512];

	(void)state;
	test_every_oom(ctx, read_all, (void *)(uintptr_t)file("f4.npy", path));
	test_every_oom(ctx, read_all, (void *)(uintptr_t)file("f8.npy", path));
	test_folder(folder);
	snprintf(to, sizeof to, "%s/x.npy", folder);
	test_every_oom(ctx, write_all, to);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(refusing),
		cmocka_unit_test(writing),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
