/* Convolution by 3 x 3 filters, stride 1, as Winograd's minimal algorithm F(m x m, 3 x 3) on blocked pictures, m 2 or 4
 * (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016): a tile of m x m outputs takes (m + 2)^2
 * products for each pair of channel and filter where the sum over taps takes 9 m^2: 2.25 and 4 times fewer.
 *
 *   Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
 *
 * with d a tile of (m + 2)^2 inputs, g a filter. Rounding grows with m: about 2 and 10 times that of the plain sum. */
#ifndef PHIZ_CPU_WINOGRAD_H
#define PHIZ_CPU_WINOGRAD_H

#include "core/cpu/blocked.h"

#define PHIZ_WINOGRAD_PLANES 36 /* (m + 2)^2, at most */

static inline int phiz_winograd_planes(int m)
{
	return (m + 2) * (m + 2);
}

/* The planes of filters, G g G^T, for so many blocks of filters and of the depth: how many floats; and those of block
 * f of the filters and b of the depth, [9][16][16], to their place. */
size_t phiz_winograd_plane_floats(int m, int filters, int blocks, const struct phiz_blocked_micro *micro);
void phiz_winograd_make_planes(int m, int blocks, const struct phiz_blocked_micro *micro, int f, int b,
                               const float *filters, float *planes);

/* The sum that `s` describes, whose taps are 3 x 3, strides and steps 1. A flipped filter (the gradient of the input)
 * is the caller's business. planes: those of all filters, which stand for s->w; or NULL: then they are made of s->w
 * where they are used. The same sums in both cases. */
size_t phiz_winograd_workspace(const struct phiz_blocked_sum *s, int m, bool planes,
                               const struct phiz_blocked_micro *micro, int threads);
void phiz_winograd_run(struct phiz_ctx *ctx, const struct phiz_blocked_sum *s, int m, const float *planes,
                       const struct phiz_blocked_micro *micro, void *workspace);

/* winograd_weights.c: the same gradients as phiz_blocked_weights_run, of 3 x 3 taps with strides and steps of 1. */
size_t phiz_winograd_weights_workspace(int threads);
void phiz_winograd_weights_run(struct phiz_ctx *ctx, const struct phiz_blocked_weights *w,
                               const struct phiz_blocked_micro *micro, void *workspace);

#endif
