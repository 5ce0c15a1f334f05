/* A plan in numbers and as a table. */
#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/graph/plan.h"

void phiz_plan_describe(const struct phiz_plan *plan, struct phiz_plan_info *out)
{
	memset(out, 0, sizeof *out);
	out->steps = (int)plan->n_steps;
	out->forward_steps = (int)plan->n_forward;
	out->backward_steps = (int)(plan->n_steps - plan->n_forward);
	out->arena_bytes = plan->arena_bytes;
	out->gradient_bytes = plan->gradient_bytes;
	out->workspace_bytes = plan->workspace_bytes;
	out->constant_bytes = plan->constant_bytes;
	out->device_bytes = plan->device_bytes;
	out->total_bytes = plan->total_bytes;
	for (size_t i = 0; i < plan->n_slots; i++)
		out->unshared_bytes += plan->slot[i].bytes;
	for (size_t i = 0; i < plan->graph->n_values; i++)
		if (plan->graph->value[i].tensor && plan->live[i])
			out->parameter_bytes += phiz_tensor_bytes(plan->graph->value[i].tensor);
	for (size_t s = 0; s < plan->n_steps; s++) {
		if (s < plan->n_forward)
			out->forward_flops += plan->step[s].flops;
		else
			out->backward_flops += plan->step[s].flops;
	}
}

bool phiz_plan_step(const struct phiz_plan *plan, int i, struct phiz_plan_step_info *out)
{
	memset(out, 0, sizeof *out);
	if (i < 0 || i >= (int)plan->n_steps)
		return false;
	const struct phiz_step *step = &plan->step[i];
	const struct phiz_node *node = &plan->graph->node[step->node];
	struct phiz_type in[PHIZ_MAX_INPUTS], result[PHIZ_MAX_OUTPUTS];
	out->node = node->name;
	out->op = node->op->name;
	out->kernel = step->kernel->name;
	out->backward = step->backward;
	out->output = plan->type[node->output[0]].shape;
	phiz_plan_types(plan, step->node, in, result);
	phiz_node_cost(node, in, result, step->backward, plan->want[step->node], &out->flops, &out->bytes);
	out->seconds = step->seconds;
	return true;
}

void phiz_plan_time_steps(struct phiz_plan *plan, bool on)
{
	plan->timed = on;
	for (size_t s = 0; s < plan->n_steps; s++)
		plan->step[s].seconds = 0;
}

static void dump_step(const struct phiz_plan *plan, size_t s, struct phiz_bytes *out)
{
	const struct phiz_step *step = &plan->step[s];
	const struct phiz_node *node = step->call.node;
	int v = node->output[0], slot = step->backward ? plan->gradient_slot[v] : plan->value_slot[v];
	char shape[128], place[48] = "-";

	if (slot != PHIZ_NONE)
		snprintf(place, sizeof place, "%.2f+%.2f", (double)plan->slot[slot].offset / 1048576,
		         (double)plan->slot[slot].bytes / 1048576);
	phiz_bytes_printf(out, "%4zu %s %-24s %-22s %-28s %-20s %14s %10.1f\n", s, step->backward ? "bwd" : "fwd",
	                  node->name, node->op->name, step->kernel->name, phiz_shape_text(&plan->type[v].shape, shape),
	                  place, step->flops / 1e6);
}

enum phiz_status phiz_plan_dump(const struct phiz_plan *plan, struct phiz_bytes *out)
{
	struct phiz_plan_info info;

	phiz_plan_describe(plan, &info);
	phiz_bytes_printf(out, "%4s %s %-24s %-22s %-28s %-20s %14s %10s\n", "step", "dir", "node", "op", "kernel",
	                  "output", "MiB at+size", "MFLOP");
	for (size_t s = 0; s < plan->n_steps; s++)
		dump_step(plan, s, out);
	phiz_bytes_printf(out,
	                  "%d steps (%d forward, %d backward), batch %lld\n"
	                  "activations %.1f MiB (%.1f without sharing), gradients %.1f MiB, workspace %.1f MiB, "
	                  "constants %.1f MiB, parameters %.1f MiB\n"
	                  "the plan takes %.1f MiB beside the parameters\n"
	                  "forward %.3f GFLOP, backward %.3f GFLOP\n",
	                  info.steps, info.forward_steps, info.backward_steps, (long long)plan->batch,
	                  (double)info.arena_bytes / 1048576, (double)info.unshared_bytes / 1048576,
	                  (double)info.gradient_bytes / 1048576, (double)info.workspace_bytes / 1048576,
	                  (double)info.constant_bytes / 1048576, (double)info.parameter_bytes / 1048576,
	                  (double)info.total_bytes / 1048576, info.forward_flops / 1e9, info.backward_flops / 1e9);
	return phiz_bytes_status(out);
}
