/* The dataset: people and samples in an order that depends on names alone. Declared in scan.h. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/base/sha256.h"
#include "datasets/scan.h"

static const char *const part_names[PHIZ_N_PARTS] = {"train", "val", "test", "stranger", "skip"};

const char *phiz_part_name(enum phiz_part part)
{
	return (unsigned)part < PHIZ_N_PARTS ? part_names[part] : "unknown";
}

bool phiz_part_parse(const char *name, enum phiz_part *out)
{
	for (int i = 0; i < PHIZ_N_PARTS; i++) {
		if (strcmp(name, part_names[i]) == 0) {
			*out = (enum phiz_part)i;
			return true;
		}
	}
	return false;
}

enum phiz_status phiz_dataset_create(struct phiz_ctx *ctx, struct phiz_dataset **out)
{
	*out = phiz_calloc(ctx, 1, sizeof(**out));
	return *out ? PHIZ_OK : PHIZ_E_NOMEM;
}

void phiz_dataset_free(struct phiz_ctx *ctx, struct phiz_dataset **dataset)
{
	struct phiz_dataset *d = dataset ? *dataset : NULL;

	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++)
		phiz_free(ctx, d->sample[i].path);
	phiz_free(ctx, d->sample);
	phiz_free(ctx, d->stranger);
	phiz_names_free(ctx, &d->people);
	phiz_names_free(ctx, &d->roots);
	phiz_free(ctx, d);
	*dataset = NULL;
}

enum phiz_status phiz_dataset_add_root(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir, int *root)
{
	*root = (int)dataset->roots.count;
	return phiz_names_add(ctx, &dataset->roots, dir);
}

enum phiz_status phiz_dataset_add_person(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *name,
                                         bool stranger, int *person)
{
	size_t n = dataset->people.count;
	enum phiz_status status;

	if (n && strcmp(dataset->people.name[n - 1], name) == 0 && dataset->stranger[n - 1] == stranger) {
		*person = (int)n - 1;
		return PHIZ_OK;
	}
	if (n >= INT32_MAX - 1)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "more than %d people", INT32_MAX - 1);
	status = phiz_grow(ctx, &dataset->stranger, &dataset->stranger_capacity, n + 1, sizeof(*dataset->stranger));
	if (!status)
		status = phiz_names_add(ctx, &dataset->people, name);
	if (status)
		return status;
	dataset->stranger[n] = stranger;
	*person = (int)n;
	return PHIZ_OK;
}

enum phiz_status phiz_dataset_add_sample(struct phiz_ctx *ctx, struct phiz_dataset *dataset,
                                         const struct phiz_sample *sample)
{
	struct phiz_sample copy = *sample;

	if (dataset->count >= UINT32_MAX)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "more than %u photos", UINT32_MAX);
	if (phiz_grow(ctx, &dataset->sample, &dataset->capacity, dataset->count + 1, sizeof(copy)))
		return PHIZ_E_NOMEM;
	copy.path = phiz_strdup(ctx, sample->path);
	if (!copy.path)
		return PHIZ_E_NOMEM;
	dataset->sample[dataset->count++] = copy;
	return PHIZ_OK;
}

/* A person while people are being put into order. */
struct draft {
	char *name;
	int old;
	bool stranger, used;
};

/* By name; of equal ones the known before the stranger, then as they came. */
static int compare_names(const void *a, const void *b)
{
	const struct draft *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : x->stranger != y->stranger ? x->stranger - y->stranger : (x->old > y->old) - (x->old < y->old);
}

static int compare_samples(const void *a, const void *b)
{
	const struct phiz_sample *x = a, *y = b;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	if (x->person != y->person)
		return x->person < y->person ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* A name that is there more than once stands for one person: its first draft, which is used if any of them is. */
static enum phiz_status unite_drafts(struct phiz_ctx *ctx, struct draft *draft, size_t n)
{
	size_t first = 0;

	for (size_t i = 1; i < n; i++) {
		if (strcmp(draft[first].name, draft[i].name) != 0) {
			first = i;
			continue;
		}
		if (draft[i].used && draft[first].used && draft[i].stranger != draft[first].stranger)
			return phiz_fail(ctx, PHIZ_E_ARG, "'%s' is both a known person and a stranger", draft[i].name);
		if (draft[i].used && !draft[first].used)
			draft[first].stranger = draft[i].stranger;
		draft[first].used |= draft[i].used;
		draft[i].used = false;
	}
	return PHIZ_OK;
}

/* Numbers the used drafts, known people first, and fills map: old index to new. */
static int number_people(struct phiz_dataset *d, struct draft *draft, size_t n, int *map)
{
	int next = 0;

	for (int stranger = 0; stranger < 2; stranger++) {
		for (size_t i = 0; i < n; i++) {
			if (draft[i].used && draft[i].stranger == (bool)stranger) {
				map[draft[i].old] = next;
				d->people.name[next] = draft[i].name;
				d->stranger[next++] = (bool)stranger;
			}
		}
		if (!stranger)
			d->n_known = next;
	}
	/* The other drafts of a name share its number: they follow it in the sorted array. */
	for (size_t i = 1; i < n; i++)
		if (!draft[i].used && strcmp(draft[i].name, draft[i - 1].name) == 0)
			map[draft[i].old] = map[draft[i - 1].old];
	return next;
}

static void remap(struct phiz_ctx *ctx, struct phiz_dataset *d, struct draft *draft, size_t n, int *map)
{
	int people = number_people(d, draft, n, map);

	for (size_t i = 0; i < d->count; i++)
		d->sample[i].person = map[d->sample[i].person];
	for (size_t i = 0; i < n; i++)
		if (!draft[i].used)
			phiz_free(ctx, draft[i].name);
	d->people.count = (size_t)people;
}

static enum phiz_status check_unique(struct phiz_ctx *ctx, const struct phiz_dataset *d)
{
	for (size_t i = 1; i < d->count; i++)
		if (compare_samples(&d->sample[i - 1], &d->sample[i]) == 0)
			return phiz_fail(ctx, PHIZ_E_ARG, "'%s' is there twice", d->sample[i].path);
	return PHIZ_OK;
}

enum phiz_status phiz_dataset_finish(struct phiz_ctx *ctx, struct phiz_dataset *dataset)
{
	size_t n = dataset->people.count;
	struct draft *draft = phiz_calloc(ctx, n, sizeof(*draft));
	int *map = phiz_calloc(ctx, n, sizeof(*map));
	enum phiz_status status = draft && map ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status) {
		for (size_t i = 0; i < n; i++)
			draft[i] = (struct draft){dataset->people.name[i], (int)i, dataset->stranger[i], false};
		for (size_t i = 0; i < dataset->count; i++)
			draft[dataset->sample[i].person].used = true;
		qsort(draft, n, sizeof(*draft), compare_names);
		status = unite_drafts(ctx, draft, n);
	}
	if (!status) {
		remap(ctx, dataset, draft, n, map);
		if (dataset->count)
			qsort(dataset->sample, dataset->count, sizeof(*dataset->sample), compare_samples);
		status = check_unique(ctx, dataset);
	}
	phiz_free(ctx, draft);
	phiz_free(ctx, map);
	return status;
}

enum phiz_status phiz_dataset_estrange(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *person)
{
	int p = phiz_dataset_find_person(dataset, person);

	if (p < 0) {
		const char *meant = phiz_suggest(person, (const char *const *)dataset->people.name, dataset->people.count);
		return phiz_fail(ctx, PHIZ_E_ARG, "no person is named '%s'%s%s%s", person, meant ? " (did you mean '" : "",
		                 meant ? meant : "", meant ? "'?)" : "");
	}
	dataset->stranger[p] = true;
	for (size_t i = 0; i < dataset->count; i++)
		if (dataset->sample[i].person == p && dataset->sample[i].part != PHIZ_PART_SKIP)
			dataset->sample[i].part = PHIZ_PART_STRANGER;
	return phiz_dataset_finish(ctx, dataset);
}

char *phiz_dataset_path(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, size_t sample)
{
	const struct phiz_sample *s = &dataset->sample[sample];

	return phiz_path_join(ctx, dataset->roots.name[s->root], s->path);
}

static int find_between(const struct phiz_dataset *dataset, size_t low, size_t high, const char *name)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(name, dataset->people.name[middle]);
		if (c == 0)
			return (int)middle;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

int phiz_dataset_find_person(const struct phiz_dataset *dataset, const char *name)
{
	int known = find_between(dataset, 0, (size_t)dataset->n_known, name);

	return known >= 0 ? known : find_between(dataset, (size_t)dataset->n_known, dataset->people.count, name);
}

size_t phiz_dataset_count(const struct phiz_dataset *dataset, enum phiz_part part, int person)
{
	size_t n = 0;

	for (size_t i = 0; i < dataset->count; i++)
		n += dataset->sample[i].part == part && (person < 0 || dataset->sample[i].person == person);
	return n;
}

enum phiz_status phiz_dataset_select(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, enum phiz_part part,
                                     uint32_t **index, size_t *count)
{
	*count = 0;
	*index = phiz_alloc(ctx, phiz_dataset_count(dataset, part, -1), sizeof(**index));
	if (!*index)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < dataset->count; i++)
		if (dataset->sample[i].part == part)
			(*index)[(*count)++] = (uint32_t)i;
	return PHIZ_OK;
}

/* With its NUL, so that no two lists of texts add up to the same bytes. */
static void hash_text(struct phiz_sha256 *h, const char *text)
{
	phiz_sha256_add(h, text, strlen(text) + 1);
}

void phiz_dataset_sha256(const struct phiz_dataset *dataset, char out[65])
{
	struct phiz_sha256 h;

	phiz_sha256_init(&h);
	for (size_t i = 0; i < dataset->people.count; i++)
		hash_text(&h, dataset->people.name[i]);
	hash_text(&h, "");
	for (size_t i = 0; i < dataset->count; i++) {
		const struct phiz_sample *s = &dataset->sample[i];
		hash_text(&h, dataset->people.name[s->person]);
		hash_text(&h, s->path);
		hash_text(&h, phiz_part_name(s->part));
	}
	phiz_sha256_hex(&h, out);
}
