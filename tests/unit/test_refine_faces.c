/* The second look with YuNet (private data) at rendered people, of whom it is known where eyes, nose and mouth are.
 * label: full */
#include "support/support.h"

#include <math.h>
#include <stdio.h>

#include "core/io/onnx.h"
#include "datasets/synth.h"
#include "deploy/refine.h"

enum { PEOPLE = 7, PHOTOS = 3 };

static bool no_data;

/* Mean distance of the points from the truth, in distances between the eyes. */
static double error(const struct phiz_face *f, const struct phiz_face_truth *t, double scale)
{
	double sum = 0, eyes = hypot(t->landmark[1][0] - t->landmark[0][0], t->landmark[1][1] - t->landmark[0][1]);

	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		sum += hypot((double)f->landmark[i][0] / scale - t->landmark[i][0],
		             (double)f->landmark[i][1] / scale - t->landmark[i][1]);
	return sum / (PHIZ_LANDMARKS * eyes);
}

/* Photos of 256 x 256 are made smaller to these sides; faces are about half of that. */
static const int side[] = {48, 80, 256};
enum { SIDES = sizeof side / sizeof side[0] };

/* Sums over the photos in which the one face is found: before the second look, and after it. */
struct sums {
	double before, after;
	int n;
};

static void look(struct phiz_ctx *ctx, struct phiz_detector *d, struct phiz_refiner *r, const struct phiz_image *photo,
                 const struct phiz_face_truth *truth, int i, struct sums *sums)
{
	struct phiz_faces faces = {0};
	struct phiz_image small;
	double scale = side[i] / (double)photo->width;

	assert_ok(ctx, phiz_image_resize(ctx, photo, side[i], side[i], NULL, &small));
	assert_ok(ctx, phiz_detector_run(d, &small, &faces));
	if (faces.n == 1) {
		struct phiz_face f = faces.face[0];
		sums->before += error(&f, truth, scale);
		assert_ok(ctx, phiz_refine_face(r, &small, &f));
		sums->after += error(&f, truth, scale);
		sums->n++;
	}
	phiz_image_free(ctx, &small);
	phiz_faces_free(ctx, &faces);
}

static void look_at_all(struct phiz_ctx *ctx, struct phiz_detector *d, struct phiz_refiner *r, struct sums sums[SIDES])
{
	struct phiz_synth_options o;
	struct phiz_face_truth truth;
	struct phiz_image photo;

	phiz_synth_defaults(&o);
	o.size = 256;
	for (int i = 0; i < PEOPLE * PHOTOS; i++) {
		assert_ok(ctx, phiz_synth_render(ctx, &o, i / PHOTOS, i % PHOTOS, &photo, &truth));
		for (int k = 0; k < SIDES && !(truth.wear & (PHIZ_SYNTH_MASK | PHIZ_SYNTH_OCCLUDED)); k++)
			look(ctx, d, r, &photo, &truth, k, &sums[k]);
		phiz_image_free(ctx, &photo);
	}
}

/* Small faces gain the most; on large ones the first look is as good. */
static void points_come_nearer(void **state)
{
	static const double most[SIDES] = {0.8, 0.9, 1.03};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_detector *d;
	struct phiz_refiner *r;
	struct phiz_model *m;
	struct sums sums[SIDES] = {{0}};
	const char *name;
	char onnx[1024], dir[256], path[300];

	(void)state;
	if (!test_data("weights/yunet/yunet_n_dynamic.onnx", onnx)) {
		no_data = true;
		test_ctx_done(&ctx);
		skip();
	}
	test_folder(dir);
	snprintf(path, sizeof path, "%s/yunet.phiz", dir);
	assert_ok(ctx, phiz_onnx_read(ctx, onnx, 0, &m));
	assert_ok(ctx, phiz_onnx_known(m, &name));
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	assert_ok(ctx, phiz_detector_open(ctx, path, NULL, &d));
	assert_ok(ctx, phiz_refiner_open(ctx, path, NULL, &r));
	look_at_all(ctx, d, r, sums);
	for (int i = 0; i < SIDES; i++) {
		print_message("photos of %d pixels: %d faces, off by %.4f of the eyes' distance, then by %.4f\n", side[i],
		              sums[i].n, sums[i].before / sums[i].n, sums[i].after / sums[i].n);
		assert_true(sums[i].n >= PEOPLE * PHOTOS / 2);
		assert_true(sums[i].after < most[i] * sums[i].before);
	}
	phiz_refiner_free(&r);
	phiz_detector_free(&d);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(points_come_nearer)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : no_data ? 77 : 0;
}
