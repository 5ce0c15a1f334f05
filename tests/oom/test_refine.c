/* The second look at a face with the k-th allocation failing, for every k: the face is refined or as it was.
 * label: full */
#include "support/spots.h"

#include <stdio.h>

#include "deploy/refine.h"

static enum phiz_status open_and_look(struct phiz_ctx *ctx, void *user)
{
	struct phiz_face f = {.box = {20, 20, 60, 60}, .score = 1}, before = f;
	struct phiz_refiner *r = NULL;
	struct phiz_image image = {0};
	enum phiz_status status = phiz_refiner_open(ctx, user, NULL, &r);

	assert_true(!r == (status != PHIZ_OK));
	if (!status)
		status = phiz_image_create(ctx, 100, 100, 3, &image);
	if (!status) {
		memset(image.data, 255, (size_t)image.width * (size_t)image.height * 3);
		status = phiz_refine_face(r, &image, &f);
	}
	if (status)
		assert_memory_equal(&f, &before, sizeof f);
	else
		assert_true(f.landmark[4][1] > f.landmark[0][1] && f.landmark[0][1] > 20 && f.landmark[4][1] < 80);
	phiz_image_free(ctx, &image);
	phiz_refiner_free(&r);
	return status;
}

static void refine(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256], path[300];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/d.phiz", dir);
	struct phiz_model *m = test_spot_detector(ctx, NULL);
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	test_every_oom(ctx, open_and_look, path);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refine)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
