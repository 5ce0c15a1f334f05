#include "datasets/order.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/rng.h"

enum phiz_status phiz_order_open(struct phiz_ctx *ctx, uint64_t seed, bool shuffle, bool balance,
                                 size_t photos, const uint32_t *class_of, size_t count, size_t n_classes,
                                 struct phiz_order *out)
{
	size_t *begin;

	*out = (struct phiz_order){.seed = seed, .count = count, .shuffle = shuffle, .balance = balance, .photos = photos};
	if (!balance && !photos)
		return PHIZ_OK;
	begin = phiz_calloc(ctx, n_classes + 1, sizeof(*begin));
	out->start = phiz_calloc(ctx, n_classes + 1, sizeof(*out->start));
	out->by_class = phiz_alloc(ctx, count, sizeof(*out->by_class));
	if (!begin || !out->start || !out->by_class) {
		phiz_free(ctx, begin);
		phiz_order_close(ctx, out);
		return PHIZ_E_NOMEM;
	}
	for (size_t i = 0; i < count; i++)
		begin[class_of[i] + 1]++;
	for (size_t c = 0; c < n_classes; c++) {
		begin[c + 1] += begin[c];
		if (begin[c + 1] > begin[c])
			out->start[++out->classes] = begin[c + 1];
	}
	for (size_t i = 0; i < count; i++)
		out->by_class[begin[class_of[i]]++] = (uint32_t)i;
	phiz_free(ctx, begin);
	return PHIZ_OK;
}

void phiz_order_close(struct phiz_ctx *ctx, struct phiz_order *order)
{
	phiz_free(ctx, order->by_class);
	phiz_free(ctx, order->start);
	memset(order, 0, sizeof(*order));
}

/* `quota` items of class c to item; rounds through the class, each in an order of its own. */
static void fill_class(const struct phiz_order *o, uint32_t epoch, size_t c, size_t quota, uint32_t *item,
                       uint32_t *round)
{
	size_t size = o->start[c + 1] - o->start[c];
	struct phiz_rng rng;

	/* Sample 0 is the order of the whole epoch. */
	phiz_rng_init(&rng, o->seed, epoch, c + 1, PHIZ_STREAM_SHUFFLE);
	while (quota) {
		size_t n = quota < size ? quota : size;
		memcpy(round, o->by_class + o->start[c], size * sizeof(*round));
		phiz_rng_shuffle_u32(&rng, round, size);
		memcpy(item, round, n * sizeof(*item));
		item += n;
		quota -= n;
	}
}

static void fill_balanced(const struct phiz_order *o, struct phiz_rng *rng, uint32_t epoch, uint32_t *item,
                          uint32_t *scratch)
{
	uint32_t *rank = scratch + o->count;
	size_t each = o->count / o->classes, odd = o->count % o->classes, filled = 0;

	for (size_t c = 0; c < o->classes; c++)
		rank[c] = (uint32_t)c;
	phiz_rng_shuffle_u32(rng, rank, o->classes);
	for (size_t c = 0; c < o->classes; c++) {
		size_t quota = each + (rank[c] < odd);
		fill_class(o, epoch, c, quota, item + filled, scratch);
		filled += quota;
	}
}

/* The next run of class c, whose items stand in `turn` in this epoch's order; at: where its last run ended. */
static void fill_run(const struct phiz_order *o, size_t c, size_t n, const uint32_t *turn, uint32_t *at, uint32_t *item)
{
	size_t size = o->start[c + 1] - o->start[c];

	for (size_t i = 0; i < n; i++) {
		item[i] = turn[o->start[c] + *at];
		*at = (uint32_t)((*at + 1) % size);
	}
}

/* scratch: the items by class, where each class's turn is, the round's order of classes. */
static void fill_runs(const struct phiz_order *o, struct phiz_rng *rng, uint32_t epoch, uint32_t *item,
                      uint32_t *scratch)
{
	uint32_t *turn = scratch, *at = scratch + o->count, *rank = at + o->classes;
	size_t filled = 0;

	memcpy(turn, o->by_class, o->count * sizeof(*turn));
	for (size_t c = 0; c < o->classes; c++) {
		struct phiz_rng own;

		phiz_rng_init(&own, o->seed, epoch, c + 1, PHIZ_STREAM_SHUFFLE);
		phiz_rng_shuffle_u32(&own, turn + o->start[c], o->start[c + 1] - o->start[c]);
		at[c] = 0;
		rank[c] = (uint32_t)c;
	}
	while (filled < o->count) {
		phiz_rng_shuffle_u32(rng, rank, o->classes);
		for (size_t c = 0; c < o->classes && filled < o->count; c++) {
			size_t n = o->count - filled < o->photos ? o->count - filled : o->photos;

			fill_run(o, rank[c], n, turn, &at[rank[c]], item + filled);
			filled += n;
		}
	}
}

size_t phiz_order_scratch(size_t count, size_t n_classes)
{
	return count + 2 * n_classes;
}

void phiz_order_epoch(const struct phiz_order *order, uint32_t epoch, uint32_t *item, uint32_t *scratch)
{
	struct phiz_rng rng;

	phiz_rng_init(&rng, order->seed, epoch, 0, PHIZ_STREAM_SHUFFLE);
	if (order->photos && order->classes) {
		fill_runs(order, &rng, epoch, item, scratch);
		return;
	}
	if (order->balance && order->classes)
		fill_balanced(order, &rng, epoch, item, scratch);
	else
		for (size_t i = 0; i < order->count; i++)
			item[i] = (uint32_t)i;
	if (order->shuffle)
		phiz_rng_shuffle_u32(&rng, item, order->count);
}
