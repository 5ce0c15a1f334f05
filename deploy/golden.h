/* Golden outputs: what a model says of pictures that are drawn from a seed, by the plain reference kernels of the
 * machine that exported it. Another machine draws the same pictures, runs the model on what it has, and sees how far it
 * is off: preprocessing, weights and kernels in one. They are kept in the model file, as meta "golden". */
#ifndef PHIZ_DEPLOY_GOLDEN_H
#define PHIZ_DEPLOY_GOLDEN_H

#include <phiz/model.h>
#include <phiz/plan.h>

#define PHIZ_GOLDEN_PICTURES 2

struct phiz_golden {
	struct phiz_ctx *ctx;
	int64_t count;                       /* numbers in an output */
	float *output[PHIZ_GOLDEN_PICTURES]; /* the model's whole output for picture i, in fp32 */
	double limit[3];                     /* how far fp32, fp16 and bf16 may be off; phiz_golden_limit */
};

/* Runs the model here on the reference kernels, and measures on the CPU's kernels what the precisions change, for the
 * limits. Free *out with phiz_golden_free. Errors: UNSUPPORTED (task DETECT), LIMIT (above 65536 outputs), NUMERIC
 * (they are not finite), NOMEM. */
enum phiz_status phiz_golden_make(const struct phiz_model *model, struct phiz_golden **out);
void phiz_golden_free(struct phiz_golden **golden);

/* Keeps it in the model, together with the hash of the weights that it is of. */
enum phiz_status phiz_golden_store(const struct phiz_golden *golden, struct phiz_model *model);
/* What is kept in a model as it was read. *out = NULL and OK where nothing is kept, or where it is of other weights (of
 * the model that this one was trained on from). FORMAT if what is kept is damaged. */
enum phiz_status phiz_golden_read(const struct phiz_model *model, struct phiz_golden **out);

/* The worst picture's ||y - golden|| / ||golden|| in this precision (F32, F16, BF16) on this backend; NaN where numbers
 * are NaN. Errors: those of planning and running. */
enum phiz_status phiz_golden_compare(const struct phiz_golden *golden, const struct phiz_model *model,
                                     const struct phiz_backend *backend, enum phiz_dtype precision, double *distance);
/* How far a machine's kernels may be off. */
double phiz_golden_limit(const struct phiz_golden *golden, enum phiz_dtype precision);

#endif
