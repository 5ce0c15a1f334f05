/* "PHIZCHK1", key, u32 dim, f64 threshold (-2: not known), u64 count; per photo what put_photo writes; SHA-256 in hex
 * of all before it. Little endian, floats by their bits. */
#include "datasets/checkup_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/reader.h"
#include "core/base/sha256.h"

static const char magic[] = "PHIZCHK1";

enum { KEY = 64, SUM = 64, MAX_DIM = 1 << 16, MAX_TEXT = 1 << 16, N_REALS = 9, N_FLOATS = 16 };
enum { READABLE = 1, LOOKED = 2, MEASURED = 4, EMBEDDED = 8, HASHED = 16 };

static void put_f32(struct phiz_bytes *b, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	phiz_bytes_u32le(b, bits);
}

static void put_f64(struct phiz_bytes *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	phiz_bytes_u64le(b, bits);
}

static void put_text(struct phiz_bytes *b, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	n = n < MAX_TEXT ? n : MAX_TEXT - 1;
	phiz_bytes_u32le(b, (uint32_t)n);
	phiz_bytes_add(b, text ? text : "", n);
}

/* The quality's figures as a list, both ways. */
static void list_quality(struct phiz_quality *q, double *list[N_REALS])
{
	double *const all[N_REALS] = {&q->sharpness, &q->mean, &q->dark, &q->bright, &q->contrast, &q->yaw, &q->pitch,
	                              &q->roll, &q->eyes};

	memcpy(list, all, sizeof(all));
}

static void list_face(struct phiz_photo *p, float *list[N_FLOATS])
{
	for (int i = 0; i < 4; i++)
		list[i] = &p->face.box[i];
	list[4] = &p->face.score;
	for (int i = 0; i < 2 * PHIZ_LANDMARKS; i++)
		list[5 + i] = &p->face.landmark[i / 2][i % 2];
	list[15] = &p->second;
}

static void put_photo(const struct phiz_checkup *c, size_t i, struct phiz_bytes *b)
{
	struct phiz_photo p = c->photo[i];
	const struct phiz_phash *h = &c->hash[i];
	double *real[N_REALS];
	float *number[N_FLOATS];

	put_text(b, p.path);
	phiz_bytes_u64le(b, (uint64_t)p.bytes);
	phiz_bytes_u64le(b, (uint64_t)p.modified);
	phiz_bytes_u8(b, (p.readable ? READABLE : 0u) | (p.looked ? LOOKED : 0u) | (p.measured ? MEASURED : 0u) |
	                 (p.embedded ? EMBEDDED : 0u) | (h->valid ? HASHED : 0u));
	put_text(b, p.trouble);
	phiz_bytes_u32le(b, (uint32_t)p.width);
	phiz_bytes_u32le(b, (uint32_t)p.height);
	phiz_bytes_u32le(b, (uint32_t)p.faces);
	list_face(&p, number);
	for (int k = 0; k < N_FLOATS; k++)
		put_f32(b, *number[k]);
	list_quality(&p.quality, real);
	for (int k = 0; k < N_REALS; k++)
		put_f64(b, *real[k]);
	put_f64(b, p.quality.overall);
	phiz_bytes_add(b, p.digest, sizeof(p.digest));
	if (h->valid) {
		for (int k = 0; k < 4; k++)
			phiz_bytes_u64le(b, h->bit[k]);
		phiz_bytes_add(b, h->step, sizeof(h->step));
	}
	for (int k = 0; p.embedded && k < c->dim; k++)
		put_f32(b, c->embedding[i * (size_t)c->dim + (size_t)k]);
}

void phiz_checkup_format(const struct phiz_checkup *c, const bool *done, const char *key, struct phiz_bytes *out)
{
	size_t start = out->size;
	struct phiz_sha256 sum;
	uint64_t count = 0;
	char hex[65];

	for (size_t i = 0; i < c->count; i++)
		count += c->photo[i].kind == PHIZ_FILE_PHOTO && (!done || done[i]);
	phiz_bytes_add(out, magic, sizeof(magic) - 1);
	phiz_bytes_add(out, key, KEY);
	phiz_bytes_u32le(out, (uint32_t)c->dim);
	put_f64(out, isfinite(c->threshold) ? c->threshold : -2);
	phiz_bytes_u64le(out, count);
	for (size_t i = 0; i < c->count; i++)
		if (c->photo[i].kind == PHIZ_FILE_PHOTO && (!done || done[i]))
			put_photo(c, i, out);
	if (phiz_bytes_status(out))
		return;
	phiz_sha256_init(&sum);
	phiz_sha256_add(&sum, out->data + start, out->size - start);
	phiz_sha256_hex(&sum, hex);
	phiz_bytes_add(out, hex, SUM);
}

/* --- Reading. --- */

static bool get_f32(struct phiz_reader *r, float *v)
{
	uint32_t bits;

	if (!phiz_reader_u32(r, &bits))
		return false;
	memcpy(v, &bits, sizeof(bits));
	return isfinite(*v);
}

static bool get_f64(struct phiz_reader *r, double *v)
{
	uint64_t bits;

	if (!phiz_reader_u64(r, &bits))
		return false;
	memcpy(v, &bits, sizeof(bits));
	return isfinite(*v);
}

static bool get_int(struct phiz_reader *r, int *v)
{
	uint32_t bits;

	if (!phiz_reader_u32(r, &bits) || bits > INT32_MAX)
		return false;
	*v = (int)bits;
	return true;
}

/* *status is NOMEM where memory ran out; false without that: damaged. */
static bool get_text(struct phiz_ctx *ctx, struct phiz_reader *r, char **out, enum phiz_status *status)
{
	const unsigned char *bytes;
	uint32_t n;

	if (!phiz_reader_u32(r, &n) || n >= MAX_TEXT || !phiz_reader_take(r, n, &bytes) || memchr(bytes, 0, n))
		return false;
	*out = phiz_strndup(ctx, (const char *)bytes, n);
	if (!*out)
		*status = PHIZ_E_NOMEM;
	return *out != NULL;
}

static bool get_hash(struct phiz_reader *r, struct phiz_phash *h)
{
	const unsigned char *step;

	for (int k = 0; k < 4; k++)
		if (!phiz_reader_u64(r, &h->bit[k]))
			return false;
	if (!phiz_reader_take(r, sizeof(h->step), &step))
		return false;
	memcpy(h->step, step, sizeof(h->step));
	h->valid = true;
	return true;
}

static bool get_figures(struct phiz_reader *r, struct phiz_photo *p)
{
	double *real[N_REALS];
	float *number[N_FLOATS];
	const unsigned char *digest;

	if (!get_int(r, &p->width) || !get_int(r, &p->height) || !get_int(r, &p->faces))
		return false;
	list_face(p, number);
	for (int k = 0; k < N_FLOATS; k++)
		if (!get_f32(r, number[k]))
			return false;
	list_quality(&p->quality, real);
	for (int k = 0; k < N_REALS; k++)
		if (!get_f64(r, real[k]))
			return false;
	if (!get_f64(r, &p->quality.overall) || !phiz_reader_take(r, sizeof(p->digest), &digest))
		return false;
	memcpy(p->digest, digest, sizeof(p->digest));
	return true;
}

static bool get_photo(struct phiz_ctx *ctx, struct phiz_reader *r, struct phiz_checkup *c, enum phiz_status *status)
{
	struct phiz_photo *p = &c->photo[c->count];
	struct phiz_phash *h = &c->hash[c->count];
	uint64_t bytes, modified;
	uint8_t flags;
	size_t i = c->count++; /* from here on phiz_checkup_free frees it */

	if (!get_text(ctx, r, &p->path, status) || !phiz_reader_u64(r, &bytes) || !phiz_reader_u64(r, &modified) ||
	    bytes > INT64_MAX || !phiz_reader_u8(r, &flags) || flags > 31 || !get_text(ctx, r, &p->trouble, status))
		return false;
	p->bytes = (int64_t)bytes;
	p->modified = (int64_t)modified;
	p->readable = flags & READABLE;
	p->looked = flags & LOOKED;
	p->measured = flags & MEASURED;
	p->embedded = flags & EMBEDDED;
	p->person = -1;
	if (i > 0 && strcmp(c->photo[i - 1].path, p->path) >= 0)
		return false;
	if (!get_figures(r, p) || (flags & HASHED && !get_hash(r, h)) || (p->embedded && !c->dim))
		return false;
	for (int k = 0; p->embedded && k < c->dim; k++)
		if (!get_f32(r, &c->embedding[i * (size_t)c->dim + (size_t)k]))
			return false;
	return true;
}

static enum phiz_status damaged(struct phiz_ctx *ctx, const char *name)
{
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: no measurements of phiz data check, or damaged", name);
}

static enum phiz_status get_photos(struct phiz_ctx *ctx, struct phiz_reader *r, const char *name,
                                   struct phiz_checkup *c)
{
	enum { LEAST = 4 + 8 + 8 + 1 + 4 + 12 + 4 * (N_FLOATS) + 8 * (N_REALS + 1) + 32 };
	enum phiz_status status = PHIZ_OK;
	uint32_t dim;
	uint64_t count;

	if (!phiz_reader_u32(r, &dim) || dim > MAX_DIM || !get_f64(r, &c->threshold) || !phiz_reader_u64(r, &count) ||
	    count > phiz_reader_left(r) / LEAST)
		return damaged(ctx, name);
	c->dim = (int)dim;
	if (c->threshold < -1)
		c->threshold = NAN;
	c->photo = phiz_calloc(ctx, (size_t)count, sizeof(*c->photo));
	c->hash = phiz_calloc(ctx, (size_t)count, sizeof(*c->hash));
	/* Few of many photos may be embedded, so the file's size bounds their number and not the product: 4 GiB do. */
	if (dim && count > ((uint64_t)1 << 32) / (4 * dim))
		return damaged(ctx, name);
	c->embedding = phiz_calloc(ctx, (size_t)count, (size_t)dim * sizeof(float));
	if (!c->photo || !c->hash || !c->embedding)
		return PHIZ_E_NOMEM;
	while (c->count < count)
		if (!get_photo(ctx, r, c, &status))
			return status ? status : damaged(ctx, name);
	return phiz_reader_left(r) ? damaged(ctx, name) : PHIZ_OK;
}

enum phiz_status phiz_checkup_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                    const char *key, struct phiz_checkup *out)
{
	struct phiz_reader r = {.data = data, .size = size};
	const unsigned char *bytes;
	struct phiz_sha256 sum;
	enum phiz_status status;
	char hex[65];

	memset(out, 0, sizeof(*out));
	if (size < sizeof(magic) - 1 + KEY + SUM || memcmp(data, magic, sizeof(magic) - 1) != 0)
		return damaged(ctx, name);
	phiz_sha256_init(&sum);
	phiz_sha256_add(&sum, data, size - SUM);
	phiz_sha256_hex(&sum, hex);
	if (memcmp(hex, (const char *)data + size - SUM, SUM) != 0)
		return damaged(ctx, name);
	r.size = size - SUM;
	phiz_reader_seek(&r, sizeof(magic) - 1);
	phiz_reader_take(&r, KEY, &bytes);
	if (memcmp(bytes, key, KEY) != 0)
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: measured with other models", name);
	status = get_photos(ctx, &r, name, out);
	if (status)
		phiz_checkup_free(ctx, out);
	return status;
}

const struct phiz_photo *phiz_checkup_find(const struct phiz_checkup *c, const char *path, int64_t bytes,
                                           int64_t modified)
{
	for (size_t low = 0, high = c->count; low < high;) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(c->photo[mid].path, path);

		if (order == 0)
			return c->photo[mid].bytes == bytes && c->photo[mid].modified == modified ? &c->photo[mid] : NULL;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
