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
	return PHIZ_OK;
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
	for (i = 0; i < o->count; i++)
		free_param(o->ctx, &o->param[i]);
	phiz_free(o->ctx, o->param);
	phiz_free(o->ctx, o->partial);
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
	    phiz_grow(o->ctx, &o->param, &o->capacity, o->count + 1, sizeof *o->param))
		goto fail;
	o->param[o->count++] = param;
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
	float *restrict w, *restrict m, *restrict v;
	const float *restrict g;
	float scale, decay; /* decay: L2, added to the gradient; AdamW: 1 - lr*weight_decay, times the weight */
	float lr;           /* SGD: the rate; Adam: lr / bias correction 1 */
	float momentum, keep; /* keep: 1 - dampening */
	float beta1, grow1, beta2, grow2, root2, eps; /* grow: 1 - beta; root2: sqrt(bias correction 2) */
	bool has_decay, first, nesterov;
};

/* g += decay*w; m = momentum*m + keep*g; g = nesterov ? g + momentum*m : m; w -= lr*g */
static void sgd_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job *j = arg;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float w = j->w[i], g = j->g[i] * j->scale;

		if (j->has_decay)
			g += j->decay * w;
		if (j->m) {
			float m = j->first ? g : j->momentum * j->m[i] + j->keep * g;

			j->m[i] = m;
			g = j->nesterov ? g + j->momentum * m : m;
		}
		j->w[i] = w - j->lr * g;
	}
}

/* m = beta1*m + (1-beta1)*g; v = beta2*v + (1-beta2)*g*g; w -= lr/c1 * m / (sqrt(v)/sqrt(c2) + eps) */
static void adam_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job j = *(const struct step_job *)arg;
	float *restrict w = j.w, *restrict m = j.m, *restrict v = j.v;
	const float *restrict g = j.g;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float gi = g[i] * j.scale + j.decay * w[i];

		m[i] = m[i] * j.beta1 + j.grow1 * gi;
		v[i] = v[i] * j.beta2 + j.grow2 * gi * gi;
		w[i] = w[i] - j.lr * m[i] / (sqrtf(v[i]) / j.root2 + j.eps);
	}
}

/* The same, but the weight decays by itself: w *= 1 - lr*weight_decay before the step. */
static void adamw_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct step_job j = *(const struct step_job *)arg;
	float *restrict w = j.w, *restrict m = j.m, *restrict v = j.v;
	const float *restrict g = j.g;
	int64_t i;

	(void)worker;
	for (i = begin; i < end; i++) {
		float gi = g[i] * j.scale;

		m[i] = m[i] * j.beta1 + j.grow1 * gi;
		v[i] = v[i] * j.beta2 + j.grow2 * gi * gi;
		w[i] = w[i] * j.decay - j.lr * m[i] / (sqrtf(v[i]) / j.root2 + j.eps);
	}
}

static void step_param(struct phiz_optimizer *o, struct phiz_optimizer_param *p, double scale)
{
	const struct phiz_optimizer_options *opt = &o->options;
	struct step_job j;

	memset(&j, 0, sizeof j);
	j.w = p->value->data;
	j.g = p->gradient->data;
	j.m = p->slot[0] ? p->slot[0]->data : NULL;
	j.v = p->slot[1] ? p->slot[1]->data : NULL;
	j.scale = (float)scale;
	j.first = p->steps == 0;
	p->steps++;
	if (opt->kind == PHIZ_SGD) {
		j.lr = (float)p->lr;
		j.has_decay = p->weight_decay != 0;
		j.decay = (float)p->weight_decay;
		j.momentum = (float)opt->momentum;
		j.keep = (float)(1 - opt->dampening);
		j.nesterov = opt->nesterov;
		phiz_parallel_for(o->ctx, phiz_tensor_count(p->value), PIECE, sgd_piece, &j);
		return;
	}
	j.beta1 = (float)opt->beta1;
	j.grow1 = (float)(1 - opt->beta1);
	j.beta2 = (float)opt->beta2;
	j.grow2 = (float)(1 - opt->beta2);
	j.lr = (float)(p->lr / (1 - pow(opt->beta1, (double)p->steps)));
	j.root2 = (float)sqrt(1 - pow(opt->beta2, (double)p->steps));
	j.eps = (float)opt->eps;
	j.decay = (float)(opt->kind == PHIZ_ADAMW ? 1 - p->lr * p->weight_decay : p->weight_decay);
	phiz_parallel_for(o->ctx, phiz_tensor_count(p->value), PIECE,
	                  opt->kind == PHIZ_ADAMW ? adamw_piece : adam_piece, &j);
}

void phiz_optimizer_step(struct phiz_optimizer *o, double scale)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		if (o->param[i].gradient)
			step_param(o, &o->param[i], scale);
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
