#include "tools/recipe_data.h"

#include <string.h>

#include "core/base/error.h"
#include "datasets/crops.h"
#include "train/session.h"

/* Share of what is cut out of crops that may lie outside of them without a word. */
#define MOST_OUTSIDE 0.03

enum phiz_status phiz_read_recipe(struct phiz_recipe *recipe, const char *path, const struct phiz_list *set)
{
	enum phiz_status status = phiz_recipe_read(recipe, path);

	for (int i = 0; i < set->count && !status; i++) {
		status = phiz_recipe_set(recipe, set->item[i]);
		if (status)
			phiz_fail_in(recipe->ctx, "--set %s", set->item[i]);
	}
	return status;
}

/* Crops of phiz data extract may be too tight for what is cut out of them: said, as nothing else would show it. */
static enum phiz_status check_crops(struct phiz_ctx *ctx, const struct phiz_recipe *recipe,
                                     const struct phiz_dataset *dataset, const struct phiz_landmarks *faces)
{
	struct phiz_align align;
	double share;

	phiz_session_align(recipe, &align);
	enum phiz_status status = phiz_crops_recut(ctx, dataset, faces->face, &align, &share);
	if (!status && share > MOST_OUTSIDE)
		phiz_log(ctx, PHIZ_LOG_WARN, "%.0f %% of what data.align = %s cuts out lies outside of the crops and is black: "
		         "phiz data extract --align box --margin 1 --size 224 leaves more around the faces", 100 * share,
		         phiz_align_name(align.kind));
	return status;
}

enum phiz_status phiz_open_recipe_data(struct phiz_ctx *ctx, const struct phiz_dataset_args *args,
                                       const struct phiz_recipe *recipe, struct phiz_dataset **dataset,
                                       struct phiz_landmarks *faces)
{
	struct phiz_dataset_args all = *args;
	const char *landmarks = strcmp(recipe->data.landmarks, "auto") ? recipe->data.landmarks : NULL;
	enum phiz_status status;

	all.embeds = phiz_recipe_embeds(recipe);
	all.val_share = recipe->data.val;
	all.val_people = recipe->data.val_people;
	all.seed = (uint64_t)recipe->train.seed;
	status = phiz_open_dataset(ctx, &all, dataset);
	if (status || recipe->data.align == PHIZ_ALIGN_NONE)
		return status;
	status = phiz_landmarks_read(ctx, landmarks, *dataset, faces);
	if (!status && faces->face && !faces->boxes && recipe->data.align != PHIZ_ALIGN_ARCFACE)
		status = phiz_fail(ctx, PHIZ_E_ARG, "data.align = %s needs boxes, and the landmarks have no columns x,y,w,h "
		                   "(phiz data extract, run again, adds them); arcface needs none",
		                   phiz_align_name((enum phiz_align_kind)recipe->data.align));
	if (!status)
		status = phiz_landmarks_require(ctx, faces, *dataset);
	return status ? status : check_crops(ctx, recipe, *dataset, faces);
}
