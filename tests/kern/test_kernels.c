/* Every kernel of the CPU's table that this processor can run, and the float reference kernels, which run where
 * there is no other, against the double ones: odd sizes, guard bytes, NaN and Inf, threads. With --bench it times
 * them instead. */
#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/plan.h>

#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/rule.h"

/* Many small cases, where the edges are, and a few large ones, where blocks and threads come in. */
static const struct {
	int scale, count;
} draws[] = {{2, 30}, {5, 30}, {9, 16}, {20, 4}};

static void check_kernel(const struct phiz_kernel *kernel, const struct phiz_op *op)
{
	struct tolerance_use use = {0};
	struct phiz_rng rng;
	struct op_case c;
	int checked = 0;

	phiz_rng_init(&rng, 21, 0, 0, PHIZ_STREAM_TEST);
	for (size_t d = 0; d < sizeof(draws) / sizeof(draws[0]); d++)
		for (int i = 0; i < draws[d].count; i++) {
			if (kernel->blocked && i % 3)
				op_draw_wide(&c, op, &rng, draws[d].scale, i % 2 == 0, kernel->dtype);
			else
				op_draw(&c, op, &rng, draws[d].scale, i % 2 == 0);
			if (phiz_dtype_size(kernel->dtype) == 2)
				c.wide = (enum op_wide)(i / 4 % OP_WIDES);
			bool fits = kern_check(kernel, &c, (uint64_t)i, &use);
			if (!fits && c.wide) {
				c.wide = OP_WIDE_NONE;
				fits = kern_check(kernel, &c, (uint64_t)i, &use);
			}
			checked += fits;
		}
	print_message("           %s: %d cases\n", kernel->name, checked);
	tolerance_print(&use, op, kern_precision(kernel));
	if (!checked)
		fail_msg("%s: no case fits it: draw some in tests/support/op_draw.c", kernel->name);
}

static void check_op(const struct phiz_op *op)
{
	if (op->reference_f64.forward) /* else there is nothing that would know better */
		check_kernel(&op->reference_f32, op);
	for (int i = 0; i < phiz_cpu_kernel_count(); i++) {
		const struct phiz_kernel *kernel = phiz_cpu_kernel_at(i);

		if (strcmp(kernel->op, op->name) != 0)
			continue;
		if (kern_runs_here(kernel))
			check_kernel(kernel, op);
		else
			print_message("           %s: not on this processor\n", kernel->name);
	}
}

#define PHIZ_OP(name)                         \
	static void kern_##name(void **state) \
	{                                     \
		(void)state;                  \
		check_op(&phiz_op_##name);    \
	}
#include "core/ops/ops.def"
#undef PHIZ_OP

/* Kernels that read wide rows where they lie have an inner loop for each number of filters and of vectors. */
static void wide_rows(void **state)
{
	struct tolerance_use use = {0};
	struct op_case c;
	char text[100];
	int checked = 0;

	(void)state;
	for (int i = 0; i < phiz_cpu_kernel_count(); i++) {
		const struct phiz_kernel *kernel = phiz_cpu_kernel_at(i);

		if (strncmp(kernel->name, "direct_rows.", 12) != 0 || !kern_runs_here(kernel))
			continue;
		for (int k = 1; k <= 17; k++)
			for (int q = 20; q <= 70; q += 14) {
				snprintf(text, sizeof text, "conv2d [2,3,4,%d] [%d,3,2,3] [%d] act=%d act_slope=0.25", q + 2, k, k,
				         k % 3);
				op_case_parse(&c, text);
				op_case_describe(&c);
				if (!kern_check(kernel, &c, (uint64_t)k, &use))
					fail_msg("%s does not take %s", kernel->name, text);
				checked++;
			}
	}
	print_message("           %d cases\n", checked);
}

/* Whatever PHIZ_CPU says, each op finds a kernel, and none that needs more than was allowed. */
static void finds_kernels(void **state)
{
	static const struct {
		const char *word;
		unsigned features;
	} cpus[] = {{"reference", 0}, {"sse2", 0}, {"avx2", PHIZ_CPU_AVX2}, {"avx512", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512},
	            {"vnni", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI},
	            {"avx512bf16", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI | PHIZ_CPU_AVX512_BF16},
	            {"neon", PHIZ_CPU_NEON}};
	struct phiz_ctx *ctx = test_ctx(1);
	const char *before = getenv("PHIZ_CPU");
	struct phiz_rng rng;
	struct op_case c;
	struct op_run r;

	(void)state;
	phiz_rng_init(&rng, 22, 0, 0, PHIZ_STREAM_TEST);
	for (size_t cpu = 0; cpu < sizeof(cpus) / sizeof(cpus[0]); cpu++)
		for (int i = 0; i < 2 * phiz_op_count(); i++) {
			const struct phiz_op *op = phiz_op_at(i / 2);
			const struct phiz_kernel *kernel;

			setenv("PHIZ_CPU", cpus[cpu].word, 1);
			op_draw(&c, op, &rng, 5, true);
			op_run_start(&r, ctx, &c, PHIZ_F32);
			enum phiz_dtype dtype = r.call.in[0].dtype;
			kernel = phiz_backend_cpu()->find(ctx, &r.call, dtype, i % 2);
			if (i % 2 && !phiz_op_has_backward(&r.node))
				assert_null(kernel);
			else if (!kernel || strcmp(kernel->op, op->name) != 0 || kernel->features & ~cpus[cpu].features ||
			    !(i % 2 ? kernel->backward : kernel->forward) || (cpu == 0 && kernel != phiz_op_reference(op, dtype)))
				fail_msg("PHIZ_CPU=%s: %s: got %s", cpus[cpu].word, c.text, kernel ? kernel->name : "no kernel");
			op_run_done(&r);
		}
	if (before)
		setenv("PHIZ_CPU", before, 1);
	else
		unsetenv("PHIZ_CPU");
	test_ctx_done(&ctx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define PHIZ_OP(name) cmocka_unit_test(kern_##name),
#include "core/ops/ops.def"
#undef PHIZ_OP
		cmocka_unit_test(wide_rows),
		cmocka_unit_test(finds_kernels),
	};

	if (argc > 1 && strcmp(argv[1], "--bench") == 0)
		return kern_bench(argc - 2, argv + 2);
	if (argc > 1) /* one test, such as kern_conv2d */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("kern", tests, NULL, NULL);
}
