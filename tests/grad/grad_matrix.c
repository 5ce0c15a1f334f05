/* conv2d, linear. */
#include "grad/grad.h"

static void conv_case(struct op_case *c, struct phiz_shape x, struct phiz_shape w)
{
	op_case_init(c, &phiz_op_conv2d);
	op_case_input(c, PHIZ_CONV2D_INPUT, PHIZ_F32, x);
	op_case_input(c, PHIZ_CONV2D_WEIGHT, PHIZ_F32, w);
	op_case_input(c, PHIZ_CONV2D_BIAS, PHIZ_F32, phiz_shape_1d(w.dim[0]));
}

void grad_conv2d(void **state)
{
	struct op_case c;
	struct phiz_ctx *ctx;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_conv2d, 14);

	/* ResNet's first layer in small: 7x7, stride 2, padding 3; the filter is wider than the input. */
	conv_case(&c, phiz_shape_4d(1, 2, 6, 5), phiz_shape_4d(2, 2, 7, 7));
	op_case_attr(&c, "stride_h", 2);
	op_case_attr(&c, "stride_w", 2);
	op_case_attr(&c, "pad_top", 3);
	op_case_attr(&c, "pad_left", 3);
	op_case_attr(&c, "pad_bottom", 3);
	op_case_attr(&c, "pad_right", 3);
	grad_case(&c);

	/* Depthwise; columns that the stride never reaches; a row of output that is padding alone. */
	conv_case(&c, phiz_shape_4d(2, 3, 4, 7), phiz_shape_4d(3, 1, 1, 2));
	op_case_attr(&c, "groups", 3);
	op_case_attr(&c, "stride_w", 4);
	op_case_attr(&c, "pad_top", 1);
	grad_case(&c);
	grad_report(&phiz_op_conv2d);

	/* Fused forms are for inference. */
	ctx = test_ctx(1);
	op_case_attr(&c, "act", PHIZ_ACT_RELU);
	op_run_start(&r, ctx, &c, PHIZ_F32);
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_op_conv2d.reference_f32.backward(&r.call));
	assert_message(ctx, "want no activation");
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_linear(void **state)
{
	(void)state;
	grad_draws(&phiz_op_linear, 14);
	grad_report(&phiz_op_linear);
}
