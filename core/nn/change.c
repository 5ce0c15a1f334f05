/* Changing a model: another head, the form that inference runs. And the built-in networks' texts. */
#include <math.h>
#include <phiz/plan.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/nn/builder.h"
#include "core/nn/builtin.h"

/* Puts a new tensor of another shape into an entry and into the value that borrows it. */
static enum phiz_status replace_tensor(struct phiz_model *m, int value, const struct phiz_shape *shape, double bound,
                                       uint64_t seed, uint64_t which)
{
	struct phiz_value *v = phiz_graph_value(m->graph, value);
	struct phiz_entry *entry = phiz_model_find(m, v->name);
	struct phiz_tensor *t;

	if (!entry)
		return phiz_fail(m->ctx, PHIZ_E_INTERNAL, "the graph reads '%s', which the model does not hold", v->name);
	enum phiz_status status = phiz_tensor_create(m->ctx, PHIZ_F32, shape, &t);
	if (status)
		return status;
	phiz_init_uniform(t, bound, seed, which);
	phiz_tensor_free(m->ctx, &entry->tensor);
	entry->tensor = v->tensor = t;
	return PHIZ_OK;
}

enum { HEAD_STREAM = 1 << 20 }; /* apart from the draws of the layers that were built */

/* A new linear layer "head" that reads the embedding's direction, by which embeddings are compared. */
static enum phiz_status append_head(struct phiz_model *m, int64_t classes, uint64_t seed)
{
	struct phiz_builder b = {m, seed, HEAD_STREAM};
	int embedding = phiz_graph_output_at(m->graph, 0), direction, out;
	enum phiz_status status = phiz_build_plain(&b, "l2_normalize", "direction", &embedding, 1, NULL, 0, &direction);

	if (!status)
		status = phiz_build_linear(&b, "head", direction, classes, true, &out);
	if (status)
		return status;
	phiz_graph_clear_outputs(m->graph);
	status = phiz_graph_output(m->graph, out);
	return status ? status : phiz_model_set_task(m, PHIZ_TASK_CLASSIFY);
}

enum phiz_status phiz_model_replace_head(struct phiz_model *model, int64_t classes, uint64_t seed)
{
	struct phiz_graph *g = model->graph;

	if (classes < 1)
		return phiz_fail(model->ctx, PHIZ_E_ARG, "a head needs at least one class, got %lld", (long long)classes);
	int node = phiz_graph_n_outputs(g) ? phiz_graph_value(g, phiz_graph_output_at(g, 0))->node : PHIZ_NONE;
	if (node != PHIZ_NONE && phiz_model_task(model) == PHIZ_TASK_EMBED)
		return append_head(model, classes, seed);
	if (node == PHIZ_NONE || !phiz_node_is(phiz_graph_node(g, node), "linear"))
		return phiz_fail(model->ctx, PHIZ_E_UNSUPPORTED,
		                 "the model's output is not made by a linear layer, so it cannot get a head of %lld classes",
		                 (long long)classes);
	int weight = phiz_node_input(phiz_graph_node(g, node), "weight");
	int bias = phiz_node_input(phiz_graph_node(g, node), "bias");
	struct phiz_shape shape = phiz_graph_value(g, weight)->type.shape;
	double bound = 1 / sqrt((double)shape.dim[1]);
	shape.dim[0] = classes;
	enum phiz_status status = replace_tensor(model, weight, &shape, bound, seed, HEAD_STREAM);
	shape = phiz_shape_1d(classes);
	if (!status && bias != PHIZ_NONE)
		status = replace_tensor(model, bias, &shape, bound, seed, HEAD_STREAM + 1);
	return status ? status : phiz_graph_refresh(g);
}

static enum phiz_status adopt(void *user, const char *name, struct phiz_tensor *tensor)
{
	return phiz_model_add(user, name, tensor, true);
}

enum phiz_status phiz_model_optimize(struct phiz_model *model)
{
	enum phiz_status status = phiz_pass_drop_identity(model->graph);
	if (!status)
		status = phiz_pass_fold_batch_norm(model->graph, adopt, model);
	if (!status)
		status = phiz_pass_fuse_residual(model->graph);
	if (!status)
		status = phiz_pass_fuse_activation(model->graph, false);
	return status ? status : phiz_model_prune(model);
}

const char *phiz_net_builtin(const char *name)
{
	for (const struct phiz_builtin_net *net = phiz_builtin_nets; net->name; net++)
		if (!strcmp(net->name, name))
			return net->text;
	return NULL;
}

const char *phiz_net_builtin_name(int i)
{
	for (const struct phiz_builtin_net *net = phiz_builtin_nets; net->name; net++)
		if (i-- == 0)
			return net->name;
	return NULL;
}
