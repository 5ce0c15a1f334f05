#include "tools/import_onnx.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/io/onnx.h"

bool phiz_is_onnx_name(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && !strcmp(path + n - 5, ".onnx");
}

/* ---- Preprocessing ---- */

/* input = (pixel - mean) / std with pixels of 0..255; size 0: the network's input. */
static const struct named {
	const char *name;
	float mean, std;
} named[] = {
	{"mobilefacenet", 127.5f, 128},
	{"arcface", 127.5f, 127.5f},
	{"facenet", 127.5f, 128},
	{"ultralight", 127, 128},
	{"raw", 0, 1},
};

/* N or N,N,N (commas are between the parts too, so the parts' own are '/'). */
static enum phiz_status parse_rgb(struct phiz_ctx *ctx, char *text, double min, float out[3])
{
	double v = 0;

	for (int i = 0; i < 3; i++) {
		char *end = text ? strchr(text, '/') : NULL;
		if (end)
			*end = 0;
		if (text && phiz_parse_f64(ctx, text, min, 1e6, &v))
			return PHIZ_E_ARG;
		if (!text && i == 1)
			out[1] = out[2] = out[0];
		if (!text)
			return i == 1 ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_ARG, "want one number or three, with '/' between them");
		out[i] = (float)v / 255;
		text = end ? end + 1 : NULL;
	}
	return text ? phiz_fail(ctx, PHIZ_E_ARG, "more than three numbers") : PHIZ_OK;
}

static enum phiz_status parse_part(struct phiz_ctx *ctx, char *part, struct phiz_preproc *p, bool *bgr)
{
	char *value = strchr(part, '=');
	int64_t n;
	enum phiz_status status;

	if (!strcmp(part, "bgr")) {
		*bgr = true;
		return PHIZ_OK;
	}
	if (value)
		*value++ = 0;
	if (value && !strcmp(part, "mean")) {
		status = parse_rgb(ctx, value, 0, p->mean);
	} else if (value && !strcmp(part, "std")) {
		status = parse_rgb(ctx, value, 1e-3, p->std);
	} else if (value && !strcmp(part, "resize")) {
		status = phiz_parse_i64(ctx, value, 1, 16384, &n);
		p->mode = PHIZ_RESIZE_SHORT;
		p->resize = status ? 0 : (int)n;
	} else {
		return phiz_fail(ctx, PHIZ_E_ARG, "'%s': want mean=R/G/B, std=R/G/B (of pixels from 0 to 255), resize=N or bgr",
		                 part);
	}
	return status ? phiz_fail_in(ctx, "%s", part) : PHIZ_OK;
}

/* Parts with commas between them. */
static enum phiz_status parse_parts(struct phiz_ctx *ctx, const char *text, struct phiz_preproc *p, bool *bgr)
{
	char *copy = phiz_strdup(ctx, text), *part = copy;
	enum phiz_status status = copy ? PHIZ_OK : PHIZ_E_NOMEM;

	while (!status && part) {
		char *end = strchr(part, ',');
		if (end)
			*end = 0;
		status = parse_part(ctx, part, p, bgr);
		part = end ? end + 1 : NULL;
	}
	phiz_free(ctx, copy);
	return status;
}

static void begin_preproc(struct phiz_preproc *p, float mean, float std)
{
	struct phiz_align align = p->align;
	int size = p->size;

	memset(p, 0, sizeof *p);
	p->align = align;
	p->crop = 1;
	p->mode = PHIZ_RESIZE_STRETCH;
	p->size = size;
	for (int i = 0; i < 3; i++) {
		p->mean[i] = mean / 255;
		p->std[i] = std / 255;
	}
}

static enum phiz_status set_preproc(struct phiz_model *m, const char *text)
{
	struct phiz_preproc *p = &m->preproc;
	struct phiz_align align = p->align;
	int size = p->size;
	bool bgr = false;
	enum phiz_status status;

	if (!strcmp(text, "torchvision")) {
		phiz_preproc_torchvision(p);
		p->align = align;
		p->resize = (int)(size * 256LL / 224);
		p->size = size;
		return PHIZ_OK;
	}
	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
		if (!strcmp(text, named[i].name)) {
			begin_preproc(p, named[i].mean, named[i].std);
			return PHIZ_OK;
		}
	begin_preproc(p, 0, 255);
	if (!strchr(text, '=') && strcmp(text, "bgr"))
		return phiz_fail(m->ctx, PHIZ_E_ARG, "--preprocess %s: want one of " PHIZ_PREPROC_NAMES
		                 ", or parts such as mean=127.5,std=128", text);
	status = parse_parts(m->ctx, text, p, &bgr);
	if (status)
		return phiz_fail_in(m->ctx, "--preprocess");
	return bgr ? phiz_onnx_swap_channels(m) : PHIZ_OK;
}

/* ---- Task and alignment ---- */

static enum phiz_status set_task(struct phiz_model *m, const char *text)
{
	static const char *const names[] = {"classify", "embed", "detect"};

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, names[i]))
			return phiz_model_set_task(m, (enum phiz_task)i);
	return phiz_fail(m->ctx, PHIZ_E_ARG, "--task %s: want classify, embed or detect", text);
}

/* KIND or KIND:MARGIN; the crop is as large as the network's input. */
static enum phiz_status set_align(struct phiz_model *m, const char *text)
{
	struct phiz_align *a = &m->preproc.align;
	const char *colon = strchr(text, ':');
	char kind[16] = "";
	enum phiz_status status = PHIZ_OK;

	if (!colon || (size_t)(colon - text) < sizeof kind)
		strncpy(kind, text, colon ? (size_t)(colon - text) : sizeof kind - 1);
	memset(a, 0, sizeof *a);
	if (!phiz_align_parse(kind, &a->kind))
		return phiz_fail(m->ctx, PHIZ_E_ARG, "--align %s: want none, arcface, facenet:MARGIN or box:MARGIN", text);
	if (colon)
		status = phiz_parse_f64(m->ctx, colon + 1, 0, 1024, &a->margin);
	if (!status && a->kind != PHIZ_ALIGN_NONE)
		a->size = m->preproc.size;
	if (!status)
		status = phiz_align_check(m->ctx, a);
	return status ? phiz_fail_in(m->ctx, "--align %s", text) : PHIZ_OK;
}

/* ---- All of it ---- */

/* phiz's own files say the size themselves; of others the network is asked. Of a detector's the longer side. */
static void set_size(struct phiz_model *m)
{
	int image = phiz_graph_find_value(m->graph, "image");
	const struct phiz_shape *s = image == PHIZ_NONE ? NULL : &phiz_graph_value(m->graph, image)->type.shape;
	int64_t size = !s ? 0 : s->dim[2] > s->dim[3] ? s->dim[2] : s->dim[3];

	if (size == m->preproc.size || size < 1)
		return;
	m->preproc.resize = (int)(size * m->preproc.resize / (m->preproc.size ? m->preproc.size : 1));
	m->preproc.size = (int)size;
	if (m->preproc.align.kind != PHIZ_ALIGN_NONE)
		m->preproc.align.size = (int)size;
}

enum phiz_status phiz_import_onnx(struct phiz_ctx *ctx, const char *path, int size,
                                  const struct phiz_onnx_wishes *wishes, const char **known, struct phiz_model **out)
{
	enum phiz_status status = phiz_onnx_read(ctx, path, size, out);

	*known = NULL;
	if (status)
		return status;
	if (!(*out)->n_meta && !(*out)->n_labels) /* else phiz wrote it, with what is true of these weights */
		status = phiz_onnx_known(*out, known);
	set_size(*out);
	if (!status && wishes->task)
		status = set_task(*out, wishes->task);
	if (!status && wishes->preprocess)
		status = set_preproc(*out, wishes->preprocess);
	if (!status && wishes->align)
		status = set_align(*out, wishes->align);
	if (!status)
		return PHIZ_OK;
	phiz_model_free(out);
	return status;
}
