/* The safetensors format below the level of phiz_tensors: its index without copying, and writing from any memory.
 * File: u64 length of the header, the header (JSON: name -> dtype, shape, data_offsets; and __metadata__, text ->
 * text), the data. Everything is little endian; offsets count from the start of the data. */
#ifndef PHIZ_IO_SAFETENSORS_H
#define PHIZ_IO_SAFETENSORS_H

#include <jansson.h>

#include <phiz/model.h>

struct phiz_st_tensor {
	const char *name; /* borrowed from the index's JSON (reading) or from the caller (writing) */
	enum phiz_dtype dtype;
	struct phiz_shape shape;
	size_t begin;     /* reading: where its data begins, from the start of the data */
	const void *data; /* contiguous, not aligned; borrowed from the file or the caller; NULL: not in memory */
	size_t bytes;
};

struct phiz_st_index {
	json_t *header;
	json_t *metadata; /* borrowed from header; NULL if there is none. All values are strings */
	struct phiz_st_tensor *tensor; /* in the order of their data */
	size_t count, capacity;
	size_t data_begin, data_bytes; /* of the file */
};

/* How many bytes the beginning of the file has, up to its data; some: its first bytes, as many as there are or 512. */
enum phiz_status phiz_st_head_size(struct phiz_ctx *ctx, const void *some, size_t n_some, size_t file_size,
                                   const char *path, size_t *out);
/* Checks all there is to check (see phiz_safetensors_parse). head: the beginning of the file, or all of it (then the
 * tensors' data is set); it must outlive the index. */
enum phiz_status phiz_st_open(struct phiz_ctx *ctx, const void *head, size_t head_size, size_t file_size,
                              const char *path, struct phiz_st_index *out);
void phiz_st_close(struct phiz_ctx *ctx, struct phiz_st_index *index);

/* Puts tensors of larger elements first, keeping the order otherwise, so that every tensor is aligned in the file. */
enum phiz_status phiz_st_sort(struct phiz_ctx *ctx, struct phiz_st_tensor *tensor, size_t count);

/* Writes atomically, in the order given. ARG: a name that is empty, not UTF-8, "__metadata__" or there twice. */
enum phiz_status phiz_st_write(struct phiz_ctx *ctx, const char *path, const struct phiz_st_tensor *tensor,
                               size_t count, const struct phiz_meta *meta, size_t n_meta);

#endif
