/* Cutting faces out: crops of a picture that is a smooth function of place must be that function at the transformed
 * places, whatever the scale; boxes; faces that reach outside; faces that cannot be cut; memory. */
#include "support/support.h"

#include <stdlib.h>

#include <phiz/align.h>

enum { WIDTH = 640, HEIGHT = 480 };

/* Grey levels of channel c at (x, y); waves of `wave` pixels and more. */
static double level(double x, double y, int c, double wave)
{
	double k = 2 * 3.14159265358979 / wave;
	return 128 + 60 * sin(k * x + c) + 50 * cos(k * 0.8 * y - c);
}

static void paint(struct phiz_ctx *ctx, int width, int height, double wave, struct phiz_image *image)
{
	double row[WIDTH * 3];

	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, image));
	for (int i = 0; i < width * 3; i++)
		row[i] = level(i / 3 + 0.5, 0, i % 3, wave) + 0.5;
	for (int y = 0; y < height; y++) /* the function is a sum of one of x and one of y */
		for (int c = 0; c < 3; c++) {
			double shift = level(0, y + 0.5, c, wave) - level(0, 0, c, wave);
			for (int x = 0; x < width; x++)
				image->data[(y * width + x) * 3 + c] = (uint8_t)(row[x * 3 + c] + shift);
		}
}

/* Largest difference of the crop from the function at m(its pixels), over the pixels that come from inside of the image
 * by `border` of its pixels; those that come from outside must be black. */
static void check_crop(const struct phiz_image *crop, const struct phiz_image *image, const double m[6], double wave,
                       double border, double allowed)
{
	double worst = 0;
	int inside = 0;

	for (int y = 0; y < crop->height; y++)
		for (int x = 0; x < crop->width; x++) {
			double sx = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2], sy = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
			const uint8_t *p = crop->data + (y * crop->width + x) * 3;
			bool in = sx > border && sy > border && sx < image->width - border && sy < image->height - border;
			bool out = sx < -border || sy < -border || sx > image->width + border || sy > image->height + border;
			for (int c = 0; c < 3 && in; c++)
				worst = fmax(worst, fabs(p[c] - level(sx, sy, c, wave)));
			if (out && (p[0] || p[1] || p[2]))
				fail_msg("(%d, %d) lies outside of the picture and is not black", x, y);
			inside += in;
		}
	print_message("           %d pixels inside, largest difference %.2f grey levels (allowed %.1f)\n", inside, worst,
	              allowed);
	assert_true(worst <= allowed);
}

static struct phiz_face turned_face(int size, double scale, double angle, double x, double y)
{
	struct phiz_face face = {.score = 1};
	float t[PHIZ_LANDMARKS][2];

	phiz_align_template(size, t);
	for (int i = 0; i < PHIZ_LANDMARKS; i++) {
		double dx = (double)t[i][0] - size / 2.0, dy = (double)t[i][1] - size / 2.0;
		face.landmark[i][0] = (float)(x + scale * (cos(angle) * dx - sin(angle) * dy));
		face.landmark[i][1] = (float)(y + scale * (sin(angle) * dx + cos(angle) * dy));
	}
	return face;
}

static void arcface_at_any_scale(void **state)
{
	(void)state;
	static const struct {
		int size;
		double scale, angle, x, y;
	} cases[] = {
		{112, 1, 0, 320, 240},    {112, 0.2, 0.4, 300, 200}, {112, 0.02, 0, 300, 200}, {112, 1.4, -0.6, 320, 240},
		{112, 1.6, 0.3, 300, 250}, {112, 3, 0.8, 320, 240},   {112, 4, -0.2, 100, 100}, {64, 6, 3.1, 320, 240},
		{224, 1, 0.1, 10, 470},   {16, 25, 0.2, 320, 240},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image, crop;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		double scale = cases[i].scale, wave = 100 + 40 * scale, s = cases[i].size;
		double c = scale * cos(cases[i].angle), d = scale * sin(cases[i].angle);
		double m[6] = {c, -d, cases[i].x - c * s / 2 + d * s / 2, d, c, cases[i].y - d * s / 2 - c * s / 2};
		struct phiz_align align = {PHIZ_ALIGN_ARCFACE, 0, cases[i].size};
		struct phiz_face face = turned_face(cases[i].size, scale, cases[i].angle, cases[i].x, cases[i].y);
		paint(ctx, WIDTH, HEIGHT, wave, &image);
		assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &face, &crop));
		check_crop(&crop, &image, m, wave, 1 + 2 * scale, scale > 1.5 ? 3 : 1.6);
		phiz_image_free(ctx, &crop);
		phiz_image_free(ctx, &image);
	}
	test_ctx_done(&ctx);
}

static void boxes(void **state)
{
	(void)state;
	static const struct {
		enum phiz_align_kind kind;
		double margin;
		int size;
		float box[4];
		double x, y, w, h; /* of the part that becomes the crop */
	} cases[] = {
		{PHIZ_ALIGN_BOX, 0, 64, {100, 50, 40, 60}, 90, 50, 60, 60},
		{PHIZ_ALIGN_BOX, 0.5, 64, {100, 50, 40, 60}, 75, 35, 90, 90},
		{PHIZ_ALIGN_BOX, 4, 160, {300, 200, 60, 40}, 180, 70, 300, 300},
		{PHIZ_ALIGN_FACENET, 0, 96, {100, 50, 40, 60}, 100, 50, 40, 60},
		{PHIZ_ALIGN_FACENET, 32, 160, {100, 60, 100, 120}, 87.5, 45, 125, 150},
		{PHIZ_ALIGN_FACENET, 14, 112, {-40, -30, 98, 112}, -47, -38, 112, 128}, /* reaches outside */
		{PHIZ_ALIGN_BOX, 0.2, 48, {500, 380, 200, 150}, 480, 335, 240, 240},
		{PHIZ_ALIGN_BOX, 0, 32, {0, 0, 640, 480}, 0, -80, 640, 640}, /* huge */
		{PHIZ_ALIGN_BOX, 0, 32, {200, 200, 0.5f, 0.4f}, 200, 199.95, 0.5, 0.5}, /* tiny */
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image, crop;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct phiz_align align = {cases[i].kind, cases[i].margin, cases[i].size};
		struct phiz_face face = {.score = 1};
		double kx = cases[i].w / cases[i].size, ky = cases[i].h / cases[i].size, k = fmax(kx, ky);
		double wave = 100 + 40 * k;
		double m[6] = {kx, 0, cases[i].x, 0, ky, cases[i].y};
		memcpy(face.box, cases[i].box, sizeof face.box);
		paint(ctx, WIDTH, HEIGHT, wave, &image);
		assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &face, &crop));
		assert_int_equal(crop.width, cases[i].size);
		assert_int_equal(crop.height, cases[i].size);
		check_crop(&crop, &image, m, wave, 1 + 2 * k, k > 1.5 ? 3 : 1.6);
		phiz_image_free(ctx, &crop);
		phiz_image_free(ctx, &image);
	}
	test_ctx_done(&ctx);
}

/* A chequered photo, made 16 times smaller: without antialiasing it would be black and white. */
static void shrinking_is_antialiased(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_align align = {PHIZ_ALIGN_BOX, 0, 16};
	struct phiz_face face = {.box = {64, 64, 256, 256}, .score = 1};
	struct phiz_image image, crop;

	assert_ok(ctx, phiz_image_create(ctx, 400, 400, 3, &image));
	for (int i = 0; i < 400 * 400 * 3; i++)
		image.data[i] = (i / 3 % 400 + i / 1200) % 2 ? 255 : 0;
	assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &face, &crop));
	for (int i = 0; i < 16 * 16 * 3; i++)
		assert_in_range(crop.data[i], 120, 135);
	phiz_image_free(ctx, &crop);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

static void outside_none_and_grey(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_align align = {PHIZ_ALIGN_BOX, 0, 16}, none = {PHIZ_ALIGN_NONE, 0, 0};
	struct phiz_face far = {.box = {5000, -900, 30, 30}, .score = 1}, whole = {.box = {0, 0, 20, 30}, .score = 1};
	struct phiz_image image, crop;

	paint(ctx, 20, 30, 100, &image);
	assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &far, &crop)); /* wholly outside, small and large */
	for (int i = 0; i < 16 * 16 * 3; i++)
		assert_int_equal(crop.data[i], 0);
	phiz_image_free(ctx, &crop);
	far.box[2] = far.box[3] = 900;
	far.box[1] = -2000;
	assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &far, &crop));
	for (int i = 0; i < 16 * 16 * 3; i++)
		assert_int_equal(crop.data[i], 0);
	phiz_image_free(ctx, &crop);
	assert_ok(ctx, phiz_align_crop(ctx, &none, &image, &whole, &crop));
	assert_int_equal(crop.width, 20);
	assert_int_equal(crop.height, 30);
	assert_memory_equal(crop.data, image.data, 20 * 30 * 3);
	phiz_image_free(ctx, &crop);
	phiz_image_free(ctx, &image);
	assert_ok(ctx, phiz_image_create(ctx, 1, 1, 1, &image)); /* one grey pixel */
	image.data[0] = 77;
	whole.box[2] = whole.box[3] = 1;
	assert_ok(ctx, phiz_align_crop(ctx, &align, &image, &whole, &crop));
	assert_int_equal(crop.channels, 1);
	for (int i = 0; i < 16 * 16; i++)
		assert_int_equal(crop.data[i], 77);
	phiz_image_free(ctx, &crop);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

static void what_cannot_be_cut(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image, crop;
	struct phiz_face face;
	double m[6];

	paint(ctx, 40, 40, 100, &image);
	struct phiz_align arcface = {PHIZ_ALIGN_ARCFACE, 0, 112}, box = {PHIZ_ALIGN_BOX, 0, 32};
	for (int i = 0; i < 4; i++) {
		face = turned_face(112, 1, 0, 20, 20);
		for (int k = 0; k < PHIZ_LANDMARKS; k++)
			if (i == 0) /* all in one point */
				face.landmark[k][0] = face.landmark[k][1] = 7;
		if (i == 1)
			face.landmark[2][1] = NAN;
		if (i == 2)
			face.landmark[2][1] = INFINITY;
		if (i == 3)
			face.landmark[2][1] = 1e9f;
		assert_fails(ctx, PHIZ_E_ARG, phiz_align_crop(ctx, &arcface, &image, &face, &crop));
		assert_message(ctx, "landmarks allow no transform");
		assert_null(crop.data);
	}
	static const float bad[][4] = {{0, 0, 0, 10}, {0, 0, 10, -1}, {NAN, 0, 10, 10}, {0, 0, INFINITY, 10},
	                               {0, 0, 3e6f, 10}};
	for (int i = 0; i < 5; i++) {
		memset(&face, 0, sizeof face);
		memcpy(face.box, bad[i], sizeof face.box);
		assert_fails(ctx, PHIZ_E_ARG, phiz_align_crop(ctx, &box, &image, &face, &crop));
		assert_message(ctx, "empty box");
	}
	static const struct phiz_align wrong[] = {
		{PHIZ_ALIGN_ARCFACE, 0, 15}, {PHIZ_ALIGN_ARCFACE, 0, 1025}, {PHIZ_ALIGN_ARCFACE, 1, 112},
		{PHIZ_ALIGN_FACENET, 160, 160}, {PHIZ_ALIGN_FACENET, -1, 160}, {PHIZ_ALIGN_BOX, 4.1, 64},
		{PHIZ_ALIGN_BOX, NAN, 64}, {PHIZ_ALIGN_NONE, 0, 112}, {(enum phiz_align_kind)9, 0, 64},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_fails(ctx, PHIZ_E_ARG, phiz_align_crop(ctx, &wrong[i], &image, &face, &crop));
	float same[2][2] = {{3, 4}, {3, 4}}, to[2][2] = {{0, 0}, {1, 1}};
	assert_false(phiz_align_similarity((const float(*)[2])same, (const float(*)[2])to, 2, m));
	enum phiz_align_kind kind;
	for (int i = 0; i < 4; i++) {
		assert_true(phiz_align_parse(phiz_align_name((enum phiz_align_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(phiz_align_parse("eyes", &kind));
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

static enum phiz_status cut(struct phiz_ctx *ctx, void *user)
{
	struct phiz_align align = {PHIZ_ALIGN_ARCFACE, 0, 16};
	struct phiz_face face = turned_face(16, 4, 0.3, 50, 40);
	struct phiz_image crop;
	enum phiz_status status = phiz_align_crop(ctx, &align, user, &face, &crop);

	phiz_image_free(ctx, &crop);
	return status;
}

static void memory_may_run_out_anywhere(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image;

	paint(ctx, 100, 80, 100, &image);
	test_every_oom(ctx, cut, &image);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arcface_at_any_scale),  cmocka_unit_test(boxes), cmocka_unit_test(shrinking_is_antialiased),
		cmocka_unit_test(outside_none_and_grey), cmocka_unit_test(what_cannot_be_cut),
		cmocka_unit_test(memory_may_run_out_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
