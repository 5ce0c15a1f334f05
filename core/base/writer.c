/* Atomic writing of files. */
#define _DEFAULT_SOURCE /* flock */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/ctx.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define NAME_TRIES 100

struct phiz_writer {
	struct phiz_ctx *ctx;
	char *path, *folder, *temporary;
	int fd; /* -1: no temporary file */
	enum phiz_status failed;
	uint64_t written; /* to the temporary file */
	size_t buffered;
	unsigned char buffer[BUFFER_SIZE];
};

static enum phiz_status fail_write(struct phiz_writer *w, const char *what, int error)
{
	if (error == ENOSPC || error == EDQUOT)
		w->failed = phiz_fail(w->ctx, PHIZ_E_IO,
		                      "%s: %s after %" PRIu64 " bytes: free some space; the old file is untouched", w->path,
		                      error == ENOSPC ? "disk full" : "disk quota used up", w->written);
	else
		w->failed = phiz_fail_system(w->ctx, w->path, what, error);
	return w->failed;
}

static enum phiz_status write_out(struct phiz_writer *w, const unsigned char *data, size_t size)
{
	while (size) {
		ssize_t n = write(w->fd, data, size < (1u << 30) ? size : 1u << 30);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_write(w, "cannot write", n < 0 ? errno : ENOSPC);
		data += n;
		size -= (size_t)n;
		w->written += (uint64_t)n;
	}
	return PHIZ_OK;
}

/* Where path is a symbolic link to a file, the file is replaced and not the link. */
static char *real_path(struct phiz_ctx *ctx, const char *path)
{
	struct stat info;
	char *copy = NULL, *resolved;
	if (lstat(path, &info) || !S_ISLNK(info.st_mode))
		return phiz_strdup(ctx, path);
	resolved = phiz_alloc(ctx, PATH_MAX, 1);
	if (resolved)
		copy = phiz_strdup(ctx, realpath(path, resolved) ? resolved : path);
	phiz_free(ctx, resolved);
	return copy;
}

/* Names of temporary files: ".NAME.phiz.tmp", and ".NAME.phiz-PID-NUMBER.tmp" where another writer is at it. Long names
 * are cut: the lock, not the name, says whose file it is. */
static char *temporary_name(struct phiz_writer *w, bool numbered)
{
	const char *base = phiz_path_base(w->path);
	if (!numbered)
		return phiz_asprintf(w->ctx, "%s.%.200s.phiz.tmp", w->folder, base);
	return phiz_asprintf(w->ctx, "%s.%.200s.phiz-%ld-%u.tmp", w->folder, base, (long)getpid(),
	                     atomic_fetch_add(&w->ctx->shared->temporaries, 1));
}

/* Does the name still stand for the open file, and is that one ours to overwrite? */
static bool is_ours(const char *name, int fd)
{
	struct stat by_name, open_file;
	return fstat(fd, &open_file) == 0 && lstat(name, &by_name) == 0 && by_name.st_ino == open_file.st_ino &&
	       by_name.st_dev == open_file.st_dev && S_ISREG(open_file.st_mode) && open_file.st_nlink == 1 &&
	       open_file.st_uid == geteuid();
}

/* A writer holds a lock on its temporary file while it stands. One without a lock was left by a process that was
 * killed: it is taken over, so that such files do not gather. -1: it cannot be had, errno says why. */
static int take_temporary(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	bool created = fd >= 0;
	if (!created && errno == EEXIST)
		fd = open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (created && (locked || errno != EWOULDBLOCK)) /* where there are no locks, having made it must do */
		return fd;
	if (!created && locked && is_ours(name, fd) && ftruncate(fd, 0) == 0)
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

/* In the folder of the file: rename must not cross file systems. */
static enum phiz_status open_temporary(struct phiz_writer *w)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		phiz_free(w->ctx, w->temporary);
		w->temporary = temporary_name(w, i > 0);
		if (!w->temporary)
			return PHIZ_E_NOMEM;
		w->fd = take_temporary(w->temporary);
		if (w->fd >= 0)
			return PHIZ_OK;
		if (errno != EEXIST && errno != EINTR && !(i == 0 && (errno == ELOOP || errno == ENOENT || errno == EACCES)))
			break;
	}
	if (errno == EEXIST)
		return phiz_fail(w->ctx, PHIZ_E_IO, "%s: cannot write: too many temporary files: delete %s.*.phiz*.tmp",
		                 w->path, w->folder);
	return phiz_fail_system(w->ctx, w->path, "cannot write to this folder", errno);
}

static enum phiz_status prepare(struct phiz_writer *w, const char *path)
{
	struct stat old;
	enum phiz_status status;
	w->path = real_path(w->ctx, path);
	if (!w->path)
		return PHIZ_E_NOMEM;
	w->folder = phiz_strndup(w->ctx, w->path, (size_t)(phiz_path_base(w->path) - w->path));
	if (!w->folder)
		return PHIZ_E_NOMEM;
	bool exists = stat(w->path, &old) == 0;
	if (exists && !S_ISREG(old.st_mode))
		return phiz_fail(w->ctx, PHIZ_E_IO, "%s: cannot write: it is %s", path,
		                 S_ISDIR(old.st_mode) ? "a folder" : "not a regular file");
	if ((status = open_temporary(w)))
		return status;
	if (exists && fchmod(w->fd, old.st_mode & 0777)) /* what was private stays so */
		return phiz_fail_system(w->ctx, path, "cannot keep the permissions", errno);
	return PHIZ_OK;
}

enum phiz_status phiz_writer_open(struct phiz_ctx *ctx, const char *path, struct phiz_writer **out)
{
	struct phiz_writer *w;
	enum phiz_status status;
	*out = NULL;
	if (!*phiz_path_base(path))
		return phiz_fail(ctx, PHIZ_E_ARG, "'%s': want the name of a file to write", path);
	w = phiz_alloc(ctx, 1, sizeof(*w));
	if (!w)
		return PHIZ_E_NOMEM;
	memset(w, 0, offsetof(struct phiz_writer, buffer));
	w->ctx = ctx;
	w->fd = -1;
	if ((status = prepare(w, path)))
		phiz_writer_abort(&w);
	*out = w;
	return status;
}

static enum phiz_status flush(struct phiz_writer *w)
{
	size_t size = w->buffered;
	w->buffered = 0;
	return write_out(w, w->buffer, size);
}

enum phiz_status phiz_writer_add(struct phiz_writer *w, const void *data, size_t size)
{
	if (w->failed)
		return w->failed;
	if (size > BUFFER_SIZE - w->buffered && flush(w))
		return w->failed;
	if (size >= BUFFER_SIZE)
		return write_out(w, data, size);
	if (size)
		memcpy(w->buffer + w->buffered, data, size);
	w->buffered += size;
	return PHIZ_OK;
}

/* So that the new name outlives a power cut. Some file systems cannot sync a folder and say so: then there is nothing
 * more to do. */
static enum phiz_status sync_folder(struct phiz_writer *w)
{
	int fd = open(*w->folder ? w->folder : ".", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? PHIZ_OK : fail_write(w, "cannot sync the folder", errno);
	int error = fsync(fd) ? errno : 0;
	close(fd);
	if (error && error != EINVAL && error != ENOTSUP && error != EROFS)
		return fail_write(w, "cannot sync the folder", error);
	return PHIZ_OK;
}

static int sync_file(int fd)
{
	while (fsync(fd))
		if (errno != EINTR)
			return errno;
	return 0;
}

/* The file is renamed while it is open, because closing drops the lock that makes the name ours. That close comes after
 * the sync, which is where a late error of writing shows. */
static enum phiz_status finish(struct phiz_writer *w)
{
	int error;
	if (w->failed || flush(w))
		return w->failed;
	if ((error = sync_file(w->fd)) && error != EINVAL && error != ENOTSUP)
		return fail_write(w, "cannot sync", error);
	if (rename(w->temporary, w->path))
		return fail_write(w, "cannot put the new file in its place", errno);
	close(w->fd);
	w->fd = -1;
	return sync_folder(w);
}

enum phiz_status phiz_writer_commit(struct phiz_writer **w)
{
	enum phiz_status status = finish(*w);
	phiz_writer_abort(w);
	return status;
}

void phiz_writer_abort(struct phiz_writer **writer)
{
	struct phiz_writer *w = *writer;
	if (!w)
		return;
	*writer = NULL;
	if (w->fd >= 0) {
		unlink(w->temporary); /* first: what is closed is no longer locked, and might be another writer's by then */
		close(w->fd);
	}
	phiz_free(w->ctx, w->temporary);
	phiz_free(w->ctx, w->folder);
	phiz_free(w->ctx, w->path);
	phiz_free(w->ctx, w);
}

enum phiz_status phiz_file_write(struct phiz_ctx *ctx, const char *path, const void *data, size_t size)
{
	struct phiz_writer *w;
	enum phiz_status status = phiz_writer_open(ctx, path, &w);
	if (status)
		return status;
	status = phiz_writer_add(w, data, size);
	if (status)
		phiz_writer_abort(&w);
	else
		status = phiz_writer_commit(&w);
	return status;
}
