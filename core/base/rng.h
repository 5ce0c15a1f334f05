/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 * A draw is a function of (seed, epoch, sample, stream, position), so it depends on no thread and no history. */
#ifndef PHIZ_BASE_RNG_H
#define PHIZ_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is drawn for: two uses never share draws. */
enum phiz_stream {
	PHIZ_STREAM_SHUFFLE = 1,
	PHIZ_STREAM_AUGMENT,
	PHIZ_STREAM_INIT,
	PHIZ_STREAM_DROPOUT,
	PHIZ_STREAM_MIXUP,
	PHIZ_STREAM_SPLIT,
	PHIZ_STREAM_SYNTH,
	PHIZ_STREAM_TEST,
	PHIZ_STREAM_CLUSTER,
	PHIZ_STREAM_BLEND
};

struct phiz_rng {
	uint32_t key[2], counter[4], block[4];
	int used; /* of block, 0..4 */
};

/* Starts the sequence of (seed, epoch, sample, stream). */
void phiz_rng_init(struct phiz_rng *rng, uint64_t seed, uint32_t epoch, uint64_t sample, uint32_t stream);
uint32_t phiz_rng_u32(struct phiz_rng *rng);
/* Uniform in [0, 1), 53 bits (two u32 draws). */
double phiz_rng_f64(struct phiz_rng *rng);
/* Uniform in [low, high). */
double phiz_rng_uniform(struct phiz_rng *rng, double low, double high);
/* Uniform in 0..n-1 without bias, n >= 1. */
uint32_t phiz_rng_below(struct phiz_rng *rng, uint32_t n);
/* Standard normal (Box-Muller, one of the pair). */
double phiz_rng_normal(struct phiz_rng *rng);
/* Fisher-Yates on items of 4 bytes. */
void phiz_rng_shuffle_u32(struct phiz_rng *rng, uint32_t *items, size_t count);
/* One Philox4x32-10 block: out = f(key, counter); what the rest is built on (tested against the paper's vectors). */
void phiz_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
