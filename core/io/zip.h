/* Reading a zip archive that lies in memory: what torch.save writes. Nothing is ever extracted to disk, so names are
 * only names, whatever paths they spell. */
#ifndef PHIZ_IO_ZIP_H
#define PHIZ_IO_ZIP_H

#include <stdbool.h>

#include <phiz/ctx.h>

struct phiz_zip_entry {
	const char *name; /* not terminated; points into the archive */
	size_t name_size;
	const unsigned char *packed; /* as it lies in the archive */
	size_t packed_size, size;
	uint32_t crc;
	int method;          /* 0 stored, 8 deflated */
	unsigned char *data; /* inflated, once asked for */
	bool checked;        /* the CRC is right */
};

struct phiz_zip {
	const char *path; /* for messages; borrowed */
	struct phiz_zip_entry *entry; /* sorted by name */
	size_t count;
	size_t inflated, inflate_limit; /* bytes */
};

/* Reads the central directory and checks it against the local headers. data must outlive the archive. Errors: FORMAT
 * (truncated, offsets or sizes that lie, a name twice), UNSUPPORTED (encrypted, several volumes), LIMIT, NOMEM. */
enum phiz_status phiz_zip_open(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                               struct phiz_zip *out);
void phiz_zip_close(struct phiz_ctx *ctx, struct phiz_zip *zip);

/* The entry of this name or NULL. */
struct phiz_zip_entry *phiz_zip_find(const struct phiz_zip *zip, const char *name, size_t name_size);

/* The entry's bytes, inflated if need be, after its CRC has been checked; valid until the archive is closed. All that
 * an archive inflates to is bounded by 64 MiB + 32 times its own size. */
enum phiz_status phiz_zip_data(struct phiz_ctx *ctx, struct phiz_zip *zip, struct phiz_zip_entry *entry,
                               const unsigned char **data);

#endif
