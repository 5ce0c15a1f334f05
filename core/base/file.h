/* Files: checked reading, mapping, atomic writing, folders. Every message names the path and the reason. */
#ifndef PHIZ_BASE_FILE_H
#define PHIZ_BASE_FILE_H

#include <stdbool.h>

#include <phiz/ctx.h>

#include "core/base/bytes.h"

/* The whole file into out (which is cleared first). LIMIT if larger than max_bytes; NOTFOUND, IO. Regular files
 * only: a fifo or a device is refused. */
enum phiz_status phiz_file_read(struct phiz_ctx *ctx, const char *path, size_t max_bytes, struct phiz_bytes *out);

/* A read-only mapping of a whole file. Private: later changes by others are not promised to be unseen, so what is
 * parsed is bounds-checked at each use. An empty file maps to size 0 with data non-NULL. */
struct phiz_map {
	const unsigned char *data;
	size_t size;
};
enum phiz_status phiz_map_open(struct phiz_ctx *ctx, const char *path, struct phiz_map *out);
void phiz_map_close(struct phiz_map *map);

/* A regular file for reading at any place; several threads may read at once. Unlike a mapping it takes no memory, and a
 * file that others cut meanwhile is an error and no fault. */
struct phiz_input {
	int fd;
	size_t size; /* when it was opened */
};
enum phiz_status phiz_input_open(struct phiz_ctx *ctx, const char *path, struct phiz_input *out);
/* The n bytes from offset on. False if they are not there or cannot be read. */
bool phiz_input_read(const struct phiz_input *input, size_t offset, void *to, size_t n);
void phiz_input_close(struct phiz_input *input);

/* Atomic writing: a temporary file in the same folder, then fsync, rename, fsync of the folder. Until commit the
 * old file stands; abort (or a failed commit) removes the temporary, and what a killed process left is taken over by
 * the next writer of that name. An old file keeps its permissions, a new one has those of the umask; a symbolic link
 * is followed. After a failed add, every add and commit fails the same. */
struct phiz_writer;
enum phiz_status phiz_writer_open(struct phiz_ctx *ctx, const char *path, struct phiz_writer **out);
enum phiz_status phiz_writer_add(struct phiz_writer *w, const void *data, size_t size);
enum phiz_status phiz_writer_commit(struct phiz_writer **w);
void phiz_writer_abort(struct phiz_writer **w);
/* open + add + commit. */
enum phiz_status phiz_file_write(struct phiz_ctx *ctx, const char *path, const void *data, size_t size);

/* Makes path and its parents, like mkdir -p. */
enum phiz_status phiz_dir_make(struct phiz_ctx *ctx, const char *path);
/* Names in a folder, without "." and "..", sorted bytewise; free with phiz_names_free. */
struct phiz_names {
	char **name;
	size_t count, capacity;
};
enum phiz_status phiz_dir_list(struct phiz_ctx *ctx, const char *path, struct phiz_names *out);
enum phiz_status phiz_names_add(struct phiz_ctx *ctx, struct phiz_names *names, const char *name);
void phiz_names_free(struct phiz_ctx *ctx, struct phiz_names *names);
bool phiz_path_is_dir(const char *path);
bool phiz_path_is_file(const char *path);
/* "dir/name" as a new string; an absolute name is returned as it is. */
char *phiz_path_join(struct phiz_ctx *ctx, const char *dir, const char *name);
/* Points into path, behind the last '/'. */
const char *phiz_path_base(const char *path);

#endif
