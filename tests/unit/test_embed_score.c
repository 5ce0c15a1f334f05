/* Verification over all pairs, against counting them one by one. */
#include "support/support.h"

#include "core/base/rng.h"
#include "train/embed_score.h"

enum { N = 60, DIM = 5, PEOPLE = 9 };

static double cosine(const float *a, const float *b)
{
	double dot = 0, x = 0, y = 0;

	for (int d = 0; d < DIM; d++) {
		dot += (double)a[d] * (double)b[d];
		x += (double)a[d] * (double)a[d];
		y += (double)b[d] * (double)b[d];
	}
	return dot / sqrt(x * y);
}

static double share(const double *value, int n, double least)
{
	int count = 0;

	for (int i = 0; i < n; i++)
		count += value[i] >= least;
	return (double)count / n;
}

static void test_figures(void **state)
{
	static double same[N * N], different[N * N];
	static float x[N * DIM];
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_embed_score s;
	struct phiz_rng rng;
	int32_t person[N];
	int n_same = 0, n_different = 0;
	double best = 0, tar = 0, gap = 2, eer = 0;

	(void)state;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < N; i++) {
		person[i] = i % PEOPLE;
		for (int d = 0; d < DIM; d++)
			x[i * DIM + d] = (float)(((person[i] * 7 + d * 5) % 11 - 5) / 3.0 + phiz_rng_normal(&rng));
	}
	for (int i = 0; i < N; i++)
		for (int j = i + 1; j < N; j++) {
			/* To the step that the counting works in. */
			double c = round(cosine(x + i * DIM, x + j * DIM) * 10000) / 10000;

			if (person[i] == person[j])
				same[n_same++] = c;
			else
				different[n_different++] = c;
		}
	for (int step = 0; step <= 20000; step++) {
		double t = step / 10000.0 - 1 - 1e-9, yes = share(same, n_same, t), wrong = share(different, n_different, t);

		best = fmax(best, (yes + 1 - wrong) / 2);
		if (wrong <= 0.01)
			tar = fmax(tar, yes);
		if (fabs(1 - yes - wrong) < gap) {
			gap = fabs(1 - yes - wrong);
			eer = (1 - yes + wrong) / 2;
		}
	}
	assert_ok(ctx, phiz_embed_score_pairs(ctx, x, person, N, DIM, &s));
	assert_int_equal(s.same, n_same);
	assert_int_equal(s.different, n_different);
	assert_true(best > 0.6 && best < 1 && tar > 0 && tar < 1);
	assert_true(fabs(s.accuracy - best) < 1e-12 && fabs(s.tar - tar) < 1e-12 && fabs(s.eer - eer) < 1e-12);
	double at = s.threshold - 1e-9;
	assert_true(fabs((share(same, n_same, at) + 1 - share(different, n_different, at)) / 2 - best) < 1e-12);
	test_ctx_done(&ctx);
}

static void test_ends(void **state)
{
	static const float apart[4 * 2] = {1, 0, 2, 0, 0, 1, 0, 3};
	static const int32_t two[4] = {0, 0, 1, 1}, one[4] = {5, 5, 5, 5}, all[4] = {0, 1, 2, 3};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_embed_score s;

	(void)state;
	assert_ok(ctx, phiz_embed_score_pairs(ctx, apart, two, 4, 2, &s));
	assert_true(s.same == 2 && s.different == 4 && s.accuracy == 1 && s.tar == 1 && s.eer == 0);
	assert_true(s.threshold > 0 && s.threshold <= 1);
	assert_ok(ctx, phiz_embed_score_pairs(ctx, apart, one, 4, 2, &s));
	assert_true(s.same == 0 && isnan(s.accuracy) && isnan(s.eer));
	assert_ok(ctx, phiz_embed_score_pairs(ctx, apart, all, 4, 2, &s));
	assert_true(isnan(s.tar));
	assert_ok(ctx, phiz_embed_score_pairs(ctx, apart, all, 0, 2, &s));
	assert_true(isnan(s.threshold));
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_figures), cmocka_unit_test(test_ends)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
