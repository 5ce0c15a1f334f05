#include "core/base/bytes.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/ctx.h"
#include "core/base/error.h"
#include "core/base/parse.h"

void phiz_bytes_init(struct phiz_bytes *b, struct phiz_ctx *ctx)
{
	memset(b, 0, sizeof(*b));
	b->ctx = ctx;
}

void phiz_bytes_free(struct phiz_bytes *b)
{
	if (b->data)
		phiz_free(b->ctx, b->data);
	phiz_bytes_init(b, b->ctx);
}

void phiz_bytes_clear(struct phiz_bytes *b)
{
	b->size = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = 0;
}

/* Room for `more` bytes and the NUL behind them. */
static bool make_room(struct phiz_bytes *b, size_t more)
{
	size_t need;
	if (b->failed)
		return false;
	if (!phiz_size_add(b->size, more, &need) || !phiz_size_add(need, 1, &need)) {
		phiz_fail(b->ctx, PHIZ_E_NOMEM, "out of memory: a text would be larger than can be addressed");
		b->failed = 1;
	} else if (phiz_grow(b->ctx, &b->data, &b->capacity, need, 1)) {
		b->failed = 1;
	}
	return !b->failed;
}

enum phiz_status phiz_bytes_reserve(struct phiz_bytes *b, size_t size)
{
	if (make_room(b, size > b->size ? size - b->size : 0))
		b->data[b->size] = 0;
	return phiz_bytes_status(b);
}

void phiz_bytes_add(struct phiz_bytes *b, const void *data, size_t size)
{
	if (!make_room(b, size))
		return;
	if (size)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = 0;
}

void phiz_bytes_text(struct phiz_bytes *b, const char *text)
{
	phiz_bytes_add(b, text, strlen(text));
}

void phiz_bytes_printf(struct phiz_bytes *b, const char *fmt, ...)
{
	char small[256];
	va_list args;
	va_start(args, fmt);
	int length = phiz_vformat(b->ctx, small, sizeof(small), fmt, args);
	va_end(args);
	if (length < 0) {
		phiz_fail(b->ctx, PHIZ_E_INTERNAL, "cannot format a text");
		b->failed = 1;
		return;
	}
	if ((size_t)length < sizeof(small)) {
		phiz_bytes_add(b, small, (size_t)length);
		return;
	}
	if (!make_room(b, (size_t)length))
		return;
	va_start(args, fmt);
	phiz_vformat(b->ctx, b->data + b->size, (size_t)length + 1, fmt, args);
	va_end(args);
	b->size += (size_t)length;
}

void phiz_bytes_u8(struct phiz_bytes *b, unsigned v)
{
	unsigned char byte = (unsigned char)v;
	phiz_bytes_add(b, &byte, 1);
}

void phiz_bytes_u32le(struct phiz_bytes *b, uint32_t v)
{
	unsigned char bytes[4];
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(v >> (8 * i));
	phiz_bytes_add(b, bytes, sizeof(bytes));
}

void phiz_bytes_u64le(struct phiz_bytes *b, uint64_t v)
{
	unsigned char bytes[8];
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(v >> (8 * i));
	phiz_bytes_add(b, bytes, sizeof(bytes));
}

/* A character's escape; NULL: it stands as it is. room is for escapes that are made. */
typedef const char *(*escape_fn)(unsigned char c, char room[8]);

static const char *escape_json(unsigned char c, char room[8])
{
	static const char hex[] = "0123456789abcdef";
	switch (c) {
	case '"': return "\\\"";
	case '\\': return "\\\\";
	case '\b': return "\\b";
	case '\f': return "\\f";
	case '\n': return "\\n";
	case '\r': return "\\r";
	case '\t': return "\\t";
	default: break;
	}
	if (c >= 0x20 && c != '<' && c != 0x7f) /* no "</script>" where JSON stands in HTML */
		return NULL;
	memcpy(room, "\\u00", 4);
	room[4] = hex[c >> 4];
	room[5] = hex[c & 15];
	room[6] = 0;
	return room;
}

static const char *escape_html(unsigned char c, char room[8])
{
	(void)room;
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: break;
	}
	/* HTML has no way to say the other control characters. */
	return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? "\xef\xbf\xbd" : NULL;
}

/* Runs that stand as they are go in one piece. */
static void add_escaped(struct phiz_bytes *b, const char *text, escape_fn escape)
{
	size_t left = strlen(text), n;
	const char *run = text, *insert;
	char room[8];
	for (const char *p = text; left; p += n, left -= n) {
		n = phiz_utf8_next(p, left);
		insert = n == 0 ? "\xef\xbf\xbd" : n == 1 ? escape((unsigned char)*p, room) : NULL;
		if (n == 0)
			n = 1;
		if (!insert)
			continue;
		phiz_bytes_add(b, run, (size_t)(p - run));
		phiz_bytes_text(b, insert);
		run = p + n;
	}
	phiz_bytes_text(b, run);
}

void phiz_bytes_json(struct phiz_bytes *b, const char *text)
{
	phiz_bytes_u8(b, '"');
	add_escaped(b, text, escape_json);
	phiz_bytes_u8(b, '"');
}

void phiz_bytes_html(struct phiz_bytes *b, const char *text)
{
	add_escaped(b, text, escape_html);
}

void phiz_bytes_csv(struct phiz_bytes *b, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		phiz_bytes_text(b, text);
		return;
	}
	phiz_bytes_u8(b, '"');
	for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
		phiz_bytes_add(b, text, (size_t)(quote - text) + 1);
		phiz_bytes_u8(b, '"');
	}
	phiz_bytes_text(b, text);
	phiz_bytes_u8(b, '"');
}

void phiz_bytes_base64(struct phiz_bytes *b, const void *data, size_t size)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	size_t groups = size / 3 + (size % 3 != 0), out;
	if (!phiz_size_mul(groups, 4, &out))
		out = SIZE_MAX;
	if (!make_room(b, out))
		return;
	for (char *to = b->data + b->size; size; to += 4) {
		uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)(size > 1 ? p[1] : 0) << 8 | (size > 2 ? p[2] : 0);
		to[0] = digit[v >> 18];
		to[1] = digit[v >> 12 & 63];
		to[2] = size > 1 ? digit[v >> 6 & 63] : '=';
		to[3] = size > 2 ? digit[v & 63] : '=';
		p += 3;
		size -= size < 3 ? size : 3;
	}
	b->size += out;
	b->data[b->size] = 0;
}

enum phiz_status phiz_bytes_status(const struct phiz_bytes *b)
{
	return b->failed ? PHIZ_E_NOMEM : PHIZ_OK;
}
