/* Parsing a verb's arguments by its table. */
#ifndef PHIZ_TOOLS_ARGS_H
#define PHIZ_TOOLS_ARGS_H

#include "tools/tools.h"

struct phiz_common {
	int threads; /* 0: all cores */
	bool quiet, verbose, help;
};

/* Parses argv (behind the verb) into settings; moves what is not an option to the front of argv and counts it. Gives 0,
 * or an exit status after printing what is wrong. */
int phiz_args_parse(struct phiz_ctx *ctx, const struct phiz_verb *verb, int argc, char **argv, void *settings,
                    struct phiz_common *common, int *n_args);
void phiz_help_print(const struct phiz_verb *verb);
/* The options that every verb has. */
const struct phiz_option *phiz_common_options(int *count);

/* manual.c: the man page (troff) and bash's completion, on standard output. */
void phiz_manual_print(void);
void phiz_completion_print(void);

#endif
