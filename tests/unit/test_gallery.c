/* The gallery's store: people, means, what was rejected, models, damage, migration. */
#include "support/support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include <phiz/gallery.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"

enum { DIM = 20 };

static const char model_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char model_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

struct place {
	char folder[256], path[300];
};

static void begin(struct place *p)
{
	test_folder(p->folder);
	snprintf(p->path, sizeof p->path, "%s/g.db", p->folder);
}

/* The vector of a person: near(seed, k, spread) of one seed lie together. */
static void near_one(uint64_t seed, uint64_t k, double spread, float out[DIM])
{
	struct phiz_rng a, b;
	double square = 0, x[DIM];

	phiz_rng_init(&a, seed, 0, 0, PHIZ_STREAM_TEST);
	phiz_rng_init(&b, seed, 1, k, PHIZ_STREAM_TEST);
	for (int d = 0; d < DIM; d++) {
		x[d] = phiz_rng_normal(&a) + spread * phiz_rng_normal(&b);
		square += x[d] * x[d];
	}
	for (int d = 0; d < DIM; d++)
		out[d] = (float)(x[d] / sqrt(square));
}

static enum phiz_status enroll(struct phiz_gallery *g, const char *name, uint64_t seed, int n)
{
	float x[8][DIM];
	struct phiz_template t[8];

	for (int i = 0; i < n; i++) {
		near_one(seed, (uint64_t)i, 0.3, x[i]);
		t[i] = (struct phiz_template){.embedding = x[i], .source = "photo.jpg", .quality = 0.5, .created = 1000};
	}
	return phiz_gallery_enroll(g, name, t, n, NULL, NULL);
}

static struct phiz_gallery *open_new(struct phiz_ctx *ctx, const struct place *p)
{
	struct phiz_gallery_options o = {.create = true};
	struct phiz_gallery *g;

	assert_ok(ctx, phiz_gallery_open(ctx, p->path, &o, &g));
	assert_ok(ctx, phiz_gallery_bind(g, model_a, DIM, "net"));
	return g;
}

static double similarity_by_hand(const float *query, uint64_t seed, int n)
{
	double mean[DIM] = {0}, square = 0, dot = 0, q = 0;
	float x[DIM];

	for (int i = 0; i < n; i++) {
		near_one(seed, (uint64_t)i, 0.3, x);
		for (int d = 0; d < DIM; d++)
			mean[d] += (double)x[d];
	}
	for (int d = 0; d < DIM; d++) {
		square += mean[d] * mean[d];
		dot += mean[d] * (double)query[d];
		q += (double)query[d] * (double)query[d];
	}
	return dot / sqrt(square * q);
}

static void people_are_means(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_gallery_info info;
	struct phiz_match match[5];
	struct phiz_gallery *g;
	struct place p;
	float query[DIM];
	double one;
	int n;

	begin(&p);
	g = open_new(ctx, &p);
	near_one(3, 77, 0.5, query);
	assert_ok(ctx, phiz_gallery_search(g, query, 3, match, &n));
	assert_int_equal(n, 0);
	for (uint64_t i = 0; i < 6; i++) {
		char name[16];
		snprintf(name, sizeof name, "person %d", (int)i);
		assert_ok(ctx, enroll(g, name, i, 3));
	}
	assert_ok(ctx, enroll(g, "person 3", 3, 3)); /* the same photos again: not twice */
	phiz_gallery_free(&g);
	g = open_new(ctx, &p);
	assert_ok(ctx, phiz_gallery_describe(g, &info));
	assert_int_equal(info.people, 6);
	assert_int_equal(info.photos, 18);
	for (int d = 0; d < DIM; d++)
		query[d] *= 7; /* need not be normalised */
	assert_ok(ctx, phiz_gallery_search(g, query, 5, match, &n));
	assert_int_equal(n, 5);
	assert_string_equal(match[0].name, "person 3");
	for (int i = 0; i < n; i++) {
		double want = similarity_by_hand(query, (uint64_t)(match[i].name[7] - '0'), 3);
		assert_true(fabs(match[i].similarity - want) < 1e-6);
		assert_ok(ctx, phiz_gallery_similarity(g, query, match[i].name, &one));
		assert_true(one == match[i].similarity);
		assert_true(i == 0 || match[i].similarity <= match[i - 1].similarity);
	}
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_gallery_similarity(g, query, "persn 3", &one));
	assert_message(ctx, "did you mean person 3?");
	phiz_gallery_free(&g);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static void rejected_is_honoured_and_others_stay(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery *g;
	struct place p;
	float stranger[DIM], again[DIM], self[DIM], other[DIM];
	double before[4], after[4];
	struct phiz_template t = {.embedding = stranger, .quality = -1};
	int added, n;

	begin(&p);
	g = open_new(ctx, &p);
	assert_ok(ctx, enroll(g, "anna", 1, 4));
	assert_ok(ctx, enroll(g, "bert", 2, 4));
	near_one(1, 50, 0.3, self);
	near_one(2, 50, 0.3, other);
	for (int d = 0; d < DIM; d++) { /* somebody who looks like anna: 0.8 anna and something else */
		stranger[d] = self[d] + (d % 2 ? 0.2f : -0.2f);
		again[d] = stranger[d] + (d % 3 ? 0.01f : -0.01f);
	}
	const float *query[] = {stranger, again, self, other};
	for (int i = 0; i < 4; i++)
		assert_ok(ctx, phiz_gallery_similarity(g, query[i], i == 3 ? "bert" : "anna", &before[i]));
	assert_true(before[0] > 0.5);
	assert_ok(ctx, phiz_gallery_reject(g, "anna", &t, 1, &added));
	assert_int_equal(added, 1);
	for (int i = 0; i < 4; i++)
		assert_ok(ctx, phiz_gallery_similarity(g, query[i], i == 3 ? "bert" : "anna", &after[i]));
	assert_true(after[0] <= 0 && after[1] <= 0);
	assert_true(after[2] == before[2] && after[3] == before[3]);
	struct phiz_match match[2];
	assert_ok(ctx, phiz_gallery_search(g, stranger, 1, match, &n)); /* and found by a search */
	assert_true(n == 1 && match[0].similarity < 0.5);
	assert_ok(ctx, phiz_gallery_search(g, self, 2, match, &n));
	assert_string_equal(match[0].name, "anna");
	assert_true(match[0].similarity == before[2]);
	phiz_gallery_free(&g);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static enum phiz_status count_photo(void *user, const struct phiz_photo *photo)
{
	int64_t *of = user;
	of[0] += !photo->rejected;
	of[1] = photo->id;
	return PHIZ_OK;
}

static void names_change(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery *g;
	struct place p;
	int64_t seen[2] = {0}, n;
	double *value;

	begin(&p);
	g = open_new(ctx, &p);
	assert_ok(ctx, enroll(g, "anna", 1, 4));
	assert_ok(ctx, enroll(g, "ana", 1, 5));
	assert_ok(ctx, enroll(g, "bert", 2, 2));
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_rename(g, "ana", "bert"));
	assert_message(ctx, "phiz gallery merge");
	assert_ok(ctx, phiz_gallery_rename(g, "bert", "Łukasz"));
	assert_ok(ctx, phiz_gallery_merge(g, "ana", "anna"));
	assert_false(phiz_gallery_has(g, "ana"));
	assert_ok(ctx, phiz_gallery_photos(g, "anna", count_photo, seen));
	assert_int_equal(seen[0], 9);
	assert_ok(ctx, phiz_gallery_leave_one_out(g, &value, &n));
	assert_int_equal(n, 11);
	phiz_gallery_values_free(g, &value);
	assert_ok(ctx, phiz_gallery_remove_photo(g, "anna", seen[1], false));
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_gallery_remove_photo(g, "anna", seen[1], false));
	assert_ok(ctx, phiz_gallery_remove(g, "anna", true));
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_gallery_remove(g, "anna", true));
	assert_fails(ctx, PHIZ_E_ARG, enroll(g, "unknown", 1, 1));
	assert_fails(ctx, PHIZ_E_ARG, enroll(g, "", 1, 1));
	assert_fails(ctx, PHIZ_E_ARG, enroll(g, "a\nb", 1, 1));
	assert_fails(ctx, PHIZ_E_ARG, enroll(g, "\xff", 1, 1));
	float bad[DIM] = {0};
	struct phiz_template t = {.embedding = bad};
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_gallery_enroll(g, "carl", &t, 1, NULL, NULL));
	bad[3] = NAN;
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_gallery_enroll(g, "carl", &t, 1, NULL, NULL));
	assert_false(phiz_gallery_has(g, "carl")); /* nothing half there */
	phiz_gallery_free(&g);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static void other_models_are_refused(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery *g;
	struct place p;

	begin(&p);
	g = open_new(ctx, &p);
	assert_ok(ctx, enroll(g, "anna", 1, 2));
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_bind(g, model_b, DIM, "other net"));
	assert_message(ctx, "were made by net (aaaaaaaaaaaa, 20 numbers), not by other net (bbbbbbbbbbbb, 20)");
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_bind(g, model_a, DIM + 1, "net"));
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_bind(g, "zz", DIM, "net"));
	assert_ok(ctx, phiz_gallery_bind(g, model_a, DIM, "renamed"));
	phiz_gallery_free(&g);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static void sql(const char *path, const char *text)
{
	sqlite3 *db;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s", message);
	sqlite3_close(db);
}

static void the_matrix_is_made_anew_when_stale(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_gallery_options o = {.create = true, .matrix_rows = 3};
	struct phiz_match first[4], match[4];
	struct phiz_bytes good, now;
	struct phiz_gallery *g;
	struct place p;
	char matrix[320];
	float query[DIM];
	int n;

	begin(&p);
	snprintf(matrix, sizeof matrix, "%s.matrix", p.path);
	phiz_bytes_init(&good, ctx);
	phiz_bytes_init(&now, ctx);
	assert_ok(ctx, phiz_gallery_open(ctx, p.path, &o, &g));
	assert_ok(ctx, phiz_gallery_bind(g, model_a, DIM, "net"));
	for (uint64_t i = 0; i < 5; i++) {
		char name[16];
		snprintf(name, sizeof name, "p%d", (int)i);
		assert_ok(ctx, enroll(g, name, i, 2));
	}
	near_one(2, 9, 0.3, query);
	assert_ok(ctx, phiz_gallery_search(g, query, 4, first, &n));
	assert_int_equal(n, 4);
	double want = first[0].similarity;
	phiz_gallery_free(&g);
	assert_ok(ctx, phiz_file_read(ctx, matrix, 1 << 20, &good));
	/* Spoilt at each place in turn, cut, or replaced: the answer is the same, and the file is sound again. */
	for (size_t at = 0; at < good.size; at += at < 256 ? 7 : 331) {
		phiz_bytes_clear(&now);
		phiz_bytes_add(&now, good.data, at % 5 == 4 ? at : good.size);
		if (at < now.size)
			now.data[at] = (char)(now.data[at] ^ 0x40);
		assert_ok(ctx, phiz_file_write(ctx, matrix, now.data, now.size));
		assert_ok(ctx, phiz_gallery_open(ctx, p.path, &o, &g));
		assert_ok(ctx, phiz_gallery_search(g, query, 1, match, &n));
		assert_string_equal(match[0].name, "p2");
		assert_true(match[0].similarity == want);
		phiz_gallery_free(&g);
		assert_ok(ctx, phiz_file_read(ctx, matrix, 1 << 20, &now));
		/* What lies between the checked header and the rows is not part of the file's meaning. */
		if (at < 136 || at >= 4096)
			assert_true(now.size == good.size && !memcmp(now.data, good.data, good.size));
	}
	/* Changed by another handle: seen at the next search. */
	struct phiz_gallery *other;
	assert_ok(ctx, phiz_gallery_open(ctx, p.path, &o, &g));
	assert_ok(ctx, phiz_gallery_search(g, query, 1, match, &n));
	assert_ok(ctx, phiz_gallery_open(ctx, p.path, &o, &other));
	assert_ok(ctx, phiz_gallery_remove(other, "p2", false));
	assert_false(phiz_path_is_file(matrix));
	assert_ok(ctx, phiz_gallery_search(g, query, 4, match, &n));
	assert_int_equal(n, 4);
	for (int i = 0; i < n; i++)
		assert_string_not_equal(match[i].name, "p2");
	phiz_gallery_free(&other);
	phiz_gallery_free(&g);
	phiz_bytes_free(&good);
	phiz_bytes_free(&now);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

/* A gallery as the first schema had it, with an entry in its log that has no key and no retention. */
static void version_1_is_migrated(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery_info info;
	struct phiz_match match[2];
	struct phiz_gallery *g;
	struct place p;
	float query[DIM] = {1};
	char text[2048], last[65];
	int64_t entries;
	int n;

	begin(&p);
	snprintf(text, sizeof text,
	         "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), gallery BLOB NOT NULL, generation INTEGER NOT "
	         "NULL,"
	         " model TEXT, model_name TEXT, dim INTEGER NOT NULL DEFAULT 0);"
	         "CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created INTEGER NOT "
	         "NULL,"
	         " consent TEXT);"
	         "CREATE TABLE photo(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	         " person INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE, kind INTEGER NOT NULL"
	         " CHECK(kind IN (0, 1)), embedding BLOB NOT NULL, source TEXT, quality REAL, created INTEGER NOT NULL);"
	         "CREATE INDEX photo_person ON photo(person, kind);"
	         "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, action TEXT NOT NULL,"
	         " detail TEXT NOT NULL, hash BLOB NOT NULL);"
	         "INSERT INTO state VALUES(1, x'00112233445566778899aabbccddeeff', 1, '%s', 'net', %d);"
	         "INSERT INTO person VALUES(7, 'anna', 12, 'signed');"
	         "INSERT INTO photo VALUES(1, 7, 0, x'0000803f%s', 'a.jpg', 0.5, 12);"
	         "PRAGMA application_id=1885890938; PRAGMA user_version=1;",
	         model_a, DIM, "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	                       "000000000000000000000000000000000000000000000000000000000000000000000000");
	sql(p.path, text);
	assert_ok(ctx, phiz_gallery_open(ctx, p.path, NULL, &g));
	assert_ok(ctx, phiz_gallery_describe(g, &info));
	assert_int_equal(info.people, 1);
	assert_int_equal(info.schema, 2);
	assert_ok(ctx, phiz_gallery_search(g, query, 2, match, &n));
	assert_true(n == 1 && match[0].person == 7 && fabs(match[0].similarity - 1) < 1e-7);
	struct phiz_person_options o = {.keep_days = 30};
	struct phiz_template t = {.embedding = query};
	query[3] = 0.1f;
	assert_ok(ctx, phiz_gallery_enroll(g, "anna", &t, 1, &o, NULL));
	assert_ok(ctx, phiz_gallery_audit_verify(g, NULL, &entries, last));
	assert_int_equal(entries, 2); /* migrate, enroll */
	phiz_gallery_free(&g);
	assert_ok(ctx, phiz_gallery_open(ctx, p.path, NULL, &g)); /* once */
	assert_ok(ctx, phiz_gallery_audit_verify(g, last, &entries, last));
	assert_int_equal(entries, 2);
	phiz_gallery_free(&g);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static void refused(struct phiz_ctx *ctx, const char *path, enum phiz_status want, const char *message)
{
	struct phiz_gallery_options o = {.create = true};
	struct phiz_gallery *g;

	assert_fails(ctx, want, phiz_gallery_open(ctx, path, &o, &g));
	assert_null(g);
	assert_message(ctx, message);
}

static void foreign_and_damaged_files(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery *g;
	struct place p;
	char path[400];

	begin(&p);
	snprintf(path, sizeof path, "%s/none.db", p.folder);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_gallery_open(ctx, path, NULL, &g));
	assert_message(ctx, "phiz enroll makes one");
	snprintf(path, sizeof path, "%s/text.db", p.folder);
	assert_ok(ctx, phiz_file_write(ctx, path, "this is a text of more than a hundred bytes, and no database at all. "
	                               "It is here to be refused in one line.", 105));
	refused(ctx, path, PHIZ_E_FORMAT, "not an SQLite file");
	snprintf(path, sizeof path, "%s/foreign.db", p.folder);
	sql(path, "CREATE TABLE song(a)");
	refused(ctx, path, PHIZ_E_FORMAT, "of another program");
	refused(ctx, p.folder, PHIZ_E_ARG, "is a folder");
	g = open_new(ctx, &p);
	assert_ok(ctx, enroll(g, "anna", 1, 2));
	phiz_gallery_free(&g);
	snprintf(path, sizeof path, "%s", p.path);
	sql(path, "PRAGMA user_version=99");
	refused(ctx, path, PHIZ_E_UNSUPPORTED, "made by a newer phiz");
	sql(path, "PRAGMA user_version=2; CREATE TRIGGER evil AFTER INSERT ON person BEGIN DELETE FROM photo; END");
	refused(ctx, path, PHIZ_E_FORMAT, "triggers or views that phiz did not make");
	sql(path, "DROP TRIGGER evil; UPDATE photo SET embedding = zeroblob(12) WHERE id = 1");
	assert_ok(ctx, phiz_gallery_open(ctx, path, NULL, &g));
	struct phiz_match match;
	float query[DIM] = {1};
	int n;
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_gallery_search(g, query, 1, &match, &n));
	assert_message(ctx, "the embedding of photo 1 has 12 bytes, want 80");
	phiz_gallery_free(&g);
	sql(path, "UPDATE state SET dim = 123456789");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_gallery_open(ctx, path, NULL, &g));
	sql(path, "DROP TABLE state");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_gallery_open(ctx, path, NULL, &g));
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

/* Any page spoilt: an error in one line or a sound answer, never a crash. */
static void spoilt_pages(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery *g;
	struct phiz_bytes good, bad;
	struct phiz_match match[2];
	struct phiz_rng rng;
	struct place p;
	float query[DIM] = {1};
	int n;

	begin(&p);
	g = open_new(ctx, &p);
	for (uint64_t i = 0; i < 4; i++)
		assert_ok(ctx, enroll(g, (const char *[]){"a", "b", "c", "d"}[i], i, 2));
	phiz_gallery_free(&g);
	phiz_bytes_init(&good, ctx);
	phiz_bytes_init(&bad, ctx);
	assert_ok(ctx, phiz_file_read(ctx, p.path, 1 << 20, &good));
	phiz_rng_init(&rng, 9, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < 60; i++) {
		phiz_bytes_clear(&bad);
		phiz_bytes_add(&bad, good.data, i % 6 == 5 ? phiz_rng_below(&rng, (uint32_t)good.size) : good.size);
		for (int k = 0; k < 40 && bad.size; k++)
			bad.data[phiz_rng_below(&rng, (uint32_t)bad.size)] = (char)phiz_rng_below(&rng, 256);
		assert_ok(ctx, phiz_file_write(ctx, p.path, bad.data, bad.size));
		if (!phiz_gallery_open(ctx, p.path, NULL, &g)) {
			phiz_gallery_search(g, query, 2, match, &n);
			(void)!enroll(g, "e", 9, 1);
		} else {
			assert_null(strchr(phiz_ctx_message(ctx), '\n'));
		}
		phiz_gallery_free(&g);
	}
	phiz_bytes_free(&good);
	phiz_bytes_free(&bad);
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(people_are_means),
		cmocka_unit_test(rejected_is_honoured_and_others_stay),
		cmocka_unit_test(names_change),
		cmocka_unit_test(other_models_are_refused),
		cmocka_unit_test(the_matrix_is_made_anew_when_stale),
		cmocka_unit_test(version_1_is_migrated),
		cmocka_unit_test(foreign_and_damaged_files),
		cmocka_unit_test(spoilt_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
