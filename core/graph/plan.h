/* The plan from inside. Time runs over events: node i runs forward at event i and backward at event 2*n_nodes - i; the
 * gradient of the loss is set at event n_nodes. A slot is a piece of the arena with a lifetime in events. */
#ifndef PHIZ_GRAPH_PLAN_H
#define PHIZ_GRAPH_PLAN_H

#include <phiz/plan.h>

#include "core/graph/graph.h"

struct phiz_slot {
	size_t bytes, offset;
	int first, last; /* events at which it must hold its contents, both included */
};

struct phiz_step {
	int node;
	bool backward;
	const struct phiz_kernel *kernel;
	unsigned accumulate;  /* bits that are always set in call.accumulate */
	unsigned first_param; /* bits of parameters whose first contribution this is: set when the caller adds */
	double flops;
	double seconds; /* of the last run, where the plan is timed */
	size_t constant_bytes, constant_offset; /* of what the kernel keeps, in `constants` */
	struct phiz_call call;
};

struct phiz_plan {
	struct phiz_ctx *ctx;
	const struct phiz_graph *graph;
	struct phiz_plan_options options;
	int64_t batch; /* of the next run */
	int end;       /* the last event */
	bool timed;    /* runs note the seconds of each step */

	/* By value. */
	struct phiz_type *type;
	int *value_slot, *gradient_slot; /* PHIZ_NONE: none in the arena */
	bool *live;                      /* needed by an output or the loss */
	bool *gradient;                  /* gets a gradient */
	bool *low;                       /* its tensor and its gradient are of the plan's precision */
	enum phiz_layout *layout;        /* of its tensor and its gradient */
	size_t *param_offset;            /* of its gradient in `gradients`; only where gradient and kind is PARAM */
	struct phiz_tensor *tensor, *gradient_tensor;

	/* By node. */
	bool *live_node;
	unsigned *want; /* bit i: input i gets a gradient; 0: no backward step */
	int (*saved_slot)[PHIZ_MAX_SAVED];
	bool (*alias_gradient)[PHIZ_MAX_INPUTS]; /* the gradient of input i is the gradient of output 0, in place */

	struct phiz_slot *slot;
	size_t n_slots, slots_capacity;
	struct phiz_step *step;
	size_t n_steps, n_forward;

	size_t arena_bytes, gradient_bytes, workspace_bytes, constant_bytes, device_bytes, total_bytes;
	size_t counted_bytes; /* of a device's plan: by the context */
	char *arena, *gradients, *workspace, *constants;

	/* On a device: */
	char *mirror;                    /* its copies of parameters and buffers, but for those of options.parameters_of */
	void **mirror_at;                /* by value: where its copy is */
	bool *on_host;                   /* by node: the device has no kernel for it, so the host does its steps */
	/* What the host has of the device's tensors: inputs, outputs, and what its own steps read and write; data NULL
	 * elsewhere. */
	struct phiz_tensor *staged, *staged_gradient; /* by value */
	void *(*staged_saved)[PHIZ_MAX_SAVED];        /* by node */
	void *host_workspace;
	void **landing; /* by value: where an input of a plan that trains is sent ahead */
	bool sent;      /* they were */
	struct phiz_segment *segment;
	size_t n_segments, n_forward_segments;
	int64_t recorded_batch; /* of the recordings of batches that are not the planned one; 0: none */
};

/* Steps that run in one go: on the device, or one of the host. Recordings of the planned batch and of another, without
 * and with adding to the parameters' gradients. */
struct phiz_segment {
	size_t first, end;
	bool on_host;
	struct phiz_recording *recording[2][2];
};

/* A device is one thread's at a time. */
static inline void phiz_plan_hold(const struct phiz_backend *backend, bool on)
{
	if (backend->device && backend->device->hold)
		backend->device->hold(backend, on);
}

/* device.c: what a plan needs where the kernels' memory is not the host's. */
size_t phiz_plan_device_bytes(const struct phiz_plan *p); /* what the next asks for */
enum phiz_status phiz_plan_place_on_device(struct phiz_plan *p);
void phiz_plan_stage(struct phiz_plan *p);
enum phiz_status phiz_plan_run_on_device(struct phiz_plan *p, bool backward, bool add, float scale);
void phiz_plan_leave_device(struct phiz_plan *p);
/* plan.c: steps first to end - 1. */
enum phiz_status phiz_plan_run_steps(struct phiz_plan *p, size_t first, size_t end, bool add);

/* autograd.c: live, live_node, gradient, want. */
void phiz_plan_mark(struct phiz_plan *p);
/* lifetime.c: slots of values, saved values and gradients, and which of them share. */
enum phiz_status phiz_plan_slots(struct phiz_plan *p);
/* precision.c: sets `low` for all that may be; clears it for what a node touches, false where nothing was set; and
 * gives the activations' types their dtypes. */
void phiz_plan_propose_precision(struct phiz_plan *p);
bool phiz_plan_take_back_precision(struct phiz_plan *p, int node);
void phiz_plan_lower_types(struct phiz_plan *p);
/* layout.c: sets `layout` for all that may lie so; and makes plain what a node touches, false where all of it was. */
void phiz_plan_propose_layouts(struct phiz_plan *p);
bool phiz_plan_take_back_layouts(struct phiz_plan *p, int node);
/* arena.c: an offset for each slot such that no two that live at the same time overlap. */
enum phiz_status phiz_arena_layout(struct phiz_ctx *ctx, struct phiz_slot *slot, size_t n, size_t *bytes);

/* tune.c: gives the forward steps, which have their kernels, those that options.tuning chooses. */
enum phiz_status phiz_plan_choose_tuned(struct phiz_plan *p);
/* The kernel that comes after this one in the backend's order of preference for a bound step, NULL: its first. */
const struct phiz_kernel *phiz_plan_kernel(const struct phiz_plan *p, const struct phiz_step *step,
                                           const struct phiz_kernel *after);
/* Types for this batch, and all steps bound to them. */
enum phiz_status phiz_plan_retype(struct phiz_plan *p, int64_t batch);

/* The types of a node's inputs (PHIZ_MAX_INPUTS, absent ones with ndim -1) and outputs, with the current batch. */
void phiz_plan_types(const struct phiz_plan *p, int node, struct phiz_type *in, struct phiz_type *out);

static inline int phiz_forward_event(const struct phiz_plan *p, int node)
{
	(void)p;
	return node;
}
static inline int phiz_backward_event(const struct phiz_plan *p, int node)
{
	return 2 * (int)p->graph->n_nodes - node;
}

#endif
