/* phiz bench: how fast a network runs or trains here, and what memory it takes. */
#include <math.h>
#include <phiz/plan.h>
#include <phiz/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "tools/models.h"
#include "tools/tools.h"
#ifdef PHIZ_HAVE_TRAIN
#include "train/freeze.h"
#include "train/optimizer.h"
#include "train/trainnet.h"
#endif

enum { MAX_RUNS = 1000 };

struct settings {
	const char *mode, *precision, *freeze;
	int64_t batch, size, classes, runs;
	double seconds;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--mode", TEXT, mode, "MODE", 0, 0, "infer or train (default infer)"),
	PHIZ_OPTION(struct settings, "--batch", INT, batch, "N", 1, 65536, "pictures in a run (default 1; 32 for train)"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 16, 16384,
	            "of the square input in pixels (default: the model's)"),
	PHIZ_OPTION(struct settings, "--classes", INT, classes, "N", 2, 1000000, "of a network without weights"),
	PHIZ_OPTION(struct settings, "--precision", TEXT, precision, "P", 0, 0, "fp32 (the only one so far)"),
	PHIZ_OPTION(struct settings, "--freeze", TEXT, freeze, "LIST", 0, 0,
	            "with train: layers that do not train, as train.freeze of a recipe (\"all\", \"layer1, layer2\")"),
	PHIZ_OPTION(struct settings, "--runs", INT, runs, "N", 1, MAX_RUNS, "timed runs at most (default 50)"),
	PHIZ_OPTION(struct settings, "--seconds", REAL, seconds, "S", 0.01, 3600, "stop timing after so long (default 10)"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* What is timed: one run of `step` handles `batch` pictures. */
struct work {
	struct phiz_ctx *ctx;
	enum phiz_status (*step)(struct work *w);
	double flops; /* of a run */
	struct phiz_plan *plan;
#ifdef PHIZ_HAVE_TRAIN
	struct phiz_trainnet *net;
	struct phiz_optimizer *optimizer;
	float *images;
	int32_t *labels;
	int batch;
	uint64_t n;
#endif
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Median, fastest and slowest of the timed runs, after two that are not. */
static enum phiz_status measure(struct work *w, const struct settings *s, double *median, double *fastest,
                                double *slowest)
{
	double *seconds = phiz_alloc(w->ctx, MAX_RUNS, sizeof *seconds), begin;
	enum phiz_status status = seconds ? PHIZ_OK : PHIZ_E_NOMEM;
	int n = 0;

	for (int i = 0; i < 2 && !status; i++)
		status = w->step(w);
	begin = phiz_time();
	while (!status && n < s->runs && !phiz_interrupted && (n < 3 || phiz_time() - begin < s->seconds)) {
		double t = phiz_time();
		status = w->step(w);
		seconds[n++] = phiz_time() - t;
	}
	if (!status && n > 0) {
		qsort(seconds, (size_t)n, sizeof *seconds, by_value);
		*median = n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
		*fastest = seconds[0];
		*slowest = seconds[n - 1];
	}
	phiz_free(w->ctx, seconds);
	return status ? status : n ? PHIZ_OK : phiz_fail(w->ctx, PHIZ_E_CANCELLED, "broken off before anything was timed");
}

static void fill_noise(float *x, int64_t n)
{
	struct phiz_rng rng;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < n; i++)
		x[i] = (float)phiz_rng_uniform(&rng, -2, 2);
}

static enum phiz_status infer_step(struct work *w) { return phiz_plan_forward(w->plan); }

static enum phiz_status prepare_inference(struct work *w, struct phiz_model *m, const struct settings *s)
{
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = s->batch ? s->batch : 1, .height = s->size,
	                              .width = s->size, .loss = PHIZ_NONE};
	struct phiz_plan_info info;
	enum phiz_status status = phiz_model_optimize(m);

	if (!status)
		status = phiz_plan_create(w->ctx, m->graph, &o, &w->plan);
	if (status)
		return status;
	struct phiz_tensor *x = phiz_plan_tensor(w->plan, phiz_graph_find_value(m->graph, "image"));
	fill_noise(x->data, phiz_tensor_count(x));
	phiz_plan_describe(w->plan, &info);
	w->flops = info.forward_flops;
	w->step = infer_step;
	return PHIZ_OK;
}

#ifdef PHIZ_HAVE_TRAIN
/* What the trainer does with a batch once it is loaded: trunk, head, loss, gradients, SGD with momentum. */
static enum phiz_status train_step(struct work *w)
{
	float *features[PHIZ_MAX_FEATURES];
	const float *logits;
	double loss;
	enum phiz_status status = phiz_trainnet_begin(w->net, false, w->batch, features);

	if (!status)
		status = phiz_trainnet_features(w->net, w->images, w->batch, features);
	if (!status)
		status = phiz_trainnet_forward(w->net, w->batch, w->labels, NULL, 0, w->n++, &loss, &logits);
	if (!status)
		status = phiz_trainnet_backward(w->net, false, 1);
	if (!status)
		phiz_optimizer_step(w->optimizer, 1);
	return status;
}

static enum phiz_status apply_freeze(struct phiz_ctx *ctx, struct phiz_model *m, const char *freeze)
{
	struct phiz_recipe recipe;
	enum phiz_status status = phiz_recipe_init(ctx, &recipe);
	char *setting = NULL;

	if (!status) {
		setting = phiz_asprintf(ctx, "train.freeze=%s", freeze ? freeze : "none");
		status = setting ? phiz_recipe_set(&recipe, setting) : PHIZ_E_NOMEM;
	}
	if (!status)
		status = phiz_freeze_check(m, &recipe);
	if (!status)
		status = phiz_freeze_apply(m, &recipe, 0, NULL);
	phiz_free(ctx, setting);
	phiz_recipe_free(&recipe);
	return status;
}

static enum phiz_status add_parameters(struct work *w, struct phiz_model *m)
{
	struct phiz_optimizer_options o = {.kind = PHIZ_SGD, .momentum = 0.9};
	enum phiz_status status = phiz_optimizer_create(w->ctx, &o, &w->optimizer);

	for (size_t i = 0; i < m->n_entries && !status; i++) {
		struct phiz_tensor *gradient = phiz_trainnet_gradient(w->net, m->entry[i].name);
		if (!m->entry[i].trainable || !gradient)
			continue;
		status = phiz_optimizer_add(w->optimizer, m->entry[i].name, m->entry[i].tensor, 1, 1e-4);
		if (!status) {
			w->optimizer->param[w->optimizer->count - 1].gradient = gradient;
			w->optimizer->param[w->optimizer->count - 1].lr = 1e-6;
		}
	}
	return status;
}

static enum phiz_status prepare_training(struct work *w, struct phiz_model *m, const struct settings *s)
{
	int size = s->size ? (int)s->size : m->preproc.size;
	struct phiz_trainnet_options o = {.batch = s->batch ? s->batch : 32, .size = size};
	struct phiz_plan_info info;
	int64_t classes = phiz_model_classes(m), floats;
	enum phiz_status status = apply_freeze(w->ctx, m, s->freeze);

	if (!status)
		status = phiz_trainnet_create(m, &o, &w->net);
	if (!status)
		status = add_parameters(w, m);
	if (status)
		return status;
	w->batch = (int)o.batch;
	floats = 3 * o.batch * size * size;
	w->images = phiz_alloc(w->ctx, (size_t)floats, sizeof(float));
	w->labels = phiz_alloc(w->ctx, (size_t)o.batch, sizeof(int32_t));
	if (!w->images || !w->labels)
		return PHIZ_E_NOMEM;
	fill_noise(w->images, floats);
	for (int i = 0; i < w->batch; i++)
		w->labels[i] = (int32_t)(i % classes);
	phiz_plan_describe(w->net->train_plan, &info);
	w->flops = info.forward_flops + info.backward_flops;
	if (w->net->trunk_plan) {
		phiz_plan_describe(w->net->trunk_plan, &info);
		w->flops += info.forward_flops;
	}
	w->step = train_step;
	return PHIZ_OK;
}
#endif

static void work_free(struct work *w)
{
	phiz_plan_free(&w->plan);
#ifdef PHIZ_HAVE_TRAIN
	phiz_optimizer_free(&w->optimizer);
	phiz_trainnet_free(&w->net);
	phiz_free(w->ctx, w->images);
	phiz_free(w->ctx, w->labels);
#endif
}

static double peak_rss_mib(void)
{
	struct rusage usage;
	return getrusage(RUSAGE_SELF, &usage) ? 0 : (double)usage.ru_maxrss / 1024;
}

static void print(struct phiz_ctx *ctx, const struct settings *s, const char *model, int64_t batch, double flops,
                  double median, double fastest, double slowest)
{
	double rate = (double)batch / median, gflops = flops / median / 1e9;

	if (s->json) {
		printf("{\"model\":");
		phiz_print_json(ctx, model);
		printf(",\"mode\":\"%s\",\"batch\":%lld,\"threads\":%d,\"precision\":\"%s\","
		       "\"ms_median\":%.4f,\"ms_min\":%.4f,\"ms_max\":%.4f,\"images_per_s\":%.3f,\"gflops\":%.2f,"
		       "\"peak_rss_mib\":%.1f}\n",
		       s->mode, (long long)batch, phiz_ctx_threads(ctx), s->precision, median * 1e3, fastest * 1e3,
		       slowest * 1e3, rate, gflops, peak_rss_mib());
	} else {
		printf("%s %s, batch %lld, %d threads, %s: median %.2f ms (%.2f to %.2f), %.1f images/s, %.1f GFLOP/s, "
		       "peak %.0f MiB\n",
		       model, s->mode, (long long)batch, phiz_ctx_threads(ctx), s->precision, median * 1e3, fastest * 1e3,
		       slowest * 1e3, rate, gflops, peak_rss_mib());
	}
}

extern const struct phiz_verb phiz_verb_bench;

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	bool train = !strcmp(s->mode, "train");
	struct phiz_model *m = NULL;
	struct work w = {.ctx = ctx};
	double median = 0, fastest = 0, slowest = 0;

	(void)n_args;
	if (!train && strcmp(s->mode, "infer"))
		return phiz_usage(&phiz_verb_bench, "--mode: want infer or train, got '%s'", s->mode);
	if (strcmp(s->precision, "fp32"))
		return phiz_usage(&phiz_verb_bench, "--precision: the CPU computes in fp32, got '%s'", s->precision);
#ifndef PHIZ_HAVE_TRAIN
	if (train)
		return phiz_usage(&phiz_verb_bench, "this phiz was built without training");
#endif
	enum phiz_status status = phiz_open_model(ctx, args[0], s->classes, (int)s->size, &m);
#ifdef PHIZ_HAVE_TRAIN
	if (!status && train)
		status = prepare_training(&w, m, s);
#endif
	if (!status && !train)
		status = prepare_inference(&w, m, s);
	if (!status)
		status = measure(&w, s, &median, &fastest, &slowest);
	if (!status)
		print(ctx, s, args[0], s->batch ? s->batch : train ? 32 : 1, w.flops, median, fastest, slowest);
	work_free(&w);
	phiz_model_free(&m);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.mode = "infer", .precision = "fp32", .runs = 50, .seconds = 10};

const struct phiz_verb phiz_verb_bench = {
	"bench", "how fast a network runs or trains here", "MODEL|NET [--mode train|infer] [--batch N] [--size S] [--json]",
	"Times whole runs on made-up pictures: for infer the network, for train a step of the\n"
	"trainer (frozen trunk, head, loss, gradients, SGD with momentum). Prints the median\n"
	"run, images per second, GFLOP/s (2 per multiply-add) and the peak memory of the\n"
	"program.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, 1, run,
};
