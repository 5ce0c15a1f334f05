/* Parallel loops: every piece once, the same pieces for any number of threads, nesting, no allocation. */
#include "support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

#define MAX_N 5000
#define MAX_WORKERS 8

struct loop {
	struct phiz_ctx *ctx;
	int64_t n, grain;
	atomic_int seen[MAX_N];
	atomic_int bad;
	atomic_int active[MAX_WORKERS]; /* a worker runs one piece at a time: its scratch memory is its own */
	double part[MAX_N];
};

static void piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct loop *loop = arg;
	if (worker < 0 || worker >= phiz_ctx_threads(loop->ctx) || atomic_fetch_add(&loop->active[worker], 1) != 0)
		atomic_fetch_add(&loop->bad, 1);
	if (begin % loop->grain || end <= begin || (end - begin != loop->grain && end != loop->n))
		atomic_fetch_add(&loop->bad, 1);
	double sum = 0;
	for (int64_t i = begin; i < end; i++) {
		atomic_fetch_add(&loop->seen[i], 1);
		sum += 1.0 / (double)(i + 1);
	}
	loop->part[begin / loop->grain] = sum;
	atomic_fetch_sub(&loop->active[worker], 1);
}

static struct loop loop;

static double run(struct phiz_ctx *ctx, int64_t n, int64_t grain)
{
	double sum = 0;
	memset(&loop, 0, sizeof(loop));
	loop.ctx = ctx;
	loop.n = n;
	loop.grain = grain;
	phiz_parallel_for(ctx, n, grain, piece, &loop);
	assert_int_equal(loop.bad, 0);
	for (int64_t i = 0; i < n; i++)
		assert_int_equal(loop.seen[i], 1);
	for (int64_t i = 0; i * grain < n; i++)
		sum += loop.part[i];
	return sum;
}

static void test_pieces(void **state)
{
	(void)state;
	static const int64_t sizes[] = {1, 2, 3, 7, 64, 999, 5000}, grains[] = {1, 2, 3, 10, 64, 5000, INT64_MAX / 2};
	struct phiz_ctx *one = test_ctx(1);
	for (int threads = 1; threads <= MAX_WORKERS; threads++) {
		struct phiz_ctx *ctx = test_ctx(threads);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (size_t j = 0; j < sizeof(grains) / sizeof(grains[0]); j++) {
				double want = run(one, sizes[i], grains[j]), got = run(ctx, sizes[i], grains[j]);
				assert_memory_equal(&want, &got, sizeof(want));
			}
		test_ctx_done(&ctx);
	}
	test_ctx_done(&one);
}

static void never(void *arg, int64_t begin, int64_t end, int worker)
{
	(void)arg, (void)begin, (void)end, (void)worker;
	fail();
}

static void test_nothing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	phiz_parallel_for(ctx, 0, 1, never, NULL);
	phiz_parallel_for(ctx, -5, 1, never, NULL);
	run(ctx, 10, 1);
	loop.n = 3;
	loop.grain = 1;
	phiz_parallel_for(ctx, 3, 0, piece, &loop); /* taken as 1 */
	assert_int_equal(loop.bad, 0);
	test_ctx_done(&ctx);
}

static void test_allocates_nothing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(4);
	struct phiz_memory_stats before, after;
	phiz_ctx_memory(ctx, &before);
	for (int i = 0; i < 100; i++)
		run(ctx, 500, 3);
	phiz_ctx_memory(ctx, &after);
	assert_int_equal(before.allocations, after.allocations);
	test_ctx_done(&ctx);
}

struct nest {
	struct phiz_ctx *ctx;
	atomic_int count, bad;
	atomic_int active[MAX_WORKERS];
};

struct inner {
	struct nest *nest;
	int outer_worker;
	pthread_t thread;
};

static void inner_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct inner *inner = arg;
	if (worker != inner->outer_worker || !pthread_equal(pthread_self(), inner->thread))
		atomic_fetch_add(&inner->nest->bad, 1);
	atomic_fetch_add(&inner->nest->count, (int)(end - begin));
}

static void outer_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct nest *nest = arg;
	struct inner inner = {nest, worker, pthread_self()};
	if (atomic_fetch_add(&nest->active[worker], 1) != 0)
		atomic_fetch_add(&nest->bad, 1);
	for (; begin < end; begin++)
		phiz_parallel_for(nest->ctx, 10, 3, inner_piece, &inner);
	atomic_fetch_sub(&nest->active[worker], 1);
}

static void test_nested(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(4);
	struct nest nest = {.ctx = ctx};
	phiz_parallel_for(ctx, 500, 1, outer_piece, &nest);
	assert_int_equal(nest.count, 5000);
	assert_int_equal(nest.bad, 0);
	run(ctx, 100, 1);
	test_ctx_done(&ctx);
}

/* Forks work serially and at the same time as their parent's loops. */
static void *use_fork(void *arg)
{
	struct phiz_ctx *fork = arg;
	struct nest nest = {.ctx = fork};
	for (int i = 0; i < 200; i++) {
		phiz_free(fork, phiz_alloc(fork, 100, 1));
		phiz_parallel_for(fork, 10, 1, outer_piece, &nest);
		phiz_fail(fork, PHIZ_E_LIMIT, "fork %d", i);
	}
	return (void *)(uintptr_t)(nest.bad || nest.count != 20000);
}

static void test_forks(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(3), *fork[3];
	pthread_t thread[3];
	void *result;
	for (int i = 0; i < 3; i++) {
		assert_ok(ctx, phiz_ctx_fork(ctx, &fork[i]));
		assert_int_equal(pthread_create(&thread[i], NULL, use_fork, fork[i]), 0);
	}
	for (int i = 0; i < 50; i++)
		run(ctx, 300, 7);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], &result);
		assert_null(result);
		assert_string_equal(phiz_ctx_message(fork[i]), "fork 199");
		phiz_ctx_free(&fork[i]);
	}
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_OK);
	test_ctx_done(&ctx);
}

static void failing_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct phiz_ctx *ctx = arg;
	void *p = phiz_alloc(ctx, (size_t)(end - begin), 8);
	phiz_fail(ctx, PHIZ_E_NUMERIC, "piece %d", (int)begin);
	phiz_free(ctx, p);
	(void)worker;
}

static void test_errors_in_pieces(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(4);
	phiz_parallel_for(ctx, 1000, 1, failing_piece, ctx);
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_E_NUMERIC);
	assert_message(ctx, "piece ");
	test_ctx_done(&ctx);
}

static double cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_sec +
	       1e-6 * (double)usage.ru_stime.tv_usec;
}

static void test_idle_sleeps(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct timespec wait = {0, 200000000};
	run(ctx, 1000, 1);
	/* Some systems count processor time in coarse steps, so one quiet wait of several is asked for. */
	double least = 1;
	for (int i = 0; i < 5 && least > 0.02; i++) {
		double before = cpu_seconds();
		nanosleep(&wait, NULL);
		double used = cpu_seconds() - before;
		least = used < least ? used : least;
	}
	assert_true(least <= 0.02);
	test_ctx_done(&ctx);
}

/* Pools that are made and dropped at once, with and without having worked. */
static void test_many_pools(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct phiz_ctx *ctx = test_ctx(1 + i % 5);
		if (i % 3)
			run(ctx, 20, 1);
		test_ctx_done(&ctx);
	}
}

static void test_time(void **state)
{
	(void)state;
	struct timespec wait = {0, 10000000};
	double before = phiz_time();
	nanosleep(&wait, NULL);
	double passed = phiz_time() - before;
	assert_true(passed >= 0.0099 && passed < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),      cmocka_unit_test(test_nothing), cmocka_unit_test(test_allocates_nothing),
		cmocka_unit_test(test_nested),      cmocka_unit_test(test_forks),   cmocka_unit_test(test_errors_in_pieces),
		cmocka_unit_test(test_idle_sleeps), cmocka_unit_test(test_many_pools), cmocka_unit_test(test_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
