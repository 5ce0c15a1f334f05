/* The parts of report.html; for train only. */
#ifndef PHIZ_TRAIN_REPORT_HTML_H
#define PHIZ_TRAIN_REPORT_HTML_H

#include "train/report.h"

/* "<h2>TITLE</h2>", with the section before it closed and a new one begun. */
void phiz_html_section(struct phiz_bytes *b, const char *title);
void phiz_html_text(struct phiz_bytes *b, const char *text);
/* "93.4 %"; a dash for what is not defined. */
void phiz_html_percent(struct phiz_bytes *b, double share);
/* "89.1 – 96.2 %"; nothing for what is not defined. */
void phiz_html_interval(struct phiz_bytes *b, struct phiz_interval interval);

/* report_figures.c */
void phiz_html_tiles(const struct phiz_eval_report *r, struct phiz_bytes *b);
void phiz_html_threshold(const struct phiz_eval_report *r, struct phiz_bytes *b);
void phiz_html_people(const struct phiz_eval_report *r, struct phiz_bytes *b);
enum phiz_status phiz_html_confusion(const struct phiz_eval_report *r, struct phiz_bytes *b);
void phiz_html_comparison(const struct phiz_eval_report *r, struct phiz_bytes *b);
void phiz_html_facts(const struct phiz_eval_report *r, struct phiz_bytes *b);

/* report_photos.c. Photos are shown as the network sees them. */
enum phiz_status phiz_html_mistakes(const struct phiz_eval_report *r, struct phiz_bytes *b);
enum phiz_status phiz_html_strangers(const struct phiz_eval_report *r, struct phiz_bytes *b);
enum phiz_status phiz_html_changes(const struct phiz_eval_report *r, struct phiz_bytes *b);

#endif
