/* Files of true boxes, and matching them with what a detector found. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "deploy/truth.h"

static const char xml[] =
	"<?xml version='1.0'?>\n<!-- <image> -->\n<dataset><name>n</name>\n<images>\n"
	"  <image file='b &amp; c.jpg' width='9'>\n"
	"    <box top='1' left='2' width='30' height='40'><label>x</label><part name='00' x='3' y='4'/></box>\n"
	"    <box top='-5' left='60' width='7.5' height='8' ignore='1'/>\n"
	"  </image>\n  <image file=\"a.jpg\"/>\n</images></dataset>\n";
static const char csv[] = "\xEF\xBB\xBF" "file,x,y,w,h\r\nb.jpg,1,2,30,40\r\n# no face:\na.jpg,,,,\nb.jpg,-5.5,6,7,8\n"
                          "\"c, d.jpg\",0,0,1,1\nb.jpg,9,9,9,9";

static enum phiz_status parse(struct phiz_ctx *ctx, const char *text, struct phiz_truth *t)
{
	return phiz_truth_parse(ctx, text, strlen(text), "t", t);
}

static void assert_box(const struct phiz_true_box *b, double x, double y, double w, double h)
{
	const double want[4] = {x, y, w, h};
	test_close_f64("box", b->box, want, 4, 0, 0);
}

static void reads_csv(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_truth t;

	(void)state;
	assert_ok(ctx, parse(ctx, csv, &t));
	assert_int_equal(t.count, 3); /* by name; lines of a photo need not be together */
	assert_string_equal(t.photo[0].file, "a.jpg");
	assert_int_equal(t.photo[0].n, 0);
	assert_string_equal(t.photo[1].file, "b.jpg");
	assert_int_equal(t.photo[1].n, 3);
	double sum = 0;
	for (int i = 0; i < 3; i++)
		sum += t.photo[1].box[i].box[0];
	assert_true(fabs(sum - 4.5) < 1e-12);
	assert_string_equal(t.photo[2].file, "c, d.jpg");
	phiz_truth_free(ctx, &t);
	test_ctx_done(&ctx);
}

static void reads_xml(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_truth t;

	(void)state;
	assert_ok(ctx, parse(ctx, xml, &t));
	assert_int_equal(t.count, 2);
	assert_string_equal(t.photo[0].file, "b & c.jpg");
	assert_int_equal(t.photo[0].n, 2);
	assert_box(&t.photo[0].box[0], 2, 1, 30, 40);
	assert_false(t.photo[0].box[0].ignore);
	assert_box(&t.photo[0].box[1], 60, -5, 7.5, 8);
	assert_true(t.photo[0].box[1].ignore);
	assert_string_equal(t.photo[1].file, "a.jpg");
	assert_int_equal(t.photo[1].n, 0);
	phiz_truth_free(ctx, &t);
	test_ctx_done(&ctx);
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", "t:0: no boxes"},
		{"a.jpg,1,2,3,4\n", "t:1: boxes of faces begin with a line file,x,y,w,h"},
		{"file,x,y,w,h\na.jpg,1,2,3\n", "t:2: want five fields"},
		{"file,x,y,w,h\na.jpg,1,2,3,4,5\n", "t:2: want five fields"},
		{"file,x,y,w,h\na.jpg,1,2,,4\n", "t:2: w"},
		{"file,x,y,w,h\na.jpg,1,2,0,4\n", "t:2: a box without width or height"},
		{"file,x,y,w,h\na.jpg,1,2,-3,4\n", "t:2: a box without width or height"},
		{"file,x,y,w,h\na.jpg,1,nan,3,4\n", "t:2: y"},
		{"file,x,y,w,h\na.jpg,1,2,3,1e9\n", "t:2: h"},
		{"file,x,y,w,h\n,1,2,3,4\n", "t:2: want the name of a photo"},
		{"file,x,y,w,h\n\xff\xfe.jpg,1,2,3,4\n", "t:2: want the name of a photo"},
		{"file,x,y,w,h\n\"a.jpg,1,2,3,4\n", "t:2: quotes"},
		{"<dataset>\n</dataset>", "t:2: XML without an <image>"},
		{"<image>", "t:1: an <image> without file"},
		{"<image file='a'>", "in the middle of an <image>"},
		{"<image file='a'", "t:1: want an attribute"},
		{"<image file='a><b", "t:1: an attribute's value that does not end"},
		{"<image file=a>", "t:1: want an attribute's value in quotes"},
		{"<image file='a'><image file='b'>", "t:1: an <image> inside of another"},
		{"<box top='1' left='1' width='1' height='1'/>", "t:1: a <box> outside of an <image>"},
		{"<image file='a'>\n<box top='1' left='1' width='1'/></image>", "t:2: a <box> without left, top, width"},
		{"<image file='a'><box top='x' left='1' width='1' height='1'/></image>", "t:1: top"},
		{"<image file='a'><box top='1\n' left='1' width='1' height='1'/></image>", "top: want a number"},
		{"<image file='&#65;'/>", "t:1: a character reference"},
		{"<image file='a&'/>", "t:1: a character reference"},
		{"<!-- never ends", "t:1: the file ends in the middle"},
		{"< image file='a'/>", "t:1: want the name of an element"},
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_truth t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, parse(ctx, cases[i].text, &t));
		assert_message(ctx, cases[i].want);
		assert_null(t.photo);
		/* The context's message is one line of text, whatever the file holds. */
		assert_null(strchr(phiz_ctx_message(ctx), '\n'));
	}
	test_ctx_done(&ctx);
}

/* Text that is not terminated, cut at each byte: an error or fewer boxes, no byte beyond the end (ASan sees it). */
static void cut_anywhere(void **state)
{
	static const char *const texts[] = {xml, csv};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_truth t;

	(void)state;
	for (int i = 0; i < 2; i++)
		for (size_t n = 0; n < strlen(texts[i]); n++) {
			char *copy = phiz_alloc(ctx, n + 1, 1);
			assert_non_null(copy);
			copy = phiz_realloc(ctx, copy, n ? n : 1, 1);
			memcpy(copy, texts[i], n);
			if (!phiz_truth_parse(ctx, copy, n, "t", &t))
				phiz_truth_free(ctx, &t);
			phiz_free(ctx, copy);
		}
	test_ctx_done(&ctx);
}

/* One face of 10 x 10 at (x, y). */
static void put(struct phiz_faces *f, float x, float y, float score)
{
	struct phiz_face *face = &f->face[f->n++];
	memset(face, 0, sizeof *face);
	face->box[0] = x;
	face->box[1] = y;
	face->box[2] = face->box[3] = 10;
	face->score = score;
}

/* Boxes of 10 x 10 moved by d along one side overlap by (10 - d) / (10 + d): 0.538 for 3, 0.429 for 4. */
static void matches(void **state)
{
	static const char text[] =
		"<image file='a'><box left='0' top='0' width='10' height='10'/>"
		"<box left='100' top='0' width='10' height='10'/><box left='200' top='0' width='10' height='10' ignore='1'/>"
		"<box left='300' top='0' width='10' height='10'/></image>";
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_face face[16];
	struct phiz_faces faces = {face, 0, 16};
	struct phiz_match half = {.iou = 0.5}, less = {.iou = 0.4};
	struct phiz_truth t;

	(void)state;
	assert_ok(ctx, parse(ctx, text, &t));
	put(&faces, 3, 0, 0.9f);   /* matches the first at either limit */
	put(&faces, 0, 0, 0.8f);   /* better, but too late: the box is taken */
	put(&faces, 100, 4, 0.7f); /* matches at 0.4 alone */
	put(&faces, 200, 0, 0.6f); /* these two are ignored */
	put(&faces, 201, 0, 0.5f);
	put(&faces, 400, 0, 0.4f); /* matches nothing */
	assert_ok(ctx, phiz_match_add(ctx, &half, &t.photo[0], &faces));
	assert_int_equal(half.truth, 3);
	assert_int_equal(half.found, 4);
	assert_int_equal(half.matched, 1);
	assert_ok(ctx, phiz_match_add(ctx, &less, &t.photo[0], &faces));
	assert_int_equal(less.found, 4);
	assert_int_equal(less.matched, 2);
	faces.n = 0; /* sums go on; no face in a photo with three */
	assert_ok(ctx, phiz_match_add(ctx, &less, &t.photo[0], &faces));
	assert_int_equal(less.truth, 6);
	assert_int_equal(less.found, 4);
	phiz_truth_free(ctx, &t);
	test_ctx_done(&ctx);
}

static enum phiz_status parse_both(struct phiz_ctx *ctx, void *user)
{
	struct phiz_truth t;
	enum phiz_status status = parse(ctx, xml, &t);

	(void)user;
	phiz_truth_free(ctx, &t);
	if (status)
		return status;
	status = parse(ctx, csv, &t);
	phiz_truth_free(ctx, &t);
	return status;
}

static void memory_runs_out(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	test_every_oom(ctx, parse_both, NULL);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_csv), cmocka_unit_test(reads_xml), cmocka_unit_test(refuses),
		cmocka_unit_test(cut_anywhere), cmocka_unit_test(matches), cmocka_unit_test(memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
