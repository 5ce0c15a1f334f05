#include "train/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/base/thread.h"
#include "datasets/sweep.h"

#define BATCH 16

struct runner {
	struct phiz_eval *eval;
	struct phiz_model *model;
	const struct phiz_eval_options *options;
	int32_t *class_of; /* of each person of the dataset */
	uint32_t *index;   /* the photos to do */
	size_t n_index;
	const uint32_t *batch_index; /* of the photos of the batch that is being read */
	struct phiz_plan *plan;
	int batch;
	size_t input_floats; /* of one photo */
	float *input;
	char **message; /* of the photos of a batch that could not be read */
	struct phiz_scorer scorer;
	int64_t known_done, right_done;
};

/* --- Who is who. --- */

static enum phiz_status find_class(const struct runner *r, const char *name, int32_t *out)
{
	const struct phiz_eval *e = r->eval;

	for (int64_t c = 0; c < e->classes; c++)
		if (!strcmp(e->label[c], name)) {
			*out = (int32_t)c;
			return PHIZ_OK;
		}
	*out = PHIZ_STRANGER;
	return PHIZ_E_NOTFOUND;
}

/* Are the classes named "0", "1" and so on, as those of an imported network are? */
static bool named_by_index(const struct phiz_eval *e)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)(e->classes - 1));
	return !strcmp(e->label[0], "0") && !strcmp(e->label[e->classes - 1], text);
}

static enum phiz_status unknown_person(const struct runner *r, const char *name)
{
	struct phiz_eval *e = r->eval;
	const char *meant = phiz_suggest(name, (const char *const *)e->label, (size_t)e->classes);

	if (named_by_index(e))
		return phiz_fail(e->ctx, PHIZ_E_ARG, "'%s' is no class of %s: its %lld classes are named by index ('%s' to "
		                 "'%s'), so it was not trained on these people; train it on them first (phiz train)", name,
		                 e->path, (long long)e->classes, e->label[0], e->label[e->classes - 1]);
	return phiz_fail(e->ctx, PHIZ_E_ARG, "'%s' is none of the %lld people that %s knows%s%s%s; faces of others go in "
	                 "with --strangers", name, (long long)e->classes, e->path, meant ? " (did you mean '" : "",
	                 meant ? meant : "", meant ? "'?)" : "");
}

static enum phiz_status match_people(struct runner *r)
{
	const struct phiz_dataset *d = r->eval->dataset;

	r->class_of = phiz_alloc(r->eval->ctx, d->people.count, sizeof *r->class_of);
	if (!r->class_of)
		return PHIZ_E_NOMEM;
	for (size_t p = 0; p < d->people.count; p++) {
		bool known = find_class(r, d->people.name[p], &r->class_of[p]) == PHIZ_OK;

		if (!known && !d->stranger[p])
			return unknown_person(r, d->people.name[p]);
		if (known && d->stranger[p])
			return phiz_fail(r->eval->ctx, PHIZ_E_ARG, "'%s' is among the strangers and is a person that %s knows",
			                 d->people.name[p], r->eval->path);
	}
	return PHIZ_OK;
}

static enum phiz_status choose_photos(struct runner *r)
{
	const struct phiz_dataset *d = r->eval->dataset;
	size_t known = 0;

	r->index = phiz_alloc(r->eval->ctx, d->count, sizeof *r->index);
	if (!r->index)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < d->count; i++) {
		bool stranger = d->sample[i].part == PHIZ_PART_STRANGER;

		if (!stranger && d->sample[i].part != r->options->part)
			continue;
		known += !stranger;
		r->index[r->n_index++] = (uint32_t)i;
	}
	if (known == 0)
		return phiz_fail(r->eval->ctx, PHIZ_E_ARG, "%s: there are no %s photos of known people in it",
		                 d->roots.count ? d->roots.name[0] : "the data", phiz_part_name(r->options->part));
	return PHIZ_OK;
}

/* --- The model. --- */

static enum phiz_status copy_labels(struct phiz_eval *e, const struct phiz_model *m)
{
	e->label = phiz_calloc(e->ctx, (size_t)e->classes, sizeof *e->label);
	if (!e->label)
		return PHIZ_E_NOMEM;
	for (int64_t c = 0; c < e->classes; c++) {
		e->label[c] = m->n_labels ? phiz_strdup(e->ctx, m->label[c]) : phiz_asprintf(e->ctx, "%lld", (long long)c);
		if (!e->label[c])
			return PHIZ_E_NOMEM;
	}
	return PHIZ_OK;
}

static enum phiz_status copy_meta(struct phiz_eval *e, const struct phiz_model *m)
{
	e->meta = phiz_calloc(e->ctx, m->n_meta, sizeof *e->meta);
	if (!e->meta)
		return PHIZ_E_NOMEM;
	for (; e->n_meta < m->n_meta; e->n_meta++) {
		e->meta[e->n_meta].key = phiz_strdup(e->ctx, m->meta[e->n_meta].key);
		e->meta[e->n_meta].text = phiz_strdup(e->ctx, m->meta[e->n_meta].text);
		if (!e->meta[e->n_meta].key || !e->meta[e->n_meta].text) {
			e->n_meta++;
			return PHIZ_E_NOMEM;
		}
	}
	return PHIZ_OK;
}

static enum phiz_status describe_model(struct phiz_eval *e, const struct phiz_model *m, const char *path,
                                       const char *how)
{
	enum phiz_status status;
	const struct phiz_type *out = &phiz_graph_value(m->graph, phiz_graph_output_at(m->graph, 0))->type;

	e->path = phiz_strdup(e->ctx, path);
	e->how = how ? phiz_strdup(e->ctx, how) : NULL;
	if (!e->path || (how && !e->how))
		return PHIZ_E_NOMEM;
	if (out->dtype != PHIZ_F32 || out->shape.ndim != 2 || out->shape.dim[1] < 1)
		return phiz_fail(e->ctx, PHIZ_E_SHAPE, "%s: the model's output is not f32 [N, classes]", path);
	e->classes = phiz_model_classes(m);
	e->preproc = m->preproc;
	e->stored = m->threshold;
	e->score = phiz_model_score(m);
	phiz_model_hash(m, e->weights_sha256);
	for (size_t i = 0; i < m->n_entries; i++)
		e->parameters += m->entry[i].trainable ? phiz_tensor_count(m->entry[i].tensor) : 0;
	status = copy_labels(e, m);
	return status ? status : copy_meta(e, m);
}

static enum phiz_status make_plan(struct runner *r)
{
	int size = r->model->preproc.size;
	struct phiz_plan_options o = {
		.backend = r->options->backend ? r->options->backend : phiz_backend_cpu(), .fallback = r->options->fallback,
		.mode = PHIZ_PLAN_INFER, .height = size, .width = size, .loss = PHIZ_NONE,
		.tuning = r->model->tuning, .precision = r->options->precision, .fixed = true,
	};
	enum phiz_status status = phiz_model_optimize(r->model);

	r->batch = r->options->batch > 0 ? r->options->batch : BATCH;
	if (r->n_index < (size_t)r->batch)
		r->batch = (int)r->n_index;
	o.batch = r->batch;
	r->input_floats = (size_t)3 * (size_t)size * (size_t)size;
	if (!status)
		status = phiz_plan_create(r->eval->ctx, r->model->graph, &o, &r->plan);
	if (status)
		return status;
	r->input = phiz_plan_tensor(r->plan, phiz_graph_find_value(r->model->graph, "image"))->data;
	r->message = phiz_calloc(r->eval->ctx, (size_t)r->batch, sizeof *r->message);
	return r->message ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* --- Photos, a batch at a time. --- */

/* Where photo i of the batch shows its face; NULL: the photo is the crop. */
static const struct phiz_face *face_of(const struct runner *r, size_t i)
{
	const struct phiz_landmarks *faces = r->options->faces;
	const struct phiz_face *face = faces ? &faces->face[r->batch_index[i]] : NULL;

	return face && face->score >= 0 ? face : NULL;
}

/* Into the network's input. */
static enum phiz_status prepare_photo(struct phiz_ctx *ctx, struct runner *r, size_t i, const struct phiz_image *image)
{
	const struct phiz_face *face = face_of(r, i);
	float *to = r->input + i * r->input_floats;
	struct phiz_image crop = {0};

	if (!face)
		return phiz_preproc_run(ctx, &r->eval->preproc, image, to);
	enum phiz_status status = phiz_align_crop(ctx, &r->options->align, image, face, &crop);
	if (!status)
		status = phiz_preproc_run(ctx, &r->eval->preproc, &crop, to);
	phiz_image_free(ctx, &crop);
	return status;
}

static enum phiz_status read_photo(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker)
{
	struct runner *r = arg;
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(ctx, path, NULL, &image);

	(void)worker;
	if (!status) {
		status = prepare_photo(ctx, r, i, &image);
		if (status)
			phiz_fail_in(ctx, "%s", path);
		phiz_image_free(ctx, &image);
	}
	if (status && status != PHIZ_E_NOMEM) {
		r->message[i] = phiz_strdup(ctx, phiz_ctx_message(ctx));
		if (!r->message[i])
			return PHIZ_E_NOMEM;
	}
	return status;
}

static enum phiz_status keep_message(struct phiz_eval *e, char **message)
{
	if (phiz_grow(e->ctx, &e->error, &e->error_capacity, e->n_errors + 1, sizeof *e->error))
		return PHIZ_E_NOMEM;
	e->error[e->n_errors++].message = *message;
	*message = NULL;
	return PHIZ_OK;
}

/* Reads the photos from `first` on into the network's input, without gaps; index keeps those that could be read. */
static enum phiz_status fill_batch(struct runner *r, size_t first, size_t count, uint32_t *index, size_t *n)
{
	bool bad[1024];
	size_t n_bad;
	r->batch_index = index + first;
	enum phiz_status status = phiz_sweep(r->eval->ctx, r->eval->dataset, index + first, count, r->options->strict,
	                                     read_photo, r, bad, &n_bad);

	*n = 0;
	for (size_t i = 0; i < count && !status; i++) {
		if (bad[i]) {
			status = keep_message(r->eval, &r->message[i]);
			continue;
		}
		r->eval->cut += face_of(r, i) != NULL;
		if (*n < i)
			memmove(r->input + *n * r->input_floats, r->input + i * r->input_floats,
			        r->input_floats * sizeof *r->input);
		index[first + (*n)++] = index[first + i];
	}
	for (size_t i = 0; i < count; i++) {
		phiz_free(r->eval->ctx, r->message[i]);
		r->message[i] = NULL;
	}
	return status;
}

static enum phiz_status judge_batch(struct runner *r, const uint32_t *index, size_t n)
{
	struct phiz_eval *e = r->eval;
	double began = phiz_time();
	enum phiz_status status = phiz_plan_set_batch(r->plan, (int64_t)n);
	const struct phiz_tensor *out;

	if (!status)
		status = phiz_plan_forward(r->plan);
	e->network_seconds += phiz_time() - began;
	if (status)
		return status;
	out = phiz_plan_tensor(r->plan, phiz_graph_output_at(r->model->graph, 0));
	for (size_t i = 0; i < n && !status; i++) {
		const struct phiz_sample *sample = &e->dataset->sample[index[i]];
		struct phiz_guess *g = &e->guess[e->count];

		status = phiz_guess_make(e->ctx, &r->scorer, (const float *)out->data + i * (size_t)e->classes, e->classes,
		                         r->class_of[sample->person], g);
		if (status)
			return phiz_fail_in(e->ctx, "%s", sample->path);
		e->sample[e->count++] = index[i];
		r->known_done += g->label != PHIZ_STRANGER;
		r->right_done += g->label == g->top[0];
	}
	return status;
}

static enum phiz_status run_all(struct runner *r)
{
	const struct phiz_eval_options *o = r->options;
	double began = phiz_time();
	enum phiz_status status = PHIZ_OK;

	for (size_t at = 0; at < r->n_index && !status; at += (size_t)r->batch) {
		size_t left = r->n_index - at, count = left < (size_t)r->batch ? left : (size_t)r->batch, n;

		if (o->cancel && *o->cancel)
			return phiz_fail(r->eval->ctx, PHIZ_E_CANCELLED, "broken off after %zu of %zu photos", at, r->n_index);
		status = fill_batch(r, at, count, r->index, &n);
		if (!status && n > 0)
			status = judge_batch(r, r->index + at, n);
		if (!status && o->progress)
			o->progress(o->user, at + count, r->n_index,
			            r->known_done ? (double)r->right_done / (double)r->known_done : (double)NAN);
	}
	r->eval->seconds = phiz_time() - began;
	return status;
}

/* --- The figures. --- */

static enum phiz_status measure(struct phiz_eval *e, double far)
{
	double threshold;
	enum phiz_status status = phiz_accuracy_measure(e->ctx, e->guess, e->count, e->classes, &e->accuracy);

	e->asked_far = far;
	e->strangers = (int64_t)e->count - e->accuracy.photos;
	if (!status && e->accuracy.photos == 0)
		status = phiz_fail(e->ctx, PHIZ_E_FORMAT, "no photo of a known person could be read");
	if (!status)
		status = phiz_roc_measure(e->ctx, e->guess, e->count, &e->roc);
	if (!status)
		status = phiz_threshold_for(e->ctx, e->guess, e->count, far, &threshold);
	if (status)
		return status;
	e->point = phiz_operate(e->guess, e->count, threshold);
	if (!e->strangers) /* nothing is below a threshold that there is not */
		e->point.tar = e->point.tar_interval.low = e->point.tar_interval.high = NAN;
	if (e->stored.set)
		e->at_stored = phiz_operate(e->guess, e->count, e->stored.value);
	return PHIZ_OK;
}

static enum phiz_status prepare(struct runner *r)
{
	struct phiz_eval *e = r->eval;
	enum phiz_status status = describe_model(e, r->model, r->options->path,
	                                         r->options->faces ? r->options->how : NULL);

	if (!status && (r->options->batch < 0 || r->options->batch > 1024))
		status = phiz_fail(e->ctx, PHIZ_E_ARG, "a batch of %d: want 1 to 1024", r->options->batch);
	if (!status && !(r->options->far >= 0 && r->options->far <= 1))
		status = phiz_fail(e->ctx, PHIZ_E_ARG, "a false-accept rate of %g: want 0 to 1", r->options->far);
	if (!status)
		status = match_people(r);
	if (!status)
		status = choose_photos(r);
	if (!status)
		status = phiz_scorer_init(r->model, &r->scorer);
	if (!status)
		status = make_plan(r);
	if (status)
		return status;
	e->sample = phiz_alloc(e->ctx, r->n_index, sizeof *e->sample);
	e->guess = phiz_alloc(e->ctx, r->n_index, sizeof *e->guess);
	return e->sample && e->guess ? PHIZ_OK : PHIZ_E_NOMEM;
}

enum phiz_status phiz_eval_run(struct phiz_ctx *ctx, struct phiz_model *model, const struct phiz_eval_options *options,
                               struct phiz_eval **out)
{
	struct runner r = {.model = model, .options = options};
	enum phiz_status status = PHIZ_E_NOMEM;

	*out = NULL;
	r.eval = phiz_calloc(ctx, 1, sizeof *r.eval);
	if (!r.eval)
		return status;
	r.eval->ctx = ctx;
	r.eval->dataset = options->dataset;
	status = prepare(&r);
	if (!status)
		status = run_all(&r);
	if (!status)
		status = measure(r.eval, options->far);
	phiz_plan_free(&r.plan);
	phiz_free(ctx, r.class_of);
	phiz_free(ctx, r.index);
	phiz_free(ctx, r.message);
	phiz_scorer_free(ctx, &r.scorer);
	if (status)
		phiz_eval_free(&r.eval);
	*out = r.eval;
	return status;
}

void phiz_eval_free(struct phiz_eval **eval)
{
	struct phiz_eval *e = eval ? *eval : NULL;

	if (!e)
		return;
	for (int64_t c = 0; e->label && c < e->classes; c++)
		phiz_free(e->ctx, e->label[c]);
	for (size_t i = 0; i < e->n_meta; i++) {
		phiz_free(e->ctx, e->meta[i].key);
		phiz_free(e->ctx, e->meta[i].text);
	}
	for (size_t i = 0; i < e->n_errors; i++)
		phiz_free(e->ctx, e->error[i].message);
	phiz_free(e->ctx, e->label);
	phiz_free(e->ctx, e->meta);
	phiz_free(e->ctx, e->error);
	phiz_free(e->ctx, e->path);
	phiz_free(e->ctx, e->how);
	phiz_free(e->ctx, e->sample);
	phiz_free(e->ctx, e->guess);
	phiz_accuracy_free(e->ctx, &e->accuracy);
	phiz_roc_free(e->ctx, &e->roc);
	phiz_free(e->ctx, e);
	*eval = NULL;
}

bool phiz_eval_right(const struct phiz_eval *eval, size_t i)
{
	return eval->guess[i].label != PHIZ_STRANGER && eval->guess[i].label == eval->guess[i].top[0];
}

const char *phiz_eval_person(const struct phiz_eval *eval, size_t i)
{
	return eval->dataset->people.name[eval->dataset->sample[eval->sample[i]].person];
}

enum phiz_status phiz_eval_store_threshold(const struct phiz_eval *eval)
{
	struct phiz_model *model = NULL;
	struct phiz_extra extra = {0};
	const struct phiz_operating_point *p = &eval->point;
	enum phiz_status status;

	if (!eval->strangers)
		return phiz_fail(eval->ctx, PHIZ_E_ARG, "a threshold needs strangers to be chosen on: give some with "
		                 "--strangers");
	if (p->value > 1)
		return phiz_fail(eval->ctx, PHIZ_E_ARG, "no threshold keeps false accepts at %g: too many strangers are "
		                 "taken for somebody with a %s of 1", eval->asked_far, phiz_score_name(eval->score));
	status = phiz_model_read_with(eval->ctx, eval->path, &model, &extra);
	if (!status) {
		model->threshold = (struct phiz_threshold){true, eval->score, p->value, eval->asked_far, p->far, p->tar,
		                                           eval->strangers};
		status = phiz_model_write_with(model, &extra, eval->path);
	}
	phiz_extra_free(eval->ctx, &extra);
	phiz_model_free(&model);
	return status;
}
