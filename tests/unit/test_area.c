/* Resizing by areas against the definition, pixel by pixel in double: the same floats, whatever the sizes. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/rng.h"
#include "core/image/area.h"

static void fill(struct phiz_image *image, uint64_t seed, bool white)
{
	struct phiz_rng rng;
	size_t n = (size_t)image->width * (size_t)image->height * (size_t)image->channels;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	for (size_t i = 0; i < n; i++)
		image->data[i] = white ? 255 : (uint8_t)phiz_rng_below(&rng, 256);
}

static float mean(const struct phiz_view *v, int width, int height, int x, int y, int c)
{
	int64_t x0 = (int64_t)x * v->width / width, x1 = ((int64_t)(x + 1) * v->width + width - 1) / width;
	int64_t y0 = (int64_t)y * v->height / height, y1 = ((int64_t)(y + 1) * v->height + height - 1) / height;
	double sum = 0;

	for (int64_t j = y0; j < y1; j++)
		for (int64_t i = x0; i < x1; i++)
			sum += v->data[(size_t)j * v->stride + (size_t)(i * v->channels + c)];
	return (float)(sum / ((double)(x1 - x0) * (double)(y1 - y0)));
}

static void check(struct phiz_ctx *ctx, const struct phiz_view *v, int width, int height)
{
	size_t n = (size_t)width * (size_t)height * (size_t)v->channels;
	float *got = malloc(n * sizeof *got);

	assert_non_null(got);
	for (size_t i = 0; i < n; i++)
		got[i] = NAN;
	phiz_area_planes(ctx, v, width, height, 127.5f, 0.0078125f, got);
	for (int c = 0; c < v->channels; c++)
		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++) {
				float want = (mean(v, width, height, x, y, c) - 127.5f) * 0.0078125f;
				float is = got[((size_t)c * (size_t)height + (size_t)y) * (size_t)width + (size_t)x];
				if (!(is >= want && is <= want))
					fail_msg("%dx%d to %dx%d: %d %d channel %d: %.9g, want %.9g", v->width, v->height, width, height, x,
					         y, c, (double)is, (double)want);
			}
	free(got);
}

static void sizes(void **state)
{
	/* From, to: shrunk and grown, by whole numbers and not; rows of several tiles; means of very many pixels. */
	static const int size[][4] = {
		{1, 1, 1, 1}, {1, 1, 5, 3}, {7, 5, 7, 5}, {640, 48, 384, 29}, {13, 9, 24, 24}, {24, 24, 12, 8},
		{100, 7, 300, 9}, {31, 17, 48, 48}, {1920, 4, 641, 3}, {1030, 3, 600, 2}, {2000, 40, 3, 2}, {600, 300, 1, 1},
		{2, 900, 1, 1}, {511, 2, 1, 1}, {513, 150, 1, 1},
	};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_image image;

	(void)state;
	for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
		for (int channels = 1; channels <= 3; channels += 2)
			for (int white = 0; white < 2; white++) {
				assert_ok(ctx, phiz_image_create(ctx, size[i][0], size[i][1], channels, &image));
				fill(&image, i, white);
				struct phiz_view v = phiz_view_box(&image, 0, 0, image.width, image.height);
				check(ctx, &v, size[i][2], size[i][3]);
				phiz_image_free(ctx, &image);
			}
	/* A part of a larger image. */
	assert_ok(ctx, phiz_image_create(ctx, 90, 70, 3, &image));
	fill(&image, 99, false);
	for (int i = 0; i < 40; i++) {
		struct phiz_view v = phiz_view_box(&image, i, i / 2, 20 + i, 30 + i / 3);
		check(ctx, &v, 24, 24);
	}
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sizes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
