/* The program: a table of verbs. Only this folder prints to stdout or exits. */
#ifndef PHIZ_TOOLS_H
#define PHIZ_TOOLS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include <phiz/ctx.h>

/* Exit statuses. */
enum { PHIZ_EXIT_DONE = 0, PHIZ_EXIT_FAILED = 1, PHIZ_EXIT_USAGE = 2 };

enum phiz_option_kind {
	PHIZ_OPTION_FLAG, /* bool: present or not */
	PHIZ_OPTION_TEXT, /* const char *: the argument itself */
	PHIZ_OPTION_INT,  /* int64_t in [min, max] */
	PHIZ_OPTION_REAL, /* double in [min, max] */
	PHIZ_OPTION_LIST  /* struct phiz_list: may be given several times */
};

#define PHIZ_LIST_MAX 64
struct phiz_list {
	int count;
	const char *item[PHIZ_LIST_MAX];
};

/* One option of a verb; its value is stored at `offset` of the verb's settings. */
struct phiz_option {
	const char *name;  /* "--seed", or "-o" */
	const char *value; /* what --help calls the value ("FILE", "N"), NULL for flags */
	const char *help;
	enum phiz_option_kind kind;
	size_t offset;
	double min, max; /* numbers only */
};

/* A verb: its help, man page and completion all come from here. */
struct phiz_verb {
	const char *name;     /* "train", or two words: "data split" */
	const char *summary;  /* one line, no full stop */
	const char *synopsis; /* arguments behind the options: "RECIPE --data DIR --run DIR [...]" */
	const char *text;     /* paragraphs of help, lines <= 78; may be NULL */
	const struct phiz_option *options;
	int n_options;
	size_t settings_size;
	const void *defaults; /* settings before parsing, or NULL: zeros */
	int min_args, max_args; /* of arguments that are not options; max -1: any number */
	/* Gives an exit status. args holds what is not an option, NULL-terminated. */
	int (*run)(struct phiz_ctx *ctx, void *settings, int n_args, char **args);
};

#define PHIZ_OPTION(settings, name, kind, field, value, min, max, help) \
	{ name, value, help, PHIZ_OPTION_##kind, offsetof(settings, field), min, max }
#define PHIZ_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* All verbs, in the order of `phiz help` (verbs.c). */
extern const struct phiz_verb *const phiz_verbs[];
extern const int phiz_n_verbs;

/* Every verb gets these too: --threads N, --quiet, --verbose, --help. */

/* Prints "phiz: MESSAGE" to stderr and returns PHIZ_EXIT_FAILED. */
int phiz_report(const struct phiz_ctx *ctx);
/* Prints "phiz VERB: ..." and a hint to --help to stderr; returns PHIZ_EXIT_USAGE. */
int phiz_usage(const struct phiz_verb *verb, const char *fmt, ...) PHIZ_PRINTF(2, 3);

/* Text as a JSON string on standard output. */
void phiz_print_json(struct phiz_ctx *ctx, const char *text);

/* Set by SIGINT and SIGTERM; long work polls it. A second signal ends the program at once. */
extern volatile sig_atomic_t phiz_interrupted;

/* Progress on stderr: one line that is rewritten on a terminal, a plain line every few seconds otherwise. */
struct phiz_progress {
	bool terminal, quiet;
	double started, last;
	int width; /* of the line that stands on the terminal */
};
void phiz_progress_start(struct phiz_progress *p);
/* done of total (total 0: unknown), with text behind the bar; force shows it even if the last was just now. */
void phiz_progress_show(struct phiz_progress *p, double done, double total, bool force, const char *fmt, ...)
	PHIZ_PRINTF(5, 6);
/* The time that the next figures are reckoned from is now. */
void phiz_progress_restart(struct phiz_progress *p);
/* Clears the line, so that something else can be printed. */
void phiz_progress_clear(struct phiz_progress *p);
extern bool phiz_quiet; /* --quiet */

#endif
