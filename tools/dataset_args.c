#include "tools/dataset_args.h"

#include <math.h>

#include "core/base/error.h"
#include "datasets/split.h"

static enum phiz_status check(struct phiz_ctx *ctx, const struct phiz_dataset_args *args)
{
	if (args->split && args->val)
		return phiz_fail(ctx, PHIZ_E_ARG, "--split and --val both say what is validated: give one of them");
	if (args->split && args->data->count > 1)
		return phiz_fail(ctx, PHIZ_E_ARG, "--split goes with one --data folder, not with %d", args->data->count);
	return PHIZ_OK;
}

static enum phiz_status scan(struct phiz_ctx *ctx, const struct phiz_dataset_args *args, struct phiz_dataset **out)
{
	struct phiz_scan_options o = {.min_people = args->data->count > 1 ? 1 : 2};

	if (args->data->count == 0)
		return phiz_dataset_create(ctx, out);
	enum phiz_status status = phiz_dataset_scan(ctx, args->data->item[0], &o, out);
	for (int i = 1; i < args->data->count && !status; i++)
		status = phiz_dataset_add_people(ctx, *out, args->data->item[i]);
	return status;
}

/* People who are held out, then photos of those who are left. */
static enum phiz_status split(struct phiz_ctx *ctx, const struct phiz_dataset_args *args, struct phiz_dataset *dataset)
{
	int people = (int)lround(args->val_people * dataset->n_known);
	enum phiz_status status = PHIZ_OK;
	struct phiz_split_options o;

	if (people > 0)
		status = phiz_split_hold_out(ctx, dataset, people, args->seed);
	if (status || !(args->val_share > 0) || dataset->n_known == 0)
		return status;
	phiz_split_defaults(&o);
	o.val = args->val_share;
	o.seed = args->seed;
	return phiz_split_run(ctx, dataset, &o, NULL);
}

static enum phiz_status add_val(struct phiz_ctx *ctx, const struct phiz_dataset_args *args,
                                struct phiz_dataset *dataset)
{
	if (args->embeds)
		return phiz_dataset_add_strangers(ctx, dataset, args->val);
	enum phiz_status status = phiz_dataset_add_dir(ctx, dataset, args->val, PHIZ_PART_VAL);
	return status ? status : phiz_dataset_finish(ctx, dataset);
}

enum phiz_status phiz_open_dataset(struct phiz_ctx *ctx, const struct phiz_dataset_args *args,
                                   struct phiz_dataset **out)
{
	enum phiz_status status = check(ctx, args);

	*out = NULL;
	if (!status && args->split)
		status = phiz_split_read(ctx, args->split, args->data->item[0], out);
	else if (!status)
		status = scan(ctx, args, out);
	if (!status && args->val)
		status = add_val(ctx, args, *out);
	else if (!status && !args->split)
		status = split(ctx, args, *out);
	for (int i = 0; args->unlabelled && i < args->unlabelled->count && !status; i++)
		status = phiz_dataset_add_unlabelled(ctx, *out, args->unlabelled->item[i]);
	if (status)
		phiz_dataset_free(ctx, out);
	return status;
}
