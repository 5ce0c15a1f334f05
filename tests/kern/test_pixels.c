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
static const char *const sets[] = {"avx2", "avx512"};
enum { APPLIES = 4, SETS = 2 };

static double draw_factor(struct phiz_rng *rng, apply_fn apply)
{
	return apply == phiz_apply_hue ? phiz_rng_uniform(rng, -0.5, 0.5) : phiz_rng_uniform(rng, 0, 2.5);
}

/* Each instruction set that the processor has does its share; without any there is nothing to compare. */
static void test_is_there(void **state)
{
	static const struct {
		const char *word;
		unsigned needs;
		size_t pixels; /* of 65 */
	} rows[] = {{"sse2", 0, 0}, {"avx2", PHIZ_CPU_AVX2, 56}, {"avx512", PHIZ_CPU_AVX512, 64}};
	uint8_t pixels[65 * 3] = {1, 2, 3};

	(void)state;
	for (int i = 0; i < 3; i++) {
		setenv("PHIZ_CPU", rows[i].word, 1);
		if ((phiz_cpu_features() & rows[i].needs) == rows[i].needs)
			assert_int_equal(phiz_fast_hue(pixels, 65, 9), rows[i].pixels);
	}
	unsetenv("PHIZ_CPU");
}

static void apply_by(const char *word, apply_fn apply, struct phiz_image *image, double factor)
{
	setenv("PHIZ_CPU", word, 1);
	apply(image, factor);
	unsetenv("PHIZ_CPU");
}

static void put_colours(uint8_t *rgb)
{
	for (size_t k = 0; k < COLOURS; k++, rgb += 3) {
		rgb[0] = (uint8_t)k;
		rgb[1] = (uint8_t)(k >> 8);
		rgb[2] = (uint8_t)(k >> 16);
	}
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
		put_colours(plain);
		apply_by("reference", applies[i], &a, factor);
		for (int k = 0; k < SETS; k++) {
			put_colours(fast);
			apply_by(sets[k], applies[i], &b, factor);
			assert_memory_equal(plain, fast, 3 * COLOURS);
		}
	}
	free(plain);
	free(fast);
}

/* All widths of a row up to 70 pixels, in the middle of bytes that nobody may touch. */
static void test_every_size(void **state)
{
	enum { MOST = 70, GUARD = 64 };
	uint8_t from[3 * MOST + 2 * GUARD], plain[sizeof from], fast[sizeof from];
	struct phiz_rng rng;

	(void)state;
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int n = 1; n <= MOST; n++)
		for (int i = 0; i < APPLIES * SETS; i++) {
			struct phiz_image a = {n, 1, 3, plain + GUARD}, b = {n, 1, 3, fast + GUARD};
			double factor = draw_factor(&rng, applies[i / SETS]);
			for (size_t k = 0; k < sizeof from; k++)
				from[k] = (uint8_t)phiz_rng_below(&rng, 256);
			memcpy(plain, from, sizeof from);
			memcpy(fast, from, sizeof from);
			apply_by("reference", applies[i / SETS], &a, factor);
			apply_by(sets[i % SETS], applies[i / SETS], &b, factor);
			assert_memory_equal(plain, fast, sizeof from);
		}
}

static void random_image(struct phiz_ctx *ctx, struct phiz_rng *rng, int width, int height, int channels,
                         struct phiz_image *out)
{
	assert_ok(ctx, phiz_image_create(ctx, width, height, channels, out));
	for (int i = 0; i < width * height * channels; i++)
		out->data[i] = (uint8_t)phiz_rng_below(rng, 256);
}

/* Random parts and sizes, larger and smaller; the plain C is Pillow's to the bit. */
static void test_resize(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;

	(void)state;
	phiz_rng_init(&rng, 7, 0, 0, PHIZ_STREAM_TEST);
	for (int round = 0; round < 400; round++) {
		struct phiz_image from, plain, fast;
		int w = 1 + (int)phiz_rng_below(&rng, 90), h = 1 + (int)phiz_rng_below(&rng, 90);
		int to_w = 1 + (int)phiz_rng_below(&rng, 120), to_h = 1 + (int)phiz_rng_below(&rng, 120);
		double box[4] = {phiz_rng_uniform(&rng, 0, 0.3) * w, phiz_rng_uniform(&rng, 0, 0.3) * h,
		                 phiz_rng_uniform(&rng, 0.6, 1) * w, phiz_rng_uniform(&rng, 0.6, 1) * h};
		random_image(ctx, &rng, w, h, round % 4 ? 3 : 1, &from);
		setenv("PHIZ_CPU", "reference", 1);
		assert_ok(ctx, phiz_image_resize(ctx, &from, to_w, to_h, round % 3 ? box : NULL, &plain));
		unsetenv("PHIZ_CPU");
		assert_ok(ctx, phiz_image_resize(ctx, &from, to_w, to_h, round % 3 ? box : NULL, &fast));
		assert_memory_equal(plain.data, fast.data, (size_t)to_w * (size_t)to_h * (size_t)from.channels);
		phiz_image_free(ctx, &from);
		phiz_image_free(ctx, &plain);
		phiz_image_free(ctx, &fast);
	}
	phiz_ctx_free(&ctx);
}

/* Turned, shifted and zoomed, some of it or all of it outside. */
static void test_bilinear(void **state)
{
	static const uint8_t fill[3] = {9, 99, 199};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;

	(void)state;
	phiz_rng_init(&rng, 8, 0, 0, PHIZ_STREAM_TEST);
	for (int round = 0; round < 400; round++) {
		struct phiz_image from, plain, fast;
		int w = 1 + (int)phiz_rng_below(&rng, 90), h = 1 + (int)phiz_rng_below(&rng, 90);
		int to_w = 1 + (int)phiz_rng_below(&rng, 90), to_h = 1 + (int)phiz_rng_below(&rng, 90);
		double m[6];
		for (int i = 0; i < 6; i++)
			m[i] = i % 3 == 2 ? phiz_rng_uniform(&rng, -20, 40) : phiz_rng_uniform(&rng, -1.5, 1.5);
		if (round % 5 == 0) { /* whole pixels, and halves */
			m[0] = m[4] = 1;
			m[1] = m[3] = 0;
			m[2] = (double)phiz_rng_below(&rng, 20) / 2 - 3;
			m[5] = (double)phiz_rng_below(&rng, 20) / 2 - 3;
		}
		random_image(ctx, &rng, w, h, round % 4 ? 3 : 1, &from);
		setenv("PHIZ_CPU", "reference", 1);
		assert_ok(ctx, phiz_image_affine(ctx, &from, m, to_w, to_h, true, fill, &plain));
		unsetenv("PHIZ_CPU");
		assert_ok(ctx, phiz_image_affine(ctx, &from, m, to_w, to_h, true, fill, &fast));
		assert_memory_equal(plain.data, fast.data, (size_t)to_w * (size_t)to_h * (size_t)from.channels);
		phiz_image_free(ctx, &from);
		phiz_image_free(ctx, &plain);
		phiz_image_free(ctx, &fast);
	}
	phiz_ctx_free(&ctx);
}

static void take_channel(struct phiz_ctx *ctx, const struct phiz_image *from, int c, struct phiz_image *out)
{
	assert_ok(ctx, phiz_image_create(ctx, from->width, from->height, 1, out));
	for (int i = 0; i < from->width * from->height; i++)
		out->data[i] = from->data[3 * i + c];
}

/* The nearest pixels of a colour picture, which are copied in runs, are those of its channels, which are not. */
static void test_nearest(void **state)
{
	static const uint8_t fill[3] = {9, 99, 199};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;

	(void)state;
	phiz_rng_init(&rng, 9, 0, 0, PHIZ_STREAM_TEST);
	for (int round = 0; round < 400; round++) {
		struct phiz_image from, colour;
		int w = 1 + (int)phiz_rng_below(&rng, 60), h = 1 + (int)phiz_rng_below(&rng, 60);
		int to_w = 1 + (int)phiz_rng_below(&rng, 60), to_h = 1 + (int)phiz_rng_below(&rng, 60);
		double m[6];
		for (int i = 0; i < 6; i++)
			m[i] = i % 3 == 2 ? phiz_rng_uniform(&rng, -20, 40) : phiz_rng_uniform(&rng, -1.5, 1.5);
		random_image(ctx, &rng, w, h, 3, &from);
		assert_ok(ctx, phiz_image_affine(ctx, &from, m, to_w, to_h, false, fill, &colour));
		for (int c = 0; c < 3; c++) {
			const uint8_t own_fill[3] = {fill[c], fill[c], fill[c]};
			struct phiz_image channel, want, got;
			take_channel(ctx, &from, c, &channel);
			take_channel(ctx, &colour, c, &got);
			assert_ok(ctx, phiz_image_affine(ctx, &channel, m, to_w, to_h, false, own_fill, &want));
			assert_memory_equal(want.data, got.data, (size_t)to_w * (size_t)to_h);
			phiz_image_free(ctx, &channel);
			phiz_image_free(ctx, &want);
			phiz_image_free(ctx, &got);
		}
		phiz_image_free(ctx, &from);
		phiz_image_free(ctx, &colour);
	}
	phiz_ctx_free(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_there),
		cmocka_unit_test(test_every_colour),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_bilinear),
		cmocka_unit_test(test_nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
