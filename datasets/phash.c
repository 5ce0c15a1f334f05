/* Difference hashes and the pairs they find. */
#include "datasets/phash.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "datasets/sweep.h"

#define HASH_SIDE 16
#define DECODE_SIDE 128 /* eight times what the hash looks at: a JPEG may be decoded scaled down to that */
#define NEAR_BITS 10
/* Frames of films that are 0.2 s apart have 0.01 to 0.05 in the median; of neighbours in folders of photos that were
 * collected one by one, 99 in 100 have 0.11 and more. */
#define BURST_SHARE 0.1

enum phiz_status phiz_phash_image(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_phash *out)
{
	struct phiz_image gray = {0}, small = {0};
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_image_to_gray(ctx, image, &gray);
	if (!status)
		status = phiz_image_resize(ctx, &gray, HASH_SIDE + 1, HASH_SIDE, NULL, &small);
	for (int y = 0; !status && y < HASH_SIDE; y++) {
		const uint8_t *row = small.data + y * (HASH_SIDE + 1);
		for (int x = 0; x < HASH_SIDE; x++) {
			int bit = y * HASH_SIDE + x, step = row[x + 1] - row[x];
			out->bit[bit / 64] |= (uint64_t)(step > 0) << bit % 64;
			out->step[bit] = (int8_t)(step > INT8_MAX ? INT8_MAX : step < -INT8_MAX ? -INT8_MAX : step);
		}
	}
	out->valid = !status;
	phiz_image_free(ctx, &gray);
	phiz_image_free(ctx, &small);
	return status;
}

static int count_bits(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555u;
	v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (int)((v * 0x0101010101010101u) >> 56);
}

int phiz_phash_distance(const struct phiz_phash *a, const struct phiz_phash *b)
{
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += count_bits(a->bit[i] ^ b->bit[i]);
	return n;
}

double phiz_phash_contrary(const struct phiz_phash *a, const struct phiz_phash *b)
{
	int contrary = 0, all = 0;

	for (int i = 0; i < PHIZ_PHASH_BITS; i++) {
		int weight = abs(a->step[i]) + abs(b->step[i]);
		all += weight;
		if ((a->step[i] > 0) != (b->step[i] > 0))
			contrary += weight;
	}
	return all ? (double)contrary / all : 0;
}

static enum phiz_status hash_photo(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker)
{
	static const struct phiz_decode_options options = {.min_side = DECODE_SIDE};
	struct phiz_phash *hash = arg;
	struct phiz_image image = {0};
	enum phiz_status status = phiz_image_read(ctx, path, &options, &image);

	(void)worker;
	if (!status)
		status = phiz_phash_image(ctx, &image, &hash[i]);
	phiz_image_free(ctx, &image);
	return status;
}

/* The samples that are not of part SKIP. */
static size_t select_wanted(const struct phiz_dataset *dataset, uint32_t *index)
{
	size_t n = 0;

	for (size_t i = 0; i < dataset->count; i++)
		if (dataset->sample[i].part != PHIZ_PART_SKIP)
			index[n++] = (uint32_t)i;
	return n;
}

enum phiz_status phiz_phash_dataset(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, bool strict,
                                    struct phiz_phash **out, size_t *n_bad)
{
	size_t count = dataset->count, wanted;
	struct phiz_phash *hash = phiz_calloc(ctx, count, sizeof(*hash));
	uint32_t *index = phiz_alloc(ctx, count, sizeof(*index));
	bool *bad = phiz_calloc(ctx, count, sizeof(*bad));
	enum phiz_status status = PHIZ_E_NOMEM;

	*out = NULL;
	*n_bad = 0;
	if (hash && index && bad) {
		wanted = select_wanted(dataset, index);
		status = phiz_sweep(ctx, dataset, index, wanted, strict, hash_photo, hash, bad, n_bad);
		/* From the places of the sweep to those of the dataset, from behind: index[i] >= i. */
		for (size_t i = wanted; !status && i-- > 0;) {
			struct phiz_phash h = hash[i];
			memset(&hash[i], 0, sizeof(h));
			hash[index[i]] = h;
		}
	}
	phiz_free(ctx, index);
	phiz_free(ctx, bad);
	if (status)
		phiz_free(ctx, hash);
	else
		*out = hash;
	return status;
}

/* --- Pairs --- */

/* What the search over all pairs looks at, close together. */
struct entry {
	uint64_t bit[4];
	size_t sample;
};

struct search {
	struct entry *entry; /* of the photos that could be read */
	size_t count;
	int near;
	struct phiz_ctx **fork;   /* one per worker */
	struct phiz_pairs *found; /* one per worker */
	enum phiz_status *status; /* one per worker */
	int workers;
};

static enum phiz_status add_pair(struct phiz_ctx *ctx, struct phiz_pairs *pairs, size_t a, size_t b, int distance,
                                 bool burst)
{
	if (phiz_grow(ctx, &pairs->pair, &pairs->capacity, pairs->count + 1, sizeof(*pairs->pair)))
		return PHIZ_E_NOMEM;
	pairs->pair[pairs->count++] = (struct phiz_pair){
		.a = (uint32_t)(a < b ? a : b), .b = (uint32_t)(a < b ? b : a), .distance = distance, .burst = burst,
	};
	return PHIZ_OK;
}

/* All b > a for a in [begin, end), up to the first of the same hash: that one finds the rest, so that a thousand
 * black frames are a thousand pairs and not a million. */
static void search_range(void *arg, int64_t begin, int64_t end, int worker)
{
	struct search *s = arg;

	for (size_t a = (size_t)begin; a < (size_t)end && !s->status[worker]; a++) {
		const struct entry *x = &s->entry[a];
		for (size_t b = a + 1; b < s->count && !s->status[worker]; b++) {
			const struct entry *y = &s->entry[b];
			/* Half of the bits is enough to tell most apart. */
			int distance = count_bits(x->bit[0] ^ y->bit[0]) + count_bits(x->bit[2] ^ y->bit[2]);
			if (distance > s->near)
				continue;
			distance += count_bits(x->bit[1] ^ y->bit[1]) + count_bits(x->bit[3] ^ y->bit[3]);
			if (distance <= s->near)
				s->status[worker] = add_pair(s->fork[worker], &s->found[worker], x->sample, y->sample, distance, false);
			if (distance == 0)
				break;
		}
	}
}

static enum phiz_status search_open(struct phiz_ctx *ctx, struct search *s, const struct phiz_phash *hash, size_t count)
{
	size_t n = (size_t)phiz_ctx_threads(ctx);
	enum phiz_status status = PHIZ_OK;

	s->entry = phiz_alloc(ctx, count, sizeof(*s->entry));
	if (!s->entry)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!hash[i].valid)
			continue;
		memcpy(s->entry[s->count].bit, hash[i].bit, sizeof(hash[i].bit));
		s->entry[s->count++].sample = i;
	}
	s->fork = phiz_calloc(ctx, n, sizeof(struct phiz_ctx *));
	s->found = phiz_calloc(ctx, n, sizeof(*s->found));
	s->status = phiz_calloc(ctx, n, sizeof(*s->status));
	if (!s->fork || !s->found || !s->status)
		return PHIZ_E_NOMEM;
	for (; !status && (size_t)s->workers < n; s->workers += !status)
		status = phiz_ctx_fork(ctx, &s->fork[s->workers]);
	return status;
}

static void search_close(struct phiz_ctx *ctx, struct search *s)
{
	for (int i = 0; i < s->workers; i++) {
		phiz_free(ctx, s->found[i].pair);
		phiz_ctx_free(&s->fork[i]);
	}
	phiz_free(ctx, s->fork);
	phiz_free(ctx, s->found);
	phiz_free(ctx, s->status);
	phiz_free(ctx, s->entry);
}

static enum phiz_status find_near(struct phiz_ctx *ctx, const struct phiz_phash *hash, size_t count, int near,
                                  struct phiz_pairs *out)
{
	struct search s = {.near = near};
	enum phiz_status status = search_open(ctx, &s, hash, count);

	if (!status)
		phiz_parallel_for(ctx, (int64_t)s.count, 64, search_range, &s);
	for (int i = 0; !status && i < s.workers; i++) {
		if (s.status[i])
			status = phiz_fail(ctx, s.status[i], "while comparing photos: %s", phiz_status_name(s.status[i]));
		for (size_t k = 0; !status && k < s.found[i].count; k++) {
			const struct phiz_pair *p = &s.found[i].pair[k];
			status = add_pair(ctx, out, p->a, p->b, p->distance, false);
		}
	}
	search_close(ctx, &s);
	return status;
}

/* A file name as a place in a sequence: "IMG_0041_a.jpg" is prefix "IMG_", number 41, suffix "_a.jpg". */
struct place {
	uint32_t sample;
	int person;
	const char *prefix, *suffix;
	size_t prefix_length;
	uint64_t number;
};

/* false: the name holds no number. The last number counts, of at most 18 digits (longer ones: their last 18). */
static bool parse_place(const struct phiz_sample *sample, struct place *out)
{
	const char *name = phiz_path_base(sample->path), *end = strrchr(name, '.'), *digits;

	if (!end)
		end = name + strlen(name);
	while (end > name && !(end[-1] >= '0' && end[-1] <= '9'))
		end--;
	digits = end;
	while (digits > name && end - digits < 18 && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	out->person = sample->person;
	out->prefix = name;
	out->prefix_length = (size_t)(digits - name);
	out->suffix = end;
	out->number = 0;
	for (const char *d = digits; d < end; d++)
		out->number = out->number * 10 + (uint64_t)(*d - '0');
	return digits < end;
}

/* 0: two places in one sequence. */
static int compare_sequences(const struct place *x, const struct place *y)
{
	int c;

	if (x->person != y->person)
		return x->person < y->person ? -1 : 1;
	if (x->prefix_length != y->prefix_length)
		return x->prefix_length < y->prefix_length ? -1 : 1;
	c = memcmp(x->prefix, y->prefix, x->prefix_length);
	return c ? c : strcmp(x->suffix, y->suffix);
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int c = compare_sequences(x, y);

	if (c)
		return c;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->sample > y->sample) - (x->sample < y->sample);
}

static enum phiz_status find_bursts(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                    const struct phiz_phash *hash, int near, double burst, struct phiz_pairs *out)
{
	struct place *place = phiz_alloc(ctx, dataset->count, sizeof(*place));
	size_t n = 0;
	enum phiz_status status = place ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t i = 0; !status && i < dataset->count; i++) {
		if (hash[i].valid && parse_place(&dataset->sample[i], &place[n]))
			place[n++].sample = (uint32_t)i;
	}
	if (!status)
		qsort(place, n, sizeof(*place), compare_places);
	for (size_t i = 1; !status && i < n; i++) {
		uint32_t a = place[i - 1].sample, b = place[i].sample;
		int distance = phiz_phash_distance(&hash[a], &hash[b]);
		/* The nearest ones are found by find_near already. */
		if (distance > near && compare_sequences(&place[i - 1], &place[i]) == 0 &&
		    phiz_phash_contrary(&hash[a], &hash[b]) <= burst)
			status = add_pair(ctx, out, a, b, distance, true);
	}
	phiz_free(ctx, place);
	return status;
}

static int compare_pairs(const void *a, const void *b)
{
	const struct phiz_pair *x = a, *y = b;

	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	return (x->b > y->b) - (x->b < y->b);
}

enum phiz_status phiz_similar_find(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                   const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                   struct phiz_pairs *out)
{
	int near = options && options->near >= 0 ? options->near : NEAR_BITS;
	double burst = options && options->burst >= 0 ? options->burst : BURST_SHARE;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = find_near(ctx, hash, dataset->count, near, out);
	if (!status)
		status = find_bursts(ctx, dataset, hash, near, burst, out);
	if (status)
		phiz_pairs_free(ctx, out);
	else if (out->count)
		qsort(out->pair, out->count, sizeof(*out->pair), compare_pairs);
	return status;
}

void phiz_pairs_free(struct phiz_ctx *ctx, struct phiz_pairs *pairs)
{
	phiz_free(ctx, pairs->pair);
	memset(pairs, 0, sizeof(*pairs));
}
