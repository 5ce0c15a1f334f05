/* phiz train: from photographs and a recipe to a model. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "tools/device_args.h"
#include "tools/models.h"
#include "tools/recipe_data.h"
#include "tools/tools.h"
#include "train/rundir.h"
#include "train/trainer.h"

struct settings {
	const char *split, *val, *weights, *teacher, *run, *device;
	struct phiz_list data, unlabelled, set;
	bool resume, json, describe;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--data", LIST, data, "DIR", 0, 0,
	            "photos, a folder per person; may be given several times"),
	PHIZ_OPTION(struct settings, "--run", TEXT, run, "DIR", 0, 0, "the run's folder: checkpoints, logs, curves"),
	PHIZ_OPTION(struct settings, "--split", TEXT, split, "CSV", 0, 0,
	            "which photos train and which validate (phiz data split)"),
	PHIZ_OPTION(struct settings, "--val", TEXT, val, "DIR", 0, 0,
	            "validation photos in a folder of their own (without --split and --val: data.val of each person's); "
	            "for an embedder: of other people"),
	PHIZ_OPTION(struct settings, "--weights", TEXT, weights, "FILE", 0, 0,
	            "begin with these: .phiz, .pth or .safetensors, or a model's name; none: a new network (default: "
	            "model.weights)"),
	PHIZ_OPTION(struct settings, "--teacher", TEXT, teacher, "FILE", 0, 0,
	            "the embedder to distil (train.teacher)"),
	PHIZ_OPTION(struct settings, "--unlabelled", LIST, unlabelled, "DIR", 0, 0,
	            "photos that are distilled without anybody's name"),
	PHIZ_OPTION(struct settings, "--resume", FLAG, resume, NULL, 0, 0,
	            "go on where the run in --run was broken off; begin where there is none"),
	PHIZ_DEVICE_OPTION(struct settings, device),
	PHIZ_OPTION(struct settings, "--set", LIST, set, "SECTION.KEY=VALUE", 0, 0, "change the recipe"),
	PHIZ_OPTION(struct settings, "--keys", FLAG, describe, NULL, 0, 0, "list all keys of a recipe and end"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output at the end"),
};

static void show_progress(void *user, const struct phiz_train_progress *p)
{
	struct phiz_progress *bar = user;
	double left = p->eta_seconds;
	char eta[32] = "", accuracy[32] = "", loss[32] = "";

	if (isfinite(left))
		snprintf(eta, sizeof eta, ", all done in %d:%02d:%02d", (int)(left / 3600), (int)(left / 60) % 60,
		         (int)left % 60);
	if (p->phase == PHIZ_PHASE_TEACHER) {
		phiz_progress_show(bar, (double)p->batch, (double)p->batches, bar->terminal && p->batch == p->batches,
		                   "the teacher looks at the photos: %" PRId64 " of %" PRId64, p->batch, p->batches);
		if (p->batch == p->batches)
			phiz_progress_restart(bar);
		return;
	}
	if (isfinite(p->top1))
		snprintf(accuracy, sizeof accuracy, "  accuracy %.1f %%", 100 * p->top1);
	if (isfinite(p->loss))
		snprintf(loss, sizeof loss, "  loss %.3f", p->loss);
	phiz_progress_show(bar, (double)p->batch, (double)p->batches,
	                   bar->terminal && p->batch == p->batches,
	                   "epoch %" PRId64 "/%" PRId64 " %s%s%s  rate %.2g  %.1f images/s%s", p->epoch, p->epochs,
	                   p->phase == PHIZ_PHASE_TRAIN ? "train" : "check", loss, accuracy, p->lr, p->images_per_s, eta);
	if (p->batch == p->batches) /* the next phase has a bar of its own */
		phiz_progress_restart(bar);
}

static void show_epoch(void *user, const struct phiz_epoch_record *r, bool best)
{
	phiz_progress_clear(user);
	if (phiz_quiet)
		return;
	fprintf(stderr, "epoch %3" PRId64 "  train loss %.4f", r->epoch, r->train_loss);
	if (isfinite(r->train_top1))
		fprintf(stderr, "  accuracy %5.1f %%", 100 * r->train_top1);
	if (isfinite(r->val_loss))
		fprintf(stderr, "  validation loss %.4f", r->val_loss);
	if (isfinite(r->val_top1))
		fprintf(stderr, "  accuracy %5.1f %%", 100 * r->val_top1);
	fprintf(stderr, "  %.1f s%s\n", r->seconds, best ? "  (best so far)" : "");
}

static void print_number(const char *key, double x)
{
	if (isfinite(x))
		printf("\"%s\":%.9g,", key, x);
	else
		printf("\"%s\":null,", key);
}

static void print_json(struct phiz_ctx *ctx, const struct phiz_train_result *r)
{
	struct phiz_bytes path;

	phiz_bytes_init(&path, ctx);
	phiz_bytes_json(&path, r->checkpoint ? r->checkpoint : "");
	printf("{\"epochs\":%" PRId64 ",\"steps\":%" PRId64 ",", r->epochs, r->steps);
	print_number("train_loss", r->train_loss);
	print_number("val_top1", r->val_top1);
	print_number("val_loss", r->val_loss);
	print_number("best_val_top1", r->best_val_top1);
	printf("\"best_epoch\":%" PRId64 ",", r->best_epoch);
	print_number("seconds", r->seconds);
	print_number("images_per_s", r->images_per_s);
	printf("\"weights_sha256\":\"%s\",\"best\":", r->weights_sha256);
	struct phiz_bytes best;
	phiz_bytes_init(&best, ctx);
	phiz_bytes_json(&best, r->best_checkpoint ? r->best_checkpoint : "");
	printf("%s,\"checkpoint\":%s}\n", phiz_bytes_status(&best) ? "\"\"" : best.data,
	       phiz_bytes_status(&path) ? "\"\"" : path.data);
	phiz_bytes_free(&best);
	phiz_bytes_free(&path);
}

static void print_data(FILE *to, const struct settings *s)
{
	for (int i = 0; i < s->data.count; i++)
		fprintf(to, " --data %s", s->data.item[i]);
}

static void print_next(const struct settings *s, const struct phiz_recipe *recipe, const struct phiz_train_result *r)
{
	bool embeds = phiz_recipe_embeds(recipe);

	if (isfinite(r->best_val_top1))
		printf("%s: %.1f %% of the validation %s (epoch %" PRId64 " of %" PRId64 ", %.0f s)\n", r->best_checkpoint,
		       100 * r->best_val_top1, embeds ? "pairs judged rightly" : "photos named rightly", r->best_epoch,
		       r->epochs, r->seconds);
	else
		printf("%s: %" PRId64 " epochs, %.0f s\n", r->checkpoint, r->epochs, r->seconds);
	if (embeds) {
		printf("next: phiz eval %s --pairs PAIRS.txt --root DIR\n", s->run);
		return;
	}
	printf("next: phiz eval %s --data %s%s%s --report report\n", s->run, s->val ? s->val : s->data.item[0],
	       s->split ? " --split " : "", s->split ? s->split : "");
}

/* Says how to go on after Ctrl-C. */
static void print_resume(const struct settings *s, const char *recipe)
{
	fprintf(stderr, "phiz: broken off; the checkpoint stands. Go on with: phiz train %s", recipe);
	print_data(stderr, s);
	for (int i = 0; i < s->unlabelled.count; i++)
		fprintf(stderr, " --unlabelled %s", s->unlabelled.item[i]);
	if (s->device)
		fprintf(stderr, " --device %s", s->device);
	fprintf(stderr, "%s%s%s%s%s%s --run %s --resume\n", s->split ? " --split " : "", s->split ? s->split : "",
	        s->val ? " --val " : "", s->val ? s->val : "", s->teacher ? " --teacher " : "",
	        s->teacher ? s->teacher : "", s->run);
}

static int describe_keys(struct phiz_ctx *ctx)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_recipe_describe(ctx, &text);
	if (!status)
		fputs(text.data, stdout);
	phiz_bytes_free(&text);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static enum phiz_status set_teacher(const struct settings *s, struct phiz_recipe *recipe)
{
	char *path = NULL, *assignment = NULL;
	enum phiz_status status = phiz_find_model_file(recipe->ctx, s->teacher, &path);

	if (!status)
		assignment = phiz_asprintf(recipe->ctx, "train.teacher=%s", path);
	if (!status)
		status = assignment ? phiz_recipe_set(recipe, assignment) : PHIZ_E_NOMEM;
	if (status)
		phiz_fail_in(recipe->ctx, "--teacher");
	phiz_free(recipe->ctx, assignment);
	phiz_free(recipe->ctx, path);
	return status;
}

static enum phiz_status read_recipe(const struct settings *s, const char *path, struct phiz_recipe *recipe)
{
	enum phiz_status status = phiz_read_recipe(recipe, path, &s->set);

	if (!status && s->teacher)
		status = set_teacher(s, recipe);
	return status ? status : phiz_recipe_check(recipe);
}

/* What training begins with. */
static enum phiz_status first_model(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_recipe *recipe,
                                    struct phiz_model **out)
{
	char *last = phiz_path_join(ctx, s->run, "last.phiz");
	bool resumes = s->resume && last && phiz_path_is_file(last);

	*out = NULL;
	phiz_free(ctx, last);
	if (resumes)
		return PHIZ_OK;
	/* PyTorch's weights say themselves which ResNet they are of, where the recipe does not ask for another network. */
	const char *net = strcmp(recipe->model.net, PHIZ_DEFAULT_NET) ? recipe->model.net : NULL;
	const char *weights = s->weights ? s->weights : recipe->model.weights;
	enum phiz_status status = strcmp(weights, "none")
	                              ? phiz_open_weights(ctx, weights, net, (int)recipe->data.size, out)
	                              : phiz_open_model(ctx, recipe->model.net, 0, (int)recipe->data.size, out);
	if (!status)
		status = phiz_model_set_meta(*out, "data", s->data.count ? s->data.item[0] : s->unlabelled.item[0]);
	return status;
}

/* Where training begins with what another run trained: what that run's teacher said, or NULL. */
static char *teacher_said(struct phiz_ctx *ctx, const struct settings *s)
{
	char *folder, *slash, *path;

	if (!s->weights)
		return NULL;
	folder = phiz_strdup(ctx, s->weights);
	slash = folder && !phiz_path_is_dir(folder) ? strrchr(folder, '/') : NULL;
	if (slash)
		*slash = 0;
	path = folder ? phiz_path_join(ctx, folder, PHIZ_TEACHER) : NULL;
	phiz_free(ctx, folder);
	if (path && !phiz_path_is_file(path)) {
		phiz_free(ctx, path);
		path = NULL;
	}
	return path;
}

static enum phiz_status open_data(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_recipe *recipe,
                                  struct phiz_dataset **dataset, struct phiz_landmarks *faces)
{
	const struct phiz_dataset_args args = {
		.data = &s->data, .unlabelled = &s->unlabelled, .split = s->split, .val = s->val,
	};

	if (s->unlabelled.count && !phiz_recipe_distills(recipe))
		return phiz_fail(ctx, PHIZ_E_ARG, "--unlabelled: only distilling learns from photos without names: set "
		                 "loss.name = distill, or loss.distill");
	return phiz_open_recipe_data(ctx, &args, recipe, dataset, faces);
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args);

static const struct settings defaults;

const struct phiz_verb phiz_verb_train = {
	"train", "from photographs and a recipe to a model",
	"RECIPE --data DIR... [--split CSV | --val DIR] [--weights FILE] [--teacher FILE] --run DIR [--resume] "
	"[--set KEY=VALUE]",
	"RECIPE is a .cfg file or the name of a built-in recipe: faces, imagenet, nano_classic,\n"
	"tiny train classifiers; arcface_r18, facenet_triplet, distill_r18, distill_small train\n"
	"embedders.\n"
	"--set changes single keys, --keys lists them all. Ctrl-C writes a checkpoint;\n"
	"--resume goes on from the last one, bit for bit as if nothing had happened. The run's\n"
	"folder holds best.phiz (use this one), last.phiz (to resume), recipe.cfg, log.jsonl,\n"
	"metrics.csv, curves.svg and TensorBoard's events.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 1, run,
};

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_recipe recipe;
	struct phiz_dataset *dataset = NULL;
	struct phiz_landmarks faces = {0};
	struct phiz_model *model = NULL;
	struct phiz_train_result result = {0};
	const struct phiz_device_args where = {.name = s->device};
	struct phiz_device_choice device = {0};
	struct phiz_progress bar;
	char *said = NULL;

	if (s->describe)
		return describe_keys(ctx);
	bool data = s->data.count || s->unlabelled.count;
	if (n_args < 1 || !data || !s->run)
		return phiz_usage(&phiz_verb_train, "%s is missing",
		                  n_args < 1 ? "RECIPE"
		                  : !data ? "--data DIR"
		                          : "--run DIR");
	phiz_progress_start(&bar);
	enum phiz_status status = phiz_recipe_init(ctx, &recipe);
	if (!status)
		status = read_recipe(s, args[0], &recipe);
	if (!status)
		status = phiz_device_open(ctx, &where, &device);
	if (!status)
		status = open_data(ctx, s, &recipe, &dataset, &faces);
	if (!status)
		status = first_model(ctx, s, &recipe, &model);
	if (!status) {
		said = teacher_said(ctx, s);
		struct phiz_train_options o = {
			.recipe = &recipe, .dataset = dataset, .faces = faces.face ? &faces : NULL, .model = model,
			.run_dir = s->run, .teacher_said = said, .backend = device.backend, .fallback = device.fallback,
			.resume = s->resume, .cancel = &phiz_interrupted, .callbacks = {&bar, show_progress, show_epoch},
		};
		status = phiz_train(ctx, &o, &result);
		phiz_progress_clear(&bar);
	}
	if (!status && s->json)
		print_json(ctx, &result);
	else if (!status)
		print_next(s, &recipe, &result);
	else if (status == PHIZ_E_CANCELLED)
		print_resume(s, args[0]);
	else
		phiz_report(ctx);
	phiz_free(ctx, said);
	phiz_train_result_free(ctx, &result);
	phiz_model_free(&model);
	phiz_landmarks_free(ctx, &faces);
	phiz_dataset_free(ctx, &dataset);
	phiz_recipe_free(&recipe);
	phiz_device_close(ctx, &device);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}
