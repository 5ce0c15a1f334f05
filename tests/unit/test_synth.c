/* Sample people: the same everywhere, different from one another, with a truth that holds, in folders that are safe. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "datasets/csv.h"
#include "datasets/synth.h"

static struct phiz_synth_options options_of(int people, int photos, int size)
{
	struct phiz_synth_options o;

	phiz_synth_defaults(&o);
	o.people = people;
	o.photos = photos;
	o.size = size;
	return o;
}

static void hash_of(struct phiz_ctx *ctx, const struct phiz_synth_options *o, int person, int photo, char hex[65])
{
	struct phiz_image image;
	struct phiz_sha256 h;

	assert_ok(ctx, phiz_synth_render(ctx, o, person, photo, &image, NULL));
	assert_int_equal(image.width, o->size);
	assert_int_equal(image.height, o->size);
	assert_int_equal(image.channels, 3);
	phiz_sha256_init(&h);
	phiz_sha256_add(&h, image.data, (size_t)image.width * (size_t)image.height * 3);
	phiz_sha256_hex(&h, hex);
	phiz_image_free(ctx, &image);
}

/* Another process, another context, another order of asking: the same pixels. */
static void test_same_everywhere(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1), *other = test_ctx(2);
	struct phiz_synth_options o = options_of(3, 3, 48);
	char here[65], there[65] = "", hex[65];
	int fd[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		hash_of(ctx, &o, 2, 1, hex);
		_exit(write(fd[1], hex, 64) == 64 ? 0 : 1);
	}
	assert_int_equal(read(fd[0], there, 64), 64);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(fd[0]);
	close(fd[1]);
	hash_of(other, &o, 0, 2, hex);
	hash_of(other, &o, 2, 1, here);
	assert_string_equal(here, there);
	assert_string_not_equal(here, hex);
	/* The numbers of people and photos asked for do not matter, the first person's number does. */
	o.people = 100;
	o.photos = 7;
	o.first_person = 1;
	hash_of(ctx, &o, 1, 1, hex);
	assert_string_equal(here, hex);
	o.seed = 2;
	hash_of(ctx, &o, 1, 1, hex);
	assert_string_not_equal(here, hex);
	test_ctx_done(&ctx);
	test_ctx_done(&other);
}

static double middle(const double a[2], const double b[2], int axis)
{
	return 0.5 * (a[axis] + b[axis]);
}

/* Landmarks stand as on a face, turn with the head as the header says, and lie in the box, the box in the picture. */
static void test_truth(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options o = options_of(40, 10, 160);
	int turned = 0;

	(void)state;
	for (int person = 0; person < o.people; person++)
		for (int photo = 0; photo < o.photos; photo++) {
			struct phiz_face_truth t;
			double apart;
			assert_ok(ctx, phiz_synth_render(ctx, &o, person, photo, NULL, &t));
			assert_true(t.x >= 0 && t.y >= 0 && t.w >= 0.2 * o.size && t.h >= 0.25 * o.size);
			assert_true(t.x + t.w <= o.size && t.y + t.h <= o.size);
			for (int i = 0; i < 5; i++) {
				assert_true(t.landmark[i][0] >= t.x - 0.02 * o.size && t.landmark[i][0] <= t.x + t.w + 0.02 * o.size);
				assert_true(t.landmark[i][1] >= t.y && t.landmark[i][1] <= t.y + t.h);
			}
			assert_true(t.landmark[0][0] < t.landmark[1][0] && t.landmark[3][0] < t.landmark[4][0]);
			assert_true(middle(t.landmark[0], t.landmark[1], 1) < t.landmark[2][1]);
			assert_true(t.landmark[2][1] < middle(t.landmark[3], t.landmark[4], 1));
			assert_true(fabs(t.yaw) <= 35.5 && fabs(t.pitch) <= 15.5 && fabs(t.roll) <= 10.5);
			/* The nose points where the head is turned; the eyes tilt with the head. */
			apart = t.landmark[2][0] - middle(t.landmark[0], t.landmark[1], 0);
			if (fabs(t.yaw) > 15) {
				turned++;
				assert_true(apart * t.yaw > 0);
			}
			if (fabs(t.roll) > 4 && fabs(t.yaw) < 10) /* a turned and lifted head tilts the eyes too */
				assert_true((t.landmark[1][1] - t.landmark[0][1]) * t.roll > 0);
			assert_int_equal(t.burst, photo);
		}
	assert_true(turned > 40);
	test_ctx_done(&ctx);
}

/* A face crop of 8 x 8 x 3 by the truth's box, with brightness and contrast taken out. */
static void tiny_face(struct phiz_ctx *ctx, const struct phiz_synth_options *o, int person, int photo, double out[192])
{
	struct phiz_image image, small;
	struct phiz_face_truth t;
	double box[4], mean = 0, square = 0;

	assert_ok(ctx, phiz_synth_render(ctx, o, person, photo, &image, &t));
	box[0] = t.x;
	box[1] = t.y;
	box[2] = t.x + t.w;
	box[3] = t.y + t.h;
	assert_ok(ctx, phiz_image_resize(ctx, &image, 8, 8, box, &small));
	for (int i = 0; i < 192; i++)
		mean += small.data[i] / 192.0;
	for (int i = 0; i < 192; i++)
		square += (small.data[i] - mean) * (small.data[i] - mean) / 192.0;
	assert_true(mean > 8 && mean < 250);
	assert_true(square > 10);
	for (int i = 0; i < 192; i++)
		out[i] = (small.data[i] - mean) / sqrt(square);
	phiz_image_free(ctx, &small);
	phiz_image_free(ctx, &image);
}

/* Photos of one person are more alike than photos of two, already to the simplest eye, but not so alike that there
 * would be nothing to learn. */
static void test_people_differ(void **state)
{
	enum { PEOPLE = 8, PHOTOS = 8, ALL = PEOPLE * PHOTOS };
	static double face[ALL][192];
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options o = options_of(PEOPLE, PHOTOS, 64);
	double same = 0, other = 0;
	int n_same = 0, n_other = 0, right = 0;

	(void)state;
	for (int i = 0; i < ALL; i++)
		tiny_face(ctx, &o, i / PHOTOS, i % PHOTOS, face[i]);
	for (int i = 0; i < ALL; i++) {
		double best = 1e9;
		int nearest = -1;
		for (int j = 0; j < ALL; j++) {
			double d = 0;
			for (int k = 0; k < 192; k++)
				d += (face[i][k] - face[j][k]) * (face[i][k] - face[j][k]);
			if (i == j)
				continue;
			if (i / PHOTOS == j / PHOTOS) {
				same += d;
				n_same++;
			} else {
				other += d;
				n_other++;
			}
			if (d < best) {
				best = d;
				nearest = j;
			}
		}
		right += nearest / PHOTOS == i / PHOTOS;
	}
	print_message("distance within %.1f, between %.1f; nearest neighbour right %d of %d\n", same / n_same,
	              other / n_other, right, ALL);
	assert_true(same / n_same < 0.9 * other / n_other);
	assert_true(right > ALL / 4 && right < ALL);
	test_ctx_done(&ctx);
}

static double difference(struct phiz_ctx *ctx, const struct phiz_synth_options *o, int photo_a, int photo_b)
{
	struct phiz_image a, b;
	double sum = 0;

	assert_ok(ctx, phiz_synth_render(ctx, o, 0, photo_a, &a, NULL));
	assert_ok(ctx, phiz_synth_render(ctx, o, 0, photo_b, &b, NULL));
	for (int i = 0; i < o->size * o->size * 3; i++)
		sum += abs(a.data[i] - b.data[i]);
	phiz_image_free(ctx, &a);
	phiz_image_free(ctx, &b);
	return sum / (o->size * o->size * 3);
}

/* Photos of a burst are near-duplicates, but no copies; others are not. */
static void test_bursts(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options o = options_of(1, 30, 64);
	struct phiz_face_truth t;
	int in_burst = 0, checked = 0;

	(void)state;
	o.burst = 0.5;
	for (int photo = 0; photo < o.photos; photo++) {
		assert_ok(ctx, phiz_synth_render(ctx, &o, 0, photo, NULL, &t));
		assert_true(t.burst <= photo && t.burst >= 0);
		if (t.burst < photo) {
			in_burst++;
			if (checked++ < 4) {
				double d = difference(ctx, &o, t.burst, photo);
				assert_true(d > 0 && d < 12);
			}
		} else if (photo > 0 && checked++ < 8) {
			assert_true(difference(ctx, &o, photo - 1, photo) > 12);
		}
	}
	assert_true(in_burst > 5 && in_burst < 25);
	test_ctx_done(&ctx);
}

static void test_names(void **state)
{
	char name[32], again[32];

	(void)state;
	phiz_synth_name(0, name, sizeof name);
	assert_string_equal(name, "ada");
	phiz_synth_name(1, name, sizeof name);
	assert_string_equal(name, "bruno");
	for (int i = 0; i < 200; i++)
		for (int j = 0; j < i; j++) {
			phiz_synth_name(i, name, sizeof name);
			phiz_synth_name(j, again, sizeof again);
			assert_string_not_equal(name, again);
		}
	phiz_synth_name(123, name, sizeof name);
	assert_string_equal(name, "person_123");
	phiz_synth_name(1000000000, name, 8);
	assert_string_equal(name, "person_");
}

static void refuse(struct phiz_ctx *ctx, struct phiz_synth_options o, const char *why)
{
	struct phiz_image image;

	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_render(ctx, &o, 0, 0, &image, NULL));
	assert_message(ctx, why);
	assert_null(image.data);
}

static void test_settings(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options good = options_of(1, 1, 32), o;
	struct phiz_image image;

	(void)state;
	o = good, o.people = 0, refuse(ctx, o, "people");
	o = good, o.people = 100001, refuse(ctx, o, "people");
	o = good, o.photos = 0, refuse(ctx, o, "photos");
	o = good, o.size = 31, refuse(ctx, o, "size");
	o = good, o.size = 1025, refuse(ctx, o, "size");
	o = good, o.first_person = -1, refuse(ctx, o, "first person");
	o = good, o.burst = 0.91, refuse(ctx, o, "bursts");
	o = good, o.burst = NAN, refuse(ctx, o, "bursts");
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_render(ctx, &good, -1, 0, &image, NULL));
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_render(ctx, &good, 0, -1, &image, NULL));
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_sheet(ctx, &good, 0, 3, 2, &image));
	assert_ok(ctx, phiz_synth_sheet(ctx, &good, 2, 3, 4, &image));
	assert_int_equal(image.width, 3 * 32 + 2 * 4);
	assert_int_equal(image.height, 2 * 32 + 4);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

/* --- Folders. --- */

static void read_file(struct phiz_ctx *ctx, const char *dir, const char *name, struct phiz_bytes *out)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	phiz_bytes_init(out, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, (size_t)1 << 24, out));
}

static void same_file(struct phiz_ctx *ctx, const char *a, const char *b, const char *name)
{
	struct phiz_bytes x, y;

	read_file(ctx, a, name, &x);
	read_file(ctx, b, name, &y);
	assert_int_equal(x.size, y.size);
	assert_memory_equal(x.data, y.data, x.size);
	phiz_bytes_free(&x);
	phiz_bytes_free(&y);
}

static bool stop_soon(void *user, int64_t done, int64_t total)
{
	int *calls = user;

	assert_true(done > 0 && done <= total);
	return ++*calls > 1;
}

static const char *const FILES[] = {"ada/0001.jpg",    "ada/0006.jpg", "bruno/0003.jpg",
                                    "chiara/0006.jpg", "truth.csv",    "synth.cfg"};

/* One thread, two threads, and broken off and resumed: the same bytes. */
static void test_folder_whole(void **state)
{
	struct phiz_ctx *one = test_ctx(1), *two = test_ctx(2);
	struct phiz_synth_options o = options_of(3, 6, 40);
	struct phiz_synth_result r;
	char a[256], b[256], path[512];
	int calls = 0;

	(void)state;
	test_folder(a);
	test_folder(b);
	assert_ok(two, phiz_synth_write(two, &o, a, NULL, NULL, &r));
	assert_int_equal(r.written, 18);
	assert_int_equal(r.kept, 0);
	assert_ok(two, phiz_synth_write(two, &o, a, NULL, NULL, &r));
	assert_int_equal(r.written, 0);
	assert_int_equal(r.kept, 18);
	assert_fails(one, PHIZ_E_CANCELLED, phiz_synth_write(one, &o, b, stop_soon, &calls, &r));
	assert_message(one, "goes on from there");
	calls = 10;
	assert_ok(one, phiz_synth_write(one, &o, b, stop_soon, &calls, &r));
	assert_true(r.kept > 0 && r.written > 0 && r.kept + r.written == 18);
	for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++)
		same_file(one, a, b, FILES[i]);
	/* A photo that was lost comes back; more photos are added to those that are there. */
	snprintf(path, sizeof path, "%s/bruno/0003.jpg", b);
	assert_int_equal(remove(path), 0);
	assert_ok(one, phiz_synth_write(one, &o, b, NULL, NULL, &r));
	assert_int_equal(r.written, 1);
	same_file(one, a, b, "bruno/0003.jpg");
	o.people = 4;
	o.photos = 7;
	assert_ok(one, phiz_synth_write(one, &o, b, NULL, NULL, &r));
	assert_int_equal(r.written, 10);
	test_folder_done(a);
	test_folder_done(b);
	test_ctx_done(&one);
	test_ctx_done(&two);
}

static void test_folder_refused(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options o = options_of(2, 2, 32);
	char dir[256], path[512];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/holiday.jpg", dir);
	assert_ok(ctx, phiz_file_write(ctx, path, "x", 1));
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	assert_message(ctx, "holiday.jpg");
	assert_int_equal(remove(path), 0);
	assert_ok(ctx, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	o.seed = 9;
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	assert_message(ctx, "seed 1, asked for 9");
	o.seed = 1;
	o.photos = 1;
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	assert_message(ctx, "photos 2, asked for 1");
	o.photos = 2;
	/* A mark that says nothing, or nonsense. */
	snprintf(path, sizeof path, "%s/synth.cfg", dir);
	assert_ok(ctx, phiz_file_write(ctx, path, "[synth]\nseed = 1\n", 17));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	assert_ok(ctx, phiz_file_write(ctx, path, "]]", 2));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	assert_ok(ctx, phiz_file_write(ctx, path, "[synth]\npeople = x\n", 19));
	assert_fails(ctx, PHIZ_E_ARG, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	/* A file where the folder should be. */
	assert_fails(ctx, PHIZ_E_IO, phiz_synth_write(ctx, &o, path, NULL, NULL, NULL));
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* truth.csv says what phiz_synth_render says. */
static void test_truth_file(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_synth_options o = options_of(2, 3, 32);
	struct phiz_bytes text;
	struct phiz_csv csv;
	char dir[256], want[40];

	(void)state;
	o.burst = 0.4;
	test_folder(dir);
	assert_ok(ctx, phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL));
	read_file(ctx, dir, "truth.csv", &text);
	assert_ok(ctx, phiz_csv_parse(ctx, text.data, text.size, "truth.csv", &csv));
	assert_int_equal(csv.columns, 21);
	assert_int_equal(csv.count, 7);
	assert_string_equal(csv.row[0].field[6], "lx1");
	for (int i = 0; i < 6; i++) {
		struct phiz_face_truth t;
		char **field = csv.row[i + 1].field;
		assert_ok(ctx, phiz_synth_render(ctx, &o, i / 3, i % 3, NULL, &t));
		snprintf(want, sizeof want, "%s/000%d.jpg", i < 3 ? "ada" : "bruno", i % 3 + 1);
		assert_string_equal(field[0], want);
		assert_string_equal(field[1], i < 3 ? "ada" : "bruno");
		snprintf(want, sizeof want, "%.2f", t.landmark[4][1]);
		assert_string_equal(field[15], want);
		snprintf(want, sizeof want, "%d", t.burst + 1);
		assert_string_equal(field[20], want);
	}
	phiz_csv_free(ctx, &csv);
	phiz_bytes_free(&text);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* --- Memory runs out. --- */

static enum phiz_status render_once(struct phiz_ctx *ctx, void *user)
{
	struct phiz_synth_options o = options_of(1, 1, 32);
	struct phiz_image image;
	enum phiz_status status = phiz_synth_render(ctx, &o, *(int *)user, 0, &image, NULL);

	if (status)
		assert_null(image.data);
	phiz_image_free(ctx, &image);
	return status;
}

static enum phiz_status write_once(struct phiz_ctx *ctx, void *user)
{
	struct phiz_synth_options o = options_of(1, 1, 32);
	char dir[256];
	enum phiz_status status;

	(void)user;
	test_folder(dir);
	status = phiz_synth_write(ctx, &o, dir, NULL, NULL, NULL);
	test_folder_done(dir);
	return status;
}

static void test_oom(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	/* A bald man, long hair, a knot, glasses: between them all parts. */
	for (int person = 0; person < 8; person += 3)
		test_every_oom(ctx, render_once, &person);
	test_every_oom(ctx, write_once, NULL);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_everywhere), cmocka_unit_test(test_truth),
		cmocka_unit_test(test_people_differ),   cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_names),           cmocka_unit_test(test_settings),
		cmocka_unit_test(test_folder_whole),    cmocka_unit_test(test_folder_refused),
		cmocka_unit_test(test_truth_file),      cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
