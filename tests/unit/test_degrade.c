/* Photos made worse in one way: what the words mean, and that each changes what it says and nothing else. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/degrade.h"

enum { SIDE = 40 };

static struct phiz_ctx *ctx;

static int setup(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_ctx_done(&ctx);
	return 0;
}

/* A ramp from left to right in red, a board of squares in green, one value in blue. */
static struct phiz_image make_photo(int width, int height)
{
	struct phiz_image image;

	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, &image));
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			uint8_t *p = image.data + 3 * (y * width + x);
			p[0] = (uint8_t)(255 * x / (width - 1));
			p[1] = (x / 4 + y / 4) % 2 ? 220 : 30;
			p[2] = 90;
		}
	return image;
}

static struct phiz_image degraded(const char *how, int width, int height)
{
	struct phiz_image image = make_photo(width, height);
	struct phiz_degrade d;

	assert_ok(ctx, phiz_degrade_parse(ctx, how, &d));
	assert_ok(ctx, phiz_degrade_apply(ctx, &d, &image));
	assert_int_equal(image.width, width);
	assert_int_equal(image.height, height);
	return image;
}

/* The mean difference between neighbours in green: how sharp it is. */
static double sharpness(const struct phiz_image *image)
{
	double sum = 0;

	for (int i = 0; i + 1 < image->width * image->height; i++)
		sum += abs(image->data[3 * i + 1] - image->data[3 * i + 4]);
	return sum / (image->width * image->height - 1);
}

static void words(void **state)
{
	static const char *const bad[] = {"", "blur", "blur:", "blur:0", "blur:11", "blur:x", "jpeg:0", "jpeg:101",
	                                  "scale:0", "scale:1.5", "gray:1", "grey", "rotate:181", "gamma:0", "gamma:2 ",
	                                  "noise:3"};
	struct phiz_degrade d;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_fails(ctx, PHIZ_E_ARG, phiz_degrade_parse(ctx, bad[i], &d));
		assert_int_equal(d.kind, PHIZ_DEGRADE_NONE);
	}
	assert_ok(ctx, phiz_degrade_parse(ctx, "rotate:-7.5", &d));
	assert_true(d.kind == PHIZ_DEGRADE_ROTATE && d.amount == -7.5);
}

static void blur_and_scale_soften(void **state)
{
	static const char *const how[] = {"blur:1.5", "blur:10", "scale:0.5", "scale:0.02"};
	struct phiz_image plain = make_photo(SIDE, SIDE), same = degraded("scale:1", SIDE, SIDE);
	double last = sharpness(&plain);

	(void)state;
	assert_memory_equal(plain.data, same.data, 3 * SIDE * SIDE);
	phiz_image_free(ctx, &same);
	for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
		struct phiz_image image = degraded(how[i], SIDE, SIDE);
		for (int k = 0; k < SIDE * SIDE; k++)
			assert_int_equal(image.data[3 * k + 2], 90); /* what is one value stays it */
		assert_true(sharpness(&image) < last * (i % 2 ? 1 : 0.7));
		last = i == 1 ? sharpness(&plain) : sharpness(&image);
		phiz_image_free(ctx, &image);
	}
	same = degraded("blur:10", 3, 5); /* a photo that is smaller than the kernel */
	phiz_image_free(ctx, &same);
	phiz_image_free(ctx, &plain);
}

static void jpeg_keeps_the_mean(void **state)
{
	struct phiz_image plain = make_photo(SIDE, SIDE), fine = degraded("jpeg:100", SIDE, SIDE),
	                  coarse = degraded("jpeg:5", SIDE, SIDE);
	double off[2] = {0, 0}, mean = 0;

	(void)state;
	for (int i = 0; i < 3 * SIDE * SIDE; i++) {
		off[0] += abs(fine.data[i] - plain.data[i]);
		off[1] += abs(coarse.data[i] - plain.data[i]);
		mean += coarse.data[i] - plain.data[i];
	}
	assert_true(0 < off[0] && off[0] < off[1]);
	assert_true(fabs(mean) / (3 * SIDE * SIDE) < 4);
	phiz_image_free(ctx, &plain);
	phiz_image_free(ctx, &fine);
	phiz_image_free(ctx, &coarse);
}

static void gray_and_gamma(void **state)
{
	struct phiz_image plain = make_photo(SIDE, 7), gray = degraded("gray", SIDE, 7);
	struct phiz_image dark = degraded("gamma:2", SIDE, 7);

	(void)state;
	for (int i = 0; i < 7 * SIDE; i++) {
		const uint8_t *p = plain.data + 3 * i, *g = gray.data + 3 * i;
		assert_true(g[0] == g[1] && g[1] == g[2]);
		assert_true(fabs(g[0] - (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2])) <= 1);
		for (int c = 0; c < 3; c++)
			assert_true(fabs(dark.data[3 * i + c] - p[c] * (double)p[c] / 255) <= 0.5);
	}
	phiz_image_free(ctx, &plain);
	phiz_image_free(ctx, &gray);
	phiz_image_free(ctx, &dark);
}

/* A quarter turn counter-clockwise: the right column becomes the top row. */
static void rotate_turns(void **state)
{
	struct phiz_image plain = make_photo(SIDE, SIDE), turned = degraded("rotate:90", SIDE, SIDE),
	                  little = degraded("rotate:10", SIDE, SIDE);

	(void)state;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			assert_memory_equal(turned.data + 3 * (y * SIDE + x), plain.data + 3 * (x * SIDE + SIDE - 1 - y), 3);
	assert_true(little.data[0] == 0 && little.data[2] == 0); /* the corner is black */
	assert_true(abs(little.data[3 * (SIDE / 2 * SIDE + SIDE / 2)] - 128) < 12);
	phiz_image_free(ctx, &plain);
	phiz_image_free(ctx, &turned);
	phiz_image_free(ctx, &little);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(words, setup, teardown),
		cmocka_unit_test_setup_teardown(blur_and_scale_soften, setup, teardown),
		cmocka_unit_test_setup_teardown(jpeg_keeps_the_mean, setup, teardown),
		cmocka_unit_test_setup_teardown(gray_and_gamma, setup, teardown),
		cmocka_unit_test_setup_teardown(rotate_turns, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
