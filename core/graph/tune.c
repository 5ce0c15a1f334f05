/* Plans that follow tuned choices, and the timing that makes them: the graph is run as a whole with the k-th kernel of
 * each node, for every k, so that each finds the caches as it will find them later. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/graph/plan.h"
#include "core/graph/tuning.h"

/* Another kernel than the plan's own must save these shares of the node's time and of the run's: less is noise. */
#define LEAST_GAIN 0.03
#define LEAST_SHARE 0.0005

enum { MAX_TRIALS = 16, ROUNDS = 3, RUNS = 5 };

/* --- Keys --- */

static void add_value(const struct phiz_plan *p, int value, struct phiz_bytes *key)
{
	char shape[128];

	if (value == PHIZ_NONE) {
		phiz_bytes_text(key, " -");
		return;
	}
	phiz_bytes_printf(key, " %s%s%s", phiz_dtype_name(p->type[value].dtype),
	                  phiz_shape_text(&p->type[value].shape, shape), p->layout[value] == PHIZ_BLOCKED ? "*" : "");
}

/* What a choice is kept under; the plan's types are those of one picture. */
static enum phiz_status make_key(const struct phiz_plan *p, const struct phiz_step *step, struct phiz_bytes *key)
{
	const struct phiz_node *n = &p->graph->node[step->node];

	phiz_bytes_clear(key);
	phiz_bytes_text(key, n->op->name);
	for (int i = 0; i < n->n_inputs; i++)
		add_value(p, n->input[i], key);
	phiz_bytes_text(key, " ->");
	for (int o = 0; o < n->n_outputs; o++)
		add_value(p, n->output[o], key);
	for (int a = 0; a < n->op->n_attrs; a++) {
		const struct phiz_attr_desc *attr = &n->op->attrs[a];
		double value = attr->kind == PHIZ_ATTR_INT ? (double)n->attr[a].i : n->attr[a].f;
		if (value > attr->initial || value < attr->initial)
			phiz_bytes_printf(key, " %s=%.9g", attr->name, value);
	}
	return phiz_bytes_status(key);
}

/* --- Plans that follow them --- */

static enum phiz_status describe_machine(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                         struct phiz_bytes *out)
{
	phiz_bytes_text(out, PHIZ_VERSION "; ");
	enum phiz_status status = backend->machine(ctx, backend, out);
	return status ? status : phiz_bytes_status(out);
}

enum phiz_status phiz_tuning_describe(struct phiz_ctx *ctx, const struct phiz_tuning *t,
                                      const struct phiz_backend *backend, struct phiz_tuning_info *out)
{
	struct phiz_bytes machine;

	*out = (struct phiz_tuning_info){.choices = t ? (int)t->count : 0, .machine = t ? t->machine : ""};
	if (!t || !backend->next || !backend->machine)
		return PHIZ_OK;
	phiz_bytes_init(&machine, ctx);
	enum phiz_status status = describe_machine(ctx, backend, &machine);
	out->here = !status && !strcmp(machine.data, t->machine);
	phiz_bytes_free(&machine);
	return status;
}

/* *follows: are there choices for this plan? */
static enum phiz_status look_at_tuning(const struct phiz_plan *p, bool *follows)
{
	const struct phiz_tuning *t = p->options.tuning;
	struct phiz_tuning_info info;

	*follows = t && t->trial;
	if (!t || t->trial || p->options.mode != PHIZ_PLAN_INFER)
		return PHIZ_OK;
	enum phiz_status status = phiz_tuning_describe(p->ctx, t, p->options.backend, &info);
	*follows = info.here;
	return status;
}

/* The kernel `trial` places behind the plan's own, or that of this name; the plan's own where there is none. */
static const struct phiz_kernel *pick(const struct phiz_plan *p, const struct phiz_step *step, int trial,
                                      const char *name)
{
	const struct phiz_kernel *own = phiz_plan_kernel(p, step, NULL), *k = own;

	for (int i = 0; k; i++, k = phiz_plan_kernel(p, step, k))
		if (name ? !strcmp(k->name, name) : i == trial)
			return k;
	return own;
}

static bool fits(const struct phiz_plan *p, const struct phiz_step *step)
{
	for (const struct phiz_kernel *k = phiz_plan_kernel(p, step, NULL); k; k = phiz_plan_kernel(p, step, k))
		if (k == step->kernel)
			return true;
	return false;
}

static enum phiz_status choose_for_one_picture(struct phiz_plan *p)
{
	const struct phiz_tuning *t = p->options.tuning;
	enum phiz_status status = PHIZ_OK;
	struct phiz_bytes key;

	phiz_bytes_init(&key, p->ctx);
	for (size_t s = 0; s < p->n_forward && !status; s++) {
		struct phiz_step *step = &p->step[s];
		status = make_key(p, step, &key);
		const char *name = status || t->trial ? NULL : phiz_tuning_find(t, key.data);
		if (t->trial || name)
			step->kernel = pick(p, step, t->trial, name);
	}
	phiz_bytes_free(&key);
	return status;
}

enum phiz_status phiz_plan_choose_tuned(struct phiz_plan *p)
{
	const int64_t batch = p->batch;
	bool follows;

	enum phiz_status status = look_at_tuning(p, &follows);
	if (status || !follows)
		return status;
	status = phiz_plan_retype(p, 1);
	if (!status)
		status = choose_for_one_picture(p);
	if (!status)
		status = phiz_plan_retype(p, batch);
	for (size_t s = 0; s < p->n_forward && !status; s++)
		if (!fits(p, &p->step[s])) /* offsets that leave 31 bits, for instance */
			p->step[s].kernel = phiz_plan_kernel(p, &p->step[s], NULL);
	return status;
}

/* --- Timing --- */

struct timing {
	struct phiz_ctx *ctx;
	const struct phiz_graph *graph;
	struct phiz_plan_options options;
	struct phiz_tuning trial;
	double deadline;
	size_t steps;
	char **key;                        /* [step] */
	const struct phiz_kernel **kernel; /* [trial][step]; NULL: as many kernels do not fit it */
	double *seconds;                   /* [trial][step], of the fastest run */
	int trials;
	double whole; /* of the plan's own choice */
};

static void fill_inputs(struct phiz_plan *p)
{
	struct phiz_rng rng;

	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int v = 0; v < (int)p->graph->n_values; v++) {
		struct phiz_tensor *t = p->graph->value[v].kind == PHIZ_VALUE_INPUT ? phiz_plan_tensor(p, v) : NULL;
		if (!t)
			continue;
		memset(t->data, 0, phiz_tensor_bytes(t));
		for (int64_t i = 0; t->dtype == PHIZ_F32 && i < phiz_tensor_count(t); i++)
			((float *)t->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
	}
}

/* A few runs; the fastest time of each step (NULL: not wanted) and of the whole are kept where they beat what is
 * there: what else goes on in the machine only adds to them. */
static enum phiz_status run_a_few(struct phiz_plan *p, double *seconds, double *whole)
{
	enum phiz_status status = phiz_plan_forward(p);

	for (int i = 0; i < RUNS && !status; i++) {
		double begin = phiz_time();
		status = phiz_plan_forward(p);
		*whole = fmin(*whole, phiz_time() - begin);
		for (size_t s = 0; seconds && s < p->n_forward; s++)
			seconds[s] = fmin(seconds[s], p->step[s].seconds);
	}
	return status;
}

/* Makes the plan and fills its inputs. */
static enum phiz_status make_plan(const struct timing *m, const struct phiz_tuning *tuning, struct phiz_plan **out)
{
	struct phiz_plan_options o = m->options;

	o.tuning = tuning;
	enum phiz_status status = phiz_plan_create(m->ctx, m->graph, &o, out);
	if (!status)
		fill_inputs(*out);
	return status;
}

static enum phiz_status prepare(struct timing *m, const struct phiz_plan *p)
{
	const size_t all = MAX_TRIALS * p->n_forward;
	struct phiz_bytes key;

	m->steps = p->n_forward;
	m->key = phiz_calloc(m->ctx, m->steps + 1, sizeof *m->key);
	m->kernel = phiz_calloc(m->ctx, all + 1, sizeof *m->kernel);
	m->seconds = phiz_calloc(m->ctx, all + 1, sizeof *m->seconds);
	if (!m->key || !m->kernel || !m->seconds)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < all; i++)
		m->seconds[i] = HUGE_VAL;
	phiz_bytes_init(&key, m->ctx);
	enum phiz_status status = PHIZ_OK;
	for (size_t s = 0; s < m->steps && !status; s++) {
		status = make_key(p, &p->step[s], &key);
		m->key[s] = status ? NULL : phiz_strdup(m->ctx, key.data);
		status = m->key[s] ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	phiz_bytes_free(&key);
	return status;
}

static void finish(struct timing *m)
{
	for (size_t s = 0; m->key && s < m->steps; s++)
		phiz_free(m->ctx, m->key[s]);
	phiz_free(m->ctx, m->key);
	phiz_free(m->ctx, m->kernel);
	phiz_free(m->ctx, m->seconds);
}

/* Runs every node with its trial-th kernel. *any: has one of them so many? */
static enum phiz_status time_trial(struct timing *m, int trial, bool *any)
{
	const struct phiz_kernel **kernel;
	struct phiz_plan *p = NULL;
	double whole = HUGE_VAL;

	*any = trial == 0;
	m->trial.trial = trial;
	enum phiz_status status = make_plan(m, trial ? &m->trial : NULL, &p);
	if (!status && !m->key)
		status = prepare(m, p);
	if (status)
		goto done;
	kernel = m->kernel + (size_t)trial * m->steps;
	for (size_t s = 0; s < m->steps; s++)
		if (trial == 0 || p->step[s].kernel != m->kernel[s]) {
			kernel[s] = p->step[s].kernel;
			*any = true;
		}
	if (*any) {
		phiz_plan_time_steps(p, true);
		status = run_a_few(p, m->seconds + (size_t)trial * m->steps, &whole);
	}
	if (trial == 0)
		m->whole = fmin(m->whole, whole);
done:
	phiz_plan_free(&p);
	return status;
}

static enum phiz_status time_all(struct timing *m)
{
	enum phiz_status status = PHIZ_OK;

	for (int round = 0; round < ROUNDS && !status && (round == 0 || phiz_time() < m->deadline); round++) {
		bool any = true;
		for (int trial = 0; trial < MAX_TRIALS && any && !status; trial++) {
			status = time_trial(m, trial, &any);
			if (any && trial >= m->trials)
				m->trials = trial + 1;
		}
	}
	return status;
}

/* Of all steps with the key of step s. */
static double seconds_of(const struct timing *m, size_t s, int trial)
{
	const double *seconds = m->seconds + (size_t)trial * m->steps;
	double sum = 0;

	for (size_t i = s; i < m->steps; i++)
		if (!strcmp(m->key[i], m->key[s]))
			sum += seconds[i];
	return sum;
}

static int best_trial(const struct timing *m, size_t s)
{
	double own = seconds_of(m, s, 0), least = own - fmax(LEAST_GAIN * own, LEAST_SHARE * m->whole);
	int best = 0;

	for (int trial = 1; trial < m->trials; trial++)
		if (m->kernel[(size_t)trial * m->steps + s] && seconds_of(m, s, trial) < least) {
			least = seconds_of(m, s, trial);
			best = trial;
		}
	return best;
}

/* The fastest kernel of each node that leaves a choice; or, where that is not wanted, the plan's own. */
static enum phiz_status choose(const struct timing *m, bool fastest, struct phiz_tuning *into,
                               struct phiz_tune_result *out)
{
	enum phiz_status status = PHIZ_OK;

	out->nodes = out->changed = 0;
	for (size_t s = 0; s < m->steps && !status; s++) {
		if (m->trials < 2 || !m->kernel[m->steps + s])
			continue;
		size_t first = 0;
		while (strcmp(m->key[first], m->key[s]) != 0)
			first++;
		int trial = fastest ? best_trial(m, first) : 0;
		out->nodes++;
		out->changed += trial != 0;
		status = phiz_tuning_set(into, m->key[s], m->kernel[(size_t)trial * m->steps + s]->name);
	}
	return status;
}

/* Whole runs with and without the choices, in turn. */
static enum phiz_status compare(const struct timing *m, const struct phiz_tuning *tuning, struct phiz_tune_result *out)
{
	enum phiz_status status = PHIZ_OK;

	out->before = out->after = HUGE_VAL;
	for (int i = 0; i < 2 * ROUNDS && !status; i++) {
		struct phiz_plan *p = NULL;
		status = make_plan(m, i % 2 ? tuning : NULL, &p);
		if (!status)
			status = run_a_few(p, NULL, i % 2 ? &out->after : &out->before);
		phiz_plan_free(&p);
	}
	return status;
}

static enum phiz_status measure(struct timing *m, struct phiz_tuning *into, struct phiz_tune_result *out)
{
	enum phiz_status status = time_all(m);

	if (!status)
		status = choose(m, true, into, out);
	out->before = out->after = m->whole;
	if (!status && out->changed)
		status = compare(m, into, out);
	if (!status && out->changed && out->after >= out->before) {
		status = choose(m, false, into, out);
		out->after = out->before;
	}
	return status;
}

/* A copy of what is there, where it is of this machine, else a new one: on failure the old one stands. */
static enum phiz_status begin_tuning(struct phiz_ctx *ctx, const struct phiz_backend *backend,
                                     const struct phiz_tuning *old, struct phiz_tuning **out)
{
	struct phiz_bytes machine;

	*out = NULL;
	phiz_bytes_init(&machine, ctx);
	enum phiz_status status = describe_machine(ctx, backend, &machine);
	if (!status)
		status = phiz_tuning_create(ctx, machine.data, out);
	bool same = old && !status && !strcmp(old->machine, machine.data);
	for (size_t i = 0; same && i < old->count && !status; i++)
		status = phiz_tuning_set(*out, old->choice[i].key, old->choice[i].kernel);
	phiz_bytes_free(&machine);
	return status;
}

enum phiz_status phiz_tuning_measure(struct phiz_ctx *ctx, const struct phiz_graph *graph,
                                     const struct phiz_plan_options *options, double seconds,
                                     struct phiz_tuning **tuning, struct phiz_tune_result *out)
{
	struct timing m = {.ctx = ctx, .graph = graph, .options = *options, .deadline = phiz_time() + seconds,
	                   .whole = HUGE_VAL};
	struct phiz_tuning *new = NULL;

	memset(out, 0, sizeof *out);
	if (options->mode != PHIZ_PLAN_INFER || !options->backend)
		return phiz_fail(ctx, PHIZ_E_ARG, "plans of inference are tuned, with a backend");
	if (!options->backend->next || !options->backend->machine)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "the %s backend leaves nothing to tune", options->backend->name);
	m.options.batch = 1;
	m.options.consume = false;
	enum phiz_status status = begin_tuning(ctx, options->backend, *tuning, &new);
	if (!status)
		status = measure(&m, new, out);
	finish(&m);
	if (status) {
		phiz_tuning_free(&new);
		return status;
	}
	phiz_tuning_free(tuning);
	*tuning = new;
	return PHIZ_OK;
}
