#include "train/verify_report.h"

#include <math.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "train/svg_chart.h"

static const char *const rate_name[PHIZ_VERIFY_RATES] = {"1e-1", "1e-2", "1e-3"};

static void add_number(struct phiz_bytes *out, const char *key, double value)
{
	if (isfinite(value))
		phiz_bytes_printf(out, ",\"%s\":%.9g", key, value);
	else
		phiz_bytes_printf(out, ",\"%s\":null", key);
}

static void add_text(struct phiz_bytes *out, const char *key, const char *text)
{
	phiz_bytes_printf(out, ",\"%s\":", key);
	phiz_bytes_json(out, text);
}

enum phiz_status phiz_verify_report_json(const struct phiz_verify_report *r, struct phiz_bytes *out)
{
	const struct phiz_verification *v = r->figures;

	phiz_bytes_printf(out, "{\"accuracy\":%.9g,\"accuracy_std\":%.9g", v->accuracy, v->accuracy_std);
	for (int i = 0; i < PHIZ_VERIFY_RATES; i++)
		phiz_bytes_printf(out, ",\"tar_far_%s\":%.9g", rate_name[i], v->at[i].tar);
	add_number(out, "eer", v->roc.eer);
	add_number(out, "auc", v->roc.auc);
	phiz_bytes_printf(out, ",\"pairs\":%lld,\"same\":%lld,\"different\":%lld", (long long)v->pairs, (long long)v->same,
	                  (long long)v->different);
	add_number(out, "threshold", v->threshold);
	for (int i = 0; i < PHIZ_VERIFY_RATES; i++)
		phiz_bytes_printf(out, ",\"threshold_far_%s\":%.17g,\"false_accepts_%s\":%lld", rate_name[i], v->at[i].value,
		                  rate_name[i], (long long)v->at[i].strangers_accepted);
	add_number(out, "same_mean", v->same_mean);
	add_number(out, "same_std", v->same_std);
	add_number(out, "different_mean", v->different_mean);
	add_number(out, "different_std", v->different_std);
	phiz_bytes_text(out, ",\"folds\":[");
	for (int f = 0; f < v->n_folds; f++)
		phiz_bytes_printf(out, "%s{\"pairs\":%lld,\"accuracy\":%.9g,\"threshold\":%.3f}", f ? "," : "",
		                  (long long)v->fold[f].pairs, v->fold[f].accuracy, v->fold[f].threshold);
	phiz_bytes_printf(out, "],\"left_out\":%zu,\"no_face\":%zu,\"pictures\":%zu,\"flip\":%s", r->left_out, r->unfound,
	                  r->pairs->file.count, r->flip ? "true" : "false");
	add_text(out, "model", r->model);
	add_text(out, "list", r->list);
	add_text(out, "crop", r->how);
	add_number(out, "seconds", r->seconds);
	phiz_bytes_text(out, "}");
	return phiz_bytes_status(out);
}

enum phiz_status phiz_verify_report_csv(const struct phiz_verify_report *r, struct phiz_bytes *out)
{
	phiz_bytes_text(out, "pair,file_a,file_b,same,fold,cosine\n");
	for (size_t i = 0; i < r->n_scored; i++) {
		const struct phiz_photo_pair *pair = &r->pairs->pair[r->pair[i]];

		phiz_bytes_printf(out, "%lld,", (long long)r->pair[i] + 1);
		phiz_bytes_csv(out, r->pairs->file.name[pair->a]);
		phiz_bytes_text(out, ",");
		phiz_bytes_csv(out, r->pairs->file.name[pair->b]);
		phiz_bytes_printf(out, ",%d,%d,%.6f\n", pair->same, pair->fold + 1, r->scored[i].cosine);
	}
	return phiz_bytes_status(out);
}

static void add_row(struct phiz_bytes *out, const char *what, double share, const char *note)
{
	phiz_bytes_printf(out, "<tr><th>%s</th><td>%.2f %%</td><td>%s</td></tr>\n", what, 100 * share, note);
}

static void add_figures(const struct phiz_verification *v, struct phiz_bytes *out)
{
	static const char *const name[PHIZ_VERIFY_RATES] = {"TAR at FAR 10 %", "TAR at FAR 1 %", "TAR at FAR 0.1 %"};
	char note[128];

	snprintf(note, sizeof note, "&plusmn; %.2f over %d folds; threshold %.3f", 100 * v->accuracy_std, v->n_folds,
	         v->threshold);
	phiz_bytes_text(out, "<table>\n");
	add_row(out, "accuracy", v->accuracy, note);
	for (int i = 0; i < PHIZ_VERIFY_RATES; i++) {
		snprintf(note, sizeof note, "cosine above %.4f; %lld of %lld accepted falsely", v->at[i].value,
		         (long long)v->at[i].strangers_accepted, (long long)v->different);
		add_row(out, name[i], v->at[i].tar, note);
	}
	add_row(out, "equal error rate", v->roc.eer, "");
	snprintf(note, sizeof note, "AUC %.5f", v->roc.auc);
	add_row(out, "area under ROC", v->roc.auc, note);
	phiz_bytes_text(out, "</table>\n");
}

enum phiz_status phiz_verify_report_html(const struct phiz_verify_report *r, struct phiz_bytes *out)
{
	phiz_bytes_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	                "<title>Verification</title>\n<style>\n");
	phiz_chart_css(out);
	phiz_bytes_text(out, "body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2em auto;padding:0 1em;"
	                "background:var(--page,#fff);color:var(--ink,#222)}th{text-align:left;font-weight:600;"
	                "padding-right:1.5em}td{padding-right:1.5em}\n</style></head><body>\n"
	                "<h1>One person or two?</h1>\n<p>");
	phiz_bytes_html(out, r->model);
	phiz_bytes_text(out, " on ");
	phiz_bytes_html(out, r->list);
	phiz_bytes_printf(out, ": %lld pairs of %zu pictures (", (long long)r->figures->pairs, r->pairs->file.count);
	phiz_bytes_html(out, r->how);
	phiz_bytes_printf(out, "%s), %lld of one person and %lld of two.", r->flip ? ", with the mirror image" : "",
	                  (long long)r->figures->same, (long long)r->figures->different);
	if (r->left_out)
		phiz_bytes_printf(out, " %zu pairs were left out, since a picture could not be read.", r->left_out);
	if (r->unfound)
		phiz_bytes_printf(out, " No face was found in %zu pictures.", r->unfound);
	phiz_bytes_text(out, "</p>\n");
	add_figures(r->figures, out);
	phiz_verify_svg(r->figures, PHIZ_SVG_INLINE, out);
	phiz_bytes_text(out, "<p>The threshold of each fold is the lowest with the highest accuracy on the other folds. "
	                "TAR: share of the pairs of one person that are accepted; FAR: of the pairs of two.</p>\n"
	                "</body></html>\n");
	return phiz_bytes_status(out);
}

static enum phiz_status make_roc(const struct phiz_verify_report *r, struct phiz_bytes *out)
{
	phiz_verify_svg(r->figures, PHIZ_SVG_FILE, out);
	return phiz_bytes_status(out);
}

enum phiz_status phiz_verify_report_write(const struct phiz_verify_report *r, const char *dir)
{
	static const struct {
		const char *name;
		enum phiz_status (*make)(const struct phiz_verify_report *r, struct phiz_bytes *out);
	} part[] = {
		{"roc.svg", make_roc},
		{"pairs.csv", phiz_verify_report_csv},
		{"report.json", phiz_verify_report_json},
		{"report.html", phiz_verify_report_html}, /* last: who finds it finds all */
	};
	enum phiz_status status = phiz_dir_make(r->ctx, dir);

	for (size_t i = 0; i < sizeof part / sizeof part[0] && !status; i++) {
		char *path = phiz_path_join(r->ctx, dir, part[i].name);
		struct phiz_bytes text;
		phiz_bytes_init(&text, r->ctx);
		status = path ? part[i].make(r, &text) : PHIZ_E_NOMEM;
		if (!status)
			status = phiz_file_write(r->ctx, path, text.data, text.size);
		phiz_bytes_free(&text);
		phiz_free(r->ctx, path);
	}
	return status;
}
