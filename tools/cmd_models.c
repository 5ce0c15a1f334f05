/* phiz models: which models that others trained can be had, and which are here; removing one, the folder's path. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"
#include "tools/models.h"
#include "tools/tools.h"
#include "tools/zoo.h"

struct settings {
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a model on standard output"),
};

static size_t download_size(const struct phiz_zoo_model *z)
{
	size_t size = 0;

	for (int i = 0; i < z->n_files; i++)
		size += z->file[i].size;
	return size;
}

static void print_row(struct phiz_ctx *ctx, const struct phiz_zoo_model *z, const char *path, bool here, bool json)
{
	char origin[96];

	if (!json) {
		printf("%-12s %-9s %6.1f MB  %-11s %s\n%-12s %s\n%-12s %s%s%s\n", z->name, z->task,
		       (double)download_size(z) / 1e6, z->licence, here ? "here" : "-", "", z->summary, "", z->source,
		       z->package ? ", from the package " : "", z->package ? z->package : "");
		if (z->measured)
			printf("%-12s %s\n", "", z->measured);
		return;
	}
	printf("{\"name\":\"%s\",\"task\":\"%s\",\"summary\":", z->name, z->task);
	phiz_print_json(ctx, z->summary);
	printf(",\"bytes\":%zu,\"licence\":\"%s\",\"source\":\"%s\",\"from\":", download_size(z), z->licence, z->source);
	snprintf(origin, sizeof origin, "%s==%s", z->package ? z->package : "", z->package ? z->version : "");
	phiz_print_json(ctx, z->package ? origin : z->file[0].url);
	printf(",\"here\":%s,\"path\":", here ? "true" : "false");
	phiz_print_json(ctx, path);
	printf("}\n");
}

/* A model of the user's own in the folder. */
static void print_own(struct phiz_ctx *ctx, const char *name, const char *path, bool json)
{
	if (!json) {
		printf("%-12s %-9s %6s     %-11s here\n", name, "own", "", "");
		return;
	}
	printf("{\"name\":");
	phiz_print_json(ctx, name);
	printf(",\"task\":null,\"here\":true,\"path\":");
	phiz_print_json(ctx, path);
	printf("}\n");
}

/* What comes with phiz; nothing is said of what was left out of it. */
static enum phiz_status print_trunk(struct phiz_ctx *ctx, const char *name, bool json)
{
	struct phiz_model *model = NULL;
	char *path;
	const char *licence;
	struct stat file = {0};
	enum phiz_status status = phiz_find_trunk(ctx, name, &path);

	if (status || !path)
		return status;
	status = phiz_model_read(ctx, path, &model);
	if (!status && stat(path, &file))
		status = phiz_fail_system(ctx, path, "cannot read", errno);
	licence = status ? NULL : phiz_model_meta(model, "licence");
	if (!status && !json)
		printf("%-12s %-9s %6.1f MB  comes with phiz, which trained it\n%-12s licence: %s\n", name, "embedder",
		       (double)file.st_size / 1e6, "", licence ? licence : "not stated");
	if (!status && json) {
		printf("{\"name\":\"%s\",\"task\":\"embedder\",\"bytes\":%lld,\"licence\":", name, (long long)file.st_size);
		phiz_print_json(ctx, licence);
		printf(",\"here\":true,\"path\":");
		phiz_print_json(ctx, path);
		printf("}\n");
	}
	phiz_model_free(&model);
	phiz_free(ctx, path);
	return status;
}

/* "NAME.phiz" cut to NAME; false for other files. */
static bool model_name(char *file)
{
	size_t n = strlen(file);

	if (n <= 5 || strcmp(file + n - 5, ".phiz"))
		return false;
	file[n - 5] = 0;
	return phiz_model_name_ok(file);
}

static enum phiz_status print_others(struct phiz_ctx *ctx, const char *folder, bool json)
{
	struct phiz_names names;
	enum phiz_status status = PHIZ_OK;

	if (!phiz_path_is_dir(folder))
		return PHIZ_OK;
	status = phiz_dir_list(ctx, folder, &names);
	for (size_t i = 0; !status && i < names.count; i++) {
		char *path = phiz_path_join(ctx, folder, names.name[i]);
		if (!path)
			status = PHIZ_E_NOMEM;
		else if (phiz_path_is_file(path) && model_name(names.name[i]) && !phiz_zoo_find(names.name[i]))
			print_own(ctx, names.name[i], path, json);
		phiz_free(ctx, path);
	}
	phiz_names_free(ctx, &names);
	return status;
}

extern const struct phiz_verb phiz_verb_models;

static int list(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	char *folder, *path;
	int missing = 0;

	if (n_args && strcmp(args[0], "list"))
		return phiz_usage(&phiz_verb_models, "'%s': want list, fetch, remove or path", args[0]);
	enum phiz_status status = phiz_models_folder(ctx, &folder);
	for (int i = 0; !status && i < phiz_n_zoo; i++) {
		status = phiz_model_name_path(ctx, phiz_zoo[i].name, &path);
		if (status)
			break;
		bool here = phiz_path_is_file(path);
		missing += !here;
		print_row(ctx, &phiz_zoo[i], path, here, s->json);
		phiz_free(ctx, path);
	}
	for (int i = 0; !status && phiz_trunks[i]; i++)
		status = print_trunk(ctx, phiz_trunks[i], s->json);
	if (!status)
		status = print_others(ctx, folder, s->json);
	if (!status && !s->json)
		printf("\nfolder: %s\n%s", folder, missing ? "phiz models fetch NAME brings one that is not here.\n" : "");
	phiz_free(ctx, folder);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static int remove_model(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	char *path;

	(void)settings;
	(void)n_args;
	enum phiz_status status = phiz_model_name_path(ctx, args[0], &path);
	if (!status && !phiz_path_is_file(path))
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such model in the models folder", path);
	if (!status && unlink(path))
		status = phiz_fail_system(ctx, path, "cannot remove", errno);
	if (!status && !phiz_quiet)
		printf("removed %s\n", path);
	phiz_free(ctx, path);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static int print_path(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	char *path = NULL;

	(void)settings;
	enum phiz_status status = n_args ? phiz_find_model_file(ctx, args[0], &path) : phiz_models_folder(ctx, &path);
	if (!status)
		printf("%s\n", path);
	phiz_free(ctx, path);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_models = {
	"models", "which models can be had, and which are here", "[list] [--json]",
	"Networks that others trained: face detectors, and embedders that tell people apart by\n"
	"cosine. phiz models fetch NAME brings one; from then on its NAME stands wherever a verb\n"
	"takes a model. They lie in $PHIZ_MODELS, else $XDG_DATA_HOME/phiz/models, else\n"
	"~/.local/share/phiz/models; a .phiz file that you put there yourself has a name too.\n"
	"The trunks faces_r18 and faces_small come with phiz ($PHIZ_TRUNKS names another folder).\n"
	"Licences are those of the weights, as their makers state them; a model file keeps its\n"
	"licence and source, and phiz info shows them.",
	options, PHIZ_COUNT(options), sizeof(struct settings), NULL, 0, 1, list,
};

const struct phiz_verb phiz_verb_models_remove = {
	"models remove", "take a model out of the models folder", "NAME", NULL, NULL, 0, 0, NULL, 1, 1, remove_model,
};

const struct phiz_verb phiz_verb_models_path = {
	"models path", "where the models folder is, or the file of one model", "[NAME]", NULL, NULL, 0, 0, NULL, 0, 1,
	print_path,
};
