#include "support/spots.h"

#include <stdio.h>

#include <phiz/op.h>

enum { SIDE = 96 };

static void add_conv(struct phiz_model *m, int image, const char *name, int stride, const float *weight,
                     const float *bias, int n)
{
	const struct phiz_attr_arg attr[] = {{"stride_h", stride}, {"stride_w", stride}};
	struct phiz_shape shapes[2] = {phiz_shape_4d(n, 3, 1, 1), phiz_shape_1d(n)};
	const float *from[2] = {weight, bias};
	int in[3] = {image, 0, 0}, out;
	char text[64];

	for (int i = 0; i < 2; i++) {
		struct phiz_tensor *t;
		snprintf(text, sizeof text, "%s.%s", name, i ? "bias" : "weight");
		assert_ok(m->ctx, phiz_tensor_create(m->ctx, PHIZ_F32, &shapes[i], &t));
		memcpy(t->data, from[i], sizeof(float) * (size_t)n * (i ? 1 : 3));
		assert_ok(m->ctx, phiz_model_add(m, text, t, true));
		assert_ok(m->ctx, phiz_graph_param(m->graph, text, t, &in[i + 1]));
	}
	assert_ok(m->ctx, phiz_graph_add(m->graph, phiz_op_find("conv2d"), name, in, 3, attr, 2, &out));
	assert_ok(m->ctx, phiz_graph_output(m->graph, out));
}

struct phiz_model *test_spot_detector(struct phiz_ctx *ctx, const char *skip)
{
	static const char *const part[] = {"cls", "obj", "bbox", "kps"};
	static const int size[] = {1, 1, 4, 10};
	struct phiz_shape shape = phiz_shape_4d(1, 3, SIDE, SIDE);
	struct phiz_model *m;
	char name[16];
	int image;

	assert_ok(ctx, phiz_model_create(ctx, &m));
	assert_ok(ctx, phiz_graph_input(m->graph, "image", PHIZ_F32, &shape, &image));
	for (int i = 0; i < 12; i++) {
		float weight[30] = {0}, bias[10] = {0};
		int s = i / 4, k = i % 4;
		if (k < 2 && s == 0)
			weight[2 - k] = 1.0f / 255; /* channels are B, G, R */
		else if (k == 0 && s == 1)
			weight[0] = 1.0f / 255;
		else if (k == 1)
			bias[0] = 1;
		else if (k == 2) {
			bias[0] = bias[1] = 0.5f;
			bias[2] = logf(2);
			bias[3] = logf(s == 0 ? 3 : 2);
		} else if (k == 3) {
			for (int j = 0; j < 10; j++)
				bias[j] = (float)(j / 2) * (j % 2 ? 0.2f : 0.1f);
		}
		snprintf(name, sizeof name, "%s_%d", part[k], 8 << s);
		if (!skip || strcmp(name, skip))
			add_conv(m, image, name, 8 << s, weight, bias, size[k]);
	}
	m->preproc.size = m->preproc.resize = SIDE;
	assert_ok(ctx, phiz_model_set_task(m, PHIZ_TASK_DETECT));
	assert_ok(ctx, phiz_model_set_meta(m, "detector", "yunet"));
	return m;
}
