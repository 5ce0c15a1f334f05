#include "tools/track.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

#define OVERLAP 0.3     /* IoU with the last box */
#define RESEMBLES 0.45  /* cosine to a track's mean */
#define DIFFERS 0.1
#define SAME_PERSON 0.6 /* cosine of two tracks' means */
enum { NEAR_BITS = 10 }; /* difference hashes of near-duplicates, as in datasets/phash.h */

void tracks_init(struct tracks *t, struct phiz_ctx *ctx, int keep, int dim, double patience)
{
	*t = (struct tracks){.ctx = ctx, .keep = keep, .dim = dim, .patience = patience};
}

void track_face_free(struct phiz_ctx *ctx, struct track_face *face)
{
	phiz_free(ctx, face->row.embedding);
	phiz_bytes_free(&face->crop);
	*face = (struct track_face){.row = {.frame = -1}};
}

void track_free(struct phiz_ctx *ctx, struct track *track)
{
	for (int i = 0; i < track->n_kept; i++)
		track_face_free(ctx, &track->kept[i]);
	phiz_free(ctx, track->kept);
	phiz_free(ctx, track->mean);
	*track = (struct track){.n_kept = 0};
}

void tracks_free(struct tracks *t)
{
	for (size_t i = 0; i < t->count; i++)
		track_free(t->ctx, &t->track[i]);
	phiz_free(t->ctx, t->track);
	t->track = NULL;
	t->count = t->capacity = 0;
}

struct track tracks_take(struct tracks *t, size_t i)
{
	struct track track = t->track[i];

	for (int k = 0; k < track.n_kept; k++)
		t->bytes -= track.kept[k].crop.size;
	memmove(t->track + i, t->track + i + 1, (t->count - i - 1) * sizeof *t->track);
	t->count--;
	return track;
}

static double iou(const float a[4], const float b[4])
{
	double w = fmin((double)a[0] + (double)a[2], (double)b[0] + (double)b[2]) - fmax((double)a[0], (double)b[0]);
	double h = fmin((double)a[1] + (double)a[3], (double)b[1] + (double)b[3]) - fmax((double)a[1], (double)b[1]);
	double both = w > 0 && h > 0 ? w * h : 0;
	double all = (double)a[2] * (double)a[3] + (double)b[2] * (double)b[3] - both;

	return all > 0 ? both / all : 0;
}

static double cosine(const double *a, const double *b, int dim)
{
	double dot = 0, aa = 0, bb = 0;

	for (int i = 0; i < dim; i++) {
		dot += a[i] * b[i];
		aa += a[i] * a[i];
		bb += b[i] * b[i];
	}
	return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}

/* v: room for dim values. */
static double resemblance(const struct tracks *t, const struct track *track, const struct track_face *face, double *v)
{
	for (int i = 0; i < t->dim; i++)
		v[i] = face->row.embedding[i];
	return cosine(track->mean, v, t->dim);
}

/* How well the face fits the track; below 0: not at all. Overlap counts more than resemblance. */
static double fit(const struct tracks *t, const struct track *track, const struct track_face *face, double time,
                  double *v)
{
	bool known = t->dim && track->mean && face->row.embedding && face->row.dim == t->dim;
	double like = known ? resemblance(t, track, face, v) : 0, overlap = 0;

	if (time - track->last <= t->patience)
		overlap = iou(track->box, face->row.face.box);
	if (overlap >= OVERLAP && (!known || like >= DIFFERS))
		return 1 + overlap;
	return known && like >= RESEMBLES ? like : -1;
}

static bool worth_keeping(struct tracks *t, struct track *track, const struct track_face *face, int *at)
{
	int worst = 0;

	for (int i = 0; i < track->n_kept; i++) {
		if (phiz_phash_distance(&track->kept[i].hash, &face->hash) <= NEAR_BITS) {
			*at = i; /* nearly the same picture: the better one stays */
			return face->row.quality.overall > track->kept[i].row.quality.overall;
		}
		if (track->kept[i].row.quality.overall < track->kept[worst].row.quality.overall)
			worst = i;
	}
	*at = track->n_kept < t->keep ? track->n_kept : worst;
	return *at == track->n_kept || face->row.quality.overall > track->kept[worst].row.quality.overall;
}

/* The face is taken over or freed. */
static enum phiz_status offer(struct tracks *t, struct track *track, struct track_face *face)
{
	int at;

	if (!track->kept)
		track->kept = phiz_calloc(t->ctx, (size_t)t->keep, sizeof *track->kept);
	if (!track->kept || !worth_keeping(t, track, face, &at)) {
		track_face_free(t->ctx, face);
		return track->kept ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (at == track->n_kept) {
		track->n_kept++;
	} else {
		t->bytes -= track->kept[at].crop.size;
		track_face_free(t->ctx, &track->kept[at]);
	}
	track->kept[at] = *face;
	t->bytes += face->crop.size;
	return PHIZ_OK;
}

/* Into the track at this index; -1: a new one. */
static enum phiz_status follow(struct tracks *t, int64_t index, struct track_face *face, double time)
{
	struct track *track;
	double length = 0;

	if (index < 0) {
		if (phiz_grow(t->ctx, &t->track, &t->capacity, t->count + 1, sizeof *t->track)) {
			track_face_free(t->ctx, face);
			return PHIZ_E_NOMEM;
		}
		index = (int64_t)t->count++;
		t->track[index] = (struct track){.first = time};
	}
	track = &t->track[index];
	memcpy(track->box, face->row.face.box, sizeof track->box);
	track->last = time;
	track->frames++;
	track->at = t->looked_at;
	if (t->dim && face->row.embedding && face->row.dim == t->dim) {
		if (!track->mean)
			track->mean = phiz_calloc(t->ctx, (size_t)t->dim, sizeof *track->mean);
		for (int i = 0; i < t->dim; i++)
			length += (double)face->row.embedding[i] * face->row.embedding[i];
		for (int i = 0; track->mean && i < t->dim && length > 0; i++)
			track->mean[i] += face->row.embedding[i] / sqrt(length);
	}
	if (t->dim && !track->mean) {
		track_face_free(t->ctx, face);
		return PHIZ_E_NOMEM;
	}
	return offer(t, track, face);
}

/* The best pair of face and track that fit; gives its place in the table of n x count, or -1. */
static int64_t best_pair(const struct tracks *t, const double *table, const bool *placed, int n, size_t count)
{
	double best = -1;
	int64_t at = -1;

	for (int i = 0; i < n; i++)
		for (size_t k = 0; !placed[i] && k < count; k++) {
			int64_t place = (int64_t)i * (int64_t)count + (int64_t)k;

			if (table[place] >= 0 && table[place] > best && t->track[k].at != t->looked_at) {
				best = table[place];
				at = place;
			}
		}
	return at;
}

/* Greedy: the best pair first, until nothing fits any more. */
static enum phiz_status match(struct tracks *t, struct track_face *face, bool *placed, int n, double time)
{
	size_t count = t->count, cells;
	double *v = phiz_alloc(t->ctx, (size_t)(t->dim ? t->dim : 1), sizeof *v), *table = NULL;
	enum phiz_status status = PHIZ_E_NOMEM;
	int64_t at;

	if (v && phiz_size_mul((size_t)n, count, &cells) && (table = phiz_alloc(t->ctx, cells, sizeof *table)))
		status = PHIZ_OK;
	for (int i = 0; i < n && !status; i++)
		for (size_t k = 0; k < count; k++)
			table[(size_t)i * count + k] = fit(t, &t->track[k], &face[i], time, v);
	while (!status && (at = best_pair(t, table, placed, n, count)) >= 0) {
		placed[at / (int64_t)count] = true;
		status = follow(t, at % (int64_t)count, &face[at / (int64_t)count], time);
	}
	phiz_free(t->ctx, v);
	phiz_free(t->ctx, table);
	return status;
}

enum phiz_status tracks_add(struct tracks *t, struct track_face *face, int n, double time)
{
	bool *placed = phiz_calloc(t->ctx, (size_t)n + 1, sizeof *placed);
	enum phiz_status status = placed ? PHIZ_OK : PHIZ_E_NOMEM;

	t->looked_at++;
	if (!status && n)
		status = match(t, face, placed, n, time);
	for (int i = 0; i < n; i++) {
		if (placed && placed[i])
			continue;
		if (status)
			track_face_free(t->ctx, &face[i]);
		else
			status = follow(t, -1, &face[i], time);
	}
	phiz_free(t->ctx, placed);
	return status;
}

/* b's faces go to a. */
static enum phiz_status join(struct tracks *t, size_t a, size_t b)
{
	struct track other = tracks_take(t, b), *into = &t->track[a];
	enum phiz_status status = PHIZ_OK;

	into->first = fmin(into->first, other.first);
	into->last = fmax(into->last, other.last);
	into->frames += other.frames;
	for (int i = 0; i < t->dim; i++)
		into->mean[i] += other.mean[i];
	for (int i = 0; i < other.n_kept; i++)
		if (status)
			track_face_free(t->ctx, &other.kept[i]);
		else
			status = offer(t, into, &other.kept[i]);
	other.n_kept = 0;
	track_free(t->ctx, &other);
	return status;
}

enum phiz_status tracks_join(struct tracks *t)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t a = 0; a < t->count && !status; a++)
		for (size_t b = a + 1; b < t->count && !status;) {
			const struct track *x = &t->track[a], *y = &t->track[b];

			if (x->mean && y->mean && (x->last < y->first || y->last < x->first) &&
			    cosine(x->mean, y->mean, t->dim) >= SAME_PERSON) {
				status = join(t, a, b);
				b = a + 1; /* the time that a covers has grown, and its mean has moved */
			} else {
				b++;
			}
		}
	return status;
}
