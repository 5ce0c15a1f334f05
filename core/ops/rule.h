/* What the operators' shape rules and costs share. A rule's message says what it wanted and what it got, without the
 * node's name, which the graph puts in front. Compiled once (not in double). */
#ifndef PHIZ_OPS_RULE_H
#define PHIZ_OPS_RULE_H

#include <stdbool.h>

#include "core/ops/ops.h"

/* Limits of attributes: far above any use, low enough that no sum or product of theirs with a dim leaves int64_t. */
#define PHIZ_RULE_WINDOW_MAX 65536 /* filter size, stride, padding, dilation */
#define PHIZ_RULE_DIM_MAX INT32_MAX

/* Rows of a table of attributes. */
#define PHIZ_ATTR_WINDOW(name, initial, min) {name, PHIZ_ATTR_INT, initial, min, PHIZ_RULE_WINDOW_MAX}
#define PHIZ_ATTR_SWITCH(name, initial) {name, PHIZ_ATTR_INT, initial, 0, 1}
/* The slope is not negative, so that the sign of the output tells backward the sign of the input. */
#define PHIZ_ATTR_ACT {"act", PHIZ_ATTR_INT, PHIZ_ACT_NONE, PHIZ_ACT_NONE, PHIZ_ACT_LEAKY_RELU}
#define PHIZ_ATTR_ACT_SLOPE {"act_slope", PHIZ_ATTR_FLOAT, 0.01, 0, 1e6}

/* Is input i there? */
bool phiz_rule_has(const struct phiz_node *node, const struct phiz_type *in, int i);

/* What every rule starts with: attributes in their ranges, required inputs there, dims 1..PHIZ_RULE_DIM_MAX, bytes of
 * each input countable. After it, sums and differences of dims and attributes are safe in int64_t. */
enum phiz_status phiz_rule_begin(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in);

/* The name of input i, such as "weight". */
const char *phiz_rule_input_name(const struct phiz_node *node, int i);

enum phiz_status phiz_rule_float(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i);
enum phiz_status phiz_rule_dtype(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                 enum phiz_dtype want);
/* A parameter beside activations of in[0]: of the same dtype, or f32 where they are of 16 bits. */
enum phiz_status phiz_rule_param(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i);
/* dims: how they are written in the message, such as "[N, C, H, W]". */
enum phiz_status phiz_rule_ndim(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                int ndim, const char *dims);
enum phiz_status phiz_rule_shape(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                 const struct phiz_shape *want);
/* phiz_rule_param and shape [n]; fine if input i is absent. */
enum phiz_status phiz_rule_vector(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                  int64_t n);
/* f32 of shape [n]; fine if input i is absent. */
enum phiz_status phiz_rule_floats(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in, int i,
                                  int64_t n);
/* Attribute `attr` as a dim of shape, counted from the end if negative, into *axis. */
enum phiz_status phiz_rule_axis(struct phiz_ctx *ctx, const struct phiz_node *node, int attr,
                                const struct phiz_shape *shape, int *axis);
/* Sets *out after checking that its dims and bytes are within limits. */
enum phiz_status phiz_rule_output(struct phiz_ctx *ctx, enum phiz_dtype dtype, const struct phiz_shape *shape,
                                  struct phiz_type *out);
/* The rule of elementwise ops: one float input, the output is of the same type. */
enum phiz_status phiz_rule_same(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                struct phiz_type *out);

/* The output's shape of a convolution, whose inputs 0 and 1 and first attributes are conv2d's. After phiz_rule_begin;
 * dtypes are the operator's own affair. */
enum phiz_status phiz_rule_conv2d(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                  struct phiz_shape *out);
/* Pooling's output size as PyTorch counts it: floor or ceil, the last window begins inside the input or its left
 * padding. Floats, or u8 if the operator knows them. */
enum phiz_status phiz_rule_pool(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                                struct phiz_type *out);

/* The dtype of statistics, norms and probabilities kept for backward: f64 beside f64, else f32. */
enum phiz_dtype phiz_rule_wide(enum phiz_dtype dtype);

/* Bytes of a type (0 if absent) and elements, as doubles for counting work. */
double phiz_cost_bytes(const struct phiz_type *type);
double phiz_cost_count(const struct phiz_type *type);
/* Fills *cost: forward_flops and backward_flops as given; forward moves inputs and outputs, backward inputs, outputs,
 * the outputs' gradients and those of the inputs in the op's diff_mask. */
void phiz_cost_fill(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    double forward_flops, double backward_flops, struct phiz_cost *cost);

/* The cost of what moves no byte (flatten, reshape). */
void phiz_cost_none(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                    struct phiz_cost *cost);

/* Is one of the call's inputs or outputs blocked? And: do all inputs of the output's shape lie as the output does,
 * while the other inputs are plain? */
bool phiz_call_is_blocked(const struct phiz_call *call);
bool phiz_call_same_layout(const struct phiz_call *call);

/* Has this node a backward at all? Not for ops without one, nor for conv2d with something fused into it. */
bool phiz_op_has_backward(const struct phiz_node *node);

/* The operator's reference kernel for activations (input 0) of this dtype, or NULL. */
const struct phiz_kernel *phiz_op_reference(const struct phiz_op *op, enum phiz_dtype dtype);

#endif
