#include "core/io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

#define MAX_DEPTH 32
#define MAX_VALUES (1 << 19)
#define SHOWN_BYTES 80

char *phiz_shown(const char *text, size_t size, char out[PHIZ_SHOWN])
{
	size_t n = size < SHOWN_BYTES ? size : SHOWN_BYTES, i;

	while (n > 0 && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	for (i = 0; i < n; i++)
		out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	for (i = 0; n < size && i < 3; i++)
		out[n++] = '.';
	out[n] = 0;
	return out;
}

/* jansson's parser recurses once a level and takes some 100 bytes a value, so both are counted before it starts. */
static enum phiz_status check_bounds(struct phiz_ctx *ctx, const char *text, size_t size, const char *what)
{
	int depth = 0, values = 0, in_string = 0;
	size_t i;

	for (i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
		} else if (c == '"') {
			in_string = 1;
		} else if (c == '{' || c == '[') {
			depth++;
			values++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == ',') {
			values++;
		}
		if (depth > MAX_DEPTH)
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: JSON nested deeper than %d", what, MAX_DEPTH);
		if (values > MAX_VALUES)
			return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: more than %d JSON values", what, MAX_VALUES);
	}
	return PHIZ_OK;
}

static enum phiz_status fail_json(struct phiz_ctx *ctx, const char *what, const json_error_t *error)
{
	char reason[PHIZ_SHOWN], *p;

	if (json_error_code(error) == json_error_out_of_memory)
		return phiz_fail(ctx, PHIZ_E_NOMEM, "%s: out of memory while reading JSON", what);
	if (json_error_code(error) == json_error_duplicate_key)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not valid JSON: duplicate key before byte %d", what, error->position);
	/* jansson quotes the text it stumbled over, whatever bytes those are. */
	for (p = phiz_shown(error->text, strlen(error->text), reason); *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not valid JSON: %s (byte %d)", what, reason, error->position);
}

enum phiz_status phiz_json_parse_big(struct phiz_ctx *ctx, const char *text, size_t size, const char *what,
                                     json_t **out, bool *rounded)
{
	enum phiz_status status;
	json_error_t error;

	*out = NULL;
	*rounded = false;
	status = check_bounds(ctx, text, size, what);
	if (status)
		return status;
	memset(&error, 0, sizeof(error));
	*out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!*out && json_error_code(&error) == json_error_numeric_overflow) {
		*rounded = true;
		*out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
	}
	return *out ? PHIZ_OK : fail_json(ctx, what, &error);
}

enum phiz_status phiz_json_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *what, json_t **out)
{
	enum phiz_status status;
	bool rounded;

	status = phiz_json_parse_big(ctx, text, size, what, out, &rounded);
	if (status || !rounded)
		return status;
	json_decref(*out);
	*out = NULL;
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: a whole number is out of range", what);
}

bool phiz_json_int(const json_t *value, int64_t min, int64_t max, int64_t *out)
{
	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return *out >= min && *out <= max;
}

bool phiz_json_real(const json_t *value, double *out)
{
	if (!json_is_number(value))
		return false;
	*out = json_number_value(value);
	return isfinite(*out);
}

/* printf follows the locale, which in some lands writes 0,5. */
static void add_with_point(struct phiz_bytes *out, const char *text)
{
	char plain[64];
	size_t i, n = 0;

	for (i = 0; text[i] && n < sizeof(plain); i++) {
		if (strchr("0123456789+-eE", text[i]))
			plain[n++] = text[i];
		else if (n > 0 && plain[n - 1] != '.')
			plain[n++] = '.';
	}
	phiz_bytes_add(out, plain, n);
}

void phiz_json_add_real(struct phiz_bytes *out, double v)
{
	char text[64];
	int digits;

	if (!isfinite(v)) {
		phiz_bytes_text(out, "null");
		return;
	}
	for (digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	add_with_point(out, text);
}

void phiz_json_add_float(struct phiz_bytes *out, float v)
{
	char text[64];
	int digits;

	if (!isfinite(v)) {
		phiz_bytes_text(out, "null");
		return;
	}
	for (digits = 1; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, (double)v);
		if ((float)strtod(text, NULL) == v)
			break;
	}
	add_with_point(out, text);
}
