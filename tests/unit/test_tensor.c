/* Dtypes, shapes, tensors, and conversions against NumPy and exact arithmetic (tests/golden/make_convert.py). */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/tensor/convert.h"

static void test_dtypes(void **state)
{
	(void)state;
	static const size_t sizes[PHIZ_DTYPES] = {4, 8, 2, 2, 1, 1, 4, 8};
	enum phiz_dtype parsed;
	for (int i = 0; i < PHIZ_DTYPES; i++) {
		enum phiz_dtype dtype = (enum phiz_dtype)i;
		assert_int_equal(phiz_dtype_size(dtype), sizes[i]);
		assert_true(phiz_dtype_parse(phiz_dtype_name(dtype), &parsed));
		assert_int_equal(parsed, dtype);
	}
	assert_int_equal(phiz_dtype_size(PHIZ_DTYPES), 0);
	assert_int_equal(phiz_dtype_size((enum phiz_dtype)-1), 0);
	assert_string_equal(phiz_dtype_name((enum phiz_dtype)77), "unknown");
	assert_string_equal(phiz_dtype_name(PHIZ_BF16), "bf16");
	assert_false(phiz_dtype_parse("F32", &parsed));
	assert_false(phiz_dtype_parse("", &parsed));
}

static void test_shapes(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_shape a = phiz_shape_4d(32, 64, 56, 56), scalar = phiz_shape_make(0), b;
	char text[128];
	size_t bytes;
	assert_int_equal(phiz_shape_count(&a), 32 * 64 * 56 * 56);
	assert_string_equal(phiz_shape_text(&a, text), "[32, 64, 56, 56]");
	assert_int_equal(phiz_shape_count(&scalar), 1);
	assert_string_equal(phiz_shape_text(&scalar, text), "[]");
	b = phiz_shape_make(4, (int64_t)32, (int64_t)64, (int64_t)56, (int64_t)56);
	assert_true(phiz_shape_equal(&a, &b));
	b.dim[2] = 57;
	assert_false(phiz_shape_equal(&a, &b));
	assert_false(phiz_shape_equal(&a, &scalar));
	b = phiz_shape_make(7, (int64_t)1, (int64_t)1, (int64_t)1, (int64_t)1, (int64_t)1, (int64_t)1, (int64_t)1);
	assert_int_equal(b.ndim, -1);
	assert_int_equal(phiz_shape_count(&b), 0);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_F32, &b, &bytes));
	assert_ok(ctx, phiz_shape_bytes(ctx, PHIZ_F16, &a, &bytes));
	assert_int_equal(bytes, 32 * 64 * 56 * 56 * 2);
	assert_ok(ctx, phiz_shape_bytes(ctx, PHIZ_I64, &scalar, &bytes));
	assert_int_equal(bytes, 8);
	b = phiz_shape_2d(0, 5);
	assert_ok(ctx, phiz_shape_bytes(ctx, PHIZ_F32, &b, &bytes));
	assert_int_equal(bytes, 0);
	b = phiz_shape_2d(-1, 5);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_F32, &b, &bytes));
	assert_message(ctx, "[-1, 5]");
	b = phiz_shape_2d((int64_t)1 << 32, (int64_t)1 << 32);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_I8, &b, &bytes));
	b = phiz_shape_1d(INT64_MAX);
	assert_ok(ctx, phiz_shape_bytes(ctx, PHIZ_I8, &b, &bytes));
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_F16, &b, &bytes));
	b = phiz_shape_make(3, (int64_t)0, INT64_MAX, INT64_MAX); /* empty, but no strides for it */
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_I8, &b, &bytes));
	b = phiz_shape_1d(4);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_shape_bytes(ctx, PHIZ_DTYPES, &b, &bytes));
	b = phiz_shape_make(6, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN);
	assert_true(strlen(phiz_shape_text(&b, text)) < 128);
	assert_non_null(strstr(text, "...]"));
	test_ctx_done(&ctx);
}

static void test_tensors(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_shape shape = phiz_shape_4d(2, 3, 4, 5), empty = phiz_shape_2d(0, 3);
	struct phiz_shape huge = phiz_shape_1d((int64_t)1 << 60);
	struct phiz_tensor *t, *shared, view, *none;
	float data[120] = {0};
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &t));
	assert_int_equal((uintptr_t)t->data % 64, 0);
	for (int i = 0; i < 120; i++)
		assert_true(((float *)t->data)[i] == 0);
	assert_int_equal(t->stride[0], 60);
	assert_int_equal(t->stride[1], 20);
	assert_int_equal(t->stride[2], 5);
	assert_int_equal(t->stride[3], 1);
	assert_true(phiz_tensor_contiguous(t));
	assert_int_equal(phiz_tensor_count(t), 120);
	assert_int_equal(phiz_tensor_bytes(t), 480);
	assert_ok(ctx, phiz_tensor_share(ctx, t, &shared));
	((float *)shared->data)[7] = 3;
	phiz_tensor_free(ctx, &t);
	assert_null(t);
	assert_true(((float *)shared->data)[7] == 3);
	phiz_tensor_free(ctx, &shared);
	phiz_tensor_free(ctx, &shared);
	phiz_tensor_free(ctx, NULL);

	phiz_tensor_view(&view, PHIZ_F32, &shape, data);
	assert_null(view.buffer);
	assert_ptr_equal(view.data, data);
	assert_ok(ctx, phiz_tensor_share(ctx, &view, &shared));
	phiz_tensor_free(ctx, &shared);
	view.stride[1] = 21;
	assert_false(phiz_tensor_contiguous(&view));
	view.shape.dim[1] = 1;
	view.stride[0] = 20;
	assert_true(phiz_tensor_contiguous(&view));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_I64, &empty, &t));
	assert_int_equal(phiz_tensor_bytes(t), 0);
	assert_true(phiz_tensor_contiguous(t));
	phiz_tensor_free(ctx, &t);
	assert_fails(ctx, PHIZ_E_NOMEM, phiz_tensor_create(ctx, PHIZ_I8, &huge, &none));
	assert_null(none);
	huge.dim[0] = INT64_MAX;
	assert_fails(ctx, PHIZ_E_NOMEM, phiz_tensor_create(ctx, PHIZ_I8, &huge, &none));
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_tensor_create(ctx, PHIZ_F32, &huge, &none));
	assert_null(none);
	test_ctx_done(&ctx);
}

/* The value of a small floating-point number, by the definition of IEEE 754. */
static double value_of(unsigned bits, int exponent_bits, int fraction_bits)
{
	int bias = (1 << (exponent_bits - 1)) - 1, exponent = (int)(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
	double fraction = bits & ((1u << fraction_bits) - 1), sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
	if (exponent == (1 << exponent_bits) - 1)
		return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
	if (exponent == 0)
		return sign * ldexp(fraction, 1 - bias - fraction_bits);
	return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static void check_narrow(uint16_t (*narrow)(float), double value, unsigned want)
{
	float f = (float)value;
	if ((double)f == value) /* representable as an argument */
		assert_int_equal(narrow(f), want);
}

/* Every 16-bit pattern both ways, and what lies halfway and just beside halfway to its neighbour. */
static void exhaust(int exponent_bits, int fraction_bits, float (*widen)(uint16_t), uint16_t (*narrow)(float))
{
	unsigned infinity = ((1u << exponent_bits) - 1) << fraction_bits, quiet = 1u << (fraction_bits - 1);
	for (unsigned bits = 0; bits < 65536; bits++) {
		double want = value_of(bits, exponent_bits, fraction_bits);
		float got = widen((uint16_t)bits);
		if (isnan(want)) {
			assert_true(isnan(got));
			assert_int_equal(narrow(got), bits | quiet);
			assert_int_equal(signbit(got) != 0, bits >> 15);
			continue;
		}
		assert_true((double)got == want && (signbit(got) != 0) == bits >> 15);
		assert_int_equal(narrow(got), bits);
		if ((bits & 0x7fff) >= infinity)
			continue;
		double next = value_of(bits + 1, exponent_bits, fraction_bits);
		if (isinf(next)) /* it stands where the next number would be */
			next = want + (want - value_of(bits - 1, exponent_bits, fraction_bits));
		double half = (want + next) / 2;
		check_narrow(narrow, half, bits & 1 ? bits + 1 : bits);
		check_narrow(narrow, (double)nextafterf((float)half, (float)want), bits);
		check_narrow(narrow, (double)nextafterf((float)half, (float)next), bits + 1);
	}
}

static void test_f16(void **state)
{
	(void)state;
	exhaust(5, 10, phiz_f16_to_f32, phiz_f32_to_f16);
	assert_int_equal(phiz_f32_to_f16(1e30f), 0x7c00);
	assert_int_equal(phiz_f32_to_f16(-1e30f), 0xfc00);
	assert_int_equal(phiz_f32_to_f16(1e-30f), 0);
	assert_int_equal(phiz_f32_to_f16(-1e-42f), 0x8000);
	/* Many at once: the same bits, NaNs included, at any count. */
	for (unsigned first = 0; first < 65536; first += 97) {
		uint16_t h[131];
		float many[131], one;
		int n = (int)(first % 132);
		for (int i = 0; i < n; i++)
			h[i] = (uint16_t)(first + (unsigned)i);
		phiz_widen_f16(h, many, n);
		for (int i = 0; i < n; i++) {
			one = phiz_f16_to_f32(h[i]);
			assert_memory_equal(&many[i], &one, sizeof(one));
		}
		phiz_widen_bf16(h, many, n);
		for (int i = 0; i < n; i++) {
			one = phiz_bf16_to_f32(h[i]);
			assert_memory_equal(&many[i], &one, sizeof(one));
		}
	}
}

static void test_bf16(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 65536; bits++) { /* widening keeps a NaN's bits: it is a shift */
		float f = phiz_bf16_to_f32((uint16_t)bits);
		uint32_t wide;
		memcpy(&wide, &f, sizeof(wide));
		assert_int_equal(wide, bits << 16);
	}
	exhaust(8, 7, phiz_bf16_to_f32, phiz_f32_to_bf16);
	uint32_t low_nan = 0x7f800001;
	float f;
	memcpy(&f, &low_nan, sizeof(f));
	assert_true(isnan(phiz_bf16_to_f32(phiz_f32_to_bf16(f))));
	assert_true(isnan(phiz_f16_to_f32(phiz_f32_to_f16(f))));
}

#define MAX_ROWS 800

/* The numbers as each dtype; a NaN is any NaN. */
struct rows {
	int count;
	double f64[MAX_ROWS];
	uint32_t f32[MAX_ROWS];
	uint16_t f16[MAX_ROWS], bf16[MAX_ROWS], bf16_of_f32[MAX_ROWS];
	int64_t i8[MAX_ROWS], u8[MAX_ROWS], i32[MAX_ROWS], i64[MAX_ROWS];
};

static FILE *open_golden(const char *name)
{
	char path[1024], head[256];
	FILE *file = fopen(test_golden(name, path), "r");
	assert_non_null(file);
	assert_non_null(fgets(head, sizeof(head), file));
	return file;
}

static void read_f64_rows(struct rows *r)
{
	FILE *file = open_golden("convert_f64.csv");
	uint64_t bits;
	for (r->count = 0; r->count < MAX_ROWS; r->count++) {
		int i = r->count;
		if (fscanf(file,
		           "%" SCNx64 ",%" SCNx32 ",%" SCNx16 ",%" SCNx16 ",%" SCNx16 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64
		           ",%" SCNd64,
		           &bits, &r->f32[i], &r->f16[i], &r->bf16[i], &r->bf16_of_f32[i], &r->i8[i], &r->u8[i], &r->i32[i],
		           &r->i64[i]) != 9)
			break;
		memcpy(&r->f64[i], &bits, sizeof(bits));
	}
	assert_true(feof(file));
	fclose(file);
	assert_in_range(r->count, 400, MAX_ROWS - 1);
}

static void read_i64_rows(struct rows *r)
{
	FILE *file = open_golden("convert_i64.csv");
	uint64_t bits;
	for (r->count = 0; r->count < MAX_ROWS; r->count++) {
		int i = r->count;
		if (fscanf(file, "%" SCNd64 ",%" SCNx64 ",%" SCNx32 ",%" SCNx16 ",%" SCNx16 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64,
		           &r->i64[i], &bits, &r->f32[i], &r->f16[i], &r->bf16[i], &r->i8[i], &r->u8[i], &r->i32[i]) != 8)
			break;
		memcpy(&r->f64[i], &bits, sizeof(bits));
	}
	assert_true(feof(file));
	fclose(file);
	assert_in_range(r->count, 150, MAX_ROWS - 1);
}

static void convert(struct phiz_ctx *ctx, enum phiz_dtype from, const void *in, enum phiz_dtype to, void *out,
                    int count)
{
	struct phiz_shape shape = phiz_shape_1d(count);
	struct phiz_tensor a, b;
	phiz_tensor_view(&a, from, &shape, (void *)(uintptr_t)in);
	phiz_tensor_view(&b, to, &shape, out);
	assert_ok(ctx, phiz_tensor_convert(ctx, &a, &b));
}

/* As integers of 64 bits, so that one comparison does for all. */
static void check_bits(struct phiz_ctx *ctx, enum phiz_dtype from, const void *in, enum phiz_dtype to,
                       const struct rows *want, const uint16_t *want_bf16)
{
	static union {
		uint64_t u64[MAX_ROWS];
		uint32_t u32[MAX_ROWS];
		uint16_t u16[MAX_ROWS];
		int8_t i8[MAX_ROWS];
		uint8_t u8[MAX_ROWS];
		int32_t i32[MAX_ROWS];
		int64_t i64[MAX_ROWS];
	} out;
	convert(ctx, from, in, to, &out, want->count);
	for (int i = 0; i < want->count; i++) {
		bool nan = isnan(want->f64[i]), same = false;
		uint64_t bits;
		memcpy(&bits, &want->f64[i], sizeof(bits));
		switch (to) {
		case PHIZ_F64: same = out.u64[i] == bits || (nan && (out.u64[i] & INT64_MAX) > 0x7ff0000000000000u); break;
		case PHIZ_F32: same = out.u32[i] == want->f32[i] || (nan && (out.u32[i] & 0x7fffffff) > 0x7f800000); break;
		case PHIZ_F16: same = out.u16[i] == want->f16[i] || (nan && (out.u16[i] & 0x7fff) > 0x7c00); break;
		case PHIZ_BF16: same = out.u16[i] == want_bf16[i] || (nan && (out.u16[i] & 0x7fff) > 0x7f80); break;
		case PHIZ_I8: same = out.i8[i] == want->i8[i]; break;
		case PHIZ_U8: same = out.u8[i] == want->u8[i]; break;
		case PHIZ_I32: same = out.i32[i] == want->i32[i]; break;
		case PHIZ_I64: same = out.i64[i] == want->i64[i]; break;
		case PHIZ_DTYPES: break;
		}
		if (!same)
			fail_msg("%s to %s: %.17g (%" PRId64 ") goes wrong", phiz_dtype_name(from), phiz_dtype_name(to),
			         want->f64[i], want->i64[i]);
	}
}

static struct rows rows;

static void test_convert_f64(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	read_f64_rows(&rows);
	for (int to = 0; to < PHIZ_DTYPES; to++)
		check_bits(ctx, PHIZ_F64, rows.f64, (enum phiz_dtype)to, &rows, rows.bf16);
	test_ctx_done(&ctx);
}

static void test_convert_i64(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	read_i64_rows(&rows);
	for (int to = 0; to < PHIZ_DTYPES; to++)
		check_bits(ctx, PHIZ_I64, rows.i64, (enum phiz_dtype)to, &rows, rows.bf16);
	test_ctx_done(&ctx);
}

/* From f32, f16 and bf16: what the exact value as a double becomes (checked above) is what they must become. */
static void check_from(struct phiz_ctx *ctx, enum phiz_dtype from, const void *in)
{
	static struct rows want;
	want = rows;
	convert(ctx, from, in, PHIZ_F64, want.f64, want.count);
	for (int i = 0; i < want.count; i++) {
		float f = (float)want.f64[i]; /* exact */
		double exact = from == PHIZ_F32   ? (double)f
		               : from == PHIZ_F16 ? value_of(((const uint16_t *)in)[i], 5, 10)
		                                  : value_of(((const uint16_t *)in)[i], 8, 7);
		assert_true(exact == want.f64[i] || isnan(exact));
		memcpy(&want.f32[i], &f, sizeof(f));
	}
	convert(ctx, PHIZ_F64, want.f64, PHIZ_F16, want.f16, want.count);
	convert(ctx, PHIZ_F64, want.f64, PHIZ_BF16, want.bf16, want.count);
	convert(ctx, PHIZ_F64, want.f64, PHIZ_I64, want.i64, want.count);
	for (int i = 0; i < want.count; i++) {
		int64_t v = want.i64[i];
		want.i8[i] = v < -128 ? -128 : v > 127 ? 127 : v;
		want.u8[i] = v < 0 ? 0 : v > 255 ? 255 : v;
		want.i32[i] = v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v;
	}
	for (int to = 0; to < PHIZ_DTYPES; to++)
		check_bits(ctx, from, in, (enum phiz_dtype)to, &want, want.bf16);
}

static void test_convert_others(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	read_f64_rows(&rows);
	check_from(ctx, PHIZ_F32, rows.f32);
	check_from(ctx, PHIZ_F16, rows.f16);
	check_from(ctx, PHIZ_BF16, rows.bf16);
	static uint16_t out[MAX_ROWS];
	convert(ctx, PHIZ_F32, rows.f32, PHIZ_BF16, out, rows.count);
	for (int i = 0; i < rows.count; i++)
		if (!isnan(rows.f64[i]))
			assert_int_equal(out[i], rows.bf16_of_f32[i]);
	/* Small integers from each integer dtype to each dtype and back. */
	int8_t i8[256], back[256];
	uint8_t u8[256];
	int64_t room[256];
	for (int i = 0; i < 256; i++) {
		i8[i] = (int8_t)(i - 128);
		u8[i] = (uint8_t)i;
	}
	for (int via = 0; via < PHIZ_DTYPES; via++) {
		if (via != PHIZ_U8) {
			convert(ctx, PHIZ_I8, i8, (enum phiz_dtype)via, room, 256);
			convert(ctx, (enum phiz_dtype)via, room, PHIZ_I8, back, 256);
			assert_memory_equal(i8, back, 256);
		}
		if (via != PHIZ_I8) {
			convert(ctx, PHIZ_U8, u8, (enum phiz_dtype)via, room, 256);
			convert(ctx, (enum phiz_dtype)via, room, PHIZ_U8, back, 256);
			assert_memory_equal(u8, back, 256);
		}
	}
	test_ctx_done(&ctx);
}

/* Whole arrays go through vectors: they must give what single numbers give, NaNs included, at any length. */
static void test_convert_arrays(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	static uint16_t all[65536], narrow[65536];
	static float wide[65536];
	for (unsigned i = 0; i < 65536; i++)
		all[i] = (uint16_t)i;
	for (int n = 65536; n > 65536 - 130; n -= 13) {
		convert(ctx, PHIZ_F16, all, PHIZ_F32, wide, n);
		for (int i = 0; i < n; i++) {
			float one = phiz_f16_to_f32(all[i]);
			assert_memory_equal(&one, &wide[i], sizeof(one));
		}
		convert(ctx, PHIZ_F32, wide, PHIZ_F16, narrow, n);
		for (int i = 0; i < n; i++)
			assert_int_equal(narrow[i], phiz_f32_to_f16(wide[i]));
		convert(ctx, PHIZ_BF16, all, PHIZ_F32, wide, n);
		for (int i = 0; i < n; i++) {
			float one = phiz_bf16_to_f32(all[i]);
			assert_memory_equal(&one, &wide[i], sizeof(one));
		}
		convert(ctx, PHIZ_F32, wide, PHIZ_BF16, narrow, n);
		for (int i = 0; i < n; i++)
			assert_int_equal(narrow[i], phiz_f32_to_bf16(wide[i]));
	}
	test_ctx_done(&ctx);
}

static void test_convert_refused(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_shape a = phiz_shape_2d(2, 3), b = phiz_shape_2d(3, 2), empty = phiz_shape_1d(0);
	float data[6] = {0}, out[6];
	struct phiz_tensor from, to;
	phiz_tensor_view(&from, PHIZ_F32, &a, data);
	phiz_tensor_view(&to, PHIZ_F32, &b, out);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_tensor_convert(ctx, &from, &to));
	assert_message(ctx, "cannot convert shape [2, 3] to [3, 2]");
	phiz_tensor_view(&to, PHIZ_F32, &a, out);
	to.stride[0] = 1;
	to.stride[1] = 2;
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_tensor_convert(ctx, &from, &to));
	assert_message(ctx, "not contiguous");
	phiz_tensor_view(&to, PHIZ_DTYPES, &a, out);
	assert_fails(ctx, PHIZ_E_SHAPE, phiz_tensor_convert(ctx, &from, &to));
	phiz_tensor_view(&from, PHIZ_F32, &empty, NULL);
	phiz_tensor_view(&to, PHIZ_I8, &empty, NULL);
	assert_ok(ctx, phiz_tensor_convert(ctx, &from, &to));
	test_ctx_done(&ctx);
}

static enum phiz_status make_tensors(struct phiz_ctx *ctx, void *user)
{
	struct phiz_tensor *t, *shared;
	enum phiz_status status = phiz_tensor_create(ctx, PHIZ_F32, user, &t);
	if (status)
		return status;
	status = phiz_tensor_share(ctx, t, &shared);
	phiz_tensor_free(ctx, &t);
	phiz_tensor_free(ctx, &shared);
	return status;
}

static void test_oom(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_shape shape = phiz_shape_2d(3, 4);
	test_every_oom(ctx, make_tensors, &shape);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dtypes),          cmocka_unit_test(test_shapes),      cmocka_unit_test(test_tensors),
		cmocka_unit_test(test_f16),             cmocka_unit_test(test_bf16),        cmocka_unit_test(test_convert_f64),
		cmocka_unit_test(test_convert_others),  cmocka_unit_test(test_convert_i64),
		cmocka_unit_test(test_convert_refused), cmocka_unit_test(test_convert_arrays),
		cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
