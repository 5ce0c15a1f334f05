/* The rows of the kernel table on the tiles of blocked convolution; the file that includes this has defined its
 * `micro`, PHIZ_BLOCKED_ROW(op), PHIZ_BLOCKED_TEXT and PHIZ_BLOCKED_FEATURES. */
#if !defined(PHIZ_BLOCKED_ROW) || !defined(PHIZ_BLOCKED_TEXT) || !defined(PHIZ_BLOCKED_FEATURES)
#error "define PHIZ_BLOCKED_ROW, PHIZ_BLOCKED_TEXT and PHIZ_BLOCKED_FEATURES"
#endif

static size_t conv2d_workspace(const struct phiz_call *call, bool backward, int threads)
{
	return phiz_blocked_conv2d_workspace(call, backward, threads, &micro);
}

static size_t conv2d_constants(const struct phiz_call *call)
{
	return phiz_blocked_conv2d_constants(call, &micro);
}

static void conv2d_prepare(const struct phiz_call *call, void *constants)
{
	phiz_blocked_conv2d_prepare(call, constants, &micro);
}

static enum phiz_status conv2d_forward(struct phiz_call *call)
{
	return phiz_blocked_conv2d_forward(call, &micro);
}

static enum phiz_status conv2d_backward(struct phiz_call *call)
{
	return phiz_blocked_conv2d_backward(call, &micro);
}

const struct phiz_kernel PHIZ_BLOCKED_ROW(blocked_conv2d) = {
	.op = "conv2d", .name = PHIZ_BLOCKED_TEXT, .dtype = PHIZ_F32, .features = PHIZ_BLOCKED_FEATURES,
	.supports = phiz_blocked_conv2d_supports, .workspace = conv2d_workspace, .forward = conv2d_forward,
	.backward = conv2d_backward, .blocked = true, .constants = conv2d_constants, .prepare = conv2d_prepare,
};

static size_t linear_workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	return phiz_blocked_linear_workspace(call, threads, &micro);
}

static enum phiz_status linear_forward(struct phiz_call *call)
{
	return phiz_blocked_linear_forward(call, &micro);
}

const struct phiz_kernel PHIZ_BLOCKED_ROW(blocked_linear) = {
	.op = "linear", .name = PHIZ_BLOCKED_TEXT, .dtype = PHIZ_F32, .features = PHIZ_BLOCKED_FEATURES,
	.supports = phiz_blocked_linear_supports, .workspace = linear_workspace, .forward = linear_forward,
	.constants = phiz_blocked_linear_constants, .prepare = phiz_blocked_linear_prepare,
};
