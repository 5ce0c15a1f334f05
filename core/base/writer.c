/* Atomic writing of files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/ctx.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define NAME_TRIES 1000

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
		w->failed = phiz_fail(w->ctx, PHIZ_E_IO, "%s: %s after %" PRIu64 " bytes: free some space; the old file is untouched",
		                      w->path, error == ENOSPC ? "disk full" : "disk quota used up", w->written);
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

/* The folder's part of path, with its slash; "" where there is none. */
static char *folder_of(struct phiz_ctx *ctx, const char *path)
{
	return phiz_strndup(ctx, path, (size_t)(phiz_path_base(path) - path));
}

/* A temporary name in the same folder: rename must not cross file systems. The number differs between writers of a
 * process, the process id between processes; what a killed process of the same id left is stepped over. */
static enum phiz_status open_temporary(struct phiz_writer *w)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		unsigned number = atomic_fetch_add(&w->ctx->shared->temporaries, 1);
		phiz_free(w->ctx, w->temporary);
		w->temporary = phiz_asprintf(w->ctx, "%s.phiz-%ld-%u.tmp", w->folder, (long)getpid(), number);
		if (!w->temporary)
			return PHIZ_E_NOMEM;
		w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (w->fd >= 0)
			return PHIZ_OK;
		if (errno != EEXIST && errno != EINTR)
			return phiz_fail_system(w->ctx, w->path, "cannot write to this folder", errno);
	}
	return phiz_fail(w->ctx, PHIZ_E_IO, "%s: cannot write: the folder is full of temporary files (.phiz-*.tmp); delete them",
	                 w->path);
}

enum phiz_status phiz_writer_open(struct phiz_ctx *ctx, const char *path, struct phiz_writer **out)
{
	struct phiz_writer *w;
	struct stat info;
	enum phiz_status status = PHIZ_E_NOMEM;
	*out = NULL;
	if (!*phiz_path_base(path))
		return phiz_fail(ctx, PHIZ_E_ARG, "'%s': want the name of a file to write", path);
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return phiz_fail(ctx, PHIZ_E_IO, "%s: cannot write: %s", path,
		                 S_ISDIR(info.st_mode) ? "it is a folder" : "it is not a regular file");
	w = phiz_alloc(ctx, 1, sizeof(*w));
	if (!w)
		return PHIZ_E_NOMEM;
	memset(w, 0, offsetof(struct phiz_writer, buffer));
	w->ctx = ctx;
	w->fd = -1;
	w->path = phiz_strdup(ctx, path);
	if (w->path && (w->folder = folder_of(ctx, path)))
		status = open_temporary(w);
	if (status)
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

static enum phiz_status finish(struct phiz_writer *w)
{
	int error;
	if (w->failed || flush(w))
		return w->failed;
	if ((error = sync_file(w->fd)) && error != EINVAL && error != ENOTSUP)
		return fail_write(w, "cannot sync", error);
	error = close(w->fd) ? errno : 0;
	w->fd = -1;
	if (error && error != EINTR) {
		unlink(w->temporary);
		return fail_write(w, "cannot write", error);
	}
	if (rename(w->temporary, w->path)) {
		error = errno;
		unlink(w->temporary);
		return fail_write(w, "cannot put the new file in its place", error);
	}
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
		close(w->fd);
		unlink(w->temporary);
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
