/* Validation: the photos as they are, the network in inference mode, the averaged weights where there is an average. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/thread.h"
#include "train/session.h"

struct score {
	double loss, correct;
	int64_t photos;
};

/* Plain cross entropy, without smoothing or weights, in double. */
static void score_batch(const struct phiz_batch *batch, const float *logits, int64_t classes, struct score *score)
{
	int i;

	for (i = 0; i < batch->n; i++) {
		const float *row = logits + i * classes;
		double sum = 0;
		int64_t c, best = 0;

		if (batch->labels[i] < 0)
			continue;
		for (c = 1; c < classes; c++)
			if (row[c] > row[best])
				best = c;
		for (c = 0; c < classes; c++)
			sum += exp((double)row[c] - (double)row[best]);
		score->loss += log(sum) + (double)row[best] - (double)row[batch->labels[i]];
		score->correct += best == batch->labels[i];
		score->photos++;
	}
}

static void report(const struct phiz_session *s, const struct score *score, int64_t batch, double began)
{
	const struct phiz_train_callbacks *call = &s->options->callbacks;
	double seconds = phiz_time() - began;
	struct phiz_train_progress p;

	if (!call->progress)
		return;
	memset(&p, 0, sizeof p);
	p.phase = PHIZ_PHASE_VALIDATE;
	p.epoch = s->state.epoch + 1;
	p.epochs = s->recipe->train.epochs;
	p.batch = batch + 1;
	p.batches = s->val.batches;
	p.step = s->state.step;
	p.loss = score->photos ? score->loss / (double)score->photos : (double)NAN;
	p.top1 = score->photos ? score->correct / (double)score->photos : (double)NAN;
	p.images_per_s = seconds > 0 ? (double)score->photos / seconds : (double)NAN;
	p.eta_seconds = NAN;
	call->progress(call->user, &p);
}

void phiz_session_report_val(struct phiz_session *s, int64_t batch)
{
	struct score none = {0, 0, 0};

	report(s, &none, batch, phiz_time());
}

static enum phiz_status run(struct phiz_session *s, struct score *score)
{
	int64_t b, classes = phiz_model_classes(s->model);
	double began = phiz_time();
	enum phiz_status status = phiz_side_begin(s, &s->val, 0, 0);

	for (b = 0; b < s->val.batches && !status; b++) {
		struct phiz_batch batch;
		const float *logits;

		status = phiz_side_load(s, &s->val, 0, b, &batch);
		if (!status)
			status = phiz_trainnet_validate(s->net, &logits);
		if (status)
			break;
		score_batch(&batch, logits, classes, score);
		report(s, score, b, began);
	}
	return status;
}

/* The model's tensors and the average change places, also on a device. */
static enum phiz_status swap_average(struct phiz_session *s)
{
	enum phiz_status status = s->ema ? phiz_session_pull(s) : PHIZ_OK;

	if (status || !s->ema)
		return status;
	phiz_ema_swap(s->ema);
	return phiz_session_push(s);
}

enum phiz_status phiz_session_validate(struct phiz_session *s, double *loss, double *top1)
{
	struct score score;
	enum phiz_status status = PHIZ_OK;

	memset(&score, 0, sizeof score);
	*loss = *top1 = NAN;
	if (!s->val.loader)
		return PHIZ_OK;
	status = swap_average(s);
	if (!status)
		status = s->dim ? phiz_session_verify(s, loss, top1) : run(s, &score);
	if (!status)
		status = swap_average(s);
	if (!status && score.photos > 0) {
		*loss = score.loss / (double)score.photos;
		*top1 = score.correct / (double)score.photos;
	}
	return status;
}
