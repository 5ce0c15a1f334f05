/* Inception's blocks. */
#include <stdio.h>

#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/nn/builder.h"

enum { NAME_BYTES = 256, MAX_UNITS = 3, MAX_BRANCHES = 3 };

/* Whatever is longer than a name may be is refused before it is cut. */
static enum phiz_status under(struct phiz_builder *b, const char *name, const char *part, char out[NAME_BYTES])
{
	if (snprintf(out, NAME_BYTES, "%s.%s", name, part) >= NAME_BYTES)
		return phiz_fail(b->model->ctx, PHIZ_E_ARG, "the name '%.40s...' is too long", name);
	return PHIZ_OK;
}

static enum phiz_status plain(struct phiz_builder *b, const char *op, const char *name, const char *part, const int *in,
                              int n_in, int *out)
{
	char text[NAME_BYTES];
	enum phiz_status status = under(b, name, part, text);

	return status ? status : phiz_build_plain(b, op, text, in, n_in, NULL, 0, out);
}

enum phiz_status phiz_build_conv_unit(struct phiz_builder *b, const char *name, int in,
                                      const struct phiz_conv_spec *spec, double eps, int *out)
{
	char text[NAME_BYTES];
	enum phiz_status status = under(b, name, "conv", text);

	if (!status)
		status = phiz_build_conv(b, text, in, spec, out);
	if (!status)
		status = under(b, name, "bn", text);
	if (!status)
		status = phiz_build_batch_norm(b, text, *out, eps, 0.1, out);
	return status ? status : plain(b, "relu", name, "relu", out, 1, out);
}

/* ---- Inception-ResNet v1 ---- */

struct unit {
	int64_t filters, kernel_h, kernel_w; /* padded so that the maps keep their size; filters 0: none */
};

static const struct block {
	struct unit branch[MAX_BRANCHES][MAX_UNITS];
} blocks[] = {
	[PHIZ_INCEPTION_35] = {{{{32, 1, 1}}, {{32, 1, 1}, {32, 3, 3}}, {{32, 1, 1}, {32, 3, 3}, {32, 3, 3}}}},
	[PHIZ_INCEPTION_17] = {{{{128, 1, 1}}, {{128, 1, 1}, {128, 1, 7}, {128, 7, 1}}}},
	[PHIZ_INCEPTION_8] = {{{{192, 1, 1}}, {{192, 1, 1}, {192, 1, 3}, {192, 3, 1}}}},
};

/* branch0 is one unit; the others are lists, whose units have numbers. */
static enum phiz_status build_branch(struct phiz_builder *b, const char *name, int in, const struct block *block, int i,
                                     int *out)
{
	char part[32], text[NAME_BYTES];
	enum phiz_status status = PHIZ_OK;

	*out = in;
	for (int k = 0; k < MAX_UNITS && block->branch[i][k].filters && !status; k++) {
		const struct unit *u = &block->branch[i][k];
		struct phiz_conv_spec spec = {u->filters, u->kernel_h, u->kernel_w, 1, u->kernel_h / 2, u->kernel_w / 2, 1, 1,
		                              false};

		if (i == 0)
			snprintf(part, sizeof part, "branch0");
		else
			snprintf(part, sizeof part, "branch%d.%d", i, k);
		status = under(b, name, part, text);
		if (!status)
			status = phiz_build_conv_unit(b, text, *out, &spec, 1e-3, out);
	}
	return status;
}

enum phiz_status phiz_build_inception_resnet(struct phiz_builder *b, const char *name, int in,
                                             enum phiz_inception_kind kind, double scale, bool relu, int *out)
{
	const struct phiz_shape *x = &phiz_graph_value(b->model->graph, in)->type.shape;
	struct phiz_conv_spec spec = {0, 1, 1, 1, 0, 0, 1, 1, true};
	int branch[MAX_BRANCHES], n = 0, sum[2] = {PHIZ_NONE, in};
	enum phiz_status status = PHIZ_OK;
	char text[NAME_BYTES];

	if (x->ndim != 4)
		return phiz_fail(b->model->ctx, PHIZ_E_SHAPE, "%s: want a 4-d input (N C H W), got %d-d", name, x->ndim);
	spec.filters = x->dim[1];
	for (; n < MAX_BRANCHES && blocks[kind].branch[n][0].filters && !status; n++)
		status = build_branch(b, name, in, &blocks[kind], n, &branch[n]);
	if (!status)
		status = plain(b, "concat", name, "concat", branch, n, out);
	if (!status)
		status = under(b, name, "conv2d", text);
	if (!status)
		status = phiz_build_conv(b, text, *out, &spec, &sum[0]);
	if (!status && (scale < 1 || scale > 1)) {
		status = under(b, name, "scale", text);
		if (!status)
			status = phiz_build_scale(b, text, sum[0], scale, &sum[0]);
	}
	if (!status)
		status = plain(b, "add", name, "add", sum, 2, out);
	return status || !relu ? status : plain(b, "relu", name, "relu", out, 1, out);
}
