/* What phiz data check says on standard output. */
#include <math.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "datasets/names.h"
#include "tools/check.h"

enum { MAX_SHOWN = 40 };

static size_t usable(const struct phiz_checkup *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		n += c->photo[i].kind == PHIZ_FILE_PHOTO && c->photo[i].readable;
	return n;
}

static size_t photos(const struct phiz_checkup *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		n += c->photo[i].kind == PHIZ_FILE_PHOTO;
	return n;
}

static void print_finding(struct phiz_ctx *ctx, const struct phiz_checkup *c, const struct phiz_finding *f)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "  ");
	if (f->photo >= 0 && f->fault != PHIZ_FAULT_MIXED_FOLDER && f->fault != PHIZ_FAULT_SAME_PERSON)
		phiz_name_show(c->photo[f->photo].path, &b);
	else if (f->person >= 0)
		phiz_name_show(c->people.name[f->person], &b);
	phiz_bytes_text(&b, ": ");
	phiz_finding_reason(c, f, &b);
	phiz_bytes_printf(&b, "; %s", phiz_finding_advice(c, f));
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

void phiz_check_print(struct phiz_ctx *ctx, const struct check *check)
{
	const struct phiz_findings *f = &check->findings;
	int shown = 0;

	for (size_t i = 0; i < f->count; i++) {
		enum phiz_fault fault = f->finding[i].fault;
		bool first = i == 0 || f->finding[i - 1].fault != fault;

		if (first) {
			printf("%s%s (%s, %s): %zu\n", i ? "\n" : "", phiz_fault_title(fault), phiz_fault_name(fault),
			       phiz_fault_weight_name(phiz_fault_weight(fault)), f->of_fault[fault]);
			shown = 0;
		}
		if (shown++ < MAX_SHOWN)
			print_finding(ctx, &check->c, &f->finding[i]);
		else if (shown == MAX_SHOWN + 2)
			printf("  ... and %zu more (--json lists all)\n", f->of_fault[fault] - MAX_SHOWN);
	}
	printf("%s%zu photos of %zu people, %zu can be read: %zu findings\n", f->count ? "\n" : "", photos(&check->c),
	       check->c.people.count, usable(&check->c), f->count);
}

/* --- JSON. --- */

static void add_name(struct phiz_bytes *b, const char *key, const char *name)
{
	phiz_bytes_printf(b, ",\"%s\":", key);
	if (name)
		phiz_bytes_json(b, name);
	else
		phiz_bytes_text(b, "null");
}

static void add_number(struct phiz_bytes *b, const char *key, double v)
{
	if (isfinite(v))
		phiz_bytes_printf(b, ",\"%s\":%.6g", key, v);
	else
		phiz_bytes_printf(b, ",\"%s\":null", key);
}

static void add_finding(struct phiz_ctx *ctx, const struct phiz_checkup *c, const struct phiz_finding *f,
                        struct phiz_bytes *b)
{
	struct phiz_bytes reason;

	phiz_bytes_init(&reason, ctx);
	phiz_finding_reason(c, f, &reason);
	phiz_bytes_printf(b, "{\"kind\":\"%s\",\"weight\":\"%s\"", phiz_fault_name(f->fault),
	                  phiz_fault_weight_name(phiz_fault_weight(f->fault)));
	add_name(b, "file", f->photo >= 0 ? c->photo[f->photo].path : NULL);
	add_name(b, "person", f->person >= 0 ? c->people.name[f->person] : NULL);
	add_name(b, "other_file", f->other >= 0 ? c->photo[f->other].path : NULL);
	add_name(b, "other_person", f->other_person >= 0 ? c->people.name[f->other_person] : NULL);
	add_number(b, "value", f->value);
	add_number(b, "limit", f->limit);
	add_name(b, "reason", phiz_bytes_status(&reason) || !reason.size ? "" : reason.data);
	add_name(b, "advice", phiz_finding_advice(c, f));
	phiz_bytes_printf(b, ",\"fix\":%s}", f->move ? "\"move\"" : "null");
	phiz_bytes_free(&reason);
}

static void add_counts(const struct phiz_findings *f, struct phiz_bytes *b)
{
	phiz_bytes_text(b, ",\"counts\":{");
	for (int i = 0; i < PHIZ_N_FAULTS; i++)
		phiz_bytes_printf(b, "%s\"%s\":%zu", i ? "," : "", phiz_fault_name((enum phiz_fault)i), f->of_fault[i]);
	phiz_bytes_text(b, "}");
}

void phiz_check_print_json(struct phiz_ctx *ctx, const struct check *check, const char *report, size_t moved)
{
	const struct phiz_checkup *c = &check->c;
	const struct phiz_findings *f = &check->findings;
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"dir\":");
	phiz_bytes_json(&b, check->dir);
	phiz_bytes_printf(&b, ",\"people\":%zu,\"photos\":%zu,\"readable\":%zu,\"measured\":%zu,\"cached\":%zu",
	                  c->people.count, photos(c), usable(c), check->measured, check->cached);
	phiz_bytes_printf(&b, ",\"crops\":%s,\"faces\":%s,\"embeddings\":%s,\"split\":%s", c->crops ? "true" : "false",
	                  check->detector && !c->crops ? "true" : "false", c->dim ? "true" : "false",
	                  c->split ? "true" : "false");
	phiz_bytes_text(&b, ",\"left_out\":[");
	for (size_t i = 0; i < check->left_out.count; i++) {
		phiz_bytes_text(&b, i ? "," : "");
		phiz_bytes_json(&b, check->left_out.name[i]);
	}
	phiz_bytes_text(&b, "]");
	add_number(&b, "stranger_mean", c->dim ? f->stranger_mean : NAN);
	add_number(&b, "stranger_sigma", c->dim ? f->stranger_sigma : NAN);
	add_number(&b, "same_threshold", c->dim ? f->same : NAN);
	add_name(&b, "report", report);
	phiz_bytes_printf(&b, ",\"moved\":%zu", moved);
	add_counts(f, &b);
	phiz_bytes_text(&b, ",\"findings\":[");
	for (size_t i = 0; i < f->count; i++) {
		phiz_bytes_text(&b, i ? "," : "");
		add_finding(ctx, c, &f->finding[i], &b);
	}
	phiz_bytes_text(&b, "]}");
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}
