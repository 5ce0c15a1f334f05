/* core/image against Pillow 9.4 and torchvision 0.14 (image.bin, made by make_image.py): all of it bit for bit. */
#include "support/support.h"

#include <phiz/preproc.h>

#include "core/base/alloc.h"
#include "golden/cases.h"

static void run_resize(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_image out;
	assert_ok(ctx, phiz_image_resize(ctx, image, c->width, c->height, c->n ? c->param : NULL, &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static void run_affine(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_image out;
	const double *p = c->param;
	const uint8_t fill[3] = { (uint8_t)p[7], (uint8_t)p[8], (uint8_t)p[9] };
	assert_ok(ctx, phiz_image_affine(ctx, image, p, c->width, c->height, p[6] != 0, fill, &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static void run_gray(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_image out;
	assert_ok(ctx, phiz_image_to_gray(ctx, image, &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static void run_geometry(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_image out;
	struct phiz_preproc p;
	phiz_preproc_torchvision(&p);
	p.mode = c->param[0] != 0 ? PHIZ_RESIZE_SHORT : PHIZ_RESIZE_STRETCH;
	p.crop = c->param[1];
	p.resize = (int)c->param[2];
	p.size = (int)c->param[3];
	assert_ok(ctx, phiz_preproc_geometry(ctx, &p, image, &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static void run_normalize(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_preproc p;
	phiz_preproc_torchvision(&p);
	float *out = phiz_alloc(ctx, (size_t)c->width * (size_t)c->height, sizeof *out);
	assert_non_null(out);
	phiz_preproc_normalize(&p, image, out);
	cases_compare_floats(c, out);
	phiz_free(ctx, out);
}

static void run_decode(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image)
{
	struct phiz_image out;
	(void)image;
	assert_ok(ctx, phiz_image_decode(ctx, c->blob, c->blob_size, c->name, NULL, &out));
	cases_compare(c, &out, 0, 0);
	phiz_image_free(ctx, &out);
}

static const struct {
	const char *op;
	void (*run)(struct phiz_ctx *ctx, const struct golden_case *c, struct phiz_image *image);
} ops[] = {
	{ "resize", run_resize },     { "affine", run_affine },       { "gray", run_gray },
	{ "geometry", run_geometry }, { "normalize", run_normalize }, { "decode", run_decode },
};

static void test_cases(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct golden_cases cases;
	struct golden_case c;
	int count = 0;
	(void)state;
	cases_open(ctx, "image.bin", &cases);
	while (cases_next(&cases, &c)) {
		struct phiz_image image = { 0 };
		size_t i = 0;
		if (c.in_width)
			cases_picture(ctx, c.in_width, c.in_height, c.in_channels, c.seed, &image);
		while (i < sizeof ops / sizeof *ops && strcmp(ops[i].op, c.op) != 0)
			i++;
		if (i == sizeof ops / sizeof *ops)
			fail_msg("image.bin: unknown op %s", c.op);
		ops[i].run(ctx, &c, &image);
		phiz_image_free(ctx, &image);
		count++;
	}
	assert_true(count > 50);
	print_message("           %d cases equal to the last bit\n", count);
	phiz_bytes_free(&cases.file);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
