#include "core/io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/base/reader.h"
#include "core/io/json.h"
#include "core/io/tensors.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "phiz reads and writes tensors as they lie in memory: little endian only"
#endif

#define MAX_HEADER 100000000 /* as the reference implementation */
#define MAX_NAME 1024
#define ALIGN 64

static const struct {
	const char *name;
	enum phiz_dtype dtype;
} dtypes[] = {
	/* The first of a dtype is the one that is written. */
	{"F32", PHIZ_F32}, {"F64", PHIZ_F64}, {"F16", PHIZ_F16}, {"BF16", PHIZ_BF16}, {"I8", PHIZ_I8},
	{"U8", PHIZ_U8}, {"BOOL", PHIZ_U8}, {"I32", PHIZ_I32}, {"I64", PHIZ_I64},
};
#define N_DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

/* What a header's checks need to know: where, and which tensor. */
struct entry_reader {
	struct phiz_ctx *ctx;
	const char *path;
	struct phiz_st_index *index;
	const char *name;
	char shown[PHIZ_SHOWN];
	const unsigned char *data; /* NULL: not in memory */
	bool rounded; /* whole numbers came as reals, because one of them is too big */
};

/* ---- Reading ---- */

static enum phiz_status read_dtype(const struct entry_reader *r, const json_t *entry, struct phiz_st_tensor *out)
{
	const char *text = json_string_value(json_object_get(entry, "dtype"));
	char shown[PHIZ_SHOWN];
	size_t i;

	if (!text)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' has no dtype", r->path, r->shown);
	for (i = 0; i < N_DTYPES; i++) {
		if (strcmp(text, dtypes[i].name) == 0) {
			out->dtype = dtypes[i].dtype;
			return PHIZ_OK;
		}
	}
	return phiz_fail(r->ctx, PHIZ_E_UNSUPPORTED, "%s: tensor '%s' has dtype '%s', which phiz does not read", r->path,
	                 r->shown, phiz_shown(text, strlen(text), shown));
}

/* After a rounding parse, reals that are whole and small are what they were in the file. */
static bool whole_number(const struct entry_reader *r, const json_t *value, int64_t *out)
{
	double v;

	if (!r->rounded)
		return phiz_json_int(value, 0, INT64_MAX, out);
	if (!phiz_json_real(value, &v) || v < 0 || v > 9007199254740992.0 || v != (double)(int64_t)v)
		return false;
	*out = (int64_t)v;
	return true;
}

static enum phiz_status read_shape(const struct entry_reader *r, const json_t *entry, struct phiz_st_tensor *out)
{
	const json_t *shape = json_object_get(entry, "shape");
	size_t i, n = json_array_size(shape);

	if (!json_is_array(shape))
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' has no shape", r->path, r->shown);
	if (n > PHIZ_MAX_DIMS)
		return phiz_fail(r->ctx, PHIZ_E_UNSUPPORTED, "%s: tensor '%s' has %zu dims, phiz takes at most %d", r->path,
		                 r->shown, n, PHIZ_MAX_DIMS);
	memset(&out->shape, 0, sizeof(out->shape));
	out->shape.ndim = (int)n;
	for (i = 0; i < n; i++)
		if (!whole_number(r, json_array_get(shape, i), &out->shape.dim[i]))
			return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': dim %zu is no whole number of 0 or more", r->path,
			                 r->shown, i);
	return PHIZ_OK;
}

static enum phiz_status read_offsets(const struct entry_reader *r, const json_t *entry, struct phiz_st_tensor *out)
{
	const json_t *offsets = json_object_get(entry, "data_offsets");
	int64_t begin, end;

	if (!json_is_array(offsets) || json_array_size(offsets) != 2)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' has no data_offsets [begin, end]", r->path, r->shown);
	if (!whole_number(r, json_array_get(offsets, 0), &begin) || !whole_number(r, json_array_get(offsets, 1), &end))
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': data_offsets are no whole numbers in range", r->path,
		                 r->shown);
	if (end < begin)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': data_offsets end (%lld) before they begin (%lld)",
		                 r->path, r->shown, (long long)end, (long long)begin);
	if ((uint64_t)end > r->index->data_bytes)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT,
		                 "%s: tensor '%s' ends at byte %lld of %zu bytes of data: the file is cut", r->path, r->shown,
		                 (long long)end, r->index->data_bytes);
	out->begin = (size_t)begin;
	out->bytes = (size_t)(end - begin);
	out->data = r->data ? r->data + begin : NULL;
	return PHIZ_OK;
}

static enum phiz_status check_size(const struct entry_reader *r, const struct phiz_st_tensor *t)
{
	char text[128];
	size_t want;

	if (phiz_shape_bytes(r->ctx, t->dtype, &t->shape, &want))
		return phiz_fail_in(r->ctx, "%s: tensor '%s'", r->path, r->shown);
	if (want != t->bytes)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT,
		                 "%s: tensor '%s' of shape %s wants %zu bytes, its data_offsets give %zu", r->path, r->shown,
		                 phiz_shape_text(&t->shape, text), want, t->bytes);
	return PHIZ_OK;
}

static enum phiz_status read_entry(struct entry_reader *r, const json_t *entry)
{
	struct phiz_st_index *index = r->index;
	struct phiz_st_tensor *t;
	enum phiz_status status;

	if (strlen(r->name) > MAX_NAME)
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s: the name of tensor '%s' is longer than %d bytes", r->path, r->shown,
		                 MAX_NAME);
	if (!json_is_object(entry))
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' is no JSON object", r->path, r->shown);
	status = phiz_grow(r->ctx, &index->tensor, &index->capacity, index->count + 1, sizeof(*index->tensor));
	if (status)
		return status;
	t = &index->tensor[index->count];
	t->name = r->name;
	status = read_dtype(r, entry, t);
	if (!status)
		status = read_shape(r, entry, t);
	if (!status)
		status = read_offsets(r, entry, t);
	if (!status)
		status = check_size(r, t);
	index->count += !status;
	return status;
}

static enum phiz_status read_metadata(struct entry_reader *r, json_t *metadata)
{
	const char *key;
	json_t *value;

	if (!json_is_object(metadata))
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: __metadata__ is no JSON object", r->path);
	json_object_foreach(metadata, key, value) {
		if (!json_is_string(value))
			return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: __metadata__ '%s' is no text", r->path,
			                 phiz_shown(key, strlen(key), r->shown));
	}
	r->index->metadata = metadata;
	return PHIZ_OK;
}

static enum phiz_status read_entries(struct entry_reader *r)
{
	enum phiz_status status = PHIZ_OK;
	const char *key;
	json_t *value;

	json_object_foreach(r->index->header, key, value) {
		if (status)
			break;
		r->name = key;
		phiz_shown(key, strlen(key), r->shown);
		status = strcmp(key, "__metadata__") == 0 ? read_metadata(r, value) : read_entry(r, value);
	}
	if (!status && r->rounded)
		status = phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: a number in the header is out of range", r->path);
	return status;
}

/* By place in the data; empty tensors stand before the one that begins where they are. Unequal ones cannot overlap by
 * check_cover, so this is a total order up to empty tensors, which keep the order of their names. */
static int by_data(const void *a, const void *b)
{
	const struct phiz_st_tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The tensors must cover the data without holes and overlaps. */
static enum phiz_status check_cover(struct phiz_ctx *ctx, const char *path, const struct phiz_st_index *index)
{
	char shown[PHIZ_SHOWN];
	size_t i, next = 0;

	for (i = 0; i < index->count; i++) {
		const struct phiz_st_tensor *t = &index->tensor[i];

		phiz_shown(t->name, strlen(t->name), shown);
		if (t->begin < next)
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: tensor '%s' begins at byte %zu of the data, which belongs to the "
			                 "tensor before it", path, shown, t->begin);
		if (t->begin > next)
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: bytes %zu to %zu of the data, before tensor '%s', belong to no "
			                 "tensor", path, next, t->begin, shown);
		next += t->bytes;
	}
	if (next != index->data_bytes)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %zu bytes after the last tensor", path, index->data_bytes - next);
	return PHIZ_OK;
}

enum phiz_status phiz_st_head_size(struct phiz_ctx *ctx, const void *some, size_t n_some, size_t file_size,
                                   const char *path, size_t *out)
{
	/* A safetensors file begins its header with a brace; only what does not is asked what else it is. */
	struct phiz_reader r = {some, n_some, 0};
	bool brace = n_some > 8 && r.data[8] == '{';
	const char *kind = brace ? NULL : phiz_foreign_kind(some, n_some);
	uint64_t n;

	*out = 0;
	if (kind)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s", path, kind);
	if (!phiz_reader_u64(&r, &n))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, file_size);
	if (n > MAX_HEADER)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: header length %llu is over %d: not a safetensors file, or damaged",
		                 path, (unsigned long long)n, MAX_HEADER);
	if (n > file_size - 8)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: header of %llu bytes in a file of %zu: the file is cut", path,
		                 (unsigned long long)n, file_size);
	if (n < 2)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: header of %llu bytes: not a safetensors file, or damaged", path,
		                 (unsigned long long)n);
	*out = (size_t)n + 8;
	return PHIZ_OK;
}

static enum phiz_status open_header(struct entry_reader *r, const char *text, size_t size)
{
	enum phiz_status status;
	char *what = phiz_asprintf(r->ctx, "%s: header", r->path);

	if (!what)
		return PHIZ_E_NOMEM;
	status = phiz_json_parse_big(r->ctx, text, size, what, &r->index->header, &r->rounded);
	phiz_free(r->ctx, what);
	if (!status && (text[0] != '{' || !json_is_object(r->index->header)))
		status = phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: the header is no JSON object", r->path);
	return status ? status : read_entries(r);
}

enum phiz_status phiz_st_open(struct phiz_ctx *ctx, const void *head, size_t head_size, size_t file_size,
                              const char *path, struct phiz_st_index *out)
{
	struct entry_reader r = {ctx, path, out, NULL, {0}, NULL, false};
	const unsigned char *bytes = head;
	enum phiz_status status;
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	status = phiz_st_head_size(ctx, head, head_size, file_size, path, &n);
	if (!status && n > head_size)
		status = phiz_fail(ctx, PHIZ_E_INTERNAL, "%s: %zu of %zu bytes of the header", path, head_size, n);
	if (status)
		return status;
	out->data_begin = n;
	out->data_bytes = file_size - n;
	r.data = head_size == file_size ? bytes + n : NULL;
	status = open_header(&r, (const char *)bytes + 8, n - 8);
	if (!status && out->count > 1)
		qsort(out->tensor, out->count, sizeof(*out->tensor), by_data);
	if (!status)
		status = check_cover(ctx, path, out);
	if (status)
		phiz_st_close(ctx, out);
	return status;
}

void phiz_st_close(struct phiz_ctx *ctx, struct phiz_st_index *index)
{
	json_decref(index->header);
	phiz_free(ctx, index->tensor);
	memset(index, 0, sizeof(*index));
}

static enum phiz_status copy_tensors(struct phiz_ctx *ctx, const struct phiz_st_index *index, struct phiz_tensors *out)
{
	size_t i;

	for (i = 0; i < index->count; i++) {
		const struct phiz_st_tensor *from = &index->tensor[i];
		struct phiz_tensor *t;
		enum phiz_status status = phiz_tensor_create(ctx, from->dtype, &from->shape, &t);

		if (status)
			return status;
		if (from->bytes > 0)
			memcpy(t->data, from->data, from->bytes);
		status = phiz_tensors_add(ctx, out, from->name, t);
		if (status)
			return status;
	}
	return PHIZ_OK;
}

static enum phiz_status copy_metadata(struct phiz_ctx *ctx, json_t *metadata, struct phiz_tensors *out)
{
	enum phiz_status status = PHIZ_OK;
	const char *key;
	json_t *value;

	json_object_foreach(metadata, key, value) {
		if (!status)
			status = phiz_tensors_add_meta(ctx, out, key, json_string_value(value));
	}
	return status;
}

enum phiz_status phiz_safetensors_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                        struct phiz_tensors *out)
{
	struct phiz_st_index index;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_st_open(ctx, data, size, size, path, &index);
	if (status)
		return status;
	status = copy_tensors(ctx, &index, out);
	if (!status && index.metadata)
		status = copy_metadata(ctx, index.metadata, out);
	phiz_st_close(ctx, &index);
	if (status)
		phiz_tensors_free(ctx, out);
	return status;
}

enum phiz_status phiz_safetensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out)
{
	struct phiz_map map;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_map_open(ctx, path, &map);
	if (status)
		return status;
	status = phiz_safetensors_parse(ctx, map.data, map.size, path, out);
	phiz_map_close(&map);
	return status;
}

/* ---- Writing ---- */

static const char *dtype_text(enum phiz_dtype dtype)
{
	size_t i;

	for (i = 0; i < N_DTYPES; i++)
		if (dtypes[i].dtype == dtype)
			return dtypes[i].name;
	return NULL;
}

enum phiz_status phiz_st_sort(struct phiz_ctx *ctx, struct phiz_st_tensor *tensor, size_t count)
{
	struct phiz_st_tensor *sorted = phiz_alloc(ctx, count, sizeof(*sorted));
	size_t size, i, n = 0;

	if (!sorted)
		return PHIZ_E_NOMEM;
	for (size = 8; size >= 1; size /= 2)
		for (i = 0; i < count; i++)
			if (phiz_dtype_size(tensor[i].dtype) == size)
				sorted[n++] = tensor[i];
	if (n > 0)
		memcpy(tensor, sorted, n * sizeof(*sorted));
	phiz_free(ctx, sorted);
	return PHIZ_OK;
}

static enum phiz_status check_name(struct phiz_ctx *ctx, const char *path, const char *name)
{
	char shown[PHIZ_SHOWN];
	size_t n = strlen(name);

	if (n == 0 || n > MAX_NAME || !phiz_utf8_valid(name, n) || strcmp(name, "__metadata__") == 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: '%s' cannot be the name of a tensor", path, phiz_shown(name, n, shown));
	return PHIZ_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum phiz_status check_names(struct phiz_ctx *ctx, const char *path, const struct phiz_st_tensor *tensor,
                                    size_t count)
{
	const char **name = phiz_alloc(ctx, count, sizeof(*name));
	enum phiz_status status = name ? PHIZ_OK : PHIZ_E_NOMEM;
	char shown[PHIZ_SHOWN];
	size_t i;

	for (i = 0; !status && i < count; i++) {
		name[i] = tensor[i].name;
		status = check_name(ctx, path, name[i]);
	}
	if (!status && count > 1)
		qsort(name, count, sizeof(*name), by_name);
	for (i = 1; !status && i < count; i++)
		if (strcmp(name[i - 1], name[i]) == 0)
			status = phiz_fail(ctx, PHIZ_E_ARG, "%s: two tensors are named '%s'", path,
			                   phiz_shown(name[i], strlen(name[i]), shown));
	phiz_free(ctx, name);
	return status;
}

static void add_metadata(struct phiz_bytes *b, const struct phiz_meta *meta, size_t n_meta)
{
	size_t i;

	phiz_bytes_text(b, "\"__metadata__\":{");
	for (i = 0; i < n_meta; i++) {
		phiz_bytes_text(b, i ? "," : "");
		phiz_bytes_json(b, meta[i].key);
		phiz_bytes_text(b, ":");
		phiz_bytes_json(b, meta[i].text);
	}
	phiz_bytes_text(b, "}");
}

static void add_tensor(struct phiz_bytes *b, const struct phiz_st_tensor *t, size_t begin)
{
	int i;

	phiz_bytes_json(b, t->name);
	phiz_bytes_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", dtype_text(t->dtype));
	for (i = 0; i < t->shape.ndim; i++)
		phiz_bytes_printf(b, i ? ",%lld" : "%lld", (long long)t->shape.dim[i]);
	phiz_bytes_printf(b, "],\"data_offsets\":[%zu,%zu]}", begin, begin + t->bytes);
}

static enum phiz_status make_header(struct phiz_ctx *ctx, const char *path, const struct phiz_st_tensor *tensor,
                                    size_t count, const struct phiz_meta *meta, size_t n_meta, struct phiz_bytes *out)
{
	size_t i, begin = 0;

	phiz_bytes_u64le(out, 0);
	phiz_bytes_text(out, "{");
	if (n_meta > 0)
		add_metadata(out, meta, n_meta);
	for (i = 0; i < count; i++) {
		if (i > 0 || n_meta > 0)
			phiz_bytes_text(out, ",");
		add_tensor(out, &tensor[i], begin);
		if (!phiz_size_add(begin, tensor[i].bytes, &begin))
			return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: the tensors are larger than an address", path);
	}
	phiz_bytes_text(out, "}");
	while (!out->failed && out->size % ALIGN)
		phiz_bytes_text(out, " ");
	if (phiz_bytes_status(out))
		return phiz_bytes_status(out);
	if (out->size - 8 > MAX_HEADER)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: the header would have %zu bytes, the format allows %d", path,
		                 out->size - 8, MAX_HEADER);
	for (i = 0; i < 8; i++)
		out->data[i] = (char)((uint64_t)(out->size - 8) >> (8 * i));
	return PHIZ_OK;
}

static enum phiz_status write_file(struct phiz_ctx *ctx, const char *path, const struct phiz_bytes *header,
                                   const struct phiz_st_tensor *tensor, size_t count)
{
	struct phiz_writer *w;
	enum phiz_status status;
	size_t i;

	status = phiz_writer_open(ctx, path, &w);
	if (status)
		return status;
	status = phiz_writer_add(w, header->data, header->size);
	for (i = 0; !status && i < count; i++)
		if (tensor[i].bytes > 0)
			status = phiz_writer_add(w, tensor[i].data, tensor[i].bytes);
	if (!status)
		return phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	return status;
}

enum phiz_status phiz_st_write(struct phiz_ctx *ctx, const char *path, const struct phiz_st_tensor *tensor,
                               size_t count, const struct phiz_meta *meta, size_t n_meta)
{
	struct phiz_bytes header;
	enum phiz_status status;

	phiz_bytes_init(&header, ctx);
	status = check_names(ctx, path, tensor, count);
	if (!status)
		status = make_header(ctx, path, tensor, count, meta, n_meta, &header);
	if (!status)
		status = write_file(ctx, path, &header, tensor, count);
	phiz_bytes_free(&header);
	return status;
}

enum phiz_status phiz_safetensors_write(struct phiz_ctx *ctx, const char *path, const struct phiz_tensors *t)
{
	struct phiz_st_tensor *item = phiz_alloc(ctx, t->count, sizeof(*item));
	enum phiz_status status = item ? PHIZ_OK : PHIZ_E_NOMEM;
	char shown[PHIZ_SHOWN];
	size_t i;

	for (i = 0; !status && i < t->count; i++) {
		const struct phiz_tensor *from = t->entry[i].tensor;

		if (!phiz_tensor_contiguous(from))
			status = phiz_fail(ctx, PHIZ_E_ARG, "%s: tensor '%s' is not contiguous", path,
			                   phiz_shown(t->entry[i].name, strlen(t->entry[i].name), shown));
		item[i].name = t->entry[i].name;
		item[i].dtype = from->dtype;
		item[i].shape = from->shape;
		item[i].data = from->data;
		item[i].bytes = phiz_tensor_bytes(from);
	}
	if (!status)
		status = phiz_st_sort(ctx, item, t->count);
	if (!status)
		status = phiz_st_write(ctx, path, item, t->count, t->meta, t->n_meta);
	phiz_free(ctx, item);
	return status;
}
