/* Models that are known by their structure: what they are for and what they want cannot be read from an ONNX file. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/io/onnx.h"

static int count_nodes(const struct phiz_graph *g, const char *op)
{
	int n = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		n += phiz_node_is(&g->node[i], op);
	return n;
}

/* The shape of the output of this name, or NULL. */
static const struct phiz_shape *output(struct phiz_graph *g, const char *name)
{
	for (int i = 0; i < phiz_graph_n_outputs(g); i++) {
		const struct phiz_value *v = phiz_graph_value(g, phiz_graph_output_at(g, i));

		if (!strcmp(v->name, name))
			return &v->type.shape;
	}
	return NULL;
}

static bool is_output(struct phiz_graph *g, const char *name, int64_t last)
{
	const struct phiz_shape *s = output(g, name);

	return s && s->ndim == 3 && s->dim[2] == last;
}

static bool is_yunet(struct phiz_graph *g)
{
	return phiz_graph_n_outputs(g) == 12 && is_output(g, "cls_8", 1) && is_output(g, "cls_16", 1) &&
	       is_output(g, "cls_32", 1) && is_output(g, "obj_8", 1) && is_output(g, "obj_16", 1) &&
	       is_output(g, "obj_32", 1) && is_output(g, "bbox_8", 4) && is_output(g, "bbox_16", 4) &&
	       is_output(g, "bbox_32", 4) && is_output(g, "kps_8", 10) && is_output(g, "kps_16", 10) &&
	       is_output(g, "kps_32", 10);
}

static bool is_ultralight(struct phiz_graph *g)
{
	return phiz_graph_n_outputs(g) == 2 && is_output(g, "scores", 2) && is_output(g, "boxes", 4);
}

static bool is_mobilefacenet(struct phiz_graph *g)
{
	const struct phiz_shape *e = output(g, "embedding");
	int image = phiz_graph_find_value(g, "image");

	return phiz_graph_n_outputs(g) == 1 && e && e->ndim == 2 && e->dim[1] == 128 && image != PHIZ_NONE &&
	       phiz_graph_value(g, image)->type.shape.dim[2] == 112 && count_nodes(g, "conv2d") == 49 &&
	       count_nodes(g, "prelu") == 33;
}

/* InsightFace's MXNet networks, of which SFace is one: the picture's mean is taken off and its scale set in the graph.
 * OpenCV's FaceRecognizerSF gives SFace R, G, B from 0 to 255 too. */
static bool is_insightface(struct phiz_graph *g)
{
	const struct phiz_shape *e = output(g, "fc1"), *x;
	int image = phiz_graph_find_value(g, "image"), readers = 0;

	if (phiz_graph_n_outputs(g) != 1 || !e || e->ndim != 2 || image == PHIZ_NONE)
		return false;
	x = &phiz_graph_value(g, image)->type.shape;
	if (x->dim[2] != 112 || x->dim[3] != 112 || (e->dim[1] != 128 && e->dim[1] != 256 && e->dim[1] != 512))
		return false;
	for (size_t i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->node[i].n_inputs; k++)
			if (g->node[i].input[k] == image) {
				readers++;
				if (!phiz_node_is(&g->node[i], "affine"))
					return false;
			}
	return readers == 1 && count_nodes(g, "prelu") > 0;
}

static void set_preproc(struct phiz_preproc *p, float mean, float std, int size)
{
	memset(p, 0, sizeof *p);
	p->crop = 1;
	p->mode = PHIZ_RESIZE_STRETCH;
	p->size = size;
	for (int i = 0; i < 3; i++) {
		p->mean[i] = mean;
		p->std[i] = std;
	}
}

enum phiz_status phiz_onnx_swap_channels(struct phiz_model *model)
{
	struct phiz_graph *g = model->graph;
	int image = phiz_graph_find_value(g, "image");

	for (int pass = 0; pass < 2; pass++) /* look at all first: nothing is changed by halves */
		for (int n = 0; n < phiz_graph_n_nodes(g); n++) {
			const struct phiz_node *node = phiz_graph_node(g, n);
			bool reads = false;

			for (int i = 0; i < node->n_inputs; i++)
				reads = reads || node->input[i] == image;
			if (!reads)
				continue;
			int weight = phiz_node_is(node, "conv2d") ? phiz_node_input(node, "weight") : PHIZ_NONE;
			struct phiz_tensor *t = weight == PHIZ_NONE ? NULL : phiz_graph_value(g, weight)->tensor;
			if (!t || t->dtype != PHIZ_F32 || t->shape.dim[1] != 3 || phiz_graph_uses(g, weight) != 1)
				return phiz_fail(model->ctx, PHIZ_E_UNSUPPORTED,
				                 "%s reads the picture and is no plain convolution: its blue and red cannot be swapped",
				                 node->name);
			int64_t plane = t->shape.dim[2] * t->shape.dim[3];
			float *w = t->data;
			for (int64_t k = 0; pass && k < t->shape.dim[0]; k++)
				for (int64_t i = 0; i < plane; i++) {
					float *blue = w + 3 * k * plane + i, *red = blue + 2 * plane, kept = *blue;
					*blue = *red;
					*red = kept;
				}
		}
	return PHIZ_OK;
}

/* YuNet reads B, G, R from 0 to 255: its detector (deploy/detector_yunet.c) fills the input so, and the file's weights
 * stay as they are. mean and std say the range. */
static enum phiz_status make_yunet(struct phiz_model *m)
{
	set_preproc(&m->preproc, 0, 1.0f / 255, 320);
	enum phiz_status status = phiz_model_set_task(m, PHIZ_TASK_DETECT);
	return status ? status : phiz_model_set_meta(m, "detector", "yunet");
}

static enum phiz_status make_ultralight(struct phiz_model *m)
{
	set_preproc(&m->preproc, 127.0f / 255, 128.0f / 255, 320);
	enum phiz_status status = phiz_model_set_task(m, PHIZ_TASK_DETECT);
	return status ? status : phiz_model_set_meta(m, "detector", "ultralight");
}

static enum phiz_status make_embedder(struct phiz_model *m, float mean, float std)
{
	set_preproc(&m->preproc, mean, std, 112);
	m->preproc.align.kind = PHIZ_ALIGN_ARCFACE;
	m->preproc.align.size = 112;
	return phiz_model_set_task(m, PHIZ_TASK_EMBED);
}

enum phiz_status phiz_onnx_known(struct phiz_model *model, const char **name)
{
	*name = NULL;
	if (is_yunet(model->graph)) {
		*name = "YuNet";
		return make_yunet(model);
	}
	if (is_ultralight(model->graph)) {
		*name = "Ultra-Light face detector";
		return make_ultralight(model);
	}
	if (is_mobilefacenet(model->graph)) {
		*name = "MobileFaceNet";
		return make_embedder(model, 0.5f, 128.0f / 255);
	}
	if (is_insightface(model->graph)) {
		*name = "InsightFace's layout (SFace)";
		return make_embedder(model, 0, 1.0f / 255);
	}
	return PHIZ_OK;
}
