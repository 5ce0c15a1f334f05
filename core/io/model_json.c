/* Labels, preprocessing, threshold and free texts of a model as JSON:
 *   labels         ["ann", "bob"]
 *   preprocessing  {"crop": 1, "mode": "short", "resize": 256, "size": 224, "mean": [r, g, b], "std": [r, g, b]} and,
 *                  where faces are cut out first, "align": {"kind": "arcface", "margin": 0, "size": 112}
 *   threshold      {"value": 0.8, "far": 0.01, "measured_far": 0.009, "tar": 0.95, "strangers": 200}, and if it is no
 *                  confidence, "score": "cosine"
 *   meta           {"licence": "MIT", ...} in order */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/io/json.h"
#include "core/io/model_file.h"

/* ---- Writing ---- */

void phiz_labels_to_json(const struct phiz_model *model, struct phiz_bytes *out)
{
	size_t i;

	phiz_bytes_text(out, "[");
	for (i = 0; i < model->n_labels; i++) {
		phiz_bytes_text(out, i ? "," : "");
		phiz_bytes_json(out, model->label[i]);
	}
	phiz_bytes_text(out, "]");
}

static void add_field(struct phiz_bytes *out, const char *begin, double value)
{
	phiz_bytes_text(out, begin);
	phiz_json_add_real(out, value);
}

static void add_rgb(struct phiz_bytes *out, const char *begin, const float v[3])
{
	int i;

	phiz_bytes_text(out, begin);
	for (i = 0; i < 3; i++) {
		phiz_bytes_text(out, i ? "," : "[");
		phiz_json_add_float(out, v[i]);
	}
	phiz_bytes_text(out, "]");
}

void phiz_preproc_to_json(const struct phiz_preproc *p, struct phiz_bytes *out)
{
	add_field(out, "{\"crop\":", p->crop);
	phiz_bytes_printf(out, ",\"mode\":\"%s\",\"resize\":%d,\"size\":%d",
	                  p->mode == PHIZ_RESIZE_SHORT ? "short" : "stretch", p->resize, p->size);
	add_rgb(out, ",\"mean\":", p->mean);
	add_rgb(out, ",\"std\":", p->std);
	if (p->align.kind != PHIZ_ALIGN_NONE) {
		phiz_bytes_printf(out, ",\"align\":{\"kind\":\"%s\",\"size\":%d", phiz_align_name(p->align.kind),
		                  p->align.size);
		add_field(out, ",\"margin\":", p->align.margin);
		phiz_bytes_text(out, "}");
	}
	phiz_bytes_text(out, "}");
}

void phiz_threshold_to_json(const struct phiz_threshold *t, struct phiz_bytes *out)
{
	add_field(out, "{\"value\":", t->value);
	add_field(out, ",\"far\":", t->far);
	add_field(out, ",\"measured_far\":", t->measured_far);
	add_field(out, ",\"tar\":", t->tar);
	phiz_bytes_printf(out, ",\"strangers\":%lld", (long long)t->strangers);
	if (t->score != PHIZ_SCORE_CONFIDENCE)
		phiz_bytes_printf(out, ",\"score\":\"%s\"", phiz_score_name(t->score));
	phiz_bytes_text(out, "}");
}

void phiz_meta_to_json(const struct phiz_model *model, struct phiz_bytes *out)
{
	size_t i;

	phiz_bytes_text(out, "{");
	for (i = 0; i < model->n_meta; i++) {
		phiz_bytes_text(out, i ? "," : "");
		phiz_bytes_json(out, model->meta[i].key);
		phiz_bytes_text(out, ":");
		phiz_bytes_json(out, model->meta[i].text);
	}
	phiz_bytes_text(out, "}");
}

/* ---- Reading ---- */

struct reader {
	struct phiz_ctx *ctx;
	const char *path, *part; /* "FILE: labels" begins the messages */
};

static enum phiz_status fail(const struct reader *r, const char *what)
{
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: %s: %s", r->path, r->part, what);
}

static enum phiz_status parse(const struct reader *r, const char *text, json_t **out)
{
	char *what = phiz_asprintf(r->ctx, "%s: %s", r->path, r->part);
	enum phiz_status status;

	*out = NULL;
	if (!what)
		return PHIZ_E_NOMEM;
	status = phiz_json_parse(r->ctx, text, strlen(text), what, out);
	phiz_free(r->ctx, what);
	return status;
}

static enum phiz_status get_real(const struct reader *r, const json_t *object, const char *key, double *out)
{
	if (phiz_json_real(json_object_get(object, key), out))
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: %s: '%s' is no number", r->path, r->part, key);
}

static enum phiz_status get_int(const struct reader *r, const json_t *object, const char *key, int64_t max,
                                int64_t *out)
{
	if (phiz_json_int(json_object_get(object, key), 0, max, out))
		return PHIZ_OK;
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: %s: '%s' is no whole number from 0 to %lld", r->path, r->part, key,
	                 (long long)max);
}

static enum phiz_status get_rgb(const struct reader *r, const json_t *object, const char *key, float out[3])
{
	const json_t *array = json_object_get(object, key);
	double v;
	size_t i;

	for (i = 0; i < 3; i++) {
		if (json_array_size(array) != 3 || !phiz_json_real(json_array_get(array, i), &v) || v > 1e30 || v < -1e30)
			return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: %s: '%s' is not three numbers", r->path, r->part, key);
		out[i] = (float)v;
	}
	return PHIZ_OK;
}

static enum phiz_status read_labels(const struct reader *r, struct phiz_model *model, const json_t *array)
{
	size_t i, n = json_array_size(array);
	const char **label;
	enum phiz_status status = PHIZ_OK;

	if (!json_is_array(array))
		return fail(r, "no list of names");
	label = phiz_alloc(r->ctx, n, sizeof(*label));
	if (!label)
		return PHIZ_E_NOMEM;
	for (i = 0; !status && i < n; i++) {
		label[i] = json_string_value(json_array_get(array, i));
		if (!label[i])
			status = fail(r, "a label that is no text");
	}
	if (!status)
		status = phiz_model_set_labels(model, label, n);
	phiz_free(r->ctx, label);
	return status;
}

enum phiz_status phiz_labels_from_json(struct phiz_model *model, const char *text, const char *path)
{
	struct reader r = {model->ctx, path, "labels"};
	enum phiz_status status;
	json_t *json;

	status = parse(&r, text, &json);
	if (!status)
		status = read_labels(&r, model, json);
	json_decref(json);
	return status;
}

static enum phiz_status read_align(const struct reader *r, struct phiz_align *a, const json_t *object)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	enum phiz_status status;
	int64_t size = 0;

	if (!kind || !phiz_align_parse(kind, &a->kind))
		return fail(r, "'align' of no kind known here");
	status = get_real(r, object, "margin", &a->margin);
	if (!status)
		status = get_int(r, object, "size", 1 << 20, &size);
	a->size = (int)size;
	return status;
}

static enum phiz_status read_preproc(const struct reader *r, struct phiz_preproc *p, const json_t *object)
{
	const char *mode = json_string_value(json_object_get(object, "mode"));
	int64_t resize = 0, size = 0;
	enum phiz_status status;

	if (!mode || (strcmp(mode, "short") != 0 && strcmp(mode, "stretch") != 0))
		return fail(r, "'mode' is neither short nor stretch");
	p->mode = strcmp(mode, "short") == 0 ? PHIZ_RESIZE_SHORT : PHIZ_RESIZE_STRETCH;
	status = get_real(r, object, "crop", &p->crop);
	if (!status)
		status = get_int(r, object, "resize", 1 << 20, &resize);
	if (!status)
		status = get_int(r, object, "size", 1 << 20, &size);
	if (!status)
		status = get_rgb(r, object, "mean", p->mean);
	if (!status)
		status = get_rgb(r, object, "std", p->std);
	if (!status && json_object_get(object, "align"))
		status = read_align(r, &p->align, json_object_get(object, "align"));
	p->resize = (int)resize;
	p->size = (int)size;
	return status;
}

enum phiz_status phiz_preproc_from_json(struct phiz_model *model, const char *text, const char *path)
{
	struct reader r = {model->ctx, path, "preprocessing"};
	enum phiz_status status;
	json_t *json;

	status = parse(&r, text, &json);
	if (!status)
		status = read_preproc(&r, &model->preproc, json);
	json_decref(json);
	return status;
}

/* Files from before there were cosines say nothing. */
static enum phiz_status read_score(const struct reader *r, const json_t *object, enum phiz_score *out)
{
	const json_t *name = json_object_get(object, "score");

	for (int i = PHIZ_SCORE_CONFIDENCE; i <= PHIZ_SCORE_COSINE; i++)
		if (!name ? i == PHIZ_SCORE_CONFIDENCE : json_is_string(name) && !strcmp(json_string_value(name),
		                                                                        phiz_score_name((enum phiz_score)i))) {
			*out = (enum phiz_score)i;
			return PHIZ_OK;
		}
	return fail(r, "'score' is neither confidence nor cosine");
}

static enum phiz_status read_threshold(const struct reader *r, struct phiz_threshold *t, const json_t *object)
{
	enum phiz_status status;

	status = read_score(r, object, &t->score);
	if (!status)
		status = get_real(r, object, "value", &t->value);
	if (!status)
		status = get_real(r, object, "far", &t->far);
	if (!status)
		status = get_real(r, object, "measured_far", &t->measured_far);
	if (!status)
		status = get_real(r, object, "tar", &t->tar);
	if (!status)
		status = get_int(r, object, "strangers", INT64_MAX, &t->strangers);
	t->set = !status;
	return status;
}

enum phiz_status phiz_threshold_from_json(struct phiz_model *model, const char *text, const char *path)
{
	struct reader r = {model->ctx, path, "threshold"};
	enum phiz_status status;
	json_t *json;

	status = parse(&r, text, &json);
	if (!status)
		status = read_threshold(&r, &model->threshold, json);
	json_decref(json);
	return status;
}

static enum phiz_status read_meta(const struct reader *r, struct phiz_model *model, json_t *object)
{
	enum phiz_status status = PHIZ_OK;
	const char *key;
	json_t *value;

	if (!json_is_object(object) || json_object_size(object) > PHIZ_MODEL_MAX_META)
		return fail(r, "no JSON object, or one of more than 1024 texts");
	json_object_foreach(object, key, value) {
		if (status)
			break;
		status = json_is_string(value) ? phiz_model_set_meta(model, key, json_string_value(value))
		                               : fail(r, "a value that is no text");
	}
	return status;
}

enum phiz_status phiz_meta_from_json(struct phiz_model *model, const char *text, const char *path)
{
	struct reader r = {model->ctx, path, "meta"};
	enum phiz_status status;
	json_t *json;

	status = parse(&r, text, &json);
	if (!status)
		status = read_meta(&r, model, json);
	json_decref(json);
	return status;
}
