/* phiz data bench: how many photos a second the loader makes ready for a recipe, and what each stage costs. */
#include <inttypes.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "datasets/loader.h"
#include "tools/recipe_data.h"
#include "tools/tools.h"
#include "train/session.h"

struct settings {
	struct phiz_list data, set;
	int64_t photos;
	double seconds;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--data", LIST, data, "DIR", 0, 0,
	            "photos, a folder per person; may be given several times"),
	PHIZ_OPTION(struct settings, "--photos", INT, photos, "N", 1, 1000000000,
	            "take at most so many, from all over the folders (default 500)"),
	PHIZ_OPTION(struct settings, "--seconds", REAL, seconds, "S", 0.1, 3600, "how long to load (default 5)"),
	PHIZ_OPTION(struct settings, "--set", LIST, set, "SECTION.KEY=VALUE", 0, 0, "change the recipe"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

struct result {
	size_t photos;     /* different ones */
	int size, threads; /* pixels; workers */
	double rate;       /* photos a second, all workers */
	struct phiz_stages stages;
};

/* Batches for so long, after a first one. */
static enum phiz_status load(struct phiz_loader *loader, double seconds, struct result *r)
{
	struct phiz_batch batch;
	uint32_t epoch = 0;
	uint64_t taken = 0;
	double begin = 0, now = 0;
	enum phiz_status status = phiz_loader_start(loader, 0, 0);

	while (!status && !phiz_interrupted && (begin == 0 || now - begin < seconds)) {
		status = phiz_loader_next(loader, &batch);
		now = phiz_time();
		if (!status && batch.n == 0)
			status = phiz_loader_start(loader, ++epoch, 0);
		if (begin == 0)
			begin = now;
		else
			taken += (uint64_t)batch.n;
	}
	phiz_loader_stages(loader, &r->stages);
	r->rate = now > begin ? (double)taken / (now - begin) : 0;
	return status;
}

/* Photos from all over the dataset, at most as many as are wanted. */
static uint32_t *choose_photos(struct phiz_ctx *ctx, size_t n, size_t most, size_t *count)
{
	uint32_t *index;

	*count = n < most ? n : most;
	index = phiz_alloc(ctx, *count, sizeof *index);
	for (size_t i = 0; index && i < *count; i++)
		index[i] = (uint32_t)(i * n / *count);
	return index;
}

/* Nothing is kept in memory, so that every photo is read each time; what the file system keeps is read from there. */
static enum phiz_status measure(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_recipe *recipe,
                                const struct phiz_dataset *dataset, const struct phiz_landmarks *faces,
                                struct result *r)
{
	struct phiz_preproc preproc;
	struct phiz_loader_options o = {
		.preproc = &preproc, .augment = &recipe->augment, .seed = (uint64_t)recipe->train.seed,
		.batch = (int)recipe->train.batch, .shuffle = true, .threads = (int)recipe->data.workers,
		.ahead = (int)recipe->data.prefetch, .faces = faces->face, .timed = true,
	};
	struct phiz_loader *loader = NULL;
	size_t count;
	uint32_t *index = choose_photos(ctx, dataset->count, (size_t)s->photos, &count);
	enum phiz_status status = index ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_session_preproc(recipe, &preproc);
	if (!status)
		status = phiz_loader_open(ctx, dataset, index, count, &o, &loader);
	if (!status)
		status = load(loader, s->seconds, r);
	if (!status) {
		r->photos = phiz_loader_samples(loader);
		r->size = preproc.size;
		r->threads = o.threads ? o.threads : phiz_ctx_threads(ctx);
	}
	phiz_loader_free(&loader);
	phiz_free(ctx, index);
	return status;
}

/* Processor time of a photo in the stages from `first` on. */
static double seconds_from(const struct phiz_stages *stages, enum phiz_stage first)
{
	double sum = 0;

	for (int i = (int)first; i < PHIZ_N_STAGES; i++)
		sum += stages->seconds[i];
	return sum / (double)stages->photos;
}

static void print_json(struct phiz_ctx *ctx, const char *recipe, const struct result *r)
{
	printf("{\"recipe\":");
	phiz_print_json(ctx, recipe);
	printf(",\"photos\":%zu,\"size\":%d,\"threads\":%d,\"photos_per_s\":%.1f,\"photos_per_core_s\":%.1f,"
	       "\"kept_photos_per_core_s\":%.1f,\"us\":{", r->photos, r->size, r->threads, r->rate,
	       1 / seconds_from(&r->stages, PHIZ_STAGE_READ), 1 / seconds_from(&r->stages, PHIZ_STAGE_GEOMETRY));
	for (int i = 0; i < PHIZ_N_STAGES; i++)
		printf("%s\"%s\":%.2f", i ? "," : "", phiz_stage_name((enum phiz_stage)i),
		       r->stages.seconds[i] / (double)r->stages.photos * 1e6);
	printf("}}\n");
}

static void print(const char *recipe, const struct result *r)
{
	printf("%s, %zu photos, %d pixels, %d threads: %.0f photos/s\n"
	       "one core: %.0f photos/s, or %.0f where the decoded photos are kept in memory (data.cache_mib)\n", recipe,
	       r->photos, r->size, r->threads, r->rate, 1 / seconds_from(&r->stages, PHIZ_STAGE_READ),
	       1 / seconds_from(&r->stages, PHIZ_STAGE_GEOMETRY));
	for (int i = 0; i < PHIZ_N_STAGES; i++) {
		double each = r->stages.seconds[i] / (double)r->stages.photos;
		printf("  %-9s%8.0f us a photo  %8.0f photos/s\n", phiz_stage_name((enum phiz_stage)i), each * 1e6,
		       each > 0 ? 1 / each : 0);
	}
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args);

static const struct settings defaults = {.photos = 500, .seconds = 5};

const struct phiz_verb phiz_verb_data_bench = {
	"data bench", "how many photos a second are made ready for training",
	"RECIPE --data DIR... [--photos N] [--seconds S] [--set KEY=VALUE] [--json]",
	"Loads batches as phiz train would with this recipe, with nothing to train, and prints\n"
	"photos per second with all threads (data.workers), and what a photo costs one core:\n"
	"read (file and decoding), geometry (crop, resize, flip, rotation, cutting faces out),\n"
	"pixels (colour, blur, artefacts), floats (normalised planes, erasing). No photo is kept\n"
	"in memory; a core that finds them there saves the first stage. The trainer is fed in\n"
	"time where this is more than what phiz bench --mode train says.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 1, 1, run,
};

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	const struct phiz_dataset_args data = {.data = &s->data};
	struct phiz_dataset *dataset = NULL;
	struct phiz_landmarks faces = {0};
	struct phiz_recipe recipe;
	struct result r = {0};

	(void)n_args;
	if (!s->data.count)
		return phiz_usage(&phiz_verb_data_bench, "--data DIR is missing");
	enum phiz_status status = phiz_recipe_init(ctx, &recipe);
	if (!status)
		status = phiz_read_recipe(&recipe, args[0], &s->set);
	recipe.data.val = recipe.data.val_people = 0;
	if (!status)
		status = phiz_recipe_check(&recipe);
	if (!status)
		status = phiz_open_recipe_data(ctx, &data, &recipe, &dataset, &faces);
	if (!status)
		status = measure(ctx, s, &recipe, dataset, &faces, &r);
	if (!status && (r.stages.photos == 0 || r.rate == 0))
		status = phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off before anything was timed");
	if (!status && s->json)
		print_json(ctx, args[0], &r);
	else if (!status)
		print(args[0], &r);
	phiz_landmarks_free(ctx, &faces);
	phiz_dataset_free(ctx, &dataset);
	phiz_recipe_free(&recipe);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}
