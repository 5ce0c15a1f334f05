#include "train/teacher.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/graph/graph.h"
#include "core/io/safetensors.h"
#include "core/io/tensors.h"
#include "datasets/loader.h"
#include "train/embed_score.h"

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

static enum phiz_status make_plan(struct work *w)
{
	struct phiz_plan_options o;
	enum phiz_status status = phiz_model_optimize(w->model);
	struct phiz_graph *g = w->model->graph;

	if (status)
		return status;
	w->image = phiz_graph_find_value(g, "image");
	w->output = phiz_graph_output_at(g, 0);
	if (w->image == PHIZ_NONE || g->value[w->output].type.shape.ndim != 2)
		return phiz_fail(w->ctx, PHIZ_E_UNSUPPORTED, "%s: want an input 'image' and an embedding [N, D]",
		                 w->options->path);
	memset(&o, 0, sizeof o);
	o.backend = phiz_backend_cpu();
	o.mode = PHIZ_PLAN_INFER;
	o.batch = w->options->batch;
	o.height = o.width = w->preproc.size;
	o.loss = PHIZ_NONE;
	o.fixed = true;
	o.precision = w->options->precision;
	return phiz_plan_create(w->ctx, g, &o, &w->plan);
}

static enum phiz_status open_model(struct work *w, struct phiz_teacher *out)
{
	enum phiz_status status = phiz_model_read(w->ctx, w->options->path, &w->model);

	if (status)
		return status;
	phiz_model_hash(w->model, out->hash);
	w->preproc = w->model->preproc;
	if (w->preproc.align.kind == PHIZ_ALIGN_NONE && w->options->faces && w->options->align->kind != PHIZ_ALIGN_NONE) {
		w->preproc.align = *w->options->align;
		w->preproc.align.size = w->preproc.size;
	}
	status = choose_output(w);
	return status ? status : make_plan(w);
}

/* --- What an earlier session computed. --- */

enum { KEYS = 3 };
static const char *const keys[KEYS] = {"teacher", "data", "faces"};

/* What the embeddings depend on, as texts: the teacher, the photos' names and parts, where the faces are, how they are
 * cut out, and the precision. */
struct identity {
	char text[KEYS][65];
};

static void identify(const struct work *w, const struct phiz_dataset *dataset, const struct phiz_teacher *teacher,
                     struct identity *out)
{
	const struct phiz_landmarks *faces = w->options->faces;
	const struct phiz_align *a = &w->preproc.align;
	struct phiz_sha256 h;
	char how[80];
	size_t i;

	memcpy(out->text[0], teacher->hash, sizeof teacher->hash);
	phiz_dataset_sha256(dataset, out->text[1]);
	phiz_sha256_init(&h);
	snprintf(how, sizeof how, "mirrored %s %.17g %d %s", phiz_align_name(a->kind), a->margin, a->size,
	         phiz_dtype_name(w->options->precision));
	phiz_sha256_add(&h, how, strlen(how));
	for (i = 0; faces && i < faces->count; i++) {
		phiz_sha256_add(&h, faces->face[i].landmark, sizeof faces->face[i].landmark);
		phiz_sha256_add(&h, faces->face[i].box, sizeof faces->face[i].box);
	}
	phiz_sha256_hex(&h, out->text[2]);
}

static bool fits(const struct phiz_tensors *t, const struct identity *id, size_t samples, int dim)
{
	const struct phiz_tensor *e = phiz_tensors_find(t, "embedding");
	size_t k, i, found = 0;

	for (k = 0; k < KEYS; k++)
		for (i = 0; i < t->n_meta; i++)
			found += !strcmp(t->meta[i].key, keys[k]) && !strcmp(t->meta[i].text, id->text[k]);
	return found == KEYS && e && e->dtype == PHIZ_F32 && e->shape.ndim == 2 && e->shape.dim[0] == (int64_t)samples &&
	       e->shape.dim[1] == dim;
}

static bool read_cache(struct work *w, const struct identity *id, size_t samples, struct phiz_teacher *out)
{
	struct phiz_tensors t;
	bool taken = false;

	if (!w->options->cache || !phiz_path_is_file(w->options->cache))
		return false;
	if (phiz_safetensors_read(w->ctx, w->options->cache, &t)) {
		phiz_log(w->ctx, PHIZ_LOG_WARN, "%s; computed anew", phiz_ctx_message(w->ctx));
		phiz_ctx_clear(w->ctx);
		return false;
	}
	taken = fits(&t, id, samples, out->dim);
	if (taken)
		memcpy(out->embedding, phiz_tensors_find(&t, "embedding")->data, samples * (size_t)out->dim * sizeof(float));
	phiz_tensors_free(w->ctx, &t);
	return taken;
}

static void write_cache(struct work *w, const struct identity *id, size_t samples, const struct phiz_teacher *teacher)
{
	struct phiz_shape shape = phiz_shape_2d((int64_t)samples, teacher->dim);
	struct phiz_st_tensor t = {.name = "embedding", .dtype = PHIZ_F32, .shape = shape, .data = teacher->embedding,
	                           .bytes = samples * (size_t)teacher->dim * sizeof(float)};
	struct phiz_meta meta[KEYS];
	int k;

	if (!w->options->cache)
		return;
	for (k = 0; k < KEYS; k++) {
		meta[k].key = (char *)keys[k];
		meta[k].text = (char *)id->text[k];
	}
	if (phiz_st_write(w->ctx, w->options->cache, &t, 1, meta, KEYS)) {
		phiz_log(w->ctx, PHIZ_LOG_WARN, "%s: the teacher's embeddings are not kept", phiz_ctx_message(w->ctx));
		phiz_ctx_clear(w->ctx);
	}
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

enum phiz_status phiz_teacher_open(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                                   size_t count, const struct phiz_teacher_options *options, struct phiz_teacher *out)
{
	struct work w = {.ctx = ctx, .options = options};
	struct phiz_loader_options o;
	struct phiz_loader *loader = NULL;
	struct identity id;
	enum phiz_status status;
	bool kept = false;

	memset(out, 0, sizeof *out);
	status = open_model(&w, out);
	if (!status) {
		out->dim = (int)w.model->graph->value[w.output].type.shape.dim[1];
		out->embedding = phiz_calloc(ctx, dataset->count * (size_t)out->dim + 1, sizeof *out->embedding);
		status = out->embedding ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status) {
		identify(&w, dataset, out, &id);
		kept = read_cache(&w, &id, dataset->count, out);
	}
	memset(&o, 0, sizeof o);
	o.preproc = &w.preproc;
	o.batch = options->batch;
	o.faces = options->faces ? options->faces->face : NULL;
	if (!status && !kept)
		status = phiz_loader_open(ctx, dataset, index, count, &o, &loader);
	if (!status && !kept)
		status = embed_all(&w, loader, out);
	if (!status && !kept)
		write_cache(&w, &id, dataset->count, out);
	phiz_loader_free(&loader);
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
