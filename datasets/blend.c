#include "datasets/blend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/image/align_cut.h"

/* Counts changes that change pictures: folders of another version are not mixed with. */
#define VERSION 1
#define MARK "blend.cfg"
enum { CHANNELS = 3, GRID = 4, FOLDER = 1000, BATCH = 64, QUALITY = 90, NAME = 64 };

/* Of the constant blends, the share of the first face; of the others, how steep the seam between the two is. */
static const double LEAST_SHARE = 0.35, MOST_SHARE = 0.65, STEEPNESS = 3;
/* How far the second face takes on the brightness and contrast of the first. */
static const double LIKENESS = 0.7;

struct work {
	struct phiz_ctx *ctx;
	const struct phiz_dataset *dataset;
	const struct phiz_landmarks *faces;
	const struct phiz_blend_options *options;
	const char *dir;
	uint32_t *usable; /* samples that have a face */
	size_t n_usable;
	bool *there; /* [count] */
};

/* --- One photo. --- */

/* The face, with a margin of a sixteenth of the side around ArcFace's crop. */
static enum phiz_status cut_face(const struct work *w, struct phiz_ctx *ctx, uint32_t sample, struct phiz_image *out)
{
	const int size = w->options->size, margin = size / 16;
	const struct phiz_align align = {.kind = PHIZ_ALIGN_ARCFACE, .size = size - 2 * margin};
	struct phiz_image photo;
	char *path = phiz_dataset_path(ctx, w->dataset, sample);
	enum phiz_status status = path ? phiz_image_read(ctx, path, NULL, &photo) : PHIZ_E_NOMEM;
	double m[6];

	phiz_free(ctx, path);
	if (status)
		return status;
	status = phiz_align_cut(ctx, &align, &w->faces->face[sample], m);
	m[2] -= (m[0] + m[1]) * margin;
	m[5] -= (m[3] + m[4]) * margin;
	if (!status)
		status = phiz_align_warp(ctx, &photo, m, size, out);
	phiz_image_free(ctx, &photo);
	return status;
}

struct tone {
	double mean[CHANNELS], deviation[CHANNELS];
};

static struct tone tone_of(const struct phiz_image *image)
{
	const size_t pixels = (size_t)image->width * (size_t)image->height;
	struct tone t;

	for (int c = 0; c < CHANNELS; c++) {
		double sum = 0, squares = 0;

		for (size_t i = 0; i < pixels; i++) {
			double v = image->data[i * CHANNELS + (size_t)c];

			sum += v;
			squares += v * v;
		}
		t.mean[c] = sum / (double)pixels;
		t.deviation[c] = sqrt(fmax(squares / (double)pixels - t.mean[c] * t.mean[c], 0));
	}
	return t;
}

/* The first face's share at each pixel: the same everywhere or, in every other photo, between 0 and 1 with a smooth
 * seam that a coarse grid of normal numbers draws. */
struct shares {
	bool constant;
	double share, grid[GRID][GRID];
};

static struct shares draw_shares(struct phiz_rng *rng)
{
	struct shares s = {.constant = phiz_rng_below(rng, 2) == 0};
	double shift;

	if (s.constant) {
		s.share = phiz_rng_uniform(rng, LEAST_SHARE, MOST_SHARE);
		return s;
	}
	shift = phiz_rng_normal(rng) / 2;
	for (int i = 0; i < GRID * GRID; i++)
		s.grid[i / GRID][i % GRID] = STEEPNESS * phiz_rng_normal(rng) + shift;
	return s;
}

/* Between grid points with zero slope at each. */
static double ease(double t)
{
	return t * t * (3 - 2 * t);
}

static double share_at(const struct shares *s, int x, int y, int size)
{
	const double gx = (double)x * (GRID - 1) / size, gy = (double)y * (GRID - 1) / size;
	const int ix = (int)gx, iy = (int)gy;
	const double u = ease(gx - ix), v = ease(gy - iy);
	const double top = s->grid[iy][ix] * (1 - u) + s->grid[iy][ix + 1] * u;
	const double bottom = s->grid[iy + 1][ix] * (1 - u) + s->grid[iy + 1][ix + 1] * u;

	return s->constant ? s->share : 1 / (1 + exp(-(top * (1 - v) + bottom * v)));
}

/* The second face goes into the first. */
static void blend(struct phiz_image *first, const struct phiz_image *second, const struct shares *s)
{
	const struct tone a = tone_of(first), b = tone_of(second);

	for (int y = 0; y < first->height; y++)
		for (int x = 0; x < first->width; x++) {
			const double share = share_at(s, x, y, first->width);
			const size_t at = ((size_t)y * (size_t)first->width + (size_t)x) * CHANNELS;

			for (int c = 0; c < CHANNELS; c++) {
				double from = second->data[at + (size_t)c] - b.mean[c];
				double gain = 1 + LIKENESS * ((a.deviation[c] + 8) / (b.deviation[c] + 8) - 1);
				double toned = from * gain + b.mean[c] + LIKENESS * (a.mean[c] - b.mean[c]);
				double v = share * first->data[at + (size_t)c] + (1 - share) * toned;

				first->data[at + (size_t)c] = (uint8_t)(fmin(fmax(v, 0), 255) + 0.5);
			}
		}
}

static void photo_name(int64_t i, char out[NAME])
{
	snprintf(out, NAME, "%03lld/%06lld.jpg", (long long)(i / FOLDER), (long long)i);
}

static enum phiz_status make_photo(const struct work *w, struct phiz_ctx *ctx, int64_t i)
{
	struct phiz_image first = {0}, second = {0};
	struct phiz_rng rng;
	struct shares shares;
	uint32_t a, b;
	char name[NAME], *path;
	enum phiz_status status;

	phiz_rng_init(&rng, w->options->seed, 0, (uint64_t)i, PHIZ_STREAM_BLEND);
	a = phiz_rng_below(&rng, (uint32_t)w->n_usable);
	b = phiz_rng_below(&rng, (uint32_t)w->n_usable - 1);
	b += b >= a;
	shares = draw_shares(&rng);
	status = cut_face(w, ctx, w->usable[a], &first);
	if (!status)
		status = cut_face(w, ctx, w->usable[b], &second);
	if (!status) {
		blend(&first, &second, &shares);
		photo_name(i, name);
		path = phiz_path_join(ctx, w->dir, name);
		status = path ? phiz_image_write(ctx, path, &first, QUALITY) : PHIZ_E_NOMEM;
		phiz_free(ctx, path);
	}
	phiz_image_free(ctx, &first);
	phiz_image_free(ctx, &second);
	return status;
}

/* --- All of them. --- */

struct batch {
	struct work *work;
	int64_t first;
	struct phiz_ctx **fork; /* one for each worker */
	enum phiz_status status[BATCH];
	int failed_by[BATCH]; /* the worker */
};

/* Is it the photo's fault, and no reason to end? */
static bool is_of_photo(enum phiz_status status)
{
	return status == PHIZ_E_FORMAT || status == PHIZ_E_LIMIT || status == PHIZ_E_ARG || status == PHIZ_E_NOTFOUND;
}

static void make_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	struct batch *b = arg;
	struct phiz_ctx *ctx = b->fork[worker];

	for (int64_t i = begin; i < end; i++) {
		b->failed_by[i] = worker;
		b->status[i] = PHIZ_OK;
		if (b->work->there[b->first + i])
			continue;
		/* After a failure its message must stand: that worker does no more. */
		b->status[i] = phiz_ctx_status(ctx) ? PHIZ_E_CANCELLED : make_photo(b->work, ctx, b->first + i);
		if (is_of_photo(b->status[i])) {
			phiz_log(ctx, PHIZ_LOG_WARN, "%s; blend %lld is left out", phiz_ctx_message(ctx),
			         (long long)(b->first + i));
			phiz_ctx_clear(ctx);
		}
	}
}

static enum phiz_status make_batch(struct batch *b, int64_t first, int64_t count, struct phiz_blend_result *result)
{
	struct work *w = b->work;

	b->first = first;
	phiz_parallel_for(w->ctx, count, 1, make_pieces, b);
	for (int64_t i = 0; i < count; i++) {
		bool was_there = w->there[first + i];

		if (b->status[i] && !is_of_photo(b->status[i]))
			return phiz_fail_copy(w->ctx, b->fork[b->failed_by[i]]);
		w->there[first + i] = !b->status[i];
		result->written += !b->status[i] && !was_there;
		result->failed += b->status[i] != PHIZ_OK;
	}
	return PHIZ_OK;
}

static enum phiz_status make_all(struct work *w, phiz_blend_progress_fn progress, void *user,
                                 struct phiz_blend_result *result)
{
	const int threads = phiz_ctx_threads(w->ctx);
	const int64_t total = w->options->count;
	struct batch *b = phiz_calloc(w->ctx, 1, sizeof *b);
	enum phiz_status status = b ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status) {
		b->work = w;
		b->fork = phiz_calloc(w->ctx, (size_t)threads, sizeof *b->fork);
		status = b->fork ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (int i = 0; i < threads && !status; i++)
		status = phiz_ctx_fork(w->ctx, &b->fork[i]);
	for (int64_t at = 0; at < total && !status; at += BATCH) {
		int64_t n = total - at < BATCH ? total - at : BATCH;

		status = make_batch(b, at, n, result);
		if (!status && progress && !progress(user, at + n, total))
			status = phiz_fail(w->ctx, PHIZ_E_CANCELLED,
			                   "%s: broken off after %lld of %lld photos; the same command goes on from there", w->dir,
			                   (long long)(at + n), (long long)total);
	}
	for (int i = 0; b && b->fork && i < threads; i++)
		phiz_ctx_free(&b->fork[i]);
	if (b)
		phiz_free(w->ctx, b->fork);
	phiz_free(w->ctx, b);
	return status;
}

/* --- The folder. --- */

static enum phiz_status claim(const struct work *w)
{
	char *path = phiz_path_join(w->ctx, w->dir, MARK), data[65];
	struct phiz_names names = {0};
	struct phiz_bytes want, is;
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_dataset_sha256(w->dataset, data);
	phiz_bytes_init(&want, w->ctx);
	phiz_bytes_init(&is, w->ctx);
	phiz_bytes_printf(&want, "# Faces of nobody, each made of two by \"phiz data blend\".\n[blend]\nversion = %d\n"
	                  "seed = %llu\nsize = %d\nphotos = %s\n", VERSION, (unsigned long long)w->options->seed,
	                  w->options->size, data);
	if (!status)
		status = phiz_bytes_status(&want);
	if (!status && phiz_path_is_file(path)) {
		status = phiz_file_read(w->ctx, path, 65536, &is);
		if (!status && strcmp(is.data, want.data))
			status = phiz_fail(w->ctx, PHIZ_E_ARG, "%s: holds blends of another seed, size or set of photos (%s); "
			                   "choose another folder", w->dir, MARK);
	} else if (!status) {
		status = phiz_dir_make(w->ctx, w->dir);
		if (!status)
			status = phiz_dir_list(w->ctx, w->dir, &names);
		if (!status && names.count)
			status = phiz_fail(w->ctx, PHIZ_E_ARG, "%s: not empty (%s) and not made by \"phiz data blend\"; choose "
			                   "another folder", w->dir, names.name[0]);
		if (!status)
			status = phiz_file_write(w->ctx, path, want.data, want.size);
	}
	phiz_names_free(w->ctx, &names);
	phiz_bytes_free(&is);
	phiz_bytes_free(&want);
	phiz_free(w->ctx, path);
	return status;
}

/* What is there, and the folders for what is not. */
static enum phiz_status look(struct work *w, struct phiz_blend_result *result)
{
	enum phiz_status status = PHIZ_OK;

	for (int64_t i = 0; i < w->options->count && !status; i++) {
		char name[NAME], *path;

		photo_name(i, name);
		if (i % FOLDER == 0) {
			name[3] = 0;
			path = phiz_path_join(w->ctx, w->dir, name);
			status = path ? phiz_dir_make(w->ctx, path) : PHIZ_E_NOMEM;
			phiz_free(w->ctx, path);
			name[3] = '/';
		}
		path = status ? NULL : phiz_path_join(w->ctx, w->dir, name);
		if (!status && !path)
			status = PHIZ_E_NOMEM;
		w->there[i] = path && phiz_path_is_file(path);
		result->kept += w->there[i];
		phiz_free(w->ctx, path);
	}
	return status;
}

/* The points and the box are the same in all: where the faces were aligned to. */
static enum phiz_status write_landmarks(const struct work *w)
{
	const int size = w->options->size, margin = size / 16;
	char *path = phiz_path_join(w->ctx, w->dir, PHIZ_LANDMARKS_NAME);
	float point[PHIZ_LANDMARKS][2];
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_align_template(size - 2 * margin, point);
	phiz_bytes_init(&text, w->ctx);
	phiz_bytes_text(&text, "file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry,score\n");
	for (int64_t i = 0; i < w->options->count; i++) {
		char name[NAME];

		if (!w->there[i])
			continue;
		photo_name(i, name);
		phiz_bytes_text(&text, name);
		for (int k = 0; k < PHIZ_LANDMARKS; k++)
			phiz_bytes_printf(&text, ",%.2f,%.2f", (double)point[k][0] + margin, (double)point[k][1] + margin);
		phiz_bytes_text(&text, ",1\n");
	}
	status = path ? phiz_bytes_status(&text) : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_file_write(w->ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	phiz_free(w->ctx, path);
	return status;
}

static enum phiz_status list_usable(struct work *w)
{
	w->usable = phiz_alloc(w->ctx, w->dataset->count + 1, sizeof *w->usable);
	if (!w->usable)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; w->faces->face && i < w->dataset->count; i++)
		if (w->faces->face[i].score >= 0 && phiz_face_has_landmarks(&w->faces->face[i]))
			w->usable[w->n_usable++] = (uint32_t)i;
	if (w->n_usable < 2 || w->n_usable > UINT32_MAX)
		return phiz_fail(w->ctx, PHIZ_E_ARG, "%zu faces with landmarks (" PHIZ_LANDMARKS_NAME "): want two or more",
		                 w->n_usable);
	return PHIZ_OK;
}

enum phiz_status phiz_blend_write(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                  const struct phiz_landmarks *faces, const struct phiz_blend_options *options,
                                  const char *dir, phiz_blend_progress_fn progress, void *user,
                                  struct phiz_blend_result *result)
{
	struct work w = {.ctx = ctx, .dataset = dataset, .faces = faces, .options = options, .dir = dir};
	enum phiz_status status;

	memset(result, 0, sizeof *result);
	if (options->count < 1 || options->count > 1000000 || options->size < 32 || options->size > 512)
		return phiz_fail(ctx, PHIZ_E_ARG, "blends: want 1 to 1000000 photos of 32 to 512 pixels");
	status = list_usable(&w);
	if (!status) {
		w.there = phiz_calloc(ctx, (size_t)options->count, sizeof *w.there);
		status = w.there ? claim(&w) : PHIZ_E_NOMEM;
	}
	if (!status)
		status = look(&w, result);
	if (!status)
		status = make_all(&w, progress, user, result);
	if (!status)
		status = write_landmarks(&w);
	phiz_free(ctx, w.there);
	phiz_free(ctx, w.usable);
	return status;
}
