/* An evaluation as files: report.html, report.json, predictions.csv, confusion.png, roc.svg, reliability.svg. */
#ifndef PHIZ_TRAIN_REPORT_H
#define PHIZ_TRAIN_REPORT_H

#include "core/base/bytes.h"
#include "train/evaluate.h"

/* What a report is made of; all borrowed. */
struct phiz_eval_report {
	const struct phiz_eval *eval;
	const struct phiz_eval *against;          /* another model on the same photos, or NULL */
	const struct phiz_comparison *comparison; /* of eval and against; NULL without against */
	const char *data, *split, *part, *strangers; /* as they were named; NULL where they were not */
	bool threshold_stored;                    /* the model now has it */
	int64_t date;                             /* seconds since 1970, UTC */
};

/* One JSON object without a line end: images (known people's photos that were judged), strangers, errors, top1, top5,
 * macro_f1, threshold, far, tar and more; shares are 0..1, what is not defined is null. */
enum phiz_status phiz_eval_report_summary(const struct phiz_eval_report *report, struct phiz_bytes *out);
/* The summary's keys, and people, confusion, calibration, roc, changes, errors, model and data. */
enum phiz_status phiz_eval_report_json(const struct phiz_eval_report *report, struct phiz_bytes *out);
/* A line per photo: file,person,known,predicted,confidence,accepted,right,rank,top2,confidence2 ... top5,
 * confidence5,score.
 * known, accepted (at the report's threshold, or else the model's own) and right are 1, 0 or empty; rank counts from
 * 1. */
enum phiz_status phiz_eval_report_csv(const struct phiz_eval_report *report, struct phiz_bytes *out);
/* A page that needs nothing beside itself. Reads the photos that it shows; one that cannot be read any more is shown
 * without a picture. */
enum phiz_status phiz_eval_report_html(const struct phiz_eval_report *report, struct phiz_bytes *out);
/* All of them into the folder, which is made. */
enum phiz_status phiz_eval_report_write(const struct phiz_eval_report *report, const char *dir);

/* The threshold that the report speaks of: that of the evaluation, or else the model's own. NaN: none. */
double phiz_eval_report_threshold(const struct phiz_eval_report *report);
/* "2024-05-17 14:03 UTC". */
void phiz_eval_report_date(const struct phiz_eval_report *report, char out[32]);

#endif
