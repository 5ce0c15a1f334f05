/* phiz predict: names for pictures. */
#include <phiz/session.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/file.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	bool json, logits;
	int64_t topk;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--topk", INT, topk, "K", 1, PHIZ_MAX_CANDIDATES, "classes to list (default 5)"),
	PHIZ_OPTION(struct settings, "--logits", FLAG, logits, NULL, 0, 0, "with --json: the network's raw output too"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a picture on standard output"),
};

static void print_json(struct phiz_bytes *b, const struct settings *s, const char *file, const struct phiz_result *r)
{
	int n = (int)s->topk < r->n_candidates ? (int)s->topk : r->n_candidates;

	phiz_bytes_clear(b);
	phiz_bytes_text(b, "{\"file\":");
	phiz_bytes_json(b, file);
	phiz_bytes_text(b, ",\"name\":");
	phiz_bytes_json(b, r->name);
	phiz_bytes_printf(b, ",\"confidence\":%.9g,\"topk\":[", r->confidence);
	for (int i = 0; i < n; i++) {
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
	phiz_bytes_text(b, "}");
	if (!phiz_bytes_status(b))
		printf("%s\n", b->data);
}

static void print_text(const struct settings *s, const char *file, const struct phiz_result *r)
{
	int n = (int)s->topk < r->n_candidates ? (int)s->topk : r->n_candidates;

	printf("%s: %s %.1f %%", file, r->name, 100 * r->confidence);
	for (int i = r->known ? 1 : 0; i < n; i++)
		printf("%s%s %.1f %%", i == (r->known ? 1 : 0) ? "  (" : ", ", r->candidate[i].name,
		       100 * r->candidate[i].confidence);
	printf("%s\n", n > (r->known ? 1 : 0) ? ")" : "");
}

static enum phiz_status predict(struct phiz_ctx *ctx, const struct settings *s, struct phiz_session *session,
                                const char *file, struct phiz_bytes *text)
{
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(ctx, file, NULL, &image);

	if (status)
		return status;
	status = phiz_session_run_images(session, &image, 1);
	phiz_image_free(ctx, &image);
	if (status)
		return status;
	if (s->json)
		print_json(text, s, file, phiz_session_result(session));
	else
		print_text(s, file, phiz_session_result(session));
	return phiz_bytes_status(text);
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct phiz_runtime *runtime = NULL;
	struct phiz_session *session = NULL;
	struct phiz_bytes text;
	char *path = NULL;
	int failed = 0;

	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_find_model_file(ctx, args[0], &path);
	if (!status)
		status = phiz_runtime_open(ctx, path, &runtime);
	if (!status)
		status = phiz_session_create(runtime, ctx, NULL, &session);
	if (status)
		phiz_report(ctx);
	for (int i = 1; i < n_args && !status && !phiz_interrupted; i++)
		if (predict(ctx, settings, session, args[i], &text)) {
			phiz_report(ctx); /* names the file; the others are done all the same */
			failed++;
		}
	if (failed && n_args > 2)
		fprintf(stderr, "phiz: %d of %d pictures could not be used\n", failed, n_args - 1);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	phiz_bytes_free(&text);
	phiz_free(ctx, path);
	return status || failed || phiz_interrupted ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct settings defaults = {.topk = 5};

const struct phiz_verb phiz_verb_predict = {
	"predict", "names for pictures", "MODEL IMAGE... [--json] [--topk K]",
	"MODEL is a .phiz file, a checkpoint or the folder of a run. Each picture is\n"
	"preprocessed as the model says. A face below the model's threshold is \"unknown\"\n"
	"(phiz eval --write-threshold sets one). A picture that cannot be read is named, the\n"
	"others are done, and the exit status is 1.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 2, -1, run,
};
