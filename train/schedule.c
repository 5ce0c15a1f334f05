#include "train/schedule.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/parse.h"

#define PI 3.14159265358979323846
/* ReduceLROnPlateau's eps: a smaller drop of the rate is not made. */
#define PLATEAU_EPS 1e-8

static enum phiz_status read_milestones(struct phiz_ctx *ctx, const char *text, struct phiz_schedule *out)
{
	if (strcmp(text, "none") == 0)
		return PHIZ_OK;
	while (*text) {
		char number[32];
		size_t length = strcspn(text, ", \t");

		if (length == 0) {
			text++;
			continue;
		}
		if (out->n_milestones == PHIZ_MAX_MILESTONES)
			return phiz_fail(ctx, PHIZ_E_ARG, "schedule.milestones: more than %d", PHIZ_MAX_MILESTONES);
		if (length >= sizeof number)
			return phiz_fail(ctx, PHIZ_E_ARG, "schedule.milestones: want epochs with commas between");
		memcpy(number, text, length);
		number[length] = '\0';
		if (phiz_parse_i64(ctx, number, 1, 1000000, &out->milestone[out->n_milestones]))
			return phiz_fail_in(ctx, "schedule.milestones");
		out->n_milestones++;
		text += length;
	}
	return PHIZ_OK;
}

enum phiz_status phiz_schedule_init(const struct phiz_recipe *recipe, int64_t steps_an_epoch, struct phiz_schedule *out)
{
	memset(out, 0, sizeof *out);
	out->kind = (enum phiz_schedule_kind)recipe->schedule.name;
	out->per_step = recipe->schedule.per == PHIZ_PER_STEP;
	out->epochs = recipe->train.epochs;
	out->steps_an_epoch = steps_an_epoch > 0 ? steps_an_epoch : 1;
	out->step_epochs = recipe->schedule.step_epochs;
	out->gamma = recipe->schedule.gamma;
	out->min_lr = recipe->schedule.min_lr;
	out->warmup_steps = recipe->schedule.warmup_steps;
	if (recipe->schedule.warmup_epochs > 0)
		out->warmup_steps = (int64_t)ceil(recipe->schedule.warmup_epochs * (double)out->steps_an_epoch);
	out->warmup_start = recipe->schedule.warmup_start;
	out->higher_is_better = recipe->schedule.metric == PHIZ_METRIC_TOP1;
	out->patience = recipe->schedule.plateau_patience;
	out->cooldown = recipe->schedule.plateau_cooldown;
	out->factor = recipe->schedule.plateau_factor;
	out->threshold = recipe->schedule.plateau_threshold;
	return read_milestones(recipe->ctx, recipe->schedule.milestones, out);
}

/* eta_min + (base - eta_min) * (1 + cos(pi t/T)) / 2 */
static double cosine(const struct phiz_schedule *s, double base, int64_t epoch, int64_t step)
{
	double done = (double)epoch;

	if (s->per_step)
		done += (double)step / (double)s->steps_an_epoch;
	if (done > (double)s->epochs)
		done = (double)s->epochs;
	return s->min_lr + (base - s->min_lr) * (1 + cos(PI * done / (double)s->epochs)) / 2;
}

static double multistep(const struct phiz_schedule *s, double base, int64_t epoch)
{
	int i;

	for (i = 0; i < s->n_milestones && epoch >= s->milestone[i]; i++)
		base *= s->gamma;
	return base;
}

static double plateau_rate(const struct phiz_schedule *s, const struct phiz_plateau *plateau, double base)
{
	int64_t i;

	for (i = 0; plateau && i < plateau->drops; i++) {
		double next = fmax(base * s->factor, s->min_lr);

		if (base - next <= PLATEAU_EPS)
			break;
		base = next;
	}
	return base;
}

double phiz_schedule_lr(const struct phiz_schedule *s, const struct phiz_plateau *plateau, double base, int64_t epoch,
                        int64_t step)
{
	int64_t at = epoch * s->steps_an_epoch + step;
	double lr = base;

	switch (s->kind) {
	case PHIZ_SCHEDULE_CONSTANT:
		break;
	case PHIZ_SCHEDULE_STEP:
		lr = base * pow(s->gamma, (double)(epoch / s->step_epochs));
		break;
	case PHIZ_SCHEDULE_MULTISTEP:
		lr = multistep(s, base, epoch);
		break;
	case PHIZ_SCHEDULE_COSINE:
		lr = cosine(s, base, epoch, step);
		break;
	case PHIZ_SCHEDULE_PLATEAU:
		lr = plateau_rate(s, plateau, base);
		break;
	}
	if (at < s->warmup_steps)
		lr *= s->warmup_start + (1 - s->warmup_start) * (double)at / (double)s->warmup_steps;
	return lr;
}

static bool better(const struct phiz_schedule *s, const struct phiz_plateau *plateau, double metric)
{
	if (!plateau->seen)
		return true;
	if (s->higher_is_better)
		return metric > plateau->best * (1 + s->threshold);
	return metric < plateau->best * (1 - s->threshold);
}

bool phiz_schedule_observe(const struct phiz_schedule *s, struct phiz_plateau *plateau, double metric)
{
	if (s->kind != PHIZ_SCHEDULE_PLATEAU)
		return false;
	if (better(s, plateau, metric)) {
		plateau->seen = true;
		plateau->best = metric;
		plateau->bad_epochs = 0;
	} else {
		plateau->bad_epochs++;
	}
	if (plateau->cooldown_left > 0) {
		plateau->cooldown_left--;
		plateau->bad_epochs = 0;
	}
	if (plateau->bad_epochs <= s->patience)
		return false;
	plateau->drops++;
	plateau->cooldown_left = s->cooldown;
	plateau->bad_epochs = 0;
	return true;
}
