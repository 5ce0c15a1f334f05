#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/ctx.h"
#include "core/base/error.h"
#include "core/base/system.h"

enum phiz_status phiz_fail_system(struct phiz_ctx *ctx, const char *path, const char *what, int error)
{
	char reason[128];
	if (strerror_r(error, reason, sizeof(reason)))
		reason[0] = 0;
	enum phiz_status status = error == ENOENT || error == ENOTDIR ? PHIZ_E_NOTFOUND
	                          : error == ENOMEM                   ? PHIZ_E_NOMEM
	                                                              : PHIZ_E_IO;
	return phiz_fail(ctx, status, "%s: %s: %s", path, what, reason);
}

/* Opens a regular file for reading. O_NONBLOCK: a fifo without a writer must be refused, not waited for. */
static enum phiz_status open_regular(struct phiz_ctx *ctx, const char *path, int *fd, size_t *size)
{
	struct stat info;
	enum phiz_status status = PHIZ_OK;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return phiz_fail_system(ctx, path, "cannot open", errno);
	if (fstat(*fd, &info))
		status = phiz_fail_system(ctx, path, "cannot read", errno);
	else if (S_ISDIR(info.st_mode))
		status = phiz_fail(ctx, PHIZ_E_IO, "%s: is a folder; want a file", path);
	else if (!S_ISREG(info.st_mode))
		status = phiz_fail(ctx, PHIZ_E_IO, "%s: is not a regular file; copy it to one first", path);
	else if ((uintmax_t)info.st_size > SIZE_MAX)
		status = phiz_fail(ctx, PHIZ_E_LIMIT, "%s: is larger than can be addressed", path);
	else
		*size = (size_t)info.st_size;
	if (status) {
		close(*fd);
		*fd = -1;
	}
	return status;
}

static enum phiz_status fail_too_large(struct phiz_ctx *ctx, const char *path, size_t max_bytes)
{
	return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: is larger than the %zu bytes that are read of such a file", path,
	                 max_bytes);
}

/* Reads until the end of the file and not until the size that was seen: the file may be growing, or (in /proc) have
 * none. Room is made for one byte more than expected, so that the end is seen without growing. */
static enum phiz_status read_all(struct phiz_ctx *ctx, int fd, const char *path, size_t expected, size_t max_bytes,
                                 struct phiz_bytes *out)
{
	enum phiz_status status;
	if ((status = phiz_bytes_reserve(out, expected + 1)))
		return status;
	for (;;) {
		if (out->size + 1 == out->capacity && (status = phiz_bytes_reserve(out, out->size + 4096)))
			return status;
		ssize_t n = read(fd, out->data + out->size, out->capacity - out->size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return phiz_fail_system(ctx, path, "cannot read", errno);
		out->size += (size_t)n;
		out->data[out->size] = 0;
		if (out->size > max_bytes)
			return fail_too_large(ctx, path, max_bytes);
		if (n == 0)
			return PHIZ_OK;
	}
}

enum phiz_status phiz_file_read(struct phiz_ctx *ctx, const char *path, size_t max_bytes, struct phiz_bytes *out)
{
	int fd;
	size_t size;
	enum phiz_status status;
	if (!out->ctx)
		out->ctx = ctx;
	phiz_bytes_clear(out);
	if ((status = open_regular(ctx, path, &fd, &size)))
		return status;
	if (size > max_bytes)
		status = fail_too_large(ctx, path, max_bytes);
	else if ((status = read_all(ctx, fd, path, size, max_bytes, out)) == PHIZ_E_NOMEM)
		phiz_fail_in(ctx, "%s", path);
	if (status)
		phiz_bytes_clear(out);
	close(fd);
	return status;
}

static const unsigned char empty[1];

enum phiz_status phiz_map_open(struct phiz_ctx *ctx, const char *path, struct phiz_map *out)
{
	int fd;
	enum phiz_status status;
	out->data = NULL;
	out->size = 0;
	if ((status = open_regular(ctx, path, &fd, &out->size)))
		return status;
	if (out->size == 0) {
		out->data = empty;
	} else {
		void *data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED) {
			status = phiz_fail_system(ctx, path, "cannot map into memory", errno);
			out->size = 0;
		} else {
			out->data = data;
		}
	}
	close(fd);
	return status;
}

void phiz_map_close(struct phiz_map *map)
{
	/* munmap is declared without const, but writes nothing. */
	if (map->data && map->data != empty)
		munmap((void *)(uintptr_t)map->data, map->size);
	map->data = NULL;
	map->size = 0;
}

enum phiz_status phiz_input_open(struct phiz_ctx *ctx, const char *path, struct phiz_input *out)
{
	out->size = 0;
	return open_regular(ctx, path, &out->fd, &out->size);
}

bool phiz_input_read(const struct phiz_input *input, size_t offset, void *to, size_t n)
{
	unsigned char *next = to;
	while (n > 0) {
		ssize_t got = pread(input->fd, next, n, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		next += got;
		offset += (size_t)got;
		n -= (size_t)got;
	}
	return true;
}

void phiz_input_close(struct phiz_input *input)
{
	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}

bool phiz_path_is_dir(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool phiz_path_is_file(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}
