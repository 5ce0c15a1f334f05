/* One call of one operator, made by hand: shapes and attributes (struct op_case, drawn at random by op_draw), and
 * memory, values and the struct phiz_call of it (struct op_run). Shared by the tests of gradients, kernels and
 * golden vectors. */
#ifndef PHIZ_TESTS_OP_CASE_H
#define PHIZ_TESTS_OP_CASE_H

#include "support/support.h"

#include "core/base/rng.h"
#include "core/ops/ops.h"

/* Which activations stay f32 in a run of 16 bits: none, input 0, the output and what is of its shape. */
enum op_wide { OP_WIDE_NONE, OP_WIDE_IN, OP_WIDE_OUT, OP_WIDES };

struct op_case {
	struct phiz_node node;
	struct phiz_type in[PHIZ_MAX_INPUTS]; /* f32 stands for the precision of the run; ndim -1: absent */
	bool training;
	enum op_wide wide;
	char text[400]; /* after op_case_describe, for messages: what op_case_parse reads */
};

/* A case of this op with default attributes and no inputs yet. */
void op_case_init(struct op_case *c, const struct phiz_op *op);
/* Fails the test if the op has no such attribute. */
void op_case_attr(struct op_case *c, const char *name, double value);
void op_case_input(struct op_case *c, int i, enum phiz_dtype dtype, struct phiz_shape shape);
/* "conv2d [1,3,5,5] [2,3,3,3] - stride_h=2 training=1": the op, its inputs' shapes (- absent, i32[8] of another
 * dtype), attributes that differ from their defaults. */
void op_case_describe(struct op_case *c);
/* The other way round. Fails the test where the text is wrong. */
void op_case_parse(struct op_case *c, const char *text);

/* A valid case at random, dims around `scale`; trainable: one that backward takes (nothing fused into a conv2d). */
void op_draw(struct op_case *c, const struct phiz_op *op, struct phiz_rng *rng, int scale, bool trainable);

/* The same with channels in multiples of the dtype's block, mostly: what kernels for blocked tensors take. */
void op_draw_wide(struct op_case *c, const struct phiz_op *op, struct phiz_rng *rng, int scale, bool trainable,
                  enum phiz_dtype dtype);

/* A case with memory: each tensor in a block of its own between guard bytes. */
struct op_block {
	unsigned char *memory; /* guard, bytes, guard */
	size_t bytes;
};

struct op_run {
	struct phiz_ctx *ctx;
	struct phiz_node node;
	struct phiz_call call;
	struct op_block block[128];
	int n_blocks;
	enum phiz_dtype real;
};

/* The precision of the run is `real`: activations are of it, parameters too, but f32 beside 16 bits; U8: bytes. The
 * shape rule must accept the case. din has memory for every input in the op's diff_mask, accumulate is 0, all bytes are
 * 0xFF (NaN). */
void op_run_start(struct op_run *r, struct phiz_ctx *ctx, const struct op_case *c, enum phiz_dtype real);
/* Inputs and dout from a seed, each value exact in f32, none near 0 (where relu bends), labels with a few -1. */
void op_run_fill(struct op_run *r, uint64_t seed);
/* Rounds all values of floats to a dtype, so that runs of that dtype and of a wider one are of the same numbers. */
void op_run_round(struct op_run *r, enum phiz_dtype dtype);
/* Which tensors that can lie blocked do: none, all, inputs that are not of the output's shape, all others. */
enum op_blocks { OP_BLOCK_NONE, OP_BLOCK_ALL, OP_BLOCK_IN, OP_BLOCK_OUT, OP_BLOCKS };
/* Brings them into that layout, with their contents. */
void op_run_block(struct op_run *r, enum op_blocks which);
/* Workspace for this kernel and direction, as it asks for it. */
void op_run_workspace(struct op_run *r, const struct phiz_kernel *kernel, bool backward);
void op_run_forward(struct op_run *r, const struct phiz_kernel *kernel);
void op_run_backward(struct op_run *r, const struct phiz_kernel *kernel);
/* Fails if a byte around a tensor was changed. */
void op_run_guards(const struct op_run *r, const char *text);
void op_run_done(struct op_run *r);

/* Guarded memory of n bytes that lives as long as the run. */
void *op_run_memory(struct op_run *r, size_t n);

/* Element i, in the order of the dims, of a tensor of any dtype and layout. */
double op_get(const struct phiz_tensor *t, int64_t i);
void op_set(const struct phiz_tensor *t, int64_t i, double v);
/* Normal values, added to none. */
void op_fill_normal(const struct phiz_tensor *t, struct phiz_rng *rng);
/* All elements of a float tensor to NaN. */
void op_poison(const struct phiz_tensor *t);

#endif
