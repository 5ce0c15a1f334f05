/* The ONNX file: a ModelProto. Nodes and the like are made in memory; tensors go from the model straight to disk. */
#include "core/io/onnx.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/json.h"
#include "core/io/model_file.h"
#include "core/io/onnx_model.h"
#include "core/io/protobuf.h"

#define OPSET 13
#define IR_VERSION 7 /* the first that has opset 13 */
#define MAX_BYTES 2147483647u

/* Fields, by message of onnx.proto. */
enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_DOC = 6, MODEL_GRAPH = 7,
       MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { OPSET_VERSION = 2 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, VALUE_DOC = 3 };
enum { TYPE_TENSOR = 1, TENSOR_TYPE_ELEM = 1, TENSOR_TYPE_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };

/* A file is these one after another, with each tensor's bytes behind its head. */
struct parts {
	struct phiz_bytes begin, nodes_end, end;
	struct phiz_bytes *head; /* of each tensor */
	size_t n_heads;
};

/* ---- Parts ---- */

static void add_pair(struct phiz_bytes *out, struct phiz_bytes *scratch, const char *key, const char *text)
{
	phiz_pb_text(scratch, PAIR_KEY, key);
	phiz_pb_text(scratch, PAIR_VALUE, text);
	phiz_pb_message(out, MODEL_METADATA, scratch);
}

/* The same with a text that was made, which is emptied. */
static void add_made_pair(struct phiz_bytes *out, struct phiz_bytes *scratch, const char *key, struct phiz_bytes *text)
{
	if (text->failed)
		out->failed = 1;
	else
		add_pair(out, scratch, key, text->data);
	phiz_bytes_clear(text);
}

static void add_metadata(struct phiz_bytes *out, const struct phiz_model *model)
{
	struct phiz_bytes text, scratch;
	size_t i;

	phiz_bytes_init(&text, model->ctx);
	phiz_bytes_init(&scratch, model->ctx);
	phiz_labels_to_json(model, &text);
	add_made_pair(out, &scratch, "labels", &text);
	phiz_preproc_to_json(&model->preproc, &text);
	add_made_pair(out, &scratch, "preprocessing", &text);
	if (model->threshold.set) {
		phiz_threshold_to_json(&model->threshold, &text);
		add_made_pair(out, &scratch, "threshold", &text);
	}
	for (i = 0; i < model->n_meta; i++)
		add_pair(out, &scratch, model->meta[i].key, model->meta[i].text);
	phiz_bytes_free(&text);
	phiz_bytes_free(&scratch);
}

static void add_dims(struct phiz_bytes *out, struct phiz_ctx *ctx, const struct phiz_shape *shape)
{
	struct phiz_bytes dim;
	int d;

	phiz_bytes_init(&dim, ctx);
	for (d = 0; d < shape->ndim; d++) {
		if (d == 0)
			phiz_pb_text(&dim, DIM_PARAM, "batch");
		else
			phiz_pb_int(&dim, DIM_VALUE, shape->dim[d]);
		phiz_pb_message(out, SHAPE_DIM, &dim);
	}
	phiz_bytes_free(&dim);
}

/* ValueInfoProto of an input or output. */
static void add_value(struct phiz_bytes *out, struct phiz_ctx *ctx, int field, const struct phiz_value *v,
                      const char *doc)
{
	struct phiz_bytes shape, tensor, type, info;

	phiz_bytes_init(&shape, ctx);
	phiz_bytes_init(&tensor, ctx);
	phiz_bytes_init(&type, ctx);
	phiz_bytes_init(&info, ctx);
	add_dims(&shape, ctx, &v->type.shape);
	phiz_pb_int(&tensor, TENSOR_TYPE_ELEM, phiz_onnx_type(v->type.dtype));
	phiz_pb_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
	phiz_pb_message(&type, TYPE_TENSOR, &tensor);
	phiz_pb_text(&info, VALUE_NAME, v->name);
	phiz_pb_message(&info, VALUE_TYPE, &type);
	phiz_pb_text(&info, VALUE_DOC, doc);
	phiz_pb_message(out, field, &info);
	phiz_bytes_free(&shape);
	phiz_bytes_free(&tensor);
	phiz_bytes_free(&type);
	phiz_bytes_free(&info);
}

static void add_rgb(struct phiz_bytes *out, const char *begin, const float v[3])
{
	int i;

	phiz_bytes_text(out, begin);
	for (i = 0; i < 3; i++) {
		phiz_bytes_text(out, i ? ", " : " [");
		phiz_json_add_float(out, v[i]);
	}
	phiz_bytes_text(out, "]");
}

static void add_inputs(struct phiz_bytes *out, const struct phiz_model *model)
{
	struct phiz_graph *graph = model->graph;
	struct phiz_bytes doc;
	int i;

	phiz_bytes_init(&doc, model->ctx);
	phiz_bytes_text(&doc, "RGB, N C H W, normalised: (value / 255 - mean) / std;");
	add_rgb(&doc, " mean", model->preproc.mean);
	add_rgb(&doc, ", std", model->preproc.std);
	phiz_bytes_text(&doc, ". Cropping and resizing stand in the metadata 'preprocessing'");
	for (i = 0; i < phiz_graph_n_values(graph); i++)
		if (phiz_graph_value(graph, i)->kind == PHIZ_VALUE_INPUT)
			add_value(out, model->ctx, GRAPH_INPUT, phiz_graph_value(graph, i), doc.data ? doc.data : "");
	out->failed = out->failed || doc.failed;
	phiz_bytes_free(&doc);
}

static void add_outputs(struct phiz_bytes *out, const struct phiz_model *model)
{
	struct phiz_graph *graph = model->graph;
	int i;

	for (i = 0; i < phiz_graph_n_outputs(graph); i++)
		add_value(out, model->ctx, GRAPH_OUTPUT, phiz_graph_value(graph, phiz_graph_output_at(graph, i)),
		          model->n_labels > 0 ? "a number per class, in the order of the metadata 'labels'" : "");
}

static void add_head(struct phiz_bytes *out, struct phiz_ctx *ctx, const struct phiz_onnx_tensor *t)
{
	struct phiz_bytes body;
	int d;

	phiz_bytes_init(&body, ctx);
	for (d = 0; d < t->shape.ndim; d++)
		phiz_pb_int(&body, TENSOR_DIMS, t->shape.dim[d]);
	phiz_pb_int(&body, TENSOR_TYPE, t->type);
	phiz_pb_text(&body, TENSOR_NAME, t->name);
	phiz_pb_begin(&body, TENSOR_RAW, t->bytes);
	phiz_pb_begin(out, GRAPH_INITIALIZER, (uint64_t)body.size + t->bytes);
	phiz_bytes_add(out, body.data, body.size);
	out->failed = out->failed || body.failed;
	phiz_bytes_free(&body);
}

/* ---- The whole ---- */

static enum phiz_status fail_large(const struct phiz_onnx *o)
{
	return phiz_fail(o->ctx, PHIZ_E_LIMIT, "%s: the model is larger than the 2 GiB that an ONNX file can have",
	                 o->path);
}

/* Bytes of the graph, or LIMIT. */
static enum phiz_status graph_size(const struct phiz_onnx *o, const struct parts *p, uint64_t *out)
{
	size_t i;

	*out = (uint64_t)o->nodes.size + p->nodes_end.size;
	for (i = 0; i < o->count; i++) {
		if (o->tensor[i].bytes > MAX_BYTES)
			return fail_large(o);
		*out += (uint64_t)p->head[i].size + o->tensor[i].bytes;
		if (*out > MAX_BYTES - 65536)
			return fail_large(o);
	}
	return PHIZ_OK;
}

static enum phiz_status make_parts(struct phiz_onnx *o, const struct phiz_model *model, struct parts *p)
{
	struct phiz_bytes opset;
	enum phiz_status status;
	uint64_t size;
	size_t i;

	p->head = phiz_calloc(o->ctx, o->count, sizeof(*p->head));
	if (!p->head)
		return PHIZ_E_NOMEM;
	for (; p->n_heads < o->count; p->n_heads++) {
		phiz_bytes_init(&p->head[p->n_heads], o->ctx);
		add_head(&p->head[p->n_heads], o->ctx, &o->tensor[p->n_heads]);
	}
	phiz_pb_text(&p->nodes_end, GRAPH_NAME, "phiz");
	add_inputs(&p->nodes_end, model);
	add_outputs(&p->nodes_end, model);
	status = graph_size(o, p, &size);
	if (status)
		return status;
	phiz_pb_int(&p->begin, MODEL_IR_VERSION, IR_VERSION);
	phiz_pb_text(&p->begin, MODEL_PRODUCER, "phiz");
	phiz_pb_text(&p->begin, MODEL_PRODUCER_VERSION, PHIZ_VERSION);
	phiz_pb_begin(&p->begin, MODEL_GRAPH, size);
	phiz_bytes_init(&opset, o->ctx);
	phiz_pb_int(&opset, OPSET_VERSION, OPSET);
	phiz_pb_message(&p->end, MODEL_OPSET, &opset);
	phiz_bytes_free(&opset);
	add_metadata(&p->end, model);
	for (i = 0; i < p->n_heads; i++)
		p->end.failed = p->end.failed || p->head[i].failed;
	return p->begin.failed || p->nodes_end.failed || p->end.failed ? PHIZ_E_NOMEM : PHIZ_OK;
}

static enum phiz_status add_bytes(struct phiz_writer *w, const void *data, size_t size)
{
	return size > 0 ? phiz_writer_add(w, data, size) : PHIZ_OK;
}

static enum phiz_status write_parts(const struct phiz_onnx *o, const struct parts *p)
{
	struct phiz_writer *w;
	enum phiz_status status;
	size_t i;

	status = phiz_writer_open(o->ctx, o->path, &w);
	if (status)
		return status;
	status = add_bytes(w, p->begin.data, p->begin.size);
	if (!status)
		status = add_bytes(w, o->nodes.data, o->nodes.size);
	for (i = 0; !status && i < o->count; i++) {
		status = add_bytes(w, p->head[i].data, p->head[i].size);
		if (!status)
			status = add_bytes(w, o->tensor[i].data, o->tensor[i].bytes);
	}
	if (!status)
		status = add_bytes(w, p->nodes_end.data, p->nodes_end.size);
	if (!status)
		status = add_bytes(w, p->end.data, p->end.size);
	if (!status)
		return phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	return status;
}

static enum phiz_status write_file(struct phiz_onnx *o, const struct phiz_model *model)
{
	struct parts p;
	enum phiz_status status;
	size_t i;

	memset(&p, 0, sizeof(p));
	phiz_bytes_init(&p.begin, o->ctx);
	phiz_bytes_init(&p.nodes_end, o->ctx);
	phiz_bytes_init(&p.end, o->ctx);
	status = make_parts(o, model, &p);
	if (!status)
		status = write_parts(o, &p);
	phiz_bytes_free(&p.begin);
	phiz_bytes_free(&p.nodes_end);
	phiz_bytes_free(&p.end);
	for (i = 0; i < p.n_heads; i++)
		phiz_bytes_free(&p.head[i]);
	phiz_free(o->ctx, p.head);
	return status;
}

enum phiz_status phiz_onnx_write(struct phiz_ctx *ctx, const struct phiz_model *model, const char *path)
{
	struct phiz_onnx o;
	enum phiz_status status;
	size_t t;
	int i;

	memset(&o, 0, sizeof(o));
	o.ctx = ctx;
	o.graph = model->graph;
	o.path = path;
	phiz_bytes_init(&o.nodes, ctx);
	phiz_bytes_init(&o.node, ctx);
	phiz_bytes_init(&o.attribute, ctx);
	o.stored = phiz_calloc(ctx, (size_t)phiz_graph_n_values(o.graph), sizeof(*o.stored));
	o.status = o.stored ? PHIZ_OK : PHIZ_E_NOMEM;
	for (i = 0; !o.status && i < phiz_graph_n_nodes(o.graph); i++)
		phiz_onnx_add_node(&o, phiz_graph_node(o.graph, i));
	status = o.status ? o.status : write_file(&o, model);
	for (t = 0; t < o.count; t++)
		phiz_free(ctx, o.tensor[t].owned);
	phiz_free(ctx, o.tensor);
	phiz_free(ctx, o.stored);
	phiz_names_free(ctx, &o.names);
	phiz_bytes_free(&o.nodes);
	phiz_bytes_free(&o.node);
	phiz_bytes_free(&o.attribute);
	return status;
}
