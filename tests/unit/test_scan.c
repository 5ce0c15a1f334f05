#include "support/support.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "datasets/scan.h"

struct folder {
	struct phiz_ctx *ctx;
	char path[256];
};

static void setup(struct folder *f)
{
	f->ctx = test_ctx(1);
	test_folder(f->path);
}

static void teardown(struct folder *f)
{
	test_folder_done(f->path);
	test_ctx_done(&f->ctx);
}

/* A file at "folder/name", with the folders above it. Scanning opens no photo, so the content does not matter. */
static void put(const struct folder *f, const char *name, const char *text)
{
	char path[1024], *slash;

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_ok(f->ctx, phiz_dir_make(f->ctx, path));
	*slash = '/';
	if (slash[1])
		assert_ok(f->ctx, phiz_file_write(f->ctx, path, text, strlen(text)));
}

static const char *at(const struct folder *f, const char *name, char path[1024])
{
	snprintf(path, 1024, "%s/%s", f->path, name);
	return path;
}

static void test_order_and_kinds(void **state)
{
	static const char *const want[] = {"B\xc3\xb6rn/1.PGM", "Zo\nrro/a b.jpeg", "anna/10.jpg", "anna/2.JPG",
	                                   "anna/x.ppm", "anna b/y.png"};
	static const int person[] = {0, 1, 2, 2, 2, 3};
	struct folder f;
	struct phiz_dataset *d;

	(void)state;
	setup(&f);
	put(&f, "anna/10.jpg", "");
	put(&f, "anna/2.JPG", "");
	put(&f, "anna/x.ppm", "");
	put(&f, "anna/.hidden.jpg", "");
	put(&f, "anna/notes.txt", "");
	put(&f, "anna/jpg", "");
	put(&f, "anna/.jpg", "");
	put(&f, "anna/more/z.jpg", "");
	put(&f, "anna b/y.png", "");
	put(&f, "B\xc3\xb6rn/1.PGM", "");
	put(&f, "Zo\nrro/a b.jpeg", "");
	put(&f, ".git/z.jpg", "");
	put(&f, "loose.jpg", "");
	put(&f, "README", "");
	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_int_equal(d->n_known, 4);
	assert_int_equal(d->people.count, 4);
	assert_int_equal(d->count, 6);
	for (size_t i = 0; i < d->count; i++) {
		assert_string_equal(d->sample[i].path, want[i]);
		assert_int_equal(d->sample[i].person, person[i]);
		assert_int_equal(d->sample[i].part, PHIZ_PART_TRAIN);
		assert_int_equal(d->sample[i].group, i);
	}
	assert_string_equal(d->people.name[3], "anna b");
	assert_int_equal(d->n_loose, 1);
	assert_int_equal(d->n_nested, 1);
	assert_int_equal(d->n_other, 2);
	assert_int_equal(phiz_dataset_find_person(d, "anna"), 2);
	assert_int_equal(phiz_dataset_find_person(d, "nobody"), -1);
	assert_int_equal(phiz_dataset_count(d, PHIZ_PART_TRAIN, 2), 3);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_refused(void **state)
{
	struct folder f;
	struct phiz_dataset *d;
	char path[1024];

	(void)state;
	setup(&f);
	assert_fails(f.ctx, PHIZ_E_NOTFOUND, phiz_dataset_scan(f.ctx, at(&f, "none", path), NULL, &d));
	assert_null(d);
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "no people found");
	put(&f, "a.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "its photos lie in no folder");
	put(&f, "anna/1.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "only 1 person found (anna), want at least 2");
	put(&f, "bert/", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "bert: this person has no photos");
	put(&f, "bert/a.heic", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "none of its files is named .jpg");
	put(&f, "bert/c/1.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "holds folders but no photos");
	assert_fails(f.ctx, PHIZ_E_NOTFOUND, phiz_dataset_scan(f.ctx, at(&f, "a.jpg", path), NULL, &d));
	put(&f, "\xff\xfe/1.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	teardown(&f);
}

static void test_lenient(void **state)
{
	struct phiz_scan_options options = {.min_people = 1, .allow_empty = true};
	struct folder f;
	struct phiz_dataset *d;

	(void)state;
	setup(&f);
	put(&f, "anna/1.jpg", "");
	put(&f, "anna/\xff.jpg", "");
	put(&f, "bert/", "");
	assert_int_equal(symlink("nowhere.jpg", strcat(strcpy((char[300]){0}, f.path), "/anna/broken.jpg")), 0);
	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, f.path, &options, &d));
	assert_int_equal(d->n_known, 1);
	assert_int_equal(d->people.count, 1);
	assert_int_equal(d->count, 1);
	assert_int_equal(d->n_other, 2);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_add_dir(void **state)
{
	struct folder f;
	struct phiz_dataset *d;
	char path[1024];
	uint32_t *index;
	size_t count;

	(void)state;
	setup(&f);
	put(&f, "train/anna/1.jpg", "");
	put(&f, "train/bert/1.jpg", "");
	put(&f, "val/bert/1.jpg", "");
	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, at(&f, "train", path), NULL, &d));
	assert_ok(f.ctx, phiz_dataset_add_dir(f.ctx, d, at(&f, "val", path), PHIZ_PART_VAL));
	assert_int_equal(d->count, 3);
	assert_ok(f.ctx, phiz_dataset_select(f.ctx, d, PHIZ_PART_VAL, &index, &count));
	assert_int_equal(count, 1);
	assert_int_equal(index[0], 2);
	assert_int_equal(d->sample[2].person, 1);
	phiz_free(f.ctx, index);
	char *full = phiz_dataset_path(f.ctx, d, 2);
	assert_string_equal(full, at(&f, "val/bert/1.jpg", path));
	phiz_free(f.ctx, full);

	put(&f, "val/berta/1.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_add_dir(f.ctx, d, at(&f, "val", path), PHIZ_PART_VAL));
	assert_message(f.ctx, "did you mean 'bert'?");
	phiz_dataset_free(f.ctx, &d);

	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_scan(f.ctx, f.path, NULL, &d));
	assert_message(f.ctx, "itself the folder of people?");
	teardown(&f);
}

static void test_strangers(void **state)
{
	static const char *const source[] = {"people", "flat", "lists/list.txt"};
	static const size_t people[] = {4, 3, 4}, photos[] = {3, 2, 3};
	struct folder f;
	struct phiz_dataset *d;
	char path[1024];

	(void)state;
	setup(&f);
	put(&f, "data/anna/1.jpg", "");
	put(&f, "data/bert/1.jpg", "");
	put(&f, "people/aaron/1.jpg", "");
	put(&f, "people/aaron/2.jpg", "");
	put(&f, "people/zoe/1.jpg", "");
	put(&f, "people/loose.jpg", "");
	put(&f, "flat/a.jpg", "");
	put(&f, "flat/b.jpg", "");
	put(&f, "lists/list.txt", "# two people\r\npeople/zoe/1.jpg\r\n\r\npeople/aaron\n");
	for (int i = 0; i < 3; i++) {
		assert_ok(f.ctx, phiz_dataset_scan(f.ctx, at(&f, "data", path), NULL, &d));
		assert_ok(f.ctx, phiz_dataset_add_strangers(f.ctx, d, at(&f, source[i], path)));
		assert_int_equal(d->n_known, 2);
		assert_int_equal(d->people.count, people[i]);
		assert_string_equal(d->people.name[0], "anna");
		assert_string_equal(d->people.name[2], i == 1 ? "flat" : "aaron");
		assert_int_equal(phiz_dataset_count(d, PHIZ_PART_STRANGER, -1), photos[i]);
		assert_int_equal(phiz_dataset_count(d, PHIZ_PART_TRAIN, -1), 2);
		for (size_t k = 2; k < d->count; k++)
			assert_true(d->sample[k].person >= d->n_known);
		phiz_dataset_free(f.ctx, &d);
	}
	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, at(&f, "data", path), NULL, &d));
	put(&f, "lists/bad.txt", "people/zoe/1.jpg\npeople/zoe/2.jpg\n");
	assert_fails(f.ctx, PHIZ_E_NOTFOUND, phiz_dataset_add_strangers(f.ctx, d, at(&f, "lists/bad.txt", path)));
	assert_message(f.ctx, "bad.txt:2: no such file");
	put(&f, "lists/nul.txt", "\xff\n");
	assert_fails(f.ctx, PHIZ_E_FORMAT, phiz_dataset_add_strangers(f.ctx, d, at(&f, "lists/nul.txt", path)));
	put(&f, "lists/empty.txt", "\n#\n");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_add_strangers(f.ctx, d, at(&f, "lists/empty.txt", path)));
	phiz_dataset_free(f.ctx, &d);

	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, at(&f, "data", path), NULL, &d));
	put(&f, "people/anna/1.jpg", "");
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_add_strangers(f.ctx, d, at(&f, "people", path)));
	assert_message(f.ctx, "'anna' is both a known person and a stranger");
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_estrange_and_hash(void **state)
{
	struct folder f;
	struct phiz_dataset *d;
	char path[1024], before[65], after[65];

	(void)state;
	setup(&f);
	put(&f, "data/anna/1.jpg", "");
	put(&f, "data/bert/1.jpg", "");
	put(&f, "data/carl/1.jpg", "");
	assert_ok(f.ctx, phiz_dataset_scan(f.ctx, at(&f, "data", path), NULL, &d));
	phiz_dataset_sha256(d, before);
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_dataset_estrange(f.ctx, d, "bret"));
	assert_message(f.ctx, "did you mean 'bert'?");
	assert_ok(f.ctx, phiz_dataset_estrange(f.ctx, d, "anna"));
	assert_int_equal(d->n_known, 2);
	assert_string_equal(d->people.name[0], "bert");
	assert_string_equal(d->people.name[2], "anna");
	assert_string_equal(d->sample[2].path, "anna/1.jpg");
	assert_int_equal(d->sample[2].part, PHIZ_PART_STRANGER);
	phiz_dataset_sha256(d, after);
	assert_string_not_equal(before, after);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static enum phiz_status scan_once(struct phiz_ctx *ctx, void *user)
{
	const struct folder *f = user;
	struct phiz_dataset *d;
	char path[1024];
	enum phiz_status status = phiz_dataset_scan(ctx, at(f, "train", path), NULL, &d);

	if (!status)
		status = phiz_dataset_add_dir(ctx, d, at(f, "val", path), PHIZ_PART_VAL);
	if (!status)
		status = phiz_dataset_add_strangers(ctx, d, at(f, "list.txt", path));
	phiz_dataset_free(ctx, &d);
	return status;
}

static void test_oom(void **state)
{
	struct folder f;

	(void)state;
	setup(&f);
	put(&f, "train/anna/1.jpg", "");
	put(&f, "train/anna/x.txt", "");
	put(&f, "train/bert/1.jpg", "");
	put(&f, "val/bert/2.jpg", "");
	put(&f, "str/zoe/2.jpg", "");
	put(&f, "list.txt", "str/zoe\n");
	test_every_oom(f.ctx, scan_once, &f);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_kinds), cmocka_unit_test(test_refused), cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_add_dir), cmocka_unit_test(test_strangers), cmocka_unit_test(test_estrange_and_hash),
		cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
