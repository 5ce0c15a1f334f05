/* conv2d on top of the tap products (conv_taps.h, conv_weights.h); each instruction set makes its row of the kernel table
 * from these with its inner loops. */
#ifndef PHIZ_CPU_CONV2D_H
#define PHIZ_CPU_CONV2D_H

#include "core/cpu/conv_taps.h"
#include "core/cpu/conv_weights.h"

struct phiz_conv_inner {
	const struct phiz_conv_micro *taps;
	const struct phiz_weights_micro *weights;
};

/* The call's numbers. */
struct phiz_conv_shape {
	int64_t n;
	int c, h, w;       /* input */
	int k, r, s, p, q; /* filters, taps, output */
	int groups, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w; /* padding above and to the left */
	int act;
	float slope;
};

void phiz_conv_shape_get(const struct phiz_call *call, struct phiz_conv_shape *out);

bool phiz_conv2d_supports(const struct phiz_call *call);
size_t phiz_conv2d_workspace(const struct phiz_call *call, bool backward, int threads,
                             const struct phiz_conv_inner *inner);
enum phiz_status phiz_conv2d_forward(struct phiz_call *call, const struct phiz_conv_inner *inner);
/* dx, dw and db, as far as call->din asks for them. */
enum phiz_status phiz_conv2d_backward(struct phiz_call *call, const struct phiz_conv_inner *inner);

/* db[k] (+)= sum over n, p, q of dout[n][k][p][q]. */
void phiz_conv2d_backward_bias(struct phiz_call *call);

#endif
