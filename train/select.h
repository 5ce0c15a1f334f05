/* Choosing tensors by name: lists such as "layer4:0.1, fc" or "all, !layer4" of a recipe. */
#ifndef PHIZ_TRAIN_SELECT_H
#define PHIZ_TRAIN_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include <phiz/ctx.h>

#define PHIZ_MAX_SELECT 64

struct phiz_select_item {
	char *prefix;
	bool except;     /* written with a '!' before it */
	int n_values;    /* numbers after it, each behind a ':' */
	double value[2];
};

struct phiz_select {
	struct phiz_select_item item[PHIZ_MAX_SELECT];
	int count;
};

/* Items between commas or blanks: [!]PREFIX[:NUMBER[:NUMBER]]. A prefix is letters, digits, '_', '-' and '.'; ".*" or
 * "." at its end is dropped. "" and "none" give an empty list. ARG. Free with phiz_select_free, also after a failure.
 */
enum phiz_status phiz_select_parse(struct phiz_ctx *ctx, const char *text, struct phiz_select *out);
void phiz_select_free(struct phiz_ctx *ctx, struct phiz_select *select);

/* Is prefix the whole name, or the part of it before a dot? "layer4" has "layer4.0.conv1.weight" but not "layer40". */
bool phiz_name_under(const char *name, const char *prefix);

/* The last item that has this name decides: its index, or -1. "all" has every name that is not under `head`
 * (which may be NULL: no head). */
int phiz_select_last(const struct phiz_select *select, const char *name, const char *head);
/* The item with the longest prefix that has this name, or -1. */
int phiz_select_longest(const struct phiz_select *select, const char *name);

/* Every item must have at least one of the names; else NOTFOUND, with "did you mean". what: the key, for the
 * message. */
enum phiz_status phiz_select_check_names(struct phiz_ctx *ctx, const struct phiz_select *select, const char *what,
                                         const char *const *names, size_t count);

#endif
