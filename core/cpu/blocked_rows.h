/* The rows of the kernel table on the tiles of blocked convolution; the file that includes this has defined its
 * `micro`, PHIZ_BLOCKED_ROW(op), PHIZ_BLOCKED_TEXT and PHIZ_BLOCKED_FEATURES. */
#if !defined(PHIZ_BLOCKED_ROW) || !defined(PHIZ_BLOCKED_TEXT) || !defined(PHIZ_BLOCKED_FEATURES)
#error "define PHIZ_BLOCKED_ROW, PHIZ_BLOCKED_TEXT and PHIZ_BLOCKED_FEATURES"
#endif

/* WAY: of enum phiz_blocked_way; text: the row's name without its instruction set. */
#define PHIZ_BLOCKED_CONV2D(way, WAY, text, with_backward)                                                   \
	static bool way##_supports(const struct phiz_call *call)                                                 \
	{                                                                                                        \
		return phiz_blocked_conv2d_supports(call, WAY);                                                      \
	}                                                                                                        \
	static size_t way##_workspace(const struct phiz_call *call, bool backward, int threads)                  \
	{                                                                                                        \
		return backward ? phiz_blocked_conv2d_backward_workspace(call, threads, &micro)                      \
		                : phiz_blocked_conv2d_workspace(call, WAY, threads, &micro);                         \
	}                                                                                                        \
	static size_t way##_constants(const struct phiz_call *call)                                              \
	{                                                                                                        \
		return phiz_blocked_conv2d_constants(call, WAY, &micro);                                             \
	}                                                                                                        \
	static void way##_prepare(const struct phiz_call *call, void *constants)                                 \
	{                                                                                                        \
		phiz_blocked_conv2d_prepare(call, constants, WAY, &micro);                                           \
	}                                                                                                        \
	static enum phiz_status way##_forward(struct phiz_call *call)                                            \
	{                                                                                                        \
		return phiz_blocked_conv2d_forward(call, WAY, &micro);                                               \
	}                                                                                                        \
	const struct phiz_kernel PHIZ_BLOCKED_ROW(way) = {                                                       \
		.op = "conv2d", .name = text "." PHIZ_BLOCKED_TEXT, .dtype = PHIZ_F32,                               \
		.features = PHIZ_BLOCKED_FEATURES, .supports = way##_supports, .workspace = way##_workspace,         \
		.forward = way##_forward, .backward = with_backward, .blocked = true, .constants = way##_constants,  \
		.prepare = way##_prepare,                                                                            \
	};

static enum phiz_status conv2d_backward(struct phiz_call *call)
{
	return phiz_blocked_conv2d_backward(call, &micro);
}

PHIZ_BLOCKED_CONV2D(blocked_conv2d, PHIZ_BLOCKED_ANY, "direct", conv2d_backward)
PHIZ_BLOCKED_CONV2D(blocked_sum, PHIZ_BLOCKED_SUM, "sum", NULL)
PHIZ_BLOCKED_CONV2D(blocked_winograd2, PHIZ_BLOCKED_WINOGRAD2, "winograd2", NULL)
PHIZ_BLOCKED_CONV2D(blocked_winograd4, PHIZ_BLOCKED_WINOGRAD4, "winograd4", NULL)
#undef PHIZ_BLOCKED_CONV2D

/* Pictures of bf16. */
const struct phiz_kernel PHIZ_BLOCKED_ROW(winograd_bf16_conv2d) = {
	.op = "conv2d", .name = "winograd.bf16." PHIZ_BLOCKED_TEXT, .dtype = PHIZ_BF16,
	.features = PHIZ_BLOCKED_FEATURES, .supports = phiz_blocked_bf16_supports, .workspace = blocked_conv2d_workspace,
	.forward = blocked_conv2d_forward, .backward = conv2d_backward, .blocked = true,
	.constants = blocked_conv2d_constants, .prepare = blocked_conv2d_prepare,
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
	.op = "linear", .name = "direct." PHIZ_BLOCKED_TEXT, .dtype = PHIZ_F32, .features = PHIZ_BLOCKED_FEATURES,
	.supports = phiz_blocked_linear_supports, .workspace = linear_workspace, .forward = linear_forward,
	.constants = phiz_blocked_linear_constants, .prepare = phiz_blocked_linear_prepare,
};
