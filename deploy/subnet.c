/* Cutting a detector's graph into the networks that it is made of. */
#include <string.h>

#include "core/base/error.h"
#include "deploy/detector.h"

static int find_input(struct phiz_graph *g, const char *name)
{
	if (name) {
		int value = phiz_graph_find_value(g, name);
		return value != PHIZ_NONE && phiz_graph_value(g, value)->kind == PHIZ_VALUE_INPUT ? value : PHIZ_NONE;
	}
	for (int i = 0; i < phiz_graph_n_values(g); i++)
		if (phiz_graph_value(g, i)->kind == PHIZ_VALUE_INPUT)
			return i;
	return PHIZ_NONE;
}

/* Ids change when a graph is pruned, names stay. */
static enum phiz_status look_up(struct phiz_detector *d, const char *input, const char *const *output, int n,
                                struct phiz_subnet *net)
{
	net->input = find_input(net->graph, input);
	if (net->input == PHIZ_NONE)
		return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector %s: the model has no input '%s'", d->kind->name,
		                 input ? input : "image");
	for (int i = 0; i < n; i++) {
		net->output[i] = phiz_graph_find_value(net->graph, output[i]);
		if (net->output[i] == PHIZ_NONE)
			return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "detector %s: the model has no output '%s'", d->kind->name,
			                 output[i]);
	}
	return PHIZ_OK;
}

enum phiz_status phiz_subnet_cut(struct phiz_detector *d, const char *input, const char *const *output, int n,
                                 struct phiz_subnet *out)
{
	memset(out, 0, sizeof *out);
	out->detector = d;
	enum phiz_status status = phiz_graph_clone(d->model->graph, &out->graph);
	if (!status)
		status = look_up(d, input, output, n, out);
	if (!status)
		phiz_graph_clear_outputs(out->graph);
	for (int i = 0; i < n && !status; i++)
		status = phiz_graph_output(out->graph, out->output[i]);
	if (!status)
		status = phiz_pass_prune(out->graph);
	return status ? status : look_up(d, input, output, n, out);
}

void phiz_subnet_free(struct phiz_subnet *net) { phiz_graph_free(&net->graph); }

enum phiz_status phiz_subnet_plan(const struct phiz_subnet *net, int64_t batch, int height, int width,
                                  struct phiz_plan **out)
{
	struct phiz_detector *d = net->detector;
	struct phiz_plan_options o = {
		.backend = d->options.backend, .fallback = d->options.fallback, .mode = PHIZ_PLAN_INFER, .batch = batch,
		.height = height, .width = width, .loss = PHIZ_NONE, .fixed = true, .tuning = d->model->tuning,
	};
	enum phiz_status status = phiz_plan_create(d->ctx, net->graph, &o, out);

	if (status)
		return status;
	d->options.backend = phiz_plan_backend(*out);
	if (phiz_plan_tensor(*out, net->input))
		return PHIZ_OK;
	phiz_plan_free(out);
	return phiz_fail(d->ctx, PHIZ_E_UNSUPPORTED, "the detector's outputs do not depend on its input");
}
