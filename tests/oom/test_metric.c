/* Landmarks, faces cut out, batches of people and verification with every allocation failing once. */
#include "support/photos.h"

#include <stdio.h>

#include "datasets/augment.h"
#include "datasets/landmarks.h"
#include "datasets/order.h"
#include "train/embed_score.h"

struct world {
	struct phiz_dataset *dataset;
	struct phiz_image image;
};

static enum phiz_status read_faces(struct phiz_ctx *ctx, void *user)
{
	struct world *w = user;
	struct phiz_landmarks faces;
	enum phiz_status status = phiz_landmarks_read(ctx, NULL, w->dataset, &faces);

	if (!status)
		assert_int_equal(faces.found, 2);
	phiz_landmarks_free(ctx, &faces);
	return status;
}

static enum phiz_status cut(struct phiz_ctx *ctx, void *user)
{
	static float planes[3 * 32 * 32];
	static const float points[PHIZ_LANDMARKS][2] = {{20, 20}, {60, 20}, {40, 40}, {25, 60}, {55, 60}};
	struct world *w = user;
	struct phiz_preproc p;
	struct phiz_augment a;
	struct phiz_face face;
	struct phiz_rng rng;
	const struct phiz_augment_out out = {.planes = planes};

	phiz_preproc_torchvision(&p);
	p.size = 32;
	p.align = (struct phiz_align){PHIZ_ALIGN_ARCFACE, 0, 32};
	memset(&face, 0, sizeof face);
	memcpy(face.landmark, points, sizeof points);
	phiz_augment_defaults(&a);
	a.flip = a.low_res = a.blur = a.jpeg = 1;
	a.rotation = 10;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	return phiz_augment_face_run(ctx, &a, &p, &face, &rng, &w->image, &out, NULL);
}

static enum phiz_status order(struct phiz_ctx *ctx, void *user)
{
	static const uint32_t class_of[5] = {0, 0, 1, 1, 1};
	struct phiz_order o;
	enum phiz_status status = phiz_order_open(ctx, 1, true, false, 2, class_of, 5, 2, &o);

	(void)user;
	phiz_order_close(ctx, &o);
	return status;
}

static enum phiz_status score(struct phiz_ctx *ctx, void *user)
{
	static const float x[8] = {1, 0, 1, 1, 0, 1, 0, 2};
	static const int32_t person[4] = {0, 0, 1, 1};
	struct phiz_embed_score s;

	(void)user;
	return phiz_embed_score_pairs(ctx, x, person, 4, 2, &s);
}

static void test_all(void **state)
{
	static const char csv[] = "file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\nanna/1.ppm,1,2,3,4,5,6,7,8,9,10\n"
	                          "bert/1.ppm,1,2,3,4,5,6,7,8,9,10\n";
	struct phiz_ctx *ctx = test_ctx(1);
	struct world w;
	char folder[256], path[300];

	(void)state;
	test_folder(folder);
	test_photo(ctx, folder, "anna/1.ppm", 1, 0, 0, 90, 80);
	test_photo(ctx, folder, "bert/1.ppm", 2, 0, 0, 90, 80);
	test_file(ctx, folder, "landmarks.csv", csv, strlen(csv));
	assert_ok(ctx, phiz_dataset_scan(ctx, folder, NULL, &w.dataset));
	snprintf(path, sizeof path, "%s/anna/1.ppm", folder);
	assert_ok(ctx, phiz_image_read(ctx, path, NULL, &w.image));
	test_every_oom(ctx, read_faces, &w);
	test_every_oom(ctx, cut, &w);
	test_every_oom(ctx, order, &w);
	test_every_oom(ctx, score, &w);
	phiz_image_free(ctx, &w.image);
	phiz_dataset_free(ctx, &w.dataset);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
