/* Thumbnails in report.html. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "train/report_html.h"

enum { THUMB = 160, QUALITY = 82, MAX_MISTAKES = 24, MAX_STRANGERS = 12, MAX_CHANGES = 24 };

/* The photo as the network sees it, as a JPEG. */
static enum phiz_status make_thumb(const struct phiz_eval *e, struct phiz_ctx *ctx, size_t i, struct phiz_bytes *jpeg)
{
	struct phiz_preproc p = e->preproc;
	struct phiz_image photo = {0}, small = {0};
	char *path = phiz_dataset_path(ctx, e->dataset, e->sample[i]);
	enum phiz_status status = path ? phiz_image_read(ctx, path, NULL, &photo) : PHIZ_E_NOMEM;

	p.size = THUMB;
	p.resize = (int)lround((double)p.resize * THUMB / e->preproc.size);
	if (!status)
		status = phiz_preproc_geometry(ctx, &p, &photo, &small);
	if (!status)
		status = phiz_jpeg_encode(ctx, &small, QUALITY, jpeg);
	phiz_image_free(ctx, &small);
	phiz_image_free(ctx, &photo);
	phiz_free(ctx, path);
	return status;
}

/* Opens a figure with the photo of guess i. A photo that has gone since leaves its place empty. */
static enum phiz_status open_figure(const struct phiz_eval *e, size_t i, struct phiz_bytes *b)
{
	struct phiz_ctx *fork = NULL; /* a message about a thumbnail is nobody's error */
	struct phiz_bytes jpeg;
	enum phiz_status status = phiz_ctx_fork(e->ctx, &fork);

	if (status)
		return status;
	phiz_bytes_init(&jpeg, fork);
	status = make_thumb(e, fork, i, &jpeg);
	if (status == PHIZ_E_NOMEM) {
		phiz_fail_copy(e->ctx, fork);
	} else if (status) {
		phiz_bytes_text(b, "<figure><div class=\"none\">no picture</div><figcaption>");
		status = PHIZ_OK;
	} else {
		phiz_bytes_printf(b, "<figure><img loading=\"lazy\" width=\"%d\" height=\"%d\" alt=\"", THUMB, THUMB);
		phiz_html_text(b, phiz_eval_person(e, i));
		phiz_bytes_text(b, "\" src=\"data:image/jpeg;base64,");
		phiz_bytes_base64(b, jpeg.data, jpeg.size);
		phiz_bytes_text(b, "\"><figcaption>");
	}
	phiz_bytes_free(&jpeg);
	phiz_ctx_free(&fork);
	return status;
}

static void close_figure(const struct phiz_eval *e, size_t i, struct phiz_bytes *b)
{
	phiz_bytes_text(b, "<small>");
	phiz_html_text(b, phiz_path_base(e->dataset->sample[e->sample[i]].path));
	phiz_bytes_text(b, "</small></figcaption></figure>\n");
}

/* A name that may be broken behind each '_'. */
static void add_breakable(struct phiz_bytes *b, struct phiz_ctx *ctx, const char *name)
{
	for (const char *end = name; *name; name = end) {
		char *piece;

		end = strchr(name, '_');
		end = end ? end + 1 : name + strlen(name);
		piece = phiz_strndup(ctx, name, (size_t)(end - name));
		if (!piece) {
			b->failed = 1;
			return;
		}
		phiz_html_text(b, piece);
		if (end[-1] == '_')
			phiz_bytes_text(b, "<wbr>");
		phiz_free(ctx, piece);
	}
}

static void add_name(struct phiz_bytes *b, const char *class, const char *before, const char *name, double confidence)
{
	phiz_bytes_printf(b, "<span>%s <b class=\"%s\">", before, class);
	add_breakable(b, b->ctx, name);
	phiz_bytes_text(b, "</b>");
	if (isfinite(confidence))
		phiz_bytes_printf(b, " %.1f&nbsp;%%", 100 * confidence);
	phiz_bytes_text(b, "</span>");
}

/* --- The guesses of a kind with the highest scores. --- */

struct shown {
	size_t i;
	double score;
};

static int by_falling_score(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	if (x->score < y->score)
		return 1;
	if (x->score > y->score)
		return -1;
	return (x->i > y->i) - (x->i < y->i);
}

static enum phiz_status choose(const struct phiz_eval *e, bool strangers, struct shown **out, size_t *n)
{
	*n = 0;
	*out = phiz_alloc(e->ctx, e->count, sizeof **out);
	if (!*out)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < e->count; i++) {
		bool stranger = e->guess[i].label == PHIZ_STRANGER;

		if (stranger == strangers && !phiz_eval_right(e, i))
			(*out)[(*n)++] = (struct shown){i, e->guess[i].score};
	}
	if (*n > 1)
		qsort(*out, *n, sizeof **out, by_falling_score);
	return PHIZ_OK;
}

static enum phiz_status add_mistake(const struct phiz_eval *e, size_t i, struct phiz_bytes *b)
{
	const struct phiz_guess *g = &e->guess[i];
	enum phiz_status status = open_figure(e, i, b);

	if (status)
		return status;
	add_name(b, "bad", "named", e->label[g->top[0]], g->score);
	if (g->label != PHIZ_STRANGER) {
		add_name(b, "good", "is", e->label[g->label], NAN);
		phiz_bytes_printf(b, "<span class=\"soft\">the model&rsquo;s choice no. %ld</span>", (long)g->rank + 1);
	} else {
		phiz_bytes_text(b, "<span>is a stranger</span>");
	}
	close_figure(e, i, b);
	return PHIZ_OK;
}

static enum phiz_status add_gallery(const struct phiz_eval *e, const struct shown *shown, size_t n,
                                    struct phiz_bytes *b)
{
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_text(b, "<div class=\"photos\">\n");
	for (size_t k = 0; k < n && !status; k++)
		status = add_mistake(e, shown[k].i, b);
	phiz_bytes_text(b, "</div>\n");
	return status;
}

enum phiz_status phiz_html_mistakes(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	struct shown *shown;
	size_t n;
	enum phiz_status status = choose(r->eval, false, &shown, &n);

	if (status)
		return status;
	phiz_html_section(b, "Worst mistakes");
	if (n == 0)
		phiz_bytes_text(b, "<p>None: every photo of a known person was named rightly.</p>\n");
	else if (n > MAX_MISTAKES)
		phiz_bytes_printf(b, "<p class=\"soft\">The %d wrong names that the model was surest of, of %zu, on the "
		                  "photos as the network sees them. predictions.csv has all.</p>\n", (int)MAX_MISTAKES, n);
	else
		phiz_bytes_text(b, "<p class=\"soft\">All wrong names, the surest first, on the photos as the network sees "
		                "them.</p>\n");
	if (n > 0)
		status = add_gallery(r->eval, shown, n < MAX_MISTAKES ? n : MAX_MISTAKES, b);
	phiz_free(r->eval->ctx, shown);
	return status;
}

enum phiz_status phiz_html_strangers(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	struct shown *shown;
	size_t n;
	enum phiz_status status;

	if (!r->eval->strangers)
		return PHIZ_OK;
	status = choose(r->eval, true, &shown, &n);
	if (status)
		return status;
	phiz_html_section(b, "Strangers most like somebody");
	phiz_bytes_printf(b, "<p class=\"soft\">The %zu strangers with the highest %s; the first %lld of them "
	                  "are above the threshold. Look whether one of them is a known person after all: then the "
	                  "threshold is too strict.</p>\n", n < MAX_STRANGERS ? n : MAX_STRANGERS,
	                  phiz_score_name(r->eval->score), (long long)r->eval->point.strangers_accepted);
	status = add_gallery(r->eval, shown, n < MAX_STRANGERS ? n : MAX_STRANGERS, b);
	phiz_free(r->eval->ctx, shown);
	return status;
}

enum phiz_status phiz_html_changes(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_comparison *c = r->comparison;
	size_t n = c->n_changes < MAX_CHANGES ? c->n_changes : MAX_CHANGES;
	enum phiz_status status = PHIZ_OK;

	if (n == 0)
		return PHIZ_OK;
	phiz_bytes_printf(b, "<h3>Photos that only one names rightly%s</h3>\n<div class=\"photos\">\n",
	                  c->n_changes > n ? " (the first of them)" : "");
	for (size_t k = 0; k < n && !status; k++) {
		const struct phiz_guess *first = &r->eval->guess[c->change[k].a], *other = &r->against->guess[c->change[k].b];
		bool right = phiz_eval_right(r->eval, c->change[k].a);

		status = open_figure(r->eval, c->change[k].a, b);
		if (status)
			return status;
		add_name(b, right ? "good" : "bad", "first:", r->eval->label[first->top[0]], first->confidence[0]);
		add_name(b, right ? "bad" : "good", "second:", r->against->label[other->top[0]], other->confidence[0]);
		close_figure(r->eval, c->change[k].a, b);
	}
	phiz_bytes_text(b, "</div>\n");
	return status;
}
