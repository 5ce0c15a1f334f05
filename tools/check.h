/* phiz data check, in pieces: listing a folder, measuring its photos, reporting. */
#ifndef PHIZ_TOOLS_CHECK_H
#define PHIZ_TOOLS_CHECK_H

#include "datasets/doctor.h"
#include "tools/device_args.h"
#include "tools/tools.h"

struct check {
	const char *dir;
	struct phiz_checkup c;
	struct phiz_doctor_limits limits;
	char *detector, *embedder; /* files, or NULL */
	struct phiz_device_choice device;
	struct phiz_names left_out; /* what was not looked at, and how to get it: sentences */
	char *cache;                /* file, or NULL */
	size_t measured, cached;    /* photos */
	struct phiz_findings findings;
	bool by_part;               /* dir holds folders of parts (train, val, ...), not of people */
};

/* check_list.c. Fills people and photos (paths, kinds, bytes, times, parts by folder), sorted by path. A folder of
 * parts is known by its names: train and val, valid, validation or test. Errors: NOTFOUND, ARG (nobody in it), IO,
 * NOMEM. */
enum phiz_status phiz_check_list(struct phiz_ctx *ctx, struct check *check);
/* Sets parts by the CSV of a split. *unknown: photos of the split that are not there. */
enum phiz_status phiz_check_split(struct phiz_ctx *ctx, struct check *check, const char *csv, size_t *unknown);

/* check_measure.c. Fills everything else, on all threads, from the cache where it can. CANCELLED after Ctrl-C: what was
 * measured is in the cache. */
enum phiz_status phiz_check_measure(struct phiz_ctx *ctx, struct check *check);

/* check_report.c: on standard output. */
void phiz_check_print(struct phiz_ctx *ctx, const struct check *check);
void phiz_check_print_json(struct phiz_ctx *ctx, const struct check *check, const char *report, size_t moved);
/* check_html.c */
enum phiz_status phiz_check_html(struct phiz_ctx *ctx, const struct check *check, const char *path);

#endif
