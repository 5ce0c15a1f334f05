/* A TensorProto as a tensor: numbers in one run of bytes, in typed lists, or in a file beside the model. */
#include <string.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/io/onnx_proto.h"

enum { DIMS = 1, DATA_TYPE = 2, FLOAT_DATA = 4, INT32_DATA = 5, STRING_DATA = 6, INT64_DATA = 7, NAME = 8, RAW_DATA = 9,
       DOUBLE_DATA = 10, UINT64_DATA = 11, EXTERNAL_DATA = 13, DATA_LOCATION = 14 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };

/* By TensorProto.DataType: what it is in the file, what it becomes, and the typed list that may hold it. */
struct kind {
	int type;
	enum phiz_dtype in_file, dtype;
	int list;
	bool half; /* the list holds the bits of 16-bit numbers */
};

static const struct kind kinds[] = {
	{PHIZ_ONNX_T_FLOAT, PHIZ_F32, PHIZ_F32, FLOAT_DATA, false},
	{PHIZ_ONNX_T_DOUBLE, PHIZ_F64, PHIZ_F32, DOUBLE_DATA, false},
	{PHIZ_ONNX_T_FLOAT16, PHIZ_F16, PHIZ_F32, INT32_DATA, true},
	{PHIZ_ONNX_T_BFLOAT16, PHIZ_BF16, PHIZ_F32, INT32_DATA, true},
	{PHIZ_ONNX_T_INT8, PHIZ_I8, PHIZ_I8, INT32_DATA, false},
	{PHIZ_ONNX_T_UINT8, PHIZ_U8, PHIZ_U8, INT32_DATA, false},
	{PHIZ_ONNX_T_BOOL, PHIZ_U8, PHIZ_U8, INT32_DATA, false},
	{PHIZ_ONNX_T_INT32, PHIZ_I32, PHIZ_I32, INT32_DATA, false},
	{PHIZ_ONNX_T_INT64, PHIZ_I64, PHIZ_I64, INT64_DATA, false},
};

struct head {
	struct phiz_ctx *ctx;
	struct phiz_span message, name, raw;
	const struct kind *kind;
	struct phiz_shape shape;
	size_t bytes; /* in the file's dtype */
	bool has_raw, external, has_list;
	struct phiz_span location;
	int64_t offset, length; /* length -1: as the tensor needs */
	char shown[PHIZ_SHOWN];
};

static enum phiz_status fail(struct head *h, enum phiz_status status, const char *what)
{
	return phiz_fail(h->ctx, status, "tensor '%s': %s", phiz_span_shown(h->name, h->shown), what);
}

/* ---- The message without its numbers ---- */

static bool read_number(struct phiz_ctx *ctx, struct phiz_span text, int64_t *out)
{
	char digits[24];

	if (text.size >= sizeof(digits) || text.size == 0 || memchr(text.data, 0, text.size))
		return false;
	memcpy(digits, text.data, text.size);
	digits[text.size] = 0;
	return phiz_parse_i64(ctx, digits, 0, INT64_MAX, out) == PHIZ_OK;
}

/* One StringStringEntryProto of external_data. A checksum is there for those who want to check it. */
static bool read_external(struct head *h, struct phiz_span message)
{
	struct phiz_reader r = phiz_pb_reader(message);
	struct phiz_span key = {0}, value = {0};
	enum phiz_pb_result result;
	struct phiz_pb_field f;

	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD) {
		if (f.number == PAIR_KEY)
			key = f.span;
		else if (f.number == PAIR_VALUE)
			value = f.span;
	}
	if (result != PHIZ_PB_END)
		return false;
	if (phiz_span_is(key, "location"))
		h->location = value;
	else if (phiz_span_is(key, "offset"))
		return read_number(h->ctx, value, &h->offset);
	else if (phiz_span_is(key, "length"))
		return read_number(h->ctx, value, &h->length);
	return phiz_span_is(key, "location") || phiz_span_is(key, "checksum");
}

static bool read_field(struct head *h, const struct phiz_pb_field *f, int64_t *type)
{
	switch (f->number) {
	case DIMS: return phiz_onnx_add_ints(f, h->shape.dim, &h->shape.ndim, PHIZ_MAX_DIMS);
	case DATA_TYPE: *type = (int64_t)f->value; return f->kind == PHIZ_PB_VARINT;
	case NAME: h->name = f->span; return f->kind == PHIZ_PB_LENGTH;
	case RAW_DATA: h->raw = f->span; h->has_raw = true; return f->kind == PHIZ_PB_LENGTH;
	case EXTERNAL_DATA: return f->kind == PHIZ_PB_LENGTH && read_external(h, f->span);
	case DATA_LOCATION: h->external = f->value == 1; return f->kind == PHIZ_PB_VARINT && f->value <= 1;
	case FLOAT_DATA: case INT32_DATA: case STRING_DATA: case INT64_DATA: case DOUBLE_DATA: case UINT64_DATA:
		h->has_list = true;
	}
	return true;
}

static enum phiz_status read_head(struct head *h)
{
	struct phiz_reader r = phiz_pb_reader(h->message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;
	int64_t type = 0;
	size_t i;
	int d;

	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD)
		if (!read_field(h, &f, &type))
			return fail(h, PHIZ_E_FORMAT, "damaged, or of more than 6 dims");
	if (result != PHIZ_PB_END)
		return fail(h, PHIZ_E_FORMAT, "cut off or damaged");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].type == type)
			h->kind = &kinds[i];
	if (!h->kind)
		return phiz_fail(h->ctx, PHIZ_E_UNSUPPORTED,
		                 "tensor '%s': elements of type %lld, which phiz does not read (floats and integers it does)",
		                 phiz_span_shown(h->name, h->shown), (long long)type);
	for (d = 0; d < h->shape.ndim; d++)
		if (h->shape.dim[d] < 0)
			return fail(h, PHIZ_E_FORMAT, "a negative dim");
	if (phiz_shape_bytes(h->ctx, h->kind->in_file, &h->shape, &h->bytes))
		return phiz_fail_in(h->ctx, "tensor '%s'", phiz_span_shown(h->name, h->shown));
	return PHIZ_OK;
}

/* ---- Numbers in one run of bytes ---- */

static enum phiz_status from_bytes(struct head *h, const void *bytes, struct phiz_tensor *to)
{
	struct phiz_tensor from;
	void *aligned;
	enum phiz_status status;

	if (h->kind->in_file == h->kind->dtype) {
		if (h->bytes > 0)
			memcpy(to->data, bytes, h->bytes);
		return PHIZ_OK;
	}
	aligned = phiz_alloc(h->ctx, h->bytes, 1); /* the file's numbers stand anywhere */
	if (!aligned)
		return PHIZ_E_NOMEM;
	if (h->bytes > 0)
		memcpy(aligned, bytes, h->bytes);
	phiz_tensor_view(&from, h->kind->in_file, &h->shape, aligned);
	status = phiz_tensor_convert(h->ctx, &from, to);
	phiz_free(h->ctx, aligned);
	return status;
}

/* ---- Numbers in typed lists ---- */

static size_t numbers_in(const struct head *h, const struct phiz_pb_field *f)
{
	size_t n = 0, i;

	if (f->kind != PHIZ_PB_LENGTH)
		return 1;
	if (h->kind->list == FLOAT_DATA)
		return f->span.size / 4;
	if (h->kind->list == DOUBLE_DATA)
		return f->span.size / 8;
	for (i = 0; i < f->span.size; i++)
		n += f->span.data[i] < 0x80; /* the last byte of each varint */
	return n;
}

/* One number in the file's dtype at *to. */
static bool store(const struct head *h, uint64_t bits, unsigned char **to)
{
	int64_t v = (int64_t)bits;
	size_t size = phiz_dtype_size(h->kind->in_file);
	enum phiz_dtype dtype = h->kind->in_file;

	if ((h->kind->half && bits > 0xffff) || (dtype == PHIZ_I8 && (v < INT8_MIN || v > INT8_MAX)) ||
	    (dtype == PHIZ_U8 && bits > UINT8_MAX) || (dtype == PHIZ_I32 && (v < INT32_MIN || v > INT32_MAX)))
		return false;
	memcpy(*to, &bits, size); /* little endian, as all of phiz's machines */
	*to += size;
	return true;
}

static bool store_field(const struct head *h, const struct phiz_pb_field *f, unsigned char **to)
{
	struct phiz_reader r = phiz_pb_reader(f->span);
	bool f32 = h->kind->list == FLOAT_DATA, f64 = h->kind->list == DOUBLE_DATA;
	enum phiz_pb_kind one = f32 ? PHIZ_PB_FIXED32 : f64 ? PHIZ_PB_FIXED64 : PHIZ_PB_VARINT;
	uint64_t bits = 0;
	uint32_t narrow;
	bool ok = true;

	if (f->kind != PHIZ_PB_LENGTH)
		return f->kind == one && store(h, f->value, to);
	while (ok && phiz_reader_left(&r) > 0) {
		ok = f32 ? phiz_reader_u32(&r, &narrow) : f64 ? phiz_reader_u64(&r, &bits) : phiz_pb_varint(&r, &bits);
		if (ok)
			ok = store(h, f32 ? narrow : bits, to);
	}
	return ok;
}

/* Counts first, so that memory is asked for only where there is that much. */
static enum phiz_status from_lists(struct head *h, struct phiz_tensor *to)
{
	struct phiz_reader r = phiz_pb_reader(h->message);
	unsigned char *bytes = phiz_alloc(h->ctx, h->bytes, 1), *at = bytes;
	enum phiz_status status = PHIZ_OK;
	struct phiz_pb_field f;

	if (!bytes)
		return PHIZ_E_NOMEM;
	while (!status && phiz_pb_next(&r, &f) == PHIZ_PB_FIELD)
		if (f.number == h->kind->list && !store_field(h, &f, &at))
			status = fail(h, PHIZ_E_FORMAT, "a number that its type cannot hold");
	if (!status)
		status = from_bytes(h, bytes, to);
	phiz_free(h->ctx, bytes);
	return status;
}

static size_t count_lists(const struct head *h)
{
	struct phiz_reader r = phiz_pb_reader(h->message);
	struct phiz_pb_field f;
	size_t n = 0;

	while (phiz_pb_next(&r, &f) == PHIZ_PB_FIELD)
		if (f.number == h->kind->list)
			n += numbers_in(h, &f);
	return n;
}

/* ---- Numbers in a file beside the model ---- */

/* A plain name of a file in the folder: no way out of it. */
static bool plain_name(struct phiz_span name)
{
	size_t i;

	if (name.size == 0 || name.size > 255 || phiz_span_is(name, ".") || phiz_span_is(name, ".."))
		return false;
	for (i = 0; i < name.size; i++)
		if (name.data[i] == 0 || name.data[i] == '/' || name.data[i] == '\\')
			return false;
	return true;
}

static enum phiz_status open_external(struct head *h, const char *folder, struct phiz_input *input)
{
	char name[256];
	struct stat st;
	char *path;
	enum phiz_status status;

	if (!folder || !plain_name(h->location))
		return phiz_fail(h->ctx, PHIZ_E_UNSUPPORTED,
		                 "tensor '%s': its data lies in another file that is not right beside the model",
		                 phiz_span_shown(h->name, h->shown));
	memcpy(name, h->location.data, h->location.size);
	name[h->location.size] = 0;
	path = phiz_path_join(h->ctx, folder, name);
	if (!path)
		return PHIZ_E_NOMEM;
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		status = fail(h, PHIZ_E_UNSUPPORTED, "its data lies behind a link, or in what is no file");
	else
		status = phiz_input_open(h->ctx, path, input);
	phiz_free(h->ctx, path);
	return status;
}

static enum phiz_status read_external_file(struct head *h, struct phiz_onnx_beside *beside, struct phiz_tensor **out)
{
	struct phiz_input input;
	void *bytes = NULL;
	enum phiz_status status = open_external(h, beside->folder, &input);

	if (status)
		return status;
	if (h->bytes > beside->left)
		status = fail(h, PHIZ_E_LIMIT, "too much data in files beside the model");
	else if ((h->length >= 0 && (uint64_t)h->length != h->bytes) || (uint64_t)h->offset > input.size ||
	    h->bytes > input.size - (size_t)h->offset)
		status = fail(h, PHIZ_E_FORMAT, "its data is not where the model says: the file beside it is too short");
	if (!status)
		status = phiz_tensor_create(h->ctx, h->kind->dtype, &h->shape, out);
	if (!status && !(bytes = phiz_alloc(h->ctx, h->bytes, 1)))
		status = PHIZ_E_NOMEM;
	if (!status && h->bytes > 0 && !phiz_input_read(&input, (size_t)h->offset, bytes, h->bytes))
		status = fail(h, PHIZ_E_IO, "its data cannot be read");
	if (!status)
		status = from_bytes(h, bytes, *out);
	if (!status)
		beside->left -= h->bytes;
	phiz_free(h->ctx, bytes);
	phiz_input_close(&input);
	return status;
}

/* ---- Reading ---- */

static enum phiz_status check_count(struct head *h)
{
	size_t size = phiz_dtype_size(h->kind->in_file), got = h->has_raw ? h->raw.size / size : count_lists(h);
	char text[128];

	if (got == h->bytes / size && (!h->has_raw || h->raw.size == h->bytes))
		return PHIZ_OK;
	return phiz_fail(h->ctx, PHIZ_E_FORMAT, "tensor '%s': %zu numbers for shape %s",
	                 phiz_span_shown(h->name, h->shown), got, phiz_shape_text(&h->shape, text));
}

enum phiz_status phiz_onnx_read_tensor(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_beside *beside,
                                       struct phiz_span *name, struct phiz_tensor **out)
{
	struct head h;
	enum phiz_status status;

	*out = NULL;
	memset(&h, 0, sizeof(h));
	h.ctx = ctx;
	h.message = message;
	h.length = -1;
	status = read_head(&h);
	*name = h.name;
	if (status)
		return status;
	if (h.external) {
		status = read_external_file(&h, beside, out);
	} else {
		if (h.has_raw && h.has_list)
			return fail(&h, PHIZ_E_FORMAT, "raw_data and typed numbers at once");
		status = check_count(&h);
		if (!status)
			status = phiz_tensor_create(ctx, h.kind->dtype, &h.shape, out);
		if (!status)
			status = h.has_raw ? from_bytes(&h, h.raw.data, *out) : from_lists(&h, *out);
	}
	if (status)
		phiz_tensor_free(ctx, out);
	return status;
}
