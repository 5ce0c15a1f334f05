/* The gradient of convolution's filters, as a matrix product over pixels without im2col:
 *
 *   dw[k][c][r][s] (+)= sum over n, p, q of
 *                       dout[n][k][p][q] * in[n][c][p * stride_y + r * step_y - pad_y]
 *                                                 [q * stride_x + s * step_x - pad_x]
 *
 * dout is turned into [pixel][filter] panels, a bounded number of images at a time; for one tap (r, s) the rows of the
 * product are then channels, whose pixels are read from `in` as they lie. Sums run over n, p, q in order, whatever the
 * number of threads. */
#ifndef PHIZ_CPU_CONV_WEIGHTS_H
#define PHIZ_CPU_CONV_WEIGHTS_H

#include <phiz/op.h>

struct phiz_conv_weights {
	const float *in;
	int64_t in_image, in_plane;
	int height, width, channels; /* channels: of one group */
	const float *dout;
	int64_t dout_image, images;
	int filters; /* of one group */
	int p, q;
	int taps_y, taps_x, stride_y, stride_x, step_y, step_x, pad_y, pad_x;
	int groups;
	float *dw; /* [groups * filters][channels][taps] */
	bool add;
};

/* A stretch of pixels of one image row. */
struct phiz_stretch {
	int64_t in, dout; /* elements from the tile's in, pixels from the panel's begin */
	int64_t count;
};

/* sum[row][j] += sum over the stretches' pixels of in[row * plane + ...] * panel[pixel][j]. */
struct phiz_weight_tile {
	const float *in;
	int64_t plane, stride_x;
	const float *panel; /* pixel x (vectors * lanes) */
	float *sum;         /* row x (vectors * lanes) */
	const struct phiz_stretch *stretch;
	int stretches;
};

#define PHIZ_WEIGHT_ROWS 8

typedef void (*phiz_weight_tile_fn)(const struct phiz_weight_tile *t);

struct phiz_weights_micro {
	int lanes;
	int rows;    /* of the largest tile, <= PHIZ_WEIGHT_ROWS */
	int vectors; /* of a panel */
	/* tile[r - 1]: a tile of r rows, r <= rows; narrow: of a panel one vector wide. */
	phiz_weight_tile_fn tile[PHIZ_WEIGHT_ROWS], narrow[PHIZ_WEIGHT_ROWS];
	/* Few channels, such as an image's 3, want wider panels to keep the processor busy: up to wide_rows channels take
	 * panels of wide_vectors. 0: never. */
	int wide_rows, wide_vectors;
	phiz_weight_tile_fn wide[PHIZ_WEIGHT_ROWS];
	/* to[i][j] = from[j * plane + i] for i < pixels, j < filters; 0 for filters <= j < width. */
	void (*turn)(const float *from, int64_t plane, int64_t pixels, int filters, int width, float *to);
};

/* x86/conv_weights_*.c, arm/conv_weights_neon.c */
extern const struct phiz_weights_micro phiz_weights_avx2, phiz_weights_avx512, phiz_weights_neon;

size_t phiz_conv_weights_workspace(const struct phiz_conv_weights *w, const struct phiz_weights_micro *micro,
                                   int threads);
void phiz_conv_weights_run(struct phiz_ctx *ctx, const struct phiz_conv_weights *w,
                           const struct phiz_weights_micro *micro, void *workspace);

#endif
