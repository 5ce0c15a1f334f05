/* A training at work: what phiz_train keeps between its parts. For train/session_*.c and trainer.c alone. */
#ifndef PHIZ_TRAIN_SESSION_H
#define PHIZ_TRAIN_SESSION_H

#include "datasets/loader.h"
#include "train/checkpoint.h"
#include "train/features.h"
#include "train/freeze.h"
#include "train/rundir.h"
#include "train/teacher.h"
#include "train/trainer.h"
#include "train/trainnet.h"

/* The photos of one side. */
struct phiz_side {
	struct phiz_loader *loader; /* NULL: no photos */
	int64_t samples, batches;
	int batch;
	size_t views;                    /* of kept features */
	struct phiz_features *features;  /* NULL: not kept */
	uint32_t *order;                 /* [samples]: the epoch's, where features are kept */
	int32_t *labels;                 /* [batch] */
	bool from_features;              /* the epoch under way needs no photos */
	bool at_set;                     /* where the loader stands: */
	uint32_t at_epoch;
	int64_t at_batch;
};

struct phiz_session {
	struct phiz_ctx *ctx;
	const struct phiz_train_options *options;
	const struct phiz_recipe *recipe;
	struct phiz_rundir dir;
	struct phiz_model *model;
	bool own_model;
	struct phiz_side train, val;
	bool bytes;          /* photos go to the net as bytes, which it normalises */
	float *class_weight; /* NULL: none */
	/* Embedders only: */
	int64_t dim;                 /* of the embedding; 0: a classifier */
	struct phiz_teacher teacher; /* embedding NULL: none */
	struct phiz_extra loss;      /* tensors of the loss: trained, kept in checkpoints, no part of the model */
	struct phiz_schedule schedule;
	struct phiz_optimizer *optimizer;
	struct phiz_ema *ema;        /* NULL: off */
	struct phiz_trainnet *net;   /* NULL: to be made (anew) */
	struct phiz_train_state state;
	const struct phiz_backend *backend; /* of the net */

	struct phiz_batch ahead; /* the next batch, loaded while a device was at the last one */
	bool has_ahead;

	/* Batches of the step under way, for naming them. */
	uint32_t *step_samples;
	size_t n_step_samples;
	char *not_finite; /* what log.jsonl says of the last number that was not finite */

	struct phiz_append log, events;
	bool logs_open;
	struct phiz_bytes pending_events;

	double mark;            /* when the clocks of the state were last brought up to date */
	double last_checkpoint; /* when */
	double last_epoch_seconds; /* NaN: no epoch was finished in this session */
	double loop_began;      /* this session's training of this epoch */
	int64_t loop_images;
	int64_t session_steps;
	char *trunk_note;
};

/* --- session_data.c: photos and features. --- */

enum phiz_status phiz_session_open_data(struct phiz_session *s);
void phiz_side_close(struct phiz_ctx *ctx, struct phiz_side *side);
/* Photos in batch `index`; 0 where the batch is left out (one photo is no batch for a batch norm that learns). */
int phiz_side_count(const struct phiz_session *s, const struct phiz_side *side, int64_t index);
/* Gets ready for the epoch's batches from `batch` on. */
enum phiz_status phiz_side_begin(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t batch);
/* The head's input of batch `index`; *out as the loader gives it, but images may be NULL. */
enum phiz_status phiz_side_load(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t index,
                                struct phiz_batch *out);
/* Features are kept where that is right and fits; says in words what is done with the trunk. */
enum phiz_status phiz_session_plan_features(struct phiz_session *s);

/* --- session_net.c: model, optimiser, net. --- */

/* The model fits the recipe's size and the dataset's people. */
enum phiz_status phiz_session_fit_model(struct phiz_session *s);
/* Marks what is trained in the state's epoch; the optimiser and the average take in what is new. The net is dropped if
 * it no longer fits. */
enum phiz_status phiz_session_stage(struct phiz_session *s);
/* Makes the net where there is none. */
enum phiz_status phiz_session_need_net(struct phiz_session *s);
/* Brings to the host what a device has trained, before it is written or the net is dropped; and back after it was
 * changed. Without a device, or a net, they do nothing. */
enum phiz_status phiz_session_pull(struct phiz_session *s);
enum phiz_status phiz_session_push(struct phiz_session *s);
/* Goes to where the checkpoint stands (taking its state over). */
enum phiz_status phiz_session_restore(struct phiz_session *s, struct phiz_checkpoint *checkpoint);

/* How the recipe prepares photos, and has faces cut out. */
void phiz_session_preproc(const struct phiz_recipe *recipe, struct phiz_preproc *out);
void phiz_session_align(const struct phiz_recipe *recipe, struct phiz_align *out);

/* --- session_embed.c: embedders. --- */

/* Gives the model the recipe's embedding where it has another output. */
enum phiz_status phiz_session_set_embedding(struct phiz_session *s);
/* The head of a classifier that `trunk`, an embedder, has become begins with the mean direction of each person's photos
 * of part TRAIN. */
enum phiz_status phiz_session_set_head(struct phiz_session *s, const struct phiz_model *trunk);
/* Makes the tensors of the loss where they are missing. */
enum phiz_status phiz_session_need_loss(struct phiz_session *s);
/* The teacher's embeddings, where the recipe distils. */
enum phiz_status phiz_session_open_teacher(struct phiz_session *s);
/* Is it the checkpoint's teacher? ARG. */
enum phiz_status phiz_session_check_teacher(struct phiz_session *s);
/* Accuracy over all pairs of validation photos; loss: distance from the teacher (distilling alone), or the equal error
 * rate. */
enum phiz_status phiz_session_verify(struct phiz_session *s, double *loss, double *accuracy);

/* --- session_epoch.c --- */

enum phiz_status phiz_session_epoch(struct phiz_session *s);
/* session_val.c: loss and accuracy of the validation photos, with the averaged weights. NaN where there are none. */
enum phiz_status phiz_session_validate(struct phiz_session *s, double *loss, double *top1);

/* Progress after batch `batch` of a validation without figures of its own. */
void phiz_session_report_val(struct phiz_session *s, int64_t batch);

/* --- session_log.c: what is written. --- */

enum phiz_status phiz_session_open_logs(struct phiz_session *s);
void phiz_session_close_logs(struct phiz_session *s);
/* Adds a line {"time":...,"event":EVENT,FIELDS} to log.jsonl; fields is JSON without braces, may be "". */
enum phiz_status phiz_session_log(struct phiz_session *s, const char *event, const char *fields);
/* Adds ,"name":value, null where it is not finite. */
void phiz_session_add_real(struct phiz_bytes *out, const char *name, double value);
void phiz_session_scalar(struct phiz_session *s, const char *tag, double value);
/* Brings the clocks of the state up to date. */
void phiz_session_tick(struct phiz_session *s);
/* last.phiz, and everything that goes with the state. */
enum phiz_status phiz_session_checkpoint(struct phiz_session *s);
/* best.phiz and epoch-NNNN.phiz from last.phiz, where it ends an epoch; metrics.csv and curves.svg. May be repeated. */
enum phiz_status phiz_session_publish(struct phiz_session *s);
enum phiz_status phiz_session_log_epoch(struct phiz_session *s, const struct phiz_epoch_record *record, bool best);

#endif
