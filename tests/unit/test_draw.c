/* Frames, dots, lines and labels: what they colour, and that nothing beyond the picture is touched (ASan sees it). */
#include "support/support.h"

#include "core/base/alloc.h"
#include "core/image/draw.h"

static const uint8_t green[3] = {0, 230, 118};

static void make(struct phiz_ctx *ctx, int width, int height, struct phiz_image *image)
{
	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, image));
	memset(image->data, 99, (size_t)width * (size_t)height * 3);
}

static bool is_green(const struct phiz_image *image, int x, int y)
{
	return !memcmp(image->data + ((size_t)y * (size_t)image->width + (size_t)x) * 3, green, 3);
}

static int count(const struct phiz_image *image)
{
	int n = 0;

	for (int y = 0; y < image->height; y++)
		for (int x = 0; x < image->width; x++)
			n += is_green(image, x, y);
	return n;
}

static void shapes(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image;

	(void)state;
	make(ctx, 40, 30, &image);
	phiz_draw_frame(&image, 10, 8, 6, 4, 2, green); /* around the box, which stays as it is */
	assert_int_equal(count(&image), 10 * 8 - 6 * 4);
	for (int y = 8; y < 12; y++)
		for (int x = 10; x < 16; x++)
			assert_false(is_green(&image, x, y));
	assert_true(is_green(&image, 8, 6) && is_green(&image, 17, 13));
	memset(image.data, 99, 40 * 30 * 3);
	phiz_draw_dot(&image, 5, 5, 1, green);
	assert_int_equal(count(&image), 5);
	phiz_draw_dot(&image, 0, 0, 2, green); /* a quarter of the 13 pixels of radius 2, with its axes */
	assert_int_equal(count(&image), 5 + 6);
	memset(image.data, 99, 40 * 30 * 3);
	phiz_draw_line(&image, 3, 4, 12, 4, 1, green);
	assert_int_equal(count(&image), 10);
	phiz_draw_line(&image, 20, 20, 25, 25, 1, green);
	assert_int_equal(count(&image), 16);
	for (int i = 0; i < 6; i++)
		assert_true(is_green(&image, 20 + i, 20 + i));
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

/* Faces at, across and far beyond the edges, of photos down to one pixel, with numbers that are none. */
static void anywhere(void **state)
{
	static const float at[] = {0, -5, 3, 1e4f, -1e9f, 3e38f, INFINITY, -INFINITY, NAN};
	static const int size[][2] = {{1, 1}, {1, 50}, {64, 48}};
	enum { N = sizeof at / sizeof at[0] };
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image;

	(void)state;
	for (int s = 0; s < 3; s++) {
		make(ctx, size[s][0], size[s][1], &image);
		for (int i = 0; i < N * N; i++) {
			struct phiz_face face = {.box = {at[i % N], at[i / N], at[(i + 3) % N], at[(i / N + 5) % N]}};
			for (int k = 0; k < PHIZ_LANDMARKS; k++) {
				face.landmark[k][0] = at[(i + k) % N];
				face.landmark[k][1] = at[(i / N + k) % N];
			}
			phiz_draw_face(&image, &face, i % 2 ? "0.99" : NULL, green);
		}
		phiz_image_free(ctx, &image);
	}
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(anywhere)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
