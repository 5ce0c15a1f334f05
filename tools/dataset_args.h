/* Which photographs a verb means: --data DIR with --split CSV, --val DIR or a split of its own. */
#ifndef PHIZ_TOOLS_DATASET_ARGS_H
#define PHIZ_TOOLS_DATASET_ARGS_H

#include "datasets/scan.h"
#include "tools/tools.h"

struct phiz_dataset_args {
	const struct phiz_list *data;       /* folders with a folder per person; people of one name are one person */
	const struct phiz_list *unlabelled; /* photos without names, to distil from; NULL: none */
	const char *split; /* a CSV of `phiz data split` for the only data folder, or NULL */
	const char *val;   /* validation photos in a folder of their own, or NULL */
	bool embeds;       /* those show other people, for an embedder; false: the same */
	double val_share, val_people; /* without both: share of each person's photos, and of the people, that validate */
	uint64_t seed;
};

/* ARG if split goes with val or with several folders, and if there is nothing to train on. */
enum phiz_status phiz_open_dataset(struct phiz_ctx *ctx, const struct phiz_dataset_args *args,
                                   struct phiz_dataset **out);

#endif
