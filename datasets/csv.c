/* CSV, read in one pass: fields are unquoted in place in a copy of the text. */
#include "datasets/csv.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"

struct parser {
	struct phiz_ctx *ctx;
	const char *name;
	char *pos, *end;
	int line;       /* of pos */
	int row_line;   /* where the row began */
	size_t in_row;  /* fields read in this row */
	bool row_ended;
};

static enum phiz_status complain(const struct parser *p, int line, const char *what)
{
	return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: %s", p->name, line, what);
}

/* Steps over what ends a field: a comma, a line end (which ends the row too) or the end of the text. */
static enum phiz_status end_field(struct parser *p)
{
	p->row_ended = true;
	if (p->pos == p->end)
		return PHIZ_OK;
	if (*p->pos == ',') {
		p->row_ended = false;
		p->pos++;
		return PHIZ_OK;
	}
	if (*p->pos == '\r') {
		if (p->pos + 1 == p->end || p->pos[1] != '\n')
			return complain(p, p->line, "a carriage return without a line feed");
		p->pos++;
	}
	p->pos++;
	p->line++;
	return PHIZ_OK;
}

static enum phiz_status plain_field(struct parser *p)
{
	char *stop;
	enum phiz_status status;

	while (p->pos < p->end && *p->pos != ',' && *p->pos != '\n' && *p->pos != '\r') {
		if (*p->pos == '"')
			return complain(p, p->line, "a quote inside a field that does not begin with one");
		p->pos++;
	}
	stop = p->pos;
	status = end_field(p);
	*stop = '\0';
	return status;
}

static enum phiz_status quoted_field(struct parser *p)
{
	char *to = p->pos;
	int opened = p->line;

	for (p->pos++; ; p->pos++) {
		if (p->pos == p->end)
			return complain(p, opened, "a quote that is opened here is never closed");
		if (*p->pos == '"') {
			if (p->pos + 1 == p->end || p->pos[1] != '"')
				break;
			p->pos++;
		}
		if (*p->pos == '\n')
			p->line++;
		*to++ = *p->pos;
	}
	p->pos++;
	if (p->pos < p->end && *p->pos != ',' && *p->pos != '\n' && *p->pos != '\r')
		return complain(p, p->line, "text after the closing quote");
	*to = '\0'; /* at the latest where the closing quote stood */
	return end_field(p);
}

static enum phiz_status read_field(struct parser *p, struct phiz_csv *csv)
{
	char *start = p->pos;
	bool quoted = p->pos < p->end && *p->pos == '"';

	if (phiz_grow(p->ctx, &csv->field, &csv->field_capacity, csv->n_fields + 1, sizeof(*csv->field)))
		return PHIZ_E_NOMEM;
	csv->field[csv->n_fields++] = start;
	p->in_row++;
	return quoted ? quoted_field(p) : plain_field(p);
}

static enum phiz_status end_row(struct parser *p, struct phiz_csv *csv)
{
	const char *only = csv->field[csv->n_fields - 1];

	if (csv->count == 0)
		csv->columns = (int)p->in_row;
	if (p->in_row == 1 && !*only && (csv->columns > 1 || csv->count == 0))
		return complain(p, p->row_line, "an empty line");
	if (p->in_row != (size_t)csv->columns)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: %zu fields, want %d as in the header", p->name, p->row_line,
		                 p->in_row, csv->columns);
	if (phiz_grow(p->ctx, &csv->row, &csv->capacity, csv->count + 1, sizeof(*csv->row)))
		return PHIZ_E_NOMEM;
	csv->row[csv->count++] = (struct phiz_csv_row){NULL, p->row_line};
	return PHIZ_OK;
}

static enum phiz_status read_rows(struct parser *p, struct phiz_csv *csv)
{
	while (p->pos < p->end) {
		enum phiz_status status;
		p->row_line = p->line;
		p->in_row = 0;
		do {
			status = p->in_row < 10000 ? read_field(p, csv) : complain(p, p->line, "more than 10000 fields");
			if (status)
				return status;
		} while (!p->row_ended);
		status = end_row(p, csv);
		if (status)
			return status;
	}
	/* The field array does not move any more. */
	for (size_t i = 0; i < csv->count; i++)
		csv->row[i].field = csv->field + i * (size_t)csv->columns;
	return PHIZ_OK;
}

static int line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

/* Points at the first byte that is no part of valid UTF-8, near enough to tell the line. */
static enum phiz_status check_text(struct parser *p, const char *text, size_t size)
{
	const char *nul = memchr(text, '\0', size);
	size_t start = 0;

	if (size == 0)
		return complain(p, 1, "an empty file");
	if (nul)
		return complain(p, line_of(text, nul), "a NUL byte");
	if (phiz_utf8_valid(text, size))
		return PHIZ_OK;
	for (int line = 1; start < size; line++) {
		const char *feed = memchr(text + start, '\n', size - start);
		size_t n = feed ? (size_t)(feed - text) + 1 - start : size - start;
		if (!phiz_utf8_valid(text + start, n))
			return complain(p, line, "bytes that are not UTF-8");
		start += n;
	}
	return complain(p, 1, "bytes that are not UTF-8");
}

enum phiz_status phiz_csv_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                struct phiz_csv *out)
{
	struct parser p = {.ctx = ctx, .name = name, .line = 1};
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		size -= 3;
	}
	status = check_text(&p, text, size);
	if (status)
		return status;
	out->text = phiz_alloc(ctx, size + 1, 1);
	if (!out->text)
		return PHIZ_E_NOMEM;
	memcpy(out->text, text, size);
	out->text[size] = '\0';
	p.pos = out->text;
	p.end = out->text + size;
	status = read_rows(&p, out);
	if (status)
		phiz_csv_free(ctx, out);
	return status;
}

void phiz_csv_free(struct phiz_ctx *ctx, struct phiz_csv *csv)
{
	phiz_free(ctx, csv->text);
	phiz_free(ctx, csv->field);
	phiz_free(ctx, csv->row);
	memset(csv, 0, sizeof(*csv));
}
