/* Lays slots into one arena: the largest first, each at the lowest place where it meets none that lives at the same
 * time. Not optimal, but within a few per cent of the peak of what is alive for networks like ours. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/graph/plan.h"

enum { ALIGN = 64 };

static bool overlap_in_time(const struct phiz_slot *a, const struct phiz_slot *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Indices of slots from the largest to the smallest; equal sizes in order of index. */
static void sort_by_size(const struct phiz_slot *slot, size_t n, size_t *order)
{
	for (size_t i = 0; i < n; i++) {
		size_t k = i;
		for (; k > 0 && slot[order[k - 1]].bytes < slot[i].bytes; k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

/* The lowest offset for slot s among those in `placed` (sorted by offset). */
static size_t lowest_gap(const struct phiz_slot *slot, const size_t *placed, size_t n, const struct phiz_slot *s)
{
	size_t offset = 0;

	for (size_t i = 0; i < n; i++) {
		const struct phiz_slot *other = &slot[placed[i]];
		if (!overlap_in_time(other, s))
			continue;
		if (other->offset >= offset && other->offset - offset >= s->bytes)
			break;
		if (other->offset + other->bytes > offset)
			offset = other->offset + other->bytes;
	}
	return offset;
}

enum phiz_status phiz_arena_layout(struct phiz_ctx *ctx, struct phiz_slot *slot, size_t n, size_t *bytes)
{
	size_t *order = phiz_alloc(ctx, 2 * n + 1, sizeof *order), *placed = order + n, total = 0;

	if (!order)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		slot[i].bytes = (slot[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
		if (!phiz_size_add(total, slot[i].bytes, &total)) {
			phiz_free(ctx, order);
			return phiz_fail(ctx, PHIZ_E_LIMIT, "the plan's activations overflow the address space");
		}
	}
	sort_by_size(slot, n, order);
	*bytes = 0;
	for (size_t i = 0; i < n; i++) {
		struct phiz_slot *s = &slot[order[i]];
		size_t k = i;
		s->offset = lowest_gap(slot, placed, i, s);
		for (; k > 0 && slot[placed[k - 1]].offset > s->offset; k--)
			placed[k] = placed[k - 1];
		placed[k] = order[i];
		if (s->offset + s->bytes > *bytes)
			*bytes = s->offset + s->bytes;
	}
	phiz_free(ctx, order);
	return PHIZ_OK;
}
