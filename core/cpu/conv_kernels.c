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

size_t phiz_linear_before_act_bytes(const struct phiz_conv *d)
{
	size_t bytes = sizeof(float) * (size_t)d->n * (size_t)d->k;
	return d->act == PHIZ_ACT_NONE ? 0 : (bytes + 63) & ~(size_t)63;
}

void phiz_linear_before_act(struct phiz_conv *d)
{
	float *before = (float *)(void *)d->workspace;
	if (d->act == PHIZ_ACT_NONE)
		return;
	for (int64_t i = 0; i < d->n * d->k; i++)
		before[i] = phiz_act_gradient(d->act, d->slope, d->out[i], d->dout[i]);
	d->dout = before;
	d->workspace += phiz_linear_before_act_bytes(d);
}

size_t phiz_linear_workspace(const struct phiz_call *call, bool backward, int threads,
                             const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	return phiz_conv_workspace(&d, backward, threads, inner) + (backward ? phiz_linear_before_act_bytes(&d) : 0);
}

enum phiz_status phiz_linear_forward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	phiz_conv_forward(&d, inner);
	return PHIZ_OK;
}

enum phiz_status phiz_linear_backward(struct phiz_call *call, const struct phiz_conv_inner *inner)
{
	struct phiz_conv d;
	phiz_conv_of_linear(call, &d);
	if (!d.dout)
		return PHIZ_OK;
	phiz_linear_before_act(&d);
	phiz_conv_backward(&d, inner);
	return PHIZ_OK;
}
