/* The second look at a face, with a detector whose landmarks are known at every size (support/spots.h): what comes out
 * is arithmetic by hand. With YuNet on rendered faces: test_refine_faces.c. */
#include "support/spots.h"

#include <math.h>
#include <stdio.h>

#include "deploy/refine.h"

enum { WIDTH = 400, HEIGHT = 300 };

struct scene {
	struct phiz_ctx *ctx;
	char dir[256], path[300];
	struct phiz_image photo;
};

static int setup(void **state)
{
	struct scene *s = test_malloc(sizeof *s);

	s->ctx = test_ctx(2);
	test_folder(s->dir);
	snprintf(s->path, sizeof s->path, "%s/d.phiz", s->dir);
	struct phiz_model *m = test_spot_detector(s->ctx, NULL);
	assert_ok(s->ctx, phiz_model_write(m, s->path));
	phiz_model_free(&m);
	assert_ok(s->ctx, phiz_image_create(s->ctx, WIDTH, HEIGHT, 3, &s->photo));
	memset(s->photo.data, 0, (size_t)WIDTH * HEIGHT * 3);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	phiz_image_free(s->ctx, &s->photo);
	test_folder_done(s->dir);
	test_ctx_done(&s->ctx);
	test_free(s);
	return 0;
}

/* A face whose cut of 192 pixels is k of the photo's for each of its own, around (x, y). */
static struct phiz_face face_at(double x, double y, double k)
{
	struct phiz_face f = {.score = 0.8f};
	double w = k * 192 / 1.85;

	f.box[0] = (float)(x - w / 2);
	f.box[1] = (float)(y - w / 3); /* the shorter side does not matter */
	f.box[2] = (float)w;
	f.box[3] = (float)(w * 2 / 3);
	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		f.landmark[i][0] = f.landmark[i][1] = (float)(1000 + i);
	return f;
}

/* A cone of light: so bright in the middle, nothing at this radius. */
static void paint(struct phiz_image *photo, double x, double y, double radius, double light)
{
	for (int py = 0; py < photo->height; py++)
		for (int px = 0; px < photo->width; px++) {
			double d = hypot(px + 0.5 - x, py + 0.5 - y);
			uint8_t *at = photo->data + ((size_t)py * (size_t)photo->width + (size_t)px) * 3;
			if (d < radius)
				at[0] = at[1] = (uint8_t)(light * (1 - d / radius));
		}
}

/* The cell of 8 pixels in the middle of a look of side s says (s / 2 + 0.8 i, s / 2 + 1.6 i) for landmark i; in pixels
 * of the largest cut that is 96 + 192 / s times the rest. scale: the mean of 192 / s over the looks that saw it. */
static void assert_refined(const struct phiz_face *f, const struct phiz_face *before, double x, double y, double k,
                           double scale)
{
	for (int i = 0; i < PHIZ_LANDMARKS; i++) {
		double got[2] = {(double)f->landmark[i][0], (double)f->landmark[i][1]};
		double want[2] = {x + k * scale * 0.8 * i, y + k * scale * 1.6 * i};
		test_close_f64("landmark", got, want, 2, 2e-3, 0);
	}
	assert_memory_equal(f->box, before->box, sizeof f->box);
	assert_memory_equal(&f->score, &before->score, sizeof f->score);
}

static void mean_of_four_looks(void **state)
{
	/* In the middle, near a corner (most of the cut is outside of the photo), enlarged and made smaller. */
	static const double at[][3] = {{200, 150, 1}, {12, 9, 1}, {393, 296, 1}, {200, 150, 0.25}, {200, 150, 1.5}};
	struct scene *s = *state;
	struct phiz_refiner *r;

	assert_ok(s->ctx, phiz_refiner_open(s->ctx, s->path, NULL, &r));
	for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
		double x = at[i][0], y = at[i][1], k = at[i][2];
		struct phiz_face f = face_at(x, y, k), before = f;
		memset(s->photo.data, 0, (size_t)WIDTH * HEIGHT * 3);
		paint(&s->photo, x, y, 9 * k, 255);
		assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
		assert_refined(&f, &before, x, y, k, (1 + 1.2 + 1.5 + 2) / 4);
	}
	phiz_refiner_free(&r);
	assert_null(r);
	phiz_refiner_free(&r);
}

/* One pixel, made smaller, loses light: by 1.2 it keeps ((1 - 0.1 / 1.2) / 1.2)^2 = 0.58, by 1.5 0.31, by 2 0.14; times
 * 0.89 the last two are below 0.3. What two looks do not find, the other two say. */
static void looks_that_see_nothing_do_not_count(void **state)
{
	struct scene *s = *state;
	struct phiz_face f = face_at(200, 150, 1), before = f;
	uint8_t *at = s->photo.data + (150 * WIDTH + 200) * 3;
	struct phiz_refiner *r;

	at[0] = 255;
	at[1] = 200;
	assert_ok(s->ctx, phiz_refiner_open(s->ctx, s->path, NULL, &r));
	assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
	assert_refined(&f, &before, 200, 150, 1, (1 + 1.2) / 2);
	phiz_refiner_free(&r);
}

static void neighbours_are_others(void **state)
{
	struct scene *s = *state;
	struct phiz_face f = face_at(200, 150, 1), before = f;
	struct phiz_refiner *r;

	assert_ok(s->ctx, phiz_refiner_open(s->ctx, s->path, NULL, &r));
	assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f)); /* nobody at all */
	assert_memory_equal(&f, &before, sizeof f);
	paint(&s->photo, 200 + 64, 150, 9, 255); /* a third of the cut away; brighter than the one in the middle */
	assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
	assert_memory_equal(&f, &before, sizeof f);
	paint(&s->photo, 200, 150, 9, 180);
	assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
	assert_refined(&f, &before, 200, 150, 1, (1 + 1.2 + 1.5 + 2) / 4);
	phiz_refiner_free(&r);
}

/* Faces that cannot be cut out stay as they are, for whoever cuts them to complain; faces far outside too. */
static void odd_faces(void **state)
{
	static const float box[][4] = {{10, 10, 0, 20}, {10, 10, 20, -1}, {NAN, 10, 20, 20}, {10, 10, INFINITY, 20},
	                               {-9000, -9000, 20, 20}, {5, 5, 1e-3f, 1e-3f}, {-1e5f, -1e5f, 3e5f, 3e5f}};
	struct scene *s = *state;
	struct phiz_image grey;
	struct phiz_refiner *r;

	assert_ok(s->ctx, phiz_refiner_open(s->ctx, s->path, NULL, &r));
	for (size_t i = 0; i < sizeof box / sizeof box[0]; i++) {
		struct phiz_face f = face_at(200, 150, 1), before;
		memcpy(f.box, box[i], sizeof f.box);
		before = f;
		assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
		assert_memory_equal(&f, &before, sizeof f);
	}
	assert_ok(s->ctx, phiz_image_create(s->ctx, 20, 20, 1, &grey));
	struct phiz_face f = face_at(10, 10, 0.1), before = f;
	assert_fails(s->ctx, PHIZ_E_ARG, phiz_refine_face(r, &grey, &f));
	assert_memory_equal(&f, &before, sizeof f);
	phiz_image_free(s->ctx, &grey);
	phiz_refiner_free(&r);
}

static void opening(void **state)
{
	struct scene *s = *state;
	struct phiz_detector *d;
	struct phiz_refiner *r;

	assert_fails(s->ctx, PHIZ_E_NOTFOUND, phiz_refiner_open(s->ctx, "/nowhere.phiz", NULL, &r));
	assert_null(r);
	assert_ok(s->ctx, phiz_detector_open(s->ctx, s->path, NULL, &d));
	assert_true(phiz_refine_helps(d)); /* it says that it is a yunet */
	phiz_detector_free(&d);
}

/* Faces of any size: each detector keeps one plan, and what is live does not grow. */
static void memory_stays(void **state)
{
	struct scene *s = *state;
	struct phiz_memory_stats before, after;
	struct phiz_refiner *r;

	assert_ok(s->ctx, phiz_refiner_open(s->ctx, s->path, NULL, &r));
	paint(&s->photo, 200, 150, 30, 255);
	for (int i = 0; i < 30; i++) {
		struct phiz_face f = face_at(200 - i, 150 + i, 0.1 + 0.1 * i);
		assert_ok(s->ctx, phiz_refine_face(r, &s->photo, &f));
		if (i < 10)
			phiz_ctx_memory(s->ctx, &before);
	}
	phiz_ctx_memory(s->ctx, &after);
	assert_true(after.live_bytes <= before.live_bytes);
	phiz_refiner_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mean_of_four_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(looks_that_see_nothing_do_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours_are_others, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_faces, setup, teardown),
		cmocka_unit_test_setup_teardown(opening, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_stays, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
