/* Galleries and classifiers, with every allocation of phiz failing once (SQLite's and liblinear's memory is their own).
 */
#include "support/support.h"

#include <stdio.h>
#include <unistd.h>

#include <phiz/classify.h>
#include <phiz/gallery.h>

#include "core/base/bytes.h"

static const char lines[] =
	"{\"phiz_gallery\":1,\"model\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"dim\":4}\n"
	"{\"name\":\"anna\",\"source\":\"a.jpg\",\"consent\":\"yes\",\"embedding\":[1,0,0,0.5]}\n"
	"{\"name\":\"anna\",\"kind\":\"rejected\",\"embedding\":[0.5,0.5,0,0]}\n"
	"{\"name\":\"bert\",\"embedding\":[0,1,0,0]}\n";

struct place {
	char folder[256], path[300];
	struct phiz_gallery_options options;
};

static enum phiz_status whole_life(struct phiz_ctx *ctx, void *user)
{
	const struct place *p = user;
	static const float query[4] = {1, 0.2f, 0, 0};
	struct phiz_gallery *g;
	struct phiz_match match[2];
	struct phiz_bytes out;
	double *value = NULL, one;
	int64_t n_values;
	bool found;
	int n;
	enum phiz_status status = phiz_gallery_open(ctx, p->path, &p->options, &g);

	phiz_bytes_init(&out, ctx);
	if (!status)
		status = phiz_gallery_import(g, lines, sizeof lines - 1, "lines", NULL, NULL, NULL);
	if (!status)
		status = phiz_gallery_search(g, query, 2, match, &n);
	if (!status && n != 2)
		status = PHIZ_E_INTERNAL;
	if (!status)
		status = phiz_gallery_similarity(g, query, "anna", &one);
	if (!status)
		status = phiz_gallery_nearest(g, "anna", NULL, match, &found);
	if (!status)
		status = phiz_gallery_leave_one_out(g, &value, &n_values);
	if (value)
		phiz_gallery_values_free(g, &value);
	if (!status)
		status = phiz_gallery_export(g, &out);
	if (!status)
		status = phiz_gallery_merge(g, "anna", "bert");
	if (!status)
		status = phiz_gallery_remove(g, "bert", true);
	phiz_bytes_free(&out);
	phiz_gallery_free(&g);
	return status;
}

static void galleries(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct place p = {.options = {.create = true, .matrix_rows = 1}};

	test_folder(p.folder);
	snprintf(p.path, sizeof p.path, "%s/g.db", p.folder);
	test_every_oom(ctx, whole_life, &p);
	/* What failed half way left a sound gallery. */
	assert_ok(ctx, whole_life(ctx, &p));
	test_folder_done(p.folder);
	test_ctx_done(&ctx);
}

static enum phiz_status fit(struct phiz_ctx *ctx, void *user)
{
	static const float x[6][2] = {{1, 0}, {0.6f, 0.8f}, {0, 1}, {-0.6f, 0.8f}, {-1, 0}, {-0.8f, -0.6f}};
	static const int32_t label[6] = {0, 0, 1, 1, 2, 2};
	struct phiz_samples s = {x[0], label, 6, 2, 3};
	struct phiz_classifier *c;
	int32_t who;
	double score;
	enum phiz_status status = phiz_classifier_fit(ctx, user, &s, NULL, &c);

	if (!status)
		status = phiz_classifier_predict(c, x[0], &who, &score);
	phiz_classifier_free(&c);
	return status;
}

static void classifiers(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);

	for (int i = 0; phiz_classifier_name(i); i++)
		test_every_oom(ctx, fit, (void *)(uintptr_t)phiz_classifier_name(i));
	test_ctx_done(&ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(galleries),
		cmocka_unit_test(classifiers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
