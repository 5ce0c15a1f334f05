/* What rows of the kernel table for conv2d and linear share. */
#include "core/cpu/conv.h"
#include "core/ops/kernel.h"

bool phiz_conv2d_supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	return phiz_conv_fits(&d);
}

size_t phiz_conv2d_workspace(const struct phiz_call *call, bool backward, int threads,
                             const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	return phiz_conv_workspace(&d, backward, threads, inner);
}

enum phiz_status phiz_conv2d_forward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	phiz_conv_forward(&d, inner);
	return PHIZ_OK;
}

enum phiz_status phiz_conv2d_backward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	if (d.dout)
		phiz_conv_backward(&d, inner);
	return PHIZ_OK;
}

bool phiz_linear_supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	return phiz_conv_fits(&d);
}

size_t phiz_linear_workspace(const struct phiz_call *call, int threads, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	return phiz_conv_workspace(&d, false, threads, inner);
}

enum phiz_status phiz_linear_forward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	phiz_conv_forward(&d, inner);
	return PHIZ_OK;
}
