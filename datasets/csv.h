/* Reading CSV as RFC 4180 has it, strictly. (Writing: phiz_bytes_csv.) */
#ifndef PHIZ_DATASETS_CSV_H
#define PHIZ_DATASETS_CSV_H

#include <phiz/ctx.h>

struct phiz_csv_row {
	char **field; /* columns of them, NUL-terminated; point into the csv's text */
	int line;     /* where the row begins, from 1 */
};

/* row[0] is the header. Every row has `columns` fields. */
struct phiz_csv {
	int columns;
	struct phiz_csv_row *row;
	size_t count, capacity;
	char *text;   /* unquoted in place */
	char **field; /* of all rows */
	size_t n_fields, field_capacity;
};

/* Separator ',', lines end with LF or CRLF, a field in double quotes may hold commas, line ends and "" for a quote; a
 * byte order mark at the start is skipped, white space counts. All errors are FORMAT, "NAME:LINE: ...": an empty
 * file, a row with another number of fields than the header, an empty line, a quote inside or text after a quoted
 * field, a quote that is never closed, a bare CR, a NUL byte, bad UTF-8. name is used in messages. */
enum phiz_status phiz_csv_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                struct phiz_csv *out);
void phiz_csv_free(struct phiz_ctx *ctx, struct phiz_csv *csv);

#endif
