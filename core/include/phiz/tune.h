/* Choices among kernels that do the same work, timed on a machine, and kept in a small text file beside a model. */
#ifndef PHIZ_TUNE_H
#define PHIZ_TUNE_H

#include <phiz/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which kernel serves a node best, by operator, attributes, dtypes, layouts and the shapes for one picture. A choice
 * counts for any batch and any number of threads, so that neither changes a result. All choices are of one machine:
 * version of phiz, backend, processor, instruction sets. Plans elsewhere do not look at them, and a choice that a plan
 * cannot follow (another shape, a kernel that is no more) is passed over. */
struct phiz_tuning;

struct phiz_tune_result {
	int nodes;   /* that leave a choice */
	int changed; /* of these: run by another kernel than without tuning */
	double before, after; /* seconds of a whole run of one picture */
};

/* Times every kernel that fits, in whole runs of the graph on made-up pictures with the context's threads, and puts the
 * fastest of each node into *tuning: a new one where that is NULL or of another machine, else beside what is there. A
 * kernel is left for another one only where that saves a noticeable share of the run; after < before or nothing is
 * changed. seconds: about how long it may take (a first look at each kernel is always taken). options: as for
 * phiz_plan_create; batch, consume and tuning do not matter, the mode must be INFER.
 * Errors: ARG; UNSUPPORTED where the backend leaves no choice; those of phiz_plan_create. *tuning is as it was then. */
PHIZ_API enum phiz_status phiz_tuning_measure(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                              const struct phiz_plan_options *options, double seconds,
                                              struct phiz_tuning **tuning, struct phiz_tune_result *out);
PHIZ_API void phiz_tuning_free(struct phiz_tuning **tuning);

struct phiz_tuning_info {
	int choices;
	const char *machine; /* that they were timed on; the tuning's own */
	bool here;           /* that is this one, with this backend: plans follow them */
};
/* tuning may be NULL: no choices. Errors: those of asking the backend for its machine (ARG, NOMEM). */
PHIZ_API enum phiz_status phiz_tuning_describe(struct phiz_ctx *ctx, const struct phiz_tuning *tuning,
                                               const struct phiz_backend *backend, struct phiz_tuning_info *out);

/* Errors: NOTFOUND, IO, LIMIT, FORMAT (with the line). */
PHIZ_API enum phiz_status phiz_tuning_read(struct phiz_ctx *ctx, const char *path, struct phiz_tuning **out);
PHIZ_API enum phiz_status phiz_tuning_write(const struct phiz_tuning *tuning, const char *path);

/* Those beside a model's file: MODEL.tune, for instance team.phiz.tune. open: NULL where there are none, and with a
 * warning in the log where they cannot be read. */
PHIZ_API enum phiz_status phiz_tuning_open_beside(struct phiz_ctx *ctx, const char *model, struct phiz_tuning **out);
PHIZ_API enum phiz_status phiz_tuning_write_beside(const struct phiz_tuning *tuning, const char *model);

#ifdef __cplusplus
}
#endif
#endif
