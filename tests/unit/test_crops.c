/* What stands beside extracted crops: the list of faces and the settings, written, read again, damaged. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "datasets/crops.h"
#include "support/photos.h"

static int8_t code[4] = {127, -127, 0, -1};

static struct phiz_crop example(void)
{
	struct phiz_crop c = {.source = "photos/Zo\xC3\xAB, \"2nd\"/a.jpg", .size = 12345, .mtime = -7, .frame = -1,
	                      .person = "Zo\xC3\xAB, \"2nd\"", .fate = PHIZ_CROP_KEPT, .file = "Zo\xC3\xAB, \"2nd\"/a.jpg",
	                      .width = 640, .height = 480, .similarity = -2, .embedding = code, .dim = 4};

	c.face = (struct phiz_face){{10.5f, 20, 100, 130}, 0.75f,
	                            {{40, 60}, {80, 61}, {60.25f, 80}, {45, 100}, {76, 101}}};
	c.quality = (struct phiz_quality){211.125, 0.5, 0.01, 0, 0.2, -3.5, 4, 1.5, 40.1, 0.9};
	return c;
}

static void make(struct phiz_ctx *ctx, struct phiz_crops *crops)
{
	struct phiz_crop c = example();

	*crops = (struct phiz_crops){0};
	assert_ok(ctx, phiz_crops_add(ctx, crops, &c));
	c.source = "clip.mp4", c.frame = 250, c.time = 10.04, c.person = "person_01", c.fate = PHIZ_CROP_ASIDE;
	c.file = "_aside/person_01/x_2.jpg", c.reason = "cosine 0.1, to 0.7", c.similarity = 0.125;
	assert_ok(ctx, phiz_crops_add(ctx, crops, &c));
	c = (struct phiz_crop){.source = "b.jpg", .frame = -1, .person = "bert", .fate = PHIZ_CROP_UNREADABLE,
	                       .reason = "b.jpg: truncated JPEG", .similarity = -2};
	assert_ok(ctx, phiz_crops_add(ctx, crops, &c));
}

static void same(const struct phiz_crop *a, const struct phiz_crop *b)
{
	assert_string_equal(a->source, b->source);
	assert_string_equal(a->person, b->person);
	assert_string_equal(a->file, b->file);
	assert_string_equal(a->reason, b->reason);
	assert_true(a->size == b->size && a->mtime == b->mtime && a->frame == b->frame && a->fate == b->fate);
	assert_true(a->dim == b->dim && a->width == b->width && a->height == b->height);
	if (a->dim)
		assert_memory_equal(a->embedding, b->embedding, (size_t)a->dim);
	assert_true(fabs(a->time - b->time) < 0.001 && fabs(a->similarity - b->similarity) < 1e-12);
	assert_memory_equal(&a->face, &b->face, sizeof a->face);
	assert_memory_equal(&a->quality, &b->quality, sizeof a->quality);
}

/* What is read is what was written, to the last bit. */
static void test_again(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_crops crops, again;
	struct phiz_bytes text;

	(void)state;
	make(ctx, &crops);
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_crops_format(ctx, &crops, true, &text));
	assert_ok(ctx, phiz_crops_parse(ctx, text.data, text.size, "state", &again));
	assert_int_equal(again.count, 3);
	for (size_t i = 0; i < 3; i++)
		same(&crops.crop[i], &again.crop[i]);
	phiz_crops_free(ctx, &again);
	/* People read the manifest: no embedding in it. */
	phiz_bytes_clear(&text);
	assert_ok(ctx, phiz_crops_format(ctx, &crops, false, &text));
	assert_null(strstr(text.data, "embedding"));
	assert_null(strstr(text.data, "7f81"));
	assert_non_null(strstr(text.data, "clip.mp4,250,10.040,person_01,aside,"));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_crops_parse(ctx, text.data, text.size, "manifest", &again));
	phiz_bytes_free(&text);
	phiz_crops_free(ctx, &crops);
	test_ctx_done(&ctx);
}

/* Every byte of the text replaced or cut: an error with a place, or a list; never anything else. */
static void test_damage(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	static const struct {
		const char *from, *to;
	} change[] = {
		{"kept", "kepT"},          {"clip.mp4", ""},
		{"_aside/person_01", "../person_01"}, {"_aside/person_01", "/etc/person_01"},
		{"12345", "x"},            {"12345", "-1"},
		{"7f8100ff", "7f8100f"},   {"7f8100ff", "7f8100fg"},
		{"10.5", ""},              {"10.5", "nan"},
		{"bert", "a/b"},           {"bert", ".."},
		{"source", "sauce"},
	};
	struct phiz_crops crops, again;
	struct phiz_bytes text;

	(void)state;
	make(ctx, &crops);
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_crops_format(ctx, &crops, true, &text));
	for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
		const char *at = strstr(text.data, change[i].from);
		struct phiz_bytes bad;

		assert_non_null(at);
		phiz_bytes_init(&bad, ctx);
		phiz_bytes_add(&bad, text.data, (size_t)(at - text.data));
		phiz_bytes_text(&bad, change[i].to);
		phiz_bytes_text(&bad, at + strlen(change[i].from));
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_crops_parse(ctx, bad.data, bad.size, "state", &again));
		assert_message(ctx, "state");
		assert_null(again.crop);
		phiz_bytes_free(&bad);
	}
	phiz_bytes_free(&text);
	phiz_crops_free(ctx, &crops);
	test_ctx_done(&ctx);
}

/* Points of the photo land where the crop shows them: eyes of an exact template face lie on the template. */
static void test_landmarks(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_align arcface = {PHIZ_ALIGN_ARCFACE, 0, 112}, box = {PHIZ_ALIGN_BOX, 0.5, 60};
	struct phiz_crop c = example();
	struct phiz_crops crops = {0};
	struct phiz_bytes text;
	float want[5][2], p[5][2], corner[2][2] = {{10, 20}, {110, 120}};

	(void)state;
	phiz_align_template(112, want);
	for (int i = 0; i < 5; i++) { /* turned by 90 degrees, three times as large, moved */
		c.face.landmark[i][0] = -3 * want[i][1] + 500;
		c.face.landmark[i][1] = 3 * want[i][0] + 100;
	}
	assert_ok(ctx, phiz_align_point(ctx, &arcface, &c.face, (const float(*)[2])c.face.landmark, p, 5));
	test_close_f32("landmarks", &p[0][0], &want[0][0], 10, 1e-4, 0);
	c.face.box[0] = 10, c.face.box[1] = 20, c.face.box[2] = c.face.box[3] = 100;
	assert_ok(ctx, phiz_align_point(ctx, &box, &c.face, (const float(*)[2])corner, p, 2));
	test_close_f32("corners", &p[0][0], (const float[]){10, 10, 50, 50}, 4, 1e-4, 0);
	assert_ok(ctx, phiz_crops_add(ctx, &crops, &c));
	c.fate = PHIZ_CROP_ASIDE;
	assert_ok(ctx, phiz_crops_add(ctx, &crops, &c));
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_crops_landmarks(ctx, &crops, &arcface, &text));
	assert_string_equal(strchr(text.data, '\n') + 1,
	                    "\"Zo\xC3\xAB, \"\"2nd\"\"/a.jpg\",38.29,51.70,73.53,51.50,56.03,71.74,41.55,92.37,70.73,92.20,"
	                    "-26.67,130.00,33.33,33.33,0.75\n"); /* (60, 70) goes to (-10, 146.67) */
	phiz_bytes_free(&text);
	phiz_crops_free(ctx, &crops);

	/* Stretched: 100 x 50 with 20 pixels of 100 around it are 80 x 80 of the crop, whatever the box was. */
	const struct phiz_align facenet = {PHIZ_ALIGN_FACENET, 20, 100};
	struct phiz_face in;
	c.face.box[3] = 50;
	assert_ok(ctx, phiz_crops_face(ctx, &facenet, &c.face, &in));
	test_close_f32("box", in.box, (const float[]){10, 10, 80, 80}, 4, 1e-4, 0);
	assert_true(in.score == c.face.score);
	/* Of a detector that knows no points: none in the crop either, wherever that lies in the photo. */
	memset(c.face.landmark, 0, sizeof c.face.landmark);
	c.fate = PHIZ_CROP_KEPT;
	assert_ok(ctx, phiz_crops_face(ctx, &facenet, &c.face, &in));
	assert_false(phiz_face_has_landmarks(&in));
	test_close_f32("box", in.box, (const float[]){10, 10, 80, 80}, 4, 1e-4, 0);
	assert_ok(ctx, phiz_crops_add(ctx, &crops, &c));
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_crops_landmarks(ctx, &crops, &facenet, &text));
	assert_non_null(strstr(text.data, ",0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0.00,10.00,10.00,80.00,80.00,"));
	phiz_bytes_free(&text);
	phiz_crops_free(ctx, &crops);
	c.face.box[2] = 0;
	assert_fails(ctx, PHIZ_E_ARG, phiz_crops_face(ctx, &facenet, &c.face, &in));
	test_ctx_done(&ctx);
}

/* Of what is cut out of crops a part may lie outside of them; what was stretched cannot be cut in another way. */
static void test_recut(void **state)
{
	const struct phiz_align box = {PHIZ_ALIGN_BOX, 0, 64}, wide = {PHIZ_ALIGN_BOX, 1, 64};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_crops_settings s = {.align = {PHIZ_ALIGN_BOX, 0.3, 100}, .complete = true};
	/* In crops of 100: one in the middle, one that reaches 20 beyond the left edge, one that is not known. */
	struct phiz_face face[] = {{.box = {25, 25, 50, 50}, .score = 1}, {.box = {-20, 20, 40, 40}, .score = 1},
	                           {.score = -1}};
	const struct phiz_align facenet = {PHIZ_ALIGN_FACENET, 0, 64};
	struct phiz_dataset *d;
	char dir[256];
	double share;

	(void)state;
	test_folder(dir);
	for (unsigned i = 0; i < 3; i++) {
		char name[16];
		snprintf(name, sizeof name, "%s/%u.ppm", i ? "anna" : "bert", i); /* anna's come first */
		test_photo(ctx, dir, name, i, 0, 0, 8, 8);
	}
	assert_ok(ctx, phiz_dataset_scan(ctx, dir, NULL, &d));
	assert_int_equal(d->count, 3);
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &box, &share)); /* no extract.json: nothing is known */
	assert_true(share == 0);
	assert_ok(ctx, phiz_crops_settings_write(ctx, dir, &s));
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &box, &share));
	assert_true(fabs(share - 0.25) < 1e-12);
	/* 100 x 100, all inside; 80 x 80 from (-40, 0) on, half of it. */
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &wide, &share));
	assert_true(fabs(share - 0.25) < 1e-12);
	s.align = (struct phiz_align){PHIZ_ALIGN_FACENET, 20, 100};
	assert_ok(ctx, phiz_crops_settings_write(ctx, dir, &s));
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &facenet, &share));
	assert_true(fabs(share - 0.25) < 1e-12);
	assert_fails(ctx, PHIZ_E_ARG, phiz_crops_recut(ctx, d, face, &box, &share));
	assert_message(ctx, "stretched");
	d->sample[0].part = PHIZ_PART_SKIP;
	face[1].box[2] = 0; /* cannot be cut out */
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &facenet, &share));
	assert_true(share == 0);
	d->sample[1].part = PHIZ_PART_SKIP;
	assert_ok(ctx, phiz_crops_recut(ctx, d, face, &box, &share)); /* none of them is used */
	phiz_dataset_free(ctx, &d);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

static void test_settings(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_crops_settings s = {.align = {PHIZ_ALIGN_BOX, 0.3, 160}, .png = true, .min_score = 0.1,
	                                .min_size = 20, .fps = 2.5, .detector = "abc", .complete = true}, again, other;
	struct phiz_align align;
	char dir[256], what[128];

	(void)state;
	test_folder(dir);
	assert_ok(ctx, phiz_crops_align(ctx, dir, &align));
	assert_int_equal(align.kind, PHIZ_ALIGN_NONE);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_crops_settings_read(ctx, dir, &again));
	assert_ok(ctx, phiz_crops_settings_write(ctx, dir, &s));
	assert_ok(ctx, phiz_crops_settings_read(ctx, dir, &again));
	assert_true(again.complete && again.png && !phiz_crops_settings_differ(&s, &again, what, sizeof what));
	assert_ok(ctx, phiz_crops_align(ctx, dir, &align));
	assert_true(align.kind == PHIZ_ALIGN_BOX && align.size == 160 && fabs(align.margin - 0.3) < 1e-15);
	other = s, other.align.size = 112;
	assert_true(phiz_crops_settings_differ(&s, &other, what, sizeof what));
	assert_string_equal(what, "size 160, asked for 112");
	other = s, other.embedder[0] = 'x';
	assert_true(phiz_crops_settings_differ(&s, &other, what, sizeof what));
	assert_string_equal(what, "model none, asked for x");
	/* Of a dataset: all folders that are trained on, alike. */
	struct phiz_dataset *d;
	char more[2][300];
	test_photo(ctx, dir, "a/anna/1.ppm", 1, 0, 0, 32, 32);
	test_photo(ctx, dir, "b/anna/2.ppm", 2, 0, 0, 32, 32);
	for (int i = 0; i < 2; i++)
		snprintf(more[i], sizeof more[i], "%s/%s", dir, i ? "b" : "a");
	for (int part = PHIZ_PART_TRAIN; part <= PHIZ_PART_VAL; part++) {
		for (int json = 0; json < 4; json++) {
			struct phiz_scan_options one = {.min_people = 1};
			bool alike = json == 0 || json == 3 || part == PHIZ_PART_VAL;

			for (int i = 0; i < 2; i++) {
				char path[700];
				snprintf(path, sizeof path, "%s/extract.json", more[i]);
				remove(path);
				if (json & (i + 1))
					assert_ok(ctx, phiz_crops_settings_write(ctx, more[i], &s));
			}
			assert_ok(ctx, phiz_dataset_scan(ctx, more[0], &one, &d));
			assert_ok(ctx, phiz_dataset_add_dir(ctx, d, more[1], (enum phiz_part)part));
			if (alike)
				assert_ok(ctx, phiz_crops_align_dataset(ctx, d, &align));
			else
				assert_fails(ctx, PHIZ_E_ARG, phiz_crops_align_dataset(ctx, d, &align));
			if (alike)
				assert_int_equal(align.kind, json & 1 ? PHIZ_ALIGN_BOX : PHIZ_ALIGN_NONE);
			phiz_dataset_free(ctx, &d);
		}
	}
	static const char *const bad[] = {"", "[]", "{}", "{\"align\":\"box\"}", "{\"align\":\"box\",\"size\":1e9}",
	                                  "{\"align\":\"heap\",\"size\":112}",
	                                  "{\"align\":\"box\",\"size\":112,\"margin\":-1}",
	                                  "{\"align\":\"box\",\"size\":112,\"detector\":7}", "{\"align\":7,\"size\":112}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		test_file(ctx, dir, "extract.json", bad[i], strlen(bad[i]));
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_crops_align(ctx, dir, &align));
		assert_message(ctx, "extract.json");
	}
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

static enum phiz_status round_trip(struct phiz_ctx *ctx, void *user)
{
	struct phiz_crops_settings s = {.align = {PHIZ_ALIGN_ARCFACE, 0, 112}};
	struct phiz_crop c = example();
	struct phiz_crops crops = {0}, again = {0};
	struct phiz_bytes text;
	enum phiz_status status = phiz_crops_add(ctx, &crops, &c);

	phiz_bytes_init(&text, ctx);
	if (!status)
		status = phiz_crops_format(ctx, &crops, true, &text);
	if (!status)
		status = phiz_crops_parse(ctx, text.data, text.size, "state", &again);
	if (!status)
		status = phiz_crops_settings_write(ctx, user, &s);
	if (!status)
		status = phiz_crops_settings_read(ctx, user, &s);
	phiz_bytes_free(&text);
	phiz_crops_free(ctx, &crops);
	phiz_crops_free(ctx, &again);
	return status;
}

static void test_oom(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256];

	(void)state;
	test_folder(dir);
	test_every_oom(ctx, round_trip, dir);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),    cmocka_unit_test(test_damage), cmocka_unit_test(test_landmarks),
		cmocka_unit_test(test_recut),
		cmocka_unit_test(test_settings), cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
