#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/parse.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/cpu/peak.h"
#include "core/graph/graph.h"
#include "core/ops/rule.h"
#include "kern/kern_cases.h"

enum { MAX_RUNS = 200, TEXT = 512 };

struct bench {
	struct phiz_ctx *ctx;
	struct phiz_cpu_choice cpu;
	struct phiz_peak peak;
	int64_t threads, batch;
	double seconds; /* for each kernel and pass */
	bool all, json;
	bool blocked[2]; /* of the case at hand: a plan would lay its tensors blocked, forward and backward */
};

enum pass { FORWARD, DATA_GRADIENT, WEIGHT_GRADIENT, BACKWARD, PASSES };
static const char *const pass_name[PASSES] = {"forward", "data gradient", "weight gradient", "backward"};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median time of one call. */
static double time_call(struct op_run *r, const struct phiz_kernel *kernel, bool backward, double seconds)
{
	phiz_kernel_fn fn = backward ? kernel->backward : kernel->forward;
	double times[MAX_RUNS], start;
	int n = 0;

	if (fn(&r->call) != PHIZ_OK) /* warms up */
		return (double)NAN;
	start = phiz_time();
	while (n < MAX_RUNS && (n < 3 || phiz_time() - start < seconds)) {
		double begin = phiz_time();

		fn(&r->call);
		times[n++] = phiz_time() - begin;
	}
	qsort(times, (size_t)n, sizeof(times[0]), by_value);
	return times[n / 2];
}

static void report(const struct bench *b, const char *group, const struct op_case *c, const struct op_run *r,
                   const struct phiz_kernel *kernel, enum pass pass, double seconds, double flops, double bytes)
{
	const char *layout = phiz_call_is_blocked(&r->call) ? "blocked" : "plain";
	bool memory;
	double share = phiz_peak_share(&b->peak, flops, bytes, seconds, &memory);
	const char *bound = memory ? "memory" : "compute";

	if (b->json)
		printf("{\"group\":\"%s\",\"case\":\"%s\",\"kernel\":\"%s\",\"layout\":\"%s\",\"pass\":\"%s\","
		       "\"threads\":%d,\"ms\":%.5f,"
		       "\"gflops\":%.3f,\"gbps\":%.3f,\"peak_gflops\":%.2f,\"peak_gbps\":%.2f,\"peak_share\":%.5f,"
		       "\"bound\":\"%s\"}\n",
		       group, c->text, kernel->name, layout, pass_name[pass], b->peak.threads, seconds * 1e3,
		       flops / seconds * 1e-9, bytes / seconds * 1e-9, b->peak.gflops, b->peak.gbps, share, bound);
	else
		printf("  %-15s %-24s %-7s %10.3f ms %8.1f GFLOP/s %7.1f GB/s %6.1f %% of peak (%s)\n", pass_name[pass],
		       kernel->name, layout, seconds * 1e3, flops / seconds * 1e-9, bytes / seconds * 1e-9, 100 * share, bound);
	fflush(stdout);
}

/* The gradients of a pass; 0: the pass says nothing that another does not say. */
static unsigned pass_gradients(enum pass pass, const struct op_run *r)
{
	unsigned can = op_wanted(r);
	const struct phiz_op *op = r->node.op;
	bool split = (can & 1u) && (can & ~1u) && op->max_inputs > 1 && !strcmp(op->input_names[1], "weight");

	switch (pass) {
	case DATA_GRADIENT: return split ? can & 1u : 0;
	case WEIGHT_GRADIENT: return split ? can & ~1u : 0;
	case BACKWARD: return can;
	default: return 0;
	}
}

static bool fits(const struct op_run *r, const struct phiz_kernel *kernel, bool backward)
{
	return (backward ? kernel->backward : kernel->forward) && (!backward || phiz_op_has_backward(&r->node)) &&
	       (kernel->blocked || !phiz_call_is_blocked(&r->call)) && (!kernel->supports || kernel->supports(&r->call));
}

/* Is there a fast kernel for the call as it lies? */
static bool has_fast(const struct bench *b, const struct op_run *r, bool backward)
{
	const enum phiz_dtype dtype = r->call.in[0].dtype;
	const struct phiz_kernel *found = phiz_backend_cpu()->find(b->ctx, &r->call, dtype, backward);
	return found && found != phiz_op_reference(r->node.op, dtype);
}

/* The kernel that a plan would take, which lays tensors blocked where there is a kernel for it, or all that the
 * processor has and PHIZ_CPU allows, plain and blocked. */
static bool wanted(const struct bench *b, const struct op_run *r, const struct phiz_kernel *kernel, bool backward)
{
	bool blocked = phiz_call_is_blocked(&r->call);

	if (!fits(r, kernel, backward))
		return false;
	if (b->all)
		return true;
	return blocked == b->blocked[backward] &&
	       phiz_backend_cpu()->find(b->ctx, &r->call, kernel->dtype, backward) == kernel;
}

/* What a session makes of its parameters once and for all; training has none of it, nor has a backward. */
static void prepare_constants(struct op_run *r, const struct phiz_kernel *kernel, enum pass pass)
{
	r->call.constants = NULL;
	if (pass == FORWARD && kernel->constants && kernel->constants(&r->call)) {
		void *constants = op_run_memory(r, kernel->constants(&r->call));

		kernel->prepare(&r->call, constants);
		r->call.constants = constants;
	}
}

static void bench_pass(const struct bench *b, const char *group, const struct op_case *c, struct op_run *r,
                       const struct phiz_kernel *kernel, enum pass pass)
{
	struct phiz_type out[PHIZ_MAX_OUTPUTS];
	unsigned want = pass_gradients(pass, r);
	void *kept[PHIZ_MAX_INPUTS];
	double flops, bytes;

	if ((pass != FORWARD && !want) || !wanted(b, r, kernel, pass != FORWARD))
		return;
	for (int o = 0; o < r->call.n_out; o++) {
		out[o].dtype = r->call.out[o].dtype;
		out[o].shape = r->call.out[o].shape;
	}
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++) {
		kept[i] = r->call.din[i].data;
		if (pass != FORWARD && !(want >> i & 1u))
			r->call.din[i].data = NULL;
	}
	phiz_node_cost(&r->node, c->in, out, pass != FORWARD, want, &flops, &bytes);
	op_run_workspace(r, kernel, pass != FORWARD);
	prepare_constants(r, kernel, pass);
	report(b, group, c, r, kernel, pass, time_call(r, kernel, pass != FORWARD, b->seconds), flops, bytes);
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++)
		r->call.din[i].data = kept[i];
}

static void bench_kernel(const struct bench *b, const char *group, const struct op_case *c, enum op_blocks blocks,
                         const struct phiz_kernel *kernel)
{
	struct op_run r;

	op_run_start(&r, b->ctx, c, kernel->dtype);
	op_run_fill(&r, 1);
	op_run_block(&r, blocks);
	for (int pass = FORWARD; pass < PASSES; pass++)
		bench_pass(b, group, c, &r, kernel, (enum pass)pass);
	op_run_done(&r);
}

/* The reference conv2d would take seconds for each run of the listed cases. */
static bool is_small(const struct op_case *c)
{
	return (c->node.op != &phiz_op_conv2d && c->node.op != &phiz_op_quantized_conv2d) ||
	       phiz_cost_count(&c->in[0]) * phiz_cost_count(&c->in[1]) < 5e9;
}

/* N as a dim becomes the batch. */
static void with_batch(const char *text, int64_t batch, char out[TEXT])
{
	size_t used = 0;

	for (; *text && used + 24 < TEXT; text++) {
		if (*text == 'N' && text[-1] == '[')
			used += (size_t)snprintf(out + used, TEXT - used, "%lld", (long long)batch);
		else
			out[used++] = *text;
	}
	out[used] = 0;
}

/* Finds out how a plan would lay the case's tensors; returns whether they can lie blocked at all. */
static bool find_layout(struct bench *b, const struct op_case *c)
{
	struct op_run r;
	bool can;

	op_run_start(&r, b->ctx, c, PHIZ_F32);
	op_run_fill(&r, 1);
	op_run_block(&r, OP_BLOCK_ALL);
	can = phiz_call_is_blocked(&r.call);
	for (int backward = 0; backward < 2; backward++)
		b->blocked[backward] = can && has_fast(b, &r, backward);
	op_run_done(&r);
	return can;
}

static void bench_case(struct bench *b, const char *group, const char *pattern)
{
	struct op_case c;
	char text[TEXT];
	bool can_block;

	with_batch(pattern, b->batch, text);
	op_case_parse(&c, text);
	if (!b->json)
		printf("%s\n", text);
	can_block = find_layout(b, &c);
	for (int i = b->cpu.reference_only ? phiz_cpu_kernel_count() : 0; i < phiz_cpu_kernel_count(); i++) {
		const struct phiz_kernel *kernel = phiz_cpu_kernel_at(i);

		if (strcmp(kernel->op, c.node.op->name) != 0 || kernel->features & ~b->cpu.features)
			continue;
		bench_kernel(b, group, &c, OP_BLOCK_NONE, kernel);
		if (can_block && kernel->blocked)
			bench_kernel(b, group, &c, OP_BLOCK_ALL, kernel);
	}
	if (is_small(&c) || !b->all)
		bench_kernel(b, group, &c, OP_BLOCK_NONE, phiz_op_reference(c.node.op, c.in[0].dtype));
}

static bool is_case(const char *word)
{
	return strchr(word, '[') != NULL;
}

static bool is_group(const char *word)
{
	for (size_t i = 0; i < sizeof(kern_cases) / sizeof(kern_cases[0]); i++)
		if (!strcmp(kern_cases[i].group, word))
			return true;
	return false;
}

/* A word is a group's name or part of a case's text; none: all. */
static bool chosen(size_t i, int n_words, char **words)
{
	for (int w = 0; w < n_words; w++)
		if (is_group(words[w]) ? !strcmp(kern_cases[i].group, words[w])
		                       : !is_case(words[w]) && strstr(kern_cases[i].text, words[w]))
			return true;
	return n_words == 0;
}

static bool read_option(struct bench *b, const char *name, const char *value)
{
	if (!strcmp(name, "--threads"))
		return value && !phiz_parse_i64(b->ctx, value, 1, 1024, &b->threads);
	if (!strcmp(name, "--batch"))
		return value && !phiz_parse_i64(b->ctx, value, 1, 4096, &b->batch);
	return !strcmp(name, "--seconds") && value && !phiz_parse_f64(b->ctx, value, 0.001, 3600, &b->seconds);
}

/* Takes the options out of the words; how many words are left, or -1 where one is wrong. */
static int read_options(struct bench *b, int n, char **word)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		if (word[i][0] != '-')
			word[left++] = word[i];
		else if (!strcmp(word[i], "--json"))
			b->json = true;
		else if (!strcmp(word[i], "--all"))
			b->all = true;
		else if (read_option(b, word[i], i + 1 < n ? word[i + 1] : NULL))
			i++;
		else
			return -1;
	}
	return left;
}

int kern_bench(int n_words, char **words)
{
	struct bench b = {.batch = 1, .seconds = 0.3};
	bool any = false;

	b.ctx = test_ctx(1); /* for reading options */
	n_words = read_options(&b, n_words, words);
	test_ctx_done(&b.ctx);
	if (n_words < 0) {
		fprintf(stderr, "usage: kern_kernels --bench [--threads N] [--batch N] [--seconds S] [--all] [--json] "
		                "[GROUP | WORD | CASE]...\n");
		return 2;
	}
	b.ctx = test_ctx((int)b.threads);
	if (phiz_cpu_choose(b.ctx, &b.cpu) || phiz_peak_measure(b.ctx, PHIZ_F32, &b.peak)) {
		fprintf(stderr, "kern_kernels: %s\n", phiz_ctx_message(b.ctx));
		test_ctx_done(&b.ctx);
		return 1;
	}
	if (!b.json)
		printf("%d threads, batch %lld; at most %.1f GFLOP/s fp32 with %s, %.1f GB/s memory read\n", b.peak.threads,
		       (long long)b.batch, b.peak.gflops, b.peak.instructions, b.peak.gbps);
	for (size_t i = 0; i < sizeof(kern_cases) / sizeof(kern_cases[0]); i++)
		if (chosen(i, n_words, words)) {
			any = true;
			bench_case(&b, kern_cases[i].group, kern_cases[i].text);
		}
	for (int i = 0; i < n_words; i++)
		if (is_case(words[i])) {
			any = true;
			bench_case(&b, "", words[i]);
		}
	test_ctx_done(&b.ctx);
	if (!any)
		fprintf(stderr, "kern_kernels: no case and no group is called so\n");
	return any ? 0 : 2;
}
