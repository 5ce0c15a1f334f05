/* A plan whose kernels' memory is a device's: parameters are copied there; inputs, outputs and what the host's own
 * steps touch have a place on this side too. A run brings the inputs there, does its steps and brings the outputs back.
 * Steps of operators on vectors (losses, say) for which the device has no kernel are the host's: between two
 * segments of the device's steps it waits, brings what they read, does them and takes back what they wrote. */
#include "core/base/alloc.h"
#include "core/graph/plan.h"

enum { SPARE = 64 }; /* behind each piece of memory */

static size_t line_up(size_t bytes)
{
	return (bytes + 255) & ~(size_t)255;
}

static bool is_output(const struct phiz_graph *g, int value)
{
	for (size_t i = 0; i < g->n_outputs; i++)
		if (g->output[i] == value)
			return true;
	return false;
}

static size_t bytes_of(const struct phiz_type *t)
{
	return (size_t)phiz_shape_count(&t->shape) * phiz_dtype_size(t->dtype);
}

/* --- Parameters and buffers. --- */

/* Where the plan whose parameters serve this one has the tensor, or NULL. */
static void *borrowed(const struct phiz_plan *p, const struct phiz_tensor *tensor)
{
	const struct phiz_plan *lender = p->options.parameters_of;

	for (size_t i = 0; lender && i < lender->graph->n_values; i++)
		if (lender->graph->value[i].tensor == tensor && lender->live[i])
			return lender->mirror_at[i];
	return NULL;
}

static bool has_copy(const struct phiz_plan *p, size_t value)
{
	return p->live[value] && p->graph->value[value].tensor;
}

/* Is the copy in this plan's own memory? */
static bool owns_copy(const struct phiz_plan *p, size_t value)
{
	return has_copy(p, value) && !borrowed(p, p->graph->value[value].tensor);
}

static size_t parameter_bytes(const struct phiz_plan *p)
{
	size_t bytes = 0;

	for (size_t i = 0; i < p->graph->n_values; i++)
		if (owns_copy(p, i))
			bytes += line_up(phiz_tensor_bytes(p->graph->value[i].tensor));
	return bytes + SPARE;
}

static enum phiz_status place_parameters(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	const struct phiz_graph *g = p->graph;
	size_t bytes = 0;

	p->mirror = backend->alloc(p->ctx, backend, parameter_bytes(p));
	if (!p->mirror)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < g->n_values; i++) {
		if (owns_copy(p, i)) {
			p->mirror_at[i] = p->mirror + bytes;
			bytes += line_up(phiz_tensor_bytes(g->value[i].tensor));
		} else if (has_copy(p, i)) {
			p->mirror_at[i] = borrowed(p, g->value[i].tensor);
		}
	}
	return phiz_plan_push(p);
}

enum phiz_status phiz_plan_push(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_status status = PHIZ_OK;

	if (!backend->device)
		return PHIZ_OK;
	for (size_t i = 0; i < p->graph->n_values && !status; i++)
		if (owns_copy(p, i))
			status = backend->device->upload(p->ctx, backend, p->mirror_at[i], p->graph->value[i].tensor->data,
			                                 phiz_tensor_bytes(p->graph->value[i].tensor));
	return status ? status : backend->device->sync(p->ctx, backend);
}

enum phiz_status phiz_plan_pull(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_status status = PHIZ_OK;

	if (!backend->device)
		return PHIZ_OK;
	for (size_t i = 0; i < p->graph->n_values && !status; i++) {
		const struct phiz_value *v = &p->graph->value[i];
		bool moves = v->kind == PHIZ_VALUE_BUFFER || (v->kind == PHIZ_VALUE_PARAM && v->trainable);
		if (moves && owns_copy(p, i))
			status = backend->device->download(p->ctx, backend, v->tensor->data, p->mirror_at[i],
			                                   phiz_tensor_bytes(v->tensor));
	}
	return status ? status : backend->device->sync(p->ctx, backend);
}

/* --- What the host has. --- */

static enum phiz_status give_staging(struct phiz_plan *p, struct phiz_tensor *t, const struct phiz_type *type)
{
	const struct phiz_backend *backend = p->options.backend;

	if (!t->data)
		t->data = backend->device->alloc_staging(p->ctx, backend, bytes_of(type) + SPARE);
	return t->data ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* Does a host's node read or write the value? */
static bool is_touched(const struct phiz_plan *p, int value)
{
	for (size_t n = 0; n < p->graph->n_nodes; n++) {
		const struct phiz_node *node = &p->graph->node[n];
		for (int i = 0; p->on_host[n] && i < node->n_inputs + node->n_outputs; i++)
			if (value == (i < node->n_inputs ? node->input[i] : node->output[i - node->n_inputs]))
				return true;
	}
	return false;
}

static bool is_staged(const struct phiz_plan *p, int value)
{
	bool is_end = p->graph->value[value].kind == PHIZ_VALUE_INPUT || is_output(p->graph, value) ||
	              value == p->options.loss;
	return (p->live[value] && is_end) || is_touched(p, value);
}

static bool is_gradient_staged(const struct phiz_plan *p, int value)
{
	return p->gradient[value] && (value == p->options.loss || is_touched(p, value));
}

/* What a host's node leaves for its backward step: how many. */
static int saved_of(const struct phiz_plan *p, int n, struct phiz_type saved[PHIZ_MAX_SAVED])
{
	const struct phiz_node *node = &p->graph->node[n];
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS];

	if (!p->on_host[n] || !node->op->saved || !p->want[n])
		return 0;
	phiz_plan_types(p, n, in, out);
	return node->op->saved(node, in, out, saved);
}

static enum phiz_status place_staging(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	struct phiz_type saved[PHIZ_MAX_SAVED];
	enum phiz_status status = PHIZ_OK;

	for (int v = 0; v < (int)p->graph->n_values && !status; v++) {
		if (is_staged(p, v))
			status = give_staging(p, &p->staged[v], &p->type[v]);
		if (!status && is_gradient_staged(p, v))
			status = give_staging(p, &p->staged_gradient[v], &p->type[v]);
	}
	for (int n = 0; n < (int)p->graph->n_nodes && !status; n++)
		for (int s = saved_of(p, n, saved); s-- > 0 && !status;) {
			p->staged_saved[n][s] = backend->device->alloc_staging(p->ctx, backend, bytes_of(&saved[s]) + SPARE);
			status = p->staged_saved[n][s] ? PHIZ_OK : PHIZ_E_NOMEM;
		}
	return status;
}

static bool is_input(const struct phiz_plan *p, size_t value)
{
	return p->graph->value[value].kind == PHIZ_VALUE_INPUT && p->staged[value].data;
}

/* Pictures and features are sent ahead; what is one number a sample goes with the run. */
static bool is_sent(const struct phiz_plan *p, size_t value)
{
	return is_input(p, value) && p->type[value].shape.ndim > 1;
}

static enum phiz_status place_landing(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;

	for (size_t i = 0; i < p->graph->n_values && p->options.mode == PHIZ_PLAN_TRAIN; i++) {
		if (!is_sent(p, i))
			continue;
		p->landing[i] = backend->alloc(p->ctx, backend, bytes_of(&p->type[i]) + SPARE);
		if (!p->landing[i])
			return PHIZ_E_NOMEM;
	}
	return PHIZ_OK;
}

/* --- Segments. --- */

static bool is_on_host(const struct phiz_plan *p, size_t step)
{
	return p->on_host[p->step[step].node];
}

/* Steps `first` to `end` - 1; at least one segment, so that there is one to bring inputs and outputs with. */
static void cut(struct phiz_plan *p, size_t first, size_t end)
{
	do {
		struct phiz_segment *s = &p->segment[p->n_segments++];
		s->first = s->end = first;
		s->on_host = first < end && is_on_host(p, first);
		while (s->end < end && is_on_host(p, s->end) == s->on_host && (s->end == first || !s->on_host))
			s->end++;
		first = s->end;
	} while (first < end);
}

static size_t host_workspace_bytes(const struct phiz_plan *p)
{
	size_t most = 0;

	for (size_t s = 0; s < p->n_steps; s++) {
		const struct phiz_step *step = &p->step[s];
		size_t need = 0;
		if (is_on_host(p, s) && step->kernel->workspace)
			need = step->kernel->workspace(&step->call, step->backward, phiz_ctx_threads(p->ctx));
		most = need > most ? need : most;
	}
	return most + SPARE;
}

static enum phiz_status cut_segments(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;

	p->segment = phiz_calloc(p->ctx, p->n_steps + 2, sizeof *p->segment);
	if (!p->segment)
		return PHIZ_E_NOMEM;
	cut(p, 0, p->n_forward);
	p->n_forward_segments = p->n_segments;
	if (p->n_steps > p->n_forward)
		cut(p, p->n_forward, p->n_steps);
	p->host_workspace = backend->device->alloc_staging(p->ctx, backend, host_workspace_bytes(p));
	return p->host_workspace ? PHIZ_OK : PHIZ_E_NOMEM;
}

size_t phiz_plan_device_bytes(const struct phiz_plan *p)
{
	const bool trains = p->options.mode == PHIZ_PLAN_TRAIN;
	struct phiz_type saved[PHIZ_MAX_SAVED];
	size_t bytes = parameter_bytes(p) + host_workspace_bytes(p);

	for (int v = 0; v < (int)p->graph->n_values; v++) {
		const bool sent = trains && is_staged(p, v) && p->graph->value[v].kind == PHIZ_VALUE_INPUT &&
		                  p->type[v].shape.ndim > 1;
		const size_t places = (size_t)is_staged(p, v) + is_gradient_staged(p, v) + sent;
		bytes += places * (bytes_of(&p->type[v]) + SPARE);
	}
	for (int n = 0; n < (int)p->graph->n_nodes; n++)
		for (int s = saved_of(p, n, saved); s-- > 0;)
			bytes += bytes_of(&saved[s]) + SPARE;
	return bytes;
}

enum phiz_status phiz_plan_place_on_device(struct phiz_plan *p)
{
	enum phiz_status status = place_parameters(p);

	if (!status)
		status = place_staging(p);
	if (!status)
		status = place_landing(p);
	return status ? status : cut_segments(p);
}

static void forget(struct phiz_plan *p, int which)
{
	for (size_t s = 0; s < p->n_segments; s++)
		for (int add = 0; add < 2; add++)
			p->options.backend->device->forget(p->ctx, p->options.backend, &p->segment[s].recording[which][add]);
}

/* Recordings of the planned batch stay, and those of one other. */
void phiz_plan_stage(struct phiz_plan *p)
{
	if (p->batch == p->options.batch || p->batch == p->recorded_batch)
		return;
	forget(p, 1);
	p->recorded_batch = p->batch;
}

/* --- Runs. --- */

static enum phiz_status bring(struct phiz_plan *p, const struct phiz_tensor *here, const struct phiz_tensor *there)
{
	const struct phiz_backend *backend = p->options.backend;
	return backend->device->download(p->ctx, backend, here->data, there->data, phiz_tensor_bytes(here));
}

static enum phiz_status take(struct phiz_plan *p, const struct phiz_tensor *here, const struct phiz_tensor *there)
{
	const struct phiz_backend *backend = p->options.backend;
	return backend->device->upload(p->ctx, backend, there->data, here->data, phiz_tensor_bytes(here));
}

static enum phiz_status take_inputs(struct phiz_plan *p)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < p->graph->n_values && !status; i++)
		if (is_input(p, i))
			status = take(p, &p->staged[i], &p->tensor[i]);
	return status;
}

enum phiz_status phiz_plan_send_inputs(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_status status = PHIZ_OK;

	if (!backend->device || p->options.mode != PHIZ_PLAN_TRAIN)
		return PHIZ_OK;
	for (size_t i = 0; i < p->graph->n_values && !status; i++)
		if (is_sent(p, i))
			status = backend->device->upload_ahead(p->ctx, backend, p->landing[i], p->staged[i].data,
			                                       phiz_tensor_bytes(&p->staged[i]));
	p->sent = !status;
	return status;
}

/* What was sent ahead, and the rest as ever. */
static enum phiz_status land_inputs(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_status status = backend->device->land(p->ctx, backend);

	for (size_t i = 0; i < p->graph->n_values && !status; i++) {
		if (!is_input(p, i))
			continue;
		status = is_sent(p, i) ? backend->device->copy(p->ctx, backend, p->tensor[i].data, p->landing[i],
		                                               phiz_tensor_bytes(&p->staged[i]))
		                       : take(p, &p->staged[i], &p->tensor[i]);
	}
	p->sent = false;
	return status;
}

static enum phiz_status bring_outputs(struct phiz_plan *p)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < p->graph->n_values && !status; i++)
		if (p->live[i] && (is_output(p->graph, (int)i) || (int)i == p->options.loss))
			status = bring(p, &p->staged[i], &p->tensor[i]);
	return status;
}

/* What a host's step reads, but for the network's inputs, which it has: values, and the gradients that go in. */
static enum phiz_status bring_operands(struct phiz_plan *p, const struct phiz_step *step)
{
	const struct phiz_node *node = step->call.node;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < node->n_inputs && !status; i++) {
		int v = node->input[i];
		if (v == PHIZ_NONE || p->graph->value[v].kind == PHIZ_VALUE_INPUT)
			continue;
		status = bring(p, &p->staged[v], &p->tensor[v]);
		if (!status && step->backward && (step->call.accumulate >> i & 1u))
			status = bring(p, &p->staged_gradient[v], &p->gradient_tensor[v]);
	}
	for (int o = 0; o < node->n_outputs && !status && step->backward; o++) {
		int v = node->output[o];
		status = bring(p, &p->staged[v], &p->tensor[v]);
		if (!status && step->call.dout[o].data)
			status = bring(p, &p->staged_gradient[v], &p->gradient_tensor[v]);
	}
	return status ? status : p->options.backend->device->sync(p->ctx, p->options.backend);
}

/* What a host's step wrote: its outputs and what forward changes in place, or gradients. */
static enum phiz_status take_results(struct phiz_plan *p, const struct phiz_step *step)
{
	const struct phiz_node *node = step->call.node;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < node->n_inputs && !status; i++) {
		int v = node->input[i];
		if (step->backward && step->call.din[i].data)
			status = take(p, &p->staged_gradient[v], &p->gradient_tensor[v]);
		else if (!step->backward && step->call.training && v != PHIZ_NONE && (node->op->state_mask >> i & 1u))
			status = take(p, &p->staged[v], &p->tensor[v]);
	}
	for (int o = 0; o < node->n_outputs && !status && !step->backward; o++)
		status = take(p, &p->staged[node->output[o]], &p->tensor[node->output[o]]);
	return status;
}

static enum phiz_status run_host_segment(struct phiz_plan *p, const struct phiz_segment *segment, bool add)
{
	struct phiz_step *step = &p->step[segment->first];

	step->call.accumulate = step->accumulate | (add ? step->first_param : 0u);
	enum phiz_status status = bring_operands(p, step);
	if (!status)
		status = phiz_plan_run_steps(p, segment->first, segment->end, add);
	return status ? status : take_results(p, step);
}

struct segment_run {
	struct phiz_plan *plan;
	const struct phiz_segment *segment;
	bool add, inputs, outputs, loss; /* inputs and the loss's gradient go in, outputs come out */
};

static enum phiz_status run_segment(void *arg)
{
	const struct segment_run *run = arg;
	struct phiz_plan *p = run->plan;
	int loss = p->options.loss;
	enum phiz_status status = run->inputs ? take_inputs(p) : PHIZ_OK;

	if (!status && run->loss)
		status = take(p, &p->staged_gradient[loss], &p->gradient_tensor[loss]);
	if (!status && !run->segment->on_host)
		status = phiz_plan_run_steps(p, run->segment->first, run->segment->end, run->add);
	else if (!status)
		status = run_host_segment(p, run->segment, run->add);
	return status || !run->outputs ? status : bring_outputs(p);
}

static enum phiz_status run(struct phiz_plan *p, bool backward, bool add, float scale)
{
	const struct phiz_backend *backend = p->options.backend;
	size_t first = backward ? p->n_forward_segments : 0, end = backward ? p->n_segments : p->n_forward_segments;
	enum phiz_status status = PHIZ_OK;

	const bool trains = p->options.mode == PHIZ_PLAN_TRAIN; /* its inputs go before what is recorded */

	if (backward)
		*(float *)p->staged_gradient[p->options.loss].data = scale;
	else if (trains)
		status = p->sent ? land_inputs(p) : take_inputs(p);
	for (size_t s = first; s < end && !status; s++) {
		struct phiz_segment *segment = &p->segment[s];
		struct segment_run run = {p, segment, add, !trains && s == first, !backward && s + 1 == end,
		                          backward && s == first};
		bool records = !segment->on_host && !p->timed;
		struct phiz_recording **recording = &segment->recording[p->batch != p->options.batch][add];
		status = backend->device->run(p->ctx, backend, records ? recording : NULL, run_segment, &run);
	}
	return status || backward ? status : backend->device->sync(p->ctx, backend);
}

enum phiz_status phiz_plan_run_on_device(struct phiz_plan *p, bool backward, bool add, float scale)
{
	const struct phiz_backend *backend = p->options.backend;

	phiz_plan_hold(backend, true);
	enum phiz_status status = run(p, backward, add, scale);
	phiz_plan_hold(backend, false);
	return status;
}

void phiz_plan_leave_device(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;

	(void)backend->device->sync(p->ctx, backend);
	forget(p, 0);
	forget(p, 1);
	for (size_t i = 0; p->staged && p->staged_gradient && i < p->graph->n_values; i++) {
		if (p->staged[i].data)
			backend->device->free_staging(p->ctx, backend, p->staged[i].data);
		if (p->staged_gradient[i].data)
			backend->device->free_staging(p->ctx, backend, p->staged_gradient[i].data);
	}
	for (size_t n = 0; p->staged_saved && n < p->graph->n_nodes; n++)
		for (int s = 0; s < PHIZ_MAX_SAVED; s++)
			if (p->staged_saved[n][s])
				backend->device->free_staging(p->ctx, backend, p->staged_saved[n][s]);
	for (size_t i = 0; p->landing && i < p->graph->n_values; i++)
		if (p->landing[i])
			backend->free(p->ctx, backend, p->landing[i]);
	if (p->host_workspace)
		backend->device->free_staging(p->ctx, backend, p->host_workspace);
	if (p->mirror)
		backend->free(p->ctx, backend, p->mirror);
	phiz_free(p->ctx, p->segment);
}
