/* The page. No script, nothing from outside: it may be mailed, kept and opened anywhere. */
#include "train/report_html.h"

#include <math.h>

#include "core/base/file.h"
#include "train/svg_chart.h"

void phiz_html_text(struct phiz_bytes *b, const char *text)
{
	phiz_bytes_html(b, text);
}

void phiz_html_section(struct phiz_bytes *b, const char *title)
{
	phiz_bytes_text(b, "</section>\n<section>\n<h2>");
	phiz_bytes_html(b, title);
	phiz_bytes_text(b, "</h2>\n");
}

void phiz_html_percent(struct phiz_bytes *b, double share)
{
	if (isfinite(share))
		phiz_bytes_printf(b, "%.1f&nbsp;%%", 100 * share);
	else
		phiz_bytes_text(b, "&ndash;");
}

void phiz_html_interval(struct phiz_bytes *b, struct phiz_interval interval)
{
	if (isfinite(interval.low))
		phiz_bytes_printf(b, "%.1f&nbsp;&ndash;&nbsp;%.1f&nbsp;%%", 100 * interval.low, 100 * interval.high);
}

static void add_styles(struct phiz_bytes *b)
{
	phiz_bytes_text(b, "<style>\n");
	phiz_chart_css(b);
	phiz_bytes_text(b,
		"* { box-sizing: border-box; }\n"
		"body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }\n"
		"main { max-width: 1060px; margin: 0 auto; padding: 20px 16px 48px; }\n"
		"h1 { font-size: 26px; line-height: 1.2; margin: 8px 0 4px; overflow-wrap: anywhere; }\n"
		"h2 { font-size: 20px; margin: 40px 0 10px; } p { margin: 8px 0; max-width: 75ch; }\n"
		".soft { color: var(--soft); font-size: 14px; } .good { color: var(--a); } .bad { color: var(--b); }\n"
		".tiles { display: grid; gap: 10px; margin-top: 18px; grid-template-columns: repeat(auto-fill, minmax(165px, "
		"1fr)); }\n"
		".tile { background: var(--card); border-radius: 10px; padding: 10px 14px; }\n"
		".tile b { display: block; font-size: 26px; line-height: 1.3; font-weight: 600; font-variant-numeric: "
		"tabular-nums; }\n"
		".tile span { display: block; font-size: 13px; line-height: 1.35; color: var(--soft); }\n"
		".tile .name { color: var(--ink); font-size: 14px; }\n"
		".photos { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); }\n"
		"figure { margin: 0; background: var(--card); border-radius: 10px; overflow: hidden; font-size: 13px; "
		"line-height: 1.35; }\n"
		"figure img, figure .none { width: 100%; aspect-ratio: 1; object-fit: cover; display: block; background: "
		"var(--grid); }\n"
		"figure .none { display: flex; align-items: center; justify-content: center; color: var(--soft); }\n"
		"figcaption { padding: 7px 10px 9px; overflow-wrap: anywhere; } h3 { font-size: 16px; margin: 20px 0 8px; }\n"
		"figcaption span { display: block; } figcaption .soft { font-size: 12px; } figcaption small { color: "
		"var(--soft); font-size: 11px; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; "
		"overflow: hidden; }\n"
		".scroll { overflow-x: auto; } .charts { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, "
		"minmax(min(100%, 400px), 1fr)); }\n"
		".chart { width: 100%; height: auto; display: block; }\n"
		"table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }\n"
		"th, td { text-align: right; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--grid); white-space: "
		"nowrap; }\n"
		"th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child, .left { text-align: left; }\n"
		"td:first-child, .wrap { white-space: normal; overflow-wrap: anywhere; min-width: 110px; }\n"
		".wide { width: 100%; } .meter { display: inline-block; width: 80px; height: 8px; border-radius: 4px; "
		"background: var(--grid); overflow: hidden; vertical-align: 1px; }\n"
		".meter i { display: block; height: 100%; background: var(--a); }\n"
		".matrix { max-width: 100%; height: auto; border-radius: 8px; image-rendering: auto; }\n"
		"pre { background: var(--card); border-radius: 8px; padding: 12px; overflow-x: auto; font-size: 12px; }\n"
		"summary { cursor: pointer; margin: 8px 0; } code { font-size: 0.9em; }\n"
		"@media (max-width: 560px) { .more { display: none; } h1 { font-size: 22px; } th, td { padding-right: 10px; "
		"} }\n"
		"@media print { .scroll { overflow: visible; } section { break-inside: avoid; } }\n"
		"</style>\n");
}

static void add_head(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	const struct phiz_eval *e = r->eval;
	char date[32];

	phiz_eval_report_date(r, date);
	phiz_bytes_text(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
	phiz_html_text(b, phiz_path_base(e->path));
	phiz_bytes_printf(b, ": %.1f %% named rightly</title>\n", 100 * e->accuracy.top1);
	add_styles(b);
	phiz_bytes_text(b, "</head>\n<body>\n<main>\n<section>\n<p class=\"soft\">phiz eval, ");
	phiz_html_text(b, date);
	phiz_bytes_text(b, "</p>\n<h1>");
	phiz_html_text(b, e->path);
	phiz_bytes_printf(b, "</h1>\n<p>Judged on %lld photos of %lld known people", (long long)e->accuracy.photos,
	                  (long long)e->classes);
	if (e->strangers)
		phiz_bytes_printf(b, " and %lld photos of strangers", (long long)e->strangers);
	phiz_bytes_text(b, " in <code>");
	phiz_html_text(b, r->data ? r->data : "");
	phiz_bytes_text(b, "</code>");
	if (r->part) {
		phiz_bytes_text(b, " (part ");
		phiz_html_text(b, r->part);
		phiz_bytes_text(b, ")");
	}
	phiz_bytes_text(b, ".</p>\n");
}

static void add_charts(const struct phiz_eval_report *r, struct phiz_bytes *b)
{
	phiz_html_section(b, "Confidence");
	phiz_bytes_text(b, "<div class=\"charts\">\n");
	phiz_confidence_svg(r->eval, phiz_eval_report_threshold(r), PHIZ_SVG_INLINE, b);
	if (r->eval->strangers)
		phiz_roc_svg(r->eval, PHIZ_SVG_INLINE, b);
	phiz_reliability_svg(r->eval, PHIZ_SVG_INLINE, b);
	phiz_bytes_text(b, "</div>\n");
	phiz_bytes_printf(b, "<p class=\"soft\">Calibration: if the model says 0.8, it should be right in 80&nbsp;%% of "
	                  "the cases (the dotted line). On average it is off by %.1f points (expected calibration "
	                  "error), in the worst of the 15 bins by %.1f. The mean confidence is %.1f&nbsp;%%, the "
	                  "accuracy %.1f&nbsp;%%: it is %s.</p>\n",
	                  100 * r->eval->accuracy.ece, 100 * r->eval->accuracy.mce, 100 * r->eval->accuracy.mean_confidence,
	                  100 * r->eval->accuracy.top1,
	                  r->eval->accuracy.mean_confidence > r->eval->accuracy.top1 ? "surer of itself than it should be"
	                                                                            : "less sure than it could be");
}

enum phiz_status phiz_eval_report_html(const struct phiz_eval_report *report, struct phiz_bytes *out)
{
	enum phiz_status status;

	add_head(report, out);
	phiz_html_tiles(report, out);
	phiz_html_threshold(report, out);
	status = phiz_html_mistakes(report, out);
	if (!status)
		status = phiz_html_strangers(report, out);
	if (!status && report->against) {
		phiz_html_comparison(report, out);
		status = phiz_html_changes(report, out);
	}
	if (status)
		return status;
	add_charts(report, out);
	phiz_html_people(report, out);
	status = phiz_html_confusion(report, out);
	if (status)
		return status;
	phiz_html_facts(report, out);
	phiz_bytes_text(out, "</section>\n</main>\n</body>\n</html>\n");
	return phiz_bytes_status(out);
}
