/* A matrix as numpy saves it (.npy, format 1.0 to 3.0), and back. */
#ifndef PHIZ_IO_NPY_H
#define PHIZ_IO_NPY_H

#include <phiz/tensor.h>

/* A matrix of numbers [rows, columns] as float32; a vector becomes a matrix of one row. Takes float16, float32 and
 * float64 of little endian in C order. Errors: FORMAT (no .npy file, header that is not what numpy writes, bytes
 * missing or left over), UNSUPPORTED (other types, Fortran order, three and more dims), NOTFOUND, IO, NOMEM. */
enum phiz_status phiz_npy_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensor **out);
/* The same from memory; name is used in messages. */
enum phiz_status phiz_npy_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                struct phiz_tensor **out);

/* Writes rows x columns floats as float32, atomically; byte for byte what numpy.save writes. x may be NULL where there
 * are none. Errors: ARG, IO, NOMEM. */
enum phiz_status phiz_npy_write(struct phiz_ctx *ctx, const char *path, const float *x, int64_t rows, int64_t columns);

#endif
