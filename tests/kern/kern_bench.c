#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/thread.h"
#include "core/cpu/kernels.h"
#include "core/ops/rule.h"

/* ResNet-18 at 224 pixels: training at batch 32, inference at batch 1. */
static const char *const listed[] = {
	"conv2d [32,3,224,224] [64,3,7,7] stride_h=2 stride_w=2 pad_top=3 pad_left=3 pad_bottom=3 pad_right=3",
	"conv2d [32,64,56,56] [64,64,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [32,64,56,56] [128,64,3,3] stride_h=2 stride_w=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [32,64,56,56] [128,64,1,1] stride_h=2 stride_w=2",
	"conv2d [32,128,28,28] [128,128,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [32,256,14,14] [256,256,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [32,512,7,7] [512,512,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [1,64,56,56] [64,64,3,3] [64] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [1,128,28,28] [128,128,3,3] [128] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [1,256,14,14] [256,256,3,3] [256] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [1,512,7,7] [512,512,3,3] [512] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=1",
	"conv2d [32,64,56,56] [64,1,3,3] groups=64 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [1,128,56,56] [128,1,3,3] groups=128 stride_h=2 stride_w=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [1,256,14,14] [256,1,3,3] [256] groups=256 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	"conv2d [1,512,7,7] [512,1,7,7] [512] groups=512",
	"batch_norm [32,64,112,112] [64] [64] [64] [64] act=1 training=1",
	"batch_norm [32,256,14,14] [256] [256] [256] [256] training=1",
	"relu [32,64,112,112]",
	"add [32,64,56,56] [32,64,56,56] act=1",
	"max_pool2d [32,64,112,112] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1",
	"global_avg_pool [32,512,7,7]",
	"linear [32,512] [1000,512] [1000]",
	"softmax_cross_entropy [32,1000] i32[32] smoothing=0.1",
};

enum { MAX_RUNS = 200 };
static const double seconds_each = 0.3;

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median time of one call. */
static double time_call(struct op_run *r, const struct phiz_kernel *kernel, bool backward)
{
	phiz_kernel_fn fn = backward ? kernel->backward : kernel->forward;
	double times[MAX_RUNS], start = phiz_time();
	int n = 0;

	if (fn(&r->call) != PHIZ_OK) /* warms up */
		return (double)NAN;
	while (n < MAX_RUNS && (n < 3 || phiz_time() - start < seconds_each)) {
		double begin = phiz_time();

		fn(&r->call);
		times[n++] = phiz_time() - begin;
	}
	qsort(times, (size_t)n, sizeof(times[0]), by_value);
	return times[n / 2];
}

static void bench_kernel(struct phiz_ctx *ctx, const struct op_case *c, const struct phiz_kernel *kernel)
{
	struct phiz_cost cost = {0};
	struct phiz_type out;
	struct op_run r;

	op_run_start(&r, ctx, c, kernel->dtype);
	op_run_fill(&r, 1);
	out.dtype = r.call.out[0].dtype;
	out.shape = r.call.out[0].shape;
	c->node.op->cost(&r.node, c->in, &out, &cost);
	for (int backward = 0; backward < 2; backward++) {
		double flops = backward ? cost.backward_flops : cost.forward_flops, seconds;
		double bytes = backward ? cost.backward_bytes : cost.forward_bytes;

		if (!(backward ? kernel->backward : kernel->forward) || (backward && !phiz_op_has_backward(&r.node)) ||
		    (kernel->supports && !kernel->supports(&r.call)))
			continue;
		op_run_workspace(&r, kernel, backward);
		seconds = time_call(&r, kernel, backward);
		printf("  %-9s %-32s %10.3f ms %8.1f GFLOP/s %7.1f GB/s\n", backward ? "backward" : "forward", kernel->name,
		       seconds * 1e3, flops / seconds * 1e-9, bytes / seconds * 1e-9);
		fflush(stdout);
	}
	op_run_done(&r);
}

/* The reference conv2d would take seconds for each run of the listed cases. */
static bool is_small(const struct op_case *c)
{
	return c->node.op != &phiz_op_conv2d || phiz_cost_count(&c->in[0]) * phiz_cost_count(&c->in[1]) < 5e9;
}

static void bench_case(struct phiz_ctx *ctx, const char *text)
{
	struct op_case c;

	op_case_parse(&c, text);
	printf("%s\n", text);
	for (int i = 0; i < phiz_cpu_kernel_count(); i++) {
		const struct phiz_kernel *kernel = phiz_cpu_kernel_at(i);

		if (strcmp(kernel->op, c.node.op->name) == 0 && kern_runs_here(kernel))
			bench_kernel(ctx, &c, kernel);
	}
	if (is_small(&c))
		bench_kernel(ctx, &c, &c.node.op->reference_f32);
}

static bool is_case(const char *word)
{
	return strchr(word, '[') != NULL;
}

static bool chosen(const char *text, int n_words, char **words)
{
	for (int i = 0; i < n_words; i++)
		if (!is_case(words[i]) && strstr(text, words[i]))
			return true;
	return n_words == 0;
}

int kern_bench(int n_words, char **words)
{
	int threads = 0;
	struct phiz_ctx *ctx;

	if (n_words >= 2 && strcmp(words[0], "--threads") == 0) {
		threads = (int)strtol(words[1], NULL, 10);
		n_words -= 2;
		words += 2;
	}
	ctx = test_ctx(threads);
	printf("%d threads\n", phiz_ctx_threads(ctx));
	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		if (chosen(listed[i], n_words, words))
			bench_case(ctx, listed[i]);
	for (int i = 0; i < n_words; i++)
		if (is_case(words[i]))
			bench_case(ctx, words[i]);
	test_ctx_done(&ctx);
	return 0;
}
