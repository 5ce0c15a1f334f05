/* datasets/augment against torchvision 0.14 on Pillow 9.4 images, for the same drawn parameters (augment.bin, made by
 * make_image.py). Bit for bit, but for the blur: its sums are rounded in another order, so a byte in 500 may be off by
 * one. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "datasets/augment.h"
#include "golden/cases.h"

static void fill_of(const double *p, uint8_t fill[3])
{
	for (int i = 0; i < 3; i++)
		fill[i] = (uint8_t)p[i];
}

static void run_rotate(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	uint8_t fill[3];
	fill_of(c->param + 2, fill);
	assert_ok(ctx, phiz_apply_rotate(ctx, image, c->param[0], c->param[1] != 0, fill));
	cases_compare(c, image, 0, 0);
}

static void run_shift(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	uint8_t fill[3];
	const int shift[2] = { (int)c->param[0], (int)c->param[1] };
	fill_of(c->param + 4, fill);
	assert_ok(ctx, phiz_apply_affine(ctx, image, shift, c->param[2], c->param[3] != 0, fill));
	cases_compare(c, image, 0, 0);
}

static void run_resized_crop(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	const double *p = c->param;
	const struct phiz_box box = { (int)p[0], (int)p[1], (int)p[2], (int)p[3] };
	struct phiz_image out;
	assert_ok(ctx, phiz_apply_resized_crop(ctx, image, &box, (int)p[4], &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static void run_brightness(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	(void)ctx;
	phiz_apply_brightness(image, c->param[0]);
	cases_compare(c, image, 0, 0);
}

static void run_contrast(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	(void)ctx;
	phiz_apply_contrast(image, c->param[0]);
	cases_compare(c, image, 0, 0);
}

static void run_saturation(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	(void)ctx;
	phiz_apply_saturation(image, c->param[0]);
	cases_compare(c, image, 0, 0);
}

static void run_hue(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	(void)ctx;
	phiz_apply_hue(image, c->param[0]);
	cases_compare(c, image, 0, 0);
}

static void run_grayscale(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	(void)ctx;
	phiz_apply_gray(image);
	cases_compare(c, image, 0, 0);
}

static void run_blur(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	assert_ok(ctx, phiz_apply_blur(ctx, image, (int)c->param[0], c->param[1]));
	cases_compare(c, image, 1, 1.0 / 500);
}

static void run_jpeg(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	assert_ok(ctx, phiz_apply_jpeg(ctx, image, (int)c->param[0]));
	cases_compare(c, image, 0, 0);
}

static struct phiz_box box_of(const double *p)
{
	return (struct phiz_box){ (int)p[0], (int)p[1], (int)p[2], (int)p[3] };
}

/* crop, box, flip, angle, order, factors, gray, erase, size: the reference recipe from the photo to the planes. */
static void run_recipe(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	const double *p = c->param;
	struct phiz_augment a;
	struct phiz_preproc pre;
	struct phiz_augment_draw draw;
	struct phiz_image out;
	phiz_augment_defaults(&a);
	phiz_preproc_torchvision(&pre);
	memset(&draw, 0, sizeof draw);
	pre.crop = p[0];
	pre.size = (int)p[20];
	draw.crop = box_of(p + 1);
	draw.flip = p[5] != 0;
	draw.angle = p[6];
	draw.jitter_steps = 4;
	for (int i = 0; i < 4; i++) {
		draw.jitter_order[i] = (enum phiz_jitter_step)p[7 + i];
		draw.jitter_factor[i] = p[11 + i];
	}
	draw.gray = p[15] != 0;
	draw.erase = box_of(p + 16);
	assert_ok(ctx, phiz_augment_image(ctx, &a, &pre, &draw, image, &out));
	float *planes = phiz_alloc(ctx, (size_t)pre.size * (size_t)pre.size * 3, sizeof *planes);
	assert_non_null(planes);
	phiz_preproc_normalize(&pre, &out, planes);
	phiz_apply_erase(planes, pre.size, pre.size, &draw.erase, NULL);
	cases_compare_floats(c, planes);
	phiz_free(ctx, planes);
	phiz_image_free(ctx, &out);
}

static const struct {
	const char *op;
	void (*run)(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image);
} ops[] = {
	{ "rotate", run_rotate },         { "shift", run_shift },       { "resized_crop", run_resized_crop },
	{ "brightness", run_brightness }, { "contrast", run_contrast }, { "saturation", run_saturation },
	{ "hue", run_hue },               { "blur", run_blur },         { "grayscale", run_grayscale },
	{ "jpeg", run_jpeg },             { "recipe", run_recipe },
};

static void test_cases(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct golden_cases cases;
	struct golden_case c;
	int count = 0;
	(void)state;
	cases_open(ctx, "augment.bin", &cases);
	while (cases_next(&cases, &c)) {
		struct phiz_image image;
		size_t i = 0;
		cases_picture(ctx, c.in_width, c.in_height, c.in_channels, c.seed, &image);
		while (i < sizeof ops / sizeof *ops && strcmp(ops[i].op, c.op) != 0)
			i++;
		if (i == sizeof ops / sizeof *ops)
			fail_msg("augment.bin: unknown op %s", c.op);
		ops[i].run(ctx, &c, &image);
		phiz_image_free(ctx, &image);
		count++;
	}
	assert_true(count > 80);
	phiz_bytes_free(&cases.file);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
