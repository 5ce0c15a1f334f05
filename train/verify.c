#include "train/verify.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum { STEPS = 2001 }; /* thresholds -1.000, -0.999 ... 1.000 */

const double phiz_verify_rate[PHIZ_VERIFY_RATES] = {1e-1, 1e-2, 1e-3};

static double step_value(int step) { return (step - 1000) / 1000.0; }

/* At how many of the thresholds the cosine is accepted: those below this step. */
static int steps_passed(double cosine)
{
	int low = 0, high = STEPS;

	while (low < high) {
		int middle = (low + high) / 2;
		if (cosine >= step_value(middle))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many pairs pass exactly so many steps. */
struct histogram {
	int64_t same[STEPS + 1], different[STEPS + 1];
};

static void count_pairs(const struct phiz_scored_pair *pair, size_t count, int fold, bool others, struct histogram *h)
{
	memset(h, 0, sizeof *h);
	for (size_t i = 0; i < count; i++)
		if (fold < 0 || (pair[i].fold == fold) != others)
			(pair[i].same ? h->same : h->different)[steps_passed(pair[i].cosine)]++;
}

/* The lowest step at which most pairs are told rightly. */
static int best_step(const struct histogram *h)
{
	int64_t right = 0, best = -1;
	int at = 0;

	for (int s = 1; s <= STEPS; s++)
		right += h->same[s];
	right += h->different[0]; /* at step 0 */
	for (int s = 0; s < STEPS; s++) {
		if (right > best) {
			best = right;
			at = s;
		}
		right += h->different[s + 1] - h->same[s + 1];
	}
	return at;
}

static double accuracy_at(const struct histogram *h, int step, int64_t *pairs)
{
	int64_t right = 0;

	*pairs = 0;
	for (int s = 0; s <= STEPS; s++) {
		right += s > step ? h->same[s] : h->different[s];
		*pairs += h->same[s] + h->different[s];
	}
	return (double)right / (double)*pairs;
}

static enum phiz_status check(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count, int n_folds)
{
	size_t same = 0;

	for (size_t i = 0; i < count; i++) {
		if (!isfinite(pair[i].cosine))
			return phiz_fail(ctx, PHIZ_E_NUMERIC, "the cosine of pair %zu is not finite", i + 1);
		if (pair[i].fold < 0 || pair[i].fold >= n_folds)
			return phiz_fail(ctx, PHIZ_E_ARG, "pair %zu is in fold %d of %d", i + 1, pair[i].fold + 1, n_folds);
		same += pair[i].same;
	}
	if (same == 0 || same == count)
		return phiz_fail(ctx, PHIZ_E_ARG, "verification needs pairs of one person and pairs of two; there are %zu and "
		                 "%zu", same, count - same);
	return PHIZ_OK;
}

static enum phiz_status measure_folds(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count,
                                      struct phiz_verification *v)
{
	struct histogram *h = phiz_alloc(ctx, 1, sizeof *h);
	double sum = 0, squares = 0;

	v->fold = phiz_calloc(ctx, (size_t)v->n_folds, sizeof *v->fold);
	if (!h || !v->fold) {
		phiz_free(ctx, h);
		return PHIZ_E_NOMEM;
	}
	for (int f = 0; f < v->n_folds; f++) {
		count_pairs(pair, count, v->n_folds > 1 ? f : -1, true, h);
		int step = best_step(h);
		v->fold[f].threshold = step_value(step);
		count_pairs(pair, count, f, false, h);
		v->fold[f].accuracy = accuracy_at(h, step, &v->fold[f].pairs);
		if (v->fold[f].pairs == 0) {
			phiz_free(ctx, h);
			return phiz_fail(ctx, PHIZ_E_ARG, "fold %d of %d has no pairs", f + 1, v->n_folds);
		}
		sum += v->fold[f].accuracy;
	}
	v->accuracy = sum / v->n_folds;
	for (int f = 0; f < v->n_folds; f++)
		squares += (v->fold[f].accuracy - v->accuracy) * (v->fold[f].accuracy - v->accuracy);
	v->accuracy_std = sqrt(squares / v->n_folds);
	count_pairs(pair, count, -1, false, h);
	v->threshold = step_value(best_step(h));
	phiz_free(ctx, h);
	return PHIZ_OK;
}

static void measure_moments(const struct phiz_scored_pair *pair, size_t count, bool same, double *mean, double *std)
{
	double sum = 0, squares = 0, n = 0;

	for (size_t i = 0; i < count; i++)
		if (pair[i].same == same) {
			sum += pair[i].cosine;
			n++;
		}
	*mean = sum / n;
	for (size_t i = 0; i < count; i++)
		if (pair[i].same == same)
			squares += (pair[i].cosine - *mean) * (pair[i].cosine - *mean);
	*std = sqrt(squares / n);
}

/* A pair as a guess of the one person that there is: "same" pairs are of a known person, the others of strangers. */
static enum phiz_status make_guesses(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count,
                                     struct phiz_guess **out)
{
	*out = phiz_calloc(ctx, count, sizeof **out);
	if (!*out)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < count; i++) {
		(*out)[i].label = pair[i].same ? 0 : PHIZ_STRANGER;
		(*out)[i].score = pair[i].cosine;
	}
	return PHIZ_OK;
}

static enum phiz_status operate(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count, double far,
                                struct phiz_operating_point *out)
{
	double threshold;
	enum phiz_status status = phiz_threshold_for(ctx, guess, count, far, &threshold);

	if (status)
		return status;
	*out = phiz_operate(guess, count, far < 1 ? threshold : -1);
	return PHIZ_OK;
}

enum phiz_status phiz_verify_at(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count, double far,
                                struct phiz_operating_point *out)
{
	struct phiz_guess *guess;
	enum phiz_status status = make_guesses(ctx, pair, count, &guess);

	if (!status)
		status = operate(ctx, guess, count, far, out);
	phiz_free(ctx, guess);
	return status;
}

enum phiz_status phiz_verify_measure(struct phiz_ctx *ctx, const struct phiz_scored_pair *pair, size_t count,
                                     int n_folds, struct phiz_verification *out)
{
	struct phiz_guess *guess = NULL;

	memset(out, 0, sizeof *out);
	out->n_folds = n_folds;
	out->pairs = (int64_t)count;
	for (size_t i = 0; i < count; i++)
		out->same += pair[i].same;
	out->different = out->pairs - out->same;
	enum phiz_status status = check(ctx, pair, count, n_folds);
	if (!status)
		status = measure_folds(ctx, pair, count, out);
	if (!status)
		status = make_guesses(ctx, pair, count, &guess);
	if (!status)
		status = phiz_roc_measure(ctx, guess, count, &out->roc);
	for (int i = 0; i < PHIZ_VERIFY_RATES && !status; i++)
		status = operate(ctx, guess, count, phiz_verify_rate[i], &out->at[i]);
	phiz_free(ctx, guess);
	if (status) {
		phiz_verification_free(ctx, out);
		return status;
	}
	measure_moments(pair, count, true, &out->same_mean, &out->same_std);
	measure_moments(pair, count, false, &out->different_mean, &out->different_std);
	return PHIZ_OK;
}

void phiz_verification_free(struct phiz_ctx *ctx, struct phiz_verification *v)
{
	phiz_roc_free(ctx, &v->roc);
	phiz_free(ctx, v->fold);
	v->fold = NULL;
}

double phiz_cosine(const float *a, const float *b, int dim)
{
	double sum = 0;

	for (int i = 0; i < dim; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}
