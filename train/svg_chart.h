/* Drawings of an evaluation, as SVG that stands alone or inside a page, in the viewer's light or dark scheme. */
#ifndef PHIZ_TRAIN_SVG_CHART_H
#define PHIZ_TRAIN_SVG_CHART_H

#include "core/base/bytes.h"
#include "train/evaluate.h"
#include "train/verify.h"

enum phiz_svg_kind {
	PHIZ_SVG_FILE,  /* a file of its own, with styles and background */
	PHIZ_SVG_INLINE /* part of an HTML page that has phiz_chart_css among its styles */
};

/* Colours as variables (light, and dark where the viewer asks for it), and the classes that the drawings use. */
void phiz_chart_css(struct phiz_bytes *out);

/* Known people accepted, and accepted and named, over strangers accepted (a logarithmic axis with 0 at its left end).
 * Nothing but a note where there are no strangers. */
void phiz_roc_svg(const struct phiz_eval *eval, enum phiz_svg_kind kind, struct phiz_bytes *out);
/* Pairs of one person accepted over pairs of two accepted, with the thresholds of phiz_verify_rate. */
void phiz_verify_svg(const struct phiz_verification *v, enum phiz_svg_kind kind, struct phiz_bytes *out);
/* Accuracy by confidence, and how many photos there are of each. */
void phiz_reliability_svg(const struct phiz_eval *eval, enum phiz_svg_kind kind, struct phiz_bytes *out);
/* How the confidences of known people and of strangers lie, and where the threshold (NaN: none) cuts them. */
void phiz_confidence_svg(const struct phiz_eval *eval, double threshold, enum phiz_svg_kind kind,
                         struct phiz_bytes *out);

/* --- For the drawings themselves. --- */

/* The page of a drawing, and the plot in it. */
enum { PHIZ_CHART_WIDTH = 460, PHIZ_CHART_LEFT = 52, PHIZ_CHART_RIGHT = 448, PHIZ_CHART_TOP = 48 };

void phiz_chart_open(struct phiz_bytes *out, enum phiz_svg_kind kind, int height, const char *title);
void phiz_chart_close(struct phiz_bytes *out);
/* A horizontal line across the plot at y, with text at its left. */
void phiz_chart_level(struct phiz_bytes *out, double y, const char *text);
/* anchor: "start", "middle" or "end"; class: "tick" or "label". */
void phiz_chart_text(struct phiz_bytes *out, double x, double y, const char *anchor, const char *class,
                     const char *text);
/* A sample of class `class` with its name, from x on. */
void phiz_chart_key(struct phiz_bytes *out, double x, double y, const char *class, const char *name);

#endif
