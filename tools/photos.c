#include "tools/photos.h"

#include <string.h>
#include <strings.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum { MAX_LIST_BYTES = 256 << 20 };

static bool has_ending(const char *path, const char *const *ending, int n)
{
	const char *dot = strrchr(phiz_path_base(path), '.');

	for (int i = 0; i < n && dot; i++)
		if (!strcasecmp(dot, ending[i]))
			return true;
	return false;
}

bool phiz_is_photo(const char *path)
{
	static const char *const ending[] = {".jpg", ".jpeg", ".png", ".pgm", ".ppm"};
	return has_ending(path, ending, 5);
}

static bool is_list(const char *path)
{
	static const char *const ending[] = {".txt", ".lst", ".list"};
	return has_ending(path, ending, 3);
}

/* level: how far below the folder that was named. */
static enum phiz_status add_folder(struct phiz_ctx *ctx, const char *folder, int level, int depth,
                                   struct phiz_names *paths)
{
	struct phiz_names names = {0};
	enum phiz_status status;

	if (level > PHIZ_PHOTOS_DEEP)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: folders nested deeper than %d (a link to a folder above?)", folder,
		                 PHIZ_PHOTOS_DEEP);
	status = phiz_dir_list(ctx, folder, &names);
	for (size_t i = 0; i < names.count && !status; i++) {
		if (names.name[i][0] == '.')
			continue;
		char *path = phiz_path_join(ctx, folder, names.name[i]);
		bool below = names.name[i][0] != '_' && (level < depth || depth == PHIZ_PHOTOS_DEEP);
		if (!path)
			status = PHIZ_E_NOMEM;
		else if (phiz_path_is_dir(path))
			status = below ? add_folder(ctx, path, level + 1, depth, paths) : PHIZ_OK;
		else if (phiz_is_photo(path))
			status = phiz_names_add(ctx, paths, path);
		phiz_free(ctx, path);
	}
	phiz_names_free(ctx, &names);
	return status;
}

/* A line of a list: where it is found first. folder: the list's, "" or with a slash at its end. */
static enum phiz_status add_line(struct phiz_ctx *ctx, const char *folder, const char *line, int depth,
                                 struct phiz_names *paths)
{
	static const char *const above[] = {"", "../"};
	enum phiz_status status = PHIZ_E_NOTFOUND;

	for (int i = 0; i < 3 && status == PHIZ_E_NOTFOUND; i++) {
		char *path = i == 2 || *line == '/' ? phiz_strdup(ctx, line)
		                                    : phiz_asprintf(ctx, "%s%s%s", folder, above[i], line);
		if (!path)
			status = PHIZ_E_NOMEM;
		else if (phiz_path_is_dir(path))
			status = add_folder(ctx, path, 0, depth, paths);
		else if (phiz_path_is_file(path))
			status = phiz_names_add(ctx, paths, path);
		phiz_free(ctx, path);
	}
	return status;
}

static enum phiz_status add_lines(struct phiz_ctx *ctx, const char *list, char *text, int depth,
                                  struct phiz_names *paths)
{
	char *folder = phiz_strndup(ctx, list, (size_t)(phiz_path_base(list) - list));
	enum phiz_status status = folder ? PHIZ_OK : PHIZ_E_NOMEM;

	for (int number = 1; !status && text && *text; number++) {
		char *end = strchr(text, '\n');
		size_t length = end ? (size_t)(end - text) : strlen(text);
		if (length && text[length - 1] == '\r')
			length--;
		text[length] = 0;
		if (*text && *text != '#')
			status = add_line(ctx, folder, text, depth, paths);
		if (status == PHIZ_E_NOTFOUND)
			phiz_fail(ctx, status, "%s:%d: no such photo or folder: %.200s", list, number, text);
		text = end ? end + 1 : NULL;
	}
	phiz_free(ctx, folder);
	return status;
}

static enum phiz_status read_list(struct phiz_ctx *ctx, const char *list, int depth, struct phiz_names *paths)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, ctx);
	status = phiz_file_read(ctx, list, MAX_LIST_BYTES, &text);
	if (!status && text.size && memchr(text.data, 0, text.size))
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a NUL byte in a list of photos", list);
	if (!status)
		status = add_lines(ctx, list, text.data, depth, paths);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status add(struct phiz_ctx *ctx, const char *what, bool list, int depth, struct phiz_names *paths)
{
	size_t before = paths->count;
	bool folder = phiz_path_is_dir(what);
	enum phiz_status status;

	if (!folder && !list)
		return phiz_names_add(ctx, paths, what);
	status = folder ? add_folder(ctx, what, 0, depth, paths) : read_list(ctx, what, depth, paths);
	if (!status && paths->count == before)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: no photos in it (.jpg .jpeg .png .pgm .ppm)", what);
	return status;
}

enum phiz_status phiz_photo_paths_add(struct phiz_ctx *ctx, const char *what, int depth, struct phiz_names *paths)
{
	return add(ctx, what, is_list(what), depth, paths);
}

enum phiz_status phiz_photo_paths_add_list(struct phiz_ctx *ctx, const char *what, int depth, struct phiz_names *paths)
{
	return add(ctx, what, true, depth, paths);
}
