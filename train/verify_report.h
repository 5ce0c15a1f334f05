/* A verification as files: report.json, pairs.csv, roc.svg, report.html. */
#ifndef PHIZ_TRAIN_VERIFY_REPORT_H
#define PHIZ_TRAIN_VERIFY_REPORT_H

#include "core/base/bytes.h"
#include "train/pairs.h"
#include "train/verify.h"

/* What a report is made of; all borrowed. */
struct phiz_verify_report {
	struct phiz_ctx *ctx;
	const struct phiz_verification *figures;
	const struct phiz_pair_list *pairs;
	const struct phiz_scored_pair *scored; /* n_scored of them */
	const uint32_t *pair;                  /* of pairs, for each of scored */
	size_t n_scored;
	const char *model, *list, *how; /* as they were named; how: "whole pictures", "box 11,4,127,127" ... */
	bool flip;
	size_t left_out;  /* pairs, because a picture could not be read */
	size_t unfound;   /* pictures in which no face was found; 0 without a detector */
	double seconds;
};

/* One JSON object without a line end: accuracy, accuracy_std, tar_far_1e-2, tar_far_1e-3, eer, auc, pairs, threshold,
 * threshold_far_1e-2 and more; shares are 0..1. */
enum phiz_status phiz_verify_report_json(const struct phiz_verify_report *r, struct phiz_bytes *out);
/* A line a pair: pair,file_a,file_b,same,fold,cosine; pair counts the list's from 1. */
enum phiz_status phiz_verify_report_csv(const struct phiz_verify_report *r, struct phiz_bytes *out);
/* A page with the figures and the ROC. */
enum phiz_status phiz_verify_report_html(const struct phiz_verify_report *r, struct phiz_bytes *out);
/* All of them into the folder, which is made. */
enum phiz_status phiz_verify_report_write(const struct phiz_verify_report *r, const char *dir);

#endif
