/* Optimisers: SGD, Adam and AdamW in PyTorch's order of arithmetic, in f32 with f32 state. One pass over memory a step:
 * clipping, weight decay, moments and update are one loop for each tensor. */
#ifndef PHIZ_TRAIN_OPTIMIZER_H
#define PHIZ_TRAIN_OPTIMIZER_H

#include <phiz/model.h>

#include "train/mirror.h"
#include "train/recipe.h"

struct phiz_optimizer_options {
	enum phiz_optimizer_kind kind;
	double momentum, dampening; /* SGD */
	bool nesterov;
	double beta1, beta2, eps; /* Adam, AdamW */
};

#define PHIZ_OPTIMIZER_SLOTS 2

/* One parameter. The tensors of the model and of the plan are borrowed; the slots are the optimiser's. */
struct phiz_optimizer_param {
	char *name;
	struct phiz_tensor *value;    /* f32, contiguous */
	struct phiz_tensor *gradient; /* the same shape; NULL: this parameter rests in this step */
	double lr_factor;             /* base rate of its group = lr_factor * optimizer.lr */
	double lr;                    /* of the next step; set by the caller */
	double weight_decay;
	int64_t steps;                /* steps that this parameter has made (Adam's bias correction) */
	struct phiz_tensor *slot[PHIZ_OPTIMIZER_SLOTS]; /* SGD: momentum; Adam: mean, mean of squares; NULL: none */
	/* Where value and slots are in the backend's memory. */
	float *at, *slot_at[PHIZ_OPTIMIZER_SLOTS];
};

struct phiz_optimizer {
	struct phiz_ctx *ctx;
	struct phiz_optimizer_options options;
	struct phiz_optimizer_param *param;
	size_t count, capacity;
	double *partial; /* sums of squares by piece, for the norm */
	size_t partial_capacity;
	const struct phiz_backend *backend; /* where it works */
	struct phiz_mirror slots;
	struct phiz_update_param *row; /* of a step */
	size_t row_capacity, rows;
	double *norm; /* staging memory, or the CPU's own */
	double own_norm;
};

enum phiz_status phiz_optimizer_create(struct phiz_ctx *ctx, const struct phiz_optimizer_options *options,
                                       struct phiz_optimizer **out);
void phiz_optimizer_free(struct phiz_optimizer **optimizer);

/* Takes a parameter in, with slots of zeros. The value must outlive the optimiser. ARG (not f32, name taken), NOMEM. */
enum phiz_status phiz_optimizer_add(struct phiz_optimizer *optimizer, const char *name, struct phiz_tensor *value,
                                    double lr_factor, double weight_decay);
struct phiz_optimizer_param *phiz_optimizer_find(struct phiz_optimizer *optimizer, const char *name);

/* The common L2 norm of all gradients, summed in double in an order that does not depend on threads. NaN or Inf if a
 * gradient holds one. Allocates nothing. */
double phiz_optimizer_norm(struct phiz_optimizer *optimizer);
/* PyTorch's clip_grad_norm_: min(1, max_norm/(norm + 1e-6)); 1 where max_norm is 0 (off). */
double phiz_clip_factor(double norm, double max_norm);

/* One step of all parameters that have a gradient; each gradient counts times `scale` (of clipping). Allocates
 * nothing. */
void phiz_optimizer_step(struct phiz_optimizer *optimizer, double scale);

/* From now on it works where the backend's memory is; the slots are copied there. The caller then sets each param's
 * `at` and `gradient` to what a plan of that backend has. */
enum phiz_status phiz_optimizer_place(struct phiz_optimizer *optimizer, const struct phiz_backend *backend);
/* The slots brought back to the host. */
enum phiz_status phiz_optimizer_pull(struct phiz_optimizer *optimizer);

/* Norm, clipping and step in one, on any backend: gradients count times `scale`, and are clipped to max_norm (0: not).
 * A device may still be at it when this returns; wait gives the norm of scale * gradients. Where that is not finite,
 * nothing was changed. */
enum phiz_status phiz_optimizer_update(struct phiz_optimizer *optimizer, double scale, double max_norm);
enum phiz_status phiz_optimizer_wait(struct phiz_optimizer *optimizer, double *norm);

/* Adds the slots as "optimizer/NAME/momentum", ".../exp_avg", ".../exp_avg_sq", and all counts as "optimizer/steps"
 * (the slots are shared with the optimiser, not copied). */
enum phiz_status phiz_optimizer_save(struct phiz_optimizer *optimizer, struct phiz_extra *extra);
/* Copies them back. FORMAT if one is missing or has another shape. */
enum phiz_status phiz_optimizer_load(struct phiz_optimizer *optimizer, const struct phiz_extra *extra);

#endif
