#include "train/history.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"

enum phiz_status phiz_history_add(struct phiz_ctx *ctx, struct phiz_history *history,
                                  const struct phiz_epoch_record *record)
{
	if (phiz_grow(ctx, &history->record, &history->capacity, history->count + 1, sizeof *history->record))
		return PHIZ_E_NOMEM;
	history->record[history->count++] = *record;
	return PHIZ_OK;
}

void phiz_history_free(struct phiz_ctx *ctx, struct phiz_history *history)
{
	phiz_free(ctx, history->record);
	memset(history, 0, sizeof *history);
}

static void add_field(struct phiz_bytes *out, double value, int digits)
{
	if (isfinite(value))
		phiz_bytes_printf(out, ",%.*g", digits, value);
	else
		phiz_bytes_text(out, ",");
}

enum phiz_status phiz_history_csv(const struct phiz_history *history, struct phiz_bytes *out)
{
	size_t i;

	phiz_bytes_text(out, "epoch,steps,train_loss,train_top1,val_loss,val_top1,lr,seconds,images_per_s\n");
	for (i = 0; i < history->count; i++) {
		const struct phiz_epoch_record *r = &history->record[i];

		phiz_bytes_printf(out, "%lld,%lld", (long long)r->epoch, (long long)r->steps);
		add_field(out, r->train_loss, 9);
		add_field(out, r->train_top1, 9);
		add_field(out, r->val_loss, 9);
		add_field(out, r->val_top1, 9);
		add_field(out, r->lr, 9);
		add_field(out, r->seconds, 6);
		add_field(out, r->images_per_s, 6);
		phiz_bytes_text(out, "\n");
	}
	return phiz_bytes_status(out);
}

/* --- curves.svg --- */

#define WIDTH 760
#define PANEL_HEIGHT 230
#define TOP 64
#define LEFT 64
#define RIGHT 24
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PLOT_HEIGHT 164
#define MAX_TICKS 12

struct curve {
	const char *name, *class;
	size_t offset; /* of the double in the record */
};

struct panel {
	const char *title;
	struct curve curve[2];
	int n_curves;
	double scale;  /* what is written is value * scale */
	const char *unit;
	double low, high; /* of the axis, after scaling */
	double top;    /* pixels from the top of the page to the plot */
	bool from_zero;
};

static double value_of(const struct phiz_epoch_record *record, const struct curve *curve)
{
	double value;

	memcpy(&value, (const char *)record + curve->offset, sizeof value);
	return value;
}

/* A step of 1, 2 or 5 times a power of ten that cuts `span` into at most `most` parts. */
static double nice_step(double span, int most)
{
	double power = pow(10, floor(log10(span / most)));
	double parts = span / power / most;

	return power * (parts <= 1 ? 1 : parts <= 2 ? 2 : parts <= 5 ? 5 : 10);
}

/* The axis from the values, ends on round numbers. */
static void fit_axis(struct panel *panel, const struct phiz_history *history)
{
	double low = INFINITY, high = -INFINITY, step;
	size_t i;
	int c;

	for (c = 0; c < panel->n_curves; c++)
		for (i = 0; i < history->count; i++) {
			double v = value_of(&history->record[i], &panel->curve[c]) * panel->scale;

			if (isfinite(v)) {
				low = fmin(low, v);
				high = fmax(high, v);
			}
		}
	if (!isfinite(low))
		low = 0, high = 1;
	if (panel->from_zero)
		low = fmin(low, 0);
	if (high - low < 1e-12 * fmax(1, fabs(high)))
		high = low + (low != 0 ? fabs(low) : 1);
	step = nice_step(high - low, 5);
	panel->low = step * floor(low / step + 1e-9);
	panel->high = step * ceil(high / step - 1e-9);
}

static double x_of(const struct phiz_history *history, double epoch)
{
	double last = history->count ? (double)history->record[history->count - 1].epoch : 1;
	double first = history->count ? (double)history->record[0].epoch : 0;

	return LEFT + (last > first ? (epoch - first) / (last - first) : 0.5) * PLOT_WIDTH;
}

static double y_of(const struct panel *panel, double value)
{
	return panel->top + (1 - (value * panel->scale - panel->low) / (panel->high - panel->low)) * PLOT_HEIGHT;
}

static void draw_y_axis(const struct panel *panel, struct phiz_bytes *out)
{
	double step = nice_step(panel->high - panel->low, 5);
	int i, n = (int)floor((panel->high - panel->low) / step + 0.5);

	for (i = 0; i <= n && i < MAX_TICKS; i++) {
		double v = panel->low + i * step;
		double y = panel->top + (1 - (v - panel->low) / (panel->high - panel->low)) * PLOT_HEIGHT;

		if (fabs(v) < step * 1e-6)
			v = 0;
		phiz_bytes_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT,
		                  WIDTH - RIGHT, y, y);
		phiz_bytes_printf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g%s</text>\n",
		                  LEFT - 8, y + 4, v, panel->unit);
	}
}

static void draw_x_axis(const struct panel *panel, const struct phiz_history *history, struct phiz_bytes *out)
{
	double first, last, step, v;

	if (history->count == 0)
		return;
	first = (double)history->record[0].epoch;
	last = (double)history->record[history->count - 1].epoch;
	step = last > first ? fmax(1, nice_step(last - first, 10)) : 1;
	for (v = step * ceil(first / step); v <= last + 0.5; v += step)
		phiz_bytes_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>\n",
		                  x_of(history, v), panel->top + PLOT_HEIGHT + 18, v);
}

static void draw_curve(const struct panel *panel, const struct curve *curve, const struct phiz_history *history,
                       struct phiz_bytes *out)
{
	bool open = false;
	size_t i;

	for (i = 0; i < history->count; i++) {
		double v = value_of(&history->record[i], curve);

		if (!isfinite(v))
			continue;
		phiz_bytes_printf(out, "%s%.1f,%.1f", open ? " " : "<polyline points=\"",
		                  x_of(history, (double)history->record[i].epoch), y_of(panel, v));
		open = true;
	}
	if (!open)
		return;
	phiz_bytes_printf(out, "\" class=\"%s\"/>\n", curve->class);
	for (i = 0; i < history->count && history->count <= 60; i++) {
		double v = value_of(&history->record[i], curve);

		if (isfinite(v))
			phiz_bytes_printf(out, "<circle class=\"%s dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>epoch %lld: "
			                  "%.5g%s</title></circle>\n", curve->class,
			                  x_of(history, (double)history->record[i].epoch), y_of(panel, v),
			                  (long long)history->record[i].epoch, v * panel->scale, panel->unit);
	}
}

/* The last figure of the curve that there is. */
static double last_value(const struct phiz_history *history, const struct curve *curve)
{
	size_t i = history->count;

	while (i-- > 0)
		if (isfinite(value_of(&history->record[i], curve)))
			return value_of(&history->record[i], curve);
	return NAN;
}

static void draw_legend(const struct panel *panel, const struct phiz_history *history, struct phiz_bytes *out)
{
	double x = WIDTH - RIGHT;
	int c;

	for (c = panel->n_curves - 1; c >= 0; c--) {
		double v = last_value(history, &panel->curve[c]);

		if (!isfinite(v))
			continue;
		if (fabs(v * panel->scale) < panel->high * 1e-6) /* a cosine's last 1e-19 */
			v = 0;
		phiz_bytes_printf(out, "<text class=\"label\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s %.4g%s</text>\n", x,
		                  panel->top - 12, panel->curve[c].name, v * panel->scale, panel->unit);
		x -= 150;
		phiz_bytes_printf(out, "<line class=\"%s\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
		                  panel->curve[c].class, x, x + 18, panel->top - 16, panel->top - 16);
		x -= 14;
	}
}

static void draw_panel(struct panel *panel, const struct phiz_history *history, int64_t best, struct phiz_bytes *out)
{
	int c;

	fit_axis(panel, history);
	phiz_bytes_printf(out, "<text class=\"head\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT, panel->top - 12, panel->title);
	draw_y_axis(panel, out);
	draw_x_axis(panel, history, out);
	if (best > 0)
		phiz_bytes_printf(out,
		                  "<line class=\"best\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"><title>best: epoch "
		                  "%lld</title></line>\n",
		                  x_of(history, (double)best), x_of(history, (double)best), panel->top,
		                  panel->top + PLOT_HEIGHT, (long long)best);
	for (c = 0; c < panel->n_curves; c++)
		draw_curve(panel, &panel->curve[c], history, out);
	draw_legend(panel, history, out);
}

#define RECORD(field) offsetof(struct phiz_epoch_record, field)

enum phiz_status phiz_history_svg(const struct phiz_history *history, const char *title, int64_t best,
                                  struct phiz_bytes *out)
{
	struct panel panel[3] = {
		{"Loss", {{"training", "a", RECORD(train_loss)}, {"validation", "b", RECORD(val_loss)}}, 2, 1, "", 0, 0, 0,
		 true},
		{"Accuracy", {{"training", "a", RECORD(train_top1)}, {"validation", "b", RECORD(val_top1)}}, 2, 100, " %", 0, 0,
		 0, true},
		{"Learning rate", {{"rate", "a", RECORD(lr)}, {NULL, NULL, 0}}, 1, 1, "", 0, 0, 0, true},
	};
	int i, height = TOP + 3 * PANEL_HEIGHT;

	phiz_bytes_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
	                  "font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>", WIDTH, height, WIDTH, height);
	phiz_bytes_html(out, title);
	phiz_bytes_text(out,
		"</title>\n<style>\n"
		":root { --page: #ffffff; --ink: #1b1f24; --soft: #5c6570; --grid: #dfe3e8; --a: #1f6fd6; --b: #c4500a; }\n"
		"@media (prefers-color-scheme: dark) { :root { --page: #14171a; --ink: #eceff3; --soft: #a0a9b4; "
		"--grid: #333a42; --a: #6fb1ff; --b: #ffa566; } }\n"
		".page { fill: var(--page); } .top { font-size: 17px; fill: var(--ink); }\n"
		".head { font-size: 14px; font-weight: 600; fill: var(--ink); } .label { font-size: 13px; fill: var(--ink); }\n"
		".tick { font-size: 12px; fill: var(--soft); } .grid { stroke: var(--grid); }\n"
		".best { stroke: var(--soft); stroke-dasharray: 3 4; }\n"
		".a, .b { fill: none; stroke-width: 2; stroke-linejoin: round; } .a { stroke: var(--a); }\n"
		".b { stroke: var(--b); stroke-dasharray: 6 3; } .a.dot { fill: var(--a); stroke: none; }\n"
		".b.dot { fill: var(--b); stroke: none; }\n</style>\n");
	phiz_bytes_printf(out, "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n<text class=\"top\" x=\"%d\" y=\"28\">",
	                  WIDTH, height, LEFT);
	phiz_bytes_html(out, title);
	phiz_bytes_text(out, "</text>\n");
	for (i = 0; i < 3; i++) {
		panel[i].top = TOP + i * PANEL_HEIGHT + 8;
		draw_panel(&panel[i], history, best, out);
	}
	phiz_bytes_printf(out, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">epoch</text>\n</svg>\n",
	                  WIDTH - RIGHT, height - 10);
	return phiz_bytes_status(out);
}
