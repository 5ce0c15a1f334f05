/* An ONNX graph on its way into ours: what its names stand for. Shared by onnx_read.c (the file), onnx_fold.c
 * (arithmetic on shapes and constants, done at import) and onnx_layers.c, onnx_shapes.c, onnx_arith.c (what each
 * operator becomes). The first failure stays in `status`; further calls do nothing.
 *
 * Networks compute shapes from the picture's size, which a plan may change later, so folded numbers must not be taken
 * for constants. Each is therefore known for several sizes of the input at once ("probes": the size it is built for,
 * another batch, another height, another width), as are the types of all values. What is the same in all probes is a
 * constant; what follows a dim of a value can be written as such. A probe that a node's shapes do not allow is given
 * up: that size is then fixed in the network itself. */
#ifndef PHIZ_IO_ONNX_IMPORT_H
#define PHIZ_IO_ONNX_IMPORT_H

#include <phiz/model.h>
#include <phiz/op.h>

#include "core/io/onnx_proto.h"

enum { PHIZ_PROBES = 4, PHIZ_PROBE_BATCH = 1, PHIZ_PROBE_HEIGHT = 2, PHIZ_PROBE_WIDTH = 3 };
#define PHIZ_FOLD_MAX 32 /* numbers in a list that is folded: shapes, scales, pads */

/* Numbers that are known at import. */
struct phiz_fold {
	int ndim; /* 0: a scalar, 1: a list */
	int n;
	bool whole; /* integers: division cuts */
	double v[PHIZ_PROBES][PHIZ_FOLD_MAX];
};

/* What a name stands for: one of these. */
struct phiz_onnx_value {
	struct phiz_span name;
	int value;                  /* of the graph, PHIZ_NONE if it is none */
	struct phiz_tensor *tensor; /* a constant, owned */
	struct phiz_fold *fold;     /* owned */
	int norm_of;                /* it is the L2 norm of this value along axis 1, at least norm_eps: to be divided by */
	double norm_eps;
	int param;                  /* its value in the graph, PHIZ_NONE: not used yet */
};

struct phiz_onnx_import {
	struct phiz_ctx *ctx;
	const char *path;
	struct phiz_model *model;
	struct phiz_graph *graph;
	enum phiz_status status;
	int64_t opset;
	int64_t size; /* where the file leaves height and width free */
	bool fixed_batch;
	size_t made, may_make; /* bytes of tensors: some nodes copy theirs, and a small file may have many such nodes */
	struct phiz_onnx_beside beside;
	unsigned renamed;      /* names that had to be changed so far */
	struct phiz_onnx_value *value;
	size_t n_values, capacity;
	uint32_t *slot; /* hash table of names: index + 1 into value, 0: empty */
	size_t n_slots;
	bool live[PHIZ_PROBES];
	struct phiz_type *type[PHIZ_PROBES]; /* of the graph's values */
	size_t types_capacity[PHIZ_PROBES];
	struct phiz_onnx_op_node node; /* the one being read */
	int n_nodes;                   /* of the file, so far */
};

/* ---- Messages: "FILE: Conv 'NAME': ..." */
enum phiz_status phiz_onnx_fail(struct phiz_onnx_import *m, enum phiz_status status, const char *fmt, ...)
	PHIZ_PRINTF(3, 4);

/* ---- Values ---- */

/* NULL if nothing has this name yet. */
struct phiz_onnx_value *phiz_onnx_find(struct phiz_onnx_import *m, struct phiz_span name);
/* Counts a tensor that is read or made; LIMIT as status beyond what the file's size explains. */
void phiz_onnx_count_bytes(struct phiz_onnx_import *m, const struct phiz_tensor *tensor);
/* A new name; NULL (status is set) if it is taken. */
struct phiz_onnx_value *phiz_onnx_new(struct phiz_onnx_import *m, struct phiz_span name);
/* Input i of the node: is it there at all? */
bool phiz_onnx_has(const struct phiz_onnx_import *m, int i);
/* Its value, or NULL with status set if it is absent or nothing before the node makes it. */
struct phiz_onnx_value *phiz_onnx_in(struct phiz_onnx_import *m, int i);
/* The same, as a value of the graph that is computed: PHIZ_NONE with status set for constants. */
int phiz_onnx_in_graph(struct phiz_onnx_import *m, int i);
bool phiz_onnx_in_is_constant(struct phiz_onnx_import *m, int i);
/* The constant tensor at input i, or NULL with status set. */
struct phiz_tensor *phiz_onnx_in_tensor(struct phiz_onnx_import *m, int i);
/* The numbers at input i: false, with no status, if they are not known at import. */
bool phiz_onnx_in_fold(struct phiz_onnx_import *m, int i, struct phiz_fold *out);
const struct phiz_shape *phiz_onnx_shape(const struct phiz_onnx_import *m, int probe, int value);
bool phiz_fold_same(const struct phiz_onnx_import *m, const struct phiz_fold *f, int i); /* in all live probes? */

/* The float constant at input i as a parameter (or buffer) of the graph, of the given shape: as many elements. */
int phiz_onnx_param(struct phiz_onnx_import *m, int i, const struct phiz_shape *shape, bool trainable);
/* A tensor that was made here, taken over, as a parameter named after the node. */
int phiz_onnx_new_param(struct phiz_onnx_import *m, const char *role, struct phiz_tensor *tensor, bool trainable);

/* ---- Nodes ---- */

/* Adds a node of ours. last: it makes the ONNX node's first output and is named after that. PHIZ_NONE after a
 * failure. */
int phiz_onnx_add(struct phiz_onnx_import *m, const char *op, const int *in, int n_in, const struct phiz_attr_arg *attr,
                  int n_attrs, bool last);
/* The node's first output is this value, tensor (taken over, also on failure) or fold. */
void phiz_onnx_out_value(struct phiz_onnx_import *m, int value);
void phiz_onnx_out_tensor(struct phiz_onnx_import *m, struct phiz_tensor *tensor);
void phiz_onnx_out_fold(struct phiz_onnx_import *m, const struct phiz_fold *fold);

/* ---- Attributes; a wrong type sets status ---- */

struct phiz_onnx_attr *phiz_onnx_attr(struct phiz_onnx_import *m, const char *name, int type);
int64_t phiz_onnx_int(struct phiz_onnx_import *m, const char *name, int64_t absent);
double phiz_onnx_float(struct phiz_onnx_import *m, const char *name, double absent);
/* n numbers into out (given with what stands there when it is absent), each from min to max. */
void phiz_onnx_ints(struct phiz_onnx_import *m, const char *name, int64_t *out, int n, int64_t min, int64_t max);
/* Axes in the attribute or, in newer opsets, at input i (at most PHIZ_ONNX_LIST); gives how many. */
int phiz_onnx_axes(struct phiz_onnx_import *m, int i, int64_t *out);
/* Fails unless the attribute is absent or this text. */
void phiz_onnx_want_text(struct phiz_onnx_import *m, const char *name, const char *text);

/* ---- Rows ---- */

/* True if the node was of constants alone and is done (or failed); onnx_fold.c. */
bool phiz_onnx_fold_node(struct phiz_onnx_import *m);
typedef void (*phiz_onnx_row_fn)(struct phiz_onnx_import *m);
/* What makes the node; NULL: phiz has no such operator. */
phiz_onnx_row_fn phiz_onnx_layer(struct phiz_span op);
phiz_onnx_row_fn phiz_onnx_shaping(struct phiz_span op);
phiz_onnx_row_fn phiz_onnx_arithmetic(struct phiz_span op);
phiz_onnx_row_fn phiz_onnx_folding(struct phiz_span op);

#endif
