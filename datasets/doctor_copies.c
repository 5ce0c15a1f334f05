/* Photos that show the same moment: spare ones, ones under two names, ones on both sides of a split. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "datasets/doctor_internal.h"

/* A photo in its group of near-duplicates. Sorted: those of one group, person and part lie together, the best first. */
struct member {
	uint32_t group, photo;
	int person;
	enum phiz_part part;
	int64_t pixels, bytes;
	bool gone;
};

static uint32_t find_root(uint32_t *parent, uint32_t i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

static void join(uint32_t *parent, uint32_t a, uint32_t b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	if (a < b)
		parent[b] = a;
	else
		parent[a] = b;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->person != y->person)
		return x->person < y->person ? -1 : 1;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	if (x->gone != y->gone)
		return x->gone ? 1 : -1;
	if (x->pixels != y->pixels)
		return x->pixels > y->pixels ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x->photo > y->photo) - (x->photo < y->photo);
}

static bool same_bytes(const struct phiz_photo *a, const struct phiz_photo *b)
{
	return a->bytes == b->bytes && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* Of members that are one person's and in one part: all but the best are spare. */
static enum phiz_status tell_spare(struct doctor *d, const struct member *member, size_t n)
{
	const struct phiz_checkup *c = d->c;
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 1; !status && i < n; i++) {
		const struct phiz_photo *p = &c->photo[member[i].photo];
		struct phiz_finding f = phiz_doctor_of_photo(d, PHIZ_FAULT_NEAR_DUPLICATE, member[i].photo);

		f.other = member[0].photo;
		f.value = phiz_phash_distance(&c->hash[member[i].photo], &c->hash[member[0].photo]);
		f.limit = PHIZ_PHASH_BITS;
		for (size_t k = 0; k < i; k++) /* a copy of any that is told before, or of the best */
			if (same_bytes(p, &c->photo[member[k].photo])) {
				f.fault = PHIZ_FAULT_COPY;
				f.other = member[k].photo;
				f.value = 0;
				break;
			}
		f.move = !d->gone[member[0].photo];
		status = phiz_doctor_add(d, f);
	}
	return status;
}

/* members: all photos of groups by pairs that are not bursts (whole bursts are no spare photos). */
static enum phiz_status find_spare(struct doctor *d, const struct phiz_pairs *pairs)
{
	const struct phiz_checkup *c = d->c;
	uint32_t *parent = phiz_alloc(d->ctx, c->count, sizeof(*parent));
	struct member *member = phiz_alloc(d->ctx, pairs->count * 2, sizeof(*member));
	bool *listed = phiz_calloc(d->ctx, c->count, sizeof(*listed));
	enum phiz_status status = parent && member && listed ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t n = 0;

	for (size_t i = 0; !status && i < c->count; i++)
		parent[i] = (uint32_t)i;
	for (size_t i = 0; !status && i < pairs->count; i++)
		if (!pairs->pair[i].burst)
			join(parent, pairs->pair[i].a, pairs->pair[i].b);
	for (size_t i = 0; !status && i < 2 * pairs->count; i++) {
		const struct phiz_pair *pair = &pairs->pair[i / 2];
		uint32_t k = i % 2 ? pair->b : pair->a;
		const struct phiz_photo *p = &c->photo[k];

		if (pair->burst || listed[k])
			continue;
		listed[k] = true;
		member[n++] = (struct member){find_root(parent, k), k, p->person, p->part,
		                              (int64_t)p->width * p->height, p->bytes, d->gone[k]};
	}
	if (!status && n)
		qsort(member, n, sizeof(*member), compare_members);
	for (size_t i = 0, end; !status && i < n; i = end) {
		for (end = i + 1; end < n && member[end].group == member[i].group && member[end].person == member[i].person &&
		                  member[end].part == member[i].part;)
			end++;
		status = tell_spare(d, &member[i], end - i);
	}
	phiz_free(d->ctx, parent);
	phiz_free(d->ctx, member);
	phiz_free(d->ctx, listed);
	return status;
}

/* One photo under two names, or in two parts. */
static enum phiz_status tell_pair(struct doctor *d, const struct phiz_pair *pair)
{
	const struct phiz_photo *a = &d->c->photo[pair->a], *b = &d->c->photo[pair->b];
	struct phiz_finding f = phiz_doctor_of_photo(d, PHIZ_FAULT_TWO_NAMES, pair->a);
	enum phiz_status status = PHIZ_OK;

	f.other = pair->b;
	f.other_person = b->person;
	f.value = pair->distance;
	f.limit = PHIZ_PHASH_BITS;
	f.detail = same_bytes(a, b);
	if (a->person != b->person && !pair->burst)
		status = phiz_doctor_add(d, f);
	if (status || !d->c->split || a->part == b->part || a->part == PHIZ_PART_SKIP || b->part == PHIZ_PART_SKIP)
		return status;
	if (a->part > b->part) { /* the photo that is nearer to training goes: validation and test keep their size */
		f.photo = pair->b;
		f.person = b->person;
		f.other = pair->a;
		f.other_person = a->person;
	}
	f.fault = PHIZ_FAULT_LEAK;
	f.detail = (pair->burst ? 2 : 0) | f.detail;
	f.move = !d->gone[pair->a] && !d->gone[pair->b];
	return phiz_doctor_add(d, f);
}

enum phiz_status phiz_doctor_copies(struct doctor *d)
{
	const struct phiz_checkup *c = d->c;
	struct phiz_sample *sample = phiz_calloc(d->ctx, c->count, sizeof(*sample));
	struct phiz_pairs pairs = {0};
	enum phiz_status status = sample ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t i = 0; !status && i < c->count; i++) {
		sample[i].path = c->photo[i].path;
		sample[i].person = c->photo[i].person;
	}
	if (!status)
		status = phiz_similar_samples(d->ctx, sample, c->count, c->hash, &d->limits->similar, &pairs);
	if (!status)
		status = find_spare(d, &pairs);
	for (size_t i = 0; !status && i < pairs.count; i++)
		status = tell_pair(d, &pairs.pair[i]);
	phiz_pairs_free(d->ctx, &pairs);
	phiz_free(d->ctx, sample);
	return status;
}
