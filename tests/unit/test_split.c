#include "support/photos.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "datasets/split.h"

#define SIDE 40

struct folder {
	struct phiz_ctx *ctx;
	char path[256];
};

static void setup(struct folder *f, int threads)
{
	f->ctx = test_ctx(threads);
	test_folder(f->path);
}

static void teardown(struct folder *f)
{
	test_folder_done(f->path);
	test_ctx_done(&f->ctx);
}

/* Unrelated photos NAME/first.ppm .. NAME/(first + n - 1).ppm. */
static void put_person(const struct folder *f, const char *name, unsigned scene, int first, int n)
{
	char file[256];

	for (int i = first; i < first + n; i++) {
		snprintf(file, sizeof(file), "data/%s/%02d.ppm", name, i);
		test_photo(f->ctx, f->path, file, scene * 1000 + (unsigned)i, 0, 0, SIDE, SIDE);
	}
}

static struct phiz_dataset *scan(struct phiz_ctx *ctx, const struct folder *f)
{
	struct phiz_dataset *d;
	char path[512];

	snprintf(path, sizeof(path), "%s/data", f->path);
	assert_ok(ctx, phiz_dataset_scan(ctx, path, NULL, &d));
	return d;
}

static const struct phiz_sample *find(const struct phiz_dataset *d, const char *path)
{
	for (size_t i = 0; i < d->count; i++)
		if (strcmp(d->sample[i].path, path) == 0)
			return &d->sample[i];
	fail_msg("%s is not in the dataset", path);
	return NULL;
}

static void test_stratified(void **state)
{
	static const int photos[] = {1, 2, 3, 10, 12, 13}, val[] = {0, 1, 1, 2, 2, 3}, test[] = {0, 0, 1, 2, 3, 3};
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct folder f;
	char name[16];

	(void)state;
	setup(&f, 2);
	for (unsigned p = 0; p < 6; p++) {
		snprintf(name, sizeof(name), "person%u", p);
		put_person(&f, name, p, 1, photos[p]);
	}
	phiz_split_defaults(&options);
	for (int with_test = 0; with_test < 2; with_test++) {
		struct phiz_dataset *d = scan(f.ctx, &f);
		options.test = with_test ? 0.25 : 0;
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
		for (int p = 0; p < 6; p++) {
			assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, p), val[p]);
			assert_int_equal(phiz_dataset_count(d, PHIZ_PART_TEST, p), with_test ? test[p] : 0);
			assert_true(phiz_dataset_count(d, PHIZ_PART_TRAIN, p) >= 1);
		}
		assert_int_equal(report.known, 6);
		assert_int_equal(report.strangers, 0);
		assert_int_equal(report.groups, 0);
		assert_int_equal(report.cross_person, 0);
		assert_int_equal(report.without_val, 1);
		assert_int_equal(report.photos[PHIZ_PART_VAL], 9);
		assert_int_equal(report.photos[PHIZ_PART_TRAIN] + report.photos[PHIZ_PART_TEST], 41 - 9);
		phiz_dataset_free(f.ctx, &d);
	}
	teardown(&f);
}

static void test_groups_stay_together(void **state)
{
	struct phiz_split_options options;
	struct folder f;
	bool separated = false;

	(void)state;
	setup(&f, 2);
	put_person(&f, "anna", 1, 1, 8);
	put_person(&f, "bert", 2, 1, 5);
	/* Copies of anna's first: brighter, smaller, under another name; then a burst of a scene that moves. */
	test_photo(f.ctx, f.path, "data/anna/copy.ppm", 1001, 0, 12, SIDE, SIDE);
	test_photo(f.ctx, f.path, "data/anna/a small one.ppm", 1001, 0, 0, 32, 30);
	for (int i = 0; i < 4; i++) {
		char name[64];
		snprintf(name, sizeof(name), "data/anna/IMG_%04d_x.ppm", 9998 + i);
		test_photo(f.ctx, f.path, name, 77, i, 0, SIDE, SIDE);
	}
	phiz_split_defaults(&options);
	options.val = 0.4;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct phiz_dataset *d = scan(f.ctx, &f);
		struct phiz_split_report report;
		options.seed = seed;
		options.keep_bursts = true;
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
		assert_int_equal(report.groups, 2);
		assert_int_equal(report.grouped, 7);
		for (size_t i = 0; i < d->count; i++)
			for (size_t k = 0; k < d->count; k++)
				if (d->sample[i].group == d->sample[k].group)
					assert_int_equal(d->sample[i].part, d->sample[k].part);
		assert_int_equal(find(d, "anna/01.ppm")->group, find(d, "anna/copy.ppm")->group);
		assert_int_equal(find(d, "anna/01.ppm")->group, find(d, "anna/a small one.ppm")->group);
		assert_int_equal(find(d, "anna/IMG_9998_x.ppm")->group, find(d, "anna/IMG_10001_x.ppm")->group);
		assert_int_not_equal(find(d, "anna/01.ppm")->group, find(d, "anna/02.ppm")->group);
		assert_true(phiz_dataset_count(d, PHIZ_PART_VAL, 0) >= 1);
		assert_true(phiz_dataset_count(d, PHIZ_PART_VAL, 0) <= 6);
		assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, 1), 2);
		options.keep_bursts = false;
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
		assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, 0), 6);
		separated |= find(d, "anna/01.ppm")->part != find(d, "anna/copy.ppm")->part;
		phiz_dataset_free(f.ctx, &d);
	}
	assert_true(separated);
	teardown(&f);
}

/* Two groups, each larger than the share of validation; and one group that is all there is. */
static void test_large_groups(void **state)
{
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct phiz_dataset *d;
	struct folder f;
	char name[64];

	(void)state;
	setup(&f, 1);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "data/anna/%d.ppm", i);
		test_photo(f.ctx, f.path, name, i < 6 ? 5 : 6, 0, i, SIDE, SIDE);
		snprintf(name, sizeof(name), "data/bert/%d.ppm", i);
		test_photo(f.ctx, f.path, name, 8, 0, i, SIDE, SIDE);
	}
	phiz_split_defaults(&options);
	d = scan(f.ctx, &f);
	assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
	assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, 0), 3);
	assert_int_equal(phiz_dataset_count(d, PHIZ_PART_VAL, 1), 0);
	assert_int_equal(report.without_val, 1);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_two_names(void **state)
{
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct phiz_dataset *d;
	struct folder f;

	(void)state;
	setup(&f, 1);
	put_person(&f, "anna", 1, 1, 5);
	put_person(&f, "bert", 2, 1, 5);
	test_photo(f.ctx, f.path, "data/bert/of anna.ppm", 1003, 0, 3, SIDE, SIDE);
	phiz_split_defaults(&options);
	options.val = 0.8;
	for (options.seed = 0; options.seed < 5; options.seed++) {
		d = scan(f.ctx, &f);
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
		assert_int_equal(report.cross_person, 1);
		assert_int_equal(find(d, "anna/03.ppm")->part, PHIZ_PART_TRAIN);
		assert_int_equal(find(d, "bert/of anna.ppm")->part, PHIZ_PART_TRAIN);
		phiz_dataset_free(f.ctx, &d);
	}
	teardown(&f);
}

static void parts_of(const struct phiz_dataset *d, const char *person, char *out)
{
	int p = phiz_dataset_find_person(d, person);

	for (size_t i = 0; i < d->count; i++)
		if (d->sample[i].person == p)
			*out++ = (char)('0' + (int)d->sample[i].part);
	*out = '\0';
}

/* Same for any number of threads; another for another seed; and a person's split is the person's alone. */
static void test_deterministic(void **state)
{
	struct phiz_split_options options;
	struct phiz_dataset *d;
	struct folder f;
	char first[64], again[64];
	int differ = 0;

	(void)state;
	setup(&f, 1);
	put_person(&f, "anna", 1, 1, 20);
	put_person(&f, "bert", 2, 1, 20);
	phiz_split_defaults(&options);
	for (options.seed = 0; options.seed < 4; options.seed++) {
		struct phiz_ctx *ctx = test_ctx(3);
		char before[64];
		d = scan(f.ctx, &f);
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, NULL));
		strcpy(before, first);
		parts_of(d, "bert", first);
		if (options.seed)
			differ += strcmp(before, first) != 0;
		phiz_dataset_free(f.ctx, &d);
		d = scan(ctx, &f);
		assert_ok(ctx, phiz_split_run(ctx, d, &options, NULL));
		parts_of(d, "bert", again);
		assert_string_equal(first, again);
		phiz_dataset_free(ctx, &d);
		test_ctx_done(&ctx);
	}
	assert_true(differ >= 2);
	options.seed = 3;
	put_person(&f, "aaron", 3, 1, 7);
	d = scan(f.ctx, &f);
	assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, NULL));
	parts_of(d, "bert", again);
	assert_string_equal(first, again);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_strangers(void **state)
{
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct phiz_dataset *d;
	struct folder f;
	char drawn[4][16] = {{0}};
	bool differ = false;

	(void)state;
	setup(&f, 1);
	put_person(&f, "a", 1, 1, 4);
	put_person(&f, "b", 2, 1, 4);
	put_person(&f, "c", 3, 1, 4);
	put_person(&f, "d", 4, 1, 4);
	phiz_split_defaults(&options);
	for (options.seed = 0; options.seed < 4; options.seed++) {
		options.n_strangers = 2;
		d = scan(f.ctx, &f);
		assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
		assert_int_equal(report.known, 2);
		assert_int_equal(report.strangers, 2);
		assert_int_equal(report.photos[PHIZ_PART_STRANGER], 8);
		assert_int_equal(report.photos[PHIZ_PART_VAL], 2);
		for (int p = 0; p < 4; p++)
			assert_int_equal(phiz_dataset_count(d, PHIZ_PART_STRANGER, p), p < 2 ? 0 : 4);
		snprintf(drawn[options.seed], sizeof(drawn[0]), "%s%s", d->people.name[2], d->people.name[3]);
		differ |= strcmp(drawn[0], drawn[options.seed]) != 0;
		phiz_dataset_free(f.ctx, &d);
	}
	assert_true(differ);
	d = scan(f.ctx, &f);
	options.n_strangers = 3;
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_split_run(f.ctx, d, &options, NULL));
	assert_message(f.ctx, "want 0 to 2");
	options.n_strangers = 0;
	options.val = 0.6;
	options.test = 0.4;
	assert_fails(f.ctx, PHIZ_E_ARG, phiz_split_run(f.ctx, d, &options, NULL));
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_bad_photos(void **state)
{
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct phiz_dataset *d;
	struct folder f;

	(void)state;
	setup(&f, 2);
	put_person(&f, "anna", 1, 1, 4);
	put_person(&f, "bert", 2, 1, 4);
	test_file(f.ctx, f.path, "data/bert/05.jpg", "not a photo", 11);
	test_file(f.ctx, f.path, "data/anna/00.png", "", 0);
	phiz_split_defaults(&options);
	d = scan(f.ctx, &f);
	assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, &report));
	assert_int_equal(report.photos[PHIZ_PART_SKIP], 2);
	assert_int_equal(report.photos[PHIZ_PART_TRAIN], 6);
	assert_int_equal(find(d, "bert/05.jpg")->part, PHIZ_PART_SKIP);
	options.strict = true;
	phiz_dataset_free(f.ctx, &d);
	d = scan(f.ctx, &f);
	assert_fails(f.ctx, PHIZ_E_FORMAT, phiz_split_run(f.ctx, d, &options, &report));
	assert_message(f.ctx, "anna/00.png");
	phiz_dataset_free(f.ctx, &d);
	options.strict = false;
	test_file(f.ctx, f.path, "data/carl/01.jpg", "x", 1);
	d = scan(f.ctx, &f);
	assert_fails(f.ctx, PHIZ_E_FORMAT, phiz_split_run(f.ctx, d, &options, &report));
	assert_message(f.ctx, "data/carl: none of this person's photos can be read");
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_csv_round_trip(void **state)
{
	struct phiz_split_options options;
	struct phiz_dataset *d, *back;
	struct folder f;
	char csv[512], data[512], hash[65], hash_back[65];
	struct phiz_bytes first, second;

	(void)state;
	setup(&f, 1);
	put_person(&f, "anna", 1, 1, 4);
	put_person(&f, "b, \"c\"", 2, 1, 4);
	put_person(&f, "Zo\nrro \xe2\x82\xac", 3, 1, 4);
	put_person(&f, "stranger", 4, 1, 4);
	test_photo(f.ctx, f.path, "more/xaver/1.ppm", 5000, 0, 0, SIDE, SIDE);
	test_photo(f.ctx, f.path, "more/yves/1.ppm", 5001, 0, 0, SIDE, SIDE);
	snprintf(csv, sizeof(csv), "%s/split.csv", f.path);
	snprintf(data, sizeof(data), "%s/more", f.path);
	d = scan(f.ctx, &f);
	assert_ok(f.ctx, phiz_dataset_estrange(f.ctx, d, "stranger"));
	assert_ok(f.ctx, phiz_dataset_add_strangers(f.ctx, d, data));
	phiz_split_defaults(&options);
	assert_ok(f.ctx, phiz_split_run(f.ctx, d, &options, NULL));
	assert_ok(f.ctx, phiz_split_write(f.ctx, d, csv));
	snprintf(data, sizeof(data), "%s/data", f.path);
	assert_ok(f.ctx, phiz_split_read(f.ctx, csv, data, &back));
	assert_int_equal(back->count, 18);
	assert_int_equal(back->n_known, 3);
	assert_int_equal(back->people.count, 6);
	for (size_t i = 0; i < back->count; i++) {
		const struct phiz_sample *s = &back->sample[i];
		char *path = phiz_dataset_path(f.ctx, back, i);
		assert_true(phiz_path_is_file(path));
		phiz_free(f.ctx, path);
		if (s->path[0] == '/') {
			assert_int_equal(s->part, PHIZ_PART_STRANGER);
			continue;
		}
		assert_int_equal(find(d, s->path)->part, s->part);
		assert_int_equal(find(d, s->path)->group, s->group);
		assert_string_equal(d->people.name[find(d, s->path)->person], back->people.name[s->person]);
	}
	/* Read and written again it is the same file. */
	phiz_bytes_init(&first, f.ctx);
	phiz_bytes_init(&second, f.ctx);
	assert_ok(f.ctx, phiz_file_read(f.ctx, csv, 1 << 20, &first));
	assert_ok(f.ctx, phiz_split_write(f.ctx, back, csv));
	phiz_dataset_sha256(back, hash);
	phiz_dataset_free(f.ctx, &back);
	assert_ok(f.ctx, phiz_split_read(f.ctx, csv, data, &back));
	phiz_dataset_sha256(back, hash_back);
	assert_string_equal(hash, hash_back);
	assert_ok(f.ctx, phiz_split_write(f.ctx, back, csv));
	assert_ok(f.ctx, phiz_file_read(f.ctx, csv, 1 << 20, &second));
	assert_int_equal(first.size, second.size);
	phiz_bytes_free(&first);
	phiz_bytes_free(&second);
	phiz_dataset_free(f.ctx, &back);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_csv_hostile(void **state)
{
	static const struct {
		const char *rows, *message;
	} bad[] = {
		{"", "split.csv:1: an empty file"},
		{"file,person,part\n", "split.csv:1: want the header file,person,part,group"},
		{"file,name,part,group\na,b,train,1\n", "split.csv:1: want the header"},
		{"file,person,part,group\n", "names no known person"},
		{"file,person,part,group\na/1.jpg,a,train,1\na/2.jpg,a,training,1\n", "split.csv:3: part 'training'"},
		{"file,person,part,group\na/1.jpg,a,skip,1\n", "split.csv:2: part 'skip'"},
		{"file,person,part,group\na/1.jpg,a,train,-1\n", "split.csv:2: group"},
		{"file,person,part,group\na/1.jpg,a,train,4294967296\n", "split.csv:2: group"},
		{"file,person,part,group\na/1.jpg,a,train,1x\n", "split.csv:2: group"},
		{"file,person,part,group\na/1.jpg,,train,1\n", "split.csv:2: the person has no name"},
		{"file,person,part,group\n../1.jpg,a,train,1\n", "split.csv:2: file '../1.jpg'"},
		{"file,person,part,group\na/../../1.jpg,a,train,1\n", "split.csv:2: file"},
		{"file,person,part,group\na/..,a,train,1\n", "split.csv:2: file"},
		{"file,person,part,group\n,a,train,1\n", "split.csv:2: file"},
		{"file,person,part,group\na//1.jpg,a,train,1\n", "split.csv:2: file"},
		{"file,person,part,group\na/1.jpg,a,train,1\na/1.jpg,a,val,1\n",
		 "split.csv:3: 'a/1.jpg' is there already, in line 2"},
		{"file,person,part,group\na/1.jpg,a,train,1\nb/1.jpg,b,train,2\na/1.jpg,b,val,3\n",
		 "split.csv:4: 'a/1.jpg' is there already, in line 2"},
		{"file,person,part,group\na/1.jpg,a,train,1\na/2.jpg,a,stranger,1\n", "both a known person and a stranger"},
		{"file,person,part,group\na/1.jpg,a,stranger,1\n", "names no known person"},
		{"file,person,part,group\na/1.jpg,a,train,1,\n", "split.csv:2: 5 fields"},
	};
	struct phiz_dataset *d;
	struct folder f;
	char path[512];

	(void)state;
	setup(&f, 1);
	snprintf(path, sizeof(path), "%s/split.csv", f.path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		test_file(f.ctx, f.path, "split.csv", bad[i].rows, strlen(bad[i].rows));
		assert_fails(f.ctx, PHIZ_E_FORMAT, phiz_split_read(f.ctx, path, ".", &d));
		assert_message(f.ctx, bad[i].message);
		assert_null(d);
	}
	assert_fails(f.ctx, PHIZ_E_NOTFOUND, phiz_split_read(f.ctx, "/nonexistent/split.csv", ".", &d));
	teardown(&f);
}

static void test_leaks(void **state)
{
	struct phiz_dataset *d;
	struct phiz_phash *hash;
	struct phiz_pairs pairs;
	struct folder f;
	char val[512];
	size_t n_bad;

	(void)state;
	setup(&f, 2);
	put_person(&f, "anna", 1, 1, 4);
	put_person(&f, "bert", 2, 1, 4);
	test_photo(f.ctx, f.path, "data/anna/dup.ppm", 1001, 0, 1, SIDE, SIDE);
	test_photo(f.ctx, f.path, "val/anna/x.ppm", 1002, 0, 9, 50, SIDE);
	test_photo(f.ctx, f.path, "val/bert/05.ppm", 2004, 1, 0, SIDE, SIDE);
	test_photo(f.ctx, f.path, "val/bert/07.ppm", 2900, 0, 0, SIDE, SIDE);
	snprintf(val, sizeof(val), "%s/val", f.path);
	d = scan(f.ctx, &f);
	assert_ok(f.ctx, phiz_dataset_add_dir(f.ctx, d, val, PHIZ_PART_VAL));
	assert_ok(f.ctx, phiz_phash_dataset(f.ctx, d, true, &hash, &n_bad));
	assert_ok(f.ctx, phiz_split_leaks(f.ctx, d, hash, NULL, &pairs));
	assert_int_equal(pairs.count, 2);
	assert_string_equal(d->sample[pairs.pair[0].a].path, "anna/02.ppm");
	assert_string_equal(d->sample[pairs.pair[0].b].path, "anna/x.ppm");
	assert_false(pairs.pair[0].burst);
	assert_string_equal(d->sample[pairs.pair[1].a].path, "bert/04.ppm");
	assert_string_equal(d->sample[pairs.pair[1].b].path, "bert/05.ppm");
	assert_true(pairs.pair[1].burst);
	phiz_pairs_free(f.ctx, &pairs);
	phiz_free(f.ctx, hash);
	phiz_dataset_free(f.ctx, &d);
	teardown(&f);
}

static void test_phash(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_image image;
	struct phiz_phash rising, flat;

	(void)state;
	assert_ok(ctx, phiz_image_create(ctx, 170, 160, 3, &image));
	for (int y = 0; y < 160; y++)
		for (int x = 0; x < 170; x++)
			memset(image.data + 3 * (170 * y + x), x, 3);
	assert_ok(ctx, phiz_phash_image(ctx, &image, &rising));
	memset(image.data, 9, 3 * 170 * 160);
	assert_ok(ctx, phiz_phash_image(ctx, &image, &flat));
	assert_true(rising.valid && flat.valid);
	assert_int_equal(phiz_phash_distance(&rising, &flat), 256);
	assert_int_equal(phiz_phash_distance(&rising, &rising), 0);
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

static enum phiz_status split_once(struct phiz_ctx *ctx, void *user)
{
	const struct folder *f = user;
	struct phiz_split_options options;
	struct phiz_dataset *d, *back = NULL;
	char data[512], csv[512];
	enum phiz_status status;

	snprintf(data, sizeof(data), "%s/data", f->path);
	snprintf(csv, sizeof(csv), "%s/split.csv", f->path);
	phiz_split_defaults(&options);
	options.n_strangers = 1;
	status = phiz_dataset_scan(ctx, data, NULL, &d);
	if (!status)
		status = phiz_split_run(ctx, d, &options, NULL);
	if (!status)
		status = phiz_split_write(ctx, d, csv);
	phiz_dataset_free(ctx, &d);
	if (!status)
		status = phiz_split_read(ctx, csv, data, &back);
	phiz_dataset_free(ctx, &back);
	return status;
}

static void test_oom(void **state)
{
	struct folder f;

	(void)state;
	setup(&f, 1);
	put_person(&f, "a", 1, 1, 2);
	put_person(&f, "b", 2, 1, 2);
	put_person(&f, "c", 3, 1, 1);
	test_photo(f.ctx, f.path, "data/a/x.ppm", 1001, 0, 1, SIDE, SIDE);
	test_every_oom(f.ctx, split_once, &f);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stratified), cmocka_unit_test(test_groups_stay_together),
		cmocka_unit_test(test_large_groups), cmocka_unit_test(test_two_names), cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_strangers), cmocka_unit_test(test_bad_photos), cmocka_unit_test(test_csv_round_trip),
		cmocka_unit_test(test_csv_hostile), cmocka_unit_test(test_leaks),
		cmocka_unit_test(test_phash), cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
