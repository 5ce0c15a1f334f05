/* Convolution on top of the tap products (conv_taps.h, conv_weights.h); each instruction set makes its rows of the
 * kernel table from these with its inner loops. A linear layer is the convolution of images of one pixel. */
#ifndef PHIZ_CPU_CONV_H
#define PHIZ_CPU_CONV_H

#include "core/cpu/conv_taps.h"
#include "core/cpu/conv_weights.h"

struct phiz_conv_inner {
	const struct phiz_conv_micro *taps;
	const struct phiz_weights_micro *weights;
};

/* A call's numbers and tensors. Pointers may be NULL as in struct phiz_call. */
struct phiz_conv {
	struct phiz_ctx *ctx;
	int64_t n;
	int c, h, w;       /* input */
	int k, r, s, p, q; /* filters, taps, output */
	int groups, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w; /* padding above and to the left */
	int act;
	float slope;
	const float *in, *weight, *bias, *residual, *dout;
	float *out, *din, *dweight, *dbias;
	bool add_din, add_dweight, add_dbias;
	char *workspace;
};

void phiz_conv_of_conv2d(const struct phiz_call *call, struct phiz_conv *out);
void phiz_conv_of_linear(const struct phiz_call *call, struct phiz_conv *out);

/* The gradient of the input, for the input rows (or columns) first, first + stride, ...: which taps reach them, and
 * from where. p = (h + pad - r * dilation) / stride must be whole. */
struct phiz_residue {
	int pixels;              /* rows of this class */
	int taps, tap, tap_step; /* r = tap + i * tap_step */
	int from, from_step;     /* p = h' + from + i * from_step for the h'-th row of the class */
};
struct phiz_residue phiz_conv_residue(int first, int size, int filter, int stride, int pad, int dilation);

/* False where an index would leave 31 bits. */
bool phiz_conv_fits(const struct phiz_conv *d);
/* May and should x86/conv_direct.h compute it, if it has no residual: few filters over wide rows. */
bool phiz_conv_rows_are_wide(const struct phiz_conv *d);
size_t phiz_conv_workspace(const struct phiz_conv *d, bool backward, int threads, const struct phiz_conv_inner *inner);
void phiz_conv_forward(const struct phiz_conv *d, const struct phiz_conv_inner *inner);
/* din, dweight and dbias, as far as they are wanted. */
void phiz_conv_backward(const struct phiz_conv *d, const struct phiz_conv_inner *inner);

/* dbias[k] (+)= sum over n, p, q of dout[n][k][p][q]. */
void phiz_conv_backward_bias(const struct phiz_conv *d);

/* The same for calls of the two operators: what a row of the kernel table needs. */
bool phiz_conv2d_supports(const struct phiz_call *call);
size_t phiz_conv2d_workspace(const struct phiz_call *call, bool backward, int threads,
                             const struct phiz_conv_inner *inner);
enum phiz_status phiz_conv2d_forward(struct phiz_call *call, const struct phiz_conv_inner *inner);
enum phiz_status phiz_conv2d_backward(struct phiz_call *call, const struct phiz_conv_inner *inner);
bool phiz_linear_supports(const struct phiz_call *call);
size_t phiz_linear_workspace(const struct phiz_call *call, int threads, const struct phiz_conv_inner *inner);
enum phiz_status phiz_linear_forward(struct phiz_call *call, const struct phiz_conv_inner *inner);

#endif
