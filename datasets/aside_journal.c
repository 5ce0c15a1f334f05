/* The journal of what was put aside: a line "move WHY FROM TO" for each, names as phiz_name_escape writes them. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/aside.h"
#include "datasets/names.h"

static const char head[] = "phiz aside 1\n";

enum phiz_status phiz_aside_add(struct phiz_ctx *ctx, struct phiz_aside_moves *moves, const char *from, const char *why)
{
	struct phiz_aside_move m = {NULL, NULL, NULL};

	if (phiz_grow(ctx, &moves->move, &moves->capacity, moves->count + 1, sizeof(*moves->move)))
		return PHIZ_E_NOMEM;
	m.from = phiz_strdup(ctx, from);
	m.why = m.from ? phiz_strdup(ctx, why) : NULL;
	if (!m.why) {
		phiz_free(ctx, m.from);
		return PHIZ_E_NOMEM;
	}
	moves->move[moves->count++] = m;
	return PHIZ_OK;
}

void phiz_aside_moves_free(struct phiz_ctx *ctx, struct phiz_aside_moves *moves)
{
	for (size_t i = 0; i < moves->count; i++) {
		phiz_free(ctx, moves->move[i].from);
		phiz_free(ctx, moves->move[i].to);
		phiz_free(ctx, moves->move[i].why);
	}
	phiz_free(ctx, moves->move);
	memset(moves, 0, sizeof(*moves));
}

void phiz_aside_format(const struct phiz_aside_moves *moves, struct phiz_bytes *out)
{
	phiz_bytes_text(out, head);
	for (size_t i = 0; i < moves->count; i++) {
		phiz_bytes_text(out, "move ");
		phiz_name_escape(moves->move[i].why, out);
		phiz_bytes_text(out, " ");
		phiz_name_escape(moves->move[i].from, out);
		phiz_bytes_text(out, " ");
		phiz_name_escape(moves->move[i].to, out);
		phiz_bytes_text(out, "\n");
	}
}

/* Relative, and inside of its folder? */
static bool is_inside(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

/* Cuts the next word off, which ends with `end`. NULL: it does not, or is no escaped name. */
static char *take_word(char **line, char end)
{
	char *word = *line, *stop = strchr(word, end);

	if (!stop || stop == word)
		return NULL;
	*stop = '\0';
	*line = stop + 1;
	return phiz_name_unescape(word) ? word : NULL;
}

static enum phiz_status parse_line(struct phiz_ctx *ctx, char **line, const char *name, int number,
                                   struct phiz_aside_moves *out)
{
	char *why = NULL, *from = NULL, *to = NULL;

	if (strncmp(*line, "move ", 5) == 0) {
		*line += 5;
		why = take_word(line, ' ');
		from = why ? take_word(line, ' ') : NULL;
		to = from ? take_word(line, '\n') : NULL;
	}
	if (!to || !is_inside(from) || !is_inside(to))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:%d: damaged: want 'move REASON FROM TO', paths inside of their "
		                 "folders", name, number);
	enum phiz_status status = phiz_aside_add(ctx, out, from, why);
	if (!status) {
		out->move[out->count - 1].to = phiz_strdup(ctx, to);
		status = out->move[out->count - 1].to ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	return status;
}

enum phiz_status phiz_aside_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_aside_moves *out)
{
	enum phiz_status status = PHIZ_OK;
	char *copy, *line;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(head) - 1 || memcmp(text, head, sizeof(head) - 1) != 0 || memchr(text, '\0', size))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:1: is no journal of photos that were put aside (want '%.*s')", name,
		                 (int)sizeof(head) - 2, head);
	copy = phiz_strndup(ctx, text, size);
	if (!copy)
		return PHIZ_E_NOMEM;
	line = copy + sizeof(head) - 1;
	for (int number = 2; !status && *line; number++)
		status = parse_line(ctx, &line, name, number, out);
	phiz_free(ctx, copy);
	if (status)
		phiz_aside_moves_free(ctx, out);
	return status;
}
