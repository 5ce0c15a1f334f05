#define _DEFAULT_SOURCE /* flock */
#include "train/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"

#define LOCK_NAME ".lock"
#define EPOCH_FORMAT "epoch-%04" PRId64 ".phiz"

char *phiz_rundir_join(const struct phiz_rundir *dir, const char *name)
{
	return phiz_path_join(dir->ctx, dir->path, name);
}

bool phiz_rundir_has(const struct phiz_rundir *dir, const char *name)
{
	char *path = phiz_rundir_join(dir, name);
	bool has = path && phiz_path_is_file(path);

	phiz_free(dir->ctx, path);
	return has;
}

enum phiz_status phiz_rundir_delete(const struct phiz_rundir *dir, const char *name)
{
	char *path = phiz_rundir_join(dir, name);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	if (path && unlink(path) != 0 && errno != ENOENT)
		status = phiz_fail_system(dir->ctx, path, "cannot delete", errno);
	phiz_free(dir->ctx, path);
	return status;
}

/* A lock goes with the process, so that a killed run leaves none. Where the file system has no locks there is none. */
static enum phiz_status take_lock(struct phiz_rundir *dir)
{
	char *path = phiz_rundir_join(dir, LOCK_NAME);
	enum phiz_status status = PHIZ_OK;

	if (!path)
		return PHIZ_E_NOMEM;
	dir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (dir->lock < 0)
		status = phiz_fail_system(dir->ctx, path, "cannot write to the run's folder", errno);
	else if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		status = phiz_fail(dir->ctx, PHIZ_E_ARG,
		                   "%s: another training is at work in this folder; wait for it or choose "
		                   "another --run",
		                   dir->path);
	phiz_free(dir->ctx, path);
	return status;
}

/* ".NAME.phiz.tmp" and ".NAME.phiz-PID-NUMBER.tmp": the temporary files of core/base/writer.c. */
static bool is_left_over(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' && n > 10 && strcmp(name + n - 4, ".tmp") == 0 && strstr(name, ".phiz") != NULL;
}

static enum phiz_status clean(struct phiz_rundir *dir)
{
	struct phiz_names names = {NULL, 0, 0};
	enum phiz_status status = phiz_dir_list(dir->ctx, dir->path, &names);
	size_t i;

	for (i = 0; i < names.count && !status; i++)
		if (is_left_over(names.name[i]))
			status = phiz_rundir_delete(dir, names.name[i]);
	phiz_names_free(dir->ctx, &names);
	return status;
}

enum phiz_status phiz_rundir_open(struct phiz_ctx *ctx, const char *path, struct phiz_rundir *out)
{
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	out->ctx = ctx;
	out->lock = -1;
	out->path = phiz_strdup(ctx, path);
	if (!out->path)
		return PHIZ_E_NOMEM;
	status = phiz_dir_make(ctx, path);
	if (!status)
		status = take_lock(out);
	if (!status)
		status = clean(out);
	if (status)
		phiz_rundir_close(out);
	return status;
}

void phiz_rundir_close(struct phiz_rundir *dir)
{
	if (!dir->ctx)
		return;
	if (dir->lock >= 0)
		close(dir->lock);
	phiz_free(dir->ctx, dir->path);
	memset(dir, 0, sizeof *dir);
	dir->lock = -1;
}

static enum phiz_status copy_file(struct phiz_ctx *ctx, const char *from, const char *to)
{
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, from, &map);

	if (status)
		return status;
	status = phiz_file_write(ctx, to, map.data, map.size);
	phiz_map_close(&map);
	return status;
}

enum phiz_status phiz_rundir_link(const struct phiz_rundir *dir, const char *from, const char *name)
{
	struct phiz_ctx *ctx = dir->ctx;
	char *source = phiz_rundir_join(dir, from), *target = phiz_rundir_join(dir, name);
	char *temporary = phiz_asprintf(ctx, "%s/.%s.phiz-link.tmp", dir->path, name);
	enum phiz_status status = source && target && temporary ? PHIZ_OK : PHIZ_E_NOMEM;

	if (status)
		goto done;
	unlink(temporary);
	if (link(source, temporary) != 0) {
		status = copy_file(ctx, source, target);
		goto done;
	}
	if (rename(temporary, target) != 0)
		status = phiz_fail_system(ctx, target, "cannot write", errno);
	unlink(temporary); /* still there where target was the same file already */
done:
	phiz_free(ctx, source);
	phiz_free(ctx, target);
	phiz_free(ctx, temporary);
	return status;
}

void phiz_rundir_epoch_name(int64_t epoch, char name[40])
{
	snprintf(name, 40, EPOCH_FORMAT, epoch);
}

/* The number in "epoch-NUMBER.phiz", -1 if it is no such name. */
static int64_t epoch_of(const char *name)
{
	char again[40];
	int64_t epoch;

	if (strlen(name) >= sizeof again || strncmp(name, "epoch-", 6))
		return -1;
	epoch = strtoll(name + 6, NULL, 10);
	phiz_rundir_epoch_name(epoch, again);
	return strcmp(again, name) == 0 ? epoch : -1;
}

int64_t phiz_rundir_newest(const struct phiz_rundir *dir)
{
	struct phiz_names names = {NULL, 0, 0};
	int64_t newest = 0;
	size_t i;

	if (phiz_dir_list(dir->ctx, dir->path, &names))
		return 0;
	for (i = 0; i < names.count; i++)
		if (epoch_of(names.name[i]) > newest)
			newest = epoch_of(names.name[i]);
	phiz_names_free(dir->ctx, &names);
	return newest;
}

enum phiz_status phiz_rundir_prune(const struct phiz_rundir *dir, int64_t epoch, int64_t keep)
{
	struct phiz_names names = {NULL, 0, 0};
	enum phiz_status status = phiz_dir_list(dir->ctx, dir->path, &names);
	size_t i;

	for (i = 0; i < names.count && !status; i++) {
		int64_t n = epoch_of(names.name[i]);

		if (n >= 0 && (n > epoch || n <= epoch - keep))
			status = phiz_rundir_delete(dir, names.name[i]);
	}
	phiz_names_free(dir->ctx, &names);
	return status;
}

/* --- Files that grow. --- */

enum phiz_status phiz_append_open(struct phiz_ctx *ctx, const char *path, int64_t size, struct phiz_append *out)
{
	struct stat info;
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	out->ctx = ctx;
	out->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (out->fd < 0 || fstat(out->fd, &info) != 0) {
		status = phiz_fail_system(ctx, path, "cannot write", errno);
		goto fail;
	}
	if (info.st_size < size) {
		phiz_log(ctx, PHIZ_LOG_WARN, "%s: shorter than when the checkpoint was written; a part of it is lost", path);
		size = info.st_size;
	}
	if ((info.st_size > size && ftruncate(out->fd, size) != 0) || lseek(out->fd, size, SEEK_SET) < 0) {
		status = phiz_fail_system(ctx, path, "cannot cut back", errno);
		goto fail;
	}
	out->size = size;
	out->path = phiz_strdup(ctx, path);
	if (out->path)
		return PHIZ_OK;
	status = PHIZ_E_NOMEM;
fail:
	phiz_append_close(out);
	return status;
}

enum phiz_status phiz_append_add(struct phiz_append *file, const void *data, size_t size)
{
	const char *p = data;
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(file->fd, p + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			enum phiz_status status = phiz_fail_system(file->ctx, file->path, "cannot write", n < 0 ? errno : ENOSPC);

			if (ftruncate(file->fd, file->size) == 0)
				lseek(file->fd, file->size, SEEK_SET);
			return status;
		}
		done += (size_t)n;
	}
	file->size += (int64_t)size;
	return PHIZ_OK;
}

enum phiz_status phiz_append_sync(struct phiz_append *file)
{
	if (fsync(file->fd) == 0 || errno == EINVAL || errno == ENOTSUP) /* some file systems do not do it */
		return PHIZ_OK;
	return phiz_fail_system(file->ctx, file->path, "cannot write", errno);
}

void phiz_append_close(struct phiz_append *file)
{
	if (!file->ctx)
		return;
	if (file->fd >= 0)
		close(file->fd);
	phiz_free(file->ctx, file->path);
	memset(file, 0, sizeof *file);
	file->fd = -1;
}
