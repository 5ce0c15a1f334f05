/* What a run leaves behind: log.jsonl, TensorBoard events, metrics.csv, curves.svg, checkpoints. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/thread.h"
#include "core/io/json.h"
#include "train/events.h"
#include "train/session.h"

/* TensorBoard reads every file with "tfevents" in its name. */
#define EVENTS_NAME "events.out.tfevents.phiz"

static double wall_time(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return 0;
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void phiz_session_tick(struct phiz_session *s)
{
	double now = phiz_time(), passed = now - s->mark;

	s->mark = now;
	s->state.seconds += passed;
	s->state.epoch_seconds += passed;
}

/* --- Files that grow. --- */

static enum phiz_status open_events(struct phiz_session *s)
{
	char *path;
	enum phiz_status status;

	if (!s->recipe->output.tensorboard)
		return PHIZ_OK;
	path = phiz_rundir_join(&s->dir, EVENTS_NAME);
	if (!path)
		return PHIZ_E_NOMEM;
	status = phiz_append_open(s->ctx, path, s->state.events_bytes, &s->events);
	phiz_free(s->ctx, path);
	if (!status && s->events.size == 0)
		phiz_events_header(&s->pending_events, wall_time());
	return status;
}

enum phiz_status phiz_session_open_logs(struct phiz_session *s)
{
	char *path = phiz_rundir_join(&s->dir, "log.jsonl");
	enum phiz_status status;

	if (!path)
		return PHIZ_E_NOMEM;
	phiz_session_close_logs(s);
	phiz_bytes_init(&s->pending_events, s->ctx);
	status = phiz_append_open(s->ctx, path, s->state.log_bytes, &s->log);
	phiz_free(s->ctx, path);
	if (!status)
		status = open_events(s);
	s->logs_open = !status;
	if (status)
		phiz_append_close(&s->log);
	return status;
}

void phiz_session_close_logs(struct phiz_session *s)
{
	phiz_append_close(&s->log);
	phiz_append_close(&s->events);
	phiz_bytes_free(&s->pending_events);
	s->logs_open = false;
}

enum phiz_status phiz_session_log(struct phiz_session *s, const char *event, const char *fields)
{
	struct phiz_bytes line;
	time_t now = time(NULL);
	struct tm utc;
	char stamp[40] = "";
	enum phiz_status status;

	if (!s->logs_open)
		return PHIZ_OK;
	if (gmtime_r(&now, &utc))
		strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
	phiz_bytes_init(&line, s->ctx);
	phiz_bytes_printf(&line, "{\"time\":\"%s\",\"event\":\"%s\"%s%s}\n", stamp, event, *fields ? "," : "", fields);
	status = phiz_bytes_status(&line);
	if (!status)
		status = phiz_append_add(&s->log, line.data, line.size);
	phiz_bytes_free(&line);
	return status;
}

void phiz_session_scalar(struct phiz_session *s, const char *tag, double value)
{
	if (s->events.ctx && isfinite(value))
		phiz_events_scalar(&s->pending_events, wall_time(), s->state.step, tag, value);
}

/* Writes out what is pending; what the logs hold then is what the checkpoint says. */
static enum phiz_status settle_logs(struct phiz_session *s)
{
	enum phiz_status status = PHIZ_OK;

	if (s->events.ctx) {
		status = phiz_bytes_status(&s->pending_events);
		if (!status && s->pending_events.size)
			status = phiz_append_add(&s->events, s->pending_events.data, s->pending_events.size);
		phiz_bytes_clear(&s->pending_events);
		if (!status)
			status = phiz_append_sync(&s->events);
		s->state.events_bytes = s->events.size;
	}
	if (!status)
		status = phiz_append_sync(&s->log);
	s->state.log_bytes = s->log.size;
	return status;
}

void phiz_session_add_real(struct phiz_bytes *out, const char *name, double value)
{
	phiz_bytes_printf(out, ",\"%s\":", name);
	phiz_json_add_real(out, value);
}

enum phiz_status phiz_session_log_epoch(struct phiz_session *s, const struct phiz_epoch_record *r, bool best)
{
	struct phiz_bytes fields;
	enum phiz_status status;

	phiz_bytes_init(&fields, s->ctx);
	phiz_bytes_printf(&fields, "\"epoch\":%lld,\"steps\":%lld", (long long)r->epoch, (long long)r->steps);
	phiz_session_add_real(&fields, "train_loss", r->train_loss);
	phiz_session_add_real(&fields, "train_top1", r->train_top1);
	phiz_session_add_real(&fields, "val_loss", r->val_loss);
	phiz_session_add_real(&fields, "val_top1", r->val_top1);
	phiz_session_add_real(&fields, "lr", r->lr);
	phiz_session_add_real(&fields, "seconds", r->seconds);
	phiz_session_add_real(&fields, "images_per_s", r->images_per_s);
	phiz_bytes_printf(&fields, ",\"best\":%s", best ? "true" : "false");
	status = phiz_bytes_status(&fields);
	if (!status)
		status = phiz_session_log(s, "epoch", fields.data);
	phiz_bytes_free(&fields);
	phiz_session_scalar(s, "train/loss", r->train_loss);
	phiz_session_scalar(s, "train/top1", r->train_top1);
	phiz_session_scalar(s, "val/loss", r->val_loss);
	phiz_session_scalar(s, "val/top1", r->val_top1);
	phiz_session_scalar(s, "speed/images_per_s", r->images_per_s);
	return status;
}

/* --- Checkpoints and what goes with them. --- */

enum phiz_status phiz_session_checkpoint(struct phiz_session *s)
{
	char *path = phiz_rundir_join(&s->dir, PHIZ_LAST);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_session_tick(s);
	s->state.ema_steps = s->ema ? s->ema->steps : 0;
	if (!status)
		status = settle_logs(s);
	if (!status)
		status = phiz_session_pull(s);
	if (!status)
		status = phiz_checkpoint_write(s->model, s->optimizer, s->ema, &s->loss, &s->state, path);
	if (status == PHIZ_E_IO)
		phiz_fail_in(s->ctx, "checkpoint after step %lld (the last good one stands; make room, then --resume)",
		             (long long)s->state.step);
	s->last_checkpoint = phiz_time();
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status write_text(struct phiz_session *s, const char *name, const struct phiz_bytes *text)
{
	char *path = phiz_rundir_join(&s->dir, name);
	enum phiz_status status = phiz_bytes_status(text);

	if (!path)
		return PHIZ_E_NOMEM;
	if (!status)
		status = phiz_file_write(s->ctx, path, text->data, text->size);
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status write_curves(struct phiz_session *s)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, s->ctx);
	status = phiz_history_csv(&s->state.history, &text);
	if (!status)
		status = write_text(s, "metrics.csv", &text);
	phiz_bytes_clear(&text);
	if (!status)
		status = phiz_history_svg(&s->state.history, phiz_path_base(s->dir.path), s->state.best_epoch, &text);
	if (!status)
		status = write_text(s, "curves.svg", &text);
	phiz_bytes_free(&text);
	return status;
}

enum phiz_status phiz_session_publish(struct phiz_session *s)
{
	const struct phiz_train_state *state = &s->state;
	enum phiz_status status = PHIZ_OK;
	char name[40];

	if (state->batch != 0 || state->epoch == 0)
		return PHIZ_OK; /* in the middle of an epoch */
	if (state->best_epoch == state->epoch)
		status = phiz_rundir_link(&s->dir, PHIZ_LAST, PHIZ_BEST);
	phiz_rundir_epoch_name(state->epoch, name);
	if (!status && s->recipe->output.keep > 0)
		status = phiz_rundir_link(&s->dir, PHIZ_LAST, name);
	if (!status)
		status = phiz_rundir_prune(&s->dir, state->epoch, s->recipe->output.keep);
	return status ? status : write_curves(s);
}
