#include "support/support.h"

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "datasets/csv.h"

static void parse(struct phiz_ctx *ctx, const char *text, struct phiz_csv *csv)
{
	assert_ok(ctx, phiz_csv_parse(ctx, text, strlen(text), "x.csv", csv));
}

static void test_plain(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_csv csv;

	(void)state;
	parse(ctx, "a,b,c\n1,, 3 \nx,y,z", &csv);
	assert_int_equal(csv.columns, 3);
	assert_int_equal(csv.count, 3);
	assert_string_equal(csv.row[0].field[2], "c");
	assert_string_equal(csv.row[1].field[1], "");
	assert_string_equal(csv.row[1].field[2], " 3 ");
	assert_string_equal(csv.row[2].field[2], "z");
	assert_int_equal(csv.row[2].line, 3);
	phiz_csv_free(ctx, &csv);
	test_ctx_done(&ctx);
}

static void test_quotes_line_ends_and_mark(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_csv csv;

	(void)state;
	parse(ctx, "\xef\xbb\xbf\"a\",b\r\n\"one, \"\"two\"\"\nthree\",\"\"\r\n\"\"\"\",\xc3\xa4\r\n", &csv);
	assert_int_equal(csv.count, 3);
	assert_string_equal(csv.row[0].field[0], "a");
	assert_string_equal(csv.row[1].field[0], "one, \"two\"\nthree");
	assert_string_equal(csv.row[1].field[1], "");
	assert_int_equal(csv.row[1].line, 2);
	assert_string_equal(csv.row[2].field[0], "\"");
	assert_string_equal(csv.row[2].field[1], "\xc3\xa4");
	assert_int_equal(csv.row[2].line, 4);
	phiz_csv_free(ctx, &csv);

	parse(ctx, "a\n\nb\n", &csv); /* in one column an empty field is a field */
	assert_int_equal(csv.count, 3);
	assert_string_equal(csv.row[1].field[0], "");
	phiz_csv_free(ctx, &csv);
	test_ctx_done(&ctx);
}

static void test_hostile(void **state)
{
	static const struct {
		const char *text, *message;
		size_t size; /* 0: strlen */
	} bad[] = {
		{"", "x.csv:1: an empty file", 0},
		{"\xef\xbb\xbf", "x.csv:1: an empty file", 0},
		{"\n", "x.csv:1: an empty line", 0},
		{"a,b\n1\n", "x.csv:2: 1 fields, want 2", 0},
		{"a,b\n1,2,3\n", "x.csv:2: 3 fields, want 2", 0},
		{"a,b\n1,2\n\n3,4\n", "x.csv:3: an empty line", 0},
		{"a,b\n1,2\n3,4\n\n", "x.csv:4: an empty line", 0},
		{"a,b\n1,x\"y\n", "x.csv:2: a quote inside", 0},
		{"a,b\n1,\"x\"y\n", "x.csv:2: text after the closing quote", 0},
		{"a,b\n1,\"x\n\n\n", "x.csv:2: a quote that is opened here is never closed", 0},
		{"a,b\r1,2\n", "x.csv:1: a carriage return", 0},
		{"a,b\r", "x.csv:1: a carriage return", 0},
		{"a,b\n1,\0\n", "x.csv:2: a NUL byte", 8},
		{"a,b\n1,2\n\xff,2\n", "x.csv:3: bytes that are not UTF-8", 0},
		{"a,b\n1,2\n\xed\xa0\x80,2\n", "x.csv:3: bytes that are not UTF-8", 0},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_csv csv;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t size = bad[i].size ? bad[i].size : strlen(bad[i].text);
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_csv_parse(ctx, bad[i].text, size, "x.csv", &csv));
		assert_message(ctx, bad[i].message);
	}
	test_ctx_done(&ctx);
}

/* What phiz_bytes_csv writes is read back, whatever the text. */
static void test_round_trip(void **state)
{
	static const char *const texts[] = {"", "plain", "a,b", "\"", "\"\"", "line\nfeed", "cr\r\nlf", " space ", "\r",
	                                    "\xe2\x82\xac", "'"};
	const size_t n = sizeof(texts) / sizeof(texts[0]);
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_bytes b;
	struct phiz_csv csv;

	(void)state;
	phiz_bytes_init(&b, ctx);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			phiz_bytes_csv(&b, texts[(i + k) % n]);
			phiz_bytes_text(&b, k + 1 < n ? "," : "\n");
		}
	}
	assert_ok(ctx, phiz_csv_parse(ctx, b.data, b.size, "x.csv", &csv));
	assert_int_equal(csv.count, n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			assert_string_equal(csv.row[i].field[k], texts[(i + k) % n]);
	phiz_csv_free(ctx, &csv);
	phiz_bytes_free(&b);
	test_ctx_done(&ctx);
}

static enum phiz_status parse_once(struct phiz_ctx *ctx, void *user)
{
	struct phiz_csv csv;
	enum phiz_status status = phiz_csv_parse(ctx, user, strlen(user), "x.csv", &csv);

	if (!status)
		phiz_csv_free(ctx, &csv);
	return status;
}

static void test_oom(void **state)
{
	char text[] = "a,b\n1,2\n3,\"4\"\n5,6\n7,8\n9,10\n11,12\n";
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	test_every_oom(ctx, parse_once, text);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_quotes_line_ends_and_mark), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
