/* max_pool2d, avg_pool2d, global_avg_pool, lp_pool2d. */
#include "grad/grad.h"

static void pool_attrs(struct op_case *c, double kernel, double stride, double pad)
{
	op_case_attr(c, "kernel_h", kernel);
	op_case_attr(c, "kernel_w", kernel);
	op_case_attr(c, "stride_h", stride);
	op_case_attr(c, "stride_w", stride);
	op_case_attr(c, "pad_h", pad);
	op_case_attr(c, "pad_w", pad);
}

/* Equal elements: the first gets the gradient. A NaN wins. */
static void check_ties(void)
{
	static const double x[] = {1, 3, 3, 3, 2, 2, 2, 3, (double)NAN};
	static const int choice[] = {1, 1, 3, 8};
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	op_case_init(&c, &phiz_op_max_pool2d);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_4d(1, 1, 3, 3));
	pool_attrs(&c, 2, 1, 0);
	op_run_start(&r, ctx, &c, PHIZ_F32);
	for (int i = 0; i < 9; i++)
		op_set(&r.call.in[0], i, x[i]);
	op_run_forward(&r, &phiz_op_max_pool2d.reference_f32);
	for (int i = 0; i < 4; i++)
		assert_int_equal((int)op_get(&r.call.saved[0], i), choice[i]);
	assert_true(isnan(op_get(&r.call.out[0], 3)));
	for (int i = 0; i < 9; i++)
		op_set(&r.call.in[0], i, -(double)INFINITY);
	op_run_forward(&r, &phiz_op_max_pool2d.reference_f32);
	for (int i = 0; i < 4; i++)
		assert_int_equal((int)op_get(&r.call.saved[0], i), i / 2 * 3 + i % 2);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_max_pool2d(void **state)
{
	struct op_case c;

	(void)state;
	grad_draws(&phiz_op_max_pool2d, 14);

	/* ResNet's: 3x3, stride 2, padding 1. */
	op_case_init(&c, &phiz_op_max_pool2d);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_4d(2, 2, 5, 6));
	pool_attrs(&c, 3, 2, 1);
	grad_case(&c);
	grad_report(&phiz_op_max_pool2d);
	check_ties();
}

void grad_avg_pool2d(void **state)
{
	(void)state;
	grad_draws(&phiz_op_avg_pool2d, 16);
	grad_report(&phiz_op_avg_pool2d);
}

void grad_global_avg_pool(void **state)
{
	(void)state;
	grad_draws(&phiz_op_global_avg_pool, 6);
	grad_report(&phiz_op_global_avg_pool);
}

void grad_lp_pool2d(void **state)
{
	(void)state;
	grad_draws(&phiz_op_lp_pool2d, 16);
	grad_report(&phiz_op_lp_pool2d);
}
