/* The messages of onnx.proto that an import reads, taken apart within fixed bounds: names are spans of the file. */
#ifndef PHIZ_IO_ONNX_PROTO_H
#define PHIZ_IO_ONNX_PROTO_H

#include <phiz/tensor.h>

#include "core/io/json.h"
#include "core/io/protobuf.h"

#define PHIZ_ONNX_NODE_INPUTS 16
#define PHIZ_ONNX_NODE_OUTPUTS 8
#define PHIZ_ONNX_NODE_ATTRS 24
#define PHIZ_ONNX_LIST 16 /* numbers in a list of an attribute */

/* TensorProto.DataType, as far as phiz reads it. */
enum { PHIZ_ONNX_T_FLOAT = 1, PHIZ_ONNX_T_UINT8 = 2, PHIZ_ONNX_T_INT8 = 3, PHIZ_ONNX_T_INT32 = 6, PHIZ_ONNX_T_INT64 = 7,
       PHIZ_ONNX_T_BOOL = 9, PHIZ_ONNX_T_FLOAT16 = 10, PHIZ_ONNX_T_DOUBLE = 11, PHIZ_ONNX_T_BFLOAT16 = 16 };

/* AttributeProto.AttributeType */
enum { PHIZ_ONNX_A_FLOAT = 1, PHIZ_ONNX_A_INT = 2, PHIZ_ONNX_A_STRING = 3, PHIZ_ONNX_A_TENSOR = 4,
       PHIZ_ONNX_A_FLOATS = 6, PHIZ_ONNX_A_INTS = 7 };

struct phiz_onnx_attr {
	struct phiz_span name;
	int type;
	int64_t i;
	float f;
	struct phiz_span s, tensor;
	int n_ints, n_floats;
	int64_t ints[PHIZ_ONNX_LIST];
	float floats[PHIZ_ONNX_LIST];
	bool used; /* asked for: what is left over at the end is no attribute that phiz knows */
};

struct phiz_onnx_op_node {
	struct phiz_span name, op, domain;
	int n_in, n_out, n_attrs;
	struct phiz_span in[PHIZ_ONNX_NODE_INPUTS], out[PHIZ_ONNX_NODE_OUTPUTS]; /* empty: an optional one is absent */
	struct phiz_onnx_attr attr[PHIZ_ONNX_NODE_ATTRS];
};

/* ValueInfoProto of a tensor. */
struct phiz_onnx_info {
	struct phiz_span name;
	int type; /* TensorProto.DataType, 0: not a tensor */
	struct phiz_shape shape; /* -1 for a dim that the file leaves free; ndim -1: no shape is given */
};

bool phiz_span_is(struct phiz_span s, const char *text);
bool phiz_span_equal(struct phiz_span a, struct phiz_span b);
/* phiz_shown of a span. */
char *phiz_span_shown(struct phiz_span s, char out[PHIZ_SHOWN]);

/* Each gives FORMAT with a message (without the file's name) if the message is damaged, LIMIT beyond the bounds
 * above. */
enum phiz_status phiz_onnx_read_node(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_op_node *out);
enum phiz_status phiz_onnx_read_info(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_info *out);
/* Data in other files than the model's. */
struct phiz_onnx_beside {
	const char *folder; /* where they may lie, as files right in it; NULL: nowhere */
	size_t left;        /* bytes that may still be read from them: many tensors may name the same bytes */
};
/* onnx_tensor.c. A TensorProto with its name. Floating point of any width comes as F32, bool as U8. Sizes are held
 * against the bytes that are there before memory is asked for. LIMIT: more beside the model than may be read. */
enum phiz_status phiz_onnx_read_tensor(struct phiz_ctx *ctx, struct phiz_span message, struct phiz_onnx_beside *beside,
                                       struct phiz_span *name, struct phiz_tensor **out);
/* The numbers of a packed or unpacked repeated int64; false if it is damaged or has more than max. */
bool phiz_onnx_add_ints(const struct phiz_pb_field *field, int64_t *out, int *n, int max);

#endif
