/* The training state as JSON. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/io/json.h"
#include "train/checkpoint.h"

/* Far beyond any run, so that sums of them cannot overflow. */
#define MOST INT64_C(1000000000000000)
#define MAX_EPOCHS 1000000

void phiz_train_state_init(struct phiz_train_state *state, struct phiz_ctx *ctx)
{
	memset(state, 0, sizeof *state);
	state->ctx = ctx;
	state->lr_scale = 1;
	state->loss_scale = 1;
}

void phiz_train_state_free(struct phiz_train_state *state)
{
	if (!state->ctx)
		return;
	phiz_history_free(state->ctx, &state->history);
	phiz_free(state->ctx, state->recipe);
	phiz_free(state->ctx, state->data.photos);
	memset(state, 0, sizeof *state);
}

/* --- Writing. --- */

/* What one field is: all of the flat ones go through this table, for writing and for reading. */
enum field_kind { FIELD_INT, FIELD_REAL, FIELD_BOOL };

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
};

#define STATE(kind, name) {#name, FIELD_##kind, offsetof(struct phiz_train_state, name)}

static const struct field fields[] = {
	STATE(INT, epoch), STATE(INT, batch), STATE(INT, step), STATE(REAL, loss_sum), STATE(REAL, correct_sum),
	STATE(INT, seen), STATE(REAL, epoch_seconds), STATE(REAL, epoch_train_seconds), STATE(REAL, seconds),
	STATE(REAL, train_seconds), STATE(INT, images), STATE(INT, best_epoch), STATE(REAL, best_top1),
	STATE(REAL, best_loss), STATE(REAL, lr_scale), STATE(INT, nan_events), STATE(REAL, loss_scale),
	STATE(INT, ema_steps), STATE(BOOL, finished), STATE(INT, log_bytes), STATE(INT, events_bytes),
};

#define RECORD(kind, name) {#name, FIELD_##kind, offsetof(struct phiz_epoch_record, name)}

static const struct field record_fields[] = {
	RECORD(INT, epoch), RECORD(INT, steps), RECORD(REAL, train_loss), RECORD(REAL, train_top1), RECORD(REAL, val_loss),
	RECORD(REAL, val_top1), RECORD(REAL, lr), RECORD(REAL, seconds), RECORD(REAL, images_per_s),
};

#define PLATEAU(kind, name) {#name, FIELD_##kind, offsetof(struct phiz_plateau, name)}

static const struct field plateau_fields[] = {
	PLATEAU(BOOL, seen),         PLATEAU(REAL, best), PLATEAU(INT, bad_epochs),
	PLATEAU(INT, cooldown_left), PLATEAU(INT, drops),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void add_fields(struct phiz_bytes *out, const void *base, const struct field *field, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const void *at = (const char *)base + field[i].offset;

		phiz_bytes_printf(out, "%s\"%s\":", i ? "," : "", field[i].name);
		if (field[i].kind == FIELD_INT)
			phiz_bytes_printf(out, "%lld", (long long)*(const int64_t *)at);
		else if (field[i].kind == FIELD_REAL)
			phiz_json_add_real(out, *(const double *)at);
		else
			phiz_bytes_text(out, *(const bool *)at ? "true" : "false");
	}
}

static void add_fingerprint(struct phiz_bytes *out, const struct phiz_fingerprint *data)
{
	size_t i;

	phiz_bytes_printf(out, "\"data\":{\"sha256\":\"%s\",\"samples\":%lld,\"val_samples\":%lld,\"photos\":[",
	                  data->sha256, (long long)data->samples, (long long)data->val_samples);
	for (i = 0; i < 2 * data->people; i++)
		phiz_bytes_printf(out, "%s%lld", i ? "," : "", (long long)data->photos[i]);
	phiz_bytes_text(out, "]}");
}

enum phiz_status phiz_train_state_json(const struct phiz_train_state *state, struct phiz_bytes *out)
{
	size_t i;

	phiz_bytes_printf(out, "{\"version\":1,\"seed\":%lld,", (long long)state->seed);
	add_fields(out, state, fields, COUNT(fields));
	phiz_bytes_text(out, ",\"plateau\":{");
	add_fields(out, &state->plateau, plateau_fields, COUNT(plateau_fields));
	phiz_bytes_text(out, "},\"history\":[");
	for (i = 0; i < state->history.count; i++) {
		phiz_bytes_text(out, i ? ",{" : "{");
		add_fields(out, &state->history.record[i], record_fields, COUNT(record_fields));
		phiz_bytes_text(out, "}");
	}
	phiz_bytes_text(out, "],");
	add_fingerprint(out, &state->data);
	phiz_bytes_text(out, ",\"recipe\":");
	phiz_bytes_json(out, state->recipe ? state->recipe : "");
	phiz_bytes_text(out, "}");
	return phiz_bytes_status(out);
}

/* --- Reading. --- */

static enum phiz_status bad_field(struct phiz_ctx *ctx, const char *file, const char *name)
{
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged: the training state has no proper '%s'", file, name);
}

static enum phiz_status read_fields(struct phiz_ctx *ctx, const char *file, const json_t *object, void *base,
                                    const struct field *field, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const json_t *value = json_object_get(object, field[i].name);
		void *at = (char *)base + field[i].offset;
		bool good;

		if (field[i].kind == FIELD_INT) {
			good = phiz_json_int(value, 0, MOST, at);
		} else if (field[i].kind == FIELD_REAL) {
			good = json_is_null(value) || phiz_json_real(value, at);
			if (json_is_null(value))
				*(double *)at = NAN;
		} else {
			good = json_is_boolean(value);
			*(bool *)at = json_is_true(value);
		}
		if (!good)
			return bad_field(ctx, file, field[i].name);
	}
	return PHIZ_OK;
}

static enum phiz_status read_history(struct phiz_ctx *ctx, const char *file, const json_t *list,
                                     struct phiz_history *history)
{
	size_t i, count = json_array_size(list);

	if (!json_is_array(list) || count > MAX_EPOCHS)
		return bad_field(ctx, file, "history");
	for (i = 0; i < count; i++) {
		struct phiz_epoch_record record;

		memset(&record, 0, sizeof record);
		if (read_fields(ctx, file, json_array_get(list, i), &record, record_fields, COUNT(record_fields)) ||
		    phiz_history_add(ctx, history, &record))
			return phiz_ctx_status(ctx);
	}
	return PHIZ_OK;
}

static bool is_sha256(const char *text)
{
	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static enum phiz_status read_fingerprint(struct phiz_ctx *ctx, const char *file, const json_t *object,
                                         struct phiz_fingerprint *out)
{
	const json_t *photos = json_object_get(object, "photos");
	const char *sha256 = json_string_value(json_object_get(object, "sha256"));
	size_t i, count = json_array_size(photos);

	if (!is_sha256(sha256) || !json_is_array(photos) || count % 2 != 0 ||
	    !phiz_json_int(json_object_get(object, "samples"), 0, MOST, &out->samples) ||
	    !phiz_json_int(json_object_get(object, "val_samples"), 0, MOST, &out->val_samples))
		return bad_field(ctx, file, "data");
	memcpy(out->sha256, sha256, 65);
	out->photos = phiz_calloc(ctx, count, sizeof *out->photos);
	if (!out->photos)
		return PHIZ_E_NOMEM;
	out->people = count / 2;
	for (i = 0; i < count; i++)
		if (!phiz_json_int(json_array_get(photos, i), 0, MOST, &out->photos[i]))
			return bad_field(ctx, file, "data");
	return PHIZ_OK;
}

static enum phiz_status read_texts(struct phiz_ctx *ctx, const char *file, const json_t *root,
                                   struct phiz_train_state *out)
{
	const char *recipe = json_string_value(json_object_get(root, "recipe"));
	int64_t seed;

	if (!recipe)
		return bad_field(ctx, file, "recipe");
	if (!phiz_json_int(json_object_get(root, "seed"), 0, INT64_C(1) << 53, &seed))
		return bad_field(ctx, file, "seed");
	out->seed = (uint64_t)seed;
	out->recipe = phiz_strdup(ctx, recipe);
	return out->recipe ? PHIZ_OK : PHIZ_E_NOMEM;
}

static enum phiz_status read_state(struct phiz_ctx *ctx, const char *file, const json_t *root,
                                   struct phiz_train_state *out)
{
	int64_t version;
	enum phiz_status status;

	if (!phiz_json_int(json_object_get(root, "version"), 1, MOST, &version))
		return bad_field(ctx, file, "version");
	if (version != 1)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: this checkpoint was written by a newer phiz", file);
	status = read_fields(ctx, file, root, out, fields, COUNT(fields));
	if (!status)
		status = read_fields(ctx, file, json_object_get(root, "plateau"), &out->plateau, plateau_fields,
		                     COUNT(plateau_fields));
	if (!status)
		status = read_history(ctx, file, json_object_get(root, "history"), &out->history);
	if (!status)
		status = read_fingerprint(ctx, file, json_object_get(root, "data"), &out->data);
	if (!status)
		status = read_texts(ctx, file, root, out);
	return status;
}

enum phiz_status phiz_train_state_parse(struct phiz_ctx *ctx, const char *json, const char *name,
                                        struct phiz_train_state *out)
{
	enum phiz_status status;
	json_t *root;

	phiz_train_state_init(out, ctx);
	status = phiz_json_parse(ctx, json, strlen(json), name, &root);
	if (status)
		return status;
	status = read_state(ctx, name, root, out);
	json_decref(root);
	return status;
}
