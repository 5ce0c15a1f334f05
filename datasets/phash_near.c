/* The search for hashes that differ in few bits.
 *
 * The 256 bits are dealt out to near + 1 sets. Two hashes that differ in at most `near` bits differ in none of them in
 * at least one set (pigeonholes), so it is enough to compare those that agree on a set, for each set: sorting by the
 * bits of a set brings them together. Photos of one plain background agree on many sets and are compared with each
 * other; all others hardly ever meet, and the work grows as n log n. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "datasets/phash.h"
#include "datasets/phash_near.h"

enum { WORDS = PHIZ_PHASH_BITS / 64, MAX_SETS = 24 };

/* One photo of each hash. */
struct entry {
	uint64_t bit[WORDS];
	uint32_t sample;
};

struct key {
	uint64_t bits; /* mixed from those of the set */
	uint32_t entry;
};

struct worker {
	struct phiz_ctx *fork;
	struct key *key;
	struct phiz_pairs found;
	enum phiz_status status;
};

struct search {
	struct entry *entry;
	size_t count;
	int near, sets;
	uint64_t mask[MAX_SETS][WORDS];
	struct worker *worker;
	int workers;
};

static int count_bits(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555u;
	v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (int)((v * 0x0101010101010101u) >> 56);
}

static int distance_of(const struct entry *a, const struct entry *b)
{
	int n = 0;

	for (int i = 0; i < WORDS; i++)
		n += count_bits(a->bit[i] ^ b->bit[i]);
	return n;
}

int phiz_phash_distance(const struct phiz_phash *a, const struct phiz_phash *b)
{
	int n = 0;

	for (int i = 0; i < WORDS; i++)
		n += count_bits(a->bit[i] ^ b->bit[i]);
	return n;
}

enum phiz_status phiz_pairs_add(struct phiz_ctx *ctx, struct phiz_pairs *pairs, size_t a, size_t b, int distance,
                                bool burst)
{
	if (phiz_grow(ctx, &pairs->pair, &pairs->capacity, pairs->count + 1, sizeof(*pairs->pair)))
		return PHIZ_E_NOMEM;
	pairs->pair[pairs->count++] = (struct phiz_pair){
		.a = (uint32_t)(a < b ? a : b), .b = (uint32_t)(a < b ? b : a), .distance = distance, .burst = burst,
	};
	return PHIZ_OK;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	for (int i = 0; i < WORDS; i++)
		if (x->bit[i] != y->bit[i])
			return x->bit[i] < y->bit[i] ? -1 : 1;
	return (x->sample > y->sample) - (x->sample < y->sample);
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->bits != y->bits)
		return x->bits < y->bits ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

/* Photos of one hash become a chain of pairs, so that a thousand black frames are a thousand pairs and not a million;
 * the first of them stands for all. */
static enum phiz_status collect(struct phiz_ctx *ctx, struct search *s, const struct phiz_phash *hash, size_t count,
                                struct phiz_pairs *out)
{
	size_t kept = 0;
	uint32_t last = 0;
	enum phiz_status status = PHIZ_OK;

	s->entry = phiz_alloc(ctx, count, sizeof(*s->entry));
	if (!s->entry)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!hash[i].valid)
			continue;
		memcpy(s->entry[s->count].bit, hash[i].bit, sizeof(hash[i].bit));
		s->entry[s->count++].sample = (uint32_t)i;
	}
	if (s->count)
		qsort(s->entry, s->count, sizeof(*s->entry), compare_entries);
	for (size_t i = 0; !status && i < s->count; i++) {
		uint32_t sample = s->entry[i].sample;

		if (kept && distance_of(&s->entry[kept - 1], &s->entry[i]) == 0)
			status = phiz_pairs_add(ctx, out, last, sample, 0, false);
		else
			s->entry[kept++] = s->entry[i];
		last = sample;
	}
	s->count = kept;
	return status;
}

/* Bit i belongs to set i mod sets: neighbouring bits, which are alike where a picture is plain, are spread out. */
static void deal_bits(struct search *s)
{
	memset(s->mask, 0, sizeof(s->mask));
	for (int i = 0; i < PHIZ_PHASH_BITS; i++)
		s->mask[i % s->sets][i / 64] |= (uint64_t)1 << i % 64;
}

static uint64_t mix(uint64_t v)
{
	v ^= v >> 32;
	v *= 0x9e3779b97f4a7c15u;
	return v ^ v >> 29;
}

static bool agree(const struct search *s, const struct entry *a, const struct entry *b, int set)
{
	for (int i = 0; i < WORDS; i++)
		if ((a->bit[i] ^ b->bit[i]) & s->mask[set][i])
			return false;
	return true;
}

/* A pair is told by the first set on which the two agree, and by no other. */
static bool is_told_here(const struct search *s, const struct entry *a, const struct entry *b, int set)
{
	for (int k = 0; k < set; k++)
		if (agree(s, a, b, k))
			return false;
	return true;
}

static void compare_run(const struct search *s, struct worker *w, size_t begin, size_t end, int set)
{
	for (size_t i = begin; i < end && !w->status; i++)
		for (size_t k = i + 1; k < end && !w->status; k++) {
			const struct entry *a = &s->entry[w->key[i].entry], *b = &s->entry[w->key[k].entry];
			int distance = distance_of(a, b);

			if (distance <= s->near && agree(s, a, b, set) && is_told_here(s, a, b, set))
				w->status = phiz_pairs_add(w->fork, &w->found, a->sample, b->sample, distance, false);
		}
}

static void search_sets(void *arg, int64_t begin, int64_t end, int worker)
{
	struct search *s = arg;
	struct worker *w = &s->worker[worker];

	for (int set = (int)begin; set < (int)end && !w->status; set++) {
		if (!w->key)
			w->key = phiz_alloc(w->fork, s->count, sizeof(*w->key));
		if (!w->key) {
			w->status = PHIZ_E_NOMEM;
			return;
		}
		for (size_t i = 0; i < s->count; i++) {
			uint64_t bits = 0;
			for (int k = 0; k < WORDS; k++)
				bits = mix(bits + (s->entry[i].bit[k] & s->mask[set][k]));
			w->key[i] = (struct key){bits, (uint32_t)i};
		}
		qsort(w->key, s->count, sizeof(*w->key), compare_keys);
		for (size_t i = 0, end_of_run; i < s->count; i = end_of_run) {
			for (end_of_run = i + 1; end_of_run < s->count && w->key[end_of_run].bits == w->key[i].bits;)
				end_of_run++;
			compare_run(s, w, i, end_of_run, set);
		}
	}
}

/* Where nearly everything counts as near, sets are too small to tell photos apart: each with each. */
static void search_all(void *arg, int64_t begin, int64_t end, int worker)
{
	struct search *s = arg;
	struct worker *w = &s->worker[worker];

	for (size_t i = (size_t)begin; i < (size_t)end && !w->status; i++)
		for (size_t k = i + 1; k < s->count && !w->status; k++) {
			int distance = distance_of(&s->entry[i], &s->entry[k]);

			if (distance <= s->near)
				w->status = phiz_pairs_add(w->fork, &w->found, s->entry[i].sample, s->entry[k].sample, distance, false);
		}
}

static enum phiz_status hire(struct phiz_ctx *ctx, struct search *s)
{
	int n = phiz_ctx_threads(ctx);
	enum phiz_status status = PHIZ_OK;

	s->worker = phiz_calloc(ctx, (size_t)n, sizeof(*s->worker));
	if (!s->worker)
		return PHIZ_E_NOMEM;
	for (; !status && s->workers < n; s->workers += !status)
		status = phiz_ctx_fork(ctx, &s->worker[s->workers].fork);
	return status;
}

static void dismiss(struct phiz_ctx *ctx, struct search *s)
{
	for (int i = 0; i < s->workers; i++) {
		phiz_free(ctx, s->worker[i].key);
		phiz_pairs_free(ctx, &s->worker[i].found);
		phiz_ctx_free(&s->worker[i].fork);
	}
	phiz_free(ctx, s->worker);
	phiz_free(ctx, s->entry);
}

static enum phiz_status gather(struct phiz_ctx *ctx, const struct search *s, struct phiz_pairs *out)
{
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; !status && i < s->workers; i++) {
		const struct worker *w = &s->worker[i];

		if (w->status)
			return phiz_fail(ctx, w->status, "while comparing photos: %s", phiz_status_name(w->status));
		for (size_t k = 0; !status && k < w->found.count; k++) {
			const struct phiz_pair *p = &w->found.pair[k];
			status = phiz_pairs_add(ctx, out, p->a, p->b, p->distance, false);
		}
	}
	return status;
}

enum phiz_status phiz_phash_near(struct phiz_ctx *ctx, const struct phiz_phash *hash, size_t count, int near,
                                 struct phiz_pairs *out)
{
	struct search s = {.near = near, .sets = near + 1};
	enum phiz_status status = collect(ctx, &s, hash, count, out);

	if (!status && s.count > 1 && near > 0) {
		status = hire(ctx, &s);
		if (!status && s.sets <= MAX_SETS) {
			deal_bits(&s);
			phiz_parallel_for(ctx, s.sets, 1, search_sets, &s);
		} else if (!status) {
			phiz_parallel_for(ctx, (int64_t)s.count, 64, search_all, &s);
		}
		if (!status)
			status = gather(ctx, &s, out);
	}
	dismiss(ctx, &s);
	return status;
}
