/* Splitting: groups of photos that belong together, then each person's groups dealt out. */
#include "datasets/split.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"

#define MAX_NAMED 10

void phiz_split_defaults(struct phiz_split_options *options)
{
	*options = (struct phiz_split_options){.val = 0.2, .keep_bursts = true, .similar = {-1, -1}};
}

static enum phiz_status check_options(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                      const struct phiz_split_options *o)
{
	if (!(o->val >= 0 && o->val < 1) || !(o->test >= 0 && o->test < 1) || !(o->val + o->test < 1))
		return phiz_fail(ctx, PHIZ_E_ARG, "shares of %g for validation and %g for test: want each from 0 to 1 and both "
		                 "together below 1", o->val, o->test);
	if (o->n_strangers < 0 || o->n_strangers > dataset->n_known - 2)
		return phiz_fail(ctx, PHIZ_E_ARG, "%d of %d people as strangers: want 0 to %d, so that at least two are left "
		                 "to be known", o->n_strangers, dataset->n_known,
		                 dataset->n_known > 2 ? dataset->n_known - 2 : 0);
	return PHIZ_OK;
}

/* --- Strangers --- */

static enum phiz_status draw_strangers(struct phiz_ctx *ctx, struct phiz_dataset *dataset,
                                       const struct phiz_split_options *o)
{
	size_t n = (size_t)dataset->n_known;
	struct phiz_rng rng;
	uint32_t *order;

	if (o->n_strangers == 0)
		return PHIZ_OK;
	order = phiz_alloc(ctx, n, sizeof(*order));
	if (!order)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	/* Epoch 1, so that no person's own draws (epoch 0) are met. */
	phiz_rng_init(&rng, o->seed, 1, 0, PHIZ_STREAM_SPLIT);
	phiz_rng_shuffle_u32(&rng, order, n);
	for (int i = 0; i < o->n_strangers; i++)
		dataset->stranger[order[i]] = true;
	phiz_free(ctx, order);
	return phiz_dataset_finish(ctx, dataset);
}

enum phiz_status phiz_split_hold_out(struct phiz_ctx *ctx, struct phiz_dataset *dataset, int people, uint64_t seed)
{
	struct phiz_split_options o = {.seed = seed, .n_strangers = people};
	enum phiz_status status = check_options(ctx, dataset, &o);

	if (!status)
		status = draw_strangers(ctx, dataset, &o);
	for (size_t i = 0; !status && i < dataset->count; i++)
		if (dataset->sample[i].person >= dataset->n_known && dataset->sample[i].part != PHIZ_PART_SKIP)
			dataset->sample[i].part = PHIZ_PART_STRANGER;
	return status;
}

/* --- Groups --- */

static uint32_t find_root(uint32_t *parent, uint32_t i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

/* The smaller index becomes the root, so that a group is named by its first photo. */
static void unite(uint32_t *parent, uint32_t a, uint32_t b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	if (a < b)
		parent[b] = a;
	else
		parent[a] = b;
}

static void warn_cross_person(struct phiz_ctx *ctx, const struct phiz_dataset *d, const struct phiz_pair *pair,
                              size_t nth)
{
	const struct phiz_sample *a = &d->sample[pair->a], *b = &d->sample[pair->b];

	if (nth < MAX_NAMED)
		phiz_log(ctx, PHIZ_LOG_WARN, "the same photo under two names: %s (%s) and %s (%s)", a->path,
		         d->people.name[a->person], b->path, d->people.name[b->person]);
	else if (nth == MAX_NAMED)
		phiz_log(ctx, PHIZ_LOG_WARN, "the same photo under two names: more such pairs are not listed");
}

/* Numbers groups by their first photo and counts those of two and more. parent: a union-find that is done. */
static void number_groups(struct phiz_dataset *d, uint32_t *parent, uint32_t *size, struct phiz_split_report *report)
{
	uint32_t next = 0;

	for (size_t i = 0; i < d->count; i++) {
		uint32_t root = find_root(parent, (uint32_t)i);
		d->sample[i].group = root == i ? next++ : d->sample[root].group;
		size[root]++;
	}
	for (size_t i = 0; i < d->count; i++) {
		report->groups += size[i] >= 2;
		report->grouped += size[i] >= 2 ? size[i] : 0;
	}
}

static enum phiz_status group_photos(struct phiz_ctx *ctx, struct phiz_dataset *d, const struct phiz_split_options *o,
                                     const struct phiz_pairs *pairs, struct phiz_split_report *report)
{
	uint32_t *parent = phiz_alloc(ctx, d->count, sizeof(*parent));
	uint32_t *size = phiz_calloc(ctx, d->count, sizeof(*size));
	enum phiz_status status = parent && size ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t i = 0; !status && i < d->count; i++)
		parent[i] = (uint32_t)i;
	for (size_t k = 0; !status && k < pairs->count; k++) {
		const struct phiz_pair *p = &pairs->pair[k];
		if (d->sample[p->a].person != d->sample[p->b].person)
			warn_cross_person(ctx, d, p, report->cross_person++);
		if (o->keep_bursts)
			unite(parent, p->a, p->b);
	}
	if (!status)
		number_groups(d, parent, size, report);
	phiz_free(ctx, parent);
	phiz_free(ctx, size);
	return status;
}

/* --- Dealing out --- */

/* What the dealing works with, for one person at a time. */
struct deal {
	struct phiz_dataset *dataset;
	const struct phiz_split_options *options;
	int *owner;       /* of each group: the person, or -1 if it spans people */
	uint32_t *taken;  /* scratch per group: photos of it that the person has */
	uint32_t *photo;  /* the person's photos, shuffled */
	uint32_t *group;  /* the person's groups, in order of appearance */
	size_t photos, groups;
};

/* FNV-1a. */
static uint64_t hash_name(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	return h;
}

static void list_groups(struct deal *d)
{
	const struct phiz_sample *sample = d->dataset->sample;

	d->groups = 0;
	for (size_t i = 0; i < d->photos; i++)
		d->taken[sample[d->photo[i]].group] = 0;
	for (size_t i = 0; i < d->photos; i++) {
		uint32_t g = sample[d->photo[i]].group;
		if (d->taken[g]++ == 0 && d->owner[g] >= 0)
			d->group[d->groups++] = g;
	}
}

static void give(struct deal *d, size_t at, enum phiz_part part)
{
	uint32_t g = d->group[at];

	for (size_t i = 0; i < d->photos; i++)
		if (d->dataset->sample[d->photo[i]].group == g)
			d->dataset->sample[d->photo[i]].part = part;
	memmove(d->group + at, d->group + at + 1, (d->groups - at - 1) * sizeof(*d->group));
	d->groups--;
}

/* Gives groups to the part until it has `want` photos, never more. If every group is larger than that, the smallest one
 * that leaves at least one of `left` photos to train on. Returns the number of photos given. */
static size_t deal_part(struct deal *d, enum phiz_part part, size_t want, size_t left)
{
	size_t given = 0, best = SIZE_MAX;

	for (size_t i = 0; i < d->groups && given < want;) {
		size_t size = d->taken[d->group[i]];
		if (size > want - given) {
			i++;
			continue;
		}
		given += size;
		give(d, i, part);
	}
	if (given || !want)
		return given;
	for (size_t i = 0; i < d->groups; i++)
		if (d->taken[d->group[i]] < left && (best == SIZE_MAX || d->taken[d->group[i]] < d->taken[d->group[best]]))
			best = i;
	if (best == SIZE_MAX)
		return 0;
	given = d->taken[d->group[best]];
	give(d, best, part);
	return given;
}

/* Deals out the photos of one known person. false: none of them could go to validation. */
static bool deal_person(struct deal *d, int person)
{
	const struct phiz_split_options *o = d->options;
	double n = (double)d->photos;
	size_t val = o->val > 0 ? (size_t)fmax(1, nearbyint(o->val * n)) : 0;
	size_t test = (size_t)nearbyint(o->test * n), given;
	struct phiz_rng rng;

	if (val > d->photos - 1)
		val = d->photos - 1;
	if (test > d->photos - 1 - val)
		test = d->photos - 1 - val;
	phiz_rng_init(&rng, o->seed, 0, hash_name(d->dataset->people.name[person]), PHIZ_STREAM_SPLIT);
	phiz_rng_shuffle_u32(&rng, d->photo, d->photos);
	list_groups(d);
	given = deal_part(d, PHIZ_PART_VAL, val, d->photos);
	deal_part(d, PHIZ_PART_TEST, test, d->photos - given);
	return given > 0;
}

static void collect_photos(struct deal *d, const uint32_t *by_person, size_t begin, size_t end)
{
	d->photos = 0;
	for (size_t i = begin; i < end; i++)
		if (d->dataset->sample[by_person[i]].part != PHIZ_PART_SKIP)
			d->photo[d->photos++] = by_person[i];
}

/* Samples sorted by person: those of person p are by_person[start[p] .. start[p + 1]). */
static void sort_by_person(const struct phiz_dataset *d, size_t *start, uint32_t *by_person)
{
	for (size_t i = 0; i < d->count; i++)
		start[d->sample[i].person + 1]++;
	for (size_t p = 0; p < d->people.count; p++)
		start[p + 1] += start[p];
	for (size_t i = 0; i < d->count; i++)
		by_person[start[d->sample[i].person]++] = (uint32_t)i;
	/* Each start has moved to its end, which is the next one's start. */
	for (size_t p = d->people.count; p > 0; p--)
		start[p] = start[p - 1];
	start[0] = 0;
}

static void find_owners(const struct phiz_dataset *d, int *owner)
{
	for (size_t i = 0; i < d->count; i++)
		owner[d->sample[i].group] = d->sample[i].person;
	for (size_t i = 0; i < d->count; i++)
		if (owner[d->sample[i].group] != d->sample[i].person)
			owner[d->sample[i].group] = -1;
}

static enum phiz_status deal_people(struct phiz_ctx *ctx, struct deal *d, const size_t *start,
                                    const uint32_t *by_person, struct phiz_split_report *report)
{
	for (int p = 0; p < d->dataset->n_known; p++) {
		collect_photos(d, by_person, start[p], start[p + 1]);
		if (d->photos == 0)
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s/%s: none of this person's photos can be read: replace them, or "
			                 "remove the folder", d->dataset->roots.name[0], d->dataset->people.name[p]);
		if (!deal_person(d, p) && d->options->val > 0)
			report->without_val++;
	}
	return PHIZ_OK;
}

static enum phiz_status deal_all(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const struct phiz_split_options *o,
                                 struct phiz_split_report *report)
{
	size_t n = dataset->count;
	struct deal d = {.dataset = dataset, .options = o};
	size_t *start = phiz_calloc(ctx, dataset->people.count + 1, sizeof(*start));
	uint32_t *by_person = phiz_alloc(ctx, n, sizeof(*by_person));
	enum phiz_status status = PHIZ_E_NOMEM;

	d.owner = phiz_alloc(ctx, n, sizeof(*d.owner));
	d.taken = phiz_alloc(ctx, n, sizeof(*d.taken));
	d.photo = phiz_alloc(ctx, n, sizeof(*d.photo));
	d.group = phiz_alloc(ctx, n, sizeof(*d.group));
	if (start && by_person && d.owner && d.taken && d.photo && d.group) {
		sort_by_person(dataset, start, by_person);
		find_owners(dataset, d.owner);
		status = deal_people(ctx, &d, start, by_person, report);
	}
	phiz_free(ctx, d.owner);
	phiz_free(ctx, d.taken);
	phiz_free(ctx, d.photo);
	phiz_free(ctx, d.group);
	phiz_free(ctx, start);
	phiz_free(ctx, by_person);
	return status;
}

static void reset_parts(struct phiz_dataset *d, const struct phiz_phash *hash)
{
	for (size_t i = 0; i < d->count; i++) {
		struct phiz_sample *s = &d->sample[i];
		if (!hash[i].valid)
			s->part = PHIZ_PART_SKIP;
		else
			s->part = s->person < d->n_known ? PHIZ_PART_TRAIN : PHIZ_PART_STRANGER;
	}
}

static void count_parts(const struct phiz_dataset *d, struct phiz_split_report *report)
{
	for (size_t i = 0; i < d->count; i++)
		report->photos[d->sample[i].part]++;
	report->known = d->n_known;
	report->strangers = (int)d->people.count - d->n_known;
}

enum phiz_status phiz_split_run(struct phiz_ctx *ctx, struct phiz_dataset *dataset,
                                const struct phiz_split_options *options, struct phiz_split_report *report)
{
	struct phiz_split_report own;
	struct phiz_phash *hash = NULL;
	struct phiz_pairs pairs = {0};
	size_t n_bad;
	enum phiz_status status = check_options(ctx, dataset, options);

	if (!report)
		report = &own;
	memset(report, 0, sizeof(*report));
	if (!status)
		status = draw_strangers(ctx, dataset, options);
	if (!status)
		status = phiz_phash_dataset(ctx, dataset, options->strict, &hash, &n_bad);
	if (!status)
		status = phiz_similar_find(ctx, dataset, hash, &options->similar, &pairs);
	if (!status) {
		reset_parts(dataset, hash);
		status = group_photos(ctx, dataset, options, &pairs, report);
	}
	if (!status)
		status = deal_all(ctx, dataset, options, report);
	if (!status)
		count_parts(dataset, report);
	phiz_free(ctx, hash);
	phiz_pairs_free(ctx, &pairs);
	return status;
}

static bool is_leak(const struct phiz_dataset *d, const struct phiz_pair *pair)
{
	const struct phiz_sample *a = &d->sample[pair->a], *b = &d->sample[pair->b];

	return a->part != b->part && a->part != PHIZ_PART_SKIP && b->part != PHIZ_PART_SKIP;
}

enum phiz_status phiz_split_leaks(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                  const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                  struct phiz_pairs *out)
{
	size_t kept = 0;
	enum phiz_status status = phiz_similar_find(ctx, dataset, hash, options, out);

	for (size_t i = 0; !status && i < out->count; i++)
		if (is_leak(dataset, &out->pair[i]))
			out->pair[kept++] = out->pair[i];
	if (!status)
		out->count = kept;
	return status;
}
