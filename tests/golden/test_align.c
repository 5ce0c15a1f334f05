/* Cutting faces out: the similarity against numpy's Umeyama, ArcFace crops against interpolation in double, FaceNet
 * crops against facenet-pytorch's extract_face. */
#include "support/support.h"

#include <stdlib.h>

#include <phiz/align.h>

#include "core/io/tensors.h"

enum { SIMILARITIES = 12, FACENET = 4, ARCFACE = 4, FACENET_SIZE = 48, ARCFACE_SIZE = 48 };

struct fixture {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	struct phiz_image image; /* borrows from golden */
};

static const void *golden(struct fixture *f, const char *name)
{
	struct phiz_tensor *t = phiz_tensors_find(&f->golden, name);
	if (!t)
		fail_msg("no golden tensor %s", name);
	return t->data;
}

static void setup(struct fixture *f)
{
	char path[1024];

	memset(f, 0, sizeof *f);
	f->ctx = test_ctx(1);
	assert_ok(f->ctx, phiz_tensors_read(f->ctx, test_golden("align.safetensors", path), &f->golden));
	struct phiz_tensor *t = phiz_tensors_find(&f->golden, "image");
	assert_non_null(t);
	f->image = (struct phiz_image){(int)t->shape.dim[1], (int)t->shape.dim[0], 3, t->data};
}

static void teardown(struct fixture *f)
{
	phiz_tensors_free(f->ctx, &f->golden);
	test_ctx_done(&f->ctx);
}

static void similarity_is_umeyamas(void **state)
{
	(void)state;
	struct fixture f;
	double got[SIMILARITIES * 6];

	setup(&f);
	const float(*from)[5][2] = golden(&f, "similarity.from"), (*to)[5][2] = golden(&f, "similarity.to");
	for (int i = 0; i < SIMILARITIES; i++)
		assert_true(phiz_align_similarity(from[i], to[i], 5, got + 6 * i));
	test_close_f64("similarity", got, golden(&f, "similarity.m"), SIMILARITIES * 6, 1e-9, 1e-11);
	teardown(&f);
}

/* The largest difference of two pictures. */
static void compare(const char *what, const uint8_t *got, const float *want, int n, double largest)
{
	double worst = 0;

	for (int i = 0; i < n; i++) { /* gcc 12 for ARM breaks down over fmax here */
		double far = fabs((double)got[i] - (double)want[i]);
		worst = far <= worst ? worst : far;
	}
	print_message("           %s: largest difference %.3f grey levels\n", what, worst);
	assert_true(worst <= largest);
}

static void arcface_is_interpolation(void **state)
{
	(void)state;
	enum { VALUES = ARCFACE_SIZE * ARCFACE_SIZE * 3 };
	struct fixture f;
	struct phiz_align align = {PHIZ_ALIGN_ARCFACE, 0, ARCFACE_SIZE};
	struct phiz_image crop;

	setup(&f);
	const float(*landmark)[5][2] = golden(&f, "arcface.landmark");
	for (int i = 0; i < ARCFACE; i++) {
		struct phiz_face face = {.score = 1};
		memcpy(face.landmark, landmark[i], sizeof face.landmark);
		assert_ok(f.ctx, phiz_align_crop(f.ctx, &align, &f.image, &face, &crop));
		assert_int_equal(crop.width, ARCFACE_SIZE);
		assert_int_equal(crop.height, ARCFACE_SIZE);
		assert_int_equal(crop.channels, 3);
		/* Pillow's affine transform, which ours is, cuts fractions off. */
		compare("arcface", crop.data, (const float *)golden(&f, "arcface.crop") + i * VALUES, VALUES, 1.001);
		phiz_image_free(f.ctx, &crop);
	}
	teardown(&f);
}

/* facenet-pytorch cuts the box out before it interpolates, so its outermost pixels do not see those beyond the box;
 * ours do. Within, the two are the same but for rounding. */
static void facenet_is_extract_face(void **state)
{
	(void)state;
	struct fixture f;
	struct phiz_image crop;

	setup(&f);
	const float(*box)[4] = golden(&f, "facenet.box");
	const double *margin = golden(&f, "facenet.margin");
	const uint8_t *want = golden(&f, "facenet.crop");
	for (int i = 0; i < FACENET; i++) {
		struct phiz_align align = {PHIZ_ALIGN_FACENET, margin[i], FACENET_SIZE};
		struct phiz_face face = {.score = 1};
		int worst = 0, edge = 0;
		memcpy(face.box, box[i], sizeof face.box);
		assert_ok(f.ctx, phiz_align_crop(f.ctx, &align, &f.image, &face, &crop));
		for (int y = 0; y < FACENET_SIZE; y++)
			for (int x = 0; x < FACENET_SIZE; x++)
				for (int c = 0; c < 3; c++, want++) {
					int d = abs(*want - crop.data[(y * FACENET_SIZE + x) * 3 + c]);
					bool inside = x && y && x < FACENET_SIZE - 1 && y < FACENET_SIZE - 1;
					worst = inside && d > worst ? d : worst;
					edge = d > edge ? d : edge;
				}
		print_message("           facenet %d: %d grey levels within, %d at the edge\n", i, worst, edge);
		assert_in_range(worst, 0, 1);
		assert_in_range(edge, 0, i == 0 ? 1 : 40);
		phiz_image_free(f.ctx, &crop);
	}
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(similarity_is_umeyamas), cmocka_unit_test(arcface_is_interpolation),
		cmocka_unit_test(facenet_is_extract_face),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
