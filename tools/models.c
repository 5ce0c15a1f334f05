/* Finding and opening models. */
#include "tools/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/io/import.h"
#include "tools/import_onnx.h"
#include "tools/zoo.h"

enum { MAX_CFG_BYTES = 1 << 20, MAX_PATH = 4000 };

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

/* ---- The models folder ---- */

/* The folder's path into path; false if no variable says where it is or the path is too long. */
static bool folder_path(char *path, size_t size)
{
	const char *own = getenv("PHIZ_MODELS"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n = -1;

	if (own && *own)
		n = snprintf(path, size, "%s", own);
	else if (data && *data == '/') /* the specification: a relative path is ignored */
		n = snprintf(path, size, "%s/phiz/models", data);
	else if (home && *home)
		n = snprintf(path, size, "%s/.local/share/phiz/models", home);
	return n > 0 && (size_t)n < size;
}

enum phiz_status phiz_models_folder(struct phiz_ctx *ctx, char **path)
{
	char text[MAX_PATH];

	*path = NULL;
	if (!folder_path(text, sizeof text))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "no folder for models: PHIZ_MODELS, XDG_DATA_HOME and HOME are unset");
	*path = phiz_strdup(ctx, text);
	return *path ? PHIZ_OK : PHIZ_E_NOMEM;
}

bool phiz_model_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= 64 && !name[n] && name[0] != '.' && name[0] != '-';
}

enum phiz_status phiz_model_name_path(struct phiz_ctx *ctx, const char *name, char **path)
{
	char *folder;

	*path = NULL;
	if (!phiz_model_name_ok(name))
		return phiz_fail(ctx, PHIZ_E_ARG, "'%s': not a model's name: letters, digits, '.', '_' and '-'", name);
	enum phiz_status status = phiz_models_folder(ctx, &folder);
	if (!status) {
		*path = phiz_asprintf(ctx, "%s/%s.phiz", folder, name);
		status = *path ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	phiz_free(ctx, folder);
	return status;
}

/* ---- The trunks that come with phiz ---- */

const char *const phiz_trunks[] = {"faces_r18", "faces_small", NULL};

/* Where phiz was installed, else where it was built. */
static const char *trunk_folder(void)
{
	const char *own = getenv("PHIZ_TRUNKS");

	if (own && *own)
		return own;
	return phiz_path_is_dir(PHIZ_TRUNKS_INSTALLED) ? PHIZ_TRUNKS_INSTALLED : PHIZ_TRUNKS_SOURCE;
}

enum phiz_status phiz_find_trunk(struct phiz_ctx *ctx, const char *name, char **path)
{
	*path = NULL;
	for (int i = 0; phiz_trunks[i]; i++) {
		if (strcmp(phiz_trunks[i], name))
			continue;
		*path = phiz_asprintf(ctx, "%s/%s.phiz", trunk_folder(), name);
		if (!*path)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_file(*path))
			return PHIZ_OK;
		phiz_free(ctx, *path);
		*path = NULL;
	}
	return PHIZ_OK;
}

/* What is said of a name that is no file and no folder. */
static enum phiz_status not_found(struct phiz_ctx *ctx, const char *what, const char *kinds)
{
	const char *names[64], *near = NULL;
	size_t n = 0;

	if (phiz_zoo_find(what))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "the model '%s' is not here yet: phiz models fetch %s brings it", what,
		                 what);
	for (int i = 0; phiz_trunks[i]; i++)
		if (!strcmp(phiz_trunks[i], what))
			return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: the trunk that comes with phiz is not in %s (PHIZ_TRUNKS names "
			                 "another folder)", what, trunk_folder());
	if (phiz_net_builtin(what))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: a built-in network, which has no weights yet: phiz train or "
		                 "phiz import gives it some", what);
	for (int i = 0; n < 32 && phiz_net_builtin_name(i); i++)
		names[n++] = phiz_net_builtin_name(i);
	for (int i = 0; n < 64 && i < phiz_n_zoo; i++)
		names[n++] = phiz_zoo[i].name;
	for (int i = 0; n < 64 && phiz_trunks[i]; i++)
		names[n++] = phiz_trunks[i];
	if (!strchr(what, '/'))
		near = phiz_suggest(what, names, n);
	return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such %s%s%s%s", what, kinds, near ? "; did you mean '" : "",
	                 near ? near : "", near ? "'?" : "");
}

/* The file of this name in the models folder, or the trunk, or NULL in path. */
static enum phiz_status find_name(struct phiz_ctx *ctx, const char *name, char **path)
{
	*path = NULL;
	if (!phiz_model_name_ok(name))
		return PHIZ_OK;
	enum phiz_status status = phiz_model_name_path(ctx, name, path);
	if (status && status != PHIZ_E_NOTFOUND) /* no folder is no model */
		return status;
	if (!status && phiz_path_is_file(*path))
		return PHIZ_OK;
	phiz_free(ctx, *path);
	phiz_ctx_clear(ctx);
	return phiz_find_trunk(ctx, name, path);
}

static enum phiz_status find_in_run(struct phiz_ctx *ctx, const char *folder, char **path)
{
	static const char *const in_run[] = {"best.phiz", "last.phiz"};

	for (int i = 0; i < 2; i++) {
		*path = phiz_path_join(ctx, folder, in_run[i]);
		if (!*path)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_file(*path))
			return PHIZ_OK;
		phiz_free(ctx, *path);
		*path = NULL;
	}
	return phiz_fail(ctx, PHIZ_E_NOTFOUND,
	                 "%s: neither best.phiz nor last.phiz is in this folder; is it a run of phiz train?", folder);
}

enum phiz_status phiz_find_model_file(struct phiz_ctx *ctx, const char *what, char **path)
{
	*path = NULL;
	if (phiz_path_is_file(what)) {
		*path = phiz_strdup(ctx, what);
		return *path ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	bool is_dir = phiz_path_is_dir(what);
	enum phiz_status status = is_dir ? find_in_run(ctx, what, path) : PHIZ_E_NOTFOUND;
	if (status != PHIZ_E_NOTFOUND)
		return status;
	status = find_name(ctx, what, path); /* a folder that is no run may be called as a model is */
	if (status || *path || is_dir)
		return status || *path ? status : PHIZ_E_NOTFOUND;
	return not_found(ctx, what, "model file, run folder or model of the models folder");
}

enum phiz_status phiz_open_model(struct phiz_ctx *ctx, const char *what, int64_t classes, int size,
                                 struct phiz_model **out)
{
	struct phiz_bytes text;
	char *path;

	*out = NULL;
	if (ends_with(what, ".cfg")) {
		phiz_bytes_init(&text, ctx);
		enum phiz_status status = phiz_file_read(ctx, what, MAX_CFG_BYTES, &text);
		if (!status && memchr(text.data, 0, text.size))
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a NUL byte in a text file", what);
		if (!status)
			status = phiz_model_from_cfg(ctx, text.data, what, classes, size, 0, out);
		phiz_bytes_free(&text);
		return status;
	}
	if (!phiz_path_is_dir(what) && !phiz_path_is_file(what) && phiz_net_builtin(what))
		return phiz_model_from_cfg(ctx, phiz_net_builtin(what), what, classes, size, 0, out);
	enum phiz_status status = phiz_find_model_file(ctx, what, &path);
	if (!status)
		status = phiz_model_read(ctx, path, out);
	phiz_free(ctx, path);
	return status;
}

enum phiz_status phiz_network_for(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path, const char *net,
                                  int64_t classes, int size, struct phiz_model **out)
{
	struct phiz_net_guess guess;

	*out = NULL;
	if (net) {
		const struct phiz_tensor *fc = phiz_tensors_find(t, "fc.weight");
		if (!classes && fc && fc->shape.ndim == 2)
			classes = fc->shape.dim[0];
		return phiz_open_model(ctx, net, classes, size, out);
	}
	enum phiz_status status = phiz_import_guess_net(ctx, t, path, &guess);
	if (status)
		return phiz_fail_in(ctx, "%s (--net NET names another network)", path);
	return phiz_model_from_cfg(ctx, phiz_net_builtin(guess.net), guess.net, classes ? classes : guess.classes, size, 0,
	                           out);
}

enum phiz_status phiz_open_weights(struct phiz_ctx *ctx, const char *path, const char *net, int size,
                                   struct phiz_model **out)
{
	struct phiz_import_options o = {.new_head = true};
	struct phiz_import_report report = {0};
	struct phiz_tensors t = {0};

	*out = NULL;
	if (phiz_is_onnx_name(path)) {
		const struct phiz_onnx_wishes none = {NULL, NULL, NULL};
		const char *known;
		enum phiz_status read = phiz_import_onnx(ctx, path, size, &none, &known, out);
		return read ? read : phiz_model_set_meta(*out, "source", phiz_path_base(path));
	}
	if (!ends_with(path, ".pth") && !ends_with(path, ".pt") && !ends_with(path, ".safetensors"))
		return phiz_open_model(ctx, path, 0, size, out);
	enum phiz_status status = phiz_tensors_read(ctx, path, &t);
	if (!status)
		status = phiz_network_for(ctx, &t, path, net, 0, size, out);
	if (!status)
		status = phiz_import_weights(ctx, *out, &t, path, &o, &report);
	if (!status)
		status = phiz_model_set_meta(*out, "source", phiz_path_base(path));
	phiz_import_report_free(&report);
	phiz_tensors_free(ctx, &t);
	if (status)
		phiz_model_free(out);
	return status;
}
