/* Augmentation with every allocation failing once: NOMEM, nothing leaks, and an image that could not be changed is as
 * it was. */
#include "support/support.h"

#include "datasets/augment.h"

enum { SIDE = 120, SIZE = 48 };

static enum phiz_status run(struct phiz_ctx *ctx, void *user)
{
	static float planes[3 * SIZE * SIZE];
	const struct phiz_image *image = user;
	struct phiz_preproc p;
	struct phiz_augment a;
	struct phiz_rng rng;
	const struct phiz_augment_out out = {.planes = planes};
	phiz_preproc_torchvision(&p);
	p.size = SIZE;
	phiz_augment_defaults(&a);
	a.crop = true;
	a.flip = a.gray = a.blur = a.jpeg = a.erase = 1;
	a.rotation = 30;
	a.translate[0] = 0.1;
	a.brightness = a.contrast = a.saturation = a.hue = 0.2;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	return phiz_augment_run(ctx, &a, &p, &rng, image, &out, NULL);
}

/* Changes an image in place; after a failure it must be the same one. */
static enum phiz_status change(struct phiz_ctx *ctx, struct phiz_image *image, int which)
{
	static const uint8_t black[3] = { 0, 0, 0 };
	const struct phiz_image before = *image;
	uint8_t first = image->data[0];
	enum phiz_status status = which == 0   ? phiz_apply_rotate(ctx, image, 90, false, black)
	                          : which == 1 ? phiz_apply_rotate(ctx, image, 17, true, black)
	                          : which == 2 ? phiz_apply_blur(ctx, image, 5, 1)
	                                       : phiz_apply_jpeg(ctx, image, 80);
	if (status) {
		assert_memory_equal(&before, image, sizeof before);
		assert_int_equal(image->data[0], first);
	}
	return status;
}

static enum phiz_status turn(struct phiz_ctx *ctx, void *user)
{
	return change(ctx, user, 0);
}

static enum phiz_status rotate(struct phiz_ctx *ctx, void *user)
{
	return change(ctx, user, 1);
}

static enum phiz_status blur(struct phiz_ctx *ctx, void *user)
{
	return change(ctx, user, 2);
}

static enum phiz_status jpeg(struct phiz_ctx *ctx, void *user)
{
	return change(ctx, user, 3);
}

static void test_oom(void **state)
{
	static const test_oom_fn fns[] = { run, turn, rotate, blur, jpeg };
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image;
	(void)state;
	assert_ok(ctx, phiz_image_create(ctx, SIDE, SIDE, 3, &image));
	for (int i = 0; i < SIDE * SIDE * 3; i++)
		image.data[i] = (uint8_t)((unsigned)i * 2654435761u >> 24);
	for (size_t i = 0; i < sizeof fns / sizeof *fns; i++)
		test_every_oom(ctx, fns[i], &image);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_oom) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
