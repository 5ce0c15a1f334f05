/* The model, what of it is trained, and the plans that train it. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/ops/ops.h"
#include "datasets/crops.h"
#include "train/freeze.h"
#include "train/select.h"
#include "train/session.h"

/* --- The model. --- */

void phiz_session_align(const struct phiz_recipe *recipe, struct phiz_align *out)
{
	memset(out, 0, sizeof *out);
	out->kind = (enum phiz_align_kind)recipe->data.align;
	out->margin = recipe->data.align_margin;
	out->size = out->kind == PHIZ_ALIGN_NONE ? 0 : (int)recipe->data.size;
}

void phiz_session_preproc(const struct phiz_recipe *r, struct phiz_preproc *p)
{
	int i;

	phiz_session_align(r, &p->align);
	p->crop = r->data.crop;
	p->mode = r->data.resize.kind == PHIZ_RECIPE_SHORT ? PHIZ_RESIZE_SHORT : PHIZ_RESIZE_STRETCH;
	p->resize = r->data.resize.kind == PHIZ_RECIPE_SHORT ? (int)r->data.resize.side : (int)r->data.size;
	p->size = (int)r->data.size;
	for (i = 0; i < 3; i++) {
		p->mean[i] = (float)r->data.mean[i];
		p->std[i] = (float)r->data.std[i];
	}
}

/* Photos that phiz data extract cut out are crops to the recipe, but the model must say how faces are cut where it
 * runs on whole photos. */
static enum phiz_status set_align(struct phiz_session *s, struct phiz_align *out)
{
	if (out->kind != PHIZ_ALIGN_NONE)
		return PHIZ_OK;
	return phiz_crops_align_dataset(s->ctx, s->options->dataset, out);
}

/* The graph is kept for the recipe's size of photos. */
static enum phiz_status set_size(struct phiz_session *s)
{
	struct phiz_graph *g = s->model->graph;
	int image = phiz_graph_find_value(g, "image");
	struct phiz_shape *shape = image == PHIZ_NONE ? NULL : &g->value[image].type.shape;
	int64_t size = s->recipe->data.size;

	if (!shape || shape->ndim != 4 || shape->dim[1] != 3)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "the model does not take colour photos (an input 'image' [1, 3, S, S])");
	if (shape->dim[2] == size && shape->dim[3] == size)
		return PHIZ_OK;
	shape->dim[2] = shape->dim[3] = size;
	if (phiz_graph_refresh(g))
		return phiz_fail_in(s->ctx, "data.size = %lld", (long long)size);
	return PHIZ_OK;
}

static bool same_people(const struct phiz_model *model, const struct phiz_dataset *data)
{
	size_t i;

	if (model->n_labels != (size_t)data->n_known || phiz_model_classes(model) != data->n_known)
		return false;
	for (i = 0; i < model->n_labels; i++)
		if (strcmp(model->label[i], data->people.name[i]) != 0)
			return false;
	return true;
}

static enum phiz_status set_people(struct phiz_session *s)
{
	const struct phiz_dataset *data = s->options->dataset;
	int64_t before = phiz_model_classes(s->model);
	struct phiz_model *trunk = NULL;
	enum phiz_status status = PHIZ_OK;

	if (same_people(s->model, data))
		return PHIZ_OK;
	if (phiz_model_task(s->model) == PHIZ_TASK_EMBED)
		status = phiz_model_clone(s->model, &trunk);
	if (!status)
		status = phiz_model_replace_head(s->model, data->n_known, (uint64_t)s->recipe->train.seed);
	if (!status && trunk) { /* which looks at the photos as the classifier will */
		phiz_session_preproc(s->recipe, &trunk->preproc);
		status = phiz_session_set_head(s, trunk);
	}
	phiz_model_free(&trunk);
	if (status)
		return status;
	phiz_log(s->ctx, PHIZ_LOG_INFO, "%s: new, for %d people (the weights had %lld classes)", phiz_model_head(s->model),
	         data->n_known, (long long)before);
	/* What was measured for other people does not hold for these. */
	memset(&s->model->threshold, 0, sizeof s->model->threshold);
	return phiz_model_set_labels(s->model, (const char *const *)data->people.name, (size_t)data->n_known);
}

enum phiz_status phiz_session_fit_model(struct phiz_session *s)
{
	enum phiz_status status = set_size(s);

	if (!status)
		status = phiz_recipe_embeds(s->recipe) ? phiz_session_set_embedding(s) : set_people(s);
	if (!status && s->teacher.embedding)
		status = phiz_model_set_meta(s->model, "teacher", s->teacher.hash);
	if (status)
		return status;
	phiz_session_preproc(s->recipe, &s->model->preproc);
	status = set_align(s, &s->model->preproc.align);
	if (status)
		return status;
	status = phiz_preproc_check(s->ctx, &s->model->preproc);
	return status ? status : phiz_freeze_check(s->model, s->recipe);
}

/* --- Stages: what is trained in an epoch. --- */

static enum phiz_status make_optimizer(struct phiz_session *s)
{
	const struct phiz_recipe *r = s->recipe;
	struct phiz_optimizer_options o;

	memset(&o, 0, sizeof o);
	o.kind = (enum phiz_optimizer_kind)r->optimizer.name;
	o.momentum = r->optimizer.momentum;
	o.dampening = r->optimizer.dampening;
	o.nesterov = r->optimizer.nesterov;
	o.beta1 = r->optimizer.beta1;
	o.beta2 = r->optimizer.beta2;
	o.eps = r->optimizer.eps;
	return phiz_optimizer_create(s->ctx, &o, &s->optimizer);
}

static enum phiz_status add_param(struct phiz_session *s, const struct phiz_select *groups, const char *name,
                                  struct phiz_tensor *tensor)
{
	const struct phiz_recipe *r = s->recipe;
	int i = phiz_select_longest(groups, name);
	double factor = i < 0 ? 1 : groups->item[i].value[0];
	double decay = r->optimizer.weight_decay;

	if (r->optimizer.decay == PHIZ_DECAY_WEIGHTS && tensor->shape.ndim < 2)
		decay = 0; /* biases, batch norm, slopes */
	else if (i >= 0 && groups->item[i].n_values == 2)
		decay = groups->item[i].value[1];
	return phiz_optimizer_add(s->optimizer, name, tensor, factor, decay);
}

/* The average follows parameters that are trained and statistics that move. */
static enum phiz_status add_average(struct phiz_session *s, const struct phiz_graph *g)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;
	int k;

	for (i = 0; i < g->n_values && !status; i++)
		if (g->value[i].kind == PHIZ_VALUE_PARAM && g->value[i].trainable)
			status = phiz_ema_add(s->ema, g->value[i].name, g->value[i].tensor);
	for (i = 0; i < g->n_nodes && !status; i++) {
		const struct phiz_node *node = &g->node[i];

		if (!phiz_node_is(node, "batch_norm") || node->attr[PHIZ_BATCH_NORM_FROZEN].i)
			continue;
		for (k = PHIZ_BATCH_NORM_MEAN; k <= PHIZ_BATCH_NORM_VAR && !status; k++)
			status = phiz_ema_add(s->ema, g->value[node->input[k]].name, g->value[node->input[k]].tensor);
	}
	return status;
}

/* In the order of the graph, the loss's behind, so that the gradients' norm is summed in the same order however
 * training got here. */
static void order_params(struct phiz_session *s)
{
	const struct phiz_graph *g = s->model->graph;
	size_t i, at = 0;

	for (i = 0; i < g->n_values; i++) {
		struct phiz_optimizer_param *p = phiz_optimizer_find(s->optimizer, g->value[i].name), swap;

		if (!p)
			continue;
		swap = *p;
		*p = s->optimizer->param[at];
		s->optimizer->param[at++] = swap;
	}
}

/* What is on the device goes with it. */
static void drop_net(struct phiz_session *s)
{
	s->has_ahead = false;
	if (s->optimizer)
		(void)phiz_optimizer_place(s->optimizer, phiz_backend_cpu()); /* back to the host: nothing to fail */
	if (s->ema)
		(void)phiz_ema_place(s->ema, phiz_backend_cpu());
	phiz_trainnet_free(&s->net);
}

enum phiz_status phiz_session_pull(struct phiz_session *s)
{
	enum phiz_status status = s->net ? phiz_trainnet_pull(s->net) : PHIZ_OK;

	if (!status && s->optimizer)
		status = phiz_optimizer_pull(s->optimizer);
	return status ? status : phiz_ema_pull(s->ema);
}

enum phiz_status phiz_session_push(struct phiz_session *s)
{
	enum phiz_status status = s->net ? phiz_trainnet_push(s->net) : PHIZ_OK;

	return status ? status : phiz_ema_push(s->ema);
}

enum phiz_status phiz_session_stage(struct phiz_session *s)
{
	struct phiz_graph *g = s->model->graph;
	struct phiz_select groups;
	enum phiz_status status;
	bool changed;
	size_t i;

	status = phiz_freeze_apply(s->model, s->recipe, s->state.epoch, &changed);
	if (status)
		return status;
	if (changed) {
		status = phiz_session_pull(s);
		if (status)
			return status;
		drop_net(s);
	}
	if (phiz_session_need_loss(s))
		return phiz_ctx_status(s->ctx);
	if (!s->optimizer && make_optimizer(s))
		return phiz_ctx_status(s->ctx);
	if (!s->ema && s->recipe->train.ema > 0 && phiz_ema_create(s->ctx, s->recipe->train.ema, &s->ema))
		return phiz_ctx_status(s->ctx);
	status = phiz_select_parse(s->ctx, s->recipe->optimizer.groups, &groups);
	for (i = 0; i < g->n_values && !status; i++)
		if (g->value[i].kind == PHIZ_VALUE_PARAM && g->value[i].trainable &&
		    !phiz_optimizer_find(s->optimizer, g->value[i].name))
			status = add_param(s, &groups, g->value[i].name, g->value[i].tensor);
	for (i = 0; i < s->loss.count && !status; i++)
		if (s->loss.entry[i].trainable && !phiz_optimizer_find(s->optimizer, s->loss.entry[i].name))
			status = add_param(s, &groups, s->loss.entry[i].name, s->loss.entry[i].tensor);
	phiz_select_free(s->ctx, &groups);
	order_params(s);
	if (!status && s->ema)
		status = add_average(s, g);
	return status;
}

/* --- The net. --- */

/* Balanced: n / (classes * photos of the class), as is usual; 0 for a class without photos. */
static enum phiz_status make_class_weight(struct phiz_session *s)
{
	const struct phiz_dataset *data = s->options->dataset;
	size_t total = phiz_dataset_count(data, PHIZ_PART_TRAIN, -1);
	int c;

	if (s->recipe->train.class_weights != PHIZ_WEIGHTS_BALANCED || s->class_weight)
		return PHIZ_OK;
	s->class_weight = phiz_calloc(s->ctx, (size_t)data->n_known, sizeof *s->class_weight);
	if (!s->class_weight)
		return PHIZ_E_NOMEM;
	for (c = 0; c < data->n_known; c++) {
		size_t photos = phiz_dataset_count(data, PHIZ_PART_TRAIN, c);

		if (photos)
			s->class_weight[c] = (float)((double)total / ((double)data->n_known * (double)photos));
	}
	return PHIZ_OK;
}

/* The optimiser and the average work where the net has its parameters. */
static enum phiz_status bind_net(struct phiz_session *s)
{
	enum phiz_status status = phiz_optimizer_place(s->optimizer, s->backend);
	size_t i;

	for (i = 0; i < s->optimizer->count; i++) {
		struct phiz_optimizer_param *p = &s->optimizer->param[i];
		const struct phiz_tensor *at = phiz_trainnet_parameter(s->net, p->name);

		p->gradient = phiz_trainnet_gradient(s->net, p->name);
		if (at)
			p->at = at->data;
	}
	if (!status && s->ema)
		status = phiz_ema_place(s->ema, s->backend);
	for (i = 0; s->ema && i < s->ema->count && s->backend->device; i++) {
		const struct phiz_tensor *at = phiz_trainnet_parameter(s->net, s->ema->entry[i].name);

		s->ema->entry[i].live_at = at ? at->data : NULL;
	}
	return status;
}

/* A net that is made in the middle of a run: something was unfrozen, or it was rolled back. */
static enum phiz_status log_stage(struct phiz_session *s)
{
	struct phiz_bytes fields;
	enum phiz_status status;

	phiz_bytes_init(&fields, s->ctx);
	phiz_bytes_printf(&fields, "\"epoch\":%lld,\"trained_tensors\":%zu,\"trunk\":", (long long)s->state.epoch + 1,
	                  s->optimizer->count);
	phiz_bytes_json(&fields, s->net->trunk ? s->trunk_note : "none");
	status = phiz_bytes_status(&fields);
	if (!status)
		status = phiz_session_log(s, "stage", fields.data);
	phiz_bytes_free(&fields);
	return status;
}

enum phiz_status phiz_session_need_net(struct phiz_session *s)
{
	struct phiz_trainnet_options o;
	struct phiz_plan_info info;
	enum phiz_status status;

	if (s->net)
		return PHIZ_OK;
	status = make_class_weight(s);
	if (status)
		return status;
	memset(&o, 0, sizeof o);
	o.batch = s->train.samples < s->train.batch ? s->train.samples : s->train.batch;
	o.val_batch = s->val.samples < s->val.batch ? s->val.samples : s->val.batch;
	o.size = (int)s->recipe->data.size;
	o.label_smoothing = s->recipe->train.label_smoothing;
	o.backend = s->backend;
	o.fallback = s->options->fallback;
	o.precision = s->recipe->train.precision == PHIZ_TRAIN_BF16   ? PHIZ_BF16
	              : s->recipe->train.precision == PHIZ_TRAIN_FP16 ? PHIZ_F16
	                                                              : PHIZ_F32;
	o.bytes = s->bytes ? &s->model->preproc : NULL;
	o.mixup = s->recipe->augment.mixup > 0;
	o.class_weight = s->class_weight;
	o.seed = (uint64_t)s->recipe->train.seed;
	o.keep_whole = s->options->no_trunk;
	o.loss = s->recipe->loss.name;
	o.scale = s->recipe->loss.scale;
	o.margin = phiz_recipe_margin(s->recipe);
	o.loss_weight = phiz_extra_find(&s->loss, PHIZ_LOSS_WEIGHT);
	o.distill = o.loss == PHIZ_LOSS_DISTILL ? 1 : s->teacher.embedding ? s->recipe->loss.distill : 0;
	o.mining = s->recipe->loss.mining;
	o.loss_center = phiz_extra_find(&s->loss, PHIZ_LOSS_CENTER);
	o.center = s->recipe->loss.center;
	o.center_rate = s->recipe->loss.center_rate;
	o.similarity = s->recipe->loss.similarity;
	status = phiz_trainnet_create(s->model, &o, &s->net);
	if (status)
		return status;
	s->backend = phiz_trainnet_backend(s->net);
	status = bind_net(s);
	if (status)
		return status;
	phiz_plan_describe(s->net->train_plan, &info);
	phiz_log(s->ctx, PHIZ_LOG_INFO, "%zu parameter tensors are trained; a step needs %.1f MiB and %.2f GFLOP",
	         s->optimizer->count, (double)(info.arena_bytes + info.gradient_bytes + info.workspace_bytes) / 1048576,
	         (info.forward_flops + info.backward_flops) / 1e9);
	status = phiz_session_plan_features(s);
	if (!status && s->net->trunk)
		phiz_log(s->ctx, PHIZ_LOG_INFO, "%s", s->trunk_note);
	return status || s->session_steps == 0 ? status : log_stage(s);
}

/* --- Going back. --- */

enum phiz_status phiz_session_restore(struct phiz_session *s, struct phiz_checkpoint *checkpoint)
{
	enum phiz_status status;

	phiz_train_state_free(&s->state);
	s->state = checkpoint->state;
	memset(&checkpoint->state, 0, sizeof checkpoint->state);
	drop_net(s);
	phiz_optimizer_free(&s->optimizer);
	phiz_ema_free(&s->ema);
	status = phiz_session_stage(s);
	if (!status)
		status = phiz_checkpoint_restore(checkpoint, s->model, s->optimizer, s->ema, &s->loss);
	if (s->ema)
		s->ema->steps = s->state.ema_steps;
	return status;
}
