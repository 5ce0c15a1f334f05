/* Draws: ranges, distributions, fall-backs, reproducibility; settings and what they refuse; order and identity. */
#include "support/support.h"

#include <stdlib.h>

#include "core/base/alloc.h"
#include "datasets/augment.h"

enum { DRAWS = 20000 };

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

static struct phiz_rng rng_at(uint64_t sample)
{
	struct phiz_rng rng;
	phiz_rng_init(&rng, 42, 3, sample, PHIZ_STREAM_AUGMENT);
	return rng;
}

/* The mean of DRAWS draws of variance `variance` must be within five standard errors. */
static void assert_mean(const char *what, double sum, double want, double variance)
{
	double error = fabs(sum / DRAWS - want), most = 5 * sqrt(variance / DRAWS);
	if (!(error <= most))
		fail_msg("%s: mean %g, want %g within %g", what, sum / DRAWS, want, most);
}

/* The published Jetson Nano recipe. */
static void classic(struct phiz_augment *a)
{
	phiz_augment_defaults(a);
	a->crop = true;
	a->flip = 0.5;
	a->rotation = 30;
	a->brightness = a->contrast = a->saturation = a->hue = 0.2;
	a->gray = 0.1;
}

static void strong(struct phiz_augment *a)
{
	classic(a);
	a->crop_scale[0] = 0.5;
	a->bilinear = true;
	a->translate[0] = a->translate[1] = 0.1;
	a->zoom[0] = 0.9;
	a->zoom[1] = 1.1;
	a->jitter = 0.8;
	a->blur = 0.2;
	a->jpeg = 0.3;
	a->erase = 0.25;
	a->mixup = 0.2;
}

static void test_crop_ranges(void **state)
{
	static const double scale[2] = { 0.08, 1.0 }, ratio[2] = { 3.0 / 4.0, 4.0 / 3.0 };
	struct phiz_rng rng = rng_at(0);
	double left = 0, share = 0;
	int wide = 0;
	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		struct phiz_box b;
		phiz_draw_resized_crop(&rng, 300, 300, scale, ratio, &b);
		assert_true(b.x >= 0 && b.y >= 0 && b.w >= 1 && b.h >= 1 && b.x + b.w <= 300 && b.y + b.h <= 300);
		/* Sides are rounded to whole pixels. */
		double area = (double)b.w * b.h / 90000, aspect = (double)b.w / b.h;
		assert_true(area > 0.08 - 0.004 && area <= 1.0);
		assert_true(aspect > 0.75 - 0.02 && aspect < 4.0 / 3.0 + 0.02);
		left += b.w == 300 ? 0.5 : (double)b.x / (300 - b.w);
		share += area;
		wide += b.w > b.h;
	}
	/* Fits that fail are drawn again, so the mean is below 0.54. torchvision's get_params, 60,000 draws: 0.4786,
	 * deviation 0.2340. */
	assert_mean("share of the area", share, 0.4786, 0.2340 * 0.2340);
	assert_mean("place", left, 0.5, 1.0 / 12);
	assert_true(abs(2 * wide - DRAWS) < DRAWS / 10);
}

static void test_crop_fallback(void **state)
{
	static const double all[2] = { 1.0, 1.0 }, ratio[2] = { 3.0 / 4.0, 4.0 / 3.0 };
	struct phiz_rng rng = rng_at(1);
	struct phiz_box b;
	(void)state;
	/* The whole area at these ratios never fits: the central crop of the nearest ratio. */
	phiz_draw_resized_crop(&rng, 1000, 100, all, ratio, &b);
	assert_int_equal(b.h, 100);
	assert_int_equal(b.w, 133);
	assert_int_equal(b.x, 433);
	assert_int_equal(b.y, 0);
	phiz_draw_resized_crop(&rng, 90, 1000, all, ratio, &b);
	assert_int_equal(b.w, 90);
	assert_int_equal(b.h, 120);
	assert_int_equal(b.x, 0);
	assert_int_equal(b.y, 440);
	phiz_draw_resized_crop(&rng, 20000, 1, all, ratio, &b);
	assert_int_equal(b.w, 1);
	assert_int_equal(b.h, 1);
	/* One pixel: nothing else to take. */
	phiz_draw_resized_crop(&rng, 1, 1, all, ratio, &b);
	assert_int_equal(b.w, 1);
	assert_int_equal(b.h, 1);
}

static void test_erase_ranges(void **state)
{
	static const double scale[2] = { 0.02, 0.33 }, ratio[2] = { 0.3, 3.3 }, whole[2] = { 1, 1 }, square[2] = { 1, 1 };
	struct phiz_rng rng = rng_at(2);
	struct phiz_box b;
	double share = 0;
	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		phiz_draw_erase(&rng, 224, 224, scale, ratio, &b);
		assert_true(b.w >= 1 && b.h >= 1 && b.w < 224 && b.h < 224);
		assert_true(b.x >= 0 && b.y >= 0 && b.x + b.w <= 224 && b.y + b.h <= 224);
		double area = (double)b.w * b.h / (224 * 224), aspect = (double)b.h / b.w;
		assert_true(area > 0.018 && area < 0.335 && aspect > 0.28 && aspect < 3.5);
		share += area;
	}
	/* torchvision's get_params, 60,000 draws: 0.1750, deviation 0.0893. */
	assert_mean("erased share", share, 0.1750, 0.0893 * 0.0893);
	phiz_draw_erase(&rng, 224, 224, whole, square, &b);
	assert_int_equal(b.w, 0);
}

static void test_sample_rates(void **state)
{
	struct phiz_augment a;
	double angle = 0, angle2 = 0, brightness = 0, hue = 0, zoom = 0;
	int flip = 0, gray = 0, jitter = 0, first[4] = { 0 }, blur = 0, jpeg = 0, erase = 0, right = 0;
	(void)state;
	strong(&a);
	assert_ok(ctx, phiz_augment_check(ctx, &a));
	for (int i = 0; i < DRAWS; i++) {
		struct phiz_rng rng = rng_at((uint64_t)i);
		struct phiz_augment_draw d;
		phiz_augment_sample(&a, &rng, 250, 250, 112, &d);
		flip += d.flip;
		gray += d.gray;
		jitter += d.jitter_steps == 4;
		assert_true(d.jitter_steps == 0 || d.jitter_steps == 4);
		blur += d.blur_sigma > 0;
		jpeg += d.jpeg_quality > 0;
		erase += d.erase.w > 0;
		right += d.shift[0];
		zoom += d.zoom;
		angle += d.angle;
		angle2 += d.angle * d.angle;
		assert_true(fabs(d.angle) <= 30 && abs(d.shift[0]) <= 11 && abs(d.shift[1]) <= 11);
		assert_true(d.zoom >= 0.9 && d.zoom < 1.1 && d.affine);
		assert_true(d.jpeg_quality == 0 || (d.jpeg_quality >= 30 && d.jpeg_quality <= 95));
		assert_true(d.blur_sigma == 0 || (d.blur_sigma >= 0.1 && d.blur_sigma < 2));
		for (int k = 0; k < d.jitter_steps; k++) {
			bool is_hue = d.jitter_order[k] == PHIZ_JITTER_HUE;
			assert_true(fabs(d.jitter_factor[k] - (is_hue ? 0 : 1)) <= 0.2);
			brightness += d.jitter_order[k] == PHIZ_JITTER_BRIGHTNESS ? d.jitter_factor[k] - 1 : 0;
			hue += is_hue ? d.jitter_factor[k] : 0;
		}
		if (d.jitter_steps)
			first[d.jitter_order[0]]++;
	}
	assert_mean("flip", flip, 0.5, 0.25);
	assert_mean("gray", gray, 0.1, 0.09);
	assert_mean("jitter", jitter, 0.8, 0.16);
	assert_mean("blur", blur, 0.2, 0.16);
	assert_mean("jpeg", jpeg, 0.3, 0.21);
	assert_mean("erase", erase, 0.25, 0.1875);
	assert_mean("angle", angle, 0, 300);
	assert_mean("angle squared", angle2, 300, 900.0 * 900 * 4 / 45);
	assert_mean("brightness", brightness, 0, 0.04 / 3);
	assert_mean("hue", hue, 0, 0.04 / 3);
	assert_mean("zoom", zoom, 1, 0.04 / 12);
	assert_mean("shift", right, 0, 11.2 * 11.2 / 3);
	for (int k = 0; k < 4; k++)
		assert_mean("first of the jitter", first[k], 0.2, 0.16);
}

static void test_jitter_subset(void **state)
{
	struct phiz_augment a;
	struct phiz_augment_draw d;
	(void)state;
	phiz_augment_defaults(&a);
	a.contrast = 2; /* cut off at 0 below */
	a.hue = 0.5;
	for (uint64_t i = 0; i < 500; i++) {
		struct phiz_rng rng = rng_at(i);
		phiz_augment_sample(&a, &rng, 50, 50, 32, &d);
		assert_int_equal(d.jitter_steps, 2);
		for (int k = 0; k < 2; k++) {
			bool is_hue = d.jitter_order[k] == PHIZ_JITTER_HUE;
			assert_true(is_hue || d.jitter_order[k] == PHIZ_JITTER_CONTRAST);
			assert_true(is_hue ? fabs(d.jitter_factor[k]) <= 0.5
			                   : d.jitter_factor[k] >= 0 && d.jitter_factor[k] <= 3);
		}
	}
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)). */
static void test_mixup(void **state)
{
	static const double alphas[] = { 0.01, 0.2, 0.4, 1.0, 8.0 };
	float x[3] = { 1, 2, 4 };
	static const float y[3] = { 5, 2, 0 }, want[3] = { 4, 2, 1 };
	(void)state;
	for (size_t k = 0; k < sizeof alphas / sizeof *alphas; k++) {
		struct phiz_rng rng = rng_at(100 + k);
		double sum = 0, sum2 = 0, variance = 1 / (4 * (2 * alphas[k] + 1));
		for (int i = 0; i < DRAWS; i++) {
			double v = phiz_mixup_lambda(&rng, alphas[k]);
			assert_true(v >= 0 && v <= 1);
			sum += v;
			sum2 += (v - 0.5) * (v - 0.5);
		}
		assert_mean("lambda", sum, 0.5, variance);
		assert_mean("variance of lambda", sum2, variance, variance / 4);
	}
	phiz_mixup_apply(x, y, 3, 0.25f);
	assert_memory_equal(x, want, sizeof want);
}

static void test_check(void **state)
{
	struct phiz_augment a;
	(void)state;
#define REFUSED(change, text) \
	do { \
		strong(&a); \
		change; \
		assert_fails(ctx, PHIZ_E_ARG, phiz_augment_check(ctx, &a)); \
		assert_message(ctx, text); \
	} while (0)
	REFUSED(a.flip = 1.5, "augment.flip: want 0 to 1, got 1.5");
	REFUSED(a.gray = -0.1, "augment.gray");
	REFUSED(a.rotation = NAN, "augment.rotation");
	REFUSED(a.hue = 0.6, "augment.hue: want 0 to 0.5, got 0.6");
	REFUSED(a.crop_scale[0] = 0, "augment.crop_scale: want 0 < low <= high <= 1, got 0, 1");
	REFUSED(a.crop_scale[1] = 0.4, "augment.crop_scale");
	REFUSED(a.crop_ratio[0] = INFINITY, "augment.crop_ratio");
	REFUSED(a.zoom[0] = 0, "augment.zoom");
	REFUSED(a.translate[1] = 2, "augment.translate");
	REFUSED(a.blur_kernel = 4, "augment.blur_kernel");
	REFUSED(a.blur_sigma[0] = 0, "augment.blur_sigma");
	REFUSED(a.jpeg_quality[0] = 0, "augment.jpeg_quality");
	REFUSED(a.jpeg_quality[1] = 20, "augment.jpeg_quality");
	REFUSED(a.erase_scale[1] = 1.1, "augment.erase_scale");
	REFUSED(a.mixup = -1, "augment.mixup");
#undef REFUSED
	/* What is off may be anything. */
	memset(&a, 0, sizeof a);
	assert_ok(ctx, phiz_augment_check(ctx, &a));
	assert_false(phiz_augment_is_on(&a));
	phiz_augment_defaults(&a);
	assert_false(phiz_augment_is_on(&a));
	a.mixup = 0.2;
	assert_false(phiz_augment_is_on(&a));
	classic(&a);
	assert_ok(ctx, phiz_augment_check(ctx, &a));
	assert_true(phiz_augment_is_on(&a));
}

static struct phiz_image noise(int w, int h)
{
	struct phiz_image image;
	struct phiz_rng rng = rng_at(7);
	assert_ok(ctx, phiz_image_create(ctx, w, h, 3, &image));
	for (int i = 0; i < w * h * 3; i++)
		image.data[i] = (uint8_t)phiz_rng_u32(&rng);
	return image;
}

static void test_identity(void **state)
{
	static float plain[3 * 32 * 32], augmented[3 * 32 * 32];
	struct phiz_image image = noise(70, 51);
	struct phiz_preproc p;
	struct phiz_augment a;
	struct phiz_rng rng = rng_at(0), same = rng;
	const struct phiz_augment_out out = {.planes = augmented};
	(void)state;
	phiz_preproc_torchvision(&p);
	p.crop = 0.8;
	p.resize = 36;
	p.size = 32;
	phiz_augment_defaults(&a);
	assert_ok(ctx, phiz_preproc_run(ctx, &p, &image, plain));
	assert_ok(ctx, phiz_augment_run(ctx, NULL, &p, &rng, &image, &out, NULL));
	assert_memory_equal(plain, augmented, sizeof plain);
	assert_ok(ctx, phiz_augment_run(ctx, &a, &p, &rng, &image, &out, NULL));
	assert_memory_equal(plain, augmented, sizeof plain);
	assert_memory_equal(&rng, &same, sizeof rng);
	/* On, but drawn as nothing: the same again. */
	a.flip = 1e-300;
	assert_ok(ctx, phiz_augment_run(ctx, &a, &p, &rng, &image, &out, NULL));
	assert_memory_equal(plain, augmented, sizeof plain);
	phiz_image_free(ctx, &image);
}

/* The same sequence gives the same planes, whatever ran before; another sample gives others. */
static void test_reproducible(void **state)
{
	static float planes[3][3 * 40 * 40];
	struct phiz_image image = noise(90, 80);
	struct phiz_preproc p;
	struct phiz_augment a;
	(void)state;
	phiz_preproc_torchvision(&p);
	p.size = 40;
	strong(&a);
	a.erase = 1;
	a.erase_random = true;
	for (int i = 0; i < 3; i++) {
		struct phiz_rng rng = rng_at(i == 1 ? 6 : 5);
		const struct phiz_augment_out out = {.planes = planes[i]};
		assert_ok(ctx, phiz_augment_run(ctx, &a, &p, &rng, &image, &out, NULL));
	}
	assert_memory_equal(planes[0], planes[2], sizeof planes[0]);
	assert_memory_not_equal(planes[0], planes[1], sizeof planes[0]);
	phiz_image_free(ctx, &image);
}

static void test_erase(void **state)
{
	enum { W = 13, H = 9 };
	static float planes[3 * W * H];
	const struct phiz_box box = { 4, 2, 6, 5 }, none = { 0, 0, 0, 0 };
	struct phiz_rng noise_rng = rng_at(9), kept = noise_rng;
	double sum = 0;
	(void)state;
	for (int i = 0; i < 3 * W * H; i++)
		planes[i] = 100;
	phiz_apply_erase(planes, W, H, &none, NULL);
	phiz_apply_erase(planes, W, H, &box, NULL);
	for (int i = 0; i < 3 * W * H; i++) {
		int x = i % W, y = i / W % H;
		bool inside = x >= 4 && x < 10 && y >= 2 && y < 7;
		assert_true(planes[i] == (inside ? 0.0f : 100.0f));
	}
	phiz_apply_erase(planes, W, H, &box, &noise_rng);
	assert_memory_equal(&noise_rng, &kept, sizeof kept);
	for (int i = 0; i < 3 * W * H; i++)
		sum += planes[i] == 100.0f ? 0 : (double)planes[i];
	assert_true(fabs(sum / 90) < 5 / sqrt(90.0) && sum != 0);
}

static void test_apply_errors(void **state)
{
	struct phiz_image image = noise(20, 12), out;
	const struct phiz_box outside[] = { { 15, 0, 6, 5 }, { -1, 0, 5, 5 }, { 0, 8, 5, 5 }, { 0, 0, 0, 5 } };
	static const uint8_t black[3] = { 0, 0, 0 };
	const int shift[2] = { 1, 1 };
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_fails(ctx, PHIZ_E_ARG, phiz_apply_resized_crop(ctx, &image, &outside[i], 8, &out));
		assert_null(out.data);
	}
	assert_fails(ctx, PHIZ_E_ARG, phiz_apply_blur(ctx, &image, 4, 1));
	assert_fails(ctx, PHIZ_E_ARG, phiz_apply_blur(ctx, &image, 5, 0));
	assert_fails(ctx, PHIZ_E_ARG, phiz_apply_blur(ctx, &image, 25, 1));
	assert_fails(ctx, PHIZ_E_ARG, phiz_apply_affine(ctx, &image, shift, 0, false, black));
	assert_fails(ctx, PHIZ_E_ARG, phiz_apply_jpeg(ctx, &image, 0));
	assert_int_equal(image.width, 20);
	phiz_image_free(ctx, &image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crop_ranges),  cmocka_unit_test(test_crop_fallback),
		cmocka_unit_test(test_erase_ranges), cmocka_unit_test(test_sample_rates),
		cmocka_unit_test(test_jitter_subset), cmocka_unit_test(test_mixup),
		cmocka_unit_test(test_check),        cmocka_unit_test(test_identity),
		cmocka_unit_test(test_reproducible), cmocka_unit_test(test_erase),
		cmocka_unit_test(test_apply_errors),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
