/* The loops that the machine's peak is measured with: each does the multiply-adds that it says; and the arithmetic of
 * the share. What a machine gives is not tested: it is what it is. */
#include "support/support.h"

#include "core/cpu/features.h"
#include "core/cpu/peak.h"

static const struct {
	const char *name;
	unsigned features;
	phiz_peak_fn run;
	int width;       /* floats of a register */
	bool adds_to_it; /* x + factor * term; else x * factor + term */
} loops[] = {
	{"plain", 0, phiz_peak_plain, 4, false},
#if defined(__x86_64__)
	{"avx2", PHIZ_CPU_AVX2, phiz_peak_avx2, 8, false},
	{"avx512", PHIZ_CPU_AVX512, phiz_peak_avx512, 16, false},
#elif defined(__aarch64__)
	{"neon", PHIZ_CPU_NEON, phiz_peak_neon, 4, true},
#endif
};

static void every_round_is_computed(void **state)
{
	(void)state;
	static const int64_t rounds[] = {0, 1, 2, 7, 100};
	const float factor = 0.875f, term = 0.25f;
	float start[PHIZ_PEAK_FLOATS];

	for (int i = 0; i < PHIZ_PEAK_FLOATS; i++)
		start[i] = (float)(i * 37 % PHIZ_PEAK_FLOATS) / 16;
	for (size_t k = 0; k < sizeof loops / sizeof loops[0]; k++) {
		if ((phiz_cpu_features() & loops[k].features) != loops[k].features)
			continue;
		for (size_t r = 0; r < sizeof rounds / sizeof rounds[0]; r++) {
			double want = 0;
			int flops = 0;
			for (int i = 0; i < 12 * loops[k].width; i++) {
				double x = (double)start[i];
				for (int64_t n = 0; n < rounds[r]; n++)
					x = loops[k].adds_to_it ? x + (double)factor * (double)term : x * (double)factor + (double)term;
				want += x;
			}
			double got = (double)loops[k].run(start, factor, term, rounds[r], &flops);
			if (fabs(got - want) > 1e-5 * want)
				fail_msg("%s, %d rounds: %g, want %g", loops[k].name, (int)rounds[r], got, want);
			assert_int_equal(flops, 12 * loops[k].width * 2);
		}
	}
}

static void share_is_of_what_bounds_it(void **state)
{
	(void)state;
	const struct phiz_peak peak = {"avx2", 2, 100, 10};
	bool memory = true;

	/* 1 GFLOP takes 10 ms, 1 GB takes 100 ms. */
	assert_true(fabs(phiz_peak_share(&peak, 1e9, 0, 0.02, &memory) - 0.5) < 1e-12 && !memory);
	assert_true(fabs(phiz_peak_share(&peak, 1e9, 1e9, 0.2, &memory) - 0.5) < 1e-12 && memory);
	assert_true(fabs(phiz_peak_share(&peak, 1e9, 5e7, 0.01, &memory) - 1) < 1e-12 && !memory);
	assert_true(phiz_peak_share(&peak, 1e9, 1e9, 0, NULL) == 0);
	assert_true(phiz_peak_share(&peak, 0, 0, 1, NULL) == 0);
}

static void measures_and_gives_everything_back(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_peak peak;

	assert_ok(ctx, phiz_peak_measure(ctx, PHIZ_F32, &peak));
	assert_true(peak.gflops > 0 && peak.gbps > 0 && peak.threads == 2);
	print_message("%s, 2 threads: %.1f GFLOP/s, %.1f GB/s\n", peak.instructions, peak.gflops, peak.gbps);
	test_ctx_done(&ctx);

	/* With little memory it measures in little; with less it says so. */
	struct phiz_ctx_options o = {.threads = 1, .memory_limit = 40u << 20};
	assert_int_equal(phiz_ctx_create(&o, &ctx), PHIZ_OK);
	assert_ok(ctx, phiz_peak_measure(ctx, PHIZ_F32, &peak));
	phiz_ctx_free(&ctx);
	o.memory_limit = 4u << 20;
	assert_int_equal(phiz_ctx_create(&o, &ctx), PHIZ_OK);
	assert_fails(ctx, PHIZ_E_NOMEM, phiz_peak_measure(ctx, PHIZ_F32, &peak));
	phiz_ctx_free(&ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_round_is_computed),
		cmocka_unit_test(share_is_of_what_bounds_it),
		cmocka_unit_test(measures_and_gives_everything_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
