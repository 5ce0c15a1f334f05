/* Known people against strangers, as a curve. */
#include <math.h>
#include <stdio.h>

#include "train/svg_chart.h"

#define PLOT_TOP (PHIZ_CHART_TOP + 22)
#define PLOT_HEIGHT 240
#define ZERO 26 /* pixels that the false-accept rate 0 stands before the logarithmic axis */
#define HEIGHT (PLOT_TOP + PLOT_HEIGHT + 44)

struct plot {
	struct phiz_bytes *out;
	const struct phiz_roc *roc;
	double least; /* the smallest rate on the axis but 0: one stranger */
	const char *axis;
};

static double x_of(const struct plot *p, double far)
{
	double width = PHIZ_CHART_RIGHT - PHIZ_CHART_LEFT - ZERO;

	if (far <= 0)
		return PHIZ_CHART_LEFT;
	return PHIZ_CHART_LEFT + ZERO + width * (p->least < 1 ? 1 - log(far) / log(p->least) : 1);
}

static double y_of(double share)
{
	return PLOT_TOP + (1 - share) * PLOT_HEIGHT;
}

static double accepted(const struct phiz_operating_point *p)
{
	return p->known ? (double)p->accepted / (double)p->known : 0;
}

static double named(const struct phiz_operating_point *p)
{
	return p->known ? p->tar : 0;
}

/* As a staircase: between two thresholds the rates are those of the stricter one. */
static void draw_curve(const struct plot *p, double (*share)(const struct phiz_operating_point *), const char *class)
{
	double last_x = -1, last_y = -1;

	phiz_bytes_printf(p->out, "<polyline class=\"line %s\" points=\"", class);
	for (size_t i = 0; i < p->roc->count; i++) {
		double x = x_of(p, p->roc->point[i].far), y = y_of(share(&p->roc->point[i]));
		bool end = i + 1 == p->roc->count;

		if (!end && fabs(x - last_x) < 0.1 && fabs(y - last_y) < 0.25)
			continue;
		if (i > 0 && x > last_x && y < last_y)
			phiz_bytes_printf(p->out, "%.1f,%.1f ", x, last_y);
		phiz_bytes_printf(p->out, "%.1f,%.1f%s", x, y, end ? "" : " ");
		last_x = x;
		last_y = y;
	}
	phiz_bytes_text(p->out, "\"/>\n");
}

static void draw_axes(const struct plot *p)
{
	char text[32];
	double far;

	for (int i = 0; i <= 5; i++) {
		snprintf(text, sizeof text, "%d %%", 20 * i);
		phiz_chart_level(p->out, y_of(i / 5.0), text);
	}
	phiz_chart_text(p->out, x_of(p, 0), PLOT_TOP + PLOT_HEIGHT + 16, "middle", "tick", "0");
	for (far = 1; far >= p->least * 0.999; far /= 10) {
		double x = x_of(p, far);

		phiz_bytes_printf(p->out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", x, x,
		                  PLOT_TOP,
		                  PLOT_TOP + PLOT_HEIGHT);
		snprintf(text, sizeof text, "%.4g %%", 100 * far);
		phiz_chart_text(p->out, x, PLOT_TOP + PLOT_HEIGHT + 16, far < 1 ? "middle" : "end", "tick", text);
	}
	phiz_chart_text(p->out, (PHIZ_CHART_LEFT + PHIZ_CHART_RIGHT) / 2, PLOT_TOP + PLOT_HEIGHT + 35, "middle", "tick",
	                p->axis);
}

static void draw_threshold(const struct plot *p, const struct phiz_operating_point *at, const char *right)
{
	double x = x_of(p, at->far), y = y_of(named(at));

	phiz_bytes_printf(p->out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", x, x, PLOT_TOP,
	                  PLOT_TOP + PLOT_HEIGHT);
	phiz_bytes_printf(p->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>threshold %.4f: false "
	                  "accepts %.2f %%, %s %.2f "
	                  "%%</title></circle>\n", x, y, at->value, 100 * at->far, right, 100 * at->tar);
}

void phiz_roc_svg(const struct phiz_eval *eval, enum phiz_svg_kind kind, struct phiz_bytes *out)
{
	struct plot p = {out, &eval->roc, eval->strangers > 0 ? 1 / (double)eval->strangers : 1,
	                 "strangers taken for somebody (false accepts)"};
	char text[64];

	phiz_chart_open(out, kind, eval->strangers ? HEIGHT : 60, "Known people against strangers (ROC)");
	if (!eval->strangers) {
		phiz_chart_text(out, 10, 44, "start", "tick", "No strangers were given.");
		phiz_chart_close(out);
		return;
	}
	phiz_chart_key(out, PHIZ_CHART_LEFT, PHIZ_CHART_TOP, "a", "known, accepted and named");
	phiz_chart_key(out, PHIZ_CHART_LEFT + 206, PHIZ_CHART_TOP, "b", "known, accepted");
	snprintf(text, sizeof text, "AUC %.4f", eval->roc.auc);
	phiz_chart_text(out, PHIZ_CHART_RIGHT, 20, "end", "label", text);
	draw_axes(&p);
	draw_curve(&p, accepted, "b");
	draw_curve(&p, named, "a");
	draw_threshold(&p, &eval->point, "named rightly");
	phiz_chart_close(out);
}

void phiz_verify_svg(const struct phiz_verification *v, enum phiz_svg_kind kind, struct phiz_bytes *out)
{
	struct plot p = {out, &v->roc, 1 / (double)v->different, "pairs of two people taken for one (false accepts)"};
	char text[64];

	phiz_chart_open(out, kind, HEIGHT, "One person or two (ROC)");
	phiz_chart_key(out, PHIZ_CHART_LEFT, PHIZ_CHART_TOP, "a", "pairs of one person, accepted");
	snprintf(text, sizeof text, "AUC %.5f", v->roc.auc);
	phiz_chart_text(out, PHIZ_CHART_RIGHT, 20, "end", "label", text);
	draw_axes(&p);
	draw_curve(&p, accepted, "a");
	for (int i = 0; i < PHIZ_VERIFY_RATES; i++)
		draw_threshold(&p, &v->at[i], "accepted rightly");
	phiz_chart_close(out);
}
