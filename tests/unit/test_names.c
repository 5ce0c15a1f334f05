#include "support/support.h"

#include "core/base/bytes.h"
#include "datasets/names.h"

static void test_oddities(void **state)
{
	static const struct {
		const char *name;
		unsigned want;
	} cases[] = {
		{"anna.jpg", 0},
		{"Zo\xc3\xab 2.jpg", 0},
		{".hidden", 0},
		{"\xe6\x97\xa5\xe6\x9c\xac.png", 0},
		{"a\nb.jpg", PHIZ_NAME_CONTROL},
		{"a\x7f.jpg", PHIZ_NAME_CONTROL},
		{"a\xc2\x85.jpg", PHIZ_NAME_CONTROL},
		{" a.jpg", PHIZ_NAME_BLANK},
		{"a.jpg ", PHIZ_NAME_BLANK},
		{"\xc2\xa0" "a", PHIZ_NAME_BLANK},
		{"a\xe3\x80\x80", PHIZ_NAME_BLANK},
		{"a:b.jpg", PHIZ_NAME_RESERVED},
		{"what?.jpg", PHIZ_NAME_RESERVED},
		{"a.", PHIZ_NAME_RESERVED},
		{"con", PHIZ_NAME_RESERVED},
		{"COM1.tar.gz", PHIZ_NAME_RESERVED},
		{"COM.jpg", 0},
		{"console.jpg", 0},
		{"caf\xe9.jpg", PHIZ_NAME_NOT_UTF8},
		{"\xc0\xaf", PHIZ_NAME_NOT_UTF8},
		{"\n", PHIZ_NAME_CONTROL | PHIZ_NAME_BLANK},
	};
	char name[260];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (phiz_name_oddities(cases[i].name) != cases[i].want)
			fail_msg("%s: %u, want %u", cases[i].name, phiz_name_oddities(cases[i].name), cases[i].want);
	memset(name, 'x', sizeof(name));
	name[PHIZ_NAME_MAX] = '\0';
	assert_int_equal(phiz_name_oddities(name), 0);
	name[PHIZ_NAME_MAX] = 'x';
	name[PHIZ_NAME_MAX + 1] = '\0';
	assert_int_equal(phiz_name_oddities(name), PHIZ_NAME_LONG);
}

static void test_folding(void **state)
{
	(void)state;
	assert_int_equal(phiz_name_compare_folded("Anna", "aNNA"), 0);
	assert_int_equal(phiz_name_compare_folded("ZO\xc3\x8b", "zo\xc3\xab"), 0);
	assert_int_equal(phiz_name_compare_folded("\xd0\x98\xd0\x92\xd0\x90", "\xd0\xb8\xd0\xb2\xd0\xb0"), 0);
	assert_int_equal(phiz_name_compare_folded("\xce\xa9", "\xcf\x89"), 0);
	assert_int_equal(phiz_name_compare_folded("\xc5\x81", "\xc5\x82"), 0);
	assert_true(phiz_name_compare_folded("anna", "anna2") < 0);
	assert_true(phiz_name_compare_folded("b", "A") > 0);
	assert_true(phiz_name_compare_folded("\xc3\x97", "\xc3\xb7") != 0); /* the signs of multiplication and division */
	assert_true(phiz_name_compare_folded("\xe9", "\xe8") != 0);
}

static void test_escape(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_bytes b;
	char all[256];

	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	phiz_bytes_init(&b, ctx);
	phiz_name_escape(all, &b);
	for (size_t i = 0; i < b.size; i++)
		assert_true(b.data[i] > ' ' && b.data[i] < 0x7f);
	assert_true(phiz_name_unescape(b.data));
	assert_string_equal(b.data, all);
	phiz_bytes_clear(&b);
	phiz_name_show("a\n\xe9\xc3\xa9", &b);
	assert_string_equal(b.data, "a\\x0a\\xe9\xc3\xa9");
	phiz_bytes_clear(&b);
	phiz_name_describe(PHIZ_NAME_CONTROL | PHIZ_NAME_CASE, "x", &b);
	assert_string_equal(b.data, "holds a control character; differs from another one in nothing but case");
	phiz_bytes_free(&b);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oddities),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_escape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
