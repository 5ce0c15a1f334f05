/* phiz eval --classifier: classifiers on embeddings, compared on the same split. */
#ifndef PHIZ_TOOLS_EVAL_FACES_H
#define PHIZ_TOOLS_EVAL_FACES_H

#include <stdbool.h>
#include <stdint.h>

#include <phiz/ctx.h>

#include "tools/device_args.h"

struct phiz_eval_faces {
	const char *model, *data;
	const char *split;      /* CSV; NULL: splits are drawn */
	const char *strangers;  /* or NULL */
	const char *classifier; /* a name, or "all" */
	const char *detector;   /* NULL: the default */
	struct phiz_device_args device;
	double far, val;        /* val: share of drawn splits that is judged */
	int64_t splits;         /* drawn, with seeds 0, 1, ... */
	int64_t per_person;     /* photos of each person to learn from, drawn by the seed; 0: all */
	bool aligned, decision, json;
};

/* An exit status. */
int phiz_eval_faces_run(struct phiz_ctx *ctx, const struct phiz_eval_faces *e);

#endif
