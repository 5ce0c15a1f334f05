/* Which photographs a verb means: --data DIR with --split CSV, --val DIR or a split of its own. */
#ifndef PHIZ_TOOLS_DATASET_ARGS_H
#define PHIZ_TOOLS_DATASET_ARGS_H

#include "datasets/scan.h"

/* data: a folder per person. split: a CSV of `phiz data split` for it, or NULL. val: a folder with the validation
 * photos of the same people, or NULL. Without both, share of each person's photos become validation by `seed` (0:
 * none). ARG if split and val are given both. */
enum phiz_status phiz_open_dataset(struct phiz_ctx *ctx, const char *data, const char *split, const char *val,
                                   double share, uint64_t seed, struct phiz_dataset **out);

#endif
