#include "train/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "train/confusion_png.h"
#include "train/svg_chart.h"

double phiz_eval_report_threshold(const struct phiz_eval_report *report)
{
	const struct phiz_eval *e = report->eval;

	return e->strangers ? e->point.value : e->stored.set ? e->stored.value : (double)NAN;
}

void phiz_eval_report_date(const struct phiz_eval_report *report, char out[32])
{
	time_t t = (time_t)report->date;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, 32, "unknown");
}

/* One file of the report: what makes it, and its name. */
typedef enum phiz_status (*make_fn)(const struct phiz_eval_report *report, struct phiz_bytes *out);
struct part {
	const char *name;
	make_fn make;
};

static enum phiz_status write_part(const struct phiz_eval_report *report, const char *dir, const struct part *part)
{
	struct phiz_ctx *ctx = report->eval->ctx;
	char *path = phiz_path_join(ctx, dir, part->name);
	struct phiz_bytes text;
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_bytes_init(&text, ctx);
	if (!status)
		status = part->make(report, &text);
	if (!status)
		status = phiz_file_write(ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	phiz_free(ctx, path);
	return status;
}

static enum phiz_status make_confusion(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	return phiz_confusion_png(report->eval, out);
}

static enum phiz_status make_roc(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	phiz_roc_svg(report->eval, PHIZ_SVG_FILE, out);
	return phiz_bytes_status(out);
}

static enum phiz_status make_reliability(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	phiz_reliability_svg(report->eval, PHIZ_SVG_FILE, out);
	return phiz_bytes_status(out);
}

enum phiz_status phiz_eval_report_write(const struct phiz_eval_report *report, const char *dir)
{
	static const struct part part[] = {
		{"confusion.png", make_confusion},
		{"roc.svg", make_roc},
		{"reliability.svg", make_reliability},
		{"report.json", phiz_eval_report_json},
		{"predictions.csv", phiz_eval_report_csv},
		{"report.html", phiz_eval_report_html}, /* last: who finds it finds all */
	};
	enum phiz_status status = phiz_dir_make(report->eval->ctx, dir);

	for (size_t i = 0; i < sizeof part / sizeof part[0] && !status; i++)
		status = write_part(report, dir, &part[i]);
	return status;
}
