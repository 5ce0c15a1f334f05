/* phiz eval --pairs: how well a model tells whether two pictures are of one person. */
#ifndef PHIZ_TOOLS_EVAL_PAIRS_H
#define PHIZ_TOOLS_EVAL_PAIRS_H

#include <stdbool.h>

#include <phiz/ctx.h>

#include "tools/device_args.h"

struct phiz_eval_pairs {
	const char *model, *pairs;
	const char *root;     /* of the pictures; NULL: the folder of the list */
	const char *detector; /* a name or a path; NULL: the default */
	const char *report;   /* a folder, or NULL */
	const char *degrade; /* as phiz_degrade_parse reads it, or NULL */
	struct phiz_device_args device;
	int box[4];           /* width 0: none */
	double far;           /* for write_threshold */
	bool flip, detect, json, strict, write_threshold;
};

/* Prints the result; gives an exit status. */
int phiz_eval_pairs(struct phiz_ctx *ctx, const struct phiz_eval_pairs *settings);

#endif
