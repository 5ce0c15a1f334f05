/* A folder of sample people: photos, truth.csv, and synth.cfg, which says what made them and marks the folder as ours.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/base/thread.h"
#include "core/image/sheet.h"
#include "core/io/cfg.h"
#include "datasets/synth_internal.h"

/* Counts changes of the renderer that change pictures: folders of another version are not mixed with. */
#define VERSION 1
#define MARK "synth.cfg"
#define TRUTH "truth.csv"
#define BATCH 32

struct folder {
	struct phiz_ctx *ctx;
	const struct phiz_synth_options *options;
	const char *dir;
	bool complete; /* as the mark says */
};

struct photo_id {
	int person, photo;
};

static void photo_name(const struct phiz_synth_options *o, int person, int photo, char out[80])
{
	char name[32];
	phiz_synth_name(o->first_person + person, name, sizeof(name));
	snprintf(out, 80, "%s/%04d.jpg", name, photo + 1);
}

/* --- The mark. --- */

static enum phiz_status mark_write(const struct folder *f, bool complete)
{
	const struct phiz_synth_options *o = f->options;
	struct phiz_bytes text;
	enum phiz_status status;
	char *path = phiz_path_join(f->ctx, f->dir, MARK);
	phiz_bytes_init(&text, f->ctx);
	phiz_bytes_text(&text, "# Sample people, rendered by \"phiz data synth\". Nobody here exists.\n[synth]\n");
	phiz_bytes_printf(&text, "version = %d\nseed = %llu\nsize = %d\nfirst_person = %d\nburst = %.6f\n", VERSION,
	                  (unsigned long long)o->seed, o->size, o->first_person, o->burst);
	phiz_bytes_printf(&text, "people = %d\nphotos = %d\ncomplete = %s\n", o->people, o->photos,
	                  complete ? "yes" : "no");
	status = path ? phiz_bytes_status(&text) : PHIZ_E_NOMEM;
	if (status == PHIZ_OK)
		status = phiz_file_write(f->ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	phiz_free(f->ctx, path);
	return status;
}

static enum phiz_status refuse(const struct folder *f, const char *key, const char *there, const char *wanted)
{
	return phiz_fail(f->ctx, PHIZ_E_ARG, "%s: holds sample people of %s %s, asked for %s; choose another folder",
	                 f->dir, key, there, wanted);
}

/* A key of the mark against what was asked for. People and photos may grow. */
static enum phiz_status mark_compare(struct folder *f, const char *key, const char *value)
{
	const struct phiz_synth_options *o = f->options;
	char want[64];
	int64_t there;
	bool count = strcmp(key, "people") == 0 || strcmp(key, "photos") == 0;
	if (strcmp(key, "complete") == 0) {
		f->complete = f->complete && strcmp(value, "yes") == 0;
		return PHIZ_OK;
	}
	if (strcmp(key, "version") == 0)
		snprintf(want, sizeof(want), "%d", VERSION);
	else if (strcmp(key, "seed") == 0)
		snprintf(want, sizeof(want), "%llu", (unsigned long long)o->seed);
	else if (strcmp(key, "size") == 0)
		snprintf(want, sizeof(want), "%d", o->size);
	else if (strcmp(key, "first_person") == 0)
		snprintf(want, sizeof(want), "%d", o->first_person);
	else if (strcmp(key, "burst") == 0)
		snprintf(want, sizeof(want), "%.6f", o->burst);
	else
		snprintf(want, sizeof(want), "%d", key[1] == 'e' ? o->people : o->photos);
	if (!count)
		return strcmp(value, want) == 0 ? PHIZ_OK : refuse(f, key, value, want);
	if (phiz_parse_i64(f->ctx, value, 1, 100000, &there) != PHIZ_OK)
		return phiz_fail_in(f->ctx, "%s/%s: %s", f->dir, MARK, key);
	if (there > (key[1] == 'e' ? o->people : o->photos))
		return refuse(f, key, value, want);
	f->complete = f->complete && strcmp(value, want) == 0;
	return PHIZ_OK;
}

static enum phiz_status mark_read(struct folder *f, const char *path)
{
	static const char *const KEY[] = {"version", "seed",   "size",   "first_person",
	                                  "burst",   "people", "photos", "complete"};
	struct phiz_bytes text;
	struct phiz_cfg cfg;
	size_t seen = 0;
	enum phiz_status status;
	memset(&cfg, 0, sizeof(cfg));
	phiz_bytes_init(&text, f->ctx);
	f->complete = true;
	status = phiz_file_read(f->ctx, path, 65536, &text);
	if (status == PHIZ_OK)
		status = phiz_cfg_parse(f->ctx, text.data, text.size, path, 0, &cfg);
	for (size_t i = 0; status == PHIZ_OK && i < cfg.count; i++)
		for (size_t k = 0; k < sizeof(KEY) / sizeof(KEY[0]); k++)
			if (strcmp(cfg.line[i].key, KEY[k]) == 0) {
				seen |= (size_t)1 << k;
				status = mark_compare(f, KEY[k], cfg.line[i].value);
				break;
			}
	if (status == PHIZ_OK && seen != 255)
		status = phiz_fail(f->ctx, PHIZ_E_FORMAT, "%s: not what \"phiz data synth\" writes; choose another folder",
		                   path);
	phiz_cfg_free(f->ctx, &cfg);
	phiz_bytes_free(&text);
	return status;
}

/* Makes the folder, or makes sure that it is ours and made with these settings. */
static enum phiz_status folder_claim(struct folder *f)
{
	char *path = phiz_path_join(f->ctx, f->dir, MARK);
	struct phiz_names names;
	enum phiz_status status = PHIZ_OK;
	memset(&names, 0, sizeof(names));
	if (!path)
		return PHIZ_E_NOMEM;
	if (phiz_path_is_file(path)) {
		status = mark_read(f, path);
		if (status == PHIZ_OK && !f->complete)
			status = mark_write(f, false);
		goto done;
	}
	if ((status = phiz_dir_make(f->ctx, f->dir)) != PHIZ_OK ||
	    (status = phiz_dir_list(f->ctx, f->dir, &names)) != PHIZ_OK)
		goto done;
	if (names.count > 0)
		status = phiz_fail(f->ctx, PHIZ_E_ARG,
		                   "%s: not empty (%s) and not made by \"phiz data synth\"; choose another folder", f->dir,
		                   names.name[0]);
	else
		status = mark_write(f, false);
done:
	phiz_names_free(f->ctx, &names);
	phiz_free(f->ctx, path);
	return status;
}

/* --- The photos. --- */

static char *photo_path(const struct folder *f, struct phiz_ctx *ctx, struct photo_id id)
{
	char name[80];
	photo_name(f->options, id.person, id.photo, name);
	return phiz_path_join(ctx, f->dir, name);
}

/* Whatever is not there yet, in order. */
static enum phiz_status photos_missing(const struct folder *f, struct photo_id **out, size_t *count)
{
	const struct phiz_synth_options *o = f->options;
	size_t capacity = 0;
	for (int p = 0; p < o->people; p++)
		for (int k = 0; k < o->photos; k++) {
			struct photo_id id = {p, k};
			char *path = photo_path(f, f->ctx, id);
			bool there;
			if (!path)
				return PHIZ_E_NOMEM;
			there = phiz_path_is_file(path);
			phiz_free(f->ctx, path);
			if (there)
				continue;
			if (phiz_grow(f->ctx, out, &capacity, *count + 1, sizeof(**out)) != PHIZ_OK)
				return PHIZ_E_NOMEM;
			(*out)[(*count)++] = id;
		}
	return PHIZ_OK;
}

static enum phiz_status people_make(const struct folder *f)
{
	for (int p = 0; p < f->options->people; p++) {
		char name[32], *path;
		enum phiz_status status;
		phiz_synth_name(f->options->first_person + p, name, sizeof(name));
		path = phiz_path_join(f->ctx, f->dir, name);
		status = path ? phiz_dir_make(f->ctx, path) : PHIZ_E_NOMEM;
		phiz_free(f->ctx, path);
		if (status != PHIZ_OK)
			return status;
	}
	return PHIZ_OK;
}

static int quality_of(const struct phiz_synth_options *o, struct photo_id id)
{
	struct synth_person who;
	struct synth_photo how;
	uint32_t number = (uint32_t)o->first_person + (uint32_t)id.person;
	synth_person_draw(&who, o->seed, number);
	synth_photo_draw(&how, &who, o, number, (uint32_t)id.photo);
	return how.quality;
}

struct batch {
	const struct folder *folder;
	const struct photo_id *id;
	struct phiz_ctx **fork; /* one for each worker */
	enum phiz_status status[BATCH];
	int failed_by[BATCH]; /* the worker */
};

static enum phiz_status photo_make(const struct folder *f, struct phiz_ctx *ctx, struct photo_id id)
{
	struct phiz_image image;
	enum phiz_status status = phiz_synth_render(ctx, f->options, id.person, id.photo, &image, NULL);
	char *path;
	if (status != PHIZ_OK)
		return status;
	path = photo_path(f, ctx, id);
	status = path ? phiz_image_write(ctx, path, &image, quality_of(f->options, id)) : PHIZ_E_NOMEM;
	phiz_free(ctx, path);
	phiz_image_free(ctx, &image);
	return status;
}

static void batch_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct batch *b = arg;
	for (int64_t i = begin; i < end; i++) {
		/* After a failure its message must stand: that worker does no more. */
		b->failed_by[i] = worker;
		b->status[i] = phiz_ctx_status(b->fork[worker]) ? PHIZ_E_CANCELLED
		                                                : photo_make(b->folder, b->fork[worker], b->id[i]);
	}
}

static enum phiz_status batch_run(struct batch *b, const struct photo_id *id, size_t count)
{
	b->id = id;
	phiz_parallel_for(b->folder->ctx, (int64_t)count, 1, batch_piece, b);
	for (size_t i = 0; i < count; i++)
		if (b->status[i] != PHIZ_OK)
			return phiz_fail_copy(b->folder->ctx, b->fork[b->failed_by[i]]);
	return PHIZ_OK;
}

static enum phiz_status photos_make(const struct folder *f, const struct photo_id *id, size_t count,
                                    phiz_synth_progress_fn progress, void *user, struct phiz_synth_result *result)
{
	int threads = phiz_ctx_threads(f->ctx);
	int64_t total = (int64_t)f->options->people * f->options->photos;
	enum phiz_status status = PHIZ_OK;
	struct batch *b = phiz_calloc(f->ctx, 1, sizeof(*b));
	if (!b)
		return PHIZ_E_NOMEM;
	b->folder = f;
	b->fork = phiz_calloc(f->ctx, (size_t)threads, sizeof(*b->fork));
	status = b->fork ? PHIZ_OK : PHIZ_E_NOMEM;
	for (int i = 0; status == PHIZ_OK && i < threads; i++)
		status = phiz_ctx_fork(f->ctx, &b->fork[i]);
	for (size_t at = 0; status == PHIZ_OK && at < count;) {
		size_t most = threads * 4 < BATCH ? (size_t)threads * 4 : BATCH, n = count - at < most ? count - at : most;
		status = batch_run(b, id + at, n);
		if (status != PHIZ_OK)
			break;
		at += n;
		result->written += (int64_t)n;
		if (progress && !progress(user, result->kept + result->written, total))
			status = phiz_fail(f->ctx, PHIZ_E_CANCELLED,
			                   "%s: broken off after %lld of %lld photos; the same command goes on from there", f->dir,
			                   (long long)(result->kept + result->written), (long long)total);
	}
	for (int i = 0; b->fork && i < threads; i++)
		phiz_ctx_free(&b->fork[i]);
	phiz_free(f->ctx, b->fork);
	phiz_free(f->ctx, b);
	return status;
}

/* --- The truth. --- */

static void truth_row(struct phiz_bytes *b, const struct phiz_synth_options *o, struct photo_id id,
                      const struct phiz_face_truth *t)
{
	static const char *const WEAR[] = {"glasses", "sunglasses", "hat", "mask", "occluded"};
	char name[80], person[32];
	const char *join = "";
	photo_name(o, id.person, id.photo, name);
	phiz_synth_name(o->first_person + id.person, person, sizeof(person));
	phiz_bytes_printf(b, "%s,%s,%.2f,%.2f,%.2f,%.2f", name, person, t->x, t->y, t->w, t->h);
	for (int i = 0; i < 5; i++)
		phiz_bytes_printf(b, ",%.2f,%.2f", t->landmark[i][0], t->landmark[i][1]);
	phiz_bytes_printf(b, ",%.2f,%.2f,%.2f,", t->yaw, t->pitch, t->roll);
	for (unsigned i = 0; i < 5; i++)
		if (t->wear & 1u << i) {
			phiz_bytes_printf(b, "%s%s", join, WEAR[i]);
			join = "+";
		}
	phiz_bytes_printf(b, ",%d\n", t->burst + 1);
}

static enum phiz_status truth_write(const struct folder *f)
{
	const struct phiz_synth_options *o = f->options;
	struct phiz_bytes text;
	char *path = phiz_path_join(f->ctx, f->dir, TRUTH);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;
	phiz_bytes_init(&text, f->ctx);
	phiz_bytes_text(&text, "file,person,x,y,w,h,lx1,ly1,lx2,ly2,lx3,ly3,lx4,ly4,lx5,ly5,yaw,pitch,roll,wear,burst\n");
	for (int p = 0; status == PHIZ_OK && p < o->people; p++)
		for (int k = 0; status == PHIZ_OK && k < o->photos; k++) {
			struct photo_id id = {p, k};
			struct phiz_face_truth truth;
			status = phiz_synth_render(f->ctx, o, p, k, NULL, &truth);
			if (status == PHIZ_OK)
				truth_row(&text, o, id, &truth);
		}
	if (status == PHIZ_OK)
		status = phiz_bytes_status(&text);
	if (status == PHIZ_OK)
		status = phiz_file_write(f->ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	phiz_free(f->ctx, path);
	return status;
}

enum phiz_status phiz_synth_write(struct phiz_ctx *ctx, const struct phiz_synth_options *options, const char *dir,
                                  phiz_synth_progress_fn progress, void *user, struct phiz_synth_result *result)
{
	struct phiz_synth_result spare;
	struct photo_id *missing = NULL;
	struct folder f;
	size_t count = 0;
	enum phiz_status status = phiz_synth_check(ctx, options);
	if (!result)
		result = &spare;
	memset(result, 0, sizeof(*result));
	if (status != PHIZ_OK)
		return status;
	memset(&f, 0, sizeof(f));
	f.ctx = ctx;
	f.options = options;
	f.dir = dir;
	if ((status = folder_claim(&f)) != PHIZ_OK || (status = photos_missing(&f, &missing, &count)) != PHIZ_OK)
		goto done;
	result->kept = (int64_t)options->people * options->photos - (int64_t)count;
	if (count == 0 && f.complete)
		goto done;
	if ((status = people_make(&f)) == PHIZ_OK &&
	    (status = photos_make(&f, missing, count, progress, user, result)) == PHIZ_OK &&
	    (status = truth_write(&f)) == PHIZ_OK)
		status = mark_write(&f, true);
done:
	phiz_free(ctx, missing);
	return status;
}

/* --- The contact sheet. --- */

enum phiz_status phiz_synth_sheet(struct phiz_ctx *ctx, const struct phiz_synth_options *options, int rows, int columns,
                                  int gap, struct phiz_image *out)
{
	struct phiz_sheet_options o = {.max_height = INT_MAX / 2};
	struct phiz_sheet *sheet;
	enum phiz_status status;
	memset(out, 0, sizeof(*out));
	status = phiz_synth_check(ctx, options);
	if (status != PHIZ_OK)
		return status;
	if (rows < 1 || columns < 1 || rows > 100 || columns > 100 || gap < 0 || gap > 100)
		return phiz_fail(ctx, PHIZ_E_ARG, "contact sheet: want 1 to 100 rows and columns, gaps of 0 to 100 pixels");
	o.cell = options->size;
	o.columns = columns;
	o.gap = gap;
	o.max_pictures = rows * columns;
	status = phiz_sheet_create(ctx, &o, &sheet);
	for (int i = 0; status == PHIZ_OK && i < rows * columns; i++) {
		struct phiz_image one;
		status = phiz_synth_render(ctx, options, i / columns, i % columns, &one, NULL);
		if (status == PHIZ_OK)
			status = phiz_sheet_add(sheet, &one, NULL, NULL);
		phiz_image_free(ctx, &one);
	}
	if (status == PHIZ_OK)
		status = phiz_sheet_finish(sheet, out);
	phiz_sheet_free(&sheet);
	return status;
}
