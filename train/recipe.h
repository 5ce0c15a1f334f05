/* A recipe: every setting of a training run. One table (recipe_keys.c) says each key's section, name, kind, range,
 * default and help; the file reader, --set, the printout and the documentation all come from it. */
#ifndef PHIZ_TRAIN_RECIPE_H
#define PHIZ_TRAIN_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include <phiz/ctx.h>

#include "core/base/bytes.h"
#include "datasets/augment.h"

enum phiz_resize_kind { PHIZ_RECIPE_STRETCH, PHIZ_RECIPE_SHORT };
enum phiz_class_weights { PHIZ_WEIGHTS_NONE, PHIZ_WEIGHTS_BALANCED };
enum phiz_on_nan { PHIZ_ON_NAN_STOP, PHIZ_ON_NAN_LOWER };
enum phiz_bn_mode { PHIZ_BN_AUTO, PHIZ_BN_TRAIN, PHIZ_BN_FROZEN };
enum phiz_optimizer_kind { PHIZ_SGD, PHIZ_ADAM, PHIZ_ADAMW };
enum phiz_decay_of { PHIZ_DECAY_ALL, PHIZ_DECAY_WEIGHTS };
enum phiz_schedule_kind { PHIZ_SCHEDULE_CONSTANT, PHIZ_SCHEDULE_STEP, PHIZ_SCHEDULE_MULTISTEP, PHIZ_SCHEDULE_COSINE,
	                  PHIZ_SCHEDULE_PLATEAU };
enum phiz_metric_kind { PHIZ_METRIC_TOP1, PHIZ_METRIC_LOSS };
enum phiz_loss_kind { PHIZ_LOSS_CROSS_ENTROPY, PHIZ_LOSS_ARCFACE, PHIZ_LOSS_COSFACE, PHIZ_LOSS_TRIPLET,
	              PHIZ_LOSS_DISTILL };
enum phiz_schedule_unit { PHIZ_PER_EPOCH, PHIZ_PER_STEP };

/* "stretch", or "short:N" (short side to N, then the centre). */
struct phiz_recipe_resize {
	enum phiz_resize_kind kind;
	int64_t side;
};

enum phiz_train_precision { PHIZ_TRAIN_FP32, PHIZ_TRAIN_BF16, PHIZ_TRAIN_FP16 };

/* The fields stand in the order of the table, which documents them; texts are owned. */
#define PHIZ_DEFAULT_NET "resnet18" /* of model.net */

struct phiz_recipe {
	struct phiz_ctx *ctx;

	struct {
		char *net;
		char *weights; /* "none", a file or a model's name */
	} model;
	struct {
		int64_t size;
		double crop; /* "none" is 1, "center:F" is F */
		struct phiz_recipe_resize resize;
		double mean[3], std[3];
		int align; /* enum phiz_align_kind */
		double align_margin;
		char *landmarks; /* "auto" or a file */
		double val, val_people;
		int64_t views;
		bool balance;
		int64_t people_per_batch, photos_per_person;
		int64_t workers, prefetch, cache_mib;
		bool strict;
	} data;
	struct phiz_augment augment;
	struct {
		int64_t epochs, batch, accumulate, seed;
		char *freeze;
		char *teacher; /* "none" or a model */
		double label_smoothing;
		int precision; /* enum phiz_train_precision */
		bool deterministic;
		int class_weights; /* enum phiz_class_weights */
		double clip_norm;
		double ema;
		int64_t patience;
		int on_nan; /* enum phiz_on_nan */
		int64_t nan_limit;
		int64_t feature_cache_mib;
		int64_t val_batch;
	} train;
	struct {
		int name; /* enum phiz_loss_kind */
		int64_t embedding;
		bool embedding_bn;
		double margin; /* -1: the paper's */
		double margin_epochs;
		double scale;
		int mining; /* enum phiz_mining */
		double center, center_rate;
		double distill, similarity;
	} loss;
	struct {
		int bn; /* enum phiz_bn_mode */
		char *unfreeze;
	} freeze;
	struct {
		int name; /* enum phiz_optimizer_kind */
		double lr, weight_decay;
		int decay; /* enum phiz_decay_of */
		char *groups;
		double momentum, dampening;
		bool nesterov;
		double beta1, beta2, eps;
	} optimizer;
	struct {
		int name; /* enum phiz_schedule_kind */
		int per;  /* enum phiz_schedule_unit */
		int64_t step_epochs;
		double gamma;
		char *milestones;
		double min_lr;
		double warmup_epochs;
		int64_t warmup_steps;
		double warmup_start;
		int metric; /* enum phiz_metric_kind */
		int64_t plateau_patience, plateau_cooldown;
		double plateau_factor, plateau_threshold;
	} schedule;
	struct {
		int best; /* enum phiz_metric_kind */
		int64_t keep;
		double checkpoint_seconds;
		bool tensorboard;
	} output;
};

/* All defaults. Free with phiz_recipe_free, also after a failure. */
enum phiz_status phiz_recipe_init(struct phiz_ctx *ctx, struct phiz_recipe *out);
void phiz_recipe_free(struct phiz_recipe *recipe);

/* Changes the recipe by a .cfg text. Errors: FORMAT or ARG with "NAME:LINE: ": what phiz_cfg_parse refuses, an unknown
 * section or key (with "did you mean"), a value of the wrong kind or out of range. */
enum phiz_status phiz_recipe_parse(struct phiz_recipe *recipe, const char *text, size_t size, const char *name);
/* The same from a file. A name without '/' and '.' that is no file means a built-in recipe (configs/NAME.cfg). */
enum phiz_status phiz_recipe_read(struct phiz_recipe *recipe, const char *path);
/* Changes one key: "section.key=value". ARG. */
enum phiz_status phiz_recipe_set(struct phiz_recipe *recipe, const char *assignment);
/* What no key can know alone: the settings must fit together. ARG. */
enum phiz_status phiz_recipe_check(struct phiz_recipe *recipe);

/* Does it train an embedder (not a classifier)? Does it distil? The margin that its loss works with. */
bool phiz_recipe_embeds(const struct phiz_recipe *recipe);
bool phiz_recipe_distills(const struct phiz_recipe *recipe);
double phiz_recipe_margin(const struct phiz_recipe *recipe);

/* The whole recipe as .cfg text that phiz_recipe_parse reads back to the same values, to the last bit. */
enum phiz_status phiz_recipe_text(const struct phiz_recipe *recipe, struct phiz_bytes *out);
/* All keys with kind, range, default and help, for the manual. */
enum phiz_status phiz_recipe_describe(struct phiz_ctx *ctx, struct phiz_bytes *out);
/* One line for each key whose value differs: "train.epochs: 25, was 30". Empty: the same. */
enum phiz_status phiz_recipe_diff(const struct phiz_recipe *recipe, const struct phiz_recipe *old,
                                  struct phiz_bytes *out);

/* The recipes of configs/, compiled in: the text of one or NULL; the i-th name or NULL past the end. */
const char *phiz_recipe_builtin(const char *name);
const char *phiz_recipe_builtin_name(int i);

#endif
