/* report.json and predictions.csv. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/io/json.h"
#include "train/report.h"

/* A key, with the comma that it needs. */
static void key(struct phiz_bytes *b, const char *name)
{
	char last = b->size ? b->data[b->size - 1] : '{';

	if (last != '{' && last != '[')
		phiz_bytes_text(b, ",");
	phiz_bytes_json(b, name);
	phiz_bytes_text(b, ":");
}

/* The comma before an element of an array. */
static void element(struct phiz_bytes *b)
{
	char last = b->size ? b->data[b->size - 1] : '[';

	if (last != '[')
		phiz_bytes_text(b, ",");
}

static void add_real(struct phiz_bytes *b, const char *name, double v)
{
	key(b, name);
	phiz_json_add_real(b, v);
}

static void add_int(struct phiz_bytes *b, const char *name, int64_t v)
{
	key(b, name);
	phiz_bytes_printf(b, "%lld", (long long)v);
}

static void add_text(struct phiz_bytes *b, const char *name, const char *text)
{
	key(b, name);
	if (text)
		phiz_bytes_json(b, text);
	else
		phiz_bytes_text(b, "null");
}

static void add_bool(struct phiz_bytes *b, const char *name, bool v)
{
	key(b, name);
	phiz_bytes_text(b, v ? "true" : "false");
}

static void add_interval(struct phiz_bytes *b, const char *name, struct phiz_interval v)
{
	key(b, name);
	phiz_bytes_text(b, "[");
	phiz_json_add_real(b, v.low);
	phiz_bytes_text(b, ",");
	phiz_json_add_real(b, v.high);
	phiz_bytes_text(b, "]");
}

/* --- The summary. --- */

static void add_point(struct phiz_bytes *b, const struct phiz_operating_point *p)
{
	add_real(b, "threshold", p->value);
	add_real(b, "far", p->far);
	add_interval(b, "far_interval", p->far_interval);
	add_real(b, "tar", p->tar);
	add_interval(b, "tar_interval", p->tar_interval);
}

static void add_figures(struct phiz_bytes *b, const struct phiz_eval *e)
{
	const struct phiz_accuracy *a = &e->accuracy;
	double n = (double)e->count;

	add_text(b, "model", e->path);
	add_text(b, "weights_sha256", e->weights_sha256);
	add_int(b, "images", a->photos);
	add_int(b, "strangers", e->strangers);
	add_int(b, "errors", (int64_t)e->n_errors);
	add_text(b, "faces", e->how);
	add_int(b, "cut_out", e->cut);
	add_real(b, "top1", a->top1);
	add_interval(b, "top1_interval", a->top1_interval);
	add_real(b, "top5", a->top5);
	add_interval(b, "top5_interval", a->top5_interval);
	add_text(b, "score", phiz_score_name(e->score));
	add_real(b, "macro_f1", a->macro_f1);
	add_real(b, "macro_precision", a->macro_precision);
	add_real(b, "macro_recall", a->macro_recall);
	add_real(b, "log_loss", a->log_loss);
	add_real(b, "ece", a->ece);
	add_real(b, "mce", a->mce);
	add_real(b, "mean_confidence", a->mean_confidence);
	add_real(b, "auc", e->roc.auc);
	add_real(b, "eer", e->roc.eer);
	add_real(b, "asked_far", e->asked_far);
	add_point(b, &e->point);
	key(b, "stored");
	if (e->stored.set) {
		phiz_bytes_text(b, "{");
		add_point(b, &e->at_stored);
		phiz_bytes_text(b, "}");
	} else {
		phiz_bytes_text(b, "null");
	}
	add_real(b, "ms_per_image", 1e3 * e->seconds / n);
	add_real(b, "ms_network", 1e3 * e->network_seconds / n);
}

static void add_comparison(struct phiz_bytes *b, const struct phiz_eval_report *r)
{
	const struct phiz_comparison *c = r->comparison;

	key(b, "against");
	phiz_bytes_text(b, "{");
	add_figures(b, r->against);
	add_int(b, "compared", c->photos);
	add_real(b, "difference", c->difference);
	add_int(b, "both_right", c->both);
	add_int(b, "only_model", c->only_a);
	add_int(b, "only_against", c->only_b);
	add_int(b, "neither", c->neither);
	add_real(b, "mcnemar_p", c->p);
	phiz_bytes_text(b, "}");
}

enum phiz_status phiz_eval_report_summary(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	phiz_bytes_text(out, "{");
	add_figures(out, report->eval);
	if (report->against)
		add_comparison(out, report);
	phiz_bytes_text(out, "}");
	return phiz_bytes_status(out);
}

/* --- The rest. --- */

static void add_people(struct phiz_bytes *b, const struct phiz_eval *e)
{
	key(b, "people");
	phiz_bytes_text(b, "[");
	for (int64_t c = 0; c < e->classes; c++) {
		const struct phiz_person_score *p = &e->accuracy.person[c];

		phiz_bytes_text(b, c ? ",\n{" : "\n{");
		add_text(b, "name", e->label[c]);
		add_int(b, "photos", p->photos);
		add_int(b, "predicted", p->predicted);
		add_int(b, "right", p->right);
		add_real(b, "precision", p->precision);
		add_real(b, "recall", p->recall);
		add_interval(b, "recall_interval", p->recall_interval);
		add_real(b, "f1", p->f1);
		phiz_bytes_text(b, "}");
	}
	phiz_bytes_text(b, "]");
}

/* The cells that are not 0: of a matrix of a thousand classes, few are. */
static void add_confusion(struct phiz_bytes *b, const struct phiz_eval *e)
{
	key(b, "confusion");
	phiz_bytes_text(b, "[");
	for (int64_t c = 0; c < e->classes; c++)
		for (int64_t k = 0; k < e->classes; k++) {
			uint32_t n = e->accuracy.confusion[c * e->classes + k];

			if (!n)
				continue;
			element(b);
			phiz_bytes_text(b, "{");
			add_text(b, "person", e->label[c]);
			add_text(b, "predicted", e->label[k]);
			add_int(b, "photos", n);
			phiz_bytes_text(b, "}");
		}
	phiz_bytes_text(b, "]");
}

static void add_calibration(struct phiz_bytes *b, const struct phiz_eval *e)
{
	key(b, "calibration");
	phiz_bytes_text(b, "[");
	for (int i = 0; i < PHIZ_CALIBRATION_BINS; i++) {
		const struct phiz_calibration_bin *bin = &e->accuracy.bin[i];

		element(b);
		phiz_bytes_text(b, "{");
		add_real(b, "from", (double)i / PHIZ_CALIBRATION_BINS);
		add_real(b, "to", (double)(i + 1) / PHIZ_CALIBRATION_BINS);
		add_int(b, "photos", bin->photos);
		add_real(b, "confidence", bin->confidence);
		add_real(b, "accuracy", bin->accuracy);
		phiz_bytes_text(b, "}");
	}
	phiz_bytes_text(b, "]");
}

static void add_roc(struct phiz_bytes *b, const struct phiz_eval *e)
{
	key(b, "roc");
	phiz_bytes_text(b, "[");
	for (size_t i = 0; e->strangers && i < e->roc.count; i++) {
		const struct phiz_operating_point *p = &e->roc.point[i];

		element(b);
		phiz_bytes_text(b, "{");
		add_real(b, "threshold", p->value);
		add_real(b, "far", p->far);
		add_real(b, "accepted", p->known ? (double)p->accepted / (double)p->known : (double)NAN);
		add_real(b, "tar", p->tar);
		phiz_bytes_text(b, "}");
	}
	phiz_bytes_text(b, "]");
}

static void add_changes(struct phiz_bytes *b, const struct phiz_eval_report *r)
{
	key(b, "changes");
	phiz_bytes_text(b, "[");
	for (size_t i = 0; i < r->comparison->n_changes; i++) {
		const struct phiz_eval_change *c = &r->comparison->change[i];
		const struct phiz_guess *a = &r->eval->guess[c->a], *other = &r->against->guess[c->b];

		element(b);
		phiz_bytes_text(b, "{");
		add_text(b, "file", r->eval->dataset->sample[r->eval->sample[c->a]].path);
		add_text(b, "person", phiz_eval_person(r->eval, c->a));
		add_text(b, "predicted", r->eval->label[a->top[0]]);
		add_real(b, "confidence", a->confidence[0]);
		add_text(b, "predicted_against", r->against->label[other->top[0]]);
		add_real(b, "confidence_against", other->confidence[0]);
		phiz_bytes_text(b, "}");
	}
	phiz_bytes_text(b, "]");
}

static void add_facts(struct phiz_bytes *b, const struct phiz_eval_report *r)
{
	const struct phiz_eval *e = r->eval;
	char date[32];

	phiz_eval_report_date(r, date);
	add_text(b, "date", date);
	add_text(b, "phiz", PHIZ_VERSION);
	add_text(b, "data", r->data);
	add_text(b, "split", r->split);
	add_text(b, "part", r->part);
	add_text(b, "strangers_from", r->strangers);
	add_bool(b, "threshold_stored", r->threshold_stored);
	add_int(b, "classes", e->classes);
	add_int(b, "parameters", e->parameters);
	add_int(b, "input_size", e->preproc.size);
	key(b, "meta");
	phiz_bytes_text(b, "{");
	for (size_t i = 0; i < e->n_meta; i++)
		add_text(b, e->meta[i].key, e->meta[i].text);
	phiz_bytes_text(b, "}");
	key(b, "unreadable");
	phiz_bytes_text(b, "[");
	for (size_t i = 0; i < e->n_errors; i++) {
		element(b);
		phiz_bytes_json(b, e->error[i].message);
	}
	phiz_bytes_text(b, "]");
}

enum phiz_status phiz_eval_report_json(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	phiz_bytes_text(out, "{");
	add_figures(out, report->eval);
	if (report->against) {
		add_comparison(out, report);
		add_changes(out, report);
	}
	add_facts(out, report);
	phiz_bytes_text(out, "\n");
	add_people(out, report->eval);
	add_confusion(out, report->eval);
	add_calibration(out, report->eval);
	add_roc(out, report->eval);
	phiz_bytes_text(out, "}\n");
	return phiz_bytes_status(out);
}

static void add_row(struct phiz_bytes *b, const struct phiz_eval *e, size_t i, double threshold)
{
	const struct phiz_guess *g = &e->guess[i];
	bool known = g->label != PHIZ_STRANGER;

	phiz_bytes_csv(b, e->dataset->sample[e->sample[i]].path);
	phiz_bytes_text(b, ",");
	phiz_bytes_csv(b, phiz_eval_person(e, i));
	phiz_bytes_printf(b, ",%d,", known);
	phiz_bytes_csv(b, e->label[g->top[0]]);
	phiz_bytes_printf(b, ",%.17g,%s,", g->confidence[0],
	                  !isfinite(threshold) ? "" : g->score >= threshold ? "1" : "0");
	if (known)
		phiz_bytes_printf(b, "%d,%ld", phiz_eval_right(e, i), (long)g->rank + 1);
	else
		phiz_bytes_text(b, ",");
	for (int k = 1; k < PHIZ_GUESS_TOP; k++) {
		phiz_bytes_text(b, ",");
		if (k < g->n_top)
			phiz_bytes_csv(b, e->label[g->top[k]]);
		phiz_bytes_text(b, ",");
		if (k < g->n_top)
			phiz_bytes_printf(b, "%.17g", g->confidence[k]);
	}
	phiz_bytes_printf(b, ",%.17g\n", g->score);
}

enum phiz_status phiz_eval_report_csv(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	double threshold = phiz_eval_report_threshold(report);

	phiz_bytes_text(out, "file,person,known,predicted,confidence,accepted,right,rank");
	for (int k = 2; k <= PHIZ_GUESS_TOP; k++)
		phiz_bytes_printf(out, ",top%d,confidence%d", k, k);
	phiz_bytes_text(out, ",score\n");
	for (size_t i = 0; i < report->eval->count; i++)
		add_row(out, report->eval, i, threshold);
	return phiz_bytes_status(out);
}
