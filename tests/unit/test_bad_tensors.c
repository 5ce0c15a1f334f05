/* Every file of the corpus of bad inputs gets the answer that its README asks for: one message that names the file and
 * says what is wrong, no leak, nothing executed. */
#include "support/support.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/io/tensors.h"

/* What must stand in the message; NULL: any message will do. Files that begin with "ok_" must be read. */
static const struct {
	const char *file, *message;
} wanted[] = {
	{"safetensors/empty.safetensors", "empty"},
	{"safetensors/header_len_beyond_file.safetensors", "cut"},
	{"safetensors/json_array.safetensors", "safetensors"},
	{"safetensors/json_deep.safetensors", NULL},
	{"safetensors/negative_offset.safetensors", "tensor 'a'"},
	{"safetensors/offsets_swapped.safetensors", "tensor 'a'"},
	{"safetensors/offset_beyond_file.safetensors", "tensor 'a'"},
	{"safetensors/offset_huge.safetensors", "tensor 'a'"},
	{"safetensors/offset_fraction.safetensors", "tensor 'a'"},
	{"safetensors/overlapping_offsets.safetensors", "tensor 'b'"},
	{"safetensors/trailing_bytes.safetensors", "11 bytes after the last tensor"},
	{"safetensors/data_cut.safetensors", "tensor 'b'"},
	{"safetensors/shape_bytes_mismatch.safetensors", "tensor 'a'"},
	{"safetensors/shape_overflow.safetensors", "tensor 'a'"},
	{"safetensors/shape_overflow_wraps_to_16.safetensors", "tensor 'a'"},
	{"safetensors/shape_negative.safetensors", "tensor 'a'"},
	{"safetensors/shape_1000_dims.safetensors", "tensor 'a'"},
	{"safetensors/duplicate_keys.safetensors", "duplicate"},
	{"safetensors/unknown_dtype.safetensors", "tensor 'a' has dtype 'F33'"},
	{"safetensors/missing_dtype.safetensors", "tensor 'a'"},
	{"safetensors/metadata_not_strings.safetensors", "__metadata__"},
	{"pth/whole_module.pth", "a pickled module"},
	{"pth/pickle_system_zip.pth", "posix.system"},
	{"pth/pickle_system_legacy.pth", "posix.system"},
	{"pth/pickle_system_before_tensors.pth", "posix.system"},
	{"pth/pickle_eval.pth", ".eval"},
	{"pth/pickle_memo_missing.pth", "memo entry"},
	{"pth/pickle_stack_underflow.pth", "empty stack"},
	{"pth/pickle_long_string.pth", "2147483647 bytes"},
	{"pth/zip_truncated.pth", "truncated"},
	{"pth/zip_no_eocd.pth", "truncated"},
	{"pth/zip_size_lie.pth", "data/0"},
	{"pth/storage_missing.pth", "tensor 'fc.bias'"},
	{"pth/storage_short.pth", "tensor 'fc.weight'"},
	{"pth/tensor_beyond_storage.pth", "tensor 'fc.weight'"},
	{"pth/stride_overflow.pth", "tensor 'fc.weight'"},
	{"pth/negative_offset.pth", "tensor 'fc.weight'"},
	{"pth/negative_size.pth", "tensor 'fc.weight'"},
	{"pth/html_named.pth", "not a PyTorch"},
	{"pth/lfs_pointer.pth", "Git LFS pointer"},
};

static int good(const char *name)
{
	return strncmp(name, "ok_", 3) == 0 || strcmp(name, "zip_absolute_paths.pth") == 0 ||
	       strcmp(name, "zip_parent_paths.pth") == 0 || strcmp(name, "zip_deflated.pth") == 0;
}

static void check_message(struct phiz_ctx *ctx, const char *folder, const char *name)
{
	char file[1024];
	size_t i;

	assert_non_null(strstr(phiz_ctx_message(ctx), name));
	snprintf(file, sizeof(file), "%s/%s", folder, name);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (wanted[i].message && strcmp(wanted[i].file, file) == 0)
			assert_message(ctx, wanted[i].message);
}

static void check_folder(const char *folder)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char path[2048], dir[1024];
	struct phiz_names names = {0};
	size_t i;

	snprintf(path, sizeof(path), "bad/%s", folder);
	if (!test_data(path, dir)) {
		test_ctx_done(&ctx);
		skip();
	}
	assert_ok(ctx, phiz_dir_list(ctx, dir, &names));
	assert_true(names.count > 20);
	for (i = 0; i < names.count; i++) {
		struct phiz_tensors t;
		enum phiz_status status;

		snprintf(path, sizeof(path), "%s/%s", dir, names.name[i]);
		phiz_ctx_clear(ctx);
		status = phiz_tensors_read(ctx, path, &t);
		printf("%s/%s: %s\n", folder, names.name[i], status ? phiz_ctx_message(ctx) : "read");
		if (good(names.name[i])) {
			assert_ok(ctx, status);
			assert_true(t.count > 0);
		} else {
			assert_int_not_equal(status, PHIZ_OK);
			assert_int_not_equal(status, PHIZ_E_NOMEM);
			assert_int_not_equal(status, PHIZ_E_INTERNAL);
			assert_int_equal(t.count, 0);
			check_message(ctx, folder, names.name[i]);
		}
		phiz_tensors_free(ctx, &t);
	}
	phiz_names_free(ctx, &names);
	test_ctx_done(&ctx);
}

static void bad_safetensors(void **state)
{
	(void)state;
	check_folder("safetensors");
}

static void bad_pth(void **state)
{
	(void)state;
	check_folder("pth");
	assert_int_not_equal(access("phiz_must_not_exist", F_OK), 0);
	assert_int_not_equal(access("../phiz_must_not_exist", F_OK), 0);
	assert_int_not_equal(access("../../phiz_must_not_exist", F_OK), 0);
}

/* Whatever stands in front of the bytes decides, not the name: each reader names what it was given. */
static void wrong_reader(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors t;

	(void)state;
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_safetensors_parse(ctx, "PK\3\4 and so on", 15, "x.safetensors", &t));
	assert_message(ctx, "x.safetensors: ");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_pth_parse(ctx, "\x50\0\0\0\0\0\0\0{}", 10, "x.pth", &t));
	assert_message(ctx, "x.pth: not a PyTorch file");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_safetensors_parse(ctx, "version https://git-lfs.github.com/spec/v1\n", 43,
	                                                        "x.safetensors", &t));
	assert_message(ctx, "Git LFS pointer");
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_safetensors),
		cmocka_unit_test(bad_pth),
		cmocka_unit_test(wrong_reader),
	};
	char path[1024];

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : test_data("bad", path) ? 0 : 77;
}
