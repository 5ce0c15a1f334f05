/* The graph: values and nodes are indices into arrays. Building checks shapes at once and names the node in the error.
 * A graph says what is computed; memory, kernels and order of execution are the plan's (plan.h). */
#ifndef PHIZ_GRAPH_H
#define PHIZ_GRAPH_H

#include <phiz/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PHIZ_MAX_INPUTS 16
#define PHIZ_MAX_OUTPUTS 4
#define PHIZ_MAX_ATTRS 16
#define PHIZ_NONE (-1) /* an optional input that is absent */

struct phiz_graph;
struct phiz_op; /* op.h */

enum phiz_value_kind {
	PHIZ_VALUE_INPUT,      /* filled by the caller before a run */
	PHIZ_VALUE_PARAM,      /* a named tensor of the model that training may change */
	PHIZ_VALUE_BUFFER,     /* a named tensor of the model that is state, not parameter (running statistics) */
	PHIZ_VALUE_ACTIVATION  /* made by a node */
};

struct phiz_value {
	char *name;
	uint32_t name_hash;          /* phiz_name_hash of it: graphs come from files with names of any kind and number */
	enum phiz_value_kind kind;
	struct phiz_type type;
	int node;                    /* the node that makes it, PHIZ_NONE for inputs, params and buffers */
	bool trainable;              /* params only: does it get a gradient */
	struct phiz_tensor *tensor;  /* params and buffers: borrowed from the model */
};

union phiz_attr {
	int64_t i;
	double f;
};

struct phiz_node {
	char *name; /* such as "layer2.0.conv1"; unique in the graph */
	uint32_t name_hash;
	const struct phiz_op *op;
	int n_inputs, n_outputs;
	int input[PHIZ_MAX_INPUTS]; /* value ids or PHIZ_NONE */
	int output[PHIZ_MAX_OUTPUTS];
	union phiz_attr attr[PHIZ_MAX_ATTRS]; /* in the order of op->attrs */
};

/* One attribute by name, for building. Integers are given exactly in doubles up to 2^53. */
struct phiz_attr_arg {
	const char *name;
	double value;
};

PHIZ_API enum phiz_status phiz_graph_create(struct phiz_ctx *ctx, struct phiz_graph **out);
PHIZ_API void phiz_graph_free(struct phiz_graph **graph);
/* Another graph of the same nodes and values, borrowing the same tensors. */
PHIZ_API enum phiz_status phiz_graph_clone(const struct phiz_graph *graph, struct phiz_graph **out);

/* Values. Dim 0 of an input is the batch; give 1, the plan sets it. Errors: ARG (name taken or empty), NOMEM. */
PHIZ_API enum phiz_status phiz_graph_input(struct phiz_graph *graph, const char *name, enum phiz_dtype dtype,
                                           const struct phiz_shape *shape, int *value);
PHIZ_API enum phiz_status phiz_graph_param(struct phiz_graph *graph, const char *name, struct phiz_tensor *tensor,
                                           int *value);
PHIZ_API enum phiz_status phiz_graph_buffer(struct phiz_graph *graph, const char *name, struct phiz_tensor *tensor,
                                            int *value);

/* Adds a node. Attributes that are not named take the op's defaults; an unknown name or a value out of range is ARG.
 * output receives one value id per output; the outputs are named NAME (and NAME:1, NAME:2 ...).
 * Errors: SHAPE ("conv2d layer2.0.conv1: want 64 input channels, got 3"), ARG, NOMEM. */
PHIZ_API enum phiz_status phiz_graph_add(struct phiz_graph *graph, const struct phiz_op *op, const char *name,
                                         const int *input, int n_inputs, const struct phiz_attr_arg *attr, int n_attrs,
                                         int *output);

/* Names a value as a result of the graph: it is kept by pruning and readable after a run. */
PHIZ_API enum phiz_status phiz_graph_output(struct phiz_graph *graph, int value);
PHIZ_API void phiz_graph_clear_outputs(struct phiz_graph *graph);

PHIZ_API int phiz_graph_n_values(const struct phiz_graph *graph);
PHIZ_API int phiz_graph_n_nodes(const struct phiz_graph *graph);
PHIZ_API int phiz_graph_n_outputs(const struct phiz_graph *graph);
PHIZ_API int phiz_graph_output_at(const struct phiz_graph *graph, int i);
PHIZ_API struct phiz_value *phiz_graph_value(struct phiz_graph *graph, int value);
PHIZ_API struct phiz_node *phiz_graph_node(struct phiz_graph *graph, int node);
/* PHIZ_NONE if there is none of this name. */
PHIZ_API int phiz_graph_find_value(const struct phiz_graph *graph, const char *name);
PHIZ_API int phiz_graph_find_node(const struct phiz_graph *graph, const char *name);

/* Checks everything that building checks once more, and that nodes are in topological order. For graphs that a pass
 * has rewritten or a file has brought. */
PHIZ_API enum phiz_status phiz_graph_verify(struct phiz_graph *graph);

#ifdef __cplusplus
}
#endif
#endif
