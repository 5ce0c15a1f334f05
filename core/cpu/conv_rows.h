/* The rows of conv2d and linear for the instruction set of the file that includes this, which has defined its `inner`,
 * PHIZ_CONV_SUFFIX(op), PHIZ_CONV_TEXT and PHIZ_CONV_FEATURES. */

static size_t conv2d_workspace(const struct phiz_call *call, bool backward, int threads)
{
	return phiz_conv2d_workspace(call, backward, threads, &inner);
}

static enum phiz_status conv2d_forward(struct phiz_call *call)
{
	return phiz_conv2d_forward(call, &inner);
}

static enum phiz_status conv2d_backward(struct phiz_call *call)
{
	return phiz_conv2d_backward(call, &inner);
}

const struct phiz_kernel PHIZ_CONV_SUFFIX(conv2d) = {
	.op = "conv2d", .name = PHIZ_CONV_TEXT, .dtype = PHIZ_F32, .features = PHIZ_CONV_FEATURES,
	.supports = phiz_conv2d_supports, .workspace = conv2d_workspace, .forward = conv2d_forward,
	.backward = conv2d_backward,
};

static size_t linear_workspace(const struct phiz_call *call, bool backward, int threads)
{
	return backward ? 0 : phiz_linear_workspace(call, threads, &inner);
}

static enum phiz_status linear_forward(struct phiz_call *call)
{
	return phiz_linear_forward(call, &inner);
}

/* Gradients are left to OpenBLAS, which is 4 to 20 times as fast where an image is one pixel. */
const struct phiz_kernel PHIZ_CONV_SUFFIX(linear) = {
	.op = "linear", .name = PHIZ_CONV_TEXT, .dtype = PHIZ_F32, .features = PHIZ_CONV_FEATURES,
	.supports = phiz_linear_supports, .workspace = linear_workspace, .forward = linear_forward,
};
