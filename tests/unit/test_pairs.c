/* Lists of pairs: LFW's format, CSV, mistakes, memory. */
#include "support/support.h"

#include <stdio.h>

#include "support/photos.h"
#include "train/pairs.h"

static enum phiz_status parse(struct phiz_ctx *ctx, const char *text, struct phiz_pair_list *out)
{
	return phiz_pair_list_parse(ctx, text, strlen(text), "pairs", "/lfw", out);
}

static void expect(const struct phiz_pair_list *p, size_t i, const char *a, const char *b, bool same, int fold)
{
	assert_string_equal(p->file.name[p->pair[i].a], a);
	assert_string_equal(p->file.name[p->pair[i].b], b);
	assert_int_equal(p->pair[i].same, same);
	assert_int_equal(p->pair[i].fold, fold);
}

static void lfw_format(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_pair_list p;

	assert_ok(ctx, parse(ctx, "2\t1\nAnn_B\t1\t4\nAnn_B\t4\tCarl\t12\r\nCarl 1 12\nCarl\t1\tAnn_B\t1\n\n", &p));
	assert_int_equal(p.count, 4);
	assert_int_equal(p.n_folds, 2);
	assert_int_equal(p.file.count, 4); /* each once */
	expect(&p, 0, "/lfw/Ann_B/Ann_B_0001.jpg", "/lfw/Ann_B/Ann_B_0004.jpg", true, 0);
	expect(&p, 1, "/lfw/Ann_B/Ann_B_0004.jpg", "/lfw/Carl/Carl_0012.jpg", false, 0);
	expect(&p, 2, "/lfw/Carl/Carl_0001.jpg", "/lfw/Carl/Carl_0012.jpg", true, 1);
	expect(&p, 3, "/lfw/Carl/Carl_0001.jpg", "/lfw/Ann_B/Ann_B_0001.jpg", false, 1);
	phiz_pair_list_free(ctx, &p);
	assert_ok(ctx, parse(ctx, "1\nA\t1\t2\nA\t1\tB\t1\n", &p)); /* LFW's view 1 */
	assert_int_equal(p.n_folds, 1);
	phiz_pair_list_free(ctx, &p);
	test_ctx_done(&ctx);
}

static void csv_format(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_pair_list p;

	assert_ok(ctx, parse(ctx, "file1,file2,same\na.png,\"b,c.png\",1\n/x/d.png,a.png,false\n", &p));
	assert_int_equal(p.count, 2);
	assert_int_equal(p.n_folds, 1);
	expect(&p, 0, "/lfw/a.png", "/lfw/b,c.png", true, 0);
	expect(&p, 1, "/x/d.png", "/lfw/a.png", false, 0);
	phiz_pair_list_free(ctx, &p);
	assert_ok(ctx, parse(ctx, "a,b,true,2\na,c,false,3\na,d,0,1\n", &p)); /* no header; folds of its own */
	assert_int_equal(p.count, 3);
	assert_int_equal(p.n_folds, 3);
	assert_int_equal(p.pair[0].fold, 1);
	assert_int_equal(p.pair[1].fold, 2);
	phiz_pair_list_free(ctx, &p);
	char text[40 * 8];
	for (int i = 0; i < 40; i++)
		memcpy(text + 6 * i, i < 25 ? "a,b,1\n" : "c,d,0\n", 7);
	assert_ok(ctx, parse(ctx, text, &p)); /* dealt out: every fold has both kinds */
	assert_int_equal(p.n_folds, 10);
	int seen[2][10] = {{0}};
	for (size_t i = 0; i < p.count; i++)
		seen[p.pair[i].same][p.pair[i].fold]++;
	for (int f = 0; f < 10; f++) {
		assert_in_range(seen[1][f], 2, 3);
		assert_in_range(seen[0][f], 1, 2);
	}
	phiz_pair_list_free(ctx, &p);
	test_ctx_done(&ctx);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} wrong[] = {
		{"", "pairs"},
		{"10\t300\nA\t1\t2\n", "ends after 2 lines; its first line promises 6000 pairs"},
		{"1\t1\nA\t1\tB\t2\nA\t1\tB\t1\n", "pairs:2: want NAME I J"},
		{"1\t1\nA\t1\t2\nA\t1\t2\n", "pairs:3: want NAME I NAME J"},
		{"1\t1\nA\t1\tx\nA\t1\tB\t1\n", "pairs:2"},
		{"1\t1\n../A\t1\t2\nA\t1\tB\t1\n", "pairs:2: '../A' is no name of a folder"},
		{"1\t1\n..\t1\t2\nA\t1\tB\t1\n", "is no name of a folder"},
		{"1\t1\nA\t1\t2\nA\t1\tB\t1\nA\t1\tB\t1\n", "pairs:4: more pairs than the first line promises"},
		{"1\t1\nA\t1\t2\t3\t4\t5\nA\t1\tB\t1\n", "pairs:2: too many fields"},
		{"0\t1\n", "pairs:1"},
		{"1001\t1\n", "pairs:1"},
		{"a,b\nc,d\n", "pairs:1: want FILE,FILE,SAME"},
		{"file,file,same\na,b,yes please\n", "pairs:2: 'yes please': want 1 (one person) or 0"},
		{"file,file,same\n", "there are no pairs in it"},
		{"a,,1\n", "pairs:1: a pair without a file"},
		{"a,b,1,0\n", "pairs:1"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_pair_list p;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, parse(ctx, wrong[i].text, &p));
		assert_message(ctx, wrong[i].message);
		assert_int_equal(p.count, 0);
	}
	test_ctx_done(&ctx);
}

/* Files of LFW that are PNG. */
static void other_endings(void **state)
{
	(void)state;
	static const char list[] = "1\t1\nA\t1\t2\nA\t1\tB\t1\n";
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_pair_list p;
	char dir[256], path[300], want[320];

	test_folder(dir);
	test_file(ctx, dir, "A/A_0001.jpg", "x", 1);
	test_file(ctx, dir, "A/A_0002.png", "x", 1);
	test_file(ctx, dir, "pairs.txt", list, sizeof list - 1);
	snprintf(path, sizeof path, "%s/pairs.txt", dir);
	assert_ok(ctx, phiz_pair_list_read(ctx, path, dir, &p));
	snprintf(want, sizeof want, "%s/A/A_0002.png", dir);
	assert_string_equal(p.file.name[p.pair[0].b], want);
	snprintf(want, sizeof want, "%s/B/B_0001.jpg", dir);
	assert_string_equal(p.file.name[p.pair[1].b], want);
	phiz_pair_list_free(ctx, &p);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_pair_list_read(ctx, "/nowhere/pairs.txt", dir, &p));
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

static enum phiz_status parse_and_free(struct phiz_ctx *ctx, void *user)
{
	struct phiz_pair_list p;
	enum phiz_status status = parse(ctx, user, &p);

	if (!status)
		phiz_pair_list_free(ctx, &p);
	return status;
}

static void memory_may_run_out_anywhere(void **state)
{
	(void)state;
	static char lfw[] = "1\t1\nA\t1\t2\nA\t1\tB\t1\n", csv[] = "a,b,1\nc,d,0\n";
	struct phiz_ctx *ctx = test_ctx(1);

	test_every_oom(ctx, parse_and_free, lfw);
	test_every_oom(ctx, parse_and_free, csv);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lfw_format),    cmocka_unit_test(csv_format), cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(other_endings), cmocka_unit_test(memory_may_run_out_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
