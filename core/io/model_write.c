/* Writing the model file (model_file.c describes the format). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/io/json.h"
#include "core/io/model_file.h"
#include "core/io/model_sums.h"

enum {
	KEY_PHIZ,
	KEY_GRAPH,
	KEY_LABELS,
	KEY_PREPROC,
	KEY_META,
	KEY_CRC32,
	KEY_BLAKE2B,
	KEY_SHA256,
	KEY_THRESHOLD,
	KEYS
};

struct model_writer {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
	const char *path;
	enum phiz_dtype precision;  /* of tensors of two and more dims */
	struct phiz_summed *tensor; /* sorted by name once they are summed */
	void **converted;           /* memory of tensors that are stored in another dtype, in the order of entries */
	size_t count;
	struct phiz_bytes text[KEYS];
};

static const char *const key_names[KEYS] = {"phiz", "graph", "labels", "preprocessing", "meta", "crc32", "blake2b",
                                            "sha256", "threshold"};

static enum phiz_status read_precision(struct model_writer *w)
{
	const char *text = phiz_model_meta(w->model, "precision");

	w->precision = PHIZ_F32;
	if (!text || strcmp(text, "fp32") == 0 || strcmp(text, "int8") == 0) /* bytes are bytes, the rest is exact */
		return PHIZ_OK;
	w->precision = strcmp(text, "fp16") == 0 ? PHIZ_F16 : PHIZ_BF16;
	if (w->precision == PHIZ_F16 || strcmp(text, "bf16") == 0)
		return PHIZ_OK;
	return phiz_fail(w->ctx, PHIZ_E_ARG, "%s: precision: want fp32, fp16, bf16 or int8, got '%s'", w->path, text);
}

static void describe(const struct phiz_entry *entry, struct phiz_summed *out)
{
	const struct phiz_tensor *t = entry->tensor;

	out->file.name = entry->name;
	out->file.dtype = t->dtype;
	out->file.shape = t->shape;
	out->file.data = t->data;
	out->file.bytes = phiz_tensor_bytes(t);
}

/* 16 bits hold less than 32: what was finite must stay so. */
static bool overflows(const struct phiz_tensor *from, const struct phiz_tensor *to)
{
	uint16_t infinity = to->dtype == PHIZ_F16 ? 0x7c00 : 0x7f80;
	const uint16_t *h = to->data;
	const float *f = from->data;
	int64_t i, n = phiz_tensor_count(from);

	for (i = 0; i < n; i++)
		if ((h[i] & 0x7fff) == infinity && isfinite(f[i]))
			return true;
	return false;
}

static enum phiz_status convert(struct model_writer *w, const struct phiz_entry *entry, struct phiz_summed *out,
                                void **memory)
{
	size_t bytes = phiz_tensor_bytes(entry->tensor) / 2;
	struct phiz_tensor to;
	enum phiz_status status;
	char shown[PHIZ_SHOWN];

	*memory = phiz_alloc(w->ctx, bytes, 1);
	if (!*memory)
		return PHIZ_E_NOMEM;
	phiz_tensor_view(&to, w->precision, &entry->tensor->shape, *memory);
	status = phiz_tensor_convert(w->ctx, entry->tensor, &to);
	if (!status && overflows(entry->tensor, &to))
		status = phiz_fail(w->ctx, PHIZ_E_NUMERIC, "%s: tensor '%s' has values that %s cannot hold: use fp32 or bf16",
		                   w->path, phiz_shown(entry->name, strlen(entry->name), shown), phiz_dtype_name(w->precision));
	out->file.dtype = w->precision;
	out->file.data = *memory;
	out->file.bytes = bytes;
	return status;
}

static enum phiz_status add_entries(struct model_writer *w, const struct phiz_entry *entry, size_t n, bool may_convert)
{
	enum phiz_status status = PHIZ_OK;
	char shown[PHIZ_SHOWN];
	size_t i;

	for (i = 0; !status && i < n; i++) {
		const struct phiz_tensor *t = entry[i].tensor;

		if (!phiz_tensor_contiguous(t))
			return phiz_fail(w->ctx, PHIZ_E_ARG, "%s: tensor '%s' is not contiguous", w->path,
			                 phiz_shown(entry[i].name, strlen(entry[i].name), shown));
		describe(&entry[i], &w->tensor[w->count]);
		if (may_convert && w->precision != PHIZ_F32 && t->dtype == PHIZ_F32 && t->shape.ndim >= 2)
			status = convert(w, &entry[i], &w->tensor[w->count], &w->converted[i]);
		w->count++;
	}
	return status;
}

/* The graph may only read what the file will hold. */
static enum phiz_status check_tensors(struct model_writer *w)
{
	struct phiz_graph *graph = w->model->graph;
	const struct phiz_entry *entry;
	char shown[PHIZ_SHOWN];
	int i;

	for (i = 0; i < phiz_graph_n_values(graph); i++) {
		const struct phiz_value *v = phiz_graph_value(graph, i);

		if (v->kind != PHIZ_VALUE_PARAM && v->kind != PHIZ_VALUE_BUFFER)
			continue;
		entry = phiz_model_find(w->model, v->name);
		if (!entry || entry->tensor != v->tensor || entry->trainable != (v->kind == PHIZ_VALUE_PARAM))
			return phiz_fail(w->ctx, PHIZ_E_ARG,
			                 "%s: the graph reads '%s', which is not the model's tensor of that name", w->path,
			                 phiz_shown(v->name, strlen(v->name), shown));
	}
	return PHIZ_OK;
}

static void sum_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct phiz_summed *tensor = arg;

	(void)worker;
	for (; begin < end; begin++) {
		struct phiz_summed *t = &tensor[begin];

		t->crc = phiz_crc32(0, t->file.data, t->file.bytes);
		phiz_digest(t->file.data, t->file.bytes, t->digest);
	}
}

static enum phiz_status add_sums(struct model_writer *w)
{
	struct phiz_text_pair pair[KEYS];
	char digest[2 * PHIZ_DIGEST_BYTES + 1], root[65];
	size_t i, n = 0;
	char *crc = phiz_alloc(w->ctx, w->count + 1, 8);

	if (!crc)
		return PHIZ_E_NOMEM;
	phiz_parallel_for(w->ctx, (int64_t)w->count, 1, sum_range, w->tensor);
	phiz_sums_sort(w->tensor, w->count);
	phiz_sums_crc_text(w->tensor, w->count, crc);
	phiz_bytes_text(&w->text[KEY_CRC32], crc);
	phiz_free(w->ctx, crc);
	phiz_sums_digest_text(w->tensor, w->count, digest);
	phiz_bytes_text(&w->text[KEY_BLAKE2B], digest);
	for (i = 0; i < KEYS; i++) {
		if (phiz_bytes_status(&w->text[i]))
			return phiz_bytes_status(&w->text[i]);
		if (i == KEY_SHA256 || (i == KEY_THRESHOLD && !w->model->threshold.set))
			continue;
		pair[n].key = key_names[i];
		pair[n++].text = w->text[i].data;
	}
	phiz_sums_root_text(pair, n, w->tensor, w->count, root);
	phiz_bytes_text(&w->text[KEY_SHA256], root);
	return phiz_bytes_status(&w->text[KEY_SHA256]);
}

static enum phiz_status add_texts(struct model_writer *w)
{
	phiz_bytes_text(&w->text[KEY_PHIZ], "1");
	phiz_labels_to_json(w->model, &w->text[KEY_LABELS]);
	phiz_preproc_to_json(&w->model->preproc, &w->text[KEY_PREPROC]);
	phiz_meta_to_json(w->model, &w->text[KEY_META]);
	if (w->model->threshold.set)
		phiz_threshold_to_json(&w->model->threshold, &w->text[KEY_THRESHOLD]);
	return phiz_graph_to_json(w->model, &w->text[KEY_GRAPH]);
}

static enum phiz_status store(struct model_writer *w)
{
	struct phiz_st_tensor *item = phiz_alloc(w->ctx, w->count, sizeof(*item));
	struct phiz_meta meta[KEYS];
	enum phiz_status status = item ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t i, n = 0;

	for (i = 0; i < KEYS; i++) {
		if (i == KEY_THRESHOLD && !w->model->threshold.set)
			continue;
		meta[n].key = (char *)(uintptr_t)key_names[i]; /* only read */
		meta[n++].text = w->text[i].data;
	}
	for (i = 0; !status && i < w->count; i++)
		item[i] = w->tensor[i].file;
	if (!status)
		status = phiz_st_sort(w->ctx, item, w->count);
	if (!status)
		status = phiz_st_write(w->ctx, w->path, item, w->count, meta, n);
	phiz_free(w->ctx, item);
	return status;
}

static enum phiz_status write_model(struct model_writer *w, const struct phiz_extra *extra)
{
	size_t n_extra = extra ? extra->count : 0;
	enum phiz_status status;

	status = phiz_model_check(w->model, w->path, PHIZ_E_ARG);
	if (!status)
		status = check_tensors(w);
	if (!status)
		status = read_precision(w);
	if (status)
		return status;
	w->tensor = phiz_calloc(w->ctx, w->model->n_entries + n_extra, sizeof(*w->tensor));
	w->converted = phiz_calloc(w->ctx, w->model->n_entries, sizeof(*w->converted));
	if (!w->tensor || !w->converted)
		return PHIZ_E_NOMEM;
	status = add_entries(w, w->model->entry, w->model->n_entries, true);
	if (!status && extra)
		status = add_entries(w, extra->entry, n_extra, false);
	if (!status)
		status = add_texts(w);
	if (!status)
		status = add_sums(w);
	return status ? status : store(w);
}

enum phiz_status phiz_model_write_with(struct phiz_model *model, const struct phiz_extra *extra, const char *path)
{
	struct model_writer w;
	enum phiz_status status;
	size_t i;

	memset(&w, 0, sizeof(w));
	w.ctx = model->ctx;
	w.model = model;
	w.path = path;
	for (i = 0; i < KEYS; i++)
		phiz_bytes_init(&w.text[i], w.ctx);
	status = write_model(&w, extra);
	for (i = 0; i < KEYS; i++)
		phiz_bytes_free(&w.text[i]);
	for (i = 0; w.converted && i < model->n_entries; i++)
		phiz_free(w.ctx, w.converted[i]);
	phiz_free(w.ctx, w.converted);
	phiz_free(w.ctx, w.tensor);
	return status;
}

enum phiz_status phiz_model_write(struct phiz_model *model, const char *path)
{
	return phiz_model_write_with(model, NULL, path);
}
