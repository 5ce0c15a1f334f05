/* Two models on the same photos. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "train/evaluate.h"

static void count_pair(const struct phiz_eval *a, size_t i, const struct phiz_eval *b, size_t k,
                       struct phiz_comparison *out)
{
	bool a_right = phiz_eval_right(a, i), b_right = phiz_eval_right(b, k);

	out->photos++;
	out->both += a_right && b_right;
	out->neither += !a_right && !b_right;
	out->only_a += a_right && !b_right;
	out->only_b += !a_right && b_right;
	if (a_right != b_right)
		out->change[out->n_changes++] = (struct phiz_eval_change){i, k};
}

enum phiz_status phiz_compare(struct phiz_ctx *ctx, const struct phiz_eval *a, const struct phiz_eval *b,
                              struct phiz_comparison *out)
{
	size_t k = 0;

	memset(out, 0, sizeof *out);
	if (a->dataset != b->dataset)
		return phiz_fail(ctx, PHIZ_E_ARG, "two models can be compared on the same photos only");
	out->change = phiz_alloc(ctx, a->count, sizeof *out->change);
	if (!out->change)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < a->count; i++) { /* both are in the dataset's order */
		while (k < b->count && b->sample[k] < a->sample[i])
			k++;
		if (k < b->count && b->sample[k] == a->sample[i] && a->guess[i].label != PHIZ_STRANGER)
			count_pair(a, i, b, k, out);
	}
	if (out->photos)
		out->difference = (double)(out->only_b - out->only_a) / (double)out->photos;
	out->p = phiz_mcnemar(out->only_a, out->only_b);
	return PHIZ_OK;
}

void phiz_comparison_free(struct phiz_ctx *ctx, struct phiz_comparison *comparison)
{
	phiz_free(ctx, comparison->change);
	memset(comparison, 0, sizeof *comparison);
}
