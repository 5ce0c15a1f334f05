/* Byte strings, escapes, readers, hashes. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/reader.h"
#include "core/base/sha256.h"

static struct phiz_ctx *ctx;
static struct phiz_bytes b;

static int setup(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	phiz_bytes_init(&b, ctx);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	phiz_bytes_free(&b);
	phiz_bytes_free(&b);
	test_ctx_done(&ctx);
	return 0;
}

static void test_appends(void **state)
{
	(void)state;
	phiz_bytes_text(&b, "");
	assert_string_equal(b.data, "");
	phiz_bytes_add(&b, "ab\0c", 4);
	phiz_bytes_u8(&b, 0x1ff);
	phiz_bytes_u32le(&b, 0x01020304);
	phiz_bytes_u64le(&b, 0x1112131415161718u);
	phiz_bytes_printf(&b, "%s-%d", "x", 7);
	static const char want[] = "ab\0c\xff\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11x-7";
	assert_int_equal(b.size, sizeof(want) - 1);
	assert_memory_equal(b.data, want, sizeof(want));
	assert_int_equal(phiz_bytes_status(&b), PHIZ_OK);
	phiz_bytes_clear(&b);
	assert_int_equal(b.size, 0);
	assert_string_equal(b.data, "");
	/* Around the size that printf tries first. */
	for (int n = 250; n < 260; n++) {
		phiz_bytes_clear(&b);
		phiz_bytes_printf(&b, "%*d", n, 5);
		assert_int_equal(b.size, n);
		assert_int_equal(b.data[n - 1], '5');
		assert_int_equal(b.data[n], 0);
	}
	assert_ok(ctx, phiz_bytes_reserve(&b, 5000));
	phiz_ctx_fail_allocation(ctx, 1);
	while (b.size < 5000)
		phiz_bytes_u8(&b, 'y');
	assert_int_equal(phiz_bytes_status(&b), PHIZ_OK);
	phiz_ctx_fail_allocation(ctx, 0);
}

static void test_failed(void **state)
{
	(void)state;
	phiz_bytes_text(&b, "kept");
	phiz_ctx_fail_allocation(ctx, 1);
	for (int i = 0; i < 10000; i++)
		phiz_bytes_text(&b, "more");
	assert_int_equal(phiz_bytes_status(&b), PHIZ_E_NOMEM);
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_E_NOMEM);
	size_t size = b.size;
	phiz_bytes_u8(&b, '!');
	assert_int_equal(b.size, size);
	assert_int_equal(strlen(b.data), size);
	phiz_bytes_clear(&b);
	phiz_bytes_text(&b, "again");
	assert_string_equal(b.data, "again");
	assert_int_equal(phiz_bytes_status(&b), PHIZ_OK);
}

static void check(void (*add)(struct phiz_bytes *, const char *), const char *text, const char *want)
{
	phiz_bytes_clear(&b);
	add(&b, text);
	assert_string_equal(b.data, want);
}

#define FFFD "\xef\xbf\xbd"

static void test_json(void **state)
{
	(void)state;
	check(phiz_bytes_json, "", "\"\"");
	check(phiz_bytes_json, "J\xc3\xbcrgen", "\"J\xc3\xbcrgen\"");
	check(phiz_bytes_json, "a\"b\\c/\b\f\n\r\t\x01\x1f\x7f", "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
	check(phiz_bytes_json, "</script>", "\"\\u003c/script>\"");
	check(phiz_bytes_json, "\xff", "\"" FFFD "\"");
	check(phiz_bytes_json, "a\xc3(", "\"a" FFFD "(\"");             /* cut short */
	check(phiz_bytes_json, "\xc0\xaf", "\"" FFFD FFFD "\"");        /* overlong / */
	check(phiz_bytes_json, "\xed\xa0\x80", "\"" FFFD FFFD FFFD "\""); /* surrogate */
	check(phiz_bytes_json, "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
	check(phiz_bytes_json, "\xf4\x90\x80\x80", "\"" FFFD FFFD FFFD FFFD "\""); /* above U+10FFFF */
	check(phiz_bytes_json, "\xe2\x82", "\"" FFFD FFFD "\"");
}

static void test_html_csv(void **state)
{
	(void)state;
	check(phiz_bytes_html, "<b>\"O'Hara\" & Co</b>", "&lt;b&gt;&quot;O&#39;Hara&quot; &amp; Co&lt;/b&gt;");
	check(phiz_bytes_html, "a\x01\nb\xfe", "a" FFFD "\nb" FFFD);
	check(phiz_bytes_csv, "plain text", "plain text");
	check(phiz_bytes_csv, "", "");
	check(phiz_bytes_csv, "a,b", "\"a,b\"");
	check(phiz_bytes_csv, "say \"hi\"", "\"say \"\"hi\"\"\"");
	check(phiz_bytes_csv, "\"", "\"\"\"\"");
	check(phiz_bytes_csv, "two\nlines", "\"two\nlines\"");
}

/* RFC 4648, section 10. */
static void test_base64(void **state)
{
	(void)state;
	static const char *const want[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	for (size_t n = 0; n < 7; n++) {
		phiz_bytes_clear(&b);
		phiz_bytes_base64(&b, "foobar", n);
		assert_string_equal(b.data, want[n]);
	}
	phiz_bytes_clear(&b);
	phiz_bytes_text(&b, "data:");
	phiz_bytes_base64(&b, "\xff\xff\xfe\x00", 4);
	assert_string_equal(b.data, "data:///+AA==");
}

static void test_reader(void **state)
{
	(void)state;
	static const unsigned char data[] = {1, 2, 3, 4, 5, 6, 7, 0x88, 9, 10, 0xff, 0xfe, 13, 14, 15};
	struct phiz_reader r = {data, sizeof(data), 0};
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	const unsigned char *p;
	assert_true(phiz_reader_u64(&r, &u64));
	assert_true(u64 == 0x8807060504030201u);
	assert_true(phiz_reader_u8(&r, &u8));
	assert_int_equal(u8, 9);
	assert_true(phiz_reader_u16(&r, &u16));
	assert_int_equal(u16, 0xff0a);
	assert_true(phiz_reader_u32(&r, &u32));
	assert_int_equal(u32, 0x0f0e0dfe);
	assert_int_equal(phiz_reader_left(&r), 0);
	assert_false(phiz_reader_u8(&r, &u8));
	assert_true(phiz_reader_take(&r, 0, &p));
	assert_true(phiz_reader_seek(&r, 12));
	assert_int_equal(phiz_reader_left(&r), 3);
	assert_false(phiz_reader_u32(&r, &u32));
	assert_false(phiz_reader_u64(&r, &u64));
	assert_false(phiz_reader_take(&r, 4, &p));
	assert_false(phiz_reader_take(&r, SIZE_MAX, &p));
	assert_int_equal(r.pos, 12);
	assert_true(phiz_reader_take(&r, 3, &p));
	assert_ptr_equal(p, data + 12);
	assert_true(phiz_reader_seek(&r, sizeof(data)));
	assert_false(phiz_reader_seek(&r, sizeof(data) + 1));
	assert_false(phiz_reader_u16(&r, &u16));
}

/* FIPS 180-2, appendix B. */
static void test_sha256(void **state)
{
	(void)state;
	struct phiz_sha256 h;
	char hex[65], a[1000];
	phiz_sha256_init(&h);
	phiz_sha256_hex(&h, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	phiz_sha256_init(&h);
	phiz_sha256_add(&h, "a", 1);
	phiz_sha256_add(&h, NULL, 0);
	phiz_sha256_add(&h, "bc", 2);
	phiz_sha256_hex(&h, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(a, 'a', sizeof(a));
	phiz_sha256_init(&h);
	for (int i = 0; i < 1000; i++)
		phiz_sha256_add(&h, a, sizeof(a));
	phiz_sha256_hex(&h, hex);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_appends), T(test_failed), T(test_json), T(test_html_csv), T(test_base64), T(test_reader), T(test_sha256),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
