#include "tools/bench_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "tools/tools.h"

enum phiz_status phiz_bench_steps_start(struct phiz_ctx *ctx, struct phiz_plan *const plan[2], int64_t max_runs,
                                        const struct phiz_plan_step_info *extra, struct phiz_bench_steps *s)
{
	struct phiz_plan_info info;
	size_t times;

	memset(s, 0, sizeof *s);
	s->ctx = ctx;
	s->max_runs = max_runs;
	s->extra = extra != NULL;
	for (int p = 0; p < 2; p++)
		if (plan[p]) {
			s->plan[s->n_plans++] = plan[p];
			phiz_plan_describe(plan[p], &info);
			s->n_rows += info.steps;
		}
	s->n_rows += s->extra;
	if (!phiz_size_mul((size_t)s->n_rows + 1, (size_t)max_runs, &times))
		return phiz_fail(ctx, PHIZ_E_LIMIT, "too many runs to keep the times of %d steps", s->n_rows);
	s->row = phiz_calloc(ctx, (size_t)s->n_rows + 1, sizeof *s->row);
	s->seconds = phiz_calloc(ctx, times, sizeof *s->seconds);
	if (!s->row || !s->seconds)
		return PHIZ_E_NOMEM;
	for (int p = 0, row = 0; p < s->n_plans; p++) {
		phiz_plan_time_steps(s->plan[p], true);
		for (int i = 0; phiz_plan_step(s->plan[p], i, &s->row[row].step); i++)
			row++;
	}
	if (extra)
		s->row[s->n_rows - 1].step = *extra;
	return PHIZ_OK;
}

void phiz_bench_steps_take(struct phiz_bench_steps *s, double extra_seconds)
{
	struct phiz_plan_step_info step;
	int row = 0;

	if (s->runs == s->max_runs)
		return;
	for (int p = 0; p < s->n_plans; p++)
		for (int i = 0; phiz_plan_step(s->plan[p], i, &step); i++)
			s->seconds[row++ * s->max_runs + s->runs] = step.seconds;
	if (s->extra)
		s->seconds[row * s->max_runs + s->runs] = extra_seconds;
	s->runs++;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void phiz_bench_steps_finish(struct phiz_bench_steps *s)
{
	for (int i = 0; i < s->n_rows && s->runs > 0; i++) {
		double *t = s->seconds + i * s->max_runs;
		qsort(t, (size_t)s->runs, sizeof *t, by_value);
		s->row[i].seconds = s->runs % 2 ? t[s->runs / 2] : (t[s->runs / 2 - 1] + t[s->runs / 2]) / 2;
	}
}

static double rate(double work, double seconds)
{
	return seconds > 0 ? work / seconds / 1e9 : 0;
}

/* What all steps need at the machine's peak: each at what bounds it. */
static double least_seconds(const struct phiz_bench_steps *s, const struct phiz_peak *peak)
{
	double sum = 0;
	for (int i = 0; i < s->n_rows; i++)
		sum += phiz_peak_share(peak, s->row[i].step.flops, s->row[i].step.bytes, 1, NULL);
	return sum;
}

static const char *pass_of(const struct phiz_bench_steps *s, int row)
{
	return s->extra && row == s->n_rows - 1 ? "update" : s->row[row].step.backward ? "backward" : "forward";
}

static void print_total(const char *name, double seconds, double total, double flops, double bytes, double share)
{
	printf("%-8s %-24s %-20s %-28s %-18s %9.3f %6.1f%% %8.1f %7.1f %6.1f%%\n", "", name, "", "", "", seconds * 1e3,
	       total > 0 ? 100 * seconds / total : 0, rate(flops, seconds), rate(bytes, seconds), 100 * share);
}

void phiz_bench_steps_print(const struct phiz_bench_steps *s, const struct phiz_peak *peak, double total)
{
	double flops = 0, bytes = 0, seconds = 0;

	printf("%-8s %-24s %-20s %-28s %-18s %9s %7s %8s %7s %7s\n", "pass", "node", "op", "kernel", "output", "ms",
	       "share", "GFLOP/s", "GB/s", "of peak");
	for (int i = 0; i < s->n_rows; i++) {
		const struct phiz_bench_row *r = &s->row[i];
		char shape[128];
		bool memory;
		double share = phiz_peak_share(peak, r->step.flops, r->step.bytes, r->seconds, &memory);
		printf("%-8s %-24s %-20s %-28s %-18s %9.3f %6.1f%% %8.1f %7.1f %6.1f%% %s\n", pass_of(s, i), r->step.node,
		       r->step.op, r->step.kernel, phiz_shape_text(&r->step.output, shape), r->seconds * 1e3,
		       total > 0 ? 100 * r->seconds / total : 0, rate(r->step.flops, r->seconds),
		       rate(r->step.bytes, r->seconds), 100 * share, memory ? "memory" : "compute");
		flops += r->step.flops;
		bytes += r->step.bytes;
		seconds += r->seconds;
	}
	print_total("all steps", seconds, total, flops, bytes, seconds > 0 ? least_seconds(s, peak) / seconds : 0);
	print_total("whole run", total, total, flops, bytes, total > 0 ? least_seconds(s, peak) / total : 0);
}

static void print_row_json(const struct phiz_bench_steps *s, int row, const struct phiz_peak *peak, double total)
{
	const struct phiz_bench_row *r = &s->row[row];
	const struct phiz_shape *shape = &r->step.output;
	bool memory;
	double share = phiz_peak_share(peak, r->step.flops, r->step.bytes, r->seconds, &memory);

	printf("{\"pass\":\"%s\",\"node\":", pass_of(s, row));
	phiz_print_json(s->ctx, r->step.node);
	printf(",\"op\":\"%s\",\"kernel\":\"%s\",\"output\":[", r->step.op, r->step.kernel);
	for (int d = 0; d < shape->ndim; d++)
		printf("%s%lld", d ? "," : "", (long long)shape->dim[d]);
	printf("],\"ms\":%.5f,\"share\":%.5f,\"flops\":%.0f,\"bytes\":%.0f,\"gflops\":%.3f,\"gbps\":%.3f,"
	       "\"peak_share\":%.5f,\"bound\":\"%s\"}",
	       r->seconds * 1e3, total > 0 ? r->seconds / total : 0, r->step.flops, r->step.bytes,
	       rate(r->step.flops, r->seconds), rate(r->step.bytes, r->seconds), share, memory ? "memory" : "compute");
}

void phiz_bench_steps_json(const struct phiz_bench_steps *s, const struct phiz_peak *peak, double total)
{
	printf("\"per_layer\":[");
	for (int i = 0; i < s->n_rows; i++) {
		printf("%s", i ? "," : "");
		print_row_json(s, i, peak, total);
	}
	printf("]");
}

void phiz_bench_steps_free(struct phiz_bench_steps *s)
{
	for (int p = 0; p < s->n_plans; p++)
		phiz_plan_time_steps(s->plan[p], false);
	if (s->ctx) {
		phiz_free(s->ctx, s->row);
		phiz_free(s->ctx, s->seconds);
	}
	memset(s, 0, sizeof *s);
}
