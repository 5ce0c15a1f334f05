/* Several faces in a photo of one person: which is the person's. With an embedder: the one nearest to the mean of the
 * photos in which the person is alone. Without: the largest and most central. The others are set aside. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "tools/extract.h"

#define LIKE_NOBODY 0.2 /* cosine to the person's mean below which a face is taken to be somebody else's */

double extract_cosine(const int8_t *a, const double *b, int dim)
{
	double dot = 0, aa = 0, bb = 0;

	for (int i = 0; i < dim; i++) {
		dot += a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += b[i] * b[i];
	}
	return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}

static bool is_candidate(const struct phiz_crop *c)
{
	return c->fate == PHIZ_CROP_KEPT || c->fate == PHIZ_CROP_ASIDE;
}

static int candidates(const struct phiz_crops *rows)
{
	int n = 0;

	for (size_t i = 0; i < rows->count; i++)
		n += is_candidate(&rows->crop[i]);
	return n;
}

static void add_unit(double *mean, const struct phiz_crop *c)
{
	double length = 0;

	for (int i = 0; i < c->dim; i++)
		length += (double)c->embedding[i] * c->embedding[i];
	for (int i = 0; i < c->dim && length > 0; i++)
		mean[i] += c->embedding[i] / sqrt(length);
}

/* Of the photos in which there is one face. false: there are none. */
static bool mean_of(const struct extract *e, struct extract_source **of, size_t n, double *mean, int dim)
{
	size_t found = 0;

	memset(mean, 0, (size_t)dim * sizeof *mean);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < of[i]->rows.count && candidates(&of[i]->rows) == 1; k++)
			if (is_candidate(&of[i]->rows.crop[k]) && of[i]->rows.crop[k].dim == dim) {
				add_unit(mean, &of[i]->rows.crop[k]);
				found++;
			}
	for (size_t i = 0; i < e->others.count; i++) {
		const struct phiz_crop *c = &e->others.crop[i];

		if (c->fate == PHIZ_CROP_KEPT && c->dim == dim && c->similarity < -1 && !strcmp(c->person, of[0]->person)) {
			add_unit(mean, c);
			found++;
		}
	}
	return found > 0;
}

/* Area, less the further from the middle: a face at the edge counts a fifth. */
static double prominence(const struct phiz_crop *c)
{
	double x = ((double)c->face.box[0] + (double)c->face.box[2] / 2) / (c->width > 0 ? c->width : 1) - 0.5;
	double y = ((double)c->face.box[1] + (double)c->face.box[3] / 2) / (c->height > 0 ? c->height : 1) - 0.5;

	return (double)c->face.box[2] * (double)c->face.box[3] * exp(-6.4 * (x * x + y * y));
}

/* The index of the chosen row; -1: nobody on it is the person. */
static int choose_row(struct extract *e, struct extract_source *s, const double *mean)
{
	double best = -INFINITY;
	int chosen = -1;

	for (size_t i = 0; i < s->rows.count; i++) {
		struct phiz_crop *c = &s->rows.crop[i];
		double v;

		if (!is_candidate(c))
			continue;
		if (mean)
			v = c->similarity = c->embedding ? extract_cosine(c->embedding, mean, c->dim) : -1;
		else
			v = prominence(c);
		if (v > best) {
			best = v;
			chosen = (int)i;
		}
	}
	if (mean && best < LIKE_NOBODY)
		chosen = -1;
	if (!mean)
		e->told.by_size++;
	else if (chosen >= 0)
		e->told.by_embedding++;
	else
		e->told.nobody++;
	return chosen;
}

static char *crop_name(struct extract *e, const struct extract_source *s, bool chosen, int number)
{
	const char *ending = e->settings.png ? "png" : "jpg";

	return chosen ? phiz_asprintf(e->ctx, "%s/%s.%s", s->person, s->stem, ending)
	              : phiz_asprintf(e->ctx, PHIZ_CROPS_ASIDE "/%s/%s_%d.%s", s->person, s->stem, number, ending);
}

static char *reason(struct extract *e, const struct extract_source *s, const struct phiz_crop *c, int chosen,
                    bool by_embedding)
{
	if (!by_embedding)
		return phiz_strdup(e->ctx, "not the largest and most central face");
	if (chosen < 0)
		return phiz_asprintf(e->ctx, "resembles nobody of this folder: cosine %.2f", c->similarity);
	return phiz_asprintf(e->ctx, "another face resembles the person more: cosine %.2f to %.2f", c->similarity,
	                     s->rows.crop[chosen].similarity);
}

/* Gives each candidate its name and fate; *changed: crops must be cut out anew. */
static enum phiz_status assign(struct extract *e, struct extract_source *s, int chosen, bool by_embedding,
                               bool *changed)
{
	int number = 0;

	*changed = false;
	for (size_t i = 0; i < s->rows.count; i++) {
		struct phiz_crop *c = &s->rows.crop[i];
		bool kept = (int)i == chosen;
		char *file, *why;

		if (!is_candidate(c))
			continue;
		file = crop_name(e, s, kept, ++number);
		why = kept ? phiz_strdup(e->ctx, "") : reason(e, s, c, chosen, by_embedding);
		if (!file || !why) {
			phiz_free(e->ctx, file);
			phiz_free(e->ctx, why);
			return PHIZ_E_NOMEM;
		}
		*changed = *changed || strcmp(file, c->file);
		phiz_free(e->ctx, c->file);
		phiz_free(e->ctx, c->reason);
		c->file = file;
		c->reason = why;
		c->fate = kept ? PHIZ_CROP_KEPT : PHIZ_CROP_ASIDE;
	}
	return PHIZ_OK;
}

/* Where a face may have lain after an earlier choice. */
static enum phiz_status remove_stale(struct extract *e, struct extract_worker *w, const struct extract_source *s)
{
	const char *ending = e->settings.png ? "png" : "jpg";
	int number = 0, chosen = 0;

	for (size_t i = 0; i < s->rows.count; i++) {
		const struct phiz_crop *c = &s->rows.crop[i];

		if (!is_candidate(c))
			continue;
		number++;
		if (c->fate == PHIZ_CROP_KEPT)
			chosen = number;
	}
	char *name = chosen ? phiz_asprintf(w->ctx, "%s/" PHIZ_CROPS_ASIDE "/%s/%s_%d.%s", e->dir, s->person, s->stem,
	                                    chosen, ending)
	                    : phiz_asprintf(w->ctx, "%s/%s/%s.%s", e->dir, s->person, s->stem, ending);
	if (!name)
		return PHIZ_E_NOMEM;
	remove(name);
	phiz_free(w->ctx, name);
	return PHIZ_OK;
}

static enum phiz_status make_folders(struct extract *e, struct extract_worker *w, const struct extract_source *s)
{
	char *kept = phiz_asprintf(w->ctx, "%s/%s", e->dir, s->person);
	char *aside = phiz_asprintf(w->ctx, "%s/" PHIZ_CROPS_ASIDE "/%s", e->dir, s->person);
	enum phiz_status status = kept && aside ? phiz_dir_make(w->ctx, aside) : PHIZ_E_NOMEM;

	for (size_t i = 0; i < s->rows.count && !status; i++)
		if (s->rows.crop[i].fate == PHIZ_CROP_KEPT)
			status = phiz_dir_make(w->ctx, kept);
	phiz_free(w->ctx, kept);
	phiz_free(w->ctx, aside);
	return status;
}

static enum phiz_status cut_out(struct extract *e, struct extract_worker *w, void *arg, size_t i)
{
	struct extract_source *s = ((struct extract_source **)arg)[i];
	struct phiz_image image;
	enum phiz_status status = phiz_image_read(w->ctx, s->path, NULL, &image);

	if (status)
		return status;
	status = make_folders(e, w, s);
	for (size_t k = 0; k < s->rows.count && !status; k++)
		if (is_candidate(&s->rows.crop[k]))
			status = extract_write_crop(e, w->ctx, &image, &s->rows.crop[k]);
	phiz_image_free(w->ctx, &image);
	return status ? status : remove_stale(e, w, s);
}

/* --- All people. --- */

static int by_person(const void *a, const void *b)
{
	const struct extract_source *x = *(struct extract_source *const *)a, *y = *(struct extract_source *const *)b;
	int order = strcmp(x->person, y->person);

	return order ? order : strcmp(x->path, y->path);
}

/* of: the n sources of one person. Those to be cut out are added to job. */
static enum phiz_status one_person(struct extract *e, struct extract_source **of, size_t n, struct extract_source **job,
                                   size_t *jobs)
{
	int dim = e->worker[0].session ? phiz_session_dim(e->worker[0].session) : 0;
	double *mean = dim ? phiz_calloc(e->ctx, (size_t)dim, sizeof *mean) : NULL;
	bool known = false, changed, asked = false;
	enum phiz_status status = dim && !mean ? PHIZ_E_NOMEM : PHIZ_OK;

	for (size_t i = 0; i < n && !status; i++) {
		if (candidates(&of[i]->rows) < 2)
			continue;
		if (mean && !asked)
			known = mean_of(e, of, n, mean, dim);
		asked = true;
		status = assign(e, of[i], choose_row(e, of[i], known ? mean : NULL), known, &changed);
		if (!status && changed)
			job[(*jobs)++] = of[i];
	}
	phiz_free(e->ctx, mean);
	return status;
}

enum phiz_status extract_choose(struct extract *e)
{
	struct extract_source **of = phiz_calloc(e->ctx, e->count, sizeof *of);
	struct extract_source **job = phiz_calloc(e->ctx, e->count, sizeof *job);
	size_t n = 0, jobs = 0, batch = (size_t)e->workers * 8;
	enum phiz_status status = of && job ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t i = 0; i < e->count && !status; i++)
		if (e->source[i].person && !e->source[i].video)
			of[n++] = &e->source[i];
	if (n && !status)
		qsort(of, n, sizeof *of, by_person);
	for (size_t i = 0, m; i < n && !status; i += m) {
		for (m = 1; i + m < n && !strcmp(of[i]->person, of[i + m]->person); m++)
			;
		status = one_person(e, of + i, m, job, &jobs);
	}
	for (size_t at = 0; at < jobs && !status; at += batch) {
		size_t m = jobs - at < batch ? jobs - at : batch;

		status = phiz_interrupted ? extract_broken_off(e) : extract_each(e, m, cut_out, job + at);
		if (!status)
			phiz_progress_show(&e->progress, (double)(at + m), (double)jobs, at + m == jobs,
			                   "%zu of %zu photos with several faces", at + m, jobs);
	}
	phiz_free(e->ctx, of);
	phiz_free(e->ctx, job);
	return status;
}
