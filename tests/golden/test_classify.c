/* Classifiers on embeddings against scikit-learn's SVM and numpy in double: classify.safetensors, made by
 * make_classify.py. */
#include "support/support.h"

#include <phiz/classify.h>
#include <stdio.h>

#include "core/io/tensors.h"

#define SCORE 1e-5    /* float sums against double ones */
#define DECISION 2e-2 /* liblinear stops at a tolerance, here and there; decision values are about 1 */

struct state {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
};

static const struct phiz_tensor *tensor(const struct state *s, enum phiz_dtype dtype, const char *name,
                                        const char *what)
{
	char text[64];

	snprintf(text, sizeof text, "%s.%s", name, what);
	const struct phiz_tensor *t = phiz_tensors_find(&s->golden, text);
	assert_non_null(t);
	assert_int_equal(t->dtype, dtype);
	return t;
}

static struct phiz_samples samples_of(const struct state *s, const char *name)
{
	const struct phiz_tensor *x = tensor(s, PHIZ_F32, name, "x"), *label = tensor(s, PHIZ_I32, name, "label");
	struct phiz_samples out = {x->data, label->data, x->shape.dim[0], (int)x->shape.dim[1], 0};

	for (int64_t i = 0; i < out.n; i++)
		if (out.label[i] >= out.classes)
			out.classes = out.label[i] + 1;
	return out;
}

/* How far the best decision value lies above the next: less than the tolerance, and either answer is right. */
static double svm_margin(const struct phiz_tensor *decision, int64_t i)
{
	const double *d = (const double *)decision->data + i * decision->shape.dim[1];
	double best = -INFINITY, next = -INFINITY;

	for (int64_t c = 0; c < decision->shape.dim[1]; c++) {
		next = d[c] > best ? best : d[c] > next ? d[c] : next;
		best = d[c] > best ? d[c] : best;
	}
	return best - next;
}

static void check(struct state *s, const char *name, const char *classifier)
{
	char label_name[32], score_name[32];
	struct phiz_samples samples = samples_of(s, name);
	struct phiz_classifier *c;
	bool svm = !strcmp(classifier, "svm");
	double worst = 0;
	int close = 0;

	snprintf(label_name, sizeof label_name, "%s.label", classifier);
	snprintf(score_name, sizeof score_name, "%s.score", classifier);
	const struct phiz_tensor *query = tensor(s, PHIZ_F32, name, "query");
	const struct phiz_tensor *decision = tensor(s, PHIZ_F64, name, "svm.decision");
	const int32_t *want = tensor(s, PHIZ_I32, name, label_name)->data;
	const double *want_score = tensor(s, PHIZ_F64, name, score_name)->data;
	assert_ok(s->ctx, phiz_classifier_fit(s->ctx, classifier, &samples, NULL, &c));
	for (int64_t i = 0; i < query->shape.dim[0]; i++) {
		int32_t got;
		double score;

		assert_ok(s->ctx, phiz_classifier_predict(c, (const float *)query->data + i * samples.dim, &got, &score));
		if (svm && svm_margin(decision, i) < 2 * DECISION) {
			close++;
			continue;
		}
		assert_int_equal(got, want[i]);
		worst = fmax(worst, fabs(score - want_score[i]));
	}
	print_message("%s %s: scores differ by at most %.2g (%.2g allowed), %d too close to call\n", name, classifier,
	              worst, SCORE, close);
	assert_true(worst <= SCORE);
	assert_true(close < 6);
	phiz_classifier_free(&c);
}

static void every_classifier(void **state)
{
	const char *name;

	for (int i = 0; (name = phiz_classifier_name(i)) != NULL; i++) {
		check(*state, "five", name);
		check(*state, "two", name);
	}
}

/* With rejection by decision value the score is liblinear's. */
static void svm_decisions(void **state)
{
	static const char *const cases[] = {"five", "two"};
	static const struct phiz_classifier_options options = {.reject_by_decision = true};
	struct state *s = *state;

	for (int k = 0; k < 2; k++) {
		struct phiz_samples samples = samples_of(s, cases[k]);
		const struct phiz_tensor *query = tensor(s, PHIZ_F32, cases[k], "query");
		const struct phiz_tensor *decision = tensor(s, PHIZ_F64, cases[k], "svm.decision");
		struct phiz_classifier *c;
		double worst = 0;

		enum phiz_status status = phiz_classifier_fit(s->ctx, "svm", &samples, &options, &c);
		if (status == PHIZ_E_UNSUPPORTED) /* built without liblinear */
			skip();
		assert_ok(s->ctx, status);
		for (int64_t i = 0; i < query->shape.dim[0]; i++) {
			int32_t label;
			double score;

			assert_ok(s->ctx, phiz_classifier_predict(c, (const float *)query->data + i * samples.dim, &label, &score));
			worst = fmax(worst, fabs(score - ((const double *)decision->data)[i * decision->shape.dim[1] + label]));
		}
		print_message("%s: decision values differ by at most %.2g (%.2g allowed)\n", cases[k], worst, DECISION);
		assert_true(worst <= DECISION);
		phiz_classifier_free(&c);
	}
}

static int set_up(void **state)
{
	static struct state s;
	char path[1024];

	s.ctx = test_ctx(1);
	assert_ok(s.ctx, phiz_safetensors_read(s.ctx, test_golden("classify.safetensors", path), &s.golden));
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_classifier), cmocka_unit_test(svm_decisions)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
