/* Which elements dropout keeps: shared by every backend's kernel, so that all drop the same ones. */
#ifndef PHIZ_OPS_DROPOUT_H
#define PHIZ_OPS_DROPOUT_H

#include <phiz/op.h>

#include "core/base/rng.h"

/* The draws of elements 4*block .. 4*block+3: a Philox block keyed by the seed, at (block, step, stream of the
 * node). An element is dropped if its draw is below phiz_dropout_threshold. */
static inline void phiz_dropout_draw(const struct phiz_call *call, uint64_t block, uint32_t draw[4])
{
	uint32_t key[2] = {(uint32_t)call->seed, (uint32_t)(call->seed >> 32)};
	uint32_t counter[4] = {(uint32_t)block, (uint32_t)call->step, call->rng_stream,
	                       (uint32_t)PHIZ_STREAM_DROPOUT << 24 ^ (uint32_t)(block >> 32) ^
	                       (uint32_t)(call->step >> 32) << 12};

	phiz_philox4x32(counter, key, draw);
}

/* p * 2^32. */
static inline uint32_t phiz_dropout_threshold(double p)
{
	return (uint32_t)(p * 4294967296.0);
}

#endif
