#include "train/teacher.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "datasets/loader.h"
#include "train/embed_score.h"
#include "train/teacher_cache.h"

struct work {
	struct phiz_ctx *ctx;
	const struct phiz_teacher_options *options;
	struct phiz_model *model;
	struct phiz_preproc preproc;
	struct phiz_plan *plan;
	int image, output;
};

/* A classifier's embedding is what its last linear layer reads. */
static enum phiz_status choose_output(struct work *w)
{
	struct phiz_graph *g = w->model->graph;
	int value = phiz_graph_n_outputs(g) ? phiz_graph_output_at(g, 0) : PHIZ_NONE, node;

	if (phiz_model_task(w->model) == PHIZ_TASK_DETECT || value == PHIZ_NONE)
		return phiz_fail(w->ctx, PHIZ_E_UNSUPPORTED, "%s: finds faces and cannot teach to recognise them",
		                 w->options->path);
	if (phiz_model_task(w->model) == PHIZ_TASK_EMBED)
		return PHIZ_OK;
	node = g->value[value].node;
	if (node == PHIZ_NONE || !phiz_node_is(&g->node[node], "linear"))
		return phiz_fail(w->ctx, PHIZ_E_UNSUPPORTED, "%s: is no embedder, and does not end in a linear layer",
		                 w->options->path);
	value = g->node[node].input[0];
	phiz_graph_clear_outputs(g);
	return phiz_graph_output(g, value);
}

static enum phiz_status find_ends(struct work *w)
{
	enum phiz_status status = phiz_model_optimize(w->model);
	struct phiz_graph *g = w->model->graph;

	if (status)
		return status;
	w->image = phiz_graph_find_value(g, "image");
	w->output = phiz_graph_output_at(g, 0);
	if (w->image == PHIZ_NONE || g->value[w->output].type.shape.ndim != 2)
		return phiz_fail(w->ctx, PHIZ_E_UNSUPPORTED, "%s: want an input 'image' and an embedding [N, D]",
		                 w->options->path);
	return PHIZ_OK;
}

static enum phiz_status make_plan(struct work *w)
{
	const struct phiz_plan_options o = {
		.backend = phiz_backend_cpu(), .mode = PHIZ_PLAN_INFER, .batch = w->options->batch, .height = w->preproc.size,
		.width = w->preproc.size, .loss = PHIZ_NONE, .fixed = true, .precision = w->options->precision,
	};

	return phiz_plan_create(w->ctx, w->model->graph, &o, &w->plan);
}

static enum phiz_status open_model(struct work *w, struct phiz_teacher *out)
{
	const struct phiz_teacher_options *o = w->options;
	enum phiz_status status = o->model ? phiz_model_clone(o->model, &w->model)
	                                   : phiz_model_read(w->ctx, o->path, &w->model);

	if (status)
		return status;
	phiz_model_hash(w->model, out->hash);
	w->preproc = w->model->preproc;
	if (w->preproc.align.kind == PHIZ_ALIGN_NONE && w->options->faces && w->options->align->kind != PHIZ_ALIGN_NONE) {
		w->preproc.align = *w->options->align;
		w->preproc.align.size = w->preproc.size;
	}
	status = choose_output(w);
	return status ? status : find_ends(w);
}

/* --- Computing. --- */

static void mirror_rows(float *image, size_t rows, size_t width)
{
	size_t y, x;

	for (y = 0; y < rows; y++, image += width)
		for (x = 0; x < width / 2; x++) {
			float kept = image[x];

			image[x] = image[width - 1 - x];
			image[width - 1 - x] = kept;
		}
}

/* Adds to each photo's row its unit embedding, of the pictures that lie in the plan. */
static enum phiz_status add_embeddings(struct work *w, const struct phiz_batch *batch, struct phiz_teacher *out)
{
	size_t dim = (size_t)out->dim, d;
	enum phiz_status status = phiz_plan_forward(w->plan);
	float *from;
	int i;

	if (status)
		return status;
	from = phiz_plan_tensor(w->plan, w->output)->data;
	for (i = 0; i < batch->n; i++, from += dim) {
		float *to = out->embedding + batch->samples[i] * dim;

		for (d = 0; d < dim; d++)
			if (!isfinite(from[d]))
				return phiz_fail(w->ctx, PHIZ_E_NUMERIC, "%s: an embedding that is not finite", w->options->path);
		phiz_embed_unit_rows(from, 1, dim);
		for (d = 0; d < dim; d++)
			to[d] += from[d];
	}
	return PHIZ_OK;
}

/* What is taught is the direction between the photo's embedding and that of its mirror image. */
static enum phiz_status run_batch(struct work *w, const struct phiz_batch *batch, struct phiz_teacher *out)
{
	size_t side = (size_t)batch->size, floats = (size_t)batch->n * 3 * side * side;
	enum phiz_status status = phiz_plan_set_batch(w->plan, batch->n);
	float *image;
	int i;

	if (status)
		return status;
	image = phiz_plan_tensor(w->plan, w->image)->data;
	memcpy(image, batch->images, floats * sizeof *image);
	status = add_embeddings(w, batch, out);
	if (status)
		return status;
	memcpy(image, batch->images, floats * sizeof *image);
	mirror_rows(image, floats / side, side);
	status = add_embeddings(w, batch, out);
	for (i = 0; i < batch->n && !status; i++)
		phiz_embed_unit_rows(out->embedding + batch->samples[i] * (size_t)out->dim, 1, (size_t)out->dim);
	return status;
}

static enum phiz_status embed_all(struct work *w, struct phiz_loader *loader, struct phiz_teacher *out)
{
	int64_t done = 0, total = (int64_t)phiz_loader_samples(loader);
	struct phiz_batch batch;
	enum phiz_status status = phiz_loader_start(loader, 0, 0);

	while (!status) {
		status = phiz_loader_next(loader, &batch);
		if (status || batch.n == 0)
			return status;
		status = run_batch(w, &batch, out);
		done += batch.n;
		if (!status && w->options->progress)
			w->options->progress(w->options->user, done, total);
		if (!status && w->options->cancel && *w->options->cancel)
			status = phiz_fail(w->ctx, PHIZ_E_CANCELLED, "broken off while the teacher looked at the photos");
	}
	return status;
}

/* Embeds the samples that no earlier session or run has left. */
static enum phiz_status embed(struct work *w, const struct phiz_dataset *dataset, const uint32_t *index, size_t count,
                              struct phiz_teacher *out)
{
	const struct phiz_loader_options o = {
		.preproc = &w->preproc, .batch = w->options->batch, .faces = w->options->faces ? w->options->faces->face : NULL,
	};
	struct phiz_loader *loader = NULL;
	enum phiz_status status;

	if (!count)
		return PHIZ_OK;
	status = make_plan(w);
	if (!status)
		status = phiz_loader_open(w->ctx, dataset, index, count, &o, &loader);
	if (!status)
		status = embed_all(w, loader, out);
	phiz_loader_free(&loader);
	return status;
}

static enum phiz_status recall_or_embed(struct work *w, const struct phiz_dataset *dataset, const uint32_t *index,
                                        size_t count, struct phiz_teacher *out)
{
	const struct phiz_teacher_options *o = w->options;
	const struct phiz_align *a = &w->preproc.align;
	struct phiz_photo_key *key = phiz_calloc(w->ctx, dataset->count + 1, sizeof *key);
	uint32_t *left = phiz_alloc(w->ctx, count + 1, sizeof *left);
	char how[160];
	const struct phiz_teacher_memory memory = {
		.how = how, .dim = out->dim, .samples = dataset->count, .key = key, .embedding = out->embedding,
	};
	size_t n = count;
	enum phiz_status status = key && left ? PHIZ_OK : PHIZ_E_NOMEM;

	snprintf(how, sizeof how, "%s mirrored %s %.17g %d %s", out->hash, phiz_align_name(a->kind), a->margin, a->size,
	         phiz_dtype_name(o->precision));
	if (!status)
		memcpy(left, index, count * sizeof *left);
	if (!status && o->cache)
		status = phiz_photo_keys(w->ctx, dataset, o->faces ? o->faces->face : NULL, index, count, key);
	if (!status)
		n = phiz_teacher_recall(w->ctx, &memory, o->cache, left, n);
	bool all_there = n == 0;
	if (!status)
		n = phiz_teacher_recall(w->ctx, &memory, o->earlier, left, n);
	if (!status)
		status = embed(w, dataset, left, n, out);
	if (!status && o->cache && !all_there)
		phiz_teacher_keep(w->ctx, &memory, o->cache);
	phiz_free(w->ctx, left);
	phiz_free(w->ctx, key);
	return status;
}

enum phiz_status phiz_teacher_open(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                                   size_t count, const struct phiz_teacher_options *options, struct phiz_teacher *out)
{
	struct work w = {.ctx = ctx, .options = options};
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	status = open_model(&w, out);
	if (!status) {
		out->dim = (int)w.model->graph->value[w.output].type.shape.dim[1];
		out->embedding = phiz_calloc(ctx, dataset->count * (size_t)out->dim + 1, sizeof *out->embedding);
		status = out->embedding ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status)
		status = recall_or_embed(&w, dataset, index, count, out);
	phiz_plan_free(&w.plan);
	phiz_model_free(&w.model);
	if (status) {
		phiz_fail_in(ctx, "teacher");
		phiz_teacher_free(ctx, out);
	}
	return status;
}

void phiz_teacher_free(struct phiz_ctx *ctx, struct phiz_teacher *teacher)
{
	phiz_free(ctx, teacher->embedding);
	memset(teacher, 0, sizeof *teacher);
}
