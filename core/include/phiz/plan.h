/* The plan: one graph made ready to run. Chooses kernels, orders forward and backward steps, lays all activations and
 * gradients into one arena by their lifetimes. A run allocates nothing. */
#ifndef PHIZ_PLAN_H
#define PHIZ_PLAN_H

#include <phiz/graph.h>
#include <phiz/op.h>
#include <phiz/update.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_bytes;
struct phiz_tuning; /* tune.h */

/* A device's memory and kernels. */
struct phiz_backend {
	const char *name; /* "cpu" */
	bool infers_only; /* plans of it run models, they do not train (UNSUPPORTED) */
	enum phiz_layout picture_layout; /* how pictures lie best, where kernels and shapes allow it */
	enum phiz_layout wide_layout;    /* the same in plans of F32 */
	/* The best kernel for the call's node, dtype and shapes in this direction, or NULL. dtype is the plan's precision
	 * if one of the node's inputs and outputs has it (others may be f32), else that of input 0. */
	const struct phiz_kernel *(*find)(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
	                                  bool backward);
	/* The next best after a kernel that find or this gave for the same call, or NULL. */
	const struct phiz_kernel *(*next)(struct phiz_ctx *ctx, const struct phiz_call *call, enum phiz_dtype dtype,
	                                  bool backward, const struct phiz_kernel *after);
	/* Appends what speed depends on, in a line of printable ASCII. This and `next` are NULL where a call never has two
	 * kernels. */
	enum phiz_status (*machine)(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_bytes *out);
	/* Memory that kernels read and write, 64-byte aligned at least. NULL on failure, error set. */
	void *(*alloc)(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes);
	void (*free)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory);
	/* Where that memory is a device's, which the host cannot read, and NULL where it is not: */
	const struct phiz_device_calls *device;
	void *state; /* of the device */
};

/* A run as a device has recorded it, to do it again in one go. */
struct phiz_recording;

struct phiz_device_calls {
	/* Memory of the host that the device reads and writes fast. NULL on failure, error set. */
	void *(*alloc_staging)(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes);
	void (*free_staging)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *memory);
	/* One thread at a time makes plans and runs them: from `on` to off, which may be nested. NULL: no matter. */
	void (*hold)(const struct phiz_backend *backend, bool on);
	/* Copies in the order of the kernels; what is read must stay until sync or the end of a run. */
	enum phiz_status (*upload)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
	                           size_t bytes);
	enum phiz_status (*download)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
	                             size_t bytes);
	enum phiz_status (*sync)(struct phiz_ctx *ctx, const struct phiz_backend *backend);
	/* Copies beside the kernels, which go on; what comes after `land` in the kernels' order comes after these copies
	 * too. copy: from one place on the device to another, in the kernels' order. */
	enum phiz_status (*upload_ahead)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to,
	                                 const void *from, size_t bytes);
	enum phiz_status (*land)(struct phiz_ctx *ctx, const struct phiz_backend *backend);
	enum phiz_status (*copy)(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *to, const void *from,
	                         size_t bytes);
	/* Does `steps`, without waiting for them. *recording, NULL at first, lets the device do the same steps (same
	 * memory, same sizes) again without the host's part; `forget` frees it. recording NULL: they are not recorded. */
	enum phiz_status (*run)(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording,
	                        enum phiz_status (*steps)(void *arg), void *arg);
	void (*forget)(struct phiz_ctx *ctx, const struct phiz_backend *backend, struct phiz_recording **recording);
	/* From now on plans that train take the kernels that are fastest by the clock (true), or those that give the same
	 * bits in each run on this device (false, as it is at first). */
	void (*choose_by_clock)(const struct phiz_backend *backend, bool on);
	/* update.h. Neither waits. */
	enum phiz_status (*update)(struct phiz_ctx *ctx, const struct phiz_backend *backend,
	                           const struct phiz_update *update);
	enum phiz_status (*average)(struct phiz_ctx *ctx, const struct phiz_backend *backend,
	                            const struct phiz_average *average);
};

/* The CPU (core/cpu). Which instruction sets it uses is decided at the first call from the processor and from the
 * environment variable PHIZ_CPU (reference, sse2, avx2, avx512, vnni, neon), which tests set. */
PHIZ_API const struct phiz_backend *phiz_backend_cpu(void);
/* Reference kernels only, in the dtype of the graph (f32 or f64): what tests compare with. */
PHIZ_API const struct phiz_backend *phiz_backend_reference(void);

enum phiz_plan_mode { PHIZ_PLAN_INFER, PHIZ_PLAN_TRAIN };

struct phiz_plan_options {
	const struct phiz_backend *backend; /* required: phiz_backend_cpu() for instance */
	const struct phiz_backend *fallback; /* plans what `backend` cannot (UNSUPPORTED), which the log says in a line;
	                                        NULL: that is an error */
	enum phiz_plan_mode mode;
	int64_t batch;         /* 0: 1 */
	int64_t height, width; /* of 4-d inputs; 0: as in the graph */
	int loss;              /* TRAIN: the scalar value that backward starts from; PHIZ_NONE: a plan without backward */
	bool input_gradient;   /* also give gradients of float inputs (tests) */
	uint64_t seed;         /* for dropout */
	size_t memory_limit;   /* bytes of phiz_plan_info.total_bytes; 0: none. LIMIT, before any of it is asked for, where
	                          more is needed, or more than is left of the context's own limit */
	/* Of activations and their gradients where the backend has kernels for it: F32 (the graph's own), BF16 or F16.
	 * Parameters, their gradients and what is read off a plan (its outputs, the loss) keep the graph's dtype. */
	enum phiz_dtype precision;
	bool fixed;            /* INFER: parameters and buffers keep their values while the plan lives, so that kernels may
	                          keep what they make of them */
	bool consume;          /* fixed: and what was made into something else is given up (phiz_tensor_release), so that it
	                          is in memory once. The graph's parameters then serve this plan alone */
	const struct phiz_plan *parameters_of; /* on a device: its copies of the tensors that both graphs have serve this
	                                          plan too, and must outlive it; NULL: copies of its own */
	const struct phiz_tuning *tuning; /* INFER: kernels as these choices have it, where they fit; NULL: as the backend
	                                     has it. Looked at while the plan is made */
};

struct phiz_plan;

struct phiz_plan_info {
	int steps, forward_steps, backward_steps;
	size_t arena_bytes;     /* activations and gradients of activations, laid over each other by lifetime */
	size_t unshared_bytes;  /* what they would take without sharing */
	size_t gradient_bytes;  /* gradients of parameters */
	size_t workspace_bytes;
	size_t constant_bytes;  /* what kernels made of parameters that stay as they are */
	size_t parameter_bytes; /* parameters and buffers of the graph, which the model owns */
	size_t device_bytes;    /* what a device's plan takes beside the above: its copies of parameters; on the host's
	                           side inputs, outputs and what the host's own steps touch */
	size_t total_bytes;     /* all that the plan takes, but for parameter_bytes */
	double forward_flops, backward_flops;
};

/* Plans the outputs (and the loss) of the graph, which must outlive the plan and must not change while it lives;
 * several threads may plan one graph, each with its own context.
 * Errors: UNSUPPORTED (names node, dtype and backend), SHAPE, LIMIT, NOMEM, ARG (also where another plan has consumed
 * the parameters). */
PHIZ_API enum phiz_status phiz_plan_create(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                           const struct phiz_plan_options *options, struct phiz_plan **out);
PHIZ_API void phiz_plan_free(struct phiz_plan **plan);
/* The one of the two backends that it runs on. */
PHIZ_API const struct phiz_backend *phiz_plan_backend(const struct phiz_plan *plan);

/* From now on runs work on n samples, 1 <= n <= the planned batch. Moves no memory, allocates nothing. */
PHIZ_API enum phiz_status phiz_plan_set_batch(struct phiz_plan *plan, int64_t n);
/* Randomness of the next runs (dropout) is that of this step. */
PHIZ_API void phiz_plan_set_step(struct phiz_plan *plan, uint64_t step);

/* The tensor of a value with the shapes of the current batch, or NULL if the plan has none (pruned, fused). Inputs:
 * write them before a run. Outputs: valid until the next run. Both are plain and of the graph's dtype; what lies
 * between may be of the plan's precision, and lie otherwise. */
PHIZ_API struct phiz_tensor *phiz_plan_tensor(struct phiz_plan *plan, int value);
/* The gradient of a trainable parameter (or of an input, with input_gradient), or NULL. Owned by the plan, in the
 * backend's memory. */
PHIZ_API struct phiz_tensor *phiz_plan_gradient(struct phiz_plan *plan, int value);

/* A device works on its own copies of parameters and buffers: the tensor of such a value there (on the CPU the model's
 * own), or NULL. push: the model's tensors to the device, after they were changed. pull: back, what training changes.
 * On the CPU both do nothing. */
PHIZ_API struct phiz_tensor *phiz_plan_parameter(struct phiz_plan *plan, int value);
PHIZ_API enum phiz_status phiz_plan_push(struct phiz_plan *plan);
PHIZ_API enum phiz_status phiz_plan_pull(struct phiz_plan *plan);

/* A device that is at an earlier run is sent the inputs of the next forward run while it is, once they are written:
 * those of two dims and more, which must then stay as they are until that run is over. Without a device, or in a plan
 * that does not train, it does nothing. */
PHIZ_API enum phiz_status phiz_plan_send_inputs(struct phiz_plan *plan);
PHIZ_API enum phiz_status phiz_plan_forward(struct phiz_plan *plan);
/* After forward. add: add to the parameters' gradients (accumulation) instead of writing them. scale: the gradient of
 * the loss itself, 1 for the plain mean. A device may still be at it when this returns: what it does next comes
 * after. */
PHIZ_API enum phiz_status phiz_plan_backward(struct phiz_plan *plan, bool add, double scale);

PHIZ_API void phiz_plan_describe(const struct phiz_plan *plan, struct phiz_plan_info *out);
/* A table of the steps: node, op, kernel, shapes, arena place, FLOPs. */
PHIZ_API enum phiz_status phiz_plan_dump(const struct phiz_plan *plan, struct phiz_bytes *out);

/* One step: a kernel's call for a node, forward or backward. Texts are the graph's and the kernel's own. */
struct phiz_plan_step_info {
	const char *node, *op, *kernel;
	bool backward;
	struct phiz_shape output; /* of the node's output 0, with the current batch */
	double flops, bytes;      /* of a run, 2 per multiply-add; bytes that must move at least once */
	double seconds;           /* of the last run; 0 where steps are not timed */
};
/* Steps 0 to info.steps - 1, in the order in which they run; false behind the end. */
PHIZ_API bool phiz_plan_step(const struct phiz_plan *plan, int step, struct phiz_plan_step_info *out);
/* From now on runs note how long each step takes, or no longer do. It costs two looks at the clock a step. */
PHIZ_API void phiz_plan_time_steps(struct phiz_plan *plan, bool on);

/* --- Rewrites, before planning. Each changes the graph in place and keeps its outputs' meaning; value and node ids
 * change, names stay. --- */

/* Drops nodes and values that no output needs, and dropout and casts to the same dtype in inference graphs. */
PHIZ_API enum phiz_status phiz_pass_prune(struct phiz_graph *graph);
PHIZ_API enum phiz_status phiz_pass_drop_identity(struct phiz_graph *graph);
/* conv2d + batch_norm -> conv2d with bias, in double. New tensors are made in ctx memory and handed to `adopt`, which
 * takes ownership (the model's tensor list); old ones that no node reads any more give their memory up, one by one. */
typedef enum phiz_status (*phiz_adopt_fn)(void *user, const char *name, struct phiz_tensor *tensor);
PHIZ_API enum phiz_status phiz_pass_fold_batch_norm(struct phiz_graph *graph, phiz_adopt_fn adopt, void *user);
/* relu (and leaky_relu) after conv2d, batch_norm, add or linear becomes their attribute `act`. training: only after
 * batch_norm, whose fused form has a backward pass that gains from it. */
PHIZ_API enum phiz_status phiz_pass_fuse_activation(struct phiz_graph *graph, bool training);
/* add after conv2d becomes conv2d's input `residual`; run before fuse_activation. */
PHIZ_API enum phiz_status phiz_pass_fuse_residual(struct phiz_graph *graph);
/* The input of this name, f32 [N, 3, H, W], becomes bytes (u8) that the graph normalises first, to the numbers that
 * phiz_preproc_normalize gives: a quarter of what has to be brought to a device. erased: also a new input of this name,
 * i32 [N, 4], a box (x, y, width, height) of each sample's picture that is 0 once it is normalised; NULL: none. Ids of
 * values stay. After an error the graph is of no use. Errors: SHAPE (there is no such input), ARG (the name is taken),
 * NOMEM. */
PHIZ_API enum phiz_status phiz_pass_bytes(struct phiz_graph *graph, const char *input, const float mean[3],
                                          const float std[3], const char *erased);

/* What a value took on in calibration; low > high where nothing is known. mean and square: averages of its elements and
 * of their squares by channel (dim 1), or NULL. */
struct phiz_range {
	float low, high;
	const float *mean, *square;
};
struct phiz_quantize_options {
	const struct phiz_range *range; /* one per value of the graph */
	const char *const *keep;        /* names of nodes that stay float */
	size_t n_keep;
	int64_t terms;                  /* PHIZ_QUANTIZED_TERMS: convolutions and linear layers of longer sums stay float */
	phiz_adopt_fn adopt;            /* as in phiz_pass_fold_batch_norm */
	void *user;
};
/* The graph (with f32 parameters, folded and fused) on bytes, in a new graph: conv2d with prelu, max_pool2d,
 * global_avg_pool and linear become their quantised operators where the ranges of what they read and write are known;
 * activations per value; filters per output channel, symmetric, with the step that costs the output least by the
 * input's squares, and the shift that rounding them brings taken off the bias. Inputs and outputs stay f32. */
PHIZ_API enum phiz_status phiz_pass_quantize(const struct phiz_graph *graph,
                                             const struct phiz_quantize_options *options, struct phiz_graph **out);

/* needs[v] (one per value): does value v depend on a trainable parameter? */
PHIZ_API void phiz_graph_needs_gradient(const struct phiz_graph *graph, bool *needs);

#ifdef __cplusplus
}
#endif
#endif
