/* Faces that are cut out and augmented in one interpolation; batches of people. */
#include "support/photos.h"

#include <stdio.h>
#include <stdlib.h>

#include "datasets/augment.h"
#include "datasets/loader.h"
#include "datasets/order.h"

#define SIZE 48

/* A smooth picture, so that one interpolation more or less hardly shows. */
static void smooth(struct phiz_ctx *ctx, struct phiz_image *image)
{
	assert_ok(ctx, phiz_image_create(ctx, 160, 140, 3, image));
	for (int y = 0; y < 140; y++)
		for (int x = 0; x < 160; x++)
			for (int c = 0; c < 3; c++)
				image->data[(y * 160 + x) * 3 + c] =
					(uint8_t)(128 + 60 * sin(x / 19.0 + c) + 60 * cos(y / 23.0 - c));
}

static void setup(struct phiz_preproc *p, struct phiz_face *face)
{
	static const float points[PHIZ_LANDMARKS][2] = {{62, 58}, {99, 62}, {80, 82}, {64, 101}, {93, 103}};

	phiz_preproc_torchvision(p);
	p->mode = PHIZ_RESIZE_STRETCH;
	p->size = SIZE;
	p->crop = 1;
	p->align = (struct phiz_align){PHIZ_ALIGN_ARCFACE, 0, SIZE};
	memset(face, 0, sizeof *face);
	memcpy(face->landmark, points, sizeof points);
	face->score = 1;
}

static int largest_difference(const struct phiz_image *a, const struct phiz_image *b, int border)
{
	int most = 0;

	assert_true(a->width == b->width && a->height == b->height);
	for (int y = border; y < a->height - border; y++)
		for (int x = 3 * border; x < 3 * (a->width - border); x++) {
			int d = abs(a->data[y * a->width * 3 + x] - b->data[y * a->width * 3 + x]);

			most = d > most ? d : most;
		}
	return most;
}

/* Nothing drawn: what phiz_align_crop cuts, to the last bit. A flip: its mirror image. */
static void test_clean(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_augment a;
	struct phiz_augment_draw draw = {0};
	struct phiz_image image, crop, out;
	struct phiz_preproc p;
	struct phiz_face face;

	(void)state;
	phiz_augment_defaults(&a);
	setup(&p, &face);
	smooth(ctx, &image);
	assert_ok(ctx, phiz_align_crop(ctx, &p.align, &image, &face, &crop));
	assert_ok(ctx, phiz_augment_face(ctx, &a, &p, &face, &draw, &image, &out));
	assert_int_equal(largest_difference(&crop, &out, 0), 0);
	phiz_image_free(ctx, &out);
	draw.flip = true;
	assert_ok(ctx, phiz_augment_face(ctx, &a, &p, &face, &draw, &image, &out));
	phiz_image_flip_horizontal(&crop);
	assert_true(largest_difference(&crop, &out, 0) <= 1); /* positions are summed from the other side */
	phiz_image_free(ctx, &out);
	phiz_image_free(ctx, &crop);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

/* Step by step, each with an interpolation of its own, in the order that the header promises. */
static void test_composition(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_augment a;
	struct phiz_augment_draw draw = {.crop = {4, 3, 40, 42}, .flip = true, .angle = 11, .affine = true,
	                                 .shift = {3, -2}, .zoom = 1.125};
	struct phiz_image image, crop, step, out;
	struct phiz_preproc p;
	struct phiz_face face;

	(void)state;
	phiz_augment_defaults(&a);
	setup(&p, &face);
	smooth(ctx, &image);
	assert_ok(ctx, phiz_align_crop(ctx, &p.align, &image, &face, &crop));
	assert_ok(ctx, phiz_apply_resized_crop(ctx, &crop, &draw.crop, SIZE, &step));
	phiz_image_flip_horizontal(&step);
	assert_ok(ctx, phiz_apply_rotate(ctx, &step, draw.angle, true, a.fill));
	assert_ok(ctx, phiz_apply_affine(ctx, &step, draw.shift, draw.zoom, true, a.fill));
	assert_ok(ctx, phiz_augment_face(ctx, &a, &p, &face, &draw, &image, &out));
	assert_true(largest_difference(&step, &out, 14) <= 6); /* grey levels of 240, far from what the steps cut off */
	/* Any one of them left out is seen. */
	for (int k = 0; k < 4; k++) {
		struct phiz_augment_draw less = draw;
		struct phiz_image wrong;

		if (k == 0)
			less.crop.w = 0;
		else if (k == 1)
			less.flip = false;
		else if (k == 2)
			less.angle = -11;
		else
			less.affine = false;
		assert_ok(ctx, phiz_augment_face(ctx, &a, &p, &face, &less, &image, &wrong));
		assert_true(largest_difference(&wrong, &out, 14) > 8);
		phiz_image_free(ctx, &wrong);
	}
	phiz_image_free(ctx, &out);
	phiz_image_free(ctx, &step);
	phiz_image_free(ctx, &crop);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

/* Low resolution is two resizes, which are Pillow's (tests/golden). */
static void test_low_res(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image, small, large;

	(void)state;
	smooth(ctx, &image);
	assert_ok(ctx, phiz_image_resize(ctx, &image, 20, 20, NULL, &small));
	assert_ok(ctx, phiz_image_resize(ctx, &small, 160, 140, NULL, &large));
	assert_ok(ctx, phiz_apply_low_res(ctx, &image, 20));
	assert_int_equal(largest_difference(&image, &large, 0), 0);
	phiz_image_free(ctx, &image);
	phiz_image_free(ctx, &small);
	phiz_image_free(ctx, &large);
	test_ctx_done(&ctx);
}

/* --- The loader. --- */

static void load(struct phiz_ctx *ctx, const struct phiz_dataset *d, const struct phiz_face *faces,
                 const struct phiz_augment *augment, int threads, float *images, uint32_t *samples)
{
	struct phiz_loader_options o = {.augment = augment, .seed = 3, .batch = 2, .threads = threads, .faces = faces};
	struct phiz_preproc p;
	struct phiz_face face;
	struct phiz_loader *l;
	struct phiz_batch b;

	setup(&p, &face);
	o.preproc = &p;
	assert_ok(ctx, phiz_loader_open(ctx, d, NULL, 0, &o, &l));
	assert_ok(ctx, phiz_loader_start(l, 1, 0));
	assert_ok(ctx, phiz_loader_next(l, &b));
	assert_int_equal(b.n, 2);
	memcpy(images, b.images, 2 * 3 * SIZE * SIZE * sizeof *images);
	memcpy(samples, b.samples, 2 * sizeof *samples);
	phiz_loader_free(&l);
}

static void test_loader(void **state)
{
	enum { N = 3 * SIZE * SIZE };
	static float clean[2 * N], want[N], one[2 * N], two[2 * N];
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_preproc p;
	struct phiz_face face, faces[2];
	struct phiz_augment a;
	struct phiz_dataset *d;
	struct phiz_image image, crop;
	char folder[256], path[300];
	uint32_t samples[2];

	(void)state;
	test_folder(folder);
	test_photo(ctx, folder, "anna/1.ppm", 1, 0, 0, 160, 140);
	test_photo(ctx, folder, "bert/1.ppm", 2, 0, 0, 160, 140);
	assert_ok(ctx, phiz_dataset_scan(ctx, folder, NULL, &d));
	setup(&p, &face);
	faces[0] = faces[1] = face;
	faces[1].landmark[0][1] += 9;
	load(ctx, d, faces, NULL, 1, clean, samples);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, d->sample[samples[i]].path);
		assert_ok(ctx, phiz_image_read(ctx, path, NULL, &image));
		assert_ok(ctx, phiz_align_crop(ctx, &p.align, &image, &faces[samples[i]], &crop));
		phiz_preproc_normalize(&p, &crop, want);
		assert_memory_equal(want, clean + i * N, sizeof want);
		phiz_image_free(ctx, &image);
		phiz_image_free(ctx, &crop);
	}
	phiz_augment_defaults(&a);
	a.rotation = 20;
	a.flip = 0.5;
	a.low_res = 0.5;
	load(ctx, d, faces, &a, 1, one, samples);
	load(ctx, d, faces, &a, 2, two, samples);
	assert_memory_equal(one, two, sizeof one);
	assert_memory_not_equal(one, clean, sizeof one);
	phiz_dataset_free(ctx, &d);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

/* --- Batches of people. --- */

static void test_people(void **state)
{
	enum { CLASSES = 7, COUNT = 5 + 3 + 9 + 1 + 4 + 8 + 6, PHOTOS = 3 };
	static const int sizes[CLASSES] = {5, 3, 9, 1, 4, 8, 6};
	struct phiz_ctx *ctx = test_ctx(1);
	uint32_t class_of[COUNT], item[COUNT], again[COUNT], other[COUNT];
	struct phiz_order order;
	uint32_t *scratch = calloc(phiz_order_scratch(COUNT, CLASSES), sizeof *scratch);
	size_t n = 0;

	(void)state;
	for (uint32_t c = 0; c < CLASSES; c++)
		for (int i = 0; i < sizes[c]; i++)
			class_of[n++] = c;
	assert_ok(ctx, phiz_order_open(ctx, 9, true, false, PHOTOS, class_of, COUNT, CLASSES, &order));
	phiz_order_epoch(&order, 2, item, scratch);
	for (size_t run = 0; run + PHOTOS <= COUNT; run += PHOTOS) {
		uint32_t c = class_of[item[run]];

		for (size_t i = 1; i < PHOTOS; i++) {
			assert_int_equal(class_of[item[run + i]], c);
			if (sizes[c] >= PHOTOS)
				assert_int_not_equal(item[run + i], item[run + i - 1]);
		}
		/* A round has each person once. */
		for (size_t earlier = run / (PHOTOS * CLASSES) * (PHOTOS * CLASSES); earlier < run; earlier += PHOTOS)
			assert_int_not_equal(class_of[item[earlier]], c);
	}
	memset(scratch, 0xFF, phiz_order_scratch(COUNT, CLASSES) * sizeof *scratch);
	phiz_order_epoch(&order, 2, again, scratch);
	assert_memory_equal(item, again, sizeof item);
	phiz_order_epoch(&order, 3, other, scratch);
	assert_memory_not_equal(item, other, sizeof item);
	phiz_order_close(ctx, &order);
	free(scratch);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),   cmocka_unit_test(test_composition), cmocka_unit_test(test_low_res),
		cmocka_unit_test(test_loader), cmocka_unit_test(test_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
