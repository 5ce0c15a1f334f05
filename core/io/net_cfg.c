/* Networks as text: a section per layer, in the order of the data. Each layer reads the one before it, or `from`.
 * One table says which keys a section takes; anything else is an error with file and line. */
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/io/cfg.h"
#include "core/nn/builder.h"

enum { MAX_KEYS = 14, NAME_BYTES = 200, MAX_RESIZE = 16384 };

struct layer;
struct net {
	struct phiz_ctx *ctx;
	const struct phiz_cfg *cfg;
	struct phiz_builder builder;
	int64_t classes;
	int last; /* the value that the next layer reads */
};

enum key_type { WHOLE, REAL, TEXT };

struct key {
	const char *name;
	enum key_type type;
	double initial, min, max; /* of numbers */
};

struct layer_kind {
	const char *section;
	struct key key[MAX_KEYS];
	enum phiz_status (*build)(struct net *net, const struct layer *layer, int *out);
};

struct layer {
	const struct layer_kind *kind;
	int line;
	char name[NAME_BYTES];
	double number[MAX_KEYS];
	const char *text[MAX_KEYS];
	int in[PHIZ_MAX_INPUTS], n_in;
};

static double number(const struct layer *l, const char *key)
{
	for (int k = 0; k < MAX_KEYS && l->kind->key[k].name; k++)
		if (!strcmp(l->kind->key[k].name, key))
			return l->number[k];
	return 0;
}

static int64_t whole(const struct layer *l, const char *key) { return (int64_t)number(l, key); }

/* NULL: not given. */
static const char *given(const struct layer *l, const char *key)
{
	for (int k = 0; k < MAX_KEYS && l->kind->key[k].name; k++)
		if (!strcmp(l->kind->key[k].name, key))
			return l->text[k];
	return NULL;
}

/* --- The layers. --- */

/* One side of a key that has a key for each: kernel_h for kernel. */
static int64_t side(const struct layer *l, const char *both, const char *one)
{
	return given(l, one) ? whole(l, one) : whole(l, both);
}

static struct phiz_conv_spec conv_spec(const struct layer *l)
{
	struct phiz_conv_spec spec = {
		whole(l, "filters"), side(l, "kernel", "kernel_h"), side(l, "kernel", "kernel_w"), whole(l, "stride"),
		side(l, "pad", "pad_h"), side(l, "pad", "pad_w"), whole(l, "dilation"), whole(l, "groups"),
		whole(l, "bias") != 0,
	};

	return spec;
}

static enum phiz_status build_conv(struct net *net, const struct layer *l, int *out)
{
	struct phiz_conv_spec spec = conv_spec(l);

	return phiz_build_conv(&net->builder, l->name, l->in[0], &spec, out);
}

static enum phiz_status build_conv_unit(struct net *net, const struct layer *l, int *out)
{
	struct phiz_conv_spec spec = conv_spec(l);

	return phiz_build_conv_unit(&net->builder, l->name, l->in[0], &spec, number(l, "eps"), out);
}

static enum phiz_status build_inception(struct net *net, const struct layer *l, int *out)
{
	static const char *const sections[] = {"inception_block35", "inception_block17", "inception_block8"};
	int kind = 0;

	while (strcmp(l->kind->section, sections[kind]) != 0)
		kind++;
	return phiz_build_inception_resnet(&net->builder, l->name, l->in[0], (enum phiz_inception_kind)kind,
	                                   number(l, "scale"), whole(l, "relu") != 0, out);
}

static enum phiz_status build_scale(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_scale(&net->builder, l->name, l->in[0], number(l, "factor"), out);
}

static enum phiz_status build_batch_norm(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_batch_norm(&net->builder, l->name, l->in[0], number(l, "eps"), number(l, "momentum"), out);
}

static enum phiz_status build_linear(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_linear(&net->builder, l->name, l->in[0], whole(l, "outputs"), whole(l, "bias") != 0, out);
}

static enum phiz_status build_prelu(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_prelu(&net->builder, l->name, l->in[0], out);
}

static enum phiz_status build_basic_block(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_basic_block(&net->builder, l->name, l->in[0], whole(l, "filters"), whole(l, "stride"), out);
}

static enum phiz_status build_bottleneck(struct net *net, const struct layer *l, int *out)
{
	return phiz_build_bottleneck(&net->builder, l->name, l->in[0], whole(l, "filters"), whole(l, "stride"), out);
}

static enum phiz_status build_pool(struct net *net, const struct layer *l, int *out)
{
	double kernel = number(l, "kernel"), stride = number(l, "stride"), pad = number(l, "pad");
	char op[32];
	const struct phiz_attr_arg attr[] = {
		{"kernel_h", kernel}, {"kernel_w", kernel}, {"stride_h", stride > 0 ? stride : kernel},
		{"stride_w", stride > 0 ? stride : kernel}, {"pad_h", pad}, {"pad_w", pad}, {"ceil_mode", number(l, "ceil")},
		{"norm", number(l, "norm")},
	};

	snprintf(op, sizeof op, "%s2d", l->kind->section);
	return phiz_build_plain(&net->builder, op, l->name, l->in, 1, attr, given(l, "norm") ? 8 : 7, out);
}

/* Layers without parameters: the section is the op; its keys are the op's attributes. */
static enum phiz_status build_plain(struct net *net, const struct layer *l, int *out)
{
	struct phiz_attr_arg attr[MAX_KEYS];
	int n = 0;

	for (int k = 0; k < MAX_KEYS && l->kind->key[k].name; k++)
		if (l->kind->key[k].type != TEXT)
			attr[n++] = (struct phiz_attr_arg){l->kind->key[k].name, l->number[k]};
	return phiz_build_plain(&net->builder, l->kind->section, l->name, l->in, l->n_in, attr, n, out);
}

#define NAME_FROM {"name", TEXT, 0, 0, 0}, {"from", TEXT, 0, 0, 0}
#define REQUIRED (-1) /* no default: out of every range */
#define COUNT 1, 1e6
#define CONV                                                                                                         \
	{"filters", WHOLE, REQUIRED, COUNT}, {"kernel", WHOLE, REQUIRED, 1, 1024}, {"kernel_h", WHOLE, 0, 1, 1024},      \
	{"kernel_w", WHOLE, 0, 1, 1024}, {"stride", WHOLE, 1, 1, 1024}, {"pad", WHOLE, 0, 0, 1024},                      \
	{"pad_h", WHOLE, 0, 0, 1024}, {"pad_w", WHOLE, 0, 0, 1024}, {"dilation", WHOLE, 1, 1, 1024},                     \
	{"groups", WHOLE, 1, COUNT}
#define POOL                                                                                                         \
	{"kernel", WHOLE, REQUIRED, 1, 1024}, {"stride", WHOLE, 0, 0, 1024}, {"pad", WHOLE, 0, 0, 512},                  \
	{"ceil", WHOLE, 0, 0, 1}
#define BLOCK {"scale", REAL, 1, 0, 1e3}, {"relu", WHOLE, 1, 0, 1}

static const struct layer_kind kinds[] = {
	{"conv", {NAME_FROM, CONV, {"bias", WHOLE, 0, 0, 1}}, build_conv},
	{"conv_unit", {NAME_FROM, CONV, {"bias", WHOLE, 0, 0, 1}, {"eps", REAL, 1e-5, 0, 1}}, build_conv_unit},
	{"batch_norm", {NAME_FROM, {"eps", REAL, 1e-5, 0, 1}, {"momentum", REAL, 0.1, 0, 1}}, build_batch_norm},
	{"relu", {NAME_FROM}, build_plain},
	{"leaky_relu", {NAME_FROM, {"slope", REAL, 0.01, 0, 1}}, build_plain},
	{"prelu", {NAME_FROM}, build_prelu},
	{"sigmoid", {NAME_FROM}, build_plain},
	{"softmax", {NAME_FROM}, build_plain},
	{"max_pool", {NAME_FROM, POOL}, build_pool},
	{"avg_pool", {NAME_FROM, POOL}, build_pool},
	{"lp_pool", {NAME_FROM, POOL, {"norm", REAL, 2, 1, 64}}, build_pool},
	{"local_response_norm", {NAME_FROM, {"size", WHOLE, 5, 1, 1023}, {"alpha", REAL, 1e-4, 0, 1e6},
	                         {"beta", REAL, 0.75, 0, 16}, {"k", REAL, 1, 1e-6, 1e6}}, build_plain},
	{"pad2d", {NAME_FROM, {"top", WHOLE, 0, 0, 1024}, {"left", WHOLE, 0, 0, 1024}, {"bottom", WHOLE, 0, 0, 1024},
	           {"right", WHOLE, 0, 0, 1024}, {"value", REAL, 0, -1e30, 1e30}}, build_plain},
	{"scale", {NAME_FROM, {"factor", REAL, REQUIRED, 0, 1e6}}, build_scale},
	{"global_avg_pool", {NAME_FROM}, build_plain},
	{"flatten", {NAME_FROM}, build_plain},
	{"linear", {NAME_FROM, {"outputs", WHOLE, REQUIRED, COUNT}, {"bias", WHOLE, 1, 0, 1}}, build_linear},
	{"dropout", {NAME_FROM, {"p", REAL, 0.5, 0, 0.99}}, build_plain},
	{"l2_normalize", {NAME_FROM}, build_plain},
	{"add", {NAME_FROM}, build_plain},
	{"mul", {NAME_FROM}, build_plain},
	{"concat", {NAME_FROM, {"axis", WHOLE, 1, 0, 5}}, build_plain},
	{"basic_block", {NAME_FROM, {"filters", WHOLE, REQUIRED, COUNT}, {"stride", WHOLE, 1, 1, 16}}, build_basic_block},
	{"bottleneck", {NAME_FROM, {"filters", WHOLE, REQUIRED, COUNT}, {"stride", WHOLE, 1, 1, 16}}, build_bottleneck},
	{"inception_block35", {NAME_FROM, BLOCK}, build_inception},
	{"inception_block17", {NAME_FROM, BLOCK}, build_inception},
	{"inception_block8", {NAME_FROM, BLOCK}, build_inception},
};
static const struct layer_kind net_kind = {
	"net", {{"name", TEXT, 0, 0, 0}, {"channels", WHOLE, 3, 1, 4096}, {"size", WHOLE, 224, 1, 16384},
	        {"classes", WHOLE, 1000, COUNT}, {"outputs", TEXT, 0, 0, 0}, {"task", TEXT, 0, 0, 0},
	        {"resize", TEXT, 0, 0, 0}, {"mean", TEXT, 0, 0, 0}, {"std", TEXT, 0, 0, 0}, {"align", TEXT, 0, 0, 0},
	        {"margin", REAL, 0, 0, 1024}}, NULL};

enum { OUTPUTS_KEY = 4 }; /* of [net] */

enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static const struct layer_kind *find_kind(const char *section)
{
	for (int i = 0; i < N_KINDS; i++)
		if (!strcmp(kinds[i].section, section))
			return &kinds[i];
	return NULL;
}

static enum phiz_status unknown_section(struct net *net, const char *section, int line)
{
	const char *names[N_KINDS];

	for (int i = 0; i < N_KINDS; i++)
		names[i] = kinds[i].section;
	const char *near = phiz_suggest(section, names, N_KINDS);
	return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: no layer [%s]%s%s%s", net->cfg->name, line, section,
	                 near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
}

static enum phiz_status unknown_key(struct net *net, const struct layer_kind *kind, const struct phiz_cfg_line *line)
{
	const char *names[MAX_KEYS];
	size_t n = 0;

	for (; n < MAX_KEYS && kind->key[n].name; n++)
		names[n] = kind->key[n].name;
	const char *near = phiz_suggest(line->key, names, n);
	return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: [%s] has no key '%s'%s%s%s", net->cfg->name, line->line,
	                 kind->section, line->key, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static enum phiz_status set_key(struct net *net, struct layer *l, const struct phiz_cfg_line *line)
{
	int k = 0;

	while (k < MAX_KEYS && l->kind->key[k].name && strcmp(l->kind->key[k].name, line->key))
		k++;
	if (k == MAX_KEYS || !l->kind->key[k].name)
		return unknown_key(net, l->kind, line);
	const struct key *key = &l->kind->key[k];
	l->text[k] = line->value;
	if (key->type == TEXT)
		return PHIZ_OK;
	if (!strcmp(key->name, "outputs") && !strcmp(line->value, "classes")) {
		l->number[k] = (double)net->classes;
		return PHIZ_OK;
	}
	enum phiz_status status;
	int64_t n = 0;
	if (key->type == REAL) {
		status = phiz_parse_f64(net->ctx, line->value, key->min, key->max, &l->number[k]);
	} else {
		status = phiz_parse_i64(net->ctx, line->value, (int64_t)key->min, (int64_t)key->max, &n);
		l->number[k] = (double)n;
	}
	return status ? phiz_fail_in(net->ctx, "%s:%d: %s", net->cfg->name, line->line, key->name) : PHIZ_OK;
}

/* Reads the keys of section number `index` into l. */
static enum phiz_status read_section(struct net *net, int index, struct layer *l)
{
	l->line = net->cfg->section[index].line;
	for (int k = 0; k < MAX_KEYS && l->kind->key[k].name; k++)
		l->number[k] = l->kind->key[k].initial;
	for (size_t i = 0; i < net->cfg->count; i++)
		if (net->cfg->line[i].section_index == index) {
			enum phiz_status status = set_key(net, l, &net->cfg->line[i]);
			if (status)
				return status;
		}
	for (int k = 0; k < MAX_KEYS && l->kind->key[k].name; k++)
		if (l->kind->key[k].initial < 0 && !l->text[k])
			return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: [%s] wants %s", net->cfg->name, l->line, l->kind->section,
			                 l->kind->key[k].name);
	return PHIZ_OK;
}

/* Its name: the key, or the section's with a number. */
static enum phiz_status set_name(struct net *net, struct layer *l, int index)
{
	int n = l->text[0] ? snprintf(l->name, sizeof l->name, "%s", l->text[0])
	                   : snprintf(l->name, sizeof l->name, "%s_%d", l->kind->section, index);
	if (n >= (int)sizeof l->name)
		return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: a name of more than %d bytes", net->cfg->name, l->line,
		                 NAME_BYTES - 1);
	return PHIZ_OK;
}

/* A block's output is named after its last node. */
static int find_source(const struct net *net, const char *name)
{
	static const char *const last[] = {"relu", "add"};
	char text[NAME_BYTES + 8];
	int value = phiz_graph_find_value(net->builder.model->graph, name);

	for (int i = 0; i < 2 && value == PHIZ_NONE; i++) {
		snprintf(text, sizeof text, "%s.%s", name, last[i]);
		value = phiz_graph_find_value(net->builder.model->graph, text);
	}
	return value;
}

/* The values that a list of layers names. */
static enum phiz_status read_names(struct net *net, const char *key, const char *names, struct layer *l)
{
	while (*names) {
		char name[NAME_BYTES];
		size_t skip = strspn(names, ", \t"), length = strcspn(names + skip, ", \t");
		if (length == 0)
			break;
		if (length >= sizeof name || l->n_in == PHIZ_MAX_INPUTS)
			return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: %s: too many or too long names", net->cfg->name,
			                 l->line, key);
		memcpy(name, names + skip, length);
		name[length] = 0;
		int value = find_source(net, name);
		if (value == PHIZ_NONE)
			return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: %s: no layer '%s'%s", net->cfg->name, l->line, key, name,
			                 l->kind->build ? " before this one" : "");
		l->in[l->n_in++] = value;
		names += skip + length;
	}
	if (l->n_in == 0)
		return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: %s names no layer", net->cfg->name, l->line, key);
	return PHIZ_OK;
}

/* What it reads: `from = a, b`, or the layer before it. */
static enum phiz_status set_inputs(struct net *net, struct layer *l)
{
	if (l->text[1])
		return read_names(net, "from", l->text[1], l);
	l->in[l->n_in++] = net->last;
	return PHIZ_OK;
}

static enum phiz_status build_layer(struct net *net, int index)
{
	struct layer l;
	const char *section = net->cfg->section[index].name;

	memset(&l, 0, sizeof l);
	l.kind = find_kind(section);
	if (!l.kind)
		return unknown_section(net, section, net->cfg->section[index].line);
	enum phiz_status status = read_section(net, index, &l);
	if (!status)
		status = set_name(net, &l, index);
	if (!status)
		status = set_inputs(net, &l);
	if (status)
		return status;
	status = l.kind->build(net, &l, &net->last);
	return status ? phiz_fail_in(net->ctx, "%s:%d", net->cfg->name, l.line) : PHIZ_OK;
}

static enum phiz_status read_header(struct net *net, int64_t classes, int size, struct layer *header)
{
	memset(header, 0, sizeof *header);
	header->kind = &net_kind;
	if (net->cfg->n_sections == 0 || strcmp(net->cfg->section[0].name, "net"))
		return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: a network begins with [net]", net->cfg->name,
		                 net->cfg->n_sections ? net->cfg->section[0].line : 1);
	enum phiz_status status = read_section(net, 0, header);
	net->classes = classes > 0 ? classes : whole(header, "classes");
	if (size > 0)
		header->number[2] = size;
	return status;
}

/* Class names "0" to "N-1" until there are better ones. */
static enum phiz_status number_labels(struct phiz_model *m)
{
	size_t n = (size_t)phiz_model_classes(m);
	enum { DIGITS = 24 };
	char *text = phiz_alloc(m->ctx, n + 1, DIGITS);
	const char **label = phiz_alloc(m->ctx, n + 1, sizeof *label);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (text && label) {
		for (size_t i = 0; i < n; i++) {
			snprintf(text + i * DIGITS, DIGITS, "%zu", i);
			label[i] = text + i * DIGITS;
		}
		status = phiz_model_set_labels(m, label, n);
	}
	phiz_free(m->ctx, label);
	phiz_free(m->ctx, text);
	return status;
}

/* `outputs = a, b` of [net], or the last layer. */
static enum phiz_status set_outputs(struct net *net, struct layer *header)
{
	struct phiz_graph *graph = net->builder.model->graph;
	const char *names = header->text[OUTPUTS_KEY];
	enum phiz_status status = PHIZ_OK;

	if (!names)
		return phiz_graph_output(graph, net->last);
	status = read_names(net, "outputs", names, header);
	for (int i = 0; i < header->n_in && !status; i++)
		status = phiz_graph_output(graph, header->in[i]);
	return status;
}

/* --- What [net] says besides the shape of the input: what the output means, and preprocessing. --- */

static enum phiz_status bad_key(struct net *net, const struct layer *header, const char *key, const char *want)
{
	return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: [net] %s: want %s, got '%s'", net->cfg->name, header->line, key,
	                 want, given(header, key));
}

static enum phiz_status set_task(struct net *net, const struct layer *header)
{
	const char *task = given(header, "task");

	if (!task || !strcmp(task, "classify"))
		return PHIZ_OK;
	if (strcmp(task, "embed") != 0)
		return bad_key(net, header, "task", "classify or embed");
	return phiz_model_set_task(net->builder.model, PHIZ_TASK_EMBED);
}

/* One number for all three colours, or three. */
static enum phiz_status set_colours(struct net *net, const struct layer *header, const char *key, float out[3])
{
	const char *at = given(header, key);
	char word[32];
	double value;
	int n = 0;

	if (!at)
		return PHIZ_OK;
	for (at += strspn(at, ", \t"); *at; at += strspn(at, ", \t")) {
		size_t length = strcspn(at, ", \t");
		if (n == 3 || length >= sizeof word)
			return bad_key(net, header, key, "one number or three");
		memcpy(word, at, length);
		word[length] = 0;
		if (phiz_parse_f64(net->ctx, word, -1e6, 1e6, &value))
			return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: [net] %s: %s", net->cfg->name, header->line, key,
			                 phiz_ctx_message(net->ctx));
		out[n++] = (float)value;
		at += length;
	}
	if (n == 1)
		out[1] = out[2] = out[0];
	else if (n != 3)
		return bad_key(net, header, key, "one number or three");
	return PHIZ_OK;
}

static enum phiz_status set_preproc(struct net *net, const struct layer *header)
{
	struct phiz_preproc *p = &net->builder.model->preproc;
	const char *resize = given(header, "resize"), *align = given(header, "align");

	p->size = (int)whole(header, "size");
	p->resize = p->size < MAX_RESIZE * 7 / 8 ? (p->size * 8 + 3) / 7 : MAX_RESIZE; /* 256 for 224, as torchvision */
	if (resize && !strcmp(resize, "stretch"))
		p->mode = PHIZ_RESIZE_STRETCH;
	else if (resize && strcmp(resize, "short") != 0)
		return bad_key(net, header, "resize", "short or stretch");
	if (align && !phiz_align_parse(align, &p->align.kind))
		return bad_key(net, header, "align", "none, arcface, facenet or box");
	p->align.size = p->align.kind == PHIZ_ALIGN_NONE ? 0 : p->size;
	p->align.margin = number(header, "margin");
	enum phiz_status status = set_colours(net, header, "mean", p->mean);
	if (!status)
		status = set_colours(net, header, "std", p->std);
	if (!status && phiz_preproc_check(net->ctx, p))
		status = phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s:%d: [net]: %s", net->cfg->name, header->line,
		                   phiz_ctx_message(net->ctx));
	return status;
}

static enum phiz_status build_net(struct net *net, struct layer *header)
{
	struct phiz_model *m = net->builder.model;
	struct phiz_shape shape = phiz_shape_4d(1, whole(header, "channels"), whole(header, "size"), whole(header, "size"));
	enum phiz_status status = phiz_graph_input(m->graph, "image", PHIZ_F32, &shape, &net->last);

	for (int i = 1; i < net->cfg->n_sections && !status; i++)
		status = build_layer(net, i);
	if (status)
		return status;
	if (net->cfg->n_sections == 1)
		return phiz_fail(net->ctx, PHIZ_E_FORMAT, "%s: a network without layers", net->cfg->name);
	status = set_outputs(net, header);
	if (!status)
		status = set_task(net, header);
	if (!status)
		status = set_preproc(net, header);
	return status || phiz_model_task(m) == PHIZ_TASK_EMBED ? status : number_labels(m);
}

enum phiz_status phiz_model_from_cfg(struct phiz_ctx *ctx, const char *cfg, const char *name, int64_t classes, int size,
                                     uint64_t seed, struct phiz_model **out)
{
	struct phiz_cfg parsed;
	struct layer header;
	struct net net = {ctx, &parsed, {NULL, seed, 0}, 0, PHIZ_NONE};

	*out = NULL;
	enum phiz_status status = phiz_cfg_parse(ctx, cfg, strlen(cfg), name, 1, &parsed);
	if (status)
		return status;
	status = read_header(&net, classes, size, &header);
	if (!status)
		status = phiz_model_create(ctx, &net.builder.model);
	if (!status)
		status = build_net(&net, &header);
	if (!status)
		status = phiz_model_set_meta(net.builder.model, "net", cfg);
	phiz_cfg_free(ctx, &parsed);
	if (status)
		phiz_model_free(&net.builder.model);
	else
		*out = net.builder.model;
	return status;
}
