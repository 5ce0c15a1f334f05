/* MTCNN from facenet-pytorch's three files: one detector of three networks, which share nothing but the file. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/import.h"

struct stage {
	const char *net, *prefix;
	const char *mark;  /* a tensor that only this stage has */
	const char *dense; /* the first linear layer's weight; NULL: there is none */
	int channels, side; /* of the maps that it reads */
};

static const struct stage stages[PHIZ_MTCNN_FILES] = {
	{"mtcnn_pnet", "pnet.", "conv4_1.weight", NULL, 0, 0},
	{"mtcnn_rnet", "rnet.", "dense5_1.weight", "dense4.weight", 64, 3},
	{"mtcnn_onet", "onet.", "dense6_1.weight", "dense5.weight", 128, 3},
};

static int find_stage(const struct phiz_tensors *t)
{
	for (int s = 0; s < PHIZ_MTCNN_FILES; s++)
		if (phiz_tensors_find(t, stages[s].mark))
			return s;
	return -1;
}

/* The file's network flattens its maps as width, height, channels (it goes back to a port from column-major data), a
 * phiz network as channels, height, width: the columns of the weight are dealt out anew. w: [rows][c * side * side]. */
static enum phiz_status reorder(struct phiz_ctx *ctx, float *w, int64_t rows, int channels, int side)
{
	size_t n = (size_t)channels * (size_t)side * (size_t)side;
	float *row = phiz_alloc(ctx, n, sizeof *row);

	if (!row)
		return PHIZ_E_NOMEM;
	for (int64_t r = 0; r < rows; r++, w += n) {
		for (int c = 0; c < channels; c++)
			for (int y = 0; y < side; y++)
				for (int x = 0; x < side; x++)
					row[(c * side + y) * side + x] = w[(x * side + y) * channels + c];
		memcpy(w, row, n * sizeof *row);
	}
	phiz_free(ctx, row);
	return PHIZ_OK;
}

static enum phiz_status add_stage(struct phiz_model *into, const struct stage *s, const struct phiz_tensors *t,
                                  const char *path)
{
	struct phiz_ctx *ctx = into->ctx;
	struct phiz_import_options options = {false, false};
	struct phiz_import_report report = {0};
	struct phiz_model *m = NULL;
	enum phiz_status status = phiz_model_from_cfg(ctx, phiz_net_builtin(s->net), s->net, 0, 0, 0, &m);

	if (!status)
		status = phiz_import_weights(ctx, m, t, path, &options, &report);
	if (!status && s->dense) {
		struct phiz_tensor *w = phiz_model_find(m, s->dense)->tensor;
		status = reorder(ctx, w->data, w->shape.dim[0], s->channels, s->side);
	}
	if (!status)
		status = phiz_model_merge(into, m, s->prefix);
	phiz_import_report_free(&report);
	phiz_model_free(&m);
	return status;
}

/* Which file is which stage, by the names of the tensors. */
static enum phiz_status sort_files(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *const *path,
                                   int file[PHIZ_MTCNN_FILES])
{
	for (int s = 0; s < PHIZ_MTCNN_FILES; s++)
		file[s] = -1;
	for (int i = 0; i < PHIZ_MTCNN_FILES; i++) {
		int s = find_stage(&t[i]);
		if (s < 0)
			return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: none of MTCNN's networks by the names of its tensors "
			                 "(wanted: pnet.pt, rnet.pt and onet.pt of facenet-pytorch)", path[i]);
		if (file[s] >= 0)
			return phiz_fail(ctx, PHIZ_E_ARG, "%s and %s are both MTCNN's %.4s", path[file[s]], path[i],
			                 stages[s].prefix);
		file[s] = i;
	}
	return PHIZ_OK;
}

static enum phiz_status describe(struct phiz_model *m)
{
	enum phiz_status status = phiz_model_set_task(m, PHIZ_TASK_DETECT);

	m->preproc.size = m->preproc.resize = 48;
	if (!status)
		status = phiz_model_set_meta(m, "detector", "mtcnn");
	if (!status)
		status = phiz_model_set_meta(m, "licence", "MIT");
	return status ? status : phiz_model_set_meta(m, "source", "facenet-pytorch: pnet.pt, rnet.pt, onet.pt");
}

enum phiz_status phiz_import_mtcnn(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *const *path,
                                   struct phiz_model **out)
{
	int file[PHIZ_MTCNN_FILES];
	struct phiz_model *m = NULL;
	enum phiz_status status = sort_files(ctx, t, path, file);

	*out = NULL;
	if (!status)
		status = phiz_model_create(ctx, &m);
	for (int s = 0; s < PHIZ_MTCNN_FILES && !status; s++)
		status = add_stage(m, &stages[s], &t[file[s]], path[file[s]]);
	if (!status)
		status = describe(m);
	if (status)
		phiz_model_free(&m);
	*out = m;
	return status;
}
