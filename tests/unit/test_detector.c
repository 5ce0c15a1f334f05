/* Detectors by hand, with a network that sees pixels of a colour (support/spots.h). */
#include "support/spots.h"

#include <stdio.h>

#include <phiz/detector.h>

#include "support/device.h"
#include "support/fake_device.h"

static struct phiz_detector *make(struct phiz_ctx *ctx, const struct phiz_detector_options *options)
{
	struct phiz_detector *d;
	assert_ok(ctx, phiz_detector_adopt(ctx, test_spot_detector(ctx, NULL), options, &d));
	return d;
}

static void make_photo(struct phiz_ctx *ctx, int width, int height, struct phiz_image *image)
{
	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, image));
	memset(image->data, 0, (size_t)width * (size_t)height * 3);
}

static void paint(struct phiz_image *image, int x, int y, int r, int g, int b)
{
	uint8_t *at = image->data + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
	at[0] = (uint8_t)r;
	at[1] = (uint8_t)g;
	at[2] = (uint8_t)b;
}

static void assert_face(const struct phiz_face *f, double x, double y, double w, double h, double score)
{
	const double want[5] = {x, y, w, h, score};
	double got[5] = {f->box[0], f->box[1], f->box[2], f->box[3], f->score};
	test_close_f64("face", got, want, 5, 2e-5, 1e-6);
}

static void decodes(void **state)
{
	const struct phiz_detector_options o = {.backend = test_backend()};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_detector *d = make(ctx, &o);
	struct phiz_faces faces = {0};
	struct phiz_image image;

	(void)state;
	make_photo(ctx, 70, 50, &image); /* a canvas of 96 x 64 */
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 0);
	paint(&image, 16, 8, 255, 204, 0);  /* sqrt(0.8) */
	paint(&image, 17, 8, 255, 255, 0);  /* between cells: not seen */
	paint(&image, 48, 32, 204, 153, 0); /* sqrt(0.48) = 0.693 < 0.7 */
	paint(&image, 48, 16, 0, 0, 255);   /* stride 16, cell (3, 1) */
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 2);
	assert_face(&faces.face[0], 40, 8, 32, 32, 1);
	assert_face(&faces.face[1], 12, 0, 16, 24, sqrt(0.8));
	for (int i = 0; i < 10; i++) {
		double stride = 16, cell = i % 2 ? 1 : 3, want = (cell + i / 2 * (i % 2 ? 0.2 : 0.1)) * stride;
		assert_true(fabs((double)faces.face[0].landmark[i / 2][i % 2] - want) < 1e-4);
	}
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

/* A photo of 1280 x 960 is seen at 640 x 480: sizes and places double. */
static void shrinks(void **state)
{
	struct phiz_detector_options o = {.min_face = 33, .backend = test_backend()};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_detector *d = make(ctx, NULL);
	struct phiz_faces faces = {0};
	struct phiz_image image;

	(void)state;
	make_photo(ctx, 1280, 960, &image);
	for (int y = 90; y < 104; y++)
		for (int x = 186; x < 202; x++)
			paint(&image, x, y, 255, 255, 0); /* pixel (96, 48) of the small one is all of it, no other cell is */
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 1);
	assert_face(&faces.face[0], 2 * (100 - 8), 2 * (52 - 12), 32, 48, 1);
	phiz_detector_free(&d);
	d = make(ctx, &o); /* 32 pixels of the photo are too few */
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 0);
	phiz_detector_free(&d);
	/* Smaller faces than the standard size shows: the photo is not made smaller, and the same spot has more cells. */
	o = (struct phiz_detector_options){.min_face = 5, .nms = 1};
	d = make(ctx, &o);
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 2); /* cells x 24 * 8 = 192, 200 and y 96 of the whole photo */
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

/* Every cell a face: 60 x 40 of them. */
static void many_faces(void **state)
{
	struct phiz_detector_options o = {.nms = 1, .max_faces = 100};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_detector *d = make(ctx, &o);
	struct phiz_faces faces = {0};
	struct phiz_image image;

	(void)state;
	make_photo(ctx, 480, 320, &image);
	for (int y = 0; y < 320; y += 8)
		for (int x = 0; x < 480; x += 8)
			paint(&image, x, y, 255, 200 + (x / 8 + y / 8) % 50, 0);
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 100);
	for (int i = 1; i < faces.n; i++)
		assert_true(faces.face[i].score <= faces.face[i - 1].score);
	assert_true(fabs((double)faces.face[0].score - sqrt(249.0 / 255)) < 1e-6);
	phiz_detector_free(&d);
	o.max_faces = 0; /* 1024 */
	d = make(ctx, &o);
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 1024);
	phiz_detector_free(&d);
	/* Neighbours share 8 x 24 of two boxes of 16 x 24, 1/3, or 16 x 16, 1/2: above 0.3 and below 0.6. */
	o = (struct phiz_detector_options){.nms = 0.6, .max_faces = 65536};
	d = make(ctx, &o);
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_int_equal(faces.n, 2400);
	phiz_detector_free(&d);
	o.nms = 0; /* 0.3: of two neighbours one goes, those across a corner share but 0.2 */
	d = make(ctx, &o);
	assert_ok(ctx, phiz_detector_run(d, &image, &faces));
	assert_true(faces.n >= 2400 / 5 && faces.n <= 1200);
	for (int i = 0; i < faces.n; i++)
		for (int k = 0; k < i; k++)
			assert_true(fabsf(faces.face[i].box[0] - faces.face[k].box[0]) +
			            fabsf(faces.face[i].box[1] - faces.face[k].box[1]) > 12);
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

static void odd_photos(void **state)
{
	static const int size[][2] = {{1, 1}, {1, 5000}, {5000, 1}, {31, 33}, {8000, 6000}};
	struct phiz_ctx_options options = {.threads = 2, .memory_limit = (size_t)8000 * 6000 * 3 + (64 << 20)};
	struct phiz_faces faces = {0};
	struct phiz_image image;
	struct phiz_ctx *ctx;

	(void)state;
	assert_int_equal(phiz_ctx_create(&options, &ctx), PHIZ_OK);
	struct phiz_detector *d = make(ctx, NULL);
	for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
		make_photo(ctx, size[i][0], size[i][1], &image);
		memset(image.data, 255, (size_t)image.width * (size_t)image.height * 3);
		assert_ok(ctx, phiz_detector_run(d, &image, &faces));
		assert_true(faces.n >= 1);
		for (int k = 0; k < faces.n; k++) {
			const float *box = faces.face[k].box;
			assert_true(box[0] > (float)(-100 - image.width) && box[0] < (float)(2 * image.width + 100));
			assert_true(box[2] > 0 && box[3] > 0);
		}
		phiz_image_free(ctx, &image);
	}
	assert_ok(ctx, phiz_image_create(ctx, 20, 20, 1, &image));
	assert_fails(ctx, PHIZ_E_ARG, phiz_detector_run(d, &image, &faces));
	assert_message(ctx, "want an RGB image");
	assert_int_equal(faces.n, 0);
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

/* Frames of one size ask for no memory; frames of all sizes do not pile up. */
static void memory_stays(void **state)
{
	static const int size[2][2] = {{320, 240}, {1000, 700}};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_detector *d = make(ctx, NULL);
	struct phiz_memory_stats before, after;
	struct phiz_faces faces = {0};
	struct phiz_image image;
	size_t live = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		make_photo(ctx, size[i][0], size[i][1], &image);
		memset(image.data, 255, (size_t)image.width * (size_t)image.height * 3);
		assert_ok(ctx, phiz_detector_run(d, &image, &faces));
		phiz_ctx_memory(ctx, &before);
		for (int k = 0; k < 20; k++)
			assert_ok(ctx, phiz_detector_run(d, &image, &faces));
		phiz_ctx_memory(ctx, &after);
		assert_int_equal(after.allocations, before.allocations);
		phiz_image_free(ctx, &image);
	}
	for (int round = 0; round < 3; round++) {
		for (int k = 0; k < 40; k++) {
			make_photo(ctx, 40 + 23 * k, 1000 - 21 * k, &image);
			assert_ok(ctx, phiz_detector_run(d, &image, &faces));
			phiz_image_free(ctx, &image);
		}
		phiz_ctx_memory(ctx, &after);
		assert_true(round == 0 || after.live_bytes <= live);
		live = after.live_bytes;
	}
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

static void refuses(void **state)
{
	static const struct {
		struct phiz_detector_options o;
		const char *want;
	} cases[] = {
		{{.min_face = 0.5}, "min_face: want 1 to"},
		{{.min_face = -1}, "min_face"},
		{{.min_face = NAN}, "min_face"},
		{{.scale_factor = 1}, "scale_factor: want 0.1 to 0.99, got 1"},
		{{.threshold = {0, 1.5, 0}}, "threshold"},
		{{.threshold = {-0.1, 0, 0}}, "threshold"},
		{{.nms = 2}, "nms"},
		{{.max_side = 15}, "max_side: want 16 to 16384, got 15"},
		{{.max_side = 20000}, "max_side"},
		{{.max_faces = -1}, "max_faces"},
		{{.max_faces = 100000}, "max_faces"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_detector *d;
	struct phiz_model *m;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_fails(ctx, PHIZ_E_ARG, phiz_detector_adopt(ctx, test_spot_detector(ctx, NULL), &cases[i].o, &d));
		assert_message(ctx, cases[i].want);
		assert_null(d);
	}
	m = test_spot_detector(ctx, "kps_16");
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_detector_adopt(ctx, m, NULL, &d));
	assert_message(ctx, "no output 'kps_16'");
	m = test_spot_detector(ctx, NULL);
	assert_ok(ctx, phiz_model_set_meta(m, "detector", "haar"));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_detector_adopt(ctx, m, NULL, &d));
	assert_message(ctx, "a detector 'haar'; this phiz runs mtcnn, yunet and ultralight");
	for (int i = 0; i < 2; i++) { /* another detector's name */
		m = test_spot_detector(ctx, NULL);
		assert_ok(ctx, phiz_model_set_meta(m, "detector", i ? "mtcnn" : "ultralight"));
		assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_detector_adopt(ctx, m, NULL, &d));
		assert_null(d);
	}
	m = test_spot_detector(ctx, NULL);
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_EMBED));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_detector_adopt(ctx, m, NULL, &d));
	assert_message(ctx, "finds no faces");
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_detector_open(ctx, "/nowhere.phiz", NULL, &d));
	test_ctx_done(&ctx);
}

static enum phiz_status open_and_run(struct phiz_ctx *ctx, void *user)
{
	struct phiz_detector *d = NULL;
	struct phiz_faces faces = {0};
	struct phiz_image image = {0};
	enum phiz_status status = phiz_detector_open(ctx, user, NULL, &d);

	if (!status)
		status = phiz_image_create(ctx, 700, 40, 3, &image);
	if (!status) {
		memset(image.data, 255, (size_t)image.width * (size_t)image.height * 3);
		status = phiz_detector_run(d, &image, &faces);
	}
	if (!status)
		assert_true(faces.n > 10);
	else
		assert_int_equal(faces.n, 0);
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	return status;
}

/* On a device; on the CPU where that lacks a kernel and the CPU will do, for photos of all sizes; else refused. */
static void a_device_or_the_cpu(void **state)
{
	static const int side[] = {60, 200, 60};
	struct phiz_ctx *ctx = test_ctx(1);
	struct fake_device device;
	struct phiz_detector_options o = {.backend = &device.backend};
	struct phiz_faces faces = {0};
	struct phiz_detector *d;

	(void)state;
	fake_device_init(&device);
	for (int lacks = 0; lacks < 2; lacks++) {
		device.runs = 0;
		device.lacks = lacks ? "conv2d" : NULL;
		if (lacks)
			assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_detector_adopt(ctx, test_spot_detector(ctx, NULL), &o, &d));
		o.fallback = lacks ? phiz_backend_cpu() : NULL;
		d = make(ctx, &o);
		for (int i = 0; i < 3; i++) {
			struct phiz_image image;
			make_photo(ctx, side[i], side[i], &image);
			paint(&image, 16, 8, 255, 204, 0);
			assert_ok(ctx, phiz_detector_run(d, &image, &faces));
			assert_int_equal(faces.n, 1);
			assert_face(&faces.face[0], 12, 0, 16, 24, sqrt(0.8));
			phiz_image_free(ctx, &image);
		}
		assert_int_equal(device.runs, lacks ? 0 : 3);
		phiz_detector_free(&d);
	}
	phiz_faces_free(ctx, &faces);
	test_ctx_done(&ctx);
}

static void memory_runs_out(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256], path[300];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/d.phiz", dir);
	struct phiz_model *m = test_spot_detector(ctx, NULL);
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_model_free(&m);
	test_every_oom(ctx, open_and_run, path);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes), cmocka_unit_test(shrinks), cmocka_unit_test(many_faces),
		cmocka_unit_test(odd_photos), cmocka_unit_test(memory_stays), cmocka_unit_test(refuses),
		cmocka_unit_test(memory_runs_out), cmocka_unit_test(a_device_or_the_cpu),
	};

	(void)test_backend(); /* before there is anything to leave behind */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
