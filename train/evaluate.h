/* Runs a model over photos and measures what it says. */
#ifndef PHIZ_TRAIN_EVALUATE_H
#define PHIZ_TRAIN_EVALUATE_H

#include <signal.h>

#include <phiz/model.h>

#include "datasets/landmarks.h"
#include "train/metrics.h"

/* A photo that could not be used. */
struct phiz_eval_error {
	char *message; /* names the file */
};

/* A model's guesses about a set of photos, and the figures made of them. */
struct phiz_eval {
	struct phiz_ctx *ctx;
	const struct phiz_dataset *dataset; /* borrowed */
	/* The model, as far as reports speak of it. */
	char *path;
	char weights_sha256[65];
	char **label; /* classes of them; index names where the model has none */
	int64_t classes, parameters;
	struct phiz_preproc preproc;
	struct phiz_threshold stored; /* the model's own threshold, as it was */
	enum phiz_score score;        /* what it decides by */
	struct phiz_meta *meta;
	size_t n_meta;
	/* What it said: sample[i] of the dataset got guess[i]. Photos of known people and of strangers. */
	uint32_t *sample;
	struct phiz_guess *guess;
	size_t count;
	struct phiz_eval_error *error;
	size_t n_errors, error_capacity;
	char *how;        /* how faces were cut out of the photos; NULL: the photos were crops */
	int64_t cut;      /* photos of which a face was cut out; the others were taken as they are */
	double seconds, network_seconds; /* of all photos: with reading and preprocessing; of the network alone */
	/* The figures. */
	int64_t strangers;
	struct phiz_accuracy accuracy;
	struct phiz_roc roc;
	double asked_far;
	struct phiz_operating_point point;     /* at the threshold for asked_far; all NaN where there are no strangers */
	struct phiz_operating_point at_stored; /* at the model's own threshold, where it has one */
};

struct phiz_eval_options {
	const char *path;            /* of the model's file, for reports */
	const struct phiz_dataset *dataset;
	enum phiz_part part;         /* of the known people; strangers are always taken */
	double far;                  /* the false-accept rate that the threshold is to keep */
	int batch;                   /* 0: 16 */
	enum phiz_dtype precision;   /* of activations: F32 (0), BF16, or F16 where the backend is not the CPU */
	const struct phiz_backend *backend, *fallback; /* as in phiz_plan_options; NULL: the CPU, none */
	/* Where the faces are that `align` cuts out of the photos (score -1: the photo is taken as it is); NULL: the photos
	 * are crops. how says in a word who found them, for reports. */
	const struct phiz_landmarks *faces;
	struct phiz_align align;
	const char *how;
	bool strict;                 /* a photo that cannot be read is an error */
	volatile sig_atomic_t *cancel;
	void (*progress)(void *user, size_t done, size_t total, double top1); /* may be NULL */
	void *user;
};

/* Evaluates the model, which is made into its inference form (so that the confidences are those that predict will
 * give) and can serve nothing else after that. People are matched to classes by name. Photos that cannot be read are
 * logged, kept in `error` and left out.
 * Errors: ARG (a person who is none of the model's classes, a stranger who is one, no photo in the part), FORMAT (no
 * photo could be read; strict), NUMERIC, CANCELLED, NOMEM, those of planning. */
enum phiz_status phiz_eval_run(struct phiz_ctx *ctx, struct phiz_model *model, const struct phiz_eval_options *options,
                               struct phiz_eval **out);
void phiz_eval_free(struct phiz_eval **eval);

/* Is guess i right: a known person's best class is the right one. */
bool phiz_eval_right(const struct phiz_eval *eval, size_t i);
/* The name of the true person of guess i (a stranger's too). */
const char *phiz_eval_person(const struct phiz_eval *eval, size_t i);

/* Two models on the same photos (those that both could read, in practice all). */
struct phiz_eval_change {
	size_t a, b; /* guesses about one photo, of which exactly one is right */
};
struct phiz_comparison {
	int64_t photos; /* of known people */
	int64_t both, only_a, only_b, neither;
	double difference; /* top-1 of b less that of a */
	double p;          /* phiz_mcnemar */
	struct phiz_eval_change *change;
	size_t n_changes;
};
enum phiz_status phiz_compare(struct phiz_ctx *ctx, const struct phiz_eval *a, const struct phiz_eval *b,
                              struct phiz_comparison *out);
void phiz_comparison_free(struct phiz_ctx *ctx, struct phiz_comparison *comparison);

/* Writes the threshold into the model's file, which stays what it is otherwise, a checkpoint's state included. Errors:
 * ARG (there were no strangers; no threshold up to 1 keeps the rate), those of reading and writing. */
enum phiz_status phiz_eval_store_threshold(const struct phiz_eval *eval);

#endif
