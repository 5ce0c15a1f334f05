#include "tools/photos.h"

#include <string.h>
#include <strings.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum { MAX_DEPTH = 32, MAX_LIST_BYTES = 256 << 20 };

static bool has_ending(const char *path, const char *const *ending, int n)
{
	const char *dot = strrchr(phiz_path_base(path), '.');

	for (int i = 0; i < n && dot; i++)
		if (!strcasecmp(dot, ending[i]))
			return true;
	return false;
}

static bool is_photo(const char *path)
{
	static const char *const ending[] = {".jpg", ".jpeg", ".png", ".pgm", ".ppm"};
	return has_ending(path, ending, 5);
}

static bool is_list(const char *path)
{
	static const char *const ending[] = {".txt", ".lst", ".list"};
	return has_ending(path, ending, 3);
}

static enum phiz_status add_folder(struct phiz_ctx *ctx, const char *folder, int depth, struct phiz_names *paths)
{
	struct phiz_names names = {0};
	enum phiz_status status;

	if (depth > MAX_DEPTH)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: folders nested deeper than %d (a link to a folder above?)", folder,
		                 MAX_DEPTH);
	status = phiz_dir_list(ctx, folder, &names);
	for (size_t i = 0; i < names.count && !status; i++) {
		if (names.name[i][0] == '.')
			continue;
		char *path = phiz_path_join(ctx, folder, names.name[i]);
		status = path ? PHIZ_OK : PHIZ_E_NOMEM;
		bool is_folder = path && phiz_path_is_dir(path);
		if (is_folder && names.name[i][0] != '_') /* those are set aside, as phiz_dataset_scan has it */
			status = add_folder(ctx, path, depth + 1, paths);
		else if (path && !is_folder && is_photo(path))
			status = phiz_names_add(ctx, paths, path);
		phiz_free(ctx, path);
	}
	phiz_names_free(ctx, &names);
	return status;
}

static enum phiz_status add_line(struct phiz_ctx *ctx, const char *folder, const char *line, struct phiz_names *paths)
{
	char *path = phiz_path_join(ctx, folder, line);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (path)
		status = phiz_names_add(ctx, paths, phiz_path_is_file(path) || !phiz_path_is_file(line) ? path : line);
	phiz_free(ctx, path);
	return status;
}

static enum phiz_status add_list(struct phiz_ctx *ctx, const char *list, struct phiz_names *paths)
{
	size_t n = (size_t)(phiz_path_base(list) - list);
	char *folder = n ? phiz_strndup(ctx, list, n) : phiz_strdup(ctx, ".");
	struct phiz_bytes text;
	enum phiz_status status = folder ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_bytes_init(&text, ctx);
	if (!status)
		status = phiz_file_read(ctx, list, MAX_LIST_BYTES, &text);
	if (!status && text.size && memchr(text.data, 0, text.size))
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a NUL byte in a list of photos", list);
	for (char *line = text.data; !status && line && *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = 0;
		size_t length = strlen(line);
		if (length && line[length - 1] == '\r')
			line[length - 1] = 0;
		if (*line && *line != '#')
			status = add_line(ctx, folder, line, paths);
		line = end ? end + 1 : NULL;
	}
	phiz_bytes_free(&text);
	phiz_free(ctx, folder);
	return status;
}

enum phiz_status phiz_photo_paths_add(struct phiz_ctx *ctx, const char *what, struct phiz_names *paths)
{
	size_t before = paths->count;
	enum phiz_status status;

	if (phiz_path_is_dir(what))
		status = add_folder(ctx, what, 0, paths);
	else if (is_list(what))
		status = add_list(ctx, what, paths);
	else
		return phiz_names_add(ctx, paths, what);
	if (!status && paths->count == before)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: no photos in it", what);
	return status;
}
