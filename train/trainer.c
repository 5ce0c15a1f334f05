#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/thread.h"
#include "train/session.h"

/* --- Beginning. --- */

static enum phiz_status recipe_text(struct phiz_session *s, struct phiz_bytes *text)
{
	phiz_bytes_clear(text);
	return phiz_recipe_text(s->recipe, text);
}

/* The effective recipe: into the log, beside the checkpoints, into the state. */
static enum phiz_status note_recipe(struct phiz_session *s)
{
	char *path = phiz_rundir_join(&s->dir, "recipe.cfg");
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, s->ctx);
	status = path ? recipe_text(s, &text) : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_file_write(s->ctx, path, text.data, text.size);
	if (!status) {
		phiz_free(s->ctx, s->state.recipe);
		s->state.recipe = phiz_strdup(s->ctx, text.data);
		status = s->state.recipe ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	phiz_bytes_free(&text);
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status build_model(struct phiz_session *s)
{
	const struct phiz_recipe *r = s->recipe;
	const char *builtin = phiz_net_builtin(r->model.net);
	struct phiz_bytes text;
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_init(&text, s->ctx);
	if (!builtin)
		status = phiz_file_read(s->ctx, r->model.net, 1 << 20, &text);
	if (!status)
		status = phiz_model_from_cfg(s->ctx, builtin ? builtin : text.data, r->model.net,
		                             phiz_recipe_embeds(r) ? r->loss.embedding : s->options->dataset->n_known,
		                             (int)r->data.size, (uint64_t)r->train.seed, &s->model);
	else
		phiz_fail_in(s->ctx, "model.net");
	s->own_model = !status;
	phiz_bytes_free(&text);
	if (!status)
		phiz_log(s->ctx, PHIZ_LOG_INFO, "no weights given: '%s' begins from random ones", r->model.net);
	return status;
}

static enum phiz_status log_start(struct phiz_session *s, const char *event)
{
	struct phiz_bytes fields;
	enum phiz_status status;

	phiz_bytes_init(&fields, s->ctx);
	phiz_bytes_printf(&fields,
	                  "\"phiz\":\"%s\",\"people\":%d,\"train\":%lld,\"val\":%lld,\"epochs\":%lld,\"epoch\":%lld,"
	                  "\"batch\":%lld,\"seed\":%lld,\"threads\":%d",
	                  PHIZ_VERSION, s->options->dataset->n_known, (long long)s->train.samples,
	                  (long long)s->val.samples, (long long)s->recipe->train.epochs, (long long)s->state.epoch + 1,
	                  (long long)s->state.batch, (long long)s->recipe->train.seed, phiz_ctx_threads(s->ctx));
	if (s->trunk_note) {
		phiz_bytes_text(&fields, ",\"trunk\":");
		phiz_bytes_json(&fields, s->trunk_note);
	}
	status = phiz_bytes_status(&fields);
	if (!status)
		status = phiz_session_log(s, event, fields.data);
	phiz_bytes_free(&fields);
	return status;
}

/* A new run. The checkpoint before the first step is what a NaN in it rolls back to, and shows a full disk at once. */
static enum phiz_status begin(struct phiz_session *s)
{
	enum phiz_status status;

	status = phiz_session_open_teacher(s);
	s->model = s->options->model;
	if (!status && !s->model)
		status = build_model(s);
	if (!status)
		status = phiz_session_fit_model(s);
	if (!status)
		status = phiz_session_open_data(s);
	if (!status)
		status = phiz_fingerprint_take(s->ctx, s->options->dataset, s->train.samples, s->val.samples, &s->state.data);
	s->state.seed = (uint64_t)s->recipe->train.seed;
	if (!status)
		status = note_recipe(s);
	if (!status)
		status = phiz_session_stage(s);
	if (!status)
		status = phiz_session_open_logs(s);
	if (!status)
		status = phiz_session_need_net(s);
	if (!status)
		status = log_start(s, "start");
	return status ? status : phiz_session_checkpoint(s);
}

/* --- Going on. --- */

/* May this setting differ from the checkpoint's? Not what decides batches, shapes or what the optimiser holds. */
static bool may_change(const char *line)
{
	static const char *const free_keys[] = {
		"train.epochs:", "train.patience:", "train.on_nan:", "train.nan_limit:", "train.feature_cache_mib:",
		"train.val_batch:", "train.clip_norm:", "train.label_smoothing:", "schedule.", "output.", "optimizer.lr:",
		"train.teacher:", "data.landmarks:", "data.workers:", "data.prefetch:",
		 "data.cache_mib:", "data.val:", "data.strict:", "model.net:"};
	size_t i;

	for (i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
		if (strncmp(line, free_keys[i], strlen(free_keys[i])) == 0)
			return true;
	return false;
}

static enum phiz_status check_diff(struct phiz_session *s, char *diff)
{
	char *line = diff, *end;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return PHIZ_OK;
		*end = '\0';
		if (!may_change(line))
			return phiz_fail(s->ctx, PHIZ_E_ARG,
			                 "a run cannot be resumed with another %s; set it back, or start a new run", line);
		phiz_log(s->ctx, PHIZ_LOG_INFO, "resumed with another %s", line);
	}
	return PHIZ_OK;
}

static enum phiz_status check_recipe(struct phiz_session *s, const struct phiz_train_state *then)
{
	struct phiz_recipe old;
	struct phiz_bytes diff;
	enum phiz_status status = phiz_recipe_init(s->ctx, &old);

	phiz_bytes_init(&diff, s->ctx);
	if (!status && phiz_recipe_parse(&old, then->recipe, strlen(then->recipe), "recipe"))
		status = phiz_fail_in(s->ctx, "the checkpoint's recipe");
	if (!status)
		status = phiz_recipe_diff(s->recipe, &old, &diff);
	if (!status && diff.size)
		status = check_diff(s, diff.data);
	phiz_bytes_free(&diff);
	phiz_recipe_free(&old);
	return status;
}

static enum phiz_status check_data(struct phiz_session *s, const struct phiz_train_state *then)
{
	struct phiz_fingerprint now;
	enum phiz_status status = phiz_fingerprint_take(s->ctx, s->options->dataset, s->train.samples, s->val.samples,
	                                                &now);

	if (!status)
		status = phiz_fingerprint_check(s->ctx, s->options->dataset, &now, s->model, &then->data);
	phiz_free(s->ctx, now.photos);
	return status;
}

/* A run that was stopped early, or had all its epochs, goes on only if it is given more. */
static void reopen(struct phiz_session *s)
{
	const struct phiz_recipe *r = s->recipe;
	bool early = r->train.patience > 0 && s->state.best_epoch > 0 &&
	             s->state.epoch - s->state.best_epoch >= r->train.patience;

	s->state.finished = s->state.epoch >= r->train.epochs || early;
}

/* last.phiz cannot be used (the error is set): says which checkpoint could be. */
static enum phiz_status offer_another(struct phiz_session *s)
{
	char *reason = phiz_strdup(s->ctx, phiz_ctx_message(s->ctx)), name[40] = "";
	int64_t epoch = phiz_rundir_newest(&s->dir);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (epoch > 0)
		phiz_rundir_epoch_name(epoch, name);
	else if (phiz_rundir_has(&s->dir, PHIZ_BEST))
		snprintf(name, sizeof name, PHIZ_BEST);
	if (reason && *name)
		status = phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s (to go on from an earlier one: copy %s over " PHIZ_LAST ")",
		                   reason, name);
	else if (reason)
		status = phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s", reason);
	phiz_free(s->ctx, reason);
	return status;
}

static enum phiz_status resume(struct phiz_session *s, const char *path)
{
	struct phiz_checkpoint checkpoint;
	enum phiz_status status = phiz_checkpoint_read(s->ctx, path, &checkpoint);

	if (status)
		return status == PHIZ_E_FORMAT ? offer_another(s) : status;
	s->model = checkpoint.model;
	s->own_model = true;
	checkpoint.model = NULL;
	s->dim = phiz_model_task(s->model) == PHIZ_TASK_EMBED ? phiz_model_classes(s->model) : 0;
	status = check_recipe(s, &checkpoint.state);
	if (!status)
		status = phiz_session_open_teacher(s);
	if (!status)
		status = phiz_session_check_teacher(s);
	if (!status)
		status = phiz_session_open_data(s);
	if (!status)
		status = check_data(s, &checkpoint.state);
	checkpoint.model = s->model; /* its tensors hold the checkpoint's values: restoring copies them onto themselves */
	if (!status)
		status = phiz_session_restore(s, &checkpoint);
	checkpoint.model = NULL;
	phiz_checkpoint_free(s->ctx, &checkpoint);
	if (!status)
		status = note_recipe(s);
	reopen(s);
	if (!status)
		status = phiz_session_open_logs(s);
	if (!status && !s->state.finished)
		status = phiz_session_need_net(s);
	if (!status && !s->state.finished)
		status = log_start(s, "resume");
	/* The run may have been killed between writing last.phiz and what follows from it. */
	if (!status)
		status = phiz_session_publish(s);
	if (!status)
		phiz_log(s->ctx, PHIZ_LOG_INFO, "goes on from epoch %lld, batch %lld (step %lld)",
		         (long long)s->state.epoch + 1, (long long)s->state.batch, (long long)s->state.step);
	return status;
}

/* --- Rolling back. --- */

static enum phiz_status log_rolled_back(struct phiz_session *s)
{
	struct phiz_bytes fields;
	enum phiz_status status;

	phiz_bytes_init(&fields, s->ctx);
	phiz_bytes_printf(&fields, "%s,\"lr_scale\":%.17g,\"times\":%lld", s->not_finite, s->state.lr_scale,
	                  (long long)s->state.nan_events);
	status = phiz_bytes_status(&fields);
	if (!status)
		status = phiz_session_log(s, "rolled_back", fields.data);
	phiz_bytes_free(&fields);
	return status;
}

static enum phiz_status go_back(struct phiz_session *s, double lr_scale, int64_t times)
{
	struct phiz_checkpoint checkpoint;
	char *path = phiz_rundir_join(&s->dir, PHIZ_LAST);
	enum phiz_status status = path ? phiz_checkpoint_read(s->ctx, path, &checkpoint) : PHIZ_E_NOMEM;

	phiz_free(s->ctx, path);
	if (status)
		return status;
	status = phiz_session_restore(s, &checkpoint);
	phiz_checkpoint_free(s->ctx, &checkpoint);
	s->state.lr_scale = lr_scale;
	s->state.nan_events = times;
	if (!status)
		status = phiz_session_open_logs(s); /* cut back to the checkpoint */
	if (!status)
		status = log_rolled_back(s);
	return status ? status : phiz_session_checkpoint(s);
}

/* The error is set: adds what happens now. */
static enum phiz_status give_up(struct phiz_session *s, int64_t times)
{
	char *reason = phiz_strdup(s->ctx, phiz_ctx_message(s->ctx));
	enum phiz_status status = phiz_session_log(s, "not_finite", s->not_finite);

	if (!reason)
		return PHIZ_E_NOMEM;
	if (!status && times > 1)
		status = phiz_fail(s->ctx, PHIZ_E_NUMERIC, "%s; stopped after rolling back %lld time(s), %s/" PHIZ_LAST
		                   " holds the last good state", reason, (long long)times - 1, s->dir.path);
	else if (!status)
		status = phiz_fail(s->ctx, PHIZ_E_NUMERIC, "%s; stopped, %s/" PHIZ_LAST " holds the last good state", reason,
		                   s->dir.path);
	phiz_free(s->ctx, reason);
	return status;
}

/* After a loss or gradient that is not finite (the error is set): goes back to last.phiz with half the rate, or leaves
 * the error standing. */
static enum phiz_status roll_back(struct phiz_session *s)
{
	int64_t times = s->state.nan_events + 1;

	if (s->recipe->train.on_nan == PHIZ_ON_NAN_STOP || times > s->recipe->train.nan_limit)
		return give_up(s, times);
	phiz_log(s->ctx, PHIZ_LOG_WARN, "%s; back to the last checkpoint, with half the rate", phiz_ctx_message(s->ctx));
	return go_back(s, s->state.lr_scale / 2, times);
}

/* --- Epochs. --- */

static bool is_better(const struct phiz_session *s, const struct phiz_epoch_record *r)
{
	if (!isfinite(r->val_loss))
		return false;
	if (s->state.best_epoch == 0)
		return true;
	if (!isfinite(r->val_top1)) /* an embedder's validation photos without two of one person */
		return r->val_loss < s->state.best_loss;
	if (s->recipe->output.best == PHIZ_METRIC_LOSS || r->val_top1 == s->state.best_top1)
		return r->val_loss < s->state.best_loss;
	return r->val_top1 > s->state.best_top1;
}

static void observe_plateau(struct phiz_session *s, const struct phiz_epoch_record *r)
{
	bool top1 = s->recipe->schedule.metric == PHIZ_METRIC_TOP1, val = isfinite(r->val_loss);
	double metric = top1 ? (val ? r->val_top1 : r->train_top1) : val ? r->val_loss : r->train_loss;

	if (phiz_schedule_observe(&s->schedule, &s->state.plateau, metric))
		phiz_log(s->ctx, PHIZ_LOG_INFO, "the %s stands still: the rate drops to %g times itself",
		         top1 ? "accuracy" : "loss", s->schedule.factor);
}

/* What the epoch came to. */
static enum phiz_status sum_up(struct phiz_session *s, struct phiz_epoch_record *r)
{
	struct phiz_train_state *state = &s->state;
	enum phiz_status status;

	memset(r, 0, sizeof *r);
	phiz_session_tick(s);
	state->epoch_train_seconds = state->epoch_seconds;
	r->epoch = state->epoch + 1;
	r->steps = state->step;
	r->train_loss = state->seen ? state->loss_sum / (double)state->seen : (double)NAN;
	r->train_top1 = state->seen && s->net->logits != PHIZ_NONE ? state->correct_sum / (double)state->seen : (double)NAN;
	r->lr = state->lr_scale * phiz_schedule_lr(&s->schedule, &state->plateau, s->recipe->optimizer.lr, state->epoch,
	                                           s->schedule.steps_an_epoch - 1);
	status = phiz_session_validate(s, &r->val_loss, &r->val_top1);
	phiz_session_tick(s);
	state->train_seconds += state->epoch_train_seconds;
	r->seconds = state->epoch_seconds;
	r->images_per_s = state->epoch_train_seconds > 0 ? (double)state->seen / state->epoch_train_seconds : 0;
	s->last_epoch_seconds = r->seconds;
	return status;
}

static void next_epoch(struct phiz_session *s, const struct phiz_epoch_record *r, bool best)
{
	struct phiz_train_state *state = &s->state;

	if (best) {
		state->best_epoch = r->epoch;
		state->best_top1 = r->val_top1;
		state->best_loss = r->val_loss;
	}
	state->epoch++;
	state->batch = 0;
	state->loss_sum = state->correct_sum = 0;
	state->seen = 0;
	state->epoch_seconds = state->epoch_train_seconds = 0;
	reopen(s);
}

static enum phiz_status end_epoch(struct phiz_session *s)
{
	struct phiz_epoch_record record;
	enum phiz_status status = sum_up(s, &record);
	bool best;

	if (status)
		return status;
	best = is_better(s, &record);
	observe_plateau(s, &record);
	next_epoch(s, &record, best);
	status = phiz_history_add(s->ctx, &s->state.history, &record);
	if (!status)
		status = phiz_session_log_epoch(s, &record, best);
	if (!status && s->state.finished)
		status = phiz_session_log(s, "done", s->state.epoch < s->recipe->train.epochs ? "\"early\":true" : "");
	/* The checkpoint stands at the beginning of the next epoch, so it has what that one trains. */
	if (!status)
		status = phiz_session_stage(s);
	if (!status)
		status = phiz_session_checkpoint(s);
	if (!status)
		status = phiz_session_publish(s);
	if (!status && s->options->callbacks.epoch)
		s->options->callbacks.epoch(s->options->callbacks.user, &record, best);
	return status;
}

static enum phiz_status run(struct phiz_session *s)
{
	while (!s->state.finished) {
		enum phiz_status status = phiz_session_epoch(s);

		if (!status)
			status = end_epoch(s);
		if (status == PHIZ_E_NUMERIC)
			status = roll_back(s);
		if (status)
			return status;
	}
	return PHIZ_OK;
}

/* --- The whole. --- */

static enum phiz_status open_run(struct phiz_session *s)
{
	char *path;
	bool there;
	enum phiz_status status = phiz_rundir_open(s->ctx, s->options->run_dir, &s->dir);

	if (status)
		return status;
	there = phiz_rundir_has(&s->dir, PHIZ_LAST);
	if (there && !s->options->resume)
		return phiz_fail(s->ctx, PHIZ_E_ARG,
		                 "%s holds a run already: --resume goes on with it; or choose another folder", s->dir.path);
	if (!there)
		return begin(s);
	path = phiz_rundir_join(&s->dir, PHIZ_LAST);
	status = path ? resume(s, path) : PHIZ_E_NOMEM;
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status fill_result(struct phiz_session *s, struct phiz_train_result *out)
{
	const struct phiz_train_state *state = &s->state;
	const struct phiz_history *h = &state->history;
	const struct phiz_epoch_record *last = h->count ? &h->record[h->count - 1] : NULL;
	double seconds;

	out->epochs = state->epoch;
	out->steps = state->step;
	out->train_loss = last ? last->train_loss : (double)NAN;
	out->val_top1 = last ? last->val_top1 : (double)NAN;
	out->val_loss = last ? last->val_loss : (double)NAN;
	out->best_epoch = state->best_epoch;
	out->best_val_top1 = state->best_epoch ? state->best_top1 : (double)NAN;
	out->seconds = state->seconds;
	/* In the middle of an epoch all of its time so far was training. */
	seconds = state->train_seconds + state->epoch_seconds;
	out->images_per_s = seconds > 0 ? (double)state->images / seconds : 0;
	out->stopped_early = state->finished && state->epoch < s->recipe->train.epochs;
	out->trunk = s->trunk_note;
	s->trunk_note = NULL;
	if (!s->dir.path)
		return PHIZ_OK;
	out->checkpoint = phiz_rundir_join(&s->dir, PHIZ_LAST);
	out->best_checkpoint = phiz_rundir_join(&s->dir, state->best_epoch ? PHIZ_BEST : PHIZ_LAST);
	return out->checkpoint && out->best_checkpoint ? PHIZ_OK : PHIZ_E_NOMEM;
}

static void close_session(struct phiz_session *s)
{
	phiz_session_close_logs(s);
	phiz_side_close(s->ctx, &s->train);
	phiz_side_close(s->ctx, &s->val);
	phiz_optimizer_free(&s->optimizer);
	phiz_ema_free(&s->ema);
	phiz_trainnet_free(&s->net);
	if (s->own_model)
		phiz_model_free(&s->model);
	phiz_train_state_free(&s->state);
	phiz_rundir_close(&s->dir);
	phiz_teacher_free(s->ctx, &s->teacher);
	phiz_extra_free(s->ctx, &s->loss);
	phiz_free(s->ctx, s->class_weight);
	phiz_free(s->ctx, s->step_samples);
	phiz_free(s->ctx, s->not_finite);
	phiz_free(s->ctx, s->trunk_note);
}

enum phiz_status phiz_train(struct phiz_ctx *ctx, const struct phiz_train_options *options,
                            struct phiz_train_result *result)
{
	struct phiz_recipe recipe = *options->recipe;
	struct phiz_session *s = phiz_calloc(ctx, 1, sizeof *s);
	enum phiz_status status;

	memset(result, 0, sizeof *result);
	if (!s)
		return PHIZ_E_NOMEM;
	s->ctx = ctx;
	s->options = options;
	s->recipe = options->recipe;
	s->backend = options->backend ? options->backend : phiz_backend_cpu();
	s->mark = s->last_checkpoint = phiz_time();
	s->last_epoch_seconds = NAN;
	phiz_train_state_init(&s->state, ctx);
	recipe.ctx = ctx;
	status = phiz_recipe_check(&recipe);
	if (s->backend->device)
		s->backend->device->choose_by_clock(s->backend, !options->recipe->train.deterministic);
	if (!status && options->recipe->train.precision == PHIZ_TRAIN_FP16 && !s->backend->device)
		status = phiz_fail(ctx, PHIZ_E_ARG, "train.precision = fp16 is for GPUs (--device cuda); the CPU has bf16");
	if (!status)
		status = open_run(s);
	s->state.seconds += phiz_time() - s->mark;
	s->mark = phiz_time();
	if (!status)
		status = run(s);
	if (s->model && s->optimizer) {
		if (phiz_session_pull(s) && !status)
			status = phiz_ctx_status(ctx);
		phiz_ema_swap(s->ema); /* the model that is handed out is the one in last.phiz */
		phiz_model_set_meta(s->model, "train_state", NULL);
		phiz_model_hash(s->model, result->weights_sha256);
	}
	if (fill_result(s, result) && !status)
		status = phiz_ctx_status(ctx);
	close_session(s);
	phiz_free(ctx, s);
	return status;
}

void phiz_train_result_free(struct phiz_ctx *ctx, struct phiz_train_result *result)
{
	phiz_free(ctx, result->checkpoint);
	phiz_free(ctx, result->best_checkpoint);
	phiz_free(ctx, result->trunk);
	memset(result, 0, sizeof *result);
}
