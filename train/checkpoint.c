#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

#define MAX_NAME 300

/* --- What a run is trained on. --- */

enum phiz_status phiz_fingerprint_take(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, int64_t samples,
                                       int64_t val_samples, struct phiz_fingerprint *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	out->people = (size_t)dataset->n_known;
	out->samples = samples;
	out->val_samples = val_samples;
	out->photos = phiz_calloc(ctx, 2 * out->people, sizeof *out->photos);
	if (!out->photos)
		return PHIZ_E_NOMEM;
	for (i = 0; i < dataset->count; i++) {
		const struct phiz_sample *s = &dataset->sample[i];

		if (s->person < dataset->n_known && (s->part == PHIZ_PART_TRAIN || s->part == PHIZ_PART_VAL))
			out->photos[2 * s->person + (s->part == PHIZ_PART_VAL)]++;
	}
	phiz_dataset_sha256(dataset, out->sha256);
	return PHIZ_OK;
}

static enum phiz_status check_people(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                     const struct phiz_model *model)
{
	size_t i, n = (size_t)dataset->n_known;

	for (i = 0; i < model->n_labels; i++) {
		int person = phiz_dataset_find_person(dataset, model->label[i]);

		if (person < 0 || person >= dataset->n_known)
			return phiz_fail(ctx, PHIZ_E_ARG,
			                 "the checkpoint was trained on other people: '%s' is missing from the data",
			                 model->label[i]);
	}
	for (i = 0; i < n; i++)
		if (i >= model->n_labels || strcmp(dataset->people.name[i], model->label[i]) != 0)
			return phiz_fail(ctx, PHIZ_E_ARG,
			                 "the checkpoint was trained on other people: '%s' is new; start a new run "
			                 "(--weights takes what this one learned)",
			                 dataset->people.name[i]);
	return PHIZ_OK;
}

enum phiz_status phiz_fingerprint_check(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                        const struct phiz_fingerprint *now, const struct phiz_model *model,
                                        const struct phiz_fingerprint *then)
{
	size_t i;

	if (phiz_model_task(model) != PHIZ_TASK_EMBED && check_people(ctx, dataset, model))
		return phiz_ctx_status(ctx);
	for (i = 0; i < 2 * now->people && now->people == then->people; i++)
		if (now->photos[i] != then->photos[i])
			return phiz_fail(ctx, PHIZ_E_ARG,
			                 "the checkpoint was trained on other photos: '%s' had %lld for %s and now "
			                 "has %lld",
			                 dataset->people.name[i / 2], (long long)then->photos[i], i % 2 ? "validation" : "training",
			                 (long long)now->photos[i]);
	if (now->people != then->people || strcmp(now->sha256, then->sha256) != 0)
		return phiz_fail(ctx, PHIZ_E_ARG,
		                 "the checkpoint was trained on other photos: as many of each person, but other "
		                 "files or another split");
	if (now->samples != then->samples || now->val_samples != then->val_samples)
		return phiz_fail(ctx, PHIZ_E_ARG,
		                 "the checkpoint was trained on %lld photos and validated on %lld that could be "
		                 "read; now %lld and %lld can",
		                 (long long)then->samples, (long long)then->val_samples, (long long)now->samples,
		                 (long long)now->val_samples);
	return PHIZ_OK;
}

/* --- Writing. --- */

static enum phiz_status share(struct phiz_ctx *ctx, struct phiz_extra *extra, const char *name,
                              const struct phiz_tensor *tensor)
{
	struct phiz_tensor *view;

	if (phiz_tensor_share(ctx, tensor, &view))
		return phiz_ctx_status(ctx);
	return phiz_extra_add(ctx, extra, name, view);
}

static enum phiz_status add_shared(struct phiz_ctx *ctx, struct phiz_extra *extra, const char *kind, const char *name,
                                   const struct phiz_tensor *tensor)
{
	char full[MAX_NAME];
	int n = snprintf(full, sizeof full, "%s/%s", kind, name);

	if (n < 0 || n >= MAX_NAME)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: the name is too long", name);
	return share(ctx, extra, full, tensor);
}

static enum phiz_status set_texts(struct phiz_model *model, const struct phiz_train_state *state)
{
	struct phiz_bytes json;
	enum phiz_status status;

	phiz_bytes_init(&json, model->ctx);
	status = phiz_train_state_json(state, &json);
	if (!status)
		status = phiz_model_set_meta(model, "train_state", json.data);
	if (!status) /* of the model that training began from: a checkpoint that rounds would not go on bit for bit */
		status = phiz_model_set_meta(model, "precision", NULL);
	if (!status && state->recipe)
		status = phiz_model_set_meta(model, "recipe", state->recipe);
	phiz_bytes_free(&json);
	return status;
}

enum phiz_status phiz_checkpoint_write(struct phiz_model *model, struct phiz_optimizer *optimizer, struct phiz_ema *ema,
                                       const struct phiz_extra *loss, const struct phiz_train_state *state,
                                       const char *path)
{
	struct phiz_extra extra;
	enum phiz_status status;
	size_t i;

	memset(&extra, 0, sizeof extra);
	status = set_texts(model, state);
	if (!status)
		status = phiz_optimizer_save(optimizer, &extra);
	for (i = 0; loss && i < loss->count && !status; i++)
		status = share(model->ctx, &extra, loss->entry[i].name, loss->entry[i].tensor);
	phiz_ema_swap(ema); /* the model holds the average now, the shadows what is live */
	for (i = 0; ema && i < ema->count && !status; i++)
		status = add_shared(model->ctx, &extra, "live", ema->entry[i].name, ema->entry[i].shadow);
	if (!status)
		status = phiz_model_write_with(model, &extra, path);
	phiz_ema_swap(ema);
	phiz_extra_free(model->ctx, &extra);
	return status;
}

/* --- Reading. --- */

enum phiz_status phiz_checkpoint_read(struct phiz_ctx *ctx, const char *path, struct phiz_checkpoint *out)
{
	enum phiz_status status;
	const char *json;

	memset(out, 0, sizeof *out);
	status = phiz_model_read_with(ctx, path, &out->model, &out->extra);
	if (status)
		return status;
	json = phiz_model_meta(out->model, "train_state");
	if (!json)
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a model, but no checkpoint of a training; to start from it use "
		                   "--weights", path);
	else
		status = phiz_train_state_parse(ctx, json, path, &out->state);
	if (status)
		phiz_checkpoint_free(ctx, out);
	return status;
}

void phiz_checkpoint_free(struct phiz_ctx *ctx, struct phiz_checkpoint *checkpoint)
{
	phiz_model_free(&checkpoint->model);
	phiz_extra_free(ctx, &checkpoint->extra);
	phiz_train_state_free(&checkpoint->state);
}

static enum phiz_status copy_tensor(struct phiz_ctx *ctx, const char *name, const struct phiz_tensor *from,
                                    struct phiz_tensor *to)
{
	if (!from)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "the checkpoint lacks '%s'", name);
	if (from == to)
		return PHIZ_OK;
	if (from->dtype != to->dtype || !phiz_shape_equal(&from->shape, &to->shape))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "the checkpoint's '%s' has another shape", name);
	memcpy(to->data, from->data, phiz_tensor_bytes(to));
	return PHIZ_OK;
}

enum phiz_status phiz_checkpoint_restore(const struct phiz_checkpoint *checkpoint, struct phiz_model *model,
                                         struct phiz_optimizer *optimizer, struct phiz_ema *ema,
                                         struct phiz_extra *loss)
{
	struct phiz_ctx *ctx = model->ctx;
	enum phiz_status status = PHIZ_OK;
	char full[MAX_NAME];
	size_t i;

	for (i = 0; i < model->n_entries && !status; i++) {
		struct phiz_entry *entry = phiz_model_find(checkpoint->model, model->entry[i].name);

		status = copy_tensor(ctx, model->entry[i].name, entry ? entry->tensor : NULL, model->entry[i].tensor);
	}
	for (i = 0; ema && i < ema->count && !status; i++) {
		struct phiz_ema_entry *e = &ema->entry[i];

		status = copy_tensor(ctx, e->name, e->live, e->shadow); /* the average, as it came with the model */
		snprintf(full, sizeof full, "live/%s", e->name);
		if (!status)
			status = copy_tensor(ctx, full, phiz_extra_find(&checkpoint->extra, full), e->live);
	}
	for (i = 0; loss && i < loss->count && !status; i++)
		status = copy_tensor(ctx, loss->entry[i].name, phiz_extra_find(&checkpoint->extra, loss->entry[i].name),
		                     loss->entry[i].tensor);
	if (!status)
		status = phiz_optimizer_load(optimizer, &checkpoint->extra);
	return status;
}
