/* Videos: a few frames at a time are read, looked through on all threads, and followed in order. What is kept of each
 * person is written when the video is through, so that a run that is killed leaves nothing of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/video.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "tools/extract.h"
#include "tools/track.h"

#define PATIENCE 1.0                   /* seconds that a face may be hidden without being somebody else */
#define MAX_KEPT_BYTES ((size_t)256 << 20)
enum { MAX_TRACKS = 1000, MAX_BATCH = 64 };

struct film {
	struct extract *e;
	struct extract_source *s;
	struct phiz_video *video;
	struct tracks tracks;
	double duration;
	int64_t frames;
	size_t faces, left_out;
	int number; /* of the next person */
};

/* A frame and what is found in it. */
struct look {
	struct phiz_frame frame;
	struct phiz_crops rows;
	struct track_face *face;
	int n;
};

static enum phiz_status prepare(struct extract *e, struct extract_worker *w, const struct look *look,
                                struct phiz_crop *row, struct track_face *out)
{
	struct phiz_image crop;
	enum phiz_status status = phiz_align_crop(w->ctx, &e->settings.align, &look->frame.image, &row->face, &crop);

	*out = (struct track_face){.row = *row};
	row->embedding = NULL; /* it has changed hands; the texts have not */
	out->row.source = out->row.person = out->row.file = out->row.reason = NULL;
	phiz_bytes_init(&out->crop, w->ctx);
	if (status)
		return status;
	status = phiz_phash_image(w->ctx, &crop, &out->hash);
	phiz_image_free(w->ctx, &crop);
	return status ? status : extract_encode(e, w->ctx, &look->frame.image, &row->face, &out->crop);
}

static enum phiz_status look_through(struct extract *e, struct extract_worker *w, void *arg, size_t i)
{
	struct film *f = ((void **)arg)[0];
	struct look *look = (struct look *)((void **)arg)[1] + i;
	enum phiz_status status = extract_find(e, w, f->s, look->frame.index, &look->frame.image, &look->rows);

	if (!status && look->rows.count) {
		look->face = phiz_calloc(w->ctx, look->rows.count, sizeof *look->face);
		status = look->face ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (size_t k = 0; k < look->rows.count && !status; k++) {
		struct phiz_crop *row = &look->rows.crop[k];

		row->time = look->frame.time;
		if (row->fate == PHIZ_CROP_KEPT)
			status = prepare(e, w, look, row, &look->face[look->n++]);
	}
	return status;
}

static void look_free(struct phiz_ctx *ctx, struct look *look)
{
	for (int i = 0; i < look->n; i++)
		track_face_free(ctx, &look->face[i]);
	phiz_free(ctx, look->face);
	phiz_crops_free(ctx, &look->rows);
	phiz_image_free(ctx, &look->frame.image);
	*look = (struct look){.n = 0};
}

/* --- What is kept. --- */

/* The number behind the highest person_N that there is. */
static int next_number(const struct extract *e)
{
	int highest = 0, n;

	for (size_t i = 0; i < e->others.count; i++)
		if (sscanf(e->others.crop[i].person, "person_%9d", &n) == 1)
			highest = n > highest ? n : highest;
	for (size_t i = 0; i < e->count; i++)
		for (size_t k = 0; k < e->source[i].rows.count; k++)
			if (sscanf(e->source[i].rows.crop[k].person, "person_%9d", &n) == 1)
				highest = n > highest ? n : highest;
	for (size_t i = 0; i < e->count; i++) /* people of photos may be called so too */
		if (e->source[i].person && sscanf(e->source[i].person, "person_%9d", &n) == 1)
			highest = n > highest ? n : highest;
	return highest + 1;
}

static int by_frame(const void *a, const void *b)
{
	const struct track_face *x = a, *y = b;

	return (x->row.frame > y->row.frame) - (x->row.frame < y->row.frame);
}

static enum phiz_status write_face(struct film *f, const char *person, struct track_face *face)
{
	struct phiz_ctx *ctx = f->e->ctx;
	struct phiz_crop row = face->row;
	char *file = phiz_asprintf(ctx, "%s/%s_%06lld.%s", person, f->s->stem, (long long)row.frame,
	                           f->e->settings.png ? "png" : "jpg");
	char *path = file ? extract_crop_path(ctx, f->e, file) : NULL;
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	row.source = f->s->path;
	row.size = f->s->size;
	row.mtime = f->s->mtime;
	row.person = (char *)person;
	row.file = file;
	if (!status)
		status = phiz_file_write(ctx, path, face->crop.data, face->crop.size);
	if (!status)
		status = phiz_crops_add(ctx, &f->s->rows, &row);
	phiz_free(ctx, file);
	phiz_free(ctx, path);
	return status;
}

/* A face that was seen in one frame of many is mostly none. */
static enum phiz_status write_track(struct film *f, struct track *track)
{
	char person[32];
	char *path;
	enum phiz_status status;

	if (track->frames < 2 && f->frames > 1) {
		f->e->told.flickers++;
		return PHIZ_OK;
	}
	snprintf(person, sizeof person, "person_%02d", f->number++);
	path = extract_crop_path(f->e->ctx, f->e, person);
	status = path ? phiz_dir_make(f->e->ctx, path) : PHIZ_E_NOMEM;
	phiz_free(f->e->ctx, path);
	qsort(track->kept, (size_t)track->n_kept, sizeof *track->kept, by_frame);
	for (int i = 0; i < track->n_kept && !status; i++)
		status = write_face(f, person, &track->kept[i]);
	return status;
}

/* Bounds memory: the tracks that were not seen for longest are written and forgotten. */
static enum phiz_status retire(struct film *f)
{
	enum phiz_status status = PHIZ_OK;

	while (!status && f->tracks.count > 1 &&
	       (f->tracks.count > MAX_TRACKS || f->tracks.bytes > MAX_KEPT_BYTES)) {
		struct track old;
		size_t oldest = 0;

		for (size_t i = 1; i < f->tracks.count; i++)
			if (f->tracks.track[i].last < f->tracks.track[oldest].last)
				oldest = i;
		old = tracks_take(&f->tracks, oldest);
		status = write_track(f, &old);
		track_free(f->e->ctx, &old);
	}
	return status;
}

static enum phiz_status write_all(struct film *f)
{
	enum phiz_status status = tracks_join(&f->tracks);

	for (size_t i = 0; i < f->tracks.count && !status; i++)
		status = write_track(f, &f->tracks.track[i]);
	if (!status && f->s->rows.count == 0) {
		struct phiz_crop row = {.source = f->s->path, .size = f->s->size, .mtime = f->s->mtime, .frame = -1,
		                        .fate = PHIZ_CROP_NONE, .similarity = -2};
		status = phiz_crops_add(f->e->ctx, &f->s->rows, &row);
	}
	return status;
}

/* --- Frame by frame. --- */

static enum phiz_status follow(struct film *f, struct look *look, size_t n)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < n && !status; i++) {
		f->faces += (size_t)look[i].n;
		f->left_out += look[i].rows.count - (size_t)look[i].n;
		status = tracks_add(&f->tracks, look[i].face, look[i].n, look[i].frame.time);
		look[i].n = 0; /* taken over */
		f->frames++;
	}
	return status ? status : retire(f);
}

static enum phiz_status batch(struct film *f, struct look *look, size_t most, bool *end)
{
	void *arg[2] = {f, look};
	size_t n = 0;
	double time = 0;
	enum phiz_status status = PHIZ_OK;

	while (n < most && !status && !*end) {
		status = phiz_video_next(f->video, &look[n].frame, end);
		n += !status && !*end;
	}
	if (n)
		time = look[n - 1].frame.time;
	if (!status)
		status = extract_each(f->e, n, look_through, arg);
	if (!status)
		status = follow(f, look, n);
	for (size_t i = 0; i < most; i++)
		look_free(f->e->ctx, &look[i]);
	if (f->duration <= 0)
		f->duration = phiz_video_duration(f->video);
	if (!status)
		phiz_progress_show(&f->e->progress, time, f->duration, *end, "%s: %lld frames, %zu faces, %zu people",
		                   phiz_path_base(f->s->path), (long long)f->frames, f->faces, f->tracks.count);
	return status;
}

static enum phiz_status all_frames(struct film *f)
{
	size_t most = (size_t)f->e->workers * 2 < MAX_BATCH ? (size_t)f->e->workers * 2 : MAX_BATCH;
	struct look *look = phiz_calloc(f->e->ctx, most, sizeof *look);
	enum phiz_status status = look ? PHIZ_OK : PHIZ_E_NOMEM;
	bool end = false;

	while (!end && !status)
		status = phiz_interrupted ? extract_broken_off(f->e) : batch(f, look, most, &end);
	phiz_free(f->e->ctx, look);
	return status;
}

enum phiz_status extract_video(struct extract *e, struct extract_source *s)
{
	struct phiz_video_options o = {.every = (int64_t)e->settings.every, .fps = e->settings.fps};
	struct film f = {.e = e, .s = s, .number = next_number(e)};
	int dim = e->worker[0].session ? phiz_session_dim(e->worker[0].session) : 0;
	enum phiz_status status = phiz_video_open(e->ctx, s->path, &o, &f.video);

	if (status)
		return status;
	phiz_progress_restart(&e->progress);
	tracks_init(&f.tracks, e->ctx, e->per_track, dim, PATIENCE + (o.fps > 0 ? 1 / o.fps : 0));
	status = all_frames(&f);
	if (!status)
		status = write_all(&f);
	tracks_free(&f.tracks);
	phiz_video_free(&f.video);
	if (status) {
		phiz_crops_free(e->ctx, &s->rows);
		return status;
	}
	s->done = true;
	e->told.videos++;
	e->told.frames += (size_t)f.frames;
	e->told.video_left_out += f.left_out;
	return PHIZ_OK;
}
