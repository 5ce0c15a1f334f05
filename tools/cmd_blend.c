/* phiz data blend: more faces to distil from, each made of two. */
#include <inttypes.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "datasets/blend.h"
#include "tools/tools.h"

extern const struct phiz_verb phiz_verb_data_blend;

struct settings {
	const char *out;
	int64_t count, size, seed;
	bool json;
};

static const struct settings defaults = {.count = 10000, .size = 128, .seed = 1};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--out", TEXT, out, "DIR", 0, 0, "where the photos go (required)"),
	PHIZ_OPTION(struct settings, "--count", INT, count, "N", 1, 1000000, "how many (default 10000)"),
	PHIZ_OPTION(struct settings, "--size", INT, size, "S", 32, 512,
	            "side of a photo in pixels, of which the middle 7/8 are ArcFace's crop (default 128)"),
	PHIZ_OPTION(struct settings, "--seed", INT, seed, "K", 0, 9007199254740991.0, "other pairs (default 1)"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static bool show(void *user, int64_t done, int64_t total)
{
	phiz_progress_show(user, (double)done, (double)total, done == total, "%lld of %lld photos", (long long)done,
	                   (long long)total);
	return !phiz_interrupted;
}

static enum phiz_status open_faces(struct phiz_ctx *ctx, int n, char **dirs, struct phiz_dataset **dataset,
                                   struct phiz_landmarks *faces)
{
	enum phiz_status status = phiz_dataset_create(ctx, dataset);

	for (int i = 0; i < n && !status; i++)
		status = phiz_dataset_add_unlabelled(ctx, *dataset, dirs[i]);
	return status ? status : phiz_landmarks_read(ctx, NULL, *dataset, faces);
}

static void print_result(struct phiz_ctx *ctx, const struct settings *s, const struct phiz_blend_result *r)
{
	struct phiz_bytes b;

	if (!s->json) {
		if (!phiz_quiet)
			fprintf(stderr, "%s: %" PRId64 " photos made now, %" PRId64 " were there, %" PRId64 " left out\n", s->out,
			        r->written, r->kept, r->failed);
		return;
	}
	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"dir\":");
	phiz_bytes_json(&b, s->out);
	phiz_bytes_printf(&b, ",\"written\":%" PRId64 ",\"kept\":%" PRId64 ",\"failed\":%" PRId64 "}", r->written, r->kept,
	                  r->failed);
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_blend_options o = {.count = s->count, .size = (int)s->size, .seed = (uint64_t)s->seed};
	struct phiz_dataset *dataset = NULL;
	struct phiz_landmarks faces = {0};
	struct phiz_blend_result result;
	struct phiz_progress progress;
	enum phiz_status status;

	if (n_args < 1 || !s->out)
		return phiz_usage(&phiz_verb_data_blend, n_args < 1 ? "want a folder of photos" : "--out is missing");
	status = open_faces(ctx, n_args, args, &dataset, &faces);
	phiz_progress_start(&progress);
	if (!status)
		status = phiz_blend_write(ctx, dataset, &faces, &o, s->out, show, &progress, &result);
	phiz_progress_clear(&progress);
	phiz_landmarks_free(ctx, &faces);
	phiz_dataset_free(ctx, &dataset);
	if (status)
		return phiz_report(ctx);
	print_result(ctx, s, &result);
	return PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_data_blend = {
	"data blend",
	"faces of nobody, each made of two, to distil from",
	"PHOTOS... --out DIR [--count 10000] [--size 128] [--seed K]",
	"PHOTOS are folders of photos with a landmarks.csv, as phiz data extract writes it.\n"
	"Of each two faces that are drawn one is made: they are aligned to each other, the\n"
	"second takes on the first one's light, and either both shine through everywhere or\n"
	"a soft seam goes between them. DIR gets folders of 1000 photos and a landmarks.csv.\n"
	"\n"
	"What such a face looks like to a teacher, an embedder can learn (phiz train\n"
	"distill_r18 --unlabelled DIR): more faces than there are photos. Do not blend\n"
	"photos that are kept for validation. The same seed and photos give the same faces,\n"
	"a larger --count goes on, and so does the same command when it was broken off. A\n"
	"folder that holds anything else is not touched.",
	options,
	PHIZ_COUNT(options),
	sizeof(struct settings),
	&defaults,
	0,
	-1,
	run,
};
