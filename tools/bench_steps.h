/* How long each step of some plans takes, over many runs: the table of `phiz bench --per-layer`. */
#ifndef PHIZ_TOOLS_BENCH_STEPS_H
#define PHIZ_TOOLS_BENCH_STEPS_H

#include <phiz/plan.h>

#include "core/cpu/peak.h"

/* A row of the table. */
struct phiz_bench_row {
	struct phiz_plan_step_info step;
	double seconds; /* median of the runs */
};

struct phiz_bench_steps {
	struct phiz_ctx *ctx;
	struct phiz_plan *plan[2]; /* in the order in which they run; borrowed */
	int n_plans, n_rows;       /* the last row is the caller's where there is an extra one */
	bool extra;
	int64_t runs, max_runs;
	struct phiz_bench_row *row;
	double *seconds; /* [row][run] */
};

/* Times the steps of the plans from now on; plans that are NULL are left out. extra: work that the caller does besides
 * and times itself, as a row of its own; NULL: none. */
enum phiz_status phiz_bench_steps_start(struct phiz_ctx *ctx, struct phiz_plan *const plan[2], int64_t max_runs,
                                        const struct phiz_plan_step_info *extra, struct phiz_bench_steps *out);
/* After a run: takes in what all steps took in it, and the extra row's seconds. */
void phiz_bench_steps_take(struct phiz_bench_steps *s, double extra_seconds);
/* The medians of all runs into the rows. */
void phiz_bench_steps_finish(struct phiz_bench_steps *s);
/* A table. total: the median seconds of a whole run, which is more than its steps. */
void phiz_bench_steps_print(const struct phiz_bench_steps *s, const struct phiz_peak *peak, double total);
/* The same as "per_layer":[{...},...], without a comma before or behind. */
void phiz_bench_steps_json(const struct phiz_bench_steps *s, const struct phiz_peak *peak, double total);
void phiz_bench_steps_free(struct phiz_bench_steps *s);

#endif
