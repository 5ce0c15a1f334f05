/* Known people against strangers: ROC, thresholds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "train/metrics.h"

struct face {
	double score;
	bool known, named; /* named: the best class is the right one */
};

static int by_falling_score(const void *a, const void *b)
{
	double x = ((const struct face *)a)->score, y = ((const struct face *)b)->score;

	return (x < y) - (x > y);
}

/* All guesses, the highest score first. */
static enum phiz_status sort_faces(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count,
                                   struct face **out)
{
	struct face *face = phiz_alloc(ctx, count, sizeof *face);

	*out = face;
	if (!face)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < count; i++) {
		face[i].score = guess[i].score;
		face[i].known = guess[i].label != PHIZ_STRANGER;
		face[i].named = face[i].known && guess[i].top[0] == guess[i].label;
	}
	if (count)
		qsort(face, count, sizeof *face, by_falling_score);
	return PHIZ_OK;
}

static void set_rates(struct phiz_operating_point *p)
{
	p->far = p->strangers ? (double)p->strangers_accepted / (double)p->strangers : (double)NAN;
	p->tar = p->known ? (double)p->named / (double)p->known : (double)NAN;
}

static double refused(const struct phiz_operating_point *p)
{
	return 1 - (double)p->accepted / (double)p->known;
}

/* Where the line from one point to the next crosses far = refused. */
static double crossing(const struct phiz_operating_point *a, const struct phiz_operating_point *b)
{
	double before = refused(a) - a->far, after = refused(b) - b->far; /* before > 0 >= after */
	double t = before / (before - after);

	return a->far + t * (b->far - a->far);
}

static void summarise(struct phiz_roc *roc)
{
	const struct phiz_operating_point *p = roc->point, *last = &p[roc->count - 1];

	roc->auc = roc->eer = NAN;
	if (!last->known || !last->strangers)
		return;
	roc->auc = 0;
	for (size_t i = 1; i < roc->count; i++) {
		double height = (double)(p[i].accepted + p[i - 1].accepted) / (2 * (double)last->known);

		roc->auc += height * (p[i].far - p[i - 1].far);
		if (!isfinite(roc->eer) && refused(&p[i]) <= p[i].far)
			roc->eer = crossing(&p[i - 1], &p[i]);
	}
}

enum phiz_status phiz_roc_measure(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count,
                                  struct phiz_roc *out)
{
	struct face *face = NULL;
	struct phiz_operating_point at = {.value = INFINITY};
	enum phiz_status status = sort_faces(ctx, guess, count, &face);

	memset(out, 0, sizeof *out);
	out->point = status ? NULL : phiz_alloc(ctx, count + 1, sizeof *out->point);
	if (!out->point) {
		phiz_free(ctx, face);
		return PHIZ_E_NOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		at.known += face[i].known;
		at.strangers += !face[i].known;
	}
	set_rates(&at);
	out->point[out->count++] = at;
	for (size_t i = 0; i < count; i++) {
		at.value = face[i].score;
		at.accepted += face[i].known;
		at.named += face[i].named;
		at.strangers_accepted += !face[i].known;
		set_rates(&at);
		if (i + 1 == count || face[i + 1].score < face[i].score)
			out->point[out->count++] = at;
	}
	phiz_free(ctx, face);
	summarise(out);
	return PHIZ_OK;
}

void phiz_roc_free(struct phiz_ctx *ctx, struct phiz_roc *roc)
{
	phiz_free(ctx, roc->point);
	memset(roc, 0, sizeof *roc);
}

struct phiz_operating_point phiz_operate(const struct phiz_guess *guess, size_t count, double threshold)
{
	struct phiz_operating_point p = {.value = threshold};

	for (size_t i = 0; i < count; i++) {
		bool known = guess[i].label != PHIZ_STRANGER, accepted = guess[i].score >= threshold;

		p.known += known;
		p.strangers += !known;
		p.accepted += known && accepted;
		p.named += known && accepted && guess[i].top[0] == guess[i].label;
		p.strangers_accepted += !known && accepted;
	}
	set_rates(&p);
	p.far_interval = phiz_wilson(p.strangers_accepted, p.strangers);
	p.tar_interval = phiz_wilson(p.named, p.known);
	return p;
}

enum phiz_status phiz_threshold_for(struct phiz_ctx *ctx, const struct phiz_guess *guess, size_t count, double far,
                                    double *threshold)
{
	struct face *face = NULL;
	size_t n = 0, allowed;
	enum phiz_status status;

	*threshold = NAN;
	if (!(far >= 0 && far <= 1))
		return phiz_fail(ctx, PHIZ_E_ARG, "a false-accept rate of %g: want 0 to 1", far);
	status = sort_faces(ctx, guess, count, &face);
	if (status)
		return status;
	double lowest = count ? face[count - 1].score : 0;
	for (size_t i = 0; i < count; i++)
		if (!face[i].known)
			face[n++] = face[i];
	/* The most that may be accepted, by the same division that measures the rate: 0.29 * 100 is a little below 29. */
	allowed = (size_t)floor(far * (double)n);
	while (allowed < n && (double)(allowed + 1) / (double)n <= far)
		allowed++;
	while (allowed > 0 && (double)allowed / (double)n > far)
		allowed--;
	if (n > 0)
		*threshold = allowed >= n ? fmin(0, lowest) : nextafter(face[allowed].score, INFINITY);
	phiz_free(ctx, face);
	return PHIZ_OK;
}
