#include "tools/npy.h"

#include <stdio.h>
#include <string.h>

enum { HEADER = 128 }; /* a multiple of 64, as the format asks for; room for any shape */

void phiz_npy_open(struct phiz_ctx *ctx, const char *path, int64_t columns, struct phiz_npy *out)
{
	memset(out, 0, sizeof *out);
	phiz_bytes_init(&out->rows, ctx);
	out->ctx = ctx;
	out->columns = columns;
	out->path = path;
}

enum phiz_status phiz_npy_add(struct phiz_npy *npy, const float *row)
{
	for (int64_t i = 0; i < npy->columns; i++) {
		uint32_t bits;
		memcpy(&bits, &row[i], sizeof bits);
		phiz_bytes_u32le(&npy->rows, bits);
	}
	npy->count++;
	return phiz_bytes_status(&npy->rows);
}

/* Magic, version, length of the text, and a Python dict, padded with blanks and ended by a newline. */
static void make_header(const struct phiz_npy *npy, char header[HEADER + 1])
{
	char text[HEADER];
	int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
	                 (long long)npy->count, (long long)npy->columns);

	memset(header, ' ', HEADER);
	memcpy(header, "\x93NUMPY\x01", 8); /* with the minor version 0 at its end */
	header[8] = HEADER - 10;
	header[9] = 0;
	memcpy(header + 10, text, (size_t)n);
	header[HEADER - 1] = '\n';
}

enum phiz_status phiz_npy_commit(struct phiz_npy *npy)
{
	char header[HEADER + 1];
	struct phiz_writer *w = NULL;
	enum phiz_status status = phiz_bytes_status(&npy->rows);

	make_header(npy, header);
	if (!status)
		status = phiz_writer_open(npy->ctx, npy->path, &w);
	if (!status)
		status = phiz_writer_add(w, header, HEADER);
	if (!status && npy->rows.size)
		status = phiz_writer_add(w, npy->rows.data, npy->rows.size);
	if (!status)
		status = phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	phiz_bytes_free(&npy->rows);
	return status;
}

void phiz_npy_abort(struct phiz_npy *npy) { phiz_bytes_free(&npy->rows); }
