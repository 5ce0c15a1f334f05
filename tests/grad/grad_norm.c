/* batch_norm, l2_normalize, softmax_cross_entropy. */
#include "grad/grad.h"

void grad_batch_norm(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_batch_norm, 20);
	grad_report(&phiz_op_batch_norm);

	/* One value per channel cannot be normalised by itself. */
	op_case_init(&c, &phiz_op_batch_norm);
	op_case_input(&c, PHIZ_BATCH_NORM_INPUT, PHIZ_F32, phiz_shape_4d(1, 2, 1, 1));
	op_case_input(&c, PHIZ_BATCH_NORM_MEAN, PHIZ_F32, phiz_shape_1d(2));
	op_case_input(&c, PHIZ_BATCH_NORM_VAR, PHIZ_F32, phiz_shape_1d(2));
	c.training = true;
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_run_fill(&r, 1);
	assert_fails(ctx, PHIZ_E_ARG, phiz_op_batch_norm.reference_f32.forward(&r.call));
	assert_message(ctx, "want at least 2 values per channel to train on, got 1");
	r.node.attr[PHIZ_BATCH_NORM_FROZEN].i = 1;
	op_run_forward(&r, &phiz_op_batch_norm.reference_f32);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_l2_normalize(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_l2_normalize, 12);
	grad_report(&phiz_op_l2_normalize);

	/* Nothing stays nothing, and its gradient is finite. */
	op_case_init(&c, &phiz_op_l2_normalize);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_2d(1, 3));
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_run_fill(&r, 1);
	for (int i = 0; i < 3; i++)
		op_set(&r.call.in[0], i, 0);
	op_run_forward(&r, &phiz_op_l2_normalize.reference_f32);
	op_run_backward(&r, &phiz_op_l2_normalize.reference_f32);
	for (int i = 0; i < 3; i++)
		assert_true(op_get(&r.call.out[0], i) == 0 && isfinite(op_get(&r.call.din[0], i)));
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_softmax_cross_entropy(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	const struct phiz_kernel *kernel = &phiz_op_softmax_cross_entropy.reference_f32;
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_softmax_cross_entropy, 24);
	grad_report(&phiz_op_softmax_cross_entropy);

	op_case_init(&c, &phiz_op_softmax_cross_entropy);
	op_case_input(&c, PHIZ_CE_LOGITS, PHIZ_F32, phiz_shape_2d(2, 3));
	op_case_input(&c, PHIZ_CE_LABELS, PHIZ_I32, phiz_shape_1d(2));
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_run_fill(&r, 1);
	op_set(&r.call.in[PHIZ_CE_LABELS], 0, 2);
	op_set(&r.call.in[PHIZ_CE_LABELS], 1, 3);
	assert_fails(ctx, PHIZ_E_ARG, kernel->forward(&r.call));
	assert_message(ctx, "sample 1: want a label from 0 to 2 (or -1), got 3");
	op_set(&r.call.in[PHIZ_CE_LABELS], 1, -2);
	assert_fails(ctx, PHIZ_E_ARG, kernel->forward(&r.call));

	/* No sample counts: NaN, with gradients of 0. */
	op_set(&r.call.in[PHIZ_CE_LABELS], 0, -1);
	op_set(&r.call.in[PHIZ_CE_LABELS], 1, -1);
	op_run_forward(&r, kernel);
	op_run_backward(&r, kernel);
	assert_true(isnan(op_get(&r.call.out[0], 0)));
	for (int i = 0; i < 6; i++)
		assert_true(op_get(&r.call.din[0], i) == 0);

	/* Logits far apart: the loss is their distance, not infinity. */
	for (int i = 0; i < 6; i++)
		op_set(&r.call.in[0], i, i % 3 ? 0 : 1e30);
	op_set(&r.call.in[PHIZ_CE_LABELS], 0, 1);
	op_run_forward(&r, kernel);
	assert_true(fabs(op_get(&r.call.out[0], 0) / 1e30 - 1) < 1e-6);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_local_response_norm(void **state)
{
	(void)state;
	grad_draws(&phiz_op_local_response_norm, 10);
	grad_report(&phiz_op_local_response_norm);
}
