/* normalize_bytes: y[n,c,h,w] = (x / 255 - mean[c]) / std[c] in float, in this order: what preprocessing makes of a
 * picture's bytes (image/preproc.c), to the bit. 0 in sample n's box of `erased`. No gradient. */
#include "core/base/error.h"
#include "core/ops/kernel.h"
#include "core/ops/rule.h"

#ifndef PHIZ_REAL_F64
enum { CHANNELS = 3, BYTES = 256 };

static int64_t clip(int64_t v, int64_t most)
{
	return v < 0 ? 0 : v > most ? most : v;
}

/* box: x, y, width, height; what of it lies outside of the picture is left out. */
static void erase(float *y, const struct phiz_shape *s, const int32_t *box)
{
	const int64_t height = s->dim[2], width = s->dim[3];
	const int64_t w0 = clip(box[0], width), w1 = clip((int64_t)box[0] + box[2], width);
	const int64_t h0 = clip(box[1], height), h1 = clip((int64_t)box[1] + box[3], height);

	for (int64_t c = 0; c < CHANNELS; c++)
		for (int64_t h = h0; h < h1; h++)
			for (int64_t w = w0; w < w1; w++)
				y[(c * height + h) * width + w] = 0;
}

enum phiz_status phiz_normalize_bytes_forward_u8(struct phiz_call *call)
{
	const struct phiz_shape *s = &call->in[0].shape;
	const union phiz_attr *a = call->node->attr;
	const int32_t *box = call->n_in > PHIZ_NORMALIZE_ERASED ? call->in[PHIZ_NORMALIZE_ERASED].data : NULL;
	const int64_t plane = s->dim[2] * s->dim[3];
	const uint8_t *x = call->in[0].data;
	float *y = call->out[0].data;

	for (int c = 0; c < CHANNELS; c++) {
		const float mean = (float)a[PHIZ_NORMALIZE_MEAN + c].f, std = (float)a[PHIZ_NORMALIZE_STD + c].f;
		float table[BYTES];
		for (int v = 0; v < BYTES; v++)
			table[v] = ((float)v / 255.0f - mean) / std;
		for (int64_t n = 0; n < s->dim[0]; n++)
			for (int64_t i = (n * CHANNELS + c) * plane; i < (n * CHANNELS + c + 1) * plane; i++)
				y[i] = table[x[i]];
	}
	for (int64_t n = 0; n < s->dim[0] && box; n++)
		erase(y + n * CHANNELS * plane, s, box + 4 * n);
	return PHIZ_OK;
}

static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (!status)
		status = phiz_rule_dtype(ctx, node, in, 0, PHIZ_U8);
	if (!status)
		status = phiz_rule_ndim(ctx, node, in, 0, 4, "[N, 3, H, W]");
	if (!status && in[0].shape.dim[1] != CHANNELS)
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "want 3 channels, got %lld", (long long)in[0].shape.dim[1]);
	if (!status && phiz_rule_has(node, in, PHIZ_NORMALIZE_ERASED)) {
		const struct phiz_shape boxes = phiz_shape_2d(in[0].shape.dim[0], 4);
		status = phiz_rule_dtype(ctx, node, in, PHIZ_NORMALIZE_ERASED, PHIZ_I32);
		if (!status)
			status = phiz_rule_shape(ctx, node, in, PHIZ_NORMALIZE_ERASED, &boxes);
	}
	return status ? status : phiz_rule_output(ctx, PHIZ_F32, &in[0].shape, out);
}

#define MEAN(name) {name, PHIZ_ATTR_FLOAT, 0, -3e38, 3e38}
#define STD(name) {name, PHIZ_ATTR_FLOAT, 1, 1e-37, 3e38}
static const char *const input_names[] = {"input", "erased"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_NORMALIZE_MEAN] = MEAN("mean0"), MEAN("mean1"), MEAN("mean2"),
	[PHIZ_NORMALIZE_STD] = STD("std0"), STD("std1"), STD("std2"),
};

const struct phiz_op phiz_op_normalize_bytes = {
	.name = "normalize_bytes",
	.min_inputs = 1,
	.max_inputs = PHIZ_NORMALIZE_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_NORMALIZE_ATTRS,
	.infer = infer,
	.reference_u8 = {.op = "normalize_bytes", .name = "reference", .dtype = PHIZ_U8,
	                 .forward = phiz_normalize_bytes_forward_u8},
};
#endif
