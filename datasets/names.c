#include "datasets/names.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "core/base/parse.h"

/* The character at text, whose length is *n; invalid bytes are U+FFFD of length 1. At the end: 0. */
static unsigned next_character(const char *text, size_t *n)
{
	const unsigned char *t = (const unsigned char *)text;
	unsigned c;

	*n = *text ? phiz_utf8_next(text, strlen(text)) : 0;
	if (!*text)
		return 0;
	if (*n == 0) {
		*n = 1;
		return 0xfffd;
	}
	c = *n == 1 ? t[0] : t[0] & (0x7fu >> *n);
	for (size_t i = 1; i < *n; i++)
		c = c << 6 | (t[i] & 0x3fu);
	return c;
}

static bool is_blank(unsigned c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_control(unsigned c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* CON, CON.jpg, com1.tar.gz. */
static bool is_device(const char *name)
{
	static const char *const device[] = {"CON", "PRN", "AUX", "NUL", "COM", "LPT"};
	size_t n = strcspn(name, ".");

	for (int i = 0; i < 6; i++)
		if (strncasecmp(name, device[i], 3) == 0)
			return i < 4 ? n == 3 : n == 4 && name[3] >= '1' && name[3] <= '9';
	return false;
}

unsigned phiz_name_oddities(const char *name)
{
	size_t length = strlen(name), n;
	unsigned found = 0, last = 0;

	if (!phiz_utf8_valid(name, length))
		found |= PHIZ_NAME_NOT_UTF8;
	for (const char *t = name; *t; t += n) {
		unsigned c = next_character(t, &n);

		if (is_control(c))
			found |= PHIZ_NAME_CONTROL;
		if (t == name && is_blank(c))
			found |= PHIZ_NAME_BLANK;
		if (c < 0x80 && strchr("<>:\"\\|?*", (int)c))
			found |= PHIZ_NAME_RESERVED;
		last = c;
	}
	if (is_blank(last))
		found |= PHIZ_NAME_BLANK;
	if (last == '.' || is_device(name))
		found |= PHIZ_NAME_RESERVED;
	if (length > PHIZ_NAME_MAX)
		found |= PHIZ_NAME_LONG;
	return found;
}

static unsigned fold(unsigned c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
	    (c >= 0x410 && c <= 0x42f))
		return c + 0x20;
	if (c >= 0x400 && c <= 0x40f)
		return c + 0x50;
	if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14a && c <= 0x177))
		return c | 1;
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
		return c + (c & 1);
	return c;
}

int phiz_name_compare_folded(const char *a, const char *b)
{
	for (;;) {
		size_t n, m;
		unsigned x = fold(next_character(a, &n)), y = fold(next_character(b, &m));

		if (x != y)
			return x < y ? -1 : 1;
		if (n == 0 || m == 0)
			return (n > 0) - (m > 0);
		if (x == 0xfffd && *a != *b) /* bytes that are no UTF-8 are themselves */
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		a += n;
		b += m;
	}
}

void phiz_name_describe(unsigned oddities, const char *name, struct phiz_bytes *out)
{
	size_t start = out->size;

	for (unsigned flag = 1; flag <= PHIZ_NAME_CASE; flag <<= 1) {
		if (!(oddities & flag))
			continue;
		if (out->size > start)
			phiz_bytes_text(out, "; ");
		if (flag == PHIZ_NAME_LONG)
			phiz_bytes_printf(out, "is %zu bytes long (limit %d)", strlen(name), PHIZ_NAME_MAX);
		else
			phiz_bytes_text(out, flag == PHIZ_NAME_NOT_UTF8   ? "is not UTF-8"
			                     : flag == PHIZ_NAME_CONTROL  ? "holds a control character"
			                     : flag == PHIZ_NAME_BLANK    ? "begins or ends with a blank"
			                     : flag == PHIZ_NAME_RESERVED ? "is one that Windows and exFAT refuse"
			                                                  : "differs from another one in nothing but case");
	}
}

void phiz_name_show(const char *name, struct phiz_bytes *out)
{
	size_t n;

	for (; *name; name += n) {
		unsigned c = next_character(name, &n);

		if (is_control(c) || (c == 0xfffd && n == 1))
			for (size_t i = 0; i < n; i++)
				phiz_bytes_printf(out, "\\x%02x", (unsigned)(unsigned char)name[i]);
		else
			phiz_bytes_add(out, name, n);
	}
}

void phiz_name_escape(const char *name, struct phiz_bytes *out)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c > ' ' && c < 0x7f && c != '%')
			phiz_bytes_u8(out, c);
		else
			phiz_bytes_printf(out, "%%%02X", (unsigned)c);
	}
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

_Bool phiz_name_unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text != '%') {
			if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
				return false;
			*to++ = *text;
			continue;
		}
		int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
		if (low < 0 || high * 16 + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		text += 2;
	}
	*to = '\0';
	return true;
}
