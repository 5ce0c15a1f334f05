/* How far confidence can be trusted, and how the score tells known people from strangers. */
#include <math.h>
#include <stdio.h>

#include "train/svg_chart.h"

#define WIDTH (PHIZ_CHART_RIGHT - PHIZ_CHART_LEFT)

static double x_of(double confidence)
{
	return PHIZ_CHART_LEFT + confidence * WIDTH;
}

static void x_axis(struct phiz_bytes *out, double bottom, const char *name)
{
	char text[16];

	for (int i = 0; i <= 5; i++) {
		snprintf(text, sizeof text, "%.1f", i / 5.0);
		phiz_chart_text(out, x_of(i / 5.0), bottom + 16, i < 5 ? "middle" : "end", "tick", text);
	}
	phiz_chart_text(out, (PHIZ_CHART_LEFT + PHIZ_CHART_RIGHT) / 2, bottom + 35, "middle", "tick", name);
}

/* --- Reliability. --- */

#define R_TOP (PHIZ_CHART_TOP + 22)
#define R_HEIGHT 190
#define COUNT_TOP (R_TOP + R_HEIGHT + 14)
#define COUNT_HEIGHT 44
#define R_PAGE (COUNT_TOP + COUNT_HEIGHT + 44)

static double r_y(double share)
{
	return R_TOP + (1 - share) * R_HEIGHT;
}

static void draw_bin(struct phiz_bytes *out, const struct phiz_calibration_bin *bin, int i, int64_t most)
{
	double step = (double)WIDTH / PHIZ_CALIBRATION_BINS, x = PHIZ_CHART_LEFT + i * step + 1.5, w = step - 3;
	double tall = COUNT_HEIGHT * (double)bin->photos / (double)most;

	if (!bin->photos)
		return;
	phiz_bytes_printf(out, "<g><title>confidence %.3f, accuracy %.3f, %lld photos</title>\n", bin->confidence,
	                  bin->accuracy, (long long)bin->photos);
	phiz_bytes_printf(out, "<rect class=\"bar a\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", x,
	                  r_y(bin->accuracy), w, R_HEIGHT * bin->accuracy);
	phiz_bytes_printf(out, "<rect class=\"bar b\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"3\"/>\n", x,
	                  r_y(bin->confidence) - 1.5, w);
	phiz_bytes_printf(out, "<rect class=\"bar c\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></g>\n", x,
	                  COUNT_TOP + COUNT_HEIGHT - tall, w, tall);
}

void phiz_reliability_svg(const struct phiz_eval *eval, enum phiz_svg_kind kind, struct phiz_bytes *out)
{
	const struct phiz_accuracy *a = &eval->accuracy;
	char text[64];
	int64_t most = 1;

	phiz_chart_open(out, kind, R_PAGE, "Calibration: is it as sure as it is right?");
	phiz_chart_key(out, PHIZ_CHART_LEFT, PHIZ_CHART_TOP, "a", "accuracy");
	phiz_chart_key(out, PHIZ_CHART_LEFT + 84, PHIZ_CHART_TOP, "b", "confidence");
	phiz_chart_key(out, PHIZ_CHART_LEFT + 178, PHIZ_CHART_TOP, "c", "photos");
	snprintf(text, sizeof text, "ECE %.4f", a->ece);
	phiz_chart_text(out, PHIZ_CHART_RIGHT, 20, "end", "label", text);
	for (int i = 0; i <= 5; i++) {
		snprintf(text, sizeof text, "%d %%", 20 * i);
		phiz_chart_level(out, r_y(i / 5.0), text);
	}
	for (int i = 0; i < PHIZ_CALIBRATION_BINS; i++)
		most = a->bin[i].photos > most ? a->bin[i].photos : most;
	for (int i = 0; i < PHIZ_CALIBRATION_BINS; i++)
		draw_bin(out, &a->bin[i], i, most);
	phiz_bytes_printf(out, "<line class=\"ideal\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x_of(0),
	                  r_y(0),
	                  x_of(1), r_y(1));
	snprintf(text, sizeof text, "%lld", (long long)most);
	phiz_chart_text(out, PHIZ_CHART_LEFT - 6, COUNT_TOP + 8, "end", "tick", text);
	phiz_chart_level(out, COUNT_TOP + COUNT_HEIGHT, "0");
	x_axis(out, COUNT_TOP + COUNT_HEIGHT, "confidence of the best class");
	phiz_chart_close(out);
}

/* --- Known people above, strangers below. --- */

enum { BINS = 20 };
#define H_TOP (PHIZ_CHART_TOP + 22)
#define H_HALF 110

struct counts {
	int64_t right[BINS], wrong[BINS], strangers[BINS];
	const char *of; /* the score's name */
};

static void count(const struct phiz_eval *eval, struct counts *c)
{
	for (size_t i = 0; i < eval->count; i++) {
		const struct phiz_guess *g = &eval->guess[i];
		int bin = (int)(g->score * BINS);

		bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
		if (g->label == PHIZ_STRANGER)
			c->strangers[bin]++;
		else if (phiz_eval_right(eval, i))
			c->right[bin]++;
		else
			c->wrong[bin]++;
	}
}

static void bar(struct phiz_bytes *out, const char *class, int bin, double y, double height, int64_t n,
                const char *what, const char *of)
{
	double step = (double)WIDTH / BINS;

	if (n > 0)
		phiz_bytes_printf(out, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
		                  "height=\"%.1f\"><title>%lld %s, %s %.2f to "
		                  "%.2f</title></rect>\n", class, PHIZ_CHART_LEFT + bin * step + 1, y, step - 2,
		                  height, (long long)n, what, of, (double)bin / BINS, (double)(bin + 1) / BINS);
}

static void draw_bars(struct phiz_bytes *out, const struct phiz_eval *eval, const struct counts *c)
{
	double known = (double)eval->accuracy.photos, strangers = (double)eval->strangers, most = 1e-9;
	double zero = H_TOP + H_HALF;

	for (int i = 0; i < BINS; i++) {
		most = fmax(most, (double)(c->right[i] + c->wrong[i]) / known);
		if (strangers > 0)
			most = fmax(most, (double)c->strangers[i] / strangers);
	}
	for (int i = 0; i < BINS; i++) {
		double right = H_HALF * (double)c->right[i] / known / most, wrong = H_HALF * (double)c->wrong[i] / known / most;

		bar(out, "a", i, zero - right, right, c->right[i], "named rightly", c->of);
		bar(out, "b", i, zero - right - wrong, wrong, c->wrong[i], "named wrongly", c->of);
		if (strangers > 0)
			bar(out, "c", i, zero + 1, H_HALF * (double)c->strangers[i] / strangers / most, c->strangers[i],
			    "strangers", c->of);
	}
	phiz_bytes_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", PHIZ_CHART_LEFT,
	                  PHIZ_CHART_RIGHT, zero, zero);
}

void phiz_confidence_svg(const struct phiz_eval *eval, double threshold, enum phiz_svg_kind kind,
                         struct phiz_bytes *out)
{
	int bottom = H_TOP + (eval->strangers ? 2 : 1) * H_HALF + 4;
	struct counts c = {.of = phiz_score_name(eval->score)};
	char text[64];

	phiz_chart_open(out, kind, bottom + 44, "How sure the model is");
	phiz_chart_key(out, PHIZ_CHART_LEFT, PHIZ_CHART_TOP, "a", "named rightly");
	phiz_chart_key(out, PHIZ_CHART_LEFT + 114, PHIZ_CHART_TOP, "b", "named wrongly");
	if (eval->strangers)
		phiz_chart_key(out, PHIZ_CHART_LEFT + 234, PHIZ_CHART_TOP, "c", "strangers (downwards)");
	count(eval, &c);
	draw_bars(out, eval, &c);
	if (threshold >= 0 && threshold <= 1) {
		double x = x_of(threshold);

		phiz_bytes_printf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", x, x, H_TOP - 6,
		                  bottom);
		snprintf(text, sizeof text, "threshold %.3f", threshold);
		phiz_chart_text(out, x + (threshold > 0.7 ? -5 : 5), H_TOP + 4, threshold > 0.7 ? "end" : "start", "tick",
		                text);
	}
	snprintf(text, sizeof text, "%s of the best class", c.of);
	x_axis(out, bottom, text);
	phiz_chart_close(out);
}
