/* Which detector or embedder is taken where none is named. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "tools/fetch.h"
#include "tools/models.h"
#include "tools/zoo.h"

/* Best first. Detectors: yunet finds as much as mtcnn in a fraction of the time; ultralight knows no landmarks, which
 * most embedders want. Embedders: mobilefacenet has been measured with phiz (99.2 % of LFW's pairs), sface has not. */
static const char *const order[][4] = {
	[PHIZ_MODEL_DETECTOR] = {"yunet", "mtcnn", "ultralight", NULL},
	[PHIZ_MODEL_EMBEDDER] = {"mobilefacenet", "sface", NULL},
};
static const char *const kind_name[] = {[PHIZ_MODEL_DETECTOR] = "detector", [PHIZ_MODEL_EMBEDDER] = "embedder"};
static const char *const kind_option[] = {[PHIZ_MODEL_DETECTOR] = "--detector", [PHIZ_MODEL_EMBEDDER] = "--model"};

/* FOLDER/NAME.phiz if it is there, else NULL in path. */
static enum phiz_status find_ranked(struct phiz_ctx *ctx, enum phiz_model_kind kind, char **path)
{
	for (int i = 0; order[kind][i]; i++) {
		enum phiz_status status = phiz_model_name_path(ctx, order[kind][i], path);
		if (status || phiz_path_is_file(*path))
			return status;
		phiz_free(ctx, *path);
		*path = NULL;
	}
	return PHIZ_OK;
}

/* A file that is no model of this phiz's is no model of that kind. */
static enum phiz_status is_of_kind(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *path, bool *is)
{
	struct phiz_model *model = NULL;
	enum phiz_status status = phiz_model_read(ctx, path, &model);

	*is = !status && phiz_model_task(model) == (kind == PHIZ_MODEL_DETECTOR ? PHIZ_TASK_DETECT : PHIZ_TASK_EMBED);
	phiz_model_free(&model);
	if (status == PHIZ_E_NOMEM)
		return status;
	phiz_ctx_clear(ctx);
	return PHIZ_OK;
}

/* The first by name of that kind in the folder, or NULL in path. */
static enum phiz_status find_own(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *folder, char **path)
{
	struct phiz_names names = {0};
	enum phiz_status status = phiz_path_is_dir(folder) ? phiz_dir_list(ctx, folder, &names) : PHIZ_OK;
	bool is = false;

	for (size_t i = 0; !status && !is && i < names.count; i++) {
		size_t n = strlen(names.name[i]);
		if (n <= 5 || strcmp(names.name[i] + n - 5, ".phiz"))
			continue;
		*path = phiz_path_join(ctx, folder, names.name[i]);
		status = *path ? PHIZ_OK : PHIZ_E_NOMEM;
		if (!status && phiz_path_is_file(*path))
			status = is_of_kind(ctx, kind, *path, &is);
		if (!is) {
			phiz_free(ctx, *path);
			*path = NULL;
		}
	}
	phiz_names_free(ctx, &names);
	return status;
}

/* How a model of the table comes here: this program may be built without https. */
static const char *way(const struct phiz_zoo_model *z)
{
	if (z->package)
		return "through pip";
	return phiz_fetch_has_https() ? "over https" : "with --from FILE: this phiz was built without https";
}

/* "yunet (over https), mtcnn (through pip)" as a new string, or NULL. */
static char *list_fetchable(struct phiz_ctx *ctx, enum phiz_model_kind kind)
{
	char *list = phiz_strdup(ctx, "");

	for (int i = 0; list && i < phiz_n_zoo; i++) {
		const struct phiz_zoo_model *z = &phiz_zoo[i];
		if (strcmp(z->task, kind_name[kind]))
			continue;
		char *longer = phiz_asprintf(ctx, "%s%s%s (%s)", list, *list ? ", " : "", z->name, way(z));
		phiz_free(ctx, list);
		list = longer;
	}
	return list;
}

static enum phiz_status none_here(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *folder)
{
	char *list = list_fetchable(ctx, kind);

	if (!list)
		return PHIZ_E_NOMEM;
	enum phiz_status status = phiz_fail(
		ctx, PHIZ_E_NOTFOUND, "no %s is in the models folder %s: phiz models fetch NAME brings %s; phiz import makes "
		"one of a file that you have, and %s names one that lies elsewhere", kind_name[kind], folder, list,
		kind_option[kind]);
	phiz_free(ctx, list);
	return status;
}

static enum phiz_status choose(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *folder, char **path)
{
	enum phiz_status status = find_ranked(ctx, kind, path);

	if (!status && !*path)
		status = find_own(ctx, kind, folder, path);
	for (int i = 0; kind == PHIZ_MODEL_EMBEDDER && !status && !*path && phiz_trunks[i]; i++)
		status = phiz_find_trunk(ctx, phiz_trunks[i], path);
	if (!status && !*path)
		status = none_here(ctx, kind, folder);
	return status;
}

enum phiz_status phiz_choose_model(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *asked, char **path)
{
	char *folder;

	*path = NULL;
	if (asked)
		return phiz_find_model_file(ctx, asked, path);
	enum phiz_status status = phiz_models_folder(ctx, &folder);
	if (!status)
		status = choose(ctx, kind, folder, path);
	if (!status)
		phiz_log(ctx, PHIZ_LOG_INFO, "%s: %.*s, %s (%s names another)", kind_name[kind],
		         (int)strlen(phiz_path_base(*path)) - 5, phiz_path_base(*path),
		         strncmp(*path, folder, strlen(folder)) ? "which comes with phiz" : "of the models folder",
		         kind_option[kind]);
	phiz_free(ctx, folder);
	return status;
}
