/* Checkpoints: a .phiz that any phiz program can use as a model, with everything beside it that the training needs to
 * go on as if it had not been broken off.
 *
 * The model's own tensors are what one should use: with a moving average (train.ema) the average; the live weights are
 * then beside them as "live/NAME". "optimizer/..." are the optimiser's. The rest is JSON under the key "train_state".
 * All randomness is a function of (seed, epoch, sample), so where training stands says where every sequence stands. */
#ifndef PHIZ_TRAIN_CHECKPOINT_H
#define PHIZ_TRAIN_CHECKPOINT_H

#include <phiz/model.h>

#include "datasets/scan.h"
#include "train/ema.h"
#include "train/history.h"
#include "train/optimizer.h"
#include "train/schedule.h"

/* What a run was trained on, so that it does not go on with something else. */
struct phiz_fingerprint {
	char sha256[65];         /* phiz_dataset_sha256 */
	int64_t samples, val_samples; /* that can be read */
	size_t people;
	int64_t *photos;         /* of each person: train and val, [2 * people] */
};

struct phiz_train_state {
	struct phiz_ctx *ctx;
	/* Where it stands: batch `batch` of epoch `epoch` is next (both from 0), `step` steps of the optimiser are done. */
	int64_t epoch, batch, step;
	uint64_t seed;
	/* The epoch so far. */
	double loss_sum, correct_sum;
	int64_t seen;
	double epoch_seconds, epoch_train_seconds;
	/* All epochs so far. */
	double seconds, train_seconds;
	int64_t images;
	struct phiz_history history;
	struct phiz_plateau plateau;
	int64_t best_epoch; /* from 1; 0: none */
	double best_top1, best_loss;
	double lr_scale;    /* 1, halved after each NaN */
	int64_t nan_events;
	double loss_scale;  /* of mixed precision; 1 in f32 */
	int64_t ema_steps;
	bool finished;      /* nothing is left to do */
	int64_t log_bytes, events_bytes; /* of log.jsonl and the event file */
	char *recipe;       /* its text */
	struct phiz_fingerprint data;
};

void phiz_train_state_init(struct phiz_train_state *state, struct phiz_ctx *ctx);
void phiz_train_state_free(struct phiz_train_state *state);
enum phiz_status phiz_train_state_json(const struct phiz_train_state *state, struct phiz_bytes *out);
/* FORMAT, naming what is missing or out of range. *out is initialised and must be freed in any case. */
enum phiz_status phiz_train_state_parse(struct phiz_ctx *ctx, const char *json, const char *name,
                                        struct phiz_train_state *out);

enum phiz_status phiz_fingerprint_take(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, int64_t samples,
                                       int64_t val_samples, struct phiz_fingerprint *out);
/* ARG, saying what differs: people, how many photos a person has, which photos. labels: of the checkpoint. */
enum phiz_status phiz_fingerprint_check(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                        const struct phiz_fingerprint *now, const struct phiz_model *model,
                                        const struct phiz_fingerprint *then);

/* Writes a checkpoint, atomically. ema may be NULL; loss: tensors of the loss (may be NULL), kept under their
 * names. The model's meta keys train_state and recipe are set. */
enum phiz_status phiz_checkpoint_write(struct phiz_model *model, struct phiz_optimizer *optimizer, struct phiz_ema *ema,
                                       const struct phiz_extra *loss, const struct phiz_train_state *state,
                                       const char *path);

struct phiz_checkpoint {
	struct phiz_model *model;
	struct phiz_extra extra;
	struct phiz_train_state state;
};

/* Errors: NOTFOUND, FORMAT (damaged; a model that is no checkpoint; a file of another kind), UNSUPPORTED. */
enum phiz_status phiz_checkpoint_read(struct phiz_ctx *ctx, const char *path, struct phiz_checkpoint *out);
void phiz_checkpoint_free(struct phiz_ctx *ctx, struct phiz_checkpoint *checkpoint);

/* Copies the checkpoint's values into tensors of the same names: model (live weights; the average goes to ema), loss,
 * slots.
 * The optimiser has the parameters of the checkpoint's epoch already, ema (may be NULL) its entries. FORMAT. */
enum phiz_status phiz_checkpoint_restore(const struct phiz_checkpoint *checkpoint, struct phiz_model *model,
                                         struct phiz_optimizer *optimizer, struct phiz_ema *ema,
                                         struct phiz_extra *loss);

#endif
