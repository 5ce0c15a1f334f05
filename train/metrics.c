#include "train/metrics.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

/* The 97.5 % point of the standard normal distribution. */
#define Z95 1.959963984540054

static double share(int64_t part, int64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

/* --- One photo. --- */

/* Puts a class into the list of the best, keeping earlier classes before equal ones. */
static void offer(struct phiz_guess *g, int32_t index, double logit)
{
	int at = g->n_top;

	while (at > 0 && logit > g->confidence[at - 1])
		at--;
	if (at >= PHIZ_GUESS_TOP)
		return;
	if (g->n_top < PHIZ_GUESS_TOP)
		g->n_top++;
	for (int i = g->n_top - 1; i > at; i--) {
		g->top[i] = g->top[i - 1];
		g->confidence[i] = g->confidence[i - 1];
	}
	g->top[at] = index;
	g->confidence[at] = logit;
}

enum phiz_status phiz_guess_make(struct phiz_ctx *ctx, const struct phiz_scorer *scorer, const float *logits,
                                 int64_t classes, int32_t label, struct phiz_guess *out)
{
	double sum = 0, best;

	memset(out, 0, sizeof *out);
	out->label = label;
	out->rank = PHIZ_STRANGER;
	if (classes < 1 || label < PHIZ_STRANGER || label >= classes)
		return phiz_fail(ctx, PHIZ_E_ARG, "label %ld of %lld classes", (long)label, (long long)classes);
	for (int64_t c = 0; c < classes; c++) {
		if (!isfinite(logits[c]))
			return phiz_fail(ctx, PHIZ_E_NUMERIC, "the network's output for class %lld is not finite", (long long)c);
		offer(out, (int32_t)c, (double)logits[c]);
	}
	best = out->confidence[0];
	for (int64_t c = 0; c < classes; c++)
		sum += exp((double)logits[c] - best);
	for (int i = 0; i < out->n_top; i++)
		out->confidence[i] = exp(out->confidence[i] - best) / sum;
	out->score = scorer ? phiz_scorer_score(scorer, out->top[0], best, out->confidence[0]) : out->confidence[0];
	if (label == PHIZ_STRANGER)
		return PHIZ_OK;
	out->log_loss = log(sum) + best - (double)logits[label];
	out->rank = 0;
	for (int64_t c = 0; c < classes; c++)
		out->rank += logits[c] > logits[label] || (logits[c] == logits[label] && c < label);
	return PHIZ_OK;
}

struct phiz_interval phiz_wilson(int64_t successes, int64_t trials)
{
	double n = (double)trials, p, middle, half, scale;

	if (trials < 1)
		return (struct phiz_interval){NAN, NAN};
	p = (double)successes / n;
	scale = 1 + Z95 * Z95 / n;
	middle = (p + Z95 * Z95 / (2 * n)) / scale;
	half = Z95 / scale * sqrt(p * (1 - p) / n + Z95 * Z95 / (4 * n * n));
	/* At the ends the formula gives 0 and 1 up to rounding. */
	return (struct phiz_interval){successes == 0 ? 0 : fmax(0, middle - half),
	                              successes == trials ? 1 : fmin(1, middle + half)};
}

/* --- Known people. --- */

static int bin_of(double confidence)
{
	int i = 0;

	while (i < PHIZ_CALIBRATION_BINS - 1 && confidence > (double)(i + 1) / PHIZ_CALIBRATION_BINS)
		i++;
	return i;
}

static enum phiz_status count_guess(struct phiz_ctx *ctx, const struct phiz_guess *g, struct phiz_accuracy *a)
{
	struct phiz_calibration_bin *bin = &a->bin[bin_of(g->confidence[0])];
	bool right = g->top[0] == g->label;

	if (g->label >= a->classes || g->top[0] < 0 || g->top[0] >= a->classes)
		return phiz_fail(ctx, PHIZ_E_ARG, "a guess %ld for %ld with %lld classes", (long)g->top[0], (long)g->label,
		                 (long long)a->classes);
	a->photos++;
	a->right += right;
	a->right5 += g->rank < PHIZ_GUESS_TOP;
	a->log_loss += g->log_loss;
	a->mean_confidence += g->confidence[0];
	bin->photos++;
	bin->confidence += g->confidence[0];
	bin->accuracy += right;
	a->person[g->label].photos++;
	a->person[g->label].right += right;
	a->person[g->top[0]].predicted++;
	a->confusion[(size_t)g->label * (size_t)a->classes + (size_t)g->top[0]]++;
	return PHIZ_OK;
}

static void finish_people(struct phiz_accuracy *a)
{
	int64_t people = 0;

	for (int64_t c = 0; c < a->classes; c++) {
		struct phiz_person_score *p = &a->person[c];

		p->precision = share(p->right, p->predicted);
		p->recall = share(p->right, p->photos);
		p->f1 = share(2 * p->right, p->photos + p->predicted);
		p->recall_interval = phiz_wilson(p->right, p->photos);
		if (p->photos + p->predicted == 0)
			continue;
		people++;
		a->macro_precision += p->predicted ? p->precision : 0;
		a->macro_recall += p->photos ? p->recall : 0;
		a->macro_f1 += p->f1;
	}
	a->macro_precision = people ? a->macro_precision / (double)people : (double)NAN;
	a->macro_recall = people ? a->macro_recall / (double)people : (double)NAN;
	a->macro_f1 = people ? a->macro_f1 / (double)people : (double)NAN;
}

static void finish_calibration(struct phiz_accuracy *a)
{
	double n = (double)a->photos;

	for (int i = 0; i < PHIZ_CALIBRATION_BINS; i++) {
		struct phiz_calibration_bin *bin = &a->bin[i];
		double gap;

		bin->confidence = bin->photos ? bin->confidence / (double)bin->photos : (double)NAN;
		bin->accuracy = bin->photos ? bin->accuracy / (double)bin->photos : (double)NAN;
		if (!bin->photos)
			continue;
		gap = fabs(bin->accuracy - bin->confidence);
		a->ece += gap * (double)bin->photos / n;
		a->mce = fmax(a->mce, gap);
	}
	if (!a->photos)
		a->ece = a->mce = NAN;
	a->log_loss = a->photos ? a->log_loss / n : (double)NAN;
	a->mean_confidence = a->photos ? a->mean_confidence / n : (double)NAN;
}

enum phiz_status phiz_accuracy_measure(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count,
                                       int64_t classes, struct phiz_accuracy *out)
{
	size_t cells;
	enum phiz_status status = PHIZ_OK;

	memset(out, 0, sizeof *out);
	out->classes = classes;
	if (classes < 1 || !phiz_size_mul((size_t)classes, (size_t)classes, &cells))
		return phiz_fail(ctx, PHIZ_E_ARG, "%lld classes", (long long)classes);
	out->person = phiz_calloc(ctx, (size_t)classes, sizeof *out->person);
	out->confusion = out->person ? phiz_calloc(ctx, cells, sizeof *out->confusion) : NULL;
	if (!out->confusion)
		status = PHIZ_E_NOMEM;
	for (size_t i = 0; i < count && !status; i++)
		if (guess[i].label != PHIZ_STRANGER)
			status = count_guess(ctx, &guess[i], out);
	if (status) {
		phiz_accuracy_free(ctx, out);
		return status;
	}
	out->top1 = share(out->right, out->photos);
	out->top5 = share(out->right5, out->photos);
	out->top1_interval = phiz_wilson(out->right, out->photos);
	out->top5_interval = phiz_wilson(out->right5, out->photos);
	finish_people(out);
	finish_calibration(out);
	return PHIZ_OK;
}

void phiz_accuracy_free(struct phiz_ctx *ctx, struct phiz_accuracy *accuracy)
{
	phiz_free(ctx, accuracy->person);
	phiz_free(ctx, accuracy->confusion);
	memset(accuracy, 0, sizeof *accuracy);
}

/* --- Two models. --- */

double phiz_mcnemar(int64_t only_a, int64_t only_b)
{
	int64_t n = only_a + only_b, few = only_a < only_b ? only_a : only_b;
	double term = -(double)n * log(2), sum = 0; /* log of binomial(n, i) / 2^n, from i = 0 on */

	if (n <= 0)
		return 1;
	for (int64_t i = 0; i <= few; i++) {
		sum += exp(term);
		term += log((double)(n - i)) - log((double)(i + 1));
	}
	return fmin(1, 2 * sum);
}
