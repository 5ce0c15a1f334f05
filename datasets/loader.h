/* The loader: photographs decoded, augmented and batched ahead of the trainer by worker threads. */
#ifndef PHIZ_DATASETS_LOADER_H
#define PHIZ_DATASETS_LOADER_H

#include <phiz/preproc.h>

#include "datasets/scan.h"
#include "datasets/stages.h"

struct phiz_augment; /* datasets/augment.h */

struct phiz_loader_options {
	const struct phiz_preproc *preproc; /* copied */
	const struct phiz_augment *augment; /* copied; NULL: none, which is what evaluation uses */
	uint64_t seed;
	int batch;          /* samples a batch, >= 1 */
	bool shuffle;       /* each epoch in an order of its own; false: as given */
	bool drop_last;     /* a last batch that is not full is left out */
	bool balance;       /* each person equally often (within one), photos of small folders repeated as needed; needs
	                       shuffle */
	int people, photos; /* > 0: batches of so many people with so many photos of each (repeated where there are fewer);
	                       batch is their product; needs shuffle, no balance */
	bool strict;        /* a photo that cannot be decoded fails phiz_loader_open; otherwise it is named and skipped */
	int views;          /* > 0: a photo's augmentation draws are those of epoch % views, so that they repeat (the
	                       order of the epoch does not); 0: new ones each time a photo comes up */
	int threads;        /* that decode ahead; 0: as many as the context has */
	int ahead;          /* batches that may be ready or under way beyond the one in use; 0: 2 */
	const struct phiz_face *faces; /* of all samples of the dataset: preproc->align cuts them out, in the same
	                       interpolation that augmentation takes part in. NULL: the photos are crops. Borrowed */
	size_t cache_bytes; /* of decoded photos kept in memory; 0: none */
	bool bytes;         /* photos as they are before they are normalised; not with augmentation that bytes cannot say
	                       (phiz_augment_fits_bytes) */
	bool timed;         /* measure what photos cost, for phiz_loader_stages */
};

/* One batch. The arrays are the loader's and stay valid until the next call of phiz_loader_next, _start or _free. */
struct phiz_batch {
	int n;                   /* samples; 0: the epoch is over */
	int size;                /* of the square images, pixels */
	float *images;           /* [n, 3, size, size]; NULL with options.bytes, and instead of it: */
	const uint8_t *bytes;    /* [n, 3, size, size], to be normalised */
	const int32_t *erased;   /* [n, 4]: x, y, width, height of what is 0 then */
	const int32_t *labels;   /* [n]: person; strangers are -1 */
	const int32_t *labels_b; /* [n]: MixUp's second label; NULL where the batch was not mixed */
	float lambda;            /* weight of labels; 1 - lambda of labels_b */
	const uint32_t *samples; /* [n]: indices into the dataset */
	uint32_t epoch;
	int64_t index;           /* of the batch in the epoch */
};

struct phiz_loader;

/* A loader of the samples index[0..count) of the dataset (NULL: all that are not SKIP). ctx and dataset must outlive
 * it.
 * Every photo is decoded once now, on the context's threads: those that cannot be are logged by name and left out
 * (strict: the first is the error), so that the number and order of batches is fixed from here on. As far as
 * cache_bytes reaches they are kept: whole, after the preprocessing's crop, where they are augmented; in the network's
 * size where not. A JPEG that is augmented is decoded at 1/2, 1/4 or 1/8 where its short side stays four times the
 * network's.
 * What a sample becomes depends on (seed, epoch, sample), the order on (seed, epoch): not on threads, the cache or
 * where one starts; bytes and boxes become the same floats (phiz_pass_bytes in plan.h). MixUp is torchvision's: with
 * the batch rolled by one, one lambda a batch.
 * Errors: ARG (options; drop_last leaves no batch); FORMAT (strict, or no photo is left); IO, NOMEM. */
enum phiz_status phiz_loader_open(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                                  size_t count, const struct phiz_loader_options *options, struct phiz_loader **out);
/* Fine at any time, also in the middle of an epoch; waits only for the photos under way. */
void phiz_loader_free(struct phiz_loader **loader);

/* Samples and batches in an epoch, and photos that were left out. */
size_t phiz_loader_samples(const struct phiz_loader *loader);
int64_t phiz_loader_batches(const struct phiz_loader *loader);
size_t phiz_loader_skipped(const struct phiz_loader *loader);
/* The dataset indices of the epoch's samples in their order, without decoding anything: batch b begins at
 * order[b * batch]. order holds phiz_loader_samples entries. (For a trainer that kept what it computed from the
 * photos.) Errors: NOMEM. */
enum phiz_status phiz_loader_order(const struct phiz_loader *loader, uint32_t epoch, uint32_t *order);
/* What the photos cost that were made since the loader was opened (options.timed; otherwise zeros). May be called at
 * any time. */
void phiz_loader_stages(struct phiz_loader *loader, struct phiz_stages *out);
/* Bytes that the cache holds. */
size_t phiz_loader_cached(const struct phiz_loader *loader);

/* Goes to batch first_batch of the epoch; nothing is decoded before the first call. Workers run on from the end of an
 * epoch into the next, so starting there (as a trainer does) finds batches ready. Errors: ARG (first_batch out of
 * 0..batches). */
enum phiz_status phiz_loader_start(struct phiz_loader *loader, uint32_t epoch, int64_t first_batch);
/* The next batch; n = 0 at the end of the epoch (until phiz_loader_start). Waits if it must. A worker's error comes out
 * here, at its batch, with the file's name (IO, NOMEM, FORMAT: the file has changed since), and again until
 * phiz_loader_start. ARG if the loader was not started. */
enum phiz_status phiz_loader_next(struct phiz_loader *loader, struct phiz_batch *out);

#endif
