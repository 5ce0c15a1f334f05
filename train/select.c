#include "train/select.h"

#include <ctype.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"

static bool is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t';
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || c == '*';
}

/* Takes the numbers behind the prefix; text is "" or begins with ':'. */
static enum phiz_status parse_values(struct phiz_ctx *ctx, const char *text, struct phiz_select_item *item)
{
	while (*text) {
		char number[64];
		const char *end = strchr(text + 1, ':');
		size_t length = end ? (size_t)(end - text - 1) : strlen(text + 1);

		if (item->n_values == 2)
			return phiz_fail(ctx, PHIZ_E_ARG, "'%s': more than two numbers behind a name", item->prefix);
		if (length >= sizeof number)
			return phiz_fail(ctx, PHIZ_E_ARG, "'%s': the number behind it is too long", item->prefix);
		memcpy(number, text + 1, length);
		number[length] = '\0';
		if (phiz_parse_f64(ctx, number, 0, 1e9, &item->value[item->n_values]))
			return phiz_fail_in(ctx, "'%s'", item->prefix);
		item->n_values++;
		text += 1 + length;
	}
	return PHIZ_OK;
}

static enum phiz_status parse_item(struct phiz_ctx *ctx, const char *text, size_t length, struct phiz_select_item *item)
{
	char *copy = phiz_strndup(ctx, text, length);
	enum phiz_status status = PHIZ_OK;
	size_t n = 0;
	const char *name;

	if (!copy)
		return PHIZ_E_NOMEM;
	item->except = copy[0] == '!';
	name = copy + item->except;
	while (is_name_char(name[n]))
		n++;
	if (n == 0 || (name[n] != '\0' && name[n] != ':')) {
		status = phiz_fail(ctx, PHIZ_E_ARG, "want names with commas between, such as layer4, fc; got '%s'", copy);
		goto done;
	}
	item->prefix = phiz_strndup(ctx, name, n);
	if (!item->prefix) {
		status = PHIZ_E_NOMEM;
		goto done;
	}
	if (n > 1 && item->prefix[n - 1] == '*')
		item->prefix[--n] = '\0';
	if (n > 1 && item->prefix[n - 1] == '.')
		item->prefix[--n] = '\0';
	if (strchr(item->prefix, '*'))
		status = phiz_fail(ctx, PHIZ_E_ARG, "'%s': a '*' may only stand at the end, as in layer4.*", copy);
	else
		status = parse_values(ctx, name + strcspn(name, ":"), item);
done:
	phiz_free(ctx, copy);
	return status;
}

enum phiz_status phiz_select_parse(struct phiz_ctx *ctx, const char *text, struct phiz_select *out)
{
	memset(out, 0, sizeof *out);
	if (strcmp(text, "none") == 0)
		return PHIZ_OK;
	while (*text) {
		size_t length = 0;
		enum phiz_status status;

		if (is_separator(*text)) {
			text++;
			continue;
		}
		while (text[length] && !is_separator(text[length]))
			length++;
		if (out->count == PHIZ_MAX_SELECT)
			return phiz_fail(ctx, PHIZ_E_LIMIT, "more than %d names in one list", PHIZ_MAX_SELECT);
		status = parse_item(ctx, text, length, &out->item[out->count++]);
		if (status)
			return status;
		text += length;
	}
	return PHIZ_OK;
}

void phiz_select_free(struct phiz_ctx *ctx, struct phiz_select *select)
{
	int i;

	for (i = 0; i < select->count; i++)
		phiz_free(ctx, select->item[i].prefix);
	memset(select, 0, sizeof *select);
}

bool phiz_name_under(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

static bool item_has(const struct phiz_select_item *item, const char *name, const char *head)
{
	if (strcmp(item->prefix, "all") == 0)
		return !head || !phiz_name_under(name, head);
	return phiz_name_under(name, item->prefix);
}

int phiz_select_last(const struct phiz_select *select, const char *name, const char *head)
{
	int i;

	for (i = select->count - 1; i >= 0; i--)
		if (item_has(&select->item[i], name, head))
			return i;
	return -1;
}

int phiz_select_longest(const struct phiz_select *select, const char *name)
{
	int i, best = -1;
	size_t length = 0;

	for (i = 0; i < select->count; i++) {
		const char *prefix = select->item[i].prefix;
		size_t n = strcmp(prefix, "all") == 0 ? 0 : strlen(prefix);

		if (item_has(&select->item[i], name, NULL) && (best < 0 || n >= length)) {
			best = i;
			length = n;
		}
	}
	return best;
}

/* "no tensor 'layr4'; did you mean 'layer4'?": compares with each name's parts up to every dot. */
static enum phiz_status unknown_name(struct phiz_ctx *ctx, const char *what, const char *prefix,
                                     const char *const *names, size_t count)
{
	const char **list = phiz_alloc(ctx, count, sizeof *list);
	char **copy = phiz_calloc(ctx, count, sizeof *copy);
	const char *near = NULL;
	enum phiz_status status;
	size_t i, n = 0, dots = 0;
	const char *p;

	if (list && copy) {
		for (p = prefix; *p; p++)
			dots += *p == '.';
		for (i = 0; i < count; i++) { /* each name cut to as many parts as the prefix has */
			size_t left = dots + 1, length = 0;

			while (names[i][length] && (names[i][length] != '.' || --left > 0))
				length++;
			copy[n] = phiz_strndup(ctx, names[i], length);
			if (copy[n])
				list[n] = copy[n], n++;
		}
		near = phiz_suggest(prefix, list, n);
	}
	if (near)
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no tensor of the network is called '%s' or lies under it; "
		                   "did you mean '%s'?", what, prefix, near);
	else
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no tensor of the network is called '%s' or lies under it; "
		                   "the first is '%s'", what, prefix, count ? names[0] : "");
	for (i = 0; copy && i < n; i++)
		phiz_free(ctx, copy[i]);
	phiz_free(ctx, copy);
	phiz_free(ctx, list);
	return status;
}

enum phiz_status phiz_select_check_names(struct phiz_ctx *ctx, const struct phiz_select *select, const char *what,
                                         const char *const *names, size_t count)
{
	int i;

	for (i = 0; i < select->count; i++) {
		size_t k = 0;

		while (k < count && !item_has(&select->item[i], names[k], NULL))
			k++;
		if (k == count)
			return unknown_name(ctx, what, select->item[i].prefix, names, count);
	}
	return PHIZ_OK;
}
