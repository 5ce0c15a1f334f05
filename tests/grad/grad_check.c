#include "grad/grad.h"

#include <stdio.h>

#include "support/op_check.h"

/* One program, one thread: what the checks of the op at hand used. */
static struct tolerance_use use_difference, use_reference;

static const struct phiz_kernel *kernel_of(const struct op_run *r)
{
	return r->real == PHIZ_F64 ? &r->node.op->reference_f64 : &r->node.op->reference_f32;
}

/* sum of dout * out. */
static double objective(const struct op_run *r)
{
	double sum = 0;

	for (int o = 0; o < r->call.n_out; o++)
		for (int64_t i = 0; i < phiz_tensor_count(&r->call.out[o]); i++)
			sum += op_get(&r->call.dout[o], i) * op_get(&r->call.out[o], i);
	return sum;
}

/* What forward moves (running statistics, centres), as it was before. */
static void restore_state(struct op_run *r, const struct phiz_tensor *state)
{
	for (int i = 0; i < r->call.n_in; i++)
		if (state[i].data)
			memcpy(r->call.in[i].data, state[i].data, phiz_tensor_bytes(&state[i]));
}

static double objective_from(struct op_run *r, const struct phiz_tensor *state)
{
	restore_state(r, state);
	op_run_forward(r, kernel_of(r));
	return objective(r);
}

/* din[input] by central differences. */
static void differences(struct op_run *r, int input, const struct phiz_tensor *state, const struct phiz_tensor *out)
{
	const struct phiz_tensor *x = &r->call.in[input];
	const double h = 1e-5;

	for (int64_t i = 0; i < phiz_tensor_count(x); i++) {
		double v = op_get(x, i), above, below;

		op_set(x, i, v + h);
		above = objective_from(r, state);
		op_set(x, i, v - h);
		below = objective_from(r, state);
		op_set(x, i, v);
		op_set(out, i, (above - below) / (2 * h));
	}
}

static void check_differences(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed)
{
	struct op_run r;
	unsigned want;
	char what[500];
	struct phiz_tensor state[PHIZ_MAX_INPUTS] = {{0}};

	op_run_start(&r, ctx, c, PHIZ_F64);
	op_run_fill(&r, seed);
	for (int i = 0; i < r.call.n_in; i++)
		if (r.node.op->state_mask >> i & 1u)
			state[i] = op_copy(&r, &r.call.in[i]);
	want = op_wanted(&r);
	op_run_forward(&r, kernel_of(&r));
	op_run_backward(&r, kernel_of(&r));
	for (int i = 0; i < r.call.n_in; i++)
		if (want >> i & 1u) {
			struct phiz_tensor numeric = op_copy(&r, &r.call.din[i]);

			differences(&r, i, state, &numeric);
			snprintf(what, sizeof(what), "%s: gradient of %s", c->text, r.node.op->input_names[i]);
			tolerance_check(&use_difference, r.node.op, PRECISION_DIFFERENCE, what, &r.call.din[i], &numeric);
		}
	op_run_guards(&r, c->text);
	op_run_done(&r);
}

/* Backward for `want` alone, unread memory poisoned; gradients that are not wanted have no memory. */
static void backward_subset(struct op_run *r, uint64_t seed, unsigned want, const struct phiz_tensor *full,
                            const char *text)
{
	struct phiz_tensor din[PHIZ_MAX_INPUTS];

	op_run_fill(r, seed);
	op_run_forward(r, kernel_of(r));
	op_poison_unread(r, want);
	memcpy(din, r->call.din, sizeof(din));
	for (int i = 0; i < r->call.n_in; i++)
		if (!(want >> i & 1u))
			r->call.din[i].data = NULL;
		else
			op_poison(&r->call.din[i]);
	op_run_backward(r, kernel_of(r));
	for (int i = 0; i < r->call.n_in; i++)
		if (want >> i & 1u && !op_same_bytes(&din[i], &full[i]))
			fail_msg("%s: gradient of %s changes if only %#x are wanted and what is not read is NaN", text,
			         r->node.op->input_names[i], want);
	memcpy(r->call.din, din, sizeof(din));
}

/* backward on top of `base`, bit by bit of accumulate. */
static void check_accumulate(struct op_run *r, uint64_t seed, const struct phiz_tensor *full, const char *text)
{
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 1, 0, PHIZ_STREAM_TEST);
	for (unsigned add = 1; add < 4; add++) {
		struct phiz_tensor base[PHIZ_MAX_INPUTS] = {{0}};

		r->call.accumulate = add == 3 ? 0xFFFF : add == 1 ? 0x5555 : 0xAAAA;
		for (int i = 0; i < r->call.n_in; i++)
			if (r->call.din[i].data) {
				op_fill_normal(&r->call.din[i], &rng);
				base[i] = op_copy(r, &r->call.din[i]);
			}
		op_run_fill(r, seed);
		op_run_forward(r, kernel_of(r));
		op_run_backward(r, kernel_of(r));
		for (int i = 0; i < r->call.n_in; i++)
			for (int64_t k = 0; base[i].data && k < phiz_tensor_count(&base[i]); k++) {
				double start = r->call.accumulate >> i & 1u ? op_get(&base[i], k) : 0;
				double got = op_get(&r->call.din[i], k), want = start + op_get(&full[i], k);

				if (fabs(got - want) > 1e-12 * (1 + fabs(start) + fabs(want)))
					fail_msg("%s: accumulate %#x: gradient of %s: want %g + %g, got %g", text, r->call.accumulate,
					         r->node.op->input_names[i], start, op_get(&full[i], k), got);
			}
	}
	r->call.accumulate = 0;
}

static void check_no_dout(struct op_run *r, const char *text)
{
	struct phiz_tensor before[PHIZ_MAX_INPUTS] = {{0}};
	void *dout = r->call.dout[0].data;

	for (int i = 0; i < r->call.n_in; i++)
		if (r->call.din[i].data)
			before[i] = op_copy(r, &r->call.din[i]);
	r->call.dout[0].data = NULL;
	op_run_backward(r, kernel_of(r));
	r->call.dout[0].data = dout;
	for (int i = 0; i < r->call.n_in; i++)
		if (before[i].data && !op_same_bytes(&before[i], &r->call.din[i]))
			fail_msg("%s: without dout, the gradient of %s was touched", text, r->node.op->input_names[i]);
}

static void check_promises(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed)
{
	struct phiz_tensor full[PHIZ_MAX_INPUTS] = {{0}};
	struct phiz_memory_stats before, after;
	struct op_run r;
	unsigned want;

	op_run_start(&r, ctx, c, PHIZ_F64);
	op_run_fill(&r, seed);
	want = op_wanted(&r);
	phiz_ctx_memory(ctx, &before);
	op_run_forward(&r, kernel_of(&r));
	op_run_backward(&r, kernel_of(&r));
	phiz_ctx_memory(ctx, &after);
	assert_true(after.allocations == before.allocations);
	for (int i = 0; i < r.call.n_in; i++)
		if (want >> i & 1u)
			full[i] = op_copy(&r, &r.call.din[i]);
	for (unsigned subset = 1; subset <= want; subset++)
		if ((subset & want) == subset)
			backward_subset(&r, seed, subset, full, c->text);
	check_accumulate(&r, seed, full, c->text);
	check_no_dout(&r, c->text);
	op_run_guards(&r, c->text);
	op_run_done(&r);
}

static void check_float(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed)
{
	struct op_run r[2];

	for (int i = 0; i < 2; i++) {
		op_run_start(&r[i], ctx, c, i ? PHIZ_F64 : PHIZ_F32);
		op_run_fill(&r[i], seed);
		op_run_forward(&r[i], kernel_of(&r[i]));
		op_run_backward(&r[i], kernel_of(&r[i]));
		op_run_guards(&r[i], c->text);
	}
	op_compare_forward(&use_reference, PRECISION_REFERENCE, &r[0], &r[1], c->text);
	op_compare_backward(&use_reference, PRECISION_REFERENCE, &r[0], &r[1], c->text);
	op_run_done(&r[0]);
	op_run_done(&r[1]);
}

/* Forward without memory for what is saved, and over its own input. */
static void check_forward(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed)
{
	struct phiz_tensor want;
	struct op_run r;

	op_run_start(&r, ctx, c, PHIZ_F32);
	op_run_fill(&r, seed);
	op_run_forward(&r, kernel_of(&r));
	want = op_copy(&r, &r.call.out[0]);
	for (int s = 0; s < r.call.n_saved; s++)
		r.call.saved[s].data = NULL;
	op_run_fill(&r, seed);
	op_poison(&r.call.out[0]);
	op_run_forward(&r, kernel_of(&r));
	if (!op_same_bytes(&want, &r.call.out[0]))
		fail_msg("%s: the output changes if nothing is saved", c->text);
	op_run_fill(&r, seed);
	if (r.node.op->alias_mask & 3u)
		r.call.out[0].data = r.call.in[0].data;
	op_run_forward(&r, kernel_of(&r));
	if (!op_same_bytes(&want, &r.call.out[0]))
		fail_msg("%s: the output changes if it is written over the input", c->text);
	op_run_guards(&r, c->text);
	op_run_done(&r);
}

void grad_check(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed)
{
	check_differences(ctx, c, seed);
	check_promises(ctx, c, seed);
	check_float(ctx, c, seed);
	check_forward(ctx, c, seed);
}

void grad_case(struct op_case *c)
{
	struct phiz_ctx *ctx = test_ctx(1);

	op_case_describe(c);
	grad_check(ctx, c, 99);
	test_ctx_done(&ctx);
}

void grad_draws(const struct phiz_op *op, int count)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;
	struct op_case c;

	phiz_rng_init(&rng, 7, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < count; i++) {
		op_draw(&c, op, &rng, 3, true);
		grad_check(ctx, &c, (uint64_t)i);
	}
	test_ctx_done(&ctx);
}

void grad_report(const struct phiz_op *op)
{
	tolerance_print(&use_difference, op, PRECISION_DIFFERENCE);
	tolerance_print(&use_reference, op, PRECISION_REFERENCE);
	memset(&use_difference, 0, sizeof(use_difference));
	memset(&use_reference, 0, sizeof(use_reference));
}
