#include "train/svg_chart.h"

void phiz_chart_css(struct phiz_bytes *out)
{
	phiz_bytes_text(out,
		":root { color-scheme: light dark; --page: #ffffff; --card: #f5f7f9; --ink: #1b1f24; --soft: #5c6570; "
		"--grid: #dfe3e8; --a: #1f6fd6; --b: #c4500a; --c: #7a8490; }\n"
		"@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1d2125; --ink: #eceff3; "
		"--soft: #a0a9b4; --grid: #333a42; --a: #6fb1ff; --b: #ffa566; --c: #8b95a1; } }\n"
		".page { fill: var(--page); } .head { font-size: 15px; font-weight: 600; fill: var(--ink); }\n"
		".label { font-size: 13px; fill: var(--ink); } .tick { font-size: 12px; fill: var(--soft); }\n"
		".grid { stroke: var(--grid); } .mark { stroke: var(--ink); stroke-dasharray: 3 4; }\n"
		".ideal { stroke: var(--soft); stroke-dasharray: 2 4; }\n"
		".line { fill: none; stroke-width: 2; stroke-linejoin: round; } .line.a { stroke: var(--a); }\n"
		".line.b { stroke: var(--b); stroke-dasharray: 6 3; } .bar.a { fill: var(--a); } .bar.b { fill: var(--b); }\n"
		".bar.c { fill: var(--c); }\n"
		".dot { fill: var(--page); stroke: var(--ink); stroke-width: 2; }\n");
}

void phiz_chart_open(struct phiz_bytes *out, enum phiz_svg_kind kind, int height, const char *title)
{
	if (kind == PHIZ_SVG_FILE)
		phiz_bytes_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" ",
		                  PHIZ_CHART_WIDTH * 3 / 2, height * 3 / 2);
	else
		phiz_bytes_text(out, "<svg class=\"chart\" ");
	phiz_bytes_printf(out, "viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>",
	                  PHIZ_CHART_WIDTH, height);
	phiz_bytes_html(out, title);
	phiz_bytes_text(out, "</title>\n");
	if (kind == PHIZ_SVG_FILE) {
		phiz_bytes_text(out, "<style>\n");
		phiz_chart_css(out);
		phiz_bytes_printf(out, "</style>\n<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", PHIZ_CHART_WIDTH,
		                  height);
	}
	phiz_bytes_text(out, "<text class=\"head\" x=\"10\" y=\"20\">");
	phiz_bytes_html(out, title);
	phiz_bytes_text(out, "</text>\n");
}

void phiz_chart_close(struct phiz_bytes *out)
{
	phiz_bytes_text(out, "</svg>\n");
}

void phiz_chart_text(struct phiz_bytes *out, double x, double y, const char *anchor, const char *class,
                     const char *text)
{
	phiz_bytes_printf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y, anchor);
	phiz_bytes_html(out, text);
	phiz_bytes_text(out, "</text>\n");
}

void phiz_chart_level(struct phiz_bytes *out, double y, const char *text)
{
	phiz_bytes_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", PHIZ_CHART_LEFT,
	                  PHIZ_CHART_RIGHT, y, y);
	phiz_chart_text(out, PHIZ_CHART_LEFT - 6, y + 4, "end", "tick", text);
}

void phiz_chart_key(struct phiz_bytes *out, double x, double y, const char *class, const char *name)
{
	phiz_bytes_printf(out, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"10\" rx=\"2\"/>\n",
	                  class,
	                  x, y - 9);
	phiz_chart_text(out, x + 17, y, "start", "tick", name);
}
