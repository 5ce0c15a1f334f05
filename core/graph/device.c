/* A plan whose kernels' memory is a device's: parameters are copied there, inputs and outputs have a place on this side
 * too, and a run brings the ones there, does its steps and brings the others back. */
#include "core/base/alloc.h"
#include "core/graph/plan.h"

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

enum phiz_status phiz_plan_place_on_device(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;
	const struct phiz_graph *g = p->graph;

	for (size_t i = 0; i < g->n_values; i++)
		if (g->value[i].tensor && p->live[i]) {
			p->mirror_offset[i] = p->mirror_bytes;
			p->mirror_bytes += line_up(phiz_tensor_bytes(g->value[i].tensor));
		}
	p->mirror = backend->alloc(p->ctx, backend, p->mirror_bytes + 64);
	if (!p->mirror)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < g->n_values; i++)
		if (p->live[i] && g->value[i].tensor) {
			enum phiz_status status = backend->device->upload(p->ctx, backend, p->mirror + p->mirror_offset[i],
			                                                  g->value[i].tensor->data,
			                                                  phiz_tensor_bytes(g->value[i].tensor));
			if (status)
				return status;
		}
	for (size_t i = 0; i < g->n_values; i++)
		if (p->live[i] && (g->value[i].kind == PHIZ_VALUE_INPUT || is_output(g, (int)i))) {
			size_t bytes = (size_t)phiz_shape_count(&p->type[i].shape) * phiz_dtype_size(p->type[i].dtype);
			p->staged[i].data = backend->device->alloc_staging(p->ctx, backend, bytes + 64);
			if (!p->staged[i].data)
				return PHIZ_E_NOMEM;
		}
	phiz_plan_stage(p);
	return PHIZ_OK;
}

/* For the types of the current batch; what was recorded of another is of no more use. */
void phiz_plan_stage(struct phiz_plan *p)
{
	for (size_t i = 0; i < p->graph->n_values; i++)
		if (p->staged[i].data)
			phiz_tensor_view(&p->staged[i], p->type[i].dtype, &p->type[i].shape, p->staged[i].data);
	p->options.backend->device->forget(p->ctx, p->options.backend, &p->recording);
}

struct staged_run {
	struct phiz_plan *plan;
	enum phiz_status (*steps)(struct phiz_plan *p);
};

static enum phiz_status move(struct phiz_plan *p, bool inputs)
{
	const struct phiz_backend *backend = p->options.backend;
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < p->graph->n_values && !status; i++) {
		struct phiz_tensor *here = &p->staged[i], *there = &p->tensor[i];
		if (!here->data || (p->graph->value[i].kind == PHIZ_VALUE_INPUT) != inputs)
			continue;
		status = inputs ? backend->device->upload(p->ctx, backend, there->data, here->data, phiz_tensor_bytes(here))
		                : backend->device->download(p->ctx, backend, here->data, there->data, phiz_tensor_bytes(here));
	}
	return status;
}

static enum phiz_status staged_steps(void *arg)
{
	struct staged_run *run = arg;
	enum phiz_status status = move(run->plan, true);

	if (!status)
		status = run->steps(run->plan);
	return status ? status : move(run->plan, false);
}

enum phiz_status phiz_plan_run_on_device(struct phiz_plan *p, enum phiz_status (*steps)(struct phiz_plan *p))
{
	struct staged_run run = {p, steps};
	return p->options.backend->device->run(p->ctx, p->options.backend, &p->recording, staged_steps, &run);
}

void phiz_plan_leave_device(struct phiz_plan *p)
{
	const struct phiz_backend *backend = p->options.backend;

	backend->device->forget(p->ctx, backend, &p->recording);
	for (size_t i = 0; p->staged && i < p->graph->n_values; i++)
		if (p->staged[i].data)
			backend->device->free_staging(p->ctx, backend, p->staged[i].data);
	if (p->mirror)
		backend->free(p->ctx, backend, p->mirror);
}
