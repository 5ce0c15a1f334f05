/* What an operator is, and what a kernel of it is: the contract between graph, operators and backends. */
#ifndef PHIZ_OP_H
#define PHIZ_OP_H

#include <phiz/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PHIZ_MAX_SAVED 4

struct phiz_backend;

enum phiz_attr_kind { PHIZ_ATTR_INT, PHIZ_ATTR_FLOAT };

struct phiz_attr_desc {
	const char *name;
	enum phiz_attr_kind kind;
	double initial, min, max;
};

/* Work of one run of a node: FLOPs (2 per multiply-add) and bytes that must move at least once. */
struct phiz_cost {
	double forward_flops, backward_flops; /* backward: all gradients that the op can give */
	double forward_bytes, backward_bytes;
};

/* Everything that a kernel sees. All tensors are contiguous, in their layout. Absent inputs have data NULL and ndim
 * -1. */
struct phiz_call {
	struct phiz_ctx *ctx;
	const struct phiz_backend *backend; /* whose memory and kernels these are (plan.h) */
	const struct phiz_node *node;
	int n_in, n_out, n_saved;
	struct phiz_tensor in[PHIZ_MAX_INPUTS];
	struct phiz_tensor out[PHIZ_MAX_OUTPUTS];
	struct phiz_tensor saved[PHIZ_MAX_SAVED]; /* what forward leaves for backward (max-pool choices, batch statistics);
	                                             data NULL in a plan that has no backward for this node */
	struct phiz_tensor dout[PHIZ_MAX_OUTPUTS]; /* gradients of the outputs; data NULL: it is zero */
	struct phiz_tensor din[PHIZ_MAX_INPUTS];   /* gradients of the inputs; data NULL: not wanted */
	unsigned accumulate; /* bit i: add to din[i] instead of writing it */
	bool training;       /* the plan's mode: batch statistics, dropout at work */
	uint64_t seed, step; /* randomness is a function of (seed, step, stream, rng_stream) */
	uint32_t rng_stream; /* differs from node to node */
	const void *constants; /* what the kernel's prepare() made of parameters that stay as they are; or NULL */
	void *workspace;     /* as many bytes as workspace() asked for, 64-byte aligned, contents undefined */
	size_t workspace_bytes;
};

typedef enum phiz_status (*phiz_kernel_fn)(struct phiz_call *call);

/* One implementation of an operator for a dtype. forward or backward may be NULL (it has only the other). */
struct phiz_kernel {
	const char *op;       /* name of the operator */
	const char *name;     /* such as "im2col.openblas", shown by `phiz info --plan` */
	enum phiz_dtype dtype; /* of activations */
	unsigned features;    /* instruction sets that it needs (core/cpu/features.h), 0: none */
	/* May it do this call (shapes, attributes; data pointers are not set)? NULL: always. */
	bool (*supports)(const struct phiz_call *call);
	/* Scratch bytes for the call (may use threads); must not grow when dim 0 (the batch) shrinks. call->constants is
	 * not NULL where there will be some; nothing is to be read there yet. NULL: none. */
	size_t (*workspace)(const struct phiz_call *call, bool backward, int threads);
	phiz_kernel_fn forward, backward;
	bool blocked; /* takes blocked tensors, in any mixture that supports() lets pass; others see plain ones only */
	/* Forward only: bytes of what can be made of the call's parameters once and for all (filters in another order), for
	 * plans whose parameters do not change; and that making, into 64-byte aligned memory. forward does without where
	 * call->constants is NULL, and does not look at the parameters where it is not. NULL: nothing. */
	size_t (*constants)(const struct phiz_call *call);
	void (*prepare)(const struct phiz_call *call, void *constants);
};

struct phiz_op {
	const char *name;
	int min_inputs, max_inputs;
	int n_outputs;
	const char *const *input_names; /* max_inputs of them; "input", "weight" ... (variadic ops repeat the last) */
	const struct phiz_attr_desc *attrs;
	int n_attrs;
	unsigned diff_mask;  /* inputs that can get a gradient, bit i for input i; 0: the op has no backward */
	unsigned alias_mask; /* bit 0: output 0 may be written over input 0 in forward (elementwise)
	                        bit 1: output 0 IS input 0 (flatten, reshape): same bytes, another shape
	                        bit 2: the gradient of each input IS the gradient of output 0 (add) */
	unsigned state_mask; /* inputs that forward changes in place when training (running statistics) */
	bool variadic;       /* takes max_inputs or fewer inputs of the same role */

	/* The output types from the input types. A message without the node's name: the graph puts it in front. Absent
	 * inputs have ndim -1. Must work for any batch >= 1 and is called again by the plan. */
	enum phiz_status (*infer)(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
	                          struct phiz_type *out);
	/* The values that forward leaves for backward; returns how many (<= PHIZ_MAX_SAVED). NULL: none. */
	int (*saved)(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
	             struct phiz_type *saved);
	/* Which inputs and outputs backward reads to give the gradients in `want` (bit i: din[i]). NULL: none. */
	void (*reads)(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask);
	/* NULL: counted as bytes in plus bytes out, no FLOPs. */
	void (*cost)(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
	             struct phiz_cost *cost);
	/* The reference kernels, by the dtype of input 0; forward is NULL where there is none. Operators have them for f32
	 * and f64, quantised ones (ops.h) for u8. */
	struct phiz_kernel reference_f32, reference_f64, reference_u8;
};

/* The operator of this name, or NULL. (core/ops) */
PHIZ_API const struct phiz_op *phiz_op_find(const char *name);
/* All of them, in the order of ops.def. */
PHIZ_API int phiz_op_count(void);
PHIZ_API const struct phiz_op *phiz_op_at(int i);

#ifdef __cplusplus
}
#endif
#endif
