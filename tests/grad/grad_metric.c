/* margin_linear, triplet_loss, center_loss, distill_loss. */
#include "grad/grad.h"

#include <math.h>

/* Two samples of three numbers, two classes. */
static void margin_case(struct op_case *c, double angle, bool training)
{
	op_case_init(c, &phiz_op_margin_linear);
	op_case_input(c, PHIZ_MARGIN_INPUT, PHIZ_F32, phiz_shape_2d(2, 3));
	op_case_input(c, PHIZ_MARGIN_WEIGHT, PHIZ_F32, phiz_shape_2d(2, 3));
	op_case_input(c, PHIZ_MARGIN_LABELS, PHIZ_I32, phiz_shape_1d(2));
	op_case_attr(c, "scale", 10);
	op_case_attr(c, "angle", angle);
	c->training = training;
}

static void set_row(const struct phiz_tensor *t, int row, double x, double y, double z)
{
	op_set(t, 3 * row, x);
	op_set(t, 3 * row + 1, y);
	op_set(t, 3 * row + 2, z);
}

/* The logits of angles that are known. */
static void known_angles(struct phiz_ctx *ctx, bool training)
{
	const struct phiz_kernel *kernel = &phiz_op_margin_linear.reference_f64;
	double want[4] = {0.6, 0, -1, 0}; /* cosines */
	struct op_case c;
	struct op_run r;

	margin_case(&c, 0.5, training);
	op_run_start(&r, ctx, &c, PHIZ_F64);
	op_run_fill(&r, 1);
	set_row(&r.call.in[PHIZ_MARGIN_INPUT], 0, 6, 8, 0); /* its own class at 0.6 */
	set_row(&r.call.in[PHIZ_MARGIN_INPUT], 1, -2, 0, 0); /* opposite of its class: the angle would pass pi */
	set_row(&r.call.in[PHIZ_MARGIN_WEIGHT], 0, 0.25, 0, 0);
	set_row(&r.call.in[PHIZ_MARGIN_WEIGHT], 1, 0, 0, 5);
	op_set(&r.call.in[PHIZ_MARGIN_LABELS], 0, 0);
	op_set(&r.call.in[PHIZ_MARGIN_LABELS], 1, 0);
	op_run_forward(&r, kernel);
	if (training) {
		want[0] = cos(acos(0.6) + 0.5);
		want[2] = -1 - 0.5 * sin(acos(-1.0) - 0.5);
	}
	for (int i = 0; i < 4; i++)
		assert_true(fabs(op_get(&r.call.out[0], i) - 10 * want[i]) < 1e-12);
	op_run_done(&r);
}

void grad_margin_linear(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_kernel *kernel = &phiz_op_margin_linear.reference_f32;
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_margin_linear, 20);
	grad_report(&phiz_op_margin_linear);
	known_angles(ctx, true);
	known_angles(ctx, false);

	margin_case(&c, 0.5, true);
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_run_fill(&r, 1);
	op_set(&r.call.in[PHIZ_MARGIN_LABELS], 1, 2);
	assert_fails(ctx, PHIZ_E_ARG, kernel->forward(&r.call));
	assert_message(ctx, "sample 1: want a label from 0 to 1 (or -1), got 2");

	/* An embedding on its class's own ray, and one of nothing: finite gradients. */
	set_row(&r.call.in[PHIZ_MARGIN_INPUT], 0, 1, 2, 2);
	set_row(&r.call.in[PHIZ_MARGIN_WEIGHT], 0, 1, 2, 2);
	set_row(&r.call.in[PHIZ_MARGIN_INPUT], 1, 0, 0, 0);
	op_set(&r.call.in[PHIZ_MARGIN_LABELS], 0, 0);
	op_set(&r.call.in[PHIZ_MARGIN_LABELS], 1, 1);
	op_run_forward(&r, kernel);
	op_run_backward(&r, kernel);
	for (int i = 0; i < 6; i++)
		assert_true(isfinite(op_get(&r.call.din[0], i)) && isfinite(op_get(&r.call.din[1], i)));
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_distill_loss(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_kernel *kernel = &phiz_op_distill_loss.reference_f64;
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_distill_loss, 16);
	grad_report(&phiz_op_distill_loss);

	/* A student who is the teacher on another scale has nothing to learn. */
	op_case_init(&c, &phiz_op_distill_loss);
	op_case_input(&c, PHIZ_DISTILL_STUDENT, PHIZ_F32, phiz_shape_2d(3, 4));
	op_case_input(&c, PHIZ_DISTILL_TEACHER, PHIZ_F32, phiz_shape_2d(3, 4));
	op_case_attr(&c, "similarity", 2);
	op_run_start(&r, ctx, &c, PHIZ_F64);
	op_run_fill(&r, 1);
	for (int i = 0; i < 12; i++)
		op_set(&r.call.in[PHIZ_DISTILL_STUDENT], i, 3 * op_get(&r.call.in[PHIZ_DISTILL_TEACHER], i));
	op_run_forward(&r, kernel);
	op_run_backward(&r, kernel);
	assert_true(fabs(op_get(&r.call.out[0], 0)) < 1e-12);
	for (int i = 0; i < 12; i++)
		assert_true(fabs(op_get(&r.call.din[PHIZ_DISTILL_STUDENT], i)) < 1e-12);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_triplet_loss(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_kernel *kernel = &phiz_op_triplet_loss.reference_f64;
	/* Squared distances on the unit sphere: own 0.8 (cosine 0.6), other 2 (cosine 0). */
	static const double rows[4][3] = {{5, 0, 0}, {0.6, 0.8, 0}, {0, 0, 3}, {0, 0, 1}};
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_triplet_loss, 24);
	grad_report(&phiz_op_triplet_loss);

	op_case_init(&c, &phiz_op_triplet_loss);
	op_case_input(&c, PHIZ_TRIPLET_INPUT, PHIZ_F32, phiz_shape_2d(4, 3));
	op_case_input(&c, PHIZ_TRIPLET_LABELS, PHIZ_I32, phiz_shape_1d(4));
	op_case_attr(&c, "margin", 2);
	op_case_attr(&c, "mining", PHIZ_MINE_HARD);
	op_run_start(&r, ctx, &c, PHIZ_F64);
	op_run_fill(&r, 1);
	for (int i = 0; i < 4; i++) {
		set_row(&r.call.in[PHIZ_TRIPLET_INPUT], i, rows[i][0], rows[i][1], rows[i][2]);
		op_set(&r.call.in[PHIZ_TRIPLET_LABELS], i, i / 2);
	}
	op_run_forward(&r, kernel); /* anchors 0 and 1: 0.8 - 2 + 2; 2 and 3: 0 - 2 + 2 */
	assert_true(fabs(op_get(&r.call.out[0], 0) - 0.4) < 1e-12);
	for (int i = 0; i < 4; i++)
		op_set(&r.call.in[PHIZ_TRIPLET_LABELS], i, i ? -1 : 0);
	op_run_forward(&r, kernel);
	op_run_backward(&r, kernel);
	assert_true(op_get(&r.call.out[0], 0) == 0);
	for (int i = 0; i < 12; i++)
		assert_true(op_get(&r.call.din[PHIZ_TRIPLET_INPUT], i) == 0);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_center_loss(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_kernel *kernel = &phiz_op_center_loss.reference_f64;
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_center_loss, 16);
	grad_report(&phiz_op_center_loss);

	op_case_init(&c, &phiz_op_center_loss);
	op_case_input(&c, PHIZ_CENTER_INPUT, PHIZ_F32, phiz_shape_2d(2, 1));
	op_case_input(&c, PHIZ_CENTER_LABELS, PHIZ_I32, phiz_shape_1d(2));
	op_case_input(&c, PHIZ_CENTER_CENTERS, PHIZ_F32, phiz_shape_2d(2, 1));
	op_case_attr(&c, "rate", 0.5);
	c.training = true;
	op_run_start(&r, ctx, &c, PHIZ_F64);
	op_run_fill(&r, 1);
	for (int i = 0; i < 2; i++) {
		op_set(&r.call.in[PHIZ_CENTER_INPUT], i, 3 + i);
		op_set(&r.call.in[PHIZ_CENTER_LABELS], i, 1);
		op_set(&r.call.in[PHIZ_CENTER_CENTERS], i, 1);
	}
	op_run_forward(&r, kernel); /* (2^2 + 3^2) / 4; the centre moves by half of 5 / 3 */
	assert_true(fabs(op_get(&r.call.out[0], 0) - 3.25) < 1e-12);
	assert_true(op_get(&r.call.in[PHIZ_CENTER_CENTERS], 0) == 1);
	assert_true(fabs(op_get(&r.call.in[PHIZ_CENTER_CENTERS], 1) - (1 + 2.5 / 3)) < 1e-12);
	op_set(&r.call.in[PHIZ_CENTER_LABELS], 0, 2);
	assert_fails(ctx, PHIZ_E_ARG, kernel->forward(&r.call));
	assert_message(ctx, "want a label from 0 to 1 (or -1), got 2");
	op_run_done(&r);
	test_ctx_done(&ctx);
}
