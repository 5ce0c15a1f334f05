/* Making a plan: mark what runs, give it memory, choose kernels, bind. And running it. */
#include "core/graph/plan.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

static enum phiz_status allocate_tables(struct phiz_plan *p)
{
	size_t values = p->graph->n_values + 1, nodes = p->graph->n_nodes + 1;
	struct phiz_ctx *ctx = p->ctx;

	p->type = phiz_calloc(ctx, values, sizeof *p->type);
	p->value_slot = phiz_calloc(ctx, values, sizeof *p->value_slot);
	p->gradient_slot = phiz_calloc(ctx, values, sizeof *p->gradient_slot);
	p->live = phiz_calloc(ctx, values, sizeof *p->live);
	p->low = phiz_calloc(ctx, values, sizeof *p->low);
	p->layout = phiz_calloc(ctx, values, sizeof *p->layout);
	p->gradient = phiz_calloc(ctx, values, sizeof *p->gradient);
	p->param_offset = phiz_calloc(ctx, values, sizeof *p->param_offset);
	p->tensor = phiz_calloc(ctx, values, sizeof *p->tensor);
	p->gradient_tensor = phiz_calloc(ctx, values, sizeof *p->gradient_tensor);
	p->live_node = phiz_calloc(ctx, nodes, sizeof *p->live_node);
	p->want = phiz_calloc(ctx, nodes, sizeof *p->want);
	p->saved_slot = phiz_calloc(ctx, nodes, sizeof *p->saved_slot);
	p->alias_gradient = phiz_calloc(ctx, nodes, sizeof *p->alias_gradient);
	p->step = phiz_calloc(ctx, 2 * nodes, sizeof *p->step);
	p->mirror_at = phiz_calloc(ctx, values, sizeof *p->mirror_at);
	p->on_host = phiz_calloc(ctx, nodes, sizeof *p->on_host);
	p->staged = phiz_calloc(ctx, values, sizeof *p->staged);
	p->staged_gradient = phiz_calloc(ctx, values, sizeof *p->staged_gradient);
	p->staged_saved = phiz_calloc(ctx, nodes, sizeof *p->staged_saved);
	p->landing = phiz_calloc(ctx, values, sizeof *p->landing);
	if (!p->type || !p->value_slot || !p->gradient_slot || !p->live || !p->low || !p->layout || !p->gradient ||
	    !p->param_offset || !p->tensor || !p->gradient_tensor || !p->live_node || !p->want || !p->saved_slot ||
	    !p->alias_gradient || !p->step || !p->mirror_at || !p->on_host || !p->staged || !p->staged_gradient ||
	    !p->staged_saved || !p->landing)
		return PHIZ_E_NOMEM;
	return PHIZ_OK;
}

/* Offsets of the parameters' gradients, one behind the other. */
static void place_parameter_gradients(struct phiz_plan *p)
{
	size_t offset = 0;

	for (size_t i = 0; i < p->graph->n_values; i++)
		if (p->gradient[i] && p->graph->value[i].kind == PHIZ_VALUE_PARAM) {
			p->param_offset[i] = offset;
			offset += (phiz_tensor_bytes(p->graph->value[i].tensor) + 63) / 64 * 64;
		}
	p->gradient_bytes = offset;
}

/* A stream of randomness for a node that depends on its name alone, not on what else is in the graph (FNV-1a). */
static uint32_t name_stream(const char *name)
{
	uint32_t h = 2166136261u;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

/* Which inputs' gradients are written by the node's own backward step (the others are aliases). */
static unsigned written_gradients(const struct phiz_plan *p, int n)
{
	unsigned mask = p->want[n];
	for (int i = 0; i < p->graph->node[n].n_inputs; i++)
		if (p->alias_gradient[n][i])
			mask &= ~(1u << i);
	return mask;
}

/* Has output 0 no step of its own, being the same bytes as the input? */
static bool is_view(const struct phiz_plan *p, int n)
{
	const struct phiz_node *node = &p->graph->node[n];
	return (node->op->alias_mask & 2u) && p->value_slot[node->output[0]] == p->value_slot[node->input[0]];
}

static void list_steps(struct phiz_plan *p)
{
	int nodes = (int)p->graph->n_nodes;

	for (int n = 0; n < nodes; n++)
		if (p->live_node[n] && !is_view(p, n))
			p->step[p->n_steps++] = (struct phiz_step){.node = n, .backward = false};
	p->n_forward = p->n_steps;
	for (int n = nodes; n-- > 0;)
		if (written_gradients(p, n))
			p->step[p->n_steps++] = (struct phiz_step){.node = n, .backward = true};
}

/* Which contributions are the first to a gradient (written) and which are added, in the order of the steps. */
static enum phiz_status mark_accumulation(struct phiz_plan *p)
{
	bool *seen = phiz_calloc(p->ctx, p->graph->n_values + 1, sizeof *seen);
	if (!seen)
		return PHIZ_E_NOMEM;
	/* An aliased gradient is there once its node's (possibly absent) step is over, so walk nodes, not steps. */
	size_t s = p->n_forward;
	for (int n = (int)p->graph->n_nodes; n-- > 0;) {
		const struct phiz_node *node = &p->graph->node[n];
		struct phiz_step *step = s < p->n_steps && p->step[s].node == n ? &p->step[s++] : NULL;
		for (int i = 0; i < node->n_inputs; i++) {
			if (!(p->want[n] >> i & 1u))
				continue;
			int v = node->input[i];
			bool param = p->graph->value[v].kind == PHIZ_VALUE_PARAM;
			if (step && seen[v])
				step->accumulate |= 1u << i;
			else if (step && param)
				step->first_param |= 1u << i;
			seen[v] = true;
		}
	}
	phiz_free(p->ctx, seen);
	return PHIZ_OK;
}

static void *slot_memory(const struct phiz_plan *p, int slot)
{
	return slot == PHIZ_NONE || !p->arena ? NULL : p->arena + p->slot[slot].offset;
}

/* The model's own, or its copy on the device. */
static void *parameter_memory(const struct phiz_plan *p, size_t value)
{
	return p->options.backend->device ? p->mirror_at[value] : p->graph->value[value].tensor->data;
}

/* Tensors of all values and gradients for the current types and memory (NULL data before there is any). */
static void bind_values(struct phiz_plan *p)
{
	for (size_t i = 0; i < p->graph->n_values; i++) {
		const struct phiz_value *v = &p->graph->value[i];
		const struct phiz_type *t = &p->type[i];
		void *data = v->tensor ? parameter_memory(p, i) : slot_memory(p, p->value_slot[i]);
		phiz_tensor_view(&p->tensor[i], t->dtype, &t->shape, data);
		p->tensor[i].layout = p->layout[i];
		phiz_tensor_view(&p->staged[i], t->dtype, &t->shape, p->staged[i].data);
		phiz_tensor_view(&p->staged_gradient[i], t->dtype, &t->shape, p->staged_gradient[i].data);
		data = NULL;
		if (p->gradient[i] && v->kind == PHIZ_VALUE_PARAM)
			data = p->gradients ? p->gradients + p->param_offset[i] : NULL;
		else if (p->gradient[i])
			data = slot_memory(p, p->gradient_slot[i]);
		phiz_tensor_view(&p->gradient_tensor[i], t->dtype, &t->shape, data);
		p->gradient_tensor[i].layout = p->tensor[i].layout;
	}
	/* A view of a parameter (reshape of a weight) has no slot: it is where its input is. Nodes are in order. */
	for (size_t n = 0; n < p->graph->n_nodes; n++) {
		const struct phiz_node *node = &p->graph->node[n];
		if (p->live_node[n] && (node->op->alias_mask & 2u) && p->value_slot[node->output[0]] == PHIZ_NONE)
			p->tensor[node->output[0]].data = p->tensor[node->input[0]].data;
	}
}

void phiz_plan_types(const struct phiz_plan *p, int n, struct phiz_type *in, struct phiz_type *out)
{
	const struct phiz_node *node = &p->graph->node[n];

	memset(in, 0, PHIZ_MAX_INPUTS * sizeof *in);
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++) {
		if (i < node->n_inputs && node->input[i] != PHIZ_NONE)
			in[i] = p->type[node->input[i]];
		else
			in[i].shape.ndim = -1;
	}
	for (int o = 0; o < node->n_outputs; o++)
		out[o] = p->type[node->output[o]];
}

static void bind_saved(struct phiz_plan *p, struct phiz_call *call, int n)
{
	const struct phiz_node *node = &p->graph->node[n];
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS], saved[PHIZ_MAX_SAVED];

	call->n_saved = 0;
	if (!node->op->saved)
		return;
	phiz_plan_types(p, n, in, out);
	call->n_saved = node->op->saved(node, in, out, saved);
	for (int s = 0; s < call->n_saved; s++) {
		void *data = p->on_host[n] ? p->staged_saved[n][s] : slot_memory(p, p->saved_slot[n][s]);
		phiz_tensor_view(&call->saved[s], saved[s].dtype, &saved[s].shape, data);
		if (phiz_shape_equal(&saved[s].shape, &call->out[0].shape)) /* one for each output: it lies as they do */
			call->saved[s].layout = call->out[0].layout;
	}
}

static void bind_step(struct phiz_plan *p, struct phiz_step *step)
{
	const struct phiz_node *node = &p->graph->node[step->node];
	const bool on_host = p->on_host[step->node];
	const struct phiz_tensor *tensor = on_host ? p->staged : p->tensor;
	const struct phiz_tensor *gradient = on_host ? p->staged_gradient : p->gradient_tensor;
	struct phiz_call *call = &step->call;
	uint64_t at = call->step;

	memset(call, 0, sizeof *call);
	call->ctx = p->ctx;
	call->backend = p->options.backend;
	call->node = node;
	call->n_in = node->n_inputs;
	call->n_out = node->n_outputs;
	call->training = p->options.mode == PHIZ_PLAN_TRAIN;
	call->seed = p->options.seed;
	call->step = at;
	call->rng_stream = name_stream(node->name);
	call->constants = step->constant_bytes && p->constants ? p->constants + step->constant_offset : NULL;
	call->workspace = on_host ? p->host_workspace : p->workspace;
	call->workspace_bytes = p->workspace_bytes;
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++)
		call->in[i].shape.ndim = -1; /* absent, unless set below */
	unsigned written = written_gradients(p, step->node);
	for (int i = 0; i < node->n_inputs; i++) {
		if (node->input[i] == PHIZ_NONE)
			continue;
		call->in[i] = tensor[node->input[i]];
		call->din[i] = gradient[node->input[i]];
		if (!step->backward || !(written >> i & 1u))
			call->din[i].data = NULL;
	}
	for (int o = 0; o < node->n_outputs; o++) {
		call->out[o] = tensor[node->output[o]];
		call->dout[o] = gradient[node->output[o]];
		if (!step->backward)
			call->dout[o].data = NULL;
	}
	bind_saved(p, call, step->node);
}

static double step_flops(const struct phiz_plan *p, const struct phiz_step *step)
{
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS];
	double flops, bytes;

	phiz_plan_types(p, step->node, in, out);
	phiz_node_cost(&p->graph->node[step->node], in, out, step->backward, p->want[step->node], &flops, &bytes);
	return flops;
}

static void bind(struct phiz_plan *p)
{
	bind_values(p);
	for (size_t s = 0; s < p->n_steps; s++) {
		bind_step(p, &p->step[s]);
		p->step[s].flops = step_flops(p, &p->step[s]);
	}
}

static enum phiz_status no_kernel(struct phiz_plan *p, const struct phiz_step *step)
{
	const struct phiz_node *node = step->call.node;
	const enum phiz_dtype in = step->call.in[0].dtype, out = step->call.out[0].dtype;
	bool bytes = p->options.backend->device && (in == PHIZ_U8 || out == PHIZ_U8);

	return phiz_fail(p->ctx, PHIZ_E_UNSUPPORTED, "%s %s: the %s backend has no %s kernel for %s%s", node->op->name,
	                 node->name, p->options.backend->name, step->backward ? "backward" : "forward",
	                 phiz_dtype_name(in), bytes ? "; int8 models run on the CPU (--device cpu)" : "");
}

/* A device's plan has the host do what the device has no kernel for, where it is on vectors (a loss): pictures would
 * take too long to bring. Forward and backward go together, as what is saved does not travel. */
static bool give_to_host(struct phiz_plan *p, int n)
{
	const struct phiz_node *node = &p->graph->node[n];
	bool fits = p->options.backend->device && !p->on_host[n] && node->op->reference_f32.forward &&
	            p->type[node->output[0]].shape.ndim <= 2;

	for (int i = 0; i < node->n_inputs; i++)
		fits = fits && (node->input[i] == PHIZ_NONE || p->type[node->input[i]].shape.ndim <= 2);
	if (fits)
		p->on_host[n] = true;
	return fits;
}

/* The dtype that a kernel is looked for under (struct phiz_backend). */
static enum phiz_dtype step_dtype(const struct phiz_plan *p, const struct phiz_step *step)
{
	const struct phiz_node *node = step->call.node;

	for (int i = 0; i < node->n_inputs; i++)
		if (node->input[i] != PHIZ_NONE && p->low[node->input[i]])
			return p->options.precision;
	for (int o = 0; o < node->n_outputs; o++)
		if (p->low[node->output[o]])
			return p->options.precision;
	return step->call.in[0].dtype;
}

const struct phiz_kernel *phiz_plan_kernel(const struct phiz_plan *p, const struct phiz_step *step,
                                           const struct phiz_kernel *after)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_dtype dtype = step_dtype(p, step);

	if (p->on_host[step->node])
		return after || dtype != PHIZ_F32 ? NULL : &step->call.node->op->reference_f32;
	if (after)
		return backend->next(p->ctx, &step->call, dtype, step->backward, after);
	return backend->find(p->ctx, &step->call, dtype, step->backward);
}

/* Binds the steps and gives each a kernel, with as many values lying as the backend likes them as there are kernels
 * for. *widened: some values had to leave the plan's precision, so that the steps are to be laid out anew. */
static enum phiz_status choose_kernels(struct phiz_plan *p, bool *widened)
{
	bool again = true;

	*widened = false;
	phiz_plan_propose_layouts(p);
	while (again && !*widened) {
		again = false;
		bind(p);
		for (size_t s = 0; s < p->n_steps; s++) {
			struct phiz_step *step = &p->step[s];
			step->kernel = phiz_plan_kernel(p, step, NULL);
			if (step->kernel)
				continue;
			if (phiz_plan_take_back_precision(p, step->node))
				*widened = true;
			else if (!phiz_plan_take_back_layouts(p, step->node) && !again && !*widened && !give_to_host(p, step->node))
				return no_kernel(p, step);
			again = true;
		}
	}
	return PHIZ_OK;
}

/* Lifetimes, memory and steps for the types as they are. */
static enum phiz_status lay_out_steps(struct phiz_plan *p)
{
	for (size_t i = 0; i < p->graph->n_values; i++)
		p->value_slot[i] = p->gradient_slot[i] = PHIZ_NONE;
	for (size_t n = 0; n < p->graph->n_nodes; n++)
		for (int s = 0; s < PHIZ_MAX_SAVED; s++)
			p->saved_slot[n][s] = PHIZ_NONE;
	memset(p->alias_gradient, 0, p->graph->n_nodes * sizeof *p->alias_gradient);
	p->n_slots = p->n_steps = 0;
	phiz_plan_lower_types(p);
	enum phiz_status status = phiz_plan_slots(p);
	if (!status)
		status = phiz_arena_layout(p->ctx, p->slot, p->n_slots, &p->arena_bytes);
	if (status)
		return status;
	list_steps(p);
	return mark_accumulation(p);
}

static enum phiz_status choose_all(struct phiz_plan *p)
{
	enum phiz_status status = PHIZ_OK;

	phiz_plan_propose_precision(p);
	for (bool widened = true; widened && !status;) {
		status = lay_out_steps(p);
		if (!status)
			status = choose_kernels(p, &widened);
	}
	return status;
}

static void measure_kernels(struct phiz_plan *p)
{
	int threads = phiz_ctx_threads(p->ctx);

	for (size_t s = 0; s < p->n_steps; s++) {
		struct phiz_step *step = &p->step[s];
		const struct phiz_kernel *kernel = step->kernel;
		if (p->on_host[step->node])
			continue;
		if (p->options.fixed && !step->backward && kernel->constants)
			step->constant_bytes = (kernel->constants(&step->call) + 63) & ~(size_t)63;
		step->constant_offset = p->constant_bytes;
		p->constant_bytes += step->constant_bytes;
		step->call.constants = step->constant_bytes ? step : NULL; /* not yet where they will be, but there will be */
		size_t need = kernel->workspace ? kernel->workspace(&step->call, step->backward, threads) : 0;
		if (need > p->workspace_bytes)
			p->workspace_bytes = need;
	}
}

static bool is_read_by_others(const struct phiz_plan *p, int value, int node)
{
	const struct phiz_graph *g = p->graph;

	for (int n = 0; n < (int)g->n_nodes; n++)
		for (int i = 0; n != node && p->live_node[n] && i < g->node[n].n_inputs; i++)
			if (g->node[n].input[i] == value)
				return true;
	return false;
}

static void consume_parameters(struct phiz_plan *p, int node)
{
	const struct phiz_node *n = &p->graph->node[node];

	for (int i = 0; i < n->n_inputs; i++) {
		const struct phiz_value *v = n->input[i] == PHIZ_NONE ? NULL : &p->graph->value[n->input[i]];
		if (v && v->kind == PHIZ_VALUE_PARAM && !is_read_by_others(p, n->input[i], node))
			phiz_tensor_release(p->ctx, v->tensor);
	}
}

/* One after the other, so that no more than one layer's parameters are there twice. */
static void prepare_constants(struct phiz_plan *p)
{
	for (size_t s = 0; s < p->n_steps; s++) {
		struct phiz_step *step = &p->step[s];
		if (!step->constant_bytes)
			continue;
		step->kernel->prepare(&step->call, p->constants + step->constant_offset);
		if (p->options.consume)
			consume_parameters(p, step->node);
	}
	if (p->options.consume)
		bind(p);
}

enum { SPARE = 64 }; /* behind each piece of memory */

static size_t total_bytes(const struct phiz_plan *p)
{
	return p->arena_bytes + p->gradient_bytes + p->workspace_bytes + p->constant_bytes + 4 * SPARE + p->device_bytes;
}

/* What may help. */
static const char *advice(const struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	const bool narrow = p->options.precision != PHIZ_F32;

	if (!backend->device || p->options.mode == PHIZ_PLAN_TRAIN)
		return "a smaller batch or picture size";
	if (backend->infers_only)
		return narrow ? "a smaller batch or picture size" : "a smaller batch or picture size, or --precision fp16";
	return narrow ? "a smaller batch or picture size, or --no-cudnn"
	              : "a smaller batch or picture size, --precision fp16, or --no-cudnn";
}

/* Before any of it is asked for: the plan's own limit, and the context's. */
static enum phiz_status check_limits(struct phiz_plan *p)
{
	size_t limit, room = phiz_memory_room(p->ctx, &limit), most = p->options.memory_limit;
	char left[64] = "";

	if (limit && p->total_bytes > room && (!most || room < most)) {
		snprintf(left, sizeof left, " of a limit of %.1f MiB", (double)limit / 1048576);
		most = room;
	} else if (!most || p->total_bytes <= most) {
		return PHIZ_OK;
	}
	return phiz_fail(p->ctx, PHIZ_E_LIMIT,
	                 "the plan takes %.1f MiB (activations %.1f, gradients %.1f, workspace %.1f, weights %.1f) and "
	                 "%.1f MiB are %s%s: use %s", (double)p->total_bytes / 1048576, (double)p->arena_bytes / 1048576,
	                 (double)p->gradient_bytes / 1048576, (double)p->workspace_bytes / 1048576,
	                 (double)(p->constant_bytes + p->device_bytes) / 1048576, (double)most / 1048576,
	                 *left ? "left" : "allowed", left, advice(p));
}

static enum phiz_status allocate_memory(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;

	p->device_bytes = backend->device ? phiz_plan_device_bytes(p) : 0;
	p->total_bytes = total_bytes(p);
	enum phiz_status status = check_limits(p);
	if (status)
		return status;
	phiz_log(p->ctx, PHIZ_LOG_DEBUG, "the plan takes %.1f MiB (activations %.1f, gradients %.1f, workspace %.1f, "
	         "weights %.1f)", (double)p->total_bytes / 1048576, (double)p->arena_bytes / 1048576,
	         (double)p->gradient_bytes / 1048576, (double)p->workspace_bytes / 1048576,
	         (double)(p->constant_bytes + p->device_bytes) / 1048576);
	if (backend->device && !phiz_memory_count(p->ctx, p->total_bytes)) /* the host's own memory counts itself */
		return PHIZ_E_NOMEM;
	p->counted_bytes = backend->device ? p->total_bytes : 0;
	p->arena = backend->alloc(p->ctx, backend, p->arena_bytes + SPARE);
	p->gradients = p->arena ? backend->alloc(p->ctx, backend, p->gradient_bytes + SPARE) : NULL;
	p->constants = p->gradients ? backend->alloc(p->ctx, backend, p->constant_bytes + SPARE) : NULL;
	p->workspace = p->constants ? backend->alloc(p->ctx, backend, p->workspace_bytes + SPARE) : NULL;
	if (!p->workspace)
		return PHIZ_E_NOMEM;
	return backend->device ? phiz_plan_place_on_device(p) : PHIZ_OK;
}

static enum phiz_status check_options(struct phiz_ctx *ctx, const struct phiz_graph *g,
                                      const struct phiz_plan_options *o)
{
	if (!o->backend)
		return phiz_fail(ctx, PHIZ_E_ARG, "a plan needs a backend");
	if (o->batch < 0 || o->height < 0 || o->width < 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "a plan's batch and picture size cannot be negative");
	if (o->precision != PHIZ_F32 && o->precision != PHIZ_BF16 && o->precision != PHIZ_F16)
		return phiz_fail(ctx, PHIZ_E_ARG, "a plan's precision is f32, bf16 or f16, not %s",
		                 phiz_dtype_name(o->precision));
	if (o->loss != PHIZ_NONE && (o->loss < 0 || o->loss >= (int)g->n_values))
		return phiz_fail(ctx, PHIZ_E_ARG, "the loss is not a value of the graph");
	if (o->loss != PHIZ_NONE && phiz_shape_count(&g->value[o->loss].type.shape) != 1)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "the loss '%s' is not a scalar", g->value[o->loss].name);
	if (o->precision == PHIZ_F16 && !o->backend->device)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "the CPU has no kernels for fp16 activations: bf16 is near, and fp16 "
		                 "is for GPUs");
	if (o->backend->infers_only && o->mode == PHIZ_PLAN_TRAIN)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "the %s backend runs models, it does not train them: train with "
		                 "cuDNN (without --no-cudnn) or on the CPU", o->backend->name);
	if (o->consume && !o->fixed)
		return phiz_fail(ctx, PHIZ_E_ARG, "a plan consumes parameters only where they are fixed");
	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].kind == PHIZ_VALUE_PARAM && !g->value[i].tensor->data &&
		    phiz_shape_count(&g->value[i].type.shape))
			return phiz_fail(ctx, PHIZ_E_ARG, "'%s' is no longer in memory: another plan has consumed the parameters",
			                 g->value[i].name);
	return PHIZ_OK;
}

static enum phiz_status build_plan(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                   const struct phiz_plan_options *options, struct phiz_plan **out)
{
	struct phiz_plan *p = phiz_calloc(ctx, 1, sizeof *p);
	if (!p)
		return PHIZ_E_NOMEM;
	p->ctx = ctx;
	p->graph = graph;
	p->options = *options;
	p->batch = p->options.batch = options->batch ? options->batch : 1;
	p->end = 2 * (int)graph->n_nodes + 1;
	enum phiz_status status = allocate_tables(p);
	if (!status)
		status = phiz_graph_infer(ctx, graph, p->batch, options->height, options->width, p->type);
	if (status)
		goto fail;
	phiz_plan_mark(p);
	place_parameter_gradients(p);
	status = choose_all(p);
	if (!status)
		status = phiz_plan_choose_tuned(p);
	if (!status) {
		measure_kernels(p);
		status = allocate_memory(p);
	}
	if (status)
		goto fail;
	if (!p->options.backend->device)
		memset(p->gradients, 0, p->gradient_bytes);
	bind(p);
	prepare_constants(p);
	if (p->options.backend->device)
		status = p->options.backend->device->sync(ctx, p->options.backend);
	if (status)
		goto fail;
	*out = p;
	return PHIZ_OK;
fail:
	phiz_plan_free(&p);
	return status;
}

static enum phiz_status make_plan(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                  const struct phiz_plan_options *options, struct phiz_plan **out)
{
	*out = NULL;
	enum phiz_status status = check_options(ctx, graph, options);
	if (status)
		return status;
	phiz_plan_hold(options->backend, true);
	status = build_plan(ctx, graph, options, out);
	phiz_plan_hold(options->backend, false);
	return status;
}

enum phiz_status phiz_plan_create(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                  const struct phiz_plan_options *options, struct phiz_plan **out)
{
	enum phiz_status status = make_plan(ctx, graph, options, out);
	struct phiz_plan_options o = *options;

	if (status != PHIZ_E_UNSUPPORTED || !options->fallback || options->fallback == options->backend)
		return status;
	phiz_log(ctx, PHIZ_LOG_INFO, "%s: the %s backend runs it instead", phiz_ctx_message(ctx), options->fallback->name);
	phiz_ctx_clear(ctx);
	o.backend = options->fallback;
	return make_plan(ctx, graph, &o, out);
}

const struct phiz_backend *phiz_plan_backend(const struct phiz_plan *plan) { return plan->options.backend; }

void phiz_plan_free(struct phiz_plan **plan)
{
	if (!plan || !*plan)
		return;
	struct phiz_plan *p = *plan;
	struct phiz_ctx *ctx = p->ctx;
	const struct phiz_backend *backend = p->options.backend;
	phiz_plan_hold(backend, true);
	if (backend->device)
		phiz_plan_leave_device(p);
	if (p->arena)
		backend->free(ctx, backend, p->arena);
	if (p->gradients)
		backend->free(ctx, backend, p->gradients);
	if (p->constants)
		backend->free(ctx, backend, p->constants);
	if (p->workspace)
		backend->free(ctx, backend, p->workspace);
	phiz_plan_hold(backend, false);
	if (p->counted_bytes)
		phiz_memory_uncount(ctx, p->counted_bytes);
	phiz_free(ctx, p->type);
	phiz_free(ctx, p->value_slot);
	phiz_free(ctx, p->gradient_slot);
	phiz_free(ctx, p->live);
	phiz_free(ctx, p->low);
	phiz_free(ctx, p->layout);
	phiz_free(ctx, p->gradient);
	phiz_free(ctx, p->param_offset);
	phiz_free(ctx, p->tensor);
	phiz_free(ctx, p->gradient_tensor);
	phiz_free(ctx, p->live_node);
	phiz_free(ctx, p->want);
	phiz_free(ctx, p->saved_slot);
	phiz_free(ctx, p->alias_gradient);
	phiz_free(ctx, p->slot);
	phiz_free(ctx, p->step);
	phiz_free(ctx, p->mirror_at);
	phiz_free(ctx, p->on_host);
	phiz_free(ctx, p->staged);
	phiz_free(ctx, p->staged_gradient);
	phiz_free(ctx, p->staged_saved);
	phiz_free(ctx, p->landing);
	phiz_free(ctx, p);
	*plan = NULL;
}

enum phiz_status phiz_plan_retype(struct phiz_plan *p, int64_t batch)
{
	enum phiz_status status = phiz_graph_infer(p->ctx, p->graph, batch, p->options.height, p->options.width, p->type);

	phiz_plan_lower_types(p);
	p->batch = batch;
	bind(p);
	return status;
}

enum phiz_status phiz_plan_set_batch(struct phiz_plan *plan, int64_t n)
{
	if (n < 1 || n > plan->options.batch)
		return phiz_fail(plan->ctx, PHIZ_E_ARG, "want a batch of 1 to %lld, got %lld", (long long)plan->options.batch,
		                 (long long)n);
	plan->sent = false;
	if (n == plan->batch)
		return PHIZ_OK;
	phiz_plan_hold(plan->options.backend, true);
	enum phiz_status status = phiz_plan_retype(plan, n);
	if (plan->options.backend->device)
		phiz_plan_stage(plan);
	phiz_plan_hold(plan->options.backend, false);
	return status;
}

void phiz_plan_set_step(struct phiz_plan *plan, uint64_t step)
{
	for (size_t s = 0; s < plan->n_steps; s++)
		plan->step[s].call.step = step;
}

struct phiz_tensor *phiz_plan_tensor(struct phiz_plan *plan, int value)
{
	if (value < 0 || value >= (int)plan->graph->n_values || !plan->live[value] || !plan->tensor[value].data)
		return NULL;
	if (plan->options.backend->device)
		return plan->staged[value].data ? &plan->staged[value] : NULL;
	return &plan->tensor[value];
}

struct phiz_tensor *phiz_plan_gradient(struct phiz_plan *plan, int value)
{
	if (value < 0 || value >= (int)plan->graph->n_values || !plan->gradient_tensor[value].data)
		return NULL;
	return &plan->gradient_tensor[value];
}

struct phiz_tensor *phiz_plan_parameter(struct phiz_plan *plan, int value)
{
	if (value < 0 || value >= (int)plan->graph->n_values || !plan->graph->value[value].tensor || !plan->live[value])
		return NULL;
	return &plan->tensor[value];
}

static enum phiz_status run_step(struct phiz_plan *p, struct phiz_step *step)
{
	phiz_kernel_fn run = step->backward ? step->kernel->backward : step->kernel->forward;
	double begin = p->timed ? phiz_time() : 0;
	enum phiz_status status = run(&step->call);

	if (p->timed && p->options.backend->device && !status)
		status = p->options.backend->device->sync(p->ctx, p->options.backend);
	if (p->timed)
		step->seconds = phiz_time() - begin;
	if (status)
		phiz_fail_in(p->ctx, "%s %s%s", step->call.node->op->name, step->call.node->name,
		             step->backward ? " (backward)" : "");
	return status;
}

enum phiz_status phiz_plan_run_steps(struct phiz_plan *p, size_t first, size_t end, bool add)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t s = first; s < end && !status; s++) {
		struct phiz_step *step = &p->step[s];
		step->call.accumulate = step->accumulate | (add ? step->first_param : 0u);
		status = run_step(p, step);
	}
	return status;
}

enum phiz_status phiz_plan_forward(struct phiz_plan *plan)
{
	if (plan->options.backend->device)
		return phiz_plan_run_on_device(plan, false, false, 0);
	return phiz_plan_run_steps(plan, 0, plan->n_forward, false);
}

enum phiz_status phiz_plan_backward(struct phiz_plan *plan, bool add, double scale)
{
	int loss = plan->options.loss;

	if (plan->options.mode != PHIZ_PLAN_TRAIN || loss == PHIZ_NONE)
		return phiz_fail(plan->ctx, PHIZ_E_ARG, "this plan has no backward pass");
	if (!plan->gradient[loss])
		return PHIZ_OK; /* nothing trainable: all gradients are zero */
	if (plan->options.backend->device)
		return phiz_plan_run_on_device(plan, true, add, (float)scale);
	if (plan->gradient_tensor[loss].dtype == PHIZ_F64)
		*(double *)plan->gradient_tensor[loss].data = scale;
	else
		*(float *)plan->gradient_tensor[loss].data = (float)scale;
	return phiz_plan_run_steps(plan, plan->n_forward, plan->n_steps, add);
}
