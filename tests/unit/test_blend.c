/* Faces of nobody: flat photos have blends that are known, and the folder is the same however it came about. */
#include "support/photos.h"

#include <stdio.h>
#include <stdlib.h>

#include "datasets/blend.h"

enum { SIDE = 128, SIZE = 64, DARK = 50, LIGHT = 200 };

/* A photo of one grey, with a face in its middle that is cut out at its own size and with photo all around. */
static void put_photo(struct phiz_ctx *ctx, const char *folder, const char *name, int grey)
{
	static uint8_t file[SIDE * SIDE * 3 + 32];
	int n = snprintf((char *)file, 32, "P6\n%d %d\n255\n", SIDE, SIDE);

	memset(file + n, grey, (size_t)SIDE * SIDE * 3);
	test_file(ctx, folder, name, file, (size_t)n + (size_t)SIDE * SIDE * 3);
}

static void put_landmarks(struct phiz_ctx *ctx, const char *folder, const char *const *names, int count)
{
	const int inner = SIZE - SIZE / 16 * 2;
	float point[PHIZ_LANDMARKS][2];
	char text[4096];
	int n = snprintf(text, sizeof text, "file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n");

	phiz_align_template(inner, point);
	for (int i = 0; i < count; i++) {
		n += snprintf(text + n, sizeof text - (size_t)n, "%s", names[i]);
		for (int k = 0; k < PHIZ_LANDMARKS * 2; k++)
			n += snprintf(text + n, sizeof text - (size_t)n, ",%.3f",
			              (double)point[k / 2][k % 2] + (SIDE - inner) / 2.0);
		n += snprintf(text + n, sizeof text - (size_t)n, "\n");
	}
	test_file(ctx, folder, "faces/landmarks.csv", text, (size_t)n);
}

struct fixture {
	char folder[256], faces_dir[300], out[300];
	struct phiz_dataset *dataset;
	struct phiz_landmarks faces;
};

static void begin(struct phiz_ctx *ctx, struct fixture *f, const char *const *names, int count)
{
	test_folder(f->folder);
	for (int i = 0; i < count; i++) {
		char path[300];

		snprintf(path, sizeof path, "faces/%s", names[i]);
		put_photo(ctx, f->folder, path, i ? LIGHT : DARK);
	}
	put_landmarks(ctx, f->folder, names, count);
	snprintf(f->faces_dir, sizeof f->faces_dir, "%s/faces", f->folder);
	snprintf(f->out, sizeof f->out, "%s/out", f->folder);
	assert_ok(ctx, phiz_dataset_create(ctx, &f->dataset));
	assert_ok(ctx, phiz_dataset_add_unlabelled(ctx, f->dataset, f->faces_dir));
	assert_ok(ctx, phiz_landmarks_read(ctx, NULL, f->dataset, &f->faces));
}

static void finish(struct phiz_ctx *ctx, struct fixture *f)
{
	phiz_landmarks_free(ctx, &f->faces);
	phiz_dataset_free(ctx, &f->dataset);
	test_folder_done(f->folder);
}

static enum phiz_status make(struct phiz_ctx *ctx, const struct fixture *f, const char *out, int64_t count,
                             uint64_t seed, struct phiz_blend_result *r)
{
	const struct phiz_blend_options o = {.count = count, .size = SIZE, .seed = seed};

	return phiz_blend_write(ctx, f->dataset, &f->faces, &o, out, NULL, NULL, r);
}

static const char *const two[] = {"a.ppm", "b.ppm"};

static void read_photo(struct phiz_ctx *ctx, const char *dir, int i, struct phiz_image *out)
{
	char path[400];

	snprintf(path, sizeof path, "%s/000/%06d.jpg", dir, i);
	assert_ok(ctx, phiz_image_read(ctx, path, NULL, out));
	assert_int_equal(out->width, SIZE);
	assert_int_equal(out->height, SIZE);
}

/* The second photo takes on 0.7 of the first one's light: of a first grey a and a second b, a pixel with share s is
 * a + (1 - s) * 0.3 * (b - a). JPEG is off by a grey or two. */
static void test_greys(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_blend_result r;
	struct fixture f;
	int dark = 0, flat = 0, seam = 0;

	(void)state;
	begin(ctx, &f, two, 2);
	assert_ok(ctx, make(ctx, &f, f.out, 40, 7, &r));
	assert_int_equal(r.written, 40);
	assert_int_equal(r.kept + r.failed, 0);
	for (int i = 0; i < 40; i++) {
		struct phiz_image image;
		int low = 255, high = 0;

		read_photo(ctx, f.out, i, &image);
		for (int k = 0; k < SIZE * SIZE * 3; k++) {
			low = image.data[k] < low ? image.data[k] : low;
			high = image.data[k] > high ? image.data[k] : high;
		}
		bool is_dark = high < 125;
		assert_in_range(low, is_dark ? DARK - 3 : 155 - 3, LIGHT + 3);
		assert_in_range(high, DARK - 3, is_dark ? 95 + 3 : LIGHT + 3);
		dark += is_dark;
		if (high - low <= 2) { /* a share between 0.35 and 0.65 */
			int moved = is_dark ? low - DARK : LIGHT - low;

			assert_in_range(moved, (int)(0.35 * 45) - 3, (int)(0.65 * 45) + 3);
			flat++;
		}
		seam += high - low > 20;
		phiz_image_free(ctx, &image);
	}
	assert_in_range(dark, 8, 32);
	assert_in_range(flat, 8, 32);
	assert_in_range(seam, 4, 32);
	finish(ctx, &f);
	test_ctx_done(&ctx);
}

static void test_points(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_blend_result r;
	struct phiz_face_table table;
	struct phiz_bytes text;
	float point[PHIZ_LANDMARKS][2];
	struct fixture f;
	char path[400];

	(void)state;
	begin(ctx, &f, two, 2);
	assert_ok(ctx, make(ctx, &f, f.out, 3, 1, &r));
	snprintf(path, sizeof path, "%s/landmarks.csv", f.out);
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, 1 << 20, &text));
	assert_ok(ctx, phiz_face_table_parse(ctx, text.data, text.size, path, &table));
	assert_int_equal(table.count, 3);
	phiz_align_template(SIZE - 8, point);
	for (size_t i = 0; i < table.count; i++)
		for (int k = 0; k < PHIZ_LANDMARKS * 2; k++)
			assert_true(fabsf(table.row[i].face.landmark[k / 2][k % 2] - point[k / 2][k % 2] - 4) < 0.006f);
	phiz_face_table_free(ctx, &table);
	phiz_bytes_free(&text);
	finish(ctx, &f);
	test_ctx_done(&ctx);
}

static void assert_same_file(struct phiz_ctx *ctx, const char *a, const char *b, const char *name, bool same)
{
	char path[2][400];
	struct phiz_bytes text[2];

	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof path[i], "%s/%s", i ? b : a, name);
		phiz_bytes_init(&text[i], ctx);
		assert_ok(ctx, phiz_file_read(ctx, path[i], 1 << 20, &text[i]));
	}
	assert_true((text[0].size == text[1].size && !memcmp(text[0].data, text[1].data, text[0].size)) == same);
	phiz_bytes_free(&text[0]);
	phiz_bytes_free(&text[1]);
}

static bool stop_at_once(void *user, int64_t done, int64_t total)
{
	(void)user;
	(void)done;
	(void)total;
	return false;
}

/* One call with two threads; with one, broken off, gone on with, and with more photos afterwards. */
static void test_goes_on(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2), *one = test_ctx(1);
	const struct phiz_blend_options o = {.count = 70, .size = SIZE, .seed = 5};
	struct phiz_blend_result r;
	struct fixture f;
	char second[300], other[300];

	(void)state;
	begin(ctx, &f, two, 2);
	snprintf(second, sizeof second, "%s/second", f.folder);
	snprintf(other, sizeof other, "%s/other", f.folder);
	assert_ok(ctx, make(ctx, &f, f.out, 80, 5, &r));
	assert_fails(one, PHIZ_E_CANCELLED,
	             phiz_blend_write(one, f.dataset, &f.faces, &o, second, stop_at_once, NULL, &r));
	assert_message(one, "the same command goes on");
	assert_int_equal(r.written, 64);
	assert_ok(one, make(one, &f, second, 70, 5, &r));
	assert_int_equal(r.kept, 64);
	assert_int_equal(r.written, 6);
	assert_ok(one, make(one, &f, second, 80, 5, &r));
	assert_int_equal(r.kept, 70);
	assert_same_file(ctx, f.out, second, "landmarks.csv", true);
	assert_same_file(ctx, f.out, second, "000/000000.jpg", true);
	assert_same_file(ctx, f.out, second, "000/000079.jpg", true);
	assert_ok(ctx, make(ctx, &f, other, 2, 6, &r));
	assert_same_file(ctx, f.out, other, "000/000000.jpg", false);
	finish(ctx, &f);
	test_ctx_done(&one);
	test_ctx_done(&ctx);
}

static void test_refuses_folders(void **state)
{
	const struct phiz_blend_options none = {.count = 0, .size = SIZE}, wide = {.count = 1, .size = 513};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_blend_result r;
	struct fixture f;

	(void)state;
	begin(ctx, &f, two, 2);
	assert_fails(ctx, PHIZ_E_ARG, make(ctx, &f, f.faces_dir, 2, 1, &r));
	assert_message(ctx, "not empty");
	assert_ok(ctx, make(ctx, &f, f.out, 2, 1, &r));
	assert_fails(ctx, PHIZ_E_ARG, make(ctx, &f, f.out, 2, 2, &r));
	assert_message(ctx, "another seed");
	assert_fails(ctx, PHIZ_E_ARG, phiz_blend_write(ctx, f.dataset, &f.faces, &none, f.out, NULL, NULL, &r));
	assert_fails(ctx, PHIZ_E_ARG, phiz_blend_write(ctx, f.dataset, &f.faces, &wide, f.out, NULL, NULL, &r));
	finish(ctx, &f);
	begin(ctx, &f, two, 1);
	assert_fails(ctx, PHIZ_E_ARG, make(ctx, &f, f.out, 2, 1, &r));
	assert_message(ctx, "want two or more");
	finish(ctx, &f);
	test_ctx_done(&ctx);
}

/* A photo that cannot be read costs the blends it is part of, no more. */
static void test_damaged(void **state)
{
	static const char *const three[] = {"a.ppm", "b.ppm", "c.ppm"};
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_blend_result r;
	struct phiz_bytes text;
	struct fixture f;
	char path[400];
	size_t lines = 0;

	(void)state;
	begin(ctx, &f, three, 3);
	test_file(ctx, f.folder, "faces/c.ppm", "P6\n128 128\n255\n", 15);
	assert_ok(ctx, make(ctx, &f, f.out, 30, 3, &r));
	assert_in_range(r.failed, 10, 29);
	assert_int_equal(r.written, 30 - r.failed);
	snprintf(path, sizeof path, "%s/landmarks.csv", f.out);
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, 1 << 20, &text));
	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	assert_int_equal(lines, 1 + r.written);
	phiz_bytes_free(&text);
	finish(ctx, &f);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greys),
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_refuses_folders),
		cmocka_unit_test(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
