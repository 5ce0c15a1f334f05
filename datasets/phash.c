/* Difference hashes and the pairs they find. */
#include "datasets/phash.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/phash_near.h"
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

static enum phiz_status find_bursts(struct phiz_ctx *ctx, const struct phiz_sample *sample, size_t count,
                                    const struct phiz_phash *hash, int near, double burst, struct phiz_pairs *out)
{
	struct place *place = phiz_alloc(ctx, count, sizeof(*place));
	size_t n = 0;
	enum phiz_status status = place ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t i = 0; !status && i < count; i++) {
		if (hash[i].valid && parse_place(&sample[i], &place[n]))
			place[n++].sample = (uint32_t)i;
	}
	if (!status && n)
		qsort(place, n, sizeof(*place), compare_places);
	for (size_t i = 1; !status && i < n; i++) {
		uint32_t a = place[i - 1].sample, b = place[i].sample;
		int distance = phiz_phash_distance(&hash[a], &hash[b]);
		/* The nearest ones are found by phiz_phash_near already. */
		if (distance > near && compare_sequences(&place[i - 1], &place[i]) == 0 &&
		    phiz_phash_contrary(&hash[a], &hash[b]) <= burst)
			status = phiz_pairs_add(ctx, out, a, b, distance, true);
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

enum phiz_status phiz_similar_samples(struct phiz_ctx *ctx, const struct phiz_sample *sample, size_t count,
                                      const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                      struct phiz_pairs *out)
{
	int near = options && options->near >= 0 ? options->near : NEAR_BITS;
	double burst = options && options->burst >= 0 ? options->burst : BURST_SHARE;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_phash_near(ctx, hash, count, near, out);
	if (!status)
		status = find_bursts(ctx, sample, count, hash, near, burst, out);
	if (status)
		phiz_pairs_free(ctx, out);
	else if (out->count)
		qsort(out->pair, out->count, sizeof(*out->pair), compare_pairs);
	return status;
}

enum phiz_status phiz_similar_find(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                   const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                   struct phiz_pairs *out)
{
	return phiz_similar_samples(ctx, dataset->sample, dataset->count, hash, options, out);
}

void phiz_pairs_free(struct phiz_ctx *ctx, struct phiz_pairs *pairs)
{
	phiz_free(ctx, pairs->pair);
	memset(pairs, 0, sizeof(*pairs));
}
