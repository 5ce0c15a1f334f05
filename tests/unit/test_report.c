/* Reports of evaluations made by hand: many people, no photos on disk, memory that runs out at every place. (From
 * outside: e2e/test_eval.py.) */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/image.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/image/font.h"
#include "train/confusion_png.h"
#include "train/report.h"
#include "train/svg_chart.h"

/* An evaluation of `people` classes with some guesses about each, and of strangers; the photos are nowhere. */
static enum phiz_status make_eval(struct phiz_ctx *ctx, struct phiz_dataset *d, int people, int strangers,
                                  struct phiz_eval **out)
{
	struct phiz_eval *e = phiz_calloc(ctx, 1, sizeof *e);
	struct phiz_rng rng;
	enum phiz_status status = PHIZ_OK;

	*out = e;
	if (!e)
		return PHIZ_E_NOMEM;
	phiz_rng_init(&rng, 3, 0, 0, PHIZ_STREAM_TEST);
	e->ctx = ctx;
	e->dataset = d;
	e->classes = people;
	e->preproc.crop = 1;
	e->preproc.size = 32;
	e->path = phiz_strdup(ctx, "a<b>.phiz");
	e->label = phiz_calloc(ctx, (size_t)people, sizeof *e->label);
	e->sample = phiz_alloc(ctx, d->count, sizeof *e->sample);
	e->guess = phiz_alloc(ctx, d->count, sizeof *e->guess);
	if (!e->path || !e->label || !e->sample || !e->guess)
		return PHIZ_E_NOMEM;
	for (int c = 0; c < people; c++) {
		e->label[c] = phiz_strdup(ctx, d->people.name[c]);
		if (!e->label[c])
			return PHIZ_E_NOMEM;
	}
	for (size_t i = 0; i < d->count && !status; i++) {
		float logits[1200];
		int person = d->sample[i].person;

		for (int c = 0; c < people; c++)
			logits[c] = (float)phiz_rng_normal(&rng);
		if (person < people)
			logits[person] += 3;
		e->sample[e->count] = (uint32_t)i;
		status = phiz_guess_make(ctx, NULL, logits, people, person < people ? person : PHIZ_STRANGER,
		                         &e->guess[e->count++]);
	}
	e->strangers = strangers;
	e->seconds = e->network_seconds = 1;
	e->asked_far = 0.1;
	if (!status)
		status = phiz_accuracy_measure(ctx, e->guess, e->count, people, &e->accuracy);
	if (!status)
		status = phiz_roc_measure(ctx, e->guess, e->count, &e->roc);
	if (!status)
		status = phiz_threshold_for(ctx, e->guess, e->count, e->asked_far, &e->point.value);
	if (!status)
		e->point = phiz_operate(e->guess, e->count, e->point.value);
	return status;
}

static enum phiz_status make_dataset(struct phiz_ctx *ctx, int people, int photos, int strangers,
                                     struct phiz_dataset **out)
{
	enum phiz_status status = phiz_dataset_create(ctx, out);
	struct phiz_sample sample = {0};
	char name[64], path[96];

	if (!status)
		status = phiz_dataset_add_root(ctx, *out, "nowhere", &sample.root);
	for (int p = 0; p < people + strangers && !status; p++) {
		bool stranger = p >= people;

		snprintf(name, sizeof name, "%s %03d <&\">", stranger ? "zz" : p % 3 ? "Zo\xC3\xAB" : "\xE5\xB1\xB1", p);
		status = phiz_dataset_add_person(ctx, *out, name, stranger, &sample.person);
		for (int i = 0; i < (stranger ? 1 : photos) && !status; i++) {
			snprintf(path, sizeof path, "%s/%d.jpg", name, i);
			sample.path = path;
			sample.part = stranger ? PHIZ_PART_STRANGER : PHIZ_PART_TRAIN;
			status = phiz_dataset_add_sample(ctx, *out, &sample);
		}
	}
	return status ? status : phiz_dataset_finish(ctx, *out);
}

typedef enum phiz_status (*make_fn)(const struct phiz_eval_report *report, struct phiz_bytes *out);

static enum phiz_status make_text(struct phiz_ctx *ctx, const struct phiz_eval_report *report, make_fn make,
                                  size_t *size)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, ctx);
	enum phiz_status status = make(report, &text);
	*size = text.size;
	phiz_bytes_free(&text);
	return status;
}

struct wish {
	int people, photos, strangers;
};

static enum phiz_status make_all(struct phiz_ctx *ctx, void *user)
{
	static const make_fn make[] = {phiz_eval_report_summary, phiz_eval_report_json, phiz_eval_report_csv,
	                               phiz_eval_report_html};
	const struct wish *wish = user;
	struct phiz_dataset *d = NULL;
	struct phiz_eval *e = NULL, *other = NULL;
	struct phiz_comparison comparison = {0};
	enum phiz_status status = make_dataset(ctx, wish->people, wish->photos, wish->strangers, &d);

	if (!status)
		status = make_eval(ctx, d, wish->people, wish->strangers, &e);
	if (!status)
		status = make_eval(ctx, d, wish->people, wish->strangers, &other);
	for (size_t i = 0; !status && i < other->count; i += 3) { /* let the other be wrong more often */
		int32_t second = other->guess[i].top[1];

		other->guess[i].top[1] = other->guess[i].top[0];
		other->guess[i].top[0] = second;
	}
	if (!status)
		status = phiz_compare(ctx, e, other, &comparison);
	for (int i = 0; i < 4 && !status; i++) {
		struct phiz_eval_report r = {.eval = e, .against = other, .comparison = &comparison, .data = "<data>"};
		size_t size;

		status = make_text(ctx, &r, make[i], &size);
		if (!status)
			assert_true(size > 100);
	}
	phiz_comparison_free(ctx, &comparison);
	phiz_eval_free(&other);
	phiz_eval_free(&e);
	phiz_dataset_free(ctx, &d);
	return status;
}

static void test_sizes(void **state)
{
	static struct wish wish[] = {{2, 1, 0}, {6, 3, 4}, {101, 2, 30}, {140, 1, 1}, {1100, 1, 0}};

	for (size_t i = 0; i < sizeof wish / sizeof wish[0]; i++)
		assert_ok(*state, make_all(*state, &wish[i]));
}

static void test_oom(void **state)
{
	struct wish wish = {3, 2, 3};

	test_every_oom(*state, make_all, &wish);
}

/* The matrix is where it should be: a cell's middle has its colour, whatever is written around it. */
static void test_confusion(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_dataset *d;
	struct phiz_eval *e;
	struct phiz_image image;
	const char *folder = getenv("PHIZ_TEST_PICTURES"); /* to look at them */

	for (int people = 5; people <= 1100; people = people < 50 ? 100 : people < 200 ? 300 : 2 * people + 500) {
		assert_ok(ctx, make_dataset(ctx, people, 4, 0, &d));
		assert_ok(ctx, make_eval(ctx, d, people, 0, &e));
		assert_ok(ctx, phiz_confusion_draw(e, &image));
		assert_true(image.width <= 1200 && image.height <= 1200 && image.channels == 3);
		if (folder) {
			char path[512];

			snprintf(path, sizeof path, "%s/confusion_%d.png", folder, people);
			assert_ok(ctx, phiz_image_write(ctx, path, &image, 90));
		}
		phiz_image_free(ctx, &image);
		phiz_eval_free(&e);
		phiz_dataset_free(ctx, &d);
	}
}

static void test_font(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_image image;
	const uint8_t black[3] = {0, 0, 0};
	size_t unknown, dark = 0;

	assert_int_equal(phiz_font_length("Zo\xC3\xAB \xC5\x81", &unknown), 5);
	assert_int_equal(unknown, 0);
	assert_int_equal(phiz_font_length("\xE5\xB1\xB1\xFF", &unknown), 2);
	assert_int_equal(unknown, 2);
	assert_ok(ctx, phiz_image_create(ctx, 12, 9, 3, &image));
	memset(image.data, 255, 12 * 9 * 3);
	phiz_font_draw(&image, 0, 1, 1, false, black, "I\xC3\x8E"); /* an accent is dropped */
	for (int y = 0; y < 9; y++)
		for (int x = 0; x < 5; x++) {
			assert_int_equal(image.data[(y * 12 + x) * 3], image.data[(y * 12 + x + 6) * 3]);
			dark += image.data[(y * 12 + x) * 3] == 0;
		}
	assert_int_equal(dark, 3 + 5 + 3);
	/* Out of the picture on every side: nothing happens. */
	phiz_font_draw(&image, -30, -30, 3, false, black, "Out");
	phiz_font_draw(&image, 300, 300, 3, true, black, "Out");
	phiz_font_draw(&image, -4, 4, 2, true, black, "Out");
	phiz_image_free(ctx, &image);
}

static int set_up(void **state)
{
	*state = test_ctx(1);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	struct phiz_ctx *ctx = *state;

	test_ctx_done(&ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_oom),
		cmocka_unit_test(test_confusion),
		cmocka_unit_test(test_font),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
