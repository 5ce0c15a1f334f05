/* The fast loops over pixels beside the plain C, which tests/golden holds to Pillow: every colour, every size, the
 * bytes around untouched. */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/features.h"
#include "core/base/rng.h"
#include "core/image/fast.h"
#include "datasets/augment.h"

#define COLOURS ((size_t)1 << 24)
#define SIDE 4096

typedef void (*apply_fn)(struct phiz_image *image, double factor);

static const apply_fn applies[] = {phiz_apply_hue, phiz_apply_saturation, phiz_apply_contrast, phiz_apply_brightness};
enum { APPLIES = 4 };

static double draw_factor(struct phiz_rng *rng, apply_fn apply)
{
	return apply == phiz_apply_hue ? phiz_rng_uniform(rng, -0.5, 0.5) : phiz_rng_uniform(rng, 0, 2.5);
}

static void apply_plain(apply_fn apply, struct phiz_image *image, double factor)
{
	setenv("PHIZ_CPU", "reference", 1);
	apply(image, factor);
	unsetenv("PHIZ_CPU");
}

/* If the processor has none of the instruction sets there is nothing to compare, and that must be so. */
static void test_is_there(void **state)
{
	uint8_t pixels[64 * 3] = {1, 2, 3};
	size_t fast = (phiz_cpu_features() & PHIZ_CPU_AVX2) != 0 ? 56 : 0;

	(void)state;
	assert_int_equal(phiz_fast_hue(pixels, 64, 9), fast);
	setenv("PHIZ_CPU", "sse2", 1);
	assert_int_equal(phiz_fast_hue(pixels, 64, 9), 0);
	unsetenv("PHIZ_CPU");
}

static void test_every_colour(void **state)
{
	uint8_t *plain = malloc(3 * COLOURS), *fast = malloc(3 * COLOURS);
	struct phiz_image a = {SIDE, SIDE, 3, plain}, b = {SIDE, SIDE, 3, fast};
	struct phiz_rng rng;

	(void)state;
	assert_true(plain && fast);
	phiz_rng_init(&rng, 5, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < APPLIES; i++) {
		double factor = draw_factor(&rng, applies[i]);
		for (size_t k = 0; k < COLOURS; k++) {
			plain[3 * k] = (uint8_t)k;
			plain[3 * k + 1] = (uint8_t)(k >> 8);
			plain[3 * k + 2] = (uint8_t)(k >> 16);
		}
		memcpy(fast, plain, 3 * COLOURS);
		apply_plain(applies[i], &a, factor);
		applies[i](&b, factor);
		assert_memory_equal(plain, fast, 3 * COLOURS);
	}
	free(plain);
	free(fast);
}

/* All widths of a row up to 70 pixels, in the middle of bytes that nobody may touch. */
static void test_every_size(void **state)
{
	enum { MOST = 70, GUARD = 64 };
	uint8_t plain[3 * MOST + 2 * GUARD], fast[3 * MOST + 2 * GUARD];
	struct phiz_rng rng;

	(void)state;
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int n = 1; n <= MOST; n++)
		for (int i = 0; i < APPLIES; i++) {
			struct phiz_image a = {n, 1, 3, plain + GUARD}, b = {n, 1, 3, fast + GUARD};
			double factor = draw_factor(&rng, applies[i]);
			for (size_t k = 0; k < sizeof plain; k++)
				plain[k] = (uint8_t)phiz_rng_below(&rng, 256);
			memcpy(fast, plain, sizeof plain);
			apply_plain(applies[i], &a, factor);
			applies[i](&b, factor);
			assert_memory_equal(plain, fast, sizeof plain);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_there),
		cmocka_unit_test(test_every_colour),
		cmocka_unit_test(test_every_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
