/* Landmarks of a dataset's photos: the CSV, and which photo is which. */
#include "support/photos.h"

#include <stdio.h>

#include "datasets/landmarks.h"

#define POINTS "1,2,3,4,5,6,7,8,9,10"
#define HEADER "file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry"

static void test_table(void **state)
{
	static const char text[] = "score,ny,file,nx,lx,ly,rx,ry,mlx,mly,mrx,mry,w,h,x,y,else\n"
	                           "0.5,6,b.jpg,5,1,2,3,4,7,8,9,10,40,50,-2,3.5,?\n"
	                           "0.25,0,a/a.jpg,0,0,0,0,0,0,0,0,0,1,1,0,0,\n"
	                           "0.75,0,b.jpg,0,0,0,0,0,0,0,0,0,1,1,0,0,\n";
	static const char plain[] = HEADER "\nc.jpg," POINTS "\n";
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_face_table table;
	const struct phiz_face *face;

	(void)state;
	assert_ok(ctx, phiz_face_table_parse(ctx, text, strlen(text), "x.csv", &table));
	assert_int_equal(table.count, 3);
	assert_true(table.boxes);
	face = phiz_face_table_find(&table, "b.jpg"); /* the better of two */
	assert_true(face && face->score > 0.7f && face->landmark[2][0] < 1);
	assert_non_null(phiz_face_table_find(&table, "a/a.jpg"));
	assert_null(phiz_face_table_find(&table, "a.jpg"));
	assert_null(phiz_face_table_find(&table, ""));
	phiz_face_table_free(ctx, &table);

	assert_ok(ctx, phiz_face_table_parse(ctx, plain, strlen(plain), "y.csv", &table));
	face = phiz_face_table_find(&table, "c.jpg");
	assert_true(face && !table.boxes && face->score == 1);
	for (int i = 0; i < 10; i++)
		assert_true(face->landmark[i / 2][i % 2] == (float)(i + 1));
	phiz_face_table_free(ctx, &table);
	test_ctx_done(&ctx);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"file,lx\na,1\n", "x.csv:1: no column 'ly'"},
		{HEADER "\na.jpg,1,2,3,4,5,6,7,8,9,ten\n", "x.csv:2: mry: want a number of pixels, got 'ten'"},
		{HEADER "\na.jpg,1,2,3,4,5,6,7,8,9,nan\n", "x.csv:2: mry"},
		{HEADER "\na.jpg,1,2,3,4,5,6,7,8,9,1e30\n", "x.csv:2: mry"},
		{HEADER "\n," POINTS "\n", "x.csv:2: the name of the photo is empty"},
		{HEADER ",score\na.jpg," POINTS ",-1\n", "x.csv:2: score: want 0 or more"},
		{HEADER "\na.jpg,1\n", "x.csv:2"},
		{"source," HEADER ",fate\n", "x.csv:1: the manifest of phiz data extract"},
		{"", "x.csv:1"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_face_table table;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_fails(ctx, PHIZ_E_FORMAT,
		             phiz_face_table_parse(ctx, cases[i].text, strlen(cases[i].text), "x.csv", &table));
		assert_message(ctx, cases[i].want);
	}
	test_ctx_done(&ctx);
}

static void put(struct phiz_ctx *ctx, const char *dir, const char *name, const char *text)
{
	test_file(ctx, dir, name, text, strlen(text));
}

/* all/landmarks.csv stands above all/one (anna, bert) and names its photos; all/two (carl) has a CSV of its own. */
static void test_roots(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_dataset *d;
	struct phiz_landmarks faces;
	char folder[256], one[300], two[300], csv[300];
	size_t skipped = 0;

	(void)state;
	test_folder(folder);
	test_photo(ctx, folder, "one/anna/1.ppm", 1, 0, 0, 8, 8);
	test_photo(ctx, folder, "one/anna/2.ppm", 2, 0, 0, 8, 8);
	test_photo(ctx, folder, "one/bert/1.ppm", 3, 0, 0, 8, 8);
	test_photo(ctx, folder, "two/carl/1.ppm", 4, 0, 0, 8, 8);
	put(ctx, folder, "landmarks.csv", HEADER "\none/anna/1.ppm," POINTS "\none/bert/1.ppm," POINTS
	    "\nanna/2.ppm," POINTS "\n");
	put(ctx, folder, "two/landmarks.csv", HEADER "\ncarl/1.ppm,9,9,9,9,9,9,9,9,9,8\n");
	snprintf(one, sizeof one, "%s/one", folder);
	snprintf(two, sizeof two, "%s/two/", folder);
	assert_ok(ctx, phiz_dataset_scan(ctx, one, NULL, &d));
	assert_ok(ctx, phiz_dataset_add_people(ctx, d, two));
	assert_int_equal(d->n_known, 3);
	assert_ok(ctx, phiz_landmarks_read(ctx, NULL, d, &faces));
	assert_int_equal(faces.count, 4);
	assert_int_equal(faces.found, 3);
	for (size_t i = 0; i < d->count; i++) {
		bool is_second = !strcmp(d->sample[i].path, "anna/2.ppm"), carl = !strcmp(d->sample[i].path, "carl/1.ppm");

		assert_true((faces.face[i].score < 0) == is_second);
		if (!is_second)
			assert_true(faces.face[i].landmark[4][1] == (carl ? 8.0f : 10.0f));
	}
	assert_ok(ctx, phiz_landmarks_require(ctx, &faces, d));
	for (size_t i = 0; i < d->count; i++)
		skipped += d->sample[i].part == PHIZ_PART_SKIP;
	assert_int_equal(skipped, 1);
	phiz_landmarks_free(ctx, &faces);

	/* One file for all roots, which must lie beside it. */
	snprintf(csv, sizeof csv, "%s/two/landmarks.csv", folder);
	assert_fails(ctx, PHIZ_E_ARG, phiz_landmarks_read(ctx, csv, d, &faces));
	assert_message(ctx, "does not lie there");
	snprintf(csv, sizeof csv, "%s/none.csv", folder);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_landmarks_read(ctx, csv, d, &faces));
	phiz_dataset_free(ctx, &d);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void test_none(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_dataset *d;
	struct phiz_landmarks faces;
	char folder[256], data[300];

	(void)state;
	test_folder(folder);
	test_photo(ctx, folder, "data/anna/1.ppm", 1, 0, 0, 8, 8);
	test_photo(ctx, folder, "data/bert/1.ppm", 1, 0, 0, 8, 8);
	snprintf(data, sizeof data, "%s/data", folder);
	assert_ok(ctx, phiz_dataset_scan(ctx, data, NULL, &d));
	assert_ok(ctx, phiz_landmarks_read(ctx, NULL, d, &faces));
	assert_null(faces.face);
	assert_fails(ctx, PHIZ_E_ARG, phiz_landmarks_require(ctx, &faces, d));
	assert_message(ctx, "no photo has landmarks");
	phiz_dataset_free(ctx, &d);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
