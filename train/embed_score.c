#include "train/embed_score.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/thread.h"

#define STEPS 10000 /* of 1 */
#define BINS (2 * STEPS + 1)
#define FAR 0.01

void phiz_embed_unit_rows(float *x, size_t n, size_t dim)
{
	size_t i, d;

	for (i = 0; i < n; i++, x += dim) {
		double sum = 0;

		for (d = 0; d < dim; d++)
			sum += (double)x[d] * (double)x[d];
		for (d = 0; sum > 0 && d < dim; d++)
			x[d] = (float)((double)x[d] / sqrt(sum));
	}
}

/* Pairs (i, j > i) are counted by workers into histograms of their own: whole numbers, so their sum is exact. */
struct count {
	const float *unit;
	const int32_t *person;
	size_t n, dim;
	int64_t *bins; /* [threads][2][BINS] */
};

static void count_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct count *c = arg;
	int64_t *bins = c->bins + (size_t)worker * 2 * BINS;
	size_t i, j, d;

	for (i = (size_t)begin; i < (size_t)end; i++)
		for (j = i + 1; j < c->n; j++) {
			const float *a = c->unit + i * c->dim, *b = c->unit + j * c->dim;
			double dot = 0;

			for (d = 0; d < c->dim; d++)
				dot += (double)a[d] * (double)b[d];
			dot = isfinite(dot) ? fmin(1, fmax(-1, dot)) : -1;
			bins[(c->person[i] == c->person[j] ? 0 : BINS) + (int64_t)lround((dot + 1) * STEPS)]++;
		}
}

/* From the counts of both kinds by cosine. */
static void judge(const int64_t *same, const int64_t *different, struct phiz_embed_score *out)
{
	int64_t same_below = 0, different_below = 0, b;
	double closest = INFINITY;
	bool found = false;

	out->accuracy = -1;
	for (b = 0; b < BINS; b++) { /* accepted: this cosine and above */
		double frr = (double)same_below / (double)out->same;
		double far = 1 - (double)different_below / (double)out->different;
		double accuracy = (1 - frr + 1 - far) / 2;

		if (accuracy > out->accuracy) {
			out->accuracy = accuracy;
			out->threshold = (double)b / STEPS - 1;
		}
		if (fabs(frr - far) < closest) {
			closest = fabs(frr - far);
			out->eer = (frr + far) / 2;
		}
		if (!found && far <= FAR) {
			found = true;
			out->tar = 1 - frr;
		}
		same_below += same[b];
		different_below += different[b];
	}
	if (!found)
		out->tar = 0;
}

enum phiz_status phiz_embed_score_pairs(struct phiz_ctx *ctx, const float *embedding, const int32_t *person, size_t n,
                                   size_t dim, struct phiz_embed_score *out)
{
	int threads = phiz_ctx_threads(ctx), t;
	float *unit = phiz_alloc(ctx, n + 1, dim * sizeof *unit);
	struct count c = {unit, person, n, dim, phiz_calloc(ctx, (size_t)threads * 2 * BINS, sizeof(int64_t))};
	enum phiz_status status = unit && c.bins ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t i;

	memset(out, 0, sizeof *out);
	out->accuracy = out->threshold = out->tar = out->eer = NAN;
	if (!status) {
		memcpy(unit, embedding, n * dim * sizeof *unit);
		phiz_embed_unit_rows(unit, n, dim);
		phiz_parallel_for(ctx, (int64_t)n, 16, count_rows, &c);
		for (t = 1; t < threads; t++)
			for (i = 0; i < 2 * BINS; i++)
				c.bins[i] += c.bins[(size_t)t * 2 * BINS + i];
		for (i = 0; i < BINS; i++) {
			out->same += c.bins[i];
			out->different += c.bins[BINS + i];
		}
		if (out->same && out->different)
			judge(c.bins, c.bins + BINS, out);
		else
			out->same = out->different = 0;
	}
	phiz_free(ctx, c.bins);
	phiz_free(ctx, unit);
	return status;
}
