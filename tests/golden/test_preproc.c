/* Decoding and preprocessing of four real photographs against PyTorch's golden file, bit for bit. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/preproc.h>

#include "core/base/alloc.h"
#include "core/io/tensors.h"

enum { SIZE = 224, PIXELS = SIZE * SIZE };

static const char *const photos[4] = { "n01440764_tench", "n02319095_sea_urchin", "n03770679_minivan",
	                               "n11879895_rapeseed" };
static bool skipped;

static const char *find(const char *name, char path[1024])
{
	if (!test_data(name, path)) {
		skipped = true;
		skip();
	}
	return path;
}

static void check_photo(struct phiz_ctx *ctx, int i, const uint8_t *rgb, const float *normalized)
{
	char name[128], path[1024];
	struct phiz_preproc p;
	struct phiz_image photo, out;
	float *planes = phiz_alloc(ctx, 3 * PIXELS, sizeof *planes);
	assert_non_null(planes);
	phiz_preproc_torchvision(&p);
	snprintf(name, sizeof name, "imagenet125/%s.JPEG", photos[i]);
	assert_ok(ctx, phiz_image_read(ctx, find(name, path), NULL, &photo));
	assert_ok(ctx, phiz_preproc_geometry(ctx, &p, &photo, &out));
	assert_memory_equal(out.data, rgb + (size_t)i * 3 * PIXELS, 3 * PIXELS);
	assert_ok(ctx, phiz_preproc_run(ctx, &p, &photo, planes));
	assert_memory_equal(planes, normalized + (size_t)i * 3 * PIXELS, 3 * PIXELS * sizeof *planes);
	phiz_free(ctx, planes);
	phiz_image_free(ctx, &photo);
	phiz_image_free(ctx, &out);
}

static void test_photos(void **state)
{
	char path[1024];
	struct phiz_tensors golden;
	(void)state;
	find("weights/golden_resnet18.safetensors", path);
	struct phiz_ctx *ctx = test_ctx(1);
	assert_ok(ctx, phiz_safetensors_read(ctx, path, &golden));
	struct phiz_tensor *rgb = phiz_tensors_find(&golden, "input.rgb_u8");
	struct phiz_tensor *normalized = phiz_tensors_find(&golden, "input.normalized");
	assert_non_null(rgb);
	assert_non_null(normalized);
	assert_int_equal(rgb->dtype, PHIZ_U8);
	assert_int_equal(normalized->dtype, PHIZ_F32);
	for (int i = 0; i < 4; i++)
		check_photo(ctx, i, rgb->data, normalized->data);
	phiz_tensors_free(ctx, &golden);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_photos) };
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : skipped ? 77 : 0;
}
