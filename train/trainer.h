/* Training: from a recipe, photographs and a model to begin with, to a folder with checkpoints, logs and curves. */
#ifndef PHIZ_TRAIN_TRAINER_H
#define PHIZ_TRAIN_TRAINER_H

#include <signal.h>

#include <phiz/model.h>

#include "datasets/landmarks.h"
#include "datasets/scan.h"
#include "train/history.h"
#include "train/recipe.h"

enum phiz_train_phase { PHIZ_PHASE_TRAIN, PHIZ_PHASE_VALIDATE, PHIZ_PHASE_TEACHER };

/* Where training stands, for a progress bar. */
struct phiz_train_progress {
	enum phiz_train_phase phase;
	int64_t epoch, epochs;   /* from 1 */
	int64_t batch, batches;  /* done of the phase */
	int64_t step;            /* of the optimiser, in all */
	double loss, top1;       /* means of the epoch so far; accuracy 0..1 */
	double lr;               /* of optimizer.lr */
	double images_per_s;     /* of this phase */
	double eta_seconds;      /* until all epochs are done; NaN: cannot be said yet */
};

struct phiz_train_callbacks {
	void *user;
	/* After each batch. NULL: none. */
	void (*progress)(void *user, const struct phiz_train_progress *progress);
	/* After each epoch: what it came to, and whether it is the best so far. NULL: none. */
	void (*epoch)(void *user, const struct phiz_epoch_record *record, bool best);
};

struct phiz_train_options {
	const struct phiz_recipe *recipe;
	/* Photos of part TRAIN are trained on, those of part VAL validated (there may be none). People 0..n_known-1 are the
	 * classes. */
	const struct phiz_dataset *dataset;
	/* Where the faces are that data.align cuts out; NULL: the photos are crops already. */
	const struct phiz_landmarks *faces;
	/* What to begin with; changed in place while training: afterwards it holds what last.phiz holds. It gets a new last
	 * layer where its labels are not the dataset's people. NULL: a new network, recipe model.net. With `resume` and a
	 * checkpoint it is left alone. */
	struct phiz_model *model;
	const char *run_dir;
	/* PHIZ_TEACHER of an earlier run, whose teacher need not look at the same photos again; NULL: none. */
	const char *teacher_said;
	/* Where it is trained: the CPU (NULL), or a device, which must outlive it; and where instead if that one lacks a
	 * kernel for the network (NULL: this is an error). */
	const struct phiz_backend *backend, *fallback;
	/* Go on from run_dir/last.phiz; where there is none yet, begin. Without it a folder that has one is refused. */
	bool resume;
	/* Polled after each step: not 0 writes a checkpoint and ends with CANCELLED. NULL: never. */
	const volatile sig_atomic_t *cancel;
	struct phiz_train_callbacks callbacks;
	/* For tests. */
	int64_t stop_after_steps; /* 0: not; else: ends as if killed, without a checkpoint, after so many steps */
	bool no_trunk;            /* a frozen trunk is run as part of the training plan */
	bool no_feature_cache;    /* what it makes is not kept */
};

struct phiz_train_result {
	int64_t epochs;            /* that are done, also in earlier sessions */
	int64_t steps;
	double train_loss;         /* of the last epoch; NaN: none is done */
	double val_top1, val_loss; /* of the last epoch; NaN: no validation */
	double best_val_top1;      /* NaN: no validation */
	int64_t best_epoch;        /* from 1; 0: none */
	double seconds;            /* in all sessions */
	double images_per_s;       /* of training, without validation */
	char weights_sha256[65];   /* phiz_model_hash of the model in `checkpoint` */
	char *checkpoint;          /* path of last.phiz; phiz_free */
	char *best_checkpoint;     /* path of best.phiz, or of last.phiz where there is no validation; phiz_free */
	bool stopped_early;
	char *trunk;               /* what was done with the frozen part, in words, or NULL; phiz_free */
};

/* Trains. The effective recipe is logged, written to run_dir/recipe.cfg and kept in the checkpoints. Writes last.phiz,
 * best.phiz and epoch-NNNN.phiz (output.keep), log.jsonl, metrics.csv, curves.svg and TensorBoard events. result is
 * filled as far as it got also on failure, and must be freed.
 * Errors: ARG (recipe, a folder that holds a run already, other data than the checkpoint's), NOTFOUND, FORMAT (a
 * damaged checkpoint), IO (disk full: the last good checkpoint stands), NUMERIC (not finite, and train.on_nan says stop
 * or its limit is reached; names epoch, batch and files), CANCELLED, NOMEM. */
enum phiz_status phiz_train(struct phiz_ctx *ctx, const struct phiz_train_options *options,
                            struct phiz_train_result *result);
void phiz_train_result_free(struct phiz_ctx *ctx, struct phiz_train_result *result);

#endif
