#include "train/freeze.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/ops/ops.h"
#include "train/select.h"
#include "train/trainnet.h"

const char *phiz_model_head(const struct phiz_model *model)
{
	const struct phiz_graph *g = model->graph;
	int node = g->n_outputs ? g->value[g->output[0]].node : PHIZ_NONE;

	return node == PHIZ_NONE ? "" : g->node[node].name;
}

static enum phiz_status check_list(const struct phiz_model *model, const char *text, const char *what,
                                   const char *const *names, size_t count)
{
	struct phiz_select list;
	enum phiz_status status = phiz_select_parse(model->ctx, text, &list);

	if (!status)
		status = phiz_select_check_names(model->ctx, &list, what, names, count);
	phiz_select_free(model->ctx, &list);
	return status;
}

enum phiz_status phiz_freeze_check(const struct phiz_model *model, const struct phiz_recipe *recipe)
{
	const char **names = phiz_alloc(model->ctx, model->n_entries + 1, sizeof *names);
	enum phiz_status status;
	size_t i;

	if (!names)
		return PHIZ_E_NOMEM;
	for (i = 0; i < model->n_entries; i++)
		names[i] = model->entry[i].name;
	if (recipe->loss.name == PHIZ_LOSS_ARCFACE || recipe->loss.name == PHIZ_LOSS_COSFACE)
		names[i++] = PHIZ_LOSS_WEIGHT; /* has a rate of its own, if one wants */
	status = check_list(model, recipe->train.freeze, "train.freeze", names, i);
	if (!status)
		status = check_list(model, recipe->freeze.unfreeze, "freeze.unfreeze", names, i);
	if (!status)
		status = check_list(model, recipe->optimizer.groups, "optimizer.groups", names, i);
	phiz_free(model->ctx, names);
	return status;
}

struct rules {
	struct phiz_select freeze, unfreeze;
	const char *head;
	int64_t epoch;
};

static bool is_frozen(const struct rules *rules, const char *name)
{
	int i = phiz_select_last(&rules->freeze, name, *rules->head ? rules->head : NULL);

	if (i < 0 || rules->freeze.item[i].except)
		return false;
	i = phiz_select_longest(&rules->unfreeze, name);
	return i < 0 || (double)rules->epoch < rules->unfreeze.item[i].value[0];
}

/* A batch norm goes with its weight; without one, with its name. */
static bool norm_frozen(const struct phiz_graph *g, const struct rules *rules, const struct phiz_node *node, int mode)
{
	int weight = node->n_inputs > PHIZ_BATCH_NORM_WEIGHT ? node->input[PHIZ_BATCH_NORM_WEIGHT] : PHIZ_NONE;

	if (mode != PHIZ_BN_AUTO)
		return mode == PHIZ_BN_FROZEN;
	return weight == PHIZ_NONE ? is_frozen(rules, node->name) : !g->value[weight].trainable;
}

static size_t apply(struct phiz_graph *g, const struct rules *rules, int bn_mode, bool *changed)
{
	size_t i, n_trained = 0;

	for (i = 0; i < g->n_values; i++) {
		struct phiz_value *v = &g->value[i];
		bool trainable;

		if (v->kind != PHIZ_VALUE_PARAM)
			continue;
		trainable = !is_frozen(rules, v->name);
		*changed = *changed || trainable != v->trainable;
		v->trainable = trainable;
		n_trained += trainable;
	}
	for (i = 0; i < g->n_nodes; i++) {
		struct phiz_node *node = &g->node[i];
		bool frozen;

		if (!phiz_node_is(node, "batch_norm"))
			continue;
		frozen = norm_frozen(g, rules, node, bn_mode);
		*changed = *changed || frozen != (node->attr[PHIZ_BATCH_NORM_FROZEN].i != 0);
		node->attr[PHIZ_BATCH_NORM_FROZEN].i = frozen;
	}
	return n_trained;
}

enum phiz_status phiz_freeze_apply(struct phiz_model *model, const struct phiz_recipe *recipe, int64_t epoch,
                                   bool *changed)
{
	struct rules rules;
	bool any = false;
	enum phiz_status status;

	memset(&rules, 0, sizeof rules);
	rules.head = phiz_model_head(model);
	rules.epoch = epoch;
	status = phiz_select_parse(model->ctx, recipe->train.freeze, &rules.freeze);
	if (!status)
		status = phiz_select_parse(model->ctx, recipe->freeze.unfreeze, &rules.unfreeze);
	if (!status && apply(model->graph, &rules, recipe->freeze.bn, &any) == 0)
		status = phiz_fail(model->ctx, PHIZ_E_ARG, "train.freeze = %s leaves nothing to train", recipe->train.freeze);
	phiz_select_free(model->ctx, &rules.freeze);
	phiz_select_free(model->ctx, &rules.unfreeze);
	if (changed)
		*changed = any;
	return status;
}
