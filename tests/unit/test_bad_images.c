/* Every file of bad/images gets the answer that its README asks for; so do the pixels of the good ones. */
#include "support/support.h"

#include <stdio.h>

#include <phiz/image.h>
#include <phiz/preproc.h>

#include "core/base/alloc.h"
#include "core/base/file.h"

static struct phiz_ctx *ctx;
static char logged[4096];
static int n_skipped, n_run;

static void keep_log(void *user, enum phiz_log_level level, const char *line)
{
	(void)user;
	if (level <= PHIZ_LOG_WARN)
		snprintf(logged, sizeof logged, "%s", line);
}

static int setup(void **state)
{
	(void)state;
	struct phiz_ctx_options options = { 1, keep_log, NULL, 0 };
	return phiz_ctx_create(&options, &ctx) == PHIZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	test_ctx_done(&ctx);
	return 0;
}

enum answer { DECODED, REFUSED };
/* What the corners are: red, green, blue, white; or the grey of these; or anything. */
enum look { ANY, COLOUR, GREY };

static const struct row {
	const char *name;
	enum answer answer;
	int width, height;  /* of what is decoded */
	enum look look;
	enum phiz_status status;
	const char *message; /* part of it; where decoding is meant: NULL */
	enum answer lenient;
} rows[] = {
	{ "bad_crc.png", REFUSED, 4, 4, ANY, PHIZ_E_FORMAT, "CRC", DECODED },
	{ "bomb_claimed.png", REFUSED, 0, 0, ANY, PHIZ_E_LIMIT, "2147483647x2147483647 pixels", REFUSED },
	{ "bomb_real.png", REFUSED, 0, 0, ANY, PHIZ_E_LIMIT, "30000x30000 pixels", REFUSED },
	{ "cmyk.jpg", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "corrupt_middle.jpg", REFUSED, 640, 480, ANY, PHIZ_E_FORMAT, "damaged JPEG", DECODED },
	{ "exif_bad_offset.jpg", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "exif_orientation_6.jpg", DECODED, 640, 480, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "exif_orientation_99.jpg", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "gif_named.jpg", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "is a GIF, not JPEG or PNG", REFUSED },
	{ "gray.jpg", DECODED, 640, 480, GREY, PHIZ_OK, NULL, DECODED },
	{ "gray16.png", DECODED, 160, 120, GREY, PHIZ_OK, NULL, DECODED },
	{ "huge_dims.jpg", REFUSED, 0, 0, ANY, PHIZ_E_LIMIT, "65500x65500 pixels", REFUSED },
	{ "ok.jpg", DECODED, 640, 480, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "ok.png", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "one_pixel.jpg", DECODED, 1, 1, ANY, PHIZ_OK, NULL, DECODED },
	{ "one_pixel.png", DECODED, 1, 1, ANY, PHIZ_OK, NULL, DECODED },
	{ "only_soi.jpg", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "truncated", REFUSED },
	{ "palette_trns.png", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "png_named.jpg", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "rgb16.png", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "rgba.png", DECODED, 160, 120, COLOUR, PHIZ_OK, NULL, DECODED },
	{ "tall_1x20000.png", DECODED, 1, 20000, ANY, PHIZ_OK, NULL, DECODED },
	{ "text_named.png", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "not an image", REFUSED },
	{ "truncated.jpg", REFUSED, 640, 480, ANY, PHIZ_E_FORMAT, "truncated", DECODED },
	{ "truncated.png", REFUSED, 160, 120, ANY, PHIZ_E_FORMAT, "truncated", DECODED },
	{ "truncated_header.jpg", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "truncated", REFUSED },
	{ "truncated_progressive.jpg", REFUSED, 640, 480, ANY, PHIZ_E_FORMAT, "truncated", DECODED },
	{ "wide_20000x1.png", DECODED, 20000, 1, ANY, PHIZ_OK, NULL, DECODED },
	{ "zero_byte.jpg", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "empty file", REFUSED },
	{ "zero_dims.png", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "0x0", REFUSED },
	{ "zero_width.jpg", REFUSED, 0, 0, ANY, PHIZ_E_FORMAT, "Empty JPEG image", REFUSED },
};
#define N_ROWS (sizeof rows / sizeof *rows)

static const char *bad_path(const char *name, char path[1024])
{
	char under[256];
	snprintf(under, sizeof under, "bad/images/%s", name);
	const char *found = test_data(under, path);
	if (!found) {
		n_skipped++;
		skip();
	}
	n_run++;
	return found;
}

static void check_corners(const struct row *row, const struct phiz_image *image)
{
	static const int colour[4][3] = { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 }, { 255, 255, 255 } };
	static const int grey[4] = { 76, 150, 29, 255 };
	size_t last = (size_t)image->width - 1, down = (size_t)(image->height - 1) * (size_t)image->width;
	const size_t at[4] = { 0, last, down, down + last };
	for (int i = 0; i < 4 && row->look != ANY; i++)
		for (int c = 0; c < 3; c++) {
			int want = row->look == COLOUR ? colour[i][c] : grey[i], got = image->data[3 * at[i] + (size_t)c];
			if (got < want - 3 || got > want + 3)
				fail_msg("%s: corner %d, channel %d: want %d, got %d", row->name, i, c, want, got);
		}
}

static void check(const struct row *row, bool lenient)
{
	char path[1024];
	struct phiz_image image;
	struct phiz_decode_options options = { 0, 0, lenient };
	bad_path(row->name, path);
	logged[0] = '\0';
	enum answer answer = lenient ? row->lenient : row->answer;
	if (answer == REFUSED) {
		assert_fails(ctx, row->status, phiz_image_read(ctx, path, &options, &image));
		assert_null(image.data);
		assert_message(ctx, row->name);
		assert_message(ctx, row->message);
		return;
	}
	assert_ok(ctx, phiz_image_read(ctx, path, &options, &image));
	assert_int_equal(image.width, row->width);
	assert_int_equal(image.height, row->height);
	assert_int_equal(image.channels, 3);
	if (lenient && row->answer == REFUSED)
		assert_non_null(strstr(logged, row->name)); /* never silently */
	else
		assert_string_equal(logged, "");
	check_corners(row, &image);
	phiz_image_free(ctx, &image);
}

static void test_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++)
		check(&rows[i], false);
}

static void test_lenient(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++)
		check(&rows[i], true);
}

/* What is refused by its header costs no memory of the size it claims. */
static void test_no_memory_on_claims(void **state)
{
	static const char *const names[] = { "bomb_claimed.png", "bomb_real.png", "huge_dims.jpg" };
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char path[1024];
		struct phiz_image image;
		struct phiz_ctx_options small = { 1, NULL, NULL, 2 << 20 };
		struct phiz_ctx *tight;
		bad_path(names[i], path);
		assert_ok(NULL, phiz_ctx_create(&small, &tight));
		assert_fails(tight, PHIZ_E_LIMIT, phiz_image_read(tight, path, NULL, &image));
		test_ctx_done(&tight);
	}
}

static void same_pixels(const char *a, const char *b)
{
	char path[1024];
	struct phiz_image first, second;
	bad_path(a, path);
	assert_ok(ctx, phiz_image_read(ctx, path, NULL, &first));
	bad_path(b, path);
	assert_ok(ctx, phiz_image_read(ctx, path, NULL, &second));
	assert_int_equal(first.width, second.width);
	assert_int_equal(first.height, second.height);
	assert_memory_equal(first.data, second.data, (size_t)first.width * (size_t)first.height * 3);
	phiz_image_free(ctx, &first);
	phiz_image_free(ctx, &second);
}

static void test_same_pixels(void **state)
{
	(void)state;
	same_pixels("ok.png", "png_named.jpg");
	same_pixels("ok.png", "rgb16.png");
	same_pixels("ok.png", "rgba.png"); /* alpha is dropped, the colour stands */
}

static void test_one_pixel(void **state)
{
	char path[1024];
	struct phiz_image image, big;
	static const uint8_t want[3] = { 10, 20, 30 };
	(void)state;
	bad_path("one_pixel.png", path);
	assert_ok(ctx, phiz_image_read(ctx, path, NULL, &image));
	assert_memory_equal(image.data, want, 3);
	assert_ok(ctx, phiz_image_resize(ctx, &image, 16, 16, NULL, &big));
	for (int i = 0; i < 16 * 16; i++)
		assert_memory_equal(big.data + 3 * i, want, 3);
	phiz_image_free(ctx, &image);
	phiz_image_free(ctx, &big);
}

/* Resize(256) of the short side would be 5120000x256: it is capped. */
static void test_extreme_aspect(void **state)
{
	static const char *const names[] = { "wide_20000x1.png", "tall_1x20000.png" };
	struct phiz_preproc p;
	(void)state;
	phiz_preproc_torchvision(&p);
	for (size_t i = 0; i < 2; i++) {
		char path[1024];
		struct phiz_image image, out;
		struct phiz_memory_stats stats;
		bad_path(names[i], path);
		assert_ok(ctx, phiz_image_read(ctx, path, NULL, &image));
		assert_ok(ctx, phiz_preproc_geometry(ctx, &p, &image, &out));
		assert_int_equal(out.width, 224);
		assert_int_equal(out.height, 224);
		phiz_ctx_memory(ctx, &stats);
		assert_true(stats.peak_bytes < 64 << 20);
		phiz_image_free(ctx, &image);
		phiz_image_free(ctx, &out);
	}
}

static void test_probe(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		char path[1024];
		int w, h;
		bad_path(rows[i].name, path);
		enum phiz_status status = phiz_image_probe(ctx, path, &w, &h);
		if (rows[i].width) {
			assert_int_equal(status, PHIZ_OK);
			assert_int_equal(w, rows[i].width);
			assert_int_equal(h, rows[i].height);
		} else if (status) {
			assert_message(ctx, rows[i].name);
		} else {
			assert_true(w > 0 && h > 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_no_memory_on_claims),
		cmocka_unit_test(test_same_pixels),
		cmocka_unit_test(test_one_pixel),
		cmocka_unit_test(test_extreme_aspect),
		cmocka_unit_test(test_probe),
	};
	int failed = cmocka_run_group_tests(tests, setup, teardown);
	return failed ? failed : n_run == 0 && n_skipped > 0 ? 77 : 0;
}
