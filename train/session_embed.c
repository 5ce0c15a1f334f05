/* What training an embedder adds: the embedding's layers, tensors of the loss, the teacher, verification. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/nn/builder.h"
#include "train/session.h"
#include "train/embed_score.h"

/* --- The model. --- */

enum { LOSS_STREAM = 1 << 21 }; /* of the draws of the loss's tensors, apart from the layers' */

/* Has the model the recipe's embedding already? */
static bool has_embedding(const struct phiz_session *s)
{
	const struct phiz_graph *g = s->model->graph;
	int node = g->n_outputs ? g->value[g->output[0]].node : PHIZ_NONE;
	bool norm = node != PHIZ_NONE && phiz_node_is(&g->node[node], "batch_norm");

	return phiz_model_task(s->model) == PHIZ_TASK_EMBED && phiz_model_classes(s->model) == s->dim &&
	       norm == s->recipe->loss.embedding_bn;
}

static enum phiz_status add_norm(struct phiz_session *s)
{
	struct phiz_builder b = {s->model, (uint64_t)s->recipe->train.seed, 0};
	struct phiz_graph *g = s->model->graph;
	int from = phiz_graph_output_at(g, 0), norm;
	enum phiz_status status = phiz_build_batch_norm(&b, "embedding_bn", from, 1e-5, 0.1, &norm);

	if (status)
		return status;
	phiz_graph_clear_outputs(g);
	return phiz_graph_output(g, norm);
}

enum phiz_status phiz_session_set_embedding(struct phiz_session *s)
{
	int64_t before = phiz_model_classes(s->model);
	enum phiz_status status;

	s->dim = s->teacher.embedding ? s->teacher.dim : s->recipe->loss.embedding;
	if (s->teacher.embedding && s->recipe->loss.embedding != s->dim)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "the teacher's embeddings have %d numbers: set loss.embedding = %d",
		                 s->teacher.dim, s->teacher.dim);
	if (has_embedding(s))
		return PHIZ_OK;
	if (phiz_model_task(s->model) == PHIZ_TASK_DETECT)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "the weights are those of a face detector");
	status = phiz_model_replace_head(s->model, s->dim, (uint64_t)s->recipe->train.seed);
	if (status)
		return status;
	phiz_log(s->ctx, PHIZ_LOG_INFO, "%s: new, for embeddings of %lld numbers (the weights had %lld classes)",
	         phiz_model_head(s->model), (long long)s->dim, (long long)before);
	memset(&s->model->threshold, 0, sizeof s->model->threshold);
	status = phiz_model_set_labels(s->model, NULL, 0);
	if (!status && s->recipe->loss.embedding_bn)
		status = add_norm(s);
	return status ? status : phiz_model_set_task(s->model, PHIZ_TASK_EMBED);
}

/* --- The head of a classifier. --- */

/* Length of a row: what a cosine counts in the logit. With more, training has less to do, as confidences are near 1
 * from the beginning: with 12 and 4, 88.7 and 93.0 % of five celebrities' photos were named rightly at the cosine that
 * 1 % of strangers reach, of six actors' 92.7 and 92.0. */
static const float HEAD_SCALE = 4;

/* The mean direction of the photos index[0..count), by person, becomes the person's row. */
static void mean_rows(struct phiz_session *s, const struct phiz_teacher *said, const uint32_t *index, size_t count)
{
	struct phiz_tensor *weight = phiz_model_find(s->model, "head.weight")->tensor;
	struct phiz_tensor *bias = phiz_model_find(s->model, "head.bias")->tensor;
	const size_t dim = (size_t)said->dim, people = (size_t)weight->shape.dim[0];
	float *row = weight->data;
	size_t i, d;

	phiz_init_constant(weight, 0);
	phiz_init_constant(bias, 0);
	for (i = 0; i < count; i++)
		for (d = 0; d < dim; d++)
			row[(size_t)s->options->dataset->sample[index[i]].person * dim + d] += said->embedding[index[i] * dim + d];
	phiz_embed_unit_rows(row, people, dim);
	for (i = 0; i < people * dim; i++)
		row[i] *= HEAD_SCALE;
}

enum phiz_status phiz_session_set_head(struct phiz_session *s, const struct phiz_model *trunk)
{
	struct phiz_align align;
	struct phiz_teacher_options o = {
		.path = "the trunk", .model = trunk, .faces = s->options->faces, .align = &align, .batch = 32,
		.cancel = s->options->cancel,
	};
	struct phiz_teacher said;
	uint32_t *index = NULL;
	size_t count = 0;
	enum phiz_status status;

	phiz_session_align(s->recipe, &align);
	status = phiz_dataset_select(s->ctx, s->options->dataset, PHIZ_PART_TRAIN, &index, &count);
	if (!status)
		status = phiz_teacher_open(s->ctx, s->options->dataset, index, count, &o, &said);
	if (!status) {
		mean_rows(s, &said, index, count);
		phiz_teacher_free(s->ctx, &said);
	}
	phiz_free(s->ctx, index);
	return status;
}

/* --- Tensors of the loss. --- */

/* [people, D], normal with this deviation. */
static enum phiz_status add_loss_tensor(struct phiz_session *s, const char *name, double deviation, bool trainable)
{
	struct phiz_shape shape = phiz_shape_2d(s->options->dataset->n_known, s->dim);
	struct phiz_tensor *t;
	enum phiz_status status = phiz_tensor_create(s->ctx, PHIZ_F32, &shape, &t);

	if (status)
		return status;
	if (deviation > 0)
		phiz_init_he_normal(t, 2 / (deviation * deviation), (uint64_t)s->recipe->train.seed, LOSS_STREAM);
	else
		phiz_init_constant(t, 0);
	status = phiz_extra_add(s->ctx, &s->loss, name, t);
	if (!status)
		s->loss.entry[s->loss.count - 1].trainable = trainable;
	return status;
}

enum phiz_status phiz_session_need_loss(struct phiz_session *s)
{
	int loss = s->recipe->loss.name;
	enum phiz_status status = PHIZ_OK;

	if (!s->dim || s->loss.count)
		return PHIZ_OK;
	/* Of length 1: a step turns a class by the rate over its squared length. */
	if (loss == PHIZ_LOSS_ARCFACE || loss == PHIZ_LOSS_COSFACE)
		status = add_loss_tensor(s, PHIZ_LOSS_WEIGHT, 1 / sqrt((double)s->dim), true);
	if (!status && s->recipe->loss.center > 0)
		status = add_loss_tensor(s, PHIZ_LOSS_CENTER, 0, false);
	return status;
}

/* --- The teacher. --- */

static void show_teacher(void *user, int64_t done, int64_t total)
{
	struct phiz_session *s = user;
	const struct phiz_train_callbacks *call = &s->options->callbacks;
	struct phiz_train_progress p;

	if (!call->progress)
		return;
	memset(&p, 0, sizeof p);
	p.phase = PHIZ_PHASE_TEACHER;
	p.epochs = s->recipe->train.epochs;
	p.batch = done;
	p.batches = total;
	p.loss = p.top1 = p.images_per_s = p.eta_seconds = NAN;
	call->progress(call->user, &p);
}

/* Samples of parts TRAIN, VAL and STRANGER. */
static enum phiz_status list_all(struct phiz_session *s, uint32_t **index, size_t *count)
{
	const struct phiz_dataset *data = s->options->dataset;
	size_t i;

	*count = 0;
	*index = phiz_alloc(s->ctx, data->count + 1, sizeof **index);
	if (!*index)
		return PHIZ_E_NOMEM;
	for (i = 0; i < data->count; i++)
		if (data->sample[i].part == PHIZ_PART_TRAIN || data->sample[i].part == PHIZ_PART_VAL ||
		    data->sample[i].part == PHIZ_PART_STRANGER)
			(*index)[(*count)++] = (uint32_t)i;
	return PHIZ_OK;
}

enum phiz_status phiz_session_open_teacher(struct phiz_session *s)
{
	const struct phiz_recipe *r = s->recipe;
	struct phiz_teacher_options o;
	struct phiz_align align;
	uint32_t *index;
	size_t count;
	char *cache;
	enum phiz_status status;

	if (!phiz_recipe_distills(r))
		return PHIZ_OK;
	if (strcmp(r->train.teacher, "none") == 0)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "distilling needs a teacher: train.teacher = FILE.phiz (or --teacher)");
	cache = phiz_rundir_join(&s->dir, PHIZ_TEACHER);
	if (!cache)
		return PHIZ_E_NOMEM;
	phiz_session_align(r, &align);
	memset(&o, 0, sizeof o);
	o.path = r->train.teacher;
	o.faces = s->options->faces;
	o.align = &align;
	o.batch = 32;
	o.precision = r->train.precision == PHIZ_TRAIN_BF16 ? PHIZ_BF16 : PHIZ_F32;
	o.cache = cache;
	o.earlier = s->options->teacher_said;
	o.cancel = s->options->cancel;
	o.user = s;
	o.progress = show_teacher;
	status = list_all(s, &index, &count);
	if (!status)
		status = phiz_teacher_open(s->ctx, s->options->dataset, index, count, &o, &s->teacher);
	phiz_free(s->ctx, index);
	phiz_free(s->ctx, cache);
	return status;
}

enum phiz_status phiz_session_check_teacher(struct phiz_session *s)
{
	const char *then = phiz_model_meta(s->model, "teacher");

	if (!s->teacher.embedding || (then && !strcmp(then, s->teacher.hash)))
		return PHIZ_OK;
	return phiz_fail(s->ctx, PHIZ_E_ARG, "%s: is not the teacher that the run began with", s->recipe->train.teacher);
}

/* --- Verification. --- */

static enum phiz_status collect(struct phiz_session *s, float *embedding, int32_t *person, double *away, size_t *n)
{
	size_t dim = (size_t)s->dim, d;
	enum phiz_status status = phiz_side_begin(s, &s->val, 0, 0);
	int64_t b;
	int i;

	*n = 0;
	*away = 0;
	for (b = 0; b < s->val.batches && !status; b++) {
		struct phiz_batch batch;
		const float *output;

		status = phiz_side_load(s, &s->val, 0, b, &batch);
		if (!status)
			status = phiz_trainnet_validate(s->net, &output);
		for (i = 0; !status && i < batch.n; i++, (*n)++) {
			float *to = embedding + *n * dim;
			const float *teacher = s->teacher.embedding ? s->teacher.embedding + batch.samples[i] * dim : NULL;
			double cosine = 0;

			memcpy(to, output + (size_t)i * dim, dim * sizeof *to);
			phiz_embed_unit_rows(to, 1, dim);
			for (d = 0; teacher && d < dim; d++)
				cosine += (double)to[d] * (double)teacher[d];
			*away += 1 - cosine;
			person[*n] = s->options->dataset->sample[batch.samples[i]].person;
		}
		if (!status)
			phiz_session_report_val(s, b);
	}
	return status;
}

static enum phiz_status log_verification(struct phiz_session *s, const struct phiz_embed_score *v, double away)
{
	struct phiz_bytes fields;
	enum phiz_status status;

	phiz_bytes_init(&fields, s->ctx);
	phiz_bytes_printf(&fields, "\"epoch\":%lld,\"same\":%lld,\"different\":%lld", (long long)s->state.epoch + 1,
	                  (long long)v->same, (long long)v->different);
	phiz_session_add_real(&fields, "accuracy", v->accuracy);
	phiz_session_add_real(&fields, "threshold", v->threshold);
	phiz_session_add_real(&fields, "tar_far_1e-2", v->tar);
	phiz_session_add_real(&fields, "eer", v->eer);
	phiz_session_add_real(&fields, "from_teacher", away);
	status = phiz_bytes_status(&fields);
	if (!status)
		status = phiz_session_log(s, "verify", fields.data);
	phiz_bytes_free(&fields);
	if (isfinite(v->accuracy))
		phiz_log(s->ctx, PHIZ_LOG_INFO,
		         "verification of %lld pairs: accuracy %.2f %%, TAR at FAR 1 %% %.2f %%, equal error rate %.2f %%",
		         (long long)(v->same + v->different), 100 * v->accuracy, 100 * v->tar, 100 * v->eer);
	phiz_session_scalar(s, "val/tar_far_1e-2", v->tar);
	phiz_session_scalar(s, "val/eer", v->eer);
	return status;
}

enum phiz_status phiz_session_verify(struct phiz_session *s, double *loss, double *accuracy)
{
	size_t most = (size_t)s->val.samples, n;
	float *embedding = phiz_alloc(s->ctx, most * (size_t)s->dim + 1, sizeof *embedding);
	int32_t *person = phiz_alloc(s->ctx, most + 1, sizeof *person);
	struct phiz_embed_score v;
	double away;
	enum phiz_status status = embedding && person ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status)
		status = collect(s, embedding, person, &away, &n);
	if (!status)
		status = phiz_embed_score_pairs(s->ctx, embedding, person, n, (size_t)s->dim, &v);
	if (!status) {
		away = s->teacher.embedding && n ? away / (double)n : (double)NAN;
		*loss = s->recipe->loss.name == PHIZ_LOSS_DISTILL ? away : v.eer;
		*accuracy = v.accuracy;
		status = log_verification(s, &v, away);
	}
	phiz_free(s->ctx, person);
	phiz_free(s->ctx, embedding);
	return status;
}
