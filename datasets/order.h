/* The order of an epoch: a function of (seed, epoch), of nothing that went before. */
#ifndef PHIZ_DATASETS_ORDER_H
#define PHIZ_DATASETS_ORDER_H

#include <stdbool.h>

#include <phiz/ctx.h>

/* Items 0..count-1, each belonging to a class. */
struct phiz_order {
	uint64_t seed;
	size_t count;
	bool shuffle, balance;
	size_t photos; /* > 0: runs of so many items of one class */
	/* Balance and runs only: items sorted by class, and where each class that has any begins; start has classes + 1
	 * entries. */
	uint32_t *by_class;
	size_t *start;
	size_t classes;
};

/* photos > 0 (without balance): the order is runs of `photos` items of one class, class after class in a new order in
 * each round, so that a batch of a multiple of it has that many classes. class_of: of each item, 0..n_classes-1; only
 * read when balance or photos is set. */
enum phiz_status phiz_order_open(struct phiz_ctx *ctx, uint64_t seed, bool shuffle, bool balance,
                                 size_t photos, const uint32_t *class_of, size_t count, size_t n_classes,
                                 struct phiz_order *out);
void phiz_order_close(struct phiz_ctx *ctx, struct phiz_order *order);

/* Fills item[0..count) for the epoch. Without balance each item comes once. With it, each class comes equally often
 * (within one; which ones get the odd item changes with the epoch), and within a class each item (within one). Runs
 * take a class's items in turn, from where its last run of the epoch ended; a class that has fewer than a run repeats
 * them.
 * scratch: phiz_order_scratch entries. */
size_t phiz_order_scratch(size_t count, size_t n_classes);
void phiz_order_epoch(const struct phiz_order *order, uint32_t epoch, uint32_t *item, uint32_t *scratch);

#endif
