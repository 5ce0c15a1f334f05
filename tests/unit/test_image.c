/* Images: what must be refused and how it is said, containers, PNM and EXIF by hand-made bytes, files. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/image.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/image/codec.h"

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

/* Small pictures whose every byte differs from its neighbours. */
static struct phiz_image make_image(int w, int h, int channels)
{
	struct phiz_image image;
	assert_ok(ctx, phiz_image_create(ctx, w, h, channels, &image));
	for (int i = 0; i < w * h * channels; i++)
		image.data[i] = (uint8_t)(i * 37 + 11);
	return image;
}

static const uint8_t *pixel(const struct phiz_image *image, int x, int y)
{
	return image->data + ((size_t)y * (size_t)image->width + (size_t)x) * (size_t)image->channels;
}

static void assert_same(const struct phiz_image *a, const struct phiz_image *b)
{
	assert_int_equal(a->width, b->width);
	assert_int_equal(a->height, b->height);
	assert_int_equal(a->channels, b->channels);
	assert_memory_equal(a->data, b->data, (size_t)a->width * (size_t)a->height * (size_t)a->channels);
}

/* --- Images. --- */

static void test_create(void **state)
{
	struct phiz_image image;
	(void)state;
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_create(ctx, 0, 5, 3, &image));
	assert_null(image.data);
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_create(ctx, 5, -1, 3, &image));
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_create(ctx, 5, 5, 4, &image));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_create(ctx, 65536, 65536, 1, &image));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_create(ctx, 0x7fffffff, 0x7fffffff, 3, &image));
	assert_null(image.data);
	phiz_image_free(ctx, &image);
	phiz_image_free(ctx, NULL);
}

static void test_crop(void **state)
{
	static const int boxes[][4] = {{0, 0, 7, 5},     {2, 1, 3, 3}, {-2, -1, 5, 4}, {5, 3, 6, 6},
	                               {-3, -3, 20, 20}, {7, 0, 2, 2}, {-5, 2, 5, 1},  {100, -100, 3, 3}};
	struct phiz_image image = make_image(7, 5, 3), out;
	(void)state;
	for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
		const int *b = boxes[i];
		assert_ok(ctx, phiz_image_crop(ctx, &image, b[0], b[1], b[2], b[3], &out));
		for (int y = 0; y < b[3]; y++)
			for (int x = 0; x < b[2]; x++) {
				int sx = x + b[0], sy = y + b[1];
				bool inside = sx >= 0 && sx < 7 && sy >= 0 && sy < 5;
				static const uint8_t black[3] = { 0, 0, 0 };
				assert_memory_equal(pixel(&out, x, y), inside ? pixel(&image, sx, sy) : black, 3);
			}
		phiz_image_free(ctx, &out);
	}
	assert_ok(ctx, phiz_image_crop(ctx, &image, 0x7fffffff, -0x7fffffff - 1, 2, 2, &out));
	phiz_image_free(ctx, &out);
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_crop(ctx, &image, 0, 0, 0, 3, &out));
	assert_null(out.data);
	phiz_image_free(ctx, &image);
}

static void test_flip(void **state)
{
	(void)state;
	for (int w = 1; w <= 4; w++)
		for (int channels = 1; channels <= 3; channels += 2) {
			struct phiz_image image = make_image(w, 3, channels), out;
			assert_ok(ctx, phiz_image_copy(ctx, &image, &out));
			assert_same(&image, &out);
			phiz_image_flip_horizontal(&out);
			for (int y = 0; y < 3; y++)
				for (int x = 0; x < w; x++)
					assert_memory_equal(pixel(&out, x, y), pixel(&image, w - 1 - x, y), (size_t)channels);
			phiz_image_free(ctx, &image);
			phiz_image_free(ctx, &out);
		}
}

/* Where the pixel (x, y) of an upright w x h picture lies in what was stored with this orientation. */
static void stored_at(int orientation, int w, int h, int x, int y, int *sx, int *sy)
{
	const int at[9][2] = { { 0, 0 }, { x, y }, { w - 1 - x, y }, { w - 1 - x, h - 1 - y }, { x, h - 1 - y },
		               { y, x }, { y, w - 1 - x }, { h - 1 - y, w - 1 - x }, { h - 1 - y, x } };
	*sx = at[orientation][0];
	*sy = at[orientation][1];
}

static void test_orient(void **state)
{
	enum { W = 37, H = 21 };
	(void)state;
	for (int o = 1; o <= 8; o++) {
		struct phiz_image upright = o < 5 ? make_image(W, H, 3) : make_image(H, W, 3), out;
		assert_ok(ctx, phiz_image_copy(ctx, &upright, &out));
		assert_ok(ctx, phiz_image_orient(ctx, o, &out));
		assert_int_equal(out.width, W);
		assert_int_equal(out.height, H);
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++) {
				int sx, sy;
				stored_at(o, W, H, x, y, &sx, &sy);
				assert_memory_equal(pixel(&out, x, y), pixel(&upright, sx, sy), 3);
			}
		phiz_image_free(ctx, &upright);
		phiz_image_free(ctx, &out);
	}
}

static void test_resize_limits(void **state)
{
	struct phiz_image image = make_image(8, 6, 3), wide, out;
	const double outside[4] = { 0, 0, 8.5, 6 }, empty[4] = { 3, 3, 3, 5 }, nan_box[4] = { NAN, 0, 8, 6 };
	const double matrix[6] = { 1, 0, 0, 0, INFINITY, 0 };
	(void)state;
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_resize(ctx, &image, 0, 4, NULL, &out));
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_resize(ctx, &image, 4, 4, outside, &out));
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_resize(ctx, &image, 4, 4, empty, &out));
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_resize(ctx, &image, 4, 4, nan_box, &out));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_resize(ctx, &image, 20000, 20000, NULL, &out));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_resize(ctx, &image, 0x7fffffff, 0x7fffffff, NULL, &out));
	assert_null(out.data);
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_affine(ctx, &image, matrix, 4, 4, false, NULL, &out));
	phiz_image_free(ctx, &image);
	/* So many weights for one pixel would overflow the sums. */
	assert_ok(ctx, phiz_image_create(ctx, 3000000, 1, 1, &wide));
	memset(wide.data, 255, 3000000);
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_resize(ctx, &wide, 1, 1, NULL, &out));
	assert_ok(ctx, phiz_image_resize(ctx, &wide, 8, 1, NULL, &out));
	assert_int_equal(out.data[0], 255);
	phiz_image_free(ctx, &wide);
	phiz_image_free(ctx, &out);
}

/* Maps that leave the fixed-point range, or the picture, read nothing outside it. */
static void test_affine_far(void **state)
{
	static const double far[][6] = { { 1e9, 1, -1e9, 1, 1e9, -1e9 }, { 1e300, 1e300, 0, 1, 1, 0 },
		                         { 1, 0, 1e9, 0, 1, -1e9 },      { 70000, 1, -70000, 1, 70000, -70000 } };
	struct phiz_image image = make_image(8, 6, 3), out;
	(void)state;
	for (size_t i = 0; i < sizeof far / sizeof *far; i++)
		for (int bilinear = 0; bilinear < 2; bilinear++) {
			assert_ok(ctx, phiz_image_affine(ctx, &image, far[i], 9, 7, bilinear, NULL, &out));
			phiz_image_free(ctx, &out);
		}
	phiz_image_free(ctx, &image);
}

/* --- Formats. --- */

static void test_sniff(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		enum phiz_image_format format;
	} rows[] = {
		{ "", 0, PHIZ_IMAGE_UNKNOWN },
		{ "\xff\xd8", 2, PHIZ_IMAGE_JPEG },
		{ "\xff\xd8\xff\xe0", 4, PHIZ_IMAGE_JPEG },
		{ "\xff\xd8 text", 7, PHIZ_IMAGE_UNKNOWN },
		{ "\x89PNG\r\n\x1a\n", 8, PHIZ_IMAGE_PNG },
		{ "\x89PNG\n\x1a\n", 7, PHIZ_IMAGE_UNKNOWN },
		{ "P5 1 1", 6, PHIZ_IMAGE_PNM },
		{ "P3#x", 4, PHIZ_IMAGE_PNM },
		{ "P7\n", 3, PHIZ_IMAGE_UNKNOWN },
		{ "Peter", 5, PHIZ_IMAGE_UNKNOWN },
		{ "GIF89a", 6, PHIZ_IMAGE_GIF },
		{ "RIFF\1\2\3\4WEBPVP8 ", 16, PHIZ_IMAGE_WEBP },
		{ "RIFF\1\2\3\4WAVEfmt ", 16, PHIZ_IMAGE_UNKNOWN },
		{ "BM\1\2\3\4\0\0\0\0", 10, PHIZ_IMAGE_BMP },
		{ "BMW drivers", 11, PHIZ_IMAGE_UNKNOWN },
		{ "II*\0", 4, PHIZ_IMAGE_TIFF },
		{ "\0\0\0\x18" "ftypheic", 12, PHIZ_IMAGE_HEIF },
		{ "\0\0\0\x18" "ftypavif", 12, PHIZ_IMAGE_HEIF },
		{ "\0\0\0\x18" "ftypisom", 12, PHIZ_IMAGE_UNKNOWN },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(phiz_image_sniff(rows[i].bytes, rows[i].size), rows[i].format);
}

static enum phiz_status decode(const char *bytes, size_t size, struct phiz_image *out)
{
	return phiz_image_decode(ctx, bytes, size, "photo", NULL, out);
}

static void refuse(const char *bytes, size_t size, const char *message)
{
	struct phiz_image out;
	assert_fails(ctx, PHIZ_E_FORMAT, decode(bytes, size, &out));
	assert_null(out.data);
	assert_message(ctx, message);
}

static void test_refuse_kinds(void **state)
{
	(void)state;
	refuse("", 0, "photo: empty file");
	refuse("GIF89a.......", 13, "photo: is a GIF");
	refuse("II*\0........", 12, "photo: is a TIFF");
	refuse("hello", 5, "photo: not an image");
}

static void test_pnm(void **state)
{
	struct phiz_image out;
	static const char text[] = "P2 # of\n#comments\n 3\t2\r15\n0 1 15\n#more\n7 8 9";
	static const uint8_t want[6] = { 0, 17, 255, 119, 136, 153 };
	(void)state;
	assert_ok(ctx, decode(text, sizeof text - 1, &out));
	assert_int_equal(out.width, 3);
	assert_int_equal(out.height, 2);
	assert_int_equal(out.channels, 3);
	for (int i = 0; i < 6; i++)
		for (int c = 0; c < 3; c++)
			assert_int_equal(out.data[3 * i + c], want[i]);
	phiz_image_free(ctx, &out);
	/* Several pictures in a row: the first. */
	assert_ok(ctx, decode("P5 1 1 255\n\x42P5 1 1 255\n\x43", 24, &out));
	assert_int_equal(out.data[0], 0x42);
	phiz_image_free(ctx, &out);
}

static void test_refuse_pnm(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "P5 ", "truncated" },
		{ "P5 4", "truncated" },
		{ "P5 4 4", "truncated" },
		{ "P5 4 4 255", "truncated" },
		{ "P5 4 4 255\nabcdefghijklmno", "truncated" },
		{ "P6 1 2 255\nabcde", "truncated" },
		{ "P5 1 1 256\na", "truncated" },
		{ "P2 2 2 255 1 2 3", "truncated" },
		{ "P2 2 2 255 1 2 3 ", "truncated" },
		{ "P5 x 4 255\n", "damaged" },
		{ "P5 -4 4 255\n", "damaged" },
		{ "P5 0 4 255\nabcd", "damaged" },
		{ "P5 1 1 0\na", "damaged" },
		{ "P5 1 1 65536\nab", "damaged" },
		{ "P5 99999999999 1 255\na", "damaged" },
		{ "P5 4294967297 1 255\na", "damaged" },
		{ "P5 1 1 255a", "damaged" },
		{ "P2 1 1 255\nx", "damaged" },
		{ "P2 1 1 255\n256", "damaged" },
		{ "P5 1 1 7\n\x08", "damaged" },
		{ "P2 1 1 255\n-1 ", "damaged" },
		{ "P4 8 1\n\xff", "PBM" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		refuse(rows[i].text, strlen(rows[i].text), rows[i].message);
}

static void test_limits(void **state)
{
	struct phiz_image out;
	struct phiz_decode_options options = { 11, 0, false };
	static const char text[] = "P5 4 3 255\nabcdefghijkl";
	(void)state;
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_image_decode(ctx, text, sizeof text - 1, "x", &options, &out));
	assert_message(ctx, "x: 4x3 pixels, the limit is 11");
	options.max_pixels = 12;
	assert_ok(ctx, phiz_image_decode(ctx, text, sizeof text - 1, "x", &options, &out));
	phiz_image_free(ctx, &out);
	/* Below the limit, but next to nothing behind the header: no memory is asked for. */
	struct phiz_memory_stats before, after;
	phiz_ctx_memory(ctx, &before);
	assert_fails(ctx, PHIZ_E_FORMAT, decode("P6 9000 9000 255\nabc", 20, &out));
	assert_message(ctx, "truncated: 20 bytes cannot hold 9000x9000 pixels");
	phiz_ctx_memory(ctx, &after);
	assert_int_equal(after.allocations, before.allocations);
}

static void test_lenient(void **state)
{
	struct phiz_image out;
	struct phiz_decode_options options = { 0, 0, true };
	static const uint8_t want[12] = { 'a', 'a', 'a', 'b', 'b', 'b', 0, 0, 0, 0, 0, 0 };
	(void)state;
	assert_ok(ctx, phiz_image_decode(ctx, "P5 2 2 255\nab", 13, "half", &options, &out));
	assert_memory_equal(out.data, want, 12);
	phiz_image_free(ctx, &out);
}

/* --- EXIF. --- */

static void put16(unsigned char *p, unsigned v, bool big)
{
	p[big ? 0 : 1] = (unsigned char)(v >> 8);
	p[big ? 1 : 0] = (unsigned char)v;
}

/* A TIFF block of two entries, the second of which is the orientation. */
static size_t make_exif(unsigned char *p, bool big, unsigned type, unsigned value)
{
	memset(p, 0, 38);
	memcpy(p, big ? "MM\0*\0\0\0\x08" : "II*\0\x08\0\0\0", 8);
	put16(p + 8, 2, big);
	put16(p + 10, 0x010f, big);
	put16(p + 12, 2, big);
	put16(p + 22, 0x0112, big);
	put16(p + 24, type, big);
	put16(p + (big ? 28 : 26), 1, big);
	put16(p + (big && type == 4 ? 32 : 30), value, big);
	return 34;
}

static void test_exif(void **state)
{
	unsigned char block[64];
	(void)state;
	for (int big = 0; big < 2; big++) {
		for (unsigned o = 0; o < 12; o++) {
			size_t size = make_exif(block, big, 3, o);
			assert_int_equal(phiz_exif_orientation(block, size), o >= 1 && o <= 8 ? o : 1);
			make_exif(block, big, 4, o);
			assert_int_equal(phiz_exif_orientation(block, size), o >= 1 && o <= 8 ? o : 1);
		}
		size_t size = make_exif(block, big, 2, 6); /* text: not an orientation */
		assert_int_equal(phiz_exif_orientation(block, size), 1);
		size = make_exif(block, big, 3, 6);
		put16(block + 22, 0x0113, big); /* another tag */
		assert_int_equal(phiz_exif_orientation(block, size), 1);
	}
}

/* Every cut and every single changed byte, in memory of exactly that size: the sanitizer sees reads beyond it. */
static void test_exif_hostile(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= 34; cut++) {
		unsigned char block[64], *exact = phiz_alloc(ctx, cut ? cut : 1, 1);
		assert_non_null(exact);
		make_exif(block, cut % 2, 3, 6);
		memcpy(exact, block, cut);
		assert_int_equal(phiz_exif_orientation(exact, cut), cut == 34 ? 6 : 1);
		for (size_t i = 0; i < cut; i++)
			for (unsigned v = 0; v < 256; v += 5) {
				exact[i] = (unsigned char)v;
				int o = phiz_exif_orientation(exact, cut);
				assert_true(o >= 1 && o <= 8);
				exact[i] = block[i];
			}
		phiz_free(ctx, exact);
	}
}

/* --- Encoding and files. --- */

/* A JPEG with an EXIF segment in front. */
static void add_exif(const struct phiz_bytes *jpeg, unsigned orientation, struct phiz_bytes *out)
{
	unsigned char block[64];
	size_t size = make_exif(block, false, 3, orientation);
	phiz_bytes_add(out, jpeg->data, 2);
	phiz_bytes_add(out, "\xff\xe1\0\x2a" "Exif\0\0", 10); /* 42 = 2 + 6 + 34 */
	phiz_bytes_add(out, block, size);
	phiz_bytes_add(out, jpeg->data + 2, jpeg->size - 2);
}

static void test_jpeg(void **state)
{
	struct phiz_image image = make_image(40, 30, 3), plain, turned;
	struct phiz_bytes jpeg, exif;
	char folder[256], path[512];
	int w, h;
	(void)state;
	phiz_bytes_init(&jpeg, ctx);
	phiz_bytes_init(&exif, ctx);
	assert_fails(ctx, PHIZ_E_ARG, phiz_jpeg_encode(ctx, &image, 0, &jpeg));
	assert_fails(ctx, PHIZ_E_ARG, phiz_jpeg_encode(ctx, &image, 101, &jpeg));
	assert_ok(ctx, phiz_jpeg_encode(ctx, &image, 90, &jpeg));
	add_exif(&jpeg, 6, &exif);
	assert_ok(ctx, decode(jpeg.data, jpeg.size, &plain));
	assert_ok(ctx, decode(exif.data, exif.size, &turned));
	assert_ok(ctx, phiz_image_orient(ctx, 6, &plain));
	assert_same(&plain, &turned);
	test_folder(folder);
	snprintf(path, sizeof path, "%s/x", folder);
	assert_ok(ctx, phiz_file_write(ctx, path, exif.data, exif.size));
	assert_ok(ctx, phiz_image_probe(ctx, path, &w, &h));
	assert_int_equal(w, 30);
	assert_int_equal(h, 40);
	test_folder_done(folder);
	/* Cut anywhere, it is refused; only the end marker may be missing. */
	for (size_t cut = 2; cut < jpeg.size - 2; cut += 7) {
		struct phiz_image out;
		assert_fails(ctx, PHIZ_E_FORMAT, decode(jpeg.data, cut, &out));
		assert_null(out.data);
	}
	phiz_image_free(ctx, &turned);
	assert_ok(ctx, decode(jpeg.data, jpeg.size - 2, &turned));
	assert_ok(ctx, phiz_image_orient(ctx, 6, &turned));
	assert_same(&plain, &turned);
	phiz_bytes_free(&jpeg);
	phiz_bytes_free(&exif);
	phiz_image_free(ctx, &image);
	phiz_image_free(ctx, &plain);
	phiz_image_free(ctx, &turned);
}

static void test_scaled(void **state)
{
	static const struct {
		int min_side, width, height;
	} rows[] = { { 0, 203, 101 }, { 102, 203, 101 }, { 52, 203, 101 }, { 51, 102, 51 }, { 26, 51, 26 }, { 14, 51, 26 },
		     { 13, 26, 13 },  { 1, 26, 13 } };
	struct phiz_image image = make_image(203, 101, 3), out;
	struct phiz_bytes jpeg;
	(void)state;
	phiz_bytes_init(&jpeg, ctx);
	assert_ok(ctx, phiz_jpeg_encode(ctx, &image, 90, &jpeg));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct phiz_decode_options options = { 0, rows[i].min_side, false };
		assert_ok(ctx, phiz_image_decode(ctx, jpeg.data, jpeg.size, "x", &options, &out));
		assert_int_equal(out.width, rows[i].width);
		assert_int_equal(out.height, rows[i].height);
		phiz_image_free(ctx, &out);
	}
	phiz_bytes_free(&jpeg);
	phiz_image_free(ctx, &image);
}

static void test_png(void **state)
{
	(void)state;
	for (int channels = 1; channels <= 3; channels += 2) {
		struct phiz_image image = make_image(33, 17, channels), out, gray;
		struct phiz_bytes png;
		phiz_bytes_init(&png, ctx);
		assert_ok(ctx, phiz_png_encode(ctx, &image, &png));
		assert_ok(ctx, decode(png.data, png.size, &out));
		if (channels == 1) {
			assert_ok(ctx, phiz_image_to_gray(ctx, &out, &gray));
			assert_same(&gray, &image);
			phiz_image_free(ctx, &gray);
		} else {
			assert_same(&out, &image);
		}
		phiz_image_free(ctx, &out);
		for (size_t cut = 8; cut < png.size; cut += 5) {
			assert_fails(ctx, PHIZ_E_FORMAT, decode(png.data, cut, &out));
			assert_message(ctx, "truncated");
		}
		/* Any changed byte is seen, by a checksum at the latest. */
		for (size_t i = 8; i < png.size; i += 3) {
			png.data[i] = (char)(png.data[i] ^ 0x10);
			enum phiz_status status = decode(png.data, png.size, &out);
			assert_true(status == PHIZ_E_FORMAT || status == PHIZ_E_LIMIT);
			png.data[i] = (char)(png.data[i] ^ 0x10);
		}
		phiz_bytes_free(&png);
		phiz_image_free(ctx, &image);
	}
}

static void test_files(void **state)
{
	char folder[256], path[512];
	static const char *const names[] = { "a.png", "b.PPM", "c.jpg", "d.JPEG" };
	struct phiz_image image = make_image(19, 23, 3), out;
	int w, h;
	(void)state;
	test_folder(folder);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_ok(ctx, phiz_image_write(ctx, path, &image, 90));
		assert_ok(ctx, phiz_image_read(ctx, path, NULL, &out));
		assert_int_equal(out.width, 19);
		if (i < 2)
			assert_same(&image, &out);
		phiz_image_free(ctx, &out);
		assert_ok(ctx, phiz_image_probe(ctx, path, &w, &h));
		assert_int_equal(w, 19);
		assert_int_equal(h, 23);
	}
	snprintf(path, sizeof path, "%s/e.gif", folder);
	assert_fails(ctx, PHIZ_E_ARG, phiz_image_write(ctx, path, &image, 90));
	assert_false(phiz_path_is_file(path));
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_image_read(ctx, path, NULL, &out));
	assert_message(ctx, "e.gif");
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_image_probe(ctx, path, &w, &h));
	phiz_image_free(ctx, &image);
	test_folder_done(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),     cmocka_unit_test(test_crop),         cmocka_unit_test(test_flip),
		cmocka_unit_test(test_orient),     cmocka_unit_test(test_resize_limits), cmocka_unit_test(test_affine_far),
		cmocka_unit_test(test_sniff),      cmocka_unit_test(test_refuse_kinds), cmocka_unit_test(test_pnm),
		cmocka_unit_test(test_refuse_pnm), cmocka_unit_test(test_limits),       cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_exif),       cmocka_unit_test(test_exif_hostile), cmocka_unit_test(test_jpeg),
		cmocka_unit_test(test_scaled),     cmocka_unit_test(test_png),          cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
