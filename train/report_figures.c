/* Figures and tables of report.html. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "train/confusion_png.h"
#include "train/report_html.h"

/* --- The figures at the top. --- */

static void open_tile(struct phiz_bytes *b, const char *name)
{
	phiz_bytes_text(b, "<div class=\"tile\"><span class=\"name\">");
	phiz_html_text(b, name);
	phiz_bytes_text(b, "</span><b>");
}

static void share_tile(struct phiz_bytes *b, const char *name, double share, int64_t part, int64_t whole,
                       struct phiz_interval interval)
{
	open_tile(b, name);
	phiz_html_percent(b, share);
	phiz_bytes_printf(b, "</b><span>%lld of %lld</span><span>95&nbsp;%%: ", (long long)part, (long long)whole);
	phiz_html_interval(b, interval);
	phiz_bytes_text(b, "</span></div>\n");
}

static void real_tile(struct phiz_bytes *b, const char *name, double value, const char *more)
{
	open_tile(b, name);
	phiz_bytes_printf(b, "%.3f</b><span>", value);
	phiz_html_text(b, more);
	phiz_bytes_text(b, "</span></div>\n");
}

void phiz_html_tiles(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;
	const struct phiz_accuracy *a = &e->accuracy;
	const struct phiz_operating_point *p = &e->point;

	phiz_bytes_text(b, "<div class=\"tiles\">\n");
	share_tile(b, "Named rightly", a->top1, a->right, a->photos, a->top1_interval);
	if (e->classes > PHIZ_GUESS_TOP)
		share_tile(b, "Among the first 5", a->top5, a->right5, a->photos, a->top5_interval);
	real_tile(b, "Macro F1", a->macro_f1, "every person counts the same; 1 is best");
	real_tile(b, "Calibration error", a->ece, "ECE, 15 bins; 0 is best");
	if (e->strangers) {
		share_tile(b, "Strangers let in", p->far, p->strangers_accepted, p->strangers, p->far_interval);
		share_tile(b, "Known, let in and named", p->tar, p->named, p->known, p->tar_interval);
		real_tile(b, "Threshold", p->value, r->threshold_stored ? "stored in the model" : "not stored in the model");
	}
	open_tile(b, "Time per photo");
	phiz_bytes_printf(b, "%.1f&nbsp;ms</b><span>%.1f&nbsp;ms of it in the network, 16 at a "
	                     "time</span></div>\n</div>\n",
	                  1e3 * e->seconds / (double)e->count, 1e3 * e->network_seconds / (double)e->count);
}

/* --- What the threshold does, in words. --- */

static void explain_point(const struct phiz_eval *e, const struct phiz_operating_point *p, struct phiz_bytes *b)
{
	phiz_bytes_printf(b, "<p>Of the <b>%lld</b> photos of strangers it lets in <b>%lld</b> (", (long long)p->strangers,
	                  (long long)p->strangers_accepted);
	phiz_html_percent(b, p->far);
	phiz_bytes_text(b, "). With this many, the true rate lies at ");
	phiz_html_interval(b, p->far_interval);
	phiz_bytes_printf(b,
	                  " in 19 cases of 20.</p>\n<p>Of the <b>%lld</b> photos of known people, <b>%lld</b> are let "
	                  "in and named rightly, <b>%lld</b> are let in under a wrong name, and <b>%lld</b> are turned "
	                  "away as unknown.</p>\n", (long long)p->known, (long long)p->named,
	                  (long long)(p->accepted - p->named), (long long)(p->known - p->accepted));
	phiz_bytes_printf(b, "<p class=\"soft\">Without any threshold, a known person&rsquo;s photo is surer than a "
	                  "stranger&rsquo;s in %.1f&nbsp;%% of all pairs (AUC); at the threshold where as many strangers "
	                  "are let in as known people turned away, both are %.1f&nbsp;%% (equal error rate).</p>\n",
	                  100 * e->roc.auc, 100 * e->roc.eer);
}

static void explain_choice(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;

	if (e->point.value > 1) {
		phiz_bytes_printf(b, "<p>No threshold keeps so many strangers out: too many of them are taken for somebody "
		                "with a %s of 1.</p>\n", phiz_score_name(e->score));
		return;
	}
	phiz_bytes_printf(b, "<p>A face is called <b>unknown</b> if the best class gets a %s below <b>%.4f</b>. "
	                  "That is the smallest threshold at which at most %.4g&nbsp;%% of these strangers are taken for "
	                  "somebody",
	                  phiz_score_name(e->score), e->point.value, 100 * e->asked_far);
	if (e->asked_far * (double)e->strangers < 1)
		phiz_bytes_printf(b, "; %.4g&nbsp;%% of %lld photos is less than one, so it lies above them all",
		                  100 * e->asked_far,
		                  (long long)e->strangers);
	phiz_bytes_text(b, r->threshold_stored ? ". It is stored in the model.</p>\n"
	                                       : ". <code>--write-threshold</code> stores it in the model.</p>\n");
	explain_point(e, &e->point, b);
	phiz_bytes_text(b, "<p class=\"soft\">The threshold was chosen on the very strangers that it is measured on; "
	                "expect slightly more false accepts with others.</p>\n");
}

void phiz_html_threshold(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;

	phiz_html_section(b, "Known or unknown");
	if (e->strangers)
		explain_choice(r, b);
	else
		phiz_bytes_text(b, "<p>No strangers were given, so nothing is known about how often the model takes a "
		                "stranger for somebody. <code>--strangers DIR</code> with some hundred photos of other "
		                "people tells that, and finds the threshold below which a face is called unknown.</p>\n");
	if (!e->stored.set || r->threshold_stored)
		return;
	phiz_bytes_printf(b, "<p>The model carries a threshold of <b>%.4f</b>", e->stored.value);
	if (e->strangers) {
		phiz_bytes_text(b, ", which lets in ");
		phiz_html_percent(b, e->at_stored.far);
		phiz_bytes_text(b, " of the strangers here");
	}
	phiz_bytes_text(b, ". At it, ");
	phiz_html_percent(b, e->at_stored.tar);
	phiz_bytes_text(b, " of the known people&rsquo;s photos are let in and named rightly.</p>\n");
}

/* --- Per person. --- */

struct row {
	const struct phiz_person_score *score;
	const char *name;
	long number;
};

static int by_f1(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->score->f1 != y->score->f1)
		return x->score->f1 > y->score->f1 ? 1 : -1;
	return (x->number > y->number) - (x->number < y->number);
}

static void add_row(const struct row *row, struct phiz_bytes *b)
{
	const struct phiz_person_score *p = row->score;

	phiz_bytes_text(b, "<tr><td>");
	phiz_html_text(b, row->name);
	phiz_bytes_printf(b, "</td><td class=\"more\">%ld</td><td>%lld</td><td>%lld</td><td>", row->number,
	                  (long long)p->photos, (long long)p->right);
	phiz_html_percent(b, p->precision);
	phiz_bytes_text(b, "</td><td>");
	phiz_html_percent(b, p->recall);
	phiz_bytes_text(b, "</td><td class=\"more\">");
	phiz_html_interval(b, p->recall_interval);
	phiz_bytes_printf(b, "</td><td>%.3f</td><td class=\"left more\"><span class=\"meter\"><i "
	                  "style=\"width:%.0f%%\"></i></span></td></tr>\n", p->f1, 100 * p->f1);
}

void phiz_html_people(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;
	struct row *row = phiz_alloc(e->ctx, (size_t)e->classes, sizeof *row);
	size_t n = 0;

	if (!row) {
		b->failed = 1;
		return;
	}
	for (int64_t c = 0; c < e->classes; c++)
		if (e->accuracy.person[c].photos + e->accuracy.person[c].predicted > 0)
			row[n++] = (struct row){&e->accuracy.person[c], e->label[c], (long)c + 1};
	qsort(row, n, sizeof *row, by_f1);
	phiz_html_section(b, "Person by person");
	phiz_bytes_text(b, "<p class=\"soft\">The hardest first. Precision: of the photos that got this name, how many "
	                "show this person. Recall: of this person&rsquo;s photos, how many got the name. F1 joins the "
	                "two.</p>\n"
	                "<div class=\"scroll\"><table class=\"wide\">\n<tr><th>Person</th><th "
	                "class=\"more\">No.</th><th>Photos</th><th>Right</th><th>Precision</th><th>Recall</th><th "
	                "class=\"more\">95&nbsp;% interval</th><th>F1</th><th class=\"more\"></th></tr>\n");
	for (size_t i = 0; i < n; i++)
		add_row(&row[i], b);
	phiz_bytes_text(b, "</table></div>\n");
	if ((int64_t)n < e->classes)
		phiz_bytes_printf(b, "<p class=\"soft\">%lld more people whom the model knows have no photos here and were "
		                  "never named.</p>\n", (long long)(e->classes - (int64_t)n));
	phiz_free(e->ctx, row);
}

/* --- Confusion. --- */

enum { MAX_PAIRS = 15 };

struct pair {
	int64_t is, named;
	uint32_t photos;
};

/* The pairs that are most often confused, by insertion into a short list. */
static int find_pairs(const struct phiz_eval *e, struct pair pair[MAX_PAIRS])
{
	int n = 0;

	for (int64_t c = 0; c < e->classes; c++)
		for (int64_t k = 0; k < e->classes; k++) {
			struct pair p = {c, k, e->accuracy.confusion[c * e->classes + k]};
			int at = n;

			if (c == k || !p.photos)
				continue;
			while (at > 0 && pair[at - 1].photos < p.photos)
				at--;
			if (at == MAX_PAIRS)
				continue;
			n += n < MAX_PAIRS;
			memmove(&pair[at + 1], &pair[at], (size_t)(n - 1 - at) * sizeof *pair);
			pair[at] = p;
		}
	return n;
}

static void add_pairs(const struct phiz_eval *e, struct phiz_bytes *b)
{
	struct pair pair[MAX_PAIRS];
	int n = find_pairs(e, pair);

	if (n == 0)
		return;
	phiz_bytes_text(b, "<h3>Most often confused</h3>\n<div class=\"scroll\"><table>\n<tr><th>Is</th>"
	                "<th class=\"left\">Named</th><th>Photos</th></tr>\n");
	for (int i = 0; i < n; i++) {
		phiz_bytes_text(b, "<tr><td>");
		phiz_html_text(b, e->label[pair[i].is]);
		phiz_bytes_text(b, "</td><td class=\"left wrap\">");
		phiz_html_text(b, e->label[pair[i].named]);
		phiz_bytes_printf(b, "</td><td>%lu</td></tr>\n", (unsigned long)pair[i].photos);
	}
	phiz_bytes_text(b, "</table></div>\n");
}

enum phiz_status phiz_html_confusion(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	struct phiz_image image;
	struct phiz_bytes png;
	enum phiz_status status = phiz_confusion_draw(r->eval, &image);

	phiz_bytes_init(&png, r->eval->ctx);
	if (!status)
		status = phiz_png_encode(r->eval->ctx, &image, &png);
	if (!status) {
		phiz_html_section(b, "Who is taken for whom");
		phiz_bytes_printf(b, "<img class=\"matrix\" width=\"%d\" height=\"%d\" alt=\"Confusion matrix: a row per "
		                  "person, a column per name given\" "
		                  "src=\"data:image/png;base64,", image.width, image.height);
		phiz_bytes_base64(b, png.data, png.size);
		phiz_bytes_text(b, "\">\n");
		add_pairs(r->eval, b);
	}
	phiz_bytes_free(&png);
	phiz_image_free(r->eval->ctx, &image);
	return status;
}

/* --- Two models. --- */

static void compare_row(struct phiz_bytes *b, const char *name, double first, double second, bool percent)
{
	phiz_bytes_printf(b, "<tr><td>%s</td>", name);
	for (int i = 0; i < 2; i++) {
		double v = i ? second : first;

		phiz_bytes_text(b, "<td>");
		if (percent || !isfinite(v))
			phiz_html_percent(b, v);
		else
			phiz_bytes_printf(b, "%.4f", v);
		phiz_bytes_text(b, "</td>");
	}
	if (!isfinite(first) || !isfinite(second))
		phiz_bytes_text(b, "<td></td></tr>\n");
	else if (percent)
		phiz_bytes_printf(b, "<td>%+.1f points</td></tr>\n", 100 * (second - first));
	else
		phiz_bytes_printf(b, "<td>%+.4f</td></tr>\n", second - first);
}

void phiz_html_comparison(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *x = r->eval, *y = r->against;
	const struct phiz_comparison *c = r->comparison;

	phiz_html_section(b, "Against another model");
	phiz_bytes_text(b, "<p>First: <code>");
	phiz_html_text(b, x->path);
	phiz_bytes_text(b, "</code><br>Second: <code>");
	phiz_html_text(b, y->path);
	phiz_bytes_text(b, "</code></p>\n<div class=\"scroll\"><table>\n<tr><th></th><th>First</th><th>Second</th>"
	                "<th>Difference</th></tr>\n");
	compare_row(b, "Named rightly", x->accuracy.top1, y->accuracy.top1, true);
	compare_row(b, "Among the first 5", x->accuracy.top5, y->accuracy.top5, true);
	compare_row(b, "Macro F1", x->accuracy.macro_f1, y->accuracy.macro_f1, false);
	compare_row(b, "Calibration error", x->accuracy.ece, y->accuracy.ece, false);
	compare_row(b, "AUC", x->roc.auc, y->roc.auc, false);
	compare_row(b, "Threshold", x->point.value, y->point.value, false);
	compare_row(b, "Strangers let in", x->point.far, y->point.far, true);
	compare_row(b, "Known, let in and named", x->point.tar, y->point.tar, true);
	phiz_bytes_printf(b, "<tr><td>Time per photo</td><td>%.1f ms</td><td>%.1f ms</td><td></td></tr>\n</table></div>\n",
	                  1e3 * x->seconds / (double)x->count, 1e3 * y->seconds / (double)y->count);
	phiz_bytes_printf(b, "<p>Of %lld photos, both name %lld rightly and neither %lld. <b>%lld</b> only the first "
	                  "names rightly, <b>%lld</b> only the second. If the two were equally good, so uneven a share "
	                  "would come about with a chance of <b>%.3g</b> (McNemar&rsquo;s exact test), so the difference "
	                  "is %s.</p>\n",
	                  (long long)c->photos, (long long)c->both, (long long)c->neither, (long long)c->only_a,
	                  (long long)c->only_b, c->p, c->p < 0.05 ? "hardly an accident" : "not proven by these photos");
}

/* --- Facts. --- */

static void open_fact(struct phiz_bytes *b, const char *name)
{
	phiz_bytes_text(b, "<tr><td>");
	phiz_html_text(b, name);
	phiz_bytes_text(b, "</td><td class=\"left wrap\">");
}

static void add_fact(struct phiz_bytes *b, const char *name, const char *text)
{
	if (!text)
		return;
	open_fact(b, name);
	phiz_html_text(b, text);
	phiz_bytes_text(b, "</td></tr>\n");
}

static void add_preproc(struct phiz_bytes *b, const struct phiz_preproc *p)
{
	open_fact(b, "Preprocessing");
	if (p->crop < 1)
		phiz_bytes_printf(b, "the middle %.4g %%, then ", 100 * p->crop);
	if (p->mode == PHIZ_RESIZE_SHORT)
		phiz_bytes_printf(b, "short side to %d, the middle %d &times; %d pixels", p->resize, p->size, p->size);
	else
		phiz_bytes_printf(b, "stretched to %d &times; %d pixels", p->size, p->size);
	phiz_bytes_text(b, "</td></tr>\n");
}

/* Texts of several lines are folded away; what only resuming reads is left out. */
static void add_meta(const struct phiz_eval *e, bool lines, struct phiz_bytes *b)
{
	for (size_t i = 0; i < e->n_meta; i++) {
		const struct phiz_meta *m = &e->meta[i];

		if (!strcmp(m->key, "train_state") || (strchr(m->text, '\n') != NULL) != lines)
			continue;
		if (!lines) {
			add_fact(b, m->key, m->text);
			continue;
		}
		phiz_bytes_text(b, "<details><summary>");
		phiz_html_text(b, m->key);
		phiz_bytes_text(b, "</summary><pre>");
		phiz_html_text(b, m->text);
		phiz_bytes_text(b, "</pre></details>\n");
	}
}

static void add_errors(const struct phiz_eval *e, struct phiz_bytes *b)
{
	if (!e->n_errors)
		return;
	phiz_bytes_printf(b, "<details><summary>%zu photos that could not be read</summary><pre>", e->n_errors);
	for (size_t i = 0; i < e->n_errors; i++) {
		phiz_html_text(b, e->error[i].message);
		phiz_bytes_text(b, "\n");
	}
	phiz_bytes_text(b, "</pre></details>\n");
}

void phiz_html_facts(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;

	phiz_html_section(b, "Model and data");
	phiz_bytes_text(b, "<div class=\"scroll\"><table>\n");
	add_fact(b, "Model", e->path);
	add_fact(b, "SHA-256 of its weights", e->weights_sha256);
	open_fact(b, "Size");
	phiz_bytes_printf(b, "%lld people, %.2f million parameters</td></tr>\n", (long long)e->classes,
	                  (double)e->parameters / 1e6);
	add_preproc(b, &e->preproc);
	add_meta(e, false, b);
	add_fact(b, "Photos", r->data);
	add_fact(b, "Faces", e->how);
	add_fact(b, "Split", r->split);
	add_fact(b, "Part", r->part);
	add_fact(b, "Strangers", r->strangers);
	phiz_bytes_text(b, "</table></div>\n");
	add_meta(e, true, b);
	add_errors(e, b);
	phiz_bytes_text(b, "<p class=\"soft\">Ranges behind 95&nbsp;% hold the true share in 19 cases of 20 "
	                   "(Wilson&rsquo;s interval). Made by phiz " PHIZ_VERSION
	                "; the same figures are in report.json, every photo in predictions.csv.</p>\n");
}
