/* The search for near-duplicates against comparing each with each. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "datasets/phash_near.h"

/* n hashes: unrelated ones, copies with 1 to 14 bits changed, a few equal ones, a few that are invalid. */
static struct phiz_phash *draw(struct phiz_ctx *ctx, size_t n, uint64_t seed)
{
	struct phiz_phash *hash = phiz_calloc(ctx, n, sizeof *hash);
	struct phiz_rng rng;

	assert_non_null(hash);
	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	for (size_t i = 0; i < n; i++) {
		uint32_t kind = phiz_rng_u32(&rng) % 8;

		hash[i].valid = kind != 7;
		for (int k = 0; k < 4; k++)
			hash[i].bit[k] = (uint64_t)phiz_rng_u32(&rng) << 32 | phiz_rng_u32(&rng);
		if (i == 0 || kind > 3)
			continue;
		memcpy(hash[i].bit, hash[phiz_rng_u32(&rng) % i].bit, sizeof hash[i].bit);
		for (uint32_t changes = kind == 0 ? 0 : phiz_rng_u32(&rng) % 15; changes > 0; changes--) {
			uint32_t bit = phiz_rng_u32(&rng) % PHIZ_PHASH_BITS;
			hash[i].bit[bit / 64] ^= (uint64_t)1 << bit % 64;
		}
	}
	return hash;
}

static bool has_pair(const struct phiz_pairs *pairs, size_t a, size_t b)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (pairs->pair[i].a == a && pairs->pair[i].b == b)
			return true;
	return false;
}

/* The first photo with the hash of photo i. */
static size_t first_of(const struct phiz_phash *hash, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (hash[k].valid && phiz_phash_distance(&hash[k], &hash[i]) == 0)
			return k;
	return i;
}

static void test_finds_all(void **state)
{
	static const int nears[] = {0, 1, 5, 10, 23, 40};
	enum { N = 300 };

	(void)state;
	for (int threads = 1; threads <= 2; threads++)
		for (int v = 0; v < 6; v++) {
			struct phiz_ctx *ctx = test_ctx(threads);
			struct phiz_phash *hash = draw(ctx, N, (uint64_t)v);
			struct phiz_pairs pairs = {0};
			size_t wanted = 0;

			assert_ok(ctx, phiz_phash_near(ctx, hash, N, nears[v], &pairs));
			for (size_t a = 0; a < N; a++)
				for (size_t b = a + 1; b < N; b++) {
					bool near = hash[a].valid && hash[b].valid && phiz_phash_distance(&hash[a], &hash[b]) <= nears[v];
					bool firsts = first_of(hash, a) == a && first_of(hash, b) == b;

					if (near && firsts)
						assert_true(has_pair(&pairs, a, b));
					wanted += near && firsts;
				}
			for (size_t b = 0; b < N; b++)
				wanted += hash[b].valid && first_of(hash, b) != b; /* one link of its chain */
			assert_int_equal(pairs.count, wanted);
			for (size_t i = 0; i < pairs.count; i++) {
				const struct phiz_pair *p = &pairs.pair[i];
				assert_true(p->a < p->b && hash[p->a].valid && hash[p->b].valid);
				assert_int_equal(p->distance, phiz_phash_distance(&hash[p->a], &hash[p->b]));
				assert_true(p->distance <= nears[v]);
			}
			phiz_pairs_free(ctx, &pairs);
			phiz_free(ctx, hash);
			test_ctx_done(&ctx);
		}
}

/* Each with each would be 5,000 million comparisons: a quarter of a minute and more. */
static void test_is_quick(void **state)
{
	enum { N = 100000 };
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_phash *hash = draw(ctx, N, 9);
	struct phiz_pairs pairs = {0};
	double start = phiz_time(), seconds;

	(void)state;
	assert_ok(ctx, phiz_phash_near(ctx, hash, N, 10, &pairs));
	seconds = phiz_time() - start;
	print_message("%d hashes: %zu pairs in %.2f s\n", (int)N, pairs.count, seconds);
	assert_true(pairs.count > N / 8);
	assert_true(seconds < 10);
	phiz_pairs_free(ctx, &pairs);
	phiz_free(ctx, hash);
	test_ctx_done(&ctx);
}

static enum phiz_status search(struct phiz_ctx *ctx, void *user)
{
	struct phiz_pairs pairs = {0};
	enum phiz_status status = phiz_phash_near(ctx, user, 60, 10, &pairs);

	phiz_pairs_free(ctx, &pairs);
	return status;
}

static void test_out_of_memory(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_phash *hash = draw(ctx, 60, 3);

	(void)state;
	test_every_oom(ctx, search, hash);
	phiz_free(ctx, hash);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_all),
		cmocka_unit_test(test_is_quick),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
