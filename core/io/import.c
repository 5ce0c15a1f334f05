#include "core/io/import.h"

#include <phiz/op.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/io/json.h"
#include "core/nn/builder.h"

#define MAX_LINES 200
#define TRACKED ".num_batches_tracked"

/* Which tensor of the file goes where. */
struct pair {
	const struct phiz_entry *to; /* of the model */
	const struct phiz_tensor *from;
};

struct importer {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
	const char *path;
	const struct phiz_import_options *options;
	struct phiz_import_report *report;
	const struct phiz_entry **sorted; /* the file's, by name */
	size_t count;
	struct pair *pair;
	size_t n_pairs;
	const char *head_weight, *head_bias; /* names; NULL: the output is not made by a linear layer */
	struct phiz_tensor *stem;            /* a first convolution that was made to fit; NULL: none */
	enum phiz_status status;
	size_t lines;
};

void phiz_import_report_free(struct phiz_import_report *report)
{
	phiz_bytes_free(&report->text);
}

/* ---- Findings ---- */

static void find(struct importer *im, const char *what, const char *name, const char *more)
{
	char shown[PHIZ_SHOWN];

	if (im->lines++ >= MAX_LINES)
		return;
	phiz_bytes_printf(&im->report->text, "%s '%s'%s\n", what, phiz_shown(name, strlen(name), shown), more);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

static bool is_head(const struct importer *im, const char *name)
{
	return (im->head_weight && strcmp(name, im->head_weight) == 0) ||
	       (im->head_bias && strcmp(name, im->head_bias) == 0);
}

static int by_name(const void *a, const void *b)
{
	const struct phiz_entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_name(const void *key, const void *item)
{
	const struct phiz_entry *const *entry = item;

	return strcmp(key, (*entry)->name);
}

static const struct phiz_tensor *find_tensor(const struct importer *im, const char *name)
{
	const struct phiz_entry *const *found = NULL;

	if (im->count > 0)
		found = bsearch(name, im->sorted, im->count, sizeof(*im->sorted), compare_name);
	return found ? (*found)->tensor : NULL;
}

/* The linear layer that makes the model's output. */
static void find_head(struct importer *im)
{
	struct phiz_graph *graph = im->model->graph;
	const struct phiz_node *node;
	int v;

	if (phiz_graph_n_outputs(graph) == 0)
		return;
	v = phiz_graph_value(graph, phiz_graph_output_at(graph, 0))->node;
	node = v == PHIZ_NONE ? NULL : phiz_graph_node(graph, v);
	if (!node || strcmp(node->op->name, "linear") != 0)
		return;
	im->head_weight = phiz_graph_value(graph, node->input[1])->name;
	if (node->n_inputs > 2 && node->input[2] != PHIZ_NONE)
		im->head_bias = phiz_graph_value(graph, node->input[2])->name;
}

/* Does the file's head differ from the model's in the number of classes alone, or is it not there? */
static bool has_other_head(struct importer *im)
{
	const struct phiz_tensor *from = im->head_weight ? find_tensor(im, im->head_weight) : NULL;
	const struct phiz_tensor *bias = im->head_bias ? find_tensor(im, im->head_bias) : NULL;
	const struct phiz_tensor *to;

	if (!im->head_weight)
		return false;
	if (!from)
		return !bias;
	to = phiz_model_find(im->model, im->head_weight)->tensor;
	if (from->shape.ndim != 2 || to->shape.ndim != 2 || from->shape.dim[1] != to->shape.dim[1])
		return false;
	im->report->file_classes = from->shape.dim[0];
	return from->shape.dim[0] != to->shape.dim[0] &&
	       (!bias || (bias->shape.ndim == 1 && bias->shape.dim[0] == from->shape.dim[0]));
}

static void keep_head(struct importer *im)
{
	const struct phiz_tensor *own = phiz_model_find(im->model, im->head_weight)->tensor;
	struct phiz_bytes *text = &im->report->text;
	char shown[PHIZ_SHOWN];

	im->report->head_kept = true;
	phiz_shown(im->head_weight, strlen(im->head_weight), shown);
	if (im->report->file_classes > 0)
		phiz_bytes_printf(text,
		                  "new head: the file has %lld classes, the network %lld: '%s' %s not taken from the file\n",
		                  (long long)im->report->file_classes, (long long)own->shape.dim[0], shown,
		                  im->head_bias ? "and its bias are" : "is");
	else
		phiz_bytes_printf(text, "new head: the file has none: '%s' (%lld classes) is not taken from it\n", shown,
		                  (long long)own->shape.dim[0]);
}

/* What the network's text says and no state dict has. */
static bool is_own_number(const struct phiz_entry *entry)
{
	return !entry->trainable && ends_with(entry->name, PHIZ_SCALE_SUFFIX);
}

/* Tap t of 7 with stride 2 reads, of a picture where each pixel stands twice, pixel floor((t - 3) / 2) from the middle:
 * -2, then -1, 0 and 1 twice each. The first is left out. */
static void halve_stem(const float *w, float *to)
{
	int y, x;

	for (y = 0; y < 3; y++)
		for (x = 0; x < 3; x++) {
			const float *at = w + 7 * (2 * y + 1) + 2 * x + 1;

			*to++ = at[0] + at[1] + at[7] + at[8];
		}
}

static bool is_square(const struct phiz_shape *s, int64_t side)
{
	return s->ndim == 4 && s->dim[2] == side && s->dim[3] == side;
}

/* Does a convolution with stride 1 read this tensor of the model? */
static bool has_stride_1(const struct importer *im, const char *name)
{
	struct phiz_graph *g = im->model->graph;
	const struct phiz_node *n;
	int value = phiz_graph_find_value(g, name), i;

	for (i = 0; i < phiz_graph_n_nodes(g); i++) {
		n = phiz_graph_node(g, i);
		if (strcmp(n->op->name, "conv2d") == 0 && n->input[1] == value)
			return phiz_node_attr_int(n, "stride_h", 1) == 1 && phiz_node_attr_int(n, "stride_w", 1) == 1;
	}
	return false;
}

/* import.h says what becomes of a first convolution of 7x7; another tensor comes back as it is. */
static const struct phiz_tensor *fit_stem(struct importer *im, const struct phiz_entry *entry,
                                          const struct phiz_tensor *from)
{
	const struct phiz_shape *to = &entry->tensor->shape;
	struct phiz_tensor *wide = NULL;
	int64_t i, filters;

	if (strcmp(entry->name, "conv1.weight") != 0 || !is_square(&from->shape, 7) || !is_square(to, 3) ||
	    from->shape.dim[0] != to->dim[0] || from->shape.dim[1] != to->dim[1] || im->stem ||
	    !has_stride_1(im, entry->name))
		return from;
	im->status = phiz_tensor_create(im->ctx, PHIZ_F32, &from->shape, &wide);
	if (!im->status)
		im->status = phiz_tensor_convert(im->ctx, from, wide);
	if (!im->status)
		im->status = phiz_tensor_create(im->ctx, PHIZ_F32, to, &im->stem);
	filters = to->dim[0] * to->dim[1];
	for (i = 0; i < filters && !im->status; i++)
		halve_stem((const float *)wide->data + 49 * i, (float *)im->stem->data + 9 * i);
	phiz_tensor_free(im->ctx, &wide);
	if (im->status)
		return from;
	phiz_bytes_printf(&im->report->text, "'%s': 7x7 in the file becomes 3x3, as of a picture at twice the size\n",
	                  entry->name);
	return im->stem;
}

static void match_entry(struct importer *im, const struct phiz_entry *entry)
{
	const struct phiz_tensor *from = find_tensor(im, entry->name);
	char want[128], got[128], more[320];

	if (from)
		from = fit_stem(im, entry, from);
	if (im->report->head_kept && is_head(im, entry->name))
		return;
	if (!from && is_own_number(entry))
		return;
	if (!from) {
		im->report->missing++;
		find(im, "missing", entry->name, "");
	} else if (!phiz_shape_equal(&from->shape, &entry->tensor->shape)) {
		im->report->misshapen++;
		snprintf(more, sizeof(more), ": want %s, the file has %s", phiz_shape_text(&entry->tensor->shape, want),
		         phiz_shape_text(&from->shape, got));
		find(im, "misshapen", entry->name, more);
	} else {
		im->pair[im->n_pairs].to = entry;
		im->pair[im->n_pairs++].from = from;
	}
}

static void match_all(struct importer *im)
{
	size_t i;

	if (im->options->new_head && has_other_head(im))
		keep_head(im);
	for (i = 0; i < im->model->n_entries; i++)
		match_entry(im, &im->model->entry[i]);
	for (i = 0; i < im->count; i++) {
		const char *name = im->sorted[i]->name;

		if (phiz_model_find(im->model, name))
			continue;
		if (ends_with(name, TRACKED)) {
			im->report->ignored++;
		} else {
			im->report->unexpected++;
			find(im, "unexpected", name, "");
		}
	}
	if (im->lines > MAX_LINES)
		phiz_bytes_printf(&im->report->text, "and %zu more\n", im->lines - MAX_LINES);
}

/* ---- Judging and loading ---- */

/* The first lines of the report in one. */
static enum phiz_status fail_fit(struct importer *im)
{
	const struct phiz_import_report *r = im->report;
	char some[400];
	size_t i, n = 0;

	for (i = 0; i < r->text.size && n < sizeof(some) - 3; i++) {
		if (r->text.data[i] != '\n')
			some[n++] = r->text.data[i];
		else if (i + 1 < r->text.size)
			some[n++] = ';', some[n++] = ' ';
	}
	while (i < r->text.size && n > 0 && ((unsigned char)some[n - 1] & 0x80)) /* no half of a character */
		n--;
	some[n] = 0;
	return phiz_fail(im->ctx, PHIZ_E_FORMAT,
	                 "%s: does not fit the network: %zu tensors missing, %zu unexpected, %zu misshapen: "
	                 "%s%s",
	                 im->path, r->missing, r->unexpected, r->misshapen, some, i < r->text.size ? " ..." : "");
}

static enum phiz_status judge(struct importer *im)
{
	const struct phiz_import_report *r = im->report;

	if (phiz_bytes_status(&r->text))
		return phiz_bytes_status(&r->text);
	if (!im->options->new_head && r->misshapen > 0 && has_other_head(im))
		return phiz_fail(im->ctx, PHIZ_E_FORMAT,
		                 "%s: its head has %lld classes, the network %lld: ask for a new head, or for a "
		                 "network of %lld classes",
		                 im->path, (long long)r->file_classes,
		                 (long long)phiz_model_find(im->model, im->head_weight)->tensor->shape.dim[0],
		                 (long long)r->file_classes);
	if (r->misshapen > 0 || (!im->options->partial && (r->missing > 0 || r->unexpected > 0)))
		return fail_fit(im);
	if (im->n_pairs == 0)
		return phiz_fail(im->ctx, PHIZ_E_FORMAT, "%s: none of its tensors is one of the network's", im->path);
	return PHIZ_OK;
}

static bool all_finite(const struct phiz_tensor *t)
{
	const float *f = t->data;
	int64_t i, n = phiz_tensor_count(t);

	for (i = 0; i < n; i++)
		if (!isfinite(f[i]))
			return false;
	return true;
}

/* As float32: a double may be finite and yet overflow. */
static enum phiz_status check_finite(struct importer *im, const struct pair *pair)
{
	struct phiz_tensor *copy = NULL;
	enum phiz_status status = PHIZ_OK;
	char shown[PHIZ_SHOWN];

	if (pair->from->dtype != PHIZ_F32) {
		status = phiz_tensor_create(im->ctx, PHIZ_F32, &pair->from->shape, &copy);
		if (!status)
			status = phiz_tensor_convert(im->ctx, pair->from, copy);
	}
	if (!status && !all_finite(copy ? copy : pair->from))
		status = phiz_fail(im->ctx, PHIZ_E_NUMERIC, "%s: tensor '%s' has a NaN or Inf", im->path,
		                   phiz_shown(pair->to->name, strlen(pair->to->name), shown));
	phiz_tensor_free(im->ctx, &copy);
	return status;
}

/* All is checked before anything is changed, so that a file with a NaN near its end leaves the model as it was. */
static enum phiz_status load(struct importer *im)
{
	enum phiz_status status = PHIZ_OK;
	size_t i;

	for (i = 0; !status && i < im->n_pairs; i++)
		status = check_finite(im, &im->pair[i]);
	for (i = 0; !status && i < im->n_pairs; i++)
		status = phiz_tensor_convert(im->ctx, im->pair[i].from, im->pair[i].to->tensor);
	if (!status)
		im->report->loaded = im->n_pairs;
	return status;
}

static enum phiz_status import_sorted(struct importer *im, const struct phiz_tensors *t)
{
	enum phiz_status status;
	size_t i;

	im->sorted = phiz_alloc(im->ctx, t->count, sizeof(*im->sorted));
	im->pair = phiz_alloc(im->ctx, im->model->n_entries, sizeof(*im->pair));
	if (!im->sorted || !im->pair)
		return PHIZ_E_NOMEM;
	for (i = 0; i < t->count; i++)
		im->sorted[i] = &t->entry[i];
	im->count = t->count;
	if (im->count > 1)
		qsort(im->sorted, im->count, sizeof(*im->sorted), by_name);
	find_head(im);
	match_all(im);
	status = im->status ? im->status : judge(im);
	return status ? status : load(im);
}

enum phiz_status phiz_import_weights(struct phiz_ctx *ctx, struct phiz_model *model, const struct phiz_tensors *t,
                                     const char *path, const struct phiz_import_options *options,
                                     struct phiz_import_report *report)
{
	struct importer im;
	enum phiz_status status;

	memset(&im, 0, sizeof(im));
	memset(report, 0, sizeof(*report));
	phiz_bytes_init(&report->text, ctx);
	im.ctx = ctx;
	im.model = model;
	im.path = path;
	im.options = options;
	im.report = report;
	status = import_sorted(&im, t);
	phiz_free(ctx, im.sorted);
	phiz_free(ctx, im.pair);
	phiz_tensor_free(ctx, &im.stem);
	return status;
}

/* ---- Which network ---- */

static bool shape_is(const struct phiz_tensor *t, int64_t k, int64_t c, int64_t r)
{
	struct phiz_shape want = phiz_shape_4d(k, c, r, r);

	return t && phiz_shape_equal(&t->shape, &want);
}

/* Blocks of a layer: layerN.0.conv1.weight and on. */
static int count_blocks(const struct phiz_tensors *t, int layer)
{
	char name[64];
	int n = 0;

	do
		snprintf(name, sizeof(name), "layer%d.%d.conv1.weight", layer, n);
	while (phiz_tensors_find(t, name) && ++n < 100);
	return n;
}

static enum phiz_status fail_guess(struct phiz_ctx *ctx, const char *path, const char *what)
{
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED,
	                 "%s: not a resnet18, resnet34 or resnet50 of torchvision's, nor a mobilefacenet, nor an "
	                 "inception_resnet_v1: %s", path, what);
}

static enum phiz_status name_net(struct phiz_ctx *ctx, const char *path, struct phiz_net_guess *g)
{
	static const struct {
		const char *net;
		bool bottleneck;
		int blocks[4];
	} nets[] = {
		{"resnet18", false, {2, 2, 2, 2}},
		{"resnet34", false, {3, 4, 6, 3}},
		{"resnet50", true, {3, 4, 6, 3}},
	};
	char what[128];
	size_t i;

	for (i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		if (g->bottleneck == nets[i].bottleneck && memcmp(g->blocks, nets[i].blocks, sizeof(g->blocks)) == 0) {
			g->net = nets[i].net;
			return PHIZ_OK;
		}
	}
	snprintf(what, sizeof(what), "it has %d, %d, %d and %d %s blocks", g->blocks[0], g->blocks[1], g->blocks[2],
	         g->blocks[3], g->bottleneck ? "bottleneck" : "basic");
	return fail_guess(ctx, path, what);
}

/* facenet-pytorch's: the stem, a block in the middle, the last layer. */
static bool is_inception_resnet(const struct phiz_tensors *t)
{
	const struct phiz_tensor *row = phiz_tensors_find(t, "block8.branch1.1.conv.weight");
	const struct phiz_tensor *last = phiz_tensors_find(t, "last_linear.weight");
	struct phiz_shape want_row = phiz_shape_4d(192, 192, 1, 3), want_last = phiz_shape_2d(512, 1792);

	return shape_is(phiz_tensors_find(t, "conv2d_1a.conv.weight"), 32, 3, 3) && row && last &&
	       phiz_shape_equal(&row->shape, &want_row) && phiz_shape_equal(&last->shape, &want_last);
}

static bool is_mobilefacenet(const struct phiz_tensors *t)
{
	const struct phiz_tensor *first = phiz_tensors_find(t, "conv_1.conv.weight");
	const struct phiz_tensor *last = phiz_tensors_find(t, "conv_6_dw.conv.weight");

	return first && last && shape_is(first, 64, 3, 3) && shape_is(last, 512, 1, 7);
}

enum phiz_status phiz_import_guess_net(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path,
                                       struct phiz_net_guess *out)
{
	const struct phiz_tensor *conv1 = phiz_tensors_find(t, "conv1.weight"), *fc = phiz_tensors_find(t, "fc.weight");
	const struct phiz_tensor *first = phiz_tensors_find(t, "layer1.0.conv1.weight");
	const struct phiz_tensor *second = phiz_tensors_find(t, "layer1.0.conv2.weight");
	char what[256], shape[128];
	int i;

	memset(out, 0, sizeof(*out));
	if (is_inception_resnet(t)) {
		out->net = "inception_resnet_v1";
		return PHIZ_OK;
	}
	if (is_mobilefacenet(t)) {
		out->net = "mobilefacenet";
		return PHIZ_OK;
	}
	if (!conv1 || !first || !second)
		return fail_guess(ctx, path, "it has no conv1.weight or no layer1.0");
	out->conv1 = conv1->shape;
	if (!shape_is(conv1, 64, 3, 7)) {
		snprintf(what, sizeof(what), "conv1.weight is %s, want [64, 3, 7, 7]", phiz_shape_text(&conv1->shape, shape));
		return fail_guess(ctx, path, what);
	}
	out->bottleneck = phiz_tensors_find(t, "layer1.0.conv3.weight") != NULL;
	if (!shape_is(first, 64, 64, out->bottleneck ? 1 : 3) || !shape_is(second, 64, 64, 3)) {
		snprintf(what, sizeof(what), "layer1.0.conv2.weight is %s (a wide or grouped variant?)",
		         phiz_shape_text(&second->shape, shape));
		return fail_guess(ctx, path, what);
	}
	for (i = 0; i < 4; i++)
		out->blocks[i] = count_blocks(t, i + 1);
	if (fc) {
		out->fc = fc->shape;
		if (fc->shape.ndim != 2 || fc->shape.dim[1] != (out->bottleneck ? 2048 : 512)) {
			snprintf(what, sizeof(what), "fc.weight is %s", phiz_shape_text(&fc->shape, shape));
			return fail_guess(ctx, path, what);
		}
		out->classes = fc->shape.dim[0];
	}
	return name_net(ctx, path, out);
}

/* ---- Back to PyTorch ---- */

static enum phiz_status add_tracked(struct phiz_ctx *ctx, struct phiz_tensors *t, const char *name, size_t prefix)
{
	struct phiz_shape scalar = {0};
	struct phiz_tensor *tracked;
	enum phiz_status status;
	char *full = phiz_asprintf(ctx, "%.*s" TRACKED, (int)prefix, name);

	if (!full)
		return PHIZ_E_NOMEM;
	status = phiz_tensor_create(ctx, PHIZ_I64, &scalar, &tracked);
	if (!status)
		status = phiz_tensors_add(ctx, t, full, tracked);
	phiz_free(ctx, full);
	return status;
}

static enum phiz_status add_entry(struct phiz_ctx *ctx, struct phiz_tensors *t, const struct phiz_entry *entry)
{
	struct phiz_tensor *shared;
	enum phiz_status status;

	status = phiz_tensor_share(ctx, entry->tensor, &shared);
	if (!status)
		status = phiz_tensors_add(ctx, t, entry->name, shared);
	if (!status && ends_with(entry->name, ".running_var"))
		status = add_tracked(ctx, t, entry->name, strlen(entry->name) - strlen(".running_var"));
	return status;
}

enum phiz_status phiz_export_state_dict(struct phiz_ctx *ctx, const struct phiz_model *model, const char *path)
{
	struct phiz_tensors t;
	enum phiz_status status;
	size_t i;

	memset(&t, 0, sizeof(t));
	for (i = 0; i < model->n_entries; i++)
		if (ends_with(model->entry[i].name, ".folded_weight"))
			return phiz_fail(ctx, PHIZ_E_UNSUPPORTED,
			                 "%s: the batch norms of this model are folded into its convolutions, so "
			                 "PyTorch's network cannot load it: take the trained model, not the exported one",
			                 path);
	status = phiz_tensors_add_meta(ctx, &t, "format", "pt"); /* what PyTorch's own readers look for */
	for (i = 0; !status && i < model->n_entries; i++)
		if (!is_own_number(&model->entry[i]))
			status = add_entry(ctx, &t, &model->entry[i]);
	if (!status)
		status = phiz_safetensors_write(ctx, path, &t);
	phiz_tensors_free(ctx, &t);
	return status;
}
