/* Figures of merit against metrics.safetensors, which make_metrics.py computed from their definitions. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "core/io/tensors.h"
#include "train/metrics.h"

#define TOLERANCE 1e-12

struct state {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	struct phiz_guess *guess;
	size_t count;
	int64_t classes;
};

static const double *golden(const struct state *s, const char *name, int64_t *rows)
{
	const struct phiz_tensor *t = phiz_tensors_find(&s->golden, name);

	assert_non_null(t);
	assert_int_equal(t->dtype, PHIZ_F64);
	if (rows)
		*rows = t->shape.dim[0];
	return t->data;
}

static void close_to(const char *what, double got, double want)
{
	if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= TOLERANCE * fmax(1, fabs(want))))
		fail_msg("%s: %.17g, want %.17g", what, got, want);
}

static void test_accuracy(void **state)
{
	struct state *s = *state;
	struct phiz_accuracy a;
	struct phiz_roc roc;
	const double *f = golden(s, "figures", NULL), *people = golden(s, "people", NULL), *bins = golden(s, "bins", NULL);
	const double *confusion = golden(s, "confusion", NULL);

	assert_ok(s->ctx, phiz_accuracy_measure(s->ctx, s->guess, s->count, s->classes, &a));
	assert_ok(s->ctx, phiz_roc_measure(s->ctx, s->guess, s->count, &roc));
	close_to("top1", a.top1, f[0]);
	close_to("top5", a.top5, f[1]);
	close_to("macro f1", a.macro_f1, f[2]);
	close_to("macro precision", a.macro_precision, f[3]);
	close_to("macro recall", a.macro_recall, f[4]);
	close_to("log loss", a.log_loss, f[5]);
	close_to("ece", a.ece, f[6]);
	close_to("mce", a.mce, f[7]);
	close_to("auc", roc.auc, f[8]);
	close_to("eer", roc.eer, f[9]);
	for (int64_t c = 0; c < s->classes; c++) {
		const struct phiz_person_score *p = &a.person[c];
		const double *want = people + 6 * c;

		close_to("photos", (double)p->photos, want[0]);
		close_to("predicted", (double)p->predicted, want[1]);
		close_to("right", (double)p->right, want[2]);
		close_to("precision", p->precision, want[3]);
		close_to("recall", p->recall, want[4]);
		close_to("f1", p->f1, want[5]);
	}
	for (int i = 0; i < PHIZ_CALIBRATION_BINS; i++) {
		close_to("bin's photos", (double)a.bin[i].photos, bins[3 * i]);
		close_to("bin's confidence", a.bin[i].confidence, bins[3 * i + 1]);
		close_to("bin's accuracy", a.bin[i].accuracy, bins[3 * i + 2]);
	}
	for (int64_t i = 0; i < s->classes * s->classes; i++)
		close_to("confusion", a.confusion[i], confusion[i]);
	phiz_roc_free(s->ctx, &roc);
	phiz_accuracy_free(s->ctx, &a);
}

static void test_roc(void **state)
{
	struct state *s = *state;
	struct phiz_roc roc;
	int64_t rows;
	const double *want = golden(s, "roc", &rows);

	assert_ok(s->ctx, phiz_roc_measure(s->ctx, s->guess, s->count, &roc));
	assert_int_equal(roc.count, rows);
	for (size_t i = 0; i < roc.count; i++) {
		const struct phiz_operating_point *p = &roc.point[i];

		if (i > 0) /* the first is infinite */
			close_to("threshold", p->value, want[4 * i]);
		close_to("far", p->far, want[4 * i + 1]);
		close_to("accepted", (double)p->accepted / (double)p->known, want[4 * i + 2]);
		close_to("tar", p->tar, want[4 * i + 3]);
	}
	phiz_roc_free(s->ctx, &roc);
}

static void test_thresholds(void **state)
{
	struct state *s = *state;
	int64_t rows;
	const double *want = golden(s, "thresholds", &rows);

	for (int64_t i = 0; i < rows; i++, want += 4) {
		struct phiz_operating_point p;
		double t;

		assert_ok(s->ctx, phiz_threshold_for(s->ctx, s->guess, s->count, want[0], &t));
		p = phiz_operate(s->guess, s->count, t);
		close_to("threshold", t, want[1]);
		close_to("far", p.far, want[2]);
		close_to("tar", p.tar, want[3]);
		assert_true(p.far <= want[0]);
		if (t > 0) { /* the smallest: the next double below already lets in too many */
			p = phiz_operate(s->guess, s->count, nextafter(t, 0));
			assert_true(p.far > want[0]);
		}
	}
}

static void test_formulas(void **state)
{
	struct state *s = *state;
	int64_t rows;
	const double *want = golden(s, "mcnemar", &rows);

	for (int64_t i = 0; i < rows; i++, want += 3)
		close_to("mcnemar", phiz_mcnemar((int64_t)want[0], (int64_t)want[1]), want[2]);
	want = golden(s, "wilson", &rows);
	for (int64_t i = 0; i < rows; i++, want += 4) {
		struct phiz_interval w = phiz_wilson((int64_t)want[0], (int64_t)want[1]);

		close_to("wilson low", w.low, want[2]);
		close_to("wilson high", w.high, want[3]);
	}
}

static int set_up(void **state)
{
	static struct state s;
	char path[1024];
	const struct phiz_tensor *logits, *labels;

	s.ctx = test_ctx(1);
	assert_ok(s.ctx, phiz_safetensors_read(s.ctx, test_golden("metrics.safetensors", path), &s.golden));
	logits = phiz_tensors_find(&s.golden, "logits");
	labels = phiz_tensors_find(&s.golden, "labels");
	assert_true(logits && labels && logits->dtype == PHIZ_F32 && labels->dtype == PHIZ_I32);
	s.count = (size_t)logits->shape.dim[0];
	s.classes = logits->shape.dim[1];
	s.guess = phiz_calloc(s.ctx, s.count, sizeof *s.guess);
	assert_non_null(s.guess);
	for (size_t i = 0; i < s.count; i++)
		assert_ok(s.ctx, phiz_guess_make(s.ctx, NULL, (const float *)logits->data + i * (size_t)s.classes, s.classes,
		                                 ((const int32_t *)labels->data)[i], &s.guess[i]));
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct state *s = *state;

	phiz_free(s->ctx, s->guess);
	phiz_tensors_free(s->ctx, &s->golden);
	test_ctx_done(&s->ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accuracy),
		cmocka_unit_test(test_roc),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_formulas),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
