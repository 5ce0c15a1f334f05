/* Convolution with activations of bf16 (float's upper half): sums of products of bf16 pairs, kept in float, rounded
 * once when they are done. What AMX multiplies at a time gives the shapes: 32 pixels and 32 filters over a depth of 32,
 * and pictures lie blocked by 32 channels, so that a pixel's block is a cache line and a tile's row.
 *
 * Pixels under a tap must stand at equal distances in memory. So a piece of the picture is copied into a panel, with
 * zeros beside the picture: there, output pixels are positions on one line, and a tap is an offset. Some positions, at
 * the end of a row, are no output pixel; what is summed there is thrown away, but by those who look up where each
 * position is. */
#ifndef PHIZ_CPU_BF16_H
#define PHIZ_CPU_BF16_H

#include <phiz/op.h>

#include "core/cpu/conv.h"

enum { PHIZ_BF16_BLOCK = 32, PHIZ_BF16_TILE = PHIZ_BF16_BLOCK * PHIZ_BF16_BLOCK };

/* --- One instruction set's inner loops. --- */

/* c[i][j] (+)= sum over s < steps, d < 32 of a[i * a_row + a_at[s] + d] * b[s][d / 2][j][d % 2], for i < rows (or
 * more: up to 32 rows of `a` are read and of `c` are written) and j < 32; b's steps are PHIZ_BF16_TILE apart, c is
 * [32][32]. Nothing aliases. Sums are float. */
struct phiz_bf16_product {
	const uint16_t *a;
	int64_t a_row;
	const int32_t *a_from; /* where row i of a begins instead of at i * a_row, for 32 rows; NULL, and always where the
	                          micro has no `scattered` */
	const int32_t *a_at;
	const uint16_t *b;
	int steps, rows;
	float *c;
	bool add; /* to what stands in c */
};

/* out[to[i]][32] = act((out +) c[i][32] + bias[32] + residual[to[i]][32]) for the i < rows with to[i] >= 0. */
struct phiz_bf16_finish {
	const float *c, *bias;
	const int32_t *to; /* elements from out and residual */
	uint16_t *out;
	const uint16_t *residual; /* NULL: none */
	int rows;
	bool add;
	int act; /* enum phiz_act */
	float slope;
};

struct phiz_bf16_micro {
	void (*begin)(void), (*end)(void); /* around a worker's products; NULL: nothing to do */
	void (*product)(const struct phiz_bf16_product *t);
	bool scattered; /* product knows a_from: then positions that are no output pixel are left out */
	void (*finish)(const struct phiz_bf16_finish *t);
	/* to[i][j][0] = a[i * step + j], to[i][j][1] = b[i * step + j] for i < count, j < 32 */
	void (*pair)(uint16_t *to, const uint16_t *a, const uint16_t *b, int64_t step, int64_t count);
	/* to[j][i] = from[i][j], both [32][32] */
	void (*turn)(uint16_t *to, const uint16_t *from);
};

/* --- Panels. --- */

/* A tensor as it lies: channel c of pixel i of image n is element
 * ((n * channels / block + c / block) * height * width + i) * block + c % block. */
struct phiz_bf16_picture {
	const void *data;
	bool wide; /* float, not bf16 */
	int block; /* channels side by side, 1: plain */
	int channels, height, width;
};

/* Rows y = p * stride + first + i * step for tap i < taps of output row p, and the same of columns. Taps of one phase
 * (y modulo stride) read the same plane of the panel, in which rows are stride apart in the picture. */
enum { PHIZ_BF16_TAPS = 16 /* of a direction, at most */ };
struct phiz_bf16_axis {
	int taps, first, step, stride, size, outputs;
	int phases, phase[PHIZ_BF16_TAPS];                    /* the phases that occur */
	int plane[PHIZ_BF16_TAPS], shift[PHIZ_BF16_TAPS];     /* of a tap: index of its phase; rows from the least one on */
	int least, span;                                      /* the least shift; the largest, from there */
	int shared;                                           /* zeros at the end that can be those of the next begin */
};

struct phiz_bf16_panel {
	struct phiz_bf16_picture in;
	struct phiz_bf16_axis y, x;
	bool thin;         /* few channels: a position's 32 numbers are 8 pixels of 4 channels, all taps of a row */
	int blocks;        /* of the depth */
	int images, rows;  /* of a piece: several whole images (rows = y.outputs) or some rows of one */
	int width, height; /* positions of a row; rows of an image */
	int64_t plane, block; /* positions of a phase's plane; elements of a block of the depth */
	int pixel;         /* elements from position to position */
	int steps;         /* blocks * taps */
	size_t elements;   /* with what is read behind the end */
};

/* Some output rows of some images. */
struct phiz_bf16_piece {
	int64_t image;
	int images, row, rows;
};

/* Fills the axis's derived fields from taps, first, step, stride, size, outputs. */
void phiz_bf16_axis_of(struct phiz_bf16_axis *a);
/* Derived fields, for pieces of about `positions`; `in`, `y`, `x`, `thin` are set. */
void phiz_bf16_panel_of(struct phiz_bf16_panel *p, int64_t images, int64_t positions);
/* How many pieces so many images are cut into, piece i of them, and its positions. */
int64_t phiz_bf16_pieces(const struct phiz_bf16_panel *p, int64_t images);
struct phiz_bf16_piece phiz_bf16_piece_at(const struct phiz_bf16_panel *p, int64_t images, int64_t i);
int64_t phiz_bf16_positions(const struct phiz_bf16_panel *p, const struct phiz_bf16_piece *piece);
/* at[b * taps + t]: elements from a position to what it has under tap t in block b. */
void phiz_bf16_offsets(const struct phiz_bf16_panel *p, int32_t *at);
/* The columns from `from` up to `to` of a row of `width` positions lie in the picture. */
void phiz_bf16_columns_inside(const struct phiz_bf16_axis *x, int width, int phase, int *from, int *to);
/* Copies block b of the depth for one piece; what lies behind the block, as far as it is read, becomes 0. */
void phiz_bf16_gather(const struct phiz_bf16_panel *p, const struct phiz_bf16_piece *piece, int b, uint16_t *to);

/* --- Sums. --- */

struct phiz_bf16_sum {
	struct phiz_bf16_panel panel;
	int64_t images;
	const uint16_t *w; /* [filters / 32][blocks][taps][16][32][2] */
	int filters;       /* as many as the output has */
	struct phiz_bf16_picture out; /* data is written */
	int64_t out_first, out_row, out_col; /* its pixel of output pixel 0; pixels from row to row, column to column */
	bool add;
	const float *bias;    /* padded to a multiple of 32 */
	struct phiz_bf16_picture residual; /* of the output's shape; data NULL: none */
	int act;
	float slope;
};

size_t phiz_bf16_sum_workspace(const struct phiz_bf16_sum *s, int threads);
void phiz_bf16_sum_run(struct phiz_ctx *ctx, const struct phiz_bf16_sum *s, const struct phiz_bf16_micro *micro,
                       void *workspace);

/* dw[f / 32][b][t][f % 32][d] = sum over positions of dout[f] * in[b][under tap t][d] */
struct phiz_bf16_weights {
	struct phiz_bf16_panel panel; /* of the input */
	int64_t images;
	struct phiz_bf16_picture dout;
	float *dw;
};

size_t phiz_bf16_weights_workspace(const struct phiz_bf16_weights *w, int threads);
void phiz_bf16_weights_run(struct phiz_ctx *ctx, const struct phiz_bf16_weights *w,
                           const struct phiz_bf16_micro *micro, void *workspace);

/* --- conv2d. What a row of the kernel table is made of. --- */

bool phiz_bf16_conv2d_supports(const struct phiz_call *call);
size_t phiz_bf16_conv2d_workspace(const struct phiz_call *call, bool backward, int threads);
size_t phiz_bf16_conv2d_constants(const struct phiz_call *call);
void phiz_bf16_conv2d_prepare(const struct phiz_call *call, void *constants);
enum phiz_status phiz_bf16_conv2d_forward(struct phiz_call *call, const struct phiz_bf16_micro *micro);
enum phiz_status phiz_bf16_conv2d_backward(struct phiz_call *call, const struct phiz_bf16_micro *micro);

/* As phiz_f32_to_bf16, within a loop. */
static inline uint16_t phiz_bf16_of(float f)
{
	union {
		float f;
		uint32_t u;
	} x = {f};
	uint32_t rounded = (x.u + 0x7fffu + (x.u >> 16 & 1)) >> 16, quiet = x.u >> 16 | 0x40u;
	return (uint16_t)(f != f ? quiet : rounded);
}

static inline float phiz_bf16_float(uint16_t h)
{
	union {
		uint32_t u;
		float f;
	} x = {(uint32_t)h << 16};
	return x.f;
}

/* Element i of a tensor of bf16 or, if it is wide, of float. */
static inline float phiz_bf16_get(const void *data, bool wide, int64_t i)
{
	return wide ? ((const float *)data)[i] : phiz_bf16_float(((const uint16_t *)data)[i]);
}

#endif
