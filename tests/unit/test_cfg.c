/* The strict .cfg reader. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/io/cfg.h"

static struct phiz_ctx *ctx;

static void check_line(const struct phiz_cfg *cfg, size_t i, const char *section, const char *key, const char *value,
                       int index, int line)
{
	assert_true(i < cfg->count);
	assert_string_equal(cfg->line[i].section, section);
	assert_string_equal(cfg->line[i].key, key);
	assert_string_equal(cfg->line[i].value, value);
	assert_int_equal(cfg->line[i].section_index, index);
	assert_int_equal(cfg->line[i].line, line);
}

static void reads(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# a comment\r\n\r\n[train] ; of training\r\nlr=0.1\r\n  epochs =  25 # all\n"
		"\n[ data.aug ]\nempty =# none\nname = a b\t; c\nurl = x#y;z=1\n[conv]\n[conv]\nn = \xc3\xa4";
	struct phiz_cfg cfg;

	(void)state;
	assert_ok(ctx, phiz_cfg_parse(ctx, text, sizeof(text) - 1, "x.cfg", 1, &cfg));
	assert_int_equal(cfg.count, 6);
	assert_int_equal(cfg.n_sections, 4);
	check_line(&cfg, 0, "train", "lr", "0.1", 0, 4);
	check_line(&cfg, 1, "train", "epochs", "25", 0, 5);
	check_line(&cfg, 2, "data.aug", "empty", "", 1, 8);
	check_line(&cfg, 3, "data.aug", "name", "a b", 1, 9);
	check_line(&cfg, 4, "data.aug", "url", "x#y;z=1", 1, 10);
	check_line(&cfg, 5, "conv", "n", "\xc3\xa4", 3, 13);
	assert_string_equal(cfg.section[2].name, "conv");
	assert_int_equal(cfg.section[2].line, 11);
	phiz_cfg_free(ctx, &cfg);
	assert_ok(ctx, phiz_cfg_parse(ctx, NULL, 0, "x.cfg", 0, &cfg));
	assert_int_equal(cfg.count, 0);
	phiz_cfg_free(ctx, &cfg);
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"k = v\n", "x.cfg:1: key 'k' stands before the first [section]"},
		{"[a]\n\nnonsense\n", "x.cfg:3: neither [section] nor key = value: 'nonsense'"},
		{"[a]\nk = 1\nj = 2\nk = 3\n", "x.cfg:4: key 'k' comes twice in [a], first in line 2"},
		{"[a]\n[b]\n[a]\n", "x.cfg:3: section [a] comes twice, first in line 1"},
		{"[a\nk = 1\n", "x.cfg:1: a section wants [name]"},
		{"[]\n", "x.cfg:1: a section has no name"},
		{"[a b]\n", "x.cfg:1: 'a b' cannot be the name of a section"},
		{"[a]\n= 3\n", "x.cfg:2: a key has no name"},
		{"[a]\nk: 3\n", "x.cfg:2: neither"},
		{"[a]\nk\x01 = 3\n", "x.cfg:2: control character 0x01"},
		{"[a]\nk = \xff\n", "x.cfg:2: not valid UTF-8"},
	};
	struct phiz_cfg cfg;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_cfg_parse(ctx, bad[i].text, strlen(bad[i].text), "x.cfg", 0, &cfg));
		assert_message(ctx, bad[i].message);
		assert_int_equal(cfg.count, 0);
	}
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_cfg_parse(ctx, "[a]\nk\0 = 1", 10, "x.cfg", 0, &cfg));
	assert_message(ctx, "x.cfg:2: a NUL byte");
}

/* A line of exactly n bytes, with a line break. */
static void line_of(size_t n, enum phiz_status want)
{
	char *text = phiz_alloc(ctx, n + 5, 1);
	struct phiz_cfg cfg;

	assert_non_null(text);
	memcpy(text, "[a]\nk=", 6);
	memset(text + 6, 'x', n - 2);
	text[n + 4] = '\n';
	if (want) {
		assert_fails(ctx, want, phiz_cfg_parse(ctx, text, n + 5, "x.cfg", 0, &cfg));
	} else {
		assert_ok(ctx, phiz_cfg_parse(ctx, text, n + 5, "x.cfg", 0, &cfg));
		assert_int_equal(strlen(cfg.line[0].value), n - 2);
		phiz_cfg_free(ctx, &cfg);
	}
	phiz_free(ctx, text);
}

/* Lines far longer than inih's 200 bytes come whole. */
static void long_lines(void **state)
{
	(void)state;
	line_of(198, PHIZ_OK);
	line_of(199, PHIZ_OK);
	line_of(4096, PHIZ_OK);
	line_of(4097, PHIZ_E_FORMAT);
	line_of((1 << 20) + 1, PHIZ_E_LIMIT);
}

static int done(void **state)
{
	(void)state;
	test_ctx_done(&ctx);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads, begin, done),
		cmocka_unit_test_setup_teardown(refuses, begin, done),
		cmocka_unit_test_setup_teardown(long_lines, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
