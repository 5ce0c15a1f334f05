/* Search: each instruction set against double, top-k against brute force in double, ties, NaN, threads. */
#include "support/support.h"

#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/cpu/features.h"
#include "core/cpu/search.h"

static const struct {
	const char *name;
	unsigned features;
	phiz_dots_fn dots;
	phiz_sweep_fn sweep;
} kernels[] = {
	{"reference", 0, phiz_dots_reference, phiz_sweep_reference},
#if defined(__x86_64__)
	{"avx2", PHIZ_CPU_AVX2, phiz_dots_avx2, phiz_sweep_avx2},
	{"avx512", PHIZ_CPU_AVX512, phiz_dots_avx512, phiz_sweep_avx512},
#elif defined(__aarch64__)
	{"neon", PHIZ_CPU_NEON, phiz_dots_neon, phiz_sweep_neon},
#endif
};
enum { N_KERNELS = sizeof kernels / sizeof kernels[0] };

static float *noise(struct phiz_ctx *ctx, int64_t n, int64_t dim, int64_t stride, uint64_t seed)
{
	float *x = phiz_calloc(ctx, (size_t)(n * stride) + 16, sizeof *x);
	struct phiz_rng rng;

	assert_non_null(x);
	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < n; i++)
		for (int64_t d = 0; d < dim; d++)
			x[i * stride + d] = (float)phiz_rng_normal(&rng);
	return x;
}

static double dot(const float *a, const float *b, int64_t n)
{
	double sum = 0;
	for (int64_t d = 0; d < n; d++)
		sum += (double)a[d] * (double)b[d];
	return sum;
}

static void products(void **state)
{
	(void)state;
	static const int dims[] = {1, 15, 16, 17, 64, 127, 128, 512, 515};
	struct phiz_ctx *ctx = test_ctx(1);

	for (int k = 0; k < N_KERNELS; k++) {
		if ((phiz_cpu_features() & kernels[k].features) != kernels[k].features)
			continue;
		for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
			for (int64_t n = 0; n < 12; n++) {
				int64_t stride = phiz_search_stride(dims[i]);
				float *rows = noise(ctx, n, dims[i], stride, 1), *query = noise(ctx, 1, dims[i], stride, 2), out[16];
				for (int j = 0; j < 16; j++)
					out[j] = 12345;
				kernels[k].dots(rows, n, stride, query, out);
				for (int64_t j = 0; j < n; j++) {
					double want = dot(rows + j * stride, query, stride), scale = 0;
					for (int64_t d = 0; d < stride; d++)
						scale += fabs((double)rows[j * stride + d] * (double)query[d]);
					if (fabs((double)out[j] - want) > 1e-6 * scale + 1e-12)
						fail_msg("%s dim %d row %d: %g, want %g", kernels[k].name, dims[i], (int)j, (double)out[j],
						         want);
				}
				for (int64_t j = n; j < 16; j++)
					assert_true(out[j] == 12345); /* nothing behind the end */
				uint64_t want = 0, word;
				for (size_t b = 0; b < (size_t)(n * stride) * 4; b += 8) {
					memcpy(&word, (const char *)rows + b, 8);
					want ^= word;
				}
				assert_true(kernels[k].sweep(rows, (size_t)(n * stride) * 4) == want);
				phiz_free(ctx, rows);
				phiz_free(ctx, query);
			}
	}
	test_ctx_done(&ctx);
}

struct ranked {
	double dot;
	int64_t row;
};

static int by_dot(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return x->dot < y->dot ? 1 : x->dot > y->dot ? -1 : (x->row > y->row) - (x->row < y->row);
}

static void top_is_brute_force_in_double(void **state)
{
	(void)state;
	static const int sizes[] = {1, 2, 255, 256, 257, 1024, 5000, 70001};
	struct phiz_ctx *one = test_ctx(1), *three = test_ctx(3);
	double worst = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		int64_t n = sizes[i], dim = n > 10000 ? 40 : 128, stride = phiz_search_stride(dim), count, again;
		float *rows = noise(one, n, dim, stride, 3), *query = noise(one, 1, dim, stride, 4);
		struct ranked *want = phiz_alloc(one, (size_t)n, sizeof *want);
		for (int64_t j = 0; j < n; j++)
			want[j] = (struct ranked){dot(rows + j * stride, query, dim), j};
		qsort(want, (size_t)n, sizeof *want, by_dot);
		for (int64_t k = 1; k <= 1000; k = k * 3 + 1) {
			struct phiz_hit *hit = phiz_alloc(one, 2 * (size_t)k, sizeof *hit);
			assert_ok(one, phiz_search_top(one, rows, n, stride, query, k, hit, &count));
			assert_ok(three, phiz_search_top(three, rows, n, stride, query, k, hit + k, &again));
			assert_int_equal(count, k < n ? k : n);
			assert_int_equal(again, count);
			for (int64_t j = 0; j < count; j++) {
				assert_true(hit[j].row == hit[k + j].row && hit[j].dot == hit[k + j].dot);
				/* The same row, or one whose product differs by what float rounds. */
				double got = dot(rows + hit[j].row * stride, query, dim), off = fabs(got - want[j].dot);
				worst = off > worst ? off : worst;
				if (off > 2e-5)
					fail_msg("n %d k %d place %d: product %.9g, want %.9g", (int)n, (int)k, (int)j, got, want[j].dot);
				for (int64_t other = 0; other < j; other++)
					assert_true(hit[other].row != hit[j].row);
			}
			phiz_free(one, hit);
		}
		phiz_free(one, want);
		phiz_free(one, rows);
		phiz_free(one, query);
	}
	print_message("largest difference of a product at its place: %.2g of 2e-05\n", worst);
	test_ctx_done(&one);
	test_ctx_done(&three);
}

static void ties_and_nan(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	int64_t n = 3000, stride = 16, count;
	float *rows = phiz_calloc(ctx, (size_t)(n * stride), sizeof *rows);
	float *query = phiz_calloc(ctx, (size_t)stride, sizeof *query);
	struct phiz_hit hit[3000];

	query[0] = 1;
	for (int64_t i = 0; i < n; i++)
		rows[i * stride] = i % 7 == 3 ? NAN : i % 2 ? 1 : 0;
	assert_ok(ctx, phiz_search_top(ctx, rows, n, stride, query, 5, hit, &count));
	static const int64_t first[] = {1, 5, 7, 9, 11}; /* 3 is a NaN; of equal ones the lower row first */
	for (int i = 0; i < 5; i++)
		assert_int_equal(hit[i].row, first[i]);
	assert_ok(ctx, phiz_search_top(ctx, rows, n, stride, query, n, hit, &count));
	assert_int_equal(count, n);
	assert_true(hit[n - 1].dot == -INFINITY && hit[n - 1].row % 7 == 3);
	assert_fails(ctx, PHIZ_E_ARG, phiz_search_top(ctx, rows, n, stride, query, 0, hit, &count));
	phiz_free(ctx, rows);
	phiz_free(ctx, query);
	test_ctx_done(&ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(products),
		cmocka_unit_test(top_is_brute_force_in_double),
		cmocka_unit_test(ties_and_nan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
