#include "train/recipe_keys.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/parse.h"
#include "train/select.h"

static const char *const class_weights[] = {"none", "balanced", NULL};
static const char *const on_nan[] = {"stop", "lower", NULL};
static const char *const bn_modes[] = {"auto", "train", "frozen", NULL};
static const char *const optimizers[] = {"sgd", "adam", "adamw", NULL};
static const char *const decay_of[] = {"all", "weights", NULL};
static const char *const schedules[] = {"constant", "step", "multistep", "cosine", "plateau", NULL};
static const char *const precisions[] = {"fp32", "bf16", "fp16", NULL};
static const char *const units[] = {"epoch", "step", NULL};
static const char *const minings[] = {"all", "semi_hard", "hard", NULL}; /* by enum phiz_mining */
static const char *const losses[] = {"cross_entropy", "arcface", "cosface", "triplet", "distill", NULL};
static const char *const aligns[] = {"none", "arcface", "facenet", "box", NULL}; /* by enum phiz_align_kind */
static const char *const metrics[] = {"top1", "loss", NULL};

/* The name of a built-in network or the path of a file. */
static enum phiz_status check_net(struct phiz_ctx *ctx, const char *text)
{
	return *text ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_ARG, "want a network's name, such as resnet18, or its file");
}

static enum phiz_status check_file(struct phiz_ctx *ctx, const char *text)
{
	return *text ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_ARG, "want a file, or the default");
}

/* Names with `low` to `high` numbers behind each. */
static enum phiz_status check_list(struct phiz_ctx *ctx, const char *text, int low, int high, bool except,
                                   const char *want)
{
	struct phiz_select list;
	enum phiz_status status = phiz_select_parse(ctx, text, &list);
	int i;

	for (i = 0; !status && i < list.count; i++) {
		const struct phiz_select_item *item = &list.item[i];

		if (item->n_values < low || item->n_values > high || (item->except && !except))
			status = phiz_fail(ctx, PHIZ_E_ARG, "'%s': %s", item->prefix, want);
	}
	phiz_select_free(ctx, &list);
	return status;
}

static enum phiz_status check_freeze(struct phiz_ctx *ctx, const char *text)
{
	return check_list(ctx, text, 0, 0, true, "no number belongs behind a name here; want such as all, !layer4");
}

static enum phiz_status check_groups(struct phiz_ctx *ctx, const char *text)
{
	return check_list(ctx, text, 1, 2, false, "want NAME:FACTOR or NAME:FACTOR:DECAY, such as layer4:0.1");
}

static enum phiz_status check_unfreeze(struct phiz_ctx *ctx, const char *text)
{
	return check_list(ctx, text, 1, 1, false, "want NAME:EPOCHS, such as layer4:5");
}

/* Whole numbers that grow. */
static enum phiz_status check_milestones(struct phiz_ctx *ctx, const char *text)
{
	int64_t last = 0;

	if (strcmp(text, "none") == 0)
		return PHIZ_OK;
	while (*text) {
		char number[32];
		size_t length = strcspn(text, ", \t");
		int64_t value;

		if (length == 0) {
			text++;
			continue;
		}
		if (length >= sizeof number)
			return phiz_fail(ctx, PHIZ_E_ARG, "want epochs with commas between, such as 10, 20");
		memcpy(number, text, length);
		number[length] = '\0';
		if (phiz_parse_i64(ctx, number, 1, 1000000, &value))
			return phiz_ctx_status(ctx);
		if (value <= last)
			return phiz_fail(ctx, PHIZ_E_ARG, "want epochs that grow, got %s behind %lld", number,
			                 (long long)last);
		last = value;
		text += length;
	}
	return PHIZ_OK;
}

#define AT(section, field) offsetof(struct phiz_recipe, section.field)
#define INT(s, k, lo, hi, d, h) {#s, #k, PHIZ_KEY_INT, AT(s, k), lo, hi, d, NULL, NULL, h}
#define FLOAT(s, k, lo, hi, d, h) {#s, #k, PHIZ_KEY_FLOAT, AT(s, k), lo, hi, d, NULL, NULL, h}
#define BOOL(s, k, d, h) {#s, #k, PHIZ_KEY_BOOL, AT(s, k), 0, 0, d, NULL, NULL, h}
#define CHOICE(s, k, list, d, h) {#s, #k, PHIZ_KEY_CHOICE, AT(s, k), 0, 0, d, list, NULL, h}
#define TEXT(s, k, check, d, h) {#s, #k, PHIZ_KEY_TEXT, AT(s, k), 0, 0, d, NULL, check, h}
#define KEY(kind, s, k, lo, hi, d, h) {#s, #k, kind, AT(s, k), lo, hi, d, NULL, NULL, h}

const struct phiz_recipe_key phiz_recipe_keys[] = {
	TEXT(model, net, check_net, PHIZ_DEFAULT_NET,
	     "the network where no weights are given, or weights without one: a built-in name or a .cfg file"),
	TEXT(model, weights, check_file, "none",
	     "what training begins with: a model file, PyTorch's weights, or a model's name (faces_r18 and "
	     "faces_small come with phiz); "
	     "none: a new network"),

	INT(data, size, 32, 2048, "224", "side of the square network input, pixels"),
	KEY(PHIZ_KEY_CROP, data, crop, 0.05, 1, "none",
	    "center:F keeps the middle F of each side (0.05 to 1) before anything else; for photos framed too loosely"),
	KEY(PHIZ_KEY_RESIZE, data, resize, 32, 4096, "stretch",
	    "how a photo that is not augmented gets its size: stretch to a square, or short:N, the short side to N and "
	    "then the centre"),
	KEY(PHIZ_KEY_TRIPLE, data, mean, -10, 10, "0.485 0.456 0.406",
	    "what is taken from red, green, blue (0 to 1)"),
	KEY(PHIZ_KEY_TRIPLE, data, std, 0.0001, 10, "0.229 0.224 0.225", "what red, green, blue are divided by then"),
	CHOICE(data, align, aligns, "none",
	       "how faces are cut out of the photos, by their landmarks, in training and wherever the model runs: none: "
	       "the photos are crops already; arcface: the five points to ArcFace's template; facenet, box: the box"),
	FLOAT(data, align_margin, 0, 1024, "0", "facenet: pixels of the crop; box: share of the box's side"),
	TEXT(data, landmarks, check_file, "auto",
	     "CSV with the photos' landmarks (phiz data extract); auto: landmarks.csv in the data's folder or the one "
	     "above"),
	FLOAT(data, val, 0, 0.9, "0.2",
	      "share of each person's photos that is kept for validation where neither a split nor a validation folder "
	      "is given"),
	FLOAT(data, val_people, 0, 0.9, "0",
	      "share of the people who are held out with all their photos, to measure how well an embedder tells people "
	      "apart whom it has never seen"),
	INT(data, views, 0, 10000, "0",
	    "0: new augmentation draws in each epoch; K: each photo has K augmented versions that take turns, so that "
	    "what a frozen trunk makes of them can be kept"),
	BOOL(data, balance, "no", "show each person equally often, repeating the photos of those who have few"),
	INT(data, people_per_batch, 0, 4096, "0",
	    "batches of so many people with photos_per_person each, which triplets need; train.batch is their product. 0: "
	    "batches as they come"),
	INT(data, photos_per_person, 0, 4096, "0", "photos of each person in such a batch; repeated where there are fewer"),
	INT(data, workers, 0, 256, "0", "threads that decode ahead; 0: as many as compute"),
	INT(data, prefetch, 0, 64, "2", "batches that are made ready ahead"),
	INT(data, cache_mib, 0, 1048576, "256", "memory for decoded photos, MiB"),
	BOOL(data, strict, "no", "a photo that cannot be read fails the run instead of being named and skipped"),

	BOOL(augment, crop, "yes", "RandomResizedCrop; no: the photo as validation sees it"),
	KEY(PHIZ_KEY_PAIR, augment, crop_scale, 0.001, 1, "0.08 1", "RandomResizedCrop: share of the photo's area"),
	KEY(PHIZ_KEY_PAIR, augment, crop_ratio, 0.05, 20, "0.75 1.3333333333333333", "RandomResizedCrop: width to height"),
	FLOAT(augment, flip, 0, 1, "0.5", "RandomHorizontalFlip: probability"),
	FLOAT(augment, rotation, 0, 180, "0", "RandomRotation: up to so many degrees either way"),
	KEY(PHIZ_KEY_PAIR, augment, translate, 0, 1, "0 0",
	    "RandomAffine: shift of up to such a share of the width and of the height"),
	KEY(PHIZ_KEY_PAIR, augment, zoom, 0, 20, "0 0", "RandomAffine: zoom from and to; 0 0: off"),
	BOOL(augment, bilinear, "no", "rotation and affine: interpolate; no: nearest pixel, torchvision's default"),
	FLOAT(augment, jitter, 0, 1, "1", "ColorJitter: probability"),
	FLOAT(augment, brightness, 0, 10, "0", "ColorJitter: factor drawn from 1 - B to 1 + B"),
	FLOAT(augment, contrast, 0, 10, "0", "ColorJitter: contrast"),
	FLOAT(augment, saturation, 0, 10, "0", "ColorJitter: saturation"),
	FLOAT(augment, hue, 0, 0.5, "0", "ColorJitter: hue, up to such a share of the circle either way"),
	FLOAT(augment, gray, 0, 1, "0", "RandomGrayscale: probability"),
	FLOAT(augment, blur, 0, 1, "0", "GaussianBlur: probability"),
	KEY(PHIZ_KEY_SMALL, augment, blur_kernel, 3, 63, "5", "GaussianBlur: kernel, pixels, odd"),
	KEY(PHIZ_KEY_PAIR, augment, blur_sigma, 0.01, 50, "0.1 2", "GaussianBlur: deviation, pixels"),
	FLOAT(augment, low_res, 0, 1, "0", "as from far away: made smaller and larger again: probability"),
	KEY(PHIZ_KEY_SMALLS, augment, low_res_side, 4, 2048, "24 64", "as from far away: side, pixels"),
	FLOAT(augment, jpeg, 0, 1, "0", "JPEG artefacts: probability"),
	KEY(PHIZ_KEY_SMALLS, augment, jpeg_quality, 1, 100, "30 90", "JPEG artefacts: quality"),
	FLOAT(augment, erase, 0, 1, "0", "RandomErasing: probability"),
	KEY(PHIZ_KEY_PAIR, augment, erase_scale, 0, 1, "0.02 0.33", "RandomErasing: share of the area"),
	KEY(PHIZ_KEY_PAIR, augment, erase_ratio, 0.05, 20, "0.3 3.3", "RandomErasing: height to width"),
	BOOL(augment, erase_random, "no", "RandomErasing: noise; no: the mean colour"),
	FLOAT(augment, mixup, 0, 10, "0", "MixUp: alpha of the Beta distribution; 0: off"),

	INT(train, epochs, 1, 100000, "30", "times that all photos are seen"),
	INT(train, batch, 1, 4096, "16", "photos a batch"),
	INT(train, accumulate, 1, 1024, "1", "batches whose gradients are averaged for one step of the optimiser"),
	INT(train, seed, 0, 9007199254740992.0, "0", "of everything drawn at random"),
	TEXT(train, freeze, check_freeze, "none",
	     "layers that are not trained: names or beginnings of names with commas between (conv1, layer1); all: all but "
	     "the last; !NAME: but not this one (the last entry that fits decides)"),
	TEXT(train, teacher, check_file, "none",
	     "the embedder that is distilled: a .phiz file; its embedding of each photo, clean and aligned, is computed "
	     "once"),
	FLOAT(train, label_smoothing, 0, 0.9, "0", "share of the target that goes to all people alike"),
	CHOICE(train, precision, precisions, "fp32",
	       "bf16: activations and their gradients in 16 bits, weights and sums in 32; faster where the processor has "
	       "AMX or AVX512-BF16, and on GPUs. fp16: the same for GPUs without bf16, with a loss scale that adapts"),
	BOOL(train, deterministic, "yes",
	     "on a GPU: the same seed gives the same weights; no: the kernels that are fastest by the clock. The CPU "
	     "always gives the same"),
	CHOICE(train, class_weights, class_weights, "none",
	       "balanced: people with few photos weigh more in the loss, so that all weigh alike"),
	FLOAT(train, clip_norm, 0, 1e9, "0", "the gradients' common norm is cut to this; 0: off"),
	FLOAT(train, ema, 0, 0.999999, "0",
	      "decay of the moving average of the weights, which is what is validated and kept; 0: off"),
	INT(train, patience, 0, 100000, "0", "stop when the best result is so many epochs old; 0: never"),
	CHOICE(train, on_nan, on_nan, "lower",
	       "what to do after rolling back from a loss or gradient that is not finite: stop, or lower the rate by half"),
	INT(train, nan_limit, 1, 100, "5", "how many times the rate may be lowered so before the run stops"),
	INT(train, feature_cache_mib, 0, 1048576, "512", "memory for what a frozen trunk made of the photos, MiB"),
	INT(train, val_batch, 1, 4096, "16", "photos a batch when validating"),

	CHOICE(loss, name, losses, "cross_entropy",
	       "cross_entropy: a classifier of the people. All others train an embedder: arcface, cosface: a class for "
	       "each person, with a margin between the angles; triplet: as in FaceNet; distill: the teacher's embeddings, "
	       "for which photos need no names"),
	INT(loss, embedding, 2, 4096, "128", "numbers of an embedding (distill: as many as the teacher's)"),
	BOOL(loss, embedding_bn, "no", "a batch norm behind the embedding's layer, as ArcFace's networks have"),
	FLOAT(loss, margin, -1, 2, "-1",
	      "arcface: angle in radians; cosface: cosine; triplet: squared distance; -1: as in the papers, 0.5, 0.35, "
	      "0.2"),
	FLOAT(loss, margin_epochs, 0, 100000, "0",
	      "arcface, cosface: epochs (also 0.5) over which the margin grows from 0, step by step"),
	FLOAT(loss, scale, 0.001, 10000, "64", "arcface, cosface: what cosines are multiplied by"),
	CHOICE(loss, mining, minings, "semi_hard",
	       "triplet: all: every triplet of the batch that violates the margin; semi_hard: each pair with the nearest "
	       "stranger who is farther than its other half; hard: each photo with its farthest own and nearest strange "
	       "one"),
	FLOAT(loss, center, 0, 1e6, "0",
	      "arcface, cosface, triplet: weight of the centre loss beside them, which draws a person's embeddings "
	      "together"),
	FLOAT(loss, center_rate, 0, 1, "0.5", "centre loss: how far the centres move towards a batch's embeddings"),
	FLOAT(loss, distill, 0, 1e6, "0", "arcface, cosface, triplet: weight of distilling train.teacher beside them"),
	FLOAT(loss, similarity, 0, 1e6, "1",
	      "distilling: weight of the difference between the batch's matrices of cosines, beside 1 - cosine"),

	CHOICE(freeze, bn, bn_modes, "auto",
	       "batch norm uses its running statistics and leaves them alone (frozen) or works on each batch's own "
	       "(train): auto: frozen where its weight is frozen; train: nowhere frozen, as after PyTorch's "
	       "model.train(); frozen: everywhere"),
	TEXT(freeze, unfreeze, check_unfreeze, "none",
	     "NAME:EPOCHS with commas between: this layer is trained after so many epochs, such as layer4:5, layer3:10"),

	CHOICE(optimizer, name, optimizers, "adamw", "sgd, adam or adamw, as PyTorch computes them"),
	FLOAT(optimizer, lr, 0, 1000, "0.001", "learning rate"),
	FLOAT(optimizer, weight_decay, 0, 100, "0.0001", "pull of the weights towards zero"),
	CHOICE(optimizer, decay, decay_of, "all",
	       "what decays: all parameters, or weights only (no bias and no batch norm)"),
	TEXT(optimizer, groups, check_groups, "none",
	     "NAME:FACTOR with commas between: the layer's rate is lr times the factor; NAME:FACTOR:DECAY gives it a "
	     "weight decay of its own too. The longest name that fits counts"),
	FLOAT(optimizer, momentum, 0, 0.9999, "0.9", "sgd: momentum"),
	FLOAT(optimizer, dampening, 0, 1, "0", "sgd: dampening"),
	BOOL(optimizer, nesterov, "no", "sgd: Nesterov's momentum"),
	FLOAT(optimizer, beta1, 0, 0.999999, "0.9", "adam, adamw: decay of the mean of the gradients"),
	FLOAT(optimizer, beta2, 0, 0.9999999, "0.999", "adam, adamw: decay of the mean of their squares"),
	FLOAT(optimizer, eps, 1e-16, 1, "1e-08", "adam, adamw: added to the root"),

	CHOICE(schedule, name, schedules, "cosine",
	       "of the learning rate: constant; step: times gamma every step_epochs; multistep: times gamma at each of "
	       "milestones; cosine: down to min_lr; plateau: times plateau_factor when the metric stands still"),
	CHOICE(schedule, per, units, "epoch", "does cosine move once an epoch (PyTorch's habit) or at every step"),
	INT(schedule, step_epochs, 1, 1000000, "7", "step: epochs from drop to drop"),
	FLOAT(schedule, gamma, 1e-6, 1, "0.1", "step, multistep: factor of a drop"),
	TEXT(schedule, milestones, check_milestones, "none", "multistep: epochs after which the rate drops"),
	FLOAT(schedule, min_lr, 0, 1000, "0", "cosine, plateau: the lowest rate"),
	FLOAT(schedule, warmup_epochs, 0, 100000, "0",
	      "epochs (also 0.5) over which the rate rises from warmup_start of it"),
	INT(schedule, warmup_steps, 0, 1e12, "0", "the same in steps of the optimiser; at most one of the two"),
	FLOAT(schedule, warmup_start, 0, 1, "0.1", "where the warm-up begins, as a share of the rate"),
	CHOICE(schedule, metric, metrics, "loss", "plateau: what is watched: the validation's loss or top1"),
	INT(schedule, plateau_patience, 0, 100000, "5", "plateau: epochs without progress that are borne"),
	INT(schedule, plateau_cooldown, 0, 100000, "0", "plateau: epochs after a drop that do not count"),
	FLOAT(schedule, plateau_factor, 1e-6, 0.999999, "0.1", "plateau: factor of a drop"),
	FLOAT(schedule, plateau_threshold, 0, 1, "0.0001", "plateau: relative progress that counts as such"),

	CHOICE(output, best, metrics, "top1",
	       "what makes a checkpoint the best: validation accuracy (equals are decided by the loss) or loss"),
	INT(output, keep, 0, 100000, "2", "so many newest epochs keep a checkpoint of their own, beside last and best"),
	FLOAT(output, checkpoint_seconds, 0, 1e9, "300",
	      "a checkpoint is also written when so many seconds have passed; 0: only at the ends of epochs"),
	BOOL(output, tensorboard, "yes", "write TensorBoard event files"),
};

const size_t phiz_recipe_n_keys = sizeof phiz_recipe_keys / sizeof phiz_recipe_keys[0];
