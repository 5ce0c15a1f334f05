/* A model's parts: named tensors, labels, texts; copying and hashing. */
#include <phiz/model.h>
#include <phiz/tune.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/sha256.h"
#include "core/graph/graph.h"

enum phiz_status phiz_model_create(struct phiz_ctx *ctx, struct phiz_model **out)
{
	*out = NULL;
	struct phiz_model *m = phiz_calloc(ctx, 1, sizeof *m);
	if (!m)
		return PHIZ_E_NOMEM;
	m->ctx = ctx;
	phiz_preproc_torchvision(&m->preproc);
	enum phiz_status status = phiz_graph_create(ctx, &m->graph);
	if (status)
		phiz_model_free(&m);
	*out = m;
	return status;
}

static void free_labels(struct phiz_model *m)
{
	for (size_t i = 0; i < m->n_labels; i++)
		phiz_free(m->ctx, m->label[i]);
	phiz_free(m->ctx, m->label);
	m->label = NULL;
	m->n_labels = 0;
}

void phiz_model_free(struct phiz_model **model)
{
	if (!model || !*model)
		return;
	struct phiz_model *m = *model;
	struct phiz_ctx *ctx = m->ctx;
	phiz_graph_free(&m->graph);
	for (size_t i = 0; i < m->n_entries; i++) {
		phiz_free(ctx, m->entry[i].name);
		phiz_tensor_free(ctx, &m->entry[i].tensor);
	}
	phiz_free(ctx, m->entry);
	free_labels(m);
	for (size_t i = 0; i < m->n_meta; i++) {
		phiz_free(ctx, m->meta[i].key);
		phiz_free(ctx, m->meta[i].text);
	}
	phiz_free(ctx, m->meta);
	phiz_tuning_free(&m->tuning);
	phiz_free(ctx, m);
	*model = NULL;
}

struct phiz_entry *phiz_model_find(const struct phiz_model *model, const char *name)
{
	uint32_t hash = phiz_name_hash(name);

	for (size_t i = 0; i < model->n_entries; i++)
		if (model->entry[i].name_hash == hash && !strcmp(model->entry[i].name, name))
			return &model->entry[i];
	return NULL;
}

enum phiz_status phiz_model_add(struct phiz_model *model, const char *name, struct phiz_tensor *tensor, bool trainable)
{
	struct phiz_ctx *ctx = model->ctx;
	enum phiz_status status;

	if (phiz_model_find(model, name)) {
		status = phiz_fail(ctx, PHIZ_E_ARG, "the model has a tensor '%s' already", name);
	} else {
		status = phiz_grow(ctx, &model->entry, &model->entries_capacity, model->n_entries + 1, sizeof *model->entry);
		char *copy = status ? NULL : phiz_strdup(ctx, name);
		if (copy) {
			model->entry[model->n_entries++] = (struct phiz_entry){copy, phiz_name_hash(copy), tensor, trainable};
			return PHIZ_OK;
		}
		status = PHIZ_E_NOMEM;
	}
	phiz_tensor_free(ctx, &tensor);
	return status;
}

enum phiz_status phiz_model_set_labels(struct phiz_model *model, const char *const *label, size_t count)
{
	struct phiz_ctx *ctx = model->ctx;
	char **copy = phiz_calloc(ctx, count + 1, sizeof *copy);
	size_t n = 0;

	if (!copy)
		return PHIZ_E_NOMEM;
	for (; n < count; n++) {
		copy[n] = phiz_strdup(ctx, label[n]);
		if (!copy[n]) {
			while (n > 0)
				phiz_free(ctx, copy[--n]);
			phiz_free(ctx, copy);
			return PHIZ_E_NOMEM;
		}
	}
	free_labels(model);
	model->label = copy;
	model->n_labels = count;
	return PHIZ_OK;
}

static struct phiz_meta *find_meta(const struct phiz_model *m, const char *key)
{
	for (size_t i = 0; i < m->n_meta; i++)
		if (!strcmp(m->meta[i].key, key))
			return &m->meta[i];
	return NULL;
}

const char *phiz_model_meta(const struct phiz_model *model, const char *key)
{
	const struct phiz_meta *meta = find_meta(model, key);
	return meta ? meta->text : NULL;
}

static void remove_meta(struct phiz_model *m, struct phiz_meta *meta)
{
	phiz_free(m->ctx, meta->key);
	phiz_free(m->ctx, meta->text);
	memmove(meta, meta + 1, (size_t)(m->meta + m->n_meta - (meta + 1)) * sizeof *meta);
	m->n_meta--;
}

enum phiz_status phiz_model_set_meta(struct phiz_model *model, const char *key, const char *text)
{
	struct phiz_ctx *ctx = model->ctx;
	struct phiz_meta *meta = find_meta(model, key);

	if (!text) {
		if (meta)
			remove_meta(model, meta);
		return PHIZ_OK;
	}
	char *copy = phiz_strdup(ctx, text);
	if (!copy)
		return PHIZ_E_NOMEM;
	if (meta) {
		phiz_free(ctx, meta->text);
		meta->text = copy;
		return PHIZ_OK;
	}
	char *key_copy = phiz_strdup(ctx, key);
	if (!key_copy || phiz_grow(ctx, &model->meta, &model->meta_capacity, model->n_meta + 1, sizeof *model->meta)) {
		phiz_free(ctx, key_copy);
		phiz_free(ctx, copy);
		return PHIZ_E_NOMEM;
	}
	model->meta[model->n_meta++] = (struct phiz_meta){key_copy, copy};
	return PHIZ_OK;
}

static const char *const tasks[] = {NULL, "embed", "detect"}; /* by enum phiz_task */

enum phiz_task phiz_model_task(const struct phiz_model *model)
{
	const char *text = phiz_model_meta(model, "task");

	for (int i = 1; text && i < (int)(sizeof tasks / sizeof tasks[0]); i++)
		if (!strcmp(text, tasks[i]))
			return (enum phiz_task)i;
	return PHIZ_TASK_CLASSIFY;
}

enum phiz_status phiz_model_set_task(struct phiz_model *model, enum phiz_task task)
{
	return phiz_model_set_meta(model, "task", tasks[task]);
}

int64_t phiz_model_classes(const struct phiz_model *model)
{
	struct phiz_graph *g = model->graph;
	if (phiz_graph_n_outputs(g) == 0)
		return 0;
	const struct phiz_shape *s = &phiz_graph_value(g, phiz_graph_output_at(g, 0))->type.shape;
	return s->ndim >= 2 ? s->dim[1] : 0;
}

static enum phiz_status copy_entries(const struct phiz_model *from, struct phiz_model *to)
{
	for (size_t i = 0; i < from->n_entries; i++) {
		const struct phiz_entry *e = &from->entry[i];
		struct phiz_tensor *t;
		enum phiz_status status = phiz_tensor_create(to->ctx, e->tensor->dtype, &e->tensor->shape, &t);
		if (!status) {
			memcpy(t->data, e->tensor->data, phiz_tensor_bytes(t));
			status = phiz_model_add(to, e->name, t, e->trainable);
		}
		if (status)
			return status;
	}
	return PHIZ_OK;
}

/* The graph's parameters and buffers borrow the model's own tensors of the same names. */
static enum phiz_status borrow_entries(struct phiz_model *m)
{
	for (int i = 0; i < phiz_graph_n_values(m->graph); i++) {
		struct phiz_value *v = phiz_graph_value(m->graph, i);
		struct phiz_entry *e = v->tensor ? phiz_model_find(m, v->name) : NULL;
		if (v->tensor && !e)
			return phiz_fail(m->ctx, PHIZ_E_INTERNAL, "the graph reads '%s', which the model does not hold", v->name);
		if (e)
			v->tensor = e->tensor;
	}
	return PHIZ_OK;
}

enum phiz_status phiz_model_clone(const struct phiz_model *model, struct phiz_model **out)
{
	struct phiz_model *m;
	enum phiz_status status = phiz_model_create(model->ctx, &m);

	*out = NULL;
	if (status)
		return status;
	phiz_graph_free(&m->graph);
	status = phiz_graph_clone(model->graph, &m->graph);
	if (!status)
		status = copy_entries(model, m);
	if (!status)
		status = phiz_model_set_labels(m, (const char *const *)model->label, model->n_labels);
	for (size_t i = 0; !status && i < model->n_meta; i++)
		status = phiz_model_set_meta(m, model->meta[i].key, model->meta[i].text);
	m->preproc = model->preproc;
	m->threshold = model->threshold;
	if (!status)
		status = borrow_entries(m);
	if (status)
		phiz_model_free(&m);
	*out = m;
	return status;
}

enum phiz_status phiz_model_prune(struct phiz_model *model)
{
	enum phiz_status status = phiz_pass_prune(model->graph);
	size_t kept = 0;

	if (status)
		return status;
	for (size_t i = 0; i < model->n_entries; i++) {
		if (phiz_graph_find_value(model->graph, model->entry[i].name) != PHIZ_NONE) {
			model->entry[kept++] = model->entry[i];
		} else {
			phiz_free(model->ctx, model->entry[i].name);
			phiz_tensor_free(model->ctx, &model->entry[i].tensor);
		}
	}
	model->n_entries = kept;
	return PHIZ_OK;
}

/* The entry whose name comes next after `last` in bytewise order, or NULL. */
static const struct phiz_entry *next_entry(const struct phiz_model *m, const char *last)
{
	const struct phiz_entry *next = NULL;

	for (size_t i = 0; i < m->n_entries; i++) {
		const struct phiz_entry *e = &m->entry[i];
		if ((!last || strcmp(e->name, last) > 0) && (!next || strcmp(e->name, next->name) < 0))
			next = e;
	}
	return next;
}

void phiz_model_hash(const struct phiz_model *model, char out[65])
{
	struct phiz_sha256 h;
	char shape[128];

	phiz_sha256_init(&h);
	for (const struct phiz_entry *e = next_entry(model, NULL); e; e = next_entry(model, e->name)) {
		const char *dtype = phiz_dtype_name(e->tensor->dtype);
		phiz_shape_text(&e->tensor->shape, shape);
		phiz_sha256_add(&h, e->name, strlen(e->name) + 1);
		phiz_sha256_add(&h, dtype, strlen(dtype) + 1);
		phiz_sha256_add(&h, shape, strlen(shape) + 1);
		phiz_sha256_add(&h, e->tensor->data, phiz_tensor_bytes(e->tensor));
	}
	phiz_sha256_hex(&h, out);
}
