/* What a recipe means by its settings and by the folders that go with it, for the verbs that take one. */
#ifndef PHIZ_TOOLS_RECIPE_DATA_H
#define PHIZ_TOOLS_RECIPE_DATA_H

#include "datasets/landmarks.h"
#include "tools/dataset_args.h"
#include "train/recipe.h"

/* The recipe at `path` (or the built-in one of that name), changed by `set`; not checked yet. */
enum phiz_status phiz_read_recipe(struct phiz_recipe *recipe, const char *path, const struct phiz_list *set);
/* The photos (of args: data, unlabelled, split and val; the recipe says the rest), and where the faces are in them if
 * the recipe has faces cut out. */
enum phiz_status phiz_open_recipe_data(struct phiz_ctx *ctx, const struct phiz_dataset_args *args,
                                       const struct phiz_recipe *recipe, struct phiz_dataset **dataset,
                                       struct phiz_landmarks *faces);

#endif
