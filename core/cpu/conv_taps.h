/* Convolution as a matrix product whose second factor is never stored as a whole: 48 (AVX2: 24, NEON: 12) output
 * pixels at a time are gathered from the image into a panel that stays in the cache. What the panel holds is said by
 * `taps`: forward reads the input through the filter's taps; the gradient of the input reads the gradient of the output
 * through the taps that reach one residue class of input pixels (all of them where the stride is 1).
 *
 *   out[n][m][p][q] (+)= sum over c < channels, i < taps_y, j < taps_x of
 *                        a[m][(c * taps_y + i) * taps_x + j] *
 *                        in[n][c][p * stride_y + first_y + i * step_y][q * stride_x + first_x + j * step_x]
 *
 * where a pixel outside of the image counts 0. Sums run over c, i, j in this order in float, whatever the number of
 * threads. */
#ifndef PHIZ_CPU_CONV_TAPS_H
#define PHIZ_CPU_CONV_TAPS_H

#include <phiz/op.h>

struct phiz_taps {
	/* the image that is read */
	const float *in;
	int64_t in_image, in_plane; /* elements from image to image, from channel to channel */
	int height, width, channels;
	/* the taps */
	int taps_y, taps_x, first_y, first_x, step_y, step_x, stride_y, stride_x;
	/* the filters */
	const float *a;
	int64_t lda;
	int rows;
	/* the image that is written: rows planes of P x Q pixels, out_row and out_col elements apart */
	float *out;
	int64_t images, out_image, out_plane, out_row, out_col;
	int p, q;
	bool add; /* to what stands there */
	/* what is done to each sum at last: bias[m] and the element of `residual` at the same place are added, then act */
	const float *bias, *residual;
	int act; /* enum phiz_act */
	float slope;
};

/* --- One instruction set's inner loops. --- */

#define PHIZ_MAX_LANES 16
#define PHIZ_PANEL_VECTORS 3 /* a panel is at most this many vectors wide */
/* Where the pixels leave so few over that a vector would be mostly empty (49 = 3 * 16 + 1), those are summed along the
 * depth instead, as odd columns. */
#define PHIZ_ODD_COLUMNS 4
#define PHIZ_ODD_ROWS 4

/* The output pixels of one vector of a panel. Lanes beyond the last pixel have a y that lies outside of any image. */
struct phiz_lanes {
	int32_t y[PHIZ_MAX_LANES], x[PHIZ_MAX_LANES]; /* p * stride_y, q * stride_x */
	int32_t offset[PHIZ_MAX_LANES];               /* of (y, x) from phiz_taps.in, image included */
	int runs;                                     /* stretches of lanes of one row of pixels */
	struct {
		int64_t offset; /* of lane 0, were it part of the run; the next lane is stride_x further on */
		uint32_t lanes; /* bit i: lane i is part of it */
	} run[PHIZ_MAX_LANES];
};

/* Where a tile's sums go. */
struct phiz_tile {
	int64_t depth;
	const float *a;
	int64_t lda;
	const float *b; /* packed panel: depth x (vectors * lanes); of odd columns: column x ldb */
	int64_t ldb;
	float *c;
	int64_t ldc;
	int last_lanes;        /* of the last vector that are written, 1..lanes */
	bool add;              /* to what stands in c */
	bool finish;           /* bias, residual and act are due */
	const float *bias;     /* of the tile's first row, or NULL */
	const float *residual; /* same layout as c, or NULL */
	int act;
	float slope;
};

struct phiz_conv_micro {
	int lanes; /* floats in a vector */
	int rows;  /* of a full tile: 8 or 4 */
	int filter_bytes; /* of filters that the second-level cache keeps, on processors of this kind */
	/* tile[r][v - 1]: a tile of row_count[r] rows and v vectors; row_count falls from `rows` to 1 */
	int row_count[3];
	void (*tile[3][PHIZ_PANEL_VECTORS])(const struct phiz_tile *t);
	/* c[r][j] (+)= sum over k of a[r][k] * b[j][k], r < rows <= PHIZ_ODD_ROWS, j < columns <= PHIZ_ODD_COLUMNS; of t it
	 * reads depth, a, lda, b, ldb, c, ldc and add. NULL: none. */
	void (*odd)(const struct phiz_tile *t, int rows, int columns);
	/* Gathers channels c0..c1-1 of a panel of `vectors` vectors into b: row ((c - c0) * taps + tap). */
	void (*pack)(const struct phiz_taps *t, const struct phiz_lanes *lanes, int vectors, int c0, int c1, float *b);
};

/* Bytes of scratch that phiz_taps_run needs for these `threads`, for any number of images. */
size_t phiz_taps_workspace(const struct phiz_taps *t, const struct phiz_conv_micro *micro, int threads);
/* groups: the problem is done for each g < groups with in, a, out, bias and residual moved on by g * channels planes,
 * g * rows filters and g * rows planes. */
void phiz_taps_run(struct phiz_ctx *ctx, const struct phiz_taps *t, int groups, const struct phiz_conv_micro *micro,
                   void *workspace);

/* False where an offset would leave 31 bits. */
bool phiz_taps_fits(const struct phiz_taps *t);

#endif
