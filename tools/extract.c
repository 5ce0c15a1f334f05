/* All photos on all threads; what came of them is saved every few seconds. */
#include "tools/extract.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"

#define SAVE_SECONDS 10.0

enum phiz_status extract_set_text(struct phiz_ctx *ctx, char **text, const char *to)
{
	char *copy = phiz_strdup(ctx, to);

	if (!copy)
		return PHIZ_E_NOMEM;
	phiz_free(ctx, *text);
	*text = copy;
	return PHIZ_OK;
}

char *extract_crop_path(struct phiz_ctx *ctx, const struct extract *e, const char *file)
{
	return phiz_path_join(ctx, e->dir, file);
}

enum phiz_status extract_broken_off(struct extract *e)
{
	size_t done = 0;

	for (size_t i = 0; i < e->count; i++)
		done += e->source[i].done;
	return phiz_fail(e->ctx, PHIZ_E_CANCELLED,
	                 "%s: broken off after %zu of %zu files; the same command goes on from there", e->dir, done,
	                 e->count);
}

/* --- A loop on all workers. --- */

struct each {
	struct extract *e;
	extract_fn fn;
	void *arg;
};

static void each_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct each *each = arg;
	struct extract_worker *w = &each->e->worker[worker];

	/* After a failure its message must stand: that worker does no more. */
	for (int64_t i = begin; i < end && !w->status; i++)
		w->status = each->fn(each->e, w, each->arg, (size_t)i);
}

enum phiz_status extract_each(struct extract *e, size_t n, extract_fn fn, void *arg)
{
	struct each each = {e, fn, arg};

	phiz_parallel_for(e->ctx, (int64_t)n, 1, each_piece, &each);
	for (int i = 0; i < e->workers; i++)
		if (e->worker[i].status) {
			phiz_fail_copy(e->ctx, e->worker[i].ctx);
			return e->worker[i].status;
		}
	return PHIZ_OK;
}

/* --- Photos. --- */

static enum phiz_status add_empty(struct extract_worker *w, struct extract_source *s, enum phiz_crop_fate fate,
                                  const char *reason)
{
	struct phiz_crop row = {.source = s->path, .size = s->size, .mtime = s->mtime, .frame = -1, .person = s->person,
	                        .fate = fate, .reason = (char *)reason, .similarity = -2};

	return phiz_crops_add(w->ctx, &s->rows, &row);
}

static enum phiz_status make_folder(struct extract *e, struct phiz_ctx *ctx, const char *file)
{
	char *path = extract_crop_path(ctx, e, file), *slash = path ? strrchr(path, '/') : NULL;
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	if (slash) {
		*slash = '\0';
		status = phiz_dir_make(ctx, path);
	}
	phiz_free(ctx, path);
	return status;
}

static enum phiz_status keep(struct extract *e, struct extract_worker *w, const struct extract_source *s,
                             const struct phiz_image *image, struct phiz_crop *row, int number)
{
	const char *ending = e->settings.png ? "png" : "jpg";
	enum phiz_status status = PHIZ_OK;

	phiz_free(w->ctx, row->file);
	row->file = s->person ? phiz_asprintf(w->ctx, "%s/%s.%s", s->person, s->stem, ending)
	                      : phiz_asprintf(w->ctx, "faces/%s_%d.%s", s->stem, number, ending);
	if (!row->file)
		return PHIZ_E_NOMEM;
	if (!s->person)
		status = extract_set_text(w->ctx, &row->person, "faces");
	if (!status)
		status = make_folder(e, w->ctx, row->file);
	return status ? status : extract_write_crop(e, w->ctx, image, row);
}

/* One face of a named person is cut out at once. Of several, it is chosen when all photos were seen. */
static enum phiz_status settle(struct extract *e, struct extract_worker *w, struct extract_source *s,
                               const struct phiz_image *image)
{
	enum phiz_status status = PHIZ_OK;
	int kept = 0;

	for (size_t i = 0; i < s->rows.count; i++)
		kept += s->rows.crop[i].fate == PHIZ_CROP_KEPT;
	for (size_t i = 0, number = 0; i < s->rows.count && !status; i++) {
		struct phiz_crop *row = &s->rows.crop[i];

		if (row->fate != PHIZ_CROP_KEPT)
			continue;
		if (s->person && kept > 1)
			row->fate = PHIZ_CROP_ASIDE;
		else
			status = keep(e, w, s, image, row, (int)++number);
	}
	return status || s->rows.count ? status : add_empty(w, s, PHIZ_CROP_NONE, "");
}

static enum phiz_status one_photo(struct extract *e, struct extract_worker *w, void *arg, size_t i)
{
	struct extract_source *s = ((struct extract_source **)arg)[i];
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(w->ctx, s->path, NULL, &image);

	if (status && status != PHIZ_E_NOMEM) {
		status = add_empty(w, s, PHIZ_CROP_UNREADABLE, phiz_ctx_message(w->ctx));
		phiz_ctx_clear(w->ctx);
		s->done = !status;
		return status;
	}
	if (!status)
		status = extract_find(e, w, s, -1, &image, &s->rows);
	if (!status)
		status = settle(e, w, s, &image);
	if (status == PHIZ_E_ARG || status == PHIZ_E_UNSUPPORTED)
		phiz_fail_in(w->ctx, "%s", s->path);
	phiz_image_free(w->ctx, &image);
	if (status)
		phiz_crops_free(w->ctx, &s->rows);
	s->done = !status;
	return status;
}

static enum phiz_status save_now_and_then(struct extract *e, bool now)
{
	if (!now && phiz_time() - e->saved < SAVE_SECONDS)
		return PHIZ_OK;
	e->saved = phiz_time();
	return extract_save(e);
}

static enum phiz_status all_photos(struct extract *e, struct extract_source **todo, size_t n)
{
	size_t batch = (size_t)e->workers * 8, faces = 0;
	enum phiz_status status = PHIZ_OK;

	for (size_t at = 0; at < n && !status; at += batch) {
		size_t m = n - at < batch ? n - at : batch;

		status = phiz_interrupted ? extract_broken_off(e) : extract_each(e, m, one_photo, todo + at);
		for (size_t i = at; i < at + m; i++)
			for (size_t k = 0; k < todo[i]->rows.count; k++)
				faces += todo[i]->rows.crop[k].fate < PHIZ_CROP_NONE;
		if (!status) {
			e->told.photos += m;
			phiz_progress_show(&e->progress, (double)(at + m), (double)n, at + m == n, "%zu of %zu photos, %zu faces",
			                   at + m, n, faces);
			status = save_now_and_then(e, false);
		}
	}
	return status;
}

enum phiz_status extract_run(struct extract *e)
{
	struct extract_source **todo = phiz_calloc(e->ctx, e->count, sizeof *todo);
	size_t n = 0;
	enum phiz_status status = todo ? PHIZ_OK : PHIZ_E_NOMEM, saved;

	for (size_t i = 0; todo && i < e->count; i++)
		if (!e->source[i].done && !e->source[i].video)
			todo[n++] = &e->source[i];
	e->saved = phiz_time();
	phiz_progress_start(&e->progress);
	if (!status)
		status = all_photos(e, todo, n);
	for (size_t i = 0; i < e->count && !status; i++)
		if (!e->source[i].done && e->source[i].video) {
			status = extract_video(e, &e->source[i]);
			if (!status)
				status = save_now_and_then(e, true);
		}
	if (!status)
		status = extract_choose(e);
	phiz_progress_clear(&e->progress);
	phiz_free(e->ctx, todo);
	if (!status)
		return extract_finish(e);
	/* What was done stands, whatever went wrong; the message is of what went wrong first. */
	if (status != PHIZ_E_NOMEM) {
		struct phiz_ctx *keep_message;

		saved = phiz_ctx_fork(e->ctx, &keep_message);
		if (saved)
			return status;
		phiz_fail_copy(keep_message, e->ctx);
		(void)extract_save(e);
		phiz_fail_copy(e->ctx, keep_message);
		phiz_ctx_free(&keep_message);
	}
	return status;
}

void extract_free(struct extract *e)
{
	struct phiz_ctx *ctx = e->ctx;

	extract_workers_close(e);
	phiz_runtime_close(&e->runtime);
	for (size_t i = 0; i < e->count; i++) {
		phiz_free(ctx, e->source[i].path);
		phiz_free(ctx, e->source[i].key);
		phiz_free(ctx, e->source[i].person);
		phiz_free(ctx, e->source[i].stem);
		phiz_crops_free(ctx, &e->source[i].rows);
	}
	phiz_free(ctx, e->source);
	phiz_crops_free(ctx, &e->others);
	extract_list_free(ctx, &e->list);
	phiz_free(ctx, e->detector);
	phiz_free(ctx, e->embedder);
}
