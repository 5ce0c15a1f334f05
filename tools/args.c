/* Parsing a verb's arguments by its table, and the help made from the same table. */
#include "tools/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/parse.h"

static const struct phiz_option common_options[] = {
	{"--threads", "N", "threads for parallel work (default: all cores)", PHIZ_OPTION_INT, 0, 1, 1024},
	{"--quiet", NULL, "no progress and no notes, only errors", PHIZ_OPTION_FLAG, 0, 0, 0},
	{"--verbose", NULL, "say more", PHIZ_OPTION_FLAG, 0, 0, 0},
	{"--help", NULL, "show this help", PHIZ_OPTION_FLAG, 0, 0, 0},
};

const struct phiz_option *phiz_common_options(int *count)
{
	*count = PHIZ_COUNT(common_options);
	return common_options;
}

static const struct phiz_option *find_option(const struct phiz_option *options, int n, const char *name, size_t length)
{
	for (int i = 0; i < n; i++)
		if (strlen(options[i].name) == length && !strncmp(options[i].name, name, length))
			return &options[i];
	return NULL;
}

static int unknown_option(const struct phiz_verb *verb, const char *name)
{
	const char *names[128];
	size_t n = 0;

	for (int i = 0; i < verb->n_options && n < 120; i++)
		names[n++] = verb->options[i].name;
	for (int i = 0; i < PHIZ_COUNT(common_options); i++)
		names[n++] = common_options[i].name;
	const char *near = phiz_suggest(name, names, n);
	if (near)
		return phiz_usage(verb, "unknown option '%s'; did you mean '%s'?", name, near);
	return phiz_usage(verb, "unknown option '%s'", name);
}

static int store(struct phiz_ctx *ctx, const struct phiz_verb *verb, const struct phiz_option *o, char *settings,
                 const char *value)
{
	char *at = settings + o->offset;
	enum phiz_status status = PHIZ_OK;

	switch (o->kind) {
	case PHIZ_OPTION_FLAG:
		*(bool *)(void *)at = true;
		break;
	case PHIZ_OPTION_TEXT:
		*(const char **)(void *)at = value;
		break;
	case PHIZ_OPTION_INT:
		status = phiz_parse_i64(ctx, value, (int64_t)o->min, (int64_t)o->max, (int64_t *)(void *)at);
		break;
	case PHIZ_OPTION_REAL:
		status = phiz_parse_f64(ctx, value, o->min, o->max, (double *)(void *)at);
		break;
	case PHIZ_OPTION_LIST: {
		struct phiz_list *list = (struct phiz_list *)(void *)at;
		if (list->count == PHIZ_LIST_MAX)
			return phiz_usage(verb, "%s: given more than %d times", o->name, PHIZ_LIST_MAX);
		list->item[list->count++] = value;
		break;
	}
	}
	return status ? phiz_usage(verb, "%s: %s", o->name, phiz_ctx_message(ctx)) : 0;
}

static int store_common(struct phiz_ctx *ctx, const struct phiz_verb *verb, const struct phiz_option *o,
                        const char *value, struct phiz_common *common)
{
	int64_t n;

	if (!strcmp(o->name, "--threads")) {
		if (phiz_parse_i64(ctx, value, 1, 1024, &n))
			return phiz_usage(verb, "--threads: %s", phiz_ctx_message(ctx));
		common->threads = (int)n;
	} else if (!strcmp(o->name, "--quiet")) {
		common->quiet = true;
	} else if (!strcmp(o->name, "--verbose")) {
		common->verbose = true;
	} else {
		common->help = true;
	}
	return 0;
}

/* One option at argv[*i]; "--name value" or "--name=value". */
static int parse_option(struct phiz_ctx *ctx, const struct phiz_verb *verb, int argc, char **argv, int *i,
                        char *settings, struct phiz_common *common)
{
	const char *word = argv[*i], *equals = strncmp(word, "--", 2) ? NULL : strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	bool is_common = false;
	const struct phiz_option *o = find_option(verb->options, verb->n_options, word, length);

	if (!o && !strcmp(word, "-h"))
		o = &common_options[PHIZ_COUNT(common_options) - 1], is_common = true;
	if (!o)
		o = find_option(common_options, PHIZ_COUNT(common_options), word, length), is_common = true;
	if (!o)
		return unknown_option(verb, word);
	const char *value = NULL;
	if (o->kind == PHIZ_OPTION_FLAG) {
		if (equals)
			return phiz_usage(verb, "%s takes no value", o->name);
	} else if (equals) {
		value = equals + 1;
	} else if (*i + 1 < argc) {
		value = argv[++*i];
	} else {
		return phiz_usage(verb, "%s wants %s", o->name, o->value);
	}
	return is_common ? store_common(ctx, verb, o, value, common) : store(ctx, verb, o, settings, value);
}

int phiz_args_parse(struct phiz_ctx *ctx, const struct phiz_verb *verb, int argc, char **argv, void *settings,
                    struct phiz_common *common, int *n_args)
{
	bool only_args = false;

	*n_args = 0;
	for (int i = 0; i < argc; i++) {
		if (!only_args && !strcmp(argv[i], "--")) {
			only_args = true;
		} else if (!only_args && argv[i][0] == '-' && argv[i][1]) {
			int status = parse_option(ctx, verb, argc, argv, &i, settings, common);
			if (status)
				return status;
		} else {
			argv[(*n_args)++] = argv[i];
		}
	}
	if (common->help)
		return 0;
	if (*n_args < verb->min_args)
		return phiz_usage(verb, "too few arguments: %s", verb->synopsis);
	if (verb->max_args >= 0 && *n_args > verb->max_args)
		return phiz_usage(verb, "'%s' is one argument too many: %s", argv[verb->max_args], verb->synopsis);
	return 0;
}

static void print_option(FILE *out, const struct phiz_option *o)
{
	char left[64];

	snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	if (strlen(left) > 24)
		fprintf(out, "  %s\n  %24s  %s\n", left, "", o->help);
	else
		fprintf(out, "  %-24s  %s\n", left, o->help);
}

void phiz_help_print(const struct phiz_verb *verb)
{
	printf("phiz %s: %s\n\nusage: phiz %s %s\n", verb->name, verb->summary, verb->name, verb->synopsis);
	if (verb->text)
		printf("\n%s\n", verb->text);
	printf("\noptions:\n");
	for (int i = 0; i < verb->n_options; i++)
		print_option(stdout, &verb->options[i]);
	for (int i = 0; i < PHIZ_COUNT(common_options); i++)
		print_option(stdout, &common_options[i]);
}
