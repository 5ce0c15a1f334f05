/* What a gallery promises about biometric data: no byte left after erasing, nothing readable without the key, a log
 * that shows tampering, retention; and that thresholds are what statistics says. */
#include "support/support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <phiz/gallery.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"

enum { DIM = 128, DAY = 86400 };

static const char model[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void draw(uint64_t seed, float out[DIM])
{
	struct phiz_rng rng;
	double square = 0;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	for (int d = 0; d < DIM; d++) {
		out[d] = (float)phiz_rng_normal(&rng);
		square += (double)out[d] * (double)out[d];
	}
	for (int d = 0; d < DIM; d++)
		out[d] = (float)((double)out[d] / sqrt(square));
}

static struct phiz_gallery *open_it(struct phiz_ctx *ctx, const char *path, const char *passphrase, const char *key)
{
	struct phiz_gallery_options o = {.create = true, .encrypt = (passphrase || key) && !phiz_path_is_file(path),
	                                 .passphrase = passphrase, .key_file = key, .matrix_rows = 2};
	struct phiz_gallery *g;

	assert_ok(ctx, phiz_gallery_open(ctx, path, &o, &g));
	assert_ok(ctx, phiz_gallery_bind(g, model, DIM, "net"));
	return g;
}

static void add(struct phiz_ctx *ctx, struct phiz_gallery *g, const char *name, uint64_t seed, int64_t created,
                int64_t keep)
{
	struct phiz_person_options o = {.keep_days = keep};
	float x[DIM];
	struct phiz_template t = {.embedding = x, .quality = -1, .created = created};

	draw(seed, x);
	assert_ok(ctx, phiz_gallery_enroll(g, name, &t, 1, &o, NULL));
}

/* Do 16 bytes in a row of the embedding stand in any file of the folder? */
static bool left_behind(struct phiz_ctx *ctx, const char *folder, uint64_t seed)
{
	struct phiz_names names = {0};
	struct phiz_bytes text;
	float x[DIM];
	bool found = false;

	draw(seed, x);
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_dir_list(ctx, folder, &names));
	for (size_t i = 0; i < names.count; i++) {
		char *path = phiz_path_join(ctx, folder, names.name[i]);
		assert_ok(ctx, phiz_file_read(ctx, path, 64 << 20, &text));
		for (int d = 0; d + 4 <= DIM && !found; d += 4)
			for (size_t at = 0; at + 16 <= text.size && !found; at++)
				found = !memcmp(text.data + at, x + d, 16);
		phiz_free(ctx, path);
	}
	phiz_bytes_free(&text);
	phiz_names_free(ctx, &names);
	return found;
}

static void erasing_leaves_no_byte(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	char folder[256], path[300], left[400];
	struct phiz_match match;
	struct phiz_gallery *g;
	float query[DIM];
	int n;

	test_folder(folder);
	snprintf(path, sizeof path, "%s/g.db", folder);
	g = open_it(ctx, path, NULL, NULL);
	for (uint64_t i = 1; i <= 12; i++) {
		char name[16];
		snprintf(name, sizeof name, "p%d", (int)i);
		add(ctx, g, name, i, 0, 0);
	}
	draw(7, query);
	assert_ok(ctx, phiz_gallery_search(g, query, 1, &match, &n)); /* writes the matrix */
	assert_string_equal(match.name, "p7");
	/* What a matrix writer that was killed leaves. */
	snprintf(left, sizeof left, "%s/.g.db.matrix.phiz.tmp", folder);
	assert_ok(ctx, phiz_file_write(ctx, left, query, sizeof query));
	assert_true(left_behind(ctx, folder, 7)); /* or the test would see nothing anyway */
	assert_ok(ctx, phiz_gallery_remove(g, "p7", true));
	assert_false(left_behind(ctx, folder, 7)); /* with the gallery still open: log and all */
	assert_true(left_behind(ctx, folder, 8));
	assert_ok(ctx, phiz_gallery_search(g, query, 1, &match, &n));
	assert_string_not_equal(match.name, "p7");
	phiz_gallery_free(&g);
	assert_false(left_behind(ctx, folder, 7));
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void an_encrypted_gallery_shows_nothing(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_gallery_options o = {.passphrase = "wrong"}, none = {.create = false}, encrypt = {.encrypt = true};
	char folder[256], path[300], key[300], matrix[320];
	struct phiz_match match;
	struct phiz_gallery *g;
	struct phiz_bytes out;
	struct stat info;
	float query[DIM];
	int n;

	test_folder(folder);
	snprintf(path, sizeof path, "%s/g.db", folder);
	snprintf(matrix, sizeof matrix, "%s.matrix", path);
	g = open_it(ctx, path, "a sentence that only we know", NULL);
	for (uint64_t i = 1; i <= 5; i++)
		add(ctx, g, (const char *[]){"", "a", "b", "c", "d", "e"}[i], i, 0, 0);
	draw(3, query);
	assert_ok(ctx, phiz_gallery_search(g, query, 1, &match, &n));
	assert_string_equal(match.name, "c");
	assert_ok(ctx, phiz_gallery_merge(g, "a", "c")); /* seals anew for the other person */
	assert_false(phiz_path_is_file(matrix));
	for (uint64_t i = 1; i <= 5; i++)
		assert_false(left_behind(ctx, folder, i));
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	phiz_gallery_free(&g);
	assert_true(phiz_gallery_is_encrypted(ctx, path));
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_open(ctx, path, &o, &g));
	assert_message(ctx, "this is not the passphrase");
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_open(ctx, path, &none, &g));
	assert_message(ctx, "encrypted under a passphrase");
	g = open_it(ctx, path, "a sentence that only we know", NULL);
	draw(1, query);
	assert_ok(ctx, phiz_gallery_search(g, query, 1, &match, &n));
	assert_string_equal(match.name, "c");
	phiz_bytes_init(&out, ctx);
	assert_ok(ctx, phiz_gallery_export(g, &out));
	phiz_gallery_free(&g);
	/* Two people's sealed embeddings swapped by another program: found. */
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE photo SET embedding = (SELECT embedding FROM photo p WHERE p.id = 5) "
	                              "WHERE id = 4", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	g = open_it(ctx, path, "a sentence that only we know", NULL);
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_gallery_search(g, query, 1, &match, &n));
	assert_message(ctx, "photo 4 was changed by another program");
	phiz_gallery_free(&g);
	/* A key file; and the export comes in again to the last bit. */
	snprintf(key, sizeof key, "%s/key", folder);
	snprintf(path, sizeof path, "%s/k.db", folder);
	assert_ok(ctx, phiz_file_write(ctx, key, "short", 5));
	encrypt.create = true;
	encrypt.key_file = key;
	assert_fails(ctx, PHIZ_E_ARG, phiz_gallery_open(ctx, path, &encrypt, &g));
	assert_int_equal(unlink(path), 0);
	assert_ok(ctx, phiz_file_write(ctx, key, "0123456789012345678901234567890123456789", 40));
	g = open_it(ctx, path, NULL, key);
	struct phiz_bytes again;
	phiz_bytes_init(&again, ctx);
	assert_ok(ctx, phiz_gallery_import(g, out.data, out.size, "out", NULL, NULL, NULL));
	assert_ok(ctx, phiz_gallery_export(g, &again));
	assert_true(again.size == out.size && !memcmp(again.data, out.data, out.size));
	phiz_gallery_free(&g);
	phiz_bytes_free(&out);
	phiz_bytes_free(&again);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void sql(const char *path, const char *text)
{
	char *message = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s", message);
	sqlite3_close(db);
}

static const char *const drop = "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;";
static const char *const restore =
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;";

static void tampering_with_the_log_is_found(void **state)
{
	(void)state;
	static const struct {
		const char *change, *message;
	} tampering[] = {
		{"UPDATE audit SET detail = 'p3: 9 photos' WHERE id = 4", "entry 4"},
		{"UPDATE audit SET time = time + 1 WHERE id = 2", "entry 2"},
		{"UPDATE audit SET action = 'remove' WHERE id = 5", "entry 5"},
		{"UPDATE audit SET hash = randomblob(32) WHERE id = 3", "entry 3"},
		{"DELETE FROM audit WHERE id = 3", "entry 3 is missing"},
		{"DELETE FROM audit WHERE id = 1", "entry 1 is missing"},
		{"UPDATE audit SET id = 99 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3;"
		 "UPDATE audit SET id = 3 WHERE id = 99", "entry 2"},
		{"DELETE FROM audit", "it is empty"},
		{"DELETE FROM audit WHERE id > 5", "its end was cut off"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	char folder[256], path[300], copy[300], head[65], last[65];
	struct phiz_gallery *g;
	struct phiz_bytes good;
	int64_t n;

	test_folder(folder);
	snprintf(path, sizeof path, "%s/g.db", folder);
	snprintf(copy, sizeof copy, "%s/copy.db", folder);
	g = open_it(ctx, path, NULL, NULL);
	for (uint64_t i = 1; i <= 6; i++)
		add(ctx, g, (const char *[]){"", "p1", "p2", "p3", "p4", "p5", "p6"}[i], i, 0, 0);
	assert_ok(ctx, phiz_gallery_rename(g, "p1", "anna"));
	assert_ok(ctx, phiz_gallery_audit_verify(g, NULL, &n, head));
	assert_int_equal(n, 8); /* create, six times enroll, rename */
	phiz_gallery_free(&g);
	phiz_bytes_init(&good, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, 1 << 20, &good));
	/* The database itself refuses. */
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE audit SET detail = ''", NULL, NULL, NULL), SQLITE_CONSTRAINT);
	assert_int_equal(sqlite3_exec(db, "DELETE FROM audit", NULL, NULL, NULL), SQLITE_CONSTRAINT);
	sqlite3_close(db);
	for (size_t i = 0; i < sizeof tampering / sizeof tampering[0]; i++) {
		assert_ok(ctx, phiz_file_write(ctx, copy, good.data, good.size));
		sql(copy, drop);
		sql(copy, tampering[i].change);
		sql(copy, restore);
		assert_ok(ctx, phiz_gallery_open(ctx, copy, NULL, &g));
		assert_fails(ctx, PHIZ_E_FORMAT, phiz_gallery_audit_verify(g, head, &n, last));
		assert_message(ctx, "the log was tampered with");
		assert_message(ctx, tampering[i].message);
		phiz_gallery_free(&g);
	}
	assert_ok(ctx, phiz_gallery_open(ctx, path, NULL, &g));
	assert_ok(ctx, phiz_gallery_audit_verify(g, head, &n, last));
	assert_string_equal(head, last);
	phiz_gallery_free(&g);
	phiz_bytes_free(&good);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

static void note(void *user, const char *name)
{
	strncat(user, name, 60);
}

static void people_go_when_their_time_is_over(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	char folder[256], path[300], gone[200] = "";
	int64_t now = 2000000000, removed;
	struct phiz_gallery *g;

	test_folder(folder);
	snprintf(path, sizeof path, "%s/g.db", folder);
	g = open_it(ctx, path, NULL, NULL);
	add(ctx, g, "a", 1, now - 10 * DAY, 10); /* today is the day */
	add(ctx, g, "b", 2, now - 10 * DAY + 1, 10);
	add(ctx, g, "c", 3, now - 400 * DAY, 0);
	add(ctx, g, "d", 4, now - 400 * DAY, 300);
	add(ctx, g, "d", 5, now - 20 * DAY, 0); /* a newer photo: its days begin there */
	assert_ok(ctx, phiz_gallery_purge(g, now, 0, note, gone, &removed));
	assert_string_equal(gone, "a");
	assert_int_equal(removed, 1);
	assert_false(left_behind(ctx, folder, 1));
	assert_true(left_behind(ctx, folder, 2));
	phiz_gallery_free(&g);
	test_folder_done(folder);
	test_ctx_done(&ctx);
}

/* Against binom and beta of scipy (n = 1000, far = 0.01; n = 200, far = 0.01; n = 3690, far = 0.001). */
static void limits_are_those_of_order_statistics(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_limit l;
	double s[4000], wide;

	for (int i = 0; i < 1000; i++)
		s[i] = (i * 7919 % 1000) / 1000.0; /* 0 to 0.999, shuffled */
	assert_ok(ctx, phiz_limit_from(ctx, s, 1000, 0.01, &l));
	assert_int_equal(l.passed, 10);
	assert_true(l.value > 0.989 && l.value < 0.990); /* 0.990 .. 0.999 reach it */
	/* binom.cdf(3, 1000, 0.01) = 0.0101, cdf(4) = 0.0287: the 4th highest; cdf(16) = 0.9735, cdf(17) = 0.9858: the
	 * 18th. */
	assert_true(fabs(l.high - 0.996) < 1e-9 && fabs(l.low - 0.982) < 1e-9);
	assert_true(fabs(l.far_high - 0.0169032) < 2e-6); /* beta.ppf(0.95, 11, 990) */
	for (int i = 0; i < 200; i++)
		s[i] = i / 200.0;
	assert_ok(ctx, phiz_limit_from(ctx, s, 200, 0.01, &l));
	assert_int_equal(l.passed, 2);
	assert_true(isinf(l.high)); /* binom.cdf(0, 200, 0.01) = 0.134 */
	assert_ok(ctx, phiz_limit_from(ctx, s, 200, 0.001, &l));
	assert_int_equal(l.passed, 0);
	assert_true(fabs(l.far_high - 0.014867) < 1e-5); /* 1 - 0.05^(1/200) */
	for (int i = 0; i < 3700; i++)
		s[i] = i / 4000.0;
	assert_ok(ctx, phiz_limit_from(ctx, s, 3700, 0.001, &l));
	assert_true(isfinite(l.high)); /* 0.999^3700 = 0.0247 */
	wide = l.high;
	assert_true(wide == s[3699]);
	for (int i = 0; i < 50; i++)
		s[i] = 0.5; /* ties: nobody may pass */
	assert_ok(ctx, phiz_limit_from(ctx, s, 50, 0.01, &l));
	assert_true(l.passed == 0 && l.value > 0.5);
	s[3] = NAN;
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_limit_from(ctx, s, 50, 0.01, &l));
	assert_fails(ctx, PHIZ_E_ARG, phiz_limit_from(ctx, s, 0, 0.01, &l));
	test_ctx_done(&ctx);
}

/* The interval holds the true quantile in at least 95 of 100 samples: 2,000 samples of 500, far 2 %. */
static void the_interval_covers(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_limit l;
	struct phiz_rng rng;
	double s[500];
	int covered = 0, bounded = 0;

	for (int t = 0; t < 2000; t++) {
		phiz_rng_init(&rng, (uint64_t)t, 0, 0, PHIZ_STREAM_TEST);
		for (int i = 0; i < 500; i++)
			s[i] = phiz_rng_f64(&rng);
		assert_ok(ctx, phiz_limit_from(ctx, s, 500, 0.02, &l));
		covered += l.low <= 0.98 && l.high >= 0.98;
		bounded += 1 - l.value <= l.far_high; /* the share that passes is 1 - value */
	}
	print_message("the interval covers in %.1f %%, the bound holds in %.1f %%\n", covered / 20.0, bounded / 20.0);
	assert_true(covered >= 1900 && covered < 1990);
	assert_true(bounded >= 1890);
	test_ctx_done(&ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(erasing_leaves_no_byte),
		cmocka_unit_test(an_encrypted_gallery_shows_nothing),
		cmocka_unit_test(tampering_with_the_log_is_found),
		cmocka_unit_test(people_go_when_their_time_is_over),
		cmocka_unit_test(limits_are_those_of_order_statistics),
		cmocka_unit_test(the_interval_covers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
