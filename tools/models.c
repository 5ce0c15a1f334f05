/* Finding and opening models. */
#include "tools/models.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/io/import.h"

enum { MAX_CFG_BYTES = 1 << 20 };

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

enum phiz_status phiz_find_model_file(struct phiz_ctx *ctx, const char *what, char **path)
{
	static const char *const in_run[] = {"best.phiz", "last.phiz"};

	*path = NULL;
	if (!phiz_path_is_dir(what)) {
		if (!phiz_path_is_file(what))
			return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such model file or run folder", what);
		*path = phiz_strdup(ctx, what);
		return *path ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (int i = 0; i < 2; i++) {
		*path = phiz_path_join(ctx, what, in_run[i]);
		if (!*path)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_file(*path))
			return PHIZ_OK;
		phiz_free(ctx, *path);
		*path = NULL;
	}
	return phiz_fail(ctx, PHIZ_E_NOTFOUND,
	                 "%s: neither best.phiz nor last.phiz is in this folder; is it a run of phiz train?", what);
}

static enum phiz_status not_found(struct phiz_ctx *ctx, const char *what)
{
	const char *names[32];
	size_t n = 0;

	while (n < 32 && phiz_net_builtin_name((int)n)) {
		names[n] = phiz_net_builtin_name((int)n);
		n++;
	}
	const char *near = phiz_suggest(what, names, n);
	return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such model file, run folder or built-in network%s%s%s", what,
	                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
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
	if (!phiz_path_is_dir(what) && !phiz_path_is_file(what)) {
		const char *builtin = phiz_net_builtin(what);
		return builtin ? phiz_model_from_cfg(ctx, builtin, what, classes, size, 0, out) : not_found(ctx, what);
	}
	enum phiz_status status = phiz_find_model_file(ctx, what, &path);
	if (!status)
		status = phiz_model_read(ctx, path, out);
	phiz_free(ctx, path);
	return status;
}

/* The network for the tensors: as asked for, or as it looks. */
static enum phiz_status network_for(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path,
                                    const char *net, int size, struct phiz_model **out)
{
	struct phiz_net_guess guess;

	if (net) {
		const struct phiz_tensor *fc = phiz_tensors_find(t, "fc.weight");
		return phiz_open_model(ctx, net, fc && fc->shape.ndim == 2 ? fc->shape.dim[0] : 0, size, out);
	}
	enum phiz_status status = phiz_import_guess_net(ctx, t, path, &guess);
	return status ? status
	              : phiz_model_from_cfg(ctx, phiz_net_builtin(guess.net), guess.net, guess.classes, size, 0, out);
}

enum phiz_status phiz_open_weights(struct phiz_ctx *ctx, const char *path, const char *net, int size,
                                   struct phiz_model **out)
{
	struct phiz_import_options o = {.new_head = true};
	struct phiz_import_report report = {0};
	struct phiz_tensors t = {0};

	*out = NULL;
	if (!ends_with(path, ".pth") && !ends_with(path, ".pt") && !ends_with(path, ".safetensors"))
		return phiz_open_model(ctx, path, 0, size, out);
	enum phiz_status status = phiz_tensors_read(ctx, path, &t);
	if (!status)
		status = network_for(ctx, &t, path, net, size, out);
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
