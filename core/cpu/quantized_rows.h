/* The rows of the kernel table for quantised convolution and linear layers; the file that includes this has defined its
 * `micro`, PHIZ_QUANTIZED_ROW(op), PHIZ_QUANTIZED_TEXT and PHIZ_QUANTIZED_FEATURES. */
#if !defined(PHIZ_QUANTIZED_ROW) || !defined(PHIZ_QUANTIZED_TEXT) || !defined(PHIZ_QUANTIZED_FEATURES)
#error "define PHIZ_QUANTIZED_ROW, PHIZ_QUANTIZED_TEXT and PHIZ_QUANTIZED_FEATURES"
#endif

static size_t workspace(const struct phiz_call *call, bool backward, int threads)
{
	(void)backward;
	return phiz_quantized_workspace(call, threads, &micro);
}

static size_t constants(const struct phiz_call *call)
{
	return phiz_quantized_constants(call, &micro);
}

static void prepare(const struct phiz_call *call, void *memory)
{
	phiz_quantized_prepare(call, memory, &micro);
}

static enum phiz_status forward(struct phiz_call *call)
{
	return phiz_quantized_forward(call, &micro);
}

const struct phiz_kernel PHIZ_QUANTIZED_ROW(quantized_conv2d) = {
	.op = "quantized_conv2d", .name = PHIZ_QUANTIZED_TEXT, .dtype = PHIZ_U8, .features = PHIZ_QUANTIZED_FEATURES,
	.supports = phiz_quantized_conv2d_supports, .workspace = workspace, .forward = forward, .blocked = true,
	.constants = constants, .prepare = prepare,
};

const struct phiz_kernel PHIZ_QUANTIZED_ROW(quantized_linear) = {
	.op = "quantized_linear", .name = PHIZ_QUANTIZED_TEXT, .dtype = PHIZ_U8, .features = PHIZ_QUANTIZED_FEATURES,
	.workspace = workspace, .forward = forward, .constants = constants, .prepare = prepare,
};
