/* The parts of the zip format (PKWARE's APPNOTE) that are read: end record, with its zip64 form, central directory,
 * local headers. */
#include "core/io/zip.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/reader.h"
#include "core/io/json.h"

#define END_SIGNATURE 0x06054b50u
#define END_SIZE 22
#define END64_SIGNATURE 0x06064b50u
#define LOCATOR64_SIGNATURE 0x07064b50u
#define LOCATOR64_SIZE 20
#define CENTRAL_SIGNATURE 0x02014b50u
#define CENTRAL_SIZE 46
#define LOCAL_SIGNATURE 0x04034b50u
#define LOCAL_SIZE 30
#define EXTRA_ZIP64 1
#define FLAG_ENCRYPTED 1u
#define METHOD_STORED 0
#define METHOD_DEFLATED 8
#define MAX_ENTRIES 200000
#define MAX_RATIO 1032 /* deflate cannot do better */

struct archive {
	struct phiz_ctx *ctx;
	const unsigned char *data;
	size_t size;
	struct phiz_zip *zip;
};

/* The central directory, as the end record tells it. */
struct directory {
	uint64_t count, size, offset;
};

static enum phiz_status fail_truncated(const struct archive *a, const char *what)
{
	return phiz_fail(a->ctx, PHIZ_E_FORMAT, "%s: %s: the zip archive is truncated or damaged", a->zip->path, what);
}

/* The end record stands in the last 65557 bytes: it may carry a comment. */
static bool find_end(const struct archive *a, size_t *out)
{
	struct phiz_reader r = {a->data, a->size, 0};
	uint32_t signature;
	uint16_t comment;
	size_t back;

	for (back = END_SIZE; back <= a->size && back <= END_SIZE + 65535u; back++) {
		if (!phiz_reader_seek(&r, a->size - back) || !phiz_reader_u32(&r, &signature) || signature != END_SIGNATURE)
			continue;
		if (phiz_reader_seek(&r, a->size - back + 20) && phiz_reader_u16(&r, &comment) && comment == back - END_SIZE) {
			*out = a->size - back;
			return true;
		}
	}
	return false;
}

static enum phiz_status read_end64(const struct archive *a, size_t locator, struct directory *out)
{
	struct phiz_reader r = {a->data, a->size, locator};
	uint32_t signature = 0, disk = 0, disks = 0, disk_of_directory = 0;
	uint64_t end = 0, record = 0, on_disk = 0;

	/* The caller has seen the locator's signature, and there are bytes enough behind it. */
	phiz_reader_u32(&r, &signature);
	phiz_reader_u32(&r, &disk);
	phiz_reader_u64(&r, &end);
	phiz_reader_u32(&r, &disks);
	if (end > a->size || !phiz_reader_seek(&r, (size_t)end) || !phiz_reader_u32(&r, &signature) ||
	    signature != END64_SIGNATURE || !phiz_reader_u64(&r, &record) ||
	    !phiz_reader_u32(&r, &signature) /* versions */ || !phiz_reader_u32(&r, &disk) ||
	    !phiz_reader_u32(&r, &disk_of_directory) || !phiz_reader_u64(&r, &on_disk) ||
	    !phiz_reader_u64(&r, &out->count) || !phiz_reader_u64(&r, &out->size) || !phiz_reader_u64(&r, &out->offset))
		return fail_truncated(a, "the zip64 end record is not where it should be");
	if (disk != 0 || disk_of_directory != 0 || disks > 1 || on_disk != out->count)
		return phiz_fail(a->ctx, PHIZ_E_UNSUPPORTED, "%s: a zip archive in several volumes", a->zip->path);
	return PHIZ_OK;
}

static bool has_locator64(const struct archive *a, size_t end)
{
	struct phiz_reader r = {a->data, a->size, 0};
	uint32_t signature;

	return end >= LOCATOR64_SIZE && phiz_reader_seek(&r, end - LOCATOR64_SIZE) && phiz_reader_u32(&r, &signature) &&
	       signature == LOCATOR64_SIGNATURE;
}

static enum phiz_status read_end(const struct archive *a, struct directory *out)
{
	uint16_t disk = 0, disk_of_directory = 0, on_disk = 0, count = 0;
	uint32_t size = 0, offset = 0, signature = 0;
	struct phiz_reader r = {a->data, a->size, 0};
	size_t end;

	if (!find_end(a, &end))
		return fail_truncated(a, "no end record");
	if (has_locator64(a, end))
		return read_end64(a, end - LOCATOR64_SIZE, out);
	phiz_reader_seek(&r, end);
	phiz_reader_u32(&r, &signature);
	phiz_reader_u16(&r, &disk);
	phiz_reader_u16(&r, &disk_of_directory);
	phiz_reader_u16(&r, &on_disk);
	phiz_reader_u16(&r, &count);
	phiz_reader_u32(&r, &size);
	phiz_reader_u32(&r, &offset);
	if (disk != 0 || disk_of_directory != 0 || on_disk != count)
		return phiz_fail(a->ctx, PHIZ_E_UNSUPPORTED, "%s: a zip archive in several volumes", a->zip->path);
	out->count = count;
	out->size = size;
	out->offset = offset;
	return PHIZ_OK;
}

/* What a central entry says of its file; 0xffffffff stands for "see the zip64 field". */
struct central {
	uint16_t flags, method;
	uint32_t crc;
	uint64_t packed_size, size, offset;
	const unsigned char *name, *extra;
	uint16_t name_size, extra_size;
};

static bool read_zip64_values(struct phiz_reader *r, struct central *c)
{
	if (c->size == UINT32_MAX && !phiz_reader_u64(r, &c->size))
		return false;
	if (c->packed_size == UINT32_MAX && !phiz_reader_u64(r, &c->packed_size))
		return false;
	return c->offset != UINT32_MAX || phiz_reader_u64(r, &c->offset);
}

static bool read_extra(struct central *c)
{
	struct phiz_reader r = {c->extra, c->extra_size, 0};
	const unsigned char *field;
	uint16_t id, size;

	while (phiz_reader_u16(&r, &id) && phiz_reader_u16(&r, &size)) {
		if (!phiz_reader_take(&r, size, &field))
			return false;
		if (id == EXTRA_ZIP64) {
			struct phiz_reader values = {field, size, 0};

			return read_zip64_values(&values, c);
		}
	}
	return true;
}

static bool read_central(struct phiz_reader *r, struct central *c)
{
	uint16_t comment_size, skip16;
	uint32_t signature, skip32, packed, size, offset;
	const unsigned char *comment;

	if (!phiz_reader_u32(r, &signature) || signature != CENTRAL_SIGNATURE ||
	    !phiz_reader_u32(r, &skip32) /* versions */ || !phiz_reader_u16(r, &c->flags) ||
	    !phiz_reader_u16(r, &c->method) || !phiz_reader_u32(r, &skip32) /* time */ || !phiz_reader_u32(r, &c->crc) ||
	    !phiz_reader_u32(r, &packed) || !phiz_reader_u32(r, &size) || !phiz_reader_u16(r, &c->name_size) ||
	    !phiz_reader_u16(r, &c->extra_size) || !phiz_reader_u16(r, &comment_size) ||
	    !phiz_reader_u16(r, &skip16) /* volume */ || !phiz_reader_u16(r, &skip16) || !phiz_reader_u32(r, &skip32) ||
	    !phiz_reader_u32(r, &offset) || !phiz_reader_take(r, c->name_size, &c->name) ||
	    !phiz_reader_take(r, c->extra_size, &c->extra) || !phiz_reader_take(r, comment_size, &comment))
		return false;
	c->packed_size = packed;
	c->size = size;
	c->offset = offset;
	return read_extra(c);
}

/* Where the entry's bytes begin: behind its local header, whose own name and extra field have sizes of their own. */
static bool find_packed(const struct archive *a, const struct central *c, size_t *begin)
{
	struct phiz_reader r = {a->data, a->size, 0};
	uint16_t name_size, extra_size;
	const unsigned char *skipped;
	uint32_t signature;

	if (c->offset > a->size || !phiz_reader_seek(&r, (size_t)c->offset) || !phiz_reader_u32(&r, &signature) ||
	    signature != LOCAL_SIGNATURE || !phiz_reader_take(&r, LOCAL_SIZE - 8, &skipped) ||
	    !phiz_reader_u16(&r, &name_size) || !phiz_reader_u16(&r, &extra_size) ||
	    !phiz_reader_take(&r, (size_t)name_size + extra_size, &skipped))
		return false;
	*begin = r.pos;
	return true;
}

static enum phiz_status check_sizes(const struct archive *a, const struct central *c, const char *shown, size_t begin)
{
	if (c->flags & FLAG_ENCRYPTED)
		return phiz_fail(a->ctx, PHIZ_E_UNSUPPORTED, "%s: zip entry '%s' is encrypted", a->zip->path, shown);
	if (c->method != METHOD_STORED && c->method != METHOD_DEFLATED)
		return phiz_fail(a->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: zip entry '%s' is compressed by method %d; want stored or deflated", a->zip->path, shown,
		                 c->method);
	if (c->packed_size > a->size - begin)
		return phiz_fail(a->ctx, PHIZ_E_FORMAT, "%s: zip entry '%s' claims %llu bytes, more than the file has",
		                 a->zip->path, shown, (unsigned long long)c->packed_size);
	if (c->method == METHOD_STORED ? c->size != c->packed_size : c->size / MAX_RATIO > c->packed_size)
		return phiz_fail(a->ctx, PHIZ_E_FORMAT, "%s: zip entry '%s' claims %llu bytes out of %llu, which cannot be",
		                 a->zip->path, shown, (unsigned long long)c->size, (unsigned long long)c->packed_size);
	return PHIZ_OK;
}

static enum phiz_status read_entry(const struct archive *a, struct phiz_reader *r, struct phiz_zip_entry *out)
{
	struct central c = {0};
	char shown[PHIZ_SHOWN];
	enum phiz_status status;
	size_t begin;

	if (!read_central(r, &c))
		return fail_truncated(a, "the central directory ends early or is no directory");
	phiz_shown((const char *)c.name, c.name_size, shown);
	if (!find_packed(a, &c, &begin))
		return phiz_fail(a->ctx, PHIZ_E_FORMAT, "%s: zip entry '%s' has no local header at byte %llu", a->zip->path,
		                 shown, (unsigned long long)c.offset);
	status = check_sizes(a, &c, shown, begin);
	if (status)
		return status;
	out->name = (const char *)c.name;
	out->name_size = c.name_size;
	out->packed = a->data + begin;
	out->packed_size = (size_t)c.packed_size;
	out->size = (size_t)c.size;
	out->crc = c.crc;
	out->method = c.method;
	return PHIZ_OK;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t n = a_size < b_size ? a_size : b_size;
	int c = n > 0 ? memcmp(a, b, n) : 0;

	if (c != 0 || a_size == b_size)
		return c;
	return a_size < b_size ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
	const struct phiz_zip_entry *x = a, *y = b;

	return compare_names(x->name, x->name_size, y->name, y->name_size);
}

static enum phiz_status read_directory(const struct archive *a, const struct directory *d)
{
	struct phiz_reader r = {a->data, a->size, 0};
	struct phiz_zip *zip = a->zip;
	char shown[PHIZ_SHOWN];
	enum phiz_status status;
	size_t i;

	if (d->offset > a->size || d->size > a->size - d->offset || d->count > d->size / CENTRAL_SIZE)
		return fail_truncated(a, "the central directory is not where it should be");
	if (d->count > MAX_ENTRIES)
		return phiz_fail(a->ctx, PHIZ_E_LIMIT, "%s: more than %d zip entries", zip->path, MAX_ENTRIES);
	r.size = (size_t)(d->offset + d->size);
	phiz_reader_seek(&r, (size_t)d->offset);
	zip->entry = phiz_calloc(a->ctx, (size_t)d->count, sizeof(*zip->entry));
	if (!zip->entry)
		return PHIZ_E_NOMEM;
	for (; zip->count < d->count; zip->count++) {
		status = read_entry(a, &r, &zip->entry[zip->count]);
		if (status)
			return status;
	}
	if (zip->count > 1)
		qsort(zip->entry, zip->count, sizeof(*zip->entry), by_name);
	for (i = 1; i < zip->count; i++)
		if (by_name(&zip->entry[i - 1], &zip->entry[i]) == 0)
			return phiz_fail(a->ctx, PHIZ_E_FORMAT, "%s: two zip entries are named '%s'", zip->path,
			                 phiz_shown(zip->entry[i].name, zip->entry[i].name_size, shown));
	return PHIZ_OK;
}

enum phiz_status phiz_zip_open(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                               struct phiz_zip *out)
{
	struct archive a = {ctx, data, size, out};
	struct directory d;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	out->path = path;
	out->inflate_limit = ((size_t)64 << 20) + (size < SIZE_MAX / 64 ? 32 * size : SIZE_MAX / 2);
	status = read_end(&a, &d);
	if (!status)
		status = read_directory(&a, &d);
	if (status)
		phiz_zip_close(ctx, out);
	return status;
}

void phiz_zip_close(struct phiz_ctx *ctx, struct phiz_zip *zip)
{
	size_t i;

	for (i = 0; i < zip->count; i++)
		phiz_free(ctx, zip->entry[i].data);
	phiz_free(ctx, zip->entry);
	memset(zip, 0, sizeof(*zip));
}

struct phiz_zip_entry *phiz_zip_find(const struct phiz_zip *zip, const char *name, size_t name_size)
{
	size_t low = 0, high = zip->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare_names(name, name_size, zip->entry[middle].name, zip->entry[middle].name_size);

		if (c == 0)
			return &zip->entry[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static uLong crc_of(const unsigned char *data, size_t size)
{
	uLong crc = crc32(0, NULL, 0);

	while (size > 0) {
		uInt n = size < ((size_t)1 << 30) ? (uInt)size : (uInt)1 << 30;

		crc = crc32(crc, data, n);
		data += n;
		size -= n;
	}
	return crc;
}

/* zlib counts in uInt, which is narrower than size_t. */
static int inflate_all(z_stream *z, struct phiz_zip_entry *e)
{
	size_t in = e->packed_size, out = e->size;
	int code = Z_OK;

	z->next_in = e->packed;
	z->next_out = e->data;
	while (code == Z_OK) {
		uInt in_now = in < UINT32_MAX ? (uInt)in : UINT32_MAX, out_now = out < UINT32_MAX ? (uInt)out : UINT32_MAX;

		z->avail_in = in_now;
		z->avail_out = out_now;
		code = inflate(z, Z_NO_FLUSH);
		in -= in_now - z->avail_in;
		out -= out_now - z->avail_out;
	}
	return code == Z_STREAM_END && out == 0 && in == 0 ? Z_OK : code == Z_MEM_ERROR ? Z_MEM_ERROR : Z_DATA_ERROR;
}

static enum phiz_status inflate_entry(struct phiz_ctx *ctx, struct phiz_zip *zip, struct phiz_zip_entry *e,
                                      const char *shown)
{
	z_stream z;
	int code;

	if (e->size > zip->inflate_limit - zip->inflated)
		return phiz_fail(ctx, PHIZ_E_LIMIT,
		                 "%s: zip entry '%s' inflates to %zu bytes, and the archive to more than %zu", zip->path, shown,
		                 e->size, zip->inflate_limit);
	memset(&z, 0, sizeof(z));
	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return phiz_fail(ctx, PHIZ_E_NOMEM, "%s: out of memory while inflating", zip->path);
	e->data = phiz_alloc(ctx, e->size, 1);
	code = e->data ? inflate_all(&z, e) : Z_MEM_ERROR;
	inflateEnd(&z);
	if (code == Z_OK) {
		zip->inflated += e->size;
		return PHIZ_OK;
	}
	if (!e->data)
		return PHIZ_E_NOMEM;
	phiz_free(ctx, e->data);
	e->data = NULL;
	if (code == Z_MEM_ERROR)
		return phiz_fail(ctx, PHIZ_E_NOMEM, "%s: out of memory while inflating", zip->path);
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: zip entry '%s' does not inflate to the %zu bytes that it claims",
	                 zip->path, shown, e->size);
}

enum phiz_status phiz_zip_data(struct phiz_ctx *ctx, struct phiz_zip *zip, struct phiz_zip_entry *entry,
                               const unsigned char **data)
{
	char shown[PHIZ_SHOWN];
	enum phiz_status status;

	phiz_shown(entry->name, entry->name_size, shown);
	if (entry->method == METHOD_DEFLATED && !entry->data) {
		status = inflate_entry(ctx, zip, entry, shown);
		if (status)
			return status;
	}
	*data = entry->data ? entry->data : entry->packed;
	if (!entry->checked && crc_of(*data, entry->size) != entry->crc)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: zip entry '%s' is damaged: its CRC-32 does not match", zip->path,
		                 shown);
	entry->checked = true;
	return PHIZ_OK;
}
