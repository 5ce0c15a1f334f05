/* The strict .cfg reader.
 *
 * Why not inih: its line buffer is fixed when the library is built (200 bytes in Debian) and a longer line is cut
 * without a word; it hands the callback no line number; a section without keys is not reported and two neighbours of
 * one name melt into one, which a network file cannot bear; section names end at 50 bytes; indented lines continue the
 * value above; and its switches are process-wide variables. Whatever would make lines safe for it has already parsed
 * them. */
#include "core/io/cfg.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"

#define MAX_LINE 4096
#define MAX_TEXT (1 << 20)
#define MAX_LINES 65536
#define MAX_SECTIONS 8192
#define MAX_KEYS 1024 /* of one section: the search for duplicates is linear */
#define MAX_SHOWN 60

/* A piece of the text, not terminated. */
struct span {
	const char *text;
	size_t size;
};

struct parser {
	struct phiz_ctx *ctx;
	struct phiz_cfg *cfg;
	int repeat_sections;
	int line;
	size_t section_first; /* the first entry of cfg->line that belongs to the section being read */
};

static int is_space(char c)
{
	return c == ' ' || c == '\t';
}

static int is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.';
}

static struct span trim(struct span s)
{
	while (s.size > 0 && is_space(s.text[0])) {
		s.text++;
		s.size--;
	}
	while (s.size > 0 && is_space(s.text[s.size - 1]))
		s.size--;
	return s;
}

/* A comment begins at the start of the line or after white space, so that a value may hold '#' and ';' inside. */
static struct span without_comment(struct span s)
{
	size_t i;

	for (i = 0; i < s.size; i++)
		if ((s.text[i] == '#' || s.text[i] == ';') && (i == 0 || is_space(s.text[i - 1])))
			s.size = i;
	return s;
}

static int span_is(struct span s, const char *text)
{
	return strlen(text) == s.size && memcmp(text, s.text, s.size) == 0;
}

/* How much of s a message shows: not all of a long line, and no half of a character. */
static int shown(struct span s)
{
	int n = MAX_SHOWN;

	if (s.size <= MAX_SHOWN)
		return (int)s.size;
	while (n > 0 && ((unsigned char)s.text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static enum phiz_status check_name(struct parser *p, struct span s, const char *what)
{
	size_t i;

	if (s.size == 0)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: %s has no name", p->cfg->name, p->line, what);
	for (i = 0; i < s.size; i++)
		if (!is_name(s.text[i]))
			return phiz_fail(p->ctx, PHIZ_E_FORMAT,
			                 "%s:%d: '%.*s' cannot be the name of %s: want letters, digits, '_', '-', '.'",
			                 p->cfg->name, p->line, shown(s), s.text, what);
	return PHIZ_OK;
}

static enum phiz_status add_section(struct parser *p, struct span name)
{
	struct phiz_cfg *cfg = p->cfg;
	enum phiz_status status;
	int i;

	status = check_name(p, name, "a section");
	if (status)
		return status;
	if (cfg->n_sections >= MAX_SECTIONS)
		return phiz_fail(p->ctx, PHIZ_E_LIMIT, "%s:%d: more than %d sections", cfg->name, p->line, MAX_SECTIONS);
	for (i = 0; !p->repeat_sections && i < cfg->n_sections; i++)
		if (span_is(name, cfg->section[i].name))
			return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: section [%s] comes twice, first in line %d: join them",
			                 cfg->name, p->line, cfg->section[i].name, cfg->section[i].line);
	status = phiz_grow(p->ctx, &cfg->section, &cfg->section_capacity, (size_t)cfg->n_sections + 1,
	                   sizeof(*cfg->section));
	if (status)
		return status;
	cfg->section[cfg->n_sections].name = phiz_strndup(p->ctx, name.text, name.size);
	if (!cfg->section[cfg->n_sections].name)
		return PHIZ_E_NOMEM;
	cfg->section[cfg->n_sections].line = p->line;
	cfg->n_sections++;
	p->section_first = cfg->count;
	return PHIZ_OK;
}

static enum phiz_status parse_section(struct parser *p, struct span line)
{
	struct span name;

	if (line.text[line.size - 1] != ']')
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: a section wants [name], got '%.*s'", p->cfg->name, p->line,
		                 shown(line), line.text);
	name.text = line.text + 1;
	name.size = line.size - 2;
	return add_section(p, trim(name));
}

static enum phiz_status check_key(struct parser *p, struct span key)
{
	const struct phiz_cfg *cfg = p->cfg;
	enum phiz_status status;
	size_t i;

	status = check_name(p, key, "a key");
	if (status)
		return status;
	if (cfg->n_sections == 0)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: key '%.*s' stands before the first [section]", cfg->name,
		                 p->line, shown(key), key.text);
	if (cfg->count - p->section_first >= MAX_KEYS)
		return phiz_fail(p->ctx, PHIZ_E_LIMIT, "%s:%d: more than %d keys in a section", cfg->name, p->line, MAX_KEYS);
	for (i = p->section_first; i < cfg->count; i++)
		if (span_is(key, cfg->line[i].key))
			return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: key '%s' comes twice in [%s], first in line %d", cfg->name,
			                 p->line, cfg->line[i].key, cfg->line[i].section, cfg->line[i].line);
	return PHIZ_OK;
}

static enum phiz_status add_key(struct parser *p, struct span key, struct span value)
{
	struct phiz_cfg *cfg = p->cfg;
	struct phiz_cfg_line *entry;
	enum phiz_status status;

	status = check_key(p, key);
	if (status)
		return status;
	status = phiz_grow(p->ctx, &cfg->line, &cfg->capacity, cfg->count + 1, sizeof(*cfg->line));
	if (status)
		return status;
	entry = &cfg->line[cfg->count++];
	entry->line = p->line;
	entry->section_index = cfg->n_sections - 1;
	entry->section = phiz_strdup(p->ctx, cfg->section[cfg->n_sections - 1].name);
	entry->key = phiz_strndup(p->ctx, key.text, key.size);
	entry->value = phiz_strndup(p->ctx, value.text, value.size);
	return entry->section && entry->key && entry->value ? PHIZ_OK : PHIZ_E_NOMEM;
}

static enum phiz_status parse_key(struct parser *p, struct span line)
{
	const char *equals = memchr(line.text, '=', line.size);
	struct span key, value;

	if (!equals)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: neither [section] nor key = value: '%.*s'", p->cfg->name,
		                 p->line, shown(line), line.text);
	key.text = line.text;
	key.size = (size_t)(equals - line.text);
	value.text = equals + 1;
	value.size = line.size - key.size - 1;
	if (value.size > 0 && (value.text[0] == '#' || value.text[0] == ';')) /* a comment behind "key =" */
		value.size = 0;
	return add_key(p, trim(key), trim(value));
}

static enum phiz_status check_bytes(struct parser *p, struct span line)
{
	size_t i;

	if (line.size > MAX_LINE)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: the line has %zu bytes, more than %d", p->cfg->name, p->line,
		                 line.size, MAX_LINE);
	for (i = 0; i < line.size; i++) {
		unsigned char c = (unsigned char)line.text[i];

		if (c == 0)
			return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: a NUL byte: not a text file", p->cfg->name, p->line);
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: control character 0x%02x", p->cfg->name, p->line, c);
	}
	if (!phiz_utf8_valid(line.text, line.size))
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: not valid UTF-8", p->cfg->name, p->line);
	return PHIZ_OK;
}

static enum phiz_status parse_line(struct parser *p, struct span line)
{
	enum phiz_status status;

	if (line.size > 0 && line.text[line.size - 1] == '\r')
		line.size--;
	status = check_bytes(p, line);
	if (status)
		return status;
	line = trim(without_comment(line));
	if (line.size == 0)
		return PHIZ_OK;
	return line.text[0] == '[' ? parse_section(p, line) : parse_key(p, line);
}

static struct span skip_byte_order_mark(struct span s)
{
	if (s.size >= 3 && memcmp(s.text, "\xef\xbb\xbf", 3) == 0) {
		s.text += 3;
		s.size -= 3;
	}
	return s;
}

static enum phiz_status parse_text(struct parser *p, struct span rest)
{
	enum phiz_status status;

	rest = skip_byte_order_mark(rest);
	while (rest.size > 0) {
		const char *end = memchr(rest.text, '\n', rest.size);
		struct span line = rest;

		if (end)
			line.size = (size_t)(end - rest.text);
		if (++p->line > MAX_LINES)
			return phiz_fail(p->ctx, PHIZ_E_LIMIT, "%s: more than %d lines", p->cfg->name, MAX_LINES);
		status = parse_line(p, line);
		if (status)
			return status;
		rest.text += line.size + (end != NULL);
		rest.size -= line.size + (end != NULL);
	}
	return PHIZ_OK;
}

enum phiz_status phiz_cfg_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                int repeat_sections, struct phiz_cfg *out)
{
	struct parser p = {ctx, out, repeat_sections, 0, 0};
	struct span all = {text, size};
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	if (size > MAX_TEXT)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: %zu bytes of settings, more than %d", name, size, MAX_TEXT);
	out->name = phiz_strdup(ctx, name);
	status = out->name ? parse_text(&p, all) : PHIZ_E_NOMEM;
	if (status)
		phiz_cfg_free(ctx, out);
	return status;
}

void phiz_cfg_free(struct phiz_ctx *ctx, struct phiz_cfg *cfg)
{
	size_t i;
	int s;

	if (!cfg)
		return;
	for (i = 0; i < cfg->count; i++) {
		phiz_free(ctx, cfg->line[i].section);
		phiz_free(ctx, cfg->line[i].key);
		phiz_free(ctx, cfg->line[i].value);
	}
	for (s = 0; s < cfg->n_sections; s++)
		phiz_free(ctx, cfg->section[s].name);
	phiz_free(ctx, cfg->line);
	phiz_free(ctx, cfg->section);
	phiz_free(ctx, cfg->name);
	memset(cfg, 0, sizeof(*cfg));
}
