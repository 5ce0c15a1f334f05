/* extract.json: how a folder of crops was made. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/image/align_cut.h"
#include "core/io/json.h"
#include "datasets/crops.h"

enum { MAX_BYTES = 65536 };

enum phiz_status phiz_crops_settings_write(struct phiz_ctx *ctx, const char *dir, const struct phiz_crops_settings *s)
{
	struct phiz_bytes b;
	char *path = phiz_path_join(ctx, dir, PHIZ_CROPS_SETTINGS);
	enum phiz_status status;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\n  \"made_by\": \"phiz data extract\",\n  \"align\": ");
	phiz_bytes_json(&b, phiz_align_name(s->align.kind));
	phiz_bytes_text(&b, ",\n  \"margin\": ");
	phiz_json_add_real(&b, s->align.margin);
	phiz_bytes_printf(&b, ",\n  \"size\": %d,\n  \"format\": \"%s\"", s->align.size, s->png ? "png" : "jpg");
	phiz_bytes_text(&b, ",\n  \"min_score\": ");
	phiz_json_add_real(&b, s->min_score);
	phiz_bytes_text(&b, ",\n  \"min_size\": ");
	phiz_json_add_real(&b, s->min_size);
	phiz_bytes_text(&b, ",\n  \"min_quality\": ");
	phiz_json_add_real(&b, s->min_quality);
	phiz_bytes_text(&b, ",\n  \"every\": ");
	phiz_json_add_real(&b, s->every);
	phiz_bytes_text(&b, ",\n  \"fps\": ");
	phiz_json_add_real(&b, s->fps);
	phiz_bytes_text(&b, ",\n  \"detector\": ");
	phiz_bytes_json(&b, s->detector);
	phiz_bytes_text(&b, ",\n  \"embedder\": ");
	phiz_bytes_json(&b, s->embedder);
	phiz_bytes_printf(&b, ",\n  \"complete\": %s\n}\n", s->complete ? "true" : "false");
	status = path ? phiz_bytes_status(&b) : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_file_write(ctx, path, b.data, b.size);
	phiz_bytes_free(&b);
	phiz_free(ctx, path);
	return status;
}

static enum phiz_status want(struct phiz_ctx *ctx, const char *name, const char *key, const char *what)
{
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: '%s': want %s", name, key, what);
}

static enum phiz_status get_real(struct phiz_ctx *ctx, const json_t *o, const char *name, const char *key, double max,
                                 double *out)
{
	const json_t *v = json_object_get(o, key);

	*out = 0;
	if (!v)
		return PHIZ_OK;
	return phiz_json_real(v, out) && *out >= 0 && *out <= max ? PHIZ_OK : want(ctx, name, key, "a number, not below 0");
}

static enum phiz_status get_text(struct phiz_ctx *ctx, const json_t *o, const char *name, const char *key, char *out,
                                 size_t size)
{
	const json_t *v = json_object_get(o, key);

	*out = '\0';
	if (!v)
		return PHIZ_OK;
	if (!json_is_string(v) || json_string_length(v) >= size)
		return want(ctx, name, key, "a short text");
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return PHIZ_OK;
}

static enum phiz_status get_align(struct phiz_ctx *ctx, const json_t *o, const char *name, struct phiz_align *out)
{
	char kind[16];
	int64_t size;
	enum phiz_status status = get_text(ctx, o, name, "align", kind, sizeof kind);

	if (!status && !phiz_align_parse(kind, &out->kind))
		status = want(ctx, name, "align", "none, arcface, facenet or box");
	if (!status)
		status = get_real(ctx, o, name, "margin", 1024, &out->margin);
	if (!status && !phiz_json_int(json_object_get(o, "size"), 0, 1024, &size))
		status = want(ctx, name, "size", "a whole number of pixels");
	if (status)
		return status;
	out->size = (int)size;
	if (phiz_align_check(ctx, out)) {
		phiz_fail_in(ctx, "%s", name);
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s", phiz_ctx_message(ctx));
	}
	return PHIZ_OK;
}

static enum phiz_status get_all(struct phiz_ctx *ctx, const json_t *o, const char *name, struct phiz_crops_settings *s)
{
	char format[8];
	enum phiz_status status = get_align(ctx, o, name, &s->align);

	if (!status)
		status = get_text(ctx, o, name, "format", format, sizeof format);
	if (!status)
		status = get_real(ctx, o, name, "min_score", 1, &s->min_score);
	if (!status)
		status = get_real(ctx, o, name, "min_size", 1e6, &s->min_size);
	if (!status)
		status = get_real(ctx, o, name, "min_quality", 1, &s->min_quality);
	if (!status)
		status = get_real(ctx, o, name, "every", 1e9, &s->every);
	if (!status)
		status = get_real(ctx, o, name, "fps", 1e6, &s->fps);
	if (!status)
		status = get_text(ctx, o, name, "detector", s->detector, sizeof s->detector);
	if (!status)
		status = get_text(ctx, o, name, "embedder", s->embedder, sizeof s->embedder);
	if (status)
		return status;
	s->png = !strcmp(format, "png");
	s->complete = json_is_true(json_object_get(o, "complete"));
	return PHIZ_OK;
}

enum phiz_status phiz_crops_settings_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                           struct phiz_crops_settings *out)
{
	json_t *o;
	enum phiz_status status = phiz_json_parse(ctx, text, size, name, &o);

	*out = (struct phiz_crops_settings){.complete = false};
	if (status)
		return status;
	if (json_is_object(o))
		status = get_all(ctx, o, name, out);
	else
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: want an object", name);
	json_decref(o);
	return status;
}

enum phiz_status phiz_crops_settings_read(struct phiz_ctx *ctx, const char *dir, struct phiz_crops_settings *out)
{
	struct phiz_bytes text;
	char *path = phiz_path_join(ctx, dir, PHIZ_CROPS_SETTINGS);
	enum phiz_status status = PHIZ_E_NOMEM;

	*out = (struct phiz_crops_settings){.complete = false};
	phiz_bytes_init(&text, ctx);
	if (path)
		status = phiz_file_read(ctx, path, MAX_BYTES, &text);
	if (!status)
		status = phiz_crops_settings_parse(ctx, text.data, text.size, path, out);
	phiz_bytes_free(&text);
	phiz_free(ctx, path);
	return status;
}

enum phiz_status phiz_crops_align(struct phiz_ctx *ctx, const char *dir, struct phiz_align *out)
{
	struct phiz_crops_settings s;
	char *path = phiz_path_join(ctx, dir, PHIZ_CROPS_SETTINGS);
	bool there = path && phiz_path_is_file(path);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	*out = (struct phiz_align){PHIZ_ALIGN_NONE, 0, 0};
	phiz_free(ctx, path);
	if (there) {
		status = phiz_crops_settings_read(ctx, dir, &s);
		if (!status)
			*out = s.align;
	}
	return status;
}

static bool other(double a, double b) { return a < b || a > b; }

static bool trains(const struct phiz_dataset *d, int root)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->sample[i].root == root && d->sample[i].part == PHIZ_PART_TRAIN)
			return true;
	return false;
}

enum phiz_status phiz_crops_align_dataset(struct phiz_ctx *ctx, const struct phiz_dataset *d, struct phiz_align *out)
{
	const char *first = NULL;
	enum phiz_status status = PHIZ_OK;

	*out = (struct phiz_align){PHIZ_ALIGN_NONE, 0, 0};
	for (size_t i = 0; i < d->roots.count && !status; i++) {
		struct phiz_align a;

		if (!trains(d, (int)i))
			continue;
		status = phiz_crops_align(ctx, d->roots.name[i], &a);
		if (!status && first && (a.kind != out->kind || a.size != out->size || other(a.margin, out->margin)))
			status = phiz_fail(ctx, PHIZ_E_ARG,
			                   "%s and %s: faces are cut out of their photos in different ways (" PHIZ_CROPS_SETTINGS
			                   "): extract both alike", first, d->roots.name[i]);
		first = d->roots.name[i];
		*out = a;
	}
	return status;
}

/* Of a crop's pixels, so many in a row and as many rows are looked at. */
enum { PROBES = 16 };

/* The share of the cut of this face that lies outside of a square photo. */
static enum phiz_status outside(struct phiz_ctx *ctx, const struct phiz_face *face, const struct phiz_align *align,
                                int photo, double *share)
{
	double m[6];
	int n = 0;
	enum phiz_status status = phiz_align_cut(ctx, align, face, m);

	*share = 0;
	if (status == PHIZ_E_ARG) { /* a face that cannot be cut out: training will say so */
		phiz_ctx_clear(ctx);
		return PHIZ_OK;
	}
	for (int i = 0; i < PROBES * PROBES && !status; i++) {
		double x = (i % PROBES + 0.5) * align->size / PROBES, y = ((double)(i / PROBES) + 0.5) * align->size / PROBES;
		double px = m[0] * x + m[1] * y + m[2], py = m[3] * x + m[4] * y + m[5];
		n += px < 0 || py < 0 || px > photo || py > photo;
	}
	*share = n / (double)(PROBES * PROBES);
	return status;
}

/* One folder, whose crops were cut as `there` says; adds to the sum over its n photos. */
static enum phiz_status recut_root(struct phiz_ctx *ctx, const struct phiz_dataset *d, int root,
                                   const struct phiz_face *face, const struct phiz_align *align,
                                   const struct phiz_align *there, double *sum, size_t *n)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < d->count && !status; i++) {
		double share;
		if (d->sample[i].root != root || d->sample[i].part == PHIZ_PART_SKIP || face[i].score < 0)
			continue;
		if (there->kind == PHIZ_ALIGN_FACENET && align->kind != PHIZ_ALIGN_FACENET)
			return phiz_fail(ctx, PHIZ_E_ARG, "%s: its crops are stretched (facenet), and %s would cut stretched faces "
			                 "out of them: phiz data extract --align box makes crops that can be cut in any way",
			                 d->roots.name[root], phiz_align_name(align->kind));
		status = outside(ctx, &face[i], align, there->size, &share);
		*sum += share;
		++*n;
	}
	return status;
}

enum phiz_status phiz_crops_recut(struct phiz_ctx *ctx, const struct phiz_dataset *d, const struct phiz_face *face,
                                  const struct phiz_align *align, double *share)
{
	enum phiz_status status = PHIZ_OK;
	double sum = 0;
	size_t n = 0;

	for (size_t r = 0; r < d->roots.count && !status; r++) {
		struct phiz_align there;
		status = phiz_crops_align(ctx, d->roots.name[r], &there);
		if (!status && there.kind != PHIZ_ALIGN_NONE)
			status = recut_root(ctx, d, (int)r, face, align, &there, &sum, &n);
	}
	if (share)
		*share = n ? sum / (double)n : 0;
	return status;
}

bool phiz_crops_settings_differ(const struct phiz_crops_settings *a, const struct phiz_crops_settings *b, char *text,
                                size_t size)
{
	const struct {
		const char *name;
		double a, b;
	} number[] = {
		{"margin", a->align.margin, b->align.margin}, {"size", a->align.size, b->align.size},
		{"min-score", a->min_score, b->min_score},    {"min-size", a->min_size, b->min_size},
		{"min-quality", a->min_quality, b->min_quality}, {"every", a->every, b->every},
		{"fps", a->fps, b->fps},
	};
	const struct {
		const char *name, *a, *b;
	} word[] = {
		{"align", phiz_align_name(a->align.kind), phiz_align_name(b->align.kind)},
		{"format", a->png ? "png" : "jpg", b->png ? "png" : "jpg"},
		{"detector", a->detector, b->detector},
		{"model", a->embedder, b->embedder},
	};

	for (size_t i = 0; i < sizeof word / sizeof word[0]; i++)
		if (strcmp(word[i].a, word[i].b)) {
			snprintf(text, size, "%s %.24s, asked for %.24s", word[i].name, *word[i].a ? word[i].a : "none",
			         *word[i].b ? word[i].b : "none");
			return true;
		}
	for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
		if (other(number[i].a, number[i].b)) {
			snprintf(text, size, "%s %g, asked for %g", number[i].name, number[i].a, number[i].b);
			return true;
		}
	return false;
}
