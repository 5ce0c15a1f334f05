/* Contact sheets: where pictures land, what is cut, limits, memory that runs out. */
#include "support/support.h"

#include <phiz/image.h>

#include "core/image/sheet.h"

static struct phiz_image plain(struct phiz_ctx *ctx, int width, int height, int channels, int value)
{
	struct phiz_image image;

	assert_ok(ctx, phiz_image_create(ctx, width, height, channels, &image));
	memset(image.data, value, (size_t)width * (size_t)height * (size_t)channels);
	return image;
}

static const uint8_t *at(const struct phiz_image *image, int x, int y)
{
	return image->data + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

static int count_dark(const struct phiz_image *image, int x0, int y0, int x1, int y1)
{
	int n = 0;

	for (int y = y0; y < y1; y++)
		for (int x = x0; x < x1; x++)
			n += at(image, x, y)[0] < 128;
	return n;
}

/* Five pictures in rows of three: places, gaps, margins; a wide and a grey one keep their form. */
static void test_places(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_sheet_options o = {.cell = 40, .columns = 3, .gap = 4, .margin = 6};
	struct phiz_sheet *sheet;
	struct phiz_image square = plain(ctx, 80, 80, 3, 10), wide = plain(ctx, 20, 10, 1, 70), out;

	(void)state;
	assert_ok(ctx, phiz_sheet_create(ctx, &o, &sheet));
	for (int i = 0; i < 5; i++)
		assert_ok(ctx, phiz_sheet_add(sheet, i == 4 ? &wide : &square, NULL, NULL));
	assert_int_equal(phiz_sheet_count(sheet), 5);
	assert_ok(ctx, phiz_sheet_finish(sheet, &out));
	assert_int_equal(out.width, 3 * 40 + 2 * 4 + 2 * 6);
	assert_int_equal(out.height, 2 * 40 + 4 + 2 * 6);
	assert_int_equal(count_dark(&out, 0, 0, out.width, out.height), 4 * 40 * 40 + 40 * 20);
	for (int i = 0; i < 4; i++) {
		int x = 6 + i % 3 * 44, y = 6 + i / 3 * 44;
		assert_int_equal(count_dark(&out, x, y, x + 40, y + 40), 40 * 40);
	}
	assert_int_equal(count_dark(&out, 50, 60, 90, 80), 40 * 20);
	assert_int_equal(at(&out, 50, 60)[2], 70);
	phiz_image_free(ctx, &out);
	/* It is empty again; one picture makes a narrow sheet. */
	assert_fails(ctx, PHIZ_E_ARG, phiz_sheet_finish(sheet, &out));
	assert_ok(ctx, phiz_sheet_add(sheet, &square, NULL, NULL));
	assert_ok(ctx, phiz_sheet_finish(sheet, &out));
	assert_int_equal(out.width, 40 + 2 * 6);
	assert_int_equal(out.height, 40 + 2 * 6);
	phiz_image_free(ctx, &out);
	phiz_sheet_free(&sheet);
	phiz_image_free(ctx, &square);
	phiz_image_free(ctx, &wide);
	test_ctx_done(&ctx);
}

/* A caption stays below its picture, however long; headings begin a row; frames take the colour. */
static void test_words(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_sheet_options o = {
		.title = "Zo\xC3\xAB", .cell = 48, .columns = 2, .gap = 10, .margin = 8, .caption_lines = 2};
	const uint8_t red[3] = {200, 0, 0};
	struct phiz_sheet *sheet;
	struct phiz_image white = plain(ctx, 48, 48, 3, 255), out;
	int dark[2], top;

	(void)state;
	assert_ok(ctx, phiz_sheet_create(ctx, &o, &sheet));
	assert_ok(ctx, phiz_sheet_heading(sheet, "first"));
	assert_ok(ctx, phiz_sheet_add(sheet, &white, "a caption that is far too long for it\nsecond\nthird", red));
	assert_ok(ctx, phiz_sheet_heading(sheet, "second"));
	assert_ok(ctx, phiz_sheet_add(sheet, &white, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", NULL));
	assert_ok(ctx, phiz_sheet_add(sheet, &white, NULL, NULL));
	assert_ok(ctx, phiz_sheet_finish(sheet, &out));
	assert_int_equal(out.width, 2 * 48 + 10 + 16);
	assert_true(count_dark(&out, 8, 8, out.width, 22) > 20); /* the title */
	for (top = 0; top < out.height && at(&out, 8, top)[1] != 0; top++)
		;
	assert_memory_equal(at(&out, 8, top), red, 3);
	assert_memory_equal(at(&out, 8 + 47, top + 47), red, 3);
	assert_int_equal(at(&out, 8 + 24, top + 24)[0], 255);
	dark[0] = count_dark(&out, 8, top + 48, 8 + 48, top + 48 + 23);
	dark[1] = count_dark(&out, 8 + 48, top, out.width, top + 48 + 23); /* beside it: nothing */
	assert_true(dark[0] > 60);
	assert_int_equal(dark[1], 0);
	phiz_image_free(ctx, &out);
	phiz_sheet_free(&sheet);
	phiz_image_free(ctx, &white);
	test_ctx_done(&ctx);
}

static void test_limits(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_sheet_options bad[] = {{.cell = 15}, {.cell = 1025}, {.columns = 1001}, {.gap = -1}, {.margin = 101},
	                                   {.caption_lines = 5}, {.max_pictures = -1}, {.max_height = 15}};
	struct phiz_sheet_options o = {.cell = 16, .columns = 4, .max_height = 100}, many = {.max_pictures = 3};
	struct phiz_sheet *sheet;
	struct phiz_image dot = plain(ctx, 1, 1, 3, 0), out;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_fails(ctx, PHIZ_E_ARG, phiz_sheet_create(ctx, &bad[i], &sheet));
		assert_null(sheet);
	}
	assert_ok(ctx, phiz_sheet_create(ctx, &o, &sheet));
	for (int i = 0; i < 1000; i++)
		assert_ok(ctx, phiz_sheet_add(sheet, &dot, NULL, NULL));
	assert_int_equal(phiz_sheet_count(sheet), 24);
	assert_int_equal(phiz_sheet_left_out(sheet), 976);
	assert_ok(ctx, phiz_sheet_finish(sheet, &out));
	assert_true(out.height >= 96 && out.height < 120);
	assert_true(count_dark(&out, 0, 96, out.width, out.height) > 10); /* "and 976 more", cut */
	phiz_image_free(ctx, &out);
	phiz_sheet_free(&sheet);
	assert_ok(ctx, phiz_sheet_create(ctx, &many, &sheet));
	for (int i = 0; i < 5; i++)
		assert_ok(ctx, phiz_sheet_add(sheet, &dot, "x", NULL));
	assert_int_equal(phiz_sheet_left_out(sheet), 2);
	dot.channels = 4;
	assert_fails(ctx, PHIZ_E_ARG, phiz_sheet_add(sheet, &dot, NULL, NULL));
	phiz_sheet_free(&sheet);
	phiz_image_free(ctx, &dot);
	test_ctx_done(&ctx);
}

static enum phiz_status sheet_once(struct phiz_ctx *ctx, void *user)
{
	struct phiz_sheet_options o = {.title = "t", .cell = 16, .columns = 2, .caption_lines = 1, .max_pictures = 4};
	struct phiz_sheet *sheet;
	struct phiz_image out = {0};
	enum phiz_status status = phiz_sheet_create(ctx, &o, &sheet);

	for (int i = 0; !status && i < 5; i++)
		status = phiz_sheet_add(sheet, user, "a", NULL);
	if (!status)
		status = phiz_sheet_finish(sheet, &out);
	phiz_image_free(ctx, &out);
	phiz_sheet_free(&sheet);
	return status;
}

static void test_oom(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image = plain(ctx, 30, 20, 3, 0);

	(void)state;
	test_every_oom(ctx, sheet_once, &image);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places), cmocka_unit_test(test_words), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
