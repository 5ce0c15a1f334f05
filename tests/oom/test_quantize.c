/* Calibration and the model on bytes, with the k-th allocation failing, for every k. */
#include "support/support.h"

#include "deploy/calibrate.h"
#include "deploy/export.h"

struct scene {
	struct phiz_model *trained;
	struct phiz_image image;
};

static enum phiz_status quantize(struct phiz_ctx *ctx, void *user)
{
	static const char *const keep[] = {"fc"};
	const struct scene *s = user;
	struct phiz_model *m = NULL;
	struct phiz_calibrator *c = NULL;
	enum phiz_status status = phiz_export_model(s->trained, PHIZ_PRECISION_INT8, &m);

	if (!status)
		status = phiz_calibrator_begin(ctx, m, &c);
	if (!status)
		status = phiz_calibrator_add(c, &s->image);
	if (!status)
		status = phiz_calibrator_end(c, PHIZ_CLIP_PERCENTILE, keep, 1);
	phiz_calibrator_free(&c);
	phiz_model_free(&m);
	return status;
}

static void calibrates(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct scene s;

	(void)state;
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 4, 0, 1, &s.trained));
	assert_ok(ctx, phiz_image_create(ctx, 40, 40, 3, &s.image));
	memset(s.image.data, 77, 40 * 40 * 3);
	test_every_oom(ctx, quantize, &s);
	phiz_image_free(ctx, &s.image);
	phiz_model_free(&s.trained);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(calibrates)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
