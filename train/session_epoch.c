/* One epoch: batches, gradients, steps; and what to do when a number is not finite. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/thread.h"
#include "train/session.h"

#define NAMED_FILES 4

/* A group: the batches whose gradients make one step. */
struct group {
	int64_t first, end; /* batches */
	int64_t photos;
	double loss;        /* sum over photos */
	double correct;
};

static struct group next_group(const struct phiz_session *s)
{
	struct group g = {s->state.batch, s->state.batch, 0, 0, 0};
	int64_t used = 0;

	while (g.end < s->train.batches && used < s->recipe->train.accumulate) {
		int n = phiz_side_count(s, &s->train, g.end++);

		g.photos += n;
		used += n > 0;
	}
	return g;
}

static int64_t steps_an_epoch(const struct phiz_session *s)
{
	int64_t used = 0, i;

	for (i = s->train.batches > 2 ? s->train.batches - 2 : 0; i < s->train.batches; i++)
		used += phiz_side_count(s, &s->train, i) > 0;
	if (s->train.batches > 2)
		used += s->train.batches - 2; /* all but the last are full */
	return (used + s->recipe->train.accumulate - 1) / s->recipe->train.accumulate;
}

/* --- What is not finite. --- */

static enum phiz_status add_files(struct phiz_session *s, struct phiz_bytes *json, struct phiz_bytes *text)
{
	size_t i;

	for (i = 0; i < s->n_step_samples; i++) {
		char *path = phiz_dataset_path(s->ctx, s->options->dataset, s->step_samples[i]);

		if (!path)
			return PHIZ_E_NOMEM;
		phiz_bytes_text(json, i ? "," : "");
		phiz_bytes_json(json, path);
		if (i < NAMED_FILES)
			phiz_bytes_printf(text, "%s%s", i ? ", " : "", path);
		phiz_free(s->ctx, path);
	}
	if (i > NAMED_FILES)
		phiz_bytes_printf(text, " and %zu more", i - NAMED_FILES);
	return PHIZ_OK;
}

/* Sets the error: epoch, batch, files; and what log.jsonl will say, with all files. */
static enum phiz_status not_finite(struct phiz_session *s, int64_t batch, const char *what, double value)
{
	struct phiz_bytes json, text;
	enum phiz_status status;

	phiz_bytes_init(&json, s->ctx);
	phiz_bytes_init(&text, s->ctx);
	phiz_bytes_printf(&json, "\"epoch\":%lld,\"batch\":%lld,\"step\":%lld,\"what\":\"%s\",\"files\":[",
	                  (long long)s->state.epoch + 1, (long long)batch + 1, (long long)s->state.step, what);
	status = add_files(s, &json, &text);
	phiz_bytes_text(&json, "]");
	if (!status)
		status = phiz_bytes_status(&json);
	if (!status)
		status = phiz_bytes_status(&text);
	if (!status) {
		phiz_free(s->ctx, s->not_finite);
		s->not_finite = phiz_strdup(s->ctx, json.data);
		status = s->not_finite ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status)
		status = phiz_fail(s->ctx, PHIZ_E_NUMERIC, "epoch %lld, batch %lld: the %s is %s; photos: %s",
		                   (long long)s->state.epoch + 1, (long long)batch + 1, what,
		                   isnan(value) ? "not a number" : "infinite", text.data);
	phiz_bytes_free(&json);
	phiz_bytes_free(&text);
	return status;
}

/* --- A step. --- */

/* The teacher's embeddings of the batch's photos into the net. */
static void set_teacher(struct phiz_session *s, const struct phiz_batch *batch)
{
	float *to = phiz_trainnet_teacher(s->net);
	size_t dim = (size_t)s->teacher.dim;
	int i;

	for (i = 0; to && i < batch->n; i++)
		memcpy(to + (size_t)i * dim, s->teacher.embedding + batch->samples[i] * dim, dim * sizeof *to);
}

/* Right answers; a mixed photo counts for the label that weighs more. Photos without a label count as the others do on
 * average. */
static double count_correct(const struct phiz_session *s, const struct phiz_batch *batch, const float *logits)
{
	int64_t classes = s->dim ? s->options->dataset->n_known : phiz_model_classes(s->model);
	const int32_t *labels = batch->labels_b && batch->lambda < 0.5f ? batch->labels_b : batch->labels;
	double correct = 0, labelled = 0;
	int i;

	for (i = 0; i < batch->n; i++) {
		const float *row = logits + i * classes;
		int64_t c, best = 0;

		for (c = 1; c < classes; c++)
			if (row[c] > row[best])
				best = c;
		correct += best == labels[i];
		labelled += labels[i] >= 0;
	}
	return labelled > 0 ? correct * batch->n / labelled : 0;
}

/* How much of the margin there is at batch `index` of the epoch. */
static double margin_share(const struct phiz_session *s, int64_t index)
{
	double done = (double)s->state.epoch + (double)index / (double)s->train.batches;

	return done < s->recipe->loss.margin_epochs ? done / s->recipe->loss.margin_epochs : 1;
}

static enum phiz_status load_now(struct phiz_session *s, int64_t index, struct phiz_batch *out)
{
	enum phiz_status status = phiz_side_load(s, &s->train, (uint32_t)s->state.epoch, index, out);

	if (!status)
		set_teacher(s, out);
	return status;
}

/* The head's input of batch `index`, which may have been loaded ahead. */
static enum phiz_status load(struct phiz_session *s, int64_t index, struct phiz_batch *out)
{
	bool ahead = s->has_ahead && s->ahead.index == index && s->ahead.epoch == (uint32_t)s->state.epoch;

	s->has_ahead = false;
	if (!ahead)
		return load_now(s, index, out);
	*out = s->ahead;
	return PHIZ_OK;
}

/* While a device is at the step that ends before batch `next`, its photos are loaded, if there are as many. */
static enum phiz_status load_ahead(struct phiz_session *s, int64_t next)
{
	if (!s->backend->device || next >= s->train.batches ||
	    phiz_side_count(s, &s->train, next) != phiz_side_count(s, &s->train, next - 1))
		return PHIZ_OK;
	enum phiz_status status = load_now(s, next, &s->ahead);
	if (!status)
		status = phiz_trainnet_send(s->net);
	s->has_ahead = !status;
	return status;
}

static enum phiz_status run_batch(struct phiz_session *s, struct group *g, int64_t index, bool first)
{
	struct phiz_batch batch;
	const float *logits;
	double loss;
	/* Dropout's draws: of the step and of the batch within it. */
	uint64_t draw = (uint64_t)s->state.step * (uint64_t)s->recipe->train.accumulate + (uint64_t)(index - g->first);
	enum phiz_status status = load(s, index, &batch);

	if (status)
		return status;
	memcpy(s->step_samples + s->n_step_samples, batch.samples, (size_t)batch.n * sizeof *batch.samples);
	s->n_step_samples += (size_t)batch.n;
	phiz_trainnet_set_margin(s->net, margin_share(s, index));
	status = phiz_trainnet_forward(s->net, batch.n, batch.labels, batch.labels_b, batch.lambda, draw, &loss, &logits);
	if (status)
		return status;
	if (!isfinite(loss))
		return not_finite(s, index, "loss", loss);
	g->loss += loss * batch.n;
	g->correct += logits ? count_correct(s, &batch, logits) : 0;
	return phiz_trainnet_backward(s->net, !first, (double)batch.n / (double)g->photos * s->state.loss_scale);
}

static double base_rate(const struct phiz_session *s, int64_t step)
{
	return s->state.lr_scale *
	       phiz_schedule_lr(&s->schedule, &s->state.plateau, s->recipe->optimizer.lr, s->state.epoch, step);
}

/* --- Mixed precision in fp16: gradients are computed `loss_scale` times as large, so that small ones are not lost. The
 * scale is halved where they then become infinite, and the step is left out; it is doubled now and then. --- */

enum { SCALE_STEPS = 1000 };
static const double FIRST_SCALE = 65536, MOST_SCALE = 16777216;

static bool is_scaled(const struct phiz_session *s)
{
	return s->recipe->train.precision == PHIZ_TRAIN_FP16;
}

static void begin_scale(struct phiz_session *s)
{
	if (!is_scaled(s))
		s->state.loss_scale = 1;
	else if (s->state.step == 0 && s->state.loss_scale == 1)
		s->state.loss_scale = FIRST_SCALE;
}

/* After a step's norm: false where the step is left out. */
static bool settle_scale(struct phiz_session *s, double norm)
{
	if (!isfinite(norm) && s->state.loss_scale > 1) {
		s->state.loss_scale /= 2;
		return false;
	}
	if (is_scaled(s) && (s->state.step + 1) % SCALE_STEPS == 0 && s->state.loss_scale < MOST_SCALE)
		s->state.loss_scale *= 2;
	return true;
}

static enum phiz_status update(struct phiz_session *s, const struct group *g, int64_t step)
{
	enum phiz_status status;
	double norm;
	size_t i;

	for (i = 0; i < s->optimizer->count; i++) {
		struct phiz_optimizer_param *p = &s->optimizer->param[i];

		p->lr = s->state.lr_scale * phiz_schedule_lr(&s->schedule, &s->state.plateau,
		                                             s->recipe->optimizer.lr * p->lr_factor, s->state.epoch, step);
	}
	status = phiz_optimizer_update(s->optimizer, 1 / s->state.loss_scale, s->recipe->train.clip_norm);
	if (!status)
		status = load_ahead(s, g->end);
	if (!status)
		status = phiz_optimizer_wait(s->optimizer, &norm);
	if (status || !settle_scale(s, norm))
		return status;
	if (!isfinite(norm))
		return not_finite(s, g->end - 1, "gradient", norm);
	if (s->ema)
		status = phiz_ema_update(s->ema);
	phiz_session_scalar(s, "train/loss_step", g->loss / (double)g->photos);
	phiz_session_scalar(s, "train/gradient_norm", norm);
	phiz_session_scalar(s, "train/lr", base_rate(s, step));
	return status;
}

static enum phiz_status run_group(struct phiz_session *s, struct group *g, int64_t step)
{
	enum phiz_status status = PHIZ_OK;
	bool first = true;
	int64_t b;

	s->n_step_samples = 0;
	for (b = g->first; b < g->end && !status; b++) {
		if (phiz_side_count(s, &s->train, b) == 0)
			continue;
		status = run_batch(s, g, b, first);
		first = false;
	}
	return status || first ? status : update(s, g, step);
}

/* --- Progress. --- */

static double eta(const struct phiz_session *s, double photos_per_s)
{
	int64_t epochs_left = s->recipe->train.epochs - s->state.epoch - 1;
	double this_epoch = (double)(s->train.samples - s->state.seen) / photos_per_s;
	double each = isfinite(s->last_epoch_seconds) ? s->last_epoch_seconds : (double)s->train.samples / photos_per_s;

	return this_epoch + (double)epochs_left * each;
}

static void report(struct phiz_session *s, int64_t step)
{
	const struct phiz_train_callbacks *call = &s->options->callbacks;
	double seconds = phiz_time() - s->loop_began;
	struct phiz_train_progress p;

	if (!call->progress)
		return;
	memset(&p, 0, sizeof p);
	p.phase = PHIZ_PHASE_TRAIN;
	p.epoch = s->state.epoch + 1;
	p.epochs = s->recipe->train.epochs;
	p.batch = s->state.batch;
	p.batches = s->train.batches;
	p.step = s->state.step;
	p.loss = s->state.seen ? s->state.loss_sum / (double)s->state.seen : (double)NAN;
	p.top1 = s->state.seen && s->net->logits != PHIZ_NONE ? s->state.correct_sum / (double)s->state.seen : (double)NAN;
	p.lr = base_rate(s, step);
	p.images_per_s = seconds > 0 ? (double)s->loop_images / seconds : (double)NAN;
	p.eta_seconds = p.images_per_s > 0 ? eta(s, p.images_per_s) : (double)NAN;
	call->progress(call->user, &p);
}

/* --- The epoch. --- */

static enum phiz_status prepare(struct phiz_session *s)
{
	enum phiz_status status = phiz_session_need_net(s);

	if (!status && !s->step_samples) {
		s->step_samples = phiz_alloc(s->ctx, (size_t)s->recipe->train.accumulate * (size_t)s->train.batch,
		                             sizeof *s->step_samples);
		status = s->step_samples ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status)
		status = phiz_schedule_init(s->recipe, steps_an_epoch(s), &s->schedule);
	if (!status)
		status = phiz_side_begin(s, &s->train, (uint32_t)s->state.epoch, s->state.batch);
	begin_scale(s);
	s->has_ahead = false;
	s->loop_began = phiz_time();
	s->loop_images = 0;
	return status;
}

/* After a step: is it time to write a checkpoint, or to stop? */
static enum phiz_status between_steps(struct phiz_session *s)
{
	const struct phiz_train_options *o = s->options;
	double every = s->recipe->output.checkpoint_seconds;
	bool cancelled = o->cancel && *o->cancel != 0;
	enum phiz_status status = PHIZ_OK;

	if (o->stop_after_steps && s->session_steps >= o->stop_after_steps)
		return phiz_fail(s->ctx, PHIZ_E_CANCELLED, "stopped after %lld steps", (long long)s->session_steps);
	if (cancelled || (every > 0 && phiz_time() - s->last_checkpoint >= every && s->state.batch < s->train.batches))
		status = phiz_session_checkpoint(s);
	if (cancelled && !status)
		status = phiz_fail(s->ctx, PHIZ_E_CANCELLED,
		                   "broken off in epoch %lld after %lld of %lld batches; %s/" PHIZ_LAST
		                   " has it all: --resume goes on from there",
		                   (long long)s->state.epoch + 1, (long long)s->state.batch, (long long)s->train.batches,
		                   s->dir.path);
	return status;
}

enum phiz_status phiz_session_epoch(struct phiz_session *s)
{
	enum phiz_status status = prepare(s);

	while (!status && s->state.batch < s->train.batches) {
		struct group g = next_group(s);
		int64_t step = s->state.batch / s->recipe->train.accumulate;

		status = run_group(s, &g, step);
		if (status)
			return status;
		s->state.batch = g.end;
		s->state.step += g.photos > 0;
		s->session_steps += g.photos > 0;
		s->state.loss_sum += g.loss;
		s->state.correct_sum += g.correct;
		s->state.seen += g.photos;
		s->state.images += g.photos;
		s->loop_images += g.photos;
		phiz_session_tick(s);
		report(s, step);
		status = between_steps(s);
	}
	return status;
}
