/* The report of phiz data check: one page without scripts or anything from outside. What is shown is bounded, so that a
 * folder of 100,000 photos gives a page that a phone can open. */
#include <math.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "datasets/names.h"
#include "tools/check.h"
#include "train/svg_chart.h"

enum { THUMB = 128, QUALITY = 78, MAX_SHOWN = 48, DECODE_SIDE = 512 };
#define AROUND 2.0 /* side of what is shown / side of the face */

static void add_styles(struct phiz_bytes *b)
{
	phiz_bytes_text(b, "<style>\n");
	phiz_chart_css(b);
	phiz_bytes_text(b,
		"* { box-sizing: border-box; }\n"
		"body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }\n"
		"main { max-width: 1060px; margin: 0 auto; padding: 20px 16px 48px; }\n"
		"h1 { font-size: 26px; line-height: 1.2; margin: 8px 0 4px; overflow-wrap: anywhere; }\n"
		"h2 { font-size: 20px; margin: 36px 0 6px; } p { margin: 8px 0; max-width: 75ch; }\n"
		".soft { color: var(--soft); font-size: 14px; } .error { color: var(--b); } .warning { color: var(--a); }\n"
		".kinds { display: flex; flex-wrap: wrap; gap: 8px; margin: 18px 0 0; }\n"
		".kinds label { background: var(--card); border: 2px solid var(--card); border-radius: 10px; padding: 6px "
		"12px; font-size: 14px; cursor: pointer; }\n"
		".kinds b { font-size: 18px; margin-right: 6px; font-variant-numeric: tabular-nums; }\n"
		"input.pick { position: absolute; opacity: 0; }\n"
		".findings { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); }\n"
		"figure { margin: 0; background: var(--card); border-radius: 10px; overflow: hidden; font-size: 14px; "
		"line-height: 1.4; }\n"
		".pair { display: flex; gap: 2px; } .pair > * { flex: 1 1 50%; min-width: 0; }\n"
		"figure img, figure .none { width: 100%; height: 150px; object-fit: contain; display: block; background: "
		"var(--grid); } figure .none { display: flex; align-items: center; justify-content: center; color: "
		"var(--soft); }\n"
		"figcaption { padding: 8px 12px 10px; overflow-wrap: anywhere; } figcaption span { display: block; }\n"
		"figcaption small { display: block; color: var(--soft); font-size: 12px; }\n"
		"@media (max-width: 560px) { h1 { font-size: 22px; } .findings { grid-template-columns: 1fr; } }\n"
		"@media print { section { break-inside: avoid; } }\n");
}

/* One rule a kind: its box checked hides the sections of all others. */
static void add_filter_rules(const struct phiz_findings *f, struct phiz_bytes *b)
{
	for (int i = 0; i < PHIZ_N_FAULTS; i++) {
		const char *name = phiz_fault_name((enum phiz_fault)i);

		if (f->of_fault[i])
			phiz_bytes_printf(b, "#f-%s:checked ~ section:not(.k-%s) { display: none; }\n"
			                  "#f-%s:checked ~ .kinds label[for=f-%s] { border-color: var(--a); }\n"
			                  "#f-%s:focus-visible ~ .kinds label[for=f-%s] { outline: 2px solid var(--ink); }\n",
			                  name, name, name, name, name, name);
	}
	phiz_bytes_text(b, "#f-all:checked ~ .kinds label[for=f-all] { border-color: var(--a); }\n</style>\n");
}

static void add_filter(const struct phiz_findings *f, struct phiz_bytes *b)
{
	phiz_bytes_text(b, "<input class=\"pick\" type=\"radio\" name=\"kind\" id=\"f-all\" checked>\n");
	for (int i = 0; i < PHIZ_N_FAULTS; i++)
		if (f->of_fault[i])
			phiz_bytes_printf(b, "<input class=\"pick\" type=\"radio\" name=\"kind\" id=\"f-%s\">\n",
			                  phiz_fault_name((enum phiz_fault)i));
	phiz_bytes_printf(b, "<div class=\"kinds\">\n<label for=\"f-all\"><b>%zu</b>all findings</label>\n", f->count);
	for (int i = 0; i < PHIZ_N_FAULTS; i++) {
		enum phiz_fault fault = (enum phiz_fault)i;
		if (f->of_fault[i])
			phiz_bytes_printf(b, "<label for=\"f-%s\"><b class=\"%s\">%zu</b>%s</label>\n", phiz_fault_name(fault),
			                  phiz_fault_weight_name(phiz_fault_weight(fault)), f->of_fault[i],
			                  phiz_fault_title(fault));
	}
	phiz_bytes_text(b, "</div>\n");
}

static void add_shown_name(struct phiz_bytes *b, const char *name)
{
	struct phiz_bytes shown;

	phiz_bytes_init(&shown, b->ctx);
	phiz_name_show(name, &shown);
	if (phiz_bytes_status(&shown))
		b->failed = 1;
	else
		phiz_bytes_html(b, shown.size ? shown.data : "");
	phiz_bytes_free(&shown);
}

/* --- Thumbnails. --- */

/* The face with what is around it, or the whole photo, no larger than THUMB. */
static enum phiz_status shrink(struct phiz_ctx *ctx, const struct phiz_photo *p, const struct phiz_image *photo,
                               struct phiz_image *out)
{
	double x0 = 0, y0 = 0, x1 = photo->width, y1 = photo->height, scale = p->width ? x1 / p->width : 1;

	if (p->looked && p->faces && p->face.box[2] > 0 && p->face.box[3] > 0) {
		double side = (double)fmaxf(p->face.box[2], p->face.box[3]) * AROUND * scale;
		double x = ((double)p->face.box[0] + (double)p->face.box[2] / 2) * scale;
		double y = ((double)p->face.box[1] + (double)p->face.box[3] / 2) * scale;

		x0 = fmax(0, x - side / 2);
		y0 = fmax(0, y - side / 2);
		x1 = fmin(x1, x + side / 2);
		y1 = fmin(y1, y + side / 2);
	}
	if (!(x1 - x0 >= 1) || !(y1 - y0 >= 1)) {
		x0 = y0 = 0;
		x1 = photo->width;
		y1 = photo->height;
	}
	const double box[4] = {x0, y0, x1, y1};
	double longer = fmax(x1 - x0, y1 - y0), by = longer > THUMB ? THUMB / longer : 1;
	int width = (int)fmax(1, round((x1 - x0) * by)), height = (int)fmax(1, round((y1 - y0) * by));
	return phiz_image_resize(ctx, photo, width, height, box, out);
}

static enum phiz_status make_thumb(struct phiz_ctx *ctx, const struct check *check, int64_t i, bool whole,
                                   struct phiz_bytes *jpeg)
{
	const struct phiz_decode_options options = {.min_side = DECODE_SIDE, .lenient = true};
	struct phiz_photo p = check->c.photo[i];
	struct phiz_image photo = {0}, small = {0};
	char *path = phiz_path_join(ctx, check->dir, p.path);
	enum phiz_status status = path ? phiz_image_read(ctx, path, &options, &photo) : PHIZ_E_NOMEM;

	p.looked = p.looked && !whole;
	if (!status)
		status = shrink(ctx, &p, &photo, &small);
	if (!status)
		status = phiz_jpeg_encode(ctx, &small, QUALITY, jpeg);
	phiz_image_free(ctx, &small);
	phiz_image_free(ctx, &photo);
	phiz_free(ctx, path);
	return status;
}

static enum phiz_status add_thumb(struct phiz_ctx *ctx, const struct check *check, int64_t i, bool whole,
                                  struct phiz_bytes *b)
{
	struct phiz_ctx_options quiet = {.threads = 1};
	struct phiz_ctx *own; /* a thumbnail that cannot be had is nobody's error, and no news */
	struct phiz_bytes jpeg;
	enum phiz_status status = phiz_ctx_create(&quiet, &own);

	if (status)
		return phiz_fail(ctx, PHIZ_E_NOMEM, "out of memory");
	phiz_bytes_init(&jpeg, own);
	status = make_thumb(own, check, i, whole, &jpeg);
	if (status) {
		phiz_bytes_text(b, "<div class=\"none\">no picture</div>");
	} else {
		phiz_bytes_text(b, "<img loading=\"lazy\" alt=\"");
		add_shown_name(b, phiz_path_base(check->c.photo[i].path));
		phiz_bytes_text(b, "\" src=\"data:image/jpeg;base64,");
		phiz_bytes_base64(b, jpeg.data, jpeg.size);
		phiz_bytes_text(b, "\">");
	}
	phiz_bytes_free(&jpeg);
	phiz_ctx_free(&own);
	return status == PHIZ_E_NOMEM ? phiz_fail(ctx, status, "out of memory") : PHIZ_OK;
}

static bool is_picture(const struct phiz_photo *p)
{
	return p->kind == PHIZ_FILE_PHOTO || p->kind == PHIZ_FILE_LOOSE ||
	       (p->kind == PHIZ_FILE_OTHER && p->format != PHIZ_IMAGE_UNKNOWN);
}

static enum phiz_status add_finding(struct phiz_ctx *ctx, const struct check *check, const struct phiz_finding *f,
                                    struct phiz_bytes *b)
{
	const struct phiz_checkup *c = &check->c;
	bool whole = f->fault == PHIZ_FAULT_SEVERAL_FACES || f->fault == PHIZ_FAULT_SMALL, people = f->photo < 0;
	struct phiz_bytes reason;
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_text(b, "<figure>");
	if (f->photo >= 0 && is_picture(&c->photo[f->photo])) {
		phiz_bytes_text(b, "<div class=\"pair\">");
		status = add_thumb(ctx, check, f->photo, whole, b);
		if (!status && f->other >= 0)
			status = add_thumb(ctx, check, f->other, whole, b);
		phiz_bytes_text(b, "</div>");
	}
	if (status)
		return status;
	phiz_bytes_init(&reason, ctx);
	phiz_finding_reason(c, f, &reason);
	phiz_bytes_text(b, "<figcaption><b>");
	if (people || f->fault == PHIZ_FAULT_MIXED_FOLDER || f->fault == PHIZ_FAULT_SAME_PERSON)
		add_shown_name(b, c->people.name[f->person]);
	else
		add_shown_name(b, c->photo[f->photo].path);
	phiz_bytes_text(b, "</b><span>");
	if (!phiz_bytes_status(&reason))
		phiz_bytes_html(b, reason.size ? reason.data : "");
	phiz_bytes_text(b, "</span><span class=\"soft\">&rarr; ");
	phiz_bytes_html(b, phiz_finding_advice(c, f));
	phiz_bytes_text(b, f->move ? " (--fix puts it aside)</span>" : "</span>");
	if (f->other >= 0 && f->photo >= 0) {
		phiz_bytes_text(b, "<small>beside it: ");
		add_shown_name(b, c->photo[f->other].path);
		phiz_bytes_text(b, "</small>");
	}
	phiz_bytes_text(b, "</figcaption></figure>\n");
	phiz_bytes_free(&reason);
	return phiz_bytes_status(b);
}

static enum phiz_status add_kinds(struct phiz_ctx *ctx, const struct check *check, struct phiz_bytes *b)
{
	const struct phiz_findings *f = &check->findings;
	enum phiz_status status = PHIZ_OK;
	size_t shown = 0;

	for (size_t i = 0; !status && i < f->count && !phiz_interrupted; i++) {
		enum phiz_fault fault = f->finding[i].fault;

		if (i == 0 || f->finding[i - 1].fault != fault) {
			shown = 0;
			phiz_bytes_printf(b, "%s<section class=\"k-%s\">\n<h2 class=\"%s\">%s: %zu</h2>\n",
			                  i ? "</div>\n</section>\n" : "", phiz_fault_name(fault),
			                  phiz_fault_weight_name(phiz_fault_weight(fault)), phiz_fault_title(fault),
			                  f->of_fault[fault]);
			if (f->of_fault[fault] > MAX_SHOWN)
				phiz_bytes_printf(b, "<p class=\"soft\">The worst %d are shown; <code>phiz data check --json</code> "
				                  "lists all.</p>\n", (int)MAX_SHOWN);
			phiz_bytes_text(b, "<div class=\"findings\">\n");
		}
		if (shown++ < MAX_SHOWN)
			status = add_finding(ctx, check, &f->finding[i], b);
	}
	if (f->count)
		phiz_bytes_text(b, "</div>\n</section>\n");
	return status;
}

static void add_head(const struct check *check, struct phiz_bytes *b)
{
	size_t photos = 0;

	for (size_t i = 0; i < check->c.count; i++)
		photos += check->c.photo[i].kind == PHIZ_FILE_PHOTO;
	phiz_bytes_text(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
	add_shown_name(b, check->dir);
	phiz_bytes_printf(b, ": %zu findings</title>\n", check->findings.count);
	add_styles(b);
	add_filter_rules(&check->findings, b);
	phiz_bytes_text(b, "</head>\n<body>\n<main>\n<p class=\"soft\">phiz data check</p>\n<h1>");
	add_shown_name(b, check->dir);
	phiz_bytes_printf(b, "</h1>\n<p>%zu photos of %zu people%s.</p>\n", photos, check->c.people.count,
	                  check->c.crops ? ", taken as crops of faces" : "");
	for (size_t i = 0; i < check->left_out.count; i++) {
		phiz_bytes_text(b, "<p class=\"soft\">Left out: ");
		phiz_bytes_html(b, check->left_out.name[i]);
		phiz_bytes_text(b, "</p>\n");
	}
	if (!check->findings.count)
		phiz_bytes_text(b, "<p>Nothing was found.</p>\n");
}

enum phiz_status phiz_check_html(struct phiz_ctx *ctx, const struct check *check, const char *path)
{
	struct phiz_bytes page;
	enum phiz_status status;

	phiz_bytes_init(&page, ctx);
	add_head(check, &page);
	if (check->findings.count)
		add_filter(&check->findings, &page);
	status = add_kinds(ctx, check, &page);
	phiz_bytes_text(&page, "</main>\n</body>\n</html>\n");
	if (!status)
		status = phiz_bytes_status(&page);
	if (!status && phiz_interrupted)
		status = phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off: no report was written");
	if (!status)
		status = phiz_file_write(ctx, path, page.data, page.size);
	phiz_bytes_free(&page);
	return status;
}
