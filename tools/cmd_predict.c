/* phiz predict: names for pictures. */
#include <phiz/recognizer.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "tools/device_args.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	const char *detector;
	struct phiz_device_args device;
	bool detect, json, logits;
	int64_t topk;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--detect", FLAG, detect, NULL, 0, 0,
	            "find the faces in each photo, cut each out as the model says, and name it"),
	PHIZ_OPTION(struct settings, "--detector", TEXT, detector, "NAME", 0, 0,
	            "as --detect, by this detector (a name or a file; default: the best there is)"),
	PHIZ_OPTION(struct settings, "--topk", INT, topk, "K", 1, PHIZ_MAX_CANDIDATES, "classes to list (default 5)"),
	PHIZ_OPTION(struct settings, "--logits", FLAG, logits, NULL, 0, 0, "with --json: the network's raw output too"),
	PHIZ_DEVICE_OPTIONS(struct settings, device),
	PHIZ_PRECISION_OPTION(struct settings, device),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a picture on standard output"),
};

/* What the verb works with. */
struct work {
	const struct settings *settings;
	struct phiz_device_choice device;
	struct phiz_recognizer *recognizer;
	bool detect;
	struct phiz_bytes text;
};

static int n_told(const struct settings *s, const struct phiz_result *r)
{
	return (int)s->topk < r->n_candidates ? (int)s->topk : r->n_candidates;
}

/* "name":...,"confidence":...,"cosine":...,"topk":[...] */
static void add_json(struct phiz_bytes *b, const struct settings *s, const struct phiz_result *r)
{
	phiz_bytes_text(b, "\"name\":");
	phiz_bytes_json(b, r->name);
	phiz_bytes_printf(b, ",\"confidence\":%.9g", r->confidence);
	if (r->score_kind == PHIZ_SCORE_COSINE)
		phiz_bytes_printf(b, ",\"cosine\":%.9g", r->score);
	phiz_bytes_text(b, ",\"topk\":[");
	for (int i = 0; i < n_told(s, r); i++) {
		phiz_bytes_text(b, i ? ",{\"name\":" : "{\"name\":");
		phiz_bytes_json(b, r->candidate[i].name);
		phiz_bytes_printf(b, ",\"confidence\":%.9g}", r->candidate[i].confidence);
	}
	phiz_bytes_text(b, "]");
	if (s->logits) {
		phiz_bytes_text(b, ",\"logits\":[");
		for (int i = 0; i < r->n_classes; i++)
			phiz_bytes_printf(b, i ? ",%.9g" : "%.9g", (double)r->logits[i]);
		phiz_bytes_text(b, "]");
	}
}

static void add_text(struct phiz_bytes *b, const struct settings *s, const struct phiz_result *r)
{
	int first = r->known ? 1 : 0, n = n_told(s, r);

	phiz_bytes_printf(b, "%s %.1f %%", r->name, 100 * r->confidence);
	if (r->score_kind == PHIZ_SCORE_COSINE)
		phiz_bytes_printf(b, ", cosine %.3f", r->score);
	for (int i = first; i < n; i++)
		phiz_bytes_printf(b, "%s%s %.1f %%", i == first ? "  (" : ", ", r->candidate[i].name,
		                  100 * r->candidate[i].confidence);
	phiz_bytes_text(b, n > first ? ")" : "");
}

static void tell_json(struct work *w, const char *file, const struct phiz_found *found, int n)
{
	struct phiz_bytes *b = &w->text;

	phiz_bytes_text(b, "{\"file\":");
	phiz_bytes_json(b, file);
	phiz_bytes_text(b, w->detect ? ",\"faces\":[" : ",");
	for (int i = 0; i < n; i++) {
		const struct phiz_face *f = &found[i].face;
		if (w->detect)
			phiz_bytes_printf(b, "%s{\"box\":[%.9g,%.9g,%.9g,%.9g],\"score\":%.9g,", i ? "," : "",
			                  (double)f->box[0], (double)f->box[1], (double)f->box[2], (double)f->box[3],
			                  (double)f->score);
		add_json(b, w->settings, found[i].result);
		phiz_bytes_text(b, w->detect ? "}" : "");
	}
	phiz_bytes_text(b, w->detect ? "]}" : "}");
}

/* A line a face. */
static void tell_text(struct work *w, const char *file, const struct phiz_found *found, int n)
{
	struct phiz_bytes *b = &w->text;

	if (n == 0)
		phiz_bytes_printf(b, "%s: no face", file);
	for (int i = 0; i < n; i++) {
		const struct phiz_face *f = &found[i].face;
		phiz_bytes_printf(b, "%s%s: ", i ? "\n" : "", file);
		if (w->detect)
			phiz_bytes_printf(b, "face at %.0f,%.0f %.0fx%.0f: ", (double)f->box[0], (double)f->box[1],
			                  (double)f->box[2], (double)f->box[3]);
		add_text(b, w->settings, found[i].result);
	}
}

static enum phiz_status predict(struct phiz_ctx *ctx, struct work *w, const char *file)
{
	struct phiz_image image;
	const struct phiz_found *found;
	int n;
	enum phiz_status status = phiz_image_read(ctx, file, NULL, &image);

	if (status)
		return status;
	status = phiz_recognizer_run(w->recognizer, &image, &found, &n);
	phiz_image_free(ctx, &image);
	if (status)
		return phiz_fail_in(ctx, "%s", file);
	phiz_bytes_clear(&w->text);
	(w->settings->json ? tell_json : tell_text)(w, file, found, n);
	status = phiz_bytes_status(&w->text);
	if (!status)
		printf("%s\n", w->text.data);
	return status;
}

static enum phiz_status open_all(struct phiz_ctx *ctx, struct work *w, const char *model)
{
	const struct settings *s = w->settings;
	struct phiz_recognizer_options o = {.names = true};
	char *path = NULL, *detector = NULL;
	enum phiz_status status = phiz_device_open(ctx, &s->device, &w->device);

	o.precision = w->device.precision;
	o.backend = w->device.backend;
	o.fallback = w->device.fallback;
	if (!status)
		status = phiz_find_model_file(ctx, model, &path);
	if (!status && w->detect)
		status = phiz_choose_model(ctx, PHIZ_MODEL_DETECTOR, s->detector, &detector);
	if (!status)
		status = phiz_recognizer_open(ctx, detector, path, &o, &w->recognizer);
	phiz_free(ctx, path);
	phiz_free(ctx, detector);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct work w = {.settings = settings};
	int failed = 0;

	w.detect = w.settings->detect || w.settings->detector;
	phiz_bytes_init(&w.text, ctx);
	enum phiz_status status = open_all(ctx, &w, args[0]);
	if (status)
		phiz_report(ctx);
	for (int i = 1; i < n_args && !status && !phiz_interrupted; i++)
		if (predict(ctx, &w, args[i])) {
			phiz_report(ctx); /* names the file; the others are done all the same */
			failed++;
		}
	if (failed && n_args > 2)
		fprintf(stderr, "phiz: %d of %d pictures could not be used\n", failed, n_args - 1);
	phiz_recognizer_free(&w.recognizer);
	phiz_device_close(ctx, &w.device);
	phiz_bytes_free(&w.text);
	return status || failed || phiz_interrupted ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.topk = 5};

const struct phiz_verb phiz_verb_predict = {
	"predict", "names for pictures", "MODEL IMAGE... [--detect] [--json] [--topk K]",
	"MODEL is a classifier: a .phiz file, a checkpoint or the folder of a run. Each picture\n"
	"is taken as a crop and preprocessed as the model says. --detect is for photos: the\n"
	"faces are found, each is cut out as the faces were that the model was trained on, and\n"
	"named; --json then prints {\"file\",\"faces\":[{\"box\",\"score\",\"name\",\"confidence\",\n"
	"\"topk\"}]}, boxes as x, y, width, height in pixels. A face below the model's threshold is \"unknown\"\n"
	"(phiz eval --write-threshold sets one). The threshold is on the confidence; where the\n"
	"model was trained from an embedder (recipe faces), on the cosine between the face and\n"
	"the person, which is printed too. A picture that cannot be read is named, the others\n"
	"are done, and the exit status is 1.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 2, -1, run,
};
