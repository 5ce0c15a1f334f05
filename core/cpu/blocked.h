/* Convolution of blocked tensors (tensor.h) as sums over taps, with nothing copied: a tile is a few output pixels times
 * 16 filters, kept in registers; under each tap, 16 channels of each pixel stand side by side in memory and are
 * multiplied one after the other into the vector of filters that they meet.
 *
 *   out[n][m][p][q] (+)= sum over b < blocks, i < taps_y, j < taps_x, d < depth of
 *       w[m / 16][b][i * taps_x + j][d][m % 16] *
 *       in[n][b][p * stride_y + first_y + i * step_y][q * stride_x + first_x + j * step_x][d]
 *
 * where a pixel outside of the image counts 0. Sums run in float over a few blocks, in this order, and these sums are
 * then added up: the same for any number of threads, and closer than one long sum. */
#ifndef PHIZ_CPU_BLOCKED_H
#define PHIZ_CPU_BLOCKED_H

#include <phiz/op.h>

/* Sizes and strides are in elements of the pictures, which are float; or bf16 in blocks of 32 channels, of which b and
 * m count halves: then in_block and out_block lead from one such block to the next. Only Winograd's sums know bf16. */
struct phiz_blocked_sum {
	bool bf16;
	const void *in;
	int64_t in_image, in_block, in_row, in_col;
	int height, width, blocks, depth;
	int taps_y, taps_x, first_y, first_x, step_y, step_x, stride_y, stride_x;
	const float *w;
	int filters; /* blocks of 16 */
	void *out;
	int64_t images, out_image, out_block, out_row, out_col;
	int p, q;
	bool add; /* to what stands there */
	/* What is done to each sum at last: bias[m] and the element of `residual` at the same place are added, then act. */
	const float *bias;
	const void *residual;
	int act; /* enum phiz_act */
	float slope;
};

/* Gradients of the filters of the same sum:
 *   dw[k / 16][b][t][d][k % 16] = sum over n, p, q of dout[n][k][p][q] * in[n][b][under tap t][d] */
struct phiz_blocked_weights {
	bool bf16;
	const void *in;
	int64_t in_image, in_block, in_row, in_col;
	int height, width, blocks, depth;
	int taps_y, taps_x, first_y, first_x, step_y, step_x, stride_y, stride_x;
	const void *dout;
	int64_t images, dout_image, dout_block; /* rows of q pixels of a block */
	int p, q, filters;                      /* filters: blocks of 16 */
	float *dw;
};

/* --- One instruction set's inner loops (blocked_tiles.h). --- */

#define PHIZ_BLOCKED_PIXELS 12 /* of a tile, at most */

/* How a tile's pixels lie under a tap: anyhow, some of them perhaps outside of the image; `step` apart, all inside; all
 * outside. */
enum phiz_tap { PHIZ_TAP_ANY, PHIZ_TAP_RUN, PHIZ_TAP_NONE };

/* Sums of a tile: some pixels times one or two blocks of filters. */
struct phiz_blocked_tile {
	const float *in, *zeros; /* zeros: `depth` of them */
	int64_t in_block;
	int blocks, taps, depth;
	const int32_t *offset; /* [tap][pixel], `pixels` of the instruction set a row: from in; -1: outside */
	const uint8_t *kind;   /* [tap]: enum phiz_tap */
	int64_t step;
	const float *w;
	int64_t w_filters; /* to the next block of filters */
	int64_t ahead;     /* from a filter to one that the next tiles read: it is fetched into the cache; 0: none */
	float *out;
	int64_t out_filters;
	const int32_t *to;     /* [pixel], from out */
	bool add;              /* to what stands there */
	bool finish;           /* bias, residual and act are due */
	const float *bias;     /* of the tile's filters, or NULL */
	const float *residual; /* lies as out does, or NULL */
	int act;
	float slope;
};

/* sum[d][16] += sum over images, rows, pixels of in[d] * dout[16] */
struct phiz_blocked_outer {
	const float *in, *dout;
	int64_t images, rows, cols;
	int64_t in_image, in_row, in_col, dout_image, dout_row;
	float *sum;
};

/* out[f][p][16] (+)= sum over b, d of v[b][p][d] * w[f][b][d][16]: a few pixels, 64 bytes apart, times one or two
 * blocks of filters. */
struct phiz_blocked_product {
	const float *v;
	int64_t v_block; /* from block to block of the depth, which are 16 deep */
	int blocks;
	const float *w;
	int64_t w_filters; /* to the next block of filters */
	float *out;
	int64_t out_filters;
	bool add; /* to what stands there */
	/* What is fetched into the cache meanwhile: for each of the depth, the line at next + f * next_filters, which then
	 * moves on by next_step. */
	const float *next;
	int64_t next_filters, next_step;
};

/* The place of block b of 16 channels, in elements from where a picture's blocks begin. */
static inline int64_t phiz_blocked_at(bool bf16, int b, int64_t block)
{
	return bf16 ? b / 2 * block + b % 2 * PHIZ_BLOCK : b * block;
}

/* The element `at` of a picture of float or bf16. */
static inline void *phiz_blocked_element(bool bf16, const void *picture, int64_t at)
{
	return (char *)(uintptr_t)picture + at * (bf16 ? 2 : 4);
}

/* Winograd's transforms of one tile (winograd.h), 16 channels at a time. Pictures are of float, pixels 16 elements
 * apart, or of bf16 and 32 apart; sizes and strides of theirs are in elements. */
struct phiz_winograd_in {
	const void *in;        /* the picture's first pixel */
	int64_t in_row;
	int height, width, y, x; /* of the picture; of the tile's first pixel, which may lie outside */
	float *v;              /* plane i goes to v + i * step */
	int64_t step;
};
struct phiz_winograd_out {
	const float *sum; /* plane i is at sum + i * step */
	int64_t step;
	void *out; /* of the tile's first pixel */
	int64_t out_row;
	int rows, cols; /* that are written */
	bool add;       /* to what stands there */
	const float *bias;
	const void *residual; /* lies as out does, or NULL */
	int act;
	float slope;
};

/* m = A dY A^T of F(4x4, 3x3), for the gradient of the filters. */
struct phiz_winograd_dout {
	const void *dout; /* of the tile's first pixel */
	int64_t row;
	int rows, cols; /* that are there; the others count 0 */
	float *m;       /* plane i goes to m + i * step */
	int64_t step;
};

typedef void (*phiz_blocked_tile_fn)(const struct phiz_blocked_tile *t);
typedef void (*phiz_blocked_product_fn)(const struct phiz_blocked_product *t);
typedef void (*phiz_blocked_outer_fn)(const struct phiz_blocked_outer *t);

struct phiz_blocked_micro {
	int pixels; /* of a full tile */
	bool pairs; /* are there tiles of two blocks of filters? */
	/* [pixels - 1], for a depth of 16 and for any */
	phiz_blocked_tile_fn tile[PHIZ_BLOCKED_PIXELS], any[PHIZ_BLOCKED_PIXELS];
	phiz_blocked_tile_fn pair[PHIZ_BLOCKED_PIXELS], any_pair[PHIZ_BLOCKED_PIXELS];
	phiz_blocked_product_fn product[PHIZ_BLOCKED_PIXELS], product_pair[PHIZ_BLOCKED_PIXELS];
	int rows; /* of the depth that `outer` takes at a time, at most */
	phiz_blocked_outer_fn outer[16]; /* [rows - 1] */
	/* [pictures of bf16][0 for F(2x2, 3x3), 1 for F(4x4, 3x3)] */
	void (*winograd_in[2][2])(const struct phiz_winograd_in *t);
	void (*winograd_out[2][2])(const struct phiz_winograd_out *t);
	void (*winograd_dout[2])(const struct phiz_winograd_dout *t); /* [pictures of bf16] */
	/* plane[i * step + d * 16 + 0..15] = (G g G^T)[i] of 16 filters side by side, for 16 channels d: g[tap][d][16]. [0]
	 * for F(2x2, 3x3), [1] for F(4x4, 3x3). */
	void (*winograd_filters[2])(const float *g, float *plane, int64_t step);
	/* dg[t * 256 + 0..15] = (G^T sum G)[t] of F(4x4, 3x3), plane i of 16 sums at sum + i * step. */
	void (*winograd_dfilters)(const float *sum, int64_t step, float *dg);
};

/* Bytes of scratch for so many threads, for any number of images. */
size_t phiz_blocked_sum_workspace(const struct phiz_blocked_sum *s, const struct phiz_blocked_micro *micro,
                                  int threads);
void phiz_blocked_sum_run(struct phiz_ctx *ctx, const struct phiz_blocked_sum *s,
                          const struct phiz_blocked_micro *micro, void *workspace);
void phiz_blocked_weights_run(struct phiz_ctx *ctx, const struct phiz_blocked_weights *w,
                              const struct phiz_blocked_micro *micro);
/* False where an offset would leave 31 bits. */
bool phiz_blocked_sum_fits(const struct phiz_blocked_sum *s);

/* --- conv2d. What a row of the kernel table is made of. --- */

/* How the sums of a forward pass are found: the way that should be fastest, or always the one. The latter are for calls
 * that leave a choice. */
enum phiz_blocked_way { PHIZ_BLOCKED_ANY, PHIZ_BLOCKED_SUM, PHIZ_BLOCKED_WINOGRAD2, PHIZ_BLOCKED_WINOGRAD4 };

bool phiz_blocked_conv2d_supports(const struct phiz_call *call, enum phiz_blocked_way way);
size_t phiz_blocked_conv2d_workspace(const struct phiz_call *call, enum phiz_blocked_way way, int threads,
                                     const struct phiz_blocked_micro *micro);
size_t phiz_blocked_conv2d_backward_workspace(const struct phiz_call *call, int threads,
                                              const struct phiz_blocked_micro *micro);
size_t phiz_blocked_conv2d_constants(const struct phiz_call *call, enum phiz_blocked_way way,
                                     const struct phiz_blocked_micro *micro);
void phiz_blocked_conv2d_prepare(const struct phiz_call *call, void *constants, enum phiz_blocked_way way,
                                 const struct phiz_blocked_micro *micro);
enum phiz_status phiz_blocked_conv2d_forward(struct phiz_call *call, enum phiz_blocked_way way,
                                             const struct phiz_blocked_micro *micro);
enum phiz_status phiz_blocked_conv2d_backward(struct phiz_call *call, const struct phiz_blocked_micro *micro);

/* For the row of pictures of bf16: Winograd's sums of float products, whose rounding is far below that of bf16. */
bool phiz_blocked_bf16_supports(const struct phiz_call *call);

/* --- linear, the same (blocked_linear.c): inference, inputs in whole blocks. --- */

bool phiz_blocked_linear_supports(const struct phiz_call *call);
size_t phiz_blocked_linear_workspace(const struct phiz_call *call, int threads, const struct phiz_blocked_micro *micro);
size_t phiz_blocked_linear_constants(const struct phiz_call *call);
void phiz_blocked_linear_prepare(const struct phiz_call *call, void *constants);
enum phiz_status phiz_blocked_linear_forward(struct phiz_call *call, const struct phiz_blocked_micro *micro);

#endif
