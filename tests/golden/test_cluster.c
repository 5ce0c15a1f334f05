/* Groupings against scikit-learn's: cluster.safetensors, made by make_cluster.py. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/io/tensors.h"
#include "deploy/cluster.h"

struct state {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
};

static const struct phiz_tensor *tensor(const struct state *s, enum phiz_dtype dtype, const char *fmt, int n)
{
	const struct phiz_tensor *t;
	char name[64];

	snprintf(name, sizeof name, fmt, n);
	t = phiz_tensors_find(&s->golden, name);
	assert_non_null(t);
	assert_int_equal(t->dtype, dtype);
	return t;
}

static void make_points(const struct state *s, const char *name, struct phiz_points *out)
{
	const struct phiz_tensor *x = tensor(s, PHIZ_F32, name, 0);

	assert_ok(s->ctx, phiz_points_create(s->ctx, x->data, x->shape.dim[0], x->shape.dim[1], out));
}

/* The same parts, whatever their numbers; noise is -1 in both. */
static void same_parts(const int32_t *got, const int32_t *want, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		assert_int_equal(got[i] < 0, want[i] < 0);
		for (int64_t j = 0; j < i && got[i] >= 0; j++)
			if (got[j] >= 0)
				assert_int_equal(got[i] == got[j], want[i] == want[j]);
	}
}

static void kmeans(void **state)
{
	static const int ks[] = {3, 5, 6, 8};
	static const struct phiz_kmeans_options options = {.restarts = 50};
	struct state *s = *state;
	struct phiz_points points;
	struct phiz_clusters c;
	double each[200], mean, sum = 0;

	make_points(s, "tight.x", &points);
	for (int i = 0; i < 4; i++) {
		const double *want = tensor(s, PHIZ_F64, "tight.kmeans%d.objective", ks[i])->data;
		assert_ok(s->ctx, phiz_cluster_kmeans(&points, ks[i], &options, &c));
		assert_int_equal(c.k, ks[i]);
		print_message("k = %d: objective %.6f, scikit-learn %.6f\n", c.k, c.objective, *want);
		assert_true(c.objective <= *want * (1 + 2e-3)); /* its best of 50 starts: hardly worse, mostly better */
		if (ks[i] == 6) {
			const double *silhouette = tensor(s, PHIZ_F64, "tight.kmeans6.silhouette", 0)->data;
			same_parts(c.label, tensor(s, PHIZ_I32, "tight.kmeans6.label", 0)->data, points.n);
			assert_true(fabs(c.objective - *want) < 1e-4);
			assert_ok(s->ctx, phiz_cluster_silhouette(&points, &c, each, NULL, &mean));
			test_close_f64("silhouettes", each, silhouette, (size_t)points.n, 1e-6, 0);
			for (int64_t k = 0; k < points.n; k++)
				sum += silhouette[k];
			assert_true(fabs(mean - sum / (double)points.n) < 1e-6);
		}
		phiz_clusters_free(&c);
	}
	phiz_points_free(&points);
}

static void choosing_k(void **state)
{
	struct state *s = *state;
	struct phiz_points points;
	struct phiz_clusters c;
	double curve[9];

	make_points(s, "tight.x", &points);
	assert_ok(s->ctx, phiz_cluster_auto(&points, 2, 10, NULL, curve, &c));
	assert_int_equal(c.k, 6);
	same_parts(c.label, tensor(s, PHIZ_I32, "tight.who", 0)->data, points.n);
	for (int k = 2; k <= 10; k++)
		assert_true(curve[k - 2] <= curve[4]);
	phiz_clusters_free(&c);
	phiz_points_free(&points);
}

/* Border points that two groups could have: scikit-learn gives them to the group it finds first, and so does phiz. */
static void dbscan(void **state)
{
	struct state *s = *state;
	struct phiz_points points;
	struct phiz_clusters c;

	make_points(s, "scan.x", &points);
	for (int n = 0; n < 3; n++) {
		const double *o = tensor(s, PHIZ_F64, "scan.%d.options", n)->data;
		const struct phiz_dbscan_options options = {.eps = o[0], .min_points = (int)o[1]};
		assert_ok(s->ctx, phiz_cluster_dbscan(&points, &options, &c));
		same_parts(c.label, tensor(s, PHIZ_I32, "scan.%d.label", n)->data, points.n);
		print_message("eps %g: %d groups, %lld noise\n", o[0], c.k, (long long)c.noise);
		phiz_clusters_free(&c);
	}
	phiz_points_free(&points);
}

/* The knee is one of the distances, and the farthest below the line from the first to the last. */
static void knee(void **state)
{
	struct state *s = *state;
	struct phiz_points points;

	make_points(s, "scan.x", &points);
	for (int n = 0; n < 3; n++) {
		const double *y = tensor(s, PHIZ_F64, "scan.%d.kdist", n)->data;
		const double *o = tensor(s, PHIZ_F64, "scan.%d.options", n)->data;
		double eps, deepest = -1, want = 0;
		for (int64_t i = 0; i < points.n; i++) {
			double line = y[0] + (y[points.n - 1] - y[0]) * (double)i / (double)(points.n - 1);
			if (line - y[i] > deepest) {
				deepest = line - y[i];
				want = y[i];
			}
		}
		assert_ok(s->ctx, phiz_cluster_knee(&points, (int)o[1], 0, &eps));
		assert_true(fabs(eps - want) < 1e-5);
	}
	phiz_points_free(&points);
}

static void names(void **state)
{
	struct state *s = *state;
	const int32_t *truth = tensor(s, PHIZ_I32, "names.truth", 0)->data;

	for (int n = 0; n < 6; n++) {
		const struct phiz_tensor *label = tensor(s, PHIZ_I32, "names.%d.label", n);
		const double *want = tensor(s, PHIZ_F64, "names.%d.figures", n)->data;
		struct phiz_cluster_agreement a;
		struct phiz_clusters c;
		assert_ok(s->ctx, phiz_clusters_create(s->ctx, label->shape.dim[0], &c));
		memcpy(c.label, label->data, phiz_tensor_bytes(label));
		assert_ok(s->ctx, phiz_clusters_finish(&c, 200));
		assert_ok(s->ctx, phiz_cluster_compare(&c, truth, &a));
		const double got[4] = {a.purity, a.nmi, a.precision, a.recall};
		test_close_f64("purity, nmi, precision, recall", got, want, 4, 1e-9, 0);
		phiz_clusters_free(&c);
	}
}

static int set_up(void **state)
{
	static struct state s;
	char path[1024];

	s.ctx = test_ctx(2);
	assert_ok(s.ctx, phiz_tensors_read(s.ctx, test_golden("cluster.safetensors", path), &s.golden));
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct state *s = *state;

	phiz_tensors_free(s->ctx, &s->golden);
	test_ctx_done(&s->ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kmeans), cmocka_unit_test(choosing_k), cmocka_unit_test(dbscan),
		cmocka_unit_test(knee),   cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
