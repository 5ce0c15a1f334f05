/* Random numbers: known answers, independence of streams, distributions. */
#include "support/support.h"

#include <stdlib.h>

#include "core/base/rng.h"

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static void test_known_answers(void **state)
{
	(void)state;
	static const struct {
		uint32_t counter[4], key[2], want[4];
	} cases[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
		 {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
		 {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};
	uint32_t out[4];
	for (size_t i = 0; i < 3; i++) {
		phiz_philox4x32(cases[i].counter, cases[i].key, out);
		assert_memory_equal(out, cases[i].want, sizeof(out));
	}
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Neighbouring seeds, epochs, samples and streams draw different numbers, and the same ones draw the same. */
static void test_streams(void **state)
{
	(void)state;
	static uint64_t first[4 * 4 * 64 * 8];
	size_t count = 0;
	struct phiz_rng rng, again;
	for (uint64_t seed = 0; seed < 4; seed++)
		for (uint32_t epoch = 0; epoch < 4; epoch++)
			for (uint64_t sample = 0; sample < 64; sample++)
				for (uint32_t stream = 1; stream <= 8; stream++) {
					phiz_rng_init(&rng, seed << 31, epoch, sample << (sample % 58), stream);
					first[count] = (uint64_t)phiz_rng_u32(&rng) << 32;
					first[count++] |= phiz_rng_u32(&rng);
				}
	qsort(first, count, sizeof(first[0]), compare_u64);
	size_t same = 0;
	for (size_t i = 1; i < count; i++)
		same += first[i] == first[i - 1];
	/* sample << (sample % 58) is 0 for 0 only, and 1 << 1 == 2: a few are the same sample on purpose. */
	size_t samples_alike = 0;
	for (uint64_t a = 0; a < 64; a++)
		for (uint64_t b = 0; b < a; b++)
			if (a << (a % 58) == b << (b % 58)) {
				samples_alike++;
				break;
			}
	assert_int_equal(same, samples_alike * 4 * 4 * 8);
	phiz_rng_init(&rng, 7, 3, 1000, PHIZ_STREAM_AUGMENT);
	phiz_rng_init(&again, 7, 3, 1000, PHIZ_STREAM_AUGMENT);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(phiz_rng_u32(&rng), phiz_rng_u32(&again));
	assert_memory_equal(&rng, &again, sizeof(rng));
}

/* The position's carry into the counter's second word. */
static void test_carry(void **state)
{
	(void)state;
	struct phiz_rng rng;
	phiz_rng_init(&rng, 1, 2, 3, 4);
	rng.counter[0] = 0xffffffff;
	for (int i = 0; i < 5; i++)
		phiz_rng_u32(&rng);
	assert_int_equal(rng.counter[0], 1);
	assert_int_equal(rng.counter[1], 1);
	assert_int_equal(rng.counter[2], 3);
}

static void test_uniform(void **state)
{
	(void)state;
	struct phiz_rng rng;
	enum { N = 100000 };
	double sum = 0, squares = 0;
	phiz_rng_init(&rng, 5, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < N; i++) {
		double v = phiz_rng_f64(&rng);
		assert_true(v >= 0 && v < 1);
		sum += v;
		squares += v * v;
	}
	assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
	assert_true(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
	for (int i = 0; i < 1000; i++) {
		double v = phiz_rng_uniform(&rng, -3, 5);
		assert_true(v >= -3 && v < 5);
		v = phiz_rng_uniform(&rng, 1, nextafter(1, 2)); /* rounding would reach the end */
		assert_true(v == 1);
	}
	assert_true(phiz_rng_uniform(&rng, 2, 2) == 2);
}

static void test_below(void **state)
{
	(void)state;
	struct phiz_rng rng;
	enum { N = 60000 };
	int count[6] = {0};
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	double chi2 = 0;
	for (int i = 0; i < N; i++) {
		uint32_t v = phiz_rng_below(&rng, 6);
		assert_in_range(v, 0, 5);
		count[v]++;
	}
	for (int i = 0; i < 6; i++)
		chi2 += (count[i] - N / 6.0) * (count[i] - N / 6.0) / (N / 6.0);
	assert_true(chi2 < 25.7); /* p = 1e-4 for 5 degrees of freedom */
	/* Large n: without the second draw, 0..2^30-1 would come twice as often as the rest of 0..3*2^30-1. */
	int low = 0;
	for (int i = 0; i < N; i++)
		low += phiz_rng_below(&rng, 3u << 30) < 1u << 30;
	assert_true(abs(low - N / 3) < 5 * sqrt(N * 2.0 / 9));
	assert_int_equal(phiz_rng_below(&rng, 1), 0);
	for (int i = 0; i < 100; i++)
		assert_true(phiz_rng_below(&rng, UINT32_MAX) < UINT32_MAX);
}

static void test_normal(void **state)
{
	(void)state;
	struct phiz_rng rng;
	enum { N = 100000 };
	double sum = 0, squares = 0, fourth = 0;
	phiz_rng_init(&rng, 8, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < N; i++) {
		double v = phiz_rng_normal(&rng);
		assert_true(isfinite(v));
		sum += v;
		squares += v * v;
		fourth += v * v * v * v;
	}
	assert_true(fabs(sum / N) < 5 * sqrt(1.0 / N));
	assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
	assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
}

static void test_shuffle(void **state)
{
	(void)state;
	struct phiz_rng rng;
	int place[4][4] = {{0}};
	uint32_t items[4];
	for (uint64_t k = 0; k < 24000; k++) {
		phiz_rng_init(&rng, 9, 0, k, PHIZ_STREAM_SHUFFLE);
		for (uint32_t i = 0; i < 4; i++)
			items[i] = i;
		phiz_rng_shuffle_u32(&rng, items, 4);
		assert_int_equal(1u << items[0] | 1u << items[1] | 1u << items[2] | 1u << items[3], 15);
		for (int i = 0; i < 4; i++)
			place[i][items[i]]++;
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			assert_true(abs(place[i][j] - 6000) < 5 * sqrt(24000 * 3.0 / 16));
	phiz_rng_shuffle_u32(&rng, items, 0);
	phiz_rng_shuffle_u32(&rng, items, 1);
}

/* The numbers themselves are part of the contract: a run made by an earlier version resumes with the same draws. */
static void test_pinned(void **state)
{
	(void)state;
	struct phiz_rng rng;
	phiz_rng_init(&rng, 0x123456789abcdef0u, 17, 0xfedcba9876543210u, PHIZ_STREAM_AUGMENT);
	static const uint32_t want[6] = {0xfa195a89, 0x404b9113, 0x35f06886, 0x10879d43, 0x8bff69e2, 0x04c3ce02};
	for (int i = 0; i < 6; i++)
		assert_int_equal(phiz_rng_u32(&rng), want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers), cmocka_unit_test(test_streams), cmocka_unit_test(test_carry),
		cmocka_unit_test(test_uniform),       cmocka_unit_test(test_below),   cmocka_unit_test(test_normal),
		cmocka_unit_test(test_shuffle),       cmocka_unit_test(test_pinned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
