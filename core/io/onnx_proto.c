#include "core/io/onnx_proto.h"

#include <string.h>

#include "core/base/error.h"

/* Fields, by message of onnx.proto. */
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum { ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_S = 4, ATTR_T = 5, ATTR_FLOATS = 7, ATTR_INTS = 8, ATTR_TYPE = 20 };
enum { INFO_NAME = 1, INFO_TYPE = 2, TYPE_TENSOR = 1, TENSOR_ELEM = 1, TENSOR_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1 };

bool phiz_span_is(struct phiz_span s, const char *text)
{
	return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

bool phiz_span_equal(struct phiz_span a, struct phiz_span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

char *phiz_span_shown(struct phiz_span s, char out[PHIZ_SHOWN])
{
	return phiz_shown(s.size ? (const char *)s.data : "", s.size, out);
}

bool phiz_onnx_add_ints(const struct phiz_pb_field *field, int64_t *out, int *n, int max)
{
	struct phiz_reader r = phiz_pb_reader(field->span);
	uint64_t v;

	if (field->kind == PHIZ_PB_VARINT) {
		if (*n >= max)
			return false;
		out[(*n)++] = (int64_t)field->value;
		return true;
	}
	while (field->kind == PHIZ_PB_LENGTH && phiz_reader_left(&r) > 0) {
		if (*n >= max || !phiz_pb_varint(&r, &v))
			return false;
		out[(*n)++] = (int64_t)v;
	}
	return field->kind == PHIZ_PB_LENGTH;
}

static float as_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static bool add_floats(const struct phiz_pb_field *field, float *out, int *n, int max)
{
	struct phiz_reader r = phiz_pb_reader(field->span);
	uint32_t bits;

	if (field->kind == PHIZ_PB_FIXED32) {
		if (*n >= max)
			return false;
		out[(*n)++] = as_float((uint32_t)field->value);
		return true;
	}
	while (field->kind == PHIZ_PB_LENGTH && phiz_reader_left(&r) > 0) {
		if (*n >= max || !phiz_reader_u32(&r, &bits))
			return false;
		out[(*n)++] = as_float(bits);
	}
	return field->kind == PHIZ_PB_LENGTH;
}

/* The span of a field that must be bytes, text or a message. */
static bool take(const struct phiz_pb_field *field, struct phiz_span *out)
{
	*out = field->span;
	return field->kind == PHIZ_PB_LENGTH;
}

static bool read_attr_field(const struct phiz_pb_field *f, struct phiz_onnx_attr *a)
{
	switch (f->number) {
	case ATTR_NAME: return take(f, &a->name);
	case ATTR_S: return take(f, &a->s);
	case ATTR_T: return take(f, &a->tensor);
	case ATTR_F: a->f = as_float((uint32_t)f->value); return f->kind == PHIZ_PB_FIXED32;
	case ATTR_I: a->i = (int64_t)f->value; return f->kind == PHIZ_PB_VARINT;
	case ATTR_TYPE: a->type = f->value <= 100 ? (int)f->value : -1; return f->kind == PHIZ_PB_VARINT;
	case ATTR_INTS: return phiz_onnx_add_ints(f, a->ints, &a->n_ints, PHIZ_ONNX_LIST);
	case ATTR_FLOATS: return add_floats(f, a->floats, &a->n_floats, PHIZ_ONNX_LIST);
	}
	return true;
}

static enum phiz_status read_attr(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_attr *a)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;
	char shown[PHIZ_SHOWN];

	memset(a, 0, sizeof(*a));
	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD)
		if (!read_attr_field(&f, a))
			return phiz_fail(ctx, PHIZ_E_FORMAT, "attribute '%s' is damaged, or a list of more than %d numbers",
			                 phiz_span_shown(a->name, shown), PHIZ_ONNX_LIST);
	return result == PHIZ_PB_END ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_FORMAT, "an attribute is damaged");
}

static enum phiz_status add_name(struct phiz_ctx *ctx, const struct phiz_pb_field *f, struct phiz_span *list, int *n,
                                 int max, const char *what)
{
	if (f->kind != PHIZ_PB_LENGTH)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s that are no names", what);
	if (*n >= max)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "more than %d %s", max, what);
	list[(*n)++] = f->span;
	return PHIZ_OK;
}

static enum phiz_status read_node_field(struct phiz_ctx *ctx, const struct phiz_pb_field *f,
                                        struct phiz_onnx_op_node *node)
{
	bool ok = true;

	switch (f->number) {
	case NODE_INPUT: return add_name(ctx, f, node->in, &node->n_in, PHIZ_ONNX_NODE_INPUTS, "inputs");
	case NODE_OUTPUT: return add_name(ctx, f, node->out, &node->n_out, PHIZ_ONNX_NODE_OUTPUTS, "outputs");
	case NODE_NAME: ok = take(f, &node->name); break;
	case NODE_OP: ok = take(f, &node->op); break;
	case NODE_DOMAIN: ok = take(f, &node->domain); break;
	case NODE_ATTRIBUTE:
		if (node->n_attrs >= PHIZ_ONNX_NODE_ATTRS)
			return phiz_fail(ctx, PHIZ_E_LIMIT, "more than %d attributes", PHIZ_ONNX_NODE_ATTRS);
		return f->kind == PHIZ_PB_LENGTH ? read_attr(ctx, f->span, &node->attr[node->n_attrs++])
		                                 : phiz_fail(ctx, PHIZ_E_FORMAT, "an attribute is damaged");
	}
	return ok ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_FORMAT, "field %d is not what it should be", f->number);
}

/* Names first, so that the caller can tell which node it was even where the rest is damaged. */
static void read_names(struct phiz_span message, struct phiz_onnx_op_node *node)
{
	struct phiz_reader r = phiz_pb_reader(message);
	struct phiz_pb_field f;

	while (phiz_pb_next(&r, &f) == PHIZ_PB_FIELD) {
		if (f.kind != PHIZ_PB_LENGTH)
			continue;
		if (f.number == NODE_NAME)
			node->name = f.span;
		else if (f.number == NODE_OP)
			node->op = f.span;
		else if (f.number == NODE_OUTPUT && node->out[0].size == 0)
			node->out[0] = f.span;
	}
}

enum phiz_status phiz_onnx_read_node(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_op_node *out)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	enum phiz_status status = PHIZ_OK;
	struct phiz_pb_field f;

	memset(out, 0, sizeof(*out));
	read_names(message, out);
	while (!status && (result = phiz_pb_next(&r, &f)) != PHIZ_PB_END)
		status = result == PHIZ_PB_FIELD ? read_node_field(ctx, &f, out)
		                                 : phiz_fail(ctx, PHIZ_E_FORMAT, "the node is cut off or damaged");
	return status;
}

/* ---- ValueInfoProto ---- */

/* A field within `message` that is a message; empty if there is none. false: damaged. */
static bool find_message(struct phiz_span message, int number, struct phiz_span *out)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;
	bool ok = true;

	memset(out, 0, sizeof(*out));
	while (ok && (result = phiz_pb_next(&r, &f)) != PHIZ_PB_END) {
		ok = result == PHIZ_PB_FIELD;
		if (ok && f.number == number)
			ok = take(&f, out);
	}
	return ok;
}

/* -1 for a dim with a name instead of a size, or with neither. */
static bool read_dim(struct phiz_span message, int64_t *out)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;

	*out = -1;
	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD)
		if (f.number == DIM_VALUE) {
			if (f.kind != PHIZ_PB_VARINT)
				return false;
			*out = (int64_t)f.value > 0 ? (int64_t)f.value : -1; /* 0 and -1: some exporters' "unknown" */
		}
	return result == PHIZ_PB_END;
}

static bool read_dims(struct phiz_span message, struct phiz_shape *shape)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;

	shape->ndim = 0;
	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD) {
		if (f.number != SHAPE_DIM)
			continue;
		if (f.kind != PHIZ_PB_LENGTH || shape->ndim >= PHIZ_MAX_DIMS || !read_dim(f.span, &shape->dim[shape->ndim]))
			return false;
		shape->ndim++;
	}
	return result == PHIZ_PB_END;
}

/* TypeProto.Tensor */
static bool read_tensor_type(struct phiz_span message, struct phiz_onnx_info *out)
{
	struct phiz_reader r = phiz_pb_reader(message);
	enum phiz_pb_result result;
	struct phiz_pb_field f;

	while ((result = phiz_pb_next(&r, &f)) == PHIZ_PB_FIELD) {
		if (f.number == TENSOR_ELEM)
			out->type = f.kind == PHIZ_PB_VARINT && f.value <= 100 ? (int)f.value : -1;
		else if (f.number == TENSOR_SHAPE && (f.kind != PHIZ_PB_LENGTH || !read_dims(f.span, &out->shape)))
			return false;
	}
	return result == PHIZ_PB_END;
}

enum phiz_status phiz_onnx_read_info(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_info *out)
{
	struct phiz_span type, tensor;

	memset(out, 0, sizeof(*out));
	out->shape.ndim = -1;
	if (!find_message(message, INFO_NAME, &out->name) || !find_message(message, INFO_TYPE, &type) ||
	    !find_message(type, TYPE_TENSOR, &tensor) || !read_tensor_type(tensor, out))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "damaged, or more than %d dims", PHIZ_MAX_DIMS);
	return PHIZ_OK;
}
