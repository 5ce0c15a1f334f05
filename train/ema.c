#include "train/ema.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

#define PIECE 16384

enum phiz_status phiz_ema_create(struct phiz_ctx *ctx, double decay, struct phiz_ema **out)
{
	struct phiz_ema *ema = phiz_calloc(ctx, 1, sizeof *ema);

	*out = ema;
	if (!ema)
		return PHIZ_E_NOMEM;
	ema->ctx = ctx;
	ema->decay = decay;
	phiz_mirror_init(&ema->shadows, ctx, phiz_backend_cpu());
	return PHIZ_OK;
}

void phiz_ema_free(struct phiz_ema **ema)
{
	struct phiz_ema *e = ema ? *ema : NULL;
	size_t i;

	if (!e)
		return;
	for (i = 0; i < e->count; i++) {
		phiz_tensor_free(e->ctx, &e->entry[i].shadow);
		phiz_free(e->ctx, e->entry[i].name);
	}
	phiz_mirror_free(&e->shadows);
	phiz_free(e->ctx, e->entry);
	phiz_free(e->ctx, e->pair);
	phiz_free(e->ctx, e);
	*ema = NULL;
}

enum phiz_status phiz_ema_add(struct phiz_ema *ema, const char *name, struct phiz_tensor *live)
{
	struct phiz_ema_entry *entry;
	size_t i;

	for (i = 0; i < ema->count; i++)
		if (strcmp(ema->entry[i].name, name) == 0)
			return PHIZ_OK;
	if (live->dtype != PHIZ_F32 || !phiz_tensor_contiguous(live))
		return phiz_fail(ema->ctx, PHIZ_E_ARG, "moving average: '%s' is %s, want contiguous f32", name,
		                 phiz_dtype_name(live->dtype));
	if (phiz_grow(ema->ctx, &ema->entry, &ema->capacity, ema->count + 1, sizeof *ema->entry) ||
	    phiz_grow(ema->ctx, &ema->pair, &ema->pair_capacity, ema->count + 1, sizeof *ema->pair))
		return PHIZ_E_NOMEM;
	entry = &ema->entry[ema->count];
	memset(entry, 0, sizeof *entry);
	entry->live = live;
	entry->name = phiz_strdup(ema->ctx, name);
	if (!entry->name || phiz_tensor_create(ema->ctx, PHIZ_F32, &live->shape, &entry->shadow)) {
		phiz_free(ema->ctx, entry->name);
		return PHIZ_E_NOMEM;
	}
	memcpy(entry->shadow->data, live->data, phiz_tensor_bytes(live));
	entry->live_at = live->data;
	ema->count++;
	return phiz_mirror_add(&ema->shadows, entry->shadow, &entry->shadow_at);
}

struct ema_job {
	float *restrict shadow, *restrict live;
	float keep, take;
};

static void update_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct ema_job j = *(const struct ema_job *)arg;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++)
		j.shadow[i] = j.keep * j.shadow[i] + j.take * j.live[i];
}

static void swap_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct ema_job j = *(const struct ema_job *)arg;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float t = j.shadow[i];

		j.shadow[i] = j.live[i];
		j.live[i] = t;
	}
}

static void for_entries(struct phiz_ema *ema, phiz_range_fn fn, struct ema_job *job)
{
	size_t i;

	for (i = 0; i < ema->count; i++) {
		job->shadow = ema->entry[i].shadow->data;
		job->live = ema->entry[i].live->data;
		phiz_parallel_for(ema->ctx, phiz_tensor_count(ema->entry[i].live), PIECE, fn, job);
	}
}

double phiz_ema_decay_at(double decay, int64_t step)
{
	double early = (1 + (double)step) / (10 + (double)step);

	return early < decay ? early : decay;
}

enum phiz_status phiz_ema_place(struct phiz_ema *ema, const struct phiz_backend *backend)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;

	phiz_mirror_free(&ema->shadows);
	phiz_mirror_init(&ema->shadows, ema->ctx, backend);
	for (i = 0; i < ema->count && !status; i++) {
		ema->entry[i].live_at = ema->entry[i].live->data;
		status = phiz_mirror_add(&ema->shadows, ema->entry[i].shadow, &ema->entry[i].shadow_at);
	}
	return status;
}

enum phiz_status phiz_ema_pull(struct phiz_ema *ema)
{
	return ema ? phiz_mirror_pull(&ema->shadows) : PHIZ_OK;
}

enum phiz_status phiz_ema_push(struct phiz_ema *ema)
{
	return ema ? phiz_mirror_push(&ema->shadows) : PHIZ_OK;
}

static enum phiz_status update_on_device(struct phiz_ema *ema, float keep, float take)
{
	const struct phiz_backend *backend = ema->shadows.backend;
	struct phiz_average average = {.keep = keep, .take = take, .pair = ema->pair};
	size_t i;

	for (i = 0; i < ema->count; i++)
		if (ema->entry[i].live_at)
			ema->pair[average.count++] = (struct phiz_average_pair){ema->entry[i].shadow_at, ema->entry[i].live_at,
			                                                        phiz_tensor_count(ema->entry[i].live)};
	return average.count ? backend->device->average(ema->ctx, backend, &average) : PHIZ_OK;
}

enum phiz_status phiz_ema_update(struct phiz_ema *ema)
{
	struct ema_job job;
	double d = phiz_ema_decay_at(ema->decay, ++ema->steps);

	memset(&job, 0, sizeof job);
	job.keep = (float)d;
	job.take = (float)(1 - d);
	if (ema->shadows.backend->device)
		return update_on_device(ema, job.keep, job.take);
	for_entries(ema, update_piece, &job);
	return PHIZ_OK;
}

void phiz_ema_swap(struct phiz_ema *ema)
{
	struct ema_job job;

	if (!ema)
		return;
	memset(&job, 0, sizeof job);
	for_entries(ema, swap_piece, &job);
	ema->swapped = !ema->swapped;
}
