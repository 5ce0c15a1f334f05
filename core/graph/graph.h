/* The graph from inside, for the plan and the passes. */
#ifndef PHIZ_GRAPH_GRAPH_H
#define PHIZ_GRAPH_GRAPH_H

#include <phiz/op.h>

struct phiz_graph {
	struct phiz_ctx *ctx;
	struct phiz_value *value;
	struct phiz_node *node;
	int *output;
	size_t n_values, values_capacity, n_nodes, nodes_capacity, n_outputs, outputs_capacity;
};

/* The types of all values for this batch and picture size (0: as built), into type[n_values]. Allocates nothing. */
enum phiz_status phiz_graph_infer(struct phiz_ctx *ctx, const struct phiz_graph *g, int64_t batch, int64_t height,
                                  int64_t width, struct phiz_type *type);
/* So that looking for a name compares numbers first. */
uint32_t phiz_name_hash(const char *name);
/* Gives a value and the node that makes it other names, which are taken over and which nothing else may have. */
void phiz_graph_rename(struct phiz_graph *g, int value, char *value_name, char *node_name);
/* Every use of `from` (inputs and graph outputs) becomes a use of `to`. */
void phiz_graph_replace(struct phiz_graph *g, int from, int to);
/* How many node inputs and graph outputs read the value. */
int phiz_graph_uses(const struct phiz_graph *g, int value);
/* Takes the tensors' shapes anew (a head was replaced) and infers all types again. */
enum phiz_status phiz_graph_refresh(struct phiz_graph *g);

/* FLOPs (2 per multiply-add) and bytes that must move at least once, of a run forward or of one backward that gives the
 * gradients in `want` (bit i: of input i). in: PHIZ_MAX_INPUTS types, absent ones with ndim -1. */
void phiz_node_cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    bool backward, unsigned want, double *flops, double *bytes);

/* Attributes and inputs by name; passes may not know the operators' own headers. */
bool phiz_node_is(const struct phiz_node *node, const char *op);
/* Index of the attribute, PHIZ_NONE if the op has none of this name. */
int phiz_node_attr(const struct phiz_node *node, const char *name);
int64_t phiz_node_attr_int(const struct phiz_node *node, const char *name, int64_t absent);
/* Index of the input of this name, PHIZ_NONE if the op has none. */
int phiz_node_slot(const struct phiz_node *node, const char *name);
/* The value at the input of this name or PHIZ_NONE. */
int phiz_node_input(const struct phiz_node *node, const char *name);

#endif
