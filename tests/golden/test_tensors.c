/* Files of PyTorch and of the safetensors package, read against the values that make_tensors_io.py put in. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/io/tensors.h"

/* Element i of a ramp. */
static double ramp(enum phiz_dtype dtype, bool boolean, int64_t i)
{
	if (boolean)
		return i % 2 == 0;
	return (double)(7 * i % 13) - (dtype == PHIZ_U8 ? 0 : 5);
}

static double element(struct phiz_ctx *ctx, const struct phiz_tensor *t, int64_t i)
{
	struct phiz_shape one = phiz_shape_1d(1);
	struct phiz_tensor from, to;
	double v;

	phiz_tensor_view(&from, t->dtype, &one, (unsigned char *)t->data + (size_t)i * phiz_dtype_size(t->dtype));
	phiz_tensor_view(&to, PHIZ_F64, &one, &v);
	assert_ok(ctx, phiz_tensor_convert(ctx, &from, &to));
	return v;
}

static const struct phiz_tensor *want(const struct phiz_tensors *t, const char *name, enum phiz_dtype dtype,
                                      struct phiz_shape shape)
{
	const struct phiz_tensor *tensor = phiz_tensors_find(t, name);
	char text[128];

	if (!tensor)
		fail_msg("%s is missing", name);
	if (tensor->dtype != dtype || !phiz_shape_equal(&tensor->shape, &shape))
		fail_msg("%s is %s %s", name, phiz_dtype_name(tensor->dtype), phiz_shape_text(&tensor->shape, text));
	return tensor;
}

static void check_ramp(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *name, enum phiz_dtype dtype,
                       struct phiz_shape shape)
{
	const struct phiz_tensor *tensor = want(t, name, dtype, shape);
	int64_t i;

	for (i = 0; i < phiz_tensor_count(tensor); i++)
		if (element(ctx, tensor, i) != ramp(dtype, strcmp(name, "bool") == 0, i))
			fail_msg("%s[%d] is %g", name, (int)i, element(ctx, tensor, i));
}

static void check_plain(struct phiz_ctx *ctx, const struct phiz_tensors *t)
{
	static const struct {
		const char *name;
		enum phiz_dtype dtype;
	} of[] = {{"f32", PHIZ_F32}, {"f64", PHIZ_F64}, {"f16", PHIZ_F16}, {"bf16", PHIZ_BF16}, {"i8", PHIZ_I8},
	          {"u8", PHIZ_U8}, {"bool", PHIZ_U8}, {"i32", PHIZ_I32}, {"i64", PHIZ_I64}};
	struct phiz_shape scalar = {0};
	size_t i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		check_ramp(ctx, t, of[i].name, of[i].dtype, phiz_shape_2d(2, 3));
	assert_true(element(ctx, want(t, "scalar", PHIZ_F32, scalar), 0) == 2.5);
	want(t, "empty", PHIZ_F32, phiz_shape_2d(0, 4));
	check_ramp(ctx, t, "rank6", PHIZ_F32, phiz_shape_make(6, (int64_t)1, (int64_t)2, (int64_t)1, (int64_t)3, (int64_t)1,
	                                                      (int64_t)2));
}

/* base is [4, 5, 6]; the views are what Python's indexing makes of it. */
static void check_views(struct phiz_ctx *ctx, const struct phiz_tensors *t)
{
	const struct phiz_tensor *v;
	int64_t a, b, c, i = 0;

	check_ramp(ctx, t, "whole", PHIZ_F32, phiz_shape_make(3, (int64_t)4, (int64_t)5, (int64_t)6));
	v = want(t, "permuted", PHIZ_F32, phiz_shape_make(3, (int64_t)6, (int64_t)4, (int64_t)5));
	for (c = 0; c < 6; c++)
		for (a = 0; a < 4; a++)
			for (b = 0; b < 5; b++)
				assert_true(element(ctx, v, i++) == ramp(PHIZ_F32, false, (a * 5 + b) * 6 + c));
	v = want(t, "sliced", PHIZ_F32, phiz_shape_make(3, (int64_t)2, (int64_t)3, (int64_t)4));
	i = 0;
	for (a = 1; a < 3; a++)
		for (b = 0; b < 5; b += 2)
			for (c = 1; c < 5; c++)
				assert_true(element(ctx, v, i++) == ramp(PHIZ_F32, false, (a * 5 + b) * 6 + c));
	v = want(t, "stepped", PHIZ_F32, phiz_shape_2d(4, 2));
	i = 0;
	for (a = 0; a < 4; a++)
		for (c = 0; c < 6; c += 3)
			assert_true(element(ctx, v, i++) == ramp(PHIZ_F32, false, (a * 5 + 2) * 6 + c));
	check_ramp(ctx, t, "parameter", PHIZ_F32, phiz_shape_1d(3));
}

static void reads_pth(void **state)
{
	static const char *const files[] = {"tensors_zip.pth", "tensors_zip64.pth", "tensors_legacy.pth",
	                                    "tensors_deflated.pth", "tensors_proto4.pth"};
	struct phiz_ctx *ctx = test_ctx(1);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct phiz_tensors t;
		char path[1024];

		assert_ok(ctx, phiz_tensors_read(ctx, test_golden(files[i], path), &t));
		assert_int_equal(t.count, 17);
		assert_string_equal(t.entry[0].name, "f32");
		check_plain(ctx, &t);
		check_views(ctx, &t);
		phiz_tensors_free(ctx, &t);
	}
	test_ctx_done(&ctx);
}

/* Python 2, PyTorch 0.2. */
static void reads_old_pth(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors t;
	char path[1024];

	(void)state;
	assert_ok(ctx, phiz_tensors_read(ctx, test_golden("tensors_old.pth", path), &t));
	assert_int_equal(t.count, 2);
	check_ramp(ctx, &t, "fc.weight", PHIZ_F32, phiz_shape_2d(2, 3));
	check_ramp(ctx, &t, "bn.running_mean", PHIZ_F32, phiz_shape_1d(2));
	phiz_tensors_free(ctx, &t);
	test_ctx_done(&ctx);
}

static void reads_safetensors(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors t;
	char path[1024];

	(void)state;
	assert_ok(ctx, phiz_tensors_read(ctx, test_golden("tensors.safetensors", path), &t));
	assert_int_equal(t.count, 12);
	check_plain(ctx, &t);
	assert_int_equal(t.n_meta, 2);
	assert_string_equal(t.meta[t.meta[0].key[0] == 'n' ? 0 : 1].text, "a \"quoted\" n\xc3\xa4me");
	phiz_tensors_free(ctx, &t);
	test_ctx_done(&ctx);
}

static void round_trip(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors t, again;
	char path[1024], folder[256], copy[512];
	struct phiz_map map;
	uint64_t header = 0;
	size_t i;

	(void)state;
	test_folder(folder);
	snprintf(copy, sizeof(copy), "%s/copy.safetensors", folder);
	assert_ok(ctx, phiz_tensors_read(ctx, test_golden("tensors_zip.pth", path), &t));
	assert_ok(ctx, phiz_tensors_add_meta(ctx, &t, "k\x01\"\xc3\xa4", "line\nbreak \\ end"));
	assert_ok(ctx, phiz_safetensors_write(ctx, copy, &t));
	assert_ok(ctx, phiz_safetensors_read(ctx, copy, &again));
	assert_int_equal(again.count, t.count);
	for (i = 0; i < t.count; i++) {
		const struct phiz_tensor *a = t.entry[i].tensor, *b = phiz_tensors_find(&again, t.entry[i].name);

		assert_non_null(b);
		assert_int_equal(a->dtype, b->dtype);
		assert_true(phiz_shape_equal(&a->shape, &b->shape));
		assert_memory_equal(a->data, b->data, phiz_tensor_bytes(a));
	}
	assert_int_equal(again.n_meta, 1);
	assert_string_equal(again.meta[0].key, "k\x01\"\xc3\xa4");
	assert_string_equal(again.meta[0].text, "line\nbreak \\ end");
	assert_ok(ctx, phiz_map_open(ctx, copy, &map));
	memcpy(&header, map.data, 8);
	assert_int_equal((8 + header) % 64, 0);
	phiz_map_close(&map);
	phiz_tensors_free(ctx, &t);
	phiz_tensors_free(ctx, &again);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void refuses_to_write(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_shape shape = phiz_shape_1d(2);
	static const char *const bad[] = {"", "__metadata__", "\xff", "twice"};
	char folder[256], path[512];
	size_t i;

	(void)state;
	test_folder(folder);
	snprintf(path, sizeof(path), "%s/x.safetensors", folder);
	for (i = 0; i < 4; i++) {
		struct phiz_tensors t = {0};
		struct phiz_tensor *tensor;

		assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &tensor));
		assert_ok(ctx, phiz_tensors_add(ctx, &t, bad[i], tensor));
		assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &tensor));
		assert_ok(ctx, phiz_tensors_add(ctx, &t, "twice", tensor));
		assert_fails(ctx, PHIZ_E_ARG, phiz_safetensors_write(ctx, path, &t));
		assert_false(phiz_path_is_file(path));
		phiz_tensors_free(ctx, &t);
	}
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

/* The same network twice: float32 in a .pth, and as safetensors with matrices and filters rounded to float16. */
static void real_network(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors pth, st;
	char a[1024], b[1024];
	size_t i;

	(void)state;
	if (!test_data("weights/resnet18_imagenet.pth", a) || !test_data("weights/resnet18_imagenet.safetensors", b)) {
		test_ctx_done(&ctx);
		skip();
	}
	assert_ok(ctx, phiz_tensors_read(ctx, a, &pth));
	assert_ok(ctx, phiz_tensors_read(ctx, b, &st));
	assert_int_equal(pth.count, 122);
	assert_int_equal(st.count, 122);
	for (i = 0; i < st.count; i++) {
		const struct phiz_tensor *rounded = st.entry[i].tensor, *exact = phiz_tensors_find(&pth, st.entry[i].name);
		struct phiz_tensor *same;

		assert_non_null(exact);
		assert_ok(ctx, phiz_tensor_create(ctx, rounded->dtype, &rounded->shape, &same));
		assert_ok(ctx, phiz_tensor_convert(ctx, exact, same));
		assert_memory_equal(same->data, rounded->data, phiz_tensor_bytes(same));
		phiz_tensor_free(ctx, &same);
	}
	phiz_tensors_free(ctx, &pth);
	phiz_tensors_free(ctx, &st);
	test_ctx_done(&ctx);
}

/* Legacy files of others: MTCNN's three networks. */
static void real_legacy(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_tensors t;
	char path[1024];

	(void)state;
	if (!test_data("weights/mtcnn/onet.pt", path)) {
		test_ctx_done(&ctx);
		skip();
	}
	assert_ok(ctx, phiz_tensors_read(ctx, path, &t));
	want(&t, "conv1.weight", PHIZ_F32, phiz_shape_4d(32, 3, 3, 3));
	phiz_tensors_free(ctx, &t);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_pth),        cmocka_unit_test(reads_old_pth),
		cmocka_unit_test(reads_safetensors), cmocka_unit_test(round_trip),
		cmocka_unit_test(refuses_to_write), cmocka_unit_test(real_network),      cmocka_unit_test(real_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
