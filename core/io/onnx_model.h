/* An ONNX graph in the making: encoded nodes, and the tensors that will follow them. Shared by onnx_nodes.c (what each
 * operator becomes) and onnx_write.c (the file). The first failure stays in `status`; further calls do nothing. */
#ifndef PHIZ_IO_ONNX_MODEL_H
#define PHIZ_IO_ONNX_MODEL_H

#include <phiz/model.h>

#include "core/base/bytes.h"
#include "core/base/file.h"

/* TensorProto.DataType */
enum { PHIZ_ONNX_FLOAT = 1, PHIZ_ONNX_INT64 = 7 };

struct phiz_onnx_tensor {
	const char *name; /* borrowed from the graph or from names */
	int type;         /* TensorProto.DataType */
	struct phiz_shape shape;
	const void *data;
	void *owned; /* data, where it was made here */
	size_t bytes;
};

struct phiz_onnx {
	struct phiz_ctx *ctx;
	struct phiz_graph *graph;
	const char *path;
	enum phiz_status status;
	struct phiz_bytes nodes;            /* fields `node` of GraphProto */
	struct phiz_bytes node, attribute;  /* the ones being made */
	struct phiz_onnx_tensor *tensor;    /* fields `initializer` */
	size_t count, capacity;
	bool *stored;                       /* by value: its tensor is in the list */
	struct phiz_names names;            /* of values that the graph does not have */
};

/* TensorProto.DataType of a dtype. */
int phiz_onnx_type(enum phiz_dtype dtype);
/* Adds a tensor. owned may be NULL; else it is data's memory and is taken over, also on failure. */
void phiz_onnx_add_tensor(struct phiz_onnx *o, const char *name, int type, const struct phiz_shape *shape,
                          const void *data, size_t bytes, void *owned);
/* Adds what this node of ours becomes. */
void phiz_onnx_add_node(struct phiz_onnx *o, const struct phiz_node *node);

#endif
