/* The model file (.phiz): a safetensors file, so that other tools can open it, whose tensors are the model's entries
 * (and a checkpoint's extra tensors) and whose __metadata__ holds the rest, each as text:
 *
 *   phiz           version of this format, "1"
 *   graph          graph_json.c: inputs, the names of the model's own tensors, nodes, outputs
 *   labels, preprocessing, threshold (only if one is set), meta      model_json.c
 *   crc32          eight hex digits a tensor, in bytewise order of names: CRC-32 of its bytes
 *   blake2b        BLAKE2b-256 over the tensors' BLAKE2b-256 digests, in the same order
 *   sha256         SHA-256 over all other metadata (key NUL text NUL, keys in bytewise order), then all tensors
 *                  (name NUL dtype NUL shape NUL, in the same order)
 *
 * Why three sums: starting up must take milliseconds, and SHA-256 in portable C does some 200 MB/s (230 ms for a
 * ResNet-18 in float32), BLAKE2b 750 MB/s (60 ms), zlib's CRC-32 3.5 GB/s (13 ms). So reading checks the sha256, which
 * covers all of the header, and the CRCs of the tensors that it reads, which finds any damage that is an accident.
 * phiz_model_verify checks the digests as well. Through crc32 and blake2b, sha256 stands for every bit in the file: it
 * is the file's identity, for caches and for comparing. None of it is a signature: who can write the file can write its
 * sums. Sums go by name and not by place, so that another tool may store the same tensors in another order.
 *
 * Tensors of two and more dims may be stored in 16 bits (the text "precision" in meta: fp32, fp16, bf16, int8); they
 * are float32 in memory. Extra tensors are those that the graph does not list. */
#include "core/io/model_file.h"

#include <math.h>
#include <phiz/tune.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/thread.h"
#include "core/io/json.h"
#include "core/io/model_sums.h"
#include "core/io/tensors.h"
#include "core/tensor/convert.h"

#define VERSION 1
#define PIECE 32768 /* bytes; stay in the cache between reading and summing */

/* One tensor on its way from the file into memory. */
struct load {
	const struct model_reader *reader;
	const struct phiz_summed *from;
	struct phiz_tensor *to;
	bool unread, damaged;
};

struct model_reader {
	struct phiz_ctx *ctx;
	const char *path;
	enum phiz_model_checks checks;
	const struct phiz_input *file; /* NULL: all of it is in memory */
	struct phiz_st_index index;
	struct phiz_summed *tensor; /* sorted by name */
	bool *taken;                /* by the model; the others are extra */
	json_t *graph;
	struct phiz_model *model;
	struct phiz_extra *extra; /* NULL: not wanted */
	struct load *load;
	size_t n_loads;
};

/* ---- Checking ---- */

static const char *find_detector_fault(struct phiz_graph *graph)
{
	int n_inputs = 0;

	for (int i = 0; i < phiz_graph_n_values(graph); i++) {
		const struct phiz_value *v = phiz_graph_value(graph, i);
		const struct phiz_shape *shape = &v->type.shape;
		if (v->kind != PHIZ_VALUE_INPUT)
			continue;
		n_inputs++;
		if (v->type.dtype != PHIZ_F32 || shape->ndim != 4 || shape->dim[0] != 1 || shape->dim[1] != 3)
			return "want inputs of f32 and shape [1, 3, H, W]";
	}
	return n_inputs < 1 || phiz_graph_n_outputs(graph) < 1 ? "a detector without inputs or outputs" : NULL;
}

static const char *find_fault(struct phiz_model *model)
{
	struct phiz_graph *graph = model->graph;
	const struct phiz_threshold *t = &model->threshold;
	int input = phiz_graph_find_value(graph, "image"), n_inputs = 0, i;
	const struct phiz_value *v;

	if (model->n_meta > PHIZ_MODEL_MAX_META)
		return "more than 1024 texts in meta";
	if (phiz_model_task(model) == PHIZ_TASK_DETECT)
		return find_detector_fault(graph);
	for (i = 0; i < phiz_graph_n_values(graph); i++)
		n_inputs += phiz_graph_value(graph, i)->kind == PHIZ_VALUE_INPUT;
	if (input == PHIZ_NONE || n_inputs != 1 || phiz_graph_n_outputs(graph) != 1)
		return "want one input 'image' and one output";
	v = phiz_graph_value(graph, input);
	if (v->kind != PHIZ_VALUE_INPUT || v->type.dtype != PHIZ_F32 || v->type.shape.ndim != 4 ||
	    v->type.shape.dim[0] != 1 || v->type.shape.dim[1] != 3 || v->type.shape.dim[2] != v->type.shape.dim[3])
		return "want input 'image' of f32 and shape [1, 3, S, S]";
	v = phiz_graph_value(graph, phiz_graph_output_at(graph, 0));
	if (v->type.shape.ndim < 2 || v->type.shape.dim[0] != 1)
		return "want an output of shape [1, N, ...]";
	if (model->n_labels > 0 && (int64_t)model->n_labels != v->type.shape.dim[1])
		return "the number of labels is not that of the outputs";
	if (t->set && (!isfinite(t->value) || !isfinite(t->far) || !isfinite(t->measured_far) || !isfinite(t->tar) ||
	               t->strangers < 0))
		return "the threshold is not made of finite numbers";
	return NULL;
}

enum phiz_status phiz_model_check(struct phiz_model *model, const char *path, enum phiz_status status)
{
	const char *fault = find_fault(model);
	char text[PHIZ_SHOWN];

	if (!fault && phiz_preproc_check(model->ctx, &model->preproc))
		fault = phiz_shown(phiz_ctx_message(model->ctx), strlen(phiz_ctx_message(model->ctx)), text);
	return fault ? phiz_fail(model->ctx, status, "%s: %s", path, fault) : PHIZ_OK;
}

static enum phiz_status read_version(struct model_reader *r, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (!text)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT,
		                 "%s: a safetensors file, but not a phiz model; 'phiz import' makes one of it", r->path);
	if (n == 0 || n > 9 || strspn(text, "0123456789") != n)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: not a version of the model format", r->path);
	if (n == 1 && text[0] == '0' + VERSION)
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_UNSUPPORTED, "%s: model format %s, this phiz reads %d: get a newer phiz", r->path,
	                 text, VERSION);
}

static const char *get_text(const struct model_reader *r, const char *key)
{
	return json_string_value(json_object_get(r->index.metadata, key));
}

static enum phiz_status check_root(struct model_reader *r)
{
	size_t n = json_object_size(r->index.metadata), i = 0;
	struct phiz_text_pair *pair = phiz_alloc(r->ctx, n, sizeof(*pair));
	char root[65];
	const char *key;
	json_t *value;

	if (!pair)
		return PHIZ_E_NOMEM;
	json_object_foreach(r->index.metadata, key, value) {
		pair[i].key = key;
		pair[i++].text = json_string_value(value);
	}
	phiz_sums_root_text(pair, n, r->tensor, r->index.count, root);
	phiz_free(r->ctx, pair);
	if (strcmp(root, get_text(r, "sha256")) == 0)
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: damaged: the header does not match its SHA-256; copy the file again",
	                 r->path);
}

static bool read_at(const struct model_reader *r, const struct phiz_st_tensor *t, size_t offset, void *to, size_t n)
{
	if (r->file)
		return phiz_input_read(r->file, r->index.data_begin + t->begin + offset, to, n);
	memcpy(to, (const unsigned char *)t->data + offset, n);
	return true;
}

static bool read_load(void *user, size_t offset, void *to, size_t n)
{
	const struct load *load = user;

	return read_at(load->reader, &load->from->file, offset, to, n);
}

static void digest_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct model_reader *r = arg;

	(void)worker;
	for (; begin < end; begin++) {
		struct phiz_summed *t = &r->tensor[begin];
		struct load load = {r, t, NULL, false, false};

		/* What cannot be read gets a digest that matches nothing. */
		if (!phiz_digest_read(read_load, &load, t->file.bytes, t->digest))
			memset(t->digest, 0, sizeof(t->digest));
	}
}

static enum phiz_status check_digests(struct model_reader *r)
{
	char text[2 * PHIZ_DIGEST_BYTES + 1];

	phiz_parallel_for(r->ctx, (int64_t)r->index.count, 1, digest_range, r);
	phiz_sums_digest_text(r->tensor, r->index.count, text);
	if (strcmp(text, get_text(r, "blake2b")) == 0)
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: damaged: the tensors do not match their BLAKE2b digest; copy the file "
	                 "again", r->path);
}

static enum phiz_status open_index(struct model_reader *r, const void *head, size_t head_size, size_t file_size)
{
	static const char *const keys[] = {"graph", "labels", "preprocessing", "meta", "crc32", "blake2b", "sha256"};
	enum phiz_status status;
	size_t i;

	status = phiz_st_open(r->ctx, head, head_size, file_size, r->path, &r->index);
	if (!status)
		status = read_version(r, get_text(r, "phiz"));
	for (i = 0; !status && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!get_text(r, keys[i]))
			status = phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: the metadata '%s' is missing", r->path, keys[i]);
	if (status)
		return status;
	r->tensor = phiz_calloc(r->ctx, r->index.count, sizeof(*r->tensor));
	r->taken = phiz_calloc(r->ctx, r->index.count, sizeof(*r->taken));
	r->load = phiz_calloc(r->ctx, r->index.count, sizeof(*r->load));
	if (!r->tensor || !r->taken || !r->load)
		return PHIZ_E_NOMEM;
	for (i = 0; i < r->index.count; i++)
		r->tensor[i].file = r->index.tensor[i];
	phiz_sums_sort(r->tensor, r->index.count);
	if (!phiz_sums_crc_read(r->tensor, r->index.count, get_text(r, "crc32")) && r->checks != PHIZ_MODEL_CHECK_NONE)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: damaged: the metadata 'crc32' is not eight hex digits a tensor",
		                 r->path);
	return PHIZ_OK;
}

static enum phiz_status check_sums(struct model_reader *r)
{
	enum phiz_status status = PHIZ_OK;

	if (r->checks != PHIZ_MODEL_CHECK_NONE)
		status = check_root(r);
	if (!status && r->checks == PHIZ_MODEL_CHECK_ALL)
		status = check_digests(r);
	return status;
}

/* ---- Tensors ---- */

static int compare_name(const void *key, const void *item)
{
	const struct phiz_summed *t = item;

	return strcmp(key, t->file.name);
}

static enum phiz_status make_tensor(struct model_reader *r, const struct phiz_summed *from, enum phiz_dtype dtype,
                                    struct phiz_tensor **out)
{
	enum phiz_status status = phiz_tensor_create(r->ctx, dtype, &from->file.shape, out);

	if (!status) {
		r->load[r->n_loads].reader = r;
		r->load[r->n_loads].from = from;
		r->load[r->n_loads].to = *out;
		r->n_loads++;
	}
	return status;
}

static enum phiz_status take_tensor(void *user, const char *name, bool trainable)
{
	struct model_reader *r = user;
	const struct phiz_summed *from = NULL;
	struct phiz_tensor *tensor;
	enum phiz_status status;
	char shown[PHIZ_SHOWN];
	enum phiz_dtype dtype;

	phiz_shown(name, strlen(name), shown);
	if (r->index.count > 0)
		from = bsearch(name, r->tensor, r->index.count, sizeof(*from), compare_name);
	if (!from || r->taken[from - r->tensor])
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' is %s", r->path, shown,
		                 from ? "listed twice" : "missing");
	r->taken[from - r->tensor] = true;
	dtype = from->file.dtype == PHIZ_F16 || from->file.dtype == PHIZ_BF16 ? PHIZ_F32 : from->file.dtype;
	status = make_tensor(r, from, dtype, &tensor);
	return status ? status : phiz_model_add(r->model, name, tensor, trainable);
}

static enum phiz_status take_extra(struct model_reader *r)
{
	enum phiz_status status = PHIZ_OK;
	struct phiz_tensor *tensor;
	size_t i, k;

	/* In the order of the file. */
	for (i = 0; !status && i < r->index.count; i++) {
		const char *name = r->index.tensor[i].name;
		const struct phiz_summed *from = bsearch(name, r->tensor, r->index.count, sizeof(*from), compare_name);

		k = (size_t)(from - r->tensor);
		if (r->taken[k])
			continue;
		status = make_tensor(r, from, from->file.dtype, &tensor);
		if (!status)
			status = phiz_extra_add(r->ctx, r->extra, name, tensor);
	}
	return status;
}

/* The same dtype in memory: straight into the tensor. */
static bool load_same(struct load *load, uint32_t *crc)
{
	size_t done, n, bytes = load->from->file.bytes;
	unsigned char *to = load->to->data;

	for (done = 0; done < bytes; done += n) {
		n = bytes - done < PIECE ? bytes - done : PIECE;
		if (!read_load(load, done, to + done, n))
			return false;
		*crc = phiz_crc32(*crc, to + done, n);
	}
	return true;
}

/* 16 bits in the file, float32 in memory. */
static bool load_wider(struct load *load, uint32_t *crc)
{
	size_t done, n, bytes = load->from->file.bytes;
	uint16_t piece[PIECE / sizeof(uint16_t)];
	float *to = load->to->data;

	for (done = 0; done < bytes; done += n) {
		n = bytes - done < sizeof(piece) ? bytes - done : sizeof(piece);
		if (!read_load(load, done, piece, n))
			return false;
		*crc = phiz_crc32(*crc, piece, n);
		if (load->from->file.dtype == PHIZ_F16)
			phiz_widen_f16(piece, to, (int64_t)(n / sizeof(*piece)));
		else
			phiz_widen_bf16(piece, to, (int64_t)(n / sizeof(*piece)));
		to += n / sizeof(*piece);
	}
	return true;
}

static void load_tensor(struct load *load)
{
	bool same = load->from->file.dtype == load->to->dtype;
	uint32_t crc = 0;

	load->unread = !(same ? load_same(load, &crc) : load_wider(load, &crc));
	load->damaged = crc != load->from->crc;
}

static void load_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct load *load = arg;

	(void)worker;
	for (; begin < end; begin++)
		load_tensor(&load[begin]);
}

static enum phiz_status load_tensors(struct model_reader *r)
{
	char shown[PHIZ_SHOWN];
	size_t i;

	phiz_parallel_for(r->ctx, (int64_t)r->n_loads, 1, load_range, r->load);
	for (i = 0; i < r->n_loads; i++) {
		const char *name = r->load[i].from->file.name;

		if (r->load[i].unread)
			return phiz_fail(r->ctx, PHIZ_E_IO, "%s: tensor '%s' cannot be read: the disk fails, or the file was cut "
			                 "while it was read", r->path, phiz_shown(name, strlen(name), shown));
		if (r->load[i].damaged && r->checks != PHIZ_MODEL_CHECK_NONE)
			return phiz_fail(r->ctx, PHIZ_E_FORMAT,
			                 "%s: damaged: tensor '%s' does not match its CRC-32; copy the file again", r->path,
			                 phiz_shown(name, strlen(name), shown));
	}
	return PHIZ_OK;
}

/* ---- The whole ---- */

static enum phiz_status read_graph(struct model_reader *r)
{
	const char *text = get_text(r, "graph");
	char *what = phiz_asprintf(r->ctx, "%s: graph", r->path);
	enum phiz_status status;

	if (!what)
		return PHIZ_E_NOMEM;
	status = phiz_json_parse(r->ctx, text, strlen(text), what, &r->graph);
	phiz_free(r->ctx, what);
	return status;
}

static enum phiz_status read_rest(struct model_reader *r)
{
	const char *threshold = get_text(r, "threshold");
	struct phiz_model *m = r->model;
	enum phiz_status status;

	status = phiz_labels_from_json(m, get_text(r, "labels"), r->path);
	if (!status)
		status = phiz_preproc_from_json(m, get_text(r, "preprocessing"), r->path);
	if (!status && threshold)
		status = phiz_threshold_from_json(m, threshold, r->path);
	if (!status)
		status = phiz_meta_from_json(m, get_text(r, "meta"), r->path);
	return status ? status : phiz_model_check(m, r->path, PHIZ_E_FORMAT);
}

static enum phiz_status read_model(struct model_reader *r, const void *head, size_t head_size, size_t file_size)
{
	enum phiz_status status;

	status = open_index(r, head, head_size, file_size);
	if (!status)
		status = check_sums(r);
	if (!status)
		status = read_graph(r);
	if (!status)
		status = phiz_model_create(r->ctx, &r->model);
	if (!status)
		status = phiz_graph_json_tensors(r->ctx, r->graph, r->path, take_tensor, r);
	if (!status && r->extra)
		status = take_extra(r);
	if (!status)
		status = load_tensors(r);
	if (!status)
		status = phiz_graph_from_json(r->model, r->graph, r->path);
	return status ? status : read_rest(r);
}

/* head: the beginning of the file up to its data, or all of it (then file is NULL). */
static enum phiz_status read_with(struct model_reader *r, const void *head, size_t head_size, size_t file_size,
                                  struct phiz_model **out)
{
	enum phiz_status status = read_model(r, head, head_size, file_size);

	json_decref(r->graph);
	phiz_free(r->ctx, r->tensor);
	phiz_free(r->ctx, r->taken);
	phiz_free(r->ctx, r->load);
	phiz_st_close(r->ctx, &r->index);
	if (status) {
		phiz_model_free(&r->model);
		if (r->extra)
			phiz_extra_free(r->ctx, r->extra);
	}
	*out = r->model;
	return status;
}

enum phiz_status phiz_model_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                  enum phiz_model_checks checks, struct phiz_model **out, struct phiz_extra *extra)
{
	struct model_reader r = {.ctx = ctx, .path = path, .checks = checks, .extra = extra};

	if (extra)
		memset(extra, 0, sizeof(*extra));
	return read_with(&r, data, size, size, out);
}

static enum phiz_status fail_cut(struct phiz_ctx *ctx, const char *path)
{
	return phiz_fail(ctx, PHIZ_E_IO, "%s: cannot be read: the disk fails, or the file was cut while it was read", path);
}

/* The beginning of the file, up to its data. */
static enum phiz_status read_head(struct phiz_ctx *ctx, const struct phiz_input *file, const char *path,
                                  unsigned char **head, size_t *head_size)
{
	unsigned char some[512];
	size_t n = file->size < sizeof(some) ? file->size : sizeof(some);
	enum phiz_status status;

	if (!phiz_input_read(file, 0, some, n))
		return fail_cut(ctx, path);
	if (n > 2 && memcmp(some, "PK", 2) == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a zip archive (a PyTorch file?), not a phiz model; 'phiz import' "
		                 "makes one of it", path);
	status = phiz_st_head_size(ctx, some, n, file->size, path, head_size);
	if (status)
		return status;
	*head = phiz_alloc(ctx, *head_size, 1);
	if (!*head)
		return PHIZ_E_NOMEM;
	return phiz_input_read(file, 0, *head, *head_size) ? PHIZ_OK : fail_cut(ctx, path);
}

static enum phiz_status read_file(struct phiz_ctx *ctx, const char *path, enum phiz_model_checks checks,
                                  struct phiz_model **out, struct phiz_extra *extra)
{
	struct phiz_input file;
	struct model_reader r = {.ctx = ctx, .path = path, .checks = checks, .file = &file, .extra = extra};
	unsigned char *head = NULL;
	size_t head_size = 0;
	enum phiz_status status;

	*out = NULL;
	if (extra)
		memset(extra, 0, sizeof(*extra));
	status = phiz_input_open(ctx, path, &file);
	if (status)
		return status;
	status = read_head(ctx, &file, path, &head, &head_size);
	if (!status)
		status = read_with(&r, head, head_size, file.size, out);
	phiz_free(ctx, head);
	phiz_input_close(&file);
	return status;
}

enum phiz_status phiz_model_read(struct phiz_ctx *ctx, const char *path, struct phiz_model **out)
{
	enum phiz_status status = read_file(ctx, path, PHIZ_MODEL_CHECK_FAST, out, NULL);

	if (!status)
		status = phiz_tuning_open_beside(ctx, path, &(*out)->tuning);
	if (status)
		phiz_model_free(out);
	return status;
}

enum phiz_status phiz_model_read_with(struct phiz_ctx *ctx, const char *path, struct phiz_model **out,
                                      struct phiz_extra *extra)
{
	return read_file(ctx, path, PHIZ_MODEL_CHECK_FAST, out, extra);
}

enum phiz_status phiz_model_verify(struct phiz_ctx *ctx, const char *path)
{
	struct phiz_extra extra;
	struct phiz_model *model;
	enum phiz_status status;

	status = read_file(ctx, path, PHIZ_MODEL_CHECK_ALL, &model, &extra);
	phiz_extra_free(ctx, &extra);
	phiz_model_free(&model);
	return status;
}

/* ---- Extra tensors ---- */

enum phiz_status phiz_extra_add(struct phiz_ctx *ctx, struct phiz_extra *extra, const char *name,
                                struct phiz_tensor *tensor)
{
	char *copy = phiz_strdup(ctx, name);
	enum phiz_status status;

	status = copy ? phiz_grow(ctx, &extra->entry, &extra->capacity, extra->count + 1, sizeof(*extra->entry))
	              : PHIZ_E_NOMEM;
	if (status) {
		phiz_free(ctx, copy);
		phiz_tensor_free(ctx, &tensor);
		return status;
	}
	extra->entry[extra->count].name = copy;
	extra->entry[extra->count].tensor = tensor;
	extra->entry[extra->count].trainable = false;
	extra->count++;
	return PHIZ_OK;
}

struct phiz_tensor *phiz_extra_find(const struct phiz_extra *extra, const char *name)
{
	size_t i;

	for (i = 0; i < extra->count; i++)
		if (strcmp(extra->entry[i].name, name) == 0)
			return extra->entry[i].tensor;
	return NULL;
}

void phiz_extra_free(struct phiz_ctx *ctx, struct phiz_extra *extra)
{
	size_t i;

	for (i = 0; i < extra->count; i++) {
		phiz_free(ctx, extra->entry[i].name);
		phiz_tensor_free(ctx, &extra->entry[i].tensor);
	}
	phiz_free(ctx, extra->entry);
	memset(extra, 0, sizeof(*extra));
}
