/* The rows of the kernel table for convolution in bf16; the file that includes this has defined its `micro`,
 * PHIZ_BF16_ROW(op), PHIZ_BF16_TEXT and PHIZ_BF16_FEATURES. */
#if !defined(PHIZ_BF16_ROW) || !defined(PHIZ_BF16_TEXT) || !defined(PHIZ_BF16_FEATURES)
#error "define PHIZ_BF16_ROW, PHIZ_BF16_TEXT and PHIZ_BF16_FEATURES"
#endif

static enum phiz_status bf16_conv2d_forward(struct phiz_call *call)
{
	return phiz_bf16_conv2d_forward(call, &micro);
}

static enum phiz_status bf16_conv2d_backward(struct phiz_call *call)
{
	return phiz_bf16_conv2d_backward(call, &micro);
}

const struct phiz_kernel PHIZ_BF16_ROW(conv2d) = {
	.op = "conv2d", .name = PHIZ_BF16_TEXT, .dtype = PHIZ_BF16, .features = PHIZ_BF16_FEATURES,
	.supports = phiz_bf16_conv2d_supports, .workspace = phiz_bf16_conv2d_workspace, .forward = bf16_conv2d_forward,
	.backward = bf16_conv2d_backward, .blocked = true, .constants = phiz_bf16_conv2d_constants,
	.prepare = phiz_bf16_conv2d_prepare,
};
