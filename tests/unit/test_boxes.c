/* Overlaps and non-maximum suppression, by hand. */
#include "support/support.h"

#include "core/base/alloc.h"
#include "deploy/boxes.h"

static void add(struct phiz_ctx *ctx, struct phiz_boxes *b, float x0, float y0, float x1, float y1, float score)
{
	struct phiz_box box = {.x0 = x0, .y0 = y0, .x1 = x1, .y1 = y1, .score = score};
	assert_ok(ctx, phiz_boxes_add(ctx, b, &box));
}

static void overlaps(void **state)
{
	const struct phiz_box a = {.x1 = 10, .y1 = 10}, half = {.x0 = 5, .x1 = 15, .y1 = 10}, in = {.x1 = 5, .y1 = 4};
	const struct phiz_box beside = {.x0 = 10, .x1 = 20, .y1 = 10}, none = {.x0 = 3, .y0 = 3, .x1 = 3, .y1 = 3};
	const struct phiz_box turned = {.x0 = 10, .y1 = 10}; /* its right side is left of its left side */
	static const struct {
		int x, y;
		double whole, min;
	} want[] = {
		{0, 0, 1, 1},
		{0, 1, 50.0 / 150, 66.0 / 121},  /* 6 x 11 pixels of 11 x 11 */
		{0, 2, 20.0 / 100, 1},           /* inside of it */
		{0, 3, 0, 11.0 / 121},           /* pixels touch where lines do not */
		{0, 4, 0, 1},                    /* a point is a pixel */
		{4, 4, 0, 1},
		{2, 3, 0, 0},
	};
	const struct phiz_box *const box[] = {&a, &half, &in, &beside, &none};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		for (int swap = 0; swap < 2; swap++) {
			const struct phiz_box *x = box[swap ? want[i].y : want[i].x], *y = box[swap ? want[i].x : want[i].y];
			double u = phiz_box_overlap(x, y, PHIZ_OVERLAP_UNION);
			double m = phiz_box_overlap(x, y, PHIZ_OVERLAP_MIN_PIXELS);
			test_close_f64("union", &u, &want[i].whole, 1, 1e-7, 0);
			test_close_f64("min", &m, &want[i].min, 1, 1e-7, 0);
		}
	assert_true(phiz_box_overlap(&a, &turned, PHIZ_OVERLAP_UNION) <= 0);
}

/* Best first; equal scores in the order in which they came. */
static void order(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_boxes b = {0};

	(void)state;
	phiz_boxes_sort(&b);
	phiz_boxes_limit(&b, 3);
	phiz_boxes_suppress(&b, 0.5, PHIZ_OVERLAP_UNION);
	assert_int_equal(b.n, 0);
	for (int i = 0; i < 100; i++)
		add(ctx, &b, (float)i, 0, (float)i + 1, 1, (float)(i % 4));
	phiz_boxes_limit(&b, 30);
	assert_int_equal(b.n, 30);
	for (int i = 0; i < 25; i++)
		assert_true(b.at[i].x0 == (float)(4 * i + 3) && b.at[i].score == 3);
	for (int i = 25; i < 30; i++)
		assert_true(b.at[i].x0 == (float)(4 * (i - 25) + 2) && b.at[i].score == 2);
	phiz_boxes_free(ctx, &b);
	test_ctx_done(&ctx);
}

/* A suppresses B (0.667), B would suppress C (0.667) but is gone; A and C share 0.429. */
static void fill_chain(struct phiz_ctx *ctx, struct phiz_boxes *b)
{
	b->n = 0;
	add(ctx, b, 4, 0, 14, 10, 0.7f);   /* C */
	add(ctx, b, 2, 0, 12, 10, 0.8f);   /* B */
	add(ctx, b, 0, 0, 10, 10, 0.9f);   /* A */
	add(ctx, b, 50, 0, 60, 10, 0.95f); /* far away */
	add(ctx, b, 2, 2, 5, 5, 0.6f);     /* a small one in A: union 0.09, min 1 */
}

static void suppression(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_boxes b = {0};

	(void)state;
	fill_chain(ctx, &b);
	phiz_boxes_suppress(&b, 0.5, PHIZ_OVERLAP_UNION);
	assert_int_equal(b.n, 4);
	assert_true(b.at[0].x0 == 50 && b.at[1].x0 == 0 && b.at[2].x0 == 4 && b.at[3].x1 == 5);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(b.at[i].order, i);
	fill_chain(ctx, &b);
	phiz_boxes_suppress(&b, 0.4, PHIZ_OVERLAP_UNION); /* now A takes C too */
	assert_int_equal(b.n, 3);
	fill_chain(ctx, &b);
	phiz_boxes_suppress(&b, 0.7, PHIZ_OVERLAP_UNION); /* nothing overlaps so much */
	assert_int_equal(b.n, 5);
	fill_chain(ctx, &b);
	phiz_boxes_suppress(&b, 0.7, PHIZ_OVERLAP_MIN_PIXELS); /* 99 / 121 and 77 / 121, and what lies inside */
	assert_int_equal(b.n, 3);
	assert_true(b.at[0].x0 == 50 && b.at[1].x0 == 0 && b.at[2].x0 == 4);
	/* At the threshold itself a box stays. */
	b.n = 0;
	add(ctx, &b, 0, 0, 8, 8, 0.9f);
	add(ctx, &b, 0, 0, 4, 8, 0.8f);
	phiz_boxes_suppress(&b, 0.5, PHIZ_OVERLAP_UNION);
	assert_int_equal(b.n, 2);
	/* Twins: the first of them stays. */
	b.n = 0;
	for (int i = 0; i < 10; i++)
		add(ctx, &b, 0, 0, 8, 8, 0.5f);
	b.at[0].value[0] = 7;
	phiz_boxes_suppress(&b, 0.99, PHIZ_OVERLAP_UNION);
	assert_int_equal(b.n, 1);
	assert_true(b.at[0].value[0] == 7);
	phiz_boxes_free(ctx, &b);
	test_ctx_done(&ctx);
}

/* Numbers that a network can give and no face has. */
static void odd_numbers(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_boxes b = {0};

	(void)state;
	add(ctx, &b, -INFINITY, 0, INFINITY, 10, 0.5f);
	add(ctx, &b, NAN, NAN, NAN, NAN, 0.9f);
	add(ctx, &b, 1e30f, 1e30f, 3e38f, 3e38f, 0.1f);
	phiz_boxes_suppress(&b, 0.5, PHIZ_OVERLAP_UNION);
	assert_true(b.n >= 1 && b.n <= 4);
	phiz_boxes_free(ctx, &b);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlaps), cmocka_unit_test(order), cmocka_unit_test(suppression),
		cmocka_unit_test(odd_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
