/* NumPy's .npy files, version 1.0: one array of little-endian float32 in C order. */
#ifndef PHIZ_TOOLS_NPY_H
#define PHIZ_TOOLS_NPY_H

#include "core/base/file.h"

/* A [rows, columns] array that grows row by row, while it is being written. The file is there, whole, when it is
 * committed, and not before. */
struct phiz_npy {
	struct phiz_ctx *ctx;
	struct phiz_bytes rows;
	int64_t count, columns;
	const char *path; /* borrowed */
};
void phiz_npy_open(struct phiz_ctx *ctx, const char *path, int64_t columns, struct phiz_npy *out);
enum phiz_status phiz_npy_add(struct phiz_npy *npy, const float *row);
/* Writes the file. Frees the array, also on failure. */
enum phiz_status phiz_npy_commit(struct phiz_npy *npy);
void phiz_npy_abort(struct phiz_npy *npy);

#endif
