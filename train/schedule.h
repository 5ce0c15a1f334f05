/* Learning rate schedules: PyTorch's values as a pure function of where training stands; only plateau has a memory,
 * which is three numbers that the checkpoint keeps. */
#ifndef PHIZ_TRAIN_SCHEDULE_H
#define PHIZ_TRAIN_SCHEDULE_H

#include "train/recipe.h"

#define PHIZ_MAX_MILESTONES 64

struct phiz_schedule {
	enum phiz_schedule_kind kind;
	bool per_step;          /* cosine: moves at each step instead of each epoch */
	int64_t epochs;         /* cosine: T_max */
	int64_t steps_an_epoch; /* of the optimiser */
	int64_t step_epochs;
	double gamma, min_lr;
	int64_t milestone[PHIZ_MAX_MILESTONES];
	int n_milestones;
	int64_t warmup_steps;
	double warmup_start;
	/* plateau */
	bool higher_is_better;
	int64_t patience, cooldown;
	double factor, threshold;
};

/* Plateau's memory; all zero at the start. */
struct phiz_plateau {
	bool seen;            /* is there a best? */
	double best;
	int64_t bad_epochs, cooldown_left;
	int64_t drops;
};

/* From the recipe; steps_an_epoch >= 1. ARG (too many milestones). */
enum phiz_status phiz_schedule_init(const struct phiz_recipe *recipe, int64_t steps_an_epoch,
                                    struct phiz_schedule *out);

/* The rate of the step `step` (counted from 0 within the epoch) of epoch `epoch` (from 0) for a parameter group whose
 * rate is base: warm-up factor * schedule. As PyTorch's schedulers that are stepped at the end of each epoch (or of
 * each step), under ChainedScheduler with a LinearLR that is stepped at each step. */
double phiz_schedule_lr(const struct phiz_schedule *schedule, const struct phiz_plateau *plateau, double base,
                        int64_t epoch, int64_t step);

/* Plateau: tells it the metric of an epoch that is over. Returns whether the rate drops (PyTorch's ReduceLROnPlateau,
 * threshold_mode rel). For other kinds: does nothing. */
bool phiz_schedule_observe(const struct phiz_schedule *schedule, struct phiz_plateau *plateau, double metric);

#endif
