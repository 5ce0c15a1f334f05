/* phiz bench: how fast a network runs or trains here, and what memory it takes. */
#include <math.h>
#include <phiz/plan.h>
#include <phiz/session.h>
#include <phiz/tune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/cpu/peak.h"
#include "deploy/calibrate.h"
#include "tools/bench_steps.h"
#include "tools/device_args.h"
#include "tools/models.h"
#include "tools/tools.h"
#ifdef PHIZ_HAVE_TRAIN
#include "train/freeze.h"
#include "train/optimizer.h"
#include "train/trainnet.h"
#endif

enum { MAX_RUNS = 1000, TUNE_SECONDS = 20 };

struct settings {
	const char *mode, *precision, *freeze;
	struct phiz_device_args device; /* its precision is in `precision` */
	int64_t batch, size, width, classes, runs;
	double seconds;
	bool json, per_layer, peak, tune;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--mode", TEXT, mode, "MODE", 0, 0, "infer or train (default infer)"),
	PHIZ_OPTION(struct settings, "--batch", INT, batch, "N", 1, 65536, "pictures in a run (default 1; 32 for train)"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 8, 16384,
	            "of the square input in pixels (default: the model's)"),
	PHIZ_OPTION(struct settings, "--width", INT, width, "W", 8, 16384,
	            "with infer and --size: of an input that is not square; --size is its height"),
	PHIZ_OPTION(struct settings, "--classes", INT, classes, "N", 2, 1000000, "of a network without weights"),
	PHIZ_OPTION(struct settings, "--precision", TEXT, precision, "P", 0, 0,
	            "fp32; bf16: activations of 16 bits, where there are kernels for it; int8: on bytes (infer); "
	            "fp16: on a GPU"),
	PHIZ_OPTION(struct settings, "--device", TEXT, device.name, "D", 0, 0,
	            "cpu (default), cuda or cuda:N, or auto: a GPU if there is one"),
	PHIZ_MEMORY_OPTIONS(struct settings, device),
	PHIZ_OPTION(struct settings, "--freeze", TEXT, freeze, "LIST", 0, 0,
	            "with train: layers that do not train, as train.freeze of a recipe (\"all\", \"layer1, layer2\")"),
	PHIZ_OPTION(struct settings, "--runs", INT, runs, "N", 1, MAX_RUNS, "timed runs at most (default 50)"),
	PHIZ_OPTION(struct settings, "--seconds", REAL, seconds, "S", 0.01, 3600, "stop timing after so long (default 10)"),
	PHIZ_OPTION(struct settings, "--per-layer", FLAG, per_layer, NULL, 0, 0, "a table of what each step took"),
	PHIZ_OPTION(struct settings, "--tune", FLAG, tune, NULL, 0, 0,
	            "first time the kernels that could run each layer, and keep the choice in MODEL.tune"),
	PHIZ_OPTION(struct settings, "--peak", FLAG, peak, NULL, 0, 0,
	            "instead of a network: what this machine gives at most, by number of threads"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

/* What is timed: one run of `step` handles `batch` pictures. */
struct work {
	struct phiz_ctx *ctx;
	enum phiz_status (*step)(struct work *w);
	double flops; /* of a run */
	double plan_mib; /* what the plans take, but for the model's parameters */
	double update_seconds; /* of the last run, in the optimiser */
	struct phiz_bench_steps steps;
	struct phiz_plan *plan;
	struct phiz_device_choice device;
	struct phiz_tune_result tuned; /* with --tune */
#ifdef PHIZ_HAVE_TRAIN
	struct phiz_trainnet *net;
	struct phiz_optimizer *optimizer;
	float *images;
	uint8_t *bytes; /* on a device, as the trainer brings them; images NULL then */
	int32_t *labels, *erased;
	int batch;
	uint64_t n;
#endif
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Seconds of the timed runs, after two that are not. */
struct times {
	double median, fastest, slowest;
};

static enum phiz_status measure(struct work *w, const struct settings *s, struct times *out)
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
		if (s->per_layer)
			phiz_bench_steps_take(&w->steps, w->update_seconds);
	}
	if (!status && n > 0) {
		qsort(seconds, (size_t)n, sizeof *seconds, by_value);
		out->median = n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
		out->fastest = seconds[0];
		out->slowest = seconds[n - 1];
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

static enum phiz_dtype precision_of(const struct settings *s)
{
	return !strcmp(s->precision, "bf16") ? PHIZ_BF16 : !strcmp(s->precision, "fp16") ? PHIZ_F16 : PHIZ_F32;
}

static enum phiz_status infer_step(struct work *w) { return phiz_plan_forward(w->plan); }

/* Bytes, with ranges as a made-up picture gives them; a model that is on bytes stays as it is. */
static enum phiz_status put_on_bytes(struct phiz_ctx *ctx, struct phiz_model *m)
{
	struct phiz_calibrator *calibrator = NULL;
	struct phiz_image image;
	struct phiz_rng rng;
	int size = m->preproc.size;
	enum phiz_status status = phiz_image_create(ctx, size, size, 3, &image);

	if (status)
		return status;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < size * size * 3; i++)
		image.data[i] = (uint8_t)phiz_rng_below(&rng, 256);
	status = phiz_calibrator_begin(ctx, m, &calibrator);
	if (!status)
		status = phiz_calibrator_add(calibrator, &image);
	if (!status)
		status = phiz_calibrator_end(calibrator, PHIZ_CLIP_MAX, NULL, 0);
	phiz_calibrator_free(&calibrator);
	phiz_image_free(ctx, &image);
	return status;
}

/* Beside the model's file, where there is one; that it cannot be written does not matter to this run. */
static enum phiz_status keep_tuning(struct phiz_ctx *ctx, const struct phiz_model *m, const char *name)
{
	char *path = NULL;
	enum phiz_status status = PHIZ_OK;

	if (!phiz_path_is_file(name) && (phiz_net_builtin(name) || strstr(name, ".cfg")))
		return PHIZ_OK;
	status = phiz_find_model_file(ctx, name, &path);
	if (!status)
		status = phiz_tuning_write_beside(m->tuning, path);
	if (!status)
		phiz_log(ctx, PHIZ_LOG_INFO, "%s.tune: written; all that runs this model here uses it from now on", path);
	phiz_free(ctx, path);
	if (!status || status == PHIZ_E_NOMEM)
		return status;
	phiz_log(ctx, PHIZ_LOG_WARN, "%s; the choice is not kept", phiz_ctx_message(ctx));
	return PHIZ_OK;
}

static enum phiz_status tune(struct work *w, struct phiz_model *m, const struct phiz_plan_options *o, const char *name)
{
	enum phiz_status status = phiz_tuning_measure(w->ctx, m->graph, o, TUNE_SECONDS, &m->tuning, &w->tuned);

	if (status)
		return status;
	phiz_log(w->ctx, PHIZ_LOG_INFO, "tuned: %d of %d layers changed, %.2f ms a picture instead of %.2f",
	         w->tuned.changed, w->tuned.nodes, w->tuned.after * 1e3, w->tuned.before * 1e3);
	return keep_tuning(w->ctx, m, name);
}

static enum phiz_status prepare_inference(struct work *w, struct phiz_model *m, const struct settings *s,
                                          const char *name)
{
	struct phiz_plan_options o = {.backend = w->device.backend, .batch = s->batch ? s->batch : 1, .height = s->size,
	                              .width = s->width ? s->width : s->size, .loss = PHIZ_NONE, .fixed = true,
	                              .precision = precision_of(s)};
	struct phiz_plan_info info;
	enum phiz_status status = phiz_model_optimize(m);

	if (!status && !strcmp(s->precision, "int8"))
		status = put_on_bytes(w->ctx, m);
	if (!status && s->tune)
		status = tune(w, m, &o, name);
	o.tuning = m->tuning;
	if (!status)
		status = phiz_plan_create(w->ctx, m->graph, &o, &w->plan);
	if (status)
		return status;
	struct phiz_tensor *x = phiz_plan_tensor(w->plan, phiz_graph_find_value(m->graph, "image"));
	fill_noise(x->data, phiz_tensor_count(x));
	phiz_plan_describe(w->plan, &info);
	w->flops = info.forward_flops;
	w->plan_mib = (double)info.total_bytes / 1048576;
	w->step = infer_step;
	struct phiz_plan *const plan[2] = {w->plan, NULL};
	return s->per_layer ? phiz_bench_steps_start(w->ctx, plan, MAX_RUNS, NULL, &w->steps) : PHIZ_OK;
}

#ifdef PHIZ_HAVE_TRAIN
/* Puts the photos where the net reads them, through the trunk if there is one. */
static enum phiz_status load_batch(struct work *w)
{
	float *features[PHIZ_MAX_FEATURES];
	enum phiz_status status = phiz_trainnet_begin(w->net, false, w->batch, features);

	if (status)
		return status;
	return w->bytes ? phiz_trainnet_bytes(w->net, w->bytes, w->erased, w->batch, features)
	                : phiz_trainnet_features(w->net, w->images, w->batch, features);
}

/* What the trainer does with a batch once it is loaded: trunk, head, loss, gradients, SGD with momentum. While a device
 * is at the step, the next batch is brought. */
static enum phiz_status train_step(struct work *w)
{
	const float *logits;
	double loss, norm, begin;
	enum phiz_status status = w->n == 0 || !w->device.made ? load_batch(w) : PHIZ_OK;

	if (!status)
		status = phiz_trainnet_forward(w->net, w->batch, w->labels, NULL, 0, w->n++, &loss, &logits);
	if (!status)
		status = phiz_trainnet_backward(w->net, false, 1);
	begin = phiz_time();
	if (!status && w->device.made) {
		status = phiz_optimizer_update(w->optimizer, 1, 0);
		if (!status)
			status = load_batch(w);
		if (!status)
			status = phiz_trainnet_send(w->net);
		if (!status)
			status = phiz_optimizer_wait(w->optimizer, &norm);
	} else if (!status) {
		phiz_optimizer_step(w->optimizer, 1);
	}
	w->update_seconds = phiz_time() - begin;
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

	if (!status)
		status = phiz_optimizer_place(w->optimizer, w->device.backend);
	for (size_t i = 0; i < m->n_entries && !status; i++) {
		struct phiz_tensor *gradient = phiz_trainnet_gradient(w->net, m->entry[i].name);
		if (!m->entry[i].trainable || !gradient)
			continue;
		status = phiz_optimizer_add(w->optimizer, m->entry[i].name, m->entry[i].tensor, 1, 1e-4);
		if (!status) {
			w->optimizer->param[w->optimizer->count - 1].at = phiz_trainnet_parameter(w->net, m->entry[i].name)->data;
			w->optimizer->param[w->optimizer->count - 1].gradient = gradient;
			w->optimizer->param[w->optimizer->count - 1].lr = 1e-6;
		}
	}
	return status;
}

/* The optimiser is no step of a plan: a row of its own. */
static enum phiz_status time_steps(struct work *w)
{
	struct phiz_plan *const plan[2] = {w->net->trunk_plan, w->net->train_plan};
	struct phiz_plan_step_info update = {.node = "(all parameters)", .op = "optimizer", .kernel = "sgd.momentum"};
	double n = 0;

	for (size_t i = 0; i < w->optimizer->count; i++)
		n += (double)phiz_tensor_count(w->optimizer->param[i].value);
	update.output = phiz_shape_1d((int64_t)n);
	update.flops = 6 * n;      /* decay, momentum, step: a multiply-add each */
	update.bytes = 5 * 4.0 * n; /* weight and momentum in and out, gradient in */
	return phiz_bench_steps_start(w->ctx, plan, MAX_RUNS, &update, &w->steps);
}

/* Noise, in numbers or in bytes. */
static enum phiz_status make_photos(struct work *w, int64_t count)
{
	if (!w->device.made) {
		w->images = phiz_alloc(w->ctx, (size_t)count, sizeof *w->images);
		if (w->images)
			fill_noise(w->images, count);
		return w->images ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	w->bytes = phiz_alloc(w->ctx, (size_t)count, sizeof *w->bytes);
	w->erased = phiz_calloc(w->ctx, (size_t)w->batch, 4 * sizeof *w->erased);
	for (int64_t i = 0; w->bytes && i < count; i++)
		w->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	return w->bytes && w->erased ? PHIZ_OK : PHIZ_E_NOMEM;
}

static enum phiz_status prepare_training(struct work *w, struct phiz_model *m, const struct settings *s)
{
	int size = s->size ? (int)s->size : m->preproc.size;
	struct phiz_trainnet_options o = {.batch = s->batch ? s->batch : 32, .size = size,
	                                   .precision = precision_of(s), .backend = w->device.backend};
	struct phiz_plan_info info;
	int64_t classes = phiz_model_classes(m), floats;
	enum phiz_status status = apply_freeze(w->ctx, m, s->freeze);

	if (w->device.made) {
		o.bytes = &m->preproc;
		w->device.backend->device->choose_by_clock(w->device.backend, true);
	}
	if (!status)
		status = phiz_trainnet_create(m, &o, &w->net);
	if (!status)
		status = add_parameters(w, m);
	if (status)
		return status;
	w->batch = (int)o.batch;
	floats = 3 * o.batch * size * size;
	w->labels = phiz_alloc(w->ctx, (size_t)o.batch, sizeof(int32_t));
	if (!w->labels || make_photos(w, floats))
		return PHIZ_E_NOMEM;
	for (int i = 0; i < w->batch; i++)
		w->labels[i] = (int32_t)(i % classes);
	phiz_plan_describe(w->net->train_plan, &info);
	w->flops = info.forward_flops + info.backward_flops;
	w->plan_mib = (double)info.total_bytes / 1048576;
	if (w->net->trunk_plan) {
		phiz_plan_describe(w->net->trunk_plan, &info);
		w->flops += info.forward_flops;
		w->plan_mib += (double)info.total_bytes / 1048576;
	}
	w->step = train_step;
	return s->per_layer ? time_steps(w) : PHIZ_OK;
}
#endif

static void work_free(struct work *w)
{
	phiz_bench_steps_free(&w->steps);
	phiz_plan_free(&w->plan);
#ifdef PHIZ_HAVE_TRAIN
	phiz_optimizer_free(&w->optimizer);
	phiz_trainnet_free(&w->net);
	phiz_free(w->ctx, w->images);
	phiz_free(w->ctx, w->bytes);
	phiz_free(w->ctx, w->erased);
	phiz_free(w->ctx, w->labels);
#endif
}

static double peak_rss_mib(void)
{
	struct rusage usage;
	return getrusage(RUSAGE_SELF, &usage) ? 0 : (double)usage.ru_maxrss / 1024;
}

static void print(const struct work *w, const struct settings *s, const char *model, int64_t batch,
                  const struct times *t, double rss, const struct phiz_peak *peak)
{
	double rate = (double)batch / t->median, gflops = w->flops / t->median / 1e9;
	double share = phiz_peak_share(peak, w->flops, 0, t->median, NULL);

	if (s->json) {
		printf("{\"model\":");
		phiz_print_json(w->ctx, model);
		printf(",\"mode\":\"%s\",\"batch\":%lld,\"threads\":%d,\"precision\":\"%s\","
		       "\"ms_median\":%.4f,\"ms_min\":%.4f,\"ms_max\":%.4f,\"images_per_s\":%.3f,\"gflops\":%.2f,"
		       "\"plan_mib\":%.1f,\"peak_rss_mib\":%.1f,\"instructions\":\"%s\",\"peak_gflops\":%.2f,"
		       "\"peak_gbps\":%.2f,"
		       "\"peak_share\":%.4f",
		       s->mode, (long long)batch, peak->threads, s->precision, t->median * 1e3, t->fastest * 1e3,
		       t->slowest * 1e3, rate, gflops, w->plan_mib, rss, peak->instructions, peak->gflops, peak->gbps, share);
		if (s->tune)
			printf(",\"tune\":{\"nodes\":%d,\"changed\":%d,\"ms_before\":%.4f,\"ms_after\":%.4f}", w->tuned.nodes,
			       w->tuned.changed, w->tuned.before * 1e3, w->tuned.after * 1e3);
		if (s->per_layer) {
			printf(",");
			phiz_bench_steps_json(&w->steps, peak, t->median);
		}
		printf("}\n");
		return;
	}
	printf("%s %s, batch %lld, %d threads, %s: median %.2f ms (%.2f to %.2f), %.1f images/s, %.1f GFLOP/s "
	       "(%.1f %% of %.1f with %s), plan %.1f MiB, peak %.0f MiB\n",
	       model, s->mode, (long long)batch, peak->threads, s->precision, t->median * 1e3, t->fastest * 1e3,
	       t->slowest * 1e3, rate, gflops, 100 * share, peak->gflops, peak->instructions, w->plan_mib, rss);
	if (s->per_layer) {
		printf("memory: %.1f GB/s read\n\n", peak->gbps);
		phiz_bench_steps_print(&w->steps, peak, t->median);
	}
}

/* A device's run: its own peak is not measured here. */
static void print_on_device(const struct work *w, const struct settings *s, const char *model, int64_t batch,
                            const struct times *t, double rss)
{
	double rate = (double)batch / t->median, gflops = w->flops / t->median / 1e9;

	if (s->json) {
		printf("{\"model\":");
		phiz_print_json(w->ctx, model);
		printf(",\"device\":\"%s\",\"mode\":\"%s\",\"batch\":%lld,\"precision\":\"%s\",\"ms_median\":%.4f,"
		       "\"ms_min\":%.4f,\"ms_max\":%.4f,\"images_per_s\":%.3f,\"gflops\":%.2f,\"plan_mib\":%.1f,"
		       "\"peak_rss_mib\":%.1f}\n",
		       w->device.name, s->mode, (long long)batch, s->precision, t->median * 1e3, t->fastest * 1e3,
		       t->slowest * 1e3, rate, gflops, w->plan_mib, rss);
		return;
	}
	printf("%s %s on %s, batch %lld, %s: median %.3f ms (%.3f to %.3f), %.1f images/s, %.1f GFLOP/s, plan %.1f MiB, "
	       "peak %.0f MiB\n",
	       model, s->mode, w->device.name, (long long)batch, s->precision, t->median * 1e3, t->fastest * 1e3,
	       t->slowest * 1e3, rate, gflops, w->plan_mib, rss);
	if (s->per_layer) {
		const struct phiz_peak none = {0};
		phiz_bench_steps_print(&w->steps, &none, t->median);
	}
}

extern const struct phiz_verb phiz_verb_bench;

/* What this machine gives with the context's threads: in fp32, and in bf16 and on bytes where it has instructions. */
static enum phiz_status print_peak(struct phiz_ctx *ctx, bool json)
{
	static const struct {
		enum phiz_dtype dtype;
		const char *name;
	} more[] = {{PHIZ_BF16, "bf16"}, {PHIZ_U8, "int8"}};
	struct phiz_peak wide, peak;
	enum phiz_status status = phiz_peak_measure(ctx, PHIZ_F32, &wide);

	if (status)
		return status;
	if (json)
		printf("{\"threads\":%d,\"instructions\":\"%s\",\"peak_gflops\":%.2f,\"peak_gbps\":%.2f", wide.threads,
		       wide.instructions, wide.gflops, wide.gbps);
	else
		printf("%d %s, %s: %.1f GFLOP/s fp32, %.1f GB/s memory read", wide.threads,
		       wide.threads == 1 ? "thread" : "threads", wide.instructions, wide.gflops, wide.gbps);
	for (size_t i = 0; i < PHIZ_COUNT(more) && !status; i++) {
		status = phiz_peak_measure(ctx, more[i].dtype, &peak);
		if (status || !strcmp(peak.instructions, wide.instructions))
			continue;
		if (json)
			printf(",\"%s_instructions\":\"%s\",\"%s_peak_gflops\":%.2f", more[i].name, peak.instructions, more[i].name,
			       peak.gflops);
		else
			printf("; %.1f %s (%s)", peak.gflops, more[i].name, peak.instructions);
	}
	printf(json ? "}\n" : "\n");
	return status;
}

/* The machine's peak with 1, 2, 4, ... threads up to the context's. */
static int print_peaks(struct phiz_ctx *ctx, bool json)
{
	int most = phiz_ctx_threads(ctx);

	for (int threads = 1;; threads = 2 * threads < most ? 2 * threads : most) {
		struct phiz_ctx_options o = {.threads = threads};
		struct phiz_ctx *part;
		if (phiz_ctx_create(&o, &part))
			return phiz_report(ctx);
		if (print_peak(part, json)) {
			int code = phiz_report(part);
			phiz_ctx_free(&part);
			return code;
		}
		phiz_ctx_free(&part);
		fflush(stdout);
		if (threads == most || phiz_interrupted)
			return PHIZ_EXIT_DONE;
	}
}

/* 0, or what phiz_usage gives. */
static int check_device(const struct settings *s, const struct phiz_device_choice *device)
{
	if (device->made && !strcmp(s->precision, "int8"))
		return phiz_usage(&phiz_verb_bench, "--device %s: fp32, fp16 or bf16; int8 is for --device cpu", device->name);
	if (device->made && s->tune)
		return phiz_usage(&phiz_verb_bench, "--tune is for inference on the CPU");
	if (!device->made && !strcmp(s->precision, "fp16"))
		return phiz_usage(&phiz_verb_bench, "--precision fp16: the CPU has no kernels for it; bf16 is near");
	return 0;
}

static int bench(struct phiz_ctx *ctx, const struct settings *s, const char *name)
{
	bool train = !strcmp(s->mode, "train");
	struct phiz_model *m = NULL;
	struct work w = {.ctx = ctx};
	struct times times = {0, 0, 0};
	struct phiz_peak peak = {0};
	double rss = 0;

	if (phiz_device_open(ctx, &s->device, &w.device))
		return phiz_report(ctx);
	int usage = check_device(s, &w.device);
	if (usage) {
		phiz_device_close(ctx, &w.device);
		return usage;
	}
	enum phiz_status status = phiz_open_model(ctx, name, s->classes, (int)s->size, &m);
#ifdef PHIZ_HAVE_TRAIN
	if (!status && train)
		status = prepare_training(&w, m, s);
#endif
	if (!status && !train)
		status = prepare_inference(&w, m, s, name);
	if (!status)
		status = measure(&w, s, &times);
	rss = peak_rss_mib(); /* before measuring the peak, which takes memory of its own */
	if (!status && !w.device.made)
		status = phiz_peak_measure(ctx, !strcmp(s->precision, "int8") ? PHIZ_U8 : precision_of(s), &peak);
	if (!status) {
		const int64_t batch = s->batch ? s->batch : train ? 32 : 1;
		phiz_bench_steps_finish(&w.steps);
		if (w.device.made)
			print_on_device(&w, s, name, batch, &times, rss);
		else
			print(&w, s, name, batch, &times, rss, &peak);
	}
	work_free(&w);
	phiz_device_close(ctx, &w.device);
	phiz_model_free(&m);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;

	if (strcmp(s->mode, "train") != 0 && strcmp(s->mode, "infer") != 0)
		return phiz_usage(&phiz_verb_bench, "--mode: want infer or train, got '%s'", s->mode);
	if (strcmp(s->precision, "fp32") != 0 && strcmp(s->precision, "bf16") != 0 && strcmp(s->precision, "int8") != 0 &&
	    strcmp(s->precision, "fp16") != 0)
		return phiz_usage(&phiz_verb_bench, "--precision: want fp32, bf16, fp16 or int8, got '%s'", s->precision);
	if (s->width && (!s->size || s->tune || !strcmp(s->mode, "train")))
		return phiz_usage(&phiz_verb_bench, "--width goes with --size and --mode infer, without --tune");
	if (s->device.no_cudnn && (!strcmp(s->mode, "train") || !strcmp(s->precision, "bf16")))
		return phiz_usage(&phiz_verb_bench, "--no-cudnn is for --mode infer, in fp32 or fp16: it trains no model");
	if (s->tune && !strcmp(s->mode, "train"))
		return phiz_usage(&phiz_verb_bench, "--tune is for inference on the CPU");
	if (!strcmp(s->precision, "int8") && !strcmp(s->mode, "train"))
		return phiz_usage(&phiz_verb_bench, "--precision int8 is for --mode infer");
	if (s->peak == (n_args > 0))
		return phiz_usage(&phiz_verb_bench, s->peak ? "--peak takes no network" : "which model or network?");
#ifndef PHIZ_HAVE_TRAIN
	if (!strcmp(s->mode, "train"))
		return phiz_usage(&phiz_verb_bench, "this phiz was built without training");
#endif
	return s->peak ? print_peaks(ctx, s->json) : bench(ctx, s, args[0]);
}

static const struct settings defaults = {.mode = "infer", .precision = "fp32", .device = {.name = "cpu"}, .runs = 50,
                                         .seconds = 10};

const struct phiz_verb phiz_verb_bench = {
	"bench", "how fast a network runs or trains here",
	"MODEL|NET [--mode train|infer] [--batch N] [--size S] [--per-layer] [--tune] [--json]; or --peak [--json]",
	"Times whole runs on made-up pictures: for infer the network, for train a step of the\n"
	"trainer (frozen trunk, head, loss, gradients, SGD with momentum). Prints the median\n"
	"run, images per second, GFLOP/s (2 per multiply-add), their share of what this\n"
	"machine's processor gives at most (measured in the same run, with the instructions\n"
	"that PHIZ_CPU allows, in the precision asked for where it has some for it and not\n"
	"AMX's), the memory that the plan takes, and the peak of the whole program.\n\n"
	"--per-layer adds a row for each step: pass, node, operator, kernel, output, median\n"
	"time, share of the run, GFLOP/s, GB/s of the bytes that must move at least once, and\n"
	"how near it comes to the machine's peak: the time that the FLOPs (\"compute\") or the\n"
	"bytes (\"memory\") need at the measured peak, whichever is longer, over the time taken.\n"
	"What lies in the caches moves faster than memory, so that small steps may come out\n"
	"above 100 %; so may convolutions, whose FLOPs are counted as plain sums also where\n"
	"Winograd's algorithm needs fewer. The last two rows are the sum of the steps, and the\n"
	"whole run.\n\n"
	"--tune first runs the network with each kernel that could do a layer, and writes the\n"
	"fastest of each into MODEL.tune beside the model (team.phiz.tune). Every verb that opens\n"
	"the model uses it from then on, with any batch and any number of threads, on this\n"
	"machine and with this version of phiz; elsewhere it is passed over. It holds for the\n"
	"--size and the --precision that it was made with; another run adds others. Deleting it\n"
	"undoes it. Numbers may change in their last digits, as kernels round differently.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 1, run,
};
