/* Initial values of parameters (f32). */
#include <math.h>

#include "core/base/rng.h"
#include "core/nn/builder.h"

void phiz_init_he_normal(struct phiz_tensor *t, double fan, uint64_t seed, uint64_t which)
{
	struct phiz_rng rng;
	float *x = t->data;
	double std = sqrt(2.0 / fan);

	phiz_rng_init(&rng, seed, 0, which, PHIZ_STREAM_INIT);
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		x[i] = (float)(std * phiz_rng_normal(&rng));
}

void phiz_init_uniform(struct phiz_tensor *t, double bound, uint64_t seed, uint64_t which)
{
	struct phiz_rng rng;
	float *x = t->data;

	phiz_rng_init(&rng, seed, 0, which, PHIZ_STREAM_INIT);
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		x[i] = (float)phiz_rng_uniform(&rng, -bound, bound);
}

void phiz_init_constant(struct phiz_tensor *t, double value)
{
	float *x = t->data;
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		x[i] = (float)value;
}
