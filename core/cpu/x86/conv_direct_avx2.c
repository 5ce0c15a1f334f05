/* conv2d for few filters over wide rows: stride 1, no padding, dilation or groups, no residual; forward only.
 *   out[n][k][p][q] = act(bias[k] + sum over c, r, s of in[n][c][p + r][q + s] * weight[k][c][r][s])
 * in float, with fused multiply-add, in the order of c, r, s. Nothing may alias. Where few filters pass over a pixel,
 * packing it into panels (conv_taps.c) costs a good part of the time; here pixels are read where they lie. Vectors of 8
 * pixels lie in one row of the output; the last of a row is moved to the left, so that it does some pixels twice. */
#include <immintrin.h>

#include "core/base/thread.h"
#include "core/cpu/conv.h"
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/ops/ops.h"

#define INLINE static inline __attribute__((always_inline))
/* See conv_avx2.c. */
#if defined(__clang__) || __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

/* MIN_ROW: narrower rows waste more in their last vector than packing costs. MOST_FILTERS: with more, packing is paid
 * for. PIECE: multiply-adds that a thread takes at a time. */
enum { LANES = 8, MIN_ROW = 20, MOST_FILTERS = 64, PIECE = 1 << 20 };

/* Up to three vectors of a row of the output. */
struct group {
	const float *in; /* of channel 0, tap (0, 0), column 0 */
	float *out;      /* of filter 0, column 0 */
	int at[3];       /* their columns */
};

INLINE __m256 activate(__m256 sum, int act, float slope)
{
	if (act == PHIZ_ACT_NONE)
		return sum;
	/* Not max: NaN stays NaN. */
	__m256 negative = _mm256_cmp_ps(sum, _mm256_setzero_ps(), _CMP_LE_OQ);
	if (act == PHIZ_ACT_RELU)
		return _mm256_andnot_ps(negative, sum);
	return _mm256_blendv_ps(sum, _mm256_mul_ps(sum, _mm256_set1_ps(slope)), negative);
}

/* Filters k..k+K-1 of V vectors, at most 3 x 3: with 12 sums, compilers run out of registers. offset: of each channel
 * and tap, from channel 0 and tap (0, 0). */
INLINE void tile(const int K, const int V, const struct phiz_conv *d, const int32_t *offset, const struct group *g,
                 int k)
{
	const int64_t depth = (int64_t)d->c * d->r * d->s, out_plane = (int64_t)d->p * d->q;
	const float *w = d->weight + k * depth;
	const float *in[3];
	__m256 sum[3][3];
	UNROLL
	for (int v = 0; v < V; v++)
		in[v] = g->in + g->at[v];
	UNROLL
	for (int i = 0; i < K; i++)
		UNROLL
		for (int v = 0; v < V; v++)
			sum[i][v] = _mm256_setzero_ps();
	for (int64_t j = 0; j < depth; j++, w++) {
		const int64_t at = offset[j];
		__m256 pixel[3];
		UNROLL
		for (int v = 0; v < V; v++)
			pixel[v] = _mm256_loadu_ps(in[v] + at);
		UNROLL
		for (int i = 0; i < K; i++) {
			__m256 filter = _mm256_broadcast_ss(w + i * depth);
			UNROLL
			for (int v = 0; v < V; v++)
				sum[i][v] = _mm256_fmadd_ps(filter, pixel[v], sum[i][v]);
		}
	}
	/* Through memory, so that what follows does not take registers from the sums. */
	__m256 done[3][3];
	UNROLL
	for (int i = 0; i < K; i++)
		UNROLL
		for (int v = 0; v < V; v++)
			done[i][v] = sum[i][v];
	const int act = d->act, at[3] = {g->at[0], V > 1 ? g->at[1] : 0, V > 2 ? g->at[2] : 0};
	const float slope = d->slope, *bias = d->bias;
	float *out = g->out + k * out_plane;
	for (int i = 0; i < K; i++, out += out_plane) {
		__m256 b = bias ? _mm256_broadcast_ss(bias + k + i) : _mm256_setzero_ps();
		UNROLL
		for (int v = 0; v < V; v++)
			_mm256_storeu_ps(out + at[v], activate(_mm256_add_ps(done[i][v], b), act, slope));
	}
}

INLINE void tiles(const int V, const struct phiz_conv *d, const int32_t *offset, const struct group *g)
{
	for (int k = 0, step; k < d->k; k += step) {
		int left = d->k - k;
		step = left == 4 || left == 2 ? 2 : left < 3 ? 1 : 3;
		if (step == 3)
			tile(3, V, d, offset, g, k);
		else if (step == 2)
			tile(2, V, d, offset, g, k);
		else
			tile(1, V, d, offset, g, k);
	}
}

static void row_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct phiz_conv *d = arg;
	const int32_t *offset = (const int32_t *)(const void *)d->workspace;
	const int vectors = (d->q + LANES - 1) / LANES;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t n = i / d->p, p = i % d->p;
		struct group g = {.in = d->in + (n * d->c * d->h + p) * d->w, .out = d->out + (n * d->k * d->p + p) * d->q};
		for (int v = 0, step; v < vectors; v += step) {
			step = vectors - v == 4 ? 2 : vectors - v < 3 ? vectors - v : 3;
			for (int j = 0; j < step; j++)
				g.at[j] = (v + j + 1) * LANES <= d->q ? (v + j) * LANES : d->q - LANES;
			if (step == 3)
				tiles(3, d, offset, &g);
			else if (step == 2)
				tiles(2, d, offset, &g);
			else
				tiles(1, d, offset, &g);
		}
	}
}

static bool supports(const struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	return call->n_in <= PHIZ_CONV2D_RESIDUAL && phiz_conv_fits(&d) && d.groups == 1 && d.stride_h == 1 &&
	       d.stride_w == 1 && d.dilation_h == 1 && d.dilation_w == 1 && d.p == d.h - d.r + 1 && d.q == d.w - d.s + 1 &&
	       d.pad_h == 0 && d.pad_w == 0 && d.q >= MIN_ROW && d.k <= MOST_FILTERS;
}

static size_t workspace(const struct phiz_call *call, bool backward, int threads)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	(void)threads;
	return backward ? 0 : sizeof(int32_t) * (size_t)d.c * (size_t)d.r * (size_t)d.s;
}

static enum phiz_status forward(struct phiz_call *call)
{
	struct phiz_conv d;
	phiz_conv_of_conv2d(call, &d);
	int64_t row = (int64_t)d.q * d.k * d.c * d.r * d.s;
	int32_t *offset = (int32_t *)(void *)d.workspace;
	for (int c = 0; c < d.c; c++)
		for (int r = 0; r < d.r; r++)
			for (int s = 0; s < d.s; s++)
				*offset++ = (c * d.h + r) * d.w + s;
	phiz_parallel_for(call->ctx, d.n * d.p, 1 + PIECE / (row > 0 ? row : 1), row_pieces, &d);
	return PHIZ_OK;
}

const struct phiz_kernel phiz_cpu_conv2d_direct_f32_avx2 = {
	.op = "conv2d", .name = "direct_rows.avx2", .dtype = PHIZ_F32, .features = PHIZ_CPU_AVX2, .supports = supports,
	.workspace = workspace, .forward = forward,
};
