/* linear in inference: the samples are the pixels of one row, 16 inputs are a block of channels. Filters are read once
 * for every 12 samples (AVX-512), in the order in which they lie, which for a single sample is what takes the time. */
#include <string.h>

#include "core/base/thread.h"
#include "core/cpu/blocked.h"
#include "core/cpu/conv.h"

enum { B = PHIZ_BLOCK };

struct linear {
	struct phiz_conv d;
	int kb;
	float *filters, *bias; /* [K / 16][C][16], [K] in whole blocks */
	float *out;            /* [N][K in whole blocks], or the output itself */
	void *rest;
};

static float *take(char **at, size_t floats)
{
	float *here = (float *)(void *)*at;
	*at += (floats * sizeof(float) + 63) & ~(size_t)63;
	return here;
}

static void describe(const struct phiz_call *call, struct linear *l)
{
	memset(l, 0, sizeof *l);
	phiz_conv_of_linear(call, &l->d);
	l->kb = (l->d.k + B - 1) / B;
}

static size_t place_constants(struct linear *l, char *memory)
{
	char *at = memory;
	l->filters = take(&at, (size_t)l->kb * B * (size_t)l->d.c);
	l->bias = take(&at, (size_t)l->kb * B);
	return (size_t)(at - memory);
}

/* Bytes of the workspace, without what the sum itself wants. */
static size_t place(struct linear *l, const void *constants, char *workspace)
{
	char *at = workspace;
	if (constants)
		place_constants(l, (char *)(uintptr_t)constants); /* which are only read */
	else
		at += place_constants(l, workspace);
	l->out = l->d.k % B ? take(&at, (size_t)l->d.n * (size_t)l->kb * B) : l->d.out;
	l->rest = at;
	return (size_t)(at - workspace);
}

static void sum_of(const struct linear *l, struct phiz_blocked_sum *s)
{
	const struct phiz_conv *d = &l->d;
	*s = (struct phiz_blocked_sum){
		.in = d->in, .in_image = d->n * d->c, .in_block = B, .in_row = d->n * d->c, .in_col = d->c,
		.height = 1, .width = (int)d->n, .blocks = d->c / B, .depth = B,
		.taps_y = 1, .taps_x = 1, .step_y = 1, .step_x = 1, .stride_y = 1, .stride_x = 1,
		.w = l->filters, .filters = l->kb,
		.out = l->out, .images = 1, .out_image = d->n * l->kb * B, .out_block = B, .out_col = (int64_t)l->kb * B,
		.p = 1, .q = (int)d->n, .bias = l->bias, .act = d->act, .slope = d->slope,
	};
}

static void pack_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct linear *l = arg;
	const struct phiz_conv *d = &l->d;
	(void)worker;
	for (int64_t k = begin * B; k < end * B; k++) {
		float *to = l->filters + k / B * B * d->c + k % B;
		for (int c = 0; c < d->c; c++)
			to[(int64_t)c * B] = k < d->k ? d->weight[k * d->c + c] : 0;
		l->bias[k] = d->bias && k < d->k ? d->bias[k] : 0;
	}
}

static void pack(const struct linear *l)
{
	struct linear copy = *l;
	phiz_parallel_for(l->d.ctx, l->kb, 4, pack_pieces, &copy);
}

bool phiz_blocked_linear_supports(const struct phiz_call *call)
{
	struct phiz_blocked_sum s;
	struct linear l;
	describe(call, &l);
	if (call->training || l.d.c % B || l.d.n > INT32_MAX)
		return false;
	sum_of(&l, &s);
	return phiz_blocked_sum_fits(&s);
}

size_t phiz_blocked_linear_workspace(const struct phiz_call *call, int threads, const struct phiz_blocked_micro *micro)
{
	struct phiz_blocked_sum s;
	struct linear l;
	describe(call, &l);
	size_t bytes = place(&l, NULL, NULL);
	sum_of(&l, &s);
	return bytes + phiz_blocked_sum_workspace(&s, micro, threads);
}

size_t phiz_blocked_linear_constants(const struct phiz_call *call)
{
	struct linear l;
	describe(call, &l);
	return place_constants(&l, NULL);
}

void phiz_blocked_linear_prepare(const struct phiz_call *call, void *constants)
{
	struct linear l;
	describe(call, &l);
	place_constants(&l, constants);
	pack(&l);
}

enum phiz_status phiz_blocked_linear_forward(struct phiz_call *call, const struct phiz_blocked_micro *micro)
{
	struct phiz_blocked_sum s;
	struct linear l;
	describe(call, &l);
	place(&l, call->constants, call->workspace);
	if (!call->constants)
		pack(&l);
	sum_of(&l, &s);
	phiz_blocked_sum_run(call->ctx, &s, micro, l.rest);
	for (int64_t n = 0; l.out != l.d.out && n < l.d.n; n++)
		memcpy(l.d.out + n * l.d.k, l.out + n * l.kb * B, sizeof(float) * (size_t)l.d.k);
	return PHIZ_OK;
}
