#define _XOPEN_SOURCE 700 /* nftw */
#include "support/support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/alloc.h"

static void print_line(void *user, enum phiz_log_level level, const char *line)
{
	(void)user;
	if (level <= PHIZ_LOG_WARN || getenv("PHIZ_TEST_LOG"))
		fprintf(stderr, "%s\n", line);
}

struct phiz_ctx *test_ctx(int threads)
{
	struct phiz_ctx_options options = {0};
	struct phiz_ctx *ctx;
	options.threads = threads;
	options.log = print_line;
	assert_int_equal(phiz_ctx_create(&options, &ctx), PHIZ_OK);
	return ctx;
}

void test_ctx_done(struct phiz_ctx **ctx)
{
	struct phiz_memory_stats stats;
	phiz_ctx_memory(*ctx, &stats);
	phiz_ctx_free(ctx);
	if (stats.live_blocks)
		fail_msg("%zu blocks with %zu bytes were not freed", stats.live_blocks, stats.live_bytes);
}

void test_status(struct phiz_ctx *ctx, enum phiz_status want, enum phiz_status got, const char *call, const char *file,
                 int line)
{
	if (got != want) {
		print_error("%s:%d: %s: want \"%s\", got \"%s\": %s\n", file, line, call, phiz_status_name(want),
		            phiz_status_name(got), ctx ? phiz_ctx_message(ctx) : "");
		_fail(file, line);
	}
	if (want == PHIZ_OK || !ctx)
		return;
	if (phiz_ctx_status(ctx) != want || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n')) {
		print_error("%s:%d: %s: the context says \"%s\" with the message \"%s\"\n", file, line, call,
		            phiz_status_name(phiz_ctx_status(ctx)), phiz_ctx_message(ctx));
		_fail(file, line);
	}
}

void test_message(struct phiz_ctx *ctx, const char *text, const char *file, int line)
{
	if (strstr(phiz_ctx_message(ctx), text))
		return;
	print_error("%s:%d: want a message with \"%s\", got \"%s\"\n", file, line, text, phiz_ctx_message(ctx));
	_fail(file, line);
}

void test_every_oom(struct phiz_ctx *ctx, test_oom_fn fn, void *user)
{
	struct phiz_memory_stats before, after;
	enum phiz_status status;
	uint64_t k = 0;
	do {
		phiz_ctx_clear(ctx);
		phiz_ctx_memory(ctx, &before);
		phiz_ctx_fail_allocation(ctx, ++k);
		status = fn(ctx, user);
		phiz_ctx_fail_allocation(ctx, 0);
		phiz_ctx_memory(ctx, &after);
		if (after.live_bytes != before.live_bytes || after.live_blocks != before.live_blocks)
			fail_msg("allocation %llu fails: %lld bytes in %lld blocks leak", (unsigned long long)k,
			         (long long)(after.live_bytes - before.live_bytes),
			         (long long)(after.live_blocks - before.live_blocks));
		bool reached = after.allocations - before.allocations >= k;
		if (reached && status != PHIZ_E_NOMEM)
			fail_msg("allocation %llu fails: want \"out of memory\", got \"%s\": %s", (unsigned long long)k,
			         phiz_status_name(status), phiz_ctx_message(ctx));
		if (!reached && status != PHIZ_OK)
			fail_msg("no allocation fails: %s", phiz_ctx_message(ctx));
	} while (status != PHIZ_OK);
	if (k < 2)
		fail_msg("nothing was allocated");
}

struct worst {
	size_t at;
	double used; /* of the tolerance */
	double got, want;
};

static void compare(struct worst *worst, size_t i, double got, double want, double absolute, double relative)
{
	double difference = fabs(got - want), tolerance = absolute + relative * fabs(want), used;
	if (got == want || (isnan(got) && isnan(want)))
		used = 0;
	else if (isnan(difference) || isinf(difference) || tolerance == 0)
		used = INFINITY;
	else
		used = difference / tolerance;
	if (i == 0 || used > worst->used) {
		worst->at = i;
		worst->used = used;
		worst->got = got;
		worst->want = want;
	}
}

static void report(const char *what, const struct worst *worst, size_t count)
{
	print_message("           %s: %.3g of the tolerance used (of %zu, [%zu] is %.9g, want %.9g)\n", what, worst->used,
	              count, worst->at, worst->got, worst->want);
	if (!(worst->used <= 1))
		fail_msg("%s differs", what);
}

void test_close_f32(const char *what, const float *got, const float *want, size_t count, double absolute,
                    double relative)
{
	struct worst worst = {0};
	for (size_t i = 0; i < count; i++)
		compare(&worst, i, (double)got[i], (double)want[i], absolute, relative);
	report(what, &worst, count);
}

void test_close_f64(const char *what, const double *got, const double *want, size_t count, double absolute,
                    double relative)
{
	struct worst worst = {0};
	for (size_t i = 0; i < count; i++)
		compare(&worst, i, got[i], want[i], absolute, relative);
	report(what, &worst, count);
}

void test_folder(char path[256])
{
	const char *parent = getenv("TMPDIR");
	snprintf(path, 256, "%.200s/phiz-test-XXXXXX", parent && *parent ? parent : "/tmp");
	if (!mkdtemp(path))
		fail_msg("cannot make a folder like %s", path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where;
	return remove(path);
}

void test_folder_done(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_under(const char *variable, const char *name, char path[1024])
{
	const char *folder = getenv(variable);
	if (!folder)
		fail_msg("%s is not set: run the tests by ctest", variable);
	snprintf(path, 1024, "%s/%s", folder, name);
	return path;
}

const char *test_source(const char *name, char path[1024])
{
	return path_under("PHIZ_SOURCE", name, path);
}

const char *test_golden(const char *name, char path[1024])
{
	char under[512];
	snprintf(under, sizeof(under), "tests/golden/%s", name);
	path_under("PHIZ_SOURCE", under, path);
	if (access(path, R_OK))
		fail_msg("%s is not there", path);
	return path;
}

const char *test_data(const char *name, char path[1024])
{
	path_under("PHIZ_DATA", name, path);
	if (access(path, R_OK) == 0)
		return path;
	print_message("           skipped: %s is not there (PHIZ_DATA names the folder of the private test data)\n", name);
	return NULL;
}

bool test_is_loaded(const char *name)
{
	char line[4096];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps))
		found = found || strstr(line, name);
	fclose(maps);
	return found;
}
