/* Photos from the loader, or what the frozen trunk made of them from memory. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/augment.h"
#include "train/session.h"

#define MIB ((size_t)1 << 20)

/* The photos of a part, in order. An embedder is validated on strangers too: pairs need no class. */
static enum phiz_status select_photos(struct phiz_session *s, enum phiz_part part, uint32_t **index, size_t *count)
{
	const struct phiz_dataset *data = s->options->dataset;
	bool strangers = s->dim && part == PHIZ_PART_VAL;
	size_t i;

	*count = 0;
	*index = phiz_alloc(s->ctx, data->count + 1, sizeof **index);
	if (!*index)
		return PHIZ_E_NOMEM;
	for (i = 0; i < data->count; i++)
		if (data->sample[i].part == part || (strangers && data->sample[i].part == PHIZ_PART_STRANGER))
			(*index)[(*count)++] = (uint32_t)i;
	return PHIZ_OK;
}

static enum phiz_status open_side(struct phiz_session *s, struct phiz_side *side, enum phiz_part part,
                                  const struct phiz_loader_options *options)
{
	uint32_t *index = NULL;
	size_t count;
	enum phiz_status status = select_photos(s, part, &index, &count);

	side->batch = options->batch;
	if (!status && count > 0) {
		status = phiz_loader_open(s->ctx, s->options->dataset, index, count, options, &side->loader);
		if (status)
			phiz_fail_in(s->ctx, "%s photos", part == PHIZ_PART_TRAIN ? "training" : "validation");
	}
	phiz_free(s->ctx, index);
	if (status || !side->loader)
		return status;
	side->samples = (int64_t)phiz_loader_samples(side->loader);
	side->batches = phiz_loader_batches(side->loader);
	side->order = phiz_alloc(s->ctx, (size_t)side->samples, sizeof *side->order);
	side->labels = phiz_alloc(s->ctx, (size_t)side->batch, sizeof *side->labels);
	return side->order && side->labels ? PHIZ_OK : PHIZ_E_NOMEM;
}

enum phiz_status phiz_session_open_data(struct phiz_session *s)
{
	const struct phiz_recipe *r = s->recipe;
	struct phiz_loader_options options;
	enum phiz_status status;

	/* A device is brought a quarter so. On the CPU it is no gain: there the loader's threads normalise. */
	s->bytes = s->backend->device && phiz_augment_fits_bytes(&r->augment);
	memset(&options, 0, sizeof options);
	options.bytes = s->bytes;
	options.preproc = &s->model->preproc;
	options.augment = &r->augment;
	options.seed = (uint64_t)r->train.seed;
	options.batch = (int)r->train.batch;
	options.shuffle = true;
	options.balance = r->data.balance;
	options.people = (int)r->data.people_per_batch;
	options.photos = (int)r->data.photos_per_person;
	options.strict = r->data.strict;
	options.views = (int)r->data.views;
	options.threads = (int)r->data.workers;
	options.ahead = (int)r->data.prefetch;
	options.cache_bytes = (size_t)r->data.cache_mib * MIB;
	options.faces = s->options->faces ? s->options->faces->face : NULL;
	status = open_side(s, &s->train, PHIZ_PART_TRAIN, &options);
	if (status)
		return status;
	if (!s->train.loader)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "there are no photos to train on");
	options.augment = NULL;
	options.shuffle = options.balance = false;
	options.people = options.photos = 0;
	options.views = 0;
	options.batch = (int)r->train.val_batch;
	options.cache_bytes /= 4;
	status = open_side(s, &s->val, PHIZ_PART_VAL, &options);
	if (!status && !s->val.loader)
		phiz_log(s->ctx, PHIZ_LOG_WARN, "no photos to validate on: no accuracy, no best checkpoint, no early stopping");
	return status;
}

void phiz_side_close(struct phiz_ctx *ctx, struct phiz_side *side)
{
	phiz_loader_free(&side->loader);
	phiz_features_free(&side->features);
	phiz_free(ctx, side->order);
	phiz_free(ctx, side->labels);
	memset(side, 0, sizeof *side);
}

int phiz_side_count(const struct phiz_session *s, const struct phiz_side *side, int64_t index)
{
	int64_t left = side->samples - index * side->batch;
	int n = left < side->batch ? (int)left : side->batch;

	/* Batch statistics of a single photo say nothing. A lone batch is all that there is, and is taken. */
	if (n == 1 && side == &s->train && side->batches > 1 && side->batch > 1 && s->net && s->net->batch_statistics)
		return 0;
	return n;
}

static size_t view_of(const struct phiz_side *side, uint32_t epoch)
{
	return side->views > 1 ? epoch % side->views : 0;
}

enum phiz_status phiz_side_begin(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t batch)
{
	int64_t i;
	enum phiz_status status;

	(void)s;
	side->from_features = false;
	if (!side->features)
		return PHIZ_OK;
	status = phiz_loader_order(side->loader, epoch, side->order);
	if (status)
		return status;
	for (i = batch * side->batch; i < side->samples; i++)
		if (!phiz_features_get(side->features, view_of(side, epoch), side->order[i]))
			return PHIZ_OK;
	side->from_features = true;
	return PHIZ_OK;
}

/* A photo's features stand one behind the other in memory, in the order of the head's inputs. */
static void get_features(const struct phiz_trainnet *net, const float *from, int i, float *const *to)
{
	int k;

	for (k = 0; k < net->n_features; k++) {
		memcpy(to[k] + (size_t)i * net->feature_count[k], from, net->feature_count[k] * sizeof *from);
		from += net->feature_count[k];
	}
}

static void put_features(const struct phiz_trainnet *net, float *const *from, int i, float *to)
{
	int k;

	for (k = 0; k < net->n_features; k++) {
		memcpy(to, from[k] + (size_t)i * net->feature_count[k], net->feature_count[k] * sizeof *to);
		to += net->feature_count[k];
	}
}

static void load_kept(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t index,
                      float *const *features, struct phiz_batch *out)
{
	const struct phiz_dataset *data = s->options->dataset;
	const uint32_t *samples = side->order + index * side->batch;
	int i;

	out->n = (int)(side->samples - index * side->batch < side->batch ? side->samples - index * side->batch
	                                                                 : side->batch);
	out->samples = samples;
	out->labels = side->labels;
	out->lambda = 1;
	for (i = 0; i < out->n; i++) {
		int person = data->sample[samples[i]].person;

		side->labels[i] = person < data->n_known ? person : -1;
		get_features(s->net, phiz_features_get(side->features, view_of(side, epoch), samples[i]), i, features);
	}
}

static enum phiz_status load_photos(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t index,
                                    float *const *features, struct phiz_batch *out)
{
	enum phiz_status status = PHIZ_OK;
	int i;

	if (!side->at_set || side->at_epoch != epoch || side->at_batch != index)
		status = phiz_loader_start(side->loader, epoch, index);
	side->at_set = false;
	if (!status)
		status = phiz_loader_next(side->loader, out);
	if (status)
		return status;
	if (out->n == 0)
		return phiz_fail(s->ctx, PHIZ_E_INTERNAL, "the loader has no batch %lld in epoch %u", (long long)index, epoch);
	side->at_set = true;
	side->at_epoch = epoch;
	side->at_batch = index + 1;
	if (s->bytes)
		status = phiz_trainnet_bytes(s->net, out->bytes, out->erased, out->n, features);
	else
		status = phiz_trainnet_features(s->net, out->images, out->n, features);
	for (i = 0; i < out->n && !status && side->features; i++) {
		float *to = phiz_features_put(side->features, view_of(side, epoch), out->samples[i]);

		if (to)
			put_features(s->net, features, i, to);
	}
	return status;
}

enum phiz_status phiz_side_load(struct phiz_session *s, struct phiz_side *side, uint32_t epoch, int64_t index,
                                struct phiz_batch *out)
{
	float *features[PHIZ_MAX_FEATURES];
	int64_t left = side->samples - index * side->batch;
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	out->epoch = epoch;
	out->index = index;
	status = phiz_trainnet_begin(s->net, side == &s->val, (int)(left < side->batch ? left : side->batch), features);
	if (status)
		return status;
	if (!side->from_features)
		return load_photos(s, side, epoch, index, features, out);
	load_kept(s, side, epoch, index, features, out);
	return PHIZ_OK;
}

/* --- Which features are kept. --- */

/* Keeps the first `fit` of `views` versions of each photo. */
static enum phiz_status keep(struct phiz_session *s, struct phiz_side *side, size_t views, size_t fit)
{
	enum phiz_status status;

	phiz_features_free(&side->features);
	side->views = views;
	if (fit == 0)
		return PHIZ_OK;
	status = phiz_loader_order(side->loader, 0, side->order);
	if (!status)
		status = phiz_features_create(s->ctx, s->options->dataset->count, side->order, (size_t)side->samples, fit,
		                              s->net->feature_total, &side->features);
	return status;
}

/* How many versions of each training photo can be kept: 0 where each epoch has new ones. */
static size_t train_views(const struct phiz_recipe *r)
{
	if (r->augment.mixup > 0 || r->data.balance || r->data.people_per_batch > 0)
		return 0;
	if (!phiz_augment_is_on(&r->augment))
		return 1;
	return r->data.views < r->train.epochs ? (size_t)r->data.views : 0;
}

static void describe_train(struct phiz_session *s, size_t views, size_t fit, struct phiz_bytes *text)
{
	double mib = (double)phiz_features_bytes((size_t)s->train.samples, views, s->net->feature_total) / (double)MIB;

	if (views == 0)
		phiz_bytes_text(text, "Those of the training photos are computed in each epoch, which augments them anew "
		                "(data.views = K would let them be kept)");
	else if (fit == 0)
		phiz_bytes_printf(text, "Those of the training photos would take %.0f MiB, more than train.feature_cache_mib "
		                  "allows, and are computed in each epoch", mib);
	else if (fit < views)
		phiz_bytes_printf(text,
		                  "Those of %zu of the %zu versions of each training photo are computed once and kept (all "
		                  "would take %.0f MiB, more than train.feature_cache_mib allows)",
		                  fit, views, mib);
	else if (views > 1)
		phiz_bytes_printf(text, "Those of %zu versions of each training photo are computed once and kept (%.1f MiB)",
		                  views, mib);
	else
		phiz_bytes_printf(text, "Those of the training photos are computed once and kept (%.1f MiB)", mib);
}

/* What was done, in words. */
static enum phiz_status describe(struct phiz_session *s, size_t views, size_t fit, size_t val_fit)
{
	const struct phiz_trainnet *net = s->net;
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, s->ctx);
	phiz_bytes_printf(&text,
	                  "frozen trunk: %d layers with %d parameter tensors run as an inference plan, without backward; "
	                  "they make %zu numbers of each photo. ",
	                  net->trunk_nodes, net->trunk_params, net->feature_total);
	describe_train(s, views, fit, &text);
	if (s->val.loader)
		phiz_bytes_text(&text, val_fit ? "; those of the validation photos are kept" :
		                "; those of the validation photos are not kept");
	status = phiz_bytes_status(&text);
	if (!status) {
		phiz_free(s->ctx, s->trunk_note);
		s->trunk_note = phiz_strdup(s->ctx, text.data);
		status = s->trunk_note ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	phiz_bytes_free(&text);
	return status;
}

/* How many of `views` versions of the side's photos the budget holds; it is charged for them. */
static size_t fit_into(const struct phiz_session *s, const struct phiz_side *side, size_t views, size_t *budget)
{
	size_t one = phiz_features_bytes((size_t)side->samples, 1, s->net->feature_total), fit;

	if (s->options->no_feature_cache || one == 0)
		return 0;
	fit = *budget / one < views ? *budget / one : views;
	*budget -= fit * one;
	return fit;
}

enum phiz_status phiz_session_plan_features(struct phiz_session *s)
{
	size_t budget = (size_t)s->recipe->train.feature_cache_mib * MIB;
	size_t views = train_views(s->recipe), fit, val_fit;
	enum phiz_status status;

	phiz_features_free(&s->train.features);
	phiz_features_free(&s->val.features);
	if (!s->net->trunk)
		return PHIZ_OK;
	val_fit = s->val.loader ? fit_into(s, &s->val, 1, &budget) : 0;
	fit = fit_into(s, &s->train, views, &budget);
	status = keep(s, &s->train, views, fit);
	if (!status && s->val.loader)
		status = keep(s, &s->val, 1, val_fit);
	return status ? status : describe(s, views, fit, val_fit);
}
