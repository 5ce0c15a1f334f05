/* Contexts: errors, log, memory counts and limits, forks. */
#include "support/support.h"

#include <locale.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/base/thread.h"

static void test_create(void **state)
{
	(void)state;
	struct phiz_ctx *ctx, *other;
	struct phiz_ctx_options options = {0};
	assert_int_equal(phiz_ctx_create(NULL, &ctx), PHIZ_OK);
	assert_true(phiz_ctx_threads(ctx) >= 1);
	assert_string_equal(phiz_ctx_message(ctx), "");
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_OK);
	options.threads = 3;
	assert_int_equal(phiz_ctx_create(&options, &other), PHIZ_OK);
	assert_int_equal(phiz_ctx_threads(other), 3);
	phiz_fail(other, PHIZ_E_IO, "elsewhere");
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_OK);
	phiz_ctx_free(&other);
	assert_null(other);
	phiz_ctx_free(&other);
	phiz_ctx_free(NULL);
	phiz_ctx_free(&ctx);
	options.threads = -1;
	assert_int_equal(phiz_ctx_create(&options, &ctx), PHIZ_E_ARG);
	assert_null(ctx);
	options.threads = 1025;
	assert_int_equal(phiz_ctx_create(&options, &ctx), PHIZ_E_ARG);
}

static void test_status_names(void **state)
{
	(void)state;
	for (int i = 0; i <= PHIZ_E_INTERNAL; i++) {
		assert_true(strlen(phiz_status_name((enum phiz_status)i)) > 1);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(phiz_status_name((enum phiz_status)i), phiz_status_name((enum phiz_status)j));
	}
	assert_non_null(phiz_status_name((enum phiz_status)999));
}

static void test_messages(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1), *fork;
	char text[3000];
	assert_int_equal(phiz_fail(ctx, PHIZ_E_SHAPE, "want %d, got %d", 64, 3), PHIZ_E_SHAPE);
	assert_string_equal(phiz_ctx_message(ctx), "want 64, got 3");
	assert_int_equal(phiz_fail_in(ctx, "conv2d %s", "layer1"), PHIZ_E_SHAPE);
	assert_string_equal(phiz_ctx_message(ctx), "conv2d layer1: want 64, got 3");
	/* The message as an argument of itself. */
	phiz_fail(ctx, PHIZ_E_IO, "again: %s", phiz_ctx_message(ctx));
	assert_string_equal(phiz_ctx_message(ctx), "again: conv2d layer1: want 64, got 3");
	/* One line of valid UTF-8, whatever a file's name brings. */
	phiz_fail(ctx, PHIZ_E_IO, "a\nb\tc\x1b[2Jd\xffz\xc3\xa9");
	assert_string_equal(phiz_ctx_message(ctx), "a b c?[2Jd?z\xc3\xa9");
	/* Too long: cut between characters. */
	for (size_t offset = 0; offset < 3; offset++) {
		memset(text, 'x', sizeof(text));
		for (size_t i = offset; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa9", 2);
		text[sizeof(text) - 1] = 0;
		phiz_fail(ctx, PHIZ_E_IO, "%s", text);
		size_t length = strlen(phiz_ctx_message(ctx));
		assert_in_range(length, 1000, 1023);
		assert_string_equal(phiz_ctx_message(ctx) + length - 3, "...");
		assert_true(phiz_utf8_valid(phiz_ctx_message(ctx), length));
		phiz_fail_in(ctx, "%s", text);
		length = strlen(phiz_ctx_message(ctx));
		assert_in_range(length, 1000, 1023);
		assert_non_null(strstr(phiz_ctx_message(ctx), "...: "));
		assert_true(phiz_utf8_valid(phiz_ctx_message(ctx), length));
	}
	phiz_ctx_clear(ctx);
	assert_string_equal(phiz_ctx_message(ctx), "");
	assert_ok(ctx, phiz_ctx_fork(ctx, &fork));
	assert_int_equal(phiz_fail_copy(ctx, fork), PHIZ_OK);
	phiz_fail(fork, PHIZ_E_LIMIT, "too many pixels");
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_OK);
	assert_int_equal(phiz_fail_copy(ctx, fork), PHIZ_E_LIMIT);
	assert_string_equal(phiz_ctx_message(ctx), "too many pixels");
	phiz_ctx_free(&fork);
	test_ctx_done(&ctx);
}

struct lines {
	int count;
	enum phiz_log_level level;
	char last[3000];
};

static void keep_line(void *user, enum phiz_log_level level, const char *line)
{
	struct lines *lines = user;
	lines->count++;
	lines->level = level;
	snprintf(lines->last, sizeof(lines->last), "%s", line);
}

static void log_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	for (; begin < end; begin++)
		phiz_log(arg, PHIZ_LOG_DEBUG, "piece %d of %d", (int)begin, worker);
}

static void test_log(void **state)
{
	(void)state;
	struct lines lines = {0};
	struct phiz_ctx_options options = {.threads = 4, .log = keep_line, .log_user = &lines};
	struct phiz_ctx *ctx, *fork;
	assert_int_equal(phiz_ctx_create(&options, &ctx), PHIZ_OK);
	phiz_log(ctx, PHIZ_LOG_WARN, "disk at %d %%\n", 97);
	assert_int_equal(lines.level, PHIZ_LOG_WARN);
	assert_string_equal(lines.last, "disk at 97 % ");
	assert_ok(ctx, phiz_ctx_fork(ctx, &fork));
	phiz_log(fork, PHIZ_LOG_INFO, "from the fork");
	assert_string_equal(lines.last, "from the fork");
	phiz_parallel_for(ctx, 1000, 1, log_pieces, ctx);
	assert_int_equal(lines.count, 1002);
	phiz_ctx_free(&fork);
	test_ctx_done(&ctx);
	assert_int_equal(phiz_ctx_create(NULL, &ctx), PHIZ_OK);
	phiz_log(ctx, PHIZ_LOG_ERROR, "nobody listens");
	phiz_ctx_free(&ctx);
}

static void test_alloc(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_memory_stats stats;
	void *blocks[64];
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = phiz_alloc(ctx, i, 3);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 64, 0);
		memset(blocks[i], 0xa5, i * 3);
	}
	phiz_ctx_memory(ctx, &stats);
	assert_int_equal(stats.live_bytes, 63 * 64 / 2 * 3);
	assert_int_equal(stats.live_blocks, 64);
	assert_int_equal(stats.allocations, 64);
	for (size_t i = 0; i < 64; i++)
		phiz_free(ctx, blocks[i]);
	phiz_free(ctx, NULL);
	phiz_ctx_memory(ctx, &stats);
	assert_int_equal(stats.live_bytes, 0);
	assert_int_equal(stats.live_blocks, 0);
	assert_int_equal(stats.peak_bytes, 63 * 64 / 2 * 3);

	unsigned char *p = phiz_calloc(ctx, 1000, 7);
	for (int i = 0; i < 7000; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0x5a, 7000);
	p = phiz_realloc(ctx, p, 20000, 1);
	assert_int_equal((uintptr_t)p % 64, 0);
	for (int i = 0; i < 7000; i++)
		assert_int_equal(p[i], 0x5a);
	p = phiz_realloc(ctx, p, 10, 1);
	assert_int_equal(p[9], 0x5a);
	assert_null(phiz_realloc(ctx, p, SIZE_MAX, 2));
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_E_NOMEM);
	assert_int_equal(p[9], 0x5a);
	phiz_free(ctx, p);
	p = phiz_realloc(ctx, NULL, 5, 5);
	assert_non_null(p);
	phiz_free(ctx, p);
	test_ctx_done(&ctx);
}

static void test_alloc_refused(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1), *limited;
	struct phiz_ctx_options options = {.threads = 1, .memory_limit = 3 << 20};
	assert_null(phiz_alloc(ctx, SIZE_MAX / 2, 3));
	assert_message(ctx, "out of memory");
	assert_null(phiz_calloc(ctx, SIZE_MAX, 1));
	assert_null(phiz_alloc(ctx, SIZE_MAX - 100, 1));
	assert_null(phiz_calloc(ctx, SIZE_MAX / 4, 1)); /* refused by the system */
	void *big = phiz_alloc(ctx, 99, 1 << 20);
	phiz_ctx_fail_allocation(ctx, 1);
	assert_null(phiz_alloc(ctx, 1234567, 1));
	assert_message(ctx, "out of memory: 1234567 bytes asked for, 99 MiB in use");
	phiz_free(ctx, big);

	assert_int_equal(phiz_ctx_create(&options, &limited), PHIZ_OK);
	big = phiz_alloc(limited, 2, 1 << 20);
	assert_non_null(big);
	assert_null(phiz_alloc(limited, (1 << 20) + 1, 1));
	assert_message(limited, "2 MiB in use, the limit is 3 MiB");
	void *rest = phiz_alloc(limited, 1 << 20, 1);
	assert_non_null(rest);
	assert_null(phiz_alloc(limited, 1, 1));
	phiz_free(limited, big);
	phiz_free(limited, rest);
	test_ctx_done(&limited);

	for (uint64_t k = 1; k <= 4; k++) {
		phiz_ctx_fail_allocation(ctx, k);
		for (uint64_t i = 1; i <= 6; i++) {
			void *p = phiz_alloc(ctx, 8, 1);
			assert_int_equal(p == NULL, i == k);
			phiz_free(ctx, p);
		}
	}
	phiz_ctx_fail_allocation(ctx, 1);
	phiz_ctx_fail_allocation(ctx, 0);
	phiz_free(ctx, phiz_alloc(ctx, 1, 1));
	test_ctx_done(&ctx);
}

static void test_sizes(void **state)
{
	(void)state;
	size_t out = 7;
	assert_true(phiz_size_mul(0, SIZE_MAX, &out));
	assert_int_equal(out, 0);
	assert_true(phiz_size_mul(SIZE_MAX, 1, &out));
	assert_true(out == SIZE_MAX);
	assert_true(phiz_size_mul(SIZE_MAX / 3, 3, &out));
	assert_false(phiz_size_mul(SIZE_MAX / 3 + 1, 3, &out));
	assert_false(phiz_size_mul((size_t)1 << 32, (size_t)1 << 32, &out));
	assert_true(phiz_size_add(SIZE_MAX - 1, 1, &out));
	assert_true(out == SIZE_MAX);
	assert_false(phiz_size_add(SIZE_MAX, 1, &out));
}

static void test_texts(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	char *a = phiz_strdup(ctx, "fc.weight"), *b = phiz_strndup(ctx, "fc.weight", 2), *c = phiz_strndup(ctx, "fc", 99);
	char *d = phiz_asprintf(ctx, "%s=%.3f%%", "lr", 0.5);
	assert_string_equal(a, "fc.weight");
	assert_string_equal(b, "fc");
	assert_string_equal(c, "fc");
	assert_string_equal(d, "lr=0.500%");
	phiz_free(ctx, a);
	phiz_free(ctx, b);
	phiz_free(ctx, c);
	phiz_free(ctx, d);
	test_ctx_done(&ctx);
}

static void test_grow(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	int32_t *items = NULL;
	size_t cap = 0;
	for (int32_t i = 0; i < 1000; i++) {
		assert_ok(ctx, phiz_grow(ctx, &items, &cap, (size_t)i + 1, sizeof(*items)));
		items[i] = i;
	}
	struct phiz_memory_stats stats;
	phiz_ctx_memory(ctx, &stats);
	assert_true(stats.allocations < 12);
	for (int32_t i = 0; i < 1000; i++)
		assert_int_equal(items[i], i);
	size_t before = cap;
	assert_fails(ctx, PHIZ_E_NOMEM, phiz_grow(ctx, &items, &cap, SIZE_MAX / 2, sizeof(*items)));
	assert_int_equal(cap, before);
	assert_int_equal(items[999], 999);
	phiz_free(ctx, items);
	test_ctx_done(&ctx);
}

/* Memory of a context may be given back through its fork and the other way round. */
static void test_fork_memory(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2), *fork, *grandchild;
	struct phiz_memory_stats stats, same;
	assert_ok(ctx, phiz_ctx_fork(ctx, &fork));
	assert_ok(fork, phiz_ctx_fork(fork, &grandchild));
	assert_int_equal(phiz_ctx_threads(fork), 1);
	void *a = phiz_alloc(ctx, 100, 1), *b = phiz_alloc(fork, 200, 1), *c = phiz_alloc(grandchild, 300, 1);
	phiz_ctx_memory(ctx, &stats);
	phiz_ctx_memory(grandchild, &same);
	assert_memory_equal(&stats, &same, sizeof(stats));
	phiz_free(grandchild, a);
	phiz_free(ctx, b);
	phiz_free(fork, c);
	phiz_ctx_free(&grandchild);
	phiz_ctx_free(&fork);
	phiz_ctx_fail_allocation(ctx, 1);
	assert_fails(ctx, PHIZ_E_NOMEM, phiz_ctx_fork(ctx, &fork));
	assert_null(fork);
	test_ctx_done(&ctx);
}

/* A program with a German locale still gets points in its numbers. */
static void test_locale(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8", "nl_NL.UTF-8"};
	bool found = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++)
		found = setlocale(LC_ALL, names[i]) != NULL;
	if (!found)
		print_message("           no locale with a decimal comma is installed\n");
	double value;
	char *text = phiz_asprintf(ctx, "%.2f", 0.25);
	assert_string_equal(text, "0.25");
	assert_ok(ctx, phiz_parse_f64(ctx, "1.5e-3", 0, 1, &value));
	assert_true(value == 1.5e-3);
	assert_fails(ctx, PHIZ_E_ARG, phiz_parse_f64(ctx, "1,5", 0, 10, &value));
	phiz_free(ctx, text);
	setlocale(LC_ALL, "C");
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),   cmocka_unit_test(test_status_names),  cmocka_unit_test(test_messages),
		cmocka_unit_test(test_log),      cmocka_unit_test(test_alloc),         cmocka_unit_test(test_alloc_refused),
		cmocka_unit_test(test_sizes),    cmocka_unit_test(test_texts),         cmocka_unit_test(test_grow),
		cmocka_unit_test(test_fork_memory), cmocka_unit_test(test_locale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
