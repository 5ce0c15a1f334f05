#include "core/base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/ctx.h"
#include "core/base/error.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool equal_words(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b))
		a++, b++;
	return lower(*a) == lower(*b);
}

/* Digits with a sign into *out; false if it is anything else or does not fit. */
static bool read_i64(const char *text, int64_t *out)
{
	bool negative = *text == '-';
	uint64_t magnitude = 0, most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	text += *text == '-' || *text == '+';
	if (!is_digit(*text))
		return false;
	for (; is_digit(*text); text++) {
		uint64_t digit = (uint64_t)(*text - '0');
		if (magnitude > (most - digit) / 10)
			return false;
		magnitude = magnitude * 10 + digit;
	}
	if (*text)
		return false;
	if (!negative)
		*out = (int64_t)magnitude;
	else
		*out = magnitude ? -(int64_t)(magnitude - 1) - 1 : 0;
	return true;
}

enum phiz_status phiz_parse_i64(struct phiz_ctx *ctx, const char *text, int64_t min, int64_t max, int64_t *out)
{
	int64_t value;
	if (!read_i64(text, &value) || value < min || value > max)
		return phiz_fail(ctx, PHIZ_E_ARG, "want a whole number from %" PRId64 " to %" PRId64 ", got '%.64s'", min, max,
		                 text);
	*out = value;
	return PHIZ_OK;
}

/* Is text a decimal number, [+-] digits [. digits] [e [+-] digits]? strtod alone takes white space, hex, nan, inf. */
static bool is_decimal(const char *text)
{
	int digits = 0;
	text += *text == '-' || *text == '+';
	for (; is_digit(*text); text++)
		digits = 1;
	if (*text == '.')
		for (text++; is_digit(*text); text++)
			digits = 1;
	if (!digits)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (!is_digit(*text))
			return false;
		while (is_digit(*text))
			text++;
	}
	return *text == 0;
}

enum phiz_status phiz_parse_f64(struct phiz_ctx *ctx, const char *text, double min, double max, double *out)
{
	double value = NAN;
	if (is_decimal(text)) {
		locale_t before = uselocale(ctx->shared->c_locale);
		value = strtod(text, NULL); /* to the last bit; infinite where it is too large */
		uselocale(before);
	}
	if (!isfinite(value) || value < min || value > max) {
		if (min <= -HUGE_VAL && max >= HUGE_VAL)
			return phiz_fail(ctx, PHIZ_E_ARG, "want a number, got '%.64s'", text);
		if (max >= 1e300)
			return phiz_fail(ctx, PHIZ_E_ARG, "want a number of %g or more, got '%.64s'", min, text);
		return phiz_fail(ctx, PHIZ_E_ARG, "want a number from %g to %g, got '%.64s'", min, max, text);
	}
	*out = value;
	return PHIZ_OK;
}

/* 64 characters hold any size in them; what is longer is none. */
enum phiz_status phiz_parse_bytes(struct phiz_ctx *ctx, const char *text, size_t *out)
{
	static const char units[] = "kmg";
	char number[64];
	size_t n = strlen(text);
	double scale = 1, value = 0;
	const char *unit = n > 1 ? strchr(units, lower(text[n - 1])) : NULL;
	if (unit) {
		scale = ldexp(1, 10 * (int)(unit - units + 1));
		n--;
	}
	bool good = n > 0 && n < sizeof number && is_digit(*text) && strcspn(text, "eE") >= n;
	if (good) {
		memcpy(number, text, n);
		number[n] = 0;
		good = is_decimal(number);
	}
	if (good) {
		locale_t before = uselocale(ctx->shared->c_locale);
		value = floor(strtod(number, NULL) * scale);
		uselocale(before);
	}
	if (!good || !(value >= 1 && value <= ldexp(1, 43)) || value > (double)SIZE_MAX)
		return phiz_fail(ctx, PHIZ_E_ARG, "want a size such as 512M or 1.5G (1 byte to 8192G), got '%.64s'", text);
	*out = (size_t)value;
	return PHIZ_OK;
}

enum phiz_status phiz_parse_bool(struct phiz_ctx *ctx, const char *text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
	for (int i = 0; i < 4; i++) {
		if (equal_words(text, yes[i]) || equal_words(text, no[i])) {
			*out = equal_words(text, yes[i]);
			return PHIZ_OK;
		}
	}
	return phiz_fail(ctx, PHIZ_E_ARG, "want true or false (yes/no, on/off, 1/0), got '%.64s'", text);
}

#define LONGEST_WORD 63

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours that lead from a to b (optimal string alignment), without
 * regard to case. Both are at most LONGEST_WORD long. */
static int edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
	int row[3][LONGEST_WORD + 1], *before = row[0], *above = row[1], *now = row[2];
	for (size_t j = 0; j <= nb; j++)
		above[j] = (int)j;
	for (size_t i = 1; i <= na; i++) {
		now[0] = (int)i;
		for (size_t j = 1; j <= nb; j++) {
			int change = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
			now[j] = least(change, least(above[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				now[j] = least(now[j], before[j - 2] + 1);
		}
		int *spare = before;
		before = above;
		above = now;
		now = spare;
	}
	return above[nb];
}

/* How many edits two words of this length may be apart and still be the same word misspelt. */
static int near_enough(size_t longer)
{
	return longer <= 2 ? 0 : longer <= 5 ? 1 : (int)longer / 3;
}

const char *phiz_suggest(const char *word, const char *const *list, size_t count)
{
	const char *best = NULL;
	int best_distance = LONGEST_WORD + 1;
	size_t n = strlen(word);
	if (n > LONGEST_WORD)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t length = list[i] ? strlen(list[i]) : 0;
		if (length == 0 || length > LONGEST_WORD)
			continue;
		int distance = edit_distance(word, n, list[i], length);
		if (distance <= near_enough(n > length ? n : length) && distance < best_distance) {
			best = list[i];
			best_distance = distance;
		}
	}
	return best;
}

size_t phiz_utf8_next(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;
	uint32_t code, smallest;
	if (size == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2, code = s[0] & 0x1fu, smallest = 0x80;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3, code = s[0] & 0x0fu, smallest = 0x800;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4, code = s[0] & 0x07u, smallest = 0x10000;
	else
		return 0;
	if (n > size)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

bool phiz_utf8_valid(const char *text, size_t size)
{
	while (size) {
		size_t n = phiz_utf8_next(text, size);
		if (n == 0)
			return false;
		text += n;
		size -= n;
	}
	return true;
}
