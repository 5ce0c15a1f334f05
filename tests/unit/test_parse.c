/* Numbers, truth values, suggestions, UTF-8. */
#include "support/support.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/parse.h"
#include "core/base/rng.h"

static struct phiz_ctx *ctx;

static int setup(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_ctx_done(&ctx);
	return 0;
}

static void test_i64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t value;
	} good[] = {{"0", 0}, {"-0", 0}, {"+7", 7}, {"007", 7}, {"9223372036854775807", INT64_MAX},
	            {"-9223372036854775808", INT64_MIN}, {"-42", -42}};
	static const char *const bad[] = {"", "-", "+", " 1", "1 ", "1x", "0x10", "1.0", "1e3", "9223372036854775808",
	                                  "-9223372036854775809", "99999999999999999999999", "--1", "nan", "\xd9\xa1"};
	int64_t v;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_ok(ctx, phiz_parse_i64(ctx, good[i].text, INT64_MIN, INT64_MAX, &v));
		assert_true(v == good[i].value);
	}
	v = 5;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ctx, PHIZ_E_ARG, phiz_parse_i64(ctx, bad[i], INT64_MIN, INT64_MAX, &v));
	assert_int_equal(v, 5);
	assert_ok(ctx, phiz_parse_i64(ctx, "100", 1, 100, &v));
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_i64(ctx, "101", 1, 100, &v));
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_i64(ctx, "0", 1, 100, &v));
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_i64(ctx, "12x", 1, 100, &v));
	assert_string_equal(phiz_ctx_message(ctx), "want a whole number from 1 to 100, got '12x'");
}

static void test_f64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
	} good[] = {{"0", 0}, {"-0.0", -0.0}, {"1e-3", 1e-3}, {"+2.5E+2", 250}, {".5", .5}, {"5.", 5}, {"1e308", 1e308},
	            {"2.2250738585072011e-308", 2.2250738585072011e-308}, {"4.9e-324", 4.9e-324}, {"1e-400", 0},
	            {"1.00000005960464484", 1.00000005960464484}, {"9007199254740993", 9007199254740992.0},
	            {"0.1000000000000000055511151231257827021181583404541015625", 0.1}};
	static const char *const bad[] = {"", " 1", "1 ", "nan", "inf", "-infinity", "0x1p3", "1e", "1e+", ".", "-.",
	                                  "1..2", "1,5", "1e5x", "1e999", "-1e999", "1_000", "e5", "+-1"};
	double v;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_ok(ctx, phiz_parse_f64(ctx, good[i].text, -INFINITY, INFINITY, &v));
		assert_memory_equal(&v, &good[i].value, sizeof(v));
	}
	v = 5;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ctx, PHIZ_E_ARG, phiz_parse_f64(ctx, bad[i], -INFINITY, INFINITY, &v));
	assert_true(v == 5);
	assert_ok(ctx, phiz_parse_f64(ctx, "1", 0, 1, &v));
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_f64(ctx, "1.0000001", 0, 1, &v));
	assert_string_equal(phiz_ctx_message(ctx), "want a number from 0 to 1, got '1.0000001'");
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_f64(ctx, "-1", 0, DBL_MAX, &v));
	assert_string_equal(phiz_ctx_message(ctx), "want a number of 0 or more, got '-1'");
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_f64(ctx, "ten", -INFINITY, INFINITY, &v));
	assert_string_equal(phiz_ctx_message(ctx), "want a number, got 'ten'");
}

/* What %.17g writes comes back with every bit. */
static void test_f64_round_trip(void **state)
{
	(void)state;
	struct phiz_rng rng;
	char text[64];
	double value, back;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = (uint64_t)phiz_rng_u32(&rng) << 32;
		bits |= phiz_rng_u32(&rng);
		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		snprintf(text, sizeof(text), "%.17g", value);
		assert_ok(ctx, phiz_parse_f64(ctx, text, -INFINITY, INFINITY, &back));
		assert_memory_equal(&value, &back, sizeof(value));
	}
}

static void test_bool(void **state)
{
	(void)state;
	static const char *const yes[] = {"true", "yes", "on", "1", "True", "ON"};
	static const char *const no[] = {"false", "no", "off", "0", "No"};
	static const char *const bad[] = {"", "tru", "truee", "2", " true", "y", "-1"};
	bool v;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		v = false;
		assert_ok(ctx, phiz_parse_bool(ctx, yes[i], &v));
		assert_true(v);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		v = true;
		assert_ok(ctx, phiz_parse_bool(ctx, no[i], &v));
		assert_false(v);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ctx, PHIZ_E_ARG, phiz_parse_bool(ctx, bad[i], &v));
}

static void test_suggest(void **state)
{
	(void)state;
	static const char *const list[] = {"train", "eval", "export", "predict", "info", "label_smoothing", "epochs", "lr"};
	static const struct {
		const char *word, *want;
	} cases[] = {{"tarin", "train"},     {"trian", "train"},  {"trains", "train"}, {"evla", "eval"},
	             {"predcit", "predict"}, {"Epoch", "epochs"}, {"LR", "lr"},        {"exprot", "export"},
	             {"", NULL},             {"ev", NULL},        {"trunk", NULL},     {"xx", NULL},     {"banana", NULL},
	             {"label_smothing", "label_smoothing"},       {"labelsmoothing", "label_smoothing"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = phiz_suggest(cases[i].word, list, 8);
		if (cases[i].want)
			assert_string_equal(got ? got : "(none)", cases[i].want);
		else
			assert_null(got);
	}
	char longest[200];
	memset(longest, 'a', 199);
	longest[199] = 0;
	assert_null(phiz_suggest(longest, list, 8));
	longest[63] = 0;
	assert_null(phiz_suggest(longest, list, 8));
	assert_null(phiz_suggest("train", NULL, 0));
}

static void test_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {{"", true}, {"abc", true}, {"\xc2\x80", true}, {"\xdf\xbf", true}, {"\xe0\xa0\x80", true},
	             {"\xef\xbf\xbf", true}, {"\xf0\x90\x80\x80", true}, {"\xf4\x8f\xbf\xbf", true}, {"\xed\x9f\xbf", true},
	             {"\xee\x80\x80", true}, {"\x80", false}, {"\xc1\xbf", false}, {"\xe0\x9f\xbf", false},
	             {"\xed\xa0\x80", false}, {"\xed\xbf\xbf", false}, {"\xf0\x8f\xbf\xbf", false},
	             {"\xf4\x90\x80\x80", false}, {"\xf5\x80\x80\x80", false}, {"\xff", false}, {"a\xc3", false},
	             {"\xe2\x82", false}, {"\xf0\x9f\x98", false}, {"\xc3\x28", false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(phiz_utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid);
	assert_true(phiz_utf8_valid("a\0b", 3));
	assert_int_equal(phiz_utf8_next("\xe2\x82\xac", 3), 3);
	assert_int_equal(phiz_utf8_next("\xe2\x82\xac", 2), 0);
	assert_int_equal(phiz_utf8_next("", 0), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_i64),  T(test_f64),     T(test_f64_round_trip),
	                                   T(test_bool), T(test_suggest), T(test_utf8)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
