/* Figures of merit on cases small enough to be worked out by hand, and what is refused. (Against other code:
 * golden/test_metrics.c.) */
#include "support/support.h"

#include "train/metrics.h"

/* A guess of two classes: class 1 is the best, or class 0, with this confidence. */
static struct phiz_guess guess(int32_t label, int32_t named, double confidence)
{
	struct phiz_guess g = {.label = label, .n_top = 2, .top = {named, 1 - named}, .confidence = {confidence}};

	g.confidence[1] = 1 - confidence;
	g.score = confidence;
	g.rank = label == PHIZ_STRANGER ? -1 : label == named ? 0 : 1;
	return g;
}

static void near(double got, double want)
{
	if (!(fabs(got - want) <= 1e-12))
		fail_msg("%.17g, want %.17g", got, want);
}

static void test_guess(void **state)
{
	struct phiz_ctx *ctx = *state;
	const float logits[7] = {0, 2, 2, -1, 3, 2, 1};
	struct phiz_guess g;
	double sum = exp(-3) + 3 * exp(-1) + exp(-4) + 1 + exp(-2);

	assert_ok(ctx, phiz_guess_make(ctx, NULL, logits, 7, 5, &g));
	assert_int_equal(g.n_top, 5);
	assert_int_equal(g.top[0], 4);
	assert_int_equal(g.top[1], 1); /* three equal ones: by index */
	assert_int_equal(g.top[2], 2);
	assert_int_equal(g.top[3], 5);
	assert_int_equal(g.top[4], 6);
	assert_int_equal(g.rank, 3);
	near(g.confidence[0], 1 / sum);
	near(g.score, 1 / sum);
	near(g.confidence[4], exp(-2) / sum);
	near(g.log_loss, 1 + log(sum));
	assert_ok(ctx, phiz_guess_make(ctx, NULL, logits, 2, PHIZ_STRANGER, &g));
	assert_int_equal(g.n_top, 2);
	assert_int_equal(g.rank, -1);
	near(g.log_loss, 0);
}

static void test_guess_refuses(void **state)
{
	struct phiz_ctx *ctx = *state;
	float logits[3] = {0, NAN, 1};
	struct phiz_guess g;

	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_guess_make(ctx, NULL, logits, 3, 0, &g));
	assert_message(ctx, "class 1");
	logits[1] = INFINITY;
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_guess_make(ctx, NULL, logits, 3, 0, &g));
	logits[1] = 3e38f; /* far apart, but finite: exp must not overflow */
	assert_ok(ctx, phiz_guess_make(ctx, NULL, logits, 3, 0, &g));
	near(g.confidence[0], 1);
	assert_true(isfinite(g.log_loss));
	assert_fails(ctx, PHIZ_E_ARG, phiz_guess_make(ctx, NULL, logits, 3, 3, &g));
	assert_fails(ctx, PHIZ_E_ARG, phiz_guess_make(ctx, NULL, logits, 3, -2, &g));
}

static void test_accuracy(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_accuracy a;
	struct phiz_guess g[5];

	g[0] = guess(0, 0, 0.9);
	g[1] = guess(0, 0, 0.8);
	g[2] = guess(0, 1, 0.6);
	g[3] = guess(1, 1, 0.6);
	g[4] = guess(PHIZ_STRANGER, 1, 0.99); /* counts for nothing here */
	assert_ok(ctx, phiz_accuracy_measure(ctx, g, 5, 2, &a));
	assert_int_equal(a.photos, 4);
	near(a.top1, 0.75);
	near(a.top5, 1);
	near(a.person[0].precision, 1);
	near(a.person[0].recall, 2 / 3.0);
	near(a.person[0].f1, 0.8);
	near(a.person[1].precision, 0.5);
	near(a.person[1].recall, 1);
	near(a.person[1].f1, 2 / 3.0);
	near(a.macro_f1, (0.8 + 2 / 3.0) / 2);
	assert_int_equal(a.confusion[1], 1);
	assert_int_equal(a.confusion[2], 0);
	/* bins of 1/15: 0.6 closes bin 8, so (8/15, 9/15] holds two photos of accuracy 0.5; 0.8 and 0.9 are alone */
	assert_int_equal(a.bin[8].photos, 2);
	near(a.bin[8].accuracy, 0.5);
	near(a.ece, (2 * 0.1 + 0.2 + 0.1) / 4);
	near(a.mce, 0.2);
	phiz_accuracy_free(ctx, &a);
}

/* Nobody was named as class 1 and nobody is class 2. */
static void test_undefined(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_accuracy a;
	struct phiz_roc roc;
	struct phiz_guess g[2];
	double t;

	g[0] = guess(0, 0, 0.7);
	g[1] = guess(1, 0, 0.7);
	assert_ok(ctx, phiz_accuracy_measure(ctx, g, 2, 3, &a));
	assert_true(isnan(a.person[1].precision));
	near(a.person[1].f1, 0);
	assert_true(isnan(a.person[2].f1));
	near(a.macro_f1, (2 / 3.0 + 0) / 2);
	phiz_accuracy_free(ctx, &a);
	assert_ok(ctx, phiz_roc_measure(ctx, g, 2, &roc));
	assert_true(isnan(roc.auc) && isnan(roc.eer));
	phiz_roc_free(ctx, &roc);
	assert_ok(ctx, phiz_threshold_for(ctx, g, 2, 0.01, &t));
	assert_true(isnan(t));
	assert_ok(ctx, phiz_accuracy_measure(ctx, g, 0, 3, &a));
	assert_true(isnan(a.top1) && isnan(a.macro_f1) && isnan(a.ece) && isnan(a.top1_interval.low));
	phiz_accuracy_free(ctx, &a);
	assert_fails(ctx, PHIZ_E_ARG, phiz_accuracy_measure(ctx, g, 2, 1, &a));
}

static void test_threshold(void **state)
{
	struct phiz_ctx *ctx = *state;
	static const double stranger[5] = {0.5, 0.7, 0.6, 0.7, 0.9};
	struct phiz_guess g[7];
	struct phiz_operating_point p;
	double t;

	for (int i = 0; i < 5; i++)
		g[i] = guess(PHIZ_STRANGER, 0, stranger[i]);
	g[5] = guess(1, 1, 0.8);
	g[6] = guess(1, 0, 0.95);
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 0.1, &t)); /* half a stranger: none */
	assert_true(t == nextafter(0.9, 1));
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 0.2, &t));
	assert_true(t == nextafter(0.7, 1));
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 0.4, &t)); /* two would be allowed, but two tie: out with both */
	assert_true(t == nextafter(0.7, 1));
	p = phiz_operate(g, 7, t);
	near(p.far, 0.2);
	near(p.tar, 0.5); /* the other is accepted under a wrong name */
	assert_int_equal(p.accepted, 2);
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 0.6, &t));
	assert_true(t == nextafter(0.6, 1));
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 1, &t));
	assert_true(t == 0);
	for (int i = 0; i < 7; i++) /* as cosines are: below 0 too */
		g[i].score -= 0.75;
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 1, &t));
	near(t, 0.5 - 0.75);
	assert_int_equal(phiz_operate(g, 7, t).strangers_accepted, 5);
	for (int i = 0; i < 7; i++)
		g[i].score += 0.75;
	g[4] = guess(PHIZ_STRANGER, 0, 1);
	assert_ok(ctx, phiz_threshold_for(ctx, g, 7, 0, &t));
	assert_true(t > 1);
	assert_int_equal(phiz_operate(g, 7, t).strangers_accepted, 0);
	assert_fails(ctx, PHIZ_E_ARG, phiz_threshold_for(ctx, g, 7, NAN, &t));
	assert_fails(ctx, PHIZ_E_ARG, phiz_threshold_for(ctx, g, 7, 1.01, &t));
}

static void test_roc(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_guess g[4];
	struct phiz_roc roc;

	g[0] = guess(0, 0, 0.9);
	g[1] = guess(PHIZ_STRANGER, 0, 0.8);
	g[2] = guess(1, 1, 0.8);
	g[3] = guess(PHIZ_STRANGER, 0, 0.6);
	assert_ok(ctx, phiz_roc_measure(ctx, g, 4, &roc));
	assert_int_equal(roc.count, 4); /* nothing, 0.9, 0.8 (a tie), 0.6 */
	near(roc.auc, (1 + 1 + 0.5 + 1) / 4);
	near(roc.eer, 0.25); /* from (0, 0.5 refused) to (0.5, 0): half way */
	phiz_roc_free(ctx, &roc);
}

static void test_formulas(void **state)
{
	(void)state;
	near(phiz_mcnemar(0, 0), 1);
	near(phiz_mcnemar(1, 5), 2 * 7 / 64.0);
	near(phiz_mcnemar(5, 1), 2 * 7 / 64.0);
	near(phiz_mcnemar(2, 2), 1);
	assert_true(phiz_mcnemar(3000, 2000) < 1e-40 && phiz_mcnemar(3000, 2000) >= 0);
	near(phiz_wilson(0, 10).low, 0);
	assert_true(fabs(phiz_wilson(0, 10).high - 0.2775) < 1e-4);
	assert_true(fabs(phiz_wilson(81, 263).low - 0.2553) < 1e-4); /* Newcombe 1998, table I */
	assert_true(fabs(phiz_wilson(81, 263).high - 0.3662) < 1e-4);
}

static enum phiz_status measure_all(struct phiz_ctx *ctx, void *user)
{
	struct phiz_guess g[2];
	struct phiz_accuracy a;
	struct phiz_roc roc;
	double t;
	enum phiz_status status;

	(void)user;
	g[0] = guess(0, 0, 0.7);
	g[1] = guess(PHIZ_STRANGER, 0, 0.6);
	status = phiz_accuracy_measure(ctx, g, 2, 2, &a);
	if (status)
		return status;
	phiz_accuracy_free(ctx, &a);
	status = phiz_roc_measure(ctx, g, 2, &roc);
	if (status)
		return status;
	phiz_roc_free(ctx, &roc);
	return phiz_threshold_for(ctx, g, 2, 0.5, &t);
}

static void test_oom(void **state)
{
	test_every_oom(*state, measure_all, NULL);
}

static int set_up(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);

	*state = ctx;
	return ctx ? 0 : -1;
}

static int tear_down(void **state)
{
	struct phiz_ctx *ctx = *state;

	test_ctx_done(&ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guess),     cmocka_unit_test(test_guess_refuses), cmocka_unit_test(test_accuracy),
		cmocka_unit_test(test_undefined), cmocka_unit_test(test_threshold),     cmocka_unit_test(test_roc),
		cmocka_unit_test(test_formulas),  cmocka_unit_test(test_oom),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
