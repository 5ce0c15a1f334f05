/* phiz gallery export and import: as JSON lines. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "tools/gallery_args.h"
#include "tools/models.h"

struct settings {
	struct phiz_gallery_args gallery;
	const char *output, *model;
	int64_t dim;
	bool json;
};

static const struct phiz_option export_options[] = {
	PHIZ_OPTION(struct settings, "-o", TEXT, output, "FILE", 0, 0, "where to (default: standard output)"),
	PHIZ_GALLERY_OPTIONS(struct settings),
};

static const struct phiz_option import_options[] = {
	PHIZ_OPTION(struct settings, "--model", TEXT, model, "MODEL|HASH", 0, 0,
	            "what made the embeddings, where the file does not say (its first line does)"),
	PHIZ_OPTION(struct settings, "--dim", INT, dim, "N", 1, PHIZ_GALLERY_MAX_DIM,
	            "with --model HASH: numbers in an embedding"),
	PHIZ_OPTION(struct settings, "--encrypt", FLAG, gallery.encrypt, NULL, 0, 0,
	            "a new gallery keeps embeddings under a passphrase or --key"),
	PHIZ_GALLERY_OPTIONS(struct settings),
};

static int run_export(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	struct phiz_bytes text;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	(void)args;
	phiz_bytes_init(&text, ctx);
	if (!status)
		status = phiz_gallery_export(g, &text);
	if (!status && s->output) {
		mode_t old = umask(077); /* faces are private */
		status = phiz_file_write(ctx, s->output, text.data, text.size);
		umask(old);
	} else if (!status && fwrite(text.data, 1, text.size, stdout) != text.size) {
		status = phiz_fail(ctx, PHIZ_E_IO, "standard output: cannot write");
	}
	if (status)
		phiz_report(ctx);
	phiz_bytes_free(&text);
	phiz_gallery_free(&g);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* Binds the gallery to what --model says. */
static enum phiz_status bind(struct phiz_ctx *ctx, const struct settings *s, struct phiz_gallery *g)
{
	struct phiz_recognizer *r = NULL;
	char *path = NULL;
	enum phiz_status status;

	if (strlen(s->model) == 64 && strspn(s->model, "0123456789abcdef") == 64) {
		if (!s->dim)
			return phiz_fail(ctx, PHIZ_E_ARG, "--model HASH wants --dim N too");
		return phiz_gallery_bind(g, s->model, (int)s->dim, NULL);
	}
	status = phiz_find_model_file(ctx, s->model, &path);
	if (!status)
		status = phiz_recognizer_open(ctx, NULL, path, NULL, &r);
	if (!status)
		status = phiz_gallery_bind(g, phiz_recognizer_hash(r), phiz_recognizer_dim(r), phiz_path_base(path));
	phiz_recognizer_free(&r);
	phiz_free(ctx, path);
	return status;
}

static void tell(void *user, const char *person, int added)
{
	int64_t *people = user;

	++*people;
	printf("%s: %d added\n", person, added); /* after its commit */
	fflush(stdout);
}

static int run_import(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g = NULL;
	struct phiz_bytes text;
	int64_t people = 0;

	(void)n_args;
	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_file_read(ctx, args[0], (size_t)2 << 30, &text);
	if (!status)
		status = phiz_gallery_args_open(ctx, &s->gallery, true, &g);
	if (!status && s->model)
		status = bind(ctx, s, g);
	if (!status)
		status = phiz_gallery_import(g, text.data, text.size, args[0], &phiz_interrupted, tell, &people);
	if (status)
		phiz_report(ctx);
	phiz_bytes_free(&text);
	phiz_gallery_free(&g);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_gallery_export = {
	"gallery export", "a gallery as JSON lines", "[-o FILE] [--gallery FILE]",
	"The first line says which model made the embeddings; then a line for each photo:\n"
	"name, embedding, kind (photo or rejected), source, quality, created, consent,\n"
	"keep_days. The embeddings are in the clear, also of an encrypted gallery.",
	export_options, PHIZ_COUNT(export_options), sizeof(struct settings), NULL, 0, 0, run_export,
};
const struct phiz_verb phiz_verb_gallery_import = {
	"gallery import", "people from JSON lines", "FILE [--gallery FILE] [--model MODEL]",
	"Takes what phiz gallery export writes; name and embedding are enough, where the\n"
	"gallery is bound to a model or --model says which it was. Each person is added whole\n"
	"or not at all, and printed once that is on disk. What is there already is not added\n"
	"twice: an import that was broken off can be repeated.",
	import_options, PHIZ_COUNT(import_options), sizeof(struct settings), NULL, 1, 1, run_import,
};
