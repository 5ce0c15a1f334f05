/* A growing byte string: for building JSON, HTML, text and binary files in memory. */
#ifndef PHIZ_BASE_BYTES_H
#define PHIZ_BASE_BYTES_H

#include <phiz/ctx.h>

/* Zero-initialise ({0}) before use. data is always followed by a NUL that size does not count. After a failed
 * append `failed` is set and further appends do nothing, so that a writer may check once at the end. */
struct phiz_bytes {
	struct phiz_ctx *ctx;
	char *data;
	size_t size, capacity;
	int failed;
};

void phiz_bytes_init(struct phiz_bytes *b, struct phiz_ctx *ctx);
void phiz_bytes_free(struct phiz_bytes *b);
void phiz_bytes_clear(struct phiz_bytes *b);
/* Makes room for `size` bytes in all, so that appends up to there cannot fail. */
enum phiz_status phiz_bytes_reserve(struct phiz_bytes *b, size_t size);
void phiz_bytes_add(struct phiz_bytes *b, const void *data, size_t size);
void phiz_bytes_text(struct phiz_bytes *b, const char *text);
/* Numbers are written with '.' whatever the locale. */
void phiz_bytes_printf(struct phiz_bytes *b, const char *fmt, ...) PHIZ_PRINTF(2, 3);
void phiz_bytes_u8(struct phiz_bytes *b, unsigned v);
void phiz_bytes_u32le(struct phiz_bytes *b, uint32_t v);
void phiz_bytes_u64le(struct phiz_bytes *b, uint64_t v);
/* text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD, and '<' is escaped, so that it may stand in a
 * <script> of HTML. */
void phiz_bytes_json(struct phiz_bytes *b, const char *text);
/* text with &, <, >, " and ' escaped for HTML. */
void phiz_bytes_html(struct phiz_bytes *b, const char *text);
/* One CSV field, quoted where RFC 4180 needs it; no separator. */
void phiz_bytes_csv(struct phiz_bytes *b, const char *text);
/* data in base64. */
void phiz_bytes_base64(struct phiz_bytes *b, const void *data, size_t size);
/* PHIZ_OK, or NOMEM if an append failed. */
enum phiz_status phiz_bytes_status(const struct phiz_bytes *b);

#endif
