#include "core/nn/score.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"

/* The linear layer that makes a classifier's logits, if what it reads are directions. */
static const struct phiz_node *direction_head(const struct phiz_model *model)
{
	struct phiz_graph *g = model->graph;
	int made = phiz_graph_n_outputs(g) ? phiz_graph_value(g, phiz_graph_output_at(g, 0))->node : PHIZ_NONE;
	const struct phiz_node *head = made == PHIZ_NONE ? NULL : phiz_graph_node(g, made);

	if (!head || !phiz_node_is(head, "linear") || phiz_model_task(model) != PHIZ_TASK_CLASSIFY)
		return NULL;
	int from = phiz_graph_value(g, head->input[0])->node;
	return from != PHIZ_NONE && phiz_node_is(phiz_graph_node(g, from), "l2_normalize") ? head : NULL;
}

enum phiz_score phiz_model_score(const struct phiz_model *model)
{
	if (phiz_model_task(model) == PHIZ_TASK_EMBED)
		return PHIZ_SCORE_COSINE;
	if (model->threshold.set)
		return model->threshold.score;
	return direction_head(model) ? PHIZ_SCORE_COSINE : PHIZ_SCORE_CONFIDENCE;
}

const char *phiz_score_name(enum phiz_score score)
{
	return score == PHIZ_SCORE_COSINE ? "cosine" : "confidence";
}

static const struct phiz_tensor *param(const struct phiz_model *model, const struct phiz_node *node, const char *role)
{
	int value = phiz_node_input(node, role);

	return value == PHIZ_NONE ? NULL : phiz_graph_value(model->graph, value)->tensor;
}

enum phiz_status phiz_scorer_init(const struct phiz_model *model, struct phiz_scorer *scorer)
{
	const struct phiz_node *head = direction_head(model);

	*scorer = (struct phiz_scorer){.kind = phiz_model_score(model)};
	if (scorer->kind == PHIZ_SCORE_CONFIDENCE || phiz_model_task(model) != PHIZ_TASK_CLASSIFY)
		return PHIZ_OK;
	const struct phiz_tensor *weight = head ? param(model, head, "weight") : NULL;
	const struct phiz_tensor *bias = head ? param(model, head, "bias") : NULL;
	if (!weight || weight->dtype != PHIZ_F32)
		return phiz_fail(model->ctx, PHIZ_E_FORMAT, "the model's threshold is a cosine, but its last layer reads no "
		                 "directions (l2_normalize)");
	const size_t classes = (size_t)weight->shape.dim[0], dim = (size_t)weight->shape.dim[1];
	scorer->length = phiz_calloc(model->ctx, classes + 1, sizeof *scorer->length);
	scorer->bias = phiz_calloc(model->ctx, classes + 1, sizeof *scorer->bias);
	if (!scorer->length || !scorer->bias) {
		phiz_scorer_free(model->ctx, scorer);
		return PHIZ_E_NOMEM;
	}
	for (size_t c = 0; c < classes; c++) {
		const float *row = (const float *)weight->data + c * dim;

		for (size_t d = 0; d < dim; d++)
			scorer->length[c] += (double)row[d] * (double)row[d];
		scorer->length[c] = sqrt(scorer->length[c]);
		scorer->bias[c] = bias ? (double)((const float *)bias->data)[c] : 0;
	}
	return PHIZ_OK;
}

void phiz_scorer_free(struct phiz_ctx *ctx, struct phiz_scorer *scorer)
{
	phiz_free(ctx, scorer->length);
	phiz_free(ctx, scorer->bias);
	*scorer = (struct phiz_scorer){0};
}

double phiz_scorer_score(const struct phiz_scorer *scorer, int64_t class_index, double logit, double confidence)
{
	if (!scorer->length)
		return confidence;
	return scorer->length[class_index] > 0 ? (logit - scorer->bias[class_index]) / scorer->length[class_index] : 0;
}
