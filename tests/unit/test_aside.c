/* Putting files aside and back: to the byte, whatever moment the process is killed at. */
#include "support/photos.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "datasets/aside.h"

enum { FILES = 7 };
static const char *const names[FILES] = {
	"anna/1.jpg", "anna/2.jpg", "bert/1.jpg", "bert/a b\n%.jpg", "bert/caf\xe9.jpg", "journal", "anna/3",
};

struct place {
	struct phiz_ctx *ctx;
	char top[256], dir[300], aside[400];
};

static void open_place(struct place *p, int files)
{
	char content[64];

	p->ctx = test_ctx(1);
	test_folder(p->top);
	snprintf(p->dir, sizeof(p->dir), "%s/photos", p->top);
	snprintf(p->aside, sizeof(p->aside), "%s/photos.aside", p->top);
	for (int i = 0; i < files; i++) {
		snprintf(content, sizeof(content), "content of file %d", i);
		test_file(p->ctx, p->dir, names[i], content, strlen(content));
	}
}

static void close_place(struct place *p)
{
	test_folder_done(p->top);
	test_ctx_done(&p->ctx);
}

static bool holds(struct place *p, const char *folder, const char *name, int content)
{
	char path[700], want[64];
	struct phiz_bytes b;
	bool same;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(want, sizeof(want), "content of file %d", content);
	if (!phiz_path_is_file(path))
		return false;
	phiz_bytes_init(&b, p->ctx);
	assert_ok(p->ctx, phiz_file_read(p->ctx, path, 1000, &b));
	same = b.size == strlen(want) && memcmp(b.data, want, b.size) == 0;
	phiz_bytes_free(&b);
	return same;
}

static void plan_moves(struct phiz_ctx *ctx, struct phiz_aside_moves *moves, int files)
{
	memset(moves, 0, sizeof(*moves));
	for (int i = 0; i < files; i++)
		assert_ok(ctx, phiz_aside_add(ctx, moves, names[i], "blurred"));
}

static enum phiz_status put(struct place *p, int files, phiz_aside_progress progress, void *user,
                            struct phiz_aside_result *result)
{
	struct phiz_aside_moves moves;
	enum phiz_status status;

	plan_moves(p->ctx, &moves, files);
	status = phiz_aside_put(p->ctx, p->dir, p->aside, &moves, progress, user, result);
	phiz_aside_moves_free(p->ctx, &moves);
	return status;
}

static void all_are_home(struct place *p)
{
	for (int i = 0; i < FILES; i++)
		assert_true(holds(p, p->dir, names[i], i));
	assert_false(phiz_path_is_dir(p->aside));
}

static void test_round_trip(void **state)
{
	struct phiz_aside_result r;
	struct place p;

	(void)state;
	open_place(&p, FILES);
	assert_ok(p.ctx, put(&p, FILES, NULL, NULL, &r));
	assert_int_equal(r.moved, FILES);
	for (int i = 0; i < FILES; i++) {
		assert_false(holds(&p, p.dir, names[i], i));
		if (strcmp(names[i], "journal")) /* that name is taken there */
			assert_true(holds(&p, p.aside, names[i], i));
	}
	assert_true(holds(&p, p.aside, "journal~2", 5));
	/* Again: all of it is done. */
	assert_ok(p.ctx, put(&p, 0, NULL, NULL, &r));
	assert_int_equal(r.moved, 0);
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	assert_int_equal(r.moved, FILES);
	all_are_home(&p);
	assert_fails(p.ctx, PHIZ_E_NOTFOUND, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	close_place(&p);
}

/* The same name twice: a photo is put aside, another one takes its name, and is put aside too. */
static void test_same_name_again(void **state)
{
	struct phiz_aside_result r;
	struct place p;

	(void)state;
	open_place(&p, FILES);
	assert_ok(p.ctx, put(&p, 1, NULL, NULL, &r));
	test_file(p.ctx, p.dir, names[0], "content of file 9", 17);
	assert_ok(p.ctx, put(&p, 1, NULL, NULL, &r));
	assert_true(holds(&p, p.aside, "anna/1.jpg", 0));
	assert_true(holds(&p, p.aside, "anna/1~2.jpg", 9));
	/* The last one goes back first; the first finds its place taken and stays, with the journal. */
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	assert_int_equal(r.moved, 1);
	assert_int_equal(r.conflict, 1);
	assert_true(holds(&p, p.dir, "anna/1.jpg", 9));
	assert_true(holds(&p, p.aside, "anna/1.jpg", 0));
	char path[700];
	snprintf(path, sizeof(path), "%s/%s", p.dir, names[0]);
	assert_int_equal(unlink(path), 0);
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	all_are_home(&p);
	close_place(&p);
}

static bool die_after(void *user, size_t done, size_t total)
{
	(void)total;
	if (done == *(size_t *)user)
		raise(SIGKILL);
	return true;
}

static bool stop_after(void *user, size_t done, size_t total)
{
	(void)total;
	return done != *(size_t *)user;
}

/* In a process of its own that is killed after so many moves. */
static void killed(struct place *p, size_t moves, bool undo)
{
	struct phiz_aside_result r;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (undo)
			phiz_aside_undo(p->ctx, p->dir, p->aside, die_after, &moves, &r);
		else
			put(p, FILES, die_after, &moves, &r);
		_exit(0);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed(void **state)
{
	struct phiz_aside_result r;

	(void)state;
	for (size_t k = 1; k <= FILES; k++)
		for (int again = 0; again < 2; again++) {
			struct place p;

			open_place(&p, FILES);
			killed(&p, k, false);
			for (int i = 0; i < FILES; i++) { /* whole, in one place or the other */
				const char *there = strcmp(names[i], "journal") ? names[i] : "journal~2";
				assert_true(holds(&p, p.dir, names[i], i) != holds(&p, p.aside, there, i));
			}
			if (again) {
				assert_ok(p.ctx, put(&p, FILES, NULL, NULL, &r));
				assert_int_equal(r.moved, FILES - k);
				assert_int_equal(r.missing, k); /* they are aside already, under the journal's first entry */
			}
			killed(&p, 1, true);
			assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
			assert_int_equal(r.conflict, 0);
			all_are_home(&p);
			close_place(&p);
		}
}

static void test_broken_off(void **state)
{
	struct phiz_aside_result r;
	size_t after = 3;
	struct place p;

	(void)state;
	open_place(&p, FILES);
	assert_fails(p.ctx, PHIZ_E_CANCELLED, put(&p, FILES, stop_after, &after, &r));
	assert_int_equal(r.moved, 3);
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	assert_int_equal(r.moved, 3);
	assert_int_equal(r.already, FILES - 3);
	all_are_home(&p);
	close_place(&p);
}

/* Killed after the copy was whole and before the original was gone: both are there. */
static void test_both_places(void **state)
{
	struct phiz_aside_result r;
	struct place p;

	(void)state;
	open_place(&p, FILES);
	assert_ok(p.ctx, put(&p, 2, NULL, NULL, &r));
	test_file(p.ctx, p.dir, names[1], "content of file 1", 17);
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	assert_int_equal(r.moved, 2);
	all_are_home(&p);
	close_place(&p);
}

/* To another file system, with permissions and times. */
static void test_across(void **state)
{
	struct phiz_aside_result r;
	struct stat a, b, before, after;
	char path[700];
	struct place p;

	(void)state;
	open_place(&p, FILES);
	if (stat("/dev/shm", &a) || stat(p.top, &b) || a.st_dev == b.st_dev || access("/dev/shm", W_OK)) {
		close_place(&p);
		skip();
	}
	snprintf(p.aside, sizeof(p.aside), "/dev/shm/phiz-aside-%ld", (long)getpid());
	snprintf(path, sizeof(path), "%s/%s", p.dir, names[0]);
	const struct timespec times[2] = {{1000000000, 5}, {1234567890, 987654321}};
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_ok(p.ctx, put(&p, FILES, NULL, NULL, &r));
	assert_int_equal(r.moved, FILES);
	assert_true(holds(&p, p.aside, names[4], 4));
	assert_ok(p.ctx, phiz_aside_undo(p.ctx, p.dir, p.aside, NULL, NULL, &r));
	assert_int_equal(r.moved, FILES);
	all_are_home(&p);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	close_place(&p);
}

static void test_refuses(void **state)
{
	static const char *const bad[] = {
		"", "phiz aside 2\n", "phiz aside 1\nmove a b", "phiz aside 1\nmove a b c d\n", "phiz aside 1\nmove a ../b c\n",
		"phiz aside 1\nmove a /b c\n", "phiz aside 1\nmove a b c/../../d\n", "phiz aside 1\nmove a b%2 c\n",
		"phiz aside 1\nmove a b%00 c\n", "phiz aside 1\nkeep a b c\n", "phiz aside 1\nmove a b  c\n",
		"phiz aside 1\nmove a %2E%2E%2Fb c\n", "phiz aside 1\nmove a . c\n", "phiz aside 1\n\n",
	};
	struct phiz_aside_moves moves;
	struct phiz_aside_result r;
	struct place p;

	(void)state;
	open_place(&p, FILES);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(p.ctx, PHIZ_E_FORMAT, phiz_aside_parse(p.ctx, bad[i], strlen(bad[i]), "journal", &moves));
	snprintf(p.aside, sizeof(p.aside), "%s/anna/aside", p.dir);
	assert_fails(p.ctx, PHIZ_E_ARG, put(&p, 1, NULL, NULL, &r));
	assert_true(holds(&p, p.dir, names[0], 0));
	snprintf(p.aside, sizeof(p.aside), "%s", p.top);
	assert_fails(p.ctx, PHIZ_E_ARG, put(&p, 1, NULL, NULL, &r));
	close_place(&p);
}

/* All out of memory: nothing leaks, and what was moved can be put back. */
static enum phiz_status put_and_undo(struct phiz_ctx *ctx, void *user)
{
	struct place *p = user;
	struct phiz_aside_moves moves = {0};
	struct phiz_aside_result r;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < 3; i++)
		status = phiz_aside_add(ctx, &moves, names[i], "why");
	if (!status)
		status = phiz_aside_put(ctx, p->dir, p->aside, &moves, NULL, NULL, &r);
	phiz_aside_moves_free(ctx, &moves);
	if (!status)
		status = phiz_aside_undo(ctx, p->dir, p->aside, NULL, NULL, &r);
	return status;
}

static void test_out_of_memory(void **state)
{
	struct place p;

	(void)state;
	open_place(&p, FILES);
	test_every_oom(p.ctx, put_and_undo, &p);
	all_are_home(&p);
	close_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_same_name_again), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_broken_off), cmocka_unit_test(test_both_places),     cmocka_unit_test(test_across),
		cmocka_unit_test(test_refuses),    cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
