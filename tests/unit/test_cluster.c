/* Grouping: the same for any number of threads, every edge, and memory that runs out anywhere. */
#include "support/support.h"

#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "deploy/cluster.h"

/* n points around `groups` directions. */
static float *draw(struct phiz_ctx *ctx, int64_t n, int dim, int groups, double spread)
{
	float *x = phiz_alloc(ctx, (size_t)n, (size_t)dim * sizeof(float));
	struct phiz_rng rng;

	assert_non_null(x);
	for (int64_t i = 0; i < n; i++) {
		struct phiz_rng centre;
		phiz_rng_init(&centre, 1, 0, (uint64_t)(i % groups), PHIZ_STREAM_TEST);
		phiz_rng_init(&rng, 2, 0, (uint64_t)i, PHIZ_STREAM_TEST);
		for (int d = 0; d < dim; d++)
			x[i * dim + d] = (float)(phiz_rng_normal(&centre) + spread * phiz_rng_normal(&rng));
	}
	return x;
}

static void make(struct phiz_ctx *ctx, int64_t n, int dim, int groups, double spread, struct phiz_points *out)
{
	float *x = draw(ctx, n, dim, groups, spread);

	assert_ok(ctx, phiz_points_create(ctx, x, n, dim, out));
	phiz_free(ctx, x);
}

static void run_all(int threads, struct phiz_clusters out[3], struct phiz_ctx **ctx)
{
	const struct phiz_dbscan_options scan = {.eps = 0.25, .min_points = 4};
	struct phiz_points p;

	*ctx = test_ctx(threads);
	make(*ctx, 700, 32, 9, 0.35, &p);
	assert_ok(*ctx, phiz_cluster_kmeans(&p, 9, NULL, &out[0]));
	assert_ok(*ctx, phiz_cluster_auto(&p, 2, 14, NULL, NULL, &out[1]));
	assert_ok(*ctx, phiz_cluster_dbscan(&p, &scan, &out[2]));
	phiz_points_free(&p);
}

static void any_threads(void **state)
{
	struct phiz_clusters one[3], three[3];
	struct phiz_ctx *a, *b;

	(void)state;
	run_all(1, one, &a);
	run_all(3, three, &b);
	assert_int_equal(one[1].k, 9);
	assert_int_equal(one[2].k, 9);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(one[i].k, three[i].k);
		assert_memory_equal(one[i].label, three[i].label, 700 * sizeof(int32_t));
		for (int64_t k = 0; i < 2 && k < 700; k++) /* point k is of group k % 9, the first to come is the first */
			assert_int_equal(one[i].label[k], k % 9);
		phiz_clusters_free(&one[i]);
		phiz_clusters_free(&three[i]);
	}
	test_ctx_done(&a);
	test_ctx_done(&b);
}

/* Lengths of the rows and their order say nothing about who is who. */
static void lengths_and_order(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_points p, q;
	struct phiz_clusters a, b;
	float *x = draw(ctx, 90, 8, 5, 0.3), *y = phiz_alloc(ctx, 90 * 8, sizeof(float));

	(void)state;
	for (int i = 0; i < 90; i++)
		for (int d = 0; d < 8; d++)
			y[(89 - i) * 8 + d] = x[i * 8 + d] * (float)(1 << i % 7);
	assert_ok(ctx, phiz_points_create(ctx, x, 90, 8, &p));
	assert_ok(ctx, phiz_points_create(ctx, y, 90, 8, &q));
	assert_ok(ctx, phiz_cluster_kmeans(&p, 5, NULL, &a));
	assert_ok(ctx, phiz_cluster_kmeans(&q, 5, NULL, &b));
	assert_true(fabs(a.objective - b.objective) < 1e-4);
	for (int i = 0; i < 90; i++)
		for (int j = 0; j < 90; j++)
			assert_int_equal(a.label[i] == a.label[j], b.label[89 - i] == b.label[89 - j]);
	phiz_clusters_free(&a);
	phiz_clusters_free(&b);
	phiz_points_free(&p);
	phiz_points_free(&q);
	phiz_free(ctx, x);
	phiz_free(ctx, y);
	test_ctx_done(&ctx);
}

static void edges(void **state)
{
	const float same[8] = {1, 2, 1, 2, 1, 2, 1, 2}, cross[8] = {1, 0, 0, 1, -1, 0, 0, -1}, bad[4] = {1, 2, 0, 0};
	const float nan[2] = {1, (float)NAN};
	const struct phiz_dbscan_options scan = {.eps = 0.1, .min_points = 2}, wide = {.eps = 2, .min_points = 4};
	const struct phiz_dbscan_options wrong = {.eps = -1, .min_points = 2};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_points p;
	struct phiz_clusters c;
	double mean;

	(void)state;
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_points_create(ctx, bad, 2, 2, &p));
	assert_message(ctx, "row 1");
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_points_create(ctx, nan, 1, 2, &p));
	assert_fails(ctx, PHIZ_E_ARG, phiz_points_create(ctx, same, 0, 2, &p));
	assert_ok(ctx, phiz_points_create(ctx, same, 4, 2, &p));
	assert_ok(ctx, phiz_cluster_kmeans(&p, 2, NULL, &c)); /* four points that coincide */
	assert_true(c.k >= 1 && c.k <= 2);
	assert_true(c.objective < 1e-5);
	phiz_clusters_free(&c);
	assert_ok(ctx, phiz_cluster_dbscan(&p, &scan, &c));
	assert_int_equal(c.k, 1);
	assert_int_equal(c.noise, 0);
	assert_fails(ctx, PHIZ_E_ARG, phiz_cluster_silhouette(&p, &c, NULL, NULL, &mean));
	phiz_clusters_free(&c);
	assert_fails(ctx, PHIZ_E_ARG, phiz_cluster_kmeans(&p, 5, NULL, &c));
	assert_fails(ctx, PHIZ_E_ARG, phiz_cluster_kmeans(&p, 0, NULL, &c));
	assert_fails(ctx, PHIZ_E_ARG, phiz_cluster_auto(&p, 2, 4, NULL, NULL, &c));
	assert_fails(ctx, PHIZ_E_ARG, phiz_cluster_dbscan(&p, &wrong, &c));
	phiz_points_free(&p);
	assert_ok(ctx, phiz_points_create(ctx, cross, 4, 2, &p)); /* means of opposite points are zero */
	assert_ok(ctx, phiz_cluster_kmeans(&p, 1, NULL, &c));
	assert_int_equal(c.k, 1);
	phiz_clusters_free(&c);
	assert_ok(ctx, phiz_cluster_kmeans(&p, 4, NULL, &c));
	assert_int_equal(c.k, 4);
	assert_ok(ctx, phiz_cluster_silhouette(&p, &c, NULL, NULL, &mean));
	assert_true(mean == 0);
	phiz_clusters_free(&c);
	assert_ok(ctx, phiz_cluster_dbscan(&p, &scan, &c));
	assert_int_equal(c.k, 0);
	assert_int_equal(c.noise, 4);
	phiz_clusters_free(&c);
	assert_ok(ctx, phiz_cluster_dbscan(&p, &wide, &c));
	assert_int_equal(c.k, 1);
	phiz_clusters_free(&c);
	phiz_points_free(&p);
	test_ctx_done(&ctx);
}

static bool stop_at_half(void *user, double done)
{
	double *last = user;

	assert_true(done >= *last && done <= 1);
	*last = done;
	return done >= 0.5;
}

static void breaking_off(void **state)
{
	double last = 0, later = 0, scanned = 0;
	const struct phiz_kmeans_options o = {.progress = stop_at_half, .user = &last};
	const struct phiz_kmeans_options o2 = {.progress = stop_at_half, .user = &later};
	const struct phiz_dbscan_options scan = {.eps = 0.4, .min_points = 3, .progress = stop_at_half, .user = &scanned};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_points p;
	struct phiz_clusters c;

	(void)state;
	make(ctx, 200, 8, 4, 0.3, &p);
	assert_fails(ctx, PHIZ_E_CANCELLED, phiz_cluster_kmeans(&p, 4, &o, &c));
	assert_fails(ctx, PHIZ_E_CANCELLED, phiz_cluster_auto(&p, 2, 8, &o2, NULL, &c));
	assert_fails(ctx, PHIZ_E_CANCELLED, phiz_cluster_dbscan(&p, &scan, &c));
	phiz_points_free(&p);
	test_ctx_done(&ctx);
}

static enum phiz_status everything(struct phiz_ctx *ctx, void *x)
{
	const struct phiz_dbscan_options scan = {.eps = 0.4, .min_points = 3};
	const int32_t truth[40] = {0};
	struct phiz_cluster_agreement agreement;
	struct phiz_points p;
	struct phiz_clusters c = {0};
	double mean, eps;
	enum phiz_status status = phiz_points_create(ctx, x, 40, 4, &p);

	if (!status)
		status = phiz_cluster_auto(&p, 2, 4, NULL, NULL, &c);
	if (!status)
		status = phiz_cluster_silhouette(&p, &c, NULL, NULL, &mean);
	if (!status)
		status = phiz_cluster_compare(&c, truth, &agreement);
	phiz_clusters_free(&c);
	if (!status)
		status = phiz_cluster_knee(&p, 4, 0, &eps);
	if (!status)
		status = phiz_cluster_dbscan(&p, &scan, &c);
	phiz_clusters_free(&c);
	phiz_points_free(&p);
	return status;
}

static void memory(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	float *x = draw(ctx, 40, 4, 3, 0.3);

	(void)state;
	test_every_oom(ctx, everything, x);
	phiz_free(ctx, x);
	test_ctx_done(&ctx);
}

/* 6,000 points of 64 numbers: nothing like a matrix of all pairs (144 MB as floats) is asked for. */
static void bounded_memory(void **state)
{
	const struct phiz_dbscan_options scan = {.eps = 0.35, .min_points = 5};
	const struct phiz_kmeans_options once = {.restarts = 1};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_memory_stats before, after;
	struct phiz_points p;
	struct phiz_clusters c;

	(void)state;
	make(ctx, 6000, 64, 30, 0.4, &p);
	phiz_ctx_memory(ctx, &before);
	assert_ok(ctx, phiz_cluster_dbscan(&p, &scan, &c));
	assert_int_equal(c.k, 30);
	phiz_clusters_free(&c);
	assert_ok(ctx, phiz_cluster_kmeans(&p, 30, &once, &c));
	phiz_clusters_free(&c);
	phiz_ctx_memory(ctx, &after);
	assert_true(after.peak_bytes - before.live_bytes < 4 << 20);
	phiz_points_free(&p);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_threads), cmocka_unit_test(lengths_and_order), cmocka_unit_test(edges),
		cmocka_unit_test(breaking_off), cmocka_unit_test(memory), cmocka_unit_test(bounded_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
