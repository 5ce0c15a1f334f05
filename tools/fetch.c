#include "tools/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/base/sha256.h"
#include "core/base/system.h"
#include "core/io/zip.h"

#define PREFIX ".fetch-" /* then the process that made it, '-' and what mkdtemp draws */

/* Deletes a tree; links are deleted, not followed. What cannot be deleted stays. */
static void remove_tree(struct phiz_ctx *ctx, const char *path, int depth)
{
	struct phiz_names names;
	struct stat s;

	if (lstat(path, &s))
		return;
	if (!S_ISDIR(s.st_mode) || depth > 16) {
		unlink(path);
		return;
	}
	if (!phiz_dir_list(ctx, path, &names)) {
		for (size_t i = 0; i < names.count; i++) {
			char *inner = phiz_asprintf(ctx, "%s/%s", path, names.name[i]);
			if (inner)
				remove_tree(ctx, inner, depth + 1);
			phiz_free(ctx, inner);
		}
		phiz_names_free(ctx, &names);
	}
	rmdir(path);
}

/* A folder of a process that is no more. */
static bool is_left_behind(const char *parent, const char *name)
{
	char path[PATH_MAX];
	struct stat s;
	long pid = strtol(name + strlen(PREFIX), NULL, 10);

	if (pid <= 0 || snprintf(path, sizeof path, "%s/%s", parent, name) >= (int)sizeof path || lstat(path, &s))
		return false;
	return kill((pid_t)pid, 0) && errno == ESRCH;
}

static void remove_left_behind(struct phiz_ctx *ctx, const char *parent)
{
	struct phiz_names names;

	if (phiz_dir_list(ctx, parent, &names))
		return;
	for (size_t i = 0; i < names.count; i++) {
		if (strncmp(names.name[i], PREFIX, strlen(PREFIX)) || !is_left_behind(parent, names.name[i]))
			continue;
		char *path = phiz_path_join(ctx, parent, names.name[i]);
		if (path)
			remove_tree(ctx, path, 0);
		phiz_free(ctx, path);
	}
	phiz_names_free(ctx, &names);
}

enum phiz_status phiz_fetch_folder(struct phiz_ctx *ctx, const char *parent, char **path)
{
	*path = NULL;
	remove_left_behind(ctx, parent);
	char *made = phiz_asprintf(ctx, "%s/" PREFIX "%ld-XXXXXX", parent, (long)getpid());
	if (!made)
		return PHIZ_E_NOMEM;
	if (!mkdtemp(made)) {
		enum phiz_status status = phiz_fail_system(ctx, parent, "cannot make a folder in it", errno);
		phiz_free(ctx, made);
		return status;
	}
	*path = made;
	return PHIZ_OK;
}

void phiz_fetch_folder_remove(struct phiz_ctx *ctx, char **path)
{
	if (*path)
		remove_tree(ctx, *path, 0);
	phiz_free(ctx, *path);
	*path = NULL;
}

/* ---- Out of a wheel ---- */

static bool leads_out(const struct phiz_zip_entry *e)
{
	if (e->name_size && (e->name[0] == '/' || e->name[0] == '\\'))
		return true;
	for (size_t i = 0; i + 1 < e->name_size; i++) {
		bool begins = i == 0 || e->name[i - 1] == '/' || e->name[i - 1] == '\\';
		bool ends = i + 2 == e->name_size || e->name[i + 2] == '/' || e->name[i + 2] == '\\';
		if (begins && ends && e->name[i] == '.' && e->name[i + 1] == '.')
			return true;
	}
	return false;
}

static enum phiz_status take(struct phiz_ctx *ctx, struct phiz_zip *zip, const char *member, size_t limit,
                             const char *path)
{
	struct phiz_zip_entry *entry = phiz_zip_find(zip, member, strlen(member));
	const unsigned char *data;

	for (size_t i = 0; i < zip->count; i++)
		if (leads_out(&zip->entry[i]))
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: has a name that leads out of the archive; not read further",
			                 zip->path);
	if (!entry)
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: has no '%s'", zip->path, member);
	if (entry->size > limit)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: '%s' has %zu bytes, want at most %zu", zip->path, member, entry->size,
		                 limit);
	enum phiz_status status = phiz_zip_data(ctx, zip, entry, &data);
	return status ? status : phiz_file_write(ctx, path, data, entry->size);
}

enum phiz_status phiz_fetch_member(struct phiz_ctx *ctx, const char *archive, const char *member, size_t limit,
                                   const char *path)
{
	struct phiz_zip zip;
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, archive, &map);

	if (status)
		return status;
	status = phiz_zip_open(ctx, map.data, map.size, archive, &zip);
	if (!status) {
		status = take(ctx, &zip, member, limit, path);
		phiz_zip_close(ctx, &zip);
	}
	phiz_map_close(&map);
	return status;
}

/* ---- Is it the file that was meant? ---- */

enum phiz_status phiz_fetch_check(struct phiz_ctx *ctx, const char *path, size_t size, const char *sha256)
{
	struct phiz_sha256 hash;
	struct phiz_map map;
	char got[65];
	enum phiz_status status = phiz_map_open(ctx, path, &map);

	if (status)
		return status;
	phiz_sha256_init(&hash);
	phiz_sha256_add(&hash, map.data, map.size);
	phiz_sha256_hex(&hash, got);
	if (map.size != size || strcmp(got, sha256))
		status = phiz_fail(ctx, PHIZ_E_FORMAT,
		                   "%s: not the file that was checked: %zu bytes with SHA-256 %s, want %zu with %s",
		                   phiz_path_base(path), map.size, got, size, sha256);
	phiz_map_close(&map);
	return status;
}
