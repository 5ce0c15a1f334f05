/* Strict .cfg text: [section] lines, key = value lines, comments from # or ; (at the start of a line or of a value, or
 * after white space) to the end of the line. Names are of letters, digits, '_', '-' and '.'; a value is the rest of the
 * line, trimmed, and may be empty. CRLF and a UTF-8 byte order mark are taken. */
#ifndef PHIZ_IO_CFG_H
#define PHIZ_IO_CFG_H

#include <phiz/ctx.h>

struct phiz_cfg_line {
	char *section, *key, *value;
	int section_index; /* counts sections from 0: a network file has many of the same name */
	int line;
};

struct phiz_cfg {
	char *name; /* of the file, for messages */
	struct phiz_cfg_line *line;
	size_t count, capacity;
	int n_sections;
	/* Sections in order, also empty ones. */
	struct { char *name; int line; } *section;
	size_t section_capacity;
};

/* Errors, all FORMAT with "NAME:LINE: ": a key before the first section, a line that is neither, a duplicate key in a
 * section, (unless repeat_sections) a section that comes twice, a line over 4096 bytes, a NUL byte or another
 * control character, bad UTF-8. LIMIT: over 1 MiB, 65536 lines, 8192 sections, or 1024 keys
 * in a section. On failure *out is empty. */
enum phiz_status phiz_cfg_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                int repeat_sections, struct phiz_cfg *out);
void phiz_cfg_free(struct phiz_ctx *ctx, struct phiz_cfg *cfg);

#endif
