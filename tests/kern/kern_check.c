#include "kern/kern.h"

#include <stdio.h>

#include "core/cpu/features.h"
#include "core/ops/rule.h"

enum { THREADS = 3 };

bool kern_runs_here(const struct phiz_kernel *kernel)
{
	return !(kernel->features & ~phiz_cpu_features());
}

enum precision kern_precision(const struct phiz_kernel *kernel)
{
	switch (kernel->dtype) {
	case PHIZ_F64: return PRECISION_F64;
	case PHIZ_F16: return PRECISION_F16;
	case PHIZ_BF16: return PRECISION_BF16;
	case PHIZ_U8: return PRECISION_U8;
	default: return PRECISION_F32;
	}
}

/* What is checked: the kernel, the reference that knows the answer (double; quantised values have one answer only),
 * and a run of the kernel per number of threads. */
struct check {
	const struct phiz_kernel *kernel, *exact;
	const struct op_case *c;
	struct phiz_ctx *ctx, *threaded;
	uint64_t seed;
	struct tolerance_use *use;
	enum precision precision;
	enum op_blocks blocks; /* how the kernel's tensors lie; the exact ones are plain */
};

static const struct phiz_kernel *exact_kernel(const struct phiz_op *op, enum phiz_dtype dtype)
{
	if (dtype == PHIZ_U8)
		return &op->reference_u8;
	return op->reference_f64.forward ? &op->reference_f64 : &op->reference_f32;
}

/* The reference kernel of the run's own dtype; it makes what backward reads. 16 bits have none: the kernel itself. */
static const struct phiz_kernel *own_forward(const struct check *k)
{
	const struct phiz_op *op = k->c->node.op;

	if (k->kernel->dtype == PHIZ_F32)
		return &op->reference_f32;
	return k->kernel->dtype == PHIZ_F64 ? &op->reference_f64 : k->kernel;
}

/* The exact run gets the numbers that the kernel's dtype can hold. */
static void fill(const struct check *k, struct op_run *r)
{
	op_run_fill(r, k->seed);
	op_run_round(r, k->kernel->dtype);
}

static void forward_alone(struct op_run *r, const struct phiz_kernel *kernel)
{
	struct phiz_memory_stats before, after;

	phiz_ctx_memory(r->ctx, &before);
	op_run_forward(r, kernel);
	phiz_ctx_memory(r->ctx, &after);
	if (after.allocations != before.allocations)
		fail_msg("%s allocates", kernel->name);
}

static void backward_alone(struct op_run *r, const struct phiz_kernel *kernel)
{
	struct phiz_memory_stats before, after;

	phiz_ctx_memory(r->ctx, &before);
	op_run_backward(r, kernel);
	phiz_ctx_memory(r->ctx, &after);
	if (after.allocations != before.allocations)
		fail_msg("%s allocates", kernel->name);
}

/* Has forward left the same bytes in both? */
static bool same_forward(const struct op_run *a, const struct op_run *b)
{
	bool same = op_same_bytes(&a->call.out[0], &b->call.out[0]);

	for (int s = 0; s < a->call.n_saved; s++)
		same = same && (!a->call.saved[s].data || op_same_bytes(&a->call.saved[s], &b->call.saved[s]));
	for (int i = 0; i < a->call.n_in; i++)
		if (a->node.op->state_mask >> i & 1u)
			same = same && op_same_bytes(&a->call.in[i], &b->call.in[i]);
	return same;
}

/* The kernel once more, with another context, without saved values, or over its own input. */
enum variant { VARIANT_THREADS, VARIANT_UNSAVED, VARIANT_ALIAS };

static void check_variant(const struct check *k, const struct op_run *want, enum variant variant, const char *text)
{
	struct op_run r;

	op_run_start(&r, variant == VARIANT_THREADS ? k->threaded : k->ctx, k->c, k->kernel->dtype);
	op_run_block(&r, k->blocks);
	fill(k, &r);
	for (int s = 0; variant != VARIANT_THREADS && s < r.call.n_saved; s++)
		r.call.saved[s].data = NULL;
	if (variant == VARIANT_ALIAS)
		r.call.out[0].data = r.call.in[0].data;
	op_run_workspace(&r, k->kernel, false);
	forward_alone(&r, k->kernel);
	if (!same_forward(&r, want))
		fail_msg("%s: %s: forward changes %s", k->kernel->name, k->c->text, text);
	op_run_guards(&r, k->c->text);
	op_run_done(&r);
}

static void check_forward(const struct check *k)
{
	struct op_run r, want;

	op_run_start(&want, k->ctx, k->c, k->exact->dtype);
	fill(k, &want);
	op_run_forward(&want, k->exact);
	op_run_start(&r, k->ctx, k->c, k->kernel->dtype);
	op_run_block(&r, k->blocks);
	fill(k, &r);
	op_run_workspace(&r, k->kernel, false);
	forward_alone(&r, k->kernel);
	op_compare_forward(k->use, k->precision, &r, &want, k->c->text);
	check_variant(k, &r, VARIANT_THREADS, "with the number of threads");
	check_variant(k, &r, VARIANT_UNSAVED, "if nothing is saved");
	if (k->c->node.op->alias_mask & 3u)
		check_variant(k, &r, VARIANT_ALIAS, "if it is written over the input");
	op_run_guards(&r, k->c->text);
	op_run_done(&r);
	op_run_done(&want);
}

/* Values, and gradients in memory that holds something already; then only `want` of them are wanted. */
static void prepare_backward(const struct check *k, struct op_run *r, const struct phiz_kernel *forward, unsigned want,
                             unsigned accumulate, enum op_blocks blocks)
{
	struct phiz_rng rng;

	phiz_rng_init(&rng, k->seed, 2, 0, PHIZ_STREAM_TEST);
	fill(k, r);
	if (forward == k->kernel) /* which may take tensors in its own layout only */
		op_run_block(r, blocks);
	op_run_workspace(r, forward, false);
	op_run_forward(r, forward);
	op_run_block(r, blocks);
	for (int i = 0; i < r->call.n_in; i++) {
		if (r->call.din[i].data)
			op_fill_normal(&r->call.din[i], &rng);
		if (!(want >> i & 1u))
			r->call.din[i].data = NULL;
	}
	op_run_round(r, k->kernel->dtype);
	r->call.accumulate = accumulate;
	op_poison_unread(r, want);
}

static void check_backward(const struct check *k, unsigned want, unsigned accumulate)
{
	struct op_run r[2], exact;

	op_run_start(&exact, k->ctx, k->c, PHIZ_F64);
	prepare_backward(k, &exact, k->exact, want, accumulate, OP_BLOCK_NONE);
	op_run_backward(&exact, k->exact);
	for (int t = 0; t < 2; t++) {
		op_run_start(&r[t], t ? k->threaded : k->ctx, k->c, k->kernel->dtype);
		prepare_backward(k, &r[t], own_forward(k), want, accumulate, k->blocks);
		op_run_workspace(&r[t], k->kernel, true);
		backward_alone(&r[t], k->kernel);
		op_run_guards(&r[t], k->c->text);
	}
	op_compare_backward(k->use, k->precision, &r[0], &exact, k->c->text);
	for (int i = 0; i < exact.call.n_in; i++)
		if (exact.call.din[i].data && !op_same_bytes(&r[0].call.din[i], &r[1].call.din[i]))
			fail_msg("%s: %s: the gradient of %s changes with the number of threads", k->kernel->name, k->c->text,
			         exact.node.op->input_names[i]);
	op_run_done(&r[0]);
	op_run_done(&r[1]);
	op_run_done(&exact);
}

/* got must not be finite where want is not, and (unless it may spread: through sums of products with padding, and over
 * the tiles of Winograd's algorithm) only there. */
static void compare_finite(const struct check *k, const char *what, const struct phiz_tensor *got,
                           const struct phiz_tensor *want, bool spreads)
{
	for (int64_t i = 0; i < phiz_tensor_count(want); i++) {
		double g = op_get(got, i), w = op_get(want, i);

		if (isfinite(g) == isfinite(w) && isnan(g) == isnan(w))
			continue;
		if (!(spreads && !isfinite(g)))
			fail_msg("%s: %s: %s: element %lld is %g, want %g", k->kernel->name, k->c->text, what, (long long)i, g, w);
	}
}

/* One element of the input, or of dout, is `bad`. */
static void check_bad(const struct check *k, double bad, bool backward)
{
	const struct phiz_op *op = k->c->node.op;
	bool products = op == &phiz_op_conv2d || op == &phiz_op_linear || op == &phiz_op_batch_norm;
	struct op_run r[2];

	for (int t = 0; t < 2; t++) {
		const struct phiz_kernel *kernel = t ? k->kernel : k->exact;
		struct phiz_tensor *at;

		op_run_start(&r[t], k->ctx, k->c, t ? k->kernel->dtype : k->exact->dtype);
		if (t && (!backward || own_forward(k) == k->kernel))
			op_run_block(&r[t], k->blocks);
		fill(k, &r[t]);
		at = backward ? &r[t].call.dout[0] : &r[t].call.in[0];
		op_set(at, (int64_t)(k->seed * 7919 % (uint64_t)phiz_tensor_count(at)), bad);
		op_run_workspace(&r[t], backward && t ? own_forward(k) : kernel, false);
		op_run_forward(&r[t], backward && t ? own_forward(k) : kernel);
		if (t && backward)
			op_run_block(&r[t], k->blocks);
		op_run_workspace(&r[t], kernel, backward);
		if (backward)
			op_run_backward(&r[t], kernel);
	}
	if (!backward)
		compare_finite(k, "output", &r[1].call.out[0], &r[0].call.out[0],
		               products && (isinf(bad) || op == &phiz_op_conv2d));
	for (int i = 0; backward && i < r[0].call.n_in; i++)
		if (r[0].call.din[i].data)
			compare_finite(k, op->input_names[i], &r[1].call.din[i], &r[0].call.din[i], products);
	op_run_done(&r[0]);
	op_run_done(&r[1]);
}

static void check_workspace(const struct check *k, bool backward)
{
	struct op_run r, smaller;
	struct op_case c = *k->c;

	for (int i = 0; i < c.node.n_inputs; i++) {
		const struct phiz_shape *first = &k->c->in[0].shape;

		if (!k->kernel->workspace || first->dim[0] < 2 || c.node.op->input_names[i][0] == 'w')
			continue;
		const char *name = c.node.op->input_names[i];
		bool of_samples = strcmp(name, "labels") == 0 || strcmp(name, "share") == 0;
		if ((of_samples || c.in[i].shape.ndim == first->ndim) && c.in[i].shape.dim[0] == first->dim[0])
			c.in[i].shape.dim[0]--;
	}
	if (!k->kernel->workspace || c.node.op == &phiz_op_softmax_cross_entropy)
		return;
	op_run_start(&r, k->ctx, k->c, k->kernel->dtype);
	op_run_block(&r, k->blocks);
	op_run_start(&smaller, k->ctx, &c, k->kernel->dtype);
	op_run_block(&smaller, k->blocks);
	if (k->kernel->workspace(&smaller.call, backward, THREADS) > k->kernel->workspace(&r.call, backward, THREADS))
		fail_msg("%s: %s: the workspace grows if the batch shrinks", k->kernel->name, k->c->text);
	op_run_done(&r);
	op_run_done(&smaller);
}

static void check_directions(const struct check *k, bool forward, bool backward, unsigned want)
{
	if (forward) {
		check_forward(k);
		if (k->kernel->dtype != PHIZ_U8) {
			check_bad(k, (double)NAN, false);
			check_bad(k, (double)INFINITY, false);
		}
		check_workspace(k, false);
	}
	if (backward) {
		struct phiz_rng rng;

		phiz_rng_init(&rng, k->seed, 3, 0, PHIZ_STREAM_TEST);
		check_backward(k, want, 0);
		check_backward(k, phiz_rng_u32(&rng) & want, phiz_rng_u32(&rng));
		check_backward(k, phiz_rng_u32(&rng) & want, phiz_rng_u32(&rng));
		check_bad(k, (double)NAN, true);
		check_workspace(k, true);
	}
}

/* What a kernel made of the parameters beforehand changes nothing. */
static void check_constants(const struct check *k)
{
	struct op_run r[2];

	for (int t = 0; t < 2; t++) {
		op_run_start(&r[t], k->ctx, k->c, k->kernel->dtype);
		op_run_block(&r[t], k->blocks);
		fill(k, &r[t]);
		if (t) {
			void *constants = op_run_memory(&r[t], k->kernel->constants(&r[t].call));
			k->kernel->prepare(&r[t].call, constants);
			r[t].call.constants = constants;
		}
		op_run_workspace(&r[t], k->kernel, false);
		forward_alone(&r[t], k->kernel);
		op_run_guards(&r[t], k->c->text);
	}
	if (!same_forward(&r[0], &r[1]))
		fail_msg("%s: %s: forward changes with constants", k->kernel->name, k->c->text);
	op_run_done(&r[0]);
	op_run_done(&r[1]);
}

static bool check_layout(const struct check *k)
{
	bool fits, forward, backward, is_blocked;
	struct op_run r;
	unsigned want;

	op_run_start(&r, k->ctx, k->c, k->kernel->dtype);
	op_run_block(&r, k->blocks);
	is_blocked = phiz_call_is_blocked(&r.call);
	fits = is_blocked == (k->blocks != OP_BLOCK_NONE) && (!k->kernel->supports || k->kernel->supports(&r.call));
	forward = fits && k->kernel->forward;
	backward = fits && k->kernel->backward && phiz_op_has_backward(&r.node);
	want = op_wanted(&r);
	op_run_done(&r);
	check_directions(k, forward, backward, want);
	if (forward && k->kernel->constants)
		check_constants(k);
	return forward || backward;
}

bool kern_check(const struct phiz_kernel *kernel, const struct op_case *c, uint64_t seed, struct tolerance_use *use)
{
	struct check k = {kernel, exact_kernel(c->node.op, kernel->dtype), c, test_ctx(1), test_ctx(THREADS), seed, use,
	                  kern_precision(kernel), OP_BLOCK_NONE};
	bool any = false;

	for (; k.blocks < (kernel->blocked ? OP_BLOCKS : OP_BLOCK_ALL); k.blocks++)
		any = check_layout(&k) || any;
	test_ctx_done(&k.threaded);
	test_ctx_done(&k.ctx);
	return any;
}
