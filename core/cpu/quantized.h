/* Quantised convolution and linear layers as sums of bytes. The picture is laid out anew, with its padding, so that an
 * output position and a tap are places in memory that may simply be added:
 *
 *   sum[o][k] = sum over slabs t, bytes i < 64 of w[k][t][i] * in[o * step + offset[t] + i]
 *
 * A slab is 64 channels of a pixel, or 8 x 2 pixels of a photograph's 3 or 4 channels. Strides become several pictures,
 * one for each remainder of row and column. Where it lies now, one cache line is one row of an AMX tile, whose
 * positions run on over the end of a row: some of them lie between rows and are not stored. Others look up where a
 * position is and take the next row's. */
#ifndef PHIZ_CPU_QUANTIZED_H
#define PHIZ_CPU_QUANTIZED_H

#include <phiz/op.h>

#define PHIZ_SLAB 64       /* bytes */
#define PHIZ_FILTER_GROUP 16 /* filters whose weights lie side by side: [slab][16 dwords][16 filters][4 bytes] */

/* Sums of `pixels` positions times `groups` groups of filters. */
struct phiz_quantized_tile {
	const uint8_t *in;     /* position 0 */
	int64_t step;          /* bytes from one to the next; or, for those that look it up: */
	const int32_t *at;     /* [pixels]: bytes from `in` to each */
	const int32_t *offset; /* [slabs] */
	int slabs;
	const int8_t *w;   /* of the first group */
	int64_t w_group;   /* bytes to the next */
	const int32_t *shift; /* [groups][16]: where sums begin, for the input's zero */
	int32_t *sum;      /* [groups][pixels][16] */
};

/* What is done to the sums of a group (ops.h, quantized_conv2d). */
struct phiz_quantized_finish {
	const int32_t *sum, *to; /* [count][16]; where the pixels go, from out and residual; -1: between rows */
	int count;
	const float *scale, *bias, *slope; /* [16]; slope may be NULL */
	const uint8_t *residual;    /* or NULL */
	float residual_scale, low;
	int residual_zero, zero;
	uint8_t *out;
};

/* One instruction set's inner loops. */
struct phiz_quantized_micro {
	int pixels, groups;
	bool wide;  /* bytes of picture and filters become 16 bits, [slab][32 pairs][16 filters][2] */
	bool steps; /* a tile's positions are a step apart; else it looks up where they are */
	void (*begin)(void), (*end)(void); /* around all else that a thread does; or NULL */
	void (*sum)(const struct phiz_quantized_tile *t);
	void (*finish)(const struct phiz_quantized_finish *f);
};

bool phiz_quantized_conv2d_supports(const struct phiz_call *call);
size_t phiz_quantized_workspace(const struct phiz_call *call, int threads, const struct phiz_quantized_micro *micro);
size_t phiz_quantized_constants(const struct phiz_call *call, const struct phiz_quantized_micro *micro);
void phiz_quantized_prepare(const struct phiz_call *call, void *constants, const struct phiz_quantized_micro *micro);
/* conv2d or linear, which is a picture for each row of features. */
enum phiz_status phiz_quantized_forward(struct phiz_call *call, const struct phiz_quantized_micro *micro);

#endif
