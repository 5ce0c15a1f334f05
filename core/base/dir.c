/* Folders, lists of names, paths. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"

static enum phiz_status make_one(struct phiz_ctx *ctx, const char *path)
{
	if (mkdir(path, 0777) == 0)
		return PHIZ_OK;
	int error = errno;
	if (phiz_path_is_dir(path)) /* not only EEXIST: "/" and mount points may say EROFS or EISDIR */
		return PHIZ_OK;
	if (error == EEXIST || error == ENOTDIR)
		return phiz_fail(ctx, PHIZ_E_IO, "%s: cannot make this folder: a file of that name is in the way", path);
	return phiz_fail_system(ctx, path, "cannot make this folder", error);
}

enum phiz_status phiz_dir_make(struct phiz_ctx *ctx, const char *path)
{
	enum phiz_status status = PHIZ_OK;
	char *part;
	if (!*path)
		return phiz_fail(ctx, PHIZ_E_ARG, "cannot make a folder without a name");
	part = phiz_strdup(ctx, path);
	if (!part)
		return PHIZ_E_NOMEM;
	for (char *slash = part; !status && (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		status = make_one(ctx, part);
		*slash = '/';
	}
	if (!status)
		status = make_one(ctx, part);
	phiz_free(ctx, part);
	return status;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum phiz_status phiz_dir_list(struct phiz_ctx *ctx, const char *path, struct phiz_names *out)
{
	enum phiz_status status = PHIZ_OK;
	struct dirent *entry;
	DIR *dir = opendir(path);
	memset(out, 0, sizeof(*out));
	if (!dir)
		return phiz_fail_system(ctx, path, "cannot list this folder", errno);
	while (!status) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno)
				status = phiz_fail_system(ctx, path, "cannot list this folder", errno);
			break;
		}
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			status = phiz_names_add(ctx, out, entry->d_name);
	}
	closedir(dir);
	if (status)
		phiz_names_free(ctx, out);
	else if (out->count)
		qsort(out->name, out->count, sizeof(out->name[0]), compare_names);
	return status;
}

enum phiz_status phiz_names_add(struct phiz_ctx *ctx, struct phiz_names *names, const char *name)
{
	enum phiz_status status = phiz_grow(ctx, &names->name, &names->capacity, names->count + 1, sizeof(names->name[0]));
	if (status)
		return status;
	char *copy = phiz_strdup(ctx, name);
	if (!copy)
		return PHIZ_E_NOMEM;
	names->name[names->count++] = copy;
	return PHIZ_OK;
}

void phiz_names_free(struct phiz_ctx *ctx, struct phiz_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		phiz_free(ctx, names->name[i]);
	phiz_free(ctx, names->name);
	memset(names, 0, sizeof(*names));
}

char *phiz_path_join(struct phiz_ctx *ctx, const char *dir, const char *name)
{
	size_t length = strlen(dir);
	if (length == 0 || name[0] == '/')
		return phiz_strdup(ctx, name);
	return phiz_asprintf(ctx, dir[length - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

const char *phiz_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}
