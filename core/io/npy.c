/* The header of a .npy file is the text of a Python dict:
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 128), }
 * Only what numpy itself writes is taken: these three keys, each once, in any order. */
#include "core/io/npy.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/reader.h"

enum { MAX_HEADER = 4096, MAX_NPY_DIMS = 8 };

struct npy_header {
	bool has_descr, has_order, has_shape;
	enum phiz_dtype dtype;
	bool known_dtype, fortran;
	int ndim;
	uint64_t dim[MAX_NPY_DIMS];
};

struct npy_text {
	const char *at, *end;
};

static void skip_space(struct npy_text *t)
{
	while (t->at < t->end && (*t->at == ' ' || *t->at == '\n'))
		t->at++;
}

static bool take(struct npy_text *t, char c)
{
	skip_space(t);
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

static bool take_word(struct npy_text *t, const char *word)
{
	size_t n = strlen(word);

	skip_space(t);
	if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
		return false;
	t->at += n;
	return true;
}

/* 'text' without escapes. */
static bool take_string(struct npy_text *t, const char **text, size_t *size)
{
	if (!take(t, '\''))
		return false;
	*text = t->at;
	while (t->at < t->end && *t->at != '\'' && *t->at != '\\')
		t->at++;
	*size = (size_t)(t->at - *text);
	return t->at < t->end && *t->at++ == '\'';
}

static bool take_number(struct npy_text *t, uint64_t *out)
{
	const char *begin;

	skip_space(t);
	begin = t->at;
	*out = 0;
	while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
		if (*out > (UINT64_MAX >> 8) / 10)
			return false;
		*out = *out * 10 + (uint64_t)(*t->at++ - '0');
	}
	return t->at > begin;
}

/* (), (n,), (n, m) ... */
static bool take_shape(struct npy_text *t, struct npy_header *h)
{
	if (!take(t, '('))
		return false;
	while (!take(t, ')')) {
		if (h->ndim == MAX_NPY_DIMS || !take_number(t, &h->dim[h->ndim]))
			return false;
		h->ndim++;
		if (!take(t, ','))
			return h->ndim > 1 && take(t, ')'); /* (n) is a number, no tuple */
	}
	return true;
}

static bool take_descr(struct npy_text *t, struct npy_header *h)
{
	static const struct {
		const char *text;
		enum phiz_dtype dtype;
	} known[] = {{"<f2", PHIZ_F16}, {"<f4", PHIZ_F32}, {"<f8", PHIZ_F64}};
	const char *text;
	size_t size;

	if (!take_string(t, &text, &size))
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (size == 3 && memcmp(text, known[i].text, 3) == 0) {
			h->dtype = known[i].dtype;
			h->known_dtype = true;
		}
	return true;
}

static bool take_pair(struct npy_text *t, struct npy_header *h)
{
	const char *key;
	size_t size;

	if (!take_string(t, &key, &size) || !take(t, ':'))
		return false;
	if (size == 5 && memcmp(key, "descr", 5) == 0 && !h->has_descr)
		return h->has_descr = true, take_descr(t, h);
	if (size == 5 && memcmp(key, "shape", 5) == 0 && !h->has_shape)
		return h->has_shape = true, take_shape(t, h);
	if (size != 13 || memcmp(key, "fortran_order", 13) != 0 || h->has_order)
		return false;
	h->has_order = true;
	if (take_word(t, "True"))
		return h->fortran = true;
	return take_word(t, "False");
}

static bool take_header(struct npy_text *t, struct npy_header *h)
{
	memset(h, 0, sizeof(*h));
	if (!take(t, '{'))
		return false;
	while (!take(t, '}')) {
		if (!take_pair(t, h))
			return false;
		if (!take(t, ',')) {
			if (!take(t, '}'))
				return false;
			break;
		}
	}
	skip_space(t);
	return t->at == t->end && h->has_descr && h->has_order && h->has_shape;
}

/* Magic, version, length of the header: leaves r at the numbers. */
static enum phiz_status read_header(struct phiz_ctx *ctx, struct phiz_reader *r, const char *name,
                                    struct npy_header *h)
{
	const unsigned char *magic, *text;
	uint8_t major = 0, minor = 0;
	uint32_t length = 0;
	uint16_t shorter = 0;
	struct npy_text t;

	if (!phiz_reader_take(r, 6, &magic) || memcmp(magic, "\x93NUMPY", 6) != 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not a .npy file", name);
	if (!phiz_reader_u8(r, &major) || !phiz_reader_u8(r, &minor) || major < 1 || major > 3 || minor != 0)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: .npy version %u.%u, want 1.0, 2.0 or 3.0", name, major, minor);
	if (major == 1 ? !phiz_reader_u16(r, &shorter) : !phiz_reader_u32(r, &length))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: cut off in its header", name);
	length = major == 1 ? shorter : length;
	if (length > MAX_HEADER)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: a header of %u bytes, want at most %d", name, length, MAX_HEADER);
	if (!phiz_reader_take(r, length, &text))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: cut off in its header", name);
	t.at = (const char *)text;
	t.end = t.at + length;
	if (!take_header(&t, h))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: its header is not what numpy writes for an array of numbers", name);
	return PHIZ_OK;
}

static enum phiz_status check_header(struct phiz_ctx *ctx, const struct npy_header *h, size_t left, const char *name,
                                     struct phiz_shape *shape)
{
	uint64_t rows = h->ndim == 2 ? h->dim[0] : 1, columns = h->ndim > 0 ? h->dim[h->ndim - 1] : 0;
	size_t one, size = 0;

	if (!h->known_dtype)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: want numbers of type float16, float32 or float64", name);
	if (h->ndim < 1 || h->ndim > 2)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: %d dims, want a matrix of a row for each face", name, h->ndim);
	if (h->fortran && h->ndim == 2)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: in Fortran order; save numpy.ascontiguousarray(x) instead", name);
	one = phiz_dtype_size(h->dtype);
	if (rows > INT32_MAX || columns > INT32_MAX || !phiz_size_mul((size_t)rows, (size_t)columns, &size) ||
	    !phiz_size_mul(size, one, &size) || size != left)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %zu bytes of numbers, want %llu x %llu of %zu bytes", name, left,
		                 (unsigned long long)rows, (unsigned long long)columns, one);
	*shape = phiz_shape_2d((int64_t)rows, (int64_t)columns);
	return PHIZ_OK;
}

enum phiz_status phiz_npy_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                struct phiz_tensor **out)
{
	struct phiz_reader r = {data, size, 0};
	struct phiz_tensor *own = NULL;
	const unsigned char *numbers;
	struct npy_header h;
	struct phiz_shape shape;
	enum phiz_status status = read_header(ctx, &r, name, &h);

	*out = NULL;
	if (!status)
		status = check_header(ctx, &h, phiz_reader_left(&r), name, &shape);
	if (!status)
		status = phiz_tensor_create(ctx, h.dtype, &shape, &own); /* the file's bytes need not be aligned */
	if (!status && phiz_reader_take(&r, phiz_tensor_bytes(own), &numbers) && phiz_tensor_bytes(own) > 0)
		memcpy(own->data, numbers, phiz_tensor_bytes(own));
	if (!status && h.dtype == PHIZ_F32) {
		*out = own;
		return PHIZ_OK;
	}
	if (!status)
		status = phiz_tensor_create(ctx, PHIZ_F32, &shape, out);
	if (!status)
		status = phiz_tensor_convert(ctx, own, *out);
	phiz_tensor_free(ctx, &own);
	if (status)
		phiz_tensor_free(ctx, out);
	return status;
}

enum phiz_status phiz_npy_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensor **out)
{
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, path, &map);

	*out = NULL;
	if (status)
		return status;
	status = phiz_npy_parse(ctx, map.data, map.size, path, out);
	phiz_map_close(&map);
	return status;
}

enum phiz_status phiz_npy_write(struct phiz_ctx *ctx, const char *path, const float *x, int64_t rows, int64_t columns)
{
	char header[128];
	struct phiz_writer *w;
	size_t size, length;
	int n;

	if (rows < 0 || columns < 0 || !phiz_size_mul((size_t)rows, (size_t)columns, &size) ||
	    !phiz_size_mul(size, sizeof(float), &size))
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: %lld x %lld is no matrix", path, (long long)rows, (long long)columns);
	/* Padded with spaces, so that the numbers begin at a multiple of 64. */
	memset(header, ' ', sizeof header);
	n = snprintf(header + 10, sizeof header - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
	             (long long)rows, (long long)columns);
	header[10 + n] = ' ';
	length = sizeof header - 10;
	memcpy(header, "\x93NUMPY\x01\x00", 8);
	header[8] = (char)length;
	header[9] = 0;
	header[sizeof header - 1] = '\n';
	enum phiz_status status = phiz_writer_open(ctx, path, &w);
	if (status)
		return status;
	phiz_writer_add(w, header, sizeof header);
	if (size)
		phiz_writer_add(w, x, size);
	return phiz_writer_commit(&w);
}
