/* Which parameters are trained in an epoch, and which batch norms are fixed. */
#ifndef PHIZ_TRAIN_FREEZE_H
#define PHIZ_TRAIN_FREEZE_H

#include <phiz/model.h>

#include "train/recipe.h"

/* Are the names of train.freeze, freeze.unfreeze and optimizer.groups names of this model? NOTFOUND, with "did you
 * mean". */
enum phiz_status phiz_freeze_check(const struct phiz_model *model, const struct phiz_recipe *recipe);

/* The name of the layer that makes the model's first output ("fc"), or "" if it has none. */
const char *phiz_model_head(const struct phiz_model *model);

/* Sets `trainable` of the graph's parameters and `frozen` of its batch norms for epoch `epoch` (from 0). Plans of the
 * graph must be made anew where *changed (may be NULL) says so. ARG if nothing is left to train. */
enum phiz_status phiz_freeze_apply(struct phiz_model *model, const struct phiz_recipe *recipe, int64_t epoch,
                                   bool *changed);

#endif
