#include "tools/dataset_args.h"

#include "core/base/error.h"
#include "datasets/split.h"

enum phiz_status phiz_open_dataset(struct phiz_ctx *ctx, const char *data, const char *split, const char *val,
                                   double share, uint64_t seed, struct phiz_dataset **out)
{
	struct phiz_split_options o;

	*out = NULL;
	if (split && val)
		return phiz_fail(ctx, PHIZ_E_ARG, "--split and --val both say what is validated: give one of them");
	if (split)
		return phiz_split_read(ctx, split, data, out);
	enum phiz_status status = phiz_dataset_scan(ctx, data, NULL, out);
	if (!status && val) {
		status = phiz_dataset_add_dir(ctx, *out, val, PHIZ_PART_VAL);
		if (!status)
			status = phiz_dataset_finish(ctx, *out);
	} else if (!status && share > 0) {
		phiz_split_defaults(&o);
		o.val = share;
		o.seed = seed;
		status = phiz_split_run(ctx, *out, &o, NULL);
	}
	if (status)
		phiz_dataset_free(ctx, out);
	return status;
}
