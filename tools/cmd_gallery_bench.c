/* phiz gallery bench: how fast people are found, beside what memory gives. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"
#include "core/cpu/search.h"
#include "tools/tools.h"

enum { ROWS_AT_ONCE = 1024 };

struct settings {
	int64_t people, dim, topk, runs;
	const char *folder;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--people", INT, people, "N", 1, 100000000, "rows of the matrix (default 1000000)"),
	PHIZ_OPTION(struct settings, "--dim", INT, dim, "D", 1, 4096, "numbers in an embedding (default 128)"),
	PHIZ_OPTION(struct settings, "--topk", INT, topk, "K", 1, 1024, "people to find for each query (default 10)"),
	PHIZ_OPTION(struct settings, "--runs", INT, runs, "N", 1, 1000, "timed queries (default 15)"),
	PHIZ_OPTION(struct settings, "--folder", TEXT, folder, "DIR", 0, 0,
	            "where to put the matrix file for the time being (default $TMPDIR, else the system's)"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

struct bench {
	struct phiz_ctx *ctx;
	const struct settings *s;
	struct phiz_map map;
	const float *rows;
	int64_t stride;
	float *query;
	double search, sweep; /* median seconds */
	uint64_t word;        /* keeps the sweep from being left out */
	double worst;         /* largest error of a product at its place, against double */
};

/* Rows of normal noise, of length one. */
static enum phiz_status write_rows(struct bench *b, struct phiz_writer *w, float *row)
{
	struct phiz_progress progress;
	enum phiz_status status = PHIZ_OK;

	phiz_progress_start(&progress);
	for (int64_t i = 0; i < b->s->people && !status; i += ROWS_AT_ONCE) {
		int64_t n = b->s->people - i < ROWS_AT_ONCE ? b->s->people - i : ROWS_AT_ONCE;
		struct phiz_rng rng;
		phiz_rng_init(&rng, 1, 0, (uint64_t)i, PHIZ_STREAM_TEST);
		for (int64_t r = 0; r < n; r++) {
			double square = 0;
			for (int64_t d = 0; d < b->s->dim; d++) {
				double v = phiz_rng_uniform(&rng, -1, 1); /* as good as normal noise here, and quicker to draw */
				row[r * b->stride + d] = (float)v;
				square += v * v;
			}
			for (int64_t d = 0; d < b->s->dim; d++)
				row[r * b->stride + d] *= (float)(1 / sqrt(square));
		}
		status = phiz_writer_add(w, row, (size_t)(n * b->stride) * sizeof *row);
		if (phiz_interrupted)
			status = phiz_fail(b->ctx, PHIZ_E_CANCELLED, "broken off");
		phiz_progress_show(&progress, (double)(i + n), (double)b->s->people, false, "making %" PRId64 " people",
		                   b->s->people);
	}
	phiz_progress_clear(&progress);
	return status;
}

/* Mapped, as a gallery's matrix is; the name is gone at once, the bytes when the program ends. */
static enum phiz_status make_matrix(struct bench *b)
{
	const char *folder = b->s->folder ? b->s->folder : getenv("TMPDIR");
	char *path = phiz_asprintf(b->ctx, "%s/phiz-bench-%ld.matrix", folder && *folder ? folder : "/tmp",
	                           (long)getpid());
	float *row = phiz_calloc(b->ctx, (size_t)(ROWS_AT_ONCE * b->stride), sizeof *row);
	struct phiz_writer *w = NULL;
	enum phiz_status status = path && row ? phiz_writer_open(b->ctx, path, &w) : PHIZ_E_NOMEM;

	if (!status)
		status = write_rows(b, w, row);
	if (!status)
		status = phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	if (!status)
		status = phiz_map_open(b->ctx, path, &b->map);
	if (path)
		unlink(path);
	if (!status)
		b->rows = (const float *)(const void *)b->map.data;
	phiz_free(b->ctx, row);
	phiz_free(b->ctx, path);
	return status;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* In turn, so that what disturbs one disturbs the other. */
static enum phiz_status measure(struct bench *b)
{
	size_t runs = (size_t)b->s->runs;
	double *search = phiz_alloc(b->ctx, runs, sizeof *search), *sweep = phiz_alloc(b->ctx, runs, sizeof *sweep);
	struct phiz_hit hit[1024];
	int64_t n;
	enum phiz_status status = search && sweep ? PHIZ_OK : PHIZ_E_NOMEM;

	for (int64_t i = -1; i < b->s->runs && !status; i++) { /* the first run is not timed: it brings the file in */
		double t = phiz_time();
		status = phiz_search_sweep(b->ctx, b->rows, b->s->people, b->stride, &b->word);
		if (i >= 0)
			sweep[i] = phiz_time() - t;
		t = phiz_time();
		if (!status)
			status = phiz_search_top(b->ctx, b->rows, b->s->people, b->stride, b->query, b->s->topk, hit, &n);
		if (i >= 0)
			search[i] = phiz_time() - t;
		if (!status && phiz_interrupted)
			status = phiz_fail(b->ctx, PHIZ_E_CANCELLED, "broken off");
	}
	if (!status) {
		qsort(search, runs, sizeof *search, by_value);
		qsort(sweep, runs, sizeof *sweep, by_value);
		b->search = search[runs / 2];
		b->sweep = sweep[runs / 2];
	}
	phiz_free(b->ctx, search);
	phiz_free(b->ctx, sweep);
	return status;
}

struct slow {
	struct bench *b;
	double *dot;
};

static void slow_dots(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct slow *s = arg;
	struct bench *b = s->b;

	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		double sum = 0;
		for (int64_t d = 0; d < b->s->dim; d++)
			sum += (double)b->rows[i * b->stride + d] * (double)b->query[d];
		s->dot[i] = sum;
	}
}

/* The k found against all products in double, sorted. */
static enum phiz_status check(struct bench *b)
{
	size_t people = (size_t)b->s->people;
	struct slow s = {b, phiz_alloc(b->ctx, people, sizeof(double))};
	struct phiz_hit hit[1024];
	int64_t n = 0;
	enum phiz_status status = s.dot ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status)
		status = phiz_search_top(b->ctx, b->rows, b->s->people, b->stride, b->query, b->s->topk, hit, &n);
	if (!status)
		phiz_parallel_for(b->ctx, b->s->people, 4096, slow_dots, &s);
	for (int64_t i = 0; i < n && !status; i++)
		hit[i].dot = (float)s.dot[hit[i].row]; /* what was found, reckoned in double */
	if (!status)
		qsort(s.dot, people, sizeof *s.dot, by_value);
	for (int64_t i = 0; i < n && !status; i++)
		b->worst = fmax(b->worst, fabs((double)hit[i].dot - s.dot[people - 1 - (size_t)i]));
	phiz_free(b->ctx, s.dot);
	if (!status && b->worst > 1e-6)
		status = phiz_fail(b->ctx, PHIZ_E_INTERNAL, "the best %" PRId64 " are not those of double precision (off by "
		                   "%.2g): please report it", n, b->worst);
	return status;
}

static void print(const struct bench *b)
{
	double gb = (double)b->s->people * (double)b->stride * sizeof(float) / 1e9;
	char features[64];

	phiz_cpu_features_text(phiz_cpu_features(), features);
	if (b->s->json) {
		printf("{\"people\":%" PRId64 ",\"dim\":%" PRId64 ",\"topk\":%"
		       PRId64 ",\"threads\":%d,\"gb\":%.6g,\"query_ms\":%.6g,"
		       "\"query_gb_s\":%.6g,\"read_ms\":%.6g,\"read_gb_s\":%.6g,\"share\":%.6g,\"error\":%.3g}\n", b->s->people,
		       b->s->dim, b->s->topk, phiz_ctx_threads(b->ctx), gb, 1e3 * b->search, gb / b->search, 1e3 * b->sweep,
		       gb / b->sweep, b->sweep / b->search, b->worst);
		return;
	}
	printf("%" PRId64 " people x %" PRId64 " numbers, %.3f GB, mapped; %d threads, %s\n", b->s->people, b->s->dim, gb,
	       phiz_ctx_threads(b->ctx), features);
	printf("%-28s %8.2f ms  %7.2f GB/s\n", "one query, best of all", 1e3 * b->search, gb / b->search);
	printf("%-28s %8.2f ms  %7.2f GB/s\n", "reading the same memory", 1e3 * b->sweep, gb / b->sweep);
	printf("the search runs at %.0f %% of the speed of reading; its %" PRId64 " hits are those of double precision "
	       "(%.1g)\n",
	       100 * b->sweep / b->search, b->s->topk, b->worst);
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct bench b = {.ctx = ctx, .s = settings};
	struct phiz_rng rng;

	(void)n_args;
	(void)args;
	b.stride = phiz_search_stride(b.s->dim);
	b.query = phiz_calloc(ctx, (size_t)b.stride, sizeof *b.query);
	enum phiz_status status = b.query ? make_matrix(&b) : PHIZ_E_NOMEM;
	phiz_rng_init(&rng, 2, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t d = 0; d < b.s->dim && b.query; d++)
		b.query[d] = (float)(phiz_rng_normal(&rng) / sqrt((double)b.s->dim));
	if (!status)
		status = measure(&b);
	if (!status)
		status = check(&b);
	if (status)
		phiz_report(ctx);
	else
		print(&b);
	if (b.map.data)
		phiz_map_close(&b.map);
	phiz_free(ctx, b.query);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.people = 1000000, .dim = 128, .topk = 10, .runs = 15};

const struct phiz_verb phiz_verb_gallery_bench = {
	"gallery bench", "how fast people are found, beside what memory gives", "[--people N] [--dim D] [--topk K] "
		"[--json]",
	"Makes a matrix of random people in a temporary file, maps it as a gallery does, and\n"
	"times one query over all of it and a plain read of the same memory, in turn. Then all\n"
	"products are reckoned in double, and the people found must be the best of them.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 0, run,
};
