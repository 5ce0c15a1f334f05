/* The threshold from strangers, with its interval. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/error.h"
#include "deploy/gallery.h"

enum { MAX_STRANGERS = 100000000 };

/* P(X <= k), X binomial of n draws with probability p: the sum of the terms, each from its logarithm. */
static double binomial_cdf(int64_t k, int64_t n, double p)
{
	double sum = 0;

	if (k < 0)
		return 0;
	if (k >= n || p <= 0)
		return 1;
	if (p >= 1)
		return 0;
	/* Terms below e^-60 of the largest do not count; far below the mode they are all such. */
	for (int64_t i = k; i >= 0; i--) {
		double term = exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
		                  (double)i * log(p) + (double)(n - i) * log1p(-p));
		sum += term;
		if (term < sum * 1e-18 && (double)i < (double)n * p)
			break;
	}
	return sum < 1 ? sum : 1;
}

/* The share of which no more than k of n are seen with probability 0.05. */
static double upper_bound(int64_t k, int64_t n)
{
	double low = (double)k / (double)n, high = 1;

	for (int i = 0; i < 100 && k < n; i++) {
		double middle = (low + high) / 2;
		if (binomial_cdf(k, n, middle) > 0.05)
			low = middle;
		else
			high = middle;
	}
	return high;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum phiz_status phiz_limit_from(struct phiz_ctx *ctx, double *similarity, int64_t n, double far,
                                 struct phiz_limit *out)
{
	double *s = similarity;

	memset(out, 0, sizeof *out);
	if (n < 1 || n > MAX_STRANGERS || !(far >= 0 && far < 1))
		return phiz_fail(ctx, PHIZ_E_ARG, "a threshold wants 1 to %d strangers and a share from 0 to below 1",
		                 MAX_STRANGERS);
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(s[i]))
			return phiz_fail(ctx, PHIZ_E_NUMERIC, "the similarity of a stranger is not finite");
	qsort(s, (size_t)n, sizeof *s, by_value);
	/* m strangers may reach it, so it lies just above the one after them. (A little is added to the product, for 0.01
	 * is not quite a hundredth.) */
	int64_t m = (int64_t)floor(far * (double)n * (1 + 1e-12));
	out->value = nextafter(s[n - 1 - m], INFINITY);
	while (out->passed < n && s[n - 1 - out->passed] >= out->value)
		out->passed++;
	/* The quantile that a share far lies above: of n draws X, binomial with far, lie above it. It lies above the
	 * (j+1)th highest where X <= j, below the jth highest where X >= j; j is chosen so that either fails with 0.025 at
	 * most. */
	int64_t few = 0, many = 0;
	while (few < n && binomial_cdf(few, n, far) <= 0.025) /* P(X <= few - 1) <= 0.025 */
		few++;
	while (many < n && binomial_cdf(many, n, far) < 0.975)
		many++;
	out->high = few > 0 ? s[n - few] : INFINITY;
	out->low = many < n ? s[n - 1 - many] : s[0];
	out->far = far;
	out->strangers = n;
	out->far_high = upper_bound(out->passed, n);
	out->created = (int64_t)time(NULL);
	return PHIZ_OK;
}

enum phiz_status phiz_gallery_set_limit(struct phiz_gallery *g, const struct phiz_limit *l)
{
	enum phiz_status status;

	if (!g->dim || !isfinite(l->value) || !isfinite(l->low))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: a threshold wants a gallery with people, and a number", g->path);
	status = phiz_sql_begin(g);
	if (status)
		return status;
	/* An infinite end is stored as NULL. */
	status = phiz_sql_run(g, "INSERT OR REPLACE INTO threshold(model, value, low, high, far, strangers, passed, "
	                      "far_high, created) VALUES(?, ?, ?, CASE WHEN ? THEN ? END, ?, ?, ?, ?, "
	                      "?)", "tddiddiidi", g->model,
	                      l->value, l->low, (int64_t)(isfinite(l->high) != 0), isfinite(l->high) ? l->high : 0.0,
	                      l->far,
	                      l->strangers, l->passed, l->far_high, l->created);
	if (!status)
		status = phiz_audit_add(g, "calibrate", "threshold %.6f for %g of strangers, from %lld", l->value, l->far,
		                        (long long)l->strangers);
	return phiz_sql_end(g, status);
}

enum phiz_status phiz_gallery_limit(struct phiz_gallery *g, struct phiz_limit *out)
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT value, low, high, far, strangers, passed, far_high, "
	                                        "created FROM threshold WHERE model = ?", "t", g->model);

	memset(out, 0, sizeof *out);
	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && !row) {
		status = phiz_fail(g->ctx, PHIZ_E_NOTFOUND, "%s: has no threshold yet: phiz gallery calibrate --strangers LIST",
		                   g->path);
	} else if (!status) {
		out->value = sqlite3_column_double(stmt, 0);
		out->low = sqlite3_column_double(stmt, 1);
		out->high = sqlite3_column_type(stmt, 2) == SQLITE_NULL ? INFINITY : sqlite3_column_double(stmt, 2);
		out->far = sqlite3_column_double(stmt, 3);
		out->strangers = sqlite3_column_int64(stmt, 4);
		out->passed = sqlite3_column_int64(stmt, 5);
		out->far_high = sqlite3_column_double(stmt, 6);
		out->created = sqlite3_column_int64(stmt, 7);
		if (!isfinite(out->value))
			status = phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged: its threshold is no number", g->path);
	}
	sqlite3_finalize(stmt);
	return status;
}
