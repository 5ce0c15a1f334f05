/* label: full */
/* phiz data check from outside, on sample people with planted faults; no model is needed. Each fault is found, the
 * clean set gives nothing, --fix and --undo are a round trip to the byte, kill -9 in between included. */
#include "support/photos.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <phiz/image.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/io/json.h"
#include "datasets/augment.h"
#include "datasets/synth.h"

enum { PEOPLE = 6, PHOTOS = 8 };

struct place {
	struct phiz_ctx *ctx;
	char top[256], data[300], out[300];
};

/* Starts the program with these arguments (NULL at the end), standard output into p->out. */
static pid_t start(struct place *p, const char *const *args)
{
	const char *argv[32] = {"phiz"};
	char path[1024];
	pid_t child;
	int n = 1;

	snprintf(path, sizeof(path), "%s/tools/phiz", getenv("PHIZ_BUILD"));
	while (args[n - 1] && n < 31) {
		argv[n] = args[n - 1];
		n++;
	}
	child = fork();
	if (child == 0) {
		int fd = open(p->out, O_WRONLY | O_CREAT | O_TRUNC, 0600), null = open("/dev/null", O_WRONLY);
		dup2(fd, 1);
		dup2(null, 2);
		setenv("PHIZ_MODELS", p->top, 1); /* none there */
		setenv("XDG_CACHE_HOME", p->top, 1);
		execv(path, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(child > 0);
	return child;
}

static int finish(pid_t child)
{
	int status;

	assert_true(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static json_t *check(struct place *p, int want, const char *a, const char *b, const char *c)
{
	const char *args[] = {"data", "check", p->data, "--json", a, b, c, NULL};
	struct phiz_bytes text;
	json_t *result = NULL;
	int got = finish(start(p, args));

	if (got != want)
		fail_msg("exit %d, want %d", got, want);
	phiz_bytes_init(&text, p->ctx);
	assert_ok(p->ctx, phiz_file_read(p->ctx, p->out, 1 << 24, &text));
	assert_ok(p->ctx, phiz_json_parse(p->ctx, text.data, text.size, "result", &result));
	phiz_bytes_free(&text);
	return result;
}

static int64_t number(const json_t *result, const char *key)
{
	const json_t *v = json_object_get(result, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static int64_t count(const json_t *result, const char *kind)
{
	return number(json_object_get(result, "counts"), kind);
}

/* The schema of a finding, and whether one of this kind names this file. */
static bool has(const json_t *result, const char *kind, const char *file)
{
	const json_t *list = json_object_get(result, "findings"), *f;
	bool found = false;
	size_t i;

	json_array_foreach(list, i, f) {
		const char *name = json_string_value(json_object_get(f, "file"));
		static const char *const texts[] = {"kind", "weight", "reason", "advice"};

		for (int k = 0; k < 4; k++)
			assert_true(json_string_length(json_object_get(f, texts[k])) > 0);
		assert_true(json_object_size(f) == 11 && json_object_get(f, "value") && json_object_get(f, "limit"));
		if (!strcmp(json_string_value(json_object_get(f, "kind")), kind) && name && !strcmp(name, file))
			found = true;
	}
	return found;
}

static void open_place(struct place *p)
{
	struct phiz_synth_options o;

	p->ctx = test_ctx(2);
	test_folder(p->top);
	snprintf(p->data, sizeof(p->data), "%s/photos", p->top);
	snprintf(p->out, sizeof(p->out), "%s/out.json", p->top);
	phiz_synth_defaults(&o);
	o.people = PEOPLE;
	o.photos = PHOTOS;
	o.size = 128;
	assert_ok(p->ctx, phiz_synth_write(p->ctx, &o, p->data, NULL, NULL, NULL));
}

static void close_place(struct place *p)
{
	test_folder_done(p->top);
	test_ctx_done(&p->ctx);
}

static char *at(struct place *p, const char *name, char path[700])
{
	snprintf(path, 700, "%s/%s", p->data, name);
	return path;
}

static void copy_file(struct place *p, const char *from, const char *to, size_t most)
{
	struct phiz_bytes b;
	char path[700];

	phiz_bytes_init(&b, p->ctx);
	assert_ok(p->ctx, phiz_file_read(p->ctx, at(p, from, path), 1 << 24, &b));
	test_file(p->ctx, p->data, to, b.data, b.size < most ? b.size : most);
	phiz_bytes_free(&b);
}

enum change { BLUR, DARK, BURNT, RECOMPRESSED };

/* From a photo, changed, into another file. */
static void plant(struct place *p, const char *from, const char *to, enum change change)
{
	struct phiz_image image, small;
	char path[700];

	assert_ok(p->ctx, phiz_image_read(p->ctx, at(p, from, path), NULL, &image));
	if (change == RECOMPRESSED) {
		assert_ok(p->ctx, phiz_image_resize(p->ctx, &image, image.width * 7 / 8, image.height * 7 / 8, NULL, &small));
		phiz_image_free(p->ctx, &image);
		image = small;
	}
	for (int i = 0; i < 3 && change == BLUR; i++)
		assert_ok(p->ctx, phiz_apply_blur(p->ctx, &image, 31, 6));
	for (int i = 0; i < image.width * image.height * 3; i++) {
		uint8_t *v = &image.data[i];
		if (change == DARK)
			*v = (uint8_t)(*v / 12);
		else if (change == BURNT)
			*v = (uint8_t)(*v > 51 ? 255 : *v * 5);
	}
	assert_ok(p->ctx, phiz_image_write(p->ctx, at(p, to, path), &image, change == RECOMPRESSED ? 85 : 92));
	phiz_image_free(p->ctx, &image);
}

/* Of all files of the folder: names and contents. */
static void hash_tree(struct place *p, const char *folder, struct phiz_sha256 *sum)
{
	struct phiz_names names;

	assert_ok(p->ctx, phiz_dir_list(p->ctx, folder, &names));
	for (size_t i = 0; i < names.count; i++) {
		char *path = phiz_path_join(p->ctx, folder, names.name[i]);
		struct phiz_bytes b;

		phiz_bytes_init(&b, p->ctx);
		phiz_sha256_add(sum, names.name[i], strlen(names.name[i]) + 1);
		if (phiz_path_is_dir(path)) {
			hash_tree(p, path, sum);
		} else {
			assert_ok(p->ctx, phiz_file_read(p->ctx, path, 1 << 24, &b));
			phiz_sha256_add(sum, b.data, b.size);
		}
		phiz_bytes_free(&b);
		phiz_free(p->ctx, path);
	}
	phiz_names_free(p->ctx, &names);
}

static void hash_data(struct place *p, char out[65])
{
	struct phiz_sha256 sum;

	phiz_sha256_init(&sum);
	hash_tree(p, p->data, &sum);
	phiz_sha256_hex(&sum, out);
}

static void person(struct place *p, int which, const char *file, char out[128])
{
	char name[32];

	(void)p;
	phiz_synth_name(which, name, sizeof(name));
	snprintf(out, 128, "%s/%s", name, file);
}

static void test_clean(void **state)
{
	struct place p;
	json_t *r;

	(void)state;
	open_place(&p);
	r = check(&p, 0, NULL, NULL, NULL);
	assert_int_equal(number(r, "photos"), PEOPLE * PHOTOS);
	assert_int_equal(number(r, "people"), PEOPLE);
	assert_int_equal(json_array_size(json_object_get(r, "left_out")), 2);
	assert_int_equal(json_array_size(json_object_get(r, "findings")), 0);
	assert_int_equal(number(r, "cached"), 0);
	json_decref(r);
	r = check(&p, 0, NULL, NULL, NULL); /* nothing is measured twice */
	assert_int_equal(number(r, "measured"), 0);
	assert_int_equal(number(r, "cached"), PEOPLE * PHOTOS);
	json_decref(r);
	close_place(&p);
}

/* kind, file: what is planted where. */
struct planted {
	const char *kind;
	char file[128];
};

static int plant_all(struct place *p, struct planted *planted)
{
	char from[128], other[128];
	int n = 0;

	for (int i = 0; i < 3; i++) {
		static const char *const kind[] = {"blurred", "dark", "burnt-out"};
		person(p, i, "0003.jpg", from);
		person(p, i, "planted.jpg", planted[n].file);
		plant(p, from, planted[n].file, (enum change)i);
		planted[n++].kind = kind[i];
	}
	person(p, 0, "0001.jpg", from);
	person(p, 0, "copy.jpg", planted[n].file);
	copy_file(p, from, planted[n].file, 1 << 24);
	planted[n++].kind = "copy";
	person(p, 1, "0001.jpg", from);
	person(p, 1, "again.jpg", planted[n].file);
	plant(p, from, planted[n].file, RECOMPRESSED);
	planted[n++].kind = "near-duplicate";
	person(p, 2, "0001.jpg", from);
	person(p, 3, "other.jpg", other);
	copy_file(p, from, other, 1 << 24);
	snprintf(planted[n].file, 128, "%s", strcmp(from, other) < 0 ? from : other);
	planted[n++].kind = "two-names";
	person(p, 4, "0001.jpg", from);
	person(p, 4, "cut.jpg", planted[n].file);
	copy_file(p, from, planted[n].file, 2000);
	planted[n++].kind = "unreadable";
	person(p, 4, "notes.txt", planted[n].file);
	test_file(p->ctx, p->data, planted[n].file, "no photo", 8);
	planted[n++].kind = "no-picture";
	person(p, 5, "a\nb .jpg", planted[n].file);
	person(p, 5, "0002.jpg", from);
	plant(p, from, planted[n].file, DARK);
	planted[n++].kind = "odd-name";
	snprintf(planted[n].file, 128, "loose.jpg");
	copy_file(p, from, "loose.jpg", 1 << 24);
	planted[n++].kind = "misplaced";
	test_file(p->ctx, p->data, "solo/1.jpg", "GIF89a", 6);
	snprintf(planted[n].file, 128, "solo/1.jpg");
	planted[n++].kind = "unreadable";
	return n;
}

static bool page_has(const struct phiz_bytes *page, const char *text)
{
	return strstr(page->data, text) != NULL;
}

static void test_planted(void **state)
{
	struct planted planted[20];
	char before[65], after[65], fixed[65], report[400];
	struct phiz_bytes page;
	struct place p;
	json_t *r;
	int n;

	(void)state;
	open_place(&p);
	n = plant_all(&p, planted);
	hash_data(&p, before);
	snprintf(report, sizeof(report), "%s/report.html", p.top);
	r = check(&p, 1, "--report", report, NULL);
	for (int i = 0; i < n; i++)
		if (!has(r, planted[i].kind, planted[i].file))
			fail_msg("%s of %s was not found", planted[i].kind, planted[i].file);
	assert_int_equal(count(r, "blurred"), 1);
	assert_int_equal(count(r, "dark"), 2); /* the one with the odd name too */
	assert_int_equal(count(r, "burnt-out"), 1);
	assert_int_equal(count(r, "copy"), 1);
	assert_int_equal(count(r, "near-duplicate"), 1);
	assert_int_equal(count(r, "two-names"), 1);
	assert_int_equal(count(r, "unreadable"), 2);
	assert_int_equal(count(r, "no-picture"), 1);
	assert_int_equal(count(r, "odd-name"), 1);
	assert_int_equal(count(r, "few"), 1);
	assert_int_equal(json_array_size(json_object_get(r, "findings")), 13);
	json_decref(r);
	phiz_bytes_init(&page, p.ctx);
	assert_ok(p.ctx, phiz_file_read(p.ctx, report, 1 << 24, &page));
	assert_true(page_has(&page, "data:image/jpeg;base64,") && page_has(&page, "id=\"f-blurred\""));
	assert_false(page_has(&page, "<script") || page_has(&page, "http://") || page_has(&page, "https://"));
	phiz_bytes_free(&page);
	hash_data(&p, after);
	assert_string_equal(before, after); /* a check changes nothing */
	/* Put aside; a second time there is nothing to do; all of it back. */
	r = check(&p, 1, "--fix", NULL, NULL);
	assert_int_equal(number(r, "moved"), 9);
	json_decref(r);
	hash_data(&p, fixed);
	assert_string_not_equal(before, fixed);
	r = check(&p, 1, "--fix", NULL, NULL);
	assert_int_equal(number(r, "moved"), 0);
	assert_int_equal(count(r, "blurred") + count(r, "dark") + count(r, "copy") + count(r, "unreadable"), 0);
	json_decref(r);
	r = check(&p, 0, "--undo", NULL, NULL);
	assert_int_equal(number(r, "moved"), 9);
	json_decref(r);
	hash_data(&p, after);
	assert_string_equal(before, after);
	close_place(&p);
}

static void test_leak(void **state)
{
	struct phiz_bytes csv;
	char name[32], path[400];
	struct place p;
	json_t *r;

	(void)state;
	open_place(&p);
	phiz_bytes_init(&csv, p.ctx);
	phiz_bytes_text(&csv, "file,person,part,group\n");
	for (int who = 0; who < PEOPLE; who++)
		for (int i = 0; i < PHOTOS; i++) {
			phiz_synth_name(who, name, sizeof(name));
			phiz_bytes_printf(&csv, "%s/%04d.jpg,%s,%s,%d\n", name, i + 1, name, i % 4 ? "train" : "val",
			                  who * PHOTOS + i);
		}
	phiz_synth_name(2, name, sizeof(name));
	phiz_bytes_printf(&csv, "%s/leak.jpg,%s,train,9999\n", name, name);
	snprintf(path, sizeof(path), "%s/split.csv", p.top);
	assert_ok(p.ctx, phiz_file_write(p.ctx, path, csv.data, csv.size));
	phiz_bytes_free(&csv);
	r = check(&p, 0, "--split", path, NULL);
	assert_int_equal(json_array_size(json_object_get(r, "findings")), 0);
	json_decref(r);
	char from[128], to[128];
	person(&p, 2, "0001.jpg", from); /* to validate */
	person(&p, 2, "leak.jpg", to);
	plant(&p, from, to, RECOMPRESSED);
	r = check(&p, 1, "--split", path, NULL);
	assert_int_equal(json_array_size(json_object_get(r, "findings")), 1);
	assert_true(has(r, "leak", to));
	json_decref(r);
	close_place(&p);
}

/* Until the file is there or is not, for ten seconds at most. */
static void wait_for(const char *path, bool there)
{
	const struct timespec pause = {0, 200000};

	for (int i = 0; i < 50000 && phiz_path_is_file(path) != there; i++)
		nanosleep(&pause, NULL);
}

/* Killed while it moves 150 copies, at several moments: undo brings all back. */
static void test_killed(void **state)
{
	char before[65], after[65], from[128], to[128];
	struct place p;
	int moments = 0;

	(void)state;
	open_place(&p);
	person(&p, 0, "0001.jpg", from);
	for (int i = 0; i < 150; i++) {
		char name[32];
		snprintf(name, sizeof(name), "copy%03d.jpg", i);
		person(&p, 0, name, to);
		copy_file(&p, from, to, 1 << 24);
	}
	hash_data(&p, before);
	json_decref(check(&p, 0, NULL, NULL, NULL)); /* measured */
	for (int i = 0; i < 8; i++) {
		const char *args[] = {"data", "check", p.data, "--fix", "--quiet", NULL};
		const struct timespec pause = {0, 100000L * (1 + 7 * i)};
		pid_t child = start(&p, args);
		const char *undo[] = {"data", "check", p.data, "--undo", "--quiet", NULL};
		char journal[400], gone[700];

		snprintf(journal, sizeof(journal), "%s.aside/journal", p.data);
		snprintf(gone, sizeof(gone), "%s.aside/%s", p.data, to);
		wait_for(journal, true);
		nanosleep(&pause, NULL);
		kill(child, SIGKILL);
		moments += finish(child) == 128 + SIGKILL;
		child = start(&p, undo); /* and killed again on the way back */
		wait_for(gone, false);
		nanosleep(&pause, NULL);
		kill(child, SIGKILL);
		finish(child);
		if (phiz_path_is_file(journal))
			assert_int_equal(finish(start(&p, undo)), 0);
		hash_data(&p, after);
		assert_string_equal(before, after);
	}
	assert_true(moments >= 3);
	print_message("killed at %d moments of moving\n", moments);
	hash_data(&p, after);
	assert_string_equal(before, after);
	close_place(&p);
}

static void test_refuses(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	const struct {
		int want;
		const char *args[8];
	} cases[] = {
		{2, {"data", "check", NULL}},
		{2, {"data", "check", p.data, "--fix", "--undo", NULL}},
		{1, {"data", "check", p.data, "--undo", NULL}},
		{1, {"data", "check", "/nowhere/at/all", NULL}},
		{1, {"data", "check", p.data, "--kinds", "blured", NULL}},
		{1, {"data", "check", p.data, "--crops", "maybe", NULL}},
		{1, {"data", "check", p.data, "--model", "/nowhere.phiz", "--crops", "yes", NULL}},
		{1, {"data", "check", p.data, "--split", "/nowhere.csv", NULL}},
		{0, {"data", "check", p.data, "--kinds", "blurred,dark", "--cache", "none", NULL}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (finish(start(&p, cases[i].args)) != cases[i].want)
			fail_msg("case %zu: another exit status than %d", i, cases[i].want);
	close_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),  cmocka_unit_test(test_planted), cmocka_unit_test(test_leak),
		cmocka_unit_test(test_killed), cmocka_unit_test(test_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
