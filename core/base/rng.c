#include "core/base/rng.h"

#include <math.h>

#define ROUNDS 10
static const uint32_t philox_m0 = 0xD2511F53u, philox_m1 = 0xCD9E8D57u;
static const uint32_t philox_w0 = 0x9E3779B9u, philox_w1 = 0xBB67AE85u; /* golden ratio, sqrt(3) - 1 */
static const double two_pi = 6.28318530717958647692;

void phiz_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t p0 = (uint64_t)philox_m0 * c0, p1 = (uint64_t)philox_m1 * c2;
		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += philox_w0;
		k1 += philox_w1;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* 64 + 32 + 64 + 32 bits do not fit into a counter with a position beside them, so (epoch, stream) go into the key,
 * through Philox itself; the sample stays in the counter and the position counts in its lower half. */
void phiz_rng_init(struct phiz_rng *rng, uint64_t seed, uint32_t epoch, uint64_t sample, uint32_t stream)
{
	const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	const uint32_t where[4] = {epoch, stream, 0, 0};
	uint32_t mixed[4];
	phiz_philox4x32(where, key, mixed);
	rng->key[0] = mixed[0];
	rng->key[1] = mixed[1];
	rng->counter[0] = 0;
	rng->counter[1] = 0;
	rng->counter[2] = (uint32_t)sample;
	rng->counter[3] = (uint32_t)(sample >> 32);
	for (int i = 0; i < 4; i++)
		rng->block[i] = 0;
	rng->used = 4;
}

uint32_t phiz_rng_u32(struct phiz_rng *rng)
{
	if (rng->used == 4) {
		phiz_philox4x32(rng->counter, rng->key, rng->block);
		rng->used = 0;
		if (++rng->counter[0] == 0)
			rng->counter[1]++;
	}
	return rng->block[rng->used++];
}

double phiz_rng_f64(struct phiz_rng *rng)
{
	uint64_t high = phiz_rng_u32(rng) >> 5, low = phiz_rng_u32(rng) >> 6;
	return (double)(high << 26 | low) * 0x1p-53;
}

double phiz_rng_uniform(struct phiz_rng *rng, double low, double high)
{
	double v = low + (high - low) * phiz_rng_f64(rng);
	return v >= high && high > low ? nextafter(high, low) : v; /* rounding may reach high */
}

/* Lemire 2019, "Fast random integer generation in an interval": the upper half of a product, where the few lower
 * halves that would favour some results are drawn again. */
uint32_t phiz_rng_below(struct phiz_rng *rng, uint32_t n)
{
	if (n <= 1)
		return 0;
	uint64_t product = (uint64_t)phiz_rng_u32(rng) * n;
	if ((uint32_t)product < n) {
		uint32_t least = (uint32_t)(0u - n) % n;
		while ((uint32_t)product < least)
			product = (uint64_t)phiz_rng_u32(rng) * n;
	}
	return (uint32_t)(product >> 32);
}

double phiz_rng_normal(struct phiz_rng *rng)
{
	double u = 1.0 - phiz_rng_f64(rng); /* (0, 1]: its logarithm is finite */
	double angle = two_pi * phiz_rng_f64(rng);
	return sqrt(-2.0 * log(u)) * cos(angle);
}

/* The indices of one shuffle stay below 2^32; longer lists (16 GiB of them) are shuffled by blocks of no use here. */
void phiz_rng_shuffle_u32(struct phiz_rng *rng, uint32_t *items, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = phiz_rng_below(rng, (uint32_t)i);
		uint32_t item = items[i - 1];
		items[i - 1] = items[j];
		items[j] = item;
	}
}
