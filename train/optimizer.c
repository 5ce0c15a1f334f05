#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

/* Elements a piece: the order of the norm's sum depends on it. */
#define PIECE 16384

static const char *slot_name(enum phiz_optimizer_kind kind, int slot)
{
	if (kind == PHIZ_SGD)
		return "momentum";
	return slot == 0 ? "exp_avg" : "exp_avg_sq";
}

static int slot_count(const struct phiz_optimizer_options *options)
{
	if (options->kind == PHIZ_SGD)
		return options->momentum > 0 ? 1 : 0;
	return 2;
}

enum phiz_status phiz_optimizer_create(struct phiz_ctx *ctx, const struct phiz_optimizer_options *options,
                                       struct phiz_optimizer **out)
{
	struct phiz_optimizer *o = phiz_calloc(ctx, 1, sizeof *o);

	*out = o;
	if (!o)
		return PHIZ_E_NOMEM;
	o->ctx = ctx;
	o->options = *options;
	o->backend = phiz_backend_cpu();
	o->norm = &o->own_norm;
	phiz_mirror_init(&o->slots, ctx, o->backend);
	return PHIZ_OK;
}

/* Back to the CPU: what it has of a device is given up. */
static void leave(struct phiz_optimizer *o)
{
	if (o->norm != &o->own_norm)
		o->backend->device->free_staging(o->ctx, o->backend, o->norm);
	o->norm = &o->own_norm;
	phiz_mirror_free(&o->slots);
	o->backend = phiz_backend_cpu();
	phiz_mirror_init(&o->slots, o->ctx, o->backend);
}

static enum phiz_status place_slots(struct phiz_optimizer *o, struct phiz_optimizer_param *p)
{
	enum phiz_status status = PHIZ_OK;
	int s;

	p->at = p->value->data;
	for (s = 0; s < PHIZ_OPTIMIZER_SLOTS && p->slot[s] && !status; s++)
		status = phiz_mirror_add(&o->slots, p->slot[s], &p->slot_at[s]);
	return status;
}

enum phiz_status phiz_optimizer_place(struct phiz_optimizer *o, const struct phiz_backend *backend)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;

	leave(o);
	o->backend = backend;
	phiz_mirror_init(&o->slots, o->ctx, backend);
	if (backend->device) {
		double *norm = backend->device->alloc_staging(o->ctx, backend, sizeof *norm);

		if (!norm)
			return phiz_ctx_status(o->ctx);
		o->norm = norm;
	}
	for (i = 0; i < o->count && !status; i++)
		status = place_slots(o, &o->param[i]);
	return status;
}

enum phiz_status phiz_optimizer_pull(struct phiz_optimizer *o)
{
	return phiz_mirror_pull(&o->slots);
}

static void free_param(struct phiz_ctx *ctx, struct phiz_optimizer_param *param)
{
	int s;

	for (s = 0; s < PHIZ_OPTIMIZER_SLOTS; s++)
		phiz_tensor_free(ctx, &param->slot[s]);
	phiz_free(ctx, param->name);
	memset(param, 0, sizeof *param);
}

void phiz_optimizer_free(struct phiz_optimizer **optimizer)
{
	struct phiz_optimizer *o = optimizer ? *optimizer : NULL;
	size_t i;

	if (!o)
		return;
	leave(o);
	for (i = 0; i < o->count; i++)
		free_param(o->ctx, &o->param[i]);
	phiz_free(o->ctx, o->param);
	phiz_free(o->ctx, o->partial);
	phiz_free(o->ctx, o->row);
	phiz_free(o->ctx, o);
	*optimizer = NULL;
}

struct phiz_optimizer_param *phiz_optimizer_find(struct phiz_optimizer *optimizer, const char *name)
{
	size_t i;

	for (i = 0; i < optimizer->count; i++)
		if (strcmp(optimizer->param[i].name, name) == 0)
			return &optimizer->param[i];
	return NULL;
}

enum phiz_status phiz_optimizer_add(struct phiz_optimizer *o, const char *name, struct phiz_tensor *value,
                                    double lr_factor, double weight_decay)
{
	struct phiz_optimizer_param param;
	size_t pieces = ((size_t)phiz_tensor_count(value) + PIECE - 1) / PIECE;
	int s;

	if (value->dtype != PHIZ_F32 || !phiz_tensor_contiguous(value))
		return phiz_fail(o->ctx, PHIZ_E_ARG, "optimizer: '%s' is %s, want contiguous f32", name,
		                 phiz_dtype_name(value->dtype));
	if (phiz_optimizer_find(o, name))
		return phiz_fail(o->ctx, PHIZ_E_ARG, "optimizer: '%s' is there already", name);
	memset(&param, 0, sizeof param);
	param.value = value;
	param.lr_factor = lr_factor;
	param.weight_decay = weight_decay;
	param.name = phiz_strdup(o->ctx, name);
	if (!param.name)
		goto fail;
	for (s = 0; s < slot_count(&o->options); s++)
		if (phiz_tensor_create(o->ctx, PHIZ_F32, &value->shape, &param.slot[s]))
			goto fail;
	if (phiz_grow(o->ctx, &o->partial, &o->partial_capacity, pieces, sizeof *o->partial) ||
	    phiz_grow(o->ctx, &o->row, &o->row_capacity, o->count + 1, sizeof *o->row) ||
	    phiz_grow(o->ctx, &o->param, &o->capacity, o->count + 1, sizeof *o->param))
		goto fail;
	o->param[o->count++] = param;
	if (place_slots(o, &o->param[o->count - 1]))
		return phiz_ctx_status(o->ctx);
	return PHIZ_OK;
fail:
	free_param(o->ctx, &param);
	return phiz_ctx_status(o->ctx);
}

/* --- Norm. --- */

struct norm_job {
	const float *x;
	double *partial;
};

static void norm_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct norm_job *job = arg;
	double sum = 0;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++)
		sum += (double)job->x[i] * (double)job->x[i];
	job->partial[begin / PIECE] = sum;
}

double phiz_optimizer_norm(struct phiz_optimizer *o)
{
	double total = 0;
	size_t i;

	for (i = 0; i < o->count; i++) {
		int64_t n = phiz_tensor_count(o->param[i].value), k;
		struct norm_job job;

		if (!o->param[i].gradient)
			continue;
		job.x = o->param[i].gradient->data;
		job.partial = o->partial;
		phiz_parallel_for(o->ctx, n, PIECE, norm_piece, &job);
		for (k = 0; k < (n + PIECE - 1) / PIECE; k++)
			total += o->partial[k];
	}
	return sqrt(total);
}

double phiz_clip_factor(double norm, double max_norm)
{
	double factor;

	if (max_norm <= 0)
		return 1;
	factor = max_norm / (norm + 1e-6);
	return factor < 1 ? factor : 1;
}

/* --- Steps. Scalars are rounded to f32 where PyTorch's kernels do it. --- */

struct step_job {
	const struct phiz_update *update;
	const struct phiz_update_param *param;
	float scale;
};

/* g += decay*w; m = momentum*m + keep*g; g = nesterov ? g + momentum*m : m; w -= lr*g */
static void sgd_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job *j = arg;
	const struct phiz_update u = *j->update;
	const struct phiz_update_param p = *j->param;
	const float scale = j->scale;
	float *restrict ws = p.w, *restrict ms = p.m;
	const float *restrict gs = p.g;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float w = ws[i], g = gs[i] * scale;

		if (p.decay != 0)
			g += p.decay * w;
		if (ms) {
			float m = p.first ? g : u.momentum * ms[i] + u.keep * g;

			ms[i] = m;
			g = u.nesterov ? g + u.momentum * m : m;
		}
		ws[i] = w - p.lr * g;
	}
}

/* m = beta1*m + (1-beta1)*g; v = beta2*v + (1-beta2)*g*g; w -= lr/c1 * m / (sqrt(v)/sqrt(c2) + eps) */
static void adam_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job *j = arg;
	const struct phiz_update u = *j->update;
	const struct phiz_update_param p = *j->param;
	const float scale = j->scale;
	float *restrict w = p.w, *restrict m = p.m, *restrict v = p.v;
	const float *restrict g = p.g;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float gi = g[i] * scale + p.decay * w[i];

		m[i] = m[i] * u.beta1 + u.grow1 * gi;
		v[i] = v[i] * u.beta2 + u.grow2 * gi * gi;
		w[i] = w[i] - p.lr * m[i] / (sqrtf(v[i]) / p.root2 + u.eps);
	}
}

/* The same, but the weight decays by itself: w *= 1 - lr*weight_decay before the step. */
static void adamw_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job *j = arg;
	const struct phiz_update u = *j->update;
	const struct phiz_update_param p = *j->param;
	const float scale = j->scale;
	float *restrict w = p.w, *restrict m = p.m, *restrict v = p.v;
	const float *restrict g = p.g;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float gi = g[i] * scale;

		m[i] = m[i] * u.beta1 + u.grow1 * gi;
		v[i] = v[i] * u.beta2 + u.grow2 * gi * gi;
		w[i] = w[i] * p.decay - p.lr * m[i] / (sqrtf(v[i]) / p.root2 + u.eps);
	}
}

/* The parameter's part in its next step, which is counted. */
static struct phiz_update_param next_step(const struct phiz_optimizer *o, struct phiz_optimizer_param *p)
{
	const struct phiz_optimizer_options *opt = &o->options;
	struct phiz_update_param row = {
		.w = p->at, .m = p->slot_at[0], .v = p->slot_at[1], .g = p->gradient->data,
		.count = phiz_tensor_count(p->value), .lr = (float)p->lr, .decay = (float)p->weight_decay,
		.first = p->steps == 0,
	};

	p->steps++;
	if (opt->kind == PHIZ_SGD)
		return row;
	row.lr = (float)(p->lr / (1 - pow(opt->beta1, (double)p->steps)));
	row.root2 = (float)sqrt(1 - pow(opt->beta2, (double)p->steps));
	if (opt->kind == PHIZ_ADAMW)
		row.decay = (float)(1 - p->lr * p->weight_decay);
	return row;
}

static struct phiz_update begin_step(struct phiz_optimizer *o)
{
	const struct phiz_optimizer_options *opt = &o->options;
	struct phiz_update u = {
		.rule = opt->kind == PHIZ_SGD ? PHIZ_UPDATE_SGD : opt->kind == PHIZ_ADAM ? PHIZ_UPDATE_ADAM : PHIZ_UPDATE_ADAMW,
		.nesterov = opt->nesterov, .momentum = (float)opt->momentum, .keep = (float)(1 - opt->dampening),
		.beta1 = (float)opt->beta1, .grow1 = (float)(1 - opt->beta1), .beta2 = (float)opt->beta2,
		.grow2 = (float)(1 - opt->beta2), .eps = (float)opt->eps, .param = o->row,
	};
	size_t i;

	for (i = 0; i < o->count; i++)
		if (o->param[i].gradient)
			o->row[u.count++] = next_step(o, &o->param[i]);
	o->rows = u.count;
	return u;
}

void phiz_optimizer_step(struct phiz_optimizer *o, double scale)
{
	const struct phiz_update u = begin_step(o);
	const phiz_range_fn piece = u.rule == PHIZ_UPDATE_SGD    ? sgd_piece
	                            : u.rule == PHIZ_UPDATE_ADAM ? adam_piece
	                                                         : adamw_piece;
	size_t i;

	for (i = 0; i < u.count; i++) {
		struct step_job j = {&u, &u.param[i], (float)scale};

		phiz_parallel_for(o->ctx, u.param[i].count, PIECE, piece, &j);
	}
}

enum phiz_status phiz_optimizer_update(struct phiz_optimizer *o, double scale, double max_norm)
{
	struct phiz_update u;

	*o->norm = 0;
	if (!o->backend->device) {
		*o->norm = phiz_optimizer_norm(o) * scale;
		if (isfinite(*o->norm))
			phiz_optimizer_step(o, scale * phiz_clip_factor(*o->norm, max_norm));
		return PHIZ_OK;
	}
	u = begin_step(o);
	u.scale = scale;
	u.max_norm = max_norm;
	u.norm = o->norm;
	return u.count ? o->backend->device->update(o->ctx, o->backend, &u) : PHIZ_OK;
}

enum phiz_status phiz_optimizer_wait(struct phiz_optimizer *o, double *norm)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;

	if (o->backend->device)
		status = o->backend->device->sync(o->ctx, o->backend);
	*norm = *o->norm;
	for (i = 0; o->backend->device && !isfinite(*norm) && i < o->count; i++)
		o->param[i].steps -= o->param[i].gradient != NULL; /* it was none */
	return status;
}

/* --- In and out of checkpoints. --- */

static enum phiz_status save_param(struct phiz_optimizer *o, struct phiz_optimizer_param *p, struct phiz_extra *extra)
{
	char name[256];
	int s, n;

	for (s = 0; s < PHIZ_OPTIMIZER_SLOTS && p->slot[s]; s++) {
		struct phiz_tensor *view;

		n = snprintf(name, sizeof name, "optimizer/%s/%s", p->name, slot_name(o->options.kind, s));
		if (n < 0 || (size_t)n >= sizeof name)
			return phiz_fail(o->ctx, PHIZ_E_LIMIT, "%s: the name is too long", p->name);
		if (phiz_tensor_share(o->ctx, p->slot[s], &view) || phiz_extra_add(o->ctx, extra, name, view))
			return phiz_ctx_status(o->ctx);
	}
	return PHIZ_OK;
}

static enum phiz_status save_steps(struct phiz_optimizer *o, struct phiz_extra *extra)
{
	struct phiz_shape shape = phiz_shape_1d((int64_t)o->count);
	struct phiz_tensor *steps;
	size_t i;

	if (phiz_tensor_create(o->ctx, PHIZ_I64, &shape, &steps))
		return phiz_ctx_status(o->ctx);
	for (i = 0; i < o->count; i++)
		((int64_t *)steps->data)[i] = o->param[i].steps;
	return phiz_extra_add(o->ctx, extra, "optimizer/steps", steps);
}

enum phiz_status phiz_optimizer_save(struct phiz_optimizer *o, struct phiz_extra *extra)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		if (save_param(o, &o->param[i], extra))
			return phiz_ctx_status(o->ctx);
	return save_steps(o, extra);
}

static enum phiz_status load_param(struct phiz_optimizer *o, struct phiz_optimizer_param *p,
                                   const struct phiz_extra *extra)
{
	char name[256];
	int s;

	for (s = 0; s < PHIZ_OPTIMIZER_SLOTS && p->slot[s]; s++) {
		const struct phiz_tensor *from;

		snprintf(name, sizeof name, "optimizer/%s/%s", p->name, slot_name(o->options.kind, s));
		from = phiz_extra_find(extra, name);
		if (!from || from->dtype != PHIZ_F32 || !phiz_shape_equal(&from->shape, &p->slot[s]->shape))
			return phiz_fail(o->ctx, PHIZ_E_FORMAT, "the checkpoint %s '%s'; was it made with another optimizer?",
			                 from ? "has another shape of" : "lacks", name);
		memcpy(p->slot[s]->data, from->data, phiz_tensor_bytes(from));
	}
	return PHIZ_OK;
}

enum phiz_status phiz_optimizer_load(struct phiz_optimizer *o, const struct phiz_extra *extra)
{
	const struct phiz_tensor *steps = phiz_extra_find(extra, "optimizer/steps");
	size_t i;

	if (!steps || steps->dtype != PHIZ_I64 || phiz_tensor_count(steps) != (int64_t)o->count)
		return phiz_fail(o->ctx, PHIZ_E_FORMAT, "the checkpoint's optimizer has %lld parameters, the recipe trains %zu",
		                 steps ? (long long)phiz_tensor_count(steps) : 0, o->count);
	for (i = 0; i < o->count; i++) {
		if (load_param(o, &o->param[i], extra))
			return phiz_ctx_status(o->ctx);
		o->param[i].steps = ((const int64_t *)steps->data)[i];
	}
	return PHIZ_OK;
}
